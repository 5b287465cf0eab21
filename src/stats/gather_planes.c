// SPDX-License-Identifier: Apache-2.0
// Convolutions whose positions are many: all rows of a unit at once, from planes that are shifted against each other
// (shift_gram.h).

#include "stats/gather_parts.h"

bool fp_gather_planes_take(const struct fp_pending *p, const struct fp_columns *c, size_t n) {
    return p->whole && fp_shift_gram_fits(p->whole, c) && fp_shift_gram_pays(p->whole, n);
}

int fp_gather_planes_add(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit,
                         fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
    struct fp_columns one = *c;
    one.x += unit * c->unit_stride;
    int status = FINEPRUNE_OK;
    if (!p->whole_bytes) status = fp_gathering_count(g, weight, fp_shift_gram_bytes(p->whole), err);
    if (status) return status;
    p->whole_bytes = fp_shift_gram_bytes(p->whole);
    p->whole_rows = c->rows;
    FP_STAGE(room, "sums");
    double *squares = fp_arena_take(&room, s->cols, sizeof(*squares)); // by the way
    if (!squares || fp_columns_sum(&one, 1, s->sampled_sum, squares, NULL, g->threads))
        return fp_fail_memory(err, room.what, s->cols * sizeof(*squares));
    s->sampled += c->rows;
    return fp_shift_gram_add(p->whole, &one, 0, g->threads, err);
}

int fp_gather_planes_finish(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct fp_pending *p = &g->pending[weight];
    if (!p->whole_bytes) return FINEPRUNE_OK;
    int status = fp_shift_gram_finish(p->whole, g->stats->items[weight].gram, !p->flushed, g->threads, err);
    fp_memory_uncount(g->memory, p->whole_bytes);
    g->counted -= p->whole_bytes;
    p->whole_bytes = 0;
    return status;
}
