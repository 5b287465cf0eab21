// SPDX-License-Identifier: Apache-2.0
// What allocations share.
#ifndef FP_ALLOCATE_H
#define FP_ALLOCATE_H

#include <math.h>

#include "pass.h"

// Before the allocation: elements that cost nothing score 0. They came in as zeros, or the score has seen that their
// input is always zero.
void fp_allocate_free_first(const struct fp_job *job, struct fp_layer *layer);
// Sets keep of every layer to 1, and to 0 in rows that are removed and where the model came with zeros. Returns how
// many zeros that makes.
size_t fp_allocate_start(struct fp_job *job);
size_t fp_allocate_start_layer(struct fp_layer *layer); // the same of one
// After a pattern: what came in as zero stays zero.
void fp_allocate_clear_came(struct fp_layer *layer);
// Counts the zeros of every layer.
void fp_allocate_finish(struct fp_job *job);
// Prunes the lowest of all layers together by `scores` (one array per layer), so that `zeros` elements are 0 in all;
// every row keeps at least its best synapse, unless all its inputs are always zero. What a layer keeps by least_kept is
// not taken from others.
int fp_allocate_together(struct fp_job *job, float *const *scores, size_t zeros);
// Prunes the lowest `share` of the layer's rows that are not removed, taken together.
int fp_allocate_layer(struct fp_job *job, struct fp_layer *layer, double share);
// The share of a layer that may be zeros.
static inline double fp_allocate_most(const struct fp_layer *layer, double asked) {
    return fmin(asked, 1 - layer->least_kept);
}
// The column of the row's best element by `score` (the row's), which must stay; cols when there is none. Of elements
// whose keep is 1 now.
size_t fp_allocate_best(const struct fp_layer *layer, const float *score, size_t row);

#endif
