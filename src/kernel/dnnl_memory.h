// SPDX-License-Identifier: Apache-2.0
// oneDNN's engine and stream of an executor, its scratch memory, descriptors of tensors.
#ifndef FP_DNNL_MEMORY_H
#define FP_DNNL_MEMORY_H

#include <dnnl.h>

#include "kernel/op.h"

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

// That of the call's context, made on first use; NULL (with the error set) when oneDNN can not be started.
struct fp_dnnl *fp_dnnl_of(struct fp_call *call);
// The status of what has just failed with the call's error set: LIMIT where memory was missing.
int fp_dnnl_failed(const struct fp_call *call);
// Frees a context's struct fp_dnnl; accepts NULL.
void fp_dnnl_done(void *dnnl);
int fp_dnnl_engine(struct fp_call *call, dnnl_engine_t *engine, dnnl_stream_t *stream);
// At least `size` bytes of scratch memory for one purpose; NULL with the error set.
void *fp_scratch(struct fp_call *call, int purpose, size_t size);
// The call's error for a status that is not success: "oneDNN cannot WHAT: status".
int fp_dnnl_check(struct fp_call *call, dnnl_status_t status, const char *what);

// float32 descriptors: of a tensor, of dims and strides (NULL: row-major), of dims that oneDNN may lay as it likes, of
// dims that lie channels-last.
int fp_desc_tensor(struct fp_call *call, dnnl_memory_desc_t *out, const struct fp_tensor *t);
int fp_desc_dims(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides);
int fp_desc_any(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims);
int fp_desc_last(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims);
void fp_desc_done(dnnl_memory_desc_t *desc);
const_dnnl_memory_desc_t fp_desc_of(const_dnnl_memory_t memory); // lent
// Attributes every primitive of ours is made with (scratchpad from us), with the post-ops (which may be NULL, and are
// destroyed). NULL with the error set.
dnnl_primitive_attr_t fp_dnnl_attr(struct fp_call *call, dnnl_post_ops_t ops);

#endif
