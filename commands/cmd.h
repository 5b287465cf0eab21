// SPDX-License-Identifier: Apache-2.0
// What the commands that run samples share.
#ifndef FP_CMD_H
#define FP_CMD_H

#include "data/data.h"
#include "report/report.h"

// Fills "data" {sources, samples}.
void fp_cmd_report_data(struct fineprune_report *report, const struct fineprune_data *data);
// Fills "timing" {forward, seconds, samples_per_second} and "peak_rss_bytes".
void fp_cmd_report_timing(struct fineprune_report *report, double forward, double seconds, size_t samples);
// The first `rows` rows of t along axis 0, sharing its memory.
void fp_cmd_take_rows(struct fp_tensor *dst, const struct fp_tensor *t, size_t rows);

#endif
