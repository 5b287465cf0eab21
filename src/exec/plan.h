// SPDX-License-Identifier: Apache-2.0
// A plan for each graph, with a cell for each node.
#ifndef FP_PLAN_H
#define FP_PLAN_H

#include "exec/exec_parts.h"

// constant_inputs: which inputs of the graph are constant; may be NULL. *out is what the caller frees in any case.
int fp_plan_new(struct fp_plan **out, const struct fp_graph *graph, struct fp_plan *parent, const bool *constant_inputs,
                fineprune_error *err);
void fp_plan_free(struct fp_plan *plan); // accepts NULL
// The plan of a graph of the model, searched from the main one.
struct fp_plan *fp_plan_find(struct fp_plan *plan, const struct fp_graph *graph);
// Drops what the cell has prepared.
void fp_cell_forget(struct fp_cell *cell);
// Frees all that the cell has.
void fp_cell_done(struct fp_cell *cell);

#endif
