// SPDX-License-Identifier: Apache-2.0
// Channels while they are followed through a graph.
#ifndef FP_CHANNEL_FINDER_H
#define FP_CHANNEL_FINDER_H

#include "weights/channel_groups.h"

enum {
    FP_CHANNEL_LAST = -1,
    FP_CHANNEL_NOWHERE = -2
}; // axes: of products, the last one, whatever the rank; that of channels that do not pass

struct fp_channel_finder {
    const struct fp_weights *weights;
    const struct fp_graph *graph;
    struct fp_exec *exec;
    struct fp_channel_groups *out;
    struct fp_channel_place *places; // of it
    struct fp_channel *channels;
    size_t capacity;
    int n;
    bool *single;         // by value: the axes behind the channels are 1 long, or there are none
    bool *wide;           // by value: a lane may be several elements
    const int *weight_of; // by node: the first weight in it, -1: none
    struct fp_outlines outlines;
    fineprune_error *err;
};

enum fp_channel_mark { FP_CHANNEL_TRUNK, FP_CHANNEL_SPREAD, FP_CHANNEL_PARTED };

bool fp_channel_carries(const struct fp_channel_finder *f, int value);
// They can not go, as the node does not keep them apart; NULL: as they are an output.
void fp_channel_block_one(struct fp_channel_finder *f, int channel, const struct fp_node *by);
void fp_channel_block(struct fp_channel_finder *f, int value, const struct fp_node *by);
void fp_channel_block_inputs(struct fp_channel_finder *f, const struct fp_node *node);
// From now on they go together. What no weight makes (-1) cannot go.
void fp_channel_unite(struct fp_channel_finder *f, int a, int b, const struct fp_node *by);
void fp_channel_unite_lanes(struct fp_channel_finder *f, const struct fp_lanes *a, const struct fp_lanes *b,
                            const struct fp_node *by);
void fp_channel_mark(struct fp_channel_finder *f, const struct fp_lanes *lanes, enum fp_channel_mark what);
// False: out of memory.
bool fp_channel_take_lanes(struct fp_channel_finder *f, struct fp_lanes *lanes, size_t n);
bool fp_channel_new(struct fp_channel_finder *f, struct fp_lanes *lanes, size_t n);
// The value has the lanes of another, along that axis.
void fp_channel_pass_on(struct fp_channel_finder *f, int in, int out, int axis);
bool fp_channel_is_stored(const struct fp_channel_finder *f, int value);
// The integers of an attribute, or of a stored input.
bool fp_channel_read_ints(const struct fp_channel_finder *f, const struct fp_node *node, const char *attribute,
                          int input, int64_t *dst, size_t max, size_t *n);

#endif
