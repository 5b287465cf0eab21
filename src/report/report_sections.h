// SPDX-License-Identifier: Apache-2.0
// What a report has to tell, a struct for each of its sections. The member's name is the key in JSON; which of them are
// written, and in which order, is in the tables of report_sections.c. A number that is not known is NAN, a text NULL.
// Texts and arrays are lent by who puts a section into a report, which keeps copies.
#ifndef FP_REPORT_SECTIONS_H
#define FP_REPORT_SECTIONS_H

#include "base/base.h"

// A list that lies in the report's memory. `there`: it is written also where it is empty.
#define FP_LIST(name, type)                                                                                            \
    struct name {                                                                                                      \
        type *items;                                                                                                   \
        size_t n, room;                                                                                                \
        bool there;                                                                                                    \
    }
FP_LIST(fp_texts, const char *);
FP_LIST(fp_counts, size_t);

struct fp_report_tool {
    const char *name, *version, *libraries;
};

// "verdict", with what it was decided by.
struct fp_report_measures {
    size_t samples;
    const char *measured_on;                                // "reserve" or "samples", those that decide
    double relative_error, relative_error_of_other_outputs; // negative: not measured
    const char *worst_output;                               // NULL: there is none
    bool classes;                                           // the outputs are; the rest is of answers
    size_t as_came, as_without_zeros;
    double mean_confidence_before, mean_confidence; // the former 0: nothing more is known of the answers
    size_t changed_by_lesson, sure, sure_as_without_zeros, different_answers_before, different_answers, of_lost_classes;
    double expected_mistakes;
    size_t all_samples; // with those that the last layer was fitted on; 0: it was not, and there is nothing more
    size_t all_as_came, all_as_without_zeros, all_changed_by_lesson;
    double all_expected_mistakes;
};
struct fp_report_verdict {
    const char *kind, *text;
    bool ruined;
    struct fp_report_measures measures;
};

// "model"; "second_model" is compare's B.
struct fp_report_model {
    const char *path, *sha256; // the latter NULL: too slow to ask
    int64_t opset, ir;
    const char *producer;
    size_t file_size, parameters;
};

// rank < 0: unknown. A negative dim has a name, or NULL for none; symbols may be NULL.
struct fp_report_shape {
    int rank;
    const int64_t *dims;
    const char *const *symbols;
};
// One of "inputs" and of "outputs_of_model".
struct fp_report_value {
    const char *name, *type;
    struct fp_report_shape shape;
};
FP_LIST(fp_report_values, struct fp_report_value);

// One of "operators", of inspect and check.
struct fp_report_operator {
    const char *type, *domain;
    size_t count;
    bool supported;
};
FP_LIST(fp_report_operators, struct fp_report_operator);

// One of "warnings": what looks wrong with the preparation of the samples, by a word for programs, and what shows it.
struct fp_report_warning {
    const char *cause, *text, *evidence;
};
FP_LIST(fp_report_warnings, struct fp_report_warning);

// "data"
struct fp_report_data {
    struct fp_texts sources;
    size_t samples, reserve; // with the reserve, and it alone
    bool splits;             // there may be a reserve
    size_t recordings;       // of which the samples are windows, or 0
    const char *preparation; // how files became samples, or NULL
    // what lies there and is no sample: how many files cannot be used, with reasons, and what is no data ("3 .txt")
    size_t unusable_files;
    struct fp_texts unusable, passed_over;
};

// "config": what was chosen.
struct fp_report_config {
    double sparsity; // negative: auto
    bool strict_sparsity;
    const char *method, *score, *allocation, *pattern, *repair, *channels, *swaps, *refit, *outputs, *readout;
    int64_t rounds;
    double min_agreement, min_taught_agreement;
    const char *task;
    double reserve;     // negative: auto
    const char *target; // NULL: none
};

// One of "layers": a weight and what became of it.
struct fp_report_layer {
    const char *name, *part; // of the stored tensor; "[:, 0:64]" where the weight is not the whole, or NULL
    struct fp_texts tensors; // where it has several
    const char *op, *node;
    struct fp_report_shape shape;
    size_t params, zeros;
    double sparsity;
    bool whole; // the next three are known
    size_t zero_rows, zero_columns, whole_zeros;
    const char *pattern; // that the zeros follow, "2:4" or "block:2x1", or NULL
    size_t macs;         // 0: not known
    double error_before_repair, error_after_repair;
    const char *bias_left, *not_repaired; // why; NULL: the bias is written, the layer is repaired
};
FP_LIST(fp_report_layers, struct fp_report_layer);

// One of "skipped": a tensor that stays dense.
struct fp_report_skipped {
    const char *name, *part, *reason;
    size_t params;
};
FP_LIST(fp_report_skipped_list, struct fp_report_skipped);

// "pruned": over all layers.
struct fp_report_pruned {
    size_t params, zeros;
    double sparsity, asked;
};

// "task": what the outputs are taken for, and why.
struct fp_report_evidence {
    const char *name, *found, *says;
    int64_t points;
};
FP_LIST(fp_report_evidences, struct fp_report_evidence);
struct fp_report_task {
    const char *decided, *by, *output, *reason;
    int64_t points;
    struct fp_report_evidences evidence;
    const char *said; // the line of a summary
};

// How far a lesson came: none was given, it was given and taken back, the dense model has it, the pruned model has it.
enum fp_report_lesson { FP_LESSON_NONE, FP_LESSON_TAKEN_BACK, FP_LESSON_TAUGHT, FP_LESSON_LEARNED };

// "outputs"
struct fp_report_outputs {
    enum fp_report_lesson lesson;
    const char *reason;    // of none, or why it was taken back; the rest is of one that was taught
    struct fp_counts kept; // indices, where some are pruned
    size_t pruned, zeros, classes, seen, held_back;
    double sharpness; // what scores are multiplied with for probabilities
    double unseen_bias, unseen_share;
    bool shrunk; // the output has the kept classes only
};

// "readout"
struct fp_report_readout {
    enum fp_report_lesson lesson;
    const char *reason; // why it is not used; NULL: it is
    double strength, expected, expected_confident;
    size_t samples, corrects, changes, changes_confident;
    bool trusted, applied;
};

// "pattern": of the weights that follow it; dense: in which it made no zeros.
struct fp_report_dense {
    const char *weight, *reason;
};
FP_LIST(fp_report_dense_list, struct fp_report_dense);
struct fp_report_pattern {
    const char *name;
    size_t weights, params, zeros;
    double sparsity;
    struct fp_report_dense_list dense;
};

// "channels": pruned whole.
struct fp_report_channels {
    size_t groups, in_groups, removed, zeros;
};

// "compact": what left the shapes, or would.
struct fp_report_compact {
    size_t groups, channels, removed, stay, multiple, parameters_before, parameters; // stay: though nothing reads them
    const char *reason;                                                              // of some that stay, or NULL
    size_t bytes_before, bytes; // of the file, of inspect, which foretells; 0: the shapes are so
};

// "runtime": which weights a runtime computes faster or stores smaller, by its own rules, and why.
struct fp_report_gain {
    const char *weight, *part, *becomes, *why; // becomes: "faster", "smaller", "neither"
};
FP_LIST(fp_report_gains, struct fp_report_gain);
struct fp_report_runtime {
    const char *profile, *set; // what it has set, or NULL
    size_t multiple, faster, smaller, neither;
    const char *condition, *source; // of what is faster, or NULL; an address
    struct fp_report_gains weights;
};

// One of "drift", on the reserve or on compare's data.
struct fp_report_drift {
    const char *output;
    double cosine, sqnr_db, max_abs, top1_agreement;
};
FP_LIST(fp_report_drifts, struct fp_report_drift);

// "agreement": shares of the reserve's answers that are as before: against the dense model with the same read-out, and
// as it was.
struct fp_report_agreement {
    double pruning, with_dense;
};

// "accuracy" of compare with labels. top5: the right class is one of the five best; NAN with less than ten classes.
struct fp_report_accuracy {
    double a, b;
    size_t samples;
    double a_top5, b_top5;
};

// "layer_errors" of compare: what each layer of B gives, against A's, in the order of the graph.
struct fp_report_layer_error {
    const char *output, *node, *op, *weight; // node and weight may be NULL
    double error, of_inputs;                 // the latter: the greatest error of what it reads
    bool stands_out;
};
FP_LIST(fp_report_layer_error_list, struct fp_report_layer_error);
struct fp_report_layer_errors {
    const char *measure, *said; // what an error is; the line of a summary
    size_t other_shape, without_partner;
    struct fp_report_layer_error_list layers;
};

// "size", in bytes. estimated: deflated is.
struct fp_report_bytes {
    size_t raw, deflated;
    bool estimated;
};
struct fp_report_size {
    struct fp_report_bytes *before, *after;
};

// "sparse_initializers": written so, what they take and would take, who reads them.
struct fp_report_sparse {
    double tensors, bytes, dense_bytes;
    const char *readers;
};

// One of "gates".
struct fp_report_gate {
    const char *name;
    double asked, measured; // the latter NAN: it could not be
    bool met;
};
FP_LIST(fp_report_gates, struct fp_report_gate);

// "timing", in seconds. prepare (run): making primitives and packing weights, which forward contains.
struct fp_report_timing {
    double load, prepare, forward, statistics, solve, write, seconds, samples_per_second;
};
#define FP_REPORT_UNTIMED                                                                                              \
    .load = NAN, .prepare = NAN, .forward = NAN, .statistics = NAN, .solve = NAN, .write = NAN, .seconds = NAN,        \
    .samples_per_second = NAN

// "target": what a model was to cost, and what is left of that once the shapes are smaller, exactly.
struct fp_report_obstacle {
    const char *weight; // one that makes the channels
    size_t channels;
    const char *reason, *reader; // the latter: the type of the node that reads them, or NULL
};
FP_LIST(fp_report_obstacles, struct fp_report_obstacle);
struct fp_report_target {
    const char *kind; // "macs", "size", "latency"
    double asked, reached;
    bool met;
    struct fp_report_obstacles in_the_way; // the costliest, where it is not met
};

// "macs": multiply-adds of a sample.
struct fp_report_macs {
    const char *reason;                 // why they are not counted; NULL: they are
    size_t dense, computed, nonzero;    // of the model that came; of two computed operands; not by a zero weight
    size_t compact, compact_parameters; // in smaller shapes; 0: not known
};

// What a program adds by itself, or writes over a member that cannot hold it. section NULL: the report; text NULL: the
// number.
struct fp_report_extra {
    const char *section, *key, *text;
    double number;
};
FP_LIST(fp_report_extras, struct fp_report_extra);

#endif
