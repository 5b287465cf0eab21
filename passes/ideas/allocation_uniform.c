// SPDX-License-Identifier: Apache-2.0
// The same share in every weight.
#include "maths/allocate.h"

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)zeros;
    fp_allocate_start(job);
    for (int i = 0; i < job->layers.n; i++) {
        int status = fp_allocate_layer(job, &job->layers.items[i], sparsity);
        if (status) return status;
    }
    fp_allocate_finish(job);
    return FINEPRUNE_OK;
}

const struct fp_allocation fp_allocation_uniform = {"uniform", "the same share in every weight", run, true};
