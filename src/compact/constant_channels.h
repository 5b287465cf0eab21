// SPDX-License-Identifier: Apache-2.0
// Channels that have the same value whatever the input is: all that makes them is zero but for a bias. What their
// readers make of it goes to the readers' biases, and nothing reads them any more.
#ifndef FP_CONSTANT_CHANNELS_H
#define FP_CONSTANT_CHANNELS_H

#include "compact/slices.h"

// Writes zeros into the readers' columns of each such channel that a group can lose, where every reader can take the
// constant: it is zero, or the reader sees it alike at all positions (no padding) and has a stored bias of floats of 32
// bits or more. *folded: how many; when it is not 0, weights, executors and constants of before are not to be used.
// Errors: MODEL, LIMIT.
int fp_fold_constant_channels(struct fineprune_model *model, const struct fp_weights *weights,
                              const struct fp_channel_groups *groups, const struct fp_slices *slices,
                              struct fp_exec *exec, size_t *folded, fineprune_error *err);

#endif
