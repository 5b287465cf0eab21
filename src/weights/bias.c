// SPDX-License-Identifier: Apache-2.0
// Finding biases. A row's constant may be the operator's own bias, a constant that is added or taken away behind it, or
// the mean of a normalization behind it; it may be stored in any way in which weights are (weight_trace.c). What is
// stored can be written where it lies, unless something else reads it or it has another shape: then the layer can get a
// copy of its own. A layer without a bias can get zeros, as an input or as a sum behind it.
#include "weights/bias.h"

#include <stdlib.h>

#include "exec/op_list.h"
#include "ops/einsum.h"
#include "weights/weight_share.h"
#include "weights/weight_trace.h"

void fp_bias_done(struct fp_bias *bias) {
    if (bias->view) {
        fp_sources_free(bias->view->sources, bias->view->n_sources);
        fp_tensor_done(&bias->view->map);
        free(bias->view);
    }
    fp_tensor_done(&bias->own);
    *bias = (struct fp_bias){0};
}

// What the row of a node with a weight says of it.
static const struct fp_op_weight *row_of(const struct fp_node *node) { return &fp_node_op(node)->weight; }

static bool is_convolution(const struct fp_weight *w) {
    return w->kind == FP_WEIGHT_CONV || w->kind == FP_WEIGHT_CONV_TRANSPOSE;
}

// ---- places

static const struct fp_node *only_reader(const struct fp_graph *graph, int value, int *index) {
    if (value < 0) return NULL;
    const struct fp_value *v = &graph->values[value];
    if (v->n_readers != 1 || !v->readers[0].node || v->readers[0].index < 0) return NULL;
    *index = v->readers[0].index;
    return v->readers[0].node;
}

// Whether what the node gives is its product as it is, rows last: a sum or a normalization after it can take a
// constant.
static bool gives_rows(const struct fp_weight *w, const struct fp_weight_use *use) {
    enum fp_einsum_role roles[FP_MAX_RANK];
    bool last = true;
    const int view = row_of(use->node)->view;
    if (view == FP_VIEW_EINSUM && (!fp_einsum_roles(use->node, use->slot, w->rank, roles, &last) || !last))
        return false;
    return view != FP_VIEW_INNER && !*fp_attr_text(use->node, "activation", "");
}

// Operators that hand on what comes in, position by position.
static bool hands_on(const struct fp_node *node, int index) {
    const enum fp_role role = fp_node_role(node);
    bool grid = role == FP_ROLE_QUANTIZES || role == FP_ROLE_DEQUANTIZES;
    return index == 0 && (role == FP_ROLE_IDENTITY || (role == FP_ROLE_DROPS && node->n_in < 3) || grid);
}

// A Reshape after which the rows are still the last axis.
static bool keeps_last(const struct fp_weight *w, const struct fp_node *node, int index) {
    if (fp_node_role(node) != FP_ROLE_RESHAPES || index || w->kind != FP_WEIGHT_RIGHT || w->groups != 1 ||
        node->out[0] < 0)
        return false;
    const struct fp_value *out = &node->graph->values[node->out[0]];
    return out->rank > 0 && out->dims[out->rank - 1] == (int64_t)w->rows;
}

static const struct fp_node *behind(const struct fp_weight *w, const struct fp_weight_use *use, int *index) {
    const struct fp_graph *graph = use->node->graph;
    if (!gives_rows(w, use)) return NULL;
    const struct fp_node *node = only_reader(graph, use->node->out[0], index);
    while (node && (hands_on(node, *index) || keeps_last(w, node, *index)))
        node = only_reader(graph, node->out[0], index);
    if (!node || node->graph != graph) return NULL;
    return node;
}

// y + c, c + y, y - c, c - y: with y = a W x, c is a times what the row adds, or minus that.
static struct fp_bias_place sum_behind(const struct fp_weight *w, const struct fp_weight_use *use, double alpha) {
    int index;
    const struct fp_node *node = behind(w, use, &index);
    const enum fp_role role = fp_node_role(node);
    bool sum = (role == FP_ROLE_ADDS || role == FP_ROLE_SUBTRACTS) && node->n_in == 2 && !fp_attr_has(node, "axis");
    if (!sum) return (struct fp_bias_place){0};
    if (role == FP_ROLE_SUBTRACTS) alpha = -alpha;
    return (struct fp_bias_place){node, 1 - index, alpha};
}

// (y - mean) * ...: what y loses, the mean loses too. Its channels are axis 1.
static struct fp_bias_place norm_behind(const struct fp_weight *w, const struct fp_weight_use *use, double alpha) {
    int index;
    const struct fp_node *node = behind(w, use, &index);
    bool norm = fp_node_role(node) == FP_ROLE_NORMALIZES && !index && node->n_in >= 5 &&
                !fp_attr_int(node, "training_mode", 0);
    if (!norm) return (struct fp_bias_place){0};
    const struct fp_value *y = &node->graph->values[node->in[0]];
    bool flat = row_of(use->node)->view == FP_VIEW_GEMM || y->rank == 2;
    if (!is_convolution(w) && (!flat || w->kind != FP_WEIGHT_RIGHT)) return (struct fp_bias_place){0};
    return (struct fp_bias_place){node, 3, -alpha};
}

struct fp_bias_place fp_bias_place_of(const struct fp_weight *w, int k, enum fp_bias_kind kind) {
    const struct fp_weight_use *use = &w->uses[k];
    const struct fp_node *node = use->node;
    const struct fp_op_weight *row = row_of(node);
    const int input = row->bias ? row->bias : -1;
    bool gemm = row->view == FP_VIEW_GEMM;
    double alpha = 1, beta = 1;
    if (gemm || row->view == FP_VIEW_SCALED) alpha = (double)fp_attr_float(node, "alpha", 1);
    if (gemm) beta = (double)fp_attr_float(node, "beta", 1);
    bool given = input >= 0 && node->n_in > input && node->in[input] >= 0;
    const struct fp_bias_place none = {0}, behind_it = {node, -1, alpha};
    struct fp_bias_place at_input = {node, input, alpha};
    if (alpha == 0) return none;
    if (beta != 0) at_input.sign /= beta;
    switch (kind) {
    case FP_BIAS_INPUT:
        if (!given || beta == 0) return none;
        return at_input;
    case FP_BIAS_SUM: return sum_behind(w, use, alpha);
    case FP_BIAS_NORM: return norm_behind(w, use, alpha);
    case FP_BIAS_NEW_INPUT:
        if (input < 0 || given || beta == 0) return none;
        return at_input;
    case FP_BIAS_NEW_SUM:
        if (!gives_rows(w, use)) return none;
        return behind_it;
    default: return none;
    }
}

// ---- shapes

// What the bias is as a tensor, as its place broadcasts it. Returns the rank.
static int form_of(const struct fp_weight *w, enum fp_bias_kind kind, int64_t *dims) {
    bool left = w->kind == FP_WEIGHT_LEFT, sum = kind == FP_BIAS_SUM || kind == FP_BIAS_NEW_SUM;
    int n = 0;
    if (fp_view_is_recurrent(w->view)) {
        dims[0] = (int64_t)w->groups, dims[1] = 2 * (int64_t)w->rows;
        return 2;
    }
    if (sum && is_convolution(w)) {
        dims[n++] = (int64_t)(w->groups * w->rows);
        while (n < w->rank - 1) dims[n++] = 1;
        return n;
    }
    if (sum && w->groups > 1) { // [groups.., 1, rows]
        for (; n < w->rank - 2; n++) dims[n] = w->dims[n];
        if (!left) dims[n++] = 1;
    }
    dims[n++] = (int64_t)(sum || left ? w->rows : w->groups * w->rows);
    if (left) dims[n++] = 1;
    return n;
}

// How one tensor lies in another of as many axes or fewer at its end: 2 when it is the same but for leading ones, 1
// when it spreads, 0 when neither.
static int compare_form(int rank, const int64_t *dims, int form_rank, const int64_t *form) {
    int result = rank < form_rank ? 1 : 2;
    for (int i = 0; i < rank; i++) {
        int at = i + form_rank - rank;
        int64_t wanted = at < 0 ? 1 : form[at];
        if (dims[i] == wanted) continue;
        if (dims[i] != 1) return 0;
        result = 1;
    }
    return result;
}

// ---- one bias

struct bias_finder {
    struct fp_weights *weights;
    struct fp_exec *exec;
    struct fp_owners bytes; // who has which stored bytes
    fineprune_error *err;
};

static int refuse(struct fp_bias *bias, const char *reason) {
    if (!bias->reason) bias->reason = reason;
    return FINEPRUNE_OK;
}

// Whether all uses have the place, with the same constant.
static bool same_places(const struct fp_weight *w, enum fp_bias_kind kind, struct fp_bias_place *first) {
    *first = fp_bias_place_of(w, 0, kind);
    if (!first->node) return false;
    for (int k = 1; k < w->n_uses; k++) {
        struct fp_bias_place p = fp_bias_place_of(w, k, kind);
        bool there = kind == FP_BIAS_NEW_INPUT || kind == FP_BIAS_NEW_SUM;
        if (!p.node || p.sign != first->sign || p.node->graph != first->node->graph) return false;
        if (!there && p.node->in[p.index] != first->node->in[first->index]) return false;
    }
    return true;
}

// Whether nothing but the weight's own places reads the stored numbers.
static int is_alone(struct bias_finder *f, const struct fp_weight *w, enum fp_bias_kind kind,
                    const struct fp_weight *view, bool *alone) {
    struct fp_weight_use *uses = fp_calloc((size_t)w->n_uses, sizeof(*uses));
    if (!uses) return fp_fail_memory(f->err, "a bias", sizeof(*uses));
    const char *other = NULL;
    int status = FINEPRUNE_OK;
    for (int k = 0; k < w->n_uses; k++) {
        struct fp_bias_place p = fp_bias_place_of(w, k, kind);
        uses[k] = (struct fp_weight_use){p.node, p.index};
    }
    *alone = true;
    for (int k = 0; k < view->n_sources && !status && *alone; k++) {
        int link = fp_owners_first(&f->bytes, view->sources[k].identity);
        bool shared = link >= 0 && f->bytes.links[link].next >= 0; // another tensor lies on the same bytes
        status = fp_trace_other_reader(f->exec, f->weights->model, view, k, uses, w->n_uses, &other, f->err);
        *alone = !shared && !other;
    }
    free(uses);
    return status;
}

// The stored constant as groups x rows x 1.
static void lay_out(struct fp_weight *view, const struct fp_weight *w) {
    const bool recurrent = fp_view_is_recurrent(w->view);
    view->name = view->sources[0].name;
    view->groups = w->groups, view->rows = w->rows, view->cols = 1;
    view->group_stride = w->rows;
    view->first = 0;
    if (recurrent) view->group_stride = 2 * w->rows;
    if (recurrent && w->uses[0].slot == 2) view->first = w->rows;
    view->row_stride = view->col_stride = view->inner = 1;
    view->count = w->groups * w->rows;
}

// Sets bias->view when the numbers can be changed where they lie.
static int try_in_place(struct bias_finder *f, struct fp_weight *w, enum fp_bias_kind kind,
                        const struct fp_bias_place *place) {
    int64_t form[FP_MAX_RANK];
    const char *reason = NULL;
    bool good = false, repeats = false;
    struct fp_weight *view = calloc(1, sizeof(*view));
    if (!view) return fp_fail_memory(f->err, "a bias", sizeof(*view));
    int rank = form_of(w, kind, form);
    int status = fp_trace_weight(f->exec, f->weights->model, place->node->graph, place->node->in[place->index], view,
                                 &reason, f->err);
    if (!status && !reason && view->n_sources && compare_form(view->rank, view->dims, rank, form) == 2) {
        status = fp_weight_repeats(view, &repeats, f->err);
        if (!status && !repeats) status = is_alone(f, w, kind, view, &good);
    }
    if (status || !good) {
        fp_bias_done(&(struct fp_bias){.view = view});
        return status;
    }
    lay_out(view, w);
    w->bias.view = view;
    w->bias.proto = view->sources[0].proto;
    return FINEPRUNE_OK;
}

static bool in_function(const struct fp_graph *graph) {
    for (; graph; graph = graph->parent)
        if (graph->function_proto) return true;
    return false;
}

// A copy of its own of a constant that cannot be changed where it is, spread to a number a row.
static int copy_constant(struct bias_finder *f, struct fp_weight *w, enum fp_bias_kind kind,
                         const struct fp_bias_place *place) {
    int64_t dims[FP_MAX_RANK] = {0}, form[FP_MAX_RANK], strides[FP_MAX_RANK];
    struct fp_tensor value = {0};
    int rank = form_of(w, kind, form),
        status = fp_exec_constant(f->exec, place->node->graph, place->node->in[place->index], &value, f->err);
    if (status) return status;
    bool fits = fp_type_is_float(value.type) && value.count && compare_form(value.rank, value.dims, rank, form) != 0;
    int more = fits && value.rank > rank ? value.rank - rank : 0; // the sum must keep its rank
    for (int i = 0; i < more; i++) dims[i] = 1;
    memcpy(dims + more, form, sizeof(*form) * (size_t)rank);
    if (fits) status = fp_tensor_new(&w->bias.own, NULL, value.type, rank + more, dims, f->err);
    else refuse(&w->bias, "its bias is not a number a row");
    if (fits && !status) {
        const struct fp_tensor *own = &w->bias.own;
        const size_t size = fp_type_size(own->type);
        fp_broadcast_strides(&value, own->rank, own->dims, strides);
        for (size_t i = 0; i < own->count; i++) {
            size_t rest = i, at = 0;
            for (int k = own->rank; k-- > 0; rest /= (size_t)own->dims[k])
                at += rest % (size_t)own->dims[k] * (size_t)strides[k];
            memcpy((char *)own->data + i * size, (const char *)value.data + at * size, size);
        }
    }
    fp_tensor_done(&value);
    return status;
}

static int try_constant(struct bias_finder *f, struct fp_weight *w, enum fp_bias_kind kind,
                        const struct fp_bias_place *place) {
    const struct fp_graph *graph = place->node->graph;
    int value = place->node->in[place->index];
    if (value < 0 || !fp_exec_is_constant(f->exec, graph, value))
        return refuse(&w->bias, "its bias is computed from the samples");
    int status = try_in_place(f, w, kind, place);
    if (status || w->bias.proto) return status;
    if (in_function(graph)) return refuse(&w->bias, "its bias is in the body of a function, and shared");
    return copy_constant(f, w, kind, place);
}

// ---- a bias where there is none

// The type in which the operator takes the weight: that of the stored numbers, unless they are cast or dequantized on
// the way.
static enum fp_type operand_type(const struct fp_graph *graph, int value) {
    for (int steps = 0; value >= 0 && steps < 20; steps++) {
        const struct fp_value *v = &graph->values[value];
        const struct fp_node *node = v->producer;
        if (v->initializer) return v->type;
        if (v->outer >= 0) {
            value = v->outer, graph = graph->parent;
            continue;
        }
        if (!node || !node->n_in) break;
        const enum fp_role role = fp_node_role(node);
        if (role == FP_ROLE_CASTS) return (enum fp_type)fp_attr_int(node, "to", 0);
        bool dequantize = role == FP_ROLE_DEQUANTIZES && node->n_in > 1;
        value = node->in[dequantize ? 1 : 0];
    }
    return FP_FLOAT;
}

// A sum behind a product changes no other node. Quantized products stay as they are: runtimes know them by the nodes
// around them.
static bool can_sum(const struct bias_finder *f, const struct fp_weight *w, const struct fp_node *node) {
    const struct fp_graph *graph = node->graph;
    bool quantized = false;
    for (int i = 0; i < w->n_sources; i++) quantized |= !fp_type_is_float(w->sources[i].type);
    const struct fp_value *out = node->out[0] < 0 ? NULL : &graph->values[node->out[0]];
    int other = node->n_in > 1 ? node->in[1 - w->uses[0].slot] : -1;
    bool two_axes = (out && out->rank >= 2) || (other >= 0 && graph->values[other].rank >= 2);
    bool flat = w->kind == FP_WEIGHT_RIGHT || two_axes; // [rows, 1] needs an axis for the one
    return out && !quantized && flat && !graph->parent && !graph->function_proto && w->groups == 1 &&
           fp_model_opset(f->weights->model, "") >= 7;
}

static int try_new(struct bias_finder *f, struct fp_weight *w, enum fp_bias_kind kind,
                   const struct fp_bias_place *place) {
    int64_t form[FP_MAX_RANK];
    enum fp_type type = operand_type(place->node->graph, place->node->in[w->uses[0].slot]);
    if (in_function(place->node->graph)) return refuse(&w->bias, "it is in the body of a function");
    if (kind == FP_BIAS_NEW_SUM && !can_sum(f, w, place->node))
        return refuse(&w->bias, "its product has no place for a constant");
    if (!fp_type_is_float(type)) return refuse(&w->bias, "its operand's type is not known");
    int status = fp_tensor_new(&w->bias.own, NULL, type, form_of(w, kind, form), form, f->err);
    if (!status) memset(w->bias.own.data, 0, fp_tensor_bytes(&w->bias.own));
    return status;
}

// The first place that will do.
static int find_bias(struct bias_finder *f, struct fp_weight *w) {
    w->bias = (struct fp_bias){.sign = 1};
    if (!w->repairable) return refuse(&w->bias, "its rows are not multiplied with what the statistics see");
    for (int kind = FP_BIAS_INPUT; kind <= FP_BIAS_NEW_SUM; kind++) {
        struct fp_bias_place place;
        if (!same_places(w, (enum fp_bias_kind)kind, &place)) {
            if (place.node) refuse(&w->bias, "its uses have different biases");
            continue;
        }
        bool is_new = kind == FP_BIAS_NEW_INPUT || kind == FP_BIAS_NEW_SUM;
        int status;
        if (is_new) status = try_new(f, w, (enum fp_bias_kind)kind, &place);
        else status = try_constant(f, w, (enum fp_bias_kind)kind, &place);
        if (status) return status;
        if (!w->bias.proto && !w->bias.own.count) continue;
        w->bias.kind = (enum fp_bias_kind)kind;
        w->bias.sign = place.sign;
        return FINEPRUNE_OK;
    }
    return refuse(&w->bias, "its product has no place for a constant");
}

// ---- all of them

static int list_graph(struct bias_finder *f, const struct fp_graph *graph) {
    for (int i = 0; i < graph->n_values; i++) {
        struct fp_tensor t;
        const void *identity;
        const struct fp_value *v = &graph->values[i];
        if (!v->initializer || !fp_type_size(v->type) ||
            fp_initializer_shape(f->weights->model, v->initializer, &t, &identity, NULL))
            continue;
        if (!fp_owners_add(&f->bytes, identity, i)) return fp_fail_memory(f->err, "the list of biases", 1);
    }
    return FINEPRUNE_OK;
}

static int list_bodies(struct fp_node *node, void *user) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_bodies && !status && !node->function; i++) status = list_graph(user, node->bodies[i]);
    return status;
}

int fp_biases_find(struct fp_weights *weights, struct fp_exec *exec, fineprune_error *err) {
    struct bias_finder f = {.weights = weights, .exec = exec, .err = err};
    int status = list_graph(&f, weights->model->graph);
    if (!status) status = fp_graph_visit(weights->model->graph, list_bodies, &f);
    for (int i = 0; i < weights->n && !status; i++) status = find_bias(&f, &weights->items[i]);
    fp_owners_done(&f.bytes);
    return status;
}
