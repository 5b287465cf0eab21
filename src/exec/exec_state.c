// SPDX-License-Identifier: Apache-2.0
// Parts of a run: what nodes after a certain one still read is kept, and a later run starts from there.
#include <stdlib.h>

#include "exec/cell.h"
#include "exec/frame.h"

struct fp_live {
    int value, left;
    struct fp_tensor tensor;
};

void fp_exec_state_done(struct fp_exec_state *state) {
    for (int i = 0; i < state->n; i++) fp_tensor_done(&state->live[i].tensor);
    free(state->live);
    *state = (struct fp_exec_state){0};
}

static int keep_state(const struct fp_frame *frame, struct fp_exec_state *state, fineprune_error *err) {
    const struct fp_graph *graph = frame->plan->graph;
    int n = 0;
    for (int i = 0; i < graph->n_values; i++) n += frame->values[i].type != FP_NONE && frame->left[i] > 0;
    state->live = fp_calloc((size_t)n, sizeof(*state->live));
    if (!state->live) return fp_fail_memory(err, "a run", (size_t)n * sizeof(*state->live));
    for (int i = 0; i < graph->n_values; i++) {
        if (frame->values[i].type == FP_NONE || frame->left[i] <= 0) continue;
        struct fp_live *live = &state->live[state->n++];
        *live = (struct fp_live){.value = i, .left = frame->left[i]};
        fp_tensor_share(&live->tensor, &frame->values[i]);
        state->bytes += fp_tensor_bytes(&frame->values[i]);
    }
    return FINEPRUNE_OK;
}

static int start_part(struct fp_exec *exec, struct fp_frame *frame, const struct fp_exec_state *from,
                      const struct fp_tensor *inputs) {
    int status = fp_frame_start(exec, frame, inputs, from ? 0 : frame->plan->graph->n_inputs);
    for (int i = 0; from && i < from->n && !status; i++) {
        fp_tensor_share(&frame->values[from->live[i].value], &from->live[i].tensor);
        frame->left[from->live[i].value] = from->live[i].left;
    }
    return status;
}

int fp_exec_part(struct fp_exec *exec, const struct fp_exec_state *from, const struct fp_tensor *inputs, int first,
                 int last, const struct fp_observer *observer, struct fp_exec_state *keep, fineprune_error *err) {
    struct fp_plan *plan = exec->plan;
    struct fp_frame frame = {.exec = exec, .plan = plan};
    fp_exec_tell(exec, err);
    exec->observer = observer;
    int status = start_part(exec, &frame, from, inputs);
    for (int i = first; i <= last && !status; i++) {
        struct fp_cell *cell = &plan->cells[i];
        if (i == last && keep) status = keep_state(&frame, keep, exec->err);
        if (!status && fp_cell_stands_alone(cell)) status = fp_cell_run(exec, &frame, cell);
    }
    fp_frame_done(&frame);
    if (status && keep) fp_exec_state_done(keep);
    return fp_exec_told(exec, status, err);
}
