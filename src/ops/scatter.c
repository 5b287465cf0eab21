// SPDX-License-Identifier: Apache-2.0
// Operators that write elements to given positions: Scatter, ScatterElements, ScatterND, with their reductions.
#include "ops/loops.h"
#include "ops/move.h"

#include <stdlib.h>

// ---- dst = dst (op) src

typedef void combine(void *dst, const void *src, size_t n);

#define PICK_MAX(a, b) ((a) > (b) ? (a) : (b))
#define PICK_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ADD(a, b) ((a) + (b))
#define MUL(a, b) ((a) * (b))
#define COMBINE(name, T, W, op)                                                                                        \
    static void name(void *dst, const void *src, size_t n) {                                                           \
        for (size_t i = 0; i < n; i++) ((T *)dst)[i] = (T)op((W)((T *)dst)[i], (W)((const T *)src)[i]);                \
    }
// Sums and products wrap, so they are made in unsigned words.
#define COMBINE_ALL(name, T, W)                                                                                        \
    COMBINE(add_##name, T, W, ADD)                                                                                     \
    COMBINE(mul_##name, T, W, MUL) COMBINE(max_##name, T, T, PICK_MAX) COMBINE(min_##name, T, T, PICK_MIN)
COMBINE_ALL(float, float, float)
COMBINE_ALL(double, double, double)
COMBINE_ALL(int8, int8_t, uint64_t)
COMBINE_ALL(int16, int16_t, uint64_t)
COMBINE_ALL(int32, int32_t, uint64_t)
COMBINE_ALL(int64, int64_t, uint64_t)
COMBINE_ALL(uint8, uint8_t, uint64_t)
COMBINE_ALL(uint16, uint16_t, uint64_t)
COMBINE_ALL(uint32, uint32_t, uint64_t)
COMBINE_ALL(uint64, uint64_t, uint64_t)
#define HALF(name, narrow, wide, op)                                                                                   \
    static void name(void *dst, const void *src, size_t n) {                                                           \
        for (size_t i = 0; i < n; i++)                                                                                 \
            ((uint16_t *)dst)[i] = narrow(op(wide(((uint16_t *)dst)[i]), wide(((const uint16_t *)src)[i])));           \
    }
#define HALF_ALL(name, narrow, wide)                                                                                   \
    HALF(add_##name, narrow, wide, ADD)                                                                                \
    HALF(mul_##name, narrow, wide, MUL)                                                                                \
    HALF(max_##name, narrow, wide, PICK_MAX) HALF(min_##name, narrow, wide, PICK_MIN)
HALF_ALL(float16, fp_float_to_half, fp_half_to_float)
HALF_ALL(bfloat16, fp_float_to_bfloat, fp_bfloat_to_float)
#undef COMBINE
#undef COMBINE_ALL
#undef HALF
#undef HALF_ALL
#undef ADD
#undef MUL
#undef PICK_MAX
#undef PICK_MIN

static void or_bool(void *dst, const void *src, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)dst)[i] |= ((const uint8_t *)src)[i];
}
static void and_bool(void *dst, const void *src, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)dst)[i] &= ((const uint8_t *)src)[i];
}

static const char *const REDUCTIONS[] = {"none", "add", "mul", "max", "min"};

#define ROW(type, name)                                                                                                \
    {                                                                                                                  \
        type, { NULL, add_##name, mul_##name, max_##name, min_##name }                                                 \
    }
static const struct {
    enum fp_type type;
    combine *by_reduction[FP_COUNT(REDUCTIONS)];
} COMBINERS[] = {
    ROW(FP_FLOAT, float),
    ROW(FP_DOUBLE, double),
    ROW(FP_INT8, int8),
    ROW(FP_INT16, int16),
    ROW(FP_INT32, int32),
    ROW(FP_INT64, int64),
    ROW(FP_UINT8, uint8),
    ROW(FP_UINT16, uint16),
    ROW(FP_UINT32, uint32),
    ROW(FP_UINT64, uint64),
    ROW(FP_FLOAT16, float16),
    ROW(FP_BFLOAT16, bfloat16),
    {FP_BOOL, {NULL, or_bool, and_bool, or_bool, and_bool}},
};
#undef ROW

// NULL for "none".
static int find_combine(struct fp_call *call, combine **out) {
    const char *reduction = fp_attr_text(call->node, "reduction", "none");
    enum fp_type type = call->in[0]->type;
    *out = NULL;
    for (size_t r = 0; r < FP_COUNT(REDUCTIONS); r++) {
        if (strcmp(REDUCTIONS[r], reduction)) continue;
        if (r == 0) return FINEPRUNE_OK;
        for (size_t i = 0; i < FP_COUNT(COMBINERS); i++)
            if (COMBINERS[i].type == type) *out = COMBINERS[i].by_reduction[r];
        if (*out) return FINEPRUNE_OK;
    }
    return fp_call_fail(call, "reduction %s of %s is not supported", reduction, fp_type_name(type));
}

static int put(struct fp_call *call, combine *reduce, size_t to, size_t from, size_t n) {
    const struct fp_tensor *updates = call->in[2];
    if (!reduce) return fp_put(call, updates->type, call->out[0].data, to, updates->data, from, n);
    size_t size = fp_type_size(updates->type);
    reduce((char *)call->out[0].data + to * size, (const char *)updates->data + from * size, n);
    return FINEPRUNE_OK;
}

static int prepare_common(struct fp_call *call) {
    combine *reduce;
    int status = fp_need_tensors(call, 3);
    if (!status) status = fp_index_type(call, 1);
    if (!status) status = fp_same_type(call, 0, 2);
    if (!status) status = find_combine(call, &reduce);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int fail_shapes(struct fp_call *call) {
    char data[160], indices[160], updates[160];
    return fp_call_fail(call, "indices of shape %s and updates of shape %s do not fit data of shape %s",
                        fp_shape_text(indices, sizeof(indices), call->in[1]->rank, call->in[1]->dims),
                        fp_shape_text(updates, sizeof(updates), call->in[2]->rank, call->in[2]->dims),
                        fp_shape_text(data, sizeof(data), call->in[0]->rank, call->in[0]->dims));
}

// ---- ScatterElements

static int prepare_elements(struct fp_call *call) {
    int status = prepare_common(call), axis = 0;
    if (!status) status = fp_axis_attr(call, 0, call->in[0]->rank, &axis);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    bool fits = x->rank == indices->rank && fp_same_shape(indices, call->in[2]);
    for (int i = 0; i < x->rank && fits; i++) fits = i == axis || indices->dims[i] <= x->dims[i];
    if (fits) return FINEPRUNE_OK;
    return fail_shapes(call);
}

struct spread {
    struct fp_call *call;
    const struct fp_walk *walk;
    combine *reduce;
    int64_t stride, dim; // of the axis
    int status;
};

static void spread_run(void *user, size_t begin, const int64_t *offsets, size_t n) {
    struct spread *s = user;
    struct fp_tensor *y = &s->call->out[0];
    const struct fp_tensor *updates = s->call->in[2];
    size_t size = fp_type_size(y->type);
    int64_t to[FP_CHUNK];
    for (size_t done = 0; done < n && !s->status; done += FP_CHUNK) {
        size_t count = fp_least(n - done, FP_CHUNK), at;
        for (size_t i = 0; i < count; i++) {
            s->status = fp_index(s->call, fp_int_at(s->call->in[1], begin + done + i), s->dim, &at);
            if (s->status) return;
            to[i] = offsets[0] + (int64_t)(done + i) * s->walk->step[0] + (int64_t)at * s->stride;
        }
        bool plain = size && !s->reduce;
        if (plain) fp_place(y->data, (const char *)updates->data + (begin + done) * size, to, count, size);
        for (size_t i = 0; i < count && !plain && !s->status; i++)
            s->status = put(s->call, s->reduce, (size_t)to[i], begin + done + i, 1);
    }
}

static int run_elements(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    int64_t strides[1][FP_MAX_RANK];
    struct fp_walk walk;
    struct spread spread = {.call = call, .walk = &walk};
    int axis = 0, status = fp_axis_attr(call, 0, x->rank, &axis);
    if (!status) status = find_combine(call, &spread.reduce);
    if (!status) status = fp_put_whole(call);
    if (status) return status;
    fp_strides(x->rank, x->dims, strides[0]);
    spread.stride = strides[0][axis];
    spread.dim = x->dims[axis];
    strides[0][axis] = 0;
    fp_walk_make(&walk, 1, indices->rank, indices->dims, strides);
    fp_walk_run(&walk, 0, indices->count, spread_run, &spread);
    return spread.status;
}

// ---- ScatterND

static int prepare_nd(struct fp_call *call) {
    int status = prepare_common(call);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *indices = call->in[1], *updates = call->in[2];
    if (indices->rank < 1) return fail_shapes(call);
    int64_t depth = indices->dims[indices->rank - 1];
    if (depth < 0 || depth > x->rank) return fail_shapes(call);
    int outer = indices->rank - 1;
    bool fits = updates->rank == outer + x->rank - (int)depth;
    for (int i = 0; i < updates->rank && fits; i++) {
        if (i < outer) fits = updates->dims[i] == indices->dims[i];
        else fits = updates->dims[i] == x->dims[i - outer + (int)depth];
    }
    if (fits) return FINEPRUNE_OK;
    return fail_shapes(call);
}

static int run_nd(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    combine *reduce;
    int status = find_combine(call, &reduce);
    if (!status) status = fp_put_whole(call);
    if (status) return status;
    size_t depth = (size_t)indices->dims[indices->rank - 1], inner = fp_span(x->dims, (int)depth, x->rank);
    size_t n = fp_span(indices->dims, 0, indices->rank - 1);
    for (size_t i = 0; i < n && !status; i++) {
        size_t to = 0, stride = x->count, at;
        for (size_t k = 0; k < depth && !status; k++) {
            status = fp_index(call, fp_int_at(indices, i * depth + k), x->dims[k], &at);
            if (status) return status;
            stride /= (size_t)x->dims[k];
            to += at * stride;
        }
        status = put(call, reduce, to, i * inner, inner);
    }
    return status;
}

#define ROW(name, since, prepare, run, ...)                                                                            \
    {"", name, since, prepare, run, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS | FP_OP_IN_PLACE, 0, NULL, __VA_ARGS__}
const struct fp_op fp_ops_scatter[] = {
    ROW("Scatter", 9, prepare_elements, run_elements, .arity = "rrr>r", .attributes = "axis=i"),
    ROW("ScatterElements", 11, prepare_elements, run_elements, .arity = "rrr>r", .attributes = "axis=i reduction=s"),
    ROW("ScatterND", 11, prepare_nd, run_nd, .arity = "rrr>r", .attributes = "reduction=s"),
    {0},
};
