// SPDX-License-Identifier: Apache-2.0
// One threshold on the raw scores of all weights. Scores of different layers have different units, so this collapses
// where others do not; it is here because it is what others compare with.
#include <stdlib.h>

#include "maths/allocate.h"

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)sparsity;
    float **scores = fp_calloc((size_t)job->layers.n, sizeof(*scores));
    if (!scores) return fp_fail_memory(job->err, "masks", sizeof(*scores));
    for (int i = 0; i < job->layers.n; i++) scores[i] = job->layers.items[i].score;
    int status = fp_allocate_together(job, scores, zeros);
    free(scores);
    return status;
}

const struct fp_allocation fp_allocation_global = {"global", "one threshold on the raw scores of all weights", run,
                                                   false, true};
