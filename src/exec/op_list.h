// SPDX-License-Identifier: Apache-2.0
// The list of operators: the only place that knows all families.
#ifndef FP_OP_LIST_H
#define FP_OP_LIST_H

#include "kernel/op.h"

// The row for a node: same domain and type, the greatest since <= opset; NULL when there is none.
const struct fp_op *fp_op_find(const char *domain, const char *type, int opset);
// The row for a node; NULL for calls of functions and unknown operators.
const struct fp_op *fp_node_op(const struct fp_node *node);
// The role that its row gives the node (or NULL); FP_ROLE_OTHER without a row.
enum fp_role fp_node_role(const struct fp_node *node);
// The message that a value's elements are stored in, as an initializer or in a node; NULL: they are computed.
Onnx__TensorProto *fp_stored_tensor(const struct fp_value *value);
// The first row of that role; NULL when there is none.
const struct fp_op *fp_op_of_role(enum fp_role role);
// Row number `index` over all families, NULL past the end.
const struct fp_op *fp_op_at(size_t index);

#endif
