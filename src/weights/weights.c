// SPDX-License-Identifier: Apache-2.0
// Finding the weights: which inputs of which operators are weights, how each is a matrix, which are shared, and why
// others stay.
#include "weights/weights.h"

#include <stdlib.h>

#include "base/arena.h"
#include "weights/bias.h"
#include "exec/op_list.h"
#include "ops/einsum.h"
#include "weights/weight_share.h"
#include "weights/weight_trace.h"

// ---- how a weight is a matrix

static int refuse(const char **reason, const char *why) {
    *reason = why;
    return FINEPRUNE_OK;
}

// [.., K, N] on the right, [.., M, K] on the left; `transposed`: the last two dims are the other way round.
static int last_two(struct fp_weight *w, bool right, bool transposed, const char **reason) {
    if (w->rank < 2) return refuse(reason, "it is a vector");
    size_t a = (size_t)w->dims[w->rank - 2], b = (size_t)w->dims[w->rank - 1];
    w->kind = right ? FP_WEIGHT_RIGHT : FP_WEIGHT_LEFT;
    w->groups = a && b ? w->count / (a * b) : 0;
    w->group_stride = a * b;
    if (right != transposed) w->cols = a, w->rows = b, w->col_stride = b, w->row_stride = 1;
    else w->rows = a, w->cols = b, w->row_stride = b, w->col_stride = 1;
    w->inner = 1;
    return FINEPRUNE_OK;
}

static int matrix_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason,
                          fineprune_error *err) {
    (void)node, (void)err;
    return last_two(w, slot == 1, false, reason);
}

static int gemm_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason,
                        fineprune_error *err) {
    (void)err;
    if (fp_attr_int(node, "transBatchA", 0) || fp_attr_int(node, "transBatchB", 0))
        return refuse(reason, "its batch axes are transposed");
    return last_two(w, slot == 1, fp_attr_int(node, slot == 1 ? "transB" : "transA", 0) != 0, reason);
}

// [O, C / group, k...], or [C, O / group, k...] when transposed.
static int conv_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason,
                        fineprune_error *err) {
    (void)slot, (void)err;
    int64_t group = fp_attr_int(node, "group", 1);
    bool transposed = w->view == FP_VIEW_CONV_TRANSPOSE;
    if (w->rank < 3 || group < 1 || w->dims[0] % group) return refuse(reason, "its shape does not fit its operator");
    size_t kernel = 1;
    for (int i = 2; i < w->rank; i++) kernel *= (size_t)w->dims[i];
    size_t first = (size_t)(w->dims[0] / group), second = (size_t)w->dims[1];
    w->kind = transposed ? FP_WEIGHT_CONV_TRANSPOSE : FP_WEIGHT_CONV;
    w->groups = (size_t)group;
    w->group_stride = first * second * kernel;
    w->inner = kernel;
    if (transposed) {
        w->rows = second, w->cols = first * kernel;
        w->row_stride = kernel, w->col_stride = second * kernel;
    } else {
        w->rows = first, w->cols = second * kernel;
        w->row_stride = second * kernel, w->col_stride = kernel;
    }
    return FINEPRUNE_OK;
}

// [directions, gates * hidden, columns]
static int recurrent_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason,
                             fineprune_error *err) {
    (void)err;
    if (w->rank != 3) return refuse(reason, "its shape does not fit its operator");
    w->kind = FP_WEIGHT_RIGHT;
    w->groups = (size_t)w->dims[0];
    w->rows = (size_t)w->dims[1];
    w->cols = (size_t)w->dims[2];
    w->group_stride = w->rows * w->cols;
    w->row_stride = w->cols;
    w->col_stride = 1;
    w->inner = 1;
    // The candidate row sees the hidden state times the reset gate, unless linear_before_reset.
    if (slot == 2 && w->view == FP_VIEW_RECURRENT_GATED && !fp_attr_int(node, "linear_before_reset", 0))
        w->repairable = false;
    return FINEPRUNE_OK;
}

// Puts the axes in order: groups, rows, columns.
static int arrange_axes(struct fp_weight *w, const enum fp_einsum_role *roles, fineprune_error *err) {
    static const enum fp_einsum_role ORDER[] = {FP_EINSUM_GROUP, FP_EINSUM_ROW, FP_EINSUM_COLUMN};
    struct fp_tensor map = {0};
    int64_t strides[FP_MAX_RANK], count = (int64_t)w->count;
    int order[FP_MAX_RANK], n = 0;
    for (size_t k = 0; k < FP_COUNT(ORDER); k++)
        for (int i = 0; i < w->rank; i++)
            if (roles[i] == ORDER[k]) order[n++] = i;
    fp_strides(w->rank, w->dims, strides);
    int status = fp_tensor_new(&map, NULL, FP_INT64, 1, &count, err);
    for (size_t i = 0; !status && i < w->count; i++) {
        size_t rest = i, at = 0;
        for (int k = n; k-- > 0; rest /= (size_t)w->dims[order[k]])
            at += rest % (size_t)w->dims[order[k]] * (size_t)strides[order[k]];
        ((int64_t *)map.data)[i] = w->map.count ? ((const int64_t *)w->map.data)[at] : (int64_t)at;
    }
    fp_tensor_done(&w->map);
    w->map = map;
    return status;
}

// Axes of three kinds in any order. The input is handed over as [.., groups, .., columns].
static int einsum_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason,
                          fineprune_error *err) {
    enum fp_einsum_role roles[FP_MAX_RANK];
    size_t extent[3] = {1, 1, 1};
    bool last;
    if (w->rank < 2 || !w->count) return refuse(reason, "it is a vector");
    if (!fp_einsum_roles(node, slot, w->rank, roles, &last))
        return refuse(reason, "its Einsum is not a product of matrices");
    for (int i = 0; i < w->rank; i++) {
        if (w->dims[i] == 1 && roles[i] != FP_EINSUM_ROW) return refuse(reason, "its Einsum repeats it along an axis");
        extent[roles[i]] *= (size_t)w->dims[i];
    }
    w->kind = FP_WEIGHT_RIGHT;
    w->groups = extent[FP_EINSUM_GROUP];
    w->rows = extent[FP_EINSUM_ROW];
    w->cols = extent[FP_EINSUM_COLUMN];
    w->group_stride = w->rows * w->cols;
    w->row_stride = w->cols;
    w->col_stride = w->inner = 1;
    int status = arrange_axes(w, roles, err);
    if (w->groups == 1) return status;
    w->rank = 3; // what meets the input
    w->dims[0] = (int64_t)w->groups, w->dims[1] = (int64_t)w->rows, w->dims[2] = (int64_t)w->cols;
    return status;
}

static int (*const OPERANDS[])(struct fp_weight *, const struct fp_node *, int slot, const char **reason,
                               fineprune_error *) = {
    [FP_VIEW_MATRIX] = matrix_operand,       [FP_VIEW_INNER] = matrix_operand,
    [FP_VIEW_SCALED] = gemm_operand,         [FP_VIEW_GEMM] = gemm_operand,
    [FP_VIEW_CONV] = conv_operand,           [FP_VIEW_CONV_TRANSPOSE] = conv_operand,
    [FP_VIEW_RECURRENT] = recurrent_operand, [FP_VIEW_RECURRENT_GATED] = recurrent_operand,
    [FP_VIEW_EINSUM] = einsum_operand,
};

// ---- the list

struct finder {
    struct fp_weights *weights;
    struct fp_owners owners;
    struct fp_exec *exec;
    bool depthwise;
    size_t capacity, skipped_capacity;
    fineprune_error *err;
};

static void weight_done(struct fp_weight *w) {
    fp_sources_free(w->sources, w->n_sources);
    fp_tensor_done(&w->map);
    fp_bias_done(&w->bias);
    free(w->factor);
    free(w->shift);
    free(w->uses);
    free(w->part);
}

static void skipped_done(struct fp_skipped *s) {
    free(s->name);
    free(s->part);
    free(s->key);
}

static int add_skipped(struct fp_weights *weights, const char *name, const char *part, const char *reason, size_t count,
                       fineprune_error *err) {
    struct fp_skipped item = {.reason = reason, .count = count, .key = fp_format("%s%s", name, part ? part : "")};
    if (item.key && fp_name_find(&weights->skipped_names, item.key) >= 0) {
        free(item.key);
        return FINEPRUNE_OK;
    }
    struct fp_skipped *items = realloc(weights->skipped, sizeof(*items) * (size_t)(weights->n_skipped + 1));
    if (items) weights->skipped = items;
    item.name = strdup(name);
    if (part) item.part = strdup(part);
    // A part stands for its tensor too, in the list of what is left.
    bool first = item.key && item.name && fp_name_find(&weights->skipped_names, item.name) < 0;
    if (!items || !item.key || !item.name || (part && !item.part) ||
        !fp_name_add(&weights->skipped_names, item.key, weights->n_skipped) ||
        (part && first && !fp_name_add(&weights->skipped_names, item.name, weights->n_skipped))) {
        skipped_done(&item);
        return fp_fail_memory(err, "the list of weights", sizeof(*items));
    }
    items[weights->n_skipped++] = item;
    return FINEPRUNE_OK;
}

static bool same_matrix(const struct fp_weight *a, const struct fp_weight *b) {
    if (a->kind != b->kind || a->groups != b->groups || a->rows != b->rows || a->cols != b->cols ||
        a->row_stride != b->row_stride || a->col_stride != b->col_stride || a->inner != b->inner ||
        a->n_sources != b->n_sources || a->map.count != b->map.count)
        return false;
    for (int i = 0; i < a->n_sources; i++)
        if (a->sources[i].identity != b->sources[i].identity || a->sources[i].count != b->sources[i].count)
            return false;
    return !a->map.count || !memcmp(a->map.data, b->map.data, fp_tensor_bytes(&a->map));
}

static int add_use(struct fp_weight *w, const struct fp_node *node, int slot, fineprune_error *err) {
    struct fp_weight_use *uses = realloc(w->uses, sizeof(*uses) * (size_t)(w->n_uses + 1));
    if (!uses) return fp_fail_memory(err, "the list of weights", sizeof(*uses));
    w->uses = uses;
    uses[w->n_uses++] = (struct fp_weight_use){node, slot};
    return FINEPRUNE_OK;
}

static int take(struct finder *f, struct fp_weight *w) {
    struct fp_weights *weights = f->weights;
    struct fp_weight *items = fp_grow(weights->items, &f->capacity, (size_t)weights->n + 1, sizeof(*items));
    if (!items) return fp_fail_memory(f->err, "the list of weights", sizeof(*items));
    weights->items = items;
    for (int i = 0; i < w->n_sources; i++)
        if (!fp_owners_add(&f->owners, w->sources[i].identity, weights->n))
            return fp_fail_memory(f->err, "the list of weights", sizeof(*items));
    items[weights->n++] = *w;
    *w = (struct fp_weight){0};
    return FINEPRUNE_OK;
}

// ---- weights that have elements in common

// A use whose input says nothing of the weight's columns: other forms of the same elements cannot add to the
// statistics, and the rows must not be repaired for one form at the cost of the other.
static int add_other_form(struct fp_weight *w, const struct fp_node *node, int slot, fineprune_error *err) {
    if (slot >= 0) slot = -1 - slot;
    w->repairable = false;
    return add_use(w, node, slot, err);
}

// `w` has all elements of `old`, which stops being a weight of its own (no uses).
static int absorb(struct fp_weight *w, struct fp_weight *old, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < old->n_uses && !status; i++)
        status = add_other_form(w, old->uses[i].node, old->uses[i].slot, err);
    old->n_uses = 0;
    return status;
}

// What a new weight has to do with those found before.
struct meeting {
    bool done;    // it is one of them, or a part of one
    bool crosses; // it has elements of another weight, and others
};

static int meet(struct finder *f, struct fp_weight *w, struct fp_weight *old, const struct fp_node *node, int slot,
                struct meeting *m) {
    if (same_matrix(old, w)) {
        m->done = true;
        return add_use(old, node, slot, f->err);
    }
    enum fp_overlap overlap;
    int status = fp_weights_overlap(w, old, &overlap, f->err);
    if (status || overlap == FP_DISJOINT) return status;
    if (overlap == FP_CONTAINS) return absorb(w, old, f->err);
    m->done |= overlap == FP_WITHIN;
    m->crosses |= overlap == FP_CROSSES;
    return add_other_form(old, node, slot, f->err);
}

// Meets every weight that has one of the sources, once.
static int meet_all(struct finder *f, struct fp_weight *w, const struct fp_node *node, int slot, struct meeting *m) {
    int status = FINEPRUNE_OK;
    for (int k = 0; k < w->n_sources; k++)
        for (int l = fp_owners_first(&f->owners, w->sources[k].identity); l >= 0; l = f->owners.links[l].next) {
            struct fp_weight *old = &f->weights->items[f->owners.links[l].weight];
            bool met = !old->n_uses;
            for (int j = 0; j < k; j++)
                for (int i = 0; i < old->n_sources; i++) met |= old->sources[i].identity == w->sources[j].identity;
            if (!met) status = meet(f, w, old, node, slot, m);
            if (status || m->done) return status;
        }
    return FINEPRUNE_OK;
}

static int place(struct finder *f, struct fp_weight *w, const struct fp_node *node, int slot, const char **reason) {
    struct meeting m = {0};
    int status = add_use(w, node, slot, f->err);
    if (!status) status = meet_all(f, w, node, slot, &m);
    if (status || m.done) return status;
    if (m.crosses) return refuse(reason, "some of its elements belong to another weight");
    return take(f, w);
}

static const char *name_of(const struct fp_weight *w, const struct fp_node *node, int slot) {
    if (w->n_sources) return w->sources[0].name;
    return node->graph->values[node->in[slot]].name;
}

static int visit_slot(struct finder *f, const struct fp_node *node, enum fp_weight_view view, int slot) {
    if (slot >= node->n_in || node->in[slot] < 0 || !fp_exec_is_constant(f->exec, node->graph, node->in[slot]))
        return FINEPRUNE_OK;
    struct fp_weight w = {.op = node->type, .view = view, .node = node, .repairable = true};
    const char *reason = NULL;
    int status = fp_trace_weight(f->exec, f->weights->model, node->graph, node->in[slot], &w, &reason, f->err);
    if (!status && !reason) status = OPERANDS[view](&w, node, slot, &reason, f->err);
    if (!status && !reason && !w.count) reason = "it is empty";
    if (!status && !reason && w.groups > 1 && w.kind == FP_WEIGHT_CONV && w.cols == w.inner && !f->depthwise)
        reason = "kernel of a depthwise convolution";
    bool repeats = false;
    if (!status && !reason) status = fp_weight_repeats(&w, &repeats, f->err);
    if (repeats) reason = "it has some of its elements in two places";
    w.name = w.n_sources ? w.sources[0].name : "";
    if (!status && !reason) status = place(f, &w, node, slot, &reason);
    if (!status && reason) {
        if (w.n_sources) status = fp_weight_part(&w, node->id, &w.part, f->err);
        if (!status) status = add_skipped(f->weights, name_of(&w, node, slot), w.part, reason, w.count, f->err);
    }
    weight_done(&w);
    return status;
}

static int visit_node(struct fp_node *node, void *user) {
    static const int slots[] = {1, 0, 2}; // the first operand of a product is seldom its weight
    struct finder *f = user;
    const struct fp_op *op = fp_node_op(node);
    int status = FINEPRUNE_OK;
    if (!op || op->weight.view == FP_VIEW_NONE) return FINEPRUNE_OK;
    bool both = fp_view_is_recurrent(
        op->weight.view); // a recurrent layer has two weights; a product takes the first that is constant
    for (size_t i = 0; i < FP_COUNT(slots) && !status; i++) {
        int before = f->weights->n + f->weights->n_skipped;
        if (op->weight.slots >> slots[i] & 1)
            status = visit_slot(f, node, (enum fp_weight_view)op->weight.view, slots[i]);
        if (!both && f->weights->n + f->weights->n_skipped > before) break;
    }
    return status;
}

int fp_weights_skip(struct fp_weights *weights, int i, const char *reason, fineprune_error *err) {
    struct fp_weight *w = &weights->items[i];
    int status = add_skipped(weights, w->name, w->part, reason, w->count, err);
    for (int k = 1; k < w->n_sources && !status; k++)
        status = add_skipped(weights, w->sources[k].name, NULL, reason, w->sources[k].count, err);
    if (status) return status;
    weight_done(w);
    memmove(w, w + 1, sizeof(*w) * (size_t)(weights->n - i - 1));
    weights->n--;
    return FINEPRUNE_OK;
}

// All uses of the weights that have a source of `w`. To be freed.
static int gather_uses(struct finder *f, const struct fp_weight *w, struct fp_weight_use **out, int *n) {
    size_t capacity = 0;
    *out = NULL, *n = 0;
    for (int k = 0; k < w->n_sources; k++)
        for (int l = fp_owners_first(&f->owners, w->sources[k].identity); l >= 0; l = f->owners.links[l].next) {
            const struct fp_weight *other = &f->weights->items[f->owners.links[l].weight];
            struct fp_weight_use *uses = fp_grow(*out, &capacity, (size_t)*n + (size_t)other->n_uses, sizeof(*uses));
            if (!uses) return fp_fail_memory(f->err, "the list of weights", sizeof(*uses));
            *out = uses;
            for (int i = 0; i < other->n_uses; i++) {
                const struct fp_weight_use *u = &other->uses[i];
                uses[(*n)++] = (struct fp_weight_use){u->node, u->slot < 0 ? -1 - u->slot : u->slot};
            }
        }
    return FINEPRUNE_OK;
}

static int find_other(struct finder *f, const struct fp_weight *w, const char **reason) {
    struct fp_weight_use *uses;
    int n, status = gather_uses(f, w, &uses, &n);
    for (int k = 0; k < w->n_sources && !*reason && !status; k++)
        status = fp_trace_other_reader(f->exec, f->weights->model, w, k, uses, n, reason, f->err);
    free(uses);
    return status;
}

// Tensors that something else reads too (a tied embedding, an output) stay as they are. Weights that others have
// absorbed go too.
static int protect_others(struct finder *f) {
    struct fp_weights *weights = f->weights;
    FP_STAGE(room, "the list of weights");
    const char **reasons = fp_arena_take(&room, (size_t)weights->n, sizeof(*reasons));
    int status = fp_arena_check(&room, f->err);
    for (int i = 0; i < weights->n && !status; i++)
        if (weights->items[i].n_uses) status = find_other(f, &weights->items[i], &reasons[i]);
    for (int i = weights->n; i-- > 0 && !status;) {
        struct fp_weight *w = &weights->items[i];
        if (reasons[i]) {
            status = fp_weights_skip(weights, i, reasons[i], f->err);
        } else if (!w->n_uses) {
            weight_done(w);
            memmove(w, w + 1, sizeof(*w) * (size_t)(weights->n - i - 1));
            weights->n--;
        }
    }
    return status;
}

// ---- what is left alone

static const char *reason_for_reader(const struct fp_value *v) {
    if (!v->n_readers) return "read by nothing";
    const struct fp_node *reader = v->readers[0].node;
    const struct fp_op *op = reader ? fp_node_op(reader) : NULL;
    const int index = v->readers[0].index;
    const bool is_slot = op && index >= 0 && index < 8 && op->weight.slots >> index & 1;
    if (op && op->weight.slots && !is_slot) return "a bias or a state of its operator";
    if (op && op->left) return op->left;
    return "not the weight of a layer";
}

// Whether a weight has the tensor: by this name, or only its bytes.
static bool is_listed(const struct finder *f, const char *name, const void *identity, bool *bytes) {
    int l = fp_owners_first(&f->owners, identity);
    *bytes = l >= 0;
    for (; l >= 0; l = f->owners.links[l].next) {
        const struct fp_weight *w = &f->weights->items[f->owners.links[l].weight];
        for (int k = 0; k < w->n_sources; k++)
            if (w->sources[k].identity == identity && !strcmp(w->sources[k].name, name)) return true;
    }
    return false;
}

static int skip_rest(struct finder *f, const struct fp_graph *graph) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_values && !status; i++) {
        const struct fp_value *v = &graph->values[i];
        if (!v->initializer || !fp_type_size(v->type)) continue;
        struct fp_tensor t;
        const void *identity;
        if (fp_initializer_shape(f->weights->model, v->initializer, &t, &identity, NULL))
            continue; // a broken tensor fails where it is used
        bool bytes = false;
        if (t.rank >= 2 && t.count >= 2 && !is_listed(f, v->name, identity, &bytes)) {
            const char *reason = bytes ? "shares its bytes with a weight, and is pruned with it" : reason_for_reader(v);
            status = add_skipped(f->weights, v->name, NULL, reason, t.count, f->err);
        }
    }
    return status;
}

static int skip_rest_of_bodies(struct fp_node *node, void *user) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_bodies && !status; i++) status = skip_rest(user, node->bodies[i]);
    return status;
}

static int list_owners(struct finder *f) {
    struct fp_weights *weights = f->weights;
    fp_owners_done(&f->owners);
    f->owners = (struct fp_owners){0};
    for (int i = 0; i < weights->n; i++)
        for (int k = 0; k < weights->items[i].n_sources; k++)
            if (!fp_owners_add(&f->owners, weights->items[i].sources[k].identity, i))
                return fp_fail_memory(f->err, "the list of weights", 1);
    return FINEPRUNE_OK;
}

static int name_parts(struct finder *f) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < f->weights->n && !status; i++) {
        struct fp_weight *w = &f->weights->items[i];
        int number = 0;
        for (int l = fp_owners_first(&f->owners, w->sources[0].identity); l >= 0; l = f->owners.links[l].next)
            number += f->owners.links[l].weight <= i;
        status = fp_weight_part(w, number, &w->part, f->err);
    }
    return status;
}

int fp_weights_find(struct fp_weights **out, struct fp_exec *exec, struct fineprune_model *model, bool depthwise,
                    fineprune_error *err) {
    struct fp_weights *weights = calloc(1, sizeof(*weights));
    if (!weights) return fp_fail_memory(err, "the list of weights", sizeof(*weights));
    weights->model = model;
    struct finder f = {.weights = weights, .exec = exec, .depthwise = depthwise, .err = err};
    int status = fp_graph_visit(model->graph, visit_node, &f);
    if (!status) status = name_parts(&f);
    if (!status) status = protect_others(&f);
    if (!status) status = list_owners(&f); // anew: numbers have changed
    if (!status) status = fp_biases_find(weights, exec, err);
    if (!status) status = skip_rest(&f, model->graph);
    if (!status) status = fp_graph_visit(model->graph, skip_rest_of_bodies, &f);
    fp_owners_done(&f.owners);
    if (status) fp_weights_free(weights);
    else *out = weights;
    return status;
}

void fp_weights_free(struct fp_weights *weights) {
    if (!weights) return;
    for (int i = 0; i < weights->n; i++) weight_done(&weights->items[i]);
    for (int i = 0; i < weights->n_skipped; i++) skipped_done(&weights->skipped[i]);
    fp_name_map_done(&weights->skipped_names);
    free(weights->items);
    free(weights->skipped);
    free(weights);
}
