// SPDX-License-Identifier: Apache-2.0
// Output neurons that this user never needs. Each class is held back by the logarithm of how probable it is for this
// user, in the last layer's bias: one that comes later can still win where the model is sure. Where the user has a
// clear minority of the classes and a new one is improbable, the rows of the others are removed: their weights become
// zeros and their biases lie below every value that a kept class took. (lesson.c)
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
    const struct fp_report_outputs outputs = {
        .reason = job->choices.outputs->prunes ? reason : "all outputs were asked to stay"};
    fp_report_put_outputs(job->report, &outputs);
}

static void leave_readout(struct fp_job *job, const char *reason) {
    const struct fp_report_readout readout = {
        .reason = job->choices.readout->learns ? reason : "the last layer was asked to stay"};
    fp_report_put_readout(job->report, &readout);
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

// ---- rows

// The least taught value a kept class took, less the spread of them all: nothing that follows can make another class
// win.
static double floor_of(const struct fp_lesson *lesson, const double *scores, size_t samples) {
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < samples * lesson->classes; i++) {
        if (!lesson->rows[i % lesson->classes]) continue;
        least = fmin(least, scores[i]);
        most = fmax(most, scores[i]);
    }
    return least - (most - least) - 1;
}

static int remove_rows(struct fp_job *job) {
    const struct fp_lesson *lesson = &job->classes.lesson;
    const size_t k = lesson->classes;
    job->classes.kept = fp_calloc(k, 1);
    job->classes.removed_rows = fp_calloc(k, 1);
    double *scores = fp_lesson_scores(lesson, &job->classes.dense);
    if (!job->classes.kept || !job->classes.removed_rows || !scores) {
        free(scores);
        return fp_fail_memory(job->err, "the outputs", job->classes.dense.samples * k * sizeof(*scores));
    }
    job->classes.floor = floor_of(lesson, scores, job->classes.dense.samples);
    free(scores);
    memcpy(job->classes.kept, lesson->rows, k);
    for (size_t i = 0; i < k; i++) job->classes.removed_rows[i] = !lesson->rows[i];
    job->layers.items[job->classes.classifier.weight].removed = job->classes.removed_rows;
    return FINEPRUNE_OK;
}

// A pattern that says how many zeros there are has no room for whole rows: the classes are held back alone.
static void keep_rows(const struct fp_job *job, struct fp_lesson *lesson) {
    if (!job->choices.pattern || !job->choices.pattern->decides) return;
    memset(lesson->rows, 1, lesson->classes);
    lesson->kept = lesson->classes;
}

static void report(struct fp_job *job) {
    const struct fp_lesson *lesson = &job->classes.lesson;
    const size_t gone = lesson->classes - lesson->kept;
    struct fp_report_outputs outputs = {.lesson = FP_LESSON_TAUGHT,
                                        .kept = gone ? lesson->rows : NULL,
                                        .pruned = gone,
                                        .zeros = gone * lesson->features,
                                        .classes = lesson->classes,
                                        .seen = lesson->seen,
                                        .unseen_bias = lesson->unseen_bias,
                                        .unseen_share = lesson->unseen_share};
    for (size_t k = 0; k < lesson->classes; k++) outputs.held_back += lesson->rows[k] && lesson->b[k] < log(0.5);
    fp_report_put_outputs(job->report, &outputs);
}

int fp_prune_outputs(struct fp_job *job) {
    const bool holds = job->choices.outputs->prunes, learns = job->choices.readout->learns;
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
    if (!holds) {
        leave_outputs(job, NULL);
        return FINEPRUNE_OK;
    }
    struct fp_layer *layer = &job->layers.items[job->classes.classifier.weight];
    for (size_t k = 0; k < job->classes.lesson.classes; k++)
        layer->dense_bias[k] = (float)((double)layer->dense_bias[k] + job->classes.lesson.b[k]);
    report(job);
    if (job->classes.lesson.kept == job->classes.lesson.classes) return FINEPRUNE_OK;
    return remove_rows(job);
}

void fp_readout_weigh_scores(const struct fp_job *job, struct fp_layer *layer) {
    if (!job->classes.lesson.b || layer != &job->layers.items[job->classes.classifier.weight]) return;
    const size_t cols = layer->w->cols;
    const double least = fp_job_lesson_rule(job).least_weight;
    for (size_t i = 0; i < layer->w->count; i++)
        layer->score[i] *= (float)fmax(least, exp(job->classes.lesson.b[i / cols]));
}
