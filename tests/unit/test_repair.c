// SPDX-License-Identifier: Apache-2.0
// The repair's systems against plain Gaussian elimination in double: by Cholesky, by conjugate gradients from
// co-activations and from kept rows.
#include "fake_job.h"
#include "ideas/repair_bias.h"
#include "maths/repair_solve.h"

enum { ROWS = 12 };

static void gauss(double *a, double *b, size_t n) { // symmetric and positive: no pivots
    for (size_t p = 0; p < n; p++)
        for (size_t i = p + 1; i < n; i++) {
            const double ratio = a[i * n + p] / a[p * n + p];
            for (size_t j = p; j < n; j++) a[i * n + j] -= ratio * a[p * n + j];
            b[i] -= ratio * b[p];
        }
    for (size_t p = n; p-- > 0;) {
        for (size_t j = p + 1; j < n; j++) b[p] -= a[p * n + j] * b[j];
        b[p] /= a[p * n + p];
    }
}

// The covariance of group g's rows, written out, and its ridge.
static double *covariance(const float *rows, const struct fp_weight *w, size_t g, size_t n, double *ridge) {
    const size_t cols = w->cols, width = w->groups * cols;
    const float *x = rows + g * cols;
    double *c = fake_take(cols * cols, sizeof(double)), *mean = fake_take(cols, sizeof(double));
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < cols; i++) mean[i] += (double)x[r * width + i] / (double)n;
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < cols; i++)
            for (size_t j = 0; j < cols; j++)
                c[i * cols + j] += ((double)x[r * width + i] - mean[i]) * ((double)x[r * width + j] - mean[j]) /
                                   (double)n;
    *ridge = 0;
    for (size_t i = 0; i < cols; i++) *ridge += 0.01 * c[i * cols + i] / (double)cols;
    free(mean);
    return c;
}

// values_S of one row as it must be.
static void expect_row(const double *c, double ridge, size_t cols, const float *dense, const uint8_t *keep,
                       double *values) {
    double *a = fake_take(cols * cols, sizeof(double)), *b = fake_take(cols, sizeof(double));
    size_t *kept = fake_take(cols, sizeof(size_t)), n = 0;
    for (size_t i = 0; i < cols; i++)
        if (keep[i]) kept[n++] = i;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < cols; k++) b[i] += keep[k] ? 0 : c[kept[i] * cols + k] * (double)dense[k];
        for (size_t j = 0; j < n; j++) a[i * n + j] = c[kept[i] * cols + kept[j]] + (i == j ? ridge : 0);
    }
    gauss(a, b, n);
    memset(values, 0, cols * sizeof(*values));
    for (size_t i = 0; i < n; i++) values[kept[i]] = (double)dense[kept[i]] + b[i];
    free(a), free(b), free(kept);
}

// d^T c d for d = dense - values, or for what is not kept of dense.
static double error(const double *c, size_t cols, const float *dense, const float *values, const uint8_t *keep) {
    double *d = fake_take(cols, sizeof(double)), sum = 0;
    for (size_t i = 0; i < cols; i++)
        d[i] = values ? (double)dense[i] - (double)values[i] : keep[i] ? 0 : (double)dense[i];
    for (size_t i = 0; i < cols; i++)
        for (size_t j = 0; j < cols; j++) sum += d[i] * c[i * cols + j] * d[j];
    free(d);
    return sum;
}

// Each row another share of zeros: the first keeps all, the last nothing. shared: all rows lose every third column.
static void mask(struct fp_layer *l, bool shared) {
    uint64_t seed = 77;
    for (size_t i = 0; i < l->w->count; i++) {
        const size_t row = i / l->w->cols % ROWS;
        l->keep[i] = shared ? i % l->w->cols % 3 != 1 : row == 0 || (row < ROWS - 1 && fp_random(&seed) % ROWS >= row);
        l->values[i] = l->keep[i] ? l->dense[i] : 0;
    }
}

static void check(size_t groups, size_t cols, size_t samples, bool gram, bool shared) {
    struct fake_job f;
    fake_begin(&f, 2);
    struct fp_layer *l = fake_layer(&f, groups, ROWS, cols, 1, cols);
    fake_stats(&f, 0, samples, gram, 3);
    mask(l, shared);
    double *expected = fake_take(cols, sizeof(double));
    for (size_t g = 0; g < groups; g++) {
        struct fp_system s;
        double before[ROWS], after[ROWS];
        double ridge, *c = covariance(f.rows[0], l->w, g, samples, &ridge);
        const size_t at = g * ROWS * cols;
        assert_int_equal(fp_system_init(&s, &f.job, l, g, FP_REPAIR_RIDGE), 0);
        assert_true((s.exact != NULL) == (gram && cols <= 128)); // the path that is meant
        assert_true((s.a != NULL) == !gram);
        assert_true(fabs((double)s.ridge - ridge) < 1e-5 * ridge);
        assert_int_equal(
            fp_system_solve(&s, l->dense + at, l->keep + at, ROWS, l->values + at, 1e-6, before, after, 2, &f.err), 0);
        for (size_t r = 0; r < ROWS; r++) {
            double off = 0, size = 0;
            expect_row(c, ridge, cols, l->dense + at + r * cols, l->keep + at + r * cols, expected);
            for (size_t i = 0; i < cols; i++) {
                const double v = (double)l->values[at + r * cols + i];
                if (!l->keep[at + r * cols + i]) assert_true(v == 0);
                off += (v - expected[i]) * (v - expected[i]), size += expected[i] * expected[i];
            }
            if (!(sqrt(off) <= 1e-4 * sqrt(size)))
                fail_msg("row %zu of %zu columns: off by %g of %g", r, cols, sqrt(off), sqrt(size));
            const double lost = error(c, cols, l->dense + at + r * cols, NULL, l->keep + at + r * cols);
            const double left = error(c, cols, l->dense + at + r * cols, l->values + at + r * cols, NULL);
            // a row may have lost a column that does not move, but for rounding
            if (!(fabs(before[r] - lost) <= 1e-5 * lost + 1e-20 && fabs(after[r] - left) <= 1e-5 * lost + 1e-20))
                fail_msg("row %zu of %zu columns: errors %g and %g, not %g and %g", r, cols, before[r], after[r], lost,
                         left);
        }
        fp_system_done(&s);
        free(c);
    }
    free(expected);
    fake_end(&f);
}

static void test_cholesky(void **state) {
    (void)state;
    check(1, 128, 300, true, false);
    check(3, 20, 100, true, false);
    check(1, 2, 50, true, false);
}

static void test_gradients(void **state) {
    (void)state;
    check(1, 129, 400, true, false);
    check(2, 150, 300, true, false);
}

static void test_rows(void **state) {
    (void)state;
    check(1, 200, 60, false, false);
    check(2, 40, 25, false, false);
}

// Rows that keep the same columns.
static void test_shared(void **state) {
    (void)state;
    check(1, 150, 400, true, true);
    check(2, 130, 300, true, true);
    check(1, 200, 60, false, true);
    check(1, 20, 60, true, true);
}

// The same bytes with any number of threads, by all ways.
static void test_threads(void **state) {
    (void)state;
    const struct {
        size_t cols, samples;
        bool gram, shared;
    } cases[] = {{100, 200, true, false}, {180, 300, true, false}, {300, 40, false, false}, {180, 300, true, true}};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        float *first = fake_take(ROWS * cases[i].cols, sizeof(float));
        for (int threads = 1; threads <= 3; threads++) {
            double before[ROWS], after[ROWS];
            struct fake_job f;
            struct fp_system s;
            fake_begin(&f, threads);
            struct fp_layer *l = fake_layer(&f, 1, ROWS, cases[i].cols, 1, 8);
            fake_stats(&f, 0, cases[i].samples, cases[i].gram, 3);
            mask(l, cases[i].shared);
            assert_int_equal(fp_system_init(&s, &f.job, l, 0, FP_REPAIR_RIDGE), 0);
            assert_int_equal(
                fp_system_solve(&s, l->dense, l->keep, ROWS, l->values, 1e-5, before, after, threads, NULL), 0);
            if (threads == 1) memcpy(first, l->values, l->w->count * sizeof(float));
            else assert_memory_equal(first, l->values, l->w->count * sizeof(float));
            fp_system_done(&s);
            fake_end(&f);
        }
        free(first);
    }
}

// Inputs that never move leave the rows alone.
static void test_still(void **state) {
    (void)state;
    double before[ROWS], after[ROWS];
    struct fake_job f;
    struct fp_system s;
    fake_begin(&f, 1);
    struct fp_layer *l = fake_layer(&f, 1, ROWS, 10, 1, 8);
    fake_stats(&f, 0, 20, true, 3);
    memset(f.stats[0].gram, 0, 100 * sizeof(double)), memset(f.stats[0].sampled_sum, 0, 10 * sizeof(double));
    mask(l, false);
    assert_int_equal(fp_system_init(&s, &f.job, l, 0, FP_REPAIR_RIDGE), 0);
    assert_int_equal(fp_system_solve(&s, l->dense, l->keep, ROWS, l->values, 1e-5, before, after, 1, NULL), 0);
    for (size_t r = 0; r < ROWS; r++) assert_true(before[r] == 0 && after[r] == 0);
    for (size_t i = 0; i < l->w->count; i++) assert_true(l->values[i] == (l->keep[i] ? l->dense[i] : 0));
    fp_system_done(&s);
    fake_end(&f);
}

// With few rows to many columns, a repair that trusts them less is better on other rows of the same inputs.
static void test_few(void **state) {
    (void)state;
    enum { COLS = 120, FEW = 40, MANY = 4000 };
    assert_true(fp_ridge(0.01, 0.1, 100, 200, 0) == 0.01);
    assert_true(fabs(fp_ridge(0.01, 0.1, 100, 50, 0) - 0.16) < 1e-12);
    assert_true(isfinite(fp_ridge(0.01, 0.1, 100, 0, 0)));
    // 4 rows of each sample count as two; more samples than rows are not known to be any
    assert_true(fabs(fp_ridge(0.01, 0.1, 100, 100, 25) - 0.16) < 1e-12);
    assert_true(fabs(fp_ridge(0.01, 0.1, 100, 50, 80) - 0.16) < 1e-12);
    double lost[2] = {0}, unused;
    for (int by_few = 0; by_few < 2; by_few++) {
        double before[ROWS], after[ROWS];
        struct fake_job f;
        struct fp_system s;
        fake_begin(&f, 1);
        struct fp_layer *l = fake_layer(&f, 1, ROWS, COLS, 1, 8);
        fake_layer(&f, 1, ROWS, COLS, 1, 8);
        fake_stats(&f, 0, FEW, true, 3);
        fake_stats(&f, 1, MANY, true, 9);
        mask(l, false);
        const double ridge = by_few ? fp_repair_ridge(&f.job, l->stat) : FP_REPAIR_RIDGE;
        assert_int_equal(fp_system_init(&s, &f.job, l, 0, ridge), 0);
        assert_int_equal(fp_system_solve(&s, l->dense, l->keep, ROWS, l->values, 1e-6, before, after, 1, NULL), 0);
        double *c = covariance(f.rows[1], &f.weights[0], 0, MANY, &unused);
        for (size_t r = 0; r < ROWS; r++)
            lost[by_few] += error(c, COLS, l->dense + r * COLS, l->values + r * COLS, NULL);
        free(c);
        fp_system_done(&s);
        fake_end(&f);
    }
    if (!(lost[1] < 0.8 * lost[0])) fail_msg("%g of %g is lost", lost[1], lost[0]);
}

// What every repair promises: pruned ones are zero, the mean of a row's output is back where there is a bias, and the
// errors are told.
static void test_list(void **state) {
    (void)state;
    for (size_t i = 0; fp_repairs[i]; i++) {
        struct fake_job f;
        fake_begin(&f, 2);
        struct fp_layer *l = fake_layer(&f, 2, ROWS, 30, 1, 8);
        fake_stats(&f, 0, 200, true, 3);
        f.weights[0].bias.proto = (void *)&f; // some place
        f.job.state.last_round = true;
        mask(l, false);
        assert_int_equal(fp_repairs[i]->run(&f.job, l), 0);
        for (size_t r = 0; r < 2 * ROWS; r++) {
            double lost = 0;
            for (size_t c = 0; c < 30; c++) {
                const float v = l->values[r * 30 + c];
                if (!l->keep[r * 30 + c]) assert_true(v == 0);
                lost += ((double)l->dense[r * 30 + c] - (double)v) * f.stats[0].sum[r / ROWS * 30 + c] / 200;
            }
            if (fp_repairs[i]->needs) assert_true(fabs(l->bias_change[r] - lost) < 1e-9 * (1 + fabs(lost)));
            else assert_true(l->bias_change[r] == 0);
        }
        if (!strcmp(fp_repairs[i]->name, "least-squares"))
            assert_true(l->error_after > 0 && l->error_after < l->error_before);
        fake_end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cholesky), cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_rows),     cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_still),    cmocka_unit_test(test_list),
                                       cmocka_unit_test(test_shared),   cmocka_unit_test(test_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
