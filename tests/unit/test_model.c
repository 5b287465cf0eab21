// SPDX-License-Identifier: Apache-2.0
// What is changed in an opened model: many initializers are added in time that grows with their number, under names
// that no graph uses; sparse ones become dense; attributes and declared shapes follow; masks are kept beside it.
#include "made_model.h"

#include "onnx/masks.h"
#include "tensor/npz.h"

#include <time.h>

#define NODES 20000

static struct fineprune_model *written(void **state, Onnx__ModelProto *proto) {
    fineprune_error err = {0};
    struct fineprune_model *model = NULL;
    const char *path = scratch_path(state, "m.onnx");
    made_write(proto, path);
    onnx__model_proto__free_unpacked(proto, NULL);
    if (fineprune_model_open(&model, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static const char *add(struct fineprune_model *model, size_t node, const char *base) {
    float zeros[2] = {0};
    struct fp_tensor t = {.type = FP_FLOAT, .rank = 1, .dims = {2}, .count = 2, .data = zeros};
    const char *name = NULL;
    assert_int_equal(fp_node_add_input(model, model->proto->graph->node[node], 2, base, &t, &name, NULL), 0);
    return name;
}

static void names_are_new(void **state) {
    Onnx__ModelProto *proto = made_new();
    Onnx__GraphProto *body = made_graph("body");
    made_node(body, "Identity", "x", "w.bias_1");
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w.bias", SHAPE(2), 1);
    for (int i = 0; i < 3; i++) made_node(proto->graph, "Gemm", "x,w.bias", i ? i > 1 ? "w.bias_2" : "w.bias_4" : "y");
    Onnx__GraphProto *other = made_graph("other");
    made_node(other, "Identity", "x", "v");
    Onnx__NodeProto *choice = made_node(proto->graph, "If", "x", "z");
    made_body(choice, "then_branch", body);
    made_body(choice, "else_branch", other);
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    assert_string_equal(add(model, 0, "w.bias"), "w.bias_3");
    assert_string_equal(add(model, 1, "w.bias"), "w.bias_5");
    assert_string_equal(add(model, 2, "other"), "other");
    const Onnx__GraphProto *graph = model->proto->graph;
    assert_int_equal(graph->n_initializer, 4);
    assert_string_equal(graph->initializer[2]->name, "w.bias_5");
    assert_string_equal(graph->node[1]->input[2], "w.bias_5");
    fineprune_model_free(model);
}

// What has left is no name any more, and its memory is not looked at.
static void names_of_what_left_are_free(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(2), 1);
    made_random(proto->graph, "unread", SHAPE(2), 2);
    made_node(proto->graph, "Gemm", "x,w", "y");
    made_node(proto->graph, "Gemm", "x,w", "unread_too");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    Onnx__GraphProto *graph = model->proto->graph;
    assert_string_equal(add(model, 0, "unread"), "unread_1");
    fp_model_drop_unread(model, &(struct fp_unread){&graph->node[1], &graph->initializer[1], 1, 1});
    assert_int_equal(graph->n_node, 1);
    assert_int_equal(graph->n_initializer, 2);
    assert_string_equal(add(model, 0, "unread"), "unread");
    assert_string_equal(add(model, 0, "unread_too"), "unread_too");
    fineprune_model_free(model);
}

static void many_are_added(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(2), 1);
    for (int i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "y%d", i);
        made_node(proto->graph, "Gemm", "x,w", name);
    }
    made_output(proto->graph, "y0");
    struct fineprune_model *model = written(state, proto);
    const clock_t start = clock(); // of this process: others may want the cores
    for (size_t i = 0; i < NODES; i++) {
        char base[16];
        snprintf(base, sizeof(base), "b%zu", i);
        assert_string_equal(add(model, i, base), base);
    }
    assert_int_equal(model->proto->graph->n_initializer, NODES + 1);
    assert_true(clock() - start < CLOCKS_PER_SEC); // a few hundredths; looking at all names for each would take several
    fineprune_model_free(model);
}

static void metadata(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_node(proto->graph, "Identity", "x", "y");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    assert_null(fp_model_metadata(model, "a"));
    assert_int_equal(fp_model_set_metadata(model, "a", "1", NULL), 0);
    assert_int_equal(fp_model_set_metadata(model, "b", "2", NULL), 0);
    assert_int_equal(fp_model_set_metadata(model, "a", "another", NULL), 0);
    assert_string_equal(fp_model_metadata(model, "a"), "another");
    assert_string_equal(fp_model_metadata(model, "b"), "2");
    assert_int_equal(model->proto->n_metadata_props, 2);
    fineprune_model_free(model);
}

// Before IR 4 an initializer is an input of the graph too; the model opens again with both.
static void old_files_declare(void **state) {
    Onnx__ModelProto *proto = made_new();
    proto->ir_version = 3;
    made_input(proto->graph, "x", SHAPE(1));
    made_input(proto->graph, "w", SHAPE(2));
    made_random(proto->graph, "w", SHAPE(2), 1);
    made_node(proto->graph, "Gemm", "x,w", "y");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    assert_string_equal(add(model, 0, "w"), "w_1");
    const Onnx__ValueInfoProto *info = model->proto->graph->input[2];
    assert_string_equal(info->name, "w_1");
    assert_int_equal(info->type->tensor_type->elem_type, FP_FLOAT);
    assert_int_equal(info->type->tensor_type->shape->n_dim, 1);
    assert_int_equal(info->type->tensor_type->shape->dim[0]->dim_value, 2);
    assert_int_equal(fp_model_view(model, NULL), 0);
    assert_int_equal(model->graph->n_inputs, 1); // the others have a default
    fineprune_model_free(model);
}

static int save(const struct fineprune_model *model, const char *path, int external, fineprune_error *err) {
    fineprune_save_options options = FINEPRUNE_SAVE_OPTIONS_INIT;
    options.external_data = external, options.force = true;
    fp_error_clear(err);
    return fineprune_model_save(model, path, &options, err);
}

static Onnx__SparseTensorProto *sparse(const char *name, float first, float second) {
    Onnx__SparseTensorProto *s = made_message(sizeof(*s));
    onnx__sparse_tensor_proto__init(s);
    s->values = made_tensor(name, FP_FLOAT, SHAPE(2), (float[]){first, second});
    s->indices = made_tensor("", FP_INT64, SHAPE(2), (int64_t[]){1, 3});
    s->n_dims = 2, s->dims = made_message(2 * sizeof(*s->dims));
    s->dims[0] = s->dims[1] = 20;
    return s;
}

static void expect_sparse(const struct fineprune_model *model, const char *path, size_t n, const char *const *names) {
    struct fineprune_model *again = NULL;
    fineprune_error err = {0};
    if (save(model, path, 0, &err) || fineprune_model_open(&again, path, NULL, &err)) fail_msg("%s", err.message);
    assert_int_equal(again->proto->graph->n_initializer, 0);
    assert_int_equal(again->proto->graph->n_sparse_initializer, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(again->proto->graph->sparse_initializer[i]->values->name, names[i]);
    fineprune_model_free(again);
}

// Each keeps its elements and its place among those that came sparse, in whatever order they are made dense.
static void sparse_become_dense(void **state) {
    Onnx__ModelProto *proto = made_new();
    const char *const names[] = {"a", "b", "c"};
    made_input(proto->graph, "x", SHAPE(1));
    for (int i = 0; i < 3; i++) MADE_ADD(proto->graph, sparse_initializer, sparse(names[i], (float)i + 1, 9));
    made_node(proto->graph, "Sum", "x,a,b,c", "y");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto);
    const Onnx__GraphProto *graph = model->proto->graph;
    for (int turn = 0; turn < 3; turn++) {
        const int place = (int[]){1, 2, 0}[turn], value = fp_graph_find(model->graph, names[place]);
        const float want[4] = {0, (float)place + 1, 0, 9};
        struct fp_tensor t = {0};
        assert_int_equal(fp_model_make_dense(model, value, NULL), 0);
        assert_int_equal(graph->n_sparse_initializer, 2 - turn);
        assert_null(model->graph->values[value].sparse_initializer);
        const Onnx__TensorProto *dense = model->graph->values[value].initializer;
        assert_string_equal(dense->name, names[place]);
        assert_ptr_equal(graph->initializer[turn], dense);
        assert_int_equal(fp_initializer_load(model, dense, &t, NULL), 0);
        assert_true(t.rank == 2 && t.dims[0] == 20 && t.dims[1] == 20);
        assert_memory_equal(t.data, want, sizeof(want));
        assert_int_equal(fp_name_find(&model->was_sparse, (const char *)dense), place);
        fp_tensor_done(&t);
        expect_sparse(model, scratch_path(state, "s.onnx"), 3, names);
    }
    // one that is dropped holds its address, as what it was is known by that
    fp_model_drop_unread(model, &(struct fp_unread){NULL, graph->initializer, 0, 1});
    assert_int_equal(graph->n_initializer, 2);
    assert_int_equal(model->n_dropped, 1);
    assert_string_equal(model->dropped[0]->name, "b");
    fineprune_model_free(model);
}

static void attributes_and_shapes_follow(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1, 4));
    Onnx__NodeProto *node = made_node(proto->graph, "Reshape", "x", "y");
    node->name = strdup("n");
    made_int(node, "group", 2), made_ints(node, "sizes", 2, (int64_t[]){3, 4});
    MADE_ADD(proto->graph, value_info, made_value("y", FP_FLOAT, SHAPE(-1, 4)));
    MADE_ADD(proto->graph, output, made_value("y", FP_FLOAT, SHAPE(1, 4)));
    struct fineprune_model model = {.proto = proto};
    fineprune_error err = {0};
    assert_int_equal(fp_node_set_int(node, "group", 0, 1, NULL), 0);
    assert_int_equal(fp_node_set_int(node, "sizes", 1, 7, NULL), 0);
    assert_int_equal(node->attribute[0]->i, 1);
    assert_true(node->attribute[1]->ints[0] == 3 && node->attribute[1]->ints[1] == 7);
    assert_int_equal(fp_node_set_int(node, "sizes", 2, 7, &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "node 'n' has no attribute 'sizes'");
    assert_int_equal(fp_node_set_int(node, "none", 0, 7, NULL), FINEPRUNE_INTERNAL);
    fp_model_declare_dim(&model, "y", 1, 3), fp_model_declare_dim(&model, "y", 0, 9);
    fp_model_declare_dim(&model, "y", 2, 5); // an axis that nothing is declared of
    const Onnx__TensorShapeProto *inside = proto->graph->value_info[0]->type->tensor_type->shape;
    const Onnx__TensorShapeProto *end = proto->graph->output[0]->type->tensor_type->shape;
    assert_int_equal(inside->dim[0]->value_case, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET);
    assert_true(inside->dim[1]->dim_value == 3 && end->dim[0]->dim_value == 9 && end->dim[1]->dim_value == 3);
    assert_int_equal(proto->graph->input[0]->type->tensor_type->shape->dim[1]->dim_value, 4);
    onnx__model_proto__free_unpacked(proto, NULL);
    (void)state;
}

static void inputs_and_sums(void **state) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(1), 1);
    made_node(proto->graph, "Clip", "x", "y");
    made_node(proto->graph, "Identity", "y", "z");
    made_output(proto->graph, "z");
    struct fineprune_model *model = written(state, proto);
    Onnx__GraphProto *graph = model->proto->graph;
    Onnx__NodeProto stranger = ONNX__NODE_PROTO__INIT;
    fineprune_error err = {0};
    assert_int_equal(fp_node_set_input(model, graph->node[0], 2, "w", NULL), 0);
    assert_int_equal(graph->node[0]->n_input, 3);
    assert_string_equal(graph->node[0]->input[1], ""); // left out
    assert_string_equal(graph->node[0]->input[2], "w");
    assert_int_equal(fp_node_set_input(model, graph->node[0], 1, "w", NULL), 0);
    assert_string_equal(graph->node[0]->input[1], "w");
    assert_int_equal(fp_node_add_sum(model, graph->node[0], "Add", "w", NULL), 0);
    assert_int_equal(graph->n_node, 3);
    assert_string_equal(graph->node[1]->op_type, "Add");
    assert_string_equal(graph->node[1]->input[0], graph->node[0]->output[0]);
    assert_string_equal(graph->node[1]->output[0], "y");
    stranger.name = (char *)(uintptr_t)"stranger";
    assert_int_equal(fp_node_add_sum(model, &stranger, "Add", "w", &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "node 'stranger' cannot take a sum");
    fineprune_model_free(model);
}

static void masks_are_saved(void **state) {
    struct fineprune_model model = {0};
    const char *path = scratch_path(state, "masks.npz");
    fineprune_error err = {0};
    assert_int_equal(fineprune_masks_save(&model, path, false, NULL, &err), FINEPRUNE_USAGE);
    assert_string_equal(err.message, "there are no masks: the model has not been pruned");
    model.masks = calloc(1, sizeof(*model.masks));
    const struct fp_tensor weight = {.type = FP_FLOAT, .rank = 2, .dims = {3, 3}, .count = 9};
    struct fp_mask *mask = fp_masks_add(model.masks, "w", &weight, NULL);
    assert_non_null(mask);
    mask->bits[0] = 0xa1, mask->bits[1] = 1;
    assert_int_equal(fineprune_masks_save(&model, path, false, NULL, NULL), 0);
    fp_error_clear(&err);
    assert_int_equal(fineprune_masks_save(&model, path, false, NULL, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "masks.npz"));
    const uint8_t want[9] = {1, 0, 0, 0, 0, 1, 0, 1, 1};
    struct fp_npz *npz;
    struct fp_tensor t = {0};
    assert_int_equal(fp_npz_open(&npz, path, NULL, NULL), 0);
    assert_int_equal(fp_npz_read(npz, "w", &t, NULL, NULL), 0);
    assert_true(t.type == FP_BOOL && fp_same_shape(&t, &weight));
    assert_memory_equal(t.data, want, sizeof(want));
    fp_tensor_done(&t);
    fp_npz_free(npz);
    char name[60002];
    memset(name, 'n', sizeof(name) - 1), name[sizeof(name) - 1] = 0;
    assert_non_null(fp_masks_add(model.masks, name, &weight, NULL));
    fp_error_clear(&err);
    assert_int_equal(remove(path), 0);
    assert_int_equal(fineprune_masks_save(&model, path, false, NULL, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "is too long for a .npz"));
    assert_int_equal(access(path, F_OK), -1); // none is there without the others
    fp_masks_free(model.masks);
}

// In two files and back in one; never onto what the model is read from, never half of it.
static void external_data(void **state) {
    const char *const paths[] = {scratch_path(state, "e.onnx"), scratch_path(state, "f.onnx"),
                                 scratch_path(state, "e.onnx.data"), scratch_path(state, "g.onnx")};
    fineprune_error err = {0};
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", SHAPE(1));
    made_random(proto->graph, "w", SHAPE(40, 100), 1);
    made_random(proto->graph, "small", SHAPE(2), 2);
    made_node(proto->graph, "Sum", "x,w,small", "y");
    made_output(proto->graph, "y");
    struct fineprune_model *model = written(state, proto), *external = NULL;
    struct fp_tensor a = {0}, b = {0};
    assert_int_equal(save(model, paths[0], 1, &err), 0);
    assert_int_equal(fineprune_model_open(&external, paths[0], NULL, &err), 0);
    const Onnx__TensorProto *w = external->proto->graph->initializer[0],
                            *small = external->proto->graph->initializer[1];
    assert_int_equal(w->data_location, ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    assert_string_equal(w->external_data[0]->value, "e.onnx.data");
    assert_true(small->has_raw_data && !small->n_external_data);
    for (size_t i = 0; i < (size_t)model->graph->n_inputs; i++)
        assert_string_equal(fineprune_model_input(model, i), model->graph->values[model->graph->inputs[i]].name);
    assert_null(fineprune_model_input(model, (size_t)model->graph->n_inputs));
    assert_int_equal(fp_initializer_load(model, model->proto->graph->initializer[0], &a, NULL), 0);
    assert_int_equal(fp_initializer_load(external, w, &b, NULL), 0);
    assert_true(a.count == 4000 && b.count == 4000);
    assert_memory_equal(a.data, b.data, 16000);
    assert_int_equal(save(external, paths[1], -1, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "they cannot be written with --external-data never"));
    assert_int_equal(save(external, "-", 0, &err), FINEPRUNE_USAGE);
    assert_string_equal(err.message, "a model with external data cannot be written to standard output");
    assert_int_equal(save(external, "", 0, &err), FINEPRUNE_USAGE);
    assert_string_equal(err.message, "no output was named");
    for (int i = 0; i < 2; i++) {
        assert_true(fineprune_model_reads(external, paths[i * 2]));
        assert_int_equal(save(external, paths[i * 2], 0, &err), FINEPRUNE_USAGE);
        assert_non_null(strstr(err.message, "is a file that is read with the model"));
    }
    assert_false(fineprune_model_reads(external, paths[1]));
    assert_int_equal(save(external, paths[1], 0, &err), 0);
    fp_tensor_done(&a), fp_tensor_done(&b);
    fineprune_model_free(external);
    assert_int_equal(access(scratch_path(state, "f.onnx.data"), F_OK), 0);
    assert_int_equal(symlink("e.onnx.data", scratch_path(state, "g.onnx.data")), 0);
    assert_int_equal(fineprune_model_open(&external, paths[0], NULL, &err), 0);
    assert_int_equal(save(external, paths[3], 0, &err), FINEPRUNE_USAGE); // what would lie beside it is another's
    assert_non_null(strstr(err.message, "g.onnx.data' is a file that is read with the model"));
    assert_int_equal(access(paths[3], F_OK), -1);
    fineprune_model_free(external);
    fineprune_model_free(model);
}

// Changes that memory does not suffice for, at every byte at which it may end, are errors, and the model can be freed.
static int change(struct fineprune_model *model, int which, fineprune_error *err) {
    static float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct fp_tensor t = {.type = FP_FLOAT, .rank = 2, .dims = {2, 4}, .count = 8, .data = numbers};
    Onnx__GraphProto *graph = model->proto->graph;
    const char *name;
    switch (which) {
    case 0: return fp_model_set_metadata(model, "key", "value", err);
    case 1: return fp_model_add_tensor(model, "v", &t, &name, err);
    case 2: return fp_model_make_dense(model, fp_graph_find(model->graph, "s"), err);
    case 3: return fp_node_set_input(model, graph->node[0], 7, "w", err);
    case 4: return fp_node_add_sum(model, graph->node[0], "Add", "w", err);
    default: return fp_initializer_keep_slices(model, graph->initializer[0], 0, (uint8_t[]){1, 0, 1}, err);
    }
}

static void little_memory(void **state) {
    const char *path = scratch_path(state, "m.onnx");
    for (int which = 0; which < 6; which++) {
        Onnx__ModelProto *proto = made_new();
        proto->ir_version = which == 2 ? 8 : 3; // before IR 4 what is added is declared too
        made_input(proto->graph, "x", SHAPE(1));
        made_input(proto->graph, "w", SHAPE(3, 2));
        made_random(proto->graph, "w", SHAPE(3, 2), 1);
        if (which == 2) MADE_ADD(proto->graph, sparse_initializer, sparse("s", 1, 2));
        made_node(proto->graph, "Sum", which == 2 ? "x,w,s" : "x,w", "y");
        made_output(proto->graph, "y");
        made_write(proto, path);
        onnx__model_proto__free_unpacked(proto, NULL);
        int status = FINEPRUNE_LIMIT, failures = 0;
        for (size_t more = 0; status && more < 20000; more += which == 2 ? 97 : 11) {
            struct fineprune_model *model = NULL;
            fineprune_error err = {0};
            assert_int_equal(fineprune_model_open(&model, path, NULL, NULL), 0);
            model->memory.limit = model->memory.used + more;
            status = change(model, which, &err);
            if (status) assert_int_equal(status, FINEPRUNE_LIMIT), assert_non_null(strstr(err.message, "memory"));
            failures += status != 0;
            model->memory.limit = 0;
            if (!status) assert_int_equal(fp_model_view(model, NULL), 0);
            fineprune_model_free(model);
        }
        assert_int_equal(status, FINEPRUNE_OK);
        assert_true(failures > 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(names_are_new),
                                       scratch_test(names_of_what_left_are_free),
                                       scratch_test(many_are_added),
                                       scratch_test(metadata),
                                       scratch_test(old_files_declare),
                                       scratch_test(sparse_become_dense),
                                       scratch_test(attributes_and_shapes_follow),
                                       scratch_test(inputs_and_sums),
                                       scratch_test(masks_are_saved),
                                       scratch_test(external_data),
                                       scratch_test(little_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
