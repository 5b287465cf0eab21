// SPDX-License-Identifier: Apache-2.0
// Exchanges of kept and pruned elements: the error, worked out here in double, falls; the number of zeros stays; what
// is barred does not come back.
#include "fake_job.h"
#include "ideas/repair_bias.h"
#include "maths/live_columns.h"

extern const struct fp_swaps fp_swaps_gradient;
extern const struct fp_repair fp_repair_least_squares;

enum { ROWS = 24, COLS = 160, SAMPLES = 600 };

// (W - w) (C + l I) (W - w)^T, summed over the rows.
static double error_of(const struct fake_job *f) {
    const struct fp_layer *l = &f->layers[0];
    const float *x = f->rows[0];
    double mean[COLS] = {0}, spread = 0, sum = 0;
    for (size_t r = 0; r < SAMPLES; r++)
        for (size_t c = 0; c < COLS; c++) mean[c] += (double)x[r * COLS + c] / SAMPLES;
    for (size_t r = 0; r < SAMPLES; r++)
        for (size_t c = 0; c < COLS; c++)
            spread += ((double)x[r * COLS + c] - mean[c]) * ((double)x[r * COLS + c] - mean[c]) / SAMPLES / COLS;
    for (size_t k = 0; k < ROWS; k++) {
        for (size_t c = 0; c < COLS; c++)
            sum += 0.01 * spread * pow((double)l->dense[k * COLS + c] - (double)l->values[k * COLS + c], 2);
        for (size_t r = 0; r < SAMPLES; r++) {
            double y = 0;
            for (size_t c = 0; c < COLS; c++)
                y += ((double)l->dense[k * COLS + c] - (double)l->values[k * COLS + c]) *
                     ((double)x[r * COLS + c] - mean[c]);
            sum += y * y / SAMPLES;
        }
    }
    return sum;
}

static void make(struct fake_job *f, int threads, bool gram) {
    fake_begin(f, threads);
    struct fp_layer *l = fake_layer(f, 1, ROWS, COLS, 1, 5);
    fake_stats(f, 0, SAMPLES, gram, 9);
    f->job.state.last_round = true;
    for (size_t i = 0; i < l->w->count; i++) l->keep[i] = i % 10 < 3; // any mask: there is much to gain
    assert_int_equal(fp_repair_least_squares.run(&f->job, l), 0);
}

static size_t kept_of(const struct fp_layer *l) {
    size_t kept = 0;
    for (size_t i = 0; i < l->w->count; i++) {
        kept += l->keep[i];
        if (!l->keep[i]) assert_true(l->values[i] == 0);
    }
    return kept;
}

static void test_error_falls(void **state) {
    (void)state;
    struct fake_job f;
    make(&f, 1, true);
    const double before = error_of(&f);
    const size_t kept = kept_of(&f.layers[0]);
    assert_int_equal(fp_swaps_gradient.run(&f.job, &f.layers[0]), 0);
    assert_int_equal(kept_of(&f.layers[0]), kept);
    if (!(error_of(&f) < 0.8 * before)) fail_msg("%g, not well below %g", error_of(&f), before);
    fake_end(&f);
}

static void test_what_is_barred_stays_out(void **state) {
    (void)state;
    struct fake_job f;
    make(&f, 1, true);
    struct fp_layer *l = &f.layers[0];
    l->came = fake_take(l->w->count, 1), l->cut_rows = fake_take(ROWS, 1), l->cut_cols = fake_take(COLS, 1);
    for (size_t i = 0; i < l->w->count; i++) l->came[i] = i % 7 == 0;
    l->cut_rows[3] = l->cut_cols[5] = 1;
    for (size_t i = 0; i < l->w->count; i++)
        if (l->came[i] || fp_cut(l, i / COLS, i % COLS)) l->keep[i] = 0, l->values[i] = 0;
    assert_int_equal(fp_swaps_gradient.run(&f.job, l), 0);
    for (size_t i = 0; i < l->w->count; i++)
        if (l->came[i] || fp_cut(l, i / COLS, i % COLS)) assert_true(!l->keep[i] && l->values[i] == 0);
    free(l->came), free(l->cut_rows), free(l->cut_cols);
    l->came = l->cut_rows = l->cut_cols = NULL;
    fake_end(&f);
}

// Within a pattern the error falls too, and each four along the channels, at each position of the kernel, keep two.
static void check_pattern(size_t inner) {
    struct fake_job f;
    fake_begin(&f, 1);
    struct fp_layer *l = fake_layer(&f, 1, ROWS, COLS, inner, 5);
    fake_stats(&f, 0, SAMPLES, true, 9);
    f.job.state.last_round = true;
    f.job.choices.pattern = fp_find_pattern("2:4");
    f.job.choices.pattern_text = "2:4";
    for (size_t i = 0; i < l->w->count; i++) l->keep[i] = i % COLS / inner % 4 < 2;
    assert_int_equal(fp_repair_least_squares.run(&f.job, l), 0);
    const double before = error_of(&f);
    uint8_t keep[ROWS * COLS];
    memcpy(keep, l->keep, sizeof(keep));
    assert_int_equal(fp_swaps_gradient.run(&f.job, l), 0);
    if (!(error_of(&f) < 0.8 * before)) fail_msg("%g, not well below %g", error_of(&f), before);
    assert_memory_not_equal(keep, l->keep, sizeof(keep));
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS / inner; c += 4)
            for (size_t k = 0; k < inner; k++) {
                size_t kept = 0;
                for (size_t i = 0; i < 4; i++) kept += l->keep[r * COLS + (c + i) * inner + k];
                assert_int_equal(kept, 2);
            }
    kept_of(l);
    fake_end(&f);
}

static void test_within_a_pattern(void **state) {
    (void)state;
    check_pattern(1);
    check_pattern(5);
}

static void test_threads(void **state) {
    (void)state;
    struct fake_job one, two;
    make(&one, 1, true), make(&two, 2, true);
    assert_int_equal(fp_swaps_gradient.run(&one.job, &one.layers[0]), 0);
    assert_int_equal(fp_swaps_gradient.run(&two.job, &two.layers[0]), 0);
    assert_memory_equal(one.layers[0].keep, two.layers[0].keep, one.layers[0].w->count);
    assert_memory_equal(one.layers[0].values, two.layers[0].values, one.layers[0].w->count * sizeof(float));
    fake_end(&one), fake_end(&two);
}

// A layer of which columns are cut is repaired without them: the same sums, and back to their places.
static void check_live_columns(bool gram) {
    struct fake_job f;
    make(&f, 2, gram);
    struct fp_layer *l = &f.layers[0];
    uint8_t cut[COLS];
    for (size_t c = 0; c < COLS; c++) cut[c] = c % 4 == 3;
    l->cut_cols = cut;
    for (size_t i = 0; i < l->w->count; i++) l->keep[i] = l->keep[i] && !cut[i % COLS];
    struct fp_live_columns n;
    assert_int_equal(fp_live_columns_init(&n, l, &f.err), 0);
    assert_non_null(n.columns);
    assert_int_equal(n.w.cols, COLS - COLS / 4);
    assert_int_equal(n.w.count, ROWS * n.w.cols);
    for (size_t i = 0; i < n.w.cols; i++) {
        assert_true(n.columns[i] == i / 3 * 4 + i % 3);
        assert_true(n.stat.sum[i] == l->stat->sum[n.columns[i]] && n.stat.square[i] == l->stat->square[n.columns[i]]);
        for (size_t j = 0; gram && j <= i; j++)
            assert_true(n.stat.gram[i * n.w.cols + j] == l->stat->gram[n.columns[i] * COLS + n.columns[j]]);
        for (size_t r = 0; r < SAMPLES && !gram; r++)
            assert_true(n.stat.kept[r * n.w.cols + i] == l->stat->kept[r * COLS + n.columns[i]]);
        for (size_t r = 0; r < ROWS; r++)
            assert_true(n.layer.dense[r * n.w.cols + i] == l->dense[r * COLS + n.columns[i]]);
    }
    const size_t kept = kept_of(&n.layer);
    assert_int_equal(fp_repair_least_squares.run(&f.job, &n.layer), 0);
    assert_int_equal(fp_swaps_gradient.run(&f.job, &n.layer), 0);
    fp_live_columns_give(&n, l);
    assert_int_equal(kept_of(l), kept);
    assert_true(l->error_after > 0 && l->error_after == n.layer.error_after);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0, k = 0; c < COLS; c++) {
            if (cut[c]) assert_true(!l->keep[r * COLS + c] && l->values[r * COLS + c] == 0);
            else assert_true(l->values[r * COLS + c] == n.layer.values[r * n.w.cols + k++]);
        }
    fp_live_columns_done(&n);
    l->cut_cols = NULL;
    fake_end(&f);
}

static void test_live_columns(void **state) {
    (void)state;
    check_live_columns(true);
    check_live_columns(false);
}

// Sums that lost their small differences can make a covariance that takes an error below nothing: that is no lack of
// memory.
static void test_indefinite(void **state) {
    (void)state;
    enum { WIDE = 1100, A = 5, B = 1090 }; // of two blocks, each of which is sound
    struct fake_job f;
    fake_begin(&f, 1);
    struct fp_layer *l = fake_layer(&f, 1, ROWS, WIDE, 1, 5);
    fake_stats(&f, 0, 200, true, 9);
    f.stats[0].gram[B * WIDE + A] += 1e3 * 200;
    for (size_t i = 0; i < l->w->count; i++) {
        if (i % WIDE == A) l->dense[i] = 1;
        if (i % WIDE == B) l->dense[i] = -1;
        l->keep[i] = i % WIDE != A && i % WIDE != B;
        l->values[i] = l->keep[i] ? l->dense[i] : 0;
    }
    const size_t kept = kept_of(l);
    if (fp_swaps_gradient.run(&f.job, l)) fail_msg("%s", f.err.message);
    assert_int_equal(kept_of(l), kept);
    fake_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_falls),  cmocka_unit_test(test_what_is_barred_stays_out),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_within_a_pattern),
        cmocka_unit_test(test_live_columns), cmocka_unit_test(test_indefinite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
