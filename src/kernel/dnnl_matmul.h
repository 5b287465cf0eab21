// SPDX-License-Identifier: Apache-2.0
// Matrix products that oneDNN computes, whole or in tiles of a few rows.
#ifndef FP_DNNL_MATMUL_H
#define FP_DNNL_MATMUL_H

#include "kernel/dnnl_tail.h"
#include "kernel/matmul_shape.h"

struct fp_matmul {
    struct fp_prim prim;
    size_t count;    // elements of c; 0: nothing to do
    int64_t k, n;    // k 0: c is the bias or 0, as row-major memory
    bool bias_after; // the bias follows a scale
    bool tiled;      // the primitive is of `height` rows, and `whole` says what all of them are
    int64_t height;
    struct fp_matmul_shape whole;
    struct fp_tail_place place;
    struct fp_tail tail[FP_TAIL_MAX];
};
// Makes the primitive of a product, whose strides it may tidy. FP_NOT_FUSED: without the tail.
int fp_matmul_make(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s);
int fp_matmul_run(struct fp_call *call, struct fp_matmul *p, const float *a, const float *b, bool b_constant,
                  const float *bias, float *c);
void fp_matmul_done(struct fp_matmul *p);

#endif
