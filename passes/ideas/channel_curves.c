// SPDX-License-Identifier: Apache-2.0
// For each group of hidden channels (channels.h), the channels whose loss costs its readers least go first, each time
// with the best repair of what is left (optimal brain surgeon over columns; Hassibi & Stork 1993, in blocks): with A =
// Cov(x) + l I of a reader, l a share of the mean diagonal, H = A^-1 and V the reader's rows,
//     cost_c = tr(V_c H_cc^-1 V_c^T);  V -= V_K H_KK^-1 H_K:,  H -= H_:K H_KK^-1 H_K:  for the cheapest K.
// The sums are the group's curve of error against channels, relative to the readers' outputs. Its sensitivity is what
// the model's outputs change for one unit of the readers' error, measured by taking half of the group away.
#include "channel_curves.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#define MOST_COLUMNS 8192 // of a reader: its matrices are that wide and high
#define STEPS 64          // of a curve
#define TRIED 10          // samples that measure the sensitivities
#define LIFTS 4           // of the ridge, until a covariance is positive

// One reader's own matrices while a curve is made: of one group of the weight.
struct reader {
    struct fp_arena arena; // of its arrays
    const struct fp_layer *layer;
    size_t group;
    size_t per, n, blocks; // columns of a block; of all that are there: blocks * per
    size_t lanes;          // blocks of each channel
    float *v, *h;          // rows x n, n x n
    double whole;          // tr(W C W^T)
    uint32_t *there;       // blocks that are, in order
    size_t *at;            // by block: its first column; GONE: it was taken out
    uint32_t *block;       // of the group's channels, one channel after the other
};

#define GONE SIZE_MAX
#define SQUEEZE 8 // blocks go once they are one of so many

// ---- curves

// The factor of a + l I, h being a in float. Where a is not positive for rounding, as that of inputs whose spread is
// small beside their mean, l is ten times as much, and so on.
static bool factorize(double *a, const float *h, size_t n, double l) {
    for (int i = 0; i < LIFTS; i++, l *= 10) {
        for (size_t k = 0; i && k < n * n; k++) a[k] = (double)h[k];
        for (size_t k = 0; k < n; k++) a[k * n + k] += l;
        // Row-major lower is column-major upper.
        if (!LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)n, a, (int)n)) return true;
    }
    return false;
}

// The whole output, and H from the covariance a, which is lost. False: there are no numbers to go by. product: rows x n
// of room.
static bool invert(struct reader *r, double *a, float *product, double ridge) {
    const size_t n = r->n, rows = r->layer->w->rows;
    double diagonal = 0;
    for (size_t i = 0; i < n * n; i++) r->h[i] = (float)a[i];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)n, (int)n, 1, r->v, (int)n, r->h, (int)n, 0,
                product, (int)n);
    for (size_t i = 0; i < rows * n; i++) r->whole += (double)product[i] * (double)r->v[i];
    for (size_t i = 0; i < n; i++) diagonal += a[i * n + i] / (double)n;
    // The factor needs doubles, its inverse does not.
    if (!(diagonal > 0) || !(r->whole > 0) || !factorize(a, r->h, n, ridge * diagonal)) return false;
    for (size_t i = 0; i < n * n; i++) r->h[i] = (float)a[i];
    if (LAPACKE_spotri_work(LAPACK_COL_MAJOR, 'U', (int)n, r->h, (int)n)) return false;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) r->h[j * n + i] = r->h[i * n + j];
    return true;
}

// Which columns the channels are; at[] is as at first.
static void find_blocks(struct reader *r, const struct fp_curve *c, const struct fp_lanes *lanes) {
    for (size_t k = 0; k < r->lanes; k++)
        for (size_t i = 0; i < c->group->channels; i++) r->block[i * r->lanes + k] = UINT32_MAX;
    for (size_t i = 0; i < lanes->n; i++) {
        const struct fp_channel_member m = fp_channel_at(c->groups, lanes, i);
        size_t at = (size_t)m.number * r->lanes;
        if (m.group != c->number) continue;
        while (r->block[at] != UINT32_MAX) at++;
        r->block[at] = (uint32_t)i;
    }
}

// Column j of a channel's, of per * lanes.
static size_t column_of(const struct reader *r, size_t channel, size_t j) {
    return r->at[r->block[channel * r->lanes + j / r->per]] + j % r->per;
}

// *numbers: whether the layer has any to go by.
static int reader_init(struct reader *r, const struct fp_layer *l, const struct fp_curve *c,
                       const struct fp_channel_side *side, size_t group, double ridge, bool *numbers,
                       fineprune_error *err) {
    const size_t n = l->w->cols, rows = l->w->rows, per = side->per;
    *r = (struct reader){.arena = {.what = l->w->name},
                         .layer = l,
                         .group = group,
                         .per = per,
                         .n = n,
                         .blocks = n / per,
                         .lanes = side->lanes};
    size_t square, all;
    if (!fp_mul(n, n, &square) || !fp_mul(rows, n, &all)) return fp_fail_memory(err, l->w->name, SIZE_MAX);
    FP_STAGE(room, l->w->name);
    double *a = fp_arena_take(&room, square, sizeof(*a));
    float *product = fp_arena_take(&room, all, sizeof(*product));
    r->v = fp_arena_copy(&r->arena, l->dense + group * all, all, sizeof(float));
    for (size_t i = 0; r->v && i < all; i++) r->v[i] *= fp_row_weight(l, group * rows + i / n);
    r->h = fp_arena_take(&r->arena, square, sizeof(float));
    r->there = fp_arena_take(&r->arena, r->blocks, sizeof(*r->there));
    r->block = fp_arena_take(&r->arena, c->group->channels * side->lanes, sizeof(*r->block));
    r->at = fp_arena_take(&r->arena, r->blocks, sizeof(*r->at));
    if (room.failed || r->arena.failed || !fp_stat_covariance(l->stat, group, 0, n, a, 1))
        return fp_fail_memory(err, l->w->name, 2 * square * sizeof(*a));
    for (size_t i = 0; i < r->blocks; i++) r->there[i] = (uint32_t)i, r->at[i] = i * per;
    find_blocks(r, c, &c->groups->columns[side->weight]);
    *numbers = invert(r, a, product, ridge);
    return FINEPRUNE_OK;
}

// The blocks that are left move together, in order.
static void squeeze(struct reader *r) {
    const size_t n = r->n, per = r->per, rows = r->layer->w->rows;
    size_t left = 0;
    for (size_t i = 0; i < r->blocks; i++)
        if (r->at[r->there[i]] != GONE) r->there[left++] = r->there[i];
    const size_t now = left * per;
    for (size_t row = 0; row < rows; row++)
        for (size_t b = 0; b < left; b++)
            memmove(r->v + row * now + b * per, r->v + row * n + r->at[r->there[b]], per * sizeof(float));
    for (size_t i = 0; i < now; i++) {
        const size_t from = r->at[r->there[i / per]] + i % per;
        for (size_t b = 0; b < left; b++)
            memmove(r->h + i * now + b * per, r->h + from * n + r->at[r->there[b]], per * sizeof(float));
    }
    for (size_t b = 0; b < left; b++) r->at[r->there[b]] = b * per;
    r->blocks = left;
    r->n = now;
}

static void drop_blocks(struct reader *r, const uint32_t *k, size_t count) {
    size_t gone = 0;
    for (size_t i = 0; i < count * r->lanes; i++) r->at[r->block[k[i / r->lanes] * r->lanes + i % r->lanes]] = GONE;
    for (size_t i = 0; i < r->blocks; i++) gone += r->at[r->there[i]] == GONE;
    if (gone * SQUEEZE >= r->blocks) squeeze(r);
}

// tr(V_c H_cc^-1 V_c^T) / tr(W C W^T); room: k * k doubles and k * rows, k being a channel's columns.
static double cost_of(const struct reader *r, size_t channel, double *room) {
    const size_t k = r->per * r->lanes, n = r->n, rows = r->layer->w->rows;
    double *block = room, *right = room + k * k, sum = 0;
    if (k == 1) {
        const size_t at = column_of(r, channel, 0);
        for (size_t i = 0; i < rows; i++) sum += (double)r->v[i * n + at] * (double)r->v[i * n + at];
        return sum / fmax((double)r->h[at * n + at], 1e-30) / r->whole;
    }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i; j++)
            block[i * k + j] = (double)r->h[column_of(r, channel, i) * n + column_of(r, channel, j)];
    for (size_t j = 0; j < k; j++) {
        const size_t at = column_of(r, channel, j);
        for (size_t i = 0; i < rows; i++) right[i * k + j] = (double)r->v[i * n + at];
    }
    // L^-1 V_c^T: its squares are the trace. Row-major lower is column-major upper.
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)k, block, (int)k)) return INFINITY;
    cblas_dtrsm(CblasColMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, (int)k, (int)rows, 1, block, (int)k,
                right, (int)k);
    for (size_t i = 0; i < rows * k; i++) sum += right[i] * right[i];
    return sum / r->whole;
}

// Takes the columns of the channels k[0 .. count - 1] out of V and H. *total: what that costs, relative, is added to
// it; *numbers: whether it could be done.
static int take_out(struct reader *r, const uint32_t *k, size_t count, double *total, bool *numbers,
                    fineprune_error *err) {
    const size_t n = r->n, each = r->per * r->lanes, b = count * each, rows = r->layer->w->rows;
    FP_STAGE(room, r->layer->w->name);
    double *s = fp_arena_take(&room, b * b, sizeof(*s)), cost = 0;
    float *inverse = fp_arena_take(&room, b * b, sizeof(float)), *hk = fp_arena_take(&room, b * n, sizeof(float)),
          *vk = fp_arena_take(&room, rows * b, sizeof(float)), *shk = fp_arena_take(&room, b * n, sizeof(float)),
          *vs = fp_arena_take(&room, rows * b, sizeof(float));
    int status = fp_arena_check(&room, err);
    if (status) return status;
    for (size_t i = 0; i < b; i++) {
        const size_t column = column_of(r, k[i / each], i % each);
        memcpy(hk + i * n, r->h + column * n, n * sizeof(float));
        for (size_t row = 0; row < rows; row++) vk[row * b + i] = r->v[row * n + column];
        for (size_t j = 0; j <= i; j++) s[i * b + j] = (double)r->h[column * n + column_of(r, k[j / each], j % each)];
    }
    *numbers = !LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)b, s, (int)b) &&
               !LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (int)b, s, (int)b);
    if (!*numbers) return FINEPRUNE_OK;
    for (size_t i = 0; i < b; i++)
        for (size_t j = 0; j <= i; j++) inverse[i * b + j] = inverse[j * b + i] = (float)s[i * b + j];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)b, (int)n, (int)b, 1, inverse, (int)b, hk, (int)n, 0,
                shk, (int)n);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)b, (int)b, 1, vk, (int)b, inverse, (int)b, 0,
                vs, (int)b);
    for (size_t i = 0; i < rows * b; i++) cost += (double)vs[i] * (double)vk[i];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)n, (int)b, -1, vk, (int)b, shk, (int)n, 1,
                r->v, (int)n);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)n, (int)n, (int)b, -1, hk, (int)n, shk, (int)n, 1, r->h,
                (int)n);
    drop_blocks(r, k, count);
    *total += fmax(cost / r->whole, 0);
    return FINEPRUNE_OK;
}

struct priced {
    double price;
    uint32_t channel;
};

static int by_price(const void *a, const void *b) {
    const struct priced *x = a, *y = b;
    if (x->price != y->price) return x->price < y->price ? -1 : 1;
    return (x->channel > y->channel) - (x->channel < y->channel);
}

// Where what goes is counted in multiples, one of them stays at least.
static size_t least_kept(const struct fp_curve_rule *rule, const struct fp_channel_group *group) {
    if (!rule->all) return rule->least_kept;
    return fp_least(rule->least_kept, fp_channel_multiple(group, rule->multiple));
}

// How many go in the next step: an even share, but no farther than the next multiple that is kept, or the least.
static size_t step_of(size_t multiple, size_t least, size_t channels, size_t left) {
    const size_t even = fp_most(channels / STEPS, 1), over = left % multiple ? left % multiple : multiple,
                 spare = left - least;
    return fp_least(fp_least(even, over), spare);
}

// As far as numbers go.
static int greedy(struct fp_job *job, const struct fp_curve_rule *rule, struct fp_curve *c, struct reader *readers,
                  size_t n_readers, struct priced *priced, double *room, fineprune_error *err) {
    const size_t m = c->group->channels;
    const size_t multiple = fp_channel_multiple(c->group, rule->multiple), least = least_kept(rule, c->group);
    size_t left = m;
    const fineprune_run_options *run = &job->options->run;
    for (size_t i = 0; i < m; i++) priced[i].channel = (uint32_t)i;
    while (left > least) {
        for (size_t i = 0; i < left; i++) {
            priced[i].price = 0;
            for (size_t r = 0; r < n_readers; r++) priced[i].price += cost_of(&readers[r], priced[i].channel, room);
        }
        qsort(priced, left, sizeof(*priced), by_price);
        const size_t count = step_of(multiple, least, m, left);
        double cost = 0;
        for (size_t i = 0; i < count; i++) c->order[c->gone + i] = priced[i].channel;
        for (size_t r = 0; r < n_readers; r++) {
            bool numbers = false;
            int status = take_out(&readers[r], c->order + c->gone, count, &cost, &numbers, err);
            if (status || !numbers) return status;
        }
        for (size_t i = 1; i <= count; i++)
            c->error[c->gone + i] = c->error[c->gone] + cost * (double)i / (double)count;
        c->gone += count;
        left -= count;
        memmove(priced, priced + count, left * sizeof(*priced));
        bool stop = false;
#pragma omp critical(channels)
        stop = run->progress && run->progress(run->progress_user, "channels", c->gone, m - least);
        if (stop)
            return fp_fail(err, FINEPRUNE_CANCELLED, "stopped at the channels that '%s' reads",
                           readers[0].layer->w->name);
    }
    return FINEPRUNE_OK;
}

// The readers' matrices, each from its own statistics, which the memory limit may hold for some layers at a time only.
static int open_readers(struct fp_job *job, const struct fp_curve *c, struct reader *readers, double ridge, bool whole,
                        bool *numbers, fineprune_error *err) {
    const struct fp_channel_group *group = c->group;
    size_t n = 0;
    *numbers = true;
    for (int i = 0; *numbers && i < group->n_readers; i++) {
        struct fp_layer *l = &job->layers.items[group->readers[i].weight];
        int status = FINEPRUNE_OK;
        if (!whole) status = fp_job_have_stats(job, FP_NEED_SUMS | FP_NEED_GRAM, group->readers[i].weight);
        if (status) return status;
        *numbers = l->stat->sampled;
        if (!*numbers) return FINEPRUNE_OK;
        for (size_t g = 0; *numbers && g < l->w->groups && !status; g++)
            status = reader_init(&readers[n++], l, c, &group->readers[i], g, ridge, numbers, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// Nothing of the group goes where there are no numbers.
static int make_curve(struct fp_job *job, const struct fp_curve_rule *rule, struct fp_curve *c, bool whole,
                      fineprune_error *err) {
    const struct fp_channel_group *group = c->group;
    size_t widest = 0, tallest = 0, n_readers = 0;
    for (int i = 0; i < group->n_readers; i++) {
        widest = fp_most(widest, group->readers[i].per * group->readers[i].lanes);
        tallest = fp_most(tallest, job->layers.items[group->readers[i].weight].w->rows);
        n_readers += job->layers.items[group->readers[i].weight].w->groups;
    }
    FP_STAGE(stage, "channels");
    struct reader *readers = fp_arena_take(&stage, n_readers, sizeof(*readers));
    struct priced *priced = fp_arena_take(&stage, group->channels, sizeof(*priced));
    double *room = fp_arena_take(&stage, widest * (widest + tallest), sizeof(*room));
    c->arena.what = stage.what;
    c->order = fp_arena_take(&c->arena, group->channels, sizeof(*c->order));
    c->error = fp_arena_take(&c->arena, group->channels + 1, sizeof(*c->error));
    int status = fp_arena_check(&stage, err);
    if (!status) status = fp_arena_check(&c->arena, err);
    if (status) return status;
    bool numbers = false;
    status = open_readers(job, c, readers, rule->ridge, whole, &numbers, err);
    if (!status && numbers) status = greedy(job, rule, c, readers, n_readers, priced, room, err);
    for (size_t i = 0; i < n_readers; i++) fp_arena_free(&readers[i].arena);
    return status;
}

struct work {
    double much; // multiply-adds, about
    int curve;
};

static int by_work(const void *a, const void *b) {
    const struct work *x = a, *y = b;
    if (x->much != y->much) return x->much > y->much ? -1 : 1;
    return (x->curve > y->curve) - (x->curve < y->curve);
}

// The most work first: what is begun last is then short, and no thread waits long for another.
static void sort_work(const struct fp_job *job, const struct fp_curve *curves, int n, struct work *work) {
    for (int i = 0; i < n; i++) {
        const struct fp_channel_group *group = curves[i].group;
        work[i] = (struct work){.curve = i};
        for (int k = 0; k < group->n_readers; k++) {
            const struct fp_weight *w = job->layers.items[group->readers[k].weight].w;
            const double cols = (double)w->cols;
            work[i].much += (double)w->groups * cols * cols * (cols + (double)w->rows);
        }
    }
    qsort(work, (size_t)n, sizeof(*work), by_work);
}

// One after the other where the memory limit holds the statistics of some layers only. Of several failures the first
// curve's is told.
static int make_curves(struct fp_job *job, const struct fp_curve_rule *rule, struct fp_curve *curves, int n) {
    const bool whole = job->gathered.first == 0 && job->gathered.end == job->layers.n;
    int status = FINEPRUNE_OK;
    double start = fp_seconds();
    FP_STAGE(room, "channels");
    fineprune_error *errors = fp_arena_take(&room, (size_t)n, sizeof(*errors));
    struct work *work = fp_arena_take(&room, (size_t)n, sizeof(*work));
    if (room.failed) return fp_arena_check(&room, job->err);
    sort_work(job, curves, n, work);
#pragma omp parallel for num_threads(job->threads) schedule(dynamic) if (whole)
    for (int i = 0; i < n; i++)
        if (whole) make_curve(job, rule, &curves[work[i].curve], true, &errors[work[i].curve]);
    for (int i = 0; i < n && !whole && !status; i++) status = make_curve(job, rule, &curves[i], false, job->err);
    for (int i = 0; i < n && whole && !status; i++) {
        status = errors[i].status;
        if (status) *job->err = errors[i];
    }
    job->state.solve += fp_seconds() - start;
    return status;
}

// ---- which groups

const char *fp_curve_obstacle(const struct fp_job *job, const struct fp_channel_group *g,
                              const struct fp_curve_rule *rule) {
    if (g->trunk && !rule->all) return "it is a residual stream";
    if (g->spread && !rule->all) return "it is resized";
    if (g->parted && !rule->all) return "it is joined with others, or parted";
    if (g->channels <= least_kept(rule, g)) return "it has no channels to spare";
    if (g->channels > UINT32_MAX) return "it has too many channels";
    for (int i = 0; i < g->n_readers; i++) {
        const struct fp_layer *l = &job->layers.items[g->readers[i].weight];
        if (!l->w->repairable || !l->stat) return "nothing is known of what a layer that reads it gets";
        if (l->w->cols > MOST_COLUMNS) return "a layer that reads it has more than 8192 columns";
    }
    for (int i = 0; i < g->n_makers; i++)
        if (job->layers.items[g->makers[i].weight].least_kept > 0) return "few samples reach a layer that makes it";
    return NULL;
}

static size_t cost_of_channel(const struct fp_job *job, const struct fp_channel_group *g) {
    size_t cost = 0;
    for (int i = 0; i < g->n_makers; i++) {
        const struct fp_weight *w = job->layers.items[g->makers[i].weight].w;
        cost += w->groups * w->cols * g->makers[i].per * g->makers[i].lanes;
    }
    for (int i = 0; i < g->n_readers; i++) {
        const struct fp_weight *w = job->layers.items[g->readers[i].weight].w;
        cost += w->groups * w->rows * g->readers[i].per * g->readers[i].lanes;
    }
    return cost;
}

// ---- sensitivities

struct outputs {
    float *values;
    size_t n, capacity;
};

static int collect(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs, fineprune_error *err) {
    struct outputs *o = user;
    const struct fp_tensor *t = &outputs[0];
    (void)batch;
    if (t->type != FP_FLOAT) return FINEPRUNE_OK;
    float *values = fp_grow(o->values, &o->capacity, o->n + t->count, sizeof(*values));
    if (!values) return fp_fail_memory(err, "outputs", (o->n + t->count) * sizeof(*values));
    o->values = values;
    memcpy(values + o->n, t->data, t->count * sizeof(*values));
    o->n += t->count;
    return FINEPRUNE_OK;
}

// The samples that are tried: spread over all.
static size_t choose_samples(const struct fp_job *job, size_t *samples) {
    const size_t n = fp_least(job->samples.n_local, TRIED);
    for (size_t i = 0; i < n; i++) samples[i] = job->samples.local[i * job->samples.n_local / n];
    return n;
}

// Where the output only tells which class it is: the scores.
static int collect_scores(struct fp_job *job, struct fp_exec *exec, const size_t *samples, size_t n,
                          struct outputs *o) {
    const struct fp_stats_request request = {.needs = FP_NEED_ANSWERS,
                                             .classifier = &job->classes.classifier,
                                             .options = &job->options->run,
                                             .stage = "channels"};
    struct fp_stats *stats = NULL;
    int status = fp_stats_gather(&stats, exec, job->layers.weights, job->data, samples, n, &request,
                                 &job->state.forward, job->err);
    const struct fp_answers *a = status ? NULL : &stats->answers;
    const size_t count = a ? a->samples * a->classes : 0;
    float *values = count ? fp_grow(o->values, &o->capacity, count, sizeof(*values)) : NULL;
    if (count && !values) status = fp_fail_memory(job->err, "outputs", count * sizeof(*values));
    if (values) {
        memcpy(values, a->logits, count * sizeof(*values));
        o->values = values;
        o->n = count;
    }
    fp_stats_free(stats);
    return status;
}

static bool tells_class_only(const struct fp_job *job) {
    const struct fp_graph *graph = job->model->graph;
    const struct fp_classifier *c = &job->classes.classifier;
    return c->weight >= 0 && fp_type_is_integer(graph->values[graph->outputs[c->output]].type);
}

static int run_samples(struct fp_job *job, struct outputs *o) {
    struct fp_exec *exec = NULL;
    size_t samples[TRIED], n = choose_samples(job, samples);
    const struct fp_batch_visitor visitor = {.end = collect, .user = o};
    double start = fp_seconds();
    o->n = 0;
    int status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (!status && tells_class_only(job)) {
        status = collect_scores(job, exec, samples, n, o);
        fp_exec_free(exec);
        return status;
    }
    if (!status)
        status = fp_batches_run(exec, job->model, job->data, samples, n, &job->options->run, "channels", &visitor,
                                job->err);
    fp_exec_free(exec);
    job->state.forward += fp_seconds() - start;
    return status;
}

// Columns of the channels that go first, in their order.
static void list_columns(const struct fp_curve *c, const struct fp_channel_side *reader, size_t channels,
                         size_t *columns, size_t *n) {
    const struct fp_lanes *lanes = &c->groups->columns[reader->weight];
    *n = 0;
    for (size_t k = 0; k < channels; k++)
        for (size_t i = 0; i < lanes->n; i++) {
            const struct fp_channel_member m = fp_channel_at(c->groups, lanes, i);
            if (m.group != c->number || m.number != c->order[k]) continue;
            for (size_t j = 0; j < reader->per; j++) columns[(*n)++] = i * reader->per + j;
        }
}

// One reader without the first half of the group's channels, the mean in the bias. *error: of its outputs, relative, is
// added to it.
static int halve_reader(struct fp_job *job, const struct fp_curve *c, const struct fp_channel_side *reader,
                        double *error) {
    const struct fp_layer *l = &job->layers.items[reader->weight];
    const size_t n = l->w->cols, rows = l->w->rows;
    double lost = 0, whole = 0;
    FP_STAGE(room, l->w->name);
    size_t *columns = fp_arena_take(&room, n, sizeof(*columns)), n_columns = 0;
    float *values = fp_arena_copy(&room, l->dense, l->w->count, sizeof(*values));
    double *change = fp_arena_take(&room, l->w->groups * rows, sizeof(*change));
    int status = fp_arena_check(&room, job->err);
    if (status) return status;
    list_columns(c, reader, fp_least(c->group->channels / 2, c->gone), columns, &n_columns);
    for (size_t r = 0; r < l->w->groups * rows; r++) {
        for (size_t k = 0; k < n_columns; k++) {
            const size_t j = columns[k];
            const double w = (double)values[r * n + j], d = fp_stat_deviation(l->stat, r / rows, j);
            change[r] += w * fp_stat_mean(l->stat, r / rows, j);
            lost += w * w * d * d; // as if columns were independent: good enough for a scale
            values[r * n + j] = 0;
        }
        for (size_t j = 0; j < n; j++)
            whole += pow((double)l->dense[r * n + j] * fp_stat_deviation(l->stat, r / rows, j), 2);
    }
    if (whole > 0) *error += lost / whole;
    status = fp_weight_write(job->model, l->w, values, NULL, job->err);
    if (status) return status;
    return fp_weight_set_bias(job->model, l->w, change, l->dense_bias, job->err);
}

// All readers of a group.
static int halve(struct fp_job *job, const struct fp_curve *c, double *error) {
    int status = FINEPRUNE_OK;
    *error = 0;
    for (int i = 0; i < c->group->n_readers && !status; i++)
        status = halve_reader(job, c, &c->group->readers[i], error);
    return status;
}

static double distance(const struct outputs *a, const struct outputs *b) {
    double change = 0, whole = 0;
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        change += ((double)a->values[i] - (double)b->values[i]) * ((double)a->values[i] - (double)b->values[i]);
        whole += (double)a->values[i] * (double)a->values[i];
    }
    if (!(whole > 0)) return 0;
    return change / whole;
}

static int measure_sensitivities(struct fp_job *job, struct fp_curve *curves, int n) {
    struct outputs dense = {0}, now = {0};
    int status = FINEPRUNE_OK;
    if (job->data && n > 1) status = run_samples(job, &dense);
    for (int i = 0; i < n && !status; i++) {
        double error = 0;
        curves[i].sensitivity = 1;
        if (!dense.n || !curves[i].gone) continue;
        status = halve(job, &curves[i], &error);
        if (!status) status = run_samples(job, &now);
        for (int k = 0; k < curves[i].group->n_readers && !status; k++)
            status = fp_layer_write_dense(job, &job->layers.items[curves[i].group->readers[k].weight]);
        if (!status && error > 0) curves[i].sensitivity = fmax(distance(&dense, &now), 1e-9) / error;
    }
    free(dense.values);
    free(now.values);
    return status;
}

// ---- the choice

size_t fp_curve_most(const struct fp_curve *c, size_t multiple) {
    return c->group->channels / fp_channel_multiple(c->group, multiple) + 1;
}

int fp_curve_pieces(const struct fp_curves *curves, int which, struct fp_piece *pieces, int n) {
    const struct fp_curve *c = &curves->items[which];
    const size_t multiple = fp_channel_multiple(c->group, curves->rule.multiple);
    size_t at = 0;
    while (at < c->gone) {
        size_t best = 0;
        double price = INFINITY;
        for (size_t to = at + 1; to <= c->gone; to++) {
            if ((c->group->channels - to) % multiple) continue;
            double p = (c->error[to] - c->error[at]) / (double)(to - at);
            if (p <= price) price = p, best = to;
        }
        if (!best) break;
        pieces[n++] = (struct fp_piece){which, at, best, price};
        at = best;
    }
    return n;
}

// A layer's mask of rows or columns, of which each lane has `per` in each group.
static int cut_layer(struct fp_job *job, struct fp_layer *l, uint8_t **mask, const struct fp_lanes *lanes, size_t per,
                     const struct fp_curve *c, const uint8_t *goes) {
    const size_t groups = l->w->groups;
    if (!*mask) *mask = fp_arena_take(&l->cut, groups * lanes->n * per, 1);
    if (!*mask) return fp_arena_check(&l->cut, job->err);
    for (size_t i = 0; i < groups * lanes->n; i++) {
        const struct fp_channel_member m = fp_channel_at(c->groups, lanes, i % lanes->n);
        if (m.group == c->number && goes[m.number]) memset(*mask + i * per, 1, per);
    }
    return FINEPRUNE_OK;
}

static int cut(struct fp_job *job, const struct fp_curve *c) {
    const struct fp_channel_group *g = c->group;
    int status = FINEPRUNE_OK;
    if (!c->chosen) return FINEPRUNE_OK;
    FP_STAGE(room, "channels");
    uint8_t *goes = fp_arena_take(&room, g->channels, 1);
    if (!goes) return fp_arena_check(&room, job->err);
    for (size_t k = 0; k < c->chosen; k++) goes[c->order[k]] = 1;
    for (int i = 0; i < g->n_makers && !status; i++) {
        const struct fp_channel_side *side = &g->makers[i];
        struct fp_layer *l = &job->layers.items[side->weight];
        status = cut_layer(job, l, &l->cut_rows, &c->groups->rows[side->weight], side->per, c, goes);
    }
    for (int i = 0; i < g->n_readers && !status; i++) {
        const struct fp_channel_side *side = &g->readers[i];
        struct fp_layer *l = &job->layers.items[side->weight];
        status = cut_layer(job, l, &l->cut_cols, &c->groups->columns[side->weight], side->per, c, goes);
    }
    return status;
}

static void report(struct fp_job *job, const struct fp_curves *all) {
    const struct fp_curve *curves = all->items;
    const int n = all->n;
    struct fp_report_channels told = {.groups = (size_t)n};
    for (int i = 0; i < n; i++) {
        told.in_groups += curves[i].group->channels;
        told.removed += curves[i].chosen;
    }
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        for (size_t k = 0; k < l->w->count && (l->cut_rows || l->cut_cols); k++)
            told.zeros += fp_cut(l, k / l->w->cols, k % l->w->cols) && !fp_row_removed(l, k / l->w->cols);
    }
    FP_PUT(job->report, channels, &told);
}

void fp_curves_restart(struct fp_job *job) {
    for (int i = 0; i < job->layers.n; i++) fp_layer_drop_cut(job, &job->layers.items[i]);
}

int fp_curves_cut(struct fp_job *job, const struct fp_curves *all) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < all->n && !status; i++) status = cut(job, &all->items[i]);
    for (int i = 0; i < job->layers.n && !status; i++) {
        if (!job->layers.items[i].cut_cols) continue;
        status = fp_job_have_stats(job, FP_NEED_SUMS | FP_NEED_GRAM, i);
        if (!status) status = fp_layer_stand_in(job, &job->layers.items[i]);
    }
    if (!status) report(job, all);
    return status;
}

// ---- all

static int find_curves(struct fp_job *job, struct fp_curves *all) {
    struct fp_exec *exec = NULL;
    int status = fp_exec_plan(&exec, job->model, &job->options->run, job->err);
    if (!status) status = fp_channels_find(&all->groups, job->layers.weights, exec, job->err);
    fp_exec_free(exec);
    if (status) return status;
    all->items = fp_calloc((size_t)all->groups.n, sizeof(*all->items));
    if (!all->items) return fp_fail_memory(job->err, "channels", sizeof(*all->items));
    for (int i = 0; i < all->groups.n; i++) {
        struct fp_channel_group *g = &all->groups.items[i];
        if (fp_curve_obstacle(job, g, &all->rule)) continue;
        all->items[all->n++] = (struct fp_curve){
            .group = g, .number = i, .groups = &all->groups, .cost = cost_of_channel(job, g)};
    }
    status = make_curves(job, &all->rule, all->items, all->n);
    if (status) return status;
    return measure_sensitivities(job, all->items, all->n);
}

static void drop_curves(struct fp_kept *kept) {
    struct fp_curves *all = (struct fp_curves *)kept; // its head
    for (int i = 0; i < all->n; i++) fp_arena_free(&all->items[i].arena);
    free(all->items);
    fp_channels_free(&all->groups);
    free(all);
}

int fp_curves_have(struct fp_job *job, const struct fp_curve_rule *rule, struct fp_curves **out) {
    if (!job->state.kept) {
        struct fp_curves *all = fp_calloc(1, sizeof(*all));
        if (!all) return fp_fail_memory(job->err, "channels", sizeof(*all));
        all->head.drop = drop_curves;
        all->rule = *rule;
        job->state.kept = &all->head;
        int status = find_curves(job, all);
        if (status) return fp_job_drop_kept(job), status;
    }
    *out = (struct fp_curves *)job->state.kept;
    return FINEPRUNE_OK;
}
