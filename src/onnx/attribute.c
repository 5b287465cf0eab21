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

// Whether each field is filled, in the order of FP_ATTRIBUTE_KINDS.
static void see_fields(const Onnx__AttributeProto *a, bool *filled) {
    const bool fields[] = {a->has_f,
                           a->has_i,
                           a->has_s,
                           a->t != NULL,
                           a->g != NULL,
                           a->sparse_tensor,
                           a->tp != NULL,
                           a->n_floats > 0,
                           a->n_ints > 0,
                           a->n_strings > 0,
                           a->n_tensors > 0,
                           a->n_graphs,
                           a->n_sparse_tensors,
                           a->n_type_protos};
    memcpy(filled, fields, sizeof(fields));
}

// The letter of the type that the attribute says it has; 0: it says none that is known.
static char said_kind(const Onnx__AttributeProto *a) {
    // in the order of AttributeType: FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS .. GRAPHS, SPARSE_TENSOR(S),
    // TYPE_PROTO(S)
    static const char letters[] = "fistgFISTGpPyY";
    if (a->has_type && a->type >= 1 && a->type <= 14) return letters[a->type - 1];
    return 0;
}

bool fp_attr_at(const struct fp_node *node, size_t index, struct fp_attribute *out) {
    if (index >= node->proto->n_attribute) return false;
    const Onnx__AttributeProto *a = node->proto->attribute[index];
    bool filled[sizeof(FP_ATTRIBUTE_KINDS) - 1];
    *out = (struct fp_attribute){.name = fp_or_empty(a->name)};
    if (a->ref_attr_name && a->ref_attr_name[0]) {
        out->from = a->ref_attr_name;
        const Onnx__AttributeProto *given = find_in_caller(node->caller, a->ref_attr_name);
        if (given) a = given;
    }
    see_fields(a, filled);
    out->kind = said_kind(a);
    for (size_t i = 0; i < sizeof(filled); i++) {
        if (!filled[i] || out->kind == FP_ATTRIBUTE_KINDS[i]) continue;
        if (!out->kind && !a->has_type) out->kind = FP_ATTRIBUTE_KINDS[i];
        else out->other = FP_ATTRIBUTE_KINDS[i];
    }
    return true;
}

const char *fp_attr_kind_name(char kind) {
    static const char *const names[] = {"a float",         "an integer", "a string",       "a tensor", "a graph",
                                        "a sparse tensor", "a type",     "floats",         "integers", "strings",
                                        "tensors",         "graphs",     "sparse tensors", "types"};
    const char *at = kind ? strchr(FP_ATTRIBUTE_KINDS, kind) : NULL;
    if (at) return names[at - FP_ATTRIBUTE_KINDS];
    return "of no known type";
}

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
