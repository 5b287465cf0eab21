// SPDX-License-Identifier: Apache-2.0
// Showing values to the observer of a run.
#ifndef FP_WATCH_H
#define FP_WATCH_H

#include "exec/exec_parts.h"

// After a call: the inputs of weights that were asked for.
int fp_watch_inputs(struct fp_exec *exec, struct fp_cell *cell, struct fp_call *call);
// A value that has been made, when it was asked for.
int fp_watch_result(struct fp_exec *exec, const struct fp_plan *plan, int value, const struct fp_tensor *t);

#endif
