// SPDX-License-Identifier: Apache-2.0
// The same model, data and options give the same bytes with any number of threads and any batch; and zeros are where
// they were asked for.
#define SIDE 54 // large enough that loops are shared among threads
#include "sample_model.h"

enum { N = 20 }; // enough for the half of zeros that is asked for

static uint8_t *prune(void **state, const char *method, int threads, size_t batch, bool strict, size_t *size) {
    fineprune_error err = {0};
    fineprune_model *model = sample_open(scratch_path(state, "m.onnx"));
    fineprune_data *data = sample_load(model, scratch_path(state, "x.npy"));
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.sparsity = 0.5, options.method = method, options.run.threads = threads, options.run.batch = batch;
    options.strict_sparsity = strict;
    if (fineprune_prune(model, data, &options, NULL, &err)) fail_msg("%s", err.message);
    const char *out = scratch_path(state, "out.onnx");
    const fineprune_save_options save = {.size = sizeof(save), .force = true};
    if (fineprune_model_save(model, out, &save, &err)) fail_msg("%s", err.message);
    fineprune_data_free(data), fineprune_model_free(model);
    return scratch_read(out, size);
}

static void test_bytes(void **state) {
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), N);
    const char *methods[] = {"fine-pruning", "wanda", "magnitude", "paper"};
    const struct {
        int threads;
        size_t batch;
    } ways[] = {{3, 3}, {1, 16}, {2, 1}, {2, 0}, {1, 3}};
    for (size_t m = 0; m < FP_COUNT(methods); m++) {
        size_t size, other_size;
        uint8_t *one = prune(state, methods[m], 1, 1, false, &size);
        for (size_t i = 0; i < (m ? 2 : FP_COUNT(ways)); i++) {
            uint8_t *other = prune(state, methods[m], ways[i].threads, ways[i].batch, false, &other_size);
            if (size != other_size || memcmp(one, other, size))
                fail_msg("%s: other bytes with -j %d --batch %zu", methods[m], ways[i].threads, ways[i].batch);
            free(other);
        }
        free(one);
    }
}

static void test_zeros(void **state) {
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), N);
    size_t size, zeros = 0, total = 0;
    free(prune(state, "fine-pruning", 2, 0, true, &size));
    fineprune_model *model = sample_open(scratch_path(state, "out.onnx"));
    for (size_t i = 0; i < 4; i++) { // c1, c2, c3, fc
        struct fp_tensor t = {0};
        assert_int_equal(fp_initializer_load(model, model->proto->graph->initializer[i], &t, NULL), 0);
        for (size_t k = 0; k < t.count; k++) zeros += ((const float *)t.data)[k] == 0;
        total += t.count;
        fp_tensor_done(&t);
    }
    assert_int_equal(zeros, (total + 1) / 2);
    fineprune_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_bytes), scratch_test(test_zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
