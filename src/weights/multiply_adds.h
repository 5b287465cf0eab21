// SPDX-License-Identifier: Apache-2.0
// How many multiply-adds one run over one sample takes, by node and by weight, counted from the shapes that the run
// has.
#ifndef FP_MULTIPLY_ADDS_H
#define FP_MULTIPLY_ADDS_H

#include "base/name_map.h"
#include "data/data.h"
#include "weights/weights.h"

struct fp_node_macs {
    const struct fp_node *node;
    size_t of[3]; // of the weight at that input; of[0] of a node with one weight, at whatever input
};

struct fp_macs {
    struct fp_node_macs *items;
    size_t n, capacity;
    struct fp_name_map of_node; // the item of each node, by the node's address
    size_t total, computed;     // computed: of products of which no operand is constant, as attention's
};

// Runs the shapes of one sample of `data`, which stays with the model; NULL: of the one that was counted before, else
// of a made-up one, where the model's inputs say all sizes but the batch's and there are no bodies that data may run in
// vain or for ever. In a model of a fixed batch, of a whole batch. Errors: DATA,
// MODEL, LIMIT, with the reason why it cannot be counted. Freed with fp_macs_free, also after failure.
int fp_macs_count(struct fp_macs *out, struct fineprune_model *model, struct fineprune_data *data, size_t sample,
                  const fineprune_run_options *run, fineprune_error *err);
void fp_macs_free(struct fp_macs *macs);
// Of a node of any graph, all its calls together; 0 when it has none.
size_t fp_macs_of_node(const struct fp_macs *macs, const struct fp_node *node);
// Of all places in which a weight is used.
size_t fp_macs_of_weight(const struct fp_macs *macs, const struct fp_weight *w);

#endif
