// SPDX-License-Identifier: Apache-2.0
// What a matrix product is: extents and strides, and how two operands give them.
#ifndef FP_MATMUL_SHAPE_H
#define FP_MATMUL_SHAPE_H

#include "kernel/op.h"

// One matrix product c = alpha * a b (+ bias), batched, float32. Strides are in elements and free but for one unit
// stride among the last two of each.
struct fp_matmul_shape {
    int batch;                                          // number of batch dims, at most FP_MAX_RANK - 2
    int64_t a_batch[FP_MAX_RANK], b_batch[FP_MAX_RANK]; // equal, or 1 where that side is repeated
    int64_t m, k, n;
    int64_t a_strides[FP_MAX_RANK], b_strides[FP_MAX_RANK], c_strides[FP_MAX_RANK]; // batch dims first, then the two
    float alpha;
    bool bias;                  // n values added to each row
    bool pack_b;                // b is constant: let oneDNN choose how it lies,
    int64_t b_row;              // or in rows that are so far apart; 0: let it
    const struct fp_tail *tail; // what follows, on c
    int n_tail;
};
// The extent of c along batch dim i.
static inline int64_t fp_matmul_batch(const struct fp_matmul_shape *s, int i) {
    if (s->a_batch[i] == 1) return s->b_batch[i];
    return s->a_batch[i];
}
// Fills the strides with row-major ones for the given batch; a_t and b_t: the last two dims lie transposed.
void fp_matmul_plain(struct fp_matmul_shape *s, bool a_t, bool b_t);

// One operand of a product, batch dims first, by its strides.
struct fp_operand {
    int rank; // at least 2
    int64_t dims[FP_MAX_RANK], strides[FP_MAX_RANK];
};
// Fills batch, extents and strides for c = a b with batch dims broadcast and c row-major, in as few batch dims as it
// takes. dims of c: *rank and dims (at least FP_MAX_RANK). Errors: extents that do not fit. The other members of *s
// stay.
int fp_matmul_fit(struct fp_call *call, struct fp_matmul_shape *s, const struct fp_operand *a,
                  const struct fp_operand *b, int *rank, int64_t *dims);

#endif
