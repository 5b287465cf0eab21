// SPDX-License-Identifier: Apache-2.0
// Tails in a plan: which nodes are done inside the call of another.
#include "exec/tail.h"

#include <stdlib.h>

void fp_cell_tail_free(struct fp_cell_tail *tail) {
    for (int i = 0; tail && i < FP_TAIL_EXTRA; i++) free(tail->seen[i].copy);
    free(tail);
}

void fp_cell_drop_tail(struct fp_plan *plan, struct fp_cell *cell) {
    if (!cell->tail) return;
    for (int i = 0; i < cell->tail->fusion.n_nodes; i++) plan->cells[cell->tail->fusion.nodes[i]->id].inside = NULL;
    fp_cell_tail_free(cell->tail);
    cell->tail = NULL;
    cell->prepared = false;
}

static int take_tail(struct fp_plan *plan, struct fp_cell *cell, const struct fp_fusion *fusion, fineprune_error *err) {
    cell->tail = calloc(1, sizeof(*cell->tail));
    if (!cell->tail) return fp_fail_memory(err, "the plan", sizeof(*cell->tail));
    cell->tail->fusion = *fusion;
    for (int k = 0; k < fusion->n_nodes; k++) plan->cells[fusion->nodes[k]->id].inside = cell;
    return FINEPRUNE_OK;
}

int fp_plan_find_tails(struct fp_plan *plan, const struct fp_fuse_view *view, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    plan->fused = true;
    for (int i = 0; i < plan->graph->n_nodes && !status; i++) {
        struct fp_cell *cell = &plan->cells[i];
        struct fp_fusion fusion;
        if (!cell->op || !(cell->op->flags & (FP_OP_FUSES | FP_OP_FUSES_FUNCTIONS))) continue;
        if (cell->inside || cell->folds) continue;
        if (fp_fuse_find(view, cell->node, cell->op->flags & FP_OP_FUSES_FUNCTIONS, &fusion))
            status = take_tail(plan, cell, &fusion, err);
    }
    return status;
}
