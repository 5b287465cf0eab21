// SPDX-License-Identifier: Apache-2.0
// The error of an output is ||b - a|| / ||a - mean of a||, over all samples and elements: 0 is the same, 1 as far as a
// constant would be. A node computes anew what its inputs bring, so one is named where its error is several times that
// of what it reads, and no small part of the greatest one.
#include "compare_layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "cmd.h"
#include "exec/op_list.h"
#include "report/report_values.h"
#include "weights/weights.h"

#define HELD ((size_t)256 << 20) // bytes of the first model's outputs
#define SMALL 0.01               // errors below it are nobody's fault
#define PART 0.1                 // of the greatest error: less is not looked at
#define JUMP 3.0                 // times what the inputs bring

struct pair {
    const struct fp_node *node; // of the first model
    const char *weight;         // that it reads, or NULL
    int a, b;                   // values
    struct fp_tensor held;      // the first model's, until the second has run
    double sum, aa, dd;         // of a, a^2, (b - a)^2
    size_t count;
    bool unlike; // of another shape or type in the second model
};

struct fp_layer_pairs {
    struct fp_arena arena;
    struct fp_layer_side a, b;
    struct pair *items;
    size_t n, alone; // alone: outputs of the first model without a partner
    size_t rows, of; // of the batch that runs: how many count
    size_t held;     // bytes a sample, once one has run
    size_t running;
};

// ---- pairing

static bool computes(const struct fp_node *node) {
    const enum fp_role role = fp_node_role(node);
    if (role != FP_ROLE_OTHER && role <= FP_ROLE_MOVES_LAST) return false;
    return role != FP_ROLE_DROPS && role != FP_ROLE_STORES && role != FP_ROLE_FILLS && role != FP_ROLE_MEASURES;
}

// Per node of the main graph, the name of the weight that it reads, or NULL.
static int weights_of(const char ***out, struct fp_weights **weights, const struct fp_layer_side *s,
                      struct fp_arena *room, fineprune_error *err) {
    const struct fp_graph *graph = s->model->graph;
    *out = fp_arena_take(room, (size_t)graph->n_nodes, sizeof(**out));
    int status = fp_arena_check(room, err);
    if (!status) status = fp_weights_find(weights, s->exec, s->model, true, err);
    if (status) return status;
    for (int i = 0; i < (*weights)->n; i++)
        for (int k = 0; k < (*weights)->items[i].n_uses; k++) {
            const struct fp_node *node = (*weights)->items[i].uses[k].node;
            if (node->graph == graph && !(*out)[node->id]) (*out)[node->id] = (*weights)->items[i].name;
        }
    return FINEPRUNE_OK;
}

// What the second model's node with that weight gives, -1: none.
static int value_at_weight(const struct fp_graph *graph, const char *const *weights, const char *name) {
    for (int i = 0; name && i < graph->n_nodes; i++)
        if (weights[i] && strcmp(weights[i], name) == 0 && graph->nodes[i].n_out) return graph->nodes[i].out[0];
    return -1;
}

// Values of the second model's nodes by name.
static int name_values(struct fp_name_map *names, const struct fp_graph *graph, fineprune_error *err) {
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_out; k++) {
            const int value = graph->nodes[i].out[k];
            if (value >= 0 && !fp_name_set(names, graph->values[value].name, value))
                return fp_fail_memory(err, "the layers", names->n * sizeof(struct fp_name_entry));
        }
    return FINEPRUNE_OK;
}

static bool is_made(const struct fp_layer_side *s, int value) {
    return value >= 0 && !fp_exec_is_constant(s->exec, s->model->graph, value);
}

static void pair_node(struct fp_layer_pairs *p, const struct fp_node *node, const struct fp_name_map *names,
                      const char *const *first, const char *const *second) {
    const char *weight = first[node->id];
    for (int k = 0; k < node->n_out; k++) {
        if (!is_made(&p->a, node->out[k])) continue;
        const struct fp_value *v = &p->a.model->graph->values[node->out[k]];
        if (v->type != FP_NONE && !fp_type_is_float(v->type)) continue;
        int other = fp_name_find(names, v->name);
        if (other < 0 && !k) other = value_at_weight(p->b.model->graph, second, weight);
        if (is_made(&p->b, other))
            p->items[p->n++] = (struct pair){.node = node, .weight = weight, .a = node->out[k], .b = other};
        else p->alone++;
    }
}

static int watch(struct fp_layer_pairs *p, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < p->n && !status; i++) {
        status = fp_exec_watch_value(p->a.exec, p->items[i].a, (int)i, err);
        if (!status) status = fp_exec_watch_value(p->b.exec, p->items[i].b, (int)i, err);
    }
    return status;
}

// A value of the second model that is paired twice would be seen for the last of them only.
static void drop_doubles(struct fp_layer_pairs *p, bool *taken) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (taken[p->items[i].b]) p->alone++;
        else p->items[n++] = p->items[i];
        taken[p->items[i].b] = true;
    }
    p->n = n;
}

static int pair_all(struct fp_layer_pairs *p, struct fp_weights **weights, fineprune_error *err) {
    const struct fp_graph *first = p->a.model->graph, *second = p->b.model->graph;
    FP_STAGE(room, "the layers");
    struct fp_name_map names = {0};
    const char **of_first = NULL, **of_second = NULL;
    struct fp_weights *others = NULL;
    size_t n = 0;
    for (int i = 0; i < first->n_nodes; i++) n += (size_t)first->nodes[i].n_out;
    p->items = fp_arena_take(&p->arena, n, sizeof(*p->items));
    bool *taken = fp_arena_take(&room, (size_t)second->n_values, sizeof(*taken));
    int status = fp_arena_check(&p->arena, err);
    if (!status) status = weights_of(&of_first, weights, &p->a, &room, err);
    if (!status) status = weights_of(&of_second, &others, &p->b, &room, err);
    if (!status) status = name_values(&names, second, err);
    for (int i = 0; i < first->n_nodes && !status; i++)
        if (computes(&first->nodes[i])) pair_node(p, &first->nodes[i], &names, of_first, of_second);
    if (!status) drop_doubles(p, taken);
    fp_name_map_done(&names);
    fp_weights_free(others);
    return status;
}

int fp_layers_open(struct fp_layer_pairs **out, const struct fp_layer_side *a, const struct fp_layer_side *b,
                   fineprune_error *err) {
    struct fp_layer_pairs *p = fp_calloc(1, sizeof(*p));
    struct fp_weights *weights = NULL;
    *out = p;
    if (!p) return fp_fail_memory(err, "the layers", sizeof(*p));
    *p = (struct fp_layer_pairs){.arena = {.what = "the layers"}, .a = *a, .b = *b};
    int status = pair_all(p, &weights, err);
    for (size_t i = 0; i < p->n && !status; i++) // the names end with the weights
        if (p->items[i].weight)
            p->items[i].weight = fp_arena_copy(&p->arena, p->items[i].weight, strlen(p->items[i].weight) + 1, 1);
    if (!status) status = fp_arena_check(&p->arena, err);
    fp_weights_free(weights);
    if (!status) status = watch(p, err);
    return status;
}

void fp_layers_free(struct fp_layer_pairs *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) fp_tensor_done(&p->items[i].held);
    fp_arena_free(&p->arena);
    free(p);
}

// ---- running

static int hold(void *user, int tag, const struct fp_tensor *x, fineprune_error *err) {
    struct fp_layer_pairs *p = user;
    (void)err;
    if (!fp_type_is_float(x->type)) return FINEPRUNE_OK;
    fp_tensor_done(&p->items[tag].held);
    fp_tensor_share(&p->items[tag].held, x);
    p->running += fp_tensor_bytes(x);
    return FINEPRUNE_OK;
}

static int add_elements(struct pair *pair, const struct fp_tensor *x, const struct fp_tensor *y, size_t count,
                        fineprune_error *err) {
    enum { STEP = 4096 };
    FP_STAGE(room, "a layer");
    double *a = fp_arena_take(&room, 2 * STEP, sizeof(*a)), *b = a + STEP;
    if (!a) return fp_arena_check(&room, err);
    for (size_t at = 0; at < count; at += STEP) {
        const size_t n = fp_least(count - at, STEP);
        fp_convert(a, FP_DOUBLE, (const char *)x->data + at * fp_type_size(x->type), x->type, n);
        fp_convert(b, FP_DOUBLE, (const char *)y->data + at * fp_type_size(y->type), y->type, n);
        for (size_t i = 0; i < n; i++) {
            pair->sum += a[i];
            pair->aa += a[i] * a[i];
            pair->dd += (b[i] - a[i]) * (b[i] - a[i]);
        }
    }
    pair->count += count;
    return FINEPRUNE_OK;
}

static int measure(void *user, int tag, const struct fp_tensor *y, fineprune_error *err) {
    struct fp_layer_pairs *p = user;
    struct pair *pair = &p->items[tag];
    struct fp_tensor x = pair->held;
    pair->held = (struct fp_tensor){0};
    if (!x.type) return FINEPRUNE_OK; // no numbers, or not made in this run
    int status = FINEPRUNE_OK;
    if (!fp_type_is_float(y->type) || !fp_same_shape(&x, y)) {
        pair->unlike = true;
    } else {
        size_t count = x.count;
        if (p->rows < p->of && x.rank && x.dims[0] == (int64_t)p->of) count = count / p->of * p->rows;
        status = add_elements(pair, &x, y, count, err);
    }
    fp_tensor_done(&x);
    return status;
}

static int run_side(struct fp_layer_pairs *p, const struct fp_layer_side *s,
                    int (*see)(void *, int, const struct fp_tensor *, fineprune_error *), fineprune_error *err) {
    const struct fp_observer observer = {.see = see, .user = p};
    int status = fp_exec_run(s->exec, s->inputs, s->outputs, &observer, err);
    for (int i = 0; i < s->model->graph->n_outputs && !status; i++) fp_tensor_done(&s->outputs[i]);
    return status;
}

int fp_layers_run(struct fp_layer_pairs *p, size_t n, size_t size, fineprune_error *err) {
    p->rows = n;
    p->of = size;
    p->running = 0;
    int status = run_side(p, &p->a, hold, err);
    p->held = fp_most(p->running / size, 1);
    if (!status) status = run_side(p, &p->b, measure, err);
    for (size_t i = 0; i < p->n; i++) fp_tensor_done(&p->items[i].held); // of what the second did not make
    return status;
}

size_t fp_layers_batch(const struct fp_layer_pairs *p) {
    if (!p->held) return 1;
    return fp_most(HELD / p->held, 1);
}

// ---- telling

static bool is_measured(const struct pair *pair) { return pair->count && !pair->unlike; }

// NAN: the first model's does not vary.
static double error_of(const struct pair *pair) {
    const double mean = pair->sum / (double)pair->count, spread = pair->aa - mean * pair->sum;
    if (pair->dd == 0) return 0;
    if (!isfinite(pair->dd)) return INFINITY;
    if (!(spread > 1e-12 * pair->aa)) return NAN;
    return sqrt(pair->dd / spread);
}

// Per value of the first graph the error that it has, or, where that is not known, what its node reads.
static void spread_errors(const struct fp_layer_pairs *p, double *errors, double *before) {
    const struct fp_graph *graph = p->a.model->graph;
    size_t next = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct fp_node *node = &graph->nodes[i];
        double brought = 0;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) brought = fmax(brought, errors[node->in[k]]);
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0) errors[node->out[k]] = brought;
        for (; next < p->n && p->items[next].node == node; next++) {
            const double own = is_measured(&p->items[next]) ? error_of(&p->items[next]) : NAN;
            before[next] = brought;
            if (!isnan(own)) errors[p->items[next].a] = own;
        }
    }
}

static char *say_layer(const struct fp_report_layer_error *layer) {
    fp_words now, then;
    char *weight = layer->weight ? fp_format(", weight '%s'", layer->weight) : fp_format("%s", "");
    char *text = weight ? fp_format("'%s' (%s%s): %s, where its inputs have %s", layer->output, layer->op, weight,
                                    isfinite(layer->error) ? fp_say_number(now, "%.3g", layer->error) : "no numbers",
                                    fp_say_number(then, "%.3g", layer->of_inputs))
                        : NULL;
    free(weight);
    return text;
}

#define NAMED 3

static void say_errors(struct fineprune_report *report, const struct fp_report_layer_errors *all) {
    struct fp_report_layer_errors told = *all;
    const struct fp_report_layer_error *worst = NULL;
    char text[900] = "";
    size_t named = 0;
    fp_words most;
    for (size_t i = 0; i < all->layers.n; i++) {
        const struct fp_report_layer_error *layer = &all->layers.items[i];
        if (!worst || layer->error > worst->error) worst = layer;
        if (!layer->stands_out || named++ >= NAMED) continue;
        char *one = say_layer(layer);
        const size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%.250s", named > 1 ? "; then " : "B goes off first at ",
                 fp_or_empty(one));
        free(one);
    }
    if (!worst) snprintf(text, sizeof(text), "no output of a layer can be compared");
    else if (!named && worst->error >= SMALL)
        snprintf(text, sizeof(text), "errors grow from layer to layer, up to %s at '%.200s'; none stands out",
                 fp_say_number(most, "%.3g", worst->error), worst->output);
    else if (!named)
        snprintf(text, sizeof(text), "no layer of B is off by %g or more; the most is %s, at '%.200s'", SMALL,
                 fp_say_number(most, "%.3g", worst->error), worst->output);
    if (named > NAMED) snprintf(text + strlen(text), 40, "; and %zu more", named - NAMED);
    told.said = text;
    FP_PUT(report, layer_errors, &told);
}

static void add_layer(struct fp_layer_pairs const *p, size_t i, double error, double brought, double least,
                      struct fineprune_report *report, struct fp_report_layer_errors *all) {
    const struct pair *pair = &p->items[i];
    const struct fp_report_layer_error layer = {.output = p->a.model->graph->values[pair->a].name,
                                                .node = *pair->node->name ? pair->node->name : NULL,
                                                .op = pair->node->type,
                                                .weight = pair->weight,
                                                .error = error,
                                                .of_inputs = brought,
                                                .stands_out = error >= least && !(error < JUMP * brought) &&
                                                              isfinite(brought)};
    fp_report_add_layer_error(report, all, &layer);
}

void fp_layers_report(const struct fp_layer_pairs *p, struct fineprune_report *report) {
    FP_STAGE(room, "the layers");
    double *errors = fp_arena_take(&room, (size_t)p->a.model->graph->n_values, sizeof(*errors));
    double *before = fp_arena_take(&room, p->n, sizeof(*before)), most = 0;
    struct fp_report_layer_errors all = {.measure = "||b - a|| / ||a - mean of a||", .without_partner = p->alone};
    if (room.failed) {
        report->arena.failed = true;
        return;
    }
    spread_errors(p, errors, before);
    for (size_t i = 0; i < p->n; i++)
        if (is_measured(&p->items[i]) && isfinite(errors[p->items[i].a])) most = fmax(most, errors[p->items[i].a]);
    for (size_t i = 0; i < p->n; i++) {
        const double error = is_measured(&p->items[i]) ? error_of(&p->items[i]) : NAN;
        all.other_shape += p->items[i].unlike;
        if (!isnan(error)) add_layer(p, i, error, before[i], fmax(SMALL, PART * most), report, &all);
    }
    all.layers.there = true;
    say_errors(report, &all);
}
