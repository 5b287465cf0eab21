// SPDX-License-Identifier: Apache-2.0
// An axis of a convolution's input, cut where the walks over it begin and end. While the output runs over the axis, a
// kernel position meets input positions first, first + step, ...: a walk. Each walk is some neighbouring parts of the
// axis; each part is met by a walk whole or not at all.
#ifndef FP_AXIS_PARTS_H
#define FP_AXIS_PARTS_H

#include "base/arena.h"
#include "stats/columns.h"

struct fp_walk {
    int64_t key;         // walks with different keys have no parts in common
    size_t first, count; // positions first, first + step, ...; count may be 0
};

struct fp_part {
    int64_t key;
    size_t first, count;
};

struct fp_span {
    size_t low, high; // of the parts, high not among them
};

struct fp_axis {
    struct fp_arena arena;
    size_t n; // parts
    struct fp_part *parts;
    struct fp_span *met; // by each walk
};

// The outputs *low .. *high (none when it is lower) whose kernel position k lies in the input; of a transposed
// convolution the inputs whose does in the output. Output o meets input o * stride + k * dilation - begin.
void fp_axis_range(const struct fp_columns *c, int axis, int64_t k, int64_t *low, int64_t *high);
// False when there is no memory. The caller calls done in any case.
bool fp_axis_cut(struct fp_axis *a, const struct fp_walk *walks, size_t n, size_t step);
void fp_axis_done(struct fp_axis *a);

#endif
