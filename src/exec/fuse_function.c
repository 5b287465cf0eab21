// SPDX-License-Identifier: Apache-2.0
// A function written out in nodes is recognized by its values on a grid, not by its form: exporters order the factors
// of Gelu in more ways than anybody can list.
#include "exec/fuse_function.h"

#include <float.h>
#include <math.h>

// ---- what nodes compute, in double

static double erf_of(double x, const double *p) { return (void)p, erf(x); }
static double tanh_of(double x, const double *p) { return (void)p, tanh(x); }
static double exp_of(double x, const double *p) { return (void)p, exp(x); }
static double neg_of(double x, const double *p) { return (void)p, -x; }
static double reciprocal_of(double x, const double *p) { return (void)p, 1 / x; }
static double relu_of(double x, const double *p) { return (void)p, x < 0 ? 0 : x; }
static double identity_of(double x, const double *p) { return (void)p, x; }
static double sigmoid_of(double x, const double *p) { return 1 / (1 + exp(-p[0] * x)); }
static double clip_of(double x, const double *p) { return x < p[0] ? p[0] : x > p[1] ? p[1] : x; }
static double hard_sigmoid_of(double x, const double *p) { return clip_of(p[0] * x + p[1], (const double[]){0, 1}); }
static double add_of(double x, const double *p) { return x + p[0]; }
static double sub_of(double x, const double *p) { return x - p[0]; }
static double mul_of(double x, const double *p) { return x * p[0]; }
static double div_of(double x, const double *p) { return x / p[0]; }
static double pow_of(double x, const double *p) { return pow(x, p[0]); }

enum shape { ONE, TWO, WITH_BOUNDS, WITH_ATTRIBUTES };
static const struct kind {
    const char *type;
    double (*of)(double x, const double *p);
    enum shape shape;
    double p[2]; // or the defaults of alpha and beta
} kinds[] = {
    {"Add", add_of, TWO, {0}},
    {"Sub", sub_of, TWO, {0}},
    {"Mul", mul_of, TWO, {0}},
    {"Div", div_of, TWO, {0}},
    {"Pow", pow_of, TWO, {0}},
    {"Erf", erf_of, ONE, {0}},
    {"Tanh", tanh_of, ONE, {0}},
    {"Exp", exp_of, ONE, {0}},
    {"Neg", neg_of, ONE, {0}},
    {"Reciprocal", reciprocal_of, ONE, {0}},
    {"Relu", relu_of, ONE, {0}},
    {"Identity", identity_of, ONE, {0}},
    {"Sigmoid", sigmoid_of, ONE, {1}},
    {"Clip", clip_of, WITH_BOUNDS, {-DBL_MAX, DBL_MAX}},
    {"HardSigmoid", hard_sigmoid_of, WITH_ATTRIBUTES, {0.2, 0.5}},
};

// ---- functions to find

static double gelu(double x, double a) { return (void)a, 0.5 * x * (1 + erf(x * 0.70710678118654752)); }
static double gelu_tanh(double x, double a) {
    return (void)a, 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
}
static double swish(double x, double a) { return x / (1 + exp(-a * x)); }
static double hard_swish(double x, double a) { return (void)a, x * clip_of(x / 6 + 0.5, (const double[]){0, 1}); }

static const struct known {
    double (*of)(double x, double a);
    struct fp_tail tail;
} knowns[] = {
    {gelu, {FP_TAIL_GELU, 0, 0, 0}},
    {gelu_tanh, {FP_TAIL_GELU_TANH, 0, 0, 0}},
    {swish, {FP_TAIL_SWISH, 1, 0, 0}},
    {swish, {FP_TAIL_SWISH, 1.702f, 0, 0}}, // the quick Gelu
    {hard_swish, {FP_TAIL_HARD_SWISH, 0, 0, 0}},
};

// ---- the region

enum { START = -1, CONSTANT = -2, POINTS = 49 };
struct step {
    const struct kind *kind;
    int in[2];       // steps before, START or CONSTANT
    double constant; // of an input that is CONSTANT
    double p[2];
    int open; // readers of the result that are not in the region
    double y[POINTS];
};
struct region {
    const struct fp_fuse_view *view;
    int start, start_open;
    struct fp_function *f;
    struct step steps[FP_FUNCTION_NODES];
};

static double point(int i) { return (i - POINTS / 2) * 0.33 + 0.01; } // -7.91 .. 7.93

static const struct kind *kind_of(const struct fp_node *node) {
    if (*node->domain || node->opset < 7 || node->n_bodies || node->function || node->n_out < 1 || node->out[0] < 0)
        return NULL;
    for (size_t i = 0; i < FP_COUNT(kinds); i++)
        if (!strcmp(node->type, kinds[i].type)) return &kinds[i];
    return NULL;
}

static bool constant(struct region *r, int value, double *out) {
    float v;
    int rank;
    if (value < 0 || !r->view->is_constant[value] || !r->view->scalar(r->view->user, value, &v, &rank)) return false;
    *out = (double)v;
    if (rank > r->f->least_rank) r->f->least_rank = rank;
    return true;
}

// Where an input of a node comes from.
static bool source(struct region *r, int value, int *from, double *number) {
    *from = CONSTANT;
    if (value == r->start) *from = START;
    for (int i = 0; i < r->f->n; i++)
        if (r->f->nodes[i]->out[0] == value) *from = i;
    return *from != CONSTANT || constant(r, value, number);
}

static bool parameters(struct region *r, const struct fp_node *node, struct step *s) {
    memcpy(s->p, s->kind->p, sizeof(s->p));
    if (s->kind->shape == WITH_ATTRIBUTES) {
        s->p[0] = (double)fp_attr_float(node, "alpha", (float)s->p[0]);
        s->p[1] = (double)fp_attr_float(node, "beta", (float)s->p[1]);
    }
    for (int i = 0; i < 2 && s->kind->shape == WITH_BOUNDS; i++) {
        if (node->opset < 11) s->p[i] = (double)fp_attr_float(node, i ? "max" : "min", i ? FLT_MAX : -FLT_MAX);
        else if (node->n_in > i + 1 && node->in[i + 1] >= 0 && !constant(r, node->in[i + 1], &s->p[i])) return false;
    }
    return true;
}

static double value_at(const struct region *r, const struct step *s, int input, int i) {
    int from = s->in[input];
    if (from == START) return point(i);
    if (from == CONSTANT) return s->constant;
    return r->steps[from].y[i];
}

static int *open_of(struct region *r, int from) {
    if (from == START) return &r->start_open;
    return &r->steps[from].open;
}

static bool take(struct region *r, const struct fp_node *node) {
    if (r->f->n == FP_FUNCTION_NODES) return false;
    struct step *s = &r->steps[r->f->n];
    const struct fp_value *out = NULL;
    if (node->out[0] >= 0) out = &r->view->graph->values[node->out[0]];
    if (node->graph == r->view->graph) s->kind = kind_of(node);
    else s->kind = NULL;
    int inputs = 0;
    if (s->kind) inputs = 1 + (s->kind->shape == TWO);
    if (!inputs || !out || node->n_in < inputs || !parameters(r, node, s)) return false;
    for (int i = 0; i < inputs; i++)
        if (node->in[i] < 0 || !source(r, node->in[i], &s->in[i], &s->constant)) return false;
    if (s->in[0] == CONSTANT && (inputs < 2 || s->in[1] == CONSTANT)) return false;
    for (int i = 0; i < POINTS; i++) {
        double second;
        const double *p = s->p;
        if (inputs == 2) {
            second = value_at(r, s, 1, i);
            p = &second;
        }
        s->y[i] = s->kind->of(value_at(r, s, 0, i), p);
    }
    for (int i = 0; i < inputs; i++)
        if (s->in[i] != CONSTANT) --*open_of(r, s->in[i]);
    s->open = out->n_readers;
    r->f->nodes[r->f->n++] = node;
    return true;
}

// The first node in order, after those taken, that reads the start or a result.
static const struct fp_node *next_reader(const struct region *r) {
    int last = -1;
    if (r->f->n) last = r->f->nodes[r->f->n - 1]->id;
    const struct fp_node *next = NULL;
    for (int i = -1; i < r->f->n; i++) {
        const struct fp_value *v = &r->view->graph->values[i < 0 ? r->start : r->f->nodes[i]->out[0]];
        for (int k = 0; k < v->n_readers; k++) {
            const struct fp_node *node = v->readers[k].node;
            if (node && node->graph == r->view->graph && node->id > last && (!next || node->id < next->id)) next = node;
        }
    }
    return next;
}

// Everything before the last node is read inside only, and nobody must see it.
static bool is_closed(const struct region *r) {
    if (r->start_open) return false;
    for (int i = 0; i + 1 < r->f->n; i++) {
        int value = r->f->nodes[i]->out[0];
        if (r->steps[i].open || r->view->graph->values[value].is_output ||
            (r->view->watched && r->view->watched[value]))
            return false;
    }
    return true;
}

static bool is_known(struct region *r) {
    const double *y = r->steps[r->f->n - 1].y;
    for (size_t k = 0; k < FP_COUNT(knowns); k++) {
        bool same = true;
        for (int i = 0; i < POINTS && same; i++) {
            double want = knowns[k].of(point(i), (double)knowns[k].tail.a);
            same = fabs(y[i] - want) <= 2e-6 + 5e-6 * fabs(want);
        }
        if (!same) continue;
        r->f->tail = knowns[k].tail;
        return true;
    }
    return false;
}

bool fp_function_find(const struct fp_fuse_view *view, int value, struct fp_function *out) {
    const struct fp_value *v = &view->graph->values[value];
    if (v->n_readers < 2 || v->n_readers > FP_FUNCTION_NODES || v->is_output || (view->watched && view->watched[value]))
        return false;
    *out = (struct fp_function){.n = 0};
    struct region region = {.view = view, .start = value, .start_open = v->n_readers, .f = out};
    for (const struct fp_node *node = next_reader(&region); node && take(&region, node); node = next_reader(&region))
        if (is_closed(&region) && is_known(&region)) return true;
    return false;
}
