// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct fp_block {
    struct fp_block *next;
    alignas(max_align_t) unsigned char bytes[];
};

void *fp_arena_take(struct fp_arena *arena, size_t count, size_t size) {
    size_t bytes;
    const bool fits = fp_mul(count, size, &bytes) && bytes <= SIZE_MAX - sizeof(struct fp_block);
    if (!fits) bytes = SIZE_MAX;
    struct fp_block *block = NULL;
    if (fits && !arena->failed) block = fp_calloc(1, sizeof(*block) + bytes);
    if (!block) {
        if (!arena->failed) arena->missing = bytes;
        arena->failed = true;
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

void *fp_arena_copy(struct fp_arena *arena, const void *data, size_t count, size_t size) {
    void *copy = fp_arena_take(arena, count, size);
    if (copy && count) memcpy(copy, data, count * size);
    return copy;
}

int fp_arena_check(const struct fp_arena *arena, fineprune_error *err) {
    if (!arena->failed) return FINEPRUNE_OK;
    return fp_fail_memory(err, arena->what, arena->missing);
}

void fp_arena_free(struct fp_arena *arena) {
    while (arena->blocks) {
        struct fp_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    arena->failed = false;
    arena->missing = 0;
}
