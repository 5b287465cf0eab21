// SPDX-License-Identifier: Apache-2.0
// A view of a GraphProto: numbered values, nodes in an order that can be run, who makes and who reads each value.
// Subgraphs (If, Loop, Scan) and calls of model-local functions are graphs of their own that see their parent's values.
// The view changes nothing.
#ifndef FP_GRAPH_H
#define FP_GRAPH_H

#include "base/arena.h"
#include "onnx/model.h"

typedef struct Onnx__AttributeProto Onnx__AttributeProto;
typedef struct Onnx__FunctionProto Onnx__FunctionProto;

struct fp_value {
    const char *name;
    enum fp_type type;              // declared; FP_NONE when not declared
    int rank;                       // declared; -1 when unknown
    int64_t *dims;                  // -1 for symbolic dims
    const char **symbols;           // names of symbolic dims (NULL entries otherwise); may be NULL
    struct fp_node *producer;       // NULL for inputs, initializers and outer values
    Onnx__TensorProto *initializer; // NULL when there is none (also set for inputs that have a default)
    Onnx__SparseTensorProto *sparse_initializer;
    int outer; // id of the same value in the parent graph, -1 when it is not captured
    bool is_input, is_output;
    bool is_optional; // declared so; type, rank and dims are its element's
    int n_readers;    // readers in this graph, subgraphs of it included, graph outputs included
    struct fp_use *readers;
};

// Reader `node` takes the value as its input `index` (-1: a body of the node reads it); node NULL: it is graph output
// `index`.
struct fp_use {
    struct fp_node *node;
    int index;
};

struct fp_node {
    Onnx__NodeProto *proto;
    struct fp_graph *graph;
    int id;                    // position in graph->nodes
    const char *name;          // never NULL; "" when the model gives none
    const char *type, *domain; // domain "" for ai.onnx
    int opset;                 // version of the domain that applies to this node
    int n_in, n_out;
    int *in, *out; // value ids; -1 where an optional one is left out
    int n_bodies;
    struct fp_graph **bodies;     // of graph attributes in order, or the one body of a function call
    const char **body_names;      // attribute name of each
    struct fp_graph *function;    // the body when this is a call of a model-local function, else NULL
    const struct fp_node *caller; // for nodes in a function body: the call, whose attributes ref_attr_name refers to
};

struct fp_graph {
    struct fineprune_model *model;
    struct fp_graph *parent; // NULL for the main graph and for function bodies
    struct fp_node *parent_node;
    const Onnx__FunctionProto *function_proto; // when it is the body of a function call
    const char *name;
    int n_values, value_capacity, n_nodes, n_inputs, n_outputs;
    struct fp_use *uses;     // all readers, value by value
    int *ids;                // all in and out arrays of nodes
    struct fp_value *values; // move while the graph is built, so nodes hold ids
    struct fp_node *nodes;   // in topological order
    int *inputs;             // main graph: without those that are initializers too
    int *outputs;
    struct fp_arena room; // of the main graph: all that it and its bodies hold, but for values
};

// Builds the view. Errors: MODEL for a duplicate name, a cycle, a value nobody makes, nesting, a function that calls
// itself, an operator set that is not imported. Time and memory are linear in the message.
int fp_graph_new(struct fp_graph **out, struct fineprune_model *model, fineprune_error *err);
void fp_graph_free(struct fp_graph *graph);
// Calls visit for every node of the graph and its bodies, in order; stops at the first non-zero result and returns it.
int fp_graph_visit(struct fp_graph *graph, int (*visit)(struct fp_node *, void *), void *user);
// Id of the value of that name in this graph, -1 when there is none. Linear; for tests and messages.
int fp_graph_find(const struct fp_graph *graph, const char *name);
// "node 'conv1' (Conv, opset 13)" for messages; dst is returned.
char *fp_node_text(char *dst, size_t size, const struct fp_node *node);

// Attributes. Each returns the default when the attribute is absent; the wrong kind of attribute counts as absent.
// References of function bodies to the caller's attributes are followed.
bool fp_attr_has(const struct fp_node *node, const char *name);
// Kinds of attributes are letters: float, int, string, tensor, graph, sparse tensor, type, and lists of them.
#define FP_ATTRIBUTE_KINDS "fistgpyFISTGPY"
struct fp_attribute {
    const char *name; // never NULL
    const char *from; // the attribute of the caller that it refers to, or NULL
    char kind;        // as it says itself or, where it does not, by what it holds; of the caller's where it refers to
                      // one; 0: nothing tells
    char other;       // something it holds besides, of another kind; 0: nothing
};
// Attribute number `index` of the node as the file has it. False past the end.
bool fp_attr_at(const struct fp_node *node, size_t index, struct fp_attribute *out);
const char *fp_attr_kind_name(char kind); // "an integer"
int64_t fp_attr_int(const struct fp_node *node, const char *name, int64_t absent);
float fp_attr_float(const struct fp_node *node, const char *name, float absent);
const char *fp_attr_text(const struct fp_node *node, const char *name, const char *absent); // up to the first NUL
// Lent arrays; *n is 0 and the result NULL when absent.
const int64_t *fp_attr_ints(const struct fp_node *node, const char *name, size_t *n);
const float *fp_attr_floats(const struct fp_node *node, const char *name, size_t *n);
// Element `index` of a strings attribute, NULL past its end.
const char *fp_attr_strings(const struct fp_node *node, const char *name, size_t index);
// Loads a tensor attribute (as fp_initializer_load); FINEPRUNE_MODEL when absent.
int fp_attr_tensor(const struct fp_node *node, const char *name, struct fp_tensor *out, fineprune_error *err);
// The message behind a tensor attribute, NULL when absent. A pruned Constant is stored to through it.
Onnx__TensorProto *fp_attr_tensor_proto(const struct fp_node *node, const char *name);
Onnx__SparseTensorProto *fp_attr_sparse_proto(const struct fp_node *node, const char *name);
// The body of a graph attribute, NULL when absent.
struct fp_graph *fp_attr_graph(const struct fp_node *node, const char *name);

#endif
