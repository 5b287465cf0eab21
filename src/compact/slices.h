// SPDX-License-Identifier: Apache-2.0
// What must change for the channels of a group to leave: slices of stored tensors along an axis, and numbers of
// channels that nodes name: shapes, places where they are parted, the groups of depthwise convolutions. Found by
// looking at every node that a group's channels pass.
#ifndef FP_SLICES_H
#define FP_SLICES_H

#include "base/arena.h"
#include "weights/channels.h"

// Of a constant tensor, along an axis.
struct fp_slice {
    Onnx__TensorProto *proto; // NULL: it is computed, from constants
    size_t bytes;             // of the whole tensor
    const struct fp_graph *graph;
    int value, axis;
    struct fp_use reader;  // the node that the channels pass, and its input; the first of them
    int readings;          // by such nodes
    bool own;              // each such node has a slice of its own, and can have a copy: the axis is all there is
    struct fp_lanes lanes; // along the axis
    size_t per;            // elements of each
};

// A number of channels that a node names, in a list that is its input or its attribute.
struct fp_cut_number {
    const struct fp_node *node;
    int input;             // -1: the attribute
    const char *attribute; // NULL: the input
    size_t index;          // in the list
    struct fp_lanes lanes; // that are counted
    size_t per;            // what each counts; 0: the input is left out once some are gone
    bool computed;         // the input is one number that is computed: a stored one takes its place
};

enum { FP_SPLIT_LENGTHS_SINCE = 13 }; // opset from which the lengths of parts are an input

struct fp_slices {
    struct fp_slice *items;
    struct fp_cut_number *numbers; // those of one list follow each other
    size_t n, capacity, n_numbers, number_capacity;
    const char **reasons;  // by group: static text, why it stays as it is; NULL: it can be cut
    struct fp_arena arena; // of lanes that no value has
};

// Where the value's channels leave: along one axis of a grid, at `axis` of the result, of which the lanes are in memory
// of `arena`. lanes.n 0: out of memory.
struct fp_channel_place fp_place_that_shrinks(struct fp_arena *arena, const struct fp_channel_place *place);
// Looks at all groups of the main graph. Errors: LIMIT. Freed with fp_slices_free, also after failure.
int fp_slices_find(struct fp_slices *out, const struct fp_weights *weights, const struct fp_channel_groups *groups,
                   struct fp_exec *exec, fineprune_error *err);
void fp_slices_free(struct fp_slices *slices);

#endif
