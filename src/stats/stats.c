// SPDX-License-Identifier: Apache-2.0
// Gathering statistics. Everything is added sample by sample in the order of the samples, in double, and each sample's
// sampled rows depend on its content alone: batch size, threads and the split of the data over several runs change
// nothing.
#include "stats/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/threads.h"
#include "stats/batches.h"
#include "stats/columns.h"
#include "kernel/gemm.h"
#include "stats/shift_gram.h"

#define FLUSH_ROWS 512                // rows that become part of the co-activations at once
#define HAND_ROWS 256                 // rows that are handed on at once
#define MOST_ROWS 8192                // of the co-activations, where the columns are few
#define MOST_VALUES ((size_t)3 << 20) // rows times columns

// ---- the run

struct fp_gathering {
    struct fp_stats *stats;
    const struct fp_weights *weights;
    const struct fp_stats_request *request;
    struct pending { // rows that wait to be added to the co-activations, groups * FLUSH_ROWS * cols
        bool wanted, begun, flushed;
        float *rows;
        size_t expected;                    // rows that are counted, where they are kept as they are
        size_t n, ends[FLUSH_ROWS], n_ends; // ends: of stretches that must not be added together
        struct fp_shift_gram *whole;        // all rows of units that lie as the first one
        size_t runs;                        // batches that were begun when it was seen last
        size_t whole_bytes, whole_rows;     // bytes: counted, 0: nothing is in it; rows: of each unit
    } *pending;
    struct target { // what a tag of the observer means
        int weight, use;
    } *targets;
    int n_targets, threads;
    int *first; // by weight: the first that sees the same rows (it may be itself), whose number chooses those that are
                // sampled
    int *same;  // by weight: an earlier one whose statistics are its own too; else -1
    size_t samples, total; // in this batch, over all
    size_t real;           // of this batch's, without filling
    size_t runs;           // batches that were begun
    const size_t *numbers; // of this batch's samples
    uint8_t *bad;          // which of them bring values that no statistics can hold
    size_t bad_capacity, n_bad, first_bad[3];
    double worst; // one of those values, at the weight
    int bad_weight;
    uint64_t *seeds; // of this batch's samples
    size_t seed_capacity;
    struct fineprune_data *data;
    struct fp_memory *memory;
    size_t counted; // towards it, here
    double seconds; // spent in statistics
    int from, to;   // weights that are looked at
};

// ---- co-activations

static void end_stretch(struct pending *p) {
    if (p->n && !(p->n_ends && p->ends[p->n_ends - 1] == p->n)) p->ends[p->n_ends++] = p->n;
}

static int flush_weight(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    if (!p->n) return FINEPRUNE_OK;
    if (g->request->rows) {
        const size_t n = p->n;
        p->n = 0;
        return g->request->rows(g->request->rows_user, weight, p->rows, n, HAND_ROWS * s->cols, err);
    }
    if (!s->gram) return FINEPRUNE_OK;
    end_stretch(p);
    if (!fp_grams(s->groups, s->cols, p->n, p->rows, FLUSH_ROWS * s->cols, p->ends, p->n_ends, s->gram, !p->flushed,
                  g->threads))
        return fp_fail_memory(err, "co-activations", 0);
    p->n = p->n_ends = 0;
    p->flushed = true;
    return FINEPRUNE_OK;
}

// Towards the memory limit; weight -1: for all.
static int count(struct fp_gathering *g, int weight, size_t bytes, fineprune_error *err) {
    if (fp_memory_count(g->memory, bytes)) {
        g->counted += bytes;
        return FINEPRUNE_OK;
    }
    if (weight < 0) fp_fail(err, FINEPRUNE_LIMIT, "the co-activations of all weights need more memory than is allowed");
    else
        fp_fail(err, FINEPRUNE_LIMIT, "the co-activations of weight '%.180s' need more memory than is allowed",
                g->weights->items[weight].name);
    fp_memory_hint(g->memory, err);
    return FINEPRUNE_LIMIT;
}

// Room for m more rows where they are kept as they are: [sampled][groups][cols], sorted by group only by its reader.
static int keep_rows(struct fp_gathering *g, int weight, size_t m, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    size_t width = s->groups * s->cols, rows, need;
    if (!fp_add(s->sampled, m, &rows) || !fp_mul(rows, width, &need)) return fp_fail_memory(err, "co-activations", 0);
    if (rows > p->expected) { // a weight that is used again, or by every turn of a loop
        int status = count(g, weight, (rows - p->expected) * width * sizeof(float), err);
        if (status) return status;
        p->expected = rows;
    }
    float *kept = fp_grow(s->kept, &s->kept_capacity, need, sizeof(float));
    if (!kept) return fp_fail_memory(err, "co-activations", need * sizeof(float));
    s->kept = kept;
    return FINEPRUNE_OK;
}

// sum[i] += x[r * step + i] over all rows, for i < width.
FP_VECTOR static void add_rows(const float *x, size_t rows, size_t step, size_t width, double *sum) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) sum[i] += (double)x[r * step + i];
}

// Rows picked[0 .. m - 1] of one unit, for which there is room: to those that wait, or to those that are kept.
static int take_rows(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                     size_t m, fineprune_error *err) {
    enum { BLOCK = 256 };
    struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    const size_t cols = s->cols, blocks = (cols + BLOCK - 1) / BLOCK;
    int status = s->gram ? FINEPRUNE_OK : keep_rows(g, weight, m, err);
    if (status) return status;
    float *to = s->gram ? p->rows + p->n * cols : s->kept + s->sampled * s->groups * cols;
    const size_t row_step = s->gram ? cols : s->groups * cols, group_step = s->gram ? FLUSH_ROWS * cols : cols;
#pragma omp parallel num_threads(g->threads) if (m * s -> groups * cols > 20000)
    {
#pragma omp for schedule(static) collapse(2)
        for (size_t group = 0; group < s->groups; group++)
            for (size_t r = 0; r < m; r++)
                fp_columns_row(c, group, unit, picked[r], to + group * group_step + r * row_step);
#pragma omp for schedule(static) collapse(2)
        for (size_t group = 0; group < s->groups; group++)
            for (size_t b = 0; b < blocks; b++) {
                const size_t first = b * BLOCK, width = b + 1 < blocks ? BLOCK : cols - first;
                add_rows(to + group * group_step + first, m, row_step, width, s->sampled_sum + group * cols + first);
            }
    }
    s->sampled += m;
    if (s->gram) p->n += m;
    return s->gram && p->n == FLUSH_ROWS ? flush_weight(g, weight, err) : FINEPRUNE_OK;
}

// Rows of the co-activations: many for few columns; of many columns, whose products cost with the square of them, as
// many as there are.
static size_t rows_wanted(size_t cols) {
    size_t rows = MOST_VALUES / (cols + 1);
    return rows > MOST_ROWS ? MOST_ROWS : rows > cols ? rows : cols;
}

static int make_gram(struct fp_stat *s, fineprune_error *err) {
    size_t size;
    if (!fp_mul(s->groups * s->cols, s->cols, &size)) return fp_fail_memory(err, "co-activations", s->groups * s->cols);
    s->gram = fp_calloc(size, sizeof(double));
    return s->gram ? FINEPRUNE_OK : fp_fail_memory(err, "co-activations", size * sizeof(double));
}

// What a matrix and the rows that wait for it take; or the rows when they are kept.
static bool bytes_of(const struct fp_stat *s, size_t rows, bool matrix, size_t *bytes) {
    const size_t width = s->groups * s->cols,
                 per = matrix ? s->cols * sizeof(double) + FLUSH_ROWS * sizeof(float) : sizeof(float);
    return fp_mul(width, per, bytes) && (matrix || fp_mul(*bytes, rows, bytes));
}

// Counts what `rows` rows take, and makes the matrix if they become one.
static int reserve_rows(struct fp_gathering *g, int weight, size_t rows, bool matrix, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    const size_t counted = g->request->counted ? fp_stat_bytes(&g->weights->items[weight], g->total) : 0;
    size_t bytes;
    if (!bytes_of(s, rows, matrix, &bytes)) return fp_fail_memory(err, "co-activations", s->cols);
    g->pending[weight].expected = rows;
    int status = !g->request->nominal_samples && bytes > counted ? count(g, weight, bytes - counted, err)
                                                                 : FINEPRUNE_OK;
    return status || !matrix || s->gram ? status : make_gram(s, err);
}

// Before the first row: `rows` in all make a matrix, or stay as they are when they are fewer than the columns.
// Statistics that will be merged are all of one kind.
static int begin_rows(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t rows,
                      fineprune_error *err) {
    const struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    const bool matrix = g->request->nominal_samples || rows >= s->cols;
    int status = FINEPRUNE_OK;
    for (int i = weight; i < g->stats->n && !status; i++)
        if (i == weight || g->same[i] == weight) status = reserve_rows(g, i, rows, matrix, err);
    p->begun = true;
    if (status || !matrix) return status;
    p->rows = fp_calloc(s->groups * s->cols, FLUSH_ROWS * sizeof(float));
    if (!p->rows) return fp_fail_memory(err, "statistics", s->groups * s->cols * FLUSH_ROWS * sizeof(float));
    return g->request->nominal_samples
               ? FINEPRUNE_OK
               : fp_shift_gram_new(&p->whole, c, err); // of merged runs each one's first unit would decide
}

// Rows that are handed on.
static int begin_handing(struct fp_gathering *g, int weight, fineprune_error *err) {
    const struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    p->begun = true;
    p->rows = fp_calloc(s->groups * s->cols, HAND_ROWS * sizeof(float));
    return p->rows ? FINEPRUNE_OK : fp_fail_memory(err, "statistics", s->groups * s->cols * HAND_ROWS * sizeof(float));
}

static int hand_rows(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                     size_t m, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
#pragma omp parallel for num_threads(g->threads) schedule(static) collapse(2) if (m * s->groups * s->cols > 20000)
    for (size_t group = 0; group < s->groups; group++)
        for (size_t r = 0; r < m; r++)
            fp_columns_row(c, group, unit, picked[r], p->rows + (group * HAND_ROWS + p->n + r) * s->cols);
    s->sampled += m;
    p->n += m;
    return p->n == HAND_ROWS ? flush_weight(g, weight, err) : FINEPRUNE_OK;
}

// All rows of one unit, where that takes less arithmetic than n of them and it lies as the first one.
static bool takes_whole(const struct pending *p, const struct fp_columns *c, size_t n) {
    return p->whole && fp_shift_gram_fits(p->whole, c) && fp_shift_gram_pays(p->whole, n);
}

static int take_unit(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit,
                     fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    struct fp_columns one = *c;
    one.x += unit * c->unit_stride;
    int status = p->whole_bytes ? FINEPRUNE_OK : count(g, weight, fp_shift_gram_bytes(p->whole), err);
    if (status) return status;
    p->whole_bytes = fp_shift_gram_bytes(p->whole);
    p->whole_rows = c->rows;
    double *squares = fp_calloc(s->cols, sizeof(*squares)); // by the way
    if (!squares || fp_columns_sum(&one, 1, s->sampled_sum, squares, NULL, g->threads))
        status = fp_fail_memory(err, "sums", 0);
    free(squares);
    s->sampled += c->rows;
    return status ? status : fp_shift_gram_add(p->whole, &one, 0, g->threads, err);
}

static int finish_whole(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct pending *p = &g->pending[weight];
    int status = p->whole_bytes
                     ? fp_shift_gram_finish(p->whole, g->stats->items[weight].gram, !p->flushed, g->threads, err)
                     : FINEPRUNE_OK;
    fp_memory_uncount(g->memory, p->whole_bytes);
    g->counted -= p->whole_bytes;
    p->whole_bytes = 0;
    return status;
}

// Rows of one unit: evenly spread, each at a place within its stretch that the sample's content decides.
static int sample_unit(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, uint64_t seed,
                       fineprune_error *err) {
    const struct fp_stat *s = &g->stats->items[weight];
    struct pending *p = &g->pending[weight];
    const size_t most = g->request->rows && g->request->most_rows ? g->request->most_rows : SIZE_MAX,
                 wanted = fp_least(rows_wanted(s->cols), most);
    const size_t nominal = g->request->nominal_samples ? g->request->nominal_samples : g->total,
                 quota = (wanted + nominal - 1) / nominal;
    size_t n = fp_least((quota * g->samples + c->units - 1) / c->units, c->rows);
    uint64_t state = seed ^ (uint64_t)g->first[weight] * 0x9e3779b97f4a7c15u;
    if (!n) return FINEPRUNE_OK;
    if (!p->begun && g->request->rows) {
        int status = begin_handing(g, weight, err);
        if (status) return status;
    } else if (!p->begun) {
        size_t all, units;
        const bool known = fp_mul(g->total, c->units, &units) && fp_mul(n, (units + g->samples - 1) / g->samples, &all);
        int status = begin_rows(g, weight, c, known ? all : SIZE_MAX, err);
        if (status) return status;
    }
    if (takes_whole(p, c, n)) return take_unit(g, weight, c, unit, err);
    if (p->whole_bytes) n = fp_least(p->whole_rows, c->rows); // one that lies otherwise counts as much as the others
    // Statistics that will be merged must not depend on which samples stand together: stretches end with the sample,
    // and where one fills the room.
    bool apart = g->request->nominal_samples && p->n + n > FLUSH_ROWS;
    int status = apart ? flush_weight(g, weight, err) : FINEPRUNE_OK;
    const size_t room = g->request->rows ? HAND_ROWS : FLUSH_ROWS;
    for (size_t i = 0; i < n && !status;) {
        size_t picked[FLUSH_ROWS], m = 0;
        for (; i < n && m < room - p->n; i++, m++) {
            size_t from = i * c->rows / n, to = (i + 1) * c->rows / n;
            picked[m] = from + (size_t)(fp_random(&state) % (to - from));
        }
        status = g->request->rows ? hand_rows(g, weight, c, unit, picked, m, err)
                                  : take_rows(g, weight, c, unit, picked, m, err);
    }
    if (g->request->nominal_samples) end_stretch(p);
    return status;
}

// Values whose squares float32 cannot hold are fill values for what is missing, or come of such: a weight must not
// learn from them.
static bool is_bad(float v) { return !(fabsf(v) <= (float)FP_HUGE); }

static bool sums_are_bad(const struct fp_stat *s) {
    for (size_t i = 0; i < s->groups * s->cols; i++)
        if (!(s->square[i] <= FP_HUGE * FP_HUGE)) return true;
    return false;
}

// Marks the samples with such values. each: units of one sample, 0: they cannot be told apart, and all of the batch are
// meant.
static int find_bad(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t units, size_t each,
                    fineprune_error *err) {
    const size_t cols = c->w->cols;
    float *row = fp_calloc(cols, sizeof(*row));
    if (!row) return fp_fail_memory(err, "a row", cols * sizeof(*row));
    for (size_t u = 0; u < units; u++)
        for (size_t i = 0; i < c->w->groups * fp_columns_rows(c, u); i++) {
            fp_columns_row(c, i % c->w->groups, u, i / c->w->groups, row);
            size_t k = 0;
            while (k < cols && !is_bad(row[k])) k++;
            if (k == cols) continue;
            if (g->bad_weight < 0) g->bad_weight = weight, g->worst = (double)row[k];
            memset(g->bad + (each ? u / each : 0), 1, each ? 1 : g->real);
            break;
        }
    free(row);
    return FINEPRUNE_OK;
}

static int fail_bad(const struct fp_gathering *g, fineprune_error *err) {
    char text[3 * 300] = "", where[280];
    size_t used = 0;
    for (size_t i = 0; i < g->n_bad && i < FP_COUNT(g->first_bad); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "",
                                 fp_data_where(g->data, g->first_bad[i], where, sizeof(where)));
    if (g->n_bad > FP_COUNT(g->first_bad))
        snprintf(text + used, sizeof(text) - used, " and %zu more", g->n_bad - FP_COUNT(g->first_bad));
    fp_fail(err, FINEPRUNE_DATA, "%s: the input of weight '%s' becomes %g, of which nothing can be learned", text,
            g->weights->items[g->bad_weight].name, g->worst);
    fp_hint(err, "is it a fill value for missing data? Remove these samples, or replace the value before saving");
    return FINEPRUNE_DATA;
}

// Of sequences each has its own rows.
static int add_sums(struct fp_gathering *g, struct fp_stat *s, const struct fp_columns *c, size_t units) {
    int status = c->lengths ? 0 : fp_columns_sum(c, units, s->sum, s->square, s->absolute, g->threads);
    if (!c->lengths) s->rows += (double)c->rows * (double)units;
    for (size_t u = 0; u < units && c->lengths && !status; u++) {
        struct fp_columns one = *c;
        one.x += u * c->unit_stride;
        one.units = 1;
        one.rows = fp_columns_rows(c, u);
        s->rows += (double)one.rows;
        if (one.rows) status = fp_columns_sum(&one, 1, s->sum, s->square, s->absolute, g->threads);
    }
    return status;
}

// In the main graph every sample gets there, or some rows of some samples, as to an expert: rows count. A branch or a
// body is run or not: samples do, once in a batch.
static void count_reached(struct fp_gathering *g, const struct target *target, struct fp_stat *s, size_t rows,
                          bool by_sample) {
    struct pending *p = &g->pending[target->weight];
    const bool inside = g->weights->items[target->weight].uses[target->use].node->graph->parent;
    if (!inside) s->reached += rows;
    else if (p->runs != g->runs) s->reached += by_sample || rows > g->real ? g->real : rows;
    p->runs = g->runs;
}

static int see_weight(struct fp_gathering *g, const struct target *target, const struct fp_tensor *x,
                      fineprune_error *err) {
    const struct fp_weight *w = &g->weights->items[target->weight];
    struct fp_stat *s = &g->stats->items[target->weight];
    struct fp_columns c;
    int status = fp_columns_of(&c, w, &w->uses[target->use], x, g->samples, err);
    if (status) return status;
    const size_t each = g->samples && c.units % g->samples == 0
                            ? c.units / g->samples
                            : 0; // units of one sample: frames of a film are several
    const size_t units = each ? g->real * each : c.units;
    const double rows = s->rows;
    if (add_sums(g, s, &c, units)) return fp_fail_memory(err, "sums", 0);
    count_reached(g, target, s, (size_t)(s->rows - rows), each != 0);
    if (sums_are_bad(s)) status = find_bad(g, target->weight, &c, units, each, err);
    for (size_t u = 0; u < units && !status && g->pending[target->weight].wanted; u++) {
        struct fp_columns own = c;
        own.rows = fp_columns_rows(&c, u);
        own.lengths = NULL;
        status = sample_unit(g, target->weight, &own, u, g->seeds[each ? u / each : 0], err);
    }
    return status;
}

// ---- answers

// The sum over the positions of element i of sample u. A product's values lie [sample, positions..., width], a
// convolution's [sample, width, positions...]; They are watched as values, which come row-major whatever order the
// executor keeps them in (fp_exec_watch_value).
static double sum_of_positions(const float *v, size_t u, size_t i, size_t width, size_t positions, bool last) {
    const size_t step = last ? width : 1;
    const float *at = last ? v + u * positions * width + i : v + (u * width + i) * positions;
    double sum = 0;
    for (size_t p = 0; p < positions; p++) sum += (double)at[p * step];
    return sum;
}

static void see_answers(struct fp_gathering *g, bool features, const struct fp_tensor *x) {
    struct fp_answers *a = &g->stats->answers;
    const struct fp_classifier *c = g->request->classifier;
    const bool last = g->weights->items[c->weight].kind == FP_WEIGHT_RIGHT;
    size_t width = features ? a->n_features : a->classes, units = g->samples;
    // Scores of time steps, with the batch squeezed away, are nobody's answers.
    a->unlike |= !units || x->count % (units * width) || (!features && (!x->rank || x->dims[0] != (int64_t)units));
    if (a->unlike) return;
    // A layer before a pooling has positions: the classifier is linear, so their mean is what counts.
    size_t positions = x->count / (units * width);
    float *dst = (features ? a->features : a->logits) + a->samples * width;
    for (size_t u = 0; u < g->real; u++)
        for (size_t i = 0; i < width; i++)
            dst[u * width + i] = (float)(sum_of_positions(x->data, u, i, width, positions, last) / (double)positions);
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
    else see_answers(g, tag == g->n_targets, x);
    fp_tensor_done(&wide);
    g->seconds += fp_seconds() - start;
    return status;
}

// ---- set-up

static int stat_init(struct fp_stat *s, const struct fp_weight *w, unsigned needs, bool gram, fineprune_error *err) {
    *s = (struct fp_stat){.groups = w->groups, .cols = w->cols};
    size_t n = w->groups * w->cols;
    s->sum = fp_calloc(n, sizeof(double));
    s->square = fp_calloc(n, sizeof(double));
    s->absolute = needs & FP_NEED_ABSOLUTE ? fp_calloc(n, sizeof(double)) : NULL;
    s->sampled_sum = fp_calloc(n, sizeof(double));
    if (!s->sum || !s->square || (!s->absolute && needs & FP_NEED_ABSOLUTE) || !s->sampled_sum)
        return fp_fail_memory(err, "statistics", n * sizeof(double));
    return gram ? make_gram(s, err) : FINEPRUNE_OK;
}

// A product with one row a sample: few samples, few rows. Anything else has rows enough.
static size_t rows_expected(const struct fp_weight *w, size_t samples) {
    return w->kind == FP_WEIGHT_RIGHT && w->groups == 1 ? samples : SIZE_MAX;
}

size_t fp_stat_bytes(const struct fp_weight *w, size_t samples) {
    size_t rows = rows_expected(w, samples),
           per = rows < w->cols ? rows * sizeof(float) : w->cols * sizeof(double) + FLUSH_ROWS * sizeof(float), bytes;
    return !w->repairable ? 0 : fp_mul(w->groups * w->cols, per, &bytes) ? bytes : SIZE_MAX;
}

// Inputs that several weights share, as queries, keys and values do, are looked at once.
static int find_same(struct fp_gathering *g, fineprune_error *err) {
    enum { NEAR = 8 }; // they stand together
    const int n = g->weights->n;
    g->first = fp_calloc((size_t)n, sizeof(*g->first));
    g->same = fp_calloc((size_t)n, sizeof(*g->same));
    if (!g->first || !g->same) return fp_fail_memory(err, "statistics", sizeof(*g->same));
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
    int status = from->gram ? FINEPRUNE_OK : keep_rows(g, weight, from->sampled, err);
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
    return from->sampled ? copy_rows(g, weight, err) : FINEPRUNE_OK;
}

static int watch_all(struct fp_gathering *g, struct fp_exec *exec, fineprune_error *err) {
    int n = 0;
    for (int i = 0; i < g->weights->n; i++) n += g->weights->items[i].n_uses;
    g->targets = fp_calloc((size_t)n, sizeof(*g->targets));
    if (!g->targets) return fp_fail_memory(err, "statistics", sizeof(*g->targets));
    for (int i = 0; i < g->weights->n; i++)
        for (int k = 0;
             k < g->weights->items[i].n_uses && g->same[i] < 0 && (!g->request->rows || g->pending[i].wanted); k++) {
            const struct fp_weight_use *use = &g->weights->items[i].uses[k];
            if (use->slot < 0) continue; // another form of the weight, which cannot be counted
            g->targets[g->n_targets] = (struct target){i, k};
            int status = fp_exec_watch(exec, use->node, use->slot, g->n_targets++, err);
            if (status) return status;
        }
    return FINEPRUNE_OK;
}

static int answers_init(struct fp_gathering *g, struct fp_exec *exec, size_t n, fineprune_error *err) {
    const struct fp_classifier *c = g->request->classifier;
    if (!(g->request->needs & FP_NEED_ANSWERS) || !c || c->weight < 0) return FINEPRUNE_OK;
    struct fp_answers *a = &g->stats->answers;
    *a = (struct fp_answers){.n_features = c->features, .classes = c->classes};
    size_t f, l;
    if (!fp_mul(n, c->features, &f) || !fp_mul(n, c->classes, &l)) return fp_fail_memory(err, "answers", n);
    a->features = fp_calloc(f, sizeof(float));
    a->logits = fp_calloc(l, sizeof(float));
    if (!a->features || !a->logits) return fp_fail_memory(err, "answers", (f + l) * sizeof(float));
    int status = fp_exec_watch_value(exec, c->features_value, g->n_targets, err);
    return status ? status : fp_exec_watch_value(exec, c->logits_value, g->n_targets + 1, err);
}

static int stats_init(struct fp_gathering *g, struct fp_exec *exec, size_t n, fineprune_error *err) {
    struct fp_stats *stats = g->stats;
    stats->n = g->weights->n;
    stats->samples = n;
    stats->items = fp_calloc((size_t)stats->n, sizeof(*stats->items));
    stats->names = fp_calloc((size_t)stats->n, sizeof(*stats->names));
    g->pending = fp_calloc((size_t)stats->n, sizeof(*g->pending));
    if (!stats->items || !stats->names || !g->pending) return fp_fail_memory(err, "statistics", sizeof(*stats->items));
    memcpy(stats->model, fp_model_sha256(g->weights->model), sizeof(stats->model));
    size_t matrices = 0, bytes;
    for (int i = 0; i < stats->n; i++) {
        const struct fp_weight *w = &g->weights->items[i];
        const struct fp_stats_request *r = g->request;
        bool gram = (r->needs & FP_NEED_GRAM || r->rows) && w->repairable &&
                    (!r->gram_end || (i >= r->gram_first && i < r->gram_end));
        g->pending[i].wanted = gram;
        stats->names[i] = strdup(w->name);
        // Statistics that will be merged are all of one kind.
        int status = stats->names[i] ? stat_init(&stats->items[i], w, r->needs, gram && r->nominal_samples, err)
                                     : fp_fail_memory(err, "a name", 1);
        if (status) return status;
        if (gram && !(bytes_of(&stats->items[i], 0, true, &bytes) && fp_add(matrices, bytes, &matrices)))
            matrices = SIZE_MAX;
    }
    int status = g->request->nominal_samples ? count(g, -1, matrices, err) : FINEPRUNE_OK;
    if (status) return status;
    status = find_same(g, err);
    if (!status && g->request->needs & FP_NEED_SUMS) status = watch_all(g, exec, err);
    return status ? status : answers_init(g, exec, n, err);
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
    return g->request->outputs ? g->request->outputs(g->request->outputs_user, batch, outputs, err) : FINEPRUNE_OK;
}

static int run_all(struct fp_gathering *g, struct fp_exec *exec, const size_t *samples, size_t n,
                   fineprune_error *err) {
    const struct fp_observer observer = {fp_gathering_see, g, true};
    const struct fp_batch_visitor visitor = {fp_gathering_begin, end, &observer, g, g->request->batch_sizes};
    int status = fp_batches_run(exec, g->weights->model, g->data, samples, n, g->request->options, g->request->stage,
                                &visitor, err);
    if (!status && g->n_bad) status = fail_bad(g, err);
    for (int i = 0; i < g->stats->n && !status; i++) {
        status = flush_weight(g, i, err);
        if (!status) status = finish_whole(g, i, err);
        if (!status) status = copy_stat(g, i, err); // of one before it
    }
    return status;
}

static int gathering_init(struct fp_gathering *g, struct fp_exec *exec, const struct fp_weights *weights,
                          struct fineprune_data *data, size_t n, const struct fp_stats_request *request,
                          fineprune_error *err) {
    *g = (struct fp_gathering){.bad_weight = -1,
                               .weights = weights,
                               .data = data,
                               .request = request,
                               .total = n,
                               .to = weights->n,
                               .stats = calloc(1, sizeof(*g->stats))};
    g->memory = fp_exec_memory(exec);
    if (!g->stats) return fp_fail_memory(err, "statistics", sizeof(*g->stats));
    g->threads = fp_threads_wanted(request->options);
    return stats_init(g, exec, n, err);
}

static void gathering_done(struct fp_gathering *g) {
    for (int i = 0; g->pending && i < g->stats->n; i++) {
        fp_shift_gram_free(g->pending[i].whole);
        free(g->pending[i].rows);
    }
    free(g->pending);
    free(g->first);
    free(g->same);
    free(g->targets);
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
    if (g.stats->answers.unlike) g.stats->answers.samples = 0;
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
        status = flush_weight(g, i, err);
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
