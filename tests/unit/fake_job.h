// SPDX-License-Identifier: Apache-2.0
// A pruning job of made-up layers and statistics, for passes by themselves.
#ifndef FAKE_JOB_H
#define FAKE_JOB_H

#include "pass.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FAKE_LAYERS = 4 };

struct fake_job {
    struct fp_job job;
    struct fp_layer layers[FAKE_LAYERS];
    struct fp_weight weights[FAKE_LAYERS];
    struct fp_stat stats[FAKE_LAYERS];
    float *rows[FAKE_LAYERS]; // the inputs that the statistics are of: n_rows x groups x cols
    fineprune_prune_options options;
    fineprune_error err;
};

static inline void *fake_take(size_t count, size_t size) {
    void *data = fp_calloc(count, size);
    assert_non_null(data);
    return data;
}

static inline double fake_number(uint64_t *seed) { return (double)(fp_random(seed) >> 11) / (double)(1ull << 52) - 1; }

static inline void fake_begin(struct fake_job *f, int threads) {
    *f = (struct fake_job){.options = FINEPRUNE_PRUNE_OPTIONS_INIT};
    f->job = (struct fp_job){.options = &f->options, .layers.items = f->layers, .threads = threads, .err = &f->err};
}

// A layer of random weights; its score is |weight|.
static inline struct fp_layer *fake_layer(struct fake_job *f, size_t groups, size_t rows, size_t cols, size_t inner,
                                          uint64_t seed) {
    const int k = f->job.layers.n++;
    struct fp_weight *w = &f->weights[k];
    struct fp_layer *l = &f->layers[k];
    *w = (struct fp_weight){.name = "w",
                            .op = "MatMul",
                            .view = FP_VIEW_MATRIX,
                            .groups = groups,
                            .rows = rows,
                            .cols = cols,
                            .inner = inner,
                            .count = groups * rows * cols,
                            .repairable = true};
    *l = (struct fp_layer){.w = w, .error_before = -1, .error_after = -1};
    l->dense = fake_take(w->count, sizeof(float)), l->values = fake_take(w->count, sizeof(float)),
    l->score = fake_take(w->count, sizeof(float));
    l->keep = fake_take(w->count, 1), l->dense_bias = fake_take(groups * rows, sizeof(float)),
    l->bias_change = fake_take(groups * rows, sizeof(double));
    for (size_t i = 0; i < w->count; i++) {
        l->values[i] = l->dense[i] = (float)fake_number(&seed);
        l->score[i] = fabsf(l->dense[i]);
        l->keep[i] = 1;
    }
    f->job.layers.total += w->count;
    return l;
}

// Statistics of n random rows; columns are correlated, of different means and spreads, and column 1 never moves. gram:
// else the rows are kept.
static inline void fake_stats(struct fake_job *f, int k, size_t n, bool gram, uint64_t seed) {
    struct fp_stat *s = &f->stats[k];
    const size_t groups = f->weights[k].groups, cols = f->weights[k].cols, width = groups * cols;
    float *x = f->rows[k] = fake_take(n * width, sizeof(float));
    *s = (struct fp_stat){.groups = groups, .cols = cols, .rows = (double)n, .sampled = n};
    s->sum = fake_take(width, sizeof(double)), s->square = fake_take(width, sizeof(double)),
    s->absolute = fake_take(width, sizeof(double));
    s->sampled_sum = fake_take(width, sizeof(double));
    if (gram) s->gram = fake_take(width * cols, sizeof(double));
    else s->kept = fake_take(n * width, sizeof(float));
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < width; i++) {
            const double own = fake_number(&seed), before = i % cols ? (double)x[r * width + i - 1] : 0;
            const double v = i % cols == 1 ? 0.75 : own * (0.5 + (double)(i % 5)) + 0.5 * before + (double)(i % 3) - 1;
            x[r * width + i] = (float)v;
            const double d = (double)x[r * width + i];
            s->sum[i] += d, s->square[i] += d * d, s->absolute[i] += fabs(d), s->sampled_sum[i] += d;
        }
    if (!gram) memcpy(s->kept, x, n * width * sizeof(float));
    for (size_t g = 0; gram && g < groups; g++)
        for (size_t r = 0; r < n; r++)
            for (size_t i = 0; i < cols; i++)
                for (size_t j = 0; j <= i; j++)
                    s->gram[(g * cols + i) * cols + j] += (double)x[r * width + g * cols + i] *
                                                          (double)x[r * width + g * cols + j];
    f->layers[k].stat = s;
}

static inline void fake_end(struct fake_job *f) {
    for (int k = 0; k < f->job.layers.n; k++) {
        struct fp_layer *l = &f->layers[k];
        free(l->dense), free(l->values), free(l->score), free(l->keep), free(l->dense_bias), free(l->bias_change);
        struct fp_stat *s = &f->stats[k];
        free(s->sum), free(s->square), free(s->absolute), free(s->sampled_sum), free(s->gram), free(s->kept),
            free(f->rows[k]);
    }
}

#endif
