// SPDX-License-Identifier: Apache-2.0
// What a node gives its operator, against what the operator's row asks for. A model that is open has been checked, so
// that inputs, outputs and attributes that a row needs are there, and no more than it knows.
#ifndef FP_SIGNATURE_H
#define FP_SIGNATURE_H

#include "kernel/op.h"

// Every node of the model, and of its bodies: numbers of inputs and outputs, names that are left out, attributes that
// come twice, are missing, or of another kind. Nodes without a row: that attributes do not come twice. Errors: MODEL,
// naming file, node, what it is about, and what it is.
int fp_signature_check(struct fineprune_model *model, fineprune_error *err);
// Whether the node's operator cannot do without input `index`.
bool fp_signature_needs(const struct fp_op *op, const struct fp_node *node, int index);

#endif
