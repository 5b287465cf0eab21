// SPDX-License-Identifier: Apache-2.0
// The view of a graph: order, names, readers, declared types, bodies that capture, functions and their attributes.
#include "made_model.h"

static struct fp_graph *build(struct fineprune_model *model, Onnx__ModelProto *proto) {
    fineprune_error err = {0};
    struct fp_graph *graph = NULL;
    *model = (struct fineprune_model){.proto = proto};
    if (fp_graph_new(&graph, model, &err)) fail_msg("%s", err.message);
    return graph;
}

static void drop(struct fp_graph *graph, Onnx__ModelProto *proto) {
    fp_graph_free(graph);
    onnx__model_proto__free_unpacked(proto, NULL);
}

// Takes the message.
static void refuse(Onnx__ModelProto *proto, const char *message) {
    fineprune_error err = {0};
    struct fp_graph *graph = NULL;
    struct fineprune_model model = {.proto = proto};
    assert_int_equal(fp_graph_new(&graph, &model, &err), FINEPRUNE_MODEL);
    assert_null(graph);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in: %s", message, err.message);
    assert_int_equal(fp_graph_new(&graph, &model, NULL), FINEPRUNE_MODEL); // no one wants to know why
    onnx__model_proto__free_unpacked(proto, NULL);
}

static Onnx__ModelProto *with_input(void) {
    Onnx__ModelProto *m = made_new();
    made_input(m->graph, "x", SHAPE(-1, 4));
    return m;
}

static void check_order(const struct fp_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++) {
        assert_int_equal(graph->nodes[i].id, i);
        for (int k = 0; k < graph->nodes[i].n_in; k++) {
            const struct fp_node *producer = graph->nodes[i].in[k] < 0 ? NULL
                                                                       : graph->values[graph->nodes[i].in[k]].producer;
            if (producer) assert_true(producer->id < i);
        }
    }
}

static void test_order(void **state) {
    (void)state;
    enum { N = 60 };
    Onnx__ModelProto *m = with_input();
    char in[40], out[40];
    for (int i = N; i-- > 0;) { // the last comes first
        if (i) snprintf(in, sizeof(in), "v%d,v%d", i - 1, i / 2);
        else snprintf(in, sizeof(in), "x,x");
        snprintf(out, sizeof(out), "v%d", i);
        made_node(m->graph, "Add", in, out);
    }
    made_output(m->graph, "v59");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    assert_int_equal(graph->n_nodes, N);
    check_order(graph);
    assert_string_equal(graph->values[graph->nodes[0].out[0]].name, "v0");
    assert_string_equal(graph->values[graph->nodes[N - 1].out[0]].name, "v59");
    drop(graph, m);
}

static void test_order_kept(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    made_node(m->graph, "Neg", "x", "b");
    made_node(m->graph, "Abs", "x", "a");
    made_node(m->graph, "Exp", "a", "c");
    made_output(m->graph, "c");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    const char *types[] = {"Neg", "Abs", "Exp"};
    for (int i = 0; i < 3; i++) assert_string_equal(graph->nodes[i].type, types[i]);
    drop(graph, m);
}

static void test_cycle(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    made_node(m->graph, "Add", "x,c", "a");
    made_node(m->graph, "Neg", "a", "b");
    made_node(m->graph, "Abs", "b", "c");
    made_output(m->graph, "c");
    refuse(m, "cycle");
    m = with_input();
    made_node(m->graph, "Add", "x,a", "a");
    made_output(m->graph, "a");
    refuse(m, "cycle");
}

static void test_readers(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    made_random(m->graph, "w", SHAPE(4, 4), 1);
    made_input(m->graph, "w", SHAPE(4, 4)); // a default
    made_node(m->graph, "MatMul", "x,w", "y");
    made_node(m->graph, "Clip", "y,,", "z");
    made_node(m->graph, "Add", "y,y", "s");
    made_output(m->graph, "y");
    made_output(m->graph, "s");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    assert_int_equal(graph->n_inputs, 1);
    const int x = fp_graph_find(graph, "x"), w = fp_graph_find(graph, "w"), y = fp_graph_find(graph, "y");
    assert_int_equal(graph->inputs[0], x);
    assert_int_equal(graph->values[x].rank, 2);
    assert_int_equal(graph->values[x].dims[0], -1);
    assert_int_equal(graph->values[x].dims[1], 4);
    assert_non_null(graph->values[w].initializer);
    assert_true(graph->values[w].is_input);
    assert_int_equal(graph->values[y].n_readers, 4);
    assert_true(graph->values[y].is_output);
    int seen[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
        const struct fp_use *use = &graph->values[y].readers[i];
        if (!use->node) assert_int_equal(use->index, 0);
        else if (!strcmp(use->node->type, "Add")) seen[use->index]++;
    }
    assert_true(seen[0] == 1 && seen[1] == 1);
    assert_int_equal(graph->nodes[1].in[1], -1); // left out
    assert_int_equal(fp_graph_find(graph, "nothing"), -1);
    drop(graph, m);
}

static void test_names(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    made_node(m->graph, "Neg", "x", "y");
    made_node(m->graph, "Abs", "x", "y");
    refuse(m, "'y' of a node's output is used twice");
    m = with_input();
    made_random(m->graph, "w", SHAPE(2), 1);
    made_random(m->graph, "w", SHAPE(2), 1);
    refuse(m, "'w' of an initializer is used twice");
    m = with_input();
    made_input(m->graph, "x", SHAPE(1));
    refuse(m, "'x' of an input is used twice");
    m = with_input();
    made_node(m->graph, "Neg", "x", "x");
    refuse(m, "is used twice");
    m = with_input();
    made_node(m->graph, "Neg", "q", "y");
    refuse(m, "reads 'q', which nothing in the model makes");
    m = with_input();
    made_output(m->graph, "q");
    refuse(m, "output 'q' of graph 'made' is made by no node");
}

// if (c) { inner: if (c) { -x } else { x } } else { x }, x from two graphs above.
static void test_captures(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    made_input(m->graph, "c", SHAPE(1));
    Onnx__GraphProto *deep = made_graph("deep"), *flat = made_graph("flat"), *middle = made_graph("middle"),
                     *other = made_graph("other");
    made_node(deep, "Neg", "x", "n"), made_output(deep, "n");
    made_node(flat, "Identity", "x", "f"), made_output(flat, "f");
    Onnx__NodeProto *inner = made_node(middle, "If", "c", "i");
    made_body(inner, "then_branch", deep), made_body(inner, "else_branch", flat), made_output(middle, "i");
    made_node(other, "Abs", "x", "n"), made_output(other, "n"); // the same name in a sister is no duplicate
    Onnx__NodeProto *outer = made_node(m->graph, "If", "c", "y");
    made_body(outer, "then_branch", middle), made_body(outer, "else_branch", other), made_output(m->graph, "y");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    const struct fp_node *node = &graph->nodes[0];
    assert_int_equal(node->n_bodies, 2);
    assert_ptr_equal(fp_attr_graph(node, "then_branch"), node->bodies[0]);
    const struct fp_graph *a = node->bodies[0], *b = a->nodes[0].bodies[0];
    assert_ptr_equal(a->parent, graph);
    assert_ptr_equal(b->parent_node, &a->nodes[0]);
    const int x = fp_graph_find(graph, "x"), ax = fp_graph_find(a, "x"), bx = fp_graph_find(b, "x");
    assert_int_equal(a->values[ax].outer, x);
    assert_int_equal(b->values[bx].outer, ax);
    assert_null(b->values[bx].producer);
    assert_int_equal(graph->values[x].n_readers, 2); // both bodies
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(graph->values[x].readers[i].node, node);
        assert_int_equal(graph->values[x].readers[i].index, -1);
    }
    drop(graph, m);
    m = with_input(); // a capture counts for the order too
    Onnx__GraphProto *body = made_graph("body"), *body2 = made_graph("body2");
    made_node(body, "Neg", "late", "n"), made_output(body, "n");
    made_node(body2, "Neg", "late", "n"), made_output(body2, "n");
    Onnx__NodeProto *branch = made_node(m->graph, "If", "x", "y");
    made_body(branch, "then_branch", body), made_body(branch, "else_branch", body2);
    made_node(m->graph, "Abs", "x", "late");
    made_output(m->graph, "y");
    graph = build(&model, m);
    assert_string_equal(graph->nodes[0].type, "Abs");
    drop(graph, m);
}

static Onnx__FunctionProto *function(const char *name, const char *calls, const char *domain) {
    MADE_NEW(Onnx__FunctionProto, f);
    f->name = strdup(name), f->domain = strdup("own");
    f->input = made_names("p", &f->n_input);
    f->output = made_names("q", &f->n_output);
    MADE_ADD(f, opset_import, made_opset("", 13));
    Onnx__NodeProto *node = made_node_alone(calls, "p", "q");
    node->domain = strdup(domain);
    MADE_ADD(f, node, node);
    return f;
}

static int count_node(struct fp_node *node, void *user) {
    ++*(int *)user;
    return !strcmp(node->type, "Stop") ? 7 : 0;
}

static void test_functions(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    MADE_ADD(m, opset_import, made_opset("own", 1));
    MADE_ADD(m, functions, function("twice", "Neg", ""));
    made_node(m->graph, "twice", "x", "y")->domain = strdup("own");
    made_node(m->graph, "twice", "y", "z")->domain = strdup("own");
    made_output(m->graph, "z");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    for (int i = 0; i < 2; i++) {
        const struct fp_node *call = &graph->nodes[i];
        assert_non_null(call->function);
        assert_null(call->function->parent);
        assert_ptr_equal(call->function->nodes[0].caller, call);
        assert_int_equal(call->function->nodes[0].opset, 13);
        assert_int_equal(call->function->n_inputs, 1);
    }
    assert_true(graph->nodes[0].function != graph->nodes[1].function);
    int n = 0;
    assert_int_equal(fp_graph_visit(graph, count_node, &n), 0);
    assert_int_equal(n, 4);
    drop(graph, m);
    m = with_input(); // f calls g calls f
    MADE_ADD(m, functions, function("f", "g", "own"));
    MADE_ADD(m, functions, function("g", "f", "own"));
    made_node(m->graph, "f", "x", "y")->domain = strdup("own");
    made_output(m->graph, "y");
    refuse(m, "calls itself");
    m = with_input(); // a body sees nothing of the graph that calls it
    MADE_ADD(m, functions, function("f", "Neg", ""));
    free(m->functions[0]->node[0]->input[0]);
    m->functions[0]->node[0]->input[0] = strdup("x");
    made_node(m->graph, "f", "x", "y")->domain = strdup("own");
    made_output(m->graph, "y");
    refuse(m, "reads 'x', which nothing in the model makes");
}

static void test_declared(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    MADE_NEW(Onnx__TypeProto, wrapped);
    Onnx__TypeProto__Optional *optional = made_message(sizeof(*optional));
    Onnx__TypeProto__Sequence *sequence = made_message(sizeof(*sequence));
    onnx__type_proto__optional__init(optional), onnx__type_proto__sequence__init(sequence);
    made_input(m->graph, "maybe", SHAPE(-1, 7));
    optional->elem_type = m->graph->input[1]->type;
    wrapped->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE, wrapped->optional_type = optional;
    m->graph->input[1]->type = wrapped;
    made_input(m->graph, "several", -1, NULL);
    sequence->elem_type = m->graph->input[2]->type;
    MADE_NEW(Onnx__TypeProto, list);
    list->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE, list->sequence_type = sequence;
    m->graph->input[2]->type = list;
    made_node(m->graph, "Split", "x", ",second"); // the first is not asked for
    made_output(m->graph, "second");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    const struct fp_value *maybe = &graph->values[fp_graph_find(graph, "maybe")];
    assert_true(maybe->is_optional && maybe->type == FP_FLOAT && maybe->rank == 2);
    assert_true(maybe->dims[0] == -1 && maybe->dims[1] == 7);
    const struct fp_value *several = &graph->values[fp_graph_find(graph, "several")];
    assert_true(!several->is_optional && several->type == FP_SEQUENCE && several->rank == -1);
    assert_int_equal(graph->nodes[0].out[0], -1);
    assert_int_equal(graph->nodes[0].out[1], fp_graph_find(graph, "second"));
    drop(graph, m);
    m = made_new();
    made_input(m->graph, "x", SHAPE(1, -2)), m->graph->input[0]->type->tensor_type->shape->dim[1]->dim_value = -2;
    m->graph->input[0]->type->tensor_type->shape->dim[1]->value_case =
        ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    refuse(m, "value 'x' has dimension -2");
    m = made_new();
    made_input(m->graph, "x", SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
    refuse(m, "value 'x' has rank 13; up to 12 is supported");
    m = with_input();
    made_node(m->graph, "", "x", "y")->name = strdup("n");
    refuse(m, "node 'n' has no operator (op_type is empty)");
}

static Onnx__AttributeProto *reference(Onnx__NodeProto *node, const char *name, int type, const char *to) {
    Onnx__AttributeProto *a = made_attribute(node, name, type);
    a->ref_attr_name = strdup(to);
    return a;
}

// References are followed through calls: to what the call gives, else to the function's default, else to nothing.
static void test_references(void **state) {
    (void)state;
    const int integer = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    Onnx__ModelProto *m = with_input();
    MADE_ADD(m, opset_import, made_opset("own", 1));
    Onnx__FunctionProto *inner = function("inner", "Neg", ""), *outer = function("outer", "inner", "own");
    MADE_ADD(inner, opset_import, made_opset("own", 1)), MADE_ADD(outer, opset_import, made_opset("own", 1));
    Onnx__NodeProto holder = ONNX__NODE_PROTO__INIT;
    made_int(&holder, "k", 5);
    MADE_ADD(inner, attribute_proto, holder.attribute[0]);
    free(holder.attribute);
    reference(inner->node[0], "axis", integer, "k");
    reference(inner->node[0], "none", integer, "absent");
    reference(outer->node[0], "k", integer, "j");
    MADE_ADD(m, functions, inner), MADE_ADD(m, functions, outer);
    made_node(m->graph, "outer", "x", "y")->domain = strdup("own");
    made_int(m->graph->node[0], "j", 3);
    made_node(m->graph, "outer", "y", "z")->domain = strdup("own");
    made_node(m->graph, "inner", "z", "w")->domain = strdup("own");
    made_int(m->graph->node[2], "k", 9);
    made_node(m->graph, "inner", "w", "v")->domain = strdup("own");
    reference(made_node(m->graph, "Neg", "v", "u"), "axis", integer, "nobody"); // nothing calls this one
    made_output(m->graph, "u");
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    const struct fp_node *given = &graph->nodes[0].function->nodes[0].function->nodes[0];
    const struct fp_node *through = &graph->nodes[1].function->nodes[0].function->nodes[0];
    const struct fp_node *direct = &graph->nodes[2].function->nodes[0], *usual = &graph->nodes[3].function->nodes[0];
    struct fp_attribute at;
    assert_int_equal(fp_attr_int(given, "axis", -1), 3);
    assert_int_equal(fp_attr_int(through, "axis", -1), 5); // what is referred to is absent, so the default holds
    assert_int_equal(fp_attr_int(direct, "axis", -1), 9);
    assert_int_equal(fp_attr_int(usual, "axis", -1), 5); // the default
    assert_int_equal(fp_attr_int(usual, "none", -1), -1);
    assert_int_equal(fp_attr_int(&graph->nodes[4], "axis", -1), -1);
    assert_true(fp_attr_at(direct, 0, &at) && at.kind == 'i' && !at.other);
    assert_string_equal(at.name, "axis");
    assert_string_equal(at.from, "k");
    assert_false(fp_attr_at(direct, 2, &at));
    drop(graph, m);
}

// What is absent, empty, of another kind or past the end is the default; a number that is 0 may not be in the file.
static void test_attributes(void **state) {
    (void)state;
    Onnx__ModelProto *m = with_input();
    Onnx__NodeProto *node = made_node(m->graph, "Neg", "x", "y");
    made_output(m->graph, "y");
    made_attribute(node, "i", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    made_attribute(node, "f", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    made_attribute(node, "s", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING)->has_s = 1;
    Onnx__AttributeProto *texts = made_attribute(node, "texts", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
    texts->n_strings = 2, texts->strings = made_message(2 * sizeof(*texts->strings));
    texts->strings[0] = (ProtobufCBinaryData){3, (uint8_t *)strdup("two")},
    texts->strings[1] = (ProtobufCBinaryData){0};
    made_ints(node, "ints", 1, (int64_t[]){4});
    made_attribute(node, "t", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR)->t = made_tensor("", FP_FLOAT, SHAPE(2),
                                                                                              (float[]){6, 7});
    Onnx__AttributeProto *unsaid = made_attribute(node, "unsaid", 0);
    unsaid->has_type = 0, unsaid->has_f = 1, unsaid->has_i = 1;
    struct fineprune_model model;
    struct fp_graph *graph = build(&model, m);
    const struct fp_node *n = &graph->nodes[0];
    size_t count = 9;
    assert_true(fp_attr_int(n, "i", 8) == 0 && fp_attr_int(n, "f", 8) == 8 && fp_attr_int(n, "none", 8) == 8);
    assert_true(fp_attr_float(n, "f", 8) == 0 && fp_attr_float(n, "i", 8) == 8);
    assert_string_equal(fp_attr_text(n, "s", "absent"), "");
    assert_string_equal(fp_attr_text(n, "i", "absent"), "absent");
    assert_string_equal(fp_attr_strings(n, "texts", 0), "two");
    assert_string_equal(fp_attr_strings(n, "texts", 1), "");
    assert_true(!fp_attr_strings(n, "texts", 2) && !fp_attr_strings(n, "none", 0));
    assert_true(fp_attr_ints(n, "ints", &count)[0] == 4 && count == 1);
    assert_true(!fp_attr_floats(n, "ints", &count) && count == 0);
    assert_true(!fp_attr_sparse_proto(n, "t") && !fp_attr_sparse_proto(n, "none") && !fp_attr_graph(n, "t"));
    struct fp_tensor t = {0};
    fineprune_error err = {0};
    assert_int_equal(fp_attr_tensor(n, "t", &t, NULL), 0);
    assert_true(t.count == 2 && ((float *)t.data)[1] == 7);
    fp_tensor_done(&t);
    assert_int_equal(fp_attr_tensor(n, "i", &t, &err), FINEPRUNE_MODEL);
    assert_non_null(strstr(err.message, "(Neg, opset 17) has no tensor attribute 'i'"));
    struct fp_attribute at;
    assert_true(fp_attr_at(n, 6, &at) && at.kind == 'f' && at.other == 'i' && !at.from);
    assert_string_equal(fp_attr_kind_name(at.other), "an integer");
    assert_string_equal(fp_attr_kind_name(0), "of no known type");
    drop(graph, m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_order_kept), cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_readers),    cmocka_unit_test(test_names),      cmocka_unit_test(test_captures),
        cmocka_unit_test(test_functions),  cmocka_unit_test(test_declared),   cmocka_unit_test(test_references),
        cmocka_unit_test(test_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
