// SPDX-License-Identifier: Apache-2.0
// Running a plan: a frame is started with the inputs, every node runs in it, the outputs are taken.
#include "exec/frame.h"

#include <stdlib.h>

#include "exec/cell.h"
#include "exec/half.h"
#include "exec/tail.h"
#include "exec/value.h"
#include "exec/watch.h"
#include "kernel/channels_last.h"

struct scalar_source {
    struct fp_exec *exec;
    struct fp_plan *plan;
};

static bool read_constant_scalar(void *user, int value, float *out, int *rank) {
    const struct scalar_source *source = user;
    struct fp_tensor *t = NULL;
    if (fp_value_constant(source->exec, source->plan, value, &t) || t->type != FP_FLOAT || t->count != 1) return false;
    *out = *(const float *)t->data;
    *rank = t->rank;
    return true;
}

// Looked for before the first run, when it is known which values must be seen.
static int find_tails(struct fp_exec *exec, struct fp_plan *plan) {
    struct scalar_source source = {exec, plan};
    const struct fp_fuse_view view = {plan->graph, plan->is_constant, plan->watch_value, read_constant_scalar, &source};
    if (plan->fused) return FINEPRUNE_OK;
    return fp_plan_find_tails(plan, &view, exec->err);
}

int fp_frame_start(struct fp_exec *exec, struct fp_frame *frame, const struct fp_tensor *inputs, int n_inputs) {
    const struct fp_graph *graph = frame->plan->graph;
    int status = find_tails(exec, frame->plan);
    if (status) return status;
    frame->values = fp_calloc((size_t)graph->n_values, sizeof(*frame->values));
    frame->left = fp_calloc((size_t)graph->n_values, sizeof(*frame->left));
    if (!frame->values || !frame->left)
        return fp_fail_memory(exec->err, "a run", (size_t)graph->n_values * sizeof(*frame->values));
    for (int i = 0; i < graph->n_values; i++) frame->left[i] = graph->values[i].n_readers;
    for (int i = 0; i < graph->n_inputs && i < n_inputs; i++) {
        int value = graph->inputs[i];
        if (frame->plan->is_constant[value]) continue;
        fp_tensor_share(&frame->values[value], &inputs[i]);
        status = fp_watch_result(exec, frame->plan, value, &inputs[i]);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

void fp_frame_done(struct fp_frame *frame) {
    for (int i = 0; frame->values && i < frame->plan->graph->n_values; i++) fp_tensor_done(&frame->values[i]);
    free(frame->values);
    free(frame->left);
}

static int take_outputs(struct fp_exec *exec, struct fp_frame *frame, struct fp_tensor *outputs) {
    const struct fp_graph *graph = frame->plan->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        struct fp_tensor *t;
        int status = fp_value_of(exec, frame, graph->outputs[i], &t);
        if (!status && t->rounds) status = fp_round_tensor(exec, &outputs[i], t);
        else if (!status && t->layout) status = fp_tensor_plain(exec->threads, exec->memory, &outputs[i], t, exec->err);
        else if (!status) fp_tensor_share(&outputs[i], t);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

int fp_frame_run(struct fp_exec *exec, struct fp_plan *plan, struct fp_frame *parent, const struct fp_tensor *inputs,
                 int n_inputs, struct fp_tensor *outputs) {
    struct fp_frame frame = {.exec = exec, .plan = plan, .parent = parent};
    int status = fp_frame_start(exec, &frame, inputs, n_inputs);
    for (int i = 0; i < plan->graph->n_nodes && !status; i++)
        if (fp_cell_stands_alone(&plan->cells[i])) {
            status = fp_context_stopped(&exec->context, plan->cells[i].node, exec->err);
            if (!status) status = fp_cell_run(exec, &frame, &plan->cells[i]);
        }
    if (!status) status = take_outputs(exec, &frame, outputs);
    fp_frame_done(&frame);
    return status;
}

int fp_frame_run_body(struct fp_call *call, struct fp_graph *body, const struct fp_tensor *inputs,
                      struct fp_tensor *outputs) {
    const struct fp_cell *cell = &call->frame->plan->cells[call->node->id];
    const int status = fp_context_stopped(call->context, call->node, call->err); // a body may be empty
    if (status) return status;
    for (int i = 0; i < call->node->n_bodies; i++)
        if (call->node->bodies[i] == body)
            return fp_frame_run(call->frame->exec, cell->bodies[i], call->frame, inputs, body->n_inputs, outputs);
    return fp_call_fail(call, "no such body");
}
