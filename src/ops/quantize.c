// SPDX-License-Identifier: Apache-2.0
// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. A scale and a zero point hold for the whole tensor, for one
// index of an axis, or for a block along it; all three come down to runs of elements whose scales are one number or lie
// beside each other.
#include <math.h>

#include "ops/families.h"
#include "ops/integer.h"
#include "ops/loops.h"
#include "tensor/narrow.h"

enum { RUN = 8192 }; // elements of a run when one scale holds for all

struct quantize {
    size_t count, n, inner; // [outer, n, inner] around the axis
    size_t block, blocks;   // along the axis; block 0: one scale for all; block 1: one for each index
    bool per_axis;
    enum fp_type from, to, precision;
    bool saturate;
    size_t runs;
    // During a run:
    const float *scales, *zeros;
    const float *values; // of all codes, for types of eight bits that are not integers
    const char *src;
    char *dst;
};

struct span {
    size_t at, n; // elements
    size_t scale; // index of the first scale
    size_t step;  // 0 or 1
};

static struct span span_of(const struct quantize *q, size_t run) {
    if (q->block == 0) return (struct span){.at = run * RUN, .n = fp_least(RUN, q->count - run * RUN)};
    if (q->inner > 1) {
        size_t i = run % q->n, scale = q->per_axis ? i : (run / q->n * q->blocks + i / q->block) * q->inner;
        return (struct span){.at = run * q->inner, .n = q->inner, .scale = scale, .step = !q->per_axis};
    }
    if (q->per_axis) return (struct span){.at = run * q->n, .n = q->n, .step = 1};
    size_t from = run % q->blocks * q->block;
    return (struct span){.at = run / q->blocks * q->n + from, .n = fp_least(q->block, q->n - from), .scale = run};
}

// ---- quantizing

static const struct range {
    enum fp_type type;
    float low, high;
} RANGES[] = {
    {FP_UINT8, 0, 255}, {FP_INT8, -128, 127}, {FP_UINT16, 0, 65535}, {FP_INT16, -32768, 32767},
    {FP_UINT4, 0, 15},  {FP_INT4, -8, 7},     {FP_UINT2, 0, 3},      {FP_INT2, -2, 1},
};

static const struct range *range_of(enum fp_type type) {
    for (size_t i = 0; i < FP_COUNT(RANGES); i++)
        if (RANGES[i].type == type) return &RANGES[i];
    return NULL;
}

// x / scale, rounded as the precision says. Operands have that precision already or are wider.
FP_VECTOR static void divide(float *dst, const float *x, const float *scale, size_t step, size_t n) {
    if (step == 0) {
        const float s = *scale;
        for (size_t i = 0; i < n; i++) dst[i] = x[i] / s;
    } else {
        for (size_t i = 0; i < n; i++) dst[i] = x[i] / scale[i];
    }
}

FP_VECTOR static void round_into(float *v, const float *zero, size_t step, float low, float high, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float r = rintf(v[i]) + zero[i * step];
        r = fp_most_float(r, low); // NaN too
        v[i] = r < high ? r : high;
    }
}

// Small integers lie in memory as the low bits of their two's complement, extended: the same bytes as those of int8 or
// int16.
FP_VECTOR static void put_bytes(uint8_t *dst, const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = (uint8_t)(int32_t)v[i];
}
static void put_words(uint16_t *dst, const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = (uint16_t)(int32_t)v[i];
}

static void round_trip(float *v, enum fp_type type, size_t n) {
    uint16_t narrow[FP_CHUNK];
    if (type != FP_FLOAT16 && type != FP_BFLOAT16) return;
    fp_convert(narrow, type, v, FP_FLOAT, n);
    fp_convert(v, FP_FLOAT, narrow, type, n);
}

static void quantize_span(const struct quantize *q, struct span s) {
    float x[FP_CHUNK];
    const struct range *range = range_of(q->to);
    size_t size = fp_type_size(q->from), to_size = fp_type_size(q->to);
    for (size_t i = 0; i < s.n; i += FP_CHUNK) {
        size_t n = fp_least(FP_CHUNK, s.n - i), at = s.at + i, k = s.scale + i * s.step;
        const float *src = x;
        if (q->from == FP_FLOAT) src = (const float *)(const void *)q->src + at;
        else fp_convert(x, FP_FLOAT, q->src + at * size, q->from, n);
        divide(x, src, q->scales + k, s.step, n);
        round_trip(x, q->precision, n);
        char *dst = q->dst + at * to_size;
        if (range) {
            round_into(x, q->zeros + k, s.step, range->low, range->high, n);
            if (to_size == 1) put_bytes((uint8_t *)dst, x, n);
            else put_words((uint16_t *)(void *)dst, x, n);
        } else {
            for (size_t j = 0; j < n; j++) x[j] += q->zeros[k + j * s.step];
            fp_convert_all(dst, q->to, x, FP_FLOAT, n, q->saturate, FP_ROUND_NEAREST);
        }
    }
}

// ---- dequantizing

#define LOAD(T)                                                                                                        \
    FP_VECTOR static void load_##T(float *dst, const void *src, size_t n) {                                            \
        const T *x = src;                                                                                              \
        for (size_t i = 0; i < n; i++) dst[i] = (float)x[i];                                                           \
    }
LOAD(uint8_t)
LOAD(int8_t)
LOAD(int32_t)
#undef LOAD

static void load_codes(const struct quantize *q, float *dst, const char *src, size_t n) {
    if (q->values)
        for (size_t i = 0; i < n; i++) dst[i] = q->values[((const uint8_t *)src)[i]];
    else if (q->from == FP_INT8 || q->from == FP_INT4 || q->from == FP_INT2) load_int8_t(dst, src, n);
    else if (q->from == FP_UINT8 || q->from == FP_UINT4 || q->from == FP_UINT2) load_uint8_t(dst, src, n);
    else if (q->from == FP_INT32) load_int32_t(dst, src, n);
    else fp_convert(dst, FP_FLOAT, src, q->from, n);
}

FP_VECTOR static void multiply(float *dst, const float *x, const float *zero, const float *scale, size_t step,
                               size_t n) {
    if (step == 0) {
        const float s = *scale, z = *zero;
        for (size_t i = 0; i < n; i++) dst[i] = (x[i] - z) * s;
    } else {
        for (size_t i = 0; i < n; i++) dst[i] = (x[i] - zero[i]) * scale[i];
    }
}

static void dequantize_span(const struct quantize *q, struct span s) {
    float x[FP_CHUNK];
    size_t size = fp_type_size(q->from), to_size = fp_type_size(q->to);
    for (size_t i = 0; i < s.n; i += FP_CHUNK) {
        size_t n = fp_least(FP_CHUNK, s.n - i), at = s.at + i, k = s.scale + i * s.step;
        load_codes(q, x, q->src + at * size, n);
        char *dst = q->dst + at * to_size;
        bool direct = q->to == FP_FLOAT;
        multiply(direct ? (float *)(void *)dst : x, x, q->zeros + k, q->scales + k, s.step, n);
        if (!direct) fp_convert(dst, q->to, x, FP_FLOAT, n);
    }
}

// ---- both

enum { QUANTIZE, DEQUANTIZE };

static void quantize_piece(void *user, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) quantize_span(user, span_of(user, i));
}
static void dequantize_piece(void *user, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) dequantize_span(user, span_of(user, i));
}

static int run(struct fp_call *call) {
    struct quantize *q = call->state;
    const struct fp_tensor *x = call->in[0], *scale = call->in[1];
    size_t bytes = (2 * scale->count + 256) * sizeof(float);
    if (x->count == 0) return FINEPRUNE_OK;
    float *scales = fp_take(call->memory, bytes);
    if (!scales) return fp_fail_memory(call->err, "scales", bytes);
    float *zeros = scales + scale->count, *values = zeros + scale->count;
    fp_convert_all(scales, FP_FLOAT, scale->data, scale->type, scale->count, true, FP_ROUND_NEAREST);
    if (q->precision != FP_NONE)
        for (size_t i = 0; i < scale->count; i += FP_CHUNK)
            round_trip(scales + i, q->precision, fp_least(FP_CHUNK, scale->count - i));
    memset(zeros, 0, scale->count * sizeof(float));
    if (fp_given(call, 2))
        fp_convert_all(zeros, FP_FLOAT, call->in[2]->data, call->in[2]->type, scale->count, true, FP_ROUND_NEAREST);
    bool dequantizes = call->op->variant == DEQUANTIZE,
         coded = dequantizes && fp_is_narrow(q->from) && !range_of(q->from);
    for (int i = 0; i < 256 && coded; i++) values[i] = fp_narrow_to_float(q->from, (uint8_t)i);
    q->scales = scales;
    q->zeros = zeros;
    q->values = NULL;
    if (coded) q->values = values;
    q->src = x->data;
    q->dst = call->out[0].data;
    size_t work = q->count / q->runs + 1;
    void (*piece)(void *, size_t, size_t) = quantize_piece;
    if (dequantizes) piece = dequantize_piece;
    fp_pieces(fp_threads_for(call, q->count, 32768), q->runs, fp_grain(work, RUN), piece, q);
    fp_release(call->memory, scales, bytes);
    return FINEPRUNE_OK;
}

static int bad_scale(struct fp_call *call) {
    char data[160], scale[160];
    return fp_call_fail(call, "scales of shape %s do not fit data of shape %s",
                        fp_shape_text(scale, sizeof(scale), call->in[1]->rank, call->in[1]->dims),
                        fp_shape_text(data, sizeof(data), call->in[0]->rank, call->in[0]->dims));
}

// How scales lie over the data.
static int layout(struct fp_call *call, struct quantize *q) {
    const struct fp_tensor *x = call->in[0], *scale = call->in[1];
    int64_t block = fp_attr_int(call->node, "block_size", 0), axis_number = fp_attr_int(call->node, "axis", 1);
    int axis = 0;
    q->count = x->count;
    q->runs = q->count / RUN + (q->count % RUN != 0);
    if (block < 0) return fp_call_fail(call, "block_size is %lld", (long long)block);
    if (fp_given(call, 2) && call->in[2]->count != scale->count)
        return fp_call_fail(call, "%zu scales but %zu zero points", scale->count, call->in[2]->count);
    if (scale->count == 1) return FINEPRUNE_OK;
    if (x->rank > 1 || axis_number < 0) {
        int status = fp_axis(call, axis_number, x->rank, &axis);
        if (status) return status;
    }
    if (x->rank < 1) return bad_scale(call);
    size_t outer;
    fp_split_axis(x, axis, &outer, &q->n, &q->inner);
    q->per_axis = block == 0;
    if (q->per_axis) q->block = 1;
    else q->block = (size_t)block;
    q->blocks = q->n / q->block + (q->n % q->block != 0);
    if (q->per_axis && (scale->rank != 1 || scale->count != q->n)) return bad_scale(call);
    if (!q->per_axis && scale->rank != x->rank) return bad_scale(call);
    for (int i = 0; i < x->rank && !q->per_axis; i++) {
        int64_t wanted = x->dims[i];
        if (i == axis) wanted = (int64_t)q->blocks;
        if (scale->dims[i] != wanted) return bad_scale(call);
    }
    q->runs = outer;
    if (x->count == 0) q->runs = 0;
    else if (q->inner > 1) q->runs = outer * q->n;
    else if (!q->per_axis) q->runs = outer * q->blocks;
    return FINEPRUNE_OK;
}

static bool is_coded_float(enum fp_type type) { return fp_is_narrow(type) && !range_of(type) && type != FP_FLOAT8E8M0; }

static int prepare_quantize(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct quantize *q = fp_state(call, sizeof(*q));
    if (!q) return FINEPRUNE_LIMIT;
    enum fp_type from = call->in[0]->type, scale = call->in[1]->type;
    enum fp_type named = (enum fp_type)fp_attr_int(call->node, "output_dtype", FP_NONE);
    enum fp_type to = FP_UINT8;
    if (fp_given(call, 2)) to = call->in[2]->type;
    else if (named) to = named;
    if (named && named != to)
        return fp_call_fail(call, "output_dtype is %s, the zero point %s", fp_type_name(named), fp_type_name(to));
    if (!range_of(to) && !is_coded_float(to)) return fp_call_fail(call, "to %s is not supported", fp_type_name(to));
    if (!fp_type_is_float(from) && from != FP_INT32) return fp_bad_type(call, 0);
    if (!fp_type_is_float(scale) && scale != FP_INT32 && scale != FP_FLOAT8E8M0) return fp_bad_type(call, 1);
    enum fp_type precision = (enum fp_type)fp_attr_int(call->node, "precision", FP_NONE);
    if (precision == FP_NONE && from == scale) precision = scale;
    *q = (struct quantize){
        .from = from, .to = to, .precision = precision, .saturate = fp_attr_int(call->node, "saturate", 1) != 0};
    status = layout(call, q);
    if (status) return status;
    return fp_out(call, 0, to, call->in[0]->rank, call->in[0]->dims);
}

static int prepare_dequantize(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct quantize *q = fp_state(call, sizeof(*q));
    if (!q) return FINEPRUNE_LIMIT;
    enum fp_type from = call->in[0]->type, scale = call->in[1]->type;
    enum fp_type absent = FP_FLOAT;
    if (fp_type_is_float(scale)) absent = scale;
    enum fp_type to = (enum fp_type)fp_attr_int(call->node, "output_dtype", absent);
    if (to == FP_NONE) to = absent;
    if (!range_of(from) && !is_coded_float(from) && from != FP_INT32) return fp_bad_type(call, 0);
    if (!fp_type_is_float(scale) && scale != FP_FLOAT8E8M0) return fp_bad_type(call, 1);
    if (!fp_type_is_float(to)) return fp_call_fail(call, "to %s is not supported", fp_type_name(to));
    if (fp_given(call, 2) && call->in[2]->type != from) return fp_bad_type(call, 2);
    *q = (struct quantize){.from = from, .to = to};
    status = layout(call, q);
    if (status) return status;
    return fp_out(call, 0, to, call->in[0]->rank, call->in[0]->dims);
}

// ---- DynamicQuantizeLinear

static int prepare_dynamic(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    if (call->in[0]->type != FP_FLOAT) return fp_bad_type(call, 0);
    struct quantize *q = fp_state(call, sizeof(*q));
    if (!q) return FINEPRUNE_LIMIT;
    size_t count = call->in[0]->count;
    *q = (struct quantize){.from = FP_FLOAT, .to = FP_UINT8, .count = count, .runs = count / RUN + (count % RUN != 0)};
    status = fp_out(call, 0, FP_UINT8, call->in[0]->rank, call->in[0]->dims);
    if (!status) status = fp_out(call, 1, FP_FLOAT, 0, NULL);
    if (!status) status = fp_out(call, 2, FP_UINT8, 0, NULL);
    return status;
}

// The scale and zero point that map the numbers, and 0, onto 0..255.
void fp_dynamic_scale(const float *x, size_t n, float *scale, float *zero) {
    float low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    float range = high - low;
    if (high == low) range = 1;
    *scale = range / 255;
    float z = -low / *scale;
    if (z < 0) z = 0;
    if (z > 255) z = 255;
    *zero = rintf(z);
}

static int run_dynamic(struct fp_call *call) {
    struct quantize *q = call->state;
    const struct fp_tensor *x = call->in[0];
    float scale, zero;
    fp_dynamic_scale(x->data, x->count, &scale, &zero);
    q->scales = &scale;
    q->zeros = &zero;
    q->src = x->data;
    q->dst = call->out[0].data;
    fp_pieces(fp_threads_for(call, q->count, 32768), q->runs, 1, quantize_piece, q);
    if (call->n_out > 1) *(float *)call->out[1].data = scale;
    if (call->n_out > 2) *(uint8_t *)call->out[2].data = (uint8_t)zero;
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_quantize[] = {
    {"", "QuantizeLinear", 10, prepare_quantize, run, NULL, FP_OP_ROUNDS, QUANTIZE, .role = FP_ROLE_QUANTIZES,
     .passage = FP_PASSAGE_KEEPS, .arity = "rro>r",
     .attributes = "axis=i block_size=i output_dtype=i precision=i saturate=i"},
    {"", "DequantizeLinear", 10, prepare_dequantize, run, NULL, FP_OP_ROUNDS, DEQUANTIZE, .role = FP_ROLE_DEQUANTIZES,
     .passage = FP_PASSAGE_KEEPS, .arity = "rro>r", .attributes = "axis=i block_size=i output_dtype=i"},
    {"", "DynamicQuantizeLinear", 11, prepare_dynamic, run_dynamic, NULL, FP_OP_MIXES, .arity = "r>rrr"},
    {"com.microsoft", "QuantizeLinear", 1, prepare_quantize, run, NULL, FP_OP_ROUNDS, QUANTIZE,
     .role = FP_ROLE_QUANTIZES, .arity = "rro>r", .attributes = "axis=i"},
    {"com.microsoft", "DequantizeLinear", 1, prepare_dequantize, run, NULL, FP_OP_ROUNDS, DEQUANTIZE,
     .role = FP_ROLE_DEQUANTIZES, .arity = "rro>r", .attributes = "axis=i"},
    {0},
};
