// SPDX-License-Identifier: Apache-2.0
// --sparsity auto: bisection for the most zeros whose answers on the reserve still agree with the dense model's as promised.
#include "job.h"

#define DEFAULT_AGREEMENT 0.95
#define HIGHEST 0.98
#define STEPS 6 // to 1.5 % of sparsity

int fp_prune_auto(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double *sparsity) {
    double wanted = job->options->min_agreement > 0 ? job->options->min_agreement : DEFAULT_AGREEMENT;
    if (job->classifier.weight < 0)
        return fp_fail(job->err, FINEPRUNE_USAGE, "sparsity auto needs a model that answers with classes: %s", job->classifier.reason);
    if (!job->n_reserve) return fp_fail(job->err, FINEPRUNE_DATA, "sparsity auto needs a reserve to measure on: give more samples or a greater --reserve");
    double low = 0, high = HIGHEST, tried = HIGHEST;
    for (int step = 0; step <= STEPS; step++) {
        double agreement, with_dense;
        int status = prune_to(job, tried);
        if (!status) status = fp_verify_after(job, false, &agreement, &with_dense);
        if (status) return status;
        if (agreement >= wanted) low = tried;
        else high = tried;
        if (low == HIGHEST) break;
        tried = (low + high) / 2;
    }
    *sparsity = low;
    return prune_to(job, low);
}
