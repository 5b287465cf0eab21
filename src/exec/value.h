// SPDX-License-Identifier: Apache-2.0
// Where a value of a graph is.
#ifndef FP_VALUE_H
#define FP_VALUE_H

#include "exec/exec_parts.h"

// A constant of the plan; lent.
int fp_value_constant(struct fp_exec *exec, struct fp_plan *plan, int value, struct fp_tensor **out);
// Any value, as it is in the frame; lent. NULL for a value below 0.
int fp_value_of(struct fp_exec *exec, struct fp_frame *frame, int value, struct fp_tensor **out);

#endif
