// SPDX-License-Identifier: Apache-2.0
// Softmax, the best class and class frequencies over a classifier's answers.
#include "maths/answers.h"

#include <math.h>

void fp_softmax(const double *logits, double *q, size_t classes, const uint8_t *use) {
    double most = -INFINITY, sum = 0;
    for (size_t k = 0; k < classes; k++)
        if (!use || use[k]) most = fmax(most, logits[k]);
    for (size_t k = 0; k < classes; k++) {
        q[k] = !use || use[k] ? exp(logits[k] - most) : 0;
        sum += q[k];
    }
    for (size_t k = 0; k < classes; k++) q[k] /= sum;
}

size_t fp_best(const float *logits, size_t classes, const uint8_t *use) {
    size_t best = classes;
    for (size_t k = 0; k < classes; k++)
        if ((!use || use[k]) && (best == classes || logits[k] > logits[best])) best = k;
    return best;
}

bool fp_changes_may_help(double changes, double expected) {
    return changes < 2 * expected && changes <= expected + 2 * sqrt(expected) + 1;
}

int fp_frequencies(const double *logits, size_t n, size_t k, double *pi) {
    size_t size;
    if (!fp_mul(n, k, &size)) return FINEPRUNE_LIMIT;
    FP_STAGE(room, "answers");
    double *p = fp_arena_take(&room, size, sizeof(*p)), *next = fp_arena_take(&room, k, sizeof(*next));
    if (room.failed) return FINEPRUNE_LIMIT;
    for (size_t i = 0; i < n; i++) fp_softmax(logits + i * k, p + i * k, k, NULL);
    for (size_t c = 0; c < k; c++) pi[c] = 1 / (double)k;
    for (int step = 0; step < 2000; step++) {
        double moved = 0;
        memset(next, 0, k * sizeof(*next));
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t c = 0; c < k; c++) sum += p[i * k + c] * pi[c];
            for (size_t c = 0; c < k && sum > 0; c++) next[c] += p[i * k + c] * pi[c] / sum / (double)n;
        }
        for (size_t c = 0; c < k; c++) {
            moved = fmax(moved, fabs(next[c] - pi[c]));
            pi[c] = next[c];
        }
        if (moved < 1e-7) break;
    }
    return FINEPRUNE_OK;
}

int fp_answers_copy(struct fp_answers *dst, const struct fp_answers *src, fineprune_error *err) {
    size_t f = src->samples * src->n_features, l = src->samples * src->classes;
    *dst = *src;
    dst->features = fp_calloc(f, sizeof(float));
    dst->logits = fp_calloc(l, sizeof(float));
    if (!dst->features || !dst->logits) return fp_fail_memory(err, "answers", (f + l) * sizeof(float));
    if (f) memcpy(dst->features, src->features, f * sizeof(float));
    if (l) memcpy(dst->logits, src->logits, l * sizeof(float));
    return FINEPRUNE_OK;
}
