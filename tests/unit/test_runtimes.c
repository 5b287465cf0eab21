// SPDX-License-Identifier: Apache-2.0
// What each runtime makes of weights whose zeros are known.
#include "report/runtimes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// A weight by its zeros.
struct kind {
    const char *what;
    enum fp_weight_kind kind;
    double share, products;
    size_t of_four, height; // kept of each four inputs; rows of a rectangle
    bool product, quantized, shrunk;
    const char *gains; // in ort, openvino, xnnpack, tensorrt, coreml: f(aster), s(maller), n(either)
};

static const struct kind kinds[] = {
    {"dense", FP_WEIGHT_RIGHT, 0, 0, 4, 1, true, false, false, "nnnnn"},
    {"scattered, two thirds", FP_WEIGHT_RIGHT, 2.0 / 3, 2.0 / 3, 4, 1, true, false, false, "nnnns"},
    {"scattered, a little more", FP_WEIGHT_RIGHT, 0.67, 0.67, 4, 1, true, false, false, "nnfns"},
    {"scattered, less than the others", FP_WEIGHT_RIGHT, 0.3, 0.7, 4, 1, true, false, false, "nnfnn"},
    {"scattered, 75 %", FP_WEIGHT_CONV, 0.75, 0.9, 4, 1, false, false, false, "nnnnf"},
    {"2:4 of a product", FP_WEIGHT_RIGHT, 0.5, 0.5, 2, 1, true, false, false, "nnnff"},
    {"2:4 of a convolution", FP_WEIGHT_CONV, 0.5, 0.5, 2, 1, false, false, false, "nnnfs"},
    {"blocks of two outputs", FP_WEIGHT_CONV, 0.6, 0, 4, 2, false, false, false, "nnnnf"},
    {"few blocks", FP_WEIGHT_CONV, 0.4, 0, 4, 2, false, false, false, "nnnnn"},
    {"int8, 80 %", FP_WEIGHT_RIGHT, 0.8, 0.8, 2, 1, true, true, false, "nfnnf"},
    {"int8, 70 %", FP_WEIGHT_RIGHT, 0.7, 0.7, 4, 1, true, true, false, "nnnns"},
    {"int8 convolution, 80 %", FP_WEIGHT_CONV, 0.8, 0.8, 4, 1, true, true, false, "nnnnf"},
    {"of fewer channels", FP_WEIGHT_CONV, 0.1, 0.1, 4, 1, false, false, true, "fffff"},
};

static void rules(void **state) {
    (void)state;
    static const char letters[] = "nsf";
    for (size_t i = 0; i < FP_COUNT(kinds); i++) {
        const struct kind *k = &kinds[i];
        const struct fp_weight w = {.kind = k->kind};
        struct fp_gain_facts facts = {.w = &w,
                                      .share = k->share,
                                      .products = k->products,
                                      .product = k->product,
                                      .quantized = k->quantized,
                                      .shrunk = k->shrunk};
        facts.zeros = (struct fp_zeros){.zeros = (size_t)(100 * k->share), .height = k->height, .width = 1};
        for (size_t n = 0; n < FP_NEIGHBOURS; n++) facts.zeros.kept[n] = (size_t)2 << n;
        facts.zeros.kept[1] = k->of_four;
        for (size_t r = 0; fp_runtimes[r]; r++) {
            const char *why = NULL;
            const char got = letters[fp_runtimes[r]->judge(&facts, &why)];
            if (got != k->gains[r]) fail_msg("%s in %s: %c, %s", k->what, fp_runtimes[r]->name, got, why);
            assert_non_null(why);
        }
    }
}

// Every row can be found by its name, and names what it rewards as the options do.
static void rows(void **state) {
    (void)state;
    size_t n = 0;
    for (; fp_runtimes[n]; n++) {
        const struct fp_runtime *r = fp_runtimes[n];
        assert_ptr_equal(fp_find_runtime(r->name), r);
        assert_true(!r->pattern != !r->channels);
        if (r->pattern) assert_int_equal(fineprune_choice_check("pattern", r->pattern, NULL), FINEPRUNE_OK);
        if (r->channels) assert_int_equal(fineprune_choice_check("channels", r->channels, NULL), FINEPRUNE_OK);
        assert_int_equal(r->compacts, fineprune_runtime_compacts(r->name));
        assert_int_equal(strncmp(r->source, "https://", 8), 0);
    }
    assert_int_equal(n, 5);
    assert_null(fp_find_runtime("nonsense"));
    assert_false(fineprune_runtime_compacts("nonsense"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
