// SPDX-License-Identifier: Apache-2.0
// The one door to oneDNN: engine and stream of an executor, memory descriptors of tensors, primitives with their
// arguments, packed weights, matrix products. Also what a channels-last tensor is.
#ifndef FP_DNNL_CORNER_H
#define FP_DNNL_CORNER_H

#include <dnnl.h>

#include "kernel/op.h"

// A tensor whose `layout` is this has the dims of its row-major form but its elements in the order N, spatial, C. The
// only layout other than row-major there is: oneDNN's fast convolutions want it, it needs no padding, and loops over it
// stay simple.
extern const char fp_channels_last[];
static inline bool fp_is_last(const struct fp_tensor *t) { return t->layout != NULL; }

// Frees the context's struct fp_dnnl, which fp_dnnl_of makes on first use.
void fp_dnnl_done(void *dnnl);
// Makes *dst (empty before) a row-major copy of *src.
int fp_dnnl_plain(int threads, struct fp_memory *memory, struct fp_tensor *dst, const struct fp_tensor *src,
                  fineprune_error *err);

struct fp_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct fp_memory *memory;
    struct fp_scratch {
        void *data;
        size_t size;
    } scratch[6];
};
// What scratch memory of the executor is for. It is shared by all calls and holds nothing from one run to the next.
enum { FP_SCRATCH_DNNL, FP_SCRATCH_SRC, FP_SCRATCH_DST, FP_SCRATCH_A, FP_SCRATCH_B, FP_SCRATCH_WEIGHTS };

// NULL (with the error set) when oneDNN can not be started.
struct fp_dnnl *fp_dnnl_of(struct fp_call *call);
int fp_dnnl_engine(struct fp_call *call, dnnl_engine_t *engine, dnnl_stream_t *stream);
// At least `size` bytes of scratch memory for one purpose; NULL with the error set.
void *fp_scratch(struct fp_call *call, int purpose, size_t size);
// The call's error for a status that is not success: "oneDNN cannot WHAT: status".
int fp_dnnl_check(struct fp_call *call, dnnl_status_t status, const char *what);

// Element strides of t as it lies in memory.
void fp_layout_strides(const struct fp_tensor *t, int64_t *strides);
// float32 descriptors: of a tensor, of dims and strides (NULL: row-major).
int fp_desc_tensor(struct fp_call *call, dnnl_memory_desc_t *out, const struct fp_tensor *t);
int fp_desc_dims(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides);
int fp_desc_any(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims);
int fp_desc_last(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims);
void fp_desc_done(dnnl_memory_desc_t *desc);
// Attributes every primitive of ours is made with (scratchpad from us), with the post-ops (which may be NULL, and are
// destroyed). NULL with the error set.
dnnl_primitive_attr_t fp_dnnl_attr(struct fp_call *call, dnnl_post_ops_t ops);

// Where a tail is applied: the result as the primitive sees it, in which `axis` holds the channels. Operands are whole,
// or vary along the axis only, or are one value; FP_NOT_FUSED otherwise.
struct fp_tail_place {
    const struct fp_tail *tail;
    int n, axis, first;   // first: number of post-ops before
    bool rows;            // the primitive sees some rows only: no operand may vary among them
    struct fp_tensor out; // rank, dims, layout
};
// The tail's other operand, or NULL when it has none.
const struct fp_tensor *fp_tail_operand(const struct fp_call *call, const struct fp_tail *t);
int fp_tail_append(struct fp_call *call, const struct fp_tail_place *place, dnnl_post_ops_t ops);

// A primitive and its arguments.
enum { FP_PRIM_ARGS = 10 };
struct fp_prim {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    int n;
    dnnl_exec_arg_t args[FP_PRIM_ARGS];
    size_t scratch;
    // Weights in the layout the primitive likes, when that is not how the tensor lies.
    struct fp_packed {
        dnnl_primitive_t reorder;
        dnnl_memory_t from, to;
        void *data;
        size_t size;
        const void *source;
    } packed;
    struct fp_memory *memory;
};
// Makes the primitive; `desc` is taken over in any case. The old one in *p is dropped but for packed weights that still
// fit.
int fp_prim_make(struct fp_call *call, struct fp_prim *p, dnnl_primitive_desc_t desc);
// Says where an argument lies. The descriptor is the primitive's own for that argument, or `desc` when not NULL.
int fp_prim_set(struct fp_call *call, struct fp_prim *p, int arg, const_dnnl_memory_desc_t desc, const void *data);
// Prepares weights that lie as `from` says: nothing when the primitive wants them like that, else a reorder. Call after
// fp_prim_make.
int fp_prim_pack(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from);
// Sets the weights for this run; reordered once when `constant`, each time otherwise.
int fp_prim_weights(struct fp_call *call, struct fp_prim *p, const void *data, bool constant);
int fp_prim_run(struct fp_call *call, struct fp_prim *p);

// Whether oneDNN would do this in a way that sums in another order when there are other rows or threads, so that a
// sample's result would depend on what is computed beside it: the general matrix product, and some convolutions. Such
// work is done in parts of one shape.
bool fp_desc_varies(const_dnnl_primitive_desc_t desc);

// What runs parts: arguments of one thread's own, which start as those of the primitive, and `room` bytes of memory.
struct fp_part_runner {
    int n;
    dnnl_exec_arg_t args[FP_PRIM_ARGS];
    char *room;
};
bool fp_part_set(struct fp_part_runner *r, int arg, const void *data);
struct fp_parts {
    size_t count, room;
    const void *user;
    bool (*before)(const void *user, size_t part, struct fp_part_runner *r); // says where the arguments lie
    void (*after)(const void *user, size_t part, struct fp_part_runner *r);  // may be NULL
};
// Runs a primitive that was made for one thread once for each part, several at a time.
int fp_prim_run_parts(struct fp_call *call, struct fp_prim *p, const struct fp_parts *parts);
void fp_prim_done(struct fp_prim *p);
// Binds the operands of the tail; in prepare and in each run.
int fp_tail_bind(struct fp_call *call, struct fp_prim *p, const struct fp_tail_place *place);
// A primitive that copies from one layout to another.
int fp_prim_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                    const_dnnl_memory_desc_t to);
// Whether row-major and channels-last differ for the shape of t.
bool fp_last_matters(const struct fp_tensor *t);

// One matrix product c = alpha * a b (+ bias), batched, float32. Strides are in elements and free but for one unit
// stride among the last two of each.
struct fp_matmul_shape {
    int batch;                                          // number of batch dims, at most FP_MAX_RANK - 2
    int64_t a_batch[FP_MAX_RANK], b_batch[FP_MAX_RANK]; // equal, or 1 where that side is repeated
    int64_t m, k, n;
    int64_t a_strides[FP_MAX_RANK], b_strides[FP_MAX_RANK], c_strides[FP_MAX_RANK]; // batch dims first, then the two
    float alpha;
    bool bias;                  // n values added to each row
    bool pack_b;                // b is constant: let oneDNN choose how it lies
    const struct fp_tail *tail; // what follows, on c
    int n_tail;
};
struct fp_matmul {
    struct fp_prim prim;
    size_t count;    // elements of c; 0: nothing to do
    int64_t k, n;    // k 0: c is the bias or 0, as row-major memory
    bool bias_after; // the bias follows a scale
    bool tiled;      // the primitive is of a few rows, and `whole` says what all of them are
    struct fp_matmul_shape whole;
    struct fp_tail_place place;
    struct fp_tail tail[FP_TAIL_MAX];
};
// Fills the strides with row-major ones for the given batch; a_t and b_t: the last two dims lie transposed.
void fp_matmul_plain(struct fp_matmul_shape *s, bool a_t, bool b_t);
int fp_matmul_make(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s);
int fp_matmul_run(struct fp_call *call, struct fp_matmul *p, const float *a, const float *b, bool b_constant,
                  const float *bias, float *c);
void fp_matmul_done(struct fp_matmul *p);

// One operand of a product, batch dims first, by its strides.
struct fp_operand {
    int rank; // at least 2
    int64_t dims[FP_MAX_RANK], strides[FP_MAX_RANK];
};
// Fills batch, extents and strides for c = a b with batch dims broadcast and c row-major, in as few batch dims as it
// takes. dims of c: *rank and dims (at least FP_MAX_RANK). Errors: extents that do not fit. The other members of *s
// stay.
int fp_matmul_fit(struct fp_call *call, struct fp_matmul_shape *s, const struct fp_operand *a,
                  const struct fp_operand *b, int *rank, int64_t *dims);

#endif
