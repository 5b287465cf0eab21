// SPDX-License-Identifier: Apache-2.0
// Whether a model is a classifier by its graph: one last weight whose rows are the classes, then at most constants that
// shift and scale them (a bias, a normalization), a pooling, moves, grids and a softmax (an operator, or written out),
// then an output [N, C] or [N, C, 1, 1].
#ifndef FP_CLASSIFIER_H
#define FP_CLASSIFIER_H

#include "weights/weights.h"

struct fp_classifier {
    int weight;         // index in the list of weights, -1: not a classifier
    const char *reason; // why not (static text)
    size_t classes, features;
    int features_value; // main graph value that is the last layer's input: [samples, features] or [samples, features,
                        // 1, 1...]
    int logits_value;   // main graph value of the class scores before any softmax: [samples, classes] or [samples,
                        // classes, 1, 1...]
    int output;         // index of the graph output that answers
};

void fp_classifier_find(struct fp_classifier *out, const struct fp_weights *weights);
// Where the class scores are not W f + b but scaled or shifted (a normalization, Gemm's alpha), makes the last weight
// and its bias read and written as if they were: factor * W and factor * b + shift. A class whose scores do not follow
// from its row makes it no classifier.
int fp_classifier_units(struct fp_classifier *classifier, struct fp_weights *weights, fineprune_error *err);

#endif
