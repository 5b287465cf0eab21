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

// Of an external file what tensors have there; once one is in the message it no longer counts.
static void external_counts(void **state) {
    (void)state;
    struct fineprune_model model = {.proto = made_new()};
    float *values = made_message(LARGE * sizeof(*values));
    made_fill(values, LARGE, 1);
    struct fp_mapping external = {.location = (char *)(uintptr_t)"w",
                                  .data = (uint8_t *)values,
                                  .size = LARGE * sizeof(*values)},
                      file = {.next = &external, .size = 1000};
    model.mappings = &file;
    model.file_size = file.size;
    const int64_t dims[1] = {(int64_t)LARGE / 2};
    Onnx__StringStringEntryProto entries[2] = {ONNX__STRING_STRING_ENTRY_PROTO__INIT,
                                               ONNX__STRING_STRING_ENTRY_PROTO__INIT};
    Onnx__StringStringEntryProto *lists[2][2] = {{&entries[0]}, {&entries[0], &entries[1]}};
    entries[0].key = (char *)(uintptr_t)"location", entries[0].value = (char *)(uintptr_t)"w";
    entries[1].key = (char *)(uintptr_t)"offset", entries[1].value = (char *)(uintptr_t)"4194304";
    Onnx__GraphProto *graph = model.proto->graph;
    for (size_t i = 0; i < 2; i++) {
        made_initializer(graph, i ? "v" : "w", FP_FLOAT, 1, dims, values);
        Onnx__TensorProto *t = graph->initializer[i];
        free(t->raw_data.data);
        t->raw_data = (ProtobufCBinaryData){0};
        t->has_raw_data = 0;
        t->has_data_location = 1;
        t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
        t->external_data = lists[i], t->n_external_data = i + 1;
    }
    struct fp_model_size size;
    assert_int_equal(fp_model_sizes(&model, 2, &size, NULL), 0);
    assert_true(size.raw == onnx__model_proto__get_packed_size(model.proto) + external.size && size.estimated);
    assert_true(size.deflated > size.raw / 5 * 4 && size.deflated <= size.raw);
    assert_true(fp_model_files(&model) == 1000 + external.size);
    graph->initializer[0]->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    assert_true(fp_model_bytes(&model) == onnx__model_proto__get_packed_size(model.proto) + external.size / 2);
    for (size_t i = 0; i < 2; i++)
        graph->initializer[i]->external_data = NULL, graph->initializer[i]->n_external_data = 0;
    free(values);
    onnx__model_proto__free_unpacked(model.proto, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_is_exact), cmocka_unit_test(large_is_estimated),
                                       cmocka_unit_test(external_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
