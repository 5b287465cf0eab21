// SPDX-License-Identifier: Apache-2.0
// exp, log and their kin for float32, without calls and branches, so that loops over them become vector code.
// Polynomials are minimax fits of our own; errors are a few units in the last place over the whole range, infinities
// and NaN are kept.
#ifndef FP_VMATH_H
#define FP_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define FP_INLINE static inline __attribute__((always_inline, unused))

FP_INLINE uint32_t fp_bits(float x) {
    union {
        float f;
        uint32_t u;
    } v = {.f = x};
    return v.u;
}
FP_INLINE float fp_from_bits(uint32_t x) {
    union {
        uint32_t u;
        float f;
    } v = {.u = x};
    return v.f;
}

// x = n ln 2 + r with |r| <= ln 2 / 2; exp(x) = 2^n exp(r), 2^n in two factors so that it may pass the range of float.
FP_INLINE float fp_exp(float x) {
    x = x > 89.5f ? 89.5f : x;
    x = x < -105.0f ? -105.0f : x;
    float shifted = x * 1.44269504f + 12582912.0f; // 1.5 * 2^23: rounds to an integer that stands in the low bits
    float n = shifted - 12582912.0f;
    uint32_t i = fp_bits(shifted) - 0x4b400000u;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 0.00139507239f;
    p = p * r + 0.00836902505f;
    p = p * r + 0.0416662023f;
    p = p * r + 0.166665177f;
    p = p * r + 0.5f;
    p = p * (r * r) + r + 1;
    uint32_t half = (uint32_t)((int32_t)i >> 1);
    return p * fp_from_bits((half + 127) << 23) * fp_from_bits((i - half + 127) << 23);
}

// x = 2^e m with m in [sqrt 1/2, sqrt 2); log m by the series of atanh(s), s = (m - 1) / (m + 1).
FP_INLINE float fp_log(float x) {
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;
    float bias = x < 1.17549435e-38f ? -23.0f : 0.0f;
    uint32_t i = fp_bits(scaled) - 0x3f3504f3u;
    float e = (float)((int32_t)i >> 23) + bias;
    float f = fp_from_bits((i & 0x7fffffu) + 0x3f3504f3u) - 1;
    float s = f / (2 + f), z = s * s;
    float p = 0.235967882f;
    p = p * z + 0.285365801f;
    p = p * z + 0.400003459f;
    p = p * z + 0.666666656f;
    float half = 0.5f * f * f; // log m = f - half + s (half + z p): the first terms are exact
    float r = f - (half - (s * (half + z * p) + e * -2.12194440e-4f)) + e * 0.693359375f;
    r = x == 0 ? -INFINITY : r;
    r = x < 0 ? NAN : r;
    return x < INFINITY ? r : x; // +inf and NaN
}

// log(1 + z) for z in [0, 1].
FP_INLINE float fp_log1p_unit(float z) {
    float w = z / (2 + z), v = w * w;
    float p = 0.218003347f;
    p = p * v + 0.171454599f;
    p = p * v + 0.223017659f;
    p = p * v + 0.285683828f;
    p = p * v + 0.400000533f;
    p = p * v + 0.666666664f;
    return 2 * w + w * v * p;
}

FP_INLINE float fp_sigmoid(float x) {
    float e = fp_exp(-fabsf(x)), r = 1 / (1 + e), low = e * r;
    return x >= 0 ? r : low;
}

FP_INLINE float fp_tanh(float x) {
    float a = fabsf(x), z = x * x;
    float p = -0.00560390545f;
    p = p * z + 0.0205517107f;
    p = p * z - 0.0537141042f;
    p = p * z + 0.133311528f;
    p = p * z - 0.333332721f;
    float near = x + x * z * p;
    float e = fp_exp(-2 * a), far = (1 - e) / (1 + e);
    far = x < 0 ? -far : far;
    return a < 0.64f ? near : far;
}

// erfc(t) for t >= 0, with a small relative error down to where it vanishes: exp(-t^2) u P(u), u = 1 / (1 + 0.3 t).
FP_INLINE float fp_erfc_positive(float t) {
    float u = 1 / (1 + 0.3f * t);
    float p = -0.12955456f;
    p = p * u + 0.485729358f;
    p = p * u - 0.512651919f;
    p = p * u + 0.548190267f;
    p = p * u - 0.095011856f;
    p = p * u + 0.215099169f;
    p = p * u + 0.148288668f;
    p = p * u + 0.170723413f;
    p = p * u + 0.169187442f;
    float c = p * u * fp_exp(-t * t);
    return t > 10.5f ? 0 : c;
}

FP_INLINE float fp_erf(float x) {
    float a = fabsf(x), z = x * x;
    float p = 7.88911953e-05f;
    p = p * z - 0.000802084128f;
    p = p * z + 0.00518953534f;
    p = p * z - 0.0268544446f;
    p = p * z + 0.112836002f;
    p = p * z - 0.376126271f;
    p = p * z + 1.12837917f;
    float near = x * p, far = 1 - fp_erfc_positive(a);
    far = x < 0 ? -far : far;
    return a < 1 ? near : far;
}

// x times the normal distribution function of x.
FP_INLINE float fp_gelu(float x) {
    float half_tail = 0.5f * fp_erfc_positive(fabsf(x) * 0.707106781f);
    float low = x * half_tail, high = half_tail > 0 ? x - low : x;
    low = x < -14.5f ? -0.0f : low; // -inf too
    return x >= 0 ? high : x < 0 ? low : x;
}

FP_INLINE float fp_softplus(float x) {
    float tail = fp_log1p_unit(fp_exp(-fabsf(x)));
    float positive = x > 0 ? x : 0;
    return positive + tail; // a NaN lives on in tail
}

#endif
