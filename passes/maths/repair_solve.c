// SPDX-License-Identifier: Apache-2.0
// Many linear systems that share their matrix: each row r wants (C_SS + l I) u = C_SP w_P for its own S. Masked to S, a
// product with C over all rows at once is one matrix product, so conjugate gradients (Hestenes & Stiefel 1952) run for
// all rows together; rows that have converged leave.
#include "maths/repair_solve.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

#include "kernel/gemm.h"
#include "maths/repair_precondition.h"

#define PURPOSE "a repair"
#define DIRECT 128 // columns up to which systems are factorized
#define MOST_STEPS 200
#define REFINED 1e-3 // the residual of a refinement: its target has noise of its own
#define LOOSE 1e-3   // a tolerance over this one holds for what the output error falls by a step, too
#define EXACT 1536   // columns up to which only the residual counts
#define SHARED 5120  // columns that all rows keep, up to which they are factorized
#define LEAST_GAIN                                                                                                     \
    2e-4 // beyond, a step that takes less than this share of a row's output error is its last: what is left to gain is
         // about twice that

// ---- the matrix

static int from_gram(struct fp_system *s, struct fp_job *job, const struct fp_stat *stat, size_t g, double ridge) {
    const size_t n = s->n;
    size_t size;
    double diagonal = 0;
    if (!fp_mul(n, n, &size)) return fp_fail_memory(job->err, PURPOSE, SIZE_MAX);
    s->c = fp_arena_take(&s->arena, size, sizeof(float));
    if (n <= DIRECT) s->exact = fp_arena_take(&s->arena, size, sizeof(double));
    int status = fp_arena_check(&s->arena, job->err);
    if (status) return status;
    fp_stat_covariance_float(stat, g, s->c, job->threads);
    if (s->exact && !fp_stat_covariance(stat, g, 0, n, s->exact, job->threads))
        return fp_fail_memory(job->err, PURPOSE, size * sizeof(double));
    for (size_t i = 0; i < n; i++) diagonal += s->exact ? s->exact[i * n + i] : (double)s->c[i * n + i];
    s->ridge = (float)(ridge * diagonal / (double)n);
    return FINEPRUNE_OK;
}

static int from_rows(struct fp_system *s, struct fp_job *job, const struct fp_stat *stat, size_t g, double ridge) {
    size_t n = s->n, size;
    double diagonal = 0, scale = 1 / sqrt((double)stat->sampled);
    s->count = stat->sampled;
    if (!fp_mul(s->count, n, &size)) return fp_fail_memory(job->err, PURPOSE, SIZE_MAX);
    s->a = fp_arena_take(&s->arena, size, sizeof(float));
    if (!s->a) return fp_arena_check(&s->arena, job->err);
    for (size_t r = 0; r < s->count; r++)
        for (size_t c = 0; c < n; c++) {
            double v = ((double)stat->kept[(r * stat->groups + g) * n + c] -
                        stat->sampled_sum[g * n + c] / (double)s->count) *
                       scale;
            s->a[r * n + c] = (float)v;
            diagonal += v * v;
        }
    s->ridge = (float)(ridge * diagonal / (double)n);
    return FINEPRUNE_OK;
}

double fp_ridge(double share, double few, size_t n, size_t rows, size_t samples) {
    const double all = (double)fp_most(rows, 1), apart = samples ? (double)fp_least(fp_most(rows, 1), samples) : all;
    return share + few * fmax((double)n / sqrt(all * apart) - 0.5, 0);
}

static double of_repair(const struct fp_job *job, const char *name, double otherwise) {
    const struct fp_chosen *repair = &job->choices.chosen[FP_KIND_REPAIR];
    for (size_t i = 0; repair->parameters && repair->parameters[i].name; i++)
        if (!strcmp(repair->parameters[i].name, name)) return repair->values[i];
    return otherwise;
}

double fp_repair_ridge(const struct fp_job *job, const struct fp_stat *stat) {
    return fp_ridge(of_repair(job, "ridge", FP_REPAIR_RIDGE), of_repair(job, "few", FP_REPAIR_FEW), stat->cols,
                    stat->sampled, job->samples.n_local);
}

static bool open_products(struct fp_system *s, int threads) {
    if (s->c) return fp_product_init(&s->by_c, false, s->n, s->n, s->c, threads);
    return fp_product_init(&s->by_c, true, s->count, s->n, s->a, threads) &&
           fp_product_init(&s->by_rows, false, s->n, s->count, s->a, threads);
}

int fp_system_init(struct fp_system *s, struct fp_job *job, const struct fp_layer *layer, size_t g, double ridge) {
    *s = (struct fp_system){.arena = {.what = PURPOSE}, .n = layer->stat->cols};
    int status = layer->stat->gram ? from_gram(s, job, layer->stat, g, ridge)
                                   : from_rows(s, job, layer->stat, g, ridge);
    if (status) return status;
    if (!open_products(s, job->threads)) return fp_fail_memory(job->err, PURPOSE, s->n * s->n * sizeof(float));
    return FINEPRUNE_OK;
}

void fp_system_done(struct fp_system *s) {
    fp_product_done(&s->by_c);
    fp_product_done(&s->by_rows);
    fp_arena_free(&s->arena);
}

bool fp_system_apply(struct fp_system *s, const float *x, size_t rows, float *y, float *room) {
    if (s->c) return fp_product_run(&s->by_c, rows, x, y);
    return fp_product_run(&s->by_c, rows, x, room) && fp_product_run(&s->by_rows, rows, room, y);
}

// ---- one small system by Cholesky

static double lost(const double *row, const float *dense, const uint8_t *keep, size_t n) {
    double sum = 0;
    for (size_t c = 0; c < n; c++)
        if (!keep[c]) sum += row[c] * (double)dense[c];
    return sum;
}

static void factorize_row(const struct fp_system *s, const float *dense, const uint8_t *keep, float *values,
                          double *matrix, double *right, size_t *kept, double *before, double *after) {
    size_t n = s->n, n_kept = 0;
    *before = 0;
    for (size_t c = 0; c < n; c++)
        if (keep[c]) kept[n_kept++] = c;
        else *before += (double)dense[c] * lost(s->exact + c * n, dense, keep, n);
    *after = *before;
    for (size_t i = 0; i < n_kept; i++) {
        const double *row = s->exact + kept[i] * n;
        right[i] = right[n + i] = lost(row, dense, keep, n);
        for (size_t j = 0; j <= i; j++) matrix[i * n_kept + j] = row[kept[j]];
        matrix[i * n_kept + i] += (double)s->ridge;
    }
    // Row-major lower is column-major upper: no copy. A row that LAPACK finds singular stays as it is.
    if (!n_kept || n_kept == n ||
        LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (int)n_kept, 1, matrix, (int)n_kept, right, (int)n_kept))
        return;
    for (size_t i = 0; i < n_kept; i++) {
        values[kept[i]] = (float)((double)dense[kept[i]] + right[i]);
        *after -= right[i] * (right[n + i] + (double)s->ridge * right[i]);
    }
}

static int factorize(const struct fp_system *s, const float *dense, const uint8_t *keep, size_t rows, float *values,
                     double *before, double *after, int threads, fineprune_error *err) {
    size_t n = s->n;
    bool failed = false;
#pragma omp parallel num_threads(threads) if (rows * n > 2000)
    {
        FP_STAGE(room, PURPOSE);
        double *matrix = fp_arena_take(&room, n * n, sizeof(double)),
               *right = fp_arena_take(&room, 2 * n, sizeof(double));
        size_t *kept = fp_arena_take(&room, n, sizeof(size_t));
        if (room.failed) {
#pragma omp atomic write
            failed = true;
        }
#pragma omp for schedule(dynamic)
        for (size_t r = 0; r < rows; r++)
            if (!room.failed)
                factorize_row(s, dense + r * n, keep + r * n, values + r * n, matrix, right, kept, &before[r],
                              &after[r]);
    }
    if (failed) return fp_fail_memory(err, PURPOSE, n * n * sizeof(double));
    return FINEPRUNE_OK;
}

// ---- all rows at once by Cholesky, where they keep the same columns

static bool masks_are_same(const uint8_t *keep, size_t rows, size_t n) {
    size_t kept = 0;
    for (size_t r = 1; r < rows; r++)
        if (memcmp(keep, keep + r * n, n)) return false;
    for (size_t c = 0; c < n; c++) kept += keep[c];
    return kept <= SHARED;
}

struct shared {
    size_t *kept, n_kept;
    double *matrix, *right; // n_kept x n_kept, rows x n_kept
    float *pruned, *full;   // rows x n: the part of the dense rows that is pruned, and its product with c
};

// The lower triangle of c's kept rows and columns.
static bool fill_kept(struct shared *m, const struct fp_system *s) {
    const size_t n = s->n, k = m->n_kept;
    for (size_t i = 0; i < k && s->c; i++)
        for (size_t j = 0; j <= i; j++) m->matrix[i * k + j] = (double)s->c[m->kept[i] * n + m->kept[j]];
    if (s->c) return true;
    FP_STAGE(room, PURPOSE);
    double *a = fp_arena_take(&room, s->count, k * sizeof(*a));
    if (!a) return false;
    for (size_t r = 0; r < s->count; r++)
        for (size_t i = 0; i < k; i++) a[r * k + i] = (double)s->a[r * n + m->kept[i]];
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)k, (int)s->count, 1, a, (int)k, 0, m->matrix, (int)k);
    return true;
}

// The arrays live as long as the arena.
static bool shared_init(struct shared *m, struct fp_arena *arena, struct fp_system *s, const float *dense,
                        const uint8_t *keep, size_t rows) {
    const size_t n = s->n;
    *m = (struct shared){.kept = fp_arena_take(arena, n, sizeof(size_t))};
    for (size_t c = 0; c < n && m->kept; c++)
        if (keep[c]) m->kept[m->n_kept++] = c;
    m->matrix = fp_arena_take(arena, m->n_kept, m->n_kept * sizeof(double));
    m->right = fp_arena_take(arena, rows, m->n_kept * sizeof(double));
    m->pruned = fp_arena_take(arena, rows, n * sizeof(float));
    m->full = fp_arena_take(arena, rows, n * sizeof(float));
    FP_STAGE(stage, PURPOSE);
    float *room = fp_arena_take(&stage, rows, s->count * sizeof(float));
    if (arena->failed || stage.failed) return false;
    for (size_t i = 0; i < rows * n; i++)
        if (!keep[i]) m->pruned[i] = dense[i];
    if (!fp_system_apply(s, m->pruned, rows, m->full, room) || !fill_kept(m, s)) return false;
    for (size_t i = 0; i < m->n_kept; i++) m->matrix[i * m->n_kept + i] += (double)s->ridge;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < m->n_kept; i++) m->right[r * m->n_kept + i] = (double)m->full[r * n + m->kept[i]];
    return true;
}

static void solve_rows(const struct fp_system *s, const struct shared *m, const float *dense, size_t first, size_t rows,
                       float *values, double *after) {
    const size_t n = s->n, k = m->n_kept;
    // Row-major lower is column-major upper.
    if (LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (int)k, (int)rows, m->matrix, (int)k, m->right + first * k, (int)k))
        return;
    for (size_t r = first; r < first + rows; r++)
        for (size_t i = 0; i < k; i++) {
            const double u = m->right[r * k + i];
            values[r * n + m->kept[i]] = (float)((double)dense[r * n + m->kept[i]] + u);
            after[r] -= u * ((double)m->full[r * n + m->kept[i]] + (double)s->ridge * u);
        }
}

// A matrix that LAPACK finds singular leaves the rows as they are.
static int solve_shared(struct fp_system *s, const float *dense, const uint8_t *keep, size_t rows, float *values,
                        double *before, double *after, int threads, fineprune_error *err) {
    enum { BLOCK = 128 };
    FP_STAGE(room, PURPOSE);
    struct shared m;
    if (!shared_init(&m, &room, s, dense, keep, rows)) return fp_fail_memory(err, PURPOSE, rows * s->n * sizeof(float));
    for (size_t r = 0; r < rows; r++) after[r] = before[r] = fp_dot(m.pruned + r * s->n, m.full + r * s->n, s->n);
    if (!m.n_kept || m.n_kept == s->n ||
        LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)m.n_kept, m.matrix, (int)m.n_kept))
        return FINEPRUNE_OK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t r = 0; r < rows; r += BLOCK) solve_rows(s, &m, dense, r, fp_least(rows - r, BLOCK), values, after);
    return FINEPRUNE_OK;
}

// ---- all rows by conjugate gradients

struct gradients {
    struct fp_arena arena; // of its arrays
    struct fp_system *s;
    size_t active;        // rows that have not converged; they stand first
    size_t *row;          // which row each is
    float *u, *r, *p, *q; // active * n each
    float *room;          // for the products
    struct fp_precondition m;
    double *rz, *limit; // r . z, and the r . r at which a row is done
    double *left;       // (w - u)^T C (w - u) + l u^T u, which the solution makes least; w is 0 where u is not
    double gain;        // a step that lowers `left` by less than this share is a row's last
    bool *done;
};

static bool precondition(struct gradients *g, const uint8_t *keep, double tolerance, int threads) {
    struct fp_system *s = g->s;
    const size_t n = s->n;
    FP_STAGE(room, PURPOSE);
    float *diagonal = fp_arena_take(&room, n, sizeof(*diagonal));
    if (!diagonal) return false;
    for (size_t i = 0; i < n; i++) {
        double sum = s->c ? (double)s->c[i * n + i] : 0;
        for (size_t k = 0; s->a && k < s->count; k++) sum += (double)s->a[k * n + i] * (double)s->a[k * n + i];
        diagonal[i] = (float)sum;
    }
    return fp_precondition_init(&g->m, s, diagonal, keep, g->active, tolerance, threads);
}

static bool gradients_init(struct gradients *g, struct fp_system *s, const uint8_t *keep, size_t rows, double tolerance,
                           int threads) {
    size_t size;
    *g = (struct gradients){.arena = {.what = PURPOSE}, .s = s, .active = rows};
    if (!fp_mul(rows, s->n, &size) || !precondition(g, keep, tolerance, threads)) return false;
    g->row = fp_arena_take(&g->arena, rows, sizeof(*g->row));
    g->u = fp_arena_take(&g->arena, size, sizeof(float));
    g->r = fp_arena_take(&g->arena, size, sizeof(float));
    g->p = fp_arena_take(&g->arena, size, sizeof(float));
    g->q = fp_arena_take(&g->arena, size, sizeof(float));
    g->room = fp_arena_take(&g->arena, rows * fp_most(s->count, g->m.rank), sizeof(float));
    g->rz = fp_arena_take(&g->arena, rows, sizeof(double));
    g->limit = fp_arena_take(&g->arena, rows, sizeof(double));
    g->left = fp_arena_take(&g->arena, rows, sizeof(double));
    g->done = fp_arena_take(&g->arena, rows, sizeof(bool));
    if (tolerance > LOOSE) g->gain = tolerance;
    else if (s->n > EXACT) g->gain = LEAST_GAIN;
    return !g->arena.failed;
}

static void gradients_done(struct gradients *g) {
    fp_precondition_done(&g->m);
    fp_arena_free(&g->arena);
}

// In eight sums, for the vector unit, which then are added in order.
FP_VECTOR double fp_dot(const float *a, const float *b, size_t n) {
    double sums[8] = {0}, sum = 0;
    size_t c = 0;
    for (; c + 8 <= n; c += 8)
        for (int i = 0; i < 8; i++) sums[i] += (double)a[c + (size_t)i] * (double)b[c + (size_t)i];
    for (int i = 0; i < 8; i++) sum += sums[i];
    for (; c < n; c++) sum += (double)a[c] * (double)b[c];
    return sum;
}

// r = C_SP w_P.
static bool right_of_pruned(struct gradients *g, const float *dense, const uint8_t *keep, double *before, int threads) {
    size_t n = g->s->n;
    for (size_t i = 0; i < g->active; i++)
        for (size_t c = 0; c < n; c++)
            if (!keep[i * n + c]) g->p[i * n + c] = dense[i * n + c];
    if (!fp_system_apply(g->s, g->p, g->active, g->r, g->room)) return false;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < g->active; i++) before[i] = fp_dot(g->p + i * n, g->r + i * n, n);
    return true;
}

// From r and what is left to lower: p = z = M^-1 r_S.
static bool start(struct gradients *g, const uint8_t *keep, double tolerance, const double *before, int threads) {
    size_t n = g->s->n;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < g->active; i++) {
        g->row[i] = i;
        g->left[i] = before[i];
        for (size_t c = 0; c < n; c++)
            if (!keep[i * n + c]) g->r[i * n + c] = 0;
    }
    if (!fp_precondition_apply(&g->m, g->r, g->active, g->row, keep, g->p, g->room, threads)) return false;
    for (size_t i = 0; i < g->active; i++) {
        double rr = fp_dot(g->r + i * n, g->r + i * n, n);
        g->rz[i] = fp_dot(g->r + i * n, g->p + i * n, n);
        g->limit[i] = tolerance * tolerance * rr;
        g->done[i] = !(rr > 0);
    }
    return true;
}

static bool step(struct gradients *g, const uint8_t *keep, int threads) {
    size_t n = g->s->n;
    if (!fp_system_apply(g->s, g->p, g->active, g->q, g->room)) return false;
#pragma omp parallel for num_threads(threads) schedule(static) if (g->active * n > 20000)
    for (size_t i = 0; i < g->active; i++) {
        const uint8_t *k = keep + g->row[i] * n;
        float *u = g->u + i * n, *r = g->r + i * n, *p = g->p + i * n, *q = g->q + i * n;
        for (size_t c = 0; c < n; c++) q[c] = (q[c] + g->s->ridge * p[c]) * (float)k[c];
        double pq = fp_dot(p, q, n);
        if (!(pq > 0)) {
            g->done[i] = true;
            continue;
        }
        float alpha = (float)(g->rz[i] / pq);
        for (size_t c = 0; c < n; c++) {
            u[c] += alpha * p[c];
            r[c] -= alpha * q[c];
        }
        const double gained = (double)alpha * g->rz[i];
        g->left[i] -= gained;
        g->done[i] = fp_dot(r, r, n) <= g->limit[i] || gained <= g->gain * g->left[i];
    }
    if (!fp_precondition_apply(&g->m, g->r, g->active, g->row, keep, g->q, g->room, threads)) return false;
#pragma omp parallel for num_threads(threads) schedule(static) if (g->active * n > 20000)
    for (size_t i = 0; i < g->active; i++) {
        float *p = g->p + i * n, *z = g->q + i * n;
        double rz = fp_dot(g->r + i * n, z, n);
        float beta = (float)(rz / g->rz[i]);
        for (size_t c = 0; c < n; c++) p[c] = z[c] + beta * p[c];
        g->rz[i] = rz;
    }
    return true;
}

// Rows that are done give their result and leave; the others close up, in order.
static void leave(struct gradients *g, const float *base, const uint8_t *keep, float *values, double *after) {
    size_t n = g->s->n, left = 0;
    for (size_t i = 0; i < g->active; i++) {
        size_t row = g->row[i];
        if (g->done[i]) {
            if (after) after[row] = g->left[i] - (double)g->s->ridge * fp_dot(g->u + i * n, g->u + i * n, n);
            for (size_t c = 0; c < n; c++)
                if (keep[row * n + c]) values[row * n + c] = base[row * n + c] + g->u[i * n + c];
            continue;
        }
        if (left != i) {
            memcpy(g->u + left * n, g->u + i * n, n * sizeof(float));
            memcpy(g->r + left * n, g->r + i * n, n * sizeof(float));
            memcpy(g->p + left * n, g->p + i * n, n * sizeof(float));
            g->row[left] = row;
            g->rz[left] = g->rz[i];
            g->limit[left] = g->limit[i];
            g->left[left] = g->left[i];
        }
        g->done[left++] = false;
    }
    g->active = left;
}

static bool iterate(struct gradients *g, const float *base, const uint8_t *keep, float *values, int steps,
                    double *after, int threads) {
    leave(g, base, keep, values, after);
    for (int i = 0; i < steps && g->active; i++) {
        if (!step(g, keep, threads)) return false;
        leave(g, base, keep, values, after);
    }
    for (size_t i = 0; i < g->active; i++) g->done[i] = true; // as far as they came
    leave(g, base, keep, values, after);
    return true;
}

static int solve_all(struct fp_system *s, const float *dense, const uint8_t *keep, size_t rows, float *values,
                     double tolerance, double *before, double *after, int threads, fineprune_error *err) {
    struct gradients g;
    const bool done = gradients_init(&g, s, keep, rows, tolerance, threads) &&
                      right_of_pruned(&g, dense, keep, before, threads) &&
                      start(&g, keep, tolerance, before, threads) &&
                      iterate(&g, dense, keep, values, MOST_STEPS, after, threads);
    gradients_done(&g);
    if (!done) return fp_fail_memory(err, PURPOSE, 4 * rows * s->n * sizeof(float));
    return FINEPRUNE_OK;
}

int fp_system_refine(struct fp_system *s, const float *right, const uint8_t *keep, size_t rows, float *values,
                     int steps, const double *left, int threads, fineprune_error *err) {
    struct gradients g;
    if (!(s->ridge > 0)) return FINEPRUNE_OK; // an input that never moves
    bool done = gradients_init(&g, s, keep, rows, REFINED, threads);
    if (done) memcpy(g.r, right, rows * s->n * sizeof(float));
    done = done && start(&g, keep, REFINED, left, threads) && iterate(&g, values, keep, values, steps, NULL, threads);
    gradients_done(&g);
    if (!done) return fp_fail_memory(err, PURPOSE, 4 * rows * s->n * sizeof(float));
    return FINEPRUNE_OK;
}

int fp_system_solve(struct fp_system *s, const float *dense, const uint8_t *keep, size_t rows, float *values,
                    double tolerance, double *before, double *after, int threads, fineprune_error *err) {
    if (!(s->ridge > 0)) { // an input that never moves
        for (size_t r = 0; r < rows; r++) before[r] = after[r] = 0;
        return FINEPRUNE_OK;
    }
    if (s->exact) return factorize(s, dense, keep, rows, values, before, after, threads, err);
    if (masks_are_same(keep, rows, s->n))
        return solve_shared(s, dense, keep, rows, values, before, after, threads, err);
    return solve_all(s, dense, keep, rows, values, tolerance, before, after, threads, err);
}
