// SPDX-License-Identifier: Apache-2.0
// Tensors: shapes that are impossible, shared memory, the budget; sequences and lists of them; integer conversions
// against plain casts.
#include "scratch_folder.h"
#include "tensor/sequence.h"

#include <math.h>

static void test_shapes(void **state) {
    (void)state;
    struct fp_tensor t;
    char text[40];
    fineprune_error err = {0};
    assert_int_equal(fp_tensor_new(&t, NULL, FP_FLOAT, 2, (int64_t[]){3, -1}, NULL), FINEPRUNE_MODEL);
    assert_int_equal(fp_tensor_new(&t, NULL, FP_FLOAT, 3, (int64_t[]){1ll << 31, 1ll << 31, 4}, &err), FINEPRUNE_MODEL);
    assert_non_null(strstr(err.message, "[2147483648,2147483648,4]"));
    assert_null(t.data);
    assert_int_equal(fp_tensor_shape(&t, FP_FLOAT, 13, NULL, NULL), FINEPRUNE_MODEL);
    assert_int_equal(fp_tensor_new(&t, NULL, FP_FLOAT, 2, (int64_t[]){0, 1ll << 40}, NULL), 0);
    assert_true(t.count == 0 && t.data);
    fp_tensor_done(&t);
    assert_int_equal(fp_tensor_new(&t, NULL, FP_INT8, 0, NULL, NULL), 0);
    assert_int_equal(t.count, 1);
    fp_tensor_done(&t);
    assert_string_equal(fp_shape_text(text, sizeof(text), 3, (int64_t[]){1, -1, 224}), "[1,?,224]");
    assert_string_equal(fp_shape_text(text, 4, 3, (int64_t[]){100, 200, 224}), "[10"); // cut, not written over
}

static void test_memory(void **state) {
    (void)state;
    struct fp_memory memory = {.limit = 4096};
    struct fp_tensor a, b, c;
    assert_int_equal(fp_tensor_new(&a, &memory, FP_FLOAT, 1, (int64_t[]){600}, NULL), 0);
    assert_true(memory.used >= 2400);
    assert_int_equal(fp_tensor_new(&b, &memory, FP_FLOAT, 1, (int64_t[]){600}, NULL), FINEPRUNE_LIMIT);
    assert_null(b.data);
    ((float *)a.data)[3] = 7;
    fp_tensor_share(&b, &a);
    assert_int_equal(a.buffer->refs, 2);
    assert_int_equal(fp_tensor_copy(&c, NULL, &a, NULL), 0);
    fp_tensor_done(&a);
    assert_true(((float *)b.data)[3] == 7 && ((float *)c.data)[3] == 7 && b.data != c.data);
    fp_tensor_done(&b), fp_tensor_done(&c), fp_tensor_done(&c);
    assert_int_equal(memory.used, 0);
    fp_memory_trim(&memory);
}

static void test_strings(void **state) {
    (void)state;
    struct fp_tensor a, b, c;
    assert_int_equal(fp_tensor_new(&a, NULL, FP_STRING, 1, (int64_t[]){2}, NULL), 0);
    ((char **)a.data)[0] = strdup("one"), ((char **)a.data)[1] = strdup("");
    assert_int_equal(fp_tensor_copy(&b, NULL, &a, NULL), 0);
    assert_int_equal(fp_tensor_convert(&c, NULL, &a, FP_FLOAT, NULL), FINEPRUNE_MODEL);
    fp_tensor_done(&a);
    assert_string_equal(((char **)b.data)[0], "one");
    fp_tensor_done(&b);
}

static struct fp_tensor counted(struct fp_memory *memory, int32_t value) {
    struct fp_tensor t;
    assert_int_equal(fp_tensor_new(&t, memory, FP_INT32, 1, (int64_t[]){1}, NULL), 0);
    *(int32_t *)t.data = value;
    return t;
}

static void test_sequences(void **state) {
    (void)state;
    struct fp_memory memory = {.limit = 4096};
    struct fp_tensor items[2] = {counted(&memory, 5), counted(&memory, 6)}, shared, taken, none;
    assert_int_equal(fp_sequence_new(&shared, &memory, 2, items, NULL), 0);
    assert_true(shared.type == FP_SEQUENCE && shared.rank == 1 && shared.dims[0] == 2 && shared.count == 2);
    assert_int_equal(items[1].buffer->refs, 2);
    assert_int_equal(fp_sequence_take(&taken, &memory, 2, items, NULL), 0);
    assert_true(!items[0].data && !items[1].buffer); // they went over
    fp_tensor_done(&shared);
    assert_int_equal(((int32_t *)fp_sequence_items(&taken)[1].data)[0], 6);
    assert_int_equal(fp_sequence_items(&taken)[1].buffer->refs, 1);
    fp_tensor_done(&taken);
    assert_int_equal(fp_sequence_new(&none, &memory, 0, NULL, NULL), 0);
    assert_true(none.type == FP_SEQUENCE && none.count == 0);
    fp_tensor_done(&none);
    assert_int_equal(memory.used, 0);
    fp_memory_trim(&memory);
}

// What does not fit the budget is an error, and all that was to be in it is freed.
static void test_no_room(void **state) {
    (void)state;
    struct fp_memory memory = {.limit = 4096};
    struct fp_tensor items[40] = {{0}}, sequence = {0};
    fineprune_error err = {0};
    for (size_t i = 0; i < FP_COUNT(items); i++) items[i] = counted(NULL, 1);
    assert_int_equal(fp_sequence_take(&sequence, &memory, FP_COUNT(items), items, &err), FINEPRUNE_LIMIT);
    assert_non_null(strstr(err.message, "a sequence"));
    for (size_t i = 0; i < FP_COUNT(items); i++) assert_null(items[i].data);
    assert_null(sequence.data);
    struct fp_list list = {.memory = &memory};
    int status = FINEPRUNE_OK;
    fp_error_clear(&err);
    for (int i = 0; !status && i < 4096; i++) {
        struct fp_tensor t = counted(NULL, i);
        status = fp_list_add(&list, &t, &err);
        assert_null(t.data); // the list's, or dropped
    }
    assert_int_equal(status, FINEPRUNE_LIMIT);
    assert_non_null(strstr(err.message, "a list of tensors"));
    assert_true(list.n > 1 && list.n < 4096);
    for (size_t i = 0; i < list.n; i++) assert_int_equal(*(int32_t *)list.items[i].data, i);
    assert_true(memory.used > 0);
    fp_list_done(&list);
    assert_int_equal(memory.used, 0);
    assert_int_equal(list.n, 0);
    fp_memory_trim(&memory);
}

static void test_integers(void **state) {
    (void)state;
    const enum fp_type types[] = {FP_INT8, FP_UINT8, FP_INT16, FP_UINT16, FP_INT32, FP_UINT32, FP_INT64, FP_UINT64};
    enum { N = 700 };
    uint64_t source[N], seed = 1;
    for (size_t i = 0; i < N; i++) source[i] = fp_random(&seed);
    for (size_t f = 0; f < FP_COUNT(types); f++)
        for (size_t t = 0; t < FP_COUNT(types); t++) {
            const size_t from = fp_type_size(types[f]), to = fp_type_size(types[t]);
            uint64_t result[N];
            fp_convert(result, types[t], source, types[f], N);
            for (size_t i = 0; i < N; i++) { // little endian: widen by the sign, cut to size
                uint64_t wide = 0, found = 0, mask = to == 8 ? UINT64_MAX : (1ull << 8 * to) - 1;
                memcpy(&wide, (char *)source + i * from, from);
                if (f % 2 == 0 && from < 8 && wide >> (8 * from - 1)) wide |= UINT64_MAX << 8 * from;
                memcpy(&found, (char *)result + i * to, to);
                assert_true(found == (wide & mask));
            }
        }
}

static void test_floats(void **state) {
    (void)state;
    float x[] = {0, -0.0f, 0.9f, -0.9f, 255.7f, -128.2f, 1e6f, -7e8f}, back[8];
    struct fp_tensor a = {.type = FP_FLOAT, .rank = 1, .dims = {8}, .count = 8, .data = x}, b;
    assert_int_equal(fp_tensor_convert(&b, NULL, &a, FP_INT32, NULL), 0);
    for (int i = 0; i < 8; i++) assert_int_equal(((int32_t *)b.data)[i], (int32_t)x[i]);
    fp_tensor_done(&b);
    assert_int_equal(fp_tensor_convert(&b, NULL, &a, FP_BOOL, NULL), 0);
    for (int i = 0; i < 8; i++) assert_int_equal(((uint8_t *)b.data)[i], i > 1);
    fp_tensor_done(&b);
    const enum fp_type wider[] = {FP_DOUBLE, FP_FLOAT};
    for (int k = 0; k < 2; k++) { // there and back
        assert_int_equal(fp_tensor_convert(&b, NULL, &a, wider[k], NULL), 0);
        fp_convert(back, FP_FLOAT, b.data, wider[k], 8);
        assert_memory_equal(back, x, sizeof(x));
        fp_tensor_done(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),  cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_strings), cmocka_unit_test(test_integers),
                                       cmocka_unit_test(test_floats),  cmocka_unit_test(test_sequences),
                                       cmocka_unit_test(test_no_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
