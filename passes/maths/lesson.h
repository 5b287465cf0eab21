// SPDX-License-Identifier: Apache-2.0
// What a user's unlabelled samples tell about the classes of a classifier: how often each occurs, by how much those
// that were never seen are held back, and what the last layer should learn. Nothing here knows a model: features and
// logits in, numbers out.
#ifndef FP_LESSON_H
#define FP_LESSON_H

#include "base/arena.h"
#include "parameter.h"
#include "stats/stats.h"

// The constants (lesson_rule.c): the parameters of the outputs, then those of the read-out.
struct fp_lesson_rule {
    double miss, wait, seen, unseen, use, all, evidence, unlike, flat, least_weight;
    double weight, kappa, start, spare, error, steep, weak, room, settle, ease, ridge;
    int steps, near, tries;
};
extern const struct fp_parameter fp_lesson_counting[], fp_lesson_learning[];
// The values of both in their order; NULL: the defaults.
struct fp_lesson_rule fp_lesson_rule_of(const double *counting, const double *learning);

// Taught scores are L + g (A f + c) + b. For the report: of the samples that differ the lesson at strength g changes
// `corrects` answers; at full strength it would change `changes`, where the model expects `expected` mistakes; the same
// over the half of them that the model is surest of.
struct fp_lesson {
    struct fp_arena arena; // of its arrays
    size_t features, classes;
    double *a, *c, *b; // classes x features, classes, classes
    uint8_t *rows;     // classes: 1 stays, 0 is removed
    double strength;   // g
    double sharpness;  // what the logits were multiplied with before classes were counted and held back; 1: nothing
    bool learned;      // there is something to learn from: a and c are not all zeros
    bool trusted;
    size_t samples, seen, active, kept, corrects, changes, changes_sure;
    double expected, expected_sure, unseen_bias,
        unseen_share;               // log w0; the share of future samples whose class has not been seen
    double least, weak, neighbours; // strengths: the least that gives the full lesson's answers, and what the samples
                                    // say of each other; neighbours that differ
};

// learns: else a and c are zeros; holds: else b is zeros and all rows stay. rule: NULL for the defaults. Errors: LIMIT
// without memory (counted in `memory`, which may be NULL). fp_lesson_done also after a failure.
int fp_lesson_make(struct fp_lesson *out, const struct fp_answers *answers, bool learns, bool holds,
                   const struct fp_lesson_rule *rule, struct fp_memory *memory, fineprune_error *err);
void fp_lesson_done(struct fp_lesson *lesson);
// The taught scores of all samples (samples x classes), malloc'ed; NULL without memory.
double *fp_lesson_scores(const struct fp_lesson *lesson, const struct fp_answers *answers);

#endif
