// SPDX-License-Identifier: Apache-2.0
// Functions of one value that exporters write out as several elementwise nodes, recognized by what they compute.
#ifndef FP_FUSE_FUNCTION_H
#define FP_FUSE_FUNCTION_H

#include "exec/fuse.h"

enum { FP_FUNCTION_NODES = 14 };
struct fp_function {
    const struct fp_node *nodes[FP_FUNCTION_NODES]; // in order; the last one makes the result
    int n, least_rank;                              // a constant of that rank takes part
    struct fp_tail tail;
};

// The nodes after `value` that depend on it and on constants alone, up to the first one on which all the others end and
// which computes a known function: Gelu, its form with tanh, x sigmoid(a x), HardSwish. False when there is none.
bool fp_function_find(const struct fp_fuse_view *view, int value, struct fp_function *out);

#endif
