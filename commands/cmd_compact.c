// SPDX-License-Identifier: Apache-2.0
// fineprune compact, and --compact behind a pruning: channels that nothing reads leave the shapes.
#include "base/threads.h"
#include "compact/compact.h"
#include "report/describe.h"
#include "report/runtimes.h"
#include "weights/multiply_adds.h"

// What cannot be counted is left out, unless it is memory that is missing.
static int count_macs(struct fineprune_model *model, struct fp_macs *macs, const fineprune_run_options *run,
                      fineprune_error *err) {
    fineprune_error why = {0};
    const int status = fp_macs_count(macs, model, NULL, 0, run, &why);
    if (status) macs->total = 0;
    if (!fp_is_limit(status)) return FINEPRUNE_OK;
    return fp_fail_limit(err, status, &why, &model->memory);
}

static int report_sizes(struct fineprune_model *model, struct fineprune_report *report, bool after,
                        const fineprune_run_options *run, fineprune_error *err) {
    struct fp_model_size bytes;
    int status = fp_model_sizes(model, fp_threads_wanted(run), &bytes, err);
    if (!status) fp_report_put_size(report, after, &bytes);
    return status;
}

// The weights are others now.
static int report_runtime(struct fineprune_model *model, struct fineprune_report *report, fineprune_error *err) {
    const struct fp_report_runtime *was = report->runtime;
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    if (!was) return FINEPRUNE_OK;
    int status = fp_exec_plan(&exec, model, NULL, err);
    if (!status) status = fp_weights_find(&weights, exec, model, false, err);
    if (!status)
        status = fp_runtime_report(report, fp_find_runtime(was->profile), was->multiple, was->set, weights, err);
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

// Before anything leaves: all, and those by what is not zero. Nothing where they cannot be counted.
static int report_macs(struct fineprune_model *model, struct fineprune_report *report, const fineprune_run_options *run,
                       fineprune_error *err) {
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_macs macs;
    int status = count_macs(model, &macs, run, err);
    if (!status && macs.total) status = fp_exec_plan(&exec, model, run, err);
    if (!status && exec) status = fp_weights_find(&weights, exec, model, false, err);
    double nonzero = (double)macs.total;
    for (int i = 0; weights && i < weights->n && !status; i++) {
        size_t zeros = 0;
        status = fp_weight_zeros(model, &weights->items[i], &zeros, err);
        nonzero -= (double)fp_macs_of_weight(&macs, &weights->items[i]) *
                   fp_report_sparsity(zeros, weights->items[i].count);
    }
    if (!status && weights) fp_describe_macs(report, &macs, nonzero);
    fp_macs_free(&macs);
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

static int compact(struct fineprune_model *model, struct fineprune_report *report, bool fresh, size_t multiple,
                   const fineprune_run_options *run, fineprune_error *err) {
    struct fp_compacted found;
    int status = FINEPRUNE_OK;
    if (fresh) {
        fp_describe_model(report, false, model, true);
        status = report_sizes(model, report, false, run, err);
        if (!status) status = report_macs(model, report, run, err);
    }
    if (!status) status = fp_compact(model, multiple, run, &found, err);
    if (status) return status;
    struct fp_report_compact told = {.multiple = multiple};
    fp_describe_compact(report, &found, &told);
    struct fp_macs macs;
    status = count_macs(model, &macs, run, err);
    if (macs.total) fp_report_put_macs_compact(report, macs.total, 0);
    fp_macs_free(&macs);
    if (!status) status = report_sizes(model, report, true, run, err);
    if (!status) status = report_runtime(model, report, err);
    if (!status) status = fp_arena_check(&report->arena, err);
    return status;
}

int fineprune_compact(fineprune_model *model, size_t multiple, const fineprune_run_options *options,
                      fineprune_report **report, fineprune_error *err) {
    fineprune_error local = {0};
    const fineprune_run_options none = {0}, *run = options ? options : &none;
    struct fineprune_report *given = report ? *report : NULL, *made = given ? NULL : fp_report_new("compact");
    if (!err) err = &local;
    if (!given && !made) return fp_fail_memory(err, "the report", 0);
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(run));
    if (!multiple && given && given->runtime) multiple = given->runtime->multiple;
    int status = compact(model, made ? made : given, made, multiple ? multiple : FP_COMPACT_MULTIPLE, run, err);
    fp_threads_leave(&host);
    if (made && report && !status) *report = made;
    else fineprune_report_free(made);
    return status;
}
