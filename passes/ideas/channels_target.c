// SPDX-License-Identifier: Apache-2.0
// Pieces of all curves' hulls (channel_curves.h), each time the one whose error costs the model's outputs least for
// what it saves now: sensitivity * error / saving. A weight costs its rows times its columns, so that what a channel
// saves falls as channels on the weight's other side leave. Of the last piece no more goes than is needed.
#include "channels_target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels_latency.h"
#include "compact/costs.h"

#define NOTED 3              // groups in the way that a message names
#define HALVINGS 6           // until a latency is met by the most multiply-adds that meet it
#define METADATA_BYTES 512   // that a file takes for what it says of itself
#define ROUNDING (1 + 1e-12) // of a sum of whole numbers in double

struct search {
    struct fp_curves *all;
    struct fp_costs costs;
    struct fp_slices slices;
    struct fp_arena arena;   // of what follows
    size_t *gone;            // by group
    struct fp_piece *pieces; // curve after curve
    int *next, *end;         // by curve: its first piece that is left, and the place behind its last
    double limit;
    double latency; // of what is chosen, by the one of the model that came; 0: not measured
};

// ---- what is known before

static int find_costs(struct fp_job *job, struct search *s) {
    struct fp_exec *exec = NULL;
    struct fp_model_size bytes;
    int status = fp_exec_plan(&exec, job->model, &job->options->run, job->err);
    if (!status) status = fp_slices_find(&s->slices, job->layers.weights, &s->all->groups, exec, job->err);
    fp_exec_free(exec);
    if (status) return status;
    if (job->choices.target.kind != FP_TARGET_SIZE) {
        s->limit = job->choices.target.value * (double)job->state.macs.total;
        return fp_costs_of_macs(&s->costs, &s->slices, &s->all->groups, &job->state.macs, job->model->graph, job->err);
    }
    s->limit = job->choices.target.value;
    if (!job->options->no_metadata) s->limit -= METADATA_BYTES;
    status = fp_model_sizes(job->model, job->threads, &bytes, job->err);
    if (status) return status;
    return fp_costs_of_bytes(&s->costs, &s->slices, &s->all->groups, bytes.raw, job->err);
}

static int find_pieces(struct fp_job *job, struct search *s) {
    struct fp_curves *all = s->all;
    size_t most = 0;
    int n = 0;
    for (int i = 0; i < all->n; i++) most += fp_curve_most(&all->items[i], all->rule.multiple);
    s->arena.what = "channels";
    s->gone = fp_arena_take(&s->arena, (size_t)all->groups.n, sizeof(*s->gone));
    s->pieces = fp_arena_take(&s->arena, most, sizeof(*s->pieces));
    s->next = fp_arena_take(&s->arena, (size_t)all->n, sizeof(*s->next));
    s->end = fp_arena_take(&s->arena, (size_t)all->n, sizeof(*s->end));
    int status = fp_arena_check(&s->arena, job->err);
    for (int i = 0; i < all->n && !status; i++) {
        s->next[i] = n;
        if (!s->slices.reasons[all->items[i].number]) n = fp_curve_pieces(all, i, s->pieces, n);
        s->end[i] = n;
    }
    return status;
}

// ---- the choice

static double total(struct search *s) { return fp_costs_total(&s->costs, &s->all->groups, s->gone); }

static double total_with(struct search *s, int group, size_t gone) {
    const size_t before = s->gone[group];
    s->gone[group] = gone;
    const double sum = total(s);
    s->gone[group] = before;
    return sum;
}

// The curve whose next piece is the cheapest; -1: there is none.
static int cheapest(struct search *s, double now) {
    double least = INFINITY;
    int best = -1;
    for (int i = 0; i < s->all->n; i++) {
        const struct fp_curve *c = &s->all->items[i];
        const struct fp_piece *p = &s->pieces[s->next[i]];
        if (s->next[i] == s->end[i]) continue;
        const double saved = now - total_with(s, c->number, p->to),
                     price = c->sensitivity * p->error * (double)(p->to - p->from) / fmax(saved, 1e-9);
        if (price < least || best < 0) least = price, best = i;
    }
    return best;
}

// The fewest channels of the piece that are enough.
static size_t enough(struct search *s, const struct fp_curve *c, const struct fp_piece *p) {
    const size_t multiple = fp_channel_multiple(c->group, s->all->rule.multiple);
    size_t to = p->from + 1;
    while (to < p->to && ((c->group->channels - to) % multiple || total_with(s, c->number, to) > s->limit * ROUNDING))
        to++;
    return to;
}

// One multiple fewer that go; all stay where no whole multiple went.
static size_t step_back(const struct search *s, const struct fp_curve *c) {
    const size_t multiple = fp_channel_multiple(c->group, s->all->rule.multiple),
                 kept = (c->group->channels - s->gone[c->number]) / multiple + 1;
    return c->group->channels - fp_least(kept * multiple, c->group->channels);
}

// Steps are coarse: what the last ones were too much comes back, the dearest first.
static void give_back(struct search *s) {
    const struct fp_curve *best = NULL;
    do {
        double most = 0;
        best = NULL;
        for (int i = 0; i < s->all->n; i++) {
            const struct fp_curve *c = &s->all->items[i];
            const size_t gone = s->gone[c->number];
            if (!gone || total_with(s, c->number, step_back(s, c)) > s->limit * ROUNDING) continue;
            const double gain = c->sensitivity * (c->error[gone] - c->error[step_back(s, c)]);
            if (gain > most) most = gain, best = c;
        }
        if (best) s->gone[best->number] = step_back(s, best);
    } while (best);
}

static void choose(struct search *s, double limit) {
    s->limit = limit;
    memset(s->gone, 0, (size_t)s->all->groups.n * sizeof(*s->gone));
    for (int i = 0; i < s->all->n; i++) s->next[i] = i ? s->end[i - 1] : 0;
    for (double now = total(s); now > s->limit * ROUNDING; now = total(s)) {
        const int best = cheapest(s, now);
        if (best < 0) return;
        const struct fp_curve *c = &s->all->items[best];
        const struct fp_piece *p = &s->pieces[s->next[best]++];
        s->gone[c->number] = enough(s, c, p);
    }
    give_back(s);
}

static int try_share(struct fp_job *job, struct search *s, double share) {
    choose(s, share * (double)job->state.macs.total);
    return fp_channels_latency(job, s->all, s->gone, &s->latency);
}

// The most multiply-adds that are fast enough; measured once, for all tries of the job.
static int choose_by_latency(struct fp_job *job, struct search *s) {
    const double wanted = job->choices.target.value;
    double low = 0, high = 1, latency = 0;
    if (s->all->latency > 0) {
        s->latency = s->all->latency;
        choose(s, s->all->share * (double)job->state.macs.total);
        return FINEPRUNE_OK;
    }
    int status = try_share(job, s, low);
    latency = s->latency;
    for (int i = 0; i < HALVINGS && latency <= wanted && !status; i++) {
        const double share = (low + high) / 2;
        status = try_share(job, s, share);
        if (s->latency > wanted) high = share;
        else low = share, latency = s->latency;
    }
    if (status) return status;
    choose(s, low * (double)job->state.macs.total);
    s->all->share = low;
    s->all->latency = s->latency = latency;
    return FINEPRUNE_OK;
}

// ---- what stands in the way

static double cost_of_weight(const struct fp_job *job, int weight) {
    const struct fp_weight *w = &job->layers.weights->items[weight];
    if (job->choices.target.kind != FP_TARGET_SIZE) return (double)fp_macs_of_weight(&job->state.macs, w);
    return (double)w->count;
}

// What a maker's rows of the group cost.
static double cost_of_side(const struct fp_job *job, const struct fp_channel_side *side, size_t channels) {
    const double rows = (double)(channels * side->lanes * side->per);
    return cost_of_weight(job, side->weight) * rows / (double)job->layers.weights->items[side->weight].rows;
}

static const struct fp_curve *curve_of(const struct search *s, int group) {
    for (int i = 0; i < s->all->n; i++)
        if (s->all->items[i].number == group) return &s->all->items[i];
    return NULL;
}

struct obstacle {
    struct fp_report_obstacle told;
    double cost; // of what makes the channels
};

static struct obstacle obstacle_of(const struct fp_job *job, const struct search *s, int group) {
    const struct fp_channel_group *g = &s->all->groups.items[group];
    struct obstacle o = {.told = {.weight = job->layers.weights->items[g->makers[0].weight].name,
                                  .channels = g->channels - s->gone[group],
                                  .reason = "it is as small as it may become"}};
    for (int i = 0; i < g->n_makers; i++) o.cost += cost_of_side(job, &g->makers[i], g->channels);
    o.cost *= (double)o.told.channels / (double)g->channels;
    if (!curve_of(s, group)) o.told.reason = fp_curve_obstacle(job, g, &s->all->rule);
    if (s->slices.reasons[group]) o.told.reason = s->slices.reasons[group];
    return o;
}

static struct obstacle held_of(const struct fp_job *job, const struct fp_channel_held *held) {
    const struct fp_weight *w = &job->layers.weights->items[held->maker];
    struct obstacle o = {.told = {.weight = w->name, .channels = held->channels, .reason = "they are an output"},
                         .cost = cost_of_weight(job, held->maker) * (double)held->channels / (double)w->rows};
    if (held->node) o.told.reason = "what reads them does not keep channels apart", o.told.reader = held->node->type;
    return o;
}

// A weight of an operator that makes no channels which could leave.
static struct obstacle other_of(const struct fp_job *job, int weight) {
    const struct fp_weight *w = &job->layers.weights->items[weight];
    return (struct obstacle){
        .told = {.weight = w->name,
                 .channels = w->groups * w->rows,
                 .reason = w->n_uses > 1 ? "it is used in several places" : "rows of this operator cannot leave",
                 .reader = w->node->type},
        .cost = cost_of_weight(job, weight)};
}

// Or lets them pass, as wholes of its groups.
static bool makes_channels(const struct fp_job *job, const struct fp_channel_groups *groups, int weight) {
    const struct fp_node *node = job->layers.weights->items[weight].node;
    if (node->graph == job->model->graph && node->out[0] >= 0 && groups->places[node->out[0]].lanes.n) return true;
    for (int i = 0; i < groups->n_held; i++)
        if (groups->held[i].maker == weight) return true;
    for (int i = 0; i < groups->n; i++)
        for (int k = 0; k < groups->items[i].n_makers; k++)
            if (groups->items[i].makers[k].weight == weight) return true;
    return false;
}

static int by_cost(const void *a, const void *b) {
    const struct obstacle *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? 1 : -1;
    return strcmp(x->told.weight, y->told.weight);
}

// The costliest of all that stays.
static int find_obstacles(struct fp_job *job, struct search *s, struct fp_report_target *told) {
    const struct fp_channel_groups *groups = &s->all->groups;
    const size_t most = (size_t)groups->n + (size_t)groups->n_held + (size_t)job->layers.n;
    struct obstacle *all = fp_arena_take(&s->arena, most, sizeof(*all));
    if (!all) return fp_arena_check(&s->arena, job->err);
    int n = 0;
    for (int i = 0; i < groups->n; i++) all[n++] = obstacle_of(job, s, i);
    for (int i = 0; i < groups->n_held; i++) all[n++] = held_of(job, &groups->held[i]);
    for (int i = 0; i < job->layers.n; i++)
        if (!makes_channels(job, groups, i)) all[n++] = other_of(job, i);
    qsort(all, (size_t)n, sizeof(*all), by_cost);
    for (int i = 0; i < n && i < NOTED; i++) fp_report_add_obstacle(job->report, told, &all[i].told);
    return FINEPRUNE_OK;
}

// malloc'ed; NULL when out of memory.
static char *say_obstacles(const struct fp_report_target *told) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    if (!strcmp(told->kind, "macs")) fprintf(file, "%.1f %% of the multiply-adds", 100 * told->reached);
    else if (!strcmp(told->kind, "latency")) fprintf(file, "%.1f %% of the time", 100 * told->reached);
    else fprintf(file, "%.0f bytes", told->reached);
    fputs(" stay when all channels are gone that can", file);
    for (size_t i = 0; i < told->in_the_way.n; i++) {
        const struct fp_report_obstacle *o = &told->in_the_way.items[i];
        fprintf(file, "%s the %zu channels of '%s' (%s%s%s)", i ? "," : "; in the way are", o->channels, o->weight,
                o->reason, o->reader ? ": " : "", fp_or_empty(o->reader));
    }
    if (!fclose(file)) return text;
    free(text);
    return NULL;
}

static int tell(struct fp_job *job, struct search *s) {
    static const char *const kinds[] = {
        [FP_TARGET_MACS] = "macs", [FP_TARGET_SIZE] = "size", [FP_TARGET_LATENCY] = "latency"};
    const enum fp_target_kind kind = job->choices.target.kind;
    struct fp_report_target told = {.kind = kinds[kind],
                                    .asked = job->choices.target.value,
                                    .reached = total(s),
                                    .met = total(s) <= s->limit * ROUNDING};
    if (kind == FP_TARGET_MACS) told.reached /= fmax((double)job->state.macs.total, 1);
    else if (kind == FP_TARGET_LATENCY) told.reached = s->latency, told.met = s->latency <= told.asked;
    else if (!job->options->no_metadata) told.reached += METADATA_BYTES;
    if (job->choices.target.automatic) told.asked = told.reached, told.met = true;
    int status = FINEPRUNE_OK;
    if (!told.met) status = find_obstacles(job, s, &told);
    if (status) return status;
    FP_PUT(job->report, target, &told);
    free(job->state.missed_target);
    job->state.missed_target = NULL;
    if (told.met) return FINEPRUNE_OK;
    job->state.missed_target = say_obstacles(&told);
    return job->state.missed_target ? FINEPRUNE_OK : fp_fail_memory(job->err, "a message", 0);
}

int fp_channels_to_target(struct fp_job *job, struct fp_curves *all) {
    struct search s = {.all = all};
    int status = find_costs(job, &s);
    if (!status) status = find_pieces(job, &s);
    if (!status && job->choices.target.kind == FP_TARGET_LATENCY) status = choose_by_latency(job, &s);
    else if (!status) choose(&s, s.limit);
    for (int i = 0; i < all->n && !status; i++) all->items[i].chosen = s.gone[all->items[i].number];
    if (!status) status = tell(job, &s);
    fp_costs_free(&s.costs);
    fp_slices_free(&s.slices);
    fp_arena_free(&s.arena);
    return status;
}
