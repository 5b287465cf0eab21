// SPDX-License-Identifier: Apache-2.0
// Which rows are sampled, and what becomes of them. Every sample gives as many, each at a place within its stretch that
// the sample's content decides; what becomes of them is the weight's way.

#include "stats/gather_parts.h"

// ---- kept as they are

static int take_kept(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                     size_t m, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    int status = fp_gather_keep(g, weight, m, err);
    if (status) return status;
    const size_t width = s->groups * s->cols;
    fp_gather_write(g, weight, c, unit, picked, m, s->kept + s->sampled * width, width, s->cols);
    return FINEPRUNE_OK;
}

const struct fp_gather_way fp_gather_kept = {FP_TUNED_FLUSH_ROWS, take_kept, NULL};

// ---- handed on

static int flush_handed(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct fp_pending *p = &g->pending[weight];
    const size_t n = p->n, step = FP_TUNED_HAND_ROWS * g->stats->items[weight].cols;
    if (!n) return FINEPRUNE_OK;
    p->n = 0;
    return g->request->rows(g->request->rows_user, weight, p->rows, n, step, err);
}

static int take_handed(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit,
                       const size_t *picked, size_t m, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
#pragma omp parallel for num_threads(g->threads) schedule(static) collapse(2) if (m * s->groups * s->cols > 20000)
    for (size_t group = 0; group < s->groups; group++)
        for (size_t r = 0; r < m; r++)
            fp_columns_row(c, group, unit, picked[r], p->rows + (group * FP_TUNED_HAND_ROWS + p->n + r) * s->cols);
    s->sampled += m;
    p->n += m;
    if (p->n < FP_TUNED_HAND_ROWS) return FINEPRUNE_OK;
    return flush_handed(g, weight, err);
}

const struct fp_gather_way fp_gather_handed = {FP_TUNED_HAND_ROWS, take_handed, flush_handed};

// ---- the way

static bool kept_bytes(const struct fp_stat *s, size_t rows, size_t *bytes) {
    return fp_mul(s->groups * s->cols, sizeof(float), bytes) && fp_mul(*bytes, rows, bytes);
}

// Counts what `rows` rows take, and makes the matrix if they become one.
static int reserve_rows(struct fp_gathering *g, int weight, size_t rows, bool matrix, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    size_t counted = 0, bytes;
    if (g->request->counted) counted = fp_stat_bytes(&g->weights->items[weight], g->total);
    const bool sized = matrix ? fp_gather_matrix_bytes(s, &bytes) : kept_bytes(s, rows, &bytes);
    if (!sized) return fp_fail_memory(err, "co-activations", s->cols);
    g->pending[weight].expected = rows;
    int status = FINEPRUNE_OK;
    if (!g->request->nominal_samples && bytes > counted) status = fp_gathering_count(g, weight, bytes - counted, err);
    if (status || !matrix || s->gram) return status;
    return fp_gather_matrix_new(s, err);
}

static int make_room(struct fp_gathering *g, int weight, fineprune_error *err) {
    const struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
    p->rows = fp_calloc(s->groups * s->cols, p->way->room * sizeof(float));
    if (!p->rows) return fp_fail_memory(err, "statistics", s->groups * s->cols * p->way->room * sizeof(float));
    return FINEPRUNE_OK;
}

// Before the first row: `rows` in all make a matrix, or stay as they are when they are fewer than the columns.
// Statistics that will be merged are all of one kind.
static int choose_way(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t rows,
                      fineprune_error *err) {
    struct fp_pending *p = &g->pending[weight];
    if (g->request->rows) {
        p->way = &fp_gather_handed;
        return make_room(g, weight, err);
    }
    const bool matrix = g->request->nominal_samples || rows >= g->stats->items[weight].cols;
    int status = FINEPRUNE_OK;
    for (int i = weight; i < g->stats->n && !status; i++)
        if (i == weight || g->same[i] == weight) status = reserve_rows(g, i, rows, matrix, err);
    p->way = matrix ? &fp_gather_matrix : &fp_gather_kept;
    if (!status && matrix) status = make_room(g, weight, err);
    // of merged runs each one's first unit would decide
    if (status || !matrix || g->request->nominal_samples) return status;
    return fp_shift_gram_new(&p->whole, c, err);
}

// Rows of the co-activations: many for few columns; of many columns, whose products cost with the square of them, as
// many as there are.
static size_t rows_wanted(size_t cols) {
    const size_t rows = FP_TUNED_SAMPLED_VALUES / (cols + 1);
    if (rows > FP_TUNED_SAMPLED_ROWS) return FP_TUNED_SAMPLED_ROWS;
    return fp_most(rows, cols);
}

// Rows of one unit: evenly spread, each at a place within its stretch that the sample's content decides.
int fp_gather_rows(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, uint64_t seed,
                   fineprune_error *err) {
    const struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
    size_t wanted = rows_wanted(s->cols);
    if (g->request->rows && g->request->most_rows && wanted > g->request->most_rows) wanted = g->request->most_rows;
    const size_t nominal = g->request->nominal_samples ? g->request->nominal_samples : g->total,
                 quota = (wanted + nominal - 1) / nominal;
    size_t n = fp_least((quota * g->samples + c->units - 1) / c->units, c->rows);
    uint64_t state = seed ^ (uint64_t)g->first[weight] * 0x9e3779b97f4a7c15u;
    if (!n) return FINEPRUNE_OK;
    if (!p->way) {
        size_t all, units;
        const bool known = fp_mul(g->total, c->units, &units) && fp_mul(n, (units + g->samples - 1) / g->samples, &all);
        int status = choose_way(g, weight, c, known ? all : SIZE_MAX, err);
        if (status) return status;
    }
    if (fp_gather_planes_take(p, c, n)) return fp_gather_planes_add(g, weight, c, unit, err);
    if (p->whole_bytes) n = fp_least(p->whole_rows, c->rows); // one that lies otherwise counts as much as the others
    // Statistics that will be merged must not depend on which samples stand together: stretches end with the sample,
    // and where one fills the room.
    bool apart = g->request->nominal_samples && p->n + n > FP_TUNED_FLUSH_ROWS;
    int status = FINEPRUNE_OK;
    if (apart) status = fp_gather_flush(g, weight, err);
    const size_t room = p->way->room;
    for (size_t i = 0; i < n && !status;) {
        size_t picked[FP_TUNED_FLUSH_ROWS], m = 0;
        for (; i < n && m < room - p->n; i++, m++) {
            size_t from = i * c->rows / n, to = (i + 1) * c->rows / n;
            picked[m] = from + (size_t)(fp_random(&state) % (to - from));
        }
        status = p->way->take(g, weight, c, unit, picked, m, err);
    }
    if (g->request->nominal_samples) fp_gather_end_stretch(p);
    return status;
}

int fp_gather_flush(struct fp_gathering *g, int weight, fineprune_error *err) {
    const struct fp_gather_way *way = g->pending[weight].way;
    if (!way || !way->flush) return FINEPRUNE_OK;
    return way->flush(g, weight, err);
}
