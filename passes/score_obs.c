// SPDX-License-Identifier: Apache-2.0
// score = |W| / sqrt([H^-1]_cc) with H = E[x x^T] + 1 % of its mean diagonal: the loss of an optimal repair. The square root keeps the order and the
// scale of the other scores. (Hassibi & Stork 1993, optimal brain surgeon; Frantar & Alistarh 2022)
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "pass.h"

static int score_group(struct fp_job *job, struct fp_layer *layer, size_t g, double *h) {
    const struct fp_weight *w = layer->w;
    size_t n = w->cols;
    const struct fp_stat *s = layer->stat;
    double diagonal = 0;
    fp_stat_covariance(s, g, h, job->threads);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            h[i * n + j] += s->sampled_sum[g * n + i] / (double)s->sampled * (s->sampled_sum[g * n + j] / (double)s->sampled);
    for (size_t i = 0; i < n; i++) diagonal += h[i * n + i];
    for (size_t i = 0; i < n; i++) h[i * n + i] += 0.01 * diagonal / (double)n + 1e-30;
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (int)n, h, (int)n) || LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'L', (int)n, h, (int)n))
        return fp_fail(job->err, FINEPRUNE_DATA, "the inputs of weight '%s' are not numbers that can be inverted", w->name);
    for (size_t r = 0; r < w->rows; r++)
        for (size_t c = 0; c < n; c++) {
            size_t at = (g * w->rows + r) * n + c;
            double v = fabs((double)fp_layer_base(layer, at)) / sqrt(h[c * n + c]);
            layer->score[at] = v >= 0 ? (float)v : 0;
        }
    return FINEPRUNE_OK;
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    size_t n;
    if (!layer->stat->sampled)
        return fp_fail(job->err, FINEPRUNE_USAGE, "score obs needs co-activations, which weight '%s' has none of", w->name);
    if (!fp_mul(w->cols, w->cols, &n)) return fp_fail_memory(job->err, "scores", w->cols);
    double *h = fp_calloc(n, sizeof(*h));
    if (!h) return fp_fail_memory(job->err, "scores", n * sizeof(*h));
    int status = FINEPRUNE_OK;
    for (size_t g = 0; g < w->groups && !status; g++) status = score_group(job, layer, g, h);
    free(h);
    return status;
}

const struct fp_score fp_score_obs = {"obs", "|W| / sqrt of the inverse Hessian's diagonal", FP_NEED_SUMS | FP_NEED_GRAM, run};
