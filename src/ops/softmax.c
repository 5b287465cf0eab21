// SPDX-License-Identifier: Apache-2.0
// Softmax, LogSoftmax and LpNormalization: every element divided by something of its neighbours along an axis. The
// tensor is [outer, n, inner]; rows of n are done at once, or for inner > 1 columns side by side.
#include <math.h>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/vmath.h"

enum kind { SOFTMAX, LOG_SOFTMAX, NORM_1, NORM_2 };
enum { WIDE = 64 }; // columns side by side

struct norm {
    enum kind kind;
    size_t outer, n, inner, blocks;
    const void *src;
    void *dst;
};

// ---- float32, a row that lies together: the common case

enum { LANES = 16 };

FP_VECTOR static float greatest(const float *x, size_t n) {
    float lane[LANES];
    for (size_t i = 0; i < LANES; i++) lane[i] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lane[k] = fp_most_float(x[i + k], lane[k]);
    for (; i < n; i++) lane[0] = fp_most_float(x[i], lane[0]);
    for (size_t k = 1; k < LANES; k++) lane[0] = fp_most_float(lane[k], lane[0]);
    return lane[0];
}

FP_VECTOR static double sum(const float *x, size_t n) {
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lane[k] += x[i + k];
    for (; i < n; i++) lane[0] += x[i];
    for (size_t k = 1; k < LANES; k++) lane[0] += lane[k];
    return lane[0];
}

FP_VECTOR static void exponentials(float *dst, const float *src, size_t n, float shift) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) dst[i] = fp_exp(src[i] - shift);
}

FP_VECTOR static void scale(float *dst, size_t n, float factor) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) dst[i] *= factor;
}

// Less the greatest first, which is exact near it, then the logarithm.
FP_VECTOR static void shift_twice(float *dst, const float *src, size_t n, float first, float second) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) dst[i] = src[i] - first - second;
}

static void softmax_row(float *dst, const float *src, size_t n) {
    float top = greatest(src, n);
    if (top == -INFINITY) top = 0;
    exponentials(dst, src, n, top);
    scale(dst, n, (float)(1 / sum(dst, n)));
}

static void log_softmax_row(float *dst, const float *src, size_t n) {
    float top = greatest(src, n), piece[FP_CHUNK];
    double total = 0;
    if (top == -INFINITY) top = 0;
    for (size_t i = 0; i < n; i += FP_CHUNK) {
        size_t m = fp_least(n - i, FP_CHUNK);
        exponentials(piece, src + i, m, top);
        total += sum(piece, m);
    }
    shift_twice(dst, src, n, top, (float)log(total));
}

// ---- columns side by side, for all else

#define COLUMNS(T, exponential)                                                                                        \
    static void softmax_columns_##T(T *dst, const T *src, size_t n, size_t step, size_t width, bool logarithm) {       \
        T top[WIDE];                                                                                                   \
        double total[WIDE] = {0};                                                                                      \
        for (size_t c = 0; c < width; c++) top[c] = -(T)INFINITY;                                                      \
        for (size_t i = 0; i < n; i++)                                                                                 \
            for (size_t c = 0; c < width; c++) top[c] = src[i * step + c] > top[c] ? src[i * step + c] : top[c];       \
        for (size_t c = 0; c < width; c++) top[c] = top[c] == -(T)INFINITY ? 0 : top[c];                               \
        for (size_t i = 0; i < n; i++)                                                                                 \
            for (size_t c = 0; c < width; c++) {                                                                       \
                T e = exponential(src[i * step + c] - top[c]);                                                         \
                total[c] += e;                                                                                         \
                if (!logarithm) dst[i * step + c] = e;                                                                 \
            }                                                                                                          \
        for (size_t c = 0; c < width; c++) total[c] = logarithm ? log(total[c]) : 1 / total[c];                        \
        for (size_t i = 0; i < n; i++)                                                                                 \
            for (size_t c = 0; c < width; c++)                                                                         \
                dst[i * step + c] = (T)(logarithm ? src[i * step + c] - top[c] - (T)total[c]                           \
                                                  : dst[i * step + c] * (T)total[c]);                                  \
    }                                                                                                                  \
    static void divide_columns_##T(T *dst, const T *src, size_t n, size_t step, size_t width, bool squares) {          \
        double total[WIDE] = {0};                                                                                      \
        for (size_t i = 0; i < n; i++)                                                                                 \
            for (size_t c = 0; c < width; c++) {                                                                       \
                double x = src[i * step + c];                                                                          \
                total[c] += squares ? x * x : fabs(x);                                                                 \
            }                                                                                                          \
        for (size_t c = 0; c < width; c++) total[c] = total[c] == 0 ? 1 : squares ? sqrt(total[c]) : total[c];         \
        for (size_t i = 0; i < n; i++)                                                                                 \
            for (size_t c = 0; c < width; c++) dst[i * step + c] = (T)(src[i * step + c] / total[c]);                  \
    }
COLUMNS(float, fp_exp)
COLUMNS(double, exp)
#undef COLUMNS

static void float_block(const struct norm *s, size_t at, size_t width) {
    const float *src = (const float *)s->src + at;
    float *dst = (float *)s->dst + at;
    if (s->kind == NORM_1 || s->kind == NORM_2)
        divide_columns_float(dst, src, s->n, s->inner, width, s->kind == NORM_2);
    else if (s->inner > 1) softmax_columns_float(dst, src, s->n, s->inner, width, s->kind == LOG_SOFTMAX);
    else if (s->kind == SOFTMAX) softmax_row(dst, src, s->n);
    else log_softmax_row(dst, src, s->n);
}

static void double_block(const struct norm *s, size_t at, size_t width) {
    const double *src = (const double *)s->src + at;
    double *dst = (double *)s->dst + at;
    if (s->kind == NORM_1 || s->kind == NORM_2)
        divide_columns_double(dst, src, s->n, s->inner, width, s->kind == NORM_2);
    else softmax_columns_double(dst, src, s->n, s->inner, width, s->kind == LOG_SOFTMAX);
}

#define PIECE(T)                                                                                                       \
    static void T##_piece(void *user, size_t begin, size_t end) {                                                      \
        const struct norm *s = user;                                                                                   \
        for (size_t i = begin; i < end; i++) {                                                                         \
            size_t from = i % s->blocks * WIDE, width = fp_least(s->inner - from, WIDE);                               \
            T##_block(s, i / s->blocks * s->n * s->inner + from, width);                                               \
        }                                                                                                              \
    }
PIECE(float)
PIECE(double)
#undef PIECE

static int run(struct fp_call *call) {
    struct norm *s = call->state;
    struct fp_tensor x = {0}, y = {0};
    if (call->out[0].count == 0) return FINEPRUNE_OK;
    int status = fp_as_float(call, &x, call->in[0]);
    if (!status) status = fp_float_out(call, &y, 0);
    if (!status) {
        s->src = x.data;
        s->dst = y.data;
        size_t units = s->outer * s->blocks, work = x.count / units + 1;
        void (*piece)(void *, size_t, size_t) = double_piece;
        if (x.type == FP_FLOAT) piece = float_piece;
        fp_pieces(fp_threads_for(call, x.count, 16384), units, fp_grain(work, 8192), piece, s);
        fp_put_float(call, 0, &y);
    }
    fp_tensor_done(&x);
    return status;
}

// Before opset 13 softmax sees a matrix: all dims from the axis on are one.
static int prepare_axis(struct fp_call *call, enum kind kind, int64_t axis, bool flat) {
    const struct fp_tensor *x = call->in[0];
    if (!fp_type_is_float(x->type)) return fp_bad_type(call, 0);
    struct norm *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    int at = 0;
    int status = FINEPRUNE_OK;
    if (flat && axis == x->rank) at = x->rank;
    else if (x->rank) status = fp_axis(call, axis, x->rank, &at);
    if (!status) status = fp_out_like(call, 0, 0);
    if (status) return status;
    *s = (struct norm){.kind = kind};
    fp_split_axis(x, at, &s->outer, &s->n, &s->inner);
    if (flat) {
        s->n *= s->inner;
        s->inner = 1;
    }
    s->blocks = (s->inner + WIDE - 1) / WIDE;
    return FINEPRUNE_OK;
}

static int prepare_softmax(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    bool flat = call->node->opset < 13;
    int64_t absent = -1;
    if (flat) absent = 1;
    return prepare_axis(call, (enum kind)call->op->variant, fp_attr_int(call->node, "axis", absent), flat);
}

static int prepare_norm(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    int64_t p = fp_attr_int(call->node, "p", 2);
    if (p != 1 && p != 2) return fp_call_fail(call, "p=%lld is neither 1 nor 2", (long long)p);
    enum kind kind = NORM_2;
    if (p == 1) kind = NORM_1;
    return prepare_axis(call, kind, fp_attr_int(call->node, "axis", -1), false);
}

const struct fp_op fp_ops_softmax[] = {
    {"", "Softmax", 1, prepare_softmax, run, NULL, FP_OP_IN_PLACE, SOFTMAX, .role = FP_ROLE_SOFTMAX,
     .passage = FP_PASSAGE_MIXES, .arity = "r>r", .attributes = "axis=i"},
    {"", "LogSoftmax", 1, prepare_softmax, run, NULL, FP_OP_IN_PLACE, LOG_SOFTMAX, .role = FP_ROLE_SOFTMAX,
     .passage = FP_PASSAGE_MIXES, .arity = "r>r", .attributes = "axis=i"},
    {"", "LpNormalization", 1, prepare_norm, run, NULL, FP_OP_IN_PLACE, .arity = "r>r", .attributes = "axis=i p=i"},
    {0},
};
