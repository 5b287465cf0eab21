// SPDX-License-Identifier: Apache-2.0
// f (n x d) are the last layer's inputs, L (n x K) the logits of samples of which no two are the same, p = softmax(L).
//  0. Scores need not be those of a softmax: beta L says as much as the `near` nearest samples (cosines of F) where the
//  mean of max softmax(beta L) is the share of them with the same answer. Where beta > flat, L is beta / flat times
//  what the model gives (a temperature: Guo et al. 2017), so that the model's scale does not matter.
//  1. Classes are counted by expectation maximization, c0 = n pi (Saerens et al. 2002). S = those with c0 >= 1.5, U = K
//  - S, found = those with c0 >= .5,
//     u = found / K, v = 1 - (1 - u^use)^all: 1 for a user who has most of the classes. new = the share of the future
//     whose class was not seen (Good 1953, Turing's estimate, three added for few samples); m = miss + (1 - miss)
//     exp(-n / (wait found)), what samples miss of such a user's classes. A class that was never seen weighs w0 =
//     min(1, (new / U) / ((1 - new) / S) + v m / (v m + 1 - v)) of one that was.
//  2. Prototypes of the active classes (c0 >= start or w0 > .1), on l, their logits: F = f - E f, N = F / |F|, G = N
//  N^T,
//     t = weight E(max - mean) of l - E_n l, for one class alone has no differences. q = softmax(l), then `steps` times
//     r2_k = q_k^T G q_k, m_k = sum of q_k, rho_k = max(0, 1 - sum q_nk^2 / r2_k), the prototype's split-half
//     reliability (Spearman 1910, Brown 1910), e_k = v + (1 - v) rho_k m_k / (m_k + kappa), V_k = q_k e_k / sqrt(r2_k),
//     D = t |F_n| / E|F| (G V), q = softmax(l + D): a prototype is as long as it exists. D = A f + c with A = t / E|F|
//     V^T N, c = -A E f.
//  3. Counted again, c1 = n pi of l + D; b_k = z log(w0 + (1 - w0) min(1, min(c0_k, c1_k) / seen)) holds back, z = r^2
//  / (r^2 + evidence) with the sure answers a class, r = (sum of max p) / found. The lesser count: prototypes are made
//     of mistakes too, and make a class that the user does not have look seen.
//  4. base = L + b, y = argmax(base + D). The least strength at which all but `spare` of the samples answer y. What the
//  lesson says of each sample when its
//     prototypes are made without that sample is compared with p: `weak` of the strength in [0, 1] with the least
//     cross-entropy.
//  5. Trust: the lesson may not change more answers than the model itself expects to be wrong (E = sum of 1 - max p,
//  plus one), neither among all samples nor
//     among the half that it is surest of; and y should be what the `near` nearest samples answer: h = (share that
//     differs, summed, + .5) / (E + .5), tight = 1 - v (1 - 1 / (1 + (h / error)^steep)), 0 without trust. g = (1 -
//     exp(-n / settle)) min(least, weak)^(1 - tight) least^(tight (1 - room (2 u - 1)^2)). Without trust in a lesson of
//     this weight one of three quarters of it is tried, and so on; without trust in any, b is counted without the
//     lesson.
//  6. Rows leave for classes with c1 < seen where the lesson is trusted, the kept ones are a quarter at most and a
//  class not seen yet is improbable.
// (Prototypes: Iwasawa & Matsuo 2021, T3A)
#include "maths/lesson.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "maths/answers.h"

#define PURPOSE "the lesson of the last layer"
#define SEEN_ONCE 0.5 // samples: n pi of a class seen once, and of one seen twice
#define SEEN_TWICE 1.5
#define ADDED 3 // samples of new classes that were missed by chance
#define MOST_NEW 0.95
#define ALL_ACTIVE 0.1    // w0 above which every class takes part
#define LEAST_LENGTH 0.05 // of a prototype without one of its samples, squared
#define HALVINGS 40
#define MOST_SHARP 1e30
#define BLOCK 64      // samples whose neighbours are looked for at once
#define MOST_OF_ALL 4 // kept classes are at most one in so many, for rows to leave

struct work {
    struct fp_arena *arena; // of its arrays
    const struct fp_lesson_rule *rule;
    size_t n, d, k, active;
    size_t *first, *ids;                                          // of the samples that differ; of the active classes
    double *logits, *unit;                                        // L (n x k); N (n x d)
    double *length, *mean;                                        // |F_n|; E f
    double mean_length, t, v, w0, use, found, believed, expected; // expected: sum of 1 - max p
    double *l, *q, *r, *alone;       // n x active: l, q, G q, and D of prototypes without the sample
    double *lesson;                  // n x k: D
    double *scale, *exists, *square; // active: e_k / sqrt(r2_k), e_k, r2_k
    double *g;                       // n x n, or active x d when that is the smaller work: then G q = N (N^T q)
    double *count, *again;           // k: c0, c1
    double *need, *sure;             // n
    size_t *before, *after, *order;  // n
};

static bool small(const struct work *w) { return w->n / 2 <= w->d; }

static size_t share_of(size_t a, size_t b) {
    size_t all;
    if (!fp_mul(a, b, &all)) return SIZE_MAX;
    return all;
}

// ---- the samples

// By the first values that differ.
static int compare(const float *f, const float *g, size_t n) {
    for (size_t c = 0; c < n; c++) {
        if (f[c] < g[c]) return -1;
        if (f[c] > g[c]) return 1;
    }
    return 0;
}

static int by_content(const void *x, const void *y, void *user) {
    const struct fp_answers *a = user;
    const size_t i = *(const size_t *)x, j = *(const size_t *)y;
    const int order = compare(a->features + i * a->n_features, a->features + j * a->n_features, a->n_features);
    if (order) return order;
    return compare(a->logits + i * a->classes, a->logits + j * a->classes, a->classes);
}

static int by_number(const void *x, const void *y) {
    const size_t i = *(const size_t *)x, j = *(const size_t *)y;
    return (i > j) - (i < j);
}

static int by_content_then_number(const void *x, const void *y, void *user) {
    const int order = by_content(x, y, user);
    if (order) return order;
    return by_number(x, y);
}

// The first of each content, in their order.
static bool find_first(struct work *w, const struct fp_answers *a) {
    w->first = fp_arena_take(w->arena, a->samples, sizeof(*w->first));
    if (!w->first) return false;
    for (size_t i = 0; i < a->samples; i++) w->first[i] = i;
    qsort_r(w->first, a->samples, sizeof(*w->first), by_content_then_number, (void *)(uintptr_t)a);
    for (size_t i = 0; i < a->samples; i++)
        if (!w->n || by_content(&w->first[w->n - 1], &w->first[i], (void *)(uintptr_t)a))
            w->first[w->n++] = w->first[i];
    qsort(w->first, w->n, sizeof(*w->first), by_number);
    return true;
}

static bool take(struct work *w) {
    const size_t n = w->n, k = w->k, nk = share_of(n, k);
    w->logits = fp_arena_take(w->arena, nk, sizeof(double));
    w->count = fp_arena_take(w->arena, k, sizeof(double));
    w->again = fp_arena_take(w->arena, k, sizeof(double));
    w->ids = fp_arena_take(w->arena, k, sizeof(*w->ids));
    w->lesson = fp_arena_take(w->arena, nk, sizeof(double));
    w->unit = fp_arena_take(w->arena, share_of(n, w->d), sizeof(double));
    w->length = fp_arena_take(w->arena, n, sizeof(double));
    w->mean = fp_arena_take(w->arena, w->d, sizeof(double));
    w->need = fp_arena_take(w->arena, n, sizeof(double));
    w->sure = fp_arena_take(w->arena, n, sizeof(double));
    w->before = fp_arena_take(w->arena, n, sizeof(*w->before));
    w->after = fp_arena_take(w->arena, n, sizeof(*w->after));
    w->order = fp_arena_take(w->arena, n, sizeof(*w->order));
    return !w->arena->failed;
}

// What the prototypes need besides.
static bool take_prototypes(struct work *w) {
    const size_t n = w->n, d = w->d, a = w->active, na = share_of(n, a);
    w->l = fp_arena_take(w->arena, na, sizeof(double));
    w->q = fp_arena_take(w->arena, na, sizeof(double));
    w->r = fp_arena_take(w->arena, na, sizeof(double));
    w->alone = fp_arena_take(w->arena, na, sizeof(double));
    w->scale = fp_arena_take(w->arena, a, sizeof(double));
    w->exists = fp_arena_take(w->arena, a, sizeof(double));
    w->square = fp_arena_take(w->arena, a, sizeof(double));
    w->g = fp_arena_take(w->arena, small(w) ? share_of(n, n) : share_of(a, d), sizeof(double));
    return !w->arena->failed;
}

// ---- 0: how sharp the scores are

static void centre(struct work *w, const struct fp_answers *a) {
    const size_t n = w->n, d = w->d;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++) w->mean[j] += (double)a->features[w->first[i] * d + j];
    for (size_t j = 0; j < d; j++) w->mean[j] /= (double)n;
    for (size_t i = 0; i < n; i++) {
        double square = 0;
        for (size_t j = 0; j < d; j++) {
            const double v = w->unit[i * d + j] = (double)a->features[w->first[i] * d + j] - w->mean[j];
            square += v * v;
        }
        w->length[i] = sqrt(square);
        w->mean_length += w->length[i] / (double)n;
        for (size_t j = 0; j < d && square > 0; j++) w->unit[i * d + j] /= w->length[i];
    }
}

// Below the rounding of float32 features there is nothing to learn from.
static bool moves(const struct work *w) {
    double square = 0;
    for (size_t j = 0; j < w->d; j++) square += w->mean[j] * w->mean[j];
    return w->mean_length > 1e-6 * sqrt(square);
}

static size_t best_of(const struct work *w, size_t i, const double *b, double strength) {
    size_t best = 0;
    double most = -INFINITY;
    for (size_t k = 0; k < w->k; k++) {
        const double v = w->logits[i * w->k + k] + (b ? b[k] : 0) + strength * w->lesson[i * w->k + k];
        if (v > most) most = v, best = k;
    }
    return best;
}

// The share of the nearest samples of i with another answer; near: their cosines, of which those that are taken become
// the least.
static double unlike_neighbours(const struct work *w, size_t i, size_t count, double *near) {
    size_t unlike = 0;
    near[i] = -INFINITY;
    for (size_t taken = 0; taken < count; taken++) {
        size_t best = w->n;
        for (size_t j = 0; j < w->n; j++)
            if (near[j] > -INFINITY && (best == w->n || near[j] > near[best])) best = j;
        unlike += w->after[best] != w->after[i];
        near[best] = -INFINITY;
    }
    return (double)unlike / (double)count;
}

// room: BLOCK * n.
static double count_unlike(const struct work *w, double *room) {
    const size_t n = w->n, near = fp_least((size_t)w->rule->near, n - 1);
    double sum = 0;
    for (size_t first = 0; first < n; first += BLOCK) {
        const size_t rows = fp_least(n - first, BLOCK);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)n, (int)w->d, 1, w->unit + first * w->d,
                    (int)w->d, w->unit, (int)w->d, 0, room, (int)n);
        for (size_t i = 0; i < rows; i++) sum += unlike_neighbours(w, first + i, near, room + i * n);
    }
    return sum;
}

// The mean of max softmax(beta L).
static double sureness(const struct work *w, double beta) {
    double sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        const double *l = w->logits + i * w->k;
        double most = l[0], all = 0;
        for (size_t k = 1; k < w->k; k++) most = fmax(most, l[k]);
        for (size_t k = 0; k < w->k; k++) all += exp(beta * (l[k] - most));
        sum += 1 / all;
    }
    return sum / (double)w->n;
}

// beta at which the mean is the share of the nearest samples with the same answer; counted as from one neighbour more
// than there are, which is half of it another.
static double beta_of_neighbours(const struct work *w, double same, double low) {
    double high = low;
    while (high < MOST_SHARP && sureness(w, high) < same) high *= 2;
    for (int step = 0; step < HALVINGS && high > low; step++) {
        const double beta = sqrt(low * high);
        if (sureness(w, beta) < same) low = beta;
        else high = beta;
    }
    return high;
}

// L becomes sharper where it says much less than the neighbours do.
static bool sharpen(struct work *w, struct fp_lesson *out) {
    out->sharpness = 1;
    if (w->n < 2 || !moves(w)) return true;
    FP_STAGE(room, PURPOSE);
    double *cosines = fp_arena_take(&room, share_of(BLOCK, w->n), sizeof(*cosines));
    if (!cosines) return false;
    for (size_t i = 0; i < w->n; i++) w->after[i] = best_of(w, i, NULL, 0);
    const double same = ((double)w->n - count_unlike(w, cosines) + 0.5) / ((double)w->n + 1);
    if (sureness(w, w->rule->flat) >= same) return true;
    const double beta = beta_of_neighbours(w, same, w->rule->flat);
    if (beta >= MOST_SHARP) return true; // ties: nothing makes them surer
    out->sharpness = beta / w->rule->flat;
    for (size_t i = 0; i < w->n * w->k; i++) w->logits[i] *= out->sharpness;
    return true;
}

// ---- 1: the weight of a class that was never seen

static size_t counted(const double *count, size_t k, double least, double below) {
    size_t n = 0;
    for (size_t i = 0; i < k; i++) n += count[i] >= least && count[i] < below;
    return n;
}

static double new_share(const struct work *w, const double *count) {
    return ((double)counted(count, w->k, SEEN_ONCE, SEEN_TWICE) + ADDED) / (double)w->n;
}

// row: room for k doubles.
static void measure_doubt(struct work *w, double *row) {
    for (size_t i = 0; i < w->n; i++) {
        fp_softmax(w->logits + i * w->k, row, w->k, NULL);
        for (size_t k = 0; k < w->k; k++) w->sure[i] = fmax(w->sure[i], row[k]);
        w->expected += 1 - w->sure[i];
    }
}

static void weigh_unseen(struct work *w, struct fp_lesson *out) {
    const struct fp_lesson_rule *rule = w->rule;
    const size_t twice = counted(w->count, w->k, SEEN_TWICE, INFINITY),
                 once = counted(w->count, w->k, SEEN_ONCE, INFINITY);
    const double n = (double)w->n, k = (double)w->k, seen = fmax((double)twice, 1), unseen = fmax(k - seen, 1);
    w->found = fmax((double)once, 1);
    w->use = fmin(1, w->found / k);
    w->v = 1 - pow(1 - pow(w->use, rule->use), rule->all);
    const double miss = rule->miss + (1 - rule->miss) * exp(-n / (rule->wait * w->found)),
                 new = fmin(MOST_NEW, new_share(w, w->count));
    w->w0 = fmin(1, (new / unseen) / ((1 - new) / seen) + w->v * miss / (w->v * miss + 1 - w->v));
    const double r = (n - w->expected) / w->found;
    w->believed = r * r / (r * r + rule->evidence);
    for (size_t i = 0; i < w->k; i++)
        if (w->count[i] >= rule->start || w->w0 > ALL_ACTIVE) w->ids[w->active++] = i;
    out->seen = (size_t)seen;
    out->active = w->active;
    out->unseen_bias = w->believed * log(w->w0);
}

// ---- 2: prototypes

// l, and t / E|F| from the logits without their mean over the samples. scale is its room.
static void weigh_prototypes(struct work *w, double weight) {
    const size_t a = w->active;
    double spread = 0;
    memset(w->scale, 0, a * sizeof(*w->scale));
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < a; k++)
            w->scale[k] += (w->l[i * a + k] = w->logits[i * w->k + w->ids[k]]) / (double)w->n;
    for (size_t i = 0; i < w->n; i++) {
        double most = -INFINITY, sum = 0;
        for (size_t k = 0; k < a; k++) {
            const double x = w->l[i * a + k] - w->scale[k];
            most = fmax(most, x);
            sum += x;
        }
        spread += most - sum / (double)a;
    }
    w->t = weight * spread / (double)w->n / w->mean_length;
}

// r = G q.
static void apply_gram(struct work *w) {
    const int n = (int)w->n, d = (int)w->d, a = (int)w->active;
    if (small(w)) {
        cblas_dsymm(CblasRowMajor, CblasLeft, CblasLower, n, a, 1, w->g, n, w->q, a, 0, w->r, a);
        return;
    }
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, a, d, n, 1, w->q, a, w->unit, d, 0, w->g, d);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, a, d, 1, w->unit, d, w->g, d, 0, w->r, a);
}

// e_k / sqrt(r2_k).
static void scale_prototypes(struct work *w) {
    const size_t a = w->active;
    for (size_t k = 0; k < a; k++) {
        double r2 = 0, m = 0, own = 0;
        for (size_t i = 0; i < w->n; i++) {
            const double q = w->q[i * a + k];
            r2 += q * w->r[i * a + k];
            m += q;
            own += q * q;
        }
        w->square[k] = r2 = fmax(r2, 1e-300);
        w->exists[k] = w->v + (1 - w->v) * fmax(0, 1 - own / r2) * m / (m + w->rule->kappa);
        w->scale[k] = w->exists[k] / sqrt(r2);
    }
}

// What the lesson says of each sample when its prototypes are made without that sample: from q and r.
static void leave_one_out(struct work *w) {
    const size_t a = w->active;
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < a; k++) {
            const double q = w->q[i * a + k], r = w->r[i * a + k],
                         square = fmax(w->square[k] - 2 * q * r + q * q, LEAST_LENGTH);
            w->alone[i * a + k] = w->t * w->length[i] * w->exists[k] * (r - q) / sqrt(square);
        }
}

// D of the active classes from r, into r.
static void fit(struct work *w) {
    const size_t a = w->active;
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < a; k++) w->r[i * a + k] *= w->t * w->length[i] * w->scale[k];
}

// row: room for active doubles.
static void answer(struct work *w, const double *l, double *row) {
    const size_t a = w->active;
    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < a; k++) row[k] = w->l[i * a + k] + (l ? l[i * a + k] : 0);
        fp_softmax(row, w->q + i * a, a, NULL);
    }
}

// The strength in [0, 1] at which softmax(g alone) has the least cross-entropy to softmax(l). It is convex, so the
// slope is bisected. q becomes the latter; row: room for 2 active doubles.
static double calibrate(struct work *w, double *row) {
    const size_t a = w->active;
    double low = 0, high = 1, *p = row + a;
    answer(w, NULL, row);
    for (int step = 0; step < HALVINGS; step++) {
        const double g = (low + high) / 2;
        double slope = 0;
        for (size_t i = 0; i < w->n; i++) {
            const double *d = w->alone + i * a;
            for (size_t k = 0; k < a; k++) row[k] = g * d[k];
            fp_softmax(row, p, a, NULL);
            for (size_t k = 0; k < a; k++) slope += (p[k] - w->q[i * a + k]) * d[k];
        }
        if (slope < 0) low = g;
        else high = g;
    }
    return (low + high) / 2;
}

// A and c, from the weights V of the samples, which are made in q.
static void write_lesson(struct work *w, struct fp_lesson *out) {
    const size_t a = w->active, d = w->d;
    for (size_t i = 0; i < w->n * a; i++) w->q[i] *= w->t * w->scale[i % a];
    for (size_t k = 0; k < a; k++) {
        double *row = out->a + w->ids[k] * d;
        cblas_dgemv(CblasRowMajor, CblasTrans, (int)w->n, (int)d, 1, w->unit, (int)d, w->q + k, (int)a, 0, row, 1);
        double shift = 0;
        for (size_t j = 0; j < d; j++) shift += row[j] * w->mean[j];
        out->c[w->ids[k]] = -shift;
        for (size_t i = 0; i < w->n; i++) w->lesson[i * w->k + w->ids[k]] = w->r[i * a + k];
    }
}

// 3: counts with the lesson. l becomes l + D.
static int count_again(struct work *w) {
    const size_t a = w->active;
    for (size_t i = 0; i < w->n * a; i++) w->l[i] += w->r[i];
    int status = fp_frequencies(w->l, w->n, a, w->scale);
    memset(w->again, 0, w->k * sizeof(double));
    for (size_t k = 0; k < a && !status; k++) w->again[w->ids[k]] = w->scale[k] * (double)w->n;
    return status;
}

// Whether there is something to learn from.
static int prepare(struct work *w, bool *learns) {
    *learns = false;
    if (w->active < 2 || w->n < 2) return FINEPRUNE_OK;
    if (!take_prototypes(w)) return FINEPRUNE_LIMIT;
    *learns = moves(w);
    if (*learns && small(w))
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)w->n, (int)w->d, 1, w->unit, (int)w->d, 0, w->g,
                    (int)w->n);
    return FINEPRUNE_OK;
}

static int study(struct work *w, double weight, struct fp_lesson *out) {
    FP_STAGE(room, PURPOSE);
    double *row = fp_arena_take(&room, w->active, 2 * sizeof(*row));
    if (!row) return FINEPRUNE_LIMIT;
    weigh_prototypes(w, weight);
    answer(w, NULL, row);
    for (int step = 0; step < w->rule->steps; step++) {
        if (step) answer(w, w->r, row);
        apply_gram(w);
        scale_prototypes(w);
        if (step + 1 == w->rule->steps) leave_one_out(w);
        fit(w);
    }
    write_lesson(w, out);
    out->weak = w->rule->weak * calibrate(w, row);
    return count_again(w);
}

// ---- 3 and 4: holding back, and the least strength

static void hold_back(const struct work *w, const double *count, struct fp_lesson *out) {
    for (size_t k = 0; k < w->k; k++)
        out->b[k] = w->believed * log(w->w0 + (1 - w->w0) * fmin(1, fmin(count[k], w->count[k]) / w->rule->seen));
}

static int by_value(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void find_strength(struct work *w, struct fp_lesson *out) {
    const size_t n = w->n, k = w->k, spared = (size_t)(w->rule->spare * (double)n + 1e-9);
    for (size_t i = 0; i < n; i++) {
        const size_t y = w->after[i] = best_of(w, i, out->b, 1);
        const double *l = w->logits + i * k, *d = w->lesson + i * k;
        w->before[i] = best_of(w, i, out->b, 0);
        w->need[i] = 0;
        for (size_t c = 0; c < k; c++) {
            const double gap = (l[c] + out->b[c]) - (l[y] + out->b[y]); // exactly 0 for y itself
            if (gap > 0) w->need[i] = fmax(w->need[i], fmin(1, gap / (d[y] - d[c])));
        }
    }
    qsort(w->need, n, sizeof(*w->need), by_value);
    out->least = w->need[n > spared ? n - 1 - spared : 0];
}

// ---- 5: trust

static int by_sureness(const void *x, const void *y, void *user) {
    const double *sure = user;
    const size_t i = *(const size_t *)x, j = *(const size_t *)y;
    if (sure[i] > sure[j]) return -1;
    if (sure[i] < sure[j]) return 1;
    return by_number(x, y);
}

static void check_trust(struct work *w, struct fp_lesson *out) {
    const size_t n = w->n;
    out->changes = 0, out->expected = 0;
    for (size_t i = 0; i < n; i++) w->order[i] = i;
    qsort_r(w->order, n, sizeof(*w->order), by_sureness, w->sure);
    for (size_t at = 0; at < n; at++) {
        const size_t i = w->order[at];
        out->changes += w->before[i] != w->after[i];
        out->expected += 1 - w->sure[i];
        if (at != (n - 1) / 2) continue;
        out->changes_sure = out->changes;
        out->expected_sure = out->expected;
    }
    out->trusted = (double)out->changes_sure <= out->expected_sure + 1 && (double)out->changes <= out->expected + 1;
}

static bool choose_strength(struct work *w, struct fp_lesson *out) {
    const struct fp_lesson_rule *rule = w->rule;
    const double half = (2 * w->use - 1) * (2 * w->use - 1);
    double tight = 0;
    if (!(out->least > 0)) return true;
    FP_STAGE(room, PURPOSE);
    double *cosines = fp_arena_take(&room, share_of(BLOCK, w->n), sizeof(*cosines));
    if (!cosines) return false;
    out->neighbours = (count_unlike(w, cosines) + 0.5) / (w->expected + 0.5);
    if (out->trusted) tight = 1 - w->v * (1 - 1 / (1 + pow(out->neighbours / rule->error, rule->steep)));
    out->strength = pow(fmin(out->least, out->weak), 1 - tight) * pow(out->least, tight * (1 - rule->room * half));
    out->strength *= 1 - exp(-(double)w->n / rule->settle);
    for (size_t i = 0; i < w->n; i++) out->corrects += w->before[i] != best_of(w, i, out->b, out->strength);
    return true;
}

// ---- 6: rows

static void find_rows(const struct work *w, bool removes, struct fp_lesson *out) {
    const size_t kept = counted(w->again, w->k, w->rule->seen, INFINITY);
    out->unseen_share = new_share(w, w->again);
    const bool safe = removes && out->trusted && kept >= 2 && kept <= w->k / MOST_OF_ALL &&
                      out->unseen_share <= w->rule->unseen;
    for (size_t k = 0; k < w->k; k++)
        out->kept += out->rows[k] = !safe || w->again[k] >= w->rule->seen || w->w0 > ALL_ACTIVE;
}

// ---- all of it

// What was found for sharper scores as it is added to the scores themselves.
static void soften(const struct work *w, struct fp_lesson *out) {
    for (size_t i = 0; i < w->k * w->d; i++) out->a[i] /= out->sharpness;
    for (size_t k = 0; k < w->k; k++) out->c[k] /= out->sharpness, out->b[k] /= out->sharpness;
    out->unseen_bias /= out->sharpness;
}

static int judge(struct work *w, bool learned, double weight, bool holds, struct fp_lesson *out) {
    if (learned && study(w, weight, out)) return FINEPRUNE_LIMIT;
    if (holds) hold_back(w, w->again, out);
    find_strength(w, out);
    check_trust(w, out);
    return FINEPRUNE_OK;
}

// The greatest weight whose lesson is trusted; the whole one where none is.
static int find_trusted(struct work *w, bool learned, bool holds, struct fp_lesson *out) {
    const struct fp_lesson_rule *rule = w->rule;
    double weight = rule->weight;
    int status = judge(w, learned, weight, holds, out), tried = 1;
    for (; learned && !out->trusted && tried < rule->tries && !status; tried++)
        status = judge(w, learned, weight *= rule->ease, holds, out);
    if (!status && !out->trusted && tried > 1) status = judge(w, learned, rule->weight, holds, out);
    return status;
}

static int make(struct work *w, const struct fp_answers *a, bool learns, bool holds, struct fp_lesson *out) {
    if (!take(w)) return FINEPRUNE_LIMIT;
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->k; k++) w->logits[i * w->k + k] = (double)a->logits[w->first[i] * w->k + k];
    double *row = fp_arena_take(w->arena, w->k, sizeof(*row));
    if (!row) return FINEPRUNE_LIMIT;
    centre(w, a);
    if (!sharpen(w, out) || fp_frequencies(w->logits, w->n, w->k, w->count)) return FINEPRUNE_LIMIT;
    measure_doubt(w, row);
    for (size_t k = 0; k < w->k; k++) w->again[k] = w->count[k] *= (double)w->n;
    weigh_unseen(w, out);
    if (learns && prepare(w, &out->learned)) return FINEPRUNE_LIMIT;
    if (find_trusted(w, out->learned, holds, out) || !choose_strength(w, out)) return FINEPRUNE_LIMIT;
    if (!out->trusted && holds) hold_back(w, w->count, out);
    find_rows(w, holds, out);
    soften(w, out);
    return FINEPRUNE_OK;
}

// About what it takes: features, logits and their like, in doubles. SIZE_MAX when that is no number.
static size_t bytes_of(const struct fp_answers *a) {
    const size_t n = a->samples, d = a->n_features, k = a->classes;
    if (n > INT_MAX || d > INT_MAX || k > INT_MAX) return SIZE_MAX; // what BLAS counts with
    const size_t parts[] = {share_of(n, d), share_of(share_of(n, k), 7), share_of(n, BLOCK),
                            share_of(n, n / 2 <= d ? n : 0), share_of(share_of(k, d), 2)};
    size_t all = 0;
    for (size_t i = 0; i < FP_COUNT(parts); i++)
        if (!fp_add(all, parts[i], &all)) return SIZE_MAX;
    return share_of(all, sizeof(double));
}

static int take_and_make(struct fp_lesson *out, const struct fp_answers *a, bool learns, bool holds,
                         const struct fp_lesson_rule *rule) {
    const size_t d = a->n_features, k = a->classes;
    FP_STAGE(room, PURPOSE);
    struct work w = {.arena = &room, .rule = rule, .d = d, .k = k};
    out->a = fp_arena_take(&out->arena, share_of(k, d), sizeof(double));
    out->c = fp_arena_take(&out->arena, k, sizeof(double));
    out->b = fp_arena_take(&out->arena, k, sizeof(double));
    out->rows = fp_arena_take(&out->arena, k, 1);
    if (out->arena.failed || !find_first(&w, a)) return FINEPRUNE_LIMIT;
    out->samples = w.n;
    return make(&w, a, learns, holds, out);
}

int fp_lesson_make(struct fp_lesson *out, const struct fp_answers *a, bool learns, bool holds,
                   const struct fp_lesson_rule *rule, struct fp_memory *memory, fineprune_error *err) {
    const size_t bytes = bytes_of(a);
    *out = (struct fp_lesson){.arena = {.what = PURPOSE}, .features = a->n_features, .classes = a->classes};
    if (bytes == SIZE_MAX) return fp_fail_memory(err, PURPOSE, bytes);
    if (memory && !fp_memory_count(memory, bytes)) {
        fp_fail(err, FINEPRUNE_LIMIT, "the lesson of the last layer needs more memory than is allowed");
        fp_memory_hint(memory, err);
        return FINEPRUNE_LIMIT;
    }
    const struct fp_lesson_rule initial = fp_lesson_rule_of(NULL, NULL);
    int status = take_and_make(out, a, learns, holds, rule ? rule : &initial);
    if (memory) fp_memory_uncount(memory, bytes);
    if (status) return fp_fail_memory(err, PURPOSE, bytes);
    return FINEPRUNE_OK;
}

void fp_lesson_done(struct fp_lesson *lesson) {
    fp_arena_free(&lesson->arena);
    *lesson = (struct fp_lesson){0};
}

double *fp_lesson_scores(const struct fp_lesson *lesson, const struct fp_answers *a) {
    const size_t n = a->samples, d = a->n_features, k = a->classes;
    const double g = lesson->strength;
    FP_STAGE(room, PURPOSE);
    double *features = fp_arena_take(&room, share_of(n, d), sizeof(*features));
    if (!features) return NULL;
    double *scores = fp_calloc(share_of(n, k), sizeof(*scores));
    if (!scores) return NULL;
    for (size_t i = 0; i < n * k; i++) scores[i] = (double)a->logits[i] + lesson->b[i % k] + g * lesson->c[i % k];
    for (size_t i = 0; i < n * d; i++) features[i] = (double)a->features[i];
    if (g > 0)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)k, (int)d, g, features, (int)d, lesson->a,
                    (int)d, 1, scores, (int)k);
    return scores;
}
