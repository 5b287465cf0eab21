// SPDX-License-Identifier: Apache-2.0
// The operators that round are those which ONNX Runtime has for float16 on a CPU: those that move elements, and a few
// that it computes with float32 inside. Models of this kind are made to be run there.
#include "exec/rounding.h"

static const char *const ROUNDS[] = {
    "Attention",
    "BitCast",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Compress",
    "Concat",
    "ConcatFromSequence",
    "DequantizeLinear",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GroupQueryAttention",
    "Identity",
    "If",
    "IsInf",
    "IsNaN",
    "LayerNormalization",
    "Loop",
    "Max",
    "Min",
    "Mod",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
    "QuantizeLinear",
    "RMSNormalization",
    "RandomNormalLike",
    "RandomUniformLike",
    "Reshape",
    "ReverseSequence",
    "RotaryEmbedding",
    "Round",
    "Scan",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SequenceMap",
    "Shape",
    "Shrink",
    "Sign",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Slice",
    "Split",
    "SplitToSequence",
    "Squeeze",
    "TensorScatter",
    "Transpose",
    "Unsqueeze",
};

bool fp_node_computes(const struct fp_node *node) {
    if (node->function || node->n_bodies) return false;
    for (size_t i = 0; i < FP_COUNT(ROUNDS); i++)
        if (!strcmp(ROUNDS[i], node->type)) return false;
    return true;
}

// Whether the node hands on narrow numbers as they are.
static bool hands_on(const struct fp_node *node) {
    if (node->function || node->domain[0] || node->n_out != 1) return false;
    return !strcmp(node->type, "Identity") ||
           (!strcmp(node->type, "Cast") && fp_type_rounds((enum fp_type)fp_attr_int(node, "to", FP_NONE)));
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

bool fp_node_takes_a_list(const struct fp_node *node) {
    return !strcmp(node->type, "Concat") || !strcmp(node->type, "Max") || !strcmp(node->type, "Min");
}
