// SPDX-License-Identifier: Apache-2.0
// Where zeros lie, in matrices written out here.
#include "weights/zeros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 8, COLS = 48 };

struct matrix {
    struct fp_weight w;
    float values[2 * ROWS * COLS];
};

// Without zeros.
static void fill(struct matrix *m, size_t groups, size_t rows, size_t cols, size_t inner) {
    m->w = (struct fp_weight){
        .name = "w", .groups = groups, .rows = rows, .cols = cols, .inner = inner, .count = groups * rows * cols};
    for (size_t i = 0; i < m->w.count; i++) m->values[i] = (float)(i % 7) + 1;
}

static float *at(struct matrix *m, size_t row, size_t col) { return &m->values[row * m->w.cols + col]; }

static void zero_box(struct matrix *m, size_t row, size_t col, size_t height, size_t width) {
    for (size_t r = row; r < row + height; r++)
        for (size_t c = col; c < col + width; c++) *at(m, r, c) = 0;
}

static struct fp_zeros found(const struct matrix *m) {
    struct fp_zeros zeros;
    assert_int_equal(fp_zeros_of_values(&m->w, m->values, &zeros, NULL), FINEPRUNE_OK);
    size_t n = 0;
    for (size_t i = 0; i < m->w.count; i++) n += m->values[i] == 0;
    assert_int_equal(zeros.zeros, n);
    return zeros;
}

static void expect_pattern(const struct matrix *m, const char *pattern) {
    assert_string_equal(found(m).pattern, pattern);
}

static void dense(void **state) {
    (void)state;
    struct matrix m;
    fill(&m, 1, ROWS, COLS, 1);
    const struct fp_zeros zeros = found(&m);
    assert_string_equal(zeros.pattern, "");
    assert_int_equal(zeros.rows + zeros.columns + zeros.whole, 0);
}

// Columns are of a group: a column is whole in one group alone.
static void rows_and_columns(void **state) {
    (void)state;
    struct matrix m;
    fill(&m, 2, ROWS, COLS, 1);
    zero_box(&m, 3, 0, 1, COLS);
    zero_box(&m, ROWS, 5, ROWS, 1);
    const struct fp_zeros zeros = found(&m);
    assert_int_equal(zeros.rows, 1);
    assert_int_equal(zeros.columns, 1);
    assert_int_equal(zeros.whole, COLS + ROWS);
    assert_string_equal(zeros.pattern, ""); // there is no other
}

// Among the inputs at the same kernel position, in every row; one too many is none.
static void neighbours(void **state) {
    (void)state;
    static const struct {
        size_t m, kept;
        const char *pattern;
    } cases[] = {{4, 2, "2:4"}, {4, 1, "1:4"}, {8, 3, "3:8"}, {16, 5, "5:16"}, {4, 3, ""}};
    for (size_t inner = 1; inner <= 3; inner += 2)
        for (size_t i = 0; i < FP_COUNT(cases); i++) {
            struct matrix m;
            fill(&m, 1, ROWS, COLS, inner);
            for (size_t r = 0; r < ROWS; r++)
                for (size_t k = 0; k < inner; k++)
                    for (size_t c = 0; c < COLS / inner; c++) // which of them moves from group to group
                        if ((c + 3 * (c / cases[i].m) + r) % cases[i].m >= cases[i].kept) *at(&m, r, c * inner + k) = 0;
            expect_pattern(&m, cases[i].pattern);
            const struct fp_zeros zeros = found(&m);
            for (size_t k = 0; k < FP_NEIGHBOURS && *cases[i].pattern; k++)
                if ((size_t)2 << k == cases[i].m) assert_int_equal(zeros.kept[k], cases[i].kept);
            if (!*cases[i].pattern) continue;
            memset(&m.values[2 * COLS], 0, COLS * sizeof(float)); // a row of removed classes is no other pattern
            expect_pattern(&m, cases[i].pattern);
            for (size_t c = 0; c < COLS; c++) *at(&m, 5, c) = 1;
            expect_pattern(&m, "");
        }
}

static void rectangles(void **state) {
    (void)state;
    static const struct {
        size_t height, width;
        const char *pattern;
    } cases[] = {{2, 1, "block:2x1"}, {1, 4, "block:1x4"}, {2, 2, "block:2x2"}, {4, 4, "block:4x4"}, {1, 3, ""}};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct matrix m;
        const size_t height = cases[i].height, width = cases[i].width;
        fill(&m, 2, ROWS, COLS, 1);
        for (size_t r = 0; r < 2 * ROWS; r += height)
            for (size_t c = 0; c < COLS; c += width)
                if ((5 * (r / height) + 3 * (c / width)) % 7 < 2) zero_box(&m, r, c, height, width);
        expect_pattern(&m, cases[i].pattern);
        if (!*cases[i].pattern) continue;
        zero_box(&m, 1, 0, 1, COLS); // whole rows and columns count for none
        zero_box(&m, 0, 7, ROWS, 1);
        expect_pattern(&m, cases[i].pattern);
        *at(&m, 15, 47) = *at(&m, 15, 47) != 0 ? 0 : 1;
        expect_pattern(&m, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense),
        cmocka_unit_test(rows_and_columns),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(rectangles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
