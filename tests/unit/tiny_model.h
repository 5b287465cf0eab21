// SPDX-License-Identifier: Apache-2.0
// Small ONNX files made in a test: nodes, float inputs and float initializers, written with protobuf-c.
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "scratch_folder.h"

#include "onnx.pb-c.h"

#define TINY 8

struct tiny {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset;
    Onnx__OperatorSetIdProto *opsets[1];
    Onnx__NodeProto nodes[TINY], *node_list[TINY];
    char *node_inputs[TINY][4], *node_outputs[TINY][2];
    Onnx__ValueInfoProto values[2 * TINY], *inputs[TINY], *outputs[TINY];
    Onnx__TypeProto types[2 * TINY];
    Onnx__TypeProto__Tensor tensors[2 * TINY];
    Onnx__TensorShapeProto shapes[2 * TINY];
    Onnx__TensorShapeProto__Dimension dims[2 * TINY][4], *dim_list[2 * TINY][4];
    Onnx__TensorProto initializers[TINY], *initializer_list[TINY];
    int64_t initializer_dims[TINY][4];
    size_t n_values;
};

static inline void tiny_init(struct tiny *t) {
    memset(t, 0, sizeof(*t));
    onnx__model_proto__init(&t->model);
    onnx__graph_proto__init(&t->graph);
    onnx__operator_set_id_proto__init(&t->opset);
    t->model.has_ir_version = 1, t->model.ir_version = 8;
    t->model.graph = &t->graph;
    t->opset.domain = (char *)"";
    t->opset.has_version = 1, t->opset.version = 17;
    t->opsets[0] = &t->opset;
    t->model.n_opset_import = 1, t->model.opset_import = t->opsets;
    t->graph.name = (char *)"tiny";
    t->graph.node = t->node_list, t->graph.input = t->inputs, t->graph.output = t->outputs,
    t->graph.initializer = t->initializer_list;
}

// dims: -1 symbolic; rank < 0: not declared.
static inline Onnx__ValueInfoProto *tiny_value(struct tiny *t, const char *name, int type, int rank,
                                               const int64_t *dims) {
    const size_t k = t->n_values++;
    onnx__value_info_proto__init(&t->values[k]);
    onnx__type_proto__init(&t->types[k]);
    onnx__type_proto__tensor__init(&t->tensors[k]);
    onnx__tensor_shape_proto__init(&t->shapes[k]);
    t->values[k].name = (char *)(uintptr_t)name;
    t->values[k].type = &t->types[k];
    t->types[k].value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    t->types[k].tensor_type = &t->tensors[k];
    t->tensors[k].has_elem_type = 1, t->tensors[k].elem_type = type;
    if (rank < 0) return &t->values[k];
    t->tensors[k].shape = &t->shapes[k];
    t->shapes[k].n_dim = (size_t)rank, t->shapes[k].dim = t->dim_list[k];
    for (int i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&t->dims[k][i]);
        t->dim_list[k][i] = &t->dims[k][i];
        if (dims[i] < 0) continue;
        t->dims[k][i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        t->dims[k][i].dim_value = dims[i];
    }
    return &t->values[k];
}

static inline void tiny_input(struct tiny *t, const char *name, int type, int rank, const int64_t *dims) {
    t->inputs[t->graph.n_input++] = tiny_value(t, name, type, rank, dims);
}

static inline void tiny_output(struct tiny *t, const char *name, int type) {
    t->outputs[t->graph.n_output++] = tiny_value(t, name, type, -1, NULL);
}

static inline void tiny_node(struct tiny *t, const char *type, const char *a, const char *b, const char *out) {
    const size_t k = t->graph.n_node++;
    onnx__node_proto__init(&t->nodes[k]);
    t->nodes[k].op_type = (char *)(uintptr_t)type;
    t->node_inputs[k][0] = (char *)(uintptr_t)a, t->node_inputs[k][1] = (char *)(uintptr_t)b;
    t->node_outputs[k][0] = (char *)(uintptr_t)out;
    t->nodes[k].n_input = b ? 2 : 1, t->nodes[k].input = t->node_inputs[k];
    t->nodes[k].n_output = 1, t->nodes[k].output = t->node_outputs[k];
    t->node_list[k] = &t->nodes[k];
}

static inline void tiny_floats(struct tiny *t, const char *name, int64_t rows, int64_t columns, float *values) {
    const size_t k = t->graph.n_initializer++;
    onnx__tensor_proto__init(&t->initializers[k]);
    Onnx__TensorProto *p = &t->initializers[k];
    p->name = (char *)(uintptr_t)name;
    p->has_data_type = 1, p->data_type = 1;
    t->initializer_dims[k][0] = rows, t->initializer_dims[k][1] = columns;
    p->n_dims = 2, p->dims = t->initializer_dims[k];
    p->n_float_data = (size_t)(rows * columns), p->float_data = values;
    t->initializer_list[k] = p;
}

static inline void tiny_write(const struct tiny *t, const char *path) {
    const size_t size = onnx__model_proto__get_packed_size(&t->model);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    onnx__model_proto__pack(&t->model, bytes);
    scratch_write(path, bytes, size);
    free(bytes);
}

#endif
