// SPDX-License-Identifier: Apache-2.0
// Products in tiles: parallel between the tiles, sequential within one.
#include "gemm.h"

#include <dnnl.h>
#include <stdlib.h>

enum { TILE_M = 128, TILE_N = 512, TILE_GRAM = 256 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void tile(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                 size_t ldc) {
    dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c,
               (dnnl_dim_t)ldc);
}

void fp_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
             size_t ldc, int threads) {
    size_t tm = (m + TILE_M - 1) / TILE_M, tn = (n + TILE_N - 1) / TILE_N;
    // Inside a parallel region oneDNN stays on its thread: so also a single thread is given one.
    #pragma omp parallel for num_threads(threads) schedule(dynamic) collapse(2)
    for (size_t i = 0; i < tm; i++)
        for (size_t j = 0; j < tn; j++) {
            size_t r = i * TILE_M, s = j * TILE_N;
            tile(ta, tb, least(TILE_M, m - r), least(TILE_N, n - s), k, a + (ta ? r : r * lda), lda, b + (tb ? s * ldb : s), ldb, beta,
                 c + r * ldc + s, ldc);
        }
}

bool fp_gram(size_t n, size_t k, const float *a, double *gram, int threads) {
    size_t tiles = (n + TILE_GRAM - 1) / TILE_GRAM;
    bool failed = false;
    #pragma omp parallel num_threads(threads)
    {
        float *part = fp_calloc(least(n, TILE_GRAM) * least(n, TILE_GRAM), sizeof(*part));
        if (!part) {
            #pragma omp atomic write
            failed = true;
        }
        #pragma omp for schedule(dynamic) collapse(2)
        for (size_t i = 0; i < tiles; i++)
            for (size_t j = 0; j < tiles; j++) {
                if (j > i || !part) continue;
                size_t r = i * TILE_GRAM, s = j * TILE_GRAM, rows = least(TILE_GRAM, n - r), cols = least(TILE_GRAM, n - s);
                tile(true, false, rows, cols, k, a + r, n, a + s, n, 0, part, cols);
                for (size_t y = 0; y < rows; y++)
                    for (size_t x = 0; x < cols; x++) gram[(r + y) * n + s + x] += (double)part[y * cols + x];
            }
        free(part);
    }
    return !failed;
}
