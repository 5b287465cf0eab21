// SPDX-License-Identifier: Apache-2.0
// fineprune inspect and check: what a model is, of every weight how much of it is zero; and every obstacle to running
// and pruning it.
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mapping.h"
#include "base/threads.h"
#include "compact/compact.h"
#include "data/data.h"
#include "exec/exec.h"
#include "job/job.h"
#include "report/describe.h"
#include "report/report_values.h"
#include "task/preparation.h"
#include "weights/multiply_adds.h"
#include "weights/zeros.h"

#define USUAL 0.7 // of zeros, when nothing else is asked
#define TELLING 8 // samples, of which fewer decide nothing
#define FEW 0.05  // of a weight's elements: fewer zeros follow no pattern

// Rows and columns of which every element is zero, channels that are pruned whole, and the pattern. Nothing is read
// where there are too few zeros for either.
static int find_zeros(struct fineprune_model *model, const struct fp_weight *w, struct fp_zeros *zeros,
                      struct fp_report_layer *layer, fineprune_error *err) {
    const bool whole = layer->zeros >= w->cols || layer->zeros >= w->rows;
    if (!whole && (double)layer->zeros < FEW * (double)w->count) return FINEPRUNE_OK;
    int status = fp_zeros_of(model, w, zeros, err);
    if (status) return status;
    layer->whole = whole;
    layer->zero_rows = zeros->rows;
    layer->zero_columns = zeros->columns;
    layer->whole_zeros = zeros->whole;
    layer->pattern = zeros->pattern[0] ? zeros->pattern : NULL;
    return FINEPRUNE_OK;
}

// Another one of the same.
static int copy_of(fineprune_model **out, const struct fineprune_model *model, fineprune_error *err) {
    void *bytes = NULL;
    size_t size;
    const fineprune_run_options options = {.max_memory = model->memory.limit};
    if (fp_model_lies_in_file(model)) return fineprune_model_open(out, model->path, &options, err);
    int status = fineprune_model_write(model, &bytes, &size, NULL, err);
    if (!status) status = fineprune_model_read(out, bytes, size, NULL, &options, err);
    free(bytes);
    return status;
}

// What compact would give: of another copy of the model, as this one stays as it is. Not of large files, which are to
// be listed without being held.
static int count_compact(const struct fineprune_model *model, struct fineprune_report *report, fineprune_error *err) {
    fineprune_model *copy = NULL;
    struct fp_compacted found;
    struct fp_macs macs = {0};
    if (fp_mapping_is_large(model->mappings)) return FINEPRUNE_OK;
    fineprune_error why = {0};
    int status = copy_of(&copy, model, &why);
    struct fp_report_compact told = {.multiple = FP_COMPACT_MULTIPLE};
    if (!status) told.bytes_before = fp_model_bytes(copy);
    if (!status) status = fp_compact(copy, FP_COMPACT_MULTIPLE, NULL, &found, &why);
    if (!status) {
        told.bytes = fp_model_bytes(copy);
        fp_describe_compact(report, &found, &told);
        const bool counts = report->macs && report->macs->dense;
        if (counts) status = fp_macs_count(&macs, copy, NULL, 0, NULL, &why);
        if (counts && !status) fp_report_put_macs_compact(report, macs.total, found.parameters_now);
    }
    fp_macs_free(&macs);
    fineprune_model_free(copy);
    if (!fp_is_limit(status)) return FINEPRUNE_OK; // what cannot be said is left out, but not for want of memory
    return fp_fail_limit(err, status, &why, &model->memory);
}

// Each layer's sizes, and what they add up to.
static int describe_layers(struct fineprune_model *model, const struct fp_weights *weights, const struct fp_macs *macs,
                           struct fineprune_report *report, fineprune_error *err) {
    struct fp_report_pruned pruned = {.asked = NAN};
    double nonzero = (double)macs->total;
    bool whole = false;
    for (int i = 0; i < weights->n; i++) {
        const struct fp_weight *w = &weights->items[i];
        struct fp_report_layer layer = {
            .macs = fp_macs_of_weight(macs, w), .error_before_repair = NAN, .error_after_repair = NAN};
        struct fp_zeros zeros;
        int status = fp_weight_zeros(model, w, &layer.zeros, err);
        if (!status && layer.zeros) status = find_zeros(model, w, &zeros, &layer, err);
        if (status) return status;
        fp_describe_layer(report, w, &layer);
        pruned.params += w->count;
        pruned.zeros += layer.zeros;
        nonzero -= (double)layer.macs * fp_report_sparsity(layer.zeros, w->count);
        whole |= layer.zero_columns > 0 || layer.zero_rows > 0;
    }
    pruned.sparsity = fp_report_sparsity(pruned.zeros, pruned.params);
    fp_describe_skipped(report, weights);
    FP_PUT(report, pruned, &pruned);
    if (macs->total) fp_describe_macs(report, macs, nonzero);
    int status = whole ? count_compact(model, report, err) : FINEPRUNE_OK;
    if (!status) status = fp_arena_check(&report->arena, err);
    return status;
}

// Where they cannot be counted, why not.
static int count_macs(struct fineprune_model *model, struct fineprune_report *report, struct fp_macs *macs,
                      fineprune_error *err) {
    fineprune_error why = {0};
    const int status = fp_macs_count(macs, model, NULL, 0, NULL, &why);
    if (!status) return FINEPRUNE_OK;
    fp_macs_free(macs);
    if (fp_is_limit(status)) return fp_fail_limit(err, status, &why, &model->memory);
    FP_PUT(report, macs, &(struct fp_report_macs){.reason = why.message});
    return FINEPRUNE_OK;
}

static int describe_all(struct fineprune_model *model, struct fineprune_report *report, fineprune_error *err) {
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_macs macs = {0};
    fp_describe_model(report, false, model, false); // reading every byte takes longer than all the rest
    fp_describe_graph(report, model);
    int status = fp_exec_plan(&exec, model, NULL, err);
    if (!status) status = fp_weights_find(&weights, exec, model, false, err);
    if (!status && report->obstacles.there) status = fp_weights_check_finite(weights, err);
    if (!status) status = count_macs(model, report, &macs, err);
    if (!status) status = describe_layers(model, weights, &macs, report, err);
    fp_macs_free(&macs);
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

int fineprune_inspect(const fineprune_model *model, fineprune_report **out, fineprune_error *err) {
    struct fineprune_report *report = fp_report_new("inspect");
    if (!report) return fp_fail_memory(err, "the report", 0);
    struct fp_threads host;
    fp_threads_enter(&host, 1); // little is computed: nobody waits for long
    int status = describe_all((struct fineprune_model *)model, report, err);
    fp_threads_leave(&host);
    if (!status && out) *out = report;
    else fineprune_report_free(report);
    return status;
}

static void add_obstacle(struct fineprune_report *report, const char *what) {
    fp_report_add_text(report, &report->obstacles, what);
}

static void add_failure(struct fineprune_report *report, const fineprune_error *err) {
    char *text = fp_format("%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
    add_obstacle(report, text ? text : err->message);
    free(text);
}

// Every tensor must be readable, not only those that a run would meet first.
static int check_tensors(struct fineprune_model *model, struct fineprune_report *report) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < model->graph->n_values && !fp_is_limit(status); i++) {
        struct fp_tensor t;
        fineprune_error inner = {0};
        const struct fp_value *v = &model->graph->values[i];
        if (!v->initializer) continue;
        const int one = fp_initializer_shape(model, v->initializer, &t, NULL, &inner);
        if (one) add_obstacle(report, inner.message);
        if (one) status = fp_is_limit(one) ? one : FINEPRUNE_MODEL;
    }
    return status;
}

static int check_training(struct fineprune_model *model, struct fineprune_report *report) {
    fineprune_error inner = {0};
    const int status = fp_exec_refuse_training(model, &inner);
    if (status) add_failure(report, &inner);
    return status;
}

static int add_bad_files(struct fineprune_report *report, const struct fineprune_data *data) {
    const char *why;
    const size_t n = fp_data_bad(data, 0, &why);
    if (!fp_data_bad_is_obstacle(data) || !n) return FINEPRUNE_OK;
    for (size_t i = 0; (fp_data_bad(data, i, &why), why); i++) add_obstacle(report, why);
    return FINEPRUNE_DATA;
}

static int try_one_sample(struct fineprune_model *model, struct fineprune_data *data, fineprune_error *err) {
    FP_STAGE(room, "a sample");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)model->graph->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)model->graph->n_outputs, sizeof(*outputs));
    struct fp_exec *exec = NULL;
    size_t first = 0;
    int status = fp_arena_check(&room, err);
    if (status) return status;
    status = fp_exec_new(&exec, model, NULL, err);
    if (!status) status = fp_data_batch(data, &first, 1, inputs, err);
    if (!status) status = fp_exec_run(exec, inputs, outputs, NULL, err);
    for (int i = 0; i < model->graph->n_inputs; i++) fp_tensor_done(&inputs[i]);
    for (int i = 0; i < model->graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    fp_exec_free(exec);
    return status;
}

static int try_samples(struct fineprune_model *model, struct fineprune_data *data, struct fineprune_report *report,
                       fineprune_error *err) {
    const struct fp_preparation p = {.model = model, .data = data, .asks = true};
    int status = fp_data_check_elements(data, err);
    if (!status) status = try_one_sample(model, data, err);
    if (!status) status = fp_preparation_look(&p, report, err);
    return status;
}

// What prune would do with so few samples.
static void note_few(size_t n, struct fineprune_report *report) {
    const double justified = fp_justified_share((double)n);
    if (justified >= USUAL) return;
    fp_report_say(report,
                  "%zu sample%s few: prune makes no more than %.0f %% zeros%s; from some 50 on the result is usually "
                  "better than the model that came",
                  n, n == 1 ? " is" : "s are", 100 * justified,
                  n < TELLING ? ", and cannot tell how good the result is" : "");
}

int fineprune_check(fineprune_model *model, fineprune_data *data, fineprune_report **out, fineprune_error *err) {
    struct fineprune_report *report = fp_report_new("check");
    if (!report) return fp_fail_memory(err, "the report", 0);
    fineprune_error inner = {0};
    int status = FINEPRUNE_OK;
    report->obstacles.there = true;
    char *unsupported = fp_exec_unsupported(model);
    if (unsupported) {
        char *line = fp_format("operators that are not supported: %s", unsupported);
        if (line) add_obstacle(report, line);
        status = FINEPRUNE_MODEL;
        free(line);
        free(unsupported);
    }
    const int tensors = check_tensors(model, report);
    if (tensors) status = tensors;
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(NULL));
    int described = FINEPRUNE_OK;
    if (!status) described = describe_all(model, report, &inner);
    if (!described && !status) report->layers.there = true;
    if (!described && !status && !report->layers.n) {
        add_obstacle(report, "there is no weight that can be pruned");
        status = FINEPRUNE_MODEL;
    }
    if (!described && !status) status = check_training(model, report);
    if (!described && !status && data && fineprune_data_samples(data))
        described = try_samples(model, data, report, &inner);
    fp_threads_leave(&host);
    if (!described && !status && data && fineprune_data_samples(data)) note_few(fineprune_data_samples(data), report);
    if (described) {
        add_failure(report, &inner);
        status = described;
    }
    if (data) {
        const int bad = add_bad_files(report, data);
        if (!status) status = bad;
    }
    const size_t n = report->obstacles.n;
    if (status) fp_fail(err, status, "'%s' cannot be pruned as it is: %zu obstacle%s", model->path, n, fp_plural(n));
    if (out) *out = report;
    else fineprune_report_free(report);
    return status;
}
