// SPDX-License-Identifier: Apache-2.0
// A run that is only counted: what multiplies is left out, all else is computed as ever, so that shapes that are
// computed are right.
#include "weights/multiply_adds.h"

#include <limits.h>
#include <stdlib.h>

#include "exec/op_list.h"
#include "kernel/products.h"

struct counting {
    struct fp_macs *macs;
    struct fp_exec *exec;
    bool failed;
};

static size_t plus(size_t a, size_t b) {
    size_t sum;
    if (!fp_add(a, b, &sum)) return SIZE_MAX;
    return sum;
}

static struct fp_node_macs *item_of(const struct fp_macs *macs, const struct fp_node *node) {
    const int item = fp_name_find(&macs->of_node, node);
    return item < 0 ? NULL : &macs->items[item];
}

static struct fp_node_macs *new_item(struct fp_macs *macs, const struct fp_node *node) {
    struct fp_node_macs *items = fp_grow(macs->items, &macs->capacity, macs->n + 1, sizeof(*items));
    if (!items) return NULL;
    macs->items = items;
    if (macs->n >= INT_MAX || !fp_name_add(&macs->of_node, node, (int)macs->n)) return NULL;
    items[macs->n] = (struct fp_node_macs){.node = node};
    return &items[macs->n++];
}

static bool is_constant(const struct fp_exec *exec, const struct fp_node *node, int input) {
    return input < node->n_in && node->in[input] >= 0 && fp_exec_is_constant(exec, node->graph, node->in[input]);
}

static void count(void *user, const struct fp_call *call) {
    struct counting *c = user;
    struct fp_node_macs *item = item_of(c->macs, call->node);
    const size_t all = fp_call_products(call, -1);
    if (!item) item = new_item(c->macs, call->node);
    c->failed |= !item;
    if (!item) return;
    item->of[0] = plus(item->of[0], fp_call_products(call, 0));
    for (int slot = 1; slot < 3; slot++)
        if (slot < call->n_in && call->in[slot]) item->of[slot] = plus(item->of[slot], fp_call_products(call, slot));
    c->macs->total = plus(c->macs->total, all);
    if (!is_constant(c->exec, call->node, 0) && !is_constant(c->exec, call->node, 1))
        c->macs->computed = plus(c->macs->computed, all);
    else if (all > fp_call_products(call, 1) && !fp_view_is_recurrent(call->op->weight.view))
        c->macs->computed = plus(c->macs->computed, all - fp_call_products(call, 1)); // a weight and attention in one
}

static int has_body(struct fp_node *node, void *user) {
    (void)user;
    return node->n_bodies && !node->function;
}

// The inputs stay with the model, for a count of what becomes of it.
static int take_sample(struct fineprune_model *model, struct fineprune_data *data, size_t sample,
                       fineprune_error *err) {
    const int n = model->graph->n_inputs;
    fp_model_drop_sample(model);
    FP_STAGE(room, "a sample");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)n, sizeof(*inputs));
    model->sample = fp_calloc((size_t)n, sizeof(*inputs));
    if (!inputs || !model->sample) return fp_fail_memory(err, "a sample", (size_t)n * sizeof(*inputs));
    model->n_sample = n;
    int status = fp_data_batch(data, &sample, 1, inputs, err);
    for (int i = 0; i < n && !status; i++) status = fp_tensor_copy(&model->sample[i], NULL, &inputs[i], err);
    for (int i = 0; i < n; i++) fp_tensor_done(&inputs[i]);
    if (status) fp_model_drop_sample(model);
    return status;
}

static int make_sample(struct fineprune_model *model, fineprune_error *err) {
    struct fineprune_data *made = NULL;
    int status = fineprune_data_open(&made, model, NULL, err);
    if (!status) status = fineprune_data_add(made, "random", err);
    if (!status) status = take_sample(model, made, 0, err);
    fineprune_data_free(made);
    return status;
}

static int run_once(struct counting *c, const struct fineprune_model *model, bool leaves_out, fineprune_error *err) {
    const struct fp_observer observer = {.count = count, .count_only = leaves_out, .user = c};
    FP_STAGE(room, "a sample");
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)model->graph->n_outputs, sizeof(*outputs));
    if (!outputs) return fp_arena_check(&room, err);
    int status = fp_exec_run(c->exec, model->sample, outputs, &observer, err);
    for (int i = 0; i < model->graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    if (!status && c->failed) status = fp_fail_memory(err, "multiply-adds", sizeof(struct fp_node_macs));
    return status;
}

int fp_macs_count(struct fp_macs *out, struct fineprune_model *model, struct fineprune_data *data, size_t sample,
                  const fineprune_run_options *run, fineprune_error *err) {
    struct counting c = {.macs = out};
    const bool bodies = fp_graph_visit(model->graph, has_body, NULL);
    *out = (struct fp_macs){.of_node.addresses = true};
    int status = FINEPRUNE_OK;
    if (data) status = take_sample(model, data, sample, err);
    else if (!model->sample && bodies)
        return fp_fail(err, FINEPRUNE_MODEL, "how often its bodies are run depends on the data");
    else if (!model->sample) status = make_sample(model, err);
    if (!status) status = fp_exec_new(&c.exec, model, run, err);
    if (!status) status = run_once(&c, model, !bodies, err);
    fp_exec_free(c.exec);
    return status;
}

void fp_macs_free(struct fp_macs *macs) {
    free(macs->items);
    fp_name_map_done(&macs->of_node);
    *macs = (struct fp_macs){0};
}

size_t fp_macs_of_node(const struct fp_macs *macs, const struct fp_node *node) {
    const struct fp_node_macs *item = item_of(macs, node);
    if (!item) return 0;
    const struct fp_op *op = fp_node_op(node);
    if (op && fp_view_is_recurrent(op->weight.view)) return plus(item->of[1], item->of[2]);
    return item->of[0];
}

size_t fp_macs_of_weight(const struct fp_macs *macs, const struct fp_weight *w) {
    size_t sum = 0;
    for (int i = 0; i < w->n_uses; i++) {
        const struct fp_node_macs *item = item_of(macs, w->uses[i].node);
        const int slot = fp_view_is_recurrent(w->view) ? w->uses[i].slot : 0;
        if (item) sum = plus(sum, item->of[slot]);
    }
    return sum;
}
