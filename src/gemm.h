// SPDX-License-Identifier: Apache-2.0
// float32 matrix products for statistics and repairs, row-major.
#ifndef FP_GEMM_H
#define FP_GEMM_H

#include "base.h"

// c (m x n) = op(a) op(b) + beta c; op(a) is m x k: a is m x k, or k x m when ta; the same for b, k x n. Split into tiles over the threads; each tile
// is one sequential oneDNN product, so the result is the same with any number of threads.
void fp_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
             size_t ldc, int threads);
// Adds a^T a (a is k x n) to the lower triangle of gram (n x n doubles): float32 products of the k rows, added in double. The part above the
// diagonal may hold anything. False without memory.
bool fp_gram(size_t n, size_t k, const float *a, double *gram, int threads);

#endif
