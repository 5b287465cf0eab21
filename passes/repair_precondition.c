// SPDX-License-Identifier: Apache-2.0
// C is close to B B^T + a diagonal with few columns in B, as inputs of a layer move together. B comes from the randomized Nystroem approximation
// (Frangella, Tropp & Udell 2023, "Randomized Nystroem preconditioning") after one power step: Y = C Q, B = Y L^-T with L L^T = Q^T Y. With D the
// diagonal that is left, ridge included, and U = D^-1/2 B, each row's masked matrix is close to D_S^1/2 (I + U_S U_S^T) D_S^1/2, whose inverse is
// D_S^-1/2 (I - U_S (I + U_S^T U_S)^-1 U_S^T) D_S^-1/2 (Woodbury): two thin products and a small triangular solve for each row.
#include "repair_precondition.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#define MOST_RANK 128
#define MOST_FACTORS ((size_t)32 << 20) // floats over all rows
#define PAIRS 4096                      // columns of U_S^T U_S that are made at once

// Making it costs as much as rank^2 / (2 n) steps, so some two of them, or half a step where few are needed.
static size_t rank_for(size_t n, size_t rows, double tolerance) {
    double wanted = (tolerance < 1e-3 ? 2 : 1) * sqrt((double)n);
    size_t rank = wanted < MOST_RANK ? (size_t)wanted : MOST_RANK;
    while (rank && rows * rank * rank > MOST_FACTORS) rank /= 2;
    return rank;
}

// q (rank x n): orthonormal rows that span what q's rows did.
static bool orthonormal(float *q, size_t rank, size_t n) {
    float tau[MOST_RANK], work[MOST_RANK * 64];
    // Row-major rank x n is column-major n x rank.
    return !LAPACKE_sgeqrf_work(LAPACK_COL_MAJOR, (int)n, (int)rank, q, (int)n, tau, work, (int)FP_COUNT(work)) &&
           !LAPACKE_sorgqr_work(LAPACK_COL_MAJOR, (int)n, (int)rank, (int)rank, q, (int)n, tau, work, (int)FP_COUNT(work));
}

static void fill_random(float *q, size_t count) {
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) q[i] = (float)((double)fp_random(&state) / 18446744073709551616.0 - 0.5);
}

// b (rank x n) with b^T b close to c. q, room: rank * n and rank * max(n, count) floats.
static bool approximate(struct fp_system *s, size_t rank, float *b, float *q, float *room, int threads) {
    const size_t n = s->n;
    double core[MOST_RANK * MOST_RANK], trace = 0;
    fill_random(b, rank * n);
    if (!fp_system_apply(s, b, rank, q, room) || !orthonormal(q, rank, n) || !fp_system_apply(s, q, rank, b, room)) return false;
    #pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t i = 0; i < rank; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t c = 0; c < n; c++) sum += (double)q[i * n + c] * (double)b[j * n + c];
            core[i * rank + j] = core[j * rank + i] = sum;
        }
    for (size_t i = 0; i < rank; i++) trace += core[i * rank + i];
    double shift = 1e-6 * trace / (double)rank; // against rounding: C + shift is what is approximated
    if (!(shift > 0)) return false;
    for (size_t i = 0; i < rank; i++) core[i * rank + i] += shift;
    for (size_t i = 0; i < rank * n; i++) b[i] += (float)shift * q[i];
    // core = L L^T; b <- L^-1 b. Row-major lower is column-major upper, R with R^T R = core; b is column-major n x rank: b <- b R^-1.
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)rank, core, (int)rank)) return false;
    for (size_t i = 0; i < rank; i++) {
        for (size_t j = 0; j < i; j++) {
            float l = (float)core[i * rank + j];
            for (size_t c = 0; c < n; c++) b[i * n + c] -= l * b[j * n + c];
        }
        float inverse = (float)(1 / core[i * rank + i]);
        for (size_t c = 0; c < n; c++) b[i * n + c] *= inverse;
    }
    return true;
}

// u (n x rank) from b (rank x n) and the diagonal that b leaves, which gets the ridge.
static void scale(struct fp_precondition *p, const struct fp_system *s, const float *diagonal, const float *b, float *u) {
    for (size_t c = 0; c < p->n; c++) {
        double left = (double)diagonal[c];
        for (size_t k = 0; k < p->rank; k++) left -= (double)b[k * p->n + c] * (double)b[k * p->n + c];
        p->scale[c] = (float)(1 / sqrt(fmax(left, 0) + (double)s->ridge));
        for (size_t k = 0; k < p->rank; k++) u[c * p->rank + k] = b[k * p->n + c] * p->scale[c];
    }
}

// U_S^T U_S of all rows at once: a row's mask times the products of U's columns, some pairs at a time.
static bool inner_products(struct fp_precondition *p, const float *u, const uint8_t *keep, size_t rows, int threads) {
    const size_t n = p->n, rank = p->rank, pairs = rank * (rank + 1) / 2, width = pairs < PAIRS ? pairs : PAIRS;
    float *mask = fp_calloc(rows * n, sizeof(float)), *products = fp_calloc(n * width, sizeof(float)), *found = fp_calloc(rows * width, sizeof(float));
    bool ok = mask && products && found;
    for (size_t i = 0; ok && i < rows * n; i++) mask[i] = keep[i];
    size_t i = 0, j = 0; // the pair that comes next, j <= i
    for (size_t at = 0; at < pairs && ok; at += width) {
        size_t m = pairs - at < width ? pairs - at : width, first_i = i, first_j = j;
        #pragma omp parallel for num_threads(threads)
        for (size_t c = 0; c < n; c++) {
            size_t a = first_i, b = first_j;
            for (size_t k = 0; k < m; k++) {
                products[c * m + k] = u[c * rank + a] * u[c * rank + b];
                if (++b > a) a++, b = 0;
            }
        }
        ok = fp_gemm(rows, m, n, mask, products, found, threads);
        for (size_t k = 0; k < m && ok; k++) {
            for (size_t r = 0; r < rows; r++) p->factors[(r * rank + i) * rank + j] = found[r * m + k] + (i == j ? 1 : 0);
            if (++j > i) i++, j = 0;
        }
    }
    free(mask);
    free(products);
    free(found);
    return ok;
}

static bool factorize(struct fp_precondition *p, size_t rows, int threads) {
    bool failed = false;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', (int)p->rank, p->factors + r * p->rank * p->rank, (int)p->rank)) {
            #pragma omp atomic write
            failed = true;
        }
    return !failed;
}

static void diagonal_only(struct fp_precondition *p, const struct fp_system *s, const float *diagonal) {
    p->rank = 0;
    for (size_t c = 0; c < p->n; c++) p->scale[c] = (float)(1 / sqrt((double)diagonal[c] + (double)s->ridge));
}

bool fp_precondition_init(struct fp_precondition *p, struct fp_system *s, const float *diagonal, const uint8_t *keep, size_t rows, double tolerance,
                           int threads) {
    size_t n = s->n, rank = rank_for(n, rows, tolerance), wide = n > s->count ? n : s->count;
    if (s->a && rank > s->count) rank = s->count; // which is all there is
    *p = (struct fp_precondition){.n = n, .rank = rank};
    p->scale = fp_calloc(n, sizeof(float));
    if (!p->scale) return false;
    float *b = fp_calloc(rank * n, sizeof(float)), *q = fp_calloc(rank * n, sizeof(float)), *room = fp_calloc(rank * wide, sizeof(float));
    p->factors = fp_calloc(rows * rank * rank, sizeof(float));
    bool ok = b && q && room && p->factors, low = ok && rank && approximate(s, rank, b, q, room, threads);
    if (low) {
        scale(p, s, diagonal, b, q);
        ok = fp_product_init(&p->down, false, rank, n, q, threads) && fp_product_init(&p->up, true, n, rank, q, threads) &&
             inner_products(p, q, keep, rows, threads);
        low = ok && factorize(p, rows, threads);
    }
    if (ok && !low) diagonal_only(p, s, diagonal);
    free(b);
    free(q);
    free(room);
    return ok;
}

void fp_precondition_done(struct fp_precondition *p) {
    fp_product_done(&p->down);
    fp_product_done(&p->up);
    free(p->scale);
    free(p->factors);
}

bool fp_precondition_apply(struct fp_precondition *p, const float *r, size_t active, const size_t *row, const uint8_t *keep, float *z, float *room,
                           int threads) {
    const size_t n = p->n, rank = p->rank;
    #pragma omp parallel for num_threads(threads) schedule(static) if (active * n > 20000)
    for (size_t i = 0; i < active; i++)
        for (size_t c = 0; c < n; c++) z[i * n + c] = r[i * n + c] * p->scale[c];
    if (rank) {
        bool failed = !fp_product_run(&p->down, active, z, room);
        #pragma omp parallel for num_threads(threads) schedule(static)
        for (size_t i = 0; i < active; i++)
            LAPACKE_spotrs_work(LAPACK_COL_MAJOR, 'U', (int)rank, 1, p->factors + row[i] * rank * rank, (int)rank, room + i * rank, (int)rank);
        float *back = failed ? NULL : fp_calloc(active * n, sizeof(float));
        if (!back || !fp_product_run(&p->up, active, room, back)) {
            free(back);
            return false;
        }
        #pragma omp parallel for num_threads(threads) schedule(static)
        for (size_t i = 0; i < active * n; i++) z[i] -= back[i];
        free(back);
    }
    #pragma omp parallel for num_threads(threads) schedule(static) if (active * n > 20000)
    for (size_t i = 0; i < active; i++) {
        const uint8_t *k = keep + row[i] * n;
        for (size_t c = 0; c < n; c++) z[i * n + c] *= p->scale[c] * (float)k[c];
    }
    return true;
}
