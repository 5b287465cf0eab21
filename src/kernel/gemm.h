// SPDX-License-Identifier: Apache-2.0
// float32 matrix products for statistics and repairs, row-major.
#ifndef FP_GEMM_H
#define FP_GEMM_H

#include "base/base.h"

// Products with the same right side b, k x n (n x k when tb: then b^T counts), which is packed once; b is not needed
// after init. Split into tiles over the threads; each tile is one sequential oneDNN product, so the result is the same
// with any number of threads. False when oneDNN or memory fails; done is to be called in any case.
struct fp_product {
    bool tb;
    size_t n, k, n_panels;
    int threads;
    struct fp_tiler *tilers; // one a thread
    struct fp_panel *panels; // columns of b
};
bool fp_product_init(struct fp_product *p, bool tb, size_t n, size_t k, const float *b, int threads);
// c (m x n) = a b; a is m x k.
bool fp_product_run(struct fp_product *p, size_t m, const float *a, float *c);
void fp_product_done(struct fp_product *p);
// The same for one product.
bool fp_gemm(size_t m, size_t n, size_t k, const float *a, const float *b, float *c, int threads);
// Adds a^T a (a is k x n) to the lower triangle of gram (n x n doubles): float32 products of each stretch of rows,
// added in double one after the other, as if each stretch had its own call. ends: after which row each of the n_ends
// stretches ends, the last one k. fresh: gram's triangle is all zeros and not yet read, so that it is written at once.
// The part above the diagonal may hold anything. False when memory fails.
bool fp_gram(size_t n, size_t k, const float *a, const size_t *ends, size_t n_ends, double *gram, bool fresh,
             int threads);
// The same for several: the rows of each are `step` floats behind those of the one before, its matrix n * n doubles.
bool fp_grams(size_t count, size_t n, size_t k, const float *a, size_t step, const size_t *ends, size_t n_ends,
              double *gram, bool fresh, int threads);

#endif
