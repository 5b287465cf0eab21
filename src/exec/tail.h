// SPDX-License-Identifier: Apache-2.0
// The nodes that are done inside another's call.
#ifndef FP_TAIL_H
#define FP_TAIL_H

#include "exec/exec_parts.h"

// Looks for the tail of every node, once it is known which values must be seen.
int fp_plan_find_tails(struct fp_plan *plan, const struct fp_fuse_view *view, fineprune_error *err);
// The nodes of the tail go back to being run one by one, as they come after this one.
void fp_cell_drop_tail(struct fp_plan *plan, struct fp_cell *cell);
void fp_cell_tail_free(struct fp_cell_tail *tail); // accepts NULL

#endif
