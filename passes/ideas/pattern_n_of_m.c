// SPDX-License-Identifier: Apache-2.0
// N:M: of every M neighbouring columns of a row the N of the highest score stay (2:4 is what TensorRT runs faster). A
// convolution's neighbours are the next input channels at the same kernel position: that is the axis along which
// TensorRT's own checker counts (Polygraphy, tools/sparse.py: axis 1 of a Conv's weights, the inner axis of a MatMul or
// Gemm) and along which NVIDIA's ASP masks (apex, sparse_masklib.py); cuSPARSELt has it along the K of its products,
// which are these. A weight with fewer than M inputs stays dense: nothing reads the pattern there. The sparsity of the
// others is 1 - N / M, whatever was asked; a rest of fewer than M columns keeps its best in proportion, at least one.
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

struct form {
    unsigned n, m;
};

static int read_form(struct fp_job *job, const char *spec, struct form *f) {
    char rest; // the widths: a longer number would be taken modulo 2^32
    if (sscanf(spec, "%4u:%4u%c", &f->n, &f->m, &rest) == 2 && f->n >= 1 && f->m >= 2 && f->n <= f->m && f->m <= 4096)
        return FINEPRUNE_OK;
    return fp_fail(job->err, FINEPRUNE_USAGE, "pattern '%s' is not N:M with 1 <= N <= M", spec);
}

static bool is_covered(const struct fp_layer *layer, struct form f) { return layer->w->cols / layer->w->inner >= f.m; }

static int snap(struct fp_job *job, struct fp_layer *layer, const char *spec) {
    struct form f;
    int status = read_form(job, spec, &f);
    if (status) return status;
    const size_t cols = layer->w->cols, step = layer->w->inner;
    for (size_t r = 0; r < fp_layer_rows(layer); r++) {
        if (fp_row_removed(layer, r)) continue;
        if (!is_covered(layer, f)) memset(layer->keep + r * cols, 1, cols);
        for (size_t k = 0; k < step && is_covered(layer, f); k++)
            snap_row(layer->score + r * cols + k, layer->keep + r * cols + k, cols - k, step, f.n, f.m);
    }
    return FINEPRUNE_OK;
}

// A cell is M neighbours.
static int cells(struct fp_job *job, const struct fp_layer *layer, const char *spec, uint32_t *cell) {
    struct form f;
    int status = read_form(job, spec, &f);
    if (status) return status;
    const size_t cols = layer->w->cols, step = layer->w->inner, in_row = (cols / step + f.m - 1) / f.m * step;
    for (size_t i = 0; i < layer->w->rows * cols; i++)
        cell[i] = (uint32_t)(i / cols * in_row + i % cols / step / f.m * step + i % cols % step);
    return FINEPRUNE_OK;
}

static const char *leaves(struct fp_job *job, const struct fp_layer *layer, const char *spec) {
    struct form f;
    if (read_form(job, spec, &f) || is_covered(layer, f)) return NULL;
    return "it has too few inputs for the pattern";
}

const struct fp_pattern fp_pattern_n_of_m = {
    "N:M",           "N of every M neighbouring columns stay, as in 2:4", NULL, snap, .decides = true, .cells = cells,
    .leaves = leaves};
