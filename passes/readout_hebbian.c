// SPDX-License-Identifier: Apache-2.0
// The last layer learns from the user's own activations: neurons that fire together wire together. With f the dense last layer's input, mu = E f,
// F_n = (f_n - mu) / E|f - mu|, L_n the dense logits over the kept classes and t = 4 E(max_k L_nk - mean_k L_nk): start from q = softmax(L), ten
// times C_k = the sum of q_nk (f_n - mu) / |f_n - mu| at length 1, q = softmax(t F C^T + L). The teacher's logits are T = t F C^T + L; after
// pruning the last layer becomes the ridge regression of T on the pruned model's features. Prototypes added to the old answers instead of replacing
// them: nobody loses. (Prototypes: Iwasawa & Matsuo 2021, T3A)
#include <math.h>
#include <stdlib.h>

#include "answers.h"
#include "job.h"

#define STEPS 10
#define WEIGHT 4.0  // of the prototypes against the spread of the old logits
#define RIDGE 0.05
#define LEAST_SAMPLES 8

struct teacher {
    size_t n, d, classes;
    const uint8_t *use;   // kept classes or NULL
    double *centred;      // n x d: f - mu
    double *length;       // n: |f - mu|
    double mean_length, t;
    double *prototypes;   // classes x d
    double *q, *logits;   // n x classes
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
    double *mean = fp_calloc(d, sizeof(double));
    bool done = t->centred && t->length && t->prototypes && t->q && t->logits && mean;
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
    free(mean);
    return done;
}

static void teacher_done(struct teacher *t) {
    free(t->centred);
    free(t->length);
    free(t->prototypes);
    free(t->q);
    free(t->logits);
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
    t->t = WEIGHT * spread;
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

// Rows of the kept classes out of and into the full layer.
static size_t kept_rows(const struct fp_job *job, size_t *rows) {
    size_t n = 0;
    for (size_t k = 0; k < job->classifier.classes; k++)
        if (!job->kept_classes || job->kept_classes[k]) rows[n++] = k;
    return n;
}

// Regression of the teacher on features: fills w (kept x d) and b from the dense layer as the start.
static int regress(struct fp_job *job, const struct fp_answers *a, const size_t *rows, size_t n_rows, double *w, double *b) {
    const struct fp_layer *l = &job->layers[job->classifier.weight];
    size_t d = a->n_features, n = a->samples, classes = a->classes;
    double *targets = fp_calloc(n * n_rows, sizeof(*targets));
    if (!targets) return fp_fail_memory(job->err, "the read-out", n * n_rows * sizeof(*targets));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_rows; k++) targets[i * n_rows + k] = job->teacher[i * classes + rows[k]];
    for (size_t k = 0; k < n_rows; k++) {
        b[k] = (double)l->dense_bias[rows[k]];
        for (size_t j = 0; j < d; j++) w[k * d + j] = (double)l->dense[rows[k] * d + j];
    }
    int status = fp_ridge(a->features, n, d, targets, n_rows, RIDGE, w, b);
    free(targets);
    return status ? fp_fail_memory(job->err, "the read-out", d * d * sizeof(double)) : FINEPRUNE_OK;
}

static int keep_reference(struct fp_job *job) {
    const struct fp_answers *a = &job->dense;
    size_t *rows = fp_calloc(a->classes, sizeof(*rows));
    double *w = fp_calloc(a->classes * a->n_features, sizeof(double)), *b = fp_calloc(a->classes, sizeof(double));
    if (!rows || !w || !b) {
        free(rows), free(w), free(b);
        return fp_fail_memory(job->err, "the read-out", a->classes * a->n_features * sizeof(double));
    }
    size_t n_rows = kept_rows(job, rows);
    int status = regress(job, a, rows, n_rows, w, b);
    for (size_t k = n_rows; k-- > 0 && !status;) { // spread from the end: row k goes to rows[k] >= k
        memmove(w + rows[k] * a->n_features, w + k * a->n_features, a->n_features * sizeof(double));
        b[rows[k]] = b[k];
    }
    free(rows);
    job->reference_w = w;
    job->reference_b = b;
    return status;
}

int fp_readout_teach(struct fp_job *job) {
    const struct fp_classifier *c = &job->classifier;
    if (!job->choices.readout->learns) return leave(job, "the last layer was asked to stay");
    if (c->weight < 0) return leave(job, c->reason);
    struct fp_layer *l = &job->layers[c->weight];
    if (!l->w->bias.proto) return leave(job, "the last layer has no bias");
    if (job->dense.samples < LEAST_SAMPLES) return leave(job, "too few samples");
    struct teacher t;
    if (!teacher_init(&t, &job->dense, job->kept_classes)) {
        teacher_done(&t);
        return fp_fail_memory(job->err, "the read-out", t.n * t.d * sizeof(double));
    }
    if (!(t.mean_length > 0)) {
        teacher_done(&t);
        return leave(job, "the last layer's input is the same for all samples");
    }
    start(&t, &job->dense);
    for (int step = 0; step < STEPS; step++) {
        update_prototypes(&t);
        update_logits(&t, &job->dense);
    }
    job->teacher = t.logits;
    t.logits = NULL;
    teacher_done(&t);
    l->fixed = true;
    return keep_reference(job);
}

int fp_readout_learn(struct fp_job *job, const struct fp_answers *now) {
    if (!job->teacher) return FINEPRUNE_OK;
    struct fp_layer *l = &job->layers[job->classifier.weight];
    size_t d = now->n_features, *rows = fp_calloc(now->classes, sizeof(*rows));
    double *w = fp_calloc(now->classes * d, sizeof(double)), *b = fp_calloc(now->classes, sizeof(double));
    int status = rows && w && b ? FINEPRUNE_OK : fp_fail_memory(job->err, "the read-out", now->classes * d * sizeof(double));
    size_t n_rows = status ? 0 : kept_rows(job, rows);
    if (!status) status = regress(job, now, rows, n_rows, w, b);
    for (size_t k = 0; k < n_rows && !status; k++) {
        for (size_t j = 0; j < d; j++) l->values[rows[k] * d + j] = (float)w[k * d + j];
        l->bias_change[rows[k]] = b[k] - (double)l->dense_bias[rows[k]];
    }
    if (!status) json_object_set_new(fp_report_object(job->report, "readout"), "applied", json_true());
    free(rows);
    free(w);
    free(b);
    return status;
}
