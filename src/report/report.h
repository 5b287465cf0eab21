// SPDX-License-Identifier: Apache-2.0
// clang-format off
// A report is one JSON object; the texts for people are made from it. The members in their order, all optional but the
// first three. Further ones may come.
//
//   schema               "fineprune-report-1"
//   tool                 {name, version, libraries}
//   command              "prune" | "apply" | "compact" | "run" | "compare" | "inspect" | "check"
//   verdict              {kind, text, ruined, measures {samples, measured_on, relative_error, as_came, ...}}
//   model, second_model  {path, sha256, opset, ir, producer, file_size, parameters}; the second is compare's B; inspect
//                        and check leave out sha256
//   inputs, outputs_of_model   [{name, type, shape}]
//   operators            [{type, domain, count, supported}] of inspect and check
//   obstacles            [text] of check
//   data                 {sources [text], samples, reserve}
//   config               {sparsity, method, score, allocation, pattern, ..., min_agreement, ...}: what was chosen
//   layers               [{name, part, tensors, op, node, shape, params, zeros, sparsity, error_before_repair,
//                        error_after_repair}]; name is that of the stored tensor, part "[:, 0:64]" where it is not the
//                        whole, tensors [text] where it has several
//   skipped              [{name, part, reason, params}]
//   pruned               {params, zeros, sparsity, asked} over all prunable weights
//   task                 {decided, by, output, points, evidence [{name, found, says, points}], said}
//   outputs              {kept [index], pruned, zeros, classes, seen, held_back, unseen_bias, unseen_share, reason}
//   readout              {strength, samples, corrects, expected, changes, ..., trusted, applied, reason}
//   pattern              {name, weights, params, zeros, sparsity, dense [{weight, reason}]}: of the weights that follow
//                        it; dense: in which it made no zeros
//   channels             {groups, in_groups, removed, zeros}: pruned whole
//   compact              {groups, channels, removed, stay, multiple, parameters_before, parameters, reason}: of hidden
//                        channels that left the shapes
//   macs                 {dense, computed, nonzero, compact, reason}: multiply-adds of a sample; computed: those of
//                        two computed operands; nonzero: not by a weight that is zero; compact: in the smaller shapes;
//                        reason: why they are not counted. Each of layers has its macs
//   target               {kind, asked, reached, met, in_the_way [{weight, channels, reason, reader}]}: of --target;
//                        reached: what fineprune_compact leaves, exactly
//   notes                [text]: what a user should know (few samples, ...)
//   drift                [{output, cosine, sqnr_db, max_abs, top1_agreement}] on the reserve, or on compare's data
//   agreement            {pruning, with_dense}: shares of the reserve's answers that are as before: against the
//                        dense model with the same read-out, and as it was
//   accuracy             {a, b, samples} of compare with labels
//   size                 {before {raw, deflated, estimated}, after {the same}}; estimated: deflated is
//   sparse_initializers  {tensors, bytes, dense_bytes, readers}: written so, what they take and would take, who reads
//   gates                [{name, asked, measured, met}]
//   wrote                path
//   timing               {load, prepare, forward, statistics, solve, write, seconds, samples_per_second};
//                        prepare (run): making primitives and packing weights, which forward contains
//   peak_rss_bytes
// clang-format on
#ifndef FP_REPORT_H
#define FP_REPORT_H

#include <jansson.h>

#include "base/base.h"

#define FP_REPORT_SCHEMA "fineprune-report-1"

struct fineprune_report {
    json_t *root;
};

// With schema, tool and command set; NULL when out of memory.
struct fineprune_report *fp_report_new(const char *command);
// The object (or array) of that name in the report, made when missing; borrowed.
json_t *fp_report_object(struct fineprune_report *report, const char *name);
json_t *fp_report_array(struct fineprune_report *report, const char *name);
// Appends a line to "notes".
void fp_report_say(struct fineprune_report *report, const char *format, ...) FP_PRINTF(2, 3);
// A JSON string of text that may come from a file: bytes that are not UTF-8 become U+FFFD (json_string would refuse it
// all). A JSON number, or null for what JSON has no number for.
json_t *fp_report_string(const char *text);
json_t *fp_report_real(double value);
// A report from the JSON that fineprune_report_json writes; NULL when it is not an object.
struct fineprune_report *fp_report_parse(const char *text);

#endif
