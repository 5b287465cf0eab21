// SPDX-License-Identifier: Apache-2.0
// channel: all of an input channel's columns go together, in every row, by the root mean square of their scores. Only
// zeros are written; shapes stay.
#include <math.h>

#include "pass.h"

struct channel {
    size_t g, c0, c1;
};

static void each_channel(struct fp_layer *layer, void (*visit)(struct fp_layer *, struct channel)) {
    size_t inner = layer->w->inner;
    for (size_t g = 0; g < layer->w->groups; g++)
        for (size_t c = 0; c < layer->w->cols; c += inner) visit(layer, (struct channel){g, c, c + inner});
}

static void merge_channel(struct fp_layer *layer, struct channel ch) {
    size_t cols = layer->w->cols, rows = layer->w->rows;
    double square = 0;
    for (size_t r = ch.g * rows; r < (ch.g + 1) * rows; r++)
        for (size_t c = ch.c0; c < ch.c1; c++)
            square += (double)layer->score[r * cols + c] * (double)layer->score[r * cols + c];
    float mean = (float)sqrt(square / (double)(rows * (ch.c1 - ch.c0)));
    for (size_t r = ch.g * rows; r < (ch.g + 1) * rows; r++)
        for (size_t c = ch.c0; c < ch.c1; c++) layer->score[r * cols + c] = mean;
}

static void snap_channel(struct fp_layer *layer, struct channel ch) {
    size_t cols = layer->w->cols, rows = layer->w->rows, kept = 0, n = 0;
    for (size_t r = ch.g * rows; r < (ch.g + 1) * rows; r++) {
        if (fp_row_removed(layer, r)) continue;
        for (size_t c = ch.c0; c < ch.c1; c++) kept += layer->keep[r * cols + c];
        n += ch.c1 - ch.c0;
    }
    for (size_t r = ch.g * rows; r < (ch.g + 1) * rows; r++)
        for (size_t c = ch.c0; c < ch.c1; c++) layer->keep[r * cols + c] = 2 * kept >= n && !fp_row_removed(layer, r);
}

static int merge(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    (void)job, (void)spec;
    each_channel(layer, merge_channel);
    return FINEPRUNE_OK;
}

static int snap(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    (void)job, (void)spec;
    each_channel(layer, snap_channel);
    return FINEPRUNE_OK;
}

const struct fp_pattern fp_pattern_channel = {"channel", "whole input channels", merge, snap};
