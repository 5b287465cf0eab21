// SPDX-License-Identifier: Apache-2.0
// Initializers written as sparse_initializer: which ones, with all their bits, and the model in memory is as it was.
#include "made_model.h"

#define SIDE 40

static void element(uint8_t *at, size_t size, size_t i) {
    const uint64_t wide = size == 8 ? 0x3ff0000000000000u : 0x3f800000u;
    const uint64_t bits = size > 2 ? wide + i : size == 2 ? 0x3c00u + (i & 0xff) : 1 + i % 100;
    memcpy(at, &bits, size);
}

// One element in `each` is not zero; the last one of them is -0 where there is such a thing.
static void add_tensor(Onnx__GraphProto *graph, const char *name, enum fp_type type, size_t each) {
    const size_t size = fp_type_size(type);
    uint8_t *bytes = made_message(SIDE * SIDE * size);
    memset(bytes, 0, SIDE * SIDE * size);
    for (size_t i = 0; i < SIDE * SIDE; i += each) element(bytes + i * size, size, i);
    bytes[SIDE * SIDE * size - 1] = 0x80;
    made_initializer(graph, name, type, SHAPE(SIDE, SIDE), bytes);
    free(bytes);
}

static const enum fp_type TYPES[] = {FP_FLOAT, FP_DOUBLE, FP_FLOAT16, FP_BFLOAT16, FP_INT8,   FP_INT16,
                                     FP_INT32, FP_INT64,  FP_UINT8,   FP_UINT16,   FP_UINT32, FP_UINT64};

static fineprune_model *open_model(const char *path) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    if (fineprune_model_open(&model, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static fineprune_sparse_count save(fineprune_model *model, const char *path, int external) {
    fineprune_error err = {0};
    fineprune_sparse_count count = {0};
    fineprune_save_options options = FINEPRUNE_SAVE_OPTIONS_INIT;
    options.force = options.sparse_initializers = true, options.sparse_count = &count, options.external_data = external;
    if (fineprune_model_save(model, path, &options, &err)) fail_msg("%s", err.message);
    return count;
}

static void expect_same(fineprune_model *dense, size_t at, fineprune_model *sparse, size_t of) {
    struct fp_tensor a = {0}, b = {0};
    assert_int_equal(fp_initializer_load(dense, dense->proto->graph->initializer[at], &a, NULL), 0);
    assert_int_equal(fp_sparse_initializer_load(sparse, sparse->proto->graph->sparse_initializer[of], &b, NULL), 0);
    assert_int_equal(a.type, b.type);
    assert_true(fp_same_shape(&a, &b));
    assert_memory_equal(a.data, b.data, fp_tensor_bytes(&a));
    fp_tensor_done(&a), fp_tensor_done(&b);
}

static void types_are_kept(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_node(proto->graph, "Identity", "x", "y");
    made_output(proto->graph, "y");
    for (size_t i = 0; i < FP_COUNT(TYPES); i++) add_tensor(proto->graph, fp_type_name(TYPES[i]), TYPES[i], 20);
    made_write(proto, scratch_path(state, "m.onnx"));
    onnx__model_proto__free_unpacked(proto, NULL);
    fineprune_model *dense = open_model(scratch_path(state, "m.onnx"));
    for (int external = -1; external < 2; external++) {
        fineprune_sparse_count count = save(dense, scratch_path(state, "s.onnx"), external);
        assert_int_equal(count.tensors, FP_COUNT(TYPES));
        assert_true(count.bytes < count.dense_bytes);
        assert_int_equal(dense->proto->graph->n_initializer, FP_COUNT(TYPES));
        assert_int_equal(dense->proto->graph->n_sparse_initializer, 0);
        fineprune_model *sparse = open_model(scratch_path(state, "s.onnx"));
        assert_int_equal(sparse->proto->graph->n_initializer, 0);
        for (size_t i = 0; i < FP_COUNT(TYPES); i++) expect_same(dense, i, sparse, i);
        fineprune_model_free(sparse);
    }
    fineprune_model_free(dense);
}

// Too few zeros, an input's default, a scalar and text stay; nothing but zeros goes; a second save gives the same.
static void only_what_is_smaller(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_input(proto->graph, "default", SHAPE(SIDE, SIDE));
    made_node(proto->graph, "Identity", "x", "y");
    made_output(proto->graph, "y");
    add_tensor(proto->graph, "two thirds", FP_FLOAT, 3);
    add_tensor(proto->graph, "three quarters", FP_FLOAT, 4);
    add_tensor(proto->graph, "default", FP_FLOAT, 20);
    add_tensor(proto->graph, "bytes", FP_INT8, 8);
    made_initializer(proto->graph, "scalar", FP_FLOAT, 0, NULL, &(float){0});
    made_initializer(proto->graph, "few", FP_INT64, SHAPE(2), (int64_t[2]){0});
    made_initializer(proto->graph, "none", FP_FLOAT, SHAPE(300), (float[300]){0});
    proto->ir_version = 4;
    made_write(proto, scratch_path(state, "m.onnx"));
    onnx__model_proto__free_unpacked(proto, NULL);
    fineprune_model *dense = open_model(scratch_path(state, "m.onnx"));
    assert_int_equal(save(dense, scratch_path(state, "s.onnx"), 0).tensors, 2);
    assert_int_equal(dense->proto->ir_version, 4);
    fineprune_model *sparse = open_model(scratch_path(state, "s.onnx"));
    const Onnx__GraphProto *graph = sparse->proto->graph;
    assert_int_equal(sparse->proto->ir_version, 6);
    assert_int_equal(graph->n_initializer, 5);
    assert_string_equal(graph->sparse_initializer[0]->values->name, "three quarters");
    assert_string_equal(graph->sparse_initializer[1]->values->name, "none");
    assert_int_equal(graph->sparse_initializer[1]->values->dims[0], 0);
    expect_same(dense, 1, sparse, 0);
    expect_same(dense, 6, sparse, 1);
    assert_int_equal(save(sparse, scratch_path(state, "again.onnx"), 0).tensors, 0);
    size_t size, other;
    uint8_t *once = scratch_read(scratch_path(state, "s.onnx"), &size);
    uint8_t *twice = scratch_read(scratch_path(state, "again.onnx"), &other);
    assert_int_equal(size, other);
    assert_memory_equal(once, twice, size);
    free(once), free(twice);
    fineprune_model_free(sparse);
    fineprune_model_free(dense);
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(types_are_kept), scratch_test(only_what_is_smaller)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
