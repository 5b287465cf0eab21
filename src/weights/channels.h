// SPDX-License-Identifier: Apache-2.0
// Groups of hidden channels that can go as wholes: rows of the weights that make them and columns of all the weights
// that read them, with nothing but operators between that keep channels apart. Found by moving channel axes through the
// main graph; a space of channels that meets anything else (a graph output, a Concat, a body) is no group.
#ifndef FP_CHANNELS_H
#define FP_CHANNELS_H

#include "weights/weights.h"

struct fp_channel_reader {
    int weight;
    size_t per; // columns of each channel: kernel positions, or the positions that a Flatten lays side by side
};

struct fp_channel_group {
    size_t channels;
    bool trunk;  // a sum of several makers: a residual stream
    bool spread; // a transposed convolution makes or reads it, or it is resized on its way
    int n_makers, n_readers;
    int *makers; // numbers of weights, whose rows are the channels
    struct fp_channel_reader *readers;
};

// Where a value of the main graph carries the channels of a group.
struct fp_channel_place {
    int group; // -1: of none
    int axis;  // -1: the last
    int rank;  // of the value; 0: not known
};

// Channels that are no group, once for each weight that makes them.
struct fp_channel_held {
    int maker;
    size_t channels;
    const struct fp_node *node; // that does not keep them apart; NULL: they are an output
};

struct fp_channel_groups {
    int n, n_held;
    struct fp_channel_group *items;
    struct fp_channel_held *held;
    struct fp_channel_place *places; // by value
};

// The message that a value's elements are stored in, as an initializer or in a node; NULL: they are computed.
Onnx__TensorProto *fp_stored_tensor(const struct fp_value *value);
// In the order of their first maker. exec: of the weights' model, for its constants. Errors: LIMIT. Freed with
// fp_channels_free, also after failure.
int fp_channels_find(struct fp_channel_groups *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err);
void fp_channels_free(struct fp_channel_groups *groups);

#endif
