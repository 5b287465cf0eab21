// SPDX-License-Identifier: Apache-2.0
// Conversion between element types. One small loop per pair of C types, found in a table; float16 and bfloat16 go
// through float32 in pieces, types of eight bits and less through narrow.c.
#include "tensor/narrow.h"

#include <math.h>

// ---- float16 and bfloat16, without branches so that loops over them become vector code

static inline float half_to_float(uint16_t h) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)(h & 0x7fff) << 13};
    uint32_t special = v.u | 0x7f800000;
    v.f *= 0x1p112f; // the exponents' biases differ by 112; subnormal numbers become normal ones
    v.u = (h & 0x7fff) >= 0x7c00 ? special : v.u;
    v.u |= (uint32_t)(h & 0x8000) << 16;
    return v.f;
}

static inline uint16_t float_to_half(float f) {
    union {
        float f;
        uint32_t u;
    } v = {.f = f}, small;
    int32_t magnitude = (int32_t)(v.u & 0x7fffffff);
    small.u = (uint32_t)magnitude;
    small.f += 0.5f; // of a subnormal result, the addition does the rounding
    int32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    int32_t h = normal;
    if (magnitude < 0x38800000) h = (int32_t)(small.u - 0x3f000000);
    h = magnitude >= 0x477ff000 ? 0x7c00 : h; // 65520 and above round to infinity
    h = magnitude > 0x7f800000 ? 0x7e00 : h;  // NaN
    return (uint16_t)(h | (int32_t)(v.u >> 16 & 0x8000));
}

static inline uint16_t float_to_bfloat(float f) {
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    uint32_t rounded = (v.u + 0x7fff + (v.u >> 16 & 1)) >> 16, quiet = v.u >> 16 | 0x40;
    return (uint16_t)((v.u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

float fp_half_to_float(uint16_t h) { return half_to_float(h); }
uint16_t fp_float_to_half(float f) { return float_to_half(f); }
uint16_t fp_float_to_bfloat(float f) { return float_to_bfloat(f); }

// ---- pairs of C types

typedef void conversion(void *dst, const void *src, size_t n);

// Floats to integers: what is out of range saturates at 64 bits, NaN is 0.
static inline int64_t whole(double v) {
    if (fabs(v) < 0x1p63) return (int64_t)v;
    if (v >= 0x1p64) return INT64_MAX;
    if (v >= 0x1p63) return (int64_t)(uint64_t)v;
    if (v < 0) return INT64_MIN;
    return 0;
}

// clang-format off
#define LOOP(attribute, to_name, from_name, T, F, expression) \
    attribute static void from_name##_to_##to_name(void *dst, const void *src, size_t n) { \
        T *to = dst; \
        const F *from = src; \
        for (size_t i = 0; i < n; i++) { \
            F x = from[i]; \
            to[i] = (T)(expression); \
        } \
    }
// Integers of one size and another sign are the same bits: a result is unsigned.
#define FROM(name, F, whole) \
    LOOP(, f32, name, float, F, x) LOOP(, f64, name, double, F, x) LOOP(, bool, name, uint8_t, F, x != 0) \
    LOOP(, u8, name, uint8_t, F, whole(x)) LOOP(, u16, name, uint16_t, F, whole(x)) \
    LOOP(, u32, name, uint32_t, F, whole(x)) LOOP(, u64, name, uint64_t, F, whole(x))
FROM(u8, uint8_t, ) FROM(i8, int8_t, ) FROM(u16, uint16_t, ) FROM(i16, int16_t, )
FROM(u32, uint32_t, ) FROM(i32, int32_t, )
FROM(u64, uint64_t, ) FROM(i64, int64_t, ) FROM(f32, float, whole) FROM(f64, double, whole)
LOOP(FP_VECTOR, f32, f16, float, uint16_t, half_to_float(x))
LOOP(FP_VECTOR, f16, f32, uint16_t, float, float_to_half(x))
LOOP(FP_VECTOR, f32, bf16, float, uint16_t, fp_bfloat_to_float(x))
LOOP(FP_VECTOR, bf16, f32, uint16_t, float, float_to_bfloat(x))
#undef FROM
#undef LOOP

enum { TYPES = FP_BFLOAT16 + 1 };
#define TO(name) \
    { \
        [FP_FLOAT] = name##_to_f32, [FP_DOUBLE] = name##_to_f64, [FP_BOOL] = name##_to_bool, \
        [FP_UINT8] = name##_to_u8, [FP_INT8] = name##_to_u8, [FP_UINT16] = name##_to_u16, [FP_INT16] = name##_to_u16, \
        [FP_UINT32] = name##_to_u32, [FP_INT32] = name##_to_u32, [FP_UINT64] = name##_to_u64, \
        [FP_INT64] = name##_to_u64 \
    }
static conversion *const TABLE[TYPES][TYPES] = {
    [FP_UINT8] = TO(u8),   [FP_INT8] = TO(i8),   [FP_UINT16] = TO(u16), [FP_INT16] = TO(i16),
    [FP_UINT32] = TO(u32), [FP_INT32] = TO(i32), [FP_UINT64] = TO(u64), [FP_INT64] = TO(i64),
    [FP_BOOL] = TO(u8),    [FP_FLOAT] = TO(f32), [FP_DOUBLE] = TO(f64),
};
#undef TO
// clang-format on

static conversion *half_conversion(enum fp_type to, enum fp_type from) {
    if (from == FP_FLOAT16 && to == FP_FLOAT) return f16_to_f32;
    if (from == FP_FLOAT && to == FP_FLOAT16) return f32_to_f16;
    if (from == FP_BFLOAT16 && to == FP_FLOAT) return bf16_to_f32;
    if (from == FP_FLOAT && to == FP_BFLOAT16) return f32_to_bf16;
    return NULL;
}

static conversion *conversion_of(enum fp_type to, enum fp_type from) {
    bool known = to > 0 && to < (enum fp_type)TYPES && from > 0 && from < (enum fp_type)TYPES;
    conversion *direct = NULL;
    if (known) direct = TABLE[from][to];
    if (direct) return direct;
    return half_conversion(to, from);
}

// By way of float32, in pieces.
static void convert_half(char *dst, enum fp_type to, const char *src, enum fp_type from, size_t n) {
    enum { PIECE = 256 };
    float values[PIECE];
    size_t to_size = fp_type_size(to), from_size = fp_type_size(from);
    for (size_t i = 0; i < n; i += PIECE) {
        size_t m = fp_least(n - i, PIECE);
        fp_convert(values, FP_FLOAT, src + i * from_size, from, m);
        fp_convert(dst + i * to_size, to, values, FP_FLOAT, m);
    }
}

void fp_convert(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n) {
    if (n == 0) return;
    conversion *direct = conversion_of(to, from);
    if (to == from) memmove(dst, src, n * fp_type_size(to));
    else if (direct) direct(dst, src, n);
    else if (fp_is_narrow(to) || fp_is_narrow(from)) fp_convert_all(dst, to, src, from, n, true, FP_ROUND_NEAREST);
    else convert_half(dst, to, src, from, n);
}
