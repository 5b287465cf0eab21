// SPDX-License-Identifier: Apache-2.0
// One call of an operator: prepared when it must be, its outputs given memory, run, shown, rounded.
#include "exec/call.h"

#include <stdlib.h>

#include "base/mapping.h"
#include "base/threads.h"
#include "exec/half.h"
#include "exec/seen.h"
#include "exec/tail.h"
#include "exec/watch.h"
#include "kernel/products.h"

bool fp_arguments_init(struct fp_arguments *a, int n) {
    size_t size = (size_t)n * (sizeof(*a->in) + sizeof(*a->own));
    char *memory = a->room;
    if (size > sizeof(a->room)) memory = malloc(size);
    a->n = (size_t)n;
    a->narrow = FP_NONE;
    a->wide = false;
    a->own = (struct fp_tensor *)memory;
    if (memory) a->in = (struct fp_tensor **)(memory + (size_t)n * sizeof(*a->own));
    else a->in = NULL;
    if (memory) memset(memory, 0, size);
    return memory != NULL;
}

void fp_arguments_done(struct fp_arguments *a) {
    for (size_t i = 0; i < a->n; i++) fp_tensor_done(&a->own[i]);
    if ((char *)a->own != a->room) free(a->own);
}

// ---- prepare

static int prepare_once(struct fp_cell *cell, struct fp_call *call) {
    cell->prepared = false;
    for (int i = 0; i < call->n_out; i++) {
        call->out[i] = (struct fp_tensor){0};
        call->alias[i] = -1;
    }
    int status = cell->op->prepare(call);
    cell->state = call->state;
    return status;
}

static int prepare_cell(struct fp_exec *exec, struct fp_plan *plan, struct fp_cell *cell, struct fp_call *call,
                        const struct fp_arguments *a) {
    int status = prepare_once(cell, call);
    if (status == FP_NOT_FUSED || (!status && cell->tail && call->out[0].rank < cell->tail->fusion.least_rank)) {
        fp_cell_drop_tail(plan, cell);
        call->n_tail = 0;
        status = prepare_once(cell, call);
    }
    if (status) return status;
    cell->values_read = call->values_read;
    if (!fp_see_arguments(cell, a)) return fp_fail_memory(exec->err, "a shape", 0);
    cell->prepared = true;
    return FINEPRUNE_OK;
}

// Type and dims of the outputs: from prepare, or as it left them.
static int shape_outputs(struct fp_exec *exec, struct fp_plan *plan, struct fp_cell *cell, struct fp_call *call,
                         const struct fp_arguments *a) {
    if (!fp_needs_prepare(cell, a)) {
        for (int i = 0; i < call->n_out; i++) call->out[i] = cell->shapes[i];
        return FINEPRUNE_OK;
    }
    double start = fp_seconds();
    int status = prepare_cell(exec, plan, cell, call, a);
    exec->context.preparing += fp_seconds() - start;
    for (int i = 0; i < call->n_out && !status; i++)
        if (!call->out[i].data && !call->out[i].buffer)
            cell->shapes[i] = call->out[i]; // what prepare itself has filled it does each time
    return status;
}

// ---- run

// Input 0's memory can become output 0's: nobody else reads it and it fits.
static bool in_place(struct fp_frame *frame, const struct fp_cell *cell, const struct fp_call *call,
                     const struct fp_tensor *out) {
    if (!(cell->op->flags & FP_OP_IN_PLACE) || !call->n_in || !call->in[0]) return false;
    const struct fp_tensor *in = call->in[0];
    int value = cell->node->in[0];
    return frame->left && in == &frame->values[value] && frame->left[value] == 1 && in->buffer &&
           in->buffer->refs == 1 && in->type == out->type && in->count == out->count && in->layout == out->layout &&
           in->data == in->buffer->data;
}

static int allocate_outputs(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_call *call) {
    for (int i = 0; i < call->n_out; i++) {
        struct fp_tensor *out = &call->out[i];
        int alias = cell->alias[i];
        if (alias < 0 && i == 0 && in_place(frame, cell, call, out)) alias = 0;
        if (alias >= 0) {
            struct fp_tensor shape = *out;
            fp_tensor_share(out, call->in[alias]);
            out->type = shape.type;
            out->rank = shape.rank;
            out->layout = shape.layout;
            memcpy(out->dims, shape.dims, sizeof(out->dims));
        } else if (out->type > 0 && !out->data) {
            int status = fp_tensor_allocate(out, exec->memory, exec->err);
            if (status) return status;
        }
    }
    return FINEPRUNE_OK;
}

// Large files' weights are read where they lie, each time: packed copies would hold them all in memory.
static uint64_t constants_to_keep(const struct fp_exec *exec, const struct fp_cell *cell,
                                  const struct fp_arguments *a) {
    uint64_t constant = cell->constant;
    if (!fp_mapping_is_large(exec->model->mappings)) return constant;
    for (int i = 0; i < cell->node->n_in && i < 64; i++)
        if (constant >> i & 1 && a->in[i] && fp_mapping_holds(exec->model->mappings, a->in[i]->data))
            constant &= ~((uint64_t)1 << i);
    return constant;
}

static struct fp_call call_of(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell,
                              struct fp_arguments *a, struct fp_tensor *out) {
    struct fp_call call = {.node = cell->node,
                           .op = cell->op,
                           .n_in = cell->node->n_in,
                           .n_out = cell->node->n_out,
                           .in = a->in,
                           .out = out,
                           .alias = cell->alias,
                           .state = cell->state,
                           .constant = constants_to_keep(exec, cell, a),
                           .threads = exec->threads,
                           .memory = exec->memory,
                           .context = &exec->context,
                           .frame = frame,
                           .err = exec->err};
    if (cell->tail) {
        call.n_tail = cell->tail->fusion.n_tail;
        call.tail = cell->tail->fusion.tail;
        call.extra = a->extra;
    }
    return call;
}

// Constants are computed in any case.
static bool counts(const struct fp_exec *exec, const struct fp_frame *frame, const struct fp_cell *cell) {
    return exec->observer && exec->observer->count && frame->left && fp_op_multiplies(cell->op);
}

static int run_or_count(const struct fp_exec *exec, const struct fp_frame *frame, const struct fp_cell *cell,
                        struct fp_call *call) {
    if (counts(exec, frame, cell)) exec->observer->count(exec->observer->user, call);
    if (!call->counted) return call->op->run ? call->op->run(call) : FINEPRUNE_OK;
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i].data && call->out[i].type > 0) memset(call->out[i].data, 0, fp_tensor_bytes(&call->out[i]));
    return FINEPRUNE_OK;
}

int fp_cell_call(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_arguments *a,
                 struct fp_tensor *out) {
    if (cell->tail && a->narrow) fp_cell_drop_tail(frame->plan, cell); // each of its nodes rounds
    struct fp_call call = call_of(exec, frame, cell, a, out);
    call.counted = counts(exec, frame, cell) && exec->observer->count_only;
    const int before = fp_threads_set(exec->threads);
    int status = shape_outputs(exec, frame->plan, cell, &call, a);
    if (!status) status = allocate_outputs(exec, frame, cell, &call);
    if (!status) status = run_or_count(exec, frame, cell, &call);
    fp_threads_set(before);
    cell->state = call.state;
    if (!status && exec->observer && cell->watches) status = fp_watch_inputs(exec, cell, &call);
    if (status) return status;
    return fp_finish_outputs(exec, a, call.n_out, out);
}
