// SPDX-License-Identifier: Apache-2.0
// Elementwise operators of com.microsoft on quantized numbers: QLinearAdd, QLinearMul, QLinearSigmoid,
// QLinearLeakyRelu, QLinearConcat, QLinearWhere. Functions of one byte are tables of its 256 codes.
#include <math.h>

#include "ops/families.h"
#include "ops/integer.h"
#include "ops/loops.h"

enum { ADD, MUL, SIGMOID, LEAKY_RELU };

// ---- functions of one byte

static int prepare_map(struct fp_call *call) {
    int status = fp_need_these(call, 0xb);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (!fp_is_byte(x->type)) return fp_bad_type(call, 0);
    status = fp_check_pair(call, 1, x->type);
    if (!status) status = fp_check_pair(call, 3, x->type);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int run_map(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    float scale = fp_parameter(call, 3, 0, 1), zero = fp_parameter(call, 4, 0, 0),
          alpha = fp_attr_float(call->node, "alpha", 0.01f);
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        float v = ((float)fp_code(x->type, &code, 0) - fp_parameter(call, 2, 0, 0)) * fp_parameter(call, 1, 0, 1);
        if (call->op->variant == SIGMOID) v = 1 / (1 + expf(-v));
        else if (v < 0) v *= alpha;
        fp_quantize_bytes(&table[i], x->type, &v, 1, scale, zero);
    }
    const uint8_t *src = x->data;
    uint8_t *dst = call->out[0].data;
    for (size_t i = 0; i < x->count; i++) dst[i] = table[src[i]];
    return FINEPRUNE_OK;
}

// ---- functions of two

struct pair {
    struct fp_walk walk;
    enum fp_type type;
    bool product;
    float scale[3], zero[3];
    const uint8_t *src[2];
    uint8_t *dst;
};

static int prepare_pair(struct fp_call *call) {
    int status = fp_need_these(call, 0x5b);
    if (status) return status;
    const struct fp_tensor *a = call->in[0], *b = call->in[3];
    if (!fp_is_byte(a->type) || a->type != b->type) return fp_bad_type(call, 0);
    static const int PAIRS[] = {1, 4, 6};
    for (int i = 0; i < 3 && !status; i++) status = fp_check_pair(call, PAIRS[i], a->type);
    if (status) return status;
    struct pair *p = fp_state(call, sizeof(*p));
    if (!p) return FINEPRUNE_LIMIT;
    int rank;
    int64_t dims[FP_MAX_RANK], strides[3][FP_MAX_RANK];
    status = fp_broadcast(call, a, b, &rank, dims);
    if (!status) status = fp_out(call, 0, a->type, rank, dims);
    if (status) return status;
    fp_broadcast_strides(a, rank, dims, strides[0]);
    fp_broadcast_strides(b, rank, dims, strides[1]);
    *p = (struct pair){.type = a->type, .product = call->op->variant == MUL};
    fp_walk_make(&p->walk, 2, rank, dims, strides);
    return FINEPRUNE_OK;
}

#define LOAD(T)                                                                                                        \
    FP_VECTOR static void load_##T(float *dst, const T *src, int64_t step, size_t n, float zero, float scale) {        \
        if (step == 1)                                                                                                 \
            for (size_t i = 0; i < n; i++) dst[i] = ((float)src[i] - zero) * scale;                                    \
        else                                                                                                           \
            for (size_t i = 0; i < n; i++) dst[i] = ((float)src[(int64_t)i * step] - zero) * scale;                    \
    }
LOAD(uint8_t)
LOAD(int8_t)
#undef LOAD

static void load(const struct pair *p, int k, float *dst, int64_t at, size_t n) {
    int64_t step = p->walk.step[k];
    if (p->type == FP_INT8) load_int8_t(dst, (const int8_t *)p->src[k] + at, step, n, p->zero[k], p->scale[k]);
    else load_uint8_t(dst, p->src[k] + at, step, n, p->zero[k], p->scale[k]);
}

static void pair_run(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct pair *p = user;
    float v[2][FP_CHUNK];
    for (size_t i = 0; i < n; i += FP_CHUNK) {
        size_t m = fp_least(n - i, FP_CHUNK);
        for (int k = 0; k < 2; k++) load(p, k, v[k], offsets[k] + (int64_t)i * p->walk.step[k], m);
        if (p->product)
            for (size_t j = 0; j < m; j++) v[0][j] *= v[1][j];
        else
            for (size_t j = 0; j < m; j++) v[0][j] += v[1][j];
        fp_quantize_bytes(p->dst + at + i, p->type, v[0], m, p->scale[2], p->zero[2]);
    }
}

static void pair_piece(void *user, size_t begin, size_t end) {
    const struct pair *p = user;
    fp_walk_run(&p->walk, begin, end, pair_run, user);
}

static int run_pair(struct fp_call *call) {
    struct pair *p = call->state;
    static const int SCALE[] = {1, 4, 6};
    for (int k = 0; k < 3; k++) {
        p->scale[k] = fp_parameter(call, SCALE[k], 0, 1);
        p->zero[k] = fp_parameter(call, SCALE[k] + 1, 0, 0);
    }
    p->src[0] = call->in[0]->data;
    p->src[1] = call->in[3]->data;
    p->dst = call->out[0].data;
    fp_pieces(fp_threads_for(call, call->out[0].count, 32768), call->out[0].count, 16384, pair_piece, p);
    return FINEPRUNE_OK;
}

// ---- QLinearConcat: scale and zero point of the output, then data, scale and zero point of each part

static int prepare_concat(struct fp_call *call) {
    if (call->n_in < 5 || call->n_in % 3 != 2)
        return fp_call_fail(call, "%d inputs are not two and threes", call->n_in);
    int axis, status = fp_need(call, call->n_in);
    if (status) return status;
    const struct fp_tensor *first = call->in[2];
    if (!fp_is_byte(first->type)) return fp_bad_type(call, 2);
    status = fp_axis(call, fp_attr_int(call->node, "axis", 1), first->rank, &axis);
    if (!status) status = fp_check_pair(call, 0, first->type);
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, first->dims, sizeof(dims));
    for (int i = 2; i < call->n_in && !status; i += 3) {
        const struct fp_tensor *x = call->in[i];
        bool fits = x->type == first->type && x->rank == first->rank;
        for (int k = 0; k < first->rank && fits; k++) fits = k == axis || x->dims[k] == first->dims[k];
        if (!fits) return fp_call_fail(call, "input %d does not fit the first part", i);
        status = fp_check_pair(call, i + 1, x->type);
        if (i > 2 && __builtin_add_overflow(dims[axis], x->dims[axis], &dims[axis]))
            return fp_call_fail(call, "the parts are too long");
    }
    if (status) return status;
    return fp_out(call, 0, first->type, first->rank, dims);
}

static int run_concat(struct fp_call *call) {
    const struct fp_tensor *out = &call->out[0];
    int axis, status = fp_axis(call, fp_attr_int(call->node, "axis", 1), out->rank, &axis);
    if (status || out->count == 0) return status;
    size_t outer, n, inner, offset = 0;
    fp_split_axis(out, axis, &outer, &n, &inner);
    for (int i = 2; i < call->n_in; i += 3) {
        const struct fp_tensor *x = call->in[i];
        size_t row = (size_t)x->dims[axis] * inner;
        uint8_t table[256];
        fp_recode_table(call, i + 1, 0, x->type, table);
        for (size_t o = 0; o < outer; o++)
            for (size_t k = 0; k < row; k++)
                ((uint8_t *)out->data)[o * n * inner + offset + k] = table[((const uint8_t *)x->data)[o * row + k]];
        offset += row;
    }
    return FINEPRUNE_OK;
}

// ---- QLinearWhere: condition, two operands with scale and zero point, then those of the output

struct choice {
    struct fp_walk walk;
    const uint8_t *condition, *src[2];
    uint8_t table[2][256];
    uint8_t *dst;
};

static int prepare_where(struct fp_call *call) {
    int status = fp_need_these(call, 0xb7);
    if (status) return status;
    const struct fp_tensor *c = call->in[0], *a = call->in[1], *b = call->in[4];
    if (c->type != FP_BOOL) return fp_bad_type(call, 0);
    if (!fp_is_byte(a->type) || a->type != b->type) return fp_bad_type(call, 1);
    status = fp_check_pair(call, 2, a->type);
    if (!status) status = fp_check_pair(call, 5, a->type);
    if (!status) status = fp_check_pair(call, 7, a->type);
    if (status) return status;
    struct choice *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    struct fp_tensor both = {.rank = 0};
    int rank;
    int64_t dims[FP_MAX_RANK], strides[3][FP_MAX_RANK];
    status = fp_broadcast(call, a, b, &both.rank, both.dims);
    if (!status) status = fp_broadcast(call, c, &both, &rank, dims);
    if (!status) status = fp_out(call, 0, a->type, rank, dims);
    if (status) return status;
    fp_broadcast_strides(c, rank, dims, strides[0]);
    fp_broadcast_strides(a, rank, dims, strides[1]);
    fp_broadcast_strides(b, rank, dims, strides[2]);
    fp_walk_make(&s->walk, 3, rank, dims, strides);
    return FINEPRUNE_OK;
}

static void choose(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct choice *s = user;
    for (size_t i = 0; i < n; i++) {
        int k = 1;
        if (s->condition[offsets[0] + (int64_t)i * s->walk.step[0]]) k = 0;
        s->dst[at + i] = s->table[k][s->src[k][offsets[k + 1] + (int64_t)i * s->walk.step[k + 1]]];
    }
}

static int run_where(struct fp_call *call) {
    struct choice *s = call->state;
    s->condition = call->in[0]->data;
    for (int k = 0; k < 2; k++) {
        s->src[k] = call->in[1 + 3 * k]->data;
        fp_recode_table(call, 2 + 3 * k, 7, call->out[0].type, s->table[k]);
    }
    s->dst = call->out[0].data;
    fp_walk_run(&s->walk, 0, call->out[0].count, choose, s);
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_qlinear[] = {
    {"com.microsoft", "QLinearAdd", 1, prepare_pair, run_pair, NULL, 0, ADD, .arity = "rrorroro>r"},
    {"com.microsoft", "QLinearMul", 1, prepare_pair, run_pair, NULL, 0, MUL, .arity = "rrorroro>r"},
    {"com.microsoft", "QLinearSigmoid", 1, prepare_map, run_map, NULL, 0, SIGMOID, .arity = "rroro>r"},
    {"com.microsoft", "QLinearLeakyRelu", 1, prepare_map, run_map, NULL, 0, LEAKY_RELU, .arity = "rroro>r",
     .attributes = "alpha=f"},
    {"com.microsoft", "QLinearConcat", 1, prepare_concat, run_concat, .arity = "rr+>r", .attributes = "axis=i!"},
    {"com.microsoft", "QLinearWhere", 1, prepare_where, run_where, .arity = "rrrrrrrrr>r"},
    {0},
};
