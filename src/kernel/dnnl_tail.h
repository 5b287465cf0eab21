// SPDX-License-Identifier: Apache-2.0
// Primitives that end in a tail: elementwise work on their result while it is still in the cache.
#ifndef FP_DNNL_TAIL_H
#define FP_DNNL_TAIL_H

#include "kernel/dnnl_prim.h"

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

// How a primitive with a tail is made.
struct fp_recipe {
    const struct fp_tail_place *place;
    dnnl_post_ops_t before;           // those before the tail, which are taken over; or NULL
    const_dnnl_memory_desc_t weights; // as they lie
    const char *what;                 // the primitive does, for errors
    dnnl_status_t (*describe)(const void *user, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                              dnnl_primitive_desc_t *desc);
    const void *user;
};
// Makes the primitive, prepares its weights and binds the operands of its tail. team (may be NULL) becomes what
// fp_desc_team says of it; where that is not 0 there is no new primitive.
int fp_tail_make(struct fp_call *call, struct fp_prim *p, const struct fp_recipe *r, int *team);
// Binds the operands of the tail; in each run.
int fp_tail_bind(struct fp_call *call, struct fp_prim *p, const struct fp_tail_place *place);

#endif
