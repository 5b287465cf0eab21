// SPDX-License-Identifier: Apache-2.0
// Channels that pass a convolution of several groups: those of one group go together, the ones that it reads and the
// ones that it makes. So a group goes as a whole, and nothing is left of it to repair.
#ifndef FP_CHANNEL_FILTERS_H
#define FP_CHANNEL_FILTERS_H

#include "weights/channel_finder.h"

// False: it has one group, or its input no channels at axis 1 that fit, or there is no memory.
bool fp_channel_filter(struct fp_channel_finder *f, const struct fp_node *node);

#endif
