// SPDX-License-Identifier: Apache-2.0
// What is added to an opened model: many initializers in time that grows with their number, under names that no graph
// uses.
#include "made_model.h"

#include <time.h>

#define NODES 20000

static struct fineprune_model *written(void **state, Onnx__ModelProto *proto) {
    fineprune_error err = {0};
    struct fineprune_model *model = NULL;
    const char *path = scratch_path(state, "m.onnx");
    made_write(proto, path);
    onnx__model_proto__free_unpacked(proto, NULL);
    if (fineprune_model_open(&model, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static const char *add(struct fineprune_model *model, size_t node, const char *base) {
    float zeros[2] = {0};
    struct fp_tensor t = {.type = FP_FLOAT, .rank = 1, .dims = {2}, .count = 2, .data = zeros};
    const char *name = NULL;
    assert_int_equal(fp_node_add_input(model, model->proto->graph->node[node], 2, base, &t, &name, NULL), 0);
    return name;
}

static void names_are_new(void **state) {
    Onnx__ModelProto *proto = made_new();
    Onnx__GraphProto *body = made_graph("body");
    made_node(body, "Identity", "x", "w.bias_1");
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w.bias", SHAPE(2), 1);
    for (int i = 0; i < 3; i++) made_node(proto->graph, "Gemm", "x,w.bias", i ? i > 1 ? "w.bias_2" : "w.bias_4" : "y");
    Onnx__GraphProto *other = made_graph("other");
    made_node(other, "Identity", "x", "v");
    Onnx__NodeProto *choice = made_node(proto->graph, "If", "x", "z");
    made_body(choice, "then_branch", body);
    made_body(choice, "else_branch", other);
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    assert_string_equal(add(model, 0, "w.bias"), "w.bias_3");
    assert_string_equal(add(model, 1, "w.bias"), "w.bias_5");
    assert_string_equal(add(model, 2, "other"), "other");
    const Onnx__GraphProto *graph = model->proto->graph;
    assert_int_equal(graph->n_initializer, 4);
    assert_string_equal(graph->initializer[2]->name, "w.bias_5");
    assert_string_equal(graph->node[1]->input[2], "w.bias_5");
    fineprune_model_free(model);
}

// What has left is no name any more, and its memory is not looked at.
static void names_of_what_left_are_free(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(2), 1);
    made_random(proto->graph, "unread", SHAPE(2), 2);
    made_node(proto->graph, "Gemm", "x,w", "y");
    made_node(proto->graph, "Gemm", "x,w", "unread_too");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    Onnx__GraphProto *graph = model->proto->graph;
    assert_string_equal(add(model, 0, "unread"), "unread_1");
    fp_model_drop_unread(model, &(struct fp_unread){&graph->node[1], &graph->initializer[1], 1, 1});
    assert_int_equal(graph->n_node, 1);
    assert_int_equal(graph->n_initializer, 2);
    assert_string_equal(add(model, 0, "unread"), "unread");
    assert_string_equal(add(model, 0, "unread_too"), "unread_too");
    fineprune_model_free(model);
}

static void many_are_added(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(2), 1);
    for (int i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "y%d", i);
        made_node(proto->graph, "Gemm", "x,w", name);
    }
    made_output(proto->graph, "y0");
    struct fineprune_model *model = written(state, proto);
    const clock_t start = clock(); // of this process: others may want the cores
    for (size_t i = 0; i < NODES; i++) {
        char base[16];
        snprintf(base, sizeof(base), "b%zu", i);
        assert_string_equal(add(model, i, base), base);
    }
    assert_int_equal(model->proto->graph->n_initializer, NODES + 1);
    assert_true(clock() - start < CLOCKS_PER_SEC); // a few hundredths; looking at all names for each would take several
    fineprune_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_new, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(names_of_what_left_are_free, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(many_are_added, scratch_set_up, scratch_tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
