// SPDX-License-Identifier: Apache-2.0
// Class frequencies of made-up answers, which classes leave or are held back, and the read-out's lesson in the last
// layer.
#include "maths/answers.h"
#include "fake_job.h"
#include "job/job.h"

enum { N = 120, D = 16, K = 24 };

struct case_of {
    struct fake_job f;
    float features[N * D], logits[N * K];
    struct fp_layer *l;
};

static int take_and_hold(struct fp_job *job) {
    int status = fp_lesson_take(job);
    if (status || !job->classes.lesson.b || !job->choices.outputs->hold) return status;
    return job->choices.outputs->hold(job);
}

static int teach(struct fp_job *job) {
    if (!job->classes.lesson.a || !job->choices.readout->teach) return FINEPRUNE_OK;
    return job->choices.readout->teach(job);
}

// Samples of the classes 0..used-1 in turn; every class's features lie around a place of its own.
static void make(struct case_of *t, size_t used, double sharp) {
    uint64_t seed = 4;
    memset(t, 0, sizeof(*t));
    fake_begin(&t->f, 2);
    t->l = fake_layer(&t->f, 1, K, D, 1, 2);
    for (size_t k = 0; k < K; k++) t->l->dense_bias[k] = (float)k / 50;
    for (size_t k = 0; k < K; k++) { // rows of one length
        double square = 0;
        for (size_t j = 0; j < D; j++) square += pow((double)t->l->dense[k * D + j], 2);
        for (size_t j = 0; j < D; j++)
            t->l->values[k * D + j] = t->l->dense[k * D + j] = (float)(sharp * (double)t->l->dense[k * D + j] /
                                                                       sqrt(square));
    }
    for (size_t i = 0; i < N; i++) {
        const size_t k = i % used;
        for (size_t j = 0; j < D; j++)
            t->features[i * D + j] = t->l->dense[k * D + j] / (float)sharp * 3 + (float)fake_number(&seed) / 4 + 0.2f;
        for (size_t c = 0; c < K; c++) {
            t->logits[i * K + c] = t->l->dense_bias[c];
            for (size_t j = 0; j < D; j++) t->logits[i * K + c] += t->l->dense[c * D + j] * t->features[i * D + j];
        }
    }
    struct fp_job *job = &t->f.job;
    t->f.weights[0].bias.proto = (void *)t;
    job->classes.dense = (struct fp_answers){
        .samples = N, .n_features = D, .classes = K, .features = t->features, .logits = t->logits};
    job->classes.classifier = (struct fp_classifier){.weight = 0, .classes = K, .features = D};
    job->choices.outputs = fp_find_outputs("prune"), job->choices.readout = fp_find_readout("hebbian");
    job->report = fp_report_new("prune");
    assert_non_null(job->report);
}

// Rows that meet their classes less well, so that there are answers to correct.
static void confuse(struct case_of *t) {
    uint64_t seed = 21;
    for (size_t i = 0; i < K * D; i++)
        t->l->values[i] = t->l->dense[i] = t->l->dense[i] + 2 * (float)fake_number(&seed);
    for (size_t i = 0; i < N; i++)
        for (size_t c = 0; c < K; c++) {
            t->logits[i * K + c] = t->l->dense_bias[c];
            for (size_t j = 0; j < D; j++) t->logits[i * K + c] += t->l->dense[c * D + j] * t->features[i * D + j];
        }
}

static void drop(struct case_of *t) {
    fineprune_report_free(t->f.job.report);
    fp_lesson_done(&t->f.job.classes.lesson);
    free(t->f.job.classes.teacher), free(t->f.job.classes.kept), free(t->f.job.classes.removed_rows);
    fake_end(&t->f);
}

static void test_softmax(void **state) {
    (void)state;
    const double logits[4] = {1000, 1001, -5, 1001};
    const uint8_t use[4] = {1, 1, 1, 0};
    double q[4];
    fp_softmax(logits, q, 4, use);
    assert_true(fabs(q[0] - 1 / (1 + exp(1))) < 1e-12 && fabs(q[1] - 1 / (1 + exp(-1))) < 1e-12 && q[2] == 0 &&
                q[3] == 0);
    const float values[4] = {2, 3, 3, 9};
    assert_int_equal(fp_best(values, 4, use), 1);
    assert_int_equal(fp_best(values, 4, NULL), 3);
}

// Of 4 changes where 2 mistakes are expected, 2 mend and 2 break at best; of 17 where 10 are, chance explains the rest.
static void test_changes(void **state) {
    (void)state;
    assert_true(fp_changes_may_help(3, 2));
    assert_false(fp_changes_may_help(4, 2));
    assert_false(fp_changes_may_help(2, 0.84));
    assert_true(fp_changes_may_help(17, 10));
    assert_false(fp_changes_may_help(18, 10));
    assert_false(fp_changes_may_help(1, 0));
}

// Of sure answers the frequencies are the shares of the answers; of answers that overlap they are the fixed point of
// Bayes' rule.
static void test_frequencies(void **state) {
    (void)state;
    double logits[100 * 4];
    double pi[4], sum = 0;
    for (size_t i = 0; i < 400; i++) logits[i] = 0;
    for (size_t i = 0; i < 100; i++) logits[i * 4 + (i < 60 ? 2 : i < 90 ? 0 : 1)] = 40;
    assert_int_equal(fp_frequencies(logits, 100, 4, pi), 0);
    assert_true(fabs(pi[2] - 0.6) < 1e-6 && fabs(pi[0] - 0.3) < 1e-6 && fabs(pi[1] - 0.1) < 1e-6 && pi[3] < 1e-6);
    uint64_t seed = 2;
    for (size_t i = 0; i < 400; i++) logits[i] = 2 * fake_number(&seed) + (i % 4 == i / 4 % 2 ? 1.5 : 0);
    assert_int_equal(fp_frequencies(logits, 100, 4, pi), 0);
    for (size_t k = 0; k < 4; k++) {
        double next = 0;
        for (size_t i = 0; i < 100; i++) {
            double whole = 0;
            for (size_t c = 0; c < 4; c++) whole += exp(logits[i * 4 + c]) * pi[c];
            next += exp(logits[i * 4 + k]) * pi[k] / whole / 100;
        }
        assert_true(fabs(next - pi[k]) < 1e-6);
        sum += pi[k];
    }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(pi[0] + pi[1] > 0.6); // the classes with the advantage
}

static void test_outputs(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 3, 12);
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_non_null(t.f.job.classes.kept);
    double *taught = fp_lesson_scores(&t.f.job.classes.lesson, &t.f.job.classes.dense), least = INFINITY;
    for (size_t k = 0; k < K; k++) {
        assert_int_equal(t.f.job.classes.kept[k], k < 3);
        assert_int_equal(t.l->removed[k], k >= 3);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 3; k++) least = fmin(least, taught[i * K + k]);
    assert_true(t.f.job.classes.floor < least);
    free(taught);
    drop(&t);
    make(&t, K, 12); // all classes are needed
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_null(t.f.job.classes.kept);
    assert_null(t.l->removed);
    drop(&t);
}

// Eight of 24 classes are too many for rows to leave: those that were not seen stay, and their biases are as much lower
// as they are less probable.
static void test_hold_back(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 8, 12);
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_null(t.f.job.classes.kept);
    for (size_t k = 0; k < K; k++) {
        const double change = (double)t.l->dense_bias[k] - (double)((float)k / 50);
        if (k < 8) assert_true(change > -1e-6);
        else assert_true(change < -1 && fabs(change - t.f.job.classes.lesson.unseen_bias) < 1e-2);
    }
    for (size_t i = 0; i < K * D; i++) t.l->score[i] = 1;
    t.f.job.choices.outputs->weigh(&t.f.job, t.l); // and their synapses go first
    for (size_t i = 0; i < K * D; i++) assert_true(i / D < 8 ? t.l->score[i] > 0.99f : t.l->score[i] < 0.4f);
    drop(&t);
}

// Each can be chosen without the other: no read-out, no teacher; outputs that stay are not held back either.
static void test_choices(void **state) {
    (void)state;
    static const struct fp_outputs stay = {.name = "keep"};
    static const struct fp_readout keeps = {.name = "keep"};
    for (int learns = 0; learns < 2; learns++)
        for (int holds = 0; holds < 2; holds++) {
            struct case_of t;
            make(&t, 8, 2), confuse(&t);
            float before[K * D], bias[K];
            memcpy(before, t.l->dense, sizeof(before)), memcpy(bias, t.l->dense_bias, sizeof(bias));
            if (!holds) t.f.job.choices.outputs = &stay;
            if (!learns) t.f.job.choices.readout = &keeps;
            assert_int_equal(take_and_hold(&t.f.job), 0);
            assert_int_equal(memcmp(bias, t.l->dense_bias, sizeof(bias)) != 0, holds);
            assert_int_equal(teach(&t.f.job), 0);
            assert_int_equal(t.f.job.classes.teacher != NULL, learns);
            assert_int_equal(memcmp(before, t.l->dense, sizeof(before)) != 0, learns);
            drop(&t);
        }
}

// The teacher is what the dense layer with the lesson in it says.
static void check_linear(const struct case_of *t) {
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < K; k++) {
            if (t->f.job.classes.kept && !t->f.job.classes.kept[k]) continue;
            double y = (double)t->l->dense_bias[k];
            for (size_t j = 0; j < D; j++) y += (double)t->l->dense[k * D + j] * (double)t->features[i * D + j];
            if (!(fabs(y - t->f.job.classes.teacher[i * K + k]) < 1e-4 * (1 + fabs(y))))
                fail_msg("sample %zu, class %zu: %g, not %g", i, k, t->f.job.classes.teacher[i * K + k], y);
        }
}

static void test_teacher(void **state) {
    (void)state;
    for (size_t used = 3; used <= 8; used += 5) {
        struct case_of t;
        make(&t, used, 2), confuse(&t);
        float before[K * D];
        memcpy(before, t.l->dense, sizeof(before));
        assert_int_equal(take_and_hold(&t.f.job), 0);
        assert_int_equal(teach(&t.f.job), 0);
        assert_non_null(t.f.job.classes.teacher);
        assert_true(t.f.job.classes.lesson.strength > 0);
        check_linear(&t);
        assert_memory_equal(t.l->values, t.l->dense, sizeof(before));
        size_t changed = 0;
        for (size_t k = 0; k < K; k++) changed += memcmp(before + k * D, t.l->dense + k * D, D * sizeof(float)) != 0;
        assert_true(changed >= 2 && changed < K); // classes that this user does not have learn nothing
        drop(&t);
    }
}

// Synapses that the model came without are not made by the lesson, nor by what is learned after pruning.
static void test_zeros(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 8, 2), confuse(&t);
    for (size_t k = 0; k < K; k++) { // an input that no row listens to: the answers do not change
        for (size_t i = 0; i < N; i++) t.logits[i * K + k] -= t.l->dense[k * D + 5] * t.features[i * D + 5];
        t.l->dense[k * D + 5] = t.l->values[k * D + 5] = 0;
    }
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_int_equal(teach(&t.f.job), 0);
    assert_true(t.f.job.classes.lesson.strength > 0);
    assert_int_equal(t.f.job.choices.readout->learn(&t.f.job, &t.f.job.classes.dense), 0);
    for (size_t i = 0; i < K * D; i++)
        assert_int_equal(i % D == 5, fpclassify(t.l->dense[i]) == FP_ZERO && fpclassify(t.l->values[i]) == FP_ZERO);
    drop(&t);
}

// What stands in the way is said, and nothing changes.
static void test_obstacles(void **state) {
    (void)state;
    static const char *const reasons[] = {"no bias", "products alone", "not all finite", "nothing is known"};
    for (size_t way = 0; way < FP_COUNT(reasons); way++) {
        struct case_of t;
        make(&t, 3, 12);
        if (way == 0) t.f.weights[0].bias.proto = NULL;
        for (size_t i = 0; i < N * K && way == 1; i++) t.logits[i] *= -1; // something stands behind the layer
        if (way == 2) t.features[77] = INFINITY;
        if (way == 3) t.f.job.classes.dense.samples = 0;
        float before[K * D];
        memcpy(before, t.l->dense, sizeof(before));
        assert_int_equal(take_and_hold(&t.f.job), 0);
        assert_int_equal(teach(&t.f.job), 0);
        assert_null(t.f.job.classes.teacher);
        assert_null(t.f.job.classes.kept);
        assert_memory_equal(before, t.l->dense, sizeof(before));
        if (!strstr(t.f.job.report->outputs->reason, reasons[way]) ||
            !strstr(t.f.job.report->readout->reason, reasons[way]))
            fail_msg("'%s' and '%s', not '%s'", t.f.job.report->outputs->reason, t.f.job.report->readout->reason,
                     reasons[way]);
        drop(&t);
    }
}

// Nothing to learn from: the last layer's rows stay, and the reason is said.
static void test_nothing(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 3, 12);
    float before[K * D];
    for (size_t i = 0; i < N * D; i++) t.features[i] = 0.1f * (float)(i % D);
    for (size_t i = 0; i < N * K; i++) t.logits[i] = t.logits[i % K];
    memcpy(before, t.l->dense, sizeof(before));
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_int_equal(teach(&t.f.job), 0);
    assert_memory_equal(before, t.l->dense, sizeof(before));
    assert_non_null(strstr(t.f.job.report->readout->reason, "too few samples")); // all of them are one
    drop(&t);
}

// The rows after pruning: the ridge regression's normal equations hold for the kept synapses, and the mean is met.
static void test_learn(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 8, 2), confuse(&t);
    assert_int_equal(take_and_hold(&t.f.job), 0);
    assert_int_equal(teach(&t.f.job), 0);
    for (size_t i = 0; i < K * D; i++) t.l->keep[i] = i % 3 != 0, t.l->values[i] = t.l->keep[i] ? t.l->dense[i] : 0;
    float repaired[K * D];
    memcpy(repaired, t.l->values, sizeof(repaired));
    double mean[D] = {0}, ridge = 0;
    for (size_t i = 0; i < N * D; i++) mean[i % D] += (double)t.features[i] / N;
    for (size_t i = 0; i < N * D; i++) ridge += 0.3 * pow((double)t.features[i] - mean[i % D], 2) / N / D;
    assert_int_equal(t.f.job.choices.readout->learn(&t.f.job, &t.f.job.classes.dense), 0);
    for (size_t k = 0; k < K; k++) {
        if (t.f.job.classes.kept && !t.f.job.classes.kept[k]) continue;
        double off[N], off_mean = 0, bias = (double)t.l->dense_bias[k] + t.l->bias_change[k];
        for (size_t i = 0; i < N; i++) {
            off[i] = t.f.job.classes.teacher[i * K + k] - bias;
            for (size_t j = 0; j < D; j++) off[i] -= (double)t.l->values[k * D + j] * (double)t.features[i * D + j];
            off_mean += off[i] / N;
        }
        assert_true(fabs(off_mean) < 1e-4);
        for (size_t j = 0; j < D; j++) {
            double slope = -ridge * ((double)t.l->values[k * D + j] - (double)repaired[k * D + j]);
            for (size_t i = 0; i < N; i++) slope += off[i] * ((double)t.features[i * D + j] - mean[j]) / N;
            if (!t.l->keep[k * D + j]) assert_true(t.l->values[k * D + j] == 0);
            else assert_true(fabs(slope) < 1e-3);
        }
    }
    drop(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax), cmocka_unit_test(test_frequencies), cmocka_unit_test(test_changes),
        cmocka_unit_test(test_outputs), cmocka_unit_test(test_hold_back),   cmocka_unit_test(test_choices),
        cmocka_unit_test(test_teacher), cmocka_unit_test(test_zeros),       cmocka_unit_test(test_obstacles),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_learn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
