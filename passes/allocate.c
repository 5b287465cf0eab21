// SPDX-License-Identifier: Apache-2.0
// What allocations share: the start, one threshold over several layers, one share within a layer.
#include "allocate.h"

#include <stdlib.h>

#include "select.h"

size_t fp_allocate_start(struct fp_job *job) {
    size_t zeros = 0;
    for (int i = 0; i < job->n; i++) {
        struct fp_layer *layer = &job->layers[i];
        size_t cols = layer->w->cols;
        memset(layer->keep, 1, layer->w->count);
        for (size_t r = 0; r < fp_layer_rows(layer); r++)
            if (fp_row_removed(layer, r)) {
                memset(layer->keep + r * cols, 0, cols);
                zeros += cols;
            }
    }
    return zeros;
}

void fp_allocate_finish(struct fp_job *job) {
    for (int i = 0; i < job->n; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < job->layers[i].w->count; k++) kept += job->layers[i].keep[k];
        job->layers[i].zeros = job->layers[i].w->count - kept;
    }
}

// Elements that must not be chosen: those of removed rows, and of every other row the best.
static uint8_t *protect_rows(const struct fp_layer *layer, const float *score) {
    size_t cols = layer->w->cols, rows = fp_layer_rows(layer);
    uint8_t *skip = fp_calloc(rows * cols, 1);
    if (!skip) return NULL;
    for (size_t r = 0; r < rows; r++) {
        if (fp_row_removed(layer, r)) {
            memset(skip + r * cols, 1, cols);
            continue;
        }
        size_t best = 0;
        for (size_t c = 1; c < cols; c++)
            if (score[r * cols + c] > score[r * cols + best]) best = c;
        skip[r * cols + best] = 1;
    }
    return skip;
}

int fp_allocate_together(struct fp_job *job, float *const *scores, size_t zeros) {
    size_t done = fp_allocate_start(job);
    struct fp_scored *runs = fp_calloc((size_t)job->n, sizeof(*runs));
    uint8_t **skip = fp_calloc((size_t)job->n, sizeof(*skip));
    int status = runs && skip ? FINEPRUNE_OK : fp_fail_memory(job->err, "masks", sizeof(*runs));
    for (int i = 0; i < job->n && !status; i++) {
        const struct fp_layer *layer = &job->layers[i];
        skip[i] = protect_rows(layer, scores[i]);
        if (!skip[i]) status = fp_fail_memory(job->err, "masks", layer->w->count);
        runs[i] = (struct fp_scored){scores[i], skip[i], layer->keep, layer->w->count};
    }
    if (!status && zeros > done) fp_select_lowest(runs, (size_t)job->n, zeros - done, job->threads);
    for (int i = 0; skip && i < job->n; i++) free(skip[i]);
    free(skip);
    free(runs);
    if (!status) fp_allocate_finish(job);
    return status;
}

int fp_allocate_layer(struct fp_job *job, struct fp_layer *layer, double share) {
    uint8_t *skip = protect_rows(layer, layer->score);
    if (!skip) return fp_fail_memory(job->err, "masks", layer->w->count);
    size_t alive = 0;
    for (size_t r = 0; r < fp_layer_rows(layer); r++) alive += fp_row_removed(layer, r) ? 0 : layer->w->cols;
    struct fp_scored run = {layer->score, skip, layer->keep, layer->w->count};
    fp_select_lowest(&run, 1, (size_t)(share * (double)alive + 1e-9), job->threads);
    free(skip);
    return FINEPRUNE_OK;
}
