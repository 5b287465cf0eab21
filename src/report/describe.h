// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report.
#ifndef FP_DESCRIBE_H
#define FP_DESCRIBE_H

#include "report/report.h"
#include "weights/weights.h"

// Fills the member `name` ("model", "second_model"): path, sha256 (when `hash`), opset, ir, producer, file_size,
// parameters.
void fp_describe_model(struct fineprune_report *report, const char *name, struct fineprune_model *model, bool hash);
// Appends one weight to "layers": name, part, tensors, op, node, shape, params, zeros, sparsity. Returns the entry
// (borrowed).
json_t *fp_describe_weight(struct fineprune_report *report, const struct fp_weight *w, size_t zeros);
// "skipped", with the reasons.
void fp_describe_skipped(struct fineprune_report *report, const struct fp_weights *weights);
// "pruned": the totals over all entries of "layers", and what was asked (negative: nothing).
void fp_describe_total(struct fineprune_report *report, double asked);
// "inputs", "outputs_of_model" and "operators".
void fp_describe_graph(struct fineprune_report *report, struct fineprune_model *model);
// Greatest resident memory of the process so far, bytes.
size_t fp_peak_rss(void);

#endif
