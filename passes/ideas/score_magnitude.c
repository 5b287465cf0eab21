// SPDX-License-Identifier: Apache-2.0
// score = |W|. (Han et al. 2015, "Learning both weights and connections for efficient neural networks")
#include "maths/score_columns.h"

static double one(const struct fp_stat *s, size_t g, size_t c) {
    (void)s, (void)g, (void)c;
    return 1;
}

static int run(struct fp_job *job, struct fp_layer *layer) { return fp_score_columns(job, layer, one); }

const struct fp_score fp_score_magnitude = {"magnitude", "|W|: the weight alone, no data", 0, run};
