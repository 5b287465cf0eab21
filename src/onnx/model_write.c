// SPDX-License-Identifier: Apache-2.0
// Writing a model: the parsed message is packed straight into the output, so only what was changed differs. Large
// tensors can go to a file beside it (docs/ExternalData.md).
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mapping.h"
#include "onnx/beside.h"
#include "onnx/model.h"
#include "onnx.pb-c.h"
#include "base/output.h"
#include "onnx/model_sparse.h"
#include "onnx/wire.h"

#define EXTERNAL_AT ((size_t)1 << 30) // protobuf's own limit is 2 GiB
#define EXTERNAL_FROM 1024            // smaller tensors stay in the model
#define EXTERNAL_ALIGN 4096           // lets readers map them

// ---- packing

struct sink {
    ProtobufCBuffer base;
    const struct fp_mapping *mappings;
    const struct fp_sparse_set *sparse; // or NULL
    struct fp_output *output;
    fineprune_error *err;
    int status;
};

static void sink_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data) {
    struct sink *sink = (struct sink *)buffer;
    if (fp_sparse_holds(sink->sparse, data)) {
        if (!sink->status && size) sink->status = fp_sparse_write(sink->sparse, data, sink->output, sink->err);
        return;
    }
    if (!sink->status && size) sink->status = fp_output_write(sink->output, data, size, sink->err);
    fp_mapping_drop(sink->mappings, data, size);
}

static int pack(const struct fineprune_model *model, const struct fp_sparse_set *sparse, struct fp_output *output,
                fineprune_error *err) {
    struct sink sink = {
        .base = {.append = sink_append}, .mappings = model->mappings, .sparse = sparse, .output = output, .err = err};
    protobuf_c_message_pack_to_buffer(&model->proto->base, &sink.base);
    return sink.status;
}

// ---- external data

// One tensor on its way to the external file, and what its message was before.
struct moved {
    Onnx__TensorProto *tensor;
    Onnx__TensorProto before;
    Onnx__StringStringEntryProto entries[3], *pointers[3];
    char offset[24], length[24];
};

struct mover {
    struct fineprune_model *model;
    const struct fp_sparse_set *sparse; // whose tensors stay inside; or NULL
    struct fp_output *output;
    const char *location;
    size_t at;
    struct moved **items;
    size_t n, capacity;
    bool all; // else only those that are external already
    fineprune_error *err;
    int status;
};

static bool is_external(const Onnx__TensorProto *t) {
    return t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static int write_aligned(struct mover *m, const struct fp_tensor *t) {
    static const char zeros[EXTERNAL_ALIGN];
    size_t gap = (EXTERNAL_ALIGN - m->at % EXTERNAL_ALIGN) % EXTERNAL_ALIGN;
    int status = FINEPRUNE_OK;
    if (gap) status = fp_output_write(m->output, zeros, gap, m->err);
    if (!status) status = fp_output_write(m->output, t->data, fp_tensor_bytes(t), m->err);
    m->at += gap;
    return status;
}

static void point_outside(struct moved *moved, const char *location, size_t offset, size_t length) {
    const char *keys[3] = {"location", "offset", "length"};
    snprintf(moved->offset, sizeof(moved->offset), "%zu", offset);
    snprintf(moved->length, sizeof(moved->length), "%zu", length);
    char *values[3] = {(char *)location, moved->offset, moved->length};
    for (int i = 0; i < 3; i++) {
        onnx__string_string_entry_proto__init(&moved->entries[i]);
        moved->entries[i].key = (char *)keys[i];
        moved->entries[i].value = values[i];
        moved->pointers[i] = &moved->entries[i];
    }
    Onnx__TensorProto *t = moved->tensor;
    t->has_raw_data = 0;
    t->n_external_data = 3;
    t->external_data = moved->pointers;
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static int move_tensor(struct mover *m, Onnx__TensorProto *proto) {
    struct fp_tensor t = {0};
    struct moved **items = fp_grow(m->items, &m->capacity, m->n + 1, sizeof(*items));
    struct moved *moved = NULL;
    if (items) moved = calloc(1, sizeof(*moved));
    if (items) m->items = items;
    if (!moved) return fp_fail_memory(m->err, "external data", sizeof(*moved));
    int status = fp_initializer_load(m->model, proto, &t, m->err);
    if (!status) status = write_aligned(m, &t);
    fp_initializer_drop(m->model, proto);
    if (status) {
        free(moved);
    } else {
        moved->tensor = proto;
        moved->before = *proto;
        m->items[m->n++] = moved;
        point_outside(moved, m->location, m->at, fp_tensor_bytes(&t));
        m->at += fp_tensor_bytes(&t);
    }
    fp_tensor_done(&t);
    return status;
}

static int visit_tensor(ProtobufCMessage *message, void *user) {
    struct mover *m = user;
    Onnx__TensorProto *proto = (Onnx__TensorProto *)message;
    if (proto->has_raw_data && fp_sparse_holds(m->sparse, proto->raw_data.data)) return 0;
    bool large = m->all && proto->has_raw_data && proto->raw_data.len >= EXTERNAL_FROM;
    if (is_external(proto) || large) m->status = move_tensor(m, proto);
    return m->status;
}

static void put_back(struct mover *m) {
    for (size_t i = 0; i < m->n; i++) {
        *m->items[i]->tensor = m->items[i]->before;
        free(m->items[i]);
    }
    free(m->items);
}

static int find_external(ProtobufCMessage *message, void *user) {
    (void)user;
    return is_external((Onnx__TensorProto *)message);
}

struct asked {
    const struct fineprune_model *model;
    const char *path;
};

static int is_location(ProtobufCMessage *message, void *user) {
    const Onnx__TensorProto *t = (Onnx__TensorProto *)message;
    const struct asked *a = user;
    bool same = false;
    for (size_t i = 0; i < t->n_external_data && !same; i++) {
        const Onnx__StringStringEntryProto *entry = t->external_data[i];
        if (strcmp(fp_or_empty(entry->key), "location")) continue;
        char *at = fp_format("%s/%s", a->model->folder, fp_or_empty(entry->value));
        same = !at || fp_output_harms(a->path, at); // without memory rather refused than overwritten
        free(at);
    }
    return same;
}

// Files that are open are asked by what they are: tensors that have changed no longer name theirs.
bool fineprune_model_reads(const fineprune_model *model, const char *path) {
    if (fp_beside_reads(model->folder, path)) return true;
    for (const struct fp_mapping *m = model->mappings; m; m = m->next)
        if (fp_output_harms(path, m->path)) return true;
    struct asked asked = {model, path};
    return fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, is_location, &asked) != 0;
}

// Writes the model with its large tensors in PATH.data.
static int save_with_external(struct fineprune_model *model, const struct fp_sparse_set *sparse, const char *path,
                              const fineprune_save_options *options, fineprune_error *err) {
    if (!strcmp(path, "-"))
        return fp_fail(err, FINEPRUNE_USAGE, "a model with external data cannot be written to standard output");
    char *beside = fp_format("%s.data", path), *copy = beside ? strdup(beside) : NULL;
    struct fp_output *output = NULL, *external = NULL;
    struct mover m = {.model = model,
                      .sparse = sparse,
                      .location = copy ? basename(copy) : NULL,
                      .all = options->external_data >= 0,
                      .err = err};
    int status = FINEPRUNE_OK;
    if (!copy) status = fp_fail_memory(err, "a path", strlen(path));
    if (!status && fineprune_model_reads(model, beside))
        status = fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a file that is read with the model", beside);
    if (!status) status = fp_output_open(&external, beside, options->force, err);
    if (!status) status = fp_output_open(&output, path, options->force, err);
    m.output = external;
    if (!status) status = fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, visit_tensor, &m);
    if (!status) status = pack(model, sparse, output, err);
    put_back(&m);
    // The data appear first: a model without its data is worse than data without their model.
    fineprune_group *own = NULL;
    if (!status && !options->group) status = fineprune_group_new(&own, err);
    fineprune_group *group = options->group;
    if (own) group = own;
    if (!status) status = fp_output_hold(output, group, err);
    else fp_output_abandon(output);
    if (!status) status = fp_output_hold(external, group, err);
    else fp_output_abandon(external);
    if (own && !status) status = fineprune_group_finish(own, err);
    else fineprune_group_free(own);
    free(beside);
    free(copy);
    return status;
}

// As the message is now: in one file, or in two.
static int save(const struct fineprune_model *model, const struct fp_sparse_set *sparse, const char *path,
                const fineprune_save_options *options, fineprune_error *err) {
    size_t size = protobuf_c_message_get_packed_size(&model->proto->base);
    bool has_external = fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, find_external, NULL);
    if (has_external && options->external_data < 0)
        return fp_fail(err, FINEPRUNE_USAGE,
                       "'%s' has external data; they cannot be written with --external-data never", model->path);
    if (!has_external && options->external_data < 0 && size >> 31)
        return fp_fail(err, FINEPRUNE_LIMIT, "the model takes %zu bytes; one file can hold 2 GiB", size);
    if (has_external || options->external_data > 0 || (options->external_data == 0 && size > EXTERNAL_AT))
        return save_with_external((struct fineprune_model *)model, sparse, path, options, err);
    struct fp_output *output = NULL;
    int status = fp_output_open(&output, path, options->force, err);
    if (status) return status;
    status = pack(model, sparse, output, err);
    if (!status) return fp_output_hold(output, options->group, err);
    fp_output_abandon(output);
    return status;
}

// What is changed for writing, and goes back in fp_sparse_end.
static int begin(const struct fineprune_model *model, const fineprune_save_options *options, struct fp_sparse_set **out,
                 fineprune_error *err) {
    *out = NULL;
    int status = fp_mapping_unchanged(model->mappings, err);
    if (status || (!options->sparse_initializers && !model->was_sparse.n)) return status;
    return fp_sparse_begin(out, (struct fineprune_model *)model, options->sparse_initializers, err);
}

static void end(struct fp_sparse_set *sparse, const fineprune_save_options *options, int status) {
    if (!status && options->sparse_count) fp_sparse_count(sparse, options->sparse_count);
    fp_sparse_end(sparse);
}

int fineprune_model_save(const fineprune_model *model, const char *path, const fineprune_save_options *given,
                         fineprune_error *err) {
    fineprune_save_options options = FINEPRUNE_SAVE_OPTIONS_INIT;
    int status = fp_options_read(&options, sizeof(options), given, "fineprune_save_options", err);
    if (status) return status;
    if (!path || !path[0]) return fp_fail(err, FINEPRUNE_USAGE, "no output was named");
    if (fineprune_model_reads(model, path))
        return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a file that is read with the model", path);
    struct fp_sparse_set *sparse;
    status = begin(model, &options, &sparse, err);
    if (!status) status = save(model, sparse, path, &options, err);
    end(sparse, &options, status);
    return status;
}

static int write_to_memory(const struct fineprune_model *model, const struct fp_sparse_set *sparse, void **bytes,
                           size_t *size, fineprune_error *err) {
    struct fp_output *output;
    if (fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, find_external, NULL))
        return fp_fail(err, FINEPRUNE_USAGE, "'%s' has external data; they need a file to lie beside", model->path);
    int status = fp_output_memory(&output, err);
    if (status) return status;
    status = pack(model, sparse, output, err);
    if (!status) return fp_output_take(output, bytes, size, err);
    fp_output_abandon(output);
    return status;
}

int fineprune_model_write(const fineprune_model *model, void **bytes, size_t *size, const fineprune_save_options *given,
                          fineprune_error *err) {
    fineprune_save_options options = FINEPRUNE_SAVE_OPTIONS_INIT;
    int status = fp_options_read(&options, sizeof(options), given, "fineprune_save_options", err);
    if (status) return status;
    if (!bytes || !size) return fp_fail(err, FINEPRUNE_USAGE, "nowhere to write to");
    struct fp_sparse_set *sparse;
    status = begin(model, &options, &sparse, err);
    if (!status) status = write_to_memory(model, sparse, bytes, size, err);
    end(sparse, &options, status);
    return status;
}
