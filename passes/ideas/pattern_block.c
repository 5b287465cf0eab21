// SPDX-License-Identifier: Apache-2.0
// block:RxC: rectangles of R rows and C columns stay or go together, by the root mean square of their scores.
#include <math.h>
#include <stdio.h>

#include "pass.h"

struct block {
    size_t r0, r1, c0, c1; // rows over all groups
};

static int read_spec(struct fp_job *job, const char *spec, size_t *rows, size_t *cols) {
    unsigned r = 0, c = 0;
    char rest; // the widths: a longer number would be taken modulo 2^32
    if (sscanf(spec, "block:%4ux%4u%c", &r, &c, &rest) != 2 || !r || !c || r > 4096 || c > 4096)
        return fp_fail(job->err, FINEPRUNE_USAGE, "pattern '%s' is not block:RxC, as in block:1x4", spec);
    *rows = r;
    *cols = c;
    return FINEPRUNE_OK;
}

static int each_block(struct fp_job *job, struct fp_layer *layer, const char *spec,
                      void (*visit)(struct fp_layer *, struct block)) {
    size_t height = 1, width = 1, cols = layer->w->cols;
    int status = read_spec(job, spec, &height, &width);
    if (status) return status;
    for (size_t g = 0; g < layer->w->groups; g++)
        for (size_t r = 0; r < layer->w->rows; r += height)
            for (size_t c = 0; c < cols; c += width) {
                size_t first = g * layer->w->rows + r, last = g * layer->w->rows + fp_least(r + height, layer->w->rows);
                visit(layer, (struct block){first, last, c, fp_least(c + width, cols)});
            }
    return FINEPRUNE_OK;
}

static void merge_block(struct fp_layer *layer, struct block b) {
    double square = 0;
    size_t cols = layer->w->cols, n = (b.r1 - b.r0) * (b.c1 - b.c0);
    for (size_t r = b.r0; r < b.r1; r++)
        for (size_t c = b.c0; c < b.c1; c++)
            square += (double)layer->score[r * cols + c] * (double)layer->score[r * cols + c];
    for (size_t r = b.r0; r < b.r1; r++)
        for (size_t c = b.c0; c < b.c1; c++) layer->score[r * cols + c] = (float)sqrt(square / (double)n);
}

// A block that the threshold cut in two, or that was kept for one row's sake, stays whole when half of it or more was
// to stay.
static void snap_block(struct fp_layer *layer, struct block b) {
    size_t cols = layer->w->cols, n = (b.r1 - b.r0) * (b.c1 - b.c0), kept = 0;
    for (size_t r = b.r0; r < b.r1; r++)
        for (size_t c = b.c0; c < b.c1; c++) kept += layer->keep[r * cols + c];
    for (size_t r = b.r0; r < b.r1; r++)
        for (size_t c = b.c0; c < b.c1; c++) layer->keep[r * cols + c] = 2 * kept >= n && !fp_row_removed(layer, r);
}

static int merge(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    return each_block(job, layer, spec, merge_block);
}
static int snap(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    return each_block(job, layer, spec, snap_block);
}

const struct fp_pattern fp_pattern_block = {"block:RxC", "rectangles stay or go together, as in block:1x4", merge,
                                            snap};
