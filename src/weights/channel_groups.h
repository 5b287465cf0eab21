// SPDX-License-Identifier: Apache-2.0
// From channels that were followed through a graph to groups of them.
#ifndef FP_CHANNEL_GROUPS_H
#define FP_CHANNEL_GROUPS_H

#include "weights/channels.h"

// One that a weight makes. Channels that must go together are one, known by the first of them.
struct fp_channel {
    int parent; // towards the first; itself: it is that
    bool blocked, trunk, spread, parted;
    const struct fp_node *by; // the first that blocks; NULL: an output does
};

int fp_channel_first(const struct fp_channel *channels, int channel);
// Fills groups, members and what is held, from rows and columns of n_weights weights. Errors: LIMIT.
int fp_channel_groups_collect(struct fp_channel_groups *out, const struct fp_channel *channels, int n,
                              const struct fp_weights *weights, fineprune_error *err);

#endif
