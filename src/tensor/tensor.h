// SPDX-License-Identifier: Apache-2.0
// Tensors: typed, shaped, reference-counted memory. Values of the graph, initializers, samples and outputs are all
// this.
#ifndef FP_TENSOR_H
#define FP_TENSOR_H

#include "base/base.h"

#include <string.h>

#define FP_MAX_RANK 12 // oneDNN's own limit

// The codes of TensorProto.DataType (onnx.proto), and two kinds of our own.
enum fp_type {
    FP_SEQUENCE = -1, // `data` is an array of `count` struct fp_tensor
    FP_NONE = 0,      // an absent optional
    FP_FLOAT = 1,
    FP_UINT8 = 2,
    FP_INT8 = 3,
    FP_UINT16 = 4,
    FP_INT16 = 5,
    FP_INT32 = 6,
    FP_INT64 = 7,
    FP_STRING = 8, // `data` is an array of `count` char *, each malloc'ed and terminated
    FP_BOOL = 9,
    FP_FLOAT16 = 10,
    FP_DOUBLE = 11,
    FP_UINT32 = 12,
    FP_UINT64 = 13,
    FP_COMPLEX64 = 14,
    FP_COMPLEX128 = 15,
    FP_BFLOAT16 = 16,
    FP_FLOAT8E4M3FN = 17,
    FP_FLOAT8E4M3FNUZ = 18,
    FP_FLOAT8E5M2 = 19,
    FP_FLOAT8E5M2FNUZ = 20,
    // One element per byte in memory (INT4 and INT2 sign-extended, FLOAT4E2M1 in the low bits); packed only in files,
    // see fp_pack and fp_unpack in narrow.h.
    FP_UINT4 = 21,
    FP_INT4 = 22,
    FP_FLOAT4E2M1 = 23,
    FP_FLOAT8E8M0 = 24,
    FP_UINT2 = 25,
    FP_INT2 = 26,
};

// Shared memory of one or several tensors. `destroy` (may be NULL) is called before the memory is released.
struct fp_buffer {
    int refs;
    size_t size;
    void *data;
    struct fp_memory *memory;
    void (*destroy)(struct fp_buffer *);
    void *owner; // for destroy
};

// A tensor is a small value: copy it with fp_tensor_share (which counts the reference), never with =, unless ownership
// moves. Zeroed is a valid empty tensor. `layout` NULL means row-major; else it is fp_channels_last, the elements in
// the order N, spatial, C (only the executor and operators that declare FP_OP_BLOCKED ever see that).
struct fp_tensor {
    enum fp_type type;
    int rank;
    int64_t dims[FP_MAX_RANK];
    size_t count; // product of dims
    void *data;
    struct fp_buffer *buffer; // NULL: data are lent by something that lives longer
    const void *layout;
    const int32_t *lengths; // of sequences that weights meet (fp_op's weight_input alone): how many of axis 0 belong to
                            // each of the last but one; or NULL
    enum fp_type rounds;    // float32 elements that become this narrower type where they are moved or given out (the
                            // executor's alone); or FP_NONE
};

// Bytes of one element in memory; 0 for strings and sequences.
size_t fp_type_size(enum fp_type type);
// Bytes of an element as a tensor holds it; a string is a pointer.
static inline size_t fp_type_held(enum fp_type type) {
    if (type == FP_STRING) return sizeof(char *);
    return fp_type_size(type);
}
// "float32", "int64", ...; never NULL.
const char *fp_type_name(enum fp_type type);
static inline bool fp_type_is_float(enum fp_type t) {
    return t == FP_FLOAT || t == FP_DOUBLE || t == FP_FLOAT16 || t == FP_BFLOAT16;
}
static inline bool fp_type_is_integer(enum fp_type t) {
    return (t >= FP_UINT8 && t <= FP_INT64) || t == FP_UINT32 || t == FP_UINT64;
}

// Makes *t a tensor with its own, not zeroed memory. *t is overwritten, so it must be empty before. Errors: rank over
// FP_MAX_RANK, negative or overflowing dims (FINEPRUNE_MODEL), memory (FINEPRUNE_LIMIT); *t is then empty.
int fp_tensor_new(struct fp_tensor *t, struct fp_memory *memory, enum fp_type type, int rank, const int64_t *dims,
                  fineprune_error *err);
// Sets type and dims without memory. Errors as above.
int fp_tensor_shape(struct fp_tensor *t, enum fp_type type, int rank, const int64_t *dims, fineprune_error *err);
// Gives memory to a tensor that has type and dims. Nothing happens when it has data already.
int fp_tensor_allocate(struct fp_tensor *t, struct fp_memory *memory, fineprune_error *err);
// *dst becomes a second reference to the memory of *src.
void fp_tensor_share(struct fp_tensor *dst, const struct fp_tensor *src);
// Drops the reference and zeroes *t. Accepts an empty tensor.
void fp_tensor_done(struct fp_tensor *t);
// A deep copy with memory of its own.
int fp_tensor_copy(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, fineprune_error *err);
// Makes *dst a copy of *src converted to `type` as ONNX Cast does (floats to integers truncate and wrap, to bool != 0,
// float16 and bfloat16 round to nearest even). Row-major numeric tensors only (strings and others: FINEPRUNE_MODEL).
int fp_tensor_convert(struct fp_tensor *dst, struct fp_memory *memory, const struct fp_tensor *src, enum fp_type type,
                      fineprune_error *err);
// Converts n elements between plain arrays; the workhorse of the above. Numeric, non-complex types.
void fp_convert(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n);

// "[1,3,224,224]" into dst; returns dst.
char *fp_shape_text(char *dst, size_t size, int rank, const int64_t *dims);
static inline size_t fp_tensor_bytes(const struct fp_tensor *t) { return t->count * fp_type_size(t->type); }
static inline bool fp_same_shape(const struct fp_tensor *a, const struct fp_tensor *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof(a->dims[0])) == 0;
}

float fp_half_to_float(uint16_t h);
uint16_t fp_float_to_half(float f);
static inline float fp_bfloat_to_float(uint16_t h) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}
uint16_t fp_float_to_bfloat(float f);

#endif
