// SPDX-License-Identifier: Apache-2.0
// Sums of x, x^2 and, where wanted, |x| over grids of floats, in double. The order of the additions is fixed: the same
// bits with any threads and any vectors.
#ifndef FP_MOMENTS_H
#define FP_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>

// The floats x[l * line_step + p * step] for l < lines, p < n.
struct fp_grid {
    size_t lines, line_step, n, step;
};

// Three sums with |x|, else two.
static inline size_t fp_moments_count(bool absolute) { return absolute ? 3 : 2; }
// dst[m * width + i] += moment m of the grid that begins at x + i, for i < width.
void fp_moments_columns(const float *x, const struct fp_grid *g, size_t width, bool absolute, double *dst);
// dst[m] += moment m of the grid.
void fp_moments_line(const float *x, const struct fp_grid *g, bool absolute, double *dst);

#endif
