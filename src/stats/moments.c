// SPDX-License-Identifier: Apache-2.0
#include "base/wide_vector.h"
#include "stats/moments.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

// The square of a float is exact in double: rounded once or twice, the bits are the same where the processor multiplies
// and adds at once and where not.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=fast")
#endif

enum { LANES = 8, ROWS = 4 }; // ROWS: add_four_rows
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t bits __attribute__((vector_size(LANES * sizeof(int64_t))));

struct moments {
    doubles sum, square, absolute;
};

#define INLINE static inline __attribute__((always_inline))

INLINE void add_eight(struct moments *m, const floats *x, bool absolute) {
    const doubles v = __builtin_convertvector(*x, doubles);
    m->sum += v;
    m->square += v * v;
    if (absolute) m->absolute += (doubles)((bits)v & INT64_MAX);
}

INLINE void add_one(double *dst, size_t stride, double v, bool absolute) {
    dst[0] += v;
    dst[stride] += v * v;
    if (absolute) dst[2 * stride] += fabs(v);
}

// A few rows at a time: memory is read as it lies, and the sums, which stay in the nearest cache, are loaded and stored
// once for all of them. Plain loops, which compilers turn into vectors better than they do conversions between them.
INLINE void add_four_rows(const float *restrict x, size_t step, size_t width, bool absolute, double *restrict sum,
                          double *restrict square, double *restrict absolutes) {
    const float *restrict a = x, *restrict b = a + step, *restrict c = b + step, *restrict d = c + step;
    for (size_t i = 0; i < width; i++) {
        const double p = (double)a[i], q = (double)b[i], r = (double)c[i], s = (double)d[i];
        sum[i] = sum[i] + p + q + r + s;
        square[i] = square[i] + p * p + q * q + r * r + s * s;
        if (absolute) absolutes[i] = absolutes[i] + fabs(p) + fabs(q) + fabs(r) + fabs(s);
    }
}

INLINE void add_row(const float *restrict x, size_t width, bool absolute, double *restrict sum, double *restrict square,
                    double *restrict absolutes) {
    for (size_t i = 0; i < width; i++) {
        const double v = (double)x[i];
        sum[i] += v;
        square[i] += v * v;
        if (absolute) absolutes[i] += fabs(v);
    }
}

INLINE void add_columns(const float *x, const struct fp_grid *g, size_t width, bool absolute, double *dst) {
    double *square = dst + width, *absolutes = square + (absolute ? width : 0);
    for (size_t l = 0; l < g->lines; l++, x += g->line_step) {
        size_t p = 0;
        for (; p + ROWS <= g->n; p += ROWS)
            add_four_rows(x + p * g->step, g->step, width, absolute, dst, square, absolutes);
        for (; p < g->n; p++) add_row(x + p * g->step, width, absolute, dst, square, absolutes);
    }
}

WIDE_VECTOR static void two_columns(const float *x, const struct fp_grid *g, size_t width, double *dst) {
    add_columns(x, g, width, false, dst);
}
WIDE_VECTOR static void three_columns(const float *x, const struct fp_grid *g, size_t width, double *dst) {
    add_columns(x, g, width, true, dst);
}

void fp_moments_columns(const float *x, const struct fp_grid *g, size_t width, bool absolute, double *dst) {
    (absolute ? three_columns : two_columns)(x, g, width, dst);
}

// Eight sums side by side, which in the end are added from the left; the rest of each line one by one.
INLINE void add_line(const float *x, const struct fp_grid *g, size_t step, bool absolute, double *dst) {
    struct moments m = {0};
    for (size_t l = 0; l < g->lines; l++, x += g->line_step) {
        size_t p = 0;
        for (const float *at = x; p + LANES <= g->n; p += LANES, at += LANES * step)
            add_eight(&m,
                      &(floats){at[0], at[step], at[2 * step], at[3 * step], at[4 * step], at[5 * step], at[6 * step],
                                at[7 * step]},
                      absolute);
        for (; p < g->n; p++) add_one(dst, 1, (double)x[p * step], absolute);
    }
    for (int i = 0; i < LANES && g->n >= LANES; i++) {
        dst[0] += m.sum[i];
        dst[1] += m.square[i];
        if (absolute) dst[2] += m.absolute[i];
    }
}

INLINE void add_any_line(const float *x, const struct fp_grid *g, bool absolute, double *dst) {
    if (g->step == 1) add_line(x, g, 1, absolute, dst);
    else if (g->step == 2) add_line(x, g, 2, absolute, dst);
    else add_line(x, g, g->step, absolute, dst);
}

WIDE_VECTOR static void two_lines(const float *x, const struct fp_grid *g, double *dst) {
    add_any_line(x, g, false, dst);
}
WIDE_VECTOR static void three_lines(const float *x, const struct fp_grid *g, double *dst) {
    add_any_line(x, g, true, dst);
}

void fp_moments_line(const float *x, const struct fp_grid *g, bool absolute, double *dst) {
    (absolute ? three_lines : two_lines)(x, g, dst);
}
