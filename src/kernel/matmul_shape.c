// SPDX-License-Identifier: Apache-2.0
// Shapes of matrix products, told by strides.
#include "kernel/matmul_shape.h"

void fp_matmul_plain(struct fp_matmul_shape *s, bool a_t, bool b_t) {
    int r = s->batch;
    int64_t size[3] = {s->m * s->k, s->k * s->n, s->m * s->n};
    if (a_t) s->a_strides[r] = 1;
    else s->a_strides[r] = s->k;
    s->a_strides[r + 1] = a_t ? s->m : 1;
    if (b_t) s->b_strides[r] = 1;
    else s->b_strides[r] = s->n;
    s->b_strides[r + 1] = b_t ? s->k : 1;
    s->c_strides[r] = s->n;
    s->c_strides[r + 1] = 1;
    for (int i = r - 1; i >= 0; i--) {
        s->a_strides[i] = size[0];
        s->b_strides[i] = size[1];
        s->c_strides[i] = size[2];
        size[0] *= s->a_batch[i];
        size[1] *= s->b_batch[i];
        size[2] *= fp_most_int(s->a_batch[i], s->b_batch[i]);
    }
}

// ---- two operands of any rank

static int64_t back_dim(const struct fp_operand *o, int from_end) {
    if (from_end < o->rank) return o->dims[o->rank - 1 - from_end];
    return 1;
}

static int64_t back_stride(const struct fp_operand *o, int from_end) {
    if (from_end < o->rank) return o->strides[o->rank - 1 - from_end];
    return 0;
}

static int result_dims(struct fp_call *call, const struct fp_operand *a, const struct fp_operand *b, int *rank,
                       int64_t *dims) {
    *rank = (int)fp_most_int(a->rank, b->rank);
    for (int e = *rank - 1; e >= 2; e--) {
        int64_t x = back_dim(a, e), y = back_dim(b, e);
        if (x != y && x != 1 && y != 1)
            return fp_call_fail(call, "batch dims %lld and %lld cannot be broadcast together", (long long)x,
                                (long long)y);
        dims[*rank - 1 - e] = x == 1 ? y : x;
    }
    dims[*rank - 2] = back_dim(a, 1);
    dims[*rank - 1] = back_dim(b, 0);
    if (back_dim(a, 0) != back_dim(b, 1))
        return fp_call_fail(call, "the inner extents %lld and %lld differ", (long long)back_dim(a, 0),
                            (long long)back_dim(b, 1));
    return 0;
}

// Whether batch dim `outer` steps on where `inner`, of that extent, ends; true for a side that is repeated along both.
static bool follows(int64_t outer_dim, int64_t outer_stride, int64_t inner_dim, int64_t inner_stride) {
    return (outer_dim == 1 && inner_dim == 1) ||
           (outer_dim > 1 && inner_dim > 1 && outer_stride == inner_stride * inner_dim);
}

// Batch dims from the innermost, joined where both sides allow.
static void join_batch(struct fp_matmul_shape *s, const struct fp_operand *a, const struct fp_operand *b, int rank) {
    int64_t da[FP_MAX_RANK], db[FP_MAX_RANK], sa[FP_MAX_RANK], sb[FP_MAX_RANK];
    int n = 0;
    for (int e = 2; e < rank; e++) {
        int64_t x = back_dim(a, e), y = back_dim(b, e), p = back_stride(a, e), q = back_stride(b, e);
        if (x == 1 && y == 1) continue;
        if (n && follows(x, p, da[n - 1], sa[n - 1]) && follows(y, q, db[n - 1], sb[n - 1])) {
            da[n - 1] *= x;
            db[n - 1] *= y;
            continue;
        }
        da[n] = x, db[n] = y, sa[n] = p, sb[n] = q;
        n++;
    }
    s->batch = n;
    for (int i = 0; i < n; i++) {
        s->a_batch[i] = da[n - 1 - i];
        s->b_batch[i] = db[n - 1 - i];
        s->a_strides[i] = sa[n - 1 - i];
        s->b_strides[i] = sb[n - 1 - i];
    }
}

int fp_matmul_fit(struct fp_call *call, struct fp_matmul_shape *s, const struct fp_operand *a,
                  const struct fp_operand *b, int *rank, int64_t *dims) {
    int status = result_dims(call, a, b, rank, dims);
    if (status) return status;
    join_batch(s, a, b, *rank);
    s->m = back_dim(a, 1);
    s->k = back_dim(a, 0);
    s->n = back_dim(b, 0);
    int64_t row = back_stride(a, 1);
    if (s->batch == 1 && s->b_batch[0] == 1 && (s->m == 1 || s->a_strides[0] == row * s->m)) { // one tall product
        row = s->m == 1 ? s->a_strides[0] : row;
        s->m *= s->a_batch[0];
        s->batch = 0;
    }
    int r = s->batch;
    s->a_strides[r] = row;
    s->a_strides[r + 1] = back_stride(a, 0);
    s->b_strides[r] = back_stride(b, 1);
    s->b_strides[r + 1] = back_stride(b, 0);
    int64_t step = s->m * s->n;
    s->c_strides[r] = s->n;
    s->c_strides[r + 1] = 1;
    for (int i = r - 1; i >= 0; i--) {
        s->c_strides[i] = step;
        step *= fp_matmul_batch(s, i);
    }
    return 0;
}
