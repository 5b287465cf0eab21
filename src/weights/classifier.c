// SPDX-License-Identifier: Apache-2.0
// Walking back from an output of classes to the weight that makes them, through what moves, averages, scales or shifts
// class scores.
#include "weights/classifier.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "exec/op_list.h"
#include "weights/bias.h"
#include "weights/class_names.h"
#include "weights/weight_trace.h"

static bool is(const struct fp_node *node, enum fp_role role) { return fp_node_role(node) == role; }

static const struct fp_node *producer(const struct fp_graph *graph, int value) {
    if (value < 0) return NULL;
    return graph->values[value].producer;
}

static bool read_once(const struct fp_graph *graph, int value) { return graph->values[value].n_readers == 1; }

static int weight_of(const struct fp_weights *weights, const struct fp_node *node) {
    for (int i = 0; i < weights->n; i++)
        if (weights->items[i].node == node && weights->items[i].n_uses == 1) return i;
    return -1;
}

static bool moves_only(const struct fp_node *node) {
    switch (fp_node_role(node)) {
    case FP_ROLE_IDENTITY:
    case FP_ROLE_CASTS:
    case FP_ROLE_RESHAPES:
    case FP_ROLE_SETS_AXES: return true;
    case FP_ROLE_DROPS: return node->n_in < 3;
    default: return false;
    }
}

static bool is_grid(const struct fp_node *node) { return is(node, FP_ROLE_QUANTIZES) || is(node, FP_ROLE_DEQUANTIZES); }

// A mean over positions. Padding would count as positions.
static bool averages(const struct fp_node *node) {
    if (!is(node, FP_ROLE_AVERAGES_WINDOWS)) return is(node, FP_ROLE_AVERAGES_ALL) || is(node, FP_ROLE_AVERAGES);
    size_t n;
    const int64_t *pads = fp_attr_ints(node, "pads", &n);
    for (size_t i = 0; pads && i < n; i++)
        if (pads[i]) return false;
    return !strncmp(fp_attr_text(node, "auto_pad", "NOTSET"), "NOTSET", 6);
}

// Whether the value is stored, directly or behind operators that move elements.
static bool is_stored(const struct fp_graph *graph, int value) {
    for (int steps = 0; value >= 0 && steps < 8; steps++) {
        const struct fp_node *node = producer(graph, value);
        if (graph->values[value].initializer || is(node, FP_ROLE_STORES)) return true;
        if (!node || !fp_is_move(node) || node->n_in < 1) return false;
        value = node->in[0];
    }
    return false;
}

// One step back from class scores towards their layer.
struct step {
    const struct fp_node *node;
    int from;    // input that goes on; -1: the node does something else
    bool affine; // it scales or shifts with constants
};

static struct step step_back(const struct fp_graph *graph, int value) {
    struct step s = {.node = producer(graph, value), .from = -1};
    const struct fp_node *node = s.node;
    const enum fp_role role = fp_node_role(node);
    bool sum = role == FP_ROLE_ADDS || role == FP_ROLE_SUBTRACTS,
         product = role == FP_ROLE_MULTIPLIES || role == FP_ROLE_DIVIDES;
    if (moves_only(node) || averages(node) || is_grid(node)) {
        s.from = 0;
    } else if (role == FP_ROLE_NORMALIZES && node->n_in >= 5) {
        s.from = 0, s.affine = true;
    } else if ((sum || product) && node->n_in == 2) {
        bool second = is_stored(graph, node->in[1]), first = is_stored(graph, node->in[0]) && role != FP_ROLE_DIVIDES;
        if (first) s.from = 1;
        if (second) s.from = 0;
        s.affine = s.from >= 0;
    }
    return s;
}

enum { MOST_STEPS = 16 }; // between a layer and its output

// From a value of class scores back to its layer.
static int find_layer(const struct fp_weights *weights, const struct fp_graph *graph, int value, const char **reason) {
    *reason = "no layer with a weight makes the output's classes";
    for (int i = 0; i < MOST_STEPS; i++) {
        struct step s = step_back(graph, value);
        int weight = s.node ? weight_of(weights, s.node) : -1;
        if (weight >= 0) return weight;
        if (is(s.node, FP_ROLE_BENDS)) *reason = "an activation stands between the last layer and the output's classes";
        if (s.from < 0) break;
        value = s.node->in[s.from];
        if (value < 0 || !read_once(graph, value)) break;
    }
    return -1;
}

static const char *check_layer(const struct fp_classifier *c, const struct fp_weight *w,
                               const struct fp_value *output) {
    if (w->kind == FP_WEIGHT_LEFT || w->kind == FP_WEIGHT_CONV_TRANSPOSE || w->groups != 1)
        return "the last layer is not a plain product";
    if (fp_view_is_recurrent(w->view)) return "the last layer is recurrent";
    if (w->kind == FP_WEIGHT_CONV && w->inner != 1) return "the last layer is a convolution wider than 1x1";
    if (w->rows < 2) return "the output has one number a sample";
    if (output->rank > 1 && output->dims[1] >= 0 && (size_t)output->dims[1] != w->rows)
        return "the output is not the last layer's classes";
    if (c->features == 0) return "the last layer has no input";
    return NULL;
}

// Back through operators that only spread one number a row (and Max with a constant) to a reduction; what it reduces,
// or -1.
static int reduced(const struct fp_graph *graph, int value, enum fp_role role) {
    for (int steps = 0; steps < 6; steps++) {
        const struct fp_node *node = producer(graph, value);
        if (is(node, role)) return node->in[0];
        bool spreads = moves_only(node) || is(node, FP_ROLE_SPREADS);
        if (is(node, FP_ROLE_GREATER) && node->n_in == 2)
            value = producer(graph, node->in[0]) ? node->in[0] : node->in[1];
        else if (spreads) value = node->in[0];
        else return -1;
    }
    return -1;
}

// Softmax as some exporters write it out: exp(x - max x) / sum of the same. x, or -1 when the value is not made like
// that.
static int written_out_softmax(const struct fp_graph *graph, int value) {
    const struct fp_node *quotient = producer(graph, value);
    if (!is(quotient, FP_ROLE_DIVIDES) || quotient->n_in != 2) return -1;
    const struct fp_node *power = producer(graph, quotient->in[0]);
    if (!is(power, FP_ROLE_RAISES) || reduced(graph, quotient->in[1], FP_ROLE_SUMS_UP) != quotient->in[0]) return -1;
    const struct fp_node *shift = producer(graph, power->in[0]);
    if (!is(shift, FP_ROLE_SUBTRACTS)) return power->in[0];
    if (reduced(graph, shift->in[1], FP_ROLE_FINDS_MAXIMUM) != shift->in[0]) return -1;
    return shift->in[0];
}

// [samples, classes] or [samples, classes, 1, 1]; other axes may be of unknown size where a global pooling has made
// them.
static bool has_classes(const struct fp_graph *graph, int value) {
    const struct fp_value *v = &graph->values[value];
    bool ones = true, known = true, pooled = false;
    for (int i = 2; i < v->rank; i++) {
        known &= v->dims[i] >= 0;
        ones &= v->dims[i] < 0 || v->dims[i] == 1;
    }
    for (int i = 0; i < MOST_STEPS && !known; i++) {
        const struct fp_node *node = producer(graph, value);
        pooled |= is(node, FP_ROLE_AVERAGES_ALL);
        if (!node || node->n_in < 1 || node->in[0] < 0) break;
        value = node->in[0];
    }
    return v->rank >= 2 && ones && (known || pooled) && fp_type_is_float(v->type);
}

// Softmax over the classes, axis 1.
static bool is_softmax(const struct fp_graph *graph, const struct fp_node *node) {
    if (!is(node, FP_ROLE_SOFTMAX)) return false;
    int64_t axis = fp_attr_int(node, "axis", node->opset >= 13 ? -1 : 1), rank = graph->values[node->out[0]].rank;
    return rank < 3 || axis == 1 || axis + rank == 1;
}

// What goes into the last operator of the role, which only moves and grids may follow; -1 when there is none. A softmax
// is one over classes.
static int before(const struct fp_graph *graph, int value, enum fp_role role) {
    for (int i = 0; i < MOST_STEPS && value >= 0; i++) {
        const struct fp_node *node = producer(graph, value);
        if (is(node, role) && (role != FP_ROLE_SOFTMAX || is_softmax(graph, node))) return node->in[0];
        if (!moves_only(node) && !is_grid(node)) return -1;
        value = node->in[0];
    }
    return -1;
}

// The operator whose places of the greatest are all that the output says; NULL: it is no such output.
static const struct fp_node *picker(const struct fp_graph *graph, int output) {
    int value = output;
    if (before(graph, value, FP_ROLE_PICKS) < 0) return NULL;
    while (!is(producer(graph, value), FP_ROLE_PICKS)) value = producer(graph, value)->in[0];
    return producer(graph, value);
}

// Whether it picks along the classes of [samples, classes] or [samples, classes, 1, 1]. The shape of a value within the
// graph is often not declared: two axes are known by those of the output, if nothing in between changes them.
static bool picks_classes(const struct fp_graph *graph, const struct fp_node *node, int output) {
    const bool one = node->n_in == 1; // ArgMax; else TopK
    const struct fp_value *scores = &graph->values[node->in[0]], *y = &graph->values[output];
    const int64_t axis = fp_attr_int(node, "axis", one ? 0 : -1);
    const bool leaves = one && !fp_attr_int(node, "keepdims", 1); // the axis goes
    if (scores->rank >= 0) return has_classes(graph, node->in[0]) && (axis == 1 || axis + scores->rank == 1);
    while (output != node->out[0] && output != node->out[node->n_out - 1]) {
        if (fp_node_role(producer(graph, output)) > FP_ROLE_CASTS) return false;
        output = producer(graph, output)->in[0];
    }
    return y->rank == (leaves ? 1 : 2) && (axis == 1 || axis == -1);
}

// value: the scores, or probabilities, of output number `output`.
static void try_output(struct fp_classifier *c, const struct fp_weights *weights, const struct fp_graph *graph,
                       int output, int value) {
    const struct fp_value *shape = &graph->values[value];
    // Class scores may also be an output of their own.
    for (int inner; (inner = before(graph, value, FP_ROLE_SOFTMAX)) >= 0;) value = inner;
    while (is(producer(graph, value), FP_ROLE_IDENTITY)) value = producer(graph, value)->in[0];
    int scores = written_out_softmax(graph, value);
    if (scores >= 0) value = scores;
    if (before(graph, value, FP_ROLE_SIGMOID) >= 0) {
        c->reason = "its answers are independent (Sigmoid), not classes";
        return;
    }
    int weight = find_layer(weights, graph, value, &c->reason);
    if (weight < 0) return;
    const struct fp_weight *w = &weights->items[weight];
    c->features = w->cols;
    c->reason = check_layer(c, w, shape);
    if (c->reason) return;
    c->weight = weight;
    c->classes = w->rows;
    c->output = output;
    c->logits_value = value;
    c->features_value = w->node->in[w->uses[0].slot == 0 ? 1 : 0];
}

// Where no output has class scores, the first that tells their greatest's place.
static void find_picked(struct fp_classifier *out, const struct fp_weights *weights, const struct fp_graph *graph) {
    for (int i = 0; i < graph->n_outputs && out->weight < 0; i++) {
        const struct fp_node *node = picker(graph, graph->outputs[i]);
        struct fp_classifier c = {.weight = -1};
        if (!node || !picks_classes(graph, node, graph->outputs[i])) continue;
        try_output(&c, weights, graph, i, node->in[0]);
        if (c.weight >= 0) *out = c;
        else out->reason = c.reason;
    }
}

void fp_classifier_find(struct fp_classifier *out, const struct fp_weights *weights) {
    const struct fp_graph *graph = weights->model->graph;
    *out = (struct fp_classifier){.weight = -1, .reason = "no output has the shape [samples, classes]"};
    int found = 0, likely = 0, shaped = 0;
    struct fp_classifier c = *out, first = *out, only = *out;
    for (int i = 0; i < graph->n_outputs; i++) {
        if (!has_classes(graph, graph->outputs[i])) continue;
        c = *out;
        c.weight = -1;
        shaped++;
        try_output(&c, weights, graph, i, graph->outputs[i]);
        if (c.weight >= 0 && found++ == 0) first = c;
        else if (c.weight < 0 && !found) out->reason = c.reason;
        // boxes and embeddings beside classes have the same shape, but other names
        if (c.weight >= 0 && fp_class_name_points(graph->values[graph->outputs[i]].name) >= 0 && likely++ == 0)
            only = c;
    }
    if (found == 1) *out = first;
    else if (likely == 1) *out = only;
    else if (found > 1)
        out->reason = likely ? "several outputs have classes"
                             : "several outputs are as wide as classes, and none is named so";
    else if (!shaped) find_picked(out, weights, graph);
}

// ---- the scores' units

// scores = factor * (alpha * W f + b) + shift, a number a class.
struct units {
    size_t n;
    double *factor, *shift, *numbers; // n each
    struct fp_exec *exec;             // made when a constant is first asked for
    const struct fp_weights *weights;
    bool plain; // all factors 1, all shifts 0, so far
    const char *reason;
    fineprune_error *err;
};

// The constant as one number a class, in u->numbers.
static int load_numbers(struct units *u, const struct fp_graph *graph, int value) {
    struct fp_tensor t = {0}, wide = {0};
    int status = FINEPRUNE_OK;
    if (!u->exec) status = fp_exec_plan(&u->exec, u->weights->model, NULL, u->err);
    if (!status && (value < 0 || !fp_exec_is_constant(u->exec, graph, value)))
        u->reason = "what is behind the last layer is not constant";
    if (status || u->reason) return status;
    status = fp_exec_constant(u->exec, graph, value, &t, u->err);
    if (!status) status = fp_tensor_convert(&wide, NULL, &t, FP_FLOAT, u->err);
    if (!status && wide.count != 1 && wide.count != u->n)
        u->reason = "what is behind the last layer is not one number a class";
    for (size_t k = 0; !status && !u->reason && k < u->n; k++)
        u->numbers[k] = (double)((const float *)wide.data)[wide.count == 1 ? 0 : k];
    fp_tensor_done(&t);
    fp_tensor_done(&wide);
    return status;
}

// y = scale (x - mean) / sqrt(variance + epsilon) + B
static int undo_normalization(struct units *u, const struct fp_node *node, bool without_mean) {
    double epsilon = (double)fp_attr_float(node, "epsilon", 1e-5f);
    int status = load_numbers(u, node->graph, node->in[2]);
    for (size_t k = 0; k < u->n && !status; k++) u->shift[k] += u->factor[k] * u->numbers[k];
    if (!status) status = load_numbers(u, node->graph, node->in[1]);
    for (size_t k = 0; k < u->n && !status; k++) u->factor[k] *= u->numbers[k];
    if (!status) status = load_numbers(u, node->graph, node->in[4]);
    for (size_t k = 0; k < u->n && !status; k++) u->factor[k] /= sqrt(u->numbers[k] + epsilon);
    if (!status && !without_mean) status = load_numbers(u, node->graph, node->in[3]);
    for (size_t k = 0; k < u->n && !status && !without_mean; k++) u->shift[k] -= u->factor[k] * u->numbers[k];
    return status;
}

// The bias of the layer is part of its row.
static int undo(struct units *u, const struct step *s, bool bias) {
    const struct fp_node *node = s->node;
    const enum fp_role role = fp_node_role(node);
    bool sum = role == FP_ROLE_ADDS || role == FP_ROLE_SUBTRACTS, negative = role == FP_ROLE_SUBTRACTS && s->from == 1;
    if (!sum || !bias || negative) u->plain = false;
    if (role == FP_ROLE_NORMALIZES) return undo_normalization(u, node, bias);
    int status = FINEPRUNE_OK;
    if (!sum || !bias) status = load_numbers(u, node->graph, node->in[1 - s->from]);
    for (size_t k = 0; k < u->n && !status; k++) {
        if (sum && !bias)
            u->shift[k] += u->factor[k] * (role == FP_ROLE_SUBTRACTS && s->from == 0 ? -u->numbers[k] : u->numbers[k]);
        else if (role == FP_ROLE_MULTIPLIES) u->factor[k] *= u->numbers[k];
        else if (role == FP_ROLE_DIVIDES) u->factor[k] /= u->numbers[k];
        if (negative) u->factor[k] = -u->factor[k];
    }
    return status;
}

static int gather_units(struct units *u, const struct fp_classifier *c, const struct fp_weight *w) {
    const struct fp_graph *graph = u->weights->model->graph;
    struct fp_bias_place place = {0};
    int value = c->logits_value, status = FINEPRUNE_OK;
    if (w->bias.proto) place = fp_bias_place_of(w, 0, w->bias.kind);
    for (int i = 0; i < MOST_STEPS && !status && !u->reason && producer(graph, value) != w->node; i++) {
        struct step s = step_back(graph, value);
        if (s.affine)
            status = undo(u, &s, s.node == place.node && (is(s.node, FP_ROLE_NORMALIZES) || place.index == 1 - s.from));
        value = s.node->in[s.from];
    }
    bool scales = w->view == FP_VIEW_GEMM || w->view == FP_VIEW_SCALED;
    double alpha = 1;
    if (scales) alpha = (double)fp_attr_float(w->node, "alpha", 1);
    if (alpha != 1) u->plain = false;
    for (size_t k = 0; k < u->n; k++) u->factor[k] *= alpha;
    for (size_t k = 0; k < u->n && !u->reason; k++)
        if (u->factor[k] == 0 || !isfinite(u->factor[k]) || !isfinite(u->shift[k]))
            u->reason = "a class's scores do not follow from its row";
    return status;
}

int fp_classifier_units(struct fp_classifier *c, struct fp_weights *weights, fineprune_error *err) {
    if (c->weight < 0) return FINEPRUNE_OK;
    struct fp_weight *w = &weights->items[c->weight];
    if (w->factor) return FINEPRUNE_OK;
    struct units u = {.n = c->classes, .weights = weights, .plain = true, .err = err};
    FP_STAGE(room, "class scores");
    u.numbers = fp_arena_take(&room, u.n, sizeof(double));
    u.factor = fp_calloc(u.n, sizeof(double));
    u.shift = fp_calloc(u.n, sizeof(double));
    const bool taken = u.factor && u.shift && u.numbers;
    int status = FINEPRUNE_OK;
    for (size_t k = 0; k < u.n && taken; k++) u.factor[k] = 1;
    if (taken) status = gather_units(&u, c, w);
    else status = fp_fail_memory(err, room.what, 3 * u.n * sizeof(double));
    fp_exec_free(u.exec);
    if (!status && !u.reason && !u.plain) {
        w->factor = u.factor;
        w->shift = u.shift;
        return FINEPRUNE_OK;
    }
    if (!status && u.reason) *c = (struct fp_classifier){.weight = -1, .reason = u.reason};
    free(u.factor);
    free(u.shift);
    return status;
}
