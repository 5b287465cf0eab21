// SPDX-License-Identifier: Apache-2.0
// Whether an output [samples, width] answers with classes, one a sample: a table of evidence, each piece with its
// points for classes (below 0: against), or the user's word.
#ifndef FP_TASK_H
#define FP_TASK_H

#include "weights/classifier.h"

struct fineprune_report;

enum fp_task_kind { FP_TASK_UNCLEAR, FP_TASK_CLASSES, FP_TASK_LABELS, FP_TASK_OTHER };
enum { FP_TASK_EVIDENCE = 28, FP_TASK_FOUND = 160 };

struct fp_task_evidence {
    const char *name;
    char found[FP_TASK_FOUND];
    int points;
    enum fp_task_kind says;
};

struct fp_task {
    enum fp_task_kind kind;
    bool by_word;       // the user has said so,
    bool by_labels;     // by giving labels, which only classes have
    const char *output; // its name, lent by the graph; NULL: there is none to judge
    const char *reason; // why there are no classes to work with (static text); NULL for classes
    int points, n;
    struct fp_task_evidence evidence[FP_TASK_EVIDENCE];
};

// What is known of one output. The answers are what is before a softmax; none when n is 0.
struct fp_task_case {
    struct fineprune_model *model;
    int output; // index of the graph output
    const struct fp_weights *weights;
    int weight;          // the last layer, -1: unknown
    int logits_value;    // value before any softmax, -1: unknown
    const float *values; // n x width
    size_t n, width;
    bool unlike; // axis 0 was seen to be something else than the samples
};

// auto (also NULL), classes, labels or other; -1 for another word, 0 for auto, else the fp_task_kind.
int fp_task_word(const char *word);
// Errors: LIMIT.
int fp_task_judge(struct fp_task *task, const struct fp_task_case *c, const char *word, fineprune_error *err);
// It goes into the report, with the line of a summary.
void fp_task_report(const struct fp_task *task, struct fineprune_report *report);

#endif
