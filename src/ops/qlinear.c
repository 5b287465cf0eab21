// SPDX-License-Identifier: Apache-2.0
// Elementwise operators of com.microsoft on quantized numbers: QLinearAdd, QLinearMul, QLinearSigmoid, QLinearLeakyRelu,
// QLinearGlobalAveragePool, QLinearConcat. Functions of one byte are tables of its 256 codes.
#include <math.h>

#include "families.h"
#include "integer.h"
#include "loops.h"

enum { ADD, MUL, SIGMOID, LEAKY_RELU };

// Real value of a code by the scale and zero point at inputs i and i + 1.
static float value_of(const struct fp_call *call, int i, int code) {
    return ((float)code - fp_parameter(call, i + 1, 0, 0)) * fp_parameter(call, i, 0, 1);
}

// That the inputs whose bits are set are there; zero points may be left out.
static int need_these(struct fp_call *call, unsigned bits) {
    for (int i = 0; bits >> i; i++)
        if (bits >> i & 1 && !fp_given(call, i)) return fp_call_fail(call, "input %d is missing", i);
    return FINEPRUNE_OK;
}

static int check_pair(struct fp_call *call, int scale, enum fp_type type) {
    int status = fp_check_scale(call, scale, 1);
    return status ? status : fp_check_zero(call, scale + 1, type, 1);
}

// ---- functions of one byte

static int prepare_map(struct fp_call *call) {
    int status = need_these(call, 0xb);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (!fp_is_byte(x->type)) return fp_bad_type(call, 0);
    status = check_pair(call, 1, x->type);
    if (!status) status = check_pair(call, 3, x->type);
    return status ? status : fp_out_like(call, 0, 0);
}

static int run_map(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    float scale = fp_parameter(call, 3, 0, 1), zero = fp_parameter(call, 4, 0, 0),
          alpha = fp_attr_float(call->node, "alpha", 0.01f);
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        float v = value_of(call, 1, fp_code(x->type, &code, 0));
        v = call->op->variant == SIGMOID ? 1 / (1 + expf(-v)) : v < 0 ? alpha * v : v;
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
    int status = need_these(call, 0x5b);
    if (status) return status;
    const struct fp_tensor *a = call->in[0], *b = call->in[3];
    if (!fp_is_byte(a->type) || a->type != b->type) return fp_bad_type(call, 0);
    for (int i = 1; i < 7 && !status; i += i == 1 ? 3 : 2) status = check_pair(call, i, a->type);
    struct pair *p = status ? NULL : fp_state(call, sizeof(*p));
    if (!p) return status ? status : FINEPRUNE_LIMIT;
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

#define LOAD(T) \
    FP_VECTOR static void load_##T(float *dst, const T *src, int64_t step, size_t n, float zero, float scale) { \
        if (step == 1) \
            for (size_t i = 0; i < n; i++) dst[i] = ((float)src[i] - zero) * scale; \
        else \
            for (size_t i = 0; i < n; i++) dst[i] = ((float)src[(int64_t)i * step] - zero) * scale; \
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
        size_t m = n - i < FP_CHUNK ? n - i : FP_CHUNK;
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
    fp_pieces(call->out[0].count > 32768 ? call->threads : 1, call->out[0].count, 16384, pair_piece, p);
    return FINEPRUNE_OK;
}

// ---- QLinearGlobalAveragePool

static int prepare_pool(struct fp_call *call) {
    int status = prepare_map(call);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->rank < 3 || x->count == 0) return fp_call_fail(call, "data of rank %d and %zu elements", x->rank, x->count);
    bool last = fp_attr_int(call->node, "channels_last", 0) != 0;
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++) dims[i] = i == 0 || i == (last ? x->rank - 1 : 1) ? x->dims[i] : 1;
    return fp_out(call, 0, x->type, x->rank, dims);
}

static int run_pool(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    bool last = fp_attr_int(call->node, "channels_last", 0) != 0;
    size_t channels = (size_t)x->dims[last ? x->rank - 1 : 1], plane = x->count / (size_t)x->dims[0] / channels;
    float scale = fp_parameter(call, 3, 0, 1), zero = fp_parameter(call, 4, 0, 0);
    for (size_t i = 0; i < call->out[0].count; i++) {
        size_t sample = i / channels, channel = i % channels,
               start = sample * channels * plane + (last ? channel : channel * plane);
        int64_t sum = 0;
        for (size_t j = 0; j < plane; j++) sum += fp_code(x->type, x->data, start + j * (last ? channels : 1));
        float mean =
            (float)(((double)sum / (double)plane - (double)fp_parameter(call, 2, 0, 0)) * (double)fp_parameter(call, 1, 0, 1));
        fp_quantize_bytes((uint8_t *)call->out[0].data + i, x->type, &mean, 1, scale, zero);
    }
    return FINEPRUNE_OK;
}

// ---- QLinearConcat: scale and zero point of the output, then data, scale and zero point of each part

static int prepare_concat(struct fp_call *call) {
    if (call->n_in < 5 || call->n_in % 3 != 2) return fp_call_fail(call, "%d inputs are not two and threes", call->n_in);
    int axis, status = fp_need(call, call->n_in);
    if (status) return status;
    const struct fp_tensor *first = call->in[2];
    if (!fp_is_byte(first->type)) return fp_bad_type(call, 2);
    status = fp_axis(call, fp_attr_int(call->node, "axis", 1), first->rank, &axis);
    if (!status) status = check_pair(call, 0, first->type);
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, first->dims, sizeof(dims));
    for (int i = 2; i < call->n_in && !status; i += 3) {
        const struct fp_tensor *x = call->in[i];
        bool fits = x->type == first->type && x->rank == first->rank;
        for (int k = 0; k < first->rank && fits; k++) fits = k == axis || x->dims[k] == first->dims[k];
        if (!fits) return fp_call_fail(call, "input %d does not fit the first part", i);
        status = check_pair(call, i + 1, x->type);
        if (i > 2 && __builtin_add_overflow(dims[axis], x->dims[axis], &dims[axis]))
            return fp_call_fail(call, "the parts are too long");
    }
    return status ? status : fp_out(call, 0, first->type, first->rank, dims);
}

static int run_concat(struct fp_call *call) {
    const struct fp_tensor *out = &call->out[0];
    int axis, status = fp_axis(call, fp_attr_int(call->node, "axis", 1), out->rank, &axis);
    if (status || out->count == 0) return status;
    float scale = fp_parameter(call, 0, 0, 1), zero = fp_parameter(call, 1, 0, 0);
    size_t outer, n, inner, offset = 0;
    fp_split_axis(out, axis, &outer, &n, &inner);
    for (int i = 2; i < call->n_in; i += 3) {
        const struct fp_tensor *x = call->in[i];
        size_t row = (size_t)x->dims[axis] * inner;
        uint8_t table[256];
        for (int k = 0; k < 256; k++) {
            uint8_t code = (uint8_t)k;
            float v = value_of(call, i + 1, fp_code(x->type, &code, 0));
            fp_quantize_bytes(&table[k], x->type, &v, 1, scale, zero);
        }
        for (size_t o = 0; o < outer; o++)
            for (size_t k = 0; k < row; k++)
                ((uint8_t *)out->data)[o * n * inner + offset + k] = table[((const uint8_t *)x->data)[o * row + k]];
        offset += row;
    }
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_qlinear[] = {
    {"com.microsoft", "QLinearAdd", 1, prepare_pair, run_pair, NULL, 0, ADD},
    {"com.microsoft", "QLinearMul", 1, prepare_pair, run_pair, NULL, 0, MUL},
    {"com.microsoft", "QLinearSigmoid", 1, prepare_map, run_map, NULL, 0, SIGMOID},
    {"com.microsoft", "QLinearLeakyRelu", 1, prepare_map, run_map, NULL, 0, LEAKY_RELU},
    {"com.microsoft", "QLinearGlobalAveragePool", 1, prepare_pool, run_pool},
    {"com.microsoft", "QLinearConcat", 1, prepare_concat, run_concat},
    {0},
};
