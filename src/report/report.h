// SPDX-License-Identifier: Apache-2.0
// A report: typed sections, from which JSON, the texts for people and the page are written, each by itself. The JSON is
// one object; its members in their order are the rows of report_sections.c, all optional but the first three. Further
// ones may come.
#ifndef FP_REPORT_H
#define FP_REPORT_H

#include "base/arena.h"
#include "report/report_sections.h"

#define FP_REPORT_SCHEMA "fineprune-report-1"

struct fineprune_report {
    struct fp_arena arena; // of all that is in it; what was not to be had makes every writer fail
    const char *schema;
    struct fp_report_tool tool;
    const char *command; // prune, apply, compact, run, compare, inspect, check
    struct fp_report_verdict *verdict;
    struct fp_report_model *model, *second_model;
    struct fp_report_values inputs, outputs_of_model;
    struct fp_report_operators operators;
    struct fp_texts obstacles; // of check
    struct fp_report_data *data;
    struct fp_report_config *config;
    struct fp_report_layers layers;
    struct fp_report_skipped_list skipped;
    struct fp_report_pruned *pruned;
    struct fp_report_task *task;
    struct fp_report_outputs *outputs;
    struct fp_report_readout *readout;
    struct fp_report_pattern *pattern;
    struct fp_report_channels *channels;
    struct fp_report_compact *compact;
    struct fp_report_target *target;
    struct fp_report_runtime *runtime;
    struct fp_report_macs *macs;
    struct fp_report_warnings warnings;
    struct fp_texts notes; // what a user should know (few samples, ...)
    struct fp_report_drifts drift;
    struct fp_report_agreement *agreement;
    struct fp_report_accuracy *accuracy;
    struct fp_report_layer_errors *layer_errors;
    struct fp_report_size *size;
    struct fp_report_sparse *sparse_initializers;
    struct fp_report_gates gates;
    const char *wrote; // path
    struct fp_report_timing *timing;
    double peak_rss_bytes;
    struct fp_report_extras extras;
};

// With schema, tool and command set; NULL when out of memory.
struct fineprune_report *fp_report_new(const char *command);
// Appends a line to "notes"; no report: nothing.
void fp_report_say(struct fineprune_report *report, const char *format, ...) FP_PRINTF(2, 3);
// The text, or "?" for bytes that are not UTF-8. (All other texts keep what they can: such a byte becomes U+FFFD.)
const char *fp_report_plain(const char *text);

// FP_PUT(report, pruned, &pruned): a section in place of the one before. FP_ADD(report, layers, &layer): one more item
// of a list. What is given is copied, with its texts and shapes; lists inside it are in the report's memory already.
// The types are checked.
#define FP_PUT(report, member, ...)                                                                                    \
    fp_report_put(report, &(report)->member, #member, 1 ? (__VA_ARGS__) : (report)->member)
#define FP_ADD(report, member, ...)                                                                                    \
    fp_report_add(report, &(report)->member, #member, 1 ? (__VA_ARGS__) : (report)->member.items)
void fp_report_put(struct fineprune_report *report, void *slot, const char *key, const void *section);
void fp_report_add(struct fineprune_report *report, void *list, const char *key, const void *item);

struct fineprune_data;
struct fp_model_size;

// "data" with the sources of the data; "outputs" with the list of those kept (per class, NULL: all); a half of "size";
// what a "task", a "pattern", a "target" or a "runtime" to come has; of "macs" those of smaller shapes, and their
// parameters, 0 for no word of them.
void fp_report_put_data(struct fineprune_report *report, const struct fineprune_data *sources,
                        const struct fp_report_data *data);
void fp_report_put_outputs(struct fineprune_report *report, const struct fp_report_outputs *outputs,
                           const uint8_t *kept);
void fp_report_put_size(struct fineprune_report *report, bool after, const struct fp_model_size *size);
void fp_report_add_evidence(struct fineprune_report *report, struct fp_report_task *task,
                            const struct fp_report_evidence *evidence);
void fp_report_add_dense(struct fineprune_report *report, struct fp_report_pattern *pattern,
                         const struct fp_report_dense *dense);
void fp_report_add_obstacle(struct fineprune_report *report, struct fp_report_target *target,
                            const struct fp_report_obstacle *obstacle);
void fp_report_add_gain(struct fineprune_report *report, struct fp_report_runtime *runtime,
                        const struct fp_report_gain *gain);
void fp_report_add_layer_error(struct fineprune_report *report, struct fp_report_layer_errors *errors,
                               const struct fp_report_layer_error *layer);
void fp_report_put_macs_compact(struct fineprune_report *report, size_t count, size_t parameters);
void fp_report_add_text(struct fineprune_report *report, struct fp_texts *texts, const char *text);

// Zeros as a share, 0 of nothing.
double fp_report_sparsity(size_t zeros, size_t params);

#endif
