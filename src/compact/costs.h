// SPDX-License-Identifier: Apache-2.0
// What a model costs, in multiply-adds or in bytes, by how many channels each of its groups keeps: exactly what it
// costs once the others have left the shapes.
#ifndef FP_COSTS_H
#define FP_COSTS_H

#include "compact/slices.h"
#include "weights/multiply_adds.h"

// A part of an axis that leaves with a group's channels.
struct fp_share {
    int group;
    double share; // of the axis, that all of them take
};

struct fp_cost {
    double amount;         // with all channels; as much less as fewer stay along both axes
    size_t first[2], n[2]; // shares of the axes
};

struct fp_costs {
    double fixed; // whatever leaves
    struct fp_cost *items;
    struct fp_share *shares;
    size_t n, capacity, n_shares, share_capacity;
    double *left; // by group: the share of its channels that stay, while a total is made
};

// Of those groups that can be cut (slices->reasons); others count as fixed. Errors: LIMIT. Freed with fp_costs_free,
// also after failure.
int fp_costs_of_macs(struct fp_costs *out, const struct fp_slices *slices, const struct fp_channel_groups *groups,
                     const struct fp_macs *macs, const struct fp_graph *graph, fineprune_error *err);
// bytes: of the file as it is.
int fp_costs_of_bytes(struct fp_costs *out, const struct fp_slices *slices, const struct fp_channel_groups *groups,
                      size_t bytes, fineprune_error *err);
// gone: channels that leave, by group.
double fp_costs_total(struct fp_costs *costs, const struct fp_channel_groups *groups, const size_t *gone);
void fp_costs_free(struct fp_costs *costs);

#endif
