// SPDX-License-Identifier: Apache-2.0
// From an operand back to the stored tensors it is made of, through operators that only move elements.
#ifndef FP_WEIGHT_TRACE_H
#define FP_WEIGHT_TRACE_H

#include "weights/weights.h"

// Fills sources and map of *w for the constant `value` of `graph`. *reason (static text) is set, and the call succeeds,
// when the value is not made of stored numbers in a way that can be changed.
int fp_trace_weight(struct fp_exec *exec, struct fineprune_model *model, const struct fp_graph *graph, int value,
                    struct fp_weight *w, const char **reason, fineprune_error *err);
// Whether everything that reads elements which the weight has from its source k (through operators that only move
// elements) is one of the uses, or asks for a shape only. Else *other says of the first other reader why the weight
// stays.
int fp_trace_other_reader(struct fp_exec *exec, struct fineprune_model *model, const struct fp_weight *w, int k,
                          const struct fp_weight_use *uses, int n_uses, const char **other, fineprune_error *err);
void fp_sources_free(struct fp_source *sources, int n);
// Operators that only move elements (and where the value must come in as input 0, or any input for Concat).
bool fp_is_move(const struct fp_node *node);

#endif
