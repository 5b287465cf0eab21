// SPDX-License-Identifier: Apache-2.0
// --sparsity auto and --target auto: bisection for the most zeros, or the fewest multiply-adds, whose answers on the
// reserve still agree with the model that came in as promised. Where even the model without either does not, it is the
// lesson of the last layer (or the classes left out) that changes too much: it goes before zeros and channels do.
#include "job/job.h"

#define DEFAULT_AGREEMENT 0.95
#define HIGHEST 0.98
#define STEPS 6 // to 1.5 % of sparsity, or of the multiply-adds

// share: of zeros, or of the multiply-adds that go.
struct quest {
    int (*prune_to)(struct fp_job *, double sparsity);
    double share;
};

static int prune_so_far(struct fp_job *job, const struct quest *q, double share) {
    struct fp_target *target = &job->choices.target;
    if (!target->automatic) return q->prune_to(job, share);
    target->value = 1 - share;
    return q->prune_to(job, job->options->sparsity);
}

// Whether a model that lost so much keeps what was promised.
static int try_share(struct fp_job *job, const struct quest *q, double share, bool *kept) {
    const fineprune_prune_options *o = job->options;
    double taught = 0, with_dense = 0;
    int status = prune_so_far(job, q, share);
    if (!status) status = fp_verify_after(job, false, &taught, &with_dense);
    *kept = !status && with_dense >= (o->min_agreement > 0 ? o->min_agreement : DEFAULT_AGREEMENT) &&
            taught >= o->min_taught_agreement;
    return status;
}

static int bisect(struct fp_job *job, struct quest *q) {
    double low = 0, high = HIGHEST, tried = HIGHEST;
    for (int step = 0; step <= STEPS && low < HIGHEST; step++) {
        bool kept;
        int status = try_share(job, q, tried, &kept);
        if (status) return status;
        if (kept) low = tried;
        else high = tried;
        tried = (low + high) / 2;
    }
    q->share = low;
    return FINEPRUNE_OK;
}

static int search(struct fp_job *job, struct quest *q) {
    int status = bisect(job, q);
    if (status) return status;
    if (q->share > 0) return prune_so_far(job, q, q->share);
    bool kept;
    status = try_share(job, q, 0, &kept);
    if (status || kept || (!job->classes.teacher && !job->classes.kept)) return status;
    fp_lesson_forget(job, "it alone changes more answers than the gate allows");
    status = bisect(job, q);
    if (status) return status;
    return prune_so_far(job, q, q->share);
}

int fp_prune_auto(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double *sparsity) {
    const char *what = job->choices.target.automatic ? "target" : "sparsity";
    struct quest q = {.prune_to = prune_to};
    if (job->classes.task.kind != FP_TASK_CLASSES) {
        fp_fail(job->err, FINEPRUNE_USAGE, "%s auto needs a model that answers with classes: %s", what,
                job->classes.task.reason);
        const bool said = job->options->task && !strcmp(job->options->task, "classes");
        fp_hint(job->err, "say how much, as in %s%s", job->choices.target.automatic ? "--target macs=50%" : "-s 70%",
                said ? "" : ", or what the outputs are: --task classes");
        return FINEPRUNE_USAGE;
    }
    if (!job->samples.n_reserve)
        return fp_fail(job->err, FINEPRUNE_DATA,
                       "%s auto needs a reserve to measure on: give more samples or a greater --reserve", what);
    int status = search(job, &q);
    if (!job->choices.target.automatic) *sparsity = q.share;
    return status;
}
