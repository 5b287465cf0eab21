// SPDX-License-Identifier: Apache-2.0
// Groups of hidden channels that can go as wholes: rows of the weights that make them and columns of all the weights
// that read them, with nothing but operators between that keep channels apart. Found by moving channels through the
// main graph: each value knows which ones lie along one of its axes, side by side (its lanes). Channels that meet
// anything else (a graph output, a Softmax, a body) are of no group.
#ifndef FP_CHANNELS_H
#define FP_CHANNELS_H

#include "base/arena.h"
#include "weights/weights.h"

// Which channels lie along an axis, one after the other; each may take several of its elements.
struct fp_lanes {
    size_t n; // 0: none
    int *of;  // numbers, for fp_channel_groups.members; -1: what no weight makes. Values may share them.
};

// What a weight has of a group.
struct fp_channel_side {
    int weight;
    size_t per;   // rows or columns of each lane: kernel positions, or those that a Flatten lays side by side
    size_t lanes; // of each channel
};

// All its channels are made and read by the same weights, equally often by each, and lie in the same pieces of parted
// values.
struct fp_channel_group {
    size_t channels;
    bool trunk;  // a sum of several makers: a residual stream
    bool spread; // a transposed convolution makes or reads it, or it is resized on its way
    bool parted; // it is joined with others along an axis, or parted
    int n_makers, n_readers;
    struct fp_channel_side *makers, *readers; // by rows, by columns
};

struct fp_channel_member {
    int group; // -1: of none
    uint32_t number;
};

// Where a value of the main graph carries channels.
struct fp_channel_place {
    struct fp_lanes lanes;
    int axis; // -1: the last
    int rank; // of the value; 0: not known
    int cut;  // the value is a part of another along that axis, by entry cut - 1 of a node's list; 0: it is not
};

// Channels that are of no group, once for each weight that makes some.
struct fp_channel_held {
    int maker;
    size_t channels;
    const struct fp_node *node; // that does not keep them apart; NULL: they are an output
};

struct fp_channel_groups {
    int n, n_held;
    struct fp_channel_group *items;
    struct fp_channel_held *held;
    struct fp_channel_place *places;   // by value
    struct fp_lanes *rows, *columns;   // by weight
    struct fp_channel_member *members; // by number of a channel
    struct fp_arena arena;             // of all that
};

static inline struct fp_channel_member fp_channel_at(const struct fp_channel_groups *groups,
                                                     const struct fp_lanes *lanes, size_t lane) {
    if (lanes->of[lane] < 0) return (struct fp_channel_member){-1, 0};
    return groups->members[lanes->of[lane]];
}

// The message that a value's elements are stored in, as an initializer or in a node; NULL: they are computed.
Onnx__TensorProto *fp_stored_tensor(const struct fp_value *value);
// In the order of their first maker. exec: of the weights' model, for its constants. Errors: LIMIT. Freed with
// fp_channels_free, also after failure.
int fp_channels_find(struct fp_channel_groups *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err);
void fp_channels_free(struct fp_channel_groups *groups);

#endif
