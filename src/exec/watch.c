// SPDX-License-Identifier: Apache-2.0
// What observers see: the inputs of weights, and named values.
#include "exec/watch.h"

#include <stdlib.h>

#include "exec/plan.h"
#include "exec/tail.h"
#include "kernel/channels_last.h"

int fp_watch_inputs(struct fp_exec *exec, struct fp_cell *cell, struct fp_call *call) {
    for (const struct fp_watch *w = cell->watches; w; w = w->next) {
        struct fp_tensor x = {0}, plain = {0};
        int status = FINEPRUNE_OK;
        if (cell->op->weight_input) status = cell->op->weight_input(call, w->slot, &x);
        else fp_tensor_share(&x, call->in[w->slot == 0 ? 1 : 0]);
        if (!status && x.layout && !exec->observer->takes_last) {
            status = fp_tensor_plain(exec->threads, exec->memory, &plain, &x, exec->err);
            fp_tensor_done(&x);
            x = plain;
        }
        if (!status) status = exec->observer->see(exec->observer->user, w->tag, &x, exec->err);
        fp_tensor_done(&x);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

int fp_watch_result(struct fp_exec *exec, const struct fp_plan *plan, int value, const struct fp_tensor *t) {
    if (!plan->watch_value || !plan->watch_value[value] || !exec->observer) return FINEPRUNE_OK;
    struct fp_tensor plain = {0};
    int status = FINEPRUNE_OK;
    if (t->layout) status = fp_tensor_plain(exec->threads, exec->memory, &plain, t, exec->err);
    if (!status)
        status = exec->observer->see(exec->observer->user, plan->watch_value[value] - 1, plain.type ? &plain : t,
                                     exec->err);
    fp_tensor_done(&plain);
    return status;
}

int fp_exec_watch(struct fp_exec *exec, const struct fp_node *node, int slot, int tag, fineprune_error *err) {
    struct fp_plan *plan = fp_plan_find(exec->plan, node->graph);
    struct fp_watch *watch = NULL;
    if (plan) watch = malloc(sizeof(*watch));
    if (!watch) return fp_fail_memory(err, "a watch", sizeof(*watch));
    struct fp_cell *cell = &plan->cells[node->id];
    *watch = (struct fp_watch){.next = cell->watches, .slot = slot, .tag = tag};
    cell->watches = watch;
    return FINEPRUNE_OK;
}

int fp_exec_watch_value(struct fp_exec *exec, int value, int tag, fineprune_error *err) {
    if (!exec->plan->watch_value) exec->plan->watch_value = fp_calloc((size_t)exec->plan->graph->n_values, sizeof(int));
    if (!exec->plan->watch_value) return fp_fail_memory(err, "a watch", sizeof(int));
    exec->plan->watch_value[value] = tag + 1;
    for (int i = 0; i < exec->plan->graph->n_nodes; i++) fp_cell_drop_tail(exec->plan, &exec->plan->cells[i]);
    exec->plan->fused = false;
    return FINEPRUNE_OK;
}
