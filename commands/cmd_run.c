// SPDX-License-Identifier: Apache-2.0
// fineprune run: all samples through the model, its outputs into one .npz. How an output is stored, by its name:
//     axis 0 is the batch           the rows of all samples, one after the other
//     another axis 0, same shapes   a new axis 0 of samples
//     shapes differ                 one array per sample: NAME_000000, NAME_000001, ...
//     a sequence                    one array per item: NAME_0, NAME_1, ... (NAME_000000_0, ... for several samples)
// Strings become NumPy's; types that NumPy does not have become the next one that holds every value: bfloat16, float8
// and float4 become float32, integers of four and two bits become those of eight. An optional that is absent is left
// out. Samples run together first; when an output of several samples does not have a row for each, all run again one by
// one.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/threads.h"
#include "exec/exec.h"
#include "stats/batches.h"
#include "cmd.h"
#include "report/describe.h"
#include "tensor/narrow.h"
#include "tensor/npz.h"
#include "base/mapping.h"
#include "base/output.h"
#include "task/preparation.h"
#include "tensor/sequence.h"

void fp_cmd_report(struct fineprune_report *report, const struct fineprune_data *data, double prepare, double forward,
                   double seconds) {
    const size_t samples = fineprune_data_samples(data);
    struct fp_report_timing timing = {FP_REPORT_UNTIMED};
    timing.prepare = prepare;
    timing.forward = forward;
    timing.seconds = seconds;
    timing.samples_per_second = forward > 0 ? (double)samples / forward : 0;
    fp_report_put_data(report, data, &(struct fp_report_data){.samples = samples});
    FP_PUT(report, timing, &timing);
    report->peak_rss_bytes = (double)fp_peak_rss();
}

void fp_cmd_warn_training(struct fineprune_report *report, struct fineprune_model *model) {
    static const char cause[] = "training_mode";
    for (size_t i = 0; i < report->warnings.n; i++)
        if (!strcmp(report->warnings.items[i].cause, cause)) return;
    char *training = fp_exec_training(model);
    const struct fp_report_warning told = {cause, "answers depend on the samples that run together: " FP_TRAINING_HINT,
                                           training};
    if (training) FP_ADD(report, warnings, &told);
    free(training);
}

void fp_cmd_take_rows(struct fp_tensor *dst, const struct fp_tensor *t, size_t rows) {
    fp_tensor_share(dst, t);
    if (!t->dims[0]) return;
    dst->count = t->count / (size_t)t->dims[0] * rows;
    dst->dims[0] = (int64_t)rows;
}

// ---- gathering

struct gathered {
    const char *name;
    struct fp_tensor *parts; // one per run
    size_t n, capacity;
    bool rows;  // axis 0 is the batch in all of them
    bool items; // sequences
};

struct gatherer {
    size_t n;
    struct gathered *outputs;
    bool whole; // samples are whole inputs
    bool again; // must run one by one
    size_t max_batch;
    double forward, prepare, began; // prepare: of forward
};

static void drop_parts(struct gatherer *g) {
    for (size_t i = 0; g->outputs && i < g->n; i++) {
        struct gathered *o = &g->outputs[i];
        for (size_t k = 0; k < o->n; k++) fp_tensor_done(&o->parts[k]);
        free(o->parts);
        *o = (struct gathered){.name = o->name, .rows = !g->whole};
    }
}

static enum fp_type written_as(enum fp_type type) {
    if (type == FP_UINT4 || type == FP_UINT2) return FP_UINT8;
    if (type == FP_INT4 || type == FP_INT2) return FP_INT8;
    return fp_is_narrow(type) || type == FP_BFLOAT16 ? FP_FLOAT : type;
}

// *dst (empty) becomes the tensor, or its copy in a type that NumPy has.
static int take(struct fp_tensor *dst, const struct fp_tensor *t, fineprune_error *err) {
    enum fp_type type = written_as(t->type);
    if (type == t->type) {
        fp_tensor_share(dst, t);
        return FINEPRUNE_OK;
    }
    int status = fp_tensor_new(dst, NULL, type, t->rank, t->dims, err);
    if (!status) fp_convert_all(dst->data, type, t->data, t->type, t->count, false, FP_ROUND_NEAREST);
    return status;
}

static int gather_output(struct gatherer *g, struct gathered *o, const struct fp_batch *batch,
                         const struct fp_tensor *t, fineprune_error *err) {
    const bool rows = t->type != FP_SEQUENCE && t->rank && t->dims[0] == (int64_t)batch->size;
    if (t->type == FP_NONE) return FINEPRUNE_OK;
    o->rows &= rows;
    o->items |= t->type == FP_SEQUENCE;
    // a fixed batch cannot run one by one: what is the same for all its samples stays one array per run
    if (!rows && batch->n > 1 && g->max_batch == SIZE_MAX) {
        g->again = true;
        return fp_fail(err, FINEPRUNE_CANCELLED, "output '%s' is not one row per sample", o->name);
    }
    struct fp_tensor *grown = fp_grow(o->parts, &o->capacity, o->n + 1, sizeof(*grown));
    if (!grown) return fp_fail_memory(err, o->name, o->n * sizeof(*grown));
    o->parts = grown;
    struct fp_tensor whole = {0}, *part = &o->parts[o->n];
    memset(part, 0, sizeof(*part));
    int status = take(&whole, t, err);
    if (status) return status;
    if (rows) fp_cmd_take_rows(part, &whole, batch->n);
    else fp_tensor_share(part, &whole);
    fp_tensor_done(&whole);
    o->n++;
    return FINEPRUNE_OK;
}

static int before_run(void *user, const struct fp_batch *batch, fineprune_error *err) {
    (void)batch, (void)err;
    ((struct gatherer *)user)->began = fp_seconds();
    return FINEPRUNE_OK;
}

static int gather(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs, fineprune_error *err) {
    struct gatherer *g = user;
    int status = FINEPRUNE_OK;
    g->forward += fp_seconds() - g->began;
    for (size_t i = 0; i < g->n && !status; i++) status = gather_output(g, &g->outputs[i], batch, &outputs[i], err);
    return status;
}

static int run_samples(struct gatherer *g, struct fineprune_model *model, struct fineprune_data *data,
                       const fineprune_run_options *options, fineprune_error *err) {
    const size_t n = fineprune_data_samples(data);
    FP_STAGE(room, "the samples");
    int status = fp_data_check_list(data, err);
    if (status) return status;
    size_t *samples = fp_arena_take(&room, n, sizeof(*samples));
    struct fp_exec *exec = NULL;
    if (!samples) return fp_arena_check(&room, err);
    for (size_t i = 0; i < n; i++) samples[i] = i;
    status = fp_exec_new(&exec, model, options, err);
    const struct fp_batch_visitor visitor = {.begin = before_run, .end = gather, .user = g};
    fineprune_error inner = {0};
    if (!status) status = fp_batches_run(exec, model, data, samples, n, options, "forward", &visitor, &inner);
    if (status && g->again) {
        fineprune_run_options single = options ? *options : (fineprune_run_options){0};
        single.batch = 1;
        fp_error_clear(&inner);
        drop_parts(g);
        status = fp_batches_run(exec, model, data, samples, n, &single, "forward", &visitor, &inner);
    }
    if (inner.status) {
        fp_fail(err, inner.status, "%s", inner.message);
        if (inner.hint[0]) fp_hint(err, "%s", inner.hint);
    }
    if (exec) g->prepare = fp_exec_preparing(exec);
    fp_exec_free(exec);
    return status;
}

// ---- looking

#define SCORES_MOST ((size_t)1000)

// Whether the samples look prepared as the model was trained, by what it gives of the first ones too.
static int look_at_preparation(const struct gatherer *g, struct fineprune_model *model, struct fineprune_data *data,
                               const fineprune_run_options *options, struct fineprune_report *report,
                               fineprune_error *err) {
    struct fp_preparation p = {.model = model, .data = data, .options = options};
    size_t number = 0;
    while (number < g->n && (!g->outputs[number].rows || !g->outputs[number].n || g->outputs[number].parts->rank != 2 ||
                             !fp_type_is_float(g->outputs[number].parts->type)))
        number++;
    if (number == g->n) return fp_preparation_look(&p, report, err);
    const struct gathered *o = &g->outputs[number];
    FP_STAGE(room, "the answers");
    p.width = (size_t)o->parts->dims[1];
    p.output = (int)number;
    float *scores = fp_arena_take(&room, p.width, SCORES_MOST * sizeof(*scores));
    if (!scores) return fp_arena_check(&room, err);
    for (size_t i = 0; i < o->n && (size_t)o->parts[i].dims[1] == p.width; i++) {
        const size_t rows = fp_least((size_t)o->parts[i].dims[0], SCORES_MOST - p.n);
        fp_convert(scores + p.n * p.width, FP_FLOAT, o->parts[i].data, o->parts[i].type, rows * p.width);
        p.n += rows;
    }
    p.scores = scores;
    return fp_preparation_look(&p, report, err);
}

// ---- writing

static bool same_dims(const struct gathered *o, int from) {
    for (size_t i = 1; i < o->n; i++) {
        const struct fp_tensor *a = &o->parts[0], *b = &o->parts[i];
        if (a->type != b->type || a->rank != b->rank ||
            memcmp(a->dims + from, b->dims + from, (size_t)(a->rank - from) * sizeof(a->dims[0])) != 0)
            return false;
    }
    return true;
}

static int write_joined(struct fp_npz_writer *w, const struct gathered *o, fineprune_error *err) {
    int64_t dims[FP_MAX_RANK + 1];
    const struct fp_tensor *first = &o->parts[0];
    const int new_axis = !o->rows;
    memcpy(dims + new_axis, first->dims, (size_t)first->rank * sizeof(*dims));
    dims[0] = 0;
    for (size_t i = 0; i < o->n; i++) dims[0] += o->rows ? o->parts[i].dims[0] : 1;
    return fp_npz_add_rows(w, o->name, first->rank + new_axis, dims, o->parts, o->n, err);
}

static int write_one(struct fp_npz_writer *w, const char *name, size_t number, const struct fp_tensor *t,
                     fineprune_error *err) {
    char *key = fp_format("%s_%06zu", name, number);
    if (!key) return fp_fail_memory(err, name, strlen(name));
    int status = fp_npz_add(w, key, t, err);
    free(key);
    return status;
}

static int write_apart(struct fp_npz_writer *w, const struct gathered *o, fineprune_error *err) {
    size_t number = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < o->n && !status; i++) {
        const struct fp_tensor *t = &o->parts[i];
        if (!o->rows) {
            status = write_one(w, o->name, number++, t, err);
            continue;
        }
        for (int64_t r = 0; r < t->dims[0] && !status; r++) {
            struct fp_tensor row = *t; // lent
            row.dims[0] = 1;
            row.count = t->count / (size_t)t->dims[0];
            row.data = (char *)t->data +
                       (size_t)r * row.count * (t->type == FP_STRING ? sizeof(char *) : fp_type_size(t->type));
            status = write_one(w, o->name, number++, &row, err);
        }
    }
    return status;
}

static int write_items(struct fp_npz_writer *w, const struct gathered *o, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < o->n; i++)
        for (size_t k = 0; k < o->parts[i].count && !status; k++) {
            struct fp_tensor item = {0};
            char *key = o->n > 1 ? fp_format("%s_%06zu_%zu", o->name, i, k) : fp_format("%s_%zu", o->name, k);
            if (!key) return fp_fail_memory(err, o->name, strlen(o->name));
            status = take(&item, &fp_sequence_items(&o->parts[i])[k], err);
            if (!status) status = fp_npz_add(w, key, &item, err);
            fp_tensor_done(&item);
            free(key);
        }
    return status;
}

static int write_outputs(struct fp_npz_writer *w, const struct gatherer *g, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < g->n && !status; i++) {
        const struct gathered *o = &g->outputs[i];
        if (o->items) status = write_items(w, o, err);
        else if (o->n && same_dims(o, o->rows)) status = write_joined(w, o, err);
        else if (o->n) status = write_apart(w, o, err);
    }
    return status;
}

static int make_gatherer(struct gatherer *g, const struct fineprune_model *model, const struct fineprune_data *data,
                         fineprune_error *err) {
    const struct fp_graph *graph = model->graph;
    g->n = (size_t)graph->n_outputs;
    g->outputs = fp_calloc(g->n, sizeof(*g->outputs));
    if (!g->outputs) return fp_fail_memory(err, "the outputs", g->n * sizeof(*g->outputs));
    g->whole = fp_data_whole(data);
    g->max_batch = fp_data_max_batch(data);
    for (size_t i = 0; i < g->n; i++)
        g->outputs[i] = (struct gathered){.name = graph->values[graph->outputs[i]].name, .rows = !g->whole};
    return FINEPRUNE_OK;
}

static int run(struct gatherer *g, struct fineprune_model *model, struct fineprune_data *data, struct fp_npz_writer **w,
               const fineprune_run_options *options, struct fineprune_report *report, fineprune_error *err) {
    const double began = fp_seconds();
    int status = make_gatherer(g, model, data, err);
    if (!status) status = run_samples(g, model, data, options, err);
    if (!status) status = look_at_preparation(g, model, data, options, report, err);
    if (!status) fp_cmd_warn_training(report, model);
    if (!status) status = write_outputs(*w, g, err);
    if (status) return status;
    status = fp_mapping_unchanged(model->mappings, err);
    if (status) return status;
    status = fp_npz_finish(*w, err);
    *w = NULL;
    fp_describe_model(report, false, model, true);
    fp_cmd_report(report, data, g->prepare, g->forward, fp_seconds() - began);
    if (!status) status = fp_arena_check(&report->arena, err);
    return status;
}

int fineprune_run(fineprune_model *model, fineprune_data *data, const char *path, bool force,
                  const fineprune_run_options *options, fineprune_report **report, fineprune_error *err) {
    struct gatherer g = {0};
    struct fp_npz_writer *w = NULL;
    int status = data ? fp_data_ready(data, err) : fp_data_missing(model, err);
    if (status) return status;
    if (fineprune_model_reads(model, path) || fineprune_data_reads(data, path))
        return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a file that the model or the samples are read with", path);
    struct fineprune_report *made = fp_report_new("run");
    status = made ? fp_npz_create(&w, path, force, err) : fp_fail_memory(err, "the report", sizeof(*made));
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(options));
    if (!status) status = run(&g, model, data, &w, options, made, err);
    fp_threads_leave(&host);
    fp_npz_abandon(w);
    drop_parts(&g);
    free(g.outputs);
    if (!status && report) *report = made;
    else fineprune_report_free(made);
    return status;
}
