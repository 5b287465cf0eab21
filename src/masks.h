// SPDX-License-Identifier: Apache-2.0
// The masks of the last pruning, kept with the model for --masks.
#ifndef FP_MASKS_H
#define FP_MASKS_H

#include "tensor.h"

struct fp_mask {
    char *name;            // of the tensor
    struct fp_tensor kept; // FP_BOOL, the tensor's shape
};

struct fp_masks {
    size_t n, capacity;
    struct fp_mask *items;
};

// Takes the tensor over on success.
int fp_masks_add(struct fp_masks *masks, const char *name, struct fp_tensor *kept, fineprune_error *err);
void fp_masks_free(struct fp_masks *masks);

#endif
