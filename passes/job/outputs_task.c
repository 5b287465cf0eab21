// SPDX-License-Identifier: Apache-2.0
// What a job takes the model's outputs for. Where they are not classes, or nobody can tell, the classifier is none: no
// output is left out and nothing is learned, and no number of the report speaks of answers.
#include <math.h>
#include <stdlib.h>

#include "job/job.h"

#define FEW 8            // samples
#define MOST_WEIGHT 1e12 // a row's, against the one that moves most

// The classifier's scores where they were gathered: of all samples, of the reserve alone, or none.
static const struct fp_answers *answers_of(const struct fp_job *job) {
    if (!job->classes.dense.samples) return &job->classes.dense_reserve;
    return &job->classes.dense;
}

static int judge_classifier(struct fp_job *job) {
    const struct fp_classifier *c = &job->classes.classifier;
    const struct fp_answers *a = answers_of(job);
    const struct fp_task_case one = {.model = job->model,
                                     .output = c->output,
                                     .weights = job->layers.weights,
                                     .weight = c->weight,
                                     .logits_value = c->logits_value,
                                     .values = a->logits,
                                     .n = a->samples,
                                     .width = c->classes,
                                     .unlike = job->classes.dense.unlike || job->classes.dense_reserve.unlike};
    return fp_task_judge(&job->classes.task, &one, job->options->task, job->err);
}

// Any other output by its values on the reserve. *task.output stays NULL where it cannot be one of classes.
static int judge_output(struct fp_job *job, int output, struct fp_task *task) {
    const struct fp_graph *graph = job->model->graph;
    struct fp_task_case one = {
        .model = job->model, .output = output, .weight = -1, .logits_value = graph->outputs[output]};
    float *values = NULL;
    *task = (struct fp_task){.reason = job->classes.classifier.reason};
    int status = fp_verify_values(job, output, &values, &one.n, &one.width, &one.unlike);
    one.values = values;
    if (!status && values && one.width > 1) status = fp_task_judge(task, &one, job->options->task, job->err);
    free(values);
    return status;
}

// Outputs beside the classifier's, for the drift. Without a classifier, the one output that may be judged is what the
// job is about.
static int judge_others(struct fp_job *job) {
    int judged = 0, status = FINEPRUNE_OK;
    for (int i = 0; i < job->model->graph->n_outputs && !status; i++) {
        struct fp_task task;
        if (i == job->classes.output) continue;
        status = judge_output(job, i, &task);
        if (status || !task.output) continue;
        job->classes.answers_of[i] = task.kind == FP_TASK_CLASSES;
        if (job->classes.classifier.weight >= 0) continue;
        if (judged++) job->classes.task = (struct fp_task){.reason = job->classes.classifier.reason};
        else job->classes.task = task;
        job->classes.output = judged == 1 ? i : -1;
    }
    return status;
}

// The standard deviation of a column; 0 where it is nothing but the rounding of its mean.
static double deviation_of(const struct fp_answers *a, size_t column) {
    double mean = 0, square = 0;
    for (size_t i = 0; i < a->samples; i++) mean += (double)a->logits[i * a->classes + column] / (double)a->samples;
    for (size_t i = 0; i < a->samples; i++)
        square += pow((double)a->logits[i * a->classes + column] - mean, 2) / (double)a->samples;
    return square > FP_VALUE_ROUNDING * mean * mean ? sqrt(square) : 0;
}

// The columns of an output that is not one of classes are quantities with units of their own: an error of one counts by
// how far that one moves. Those that do not move count least.
static int weigh_rows(struct fp_job *job) {
    // the reserve is there whatever was asked of outputs and read-out
    const bool few = job->classes.dense_reserve.samples < FEW;
    const struct fp_answers *a = few ? answers_of(job) : &job->classes.dense_reserve;
    struct fp_layer *layer = &job->layers.items[job->classes.classifier.weight];
    const size_t rows = fp_layer_rows(layer);
    double most = 0;
    if (!job->choices.method->cautious) return FINEPRUNE_OK; // methods of other names are as they are known
    if (a->samples < 2 || a->classes != rows || rows < 2 || rows > FP_MOST_COLUMNS) return FINEPRUNE_OK;
    layer->row_weight = fp_arena_take(&layer->arena, rows, sizeof(*layer->row_weight));
    if (!layer->row_weight) return fp_arena_check(&layer->arena, job->err);
    for (size_t r = 0; r < rows; r++) most = fmax(most, deviation_of(a, r));
    for (size_t r = 0; r < rows; r++) {
        const double deviation = deviation_of(a, r);
        layer->row_weight[r] = deviation > 0 ? (float)fmin(most / deviation, MOST_WEIGHT) : 1;
    }
    return FINEPRUNE_OK;
}

// A lesson can be forgotten only while it is known what was there before.
static int keep_untaught(struct fp_job *job) {
    const bool changes = job->choices.outputs->hold || job->choices.readout->teach;
    if (!job->data || !changes || job->classes.classifier.weight < 0) return FINEPRUNE_OK;
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    const size_t rows = fp_layer_rows(l);
    job->classes.untaught = fp_calloc(l->w->count, sizeof(float));
    job->classes.untaught_bias = fp_calloc(rows, sizeof(float));
    if (!job->classes.untaught || !job->classes.untaught_bias)
        return fp_fail_memory(job->err, l->w->name, l->w->count * sizeof(float));
    memcpy(job->classes.untaught, l->dense, l->w->count * sizeof(float));
    memcpy(job->classes.untaught_bias, l->dense_bias, rows * sizeof(float));
    return FINEPRUNE_OK;
}

int fp_task_decide(struct fp_job *job) {
    job->classes.task = (struct fp_task){.reason = job->classes.classifier.reason};
    job->classes.output = -1;
    job->classes.answers_of = fp_calloc((size_t)job->model->graph->n_outputs, 1);
    if (!job->classes.answers_of) return fp_fail_memory(job->err, "the outputs", (size_t)job->model->graph->n_outputs);
    int status = FINEPRUNE_OK;
    if (job->classes.classifier.weight >= 0) {
        status = judge_classifier(job);
        job->classes.output = job->classes.classifier.output;
        job->classes.answers_of[job->classes.output] = job->classes.task.kind == FP_TASK_CLASSES;
    }
    if (!status) status = judge_others(job);
    if (status) return status;
    if (job->classes.classifier.weight >= 0 && job->classes.task.kind != FP_TASK_CLASSES) {
        status = weigh_rows(job);
        if (status) return status;
        job->classes.classifier.weight = -1;
        job->classes.classifier.reason = job->classes.task.reason;
    }
    fp_task_report(&job->classes.task, job->report);
    return keep_untaught(job);
}

void fp_task_done(struct fp_job *job) {
    free(job->classes.answers_of);
    free(job->classes.untaught);
    free(job->classes.untaught_bias);
}

void fp_lesson_forget(struct fp_job *job, const char *reason) {
    struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    memcpy(l->dense, job->classes.untaught, l->w->count * sizeof(float));
    memcpy(l->dense_bias, job->classes.untaught_bias, fp_layer_rows(l) * sizeof(float));
    free(job->classes.teacher);
    free(job->classes.kept);
    fp_lesson_done(&job->classes.lesson);
    fp_job_drop_kept(job);
    job->classes.teacher = NULL;
    job->classes.kept = NULL;
    l->removed = NULL;
    fp_report_put_outputs(job->report, &(struct fp_report_outputs){.lesson = FP_LESSON_TAKEN_BACK, .reason = reason},
                          NULL);
    FP_PUT(job->report, readout, &(struct fp_report_readout){.lesson = FP_LESSON_TAKEN_BACK, .reason = reason});
}
