// SPDX-License-Identifier: Apache-2.0
// The sections of a pruning's report as JSON objects. The order of the members is the order in which they are written.
#include "report/report_sections.h"

// What JSON has no value for (a text that is not UTF-8, a number that is not finite) is left out.
static void set(json_t *to, const char *name, json_t *value) { json_object_set_new(to, name, value); }
static void set_text(json_t *to, const char *name, const char *text) { set(to, name, json_string(text)); }
static void set_count(json_t *to, const char *name, size_t n) { set(to, name, json_integer((json_int_t)n)); }
static void set_real(json_t *to, const char *name, double value) { set(to, name, json_real(value)); }
static void set_flag(json_t *to, const char *name, bool value) { set(to, name, json_boolean(value)); }
static void set_real_or_auto(json_t *to, const char *name, double value) {
    set(to, name, value < 0 ? json_string("auto") : json_real(value));
}

void fp_report_put_data(struct fineprune_report *report, const struct fp_report_data *data) {
    json_t *to = fp_report_object(report, "data"), *sources = json_array();
    for (size_t i = 0; fp_data_source(data->sources, i); i++) {
        json_t *source = json_string(fp_data_source(data->sources, i));
        json_array_append_new(sources, source ? source : json_string("?"));
    }
    set(to, "sources", sources);
    set_count(to, "samples", data->samples);
    set_count(to, "reserve", data->reserve);
}

void fp_report_put_config(struct fineprune_report *report, const struct fp_report_config *config) {
    json_t *to = fp_report_object(report, "config");
    set_real_or_auto(to, "sparsity", config->sparsity);
    set_flag(to, "strict_sparsity", config->strict_sparsity);
    set_text(to, "method", config->method);
    set_text(to, "score", config->score);
    set_text(to, "allocation", config->allocation);
    set_text(to, "pattern", config->pattern);
    set_text(to, "repair", config->repair);
    set_text(to, "channels", config->channels);
    set_text(to, "swaps", config->swaps);
    set_text(to, "refit", config->refit);
    set_text(to, "outputs", config->outputs);
    set_text(to, "readout", config->readout);
    set(to, "rounds", json_integer(config->rounds));
    set_real(to, "min_agreement", config->min_agreement);
    set_real(to, "min_taught_agreement", config->min_taught_agreement);
    set_text(to, "task", config->task ? config->task : "auto");
    set_real_or_auto(to, "reserve", config->reserve);
    if (config->target) set(to, "target", fp_report_string(config->target));
}

double fp_report_sparsity(size_t zeros, size_t params) {
    if (!params) return 0;
    return (double)zeros / (double)params;
}

void fp_report_put_pruned(struct fineprune_report *report, const struct fp_report_pruned *pruned) {
    json_t *to = fp_report_object(report, "pruned");
    set_count(to, "params", pruned->params);
    set_count(to, "zeros", pruned->zeros);
    set_real(to, "sparsity", fp_report_sparsity(pruned->zeros, pruned->params));
    if (pruned->asked >= 0) set_real(to, "asked", pruned->asked);
}

// ---- lessons

// A section of which nothing is left from before.
static json_t *fresh(struct fineprune_report *report, const char *name) {
    json_t *object = fp_report_object(report, name);
    json_object_clear(object);
    return object;
}

// A lesson that was taken back names the reason first.
static void put_none(json_t *to, enum fp_report_lesson lesson, const char *reason, const char *name, json_t *nothing) {
    if (lesson == FP_LESSON_TAKEN_BACK) set_text(to, "reason", reason);
    set(to, name, nothing);
    if (lesson == FP_LESSON_NONE) set_text(to, "reason", reason);
}

void fp_report_put_outputs(struct fineprune_report *report, const struct fp_report_outputs *outputs) {
    json_t *to = fresh(report, "outputs"), *kept = outputs->kept ? json_array() : NULL;
    for (size_t k = 0; kept && k < outputs->classes; k++)
        if (outputs->kept[k]) json_array_append_new(kept, json_integer((json_int_t)k));
    if (kept) set(to, "kept", kept);
    if (outputs->lesson < FP_LESSON_TAUGHT) {
        put_none(to, outputs->lesson, outputs->reason, "pruned", json_integer(0));
        return;
    }
    set_count(to, "pruned", outputs->pruned);
    set_count(to, "zeros", outputs->zeros);
    set_count(to, "classes", outputs->classes);
    set_count(to, "seen", outputs->seen);
    set_count(to, "held_back", outputs->held_back);
    set_real(to, "unseen_bias", outputs->unseen_bias);
    set_real(to, "unseen_share", outputs->unseen_share);
}

void fp_report_put_readout(struct fineprune_report *report, const struct fp_report_readout *readout) {
    json_t *to = fresh(report, "readout");
    if (readout->lesson < FP_LESSON_TAUGHT) {
        put_none(to, readout->lesson, readout->reason, "applied", json_false());
        return;
    }
    if (readout->reason) set_text(to, "reason", readout->reason);
    set_real(to, "strength", readout->strength);
    set_count(to, "samples", readout->samples);
    set_count(to, "corrects", readout->corrects);
    set_real(to, "expected", readout->expected);
    set_count(to, "changes", readout->changes);
    set_count(to, "changes_confident", readout->changes_confident);
    set_real(to, "expected_confident", readout->expected_confident);
    set_flag(to, "trusted", readout->trusted);
    if (readout->lesson == FP_LESSON_LEARNED) set_flag(to, "applied", readout->strength > 0);
}

// ---- results

void fp_report_put_pattern(struct fineprune_report *report, const struct fp_report_pattern *pattern) {
    json_t *to = fp_report_object(report, "pattern");
    set_text(to, "name", pattern->name);
    set_count(to, "weights", pattern->weights);
    set_count(to, "params", pattern->params);
    set_count(to, "zeros", pattern->zeros);
    set_real(to, "sparsity", fp_report_sparsity(pattern->zeros, pattern->params));
}

void fp_report_add_dense(struct fineprune_report *report, const char *weight, const char *reason) {
    json_t *to = fp_report_object(report, "pattern"), *list = json_object_get(to, "dense"), *one = json_object();
    if (!list) {
        list = json_array();
        set(to, "dense", list);
    }
    set_text(one, "weight", weight);
    set_text(one, "reason", reason);
    json_array_append_new(list, one);
}

void fp_report_put_channels(struct fineprune_report *report, const struct fp_report_channels *channels) {
    json_t *to = fp_report_object(report, "channels");
    set_count(to, "groups", channels->groups);
    set_count(to, "in_groups", channels->in_groups);
    set_count(to, "removed", channels->removed);
    set_count(to, "zeros", channels->zeros);
}

void fp_report_put_compact(struct fineprune_report *report, const struct fp_report_compact *compact) {
    json_t *to = fp_report_object(report, "compact");
    set_count(to, "groups", compact->groups);
    set_count(to, "channels", compact->channels);
    set_count(to, "removed", compact->removed);
    set_count(to, "stay", compact->stay);
    set_count(to, "multiple", compact->multiple);
    set_count(to, "parameters_before", compact->parameters_before);
    set_count(to, "parameters", compact->parameters);
    if (compact->reason) set(to, "reason", fp_report_string(compact->reason));
}

void fp_report_put_macs(struct fineprune_report *report, const struct fp_report_macs *macs) {
    json_t *to = fp_report_object(report, "macs");
    if (macs->reason) {
        set(to, "reason", fp_report_string(macs->reason));
        return;
    }
    set_count(to, "dense", macs->dense);
    set_count(to, "computed", macs->computed);
    set_count(to, "nonzero", (size_t)(macs->nonzero + 0.5));
}

void fp_report_put_macs_compact(struct fineprune_report *report, size_t macs) {
    set_count(fp_report_object(report, "macs"), "compact", macs);
}

static json_t *obstacle(const struct fp_report_obstacle *o) {
    json_t *to = json_object();
    set(to, "weight", fp_report_string(o->weight));
    set_count(to, "channels", o->channels);
    set_text(to, "reason", o->reason);
    if (o->node) set(to, "reader", fp_report_string(o->node));
    return to;
}

void fp_report_put_target(struct fineprune_report *report, const struct fp_report_target *target) {
    json_t *to = fresh(report, "target"), *list = target->n_obstacles ? json_array() : NULL;
    set_text(to, "kind", target->kind);
    set_real(to, "asked", target->asked);
    set_real(to, "reached", target->reached);
    set_flag(to, "met", target->met);
    for (size_t i = 0; i < target->n_obstacles; i++) json_array_append_new(list, obstacle(&target->obstacles[i]));
    if (list) set(to, "in_the_way", list);
}

static void set_answers(json_t *to, const struct fp_report_measures *m) {
    set_count(to, "as_came", m->as_came);
    set_count(to, "as_without_zeros", m->as_without_zeros);
    if (m->mean_confidence_before <= 0) return;
    set_count(to, "changed_by_lesson", m->changed_by_lesson);
    set_count(to, "sure", m->sure);
    set_count(to, "sure_as_without_zeros", m->sure_as_without_zeros);
    set_count(to, "different_answers_before", m->different_answers_before);
    set_count(to, "different_answers", m->different_answers);
    set_count(to, "of_lost_classes", m->of_lost_classes);
    set(to, "expected_mistakes", fp_report_real(m->expected_mistakes));
    set(to, "mean_confidence_before", fp_report_real(m->mean_confidence_before));
    set(to, "mean_confidence", fp_report_real(m->mean_confidence));
}

static json_t *measures(const struct fp_report_measures *m) {
    json_t *to = json_object();
    set_count(to, "samples", m->samples);
    set_text(to, "measured_on", m->on_reserve ? "reserve" : "samples");
    if (m->relative_error >= 0) set(to, "relative_error", fp_report_real(m->relative_error));
    if (m->relative_error_of_other_outputs >= 0)
        set(to, "relative_error_of_other_outputs", fp_report_real(m->relative_error_of_other_outputs));
    if (m->worst_output) set(to, "worst_output", fp_report_string(m->worst_output));
    if (m->classes) set_answers(to, m);
    return to;
}

void fp_report_put_verdict(struct fineprune_report *report, const struct fp_report_verdict *verdict) {
    json_t *to = fp_report_object(report, "verdict");
    set_text(to, "kind", verdict->kind);
    set(to, "text", fp_report_string(verdict->text));
    set_flag(to, "ruined", verdict->ruined);
    set(to, "measures", measures(&verdict->measures));
}

void fp_report_put_agreement(struct fineprune_report *report, const struct fp_report_agreement *agreement) {
    json_t *to = fp_report_object(report, "agreement");
    set_real(to, "pruning", agreement->pruning);
    set_real(to, "with_dense", agreement->with_dense);
}

void fp_report_add_gate(struct fineprune_report *report, const struct fp_report_gate *gate) {
    json_t *to = json_object();
    set_text(to, "name", gate->name);
    set_real(to, "asked", gate->asked);
    set(to, "measured", gate->measured >= 0 ? json_real(gate->measured) : json_null());
    set_flag(to, "met", gate->met);
    json_array_append_new(fp_report_array(report, "gates"), to);
}

void fp_report_put_size(struct fineprune_report *report, const char *when, const struct fp_model_size *size) {
    json_t *to = json_object();
    set_count(to, "raw", size->raw);
    set_count(to, "deflated", size->deflated);
    if (size->estimated) set_flag(to, "estimated", true);
    set(fp_report_object(report, "size"), when, to);
}

void fp_report_put_spent(struct fineprune_report *report, const struct fp_report_spent *spent) {
    json_t *to = fp_report_object(report, "timing");
    set_real(to, "forward", spent->forward);
    set_real(to, "statistics", spent->statistics);
    set_real(to, "solve", spent->solve);
    set_count(report->root, "peak_rss_bytes", spent->peak_rss_bytes);
}
