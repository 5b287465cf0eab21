// SPDX-License-Identifier: Apache-2.0
// score = |W| * sd(x): what a synapse carries beyond a constant. The constant part, W * E x, goes to the bias when the
// synapse is pruned, so an input that never moves costs nothing. Few samples show little of how an input can move, so
// its variance is mixed with the mean variance of the layer's inputs: v_c <- (1 - rho) v_c + rho * mean v, rho = (10 /
// (n + 10))^2 for n samples.
#include <math.h>
#include <stdlib.h>

#include "maths/score_columns.h"

#define PRIOR_SAMPLES 10.0

static int run(struct fp_job *job, struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    float *factors = fp_calloc(w->groups * w->cols, sizeof(*factors));
    if (!factors) return fp_fail_memory(job->err, "scores", w->cols * sizeof(*factors));
    double share = PRIOR_SAMPLES / ((double)job->n_local + PRIOR_SAMPLES), rho = share * share;
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
    free(factors);
    return FINEPRUNE_OK;
}

const struct fp_score fp_score_deviation = {"deviation", "|W| * sd(x): what the synapse carries beyond a constant",
                                            FP_NEED_SUMS, run};
