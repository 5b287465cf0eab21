// SPDX-License-Identifier: Apache-2.0
// Values: constants are loaded or folded when they are first asked for, others lie in the frame that made them.
#include "exec/value.h"

#include "exec/cell.h"
#include "exec/op_list.h"
#include "kernel/products.h"

static struct fp_node *caller_of(const struct fp_plan *plan) {
    if (plan->graph->function_proto) return plan->graph->parent_node;
    return NULL;
}

// The caller's value behind an input of a function body, -1 when there is none.
static int argument_of(const struct fp_plan *plan, int value) {
    const struct fp_node *call = caller_of(plan);
    for (int i = 0; call && i < plan->graph->n_inputs && i < call->n_in; i++)
        if (plan->graph->inputs[i] == value) return call->in[i];
    return -1;
}

#define FOLDED 4 // times what the model may claim: folding holds what goes in and what comes out

// Runs a folded node. A few bytes can ask for a constant of any size: where no limit is set, one is here.
static int run_folded(struct fp_exec *exec, struct fp_frame *frame, struct fp_cell *cell) {
    struct fp_memory *memory = &exec->model->memory;
    const size_t limit = memory->limit, refused = memory->refused;
    size_t most;
    if (!limit && fp_mul(fp_model_claims(exec->model), FOLDED, &most) && fp_add(memory->used, most, &most))
        memory->limit = most;
    const int status = fp_cell_run(exec, frame, cell);
    if (limit) return status;
    memory->limit = 0;
    if (status) fp_memory_hint(memory, exec->err);
    memory->refused = refused;
    return status;
}

// Runs a folded node in a frame that has nothing but constants. What else it makes is kept too.
static int fold_node(struct fp_exec *exec, struct fp_plan *plan, int value, struct fp_tensor *out) {
    struct fp_cell *cell = &plan->cells[plan->graph->values[value].producer->id];
    struct fp_frame frame = {.exec = exec, .plan = plan};
    FP_STAGE(room, "constants");
    frame.values = fp_arena_take(&room, (size_t)plan->graph->n_values, sizeof(*frame.values));
    if (!frame.values) return fp_arena_check(&room, exec->err);
    int status = run_folded(exec, &frame, cell);
    for (int i = 0; i < cell->node->n_out; i++) {
        int id = cell->node->out[i];
        if (id < 0) continue;
        if (!status && id == value) *out = frame.values[id];
        else if (!status && !plan->constants[id].type) plan->constants[id] = frame.values[id];
        else fp_tensor_done(&frame.values[id]);
    }
    return status;
}

// Nobody reads its elements: whoever takes it as a weight is counted only. Narrow floats become wider before that.
static bool is_outline(const struct fp_exec *exec, const struct fp_plan *plan, const struct fp_value *v) {
    struct fp_tensor shape;
    if (!exec->observer || !exec->observer->count_only) return false;
    if (fp_initializer_shape(exec->model, v->initializer, &shape, NULL, NULL) || shape.type != FP_FLOAT) return false;
    for (int i = 0; i < v->n_readers; i++) {
        const struct fp_node *node = v->readers[i].node;
        const struct fp_op *op = node && v->readers[i].index >= 0 ? fp_node_op(node) : NULL;
        if (!op || !fp_op_multiplies(op) || v->readers[i].index == op->weight.bias) return false;
        if (plan->is_constant[node->out[0]]) return false;
    }
    return true;
}

static int load_constant(struct fp_exec *exec, struct fp_plan *plan, int value, struct fp_tensor *out) {
    const struct fp_value *v = &plan->graph->values[value];
    if (v->initializer && is_outline(exec, plan, v))
        return fp_initializer_outline(exec->model, v->initializer, out, exec->err);
    if (v->initializer) return fp_initializer_load(exec->model, v->initializer, out, exec->err);
    if (v->sparse_initializer) return fp_sparse_initializer_load(exec->model, v->sparse_initializer, out, exec->err);
    return fold_node(exec, plan, value, out);
}

int fp_value_constant(struct fp_exec *exec, struct fp_plan *plan, int value, struct fp_tensor **out) {
    const struct fp_value *v = &plan->graph->values[value];
    if (v->outer >= 0) return fp_value_constant(exec, plan->parent, v->outer, out);
    int argument = v->initializer || v->producer ? -1 : argument_of(plan, value);
    if (argument >= 0) return fp_value_constant(exec, plan->parent, argument, out);
    struct fp_tensor *t = &plan->constants[value];
    if (!t->type) {
        struct fp_tensor loaded = {0};
        int status = load_constant(exec, plan, value, &loaded);
        if (status) return status;
        *t = loaded;
    }
    *out = t;
    return FINEPRUNE_OK;
}

int fp_value_of(struct fp_exec *exec, struct fp_frame *frame, int value, struct fp_tensor **out) {
    *out = NULL;
    if (value < 0) return FINEPRUNE_OK;
    if (frame->plan->is_constant[value]) return fp_value_constant(exec, frame->plan, value, out);
    int outer = frame->plan->graph->values[value].outer;
    if (outer >= 0) return fp_value_of(exec, frame->parent, outer, out);
    *out = &frame->values[value];
    return FINEPRUNE_OK;
}
