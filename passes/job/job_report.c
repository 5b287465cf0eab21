// SPDX-License-Identifier: Apache-2.0
// What a pruning job tells: its configuration, every layer, what was left alone, the gates and the times.
#include <stdio.h>
#include <stdlib.h>

#include "report/describe.h"
#include "job/job.h"

static void report_data(struct fp_job *job) {
    if (!job->data) return;
    json_t *data = fp_report_object(job->report, "data"), *sources = json_array();
    for (size_t i = 0; fp_data_source(job->data, i); i++) {
        const char *source = fp_data_source(job->data, i);
        json_t *string = json_string(source);
        json_array_append_new(sources, string ? string : json_string("?"));
    }
    json_object_set_new(data, "sources", sources);
    json_object_set_new(data, "samples", json_integer((json_int_t)(job->n_local + job->n_reserve)));
    json_object_set_new(data, "reserve", json_integer((json_int_t)job->n_reserve));
}

static void report_config(struct fp_job *job, double asked) {
    const struct fp_choices *c = &job->choices;
    json_t *config = fp_report_object(job->report, "config");
    json_object_set_new(config, "sparsity", job->options->sparsity < 0 ? json_string("auto") : json_real(asked));
    json_object_set_new(config, "strict_sparsity", json_boolean(job->options->strict_sparsity));
    json_object_set_new(config, "method", json_string(c->method->name));
    json_object_set_new(config, "score", json_string(c->score->name));
    json_object_set_new(config, "allocation", json_string(c->allocation->name));
    json_object_set_new(config, "pattern", json_string(c->pattern_text));
    json_object_set_new(config, "repair", json_string(c->repair->name));
    json_object_set_new(config, "channels", json_string(c->channels->name));
    json_object_set_new(config, "swaps", json_string(c->swaps->name));
    json_object_set_new(config, "refit", json_string(c->refit->name));
    json_object_set_new(config, "outputs", json_string(c->outputs->name));
    json_object_set_new(config, "readout", json_string(c->readout->name));
    json_object_set_new(config, "rounds", json_integer(c->rounds));
    json_object_set_new(config, "min_agreement", json_real(job->options->min_agreement));
    json_object_set_new(config, "min_taught_agreement", json_real(job->options->min_taught_agreement));
    json_object_set_new(config, "task", json_string(job->options->task ? job->options->task : "auto"));
    json_object_set_new(config, "reserve",
                        job->options->reserve < 0 ? json_string("auto") : json_real(job->options->reserve));
}

// Layers whose rows lose their pruned synapses' mean for good.
static void note_biases(struct fp_job *job) {
    int left = 0;
    const char *first = NULL, *reason = NULL;
    for (int i = 0; i < job->n; i++) {
        const struct fp_weight *w = job->layers[i].w;
        if (w->bias.proto || !w->bias.reason) continue;
        if (!left++) first = w->name, reason = w->bias.reason;
    }
    if (left)
        fp_report_say(
            job->report,
            "%d of %d layers have no bias that can be written, and what their rows lose on average is lost: '%s' "
            "(%s)%s",
            left, job->n, first, reason, left > 1 ? " and others ('bias_left' of each layer in the report)" : "");
}

static int report_layers(struct fp_job *job) {
    for (int i = 0; i < job->n; i++) {
        const struct fp_layer *l = &job->layers[i];
        size_t zeros;
        int status = fp_weight_zeros(job->model, l->w, &zeros, job->err);
        if (status) return status;
        json_t *entry = fp_describe_weight(job->report, l->w, zeros);
        if (l->error_before >= 0) json_object_set_new(entry, "error_before_repair", json_real(l->error_before));
        const char *left = l->w->bias.reason ? l->w->bias.reason : "it has no bias";
        if (job->choices.repair->needs && !l->w->bias.proto) json_object_set_new(entry, "bias_left", json_string(left));
        if (l->error_after >= 0) json_object_set_new(entry, "error_after_repair", json_real(l->error_after));
    }
    fp_describe_skipped(job->report, job->weights);
    if (job->choices.repair->needs) note_biases(job);
    return FINEPRUNE_OK;
}

static int missed_gate(struct fp_job *job, const char *option, const char *with, double asked, double agreement) {
    if (agreement < 0) {
        const char *reason = job->task.kind != FP_TASK_CLASSES && job->task.reason ? job->task.reason
                             : !job->n_reserve                                     ? "there is no reserve"
                                                                                   : "there are no answers";
        fp_fail(job->err, FINEPRUNE_GATE, "%s %g could not be measured: %s", option, asked, reason);
        fp_hint(job->err, job->task.kind != FP_TASK_CLASSES
                              ? "--task classes, if they are; the drift of the outputs is in the report"
                              : "give more samples or a greater --reserve");
        return FINEPRUNE_GATE;
    }
    fp_fail(job->err, FINEPRUNE_GATE, "the pruned model agrees with %s on %.1f %% of the reserve; %.1f %% were asked",
            with, 100 * agreement, 100 * asked);
    fp_hint(job->err, job->teacher || job->kept_classes
                          ? "ask for less sparsity, '--sparsity auto', or no lesson: --readout keep --outputs keep"
                          : "ask for less sparsity, or '--sparsity auto'");
    return FINEPRUNE_GATE;
}

static int report_gate(struct fp_job *job, const char *name, const char *option, const char *with, double asked,
                       double agreement) {
    if (asked <= 0) return FINEPRUNE_OK;
    bool met = agreement >= asked;
    json_t *gate = json_object();
    json_object_set_new(gate, "name", json_string(name));
    json_object_set_new(gate, "asked", json_real(asked));
    json_object_set_new(gate, "measured", agreement >= 0 ? json_real(agreement) : json_null());
    json_object_set_new(gate, "met", json_boolean(met));
    json_array_append_new(fp_report_array(job->report, "gates"), gate);
    return met ? FINEPRUNE_OK : missed_gate(job, option, with, asked, agreement);
}

// The first gate that is missed is the one told.
static int report_gates(struct fp_job *job, double taught, double with_dense) {
    const fineprune_prune_options *o = job->options;
    int first = report_gate(job, "min_agreement", "min-agreement", "the model that came in", o->min_agreement,
                            with_dense);
    fineprune_error told = *job->err;
    int second = report_gate(job, "min_taught_agreement", "min-taught-agreement", "the dense model of the same lesson",
                             o->min_taught_agreement, taught);
    if (first) *job->err = told;
    return first ? first : second;
}

static int add_metadata(struct fp_job *job, double asked) {
    if (job->options->no_metadata) return FINEPRUNE_OK;
    char text[64];
    snprintf(text, sizeof(text), "%.4f", asked);
    int status = fp_model_set_metadata(job->model, "fineprune.sparsity", text, job->err);
    if (!status) status = fp_model_set_metadata(job->model, "fineprune.method", job->choices.method->name, job->err);
    if (!status) status = fp_model_set_metadata(job->model, "fineprune.version", fineprune_version(), job->err);
    json_t *kept = job->kept_classes ? json_object_get(fp_report_object(job->report, "outputs"), "kept") : NULL;
    if (status || !kept) return status;
    char *list = json_dumps(kept, JSON_COMPACT);
    if (!list) return fp_fail_memory(job->err, "metadata", 0);
    status = fp_model_set_metadata(job->model, "fineprune.outputs_kept", list, job->err);
    free(list);
    return status;
}

static int report_sizes(struct fp_job *job, const char *when) {
    struct fp_model_size bytes;
    int status = fp_model_sizes(job->model, job->threads, &bytes, job->err);
    if (status) return status;
    json_t *size = json_object();
    json_object_set_new(size, "raw", json_integer((json_int_t)bytes.raw));
    json_object_set_new(size, "deflated", json_integer((json_int_t)bytes.deflated));
    if (bytes.estimated) json_object_set_new(size, "estimated", json_true());
    json_object_set_new(fp_report_object(job->report, "size"), when, size);
    return FINEPRUNE_OK;
}

int fp_job_report_before(struct fp_job *job) {
    fp_describe_model(job->report, "model", job->model, true);
    return report_sizes(job, "before");
}

// A pattern that decides by itself how many zeros there are says so when that is not what was asked.
static void note_pattern(struct fp_job *job, double asked) {
    double got = json_number_value(json_object_get(fp_report_object(job->report, "pruned"), "sparsity"));
    if (!job->choices.pattern->decides || asked < 0 || (got > asked - 0.02 && got < asked + 0.02)) return;
    fp_report_say(job->report, "pattern %s makes %.0f %% zeros, not the %.0f %% that were asked",
                  job->choices.pattern_text, 100 * got, 100 * asked);
}

int fp_job_report(struct fp_job *job, double asked) {
    report_data(job);
    report_config(job, asked);
    int status = report_layers(job);
    if (status) return status;
    fp_describe_total(job->report, asked);
    note_pattern(job, asked);
    fp_job_report_layers(job, asked);
    double agreement = -1, with_dense = -1;
    status = fp_safety_report(job, job->options->sparsity);
    if (!status) status = fp_verify_after(job, true, &agreement, &with_dense);
    if (agreement >= 0) {
        json_t *answers = fp_report_object(job->report, "agreement");
        json_object_set_new(answers, "pruning", json_real(agreement));
        json_object_set_new(answers, "with_dense", json_real(with_dense));
    }
    if (!status) status = add_metadata(job, asked);
    if (!status) status = report_sizes(job, "after");
    if (status) return status;
    json_t *timing = fp_report_object(job->report, "timing");
    json_object_set_new(timing, "forward", json_real(job->forward));
    json_object_set_new(timing, "statistics", json_real(job->statistics));
    json_object_set_new(timing, "solve", json_real(job->solve));
    json_object_set_new(job->report->root, "peak_rss_bytes", json_integer((json_int_t)fp_peak_rss()));
    return report_gates(job, agreement, with_dense);
}
