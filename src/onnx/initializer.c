// SPDX-License-Identifier: Apache-2.0
// The elements of a TensorProto, whichever of its fields or external file holds them: reading with every size checked,
// and storing back into the same place. (onnx.proto, TensorProto; docs/ExternalData.md)
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mapping.h"
#include "onnx/model.h"
#include "tensor/narrow.h"
#include "onnx.pb-c.h"

const char *fp_initializer_name(const Onnx__TensorProto *proto) { return fp_or_empty(proto->name); }

static int fail(const Onnx__TensorProto *proto, fineprune_error *err, const char *what, size_t found, size_t expected) {
    char shape[200];
    fp_shape_text(shape, sizeof(shape), proto->n_dims < FP_MAX_RANK ? (int)proto->n_dims : FP_MAX_RANK, proto->dims);
    return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s' (%s %s): %s: found %zu, expected %zu", fp_initializer_name(proto),
                   fp_type_name((enum fp_type)proto->data_type), shape, what, found, expected);
}

// ---- external data

static const char *external_entry(const Onnx__TensorProto *proto, const char *key) {
    for (size_t i = 0; i < proto->n_external_data; i++)
        if (proto->external_data[i]->key && !strcmp(proto->external_data[i]->key, key))
            return proto->external_data[i]->value;
    return NULL;
}

static int external_number(const Onnx__TensorProto *proto, const char *key, size_t absent, size_t *out,
                           fineprune_error *err) {
    const char *text = external_entry(proto, key);
    *out = absent;
    if (!text) return FINEPRUNE_OK;
    size_t value = 0;
    bool fits = *text != '\0';
    for (const char *at = text; *at && fits; at++)
        fits = *at >= '0' && *at <= '9' && fp_mul(value, 10, &value) && fp_add(value, (size_t)(*at - '0'), &value);
    if (!fits)
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': external data %s is '%.60s', not a size",
                       fp_initializer_name(proto), key, text);
    *out = value;
    return FINEPRUNE_OK;
}

// The one place that opens a file a model names. It must lie beneath the model's folder after all links are followed.
static int open_external(struct fineprune_model *model, const Onnx__TensorProto *proto, const char *location,
                         struct fp_mapping **out, fineprune_error *err) {
    const char *name = fp_initializer_name(proto);
    if (!location[0])
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': the location of its external data is empty", name);
    for (struct fp_mapping *m = model->mappings; m; m = m->next)
        if (m->location && !strcmp(m->location, location)) {
            *out = m;
            return FINEPRUNE_OK;
        }
    char folder[PATH_MAX], path[PATH_MAX];
    char *joined = fp_format("%s/%s", model->folder, location);
    if (!joined) return fp_fail_memory(err, "a path", strlen(location));
    bool found = location[0] != '/' && realpath(model->folder, folder) && realpath(joined, path);
    free(joined);
    size_t n = 0;
    if (found) n = strlen(folder);
    if (location[0] == '/' || strstr(location, "..") ||
        (found && (strncmp(path, folder, n) || (n > 1 && path[n] != '/'))))
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': external data '%s' lie outside the model's folder", name,
                       location);
    if (!found)
        return fp_fail(err, FINEPRUNE_IO, "tensor '%s': cannot open external data '%s': %s", name, location,
                       strerror(errno));
    struct fp_mapping *mapping;
    int status = fp_mapping_open(&mapping, path, err);
    if (status) return status;
    mapping->location = strdup(location);
    if (!mapping->location) {
        fp_mapping_free(mapping);
        return fp_fail_memory(err, "a path", strlen(location));
    }
    mapping->next = model->mappings->next; // the model file itself stays first
    model->mappings->next = mapping;
    *out = mapping;
    return FINEPRUNE_OK;
}

static int external_range(struct fineprune_model *model, const Onnx__TensorProto *proto, size_t bytes, uint8_t **data,
                          fineprune_error *err) {
    const char *location = external_entry(proto, "location");
    if (!location)
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': external data without a location",
                       fp_initializer_name(proto));
    size_t offset, length, end;
    int status = external_number(proto, "offset", 0, &offset, err);
    if (!status) status = external_number(proto, "length", bytes, &length, err);
    if (status) return status;
    if (length != bytes) return fail(proto, err, "bytes of external data", length, bytes);
    struct fp_mapping *mapping;
    status = open_external(model, proto, location, &mapping, err);
    if (status) return status;
    if (!fp_add(offset, length, &end) || end > mapping->size)
        return fp_fail(err, FINEPRUNE_MODEL,
                       "tensor '%s': external data '%s' has %zu bytes, but bytes %zu to %zu are asked for",
                       fp_initializer_name(proto), location, mapping->size, offset, end);
    if (mapping->data) *data = mapping->data + offset;
    else *data = NULL;
    return FINEPRUNE_OK;
}

// ---- where the elements are

static bool is_packed(enum fp_type type) { return fp_per_byte(type) > 1; }

static size_t packed_bytes(enum fp_type type, size_t count) {
    size_t per = (size_t)fp_per_byte(type);
    return count / per + (count % per != 0);
}

static size_t stored_bytes(enum fp_type type, size_t count) {
    if (is_packed(type)) return packed_bytes(type, count);
    return count * fp_type_size(type);
}

struct storage {
    enum { RAW, FLOATS, INT32S, INT64S, DOUBLES, UINT64S, STRINGS } field;
    uint8_t *bytes; // RAW
};

static bool is_external(const Onnx__TensorProto *proto) {
    return proto->has_data_location && proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static int typed_field(const Onnx__TensorProto *proto, enum fp_type type, size_t count, struct storage *out,
                       fineprune_error *err) {
    size_t found, expected = count;
    const char *field;
    switch ((int)type) {
    case FP_FLOAT: out->field = FLOATS, found = proto->n_float_data, field = "elements in float_data"; break;
    case FP_COMPLEX64:
        out->field = FLOATS, found = proto->n_float_data, expected *= 2, field = "elements in float_data";
        break;
    case FP_DOUBLE: out->field = DOUBLES, found = proto->n_double_data, field = "elements in double_data"; break;
    case FP_COMPLEX128:
        out->field = DOUBLES, found = proto->n_double_data, expected *= 2, field = "elements in double_data";
        break;
    case FP_INT64: out->field = INT64S, found = proto->n_int64_data, field = "elements in int64_data"; break;
    case FP_UINT64:
    case FP_UINT32: out->field = UINT64S, found = proto->n_uint64_data, field = "elements in uint64_data"; break;
    case FP_STRING: out->field = STRINGS, found = proto->n_string_data, field = "elements in string_data"; break;
    default: out->field = INT32S, found = proto->n_int32_data, field = "elements in int32_data";
    }
    if (is_packed(type)) expected = packed_bytes(type, count);
    if (found == expected) return FINEPRUNE_OK;
    return fail(proto, err, field, found, expected);
}

static int locate(struct fineprune_model *model, const Onnx__TensorProto *proto, enum fp_type type, size_t count,
                  struct storage *out, fineprune_error *err) {
    size_t bytes = stored_bytes(type, count);
    *out = (struct storage){.field = RAW};
    if (is_external(proto)) {
        if (type == FP_STRING)
            return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': strings cannot be external", fp_initializer_name(proto));
        return external_range(model, proto, bytes, &out->bytes, err);
    }
    if (!proto->has_raw_data || type == FP_STRING) return typed_field(proto, type, count, out, err);
    out->bytes = proto->raw_data.data;
    if (proto->raw_data.len == bytes) return FINEPRUNE_OK;
    return fail(proto, err, "bytes of raw_data", proto->raw_data.len, bytes);
}

// ---- load

static int copy_strings(const Onnx__TensorProto *proto, struct fp_tensor *out, fineprune_error *err) {
    for (size_t i = 0; i < out->count; i++) {
        const ProtobufCBinaryData *bytes = &proto->string_data[i]; // data is NULL when it is empty
        char *text = bytes->len ? strndup((const char *)bytes->data, bytes->len) : strdup("");
        if (!text) return fp_fail_memory(err, "text", bytes->len);
        ((char **)out->data)[i] = text;
    }
    return FINEPRUNE_OK;
}

// Packed elements in int32_data: a byte of them each.
static void unpack_int32s(const Onnx__TensorProto *proto, struct fp_tensor *out) {
    size_t per = (size_t)fp_per_byte(out->type);
    for (size_t i = 0; i < out->count; i += per) {
        uint8_t byte = (uint8_t)proto->int32_data[i / per];
        fp_unpack((uint8_t *)out->data + i, &byte, out->count - i < per ? out->count - i : per, out->type);
    }
}

static void pack_int32s(Onnx__TensorProto *proto, const struct fp_tensor *t) {
    size_t per = (size_t)fp_per_byte(t->type);
    for (size_t i = 0; i < t->count; i += per) {
        uint8_t byte;
        fp_pack(&byte, (const uint8_t *)t->data + i, t->count - i < per ? t->count - i : per, t->type);
        proto->int32_data[i / per] = byte;
    }
}

static int copy_int32s(const Onnx__TensorProto *proto, struct fp_tensor *out) {
    if (is_packed(out->type)) {
        unpack_int32s(proto, out);
        return FINEPRUNE_OK;
    }
    // float16 and its like are bits here, not numbers: copy by size.
    size_t size = fp_type_size(out->type);
    for (size_t i = 0; i < out->count; i++) memcpy((char *)out->data + i * size, &proto->int32_data[i], size);
    return FINEPRUNE_OK;
}

static int copy_elements(const Onnx__TensorProto *proto, const struct storage *from, struct fp_tensor *out,
                         fineprune_error *err) {
    size_t bytes = fp_tensor_bytes(out);
    if (!out->count) return FINEPRUNE_OK;
    switch (from->field) {
    case RAW:
        if (is_packed(out->type)) fp_unpack(out->data, from->bytes, out->count, out->type);
        else memcpy(out->data, from->bytes, bytes);
        return FINEPRUNE_OK;
    case FLOATS: memcpy(out->data, proto->float_data, bytes); return FINEPRUNE_OK;
    case DOUBLES: memcpy(out->data, proto->double_data, bytes); return FINEPRUNE_OK;
    case INT64S: memcpy(out->data, proto->int64_data, bytes); return FINEPRUNE_OK;
    case UINT64S: fp_convert(out->data, out->type, proto->uint64_data, FP_UINT64, out->count); return FINEPRUNE_OK;
    case STRINGS: return copy_strings(proto, out, err);
    default: return copy_int32s(proto, out);
    }
}

static int tensor_shape(const Onnx__TensorProto *proto, struct fp_tensor *out, fineprune_error *err) {
    enum fp_type type = (enum fp_type)proto->data_type;
    if (type != FP_STRING && !fp_type_size(type))
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s' has element type %d, which is not supported",
                       fp_initializer_name(proto), (int)proto->data_type);
    if (proto->n_dims > FP_MAX_RANK)
        return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s' has rank %zu; up to %d is supported",
                       fp_initializer_name(proto), proto->n_dims, FP_MAX_RANK);
    fineprune_error inner = {0};
    if (fp_tensor_shape(out, type, (int)proto->n_dims, proto->dims, &inner))
        return fp_fail(err, inner.status, "tensor '%s': %s", fp_initializer_name(proto), inner.message);
    return FINEPRUNE_OK;
}

static int find_elements(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *shape,
                         struct storage *from, fineprune_error *err) {
    int status = tensor_shape(proto, shape, err);
    if (status) return status;
    return locate(model, proto, shape->type, shape->count, from, err);
}

int fp_initializer_shape(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                         const void **identity, fineprune_error *err) {
    struct storage from;
    struct fp_tensor t;
    int status = find_elements(model, proto, &t, &from, err);
    if (status) return status;
    *out = t;
    if (identity) *identity = from.field == RAW && from.bytes ? (const void *)from.bytes : proto;
    return FINEPRUNE_OK;
}

bool fp_initializer_outside(struct fineprune_model *model, const Onnx__TensorProto *proto, const uint8_t **bytes,
                            size_t *size) {
    struct storage from;
    struct fp_tensor t;
    if (!is_external(proto) || find_elements(model, proto, &t, &from, NULL)) return false;
    *bytes = from.bytes;
    *size = stored_bytes(t.type, t.count);
    return true;
}

// Stored floats may lie at any address of the file.
FP_VECTOR static size_t count_zeros(const uint8_t *bytes, size_t count) {
    size_t zeros = 0;
    for (size_t done = 0; done < count;) {
        uint32_t n = count - done > 1u << 20 ? 1u << 20 : (uint32_t)(count - done), found = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, bytes + (done + i) * sizeof(bits), sizeof(bits));
            found += (bits & 0x7fffffff) == 0;
        }
        zeros += found;
        done += n;
    }
    return zeros;
}

bool fp_initializer_zeros(struct fineprune_model *model, const Onnx__TensorProto *proto, size_t *zeros) {
    struct storage from;
    struct fp_tensor t;
    if (find_elements(model, proto, &t, &from, NULL) || t.type != FP_FLOAT || from.field != RAW) return false;
    *zeros = count_zeros(from.bytes, t.count);
    return true;
}

// Elements that lie in the file as they are used, at an address that they can be read from, are lent; all others are
// copied.
static int load(struct fineprune_model *model, const Onnx__TensorProto *proto, bool aligned, struct fp_tensor *out,
                fineprune_error *err) {
    struct storage from;
    struct fp_tensor t;
    int status = find_elements(model, proto, &t, &from, err);
    if (status) return status;
    const size_t size = fp_type_size(t.type);
    const bool lies = from.field == RAW && t.count && !is_packed(t.type);
    if (lies && (!aligned || (uintptr_t)from.bytes % (size > 8 ? 8 : size) == 0)) {
        t.data = from.bytes;
    } else {
        status = fp_tensor_allocate(&t, &model->memory, err);
        if (!status) status = copy_elements(proto, &from, &t, err);
        if (status) {
            fp_tensor_done(&t);
            return status;
        }
    }
    *out = t;
    return FINEPRUNE_OK;
}

int fp_initializer_outline(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                           fineprune_error *err) {
    return load(model, proto, false, out, err);
}

int fp_initializer_load(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                        fineprune_error *err) {
    return load(model, proto, true, out, err);
}

// ---- store

int fp_initializer_store(struct fineprune_model *model, Onnx__TensorProto *proto, const struct fp_tensor *t,
                         fineprune_error *err) {
    struct storage to;
    struct fp_tensor shape;
    int status = find_elements(model, proto, &shape, &to, err);
    if (status) return status;
    if (shape.type != t->type || shape.count != t->count)
        return fp_fail(err, FINEPRUNE_INTERNAL, "tensor '%s' cannot take other elements", fp_initializer_name(proto));
    size_t size = fp_type_size(t->type), bytes = fp_tensor_bytes(t);
    if (!t->count) return FINEPRUNE_OK;
    switch (to.field) {
    case RAW:
        if (!is_packed(t->type))
            return fp_mapping_write(model->mappings, model->scratch, to.bytes, t->data, bytes, err);
        status = fp_mapping_mark(model->mappings, to.bytes, packed_bytes(t->type, t->count), err);
        if (!status) fp_pack(to.bytes, t->data, t->count, t->type);
        return status;
    case FLOATS: memcpy(proto->float_data, t->data, bytes); return FINEPRUNE_OK;
    case DOUBLES: memcpy(proto->double_data, t->data, bytes); return FINEPRUNE_OK;
    case INT64S: memcpy(proto->int64_data, t->data, bytes); return FINEPRUNE_OK;
    case UINT64S: fp_convert(proto->uint64_data, FP_UINT64, t->data, t->type, t->count); return FINEPRUNE_OK;
    case INT32S:
        if (is_packed(t->type)) pack_int32s(proto, t);
        else if (t->type == FP_INT8 || t->type == FP_INT16)
            fp_convert(proto->int32_data, FP_INT32, t->data, t->type, t->count);
        else
            for (size_t i = 0; i < t->count; i++) {
                proto->int32_data[i] = 0;
                memcpy(&proto->int32_data[i], (const char *)t->data + i * size, size);
            }
        return FINEPRUNE_OK;
    default: break;
    }
    return fp_fail(err, FINEPRUNE_MODEL, "tensor '%s': elements of type %s cannot be changed",
                   fp_initializer_name(proto), fp_type_name(t->type));
}

void fp_initializer_drop(struct fineprune_model *model, const Onnx__TensorProto *proto) {
    struct storage from;
    struct fp_tensor shape;
    if (!fp_mapping_is_large(model->mappings) || find_elements(model, proto, &shape, &from, NULL) || from.field != RAW)
        return;
    fp_mapping_drop(model->mappings, from.bytes, stored_bytes(shape.type, shape.count));
}

// ---- sparse_initializer

// Indices are linear (rank 1) or one row of coordinates a value (rank 2). (onnx.proto, SparseTensorProto)
static int sparse_index(const struct fp_tensor *indices, const struct fp_tensor *shape, size_t i, size_t *out) {
    const int64_t *index = indices->data;
    if (indices->rank == 1) {
        if (index[i] < 0 || (size_t)index[i] >= shape->count) return -1;
        *out = (size_t)index[i];
        return 0;
    }
    size_t at = 0;
    for (int k = 0; k < shape->rank; k++) {
        int64_t v = index[i * (size_t)shape->rank + (size_t)k];
        if (v < 0 || v >= shape->dims[k]) return -1;
        at = at * (size_t)shape->dims[k] + (size_t)v;
    }
    *out = at;
    return 0;
}

static int fail_sparse(const Onnx__SparseTensorProto *proto, fineprune_error *err, const char *what) {
    return fp_fail(err, FINEPRUNE_MODEL, "sparse tensor '%s': %s", fp_initializer_name(proto->values), what);
}

// shape: of the whole tensor. Calls for each value its place in it, which grows.
static int check_indices(const Onnx__SparseTensorProto *proto, const struct fp_tensor *indices,
                         const struct fp_tensor *shape, size_t n, fineprune_error *err) {
    const bool fits = indices->type == FP_INT64 &&
                      (indices->rank == 1
                           ? indices->count == n
                           : indices->rank == 2 && indices->dims[0] == (int64_t)n && indices->dims[1] == shape->rank);
    if (!fits) return fail_sparse(proto, err, "indices do not fit its values");
    size_t at = 0, before = 0;
    for (size_t i = 0; i < n; i++, before = at) {
        if (sparse_index(indices, shape, i, &at))
            return fp_fail(err, FINEPRUNE_MODEL, "sparse tensor '%s': index %zu is outside its shape",
                           fp_initializer_name(proto->values), i);
        if (i && at <= before)
            return fp_fail(err, FINEPRUNE_MODEL, "sparse tensor '%s': index %zu %s", fp_initializer_name(proto->values),
                           i, at == before ? "comes twice" : "is not in ascending order");
    }
    return FINEPRUNE_OK;
}

// Values and indices as they are stored, and the whole tensor's shape.
static int load_sparse(struct fineprune_model *model, const Onnx__SparseTensorProto *proto, struct fp_tensor *values,
                       struct fp_tensor *indices, struct fp_tensor *shape, fineprune_error *err) {
    int status = fp_initializer_load(model, proto->values, values, err);
    if (!status) status = fp_initializer_load(model, proto->indices, indices, err);
    if (!status && (values->rank != 1 || !fp_type_size(values->type)))
        return fail_sparse(proto, err, "values are not a list of numbers");
    if (!status) status = fp_tensor_shape(shape, values->type, (int)proto->n_dims, proto->dims, err);
    if (!status) status = check_indices(proto, indices, shape, values->count, err);
    return status;
}

static int check_parts(const Onnx__SparseTensorProto *proto, fineprune_error *err) {
    if (proto->values && proto->indices && proto->n_dims <= FP_MAX_RANK) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_MODEL, "a sparse tensor without values or indices, or of too high a rank");
}

int fp_sparse_initializer_check(struct fineprune_model *model, const Onnx__SparseTensorProto *proto,
                                fineprune_error *err) {
    struct fp_tensor values = {0}, indices = {0}, shape;
    int status = check_parts(proto, err);
    if (status || is_external(proto->values) || is_external(proto->indices)) return status;
    status = load_sparse(model, proto, &values, &indices, &shape, err);
    fp_tensor_done(&values);
    fp_tensor_done(&indices);
    return status;
}

bool fp_sparse_initializer_size(const Onnx__SparseTensorProto *proto, size_t *count) {
    return proto->n_dims <= FP_MAX_RANK && fp_product((int)proto->n_dims, proto->dims, count);
}

static void scatter(const struct fp_tensor *values, const struct fp_tensor *indices, struct fp_tensor *out) {
    const size_t size = fp_type_size(out->type);
    memset(out->data, 0, fp_tensor_bytes(out));
    for (size_t i = 0; i < values->count; i++) {
        size_t at = 0;
        sparse_index(indices, out, i, &at);
        memcpy((char *)out->data + at * size, (const char *)values->data + i * size, size);
    }
}

int fp_sparse_initializer_load(struct fineprune_model *model, const Onnx__SparseTensorProto *proto,
                               struct fp_tensor *out, fineprune_error *err) {
    struct fp_tensor values = {0}, indices = {0}, shape;
    int status = check_parts(proto, err);
    if (!status) status = load_sparse(model, proto, &values, &indices, &shape, err);
    if (!status) status = fp_tensor_allocate(&shape, &model->memory, err);
    if (!status) {
        scatter(&values, &indices, &shape);
        *out = shape;
    }
    fp_tensor_done(&values);
    fp_tensor_done(&indices);
    return status;
}
