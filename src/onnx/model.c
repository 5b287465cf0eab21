// SPDX-License-Identifier: Apache-2.0
// Opening a model file: what kind of file it is, the pre-scan, the parse, the first checks; metadata and versions.
#include "onnx/model.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx/graph.h"
#include "base/mapping.h"
#include "onnx/header.h"
#include "onnx/masks.h"
#include "onnx.pb-c.h"
#include "onnx/wire.h"

// ---- what people pass by mistake

static int refuse_kind(const char *path, const char *what, const char *hint, fineprune_error *err) {
    fp_fail(err, FINEPRUNE_MODEL, "'%s' is %s, not an ONNX model", path, what);
    if (hint) fp_hint(err, "%s", hint);
    return FINEPRUNE_MODEL;
}

static bool is_text(const uint8_t *data, size_t size) {
    size_t n = fp_least(size, 64);
    for (size_t i = 0; i < n; i++)
        if (!isprint(data[i]) && !isspace(data[i])) return false;
    return n > 0;
}

static int refuse_other_kinds(const char *path, const uint8_t *data, size_t size, fineprune_error *err) {
    static const struct {
        const char *magic;
        size_t length;
        const char *what, *hint;
    } KINDS[] = {
        {"version https://git-lfs", 23, "a git-LFS pointer", "fetch the real file with 'git lfs pull'"},
        {"\x1f\x8b", 2, "a gzip archive", "unpack it first"},
        {"PK\x03\x04", 4, "a zip archive (a PyTorch checkpoint or saved archive?)", "export the model to ONNX first"},
        {"\x80\x02", 2, "a Python pickle", "export the model to ONNX first"},
        {"\x89HDF", 4, "an HDF5 file", "export the model to ONNX first"},
        {"<!DOCTYPE", 9, "an HTML page", "the download failed; fetch the model again"},
        {"<html", 5, "an HTML page", "the download failed; fetch the model again"},
    };
    if (!size) return refuse_kind(path, "an empty file", NULL, err);
    for (size_t i = 0; i < FP_COUNT(KINDS); i++)
        if (size >= KINDS[i].length && !memcmp(data, KINDS[i].magic, KINDS[i].length))
            return refuse_kind(path, KINDS[i].what, KINDS[i].hint, err);
    if (is_text(data, size)) return refuse_kind(path, "a text file", NULL, err);
    return FINEPRUNE_OK;
}

// ---- the parse

// protobuf-c's allocator within the model's budget. The size stands in front of each block, as protobuf-c frees without
// it, and a zero behind, so that the bytes of a string attribute are terminated.
enum { HEADER = 16 };

static void *budget_alloc(void *data, size_t size) {
    struct fp_memory *memory = data;
    size_t whole;
    if (!fp_add(size, HEADER + 1, &whole)) return NULL;
    if (!fp_memory_allows(memory, whole)) return NULL;
    char *block = malloc(whole);
    memory->failed |= !block;
    if (!block) return NULL;
    memory->used += whole;
    if (memory->used > memory->peak) memory->peak = memory->used;
    memcpy(block, &whole, sizeof(whole));
    block[whole - 1] = 0;
    return block + HEADER;
}

static size_t budget_size(const void *block) {
    size_t whole;
    memcpy(&whole, (const char *)block - HEADER, sizeof(whole));
    return whole - HEADER - 1;
}

static void budget_free(void *data, void *block) {
    if (!block) return;
    struct fp_memory *memory = data;
    memory->used -= budget_size(block) + HEADER + 1;
    free((char *)block - HEADER);
}

void fp_budget_allocator(ProtobufCAllocator *out, struct fp_memory *memory) {
    *out = (ProtobufCAllocator){.alloc = budget_alloc, .free = budget_free, .allocator_data = memory};
}

// After the parse every raw_data holds the offset of its contents in the file: point it there.
static int point_into_file(ProtobufCMessage *message, void *user) {
    struct fineprune_model *model = user;
    Onnx__TensorProto *tensor = (Onnx__TensorProto *)message;
    ProtobufCBinaryData *raw = &tensor->raw_data;
    if (!tensor->has_raw_data) return 0;
    uint64_t offset = 0;
    for (size_t i = 0; i < 8 && i < raw->len; i++) offset |= (uint64_t)raw->data[i] << (8 * i);
    budget_free(&model->memory, raw->data);
    size_t start, file_size = model->mappings->size;
    raw->len = fp_wire_length(model->mappings->data, file_size, (size_t)offset, &start);
    if (start > file_size || raw->len > file_size - start) raw->len = 0, start = 0; // it was written to meanwhile
    raw->data = model->mappings->data + start;
    return 0;
}

static int forget_file(ProtobufCMessage *message, void *user) {
    ProtobufCBinaryData *raw = &((Onnx__TensorProto *)message)->raw_data;
    if (fp_mapping_holds(user, raw->data)) *raw = (ProtobufCBinaryData){0};
    return 0;
}

static int parse(struct fineprune_model *model, fineprune_error *err) {
    const struct fp_mapping *file = model->mappings;
    uint8_t *compact;
    size_t size;
    fineprune_error inner = {0};
    int status = fp_wire_compact(&compact, &size, &onnx__model_proto__descriptor, file->data, file->size,
                                 &model->memory, &inner);
    if (status) return fp_fail(err, status, "'%s': %s", model->path, inner.message);
    ProtobufCAllocator *allocator = model->allocator;
    model->proto = onnx__model_proto__unpack(allocator, size, compact);
    free(compact);
    if (!model->proto) {
        if (model->memory.refused || model->memory.failed) return fp_fail_memory(err, model->path, size);
        return fp_fail(err, FINEPRUNE_MODEL, "'%s' is not a valid ONNX file: its messages cannot be parsed",
                       model->path);
    }
    fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, point_into_file, model);
    return FINEPRUNE_OK;
}

#define LARGEST_MESSAGE ((size_t)1 << 31) // bytes; no protobuf message is larger

#define IN_MEMORY "a model in memory" // in messages
#define NOWHERE "/dev/null"           // no folder, so that nothing is below it

static int map_model(struct fineprune_model *model, const char *path, const void *bytes, size_t size,
                     fineprune_error *err) {
    const size_t most = model->memory.limit ? fp_least(model->memory.limit, LARGEST_MESSAGE) : LARGEST_MESSAGE;
    if (!bytes && strcmp(path, "-")) return fp_mapping_open(&model->mappings, path, err);
    if (!bytes) return fp_mapping_standard_input(&model->mappings, most, err);
    if (size > most) return fp_fail(err, FINEPRUNE_LIMIT, "%zu bytes are too many; %zu are allowed", size, most);
    return fp_mapping_bytes(&model->mappings, bytes, size, err);
}

static int fill_model(struct fineprune_model *model, const char *path, const void *bytes, size_t size,
                      const fineprune_run_options *options, fineprune_error *err) {
    if (options) model->memory.limit = options->max_memory;
    else model->memory.limit = 0;
    model->path = strdup(path ? path : IN_MEMORY);
    char *copy = path ? strdup(path) : NULL;
    if (copy) model->folder = strdup(dirname(copy));
    else model->folder = path ? NULL : strdup(NOWHERE);
    free(copy);
    if (options && options->scratch) model->scratch = strdup(options->scratch);
    ProtobufCAllocator *allocator = model->allocator = malloc(sizeof(*allocator));
    if (!model->path || !model->folder || !allocator) return fp_fail_memory(err, "a path", 0);
    fp_budget_allocator(allocator, &model->memory);
    int status = map_model(model, path, bytes, size, err);
    if (status) return status;
    model->file_size = model->mappings->size;
    status = refuse_other_kinds(model->path, model->mappings->data, model->mappings->size, err);
    if (!status) status = parse(model, err);
    if (!status) status = fp_header_check(model, err);
    if (!status) status = fp_graph_new(&model->graph, model, err);
    return status;
}

int fp_model_open(struct fineprune_model **out, const char *path, const void *bytes, size_t size,
                  const fineprune_run_options *options, fineprune_error *err) {
    if (!out || (!path && !bytes)) return fp_fail(err, FINEPRUNE_USAGE, "no model was named");
    struct fineprune_model *model = calloc(1, sizeof(*model));
    if (!model) return fp_fail_memory(err, "the model", sizeof(*model));
    int status = fill_model(model, path, bytes, size, options, err);
    if (status == FINEPRUNE_MODEL) fp_error_in(err, model->path);
    if (status) fp_memory_hint(&model->memory, err);
    if (status) fineprune_model_free(model);
    else *out = model;
    return status;
}

// Weights of which 99.9 % are zero are stored in a hundredth and less of their bytes; nobody stores them in a
// thousandth.
#define CLAIM_LEAST ((size_t)64 << 20)
#define CLAIM_FOR_BYTE 1024

size_t fp_model_claims(const struct fineprune_model *model) {
    size_t stored = 0, bytes;
    for (const struct fp_mapping *m = model->mappings; m; m = m->next) stored += m->size;
    if (!fp_mul(stored, CLAIM_FOR_BYTE, &bytes)) return PTRDIFF_MAX;
    return fp_most(bytes, CLAIM_LEAST);
}

bool fp_model_lies_in_file(const struct fineprune_model *model) {
    const char *path = model->mappings ? model->mappings->path : "";
    return *path && strcmp(path, "-");
}

void fp_model_drop_sample(struct fineprune_model *model) {
    for (int i = 0; i < model->n_sample; i++) fp_tensor_done(&model->sample[i]);
    free(model->sample);
    model->sample = NULL;
    model->n_sample = 0;
}

static void free_tensor(struct fineprune_model *model, Onnx__TensorProto *t) {
    fp_wire_visit(&t->base, &onnx__tensor_proto__descriptor, forget_file, model->mappings);
    onnx__tensor_proto__free_unpacked(t, model->allocator);
}

void fineprune_model_free(fineprune_model *model) {
    if (!model) return;
    fp_model_drop_sample(model);
    fp_masks_free(model->masks);
    fp_graph_free(model->graph);
    fp_name_map_done(&model->value_names);
    fp_name_map_done(&model->was_sparse);
    if (model->proto) {
        fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, forget_file, model->mappings);
        onnx__model_proto__free_unpacked(model->proto, model->allocator);
    }
    for (size_t i = 0; i < model->n_dropped; i++) free_tensor(model, model->dropped[i]);
    budget_free(&model->memory, model->dropped);
    fp_mapping_free(model->mappings);
    fp_memory_trim(&model->memory);
    free(model->allocator);
    free(model->folder);
    free(model->scratch);
    free(model->path);
    free(model);
}

// ---- versions

int64_t fp_model_ir_version(const struct fineprune_model *model) { return model->proto->ir_version; }

int fp_model_opset(const struct fineprune_model *model, const char *domain) {
    if (!strcmp(domain, "ai.onnx")) domain = "";
    for (size_t i = 0; i < model->proto->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *import = model->proto->opset_import[i];
        const char *name = fp_or_empty(import->domain);
        if (!strcmp(name, "ai.onnx")) name = "";
        if (strcmp(name, domain)) continue;
        return (int)import->version; // within its bounds: header.c
    }
    return 0;
}

const char *fp_model_producer(const struct fineprune_model *model) { return fp_or_empty(model->proto->producer_name); }

const char *fp_model_sha256(struct fineprune_model *model) {
    if (!model->sha256[0]) {
        struct sha256_ctx context;
        uint8_t digest[SHA256_DIGEST_SIZE];
        sha256_init(&context);
        sha256_update(&context, model->mappings->size, model->mappings->data);
        sha256_digest(&context, sizeof(digest), digest);
        base16_encode_update(model->sha256, sizeof(digest), digest); // 64 digits; the last byte stays 0
    }
    return model->sha256;
}

// ---- metadata

static char *copy_text(struct fineprune_model *model, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = budget_alloc(&model->memory, size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static Onnx__StringStringEntryProto *find_metadata(const struct fineprune_model *model, const char *key) {
    for (size_t i = 0; i < model->proto->n_metadata_props; i++) {
        Onnx__StringStringEntryProto *entry = model->proto->metadata_props[i];
        if (entry->key && !strcmp(entry->key, key)) return entry;
    }
    return NULL;
}

const char *fp_model_metadata(const struct fineprune_model *model, const char *key) {
    const Onnx__StringStringEntryProto *entry = find_metadata(model, key);
    if (entry) return entry->value;
    return NULL;
}

// Appends a pointer to a repeated field of the parsed message, which doubles when it is full.
static bool append(struct fineprune_model *model, void ***array, size_t *n, void *item) {
    if (*array && budget_size(*array) / sizeof(void *) > *n) {
        (*array)[(*n)++] = item;
        return true;
    }
    void **grown = budget_alloc(&model->memory, (*n ? *n * 2 : 1) * sizeof(void *));
    if (!grown) return false;
    if (*n) memcpy(grown, *array, *n * sizeof(void *));
    grown[(*n)++] = item;
    budget_free(&model->memory, *array);
    *array = grown;
    return true;
}

static bool append_text(struct fineprune_model *model, char ***array, size_t *n, const char *text) {
    char *copy = copy_text(model, text);
    if (copy && append(model, (void ***)array, n, copy)) return true;
    budget_free(&model->memory, copy);
    return false;
}

int fp_model_set_metadata(struct fineprune_model *model, const char *key, const char *value, fineprune_error *err) {
    char *copy = copy_text(model, value);
    if (!copy) return fp_fail_memory(err, "metadata", strlen(value));
    Onnx__StringStringEntryProto *entry = find_metadata(model, key);
    if (entry) {
        budget_free(&model->memory, entry->value);
        entry->value = copy;
        return FINEPRUNE_OK;
    }
    entry = budget_alloc(&model->memory, sizeof(*entry));
    if (entry) {
        onnx__string_string_entry_proto__init(entry);
        entry->value = copy;
        entry->key = copy_text(model, key);
        if (entry->key &&
            append(model, (void ***)&model->proto->metadata_props, &model->proto->n_metadata_props, entry))
            return FINEPRUNE_OK;
        budget_free(&model->memory, entry->key);
        budget_free(&model->memory, entry);
    }
    budget_free(&model->memory, copy);
    return fp_fail_memory(err, "metadata", strlen(value));
}

// ---- a further input of a node

static bool add_name(struct fp_name_map *names, const char *name) {
    return !name || fp_name_find(names, name) >= 0 || fp_name_add(names, name, 1);
}

static int add_names_of_graph(ProtobufCMessage *message, void *user) {
    const Onnx__GraphProto *graph = (Onnx__GraphProto *)message;
    bool added = true;
    for (size_t i = 0; i < graph->n_initializer && added; i++) added = add_name(user, graph->initializer[i]->name);
    for (size_t i = 0; i < graph->n_sparse_initializer && added; i++)
        added = !graph->sparse_initializer[i]->values || add_name(user, graph->sparse_initializer[i]->values->name);
    for (size_t i = 0; i < graph->n_input && added; i++) added = add_name(user, graph->input[i]->name);
    for (size_t i = 0; i < graph->n_node && added; i++)
        for (size_t j = 0; j < graph->node[i]->n_output && added; j++)
            added = add_name(user, graph->node[i]->output[j]);
    return !added;
}

// A name that no value has, in the main graph or a body. From now on it is taken.
static char *fresh_name(struct fineprune_model *model, const char *base) {
    struct fp_name_map *names = &model->value_names;
    if (!names->n && fp_wire_visit(&model->proto->base, &onnx__graph_proto__descriptor, add_names_of_graph, names)) {
        fp_name_map_done(names);
        return NULL;
    }
    char text[600];
    for (int i = 0; i < 10000; i++) {
        if (i) snprintf(text, sizeof(text), "%.500s_%d", base, i);
        else snprintf(text, sizeof(text), "%.500s", base);
        if (fp_name_find(names, text) >= 0) continue;
        char *name = copy_text(model, text);
        if (name && fp_name_add(names, name, 1)) return name;
        budget_free(&model->memory, name);
        return NULL;
    }
    return NULL;
}

static Onnx__TensorProto *new_tensor(struct fineprune_model *model, char *name, const struct fp_tensor *t) {
    size_t bytes = fp_tensor_bytes(t);
    Onnx__TensorProto *tensor = budget_alloc(&model->memory, sizeof(*tensor));
    if (!tensor) return NULL;
    onnx__tensor_proto__init(tensor);
    tensor->name = name;
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)t->type;
    tensor->dims = budget_alloc(&model->memory, sizeof(int64_t) * (size_t)(t->rank + 1));
    tensor->raw_data.data = budget_alloc(&model->memory, bytes + 1);
    if (!tensor->dims || !tensor->raw_data.data) {
        budget_free(&model->memory, tensor->dims);
        budget_free(&model->memory, tensor->raw_data.data);
        budget_free(&model->memory, tensor);
        return NULL;
    }
    tensor->n_dims = (size_t)t->rank;
    memcpy(tensor->dims, t->dims, sizeof(int64_t) * (size_t)t->rank);
    tensor->has_raw_data = 1;
    tensor->raw_data.len = bytes;
    memcpy(tensor->raw_data.data, t->data, bytes);
    return tensor;
}

static void *new_message(struct fineprune_model *model, const ProtobufCMessageDescriptor *kind) {
    void *message = budget_alloc(&model->memory, kind->sizeof_message);
    if (message) protobuf_c_message_init(kind, message);
    return message;
}

// A new message at the end of a repeated field; NULL, and nothing has changed, when out of memory.
static void *append_message(struct fineprune_model *model, void ***array, size_t *n,
                            const ProtobufCMessageDescriptor *kind) {
    void *message = new_message(model, kind);
    if (message && append(model, array, n, message)) return message;
    budget_free(&model->memory, message);
    return NULL;
}

static bool declare_dims(struct fineprune_model *model, Onnx__TensorShapeProto *shape, const struct fp_tensor *t) {
    bool done = true;
    for (int i = 0; i < t->rank && done; i++) {
        Onnx__TensorShapeProto__Dimension *dim = append_message(model, (void ***)&shape->dim, &shape->n_dim,
                                                                &onnx__tensor_shape_proto__dimension__descriptor);
        done = dim != NULL;
        if (!done) continue;
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = t->dims[i];
    }
    return done;
}

// Before IR 4 every initializer must be an input of the graph too. What is linked in is freed with the model.
static bool declare_input(struct fineprune_model *model, const char *name, const struct fp_tensor *t) {
    Onnx__GraphProto *graph = model->proto->graph;
    Onnx__ValueInfoProto *info = append_message(model, (void ***)&graph->input, &graph->n_input,
                                                &onnx__value_info_proto__descriptor);
    if (!info) return false;
    info->name = copy_text(model, name);
    Onnx__TypeProto *type = info->type = new_message(model, &onnx__type_proto__descriptor);
    if (!info->name || !type) return false;
    Onnx__TypeProto__Tensor *tensor = new_message(model, &onnx__type_proto__tensor__descriptor);
    if (!tensor) return false;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)t->type;
    tensor->shape = new_message(model, &onnx__tensor_shape_proto__descriptor);
    return tensor->shape && declare_dims(model, tensor->shape, t);
}

// What could not be linked into the model: a tensor, or a name alone.
static void free_named(struct fineprune_model *model, char *name, Onnx__TensorProto *tensor) {
    fp_name_map_done(&model->value_names);
    if (tensor) onnx__tensor_proto__free_unpacked(tensor, model->allocator);
    else budget_free(&model->memory, name);
}

int fp_model_add_tensor(struct fineprune_model *model, const char *base_name, const struct fp_tensor *t,
                        const char **name_out, fineprune_error *err) {
    Onnx__GraphProto *graph = model->proto->graph;
    char *name = fresh_name(model, base_name);
    Onnx__TensorProto *tensor = NULL;
    if (name) tensor = new_tensor(model, name, t);
    bool done = tensor && append(model, (void ***)&graph->initializer, &graph->n_initializer, tensor);
    if (!done) free_named(model, name, tensor);
    done = done && (fp_model_ir_version(model) >= 4 || declare_input(model, name, t));
    if (!done) return fp_fail_memory(err, "a bias", fp_tensor_bytes(t)); // what is linked in is freed with the model
    *name_out = name;
    return FINEPRUNE_OK;
}

// The place that number `at` of those that are left had among all.
static size_t place_before(const struct fp_name_map *gone, size_t at) {
    for (size_t place = at, n;; place = at + n) {
        n = 0;
        for (size_t i = 0; i < gone->capacity; i++)
            n += gone->entries[i].name && (size_t)gone->entries[i].value <= place;
        if (at + n == place) return place;
    }
}

// False when out of memory; nothing is changed then.
static bool drop_sparse(struct fineprune_model *model, Onnx__SparseTensorProto *sparse, const void *dense) {
    Onnx__GraphProto *graph = model->proto->graph;
    size_t at = 0;
    while (graph->sparse_initializer[at] != sparse) at++;
    model->was_sparse.addresses = true;
    if (!fp_name_add(&model->was_sparse, dense, (int)place_before(&model->was_sparse, at))) return false;
    graph->n_sparse_initializer--;
    memmove(graph->sparse_initializer + at, graph->sparse_initializer + at + 1,
            sizeof(sparse) * (graph->n_sparse_initializer - at));
    fp_wire_visit(&sparse->base, &onnx__tensor_proto__descriptor, forget_file, model->mappings);
    onnx__sparse_tensor_proto__free_unpacked(sparse, model->allocator);
    return true;
}

int fp_model_make_dense(struct fineprune_model *model, int value, fineprune_error *err) {
    Onnx__GraphProto *graph = model->proto->graph;
    struct fp_value *v = &model->graph->values[value];
    struct fp_tensor t = {0};
    int status = fp_sparse_initializer_load(model, v->sparse_initializer, &t, err);
    if (status) return status;
    char *name = copy_text(model, v->name);
    Onnx__TensorProto *tensor = NULL;
    if (name) tensor = new_tensor(model, name, &t);
    if (!tensor || !append(model, (void ***)&graph->initializer, &graph->n_initializer, tensor)) {
        free_named(model, name, tensor);
        status = fp_fail_memory(err, v->name, fp_tensor_bytes(&t));
    }
    fp_tensor_done(&t);
    if (status) return status;
    if (!drop_sparse(model, v->sparse_initializer, tensor)) return fp_fail_memory(err, v->name, sizeof(int));
    v->name = name;
    v->initializer = tensor;
    v->sparse_initializer = NULL;
    return FINEPRUNE_OK;
}

static bool is_listed(void *const *list, size_t n, const void *item) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == item) return true;
    return false;
}

static bool is_input(const Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_input; i++)
        if (graph->input[i]->name && !strcmp(graph->input[i]->name, name)) return true;
    return false;
}

void fp_model_drop_unread(struct fineprune_model *model, const struct fp_unread *unread) {
    Onnx__GraphProto *graph = model->proto->graph;
    size_t n = 0;
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        if (!is_listed((void *const *)unread->nodes, unread->n_nodes, node)) {
            graph->node[n++] = node;
            continue;
        }
        fp_wire_visit(&node->base, &onnx__tensor_proto__descriptor, forget_file, model->mappings);
        onnx__node_proto__free_unpacked(node, model->allocator);
    }
    graph->n_node = n;
    n = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *t = graph->initializer[i];
        if (!is_listed((void *const *)unread->tensors, unread->n_tensors, t) || is_input(graph, t->name)) {
            graph->initializer[n++] = t;
            continue;
        }
        if (fp_name_find(&model->was_sparse, t) < 0) free_tensor(model, t);
        else if (!append(model, (void ***)&model->dropped, &model->n_dropped, t)) graph->initializer[n++] = t;
    }
    graph->n_initializer = n;
    fp_name_map_done(&model->value_names);
}

int fp_node_set_input(struct fineprune_model *model, Onnx__NodeProto *node, size_t index, const char *name,
                      fineprune_error *err) {
    bool done = true;
    while (done && node->n_input < index) done = append_text(model, &node->input, &node->n_input, "");
    if (done && index == node->n_input) {
        done = append_text(model, &node->input, &node->n_input, name);
    } else if (done) {
        char *input = copy_text(model, name);
        done = input != NULL;
        if (done) budget_free(&model->memory, node->input[index]);
        if (done) node->input[index] = input;
    }
    if (done) return FINEPRUNE_OK;
    return fp_fail_memory(err, "a bias", strlen(name));
}

int fp_node_add_input(struct fineprune_model *model, Onnx__NodeProto *node, size_t index, const char *base_name,
                      const struct fp_tensor *t, const char **name_out, fineprune_error *err) {
    int status = fp_model_add_tensor(model, base_name, t, name_out, err);
    if (status) return status;
    return fp_node_set_input(model, node, index, *name_out, err);
}

// The sum takes over the name of the node's result, so that its readers need no change.
int fp_node_add_sum(struct fineprune_model *model, Onnx__NodeProto *node, const char *type, const char *tensor,
                    fineprune_error *err) {
    Onnx__GraphProto *graph = model->proto->graph;
    size_t at = 0;
    while (at < graph->n_node && graph->node[at] != node) at++;
    if (at == graph->n_node || !node->n_output)
        return fp_fail(err, FINEPRUNE_INTERNAL, "node '%s' cannot take a sum", fp_or_empty(node->name));
    char *base = fp_format("%s.product", node->output[0]), *product = base ? fresh_name(model, base) : NULL;
    free(base);
    Onnx__NodeProto *sum = NULL;
    if (product) sum = append_message(model, (void ***)&graph->node, &graph->n_node, &onnx__node_proto__descriptor);
    if (!sum) {
        fp_name_map_done(&model->value_names);
        budget_free(&model->memory, product);
        return fp_fail_memory(err, "a bias", sizeof(*sum));
    }
    memmove(graph->node + at + 2, graph->node + at + 1, sizeof(sum) * (graph->n_node - at - 2));
    graph->node[at + 1] = sum;
    sum->op_type = copy_text(model, type);
    sum->name = copy_text(model, product); // of one tensor there may be several sums
    bool done = sum->op_type && sum->name && append_text(model, &sum->input, &sum->n_input, product) &&
                append_text(model, &sum->input, &sum->n_input, tensor) &&
                append(model, (void ***)&sum->output, &sum->n_output, node->output[0]);
    if (done) {
        node->output[0] = product;
        return FINEPRUNE_OK;
    }
    fp_name_map_done(&model->value_names);
    budget_free(&model->memory, product);
    return fp_fail_memory(err, "a bias", sizeof(*sum));
}

// ---- other shapes

// Elements of the slices that are kept, in order.
static int gather_slices(const struct fp_tensor *t, int axis, const uint8_t *keep, struct fp_tensor *out,
                         struct fp_memory *memory, fineprune_error *err) {
    int64_t dims[FP_MAX_RANK], outer = 1;
    size_t inner = fp_type_size(t->type), length = (size_t)t->dims[axis];
    memcpy(dims, t->dims, sizeof(dims));
    dims[axis] = 0;
    for (size_t i = 0; i < length; i++) dims[axis] += keep[i] != 0;
    for (int i = 0; i < axis; i++) outer *= dims[i];
    for (int i = axis + 1; i < t->rank; i++) inner *= (size_t)dims[i];
    int status = fp_tensor_new(out, memory, t->type, t->rank, dims, err);
    if (status) return status;
    char *to = out->data;
    const char *from = t->data;
    for (int64_t o = 0; o < outer; o++)
        for (size_t i = 0; i < length; i++, from += inner)
            if (keep[i]) memcpy(to, from, inner), to += inner;
    return FINEPRUNE_OK;
}

static void drop_elements(struct fineprune_model *model, Onnx__TensorProto *proto) {
    struct fp_memory *memory = &model->memory;
    if (proto->has_raw_data && !fp_mapping_holds(model->mappings, proto->raw_data.data))
        budget_free(memory, proto->raw_data.data);
    budget_free(memory, proto->float_data), budget_free(memory, proto->double_data);
    budget_free(memory, proto->int32_data), budget_free(memory, proto->int64_data);
    budget_free(memory, proto->uint64_data);
    proto->float_data = NULL, proto->double_data = NULL, proto->int32_data = NULL, proto->int64_data = NULL;
    proto->uint64_data = NULL;
    proto->n_float_data = proto->n_double_data = proto->n_int32_data = proto->n_int64_data = proto->n_uint64_data = 0;
    for (size_t i = 0; i < proto->n_external_data; i++)
        onnx__string_string_entry_proto__free_unpacked(proto->external_data[i], model->allocator);
    budget_free(memory, proto->external_data);
    proto->external_data = NULL;
    proto->n_external_data = 0;
    proto->has_data_location = 0;
    proto->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
}

// The file holds int4 and the like two to a byte; those stay as they are.
static bool is_whole_bytes(enum fp_type type) {
    return type != FP_INT4 && type != FP_UINT4 && type != FP_STRING && fp_type_size(type) > 0;
}

int fp_initializer_keep_slices(struct fineprune_model *model, Onnx__TensorProto *proto, int axis, const uint8_t *keep,
                               fineprune_error *err) {
    struct fp_tensor whole = {0}, kept = {0};
    int status = fp_initializer_load(model, proto, &whole, err);
    if (status) return status;
    if (axis < 0 || axis >= whole.rank || !is_whole_bytes(whole.type))
        status = fp_fail(err, FINEPRUNE_INTERNAL, "tensor '%s' cannot be cut", fp_initializer_name(proto));
    if (!status) status = gather_slices(&whole, axis, keep, &kept, &model->memory, err);
    const size_t bytes = status ? 0 : fp_tensor_bytes(&kept);
    uint8_t *raw = status ? NULL : budget_alloc(&model->memory, bytes + 1);
    if (!status && !raw) status = fp_fail_memory(err, fp_initializer_name(proto), bytes);
    if (!status) {
        memcpy(raw, kept.data, bytes);
        drop_elements(model, proto);
        proto->has_raw_data = 1;
        proto->raw_data = (ProtobufCBinaryData){bytes, raw};
        proto->dims[axis] = kept.dims[axis];
    }
    fp_tensor_done(&whole);
    fp_tensor_done(&kept);
    return status;
}

void fp_node_drop_attribute(struct fineprune_model *model, Onnx__NodeProto *node, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < node->n_attribute; i++) {
        Onnx__AttributeProto *a = node->attribute[i];
        if (strcmp(a->name ? a->name : "", name)) {
            node->attribute[n++] = a;
            continue;
        }
        fp_wire_visit(&a->base, &onnx__tensor_proto__descriptor, forget_file, model->mappings);
        onnx__attribute_proto__free_unpacked(a, model->allocator);
    }
    node->n_attribute = n;
}

int fp_node_set_int(Onnx__NodeProto *node, const char *name, size_t index, int64_t value, fineprune_error *err) {
    for (size_t i = 0; i < node->n_attribute; i++) {
        Onnx__AttributeProto *a = node->attribute[i];
        if (strcmp(a->name ? a->name : "", name) || (!a->has_i && index >= a->n_ints)) continue;
        if (a->has_i) a->i = value;
        else a->ints[index] = value;
        return FINEPRUNE_OK;
    }
    return fp_fail(err, FINEPRUNE_INTERNAL, "node '%s' has no attribute '%s'", node->name ? node->name : "", name);
}

static void declare(Onnx__ValueInfoProto *info, const char *value, int axis, int64_t dim) {
    const Onnx__TypeProto *type = info->type;
    if (!info->name || strcmp(info->name, value) || !type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !type->tensor_type->shape)
        return;
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    if ((size_t)axis < shape->n_dim &&
        shape->dim[axis]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
        shape->dim[axis]->dim_value = dim;
}

void fp_model_declare_dim(struct fineprune_model *model, const char *value, int axis, int64_t dim) {
    const Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_value_info; i++) declare(graph->value_info[i], value, axis, dim);
    for (size_t i = 0; i < graph->n_input; i++) declare(graph->input[i], value, axis, dim);
    for (size_t i = 0; i < graph->n_output; i++) declare(graph->output[i], value, axis, dim);
}

int fp_model_view(struct fineprune_model *model, fineprune_error *err) {
    fp_graph_free(model->graph);
    model->graph = NULL;
    return fp_graph_new(&model->graph, model, err);
}
