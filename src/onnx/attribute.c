// SPDX-License-Identifier: Apache-2.0
// Attributes of nodes, with the references that function bodies make to their caller's attributes. (onnx.proto,
// AttributeProto)
#include "onnx/graph.h"
#include "onnx.pb-c.h"

static const Onnx__AttributeProto *find(const struct fp_node *node, const char *name);

static const Onnx__AttributeProto *find_in_caller(const struct fp_node *caller, const char *name) {
    if (!caller) return NULL;
    const Onnx__AttributeProto *given = find(caller, name);
    if (given || !caller->function) return given;
    const Onnx__FunctionProto *function = caller->function->function_proto;
    for (size_t i = 0; i < function->n_attribute_proto; i++)
        if (function->attribute_proto[i]->name && !strcmp(function->attribute_proto[i]->name, name))
            return function->attribute_proto[i];
    return NULL;
}

static const Onnx__AttributeProto *find(const struct fp_node *node, const char *name) {
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = node->proto->attribute[i];
        if (!a->name || strcmp(a->name, name)) continue;
        if (a->ref_attr_name && a->ref_attr_name[0]) return find_in_caller(node->caller, a->ref_attr_name);
        return a;
    }
    return NULL;
}

bool fp_attr_has(const struct fp_node *node, const char *name) { return find(node, name) != NULL; }

int64_t fp_attr_int(const struct fp_node *node, const char *name, int64_t absent) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a && a->has_i) return a->i;
    if (a && a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT) return 0;
    return absent;
}

float fp_attr_float(const struct fp_node *node, const char *name, float absent) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a && a->has_f) return a->f;
    if (a && a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT) return 0;
    return absent;
}

// The model's allocator puts a zero behind every block, so bytes can be read as text.
const char *fp_attr_text(const struct fp_node *node, const char *name, const char *absent) {
    const Onnx__AttributeProto *a = find(node, name);
    if (!a || !a->has_s) return absent;
    if (a->s.data) return (const char *)a->s.data;
    return "";
}

const int64_t *fp_attr_ints(const struct fp_node *node, const char *name, size_t *n) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a) *n = a->n_ints;
    else *n = 0;
    if (*n) return a->ints;
    return NULL;
}

const float *fp_attr_floats(const struct fp_node *node, const char *name, size_t *n) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a) *n = a->n_floats;
    else *n = 0;
    if (*n) return a->floats;
    return NULL;
}

const char *fp_attr_strings(const struct fp_node *node, const char *name, size_t index) {
    const Onnx__AttributeProto *a = find(node, name);
    if (!a || index >= a->n_strings) return NULL;
    if (a->strings[index].data) return (const char *)a->strings[index].data;
    return "";
}

Onnx__TensorProto *fp_attr_tensor_proto(const struct fp_node *node, const char *name) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a) return a->t;
    return NULL;
}

Onnx__SparseTensorProto *fp_attr_sparse_proto(const struct fp_node *node, const char *name) {
    const Onnx__AttributeProto *a = find(node, name);
    if (a) return a->sparse_tensor;
    return NULL;
}

int fp_attr_tensor(const struct fp_node *node, const char *name, struct fp_tensor *out, fineprune_error *err) {
    const Onnx__TensorProto *proto = fp_attr_tensor_proto(node, name);
    char text[300];
    if (!proto)
        return fp_fail(err, FINEPRUNE_MODEL, "%s has no tensor attribute '%s'", fp_node_text(text, sizeof(text), node),
                       name);
    return fp_initializer_load(node->graph->model, proto, out, err);
}

struct fp_graph *fp_attr_graph(const struct fp_node *node, const char *name) {
    for (int i = 0; i < node->n_bodies; i++)
        if (node->body_names && node->body_names[i] && !strcmp(node->body_names[i], name)) return node->bodies[i];
    return NULL;
}
