// SPDX-License-Identifier: Apache-2.0
// What a pruning job tells: its configuration, every layer, what was left alone, the gates and the times.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/describe.h"
#include "job/job.h"

static void report_data(struct fp_job *job) {
    if (!job->data) { // those of the statistics
        FP_PUT(job->report, data, &(struct fp_report_data){.sources.there = true, .samples = job->samples.n_local});
        return;
    }
    const struct fp_report_data data = {
        .samples = job->samples.n_local + job->samples.n_reserve, .reserve = job->samples.n_reserve, .splits = true};
    fp_report_put_data(job->report, job->data, &data);
}

static void report_config(struct fp_job *job, double asked) {
    const struct fp_choices *c = &job->choices;
    const fineprune_prune_options *o = job->options;
    const struct fp_report_config config = {.sparsity = o->sparsity < 0 ? -1 : asked,
                                            .strict_sparsity = o->strict_sparsity,
                                            .method = c->method->name,
                                            .score = c->score->name,
                                            .allocation = c->allocation->name,
                                            .pattern = c->pattern_text,
                                            .repair = c->repair->name,
                                            .channels = c->channels->name,
                                            .swaps = c->swaps->name,
                                            .refit = c->refit->name,
                                            .outputs = c->outputs->name,
                                            .readout = c->readout->name,
                                            .rounds = c->rounds,
                                            .min_agreement = o->min_agreement,
                                            .min_taught_agreement = o->min_taught_agreement,
                                            .task = o->task ? o->task : "auto",
                                            .reserve = o->reserve,
                                            .target = o->target};
    FP_PUT(job->report, config, &config);
}

// Layers whose rows lose their pruned synapses' mean for good.
static void note_biases(struct fp_job *job) {
    int left = 0;
    const char *first = NULL, *reason = NULL;
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_weight *w = job->layers.items[i].w;
        if (w->bias.proto || !w->bias.reason) continue;
        if (!left++) first = w->name, reason = w->bias.reason;
    }
    if (left)
        fp_report_say(
            job->report,
            "%d of %d layers have no bias that can be written, and what their rows lose on average is lost: '%s' "
            "(%s)%s",
            left, job->layers.n, first, reason,
            left > 1 ? " and others ('bias_left' of each layer in the report)" : "");
}

static const char *bias_left(const struct fp_job *job, const struct fp_weight *w) {
    if (!job->choices.repair->needs || w->bias.proto) return NULL;
    if (!w->bias.reason) return "it has no bias";
    return w->bias.reason;
}

static void report_macs(struct fp_job *job, double nonzero) {
    const char *reason = job->state.macs_reason;
    if (!reason[0]) fp_describe_macs(job->report, &job->state.macs, nonzero);
    else FP_PUT(job->report, macs, &(struct fp_report_macs){.reason = reason});
}

static int report_layers(struct fp_job *job, struct fp_report_pruned *pruned) {
    const struct fp_macs *macs = &job->state.macs;
    double nonzero = (double)macs->total;
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        struct fp_report_layer layer = {.macs = fp_macs_of_weight(macs, l->w),
                                        .error_before_repair = l->error_before,
                                        .error_after_repair = l->error_after,
                                        .bias_left = bias_left(job, l->w),
                                        .not_repaired = fp_layer_unrepaired(job, l)};
        int status = fp_weight_zeros(job->model, l->w, &layer.zeros, job->err);
        if (status) return status;
        fp_describe_layer(job->report, l->w, &layer);
        pruned->params += l->w->count;
        pruned->zeros += layer.zeros;
        nonzero -= (double)layer.macs * fp_report_sparsity(layer.zeros, l->w->count);
    }
    report_macs(job, nonzero);
    fp_describe_skipped(job->report, job->layers.weights);
    const struct fp_choices *c = &job->choices;
    if (c->runtime) {
        const char *set = c->runtime_set[0] ? c->runtime_set : NULL;
        int status = fp_runtime_report(job->report, c->runtime, c->target.multiple, set, job->layers.weights, job->err);
        if (status) return status;
    }
    pruned->sparsity = fp_report_sparsity(pruned->zeros, pruned->params);
    FP_PUT(job->report, pruned, pruned);
    if (job->choices.repair->needs) note_biases(job);
    return FINEPRUNE_OK;
}

static int missed_gate(struct fp_job *job, const char *option, const char *with, double asked, double agreement) {
    if (agreement < 0) {
        const char *reason = "there are no answers";
        if (!job->samples.n_reserve) reason = "no samples were kept to measure with";
        if (job->classes.task.kind != FP_TASK_CLASSES && job->classes.task.reason) reason = job->classes.task.reason;
        fp_fail(job->err, FINEPRUNE_GATE, "%s %g could not be measured: %s", option, asked, reason);
        fp_hint(job->err, job->classes.task.kind != FP_TASK_CLASSES
                              ? "--task classes, if they are; the drift of the outputs is in the report"
                              : "give more samples or a greater --reserve");
        return FINEPRUNE_GATE;
    }
    fp_fail(job->err, FINEPRUNE_GATE,
            "the pruned model agrees with %s on %.1f %% of the samples kept to measure with; %.1f %% were asked", with,
            100 * agreement, 100 * asked);
    fp_hint(job->err,
            job->classes.teacher || job->classes.kept
                ? "ask for less sparsity, '--sparsity auto', or to learn nothing: --readout keep --outputs keep"
                : "ask for less sparsity, or '--sparsity auto'");
    return FINEPRUNE_GATE;
}

static int report_gate(struct fp_job *job, const char *name, const char *option, const char *with, double asked,
                       double agreement) {
    if (asked <= 0) return FINEPRUNE_OK;
    const struct fp_report_gate gate = {
        .name = name, .asked = asked, .measured = agreement >= 0 ? agreement : NAN, .met = agreement >= asked};
    FP_ADD(job->report, gates, &gate);
    if (!gate.met) return missed_gate(job, option, with, asked, agreement);
    return FINEPRUNE_OK;
}

// The first gate that is missed is the one told.
static int report_gates(struct fp_job *job, double taught, double with_dense) {
    const fineprune_prune_options *o = job->options;
    int first = report_gate(job, "min_agreement", "min-agreement", "the model that came in", o->min_agreement,
                            with_dense);
    fineprune_error told = *job->err;
    int second = report_gate(job, "min_taught_agreement", "min-taught-agreement",
                             "the dense model that has learned the same", o->min_taught_agreement, taught);
    if (first) *job->err = told;
    if (first) return first;
    return second;
}

// "[0,3,7]"; malloc'ed, NULL when out of memory.
static char *list_kept(const struct fp_job *job) {
    char *list = NULL;
    size_t size, n = 0;
    FILE *file = open_memstream(&list, &size);
    if (!file) return NULL;
    fputc('[', file);
    for (size_t k = 0; k < job->classes.lesson.classes; k++)
        if (job->classes.kept[k]) fprintf(file, "%s%zu", n++ ? "," : "", k);
    fputc(']', file);
    if (!fclose(file)) return list;
    free(list);
    return NULL;
}

static int add_metadata(struct fp_job *job, double asked) {
    if (job->options->no_metadata) return FINEPRUNE_OK;
    char text[64];
    snprintf(text, sizeof(text), "%.4f", asked);
    int status = fp_model_set_metadata(job->model, "fineprune.sparsity", text, job->err);
    if (!status) status = fp_model_set_metadata(job->model, "fineprune.method", job->choices.method->name, job->err);
    if (!status) status = fp_model_set_metadata(job->model, "fineprune.version", fineprune_version(), job->err);
    if (status || !job->classes.kept) return status;
    char *list = list_kept(job);
    if (!list) return fp_fail_memory(job->err, "metadata", 0);
    status = fp_model_set_metadata(job->model, "fineprune.outputs_kept", list, job->err);
    free(list);
    return status;
}

static int report_sizes(struct fp_job *job, bool after) {
    struct fp_model_size bytes;
    int status = fp_model_sizes(job->model, job->threads, &bytes, job->err);
    if (status) return status;
    fp_report_put_size(job->report, after, &bytes);
    return FINEPRUNE_OK;
}

// What cannot be counted is no reason to stop, but no memory, or no time left, says nothing about the model.
static int count_macs(struct fp_job *job) {
    fineprune_error why = {0};
    size_t first = 0;
    if (job->data && job->samples.n_local) first = job->samples.local[0];
    const int status = fp_macs_count(&job->state.macs, job->model, job->data, first, &job->options->run, &why);
    if (status) fp_macs_free(&job->state.macs);
    if (fp_is_limit(status)) {
        *job->err = why;
        return status;
    }
    snprintf(job->state.macs_reason, sizeof(job->state.macs_reason), "%.199s", why.message);
    return FINEPRUNE_OK;
}

int fp_job_report_before(struct fp_job *job) {
    fp_describe_model(job->report, false, job->model, true);
    int status = count_macs(job);
    if (status) return status;
    return report_sizes(job, false);
}

// A pattern that decides by itself how many zeros there are says so when that is not what was asked.
static void note_pattern(struct fp_job *job, const struct fp_report_pruned *pruned) {
    const double got = pruned->sparsity, asked = pruned->asked;
    if (!job->choices.pattern->decides || !(asked >= 0) || (got > asked - 0.02 && got < asked + 0.02)) return;
    fp_report_say(job->report, "pattern %s makes %.0f %% zeros, not the %.3g %% that were asked",
                  job->choices.pattern_text, 100 * got, 100 * asked);
}

int fp_job_report(struct fp_job *job, double asked) {
    report_data(job);
    report_config(job, asked);
    struct fp_report_pruned pruned = {.asked = asked >= 0 ? asked : NAN};
    int status = report_layers(job, &pruned);
    if (status) return status;
    note_pattern(job, &pruned);
    status = fp_weaken_report(job);
    if (status) return status;
    fp_job_report_layers(job, asked);
    double agreement = -1, with_dense = -1;
    status = fp_verdict_report(job, job->options->sparsity);
    if (!status) status = fp_verify_after(job, true, &agreement, &with_dense);
    if (agreement >= 0) {
        const struct fp_report_agreement answers = {.pruning = agreement, .with_dense = with_dense};
        FP_PUT(job->report, agreement, &answers);
    }
    if (!status) status = add_metadata(job, asked);
    if (!status) status = report_sizes(job, true);
    if (status) return status;
    struct fp_report_timing spent = {FP_REPORT_UNTIMED};
    spent.forward = job->state.forward;
    spent.statistics = job->state.statistics;
    spent.solve = job->state.solve;
    FP_PUT(job->report, timing, &spent);
    job->report->peak_rss_bytes = (double)fp_peak_rss();
    return report_gates(job, agreement, with_dense);
}
