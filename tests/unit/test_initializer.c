// SPDX-License-Identifier: Apache-2.0
// Elements of a TensorProto in each of its fields: loaded, stored back into the same field, refused when their number
// is wrong; sparse and external ones.
#include "made_model.h"

static struct fineprune_model empty(void) { return (struct fineprune_model){.folder = (char *)(uintptr_t)"/nowhere"}; }

static Onnx__TensorProto *without_data(enum fp_type type, int rank, const int64_t *dims) {
    Onnx__TensorProto *t = made_tensor("t", FP_UINT8, rank, dims, "                                        ");
    t->data_type = type;
    free(t->raw_data.data);
    t->has_raw_data = 0, t->raw_data = (ProtobufCBinaryData){0};
    return t;
}

static void refuse(Onnx__TensorProto *proto, const char *message) {
    struct fineprune_model model = empty();
    struct fp_tensor t = {0};
    fineprune_error err = {0};
    assert_int_equal(fp_initializer_load(&model, proto, &t, &err), FINEPRUNE_MODEL);
    assert_null(t.data);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in: %s", message, err.message);
}

// Loads, compares with `expected`, stores it reversed, loads again, and sees that a wrong number of elements is
// refused.
static void round_trip(Onnx__TensorProto *proto, size_t *n_field, const void *expected) {
    struct fineprune_model model = empty();
    struct fp_tensor t = {0}, copy = {0}, again = {0};
    assert_int_equal(fp_initializer_load(&model, proto, &t, NULL), 0);
    assert_memory_equal(t.data, expected, fp_tensor_bytes(&t));
    assert_int_equal(fp_tensor_copy(&copy, NULL, &t, NULL), 0);
    const size_t size = fp_type_size(t.type);
    for (size_t i = 0; i < t.count; i++)
        memcpy((char *)copy.data + i * size, (const char *)expected + (t.count - 1 - i) * size, size);
    assert_int_equal(fp_initializer_store(&model, proto, &copy, NULL), 0);
    assert_int_equal(fp_initializer_load(&model, proto, &again, NULL), 0);
    assert_memory_equal(again.data, copy.data, fp_tensor_bytes(&copy));
    fp_tensor_done(&t), fp_tensor_done(&copy), fp_tensor_done(&again);
    --*n_field;
    refuse(proto, "found");
    ++*n_field;
    onnx__tensor_proto__free_unpacked(proto, NULL);
}

static void test_fields(void **state) {
    (void)state;
#define TYPED(type, field, ...)                                                                                        \
    {                                                                                                                  \
        Onnx__TensorProto *p = without_data(type, SHAPE(2, 3));                                                        \
        p->n_##field = 6, p->field = made_message(6 * sizeof(*p->field));                                              \
        for (int i = 0; i < 6; i++) p->field[i] = (__VA_ARGS__)[i];                                                    \
        round_trip(p, &p->n_##field, (__VA_ARGS__));                                                                   \
    }
    TYPED(FP_FLOAT, float_data, (float[]){1, -2, 3.5f, 0, 1e30f, 6})
    TYPED(FP_DOUBLE, double_data, (double[]){1, -2, 3.5, 0, 1e300, 6})
    TYPED(FP_INT64, int64_data, (int64_t[]){1, -2, INT64_MAX, 0, INT64_MIN, 6})
    TYPED(FP_UINT64, uint64_data, (uint64_t[]){1, 2, UINT64_MAX, 0, 5, 6})
    TYPED(FP_UINT32, uint64_data, (uint32_t[]){1, 2, UINT32_MAX, 0, 5, 6})
    TYPED(FP_INT32, int32_data, (int32_t[]){1, -2, INT32_MAX, 0, INT32_MIN, 6})
    TYPED(FP_INT8, int32_data, (int8_t[]){1, -2, 127, 0, -128, 6})
    TYPED(FP_UINT8, int32_data, (uint8_t[]){1, 2, 255, 0, 128, 6})
    TYPED(FP_INT16, int32_data, (int16_t[]){1, -2, 32767, 0, -32768, 6})
    TYPED(FP_FLOAT16, int32_data, (uint16_t[]){0x3c00, 0xbc00, 0x7bff, 0, 0x8000, 1}) // bits
    TYPED(FP_BOOL, int32_data, (uint8_t[]){1, 0, 1, 1, 0, 0})
#undef TYPED
}

static void test_raw(void **state) {
    (void)state;
    const float floats[6] = {1, -2, 3, -4, 5, -6};
    Onnx__TensorProto *p = made_tensor("t", FP_FLOAT, SHAPE(2, 3), floats);
    round_trip(p, &p->raw_data.len, floats);
    const uint8_t packed[3] = {0x21, 0xf8, 0x07}; // five of four bits, low ones first
    p = made_tensor("t", FP_UINT8, SHAPE(3), packed);
    p->data_type = FP_INT4, p->dims[0] = 5;
    round_trip(p, &p->raw_data.len, (int8_t[]){1, 2, -8, -1, 7});
}

// Complex elements are two numbers of the field each; int4 and its like share an int32, low bits first.
static void test_shared_fields(void **state) {
    (void)state;
    const float floats[4] = {1, -2, 3, 4};
    Onnx__TensorProto *p = without_data(FP_COMPLEX64, SHAPE(2));
    p->n_float_data = 4, p->float_data = made_message(sizeof(floats)), memcpy(p->float_data, floats, sizeof(floats));
    round_trip(p, &p->n_float_data, floats);
    const double doubles[4] = {1, -2, 3, 4};
    p = without_data(FP_COMPLEX128, SHAPE(2));
    p->n_double_data = 4, p->double_data = made_message(sizeof(doubles));
    memcpy(p->double_data, doubles, sizeof(doubles));
    round_trip(p, &p->n_double_data, doubles);
    p = without_data(FP_INT4, SHAPE(5));
    p->n_int32_data = 3, p->int32_data = made_message(3 * sizeof(int32_t));
    memcpy(p->int32_data, (int32_t[]){0x21, 0xf8, 0x07}, 3 * sizeof(int32_t));
    round_trip(p, &p->n_int32_data, (int8_t[]){1, 2, -8, -1, 7});
    p = without_data(FP_UINT2, SHAPE(5));
    p->n_int32_data = 2, p->int32_data = made_message(2 * sizeof(int32_t));
    memcpy(p->int32_data, (int32_t[]){0xe4, 0x02}, 2 * sizeof(int32_t));
    round_trip(p, &p->n_int32_data, (uint8_t[]){0, 1, 2, 3, 2});
}

static void test_texts(void **state) {
    (void)state;
    struct fineprune_model model = empty();
    struct fp_tensor t = {0};
    fineprune_error err = {0};
    Onnx__TensorProto *p = without_data(FP_STRING, SHAPE(2));
    p->n_string_data = 2, p->string_data = made_message(2 * sizeof(*p->string_data));
    p->string_data[0] = (ProtobufCBinaryData){3, (uint8_t *)strdup("cat")};
    p->string_data[1] = (ProtobufCBinaryData){0};
    assert_int_equal(fp_initializer_load(&model, p, &t, &err), 0);
    assert_string_equal(((char **)t.data)[0], "cat");
    assert_string_equal(((char **)t.data)[1], "");
    assert_int_equal(fp_initializer_store(&model, p, &t, &err), FINEPRUNE_MODEL);
    assert_string_equal(err.message, "tensor 't': elements of type string cannot be changed");
    fp_tensor_done(&t);
    p->has_data_location = 1, p->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    refuse(p, "tensor 't': strings cannot be external");
    onnx__tensor_proto__free_unpacked(p, NULL);
}

static void test_other_elements(void **state) {
    (void)state;
    struct fineprune_model model = empty();
    const float floats[6] = {1, 2, 3, 4, 5, 6};
    Onnx__TensorProto *p = made_tensor("t", FP_FLOAT, SHAPE(2, 3), floats);
    struct fp_tensor t = {.type = FP_FLOAT, .rank = 1, .dims = {5}, .count = 5, .data = (void *)(uintptr_t)floats};
    fineprune_error err = {0};
    assert_int_equal(fp_initializer_store(&model, p, &t, &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "tensor 't' cannot take other elements");
    t.count = 6, t.type = FP_INT32;
    assert_int_equal(fp_initializer_store(&model, p, &t, NULL), FINEPRUNE_INTERNAL);
    assert_memory_equal(p->raw_data.data, floats, sizeof(floats));
    const uint8_t keep[3] = {1, 0, 1};
    fp_error_clear(&err);
    assert_int_equal(fp_initializer_keep_slices(&model, p, 2, keep, &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "tensor 't' cannot be cut");
    onnx__tensor_proto__free_unpacked(p, NULL);
}

// Shape, identity and zeros without loading: the same refusals, and bytes that are looked at where they lie.
static void test_not_loaded(void **state) {
    (void)state;
    struct fineprune_model model = empty();
    const float floats[6] = {1, -0.0f, 3, 0, 5, 1e-45f};
    Onnx__TensorProto *p = made_tensor("t", FP_FLOAT, SHAPE(2, 3), floats),
                      *other = made_tensor("u", FP_FLOAT, SHAPE(2, 3), floats);
    struct fp_tensor t;
    const void *identity, *its;
    size_t zeros = 9;
    assert_int_equal(fp_initializer_shape(&model, p, &t, &identity, NULL), 0);
    assert_int_equal(fp_initializer_shape(&model, other, &t, &its, NULL), 0);
    assert_true(t.type == FP_FLOAT && t.rank == 2 && t.dims[1] == 3 && t.count == 6 && !t.data && !t.buffer);
    assert_ptr_not_equal(identity, its);
    uint8_t shifted[25], *own = other->raw_data.data;
    memcpy(shifted + 1, floats, 24);
    other->raw_data.data = shifted + 1;
    assert_true(fp_initializer_zeros(&model, other, &zeros) && zeros == 2);
    assert_int_equal(fp_initializer_shape(&model, other, &t, &identity, NULL), 0);
    assert_ptr_equal(identity, shifted + 1); // not a copy's address
    other->raw_data.data = own;
    p->raw_data.len--;
    assert_int_equal(fp_initializer_shape(&model, p, &t, NULL, NULL), FINEPRUNE_MODEL);
    assert_false(fp_initializer_zeros(&model, p, &zeros));
    p->raw_data.len++;
    p->data_type = FP_INT32;
    assert_false(fp_initializer_zeros(&model, p, &zeros));
    onnx__tensor_proto__free_unpacked(p, NULL);
    onnx__tensor_proto__free_unpacked(other, NULL);
}

static void test_refused(void **state) {
    (void)state;
    const float floats[6] = {0};
    Onnx__TensorProto *p = made_tensor("t", FP_FLOAT, SHAPE(2, 3), floats);
    p->dims[0] = -2, refuse(p, "tensor 't'");
    p->dims[0] = INT64_MAX, refuse(p, "tensor 't'");
    p->dims[0] = 2, p->data_type = 99, refuse(p, "element type 99");
    p->data_type = FP_FLOAT, p->n_dims = 13, refuse(p, "rank 13");
    p->n_dims = 2;
    onnx__tensor_proto__free_unpacked(p, NULL);
}

static void test_sparse(void **state) {
    (void)state;
    struct fineprune_model model = empty();
    const float values[3] = {5, 6, 7};
    const int64_t linear[3] = {0, 4, 5}, coordinates[6] = {0, 0, 1, 1, 1, 2}, outside[3] = {0, 4, 6};
    const float expected[6] = {5, 0, 0, 0, 6, 7};
    int64_t dims[2] = {2, 3};
    Onnx__TensorProto *v = made_tensor("v", FP_FLOAT, SHAPE(3), values),
                      *a = made_tensor("i", FP_INT64, SHAPE(3), linear);
    Onnx__TensorProto *b = made_tensor("i", FP_INT64, SHAPE(3, 2), coordinates),
                      *c = made_tensor("i", FP_INT64, SHAPE(3), outside);
    Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT;
    sparse.values = v, sparse.n_dims = 2, sparse.dims = dims;
    for (int i = 0; i < 2; i++) {
        struct fp_tensor t = {0};
        sparse.indices = i ? b : a;
        assert_int_equal(fp_sparse_initializer_load(&model, &sparse, &t, NULL), 0);
        assert_memory_equal(t.data, expected, sizeof(expected));
        fp_tensor_done(&t);
    }
    struct fp_tensor t = {0};
    sparse.indices = c;
    assert_int_equal(fp_sparse_initializer_load(&model, &sparse, &t, NULL), FINEPRUNE_MODEL);
    assert_null(t.data);
    static const struct {
        enum fp_type values, indices;
        int rank, dims;
        const char *message;
    } cases[] = {{FP_FLOAT, FP_INT32, 1, 2, "sparse tensor 'v': indices do not fit its values"},
                 {FP_FLOAT, FP_INT64, 2, 2, "sparse tensor 'v': values are not a list of numbers"},
                 {FP_FLOAT, FP_INT64, 1, 13, "a sparse tensor without values or indices, or of too high a rank"}};
    sparse.indices = a;
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        fineprune_error err = {0};
        int64_t flat[2] = {1, 3}, *own = v->dims;
        v->dims = flat + (cases[i].rank == 1), v->n_dims = (size_t)cases[i].rank;
        a->data_type = cases[i].indices, a->raw_data.len = 3 * fp_type_size(cases[i].indices);
        sparse.n_dims = (size_t)cases[i].dims;
        assert_int_equal(fp_sparse_initializer_check(&model, &sparse, &err), FINEPRUNE_MODEL);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(fp_sparse_initializer_load(&model, &sparse, &t, NULL), FINEPRUNE_MODEL);
        v->dims = own, v->n_dims = 1;
    }
    size_t count = 0;
    assert_false(fp_sparse_initializer_size(&sparse, &count));
    sparse.n_dims = 2;
    assert_true(fp_sparse_initializer_size(&sparse, &count) && count == 6);
    dims[0] = -1;
    assert_false(fp_sparse_initializer_size(&sparse, &count));
    onnx__tensor_proto__free_unpacked(v, NULL), onnx__tensor_proto__free_unpacked(a, NULL);
    onnx__tensor_proto__free_unpacked(b, NULL), onnx__tensor_proto__free_unpacked(c, NULL);
}

static int load_from(const char *key, const char *location, fineprune_error *err) {
    struct fineprune_model model = empty();
    Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT, *entries[] = {&entry};
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    struct fp_tensor t = {0};
    entry.key = (char *)(uintptr_t)key, entry.value = (char *)(uintptr_t)location;
    proto.name = (char *)(uintptr_t)"t", proto.dims = (int64_t[]){4}, proto.n_dims = 1;
    proto.has_data_type = 1, proto.data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    proto.has_data_location = 1, proto.data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    proto.external_data = entries, proto.n_external_data = 1;
    fp_error_clear(err);
    int status = fp_initializer_load(&model, &proto, &t, err);
    assert_null(t.data);
    return status;
}

// Outside of the folder is outside, whether or not anything is there; inside and not there is another thing.
static void test_places(void **state) {
    (void)state;
    fineprune_error err = {0};
    for (const char *const *at = (const char *const[]){"/etc/passwd", "/", "/none", "../none", "a/../../b", NULL}; *at;
         at++) {
        assert_int_equal(load_from("location", *at, &err), FINEPRUNE_MODEL);
        if (!strstr(err.message, "outside the model's folder")) fail_msg("'%s': %s", *at, err.message);
    }
    assert_int_equal(load_from("location", "none", &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "'none'"));
    assert_int_equal(load_from("length", "4", &err), FINEPRUNE_MODEL); // nobody says where
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_raw),    cmocka_unit_test(test_not_loaded),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_sparse), cmocka_unit_test(test_places),
        cmocka_unit_test(test_shared_fields), cmocka_unit_test(test_texts),  cmocka_unit_test(test_other_elements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
