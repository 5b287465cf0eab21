// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report.
#ifndef FP_DESCRIBE_H
#define FP_DESCRIBE_H

#include "compact/compact.h"
#include "report/report.h"
#include "weights/multiply_adds.h"
#include "weights/weights.h"

// "model", or "second_model", with sha256 (when `hash`).
void fp_describe_model(struct fineprune_report *report, bool second, struct fineprune_model *model, bool hash);
// One of "layers": `layer` has what does not follow from its weight.
void fp_describe_layer(struct fineprune_report *report, const struct fp_weight *weight,
                       const struct fp_report_layer *layer);
// "macs"; nonzero: those that are not by a weight that is zero.
void fp_describe_macs(struct fineprune_report *report, const struct fp_macs *macs, double nonzero);
// "compact"; `given` has its multiple, and the bytes where it only foretells.
void fp_describe_compact(struct fineprune_report *report, const struct fp_compacted *found,
                         const struct fp_report_compact *given);
// "skipped", with the reasons.
void fp_describe_skipped(struct fineprune_report *report, const struct fp_weights *weights);
// "inputs", "outputs_of_model" and "operators".
void fp_describe_graph(struct fineprune_report *report, struct fineprune_model *model);
// Greatest resident memory of the process so far, bytes.
size_t fp_peak_rss(void);

#endif
