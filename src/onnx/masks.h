// SPDX-License-Identifier: Apache-2.0
// The masks of the last pruning, kept with the model for --masks, an element a bit.
#ifndef FP_MASKS_H
#define FP_MASKS_H

#include "tensor/tensor.h"

struct fp_mask {
    char *name; // of the tensor
    int rank;
    int64_t dims[FP_MAX_RANK];
    size_t count;  // of elements
    uint8_t *bits; // element i is kept: bit i % 8 of byte i / 8
};

struct fp_masks {
    size_t n, capacity;
    struct fp_mask *items;
};

// Adds a mask of t's shape in which nothing is kept yet, for the caller to set the bits; lent. NULL: no memory (err is
// set).
struct fp_mask *fp_masks_add(struct fp_masks *masks, const char *name, const struct fp_tensor *t, fineprune_error *err);
void fp_masks_free(struct fp_masks *masks);

#endif
