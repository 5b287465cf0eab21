// SPDX-License-Identifier: Apache-2.0
// Which initializers are smaller as SparseTensorProto, and their values and indices, made while they are written: one
// tensor at a time is in memory. (onnx.proto, SparseTensorProto)
#include "onnx/model_sparse.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "onnx.pb-c.h"

#define SPARSE_IR 6                      // the first with sparse_initializer
#define INSIDE_AT_MOST ((size_t)1 << 30) // all of it lies in the model's own message, which ends at 2 GiB
#define CHUNK ((size_t)8192)             // elements written at once

struct item {
    Onnx__TensorProto *dense;
    Onnx__SparseTensorProto sparse;
    Onnx__TensorProto values, indices;
    int64_t n;        // elements that are not zero
    size_t bytes;     // of the dense elements
    uint8_t marks[2]; // what raw_data of values and of indices point to
};

struct fp_sparse_set {
    struct fineprune_model *model;
    struct fp_arena room; // of the three arrays
    struct item *items;
    size_t n;
    Onnx__TensorProto **dense;        // the graph's initializers that stay
    Onnx__SparseTensorProto **sparse; // those that were sparse, and the items'
    Onnx__TensorProto **dense_before; // the message's own
    Onnx__SparseTensorProto **sparse_before;
    size_t n_dense_before, n_sparse_before;
    int64_t ir_before;
};

// ---- elements

// Numbers whose elements are stored as they are. An element is zero when all its bits are, so that -0 stays -0.
static bool is_kind(const Onnx__TensorProto *t) {
    static const enum fp_type kinds[] = {FP_FLOAT, FP_DOUBLE, FP_FLOAT16, FP_BFLOAT16, FP_INT8,   FP_INT16,
                                         FP_INT32, FP_INT64,  FP_UINT8,   FP_UINT16,   FP_UINT32, FP_UINT64};
    for (size_t i = 0; i < FP_COUNT(kinds); i++)
        if (t->data_type == (int32_t)kinds[i]) return true;
    return false;
}

static inline uint64_t bits_of(const uint8_t *element, size_t size) {
    uint64_t bits = 0;
    switch (size) {
    case 1: return *element;
    case 2: memcpy(&bits, element, 2); break;
    case 4: memcpy(&bits, element, 4); break;
    default: memcpy(&bits, element, 8);
    }
    return bits;
}

static size_t count_kept(const struct fp_tensor *t) {
    size_t size = fp_type_size(t->type), kept = 0;
    const uint8_t *bytes = t->data;
    for (size_t i = 0; i < t->count; i++) kept += bits_of(bytes + i * size, size) != 0;
    return kept;
}

static int write_values(const struct fp_tensor *t, struct fp_output *output, fineprune_error *err) {
    uint8_t chunk[CHUNK * 8];
    const uint8_t *bytes = t->data;
    size_t size = fp_type_size(t->type), n = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < t->count && !status; i++) {
        const uint8_t *element = bytes + i * size;
        if (!bits_of(element, size)) continue;
        memcpy(chunk + n++ * size, element, size);
        if (n < CHUNK) continue;
        status = fp_output_write(output, chunk, n * size, err);
        n = 0;
    }
    if (status || !n) return status;
    return fp_output_write(output, chunk, n * size, err);
}

static int write_indices(const struct fp_tensor *t, struct fp_output *output, fineprune_error *err) {
    int64_t chunk[CHUNK];
    const uint8_t *bytes = t->data;
    size_t size = fp_type_size(t->type), n = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < t->count && !status; i++) {
        if (!bits_of(bytes + i * size, size)) continue;
        chunk[n++] = (int64_t)i;
        if (n < CHUNK) continue;
        status = fp_output_write(output, chunk, sizeof(chunk), err);
        n = 0;
    }
    if (status || !n) return status;
    return fp_output_write(output, chunk, n * sizeof(*chunk), err);
}

int fp_sparse_write(const struct fp_sparse_set *set, const uint8_t *mark, struct fp_output *output,
                    fineprune_error *err) {
    const struct item *item = &set->items[(size_t)(mark - (const uint8_t *)set->items) / sizeof(*item)];
    struct fp_tensor t = {0};
    int status = fp_initializer_load(set->model, item->dense, &t, err);
    if (!status) status = mark == &item->marks[0] ? write_values(&t, output, err) : write_indices(&t, output, err);
    fp_tensor_done(&t);
    fp_initializer_drop(set->model, item->dense);
    return status;
}

bool fp_sparse_holds(const struct fp_sparse_set *set, const uint8_t *data) {
    return set && set->n && data >= (const uint8_t *)set->items && data < (const uint8_t *)(set->items + set->n);
}

// ---- choice

// A list of n numbers whose bytes are made later. What else the dense message says is its own.
static void make_list(Onnx__TensorProto *list, int32_t type, int64_t *n, uint8_t *mark, size_t bytes) {
    list->has_data_type = 1, list->data_type = type;
    list->n_dims = 1, list->dims = n;
    list->has_raw_data = 1, list->raw_data = (ProtobufCBinaryData){.len = bytes, .data = mark};
}

static bool make_item(struct item *item, Onnx__TensorProto *dense, size_t kept, size_t size) {
    size_t values, indices;
    if (!fp_mul(kept, size, &values) || !fp_mul(kept, sizeof(int64_t), &indices)) return false;
    item->dense = dense;
    item->n = (int64_t)kept;
    onnx__sparse_tensor_proto__init(&item->sparse);
    onnx__tensor_proto__init(&item->values);
    onnx__tensor_proto__init(&item->indices);
    item->values.name = dense->name;
    item->values.doc_string = dense->doc_string;
    make_list(&item->values, dense->data_type, &item->n, &item->marks[0], values);
    make_list(&item->indices, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, &item->n, &item->marks[1], indices);
    item->sparse.values = &item->values, item->sparse.indices = &item->indices;
    item->sparse.n_dims = dense->n_dims, item->sparse.dims = dense->dims;
    return true;
}

// A name that is an input too is a default that the caller may replace by a dense tensor, and the input's declared
// type is dense: it stays.
static bool is_input(const Onnx__GraphProto *graph, const Onnx__TensorProto *t) {
    for (size_t i = 0; i < graph->n_input; i++)
        if (graph->input[i]->name && !strcmp(graph->input[i]->name, t->name)) return true;
    return false;
}

// Fills the item when the tensor is smaller so, names and headers included. inside: bytes of the items so far.
static int consider(struct fp_sparse_set *set, Onnx__TensorProto *dense, struct item *item, size_t *inside, bool *taken,
                    fineprune_error *err) {
    struct fp_tensor t;
    *taken = false;
    if (!is_kind(dense) || !fp_initializer_name(dense)[0] || !dense->n_dims) return FINEPRUNE_OK;
    int status = fp_initializer_load(set->model, dense, &t, err);
    if (status) return status;
    size_t kept = count_kept(&t), total;
    item->bytes = fp_tensor_bytes(&t);
    if (make_item(item, dense, kept, fp_type_size(t.type)) && fp_add(*inside, item->bytes, &total)) {
        size_t bytes = protobuf_c_message_get_packed_size(&item->sparse.base);
        *taken = bytes < item->bytes && *inside + bytes <= INSIDE_AT_MOST;
        if (*taken) *inside += bytes;
    }
    fp_tensor_done(&t);
    fp_initializer_drop(set->model, dense);
    return FINEPRUNE_OK;
}

// Initializers that only bodies read are visible there by the same name, and functions cannot read any: who reads does
// not matter. External tensors come into the model's own file.
static int choose(struct fp_sparse_set *set, bool all, fineprune_error *err) {
    const Onnx__GraphProto *graph = set->model->proto->graph;
    const struct fp_name_map *was = &set->model->was_sparse;
    size_t inside = 0, n_dense = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *dense = graph->initializer[i];
        struct item *item = &set->items[set->n];
        bool taken = false;
        int status = FINEPRUNE_OK;
        if ((all || fp_name_find(was, dense) >= 0) && !is_input(graph, dense))
            status = consider(set, dense, item, &inside, &taken, err);
        if (status) return status;
        if (taken) set->n++;
        else set->dense[n_dense++] = dense;
    }
    return FINEPRUNE_OK;
}

// What was sparse goes back to its place, what is so now comes after it.
static bool arrange(struct fp_sparse_set *set, size_t n_left) {
    const struct fp_name_map *was = &set->model->was_sparse;
    const size_t n_before = n_left + was->n;
    Onnx__SparseTensorProto **places = fp_arena_take(&set->room, n_before + set->n + 1, sizeof(*places));
    bool *gone = fp_arena_take(&set->room, n_before + 1, sizeof(*gone));
    if (!places || !gone) return false;
    for (size_t i = 0; i < was->capacity; i++)
        if (was->entries[i].name) gone[was->entries[i].value] = true;
    for (size_t i = 0, left = 0; i < n_before; i++)
        if (!gone[i]) places[i] = set->sparse_before[left++];
    for (size_t i = 0, more = n_before; i < set->n; i++) {
        const int place = fp_name_find(was, set->items[i].dense);
        places[place >= 0 ? (size_t)place : more++] = &set->items[i].sparse;
    }
    for (size_t i = 0, n = 0; i < n_before + set->n; i++)
        if (places[i]) set->sparse[n++] = places[i];
    return true;
}

// ---- the message

static void put_in_place(struct fp_sparse_set *set) {
    Onnx__ModelProto *proto = set->model->proto;
    Onnx__GraphProto *graph = proto->graph;
    graph->initializer = set->dense, graph->n_initializer -= set->n;
    graph->sparse_initializer = set->sparse, graph->n_sparse_initializer += set->n;
    if (set->n && proto->ir_version < SPARSE_IR) proto->ir_version = SPARSE_IR;
}

int fp_sparse_begin(struct fp_sparse_set **out, struct fineprune_model *model, bool all, fineprune_error *err) {
    Onnx__GraphProto *graph = model->proto->graph;
    size_t n = graph->n_initializer, n_sparse;
    struct fp_sparse_set *set = calloc(1, sizeof(*set));
    bool made = set && fp_add(n, graph->n_sparse_initializer, &n_sparse);
    if (made) {
        *set = (struct fp_sparse_set){.model = model,
                                      .dense_before = graph->initializer,
                                      .n_dense_before = n,
                                      .sparse_before = graph->sparse_initializer,
                                      .n_sparse_before = graph->n_sparse_initializer,
                                      .ir_before = model->proto->ir_version};
        set->items = fp_arena_take(&set->room, n + 1, sizeof(*set->items));
        set->dense = fp_arena_take(&set->room, n + 1, sizeof(*set->dense));
        set->sparse = fp_arena_take(&set->room, n_sparse + 1, sizeof(*set->sparse));
        made = !set->room.failed;
    }
    int status = FINEPRUNE_OK;
    if (made) status = choose(set, all, err);
    if (made && !status) made = arrange(set, graph->n_sparse_initializer);
    if (!made) status = fp_fail_memory(err, "sparse initializers", n * sizeof(struct item));
    if (status) {
        fp_sparse_end(set);
        return status;
    }
    put_in_place(set);
    *out = set;
    return FINEPRUNE_OK;
}

void fp_sparse_end(struct fp_sparse_set *set) {
    if (!set) return;
    Onnx__GraphProto *graph = set->model->proto->graph;
    graph->initializer = set->dense_before, graph->n_initializer = set->n_dense_before;
    graph->sparse_initializer = set->sparse_before, graph->n_sparse_initializer = set->n_sparse_before;
    set->model->proto->ir_version = set->ir_before;
    fp_arena_free(&set->room);
    free(set);
}

void fp_sparse_count(const struct fp_sparse_set *set, fineprune_sparse_count *out) {
    *out = (fineprune_sparse_count){.tensors = set ? set->n : 0};
    for (size_t i = 0; i < out->tensors; i++) {
        out->bytes += protobuf_c_message_get_packed_size(&set->items[i].sparse.base);
        out->dense_bytes += set->items[i].bytes;
    }
}
