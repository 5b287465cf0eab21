// SPDX-License-Identifier: Apache-2.0
// Where the zeros of a weight lie: whole rows and columns, so many of each few neighbours, rectangles.
#ifndef FP_ZEROS_H
#define FP_ZEROS_H

#include "weights/weights.h"

enum { FP_NEIGHBOURS = 5 }; // of 2, 4, 8, 16 and 32

struct fp_zeros {
    size_t zeros;
    size_t rows, columns, whole; // of which every element is zero, over all groups; zeros in either
    size_t kept[FP_NEIGHBOURS];  // the most that any 2 << i neighbours keep: inputs at the same kernel position; 2 << i
                                 // where there are not so many
    size_t height, width;        // the largest rectangles (rows x columns, counted in each group from the first on) of
                          // which each is zero or has no zero, but for whole rows and columns; 1 x 1: there are none
    char pattern[32]; // "2:4", "block:2x1": the one with the fewest kept, or "" where they keep more than half
};

// Errors: LIMIT, and those of reading the weight.
int fp_zeros_of(struct fineprune_model *model, const struct fp_weight *w, struct fp_zeros *out, fineprune_error *err);
// The same of elements that have been read, groups x rows x cols.
int fp_zeros_of_values(const struct fp_weight *w, const float *values, struct fp_zeros *out, fineprune_error *err);

#endif
