// SPDX-License-Identifier: Apache-2.0
// fineprune compare: the same samples through two models, and how far the outputs of the second are from those of the
// first. Inputs and outputs are paired by name, outputs by position when the names are others. With labels also how
// often each model is right. Answers are counted only of outputs that are judged to be classes (task.h), by what the
// first model makes of the first samples.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/threads.h"
#include "cmd.h"
#include "compare_layers.h"
#include "labels.h"
#include "report/describe.h"
#include "report/drift.h"
#include "report/report_values.h"
#include "exec/exec.h"
#include "task/preparation.h"
#include "task/task.h"

struct side {
    struct fp_arena arena; // of its arrays
    struct fineprune_model *model;
    struct fp_exec *exec;
    struct fp_tensor *inputs, *outputs; // of one batch
    int *input_of, *output_of;          // number in the first model's order -> number in this model's
    size_t right, among5;               // answers equal to the label; labels among the five greatest scores
};

#define FIVE_OF ((size_t)10)           // classes: the five best of fewer tell nothing
#define SEEN ((size_t)1000)            // samples by which an output is judged, and
#define SEEN_BYTES ((size_t)256 << 20) // bytes of them

// What the first model answers to the first samples, of outputs of rank 2.
struct seen {
    float *values;
    size_t n, width, capacity;
    bool unlike, full; // the latter: no more are taken
};

struct comparison {
    struct fp_arena arena; // of its arrays
    struct side a, b;
    struct fineprune_data *data;
    struct fp_drift *drifts;     // one per output of a
    struct seen *seen;           // the same
    const char *task;            // the user's word, or NULL
    size_t *unlike;              // per output of a: batches in which b's has another shape, as detections do
    fineprune_error other_shape; // what is said when no batch has the same
    struct fp_labels labels;
    size_t judged, classes; // samples with a label and an answer; of the latter, 0: it is no row of scores
    const char *answer;     // the output that answers
    double forward;
    struct fp_layer_pairs *layers; // of --layers, or NULL
};

// ---- pairing

static const char *value_name(const struct fp_graph *graph, int id) { return graph->values[id].name; }

static int find_name(const struct fp_graph *graph, const int *ids, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(value_name(graph, ids[i]), name) == 0) return i;
    return -1;
}

static int pair_inputs(struct side *b, const struct fp_graph *first, fineprune_error *err) {
    const struct fp_graph *second = b->model->graph;
    for (int i = 0; i < second->n_inputs; i++)
        if (find_name(first, first->inputs, first->n_inputs, value_name(second, second->inputs[i])) < 0)
            return fp_fail(err, FINEPRUNE_MODEL, "'%s' has an input '%s' that the first model does not have",
                           b->model->path, value_name(second, second->inputs[i]));
    for (int i = 0; i < first->n_inputs; i++) // one that the second does not read is -1
        b->input_of[i] = find_name(second, second->inputs, second->n_inputs, value_name(first, first->inputs[i]));
    return FINEPRUNE_OK;
}

static int pair_outputs(struct side *b, const struct fp_graph *first, fineprune_error *err) {
    const struct fp_graph *second = b->model->graph;
    bool all = true;
    for (int i = 0; i < first->n_outputs; i++) {
        b->output_of[i] = find_name(second, second->outputs, second->n_outputs, value_name(first, first->outputs[i]));
        all &= b->output_of[i] >= 0;
    }
    if (all) return FINEPRUNE_OK;
    if (first->n_outputs != second->n_outputs)
        return fp_fail(err, FINEPRUNE_MODEL, "the models have other outputs: %d in the first ('%s'), %d in '%s'",
                       first->n_outputs, value_name(first, first->outputs[0]), second->n_outputs, b->model->path);
    for (int i = 0; i < first->n_outputs; i++) b->output_of[i] = i;
    return FINEPRUNE_OK;
}

static int open_side(struct side *s, const struct fp_graph *first, const fineprune_run_options *options,
                     fineprune_error *err) {
    const struct fp_graph *graph = s->model->graph;
    s->arena.what = "the comparison";
    s->inputs = fp_arena_take(&s->arena, (size_t)graph->n_inputs, sizeof(*s->inputs));
    s->outputs = fp_arena_take(&s->arena, (size_t)graph->n_outputs, sizeof(*s->outputs));
    s->input_of = fp_arena_take(&s->arena, (size_t)first->n_inputs, sizeof(int));
    s->output_of = fp_arena_take(&s->arena, (size_t)first->n_outputs, sizeof(int));
    int status = fp_arena_check(&s->arena, err);
    if (!status) status = pair_inputs(s, first, err);
    if (!status) status = pair_outputs(s, first, err);
    if (!status) status = fp_exec_new(&s->exec, s->model, options, err);
    return status;
}

static void drop(struct fp_tensor *tensors, int n) {
    for (int i = 0; tensors && i < n; i++) fp_tensor_done(&tensors[i]);
}

static void close_side(struct side *s) {
    drop(s->inputs, s->model->graph->n_inputs);
    drop(s->outputs, s->model->graph->n_outputs);
    fp_exec_free(s->exec);
    fp_arena_free(&s->arena);
}

// ---- answers

// Whether the output answers with a class for each of n samples: a row of scores, or the number of the class.
static bool answers(const struct fp_tensor *t, size_t n) {
    if (!t->rank || t->dims[0] != (int64_t)n) return false;
    if (fp_type_is_float(t->type)) return t->rank == 2 && t->dims[1] > 1;
    return fp_type_is_integer(t->type) && t->count == n;
}

static int64_t answer_of(const double *row, size_t width, bool scores) {
    if (!scores) return (int64_t)row[0];
    size_t best = 0;
    for (size_t i = 1; i < width; i++)
        if (row[i] > row[best]) best = i;
    return (int64_t)best;
}

// Whether fewer than n scores are greater than the label's; of equal ones the first are.
static bool is_among(const double *row, size_t width, int64_t label, size_t n) {
    size_t before = 0;
    if (label < 0 || (uint64_t)label >= width) return false;
    for (size_t i = 0; i < width; i++) before += row[i] > row[label] || (row[i] == row[label] && i < (size_t)label);
    return before < n;
}

static int judge(struct side *s, const struct fp_tensor *t, const int64_t *labels, size_t n, fineprune_error *err) {
    const size_t width = t->count / n;
    FP_STAGE(room, "a comparison");
    double *row = fp_arena_take(&room, width, sizeof(*row));
    if (!row) return fp_arena_check(&room, err);
    for (size_t i = 0; i < n; i++) {
        fp_convert(row, FP_DOUBLE, (const char *)t->data + i * width * fp_type_size(t->type), t->type, width);
        s->right += answer_of(row, width, fp_type_is_float(t->type)) == labels[i];
        s->among5 += is_among(row, width, labels[i], 5);
    }
    return FINEPRUNE_OK;
}

// Labels are judged by the first output that answers; x and y are that output of both models.
static int judge_both(struct comparison *c, const char *name, const struct fp_tensor *x, const struct fp_tensor *y,
                      size_t first, size_t n, fineprune_error *err) {
    if (!c->labels.classes.count || (c->answer && strcmp(c->answer, name) != 0) || !answers(x, n) || !answers(y, n))
        return FINEPRUNE_OK;
    c->answer = name;
    if (c->labels.folders && fp_type_is_float(x->type) && (size_t)x->dims[1] != c->labels.folders)
        return fp_labels_fail_folders(c->labels.folders, (size_t)x->dims[1], err);
    const int64_t *labels = (const int64_t *)c->labels.classes.data + first;
    int status = judge(&c->a, x, labels, n, err);
    if (!status) status = judge(&c->b, y, labels, n, err);
    c->judged += n;
    c->classes = fp_type_is_float(x->type) ? (size_t)x->dims[1] : 0;
    return status;
}

// ---- what the outputs are

static int keep_answers(struct seen *s, const struct fp_tensor *t, size_t n, fineprune_error *err) {
    size_t count, bytes;
    if (s->full || s->unlike || t->rank != 2 || !fp_type_is_float(t->type) || t->dims[1] < 2 ||
        (s->n && s->width != (size_t)t->dims[1]))
        return FINEPRUNE_OK;
    s->width = (size_t)t->dims[1];
    s->unlike = t->dims[0] != (int64_t)n;
    if (s->unlike) return FINEPRUNE_OK;
    s->full = s->n + n > SEEN || !fp_mul(s->n + n, s->width, &count) || !fp_mul(count, sizeof(float), &bytes) ||
              bytes > SEEN_BYTES;
    if (s->full && s->n) return FINEPRUNE_OK;
    float *grown = fp_grow(s->values, &s->capacity, (s->n + n) * s->width, sizeof(float));
    if (!grown) return fp_fail_memory(err, "a comparison", n * s->width * sizeof(float));
    s->values = grown;
    fp_convert(s->values + s->n * s->width, FP_FLOAT, t->data, t->type, n * s->width);
    s->n += n;
    return FINEPRUNE_OK;
}

static int judge_output(struct comparison *c, int output, const struct fp_weights *weights,
                        const struct fp_classifier *k, struct fp_task *task, fineprune_error *err) {
    const struct seen *s = &c->seen[output];
    const struct fp_graph *graph = c->a.model->graph;
    // Labels of its answers are as good as the word for it.
    const bool labelled = c->labels.classes.count && c->answer && !strcmp(c->answer, c->drifts[output].output);
    const char *word = labelled ? "classes" : c->task;
    const bool ours = k->weight >= 0 && k->output == output;
    const struct fp_task_case one = {.model = c->a.model,
                                     .output = output,
                                     .weights = weights,
                                     .weight = ours ? k->weight : -1,
                                     .logits_value = graph->outputs[output],
                                     .values = s->values,
                                     .n = s->unlike ? 0 : s->n,
                                     .width = s->width,
                                     .unlike = s->unlike};
    const int status = fp_task_judge(task, &one, word, err);
    task->by_labels = labelled && fp_task_word(c->task) <= 0;
    return status;
}

// Tells of one output what it was taken for, of several only where rows are not counted as answers.
static int judge_outputs(struct comparison *c, struct fineprune_report *report, fineprune_error *err) {
    struct fp_weights *weights = NULL;
    struct fp_classifier k = {.weight = -1};
    int judged = 0, status = fp_weights_find(&weights, c->a.exec, c->a.model, false, err);
    if (!status) fp_classifier_find(&k, weights);
    for (int i = 0; i < c->a.model->graph->n_outputs && !status; i++) {
        struct fp_task task;
        if (!c->seen[i].width) continue;
        status = judge_output(c, i, weights, &k, &task, err);
        if (status) break;
        c->drifts[i].no_answers = task.kind != FP_TASK_CLASSES;
        if (!judged++ || (k.weight >= 0 && k.output == i)) fp_task_report(&task, report);
    }
    fp_weights_free(weights);
    return status;
}

// ---- running

// The second model may want other types: one in float16 is compared on the same samples.
static int give_inputs(struct comparison *c, fineprune_error *err) {
    const struct fp_graph *first = c->a.model->graph, *second = c->b.model->graph;
    for (int i = 0; i < first->n_inputs; i++) {
        const int to = c->b.input_of[i];
        if (to < 0) continue;
        const enum fp_type type = second->values[second->inputs[to]].type;
        const struct fp_tensor *t = &c->a.inputs[i];
        int status = FINEPRUNE_OK;
        if (type == t->type || !fp_type_size(type)) fp_tensor_share(&c->b.inputs[to], t);
        else status = fp_tensor_convert(&c->b.inputs[to], &c->b.model->memory, t, type, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// Output of one model without the rows that fill a fixed batch up, in the given type.
static int take_output(struct fp_tensor *dst, const struct fp_tensor *t, size_t n, size_t size, enum fp_type type,
                       fineprune_error *err) {
    struct fp_tensor rows = {0};
    if (n < size && t->rank && t->dims[0] == (int64_t)size) fp_cmd_take_rows(&rows, t, n);
    else fp_tensor_share(&rows, t);
    if (t->type == type || !fp_type_size(t->type) || !fp_type_size(type)) {
        *dst = rows;
        return FINEPRUNE_OK;
    }
    int status = fp_tensor_convert(dst, NULL, &rows, type, err);
    fp_tensor_done(&rows);
    return status;
}

static int compare_output(struct comparison *c, int output, size_t first, size_t n, size_t size, fineprune_error *err) {
    const struct fp_tensor *a = &c->a.outputs[output], *b = &c->b.outputs[c->b.output_of[output]];
    struct fp_tensor x = {0}, y = {0};
    int status = take_output(&x, a, n, size, a->type, err);
    if (!status) status = take_output(&y, b, n, size, a->type, err);
    if (!status) status = keep_answers(&c->seen[output], &x, n, err);
    if (!status && x.type == y.type && fp_type_size(x.type) && x.rank == y.rank && !fp_same_shape(&x, &y)) {
        if (!c->unlike[output]++) fp_drift_add(&c->drifts[output], &x, &y, NULL, &c->other_shape); // for its words
    } else if (!status) {
        status = fp_drift_add(&c->drifts[output], &x, &y, NULL, err);
        if (!status) status = judge_both(c, c->drifts[output].output, &x, &y, first, n, err);
    }
    fp_tensor_done(&x);
    fp_tensor_done(&y);
    return status;
}

static int compare_batch(struct comparison *c, const size_t *samples, size_t n, fineprune_error *err) {
    const size_t most = fp_data_max_batch(c->data), size = most > 1 && most < SIZE_MAX ? most : n;
    int status = fp_data_batch(c->data, samples, n, c->a.inputs, err);
    if (!status) status = give_inputs(c, err);
    const double began = fp_seconds();
    if (!status) status = fp_exec_run(c->a.exec, c->a.inputs, c->a.outputs, NULL, err);
    if (!status) status = fp_exec_run(c->b.exec, c->b.inputs, c->b.outputs, NULL, err);
    c->forward += fp_seconds() - began;
    for (int i = 0; i < c->a.model->graph->n_outputs && !status; i++)
        status = compare_output(c, i, samples[0], n, size, err);
    drop(c->a.inputs, c->a.model->graph->n_inputs);
    drop(c->b.inputs, c->b.model->graph->n_inputs);
    drop(c->a.outputs, c->a.model->graph->n_outputs);
    drop(c->b.outputs, c->b.model->graph->n_outputs);
    return status;
}

static int layers_of_batch(struct comparison *c, const size_t *samples, size_t n, fineprune_error *err) {
    const size_t most = fp_data_max_batch(c->data), size = most > 1 && most < SIZE_MAX ? most : n;
    int status = fp_data_batch(c->data, samples, n, c->a.inputs, err);
    if (!status) status = give_inputs(c, err);
    if (!status) status = fp_layers_run(c->layers, n, size, err);
    drop(c->a.inputs, c->a.model->graph->n_inputs);
    drop(c->b.inputs, c->b.model->graph->n_inputs);
    return status;
}

static int compare_all(struct comparison *c, const char *stage, const fineprune_run_options *options,
                       fineprune_error *err) {
    const size_t n = fineprune_data_samples(c->data);
    FP_STAGE(room, "the samples");
    int status = fp_data_check_list(c->data, err);
    if (status) return status;
    size_t *samples = fp_arena_take(&room, n, sizeof(*samples)), step;
    if (!samples) return fp_arena_check(&room, err);
    for (size_t i = 0; i < n; i++) samples[i] = i;
    for (size_t at = 0; at < n && !status; at += step) {
        step = fp_data_next(c->data, samples + at, n - at, options ? options->batch : 0);
        if (c->layers) step = fp_least(step, fp_layers_batch(c->layers));
        fp_data_ahead(c->data, samples + at, n - at, step);
        status = (c->layers ? layers_of_batch : compare_batch)(c, samples + at, step, err);
        if (!status && options && options->progress && options->progress(options->progress_user, stage, at + step, n))
            status = fp_fail(err, FINEPRUNE_CANCELLED, "stopped after %zu of %zu samples", at + step, n);
    }
    return status;
}

// All samples again, by executors of their own: what is watched is computed in other ways, which round differently.
static int compare_layers(struct comparison *c, const fineprune_run_options *options, struct fineprune_report *report,
                          fineprune_error *err) {
    struct side *const sides[] = {&c->a, &c->b};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < FP_COUNT(sides) && !status; i++) {
        fp_exec_free(sides[i]->exec);
        sides[i]->exec = NULL;
        status = fp_exec_new(&sides[i]->exec, sides[i]->model, options, err);
    }
    const struct fp_layer_side a = {c->a.model, c->a.exec, c->a.inputs, c->a.outputs},
                               b = {c->b.model, c->b.exec, c->b.inputs, c->b.outputs};
    if (!status) status = fp_layers_open(&c->layers, &a, &b, err);
    if (!status) status = compare_all(c, "layers", options, err);
    if (!status) fp_layers_report(c->layers, report);
    return status;
}

// Whether the samples look prepared as the first model was trained, by its answers too.
static int look_at_preparation(struct comparison *c, const fineprune_run_options *options,
                               struct fineprune_report *report, fineprune_error *err) {
    struct fp_preparation p = {.model = c->a.model, .data = c->data, .options = options};
    for (int i = 0; i < c->a.model->graph->n_outputs && !p.scores; i++) {
        if (!c->drifts[i].classes || c->drifts[i].no_answers || c->seen[i].unlike) continue;
        p.scores = c->seen[i].values;
        p.n = c->seen[i].n;
        p.width = c->seen[i].width;
        p.output = i;
        p.classes = true;
    }
    return fp_preparation_look(&p, report, err);
}

// ---- reporting

static int report_accuracy(struct comparison *c, struct fineprune_report *report, fineprune_error *err) {
    if (!c->labels.classes.count) return FINEPRUNE_OK;
    if (!c->judged) {
        int status = fp_fail(
            err, FINEPRUNE_DATA,
            "labels cannot be compared: no output of the model has one row of class scores for each sample");
        fp_hint(err, "leave --labels out to see the drift of the outputs");
        return status;
    }
    const double judged = (double)c->judged;
    const bool five = c->classes >= FIVE_OF;
    const struct fp_report_accuracy accuracy = {.a = (double)c->a.right / judged,
                                                .b = (double)c->b.right / judged,
                                                .samples = c->judged,
                                                .a_top5 = five ? (double)c->a.among5 / judged : NAN,
                                                .b_top5 = five ? (double)c->b.among5 / judged : NAN};
    FP_PUT(report, accuracy, &accuracy);
    return FINEPRUNE_OK;
}

static int report_comparison(struct comparison *c, struct fineprune_report *report, double began,
                             fineprune_error *err) {
    fp_describe_model(report, false, c->a.model, true);
    fp_describe_model(report, true, c->b.model, true);
    int status = judge_outputs(c, report, err);
    if (status) return status;
    report->drift.there = true;
    for (int i = 0; i < c->a.model->graph->n_outputs; i++) {
        if (c->unlike[i] && !c->drifts[i].count) return fp_fail(err, FINEPRUNE_MODEL, "%s", c->other_shape.message);
        if (c->unlike[i])
            fp_report_say(
                report, "output '%s' has another shape in the second model in %zu run%s, which %s not compared",
                c->drifts[i].output, c->unlike[i], fp_plural(c->unlike[i]), c->unlike[i] == 1 ? "was" : "were");
        const struct fp_report_drift told = fp_drift_told(&c->drifts[i]);
        if (c->drifts[i].count) FP_ADD(report, drift, &told);
        else fp_report_say(report, "output '%s' is not made of numbers and is not compared", c->drifts[i].output);
    }
    fp_cmd_report(report, c->data, NAN, c->forward, fp_seconds() - began);
    status = report_accuracy(c, report, err);
    if (!status) status = fp_arena_check(&report->arena, err);
    return status;
}

static int compare(struct comparison *c, const fineprune_compare_options *o, struct fineprune_report *report,
                   fineprune_error *err) {
    const double began = fp_seconds();
    const struct fp_graph *first = c->a.model->graph;
    c->drifts = fp_arena_take(&c->arena, (size_t)first->n_outputs, sizeof(*c->drifts));
    c->unlike = fp_arena_take(&c->arena, (size_t)first->n_outputs, sizeof(*c->unlike));
    c->seen = fp_arena_take(&c->arena, (size_t)first->n_outputs, sizeof(*c->seen));
    int status = fp_arena_check(&c->arena, err);
    if (!status && !report) status = fp_fail_memory(err, c->arena.what, 1000);
    if (status) return status;
    for (int i = 0; i < first->n_outputs; i++) c->drifts[i].output = value_name(first, first->outputs[i]);
    if (o->labels) status = fp_labels_load(&c->labels, c->a.model, c->data, o->labels, err);
    if (!status && c->labels.from[0]) fp_report_say(report, "%s", c->labels.from);
    if (!status) status = open_side(&c->a, first, &o->run, err);
    if (!status) status = open_side(&c->b, first, &o->run, err);
    if (!status) status = compare_all(c, "forward", &o->run, err);
    if (!status) status = report_comparison(c, report, began, err);
    if (!status) status = look_at_preparation(c, &o->run, report, err);
    const struct fp_report_warning labels = {"labels_and_folders", c->labels.against, c->labels.evidence};
    if (!status && c->labels.against[0]) FP_ADD(report, warnings, &labels);
    if (!status) fp_cmd_warn_training(report, c->a.model);
    if (!status) fp_cmd_warn_training(report, c->b.model);
    if (!status && o->layers) status = compare_layers(c, &o->run, report, err);
    if (status) return status;
    report->timing->seconds = fp_seconds() - began;
    return fp_arena_check(&report->arena, err);
}

static void comparison_done(struct comparison *c) {
    fp_layers_free(c->layers);
    close_side(&c->a);
    close_side(&c->b);
    fp_labels_done(&c->labels);
    for (int i = 0; c->seen && i < c->a.model->graph->n_outputs; i++) free(c->seen[i].values);
    fp_arena_free(&c->arena);
}

int fineprune_compare_with(fineprune_model *a, fineprune_model *b, fineprune_data *data,
                           const fineprune_compare_options *options, fineprune_report **report, fineprune_error *err) {
    fineprune_compare_options o = FINEPRUNE_COMPARE_OPTIONS_INIT;
    int status = fp_options_read(&o, sizeof(o), options, "fineprune_compare_options", err);
    if (!status) status = data ? fp_data_ready(data, err) : fp_data_missing(a, err);
    if (!status) status = fp_data_check_elements(data, err);
    if (!status && fp_task_word(o.task) < 0)
        status = fp_fail(err, FINEPRUNE_USAGE, "there is no task '%s'; auto, classes, labels or other is meant",
                         o.task);
    if (status) return status;
    struct comparison c = {
        .arena = {.what = "the comparison"}, .a.model = a, .b.model = b, .data = data, .task = o.task};
    struct fineprune_report *made = fp_report_new("compare");
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(&o.run));
    status = compare(&c, &o, made, err);
    fp_threads_leave(&host);
    comparison_done(&c);
    if (!status && report) *report = made;
    else fineprune_report_free(made);
    return status;
}

int fineprune_compare_as(const char *task, fineprune_model *a, fineprune_model *b, fineprune_data *data,
                         const char *labels, const fineprune_run_options *options, fineprune_report **report,
                         fineprune_error *err) {
    fineprune_compare_options o = FINEPRUNE_COMPARE_OPTIONS_INIT;
    o.task = task;
    o.labels = labels;
    if (options) o.run = *options;
    return fineprune_compare_with(a, b, data, &o, report, err);
}

int fineprune_compare(fineprune_model *a, fineprune_model *b, fineprune_data *data, const char *labels,
                      const fineprune_run_options *options, fineprune_report **report, fineprune_error *err) {
    return fineprune_compare_as(NULL, a, b, data, labels, options, report, err);
}
