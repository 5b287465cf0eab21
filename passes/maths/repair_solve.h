// SPDX-License-Identifier: Apache-2.0
// The systems of the least-squares repair: one for each row, all with parts of the same matrix.
#ifndef FP_REPAIR_SOLVE_H
#define FP_REPAIR_SOLVE_H

#include "base/arena.h"
#include "kernel/gemm.h"
#include "pass.h"

// Covariance of n columns: c (n x n), or, when there are fewer rows than columns, centred rows a with c = a^T a (count
// x n).
struct fp_system {
    struct fp_arena arena; // of its arrays
    size_t n, count;
    float *c, *a;
    double *exact; // c in double, for small systems that are factorized; else NULL
    float ridge;
    struct fp_product by_c; // x c; of a system that is made of rows: x a^T, then by_rows
    struct fp_product by_rows;
};

// Where a layer has few rows to each of its n columns, their covariance says less and less about most directions, and a
// solution follows the samples' chance. Rows of one sample are alike: they count as the geometric mean of rows and
// samples, r = sqrt(rows min(rows, samples)); samples 0: not known, r = rows. share + few (n / r - 1/2) where r < 2 n,
// else share alone.
double fp_ridge(double share, double few, size_t n, size_t rows, size_t samples);
// The ridge of the chosen repair for a layer's statistics, for all systems with its targets; its defaults where it has
// none.
#define FP_REPAIR_RIDGE 0.01
#define FP_REPAIR_FEW 0.1
double fp_repair_ridge(const struct fp_job *job, const struct fp_stat *stat);
// ridge: of the matrix's mean diagonal.
int fp_system_init(struct fp_system *s, struct fp_job *job, const struct fp_layer *layer, size_t g, double ridge);
void fp_system_done(struct fp_system *s);
// y (rows x n) = x c. room: rows * count floats when the system is made of rows, else unused.
bool fp_system_apply(struct fp_system *s, const float *x, size_t rows, float *y, float *room);
// For each row: values_S += u with (c_SS + ridge I) u = c_SP dense_P, S and P the kept and the pruned columns; values_P
// = 0. values holds the kept part of dense on entry. Small systems, and those of rows that keep the same columns, 4096
// at most, by Cholesky (LAPACK), others by conjugate gradients, all rows at once, until the residual is `tolerance` of
// the right side or, with over 1536 columns or a loose tolerance, a further step would hardly lower the row's output
// error. That error is d^T c d for the change d of the row: before[r] without repair, after[r] with it; as a difference
// the latter is good to some 1e-6 of the former.
int fp_system_solve(struct fp_system *s, const float *dense, const uint8_t *keep, size_t rows, float *values,
                    double tolerance, double *before, double *after, int threads, fineprune_error *err);
// values_S += u with (c_SS + ridge I) u = right_S, by at most `steps` conjugate gradients: one step towards another
// target than the dense row. left: what each row's error is before, which ends rows that a step hardly lowers.
int fp_system_refine(struct fp_system *s, const float *right, const uint8_t *keep, size_t rows, float *values,
                     int steps, const double *left, int threads, fineprune_error *err);
// In double.
double fp_dot(const float *a, const float *b, size_t n);

#endif
