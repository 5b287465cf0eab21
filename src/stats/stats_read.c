// SPDX-License-Identifier: Apache-2.0
// Statistics once they are gathered: read, added up, dropped.
#include <math.h>
#include <stdlib.h>

#include "kernel/gemm.h"
#include "stats/stats.h"

struct fp_stats *fp_stats_new(fineprune_error *err) {
    struct fp_stats *stats = fp_calloc(1, sizeof(*stats));
    if (!stats) fp_fail_memory(err, "statistics", sizeof(*stats));
    else stats->arena.what = "statistics";
    return stats;
}

int fp_stats_take_lists(struct fp_stats *stats, int n, fineprune_error *err) {
    stats->items = fp_arena_take(&stats->arena, (size_t)n, sizeof(*stats->items));
    stats->names = fp_arena_take(&stats->arena, (size_t)n, sizeof(*stats->names));
    stats->n = n;
    for (int i = 0; stats->items && i < n; i++) stats->items[i].arena.what = stats->arena.what;
    return fp_arena_check(&stats->arena, err);
}

void fp_stats_free(struct fp_stats *stats) {
    if (!stats) return;
    for (int i = 0; stats->items && i < stats->n; i++) {
        fp_arena_free(&stats->items[i].arena);
        free(stats->items[i].kept);
    }
    fp_arena_free(&stats->arena);
    fp_answers_done(&stats->answers);
    free(stats->path);
    free(stats);
}

// ---- reading

double fp_stat_deviation(const struct fp_stat *s, size_t g, size_t c) {
    if (s->rows <= 0) return 0;
    double mean = fp_stat_mean(s, g, c), variance = s->square[g * s->cols + c] / s->rows - mean * mean;
    // Below the rounding of the two terms the spread is noise of the subtraction.
    if (!(variance > 1e-14 * mean * mean)) return 0;
    return sqrt(variance);
}

double fp_stat_rms(const struct fp_stat *s, size_t g, size_t c) {
    if (!(s->rows > 0)) return 0;
    const double v = s->square[g * s->cols + c] / s->rows;
    if (!(v > 0)) return 0;
    return sqrt(v);
}

static bool gram_of_kept(const struct fp_stat *s, size_t g, size_t first, size_t m, double *dst, int threads) {
    FP_STAGE(room, "co-activations");
    float *rows = fp_arena_take(&room, s->sampled * m, sizeof(*rows));
    if (!rows) return false;
    for (size_t r = 0; r < s->sampled; r++)
        memcpy(rows + r * m, s->kept + (r * s->groups + g) * s->cols + first, m * sizeof(*rows));
    return fp_gram(m, s->sampled, rows, &s->sampled, 1, dst, true, threads);
}

bool fp_stat_covariance(const struct fp_stat *s, size_t g, size_t first, size_t m, double *dst, int threads) {
    const size_t n = s->cols;
    memset(dst, 0, m * m * sizeof(*dst));
    if (!s->sampled) return true;
    if (!s->gram && !gram_of_kept(s, g, first, m, dst, threads)) return false;
    const double *gram = dst, *sum = s->sampled_sum + g * n + first;
    size_t step = m;
    if (s->gram) gram = s->gram + g * n * n + first * n + first, step = n;
    const double rows = (double)s->sampled;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16) if (m > 128)
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) dst[i * m + j] = gram[i * step + j] / rows - sum[i] / rows * (sum[j] / rows);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16) if (m > 128)
    for (size_t i = 0; i < m; i++)
        for (size_t j = i + 1; j < m; j++) dst[i * m + j] = dst[j * m + i];
    return true;
}

void fp_stat_covariance_float(const struct fp_stat *s, size_t g, float *dst, int threads) {
    enum { SIDE = 64 };
    const size_t n = s->cols, blocks = (n + SIDE - 1) / SIDE;
    const double *gram = s->gram + g * n * n, *sum = s->sampled_sum + g * n, rows = (double)s->sampled;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (n > 128)
    for (size_t b = 0; b < blocks; b++) // a block of rows, and of columns that mirror them
        for (size_t first = 0; first <= b * SIDE; first += SIDE)
            for (size_t i = b * SIDE; i < n && i < (b + 1) * SIDE; i++) {
                const size_t end = fp_least(first + SIDE, i + 1);
                for (size_t j = first; j < end; j++)
                    dst[i * n + j] = (float)(gram[i * n + j] / rows - sum[i] / rows * (sum[j] / rows));
                for (size_t j = first; j < end; j++) dst[j * n + i] = dst[i * n + j];
            }
}

// ---- adding up

static int add_kept(struct fp_stat *a, const struct fp_stat *b, fineprune_error *err) {
    size_t width = a->groups * a->cols, need;
    if (!b->kept) return FINEPRUNE_OK;
    if (!fp_mul(a->sampled + b->sampled, width, &need)) return fp_fail_memory(err, "co-activations", 0);
    float *kept = fp_grow(a->kept, &a->kept_capacity, need, sizeof(float));
    if (!kept) return fp_fail_memory(err, "co-activations", need * sizeof(float));
    a->kept = kept;
    memcpy(kept + a->sampled * width, b->kept, b->sampled * width * sizeof(float));
    return FINEPRUNE_OK;
}

static int add_stat(struct fp_stat *a, const struct fp_stat *b, fineprune_error *err) {
    size_t n = a->groups * a->cols;
    for (size_t i = 0; i < n; i++) {
        a->sum[i] += b->sum[i];
        a->square[i] += b->square[i];
        if (a->absolute && b->absolute) a->absolute[i] += b->absolute[i];
        a->sampled_sum[i] += b->sampled_sum[i];
    }
    for (size_t i = 0; a->gram && b->gram && i < n * a->cols; i++) a->gram[i] += b->gram[i];
    int status = FINEPRUNE_OK;
    if (!a->gram) status = add_kept(a, b, err);
    a->rows += b->rows;
    if (a->reached && b->reached) a->reached += b->reached;
    else a->reached = 0;
    a->sampled += b->sampled;
    return status;
}

void fp_answers_done(struct fp_answers *a) {
    free(a->features);
    free(a->logits);
    *a = (struct fp_answers){0};
}

int fp_answers_add(struct fp_answers *a, const struct fp_answers *b, fineprune_error *err) {
    if (!b->samples) return FINEPRUNE_OK;
    size_t n = a->samples + b->samples, f, l;
    if (!fp_mul(n, a->n_features * sizeof(float), &f) || !fp_mul(n, a->classes * sizeof(float), &l))
        return fp_fail_memory(err, "answers", n);
    float *features = realloc(a->features, f);
    if (!features) return fp_fail_memory(err, "answers", f);
    a->features = features;
    float *logits = realloc(a->logits, l);
    if (!logits) return fp_fail_memory(err, "answers", l);
    a->logits = logits;
    memcpy(a->features + a->samples * a->n_features, b->features, b->samples * b->n_features * sizeof(float));
    memcpy(a->logits + a->samples * a->classes, b->logits, b->samples * b->classes * sizeof(float));
    a->samples = n;
    return FINEPRUNE_OK;
}

int fp_stats_add(struct fp_stats *stats, const struct fp_stats *other, fineprune_error *err) {
    bool same = stats->n == other->n && !strcmp(stats->model, other->model) &&
                stats->answers.classes == other->answers.classes &&
                stats->answers.n_features == other->answers.n_features;
    for (int i = 0; same && i < stats->n; i++)
        same = !strcmp(stats->names[i], other->names[i]) && stats->items[i].cols == other->items[i].cols &&
               stats->items[i].groups == other->items[i].groups && !stats->items[i].gram == !other->items[i].gram;
    if (!same) {
        if (!stats->path) fp_fail(err, FINEPRUNE_DATA, "the statistics belong to different models");
        else fp_fail(err, FINEPRUNE_DATA, "the statistics belong to another model than those of '%s'", stats->path);
        fp_error_in(err, other->path);
        return FINEPRUNE_DATA;
    }
    int status = FINEPRUNE_OK;
    for (int i = 0; i < stats->n && !status; i++) status = add_stat(&stats->items[i], &other->items[i], err);
    if (!status) status = fp_answers_add(&stats->answers, &other->answers, err);
    stats->samples += other->samples;
    return status;
}
