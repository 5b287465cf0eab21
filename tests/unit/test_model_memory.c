// SPDX-License-Identifier: Apache-2.0
// A model from memory is as the one from its file, but for what lies beside the file; and goes back to the same bytes.
#include "sample_model.h"

enum { N = 20 };

static fineprune_model *from_memory(const uint8_t *bytes, size_t size, const char *path) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    if (fineprune_model_read(&model, bytes, size, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static void prune(fineprune_model *model, const char *path) {
    fineprune_error err = {0};
    fineprune_data *data = sample_load(model, path);
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.sparsity = 0.5;
    if (fineprune_prune(model, data, &options, NULL, &err)) fail_msg("%s", err.message);
    fineprune_data_free(data);
}

static void *to_memory(const fineprune_model *model, size_t *size) {
    fineprune_error err = {0};
    void *bytes = NULL;
    if (fineprune_model_write(model, &bytes, size, NULL, &err)) fail_msg("%s", err.message);
    return bytes;
}

static void same_bytes(void **state) {
    const char *path = scratch_path(state, "m.onnx"), *data = scratch_path(state, "x.npy");
    sample_write(path), sample_data(data, N);
    size_t size, one, other;
    uint8_t *bytes = scratch_read(path, &size), *copy = made_message(size);
    memcpy(copy, bytes, size);
    fineprune_model *file = sample_open(path), *memory = from_memory(copy, size, NULL);
    memset(copy, 0, size), free(copy); // it was copied
    void *as_it_came = to_memory(memory, &one);
    assert_int_equal(one, size), assert_memory_equal(as_it_came, bytes, size);
    prune(file, data), prune(memory, data);
    void *a = to_memory(file, &one), *b = to_memory(memory, &other);
    assert_int_equal(one, other), assert_memory_equal(a, b, one);
    const fineprune_save_options save = {.size = sizeof(save), .force = true};
    assert_int_equal(fineprune_model_save(memory, path, &save, NULL), 0); // it is not read from there
    free(b), b = scratch_read(path, &other);
    assert_int_equal(one, other), assert_memory_equal(a, b, one);
    free(a), free(b), free(bytes), free(as_it_came);
    fineprune_model_free(file), fineprune_model_free(memory);
}

static void beside(void **state) {
    const char *path = scratch_path(state, "m.onnx"), *far = scratch_path(state, "e.onnx");
    sample_write(path);
    fineprune_model *model = sample_open(path), *other = NULL;
    fineprune_error err = {0};
    const fineprune_save_options save = {.size = sizeof(save), .external_data = 1};
    assert_int_equal(fineprune_model_save(model, far, &save, NULL), 0);
    fineprune_model_free(model);
    size_t size;
    uint8_t *bytes = scratch_read(far, &size);
    model = from_memory(bytes, size, far); // its tensors are in e.onnx.data
    struct fp_tensor t = {0};
    assert_int_equal(fp_initializer_load(model, model->proto->graph->initializer[1], &t, NULL), 0);
    fp_tensor_done(&t);
    void *to = NULL;
    assert_int_equal(fineprune_model_write(model, &to, &size, NULL, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "external data"));
    fineprune_model_free(model);
    fp_error_clear(&err);
    int status = fineprune_model_read(&other, bytes, size, NULL, NULL, &err);
    if (!status) status = fp_initializer_load(other, other->proto->graph->initializer[1], &t, &err);
    assert_int_equal(status, FINEPRUNE_IO);
    fineprune_model_free(other);
    free(bytes);
}

static void refused(void **state) {
    const char *path = scratch_path(state, "m.onnx"), *data = scratch_path(state, "x.npy");
    sample_write(path), sample_data(data, N);
    fineprune_model *model = NULL;
    fineprune_error err = {0};
    size_t size;
    uint8_t *bytes = scratch_read(path, &size);
    fineprune_run_options little = {0};
    little.max_memory = 1000;
    assert_int_equal(fineprune_model_read(&model, NULL, 10, NULL, NULL, &err), FINEPRUNE_USAGE);
    assert_int_equal(fineprune_model_read(&model, bytes, 0, NULL, NULL, NULL), FINEPRUNE_USAGE);
    assert_int_equal(fineprune_model_read(&model, "?????", 5, NULL, NULL, NULL), FINEPRUNE_MODEL);
    assert_int_equal(fineprune_model_read(&model, bytes, size - 3, NULL, NULL, NULL), FINEPRUNE_MODEL);
    assert_int_equal(fineprune_model_read(&model, bytes, size, NULL, &little, NULL), FINEPRUNE_LIMIT);
    assert_null(model);
    model = from_memory(bytes, size, NULL);
    assert_int_equal(fineprune_model_write(model, NULL, &size, NULL, NULL), FINEPRUNE_USAGE);
    fineprune_data *samples = sample_load(model, data);
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.target = "latency=0.5"; // which opens the model again
    fp_error_clear(&err);
    assert_int_equal(fineprune_prune(model, samples, &options, NULL, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "lies in a file"));
    fineprune_data_free(samples), fineprune_model_free(model);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(same_bytes), scratch_test(beside), scratch_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
