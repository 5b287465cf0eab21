// SPDX-License-Identifier: Apache-2.0
// Models made of protobuf messages in a test: everything is malloc'ed and freed as a whole. For tests that look at
// graphs and weights.
#ifndef MADE_MODEL_H
#define MADE_MODEL_H

#include "scratch_folder.h"
#include "weights/weights.h"

#include "onnx.pb-c.h"

// rank and dims
#define SHAPE(...)                                                                                                     \
    (int)FP_COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]) { __VA_ARGS__ }

static inline void *made_append(void *array, size_t *n, void *item) {
    void **grown = realloc(array, (*n + 1) * sizeof(void *));
    assert_non_null(grown);
    grown[(*n)++] = item;
    return grown;
}
#define MADE_ADD(message, field, item) ((message)->field = made_append((message)->field, &(message)->n_##field, item))

static inline void *made_message(size_t size) {
    void *message = malloc(size);
    assert_non_null(message);
    return message;
}
#define MADE_NEW(Type, name)                                                                                           \
    Type *name = made_message(sizeof(Type));                                                                           \
    protobuf_c_message_init(&MADE_DESCRIPTOR(name), (ProtobufCMessage *)name)
#define MADE_DESCRIPTOR(name)                                                                                          \
    (*_Generic((name),                                                                                                 \
         Onnx__ModelProto *: &onnx__model_proto__descriptor,                                                           \
         Onnx__GraphProto *: &onnx__graph_proto__descriptor,                                                           \
         Onnx__NodeProto *: &onnx__node_proto__descriptor,                                                             \
         Onnx__TensorProto *: &onnx__tensor_proto__descriptor,                                                         \
         Onnx__AttributeProto *: &onnx__attribute_proto__descriptor,                                                   \
         Onnx__ValueInfoProto *: &onnx__value_info_proto__descriptor,                                                  \
         Onnx__TypeProto *: &onnx__type_proto__descriptor,                                                             \
         Onnx__TypeProto__Tensor *: &onnx__type_proto__tensor__descriptor,                                             \
         Onnx__TensorShapeProto *: &onnx__tensor_shape_proto__descriptor,                                              \
         Onnx__TensorShapeProto__Dimension *: &onnx__tensor_shape_proto__dimension__descriptor,                        \
         Onnx__OperatorSetIdProto *: &onnx__operator_set_id_proto__descriptor,                                         \
         Onnx__FunctionProto *: &onnx__function_proto__descriptor))

static inline Onnx__GraphProto *made_graph(const char *name) {
    MADE_NEW(Onnx__GraphProto, graph);
    graph->name = strdup(name);
    return graph;
}

static inline Onnx__OperatorSetIdProto *made_opset(const char *domain, int version) {
    MADE_NEW(Onnx__OperatorSetIdProto, opset);
    opset->domain = strdup(domain);
    opset->has_version = 1, opset->version = version;
    return opset;
}

static inline Onnx__ModelProto *made_new(void) {
    MADE_NEW(Onnx__ModelProto, model);
    model->has_ir_version = 1, model->ir_version = 8;
    model->graph = made_graph("made");
    MADE_ADD(model, opset_import, made_opset("", 17));
    return model;
}

// "a,,b": the pieces of a list, some may be empty.
static inline char **made_names(const char *list, size_t *n) {
    char **names = NULL;
    *n = 0;
    for (const char *at = list, *end; *list; at = end + 1) {
        end = strchrnul(at, ',');
        names = made_append(names, n, strndup(at, (size_t)(end - at)));
        if (!*end) break;
    }
    return names;
}

static inline Onnx__NodeProto *made_node_alone(const char *type, const char *inputs, const char *outputs) {
    MADE_NEW(Onnx__NodeProto, node);
    node->op_type = strdup(type);
    node->input = made_names(inputs, &node->n_input);
    node->output = made_names(outputs, &node->n_output);
    return node;
}

static inline Onnx__NodeProto *made_node(Onnx__GraphProto *graph, const char *type, const char *inputs,
                                         const char *outputs) {
    Onnx__NodeProto *node = made_node_alone(type, inputs, outputs);
    MADE_ADD(graph, node, node);
    return node;
}

static inline Onnx__AttributeProto *made_attribute(Onnx__NodeProto *node, const char *name, int type) {
    MADE_NEW(Onnx__AttributeProto, a);
    a->name = strdup(name);
    a->has_type = 1, a->type = (Onnx__AttributeProto__AttributeType)type;
    MADE_ADD(node, attribute, a);
    return a;
}

static inline void made_int(Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *a = made_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    a->has_i = 1, a->i = value;
}

static inline void made_ints(Onnx__NodeProto *node, const char *name, int n, const int64_t *values) {
    Onnx__AttributeProto *a = made_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    a->n_ints = (size_t)n, a->ints = made_message((size_t)n * sizeof(*values));
    memcpy(a->ints, values, (size_t)n * sizeof(*values));
}

static inline void made_text(Onnx__NodeProto *node, const char *name, const char *text) {
    Onnx__AttributeProto *a = made_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    a->has_s = 1, a->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)strdup(text)};
}

static inline void made_body(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *graph) {
    made_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH)->g = graph;
}

// A tensor whose elements are raw_data, copied from `data`.
static inline Onnx__TensorProto *made_tensor(const char *name, enum fp_type type, int rank, const int64_t *dims,
                                             const void *data) {
    MADE_NEW(Onnx__TensorProto, t);
    size_t count;
    assert_true(fp_product(rank, dims, &count));
    t->name = strdup(name);
    t->has_data_type = 1, t->data_type = type;
    t->n_dims = (size_t)rank, t->dims = made_message((size_t)rank * sizeof(*dims) + 1);
    if (rank) memcpy(t->dims, dims, (size_t)rank * sizeof(*dims));
    t->has_raw_data = 1, t->raw_data.len = count * fp_type_size(type),
    t->raw_data.data = made_message(t->raw_data.len + 1);
    memcpy(t->raw_data.data, data, t->raw_data.len);
    return t;
}

static inline void made_initializer(Onnx__GraphProto *graph, const char *name, enum fp_type type, int rank,
                                    const int64_t *dims, const void *data) {
    MADE_ADD(graph, initializer, made_tensor(name, type, rank, dims, data));
}

// Numbers from -1 to 1.
static inline void made_fill(float *dst, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) dst[i] = (float)(fp_random(&seed) >> 40) / (float)(1 << 23) - 1;
}

static inline void made_random(Onnx__GraphProto *graph, const char *name, int rank, const int64_t *dims,
                               uint64_t seed) {
    size_t count;
    assert_true(fp_product(rank, dims, &count));
    float *values = made_message(count * sizeof(float) + 1);
    made_fill(values, count, seed);
    made_initializer(graph, name, FP_FLOAT, rank, dims, values);
    free(values);
}

// rank < 0: not declared; dims of -1 are symbolic.
static inline Onnx__ValueInfoProto *made_value(const char *name, enum fp_type type, int rank, const int64_t *dims) {
    MADE_NEW(Onnx__ValueInfoProto, v);
    MADE_NEW(Onnx__TypeProto, whole);
    MADE_NEW(Onnx__TypeProto__Tensor, tensor);
    v->name = strdup(name), v->type = whole;
    whole->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, whole->tensor_type = tensor;
    tensor->has_elem_type = 1, tensor->elem_type = type;
    if (rank < 0) return v;
    MADE_NEW(Onnx__TensorShapeProto, shape);
    tensor->shape = shape;
    for (int i = 0; i < rank; i++) {
        MADE_NEW(Onnx__TensorShapeProto__Dimension, d);
        if (dims[i] >= 0) d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE, d->dim_value = dims[i];
        MADE_ADD(shape, dim, d);
    }
    return v;
}

static inline void made_input(Onnx__GraphProto *graph, const char *name, int rank, const int64_t *dims) {
    MADE_ADD(graph, input, made_value(name, FP_FLOAT, rank, dims));
}

static inline void made_output(Onnx__GraphProto *graph, const char *name) {
    MADE_ADD(graph, output, made_value(name, FP_FLOAT, -1, NULL));
}

static inline void made_write(const Onnx__ModelProto *model, const char *path) {
    const size_t size = onnx__model_proto__get_packed_size(model);
    uint8_t *bytes = made_message(size);
    onnx__model_proto__pack(model, bytes);
    scratch_write(path, bytes, size);
    free(bytes);
}

// ---- a model in memory, with its executor and weights

struct made {
    struct fineprune_model model;
    struct fp_exec *exec;
    struct fp_weights *weights;
};

static inline void made_find(struct made *m) {
    fineprune_error err = {0};
    if (fp_exec_new(&m->exec, &m->model, NULL, &err) || fp_weights_find(&m->weights, m->exec, &m->model, false, &err))
        fail_msg("%s", err.message);
}

// Takes the message.
static inline void made_open(struct made *m, Onnx__ModelProto *proto) {
    fineprune_error err = {0};
    *m = (struct made){
        .model = {.proto = proto, .path = (char *)(uintptr_t)"made.onnx", .folder = (char *)(uintptr_t)"/nowhere"}};
    if (fp_graph_new(&m->model.graph, &m->model, &err)) fail_msg("%s", err.message);
    made_find(m);
}

static inline void made_close(struct made *m) {
    fp_weights_free(m->weights);
    fp_exec_free(m->exec);
    fp_graph_free(m->model.graph);
    fp_memory_trim(&m->model.memory);
    onnx__model_proto__free_unpacked(m->model.proto, NULL);
}

#endif
