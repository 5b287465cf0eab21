// SPDX-License-Identifier: Apache-2.0
// Whether a model is a classifier by its graph: one last weight whose rows are the classes, then at most a bias, a pooling
// and a softmax (an operator, or written out), then an output of rank 2.
#ifndef FP_CLASSIFIER_H
#define FP_CLASSIFIER_H

#include "weights.h"

struct fp_classifier {
    int weight;          // index in the list of weights, -1: not a classifier
    const char *reason;  // why not (static text)
    size_t classes, features;
    int features_value;  // main graph value that is the last layer's input: [samples, features] or [samples, features, 1, 1...]
    int logits_value;    // main graph value of the class scores before any softmax: [samples, classes]
    int output;          // index of the graph output that answers
};

void fp_classifier_find(struct fp_classifier *out, const struct fp_weights *weights);

#endif
