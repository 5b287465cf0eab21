// SPDX-License-Identifier: Apache-2.0
#include "weights/channel_finder.h"

bool fp_channel_carries(const struct fp_channel_finder *f, int value) { return value >= 0 && f->places[value].lanes.n; }

void fp_channel_block_one(struct fp_channel_finder *f, int channel, const struct fp_node *by) {
    if (channel < 0) return;
    struct fp_channel *c = &f->channels[fp_channel_first(f->channels, channel)];
    if (!c->blocked) c->by = by;
    c->blocked = true;
}

void fp_channel_block(struct fp_channel_finder *f, int value, const struct fp_node *by) {
    for (size_t i = 0; value >= 0 && i < f->places[value].lanes.n; i++)
        fp_channel_block_one(f, f->places[value].lanes.of[i], by);
}

void fp_channel_block_inputs(struct fp_channel_finder *f, const struct fp_node *node) {
    for (int i = 0; i < node->n_in; i++) fp_channel_block(f, node->in[i], node);
}

void fp_channel_unite(struct fp_channel_finder *f, int a, int b, const struct fp_node *by) {
    if (a < 0 || b < 0) {
        fp_channel_block_one(f, a < 0 ? b : a, by);
        return;
    }
    a = fp_channel_first(f->channels, a);
    b = fp_channel_first(f->channels, b);
    if (a == b) return;
    struct fp_channel *x = &f->channels[fp_least((size_t)a, (size_t)b)],
                      *y = &f->channels[fp_most((size_t)a, (size_t)b)];
    if (y->blocked && !x->blocked) x->by = y->by;
    x->blocked |= y->blocked;
    x->trunk |= y->trunk;
    x->spread |= y->spread;
    x->parted |= y->parted;
    y->parent = (int)(x - f->channels);
}

void fp_channel_unite_lanes(struct fp_channel_finder *f, const struct fp_lanes *a, const struct fp_lanes *b,
                            const struct fp_node *by) {
    for (size_t i = 0; i < a->n; i++) fp_channel_unite(f, a->of[i], b->of[i], by);
}

void fp_channel_mark(struct fp_channel_finder *f, const struct fp_lanes *lanes, enum fp_channel_mark what) {
    for (size_t i = 0; i < lanes->n; i++) {
        if (lanes->of[i] < 0) continue;
        struct fp_channel *c = &f->channels[fp_channel_first(f->channels, lanes->of[i])];
        c->trunk |= what == FP_CHANNEL_TRUNK;
        c->spread |= what == FP_CHANNEL_SPREAD;
        c->parted |= what == FP_CHANNEL_PARTED;
    }
}

bool fp_channel_take_lanes(struct fp_channel_finder *f, struct fp_lanes *lanes, size_t n) {
    *lanes = (struct fp_lanes){n, fp_arena_take(&f->out->arena, n, sizeof(int))};
    return lanes->of != NULL;
}

bool fp_channel_new(struct fp_channel_finder *f, struct fp_lanes *lanes, size_t n) {
    if (n > (size_t)(INT32_MAX - f->n)) return false;
    struct fp_channel *channels = fp_grow(f->channels, &f->capacity, (size_t)f->n + n, sizeof(*channels));
    if (!channels) return false;
    f->channels = channels;
    if (!fp_channel_take_lanes(f, lanes, n)) return false;
    for (size_t i = 0; i < n; i++) {
        lanes->of[i] = f->n;
        channels[f->n] = (struct fp_channel){.parent = f->n};
        f->n++;
    }
    return true;
}

bool fp_channel_is_stored(const struct fp_channel_finder *f, int value) {
    return value < 0 || fp_exec_is_constant(f->exec, f->graph, value);
}

void fp_channel_pass_on(struct fp_channel_finder *f, int in, int out, int axis) {
    f->places[out] = f->places[in];
    f->places[out].axis = axis;
    f->places[out].cut = 0;
    if (!fp_channel_is_grid(&f->places[out])) f->places[out].n_axes = 0;
    f->single[out] = f->single[in];
    f->wide[out] = f->wide[in];
}

bool fp_channel_read_ints(const struct fp_channel_finder *f, const struct fp_node *node, const char *attribute,
                          int input, int64_t *dst, size_t max, size_t *n) {
    const int64_t *given = fp_attr_ints(node, attribute, n);
    struct fp_tensor t = {0};
    if (given) {
        if (*n > max) return false;
        memcpy(dst, given, *n * sizeof(*dst));
        return true;
    }
    if (input >= node->n_in || node->in[input] < 0 || !fp_channel_is_stored(f, node->in[input])) return false;
    bool ok = !fp_exec_constant(f->exec, f->graph, node->in[input], &t, NULL) && t.type == FP_INT64 && t.count <= max;
    *n = ok ? t.count : 0;
    if (ok) memcpy(dst, t.data, t.count * sizeof(*dst));
    fp_tensor_done(&t);
    return ok;
}
