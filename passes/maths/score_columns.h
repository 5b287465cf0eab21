// SPDX-License-Identifier: Apache-2.0
// What scores of the form |W| times a factor of the column have in common.
#ifndef FP_SCORE_COLUMNS_H
#define FP_SCORE_COLUMNS_H

#include "pass.h"

// score[g, r, c] = |W[g, r, c]| * factor(stat, g, c); products are float32.
int fp_score_columns(struct fp_job *job, struct fp_layer *layer,
                     double (*factor)(const struct fp_stat *, size_t g, size_t c));
// The same with the factors given, groups * cols.
void fp_score_factors(struct fp_job *job, struct fp_layer *layer, const float *factors);

// |W| * sd(x), the variances mixed with their mean, which counts as `prior` samples (score_deviation.c). Also what a
// score that needs co-activations falls back to where a layer has none.
int fp_score_deviations(struct fp_job *job, struct fp_layer *layer, double prior);

#endif
