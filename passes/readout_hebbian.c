// SPDX-License-Identifier: Apache-2.0
// The last layer learns from the user's own activations: neurons that fire together wire together. With f the dense last layer's input, mu = E f,
// F_n = (f_n - mu) / E|f - mu|, L_n the dense logits over the K kept classes and t = a 4 E(max_k L_nk - mean_k L_nk), a = 1 - (2 K / n)^2: start from
// q = softmax(L), ten times C_k = the sum of q_nk (f_n - mu) / |f_n - mu| at length 1, q = softmax(t F C^T + L). The lesson T = t F C^T + L is linear in
// f, so it is added to the last layer before anything is pruned: W_k += t C_k / E|f - mu|, b_k -= t C_k . mu / E|f - mu|. After pruning, the rows that are
// left are the ridge regression of T on the pruned model's features over the kept synapses. Prototypes are added to the old answers instead of replacing
// them, and a lesson must correct classes, not rename them: where most samples that the dense model gives to a class of at least mean size would go to one
// other class and little would be left of it, the lesson is tried once more with a quarter of its weight, then left out. (Prototypes: Iwasawa & Matsuo
// 2021, T3A)
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "answers.h"
#include "job.h"

#define STEPS 10
#define WEIGHT 4.0  // of the prototypes against the spread of the old logits
#define WEAKER 0.25 // of that, when the full weight renames a class
#define RIDGE 0.1   // of the features' mean variance, towards the repaired row

struct teacher {
    size_t n, d, classes;
    const uint8_t *use;   // kept classes or NULL
    double *centred;      // n x d: f - mu
    double *length;       // n: |f - mu|
    double *mean;         // d: mu
    double mean_length;
    double weight, t;     // of the prototypes: a, and t = a E(max - mean) for few samples less
    double *prototypes;   // classes x d
    double *q, *logits;   // n x classes
    size_t *before;       // n: the dense model's answers
    bool wrong;           // even with less weight it renames a class
};

static int leave(struct fp_job *job, const char *reason) {
    json_t *readout = fp_report_object(job->report, "readout");
    json_object_set_new(readout, "applied", json_false());
    json_object_set_new(readout, "reason", json_string(reason));
    return FINEPRUNE_OK;
}

static bool teacher_init(struct teacher *t, const struct fp_answers *a, const uint8_t *use) {
    size_t n = a->samples, d = a->n_features, k = a->classes;
    *t = (struct teacher){.n = n, .d = d, .classes = k, .use = use};
    t->centred = fp_calloc(n * d, sizeof(double));
    t->length = fp_calloc(n, sizeof(double));
    t->prototypes = fp_calloc(k * d, sizeof(double));
    t->q = fp_calloc(n * k, sizeof(double));
    t->logits = fp_calloc(n * k, sizeof(double));
    t->before = fp_calloc(n, sizeof(*t->before));
    double *mean = t->mean = fp_calloc(d, sizeof(double));
    bool done = t->centred && t->length && t->prototypes && t->q && t->logits && t->before && mean;
    for (size_t i = 0; done && i < n * d; i++) mean[i % d] += (double)a->features[i] / (double)n;
    for (size_t i = 0; done && i < n; i++) {
        double square = 0;
        for (size_t j = 0; j < d; j++) {
            double v = t->centred[i * d + j] = (double)a->features[i * d + j] - mean[j];
            square += v * v;
        }
        t->length[i] = sqrt(square);
        t->mean_length += t->length[i] / (double)n;
    }
    return done;
}

static void teacher_done(struct teacher *t) {
    free(t->mean);
    free(t->centred);
    free(t->length);
    free(t->prototypes);
    free(t->q);
    free(t->logits);
    free(t->before);
}

// Below the rounding of float32 features there is nothing to learn from.
static bool moves(const struct teacher *t) {
    double square = 0;
    for (size_t j = 0; j < t->d; j++) square += t->mean[j] * t->mean[j];
    return t->mean_length > 1e-6 * sqrt(square);
}

static size_t kept_of(const struct teacher *t) {
    size_t n = 0;
    for (size_t k = 0; k < t->classes; k++) n += !t->use || t->use[k];
    return n;
}

static void start(struct teacher *t, const struct fp_answers *a) {
    double spread = 0;
    for (size_t i = 0; i < t->n; i++) {
        double most = -INFINITY, sum = 0;
        size_t count = 0;
        for (size_t k = 0; k < t->classes; k++) {
            double v = t->logits[i * t->classes + k] = (double)a->logits[i * t->classes + k];
            if (t->use && !t->use[k]) continue;
            most = fmax(most, v);
            sum += v;
            count++;
        }
        spread += (most - sum / (double)count) / (double)t->n;
        fp_softmax(t->logits + i * t->classes, t->q + i * t->classes, t->classes, t->use);
    }
    // The fewer samples a class has, the less its prototype is worth.
    double share = 2 * (double)kept_of(t) / (double)t->n, trust = 1 - share * share;
    t->t = trust > 0 ? trust * t->weight * spread : 0;
}

static void update_prototypes(struct teacher *t) {
    memset(t->prototypes, 0, t->classes * t->d * sizeof(double));
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->classes; k++) {
            double weight = t->length[i] > 0 ? t->q[i * t->classes + k] / t->length[i] : 0;
            for (size_t j = 0; j < t->d && weight > 0; j++) t->prototypes[k * t->d + j] += weight * t->centred[i * t->d + j];
        }
    for (size_t k = 0; k < t->classes; k++) {
        double square = 0;
        for (size_t j = 0; j < t->d; j++) square += t->prototypes[k * t->d + j] * t->prototypes[k * t->d + j];
        for (size_t j = 0; j < t->d && square > 0; j++) t->prototypes[k * t->d + j] /= sqrt(square);
    }
}

static void update_logits(struct teacher *t, const struct fp_answers *a) {
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < t->classes; k++) {
            if (t->use && !t->use[k]) continue;
            double fit = 0;
            for (size_t j = 0; j < t->d; j++) fit += t->centred[i * t->d + j] * t->prototypes[k * t->d + j];
            t->logits[i * t->classes + k] = (double)a->logits[i * t->classes + k] + t->t * fit / t->mean_length;
        }
        fp_softmax(t->logits + i * t->classes, t->q + i * t->classes, t->classes, t->use);
    }
}

static size_t best_of(const struct teacher *t, size_t sample) {
    const double *logits = t->logits + sample * t->classes;
    size_t best = t->classes;
    for (size_t k = 0; k < t->classes; k++)
        if ((!t->use || t->use[k]) && (best == t->classes || logits[k] > logits[best])) best = k;
    return best;
}

// As many steps from the dense answers as it takes, with that much weight.
static void study(struct teacher *t, const struct fp_answers *a, double weight) {
    t->weight = weight;
    start(t, a);
    for (int step = 0; step < STEPS; step++) {
        update_prototypes(t);
        update_logits(t, a);
    }
}

// Does a class with as many of the dense model's samples as the mean lose most of them to one other class, and is left with less than half of a class of
// usual size (as a sample meets it: the sum of squared sizes over n)? A class that falls into two of usual size was two. room: 2 * classes.
static bool renames(const struct teacher *t, size_t *room) {
    size_t kept = kept_of(t), *votes = room, *sizes = room + t->classes;
    double usual = 0;
    memset(sizes, 0, t->classes * sizeof(*sizes));
    for (size_t i = 0; i < t->n; i++) sizes[best_of(t, i)]++;
    for (size_t k = 0; k < t->classes; k++) usual += (double)sizes[k] * (double)sizes[k] / (double)t->n;
    for (size_t from = 0; from < t->classes; from++) {
        size_t all = 0, most = 0, stay = 0;
        for (size_t i = 0; i < t->n; i++) all += t->before[i] == from;
        if (!all || all * kept < t->n) continue;
        memset(votes, 0, t->classes * sizeof(*votes));
        for (size_t i = 0; i < t->n; i++) {
            if (t->before[i] != from) continue;
            size_t now = best_of(t, i);
            if (now == from) stay++;
            else if (++votes[now] > most) most = votes[now];
        }
        if (most > stay && (double)stay < usual / 2) return true;
    }
    return false;
}

// False without memory.
static bool study_safely(struct teacher *t, const struct fp_answers *a) {
    size_t *room = fp_calloc(t->classes, 2 * sizeof(*room));
    if (!room) return false;
    for (size_t i = 0; i < t->n; i++) t->before[i] = fp_best(a->logits + i * t->classes, t->classes, t->use);
    study(t, a, WEIGHT);
    if (t->t > 0 && renames(t, room)) study(t, a, WEIGHT * WEAKER);
    t->wrong = t->t > 0 && renames(t, room);
    free(room);
    return true;
}

// The lesson into the dense layer.
static void add_lesson(const struct teacher *t, struct fp_layer *l) {
    for (size_t k = 0; k < t->classes; k++) {
        if (t->use && !t->use[k]) continue;
        double shift = 0, scale = t->t / t->mean_length;
        for (size_t j = 0; j < t->d; j++) {
            double c = scale * t->prototypes[k * t->d + j];
            l->dense[k * t->d + j] = (float)((double)l->dense[k * t->d + j] + c);
            shift += c * t->mean[j];
        }
        l->dense_bias[k] = (float)((double)l->dense_bias[k] - shift);
    }
    memcpy(l->values, l->dense, l->w->count * sizeof(float));
}

int fp_readout_teach(struct fp_job *job) {
    const struct fp_classifier *c = &job->classifier;
    if (!job->choices.readout->learns) return leave(job, "the last layer was asked to stay");
    if (c->weight < 0) return leave(job, c->reason);
    struct fp_layer *l = &job->layers[c->weight];
    if (!l->w->bias.proto) return leave(job, "the last layer has no bias");
    if (job->dense.samples < 2) return leave(job, "too few samples");
    struct teacher t;
    if (!teacher_init(&t, &job->dense, job->kept_classes)) {
        teacher_done(&t);
        return fp_fail_memory(job->err, "the read-out", t.n * t.d * sizeof(double));
    }
    if (!moves(&t)) {
        teacher_done(&t);
        return leave(job, "the last layer's input is the same for all samples");
    }
    bool failed = !study_safely(&t, &job->dense), learns = t.t > 0 && !t.wrong;
    const char *reason = t.wrong ? "the lesson would rename a class of the user's instead of correcting it" : "too few samples for so many classes";
    if (!failed && learns) {
        add_lesson(&t, l);
        json_object_set_new(fp_report_object(job->report, "readout"), "weight", json_real(t.weight));
        job->teacher = t.logits;
        t.logits = NULL;
    }
    teacher_done(&t);
    if (failed) return fp_fail_memory(job->err, "the read-out", c->classes * sizeof(size_t));
    return learns ? FINEPRUNE_OK : leave(job, reason);
}

// Features without their mean, their covariance, and what the rows are fitted with.
struct lesson {
    size_t n, d;
    double *x, *mean, *covariance, ridge; // n x d, d, d x d
};

static bool lesson_init(struct lesson *s, const struct fp_answers *a) {
    size_t n = a->samples, d = a->n_features;
    *s = (struct lesson){.n = n, .d = d, .x = fp_calloc(n * d, sizeof(double)), .mean = fp_calloc(d, sizeof(double)), .covariance = fp_calloc(d * d, sizeof(double))};
    if (!s->x || !s->mean || !s->covariance) return false;
    for (size_t i = 0; i < n * d; i++) s->mean[i % d] += (double)a->features[i] / (double)n;
    for (size_t i = 0; i < n * d; i++) s->x[i] = (double)a->features[i] - s->mean[i % d];
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)d, (int)n, 1 / (double)n, s->x, (int)d, 0, s->covariance, (int)d);
    for (size_t j = 0; j < d; j++) s->ridge += RIDGE * s->covariance[j * d + j] / (double)d;
    return true;
}

static void lesson_done(struct lesson *s) {
    free(s->x);
    free(s->mean);
    free(s->covariance);
}

// Row k's kept weights: (C_SS + l I) w = Cov(f_S, T_k) + l w_now. Then the bias meets the mean of T_k.
static bool learn_row(const struct fp_job *job, const struct lesson *s, struct fp_layer *l, size_t k) {
    size_t d = s->d, n = s->n, n_kept = 0, classes = job->classifier.classes;
    size_t *kept = fp_calloc(d, sizeof(*kept));
    for (size_t j = 0; kept && j < d; j++)
        if (l->keep[k * d + j]) kept[n_kept++] = j;
    double *m = fp_calloc(n_kept * n_kept, sizeof(*m)), *w = fp_calloc(n_kept, sizeof(*w)), mean = 0;
    bool done = kept && m && w;
    for (size_t i = 0; done && i < n; i++) mean += job->teacher[i * classes + k] / (double)n;
    for (size_t a = 0; done && a < n_kept; a++) {
        w[a] = s->ridge * (double)l->values[k * d + kept[a]];
        for (size_t i = 0; i < n; i++) w[a] += s->x[i * d + kept[a]] * (job->teacher[i * classes + k] - mean) / (double)n;
        for (size_t b = 0; b <= a; b++) m[a * n_kept + b] = s->covariance[kept[a] * d + kept[b]];
        m[a * n_kept + a] += s->ridge;
    }
    // Row-major lower is column-major upper. A row that cannot be solved stays as it was repaired.
    if (done && n_kept && s->ridge > 0 && !LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (int)n_kept, 1, m, (int)n_kept, w, (int)n_kept)) {
        double shift = 0;
        for (size_t a = 0; a < n_kept; a++) {
            l->values[k * d + kept[a]] = (float)w[a];
            shift += w[a] * s->mean[kept[a]];
        }
        l->bias_change[k] = mean - shift - (double)l->dense_bias[k];
    }
    free(kept);
    free(m);
    free(w);
    return done;
}

int fp_readout_learn(struct fp_job *job, const struct fp_answers *now) {
    if (!job->teacher) return FINEPRUNE_OK;
    struct fp_layer *l = &job->layers[job->classifier.weight];
    struct lesson s;
    bool failed = !lesson_init(&s, now);
    #pragma omp parallel for num_threads(job->threads) schedule(dynamic) if (now->classes > 1 && !failed)
    for (size_t k = 0; k < now->classes; k++) {
        if (failed || (job->kept_classes && !job->kept_classes[k])) continue;
        if (!learn_row(job, &s, l, k)) {
            #pragma omp atomic write
            failed = true;
        }
    }
    lesson_done(&s);
    if (failed) return fp_fail_memory(job->err, "the read-out", now->n_features * now->n_features * sizeof(double));
    json_object_set_new(fp_report_object(job->report, "readout"), "applied", json_true());
    return FINEPRUNE_OK;
}
