// SPDX-License-Identifier: Apache-2.0
// |W| times a factor of the column.
#include "maths/score_columns.h"

#include <math.h>

void fp_score_factors(struct fp_job *job, struct fp_layer *layer, const float *factors) {
    const struct fp_weight *w = layer->w;
    float *score = layer->score;
    size_t rows = fp_layer_rows(layer), cols = w->cols;
#pragma omp parallel for num_threads(job->threads) schedule(static) if (w->count > 50000)
    for (size_t r = 0; r < rows; r++) {
        const float *f = factors + r / w->rows * cols;
        for (size_t c = 0; c < cols; c++) {
            float s = fabsf(fp_layer_base(layer, r * cols + c)) * f[c];
            score[r * cols + c] = s >= 0 ? s : 0; // NaN too
        }
    }
}

int fp_score_columns(struct fp_job *job, struct fp_layer *layer,
                     double (*factor)(const struct fp_stat *, size_t, size_t)) {
    const struct fp_weight *w = layer->w;
    FP_STAGE(room, "scores");
    float *factors = fp_arena_take(&room, w->groups * w->cols, sizeof(*factors));
    if (!factors) return fp_arena_check(&room, job->err);
    for (size_t g = 0; g < w->groups; g++)
        for (size_t c = 0; c < w->cols; c++) factors[g * w->cols + c] = (float)factor(layer->stat, g, c);
    fp_score_factors(job, layer, factors);
    return FINEPRUNE_OK;
}

int fp_score_deviations(struct fp_job *job, struct fp_layer *layer, double prior) {
    const struct fp_weight *w = layer->w;
    FP_STAGE(room, "scores");
    float *factors = fp_arena_take(&room, w->groups * w->cols, sizeof(*factors));
    if (!factors) return fp_arena_check(&room, job->err);
    double share = prior / ((double)job->samples.n_local + prior), rho = share * share;
    for (size_t g = 0; g < w->groups; g++) {
        double mean = 0;
        for (size_t c = 0; c < w->cols; c++)
            mean += fp_stat_deviation(layer->stat, g, c) * fp_stat_deviation(layer->stat, g, c) / (double)w->cols;
        for (size_t c = 0; c < w->cols; c++) {
            double sd = fp_stat_deviation(layer->stat, g, c);
            factors[g * w->cols + c] = (float)sqrt((1 - rho) * sd * sd + rho * mean);
        }
    }
    fp_score_factors(job, layer, factors);
    return FINEPRUNE_OK;
}
