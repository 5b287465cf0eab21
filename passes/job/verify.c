// SPDX-License-Identifier: Apache-2.0
// The reserve measures: how the pruned model's outputs drift from the dense model's, and how many answers stay the
// same: as the model that came in gives them over all its classes, and as the dense model gives them that has learned
// the same lesson and lost the same classes, for that is what the zeros change.
#include <math.h>
#include <stdlib.h>

#include "kernel/gemm.h"
#include "maths/answers.h"
#include "stats/batches.h"
#include "report/drift.h"
#include "job/job.h"

typedef int outputs_visitor(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs,
                            fineprune_error *err);

// One run over the local samples or the reserve: the classifier's answers into *out, every output to `visit` (may be
// NULL).
static int gather_answers(struct fp_job *job, bool reserve, struct fp_answers *out, outputs_visitor *visit, void *user,
                          const size_t *sizes) {
    const size_t *samples = reserve ? job->samples.reserve : job->samples.local;
    size_t n = reserve ? job->samples.n_reserve : job->samples.n_local;
    *out = (struct fp_answers){0};
    if (!n || (job->classes.classifier.weight < 0 && !visit)) return FINEPRUNE_OK;
    struct fp_exec *exec;
    int status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (status) return status;
    const struct fp_stats_request request = {.needs = FP_NEED_ANSWERS,
                                             .classifier = &job->classes.classifier,
                                             .options = &job->options->run,
                                             .stage = reserve ? "reserve" : "answers",
                                             .outputs = visit,
                                             .outputs_user = user,
                                             .batch_sizes = sizes};
    struct fp_stats *stats = NULL;
    status = fp_stats_gather(&stats, exec, job->layers.weights, job->data, samples, n, &request, &job->state.forward,
                             job->err);
    fp_exec_free(exec);
    if (status) return status;
    *out = stats->answers;
    stats->answers = (struct fp_answers){0};
    fp_stats_free(stats);
    return FINEPRUNE_OK;
}

int fp_answers_gather(struct fp_job *job, struct fp_answers *out) {
    return gather_answers(job, false, out, NULL, NULL, NULL);
}

int fp_answers_again(struct fp_job *job, struct fp_answers *a) {
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    struct fp_product by_rows = {0};
    bool done = fp_product_init(&by_rows, true, a->classes, a->n_features, l->values, job->threads) &&
                fp_product_run(&by_rows, a->samples, a->features, a->logits);
    fp_product_done(&by_rows);
    if (!done) return fp_fail_memory(job->err, "the last layer's answers", a->samples * a->classes * sizeof(float));
    for (size_t i = 0; i < a->samples; i++)
        for (size_t k = 0; k < a->classes; k++)
            a->logits[i * a->classes + k] += (float)((double)l->dense_bias[k] + l->bias_change[k]);
    return FINEPRUNE_OK;
}

// The dense model's answer to reserve sample i, among the kept classes, with its read-out where there is one.
static size_t reference_answer(const struct fp_job *job, size_t i) {
    const struct fp_answers *a = &job->classes.dense_reserve;
    const float *logits = a->logits + i * a->classes, *f = a->features + i * a->n_features;
    if (!job->classes.teacher) return fp_best(logits, a->classes, job->classes.kept);
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    size_t best = a->classes;
    double most = 0;
    for (size_t k = 0; k < a->classes; k++) {
        if (job->classes.kept && !job->classes.kept[k]) continue;
        double v = (double)l->dense_bias[k];
        for (size_t j = 0; j < a->n_features; j++) v += (double)l->dense[k * a->n_features + j] * (double)f[j];
        if (best == a->classes || v > most) best = k, most = v;
    }
    return best;
}

static void compare_answers(const struct fp_job *job, const struct fp_answers *now, double *agreement,
                            double *with_dense) {
    size_t same = 0, same_dense = 0;
    for (size_t i = 0; i < now->samples; i++) {
        size_t answer = fp_best(now->logits + i * now->classes, now->classes, NULL);
        same += answer == reference_answer(job, i);
        same_dense += answer == fp_best(job->classes.dense_reserve.logits + i * now->classes, now->classes, NULL);
    }
    *agreement = *with_dense = -1;
    if (!now->samples) return;
    *agreement = (double)same / (double)now->samples;
    *with_dense = (double)same_dense / (double)now->samples;
}

// ---- drift of all outputs

#define KEEP_AT_MOST ((size_t)512 << 20) // bytes of the dense model's outputs that are kept for comparison

#define ONE_COLUMN 0.2 // an output is as bad as so much of its worst column

struct kept_output {
    struct fp_tensor *tensors; // n_outputs
};

struct columns {
    size_t n; // 0: none
    double spreads[FP_MOST_COLUMNS];
};

struct fp_verify {
    struct fp_arena arena;      // of spreads
    struct fp_arena per_output; // of drifts and unlike
    const struct fp_graph *graph;
    struct kept_output *batches;
    size_t *sizes; // of the batches: they must come again as they were
    size_t n, capacity, size_capacity, at, bytes;
    size_t samples; // of the reserve, as many as there is room for
    struct fp_drift *drifts;
    size_t *unlike; // per output: batches in which it had another shape than before, as detections and generated speech
                    // have
    double *spreads;         // per output of the dense model, of its kept values; NULL: not measured yet
    struct columns *columns; // per output: of quantities of their own
    struct fp_answers now;   // the pruned model's
    double agreement, with_dense;
    bool fresh; // the last four are of the model as it is now
    const struct fp_job *job;
};

static int keep_outputs(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs,
                        fineprune_error *err) {
    struct fp_verify *v = user;
    struct kept_output *batches = fp_grow(v->batches, &v->capacity, v->n + 1, sizeof(*batches));
    size_t *sizes = fp_grow(v->sizes, &v->size_capacity, v->n + 1, sizeof(*sizes));
    if (sizes) v->sizes = sizes;
    if (batches) v->batches = batches;
    struct fp_tensor *copy = fp_calloc((size_t)v->graph->n_outputs, sizeof(*copy));
    if (!batches || !sizes || !copy) {
        free(copy);
        return fp_fail_memory(err, "the reserve's outputs", sizeof(*copy));
    }
    v->sizes[v->n] = batch->n;
    v->batches[v->n++].tensors = copy;
    if (v->bytes > KEEP_AT_MOST) return FINEPRUNE_OK; // an empty record: this batch and those after it are not compared
    int status = FINEPRUNE_OK;
    for (int i = 0; i < v->graph->n_outputs && !status; i++) {
        if (!fp_type_size(outputs[i].type)) continue;
        status = fp_tensor_copy(&copy[i], NULL, &outputs[i], err);
        v->bytes += fp_tensor_bytes(&outputs[i]);
    }
    v->samples += batch->n;
    return status;
}

static int compare_outputs(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs,
                           fineprune_error *err) {
    struct fp_verify *v = user;
    (void)batch;
    const struct fp_tensor *before = v->batches[v->at++].tensors;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < v->graph->n_outputs && !status; i++) {
        if (before[i].type && before[i].type == outputs[i].type && !fp_same_shape(&before[i], &outputs[i]))
            v->unlike[i]++;
        else if (before[i].type) status = fp_drift_add(&v->drifts[i], &before[i], &outputs[i], NULL, err);
    }
    return status;
}

// Nothing was learned and no class left out: both are the same.
static void compare_drift(const struct fp_drift *d, double *agreement, double *with_dense) {
    if ((d->classes || d->labels) && d->answers) *agreement = *with_dense = (double)d->same / (double)d->answers;
}

// Batch b of an output; NULL when it was not kept.
static const struct fp_tensor *kept_of(const struct fp_verify *v, size_t b, int output) {
    if (b >= v->n || !v->batches[b].tensors[output].type) return NULL;
    return &v->batches[b].tensors[output];
}

int fp_verify_values(const struct fp_job *job, int output, float **values, size_t *n, size_t *width, bool *unlike) {
    const struct fp_verify *v = job->state.verify;
    const size_t most = job->data ? fp_data_max_batch(job->data) : 0;
    *values = NULL;
    *n = *width = 0;
    for (size_t b = 0; v && b < v->n; b++) {
        const struct fp_tensor *t = kept_of(v, b, output);
        if (!t) break; // no room for the rest
        if (t->rank != 2 || !fp_type_is_float(t->type) || (b && (size_t)t->dims[1] != *width)) return FINEPRUNE_OK;
        const size_t rows = v->sizes[b], filled = most > 1 && most < SIZE_MAX ? most : rows;
        *width = (size_t)t->dims[1];
        *unlike |= t->dims[0] != (int64_t)filled || rows > filled;
        if (!*unlike) *n += rows;
    }
    if (!*width) return FINEPRUNE_OK;
    float *dst = *values = fp_calloc(*n + 1, *width * sizeof(float));
    if (!dst) return fp_fail_memory(job->err, "the reserve's outputs", *n * *width * sizeof(float));
    for (size_t b = 0, at = 0; at < *n && !*unlike; at += v->sizes[b++])
        fp_convert(dst + at * *width, FP_FLOAT, v->batches[b].tensors[output].data, v->batches[b].tensors[output].type,
                   v->sizes[b] * *width);
    if (*unlike) *n = 0;
    return FINEPRUNE_OK;
}

int fp_verify_before(struct fp_job *job) {
    struct fp_verify *v = job->state.verify = calloc(1, sizeof(*v));
    if (!v) return fp_fail_memory(job->err, "the reserve", sizeof(*v));
    v->arena.what = v->per_output.what = "the reserve";
    v->job = job;
    v->graph = job->model->graph;
    return gather_answers(job, true, &job->classes.dense_reserve, keep_outputs, v, NULL);
}

void fp_verify_old(struct fp_job *job) {
    if (job->state.verify) job->state.verify->fresh = false;
}

// Of the reserve's outputs the drift of each column is added up too, where there are few.
static int take_columns(struct fp_verify *v, fineprune_error *err) {
    for (int i = 0; i < v->graph->n_outputs; i++) {
        const struct fp_tensor *t = kept_of(v, 0, i);
        if (!t || t->rank != 2 || t->dims[1] < 2 || t->dims[1] > FP_MOST_COLUMNS) continue;
        v->drifts[i].width = (size_t)t->dims[1];
        v->drifts[i].columns = fp_arena_take(&v->per_output, v->drifts[i].width, sizeof(double));
    }
    return fp_arena_check(&v->per_output, err);
}

// Whether an output of numbers was kept.
static bool is_measured(const struct fp_verify *v, int output) {
    const struct fp_tensor *first = kept_of(v, 0, output);
    return first && fp_type_is_float(first->type);
}

// Classes that no layer of ours makes are known by their output alone: one of scores, or, where no output has numbers
// to measure, one of a whole number for each sample. -1: there is none.
static int telling_output(const struct fp_job *job, const struct fp_verify *v) {
    int labels = -1;
    if (job->classes.classifier.weight >= 0) return -1;
    if (job->classes.task.kind == FP_TASK_CLASSES && job->classes.output >= 0) return job->classes.output;
    for (int i = v->graph->n_outputs - 1; i >= 0; i--) {
        if (is_measured(v, i)) return -1;
        if (v->drifts[i].labels) labels = i;
    }
    return labels;
}

// The pruned model on the reserve, unless it is known already.
static int measure(struct fp_job *job) {
    struct fp_verify *v = job->state.verify;
    const struct fp_graph *graph = job->model->graph;
    if (v->fresh) return FINEPRUNE_OK;
    v->graph = graph;
    v->at = 0;
    v->agreement = v->with_dense = -1;
    fp_answers_done(&v->now);
    fp_arena_free(&v->per_output);
    v->drifts = fp_arena_take(&v->per_output, (size_t)graph->n_outputs, sizeof(*v->drifts));
    v->unlike = fp_arena_take(&v->per_output, (size_t)graph->n_outputs, sizeof(*v->unlike));
    int status = fp_arena_check(&v->per_output, job->err);
    if (!status) status = take_columns(v, job->err);
    if (status) return status;
    for (int i = 0; i < graph->n_outputs; i++) {
        v->drifts[i].output = graph->values[graph->outputs[i]].name;
        v->drifts[i].no_answers = !job->classes.answers_of || !job->classes.answers_of[i];
    }
    status = gather_answers(job, true, &v->now, compare_outputs, v, v->sizes);
    const int output = status ? -1 : telling_output(job, v);
    if (output >= 0) compare_drift(&v->drifts[output], &v->agreement, &v->with_dense);
    else if (!status) compare_answers(job, &v->now, &v->agreement, &v->with_dense);
    v->fresh = !status;
    return status;
}

int fp_verify_after(struct fp_job *job, bool report, double *agreement, double *with_dense) {
    struct fp_verify *v = job->state.verify;
    *agreement = *with_dense = -1;
    if (!v || !job->samples.n_reserve) return FINEPRUNE_OK;
    int status = measure(job);
    if (status) return status;
    *agreement = v->agreement;
    *with_dense = v->with_dense;
    for (int i = 0; i < v->graph->n_outputs && report; i++) {
        const struct fp_report_drift told = fp_drift_told(&v->drifts[i]);
        if (v->drifts[i].count) FP_ADD(job->report, drift, &told);
        if (v->unlike[i])
            fp_report_say(job->report,
                          "output '%s' has another shape than before in %zu of %zu runs, which were not compared",
                          v->drifts[i].output, v->unlike[i], v->at);
    }
    return FINEPRUNE_OK;
}

const struct fp_answers *fp_verify_answers(const struct fp_job *job) {
    if (!job->state.verify || !job->state.verify->fresh) return NULL;
    return &job->state.verify->now;
}

// ---- error of the outputs against their spread

// Values of a sample in every kept batch; 1 where its samples have different shapes, or axis 0 is not the samples: then
// all values are one crowd.
static size_t places_of(const struct fp_verify *v, int output) {
    size_t places = 0;
    const struct fp_tensor *t;
    for (size_t b = 0; (t = kept_of(v, b, output)); b++) {
        if (!t->rank || t->dims[0] != (int64_t)v->sizes[b] || (b && t->count / v->sizes[b] != places)) return 1;
        places = t->count / v->sizes[b];
    }
    if (v->samples < 2) return 1;
    return places;
}

// A row of numbers for each sample, of few columns: each of them has a spread of its own, where it moves.
static bool has_columns(const struct fp_verify *v, int output, size_t places) {
    return kept_of(v, 0, output)->rank == 2 && places > 1 && places <= FP_MOST_COLUMNS;
}

// sum (y - mean)^2 over the kept values of an output, the mean of each place, times n / (n - 1) for n values a place.
static int find_spread(const struct fp_verify *v, int output, double *spread, struct columns *columns,
                       fineprune_error *err) {
    const size_t places = places_of(v, output);
    size_t rows = 0;
    *spread = 0;
    if (!places) return FINEPRUNE_OK;
    if (has_columns(v, output, places)) columns->n = places;
    FP_STAGE(stage, "a comparison");
    double *room = fp_arena_take(&stage, places, sizeof(*room)), *mean = fp_arena_take(&stage, places, sizeof(*mean));
    int status = fp_arena_check(&stage, err);
    if (status) return status;
    for (int pass = 0; pass < 2; pass++) {
        const struct fp_tensor *t;
        for (size_t b = 0; (t = kept_of(v, b, output)); b++) {
            const size_t bytes = places * fp_type_size(t->type), n = t->count / places;
            if (!pass) rows += n;
            for (size_t r = 0; r < n; r++) {
                fp_convert(room, FP_DOUBLE, (const char *)t->data + r * bytes, t->type, places);
                for (size_t k = 0; k < places && !pass; k++) mean[k] += room[k];
                for (size_t k = 0; k < places && pass; k++) *spread += (room[k] - mean[k]) * (room[k] - mean[k]);
                for (size_t k = 0; k < columns->n && pass; k++)
                    columns->spreads[k] += (room[k] - mean[k]) * (room[k] - mean[k]);
            }
        }
        for (size_t k = 0; k < places && !pass && rows; k++) mean[k] /= (double)rows;
    }
    if (rows > 1) *spread *= (double)rows / (double)(rows - 1);
    for (size_t k = 0; k < columns->n && rows > 1; k++)
        if (columns->spreads[k] > FP_VALUE_ROUNDING * (double)rows * mean[k] * mean[k])
            columns->spreads[k] *= (double)rows / (double)(rows - 1);
        else columns->spreads[k] = 0;
    return FINEPRUNE_OK;
}

// The column that is off most for its own spread; -1: there is none.
static int worst_column(const struct fp_drift *d, const struct columns *columns, double *error) {
    int worst = -1;
    for (size_t k = 0; k < columns->n && d->columns; k++) {
        if (!(columns->spreads[k] > 0)) continue;
        const double e = d->columns[k] / columns->spreads[k];
        if (worst < 0 || !(e <= *error)) *error = isnan(e) ? INFINITY : e, worst = (int)k;
    }
    return worst;
}

// An output that is the same for all samples has no spread: its change is measured against itself.
static double error_of(const struct fp_drift *d, double spread) {
    const double scale = spread > 1e-12 * d->aa ? spread : d->aa;
    if (scale > 0) return d->dd / scale;
    if (d->dd > 0) return INFINITY;
    return 0;
}

static int find_spreads(struct fp_verify *v, fineprune_error *err) {
    if (v->spreads) return FINEPRUNE_OK;
    v->spreads = fp_arena_take(&v->arena, (size_t)v->graph->n_outputs, sizeof(*v->spreads));
    v->columns = fp_arena_take(&v->arena, (size_t)v->graph->n_outputs, sizeof(*v->columns));
    int status = fp_arena_check(&v->arena, err);
    for (int i = 0; i < v->graph->n_outputs && !status; i++)
        if (is_measured(v, i)) status = find_spread(v, i, &v->spreads[i], &v->columns[i], err);
    return status;
}

int fp_verify_error(struct fp_job *job, struct fp_output_error *worst) {
    struct fp_verify *v = job->state.verify;
    *worst = (struct fp_output_error){.error = -1, .column = -1};
    if (!v || !v->fresh) return FINEPRUNE_OK;
    int status = find_spreads(v, job->err);
    if (status) return status;
    for (int i = 0; i < v->graph->n_outputs; i++) {
        if (!is_measured(v, i) || !v->drifts[i].count || v->unlike[i] || !isfinite(v->drifts[i].aa)) continue;
        if (job->classes.classifier.weight >= 0 && job->classes.answers_of && job->classes.answers_of[i])
            continue; // measured by its answers
        double of_column = 0, e = error_of(&v->drifts[i], v->spreads[i]);
        const int column = worst_column(&v->drifts[i], &v->columns[i], &of_column);
        if (isnan(e)) e = INFINITY;
        const bool one = column >= 0 && of_column * ONE_COLUMN > e;
        if (one) e = of_column * ONE_COLUMN;
        if (e > worst->error)
            *worst = (struct fp_output_error){
                .error = e, .output = v->drifts[i].output, .column = one ? column : -1, .of_column = of_column};
    }
    return FINEPRUNE_OK;
}

void fp_verify_free(struct fp_verify *v) {
    if (!v) return;
    for (size_t b = 0; b < v->n; b++) {
        for (int i = 0; i < v->graph->n_outputs; i++) fp_tensor_done(&v->batches[b].tensors[i]);
        free(v->batches[b].tensors);
    }
    free(v->batches);
    fp_answers_done(&v->now);
    fp_arena_free(&v->arena);
    fp_arena_free(&v->per_output);
    free(v->sizes);
    free(v);
}
