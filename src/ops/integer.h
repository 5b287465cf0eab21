// SPDX-License-Identifier: Apache-2.0
// What the operators of quantized models share: products of small integers that are exact on every processor, and the
// way back to eight bits.
#ifndef FP_INTEGER_H
#define FP_INTEGER_H

#include "kernel/op.h"

// A matrix of whole numbers within -255..255 that is made piece by piece: fill writes its block of `rows` x `columns`
// at (row, column), row-major, as floats.
struct fp_factor {
    void (*fill)(const void *user, float *dst, size_t row, size_t rows, size_t column, size_t columns);
    const void *user;
};
// c[m, n] = a[m, k] b[k, n] in int32 (wrapping). Floats hold sums of up to 256 such products exactly, so fast float
// kernels do the work, and int32 adds their results.
int fp_exact_product(struct fp_call *call, int32_t *c, const struct fp_factor *a, const struct fp_factor *b, size_t m,
                     size_t k, size_t n);

// A plain matrix of uint8 or int8 less its zero points: one, one per row or one per column (of the same type), or none.
struct fp_codes {
    const struct fp_tensor *zero; // NULL: 0
    bool zero_per_row;
    enum fp_type type;
    const void *data;
    int64_t row_stride, column_stride;
};
void fp_fill_codes(const void *codes, float *dst, size_t row, size_t rows, size_t column, size_t columns);
static inline bool fp_is_byte(enum fp_type type) { return type == FP_UINT8 || type == FP_INT8; }
// Element i of a uint8 or int8 array.
static inline int fp_code(enum fp_type type, const void *data, size_t i) {
    return type == FP_INT8 ? ((const int8_t *)data)[i] : ((const uint8_t *)data)[i];
}

// One number of input i (a scale or zero point) at index `at`, or its only one; `absent` when the input is left out.
float fp_parameter(const struct fp_call *call, int i, size_t at, float absent);
// That input i is left out, or floats (scale) or of `type` (zero point), one or `count` of them.
int fp_check_scale(struct fp_call *call, int i, size_t count);
int fp_check_zero(struct fp_call *call, int i, enum fp_type type, size_t count);
// That the inputs whose bits are set are there.
int fp_need_these(struct fp_call *call, unsigned bits);
// One scale at input i and one zero point (or none) at i + 1.
int fp_check_pair(struct fp_call *call, int i, enum fp_type type);
// What each code by the scale and zero point at inputs `from` and from + 1 is by those at `to` and to + 1.
void fp_recode_table(const struct fp_call *call, int from, int to, enum fp_type type, uint8_t *table);

// dst = saturate(round(acc * factor) + zero) as uint8 or int8; factors lie `step` (0 or 1) apart.
void fp_requantize(void *dst, enum fp_type type, const int32_t *acc, size_t n, const float *factor, size_t step,
                   float zero);
// The same from real numbers: round(x / scale) + zero.
void fp_quantize_bytes(void *dst, enum fp_type type, const float *x, size_t n, float scale, float zero);
// The scale and zero point of DynamicQuantizeLinear.
void fp_dynamic_scale(const float *x, size_t n, float *scale, float *zero);

#endif
