// SPDX-License-Identifier: Apache-2.0
// float32 matrix products for statistics and repairs, row-major.
#ifndef FP_GEMM_H
#define FP_GEMM_H

#include "base.h"

// c (m x n) = a b, or a b^T when tb; a is m x k, b k x n (n x k when tb). Split into tiles over the threads; each tile is one sequential oneDNN
// product, so the result is the same with any number of threads. False when oneDNN or memory fails.
bool fp_gemm(bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, float *c, int threads);
// Adds a^T a (a is k x n) to the lower triangle of gram (n x n doubles): float32 products of the k rows, added in double. The part above the
// diagonal may hold anything. False when oneDNN or memory fails.
bool fp_gram(size_t n, size_t k, const float *a, double *gram, int threads);

#endif
