// SPDX-License-Identifier: Apache-2.0
// Channels that lie over several axes of a value, as those of attention heads and of shuffles do: between the Reshape
// that spreads them and the one that lays them side by side again. Channels leave along one axis of a grid, so that
// it stays a grid: what has one place along that axis is one channel. Which axis follows from what reads the grid
// (fp_channel_freeze, a product: whole heads), else it is the last.
#ifndef FP_CHANNEL_GRIDS_H
#define FP_CHANNEL_GRIDS_H

#include "weights/channel_finder.h"

// The axis keeps its length: channels that differ by their place along it go together. By `by`.
void fp_channel_freeze(struct fp_channel_finder *f, int value, int axis, const struct fp_node *by);
// A Reshape that spreads channels over axes, or lays them side by side. False: it cannot be told.
bool fp_channel_regrid(struct fp_channel_finder *f, const struct fp_node *node);
// Operators that move a grid, take a part of it or mix other axes, and those that move axes before the channels'.
// False: they do not keep channels apart.
bool fp_channel_move_grid(struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage);
// Grids one after the other along an axis. False: they differ, or what is joined are no grids.
bool fp_channel_append_grids(struct fp_channel_finder *f, const struct fp_node *node);
// The value has these lanes, row-major over these axes.
void fp_channel_spread(struct fp_channel_finder *f, int value, const struct fp_lanes *lanes,
                       const struct fp_channel_axis *axes, int n, int rank);
// An elementwise operator with a value that has no channels and is computed: it has one element, or none, along the
// channels' axes. False: it cannot be told.
bool fp_channel_pass_beside(struct fp_channel_finder *f, const struct fp_node *node, int moving, int other);
// Two grids, or no grid, that an elementwise operator may join.
bool fp_channel_alike(const struct fp_channel_place *a, const struct fp_channel_place *b);
// A product of two computed values, as in attention. False: it does not keep channels apart.
bool fp_channel_multiply(struct fp_channel_finder *f, const struct fp_node *node);
// Settles along which axis the channels of each grid leave.
void fp_channel_settle_grids(struct fp_channel_finder *f);

#endif
