// SPDX-License-Identifier: Apache-2.0
// What a model needs that is not there: every operator without a row, with the nodes that use it, and an opset that is
// too new.
#include <stdlib.h>

#include "exec/exec.h"
#include "exec/op_list.h"

#define NEWEST_OPSET 26 // of the default domain

struct missing {
    const char *type, *domain;
    int opset, count;
    char *nodes;
};

struct missing_list {
    struct missing *items;
    size_t n, capacity;
    bool failed;
};

static int note_missing(struct fp_node *node, void *user) {
    struct missing_list *list = user;
    if (node->function || fp_node_op(node)) return 0;
    struct missing *item = NULL;
    for (size_t i = 0; i < list->n && !item; i++)
        if (!strcmp(list->items[i].type, node->type) && !strcmp(list->items[i].domain, node->domain))
            item = &list->items[i];
    if (!item) {
        struct missing *items = fp_grow(list->items, &list->capacity, list->n + 1, sizeof(*items));
        if (!items) return list->failed = true;
        list->items = items;
        item = &items[list->n++];
        *item = (struct missing){.type = node->type, .domain = node->domain, .opset = node->opset};
    }
    if (item->count++ >= 3) return 0; // three names are enough to find them
    const char *name = "?";
    if (node->name[0]) name = node->name;
    else if (node->n_out && node->out[0] >= 0) name = node->graph->values[node->out[0]].name;
    char *nodes = fp_format("%s%s'%.100s'", fp_or_empty(item->nodes), item->nodes ? ", " : "", name);
    if (!nodes) return list->failed = true;
    free(item->nodes);
    item->nodes = nodes;
    return 0;
}

char *fp_exec_unsupported(struct fineprune_model *model) {
    struct missing_list list = {0};
    fp_graph_visit(model->graph, note_missing, &list);
    int opset = fp_model_opset(model, "");
    char *text = NULL;
    if (opset > NEWEST_OPSET) text = fp_format("operator set %d (up to %d is known)", opset, NEWEST_OPSET);
    for (size_t i = 0; i < list.n; i++) {
        struct missing *m = &list.items[i];
        char *more = list.failed ? NULL
                                 : fp_format("%s%s%s%s%s (opset %d, %d node%s: %s%s)", fp_or_empty(text),
                                             text ? "; " : "", m->domain, m->domain[0] ? "." : "", m->type, m->opset,
                                             m->count, m->count == 1 ? "" : "s", m->nodes, m->count > 3 ? ", ..." : "");
        free(text);
        free(m->nodes);
        text = more;
    }
    free(list.items);
    return text;
}
