// SPDX-License-Identifier: Apache-2.0
// Arithmetic on a classifier's answers: softmax, the best class, class frequencies. Matrices are row-major, samples
// first.
#ifndef FP_ANSWERS_H
#define FP_ANSWERS_H

#include "pass.h"

// The frequency of each of k classes in n samples by expectation maximization over softmax(logits): q_nk ~ p(k|x_n)
// pi_k, pi_k <- mean of q_nk. pi: k doubles. FINEPRUNE_LIMIT without memory. (Saerens et al. 2002, "Adjusting the
// outputs of a classifier to new a priori probabilities", with equal frequencies in training)
int fp_frequencies(const double *logits, size_t n, size_t k, double *pi);
// Softmax over the columns for which use[k] is set (all when NULL); others get 0.
void fp_softmax(const double *logits, double *q, size_t classes, const uint8_t *use);
// The greatest of the used columns, the lower index on ties.
size_t fp_best(const float *logits, size_t classes, const uint8_t *use);
// Whether so many changed answers may be for the better on the whole, where so many mistakes are expected: each of them
// mended once at best, all further changes break what was right; and no more are believed than chance explains (two
// deviations of a Poisson number).
bool fp_changes_may_help(double changes, double expected);
// A deep copy; *dst is freed by its owner also on failure.
int fp_answers_copy(struct fp_answers *dst, const struct fp_answers *src, fineprune_error *err);

#endif
