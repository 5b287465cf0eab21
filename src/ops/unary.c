// SPDX-License-Identifier: Apache-2.0
// Functions of one element: activations, rounding, trigonometry. One row of MAPS is a function over float32, over
// float64, and over integers where it has one; the rows of the operator table only name it. float16 and bfloat16 are
// computed as float32 in pieces.
#include "ops/families.h"
#include "ops/loops.h"
#include "tensor/narrow.h"
#include "ops/vmath.h"

// What a prepared call keeps: the function and its two parameters, the bounds of Clip also as integers.
struct unary {
    const struct map *map;
    double p[2];
    int64_t low, high;
};

// y = f(x) for n elements. Integers of all types come as int64, uint64 by its bits.
typedef void map32(float *y, const float *x, size_t n, const float *p);
typedef void map64(double *y, const double *x, size_t n, const double *p);
typedef void map_int(int64_t *y, const int64_t *x, size_t n, const struct unary *u, bool is_unsigned);

#define MAP32(name, expression)                                                                                        \
    FP_VECTOR static void name##_32(float *dst, const float *src, size_t n, const float *p) {                          \
        const float a = p[0], b = p[1];                                                                                \
        (void)a, (void)b;                                                                                              \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++) {                                                           \
            float x = src[i];                                                                                          \
            dst[i] = (expression);                                                                                     \
        }                                                                                                              \
    }
#define MAP64(name, expression)                                                                                        \
    static void name##_64(double *dst, const double *src, size_t n, const double *p) {                                 \
        const double a = p[0], b = p[1];                                                                               \
        (void)a, (void)b;                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                                               \
            double x = src[i];                                                                                         \
            dst[i] = (expression);                                                                                     \
        }                                                                                                              \
    }
#define MAPS2(name, expression32, expression64) MAP32(name, expression32) MAP64(name, expression64)
#define MAPS(name, expression) MAPS2(name, expression, expression)

MAPS(relu, x < 0 ? 0 : x)
MAPS(leaky_relu, x < 0 ? a * x : x)
MAPS(thresholded_relu, x > a ? x : 0)
MAPS2(elu, x < 0 ? a * (fp_exp(x) - 1) : x, x < 0 ? a * expm1(x) : x)
MAPS2(selu, x > 0 ? b * x : b * (a * fp_exp(x) - a), x > 0 ? b * x : b * a * expm1(x))
MAPS2(celu, x < 0 ? a * (fp_exp(x / a) - 1) : x, x < 0 ? a * expm1(x / a) : x)
MAPS2(sigmoid, fp_sigmoid(x), x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)))
MAPS(hard_sigmoid, a *x + b < 0 ? 0 : a * x + b > 1 ? 1 : a * x + b)
MAPS(hard_swish, x *(x *(a / 6) + b > 1 ? 1 : x * (a / 6) + b < 0 ? 0 : x * (a / 6) + b))
MAPS2(swish, x *fp_sigmoid(a *x), x / (1 + exp(-a * x)))
MAPS2(tanh, fp_tanh(x), tanh(x))
MAPS2(erf, fp_erf(x), erf(x))
MAPS2(gelu, fp_gelu(x), 0.5 * x * erfc(-x * 0.70710678118654752))
// tanh(u) as 2 sigmoid(2 u) - 1: 0.5 x (1 + tanh u) = x sigmoid(2 u).
MAPS2(gelu_tanh, x *fp_sigmoid(1.59576912f * (x + 0.044715f * x * x * x)),
      x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x))))
MAPS2(softplus, fp_softplus(x), x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
MAPS2(softsign, x / (1 + fabsf(x)), x / (1 + fabs(x)))
MAPS2(mish, x *fp_tanh(fp_softplus(x)), x *tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))))
MAPS2(exp, fp_exp(x), exp(x))
MAPS2(log, fp_log(x), log(x))
MAPS2(sqrt, sqrtf(x), sqrt(x))
MAPS(reciprocal, 1 / x)
MAPS2(abs, fabsf(x), fabs(x))
MAPS(neg, -x)
MAPS(sign, x > 0 ? 1 : x < 0 ? -1 : x)
MAPS2(floor, floorf(x), floor(x))
MAPS2(ceil, ceilf(x), ceil(x))
MAPS2(round, rintf(x), rint(x)) // halves to even
MAPS2(sin, sinf(x), sin(x))
MAPS2(cos, cosf(x), cos(x))
MAPS2(tan, tanf(x), tan(x))
MAPS2(asin, asinf(x), asin(x))
MAPS2(acos, acosf(x), acos(x))
MAPS2(atan, atanf(x), atan(x))
MAPS2(sinh, sinhf(x), sinh(x))
MAPS2(cosh, coshf(x), cosh(x))
MAPS2(asinh, asinhf(x), asinh(x))
MAPS2(acosh, acoshf(x), acosh(x))
MAPS2(atanh, atanhf(x), atanh(x))
MAPS(shrink, x<-a ? x + b : x> a ? x - b : 0)
MAP32(linear, a *x + b)
MAPS(clip, (x < a ? a : x) > b ? b : (x < a ? a : x))
#undef MAPS
#undef MAPS2
#undef MAP64
#undef MAP32

#define MAP_INT(name, expression)                                                                                      \
    static void name##_int(int64_t *dst, const int64_t *src, size_t n, const struct unary *u, bool is_unsigned) {      \
        (void)u, (void)is_unsigned;                                                                                    \
        for (size_t i = 0; i < n; i++) {                                                                               \
            int64_t x = src[i];                                                                                        \
            dst[i] = (expression);                                                                                     \
        }                                                                                                              \
    }
static double as_double(int64_t x, bool is_unsigned) {
    if (is_unsigned) return (double)(uint64_t)x;
    return (double)x;
}

MAP_INT(relu, x < 0 && !is_unsigned ? 0 : x)
MAP_INT(abs, x < 0 && !is_unsigned ? (int64_t)(0 - (uint64_t)x) : x)
MAP_INT(neg, (int64_t)(0 - (uint64_t)x))
MAP_INT(sign, x == 0 ? 0 : x > 0 || is_unsigned ? 1 : -1)
MAP_INT(bitwise_not, ~x)
MAP_INT(erf, (int64_t)erf(as_double(x, is_unsigned))) // old opsets allow it
#undef MAP_INT

static bool less(int64_t a, int64_t b, bool is_unsigned) {
    if (is_unsigned) return (uint64_t)a < (uint64_t)b;
    return a < b;
}

static void clip_int(int64_t *dst, const int64_t *src, size_t n, const struct unary *u, bool is_unsigned) {
    for (size_t i = 0; i < n; i++) {
        int64_t x = src[i];
        if (less(x, u->low, is_unsigned)) x = u->low;
        if (less(u->high, x, is_unsigned)) x = u->high;
        dst[i] = x;
    }
}

static void shrink_int(int64_t *dst, const int64_t *src, size_t n, const struct unary *u, bool is_unsigned) {
    for (size_t i = 0; i < n; i++) {
        double x = as_double(src[i], is_unsigned), y = 0;
        if (x < -u->p[0]) y = x + u->p[1];
        else if (x > u->p[0]) y = x - u->p[1];
        if (fabs(y) < 0x1p63) dst[i] = (int64_t)y;
        else dst[i] = src[i];
    }
}

enum map_name {
    RELU,
    LEAKY_RELU,
    THRESHOLDED_RELU,
    ELU,
    SELU,
    CELU,
    SIGMOID,
    HARD_SIGMOID,
    HARD_SWISH,
    SWISH,
    QUICK_GELU,
    TANH,
    ERF,
    GELU,
    GELU_TANH,
    SOFTPLUS,
    SOFTSIGN,
    MISH,
    EXP,
    LOG,
    SQRT,
    RECIPROCAL,
    ABS,
    NEG,
    SIGN,
    FLOOR,
    CEIL,
    ROUND,
    SIN,
    COS,
    TAN,
    ASIN,
    ACOS,
    ATAN,
    SINH,
    COSH,
    ASINH,
    ACOSH,
    ATANH,
    SHRINK,
    CLIP,
    BITWISE_NOT
};

static const struct map {
    map32 *f32;
    map64 *f64;
    map_int *integers; // NULL: floats only
    struct {
        const char *name;
        float absent;
    } attribute[2]; // a and b
} TABLE[] = {
    [RELU] = {relu_32, relu_64, relu_int},
    [LEAKY_RELU] = {leaky_relu_32, leaky_relu_64, NULL, {{"alpha", 0.01f}}},
    [THRESHOLDED_RELU] = {thresholded_relu_32, thresholded_relu_64, NULL, {{"alpha", 1}}},
    [ELU] = {elu_32, elu_64, NULL, {{"alpha", 1}}},
    [SELU] = {selu_32, selu_64, NULL, {{"alpha", 1.67326319f}, {"gamma", 1.05070102f}}},
    [CELU] = {celu_32, celu_64, NULL, {{"alpha", 1}}},
    [SIGMOID] = {sigmoid_32, sigmoid_64, NULL},
    [HARD_SIGMOID] = {hard_sigmoid_32, hard_sigmoid_64, NULL, {{"alpha", 0.2f}, {"beta", 0.5f}}},
    [HARD_SWISH] = {hard_swish_32, hard_swish_64, NULL, {{"", 1}, {"", 0.5f}}},
    [SWISH] = {swish_32, swish_64, NULL, {{"alpha", 1}}},
    [QUICK_GELU] = {swish_32, swish_64, NULL, {{"alpha", 1.702f}}},
    [TANH] = {tanh_32, tanh_64, NULL},
    [ERF] = {erf_32, erf_64, erf_int},
    [GELU] = {gelu_32, gelu_64, NULL},
    [GELU_TANH] = {gelu_tanh_32, gelu_tanh_64, NULL},
    [SOFTPLUS] = {softplus_32, softplus_64, NULL},
    [SOFTSIGN] = {softsign_32, softsign_64, NULL},
    [MISH] = {mish_32, mish_64, NULL},
    [EXP] = {exp_32, exp_64, NULL},
    [LOG] = {log_32, log_64, NULL},
    [SQRT] = {sqrt_32, sqrt_64, NULL},
    [RECIPROCAL] = {reciprocal_32, reciprocal_64, NULL},
    [ABS] = {abs_32, abs_64, abs_int},
    [NEG] = {neg_32, neg_64, neg_int},
    [SIGN] = {sign_32, sign_64, sign_int},
    [FLOOR] = {floor_32, floor_64, NULL},
    [CEIL] = {ceil_32, ceil_64, NULL},
    [ROUND] = {round_32, round_64, NULL},
    [SIN] = {sin_32, sin_64, NULL},
    [COS] = {cos_32, cos_64, NULL},
    [TAN] = {tan_32, tan_64, NULL},
    [ASIN] = {asin_32, asin_64, NULL},
    [ACOS] = {acos_32, acos_64, NULL},
    [ATAN] = {atan_32, atan_64, NULL},
    [SINH] = {sinh_32, sinh_64, NULL},
    [COSH] = {cosh_32, cosh_64, NULL},
    [ASINH] = {asinh_32, asinh_64, NULL},
    [ACOSH] = {acosh_32, acosh_64, NULL},
    [ATANH] = {atanh_32, atanh_64, NULL},
    [SHRINK] = {shrink_32, shrink_64, shrink_int, {{"lambd", 0.5f}, {"bias", 0}}},
    [CLIP] = {clip_32, clip_64, clip_int},
    [BITWISE_NOT] = {NULL, NULL, bitwise_not_int},
};

// ---- tails

bool fp_tail_map(const struct fp_tail *tail, float *x, size_t n) {
    static map32 *const maps[] = {
        [FP_TAIL_RELU] = leaky_relu_32,
        [FP_TAIL_CLIP] = clip_32,
        [FP_TAIL_SIGMOID] = sigmoid_32,
        [FP_TAIL_TANH] = tanh_32,
        [FP_TAIL_HARD_SIGMOID] = hard_sigmoid_32,
        [FP_TAIL_HARD_SWISH] = hard_swish_32,
        [FP_TAIL_SWISH] = swish_32,
        [FP_TAIL_ELU] = elu_32,
        [FP_TAIL_GELU] = gelu_32,
        [FP_TAIL_GELU_TANH] = gelu_tanh_32,
        [FP_TAIL_LINEAR] = linear_32,
    };
    if ((size_t)tail->kind >= FP_COUNT(maps) || !maps[tail->kind]) return false;
    bool hard = tail->kind == FP_TAIL_HARD_SWISH, plain = tail->kind == FP_TAIL_RELU && tail->a == 0;
    float p[2] = {tail->a, tail->b};
    if (hard) {
        p[0] = 1;
        p[1] = 0.5f;
    }
    if (plain) relu_32(x, x, n, p);
    else maps[tail->kind](x, x, n, p);
    return true;
}

// One run over a tensor.
struct job {
    const struct unary *unary;
    float p32[2];
    enum fp_type type;
    char *dst;
    const char *src;
};

static void map_float(void *user, size_t begin, size_t end) {
    const struct job *j = user;
    j->unary->map->f32((float *)j->dst + begin, (const float *)j->src + begin, end - begin, j->p32);
}

static void map_double(void *user, size_t begin, size_t end) {
    const struct job *j = user;
    j->unary->map->f64((double *)j->dst + begin, (const double *)j->src + begin, end - begin, j->unary->p);
}

static void map_half(void *user, size_t begin, size_t end) {
    const struct job *j = user;
    float values[FP_CHUNK];
    for (size_t at = begin; at < end; at += FP_CHUNK) {
        size_t n = fp_least(end - at, FP_CHUNK);
        fp_convert(values, FP_FLOAT, j->src + 2 * at, j->type, n);
        j->unary->map->f32(values, values, n, j->p32);
        fp_convert(j->dst + 2 * at, j->type, values, FP_FLOAT, n);
    }
}

static void map_integer(void *user, size_t begin, size_t end) {
    const struct job *j = user;
    int64_t values[FP_CHUNK];
    size_t size = fp_type_size(j->type);
    for (size_t at = begin; at < end; at += FP_CHUNK) {
        size_t n = fp_least(end - at, FP_CHUNK);
        fp_convert(values, FP_INT64, j->src + size * at, j->type, n);
        j->unary->map->integers(values, values, n, j->unary, j->type == FP_UINT64);
        fp_convert(j->dst + size * at, j->type, values, FP_INT64, n);
    }
}

// The output may lie channels last as the input does: elements stay where they are.
static int out_like(struct fp_call *call, enum fp_type type) {
    int status = fp_out(call, 0, type, call->in[0]->rank, call->in[0]->dims);
    if (!status) call->out[0].layout = call->in[0]->layout;
    return status;
}

static int prepare_map(struct fp_call *call, const struct map *map) {
    int status = fp_need(call, 1);
    if (status) return status;
    enum fp_type type = call->in[0]->type;
    bool fits = map->integers && fp_type_is_integer(type);
    if (fp_type_is_float(type)) fits = map->f32;
    if (!fits) return fp_bad_type(call, 0);
    struct unary *u = fp_state(call, sizeof(*u));
    if (!u) return FINEPRUNE_LIMIT;
    u->map = map;
    for (int i = 0; i < 2; i++) {
        const char *name = map->attribute[i].name;
        if (name) u->p[i] = fp_attr_float(call->node, name, map->attribute[i].absent);
        else u->p[i] = 0;
    }
    return out_like(call, type);
}

static int prepare(struct fp_call *call) { return prepare_map(call, &TABLE[call->op->variant]); }

static int run_map(struct fp_call *call) {
    const struct unary *u = call->state;
    const struct fp_tensor *x = call->in[0];
    struct job job = {
        .unary = u, .p32 = {(float)u->p[0], (float)u->p[1]}, .type = x->type, .dst = call->out[0].data, .src = x->data};
    void (*body)(void *, size_t, size_t) = map_integer;
    if (x->type == FP_FLOAT) body = map_float;
    else if (x->type == FP_DOUBLE) body = map_double;
    else if (fp_type_is_float(x->type)) body = map_half;
    fp_pieces(fp_threads_for(call, x->count, 32768), x->count, 8192, body, &job);
    return FINEPRUNE_OK;
}

static int prepare_gelu(struct fp_call *call) {
    const char *how = fp_attr_text(call->node, "approximate", "none");
    if (strcmp(how, "none") && strcmp(how, "tanh"))
        return fp_call_fail(call, "approximate=\"%.40s\" is neither none nor tanh", how);
    if (strcmp(how, "tanh")) return prepare_map(call, &TABLE[GELU]);
    return prepare_map(call, &TABLE[GELU_TANH]);
}

// ---- Clip

static int prepare_clip(struct fp_call *call) {
    int status = prepare_map(call, &TABLE[CLIP]);
    for (int i = 1; i < 3 && !status; i++) {
        if (!fp_given(call, i)) continue;
        if (call->in[i]->count != 1 || call->in[i]->type != call->in[0]->type)
            status = fp_call_fail(call, "the bound is %zu elements of %s, not one of %s", call->in[i]->count,
                                  fp_type_name(call->in[i]->type), fp_type_name(call->in[0]->type));
    }
    return status;
}

static int run_clip(struct fp_call *call) {
    struct unary *u = call->state;
    const struct fp_tensor *x = call->in[0];
    bool old = call->node->opset < 11, is_unsigned = x->type == FP_UINT64;
    if (old) {
        u->p[0] = fp_attr_float(call->node, "min", -INFINITY);
        u->p[1] = fp_attr_float(call->node, "max", INFINITY);
    } else {
        u->p[0] = -(double)INFINITY;
        u->p[1] = (double)INFINITY;
    }
    if (is_unsigned) {
        u->low = 0;
        u->high = -1;
    } else {
        u->low = INT64_MIN;
        u->high = INT64_MAX;
    }
    int64_t *ends[] = {&u->low, &u->high};
    for (int i = 1; i < 3 && !old; i++) {
        if (!fp_given(call, i)) continue;
        if (fp_type_is_float(x->type)) fp_convert(&u->p[i - 1], FP_DOUBLE, call->in[i]->data, x->type, 1);
        else fp_convert(ends[i - 1], FP_INT64, call->in[i]->data, x->type, 1);
    }
    return run_map(call);
}

// ---- Gelu with a bias along the last dim, of com.microsoft

static int prepare_bias_gelu(struct fp_call *call) {
    int status = prepare(call);
    if (status || !fp_given(call, 1)) return status;
    const struct fp_tensor *x = call->in[0], *bias = call->in[1];
    if (bias->rank != 1 || x->rank < 1 || bias->dims[0] != x->dims[x->rank - 1])
        return fp_call_fail(call, "a bias of %zu elements does not fit the last dim of the input", bias->count);
    if (x->type == FP_FLOAT && bias->type == FP_FLOAT) return FINEPRUNE_OK;
    return fp_bad_type(call, 0);
}

static int run_bias_gelu(struct fp_call *call) {
    if (!fp_given(call, 1)) return run_map(call);
    const struct unary *u = call->state;
    const float *bias = call->in[1]->data, none[2] = {0, 0};
    size_t width = call->in[1]->count, rows = fp_shares(call->in[0]->count, width);
#pragma omp parallel for num_threads(call->threads) if (call->in[0]->count > 32768)
    for (size_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0]->data + r * width;
        float *y = (float *)call->out[0].data + r * width;
        for (size_t i = 0; i < width; i++) y[i] = x[i] + bias[i];
        u->map->f32(y, y, width, none);
    }
    return FINEPRUNE_OK;
}

// ---- functions with results of another type, and those that only hand on

static int prepare_is(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    enum fp_type type = call->in[0]->type;
    if (!fp_type_is_float(type) && !(type >= FP_FLOAT8E4M3FN && type <= FP_FLOAT8E5M2FNUZ)) return fp_bad_type(call, 0);
    return out_like(call, FP_BOOL);
}

enum { IS_NAN, IS_INF };

static int run_is(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    bool negative = fp_attr_int(call->node, "detect_negative", 1),
         positive = fp_attr_int(call->node, "detect_positive", 1);
    uint8_t *y = call->out[0].data;
    double values[FP_CHUNK];
    for (size_t at = 0; at < x->count; at += FP_CHUNK) {
        size_t n = fp_least(x->count - at, FP_CHUNK);
        fp_convert_all(values, FP_DOUBLE, (const char *)x->data + at * fp_type_size(x->type), x->type, n, true,
                       FP_ROUND_NEAREST);
        for (size_t i = 0; i < n; i++) {
            bool is = positive;
            if (values[i] < 0) is = negative;
            if (call->op->variant == IS_NAN) is = isnan(values[i]);
            else is = is && isinf(values[i]);
            y[at + i] = is;
        }
    }
    return FINEPRUNE_OK;
}

static int prepare_not(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    if (call->in[0]->type == FP_BOOL) return out_like(call, FP_BOOL);
    return fp_bad_type(call, 0);
}

static int run_not(struct fp_call *call) {
    const uint8_t *x = call->in[0]->data;
    uint8_t *y = call->out[0].data;
    for (size_t i = 0; i < call->in[0]->count; i++) y[i] = !x[i];
    return FINEPRUNE_OK;
}

// Sequences and absent optionals have no shape: they are handed on by run.
static int prepare_identity(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status || call->in[0]->type == FP_SEQUENCE || call->in[0]->type == FP_NONE) return status;
    return fp_out_alias(call, 0, 0, call->in[0]->rank, call->in[0]->dims);
}

static int run_identity(struct fp_call *call) {
    if (call->in[0]->type == FP_SEQUENCE && call->n_out > 0) fp_tensor_share(&call->out[0], call->in[0]);
    return FINEPRUNE_OK;
}

// Without training Dropout hands its input on; the mask is all true (of the input's own type before opset 10).
static int prepare_dropout(struct fp_call *call) {
    double training = 0, ratio = 0.5;
    int status = prepare_identity(call);
    if (!status && call->node->opset >= 12 && fp_given(call, 2)) {
        status = fp_read_scalar(call, 2, &training);
        if (!status && training != 0 && fp_given(call, 1)) status = fp_read_scalar(call, 1, &ratio);
    }
    if (!status && training != 0 && ratio != 0) {
        status = fp_call_fail(call, "training_mode with ratio %g is not supported", ratio);
        fp_hint(call->err, FP_TRAINING_HINT);
    }
    if (status || call->n_out < 2) return status;
    enum fp_type type = FP_BOOL;
    if (call->node->opset < 10) type = call->in[0]->type;
    return fp_out(call, 1, type, call->in[0]->rank, call->in[0]->dims);
}

static int run_dropout(struct fp_call *call) {
    static const float one = 1;
    if (call->n_out < 2) return FINEPRUNE_OK;
    const struct fp_tensor *mask = &call->out[1];
    size_t size = fp_type_size(mask->type);
    for (size_t i = 0; i < mask->count; i++) fp_convert((char *)mask->data + i * size, mask->type, &one, FP_FLOAT, 1);
    return FINEPRUNE_OK;
}

#define ROW(type, ...) {"", type, 1, prepare, run_map, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED, __VA_ARGS__}
#define ROUNDING(type, ...)                                                                                            \
    {"", type, 1, prepare, run_map, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED | FP_OP_ROUNDS, __VA_ARGS__}
const struct fp_op fp_ops_unary[] = {
    ROW("Relu", RELU, .role = FP_ROLE_BENDS, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "consumed_inputs=I"),
    ROW("LeakyRelu", LEAKY_RELU, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "alpha=f consumed_inputs=I"),
    ROW("ThresholdedRelu", THRESHOLDED_RELU, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "alpha=f"),
    ROW("Elu", ELU, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "alpha=f consumed_inputs=I"),
    ROW("Selu", SELU, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "alpha=f consumed_inputs=I gamma=f"),
    ROUNDING("Celu", CELU, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "alpha=f"),
    ROW("Sigmoid", SIGMOID, .role = FP_ROLE_SIGMOID, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "consumed_inputs=I"),
    ROW("HardSigmoid", HARD_SIGMOID, .role = FP_ROLE_HARD_SIGMOID, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "alpha=f beta=f consumed_inputs=I"),
    ROW("HardSwish", HARD_SWISH, .passage = FP_PASSAGE_KEEPS, .arity = "r>r"),
    ROW("Swish", SWISH, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "alpha=f"),
    ROW("Mish", MISH, .passage = FP_PASSAGE_KEEPS, .arity = "r>r"),
    ROW("Tanh", TANH, .role = FP_ROLE_BENDS, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "consumed_inputs=I"),
    ROW("Erf", ERF, .passage = FP_PASSAGE_KEEPS, .arity = "r>r"),
    ROW("Softplus", SOFTPLUS, .passage = FP_PASSAGE_KEEPS, .arity = "r>r"),
    ROW("Softsign", SOFTSIGN, .passage = FP_PASSAGE_KEEPS, .arity = "r>r"),
    ROW("Exp", EXP, .role = FP_ROLE_RAISES, .passage = FP_PASSAGE_KEEPS, .arity = "r>r",
        .attributes = "consumed_inputs=I"),
    ROW("Log", LOG, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROW("Sqrt", SQRT, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROW("Reciprocal", RECIPROCAL, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROW("Abs", ABS, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROW("Neg", NEG, .passage = FP_PASSAGE_KEEPS, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROUNDING("Sign", SIGN, .arity = "r>r"),
    ROW("Floor", FLOOR, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROW("Ceil", CEIL, .arity = "r>r", .attributes = "consumed_inputs=I"),
    ROUNDING("Round", ROUND, .arity = "r>r"),
    ROW("Sin", SIN, .arity = "r>r"),
    ROW("Cos", COS, .arity = "r>r"),
    ROW("Tan", TAN, .arity = "r>r"),
    ROW("Asin", ASIN, .arity = "r>r"),
    ROW("Acos", ACOS, .arity = "r>r"),
    ROW("Atan", ATAN, .arity = "r>r"),
    ROW("Sinh", SINH, .arity = "r>r"),
    ROW("Cosh", COSH, .arity = "r>r"),
    ROW("Asinh", ASINH, .arity = "r>r"),
    ROW("Acosh", ACOSH, .arity = "r>r"),
    ROW("Atanh", ATANH, .arity = "r>r"),
    ROUNDING("Shrink", SHRINK, .arity = "r>r", .attributes = "bias=f lambd=f"),
    ROW("BitwiseNot", BITWISE_NOT, .arity = "r>r"),
    {"", "Gelu", 1, prepare_gelu, run_map, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED, .passage = FP_PASSAGE_KEEPS,
     .arity = "r>r", .attributes = "approximate=s"},
    {"", "Clip", 1, prepare_clip, run_clip, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED | FP_OP_ROUNDS, .role = FP_ROLE_BENDS,
     .passage = FP_PASSAGE_KEEPS, .arity = "r>r 11:roo>r", .attributes = "consumed_inputs=I max=f min=f"},
    {"", "IsNaN", 1, prepare_is, run_is, NULL, FP_OP_ROUNDS, IS_NAN, .arity = "r>r"},
    {"", "IsInf", 1, prepare_is, run_is, NULL, FP_OP_ROUNDS, IS_INF, .arity = "r>r",
     .attributes = "detect_negative=i detect_positive=i"},
    {"", "Not", 1, prepare_not, run_not, NULL, FP_OP_IN_PLACE, .arity = "r>r"},
    {"", "Identity", 1, prepare_identity, run_identity, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_IDENTITY,
     .passage = FP_PASSAGE_KEEPS, .arity = "r>r"},
    {"", "Dropout", 1, prepare_dropout, run_dropout, NULL, FP_OP_ROUNDS, .role = FP_ROLE_DROPS,
     .passage = FP_PASSAGE_KEEPS, .arity = "r>ro 12:roo>ro",
     .attributes = "consumed_inputs=I is_test=i ratio=f seed=i"},
    {"com.microsoft", "Gelu", 1, prepare, run_map, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED, GELU, .arity = "r>r"},
    {"com.microsoft", "QuickGelu", 1, prepare, run_map, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED, QUICK_GELU,
     .arity = "r>r", .attributes = "alpha=f"},
    {"com.microsoft", "BiasGelu", 1, prepare_bias_gelu, run_bias_gelu, NULL, FP_OP_IN_PLACE | FP_OP_FLOAT32, GELU,
     .arity = "rr>r"},
    {"com.microsoft", "FastGelu", 1, prepare_bias_gelu, run_bias_gelu, NULL, FP_OP_IN_PLACE | FP_OP_FLOAT32, GELU_TANH,
     .arity = "ro>r"},
    {0},
};
#undef ROW
#undef ROUNDING
