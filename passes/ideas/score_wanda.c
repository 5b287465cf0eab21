// SPDX-License-Identifier: Apache-2.0
// score = |W| * sqrt(E x^2). (Sun et al. 2024, "A simple and effective pruning approach for large language models")
#include "maths/score_columns.h"

static int run(struct fp_job *job, struct fp_layer *layer) { return fp_score_columns(job, layer, fp_stat_rms); }

const struct fp_score fp_score_wanda = {"wanda", "|W| * sqrt(E x^2): the input's root mean square", FP_NEED_SUMS, run};
