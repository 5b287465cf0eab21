// SPDX-License-Identifier: Apache-2.0
// What allocations share: the start, one threshold over several layers, one share within a layer.
#include "maths/allocate.h"

#include "maths/select.h"

#define DEAD_SAMPLES 50 // 30..100: that have to see a column always zero; what is zero in a few may move in the next

void fp_allocate_free_first(const struct fp_job *job, struct fp_layer *layer) {
    const size_t cols = layer->w->cols;
    const bool seen = job->choices.score->needs & FP_NEED_SUMS && job->samples.n_local >= DEAD_SAMPLES;
    for (size_t r = 0; r < fp_layer_rows(layer) && (seen || layer->came || layer->cut_rows || layer->cut_cols); r++)
        for (size_t c = 0; c < cols; c++)
            if (fp_came_zero(layer, r * cols + c) || fp_cut(layer, r, c) || (seen && fp_column_dead(layer, r, c)))
                layer->score[r * cols + c] = 0;
}

void fp_allocate_clear_came(struct fp_layer *layer) {
    const size_t cols = layer->w->cols;
    for (size_t i = 0; i < layer->w->count && layer->came; i++) layer->keep[i] &= !layer->came[i];
    for (size_t i = 0; i < layer->w->count && (layer->cut_rows || layer->cut_cols); i++)
        layer->keep[i] &= !fp_cut(layer, i / cols, i % cols);
}

size_t fp_allocate_start_layer(struct fp_layer *layer) {
    size_t cols = layer->w->cols, zeros = 0;
    memset(layer->keep, 1, layer->w->count);
    fp_allocate_clear_came(layer);
    for (size_t r = 0; r < fp_layer_rows(layer); r++)
        if (fp_row_removed(layer, r)) memset(layer->keep + r * cols, 0, cols);
    for (size_t i = 0; i < layer->w->count; i++) zeros += !layer->keep[i];
    return zeros;
}

size_t fp_allocate_start(struct fp_job *job) {
    size_t zeros = 0;
    for (int i = 0; i < job->layers.n; i++) zeros += fp_allocate_start_layer(&job->layers.items[i]);
    return zeros;
}

void fp_allocate_finish(struct fp_job *job) {
    for (int i = 0; i < job->layers.n; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < job->layers.items[i].w->count; k++) kept += job->layers.items[i].keep[k];
        job->layers.items[i].zeros = job->layers.items[i].w->count - kept;
    }
}

size_t fp_allocate_best(const struct fp_layer *layer, const float *score, size_t row) {
    const size_t cols = layer->w->cols;
    size_t best = cols;
    for (size_t c = 0; c < cols; c++)
        if (layer->keep[row * cols + c] && !fp_column_dead(layer, row, c) && (best == cols || score[c] > score[best]))
            best = c;
    return best;
}

// Elements that must not be chosen: those that are zero already, and of every row the best.
static uint8_t *protect_rows(struct fp_arena *arena, const struct fp_layer *layer, const float *score) {
    size_t cols = layer->w->cols, rows = fp_layer_rows(layer);
    uint8_t *skip = fp_arena_take(arena, rows * cols, 1);
    if (!skip) return NULL;
    for (size_t i = 0; i < rows * cols; i++) skip[i] = !layer->keep[i];
    for (size_t r = 0; r < rows; r++) {
        size_t best = fp_allocate_best(layer, score + r * cols, r);
        if (best < cols) skip[r * cols + best] = 1;
    }
    return skip;
}

// Where the common threshold took more than the layer may lose, its own takes what it may.
static void bound_layer(struct fp_job *job, struct fp_layer *layer, struct fp_scored run) {
    size_t zeros = 0, most = (size_t)((1 - layer->least_kept) * (double)layer->w->count + 1e-9);
    for (size_t i = 0; i < layer->w->count; i++) zeros += !layer->keep[i];
    if (layer->least_kept <= 0 || zeros <= most) return;
    size_t done = fp_allocate_start_layer(layer);
    if (most > done) fp_select_lowest(&run, 1, most - done, job->threads);
}

int fp_allocate_together(struct fp_job *job, float *const *scores, size_t zeros) {
    size_t done = fp_allocate_start(job);
    FP_STAGE(room, "masks");
    struct fp_scored *runs = fp_arena_take(&room, (size_t)job->layers.n, sizeof(*runs));
    for (int i = 0; runs && i < job->layers.n; i++) {
        const struct fp_layer *layer = &job->layers.items[i];
        runs[i] = (struct fp_scored){scores[i], protect_rows(&room, layer, scores[i]), layer->keep, layer->w->count};
    }
    int status = fp_arena_check(&room, job->err);
    if (status) return status;
    if (zeros > done) fp_select_lowest(runs, (size_t)job->layers.n, zeros - done, job->threads);
    for (int i = 0; i < job->layers.n; i++) bound_layer(job, &job->layers.items[i], runs[i]);
    fp_allocate_finish(job);
    return FINEPRUNE_OK;
}

int fp_allocate_layer(struct fp_job *job, struct fp_layer *layer, double share) {
    FP_STAGE(room, "masks");
    uint8_t *skip = protect_rows(&room, layer, layer->score);
    if (!skip) return fp_arena_check(&room, job->err);
    size_t alive = 0, zeros = 0;
    for (size_t i = 0; i < layer->w->count; i++) {
        if (fp_row_removed(layer, i / layer->w->cols)) continue;
        alive++;
        zeros += !layer->keep[i];
    }
    size_t wanted = (size_t)(fp_allocate_most(layer, share) * (double)alive + 1e-9);
    struct fp_scored run = {layer->score, skip, layer->keep, layer->w->count};
    if (wanted > zeros) fp_select_lowest(&run, 1, wanted - zeros, job->threads);
    return FINEPRUNE_OK;
}
