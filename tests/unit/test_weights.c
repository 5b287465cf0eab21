// SPDX-License-Identifier: Apache-2.0
// Weights behind operators that move elements: read as what the operator sees, written so that it sees the masked ones,
// and no other byte changes.
#include "made_model.h"

#include <math.h>

static float operand_at(const struct fp_tensor *t, const struct fp_weight *w, size_t i) {
    const size_t g = i / (w->rows * w->cols), r = i / w->cols % w->rows, c = i % w->cols;
    return (
        (const float *)t->data)[g * w->group_stride + r * w->row_stride + c / w->inner * w->col_stride + c % w->inner];
}

static void operand(struct made *m, const struct fp_weight *w, struct fp_tensor *out) {
    fineprune_error err = {0};
    if (fp_exec_constant(m->exec, w->node->graph, w->node->in[w->uses[0].slot], out, &err)) fail_msg("%s", err.message);
}

// Reads all weights, masks every third element, and looks again through a new executor. step: of the quantized grid, or
// 0.
static void check(Onnx__ModelProto *proto, int n, double step) {
    struct made m;
    made_open(&m, proto);
    if (m.weights->n != n)
        fail_msg("%d weights, not %d (%s)", m.weights->n, n, m.weights->n_skipped ? m.weights->skipped[0].reason : "");
    float *values[4];
    uint8_t *keep[4];
    for (int k = 0; k < n; k++) {
        const struct fp_weight *w = &m.weights->items[k];
        struct fp_tensor seen = {0};
        values[k] = fp_calloc(w->count, sizeof(float)), keep[k] = fp_calloc(w->count, 1);
        assert_int_equal(fp_weight_read(&m.model, w, values[k], NULL), 0);
        operand(&m, w, &seen);
        assert_int_equal(seen.count, w->count);
        for (size_t i = 0; i < w->count; i++) {
            assert_true(values[k][i] == operand_at(&seen, w, i));
            keep[k][i] = i % 3 != 0;
            values[k][i] += keep[k][i] ? (float)step * (float)(i % 2) : 0;
        }
        fp_tensor_done(&seen);
        assert_int_equal(fp_weight_write(&m.model, w, values[k], keep[k], NULL), 0);
    }
    fp_weights_free(m.weights), fp_exec_free(m.exec); // constants are folded once
    made_find(&m);
    for (int k = 0; k < n; k++) {
        const struct fp_weight *w = &m.weights->items[k];
        struct fp_tensor seen = {0};
        operand(&m, w, &seen);
        for (size_t i = 0; i < w->count; i++) assert_true(operand_at(&seen, w, i) == (keep[k][i] ? values[k][i] : 0));
        fp_tensor_done(&seen);
        free(values[k]), free(keep[k]);
    }
    made_close(&m);
}

static Onnx__ModelProto *with_input(int64_t cols) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(-1, cols));
    made_output(proto->graph, "y");
    return proto;
}

static void test_moves(void **state) {
    (void)state;
    Onnx__ModelProto *p = with_input(4);
    made_random(p->graph, "w", SHAPE(3, 4), 1);
    made_node(p->graph, "Transpose", "w", "t"), made_node(p->graph, "MatMul", "x,t", "y");
    check(p, 1, 0.25);
    p = with_input(4);
    made_random(p->graph, "w", SHAPE(2, 6), 1);
    made_initializer(p->graph, "s", FP_INT64, SHAPE(2), (int64_t[]){4, 3});
    made_node(p->graph, "Reshape", "w,s", "t"), made_node(p->graph, "Identity", "t", "i"),
        made_node(p->graph, "MatMul", "x,i", "y");
    check(p, 1, 0.25);
    p = with_input(4);
    const double wide[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -12};
    made_initializer(p->graph, "w", FP_DOUBLE, SHAPE(4, 3), wide);
    made_int(made_node(p->graph, "Cast", "w", "t"), "to", FP_FLOAT), made_node(p->graph, "MatMul", "x,t", "y");
    check(p, 1, 0.25);
    p = with_input(4);
    made_random(p->graph, "a", SHAPE(4, 1), 1), made_random(p->graph, "b", SHAPE(4, 2), 2);
    made_int(made_node(p->graph, "Concat", "a,b", "t"), "axis", 1), made_node(p->graph, "MatMul", "x,t", "y");
    check(p, 1, 0.25);
    p = with_input(4); // the last columns of a tensor whose first ones nobody reads
    made_random(p->graph, "w", SHAPE(4, 5), 1);
    made_initializer(p->graph, "s", FP_INT64, SHAPE(2), (int64_t[]){2, 3});
    made_int(made_node(p->graph, "Split", "w,s", "t,u"), "axis", 1), made_node(p->graph, "MatMul", "x,u", "y");
    check(p, 1, 0.25);
    p = with_input(4);
    Onnx__NodeProto *constant = made_node(p->graph, "Constant", "", "t");
    constant->n_input = 0;
    float values[12];
    made_fill(values, 12, 3);
    made_attribute(constant, "value", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR)->t = made_tensor(
        "", FP_FLOAT, SHAPE(4, 3), values);
    made_node(p->graph, "MatMul", "x,t", "y");
    check(p, 1, 0.25);
}

static void test_quantized(void **state) {
    (void)state;
    Onnx__ModelProto *p = with_input(4);
    const int8_t q[12] = {-100, 3, 7, 0, 50, -3, 100, 90, 1, 2, -60, 5};
    made_initializer(p->graph, "w", FP_INT8, SHAPE(4, 3), q);
    made_initializer(p->graph, "s", FP_FLOAT, SHAPE(3), (float[]){0.5f, 0.5f, 0.5f});
    made_initializer(p->graph, "z", FP_INT8, SHAPE(3), (int8_t[]){3, -5, 0});
    made_int(made_node(p->graph, "DequantizeLinear", "w,s,z", "t"), "axis", 1),
        made_node(p->graph, "MatMul", "x,t", "y");
    check(p, 1, 0.5);
}

static void check_skipped(Onnx__ModelProto *p, const char *name, const char *reason) {
    struct made m;
    made_open(&m, p);
    assert_int_equal(m.weights->n, 0);
    for (int i = 0; i < m.weights->n_skipped; i++)
        if (!strcmp(m.weights->skipped[i].name, name)) {
            assert_string_equal(m.weights->skipped[i].reason, reason);
            made_close(&m);
            return;
        }
    fail_msg("'%s' is not among the skipped", name);
}

static void test_shared(void **state) {
    (void)state;
    Onnx__ModelProto *p = with_input(4); // twice in the same form: one weight of two uses
    made_random(p->graph, "w", SHAPE(4, 4), 1);
    made_node(p->graph, "MatMul", "x,w", "h"), made_node(p->graph, "MatMul", "h,w", "y");
    struct made m;
    made_open(&m, p);
    assert_int_equal(m.weights->n, 1);
    assert_int_equal(m.weights->items[0].n_uses, 2);
    assert_true(m.weights->items[0].repairable);
    made_close(&m);
    p = with_input(4); // and in another: masked once, not repaired
    made_random(p->graph, "w", SHAPE(4, 4), 1);
    made_node(p->graph, "MatMul", "x,w", "h"), made_node(p->graph, "Transpose", "w", "t"),
        made_node(p->graph, "MatMul", "h,t", "y");
    made_open(&m, p);
    assert_int_equal(m.weights->n, 1);
    assert_false(m.weights->items[0].repairable);
    made_close(&m);
    p = made_new(); // an embedding that is also the last layer
    MADE_ADD(p->graph, input, made_value("ids", FP_INT64, SHAPE(-1)));
    made_random(p->graph, "e", SHAPE(6, 4), 1);
    made_node(p->graph, "Gather", "e,ids", "x"), made_node(p->graph, "Transpose", "e", "t"),
        made_node(p->graph, "MatMul", "x,t", "y");
    made_output(p->graph, "y");
    check_skipped(p, "e", "also an embedding (read by Gather)");
    p = with_input(4);
    made_random(p->graph, "w", SHAPE(4, 4), 1);
    made_node(p->graph, "MatMul", "x,w", "y");
    made_output(p->graph, "w");
    check_skipped(p, "w", "also read by other operators");
}

// One tensor that is cut into several weights.
static Onnx__ModelProto *split_in_three(void) {
    Onnx__ModelProto *p = with_input(4);
    made_random(p->graph, "w", SHAPE(4, 6), 1);
    made_initializer(p->graph, "s", FP_INT64, SHAPE(3), (int64_t[]){2, 2, 2});
    made_int(made_node(p->graph, "Split", "w,s", "q,k,v"), "axis", 1);
    made_node(p->graph, "MatMul", "x,q", "a"), made_node(p->graph, "MatMul", "x,k", "b"),
        made_node(p->graph, "MatMul", "x,v", "c");
    made_node(p->graph, "Sum", "a,b,c", "y");
    return p;
}

static void test_parts(void **state) {
    (void)state;
    struct made m;
    made_open(&m, split_in_three());
    assert_int_equal(m.weights->n, 3);
    assert_int_equal(m.weights->n_skipped, 0);
    const char *parts[3] = {"[:, 0:2]", "[:, 2:4]", "[:, 4:6]"};
    for (int i = 0; i < 3; i++) {
        const struct fp_weight *w = &m.weights->items[i];
        assert_string_equal(w->name, "w");
        assert_string_equal(w->part, parts[i]);
        assert_int_equal(w->count, 8);
        assert_int_equal(w->n_uses, 1);
        assert_true(w->repairable);
    }
    made_close(&m);
    check(split_in_three(), 3, 0.25);
    Onnx__ModelProto *p = with_input(4); // [3d, d], cut by Slice and turned: the rows of every third
    made_random(p->graph, "w", SHAPE(6, 4), 1);
    made_initializer(p->graph, "from", FP_INT64, SHAPE(1), (int64_t[]){1});
    made_initializer(p->graph, "to", FP_INT64, SHAPE(1), (int64_t[]){6});
    made_initializer(p->graph, "axes", FP_INT64, SHAPE(1), (int64_t[]){0});
    made_initializer(p->graph, "steps", FP_INT64, SHAPE(1), (int64_t[]){3});
    made_node(p->graph, "Slice", "w,from,to,axes,steps", "u"), made_node(p->graph, "Transpose", "u", "t"),
        made_node(p->graph, "MatMul", "x,t", "y");
    made_open(&m, p);
    assert_int_equal(m.weights->n, 1);
    assert_string_equal(m.weights->items[0].part, "[1:5:3, :]");
    made_close(&m);
}

static const struct fp_skipped *skipped(const struct made *m, const char *key) {
    for (int i = 0; i < m->weights->n_skipped; i++)
        if (!strcmp(m->weights->skipped[i].key, key)) return &m->weights->skipped[i];
    return NULL;
}

static void slice_columns(Onnx__GraphProto *graph, int64_t from, int64_t to, const char *out) {
    char inputs[80], a[16], b[16];
    snprintf(a, sizeof(a), "from_%s", out), snprintf(b, sizeof(b), "to_%s", out);
    snprintf(inputs, sizeof(inputs), "w,%s,%s,one", a, b);
    made_initializer(graph, a, FP_INT64, SHAPE(1), &from), made_initializer(graph, b, FP_INT64, SHAPE(1), &to);
    made_node(graph, "Slice", inputs, out);
}

// Parts that have elements in common: masked once, by the greater one; what crosses another is left alone, with its
// reason.
static void test_overlaps(void **state) {
    (void)state;
    const int64_t one = 1;
    struct made m;
    for (int whole_first = 0; whole_first < 2; whole_first++) { // a part that is also used whole
        Onnx__ModelProto *p = with_input(4);
        made_random(p->graph, "w", SHAPE(4, 6), 1), made_initializer(p->graph, "one", FP_INT64, SHAPE(1), &one);
        slice_columns(p->graph, 0, 4, "t");
        if (whole_first) made_node(p->graph, "MatMul", "x,w", "h"), made_node(p->graph, "MatMul", "x,t", "y");
        else made_node(p->graph, "MatMul", "x,t", "y"), made_node(p->graph, "MatMul", "x,w", "h");
        made_open(&m, p);
        assert_int_equal(m.weights->n, 1);
        assert_int_equal(m.weights->items[0].count, 24);
        assert_int_equal(m.weights->items[0].n_uses, 2);
        assert_null(m.weights->items[0].part);
        assert_false(m.weights->items[0].repairable);
        assert_null(skipped(&m, "w"));
        made_close(&m);
    }
    Onnx__ModelProto *p = with_input(4);
    made_random(p->graph, "w", SHAPE(4, 6), 1), made_initializer(p->graph, "one", FP_INT64, SHAPE(1), &one);
    slice_columns(p->graph, 0, 4, "t"), slice_columns(p->graph, 2, 6, "u"), slice_columns(p->graph, 4, 5, "r");
    made_node(p->graph, "MatMul", "x,t", "a"), made_node(p->graph, "MatMul", "x,u", "b"),
        made_node(p->graph, "Add", "a,b", "y");
    made_open(&m, p);
    assert_int_equal(m.weights->n, 1);
    assert_string_equal(m.weights->items[0].part, "[:, 0:4]");
    assert_non_null(skipped(&m, "w[:, 2:6]"));
    assert_string_equal(skipped(&m, "w[:, 2:6]")->reason, "some of its elements belong to another weight");
    assert_string_equal(skipped(&m, "w[:, 2:6]")->name, "w");
    made_close(&m);
}

// Another operator that reads one part protects that part only.
static void test_protected_parts(void **state) {
    (void)state;
    Onnx__ModelProto *p = split_in_three();
    made_node(p->graph, "Add", "k,k", "z"), made_output(p->graph, "z");
    struct made m;
    made_open(&m, p);
    assert_int_equal(m.weights->n, 2);
    assert_string_equal(m.weights->items[0].part, "[:, 0:2]");
    assert_string_equal(m.weights->items[1].part, "[:, 4:6]");
    assert_non_null(skipped(&m, "w[:, 2:4]"));
    assert_string_equal(skipped(&m, "w[:, 2:4]")->reason, "also read by other operators");
    made_close(&m);
    p = split_in_three();
    made_output(p->graph, "w");
    made_open(&m, p);
    assert_int_equal(m.weights->n, 0);
    assert_int_equal(m.weights->n_skipped, 3);
    made_close(&m);
    p = with_input(4); // the same elements twice in one operand
    made_random(p->graph, "w", SHAPE(4, 3), 1);
    made_int(made_node(p->graph, "Concat", "w,w", "t"), "axis", 1), made_node(p->graph, "MatMul", "x,t", "y");
    check_skipped(p, "w", "it has some of its elements in two places");
}

// Nothing in the message changes but the elements that are masked.
static void test_other_bytes(void **state) {
    (void)state;
    Onnx__ModelProto *p = with_input(4);
    made_random(p->graph, "w", SHAPE(4, 3), 1), made_random(p->graph, "b", SHAPE(3), 2);
    made_node(p->graph, "MatMul", "x,w", "h"), made_node(p->graph, "Add", "h,b", "y");
    p->producer_name = strdup("someone"), p->graph->doc_string = strdup("text");
    const size_t size = onnx__model_proto__get_packed_size(p);
    uint8_t *before = made_message(size), *after = made_message(size);
    onnx__model_proto__pack(p, before);
    struct made m;
    made_open(&m, p);
    float values[12];
    uint8_t keep[12];
    memset(keep, 1, sizeof(keep)), keep[5] = 0;
    const struct fp_weight *w = &m.weights->items[0];
    assert_ptr_equal(w->bias.proto, p->graph->initializer[1]);
    assert_int_equal(fp_weight_read(&m.model, w, values, NULL), 0);
    assert_int_equal(fp_weight_write(&m.model, w, values, NULL, NULL), 0);
    onnx__model_proto__pack(p, after);
    assert_memory_equal(before, after, size); // as it was
    assert_int_equal(fp_weight_write(&m.model, w, values, keep, NULL), 0);
    assert_int_equal(onnx__model_proto__get_packed_size(p), size);
    onnx__model_proto__pack(p, after);
    size_t different = 0;
    for (size_t i = 0; i < size; i++) different += before[i] != after[i];
    assert_true(different > 0 && different <= sizeof(float));
    made_close(&m);
    free(before), free(after);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_moves),      cmocka_unit_test(test_quantized),
                                       cmocka_unit_test(test_shared),     cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_overlaps),   cmocka_unit_test(test_protected_parts),
                                       cmocka_unit_test(test_other_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
