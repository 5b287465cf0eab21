// SPDX-License-Identifier: Apache-2.0
// Channels leave through the library: with and without a report, to a multiple, and no more than nothing reads.
#include "made_model.h"

enum { IN = 6, HIDDEN = 40, OUT = 3, DEAD = 21 };

static fineprune_model *open_model(void **state) {
    Onnx__ModelProto *m = made_new();
    Onnx__GraphProto *g = m->graph;
    float out[OUT * HIDDEN];
    made_input(g, "x", SHAPE(-1, IN));
    made_random(g, "w1", SHAPE(HIDDEN, IN), 1), made_random(g, "b1", SHAPE(HIDDEN), 2);
    made_fill(out, OUT * HIDDEN, 3);
    for (size_t i = 0; i < OUT * HIDDEN; i++)
        if (i % HIDDEN < DEAD) out[i] = 0;
    made_initializer(g, "w2", FP_FLOAT, SHAPE(OUT, HIDDEN), out);
    made_int(made_node(g, "Gemm", "x,w1,b1", "h"), "transB", 1), made_node(g, "Relu", "h", "r");
    made_int(made_node(g, "Gemm", "r,w2", "y"), "transB", 1);
    MADE_ADD(g, output, made_value("y", FP_FLOAT, SHAPE(-1, OUT)));
    made_write(m, scratch_path(state, "m.onnx"));
    onnx__model_proto__free_unpacked(m, NULL);
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    if (fineprune_model_open(&model, scratch_path(state, "m.onnx"), NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static int64_t hidden_of(const fineprune_model *model) { return model->proto->graph->initializer[0]->dims[0]; }

static void test_multiples(void **state) {
    const struct {
        size_t multiple;
        int64_t kept;
    } cases[] = {{0, 32}, {1, HIDDEN - DEAD}, {8, 24}, {100, HIDDEN}};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        fineprune_error err = {0};
        fineprune_model *model = open_model(state);
        if (fineprune_compact(model, cases[i].multiple, NULL, NULL, &err)) fail_msg("%s", err.message);
        assert_int_equal(hidden_of(model), cases[i].kept);
        fineprune_model_free(model);
    }
}

static void test_report(void **state) {
    fineprune_model *model = open_model(state);
    fineprune_report *report = NULL;
    assert_int_equal(fineprune_compact(model, 1, NULL, &report, NULL), FINEPRUNE_OK);
    const fineprune_report *first = report;
    char *text = fineprune_report_summary(report);
    assert_non_null(strstr(text, "21 of 40 hidden channels"));
    free(text);
    assert_int_equal(fineprune_compact(model, 1, NULL, &report, NULL), FINEPRUNE_OK); // into the same
    assert_ptr_equal(report, first);
    assert_int_equal(hidden_of(model), HIDDEN - DEAD);
    fineprune_report_free(report);
    fineprune_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_multiples), scratch_test(test_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
