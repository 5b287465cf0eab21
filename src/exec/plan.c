// SPDX-License-Identifier: Apache-2.0
// Plans: made, freed, found. Whether a value is constant is known once its node has a cell.
#include "exec/plan.h"

#include <stdlib.h>

#include "exec/op_list.h"
#include "exec/rounding.h"
#include "exec/tail.h"

static void drop_state(struct fp_cell *cell) {
    if (cell->state && cell->op && cell->op->done) cell->op->done(cell->state);
    else free(cell->state);
}

void fp_cell_forget(struct fp_cell *cell) {
    drop_state(cell);
    cell->state = NULL;
    cell->prepared = false;
    for (int i = 0; i < cell->node->n_in; i++) fp_tensor_done(&cell->converted[i]);
}

void fp_cell_done(struct fp_cell *cell) {
    fp_cell_tail_free(cell->tail);
    drop_state(cell);
    for (int i = 0; cell->seen && i < cell->node->n_in; i++) free(cell->seen[i].copy);
    for (int i = 0; cell->converted && i < cell->node->n_in; i++) fp_tensor_done(&cell->converted[i]);
    for (int i = 0; cell->bodies && i < cell->node->n_bodies; i++) fp_plan_free(cell->bodies[i]);
    while (cell->watches) {
        struct fp_watch *next = cell->watches->next;
        free(cell->watches);
        cell->watches = next;
    }
    free(cell->seen);
    free(cell->converted);
    free(cell->shapes);
    free(cell->alias);
    free(cell->bodies);
}

void fp_plan_free(struct fp_plan *plan) {
    if (!plan) return;
    for (int i = 0; plan->cells && i < plan->graph->n_nodes; i++)
        if (plan->cells[i].node) fp_cell_done(&plan->cells[i]);
    for (int i = 0; plan->constants && i < plan->graph->n_values; i++) fp_tensor_done(&plan->constants[i]);
    free(plan->cells);
    free(plan->is_constant);
    free(plan->constants);
    free(plan->watch_value);
    free(plan);
}

// Whether the node's results are the same in every run.
static bool can_fold(const struct fp_plan *plan, const struct fp_cell *cell) {
    const struct fp_node *node = cell->node;
    if (!cell->op || cell->op->flags & FP_OP_IMPURE || node->n_bodies) return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && !plan->is_constant[node->in[i]]) return false;
    return true;
}

// Which inputs of a function are constant: those that are so in the call. NULL when out of memory.
static bool *constant_arguments(const struct fp_plan *plan, const struct fp_node *node) {
    bool *constant = fp_calloc((size_t)node->function->n_inputs, sizeof(*constant));
    for (int k = 0; constant && k < node->function->n_inputs && k < node->n_in; k++)
        constant[k] = node->in[k] >= 0 && plan->is_constant[node->in[k]];
    return constant;
}

static int plan_bodies(struct fp_plan *plan, struct fp_cell *cell, fineprune_error *err) {
    const struct fp_node *node = cell->node;
    if (!node->n_bodies) return FINEPRUNE_OK;
    cell->bodies = fp_calloc((size_t)node->n_bodies, sizeof(*cell->bodies));
    if (!cell->bodies) return fp_fail_memory(err, "the plan", sizeof(void *));
    for (int i = 0; i < node->n_bodies; i++) {
        bool *constant = NULL;
        if (node->function && !(constant = constant_arguments(plan, node)))
            return fp_fail_memory(err, "the plan", sizeof(void *));
        int status = fp_plan_new(&cell->bodies[i], node->bodies[i], plan, constant, err);
        free(constant);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int plan_cell(struct fp_plan *plan, struct fp_cell *cell, const struct fp_node *node, fineprune_error *err) {
    *cell = (struct fp_cell){.node = node, .op = fp_node_op(node)};
    if (cell->op && cell->op->role == FP_ROLE_CASTS) cell->cast_to = (enum fp_type)fp_attr_int(node, "to", FP_NONE);
    cell->identity = cell->op && cell->op->role == FP_ROLE_IDENTITY;
    cell->computes = fp_node_computes(node);
    cell->feeds_computing = !cell->computes && cell->op && !node->n_bodies && fp_node_feeds_computing(node);
    cell->seen = fp_calloc((size_t)node->n_in, sizeof(*cell->seen));
    cell->converted = fp_calloc((size_t)node->n_in, sizeof(*cell->converted));
    cell->shapes = fp_calloc((size_t)node->n_out, sizeof(*cell->shapes));
    cell->alias = fp_calloc((size_t)node->n_out, sizeof(*cell->alias));
    if (!cell->seen || !cell->converted || !cell->shapes || !cell->alias)
        return fp_fail_memory(err, "the plan", sizeof(*cell));
    for (int i = 0; i < node->n_in && i < 64; i++)
        if (node->in[i] >= 0 && plan->is_constant[node->in[i]]) cell->constant |= (uint64_t)1 << i;
    cell->folds = can_fold(plan, cell);
    if (cell->folds)
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0) plan->is_constant[node->out[i]] = true;
    return plan_bodies(plan, cell, err);
}

// What is constant before any node is folded.
static void mark_constants(struct fp_plan *plan, const bool *constant_inputs) {
    const struct fp_graph *graph = plan->graph;
    for (int i = 0; i < graph->n_values; i++) {
        const struct fp_value *v = &graph->values[i];
        plan->is_constant[i] = ((v->initializer || v->sparse_initializer) && !(v->is_input && graph->parent)) ||
                               (v->outer >= 0 && plan->parent->is_constant[v->outer]);
    }
    for (int i = 0; constant_inputs && i < graph->n_inputs; i++)
        plan->is_constant[graph->inputs[i]] = constant_inputs[i];
}

int fp_plan_new(struct fp_plan **out, const struct fp_graph *graph, struct fp_plan *parent, const bool *constant_inputs,
                fineprune_error *err) {
    struct fp_plan *plan = calloc(1, sizeof(*plan));
    *out = plan; // linked in at once, so that the owner frees what is half built
    if (!plan) return fp_fail_memory(err, "the plan", sizeof(*plan));
    plan->graph = graph;
    plan->parent = parent;
    plan->cells = fp_calloc((size_t)graph->n_nodes, sizeof(*plan->cells));
    plan->is_constant = fp_calloc((size_t)graph->n_values, sizeof(bool));
    plan->constants = fp_calloc((size_t)graph->n_values, sizeof(*plan->constants));
    if (!plan->cells || !plan->is_constant || !plan->constants) return fp_fail_memory(err, "the plan", sizeof(*plan));
    mark_constants(plan, constant_inputs);
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_nodes && !status; i++)
        status = plan_cell(plan, &plan->cells[i], &graph->nodes[i], err);
    return status;
}

struct fp_plan *fp_plan_find(struct fp_plan *plan, const struct fp_graph *graph) {
    if (plan->graph == graph) return plan;
    for (int i = 0; i < plan->graph->n_nodes; i++)
        for (int k = 0; k < plan->graph->nodes[i].n_bodies; k++) {
            struct fp_plan *found = fp_plan_find(plan->cells[i].bodies[k], graph);
            if (found) return found;
        }
    return NULL;
}
