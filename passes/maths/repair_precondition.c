// SPDX-License-Identifier: Apache-2.0
// C is close to B B^T + a diagonal with few columns in B, as inputs of a layer move together. B comes from the
// randomized Nystroem approximation (Frangella, Tropp & Udell 2023, "Randomized Nystroem preconditioning") after one
// power step: Y = C Q, B = Y L^-T with L L^T = Q^T Y. With D the diagonal that is left, ridge included, and U = D^-1/2
// B, each row's masked matrix is close to D_S^1/2 (I + U_S U_S^T) D_S^1/2, whose inverse is D_S^-1/2 (I - U_S (I +
// U_S^T U_S)^-1 U_S^T) D_S^-1/2 (Woodbury): two thin products and a small triangular solve for each row. Where few rows
// were seen they are B^T themselves, and the preconditioner is the inverse.
#include "maths/repair_precondition.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

#define MOST_RANK 128
#define MOST_FACTORS ((size_t)32 << 20) // floats over all rows
#define PAIRS 1024                      // elements of U_S^T U_S that are made at once

// Making it costs as much as rank^2 / (2 n) steps, so some two of them, or half a step where few are needed.
static size_t rank_for(size_t n, size_t rows, double tolerance) {
    const double wanted = (tolerance < 1e-3 ? 2 : 1) * sqrt((double)n);
    size_t rank = (size_t)fmin(wanted, MOST_RANK);
    while (rank && rows * rank * rank > MOST_FACTORS) rank /= 2;
    return rank;
}

// q (rank x n): orthonormal rows that span what q's rows did.
static bool orthonormal(float *q, size_t rank, size_t n) {
    float tau[MOST_RANK], work[MOST_RANK * 64];
    // Row-major rank x n is column-major n x rank.
    return !LAPACKE_sgeqrf_work(LAPACK_COL_MAJOR, (int)n, (int)rank, q, (int)n, tau, work, (int)FP_COUNT(work)) &&
           !LAPACKE_sorgqr_work(LAPACK_COL_MAJOR, (int)n, (int)rank, (int)rank, q, (int)n, tau, work,
                                (int)FP_COUNT(work));
}

static void fill_random(float *q, size_t count) {
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) q[i] = (float)((double)fp_random(&state) / 18446744073709551616.0 - 0.5);
}

// core (rank x rank): q y^T, in double for the sake of small directions.
static void fill_core(size_t rank, size_t n, const float *q, const float *y, double *core, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t i = 0; i < rank; i++)
        for (size_t j = 0; j <= i; j++) core[i * rank + j] = core[j * rank + i] = fp_dot(q + i * n, y + j * n, n);
}

// b (rank x n) with b^T b close to c. q, room: rank * n and rank * max(n, count) floats. *rank falls to the number of
// directions that are not drowned by rounding or by the ridge, 0 when there is none. False without memory.
static bool approximate(struct fp_system *s, size_t *rank, float *b, float *q, float *room, int threads) {
    const size_t n = s->n, most = *rank;
    double core[MOST_RANK * MOST_RANK], work[2 * MOST_RANK], trace = 0;
    float l[MOST_RANK * MOST_RANK];
    int pivots[MOST_RANK], found;
    fill_random(b, most * n);
    *rank = 0;
    if (!fp_system_apply(s, b, most, q, room)) return false;
    if (!orthonormal(q, most, n)) return true;
    if (!fp_system_apply(s, q, most, b, room)) return false;
    fill_core(most, n, q, b, core, threads);
    for (size_t i = 0; i < most; i++) trace += core[i * most + i];
    // core = P L L^T P^T as far as the pivots reach; b <- L^-1 P^T b. Row-major lower is column-major upper.
    if (LAPACKE_dpstrf_work(LAPACK_COL_MAJOR, 'U', (int)most, core, (int)most, pivots, &found,
                            fmax(1e-6 * trace, 0.1 * (double)s->ridge), work) < 0)
        return true;
    *rank = (size_t)found;
    for (size_t i = 0; i < *rank; i++) {
        memcpy(q + i * n, b + ((size_t)pivots[i] - 1) * n, n * sizeof(*q));
        for (size_t j = 0; j <= i; j++) l[i * *rank + j] = (float)core[i * most + j];
    }
    memcpy(b, q, *rank * n * sizeof(*b));
    if (found)
        cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, found, (int)n, 1, l, found, b,
                    (int)n);
    return true;
}

// u (rank x n): from B^T to U^T, scaled by the diagonal that B leaves, which gets the ridge. left: n of room.
static void scale(struct fp_precondition *p, const struct fp_system *s, const float *diagonal, double *left, float *u) {
    for (size_t c = 0; c < p->n; c++) left[c] = (double)diagonal[c];
    for (size_t k = 0; k < p->rank; k++)
        for (size_t c = 0; c < p->n; c++) left[c] -= (double)u[k * p->n + c] * (double)u[k * p->n + c];
    for (size_t c = 0; c < p->n; c++) p->scale[c] = (float)(1 / sqrt(fmax(left[c], 0) + (double)s->ridge));
    for (size_t k = 0; k < p->rank; k++)
        for (size_t c = 0; c < p->n; c++) u[k * p->n + c] *= p->scale[c];
}

// Pair number `at` of (0, 0), (1, 0), (1, 1), (2, 0)...
static void pair_of(size_t at, size_t *i, size_t *j) {
    *i = (size_t)((sqrt(8 * (double)at + 1) - 1) / 2);
    while (*i * (*i + 1) / 2 > at) --*i;
    while ((*i + 1) * (*i + 2) / 2 <= at) ++*i;
    *j = at - *i * (*i + 1) / 2;
}

// I + U_S^T U_S of all rows at once: products of two of U's columns times the rows' masks, some pairs at a time.
static bool inner_products(struct fp_precondition *p, const float *u, const uint8_t *keep, size_t rows, int threads) {
    enum { SIDE = 16 };
    const size_t n = p->n, rank = p->rank, pairs = rank * (rank + 1) / 2, width = fp_least(pairs, PAIRS);
    FP_STAGE(room, "a repair");
    float *mask = fp_arena_take(&room, rows * n, sizeof(float)),
          *products = fp_arena_take(&room, n * width, sizeof(float)),
          *found = fp_arena_take(&room, rows * width, sizeof(float));
    struct fp_product by_masks = {0};
    if (room.failed) return false;
    for (size_t i = 0; i < rows * n; i++) mask[i] = keep[i];
    bool ok = fp_product_init(&by_masks, true, rows, n, mask, threads);
    for (size_t at = 0; at < pairs && ok; at += width) {
        const size_t m = fp_least(pairs - at, width);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (size_t k = 0; k < m; k++) {
            size_t i, j;
            pair_of(at + k, &i, &j);
            for (size_t c = 0; c < n; c++) products[k * n + c] = u[i * n + c] * u[j * n + c];
        }
        ok = fp_product_run(&by_masks, m, products, found);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (size_t first = 0; first < rows; first += SIDE) {
            size_t i, j;
            pair_of(at, &i, &j);
            for (size_t k = 0; k < m; k++) {
                for (size_t r = first; r < rows && r < first + SIDE; r++)
                    p->factors[(r * rank + i) * rank + j] = found[k * rows + r] + (i == j ? 1 : 0);
                if (++j > i) i++, j = 0;
            }
        }
    }
    fp_product_done(&by_masks);
    return ok;
}

static bool factorize(struct fp_precondition *p, size_t rows, int threads) {
    bool failed = false;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', (int)p->rank, p->factors + r * p->rank * p->rank,
                                (int)p->rank)) {
#pragma omp atomic write
            failed = true;
        }
    return !failed;
}

static void diagonal_only(struct fp_precondition *p, const struct fp_system *s, const float *diagonal) {
    p->rank = 0;
    for (size_t c = 0; c < p->n; c++) p->scale[c] = (float)(1 / sqrt((double)diagonal[c] + (double)s->ridge));
}

bool fp_precondition_init(struct fp_precondition *p, struct fp_system *s, const float *diagonal, const uint8_t *keep,
                          size_t rows, double tolerance, int threads) {
    const bool all = s->a && s->count <= MOST_RANK && rows * s->count * s->count <= MOST_FACTORS;
    const size_t n = s->n, rank = all ? s->count : rank_for(n, rows, tolerance);
    *p = (struct fp_precondition){.arena = {.what = "a repair"}, .n = n, .rank = rank};
    p->scale = fp_arena_take(&p->arena, n, sizeof(float));
    p->back = fp_arena_take(&p->arena, rows * n, sizeof(float));
    p->factors = fp_arena_take(&p->arena, rows * rank * rank, sizeof(float));
    FP_STAGE(stage, "a repair");
    float *b = fp_arena_take(&stage, rank * n, sizeof(float)), *q = fp_arena_take(&stage, rank * n, sizeof(float)),
          *room = fp_arena_take(&stage, rank * fp_most(n, s->count), sizeof(float));
    double *left = fp_arena_take(&stage, n, sizeof(*left));
    if (p->arena.failed || stage.failed) return false;
    if (all) memcpy(b, s->a, rank * n * sizeof(*b));
    if (rank && !all && !approximate(s, &p->rank, b, q, room, threads)) return false;
    if (!p->rank) {
        diagonal_only(p, s, diagonal);
        return true;
    }
    scale(p, s, diagonal, left, b);
    if (!fp_product_init(&p->down, true, p->rank, n, b, threads) ||
        !fp_product_init(&p->up, false, n, p->rank, b, threads) || !inner_products(p, b, keep, rows, threads))
        return false;
    if (!factorize(p, rows, threads)) diagonal_only(p, s, diagonal);
    return true;
}

void fp_precondition_done(struct fp_precondition *p) {
    fp_product_done(&p->down);
    fp_product_done(&p->up);
    fp_arena_free(&p->arena);
}

bool fp_precondition_apply(struct fp_precondition *p, const float *r, size_t active, const size_t *row,
                           const uint8_t *keep, float *z, float *room, int threads) {
    const size_t n = p->n, rank = p->rank;
#pragma omp parallel for num_threads(threads) schedule(static) if (active * n > 20000)
    for (size_t i = 0; i < active; i++)
        for (size_t c = 0; c < n; c++) z[i * n + c] = r[i * n + c] * p->scale[c];
    if (rank) {
        bool failed = !fp_product_run(&p->down, active, z, room);
#pragma omp parallel for num_threads(threads) schedule(static) if (active * rank * rank > 20000)
        for (size_t i = 0; i < active; i++) { // for a single right side faster than LAPACK's potrs
            const float *factor = p->factors + row[i] * rank * rank;
            cblas_strsv(CblasColMajor, CblasUpper, CblasTrans, CblasNonUnit, (int)rank, factor, (int)rank,
                        room + i * rank, 1);
            cblas_strsv(CblasColMajor, CblasUpper, CblasNoTrans, CblasNonUnit, (int)rank, factor, (int)rank,
                        room + i * rank, 1);
        }
        if (failed || !fp_product_run(&p->up, active, room, p->back)) return false;
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (active * n > 20000)
    for (size_t i = 0; i < active; i++) {
        const uint8_t *k = keep + row[i] * n;
        const float *back = p->back + i * n; // zeros when there is no rank
        for (size_t c = 0; c < n; c++) z[i * n + c] = (z[i * n + c] - back[c]) * p->scale[c] * (float)k[c];
    }
    return true;
}
