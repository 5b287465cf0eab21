// SPDX-License-Identifier: Apache-2.0
#include "stats/axis_parts.h"

#include <stdlib.h>

void fp_axis_range(const struct fp_columns *c, int axis, int64_t k, int64_t *low, int64_t *high) {
    const int64_t shift = k * c->dilation[axis] - c->begin[axis], s = c->stride[axis];
    const bool transposed = c->w->kind == FP_WEIGHT_CONV_TRANSPOSE;
    int64_t to = c->in[axis], from = c->out[axis];
    if (transposed) to = c->out[axis], from = c->in[axis];
    *low = 0;
    *high = -1;
    if (shift < 0) *low = (-shift + s - 1) / s;
    if (to - 1 - shift >= 0) *high = (to - 1 - shift) / s;
    if (*high > from - 1) *high = from - 1;
}

// A place where a walk begins or ends: position at * step + rest.
struct bound {
    int64_t key;
    size_t rest, at, parts; // parts: how many are before it
};

static int compare_bounds(const void *a, const void *b) {
    const struct bound *x = a, *y = b;
    if (x->key != y->key) return (x->key > y->key) - (x->key < y->key);
    if (x->rest != y->rest) return (x->rest > y->rest) - (x->rest < y->rest);
    return (x->at > y->at) - (x->at < y->at);
}

static struct bound bound_of(const struct fp_walk *w, size_t step, size_t count) {
    return (struct bound){w->key, w->first % step, w->first / step + count, 0};
}

static size_t parts_before(const struct bound *bounds, size_t n, struct bound key) {
    const struct bound *found = bsearch(&key, bounds, n, sizeof(key), compare_bounds);
    if (!found) return 0;
    return found->parts;
}

static void cut(struct fp_axis *a, const struct fp_walk *walks, size_t n_walks, size_t step, struct bound *bounds) {
    size_t n = 0, unique = 0;
    for (size_t w = 0; w < n_walks; w++) {
        if (!walks[w].count) continue;
        bounds[n++] = bound_of(&walks[w], step, 0);
        bounds[n++] = bound_of(&walks[w], step, walks[w].count);
    }
    qsort(bounds, n, sizeof(*bounds), compare_bounds);
    for (size_t i = 0; i < n; i++) {
        const struct bound *last = unique ? &bounds[unique - 1] : NULL;
        if (last && !compare_bounds(last, &bounds[i])) continue;
        if (last && last->key == bounds[i].key && last->rest == bounds[i].rest)
            a->parts[a->n++] = (struct fp_part){last->key, last->at * step + last->rest, bounds[i].at - last->at};
        bounds[unique] = bounds[i];
        bounds[unique++].parts = a->n;
    }
    for (size_t w = 0; w < n_walks; w++)
        if (walks[w].count)
            a->met[w] = (struct fp_span){parts_before(bounds, unique, bound_of(&walks[w], step, 0)),
                                         parts_before(bounds, unique, bound_of(&walks[w], step, walks[w].count))};
}

bool fp_axis_cut(struct fp_axis *a, const struct fp_walk *walks, size_t n, size_t step) {
    FP_STAGE(room, "an axis");
    struct bound *bounds = fp_arena_take(&room, 2 * n, sizeof(*bounds));
    *a = (struct fp_axis){.arena = {.what = room.what}};
    a->parts = fp_arena_take(&a->arena, 2 * n, sizeof(*a->parts));
    a->met = fp_arena_take(&a->arena, n, sizeof(*a->met));
    if (room.failed || a->arena.failed) return false;
    cut(a, walks, n, step, bounds);
    return true;
}

void fp_axis_done(struct fp_axis *a) {
    fp_arena_free(&a->arena);
    *a = (struct fp_axis){0};
}
