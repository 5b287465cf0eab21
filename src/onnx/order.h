// SPDX-License-Identifier: Apache-2.0
// The order in which the nodes of a graph can run.
#ifndef FP_ORDER_H
#define FP_ORDER_H

#include "base/name_map.h"
#include "onnx.pb-c.h"

// order[i] is the index of the node that runs as number i: the file's own order when it is possible, else the nearest
// by first come. producers maps value names to the node that makes them. Errors: MODEL with a node of the cycle.
int fp_order_nodes(int *order, Onnx__NodeProto *const *nodes, size_t n, const struct fp_name_map *producers,
                   fineprune_error *err);

#endif
