// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report.
#ifndef FP_DESCRIBE_H
#define FP_DESCRIBE_H

#include "report/report_sections.h"
#include "weights/weights.h"

// Fills the member `name` ("model", "second_model"): path, sha256 (when `hash`), opset, ir, producer, file_size,
// parameters.
void fp_describe_model(struct fineprune_report *report, const char *name, struct fineprune_model *model, bool hash);
// One of "layers": name, part, tensors, op, node, shape, params, zeros, sparsity of its weight, and what follows.
struct fp_report_layer {
    const struct fp_weight *weight;
    size_t zeros;
    bool whole; // the next three are known
    size_t zero_rows, zero_columns, whole_zeros;
    size_t macs;                                    // 0: not known
    double error_before_repair, error_after_repair; // negative: not measured
    const char *bias_left, *not_repaired;           // why; NULL: the bias is written, the layer is repaired
};
void fp_describe_layer(struct fineprune_report *report, const struct fp_report_layer *layer);
// "skipped", with the reasons.
void fp_describe_skipped(struct fineprune_report *report, const struct fp_weights *weights);
// "inputs", "outputs_of_model" and "operators".
void fp_describe_graph(struct fineprune_report *report, struct fineprune_model *model);
// Greatest resident memory of the process so far, bytes.
size_t fp_peak_rss(void);

#endif
