// SPDX-License-Identifier: Apache-2.0
// Finding elementwise nodes that can be done at the end of the node before them. From the head's result on, each step looks at who
// reads the value: one reader that is elementwise, or the few nodes that exporters write for one function (x sigmoid(x), Gelu).
#include "fuse.h"

#include <float.h>
#include <math.h>

// The one node that reads the value, NULL when there are others, it is an output, or it must be seen.
static const struct fp_node *only_reader(const struct fp_fuse_view *view, int value) {
    if (value < 0)
        return NULL;
    const struct fp_value *v = &view->graph->values[value];
    bool plain = v->n_readers == 1 && !v->is_output && !(view->watched && view->watched[value]);
    const struct fp_node *node = plain ? v->readers[0].node : NULL;
    return node && node->graph == view->graph && !node->n_bodies && !node->function ? node : NULL;
}

static bool is(const struct fp_node *node, const char *type) {
    return node && !*node->domain && strcmp(node->type, type) == 0 && node->n_out >= 1 && node->out[0] >= 0;
}

// The input of a node of two that is not `value`, -1 when there is none.
static int other_input(const struct fp_node *node, int value) {
    if (node->n_in != 2 || node->in[0] == node->in[1])
        return -1;
    return node->in[0] == value ? node->in[1] : node->in[1] == value ? node->in[0] : -1;
}

static bool constant_scalar(const struct fp_fuse_view *view, int value, float *out) {
    return value >= 0 && view->is_constant[value] && view->scalar(view->user, value, out);
}

static bool is_near(float a, float b) {
    return fabsf(a - b) <= 1e-5f * fabsf(b);
}

// node has `value` as an input and a constant near `want` as the other.
static bool with_constant(const struct fp_fuse_view *view, const struct fp_node *node, const char *type, int value, float want) {
    float c;
    int other = is(node, type) ? other_input(node, value) : -1;
    if (strcmp(type, "Div") == 0 && other >= 0 && node->in[0] != value)
        return false;
    return constant_scalar(view, other, &c) && is_near(c, want);
}

// ---- one step: what it adds to the fusion. Each returns the value that follows, -1 when it does not apply

static int add_step(struct fp_fusion *f, const struct fp_node *const *nodes, int n, struct fp_tail tail, int result) {
    if (f->n_nodes + n > FP_FUSED_NODES || f->n_tail == FP_TAIL_MAX)
        return -1;
    for (int i = 0; i < n; i++)
        f->nodes[f->n_nodes++] = nodes[i];
    f->tail[f->n_tail++] = tail;
    f->last = nodes[n - 1];
    return result;
}

static int one(struct fp_fusion *f, const struct fp_node *node, enum fp_tail_kind kind, float a, float b, int input) {
    return add_step(f, &node, 1, (struct fp_tail){kind, a, b, input}, node->out[0]);
}

static int step_activation(struct fp_fusion *f, const struct fp_node *node) {
    static const struct { const char *type; enum fp_tail_kind kind; const char *a_name; float a; const char *b_name; float b; } known[] = {
        {"Relu", FP_TAIL_RELU, NULL, 0, NULL, 0},
        {"LeakyRelu", FP_TAIL_RELU, "alpha", 0.01f, NULL, 0},
        {"Sigmoid", FP_TAIL_SIGMOID, NULL, 0, NULL, 0},
        {"Tanh", FP_TAIL_TANH, NULL, 0, NULL, 0},
        {"HardSigmoid", FP_TAIL_HARD_SIGMOID, "alpha", 0.2f, "beta", 0.5f},
        {"HardSwish", FP_TAIL_HARD_SWISH, NULL, 0, NULL, 0},
        {"Swish", FP_TAIL_SWISH, "alpha", 1, NULL, 0},
        {"Elu", FP_TAIL_ELU, "alpha", 1, NULL, 0},
    };
    for (size_t i = 0; i < FP_COUNT(known); i++)
        if (is(node, known[i].type))
            return one(f, node, known[i].kind, known[i].a_name ? fp_attr_float(node, known[i].a_name, known[i].a) : known[i].a,
                       known[i].b_name ? fp_attr_float(node, known[i].b_name, known[i].b) : known[i].b, 0);
    if (is(node, "Gelu"))
        return one(f, node, strcmp(fp_attr_text(node, "approximate", "none"), "tanh") == 0 ? FP_TAIL_GELU_TANH : FP_TAIL_GELU, 0, 0, 0);
    return -1;
}

static int step_clip(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *node, int value) {
    if (!is(node, "Clip") || node->in[0] != value)
        return -1;
    float bound[2] = {-FLT_MAX, FLT_MAX};
    for (int i = 0; i < 2; i++) {
        if (node->opset < 11)
            bound[i] = fp_attr_float(node, i ? "max" : "min", bound[i]);
        else if (node->n_in > i + 1 && node->in[i + 1] >= 0 && !constant_scalar(view, node->in[i + 1], &bound[i]))
            return -1;
    }
    return bound[0] <= bound[1] ? one(f, node, FP_TAIL_CLIP, bound[0], bound[1], 0) : -1;
}

static int step_norm(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *node, int value) {
    if (!is(node, "BatchNormalization") || node->n_in != 5 || node->in[0] != value || f->n_tail || f->n_extra + 4 > FP_TAIL_EXTRA ||
        fp_attr_int(node, "training_mode", 0) || !fp_attr_int(node, "spatial", 1))
        return -1;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0)
            return -1;
    for (int i = 1; i < 5; i++)
        if (node->in[i] < 0 || !view->is_constant[node->in[i]])
            return -1;
    int first = f->n_extra;
    for (int i = 1; i < 5; i++)
        f->extra[f->n_extra++] = node->in[i];
    return one(f, node, FP_TAIL_NORM, fp_attr_float(node, "epsilon", 1e-5f), 0, first);
}

// Whether the value is there before `head` runs.
static bool is_ready(const struct fp_fuse_view *view, int value, const struct fp_node *head) {
    const struct fp_value *v = &view->graph->values[value];
    return view->is_constant[value] || !v->producer || v->producer->id < head->id;
}

static int step_arithmetic(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *head, const struct fp_node *node,
                           int value) {
    bool add = is(node, "Add"), mul = is(node, "Mul"), div = is(node, "Div");
    if ((!add && !mul && !div) || node->opset < 7)
        return -1;
    int other = other_input(node, value);
    float c;
    if (other < 0 || (div && node->in[0] != value))
        return -1;
    if (constant_scalar(view, other, &c))
        return one(f, node, FP_TAIL_LINEAR, add ? 1 : div ? 1 / c : c, add ? c : 0, 0);
    if (div || f->n_extra == FP_TAIL_EXTRA || !is_ready(view, other, head))
        return -1;
    f->extra[f->n_extra] = other;
    return one(f, node, add ? FP_TAIL_ADD : FP_TAIL_MUL, 0, 0, f->n_extra++);
}

// ---- functions that take several nodes. The value has two readers

static bool two_readers(const struct fp_fuse_view *view, int value, const struct fp_node *out[2]) {
    const struct fp_value *v = &view->graph->values[value];
    if (v->n_readers != 2 || v->is_output || (view->watched && view->watched[value]))
        return false;
    for (int i = 0; i < 2; i++) {
        out[i] = v->readers[i].node;
        if (!out[i] || out[i]->graph != view->graph || out[i]->n_bodies || out[i]->function)
            return false;
    }
    return out[0] != out[1];
}

// x times a function of x.
static int step_gate(const struct fp_fuse_view *view, struct fp_fusion *f, int value, const struct fp_node *gate, const struct fp_node *mul) {
    bool swish = is(gate, "Sigmoid");
    bool hard = is(gate, "HardSigmoid") && is_near(fp_attr_float(gate, "alpha", 0.2f), 1.0f / 6) &&
                is_near(fp_attr_float(gate, "beta", 0.5f), 0.5f);
    if ((!swish && !hard) || !is(mul, "Mul") || only_reader(view, gate->out[0]) != mul || other_input(mul, value) != gate->out[0])
        return -1;
    const struct fp_node *nodes[] = {gate, mul};
    return add_step(f, nodes, 2, (struct fp_tail){swish ? FP_TAIL_SWISH : FP_TAIL_HARD_SWISH, 1, 0, 0}, mul->out[0]);
}

// 0.5 x (1 + erf(x / sqrt 2)), the factors in any of the orders that exporters use.
static int step_gelu(const struct fp_fuse_view *view, struct fp_fusion *f, int value, const struct fp_node *scale, const struct fp_node *rest) {
    if (!with_constant(view, scale, "Div", value, 1.41421356f) && !with_constant(view, scale, "Mul", value, 0.70710678f))
        return -1;
    const struct fp_node *erf = only_reader(view, scale->out[0]), *add = is(erf, "Erf") ? only_reader(view, erf->out[0]) : NULL;
    if (!with_constant(view, add, "Add", erf ? erf->out[0] : -1, 1))
        return -1;
    const struct fp_node *next = only_reader(view, add->out[0]), *last = next;
    const struct fp_node *nodes[] = {scale, erf, add, NULL, NULL};
    if (is(next, "Mul") && next == rest && other_input(next, value) == add->out[0]) { // x (1 + erf) 0.5
        last = only_reader(view, next->out[0]);
        nodes[3] = next;
        if (!with_constant(view, last, "Mul", next->out[0], 0.5f))
            return -1;
    } else if (with_constant(view, next, "Mul", add->out[0], 0.5f)) { // x (0.5 (1 + erf))
        last = only_reader(view, next->out[0]);
        nodes[3] = next;
        if (!is(last, "Mul") || last != rest || other_input(last, value) != next->out[0])
            return -1;
    } else if (is(next, "Mul") && with_constant(view, rest, "Mul", value, 0.5f)) { // (0.5 x) (1 + erf)
        nodes[3] = rest;
        if (only_reader(view, rest->out[0]) != next || other_input(next, add->out[0]) != rest->out[0])
            return -1;
    } else {
        return -1;
    }
    nodes[4] = last;
    return add_step(f, nodes, 5, (struct fp_tail){FP_TAIL_GELU, 0, 0, 0}, last->out[0]);
}

static int step_pair(const struct fp_fuse_view *view, struct fp_fusion *f, int value) {
    const struct fp_node *readers[2];
    if (!two_readers(view, value, readers))
        return -1;
    for (int i = 0; i < 2; i++) {
        int next = step_gate(view, f, value, readers[i], readers[1 - i]);
        if (next < 0)
            next = step_gelu(view, f, value, readers[i], readers[1 - i]);
        if (next >= 0)
            return next;
    }
    return -1;
}

static int step(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *head, int value) {
    const struct fp_node *node = only_reader(view, value);
    if (!node)
        return value >= 0 ? step_pair(view, f, value) : -1;
    int next = step_activation(f, node);
    if (next < 0)
        next = step_clip(view, f, node, value);
    if (next < 0)
        next = step_norm(view, f, node, value);
    return next < 0 ? step_arithmetic(view, f, head, node, value) : next;
}

bool fp_fuse_find(const struct fp_fuse_view *view, const struct fp_node *head, struct fp_fusion *fusion) {
    *fusion = (struct fp_fusion){0};
    for (int i = 1; i < head->n_out; i++)
        if (head->out[i] >= 0)
            return false;
    for (int value = head->n_out ? head->out[0] : -1; value >= 0;)
        value = step(view, fusion, head, value);
    return fusion->n_tail > 0;
}
