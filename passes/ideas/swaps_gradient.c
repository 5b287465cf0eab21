// SPDX-License-Identifier: Apache-2.0
// A mask is chosen before the repair, one element at a time; the repair then shows which pruned elements are missed.
// With A = Cov(x) + l I, dense rows W and repaired rows w, the error is e = tr((W - w) A (W - w)^T) and its gradient G
// = (W - w) A: an element that comes back alone lowers e by G^2 / A_cc, one that leaves, the others making up for it,
// raises it by w^2 / (A^-1)_cc. The greatest gains change places with the least costs where they are greater, a share
// of the kept at a time, all rows together; after a new repair the exchange stays if e fell. (Local search over
// supports, as for subset selection; the two estimates are those of Hassibi & Stork 1993) The estimates are of elements
// alone: where an exchange brings less than half of their sum, fewer at a time bring more.
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "ideas/repair_bias.h"
#include "maths/repair_solve.h"
#include "maths/select.h"

enum { TRIES, SHARE, SMALLER, HOPED, WORTH, STEPS, LEAST };
static const struct fp_parameter PARAMETERS[] = {
    [TRIES] = {"tries", 5, 1, 100, "exchanges of a layer at most", .whole = true},
    [SHARE] = {"share", 0.15, 0.001, 1, "of the kept elements, at most, in one exchange"},
    [SMALLER] = {"smaller", 3, 1, 100, "how much smaller the next is after one that brought less than hoped",
                 .whole = true},
    [HOPED] = {"hoped", 0.5, 0, 1, "share of an exchange's estimated gain that it should bring"},
    [WORTH] = {"worth", 0.03, 0, 1, "share of the error: an exchange that took less is the last"},
    [STEPS] = {"steps", 6, 1, 200, "of conjugate gradients after an exchange: 15 find no better masks", .whole = true},
    [LEAST] = {"least", 16, 1, 1e5, "elements that are worth an exchange", .whole = true},
    {0},
};

#define WIDEST 1024 // columns whose covariance is inverted as a whole; beyond, in blocks
#define BLOCK 256

struct search {
    struct fp_job *job;
    struct fp_layer *layer;
    struct fp_system system;
    size_t g, rows, n, at;
    float *values, *trial, *gradient, *score; // rows x n
    uint8_t *keep;                            // of the trial
    float *inverse;                           // n: the inverse's diagonal
    float *diagonal;                          // n: A's
    double *left;                             // rows: errors
    uint32_t *order, *room;                   // rows x n
};

static void search_done(struct search *s) {
    fp_system_done(&s->system);
    free(s->values), free(s->trial), free(s->gradient), free(s->score);
    free(s->keep), free(s->inverse), free(s->diagonal), free(s->left), free(s->order), free(s->room);
}

// The diagonals of A and of its inverse, the latter block by block where A is wide.
static bool fill_diagonals(struct search *s) {
    const size_t n = s->n, width = n <= WIDEST ? n : BLOCK;
    const double ridge = (double)s->system.ridge;
    double *a = fp_calloc(width * width, sizeof(*a));
    bool ok = a;
    for (size_t first = 0; first < n && ok; first += width) {
        const size_t m = n - first < width ? n - first : width;
        ok = fp_stat_covariance(s->layer->stat, s->g, first, m, a, s->job->threads);
        for (size_t i = 0; i < m && ok; i++) {
            s->diagonal[first + i] = (float)(a[i * m + i] + ridge);
            a[i * m + i] += ridge;
        }
        ok = ok && !LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)m, a, (int)m) &&
             !LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (int)m, a, (int)m);
        for (size_t i = 0; i < m && ok; i++) s->inverse[first + i] = (float)a[i * m + i];
    }
    free(a);
    return ok;
}

static bool search_init(struct search *s, struct fp_job *job, struct fp_layer *l, size_t g) {
    const size_t rows = l->w->rows, n = l->w->cols, count = rows * n;
    *s = (struct search){.job = job, .layer = l, .g = g, .rows = rows, .n = n, .at = g * count};
    s->values = fp_calloc(count, sizeof(float));
    s->trial = fp_calloc(count, sizeof(float));
    s->gradient = fp_calloc(count, sizeof(float));
    s->score = fp_calloc(count, sizeof(float));
    s->keep = fp_calloc(count, 1);
    s->inverse = fp_calloc(n, sizeof(float));
    s->diagonal = fp_calloc(n, sizeof(float));
    s->left = fp_calloc(rows, sizeof(double));
    s->order = fp_calloc(count, sizeof(*s->order));
    s->room = fp_calloc(count, sizeof(*s->room));
    return s->values && s->trial && s->gradient && s->score && s->keep && s->inverse && s->diagonal && s->left &&
           s->order && s->room;
}

// gradient = (W - w) A and each row's error for these values. Their sum, negative without memory; rows that are gone do
// not count.
static double measure(struct search *s, const float *w) {
    const size_t n = s->n;
    const float *target = fp_layer_target(s->layer) + s->at;
    float *x = s->score; // free between two selections
    double sum = 0;
#pragma omp parallel for num_threads(s->job->threads) schedule(static)
    for (size_t r = 0; r < s->rows; r++) {
        const bool gone = fp_row_gone(s->layer, s->g * s->rows + r);
        for (size_t c = 0; c < n; c++) x[r * n + c] = gone ? 0 : target[r * n + c] - w[r * n + c];
    }
    float *room = s->system.a ? fp_calloc(s->rows * s->system.count, sizeof(*room)) : NULL;
    bool ok = (!s->system.a || room) && fp_system_apply(&s->system, x, s->rows, s->gradient, room);
    free(room);
#pragma omp parallel for num_threads(s->job->threads) schedule(static)
    for (size_t r = 0; r < s->rows; r++) {
        if (!ok) continue;
        for (size_t c = 0; c < n; c++) s->gradient[r * n + c] += s->system.ridge * x[r * n + c];
        s->left[r] = fp_dot(x + r * n, s->gradient + r * n, n);
    }
    for (size_t r = 0; r < s->rows && ok; r++) sum += s->left[r];
    return ok ? fmax(sum, 0) : -1; // of nothing, rounding can be less
}

// May an element that is pruned come back?
static bool may_return(const struct search *s, size_t i) {
    const size_t row = s->g * s->rows + i / s->n;
    return !fp_row_removed(s->layer, row) && !fp_cut(s->layer, row, i % s->n) && !fp_came_zero(s->layer, s->at + i) &&
           !fp_column_dead(s->layer, row, i % s->n);
}

// Element numbers of one kind by falling gain, or by rising cost; how many.
static size_t sort_kind(struct search *s, const uint8_t *keep, bool kept, uint32_t *order) {
    const size_t count = s->rows * s->n;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept != (keep[i] != 0) || (!kept && !may_return(s, i))) continue;
        const float v = kept ? s->values[i] : s->gradient[i], by = kept ? s->inverse[i % s->n] : s->diagonal[i % s->n];
        s->score[n] = v * v / by;
        s->room[n++] = (uint32_t)i;
    }
    uint32_t *places = fp_calloc(n, sizeof(*places)), *spare = fp_calloc(n, sizeof(*spare));
    if (places && spare) {
        fp_sort_scores(s->score, places, spare, n);
        for (size_t i = 0; i < n; i++) order[i] = s->room[places[kept ? i : n - 1 - i]];
    } else {
        n = SIZE_MAX;
    }
    free(places);
    free(spare);
    return n;
}

static float score_of(const struct search *s, uint32_t i, bool kept) {
    const float v = kept ? s->values[i] : s->gradient[i], by = kept ? s->inverse[i % s->n] : s->diagonal[i % s->n];
    return v * v / by;
}

// The trial's mask and values. How many pairs changed places, SIZE_MAX without memory; *hope: what the estimates say
// the error falls by.
static size_t exchange(struct search *s, size_t most, double *hope) {
    const size_t count = s->rows * s->n;
    const uint8_t *keep = s->layer->keep + s->at;
    uint32_t *back = s->order, *leave = fp_calloc(count, sizeof(*leave));
    if (!leave) return SIZE_MAX;
    size_t n_back = sort_kind(s, keep, false, back), n_leave = sort_kind(s, keep, true, leave), done = 0;
    bool ok = n_back != SIZE_MAX && n_leave != SIZE_MAX;
    *hope = 0;
    memcpy(s->keep, keep, count);
    memcpy(s->trial, s->values, count * sizeof(float));
    for (; ok && done < most && done < n_back && done < n_leave; done++) {
        const float gain = score_of(s, back[done], false), cost = score_of(s, leave[done], true);
        if (!(gain > cost)) break;
        *hope += (double)(gain - cost);
        s->keep[back[done]] = 1;
        s->keep[leave[done]] = 0;
        s->trial[back[done]] = s->trial[leave[done]] = 0;
    }
    free(leave);
    return ok ? done : SIZE_MAX;
}

// One exchange and its repair. *error falls when it stays; *most shrinks when it disappoints; *stop when there is
// nothing (more) to gain. The gradient is that of the values, where `known` says so.
static int try_exchange(struct search *s, double *error, size_t *most, bool *known, bool *stop) {
    struct fp_job *job = s->job;
    if (!*known && measure(s, s->values) < 0)
        return fp_fail_memory(job->err, s->layer->w->name, s->rows * s->n * sizeof(float));
    double hope;
    const size_t done = exchange(s, *most, &hope);
    if (done == SIZE_MAX) return fp_fail_memory(job->err, s->layer->w->name, s->rows * s->n * sizeof(float));
    *stop = done < (size_t)fp_value(job, PARAMETERS, LEAST);
    if (*stop) return FINEPRUNE_OK;
    double now = measure(s, s->trial);
    int status = now < 0 ? FINEPRUNE_LIMIT
                         : fp_system_refine(&s->system, s->gradient, s->keep, s->rows, s->trial,
                                            (int)fp_value(job, PARAMETERS, STEPS), s->left, job->threads, job->err);
    if (!status) now = measure(s, s->trial);
    if (status || now < 0) return fp_fail_memory(job->err, s->layer->w->name, s->rows * s->n * sizeof(float));
    *known = now < *error;
    if (*error - now < fp_value(job, PARAMETERS, HOPED) * hope)
        *most = done / (size_t)fp_value(job, PARAMETERS, SMALLER);
    if (*known) {
        *stop = *error - now < fp_value(job, PARAMETERS, WORTH) * *error;
        *error = now;
        memcpy(s->values, s->trial, s->rows * s->n * sizeof(float));
        memcpy(s->layer->keep + s->at, s->keep, s->rows * s->n);
    }
    return FINEPRUNE_OK;
}

static int search_group(struct fp_job *job, struct fp_layer *l, size_t g, double *before, double *after) {
    struct search s;
    int status = search_init(&s, job, l, g) ? fp_system_init(&s.system, job, l, g, fp_repair_ridge(job, l->stat))
                                            : fp_fail_memory(job->err, l->w->name, l->w->count * sizeof(float));
    bool stop = !status && (!(s.system.ridge > 0) || !fill_diagonals(&s));
    size_t kept = 0;
    for (size_t i = 0; i < s.rows * s.n && !status; i++) {
        kept += l->keep[s.at + i];
        s.values[i] = l->values[s.at + i];
    }
    size_t most = (size_t)(fp_value(job, PARAMETERS, SHARE) * (double)kept);
    double error = status || stop ? 0 : measure(&s, s.values);
    const int tries = (int)fp_value(job, PARAMETERS, TRIES);
    const size_t least = (size_t)fp_value(job, PARAMETERS, LEAST);
    bool known = true;
    *before += error;
    for (int i = 0; i < tries && !status && !stop && most >= least; i++)
        status = try_exchange(&s, &error, &most, &known, &stop);
    *after += error;
    if (!status) memcpy(l->values + s.at, s.values, s.rows * s.n * sizeof(float));
    search_done(&s);
    return status;
}

static int run(struct fp_job *job, struct fp_layer *l) {
    double before = 0, after = 0;
    if (!l->w->repairable || !l->stat->sampled || l->w->rows * l->w->cols > UINT32_MAX) return FINEPRUNE_OK;
    int status = FINEPRUNE_OK;
    for (size_t g = 0; g < l->w->groups && !status; g++) status = search_group(job, l, g, &before, &after);
    if (!status && before > 0 && l->error_after >= 0) l->error_after *= sqrt(fmax(after, 0) / before);
    return status ? status : fp_repair_bias_change(job, l);
}

const struct fp_swaps fp_swaps_gradient = {"gradient",
                                           "pruned elements that the repair misses change places with kept ones",
                                           FP_NEED_SUMS | FP_NEED_GRAM, run, PARAMETERS};
