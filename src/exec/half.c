// SPDX-License-Identifier: Apache-2.0
// Numbers of float16 and bfloat16 in a run: between operators that compute they stay float32 and wait to be rounded.
#include "exec/half.h"

#include "exec/rounding.h"
#include "kernel/channels_last.h"

static bool is_narrow(enum fp_type type) { return type == FP_FLOAT16 || type == FP_BFLOAT16 || type == FP_DOUBLE; }

int fp_round_tensor(struct fp_exec *exec, struct fp_tensor *dst, const struct fp_tensor *t) {
    struct fp_tensor plain = {0};
    int status = FINEPRUNE_OK;
    if (t->layout) status = fp_tensor_plain(exec->threads, exec->memory, &plain, t, exec->err);
    if (!status) status = fp_tensor_convert(dst, exec->memory, plain.type ? &plain : t, t->rounds, exec->err);
    fp_tensor_done(&plain);
    return status;
}

// ---- inputs

// The node that made a value, behind those that only passed it on; NULL for inputs of the graph and constants.
static const struct fp_node *maker_of(const struct fp_plan *plan, int value) {
    const struct fp_node *node = plan->is_constant[value] ? NULL : plan->graph->values[value].producer;
    while (node && plan->cells[node->id].passed) node = plan->graph->values[node->in[0]].producer;
    return node;
}

// Operators that compute take what comes as float32. One that moves does so alone between two that compute; of a list
// of inputs the first decides.
bool fp_stays_wide(const struct fp_frame *frame, const struct fp_cell *cell, const struct fp_arguments *a) {
    if (cell->computes || !cell->feeds_computing || !frame->left)
        return cell->computes && frame->left; // a constant is rounded
    bool waits = false;
    size_t n = a->n;
    if (cell->op->flags & FP_OP_FIRST_DECIDES && a->n) n = 1;
    for (size_t i = 0; i < n; i++) {
        if (!a->in[i] || !(a->in[i]->rounds || fp_type_rounds(a->in[i]->type))) continue;
        const struct fp_node *maker = maker_of(frame->plan, cell->node->in[i]);
        if (maker && !(a->in[i]->rounds && frame->plan->cells[maker->id].computes)) return false;
        waits |= a->in[i]->rounds != FP_NONE;
    }
    return waits;
}

// Input i as float32: a constant once, in the cell.
static int widen_argument(struct fp_exec *exec, struct fp_cell *cell, int i, struct fp_arguments *a) {
    bool constant = i < 64 && (cell->constant >> i & 1);
    struct fp_tensor *dst = constant ? &cell->converted[i] : &a->own[i], wide = {0};
    if (!constant || !dst->type) {
        int status = fp_tensor_convert(&wide, exec->memory, a->in[i], FP_FLOAT, exec->err);
        if (status) return status;
        fp_tensor_done(dst);
        *dst = wide;
    }
    a->in[i] = dst;
    return FINEPRUNE_OK;
}

int fp_argument_adapt(struct fp_exec *exec, struct fp_cell *cell, int i, struct fp_arguments *a) {
    const struct fp_tensor *t = a->in[i];
    const unsigned flags = cell->op->flags;
    if (t->rounds && a->wide && !a->narrow) a->narrow = t->rounds;
    const bool rounds = t->rounds && !a->wide, moves = t->layout && !(flags & FP_OP_BLOCKED);
    int status = FINEPRUNE_OK;
    if (rounds) status = fp_round_tensor(exec, &a->own[i], t);
    else if (moves) status = fp_tensor_plain(exec->threads, exec->memory, &a->own[i], t, exec->err);
    if (status) return status;
    if (rounds || moves) t = a->in[i] = &a->own[i];
    bool widens = a->wide && fp_type_rounds(t->type);
    if (flags & FP_OP_FLOAT32) widens = is_narrow(t->type);
    if (!widens) return FINEPRUNE_OK;
    if (!a->narrow) a->narrow = t->type;
    return widen_argument(exec, cell, i, a);
}

// ---- results

static int narrow_output(struct fp_exec *exec, struct fp_tensor *t, enum fp_type type) {
    struct fp_tensor narrow = {0}, plain = {0};
    if (t->layout) {
        int status = fp_tensor_plain(exec->threads, exec->memory, &plain, t, exec->err);
        if (status) return status;
        fp_tensor_done(t);
        *t = plain;
    }
    int status = fp_tensor_convert(&narrow, exec->memory, t, type, exec->err);
    if (status) return status;
    fp_tensor_done(t);
    *t = narrow;
    return FINEPRUNE_OK;
}

int fp_finish_outputs(struct fp_exec *exec, const struct fp_arguments *a, int n, struct fp_tensor *out) {
    const bool waits = a->wide && fp_type_rounds(a->narrow);
    int status = FINEPRUNE_OK;
    for (int i = 0; i < n && !status; i++) {
        const bool is_float = out[i].type == FP_FLOAT;
        if (waits && is_float) out[i].rounds = a->narrow;
        else out[i].rounds = FP_NONE;
        if (!waits && a->narrow && is_float) status = narrow_output(exec, &out[i], a->narrow);
    }
    return status;
}

// ---- what is handed on as it is

// What waits to be rounded is passed on as it is by Identity and by a Cast to the type that it waits for. Another Cast
// to a narrow type leaves the rounding to who reads it; one to float32 takes what waits, unless a Cast was what made it
// wait.
static bool passes(const struct fp_frame *frame, struct fp_cell *cell, const struct fp_tensor *t) {
    cell->passed = false;
    if (!frame->left || !t || t->type != FP_FLOAT) return false;
    cell->passed = t->rounds && (cell->identity || t->rounds == cell->cast_to);
    if (cell->passed || fp_type_rounds(cell->cast_to)) return cell->passed || !t->rounds;
    const struct fp_node *producer = cell->node->graph->values[cell->node->in[0]].producer;
    return cell->cast_to == FP_FLOAT && t->rounds && !(producer && frame->plan->cells[producer->id].cast_to != FP_NONE);
}

bool fp_cell_hands_on(const struct fp_frame *frame, struct fp_cell *cell, const struct fp_tensor *t,
                      struct fp_tensor *out) {
    if (!passes(frame, cell, t)) return false;
    fp_tensor_share(out, t);
    out->rounds = cell->cast_to;
    if (cell->passed) out->rounds = t->rounds;
    else if (cell->cast_to == FP_FLOAT) out->rounds = FP_NONE;
    return true;
}
