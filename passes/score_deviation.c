// SPDX-License-Identifier: Apache-2.0
// score = |W| * sd(x): what a synapse carries beyond a constant. The constant part, W * E x, goes to the bias when the synapse is pruned, so an
// input that never moves costs nothing.
#include "score_columns.h"

static int run(struct fp_job *job, struct fp_layer *layer) { return fp_score_columns(job, layer, fp_stat_deviation); }

const struct fp_score fp_score_deviation = {"deviation", "|W| * sd(x): what the synapse carries beyond a constant", FP_NEED_SUMS, run};
