// SPDX-License-Identifier: Apache-2.0
// What holds for every allocation: the number of zeros, the best of every row stays, removed rows go, and what is
// pruned is lower than what stays of the same row.
#include "maths/allocate.h"
#include "fake_job.h"
#include "onnx/model.h"
#include "job/job.h"

#include <stdio.h>

static const size_t SHAPES[3][3] = {{1, 40, 30}, {3, 7, 18}, {1, 5, 200}};
static const double SPARSITIES[] = {0, 0.3, 0.5, 0.7, 0.95, 0.999};

static void make(struct fake_job *f, int threads, const uint8_t *removed) {
    fake_begin(f, threads);
    for (int k = 0; k < 3; k++) fake_layer(f, SHAPES[k][0], SHAPES[k][1], SHAPES[k][2], 1, (uint64_t)k + 1);
    for (size_t i = 0; i < f->weights[1].count; i++) f->layers[1].score[i] = (float)(i % 4); // ties
    f->layers[0].removed = removed;
}

static size_t run(struct fake_job *f, const struct fp_allocation *a, double sparsity) {
    if (a->run(&f->job, sparsity, (size_t)(sparsity * (double)f->job.layers.total + 0.999999)))
        fail_msg("%s: %s", a->name, f->err.message);
    size_t zeros = 0;
    for (int k = 0; k < f->job.layers.n; k++) {
        size_t in_layer = 0;
        for (size_t i = 0; i < f->weights[k].count; i++) {
            assert_true(f->layers[k].keep[i] <= 1);
            in_layer += !f->layers[k].keep[i];
        }
        assert_int_equal(f->layers[k].zeros, in_layer);
        zeros += in_layer;
    }
    return zeros;
}

static void check_rows(const struct fp_layer *l) {
    const size_t cols = l->w->cols;
    for (size_t r = 0; r < fp_layer_rows(l); r++) {
        const float *score = l->score + r * cols;
        const uint8_t *keep = l->keep + r * cols;
        float best = -1, best_pruned = -1, least_kept = INFINITY;
        for (size_t c = 0; c < cols; c++) {
            if (score[c] > best) best = score[c];
            if (keep[c] && score[c] < least_kept) least_kept = score[c];
            if (!keep[c] && score[c] > best_pruned) best_pruned = score[c];
        }
        if (fp_row_removed(l, r)) assert_true(isinf(least_kept)); // nothing is kept
        else assert_true(best_pruned <= least_kept && least_kept <= best);
    }
}

// How many zeros there must be: what was asked, but every row that stays keeps one.
static void check_zeros(const struct fake_job *f, const struct fp_allocation *a, double sparsity, size_t zeros,
                        const uint8_t *removed) {
    size_t wanted = (size_t)(sparsity * (double)f->job.layers.total + 0.999999), most = 0, gone = 0;
    for (int k = 0; k < 3; k++)
        for (size_t r = 0; r < fp_layer_rows(&f->layers[k]); r++) most += SHAPES[k][2] - 1;
    for (size_t r = 0; removed && r < SHAPES[0][1]; r++) {
        gone += removed[r] ? SHAPES[0][2] : 0;
        most += removed[r];
    }
    if (!strcmp(a->name, "lamp") || !strcmp(a->name, "global")) {
        wanted = wanted < gone ? gone : wanted > most ? most : wanted;
        assert_int_equal(zeros, wanted);
    } else if (!removed && sparsity < 0.9) { // shares of layers or rows, rounded down
        const double rows = (double)(f->job.layers.total - most);
        if ((double)zeros > (double)wanted || (double)zeros < sparsity * (double)f->job.layers.total - rows)
            fail_msg("%s at %g: %zu zeros of %zu", a->name, sparsity, zeros, wanted);
    }
    assert_true(zeros >= gone && zeros <= most);
}

static void check_all(const uint8_t *removed) {
    for (size_t i = 0; fp_allocations[i]; i++)
        for (size_t s = 0; s < FP_COUNT(SPARSITIES); s++) {
            struct fake_job one, other;
            make(&one, 1, removed), make(&other, 3, removed);
            const size_t zeros = run(&one, fp_allocations[i], SPARSITIES[s]);
            assert_int_equal(run(&other, fp_allocations[i], SPARSITIES[s]), zeros);
            check_zeros(&one, fp_allocations[i], SPARSITIES[s], zeros, removed);
            for (int k = 0; k < 3; k++) {
                check_rows(&one.layers[k]);
                assert_memory_equal(one.layers[k].keep, other.layers[k].keep, one.weights[k].count);
            }
            fake_end(&one), fake_end(&other);
        }
}

static void test_plain(void **state) {
    (void)state;
    check_all(NULL);
}

static void test_removed(void **state) {
    (void)state;
    uint8_t removed[40] = {0};
    for (size_t r = 3; r < 40; r += 3) removed[r] = 1;
    check_all(removed);
}

// lamp by its formula: pairs of elements of one layer, written out.
static void test_lamp(void **state) {
    (void)state;
    struct fake_job f;
    fake_begin(&f, 2);
    fake_layer(&f, 1, 6, 5, 1, 1), fake_layer(&f, 1, 4, 9, 1, 2);
    for (size_t i = 0; i < f.weights[1].count; i++) f.layers[1].score[i] *= 100; // the unit of a layer must not matter
    const size_t zeros = run(&f, fp_find_allocation("lamp"), 0.4);
    float least_kept = INFINITY, best_pruned = 0;
    size_t bound = 0;
    for (int k = 0; k < 2; k++) {
        const struct fp_layer *l = &f.layers[k];
        for (size_t u = 0; u < l->w->count; u++) {
            double sum = 0;
            bool best = true;
            for (size_t v = 0; v < l->w->count; v++)
                sum += l->score[v] >= l->score[u] ? (double)l->score[v] * (double)l->score[v] : 0;
            for (size_t v = u / l->w->cols * l->w->cols; v < (u / l->w->cols + 1) * l->w->cols; v++)
                best &= l->score[v] <= l->score[u];
            const float lamp = (float)((double)l->score[u] * (double)l->score[u] / sum);
            if (best) bound++; // stays whatever its score
            else if (l->keep[u]) least_kept = fminf(least_kept, lamp);
            else best_pruned = fmaxf(best_pruned, lamp);
        }
    }
    assert_int_equal(bound, 10);
    assert_int_equal(zeros, 27);
    assert_true(best_pruned <= least_kept * 1.00001f);
    fake_end(&f);
}

// Elements that came in as zeros are never kept, count, and do not hide the best of their row; nothing more goes while
// they are enough.
static void test_came(void **state) {
    (void)state;
    for (size_t i = 0; fp_allocations[i]; i++)
        for (size_t s = 0; s < FP_COUNT(SPARSITIES); s++) {
            struct fake_job f;
            make(&f, 2, NULL);
            size_t came = 0, rows = 0, least = 0;
            for (int k = 0; k < 3; k++) {
                struct fp_layer *l = &f.layers[k];
                l->came = fake_take(l->w->count, 1);
                for (size_t e = 0; e < l->w->count; e++)
                    came += l->came[e] = e % l->w->cols < l->w->cols * 2 / 3; // their scores stay as they were
                rows += fp_layer_rows(l);
            }
            const size_t zeros = run(&f, fp_allocations[i], SPARSITIES[s]);
            for (int k = 0; k < 3; k++) {
                const struct fp_layer *l = &f.layers[k];
                for (size_t r = 0; r < fp_layer_rows(l); r++) {
                    size_t kept = 0;
                    for (size_t c = 0; c < l->w->cols; c++) {
                        if (l->came[r * l->w->cols + c]) assert_false(l->keep[r * l->w->cols + c]);
                        kept += l->keep[r * l->w->cols + c];
                    }
                    assert_true(kept > 0);
                    least += kept;
                }
                free(l->came);
            }
            const double asked = SPARSITIES[s] * (double)f.job.layers.total;
            assert_true(least + zeros == f.job.layers.total && zeros >= came);
            if (SPARSITIES[s] <= 0.6 && strcmp(fp_allocations[i]->name, "owl"))
                assert_int_equal(zeros, came); // owl moves shares
            else if (SPARSITIES[s] == 0.7) assert_true((double)zeros < asked + 1 + (double)(i ? rows : 0));
            fake_end(&f);
        }
}

// Columns that the statistics saw always zero go before all others, and a row of nothing else may go whole.
static void test_dead(void **state) {
    (void)state;
    const struct fp_score score = {.needs = FP_NEED_SUMS};
    for (size_t i = 0; fp_allocations[i]; i++) {
        struct fake_job f;
        fake_begin(&f, 2);
        struct fp_layer *l = fake_layer(&f, 2, 6, 20, 1, 3);
        f.job.choices.score = &score;
        fake_stats(&f, 0, 50, true, 4);
        for (size_t c = 0; c < 9; c++) f.stats[0].square[c] = 0;       // some of group 0
        for (size_t c = 0; c < 20; c++) f.stats[0].square[20 + c] = 0; // all of group 1
        for (size_t e = 0; e < l->w->count; e++) l->score[e] += 1;
        f.job.samples.n_local = 20; // too few to call a column always zero
        fp_allocate_free_first(&f.job, l);
        for (size_t e = 0; e < l->w->count; e++) assert_true(l->score[e] >= 1);
        f.job.samples.n_local = 80;
        fp_allocate_free_first(&f.job, l);
        run(&f, fp_allocations[i], 0.9);
        for (size_t e = 0; e < l->w->count; e++)
            if (e / 20 >= 6 || e % 20 < 9) {
                const bool row_share = !strcmp(fp_allocations[i]->name, "row"); // has its number of every row
                assert_true(!l->keep[e] || (row_share && e / 20 >= 6));
            }
        for (size_t r = 0; r < 6; r++) { // the best of rows that live
            size_t kept = 0;
            for (size_t c = 9; c < 20; c++) kept += l->keep[r * 20 + c];
            assert_true(kept > 0);
        }
        fake_end(&f);
    }
}

// A layer that must keep a share keeps it, and others do not pay for it.
static void test_bound(void **state) {
    (void)state;
    for (size_t i = 0; fp_allocations[i]; i++) {
        struct fake_job one, other;
        make(&one, 2, NULL), make(&other, 2, NULL);
        other.layers[0].least_kept = 0.6;
        run(&one, fp_allocations[i], 0.8), run(&other, fp_allocations[i], 0.8);
        assert_true(one.layers[0].zeros > 600 && other.layers[0].zeros <= 480 && other.layers[0].zeros > 400);
        for (int k = 1; k < 3; k++) assert_memory_equal(one.layers[k].keep, other.layers[k].keep, one.weights[k].count);
        fake_end(&one), fake_end(&other);
    }
}

// What does not fit its type is not written: the row stays unrepaired; and where the dense row is not finite, nothing
// is.
static void test_finite(void **state) {
    (void)state;
    struct fake_job f;
    fake_begin(&f, 1);
    struct fp_layer *l = fake_layer(&f, 1, 3, 4, 1, 3);
    struct fp_source source = {.type = FP_FLOAT16};
    l->w->sources = &source, l->w->n_sources = 1;
    l->keep[5] = l->keep[0] = 0;
    l->values[0] = INFINITY; // is not kept
    l->values[4] = 70000, l->values[6] = 3;
    l->bias_change[1] = 2, l->bias_change[2] = 1;
    assert_int_equal(fp_layer_check_finite(&f.job, l), 0);
    assert_true(l->values[4] == l->dense[4] && l->values[5] == 0 && l->values[6] == l->dense[6]);
    assert_true(l->bias_change[1] == 0 && l->bias_change[2] == 1);
    l->bias_change[2] = -1e6;
    assert_int_equal(fp_layer_check_finite(&f.job, l), 0);
    assert_true(l->bias_change[2] == 0);
    const uint8_t removed[3] = {0, 0, 1};
    l->removed = removed, l->bias_change[2] = -1e6; // a class that is held back stays so
    memset(l->keep + 8, 0, 4);
    assert_int_equal(fp_layer_check_finite(&f.job, l), 0);
    assert_true(l->bias_change[2] + (double)l->dense_bias[2] == -65504);
    source.type = FP_FLOAT;
    l->values[4] = 70000;
    assert_int_equal(fp_layer_check_finite(&f.job, l), 0);
    assert_true(l->values[4] == 70000);
    char path[] = "m.onnx";
    struct fineprune_model model = {.path = path};
    f.job.model = &model;
    l->values[4] = l->dense[4] = NAN;
    assert_int_equal(fp_layer_check_finite(&f.job, l), FINEPRUNE_MODEL);
    assert_non_null(strstr(f.err.message, "'m.onnx': weight 'w'"));
    f.job.model = NULL;
    fake_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_removed),
                                       cmocka_unit_test(test_lamp),  cmocka_unit_test(test_came),
                                       cmocka_unit_test(test_dead),  cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
