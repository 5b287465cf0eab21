// SPDX-License-Identifier: Apache-2.0
// What all ways have in common: rows are counted towards the memory limit and written out.

#include "stats/gather_parts.h"

int fp_gathering_count(struct fp_gathering *g, int weight, size_t bytes, fineprune_error *err) {
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

// sum[i] += x[r * step + i] over all rows, for i < width.
FP_VECTOR static void add_rows(const float *x, size_t rows, size_t step, size_t width, double *sum) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) sum[i] += (double)x[r * step + i];
}

void fp_gather_write(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                     size_t m, float *to, size_t row_step, size_t group_step) {
    enum { BLOCK = 256 };
    struct fp_stat *s = &g->stats->items[weight];
    const size_t cols = s->cols, blocks = (cols + BLOCK - 1) / BLOCK;
#pragma omp parallel num_threads(g->threads) if (m * s -> groups * cols > 20000)
    {
#pragma omp for schedule(static) collapse(2)
        for (size_t group = 0; group < s->groups; group++)
            for (size_t r = 0; r < m; r++)
                fp_columns_row(c, group, unit, picked[r], to + group * group_step + r * row_step);
#pragma omp for schedule(static) collapse(2)
        for (size_t group = 0; group < s->groups; group++)
            for (size_t b = 0; b < blocks; b++) {
                const size_t first = b * BLOCK, width = fp_least(BLOCK, cols - first);
                add_rows(to + group * group_step + first, m, row_step, width, s->sampled_sum + group * cols + first);
            }
    }
    s->sampled += m;
}

// [sampled][groups][cols], sorted by group only by its reader.
int fp_gather_keep(struct fp_gathering *g, int weight, size_t m, fineprune_error *err) {
    struct fp_stat *s = &g->stats->items[weight];
    struct fp_pending *p = &g->pending[weight];
    size_t width = s->groups * s->cols, rows, need;
    if (!fp_add(s->sampled, m, &rows) || !fp_mul(rows, width, &need)) return fp_fail_memory(err, "co-activations", 0);
    if (rows > p->expected) { // a weight that is used again, or by every turn of a loop
        int status = fp_gathering_count(g, weight, (rows - p->expected) * width * sizeof(float), err);
        if (status) return status;
        p->expected = rows;
    }
    float *kept = fp_grow(s->kept, &s->kept_capacity, need, sizeof(float));
    if (!kept) return fp_fail_memory(err, "co-activations", need * sizeof(float));
    s->kept = kept;
    return FINEPRUNE_OK;
}
