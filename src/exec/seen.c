// SPDX-License-Identifier: Apache-2.0
// What a cell was prepared for: types and shapes, and elements where prepare has read them.
#include "exec/seen.h"

#include <stdlib.h>

static bool same_shape(const struct fp_seen *s, const struct fp_tensor *t) {
    if (s->given != (t != NULL)) return false;
    if (!t) return true;
    if (s->type != t->type || s->rank != t->rank || s->layout != t->layout) return false;
    return memcmp(s->dims, t->dims, (size_t)t->rank * sizeof(t->dims[0])) == 0;
}

static bool same_input(const struct fp_cell *cell, int i, const struct fp_tensor *t) {
    const struct fp_seen *s = &cell->seen[i];
    if (!same_shape(s, t)) return false;
    bool read = t && i < 64 && (cell->values_read >> i & 1) && !(cell->constant >> i & 1);
    return !read || (s->copy && s->copy_size == fp_tensor_bytes(t) && !memcmp(s->copy, t->data, s->copy_size));
}

bool fp_needs_prepare(const struct fp_cell *cell, const struct fp_arguments *a) {
    if (!cell->prepared || cell->op->flags & FP_OP_DYNAMIC) return true;
    for (int i = 0; i < cell->node->n_in; i++)
        if (!same_input(cell, i, a->in[i])) return true;
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra; i++)
        if (!same_shape(&cell->tail->seen[i], a->extra[i])) return true;
    return false;
}

static void see_shape(struct fp_seen *s, const struct fp_tensor *t) {
    free(s->copy);
    *s = (struct fp_seen){.given = t != NULL};
    if (!t) return;
    s->type = t->type;
    s->rank = t->rank;
    s->layout = t->layout;
    memcpy(s->dims, t->dims, sizeof(s->dims));
}

static bool see_input(struct fp_cell *cell, int i, const struct fp_tensor *t) {
    struct fp_seen *s = &cell->seen[i];
    see_shape(s, t);
    if (!t) return true;
    if (i >= 64 || !(cell->values_read >> i & 1) || cell->constant >> i & 1) return true;
    s->copy_size = fp_tensor_bytes(t);
    s->copy = malloc(s->copy_size + 1);
    if (s->copy && s->copy_size) memcpy(s->copy, t->data, s->copy_size);
    return s->copy != NULL;
}

bool fp_see_arguments(struct fp_cell *cell, const struct fp_arguments *a) {
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra; i++) see_shape(&cell->tail->seen[i], a->extra[i]);
    for (int i = 0; i < cell->node->n_in; i++)
        if (!see_input(cell, i, a->in[i])) return false;
    return true;
}
