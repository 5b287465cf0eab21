// SPDX-License-Identifier: Apache-2.0
// score = (|W| / sum of its row + |W| / sum of its column) * sqrt(sqrt(E x^2)). (Zhang et al. 2024, "Plug-and-play: an
// efficient post-training pruning method for large language models", relative importance and activations, exponent 1/2)
#include <math.h>

#include "pass.h"

enum { EXPONENT };
static const struct fp_parameter PARAMETERS[] = {
    [EXPONENT] = {"exponent", 0.5, 0, 4, "how much the inputs count: the power of their root mean square"},
    {0},
};

static void score_group(const struct fp_layer *layer, size_t g, double exponent, double *row_sum, double *col_sum) {
    const struct fp_weight *w = layer->w;
    const size_t first = g * w->rows * w->cols;
    float *score = layer->score + g * w->rows * w->cols;
    for (size_t r = 0; r < w->rows; r++)
        for (size_t c = 0; c < w->cols; c++) {
            double a = fabs((double)fp_layer_base(layer, first + r * w->cols + c));
            row_sum[r] += a;
            col_sum[c] += a;
        }
    for (size_t r = 0; r < w->rows; r++)
        for (size_t c = 0; c < w->cols; c++) {
            double a = fabs((double)fp_layer_base(layer, first + r * w->cols + c));
            const double rms = fp_stat_rms(layer->stat, g, c);
            double relative = a > 0 ? a / row_sum[r] + a / col_sum[c] : 0;
            double s = relative * (exponent == 0.5 ? sqrt(rms) : pow(rms, exponent)); // the same but for rounding
            score[r * w->cols + c] = s >= 0 ? (float)s : 0;
        }
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    for (size_t g = 0; g < w->groups; g++) {
        FP_STAGE(room, "scores");
        double *sums = fp_arena_take(&room, w->rows + w->cols, sizeof(*sums));
        if (!sums) return fp_arena_check(&room, job->err);
        score_group(layer, g, fp_value(job, PARAMETERS, EXPONENT), sums, sums + w->rows);
    }
    return FINEPRUNE_OK;
}

const struct fp_score fp_score_ria = {"ria", "relative importance in row and column * sqrt(rms)", FP_NEED_SUMS, run,
                                      PARAMETERS};
