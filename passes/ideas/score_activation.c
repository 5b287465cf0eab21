// SPDX-License-Identifier: Apache-2.0
// score = |W| * E|x|: how much a synapse is used. (Bingham et al. 2025, Fine-Pruning, as its abstract can be read)
#include "maths/score_columns.h"

static double use_of(const struct fp_stat *s, size_t g, size_t c) {
    if (!(s->rows > 0)) return 0;
    return s->absolute[g * s->cols + c] / s->rows;
}

static int run(struct fp_job *job, struct fp_layer *layer) { return fp_score_columns(job, layer, use_of); }

const struct fp_score fp_score_activation = {"activation", "|W| * E|x|: how much the synapse is used",
                                             FP_NEED_SUMS | FP_NEED_ABSOLUTE, run};
