// SPDX-License-Identifier: Apache-2.0
// One threshold on the raw scores of all weights. Scores of different layers have different units, so this collapses
// where others do not; it is here because it is what others compare with.

#include "maths/allocate.h"

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)sparsity;
    FP_STAGE(room, "masks");
    float **scores = fp_arena_take(&room, (size_t)job->layers.n, sizeof(*scores));
    if (!scores) return fp_arena_check(&room, job->err);
    for (int i = 0; i < job->layers.n; i++) scores[i] = job->layers.items[i].score;
    return fp_allocate_together(job, scores, zeros);
}

const struct fp_allocation fp_allocation_global = {"global", "one threshold on the raw scores of all weights", run,
                                                   false, true};
