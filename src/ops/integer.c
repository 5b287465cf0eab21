// SPDX-License-Identifier: Apache-2.0
// What the operators of quantized models share; see integer.h.
#include "ops/integer.h"

#include "kernel/dnnl_memory.h"
#include "kernel/gemm.h"
#include "ops/loops.h"

enum { K_BLOCK = 256, M_BLOCK = 512, N_BLOCK = 4096 }; // 256 * 255 * 255 < 2^24

// Adds a block of products to the result.
struct sum {
    int32_t *c;
    size_t stride, n;
    const float *block;
};

static void add_rows(void *user, size_t begin, size_t end) {
    const struct sum *s = user;
    for (size_t i = begin; i < end; i++) {
        uint32_t *row = (uint32_t *)s->c + i * s->stride;
        for (size_t j = 0; j < s->n; j++) row[j] += (uint32_t)(int32_t)s->block[i * s->n + j];
    }
}

struct filling {
    const struct fp_factor *factor;
    float *dst;
    size_t row, column, columns;
};

static void fill_rows(void *user, size_t begin, size_t end) {
    const struct filling *f = user;
    f->factor->fill(f->factor->user, f->dst + begin * f->columns, f->row + begin, end - begin, f->column, f->columns);
}

static void fill(struct fp_call *call, const struct fp_factor *factor, float *dst, size_t row, size_t rows,
                 size_t column, size_t columns) {
    struct filling f = {.factor = factor, .dst = dst, .row = row, .column = column, .columns = columns};
    const int threads = fp_threads_for(call, rows * columns, 16384);
    const size_t least = fp_grain(columns, 4096);
    fp_pieces(threads, rows, least, fill_rows, &f);
}

int fp_exact_product(struct fp_call *call, int32_t *c, const struct fp_factor *a, const struct fp_factor *b, size_t m,
                     size_t k, size_t n) {
    if (m == 0 || n == 0) return FINEPRUNE_OK;
    memset(c, 0, m * n * sizeof(*c));
    size_t km = fp_least(k, K_BLOCK), mm = fp_least(m, M_BLOCK), nm = fp_least(n, N_BLOCK);
    float *fa = fp_scratch(call, FP_SCRATCH_A, mm * km * sizeof(float)),
          *fb = fp_scratch(call, FP_SCRATCH_B, km * nm * sizeof(float));
    float *fc = fp_scratch(call, FP_SCRATCH_DST, mm * nm * sizeof(float));
    if (!fa || !fb || !fc) return FINEPRUNE_LIMIT;
    for (size_t j = 0; j < n; j += N_BLOCK)
        for (size_t l = 0; l < k; l += K_BLOCK) {
            size_t nn = fp_least(N_BLOCK, n - j), kk = fp_least(K_BLOCK, k - l);
            fill(call, b, fb, l, kk, j, nn);
            for (size_t i = 0; i < m; i += M_BLOCK) {
                size_t rows = fp_least(M_BLOCK, m - i);
                fill(call, a, fa, i, rows, l, kk);
                if (!fp_gemm(rows, nn, kk, fa, fb, fc, call->threads))
                    return fp_call_fail(call, "oneDNN cannot multiply matrices");
                struct sum sum = {.c = c + i * n + j, .stride = n, .n = nn, .block = fc};
                fp_pieces(fp_threads_for(call, rows * nn, 50000), rows, 16, add_rows, &sum);
            }
        }
    return FINEPRUNE_OK;
}

#define FILL(T)                                                                                                        \
    FP_VECTOR static void fill_##T(float *dst, const T *src, size_t n, int zero) {                                     \
        for (size_t i = 0; i < n; i++) dst[i] = (float)(src[i] - zero);                                                \
    }
FILL(int8_t)
FILL(uint8_t)
#undef FILL

// A row whose zero points or whose elements do not lie together.
static void fill_scattered(const struct fp_codes *m, float *dst, int64_t at, size_t column, size_t columns, int zero) {
    bool per_column = m->zero && m->zero->count > 1 && !m->zero_per_row;
    for (size_t j = 0; j < columns; j++, at += m->column_stride) {
        int z = zero;
        if (per_column) z = fp_code(m->type, m->zero->data, column + j);
        dst[j] = (float)(fp_code(m->type, m->data, (size_t)at) - z);
    }
}

void fp_fill_codes(const void *user, float *dst, size_t row, size_t rows, size_t column, size_t columns) {
    const struct fp_codes *m = user;
    bool many = m->zero && m->zero->count > 1;
    for (size_t i = row; i < row + rows; i++, dst += columns) {
        int64_t at = (int64_t)i * m->row_stride + (int64_t)column * m->column_stride;
        int zero = m->zero ? fp_code(m->type, m->zero->data, many && m->zero_per_row ? i : 0) : 0;
        if (m->column_stride != 1 || (many && !m->zero_per_row)) fill_scattered(m, dst, at, column, columns, zero);
        else if (m->type == FP_INT8) fill_int8_t(dst, (const int8_t *)m->data + at, columns, zero);
        else fill_uint8_t(dst, (const uint8_t *)m->data + at, columns, zero);
    }
}

float fp_parameter(const struct fp_call *call, int i, size_t at, float absent) {
    if (!fp_given(call, i)) return absent;
    const struct fp_tensor *t = call->in[i];
    float value;
    fp_convert(&value, FP_FLOAT, (const char *)t->data + (t->count == 1 ? 0 : at) * fp_type_size(t->type), t->type, 1);
    return value;
}

int fp_check_scale(struct fp_call *call, int i, size_t count) {
    const struct fp_tensor *t = call->in[i];
    if (!fp_type_is_float(t->type)) return fp_bad_type(call, i);
    if (t->count != 1 && t->count != count)
        return fp_call_fail(call, "input %d has %zu scales where 1 or %zu fit", i, t->count, count);
    return FINEPRUNE_OK;
}

int fp_check_zero(struct fp_call *call, int i, enum fp_type type, size_t count) {
    if (!fp_given(call, i)) return FINEPRUNE_OK;
    const struct fp_tensor *t = call->in[i];
    if (t->type != type)
        return fp_call_fail(call, "zero point %d is %s, not %s", i, fp_type_name(t->type), fp_type_name(type));
    if (t->count != 1 && t->count != count)
        return fp_call_fail(call, "input %d has %zu zero points where 1 or %zu fit", i, t->count, count);
    return FINEPRUNE_OK;
}

// The sum with this number has no bits below the ones: it rounds to the nearest integer, halves to even.
static const double ROUND = 0x1.8p52;

// Numbers far outside become ones a little outside first, NaN the least.
static inline double round_near(double v) {
    v = v > -1e6 ? v : -1e6;
    v = v < 1e6 ? v : 1e6;
    return (v + ROUND) - ROUND;
}

static inline uint8_t saturate(double v, double low, double high) {
    v = v > low ? v : low;
    return (uint8_t)(int32_t)(v < high ? v : high);
}

static double low_of(enum fp_type type) { return type == FP_INT8 ? -128 : 0; }
static double high_of(enum fp_type type) { return type == FP_INT8 ? 127 : 255; }

FP_VECTOR static void requantize_row(uint8_t *dst, const int32_t *acc, size_t n, double factor, double zero, double low,
                                     double high) {
    for (size_t i = 0; i < n; i++) dst[i] = saturate(round_near((double)acc[i] * factor) + zero, low, high);
}

FP_VECTOR static void requantize_columns(uint8_t *dst, const int32_t *acc, size_t n, const float *factor, double zero,
                                         double low, double high) {
    for (size_t i = 0; i < n; i++) dst[i] = saturate(round_near((double)acc[i] * (double)factor[i]) + zero, low, high);
}

void fp_requantize(void *dst, enum fp_type type, const int32_t *acc, size_t n, const float *factor, size_t step,
                   float zero) {
    if (step) requantize_columns(dst, acc, n, factor, (double)zero, low_of(type), high_of(type));
    else requantize_row(dst, acc, n, (double)*factor, (double)zero, low_of(type), high_of(type));
}

FP_VECTOR static void quantize_row(uint8_t *dst, const float *x, size_t n, float scale, double zero, double low,
                                   double high) {
    for (size_t i = 0; i < n; i++) dst[i] = saturate(round_near((double)(x[i] / scale)) + zero, low, high);
}

void fp_quantize_bytes(void *dst, enum fp_type type, const float *x, size_t n, float scale, float zero) {
    quantize_row(dst, x, n, scale, (double)zero, low_of(type), high_of(type));
}

int fp_need_these(struct fp_call *call, unsigned bits) {
    for (int i = 0; bits >> i; i++)
        if (bits >> i & 1 && !fp_given(call, i)) return fp_call_fail(call, "input %d is missing", i);
    return FINEPRUNE_OK;
}

int fp_check_pair(struct fp_call *call, int i, enum fp_type type) {
    int status = fp_check_scale(call, i, 1);
    if (status) return status;
    return fp_check_zero(call, i + 1, type, 1);
}

void fp_recode_table(const struct fp_call *call, int from, int to, enum fp_type type, uint8_t *table) {
    float scale = fp_parameter(call, from, 0, 1), zero = fp_parameter(call, from + 1, 0, 0), values[256];
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        values[i] = ((float)fp_code(type, &code, 0) - zero) * scale;
    }
    fp_quantize_bytes(table, type, values, 256, fp_parameter(call, to, 0, 1), fp_parameter(call, to + 1, 0, 0));
}
