// SPDX-License-Identifier: Apache-2.0
// Every stored tensor that a node of a group reads either has nothing to do with the channels (one element, an axis of
// length 1), or is cut along one axis; what can be neither makes the group stay. A tensor that something else reads too
// cannot be cut, unless it is as small as its channels are many: then a node can have a copy.
#include "compact/slices.h"

#include <stdlib.h>

#include "exec/op_list.h"

struct search {
    const struct fp_weights *weights;
    const struct fp_channel_groups *groups;
    const struct fp_graph *graph;
    struct fp_exec *exec;
    int *weight_of; // by node: the weight in it, -1: none
    struct fp_slices *out;
    fineprune_error *err;
};

enum { MOST_MOVES = 16 }; // one behind the other

static void leave(struct search *s, const struct fp_lanes *lanes, const char *reason) {
    for (size_t i = 0; i < lanes->n; i++) {
        const int group = fp_channel_at(s->groups, lanes, i).group;
        if (group >= 0 && !s->out->reasons[group]) s->out->reasons[group] = reason;
    }
}

static bool has_groups(const struct search *s, const struct fp_lanes *lanes) {
    for (size_t i = 0; i < lanes->n; i++)
        if (fp_channel_at(s->groups, lanes, i).group >= 0) return true;
    return false;
}

// ---- stored tensors

static bool are_alike(const struct search *s, const struct fp_lanes *a, const struct fp_lanes *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct fp_channel_member x = fp_channel_at(s->groups, a, i), y = fp_channel_at(s->groups, b, i);
        if (x.group != y.group || (x.group >= 0 && x.number != y.number)) return false;
    }
    return true;
}

static bool is_same_tensor(const struct fp_slice *a, const struct fp_slice *b) {
    return a->value == b->value || (a->proto && a->proto == b->proto);
}

static int add_slice(struct search *s, const struct fp_slice *wanted) {
    for (size_t i = 0; i < s->out->n; i++) {
        struct fp_slice *known = &s->out->items[i];
        if (wanted->own || !is_same_tensor(known, wanted) || known->axis != wanted->axis ||
            !are_alike(s, &known->lanes, &wanted->lanes))
            continue;
        known->readings++;
        return FINEPRUNE_OK;
    }
    struct fp_slice *items = fp_grow(s->out->items, &s->out->capacity, s->out->n + 1, sizeof(*items));
    if (!items) return fp_fail_memory(s->err, "channels", (s->out->n + 1) * sizeof(*items));
    s->out->items = items;
    items[s->out->n] = *wanted;
    items[s->out->n++].readings = 1;
    return FINEPRUNE_OK;
}

static int add_number(struct search *s, const struct fp_cut_number *wanted) {
    struct fp_cut_number *numbers = fp_grow(s->out->numbers, &s->out->number_capacity, s->out->n_numbers + 1,
                                            sizeof(*numbers));
    if (!numbers) return fp_fail_memory(s->err, "channels", (s->out->n_numbers + 1) * sizeof(*numbers));
    s->out->numbers = numbers;
    numbers[s->out->n_numbers++] = *wanted;
    return FINEPRUNE_OK;
}

// Whether the value is stored, and of which shape.
static bool shape_of(const struct search *s, int value, struct fp_tensor *shape) {
    Onnx__TensorProto *proto = fp_stored_tensor(&s->graph->values[value]);
    return proto && !fp_initializer_shape(s->weights->model, proto, shape, NULL, NULL);
}

// Whether the value has stored elements in another order: quantized and narrow ones would become longer by themselves.
static bool is_moved(const struct search *s, int value, int depth) {
    const struct fp_node *node = value < 0 ? NULL : s->graph->values[value].producer;
    if (value >= 0 && fp_stored_tensor(&s->graph->values[value])) return true;
    if (!node || !fp_node_op(node) || depth > MOST_MOVES) return false;
    const enum fp_role role = fp_node_role(node);
    bool moved = role == FP_ROLE_IDENTITY || role == FP_ROLE_RESHAPES || role == FP_ROLE_SETS_AXES ||
                 role == FP_ROLE_ARRANGES || role == FP_ROLE_JOINS;
    for (int i = 0; i < (role == FP_ROLE_JOINS ? node->n_in : 1) && moved; i++)
        moved = is_moved(s, node->in[i], depth + 1);
    return moved;
}

// Or computed from constants, for one node of the main graph.
static bool shape_of_computed(const struct search *s, int value, struct fp_tensor *shape) {
    const struct fp_value *v = &s->graph->values[value];
    struct fp_tensor t = {0};
    if (v->n_readers != 1 || !v->readers[0].node || v->readers[0].index < 0) return false;
    if (!is_moved(s, value, 0)) return false;
    if (!fp_exec_is_constant(s->exec, s->graph, value) || fp_exec_constant(s->exec, s->graph, value, &t, NULL))
        return false;
    *shape = t;
    shape->data = NULL;
    fp_tensor_done(&t);
    return true;
}

// Whether the node's input is what its layer learned, which may be shared on purpose.
static bool is_weight(const struct search *s, const struct fp_node *node, int input) {
    return s->weight_of[node->id] >= 0 && input != fp_node_op(node)->weight.bias;
}

// The tensor behind the node's input loses channels along an axis.
static int cut(struct search *s, const struct fp_lanes *lanes, struct fp_node *node, int input, int axis) {
    const int value = node->in[input];
    struct fp_tensor shape;
    if (!has_groups(s, lanes)) return FINEPRUNE_OK;
    if (!shape_of(s, value, &shape) && !shape_of_computed(s, value, &shape))
        return leave(s, lanes, "a tensor of it is computed, not stored"), FINEPRUNE_OK;
    if (axis < 0 || axis >= shape.rank || shape.dims[axis] % (int64_t)lanes->n)
        return leave(s, lanes, "a tensor of it has another shape than its channels"), FINEPRUNE_OK;
    const struct fp_slice slice = {.proto = fp_stored_tensor(&s->graph->values[value]),
                                   .bytes = shape.count * fp_type_size(shape.type),
                                   .graph = s->graph,
                                   .value = value,
                                   .axis = axis,
                                   .reader = {node, input},
                                   .own = fp_stored_tensor(&s->graph->values[value]) && !is_weight(s, node, input) &&
                                          shape.count == (size_t)shape.dims[axis],
                                   .lanes = *lanes,
                                   .per = (size_t)shape.dims[axis] / lanes->n};
    return add_slice(s, &slice);
}

// A constant beside the channels of `place`, by the rules of broadcasting.
static int cut_beside(struct search *s, const struct fp_channel_place *place, struct fp_node *node, int input) {
    struct fp_tensor shape;
    if (!shape_of(s, node->in[input], &shape))
        return leave(s, &place->lanes, "a constant beside it is computed"), FINEPRUNE_OK;
    if (shape.count == 1) return FINEPRUNE_OK;
    if (place->axis >= 0 && !place->rank)
        return leave(s, &place->lanes, "the rank of one of its values is not known"), FINEPRUNE_OK;
    const int behind = place->axis < 0 ? 1 : place->rank - place->axis, axis = shape.rank - behind;
    if (axis < 0 || shape.dims[axis] == 1) return FINEPRUNE_OK;
    return cut(s, &place->lanes, node, input, axis);
}

// ---- nodes

static bool is_given(const struct fp_node *node, int i) { return i < node->n_in && node->in[i] >= 0; }

// Axes of the operand's rows and columns.
static void axes_of(const struct fp_weight *w, int *rows, int *columns) {
    const bool turned = fp_attr_int(w->node, "transB", 0);
    *rows = w->rank - 1;
    *columns = w->rank - 2;
    if (w->view == FP_VIEW_CONV_TRANSPOSE) *rows = 1, *columns = 0;
    if (w->view == FP_VIEW_CONV_TRANSPOSE) return;
    if (w->view != FP_VIEW_CONV && !turned) return;
    *rows = w->view == FP_VIEW_CONV ? 0 : w->rank - 2;
    *columns = w->view == FP_VIEW_CONV ? 1 : w->rank - 1;
}

static int visit_maker(struct search *s, struct fp_node *node, const struct fp_lanes *lanes, int rows) {
    const int bias = fp_node_op(node)->weight.bias;
    int status = cut(s, lanes, node, 1, rows);
    if (status || !bias || !is_given(node, bias)) return status;
    struct fp_tensor shape;
    if (!shape_of(s, node->in[bias], &shape)) return leave(s, lanes, "its bias is computed"), FINEPRUNE_OK;
    if (shape.count == 1 || shape.dims[shape.rank - 1] == 1) return FINEPRUNE_OK;
    return cut(s, lanes, node, bias, shape.rank - 1);
}

// Both weights, the bias of both, the number of units, and what the states start with, which are zeros.
static int visit_recurrent(struct search *s, struct fp_node *node, const struct fp_lanes *units) {
    const int bias = fp_node_op(node)->weight.bias;
    struct fp_lanes biases = {0};
    const struct fp_cut_number hidden = {node, -1, "hidden_size", 0, *units, 1};
    int status = add_number(s, &hidden);
    for (int i = 5; i < node->n_in && !status; i++) {
        const struct fp_cut_number start = {node, i, NULL, 0, *units, 0};
        if (is_given(node, i)) status = add_number(s, &start);
    }
    struct fp_tensor shape;
    if (status || !is_given(node, bias)) return status;
    if (!shape_of(s, node->in[bias], &shape) || shape.rank != 2)
        return leave(s, units, "its bias is computed"), FINEPRUNE_OK;
    biases.n = (size_t)shape.dims[1];
    biases.of = fp_arena_take(&s->out->arena, biases.n, sizeof(int));
    if (!biases.of) return fp_arena_check(&s->out->arena, s->err);
    for (size_t i = 0; i < biases.n; i++) biases.of[i] = units->of[i % units->n];
    return cut(s, &biases, node, bias, 1);
}

static int visit_recurrent_weights(struct search *s, struct fp_node *node) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < s->weights->n && !status; i++) {
        const struct fp_weight *w = &s->weights->items[i];
        if (w->node != node || !s->groups->rows[i].n) continue;
        status = cut(s, &s->groups->rows[i], node, w->uses[0].slot, 1);
        if (!status && s->groups->columns[i].n) status = cut(s, &s->groups->columns[i], node, w->uses[0].slot, 2);
        if (!status && w->uses[0].slot == 2) status = visit_recurrent(s, node, &s->groups->columns[i]);
    }
    return status;
}

// A convolution of several groups, which leave as wholes.
static int visit_filter(struct search *s, struct fp_node *node) {
    const bool transposed = fp_node_op(node)->weight.view == FP_VIEW_CONV_TRANSPOSE;
    const struct fp_lanes *in = &s->groups->places[node->in[0]].lanes, *out = &s->groups->places[node->out[0]].lanes;
    const size_t n = (size_t)fp_attr_int(node, "group", 1), each = out->n / n;
    struct fp_lanes groups = {n, fp_arena_take(&s->out->arena, n, sizeof(int))};
    if (!groups.of) return fp_arena_check(&s->out->arena, s->err);
    for (size_t i = 0; i < n; i++) groups.of[i] = out->of[i * each];
    const struct fp_cut_number group = {node, -1, "group", 0, groups, 1};
    int status = cut(s, transposed ? in : out, node, 1, 0);
    if (!status && is_given(node, 2)) status = cut(s, out, node, 2, 0);
    return status ? status : add_number(s, &group);
}

static int visit_weight(struct search *s, struct fp_node *node, int number) {
    const struct fp_lanes *rows = &s->groups->rows[number], *columns = &s->groups->columns[number];
    int row_axis, column_axis, status = FINEPRUNE_OK;
    if (fp_view_is_recurrent(s->weights->items[number].view)) return visit_recurrent_weights(s, node);
    if (!rows->n && has_groups(s, &s->groups->places[node->out[0]].lanes)) return visit_filter(s, node);
    axes_of(&s->weights->items[number], &row_axis, &column_axis);
    if (rows->n) status = visit_maker(s, node, rows, row_axis);
    if (columns->n && !status) status = cut(s, columns, node, 1, column_axis);
    return status;
}

struct fp_channel_place fp_place_that_shrinks(struct fp_arena *arena, const struct fp_channel_place *place) {
    struct fp_channel_place p = *place;
    if (!fp_channel_is_grid(place)) return p;
    p.lanes = fp_channel_along(arena, place, place->shrinks);
    if (!p.lanes.of) p.lanes.n = 0;
    p.axis = place->axes[place->shrinks].axis;
    return p;
}

// Whether a number is the length of an axis along which channels leave. *lanes: them.
static bool moves(struct search *s, const struct fp_outline_number *said, struct fp_lanes *lanes) {
    if (said->measured < 0 || !s->groups->places[said->measured].lanes.n) return false;
    const struct fp_channel_place *from = &s->groups->places[said->measured];
    const struct fp_channel_place p = fp_place_that_shrinks(&s->out->arena, from);
    *lanes = p.lanes;
    return p.axis == said->along || (p.axis < 0 && (!p.rank || said->along == p.rank - 1));
}

// The number of a shape that says how many lanes lie along an axis. It follows by itself where it is a copy, what is
// left over, or measured of the same channels; a stored one, and one that can be stored, changes.
static int visit_length(struct search *s, const struct fp_channel_place *place, const struct fp_channel_axis *axis) {
    const struct fp_outline_number *said = &axis->said;
    struct fp_lanes from = {0};
    const bool whole = said->value == 0 || said->value == -1, measured = moves(s, said, &from);
    if (whole && said->stored == said->value) return FINEPRUNE_OK;
    const int64_t each = said->value > 0 ? said->value : (int64_t)axis->n;
    if (said->node && (!said->stored || (said->times == 1 && said->over == 1)) && each % (int64_t)axis->n == 0) {
        const struct fp_cut_number number = {
            said->node, said->input, NULL, said->index, place->lanes, (size_t)each / axis->n, !said->stored};
        return add_number(s, &number);
    }
    if (said->node && said->stored == (int64_t)axis->n && said->over == 1 && !measured) { // times something else
        const struct fp_cut_number number = {said->node, said->input, NULL, said->index, place->lanes, 1, false};
        return add_number(s, &number);
    }
    if (measured && said->times == 1 && said->over == 1 && are_alike(s, &from, &place->lanes)) return FINEPRUNE_OK;
    return leave(s, &place->lanes, "a Reshape of it has a shape that is computed"), FINEPRUNE_OK;
}

// A Reshape that spreads channels over axes, or lays them side by side again.
static int visit_regrid(struct search *s, const struct fp_channel_place *place) {
    const struct fp_channel_place p = fp_place_that_shrinks(&s->out->arena, place);
    struct fp_lanes from;
    int status = fp_arena_check(&s->out->arena, s->err);
    for (int i = 0; i < place->n_axes && !status; i++) {
        if (i == place->shrinks) status = visit_length(s, &p, &place->axes[i]);
        else if (moves(s, &place->axes[i].said, &from))
            leave(s, &p.lanes, "a Reshape of it has a shape that is computed");
    }
    return status;
}

// A shape that names the length of the axis becomes another.
static int visit_reshape(struct search *s, const struct fp_node *node, const struct fp_channel_place *place) {
    const struct fp_lanes *lanes = &place->lanes;
    struct fp_tensor shape = {0};
    if (place->n_axes) return visit_regrid(s, place);
    if (!is_given(node, 1)) return leave(s, lanes, "a Reshape of it has its shape as an attribute"), FINEPRUNE_OK;
    int status = fp_exec_constant(s->exec, s->graph, node->in[1], &shape, s->err);
    if (status) return status;
    const int64_t length = ((const int64_t *)shape.data)[1];
    fp_tensor_done(&shape);
    if (length <= 0) return FINEPRUNE_OK;
    if (length % (int64_t)lanes->n)
        return leave(s, lanes, "a Reshape of it has a shape that is computed"), FINEPRUNE_OK;
    const struct fp_cut_number number = {node, 1, NULL, 1, *lanes, (size_t)length / lanes->n, false};
    return add_number(s, &number);
}

// One length for each output. Where none are given the parts are equally long, and stay so while they lose the same
// channels; else lengths are stored first, which old operator sets have no input for.
static int visit_parts(struct search *s, const struct fp_node *node) {
    const bool attribute = fp_attr_has(node, "split"), input = is_given(node, 1);
    int status = FINEPRUNE_OK;
    for (int i = 1; i < node->n_out && !attribute && !input && node->opset < FP_SPLIT_LENGTHS_SINCE; i++) {
        const struct fp_lanes *one = &s->groups->places[node->out[0]].lanes,
                              *other = &s->groups->places[node->out[i]].lanes;
        if (!are_alike(s, one, other))
            leave(s, one, "a Split of it says no lengths"), leave(s, other, "a Split of it says no lengths");
    }
    if (!attribute && !input) return FINEPRUNE_OK;
    for (int i = 0; i < node->n_out && !status; i++) {
        if (node->out[i] < 0 || !s->groups->places[node->out[i]].cut) continue; // along another axis
        const struct fp_lanes *piece = &s->groups->places[node->out[i]].lanes;
        const struct fp_cut_number number = {node, attribute ? -1 : 1, attribute ? "split" : NULL, (size_t)i, *piece,
                                             1};
        status = add_number(s, &number);
    }
    return status;
}

// Where the part starts, and where it ends.
static int visit_part(struct search *s, const struct fp_node *node, const struct fp_channel_place *place) {
    const struct fp_lanes *whole = &s->groups->places[node->in[0]].lanes;
    const bool attribute = fp_attr_has(node, "starts");
    if (!place->cut) return FINEPRUNE_OK;
    const size_t before = (size_t)(place->lanes.of - whole->of), entry = (size_t)place->cut - 1;
    struct fp_cut_number number = {node,  attribute ? -1 : 1,  attribute ? "starts" : NULL,
                                   entry, {before, whole->of}, 1};
    int status = add_number(s, &number);
    number = (struct fp_cut_number){
        node, attribute ? -1 : 2, attribute ? "ends" : NULL, entry, {before + place->lanes.n, whole->of}, 1};
    return status ? status : add_number(s, &number);
}

// Stored numbers of each channel, one after the other.
static int cut_each(struct search *s, struct fp_node *node, const struct fp_lanes *lanes) {
    int status = FINEPRUNE_OK;
    for (int i = 1; i < node->n_in && !status; i++)
        if (node->in[i] >= 0) status = cut(s, lanes, node, i, 0);
    return status;
}

static int visit_elementwise(struct search *s, struct fp_node *node, const struct fp_channel_place *place) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_in && !status; i++) {
        const int in = node->in[i];
        if (in < 0 || s->groups->places[in].lanes.n || !fp_exec_is_constant(s->exec, s->graph, in)) continue;
        status = cut_beside(s, place, node, i); // what is computed has one element there
    }
    return status;
}

static int visit_passage(struct search *s, struct fp_node *node, const struct fp_channel_place *whole) {
    const struct fp_op *op = fp_node_op(node);
    const struct fp_channel_place shrinks = fp_place_that_shrinks(&s->out->arena, whole), *place = &shrinks;
    const struct fp_lanes *lanes = &place->lanes;
    int status = fp_arena_check(&s->out->arena, s->err);
    if (status) return status;
    if (!op) return leave(s, lanes, "an operator of it is not known"), FINEPRUNE_OK;
    switch ((enum fp_passage)op->passage) {
    case FP_PASSAGE_FILTERS: return visit_filter(s, node);
    case FP_PASSAGE_RESHAPES: return visit_reshape(s, node, whole);
    case FP_PASSAGE_KEEPS:
        if (fp_node_role(node) == FP_ROLE_NORMALIZES) return cut_each(s, node, lanes);
        return visit_elementwise(s, node, place);
    case FP_PASSAGE_JOINS:
    case FP_PASSAGE_SUMS: return visit_elementwise(s, node, place);
    case FP_PASSAGE_POOLS: return cut_each(s, node, lanes);
    case FP_PASSAGE_PARTS: return visit_parts(s, node);
    case FP_PASSAGE_CUTS: return visit_part(s, node, place);
    case FP_PASSAGE_APPENDS:
    case FP_PASSAGE_TAKES:
    case FP_PASSAGE_UNSQUEEZES:
    case FP_PASSAGE_MIXES:
    case FP_PASSAGE_MULTIPLIES:
    case FP_PASSAGE_SQUEEZES:
    case FP_PASSAGE_FLATTENS:
    case FP_PASSAGE_TURNS:
    case FP_PASSAGE_PADS:
    case FP_PASSAGE_REDUCES:
    case FP_PASSAGE_RESIZES:
    case FP_PASSAGE_REMOVES: return FINEPRUNE_OK;
    default: return leave(s, lanes, "an operator of it does not keep channels apart"), FINEPRUNE_OK;
    }
}

static int visit(struct search *s, struct fp_node *node) {
    if (s->weight_of[node->id] >= 0) return visit_weight(s, node, s->weight_of[node->id]);
    const int in = node->n_in ? node->in[0] : -1, out = node->n_out ? node->out[0] : -1;
    const bool whole = in >= 0 && has_groups(s, &s->groups->places[in].lanes);
    if (out < 0 || !s->groups->places[out].lanes.n) return FINEPRUNE_OK;
    if (!whole && !has_groups(s, &s->groups->places[out].lanes)) return FINEPRUNE_OK;
    return visit_passage(s, node, &s->groups->places[out]);
}

// ---- all

static int readers_of(const struct fp_slice *slice) { return slice->graph->values[slice->value].n_readers; }

// Two values can lie in one stored tensor: its slices of one axis must be of the same channels, and of one value.
static void check_readers(struct search *s) {
    for (size_t i = 0; i < s->out->n; i++) {
        const struct fp_slice *a = &s->out->items[i];
        if (!a->own && a->readings != readers_of(a)) leave(s, &a->lanes, "a tensor of it is read elsewhere too");
        for (size_t k = 0; k < s->out->n; k++) {
            const struct fp_slice *b = &s->out->items[k];
            if (is_same_tensor(a, b) && a->axis == b->axis && i != k && !(a->own && b->own))
                leave(s, &a->lanes, "a tensor of it is another group's too");
        }
    }
}

int fp_slices_find(struct fp_slices *out, const struct fp_weights *weights, const struct fp_channel_groups *groups,
                   struct fp_exec *exec, fineprune_error *err) {
    const struct fp_graph *graph = weights->model->graph;
    FP_STAGE(room, "channels");
    *out = (struct fp_slices){.reasons = fp_calloc((size_t)groups->n, sizeof(*out->reasons)),
                              .arena = {.what = "channels"}};
    struct search s = {.weights = weights, .groups = groups, .graph = graph, .exec = exec, .out = out, .err = err};
    s.weight_of = fp_arena_take(&room, (size_t)graph->n_nodes, sizeof(int));
    if (!out->reasons || !s.weight_of) return fp_fail_memory(err, "channels", (size_t)graph->n_nodes * sizeof(int));
    for (int i = 0; i < graph->n_nodes; i++) s.weight_of[i] = -1;
    for (int i = weights->n; i-- > 0;)
        if (weights->items[i].node->graph == graph) s.weight_of[weights->items[i].node->id] = i;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_nodes && !status; i++) status = visit(&s, &graph->nodes[i]);
    if (!status) status = fp_exec_unheard(exec, err);
    check_readers(&s);
    return status;
}

void fp_slices_free(struct fp_slices *slices) {
    free(slices->items);
    free(slices->numbers);
    fp_arena_free(&slices->arena);
    free(slices->reasons);
    *slices = (struct fp_slices){0};
}
