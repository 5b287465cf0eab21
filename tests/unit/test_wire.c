// SPDX-License-Identifier: Apache-2.0
// The scan in front of protobuf-c, on bytes written by hand and on every cut of a real message.
#include "made_model.h"
#include "onnx/wire.h"

struct bytes {
    size_t n;
    uint8_t data[4000];
};

static void put(struct bytes *b, const void *data, size_t n) {
    assert_true(b->n + n <= sizeof(b->data));
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

// A number in at least `least` bytes.
static void put_varint(struct bytes *b, uint64_t v, int least) {
    for (int i = 1; v >> 7 || i < least; i++, v >>= 7) put(b, &(uint8_t){(uint8_t)(v | 0x80)}, 1);
    put(b, &(uint8_t){(uint8_t)v}, 1);
}

static void put_field(struct bytes *b, unsigned field, const void *data, size_t n) {
    put_varint(b, field << 3 | 2, 1);
    put_varint(b, n, 1);
    put(b, data, n);
}

// Of exactly that many bytes, so that a step over the end is seen.
static int scan(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n, uint8_t **out, size_t *out_size,
                fineprune_error *err) {
    uint8_t *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    if (n) memcpy(exact, data, n);
    *out = NULL;
    const int status = fp_wire_compact(out, out_size, type, exact, n, NULL, err);
    if (status) assert_null(*out);
    free(exact);
    return status;
}

static void expect(const ProtobufCMessageDescriptor *type, const struct bytes *b, int status, const char *message) {
    fineprune_error err = {0};
    uint8_t *out;
    size_t n;
    const int found = scan(type, b->data, b->n, &out, &n, &err);
    free(out);
    if (found != status) fail_msg("%d instead of %d: %s", found, status, err.message);
    if (message && !strstr(err.message, message)) fail_msg("'%s' is not in: %s", message, err.message);
}

static void test_depth(void **state) {
    (void)state;
    struct bytes b = {0};
    for (int depth = 0; depth <= FP_WIRE_DEPTH + 2; depth += 2) {
        const bool deep = depth > FP_WIRE_DEPTH;
        expect(&onnx__type_proto__descriptor, &b, deep ? FINEPRUNE_LIMIT : 0, deep ? "deeper" : NULL);
        struct bytes sequence = {0}, whole = {0}; // TypeProto.sequence_type { elem_type { ...
        put_field(&sequence, 1, b.data, b.n);
        put_field(&whole, 4, sequence.data, sequence.n);
        b = whole;
    }
}

static void test_counts(void **state) {
    (void)state;
    fineprune_error err = {0};
    const size_t many = 1500000;
    uint8_t *data = malloc(2 * many), *out = NULL;
    size_t size;
    assert_non_null(data);
    for (size_t i = 0; i < many; i++) data[2 * i] = 0x0a, data[2 * i + 1] = 0; // empty nodes
    assert_int_equal(fp_wire_compact(&out, &size, &onnx__graph_proto__descriptor, data, 2 * many, NULL, &err),
                     FINEPRUNE_LIMIT);
    assert_null(out);
    assert_non_null(strstr(err.message, "small messages"));
    assert_int_equal(fp_wire_compact(&out, &size, &onnx__graph_proto__descriptor, data, 20000, NULL, NULL), 0);
    Onnx__GraphProto *graph = onnx__graph_proto__unpack(NULL, size, out);
    assert_non_null(graph);
    assert_int_equal(graph->n_node, 10000);
    onnx__graph_proto__free_unpacked(graph, NULL);
    free(out);
    free(data);
}

static void test_nul(void **state) {
    (void)state;
    struct bytes b = {0};
    put_field(&b, 3, "a\0b", 3); // NodeProto.name
    expect(&onnx__node_proto__descriptor, &b, FINEPRUNE_MODEL, "NUL");
    b.n = 0;
    put_field(&b, 3, "ab", 2);
    expect(&onnx__node_proto__descriptor, &b, 0, NULL);
    b.n = 0;
    put_field(&b, 4, "a\0b", 3); // AttributeProto.s holds bytes
    expect(&onnx__attribute_proto__descriptor, &b, 0, NULL);
}

static void test_damage(void **state) {
    (void)state;
    struct bytes b = {0};
    put_varint(&b, 7 << 3 | 0, 1), put_varint(&b, 3, 1); // ModelProto.graph as a number
    expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "wrong wire type");
    for (unsigned type = 3; type < 8; type++) {
        if (type == 5) continue;
        b.n = 0;
        put_varint(&b, 1 << 3 | type, 1);
        expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "unknown wire type");
    }
    b = (struct bytes){2, {0x00, 0x01}}; // field 0
    expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "broken field tag");
    b = (struct bytes){.n = 0};
    put_varint(&b, 1 << 3, 1), put_varint(&b, 8, 11); // eleven bytes are no number
    expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "broken number");
    b.n = 0;
    put_varint(&b, 7 << 3 | 2, 1), put_varint(&b, UINT64_MAX - 3, 1); // at + length wraps
    expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "longer than what holds it");
    b.n = 0;
    put_varint(&b, 50 << 3 | 1, 1), put(&b, "1234567", 7);
    expect(&onnx__model_proto__descriptor, &b, FINEPRUNE_MODEL, "ends behind");
    b.n = 0;
    put_varint(&b, 50 << 3 | 1, 1), put(&b, "12345678", 8); // unknown fields are kept
    expect(&onnx__model_proto__descriptor, &b, 0, NULL);
}

static const float VALUES[6] = {1, 2, 3, 4, 5, 6};

static uint8_t *packed(size_t *size) {
    Onnx__ModelProto *m = made_new();
    made_input(m->graph, "x", SHAPE(-1, 2));
    made_initializer(m->graph, "w", FP_FLOAT, SHAPE(2, 3), VALUES);
    made_initializer(m->graph, "empty", FP_FLOAT, SHAPE(0), VALUES);
    made_int(made_node(m->graph, "Gemm", "x,w", "y"), "transB", 0);
    made_output(m->graph, "y");
    *size = onnx__model_proto__get_packed_size(m);
    uint8_t *data = malloc(*size);
    assert_non_null(data);
    onnx__model_proto__pack(m, data);
    onnx__model_proto__free_unpacked(m, NULL);
    return data;
}

static size_t token(const Onnx__TensorProto *t) {
    uint64_t offset = 0;
    assert_int_equal(t->raw_data.len, 8);
    for (int i = 0; i < 8; i++) offset |= (uint64_t)t->raw_data.data[i] << (8 * i);
    return (size_t)offset;
}

static int count(ProtobufCMessage *message, void *user) {
    (void)message;
    return ++*(int *)user == 9;
}

static void test_tokens(void **state) {
    (void)state;
    size_t size, n, start;
    uint8_t *data = packed(&size), *out;
    assert_int_equal(scan(&onnx__model_proto__descriptor, data, size, &out, &n, NULL), 0);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, out);
    assert_non_null(m);
    assert_int_equal(m->graph->n_initializer, 2);
    assert_int_equal(fp_wire_length(data, size, token(m->graph->initializer[0]), &start), sizeof(VALUES));
    assert_true(start + sizeof(VALUES) <= size);
    assert_memory_equal(data + start, VALUES, sizeof(VALUES));
    assert_int_equal(fp_wire_length(data, size, token(m->graph->initializer[1]), &start), 0);
    assert_string_equal(m->graph->node[0]->op_type, "Gemm");
    assert_string_equal(m->graph->initializer[0]->name, "w");
    int tensors = 0;
    assert_int_equal(fp_wire_visit(&m->base, &onnx__tensor_proto__descriptor, count, &tensors), 0);
    assert_int_equal(tensors, 2);
    onnx__model_proto__free_unpacked(m, NULL);
    free(out);
    free(data);
}

static void test_truncated(void **state) {
    (void)state;
    size_t size, n;
    uint8_t *data = packed(&size), *out;
    int whole = 0;
    for (size_t cut = 0; cut < size; cut++) {
        const int status = scan(&onnx__model_proto__descriptor, data, cut, &out, &n, NULL);
        assert_true(status == 0 || status == FINEPRUNE_MODEL);
        if (!status) { // between two fields: what is left must parse
            Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, out);
            assert_non_null(m);
            onnx__model_proto__free_unpacked(m, NULL);
            whole++;
        }
        free(out);
    }
    assert_int_equal(whole, 3); // nothing at all, the version, the graph
    free(data);
}

// Lengths and tags in more bytes than needed, as writers do that fill them in later.
static void test_padded(void **state) {
    (void)state;
    struct bytes tensor = {0}, graph = {0}, model = {0};
    put_varint(&tensor, 8 << 3 | 2, 3), put_varint(&tensor, 1, 4), put(&tensor, "w", 1);
    put_varint(&tensor, 9 << 3 | 2, 2), put_varint(&tensor, 4, 10), put(&tensor, "\1\2\3\4", 4);
    put_varint(&graph, 5 << 3 | 2, 5), put_varint(&graph, tensor.n, 5), put(&graph, tensor.data, tensor.n);
    put_varint(&model, 1 << 3, 1), put_varint(&model, 8, 9);
    put_varint(&model, 7 << 3 | 2, 1), put_varint(&model, graph.n, 6), put(&model, graph.data, graph.n);
    uint8_t *out;
    size_t n, start;
    assert_int_equal(scan(&onnx__model_proto__descriptor, model.data, model.n, &out, &n, NULL), 0);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, out);
    assert_non_null(m);
    assert_int_equal(m->ir_version, 8);
    assert_string_equal(m->graph->initializer[0]->name, "w");
    assert_int_equal(fp_wire_length(model.data, model.n, token(m->graph->initializer[0]), &start), 4);
    assert_memory_equal(model.data + start, "\1\2\3\4", 4);
    onnx__model_proto__free_unpacked(m, NULL);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),  cmocka_unit_test(test_counts), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_tokens), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
