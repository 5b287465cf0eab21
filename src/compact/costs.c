// SPDX-License-Identifier: Apache-2.0
// A weight costs what its rows times its columns do, and both may be a group's channels.
#include "compact/costs.h"

#include <stdlib.h>

static int add(struct fp_costs *costs, const struct fp_cost *cost, fineprune_error *err) {
    if (cost->a < 0) {
        costs->fixed += cost->amount;
        return FINEPRUNE_OK;
    }
    struct fp_cost *items = fp_grow(costs->items, &costs->capacity, costs->n + 1, sizeof(*items));
    if (!items) return fp_fail_memory(err, "costs", (costs->n + 1) * sizeof(*items));
    costs->items = items;
    items[costs->n++] = *cost;
    return FINEPRUNE_OK;
}

// The groups along which the tensor is cut, two at most.
static void find_groups(const struct fp_slices *slices, const Onnx__TensorProto *proto, struct fp_cost *cost) {
    cost->a = cost->b = -1;
    for (size_t i = 0; i < slices->n; i++) {
        const struct fp_slice *slice = &slices->items[i];
        if (slice->proto != proto || slice->numbers || slices->reasons[slice->group]) continue;
        if (cost->a < 0) cost->a = slice->group;
        else cost->b = slice->group;
    }
}

// The weight that a node multiplies with.
static const Onnx__TensorProto *weight_of(const struct fp_node *node) {
    if (node->n_in < 2 || node->in[1] < 0) return NULL;
    return fp_stored_tensor(&node->graph->values[node->in[1]]);
}

int fp_costs_of_macs(struct fp_costs *out, const struct fp_slices *slices, const struct fp_macs *macs,
                     const struct fp_graph *graph, fineprune_error *err) {
    double counted = 0;
    int status = FINEPRUNE_OK;
    *out = (struct fp_costs){0};
    for (size_t i = 0; i < macs->n && !status; i++) {
        const struct fp_node *node = macs->items[i].node;
        struct fp_cost cost = {.amount = (double)fp_macs_of_node(macs, node), .a = -1, .b = -1};
        const Onnx__TensorProto *proto = node->graph == graph ? weight_of(node) : NULL;
        if (proto) find_groups(slices, proto, &cost);
        counted += cost.amount;
        status = add(out, &cost, err);
    }
    out->fixed += (double)macs->total - counted; // what is counted with a node but by none of its weights
    return status;
}

static bool is_first(const struct fp_slices *slices, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (slices->items[i].proto == slices->items[at].proto) return false;
    return true;
}

int fp_costs_of_bytes(struct fp_costs *out, const struct fp_slices *slices, struct fineprune_model *model, size_t bytes,
                      fineprune_error *err) {
    int status = FINEPRUNE_OK;
    *out = (struct fp_costs){.fixed = (double)bytes};
    for (size_t i = 0; i < slices->n && !status; i++) {
        const struct fp_slice *slice = &slices->items[i];
        struct fp_tensor shape;
        if (slice->numbers || !is_first(slices, i)) continue;
        status = fp_initializer_shape(model, slice->proto, &shape, NULL, err);
        if (status) return status;
        struct fp_cost cost = {.amount = (double)(shape.count * fp_type_size(shape.type))};
        find_groups(slices, slice->proto, &cost);
        out->fixed -= cost.amount;
        status = add(out, &cost, err);
    }
    return status;
}

static double stays(const struct fp_channel_groups *groups, const size_t *gone, int group) {
    if (group < 0) return 1;
    const size_t channels = groups->items[group].channels;
    return (double)(channels - gone[group]) / (double)channels;
}

double fp_costs_total(const struct fp_costs *costs, const struct fp_channel_groups *groups, const size_t *gone) {
    double sum = costs->fixed;
    for (size_t i = 0; i < costs->n; i++)
        sum += costs->items[i].amount * stays(groups, gone, costs->items[i].a) * stays(groups, gone, costs->items[i].b);
    return sum;
}

void fp_costs_free(struct fp_costs *costs) {
    free(costs->items);
    *costs = (struct fp_costs){0};
}
