// SPDX-License-Identifier: Apache-2.0
// Repairs and swaps cost with the square of the columns, of which the cut ones are neither kept nor missed: target and
// values are zero there. Sums, covariances and masks of the others are copied together.
#include "maths/live_columns.h"

#include <stdlib.h>

#define LEAST_CUT 8 // one of so many columns

static void *gather(const void *from, size_t rows, size_t cols, const size_t *columns, size_t n, size_t size) {
    char *to = from ? fp_calloc(rows * n, size) : NULL;
    for (size_t r = 0; to && r < rows; r++)
        for (size_t c = 0; c < n; c++)
            memcpy(to + (r * n + c) * size, (const char *)from + (r * cols + columns[c]) * size, size);
    return to;
}

static double *gather_gram(const double *from, size_t cols, const size_t *columns, size_t n) {
    double *to = from ? fp_calloc(n, n * sizeof(*to)) : NULL;
    for (size_t r = 0; to && r < n; r++)
        for (size_t c = 0; c <= r; c++) to[r * n + c] = from[columns[r] * cols + columns[c]];
    return to;
}

// Whether every array that the whole layer has was copied.
static bool complete(const struct fp_live_columns *n, const struct fp_layer *whole) {
    const struct fp_stat *a = &n->stat, *b = whole->stat;
    const struct fp_layer *l = &n->layer;
    return a->sum && a->square && (a->absolute || !b->absolute) && a->sampled_sum && (a->gram || !b->gram) &&
           (a->kept || !b->kept) && l->dense && l->values && l->keep && (l->came || !whole->came) &&
           (l->target || !whole->target);
}

int fp_live_columns_init(struct fp_live_columns *n, const struct fp_layer *whole, fineprune_error *err) {
    const size_t cols = whole->w->cols, rows = whole->w->rows;
    size_t left = 0;
    *n = (struct fp_live_columns){.layer = *whole, .w = *whole->w};
    for (size_t c = 0; c < cols && whole->cut_cols; c++) left += !whole->cut_cols[c];
    if (!whole->cut_cols || whole->w->groups != 1 || !whole->stat || !left || (cols - left) * LEAST_CUT < cols)
        return FINEPRUNE_OK;
    size_t *columns = fp_calloc(left, sizeof(*columns)), at = 0;
    if (!columns) return fp_fail_memory(err, whole->w->name, left * sizeof(*columns));
    for (size_t c = 0; c < cols; c++)
        if (!whole->cut_cols[c]) columns[at++] = c;
    const struct fp_stat *s = whole->stat;
    n->w.cols = left;
    n->w.count = rows * left;
    n->stat = *s;
    n->stat.cols = left;
    n->stat.sum = gather(s->sum, 1, cols, columns, left, sizeof(double));
    n->stat.square = gather(s->square, 1, cols, columns, left, sizeof(double));
    n->stat.absolute = gather(s->absolute, 1, cols, columns, left, sizeof(double));
    n->stat.sampled_sum = gather(s->sampled_sum, 1, cols, columns, left, sizeof(double));
    n->stat.gram = gather_gram(s->gram, cols, columns, left);
    n->stat.kept = gather(s->kept, s->sampled, cols, columns, left, sizeof(float));
    n->layer.w = &n->w;
    n->layer.stat = &n->stat;
    n->layer.cut_cols = NULL;
    n->layer.score = NULL;
    n->layer.dense = gather(whole->dense, rows, cols, columns, left, sizeof(float));
    n->layer.values = gather(whole->values, rows, cols, columns, left, sizeof(float));
    n->layer.target = gather(whole->target, rows, cols, columns, left, sizeof(float));
    n->layer.keep = gather(whole->keep, rows, cols, columns, left, 1);
    n->layer.came = gather(whole->came, rows, cols, columns, left, 1);
    n->columns = columns;
    if (complete(n, whole)) return FINEPRUNE_OK;
    fp_live_columns_done(n);
    return fp_fail_memory(err, whole->w->name, left * left * sizeof(double));
}

void fp_live_columns_give(const struct fp_live_columns *n, struct fp_layer *whole) {
    const size_t cols = whole->w->cols, left = n->w.cols;
    memset(whole->values, 0, whole->w->count * sizeof(*whole->values));
    memset(whole->keep, 0, whole->w->count);
    for (size_t r = 0; r < whole->w->rows; r++)
        for (size_t c = 0; c < left; c++) {
            whole->values[r * cols + n->columns[c]] = n->layer.values[r * left + c];
            whole->keep[r * cols + n->columns[c]] = n->layer.keep[r * left + c];
        }
    whole->error_before = n->layer.error_before;
    whole->error_after = n->layer.error_after;
}

void fp_live_columns_done(struct fp_live_columns *n) {
    if (!n->columns) return;
    free(n->stat.sum), free(n->stat.square), free(n->stat.absolute), free(n->stat.sampled_sum);
    free(n->stat.gram), free(n->stat.kept);
    free(n->layer.dense), free(n->layer.values), free(n->layer.target), free(n->layer.keep), free(n->layer.came);
    free(n->columns);
    n->columns = NULL;
}
