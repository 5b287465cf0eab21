// SPDX-License-Identifier: Apache-2.0
// Sampled rows become a Gram matrix: a batch of them at a time, in float32 products that are added in double.

#include "kernel/gemm.h"
#include "stats/gather_parts.h"

bool fp_gather_matrix_bytes(const struct fp_stat *s, size_t *bytes) {
    return fp_mul(s->groups * s->cols, s->cols * sizeof(double) + FP_TUNED_FLUSH_ROWS * sizeof(float), bytes);
}

int fp_gather_matrix_new(struct fp_stat *s, fineprune_error *err) {
    size_t size;
    if (!fp_mul(s->groups * s->cols, s->cols, &size)) return fp_fail_memory(err, "co-activations", s->groups * s->cols);
    s->gram = fp_arena_take(&s->arena, size, sizeof(double));
    if (!s->gram) return fp_fail_memory(err, "co-activations", size * sizeof(double));
    return FINEPRUNE_OK;
}

void fp_gather_end_stretch(struct fp_pending *p) {
    if (p->n && !(p->n_ends && p->ends[p->n_ends - 1] == p->n)) p->ends[p->n_ends++] = p->n;
}

static int flush(struct fp_gathering *g, int weight, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
    if (!p->n) return FINEPRUNE_OK;
    fp_gather_end_stretch(p);
    if (!fp_grams(s->groups, s->cols, p->n, p->rows, FP_TUNED_FLUSH_ROWS * s->cols, p->ends, p->n_ends, s->gram,
                  !p->flushed, g->threads))
        return fp_fail_memory(err, "co-activations", 0);
    p->n = p->n_ends = 0;
    p->flushed = true;
    return FINEPRUNE_OK;
}

static int take(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                size_t m, fineprune_error *err) {
    struct fp_pending *p = &g->pending[weight];
    const size_t cols = g->stats->items[weight].cols;
    fp_gather_write(g, weight, c, unit, picked, m, p->rows + p->n * cols, cols, FP_TUNED_FLUSH_ROWS * cols);
    p->n += m;
    if (p->n < FP_TUNED_FLUSH_ROWS) return FINEPRUNE_OK;
    return flush(g, weight, err);
}

const struct fp_gather_way fp_gather_matrix = {FP_TUNED_FLUSH_ROWS, take, flush};
