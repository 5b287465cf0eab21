// SPDX-License-Identifier: Apache-2.0
// The list of operator families.
#include "exec/op_list.h"

#include <string.h>

#include "ops/families.h"

static const struct fp_op *const FAMILIES[] = {
#define FAMILY(name) fp_ops_##name,
#include "ops/families.def"
#undef FAMILY
    NULL,
};

const struct fp_op *fp_op_find(const char *domain, const char *type, int opset) {
    const struct fp_op *best = NULL;
    for (size_t f = 0; FAMILIES[f]; f++)
        for (const struct fp_op *op = FAMILIES[f]; op->type; op++)
            if (*op->type == *type && op->since <= opset && (!best || op->since > best->since) &&
                !strcmp(op->type, type) && !strcmp(op->domain, domain))
                best = op;
    return best;
}

const struct fp_op *fp_node_op(const struct fp_node *node) {
    if (node->function) return NULL;
    return fp_op_find(node->domain, node->type, node->opset);
}

enum fp_role fp_node_role(const struct fp_node *node) {
    const struct fp_op *op = NULL;
    if (node) op = fp_node_op(node);
    if (op) return op->role;
    return FP_ROLE_OTHER;
}

Onnx__TensorProto *fp_stored_tensor(const struct fp_value *value) {
    if (value->initializer) return value->initializer;
    const bool constant = value->producer && fp_node_role(value->producer) == FP_ROLE_STORES;
    return constant ? fp_attr_tensor_proto(value->producer, "value") : NULL;
}

const struct fp_op *fp_op_of_role(enum fp_role role) {
    for (size_t f = 0; FAMILIES[f]; f++)
        for (const struct fp_op *op = FAMILIES[f]; op->type; op++)
            if (op->role == role) return op;
    return NULL;
}

const struct fp_op *fp_op_at(size_t index) {
    for (size_t f = 0; FAMILIES[f]; f++)
        for (const struct fp_op *op = FAMILIES[f]; op->type; op++)
            if (index-- == 0) return op;
    return NULL;
}
