// SPDX-License-Identifier: Apache-2.0
// Channels are of one group when the same weights make and read them, each as many times: what all weights tell apart,
// one after the other (refinement of a partition). So do pieces of a parted value, of each of which some must stay.
#include "weights/channel_groups.h"

#include <stdlib.h>

#include "onnx/graph.h"

struct met {
    int part, times, channel;
};

struct grouping {
    struct fp_channel_groups *out;
    const struct fp_channel *channels;
    int n, n_parts;
    const struct fp_weights *weights;
    int *part;     // by first channel
    int *times;    // the same: that it was met
    bool *is_read; // the same
    struct met *met;
    int *group_of, *count; // by part; by group
};

int fp_channel_first(const struct fp_channel *channels, int channel) {
    while (channels[channel].parent != channel) channel = channels[channel].parent;
    return channel;
}

// ---- parts

static int by_part(const void *a, const void *b) {
    const struct met *x = a, *y = b;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    if (x->times != y->times) return x->times < y->times ? -1 : 1;
    return (x->channel > y->channel) - (x->channel < y->channel);
}

// The first channels among the lanes, each once. Returns how many.
static size_t meet(struct grouping *g, const struct fp_lanes *lanes) {
    size_t n = 0;
    for (size_t i = 0; i < lanes->n; i++) {
        if (lanes->of[i] < 0) continue;
        const int first = fp_channel_first(g->channels, lanes->of[i]);
        if (!g->times[first]++) g->met[n++].channel = first;
    }
    for (size_t i = 0; i < n; i++) {
        const int first = g->met[i].channel;
        g->met[i] = (struct met){g->part[first], g->times[first], first};
        g->times[first] = 0;
    }
    return n;
}

// Those that the lanes have differ from those that they have not, or less often.
static void refine(struct grouping *g, const struct fp_lanes *lanes, bool reads) {
    const size_t n = meet(g, lanes);
    qsort(g->met, n, sizeof(*g->met), by_part);
    for (size_t i = 0; i < n; i++) {
        const bool same = i && g->met[i].part == g->met[i - 1].part && g->met[i].times == g->met[i - 1].times;
        if (!same) g->n_parts++;
        g->part[g->met[i].channel] = g->n_parts - 1;
        g->is_read[g->met[i].channel] |= reads;
    }
}

enum { FLAGS = 8 };
static int flags_of(const struct fp_channel *c) { return c->trunk | c->spread << 1 | c->parted << 2; }

static void find_parts(struct grouping *g) {
    g->n_parts = FLAGS;
    for (int i = 0; i < g->n; i++) g->part[i] = flags_of(&g->channels[i]);
    for (int i = 0; i < g->weights->n; i++) {
        refine(g, &g->out->rows[i], false);
        refine(g, &g->out->columns[i], true);
    }
    for (int i = 0; i < g->weights->model->graph->n_values; i++)
        if (g->out->places[i].cut) refine(g, &g->out->places[i].lanes, false);
}

// ---- groups

static size_t common(size_t a, size_t b) {
    while (b) {
        const size_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

size_t fp_channel_multiple(const struct fp_channel_group *group, size_t wanted) {
    return wanted / common(wanted, group->fold);
}

// Units of recurrent layers are rows of every gate.
static size_t fold_of(const struct fp_weight *w, const struct fp_channel_side *side) {
    return fp_view_is_recurrent(w->view) ? 1 : side->lanes;
}

static bool can_go(const struct grouping *g, int channel) {
    return g->channels[channel].parent == channel && !g->channels[channel].blocked && g->is_read[channel];
}

static void number_channels(struct grouping *g) {
    for (int i = 0; i < g->n; i++)
        if (can_go(g, i)) g->count[g->part[i]]++;
    for (int i = 0; i < g->n_parts; i++) g->group_of[i] = -1;
    for (int i = 0; i < g->n; i++) {
        const int part = g->part[i];
        g->out->members[i].group = -1;
        if (!can_go(g, i) || g->count[part] < 2) continue;
        if (g->group_of[part] < 0) g->group_of[part] = g->out->n++;
        struct fp_channel_group *group = &g->out->items[g->group_of[part]];
        group->trunk = g->channels[i].trunk;
        group->spread = g->channels[i].spread;
        group->parted = g->channels[i].parted;
        g->out->members[i] = (struct fp_channel_member){g->group_of[part], (uint32_t)group->channels++};
    }
    for (int i = 0; i < g->n; i++) g->out->members[i] = g->out->members[fp_channel_first(g->channels, i)];
}

static bool add_side(struct fp_channel_side **sides, int *n, const struct fp_channel_side *side) {
    struct fp_channel_side *items = realloc(*sides, sizeof(*items) * (size_t)(*n + 1));
    if (!items) return false;
    *sides = items;
    items[(*n)++] = *side;
    return true;
}

static bool add_sides(struct grouping *g, int weight, const struct fp_lanes *lanes, size_t length, bool reads) {
    bool ok = true;
    memset(g->count, 0, (size_t)g->out->n * sizeof(*g->count));
    for (size_t i = 0; i < lanes->n; i++) {
        const int group = fp_channel_at(g->out, lanes, i).group;
        if (group >= 0) g->count[group]++;
    }
    for (size_t i = 0; i < lanes->n && ok; i++) {
        const int number = fp_channel_at(g->out, lanes, i).group;
        if (number < 0 || !g->count[number]) continue;
        struct fp_channel_group *group = &g->out->items[number];
        const struct fp_channel_side side = {weight, length / lanes->n, (size_t)g->count[number] / group->channels};
        group->fold = common(group->fold, fold_of(&g->weights->items[weight], &side));
        if (reads) ok = add_side(&group->readers, &group->n_readers, &side);
        else ok = add_side(&group->makers, &group->n_makers, &side);
        g->count[number] = 0;
    }
    return ok;
}

static void note_held(struct grouping *g, int weight) {
    const struct fp_lanes *lanes = &g->out->rows[weight];
    struct fp_channel_held held = {.maker = weight};
    for (size_t i = 0; i < lanes->n; i++) {
        if (fp_channel_at(g->out, lanes, i).group >= 0) continue;
        if (!held.channels++) held.node = g->channels[fp_channel_first(g->channels, lanes->of[i])].by;
    }
    if (held.channels) g->out->held[g->out->n_held++] = held;
}

static size_t longest(const struct grouping *g) {
    size_t n = 0;
    for (int i = 0; i < g->weights->n; i++) n = fp_most(n, fp_most(g->out->rows[i].n, g->out->columns[i].n));
    for (int i = 0; i < g->weights->model->graph->n_values; i++) n = fp_most(n, g->out->places[i].lanes.n);
    return n;
}

// Each lane of what tells apart may make a part.
static size_t most_parts(const struct grouping *g) {
    size_t n = FLAGS;
    for (int i = 0; i < g->weights->n; i++) n += g->out->rows[i].n + g->out->columns[i].n;
    for (int i = 0; i < g->weights->model->graph->n_values; i++)
        if (g->out->places[i].cut) n += g->out->places[i].lanes.n;
    return n;
}

static int take_room(struct grouping *g, struct fp_arena *room, fineprune_error *err) {
    const size_t n = (size_t)g->n, parts = most_parts(g);
    g->part = fp_arena_take(room, n, sizeof(int));
    g->times = fp_arena_take(room, n, sizeof(int));
    g->is_read = fp_arena_take(room, n, sizeof(bool));
    g->met = fp_arena_take(room, longest(g), sizeof(*g->met));
    g->group_of = fp_arena_take(room, parts, sizeof(int));
    g->count = fp_arena_take(room, parts, sizeof(int));
    g->out->items = fp_arena_take(&g->out->arena, n, sizeof(*g->out->items));
    g->out->members = fp_arena_take(&g->out->arena, n, sizeof(*g->out->members));
    g->out->held = fp_arena_take(&g->out->arena, (size_t)g->weights->n, sizeof(*g->out->held));
    int status = fp_arena_check(room, err);
    if (status) return status;
    return fp_arena_check(&g->out->arena, err);
}

int fp_channel_groups_collect(struct fp_channel_groups *out, const struct fp_channel *channels, int n,
                              const struct fp_weights *weights, fineprune_error *err) {
    FP_STAGE(room, "channels");
    struct grouping g = {.out = out, .channels = channels, .n = n, .weights = weights};
    int status = take_room(&g, &room, err);
    if (status) return status;
    find_parts(&g);
    number_channels(&g);
    bool ok = true;
    for (int i = 0; i < weights->n && ok; i++) {
        ok = add_sides(&g, i, &out->rows[i], weights->items[i].rows, false) &&
             add_sides(&g, i, &out->columns[i], weights->items[i].cols, true);
        note_held(&g, i);
    }
    if (!ok) return fp_fail_memory(err, "channels", sizeof(struct fp_channel_side));
    return FINEPRUNE_OK;
}
