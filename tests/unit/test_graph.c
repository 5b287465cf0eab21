// SPDX-License-Identifier: Apache-2.0
// The view of a graph: order, names, readers, bodies that capture, functions.
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),     cmocka_unit_test(test_order_kept), cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_readers),   cmocka_unit_test(test_names),      cmocka_unit_test(test_captures),
        cmocka_unit_test(test_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
