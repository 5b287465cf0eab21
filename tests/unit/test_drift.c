// SPDX-License-Identifier: Apache-2.0
// Drift against sums written out, in one piece and in batches.
#include "report/drift.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N 37
#define C 5

static struct fp_tensor tensor(enum fp_type type, int rank, int64_t rows, int64_t columns, void *data) {
    struct fp_tensor t = {.type = type,
                          .rank = rank,
                          .dims = {rows, columns},
                          .count = (size_t)(rows * (rank > 1 ? columns : 1)),
                          .data = data};
    return t;
}

static void fill(float *a, float *b) {
    uint64_t seed = 3;
    for (int i = 0; i < N * C; i++) {
        a[i] = (float)((double)(fp_random(&seed) >> 40) / (1 << 23) - 1);
        b[i] = a[i] + (float)((double)(fp_random(&seed) >> 40) / (1 << 25));
    }
}

static int best(const float *row, const uint8_t *use) {
    int k = -1;
    for (int i = 0; i < C; i++)
        if ((!use || use[i]) && (k < 0 || row[i] > row[k])) k = i;
    return k;
}

static void check(const uint8_t *use) {
    float a[N * C], b[N * C];
    fill(a, b);
    struct fp_drift d = {.output = "y"};
    for (int at = 0; at < N; at += 10) { // batches of 10, the last of 7
        const int n = N - at < 10 ? N - at : 10;
        const struct fp_tensor x = tensor(FP_FLOAT, 2, n, C, a + at * C), y = tensor(FP_FLOAT, 2, n, C, b + at * C);
        assert_int_equal(fp_drift_add(&d, &x, &y, use, NULL), 0);
    }
    double aa = 0, bb = 0, ab = 0, dd = 0, most = 0;
    int same = 0;
    for (int i = 0; i < N * C; i++) {
        const double x = (double)a[i], y = (double)b[i];
        aa += x * x, bb += y * y, ab += x * y, dd += (x - y) * (x - y), most = fmax(most, fabs(x - y));
    }
    for (int r = 0; r < N; r++) same += best(a + r * C, use) == best(b + r * C, use);
    assert_true(fabs(fp_drift_told(&d).cosine - ab / sqrt(aa * bb)) < 1e-12);
    assert_true(fabs(fp_drift_told(&d).sqnr_db - 10 * log10(aa / dd)) < 1e-9);
    assert_true(fp_drift_told(&d).max_abs == most);
    assert_true(fabs(fp_drift_told(&d).top1_agreement - same / (double)N) < 1e-12);
    assert_true(same < N);
}

static void test_classes(void **state) {
    (void)state;
    check(NULL);
    check((const uint8_t[C]){1, 0, 1, 0, 1});
}

static void test_equal(void **state) {
    (void)state;
    float a[N * C], b[N * C];
    fill(a, b);
    struct fp_drift d = {.output = "y"};
    const struct fp_tensor x = tensor(FP_FLOAT, 2, N, C, a);
    assert_int_equal(fp_drift_add(&d, &x, &x, NULL, NULL), 0);
    assert_true(fabs(fp_drift_told(&d).cosine - 1) < 1e-12);
    assert_true(isnan(fp_drift_told(&d).sqnr_db)); // null: there is no difference
    assert_true(fp_drift_told(&d).max_abs == 0);
    assert_true(fp_drift_told(&d).top1_agreement == 1);
}

static void test_labels(void **state) {
    (void)state;
    int64_t a[4] = {0, 1, 2, 3}, b[4] = {0, 1, 2, 2};
    struct fp_drift d = {.output = "y"};
    const struct fp_tensor x = tensor(FP_INT64, 1, 4, 1, a), y = tensor(FP_INT64, 1, 4, 1, b);
    assert_int_equal(fp_drift_add(&d, &x, &y, NULL, NULL), 0);
    assert_true(fp_drift_told(&d).top1_agreement == 0.75);
}

static void test_shapes(void **state) {
    (void)state;
    float a[N * C], b[N * C];
    fill(a, b);
    struct fp_drift d = {.output = "y"};
    fineprune_error err = {0};
    struct fp_tensor x = tensor(FP_FLOAT, 2, N, C, a), y = tensor(FP_FLOAT, 2, C, N, b),
                     one = tensor(FP_FLOAT, 1, N * C, 1, a);
    assert_int_equal(fp_drift_add(&d, &x, &y, NULL, &err), FINEPRUNE_MODEL);
    assert_string_equal(err.message, "output 'y' has shape [37,5] in one model and [5,37] in the other");
    assert_int_equal(fp_drift_add(&d, &one, &one, NULL, NULL), 0);
    assert_true(isnan(fp_drift_told(&d).top1_agreement));
    b[3] = NAN;
    y = tensor(FP_FLOAT, 2, N, C, b);
    assert_int_equal(fp_drift_add(&d, &x, &y, NULL, NULL), 0);
    assert_true(isnan(fp_drift_told(&d).max_abs)); // it is not known
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_equal),
                                       cmocka_unit_test(test_labels), cmocka_unit_test(test_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
