// SPDX-License-Identifier: Apache-2.0
// --sparsity auto: bisection for the most zeros whose answers on the reserve still agree with the model that came in as
// promised. Where even the model without zeros does not, it is the lesson of the last layer (or the classes left out)
// that changes too much: it goes before the zeros do.
#include "job/job.h"

#define DEFAULT_AGREEMENT 0.95
#define HIGHEST 0.98
#define STEPS 6 // to 1.5 % of sparsity

// Whether a model with so many zeros keeps what was promised.
static int try_zeros(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double sparsity, bool *kept) {
    const fineprune_prune_options *o = job->options;
    double taught = 0, with_dense = 0;
    int status = prune_to(job, sparsity);
    if (!status) status = fp_verify_after(job, false, &taught, &with_dense);
    *kept = !status && with_dense >= (o->min_agreement > 0 ? o->min_agreement : DEFAULT_AGREEMENT) &&
            taught >= o->min_taught_agreement;
    return status;
}

static int bisect(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double *sparsity) {
    double low = 0, high = HIGHEST, tried = HIGHEST;
    for (int step = 0; step <= STEPS && low < HIGHEST; step++) {
        bool kept;
        int status = try_zeros(job, prune_to, tried, &kept);
        if (status) return status;
        if (kept) low = tried;
        else high = tried;
        tried = (low + high) / 2;
    }
    *sparsity = low;
    return FINEPRUNE_OK;
}

int fp_prune_auto(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double *sparsity) {
    if (job->classes.task.kind != FP_TASK_CLASSES) {
        fp_fail(job->err, FINEPRUNE_USAGE, "sparsity auto needs a model that answers with classes: %s",
                job->classes.task.reason);
        fp_hint(job->err, "say how many zeros, as in -s 70%%, or what the outputs are: --task classes");
        return FINEPRUNE_USAGE;
    }
    if (!job->samples.n_reserve)
        return fp_fail(job->err, FINEPRUNE_DATA,
                       "sparsity auto needs a reserve to measure on: give more samples or a greater --reserve");
    int status = bisect(job, prune_to, sparsity);
    if (status) return status;
    if (*sparsity > 0) return prune_to(job, *sparsity);
    bool kept;
    status = try_zeros(job, prune_to, 0, &kept);
    if (status || kept || (!job->classes.teacher && !job->classes.kept)) return status;
    fp_lesson_forget(job, "it alone changes more answers than the gate allows");
    status = bisect(job, prune_to, sparsity);
    if (status) return status;
    return prune_to(job, *sparsity);
}
