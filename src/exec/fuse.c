// SPDX-License-Identifier: Apache-2.0
// Finding elementwise nodes that can be done at the end of the node before them. From the head's result on, each step
// looks at who reads the value: one reader that is elementwise, or the nodes that exporters write for one function (x
// sigmoid(x), Gelu).
#include <float.h>

#include "exec/fuse_function.h"

// The one node that reads the value, NULL when there are others, it is an output, or it must be seen.
static const struct fp_node *only_reader(const struct fp_fuse_view *view, int value) {
    if (value < 0) return NULL;
    const struct fp_value *v = &view->graph->values[value];
    bool plain = v->n_readers == 1 && !v->is_output && !(view->watched && view->watched[value]);
    const struct fp_node *node = NULL;
    if (plain) node = v->readers[0].node;
    if (node && node->graph == view->graph && !node->n_bodies && !node->function) return node;
    return NULL;
}

static bool is(const struct fp_node *node, const char *type) {
    return node && !*node->domain && strcmp(node->type, type) == 0 && node->n_out >= 1 && node->out[0] >= 0;
}

// The input of a node of two that is not `value`, -1 when there is none.
static int other_input(const struct fp_node *node, int value) {
    if (node->n_in != 2 || node->in[0] == node->in[1]) return -1;
    if (node->in[0] == value) return node->in[1];
    if (node->in[1] == value) return node->in[0];
    return -1;
}

static bool constant_scalar(const struct fp_fuse_view *view, struct fp_fusion *f, int value, float *out) {
    int rank;
    if (value < 0 || !view->is_constant[value] || !view->scalar(view->user, value, out, &rank)) return false;
    if (rank > f->least_rank) f->least_rank = rank;
    return true;
}

// ---- one step: what it adds to the fusion. Each returns the value that follows, -1 when it does not apply

static int add_step(struct fp_fusion *f, const struct fp_node *const *nodes, int n, struct fp_tail tail, int result) {
    if (f->n_nodes + n > FP_FUSED_NODES || f->n_tail == FP_TAIL_MAX) return -1;
    for (int i = 0; i < n; i++) f->nodes[f->n_nodes++] = nodes[i];
    f->tail[f->n_tail++] = tail;
    f->last = nodes[n - 1];
    return result;
}

static int one(struct fp_fusion *f, const struct fp_node *node, enum fp_tail_kind kind, float a, float b, int input) {
    return add_step(f, &node, 1, (struct fp_tail){kind, a, b, input}, node->out[0]);
}

static int step_activation(struct fp_fusion *f, const struct fp_node *node) {
    static const struct {
        const char *type;
        enum fp_tail_kind kind;
        const char *a_name;
        float a;
        const char *b_name;
        float b;
    } known[] = {
        {"Relu", FP_TAIL_RELU, NULL, 0, NULL, 0},
        {"LeakyRelu", FP_TAIL_RELU, "alpha", 0.01f, NULL, 0},
        {"Sigmoid", FP_TAIL_SIGMOID, NULL, 0, NULL, 0},
        {"Tanh", FP_TAIL_TANH, NULL, 0, NULL, 0},
        {"HardSigmoid", FP_TAIL_HARD_SIGMOID, "alpha", 0.2f, "beta", 0.5f},
        {"HardSwish", FP_TAIL_HARD_SWISH, NULL, 0, NULL, 0},
        {"Swish", FP_TAIL_SWISH, "alpha", 1, NULL, 0},
        {"Elu", FP_TAIL_ELU, "alpha", 1, NULL, 0},
    };
    for (size_t i = 0; i < FP_COUNT(known); i++) {
        if (!is(node, known[i].type)) continue;
        float a = known[i].a, b = known[i].b;
        if (known[i].a_name) a = fp_attr_float(node, known[i].a_name, a);
        if (known[i].b_name) b = fp_attr_float(node, known[i].b_name, b);
        return one(f, node, known[i].kind, a, b, 0);
    }
    if (!is(node, "Gelu")) return -1;
    if (strcmp(fp_attr_text(node, "approximate", "none"), "tanh") == 0) return one(f, node, FP_TAIL_GELU_TANH, 0, 0, 0);
    return one(f, node, FP_TAIL_GELU, 0, 0, 0);
}

static int step_clip(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *node, int value) {
    if (!is(node, "Clip") || node->in[0] != value) return -1;
    float bound[2] = {-FLT_MAX, FLT_MAX};
    for (int i = 0; i < 2; i++) {
        if (node->opset < 11) bound[i] = fp_attr_float(node, i ? "max" : "min", bound[i]);
        else if (node->n_in > i + 1 && node->in[i + 1] >= 0 && !constant_scalar(view, f, node->in[i + 1], &bound[i]))
            return -1;
    }
    if (bound[0] <= bound[1]) return one(f, node, FP_TAIL_CLIP, bound[0], bound[1], 0);
    return -1;
}

static int step_norm(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *node, int value) {
    if (!is(node, "BatchNormalization") || node->n_in != 5 || node->in[0] != value || f->n_tail ||
        f->n_extra + 4 > FP_TAIL_EXTRA || fp_attr_int(node, "training_mode", 0) || !fp_attr_int(node, "spatial", 1))
        return -1;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0) return -1;
    for (int i = 1; i < 5; i++)
        if (node->in[i] < 0 || !view->is_constant[node->in[i]]) return -1;
    int first = f->n_extra;
    for (int i = 1; i < 5; i++) f->extra[f->n_extra++] = node->in[i];
    return one(f, node, FP_TAIL_NORM, fp_attr_float(node, "epsilon", 1e-5f), 0, first);
}

// Whether the value is there before `head` runs.
static bool is_ready(const struct fp_fuse_view *view, int value, const struct fp_node *head) {
    const struct fp_value *v = &view->graph->values[value];
    return view->is_constant[value] || !v->producer || v->producer->id < head->id;
}

static int step_arithmetic(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *head,
                           const struct fp_node *node, int value) {
    bool add = is(node, "Add"), mul = is(node, "Mul"), div = is(node, "Div");
    if ((!add && !mul && !div) || node->opset < 7) return -1;
    int other = other_input(node, value);
    float c;
    if (other < 0 || (div && node->in[0] != value)) return -1;
    if (constant_scalar(view, f, other, &c)) {
        if (add) return one(f, node, FP_TAIL_LINEAR, 1, c, 0);
        if (div) c = 1 / c;
        return one(f, node, FP_TAIL_LINEAR, c, 0, 0);
    }
    if (div || f->n_extra == FP_TAIL_EXTRA || !is_ready(view, other, head)) return -1;
    f->extra[f->n_extra] = other;
    if (add) return one(f, node, FP_TAIL_ADD, 0, 0, f->n_extra++);
    return one(f, node, FP_TAIL_MUL, 0, 0, f->n_extra++);
}

// A function that takes several nodes.
static int step_function(const struct fp_fuse_view *view, struct fp_fusion *f, int value) {
    struct fp_function found;
    if (!fp_function_find(view, value, &found)) return -1;
    if (found.least_rank > f->least_rank) f->least_rank = found.least_rank;
    return add_step(f, found.nodes, found.n, found.tail, found.nodes[found.n - 1]->out[0]);
}

static int step(const struct fp_fuse_view *view, struct fp_fusion *f, const struct fp_node *head, bool functions_only,
                int value) {
    const struct fp_node *node = only_reader(view, value);
    if (!node) return step_function(view, f, value);
    int next = step_activation(f, node);
    if (next < 0) next = step_clip(view, f, node, value);
    if (next >= 0 || functions_only) return next;
    next = step_norm(view, f, node, value);
    if (next < 0) return step_arithmetic(view, f, head, node, value);
    return next;
}

bool fp_fuse_find(const struct fp_fuse_view *view, const struct fp_node *head, bool functions_only,
                  struct fp_fusion *fusion) {
    *fusion = (struct fp_fusion){0};
    for (int i = 1; i < head->n_out; i++)
        if (head->out[i] >= 0) return false;
    for (int value = head->n_out ? head->out[0] : -1; value >= 0;)
        value = step(view, fusion, head, functions_only, value);
    return fusion->n_tail > 0;
}
