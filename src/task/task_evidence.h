// SPDX-License-Identifier: Apache-2.0
// The evidence itself; for task.c only.
#ifndef FP_TASK_EVIDENCE_H
#define FP_TASK_EVIDENCE_H

#include "task/task.h"

#define FP_TASK_VETO (-100) // such points nothing outweighs

// The dense answers in a few numbers; all 0 when there are none. Shares and medians are over the samples with finite
// answers.
struct fp_task_answers {
    size_t n, width;
    double winner;        // mean greatest probability of the softmax
    double ahead;         // median of (first - second) / (second - third)
    double apart;         // median of (first - second) / spread of the sample's answers
    double skewness;      // mean over the samples
    double asymmetry;     // mean (first - second) over mean (last but one - last)
    double confident;     // share with a probability above 0.5
    double mean;          // mean of (mean answer / spread of the sample's answers)
    double positive;      // share of answers above 0
    size_t none;          // samples without an answer above 0
    double none_expected; // the same if the outputs were independent
    double common;   // variance of the samples' mean answer times width, over the mean variance of an output: 1 for
                     // independent outputs
    double dominant; // share of the most frequent winner
};

// False without memory.
bool fp_task_answers(struct fp_task_answers *a, const float *values, size_t n, size_t width);
// |sum of the rows|^2 / sum of |row|^2 of the layer: 1 for independent rows. Negative when it cannot be told. Errors:
// LIMIT, MODEL.
int fp_task_rows(double *ratio, struct fineprune_model *model, const struct fp_weight *w, fineprune_error *err);
// How many names there are in the files beside the model, in its metadata; 0: none. *problem: what they call the task,
// as they spell it, or "".
size_t fp_task_labels_beside(const struct fineprune_model *model, size_t width, char *file, size_t size);
// The text of the i-th file that may hold names, to be freed, or NULL; *name is NULL past the last.
char *fp_task_names_file(const struct fineprune_model *model, size_t i, const char **name, bool *json);
size_t fp_task_labels_within(const struct fineprune_model *model, size_t width);
// Whether a JSON text beside the model or in its metadata has no more bytes and lists than names have: else it is
// passed over, as it would take memory as it likes.
bool fp_task_is_modest(const char *text);
// > 0 when a file beside the model or its metadata say that it classifies, < 0 that it does something else.
int fp_task_said(const struct fineprune_model *model, char *found, size_t size);
// Fills task->evidence.
int fp_task_gather(struct fp_task *task, const struct fp_task_case *c, fineprune_error *err);

#endif
