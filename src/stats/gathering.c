// SPDX-License-Identifier: Apache-2.0
// Gathering statistics. Everything is added sample by sample in the order of the samples, in double, and each sample's
// sampled rows depend on its content alone: batch size, threads and the split of the data over several runs change
// nothing.
#include <stdio.h>
#include <stdlib.h>

#include "base/threads.h"
#include "stats/batches.h"
#include "stats/gather_parts.h"

static int see_weight(struct fp_gathering *g, const struct fp_gather_target *target, const struct fp_tensor *x,
                      fineprune_error *err) {
    const struct fp_weight *w = &g->weights->items[target->weight];
    struct fp_stat *s = &g->stats->items[target->weight];
    struct fp_columns c;
    int status = fp_columns_of(&c, w, &w->uses[target->use], x, g->samples, err);
    if (status) return status;
    size_t each = 0; // units of one sample: frames of a film are several
    if (g->samples && c.units % g->samples == 0) each = c.units / g->samples;
    const size_t units = each ? g->real * each : c.units;
    const double rows = s->rows;
    if (!fp_gather_sums(g, s, &c, units)) return fp_fail_memory(err, "sums", 0);
    fp_gather_reached(g, target, (size_t)(s->rows - rows), each != 0);
    status = fp_gather_bad(g, target->weight, &c, units, each, err);
    for (size_t u = 0; u < units && !status && g->pending[target->weight].wanted; u++) {
        struct fp_columns own = c;
        own.rows = fp_columns_rows(&c, u);
        own.lengths = NULL;
        status = fp_gather_rows(g, target->weight, &own, u, g->seeds[each ? u / each : 0], err);
    }
    return status;
}

int fp_gathering_see(void *user, int tag, const struct fp_tensor *x, fineprune_error *err) {
    struct fp_gathering *g = user;
    double start = fp_seconds();
    if (tag < g->n_targets && (g->targets[tag].weight < g->from || g->targets[tag].weight >= g->to))
        return FINEPRUNE_OK;
    struct fp_tensor wide = {0};
    if (x->type != FP_FLOAT) {
        int status = fp_tensor_convert(&wide, NULL, x, FP_FLOAT, err);
        if (status) return status;
        x = &wide;
    }
    int status = FINEPRUNE_OK;
    if (tag < g->n_targets) status = see_weight(g, &g->targets[tag], x, err);
    else fp_gather_answers_see(g, tag == g->n_targets, x);
    fp_tensor_done(&wide);
    g->seconds += fp_seconds() - start;
    return status;
}

// ---- set-up

static int stat_init(struct fp_stat *s, const struct fp_weight *w, unsigned needs, bool gram, fineprune_error *err) {
    const size_t n = w->groups * w->cols;
    s->groups = w->groups;
    s->cols = w->cols;
    s->sum = fp_arena_take(&s->arena, n, sizeof(double));
    s->square = fp_arena_take(&s->arena, n, sizeof(double));
    if (needs & FP_NEED_ABSOLUTE) s->absolute = fp_arena_take(&s->arena, n, sizeof(double));
    s->sampled_sum = fp_arena_take(&s->arena, n, sizeof(double));
    int status = fp_arena_check(&s->arena, err);
    if (status || !gram) return status;
    return fp_gather_matrix_new(s, err);
}

// A product with one row a sample: few samples, few rows. Anything else has rows enough.
static size_t rows_expected(const struct fp_weight *w, size_t samples) {
    if (w->kind == FP_WEIGHT_RIGHT && w->groups == 1) return samples;
    return SIZE_MAX;
}

size_t fp_stat_bytes(const struct fp_weight *w, size_t samples) {
    const size_t rows = rows_expected(w, samples);
    size_t per = w->cols * sizeof(double) + FP_TUNED_FLUSH_ROWS * sizeof(float), bytes;
    if (!w->repairable) return 0;
    if (rows < w->cols) per = rows * sizeof(float);
    if (!fp_mul(w->groups * w->cols, per, &bytes)) return SIZE_MAX;
    return bytes;
}

// Inputs that several weights share, as queries, keys and values do, are looked at once.
static int find_same(struct fp_gathering *g, fineprune_error *err) {
    enum { NEAR = 8 }; // they stand together
    const int n = g->weights->n;
    g->first = fp_arena_take(&g->arena, (size_t)n, sizeof(*g->first));
    g->same = fp_arena_take(&g->arena, (size_t)n, sizeof(*g->same));
    int status = fp_arena_check(&g->arena, err);
    if (status) return status;
    for (int i = 0; i < n; i++) {
        g->first[i] = i;
        g->same[i] = -1;
        for (int k = i - 1; k >= 0 && k >= i - NEAR; k--) {
            if (!fp_columns_shared(&g->weights->items[i], &g->weights->items[k])) continue;
            g->first[i] = g->first[k];
            if (g->same[k] < 0 && !g->request->rows && g->pending[i].wanted == g->pending[k].wanted) g->same[i] = k;
        }
    }
    return FINEPRUNE_OK;
}

static int copy_rows(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    const struct fp_stat *from = &g->stats->items[g->same[weight]];
    const size_t width = s->groups * s->cols;
    int status = FINEPRUNE_OK;
    if (!from->gram) status = fp_gather_keep(g, weight, from->sampled, err);
    if (status) return status;
    memcpy(s->sampled_sum, from->sampled_sum, width * sizeof(double));
    if (from->gram) memcpy(s->gram, from->gram, width * s->cols * sizeof(double));
    else memcpy(s->kept, from->kept, from->sampled * width * sizeof(float));
    s->sampled = from->sampled;
    return FINEPRUNE_OK;
}

static int copy_stat(struct fp_gathering *g, int weight, fineprune_error *err) {
    if (g->same[weight] < 0) return FINEPRUNE_OK;
    struct fp_stat *s = &g->stats->items[weight];
    const struct fp_stat *from = &g->stats->items[g->same[weight]];
    const size_t bytes = s->groups * s->cols * sizeof(double);
    s->rows = from->rows;
    s->reached = from->reached;
    memcpy(s->sum, from->sum, bytes);
    memcpy(s->square, from->square, bytes);
    if (s->absolute) memcpy(s->absolute, from->absolute, bytes);
    if (!from->sampled) return FINEPRUNE_OK;
    return copy_rows(g, weight, err);
}

static int watch_all(struct fp_gathering *g, struct fp_exec *exec, fineprune_error *err) {
    int n = 0;
    for (int i = 0; i < g->weights->n; i++) n += g->weights->items[i].n_uses;
    g->targets = fp_arena_take(&g->arena, (size_t)n, sizeof(*g->targets));
    if (!g->targets) return fp_arena_check(&g->arena, err);
    for (int i = 0; i < g->weights->n; i++)
        for (int k = 0;
             k < g->weights->items[i].n_uses && g->same[i] < 0 && (!g->request->rows || g->pending[i].wanted); k++) {
            const struct fp_weight_use *use = &g->weights->items[i].uses[k];
            if (use->slot < 0) continue; // another form of the weight, which cannot be counted
            g->targets[g->n_targets] = (struct fp_gather_target){i, k};
            int status = fp_exec_watch(exec, use->node, use->slot, g->n_targets++, err);
            if (status) return status;
        }
    return FINEPRUNE_OK;
}

static int stats_init(struct fp_gathering *g, struct fp_exec *exec, size_t n, fineprune_error *err) {
    struct fp_stats *stats = g->stats;
    stats->samples = n;
    int status = fp_stats_take_lists(stats, g->weights->n, err);
    if (status) return status;
    g->pending = fp_arena_take(&g->arena, (size_t)stats->n, sizeof(*g->pending));
    if (!g->pending) return fp_arena_check(&g->arena, err);
    memcpy(stats->model, fp_model_sha256(g->weights->model), sizeof(stats->model));
    size_t matrices = 0, bytes;
    for (int i = 0; i < stats->n; i++) {
        const struct fp_weight *w = &g->weights->items[i];
        const struct fp_stats_request *r = g->request;
        bool gram = (r->needs & FP_NEED_GRAM || r->rows) && w->repairable &&
                    (!r->gram_end || (i >= r->gram_first && i < r->gram_end));
        g->pending[i].wanted = gram;
        stats->names[i] = fp_arena_copy(&stats->arena, w->name, strlen(w->name) + 1, 1);
        if (!stats->names[i]) return fp_arena_check(&stats->arena, err);
        // Statistics that will be merged are all of one kind.
        status = stat_init(&stats->items[i], w, r->needs, gram && r->nominal_samples, err);
        if (status) return status;
        if (gram && !(fp_gather_matrix_bytes(&stats->items[i], &bytes) && fp_add(matrices, bytes, &matrices)))
            matrices = SIZE_MAX;
    }
    if (g->request->nominal_samples) status = fp_gathering_count(g, -1, matrices, err);
    if (!status) status = find_same(g, err);
    if (!status && g->request->needs & FP_NEED_SUMS) status = watch_all(g, exec, err);
    if (status) return status;
    return fp_gather_answers_init(g, exec, n, err);
}

int fp_gathering_begin(void *user, const struct fp_batch *batch, fineprune_error *err) {
    struct fp_gathering *g = user;
    uint64_t *seeds = fp_grow(g->seeds, &g->seed_capacity, batch->n, sizeof(*seeds));
    uint8_t *bad = fp_grow(g->bad, &g->bad_capacity, batch->n, 1);
    if (seeds) g->seeds = seeds;
    if (bad) g->bad = bad;
    if (!seeds || !bad) return fp_fail_memory(err, "a batch", batch->n * sizeof(*seeds));
    memset(bad, 0, batch->n);
    g->numbers = batch->samples;
    g->runs++;
    g->samples = batch->size;
    g->real = batch->n;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < batch->n && !status && (g->request->needs & FP_NEED_GRAM || g->request->rows); i++)
        status = fp_data_hash(g->data, batch->samples[i], &seeds[i], err);
    return status;
}

static int end(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs, fineprune_error *err) {
    struct fp_gathering *g = user;
    if (g->stats->answers.features && !g->stats->answers.unlike) g->stats->answers.samples += batch->n;
    for (size_t i = 0; i < batch->n; i++) {
        if (g->bad[i] && g->n_bad < FP_COUNT(g->first_bad)) g->first_bad[g->n_bad] = g->numbers[i];
        g->n_bad += g->bad[i];
    }
    if (!g->request->outputs) return FINEPRUNE_OK;
    return g->request->outputs(g->request->outputs_user, batch, outputs, err);
}

static int run_all(struct fp_gathering *g, struct fp_exec *exec, const size_t *samples, size_t n,
                   fineprune_error *err) {
    const struct fp_observer observer = {fp_gathering_see, g, true};
    const struct fp_batch_visitor visitor = {fp_gathering_begin, end, &observer, g, g->request->batch_sizes};
    int status = fp_batches_run(exec, g->weights->model, g->data, samples, n, g->request->options, g->request->stage,
                                &visitor, err);
    if (!status && g->n_bad) status = fp_gather_fail_bad(g, err);
    for (int i = 0; i < g->stats->n && !status; i++) {
        status = fp_gather_flush(g, i, err);
        if (!status) status = fp_gather_planes_finish(g, i, err);
        if (!status) status = copy_stat(g, i, err); // of one before it
    }
    return status;
}

static int gathering_init(struct fp_gathering *g, struct fp_exec *exec, const struct fp_weights *weights,
                          struct fineprune_data *data, size_t n, const struct fp_stats_request *request,
                          fineprune_error *err) {
    *g = (struct fp_gathering){.arena = {.what = "statistics"},
                               .bad_weight = -1,
                               .weights = weights,
                               .data = data,
                               .request = request,
                               .total = n,
                               .to = weights->n,
                               .stats = fp_stats_new(err)};
    g->memory = fp_exec_memory(exec);
    if (!g->stats) return FINEPRUNE_LIMIT;
    g->threads = fp_threads_wanted(request->options);
    return stats_init(g, exec, n, err);
}

static void gathering_done(struct fp_gathering *g) {
    for (int i = 0; g->pending && i < g->stats->n; i++) {
        fp_shift_gram_free(g->pending[i].whole);
        free(g->pending[i].rows);
    }
    fp_arena_free(&g->arena);
    free(g->seeds);
    free(g->bad);
}

int fp_stats_gather(struct fp_stats **out, struct fp_exec *exec, const struct fp_weights *weights,
                    struct fineprune_data *data, const size_t *samples, size_t n,
                    const struct fp_stats_request *request, double *forward, fineprune_error *err) {
    double start = fp_seconds();
    struct fp_gathering g;
    int status = gathering_init(&g, exec, weights, data, n, request, err);
    if (!status) status = run_all(&g, exec, samples, n, err);
    if (!status && g.stats->answers.unlike) g.stats->answers.samples = 0;
    gathering_done(&g);
    if (forward) *forward += fp_seconds() - start - g.seconds;
    if (!status && request->counted) *request->counted += g.counted;
    else fp_memory_uncount(g.memory, g.counted);
    if (status) fp_stats_free(g.stats);
    else *out = g.stats;
    return status;
}

int fp_gathering_new(struct fp_gathering **out, struct fp_exec *exec, const struct fp_weights *weights,
                     struct fineprune_data *data, size_t n, const struct fp_stats_request *request,
                     fineprune_error *err) {
    struct fp_gathering *g = calloc(1, sizeof(*g));
    if (!g) return fp_fail_memory(err, "statistics", sizeof(*g));
    int status = gathering_init(g, exec, weights, data, n, request, err);
    if (status) fp_gathering_free(g);
    else *out = g;
    return status;
}

void fp_gathering_look_at(struct fp_gathering *g, int first, int end) {
    g->from = first;
    g->to = end;
}

int fp_gathering_finish(struct fp_gathering *g, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (int i = g->from; i < g->to && !status; i++) {
        status = fp_gather_flush(g, i, err);
        free(g->pending[i].rows);
        g->pending[i].rows = NULL;
    }
    return status;
}

const struct fp_stat *fp_gathering_stat(const struct fp_gathering *g, int weight) { return &g->stats->items[weight]; }

void fp_gathering_free(struct fp_gathering *g) {
    if (!g) return;
    gathering_done(g);
    fp_memory_uncount(g->memory, g->counted);
    fp_stats_free(g->stats);
    free(g);
}
