// SPDX-License-Identifier: Apache-2.0
// One run of a plan.
#ifndef FP_FRAME_H
#define FP_FRAME_H

#include "exec/exec_parts.h"

// Gives the frame of a plan its values and inputs; done is to be called in any case.
int fp_frame_start(struct fp_exec *exec, struct fp_frame *frame, const struct fp_tensor *inputs, int n_inputs);
void fp_frame_done(struct fp_frame *frame);
// Runs the plan in a frame of its own. parent: the frame of the graph around it, or NULL.
int fp_frame_run(struct fp_exec *exec, struct fp_plan *plan, struct fp_frame *parent, const struct fp_tensor *inputs,
                 int n_inputs, struct fp_tensor *outputs);
// For control flow: what fp_context.run_body is.
int fp_frame_run_body(struct fp_call *call, struct fp_graph *body, const struct fp_tensor *inputs,
                      struct fp_tensor *outputs);

#endif
