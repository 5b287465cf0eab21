// SPDX-License-Identifier: Apache-2.0
// What the commands that run samples share.
#ifndef FP_CMD_H
#define FP_CMD_H

#include "data/data.h"
#include "report/report.h"

// Puts "data", "timing" (prepare: NAN where it is not told) and "peak_rss_bytes".
void fp_cmd_report(struct fineprune_report *report, const struct fineprune_data *data, double prepare, double forward,
                   double seconds);
// Warns, once, of a model that computes as in training.
void fp_cmd_warn_training(struct fineprune_report *report, struct fineprune_model *model);
// The first `rows` rows of t along axis 0, sharing its memory.
void fp_cmd_take_rows(struct fp_tensor *dst, const struct fp_tensor *t, size_t rows);

#endif
