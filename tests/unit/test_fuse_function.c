// SPDX-License-Identifier: Apache-2.0
// Functions written out in nodes: each spelling is recognized as what it is, and near misses as nothing.
#include "exec/fuse_function.h"
#include "made_model.h"

// Scalars c0, c1, ... of a graph; nodes "Type in,in" make v0, v1, ... from x.
struct spelling {
    int kind; // -1: none
    int rank; // of the constants
    float constants[6];
    const char *nodes[10];
};

static const struct spelling SPELLINGS[] = {
    {FP_TAIL_GELU, 0, {1.41421356f, 1, 0.5f}, {"Div x,c0", "Erf v0", "Add v1,c1", "Mul x,v2", "Mul v3,c2"}},
    {FP_TAIL_GELU, 1, {0.70710678f, 1, 0.5f}, {"Mul c0,x", "Erf v0", "Add c1,v1", "Mul v2,c2", "Mul v3,x"}},
    {FP_TAIL_GELU, 0, {0.5f, 1.41421356f, 1}, {"Mul x,c0", "Div x,c1", "Erf v1", "Add v2,c2", "Mul v0,v3"}},
    {FP_TAIL_GELU_TANH,
     3,
     {0.044715f, 0.7978845608f, 1, 0.5f},
     {"Mul x,x", "Mul v0,x", "Mul v1,c0", "Add x,v2", "Mul v3,c1", "Tanh v4", "Add v5,c2", "Mul c3,v6", "Mul x,v7"}},
    {FP_TAIL_GELU_TANH,
     0,
     {3, 0.044715f, 0.7978845608f, 1, 0.5f},
     {"Pow x,c0", "Mul v0,c1", "Add v1,x", "Mul c2,v2", "Tanh v3", "Add c3,v4", "Mul x,c4", "Mul v6,v5"}},
    {FP_TAIL_SWISH, 0, {0}, {"Sigmoid x", "Mul x,v0"}},
    {FP_TAIL_SWISH, 0, {1.702f}, {"Mul x,c0", "Sigmoid v0", "Mul x,v1"}},
    {FP_TAIL_SWISH, 0, {1}, {"Neg x", "Exp v0", "Add v1,c0", "Div x,v2"}},
    {FP_TAIL_HARD_SWISH, 0, {3, 0, 6, 6}, {"Add x,c0", "Clip v0,c1,c2", "Mul x,v1", "Div v2,c3"}},
    {-1, 0, {1.41421356f, 1, 0.49f}, {"Div x,c0", "Erf v0", "Add v1,c1", "Mul x,v2", "Mul v3,c2"}},
    {-1,
     0,
     {0.05f, 0.7978845608f, 1, 0.5f},
     {"Mul x,x", "Mul v0,x", "Mul v1,c0", "Add x,v2", "Mul v3,c1", "Tanh v4", "Add v5,c2", "Mul c3,v6", "Mul x,v7"}},
    {-1, 0, {0}, {"Sigmoid x", "Add x,v0"}},
    {-1, 0, {0}, {"Sigmoid x", "Mul x,v0", "Add v0,v1"}}, // the gate is read outside too
};

static bool scalar(void *user, int value, float *out, int *rank) {
    const struct fp_graph *graph = user;
    const Onnx__TensorProto *t = graph->values[value].initializer;
    if (!t) return false;
    memcpy(out, t->raw_data.data, sizeof(*out));
    *rank = (int)t->n_dims;
    return true;
}

static void test_spellings(void **state) {
    (void)state;
    for (size_t i = 0; i < FP_COUNT(SPELLINGS); i++) {
        const struct spelling *s = &SPELLINGS[i];
        Onnx__ModelProto *proto = made_new();
        int n = 0;
        made_input(proto->graph, "x", SHAPE(4));
        for (int c = 0; c < (int)FP_COUNT(s->constants); c++) {
            char name[8];
            snprintf(name, sizeof(name), "c%d", c);
            made_initializer(proto->graph, name, FP_FLOAT, s->rank, (int64_t[]){1, 1, 1}, &s->constants[c]);
        }
        for (; n < (int)FP_COUNT(s->nodes) && s->nodes[n]; n++) {
            char type[16], inputs[32], name[8];
            assert_int_equal(sscanf(s->nodes[n], "%15s %31s", type, inputs), 2);
            snprintf(name, sizeof(name), "v%d", n);
            made_node(proto->graph, type, inputs, name);
        }
        char last[8];
        snprintf(last, sizeof(last), "v%d", n - 1);
        made_output(proto->graph, last);
        struct made m;
        made_open(&m, proto);
        const struct fp_graph *graph = m.model.graph;
        bool *constant = fp_calloc((size_t)graph->n_values, sizeof(bool));
        for (int v = 0; v < graph->n_values; v++) constant[v] = graph->values[v].initializer != NULL;
        const struct fp_fuse_view view = {graph, constant, NULL, scalar, (void *)(uintptr_t)graph};
        struct fp_function found;
        const bool any = fp_function_find(&view, fp_graph_find(graph, "x"), &found);
        if (any != (s->kind >= 0)) fail_msg("spelling %zu: %s", i, any ? "taken for a function" : "not recognized");
        if (any) {
            assert_int_equal(found.tail.kind, s->kind);
            assert_int_equal(found.n, n);
            assert_int_equal(found.least_rank, s->rank);
        }
        free(constant);
        made_close(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spellings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
