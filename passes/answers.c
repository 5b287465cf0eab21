// SPDX-License-Identifier: Apache-2.0
// Softmax, class frequencies and ridge regression over a classifier's answers.
#include "answers.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

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

int fp_class_frequencies(const struct fp_answers *a, double *pi) {
    size_t n = a->samples, k = a->classes;
    double *p = fp_calloc(n * k + 2 * k, sizeof(*p));
    if (!p) return FINEPRUNE_LIMIT;
    double *next = p + n * k, *row = next + k;
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < k; c++) row[c] = (double)a->logits[i * k + c];
        fp_softmax(row, p + i * k, k, NULL);
    }
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
    free(p);
    return FINEPRUNE_OK;
}

struct centred {
    double *x, *y;           // n x d, n x k: features and residuals without their means
    double *mean_x, *mean_y; // d, k
};

static bool centre(struct centred *c, const float *features, size_t n, size_t d, const double *targets, size_t k, const double *w, const double *b) {
    c->x = fp_calloc(n * d, sizeof(double));
    c->y = fp_calloc(n * k, sizeof(double));
    c->mean_x = fp_calloc(d, sizeof(double));
    c->mean_y = fp_calloc(k, sizeof(double));
    if (!c->x || !c->y || !c->mean_x || !c->mean_y) return false;
    for (size_t i = 0; i < n * d; i++) c->x[i] = (double)features[i];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++) c->y[i * k + j] = targets[i * k + j] - b[j];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)k, (int)d, -1, c->x, (int)d, w, (int)d, 1, c->y, (int)k);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) c->mean_x[j] += c->x[i * d + j] / (double)n;
        for (size_t j = 0; j < k; j++) c->mean_y[j] += c->y[i * k + j] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) c->x[i * d + j] -= c->mean_x[j];
        for (size_t j = 0; j < k; j++) c->y[i * k + j] -= c->mean_y[j];
    }
    return true;
}

static void centred_done(struct centred *c) {
    free(c->x);
    free(c->y);
    free(c->mean_x);
    free(c->mean_y);
}

// u (k x d) = y^T x (x^T x + l I)^-1, by whichever of the two systems is smaller.
static bool solve(const struct centred *c, size_t n, size_t d, size_t k, double l, double *u) {
    bool dual = n < d;
    size_t side = dual ? n : d;
    double *m = fp_calloc(side * side, sizeof(*m)), *right = fp_calloc(side * k, sizeof(*right));
    bool done = m && right;
    if (done) {
        cblas_dsyrk(CblasRowMajor, CblasLower, dual ? CblasNoTrans : CblasTrans, (int)side, (int)(dual ? d : n), 1, c->x, (int)d, 0, m, (int)side);
        for (size_t i = 0; i < side; i++) m[i * side + i] += l;
        if (dual) memcpy(right, c->y, n * k * sizeof(*right));
        else cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)d, (int)k, (int)n, 1, c->x, (int)d, c->y, (int)k, 0, right, (int)k);
        done = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (int)side, (int)k, m, (int)side, right, (int)k) == 0;
    }
    if (done && dual)
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, (int)d, (int)n, 1, right, (int)k, c->x, (int)d, 0, u, (int)d);
    else if (done)
        for (size_t j = 0; j < k; j++)
            for (size_t i = 0; i < d; i++) u[j * d + i] = right[i * k + j];
    free(m);
    free(right);
    return done;
}

int fp_ridge(const float *features, size_t n, size_t d, const double *targets, size_t k, double ridge, double *w, double *b) {
    struct centred c = {0};
    double *u = fp_calloc(k * d, sizeof(*u));
    bool done = u && centre(&c, features, n, d, targets, k, w, b);
    if (done) {
        double diagonal = 0;
        for (size_t i = 0; i < n * d; i++) diagonal += c.x[i] * c.x[i];
        // Features that never move have nothing to tell: only the bias is fitted.
        if (diagonal > 0) done = solve(&c, n, d, k, ridge * diagonal / (double)d, u);
        for (size_t j = 0; done && j < k; j++) {
            b[j] += c.mean_y[j];
            for (size_t i = 0; i < d; i++) {
                w[j * d + i] += u[j * d + i];
                b[j] -= u[j * d + i] * c.mean_x[i];
            }
        }
    }
    centred_done(&c);
    free(u);
    return done ? FINEPRUNE_OK : FINEPRUNE_LIMIT;
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
