// SPDX-License-Identifier: Apache-2.0
// What is known of the values of the main graph without running it: ranks, lengths of axes, which axes are equally long
// whatever the input is, and the short lists of integers that shapes are put together from.
#ifndef FP_OUTLINE_H
#define FP_OUTLINE_H

#include "base/arena.h"
#include "weights/weights.h"

enum { FP_OUTLINE_AXES = 8, FP_OUTLINE_NUMBERS = 8 };

struct fp_outline_axis {
    int64_t length; // 0: not known
    int of, at;     // the value and axis that it is as long as; its own where nothing else is known
};

// An element of a list of integers: value = the length of an axis * times / over, or stored.
struct fp_outline_number {
    int64_t value;               // FP_NOT_KNOWN: not known
    struct fp_outline_axis axis; // that it is the length of; of -1: of none
    int measured, along;         // value and axis that it was read from; -1: from none
    int64_t times, over;
    const struct fp_node *node; // that has it as an input of its own, or in a stored one; NULL: none
    int input;
    size_t index;
    int64_t stored; // what stands there, a divisor of the value; 0: it is computed
};
#define FP_NOT_KNOWN INT64_MIN

struct fp_outline {
    int rank; // -1: not known
    struct fp_outline_axis axes[FP_OUTLINE_AXES];
    int n; // of its numbers; -1: it is no such list
    struct fp_outline_number *numbers;
};

struct fp_outlines {
    const struct fp_weights *weights;
    struct fp_exec *exec;
    struct fp_outline *of; // by value
    struct fp_arena arena;
};

// Looks at nothing yet: fp_outline_visit does, node by node in order. Errors: LIMIT. Freed with fp_outlines_free.
int fp_outlines_init(struct fp_outlines *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err);
void fp_outlines_free(struct fp_outlines *outlines);
// Finds what is known of the node's outputs. False: out of memory.
bool fp_outline_visit(struct fp_outlines *outlines, const struct fp_node *node);
// The list at an input, into `numbers`. Returns how many; -1: it is none, or too long.
int fp_outline_numbers(const struct fp_outlines *outlines, const struct fp_node *node, int input,
                       struct fp_outline_number *numbers);
// The rank of a value; -1: not known.
int fp_outline_rank(const struct fp_outlines *outlines, int value);
// The same for its axis, from the end when negative. length 0 and of -1 where nothing is known.
struct fp_outline_axis fp_outline_axis_of(const struct fp_outlines *outlines, int value, int axis);
// Whether they are equally long for certain.
bool fp_outline_same(const struct fp_outline_axis *a, const struct fp_outline_axis *b);

#endif
