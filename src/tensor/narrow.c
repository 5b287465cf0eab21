// SPDX-License-Identifier: Apache-2.0
// Types of eight bits and less; see narrow.h. A small float is described by one row: the widths of its parts and its
// special codes.
#include "tensor/narrow.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct small_float {
    int mantissa, bias, bits;
    uint8_t max, infinity, nan; // magnitudes; infinity 0: none
    bool one_nan;               // the NaN is the code of -0, and there is no -0
    bool always_saturates;
};

static const struct small_float *small_float(enum fp_type type) {
    static const struct small_float rows[] = {
        [FP_FLOAT8E4M3FN] = {.mantissa = 3, .bias = 7, .bits = 8, .max = 0x7e, .nan = 0x7f},
        [FP_FLOAT8E4M3FNUZ] = {.mantissa = 3, .bias = 8, .bits = 8, .max = 0x7f, .nan = 0x80, .one_nan = true},
        [FP_FLOAT8E5M2] = {.mantissa = 2, .bias = 15, .bits = 8, .max = 0x7b, .infinity = 0x7c, .nan = 0x7e},
        [FP_FLOAT8E5M2FNUZ] = {.mantissa = 2, .bias = 16, .bits = 8, .max = 0x7f, .nan = 0x80, .one_nan = true},
        [FP_FLOAT4E2M1] = {.mantissa = 1, .bias = 1, .bits = 4, .max = 0x7, .always_saturates = true},
    };
    const struct small_float *row = NULL;
    if (type > 0 && (size_t)type < FP_COUNT(rows)) row = &rows[type];
    if (row && row->bits) return row;
    return NULL;
}

// Bits of the packed integers, negative when signed; 0 for other types.
static int integer_bits(enum fp_type type) {
    switch (type) {
    case FP_UINT4: return 4;
    case FP_INT4: return -4;
    case FP_UINT2: return 2;
    case FP_INT2: return -2;
    default: return 0;
    }
}

bool fp_is_narrow(enum fp_type type) { return small_float(type) || type == FP_FLOAT8E8M0 || integer_bits(type) != 0; }

int fp_per_byte(enum fp_type type) {
    int bits = abs(integer_bits(type));
    if (type == FP_FLOAT4E2M1) bits = 4;
    if (bits) return 8 / bits;
    return 1;
}

// The low bits of `code` as an element in memory.
static uint8_t extend(unsigned code, int signed_bits) {
    int bits = abs(signed_bits);
    code &= (1u << bits) - 1;
    bool negative = signed_bits < 0 && (code >> (bits - 1) & 1);
    if (negative) code |= ~((1u << bits) - 1);
    return (uint8_t)code;
}

void fp_unpack(void *dst, const void *src, size_t n, enum fp_type type) {
    size_t per = (size_t)fp_per_byte(type);
    uint8_t *to = dst;
    const uint8_t *from = src;
    if (per == 1) {
        memcpy(dst, src, n);
        return;
    }
    int bits = (int)(8 / per), signed_bits = bits;
    if (integer_bits(type) < 0) signed_bits = -bits;
    for (size_t i = 0; i < n; i++) to[i] = extend((unsigned)from[i / per] >> (i % per * (size_t)bits), signed_bits);
}

void fp_pack(void *dst, const void *src, size_t n, enum fp_type type) {
    size_t per = (size_t)fp_per_byte(type), bits = 8 / per;
    uint8_t *to = dst;
    const uint8_t *from = src;
    if (per == 1) {
        memcpy(dst, src, n);
        return;
    }
    memset(dst, 0, (n + per - 1) / per);
    for (size_t i = 0; i < n; i++) {
        unsigned code = from[i] & ((1u << bits) - 1);
        to[i / per] = (uint8_t)(to[i / per] | code << (i % per * bits));
    }
}

static float from_small_float(const struct small_float *f, uint8_t code) {
    unsigned sign = code >> (f->bits - 1) & 1, magnitude = code & ((1u << (f->bits - 1)) - 1);
    float side = 1;
    if (sign) side = -1;
    if (f->one_nan && code == f->nan) return NAN;
    if (f->infinity && magnitude == f->infinity) return copysignf(INFINITY, side);
    if (magnitude > f->max) return copysignf(NAN, side);
    int exponent = (int)(magnitude >> f->mantissa);
    unsigned mantissa = magnitude & ((1u << f->mantissa) - 1);
    if (exponent > 0) mantissa |= 1u << f->mantissa;
    else exponent = 1;
    float value = ldexpf((float)mantissa, exponent - f->bias - f->mantissa);
    if (sign) return -value;
    return value;
}

static uint8_t to_small_float(const struct small_float *f, float value, bool saturate) {
    const uint8_t top = (uint8_t)(1u << (f->bits - 1));
    uint8_t sign = 0;
    if (signbit(value)) sign = top;
    float a = fabsf(value);
    saturate = saturate || f->always_saturates;
    if (isnan(value)) {
        if (f->one_nan) return f->nan;
        if (!f->nan) return top;
        return f->nan | sign;
    }
    unsigned code = f->max + 1u;
    if (a < 1e9f) { // far over the largest number of all these types
        int exponent = 1 - f->bias;
        if (a > 0 && ilogbf(a) > exponent) exponent = ilogbf(a);
        // The mantissa of a number with the leading bit carries into the exponent by itself.
        code = ((unsigned)(exponent + f->bias - 1) << f->mantissa) + (unsigned)rintf(ldexpf(a, f->mantissa - exponent));
    }
    if (code > f->max) {
        if (saturate) code = f->max;
        else if (f->one_nan) return f->nan;
        else if (f->infinity) code = f->infinity;
        else code = f->nan;
    }
    if (code == 0 && f->one_nan) return 0;
    return (uint8_t)(code | sign);
}

static uint8_t to_power(float value, bool saturate, enum fp_rounding rounding) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    unsigned exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
    if (exponent == 0xff && fraction == 0 && saturate) return 0xfe;
    if (exponent == 0xff) return 0xff;
    // The code 0 is 2^-127, half of the smallest normal float: as a fraction of it, a subnormal is worth twice as much.
    unsigned whole = 0, half = 0x400000;
    if (!exponent) {
        whole = 0x400000;
        half = 0x600000;
    }
    bool up = false;
    if (rounding == FP_ROUND_UP) up = fraction > whole;
    else if (rounding == FP_ROUND_NEAREST) up = fraction >= half;
    if (!up || (exponent == 0xfe && saturate)) return (uint8_t)exponent;
    return (uint8_t)(exponent + 1);
}

float fp_narrow_to_float(enum fp_type type, uint8_t code) {
    const struct small_float *f = small_float(type);
    if (f) return from_small_float(f, code);
    if (type == FP_FLOAT8E8M0 && code == 0xff) return NAN;
    if (type == FP_FLOAT8E8M0) return ldexpf(1, (int)code - 127);
    assert(integer_bits(type) != 0);
    if (integer_bits(type) < 0) return (float)(int8_t)code;
    return (float)code;
}

uint8_t fp_float_to_narrow(enum fp_type type, float value, bool saturate, enum fp_rounding rounding) {
    const struct small_float *f = small_float(type);
    if (f) return to_small_float(f, value, saturate);
    if (type == FP_FLOAT8E8M0) return to_power(value, saturate, rounding);
    assert(integer_bits(type) != 0);
    if (fabsf(value) < 2e9f) return extend((unsigned)(int)value, integer_bits(type));
    return 0;
}

static void convert_chunk(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n, bool saturate,
                          enum fp_rounding rounding) {
    float values[256];
    const uint8_t *codes = src;
    uint8_t *out = dst;
    if (fp_is_narrow(from))
        for (size_t i = 0; i < n; i++) values[i] = fp_narrow_to_float(from, codes[i]);
    else fp_convert(values, FP_FLOAT, src, from, n);
    if (fp_is_narrow(to))
        for (size_t i = 0; i < n; i++) out[i] = fp_float_to_narrow(to, values[i], saturate, rounding);
    else fp_convert(dst, to, values, FP_FLOAT, n);
}

// The plain type whose elements lie in memory as those of a packed integer do.
static enum fp_type plain(enum fp_type type) {
    if (integer_bits(type) < 0) return FP_INT8;
    if (integer_bits(type) > 0) return FP_UINT8;
    return type;
}

static void convert_integers(uint8_t *dst, enum fp_type to, const char *src, enum fp_type from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        fp_convert(&value, FP_INT64, src + i * fp_type_size(from), from, 1);
        dst[i] = extend((unsigned)value, integer_bits(to));
    }
}

void fp_convert_all(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n, bool saturate,
                    enum fp_rounding rounding) {
    from = plain(from);
    if (!fp_is_narrow(to) && !fp_is_narrow(from)) {
        fp_convert(dst, to, src, from, n);
        return;
    }
    if (integer_bits(to) && (fp_type_is_integer(from) || from == FP_BOOL)) {
        convert_integers(dst, to, src, from, n);
        return;
    }
    size_t to_size = fp_type_size(to), from_size = fp_type_size(from);
    for (size_t i = 0; i < n; i += 256)
        convert_chunk((char *)dst + i * to_size, to, (const char *)src + i * from_size, from, fp_least(n - i, 256),
                      saturate, rounding);
}
