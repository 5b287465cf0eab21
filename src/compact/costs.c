// SPDX-License-Identifier: Apache-2.0
// A weight costs what its rows times its columns do, and both may be channels of groups.
#include "compact/costs.h"

#include <stdlib.h>

#include "exec/op_list.h"

struct counting {
    struct fp_costs *costs;
    const struct fp_slices *slices;
    const struct fp_channel_groups *groups;
    struct fp_arena room;
    size_t *lanes; // by group
    fineprune_error *err;
};

static int begin(struct counting *c, struct fp_costs *out, const struct fp_slices *slices,
                 const struct fp_channel_groups *groups, fineprune_error *err) {
    *out = (struct fp_costs){.left = fp_calloc((size_t)groups->n, sizeof(*out->left))};
    *c = (struct counting){.costs = out, .slices = slices, .groups = groups, .room = {.what = "costs"}, .err = err};
    c->lanes = fp_arena_take(&c->room, (size_t)groups->n, sizeof(*c->lanes));
    if (!out->left) return fp_fail_memory(err, "costs", (size_t)groups->n * sizeof(*out->left));
    return fp_arena_check(&c->room, err);
}

static int add_share(struct counting *c, int group, double share) {
    struct fp_costs *costs = c->costs;
    struct fp_share *shares = fp_grow(costs->shares, &costs->share_capacity, costs->n_shares + 1, sizeof(*shares));
    if (!shares) return fp_fail_memory(c->err, "costs", (costs->n_shares + 1) * sizeof(*shares));
    costs->shares = shares;
    shares[costs->n_shares++] = (struct fp_share){group, share};
    return FINEPRUNE_OK;
}

// What of the axis leaves with which group. Those that stay anyway have no share.
static int add_axis(struct counting *c, struct fp_cost *cost, int which, const struct fp_lanes *lanes) {
    int status = FINEPRUNE_OK;
    cost->first[which] = c->costs->n_shares;
    memset(c->lanes, 0, (size_t)c->groups->n * sizeof(*c->lanes));
    for (size_t i = 0; i < lanes->n; i++) {
        const int group = fp_channel_at(c->groups, lanes, i).group;
        if (group >= 0 && !c->slices->reasons[group]) c->lanes[group]++;
    }
    for (int g = 0; g < c->groups->n && !status; g++)
        if (c->lanes[g]) status = add_share(c, g, (double)c->lanes[g] / (double)lanes->n);
    cost->n[which] = c->costs->n_shares - cost->first[which];
    return status;
}

static int add_cost(struct counting *c, const struct fp_cost *cost) {
    struct fp_costs *costs = c->costs;
    if (!cost->n[0] && !cost->n[1]) {
        costs->fixed += cost->amount;
        return FINEPRUNE_OK;
    }
    struct fp_cost *items = fp_grow(costs->items, &costs->capacity, costs->n + 1, sizeof(*items));
    if (!items) return fp_fail_memory(c->err, "costs", (costs->n + 1) * sizeof(*items));
    costs->items = items;
    items[costs->n++] = *cost;
    return FINEPRUNE_OK;
}

// Of a tensor and the axes along which it is cut, two at most.
static int add(struct counting *c, int value, double amount) {
    struct fp_cost cost = {.amount = amount};
    int axes = 0, status = FINEPRUNE_OK;
    for (size_t i = 0; value >= 0 && i < c->slices->n && axes < 2 && !status; i++) {
        const struct fp_slice *slice = &c->slices->items[i];
        if (slice->value != value || (slice->own && axes)) continue;
        status = add_axis(c, &cost, axes++, &slice->lanes);
    }
    return status ? status : add_cost(c, &cost);
}

// Of two computed values: heads that leave are multiplied no more.
static int add_product(struct counting *c, const struct fp_node *node, double amount) {
    struct fp_cost cost = {.amount = amount};
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_in && i < 2; i++) {
        if (node->in[i] < 0 || !c->groups->places[node->in[i]].lanes.n) continue;
        const struct fp_channel_place p = fp_place_that_shrinks(&c->room, &c->groups->places[node->in[i]]);
        status = fp_arena_check(&c->room, c->err);
        if (!status) status = add_axis(c, &cost, 0, &p.lanes);
        break;
    }
    return status ? status : add_cost(c, &cost);
}

// The weight that a node of the main graph multiplies with; -1: it is none that can be cut.
static int weight_of(const struct fp_slices *slices, const struct fp_graph *graph, const struct fp_node *node,
                     int slot) {
    if (node->graph != graph || node->n_in <= slot) return -1;
    for (size_t i = 0; i < slices->n; i++)
        if (slices->items[i].value == node->in[slot]) return node->in[slot];
    return -1;
}

int fp_costs_of_macs(struct fp_costs *out, const struct fp_slices *slices, const struct fp_channel_groups *groups,
                     const struct fp_macs *macs, const struct fp_graph *graph, fineprune_error *err) {
    struct counting c;
    double counted = 0;
    int status = begin(&c, out, slices, groups, err);
    for (size_t i = 0; i < macs->n && !status; i++) {
        const struct fp_node *node = macs->items[i].node;
        const struct fp_op *op = fp_node_op(node);
        const bool recurrent = op && fp_view_is_recurrent(op->weight.view);
        counted += (double)fp_macs_of_node(macs, node);
        for (int slot = 1; slot < 3 && recurrent && !status; slot++)
            status = add(&c, weight_of(slices, graph, node, slot), (double)macs->items[i].of[slot]);
        if (recurrent) continue;
        const int weight = weight_of(slices, graph, node, 1);
        const bool product = node->graph == graph && op && op->passage == FP_PASSAGE_MULTIPLIES && weight < 0;
        if (product) status = add_product(&c, node, (double)fp_macs_of_node(macs, node));
        else status = add(&c, weight, (double)fp_macs_of_node(macs, node));
    }
    out->fixed += (double)macs->total - counted; // what is counted with a node but by none of its weights
    fp_arena_free(&c.room);
    return status;
}

static bool is_first(const struct fp_slices *slices, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (slices->items[i].value == slices->items[at].value) return false;
    return true;
}

int fp_costs_of_bytes(struct fp_costs *out, const struct fp_slices *slices, const struct fp_channel_groups *groups,
                      size_t bytes, fineprune_error *err) {
    struct counting c;
    int status = begin(&c, out, slices, groups, err);
    out->fixed = (double)bytes;
    for (size_t i = 0; i < slices->n && !status; i++) {
        if (!is_first(slices, i)) continue;
        out->fixed -= (double)slices->items[i].bytes;
        status = add(&c, slices->items[i].value, (double)slices->items[i].bytes);
    }
    fp_arena_free(&c.room);
    return status;
}

// Of an axis.
static double stays(const struct fp_costs *costs, const struct fp_cost *cost, int axis) {
    double gone = 0;
    for (size_t i = 0; i < cost->n[axis]; i++) {
        const struct fp_share *s = &costs->shares[cost->first[axis] + i];
        gone += s->share * (1 - costs->left[s->group]);
    }
    return 1 - gone;
}

double fp_costs_total(struct fp_costs *costs, const struct fp_channel_groups *groups, const size_t *gone) {
    double sum = costs->fixed;
    for (int g = 0; g < groups->n; g++) {
        const size_t channels = groups->items[g].channels;
        costs->left[g] = (double)(channels - gone[g]) / (double)channels;
    }
    for (size_t i = 0; i < costs->n; i++)
        sum += costs->items[i].amount * stays(costs, &costs->items[i], 0) * stays(costs, &costs->items[i], 1);
    return sum;
}

void fp_costs_free(struct fp_costs *costs) {
    free(costs->items);
    free(costs->shares);
    free(costs->left);
    *costs = (struct fp_costs){0};
}
