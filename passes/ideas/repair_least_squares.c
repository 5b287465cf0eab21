// SPDX-License-Identifier: Apache-2.0
// What is kept absorbs what left: with C = Cov(x), for every row W_S <- W_S + (C_SS + l I)^-1 C_SP W_P, where S is kept
// and P pruned and l is a share of C's mean diagonal, a greater one where rows are few (fp_ridge); then b += (W_old -
// W_new) . E[x]. This minimizes the change of the row's output plus l times the change of W. (The row problem of
// Frantar & Alistarh 2022, solved exactly for a given mask)
#include <math.h>

#include "ideas/repair_bias.h"
#include "maths/repair_solve.h"

enum { RIDGE, FEW, TOLERANCE, EARLY };
static const struct fp_parameter PARAMETERS[] = {
    [RIDGE] = {"ridge", FP_REPAIR_RIDGE, 1e-4, 10, "l, of C's mean diagonal: more trusts the samples less"},
    [FEW] = {"few", FP_REPAIR_FEW, 0, 10,
             "added to l times (columns / rows - 1/2): for layers with few rows (0.05 to 0.3)"},
    [TOLERANCE] = {"tolerance", 1e-5, 1e-7, 0.1, "of the residual, in the last round"},
    [EARLY] = {"early", 1e-2, 1e-7, 0.5, "the tolerance in rounds whose result is only the next one's start"},
    {0},
};

#define DROWNED 1e-3 // a share of the error that is left, below which the solver's own figure for it is rounding

// The sum of x^T C x over the group's rows that stay, x being a row of the target without what `now` (may be NULL) has
// of it.
static int measure(struct fp_job *job, struct fp_system *s, const struct fp_layer *layer, size_t g, const float *now,
                   double *sum) {
    size_t rows = layer->w->rows, n = s->n, first = g * rows;
    FP_STAGE(stage, "a repair");
    float *x = fp_arena_take(&stage, rows * n, sizeof(float)), *y = fp_arena_take(&stage, rows * n, sizeof(float)),
          *room = fp_arena_take(&stage, rows * s->count, sizeof(float));
    double *of_row = fp_arena_take(&stage, rows, sizeof(*of_row));
    int status = fp_arena_check(&stage, job->err);
    if (status) return status;
#pragma omp parallel for num_threads(job->threads) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        const float *target = fp_layer_target(layer) + (first + r) * n;
        if (fp_row_gone(layer, first + r)) continue;
        if (now)
            for (size_t c = 0; c < n; c++) x[r * n + c] = target[c] - now[(first + r) * n + c];
        else memcpy(x + r * n, target, n * sizeof(*x));
    }
    if (!fp_system_apply(s, x, rows, y, room))
        return fp_fail_memory(job->err, "a repair", 2 * rows * n * sizeof(float));
#pragma omp parallel for num_threads(job->threads) schedule(static)
    for (size_t r = 0; r < rows; r++) of_row[r] = fp_dot(x + r * n, y + r * n, n);
    for (size_t r = 0; r < rows; r++) *sum += of_row[r];
    return FINEPRUNE_OK;
}

// Adds the output errors of the group's rows that stay, without repair and with it, and their whole output, w^T C w.
static int repair_group(struct fp_job *job, struct fp_layer *layer, size_t g, double *before, double *after,
                        double *whole) {
    const size_t rows = layer->w->rows, at = g * rows * layer->w->cols;
    FP_STAGE(room, "a repair");
    double *errors = fp_arena_take(&room, 2 * rows, sizeof(*errors)), sums[2] = {0};
    if (!errors) return fp_arena_check(&room, job->err);
    struct fp_system s;
    int status = fp_system_init(&s, job, layer, g, fp_repair_ridge(job, layer->stat));
    if (!status)
        status = fp_system_solve(&s, fp_layer_target(layer) + at, layer->keep + at, rows, layer->values + at,
                                 fp_value(job, PARAMETERS, job->state.last_round ? TOLERANCE : EARLY), errors,
                                 errors + rows, job->threads, job->err);
    for (size_t r = 0; r < rows && !status; r++)
        for (int i = 0; i < 2 && !fp_row_gone(layer, g * rows + r); i++) sums[i] += errors[(size_t)i * rows + r];
    if (!status && sums[1] < DROWNED * sums[0]) {
        sums[1] = 0;
        status = measure(job, &s, layer, g, layer->values, &sums[1]);
    }
    if (!status) status = measure(job, &s, layer, g, NULL, whole);
    *before += sums[0];
    *after += sums[1];
    fp_system_done(&s);
    return status;
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    double before = 0, after = 0, whole = 0;
    fp_layer_start_repair(layer);
    if (!layer->w->repairable || !layer->stat->sampled) return fp_repair_bias_change(job, layer);
    int status = FINEPRUNE_OK;
    for (size_t g = 0; g < layer->w->groups && !status; g++)
        status = repair_group(job, layer, g, &before, &after, &whole);
    if (!status) status = fp_repair_bias_change(job, layer);
    if (status) return status;
    after += fp_repair_bias_error(layer);
    if (!(whole > 0)) return FINEPRUNE_OK;
    layer->error_before = sqrt((fmax(before, 0) + layer->lost) / (whole + layer->lost));
    layer->error_after = sqrt((fmax(after, 0) + layer->lost) / (whole + layer->lost));
    return FINEPRUNE_OK;
}

const struct fp_repair fp_repair_least_squares = {"least-squares",
                                                  "what is kept absorbs what left, by the inputs' covariance",
                                                  FP_NEED_SUMS | FP_NEED_GRAM, run, PARAMETERS};
