// SPDX-License-Identifier: Apache-2.0
// Layers with more outlying scores are pruned less: share_i = sparsity + lambda * (mean of D - D_i) scaled to +-lambda,
// where D_i is the share of scores above `outlier` times the layer's mean. (Yin et al. 2024, "Outlier weighed layerwise
// sparsity")
#include <math.h>

#include "maths/allocate.h"

enum { LAMBDA, OUTLIER };
static const struct fp_parameter PARAMETERS[] = {
    [LAMBDA] = {"lambda", 0.08, 0, 0.5, "how far a layer's share may lie from the asked sparsity"},
    [OUTLIER] = {"outlier", 5, 1, 100, "times the layer's mean score, above which a score is outlying"},
    {0},
};

static double outliers(const struct fp_layer *layer, double times_mean) {
    double mean = 0;
    size_t n = layer->w->count, above = 0;
    for (size_t i = 0; i < n; i++) mean += (double)layer->score[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) above += (double)layer->score[i] > times_mean * mean;
    return (double)above / (double)n;
}

// Shares within sparsity +- lambda, linear in the outliers, whose mean over all elements is the sparsity.
static void shares_of(const struct fp_job *job, double *d, double sparsity) {
    const double lambda = fp_value(job, PARAMETERS, LAMBDA), times_mean = fp_value(job, PARAMETERS, OUTLIER);
    double low = INFINITY, high = -INFINITY, mean = 0;
    for (int i = 0; i < job->layers.n; i++) {
        d[i] = outliers(&job->layers.items[i], times_mean);
        low = fmin(low, d[i]);
        high = fmax(high, d[i]);
    }
    for (int i = 0; i < job->layers.n; i++) {
        d[i] = high > low ? (d[i] - low) / (high - low) * 2 * lambda : 0;
        mean += d[i] * (double)job->layers.items[i].w->count / (double)job->layers.total;
    }
    for (int i = 0; i < job->layers.n; i++) d[i] = fmin(fmax(sparsity + mean - d[i], 0), 1);
}

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)zeros;
    FP_STAGE(room, "masks");
    double *share = fp_arena_take(&room, (size_t)job->layers.n, sizeof(*share));
    if (!share) return fp_arena_check(&room, job->err);
    shares_of(job, share, sparsity);
    fp_allocate_start(job);
    int status = FINEPRUNE_OK;
    for (int i = 0; i < job->layers.n && !status; i++) status = fp_allocate_layer(job, &job->layers.items[i], share[i]);
    if (!status) fp_allocate_finish(job);
    return status;
}

const struct fp_allocation fp_allocation_owl = {"owl", "layers with more outlying scores are pruned less", run, false,
                                                .parameters = PARAMETERS};
