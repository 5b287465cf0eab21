// SPDX-License-Identifier: Apache-2.0
// Output neurons that this user never needs. Each class is held back by the logarithm of how probable it is for this
// user, in the last layer's bias: one that comes later can still win where the model is sure. Where the user has a
// clear minority of the classes and a new one is improbable, the rows of the others are removed: their weights become
// zeros and their biases lie below every value that a kept class took. (lesson.c)
#include <math.h>
#include <stdlib.h>

#include "maths/answers.h"
#include "job/job.h"

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

static void report(struct fp_job *job) {
    const struct fp_lesson *lesson = &job->classes.lesson;
    const size_t gone = lesson->classes - lesson->kept;
    struct fp_report_outputs outputs = {.lesson = FP_LESSON_TAUGHT,
                                        .pruned = gone,
                                        .zeros = gone * lesson->features,
                                        .classes = lesson->classes,
                                        .seen = lesson->seen,
                                        .sharpness = lesson->sharpness,
                                        .unseen_bias = lesson->sharpness * lesson->unseen_bias,
                                        .unseen_share = lesson->unseen_share};
    for (size_t k = 0; k < lesson->classes; k++)
        outputs.held_back += lesson->rows[k] && lesson->sharpness * lesson->b[k] < log(0.5);
    fp_report_put_outputs(job->report, &outputs, gone ? lesson->rows : NULL);
    if (lesson->sharpness > 1)
        fp_report_say(job->report,
                      "the scores are flatter than the answers of neighbouring samples, which are nearly all alike: "
                      "probabilities are those of scores %.3g times as large",
                      lesson->sharpness);
}

static int hold(struct fp_job *job) {
    struct fp_layer *layer = &job->layers.items[job->classes.classifier.weight];
    for (size_t k = 0; k < job->classes.lesson.classes; k++)
        layer->dense_bias[k] = (float)((double)layer->dense_bias[k] + job->classes.lesson.b[k]);
    report(job);
    if (job->classes.lesson.kept == job->classes.lesson.classes) return FINEPRUNE_OK;
    return remove_rows(job);
}

static void weigh(const struct fp_job *job, struct fp_layer *layer) {
    if (!job->classes.lesson.b || layer != &job->layers.items[job->classes.classifier.weight]) return;
    const size_t cols = layer->w->cols;
    const double least = fp_job_lesson_rule(job).least_weight;
    for (size_t i = 0; i < layer->w->count; i++)
        layer->score[i] *= (float)fmax(least, exp(job->classes.lesson.sharpness * job->classes.lesson.b[i / cols]));
}

const struct fp_outputs fp_outputs_prune = {
    "prune",
    "classes that the data do not show are held back by their log-odds, and removed where that is safe",
    FP_NEED_ANSWERS,
    hold,
    weigh,
    fp_lesson_counting};
