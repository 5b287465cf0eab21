// SPDX-License-Identifier: Apache-2.0
// Groups of hidden channels that can go as wholes: rows of the weights that make them and columns of all the weights
// that read them, with nothing but operators between that keep channels apart. Found by moving channels through the
// main graph: each value knows which ones lie along one of its axes, side by side (its lanes). Channels that meet
// anything else (a graph output, a Softmax, a body) are of no group.
#ifndef FP_CHANNELS_H
#define FP_CHANNELS_H

#include "base/arena.h"
#include "weights/outline.h"

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
    bool parted; // it is joined with others along an axis, parted, or spread over several axes, as heads are
    size_t fold; // rows of each channel in the layers that make it, and columns in those that read it: a divisor
    int n_makers, n_readers;
    struct fp_channel_side *makers, *readers; // by rows, by columns
};

struct fp_channel_member {
    int group; // -1: of none
    uint32_t number;
};

enum { FP_CHANNEL_AXES = 4 };

// One of the axes over which a value's lanes lie.
struct fp_channel_axis {
    int axis;
    size_t n;                      // lanes along it
    bool led;                      // something else, as samples, is counted before them in the same axis
    struct fp_outline_number said; // of its length, by the Reshape that made it
};

// Where a value of the main graph carries channels.
struct fp_channel_place {
    struct fp_lanes lanes;
    int axis; // -1: the last
    int rank; // of the value; 0: not known
    int cut;  // the value is a part of another along that axis, by entry cut - 1 of a node's list; 0: it is not
    // A grid: several axes, the lanes row-major over them, or one that is led. Channels leave along one of them:
    // all lanes of one place there are one channel.
    int n_axes; // 0, 1 where it is none
    int shrinks;
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
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

static inline bool fp_channel_is_grid(const struct fp_channel_place *place) {
    return place->n_axes > 1 || (place->n_axes == 1 && place->axes[0].led);
}
// Of which the number of a group's channels that stay is one, for layers to keep a multiple of `wanted`.
size_t fp_channel_multiple(const struct fp_channel_group *group, size_t wanted);
// The lanes along one of a grid's axes, the first of the others; of memory of `arena`. NULL of: out of memory.
struct fp_lanes fp_channel_along(struct fp_arena *arena, const struct fp_channel_place *place, int which);

// In the order of their first maker. exec: of the weights' model, for its constants. Errors: LIMIT. Freed with
// fp_channels_free, also after failure.
int fp_channels_find(struct fp_channel_groups *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err);
void fp_channels_free(struct fp_channel_groups *groups);

#endif
