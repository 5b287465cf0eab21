// SPDX-License-Identifier: Apache-2.0
// score = |W| * sd(x): what a synapse carries beyond a constant. The constant part, W * E x, goes to the bias when the
// synapse is pruned, so an input that never moves costs nothing. Few samples show little of how an input can move, so
// its variance is mixed with the mean variance of the layer's inputs: v_c <- (1 - rho) v_c + rho * mean v, rho = (prior
// / (n + prior))^2 for n samples.
#include "maths/score_columns.h"

enum { PRIOR };
static const struct fp_parameter PARAMETERS[] = {
    [PRIOR] = {"prior", 10, 0, 10000, "samples that the mean variance of a layer's inputs counts as"},
    {0},
};

static int run(struct fp_job *job, struct fp_layer *layer) {
    return fp_score_deviations(job, layer, fp_value(job, PARAMETERS, PRIOR));
}

const struct fp_score fp_score_deviation = {"deviation", "|W| * sd(x): what the synapse carries beyond a constant",
                                            FP_NEED_SUMS, run, PARAMETERS};
