// SPDX-License-Identifier: Apache-2.0
// What the elementwise families share: work cut into chunks for the threads, and broadcasting cut down to long inner
// runs.
#ifndef FP_LOOPS_H
#define FP_LOOPS_H

#include "kernel/op.h"

enum { FP_CHUNK = 512 }; // elements of a buffer on the stack

// Calls body(user, begin, end) over [0, n) in pieces of `grain` (the last may be shorter), by up to `threads` threads.
// The pieces do not depend on the number of threads.
void fp_pieces(int threads, size_t n, size_t grain, void (*body)(void *user, size_t begin, size_t end), void *user);

// The threads for so much work: more than one only when it is more than `least`.
static inline int fp_threads_for(const struct fp_call *call, size_t work, size_t least) {
    if (work > least) return call->threads;
    return 1;
}
// The grain at which a piece, of units with `work` each, has some `least` of it.
static inline size_t fp_grain(size_t work, size_t least) {
    if (work < least) return least / work + 1;
    return 1;
}

// Up to three operands seen in one output shape, with dims merged as far as all operands allow. `last` is the length of
// the inner run and its strides are `step`.
struct fp_walk {
    int operands, rank; // rank of the outer dims
    size_t rows;        // product of the outer dims
    size_t last;
    int64_t dims[FP_MAX_RANK];
    int64_t strides[3][FP_MAX_RANK];
    int64_t step[3];
};
// strides[k][i] is the element stride of operand k along dim i of the output.
void fp_walk_make(struct fp_walk *walk, int operands, int rank, const int64_t *dims, int64_t (*strides)[FP_MAX_RANK]);
// Offsets of each operand at the start of a row.
void fp_walk_row(const struct fp_walk *walk, size_t row, int64_t *offsets);
// Visits the elements [begin, end) of the output as runs: run(user, output offset, operand offsets, length).
void fp_walk_run(const struct fp_walk *walk, size_t begin, size_t end,
                 void (*run)(void *user, size_t at, const int64_t *offsets, size_t n), void *user);

// The function of a tail over n floats, in place; false (with nothing done) when it has further operands. n may be 0.
bool fp_tail_map(const struct fp_tail *tail, float *x, size_t n);

// [outer, n, inner] around an axis.
void fp_split_axis(const struct fp_tensor *t, int axis, size_t *outer, size_t *n, size_t *inner);

// *dst is t itself (shared) when it is float32 or float64, a float32 copy when it is float16 or bfloat16; else an error
// that names the type.
int fp_as_float(struct fp_call *call, struct fp_tensor *dst, const struct fp_tensor *t);
// A float32 or float64 tensor like out[i] to compute into: out[i] itself, or new memory to be put by fp_put_float.
int fp_float_out(struct fp_call *call, struct fp_tensor *dst, int i);
void fp_put_float(struct fp_call *call, int i, struct fp_tensor *computed);

// The type of input i is not among those of the operator.
int fp_bad_type(struct fp_call *call, int i);

#endif
