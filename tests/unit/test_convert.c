// SPDX-License-Identifier: Apache-2.0
// Element types against plain definitions: every code of the small ones, roundings half way, casts out of range.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tensor/narrow.h"

// The value of a small float by the book: sign, biased exponent, mantissa.
static double book(unsigned code, int bits, int mantissa, int bias) {
    int exponent = (int)(code >> mantissa & ((1u << (bits - 1 - mantissa)) - 1));
    double fraction = (double)(code & ((1u << mantissa) - 1)) / (1 << mantissa);
    double value = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);
    return code >> (bits - 1) ? -value : value;
}

static void test_half(void **state) {
    (void)state;
    for (unsigned code = 0; code < 65536; code++) {
        float f = fp_half_to_float((uint16_t)code);
        if ((code >> 10 & 31) == 31) {
            assert_true(code & 1023 ? isnan(f) : isinf(f) && (f < 0) == (code >> 15));
            continue;
        }
        assert_true((double)f == book(code, 16, 10, 15));
        assert_int_equal(fp_float_to_half(f), code);
    }
    assert_int_equal(fp_float_to_half(1.00048828125f), 0x3c00); // half way: to even
    assert_int_equal(fp_float_to_half(1.00146484375f), 0x3c02);
    assert_int_equal(fp_float_to_half(65519.996f), 0x7bff);
    assert_int_equal(fp_float_to_half(65520), 0x7c00);
    assert_int_equal(fp_float_to_half(2.9802322e-8f), 0); // half of the least number
    assert_int_equal(fp_float_to_half(2.9802326e-8f), 1);
    assert_int_equal(fp_float_to_half(-INFINITY), 0xfc00);
    assert_true(isnan(fp_half_to_float(fp_float_to_half(NAN))));
    assert_true(isnan(fp_bfloat_to_float(fp_float_to_bfloat(NAN))));
}

static const struct {
    enum fp_type type;
    int bits, mantissa, bias;
    double max;
} SMALL[] = {
    {FP_FLOAT8E4M3FN, 8, 3, 7, 448},      {FP_FLOAT8E4M3FNUZ, 8, 3, 8, 240}, {FP_FLOAT8E5M2, 8, 2, 15, 57344},
    {FP_FLOAT8E5M2FNUZ, 8, 2, 16, 57344}, {FP_FLOAT4E2M1, 4, 1, 1, 6},
};

static void test_small_floats(void **state) {
    (void)state;
    for (size_t i = 0; i < FP_COUNT(SMALL); i++) {
        enum fp_type type = SMALL[i].type;
        for (unsigned code = 0; code < 1u << SMALL[i].bits; code++) {
            float f = fp_narrow_to_float(type, (uint8_t)code);
            if (!isfinite(f)) continue;
            assert_true((double)f == book(code, SMALL[i].bits, SMALL[i].mantissa, SMALL[i].bias));
            assert_true(fabs((double)f) <= SMALL[i].max);
            assert_int_equal(fp_float_to_narrow(type, f, true, FP_ROUND_UP), code);
            // A little more or less is still the same number.
            assert_int_equal(fp_float_to_narrow(type, f * 1.0001f, true, FP_ROUND_UP), code);
        }
        float top = (float)SMALL[i].max;
        assert_true(fp_narrow_to_float(type, fp_float_to_narrow(type, 1e30f, true, FP_ROUND_UP)) == top);
        assert_true(fp_narrow_to_float(type, fp_float_to_narrow(type, -INFINITY, true, FP_ROUND_UP)) == -top);
        if (type != FP_FLOAT4E2M1) {
            assert_false(isfinite(fp_narrow_to_float(type, fp_float_to_narrow(type, 1e30f, false, FP_ROUND_UP))));
            assert_true(isnan(fp_narrow_to_float(type, fp_float_to_narrow(type, NAN, true, FP_ROUND_UP))));
        }
    }
}

static void test_powers(void **state) {
    (void)state;
    assert_int_equal(fp_float_to_narrow(FP_FLOAT8E8M0, 1, true, FP_ROUND_UP), 127);
    assert_int_equal(fp_float_to_narrow(FP_FLOAT8E8M0, 1.1f, true, FP_ROUND_UP), 128);
    assert_int_equal(fp_float_to_narrow(FP_FLOAT8E8M0, 1.1f, true, FP_ROUND_DOWN), 127);
    assert_int_equal(fp_float_to_narrow(FP_FLOAT8E8M0, 1.5f, true, FP_ROUND_NEAREST), 128);
    assert_int_equal(fp_float_to_narrow(FP_FLOAT8E8M0, INFINITY, true, FP_ROUND_UP), 254);
    for (int code = 0; code < 255; code++)
        assert_int_equal(
            fp_float_to_narrow(FP_FLOAT8E8M0, fp_narrow_to_float(FP_FLOAT8E8M0, (uint8_t)code), true, FP_ROUND_UP),
            code);
}

static void test_packing(void **state) {
    (void)state;
    static const enum fp_type types[] = {FP_UINT4, FP_INT4, FP_UINT2, FP_INT2, FP_FLOAT4E2M1};
    for (size_t t = 0; t < FP_COUNT(types); t++)
        for (size_t n = 0; n < 9; n++) {
            uint8_t packed[9], plain[9] = {0}, again[9];
            for (size_t i = 0; i < sizeof(packed); i++) packed[i] = (uint8_t)(0x1b * (i + 1));
            fp_unpack(plain, packed, n, types[t]);
            fp_pack(again, plain, n, types[t]);
            uint8_t third[9] = {0};
            fp_unpack(third, again, n, types[t]);
            assert_memory_equal(plain, third, sizeof(plain));
        }
    uint8_t one = 0xc9, out[4];
    fp_unpack(out, &one, 2, FP_INT4);
    assert_int_equal((int8_t)out[0], -7);
    assert_int_equal((int8_t)out[1], -4);
    fp_unpack(out, &one, 4, FP_INT2);
    assert_int_equal((int8_t)out[0], 1);
    assert_int_equal((int8_t)out[1], -2);
    assert_int_equal((int8_t)out[3], -1);
}

static void test_integers(void **state) {
    (void)state;
    const int64_t wide[4] = {300, -1, INT64_MIN, 1LL << 33};
    int8_t bytes[4];
    uint8_t flags[4];
    float floats[4];
    fp_convert(bytes, FP_INT8, wide, FP_INT64, 4);
    assert_int_equal(bytes[0], 44);
    assert_int_equal(bytes[1], -1);
    assert_int_equal(bytes[2], 0);
    fp_convert(flags, FP_BOOL, wide, FP_INT64, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(flags[i], 1);
    fp_convert(floats, FP_FLOAT, wide, FP_UINT64, 4);
    assert_true(floats[1] == 0x1p64f && floats[3] == 0x1p33f);
    const double odd[5] = {NAN, 1e300, -1e300, -1.9, 0.2};
    int64_t whole[5];
    fp_convert(whole, FP_INT64, odd, FP_DOUBLE, 5);
    assert_true(whole[0] == 0 && whole[1] == INT64_MAX && whole[2] == INT64_MIN && whole[3] == -1 && whole[4] == 0);
    uint8_t nibble;
    fp_convert(&nibble, FP_INT4, &wide[1], FP_INT64, 1);
    assert_int_equal((int8_t)nibble, -1);
    fp_convert(whole, FP_INT64, &nibble, FP_INT4, 1);
    assert_int_equal(whole[0], -1);
}

// Every pair of types keeps small whole numbers.
static void test_all_pairs(void **state) {
    (void)state;
    static const enum fp_type types[] = {FP_FLOAT, FP_DOUBLE, FP_FLOAT16,      FP_BFLOAT16,  FP_INT8,  FP_UINT8,
                                         FP_INT16, FP_UINT16, FP_INT32,        FP_UINT32,    FP_INT64, FP_UINT64,
                                         FP_UINT4, FP_INT4,   FP_FLOAT8E4M3FN, FP_FLOAT8E5M2};
    for (size_t a = 0; a < FP_COUNT(types); a++)
        for (size_t b = 0; b < FP_COUNT(types); b++) {
            uint64_t from[300], to[300];
            double in[300], out[300];
            for (int i = 0; i < 300; i++) in[i] = i % 8;
            fp_convert(from, types[a], in, FP_DOUBLE, 300);
            fp_convert(to, types[b], from, types[a], 300);
            fp_convert(out, FP_DOUBLE, to, types[b], 300);
            assert_memory_equal(in, out, sizeof(in));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),    cmocka_unit_test(test_small_floats), cmocka_unit_test(test_powers),
        cmocka_unit_test(test_packing), cmocka_unit_test(test_integers),     cmocka_unit_test(test_all_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
