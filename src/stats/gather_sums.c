// SPDX-License-Identifier: Apache-2.0
// Sums over all rows of all samples, and what must not be summed: values that no statistics can hold.
#include <math.h>
#include <stdio.h>

#include "stats/gather_parts.h"

// Of sequences each has its own rows.
bool fp_gather_sums(struct fp_gathering *g, struct fp_stat *s, const struct fp_columns *c, size_t units) {
    int status = FINEPRUNE_OK;
    if (!c->lengths) {
        s->rows += (double)c->rows * (double)units;
        return !fp_columns_sum(c, units, s->sum, s->square, s->absolute, g->threads);
    }
    for (size_t u = 0; u < units && !status; u++) {
        struct fp_columns one = *c;
        one.x += u * c->unit_stride;
        one.units = 1;
        one.rows = fp_columns_rows(c, u);
        s->rows += (double)one.rows;
        if (one.rows) status = fp_columns_sum(&one, 1, s->sum, s->square, s->absolute, g->threads);
    }
    return !status;
}

// In the main graph every sample gets there, or some rows of some samples, as to an expert: rows count. A branch or a
// body is run or not: samples do, once in a batch.
void fp_gather_reached(struct fp_gathering *g, const struct fp_gather_target *target, size_t rows, bool by_sample) {
    struct fp_stat *s = &g->stats->items[target->weight];
    struct fp_pending *p = &g->pending[target->weight];
    const bool inside = g->weights->items[target->weight].uses[target->use].node->graph->parent;
    if (!inside) s->reached += rows;
    else if (p->runs != g->runs) s->reached += by_sample || rows > g->real ? g->real : rows;
    p->runs = g->runs;
}

// ---- values that no statistics can hold

// Values whose squares float32 cannot hold are fill values for what is missing, or come of such: a weight must not
// learn from them.
static bool is_bad(float v) { return !(fabsf(v) <= (float)FP_HUGE); }

static bool sums_are_bad(const struct fp_stat *s) {
    for (size_t i = 0; i < s->groups * s->cols; i++)
        if (!(s->square[i] <= FP_HUGE * FP_HUGE)) return true;
    return false;
}

int fp_gather_bad(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t units, size_t each,
                  fineprune_error *err) {
    if (!sums_are_bad(&g->stats->items[weight])) return FINEPRUNE_OK;
    const size_t cols = c->w->cols;
    FP_STAGE(room, "a row");
    float *row = fp_arena_take(&room, cols, sizeof(*row));
    if (!row) return fp_arena_check(&room, err);
    for (size_t u = 0; u < units; u++)
        for (size_t i = 0; i < c->w->groups * fp_columns_rows(c, u); i++) {
            fp_columns_row(c, i % c->w->groups, u, i / c->w->groups, row);
            size_t k = 0;
            while (k < cols && !is_bad(row[k])) k++;
            if (k == cols) continue;
            if (g->bad_weight < 0) g->bad_weight = weight, g->worst = (double)row[k];
            if (each) g->bad[u / each] = 1;
            else memset(g->bad, 1, g->real);
            break;
        }
    return FINEPRUNE_OK;
}

int fp_gather_fail_bad(const struct fp_gathering *g, fineprune_error *err) {
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
