// SPDX-License-Identifier: Apache-2.0
// How the texts and the page made from a report read its members and write numbers: the same words in both.
#ifndef FP_REPORT_VALUES_H
#define FP_REPORT_VALUES_H

#include <stdio.h>

#include "report/report.h"

#define FP_WORDS 64
typedef char fp_words[FP_WORDS]; // room for a number in words

// A member by name; of the wrong type or missing: NULL, NAN or 0.
const char *fp_member_text(const json_t *object, const char *name);
double fp_member_number(const json_t *object, const char *name);
// The number of elements of an array, or the number itself.
size_t fp_member_count(const json_t *object, const char *name);

// 123, 4567, 25.6 M; 102.2 MB; 70.0%; 12.3 s; "-" for NAN. Each returns dst.
char *fp_say_count(fp_words dst, double count);
char *fp_say_bytes(fp_words dst, double bytes);
char *fp_say_share(fp_words dst, double share);
char *fp_say_seconds(fp_words dst, double seconds);
char *fp_say_number(fp_words dst, const char *format, double number);
// "64x3x7x7" of an array of numbers and names, or the text itself; malloc'ed.
char *fp_say_shape(const json_t *shape);
// "w", "w[:, 0:64]", "a + b", of an entry of the layers or of those left alone; malloc'ed.
char *fp_say_weight(const json_t *entry);
// What was decided of the output classes and of the last layer's lesson, in words; malloc'ed, NULL when the report says
// nothing of it.
char *fp_say_outputs(const struct fineprune_report *report);
char *fp_say_lesson(const struct fineprune_report *report);
// What left the shapes, and why not more; malloc'ed, NULL when nothing was to.
// The multiply-adds; NULL when they are not counted.
char *fp_say_macs(const struct fineprune_report *report);
char *fp_say_compact(const struct fineprune_report *report);
// What --sparse-initializers did, and who cannot read it; malloc'ed, NULL when it was not asked for.
char *fp_say_sparse(const struct fineprune_report *report);
// "about " where the compressed size (of an entry of the sizes) is an estimate, else "".
const char *fp_say_about(const json_t *size);
// "s" behind the word for n things, but for one; and a text, or "?" where there is none.
const char *fp_plural(size_t n);
const char *fp_named(const char *text);
// The last part of a path.
const char *fp_base_name(const char *path);
// What the zeros of this pattern mean for speed: the plain truth in one sentence.
const char *fp_speed_truth(const struct fineprune_report *report);
// The output that drifted most, NULL when nothing was measured.
const json_t *fp_worst_drift(const struct fineprune_report *report);

#endif
