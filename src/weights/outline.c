// SPDX-License-Identifier: Apache-2.0
// Shapes as far as a graph tells them. Lengths come from declarations and stored tensors; identities are handed on by
// operators that keep axes, so that a Reshape to the shape of something else is understood.
#include "weights/outline.h"

#include "exec/op_list.h"
#include "weights/channels.h"

static const struct fp_graph *graph_of(const struct fp_outlines *o) { return o->weights->model->graph; }

static bool is_stored(const struct fp_outlines *o, int value) {
    return value >= 0 && fp_exec_is_constant(o->exec, graph_of(o), value);
}

// ---- what is declared or stored

static void declare(const struct fp_outlines *o, int value, int rank, const int64_t *dims) {
    struct fp_outline *out = &o->of[value];
    if (rank < 0 || rank > FP_OUTLINE_AXES) return;
    if (out->rank != rank)
        for (int i = 0; i < rank; i++) out->axes[i] = (struct fp_outline_axis){0, value, i};
    out->rank = rank;
    for (int i = 0; i < rank; i++)
        if (!out->axes[i].length && dims[i] > 0) out->axes[i].length = dims[i];
}

static void look(const struct fp_outlines *o, int value) {
    const struct fp_value *v = &graph_of(o)->values[value];
    const Onnx__TensorProto *proto = fp_stored_tensor(v);
    struct fp_tensor t = {0};
    o->of[value] = (struct fp_outline){.rank = -1, .n = -1};
    if (proto && !fp_initializer_shape(o->weights->model, proto, &t, NULL, NULL)) declare(o, value, t.rank, t.dims);
    else declare(o, value, v->rank, v->dims);
}

int fp_outline_rank(const struct fp_outlines *o, int value) {
    if (value < 0) return -1;
    return o->of[value].rank;
}

struct fp_outline_axis fp_outline_axis_of(const struct fp_outlines *o, int value, int axis) {
    const int rank = fp_outline_rank(o, value);
    if (axis < 0) axis += rank;
    if (rank < 0 || axis < 0 || axis >= rank) return (struct fp_outline_axis){0, -1, 0};
    return o->of[value].axes[axis];
}

bool fp_outline_same(const struct fp_outline_axis *a, const struct fp_outline_axis *b) {
    if (a->length > 0 && a->length == b->length) return true;
    return a->of >= 0 && a->of == b->of && a->at == b->at;
}

// ---- lists of integers

int fp_outline_numbers(const struct fp_outlines *o, const struct fp_node *node, int input,
                       struct fp_outline_number *numbers) {
    struct fp_tensor t = {0};
    if (input >= node->n_in || node->in[input] < 0) return -1;
    const int value = node->in[input];
    int n = o->of[value].n;
    if (!is_stored(o, value)) {
        if (n > 0) memcpy(numbers, o->of[value].numbers, (size_t)n * sizeof(*numbers));
        return n;
    }
    if (fp_exec_constant(o->exec, graph_of(o), value, &t, NULL)) return -1;
    n = t.type == FP_INT64 && t.rank < 2 && t.count <= FP_OUTLINE_NUMBERS ? (int)t.count : -1;
    for (int i = 0; i < n; i++) {
        const int64_t stored = ((const int64_t *)t.data)[i];
        numbers[i] = (struct fp_outline_number){stored, {0, -1, 0}, -1, -1, 1, 1, node, input, (size_t)i, stored};
    }
    fp_tensor_done(&t);
    return n;
}

static bool keep_numbers(struct fp_outlines *o, int value, const struct fp_outline_number *numbers, int n) {
    if (n < 0 || n > FP_OUTLINE_NUMBERS) return true;
    struct fp_outline_number *kept = fp_arena_copy(&o->arena, numbers, (size_t)n, sizeof(*numbers));
    if (!kept) return false;
    // What a second reader sees too cannot be stored anew for the first.
    for (int i = 0; i < n; i++)
        if (graph_of(o)->values[value].n_readers > 1) kept[i].node = NULL;
    o->of[value].numbers = kept;
    o->of[value].n = n;
    if (o->of[value].rank == 1) o->of[value].axes[0].length = n;
    return true;
}

static bool measure(struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number numbers[FP_OUTLINE_NUMBERS];
    const struct fp_outline *in = &o->of[node->in[0]];
    int64_t from = fp_attr_int(node, "start", 0), to = fp_attr_int(node, "end", in->rank);
    int n = 0;
    if (in->rank < 0) return true;
    if (from < 0) from += in->rank;
    if (to < 0) to += in->rank;
    for (int i = (int)from; i >= 0 && i < to && i < in->rank; i++) {
        const struct fp_outline_axis *a = &in->axes[i];
        numbers[n++] = (struct fp_outline_number){.value = a->length > 0 ? a->length : FP_NOT_KNOWN,
                                                  .axis = *a,
                                                  .measured = node->in[0],
                                                  .along = i,
                                                  .times = 1,
                                                  .over = 1};
    }
    return keep_numbers(o, node->out[0], numbers, n);
}

static int64_t clamped(int64_t at, int64_t n) {
    if (at < 0) at += n;
    if (at < 0) return 0;
    return at > n ? n : at;
}

// Stored indices of a list, or a part of it.
static bool pick(struct fp_outlines *o, const struct fp_node *node, bool part) {
    struct fp_outline_number in[FP_OUTLINE_NUMBERS], at[FP_OUTLINE_NUMBERS], end[FP_OUTLINE_NUMBERS],
        out[FP_OUTLINE_NUMBERS];
    const int n = fp_outline_numbers(o, node, 0, in), m = fp_outline_numbers(o, node, 1, at);
    if (n < 0 || m < 1 || !is_stored(o, node->in[1])) return true;
    if (part) {
        if (m != 1 || fp_outline_numbers(o, node, 2, end) != 1 || !is_stored(o, node->in[2])) return true;
        if (node->n_in > 4 && node->in[4] >= 0) {
            struct fp_outline_number step[FP_OUTLINE_NUMBERS];
            if (fp_outline_numbers(o, node, 4, step) != 1 || step[0].value != 1) return true;
        }
        const int64_t from = clamped(at[0].value, n), to = clamped(end[0].value, n);
        return keep_numbers(o, node->out[0], in + from, to > from ? (int)(to - from) : 0);
    }
    for (int i = 0; i < m; i++) {
        const int64_t k = at[i].value < 0 ? at[i].value + n : at[i].value;
        if (k < 0 || k >= n) return true;
        out[i] = in[k];
    }
    return keep_numbers(o, node->out[0], out, m);
}

static bool append(struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number all[FP_OUTLINE_NUMBERS] = {0}, one[FP_OUTLINE_NUMBERS] = {0};
    int n = 0;
    for (int i = 0; i < node->n_in; i++) {
        const int m = fp_outline_numbers(o, node, i, one);
        if (m < 0 || n + m > FP_OUTLINE_NUMBERS) return true;
        memcpy(all + n, one, (size_t)m * sizeof(*one));
        // One number by itself can be put there.
        if (m == 1 && !one[0].node) all[n].node = node, all[n].input = i, all[n].index = 0, all[n].stored = 0;
        n += m;
    }
    return keep_numbers(o, node->out[0], all, n);
}

// Two lengths that are known: the longer one times what the other is.
static bool scale_lengths(struct fp_outlines *o, const struct fp_node *node, const struct fp_outline_number *a,
                          const struct fp_outline_number *b) {
    struct fp_outline_number r = a->value > b->value ? *a : *b;
    const int64_t by = a->value > b->value ? b->value : a->value;
    if (by < 1 || r.value >= INT32_MAX) return true;
    r.value *= by;
    r.times *= by;
    r.node = NULL;
    r.stored = 0;
    r.axis = (struct fp_outline_axis){0, -1, 0};
    return keep_numbers(o, node->out[0], &r, 1);
}

// One number times or over a stored one.
static bool scale(struct fp_outlines *o, const struct fp_node *node, bool over) {
    struct fp_outline_number a[FP_OUTLINE_NUMBERS], b[FP_OUTLINE_NUMBERS];
    if (fp_outline_numbers(o, node, 0, a) != 1 || fp_outline_numbers(o, node, 1, b) != 1) return true;
    if (!over && !is_stored(o, node->in[0]) && !is_stored(o, node->in[1])) return scale_lengths(o, node, a, b);
    const bool swapped = !over && is_stored(o, node->in[0]);
    struct fp_outline_number r = swapped ? b[0] : a[0];
    const struct fp_outline_number *by = swapped ? &a[0] : &b[0];
    if (!is_stored(o, node->in[!swapped]) || by->value < 1 || by->value >= INT32_MAX) return true;
    if (over) r.over *= by->value, r.node = NULL, r.stored = 0;
    else r.times *= by->value, r.node = by->node, r.input = by->input, r.index = by->index, r.stored = by->value;
    if (r.value != FP_NOT_KNOWN && over) r.value = r.value % by->value ? FP_NOT_KNOWN : r.value / by->value;
    else if (r.value != FP_NOT_KNOWN && r.value < INT32_MAX) r.value *= by->value;
    r.axis = (struct fp_outline_axis){0, -1, 0};
    return keep_numbers(o, node->out[0], &r, 1);
}

static bool hand_on_numbers(struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number numbers[FP_OUTLINE_NUMBERS] = {0};
    return keep_numbers(o, node->out[0], numbers, fp_outline_numbers(o, node, 0, numbers));
}

// A number by itself becomes a list of one.
static bool as_list(struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number number[FP_OUTLINE_NUMBERS], shape[FP_OUTLINE_NUMBERS];
    if (fp_outline_numbers(o, node, 0, number) != 1 || fp_outline_numbers(o, node, 1, shape) != 1) return true;
    return keep_numbers(o, node->out[0], number, 1);
}

// False: out of memory.
static bool visit_numbers(struct fp_outlines *o, const struct fp_node *node, const struct fp_op *op) {
    bool some = false;
    for (int i = 0; i < node->n_in; i++) some |= node->in[i] >= 0 && o->of[node->in[i]].n >= 0;
    if (op->passage == FP_PASSAGE_MEASURES) return measure(o, node);
    if (!some) return true;
    if (op->passage == FP_PASSAGE_APPENDS) return append(o, node);
    if (op->passage == FP_PASSAGE_RESHAPES) return as_list(o, node);
    if (op->passage == FP_PASSAGE_CUTS || op->passage == FP_PASSAGE_TAKES)
        return pick(o, node, op->passage == FP_PASSAGE_CUTS);
    switch ((enum fp_role)op->role) {
    case FP_ROLE_MULTIPLIES: return scale(o, node, false);
    case FP_ROLE_DIVIDES: return scale(o, node, true);
    case FP_ROLE_IDENTITY:
    case FP_ROLE_CASTS:
    case FP_ROLE_SETS_AXES: return hand_on_numbers(o, node);
    default: return true;
    }
}

// ---- shapes

static void set_rank(const struct fp_outlines *o, int value, int rank) {
    struct fp_outline *out = &o->of[value];
    if (rank < 0 || rank > FP_OUTLINE_AXES) return;
    if (out->rank != rank)
        for (int i = 0; i < rank; i++) out->axes[i] = (struct fp_outline_axis){0, value, i};
    out->rank = rank;
}

// The axis is as long as that one; what is declared stays.
static void equate(const struct fp_outlines *o, int value, int axis, const struct fp_outline_axis *a) {
    struct fp_outline_axis *own = &o->of[value].axes[axis];
    const int64_t length = own->length ? own->length : a->length;
    if (a->of >= 0) *own = *a;
    own->length = length;
}

static void same_shape(const struct fp_outlines *o, int in, int out) {
    const int rank = fp_outline_rank(o, in);
    if (rank < 0) return;
    set_rank(o, out, rank);
    for (int i = 0; i < rank; i++) equate(o, out, i, &o->of[in].axes[i]);
}

// Axes from..to of a result, counted from the end, by the rules of broadcasting.
static void broadcast(const struct fp_outlines *o, const struct fp_node *node, int rank, int from) {
    const int a = node->in[0], b = node->in[1], out = node->out[0];
    for (int back = from; back <= rank; back++) {
        const struct fp_outline_axis x = fp_outline_axis_of(o, a, -back), y = fp_outline_axis_of(o, b, -back);
        if (y.of < 0 || y.length == 1 || fp_outline_same(&x, &y)) equate(o, out, rank - back, &x);
        else if (x.of < 0 || x.length == 1 || y.length > 1) equate(o, out, rank - back, &y);
        else if (x.length > 1) equate(o, out, rank - back, &x);
    }
}

static void of_pair(const struct fp_outlines *o, const struct fp_node *node, bool product) {
    if (node->n_in != 2 || node->in[0] < 0 || node->in[1] < 0) return;
    const int a = fp_outline_rank(o, node->in[0]), b = fp_outline_rank(o, node->in[1]), rank = a > b ? a : b;
    if (a < 0 || b < 0 || (product && (a < 2 || b < 2))) return;
    set_rank(o, node->out[0], rank);
    broadcast(o, node, rank, product ? 3 : 1);
    if (!product) return;
    const struct fp_outline_axis m = fp_outline_axis_of(o, node->in[0], -2), n = fp_outline_axis_of(o, node->in[1], -1);
    equate(o, node->out[0], rank - 2, &m);
    equate(o, node->out[0], rank - 1, &n);
}

static void of_transpose(const struct fp_outlines *o, const struct fp_node *node) {
    size_t n;
    const int64_t *perm = fp_attr_ints(node, "perm", &n);
    const int in = node->in[0], rank = fp_outline_rank(o, in);
    if (!perm || n > FP_OUTLINE_AXES) return;
    set_rank(o, node->out[0], (int)n);
    for (size_t i = 0; i < n && rank == (int)n; i++)
        if (perm[i] >= 0 && perm[i] < rank) equate(o, node->out[0], (int)i, &o->of[in].axes[perm[i]]);
}

static void of_reshape(const struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number numbers[FP_OUTLINE_NUMBERS];
    const int n = fp_outline_numbers(o, node, 1, numbers), out = node->out[0];
    if (n < 0) return;
    set_rank(o, out, n);
    for (int i = 0; i < n; i++) {
        if (numbers[i].value == 0 && !fp_attr_int(node, "allowzero", 0)) {
            const struct fp_outline_axis a = fp_outline_axis_of(o, node->in[0], i);
            equate(o, out, i, &a);
        } else if (numbers[i].axis.of >= 0) {
            equate(o, out, i, &numbers[i].axis);
        } else if (numbers[i].value > 0 && !o->of[out].axes[i].length) {
            o->of[out].axes[i].length = numbers[i].value;
        }
    }
}

static void of_gather(const struct fp_outlines *o, const struct fp_node *node) {
    const int data = fp_outline_rank(o, node->in[0]), at = fp_outline_rank(o, node->in[1]), out = node->out[0];
    int64_t axis = fp_attr_int(node, "axis", 0);
    if (data < 0 || at < 0) return;
    if (axis < 0) axis += data;
    set_rank(o, out, data - 1 + at);
    for (int i = 0; i < o->of[out].rank; i++) {
        struct fp_outline_axis a = fp_outline_axis_of(o, node->in[0], i < axis ? i : i - at + 1);
        if (i >= axis && i < axis + at) a = fp_outline_axis_of(o, node->in[1], i - (int)axis);
        equate(o, out, i, &a);
    }
}

// Axes of one element come (added) or go.
static void of_axes(const struct fp_outlines *o, const struct fp_node *node, bool added) {
    struct fp_outline_number list[FP_OUTLINE_NUMBERS];
    bool named[FP_OUTLINE_AXES] = {0};
    size_t n_given = 0;
    const int64_t *given = fp_attr_ints(node, "axes", &n_given);
    const int in = node->in[0], out = node->out[0], rank = fp_outline_rank(o, in);
    const int n = given ? (int)n_given : fp_outline_numbers(o, node, 1, list), whole = added ? rank + n : rank;
    if (rank < 0 || n < 0 || n > FP_OUTLINE_NUMBERS || whole > FP_OUTLINE_AXES) return;
    for (int i = 0; i < n; i++) {
        int64_t at = given ? given[i] : list[i].value;
        if (at < 0) at += whole;
        if (at < 0 || at >= whole) return;
        named[at] = true;
    }
    set_rank(o, out, added ? whole : rank - n);
    for (int i = 0, k = 0; i < whole; i++) {
        if (added && named[i]) o->of[out].axes[i].length = 1;
        else if (added) equate(o, out, i, &o->of[in].axes[k++]);
        else if (!named[i]) equate(o, out, k++, &o->of[in].axes[i]);
    }
}

// Samples and channels stay.
static void of_planes(const struct fp_outlines *o, const struct fp_node *node) {
    const int rank = fp_outline_rank(o, node->in[0]);
    const struct fp_outline_axis samples = fp_outline_axis_of(o, node->in[0], 0);
    if (rank < 2) return;
    set_rank(o, node->out[0], rank);
    equate(o, node->out[0], 0, &samples);
}

static void of_reduce(const struct fp_outlines *o, const struct fp_node *node) {
    struct fp_outline_number list[FP_OUTLINE_NUMBERS];
    size_t n = 0;
    const int rank = fp_outline_rank(o, node->in[0]);
    const int64_t *axes = fp_attr_ints(node, "axes", &n);
    const int gone = axes ? (int)n : fp_outline_numbers(o, node, 1, list);
    if (rank < 0 || gone < 1 || gone > rank) return;
    set_rank(o, node->out[0], fp_attr_int(node, "keepdims", 1) ? rank : rank - gone);
}

// The same but for the axis that it names, or for all that a part may be of.
static void of_others(const struct fp_outlines *o, const struct fp_node *node, int out) {
    const int rank = fp_outline_rank(o, node->in[0]);
    int64_t axis = fp_attr_int(node, "axis", fp_node_op(node)->passage == FP_PASSAGE_CUTS ? FP_OUTLINE_AXES : 0);
    if (rank < 0) return;
    if (axis < 0) axis += rank;
    set_rank(o, out, rank);
    for (int i = 0; i < rank && axis < FP_OUTLINE_AXES; i++)
        if (i != axis) equate(o, out, i, &o->of[node->in[0]].axes[i]);
}

static void of_layer(const struct fp_outlines *o, const struct fp_node *node, const struct fp_op *op) {
    const int in = node->in[0], out = node->out[0], rank = fp_outline_rank(o, in);
    if (op->weight.view == FP_VIEW_MATRIX) {
        of_pair(o, node, true);
        return;
    }
    const struct fp_outline_axis first = fp_outline_axis_of(o, in, 0);
    if (op->weight.view == FP_VIEW_GEMM) set_rank(o, out, 2);
    else if (rank < 0) return;
    else if (op->weight.view == FP_VIEW_CONV || op->weight.view == FP_VIEW_CONV_TRANSPOSE) set_rank(o, out, rank);
    else return;
    if (!fp_attr_int(node, "transA", 0)) equate(o, out, 0, &first);
}

// [steps, directions, samples, units], and without steps.
static void of_recurrent(const struct fp_outlines *o, const struct fp_node *node) {
    const struct fp_outline_axis steps = fp_outline_axis_of(o, node->in[0], 0),
                                 samples = fp_outline_axis_of(o, node->in[0], 1);
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] < 0 || fp_attr_int(node, "layout", 0)) continue;
        set_rank(o, node->out[i], i ? 3 : 4);
        const char *way = fp_attr_text(node, "direction", "forward");
        o->of[node->out[i]].axes[i ? 0 : 1].length = strcmp(way, "bidirectional") ? 1 : 2;
        o->of[node->out[i]].axes[i ? 2 : 3].length = fp_attr_int(node, "hidden_size", 0);
        if (!i) equate(o, node->out[i], 0, &steps);
        equate(o, node->out[i], i ? 1 : 2, &samples);
    }
}

static void visit_shape(const struct fp_outlines *o, const struct fp_node *node, const struct fp_op *op) {
    const int in = node->in[0], out = node->out[0];
    if (fp_view_is_recurrent(op->weight.view)) of_recurrent(o, node);
    else if (op->weight.view != FP_VIEW_NONE) of_layer(o, node, op);
    else if (op->role == FP_ROLE_CASTS || op->role == FP_ROLE_IDENTITY) same_shape(o, in, out);
    else if (op->role == FP_ROLE_DIVIDES) of_pair(o, node, false);
    else switch ((enum fp_passage)op->passage) {
        case FP_PASSAGE_KEEPS:
        case FP_PASSAGE_MIXES: same_shape(o, in, out); break;
        case FP_PASSAGE_JOINS:
        case FP_PASSAGE_SUMS: of_pair(o, node, false); break;
        case FP_PASSAGE_TURNS: of_transpose(o, node); break;
        case FP_PASSAGE_RESHAPES: of_reshape(o, node); break;
        case FP_PASSAGE_TAKES: of_gather(o, node); break;
        case FP_PASSAGE_SQUEEZES: of_axes(o, node, false); break;
        case FP_PASSAGE_UNSQUEEZES: of_axes(o, node, true); break;
        case FP_PASSAGE_REDUCES: of_reduce(o, node); break;
        case FP_PASSAGE_POOLS:
        case FP_PASSAGE_REMOVES:
        case FP_PASSAGE_PADS:
        case FP_PASSAGE_RESIZES: of_planes(o, node); break;
        case FP_PASSAGE_FLATTENS: set_rank(o, out, 2); break;
        case FP_PASSAGE_MEASURES:
        case FP_PASSAGE_COUNTS: set_rank(o, out, 1); break;
        case FP_PASSAGE_APPENDS: of_others(o, node, out); break;
        case FP_PASSAGE_PARTS:
        case FP_PASSAGE_CUTS:
            for (int i = 0; i < node->n_out; i++)
                if (node->out[i] >= 0) of_others(o, node, node->out[i]);
            break;
        default: break;
        }
}

bool fp_outline_visit(struct fp_outlines *o, const struct fp_node *node) {
    const struct fp_op *op = fp_node_op(node);
    if (!op || node->n_bodies || !node->n_in || !node->n_out || node->in[0] < 0 || node->out[0] < 0) return true;
    if (is_stored(o, node->out[0])) return true;
    visit_shape(o, node, op);
    return visit_numbers(o, node, op);
}

int fp_outlines_init(struct fp_outlines *out, const struct fp_weights *weights, struct fp_exec *exec,
                     fineprune_error *err) {
    const int n = weights->model->graph->n_values;
    *out = (struct fp_outlines){.weights = weights, .exec = exec, .arena = {.what = "channels"}};
    out->of = fp_arena_take(&out->arena, (size_t)n, sizeof(*out->of));
    for (int i = 0; i < n && out->of; i++) look(out, i);
    return fp_arena_check(&out->arena, err);
}

void fp_outlines_free(struct fp_outlines *outlines) { fp_arena_free(&outlines->arena); }
