// SPDX-License-Identifier: Apache-2.0
// The one layout other than row-major that a tensor can have.
#ifndef FP_CHANNELS_LAST_H
#define FP_CHANNELS_LAST_H

#include "tensor/tensor.h"

// A tensor whose `layout` is this has the dims of its row-major form but its elements in the order N, spatial, C. The
// only layout other than row-major there is: oneDNN's fast convolutions want it, it needs no padding, and loops over it
// stay simple.
extern const char fp_channels_last[];
static inline bool fp_is_last(const struct fp_tensor *t) { return t->layout != NULL; }

// Whether row-major and channels-last differ for the shape of t.
bool fp_last_matters(const struct fp_tensor *t);
// Element strides of dims that lie row-major or, when `last`, in the order N, spatial, C.
void fp_order_strides(int rank, const int64_t *dims, bool last, int64_t *strides);
// Element strides of t as it lies in memory.
void fp_layout_strides(const struct fp_tensor *t, int64_t *strides);
// Makes *dst (empty before) a row-major copy of *src.
int fp_tensor_plain(int threads, struct fp_memory *memory, struct fp_tensor *dst, const struct fp_tensor *src,
                    fineprune_error *err);

#endif
