// SPDX-License-Identifier: Apache-2.0
// What a classifier says of each sample: the last layer's input and its scores.
#include "stats/gather_parts.h"

static double sum_of(const float *at, size_t step, size_t n) {
    double sum = 0;
    for (size_t p = 0; p < n; p++) sum += (double)at[p * step];
    return sum;
}

// The sum over the positions of element i of sample u. A product's values lie [sample, positions..., width], a
// convolution's [sample, width, positions...]; They are watched as values, which come row-major whatever order the
// executor keeps them in (fp_exec_watch_value).
static double sum_of_positions(const float *v, size_t u, size_t i, size_t width, size_t positions, bool last) {
    if (last) return sum_of(v + u * positions * width + i, width, positions);
    return sum_of(v + (u * width + i) * positions, 1, positions);
}

void fp_gather_answers_see(struct fp_gathering *g, bool features, const struct fp_tensor *x) {
    struct fp_answers *a = &g->stats->answers;
    const struct fp_classifier *c = g->request->classifier;
    const bool last = g->weights->items[c->weight].kind == FP_WEIGHT_RIGHT;
    size_t width = features ? a->n_features : a->classes, units = g->samples;
    // Scores of time steps, with the batch squeezed away, are nobody's answers.
    a->unlike |= !units || x->count % (units * width) || (!features && (!x->rank || x->dims[0] != (int64_t)units));
    if (a->unlike) return;
    // A layer before a pooling has positions: the classifier is linear, so their mean is what counts.
    size_t positions = x->count / (units * width);
    float *dst = (features ? a->features : a->logits) + a->samples * width;
    for (size_t u = 0; u < g->real; u++)
        for (size_t i = 0; i < width; i++)
            dst[u * width + i] = (float)(sum_of_positions(x->data, u, i, width, positions, last) / (double)positions);
}

int fp_gather_answers_init(struct fp_gathering *g, struct fp_exec *exec, size_t n, fineprune_error *err) {
    const struct fp_classifier *c = g->request->classifier;
    if (!(g->request->needs & FP_NEED_ANSWERS) || !c || c->weight < 0) return FINEPRUNE_OK;
    struct fp_answers *a = &g->stats->answers;
    *a = (struct fp_answers){.n_features = c->features, .classes = c->classes};
    size_t f, l;
    if (!fp_mul(n, c->features, &f) || !fp_mul(n, c->classes, &l)) return fp_fail_memory(err, "answers", n);
    a->features = fp_calloc(f, sizeof(float));
    a->logits = fp_calloc(l, sizeof(float));
    if (!a->features || !a->logits) return fp_fail_memory(err, "answers", (f + l) * sizeof(float));
    int status = fp_exec_watch_value(exec, c->features_value, g->n_targets, err);
    if (status) return status;
    return fp_exec_watch_value(exec, c->logits_value, g->n_targets + 1, err);
}
