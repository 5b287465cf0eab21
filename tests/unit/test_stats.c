// SPDX-License-Identifier: Apache-2.0
// Statistics do not depend on threads and batches, and those of two halves add up to those of the whole.
#include "stats/stats.h"

#include "sample_model.h"

#include <math.h>

enum { N = 23 }; // 1000: as if of so many samples, of which not all rows count

// Statistics of `n` samples from `first` on.
static struct fp_stats *gather(void **state, size_t first, size_t n, size_t nominal, int threads, size_t batch) {
    fineprune_error err = {0};
    fineprune_model *model = sample_open(scratch_path(state, "m.onnx"));
    fineprune_data *data = sample_load(model, scratch_path(state, "x.npy"));
    const fineprune_run_options options = {.threads = threads, .batch = batch};
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_classifier classifier;
    struct fp_stats *stats = NULL;
    size_t samples[N];
    for (size_t i = 0; i < n; i++) samples[i] = first + i;
    assert_int_equal(fp_exec_new(&exec, model, &options, &err), 0);
    assert_int_equal(fp_weights_find(&weights, exec, model, false, &err), 0);
    fp_classifier_find(&classifier, weights);
    assert_true(classifier.weight >= 0);
    const struct fp_stats_request request = {.needs = FP_NEED_SUMS | FP_NEED_ABSOLUTE | FP_NEED_GRAM | FP_NEED_ANSWERS,
                                             .nominal_samples = nominal,
                                             .classifier = &classifier,
                                             .options = &options,
                                             .stage = "forward"};
    if (fp_stats_gather(&stats, exec, weights, data, samples, n, &request, NULL, &err)) fail_msg("%s", err.message);
    fp_weights_free(weights), fp_exec_free(exec);
    fineprune_data_free(data), fineprune_model_free(model);
    return stats;
}

static int set_up(void **state) {
    if (scratch_set_up(state)) return -1;
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), N);
    return 0;
}

static void near(const double *a, const double *b, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= tolerance * (1 + fabs(a[i]))))
            fail_msg("element %zu: %.17g, not %.17g", i, b[i], a[i]);
}

static void compare(const struct fp_stats *a, const struct fp_stats *b, double tolerance) {
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->samples, b->samples);
    for (int k = 0; k < a->n; k++) {
        const struct fp_stat *s = &a->items[k], *t = &b->items[k];
        const size_t n = s->groups * s->cols;
        assert_true(s->rows == t->rows && s->sampled == t->sampled && s->sampled > 0);
        near(s->sum, t->sum, n, tolerance), near(s->square, t->square, n, tolerance),
            near(s->absolute, t->absolute, n, tolerance);
        near(s->sampled_sum, t->sampled_sum, n, tolerance);
        assert_true(!s->gram == !t->gram);
        for (size_t i = 0; s->gram && i < n; i++) // the lower triangle
            near(s->gram + i * s->cols, t->gram + i * s->cols, i % s->cols + 1, tolerance);
        if (s->kept) assert_memory_equal(s->kept, t->kept, s->sampled * n * sizeof(float));
    }
    assert_int_equal(a->answers.samples, b->answers.samples);
    assert_memory_equal(a->answers.features, b->answers.features,
                        a->answers.samples * a->answers.n_features * sizeof(float));
    assert_memory_equal(a->answers.logits, b->answers.logits, a->answers.samples * a->answers.classes * sizeof(float));
}

static void test_same(void **state) {
    const size_t batches[] = {1, 3, 16, 0};
    for (size_t nominal = 0; nominal <= 1000; nominal += 1000) {
        struct fp_stats *one = gather(state, 0, N, nominal, 1, 1);
        for (int threads = 1; threads <= 3; threads++)
            for (size_t b = 0; b < FP_COUNT(batches); b++) {
                struct fp_stats *other = gather(state, 0, N, nominal, threads, batches[b]);
                compare(one, other, 0);
                fp_stats_free(other);
            }
        fp_stats_free(one);
    }
}

static void test_halves(void **state) {
    struct fp_stats *whole = gather(state, 0, N, 1000, 2, 4), *first = gather(state, 0, 10, 1000, 2, 3),
                    *second = gather(state, 10, N - 10, 1000, 1, 5);
    assert_int_equal(fp_stats_add(first, second, NULL), 0);
    compare(whole, first, 1e-12);
    fineprune_error err = {0};
    first->names[0][0] = '?';
    assert_int_equal(fp_stats_add(first, second, &err), FINEPRUNE_DATA);
    fp_stats_free(whole), fp_stats_free(first), fp_stats_free(second);
}

// Where there are fewer rows than columns these are kept as they are, and one half's follow the other's.
static void test_kept_halves(void **state) {
    struct fp_stats *whole = gather(state, 0, 7, 0, 2, 4), *first = gather(state, 0, 3, 0, 2, 3),
                    *second = gather(state, 3, 4, 0, 1, 5);
    int kept = 0;
    for (int i = 0; i < whole->n; i++) kept += whole->items[i].kept != NULL;
    assert_true(kept > 0);
    first->items[0].reached = 0; // one that does not know
    assert_int_equal(fp_stats_add(first, second, NULL), 0);
    compare(whole, first, 1e-5); // products of rows are summed in float32
    assert_true(first->items[0].reached == 0 && first->items[1].reached == whole->items[1].reached);
    fp_stats_free(whole), fp_stats_free(first), fp_stats_free(second);
}

// The first weight's input is the data themselves: 8 x 8 positions of 3 x 3 kernels.
static void test_sums(void **state) {
    size_t size;
    struct fp_stats *stats = gather(state, 0, N, 0, 2, 4);
    uint8_t *file = scratch_read(scratch_path(state, "x.npy"), &size);
    const float *x = (const float *)(const void *)(file + 128);
    const struct fp_stat *s = &stats->items[0];
    assert_true(s->rows == N * 64 && s->cols == 27);
    for (size_t c = 0; c < 27; c++) {
        double sum = 0, square = 0, absolute = 0;
        for (size_t n = 0; n < N; n++)
            for (size_t p = 0; p < 64; p++) {
                const double v = (double)x[n * 300 + c / 9 * 100 + (p / 8 + c / 3 % 3) * 10 + p % 8 + c % 3];
                sum += v, square += v * v, absolute += fabs(v);
            }
        assert_true(fabs(sum - s->sum[c]) < 1e-9 && fabs(square - s->square[c]) < 1e-9 &&
                    fabs(absolute - s->absolute[c]) < 1e-9);
        assert_true(fabs(fp_stat_deviation(s, 0, c) - sqrt(square / s->rows - sum * sum / s->rows / s->rows)) < 1e-9);
    }
    free(file);
    fp_stats_free(stats);
}

// Thirty frames of ten numbers behind a product, averaged: [sample, frame, feature] keeps the features last.
static void write_frames(const char *path) {
    static const int64_t shape[3] = {0, 30, 10};
    Onnx__ModelProto *m = made_new();
    Onnx__GraphProto *g = m->graph;
    made_input(g, "x", SHAPE(-1, 3, SIDE, SIDE));
    made_initializer(g, "shape", FP_INT64, SHAPE(3), shape);
    made_random(g, "w", SHAPE(10, 5), 3), made_random(g, "b", SHAPE(5), 4);
    made_node(g, "Reshape", "x,shape", "frames"), made_node(g, "MatMul", "frames,w", "h"),
        made_node(g, "Add", "h,b", "s");
    Onnx__NodeProto *mean = made_node(g, "ReduceMean", "s", "y");
    made_ints(mean, "axes", 1, (int64_t[]){1}), made_int(mean, "keepdims", 0);
    MADE_ADD(g, output, made_value("y", FP_FLOAT, SHAPE(-1, 5)));
    made_write(m, path);
    onnx__model_proto__free_unpacked(m, NULL);
}

static void test_frames(void **state) {
    size_t size;
    write_frames(scratch_path(state, "m.onnx"));
    struct fp_stats *stats = gather(state, 0, N, 0, 2, 4);
    uint8_t *file = scratch_read(scratch_path(state, "x.npy"), &size);
    const float *x = (const float *)(const void *)(file + 128);
    const struct fp_answers *a = &stats->answers;
    float w[50], b[5];
    made_fill(w, 50, 3), made_fill(b, 5, 4);
    assert_true(a->samples == N && a->n_features == 10 && a->classes == 5);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < 5; k++) {
            double y = (double)b[k];
            for (size_t j = 0; j < 10; j++) {
                double mean = 0;
                for (size_t t = 0; t < 30; t++) mean += (double)x[n * 300 + t * 10 + j] / 30;
                if (!(fabs(mean - (double)a->features[n * 10 + j]) < 1e-5))
                    fail_msg("sample %zu, feature %zu: %g, not %g", n, j, (double)a->features[n * 10 + j], mean);
                y += mean * (double)w[j * 5 + k];
            }
            assert_true(fabs(y - (double)a->logits[n * 5 + k]) < 1e-4);
        }
    free(file);
    fp_stats_free(stats);
}

#define on_samples(f) cmocka_unit_test_setup_teardown(f, set_up, scratch_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {on_samples(test_same), on_samples(test_halves), on_samples(test_kept_halves),
                                       on_samples(test_sums), on_samples(test_frames)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
