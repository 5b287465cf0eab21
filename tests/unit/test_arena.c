// SPDX-License-Identifier: Apache-2.0
// A stage's memory: zeroed, aligned, freed at the end of its scope, and one question for all failures.
#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_take(void **state) {
    (void)state;
    fineprune_error err = {0};
    FP_STAGE(room, "a test");
    for (size_t size = 0; size < 200; size += 7) {
        unsigned char *bytes = fp_arena_take(&room, size, 3);
        assert_non_null(bytes);
        assert_true((uintptr_t)bytes % alignof(max_align_t) == 0);
        for (size_t i = 0; i < 3 * size; i++) assert_int_equal(bytes[i], 0);
        memset(bytes, 0xff, 3 * size);
    }
    const char *copy = fp_arena_copy(&room, "text", 5, 1);
    assert_string_equal(copy, "text");
    assert_non_null(fp_arena_copy(&room, NULL, 0, 8));
    assert_int_equal(fp_arena_check(&room, &err), FINEPRUNE_OK);
}

// After a failure nothing is given, and the first one is told.
static void test_failure(void **state) {
    (void)state;
    fineprune_error err = {0};
    FP_STAGE(room, "a test of sizes");
    assert_non_null(fp_arena_take(&room, 1, 1));
    assert_null(fp_arena_take(&room, SIZE_MAX / 2, 3)); // no size
    assert_null(fp_arena_take(&room, 1, 1));
    assert_int_equal(fp_arena_check(&room, &err), FINEPRUNE_LIMIT);
    assert_non_null(strstr(err.message, "a test of sizes"));
    fp_arena_free(&room);
    assert_non_null(fp_arena_take(&room, 1, 1));
    assert_int_equal(fp_arena_check(&room, NULL), FINEPRUNE_OK);
    assert_null(fp_arena_take(&room, SIZE_MAX - 8, 1)); // no room for its head
    assert_null(fp_arena_copy(&room, "x", SIZE_MAX / 4, 1));
    assert_int_equal(fp_arena_check(&room, NULL), FINEPRUNE_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_take), cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
