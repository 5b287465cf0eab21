// SPDX-License-Identifier: Apache-2.0
// Nobody is worse off without being told. Zeros are given back where the result is worse (measures.c). A pattern that
// says how many zeros there are stays as it is until it ruins the model by clear evidence; then it leaves the layers
// dense that it harms most (weaken.c). A result that stays ruined loses the lesson, and is refused at last.
#include <math.h>
#include <stdlib.h>

#include "job/measures.h"

#define TRIES 3   // further ones
#define HALF 0.5  // zeros that are tried last
#define POWER 2.5 // 1.5..3: the error of the scores grows with the share of zeros to this power

// Whether zeros can be given back, and the user has not said that they must stay.
static bool may_give_back(const struct fp_job *job) {
    return job->choices.method->cautious && !job->options->strict_sparsity && !job->layers.by_layer && job->data;
}

static int try_zeros(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double sparsity,
                     struct fp_measures *m) {
    int status = prune_to(job, sparsity);
    if (!status) status = fp_measure(job, m);
    job->state.got = sparsity;
    return status;
}

// The share of zeros at which the error is expected to be allowed; where that says nothing, halfway to `last` by what
// is kept: the geometric mean.
static double next_try(const struct fp_measures *m, double now, double last) {
    const double half = 1 - sqrt((1 - last) * (1 - now));
    if (!isfinite(m->error) || !(m->error > m->allowed)) return fmax(last, half);
    return fmax(last, fmin(now * pow(m->allowed / m->error, 1 / POWER), half));
}

// At most TRIES times; *m is of what the model has at the end.
static int give_back(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double asked,
                     struct fp_measures *m) {
    const double last = fmin(asked / 2, HALF);
    int status = FINEPRUNE_OK;
    for (int step = 1; step <= TRIES && m->worse && job->state.got > last && !status; step++)
        status = try_zeros(job, prune_to, step == TRIES ? last : next_try(m, job->state.got, last), m);
    return status;
}

#define FIRST_WEAK 16 // one layer of so many goes back to dense at first, then twice as many each time

// A quarter of the layers follows the pattern to the last: less is not worth it. *m is of what the model has at the
// end.
static int weaken(struct fp_job *job, int (*prune_to)(struct fp_job *, double), struct fp_measures *m) {
    int *order = NULL, status = fp_weaken_order(job, &order);
    const int most = 3 * job->layers.n / 4;
    for (int n = 0; n < most && m->worse && !status;) {
        n = n ? 2 * n : (job->layers.n + FIRST_WEAK - 1) / FIRST_WEAK;
        if (n > most) n = most;
        fp_weaken(job, order, n);
        status = try_zeros(job, prune_to, job->state.got, m);
    }
    free(order);
    return status;
}

static int refuse_pattern(struct fp_job *job) {
    fp_fail(job->err, FINEPRUNE_GATE,
            "pattern '%s' ruins this model: it changes nearly all that it does, even where most weights stay dense",
            job->choices.pattern_text);
    fp_hint(job->err, "smaller blocks, fewer zeros or no pattern cost less; --strict-sparsity prunes all the same");
    return FINEPRUNE_GATE;
}

int fp_safety_refuse(struct fp_job *job) {
    const double least = job->state.got;
    fp_error_clear(job->err);
    if (job->choices.target.kind) {
        fp_fail(job->err, FINEPRUNE_GATE, "target '%s' ruins this model: it changes nearly all that it does",
                job->choices.target.text);
        fp_hint(job->err, "ask for more that may stay, or give more samples; --strict-sparsity prunes all the same");
        return FINEPRUNE_GATE;
    }
    if (fp_has_pattern(&job->choices)) return refuse_pattern(job);
    fp_fail(
        job->err, FINEPRUNE_GATE,
        "pruning ruins this model: even %.0f %% zeros change nearly all that it does; no share that was tried is safe",
        100 * least);
    fp_hint(job->err, "ask for less than -s %.0f%%, or give more samples; --strict-sparsity prunes all the same",
            100 * least);
    return FINEPRUNE_GATE;
}

// No fewer zeros came with the model: to ask for less gives none back.
static bool adds_none(const struct fp_job *job, double sparsity) {
    double came = 0, all = 0;
    for (int i = 0; i < job->layers.n; i++) {
        came += (double)job->layers.items[i].n_came;
        all += (double)job->layers.items[i].w->count;
    }
    return came > 0 && came >= sparsity * all;
}

int fp_prune_safely(struct fp_job *job, int (*prune_first)(struct fp_job *, double),
                    int (*prune_to)(struct fp_job *, double), double sparsity) {
    struct fp_measures m;
    int status = try_zeros(job, prune_first, sparsity, &m);
    if (status || !m.worse || !may_give_back(job)) return status;
    if (!job->choices.pattern->decides && !adds_none(job, sparsity)) {
        status = give_back(job, prune_to, sparsity, &m);
        job->state.gave_back = true;
    }
    if (!status && m.ruined && fp_has_pattern(&job->choices)) status = weaken(job, prune_to, &m);
    if (status || !m.ruined) return status;
    if (job->classes.lesson.b) {
        job->classes.forgotten = "with it the pruned model is ruined";
        fp_lesson_forget(job, job->classes.forgotten);
        status = try_zeros(job, prune_to, job->state.got, &m);
    }
    job->state.refused = m.ruined;
    return status;
}
