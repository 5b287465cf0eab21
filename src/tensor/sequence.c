// SPDX-License-Identifier: Apache-2.0
// Sequences and lists of tensors; see sequence.h.
#include "tensor/sequence.h"

#include <stdlib.h>

static void destroy(struct fp_buffer *buffer) {
    struct fp_tensor *items = buffer->data;
    for (size_t i = 0; i < buffer->size / sizeof(*items); i++) fp_tensor_done(&items[i]);
}

int fp_sequence_take(struct fp_tensor *out, struct fp_memory *memory, size_t n, struct fp_tensor *items,
                     fineprune_error *err) {
    size_t bytes = 0;
    struct fp_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer && fp_mul(n, sizeof(*items), &bytes)) buffer->data = fp_take(memory, bytes);
    if (!buffer || !buffer->data) {
        free(buffer);
        for (size_t i = 0; i < n; i++) fp_tensor_done(&items[i]);
        return fp_fail_memory(err, "a sequence", bytes);
    }
    buffer->refs = 1;
    buffer->size = bytes;
    buffer->memory = memory;
    buffer->destroy = destroy;
    if (n) {
        memcpy(buffer->data, items, bytes);
        memset(items, 0, bytes);
    }
    *out = (struct fp_tensor){
        .type = FP_SEQUENCE, .rank = 1, .dims = {(int64_t)n}, .count = n, .data = buffer->data, .buffer = buffer};
    return FINEPRUNE_OK;
}

int fp_sequence_new(struct fp_tensor *out, struct fp_memory *memory, size_t n, const struct fp_tensor *items,
                    fineprune_error *err) {
    struct fp_tensor *shared = fp_calloc(n, sizeof(*shared));
    if (!shared) return fp_fail_memory(err, "a sequence", n * sizeof(*shared));
    for (size_t i = 0; i < n; i++) fp_tensor_share(&shared[i], &items[i]);
    int status = fp_sequence_take(out, memory, n, shared, err);
    free(shared);
    return status;
}

// What an item costs beside its elements: small ones cost more than these.
#define ITEM (sizeof(struct fp_tensor) + sizeof(struct fp_buffer) + 64)

static int count_item(struct fp_list *list, fineprune_error *err) {
    if (!list->memory) return FINEPRUNE_OK;
    if (!fp_memory_count(list->memory, ITEM)) return fp_fail_memory(err, "a list of tensors", ITEM);
    list->counted += ITEM;
    return FINEPRUNE_OK;
}

int fp_list_add(struct fp_list *list, struct fp_tensor *t, fineprune_error *err) {
    const int status = count_item(list, err);
    if (status) {
        fp_tensor_done(t);
        return status;
    }
    struct fp_tensor *items = fp_grow(list->items, &list->capacity, list->n + 1, sizeof(*items));
    if (!items) {
        fp_tensor_done(t);
        return fp_fail_memory(err, "a list of tensors", (list->n + 1) * sizeof(*items));
    }
    list->items = items;
    items[list->n++] = *t;
    memset(t, 0, sizeof(*t));
    return FINEPRUNE_OK;
}

void fp_list_done(struct fp_list *list) {
    for (size_t i = 0; i < list->n; i++) fp_tensor_done(&list->items[i]);
    free(list->items);
    if (list->memory) fp_memory_uncount(list->memory, list->counted);
    memset(list, 0, sizeof(*list));
}
