// SPDX-License-Identifier: Apache-2.0
// Tensors: shapes and shared memory. Conversion of elements is convert.c.
#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    enum fp_type type;
    size_t size;
    const char *name;
} TYPES[] = {
    {FP_FLOAT, 4, "float32"},
    {FP_UINT8, 1, "uint8"},
    {FP_INT8, 1, "int8"},
    {FP_UINT16, 2, "uint16"},
    {FP_INT16, 2, "int16"},
    {FP_INT32, 4, "int32"},
    {FP_INT64, 8, "int64"},
    {FP_STRING, 0, "string"},
    {FP_BOOL, 1, "bool"},
    {FP_FLOAT16, 2, "float16"},
    {FP_DOUBLE, 8, "float64"},
    {FP_UINT32, 4, "uint32"},
    {FP_UINT64, 8, "uint64"},
    {FP_COMPLEX64, 8, "complex64"},
    {FP_COMPLEX128, 16, "complex128"},
    {FP_BFLOAT16, 2, "bfloat16"},
    {FP_FLOAT8E4M3FN, 1, "float8e4m3fn"},
    {FP_FLOAT8E4M3FNUZ, 1, "float8e4m3fnuz"},
    {FP_FLOAT8E5M2, 1, "float8e5m2"},
    {FP_FLOAT8E5M2FNUZ, 1, "float8e5m2fnuz"},
    {FP_UINT4, 1, "uint4"},
    {FP_INT4, 1, "int4"}, // in memory one element a byte
    {FP_FLOAT4E2M1, 1, "float4e2m1"},
    {FP_FLOAT8E8M0, 1, "float8e8m0"},
    {FP_UINT2, 1, "uint2"},
    {FP_INT2, 1, "int2"},
    {FP_SEQUENCE, 0, "sequence"},
    {FP_NONE, 0, "none"},
};

size_t fp_type_size(enum fp_type type) {
    for (size_t i = 0; i < FP_COUNT(TYPES); i++)
        if (TYPES[i].type == type) return TYPES[i].size;
    return 0;
}

const char *fp_type_name(enum fp_type type) {
    for (size_t i = 0; i < FP_COUNT(TYPES); i++)
        if (TYPES[i].type == type) return TYPES[i].name;
    return "unknown type";
}

char *fp_shape_text(char *dst, size_t size, int rank, const int64_t *dims) {
    size_t n = 0;
    n += (size_t)snprintf(dst, size, "[");
    for (int i = 0; i < rank && n < size; i++) {
        if (dims[i] == -1) n += (size_t)snprintf(dst + n, size - n, "%s?", fp_between((size_t)i, ","));
        else n += (size_t)snprintf(dst + n, size - n, "%s%lld", fp_between((size_t)i, ","), (long long)dims[i]);
    }
    if (n < size) snprintf(dst + n, size - n, "]");
    return dst;
}

// ---- memory

int fp_tensor_shape(struct fp_tensor *t, enum fp_type type, int rank, const int64_t *dims, fineprune_error *err) {
    memset(t, 0, sizeof(*t));
    if (rank < 0 || rank > FP_MAX_RANK)
        return fp_fail(err, FINEPRUNE_MODEL, "rank %d is not supported (0 to %d are)", rank, FP_MAX_RANK);
    size_t count, bytes;
    char text[160];
    if (!fp_product(rank, dims, &count) || !fp_mul(count, 16, &bytes))
        return fp_fail(err, FINEPRUNE_MODEL, "shape %s is not possible", fp_shape_text(text, sizeof(text), rank, dims));
    t->type = type;
    t->rank = rank;
    if (rank) memcpy(t->dims, dims, (size_t)rank * sizeof(dims[0]));
    t->count = count;
    return FINEPRUNE_OK;
}

int fp_tensor_allocate(struct fp_tensor *t, struct fp_memory *memory, fineprune_error *err) {
    if (t->data) return FINEPRUNE_OK;
    size_t element = fp_type_held(t->type);
    size_t bytes = t->count * element; // fp_tensor_shape has left room for 16 bytes an element
    struct fp_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer) buffer->data = fp_take(memory, bytes);
    if (!buffer || !buffer->data) {
        free(buffer);
        char text[160];
        fp_shape_text(text, sizeof(text), t->rank, t->dims);
        memset(t, 0, sizeof(*t));
        return fp_fail_memory(err, text, bytes);
    }
    if (t->type == FP_STRING) memset(buffer->data, 0, bytes);
    buffer->refs = 1;
    buffer->size = bytes;
    buffer->memory = memory;
    t->buffer = buffer;
    t->data = buffer->data;
    return FINEPRUNE_OK;
}

int fp_tensor_new(struct fp_tensor *t, struct fp_memory *memory, enum fp_type type, int rank, const int64_t *dims,
                  fineprune_error *err) {
    int status = fp_tensor_shape(t, type, rank, dims, err);
    if (status) return status;
    return fp_tensor_allocate(t, memory, err);
}

void fp_tensor_share(struct fp_tensor *dst, const struct fp_tensor *src) {
    *dst = *src;
    if (dst->buffer) dst->buffer->refs++;
}

static void destroy_strings(const struct fp_tensor *t) {
    char **text = t->data;
    for (size_t i = 0; i < t->buffer->size / sizeof(char *); i++) free(text[i]);
}

void fp_tensor_done(struct fp_tensor *t) {
    struct fp_buffer *buffer = t->buffer;
    if (buffer && --buffer->refs == 0) {
        if (buffer->destroy) buffer->destroy(buffer);
        else if (t->type == FP_STRING) destroy_strings(t);
        if (buffer->data) fp_release(buffer->memory, buffer->data, buffer->size);
        free(buffer);
    }
    memset(t, 0, sizeof(*t));
}

int fp_tensor_copy(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, fineprune_error *err) {
    int status = fp_tensor_new(dst, memory, src->type, src->rank, src->dims, err);
    if (status) return status;
    if (src->type != FP_STRING) {
        if (src->count) memcpy(dst->data, src->data, fp_tensor_bytes(src));
        return FINEPRUNE_OK;
    }
    for (size_t i = 0; i < src->count; i++) {
        char *text = strdup(((char **)src->data)[i]);
        if (!text) {
            fp_tensor_done(dst);
            return fp_fail_memory(err, "text", 1);
        }
        ((char **)dst->data)[i] = text;
    }
    return FINEPRUNE_OK;
}

// ---- conversion

int fp_tensor_convert(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, enum fp_type type,
                      fineprune_error *err) {
    if (!fp_type_size(type) || !fp_type_size(src->type) || type == FP_COMPLEX64 || type == FP_COMPLEX128 ||
        src->type == FP_COMPLEX64 || src->type == FP_COMPLEX128)
        return fp_fail(err, FINEPRUNE_MODEL, "no conversion from %s to %s", fp_type_name(src->type),
                       fp_type_name(type));
    int status = fp_tensor_new(dst, memory, type, src->rank, src->dims, err);
    if (!status) fp_convert(dst->data, type, src->data, src->type, src->count);
    return status;
}
