// SPDX-License-Identifier: Apache-2.0
// score = |W| / sqrt([H^-1]_cc): what pruning the synapse costs when the others of its row make up for it as well as
// they can. (Hassibi & Stork 1993, optimal brain surgeon.) H is the covariance C of the inputs, as constant parts go to
// the bias, drawn towards its mean diagonal v for few samples and for the repair's ridge: H = (1 - rho) C + (rho +
// ridge) v I with rho = prior / (n + prior) for n samples. It is taken as block-diagonal, in blocks of 256 columns that
// lie together (a channel's kernel positions are the ones that stand in for each other): the inverse of a wide layer as
// a whole would take longer than all the rest. Inputs that hardly move around a large mean have a covariance that is
// mostly rounding; where it has no inverse, v grows by a share of their mean square until it has.
#include <lapacke.h>
#include <math.h>

#include "maths/score_columns.h"

enum { PRIOR, RIDGE };
static const struct fp_parameter PARAMETERS[] = {
    [PRIOR] = {"prior", 10, 0, 10000, "samples that the mean variance of a layer's inputs counts as"},
    [RIDGE] = {"ridge", 0.01, 1e-4, 10, "added to the covariance, of its mean diagonal: the repair's is like it"},
    {0},
};

#define BLOCK 256

#define ROUNDING 1e-7 // of the products that a covariance is made of, relative to the mean square

struct drawn { // how far the covariance is drawn towards its mean diagonal
    double rho, ridge;
};

// 1 / sqrt of the inverse's diagonal, for the columns [first, first + m) of group g. h: m * m of room. False when there
// is no inverse.
static bool invert_block(const struct fp_layer *layer, size_t g, size_t first, size_t m, struct drawn by, double mean,
                         double *h, float *factors) {
    if (!fp_stat_covariance(layer->stat, g, first, m, h, 1)) return false;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < i; j++) h[i * m + j] *= 1 - by.rho;
        h[i * m + i] = (1 - by.rho) * h[i * m + i] + (by.rho + by.ridge) * mean;
    }
    // Row-major lower is column-major upper.
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)m, h, (int)m) ||
        LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (int)m, h, (int)m))
        return false;
    for (size_t i = 0; i < m; i++) factors[first + i] = (float)(1 / sqrt(h[i * m + i]));
    return true;
}

static double mean_variance(const struct fp_stat *s, size_t g) {
    double mean = 0;
    for (size_t c = 0; c < s->cols; c++)
        mean += fp_stat_deviation(s, g, c) * fp_stat_deviation(s, g, c) / (double)s->cols;
    return mean;
}

static bool factors_of_block(const struct fp_layer *layer, size_t g, size_t first, size_t m, struct drawn by,
                             double mean, double *h, float *factors) {
    double square = 0, add = 0;
    for (size_t c = first; c < first + m; c++)
        square += fp_stat_rms(layer->stat, g, c) * fp_stat_rms(layer->stat, g, c) / (double)m;
    do { // at least once: a block may be zero all over
        if (invert_block(layer, g, first, m, by, mean + add, h, factors)) return true;
        add = add > 0 ? 10 * add : ROUNDING * square;
    } while (add < square);
    return false;
}

static int factors_of_layer(struct fp_job *job, struct fp_layer *layer, float *factors) {
    const size_t n = layer->w->cols, width = fp_least(n, BLOCK), blocks = (n + BLOCK - 1) / BLOCK,
                 tasks = layer->w->groups * blocks;
    const double prior = fp_value(job, PARAMETERS, PRIOR);
    const struct drawn by = {prior / ((double)job->samples.n_local + prior), fp_value(job, PARAMETERS, RIDGE)};
    bool no_memory = false, no_inverse = false;
#pragma omp parallel num_threads(job->threads) if (layer -> w->groups * n > 64)
    {
        FP_STAGE(room, "scores");
        double *h = fp_arena_take(&room, width * width, sizeof(*h));
#pragma omp for schedule(dynamic)
        for (size_t t = 0; t < tasks; t++) {
            size_t g = t / blocks, first = t % blocks * BLOCK, m = fp_least(n - first, BLOCK);
            double mean = mean_variance(layer->stat, g);
            if (!h) {
#pragma omp atomic write
                no_memory = true;
            } else if (mean > 0 && !factors_of_block(layer, g, first, m, by, mean, h,
                                                     factors + g * n)) { // inputs that never move carry nothing
#pragma omp atomic write
                no_inverse = true;
            }
        }
    }
    if (no_memory) return fp_fail_memory(job->err, "scores", width * width * sizeof(double));
    if (no_inverse)
        return fp_fail(job->err, FINEPRUNE_DATA,
                       "the inputs of weight '%s' are not finite, or so small that their squares are nothing",
                       layer->w->name);
    return FINEPRUNE_OK;
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    if (!layer->stat->sampled) // a layer without co-activations
        return fp_score_deviations(job, layer, fp_value(job, PARAMETERS, PRIOR));
    FP_STAGE(room, "scores");
    float *factors = fp_arena_take(&room, layer->w->groups * layer->w->cols, sizeof(*factors));
    if (!factors) return fp_arena_check(&room, job->err);
    int status = factors_of_layer(job, layer, factors);
    if (!status) fp_score_factors(job, layer, factors);
    return status;
}

const struct fp_score fp_score_obs = {
    "obs", "|W| / sqrt of the inverse covariance's diagonal: what pruning costs after the best repair",
    FP_NEED_SUMS | FP_NEED_GRAM, run, PARAMETERS};
