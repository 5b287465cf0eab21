// SPDX-License-Identifier: Apache-2.0
// Memory of one stage: what is taken is freed at once, so that an early return is safe.
//     FP_STAGE(room, "a repair");
//     double *sums = fp_arena_take(&room, rows, sizeof(*sums));
//     float *values = fp_arena_take(&room, count, sizeof(*values));
//     int status = fp_arena_check(&room, err);
//     if (status) return status;
#ifndef FP_ARENA_H
#define FP_ARENA_H

#include "base/base.h"

struct fp_arena {
    struct fp_block *blocks;
    const char *what; // it is for, as an error names it; not copied
    size_t missing;   // bytes that were not to be had, or did not fit a size; 0: all was
    bool failed;
};

// A stage's arena, which ends with the scope it stands in.
#define FP_STAGE(name, purpose) __attribute__((cleanup(fp_arena_free))) struct fp_arena name = {.what = (purpose)}

// count * size zeroed bytes, aligned for any type, until the arena is freed. NULL when there are none, and from then
// on: one question (fp_arena_check) is enough for all. Not for several threads at once.
void *fp_arena_take(struct fp_arena *arena, size_t count, size_t size);
// The same of another array's bytes.
void *fp_arena_copy(struct fp_arena *arena, const void *data, size_t count, size_t size);
// Whether all was to be had. Errors: LIMIT, naming what it is for.
int fp_arena_check(const struct fp_arena *arena, fineprune_error *err);
// Frees all; it can be used again.
void fp_arena_free(struct fp_arena *arena);

#endif
