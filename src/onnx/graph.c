// SPDX-License-Identifier: Apache-2.0
// Building the view of a graph: values, nodes in order, bodies, readers. (onnx docs/IR.md: names, scopes, functions)
#include "onnx/graph.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/name_map.h"
#include "onnx.pb-c.h"
#include "onnx/order.h"

// Functions that call functions can grow without bound from a small file.
#define MAX_FUNCTION_DEPTH 32
#define MAX_MADE 100000 // nodes beyond those that stand in the file

// What stays the same while the view is built.
struct builder {
    struct fineprune_model *model;
    struct fp_arena *room; // of the main graph
    size_t nodes, made;    // over all graphs; of calls of functions
    int function_depth;
    fineprune_error *err;
};

// One graph or function body under construction.
struct scope {
    struct fp_graph *graph;
    struct scope *outer; // where names that are not found here are looked for
    struct fp_name_map names;
    const Onnx__FunctionProto *function; // whose operator sets apply; NULL: the model's
    const struct fp_node *caller;
};

static int build_graph(struct builder *b, struct scope *scope, const Onnx__GraphProto *proto);
static int build_function(struct builder *b, struct fp_node *call, const Onnx__FunctionProto *proto);

static int no_memory(struct builder *b) { return fp_fail_memory(b->err, "the graph", sizeof(struct fp_value)); }

// ---- values

static int add_value(struct builder *b, struct scope *scope, const char *name) {
    struct fp_graph *graph = scope->graph;
    size_t capacity = (size_t)graph->value_capacity;
    struct fp_value *values = fp_grow(graph->values, &capacity, (size_t)graph->n_values + 1, sizeof(*values));
    if (values) {
        graph->values = values;
        graph->value_capacity = (int)capacity;
    }
    if (!values || !fp_name_add(&scope->names, name, graph->n_values)) {
        no_memory(b);
        return -1;
    }
    graph->values[graph->n_values] = (struct fp_value){.name = name, .rank = -1, .outer = -1};
    return graph->n_values++;
}

// A value that must be new. -1 with the error set.
static int define(struct builder *b, struct scope *scope, const char *name, const char *what) {
    if (!name[0]) {
        fp_fail(b->err, FINEPRUNE_MODEL, "the name of %s is empty in graph '%s'", what, scope->graph->name);
        return -1;
    }
    if (fp_name_find(&scope->names, name) < 0) return add_value(b, scope, name);
    fp_fail(b->err, FINEPRUNE_MODEL, "the name '%s' of %s is used twice in graph '%s'", name, what, scope->graph->name);
    return -1;
}

static int set_shape(struct builder *b, struct fp_value *value, const Onnx__TypeProto__Tensor *tensor) {
    value->type = (enum fp_type)tensor->elem_type;
    const Onnx__TensorShapeProto *shape = tensor->shape;
    if (!shape || value->dims) return FINEPRUNE_OK;
    if (shape->n_dim > FP_MAX_RANK)
        return fp_fail(b->err, FINEPRUNE_MODEL, "value '%s' has rank %zu; up to %d is supported", value->name,
                       shape->n_dim, FP_MAX_RANK);
    value->dims = fp_arena_take(b->room, shape->n_dim, sizeof(*value->dims));
    value->symbols = fp_arena_take(b->room, shape->n_dim, sizeof(*value->symbols));
    if (!value->dims || !value->symbols) return no_memory(b);
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        bool fixed = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (fixed) value->dims[i] = dim->dim_value;
        else value->dims[i] = -1;
        if (fixed && dim->dim_value < 0 && dim->dim_value != -1)
            return fp_fail(b->err, FINEPRUNE_MODEL, "value '%s' has dimension %lld", value->name,
                           (long long)dim->dim_value);
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) value->symbols[i] = dim->dim_param;
    }
    value->rank = (int)shape->n_dim;
    return FINEPRUNE_OK;
}

static int set_type(struct builder *b, struct fp_value *value, const Onnx__TypeProto *type) {
    if (!type) return FINEPRUNE_OK;
    if (type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE && type->optional_type) {
        value->is_optional = true;
        return set_type(b, value, type->optional_type->elem_type);
    }
    if (type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE) value->type = FP_SEQUENCE;
    if (type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type) return FINEPRUNE_OK;
    return set_shape(b, value, type->tensor_type);
}

static int declare(struct builder *b, struct scope *scope, const Onnx__ValueInfoProto *info) {
    int id = -1;
    if (info->name) id = fp_name_find(&scope->names, info->name);
    if (id < 0) return FINEPRUNE_OK;
    return set_type(b, &scope->graph->values[id], info->type);
}

// Initializers in order, then inputs; an input that names an initializer has it as its default.
static int define_initializers(struct builder *b, struct scope *scope, const Onnx__GraphProto *proto) {
    for (size_t i = 0; i < proto->n_initializer; i++) {
        int id = define(b, scope, fp_initializer_name(proto->initializer[i]), "an initializer");
        if (id < 0) return b->err ? b->err->status : FINEPRUNE_MODEL;
        scope->graph->values[id].initializer = proto->initializer[i];
        scope->graph->values[id].type = (enum fp_type)proto->initializer[i]->data_type;
    }
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        Onnx__SparseTensorProto *sparse = proto->sparse_initializer[i];
        if (!sparse->values) return fp_fail(b->err, FINEPRUNE_MODEL, "sparse initializer %zu has no values", i);
        int id = define(b, scope, fp_initializer_name(sparse->values), "a sparse initializer");
        if (id < 0) return b->err ? b->err->status : FINEPRUNE_MODEL;
        scope->graph->values[id].sparse_initializer = sparse;
        scope->graph->values[id].type = (enum fp_type)sparse->values->data_type;
    }
    return FINEPRUNE_OK;
}

static int define_inputs(struct builder *b, struct scope *scope, const Onnx__GraphProto *proto) {
    struct fp_graph *graph = scope->graph;
    graph->inputs = fp_arena_take(b->room, proto->n_input, sizeof(int));
    if (!graph->inputs) return no_memory(b);
    for (size_t i = 0; i < proto->n_input; i++) {
        const char *name = fp_or_empty(proto->input[i]->name);
        int id = fp_name_find(&scope->names, name);
        bool has_default = id >= 0 && !graph->values[id].is_input;
        if (!has_default) id = define(b, scope, name, "an input");
        if (id < 0) return b->err ? b->err->status : FINEPRUNE_MODEL;
        graph->values[id].is_input = true;
        if (!has_default || graph->parent) graph->inputs[graph->n_inputs++] = id;
        int status = set_type(b, &graph->values[id], proto->input[i]->type);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// The id of a name that is read: here, or taken from the graph around, or -1 with the error set.
static int resolve(struct builder *b, struct scope *scope, const char *name) {
    int id = fp_name_find(&scope->names, name);
    if (id >= 0 || !scope->outer) return id;
    int outer = resolve(b, scope->outer, name);
    if (outer < 0) return -1;
    id = add_value(b, scope, name);
    if (id < 0) return -1;
    scope->graph->values[id].outer = outer;
    scope->graph->values[id].type = scope->outer->graph->values[outer].type;
    return id;
}

// ---- nodes

static int opset_of(const struct builder *b, const struct scope *scope, const char *domain) {
    const Onnx__FunctionProto *function = scope->function;
    for (size_t i = 0; function && i < function->n_opset_import; i++) {
        const char *name = fp_or_empty(function->opset_import[i]->domain);
        if (!strcmp(strcmp(name, "ai.onnx") ? name : "", domain)) return (int)function->opset_import[i]->version;
    }
    return fp_model_opset(b->model, domain);
}

// The specification leaves it to runtimes which of the two a node means; as ONNX Runtime has it, no function takes the
// place of an operator of ONNX itself, and none adds one to them.
static bool has_operators_only(const char *domain) { return !domain[0] || !strcmp(domain, "ai.onnx.ml"); }

static const Onnx__FunctionProto *find_function(const struct builder *b, const Onnx__NodeProto *node,
                                                const char *domain) {
    const Onnx__ModelProto *model = b->model->proto;
    if (has_operators_only(domain)) return NULL;
    for (size_t i = 0; i < model->n_functions; i++) {
        const Onnx__FunctionProto *f = model->functions[i];
        const char *own = fp_or_empty(f->domain), *overload = fp_or_empty(f->overload);
        if (f->name && !strcmp(f->name, node->op_type) && !strcmp(own, domain) &&
            !strcmp(overload, fp_or_empty(node->overload)))
            return f;
    }
    return NULL;
}

static int add_body(struct builder *b, struct scope *scope, struct fp_node *node, const char *name,
                    const Onnx__GraphProto *proto) {
    struct fp_graph *body = fp_arena_take(b->room, 1, sizeof(*body));
    if (!body) return no_memory(b);
    node->bodies[node->n_bodies] = body;
    node->body_names[node->n_bodies++] = fp_or_empty(name);
    *body = (struct fp_graph){
        .model = b->model, .parent = scope->graph, .parent_node = node, .name = fp_or_empty(proto->name)};
    struct scope inner = {.graph = body, .outer = scope, .function = scope->function, .caller = scope->caller};
    int status = build_graph(b, &inner, proto);
    fp_name_map_done(&inner.names);
    return status;
}

static int add_bodies(struct builder *b, struct scope *scope, struct fp_node *node, const Onnx__NodeProto *proto) {
    const Onnx__FunctionProto *function = find_function(b, proto, node->domain);
    size_t n = function != NULL;
    for (size_t i = 0; i < proto->n_attribute; i++) n += proto->attribute[i]->g != NULL;
    if (!n) return FINEPRUNE_OK;
    node->bodies = fp_arena_take(b->room, n, sizeof(*node->bodies));
    node->body_names = fp_arena_take(b->room, n, sizeof(*node->body_names));
    if (!node->bodies || !node->body_names) return no_memory(b);
    if (function) return build_function(b, node, function);
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < proto->n_attribute && !status; i++)
        if (proto->attribute[i]->g)
            status = add_body(b, scope, node, proto->attribute[i]->name, proto->attribute[i]->g);
    return status;
}

static int fill_node(struct builder *b, struct scope *scope, struct fp_node *node, Onnx__NodeProto *proto) {
    const char *domain = fp_or_empty(proto->domain);
    node->proto = proto;
    node->graph = scope->graph;
    node->name = fp_or_empty(proto->name);
    node->type = fp_or_empty(proto->op_type);
    if (strcmp(domain, "ai.onnx")) node->domain = domain;
    else node->domain = "";
    node->opset = opset_of(b, scope, node->domain);
    node->caller = scope->caller;
    if (!node->type[0])
        return fp_fail(b->err, FINEPRUNE_MODEL, "node '%s' has no operator (op_type is empty)", node->name);
    for (int i = 0; i < node->n_in; i++) {
        const char *name = proto->input[i];
        if (name[0]) node->in[i] = resolve(b, scope, name);
        else node->in[i] = -1;
        if (name[0] && node->in[i] < 0)
            return fp_fail(b->err, FINEPRUNE_MODEL, "node '%s' (%s) reads '%s', which nothing in the model makes",
                           node->name, node->type, name);
    }
    for (int i = 0; i < node->n_out; i++) {
        if (proto->output[i][0]) node->out[i] = fp_name_find(&scope->names, proto->output[i]);
        else node->out[i] = -1;
        if (node->out[i] >= 0) scope->graph->values[node->out[i]].producer = node;
    }
    return add_bodies(b, scope, node, proto);
}

static int define_outputs_of_nodes(struct builder *b, struct scope *scope, Onnx__NodeProto *const *protos, size_t n,
                                   struct fp_name_map *producers, size_t *n_ids) {
    for (size_t i = 0; i < n; i++) {
        *n_ids += protos[i]->n_input + protos[i]->n_output;
        for (size_t k = 0; k < protos[i]->n_output; k++) {
            const char *name = protos[i]->output[k];
            if (!name[0]) continue;
            if (define(b, scope, name, "a node's output") < 0) return b->err ? b->err->status : FINEPRUNE_MODEL;
            if (!fp_name_add(producers, name, (int)i)) return no_memory(b);
        }
    }
    return FINEPRUNE_OK;
}

static int fill_nodes(struct builder *b, struct scope *scope, Onnx__NodeProto *const *protos, size_t n,
                      const int *order, size_t n_ids) {
    struct fp_graph *graph = scope->graph;
    graph->nodes = fp_arena_take(b->room, n, sizeof(*graph->nodes));
    graph->ids = fp_arena_take(b->room, n_ids, sizeof(int));
    if (!graph->nodes || !graph->ids) return no_memory(b);
    int *ids = graph->ids, status = FINEPRUNE_OK;
    for (size_t i = 0; i < n && !status; i++) {
        Onnx__NodeProto *proto = protos[order[i]];
        struct fp_node *node = &graph->nodes[graph->n_nodes++];
        *node = (struct fp_node){.id = (int)i, .n_in = (int)proto->n_input, .n_out = (int)proto->n_output};
        node->in = ids;
        node->out = ids + proto->n_input;
        ids += proto->n_input + proto->n_output;
        status = fill_node(b, scope, node, proto);
    }
    return status;
}

static int add_nodes(struct builder *b, struct scope *scope, Onnx__NodeProto *const *protos, size_t n) {
    b->nodes += n;
    if (scope->function) b->made += n;
    if (b->made > MAX_MADE)
        return fp_fail(b->err, FINEPRUNE_LIMIT, "'%.300s' has over %d nodes more when its functions are expanded",
                       b->model->path, MAX_MADE);
    FP_STAGE(stage, "the order of nodes");
    struct fp_name_map producers = {0};
    size_t n_ids = 0;
    int *order = fp_arena_take(&stage, n, sizeof(int));
    if (!order) return no_memory(b);
    int status = define_outputs_of_nodes(b, scope, protos, n, &producers, &n_ids);
    if (!status) status = fp_order_nodes(order, protos, n, &producers, b->err);
    if (!status) status = fill_nodes(b, scope, protos, n, order, n_ids);
    fp_name_map_done(&producers);
    return status;
}

// ---- readers

static void count_reader(struct fp_graph *graph, int value, struct fp_node *node, int index, bool fill) {
    struct fp_value *v = &graph->values[value];
    if (fill) v->readers[v->n_readers] = (struct fp_use){node, index};
    v->n_readers++;
}

static void visit_readers(struct fp_graph *graph, bool fill) {
    for (int i = 0; i < graph->n_nodes; i++) {
        struct fp_node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) count_reader(graph, node->in[k], node, k, fill);
        for (int k = 0; k < node->n_bodies; k++)
            for (int v = 0; !node->function && v < node->bodies[k]->n_values; v++)
                if (node->bodies[k]->values[v].outer >= 0)
                    count_reader(graph, node->bodies[k]->values[v].outer, node, -1, fill);
    }
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i] >= 0) count_reader(graph, graph->outputs[i], NULL, i, fill);
}

static int add_readers(struct builder *b, struct fp_graph *graph) {
    visit_readers(graph, false);
    size_t n = 0;
    for (int i = 0; i < graph->n_values; i++) n += (size_t)graph->values[i].n_readers;
    graph->uses = fp_arena_take(b->room, n, sizeof(*graph->uses));
    if (!graph->uses) return no_memory(b);
    struct fp_use *at = graph->uses;
    for (int i = 0; i < graph->n_values; i++) {
        graph->values[i].readers = at;
        at += graph->values[i].n_readers;
        graph->values[i].n_readers = 0;
    }
    visit_readers(graph, true);
    return FINEPRUNE_OK;
}

// ---- graphs and functions

static int add_outputs(struct builder *b, struct scope *scope, size_t n, const char *(*name_of)(const void *, size_t),
                       const void *proto) {
    struct fp_graph *graph = scope->graph;
    graph->outputs = fp_arena_take(b->room, n, sizeof(int));
    if (!graph->outputs) return no_memory(b);
    for (size_t i = 0; i < n; i++) {
        const char *name = name_of(proto, i);
        int id = -1;
        if (name && name[0]) id = resolve(b, scope, name);
        if (id < 0)
            return fp_fail(b->err, FINEPRUNE_MODEL, "output '%s' of graph '%s' is made by no node", fp_or_empty(name),
                           graph->name);
        graph->outputs[graph->n_outputs++] = id;
        graph->values[id].is_output = true;
    }
    return FINEPRUNE_OK;
}

static const char *graph_output(const void *proto, size_t i) {
    return ((const Onnx__GraphProto *)proto)->output[i]->name;
}
static const char *function_output(const void *proto, size_t i) {
    return ((const Onnx__FunctionProto *)proto)->output[i];
}

static int build_graph(struct builder *b, struct scope *scope, const Onnx__GraphProto *proto) {
    int status = define_initializers(b, scope, proto);
    if (!status) status = define_inputs(b, scope, proto);
    if (!status) status = add_nodes(b, scope, proto->node, proto->n_node);
    if (!status) status = add_outputs(b, scope, proto->n_output, graph_output, proto);
    for (size_t i = 0; i < proto->n_value_info && !status; i++) status = declare(b, scope, proto->value_info[i]);
    for (size_t i = 0; i < proto->n_output && !status; i++) status = declare(b, scope, proto->output[i]);
    if (status) return status;
    return add_readers(b, scope->graph);
}

static int fill_function(struct builder *b, struct scope *scope, const Onnx__FunctionProto *proto) {
    struct fp_graph *graph = scope->graph;
    graph->inputs = fp_arena_take(b->room, proto->n_input, sizeof(int));
    if (!graph->inputs) return no_memory(b);
    for (size_t i = 0; i < proto->n_input; i++) {
        int id = define(b, scope, proto->input[i], "a function's input");
        if (id < 0) return b->err ? b->err->status : FINEPRUNE_MODEL;
        graph->values[id].is_input = true;
        graph->inputs[graph->n_inputs++] = id;
    }
    int status = add_nodes(b, scope, proto->node, proto->n_node);
    if (!status) status = add_outputs(b, scope, proto->n_output, function_output, proto);
    if (status) return status;
    return add_readers(b, graph);
}

static int build_function(struct builder *b, struct fp_node *call, const Onnx__FunctionProto *proto) {
    if (b->function_depth >= MAX_FUNCTION_DEPTH)
        return fp_fail(b->err, FINEPRUNE_MODEL, "function '%s' calls itself, or functions nest deeper than %d",
                       call->type, MAX_FUNCTION_DEPTH);
    struct fp_graph *body = fp_arena_take(b->room, 1, sizeof(*body));
    if (!body) return no_memory(b);
    *body = (struct fp_graph){.model = b->model, .parent_node = call, .function_proto = proto, .name = call->type};
    call->bodies[0] = call->function = body;
    call->n_bodies = 1;
    call->body_names[0] = "";
    struct scope scope = {.graph = body, .function = proto, .caller = call};
    b->function_depth++;
    int status = fill_function(b, &scope, proto);
    b->function_depth--;
    fp_name_map_done(&scope.names);
    return status;
}

int fp_graph_new(struct fp_graph **out, struct fineprune_model *model, fineprune_error *err) {
    fineprune_error local = {0};
    struct builder b = {.model = model, .err = err ? err : &local};
    struct fp_graph *graph = calloc(1, sizeof(*graph));
    if (!graph) return no_memory(&b);
    const Onnx__GraphProto *proto = model->proto->graph;
    *graph = (struct fp_graph){.model = model, .name = fp_or_empty(proto->name)};
    struct scope scope = {.graph = graph};
    b.room = &graph->room;
    int status = build_graph(&b, &scope, proto);
    fp_name_map_done(&scope.names);
    if (status) fp_graph_free(graph);
    else *out = graph;
    return status;
}

static void free_values(struct fp_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_bodies; k++) free_values(graph->nodes[i].bodies[k]);
    free(graph->values);
}

void fp_graph_free(struct fp_graph *graph) {
    if (!graph) return;
    free_values(graph);
    fp_arena_free(&graph->room);
    free(graph);
}

const char *fineprune_model_input(const fineprune_model *model, size_t index) {
    const struct fp_graph *graph = model->graph;
    if (index >= (size_t)graph->n_inputs) return NULL;
    return graph->values[graph->inputs[index]].name;
}

int fp_graph_visit(struct fp_graph *graph, int (*visit)(struct fp_node *, void *), void *user) {
    for (int i = 0; i < graph->n_nodes; i++) {
        int result = visit(&graph->nodes[i], user);
        for (int k = 0; k < graph->nodes[i].n_bodies && !result; k++)
            result = fp_graph_visit(graph->nodes[i].bodies[k], visit, user);
        if (result) return result;
    }
    return 0;
}

int fp_graph_find(const struct fp_graph *graph, const char *name) {
    for (int i = 0; i < graph->n_values; i++)
        if (!strcmp(graph->values[i].name, name)) return i;
    return -1;
}

char *fp_node_text(char *dst, size_t size, const struct fp_node *node) {
    const char *name = node->name, *how = "", *dot = "";
    if (!name[0] && node->n_out && node->proto->output) name = node->proto->output[0];
    if (!name[0] && node->n_in && node->proto->input) name = node->proto->input[0], how = "that reads ";
    if (node->domain[0]) dot = ".";
    snprintf(dst, size, "node %s'%.200s' (%s%s%.60s, opset %d)", how, name, node->domain, dot, node->type, node->opset);
    return dst;
}
