// SPDX-License-Identifier: Apache-2.0
// Where a network of float16 or bfloat16 numbers is rounded. Between operators that compute, results stay float32, as
// processors without such arithmetic keep them; they are rounded where they are moved, stored or given out.
#ifndef FP_ROUNDING_H
#define FP_ROUNDING_H

#include "onnx/graph.h"

// Whether the node takes narrow numbers as float32 and leaves its result so; others want them rounded.
bool fp_node_computes(const struct fp_node *node);
// Whether all that reads the node's results computes; nodes that hand them on as they are do not count, but who reads
// theirs.
bool fp_node_feeds_computing(const struct fp_node *node);
static inline bool fp_type_rounds(enum fp_type type) { return type == FP_FLOAT16 || type == FP_BFLOAT16; }

#endif
