// SPDX-License-Identifier: Apache-2.0
// The last layer learns from the user's own activations: neurons that fire together wire together. The lesson D = A f +
// c (lesson.c) is linear in the layer's input, so it is added to the last layer before anything is pruned, at its
// strength g: W += g A, b += g c. After pruning, the rows that are left are the ridge regression of the taught scores T
// = L + b + g D on the pruned model's features over the kept synapses. Elements that were zeros stay zeros.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>

#include "maths/answers.h"
#include "job/job.h"

#define PURPOSE "the read-out"

// The lesson into the dense layer.
static void add_lesson(const struct fp_lesson *t, struct fp_layer *l) {
    for (size_t i = 0; i < l->w->count; i++)
        if (fpclassify(l->dense[i]) != FP_ZERO) l->dense[i] = (float)((double)l->dense[i] + t->strength * t->a[i]);
    for (size_t k = 0; k < t->classes; k++)
        l->dense_bias[k] = (float)((double)l->dense_bias[k] + t->strength * t->c[k]);
    memcpy(l->values, l->dense, l->w->count * sizeof(float));
}

static const char *why_not(const struct fp_lesson *t) {
    if (!t->learned && t->samples < 2) return "too few samples";
    if (!t->learned && t->active < 2) return "your samples show one class alone";
    if (!t->learned) return "the last layer's input is the same for all samples, but for rounding";
    if (!t->trusted) return "your data do not group as this model's classes do";
    return "it changes none of your answers";
}

static void report(struct fp_job *job, enum fp_report_lesson how_far) {
    const struct fp_lesson *t = &job->classes.lesson;
    const struct fp_report_readout readout = {.lesson = how_far,
                                              .reason = t->strength > 0 ? NULL : why_not(t),
                                              .strength = t->strength,
                                              .samples = t->samples,
                                              .corrects = t->corrects,
                                              .expected = t->expected,
                                              .changes = t->changes,
                                              .changes_confident = t->changes_sure,
                                              .expected_confident = t->expected_sure,
                                              .trusted = t->trusted,
                                              .applied = how_far == FP_LESSON_LEARNED && t->strength > 0};
    FP_PUT(job->report, readout, &readout);
}

static int teach(struct fp_job *job) {
    job->classes.teacher = fp_lesson_scores(&job->classes.lesson, &job->classes.dense);
    if (!job->classes.teacher)
        return fp_fail_memory(job->err, PURPOSE,
                              job->classes.dense.samples * job->classes.lesson.classes * sizeof(double));
    add_lesson(&job->classes.lesson, &job->layers.items[job->classes.classifier.weight]);
    report(job, FP_LESSON_TAUGHT);
    return FINEPRUNE_OK;
}

// Features without their mean, their covariance, and what the rows are fitted with.
struct regression {
    struct fp_arena arena; // of its arrays
    size_t n, d;
    double *x, *mean, *covariance, ridge; // n x d, d, d x d; towards the repaired row
};

static bool regression_init(struct regression *s, const struct fp_answers *a, double ridge) {
    size_t n = a->samples, d = a->n_features;
    *s = (struct regression){.arena = {.what = PURPOSE}, .n = n, .d = d};
    s->x = fp_arena_take(&s->arena, n * d, sizeof(double));
    s->mean = fp_arena_take(&s->arena, d, sizeof(double));
    s->covariance = fp_arena_take(&s->arena, d * d, sizeof(double));
    if (s->arena.failed) return false;
    for (size_t i = 0; i < n * d; i++) s->mean[i % d] += (double)a->features[i] / (double)n;
    for (size_t i = 0; i < n * d; i++) s->x[i] = (double)a->features[i] - s->mean[i % d];
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)d, (int)n, 1 / (double)n, s->x, (int)d, 0, s->covariance,
                (int)d);
    for (size_t j = 0; j < d; j++) s->ridge += ridge * s->covariance[j * d + j] / (double)d;
    return true;
}

// Row k's kept weights: (C_SS + l I) w = Cov(f_S, T_k) + l w_now. Then the bias meets the mean of T_k.
static bool learn_row(const struct fp_job *job, const struct regression *s, struct fp_layer *l, size_t k) {
    size_t d = s->d, n = s->n, n_kept = 0, classes = job->classes.classifier.classes;
    FP_STAGE(room, PURPOSE);
    size_t *kept = fp_arena_take(&room, d, sizeof(*kept));
    for (size_t j = 0; kept && j < d; j++)
        if (l->keep[k * d + j] && fpclassify(l->dense[k * d + j]) != FP_ZERO) kept[n_kept++] = j;
    double *m = fp_arena_take(&room, n_kept * n_kept, sizeof(*m)), *w = fp_arena_take(&room, n_kept, sizeof(*w)),
           mean = 0, shift = 0;
    if (room.failed) return false;
    for (size_t i = 0; i < n; i++) mean += job->classes.teacher[i * classes + k] / (double)n;
    for (size_t a = 0; a < n_kept; a++) {
        w[a] = s->ridge * (double)l->values[k * d + kept[a]];
        for (size_t i = 0; i < n; i++)
            w[a] += s->x[i * d + kept[a]] * (job->classes.teacher[i * classes + k] - mean) / (double)n;
        for (size_t b = 0; b <= a; b++) m[a * n_kept + b] = s->covariance[kept[a] * d + kept[b]];
        m[a * n_kept + a] += s->ridge;
    }
    // Row-major lower is column-major upper. A row that cannot be solved stays as it was repaired.
    if (!n_kept || !(s->ridge > 0) ||
        LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (int)n_kept, 1, m, (int)n_kept, w, (int)n_kept))
        return true;
    for (size_t a = 0; a < n_kept; a++) {
        l->values[k * d + kept[a]] = (float)w[a];
        shift += w[a] * s->mean[kept[a]];
    }
    l->bias_change[k] = mean - shift - (double)l->dense_bias[k];
    return true;
}

static int learn(struct fp_job *job, const struct fp_answers *now) {
    struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    struct regression s;
    bool failed = !regression_init(&s, now, fp_job_lesson_rule(job).ridge);
#pragma omp parallel for num_threads(job->threads) schedule(dynamic) if (now->classes > 1 && !failed)
    for (size_t k = 0; k < now->classes; k++) {
        if (failed || (job->classes.kept && !job->classes.kept[k])) continue;
        if (!learn_row(job, &s, l, k)) {
#pragma omp atomic write
            failed = true;
        }
    }
    fp_arena_free(&s.arena);
    if (failed) return fp_fail_memory(job->err, PURPOSE, now->n_features * now->n_features * sizeof(double));
    report(job, FP_LESSON_LEARNED);
    return FINEPRUNE_OK;
}

const struct fp_readout fp_readout_hebbian = {"hebbian",       "the last layer learns from the user's own activations",
                                              FP_NEED_ANSWERS, teach,
                                              learn,           fp_lesson_learning};
