// SPDX-License-Identifier: Apache-2.0
// Channel axes on their way through a graph.
#include "weights/channels.h"

#include <stdlib.h>

#include "base/arena.h"
#include "exec/op_list.h"

enum {
    LAST = -1,
    NOWHERE = -2
}; // axes: of products, the last one, whatever the rank; that of channels that do not pass

struct space {
    int parent; // of the union; itself: a root
    size_t channels;
    bool blocked, trunk, spread;
    const struct fp_node *by; // the first that blocks; NULL: an output does
    int n_makers, n_readers;
    int *makers;
    struct fp_channel_reader *readers;
};

struct finder {
    const struct fp_weights *weights;
    const struct fp_graph *graph;
    struct fp_exec *exec;
    struct space *spaces;
    size_t capacity;
    int n;
    int *space, *axis, *rank; // by value; space -1: none; rank 0: not known
    bool *single;             // by value: the axes behind the channels are 1 long, or there are none
    const int *weight_of;     // by node: the first weight in it, -1: none
    fineprune_error *err;
};

static struct space *root(const struct finder *f, int space) {
    while (f->spaces[space].parent != space) space = f->spaces[space].parent;
    return &f->spaces[space];
}

static void block_space(struct space *s, const struct fp_node *by) {
    if (!s->blocked) s->by = by;
    s->blocked = true;
}

static void block(struct finder *f, int value, const struct fp_node *by) {
    if (value >= 0 && f->space[value] >= 0) block_space(root(f, f->space[value]), by);
}

static int new_space(struct finder *f, size_t channels) {
    struct space *spaces = fp_grow(f->spaces, &f->capacity, (size_t)f->n + 1, sizeof(*spaces));
    if (!spaces) return -1;
    f->spaces = spaces;
    spaces[f->n] = (struct space){.parent = f->n, .channels = channels};
    return f->n++;
}

static bool add_maker(struct space *s, int weight) {
    int *makers = realloc(s->makers, sizeof(*makers) * (size_t)(s->n_makers + 1));
    if (!makers) return false;
    s->makers = makers;
    makers[s->n_makers++] = weight;
    return true;
}

static bool add_reader(struct space *s, int weight, size_t per) {
    struct fp_channel_reader *readers = realloc(s->readers, sizeof(*readers) * (size_t)(s->n_readers + 1));
    if (!readers) return false;
    s->readers = readers;
    readers[s->n_readers++] = (struct fp_channel_reader){weight, per};
    return true;
}

static bool join(struct finder *f, int a, int b, bool trunk, const struct fp_node *by) {
    struct space *x = root(f, a), *y = root(f, b);
    if (x == y) return true;
    if (y < x) { // the earlier one stays
        struct space *t = x;
        x = y;
        y = t;
    }
    bool ok = true;
    for (int i = 0; i < y->n_makers && ok; i++) ok = add_maker(x, y->makers[i]);
    for (int i = 0; i < y->n_readers && ok; i++) ok = add_reader(x, y->readers[i].weight, y->readers[i].per);
    if (y->blocked) block_space(x, y->by);
    if (x->channels != y->channels) block_space(x, by);
    x->trunk |= y->trunk || trunk;
    x->spread |= y->spread;
    y->parent = (int)(x - f->spaces);
    return ok;
}

static bool is_stored(const struct finder *f, int value) {
    return value < 0 || fp_exec_is_constant(f->exec, f->graph, value);
}

// ---- weights

static const struct fp_weight *weight_at(const struct finder *f, const struct fp_node *node, int *number) {
    *number = f->weight_of[node->id];
    if (*number < 0) return NULL;
    return &f->weights->items[*number];
}

static bool is_convolution(const struct fp_weight *w) {
    return w->view == FP_VIEW_CONV || w->view == FP_VIEW_CONV_TRANSPOSE;
}

// Products that can lose a row or a column.
static bool is_plain(const struct fp_weight *w) {
    const bool matrix = w->view == FP_VIEW_MATRIX || w->view == FP_VIEW_SCALED || w->view == FP_VIEW_GEMM;
    return (matrix || is_convolution(w)) && w->groups == 1 && w->n_uses == 1 && w->uses[0].slot == 1 &&
           !fp_attr_int(w->node, "transA", 0);
}

static int declared_rank(const struct finder *f, int value) {
    const int rank = f->graph->values[value].rank;
    if (rank < 0) return 0;
    return rank;
}

// Where a product's channels lie.
static int axis_of(const struct fp_weight *w) {
    if (is_convolution(w)) return 1;
    return LAST;
}

static bool visit_weight(struct finder *f, const struct fp_node *node, const struct fp_weight *w, int number) {
    bool ok = true;
    size_t spatial;
    for (int i = 0; i < node->n_in; i++)
        if (i || !is_plain(w)) block(f, node->in[i], node);
    if (!is_plain(w)) return true;
    int in = node->in[0], out = node->out[0];
    if (in >= 0 && f->space[in] >= 0) {
        struct space *s = root(f, f->space[in]);
        if (f->axis[in] != axis_of(w) || w->cols % s->channels ||
            (is_convolution(w) && w->cols != s->channels * w->inner))
            block_space(s, node);
        else ok = add_reader(s, number, w->cols / s->channels);
        s->spread |= w->view == FP_VIEW_CONV_TRANSPOSE;
    }
    int space = new_space(f, w->rows);
    if (space < 0 || !ok) return false;
    f->space[out] = space;
    f->axis[out] = axis_of(w);
    f->rank[out] = declared_rank(f, out);
    if (is_convolution(w) && fp_attr_ints(node, "kernel_shape", &spatial)) f->rank[out] = (int)spatial + 2;
    f->single[out] = false;
    f->spaces[space].spread = w->view == FP_VIEW_CONV_TRANSPOSE;
    return add_maker(&f->spaces[space], number);
}

Onnx__TensorProto *fp_stored_tensor(const struct fp_value *value) {
    if (value->initializer) return value->initializer;
    const bool constant = value->producer && fp_node_role(value->producer) == FP_ROLE_STORES;
    return constant ? fp_attr_tensor_proto(value->producer, "value") : NULL;
}

// A depthwise convolution keeps its channels apart.
static bool is_depthwise(const struct finder *f, const struct fp_node *node) {
    if (f->axis[node->in[0]] != 1 || node->n_in < 2 || node->in[1] < 0) return false;
    const Onnx__TensorProto *proto = fp_stored_tensor(&f->graph->values[node->in[1]]);
    struct fp_tensor t;
    if (!proto || fp_initializer_shape(f->weights->model, proto, &t, NULL, NULL)) return false;
    const int64_t channels = (int64_t)root(f, f->space[node->in[0]])->channels;
    return fp_attr_int(node, "group", 1) == channels && t.rank >= 3 && t.dims[0] == channels && t.dims[1] == 1;
}

// ---- other operators

static void pass_on(struct finder *f, int in, int out, int axis) {
    f->space[out] = f->space[in];
    f->axis[out] = axis;
    f->rank[out] = f->rank[in];
    f->single[out] = f->single[in];
}

// Indices, masks and statistics of channels that are not there mean nothing.
static bool others_are_read(const struct finder *f, const struct fp_node *node) {
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0 && f->graph->values[node->out[i]].n_readers) return true;
    return false;
}

static bool others_are_stored(const struct finder *f, const struct fp_node *node) {
    for (int i = 1; i < node->n_in; i++)
        if (!is_stored(f, node->in[i])) return false;
    return true;
}

// The integers of an attribute, or of a stored input.
static bool read_ints(const struct finder *f, const struct fp_node *node, const char *attribute, int input,
                      int64_t *dst, size_t max, size_t *n) {
    const int64_t *given = fp_attr_ints(node, attribute, n);
    struct fp_tensor t = {0};
    if (given) {
        if (*n > max) return false;
        memcpy(dst, given, *n * sizeof(*dst));
        return true;
    }
    if (input >= node->n_in || node->in[input] < 0 || !is_stored(f, node->in[input])) return false;
    bool ok = !fp_exec_constant(f->exec, f->graph, node->in[input], &t, NULL) && t.type == FP_INT64 && t.count <= max;
    *n = ok ? t.count : 0;
    if (ok) memcpy(dst, t.data, t.count * sizeof(*dst));
    fp_tensor_done(&t);
    return ok;
}

// Positions of each channel behind axis 1; 0: not known.
static int64_t positions_of(const struct finder *f, int value) {
    const struct fp_value *v = &f->graph->values[value];
    int64_t n = 1;
    if (f->single[value]) return 1;
    if (v->rank < 2) return 0;
    for (int i = 2; i < v->rank; i++) {
        if (v->dims[i] <= 0 || v->dims[i] >= INT32_MAX || n >= INT32_MAX) return 0;
        n *= v->dims[i];
    }
    return n;
}

// Each sample becomes one row, channel after channel.
static bool reshapes_flat(const struct finder *f, const struct fp_node *node) {
    int64_t dims[2];
    size_t n;
    const int in = node->in[0];
    const int64_t channels = (int64_t)root(f, f->space[in])->channels, positions = positions_of(f, in);
    if (!read_ints(f, node, "shape", 1, dims, 2, &n) || n != 2 || f->axis[in] != 1) return false;
    if (dims[0] == 0 && !fp_attr_int(node, "allowzero", 0)) return true;
    if (dims[1] == -1) return dims[0] == 1 && f->graph->values[in].rank > 0 && f->graph->values[in].dims[0] == 1;
    return positions && channels < INT32_MAX && dims[1] == channels * positions;
}

// Where a Transpose brings the axis; NOWHERE when it cannot be told.
static int turned(const struct finder *f, const struct fp_node *node) {
    size_t n;
    const int64_t *perm = fp_attr_ints(node, "perm", &n);
    const int64_t from = f->axis[node->in[0]] == LAST ? (int64_t)n - 1 : f->axis[node->in[0]];
    size_t to = 0;
    while (perm && to < n && perm[to] != from) to++;
    if (!perm || to == n) return NOWHERE;
    if (to == n - 1) return LAST;
    return (int)to;
}

static bool pads_others(const struct finder *f, const struct fp_node *node) {
    int64_t pads[2 * FP_MAX_RANK];
    size_t n;
    if (node->n_in > 3 && node->in[3] >= 0) return false; // only some axes
    if (!read_ints(f, node, "pads", 1, pads, FP_COUNT(pads), &n) || n < 2 || n % 2) return false;
    const size_t rank = n / 2, axis = f->axis[node->in[0]] == LAST ? rank - 1 : (size_t)f->axis[node->in[0]];
    return axis < rank && !pads[axis] && !pads[axis + rank];
}

// By scales that are stored, last or (before opset 11) second, one for each axis, and 1 for the channels'.
static bool resizes_others(const struct finder *f, const struct fp_node *node) {
    const int at = node->n_in > 2 ? 2 : 1, axis = f->axis[node->in[0]];
    const char *mode = fp_attr_text(node, "coordinate_transformation_mode", "");
    struct fp_tensor t = {0};
    if (node->n_in > 3 && node->in[3] >= 0) return false; // sizes
    if (at >= node->n_in || node->in[at] < 0 || axis != 1 || fp_attr_has(node, "axes") ||
        !strcmp(mode, "tf_crop_and_resize"))
        return false;
    const bool ok = !fp_exec_constant(f->exec, f->graph, node->in[at], &t, NULL) && t.type == FP_FLOAT && t.count > 1 &&
                    ((const float *)t.data)[1] == 1;
    fp_tensor_done(&t);
    return ok;
}

// Channels at axis 1 stay there when only later axes go.
static bool reduces_others(const struct finder *f, const struct fp_node *node, int *gone) {
    int64_t axes[FP_MAX_RANK];
    size_t n;
    const int rank = f->rank[node->in[0]];
    if (f->axis[node->in[0]] != 1 || !read_ints(f, node, "axes", 1, axes, FP_MAX_RANK, &n) || !n) return false;
    for (size_t i = 0; i < n; i++) {
        if (axes[i] < 0 && rank) axes[i] += rank;
        if (axes[i] < 2) return false; // also from the end of a rank that is not known
    }
    *gone = (int)n;
    return true;
}

static bool visit_pair(struct finder *f, const struct fp_node *node, bool sums) {
    int a = node->in[0], b = node->n_in == 2 ? node->in[1] : -1;
    if (b < 0 || a < 0) {
        for (int i = 0; i < node->n_in; i++) block(f, node->in[i], node);
        return true;
    }
    if (is_stored(f, a) || is_stored(f, b)) { // a constant takes the axis as it is
        int moving = is_stored(f, a) ? b : a;
        if (f->space[moving] >= 0) pass_on(f, moving, node->out[0], f->axis[moving]);
        return true;
    }
    if (f->space[a] < 0 || f->space[b] < 0 || f->axis[a] != f->axis[b])
        return block(f, a, node), block(f, b, node), true;
    pass_on(f, f->single[a] ? b : a, node->out[0], f->axis[a]);
    return join(f, f->space[a], f->space[b], sums, node);
}

static enum fp_passage passage_of(const struct fp_node *node) {
    const struct fp_op *op = fp_node_op(node);
    if (node->n_bodies || !op) return FP_PASSAGE_NONE;
    return op->passage;
}

// Whether a node lets channels pass that lie at `axis`. *gone: how many axes behind them go.
static bool lets_pass(const struct finder *f, const struct fp_node *node, enum fp_passage passage, int axis,
                      int *gone) {
    switch (passage) {
    case FP_PASSAGE_KEEPS:
    case FP_PASSAGE_TURNS: return true;
    case FP_PASSAGE_POOLS:
    case FP_PASSAGE_REMOVES: return axis == 1;
    case FP_PASSAGE_FILTERS: return is_depthwise(f, node);
    case FP_PASSAGE_FLATTENS: return axis == 1 && fp_attr_int(node, "axis", 1) == 1;
    case FP_PASSAGE_RESHAPES: return reshapes_flat(f, node);
    case FP_PASSAGE_PADS: return pads_others(f, node);
    case FP_PASSAGE_RESIZES: return resizes_others(f, node);
    case FP_PASSAGE_REDUCES: return reduces_others(f, node, gone);
    default: return false;
    }
}

// Where the channels are after the node: an axis, or NOWHERE.
static int axis_after(const struct finder *f, const struct fp_node *node, enum fp_passage passage, int *gone) {
    const int axis = f->axis[node->in[0]];
    if (!lets_pass(f, node, passage, axis, gone)) return NOWHERE;
    if (passage == FP_PASSAGE_FLATTENS || passage == FP_PASSAGE_RESHAPES) return LAST;
    if (passage == FP_PASSAGE_TURNS) return turned(f, node);
    return axis;
}

// Whether channels pass; where they are then, and how.
static bool passes(struct finder *f, const struct fp_node *node, enum fp_passage passage) {
    const int in = node->in[0], out = node->out[0];
    int gone = 0;
    const int to = axis_after(f, node, passage, &gone);
    if (to == NOWHERE) return false;
    pass_on(f, in, out, to);
    if (passage == FP_PASSAGE_FLATTENS || passage == FP_PASSAGE_RESHAPES) f->rank[out] = 2;
    if (passage == FP_PASSAGE_RESIZES) root(f, f->space[out])->spread = true;
    if (passage == FP_PASSAGE_RESIZES || passage == FP_PASSAGE_FILTERS || passage == FP_PASSAGE_PADS ||
        passage == FP_PASSAGE_TURNS)
        f->single[out] = false;
    if (passage == FP_PASSAGE_REMOVES || (gone && gone == f->rank[in] - 2)) f->single[out] = true;
    if (gone && f->rank[in] && !fp_attr_int(node, "keepdims", 1)) f->rank[out] -= gone;
    if (f->rank[out] && f->axis[out] == f->rank[out] - 1) f->axis[out] = LAST;
    return true;
}

static bool visit_other(struct finder *f, const struct fp_node *node) {
    const enum fp_passage passage = passage_of(node);
    const int in = node->n_in ? node->in[0] : -1;
    if (passage == FP_PASSAGE_JOINS || passage == FP_PASSAGE_SUMS)
        return visit_pair(f, node, passage == FP_PASSAGE_SUMS);
    const bool carries = in >= 0 && f->space[in] >= 0 && node->n_out && node->out[0] >= 0;
    if (carries && others_are_stored(f, node) && !others_are_read(f, node) && passes(f, node, passage)) return true;
    for (int i = 0; i < node->n_in; i++) block(f, node->in[i], node);
    return true;
}

// ---- all

static void block_outside(struct finder *f) {
    for (int i = 0; i < f->graph->n_values; i++) {
        const struct fp_value *v = &f->graph->values[i];
        for (int k = 0; k < v->n_readers; k++)
            if (!v->readers[k].node || v->readers[k].index < 0)
                block(f, i, v->readers[k].node); // an output of the graph, or read in a body
    }
}

static bool is_group(const struct space *s, int number) {
    return s->parent == number && !s->blocked && s->channels >= 2 && s->n_makers && s->n_readers;
}

static void set_places(const struct finder *f, const int *group_of, struct fp_channel_place *places) {
    for (int i = 0; i < f->graph->n_values; i++) {
        places[i] = (struct fp_channel_place){-1, f->axis[i], f->rank[i]};
        if (f->space[i] >= 0) places[i].group = group_of[root(f, f->space[i]) - f->spaces];
    }
}

static int collect(struct finder *f, struct fp_channel_groups *out) {
    FP_STAGE(room, "channels");
    int *group_of = fp_arena_take(&room, (size_t)f->n, sizeof(*group_of));
    out->items = fp_calloc((size_t)f->n, sizeof(*out->items));
    out->places = fp_calloc((size_t)f->graph->n_values, sizeof(*out->places));
    out->held = fp_calloc((size_t)f->n, sizeof(*out->held));
    if (!group_of || !out->items || !out->places || !out->held)
        return fp_fail_memory(f->err, "channels", (size_t)f->n * sizeof(*out->items));
    for (int i = 0; i < f->n; i++) {
        group_of[i] = -1;
        struct space *s = &f->spaces[i];
        for (int k = 0; k < s->n_makers && s->parent == i && !is_group(s, i); k++)
            out->held[out->n_held++] = (struct fp_channel_held){s->makers[k], s->channels, s->by};
        if (!is_group(s, i)) continue;
        group_of[i] = out->n;
        out->items[out->n++] = (struct fp_channel_group){s->channels,  s->trunk,  s->spread, s->n_makers,
                                                         s->n_readers, s->makers, s->readers};
        s->makers = NULL;
        s->readers = NULL;
    }
    set_places(f, group_of, out->places);
    return FINEPRUNE_OK;
}

static int find(struct finder *f, int *weight_of, struct fp_channel_groups *out) {
    bool ok = true;
    for (int i = 0; i < f->graph->n_values; i++) f->space[i] = -1;
    for (int i = 0; i < f->graph->n_nodes; i++) weight_of[i] = -1;
    for (int i = f->weights->n; i-- > 0;)
        if (f->weights->items[i].node->graph == f->graph) weight_of[f->weights->items[i].node->id] = i;
    for (int i = 0; i < f->graph->n_nodes && ok; i++) {
        int number;
        const struct fp_node *node = &f->graph->nodes[i];
        const struct fp_weight *w = weight_at(f, node, &number);
        if (w) ok = visit_weight(f, node, w, number);
        else ok = visit_other(f, node);
    }
    if (!ok) return fp_fail_memory(f->err, "channels", sizeof(struct space));
    block_outside(f);
    return collect(f, out);
}

int fp_channels_find(struct fp_channel_groups *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err) {
    const struct fp_graph *graph = weights->model->graph;
    *out = (struct fp_channel_groups){0};
    FP_STAGE(room, "channels");
    int *weight_of = fp_arena_take(&room, (size_t)graph->n_nodes, sizeof(int));
    struct finder f = {.weights = weights, .graph = graph, .exec = exec, .weight_of = weight_of, .err = err};
    f.space = fp_arena_take(&room, (size_t)graph->n_values, sizeof(int));
    f.axis = fp_arena_take(&room, (size_t)graph->n_values, sizeof(int));
    f.rank = fp_arena_take(&room, (size_t)graph->n_values, sizeof(int));
    f.single = fp_arena_take(&room, (size_t)graph->n_values, sizeof(bool));
    int status = fp_arena_check(&room, err);
    if (!status) status = find(&f, weight_of, out);
    for (int i = 0; i < f.n; i++) free(f.spaces[i].makers), free(f.spaces[i].readers);
    free(f.spaces);
    return status;
}

void fp_channels_free(struct fp_channel_groups *groups) {
    for (int i = 0; groups->items && i < groups->n; i++) free(groups->items[i].makers), free(groups->items[i].readers);
    free(groups->items);
    free(groups->places);
    free(groups->held);
    *groups = (struct fp_channel_groups){0};
}
