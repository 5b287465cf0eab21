// SPDX-License-Identifier: Apache-2.0
// Topological order (Kahn), counting what the bodies of a node read from outside. Linear in nodes and edges.
#include "onnx/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct edge {
    int from, to;
};

struct edges {
    struct edge *items;
    size_t n, capacity;
    bool sorted;
};

static bool add_reads(struct edges *edges, const Onnx__NodeProto *node, int to, const struct fp_name_map *producers) {
    for (size_t i = 0; i < node->n_input; i++) {
        int from = fp_name_find(producers, node->input[i]);
        if (from < 0) continue;
        struct edge *items = fp_grow(edges->items, &edges->capacity, edges->n + 1, sizeof(*items));
        if (!items) return false;
        edges->items = items;
        edges->items[edges->n++] = (struct edge){from, to};
        edges->sorted = edges->sorted && from < to;
    }
    // A name inside a body that is also made here can only mean the one made here, as names must not be shadowed.
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__GraphProto *body = node->attribute[i]->g;
        for (size_t k = 0; body && k < body->n_node; k++)
            if (!add_reads(edges, body->node[k], to, producers)) return false;
        for (size_t k = 0; body && k < body->n_output; k++) {
            const Onnx__NodeProto read = {.n_input = 1, .input = &body->output[k]->name};
            if (body->output[k]->name && !add_reads(edges, &read, to, producers)) return false;
        }
    }
    return true;
}

// Groups the edges by their start: targets of node i are to[start[i]] .. to[start[i + 1] - 1].
static void group(const struct edges *edges, size_t n, int *start, int *to, int *waiting) {
    for (size_t i = 0; i < edges->n; i++) {
        start[edges->items[i].from + 1]++;
        waiting[edges->items[i].to]++;
    }
    for (size_t i = 0; i < n; i++) start[i + 1] += start[i];
    for (size_t i = edges->n; i-- > 0;) to[--start[edges->items[i].from + 1]] = edges->items[i].to;
    // Each start[i + 1] now is where group i begins: shift back.
    for (size_t i = 0; i < n; i++) start[i] = start[i + 1];
    start[n] = (int)edges->n;
}

static size_t kahn(int *order, size_t n, const int *start, const int *to, int *waiting) {
    size_t done = 0, ready = 0;
    for (size_t i = 0; i < n; i++)
        if (!waiting[i]) order[ready++] = (int)i;
    for (; done < ready; done++) {
        int node = order[done];
        for (int e = start[node]; e < start[node + 1]; e++)
            if (--waiting[to[e]] == 0) order[ready++] = to[e];
    }
    return done;
}

static int sort_edges(int *order, Onnx__NodeProto *const *nodes, size_t n, const struct edges *edges,
                      fineprune_error *err) {
    FP_STAGE(room, "the order of nodes");
    int *start = fp_arena_take(&room, n + 2, sizeof(int)), *to = fp_arena_take(&room, edges->n, sizeof(int)),
        *waiting = fp_arena_take(&room, n, sizeof(int));
    int status = fp_arena_check(&room, err);
    if (status) return status;
    group(edges, n, start, to, waiting);
    if (kahn(order, n, start, to, waiting) == n) return FINEPRUNE_OK;
    size_t stuck = 0;
    while (!waiting[stuck]) stuck++;
    const char *type = "?";
    if (nodes[stuck]->op_type) type = nodes[stuck]->op_type;
    return fp_fail(err, FINEPRUNE_MODEL, "the graph has a cycle through node '%s' (%s)",
                   fp_or_empty(nodes[stuck]->name), type);
}

int fp_order_nodes(int *order, Onnx__NodeProto *const *nodes, size_t n, const struct fp_name_map *producers,
                   fineprune_error *err) {
    struct edges edges = {.sorted = true};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < n && !status; i++) {
        order[i] = (int)i;
        if (!add_reads(&edges, nodes[i], (int)i, producers))
            status = fp_fail_memory(err, "the order of nodes", n * sizeof(struct edge));
    }
    if (!status && !edges.sorted) status = sort_edges(order, nodes, n, &edges, err);
    free(edges.items);
    return status;
}
