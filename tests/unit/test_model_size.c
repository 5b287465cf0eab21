// SPDX-License-Identifier: Apache-2.0
// The compressed size of a model: exact when small, near the truth and the same with any number of threads when large;
// external files count.
#include "made_model.h"

#include <zlib.h>

#include "base/mapping.h"

#define LARGE ((size_t)2 << 20) // floats

// Layers of ever more zeros, as pruning makes them.
static Onnx__ModelProto *make(size_t layers, size_t floats) {
    Onnx__ModelProto *proto = made_new();
    float *values = made_message(floats * sizeof(*values));
    for (size_t k = 0; k < layers; k++) {
        char name[16];
        snprintf(name, sizeof(name), "w%zu", k);
        made_fill(values, floats, k + 1);
        uint64_t seed = k + 100;
        for (size_t i = 0; i < floats; i++)
            if (fp_random(&seed) % layers < k) values[i] = 0;
        made_initializer(proto->graph, name, FP_FLOAT, SHAPE((int64_t)floats), values);
    }
    free(values);
    return proto;
}

static size_t deflated_whole(const Onnx__ModelProto *proto, size_t *raw) {
    *raw = onnx__model_proto__get_packed_size(proto);
    uint8_t *bytes = made_message(*raw);
    onnx__model_proto__pack(proto, bytes);
    uLongf length = compressBound(*raw);
    uint8_t *out = made_message(length);
    assert_int_equal(compress2(out, &length, bytes, *raw, 1), Z_OK);
    free(out);
    free(bytes);
    return length;
}

static void small_is_exact(void **state) {
    (void)state;
    struct fineprune_model model = {.proto = make(3, 1000)};
    struct fp_model_size size;
    size_t raw, whole = deflated_whole(model.proto, &raw);
    assert_int_equal(fp_model_sizes(&model, 2, &size, NULL), 0);
    assert_true(size.raw == raw && size.deflated == whole && !size.estimated);
    onnx__model_proto__free_unpacked(model.proto, NULL);
}

static void large_is_estimated(void **state) {
    (void)state;
    struct fineprune_model model = {.proto = make(8, LARGE / 8)};
    struct fp_model_size size, again;
    size_t raw, whole = deflated_whole(model.proto, &raw);
    assert_int_equal(fp_model_sizes(&model, 1, &size, NULL), 0);
    assert_int_equal(fp_model_sizes(&model, 3, &again, NULL), 0);
    assert_true(size.raw == raw && size.estimated && again.deflated == size.deflated);
    assert_true(size.deflated > whole / 20 * 19 && size.deflated < whole / 20 * 21);
    onnx__model_proto__free_unpacked(model.proto, NULL);
}

static void external_counts(void **state) {
    (void)state;
    struct fineprune_model model = {.proto = made_new()};
    float *values = made_message(LARGE * sizeof(*values));
    made_fill(values, LARGE, 1);
    struct fp_mapping external = {.location = (char *)(uintptr_t)"w",
                                  .data = (uint8_t *)values,
                                  .size = LARGE * sizeof(*values)},
                      file = {.next = &external};
    model.mappings = &file;
    struct fp_model_size size;
    assert_int_equal(fp_model_sizes(&model, 2, &size, NULL), 0);
    assert_true(size.raw == onnx__model_proto__get_packed_size(model.proto) + external.size && size.estimated);
    assert_true(size.deflated > size.raw / 5 * 4 && size.deflated <= size.raw);
    free(values);
    onnx__model_proto__free_unpacked(model.proto, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_is_exact), cmocka_unit_test(large_is_estimated),
                                       cmocka_unit_test(external_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
