// SPDX-License-Identifier: Apache-2.0
// Channels on their way through a graph.
#include "weights/channels.h"

#include <stdlib.h>

#include "exec/op_list.h"
#include "weights/channel_filters.h"
#include "weights/channel_grids.h"

// ---- weights

static const struct fp_weight *weight_at(const struct fp_channel_finder *f, const struct fp_node *node, int *number) {
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

static int declared_rank(const struct fp_channel_finder *f, int value) {
    const int rank = f->graph->values[value].rank;
    if (rank < 0) return 0;
    return rank;
}

// Where a product's channels lie.
static int axis_of(const struct fp_weight *w) {
    if (is_convolution(w)) return 1;
    return FP_CHANNEL_LAST;
}

static void read_by(struct fp_channel_finder *f, const struct fp_node *node, const struct fp_weight *w, int number) {
    const int in = node->in[0];
    if (!fp_channel_carries(f, in)) return;
    const struct fp_channel_place *place = &f->places[in];
    if (w->view == FP_VIEW_CONV_TRANSPOSE) fp_channel_mark(f, &place->lanes, FP_CHANNEL_SPREAD);
    if (fp_channel_is_grid(place) || place->axis != axis_of(w) || w->cols % place->lanes.n ||
        (is_convolution(w) && w->cols != place->lanes.n * w->inner))
        fp_channel_block(f, in, node);
    else f->out->columns[number] = place->lanes;
}

// ---- hidden units

// The layer's other weight: the one at input `slot`; -1: it is none that can lose rows.
static int recurrent_at(const struct fp_channel_finder *f, const struct fp_node *node, int slot) {
    for (int i = 0; i < f->weights->n; i++) {
        const struct fp_weight *w = &f->weights->items[i];
        if (w->node == node && w->n_uses == 1 && w->uses[0].slot == slot) return i;
    }
    return -1;
}

static bool is_zero_stored(const struct fp_channel_finder *f, int value) {
    struct fp_tensor t = {0};
    if (!fp_channel_is_stored(f, value) || fp_exec_constant(f->exec, f->graph, value, &t, NULL)) return false;
    const bool zero = t.type == FP_FLOAT && t.count == 1 && *(const float *)t.data == 0;
    fp_tensor_done(&t);
    return zero;
}

// Whether a value that is left out, or computed, is zeros, whatever its shape.
static bool is_zeros(const struct fp_channel_finder *f, int value) {
    struct fp_tensor t = {0};
    if (value < 0 || is_zero_stored(f, value)) return true;
    const struct fp_node *node = f->graph->values[value].producer;
    if (!node || !fp_node_op(node)) return false;
    const enum fp_role role = fp_node_role(node);
    if (role == FP_ROLE_SPREADS || role == FP_ROLE_ARRANGES || role == FP_ROLE_IDENTITY || role == FP_ROLE_SETS_AXES)
        return is_zeros(f, node->in[0]);
    if (role != FP_ROLE_FILLS) return false;
    if (!fp_attr_has(node, "value")) return true;
    const bool read = !fp_attr_tensor(node, "value", &t, NULL);
    const bool zero = read && t.type == FP_FLOAT && t.count == 1 && *(const float *)t.data == 0;
    fp_tensor_done(&t);
    return zero;
}

// From zeros on, without peepholes.
static bool is_plain_recurrent(const struct fp_channel_finder *f, const struct fp_node *node, int inner, int outer) {
    if (inner < 0 || outer < 0 || fp_attr_int(node, "layout", 0) || !fp_attr_has(node, "hidden_size")) return false;
    const size_t units = f->weights->items[inner].cols, rows = f->weights->items[inner].rows;
    if (!units || rows % units || rows != f->weights->items[outer].rows) return false;
    if (f->weights->items[inner].groups != f->weights->items[outer].groups) return false;
    for (int i = 5; i < node->n_in; i++)
        if (i == 7 ? node->in[i] >= 0 : !is_zeros(f, node->in[i])) return false;
    return true;
}

static bool repeat(struct fp_channel_finder *f, struct fp_lanes *out, const struct fp_lanes *lanes, size_t times) {
    if (!fp_channel_take_lanes(f, out, lanes->n * times)) return false;
    for (size_t i = 0; i < out->n; i++) out->of[i] = lanes->of[i % lanes->n];
    return true;
}

// Outputs are [.., directions, samples, units], and both directions have the same units.
static bool place_units(struct fp_channel_finder *f, const struct fp_node *node, const struct fp_lanes *units,
                        size_t directions) {
    struct fp_lanes both;
    if (directions > 1 && !repeat(f, &both, units, directions)) return false;
    for (int i = 0; i < node->n_out; i++) {
        const int rank = i ? 3 : 4;
        const struct fp_channel_axis axes[] = {{.axis = rank - 3, .n = directions}, {.axis = rank - 1, .n = units->n}};
        if (node->out[i] < 0) continue;
        if (directions > 1) fp_channel_spread(f, node->out[i], &both, axes, 2, rank);
        else f->places[node->out[i]] = (struct fp_channel_place){*units, FP_CHANNEL_LAST, rank, 0};
    }
    return true;
}

// A unit is a row of each gate of both weights, in each direction; all units of its direction read it.
static bool visit_recurrent(struct fp_channel_finder *f, const struct fp_node *node) {
    const int outer = recurrent_at(f, node, 1), inner = recurrent_at(f, node, 2), in = node->in[0];
    struct fp_lanes units;
    for (int i = 1; i < node->n_in; i++) fp_channel_block(f, node->in[i], node);
    if (!is_plain_recurrent(f, node, inner, outer)) return fp_channel_block(f, in, node), true;
    const struct fp_weight *x = &f->weights->items[outer], *h = &f->weights->items[inner];
    if (fp_channel_carries(f, in) && !fp_channel_is_grid(&f->places[in]) && f->places[in].axis == FP_CHANNEL_LAST &&
        !(x->cols % f->places[in].lanes.n))
        f->out->columns[outer] = f->places[in].lanes;
    else fp_channel_block(f, in, node);
    if (!fp_channel_new(f, &units, h->cols) || !repeat(f, &f->out->rows[outer], &units, x->rows / h->cols))
        return false;
    fp_channel_mark(f, &units, FP_CHANNEL_PARTED);
    f->out->rows[inner] = f->out->rows[outer];
    f->out->columns[inner] = units;
    return place_units(f, node, &units, h->groups);
}

static bool visit_weight(struct fp_channel_finder *f, const struct fp_node *node, const struct fp_weight *w,
                         int number) {
    size_t spatial;
    if (fp_view_is_recurrent(w->view)) return visit_recurrent(f, node);
    if (is_convolution(w) && fp_channel_filter(f, node)) return true;
    for (int i = 0; i < node->n_in; i++)
        if (i || !is_plain(w)) fp_channel_block(f, node->in[i], node);
    if (!is_plain(w)) return true;
    read_by(f, node, w, number);
    const int out = node->out[0];
    struct fp_channel_place *place = &f->places[out];
    if (!fp_channel_new(f, &place->lanes, w->rows)) return false;
    f->out->rows[number] = place->lanes;
    place->axis = axis_of(w);
    place->rank = declared_rank(f, out);
    if (is_convolution(w) && fp_attr_ints(node, "kernel_shape", &spatial)) place->rank = (int)spatial + 2;
    if (w->view == FP_VIEW_GEMM) place->rank = 2;
    if (w->view == FP_VIEW_CONV_TRANSPOSE) fp_channel_mark(f, &place->lanes, FP_CHANNEL_SPREAD);
    return true;
}

// ---- other operators

// Indices, masks and statistics of channels that are not there mean nothing.
static bool others_are_read(const struct fp_channel_finder *f, const struct fp_node *node) {
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0 && f->graph->values[node->out[i]].n_readers) return true;
    return false;
}

static bool others_are_stored(const struct fp_channel_finder *f, const struct fp_node *node) {
    for (int i = 1; i < node->n_in; i++)
        if (!fp_channel_is_stored(f, node->in[i])) return false;
    return true;
}

// Positions of each channel behind axis 1; 0: not known.
static int64_t positions_of(const struct fp_channel_finder *f, int value) {
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
static bool reshapes_flat(const struct fp_channel_finder *f, const struct fp_node *node) {
    int64_t dims[2];
    size_t n;
    const int in = node->in[0];
    const int64_t channels = (int64_t)f->places[in].lanes.n, positions = positions_of(f, in);
    if (!fp_channel_read_ints(f, node, "shape", 1, dims, 2, &n) || n != 2 || f->places[in].axis != 1) return false;
    if (dims[0] == 0 && !fp_attr_int(node, "allowzero", 0)) return true;
    if (dims[1] == -1) return dims[0] == 1 && f->graph->values[in].rank > 0 && f->graph->values[in].dims[0] == 1;
    return positions && channels < INT32_MAX && dims[1] == channels * positions;
}

// Where a Transpose brings the axis; FP_CHANNEL_NOWHERE when it cannot be told.
static int turned(const struct fp_channel_finder *f, const struct fp_node *node) {
    size_t n;
    const int64_t *perm = fp_attr_ints(node, "perm", &n);
    const int64_t from = f->places[node->in[0]].axis == FP_CHANNEL_LAST ? (int64_t)n - 1 : f->places[node->in[0]].axis;
    size_t to = 0;
    while (perm && to < n && perm[to] != from) to++;
    if (!perm || to == n) return FP_CHANNEL_NOWHERE;
    if (to == n - 1) return FP_CHANNEL_LAST;
    return (int)to;
}

static bool pads_others(const struct fp_channel_finder *f, const struct fp_node *node) {
    int64_t pads[2 * FP_MAX_RANK];
    size_t n;
    if (node->n_in > 3 && node->in[3] >= 0) return false; // only some axes
    if (!fp_channel_read_ints(f, node, "pads", 1, pads, FP_COUNT(pads), &n) || n < 2 || n % 2) return false;
    const size_t rank = n / 2,
                 axis = f->places[node->in[0]].axis == FP_CHANNEL_LAST ? rank - 1 : (size_t)f->places[node->in[0]].axis;
    return axis < rank && !pads[axis] && !pads[axis + rank];
}

// By scales that are stored, last or (before opset 11) second, one for each axis, and 1 for the channels'.
static bool resizes_others(const struct fp_channel_finder *f, const struct fp_node *node) {
    const int at = node->n_in > 2 ? 2 : 1, axis = f->places[node->in[0]].axis;
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
static bool reduces_others(const struct fp_channel_finder *f, const struct fp_node *node, int *gone) {
    int64_t axes[FP_MAX_RANK];
    size_t n;
    const int rank = f->places[node->in[0]].rank;
    if (f->places[node->in[0]].axis != 1 || !fp_channel_read_ints(f, node, "axes", 1, axes, FP_MAX_RANK, &n) || !n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (axes[i] < 0 && rank) axes[i] += rank;
        if (axes[i] < 2) return false; // also from the end of a rank that is not known
    }
    *gone = (int)n;
    return true;
}

// A constant takes the axes as they are, unless it has more of them than a grid.
static void pass_constant(struct fp_channel_finder *f, const struct fp_node *node, int moving, int constant) {
    const struct fp_channel_place *place = &f->places[moving];
    if (!fp_channel_carries(f, moving)) return;
    const int rank = fp_outline_rank(&f->outlines, constant);
    if (fp_channel_is_grid(place) && (rank < 0 || rank > place->rank)) fp_channel_block(f, moving, node);
    else fp_channel_pass_on(f, moving, node->out[0], place->axis);
}

static void visit_pair(struct fp_channel_finder *f, const struct fp_node *node, bool sums) {
    const int a = node->in[0], b = node->n_in == 2 ? node->in[1] : -1;
    if (b < 0 || a < 0) {
        fp_channel_block_inputs(f, node);
        return;
    }
    if (fp_channel_is_stored(f, a) || fp_channel_is_stored(f, b)) {
        const bool first = fp_channel_is_stored(f, a);
        pass_constant(f, node, first ? b : a, first ? a : b);
        return;
    }
    const struct fp_channel_place *x = &f->places[a], *y = &f->places[b];
    if (!x->lanes.n != !y->lanes.n && fp_channel_pass_beside(f, node, x->lanes.n ? a : b, x->lanes.n ? b : a)) return;
    if (!x->lanes.n || x->lanes.n != y->lanes.n || x->axis != y->axis || !fp_channel_alike(x, y)) {
        fp_channel_block_inputs(f, node);
        return;
    }
    const bool same = x->lanes.of == y->lanes.of;
    fp_channel_pass_on(f, f->single[a] ? b : a, node->out[0], x->axis);
    f->wide[node->out[0]] = f->wide[a] || f->wide[b];
    fp_channel_unite_lanes(f, &x->lanes, &y->lanes, node);
    if (sums && !same) fp_channel_mark(f, &x->lanes, FP_CHANNEL_TRUNK);
}

// ---- joined and parted

// Whether channels lie along the axis that a node names.
enum along { THIS, ANOTHER, UNKNOWN };
static enum along along(const struct fp_channel_finder *f, int value, int64_t axis) {
    const struct fp_channel_place *place = &f->places[value];
    const int rank = place->rank ? place->rank : declared_rank(f, value);
    if (!rank && (place->axis < 0) != (axis < 0)) return UNKNOWN;
    if (!rank && place->axis == axis) return THIS;
    if (!rank) return ANOTHER;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return UNKNOWN;
    return axis == (place->axis < 0 ? place->axis + rank : place->axis) ? THIS : ANOTHER;
}

// Elements of an input along the axis; 0: not known.
static size_t length_along(const struct fp_channel_finder *f, int value, int64_t axis) {
    const struct fp_value *v = &f->graph->values[value];
    struct fp_tensor stored;
    if (fp_channel_carries(f, value))
        return f->wide[value] || along(f, value, axis) != THIS ? 0 : f->places[value].lanes.n;
    int rank = v->rank;
    const int64_t *dims = v->dims;
    const Onnx__TensorProto *proto = fp_stored_tensor(v);
    if (proto && !fp_initializer_shape(f->weights->model, proto, &stored, NULL, NULL))
        rank = stored.rank, dims = stored.dims;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || dims[axis] <= 0) return 0;
    return (size_t)dims[axis];
}

// The first input that carries channels; -1: none does.
static int first_carrier(const struct fp_channel_finder *f, const struct fp_node *node) {
    for (int i = 0; i < node->n_in; i++)
        if (fp_channel_carries(f, node->in[i])) return node->in[i];
    return -1;
}

static bool append(struct fp_channel_finder *f, const struct fp_node *node, int64_t axis, size_t length) {
    struct fp_lanes lanes;
    size_t at = 0;
    if (!fp_channel_take_lanes(f, &lanes, length)) return false;
    for (int i = 0; i < node->n_in; i++) {
        const size_t n = length_along(f, node->in[i], axis);
        for (size_t k = 0; k < n; k++) {
            lanes.of[at + k] = fp_channel_carries(f, node->in[i]) ? f->places[node->in[i]].lanes.of[k] : -1;
        }
        at += n;
    }
    f->places[node->out[0]].lanes = lanes;
    return true;
}

// Along another axis: all inputs have the same channels.
static bool all_alike(const struct fp_channel_finder *f, const struct fp_node *node, int64_t axis, int like) {
    for (int i = 0; i < node->n_in; i++) {
        const int in = node->in[i];
        if (!fp_channel_carries(f, in) || fp_channel_is_grid(&f->places[in]) || along(f, in, axis) != ANOTHER ||
            f->places[in].axis != f->places[like].axis || f->places[in].lanes.n != f->places[like].lanes.n ||
            f->wide[in] != f->wide[like])
            return false;
    }
    return true;
}

static bool join(struct fp_channel_finder *f, const struct fp_node *node) {
    const int64_t axis = fp_attr_int(node, "axis", INT32_MAX);
    const int like = first_carrier(f, node), out = node->out[0];
    size_t length = 0;
    bool known = true, single = true;
    if (like < 0) return true;
    if (fp_channel_is_grid(&f->places[like])) {
        if (!fp_channel_append_grids(f, node)) fp_channel_block_inputs(f, node);
        return true;
    }
    for (int i = 0; i < node->n_in && known; i++) {
        const size_t n = node->in[i] < 0 ? 0 : length_along(f, node->in[i], axis);
        known = n && fp_add(length, n, &length);
        single &= fp_channel_carries(f, node->in[i]) && f->single[node->in[i]];
    }
    if (!known && !all_alike(f, node, axis, like)) return fp_channel_block_inputs(f, node), true;
    fp_channel_pass_on(f, like, out, f->places[like].axis);
    if (known && !append(f, node, axis, length)) return false;
    for (int i = 0; i < node->n_in && !known; i++)
        fp_channel_unite_lanes(f, &f->places[like].lanes, &f->places[node->in[i]].lanes, node);
    fp_channel_mark(f, &f->places[out].lanes, FP_CHANNEL_PARTED);
    f->single[out] = known && single;
    return true;
}

// How many lanes each output takes, equally many where no lengths are given; false: it cannot be told.
static bool read_pieces(const struct fp_channel_finder *f, const struct fp_node *node, int64_t *pieces, size_t most) {
    size_t n = (size_t)node->n_out;
    int64_t sum = 0;
    const int64_t lanes = (int64_t)f->places[node->in[0]].lanes.n;
    if (n > most) return false;
    const bool given = fp_attr_has(node, "split") || (node->n_in > 1 && node->in[1] >= 0);
    for (size_t i = 0; i < n && !given; i++) pieces[i] = lanes % (int64_t)n ? 0 : lanes / (int64_t)n;
    if (given && (!fp_channel_read_ints(f, node, "split", 1, pieces, most, &n) || n != (size_t)node->n_out))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (pieces[i] < 1 || pieces[i] > lanes || node->out[i] < 0) return false;
        sum += pieces[i];
    }
    return sum == lanes;
}

static void pass_piece(struct fp_channel_finder *f, int in, int out, size_t from, size_t n) {
    fp_channel_pass_on(f, in, out, f->places[in].axis);
    f->places[out].lanes = (struct fp_lanes){n, f->places[in].lanes.of + from};
}

enum { MOST_PIECES = 256 };
static bool part(struct fp_channel_finder *f, const struct fp_node *node) {
    const int in = node->in[0];
    int64_t pieces[MOST_PIECES];
    size_t from = 0;
    const enum along where = along(f, in, fp_attr_int(node, "axis", 0));
    if (where == UNKNOWN) return false;
    if (where == THIS && (f->wide[in] || !read_pieces(f, node, pieces, MOST_PIECES))) return false;
    for (int i = 0; i < node->n_out; i++) {
        const size_t n = where == THIS ? (size_t)pieces[i] : f->places[in].lanes.n;
        if (node->out[i] < 0) continue;
        pass_piece(f, in, node->out[i], from, n);
        f->places[node->out[i]].cut = where == THIS;
        if (where == THIS) from += n;
    }
    return true;
}

// The entry that cuts along the channels; -1: none does; false: it cannot be told.
static bool find_entry(const struct fp_channel_finder *f, const struct fp_node *node, size_t n, int *entry) {
    int64_t axes[FP_MAX_RANK];
    size_t n_axes;
    const bool given = fp_attr_has(node, "axes") || (node->n_in > 3 && node->in[3] >= 0);
    *entry = -1;
    if (given && (!fp_channel_read_ints(f, node, "axes", 3, axes, FP_MAX_RANK, &n_axes) || n_axes != n)) return false;
    for (size_t i = 0; i < n; i++) {
        const enum along where = along(f, node->in[0], given ? axes[i] : (int64_t)i);
        if (where == UNKNOWN) return false;
        if (where == THIS) *entry = (int)i;
    }
    return true;
}

static size_t clamped(int64_t at, size_t n) {
    if (at < 0) at += (int64_t)n;
    if (at < 0) return 0;
    return fp_least((size_t)at, n);
}

static bool cut_out(struct fp_channel_finder *f, const struct fp_node *node) {
    const int in = node->in[0];
    int64_t starts[FP_MAX_RANK], ends[FP_MAX_RANK], steps[FP_MAX_RANK];
    size_t n, n_ends, n_steps, lanes = f->places[in].lanes.n;
    int entry;
    if (!fp_channel_read_ints(f, node, "starts", 1, starts, FP_MAX_RANK, &n) ||
        !fp_channel_read_ints(f, node, "ends", 2, ends, FP_MAX_RANK, &n_ends) || n_ends != n ||
        !find_entry(f, node, n, &entry))
        return false;
    if (entry < 0) return pass_piece(f, in, node->out[0], 0, lanes), true;
    if (node->n_in > 4 && node->in[4] >= 0 &&
        (!fp_channel_read_ints(f, node, "steps", 4, steps, FP_MAX_RANK, &n_steps) || n_steps != n || steps[entry] != 1))
        return false;
    const size_t from = clamped(starts[entry], lanes), to = clamped(ends[entry], lanes);
    if (f->wide[in] || from >= to) return false;
    pass_piece(f, in, node->out[0], from, to - from);
    f->places[node->out[0]].cut = entry + 1;
    return true;
}

// One value becomes several, or a piece of it.
static void visit_parting(struct fp_channel_finder *f, const struct fp_node *node, bool cuts) {
    const bool moves = fp_channel_carries(f, node->in[0]) && others_are_stored(f, node);
    if (fp_channel_carries(f, node->in[0])) fp_channel_mark(f, &f->places[node->in[0]].lanes, FP_CHANNEL_PARTED);
    if (!moves || !(cuts ? cut_out(f, node) : part(f, node))) fp_channel_block_inputs(f, node);
}

// Channels at the last axis stay there.
static bool squeezes_others(const struct fp_channel_finder *f, const struct fp_node *node, int *gone) {
    int64_t axes[FP_MAX_RANK];
    size_t n;
    if (f->places[node->in[0]].axis != FP_CHANNEL_LAST ||
        !fp_channel_read_ints(f, node, "axes", 1, axes, FP_MAX_RANK, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (along(f, node->in[0], axes[i]) != ANOTHER) return false;
    *gone = (int)n;
    return true;
}

static int rank_after_taking(const struct fp_channel_finder *f, const struct fp_node *node) {
    struct fp_tensor t = {0};
    const int rank = f->places[node->in[0]].rank;
    if (!rank || fp_exec_constant(f->exec, f->graph, node->in[1], &t, NULL)) return 0;
    const int after = rank - 1 + t.rank;
    fp_tensor_done(&t);
    return after;
}

static enum fp_passage passage_of(const struct fp_node *node) {
    const struct fp_op *op = fp_node_op(node);
    if (node->n_bodies || !op) return FP_PASSAGE_NONE;
    return op->passage;
}

// Whether a node lets channels pass that lie at `axis`. *gone: how many axes behind them go.
static bool lets_pass(const struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage, int axis,
                      int *gone) {
    switch (passage) {
    case FP_PASSAGE_KEEPS:
    case FP_PASSAGE_TURNS: return true;
    case FP_PASSAGE_POOLS:
    case FP_PASSAGE_REMOVES: return axis == 1;
    case FP_PASSAGE_FLATTENS: return axis == 1 && fp_attr_int(node, "axis", 1) == 1;
    case FP_PASSAGE_RESHAPES: return reshapes_flat(f, node);
    case FP_PASSAGE_PADS: return pads_others(f, node);
    case FP_PASSAGE_RESIZES: return resizes_others(f, node);
    case FP_PASSAGE_REDUCES: return reduces_others(f, node, gone);
    case FP_PASSAGE_TAKES:
        return axis == FP_CHANNEL_LAST && along(f, node->in[0], fp_attr_int(node, "axis", 0)) == ANOTHER;
    case FP_PASSAGE_SQUEEZES: return squeezes_others(f, node, gone);
    default: return false;
    }
}

// Where the channels are after the node: an axis, or FP_CHANNEL_NOWHERE.
static int axis_after(const struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage,
                      int *gone) {
    const int axis = f->places[node->in[0]].axis;
    if (!lets_pass(f, node, passage, axis, gone)) return FP_CHANNEL_NOWHERE;
    if (passage == FP_PASSAGE_FLATTENS || passage == FP_PASSAGE_RESHAPES) return FP_CHANNEL_LAST;
    if (passage == FP_PASSAGE_TURNS) return turned(f, node);
    return axis;
}

// Whether channels pass; where they are then, and how.
static bool passes(struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage) {
    const int in = node->in[0], out = node->out[0];
    const bool flattens = passage == FP_PASSAGE_FLATTENS || passage == FP_PASSAGE_RESHAPES;
    int gone = 0;
    const int to = axis_after(f, node, passage, &gone);
    if (to == FP_CHANNEL_NOWHERE) return false;
    fp_channel_pass_on(f, in, out, to);
    struct fp_channel_place *place = &f->places[out];
    if (flattens) place->rank = 2, f->wide[out] |= !f->single[in];
    if (passage == FP_PASSAGE_RESIZES) fp_channel_mark(f, &place->lanes, FP_CHANNEL_SPREAD);
    if (passage == FP_PASSAGE_RESIZES || passage == FP_PASSAGE_PADS || passage == FP_PASSAGE_TURNS)
        f->single[out] = false;
    if (passage == FP_PASSAGE_REMOVES || (gone && gone == f->places[in].rank - 2)) f->single[out] = true;
    if (gone && f->places[in].rank && !fp_attr_int(node, "keepdims", 1)) place->rank -= gone;
    if (passage == FP_PASSAGE_SQUEEZES) place->rank = f->places[in].rank ? f->places[in].rank - gone : 0;
    if (passage == FP_PASSAGE_TAKES) place->rank = rank_after_taking(f, node);
    if (passage == FP_PASSAGE_SQUEEZES || passage == FP_PASSAGE_TAKES)
        fp_channel_mark(f, &place->lanes, FP_CHANNEL_PARTED);
    if (place->rank && place->axis == place->rank - 1) place->axis = FP_CHANNEL_LAST;
    return true;
}

// Grids, and what moves axes or mixes others, once that passes nothing.
static bool moves(struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage) {
    const int in = node->in[0];
    const bool grid = fp_channel_is_grid(&f->places[in]);
    if (passage == FP_PASSAGE_FILTERS) return fp_channel_filter(f, node);
    if (passage == FP_PASSAGE_RESHAPES) return (!grid && passes(f, node, passage)) || fp_channel_regrid(f, node);
    if (!grid && passes(f, node, passage)) return true;
    if (grid || passage == FP_PASSAGE_MIXES || passage == FP_PASSAGE_UNSQUEEZES || passage == FP_PASSAGE_SQUEEZES ||
        passage == FP_PASSAGE_REDUCES)
        return fp_channel_move_grid(f, node, passage);
    return false;
}

static bool visit_carrier(struct fp_channel_finder *f, const struct fp_node *node, enum fp_passage passage) {
    const int in = node->in[0];
    if (node->n_out < 1 || node->out[0] < 0 || others_are_read(f, node)) return false;
    if (passage == FP_PASSAGE_RESHAPES) return moves(f, node, passage);
    if (fp_node_role(node) == FP_ROLE_DIVIDES && node->n_in == 2 && !fp_channel_is_stored(f, node->in[1]))
        return !fp_channel_carries(f, node->in[1]) && fp_channel_pass_beside(f, node, in, node->in[1]);
    return others_are_stored(f, node) && moves(f, node, passage);
}

static bool visit_other(struct fp_channel_finder *f, const struct fp_node *node) {
    const enum fp_passage passage = passage_of(node);
    const int in = node->n_in ? node->in[0] : -1;
    const bool carried = fp_channel_carries(f, in), grid = carried && fp_channel_is_grid(&f->places[in]);
    switch (passage) {
    case FP_PASSAGE_JOINS:
    case FP_PASSAGE_SUMS: return visit_pair(f, node, passage == FP_PASSAGE_SUMS), true;
    case FP_PASSAGE_APPENDS: return join(f, node);
    case FP_PASSAGE_PARTS:
    case FP_PASSAGE_CUTS:
        if (grid) break;
        return visit_parting(f, node, passage == FP_PASSAGE_CUTS), true;
    case FP_PASSAGE_MULTIPLIES:
        if (node->n_in != 2 || !fp_channel_multiply(f, node)) fp_channel_block_inputs(f, node);
        return true;
    case FP_PASSAGE_MEASURES:
        if (carried && f->outlines.of[node->out[0]].n < 0) fp_channel_block(f, in, node);
        else if (carried) fp_channel_mark(f, &f->places[in].lanes, FP_CHANNEL_PARTED);
        return true;
    default: break;
    }
    if (carried && grid && passage == FP_PASSAGE_PARTS && fp_channel_move_grid(f, node, passage)) return true;
    if (carried && visit_carrier(f, node, passage)) return true;
    fp_channel_block_inputs(f, node);
    return true;
}

// Numbers that are made from how many channels there are, for something that does not follow them: these stay.
static void freeze_numbers(struct fp_channel_finder *f, const struct fp_node *node, int value) {
    const struct fp_outline *list = &f->outlines.of[value];
    for (int i = 0; i < list->n; i++)
        if (list->numbers[i].measured >= 0)
            fp_channel_freeze(f, list->numbers[i].measured, list->numbers[i].along, node);
}

// Of two lengths that are multiplied, the one that the product is not known by.
static void freeze_factor(struct fp_channel_finder *f, const struct fp_node *node) {
    const struct fp_outline_number *product = f->outlines.of[node->out[0]].numbers;
    for (int i = 0; i < node->n_in; i++) {
        const struct fp_outline *list = node->in[i] >= 0 ? &f->outlines.of[node->in[i]] : NULL;
        if (!list || list->n != 1 || list->numbers->measured < 0) continue;
        if (list->numbers->measured != product->measured || list->numbers->along != product->along)
            fp_channel_freeze(f, list->numbers->measured, list->numbers->along, node);
    }
}

static void freeze_inputs(struct fp_channel_finder *f, const struct fp_node *node) {
    const bool follows = node->n_out && node->out[0] >= 0 && f->outlines.of[node->out[0]].n >= 0;
    if (follows && fp_node_role(node) == FP_ROLE_MULTIPLIES) freeze_factor(f, node);
    for (int i = 0; i < node->n_in && !follows; i++) {
        const bool shape = i == 1 && passage_of(node) == FP_PASSAGE_RESHAPES && fp_channel_carries(f, node->out[0]);
        if (node->in[i] >= 0 && !shape) freeze_numbers(f, node, node->in[i]);
    }
}

// ---- all

static void block_outside(struct fp_channel_finder *f) {
    for (int i = 0; i < f->graph->n_values; i++) {
        const struct fp_value *v = &f->graph->values[i];
        for (int k = 0; k < v->n_readers; k++)
            if (!v->readers[k].node || v->readers[k].index < 0) { // an output of the graph, or read in a body
                fp_channel_block(f, i, v->readers[k].node);
                freeze_numbers(f, v->readers[k].node, i);
            }
    }
}

static int find(struct fp_channel_finder *f, int *weight_of) {
    bool ok = true;
    for (int i = 0; i < f->graph->n_nodes; i++) weight_of[i] = -1;
    for (int i = f->weights->n; i-- > 0;)
        if (f->weights->items[i].node->graph == f->graph) weight_of[f->weights->items[i].node->id] = i;
    for (int i = 0; i < f->graph->n_nodes && ok; i++) {
        int number;
        const struct fp_node *node = &f->graph->nodes[i];
        const struct fp_weight *w = weight_at(f, node, &number);
        ok = fp_outline_visit(&f->outlines, node);
        if (ok) ok = w ? visit_weight(f, node, w, number) : visit_other(f, node);
        if (ok) freeze_inputs(f, node);
    }
    if (!ok) return fp_fail_memory(f->err, "channels", sizeof(struct fp_channel));
    block_outside(f);
    fp_channel_settle_grids(f);
    return fp_channel_groups_collect(f->out, f->channels, f->n, f->weights, f->err);
}

int fp_channels_find(struct fp_channel_groups *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err) {
    const struct fp_graph *graph = weights->model->graph;
    *out = (struct fp_channel_groups){.arena = {.what = "channels"}};
    FP_STAGE(room, "channels");
    int *weight_of = fp_arena_take(&room, (size_t)graph->n_nodes, sizeof(int));
    struct fp_channel_finder f = {
        .weights = weights, .graph = graph, .exec = exec, .out = out, .weight_of = weight_of, .err = err};
    f.single = fp_arena_take(&room, (size_t)graph->n_values, sizeof(bool));
    f.wide = fp_arena_take(&room, (size_t)graph->n_values, sizeof(bool));
    f.places = out->places = fp_arena_take(&out->arena, (size_t)graph->n_values, sizeof(*out->places));
    out->rows = fp_arena_take(&out->arena, (size_t)weights->n, sizeof(*out->rows));
    out->columns = fp_arena_take(&out->arena, (size_t)weights->n, sizeof(*out->columns));
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_arena_check(&out->arena, err);
    if (!status) status = fp_outlines_init(&f.outlines, weights, exec, err);
    if (!status) status = find(&f, weight_of);
    if (!status) status = fp_exec_unheard(exec, err);
    fp_outlines_free(&f.outlines);
    free(f.channels);
    return status;
}

void fp_channels_free(struct fp_channel_groups *groups) {
    for (int i = 0; groups->items && i < groups->n; i++) free(groups->items[i].makers), free(groups->items[i].readers);
    fp_arena_free(&groups->arena);
    *groups = (struct fp_channel_groups){0};
}
