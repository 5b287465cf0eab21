// SPDX-License-Identifier: Apache-2.0
// What the dense model's answers tell of this user is taken once, for the outputs and the read-out that were chosen; or
// the reason why nothing is. (lesson.c)
#include <math.h>
#include <stdlib.h>

#include "maths/answers.h"
#include "kernel/gemm.h"
#include "job/job.h"

#define ROUNDING 1e-9 // of float32, as a share of squares

struct fp_lesson_rule fp_job_lesson_rule(const struct fp_job *job) {
    return fp_lesson_rule_of(fp_values(job, fp_lesson_counting), fp_values(job, fp_lesson_learning));
}

static void leave_outputs(struct fp_job *job, const char *reason) {
    const struct fp_report_outputs outputs = {.reason = job->choices.outputs->hold ? reason
                                                                                   : "all outputs were asked to stay"};
    fp_report_put_outputs(job->report, &outputs, NULL);
}

static void leave_readout(struct fp_job *job, const char *reason) {
    const struct fp_report_readout readout = {
        .reason = job->choices.readout->teach ? reason : "the last layer was asked to stay"};
    FP_PUT(job->report, readout, &readout);
}

static int leave_both(struct fp_job *job, const char *reason) {
    leave_outputs(job, reason);
    leave_readout(job, reason);
    return FINEPRUNE_OK;
}

static bool all_finite(const struct fp_answers *a) {
    bool finite = true;
    for (size_t i = 0; i < a->samples * a->n_features && finite; i++) finite = isfinite(a->features[i]);
    for (size_t i = 0; i < a->samples * a->classes && finite; i++) finite = isfinite(a->logits[i]);
    return finite;
}

// Variance of column k of x, and of its difference from y.
static void compare_column(const struct fp_answers *a, const float *y, size_t k, double *variance, double *off) {
    const size_t n = a->samples;
    double mean = 0, shift = 0;
    for (size_t i = 0; i < n; i++) {
        mean += (double)a->logits[i * a->classes + k] / (double)n;
        shift += ((double)a->logits[i * a->classes + k] - (double)y[i * a->classes + k]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double l = (double)a->logits[i * a->classes + k], d = l - (double)y[i * a->classes + k] - shift;
        *variance += (l - mean) * (l - mean) + ROUNDING * l * l;
        *off += d * d;
    }
}

// Do the logits come from the features by the layer's rows and constants alone? A lesson in the rows would be another
// one otherwise.
static int explains(struct fp_job *job, double unlike, bool *fits) {
    const struct fp_answers *a = &job->classes.dense;
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    FP_STAGE(room, "the last layer's answers");
    float *y = fp_arena_take(&room, a->samples, a->classes * sizeof(*y));
    if (!y) return fp_arena_check(&room, job->err);
    struct fp_product by_rows = {0};
    bool done = fp_product_init(&by_rows, true, a->classes, a->n_features, l->dense, job->threads) &&
                fp_product_run(&by_rows, a->samples, a->features, y);
    fp_product_done(&by_rows);
    if (!done) return fp_fail_memory(job->err, room.what, a->samples * a->classes * sizeof(*y));
    double variance = 0, off = 0;
    for (size_t k = 0; k < a->classes; k++) compare_column(a, y, k, &variance, &off);
    *fits = off <= unlike * variance;
    return FINEPRUNE_OK;
}

// Why nothing can be learned or held back; NULL: it can.
static const char *obstacle(const struct fp_job *job) {
    const struct fp_classifier *c = &job->classes.classifier;
    if (c->weight < 0) return c->reason;
    if (!job->layers.items[c->weight].w->bias.proto) return "the last layer has no bias that could be written";
    if (!job->classes.dense.samples) return "nothing is known of the model's answers";
    if (!all_finite(&job->classes.dense)) return "the model's answers to these samples are not all finite";
    return NULL;
}

// A pattern that says how many zeros there are has no room for whole rows: the classes are held back alone.
static void keep_rows(const struct fp_job *job, struct fp_lesson *lesson) {
    if (!job->choices.pattern || !job->choices.pattern->decides) return;
    memset(lesson->rows, 1, lesson->classes);
    lesson->kept = lesson->classes;
}

int fp_lesson_take(struct fp_job *job) {
    const bool holds = job->choices.outputs->hold, learns = job->choices.readout->teach;
    const char *reason = obstacle(job);
    bool fits = true;
    if (reason || (!holds && !learns)) return leave_both(job, reason);
    const struct fp_lesson_rule rule = fp_job_lesson_rule(job);
    int status = explains(job, rule.unlike, &fits);
    if (status) return status;
    if (!fits) return leave_both(job, "its answers are not the last layer's products alone");
    status = fp_lesson_make(&job->classes.lesson, &job->classes.dense, learns, holds, &rule,
                            job->model ? &job->model->memory : NULL, job->err);
    if (status) return status;
    keep_rows(job, &job->classes.lesson);
    if (!learns) leave_readout(job, NULL);
    if (!holds) leave_outputs(job, NULL);
    return FINEPRUNE_OK;
}
