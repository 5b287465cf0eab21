// SPDX-License-Identifier: Apache-2.0
// The lesson against the same rule in slow loops, in the space of the features and class by class.
#include "maths/lesson.h"

#include "fake_job.h"

enum { MOST_N = 90, MOST_D = 40, MOST_K = 30 };

struct made {
    size_t n, d, k;
    float features[MOST_N * MOST_D], logits[MOST_N * MOST_K];
};

// `used` of the k classes around places of their own, which the logits know only partly: by `sharp`, and turned by
// `wrong` of a class's number.
static void make(struct made *m, size_t n, size_t d, size_t k, size_t used, double sharp, double noise) {
    uint64_t seed = 7 + n + k;
    double place[MOST_K][MOST_D];
    *m = (struct made){.n = n, .d = d, .k = k};
    for (size_t c = 0; c < k; c++)
        for (size_t j = 0; j < d; j++) place[c][j] = fake_number(&seed);
    for (size_t i = 0; i < n; i++) {
        const size_t own = i % used;
        for (size_t j = 0; j < d; j++)
            m->features[i * d + j] = (float)(1.5 * place[own][j] + noise * fake_number(&seed) + 0.3);
        for (size_t c = 0; c < k; c++) {
            double l = (double)(c % 3) / 4 + fake_number(&seed) * 1.5;
            for (size_t j = 0; j < d; j++) l += sharp * place[c][j] * (double)m->features[i * d + j];
            m->logits[i * k + c] = (float)l;
        }
    }
}

// ---- the slow way

struct slow {
    size_t n, d, k, active;
    double f[MOST_N][MOST_D], l[MOST_N][MOST_K], lesson[MOST_N][MOST_K];
    size_t ids[MOST_K];
    double a[MOST_K][MOST_D], c[MOST_K], b[MOST_K], c0[MOST_K], c1[MOST_K], alone[MOST_N][MOST_K], unit[MOST_N][MOST_D];
    double weight, w0, v, use, found, believed, least, weak, g, expected, expected_sure, sharp;
    size_t changed, changed_sure;
    bool trusted, rows[MOST_K];
};

static void slow_softmax(const double *l, size_t k, double *p) {
    double sum = 0, most = -INFINITY;
    for (size_t c = 0; c < k; c++) most = fmax(most, l[c]);
    for (size_t c = 0; c < k; c++) sum += exp(l[c] - most);
    for (size_t c = 0; c < k; c++) p[c] = exp(l[c] - most) / sum;
}

static void slow_counts(size_t n, size_t k, double l[][MOST_K], double *counts) {
    double pi[MOST_K], p[MOST_K];
    for (size_t c = 0; c < k; c++) pi[c] = 1 / (double)k;
    for (int step = 0; step < 2000; step++) {
        double next[MOST_K] = {0}, moved = 0;
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            slow_softmax(l[i], k, p);
            for (size_t c = 0; c < k; c++) sum += p[c] * pi[c];
            for (size_t c = 0; c < k; c++) next[c] += p[c] * pi[c] / sum / (double)n;
        }
        for (size_t c = 0; c < k; c++) moved = fmax(moved, fabs(next[c] - pi[c])), pi[c] = next[c];
        if (moved < 1e-7) break;
    }
    for (size_t c = 0; c < k; c++) counts[c] = pi[c] * (double)n;
}

static void slow_take(struct slow *s, const struct made *m) {
    *s = (struct slow){.d = m->d, .k = m->k};
    for (size_t i = 0; i < m->n; i++) {
        bool known = false;
        for (size_t e = 0; e < i && !known; e++)
            known = !memcmp(m->features + e * m->d, m->features + i * m->d, m->d * sizeof(float)) &&
                    !memcmp(m->logits + e * m->k, m->logits + i * m->k, m->k * sizeof(float));
        if (known) continue;
        for (size_t j = 0; j < m->d; j++) s->f[s->n][j] = (double)m->features[i * m->d + j];
        for (size_t c = 0; c < m->k; c++) s->l[s->n][c] = (double)m->logits[i * m->k + c];
        s->n++;
    }
}

static double slow_sureness(const struct slow *s, size_t i) {
    double p[MOST_K], most = 0;
    slow_softmax(s->l[i], s->k, p);
    for (size_t c = 0; c < s->k; c++) most = fmax(most, p[c]);
    return most;
}

static size_t slow_best(const struct slow *s, size_t i, double g) {
    size_t best = 0;
    for (size_t c = 1; c < s->k; c++)
        if (s->l[i][c] + s->b[c] + g * s->lesson[i][c] > s->l[i][best] + s->b[best] + g * s->lesson[i][best]) best = c;
    return best;
}

// Steps of beta that get smaller, until the sureness is what the five nearest say.
static void slow_sharpen(struct slow *s) {
    static double unit[MOST_N][MOST_D];
    double mu[MOST_D] = {0}, same = 0.5, beta = 2.5;
    const double near = fmin(5, (double)s->n - 1);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->d; j++) mu[j] += s->f[i][j] / (double)s->n;
    for (size_t i = 0; i < s->n; i++) {
        double length = 0;
        for (size_t j = 0; j < s->d; j++) length += pow(s->f[i][j] - mu[j], 2);
        for (size_t j = 0; j < s->d; j++) unit[i][j] = (s->f[i][j] - mu[j]) / sqrt(length);
    }
    for (size_t i = 0; i < s->n; i++) {
        double cosine[MOST_N];
        for (size_t e = 0; e < s->n; e++) {
            cosine[e] = 0;
            for (size_t c = 0; c < s->d; c++) cosine[e] += unit[i][c] * unit[e][c];
        }
        for (size_t j = 0; j < s->n; j++) {
            size_t nearer = 0;
            for (size_t e = 0; e < s->n; e++)
                nearer += e != i && e != j && (cosine[e] > cosine[j] || (!(cosine[e] < cosine[j]) && e < j));
            if (j != i && nearer < 5) same += (slow_best(s, i, 0) == slow_best(s, j, 0)) / near;
        }
    }
    for (double factor = 1e9; factor > 1 + 1e-13; factor = sqrt(factor)) {
        double sum = 0;
        for (size_t i = 0; i < s->n; i++) {
            double l[MOST_K], p[MOST_K], most = 0;
            for (size_t c = 0; c < s->k; c++) l[c] = beta * factor * s->l[i][c];
            slow_softmax(l, s->k, p);
            for (size_t c = 0; c < s->k; c++) most = fmax(most, p[c]);
            sum += most;
        }
        if (sum / (double)s->n < same / ((double)s->n + 1)) beta *= factor;
    }
    s->sharp = beta / 2.5;
    for (size_t i = 0; i < s->n; i++)
        for (size_t c = 0; c < s->k; c++) s->l[i][c] *= s->sharp;
}

static void slow_unseen(struct slow *s) {
    double seen = 0, once = 0, answers = 0;
    slow_counts(s->n, s->k, s->l, s->c0);
    for (size_t c = 0; c < s->k; c++) seen += s->c0[c] >= 1.5, once += s->c0[c] >= 0.5 && s->c0[c] < 1.5;
    for (size_t i = 0; i < s->n; i++) answers += slow_sureness(s, i);
    s->found = fmax(seen + once, 1);
    seen = fmax(seen, 1);
    s->use = fmin(1, s->found / (double)s->k);
    s->believed = pow(answers / s->found, 2) / (pow(answers / s->found, 2) + 0.2);
    const double unseen = fmax(1, (double)s->k - seen), new = fmin(0.95, (once + 3) / (double)s->n),
                 miss = 0.1 + 0.9 * exp((double)s->n / -2 / s->found);
    s->v = 1 - pow(1 - pow(s->use, 1.5), 4);
    s->w0 = fmin(1, new / unseen / ((1 - new) / seen) + s->v *miss / (s->v * miss + 1 - s->v));
    for (size_t c = 0; c < s->k; c++)
        if (s->c0[c] >= 0.25 || s->w0 > 0.1) s->ids[s->active++] = c;
}

// The prototype of class a without sample i is p - q_ia N_i.
static double slow_alone(const struct slow *s, size_t i, const double *p, double q) {
    double along = 0, square = 0;
    for (size_t j = 0; j < s->d; j++) {
        const double other = p[j] - q * s->unit[i][j];
        along += other * s->unit[i][j];
        square += other * other;
    }
    return along / sqrt(fmax(square, 0.05));
}

// The root of the cross-entropy's slope, by steps that get smaller.
static double slow_weak(const struct slow *s) {
    double g = 0;
    for (double step = 0.5; step > 1e-10; step /= 2) {
        double slope = 0;
        for (size_t i = 0; i < s->n; i++) {
            double l[MOST_K], p[MOST_K], taught[MOST_K];
            for (size_t a = 0; a < s->active; a++) l[a] = s->l[i][s->ids[a]], taught[a] = (g + step) * s->alone[i][a];
            slow_softmax(l, s->active, p), slow_softmax(taught, s->active, l);
            for (size_t a = 0; a < s->active; a++) slope += (l[a] - p[a]) * s->alone[i][a];
        }
        if (slope < 0) g += step;
    }
    return g / 3;
}

// Prototypes in the space of the features: P_k = sum of q_nk F_n / |F_n|, of length r_k.
static void slow_study(struct slow *s, double weight) {
    static double l[MOST_N][MOST_K], q[MOST_N][MOST_K];
    double mu[MOST_D] = {0}, length[MOST_N], usual = 0, t = 0, mean[MOST_K] = {0};
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->d; j++) mu[j] += s->f[i][j] / (double)s->n;
    for (size_t i = 0; i < s->n; i++) {
        length[i] = 0;
        for (size_t j = 0; j < s->d; j++) length[i] += pow(s->f[i][j] - mu[j], 2);
        length[i] = sqrt(length[i]);
        usual += length[i] / (double)s->n;
        for (size_t j = 0; j < s->d; j++) s->unit[i][j] = (s->f[i][j] - mu[j]) / length[i];
        for (size_t a = 0; a < s->active; a++) l[i][a] = s->l[i][s->ids[a]], mean[a] += l[i][a] / (double)s->n;
        slow_softmax(l[i], s->active, q[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        double most = -INFINITY, sum = 0;
        for (size_t a = 0; a < s->active; a++) most = fmax(most, l[i][a] - mean[a]), sum += l[i][a] - mean[a];
        t += weight * (most - sum / (double)s->active) / (double)s->n;
    }
    for (int step = 0; step < 10; step++) {
        for (size_t a = 0; a < s->active; a++) {
            double *p = s->a[s->ids[a]], r2 = 0, m = 0, own = 0;
            for (size_t j = 0; j < s->d; j++) {
                p[j] = 0;
                for (size_t i = 0; i < s->n; i++) p[j] += q[i][a] * s->unit[i][j];
                r2 += p[j] * p[j];
            }
            for (size_t i = 0; i < s->n; i++) m += q[i][a], own += q[i][a] * q[i][a];
            const double e = s->v + (1 - s->v) * fmax(0, 1 - own / r2) * m / (m + 2);
            for (size_t i = 0; i < s->n; i++) s->alone[i][a] = t / usual * length[i] * e * slow_alone(s, i, p, q[i][a]);
            s->c[s->ids[a]] = 0;
            for (size_t j = 0; j < s->d; j++) p[j] *= t / usual * e / sqrt(r2), s->c[s->ids[a]] -= p[j] * mu[j];
        }
        for (size_t i = 0; i < s->n; i++) {
            double taught[MOST_K];
            for (size_t a = 0; a < s->active; a++) {
                double *d = &s->lesson[i][s->ids[a]];
                *d = s->c[s->ids[a]];
                for (size_t j = 0; j < s->d; j++) *d += s->a[s->ids[a]][j] * s->f[i][j];
                taught[a] = l[i][a] + *d;
            }
            slow_softmax(taught, s->active, q[i]);
        }
    }
    for (size_t i = 0; i < s->n; i++)
        for (size_t a = 0; a < s->active; a++) l[i][a] += s->lesson[i][s->ids[a]];
    slow_counts(s->n, s->active, l, mean);
    for (size_t a = 0; a < s->active; a++) s->c1[s->ids[a]] = mean[a];
}

static void slow_hold(struct slow *s, const double *count) {
    for (size_t c = 0; c < s->k; c++)
        s->b[c] = s->believed * log(s->w0 + (1 - s->w0) * fmin(1, fmin(count[c], s->c0[c]) / 2));
}

// Strength by bisection: the least at which all but one in a hundred answer as at full strength.
static double slow_strength(const struct slow *s) {
    double low = 0, high = 1;
    for (int step = 0; step < 60; step++) {
        const double g = step ? (low + high) / 2 : 0;
        size_t other = 0;
        for (size_t i = 0; i < s->n; i++) other += slow_best(s, i, g) != slow_best(s, i, 1);
        if (other <= s->n / 100) high = g;
        else low = g;
    }
    return high;
}

static void slow_trust(struct slow *s) {
    double sure[MOST_N];
    bool done[MOST_N] = {false};
    for (size_t i = 0; i < s->n; i++) sure[i] = slow_sureness(s, i);
    s->trusted = true;
    s->changed = 0, s->expected = 0;
    for (size_t at = 0; at < s->n; at++) {
        size_t next = s->n;
        for (size_t i = 0; i < s->n; i++)
            if (!done[i] && (next == s->n || sure[i] > sure[next])) next = i;
        done[next] = true;
        s->changed += slow_best(s, next, 0) != slow_best(s, next, 1);
        s->expected += 1 - sure[next];
        if (at + 1 == (s->n + 1) / 2) s->changed_sure = s->changed, s->expected_sure = s->expected;
        if (at + 1 == (s->n + 1) / 2 || at + 1 == s->n) s->trusted &= (double)s->changed <= s->expected + 1;
    }
}

// Shares of the five nearest with another answer, by counting for each how many are nearer.
static void slow_choose(struct slow *s) {
    double sum = 0;
    s->g = s->least;
    if (!(s->least > 0)) return;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++) {
            size_t nearer = 0;
            double cosine[MOST_N];
            for (size_t e = 0; e < s->n; e++) {
                cosine[e] = 0;
                for (size_t c = 0; c < s->d; c++) cosine[e] += s->unit[i][c] * s->unit[e][c];
            }
            for (size_t e = 0; e < s->n; e++)
                nearer += e != i && e != j && (cosine[e] > cosine[j] || (!(cosine[e] < cosine[j]) && e < j));
            if (j != i && nearer < 5) sum += (slow_best(s, i, 1) != slow_best(s, j, 1)) / fmin(5, (double)s->n - 1);
        }
    const double h = (sum + 0.5) / (s->expected + 0.5),
                 tight = s->trusted ? 1 - s->v * (1 - 1 / (1 + pow(h / 0.4, 4))) : 0;
    s->g = (1 - exp((double)s->n / -20)) * pow(fmin(s->least, s->weak), 1 - tight) *
           pow(pow(s->least, 1 - 0.5 * pow(2 * s->use - 1, 2)), tight);
}

static void slow_rows(struct slow *s) {
    double kept = 0, once = 0;
    for (size_t c = 0; c < s->k; c++) kept += s->c1[c] >= 2, once += s->c1[c] >= 0.5 && s->c1[c] < 1.5;
    const bool removes = s->trusted && kept >= 2 && 4 * kept <= (double)s->k && (once + 3) / (double)s->n <= 0.1;
    for (size_t c = 0; c < s->k; c++) s->rows[c] = !removes || s->c1[c] >= 2 || s->w0 > 0.1;
}

static void slow_all(struct slow *s, const struct made *m, bool holds) {
    slow_take(s, m);
    slow_sharpen(s);
    slow_unseen(s);
    s->trusted = false;
    for (int i = 0; i <= 4 && !s->trusted; i++) {
        s->weight = i < 4 ? 6 * pow(0.75, i) : 6;
        slow_study(s, s->weight);
        if (holds) slow_hold(s, s->c1);
        s->weak = slow_weak(s);
        s->least = slow_strength(s);
        slow_trust(s);
    }
    slow_choose(s);
    if (!s->trusted && holds) slow_hold(s, s->c0);
    slow_rows(s);
}

// ---- tests

static void near(const char *what, size_t at, double got, double wanted) {
    if (!(fabs(got - wanted) <= 1e-8 * (1 + fabs(wanted)))) fail_msg("%s %zu: %.12g, not %.12g", what, at, got, wanted);
}

static double weight_of_last, sharpness_of_last; // comparison

static void compare(const struct made *m, bool holds, bool *trusted, double *strength, size_t *kept) {
    static struct slow s;
    struct fp_lesson lesson;
    fineprune_error err = {0};
    const struct fp_answers a = {.samples = m->n,
                                 .n_features = m->d,
                                 .classes = m->k,
                                 .features = (float *)(uintptr_t)m->features,
                                 .logits = (float *)(uintptr_t)m->logits};
    assert_int_equal(fp_lesson_make(&lesson, &a, true, holds, NULL, NULL, &err), 0);
    slow_all(&s, m, holds);
    near("sharpness", 0, lesson.sharpness, s.sharp);
    sharpness_of_last = lesson.sharpness;
    assert_int_equal(lesson.samples, s.n);
    assert_int_equal(lesson.changes, s.changed);
    assert_int_equal(lesson.changes_sure, s.changed_sure);
    assert_int_equal(lesson.trusted, s.trusted);
    near("expected", 0, lesson.expected, s.expected), near("expected", 1, lesson.expected_sure, s.expected_sure);
    near("least", 0, lesson.least, s.least), near("weak", 0, lesson.weak, s.weak),
        near("strength", 0, lesson.strength, s.g);
    near("unseen", 0, lesson.sharpness * lesson.unseen_bias, s.believed * log(s.w0));
    for (size_t c = 0; c < m->k; c++) {
        near("c", c, lesson.sharpness * lesson.c[c], s.c[c]), near("b", c, lesson.sharpness * lesson.b[c], s.b[c]);
        assert_int_equal(lesson.rows[c], !holds || s.rows[c]);
        for (size_t j = 0; j < m->d; j++) near("a", c * m->d + j, lesson.sharpness * lesson.a[c * m->d + j], s.a[c][j]);
    }
    weight_of_last = s.weight;
    *trusted = lesson.trusted, *strength = lesson.strength, *kept = lesson.kept;
    fp_lesson_done(&lesson);
}

// Few samples of many features, many samples of few, most classes in use and few of them; the same sample twice counts
// once.
static void test_rule(void **state) {
    (void)state;
    static const struct {
        size_t n, d, k, used;
        double sharp, noise;
        bool holds, trusted, learns;
        size_t kept;
    } cases[] = {
        {60, 40, 6, 6, 0.2, 0.6, true, true, true, 6},    {90, 12, 30, 3, 0.5, 0.8, true, true, true, 3},
        {90, 12, 30, 3, 0.5, 0.8, false, true, true, 30}, {90, 8, 10, 9, 0.3, 0.5, true, true, true, 10},
        {12, 20, 30, 2, 1.5, 0.4, true, true, false, 30},
    };
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        static struct made m;
        make(&m, cases[i].n, cases[i].d, cases[i].k, cases[i].used, cases[i].sharp, cases[i].noise);
        for (size_t j = 0; j < m.d; j++) m.features[(m.n - 1) * m.d + j] = m.features[3 * m.d + j];
        for (size_t c = 0; c < m.k; c++) m.logits[(m.n - 1) * m.k + c] = m.logits[3 * m.k + c];
        bool trusted;
        double strength;
        size_t kept;
        compare(&m, cases[i].holds, &trusted, &strength, &kept);
        if (trusted != cases[i].trusted || (strength > 0) != cases[i].learns || kept != cases[i].kept)
            fail_msg("case %zu: trusted %d, strength %g, %zu rows", i, trusted, strength, kept);
    }
}

// Scores of another scale, as squared errors or margins train them, learn the same.
static void test_scale(void **state) {
    (void)state;
    static struct made m;
    const double scales[] = {1, 0.1, 0.01, 1e-6};
    double strengths[FP_COUNT(scales)], sharp[FP_COUNT(scales)];
    for (size_t i = 0; i < FP_COUNT(scales); i++) {
        bool trusted;
        size_t kept;
        make(&m, 90, 12, 30, 3, 0.5, 0.8);
        for (size_t j = 0; j < m.n * m.k; j++) m.logits[j] *= (float)scales[i];
        compare(&m, true, &trusted, &strengths[i], &kept);
        sharp[i] = sharpness_of_last;
        assert_true(trusted && kept == 3);
    }
    assert_true(sharp[0] < 2.5 && sharp[1] > 2);
    for (size_t i = 2; i < FP_COUNT(scales); i++) {
        assert_true(fabs(sharp[i] * scales[i] / (sharp[1] * scales[1]) - 1) < 1e-4);
        assert_true(fabs(strengths[i] - strengths[1]) < 1e-4);
    }
}

// A model that is sure of its answers is taught next to nothing by data that group in another way: the features say
// nothing of the answers.
static void test_distrust(void **state) {
    (void)state;
    static struct made m;
    make(&m, 80, 10, 4, 4, 0, 0.3);
    for (size_t i = 0; i < m.n; i++)
        for (size_t c = 0; c < m.k; c++) m.logits[i * m.k + c] = i / 7 % 4 == c ? 5 : 0;
    bool trusted;
    double strength;
    size_t kept;
    compare(&m, true, &trusted, &strength, &kept);
    assert_true(!trusted && strength < 0.1 && kept == 4);
}

// At full weight the lesson would change more answers than the model expects to be wrong; a lighter one is trusted.
static void test_lighter(void **state) {
    (void)state;
    static struct made m;
    bool trusted;
    double strength;
    size_t kept, lighter = 0;
    for (int sure = 0; sure < 40; sure++) {
        make(&m, 80, 10, 4, 4, 0, 0.6);
        for (size_t i = 0; i < m.n; i++) // one answer in eight is wrong
            for (size_t c = 0; c < m.k; c++)
                m.logits[i * m.k + c] = (i % 8 ? i % 4 : (i + 1) % 4) == c ? 2 + (float)sure / 20 + (float)(i % 5) / 5
                                                                           : 0;
        compare(&m, true, &trusted, &strength, &kept);
        if (trusted && weight_of_last < 6) lighter++, assert_true(strength > 0);
    }
    assert_true(lighter > 0);
}

// One sample, one class in use, features that never move: no lesson, and no number that is none.
static void test_nothing(void **state) {
    (void)state;
    static struct made m;
    for (int i = 0; i < 3; i++) {
        make(&m, i == 0 ? 1 : 30, 6, 8, 1, 4, 0.2);
        for (size_t j = 0; j < m.n * m.d && i == 2; j++) m.features[j] = (float)(j % m.d);
        const struct fp_answers a = {
            .samples = m.n, .n_features = m.d, .classes = m.k, .features = m.features, .logits = m.logits};
        struct fp_lesson lesson;
        assert_int_equal(fp_lesson_make(&lesson, &a, true, true, NULL, NULL, NULL), 0);
        assert_true(lesson.strength >= 0 && lesson.strength <= 1 && (i == 1 || !lesson.learned));
        for (size_t c = 0; c < m.k; c++) assert_true(lesson.rows[c] && isfinite(lesson.b[c]) && isfinite(lesson.c[c]));
        double *scores = fp_lesson_scores(&lesson, &a);
        for (size_t s = 0; s < m.n * m.k; s++) assert_true(isfinite(scores[s]));
        free(scores);
        fp_lesson_done(&lesson);
    }
}

// What a memory limit does not allow is refused.
static void test_memory(void **state) {
    (void)state;
    static struct made m;
    make(&m, 60, 20, 10, 5, 1, 0.4);
    const struct fp_answers a = {
        .samples = m.n, .n_features = m.d, .classes = m.k, .features = m.features, .logits = m.logits};
    struct fp_memory memory = {.limit = 10000};
    struct fp_lesson lesson;
    fineprune_error err = {0};
    assert_int_equal(fp_lesson_make(&lesson, &a, true, true, NULL, &memory, &err), FINEPRUNE_LIMIT);
    fp_lesson_done(&lesson);
    memory.limit = 1000000;
    assert_int_equal(fp_lesson_make(&lesson, &a, true, true, NULL, &memory, &err), 0);
    assert_true(memory.used == 0);
    fp_lesson_done(&lesson);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rule),     cmocka_unit_test(test_scale),
                                       cmocka_unit_test(test_distrust), cmocka_unit_test(test_lighter),
                                       cmocka_unit_test(test_nothing),  cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
