// SPDX-License-Identifier: Apache-2.0
// What allocations share.
#ifndef FP_ALLOCATE_H
#define FP_ALLOCATE_H

#include "pass.h"

// Sets keep of every layer to 1, and to 0 in rows that are removed. Returns how many zeros that makes.
size_t fp_allocate_start(struct fp_job *job);
// Counts the zeros of every layer.
void fp_allocate_finish(struct fp_job *job);
// Prunes the lowest of all layers together by `scores` (one array per layer), so that `zeros` elements are 0 in all; every row keeps at least its
// best synapse.
int fp_allocate_together(struct fp_job *job, float *const *scores, size_t zeros);
// Prunes the lowest `share` of each layer's rows that are not removed, taken together.
int fp_allocate_layer(struct fp_job *job, struct fp_layer *layer, double share);

#endif
