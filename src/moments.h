// SPDX-License-Identifier: Apache-2.0
// Sums of x, x^2 and |x| over runs of floats, in double. The order of the additions is fixed: the same bits with any threads and any vectors.
#ifndef FP_MOMENTS_H
#define FP_MOMENTS_H

#include <stddef.h>

enum { FP_LANES = 16, FP_MOMENTS = 3 };

// dst[m * FP_LANES + i] += moment m of x[p * step + i] over p = 0..n-1, for i < width <= FP_LANES.
void fp_moments_lanes(const float *x, size_t n, size_t step, size_t width, double *dst);
// dst[m] += moment m of x[p * step] over p = 0..n-1.
void fp_moments_line(const float *x, size_t n, size_t step, double *dst);

#endif
