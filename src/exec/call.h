// SPDX-License-Identifier: Apache-2.0
// Calling an operator on arguments.
#ifndef FP_CALL_H
#define FP_CALL_H

#include "exec/exec_parts.h"

// Arguments that are all NULL; false when out of memory.
bool fp_arguments_init(struct fp_arguments *a, int n);
void fp_arguments_done(struct fp_arguments *a);
// The operator of the cell on `a`; out: one tensor for each output of the node, which the caller drops.
int fp_cell_call(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_arguments *a,
                 struct fp_tensor *out);

#endif
