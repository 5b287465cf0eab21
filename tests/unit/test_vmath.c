// SPDX-License-Identifier: Apache-2.0
// The vector functions against the C library's in float64.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/vmath.h"

static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double exact_gelu(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }
static double exact_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static float our_exp(float x) { return fp_exp(x); }
static float our_log(float x) { return fp_log(x); }
static float our_sigmoid(float x) { return fp_sigmoid(x); }
static float our_tanh(float x) { return fp_tanh(x); }
static float our_erf(float x) { return fp_erf(x); }
static float our_gelu(float x) { return fp_gelu(x); }
static float our_softplus(float x) { return fp_softplus(x); }

static const struct {
    const char *name;
    float (*ours)(float);
    double (*exact)(double);
    double low, high, error; // relative
} ROWS[] = {
    {"exp", our_exp, exp, -87, 88.7, 2e-7},
    {"log", our_log, log, 1e-37, 1e3, 2e-7},
    {"log near 1", our_log, log, 0.5, 2, 2e-7},
    {"sigmoid", our_sigmoid, exact_sigmoid, -80, 40, 4e-7},
    {"tanh", our_tanh, tanh, -20, 20, 4e-7},
    {"tanh near 0", our_tanh, tanh, -1e-3, 1e-3, 4e-7},
    {"erf", our_erf, erf, -6, 6, 4e-7},
    {"gelu", our_gelu, exact_gelu, -5, 20, 5e-6},
    {"softplus", our_softplus, exact_softplus, -80, 80, 4e-7},
};

static void test_errors(void **state) {
    (void)state;
    for (size_t r = 0; r < sizeof(ROWS) / sizeof(ROWS[0]); r++)
        for (int i = 0; i <= 200000; i++) {
            float x = (float)(ROWS[r].low + (ROWS[r].high - ROWS[r].low) * i / 200000);
            double exact = ROWS[r].exact((double)x), found = (double)ROWS[r].ours(x);
            if (fabs(found - exact) > ROWS[r].error * fabs(exact) + 1e-38)
                fail_msg("%s(%.9g) is %.9g, not %.9g", ROWS[r].name, (double)x, found, exact);
        }
}

static void test_limits(void **state) {
    (void)state;
    for (size_t r = 0; r < sizeof(ROWS) / sizeof(ROWS[0]); r++) assert_true(isnan(ROWS[r].ours(NAN)));
    assert_true(fp_exp(INFINITY) == INFINITY && fp_exp(-INFINITY) == 0 && fp_exp(89) == INFINITY && fp_exp(-200) == 0);
    assert_true(fp_exp(-100) > 0); // subnormal
    assert_true(fp_log(0) == -INFINITY && fp_log(INFINITY) == INFINITY && isnan(fp_log(-1)));
    assert_true(fabsf(fp_log(1e-40f) + 92.1034f) < 1e-3f);
    assert_true(fp_sigmoid(INFINITY) == 1 && fp_sigmoid(-INFINITY) == 0);
    assert_true(fp_tanh(INFINITY) == 1 && fp_tanh(-INFINITY) == -1);
    assert_true(fp_erf(INFINITY) == 1 && fp_erf(-INFINITY) == -1);
    assert_true(fp_gelu(INFINITY) == INFINITY && fp_gelu(-INFINITY) == 0);
    assert_true(fp_softplus(INFINITY) == INFINITY && fp_softplus(-INFINITY) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
