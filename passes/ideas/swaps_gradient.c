// SPDX-License-Identifier: Apache-2.0
// A mask is chosen before the repair, one element at a time; the repair then shows which pruned elements are missed.
// With A = Cov(x) + l I, dense rows W and repaired rows w, the error is e = tr((W - w) A (W - w)^T) and its gradient G
// = (W - w) A: an element that comes back alone lowers e by G^2 / A_cc, one that leaves, the others making up for it,
// raises it by w^2 / (A^-1)_cc. The greatest gains change places with the least costs where they are greater, a share
// of the kept at a time, all rows together; after a new repair the exchange stays if e fell. (Local search over
// supports, as for subset selection; the two estimates are those of Hassibi & Stork 1993) The estimates are of elements
// alone: where an exchange brings less than half of their sum, fewer at a time bring more. Within a pattern that has
// cells (N:M) only elements of one cell change places, one pair of each cell at a time. Whole blocks and channels are
// not exchanged: what they gain together is not the sum of what elements gain alone.
#include <lapacke.h>
#include <math.h>

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
    struct fp_arena arena; // of its arrays
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
    uint32_t *cell;                           // rows x n: of the pattern; NULL: any two change places
};

static void search_done(struct search *s) {
    fp_system_done(&s->system);
    fp_arena_free(&s->arena);
}

// The diagonals of A and of its inverse, the latter block by block where A is wide. *sound: it has one.
static int fill_diagonals(struct search *s, bool *sound) {
    const size_t n = s->n, width = n <= WIDEST ? n : BLOCK;
    const double ridge = (double)s->system.ridge;
    FP_STAGE(room, s->layer->w->name);
    double *a = fp_arena_take(&room, width * width, sizeof(*a));
    if (!a) return fp_arena_check(&room, s->job->err);
    *sound = true;
    for (size_t first = 0; first < n && *sound; first += width) {
        const size_t m = fp_least(n - first, width);
        if (!fp_stat_covariance(s->layer->stat, s->g, first, m, a, s->job->threads))
            return fp_fail_memory(s->job->err, s->layer->w->name, m * m * sizeof(*a));
        for (size_t i = 0; i < m; i++) {
            s->diagonal[first + i] = (float)(a[i * m + i] + ridge);
            a[i * m + i] += ridge;
        }
        *sound = !LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)m, a, (int)m) &&
                 !LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (int)m, a, (int)m);
        for (size_t i = 0; i < m; i++) s->inverse[first + i] = (float)a[i * m + i];
    }
    return FINEPRUNE_OK;
}

static int search_init(struct search *s, struct fp_job *job, struct fp_layer *l, size_t g) {
    const size_t rows = l->w->rows, n = l->w->cols, count = rows * n;
    *s = (struct search){.job = job, .layer = l, .g = g, .rows = rows, .n = n, .at = g * count};
    struct fp_arena *arena = &s->arena;
    arena->what = l->w->name;
    s->values = fp_arena_copy(arena, l->values + s->at, count, sizeof(float));
    s->trial = fp_arena_take(arena, count, sizeof(float));
    s->gradient = fp_arena_take(arena, count, sizeof(float));
    s->score = fp_arena_take(arena, count, sizeof(float));
    s->keep = fp_arena_take(arena, count, 1);
    s->inverse = fp_arena_take(arena, n, sizeof(float));
    s->diagonal = fp_arena_take(arena, n, sizeof(float));
    s->left = fp_arena_take(arena, rows, sizeof(double));
    s->order = fp_arena_take(arena, count, sizeof(*s->order));
    s->room = fp_arena_take(arena, count, sizeof(*s->room));
    const struct fp_pattern *pattern = job->choices.pattern;
    if (pattern && pattern->cells) s->cell = fp_arena_take(arena, count, sizeof(*s->cell));
    int status = fp_arena_check(arena, job->err);
    if (!status && s->cell) status = pattern->cells(job, l, job->choices.pattern_text, s->cell);
    if (status) return status;
    return fp_system_init(&s->system, job, l, g, fp_repair_ridge(job, l->stat));
}

// A row's error as it counts among the others.
static double counted(const struct search *s, size_t row) {
    const double weight = (double)fp_row_weight(s->layer, s->g * s->rows + row);
    return weight * weight * s->left[row];
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
    FP_STAGE(stage, s->layer->w->name);
    float *room = fp_arena_take(&stage, s->rows * s->system.count, sizeof(*room)); // count is 0 where none is needed
    if (!room || !fp_system_apply(&s->system, x, s->rows, s->gradient, room)) return -1;
#pragma omp parallel for num_threads(s->job->threads) schedule(static)
    for (size_t r = 0; r < s->rows; r++) {
        for (size_t c = 0; c < n; c++) s->gradient[r * n + c] += s->system.ridge * x[r * n + c];
        s->left[r] = fp_dot(x + r * n, s->gradient + r * n, n);
    }
    for (size_t r = 0; r < s->rows; r++) sum += counted(s, r);
    return fmax(sum, 0); // of nothing, rounding can be less
}

// May an element that is pruned come back?
static bool may_return(const struct search *s, size_t i) {
    const size_t row = s->g * s->rows + i / s->n;
    return !fp_row_removed(s->layer, row) && !fp_cut(s->layer, row, i % s->n) && !fp_came_zero(s->layer, s->at + i) &&
           !fp_column_dead(s->layer, row, i % s->n);
}

// What the error falls by when the element comes back, or rises by when it leaves.
static float score_of(const struct search *s, size_t i, bool kept) {
    const float weight = fp_row_weight(s->layer, s->g * s->rows + i / s->n), v = weight * s->values[i],
                gradient = weight * s->gradient[i];
    if (kept) return v * v / s->inverse[i % s->n];
    return gradient * gradient / s->diagonal[i % s->n];
}

// Element numbers of one kind by falling gain, or by rising cost; how many, SIZE_MAX without memory.
static size_t sort_kind(struct search *s, const uint8_t *keep, bool kept, uint32_t *order) {
    const size_t count = s->rows * s->n;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept != (keep[i] != 0) || (!kept && !may_return(s, i))) continue;
        s->score[n] = score_of(s, i, kept);
        s->room[n++] = (uint32_t)i;
    }
    FP_STAGE(room, s->layer->w->name);
    uint32_t *places = fp_arena_take(&room, n, sizeof(*places)), *spare = fp_arena_take(&room, n, sizeof(*spare));
    if (room.failed) return SIZE_MAX;
    fp_sort_scores(s->score, places, spare, n);
    for (size_t i = 0; i < n; i++) order[i] = s->room[places[kept ? i : n - 1 - i]];
    return n;
}

static bool is_better(const struct search *s, uint32_t than, size_t i, bool kept) {
    if (than == UINT32_MAX) return true;
    const float now = score_of(s, i, kept), best = score_of(s, than, kept);
    return kept ? now < best : now > best;
}

// Of every cell the pruned element that gains most and the kept one that costs least; UINT32_MAX: there is none.
static void find_best(const struct search *s, const uint8_t *keep, uint32_t *back, uint32_t *leave) {
    const size_t count = s->rows * s->n;
    memset(back, 0xff, count * sizeof(*back));
    memset(leave, 0xff, count * sizeof(*leave));
    for (size_t i = 0; i < count; i++) {
        const bool kept = keep[i];
        uint32_t *best = (kept ? leave : back) + s->cell[i];
        if ((kept || may_return(s, i)) && is_better(s, *best, i, kept)) *best = (uint32_t)i;
    }
}

// Pairs of one cell each that bring something, by falling difference: back[k] and leave[k]. How many, SIZE_MAX without
// memory.
static size_t sort_pairs(struct search *s, const uint8_t *keep, uint32_t *back, uint32_t *leave) {
    const size_t count = s->rows * s->n;
    size_t n = 0;
    FP_STAGE(room, s->layer->w->name);
    uint32_t *best_back = fp_arena_take(&room, count, sizeof(*best_back)),
             *best_leave = fp_arena_take(&room, count, sizeof(*best_leave)),
             *places = fp_arena_take(&room, count, sizeof(*places));
    if (room.failed) return SIZE_MAX;
    find_best(s, keep, best_back, best_leave);
    for (size_t c = 0; c < count; c++) {
        if (best_back[c] == UINT32_MAX || best_leave[c] == UINT32_MAX) continue;
        const float gain = score_of(s, best_back[c], false) - score_of(s, best_leave[c], true);
        if (!(gain > 0)) continue;
        s->score[n] = gain;
        best_back[n] = best_back[c];
        best_leave[n++] = best_leave[c];
    }
    fp_sort_scores(s->score, places, s->room, n);
    for (size_t i = 0; i < n; i++) {
        back[i] = best_back[places[n - 1 - i]];
        leave[i] = best_leave[places[n - 1 - i]];
    }
    return n;
}

// How many of each kind there are in back and leave; false without memory.
static bool sort_both(struct search *s, const uint8_t *keep, uint32_t *back, uint32_t *leave, size_t *n_back,
                      size_t *n_leave) {
    if (s->cell) *n_back = *n_leave = sort_pairs(s, keep, back, leave);
    else *n_back = sort_kind(s, keep, false, back), *n_leave = sort_kind(s, keep, true, leave);
    return *n_back != SIZE_MAX && *n_leave != SIZE_MAX;
}

// The trial's mask and values. How many pairs changed places, SIZE_MAX without memory; *hope: what the estimates say
// the error falls by.
static size_t exchange(struct search *s, size_t most, double *hope) {
    const size_t count = s->rows * s->n;
    const uint8_t *keep = s->layer->keep + s->at;
    FP_STAGE(room, s->layer->w->name);
    uint32_t *back = s->order, *leave = fp_arena_take(&room, count, sizeof(*leave));
    if (!leave) return SIZE_MAX;
    size_t n_back, n_leave, done = 0;
    if (!sort_both(s, keep, back, leave, &n_back, &n_leave)) return SIZE_MAX;
    *hope = 0;
    memcpy(s->keep, keep, count);
    memcpy(s->trial, s->values, count * sizeof(float));
    for (; done < most && done < n_back && done < n_leave; done++) {
        const float gain = score_of(s, back[done], false), cost = score_of(s, leave[done], true);
        if (!(gain > cost)) break;
        *hope += (double)(gain - cost);
        s->keep[back[done]] = 1;
        s->keep[leave[done]] = 0;
        s->trial[back[done]] = s->trial[leave[done]] = 0;
    }
    return done;
}

// One exchange and its repair. *error falls when it stays; *most shrinks when it disappoints; *stop when there is
// nothing (more) to gain. The gradient is that of the values, where `known` says so.
static int try_exchange(struct search *s, double *error, size_t *most, bool *known, bool *stop) {
    struct fp_job *job = s->job;
    const size_t bytes = s->rows * s->n * sizeof(float);
    if (!*known && measure(s, s->values) < 0) return fp_fail_memory(job->err, s->layer->w->name, bytes);
    double hope;
    const size_t done = exchange(s, *most, &hope);
    if (done == SIZE_MAX) return fp_fail_memory(job->err, s->layer->w->name, bytes);
    *stop = done < (size_t)fp_value(job, PARAMETERS, LEAST);
    if (*stop) return FINEPRUNE_OK;
    if (measure(s, s->trial) < 0) return fp_fail_memory(job->err, s->layer->w->name, bytes);
    int status = fp_system_refine(&s->system, s->gradient, s->keep, s->rows, s->trial,
                                  (int)fp_value(job, PARAMETERS, STEPS), s->left, job->threads, job->err);
    if (status) return status;
    const double now = measure(s, s->trial);
    if (now < 0) return fp_fail_memory(job->err, s->layer->w->name, bytes);
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

static int exchange_all(struct search *s, double *before, double *after) {
    struct fp_job *job = s->job;
    bool stop = false, known = true, sound = false;
    int status = s->system.ridge > 0 ? fill_diagonals(s, &sound) : FINEPRUNE_OK;
    if (status || !sound) return status;
    size_t kept = 0;
    for (size_t i = 0; i < s->rows * s->n; i++) kept += s->layer->keep[s->at + i];
    size_t most = (size_t)(fp_value(job, PARAMETERS, SHARE) * (double)kept);
    double error = measure(s, s->values);
    if (error < 0) return fp_fail_memory(job->err, s->layer->w->name, s->rows * s->n * sizeof(float));
    const int tries = (int)fp_value(job, PARAMETERS, TRIES);
    const size_t least = (size_t)fp_value(job, PARAMETERS, LEAST);
    *before += error;
    for (int i = 0; i < tries && !status && !stop && most >= least; i++)
        status = try_exchange(s, &error, &most, &known, &stop);
    *after += error;
    if (!status) memcpy(s->layer->values + s->at, s->values, s->rows * s->n * sizeof(float));
    return status;
}

static int search_group(struct fp_job *job, struct fp_layer *l, size_t g, double *before, double *after) {
    struct search s;
    int status = search_init(&s, job, l, g);
    if (!status) status = exchange_all(&s, before, after);
    search_done(&s);
    return status;
}

static int run(struct fp_job *job, struct fp_layer *l) {
    double before = 0, after = 0;
    if (!l->w->repairable || !l->stat->sampled || l->w->rows * l->w->cols > UINT32_MAX) return FINEPRUNE_OK;
    int status = FINEPRUNE_OK;
    for (size_t g = 0; g < l->w->groups && !status; g++) status = search_group(job, l, g, &before, &after);
    if (!status && before > 0 && l->error_after >= 0) l->error_after *= sqrt(fmax(after, 0) / before);
    if (status) return status;
    return fp_repair_bias_change(job, l);
}

const struct fp_swaps fp_swaps_gradient = {"gradient",
                                           "pruned elements that the repair misses change places with kept ones",
                                           FP_NEED_SUMS | FP_NEED_GRAM, run, PARAMETERS};
