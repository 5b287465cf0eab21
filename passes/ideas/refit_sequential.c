// SPDX-License-Identifier: Apache-2.0
// One pass over the layers in the graph's order: each learns to give, from what the pruned model now feeds it, what the
// dense layer gave from what the dense model fed it. x and d are a layer's inputs in the pruned and in the dense model
// at the same places, W the dense rows, w0 the repaired ones, S the kept columns, P = Cov(x), Q = Cov(x, W d), l a
// share of P's mean diagonal, a greater one where rows are few (fp_ridge):
//     w_S = w0_S + (P_SS + l I)^-1 (Q - P w0)_S,  w <- w sqrt(Var(W d) / w P w^T) within [1/2, 2],  b = b_dense + W
//     E[d] - w E[x].
// The prior is the repaired row and not the dense one: with the dense one the fit takes the samples' noise for the rows
// that left. The gain gives back the spread that a ridge and lost inputs take, which else shrinks from layer to layer.
// (The asymmetric problem of Frantar et al. 2022, OBC, section "sequential", and of Li et al. 2025, GPTAQ, with a
// prior)
#include <math.h>
#include <stdlib.h>

#include "kernel/gemm.h"
#include "job/job.h"
#include "maths/repair_solve.h"
#include "stats/stream.h"

#define BUDGET ((size_t)48 << 20)   // bytes of the samples' values that are kept between layers
#define STRETCH ((size_t)128 << 20) // bytes of the layers whose pairs are held at once: more would save runs alone

#define WIDEST 12288 // columns of a layer: three matrices that are so wide and high take 2.4 GB

enum { STEPS, ROWS, GAIN, RIDGE, FEW };
static const struct fp_parameter PARAMETERS[] = {
    [STEPS] = {"steps", 40, 1, 500, "of conjugate gradients, at most", .whole = true},
    [ROWS] = {"rows", 2048, 64, 1e5, "pairs of each layer that are learned from, at most", .whole = true},
    [GAIN] = {"gain", 2, 1, 100, "the most by which a row is scaled to its dense spread; 1 scales none"},
    [RIDGE] = {"ridge", 0.01, 1e-4, 10, "l, of P's mean diagonal: more stays nearer to the repaired row"},
    [FEW] = {"few", 1, 0, 100, "added to l times (columns / rows - 1/2): for layers with few rows (0.3 to 1)"},
    {0},
};

// What the two runs tell about one layer. Arrays are by group.
struct pair {
    struct fp_arena sums;              // of gram, x_sum, cross, y_sum and y_square
    struct fp_layer *layer;            // NULL: it takes no part
    struct fp_product *by_dense;       // of each group: x W^T
    float *y;                          // dense outputs, row by row: groups * rows
    size_t dense_rows, capacity, seen; // rows of the dense run, and of the pruned one so far
    double *gram, *x_sum;              // of the pruned model's rows: groups * cols * cols, groups * cols
    double *cross, *y_sum, *y_square;  // sum of y x^T: groups * rows * cols; groups * rows
    double *dense_mean;                // of the inputs, over all rows
    const struct fp_stat *now;         // of the pruned model
};

struct refit {
    struct fp_job *job;
    struct pair *pairs; // by layer
    int first, end;     // layers of which the dense outputs are held
    size_t counted;
    float *room; // transposed outputs and their product, of the layer that is looked at
    size_t room_size;
};

static size_t outputs_of(const struct fp_layer *l) { return l->w->groups * l->w->rows; }

// Layers of bodies and those with several uses have no one place in the order; the read-out fits its own.
static bool takes_part(const struct fp_job *job, int i) {
    const struct fp_weight *w = job->layers.items[i].w;
    bool once = w->n_uses == 1 && w->uses[0].slot >= 0 && w->node->graph == job->model->graph && !w->node->function;
    return w->repairable && once && !(job->classes.teacher && i == job->classes.classifier.weight) &&
           job->layers.items[i].zeros > 0;
}

// ---- memory

static void sums_done(struct pair *p) {
    fp_arena_free(&p->sums);
    p->gram = p->x_sum = p->cross = p->y_sum = p->y_square = NULL;
}

static void products_done(struct pair *p) {
    for (size_t g = 0; p->by_dense && g < p->layer->w->groups; g++) fp_product_done(&p->by_dense[g]);
    free(p->by_dense);
    p->by_dense = NULL;
}

static void pair_done(struct pair *p) {
    products_done(p);
    sums_done(p);
    free(p->y);
    free(p->dense_mean);
    p->y = NULL, p->dense_mean = NULL;
}

static int open_products(struct pair *p, int threads, fineprune_error *err) {
    const struct fp_weight *w = p->layer->w;
    p->by_dense = fp_calloc(w->groups, sizeof(*p->by_dense));
    bool ok = p->by_dense;
    for (size_t g = 0; g < w->groups && ok; g++)
        ok = fp_product_init(&p->by_dense[g], true, w->rows, w->cols, p->layer->dense + g * w->rows * w->cols, threads);
    if (!ok) return fp_fail_memory(err, w->name, w->count * sizeof(float));
    return FINEPRUNE_OK;
}

static int open_sums(struct pair *p, fineprune_error *err) {
    const struct fp_weight *w = p->layer->w;
    const size_t inputs = w->groups * w->cols, outputs = w->groups * w->rows;
    p->sums.what = w->name;
    p->gram = fp_arena_take(&p->sums, inputs, w->cols * sizeof(double));
    p->x_sum = fp_arena_take(&p->sums, inputs, sizeof(double));
    p->cross = fp_arena_take(&p->sums, outputs, w->cols * sizeof(double));
    p->y_sum = fp_arena_take(&p->sums, outputs, sizeof(double));
    p->y_square = fp_arena_take(&p->sums, outputs, sizeof(double));
    return fp_arena_check(&p->sums, err);
}

// Two blocks for one batch of rows of a layer.
static float *room_for(struct refit *s, size_t floats) {
    float *room = fp_grow(s->room, &s->room_size, floats, sizeof(*room));
    if (room) s->room = room;
    return room;
}

// ---- the two runs

// The dense run: y = W d.
static int see_dense(void *user, int weight, const float *x, size_t m, size_t step, fineprune_error *err) {
    struct refit *s = user;
    struct pair *p = &s->pairs[weight];
    if (!p->layer) return FINEPRUNE_OK;
    const struct fp_weight *w = p->layer->w;
    const size_t width = outputs_of(p->layer);
    int status = FINEPRUNE_OK;
    if (!p->by_dense) status = open_products(p, s->job->threads, err);
    if (status) return status;
    float *y = fp_grow(p->y, &p->capacity, (p->dense_rows + m) * width, sizeof(*y)), *room = room_for(s, m * w->rows);
    if (y) p->y = y;
    if (!y || !room) return fp_fail_memory(err, w->name, (p->dense_rows + m) * width * sizeof(*y));
    for (size_t g = 0; g < w->groups; g++) {
        if (!fp_product_run(&p->by_dense[g], m, x + g * step, room))
            return fp_fail_memory(err, w->name, m * w->rows * sizeof(*y));
        for (size_t r = 0; r < m; r++)
            memcpy(y + (p->dense_rows + r) * width + g * w->rows, room + r * w->rows, w->rows * sizeof(*y));
    }
    p->dense_rows += m;
    return FINEPRUNE_OK;
}

// Sums of one batch of y, and y turned round.
static void turn(struct pair *p, size_t g, size_t m, float *turned, int threads) {
    enum { BLOCK = 16 };
    const size_t rows = p->layer->w->rows, width = outputs_of(p->layer);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t first = 0; first < rows; first += BLOCK)
        for (size_t r = 0; r < m; r++)
            for (size_t k = first; k < rows && k < first + BLOCK; k++) {
                const float v = p->y[(p->seen + r) * width + g * rows + k];
                turned[k * m + r] = v;
                p->y_sum[g * rows + k] += (double)v;
                p->y_square[g * rows + k] += (double)v * (double)v;
            }
}

static bool add_rows(struct refit *s, struct pair *p, size_t g, const float *x, size_t m) {
    const struct fp_weight *w = p->layer->w;
    const size_t n = w->cols, rows = w->rows;
    float *turned = s->room, *product = s->room + rows * m;
    turn(p, g, m, turned, s->job->threads);
    if (!fp_gram(n, m, x, &m, 1, p->gram + g * n * n, !p->seen, s->job->threads) ||
        !fp_gemm(rows, n, m, turned, x, product, s->job->threads))
        return false;
#pragma omp parallel for num_threads(s->job->threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < n; c++) p->cross[(g * rows + r) * n + c] += (double)product[r * n + c];
    for (size_t r = 0; r < m; r++)
        for (size_t c = 0; c < n; c++) p->x_sum[g * n + c] += (double)x[r * n + c];
    return true;
}

// The pruned run: x beside y.
static int see_pruned(void *user, int weight, const float *x, size_t m, size_t step, fineprune_error *err) {
    struct refit *s = user;
    struct pair *p = &s->pairs[weight];
    if (!p->layer || p->seen + m > p->dense_rows) { // another number of rows than the dense run had
        p->dense_rows = 0;
        return FINEPRUNE_OK;
    }
    const struct fp_weight *w = p->layer->w;
    bool ok = room_for(s, w->rows * (m + w->cols));
    for (size_t g = 0; g < w->groups && ok; g++) ok = add_rows(s, p, g, x + g * step, m);
    p->seen += m;
    if (!ok) return fp_fail_memory(err, w->name, w->rows * (m + w->cols) * sizeof(float));
    return FINEPRUNE_OK;
}

static struct fp_stats_request request_of(struct refit *s, bool dense) {
    const struct fp_job *job = s->job;
    return (struct fp_stats_request){.needs = FP_NEED_SUMS,
                                     .options = &job->options->run,
                                     .stage = "refit",
                                     .gram_first = s->first,
                                     .gram_end = s->end,
                                     .rows = dense ? see_dense : see_pruned,
                                     .rows_user = s,
                                     .most_rows = (size_t)fp_value(job, PARAMETERS, ROWS)};
}

// The dense model's outputs at the sampled places, and the means of its inputs over all, of the layers of this stretch.
static int run_dense(struct refit *s) {
    struct fp_job *job = s->job;
    struct fp_exec *exec = NULL;
    struct fp_stats *stats = NULL;
    struct fp_stats_request request = request_of(s, true);
    size_t *sizes = NULL;
    int status = fp_stream_sizes(&sizes, job->data, job->samples.local, job->samples.n_local, &job->options->run,
                                 job->err);
    request.batch_sizes = sizes;
    if (!status) status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (!status)
        status = fp_stats_gather(&stats, exec, job->layers.weights, job->data, job->samples.local, job->samples.n_local,
                                 &request, &job->state.forward, job->err);
    fp_exec_free(exec);
    free(sizes);
    for (int i = s->first; i < s->end && !status; i++) {
        struct pair *p = &s->pairs[i];
        if (!p->layer) continue;
        const size_t n = p->layer->w->cols, inputs = p->layer->w->groups * n;
        products_done(p);
        p->dense_mean = fp_calloc(inputs, sizeof(double));
        if (!p->dense_mean) status = fp_fail_memory(job->err, p->layer->w->name, inputs * sizeof(double));
        for (size_t c = 0; c < inputs && !status; c++) p->dense_mean[c] = fp_stat_mean(&stats->items[i], c / n, c % n);
    }
    fp_stats_free(stats);
    return status;
}

// ---- the fit

// right = Q - P w, and what each row's error is.
static bool residual(struct fp_system *system, const struct pair *p, size_t g, bool centred, float *right, double *left,
                     double *spread) {
    const struct fp_weight *w = p->layer->w;
    const size_t n = w->cols, rows = w->rows;
    const float *values = p->layer->values + g * rows * n;
    const double m = (double)p->seen;
    if (!fp_system_apply(system, values, rows, right, NULL)) return false;
    for (size_t r = 0; r < rows; r++) {
        const double *cross = p->cross + (g * rows + r) * n, y_mean = centred ? p->y_sum[g * rows + r] / m : 0;
        double with_y = 0, own = fp_dot(values + r * n, right + r * n, n);
        for (size_t c = 0; c < n; c++) {
            const double q = cross[c] / m - (centred ? y_mean * p->x_sum[g * n + c] / m : 0);
            with_y += q * (double)values[r * n + c];
            right[r * n + c] = (float)(q - (double)right[r * n + c]);
        }
        spread[r] = fmax(p->y_square[g * rows + r] / m - y_mean * y_mean, 0);
        left[r] = fmax(spread[r] - 2 * with_y + own, 0);
    }
    return true;
}

// Rows get back the spread of the dense layer's.
static bool scale_rows(struct fp_system *system, const struct pair *p, size_t g, const double *spread, double most,
                       float *room) {
    const struct fp_weight *w = p->layer->w;
    const size_t n = w->cols;
    float *values = p->layer->values + g * w->rows * n;
    if (!fp_system_apply(system, values, w->rows, room, NULL)) return false;
    for (size_t r = 0; r < w->rows; r++) {
        const double own = fp_dot(values + r * n, room + r * n, n);
        if (!(own > 0) || !(spread[r] > 0)) continue;
        const float gain = (float)fmin(fmax(sqrt(spread[r] / own), 1 / most), most);
        for (size_t c = 0; c < n; c++) values[r * n + c] *= gain;
    }
    return true;
}

static int solve(struct refit *s, struct pair *p, size_t g, bool centred, struct fp_system *system) {
    struct fp_job *job = s->job;
    struct fp_layer *l = p->layer;
    const size_t rows = l->w->rows, at = g * rows * l->w->cols;
    FP_STAGE(room, l->w->name);
    float *right = fp_arena_take(&room, rows * l->w->cols, sizeof(*right));
    double *left = fp_arena_take(&room, rows, sizeof(*left)), *spread = fp_arena_take(&room, rows, sizeof(*spread));
    int status = fp_arena_check(&room, job->err);
    if (status) return status;
    if (!residual(system, p, g, centred, right, left, spread))
        return fp_fail_memory(job->err, l->w->name, rows * l->w->cols * sizeof(*right));
    status = fp_system_refine(system, right, l->keep + at, rows, l->values + at, (int)fp_value(job, PARAMETERS, STEPS),
                              left, job->threads, job->err);
    if (status) return status;
    if (!scale_rows(system, p, g, spread, fp_value(job, PARAMETERS, GAIN), right))
        return fp_fail_memory(job->err, l->w->name, rows * l->w->cols * sizeof(*right));
    return FINEPRUNE_OK;
}

static int fit_group(struct refit *s, struct pair *p, size_t g, bool centred) {
    struct fp_layer *l = p->layer;
    const size_t n = l->w->cols;
    struct fp_stat stat = {
        .groups = l->w->groups, .cols = n, .sampled = p->seen, .gram = p->gram, .sampled_sum = p->x_sum};
    struct fp_layer seen = {.w = l->w, .stat = &stat};
    struct fp_system system = {0};
    const double ridge = fp_ridge(fp_value(s->job, PARAMETERS, RIDGE), fp_value(s->job, PARAMETERS, FEW), n, p->seen,
                                  s->job->samples.n_local);
    if (!centred) memset(p->x_sum, 0, l->w->groups * n * sizeof(double));
    int status = fp_system_init(&system, s->job, &seen, g, ridge);
    if (!status) status = solve(s, p, g, centred, &system);
    fp_system_done(&system);
    return status;
}

// bias_change = W E[d] - w E[x]
static void meet_means(const struct pair *p) {
    struct fp_layer *l = p->layer;
    const size_t n = l->w->cols;
    for (size_t r = 0; r < fp_layer_rows(l); r++) {
        double change = 0;
        const double *d = p->dense_mean + r / l->w->rows * n;
        for (size_t c = 0; c < n; c++)
            change += (double)l->dense[r * n + c] * d[c] -
                      (double)l->values[r * n + c] * fp_stat_mean(p->now, r / l->w->rows, c);
        if (!fp_row_gone(l, r)) l->bias_change[r] = change;
    }
}

static int fit(struct refit *s, struct pair *p) {
    const bool centred = p->layer->w->bias.proto != NULL;
    int status = FINEPRUNE_OK;
    if (!p->seen) return FINEPRUNE_OK;
    if (p->seen != p->dense_rows) { // it stays as it was repaired
        fp_report_say(s->job->report,
                      "weight '%s' was not refitted: it sees another number of inputs in the pruned model",
                      p->layer->w->name);
        return FINEPRUNE_OK;
    }
    for (size_t g = 0; g < p->layer->w->groups && !status; g++) status = fit_group(s, p, g, centred);
    if (!status && centred) meet_means(p);
    return status;
}

// ---- the pass

// What a layer takes: the dense outputs, and while it is fitted its sums and vectors.
static size_t bytes_of(const struct fp_job *job, const struct fp_layer *l) {
    const struct fp_weight *w = l->w;
    const size_t inputs = w->groups * w->cols, outputs = outputs_of(l);
    return (size_t)fp_value(job, PARAMETERS, ROWS) * outputs * sizeof(float) +
           (inputs + outputs) * w->cols * sizeof(double);
}

// The end of the layers that stand in the node of layer i, and what they take.
static int node_end(const struct refit *s, int i, size_t *bytes) {
    const struct fp_node *node = s->job->layers.items[i].w->node;
    *bytes = 0;
    for (; i < s->job->layers.n && s->job->layers.items[i].w->node == node; i++)
        if (s->pairs[i].layer) *bytes += bytes_of(s->job, s->pairs[i].layer);
    return i;
}

// The layers from `first` on whose pairs fit into STRETCH, and half of what the memory limit leaves, those of one node
// at least: the limit must not change the result, and the weights of one node learn from the same inputs.
static int open_stretch(struct refit *s) {
    struct fp_job *job = s->job;
    struct fp_memory *memory = &job->model->memory;
    const size_t most = fp_least(fp_memory_left(memory) / 2, STRETCH);
    size_t bytes;
    for (int end = s->end = s->first; s->end < job->layers.n; s->end = end) {
        end = node_end(s, s->end, &bytes);
        const bool fits = bytes <= most && s->counted <= most - bytes;
        if (bytes && ((!fits && s->counted) || !fp_memory_count(memory, bytes))) break;
        s->counted += bytes;
    }
    if (s->counted || s->end == job->layers.n) return FINEPRUNE_OK;
    fp_fail(job->err, FINEPRUNE_LIMIT, "the refit of weight '%s' needs more memory than is allowed",
            job->layers.items[s->end].w->name);
    fp_hint(job->err, "'--refit none' needs less");
    return FINEPRUNE_LIMIT;
}

static void close_stretch(struct refit *s) {
    for (int i = s->first; i < s->end; i++)
        if (s->pairs[i].layer) pair_done(&s->pairs[i]);
    fp_memory_uncount(&s->job->model->memory, s->counted);
    s->counted = 0;
    s->first = s->end;
}

// The layers [first, end) stand in one node: a product, or the two weights of a recurrent one.
static int refit_node(struct refit *s, struct fp_stream *stream, struct fp_gathering *g, struct fp_exec *exec,
                      int first, int end) {
    struct fp_job *job = s->job;
    const struct fp_node *node = job->layers.items[first].w->node;
    const struct fp_observer observer = {fp_gathering_see, g, true};
    const struct fp_batch_visitor visitor = {fp_gathering_begin, NULL, &observer, g, NULL};
    int status = FINEPRUNE_OK;
    for (int i = first; i < end && !status; i++) status = open_sums(&s->pairs[i], job->err);
    double start = fp_seconds();
    fp_gathering_look_at(g, first, end);
    if (!status) status = fp_stream_run(stream, node, &visitor, job->err);
    if (!status) status = fp_gathering_finish(g, job->err);
    job->state.forward += fp_seconds() - start;
    start = fp_seconds();
    for (int i = first; i < end && !status; i++) {
        s->pairs[i].now = fp_gathering_stat(g, i);
        status = fit(s, &s->pairs[i]);
        if (!status) status = fp_job_rewrite_layer(job, s->pairs[i].layer);
        pair_done(&s->pairs[i]);
    }
    job->state.solve += fp_seconds() - start;
    fp_exec_forget(exec, node);
    return status;
}

static int refit_stretch(struct refit *s, struct fp_exec *exec) {
    struct fp_job *job = s->job;
    struct fp_stream *stream = NULL;
    struct fp_gathering *g = NULL;
    const struct fp_stats_request request = request_of(s, false);
    const size_t left = fp_memory_left(&job->model->memory) / 4, budget = fp_least(left, BUDGET);
    int status = fp_stream_new(&stream, exec, job->model, job->data, job->samples.local, job->samples.n_local, budget,
                               &job->options->run, job->err);
    if (!status)
        status = fp_gathering_new(&g, exec, job->layers.weights, job->data, job->samples.n_local, &request, job->err);
    for (int i = s->first; i < s->end && !status;) {
        int end = i + 1;
        if (s->pairs[i].layer) {
            while (end < s->end && s->pairs[end].layer &&
                   job->layers.items[end].w->node == job->layers.items[i].w->node)
                end++;
            status = refit_node(s, stream, g, exec, i, end);
        }
        i = end;
    }
    fp_gathering_free(g);
    fp_stream_free(stream);
    return status;
}

static int write_all(struct fp_job *job, bool dense) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < job->layers.n && !status; i++)
        status = dense ? fp_layer_write_dense(job, &job->layers.items[i])
                       : fp_job_rewrite_layer(job, &job->layers.items[i]);
    return status;
}

static int run_both(struct refit *s) {
    struct fp_job *job = s->job;
    struct fp_exec *exec = NULL;
    int status = write_all(job, true);
    if (!status) status = run_dense(s);
    if (!status) status = write_all(job, false);
    if (!status) status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (!status) status = refit_stretch(s, exec);
    fp_exec_free(exec);
    return status;
}

static int run(struct fp_job *job) {
    struct refit s = {.job = job, .pairs = fp_calloc((size_t)job->layers.n, sizeof(*s.pairs))};
    if (!s.pairs) return fp_fail_memory(job->err, "a refit", sizeof(*s.pairs));
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_weight *w = job->layers.items[i].w;
        if (!takes_part(job, i)) continue;
        if (w->cols <= WIDEST) s.pairs[i].layer = &job->layers.items[i];
        else
            fp_report_say(job->report, "weight '%s' was not refitted: of its %zu inputs a matrix would take %.1f GB",
                          w->name, w->cols, 2e-9 * 8 * (double)w->cols * (double)w->cols);
    }
    int status = FINEPRUNE_OK;
    while (s.first < job->layers.n && !status) {
        status = open_stretch(&s);
        if (!status && s.counted) status = run_both(&s);
        close_stretch(&s);
    }
    free(s.pairs);
    free(s.room);
    return status;
}

const struct fp_refit fp_refit_sequential = {
    "sequential", "layer after layer learns the dense layer's outputs from the pruned model's inputs", true, run,
    PARAMETERS};
