// SPDX-License-Identifier: Apache-2.0
// The words that the texts and the page have in common.
#ifndef FP_REPORT_VALUES_H
#define FP_REPORT_VALUES_H

#include <stdio.h>

#include "report/report.h"

#define FP_WORDS 64
typedef char fp_words[FP_WORDS]; // room for a number in words

// 123, 4567, 25.6 M; 102.2 MB; 70.0%; 12.3 s; "-" for what is not finite. Each returns dst.
char *fp_say_count(fp_words dst, double count);
char *fp_say_bytes(fp_words dst, double bytes);
char *fp_say_share(fp_words dst, double share);
char *fp_say_seconds(fp_words dst, double seconds);
char *fp_say_number(fp_words dst, const char *format, double number);
// "64x3x7x7", with names; malloc'ed.
char *fp_say_shape(const struct fp_report_shape *shape);
// "w", "w[:, 0:64]", "a + b", of a layer, or of a tensor that was left alone; malloc'ed.
char *fp_say_weight(const char *name, const char *part, const struct fp_texts *tensors);
char *fp_say_layer(const struct fp_report_layer *layer);
// What was decided of the output classes and of the last layer's lesson, in words; malloc'ed, NULL when the report says
// nothing of it.
char *fp_say_outputs(const struct fineprune_report *report);
char *fp_say_lesson(const struct fineprune_report *report);
// The multiply-adds; malloc'ed, NULL when they are not counted.
char *fp_say_macs(const struct fineprune_report *report);
// What left the shapes, and why not more; malloc'ed, NULL when nothing was to.
char *fp_say_compact(const struct fineprune_report *report);
// How many weights the runtime of a profile computes faster; malloc'ed, NULL when none was named.
char *fp_say_runtime(const struct fineprune_report *report);
// What --sparse-initializers did, and who cannot read it; malloc'ed, NULL when it was not asked for.
char *fp_say_sparse(const struct fineprune_report *report);
// "about " where the compressed size after is an estimate, else "".
const char *fp_say_about(const struct fp_report_size *size);
// Bytes of a file, as it is and compressed; NAN where it is not known.
double fp_raw_bytes(const struct fp_report_bytes *bytes);
double fp_deflated_bytes(const struct fp_report_bytes *bytes);
// "s" behind the word for n things, but for one; and a text, or "?" where there is none.
const char *fp_plural(size_t n);
const char *fp_named(const char *text);
// The last part of a path.
const char *fp_base_name(const char *path);
// What the zeros of this pattern mean for speed: the plain truth in one sentence. NULL: there is nothing to say.
const char *fp_speed_truth(const struct fineprune_report *report);
// The output that drifted most, NULL when nothing was measured.
const struct fp_report_drift *fp_worst_drift(const struct fineprune_report *report);
// Samples of the data, and how many of them are a reserve; 0 where there are no data.
size_t fp_samples_of(const struct fineprune_report *report);
size_t fp_reserve_of(const struct fineprune_report *report);

#endif
