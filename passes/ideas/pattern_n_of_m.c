// SPDX-License-Identifier: Apache-2.0
// N:M: of every M neighbouring columns of a row the N of the highest score stay (2:4 is what TensorRT runs faster). The
// neighbours of a convolution's column are those of the next input channels at the same kernel position, where there
// are M channels. The sparsity is 1 - N / M, whatever was asked; a rest of fewer than M columns keeps its best in
// proportion, at least one.
#include <stdio.h>

#include "pass.h"

// Columns 0, step, 2 step...
static void snap_row(const float *score, uint8_t *keep, size_t cols, size_t step, size_t n, size_t m) {
    for (size_t first = 0; first < cols; first += m * step) {
        size_t left = (cols - first + step - 1) / step, width = fp_least(left, m),
               wanted = width == m ? n : (n * width + m - 1) / m;
        const float *s = score + first;
        for (size_t i = 0; i < width;
             i++) { // kept when fewer than `wanted` are better; ties: the lower index is pruned first
            size_t better = 0;
            for (size_t k = 0; k < width; k++)
                better += s[k * step] > s[i * step] || (s[k * step] == s[i * step] && k > i);
            keep[first + i * step] = better < wanted;
        }
    }
}

static int snap(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    unsigned n = 0, m = 0;
    char rest;
    if (sscanf(spec, "%u:%u%c", &n, &m, &rest) != 2 || n < 1 || m < 2 || n > m || m > 4096)
        return fp_fail(job->err, FINEPRUNE_USAGE, "pattern '%s' is not N:M with 1 <= N <= M", spec);
    size_t cols = layer->w->cols, inner = layer->w->inner, step = inner > 1 && cols / inner >= m ? inner : 1;
    for (size_t r = 0; r < fp_layer_rows(layer); r++)
        for (size_t k = 0; k < step && !fp_row_removed(layer, r); k++)
            snap_row(layer->score + r * cols + k, layer->keep + r * cols + k, cols - k, step, n, m);
    return FINEPRUNE_OK;
}

const struct fp_pattern fp_pattern_n_of_m = {"N:M", "N of every M neighbouring columns stay, as in 2:4", NULL, snap,
                                             true};
