// SPDX-License-Identifier: Apache-2.0
// A layer whose input has lost whole channels is another layer: what is left stands in for them. With C = Cov(x) of the
// dense model, S the columns that are left, P those that are cut and l the repair's ridge (1 % of C's mean diagonal):
// target_S = W_S + (C_SS
// + l I)^-1 C_SP W_P, target_P = 0, and the mean of what the rows still miss, (W - target) E[x], for the bias. Scores,
// repairs and swaps of every round hold on to this target: in later rounds the cut channels are constant, and nothing
// would tell any more that they are missed.

#include "job/job.h"
#include "maths/repair_solve.h"

#define TOLERANCE 1e-4 // of the residual

static int allocate(struct fp_job *job, struct fp_layer *l) {
    const size_t bytes = l->w->count * sizeof(*l->target);
    if (!fp_memory_count(&job->model->memory, bytes)) {
        fp_fail(job->err, FINEPRUNE_LIMIT,
                "whole channels of the input of weight '%s' need more memory than is allowed", l->w->name);
        fp_memory_hint(&job->model->memory, job->err);
        return FINEPRUNE_LIMIT;
    }
    job->layers.counted += bytes;
    l->target = fp_arena_take(&l->cut, l->w->count, sizeof(*l->target));
    l->target_bias = fp_arena_take(&l->cut, fp_layer_rows(l), sizeof(*l->target_bias));
    return fp_arena_check(&l->cut, job->err);
}

// The rows by least squares; what is lost for good is part of the layer's error.
static int solve(struct fp_job *job, struct fp_layer *l, size_t group, const uint8_t *keep) {
    const size_t rows = l->w->rows, at = group * rows * l->w->cols;
    struct fp_system system = {0};
    FP_STAGE(room, l->w->name);
    double *errors = fp_arena_take(&room, 2 * rows, sizeof(*errors));
    if (!errors) return fp_arena_check(&room, job->err);
    int status = fp_system_init(&system, job, l, group, fp_repair_ridge(job, l->stat));
    if (!status)
        status = fp_system_solve(&system, l->dense + at, keep + at, rows, l->target + at, TOLERANCE, errors,
                                 errors + rows, job->threads, job->err);
    for (size_t r = 0; r < rows && !status; r++)
        if (!fp_row_gone(l, group * rows + r)) l->lost += errors[rows + r];
    fp_system_done(&system);
    return status;
}

int fp_layer_stand_in(struct fp_job *job, struct fp_layer *l) {
    const size_t n = l->w->cols, each = l->w->rows * n; // of a group
    FP_STAGE(room, l->w->name);
    uint8_t *keep = fp_arena_take(&room, l->w->count, 1);
    int status = fp_arena_check(&room, job->err);
    if (!status) status = allocate(job, l);
    if (status) return status;
    for (size_t i = 0; i < l->w->count; i++) {
        keep[i] = !l->cut_cols[i / each * n + i % n] && !fp_came_zero(l, i);
        if (keep[i]) l->target[i] = l->dense[i];
    }
    l->lost = 0;
    for (size_t g = 0; g < l->w->groups && !status; g++)
        if (job->choices.repair->needs & FP_NEED_GRAM && l->stat->sampled) status = solve(job, l, g, keep);
    if (status) return status;
    for (size_t i = 0; i < l->w->count; i++) {
        l->values[i] = l->target[i];
        l->target_bias[i / n] += ((double)l->dense[i] - (double)l->target[i]) * fp_stat_mean(l->stat, i / each, i % n);
    }
    return FINEPRUNE_OK;
}

void fp_layer_drop_cut(struct fp_job *job, struct fp_layer *l) {
    if (l->target) {
        fp_memory_uncount(&job->model->memory, l->w->count * sizeof(*l->target));
        job->layers.counted -= l->w->count * sizeof(*l->target);
        l->lost = 0;
    }
    fp_arena_free(&l->cut);
    l->cut_rows = l->cut_cols = NULL;
    l->target = NULL;
    l->target_bias = NULL;
}
