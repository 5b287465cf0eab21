// SPDX-License-Identifier: Apache-2.0
// Running one node: its inputs are brought, an operator or a function is called, what it gives goes into the frame.
#include "exec/cell.h"

#include <stdlib.h>

#include "base/mapping.h"
#include "exec/call.h"
#include "exec/frame.h"
#include "exec/half.h"
#include "exec/signature.h"
#include "exec/value.h"
#include "exec/watch.h"

static void drop_constants(const struct fp_exec *exec, const struct fp_cell *cell, const struct fp_arguments *a) {
    for (int i = 0; i < cell->node->n_in && i < 64; i++)
        if (cell->constant >> i & 1 && a->in[i] && a->in[i]->data)
            fp_mapping_drop(exec->model->mappings, a->in[i]->data, fp_tensor_bytes(a->in[i]));
}

// A failure without words gets some; one of memory is told with the node that wanted it.
static int name_node(fineprune_error *err, int status, const struct fp_node *node) {
    char text[400];
    if (!err) return status;
    fp_node_text(text, sizeof(text), node);
    if (!err->status) return fp_fail(err, status, "%s failed", text);
    if (status != FINEPRUNE_LIMIT || !strncmp(err->message, "node ", 5)) return status;
    fineprune_error found = *err;
    fp_error_clear(err);
    fp_fail(err, status, "%s: %s", text, found.message);
    if (found.hint[0]) fp_hint(err, "%s", found.hint);
    return status;
}

static bool refuses_kind(const struct fp_op *op, const struct fp_tensor *t) {
    return !(op->flags & FP_OP_ANY_KIND) && (t->type == FP_STRING || t->type == FP_SEQUENCE);
}

static int adapt_input(struct fp_exec *exec, struct fp_cell *cell, int i, struct fp_arguments *a) {
    if (!refuses_kind(cell->op, a->in[i])) return fp_argument_adapt(exec, cell, i, a);
    char text[400];
    return fp_fail(exec->err, FINEPRUNE_MODEL, "%s: %s inputs are not supported",
                   fp_node_text(text, sizeof(text), cell->node), fp_type_name(a->in[i]->type));
}

static int refuse_nothing(struct fp_exec *exec, const struct fp_node *node, int i) {
    char text[400];
    return fp_fail(exec->err, FINEPRUNE_MODEL, "%s: input %d is an optional without an element",
                   fp_node_text(text, sizeof(text), node), i);
}

static int gather_inputs(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_arguments *a) {
    const struct fp_node *node = cell->node;
    for (int i = 0; i < node->n_in; i++) {
        int status = fp_value_of(exec, frame, node->in[i], &a->in[i]);
        if (status) return status;
    }
    a->wide = fp_stays_wide(frame, cell, a);
    for (int i = 0; i < node->n_in; i++) {
        if (!a->in[i]) continue;
        if (a->in[i]->type == FP_NONE) { // an absent optional is an input that is left out
            if (!(cell->op->flags & FP_OP_ANY_KIND)) a->in[i] = NULL;
            if (!a->in[i] && fp_signature_needs(cell->op, node, i)) return refuse_nothing(exec, node, i);
            continue;
        }
        int status = adapt_input(exec, cell, i, a);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int run_operator(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_tensor *out) {
    struct fp_arguments a;
    if ((cell->cast_to || cell->identity) && cell->node->n_in == 1) {
        struct fp_tensor *t;
        int status = fp_value_of(exec, frame, cell->node->in[0], &t);
        if (status) return status;
        if (fp_cell_hands_on(frame, cell, t, &out[0])) return FINEPRUNE_OK;
    }
    if (!fp_arguments_init(&a, cell->node->n_in)) return fp_fail_memory(exec->err, "arguments", sizeof(a));
    int status = gather_inputs(exec, frame, cell, &a);
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra && !status; i++)
        status = fp_value_of(exec, frame, cell->tail->fusion.extra[i], &a.extra[i]);
    if (!status) status = fp_cell_call(exec, frame, cell, &a, out);
    if (!status) drop_constants(exec, cell, &a);
    fp_arguments_done(&a);
    if (status) return name_node(exec->err, status, cell->node);
    return FINEPRUNE_OK;
}

// ---- calls of functions

static int run_function(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell, struct fp_tensor *out) {
    const struct fp_node *node = cell->node;
    const struct fp_graph *body = node->function;
    FP_STAGE(room, "a function call");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)body->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)body->n_outputs, sizeof(*outputs));
    int status = fp_arena_check(&room, exec->err);
    if (status) return status;
    for (int i = 0; i < body->n_inputs && i < node->n_in && !status; i++) {
        struct fp_tensor *t;
        status = fp_value_of(exec, frame, node->in[i], &t);
        if (!status && t) inputs[i] = *t; // lent for the call
    }
    if (!status) status = fp_frame_run(exec, cell->bodies[0], frame, inputs, body->n_inputs, outputs);
    for (int i = 0; i < body->n_outputs; i++) {
        if (!status && i < node->n_out) out[i] = outputs[i];
        else fp_tensor_done(&outputs[i]);
    }
    return status;
}

// ---- a node's place in the frame

static void read_done(struct fp_frame *frame, int value) {
    if (value < 0 || !frame->left || frame->plan->is_constant[value]) return;
    if (--frame->left[value] == 0) fp_tensor_done(&frame->values[value]);
}

static void release_inputs(struct fp_frame *frame, const struct fp_node *node) {
    for (int i = 0; i < node->n_in; i++) read_done(frame, node->in[i]);
    for (int i = 0; i < node->n_bodies && !node->function; i++)
        for (int v = 0; v < node->bodies[i]->n_values; v++)
            if (node->bodies[i]->values[v].outer >= 0) read_done(frame, node->bodies[i]->values[v].outer);
}

// Whether output `value` has a reader, or is looked at.
static bool is_wanted(const struct fp_frame *frame, int value) {
    if (!frame->left || frame->left[value] > 0) return true;
    return frame->plan->watch_value && frame->plan->watch_value[value];
}

// Output i goes into the frame.
static int store_output(struct fp_exec *exec, struct fp_frame *frame, const struct fp_cell *cell, int i,
                        struct fp_tensor *t) {
    int value = i == 0 && cell->tail ? cell->tail->fusion.last->out[0] : cell->node->out[i];
    if (value < 0 || !is_wanted(frame, value)) {
        fp_tensor_done(t);
        return FINEPRUNE_OK;
    }
    frame->values[value] = *t;
    int status = fp_watch_result(exec, frame->plan, value, t);
    if (frame->left && frame->left[value] == 0) fp_tensor_done(&frame->values[value]);
    return status;
}

int fp_cell_run(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell) {
    const struct fp_node *node = cell->node;
    struct fp_tensor few[8] = {{0}}, *out = few;
    if (node->n_out > 8) out = fp_calloc((size_t)node->n_out, sizeof(*out));
    if (!out) return fp_fail_memory(exec->err, "outputs", sizeof(*out));
    int status;
    if (cell->op) status = run_operator(exec, frame, cell, out);
    else status = run_function(exec, frame, cell, out);
    for (int i = 0; i < node->n_out; i++) {
        if (!status) status = store_output(exec, frame, cell, i, &out[i]);
        else fp_tensor_done(&out[i]);
    }
    if (out != few) free(out);
    if (frame->left) release_inputs(frame, node);
    for (int i = 0; frame->left && cell->tail && i < cell->tail->fusion.n_nodes; i++)
        release_inputs(frame, cell->tail->fusion.nodes[i]);
    return status;
}
