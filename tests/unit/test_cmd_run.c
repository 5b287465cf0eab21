// SPDX-License-Identifier: Apache-2.0
// run and compare on small models: how outputs are stored, and what two models share.
#include "tensor/npz.h"

#include "report/report.h"
#include "scratch_folder.h"
#include "tiny_model.h"

#include <math.h>

#define DIMS(...)                                                                                                      \
    (int)FP_COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]) { __VA_ARGS__ }

static fineprune_model *open_model(const char *path) {
    fineprune_model *model = NULL;
    fineprune_error err = {0};
    if (fineprune_model_open(&model, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static fineprune_data *open_data(const fineprune_model *model, const char *source) {
    fineprune_data *data = NULL;
    fineprune_error err = {0};
    if (fineprune_data_open(&data, model, NULL, &err)) fail_msg("%s", err.message);
    if (source && fineprune_data_add(data, source, &err)) fail_msg("%s", err.message);
    return data;
}

// x: rows of 0, 1, 2, ... with every third element 0.
static void save_x(const char *path, int rank, const int64_t *dims) {
    struct fp_tensor t = {0};
    struct fp_npz_writer *w;
    assert_int_equal(fp_tensor_new(&t, NULL, FP_FLOAT, rank, dims, NULL), 0);
    for (size_t i = 0; i < t.count; i++) ((float *)t.data)[i] = i * i % 5 == 1 ? 0 : (float)i;
    assert_int_equal(fp_npz_create(&w, path, true, NULL), 0);
    assert_int_equal(fp_npz_add(w, "x", &t, NULL), 0);
    assert_int_equal(fp_npz_finish(w, NULL), 0);
    fp_tensor_done(&t);
}

static struct fp_npz *run_it(void **state, const char *model_path, const char *source, size_t batch) {
    const char *out = scratch_path(state, "out.npz");
    fineprune_model *model = open_model(model_path);
    fineprune_data *data = open_data(model, source);
    fineprune_report *report = NULL;
    fineprune_error err = {0};
    const fineprune_run_options options = {.batch = batch, .threads = 1};
    if (fineprune_run(model, data, out, true, &options, &report, &err)) fail_msg("%s", err.message);
    assert_int_equal(report->data->samples, fineprune_data_samples(data));
    fineprune_report_free(report);
    fineprune_data_free(data);
    fineprune_model_free(model);
    struct fp_npz *npz = NULL;
    assert_int_equal(fp_npz_open(&npz, out, NULL, NULL), 0);
    return npz;
}

static void expect_array(struct fp_npz *npz, const char *name, int rank, const int64_t *dims, struct fp_tensor *t) {
    fineprune_error err = {0};
    memset(t, 0, sizeof(*t));
    if (fp_npz_read(npz, name, t, NULL, &err)) fail_msg("%s", err.message);
    assert_int_equal(t->rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(t->dims[i], dims[i]);
}

static void make_relu(struct tiny *t, const char *path, int64_t first) {
    tiny_init(t);
    tiny_input(t, "x", 1, DIMS(first, 3));
    tiny_node(t, "Relu", "x", NULL, "y");
    tiny_output(t, "y", 1);
    tiny_write(t, path);
}

static void test_rows(void **state) {
    struct tiny t;
    struct fp_tensor y, same;
    const char *path = scratch_path(state, "m.onnx"), *x = scratch_path(state, "x.npz");
    save_x(x, DIMS(7, 3));
    const int64_t firsts[] = {-1, 1, 4};
    for (size_t i = 0; i < FP_COUNT(firsts); i++)
        for (size_t size = 0; size < 4; size += 3) {
            make_relu(&t, path, firsts[i]);
            struct fp_npz *npz = run_it(state, path, x, size);
            assert_int_equal(fp_npz_count(npz), 1);
            expect_array(npz, "y", DIMS(7, 3), &y);
            if (i || size) {
                assert_memory_equal(y.data, same.data, 84);
                fp_tensor_done(&y);
            } else {
                same = y;
            }
            fp_npz_free(npz);
        }
    assert_true(((float *)same.data)[20] == 20);
    fp_tensor_done(&same);
}

static void test_whole(void **state) {
    struct tiny t;
    struct fp_tensor y;
    const char *path = scratch_path(state, "m.onnx"), *x = scratch_path(state, "x.npz");
    save_x(x, DIMS(5, 2, 3));
    make_relu(&t, path, -1);
    struct fp_npz *npz = run_it(state, path, x, 0);
    expect_array(npz, "y", DIMS(5, 2, 3), &y);
    fp_tensor_done(&y);
    fp_npz_free(npz);
}

// One output without rows makes all samples run one by one; one of differing shapes is stored sample by sample.
static void test_other_axes(void **state) {
    struct tiny t;
    struct fp_tensor y;
    const char *path = scratch_path(state, "m.onnx"), *x = scratch_path(state, "x.npz");
    save_x(x, DIMS(4, 3));
    tiny_init(&t);
    tiny_input(&t, "x", 1, DIMS(-1, 3));
    tiny_node(&t, "Relu", "x", NULL, "y");
    tiny_node(&t, "Transpose", "x", NULL, "across");
    tiny_node(&t, "NonZero", "x", NULL, "places");
    tiny_output(&t, "y", 1);
    tiny_output(&t, "across", 1);
    tiny_output(&t, "places", 7);
    tiny_write(&t, path);
    struct fp_npz *npz = run_it(state, path, x, 0);
    expect_array(npz, "y", DIMS(4, 3), &y);
    fp_tensor_done(&y);
    expect_array(npz, "across", DIMS(4, 3, 1), &y);
    assert_true(((float *)y.data)[11] == 0 && ((float *)y.data)[10] == 10);
    fp_tensor_done(&y);
    assert_int_equal(fp_npz_count(npz), 6);
    expect_array(npz, "places_000000", DIMS(2, 1), &y); // 0 0 2
    fp_tensor_done(&y);
    expect_array(npz, "places_000003", DIMS(2, 1), &y); // 0 10 0
    fp_tensor_done(&y);
    fp_npz_free(npz);
}

static void test_run_refused(void **state) {
    struct tiny t;
    const char *path = scratch_path(state, "m.onnx"), *out = scratch_path(state, "out.npz");
    make_relu(&t, path, -1);
    fineprune_model *model = open_model(path);
    fineprune_data *data = open_data(model, NULL);
    fineprune_error err = {0};
    fineprune_report *report = NULL;
    assert_int_equal(fineprune_run(model, data, out, false, NULL, &report, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "the model's inputs are 'x' float32"));
    fp_error_clear(&err);
    assert_int_equal(fineprune_data_add(data, "random", &err), 0);
    assert_int_equal(fineprune_run(model, data, path, true, NULL, &report, &err), FINEPRUNE_USAGE);
    fp_error_clear(&err);
    assert_int_equal(fineprune_run(model, data, "/dev/full", true, NULL, &report, &err), FINEPRUNE_IO);
    assert_null(report);
    assert_int_equal(fineprune_run(model, data, out, false, NULL, NULL, NULL), 0);
    assert_int_equal(fineprune_run(model, data, out, false, NULL, NULL, NULL), FINEPRUNE_USAGE);
    fineprune_data_free(data);
    fineprune_model_free(model);
}

static int stop(void *user, const char *stage, size_t done, size_t total) {
    (void)stage, (void)total;
    return done >= *(size_t *)user;
}

static void test_cancelled(void **state) {
    struct tiny t;
    const char *path = scratch_path(state, "m.onnx"), *out = scratch_path(state, "out.npz");
    make_relu(&t, path, 1);
    fineprune_model *model = open_model(path);
    fineprune_data *data = open_data(model, "random");
    size_t after = 3;
    const fineprune_run_options options = {.progress = stop, .progress_user = &after};
    assert_int_equal(fineprune_run(model, data, out, false, &options, NULL, NULL), FINEPRUNE_CANCELLED);
    assert_int_equal(access(out, F_OK), -1);
    assert_int_equal(fineprune_compare(model, model, data, NULL, &options, NULL, NULL), FINEPRUNE_CANCELLED);
    fineprune_data_free(data);
    fineprune_model_free(model);
}

// ---- compare

static void make_classifier(const char *path, const char *input, const char *output, float *w) {
    struct tiny t;
    tiny_init(&t);
    tiny_input(&t, input, 1, DIMS(-1, 3));
    tiny_floats(&t, "w", 3, 3, w);
    tiny_node(&t, "MatMul", input, "w", output);
    tiny_output(&t, output, 1);
    tiny_write(&t, path);
}

static void save_labels(const char *path, const char *type, const char *labels, size_t n) {
    uint8_t file[200];
    const int length = snprintf((char *)file + 10, 150, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }",
                                type, n);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (uint8_t)length, file[9] = 0;
    memcpy(file + 10 + length, labels, n);
    scratch_write(path, file, 10 + (size_t)length + n);
}

static void test_compare(void **state) {
    float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, without[9] = {1, 0, 0, 0, 1, 0, 0, 0, 0};
    const char *a_path = scratch_path(state, "a.onnx"), *b_path = scratch_path(state, "b.onnx"),
               *x = scratch_path(state, "x.npz"), *labels = scratch_path(state, "y.npy");
    make_classifier(a_path, "x", "scores", identity);
    make_classifier(b_path, "x", "renamed", without);
    save_x(x, DIMS(4, 3)); // 0 0 2, 3 0 5, 0 7 8, 0 10 0 but the elements whose i * i % 5 is 1 are 0
    fineprune_model *a = open_model(a_path), *b = open_model(b_path);
    fineprune_data *data = open_data(a, x);
    fineprune_report *report = NULL;
    fineprune_error err = {0};
    save_labels(labels, "|u1", "\2\2\2\1", 4);
    if (fineprune_compare(a, b, data, labels, NULL, &report, &err)) fail_msg("%s", err.message);
    const struct fp_report_drift *drift = report->drift.items;
    assert_string_equal(drift->output, "scores");
    assert_int_equal(report->accuracy->samples, 4);
    assert_true(report->accuracy->a == 1);
    assert_true(report->accuracy->b == 0.25);
    assert_true(fabs(drift->top1_agreement - 0.25) < 1e-12);
    assert_true(drift->max_abs == 8);
    fineprune_report_free(report);
    report = NULL;
    save_labels(labels, "|u1", "\2\2\2", 3);
    assert_int_equal(fineprune_compare(a, b, data, labels, NULL, &report, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "are [3], but there are 4 samples"));
    fp_error_clear(&err);
    save_labels(labels, "<f4", "\0\0\0\0", 1);
    assert_int_equal(fineprune_compare(a, b, data, labels, NULL, &report, &err), FINEPRUNE_DATA);
    assert_null(report);
    fineprune_data_free(data);
    fineprune_model_free(a);
    fineprune_model_free(b);
}

static void test_compare_refused(void **state) {
    float w[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const char *a_path = scratch_path(state, "a.onnx"), *b_path = scratch_path(state, "b.onnx");
    make_classifier(a_path, "x", "y", w);
    make_classifier(b_path, "z", "y", w);
    fineprune_model *a = open_model(a_path), *b = open_model(b_path);
    fineprune_data *data = open_data(a, "random");
    fineprune_error err = {0};
    assert_int_equal(fineprune_compare(a, b, data, NULL, NULL, NULL, &err), FINEPRUNE_MODEL);
    assert_non_null(strstr(err.message, "has an input 'z' that the first model does not have"));
    fineprune_data_free(data);
    fineprune_model_free(a);
    fineprune_model_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scratch_test(test_rows),
        scratch_test(test_whole),
        scratch_test(test_other_axes),
        scratch_test(test_run_refused),
        scratch_test(test_cancelled),
        scratch_test(test_compare),
        scratch_test(test_compare_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
