// SPDX-License-Identifier: Apache-2.0
// Sequences: tensors of type FP_SEQUENCE, whose data is an array of tensors that they own.
#ifndef FP_SEQUENCE_H
#define FP_SEQUENCE_H

#include "tensor/tensor.h"

// Makes *out (empty before) a sequence of n items, which it shares. Errors: LIMIT.
int fp_sequence_new(struct fp_tensor *out, struct fp_memory *memory, size_t n, const struct fp_tensor *items,
                    fineprune_error *err);
// As above, but takes the items over: they are empty afterwards, also when it fails.
int fp_sequence_take(struct fp_tensor *out, struct fp_memory *memory, size_t n, struct fp_tensor *items,
                     fineprune_error *err);
// The items; lent.
static inline const struct fp_tensor *fp_sequence_items(const struct fp_tensor *sequence) { return sequence->data; }

// A growing list of tensors that it owns. Zeroed is empty.
struct fp_list {
    struct fp_tensor *items;
    size_t n, capacity;
    struct fp_memory *memory; // where the list itself is counted, or NULL
    size_t counted;
};
// Moves *t into the list; when that fails *t is dropped.
int fp_list_add(struct fp_list *list, struct fp_tensor *t, fineprune_error *err);
void fp_list_done(struct fp_list *list);

#endif
