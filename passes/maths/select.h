// SPDX-License-Identifier: Apache-2.0
// Choosing the lowest of many scores: without a full sort, in parallel, the same choice with any number of threads.
#ifndef FP_SELECT_H
#define FP_SELECT_H

#include <stddef.h>
#include <stdint.h>

// One run of scores (non-negative, not NaN) and where its choice goes: chosen elements get keep 0. Elements whose skip
// is set are left alone and not counted (skip may be NULL).
struct fp_scored {
    const float *score;
    const uint8_t *skip;
    uint8_t *keep;
    size_t n;
};

// Clears keep of the `count` lowest over all runs; ties go to the lower index, runs in order. Returns how many were
// cleared (fewer only when there are not so many).
size_t fp_select_lowest(struct fp_scored *runs, size_t n_runs, size_t count, int threads);
// The order of n scores, lowest first, ties by index: order[i] is an index. room: n more of the same.
void fp_sort_scores(const float *score, uint32_t *order, uint32_t *room, size_t n);

#endif
