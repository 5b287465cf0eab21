// SPDX-License-Identifier: Apache-2.0
// Repairs and swaps cost with the square of the columns, of which the cut ones are neither kept nor missed: target and
// values are zero there. Sums, covariances and masks of the others are copied together.
#include "maths/live_columns.h"

#define LEAST_CUT 8 // one of so many columns

// What the whole layer does not have is NULL.
static void *gather(struct fp_live_columns *n, const void *from, size_t rows, size_t cols, size_t size) {
    const size_t left = n->w.cols;
    char *to = NULL;
    if (from) to = fp_arena_take(&n->arena, rows * left, size);
    for (size_t r = 0; to && r < rows; r++)
        for (size_t c = 0; c < left; c++)
            memcpy(to + (r * left + c) * size, (const char *)from + (r * cols + n->columns[c]) * size, size);
    return to;
}

static double *gather_gram(struct fp_live_columns *n, const double *from, size_t cols) {
    const size_t left = n->w.cols;
    double *to = NULL;
    if (from) to = fp_arena_take(&n->arena, left, left * sizeof(*to));
    for (size_t r = 0; to && r < left; r++)
        for (size_t c = 0; c <= r; c++) to[r * left + c] = from[n->columns[r] * cols + n->columns[c]];
    return to;
}

int fp_live_columns_init(struct fp_live_columns *n, const struct fp_layer *whole, fineprune_error *err) {
    const size_t cols = whole->w->cols, rows = whole->w->rows;
    size_t left = 0;
    *n = (struct fp_live_columns){.arena = {.what = whole->w->name}, .layer = *whole, .w = *whole->w};
    for (size_t c = 0; c < cols && whole->cut_cols; c++) left += !whole->cut_cols[c];
    if (!whole->cut_cols || whole->w->groups != 1 || !whole->stat || !left || (cols - left) * LEAST_CUT < cols)
        return FINEPRUNE_OK;
    size_t at = 0;
    n->columns = fp_arena_take(&n->arena, left, sizeof(*n->columns));
    if (!n->columns) return fp_arena_check(&n->arena, err);
    for (size_t c = 0; c < cols; c++)
        if (!whole->cut_cols[c]) n->columns[at++] = c;
    const struct fp_stat *s = whole->stat;
    n->w.cols = left;
    n->w.count = rows * left;
    n->stat = *s;
    n->stat.cols = left;
    n->stat.sum = gather(n, s->sum, 1, cols, sizeof(double));
    n->stat.square = gather(n, s->square, 1, cols, sizeof(double));
    n->stat.absolute = gather(n, s->absolute, 1, cols, sizeof(double));
    n->stat.sampled_sum = gather(n, s->sampled_sum, 1, cols, sizeof(double));
    n->stat.gram = gather_gram(n, s->gram, cols);
    n->stat.kept = gather(n, s->kept, s->sampled, cols, sizeof(float));
    n->layer.w = &n->w;
    n->layer.stat = &n->stat;
    n->layer.cut_cols = NULL;
    n->layer.score = NULL;
    n->layer.dense = gather(n, whole->dense, rows, cols, sizeof(float));
    n->layer.values = gather(n, whole->values, rows, cols, sizeof(float));
    n->layer.target = gather(n, whole->target, rows, cols, sizeof(float));
    n->layer.keep = gather(n, whole->keep, rows, cols, 1);
    n->layer.came = gather(n, whole->came, rows, cols, 1);
    int status = fp_arena_check(&n->arena, err);
    if (status) fp_live_columns_done(n);
    return status;
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
    fp_arena_free(&n->arena);
    n->columns = NULL;
}
