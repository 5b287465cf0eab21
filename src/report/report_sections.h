// SPDX-License-Identifier: Apache-2.0
// What a pruning has to tell, a struct for each section of the report, and what writes each into it. Texts are lent.
#ifndef FP_REPORT_SECTIONS_H
#define FP_REPORT_SECTIONS_H

#include "data/data.h"
#include "onnx/model.h"
#include "report/report.h"

// "data"
struct fp_report_data {
    const struct fineprune_data *sources;
    size_t samples, reserve; // with the reserve, and it alone
};
void fp_report_put_data(struct fineprune_report *report, const struct fp_report_data *data);

// "config"
struct fp_report_config {
    double sparsity; // negative: auto
    bool strict_sparsity;
    const char *method, *score, *allocation, *pattern, *repair, *channels, *swaps, *refit, *outputs, *readout;
    int rounds;
    double min_agreement, min_taught_agreement;
    const char *task;   // NULL: auto
    const char *target; // NULL: none
    double reserve;     // negative: auto
};
void fp_report_put_config(struct fineprune_report *report, const struct fp_report_config *config);

// "pruned": over all layers.
struct fp_report_pruned {
    size_t params, zeros;
    double asked; // negative: nothing
};
double fp_report_sparsity(size_t zeros, size_t params);
void fp_report_put_pruned(struct fineprune_report *report, const struct fp_report_pruned *pruned);

// How far a lesson came: none was given, it was given and taken back, the dense model has it, the pruned model has it.
enum fp_report_lesson { FP_LESSON_NONE, FP_LESSON_TAKEN_BACK, FP_LESSON_TAUGHT, FP_LESSON_LEARNED };

// "outputs"
struct fp_report_outputs {
    enum fp_report_lesson lesson;
    const char *reason;  // of none, or why it was taken back; the rest is of one that was taught
    const uint8_t *kept; // per class; NULL: all
    size_t pruned, zeros, classes, seen, held_back;
    double unseen_bias, unseen_share;
};
void fp_report_put_outputs(struct fineprune_report *report, const struct fp_report_outputs *outputs);

// "readout"
struct fp_report_readout {
    enum fp_report_lesson lesson;
    const char *reason; // why it is not used; NULL: it is
    double strength, expected, expected_confident;
    size_t samples, corrects, changes, changes_confident;
    bool trusted;
};
void fp_report_put_readout(struct fineprune_report *report, const struct fp_report_readout *readout);

// "pattern": of the weights that follow it. And one of those in which it made no zeros.
struct fp_report_pattern {
    const char *name;
    size_t weights, params, zeros;
};
void fp_report_put_pattern(struct fineprune_report *report, const struct fp_report_pattern *pattern);
void fp_report_add_dense(struct fineprune_report *report, const char *weight, const char *reason);

// "channels"
struct fp_report_channels {
    size_t groups, in_groups, removed, zeros;
};
void fp_report_put_channels(struct fineprune_report *report, const struct fp_report_channels *channels);

// "compact": what left the shapes.
struct fp_report_compact {
    size_t groups, channels, removed, stay, multiple, parameters_before, parameters; // stay: though nothing reads them
    const char *reason;                                                              // of some that stay, or NULL
};
void fp_report_put_compact(struct fineprune_report *report, const struct fp_report_compact *compact);

// "macs": multiply-adds of a sample. With a reason they could not be counted.
struct fp_report_macs {
    size_t dense, computed; // of the model that came; those of two computed operands among them
    double nonzero;         // not by a pruned weight
    const char *reason;
};
void fp_report_put_macs(struct fineprune_report *report, const struct fp_report_macs *macs);
void fp_report_put_macs_compact(struct fineprune_report *report, size_t macs); // of smaller shapes

// "target": what a model was to cost.
struct fp_report_obstacle {
    const char *weight, *reason, *node; // one that makes the channels; the type of the node that reads them, or NULL
    size_t channels;
    double cost; // of what makes them
};
struct fp_report_target {
    const char *kind; // "macs", "size"
    double asked, reached;
    bool met;
    const struct fp_report_obstacle *obstacles; // the costliest
    size_t n_obstacles;
};
void fp_report_put_target(struct fineprune_report *report, const struct fp_report_target *target);

// "verdict", with what it was decided by.
struct fp_report_measures {
    size_t samples;
    bool on_reserve;                                        // else on the samples that decide
    double relative_error, relative_error_of_other_outputs; // negative: not measured
    const char *worst_output;                               // NULL: there is none
    bool classes;                                           // the outputs are; the rest is of answers
    size_t as_came, as_without_zeros;
    double mean_confidence_before, mean_confidence; // the former 0: nothing more is known of the answers
    size_t changed_by_lesson, sure, sure_as_without_zeros, different_answers_before, different_answers, of_lost_classes;
    double expected_mistakes;
};
struct fp_report_verdict {
    const char *kind, *text;
    bool ruined;
    struct fp_report_measures measures;
};
void fp_report_put_verdict(struct fineprune_report *report, const struct fp_report_verdict *verdict);

// "agreement"
struct fp_report_agreement {
    double pruning, with_dense;
};
void fp_report_put_agreement(struct fineprune_report *report, const struct fp_report_agreement *agreement);

// One of "gates".
struct fp_report_gate {
    const char *name;
    double asked, measured; // the latter negative: it could not be
    bool met;
};
void fp_report_add_gate(struct fineprune_report *report, const struct fp_report_gate *gate);

// "size", `when` "before" or "after".
void fp_report_put_size(struct fineprune_report *report, const char *when, const struct fp_model_size *size);

// "timing", in seconds, and "peak_rss_bytes".
struct fp_report_spent {
    double forward, statistics, solve;
    size_t peak_rss_bytes;
};
void fp_report_put_spent(struct fineprune_report *report, const struct fp_report_spent *spent);

#endif
