// SPDX-License-Identifier: Apache-2.0
// Finding elementwise nodes that can be done at the end of the node before them, while its result is still in the
// cache.
#ifndef FP_FUSE_H
#define FP_FUSE_H

#include "kernel/op.h"

enum { FP_FUSED_NODES = 24 };

// What follows a node. The values between are never made; the result is that of the last node.
struct fp_fusion {
    int n_nodes, n_tail, n_extra;
    int least_rank; // of the head's result; with less a constant of the tail would add dims
    const struct fp_node *nodes[FP_FUSED_NODES];
    const struct fp_node *last;
    struct fp_tail tail[FP_TAIL_MAX];
    int extra[FP_TAIL_EXTRA]; // values
};

struct fp_fuse_view {
    const struct fp_graph *graph;
    const bool *is_constant;                                      // per value
    const int *watched;                                           // per value; not zero: must be made. May be NULL
    bool (*scalar)(void *user, int value, float *out, int *rank); // the one element of a constant float value
    void *user;
};

// The longest tail of `head`; false when there is none. functions_only: nothing with further operands.
bool fp_fuse_find(const struct fp_fuse_view *view, const struct fp_node *head, bool functions_only,
                  struct fp_fusion *fusion);

#endif
