// SPDX-License-Identifier: Apache-2.0
// A preconditioner for the repair's systems: a diagonal plus what the strongest directions of the inputs' covariance
// do, masked for each row.
#ifndef FP_REPAIR_PRECONDITION_H
#define FP_REPAIR_PRECONDITION_H

#include "maths/repair_solve.h"

struct fp_precondition {
    struct fp_arena arena;      // of its arrays
    size_t n, rank;             // rank 0: the diagonal alone
    float *scale;               // n: 1 / sqrt of the diagonal
    float *factors;             // per row: Cholesky of I + U_S^T U_S, rank * rank, upper, column-major
    float *back;                // rows * n of room
    struct fp_product down, up; // x U and t U^T, U being n * rank
};

// keep: rows * n. diagonal: of c, n. tolerance: of the solution it is for. False when there is no memory; a rank of 0
// is no failure. To be freed in any case.
bool fp_precondition_init(struct fp_precondition *p, struct fp_system *s, const float *diagonal, const uint8_t *keep,
                          size_t rows, double tolerance, int threads);
void fp_precondition_done(struct fp_precondition *p);
// z = M^-1 r for `active` rows of n, of which row i is row[i] of keep; both are 0 outside its mask. room: active * rank
// floats.
bool fp_precondition_apply(struct fp_precondition *p, const float *r, size_t active, const size_t *row,
                           const uint8_t *keep, float *z, float *room, int threads);

#endif
