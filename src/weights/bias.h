// SPDX-License-Identifier: Apache-2.0
// Where what a row loses can be added as a constant, in whatever form a file has its biases.
#ifndef FP_BIAS_H
#define FP_BIAS_H

#include "weights/weights.h"

// A constant of a node that a weight's rows meet: element e of it is sign times what the row adds.
struct fp_bias_place {
    const struct fp_node *node; // NULL: there is none
    int index;                  // input of the node
    double sign;
};

// Fills the bias of every weight. Errors: MODEL, LIMIT.
int fp_biases_find(struct fp_weights *weights, struct fp_exec *exec, fineprune_error *err);
// Where the bias of use `k` is or could be.
struct fp_bias_place fp_bias_place_of(const struct fp_weight *w, int k, enum fp_bias_kind kind);
void fp_bias_done(struct fp_bias *bias);

#endif
