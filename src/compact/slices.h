// SPDX-License-Identifier: Apache-2.0
// What must change for the channels of a group to leave: slices of stored tensors along an axis, the group attribute of
// depthwise convolutions, and shapes. Found by looking at every node that a group's channels pass.
#ifndef FP_SLICES_H
#define FP_SLICES_H

#include "base/arena.h"
#include "weights/channels.h"

struct fp_slice {
    Onnx__TensorProto *proto;
    const struct fp_graph *graph;
    int value, group, axis;
    int readings;  // by nodes of the group
    size_t length; // of the axis: a multiple of the group's channels
    bool numbers;  // of a shape whose element `axis` is the length
};

struct fp_cut_node {
    const struct fp_node *node; // a depthwise convolution
    int group;
};

struct fp_slices {
    struct fp_slice *items;
    struct fp_cut_node *nodes;
    size_t n, capacity, n_nodes, node_capacity;
    const char **reasons; // by group: static text, why it stays as it is; NULL: it can be cut
};

// Looks at all groups of the main graph. Errors: LIMIT. Freed with fp_slices_free, also after failure.
int fp_slices_find(struct fp_slices *out, const struct fp_weights *weights, const struct fp_channel_groups *groups,
                   struct fp_exec *exec, fineprune_error *err);
void fp_slices_free(struct fp_slices *slices);

#endif
