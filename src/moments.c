// SPDX-License-Identifier: Apache-2.0
#include "moments.h"

#include <math.h>
#include <string.h>

#include "base.h"

typedef float floats __attribute__((vector_size(8 * sizeof(float))));
typedef double doubles __attribute__((vector_size(8 * sizeof(double))));
typedef int64_t bits __attribute__((vector_size(8 * sizeof(int64_t))));

struct moments {
    doubles sum, square, absolute;
};

static inline __attribute__((always_inline)) void add_eight(struct moments *m, const float *x) {
    floats f;
    memcpy(&f, x, sizeof(f));
    const doubles v = __builtin_convertvector(f, doubles);
    m->sum += v;
    m->square += v * v;
    m->absolute += (doubles)((bits)v & INT64_MAX);
}

static inline __attribute__((always_inline)) void add_one(double *dst, size_t stride, double v) {
    dst[0] += v;
    dst[stride] += v * v;
    dst[2 * stride] += fabs(v);
}

// Where the processor has registers for the sixteen sums of every moment.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE_VECTOR
#endif

WIDE_VECTOR static void add_full(const float *x, size_t n, size_t step, double *dst) {
    struct moments low = {0}, high = {0};
    for (size_t p = 0; p < n; p++, x += step) {
        __builtin_prefetch(x + FP_LANES); // the lanes that come next: over large steps no processor sees them coming
        add_eight(&low, x);
        add_eight(&high, x + 8);
    }
    const doubles *const all[FP_MOMENTS][2] = {{&low.sum, &high.sum}, {&low.square, &high.square}, {&low.absolute, &high.absolute}};
    for (int m = 0; m < FP_MOMENTS; m++)
        for (int i = 0; i < FP_LANES; i++) dst[m * FP_LANES + i] += (*all[m][i / 8])[i % 8];
}

void fp_moments_lanes(const float *x, size_t n, size_t step, size_t width, double *dst) {
    if (width == FP_LANES) {
        add_full(x, n, step, dst);
        return;
    }
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < width; i++) add_one(dst + i, FP_LANES, (double)x[p * step + i]);
}

// Eight sums side by side, which then are added from the left; the rest one by one.
FP_VECTOR void fp_moments_line(const float *x, size_t n, size_t step, double *dst) {
    size_t p = 0;
    if (step == 1 && n >= 8) {
        struct moments m = {0};
        for (; p + 8 <= n; p += 8) add_eight(&m, x + p);
        for (int i = 0; i < 8; i++) {
            dst[0] += m.sum[i];
            dst[1] += m.square[i];
            dst[2] += m.absolute[i];
        }
    }
    for (; p < n; p++) add_one(dst, 1, (double)x[p * step]);
}
