// SPDX-License-Identifier: Apache-2.0
// Whole channels are the cheapest first zeros. All segments of the groups' curves' lower convex hulls
// (channel_curves.h), by rising (sensitivity * error / elements), until they are the wanted share of the zeros; with a
// target, until the model is as small or as fast as it says (channels_target.h). Kept channels are multiples of 16:
// kernels of runtimes like that, and the error does not mind.
#include <math.h>
#include <stdlib.h>

#include "channel_curves.h"
#include "channels_target.h"

enum { SHARE, LEAST_KEPT, MULTIPLE, LEAST_SAMPLES, RIDGE };
static const struct fp_parameter PARAMETERS[] = {
    // With the rows of removed classes: they are whole channels, too.
    [SHARE] = {"share", 0.5, 0, 1, "of the zeros that were asked, at most (0.45 to 0.55 do as well)"},
    [LEAST_KEPT] = {"least-kept", 64, 1, 65536, "channels of a group that stay: thin layers have none to spare",
                    .whole = true},
    [MULTIPLE] = {"multiple", 16, 1, 1024, "of which the number of kept channels is one", .whole = true},
    [LEAST_SAMPLES] = {"least-samples", 32, 1, 1e5, "fewer cannot tell which channels others stand in for",
                       .whole = true},
    [RIDGE] = {"ridge", 0.01, 1e-4, 10, "l, of the mean diagonal of a reader's covariance"},
    {0},
};

struct priced_piece {
    struct fp_piece piece;
    double price;
};

static size_t number(const struct fp_job *job, int which) { return (size_t)fp_value(job, PARAMETERS, which); }

static int by_piece(const void *a, const void *b) {
    const struct priced_piece *x = a, *y = b;
    if (x->price != y->price) return x->price < y->price ? -1 : 1;
    if (x->piece.curve != y->piece.curve) return (x->piece.curve > y->piece.curve) - (x->piece.curve < y->piece.curve);
    return (x->piece.to > y->piece.to) - (x->piece.to < y->piece.to);
}

// As much of a piece as `left` elements are worth and leaves a multiple.
static size_t fitting(const struct fp_curve *c, const struct fp_piece *p, size_t multiple, size_t left) {
    if ((p->to - p->from) * c->cost <= left) return p->to;
    const size_t kept = c->group->channels - (p->from + left / c->cost),
                 whole = (kept + multiple - 1) / multiple * multiple;
    if (whole > c->group->channels - p->from) return p->from;
    return c->group->channels - whole;
}

static size_t wanted_zeros(const struct fp_job *job, double sparsity) {
    size_t came = 0, removed = 0;
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        came += l->n_came;
        for (size_t at = 0; at < l->w->count && l->removed; at++)
            removed += fp_row_removed(l, at / l->w->cols) && !fp_came_zero(l, at);
    }
    return (size_t)fmax(0, fp_value(job, PARAMETERS, SHARE) * (sparsity * (double)job->layers.total - (double)came) -
                               (double)removed); // what came zero is there already
}

// All pieces of all curves, by their price for an element. Returns how many.
static int price_pieces(const struct fp_curves *all, struct priced_piece *priced, struct fp_piece *room) {
    int n = 0;
    for (int i = 0; i < all->n; i++) n = fp_curve_pieces(all, i, room, n);
    for (int i = 0; i < n; i++) {
        const struct fp_curve *c = &all->items[room[i].curve];
        priced[i] = (struct priced_piece){room[i], c->sensitivity * room[i].error / (double)c->cost};
    }
    qsort(priced, (size_t)n, sizeof(*priced), by_piece);
    return n;
}

static int choose(struct fp_job *job, struct fp_curves *all, double sparsity) {
    size_t most = 0, taken = 0;
    const size_t wanted = wanted_zeros(job, sparsity), multiple = all->rule.multiple;
    for (int i = 0; i < all->n; i++) {
        all->items[i].chosen = 0;
        most += fp_curve_most(&all->items[i], multiple);
    }
    FP_STAGE(room, "channels");
    struct priced_piece *pieces = fp_arena_take(&room, most, sizeof(*pieces));
    struct fp_piece *plain = fp_arena_take(&room, most, sizeof(*plain));
    int status = fp_arena_check(&room, job->err);
    if (status) return status;
    const int n = price_pieces(all, pieces, plain);
    for (int i = 0; i < n; i++) {
        const struct fp_piece *p = &pieces[i].piece;
        struct fp_curve *c = &all->items[p->curve];
        if (c->chosen != p->from) continue; // an earlier piece of it was too much already
        c->chosen = fitting(c, p, multiple, wanted - taken);
        taken += (c->chosen - p->from) * c->cost;
    }
    return FINEPRUNE_OK;
}

// A target asks for channels of all groups, down to one multiple.
static struct fp_curve_rule rule_of(const struct fp_job *job) {
    const bool target = job->choices.target.kind != FP_TARGET_NONE;
    struct fp_curve_rule rule = {.least_kept = number(job, LEAST_KEPT),
                                 .multiple = number(job, MULTIPLE),
                                 .ridge = fp_value(job, PARAMETERS, RIDGE),
                                 .all = target};
    if (target) rule.multiple = job->choices.target.multiple;
    if (target) rule.least_kept = fp_least(rule.least_kept, rule.multiple);
    return rule;
}

static int run(struct fp_job *job, double sparsity) {
    const bool target = job->choices.target.kind != FP_TARGET_NONE;
    fp_curves_restart(job);
    if (job->samples.n_local < number(job, LEAST_SAMPLES) && !target) {
        fp_report_say(job->report,
                      "no channel is pruned whole: %zu sample%s too few to tell which others stand in for it",
                      job->samples.n_local, job->samples.n_local == 1 ? " is" : "s are");
        return FINEPRUNE_OK;
    }
    const struct fp_curve_rule rule = rule_of(job);
    struct fp_curves *all = NULL;
    int status = fp_curves_have(job, &rule, &all);
    if (!status && target) status = fp_channels_to_target(job, all);
    else if (!status) status = choose(job, all, sparsity);
    if (status) return status;
    return fp_curves_cut(job, all);
}

const struct fp_channels fp_channels_first = {"first",
                                              "whole channels go first, the cheapest for the layers that read them",
                                              FP_NEED_SUMS | FP_NEED_GRAM, run, PARAMETERS};
