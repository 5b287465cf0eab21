// SPDX-License-Identifier: Apache-2.0
// A primitive of oneDNN with its arguments and its packed weights.
#ifndef FP_DNNL_PRIM_H
#define FP_DNNL_PRIM_H

#include "kernel/dnnl_memory.h"

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
// The memory object of an argument that has been set; NULL for others.
dnnl_memory_t fp_prim_arg(const struct fp_prim *p, int arg);
int fp_prim_run(struct fp_call *call, struct fp_prim *p);
void fp_prim_done(struct fp_prim *p);
// A primitive that copies from one layout to another.
int fp_prim_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                    const_dnnl_memory_desc_t to);

#endif
