// SPDX-License-Identifier: Apache-2.0
// The executor as others see it: made, run, asked for constants.
#include "exec/exec.h"

#include <stdlib.h>

#include "base/threads.h"
#include "exec/call.h"
#include "exec/frame.h"
#include "exec/op_list.h"
#include "exec/plan.h"
#include "exec/value.h"
#include "kernel/dnnl_memory.h"

struct fp_memory *fp_exec_memory(struct fp_exec *exec) { return exec->memory; }

double fp_exec_preparing(const struct fp_exec *exec) { return exec->context.preparing; }

int fp_exec_told(const struct fp_exec *exec, int status, fineprune_error *err) {
    const bool of_node = err && fp_is_limit(err->status) && !strncmp(err->message, "node ", 5);
    if (err && (err->status == FINEPRUNE_MODEL || of_node)) fp_error_in(err, exec->model->path);
    return status;
}

int fp_exec_plan(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                 fineprune_error *err) {
    struct fp_exec *exec = calloc(1, sizeof(*exec));
    if (!exec) return fp_fail_memory(err, "the executor", sizeof(*exec));
    exec->model = model;
    exec->memory = &model->memory;
    exec->context.run_body = fp_frame_run_body;
    exec->context.options = options;
    exec->threads = fp_threads_wanted(options);
    int status = fp_exec_told(exec, fp_plan_new(&exec->plan, model->graph, NULL, NULL, err), err);
    if (status) fp_exec_free(exec);
    else *out = exec;
    return status;
}

int fp_exec_new(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                fineprune_error *err) {
    char *unsupported = fp_exec_unsupported(model);
    if (!unsupported) return fp_exec_plan(out, model, options, err);
    int status = fp_fail(err, FINEPRUNE_MODEL, "'%s' uses operators that are not supported: %s", model->path,
                         unsupported);
    fp_hint(err, "'fineprune --list' names the operators that are");
    free(unsupported);
    return status;
}

void fp_exec_free(struct fp_exec *exec) {
    if (!exec) return;
    fp_plan_free(exec->plan);
    fp_dnnl_done(exec->context.dnnl);
    free(exec);
}

int fp_exec_run(struct fp_exec *exec, const struct fp_tensor *inputs, struct fp_tensor *outputs,
                const struct fp_observer *observer, fineprune_error *err) {
    fp_exec_tell(exec, err);
    exec->observer = observer;
    int n = exec->plan->graph->n_outputs;
    memset(outputs, 0, (size_t)n * sizeof(*outputs));
    int status = fp_frame_run(exec, exec->plan, NULL, inputs, exec->plan->graph->n_inputs, outputs);
    for (int i = 0; i < n && status; i++) fp_tensor_done(&outputs[i]);
    return fp_exec_told(exec, status, err);
}

void fp_exec_forget(struct fp_exec *exec, const struct fp_node *node) {
    fp_cell_forget(&exec->plan->cells[node->id]);
    for (int i = 0; i < exec->plan->graph->n_values; i++) fp_tensor_done(&exec->plan->constants[i]);
}

bool fp_exec_is_constant(const struct fp_exec *exec, const struct fp_graph *graph, int value) {
    const struct fp_plan *plan = fp_plan_find(exec->plan, graph);
    return plan && plan->is_constant[value];
}

int fp_exec_constant(struct fp_exec *exec, const struct fp_graph *graph, int value, struct fp_tensor *out,
                     fineprune_error *err) {
    struct fp_plan *plan = fp_plan_find(exec->plan, graph);
    if (!plan || !plan->is_constant[value])
        return fp_fail(err, FINEPRUNE_MODEL, "value '%s' is not constant", graph->values[value].name);
    fp_exec_tell(exec, err);
    struct fp_tensor *t;
    int status = fp_value_constant(exec, plan, value, &t);
    if (!status) fp_tensor_share(out, t);
    if (fp_is_limit(status) && !err && !exec->unheard.status) exec->unheard = exec->unasked;
    return fp_exec_told(exec, status, err);
}

int fp_exec_unheard(struct fp_exec *exec, fineprune_error *err) {
    if (!exec->unheard.status) return FINEPRUNE_OK;
    const fineprune_error told = exec->unheard;
    exec->unheard = (fineprune_error){0};
    return fp_exec_told(exec, fp_fail(err, told.status, "%s", told.message), err);
}

static bool single_cell(struct fp_cell *cell, const struct fp_node *node) {
    *cell = (struct fp_cell){.node = node, .op = fp_node_op(node)};
    cell->seen = fp_calloc((size_t)node->n_in, sizeof(*cell->seen));
    cell->shapes = fp_calloc((size_t)node->n_out, sizeof(*cell->shapes));
    cell->alias = fp_calloc((size_t)node->n_out, sizeof(*cell->alias));
    cell->converted = fp_calloc((size_t)node->n_in, sizeof(*cell->converted));
    return cell->op && cell->seen && cell->shapes && cell->alias && cell->converted;
}

int fp_exec_single(struct fp_exec *exec, const struct fp_node *node, struct fp_tensor *const *inputs,
                   struct fp_tensor *outputs, fineprune_error *err) {
    fp_exec_tell(exec, err);
    exec->observer = NULL;
    struct fp_frame frame = {.exec = exec, .plan = fp_plan_find(exec->plan, node->graph)};
    struct fp_cell cell;
    struct fp_arguments a;
    int status = FINEPRUNE_OK;
    if (!single_cell(&cell, node) || !frame.plan || !fp_arguments_init(&a, node->n_in))
        status = fp_fail_memory(err, "a single call", sizeof(cell));
    if (!status) {
        for (int i = 0; i < node->n_in; i++) a.in[i] = inputs[i];
        memset(outputs, 0, (size_t)node->n_out * sizeof(*outputs));
        status = fp_cell_call(exec, &frame, &cell, &a, outputs);
        fp_arguments_done(&a);
        for (int i = 0; i < node->n_out && status; i++) fp_tensor_done(&outputs[i]);
    }
    fp_cell_done(&cell);
    return fp_exec_told(exec, status, err);
}
