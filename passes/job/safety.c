// SPDX-License-Identifier: Apache-2.0
// Nobody is worse off without being told. The pruned model is compared with the dense one of the same lesson by what
// needs no labels: the answers where the dense model is sure, how many different ones there are, how far the scores are
// off; a model that answers with something else by the relative error of its outputs. The scores' error e = E sum_k w_k
// (s_k - dense s_k)^2 / sum_k w_k Var(dense s_k) is measured on the reserve, scores without their mean over the
// classes; w_k = exp(b_k), by which class k is held back. Zeros are given back where e > ((a third + 1.5 u) n / (n +
// 20))^2, u the share of answers that the lesson changes: what it brings is set against what the zeros cost; or where
// the zeros change more than a tenth of the reserve's answers, and more than the lesson does. A pattern that says how
// many zeros there are stays as it is until it ruins the model by clear evidence; then it leaves the layers dense that
// it harms most (weaken.c). A result that stays ruined loses the lesson, and is refused at last. The verdict is the
// first line of the summary.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "maths/answers.h"
#include "job/job.h"

#define FEW 8         // samples below which one answer more or less decides nothing
#define SURE 0.8      // probability from which an answer of the dense model is sure
#define SURE_STAY 0.8 // share of the sure answers that must stay; ordinary results keep 0.95 and more
#define RUINED 0.5    // share of all answers that must stay, and of an output's variance that may be lost
#define ROUNDING 1e-9 // of the scores' mean square: a variance that is none
#define TRIES 3       // further ones
#define HALF 0.5      // zeros that are tried last
#define AS_ASKED 0.01 // of all weights: fewer zeros are not told
#define OUTPUTS                                                                                                        \
    0.1 // of an output's variance that may be lost without a word, and of the answers that the zeros may change
#define UNSAID 0.01 // of an output's variance that is as good as nothing
#define SLACK 0.33  // 0.25..0.4: what the zeros may cost, in deviations of the scores, where nothing is learned
#define WORTH 1.5   // 1..2: and by how much more for each answer that the lesson changes
#define PROOF 20.0  // 10..40: samples at which half of that is believed
#define POWER 2.5   // 1.5..3: the error of the scores grows with the share of zeros to this power

struct measures {
    bool classes, local; // the outputs are classes; measured on the samples that decide, as there is no reserve
    size_t n, as_came, same, sure,
        sure_same; // answers; as the model that came in; as the dense model of the same lesson, also where that is sure
    size_t taught; // answers that the lesson alone changes
    double allowed; // error up to which the lesson, as far as it can be believed, is worth the zeros
    size_t often_came, kinds_dense, kinds,
        lost;        // classes that the model that came in answers often; different answers; samples whose class, often
                     // answered by the dense model, is not answered any more
    double expected; // mistakes that the model that came in expects: sum of 1 - max p
    double sureness_dense, sureness; // mean of max p
    double error, other;          // of the scores or the outputs, relative to their variance, and of outputs beside a
                                  // classifier's; negative: not measured
    struct fp_output_error worst; // of the outputs that are measured
    bool alike;                   // the dense model gives all samples the same scores: there is nothing to compare
    bool known, ruined, worse;    // worse: than the dense model that came in, probably
};

// ---- classes

// The scores of the dense model that has learned the same lesson.
static void reference_of(const struct fp_job *job, const struct fp_answers *a, size_t i, double *scores) {
    const float *logits = a->logits + i * a->classes, *f = a->features + i * a->n_features;
    if (!job->classes.lesson.b) {
        for (size_t k = 0; k < a->classes; k++) scores[k] = (double)logits[k];
        return;
    }
    const struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
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
                           size_t i, struct answers_room *r, struct measures *m) {
    const size_t classes = now->classes;
    for (size_t k = 0; k < classes; k++)
        r->came[k] = (double)dense->logits[i * classes + k], r->now[k] = (double)now->logits[i * classes + k];
    reference_of(job, dense, i, r->dense);
    const size_t answer = best_of(r->now, classes, NULL), wanted = best_of(r->dense, classes, job->classes.kept),
                 came = best_of(r->came, classes, NULL);
    const double sure = sureness_of(job, r->dense, classes, job->classes.kept);
    m->n++;
    m->as_came += answer == came;
    m->same += answer == wanted;
    m->taught += wanted != came;
    m->sure += sure >= SURE;
    m->sure_same += sure >= SURE && answer == wanted;
    m->expected += 1 - sureness_of(job, r->came, classes, NULL);
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

static void count_kinds(const struct answers_room *r, size_t classes, struct measures *m) {
    for (size_t k = 0; k < classes; k++) {
        m->often_came += is_often(r->of_came[k], m->n);
        m->kinds_dense += r->of_dense[k] > 0;
        m->kinds += r->of_now[k] > 0;
        if (is_often(r->of_dense[k], m->n) && !r->of_now[k]) m->lost += r->of_dense[k];
    }
}

// Without outputs or a read-out to decide, nothing was kept of the samples but their number.
static size_t samples_of(const struct fp_job *job) {
    if (job->classes.dense.samples) return job->classes.dense.samples;
    return job->samples.n_local + job->samples.n_reserve;
}

static int compare_classes(struct fp_job *job, const struct fp_answers *dense, const struct fp_answers *now,
                           struct measures *m) {
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
    return FINEPRUNE_OK;
}

// ---- all models

// The upper end of what a share may be of which k of n were seen (Wilson 1927, 95 % to one side).
static double at_most(size_t k, size_t n) {
    const double z = 1.645, p = (double)k / (double)n, w = z * z / (double)n;
    return (p + w / 2 + z * sqrt(p * (1 - p) / (double)n + w / (4 * (double)n))) / (1 + w);
}

// By clear evidence alone.
static bool is_ruined(const struct measures *m) {
    if (!m->known) return false;
    if (!m->classes) return m->error > (m->n < FEW ? 1 : RUINED);
    if (m->n && isinf(m->error)) return true;
    if (m->n < FEW) return m->same == 0 && m->error > 1 && m->n > 1;
    if (m->kinds == 1 && m->kinds_dense > 1 && at_most(m->same, m->n) < SURE_STAY) return true;
    // Zeros may cost less than the lesson brings.
    if (m->sure >= FEW && m->sure - m->sure_same > m->taught && at_most(m->sure_same, m->sure) < SURE_STAY) return true;
    if (4 * m->lost > m->n) return true;
    return at_most(m->same, m->n) < RUINED;
}

// The zeros change more answers than they may without a word, and more than the lesson does.
static bool zeros_outweigh(const struct measures *m) {
    const double by_zeros = (double)(m->n - m->same);
    return by_zeros > OUTPUTS * (double)m->n && by_zeros > (double)m->taught;
}

// What the lesson brings is set against what the zeros cost: by the answers where there are enough, and by the error of
// the scores, unless enough answers tell that they stay. A result is worse before it is ruined.
static bool is_worse(const struct measures *m) {
    const bool tells = m->classes && !m->local && m->n >= FEW,
               stays = tells && at_most(m->n - m->same, m->n) <= OUTPUTS;
    return m->ruined || (tells && zeros_outweigh(m)) || (m->error > m->allowed && !stays) || m->other > OUTPUTS;
}

static int measure_local(struct fp_job *job, struct measures *m) {
    struct fp_answers now = {0};
    const double error = m->error;
    int status = fp_answers_gather(job, &now);
    if (!status && now.samples) status = compare_classes(job, &job->classes.dense, &now, m);
    m->local = true;
    if (error >= 0) m->error = error; // of samples that nothing was fitted on
    fp_answers_done(&now);
    return status;
}

static int measure(struct fp_job *job, struct measures *m) {
    double agreement, with_dense;
    *m = (struct measures){.error = -1, .other = -1, .allowed = OUTPUTS};
    if (!job->data) return FINEPRUNE_OK;
    int status = fp_verify_after(job, false, &agreement, &with_dense);
    if (status) return status;
    const struct fp_answers *now = fp_verify_answers(job);
    if (job->classes.classifier.weight >= 0 && now && now->samples &&
        (now->samples >= FEW || !job->classes.dense.samples)) {
        status = compare_classes(job, &job->classes.dense_reserve, now, m);
        if (!status) status = fp_verify_error(job, &m->worst);
        m->other = m->worst.error;
    } else if (job->classes.classifier.weight >= 0 && job->samples.n_reserve < FEW && job->classes.dense.samples) {
        struct measures few = *m;
        if (now && now->samples) status = compare_classes(job, &job->classes.dense_reserve, now, &few);
        m->error = few.error;
        if (!status) status = measure_local(job, m);
    } else if (job->samples.n_reserve) {
        status = fp_verify_error(job, &m->worst);
        m->error = m->worst.error;
        m->n = job->samples.n_reserve;
        if (agreement >= 0) m->as_came = m->same = (size_t)(agreement * (double)m->n + 0.5);
        m->classes = agreement >= 0;
        m->known = m->error >= 0 || agreement >= 0;
    }
    m->ruined = is_ruined(m);
    m->worse = m->known && is_worse(m);
    return status;
}

// ---- giving back

// Whether zeros can be given back, and the user has not said that they must stay.
static bool may_give_back(const struct fp_job *job) {
    return job->choices.method->cautious && !job->options->strict_sparsity && !job->layers.by_layer && job->data;
}

static bool has_pattern(const struct fp_job *job) { return job->choices.pattern->merge || job->choices.pattern->snap; }

static int try_zeros(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double sparsity,
                     struct measures *m) {
    int status = prune_to(job, sparsity);
    if (!status) status = measure(job, m);
    job->state.got = sparsity;
    return status;
}

// The share of zeros at which the error is expected to be allowed; where that says nothing, halfway to `last` by what
// is kept: the geometric mean.
static double next_try(const struct measures *m, double now, double last) {
    const double half = 1 - sqrt((1 - last) * (1 - now));
    if (!isfinite(m->error) || !(m->error > m->allowed)) return fmax(last, half);
    return fmax(last, fmin(now * pow(m->allowed / m->error, 1 / POWER), half));
}

// At most TRIES times; *m is of what the model has at the end.
static int give_back(struct fp_job *job, int (*prune_to)(struct fp_job *, double), double asked, struct measures *m) {
    const double last = fmin(asked / 2, HALF);
    int status = FINEPRUNE_OK;
    for (int step = 1; step <= TRIES && m->worse && job->state.got > last && !status; step++)
        status = try_zeros(job, prune_to, step == TRIES ? last : next_try(m, job->state.got, last), m);
    return status;
}

#define FIRST_WEAK 16 // one layer of so many goes back to dense at first, then twice as many each time

// A quarter of the layers follows the pattern to the last: less is not worth it. *m is of what the model has at the
// end.
static int weaken(struct fp_job *job, int (*prune_to)(struct fp_job *, double), struct measures *m) {
    int *order = NULL, status = fp_weaken_order(job, &order);
    const int most = 3 * job->layers.n / 4;
    for (int n = 0; n < most && m->worse && !status;) {
        n = n ? 2 * n : (job->layers.n + FIRST_WEAK - 1) / FIRST_WEAK;
        if (n > most) n = most;
        fp_weaken(job, order, n);
        status = try_zeros(job, prune_to, job->state.got, m);
    }
    free(order);
    return status;
}

static int refuse_pattern(struct fp_job *job) {
    fp_fail(job->err, FINEPRUNE_GATE,
            "pattern '%s' ruins this model: it changes nearly all that it does, even where most weights stay dense",
            job->choices.pattern_text);
    fp_hint(job->err, "smaller blocks, fewer zeros or no pattern cost less; --strict-sparsity prunes all the same");
    return FINEPRUNE_GATE;
}

int fp_safety_refuse(struct fp_job *job) {
    const double least = job->state.got;
    fp_error_clear(job->err);
    if (job->choices.target.kind) {
        fp_fail(job->err, FINEPRUNE_GATE, "target '%s' ruins this model: it changes nearly all that it does",
                job->choices.target.text);
        fp_hint(job->err, "ask for more that may stay, or give more samples; --strict-sparsity prunes all the same");
        return FINEPRUNE_GATE;
    }
    if (has_pattern(job)) return refuse_pattern(job);
    fp_fail(
        job->err, FINEPRUNE_GATE,
        "pruning ruins this model: even %.0f %% zeros change nearly all that it does; no share that was tried is safe",
        100 * least);
    fp_hint(job->err, "ask for less than -s %.0f%%, or give more samples; --strict-sparsity prunes all the same",
            100 * least);
    return FINEPRUNE_GATE;
}

// No fewer zeros came with the model: to ask for less gives none back.
static bool adds_none(const struct fp_job *job, double sparsity) {
    double came = 0, all = 0;
    for (int i = 0; i < job->layers.n; i++) {
        came += (double)job->layers.items[i].n_came;
        all += (double)job->layers.items[i].w->count;
    }
    return came > 0 && came >= sparsity * all;
}

int fp_prune_safely(struct fp_job *job, int (*prune_first)(struct fp_job *, double),
                    int (*prune_to)(struct fp_job *, double), double sparsity) {
    struct measures m;
    int status = try_zeros(job, prune_first, sparsity, &m);
    if (status || !m.worse || !may_give_back(job)) return status;
    if (!job->choices.pattern->decides && !adds_none(job, sparsity)) {
        status = give_back(job, prune_to, sparsity, &m);
        job->state.gave_back = true;
    }
    if (!status && m.ruined && has_pattern(job)) status = weaken(job, prune_to, &m);
    if (status || !m.ruined) return status;
    if (job->classes.lesson.b) {
        job->classes.forgotten = "with it the pruned model is ruined";
        fp_lesson_forget(job, job->classes.forgotten);
        status = try_zeros(job, prune_to, job->state.got, &m);
    }
    job->state.refused = m.ruined;
    return status;
}

// ---- the verdict

enum kind { BETTER, SAME, WORSE, UNKNOWN };
static const char *const kinds[] = {"better", "same", "worse", "unknown"};

static enum kind judge(const struct fp_job *job, const struct measures *m) {
    const double n = (double)m->n, changed = n - (double)m->as_came, by_zeros = n - (double)m->same,
                 taught = (double)m->taught;
    if (m->ruined) return WORSE;
    if (!m->known || m->alike || (m->classes && m->n < FEW)) return UNKNOWN;
    if (!m->classes)
        return m->error > UNSAID || (m->worst.column >= 0 && m->worst.of_column > 2 * UNSAID) ? WORSE : SAME;
    if (changed <= 0.05 * n && !m->worse) return SAME;
    if (job->classes.classifier.weight < 0 && changed <= 0.15 * n && !m->worse) return SAME;
    if (job->classes.classifier.weight < 0) return WORSE;
    // Without labels: what the lesson changes is for the better, as far as the model expects to be wrong; what the
    // zeros change is for the worse.
    if (m->worse || zeros_outweigh(m)) return WORSE;
    if (taught > 0 && !fp_changes_may_help(taught, m->expected)) return UNKNOWN;
    if (m->kinds == 1 && m->often_came > 1) return UNKNOWN; // a user of one class, or a model that has collapsed
    if (taught > 0 && 2 * by_zeros <= taught) return BETTER;
    return UNKNOWN;
}

static const char *samples_word(const struct measures *m) {
    return m->local ? "answers to your samples" : "held-back answers";
}

static void say_classes(const struct fp_job *job, const struct measures *m, enum kind kind, FILE *file) {
    const size_t changed = m->n - m->as_came;
    const char *const words[] = {
        [BETTER] = "better for you, probably", [WORSE] = "worse, probably", [UNKNOWN] = "cannot tell"};
    char mistakes[64];
    snprintf(mistakes, sizeof(mistakes), "%.0f mistake%s", m->expected, fabs(m->expected - 1) < 0.5 ? "" : "s");
    if (m->alike && !m->ruined)
        fprintf(file, "cannot tell: your samples are all the same to the model; %zu of %zu answers are as they were",
                m->as_came, m->n);
    else if (m->n < FEW && !m->ruined)
        fprintf(file, "cannot tell: only %zu answers to measure with, %zu of them as they were", m->n, m->as_came);
    else if (m->ruined)
        fprintf(file, "ruined: only %zu of %zu %s are those of the model without zeros", m->same, m->n,
                samples_word(m));
    else if (kind == SAME)
        fprintf(file, "as good as before: %zu of %zu %s are as they were", m->as_came, m->n, samples_word(m));
    else if (kind == WORSE && !changed)
        fprintf(file, "worse, perhaps: though %zu of %zu %s are as they were", m->as_came, m->n, samples_word(m));
    else if (job->classes.classifier.weight < 0)
        fprintf(file, "worse: %zu of %zu %s are others", changed, m->n, samples_word(m));
    else if (!m->taught)
        fprintf(file, "%s: %zu of %zu %s are others, where the model itself expected %s", words[kind], changed, m->n,
                samples_word(m), mistakes);
    else
        fprintf(file,
                "%s: what it learned changes %zu of %zu %s, where the model itself expected %s; the zeros change %zu "
                "more",
                words[kind], m->taught, m->n, samples_word(m), mistakes, m->n - m->same);
    if (m->worse && !m->ruined && isfinite(m->error) && m->error >= 0)
        fprintf(file, "; held-back scores are off by %.0f %% of their spread", 100 * sqrt(m->error));
    if (m->ruined && m->kinds == 1 && m->kinds_dense > 1) fputs(", and all are the same", file);
    else if (m->kinds == 1 && m->often_came > 1) fputs("; all answers are of one class now", file);
}

static void say_outputs(const struct measures *m, enum kind kind, FILE *file) {
    if (!m->known) {
        fprintf(file, "cannot tell: %s",
                m->n ? "there is no output of numbers to measure" : "no samples were kept to measure with");
        return;
    }
    if (m->ruined) fputs("ruined: ", file);
    else if (kind == SAME) fputs("as good as before: ", file);
    else if (m->worse) fputs("worse, perhaps: ", file);
    else fputs("a little worse, perhaps: ", file);
    if (isinf(m->error)) fputs("the outputs have nothing in common with what they were", file);
    else if (m->error < 1e-6) fputs("the outputs differ by less than 0.1 % of their spread", file);
    else if (m->worst.column >= 0 && kind != SAME)
        fprintf(file, "column %d of output '%s' differs by %.0f %% of its spread", m->worst.column, m->worst.output,
                100 * sqrt(m->worst.of_column));
    else fprintf(file, "the outputs differ by %.*f %% of their spread", m->error < 0.01 ? 1 : 0, 100 * sqrt(m->error));
    if (m->worst.output && m->worst.column < 0 && kind != SAME) fprintf(file, ", most in '%s'", m->worst.output);
}

static size_t left_dense(const struct fp_job *job) {
    size_t n = 0;
    for (int i = 0; i < job->layers.weights->n_skipped; i++)
        n += job->layers.weights->skipped[i].reason &&
             !strncmp(job->layers.weights->skipped[i].reason, "no sample reaches", 17);
    return n;
}

// What became of the pattern, where the model could not bear it. Whether there was something to say.
static bool say_pattern(const struct fp_job *job, const struct measures *m, double asked, FILE *file) {
    const int n = fp_weakened(job);
    const char *pattern = job->choices.pattern_text;
    if (!has_pattern(job)) return false;
    if (job->state.refused) {
        fprintf(file, "; pattern %s ruins it", pattern);
        if (n) fprintf(file, ", even where %d of %d weights stay dense", n, job->layers.n);
    } else if (n) {
        fprintf(file, "; pattern %s ruins it in %d of %d weights, which stay dense (", pattern, n, job->layers.n);
        fp_weaken_say(job, file);
        fprintf(file, "): %.0f %% zeros", 100 * fp_weaken_share(job));
        if (asked >= 0) fprintf(file, ", not the %.3g %% that were asked", 100 * asked);
    } else if (m->ruined && job->options->strict_sparsity) {
        fprintf(file, "; all zeros of pattern %s were kept, as --strict-sparsity asks", pattern);
    } else if (m->ruined) {
        fprintf(file, "; pattern %s is too much for it: ask for less, or for the default method", pattern);
    } else {
        return false;
    }
    return true;
}

// Why there are fewer zeros than were asked; NULL: there are not.
static const char *why_fewer(const struct fp_job *job, double asked) {
    const bool fewer = asked >= 0 && fp_weaken_share(job) < asked - AS_ASKED && !job->choices.pattern->decides;
    if (asked >= 0 && job->state.got >= 0 && job->state.got < asked - 1e-9)
        return job->state.gave_back ? "more would cost too much" : "more are not justified by so few samples";
    if (!fewer) return NULL;
    if (job->state.few) return "more are not justified by so few samples";
    if (left_dense(job)) return "weights that no sample reaches stay dense";
    return "every output of a layer keeps an input, and what few samples reach keeps more";
}

static void say_zeros(const struct fp_job *job, const struct measures *m, double asked, FILE *file) {
    const char *fewer = why_fewer(job, asked);
    if (say_pattern(job, m, asked, file)) return;
    if (job->state.refused && job->choices.target.kind)
        fprintf(file, "; the target '%s' is too much", job->choices.target.text);
    else if (job->state.refused)
        fprintf(file, "; no share of zeros that was tried is safe, from %.0f %% down to %.0f %%", 100 * asked,
                100 * job->state.got);
    else if (fewer)
        fprintf(file, "; %.0f %% zeros, not the %.3g %% that were asked: %s", floor(100 * fp_weaken_share(job) + 1e-9),
                100 * asked, fewer);
    else if (m->ruined && job->options->strict_sparsity)
        fputs("; all zeros were kept, as --strict-sparsity asks", file);
    else if (m->ruined) fputs("; ask for less sparsity, or for the default method and pattern", file);
}

// What else the first line must not keep back.
static void say_changes(const struct fp_job *job, const struct measures *m, double asked, FILE *file) {
    const size_t dense = left_dense(job);
    say_zeros(job, m, asked, file);
    if (m->other > UNSAID && m->worst.column >= 0)
        fprintf(file, "; but column %d of output '%s' differs by %.0f %% of its spread", m->worst.column,
                m->worst.output, 100 * sqrt(fmin(m->worst.of_column, 1e4)));
    else if (m->other > UNSAID)
        fprintf(file, "; but output '%s' differs by %.0f %% of its spread", m->worst.output,
                100 * sqrt(fmin(m->other, 1e4)));
    if (job->classes.forgotten) fprintf(file, "; nothing was learned from your samples: %s", job->classes.forgotten);
    if (dense == 1) fputs("; 1 weight was left dense, as no sample reaches it", file);
    if (dense > 1) fprintf(file, "; %zu weights were left dense, as no sample reaches them", dense);
}

static struct fp_report_measures told_of(const struct measures *m) {
    return (struct fp_report_measures){.samples = m->n,
                                       .measured_on = m->local ? "samples" : "reserve",
                                       .relative_error = m->error,
                                       .relative_error_of_other_outputs = m->other,
                                       .worst_output = m->worst.output,
                                       .classes = m->classes,
                                       .as_came = m->as_came,
                                       .as_without_zeros = m->same,
                                       .mean_confidence_before = m->sureness_dense,
                                       .mean_confidence = m->sureness,
                                       .changed_by_lesson = m->taught,
                                       .sure = m->sure,
                                       .sure_as_without_zeros = m->sure_same,
                                       .different_answers_before = m->kinds_dense,
                                       .different_answers = m->kinds,
                                       .of_lost_classes = m->lost,
                                       .expected_mistakes = m->expected};
}

int fp_safety_report(struct fp_job *job, double asked) {
    struct measures m;
    char *text = NULL;
    size_t size;
    int status = measure(job, &m);
    if (status) return status;
    FILE *file = open_memstream(&text, &size);
    if (!file) return fp_fail_memory(job->err, "the report", 0);
    const enum kind kind = judge(job, &m);
    if (!job->data)
        fputs("cannot tell: statistics alone measure nothing; 'fineprune compare' does, with samples", file);
    else if (m.classes) say_classes(job, &m, kind, file);
    else say_outputs(&m, kind, file);
    say_changes(job, &m, asked, file);
    if (fclose(file)) {
        free(text);
        return fp_fail_memory(job->err, "the report", 0);
    }
    const struct fp_report_verdict verdict = {
        .kind = kinds[kind], .text = text, .ruined = m.ruined, .measures = told_of(&m)};
    FP_PUT(job->report, verdict, &verdict);
    free(text);
    return FINEPRUNE_OK;
}
