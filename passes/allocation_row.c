// SPDX-License-Identifier: Apache-2.0
// The same number in every output row: floor(sparsity * columns) of the lowest. (As Wanda and most N:M work do.)
#include <stdlib.h>

#include "allocate.h"
#include "select.h"

static void run_layer(struct fp_job *job, struct fp_layer *layer, double sparsity) {
    size_t cols = layer->w->cols, rows = fp_layer_rows(layer), count = (size_t)(sparsity * (double)cols + 1e-9);
    if (count >= cols) count = cols - 1; // a row keeps its best
    #pragma omp parallel for num_threads(job->threads) schedule(static) if (layer->w->count > 50000)
    for (size_t r = 0; r < rows; r++) {
        if (fp_row_removed(layer, r)) continue;
        struct fp_scored run = {layer->score + r * cols, NULL, layer->keep + r * cols, cols};
        fp_select_lowest(&run, 1, count, 1);
    }
}

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)zeros;
    fp_allocate_start(job);
    for (int i = 0; i < job->n; i++)
        run_layer(job, &job->layers[i], sparsity);
    fp_allocate_finish(job);
    return FINEPRUNE_OK;
}

const struct fp_allocation fp_allocation_row = {"row", "the same number in every output row", run, true};
