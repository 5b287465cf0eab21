// SPDX-License-Identifier: Apache-2.0
// What is kept absorbs what left: with C = Cov(x), for every row W_S <- W_S + (C_SS + l I)^-1 C_SP W_P, where S is kept and P pruned and l is 1 %
// of C's mean diagonal; then b += (W_old - W_new) . E[x]. This minimizes the change of the row's output plus l times the change
// of W. (The row problem of Frantar & Alistarh 2022, solved exactly for a given mask)
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "repair_bias.h"

#define RIDGE 0.01

// A group's covariance, or centred rows A / sqrt(n) with C = A^T A when rows are fewer than columns.
struct system {
    size_t n, rows;    // columns; rows of a (0: c is used)
    double *c;         // n * n
    double *a;         // rows * n
    double ridge;
};

struct room {
    double *matrix, *right;
    size_t *kept, *pruned;
};

static int system_init(struct system *s, struct fp_job *job, const struct fp_layer *layer, size_t g) {
    const struct fp_stat *stat = layer->stat;
    size_t n = stat->cols, size;
    *s = (struct system){.n = n};
    double diagonal = 0;
    if (stat->gram) {
        if (!fp_mul(n, n, &size) || !(s->c = fp_calloc(size, sizeof(double)))) return fp_fail_memory(job->err, "a repair", n * n * sizeof(double));
        fp_stat_covariance(stat, g, s->c, job->threads);
        for (size_t i = 0; i < n; i++) diagonal += s->c[i * n + i];
    } else {
        s->rows = stat->sampled;
        if (!fp_mul(s->rows, n, &size) || !(s->a = fp_calloc(size, sizeof(double)))) return fp_fail_memory(job->err, "a repair", s->rows * n * sizeof(double));
        double scale = 1 / sqrt((double)s->rows);
        for (size_t r = 0; r < s->rows; r++)
            for (size_t c = 0; c < n; c++) {
                double v = (double)stat->kept[(r * stat->groups + g) * n + c] - stat->sampled_sum[g * n + c] / (double)s->rows;
                s->a[r * n + c] = v * scale;
                diagonal += v * scale * v * scale;
            }
    }
    s->ridge = RIDGE * diagonal / (double)n;
    return FINEPRUNE_OK;
}

static void system_done(struct system *s) {
    free(s->c);
    free(s->a);
}

static bool room_init(struct room *room, const struct system *s, size_t most_kept) {
    size_t side = s->rows ? s->rows : most_kept;
    *room = (struct room){fp_calloc(side * side, sizeof(double)), fp_calloc(side + 1, sizeof(double)), fp_calloc(s->n + 1, sizeof(size_t)),
                          fp_calloc(s->n + 1, sizeof(size_t))};
    return room->matrix && room->right && room->kept && room->pruned;
}

static void room_done(struct room *room) {
    free(room->matrix);
    free(room->right);
    free(room->kept);
    free(room->pruned);
}

// (C_SS + l I) u = C_SP w_P.
static bool solve_columns(const struct system *s, struct room *room, const float *dense, size_t n_kept, size_t n_pruned, float *values) {
    size_t n = s->n;
    for (size_t i = 0; i < n_kept; i++) {
        const double *row = s->c + room->kept[i] * n;
        double *m = room->matrix + i * n_kept, right = 0;
        for (size_t j = 0; j <= i; j++) m[j] = row[room->kept[j]];
        m[i] += s->ridge;
        for (size_t j = 0; j < n_pruned; j++) right += row[room->pruned[j]] * (double)dense[room->pruned[j]];
        room->right[i] = right;
    }
    // Row-major lower is column-major upper: no copy.
    if (LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (int)n_kept, 1, room->matrix, (int)n_kept, room->right, (int)n_kept)) return false;
    for (size_t i = 0; i < n_kept; i++) values[room->kept[i]] = (float)((double)dense[room->kept[i]] + room->right[i]);
    return true;
}

// The same by its dual, u = A_S^T (A_S A_S^T + l I)^-1 A_P w_P: a system of the size of the rows.
static bool solve_rows(const struct system *s, struct room *room, const float *dense, size_t n_kept, size_t n_pruned, float *values) {
    size_t n = s->n, rows = s->rows;
    for (size_t i = 0; i < rows; i++) {
        const double *a = s->a + i * n;
        double right = 0;
        for (size_t j = 0; j < n_pruned; j++) right += a[room->pruned[j]] * (double)dense[room->pruned[j]];
        room->right[i] = right;
        for (size_t k = 0; k <= i; k++) {
            const double *b = s->a + k * n;
            double sum = 0;
            for (size_t j = 0; j < n_kept; j++) sum += a[room->kept[j]] * b[room->kept[j]];
            room->matrix[i * rows + k] = sum + (i == k ? s->ridge : 0);
        }
    }
    if (LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (int)rows, 1, room->matrix, (int)rows, room->right, (int)rows)) return false;
    for (size_t j = 0; j < n_kept; j++) {
        double u = 0;
        for (size_t i = 0; i < rows; i++) u += s->a[i * n + room->kept[j]] * room->right[i];
        values[room->kept[j]] = (float)((double)dense[room->kept[j]] + u);
    }
    return true;
}

static void repair_row(const struct system *s, struct room *room, const float *dense, const uint8_t *keep, float *values) {
    size_t n_kept = 0, n_pruned = 0;
    for (size_t c = 0; c < s->n; c++) {
        if (keep[c]) room->kept[n_kept++] = c;
        else if (dense[c] != 0) room->pruned[n_pruned++] = c;
        values[c] = keep[c] ? dense[c] : 0;
    }
    if (!n_kept || !n_pruned || !(s->ridge > 0)) return; // nothing left, nothing lost, or an input that never moves
    // A system that LAPACK finds singular leaves the row as it is.
    if (s->rows) solve_rows(s, room, dense, n_kept, n_pruned, values);
    else solve_columns(s, room, dense, n_kept, n_pruned, values);
}

// Relative error of the group's outputs for what they lose: sum of d^T C d over sum of w^T C w.
static void measure(const struct system *s, const struct fp_layer *layer, size_t g, bool repaired, int threads, double *lost, double *whole) {
    const struct fp_weight *w = layer->w;
    size_t n = s->n;
    double *row_lost = fp_calloc(w->rows, sizeof(double)), *row_whole = fp_calloc(w->rows, sizeof(double));
    #pragma omp parallel num_threads(threads) if (w->rows * n * n > 100000)
    {
        size_t side = s->rows ? s->rows : n;
        double *d = fp_calloc(n, sizeof(double)), *v = fp_calloc(n, sizeof(double)), *y = fp_calloc(side, sizeof(double));
        #pragma omp for schedule(static)
        for (size_t r = 0; r < w->rows; r++) {
            size_t at = (g * w->rows + r) * n;
            if (!d || !v || !y || !row_lost || !row_whole || fp_row_removed(layer, g * w->rows + r)) continue;
            for (size_t c = 0; c < n; c++) {
                v[c] = (double)layer->dense[at + c];
                d[c] = v[c] - (repaired ? (double)layer->values[at + c] : layer->keep[at + c] ? v[c] : 0);
            }
            for (int pass = 0; pass < 2; pass++) {
                const double *x = pass ? v : d;
                if (s->rows) {
                    cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)s->rows, (int)n, 1, s->a, (int)n, x, 1, 0, y, 1);
                    (pass ? row_whole : row_lost)[r] = cblas_ddot((int)s->rows, y, 1, y, 1);
                } else {
                    cblas_dsymv(CblasRowMajor, CblasLower, (int)n, 1, s->c, (int)n, x, 1, 0, y, 1);
                    (pass ? row_whole : row_lost)[r] = cblas_ddot((int)n, x, 1, y, 1);
                }
            }
        }
        free(d);
        free(v);
        free(y);
    }
    for (size_t r = 0; r < w->rows && row_lost && row_whole; r++) {
        *lost += row_lost[r];
        *whole += row_whole[r];
    }
    free(row_lost);
    free(row_whole);
}

static int repair_group(struct fp_job *job, struct fp_layer *layer, size_t g, double *before, double *after, double *whole) {
    const struct fp_weight *w = layer->w;
    struct system s;
    int status = system_init(&s, job, layer, g);
    size_t most = 0;
    for (size_t r = g * w->rows; r < (g + 1) * w->rows; r++) {
        size_t kept = 0;
        for (size_t c = 0; c < w->cols; c++) kept += layer->keep[r * w->cols + c];
        if (kept > most) most = kept;
    }
    bool failed = false;
    #pragma omp parallel num_threads(job->threads) if (!status && w->rows > 1)
    {
        struct room room = {0};
        bool ready = !status && room_init(&room, &s, most);
        if (!ready) {
            #pragma omp atomic write
            failed = true;
        }
        #pragma omp for schedule(dynamic)
        for (size_t r = g * w->rows; r < (g + 1) * w->rows; r++)
            if (ready) repair_row(&s, &room, layer->dense + r * w->cols, layer->keep + r * w->cols, layer->values + r * w->cols);
        room_done(&room);
    }
    if (!status && failed) status = fp_fail_memory(job->err, "a repair", most * most * sizeof(double));
    double again = 0;
    if (!status) {
        measure(&s, layer, g, false, job->threads, before, whole);
        measure(&s, layer, g, true, job->threads, after, &again);
    }
    system_done(&s);
    return status;
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    double before = 0, after = 0, whole = 0;
    for (size_t i = 0; i < layer->w->count; i++) layer->values[i] = layer->keep[i] ? layer->dense[i] : 0;
    int status = FINEPRUNE_OK;
    if (layer->w->repairable && layer->stat->sampled) {
        for (size_t g = 0; g < layer->w->groups && !status; g++) status = repair_group(job, layer, g, &before, &after, &whole);
        if (!status && whole > 0) {
            layer->error_before = sqrt(fmax(before, 0) / whole);
            layer->error_after = sqrt(fmax(after, 0) / whole);
        }
    }
    if (!status) fp_repair_bias_change(job, layer);
    return status;
}

const struct fp_repair fp_repair_least_squares = {"least-squares", "what is kept absorbs what left, by the inputs' covariance",
                                                  FP_NEED_SUMS | FP_NEED_GRAM, run};
