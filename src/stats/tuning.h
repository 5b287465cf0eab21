// SPDX-License-Identifier: Apache-2.0
// Constants of this folder that decide speed and memory, not results: what was measured, and where. Times are of two
// cores of an AMD EPYC with AVX2 unless another machine is named. FP_TUNED_SAMPLED_* decide results too: how many rows
// a covariance is made of.
#ifndef FP_STATS_TUNING_H
#define FP_STATS_TUNING_H

// Rows that become part of a Gram matrix at once: fewer, and its doubles are read too often; more, and the rows that
// wait leave the cache.
#define FP_TUNED_FLUSH_ROWS 512
// Rows that are handed on at once. EfficientNet-lite0, 160 photos: 5,940 products of some 11 rows took 2.4 s, 297 of
// 256 rows .4 s; twice as many take as long and twice the memory.
#define FP_TUNED_HAND_ROWS 256
// Rows of a Gram matrix: so many where the columns are few; rows times columns otherwise.
#define FP_TUNED_SAMPLED_ROWS 8192
#define FP_TUNED_SAMPLED_VALUES ((size_t)3 << 20)
// Values of a batch: at least, at most, and what two samples may take so that all weights are read half as often. A
// batch's values may take as much as the model does.
#define FP_TUNED_BATCH_LEAST (8u << 20)
#define FP_TUNED_BATCH_MOST (64u << 20)
#define FP_TUNED_BATCH_PAIR (20u << 20)
// Samples of a batch that goes layer by layer: its values are kept, so that large ones would leave the budget sooner.
#define FP_TUNED_STREAM_BATCH 8

#endif
