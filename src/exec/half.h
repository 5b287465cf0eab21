// SPDX-License-Identifier: Apache-2.0
// Inputs as an operator wants them, and results as others do: narrow numbers made float32, and rounded again.
#ifndef FP_HALF_H
#define FP_HALF_H

#include "exec/exec_parts.h"

// A tensor that waits to be rounded, rounded and row-major.
int fp_round_tensor(struct fp_exec *exec, struct fp_tensor *dst, const struct fp_tensor *t);
// Whether the node takes its inputs, as they come in a->in, as float32 and leaves its results so.
bool fp_stays_wide(const struct fp_frame *frame, const struct fp_cell *cell, const struct fp_arguments *a);
// Input i row-major and float32 where the node's row says so, and a->narrow, the type that results go back to.
int fp_argument_adapt(struct fp_exec *exec, struct fp_cell *cell, int i, struct fp_arguments *a);
// The n results of a call: they wait to be rounded, or are.
int fp_finish_outputs(struct fp_exec *exec, const struct fp_arguments *a, int n, struct fp_tensor *out);
// Whether an Identity or a Cast hands on its input (which may be NULL) without a call; *out is it then.
bool fp_cell_hands_on(const struct fp_frame *frame, struct fp_cell *cell, const struct fp_tensor *t,
                      struct fp_tensor *out);

#endif
