// SPDX-License-Identifier: Apache-2.0
// Tensors: shapes, shared memory, and conversion between the element types.
#include "tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    enum fp_type type;
    size_t size;
    const char *name;
} TYPES[] = {
    {FP_FLOAT, 4, "float32"},       {FP_UINT8, 1, "uint8"},
    {FP_INT8, 1, "int8"},           {FP_UINT16, 2, "uint16"},
    {FP_INT16, 2, "int16"},         {FP_INT32, 4, "int32"},
    {FP_INT64, 8, "int64"},         {FP_STRING, 0, "string"},
    {FP_BOOL, 1, "bool"},           {FP_FLOAT16, 2, "float16"},
    {FP_DOUBLE, 8, "float64"},      {FP_UINT32, 4, "uint32"},
    {FP_UINT64, 8, "uint64"},       {FP_COMPLEX64, 8, "complex64"},
    {FP_COMPLEX128, 16, "complex128"}, {FP_BFLOAT16, 2, "bfloat16"},
    {FP_FLOAT8E4M3FN, 1, "float8e4m3fn"}, {FP_FLOAT8E4M3FNUZ, 1, "float8e4m3fnuz"},
    {FP_FLOAT8E5M2, 1, "float8e5m2"}, {FP_FLOAT8E5M2FNUZ, 1, "float8e5m2fnuz"},
    {FP_UINT4, 1, "uint4"},         {FP_INT4, 1, "int4"}, // in memory one element a byte
    {FP_FLOAT4E2M1, 1, "float4e2m1"}, {FP_FLOAT8E8M0, 1, "float8e8m0"},
    {FP_UINT2, 1, "uint2"},         {FP_INT2, 1, "int2"},
    {FP_SEQUENCE, 0, "sequence"},   {FP_NONE, 0, "none"},
};

size_t fp_type_size(enum fp_type type) {
    for (size_t i = 0; i < FP_COUNT(TYPES); i++)
        if (TYPES[i].type == type) return TYPES[i].size;
    return 0;
}

const char *fp_type_name(enum fp_type type) {
    for (size_t i = 0; i < FP_COUNT(TYPES); i++)
        if (TYPES[i].type == type) return TYPES[i].name;
    return "unknown type";
}

char *fp_shape_text(char *dst, size_t size, int rank, const int64_t *dims) {
    size_t n = 0;
    n += (size_t)snprintf(dst, size, "[");
    for (int i = 0; i < rank && n < size; i++) {
        if (dims[i] < 0) n += (size_t)snprintf(dst + n, size - n, "%s?", i ? "," : "");
        else n += (size_t)snprintf(dst + n, size - n, "%s%lld", i ? "," : "", (long long)dims[i]);
    }
    if (n < size) snprintf(dst + n, size - n, "]");
    return dst;
}

// ---- memory

int fp_tensor_shape(struct fp_tensor *t, enum fp_type type, int rank, const int64_t *dims, fineprune_error *err) {
    memset(t, 0, sizeof(*t));
    if (rank < 0 || rank > FP_MAX_RANK)
        return fp_fail(err, FINEPRUNE_MODEL, "rank %d is not supported (0 to %d are)", rank, FP_MAX_RANK);
    size_t count, bytes;
    char text[160];
    if (!fp_product(rank, dims, &count) || !fp_mul(count, 16, &bytes))
        return fp_fail(err, FINEPRUNE_MODEL, "shape %s is not possible", fp_shape_text(text, sizeof(text), rank, dims));
    t->type = type;
    t->rank = rank;
    if (rank) memcpy(t->dims, dims, (size_t)rank * sizeof(dims[0]));
    t->count = count;
    return FINEPRUNE_OK;
}

int fp_tensor_allocate(struct fp_tensor *t, struct fp_memory *memory, fineprune_error *err) {
    if (t->data) return FINEPRUNE_OK;
    size_t element = t->type == FP_STRING ? sizeof(char *) : fp_type_size(t->type);
    size_t bytes = t->count * element; // fp_tensor_shape has left room for 16 bytes an element
    struct fp_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer) buffer->data = fp_take(memory, bytes);
    if (!buffer || !buffer->data) {
        free(buffer);
        char text[160];
        fp_shape_text(text, sizeof(text), t->rank, t->dims);
        memset(t, 0, sizeof(*t));
        return fp_fail_memory(err, text, bytes);
    }
    if (t->type == FP_STRING) memset(buffer->data, 0, bytes);
    buffer->refs = 1;
    buffer->size = bytes;
    buffer->memory = memory;
    t->buffer = buffer;
    t->data = buffer->data;
    return FINEPRUNE_OK;
}

int fp_tensor_new(struct fp_tensor *t, struct fp_memory *memory, enum fp_type type, int rank, const int64_t *dims,
                  fineprune_error *err) {
    int status = fp_tensor_shape(t, type, rank, dims, err);
    return status ? status : fp_tensor_allocate(t, memory, err);
}

void fp_tensor_share(struct fp_tensor *dst, const struct fp_tensor *src) {
    *dst = *src;
    if (dst->buffer) dst->buffer->refs++;
}

static void destroy_strings(const struct fp_tensor *t) {
    char **text = t->data;
    for (size_t i = 0; i < t->buffer->size / sizeof(char *); i++) free(text[i]);
}

void fp_tensor_done(struct fp_tensor *t) {
    struct fp_buffer *buffer = t->buffer;
    if (buffer && --buffer->refs == 0) {
        if (buffer->destroy) buffer->destroy(buffer);
        else if (t->type == FP_STRING) destroy_strings(t);
        if (buffer->data) fp_release(buffer->memory, buffer->data, buffer->size);
        free(buffer);
    }
    memset(t, 0, sizeof(*t));
}

int fp_tensor_copy(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, fineprune_error *err) {
    int status = fp_tensor_new(dst, memory, src->type, src->rank, src->dims, err);
    if (status) return status;
    if (src->type != FP_STRING) {
        if (src->count) memcpy(dst->data, src->data, fp_tensor_bytes(src));
        return FINEPRUNE_OK;
    }
    for (size_t i = 0; i < src->count; i++) {
        char *text = strdup(((char **)src->data)[i]);
        if (!text) {
            fp_tensor_done(dst);
            return fp_fail_memory(err, "text", 1);
        }
        ((char **)dst->data)[i] = text;
    }
    return FINEPRUNE_OK;
}

// ---- float16, bfloat16, float8

float fp_half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1f, mantissa = h & 0x3ff;
    union { uint32_t u; float f; } v;
    if (exponent == 0x1f) v.u = sign | 0x7f800000 | mantissa << 13;
    else if (exponent) v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    else {
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

uint16_t fp_float_to_half(float f) {
    union { float f; uint32_t u; } v = {.f = f};
    uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000);
    uint32_t magnitude = v.u & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00); // NaN
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // 65520 and above round to infinity
    if (magnitude < 0x38800000) { // subnormal: the addition does the rounding
        union { float f; uint32_t u; } s = {.u = magnitude};
        s.f += 0.5f;
        return (uint16_t)(sign | (s.u - 0x3f000000));
    }
    magnitude += 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((magnitude - 0x38000000) >> 13));
}

uint16_t fp_float_to_bfloat(float f) {
    union { float f; uint32_t u; } v = {.f = f};
    if ((v.u & 0x7fffffff) > 0x7f800000) return (uint16_t)(v.u >> 16 | 0x40);
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

// The four 8-bit formats: bits of mantissa, bias, and how infinity, NaN and negative zero are spelt (onnx docs: float8.md).
struct float8 {
    int mantissa, bias;
    bool infinite, unsigned_zero;
};

static struct float8 float8_of(enum fp_type type) {
    switch ((int)type) {
    case FP_FLOAT8E4M3FN: return (struct float8){3, 7, false, false};
    case FP_FLOAT8E4M3FNUZ: return (struct float8){3, 8, false, true};
    case FP_FLOAT8E5M2: return (struct float8){2, 15, true, false};
    default: return (struct float8){2, 16, false, true};
    }
}

static float float8_to_float(uint8_t bits, struct float8 k) {
    int sign = bits >> 7, exponent = (bits & 0x7f) >> k.mantissa, mantissa = bits & ((1 << k.mantissa) - 1);
    if (k.unsigned_zero && bits == 0x80) return NAN;
    if (!k.unsigned_zero) {
        int top = (1 << (7 - k.mantissa)) - 1;
        if (k.infinite && exponent == top) return mantissa ? NAN : sign ? -INFINITY : INFINITY;
        if (!k.infinite && (bits & 0x7f) == 0x7f) return NAN;
    }
    float v = exponent ? ldexpf((float)(mantissa + (1 << k.mantissa)), exponent - k.bias - k.mantissa)
                       : ldexpf((float)mantissa, 1 - k.bias - k.mantissa);
    return sign ? -v : v;
}

static uint8_t float_to_float8(float f, struct float8 k) {
    uint8_t sign = signbit(f) ? 0x80 : 0, not_a_number = k.unsigned_zero ? 0x80 : (uint8_t)(sign | 0x7f);
    if (isnan(f)) return not_a_number;
    // The greatest finite code: all ones, less what is taken by infinity and NaN.
    uint8_t top = (uint8_t)(k.unsigned_zero ? 0x7f : k.infinite ? (0x7f & ~((1 << k.mantissa) - 1)) - 1 : 0x7e);
    float a = fabsf(f);
    if (a >= float8_to_float(top, k)) return (uint8_t)(sign | top); // saturates
    int e = a > 0 ? ilogbf(a) : -1000;
    if (e < 1 - k.bias) e = 1 - k.bias;
    float scaled = nearbyintf(ldexpf(a, k.mantissa - e)); // in units of the last place
    int code = (e + k.bias - 1) * (1 << k.mantissa) + (int)scaled;
    if (code == 0 && k.unsigned_zero) return 0;
    return (uint8_t)(sign | code);
}

// ---- conversion

// Reads element i as double or int64, whichever is exact for the type.
static double get_double(const void *src, enum fp_type type, size_t i) {
    switch ((int)type) {
    case FP_FLOAT: return ((const float *)src)[i];
    case FP_DOUBLE: return ((const double *)src)[i];
    case FP_FLOAT16: return fp_half_to_float(((const uint16_t *)src)[i]);
    case FP_BFLOAT16: return fp_bfloat_to_float(((const uint16_t *)src)[i]);
    default: return float8_to_float(((const uint8_t *)src)[i], float8_of(type));
    }
}

static int64_t get_integer(const void *src, enum fp_type type, size_t i) {
    switch ((int)type) {
    case FP_UINT8: case FP_UINT4: return ((const uint8_t *)src)[i];
    case FP_BOOL: return ((const uint8_t *)src)[i] != 0;
    case FP_INT8: case FP_INT4: return ((const int8_t *)src)[i];
    case FP_UINT16: return ((const uint16_t *)src)[i];
    case FP_INT16: return ((const int16_t *)src)[i];
    case FP_UINT32: return ((const uint32_t *)src)[i];
    case FP_INT32: return ((const int32_t *)src)[i];
    case FP_UINT64: return (int64_t)((const uint64_t *)src)[i];
    default: return ((const int64_t *)src)[i];
    }
}

static bool is_float8(enum fp_type t) { return t >= FP_FLOAT8E4M3FN && t <= FP_FLOAT8E5M2FNUZ; }

static void put_integer(void *dst, enum fp_type type, size_t i, int64_t v, bool is_unsigned64) {
    switch ((int)type) {
    case FP_UINT8: case FP_INT8: ((uint8_t *)dst)[i] = (uint8_t)v; break;
    case FP_UINT4: ((uint8_t *)dst)[i] = (uint8_t)(v & 15); break;
    case FP_INT4: ((int8_t *)dst)[i] = (int8_t)((v & 15) ^ 8) - 8; break;
    case FP_UINT16: case FP_INT16: ((uint16_t *)dst)[i] = (uint16_t)v; break;
    case FP_UINT32: case FP_INT32: ((uint32_t *)dst)[i] = (uint32_t)v; break;
    case FP_UINT64: case FP_INT64: ((int64_t *)dst)[i] = v; break;
    case FP_BOOL: ((uint8_t *)dst)[i] = v != 0; break;
    case FP_FLOAT: ((float *)dst)[i] = is_unsigned64 ? (float)(uint64_t)v : (float)v; break;
    case FP_DOUBLE: ((double *)dst)[i] = is_unsigned64 ? (double)(uint64_t)v : (double)v; break;
    case FP_FLOAT16: ((uint16_t *)dst)[i] = fp_float_to_half(is_unsigned64 ? (float)(uint64_t)v : (float)v); break;
    case FP_BFLOAT16: ((uint16_t *)dst)[i] = fp_float_to_bfloat(is_unsigned64 ? (float)(uint64_t)v : (float)v); break;
    default: ((uint8_t *)dst)[i] = float_to_float8((float)v, float8_of(type));
    }
}

// Out-of-range and NaN have no meaning in C: saturate, NaN is 0.
static int64_t saturate(double v) {
    if (isnan(v)) return 0;
    if (v >= 0x1p63) return v >= 0x1p64 ? INT64_MAX : (int64_t)(uint64_t)v;
    return v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static void put_double(void *dst, enum fp_type type, size_t i, double v) {
    switch ((int)type) {
    case FP_FLOAT: ((float *)dst)[i] = (float)v; break;
    case FP_DOUBLE: ((double *)dst)[i] = v; break;
    case FP_FLOAT16: ((uint16_t *)dst)[i] = fp_float_to_half((float)v); break;
    case FP_BFLOAT16: ((uint16_t *)dst)[i] = fp_float_to_bfloat((float)v); break;
    case FP_BOOL: ((uint8_t *)dst)[i] = v != 0; break;
    default:
        if (is_float8(type)) ((uint8_t *)dst)[i] = float_to_float8((float)v, float8_of(type));
        else put_integer(dst, type, i, saturate(v), false);
    }
}

void fp_convert(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n) {
    if (to == from) {
        if (n) memmove(dst, src, n * fp_type_size(to));
    } else if (from == FP_FLOAT16 && to == FP_FLOAT) {
        for (size_t i = 0; i < n; i++) ((float *)dst)[i] = fp_half_to_float(((const uint16_t *)src)[i]);
    } else if (from == FP_UINT8 && to == FP_FLOAT) {
        for (size_t i = 0; i < n; i++) ((float *)dst)[i] = ((const uint8_t *)src)[i];
    } else if (fp_type_is_float(from) || is_float8(from)) {
        for (size_t i = 0; i < n; i++) put_double(dst, to, i, get_double(src, from, i));
    } else {
        for (size_t i = 0; i < n; i++) put_integer(dst, to, i, get_integer(src, from, i), from == FP_UINT64);
    }
}

int fp_tensor_convert(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, enum fp_type type,
                      fineprune_error *err) {
    if (!fp_type_size(type) || !fp_type_size(src->type) || type == FP_COMPLEX64 || type == FP_COMPLEX128 ||
        src->type == FP_COMPLEX64 || src->type == FP_COMPLEX128)
        return fp_fail(err, FINEPRUNE_MODEL, "no conversion from %s to %s", fp_type_name(src->type), fp_type_name(type));
    int status = fp_tensor_new(dst, memory, type, src->rank, src->dims, err);
    if (!status) fp_convert(dst->data, type, src->data, src->type, src->count);
    return status;
}
