// SPDX-License-Identifier: Apache-2.0
// What holds for every score: numbers, not below zero, none for what is not a number; and each against its formula over
// the rows themselves.
#include "fake_job.h"

enum { ROWS = 300, SAMPLES = 90 }; // so few: variances are mixed with a tenth of the layer's mean

static void make(struct fake_job *f, int threads) {
    fake_begin(f, threads);
    f->job.samples.n_local = SAMPLES;
    fake_layer(f, 1, 9, 12, 1, 1), fake_layer(f, 3, 4, 7, 1, 2),
        fake_layer(f, 1, 60, 900, 1, 3); // the last one is scored in parallel
    for (int k = 0; k < 3; k++) fake_stats(f, k, k == 2 ? 8 : ROWS, k < 2, (uint64_t)k + 9);
    for (int k = 0; k < 3; k++) // kept ones have moved, pruned ones are scored by what they were
        for (size_t i = 0; i < f->weights[k].count; i++) {
            f->layers[k].keep[i] = i % 5 != 0;
            f->layers[k].values[i] = i % 5 ? 2 * f->layers[k].dense[i] : 0;
        }
}

struct moments {
    double mean, mean_square, mean_absolute, variance;
};

static struct moments moments_of(const struct fake_job *f, int k, size_t g, size_t c) {
    const size_t width = f->weights[k].groups * f->weights[k].cols, n = (size_t)f->stats[k].rows;
    struct moments m = {0};
    for (size_t r = 0; r < n; r++) m.mean += (double)f->rows[k][r * width + g * f->weights[k].cols + c] / (double)n;
    for (size_t r = 0; r < n; r++) {
        const double v = (double)f->rows[k][r * width + g * f->weights[k].cols + c];
        m.mean_square += v * v / (double)n, m.mean_absolute += fabs(v) / (double)n,
            m.variance += (v - m.mean) * (v - m.mean) / (double)n;
    }
    return m;
}

static double base(const struct fp_layer *l, size_t at) {
    return fabs((double)(l->keep[at] ? l->values[at] : l->dense[at]));
}

// The inverse's diagonal element by elimination with the unit vector on the right.
static double inverse_diagonal(const struct fake_job *f, int k, size_t g, size_t c) {
    enum { MOST = 16 };
    const size_t n = f->weights[k].cols, width = f->weights[k].groups * n;
    double h[MOST][MOST + 1] = {{0}}, mean[MOST] = {0}, diagonal = 0;
    const double rho = 0.1; // 10 / (90 + 10)
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < n; i++) mean[i] += (double)f->rows[k][r * width + g * n + i] / ROWS;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                h[i][j] += ((double)f->rows[k][r * width + g * n + i] - mean[i]) *
                           ((double)f->rows[k][r * width + g * n + j] - mean[j]) / ROWS;
    for (size_t i = 0; i < n; i++) diagonal += h[i][i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) h[i][j] *= 1 - rho;
        h[i][i] += (rho + 0.01) * diagonal, h[i][n] = i == c;
    }
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < n; i++) {
            const double ratio = i == p ? 0 : h[i][p] / h[p][p];
            for (size_t j = p; j <= n && i != p; j++) h[i][j] -= ratio * h[p][j];
        }
    return h[c][n] / h[c][c];
}

static double formula(const struct fake_job *f, const char *name, int k, size_t g, size_t r, size_t c) {
    const struct fp_layer *l = &f->layers[k];
    const size_t rows = l->w->rows, cols = l->w->cols, at = (g * rows + r) * cols + c;
    const struct moments m = moments_of(f, k, g, c);
    if (!strcmp(name, "magnitude")) return base(l, at);
    if (!strcmp(name, "activation")) return base(l, at) * m.mean_absolute;
    if (!strcmp(name, "wanda")) return base(l, at) * sqrt(m.mean_square);
    if (!strcmp(name, "deviation")) {
        double mean = 0;
        for (size_t i = 0; i < cols; i++) mean += moments_of(f, k, g, i).variance / (double)cols;
        return base(l, at) * sqrt(0.99 * m.variance + 0.01 * mean); // rho = (10 / (90 + 10))^2
    }
    if (!strcmp(name, "obs")) return base(l, at) / sqrt(inverse_diagonal(f, k, g, c));
    assert_string_equal(name, "ria"); // a new score needs its formula here
    double row = 0, col = 0;
    for (size_t i = 0; i < cols; i++) row += base(l, (g * rows + r) * cols + i);
    for (size_t i = 0; i < rows; i++) col += base(l, (g * rows + i) * cols + c);
    return (base(l, at) / row + base(l, at) / col) * sqrt(sqrt(m.mean_square));
}

static void test_formulas(void **state) {
    (void)state;
    struct fake_job f;
    make(&f, 1);
    for (size_t i = 0; fp_scores[i]; i++)
        for (int k = 0; k < 2; k++) {
            const struct fp_layer *l = &f.layers[k];
            assert_int_equal(fp_scores[i]->run(&f.job, &f.layers[k]), 0);
            for (size_t at = 0; at < l->w->count; at++) {
                const size_t c = at % l->w->cols, r = at / l->w->cols % l->w->rows, g = at / l->w->cols / l->w->rows;
                const double expected = formula(&f, fp_scores[i]->name, k, g, r, c);
                if (!(fabs((double)l->score[at] - expected) <= 1e-5 * expected + 1e-6))
                    fail_msg("%s of (%zu, %zu, %zu): %g, not %g", fp_scores[i]->name, g, r, c, (double)l->score[at],
                             expected);
            }
        }
    fake_end(&f);
}

static void test_numbers(void **state) {
    (void)state;
    const float odd[] = {NAN, 0, -0.0f, INFINITY, 1e-40f, 3e38f, -INFINITY};
    for (size_t i = 0; fp_scores[i]; i++) {
        struct fake_job f;
        make(&f, 2);
        for (int k = 0; k < 3; k++) {
            struct fp_layer *l = &f.layers[k];
            for (size_t j = 0; j < FP_COUNT(odd); j++) l->keep[j + 3] = 1, l->values[j + 3] = odd[j];
            f.stats[k].square[2] = f.stats[k].sum[2] = f.stats[k].absolute[2] = NAN;
            assert_int_equal(fp_scores[i]->run(&f.job, l), 0);
            for (size_t at = 0; at < l->w->count; at++) assert_true(l->score[at] >= 0); // not for NaN
        }
        fake_end(&f);
    }
}

// With many samples an input that never moves costs nothing, unless it is its size that counts.
static void test_still(void **state) {
    (void)state;
    struct fake_job f;
    make(&f, 1);
    f.job.samples.n_local = 1000000000;
    assert_int_equal(fp_find_score("deviation")->run(&f.job, &f.layers[0]), 0);
    for (size_t r = 0; r < 9; r++) assert_true(f.layers[0].score[r * 12 + 1] < 1e-3f);
    assert_int_equal(fp_find_score("wanda")->run(&f.job, &f.layers[0]), 0);
    for (size_t r = 0; r < 9; r++) assert_true(f.layers[0].score[r * 12 + 1] > 0);
    fake_end(&f);
}

static void test_threads(void **state) {
    (void)state;
    struct fake_job one, three;
    make(&one, 1), make(&three, 3);
    for (size_t i = 0; fp_scores[i]; i++)
        for (int k = 0; k < 3; k++) {
            assert_int_equal(fp_scores[i]->run(&one.job, &one.layers[k]), 0);
            assert_int_equal(fp_scores[i]->run(&three.job, &three.layers[k]), 0);
            assert_memory_equal(one.layers[k].score, three.layers[k].score, one.weights[k].count * sizeof(float));
        }
    fake_end(&one), fake_end(&three);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_still), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
