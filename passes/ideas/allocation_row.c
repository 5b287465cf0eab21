// SPDX-License-Identifier: Apache-2.0
// The same number in every output row: floor(sparsity * columns) of the lowest. (As Wanda and most N:M work do.)

#include "maths/allocate.h"
#include "maths/select.h"

// What is zero already counts, and the best stays.
static void run_row(const struct fp_layer *layer, size_t r, size_t count) {
    const size_t cols = layer->w->cols, at = r * cols, best = fp_allocate_best(layer, layer->score + at, r);
    size_t alive = 0;
    for (size_t c = 0; c < cols; c++) alive += layer->keep[at + c];
    count -= fp_least(count, cols - alive);
    if (best < cols && count >= alive) count = alive - 1;
    struct fp_scored run = {layer->score + at, layer->came ? layer->came + at : NULL, layer->keep + at, cols};
    if (count) fp_select_lowest(&run, 1, count, 1);
}

static void run_layer(struct fp_job *job, struct fp_layer *layer, double sparsity) {
    size_t rows = fp_layer_rows(layer),
           count = (size_t)(fp_allocate_most(layer, sparsity) * (double)layer->w->cols + 1e-9);
#pragma omp parallel for num_threads(job->threads) schedule(static) if (layer->w->count > 50000)
    for (size_t r = 0; r < rows; r++)
        if (!fp_row_removed(layer, r)) run_row(layer, r, count);
}

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)zeros;
    fp_allocate_start(job);
    for (int i = 0; i < job->layers.n; i++) run_layer(job, &job->layers.items[i], sparsity);
    fp_allocate_finish(job);
    return FINEPRUNE_OK;
}

const struct fp_allocation fp_allocation_row = {"row", "the same number in every output row", run, true};
