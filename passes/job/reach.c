// SPDX-License-Identifier: Apache-2.0
// How far the samples reach: those that nothing can be learned from, layers that few of them get to, rows whose repair
// cannot be stored; and what is said of it.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "maths/allocate.h"
#include "job/job.h"

int fp_job_check_samples(struct fp_job *job, unsigned needs) {
    size_t *huge = NULL, n = 0;
    if (!job->data || !needs) return FINEPRUNE_OK;
    int status = fp_data_huge(job->data, &huge, &n, job->err);
    if (!status && n) { // a run tells whether they get to a weight
        struct fp_exec *exec = NULL;
        struct fp_stats *stats = NULL;
        const struct fp_stats_request request = {
            .needs = FP_NEED_SUMS, .options = &job->options->run, .stage = "check"};
        status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
        if (!status)
            status = fp_stats_gather(&stats, exec, job->layers.weights, job->data, huge, n, &request, NULL, job->err);
        fp_stats_free(stats);
        fp_exec_free(exec);
    }
    free(huge);
    return status;
}

// n samples justify n / (n + 10) of zeros at most, and few of them 2 % each beyond the first 10 %, but 30 % at least:
// 30 % for 10, 50 % for 20, 70 % for 30, 83 % for 50, 96 % for 250.
double fp_justified_share(double n) { return fmax(0.3, fmin(0.1 + 0.02 * n, n / (n + 10))); }

static bool varies(const struct fp_stat *s) {
    for (size_t i = 0; i < s->groups * s->cols; i++)
        if (fp_stat_deviation(s, i / s->cols, i % s->cols) > 0) return true;
    return false;
}

// By how many samples a layer is reached, as far as its statistics tell; 0: they do not.
static size_t reached_by(const struct fp_stat *s, size_t samples) {
    if (!s) return 0;
    if (s->reached) return s->reached;
    if (s->rows < (double)samples) return (size_t)s->rows;
    return samples;
}

void fp_job_bound_layers(struct fp_job *job) {
    const size_t samples = job->gathered.stats ? job->gathered.stats->samples : 0;
    const double asked = job->options->sparsity;
    for (int i = 0; i < job->layers.n && job->choices.method->cautious && !job->options->strict_sparsity && samples;
         i++) {
        struct fp_layer *l = &job->layers.items[i];
        const size_t reached = reached_by(l->stat, samples);
        if (!reached || reached >= samples || !varies(l->stat)) continue;
        const double all = (double)(job->samples.n_local + job->samples.n_reserve),
                     most = fp_justified_share((double)reached * all / (double)samples);
        l->least_kept = 1 - most;
        if (asked < 0 || asked > most)
            fp_report_say(job->report,
                          "weight '%s' is reached by %zu of %zu samples only: they justify %.0f %% zeros in it at most",
                          l->w->name, reached, samples, 100 * most);
    }
}

// ---- what can be stored

static double greatest(int type) {
    if (type == FP_FLOAT16) return 65504;
    if (type == FP_BFLOAT16) return 0x1.fep127;
    if (type == FP_DOUBLE) return DBL_MAX;
    return FLT_MAX;
}

static bool row_fits(const struct fp_layer *l, const float *row, size_t at, double most) {
    for (size_t c = 0; c < l->w->cols; c++)
        if (l->keep[at + c] && !(fabs((double)row[c]) <= most)) return false;
    return true;
}

int fp_layer_check_finite(struct fp_job *job, struct fp_layer *l) {
    const size_t cols = l->w->cols;
    const struct fp_source *first = l->w->sources;
    const double most = greatest(first && !first->scale.data ? (int)first->type
                                                             : FP_FLOAT); // its bias has the same type
    size_t unrepaired = 0;
    for (size_t r = 0; r < fp_layer_rows(l); r++) {
        const size_t at = r * cols;
        const bool fits = row_fits(l, l->values + at, at, most) &&
                          fabs((double)l->dense_bias[r] + l->bias_change[r]) <= most;
        if (fits) continue;
        if (fp_row_removed(l, r)) { // as low as can be is low enough
            l->bias_change[r] = -most - (double)l->dense_bias[r];
            continue;
        }
        for (size_t c = 0; c < cols; c++) l->values[at + c] = l->keep[at + c] ? fp_layer_target(l)[at + c] : 0;
        l->bias_change[r] = 0;
        unrepaired++;
        if (!row_fits(l, l->values + at, at, most) || !(fabs((double)l->dense_bias[r]) <= most))
            return fp_fail(job->err, FINEPRUNE_MODEL,
                           "'%s': weight '%s' or its bias has values that are too large for its type", job->model->path,
                           l->w->name);
    }
    if (unrepaired && job->state.last_round)
        fp_report_say(
            job->report,
            "%zu row%s of weight '%s' %s not repaired: the result would not fit the type that it is stored in",
            unrepaired, unrepaired == 1 ? "" : "s", l->w->name, unrepaired == 1 ? "was" : "were");
    return FINEPRUNE_OK;
}

// ---- what is said

const char *fp_layer_unrepaired(const struct fp_job *job, const struct fp_layer *l) {
    const struct fp_weight *w = l->w;
    if (w->repairable || !(job->choices.repair->needs & FP_NEED_SUMS)) return NULL;
    for (int i = 0; i < w->n_uses; i++)
        if (w->uses[i].slot < 0) return "it is used in another form too, as its transpose or in parts";
    if (w->view == FP_VIEW_RECURRENT_GATED) return "its candidate rows see the state after the reset gate";
    return "its input is not what its rows are multiplied with";
}

void fp_job_report_layers(struct fp_job *job, double asked) {
    size_t came = 0, pruned = 0;
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        came += l->n_came;
        pruned += l->w->count;
        const char *reason = fp_layer_unrepaired(job, l);
        if (reason) fp_report_say(job->report, "weight '%s' was pruned but not repaired: %s", l->w->name, reason);
    }
    const double share = pruned ? (double)came / (double)pruned : 0;
    if (came && asked >= 0 && share > asked && !job->choices.target.kind)
        fp_report_say(
            job->report,
            "the model came with %.1f %% zeros, more than the %.1f %% that were asked: they stay, and none is added",
            100 * share, 100 * asked);
    else if (share >= 0.01)
        fp_report_say(job->report, "%.1f %% of the weights were zeros before; they stay and count", 100 * share);
}
