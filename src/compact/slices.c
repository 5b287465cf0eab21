// SPDX-License-Identifier: Apache-2.0
// Every stored tensor that a node of a group reads either has nothing to do with the channels (one element, an axis of
// length 1), or is cut along one axis; what can be neither makes the group stay. A tensor that something else reads too
// cannot be cut.
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

static void leave(struct search *s, int group, const char *reason) {
    if (group >= 0 && !s->out->reasons[group]) s->out->reasons[group] = reason;
}

// ---- stored tensors

static struct fp_slice *slice_of(struct search *s, Onnx__TensorProto *proto, int group, int axis) {
    for (size_t i = 0; i < s->out->n; i++) {
        struct fp_slice *slice = &s->out->items[i];
        if (slice->proto == proto && slice->group == group && slice->axis == axis) return slice;
    }
    return NULL;
}

static int add_slice(struct search *s, const struct fp_slice *wanted) {
    struct fp_slice *known = slice_of(s, wanted->proto, wanted->group, wanted->axis);
    if (known) {
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

// Whether the value is constant, and of which shape.
static bool shape_of(const struct search *s, int value, struct fp_tensor *shape) {
    Onnx__TensorProto *proto = fp_stored_tensor(&s->graph->values[value]);
    return proto && !fp_initializer_shape(s->weights->model, proto, shape, NULL, NULL);
}

// The tensor behind the value loses the group's channels along an axis.
static int cut(struct search *s, int group, int value, int axis) {
    const size_t channels = s->groups->items[group].channels;
    struct fp_tensor shape;
    if (!shape_of(s, value, &shape)) return leave(s, group, "a tensor of it is computed, not stored"), FINEPRUNE_OK;
    if (axis < 0 || axis >= shape.rank || shape.dims[axis] % (int64_t)channels)
        return leave(s, group, "a tensor of it has another shape than its channels"), FINEPRUNE_OK;
    const struct fp_slice slice = {.proto = fp_stored_tensor(&s->graph->values[value]),
                                   .graph = s->graph,
                                   .value = value,
                                   .group = group,
                                   .axis = axis,
                                   .length = (size_t)shape.dims[axis]};
    return add_slice(s, &slice);
}

// A constant beside the channels of `place`, by the rules of broadcasting.
static int cut_beside(struct search *s, const struct fp_channel_place *place, int value) {
    struct fp_tensor shape;
    if (!shape_of(s, value, &shape)) return leave(s, place->group, "a constant beside it is computed"), FINEPRUNE_OK;
    if (shape.count == 1) return FINEPRUNE_OK;
    if (place->axis >= 0 && !place->rank)
        return leave(s, place->group, "the rank of one of its values is not known"), FINEPRUNE_OK;
    const int behind = place->axis < 0 ? 1 : place->rank - place->axis, axis = shape.rank - behind;
    if (axis < 0 || shape.dims[axis] == 1) return FINEPRUNE_OK;
    return cut(s, place->group, value, axis);
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

static int visit_maker(struct search *s, const struct fp_node *node, int group, int rows) {
    const int bias = fp_node_op(node)->weight.bias;
    int status = cut(s, group, node->in[1], rows);
    if (status || !bias || !is_given(node, bias)) return status;
    struct fp_tensor shape;
    if (!shape_of(s, node->in[bias], &shape)) return leave(s, group, "its bias is computed"), FINEPRUNE_OK;
    if (shape.count == 1 || shape.dims[shape.rank - 1] == 1) return FINEPRUNE_OK;
    return cut(s, group, node->in[bias], shape.rank - 1);
}

static int visit_weight(struct search *s, const struct fp_node *node, const struct fp_weight *w) {
    const int in = node->in[0] < 0 ? -1 : s->groups->places[node->in[0]].group,
              out = s->groups->places[node->out[0]].group;
    int rows, columns, status = FINEPRUNE_OK;
    axes_of(w, &rows, &columns);
    if (out >= 0) status = visit_maker(s, node, out, rows);
    if (in >= 0 && !status) status = cut(s, in, node->in[1], columns);
    return status;
}

static int visit_filter(struct search *s, const struct fp_node *node, int group) {
    int status = cut(s, group, node->in[1], 0);
    if (!status && is_given(node, 2)) status = cut(s, group, node->in[2], 0);
    struct fp_cut_node *nodes = fp_grow(s->out->nodes, &s->out->node_capacity, s->out->n_nodes + 1, sizeof(*nodes));
    if (!nodes) return fp_fail_memory(s->err, "channels", sizeof(*nodes));
    s->out->nodes = nodes;
    nodes[s->out->n_nodes++] = (struct fp_cut_node){node, group};
    return status;
}

// A shape that names the length of the axis becomes another.
static int visit_reshape(struct search *s, const struct fp_node *node, int group) {
    struct fp_tensor shape = {0};
    if (!is_given(node, 1)) return leave(s, group, "a Reshape of it has its shape as an attribute"), FINEPRUNE_OK;
    int status = fp_exec_constant(s->exec, s->graph, node->in[1], &shape, s->err);
    if (status) return status;
    const int64_t length = ((const int64_t *)shape.data)[1];
    fp_tensor_done(&shape);
    if (length <= 0) return FINEPRUNE_OK;
    Onnx__TensorProto *proto = fp_stored_tensor(&s->graph->values[node->in[1]]);
    if (!proto || length % (int64_t)s->groups->items[group].channels)
        return leave(s, group, "a Reshape of it has a shape that is computed"), FINEPRUNE_OK;
    const struct fp_slice slice = {.proto = proto,
                                   .graph = s->graph,
                                   .value = node->in[1],
                                   .group = group,
                                   .axis = 1,
                                   .length = (size_t)length,
                                   .numbers = true};
    return add_slice(s, &slice);
}

// Stored numbers of each channel, one after the other.
static int cut_each(struct search *s, const struct fp_node *node, int group) {
    int status = FINEPRUNE_OK;
    for (int i = 1; i < node->n_in && !status; i++)
        if (node->in[i] >= 0) status = cut(s, group, node->in[i], 0);
    return status;
}

static int visit_elementwise(struct search *s, const struct fp_node *node, const struct fp_channel_place *place) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_in && !status; i++)
        if (node->in[i] >= 0 && s->groups->places[node->in[i]].group < 0) status = cut_beside(s, place, node->in[i]);
    return status;
}

static int visit_passage(struct search *s, const struct fp_node *node, const struct fp_channel_place *place) {
    const struct fp_op *op = fp_node_op(node);
    const int group = place->group;
    if (!op) return leave(s, group, "an operator of it is not known"), FINEPRUNE_OK;
    switch ((enum fp_passage)op->passage) {
    case FP_PASSAGE_FILTERS: return visit_filter(s, node, group);
    case FP_PASSAGE_RESHAPES: return visit_reshape(s, node, group);
    case FP_PASSAGE_KEEPS:
        if (fp_node_role(node) == FP_ROLE_NORMALIZES) return cut_each(s, node, group);
        return visit_elementwise(s, node, place);
    case FP_PASSAGE_JOINS:
    case FP_PASSAGE_SUMS: return visit_elementwise(s, node, place);
    case FP_PASSAGE_POOLS: return cut_each(s, node, group);
    case FP_PASSAGE_FLATTENS:
    case FP_PASSAGE_TURNS:
    case FP_PASSAGE_PADS:
    case FP_PASSAGE_REDUCES:
    case FP_PASSAGE_RESIZES:
    case FP_PASSAGE_REMOVES: return FINEPRUNE_OK;
    default: return leave(s, group, "an operator of it does not keep channels apart"), FINEPRUNE_OK;
    }
}

static int visit(struct search *s, const struct fp_node *node) {
    if (s->weight_of[node->id] >= 0) return visit_weight(s, node, &s->weights->items[s->weight_of[node->id]]);
    if (!node->n_out || node->out[0] < 0 || s->groups->places[node->out[0]].group < 0) return FINEPRUNE_OK;
    return visit_passage(s, node, &s->groups->places[node->out[0]]);
}

// ---- all

static int readers_of(const struct fp_slice *slice) { return slice->graph->values[slice->value].n_readers; }

// Two values can lie in one stored tensor: its slices of one axis must be of one group, and of one value.
static void check_readers(struct search *s) {
    for (size_t i = 0; i < s->out->n; i++) {
        const struct fp_slice *a = &s->out->items[i];
        if (a->readings != readers_of(a)) leave(s, a->group, "a tensor of it is read elsewhere too");
        for (size_t k = 0; k < s->out->n; k++) {
            const struct fp_slice *b = &s->out->items[k];
            if (a->proto == b->proto && a->axis == b->axis && a->group != b->group)
                leave(s, a->group, "a tensor of it is another group's too");
        }
    }
}

int fp_slices_find(struct fp_slices *out, const struct fp_weights *weights, const struct fp_channel_groups *groups,
                   struct fp_exec *exec, fineprune_error *err) {
    const struct fp_graph *graph = weights->model->graph;
    FP_STAGE(room, "channels");
    *out = (struct fp_slices){.reasons = fp_calloc((size_t)groups->n, sizeof(*out->reasons))};
    struct search s = {.weights = weights, .groups = groups, .graph = graph, .exec = exec, .out = out, .err = err};
    s.weight_of = fp_arena_take(&room, (size_t)graph->n_nodes, sizeof(int));
    if (!out->reasons || !s.weight_of) return fp_fail_memory(err, "channels", (size_t)graph->n_nodes * sizeof(int));
    for (int i = 0; i < graph->n_nodes; i++) s.weight_of[i] = -1;
    for (int i = weights->n; i-- > 0;)
        if (weights->items[i].node->graph == graph) s.weight_of[weights->items[i].node->id] = i;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_nodes && !status; i++) status = visit(&s, &graph->nodes[i]);
    check_readers(&s);
    return status;
}

void fp_slices_free(struct fp_slices *slices) {
    free(slices->items);
    free(slices->nodes);
    free(slices->reasons);
    *slices = (struct fp_slices){0};
}
