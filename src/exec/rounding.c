// SPDX-License-Identifier: Apache-2.0
// The operators that round (FP_OP_ROUNDS) are those which ONNX Runtime has for float16 on a CPU: those that move
// elements, and a few that it computes with float32 inside. Models of this kind are made to be run there.
#include "exec/rounding.h"

#include "exec/op_list.h"

bool fp_node_computes(const struct fp_node *node) {
    if (node->function || node->n_bodies) return false;
    const struct fp_op *op = fp_node_op(node);
    return !op || !(op->flags & FP_OP_ROUNDS);
}

// Whether the node hands on narrow numbers as they are.
static bool hands_on(const struct fp_node *node) {
    if (node->n_out != 1) return false;
    const enum fp_role role = fp_node_role(node);
    if (role == FP_ROLE_IDENTITY) return true;
    return role == FP_ROLE_CASTS && fp_type_rounds((enum fp_type)fp_attr_int(node, "to", FP_NONE));
}

static bool feeds_computing(const struct fp_node *node, int depth) {
    int readers = 0;
    for (int i = 0; i < node->n_out; i++) {
        const struct fp_value *v = node->out[i] < 0 ? NULL : &node->graph->values[node->out[i]];
        for (int k = 0; v && k < v->n_readers; k++, readers++) {
            const struct fp_node *reader = v->readers[k].node;
            if (!reader || v->readers[k].index < 0) return false;
            if (!fp_node_computes(reader) && !(depth && hands_on(reader) && feeds_computing(reader, depth - 1)))
                return false;
        }
    }
    return readers > 0;
}

bool fp_node_feeds_computing(const struct fp_node *node) { return feeds_computing(node, 4); }
