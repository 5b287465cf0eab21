// SPDX-License-Identifier: Apache-2.0
// Choosing the lowest against qsort, with ties, zeros and infinities, over several runs and threads.
#include "base/base.h"
#include "maths/select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 20000, RUNS = 4 };

static const size_t SIZES[RUNS] = {7000, 1, 0, N - 7001};

struct item {
    float score;
    size_t index;
};

static int by_score(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

// kind 0: all different; 1: few values, many ties; 2: all equal; 3: a wide range with zeros and infinities.
static void fill(float *score, int kind) {
    uint64_t seed = 5;
    for (size_t i = 0; i < N; i++) {
        const uint64_t r = fp_random(&seed);
        score[i] = kind == 0   ? (float)(r >> 40)
                   : kind == 1 ? (float)(r % 7) / 8
                   : kind == 2 ? 0.5f
                               : ldexpf((float)(r % 4), (int)(r % 200) - 140);
        if (kind == 3 && r % 50 == 0) score[i] = INFINITY;
    }
}

static void check_lowest(const float *score, const uint8_t *skip, size_t count, int threads) {
    static uint8_t keep[N], expected[N];
    static struct item items[N];
    size_t n = 0;
    for (size_t i = 0; i < N; i++)
        if (!skip || !skip[i]) items[n++] = (struct item){score[i], i};
    qsort(items, n, sizeof(*items), by_score);
    memset(keep, 1, N), memset(expected, 1, N);
    for (size_t i = 0; i < n && i < count; i++) expected[items[i].index] = 0;
    struct fp_scored runs[RUNS];
    for (size_t r = 0, at = 0; r < RUNS; at += SIZES[r++])
        runs[r] = (struct fp_scored){score + at, skip ? skip + at : NULL, keep + at, SIZES[r]};
    assert_int_equal(fp_select_lowest(runs, RUNS, count, threads), n < count ? n : count);
    assert_memory_equal(keep, expected, N);
}

static void test_lowest(void **state) {
    (void)state;
    static float score[N];
    static uint8_t skip[N];
    uint64_t seed = 6;
    for (size_t i = 0; i < N; i++) skip[i] = fp_random(&seed) % 3 == 0;
    const size_t counts[] = {0, 1, 2, 6999, 7001, 9999, N - 1, N, N + 5};
    for (int kind = 0; kind < 4; kind++) {
        fill(score, kind);
        for (size_t c = 0; c < FP_COUNT(counts); c++)
            for (int threads = 1; threads <= 3; threads++) {
                check_lowest(score, NULL, counts[c], threads);
                check_lowest(score, skip, counts[c], threads);
            }
    }
}

static void test_sort(void **state) {
    (void)state;
    static float score[N];
    static uint32_t order[N], room[N];
    static struct item items[N];
    for (int kind = 0; kind < 4; kind++)
        for (size_t n = 0; n <= N; n = n * 7 + 1) {
            fill(score, kind);
            for (size_t i = 0; i < n; i++) items[i] = (struct item){score[i], i};
            qsort(items, n, sizeof(*items), by_score);
            fp_sort_scores(score, order, room, n);
            for (size_t i = 0; i < n; i++) assert_int_equal(order[i], items[i].index);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lowest), cmocka_unit_test(test_sort)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
