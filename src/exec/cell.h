// SPDX-License-Identifier: Apache-2.0
// Running one node of a plan.
#ifndef FP_CELL_H
#define FP_CELL_H

#include "exec/exec_parts.h"

int fp_cell_run(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell);
// Whether the node is run where it stands: it is not constant, and no other does its work.
static inline bool fp_cell_stands_alone(const struct fp_cell *cell) { return !cell->folds && !cell->inside; }

#endif
