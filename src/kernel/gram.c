// SPDX-License-Identifier: Apache-2.0
// Gram matrices in tiles. BLAS takes the rows as they lie, and knows of symmetry. One call a tile, on one thread: no
// sum depends on how many there are.
#include <cblas.h>
#include <stdlib.h>

#include "kernel/gemm.h"

enum { SIDE_ALONE = 128, SIDE_MOST = 512, TILES_LEAST = 3 };

struct gram {
    size_t n, side;
    const size_t *ends;
    size_t n_ends;
    bool fresh;
};

// At least three tiles a side where that keeps two threads busy, as equal as whole vectors allow.
static size_t side_of(size_t n) {
    if (n <= SIDE_ALONE) return n;
    size_t tiles = (n + SIDE_MOST - 1) / SIDE_MOST;
    if (tiles < TILES_LEAST) tiles = TILES_LEAST;
    return ((n + tiles - 1) / tiles + 15) / 16 * 16;
}

// Of a tile on the diagonal the lower triangle.
FP_VECTOR static void store_tile(double *to, size_t step, const float *part, size_t rows, size_t cols, bool diagonal) {
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < (diagonal ? y + 1 : cols); x++) to[y * step + x] = (double)part[y * cols + x];
}

FP_VECTOR static void add_tile(double *to, size_t step, const float *part, size_t rows, size_t cols, bool diagonal) {
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < (diagonal ? y + 1 : cols); x++) to[y * step + x] += (double)part[y * cols + x];
}

// All stretches one after the other, so that the tile stays in the cache.
static void gram_tile(const struct gram *g, const float *a, double *to, float *part, size_t r, size_t s) {
    const size_t rows = fp_least(g->side, g->n - r), cols = fp_least(g->side, g->n - s);
    const int m = (int)rows, n = (int)cols, step = (int)g->n;
    for (size_t i = 0, first = 0; i < g->n_ends; first = g->ends[i++]) {
        const int k = (int)(g->ends[i] - first);
        const float *x = a + first * g->n;
        if (r == s) cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, n, k, 1, x + s, step, 0, part, n);
        else cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, x + r, step, x + s, step, 0, part, n);
        (g->fresh && i == 0 ? store_tile : add_tile)(to + r * g->n + s, g->n, part, rows, cols, r == s);
    }
}

bool fp_grams(size_t count, size_t n, size_t k, const float *a, size_t step, const size_t *ends, size_t n_ends,
              double *gram, bool fresh, int threads) {
    if (!n || !count) return true;
    if (n > INT32_MAX || k > INT32_MAX) return false;
    const struct gram g = {n, side_of(n), ends, n_ends, fresh};
    const size_t side = (n + g.side - 1) / g.side, tiles = side * (side + 1) / 2;
    bool failed = false;
#pragma omp parallel num_threads(threads) if (count * n * n > 10000)
    {
        float *part = fp_calloc(g.side * g.side, sizeof(*part));
#pragma omp for schedule(dynamic)
        for (size_t task = 0; task < count * tiles; task++) {
            size_t i = 0, j = task % tiles, which = task / tiles;
            while (j > i) j -= ++i; // row i of the triangle
            if (part) gram_tile(&g, a + which * step, gram + which * n * n, part, i * g.side, j * g.side);
            else {
#pragma omp atomic write
                failed = true;
            }
        }
        free(part);
    }
    return !failed;
}

bool fp_gram(size_t n, size_t k, const float *a, const size_t *ends, size_t n_ends, double *gram, bool fresh,
             int threads) {
    return fp_grams(1, n, k, a, 0, ends, n_ends, gram, fresh, threads);
}
