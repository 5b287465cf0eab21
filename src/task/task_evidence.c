// SPDX-License-Identifier: Apache-2.0
// The table of evidence: each row looks at one thing, says what it found in words, and gives points for classes (below
// 0: against). The points of the rows on answers and on the last layer were chosen on small networks that were trained
// for it (classifiers, independent labels, coordinates and other quantities, embeddings, autoencoders), one half of
// them for choosing and the other for checking.
#include "task/task_evidence.h"
#include "exec/op_list.h"
#include "weights/class_names.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#define SURE 12        // outweighs everything but a veto
#define HALF_SURE 0.45 // a mean winner's probability below this is not an answer, below 0.2 not even a guess
#define UNSURE 0.2
#define EVEN 0.15        // of the way from even shares to a sure answer
#define SUM_OFF 0.01     // from 1: float16 and int8 are not exact
#define ALWAYS 0.995     // share of the answers
#define AHEAD 2.3        // the winner's lead over the second, in leads of the second
#define APART 0.41       // the winner's lead in spreads of the answers
#define MANY 200         // outputs: so many leave each little room
#define FEW 30           // samples
#define SOME 8           // of which all are not alike by chance
#define ONE_CLASS 0.5    // share of the most frequent winner: one class may be close to another all the time
#define NONE_AT_ALL 0.03 // share of answers without one above zero

struct looked {
    const struct fp_task_case *c;
    const struct fp_graph *graph;
    const struct fp_value *output;
    struct fp_task_answers answers;
    bool shares;     // a softmax is behind the output
    double greatest; // the mean of the greatest of them
    double rows;     // fp_task_rows, negative: unknown
    char *found;
};

#define FOUND(l, ...) snprintf((l)->found, FP_TASK_FOUND, __VA_ARGS__)

static bool passes_on(const struct fp_node *node) {
    switch (fp_node_role(node)) {
    case FP_ROLE_IDENTITY:
    case FP_ROLE_CASTS:
    case FP_ROLE_QUANTIZES:
    case FP_ROLE_DEQUANTIZES: return true;
    case FP_ROLE_RESHAPES:
    case FP_ROLE_SETS_AXES: return true;
    default: return false;
    }
}

// ---- the graph

static const struct fp_node *made_by(const struct looked *l) {
    const struct fp_node *node = l->output->producer;
    for (int steps = 0; steps < 6 && node && passes_on(node); steps++) {
        if (node->in[0] < 0) return NULL;
        node = l->graph->values[node->in[0]].producer;
    }
    return node;
}

static int see_softmax(struct looked *l) {
    const struct fp_node *node = made_by(l);
    const enum fp_role role = fp_node_role(node);
    if (role == FP_ROLE_SOFTMAX || role == FP_ROLE_HARDMAX) return FOUND(l, "%s behind them", node->type), SURE;
    // what find_layer's way back has skipped is a softmax in other operators
    const bool divides = role == FP_ROLE_DIVIDES && l->c->logits_value >= 0 && node->in[0] >= 0;
    if (divides && fp_node_role(l->graph->values[node->in[0]].producer) == FP_ROLE_RAISES)
        return FOUND(l, "a written-out softmax behind them"), SURE;
    return 0;
}

static int see_sigmoid(struct looked *l) {
    const struct fp_node *node = made_by(l);
    const enum fp_role role = fp_node_role(node);
    if (role != FP_ROLE_SIGMOID && role != FP_ROLE_HARD_SIGMOID) return 0;
    return FOUND(l, "%s behind them: each is one of its own", node->type), -SURE;
}

// Amounts that cannot be negative, or are drawn together, are not scores.
static int see_bend(struct looked *l) {
    const struct fp_node *node = made_by(l);
    const enum fp_role role = fp_node_role(node);
    if (role != FP_ROLE_BENDS && role != FP_ROLE_RAISES) return 0;
    return FOUND(l, "%s behind them, as scores do not have it", node->type), -6;
}

// What else reads the scores. An output that tells the place of the greatest alone leaves nothing but classes.
static int see_readers(struct looked *l) {
    if (l->c->logits_value >= 0 && fp_type_is_integer(l->output->type))
        return FOUND(l, "the output is the number of the greatest score"), 20;
    const int ids[] = {l->c->logits_value, l->graph->outputs[l->c->output]};
    for (size_t i = 0; i < FP_COUNT(ids); i++)
        for (int k = 0; ids[i] >= 0 && k < l->graph->values[ids[i]].n_readers; k++) {
            const struct fp_node *node = l->graph->values[ids[i]].readers[k].node;
            const enum fp_role role = fp_node_role(node);
            if (role == FP_ROLE_SOFTMAX && l->shares) continue; // counted already
            if (role == FP_ROLE_PICKS || role == FP_ROLE_SOFTMAX) return FOUND(l, "%s of them", node->type), 6;
            if (role == FP_ROLE_SIGMOID) return FOUND(l, "Sigmoid of them: each is one of its own"), -6;
        }
    return 0;
}

static bool same_symbol(const struct fp_value *v, int axis, const char *symbol) {
    return v->rank > axis && v->symbols && v->symbols[axis] && !strcmp(v->symbols[axis], symbol);
}

static const char *symbol_of(const struct fp_value *v, int axis) {
    if (v->rank <= axis || !v->symbols) return NULL;
    return v->symbols[axis];
}

// Axis 0 by its name: one of the inputs' other axes, and no input's first.
static int see_batch(struct looked *l) {
    if (l->c->unlike) return FOUND(l, "their axis 0 is not the samples"), FP_TASK_VETO;
    const char *symbol = symbol_of(l->output, 0);
    bool first = false, other = false;
    for (int i = 0; symbol && symbol[0] && i < l->graph->n_inputs; i++) {
        const struct fp_value *in = &l->graph->values[l->graph->inputs[i]];
        first |= same_symbol(in, 0, symbol);
        for (int a = 1; a < in->rank; a++) other |= same_symbol(in, a, symbol);
    }
    if (!other || first) return 0;
    return FOUND(l, "their axis 0 is '%.40s', which is no batch axis of an input", symbol), FP_TASK_VETO;
}

// As wide as what goes in: what went in, made again.
static int see_width(struct looked *l) {
    for (int i = 0; i < l->graph->n_inputs; i++) {
        const struct fp_value *in = &l->graph->values[l->graph->inputs[i]];
        size_t count = 1;
        for (int a = 1; a < in->rank && count; a++)
            if (in->dims[a] < 0 || !fp_mul(count, (size_t)in->dims[a], &count)) count = 0;
        if (in->rank < 2 || count != l->c->width || count < 3 || !fp_type_is_float(in->type)) continue;
        return FOUND(l, "as wide as input '%.40s', as if it were made again", in->name), count < 32 ? -2 : -6;
    }
    return 0;
}

// ---- names

static int see_name(struct looked *l) {
    const int points = fp_class_name_points(l->output->name);
    if (!points) return 0;
    return FOUND(l, "the name '%.60s'", l->output->name), points;
}

static int see_layer_name(struct looked *l) {
    if (l->c->weight < 0) return 0;
    const char *name = l->c->weights->items[l->c->weight].name;
    const int points = fp_class_name_points(name);
    if (!points || !strcmp(name, l->output->name)) return 0;
    return FOUND(l, "the last layer's name '%.60s'", name), points > 0 ? 2 : -3;
}

static int see_axis_name(struct looked *l) {
    const char *symbol = symbol_of(l->output, 1);
    if (!symbol) return 0;
    const int points = fp_class_name_points(symbol);
    if (!points) return 0;
    return FOUND(l, "the axis name '%.60s'", symbol), points > 0 ? 2 : -3;
}

static int see_labels_beside(struct looked *l) {
    if (!fp_task_labels_beside(l->c->model, l->c->width, l->found, FP_TASK_FOUND)) return 0;
    return 4;
}

static int see_labels_within(struct looked *l) {
    if (!fp_task_labels_within(l->c->model, l->c->width)) return 0;
    return FOUND(l, "%zu names in the model's metadata", l->c->width), 4;
}

static int see_said(struct looked *l) { return fp_task_said(l->c->model, l->found, FP_TASK_FOUND); }

// ---- the last layer and the dense answers

static int points_of_rows(double r) {
    if (r < 0.35) return 4;
    if (r < 0.6) return 3;
    if (r < 0.85) return 1;
    return -1;
}

static int see_rows(struct looked *l) {
    const double r = l->rows;
    if (r < 0 || (r >= 0.85 && r <= 1.2)) return 0;
    const int points = points_of_rows(r);
    return FOUND(l, "rows of the last layer that %s (%.2f of independent ones)",
                 points > 0 ? "cancel out, as a softmax trains them" : "have much in common", r),
           points;
}

static int see_common(struct looked *l) {
    const double c = l->answers.common;
    if (!l->answers.n || c < 0 || c >= 0.5) return 0;
    return FOUND(l, "scores that rise at each other's cost (common part %.2f of independent ones)", c),
           c < 0.25 ? 2 : 1;
}

// Two outputs always have a winner above a half.
static int see_decided(struct looked *l) {
    const double p = l->answers.winner;
    if (!l->answers.n || p >= (l->c->width == 2 ? 0.6 : HALF_SURE)) return 0;
    return FOUND(l, "no winner: as probabilities the greatest has %.2f of 1 on average", p), p < UNSURE ? -4 : -2;
}

// Shares that are all about equal are amounts, not answers: a classifier that knows no more would be of no use.
static int see_shares(struct looked *l) {
    const double p = l->answers.n ? l->answers.winner : l->greatest, even = 1 / (double)l->c->width;
    if (!l->shares || !(p > 0) || p >= even + EVEN * (1 - even)) return 0;
    return FOUND(l, "shares that are nearly even: the greatest is %.2f on average", p), -SURE - 6;
}

// A user of one class, or one quantity that is greater than all others.
static int see_same_winner(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (a->n < SOME || l->c->width < 2 || a->dominant < ALWAYS) return 0;
    return FOUND(l, "the same output is the greatest in all of %zu answers", a->n), -4;
}

static bool has_winner(const struct looked *l) {
    return l->answers.n && l->answers.dominant < ALWAYS && l->c->width > 2 && l->answers.winner >= HALF_SURE;
}

static int see_winner(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (!has_winner(l) || a->ahead < AHEAD) return 0;
    return FOUND(l, "one winner, well ahead of the second, in %.0f of %zu answers",
                 floor(a->confident * (double)a->n + 0.5), a->n),
           a->n < FEW ? 1 : 4;
}

static int see_outlier(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (!has_winner(l) || a->skewness < 0.5 || a->apart < 0.5 || a->asymmetry < 1.5) return 0;
    return FOUND(l, "the greatest answer stands out, the least does not (skewness %.1f)", a->skewness), 2;
}

static int see_none(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (l->c->width < 3 || a->none < 2 || (double)a->none < NONE_AT_ALL * (double)a->n) return 0;
    return FOUND(l, "nothing above zero in %zu of %zu answers", a->none, a->n), -3;
}

static int see_always(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (l->c->width < 3 || a->none_expected < 4 || (double)a->none > a->none_expected / 8) return 0;
    return FOUND(l, "always one above zero, where independent ones would leave out %.0f of %zu", a->none_expected,
                 a->n),
           3;
}

static int see_positive(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (!a->n || l->c->width < 3 || a->mean <= 1 || a->positive <= 0.9) return 0;
    return FOUND(l, "%.0f%% of the values are above zero, far more than they differ", 100 * a->positive), -4;
}

static int see_ties(struct looked *l) {
    const struct fp_task_answers *a = &l->answers;
    if (!a->n || l->c->width < 3 || l->c->width >= MANY || a->apart >= APART || a->dominant > ONE_CLASS) return 0;
    return FOUND(l, "the two greatest are close (%.2f of the values' spread)", a->apart), -2;
}

static const struct {
    const char *name;
    int (*see)(struct looked *);
    enum fp_task_kind against; // what it says with points below 0
} EVIDENCE[] = {
    {"softmax", see_softmax, FP_TASK_OTHER},
    {"sigmoid", see_sigmoid, FP_TASK_LABELS},
    {"activation", see_bend, FP_TASK_OTHER},
    {"readers", see_readers, FP_TASK_LABELS},
    {"batch axis", see_batch, FP_TASK_OTHER},
    {"width", see_width, FP_TASK_OTHER},
    {"output name", see_name, FP_TASK_OTHER},
    {"layer name", see_layer_name, FP_TASK_OTHER},
    {"axis name", see_axis_name, FP_TASK_OTHER},
    {"labels beside", see_labels_beside, FP_TASK_OTHER},
    {"labels within", see_labels_within, FP_TASK_OTHER},
    {"task said", see_said, FP_TASK_OTHER},
    {"last layer", see_rows, FP_TASK_OTHER},
    {"common part", see_common, FP_TASK_OTHER},
    {"undecided", see_decided, FP_TASK_OTHER},
    {"even shares", see_shares, FP_TASK_OTHER},
    {"same winner", see_same_winner, FP_TASK_OTHER},
    {"winner", see_winner, FP_TASK_OTHER},
    {"outlier", see_outlier, FP_TASK_OTHER},
    {"none above zero", see_none, FP_TASK_LABELS},
    {"always above zero", see_always, FP_TASK_OTHER},
    {"positive", see_positive, FP_TASK_OTHER},
    {"ties", see_ties, FP_TASK_OTHER},
};

_Static_assert(FP_COUNT(EVIDENCE) <= FP_TASK_EVIDENCE, "room for all evidence");

// Whether the values are what the softmax gives, not what it reads: rows of sum 1. *greatest: the mean of their
// greatest.
static bool are_shares(const struct fp_task_case *c, double *greatest) {
    *greatest = 0;
    for (size_t i = 0; i < c->n; i++) {
        const float *v = c->values + i * c->width;
        double most = 0, sum = 0;
        for (size_t k = 0; k < c->width; k++) {
            if (!(v[k] >= 0)) return false;
            most = fmax(most, (double)v[k]);
            sum += (double)v[k];
        }
        if (!(fabs(sum - 1) < SUM_OFF)) return false;
        *greatest += most / (double)c->n;
    }
    return true;
}

int fp_task_gather(struct fp_task *task, const struct fp_task_case *c, fineprune_error *err) {
    struct looked l = {.c = c, .graph = c->model->graph, .rows = -1};
    l.output = &l.graph->values[l.graph->outputs[c->output]];
    char softmax[FP_TASK_FOUND];
    l.found = softmax;
    // probabilities are not what the rows on scores were made for
    l.shares = see_softmax(&l) > 0;
    const bool scores = !l.shares || !are_shares(c, &l.greatest);
    if (!fp_task_answers(&l.answers, c->values, scores ? c->n : 0, c->width))
        return fp_fail_memory(err, "the answers", c->n * sizeof(double));
    int status = FINEPRUNE_OK;
    if (c->weight >= 0) status = fp_task_rows(&l.rows, c->model, &c->weights->items[c->weight], err);
    for (size_t i = 0; i < FP_COUNT(EVIDENCE) && !status; i++) {
        struct fp_task_evidence *e = &task->evidence[task->n];
        *e = (struct fp_task_evidence){.name = EVIDENCE[i].name};
        l.found = e->found;
        e->points = EVIDENCE[i].see(&l);
        e->says = e->points > 0 ? FP_TASK_CLASSES : EVIDENCE[i].against;
        task->n += e->points != 0;
    }
    return status;
}
