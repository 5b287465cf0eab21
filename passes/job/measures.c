// SPDX-License-Identifier: Apache-2.0
// The pruned model is compared with the dense one of the same lesson by what needs no labels: the answers where the
// dense model is sure, how many different ones there are, how far the scores are off; a model that answers with
// something else by the relative error of its outputs. The scores' error e = E sum_k w_k (s_k - dense s_k)^2 / sum_k
// w_k Var(dense s_k) is measured on the reserve, scores without their mean over the classes; w_k = exp(b_k), by which
// class k is held back. The result is worse where e > ((a third + 1.5 u) n / (n + 20))^2, u the share of answers that
// the lesson changes: what it brings is set against what the zeros cost; or where the zeros change more answers than
// the lesson does, and more than a tenth of the reserve's or 15 % of those to all samples. The reserve is small; the
// samples that the last layer was fitted on are many, and what it cannot even repeat there is lost elsewhere too.
#include "job/measures.h"

#include <math.h>
#include <stdlib.h>

#include "maths/answers.h"

#define SURE 0.8      // probability from which an answer of the dense model is sure
#define SURE_STAY 0.8 // share of the sure answers that must stay; ordinary results keep 0.95 and more
#define RUINED 0.5    // share of all answers that must stay, and of an output's variance that may be lost
#define ROUNDING 1e-9 // of the scores' mean square: a variance that is none
#define SLACK 0.33    // 0.25..0.4: what the zeros may cost, in deviations of the scores, where nothing is learned
#define WORTH 1.5     // 1..2: and by how much more for each answer that the lesson changes
#define PROOF 20.0    // 10..40: samples at which half of that is believed

// ---- classes

// The scores of the dense model that has learned the same lesson.
static void reference_of(const struct fp_job *job, const struct fp_answers *a, size_t i, double *scores) {
    const float *logits = a->logits + i * a->classes, *f = a->features + i * a->n_features;
    if (!job->classes.lesson.b) {
        for (size_t k = 0; k < a->classes; k++) scores[k] = (double)logits[k];
        return;
    }
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    if (a == &job->classes.dense && job->classes.teacher && !l->came) { // zeros stay, and learn nothing
        memcpy(scores, job->classes.teacher + i * a->classes, a->classes * sizeof(*scores));
        return;
    }
    for (size_t k = 0; k < a->classes; k++) {
        scores[k] = (double)l->dense_bias[k];
        for (size_t j = 0; j < a->n_features; j++) scores[k] += (double)l->dense[k * a->n_features + j] * (double)f[j];
    }
}

static size_t best_of(const double *scores, size_t classes, const uint8_t *use) {
    size_t best = classes;
    for (size_t k = 0; k < classes; k++)
        if ((!use || use[k]) && (best == classes || scores[k] > scores[best])) best = k;
    if (best == classes) return 0;
    return best;
}

// Softmax's greatest share, of scores as sharp as the lesson takes them to be.
static double sureness_of(const struct fp_job *job, const double *scores, size_t classes, const uint8_t *use) {
    const double sharpness = job->classes.lesson.b ? job->classes.lesson.sharpness : 1;
    const double most = scores[best_of(scores, classes, use)];
    double sum = 0;
    for (size_t k = 0; k < classes; k++)
        if (!use || use[k]) sum += exp(sharpness * (scores[k] - most));
    if (!isfinite(sum) || !(sum > 0)) return 0;
    return 1 / sum;
}

struct answers_room {
    double *came, *dense, *now, *mean, *weights; // classes each
    size_t *of_came, *of_dense, *of_now;         // how often each class is answered
    double taught;                               // the share of the dense model's answers that the lesson changes
};

// How much a class counts in an error of the scores: one that is held back as much less as it answers less often.
static double weight_of(const struct fp_job *job, size_t k) {
    if (job->classes.kept && !job->classes.kept[k]) return 0;
    if (!job->classes.lesson.b) return 1;
    return exp(job->classes.lesson.sharpness * job->classes.lesson.b[k]);
}

// Scores without their mean over the classes: what is added to all of them changes nothing.
static void centre(double *scores, const double *weights, size_t classes) {
    double sum = 0, all = 0;
    for (size_t k = 0; k < classes; k++)
        if (weights[k] > 0) sum += weights[k] * scores[k], all += weights[k];
    for (size_t k = 0; k < classes; k++) scores[k] = weights[k] > 0 && all > 0 ? scores[k] - sum / all : 0;
}

static void compare_sample(const struct fp_job *job, const struct fp_answers *dense, const struct fp_answers *now,
                           size_t i, struct answers_room *r, struct fp_measures *m) {
    const size_t classes = now->classes;
    for (size_t k = 0; k < classes; k++)
        r->came[k] = (double)dense->logits[i * classes + k], r->now[k] = (double)now->logits[i * classes + k];
    reference_of(job, dense, i, r->dense);
    const size_t answer = best_of(r->now, classes, NULL), wanted = best_of(r->dense, classes, job->classes.kept),
                 came = best_of(r->came, classes, NULL);
    const double sure = sureness_of(job, r->dense, classes, job->classes.kept);
    m->held.n++;
    m->held.as_came += answer == came;
    m->held.same += answer == wanted;
    m->held.taught += wanted != came;
    m->sure += sure >= SURE;
    m->sure_same += sure >= SURE && answer == wanted;
    m->held.expected += 1 - sureness_of(job, r->came, classes, NULL);
    m->sureness_dense += sure;
    m->sureness += sureness_of(job, r->now, classes, job->classes.kept);
    r->of_came[came]++;
    r->of_dense[wanted]++;
    r->of_now[answer]++;
}

// The dense model's taught scores of one sample.
static void taught_scores(const struct fp_job *job, const struct fp_answers *dense, size_t i, double *scores) {
    const size_t classes = dense->classes;
    const double *b = job->classes.lesson.b;
    if (job->classes.teacher) {
        memcpy(scores, job->classes.teacher + i * classes, classes * sizeof(*scores));
        return;
    }
    for (size_t k = 0; k < classes; k++) scores[k] = (double)dense->logits[i * classes + k] + (b ? b[k] : 0);
}

// The variance of the dense model's taught scores over all its samples, summed over the classes as they count; 0 where
// it is nothing but their rounding.
static double spread_of(const struct fp_job *job, const struct fp_answers *dense, struct answers_room *r) {
    const size_t classes = dense->classes, n = dense->samples;
    double spread = 0, square = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            taught_scores(job, dense, i, r->dense);
            if (!pass)
                r->taught += (best_of(r->dense, classes, job->classes.kept) !=
                              fp_best(dense->logits + i * classes, classes, NULL)) /
                             (double)n;
            centre(r->dense, r->weights, classes);
            for (size_t k = 0; k < classes && !pass; k++) r->mean[k] += r->dense[k] / (double)n;
            for (size_t k = 0; k < classes && !pass; k++)
                square += r->weights[k] * r->dense[k] * r->dense[k] / (double)n;
            for (size_t k = 0; k < classes && pass; k++)
                spread += r->weights[k] * (r->dense[k] - r->mean[k]) * (r->dense[k] - r->mean[k]) / (double)n;
        }
    return spread <= ROUNDING * square ? 0 : spread;
}

// The mean square by which the scores are off, against that.
static double score_error(const struct fp_job *job, const struct fp_answers *dense, const struct fp_answers *now,
                          size_t n, struct answers_room *r) {
    const size_t classes = now->classes;
    const double spread = spread_of(job, job->classes.dense.samples ? &job->classes.dense : dense, r);
    double off = 0;
    for (size_t i = 0; i < n; i++) {
        reference_of(job, dense, i, r->dense);
        for (size_t k = 0; k < classes; k++) r->now[k] = (double)now->logits[i * classes + k];
        centre(r->dense, r->weights, classes);
        centre(r->now, r->weights, classes);
        for (size_t k = 0; k < classes; k++)
            off += r->weights[k] * (r->now[k] - r->dense[k]) * (r->now[k] - r->dense[k]) / (double)n;
    }
    if (!isfinite(spread)) return -1; // the dense model's own scores are no numbers to compare with
    if (!isfinite(off)) return INFINITY;
    if (spread > 0) return off / spread;
    return -1; // all samples are alike
}

// A class is often answered by an eighth of the samples, three at least.
static bool is_often(size_t times, size_t n) { return times >= 3 && 8 * times >= n; }

static void count_kinds(const struct answers_room *r, size_t classes, struct fp_measures *m) {
    for (size_t k = 0; k < classes; k++) {
        m->often_came += is_often(r->of_came[k], m->held.n);
        m->kinds_dense += r->of_dense[k] > 0;
        m->kinds += r->of_now[k] > 0;
        if (is_often(r->of_dense[k], m->held.n) && !r->of_now[k]) m->lost += r->of_dense[k];
    }
}

// Without outputs or a read-out to decide, nothing was kept of the samples but their number.
static size_t samples_of(const struct fp_job *job) {
    if (job->classes.dense.samples) return job->classes.dense.samples;
    return job->samples.n_local + job->samples.n_reserve;
}

// The reserve's answers with those to the samples that the last layer was fitted on: what changes there changes
// elsewhere too, and they are many.
static void count_all(const struct fp_job *job, const struct fp_answers *dense, struct answers_room *r,
                      struct fp_measures *m) {
    const struct fp_answers *fitted = &job->classes.fitted, *before = &job->classes.dense;
    struct fp_measures more = {0};
    const size_t n = dense == before ? 0 : fp_least(fitted->samples, before->samples);
    for (size_t i = 0; i < n; i++) compare_sample(job, before, fitted, i, r, &more);
    m->all = (struct fp_answer_counts){.n = m->held.n + more.held.n,
                                       .as_came = m->held.as_came + more.held.as_came,
                                       .same = m->held.same + more.held.same,
                                       .taught = m->held.taught + more.held.taught,
                                       .expected = m->held.expected + more.held.expected};
}

static int compare_classes(struct fp_job *job, const struct fp_answers *dense, const struct fp_answers *now,
                           struct fp_measures *m) {
    const size_t classes = now->classes, n = fp_least(now->samples, dense->samples);
    FP_STAGE(room, "a comparison");
    struct answers_room r = {.came = fp_arena_take(&room, classes, sizeof(double)),
                             .dense = fp_arena_take(&room, classes, sizeof(double)),
                             .now = fp_arena_take(&room, classes, sizeof(double)),
                             .mean = fp_arena_take(&room, classes, sizeof(double)),
                             .weights = fp_arena_take(&room, classes, sizeof(double)),
                             .of_came = fp_arena_take(&room, classes, sizeof(size_t)),
                             .of_dense = fp_arena_take(&room, classes, sizeof(size_t)),
                             .of_now = fp_arena_take(&room, classes, sizeof(size_t))};
    int status = fp_arena_check(&room, job->err);
    if (status) return status;
    for (size_t k = 0; k < classes; k++) r.weights[k] = weight_of(job, k);
    for (size_t i = 0; i < n; i++) compare_sample(job, dense, now, i, &r, m);
    if (n) m->sureness /= (double)n, m->sureness_dense /= (double)n;
    if (n) m->error = score_error(job, dense, now, n, &r);
    m->alike = n && m->error < 0;
    const double samples = (double)samples_of(job),
                 deviations = (SLACK + WORTH * r.taught) * samples / (samples + PROOF);
    m->allowed = deviations * deviations;
    count_kinds(&r, classes, m);
    m->known = m->classes = n > 0;
    count_all(job, dense, &r, m);
    return FINEPRUNE_OK;
}

// ---- all models

// The upper end of what a share may be of which k of n were seen (Wilson 1927, 95 % to one side).
static double at_most(size_t k, size_t n) {
    const double z = 1.645, p = (double)k / (double)n, w = z * z / (double)n;
    return (p + w / 2 + z * sqrt(p * (1 - p) / (double)n + w / (4 * (double)n))) / (1 + w);
}

// By clear evidence alone.
static bool is_ruined(const struct fp_measures *m) {
    if (!m->known) return false;
    if (!m->classes) return m->error > (m->held.n < FP_FEW_ANSWERS ? 1 : RUINED);
    if (m->held.n && isinf(m->error)) return true;
    if (m->held.n < FP_FEW_ANSWERS) return m->held.same == 0 && m->error > 1 && m->held.n > 1;
    if (m->kinds == 1 && m->kinds_dense > 1 && at_most(m->held.same, m->held.n) < SURE_STAY) return true;
    // Zeros may cost less than the lesson brings.
    if (m->sure >= FP_FEW_ANSWERS && m->sure - m->sure_same > m->held.taught &&
        at_most(m->sure_same, m->sure) < SURE_STAY)
        return true;
    if (4 * m->lost > m->held.n) return true;
    return at_most(m->held.same, m->held.n) < RUINED;
}

bool fp_zeros_outweigh(const struct fp_measures *m) {
    const double by_zeros = (double)(m->held.n - m->held.same), of_all = (double)(m->all.n - m->all.same);
    return (by_zeros > FP_MAY_CHANGE * (double)m->held.n && by_zeros > (double)m->held.taught) ||
           (of_all > FP_ALL_MAY * (double)m->all.n && of_all > (double)m->all.taught);
}

// What the lesson brings is set against what the zeros cost: by the answers where there are enough, and by the error of
// the scores, unless enough answers tell that they stay. A result is worse before it is ruined.
static bool is_worse(const struct fp_measures *m) {
    const bool tells = m->classes && !m->local && m->held.n >= FP_FEW_ANSWERS,
               stays = tells && at_most(m->held.n - m->held.same, m->held.n) <= FP_MAY_CHANGE;
    return m->ruined || (tells && fp_zeros_outweigh(m)) || (m->error > m->allowed && !stays) ||
           m->other > FP_MAY_CHANGE;
}

static int measure_local(struct fp_job *job, struct fp_measures *m) {
    struct fp_answers now = {0};
    const double error = m->error;
    int status = fp_answers_gather(job, &now);
    if (!status && now.samples) status = compare_classes(job, &job->classes.dense, &now, m);
    m->local = true;
    if (error >= 0) m->error = error; // of samples that nothing was fitted on
    fp_answers_done(&now);
    return status;
}

int fp_measure(struct fp_job *job, struct fp_measures *m) {
    double agreement, with_dense;
    *m = (struct fp_measures){.error = -1, .other = -1, .allowed = FP_MAY_CHANGE};
    if (!job->data) return FINEPRUNE_OK;
    int status = fp_verify_after(job, false, &agreement, &with_dense);
    if (status) return status;
    const struct fp_answers *now = fp_verify_answers(job);
    if (job->classes.classifier.weight >= 0 && now && now->samples &&
        (now->samples >= FP_FEW_ANSWERS || !job->classes.dense.samples)) {
        status = compare_classes(job, &job->classes.dense_reserve, now, m);
        if (!status) status = fp_verify_error(job, &m->worst);
        m->other = m->worst.error;
    } else if (job->classes.classifier.weight >= 0 && job->samples.n_reserve < FP_FEW_ANSWERS &&
               job->classes.dense.samples) {
        struct fp_measures few = *m;
        if (now && now->samples) status = compare_classes(job, &job->classes.dense_reserve, now, &few);
        m->error = few.error;
        if (!status) status = measure_local(job, m);
    } else if (job->samples.n_reserve) {
        status = fp_verify_error(job, &m->worst);
        m->error = m->worst.error;
        m->held.n = job->samples.n_reserve;
        if (agreement >= 0) m->held.as_came = m->held.same = (size_t)(agreement * (double)m->held.n + 0.5);
        m->classes = agreement >= 0;
        m->known = m->error >= 0 || agreement >= 0;
    }
    if (!m->all.n) m->all = m->held;
    m->ruined = is_ruined(m);
    m->worse = m->known && is_worse(m);
    return status;
}
