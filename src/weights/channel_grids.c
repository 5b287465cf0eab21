// SPDX-License-Identifier: Apache-2.0
// Grids of channels. A Reshape is understood by matching axes from both ends, by length or identity (outline.h); what
// is left between is one run of axes of channels, of which the product is known.
#include "weights/channel_grids.h"

#include <stdlib.h>

#include "exec/op_list.h"

// ---- axes

static int rank_of(const struct fp_channel_finder *f, int value) {
    const struct fp_channel_place *p = &f->places[value];
    const int rank = fp_outline_rank(&f->outlines, value);
    return rank < 0 && p->rank ? p->rank : rank;
}

// The axes of the value's lanes, in order. Returns how many; 0: not known.
static int axes_of(const struct fp_channel_finder *f, int value, struct fp_channel_axis *axes) {
    const struct fp_channel_place *p = &f->places[value];
    const int rank = rank_of(f, value);
    if (fp_channel_is_grid(p)) {
        memcpy(axes, p->axes, sizeof(p->axes));
        return p->n_axes;
    }
    if (!p->lanes.n || f->wide[value] || (p->axis < 0 && rank < 1)) return 0;
    axes[0] = (struct fp_channel_axis){.axis = p->axis < 0 ? rank - 1 : p->axis, .n = p->lanes.n};
    return 1;
}

// The value `out` has these lanes over these axes.
static void place(struct fp_channel_finder *f, int in, int out, const struct fp_lanes *lanes,
                  const struct fp_channel_axis *axes, int n, int rank) {
    struct fp_channel_place *p = &f->places[out];
    *p = (struct fp_channel_place){
        .lanes = *lanes, .axis = axes[n - 1].axis, .rank = rank, .n_axes = n, .shrinks = n - 1};
    memcpy(p->axes, axes, (size_t)n * sizeof(*axes));
    if (p->axis == rank - 1) p->axis = FP_CHANNEL_LAST;
    f->single[out] = false;
    f->wide[out] = in >= 0 && n == 1 && f->wide[in];
    fp_channel_mark(f, lanes, FP_CHANNEL_PARTED);
}

void fp_channel_spread(struct fp_channel_finder *f, int value, const struct fp_lanes *lanes,
                       const struct fp_channel_axis *axes, int n, int rank) {
    place(f, -1, value, lanes, axes, n, rank);
}

static size_t step_of(const struct fp_channel_place *p, int which) {
    size_t step = 1;
    for (int i = which + 1; i < p->n_axes; i++) step *= p->axes[i].n;
    return step;
}

struct fp_lanes fp_channel_along(struct fp_arena *arena, const struct fp_channel_place *p, int which) {
    const size_t n = p->axes[which].n, step = step_of(p, which);
    struct fp_lanes along = {n, fp_arena_take(arena, n, sizeof(int))};
    for (size_t i = 0; i < n && along.of; i++) along.of[i] = p->lanes.of[i * step];
    return along;
}

// All lanes of one place along that axis are one channel.
static void tie(struct fp_channel_finder *f, const struct fp_channel_place *p, int which) {
    const size_t n = p->axes[which].n, step = step_of(p, which);
    for (size_t i = 0; i < p->lanes.n; i++) fp_channel_unite(f, p->lanes.of[i], p->lanes.of[i / step % n * step], NULL);
}

static bool is_tied(const struct fp_channel_finder *f, const struct fp_channel_place *p, int which) {
    const size_t n = p->axes[which].n, step = step_of(p, which);
    for (size_t i = 0; i < p->lanes.n; i++) {
        const int a = p->lanes.of[i], b = p->lanes.of[i / step % n * step];
        if (a < 0 && b < 0) continue;
        if (a < 0 || b < 0 || fp_channel_first(f->channels, a) != fp_channel_first(f->channels, b)) return false;
    }
    return true;
}

static int find_axis(const struct fp_channel_axis *axes, int n, int axis) {
    for (int i = 0; i < n; i++)
        if (axes[i].axis == axis) return i;
    return -1;
}

void fp_channel_freeze(struct fp_channel_finder *f, int value, int axis, const struct fp_node *by) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    const struct fp_channel_place *p = &f->places[value];
    if (!fp_channel_carries(f, value)) return;
    const int n = axes_of(f, value, axes), which = find_axis(axes, n, axis);
    if (n && which < 0) return;
    if (n < 2) {
        fp_channel_block(f, value, by);
        return;
    }
    const size_t length = axes[which].n, step = step_of(p, which);
    for (size_t i = 0; i < p->lanes.n; i++)
        fp_channel_unite(f, p->lanes.of[i], p->lanes.of[i - i / step % length * step], by);
}

void fp_channel_settle_grids(struct fp_channel_finder *f) {
    for (int i = 0; i < f->graph->n_values; i++) {
        struct fp_channel_place *p = &f->places[i];
        int which = p->n_axes - 1;
        if (p->n_axes < 2) continue;
        while (which >= 0 && !is_tied(f, p, which)) which--;
        if (which < 0) tie(f, p, which = p->n_axes - 1);
        p->shrinks = which;
    }
}

// ---- Reshape

struct item {
    struct fp_outline_axis axis;
    size_t n; // lanes along it; 0: none
    bool led;
};

struct matching {
    const struct fp_node *node;
    struct item in[FP_OUTLINE_AXES];
    struct fp_outline_number out[FP_OUTLINE_NUMBERS];
    int from[2], end[2]; // what is not matched, of in and out
    struct fp_channel_axis axes[FP_OUTLINE_AXES];
    int n;
};

static bool matches(const struct matching *m, int a, int b) {
    const struct item *in = &m->in[a];
    const struct fp_outline_number *out = &m->out[b];
    if (out->value == 0) return a == b && !fp_attr_int(m->node, "allowzero", 0);
    if (in->n && !in->led) return out->value == (int64_t)in->n;
    const struct fp_outline_axis named = {out->value > 0 ? out->value : 0, out->axis.of, out->axis.at};
    return fp_outline_same(&in->axis, &named);
}

static void add_axis(struct matching *m, int axis, size_t n, bool led) {
    m->axes[m->n++] = (struct fp_channel_axis){axis, n, led, m->out[axis]};
}

// Both ends of the two shapes, as far as they are the same.
static void match_ends(struct matching *m) {
    while (m->from[0] < m->end[0] && m->from[1] < m->end[1] && matches(m, m->from[0], m->from[1])) {
        const struct item *in = &m->in[m->from[0]++];
        if (in->n) add_axis(m, m->from[1], in->n, in->led);
        m->from[1]++;
    }
    while (m->from[0] < m->end[0] && m->from[1] < m->end[1] && matches(m, m->end[0] - 1, m->end[1] - 1))
        m->end[0]--, m->end[1]--;
}

// The numbers that are known before entry `at` of those that are left, multiplied; 0: one is not.
static int64_t known_before(const struct matching *m, int at) {
    int64_t product = 1;
    for (int i = m->from[1]; i < at; i++) {
        if (m->out[i].value < 1 || m->out[i].value > INT32_MAX || product > INT32_MAX) return 0;
        product *= m->out[i].value;
    }
    return product;
}

// How many of the `rest` lanes lie along entry `at`; 0: it cannot be told. led: what is not a channel comes before
// them.
static size_t lanes_at(const struct matching *m, int at, size_t rest, bool led) {
    const int64_t value = m->out[at].value, before = known_before(m, at);
    const bool first = at == m->from[1];
    if (value > 0 && rest % (size_t)value == 0) return (size_t)value;
    if (value > 0) return first && led && (size_t)value % rest == 0 ? rest : 0;
    if (value == 0) return 0;
    if (first) return rest;
    return !led && before && rest % (size_t)before == 0 ? rest / (size_t)before : 0;
}

// What is left of the input is other axes and then channels, or those alone.
static bool match_middle(struct matching *m) {
    size_t rest = 1;
    bool led = false, found = false;
    struct fp_channel_axis back[FP_OUTLINE_AXES];
    int n = 0;
    for (int i = m->from[0]; i < m->end[0]; i++) {
        const struct item *in = &m->in[i];
        if (!in->n && found) return false;
        if (in->led && i > m->from[0]) return false;
        if (!in->n || in->led) led = true;
        if (in->n) rest *= in->n, found = true;
    }
    if (!found) return true;
    for (int i = m->end[1]; i-- > m->from[1];) {
        if (rest == 1) break;
        const size_t lanes = lanes_at(m, i, rest, led);
        if (!lanes) return false;
        if (lanes > 1)
            back[n++] = (struct fp_channel_axis){i, lanes, led && i == m->from[1] && m->out[i].value != (int64_t)lanes,
                                                 m->out[i]};
        rest /= lanes;
    }
    if (rest != 1) return false;
    while (n > 0 && m->n < FP_CHANNEL_AXES) m->axes[m->n++] = back[--n];
    return n == 0;
}

static bool open_matching(const struct fp_channel_finder *f, const struct fp_node *node, struct matching *m) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    const int in = node->in[0], rank = rank_of(f, in), n = axes_of(f, in, axes),
              n_out = fp_outline_numbers(&f->outlines, node, 1, m->out);
    if (rank < 1 || rank > FP_OUTLINE_AXES || n < 1 || n_out < 1) return false;
    m->node = node;
    m->end[0] = rank, m->end[1] = n_out;
    for (int i = 0; i < rank; i++) m->in[i].axis = fp_outline_axis_of(&f->outlines, in, i);
    for (int i = 0; i < n; i++) m->in[axes[i].axis].n = axes[i].n, m->in[axes[i].axis].led = axes[i].led;
    return true;
}

bool fp_channel_regrid(struct fp_channel_finder *f, const struct fp_node *node) {
    struct matching m = {0};
    if (!open_matching(f, node, &m)) return false;
    const int n_out = m.end[1], rank = m.end[0];
    match_ends(&m);
    const int tail[2] = {m.end[0], m.end[1]};
    if (!match_middle(&m)) return false;
    for (int i = tail[0]; i < rank; i++)
        if (m.in[i].n && m.n < FP_CHANNEL_AXES) add_axis(&m, tail[1] + i - tail[0], m.in[i].n, m.in[i].led);
        else if (m.in[i].n) return false;
    if (!m.n) return false;         // one channel
    for (int i = 0; i < n_out; i++) // what else the shape is made of stays as it is
        if (find_axis(m.axes, m.n, i) < 0 && m.out[i].measured >= 0)
            fp_channel_freeze(f, m.out[i].measured, m.out[i].along, node);
    place(f, node->in[0], node->out[0], &f->places[node->in[0]].lanes, m.axes, m.n, n_out);
    return true;
}

// ---- other operators

// The axes change places by `to`: where axis i goes.
static bool rearrange(struct fp_channel_finder *f, const struct fp_node *node, const int *to, int rank) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES], sorted[FP_CHANNEL_AXES];
    size_t step[FP_CHANNEL_AXES], steps[FP_CHANNEL_AXES];
    struct fp_lanes lanes;
    const int in = node->in[0], n = axes_of(f, in, axes);
    const struct fp_channel_place *p = &f->places[in];
    for (int i = n; i-- > 0;) {
        step[i] = i == n - 1 ? 1 : step[i + 1] * axes[i + 1].n;
        axes[i].axis = to[axes[i].axis];
        axes[i].said = (struct fp_outline_number){0};
    }
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1].axis > axes[i].axis; at--)
            sorted[at] = sorted[at - 1], steps[at] = steps[at - 1];
        sorted[at] = axes[i], steps[at] = step[i];
    }
    if (!fp_channel_take_lanes(f, &lanes, p->lanes.n)) return false;
    for (size_t i = 0; i < lanes.n; i++) {
        size_t rest = i, from = 0;
        for (int k = n; k-- > 0; rest /= sorted[k].n) from += rest % sorted[k].n * steps[k];
        lanes.of[i] = p->lanes.of[from];
    }
    place(f, in, node->out[0], &lanes, sorted, n, rank);
    return true;
}

static bool turn(struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    int to[FP_OUTLINE_AXES];
    size_t n;
    const int64_t *perm = fp_attr_ints(node, "perm", &n);
    if (!perm || (int)n != rank) return false;
    for (int i = 0; i < rank; i++) to[i] = -1;
    for (int i = 0; i < rank; i++)
        if (perm[i] >= 0 && perm[i] < rank) to[perm[i]] = i;
    for (int i = 0; i < rank; i++)
        if (to[i] < 0) return false;
    return rearrange(f, node, to, rank);
}

// Axes of one element come, or go; none of a channel's.
static bool shift(struct fp_channel_finder *f, const struct fp_node *node, int rank, bool come) {
    int64_t named[FP_OUTLINE_AXES];
    bool is_named[2 * FP_OUTLINE_AXES] = {0};
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    int to[FP_OUTLINE_AXES], at = 0;
    size_t n;
    if (!fp_channel_read_ints(f, node, "axes", 1, named, FP_OUTLINE_AXES, &n)) return false;
    const int whole = come ? rank + (int)n : rank, n_axes = axes_of(f, node->in[0], axes);
    if (whole > FP_OUTLINE_AXES) return false;
    for (size_t i = 0; i < n; i++) {
        if (named[i] < 0) named[i] += whole;
        if (named[i] < 0 || named[i] >= whole) return false;
        is_named[named[i]] = true;
        if (!come && find_axis(axes, n_axes, (int)named[i]) >= 0) return false;
    }
    for (int i = 0; i < whole; i++) {
        if (come && !is_named[i]) to[at++] = i;
        else if (!come) to[i] = at, at += !is_named[i];
    }
    return rearrange(f, node, to, come ? whole : at);
}

static bool pass_other(struct fp_channel_finder *f, int in, int out) {
    fp_channel_pass_on(f, in, out, f->places[in].axis);
    for (int i = 0; i < f->places[out].n_axes; i++) f->places[out].axes[i].said = (struct fp_outline_number){0};
    fp_channel_mark(f, &f->places[out].lanes, FP_CHANNEL_PARTED);
    return true;
}

// Axes without channels become one element, or go.
static bool reduce(struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    int64_t named[FP_OUTLINE_AXES];
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    size_t n;
    const int in = node->in[0], n_axes = axes_of(f, in, axes);
    if (!fp_channel_read_ints(f, node, "axes", 1, named, FP_OUTLINE_AXES, &n) || !n) return false;
    if (!fp_attr_int(node, "keepdims", 1)) return shift(f, node, rank, false);
    for (size_t i = 0; i < n; i++) {
        const int64_t axis = named[i] < 0 ? named[i] + rank : named[i];
        if (axis < 0 || axis >= rank || find_axis(axes, n_axes, (int)axis) >= 0) return false;
    }
    return pass_other(f, in, node->out[0]);
}

// Places from..to along an axis of the grid, which then keeps its length. False: out of memory.
static bool take_part(struct fp_channel_finder *f, const struct fp_node *node, int out, int which, size_t from,
                      size_t to, bool goes, int rank) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES], left[FP_CHANNEL_AXES];
    struct fp_lanes lanes;
    const int in = node->in[0], n = axes_of(f, in, axes);
    const struct fp_channel_place *p = &f->places[in];
    const size_t length = axes[which].n, step = step_of(p, which), part = to - from;
    int n_left = 0;
    fp_channel_freeze(f, in, axes[which].axis, node);
    if (!fp_channel_take_lanes(f, &lanes, p->lanes.n / length * part)) return false;
    for (size_t i = 0; i < lanes.n; i++)
        lanes.of[i] = p->lanes.of[(i / (step * part) * length + i / step % part + from) * step + i % step];
    for (int i = 0; i < n; i++) {
        if (i == which && part == 1) continue;
        left[n_left] = axes[i];
        left[n_left].said = (struct fp_outline_number){0};
        if (i == which) left[n_left].n = part;
        if (goes && axes[i].axis > axes[which].axis) left[n_left].axis--;
        n_left++;
    }
    place(f, in, out, &lanes, left, n_left, rank);
    return true;
}

static size_t clamped(int64_t at, size_t n) {
    if (at < 0) at += (int64_t)n;
    if (at < 0) return 0;
    return fp_least((size_t)at, n);
}

// One place along an axis, which goes, or any along another.
static bool take_place(struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    struct fp_tensor t = {0};
    const int n = axes_of(f, node->in[0], axes);
    int64_t axis = fp_attr_int(node, "axis", 0), at = 0;
    if (axis < 0) axis += rank;
    const int which = find_axis(axes, n, (int)axis);
    if (which < 0 || axes[which].led || n < 2) return false;
    const bool one = !fp_exec_constant(f->exec, f->graph, node->in[1], &t, NULL) && !t.rank && t.type == FP_INT64;
    if (one) at = *(const int64_t *)t.data;
    fp_tensor_done(&t);
    const size_t from = clamped(at, axes[which].n);
    if (!one || from >= axes[which].n) return false;
    return take_part(f, node, node->out[0], which, from, from + 1, true, rank - 1);
}

// One part along an axis of the grid, or any along others.
static bool cut_out(struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    int64_t starts[FP_MAX_RANK], ends[FP_MAX_RANK], steps[FP_MAX_RANK], named[FP_MAX_RANK];
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    size_t n, n_ends, n_steps = 0, n_named = 0;
    const int n_axes = axes_of(f, node->in[0], axes);
    int which = -1;
    size_t entry = 0;
    if (!fp_channel_read_ints(f, node, "starts", 1, starts, FP_MAX_RANK, &n) ||
        !fp_channel_read_ints(f, node, "ends", 2, ends, FP_MAX_RANK, &n_ends) || n_ends != n)
        return false;
    const bool given = fp_channel_read_ints(f, node, "axes", 3, named, FP_MAX_RANK, &n_named),
               stepped = node->n_in > 4 && node->in[4] >= 0;
    if ((given && n_named != n) || (!given && node->n_in > 3 && node->in[3] >= 0)) return false;
    if (stepped && (!fp_channel_read_ints(f, node, "steps", 4, steps, FP_MAX_RANK, &n_steps) || n_steps != n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const int64_t axis = given ? named[i] + (named[i] < 0 ? rank : 0) : (int64_t)i;
        const int at = find_axis(axes, n_axes, (int)axis);
        if (at < 0) continue;
        if (which >= 0 || axes[at].led || (stepped && steps[i] != 1)) return false;
        which = at, entry = i;
    }
    if (which < 0) return pass_other(f, node->in[0], node->out[0]);
    const size_t from = clamped(starts[entry], axes[which].n), to = clamped(ends[entry], axes[which].n);
    return from < to && take_part(f, node, node->out[0], which, from, to, false, rank);
}

static bool part(struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    int64_t pieces[FP_MAX_RANK];
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    size_t n = 0, from = 0;
    int64_t axis = fp_attr_int(node, "axis", 0);
    if (axis < 0) axis += rank;
    const int which = find_axis(axes, axes_of(f, node->in[0], axes), (int)axis);
    if (node->n_out > FP_MAX_RANK || (which >= 0 && axes[which].led)) return false;
    const bool given = fp_channel_read_ints(f, node, "split", 1, pieces, FP_MAX_RANK, &n);
    if (which >= 0 && !given && (node->n_in > 1 || axes[which].n % (size_t)node->n_out)) return false;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] < 0) return false;
        if (which < 0) {
            pass_other(f, node->in[0], node->out[i]);
            continue;
        }
        const size_t length = given ? (size_t)pieces[i] : axes[which].n / (size_t)node->n_out;
        if ((given && n != (size_t)node->n_out) || length < 1 || from + length > axes[which].n) return false;
        if (!take_part(f, node, node->out[i], which, from, from + length, false, rank)) return false;
        from += length;
    }
    return true;
}

// Whether the node mixes elements along none of the channels' axes.
static bool mixes_others(const struct fp_channel_finder *f, const struct fp_node *node, int rank) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    int64_t from = fp_attr_int(node, "axis", 1);
    const int n = axes_of(f, node->in[0], axes);
    if (from < 0) from += rank;
    return n && axes[n - 1].axis < from;
}

// Halves of grids one after the other along one of their axes, which keeps its length, or along another.
bool fp_channel_append_grids(struct fp_channel_finder *f, const struct fp_node *node) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    const int like = node->in[0], rank = rank_of(f, like);
    struct fp_lanes lanes;
    int64_t axis = fp_attr_int(node, "axis", 0);
    size_t length = 0, at = 0;
    if (!fp_channel_carries(f, like) || rank < 1) return false;
    if (axis < 0) axis += rank;
    const int n = axes_of(f, like, axes), which = find_axis(axes, n, (int)axis);
    for (int i = 0; i < node->n_in; i++) {
        const struct fp_channel_place *p = &f->places[node->in[i]];
        struct fp_channel_place same = *p;
        if (!fp_channel_carries(f, node->in[i]) || p->n_axes != n) return false;
        if (which >= 0) same.axes[which].n = axes[which].n, length += p->axes[which].n;
        if (!fp_channel_alike(&same, &f->places[like]) || p->axes[n - 1].led) return false;
    }
    if (which < 0) {
        for (int i = 1; i < node->n_in; i++)
            fp_channel_unite_lanes(f, &f->places[like].lanes, &f->places[node->in[i]].lanes, node);
        return pass_other(f, like, node->out[0]);
    }
    const size_t step = step_of(&f->places[like], which), before = f->places[like].lanes.n / (step * axes[which].n);
    axes[which].n = length;
    if (!fp_channel_take_lanes(f, &lanes, before * length * step)) return false;
    for (int i = 0; i < node->n_in; i++) {
        const struct fp_channel_place *p = &f->places[node->in[i]];
        const size_t each = p->axes[which].n * step;
        for (size_t k = 0; k < p->lanes.n; k++) lanes.of[k / each * length * step + at + k % each] = p->lanes.of[k];
        at += each;
    }
    place(f, -1, node->out[0], &lanes, axes, n, rank);
    fp_channel_freeze(f, node->out[0], (int)axis, node);
    return true;
}

bool fp_channel_move_grid(struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    const int in = node->in[0], rank = rank_of(f, in);
    if (rank < 1 || rank > FP_OUTLINE_AXES || !axes_of(f, in, axes)) return false;
    switch (passage) {
    case FP_PASSAGE_KEEPS:
        if (fp_node_role(node) == FP_ROLE_NORMALIZES) return false;
        return pass_other(f, in, node->out[0]);
    case FP_PASSAGE_MIXES: return mixes_others(f, node, rank) && pass_other(f, in, node->out[0]);
    case FP_PASSAGE_TURNS: return turn(f, node, rank);
    case FP_PASSAGE_SQUEEZES:
    case FP_PASSAGE_UNSQUEEZES: return shift(f, node, rank, passage == FP_PASSAGE_UNSQUEEZES);
    case FP_PASSAGE_REDUCES: return reduce(f, node, rank);
    case FP_PASSAGE_TAKES: return take_place(f, node, rank);
    case FP_PASSAGE_CUTS: return cut_out(f, node, rank);
    case FP_PASSAGE_PARTS: return part(f, node, rank);
    default: return false;
    }
}

bool fp_channel_alike(const struct fp_channel_place *a, const struct fp_channel_place *b) {
    if (!fp_channel_is_grid(a) && !fp_channel_is_grid(b)) return true;
    if (a->n_axes != b->n_axes || a->rank != b->rank) return false;
    for (int i = 0; i < a->n_axes; i++)
        if (a->axes[i].axis != b->axes[i].axis || a->axes[i].n != b->axes[i].n || a->axes[i].led != b->axes[i].led)
            return false;
    return true;
}

bool fp_channel_pass_beside(struct fp_channel_finder *f, const struct fp_node *node, int moving, int other) {
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    const int rank = rank_of(f, moving), beside = rank_of(f, other), n = axes_of(f, moving, axes);
    if (rank < 1 || beside < 0 || !n) return false;
    for (int i = 0; i < n; i++) {
        const int back = rank - axes[i].axis;
        if (back <= beside && fp_outline_axis_of(&f->outlines, other, -back).length != 1) return false;
        if (beside > rank) axes[i].axis += beside - rank;
        axes[i].said = (struct fp_outline_number){0};
    }
    place(f, moving, node->out[0], &f->places[moving].lanes, axes, n, rank > beside ? rank : beside);
    return true;
}

// ---- products

// An operand's axes of channels, by their place from the end: the last two, and one before.
struct operand {
    int value, rank;
    struct fp_channel_axis axes[FP_CHANNEL_AXES];
    int n, heads, back[3]; // numbers of axes; -1: none. heads: before the last two. back: 1 the last, 2 the one before
    bool fails;
};

static struct operand operand_of(const struct fp_channel_finder *f, int value) {
    struct operand o = {.value = value, .rank = rank_of(f, value), .heads = -1, .back = {-1, -1, -1}};
    if (!fp_channel_carries(f, value)) return o;
    o.n = axes_of(f, value, o.axes);
    o.fails = !o.n || o.rank < 2 || o.rank > FP_OUTLINE_AXES;
    for (int i = 0; i < o.n && !o.fails; i++) {
        const int back = o.rank - o.axes[i].axis;
        if (back < 3) o.back[back] = i;
        else if (o.heads < 0) o.heads = i;
        else o.fails = true;
        o.fails |= back < 3 && o.axes[i].led;
    }
    return o;
}

// The heads' axis of one operand is that of the other, which has one element there where it has no channels.
static bool heads_agree(const struct fp_channel_finder *f, const struct operand *a, const struct operand *b) {
    const struct fp_channel_axis *x = &a->axes[a->heads];
    const int back = a->rank - x->axis;
    if (b->heads < 0)
        return b->rank >= 0 && (back > b->rank || fp_outline_axis_of(&f->outlines, b->value, -back).length == 1);
    const struct fp_channel_axis *y = &b->axes[b->heads];
    return back == b->rank - y->axis && x->n == y->n && x->led == y->led;
}

// All channels of a head are one, of both operands.
static bool unite_heads(struct fp_channel_finder *f, const struct fp_node *node, const struct operand *a,
                        const struct operand *b) {
    const struct operand *both[] = {a, b};
    struct fp_lanes heads[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        const struct operand *o = both[i];
        if (o->heads < 0) continue;
        struct fp_channel_place p = f->places[o->value];
        memcpy(p.axes, o->axes, sizeof(o->axes));
        p.n_axes = o->n;
        tie(f, &p, o->heads);
        heads[i] = fp_channel_along(&f->out->arena, &p, o->heads);
        if (!heads[i].of) return false;
    }
    if (heads[0].n && heads[1].n) fp_channel_unite_lanes(f, &heads[0], &heads[1], node);
    return true;
}

// Rows of the first and columns of the second operand stay apart.
static bool place_product(struct fp_channel_finder *f, const struct fp_node *node, const struct operand *a,
                          const struct operand *b) {
    const struct operand *heads = a->heads >= 0 ? a : b;
    const bool rows = a->back[2] >= 0, columns = b->back[1] >= 0;
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    struct fp_channel_axis axes[2];
    struct fp_lanes lanes = {0};
    int n = 0;
    if (heads->heads >= 0) {
        axes[n] = heads->axes[heads->heads];
        axes[n++].axis += rank - heads->rank;
    }
    if (rows != columns) {
        axes[n++] = (struct fp_channel_axis){.axis = rank - (rows ? 2 : 1),
                                             .n = rows ? a->axes[a->back[2]].n : b->axes[b->back[1]].n};
        const struct operand *from = rows ? a : b;
        if (from->n == n) lanes = f->places[from->value].lanes;
    }
    if (!n) return false;
    for (int i = 0; i < n; i++) axes[i].said = (struct fp_outline_number){0};
    if (!lanes.n) { // each head stands for itself
        struct fp_channel_place p = f->places[heads->value];
        memcpy(p.axes, heads->axes, sizeof(heads->axes));
        p.n_axes = heads->n;
        const struct fp_lanes along = fp_channel_along(&f->out->arena, &p, heads->heads);
        const size_t each = n > 1 ? axes[1].n : 1;
        if (!along.of || !fp_channel_take_lanes(f, &lanes, along.n * each)) return false;
        for (size_t i = 0; i < lanes.n; i++) lanes.of[i] = along.of[i / each];
    }
    place(f, -1, node->out[0], &lanes, axes, n, rank);
    return true;
}

bool fp_channel_multiply(struct fp_channel_finder *f, const struct fp_node *node) {
    const struct operand a = operand_of(f, node->in[0]), b = operand_of(f, node->in[1]);
    if (!a.n && !b.n && !a.fails && !b.fails) return true;
    if (a.fails || b.fails || a.rank < 2 || b.rank < 2) return false;
    const bool heads = a.heads >= 0 || b.heads >= 0;
    if (heads && !(a.heads >= 0 ? heads_agree(f, &a, &b) : heads_agree(f, &b, &a))) return false;
    // Without heads, what is summed over does not stay apart; with them, it goes as a whole.
    if ((a.heads < 0 && a.back[1] >= 0) || (b.heads < 0 && b.back[2] >= 0)) return false;
    if (!heads && a.back[2] >= 0 && b.back[1] >= 0) return false;
    if ((heads && a.heads < 0 && a.n) || (heads && b.heads < 0 && b.n)) return false;
    if (heads && !unite_heads(f, node, &a, &b)) return false;
    return place_product(f, node, &a, &b);
}
