// SPDX-License-Identifier: Apache-2.0
// What patterns promise: N of every M, whole blocks, whole channels; removed rows stay away; wrong forms are refused.
#include "fake_job.h"

static void make(struct fake_job *f) {
    fake_begin(f, 1);
    fake_layer(f, 2, 6, 22, 1, 4), fake_layer(f, 2, 6, 27, 9, 5);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < f->weights[k].count; i++) f->layers[k].keep[i] = f->layers[k].score[i] > 0.6f;
}

static void test_n_of_m(void **state) {
    (void)state;
    struct fake_job f;
    make(&f);
    const uint8_t removed[12] = {0, 0, 1};
    struct fp_layer *l = &f.layers[0];
    l->removed = removed;
    memset(l->keep + 2 * 22, 0, 22);
    for (size_t c = 0; c < 22; c++) l->score[3 * 22 + c] = 1; // all equal: the higher index stays
    assert_int_equal(fp_find_pattern("2:4")->snap(&f.job, l, "2:4"), 0);
    for (size_t r = 0; r < 12; r++)
        for (size_t c = 0; c < 22; c += 4) {
            const size_t width = c + 4 <= 22 ? 4 : 2;
            size_t kept = 0;
            float least = INFINITY, most = 0;
            for (size_t i = r * 22 + c; i < r * 22 + c + width; i++) {
                kept += l->keep[i];
                if (l->keep[i]) least = fminf(least, l->score[i]);
                else most = fmaxf(most, l->score[i]);
            }
            assert_int_equal(kept, r == 2 ? 0 : width / 2);
            if (r == 3) assert_true(l->keep[r * 22 + c + width - 1] && !l->keep[r * 22 + c]);
            assert_true(r == 2 || most <= least);
        }
    fake_end(&f);
}

// Along the input channels at each kernel position, written as a loop over a Conv's [outputs, channels, kernel].
static void test_n_of_m_of_kernels(void **state) {
    (void)state;
    enum { OUT = 5, CHANNELS = 8, KERNEL = 9 };
    struct fake_job f;
    fake_begin(&f, 1);
    struct fp_layer *l = fake_layer(&f, 1, OUT, CHANNELS * KERNEL, KERNEL, 4);
    assert_int_equal(fp_find_pattern("2:4")->snap(&f.job, l, "2:4"), 0);
    for (size_t o = 0; o < OUT; o++)
        for (size_t k = 0; k < KERNEL; k++)
            for (size_t first = 0; first < CHANNELS; first += 4) {
                size_t kept = 0;
                for (size_t c = first; c < first + 4; c++) kept += l->keep[(o * CHANNELS + c) * KERNEL + k];
                assert_int_equal(kept, 2);
            }
    assert_null(fp_find_pattern("2:4")->leaves(&f.job, l, "2:4"));
    fake_end(&f);
}

// Fewer channels than M: no runtime finds the pattern, whatever lies at the kernel's positions.
static void test_n_of_m_needs_channels(void **state) {
    (void)state;
    struct fake_job f;
    fake_begin(&f, 1);
    struct fp_layer *l[] = {fake_layer(&f, 1, 6, 3 * 9, 9, 5), fake_layer(&f, 1, 6, 3, 1, 6)};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < l[i]->w->count; k += 2) l[i]->keep[k] = 0; // as an allocation left it
        const struct fp_pattern *p = fp_find_pattern("2:4");
        assert_int_equal(p->snap(&f.job, l[i], "2:4"), 0);
        assert_non_null(p->leaves(&f.job, l[i], "2:4"));
        for (size_t k = 0; k < l[i]->w->count; k++) assert_int_equal(l[i]->keep[k], 1);
    }
    fake_end(&f);
}

static void test_forms(void **state) {
    (void)state;
    struct fake_job f;
    make(&f);
    const char *wrong[] = {"0:4",       "5:4",     "2:",          "2:4x",         "1:1",
                           "block:0x4", "block:4", "block:2x2x2", "block:1x9999", "2:5000"};
    for (size_t i = 0; i < FP_COUNT(wrong); i++) {
        const struct fp_pattern *p = fp_find_pattern(wrong[i]);
        f.err = (fineprune_error){0};
        assert_non_null(p);
        assert_int_equal(p->snap(&f.job, &f.layers[0], wrong[i]), FINEPRUNE_USAGE);
        assert_non_null(strstr(f.err.message, wrong[i]));
    }
    assert_null(fp_find_pattern("blocks"));
    assert_null(fp_find_pattern("N:M"));
    fake_end(&f);
}

// Elements (r, c) of one rectangle: equal scores after merge, equal keep after snap, by the majority of before.
static void check_rectangle(struct fp_layer *l, const float *score, const uint8_t *keep, size_t r0, size_t r1,
                            size_t c0, size_t c1) {
    const size_t cols = l->w->cols;
    double square = 0;
    size_t kept = 0, n = 0;
    for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++, n++)
            square += (double)score[r * cols + c] * (double)score[r * cols + c], kept += keep[r * cols + c];
    for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++) {
            assert_true(fabs((double)l->score[r * cols + c] - sqrt(square / (double)n)) < 1e-6);
            assert_int_equal(l->keep[r * cols + c], 2 * kept >= n);
        }
}

static void run(struct fake_job *f, struct fp_layer *l, const char *spec, float *score, uint8_t *keep) {
    const struct fp_pattern *p = fp_find_pattern(spec);
    memcpy(score, l->score, l->w->count * sizeof(float));
    memcpy(keep, l->keep, l->w->count);
    assert_int_equal(p->merge(&f->job, l, spec), 0);
    assert_int_equal(p->snap(&f->job, l, spec), 0);
}

static void test_block(void **state) {
    (void)state;
    struct fake_job f;
    make(&f);
    float score[400];
    uint8_t keep[400];
    run(&f, &f.layers[0], "block:4x5", score,
        keep); // 6 rows and 22 columns: rests at both ends; blocks do not cross groups
    for (size_t g = 0; g < 2; g++)
        for (size_t r = 0; r < 6; r += 4)
            for (size_t c = 0; c < 22; c += 5)
                check_rectangle(&f.layers[0], score, keep, g * 6 + r, g * 6 + (r + 4 < 6 ? r + 4 : 6), c,
                                c + 5 < 22 ? c + 5 : 22);
    fake_end(&f);
}

static void test_channel(void **state) {
    (void)state;
    struct fake_job f;
    make(&f);
    float score[400];
    uint8_t keep[400];
    run(&f, &f.layers[1], "channel", score, keep);
    for (size_t g = 0; g < 2; g++)
        for (size_t c = 0; c < 27; c += 9) check_rectangle(&f.layers[1], score, keep, g * 6, (g + 1) * 6, c, c + 9);
    const uint8_t removed[12] = {0, 1}; // a removed row has no say and stays away
    f.layers[1].removed = removed;
    memset(f.layers[1].keep, 1, f.weights[1].count);
    memset(f.layers[1].keep + 27, 0, 27);
    assert_int_equal(fp_find_pattern("channel")->snap(&f.job, &f.layers[1], "channel"), 0);
    for (size_t i = 0; i < f.weights[1].count; i++) assert_int_equal(f.layers[1].keep[i], i / 27 != 1);
    fake_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_n_of_m),
                                       cmocka_unit_test(test_n_of_m_of_kernels),
                                       cmocka_unit_test(test_n_of_m_needs_channels),
                                       cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_block),
                                       cmocka_unit_test(test_channel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
