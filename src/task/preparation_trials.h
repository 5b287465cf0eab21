// SPDX-License-Identifier: Apache-2.0
// Ways of preparing samples, tried on the model; for preparation.c only.
#ifndef FP_PREPARATION_TRIALS_H
#define FP_PREPARATION_TRIALS_H

#include "task/preparation.h"

// What an input holds, by its least and greatest value.
enum fp_range { FP_RANGE_OTHER, FP_RANGE_RAW, FP_RANGE_UNIT, FP_RANGE_TINY, FP_RANGE_SIGNED };

// The one input that is looked at: pictures [N, C, H, W] or [N, H, W, C], or waves [N, T] or [N, 1, T]; which samples.
struct fp_looked_at {
    int input; // -1: there is none
    bool wave;
    int channel_axis; // of pictures
    enum fp_range range;
    const size_t *samples;
    size_t n;
};

struct fp_found {
    const char *cause, *text; // NULL: nothing
    char evidence[200];
};

// Tries what may be meant by the range of the input, and finds what fits much better than what is there.
int fp_preparation_try(const struct fp_preparation *p, const struct fp_looked_at *seen, struct fp_found *found,
                       fineprune_error *err);

#endif
