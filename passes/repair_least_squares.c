// SPDX-License-Identifier: Apache-2.0
// What is kept absorbs what left: with C = Cov(x), for every row W_S <- W_S + (C_SS + l I)^-1 C_SP W_P, where S is kept and P pruned and l is 1 %
// of C's mean diagonal; then b += (W_old - W_new) . E[x]. This minimizes the change of the row's output plus l times the change
// of W. (The row problem of Frantar & Alistarh 2022, solved exactly for a given mask)
#include <math.h>
#include <stdlib.h>

#include "repair_bias.h"
#include "repair_solve.h"

#define TOLERANCE 1e-5       // of the residual, in the last round
#define TOLERANCE_EARLY 1e-2 // in rounds whose result is only the next one's start

// The output error of rows for what they have lost, d^T C d, and their whole output, w^T C w, added up over the group's rows that stay.
static int measure(struct fp_job *job, struct fp_system *s, const struct fp_layer *layer, size_t g, double *before, double *after, double *whole) {
    size_t rows = layer->w->rows, n = s->n, first = g * rows;
    float *x = fp_calloc(rows * n, sizeof(float)), *y = fp_calloc(rows * n, sizeof(float)), *room = fp_calloc(rows * s->count, sizeof(float));
    double *of_row = fp_calloc(rows, sizeof(*of_row));
    double *sums[3] = {before, after, whole};
    int status = x && y && room && of_row ? FINEPRUNE_OK : fp_fail_memory(job->err, "a repair", 2 * rows * n * sizeof(float));
    for (int what = 0; what < 3 && !status; what++) {
        #pragma omp parallel for num_threads(job->threads) schedule(static)
        for (size_t r = 0; r < rows; r++) {
            const size_t at = (first + r) * n;
            const float *dense = layer->dense + at, *now = layer->values + at;
            const uint8_t *keep = layer->keep + at;
            const float stays = fp_row_removed(layer, first + r) ? 0 : 1, lost = what == 1 ? 1 : 0;
            for (size_t c = 0; c < n; c++) x[r * n + c] = stays * (what == 0 ? (keep[c] ? 0 : dense[c]) : dense[c] - lost * now[c]);
        }
        if (!fp_system_apply(s, x, rows, y, room)) status = fp_fail_memory(job->err, "a repair", 2 * rows * n * sizeof(float));
        #pragma omp parallel for num_threads(job->threads) schedule(static)
        for (size_t r = 0; r < rows; r++) of_row[r] = fp_dot(x + r * n, y + r * n, n);
        for (size_t r = 0; r < rows; r++) *sums[what] += of_row[r];
    }
    free(x);
    free(y);
    free(room);
    free(of_row);
    return status;
}

static int repair_group(struct fp_job *job, struct fp_layer *layer, size_t g, double *before, double *after, double *whole) {
    size_t at = g * layer->w->rows * layer->w->cols;
    struct fp_system s;
    int status = fp_system_init(&s, job, layer, g);
    if (!status)
        status = fp_system_solve(&s, layer->dense + at, layer->keep + at, layer->w->rows, layer->values + at,
                                 job->last_round ? TOLERANCE : TOLERANCE_EARLY, job->threads, job->err);
    if (!status) status = measure(job, &s, layer, g, before, after, whole);
    fp_system_done(&s);
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
