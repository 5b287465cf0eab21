// SPDX-License-Identifier: Apache-2.0
// How the pruned model does against the dense one, by what needs no labels.
#ifndef FP_MEASURES_H
#define FP_MEASURES_H

#include "job/job.h"

#define FP_FEW_ANSWERS 8 // below which one answer more or less decides nothing
#define FP_UNSAID 0.01   // of an output's variance that is as good as nothing
#define FP_MAY_CHANGE                                                                                                  \
    0.1                 // of an output's variance that may be lost without a word, and of the answers that the zeros
                        // may change
#define FP_ALL_MAY 0.15 // and of the answers to all samples, with those that were fitted

struct fp_answer_counts {
    size_t n, as_came, same, taught; // answers; as the model that came in; as the dense model of the same lesson; those
                                     // that the lesson alone changes
    double expected;                 // mistakes that the model that came in expects: sum of 1 - max p
};

struct fp_measures {
    bool classes, local; // the outputs are classes; measured on the samples that decide, as there is no reserve
    struct fp_answer_counts held, all; // the reserve's; with those to the samples that the last layer was fitted on
    size_t sure, sure_same;            // of the reserve's: where the dense model is sure; and as that answers
    double allowed;                    // error up to which the lesson, as far as it can be believed, is worth the zeros
    size_t often_came, kinds_dense, kinds,
        lost; // classes that the model that came in answers often; different answers; samples whose class, often
              // answered by the dense model, is not answered any more
    double sureness_dense, sureness; // mean of max p
    double error, other;          // of the scores or the outputs, relative to their variance, and of outputs beside a
                                  // classifier's; negative: not measured
    struct fp_output_error worst; // of the outputs that are measured
    bool alike;                   // the dense model gives all samples the same scores: there is nothing to compare
    bool known, ruined, worse;    // worse: than the dense model that came in, probably
};

// Measures the model as it is now; without data nothing is known. Errors: those of running the model.
int fp_measure(struct fp_job *job, struct fp_measures *m);
// The zeros change more answers than they may without a word, and more than the lesson does: of the reserve, or of all.
bool fp_zeros_outweigh(const struct fp_measures *m);

#endif
