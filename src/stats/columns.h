// SPDX-License-Identifier: Apache-2.0
// The input of a weight seen as rows of columns: for a product the rows of a matrix, for a convolution the im2col rows.
// Sums over all rows come from the input and its borders; single rows are written out only where a pass wants them.
#ifndef FP_COLUMNS_H
#define FP_COLUMNS_H

#include "weights/weights.h"

#define FP_SPATIAL (FP_MAX_RANK - 2)

struct fp_columns {
    const struct fp_weight *w;
    const float *x;
    size_t units; // samples (or 1 when rows cannot be told apart by sample)
    size_t rows;  // rows of each unit
    const int32_t
        *lengths; // rows of each unit where they differ, `rows` being the most; NULL: they do not. See fp_columns_rows
    // convolutions
    int n;           // spatial dims
    size_t channels; // of a group
    size_t channel_stride, position_stride;
    int64_t in[FP_SPATIAL], out[FP_SPATIAL], kernel[FP_SPATIAL], stride[FP_SPATIAL], dilation[FP_SPATIAL],
        begin[FP_SPATIAL];
    // products: row r of unit u of group g starts at base(g) + row_base; element c is c * col_stride further
    size_t unit_stride, row_stride, col_stride, group_stride;
    size_t row_inner, row_outer_stride; // row r is (r / row_inner) * row_outer_stride + (r % row_inner) * row_stride
};

// Looks at x, the float32 input (row-major; of convolutions also channels-last) of `use` of weight w, of which
// `samples` samples are along axis 0 (axis 1 for recurrent layers). Errors: MODEL when the shape does not fit.
int fp_columns_of(struct fp_columns *out, const struct fp_weight *w, const struct fp_weight_use *use,
                  const struct fp_tensor *x, size_t samples, fineprune_error *err);
// How many rows unit `unit` has.
static inline size_t fp_columns_rows(const struct fp_columns *c, size_t unit) {
    if (!c->lengths) return c->rows;
    const int32_t n = c->lengths[unit];
    if (n < 0) return 0;
    return fp_least((size_t)n, c->rows);
}
// Whether the rows of both weights are always the same: one value goes into operators that look at it in the same way.
bool fp_columns_shared(const struct fp_weight *a, const struct fp_weight *b);
// Writes row `row` of unit `unit` of group g, w->cols floats.
void fp_columns_row(const struct fp_columns *c, size_t g, size_t unit, size_t row, float *dst);
// Adds the sums of x, x^2 and |x| (unless `absolute` is NULL) over all rows of the units before `units`, per column, to
// arrays of groups * cols; unit by unit, so that it is the same to add them in several calls. Parallel; same sums with
// any number of threads. FINEPRUNE_LIMIT when there is no memory for the work. (column_sums.c)
int fp_columns_sum(const struct fp_columns *c, size_t units, double *sum, double *square, double *absolute,
                   int threads);

#endif
