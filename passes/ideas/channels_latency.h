// SPDX-License-Identifier: Apache-2.0
// How much faster a model is without some of its channels, measured.
#ifndef FP_CHANNELS_LATENCY_H
#define FP_CHANNELS_LATENCY_H

#include "channel_curves.h"

// The time of one sample in the model that came, one thread, and in a copy of its file out of whose shapes so many
// channels of each group are; in turn, medians. *ratio: the second of the first. gone: by group of all->groups. Errors:
// as of opening, compacting and running.
int fp_channels_latency(struct fp_job *job, const struct fp_curves *all, const size_t *gone, double *ratio);

#endif
