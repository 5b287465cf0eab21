// SPDX-License-Identifier: Apache-2.0
// Class frequencies of made-up answers, which classes leave, and the read-out's lesson.
#include "answers.h"
#include "fake_job.h"
#include "job.h"

enum { N = 120, D = 16, K = 24 };

struct case_of {
    struct fake_job f;
    float features[N * D], logits[N * K];
    struct fp_layer *l;
};

// Samples of the classes 0..used-1 in turn; every class's features lie around a place of its own.
static void make(struct case_of *t, size_t used, double sharp) {
    uint64_t seed = 4;
    static const struct fp_outputs prunes = {.name = "prune", .prunes = true};
    static const struct fp_readout learns = {.name = "hebbian", .learns = true};
    memset(t, 0, sizeof(*t));
    fake_begin(&t->f, 2);
    t->l = fake_layer(&t->f, 1, K, D, 1, 2);
    for (size_t k = 0; k < K; k++) t->l->dense_bias[k] = (float)k / 50;
    for (size_t k = 0; k < K; k++) { // rows of one length
        double square = 0;
        for (size_t j = 0; j < D; j++) square += pow((double)t->l->dense[k * D + j], 2);
        for (size_t j = 0; j < D; j++) t->l->values[k * D + j] = t->l->dense[k * D + j] = (float)(sharp * (double)t->l->dense[k * D + j] / sqrt(square));
    }
    for (size_t i = 0; i < N; i++) {
        const size_t k = i % used;
        for (size_t j = 0; j < D; j++) t->features[i * D + j] = t->l->dense[k * D + j] / (float)sharp * 3 + (float)fake_number(&seed) / 4 + 0.2f;
        for (size_t c = 0; c < K; c++) {
            t->logits[i * K + c] = t->l->dense_bias[c];
            for (size_t j = 0; j < D; j++) t->logits[i * K + c] += t->l->dense[c * D + j] * t->features[i * D + j];
        }
    }
    struct fp_job *job = &t->f.job;
    t->f.weights[0].bias.proto = (void *)t;
    job->dense = (struct fp_answers){.samples = N, .n_features = D, .classes = K, .features = t->features, .logits = t->logits};
    job->classifier = (struct fp_classifier){.weight = 0, .classes = K, .features = D};
    job->choices.outputs = &prunes, job->choices.readout = &learns;
    job->report = fp_report_new("prune");
    assert_non_null(job->report);
}

static void drop(struct case_of *t) {
    fineprune_report_free(t->f.job.report);
    free(t->f.job.teacher), free(t->f.job.kept_classes), free(t->f.job.removed_rows);
    fake_end(&t->f);
}

static void test_softmax(void **state) {
    (void)state;
    const double logits[4] = {1000, 1001, -5, 1001};
    const uint8_t use[4] = {1, 1, 1, 0};
    double q[4];
    fp_softmax(logits, q, 4, use);
    assert_true(fabs(q[0] - 1 / (1 + exp(1))) < 1e-12 && fabs(q[1] - 1 / (1 + exp(-1))) < 1e-12 && q[2] == 0 && q[3] == 0);
    const float values[4] = {2, 3, 3, 9};
    assert_int_equal(fp_best(values, 4, use), 1);
    assert_int_equal(fp_best(values, 4, NULL), 3);
}

// Of sure answers the frequencies are the shares of the answers; of answers that overlap they are the fixed point of Bayes' rule.
static void test_frequencies(void **state) {
    (void)state;
    float logits[100 * 4];
    double pi[4], sum = 0;
    for (size_t i = 0; i < 400; i++) logits[i] = 0;
    for (size_t i = 0; i < 100; i++) logits[i * 4 + (i < 60 ? 2 : i < 90 ? 0 : 1)] = 40;
    const struct fp_answers sure = {.samples = 100, .classes = 4, .logits = logits};
    assert_int_equal(fp_class_frequencies(&sure, pi), 0);
    assert_true(fabs(pi[2] - 0.6) < 1e-6 && fabs(pi[0] - 0.3) < 1e-6 && fabs(pi[1] - 0.1) < 1e-6 && pi[3] < 1e-6);
    uint64_t seed = 2;
    for (size_t i = 0; i < 400; i++) logits[i] = (float)(2 * fake_number(&seed)) + (i % 4 == i / 4 % 2 ? 1.5f : 0);
    assert_int_equal(fp_class_frequencies(&sure, pi), 0);
    for (size_t k = 0; k < 4; k++) {
        double next = 0;
        for (size_t i = 0; i < 100; i++) {
            double whole = 0;
            for (size_t c = 0; c < 4; c++) whole += exp((double)logits[i * 4 + c]) * pi[c];
            next += exp((double)logits[i * 4 + k]) * pi[k] / whole / 100;
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
    assert_int_equal(fp_prune_outputs(&t.f.job), 0);
    assert_non_null(t.f.job.kept_classes);
    float least = INFINITY;
    for (size_t k = 0; k < K; k++) {
        assert_int_equal(t.f.job.kept_classes[k], k < 3);
        assert_int_equal(t.l->removed[k], k >= 3);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 3; k++) least = fminf(least, t.logits[i * K + k]);
    assert_true(t.f.job.outputs_floor < (double)least);
    drop(&t);
    make(&t, K, 12); // all classes are needed
    assert_int_equal(fp_prune_outputs(&t.f.job), 0);
    assert_null(t.f.job.kept_classes);
    assert_null(t.l->removed);
    drop(&t);
}

// The teacher is what the dense layer with the lesson in it says.
static void check_linear(const struct case_of *t) {
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < K; k++) {
            if (t->f.job.kept_classes && !t->f.job.kept_classes[k]) continue;
            double y = (double)t->l->dense_bias[k];
            for (size_t j = 0; j < D; j++) y += (double)t->l->dense[k * D + j] * (double)t->features[i * D + j];
            if (!(fabs(y - t->f.job.teacher[i * K + k]) < 1e-4 * (1 + fabs(y)))) fail_msg("sample %zu, class %zu: %g, not %g", i, k, t->f.job.teacher[i * K + k], y);
        }
}

static void test_teacher(void **state) {
    (void)state;
    for (int pruned = 0; pruned < 2; pruned++) {
        struct case_of t;
        make(&t, 3, 12);
        float before[K * D];
        memcpy(before, t.l->dense, sizeof(before));
        if (pruned) assert_int_equal(fp_prune_outputs(&t.f.job), 0);
        assert_int_equal(fp_readout_teach(&t.f.job), 0);
        assert_non_null(t.f.job.teacher);
        check_linear(&t);
        assert_memory_equal(t.l->values, t.l->dense, sizeof(before));
        for (size_t k = 0; k < K; k++) { // classes that are gone learn nothing
            const bool same = !memcmp(before + k * D, t.l->dense + k * D, D * sizeof(float));
            assert_true(pruned && k >= 3 ? same : !same);
        }
        drop(&t);
    }
}

// Class 0 lies in two places, class 1 has a few samples in one of them: its prototype fits there better, and a lesson of full weight would give it most of
// class 0. It must not.
static void test_rename(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 3, 12);
    uint64_t seed = 9;
    for (size_t i = 0; i < N; i++) {
        const size_t place = i < 44 ? 0 : i < 64 ? 1 : 2; // of class 0 mostly, of class 0, of class 2
        for (size_t j = 0; j < D; j++) t.features[i * D + j] = (j == place ? 1.0f : 0.0f) + (float)fake_number(&seed) / 50;
        for (size_t k = 0; k < K; k++) t.logits[i * K + k] = -20;
        t.logits[i * K] = place < 2 ? 1 : -4;
        t.logits[i * K + 1] = place == 0 ? (i < 4 ? 5 : 0.8f) : -4; // 0.2 behind
        t.logits[i * K + 2] = place == 2 ? 1 : -4;
    }
    assert_int_equal(fp_prune_outputs(&t.f.job), 0);
    assert_non_null(t.f.job.kept_classes);
    assert_int_equal(fp_readout_teach(&t.f.job), 0);
    double weight = json_real_value(json_object_get(fp_report_object(t.f.job.report, "readout"), "weight"));
    assert_true(weight < 4);
    size_t stays = 0;
    for (size_t i = 4; i < 64 && t.f.job.teacher; i++) stays += t.f.job.teacher[i * K] > t.f.job.teacher[i * K + 1];
    assert_true(!t.f.job.teacher || stays > 30);
    drop(&t);
}

// Nothing to learn from: the layer stays, and no teacher.
static void test_nothing(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 3, 12);
    for (size_t i = 0; i < N * D; i++) t.features[i] = 0.1f * (float)(i % D);
    assert_int_equal(fp_readout_teach(&t.f.job), 0);
    assert_null(t.f.job.teacher);
    drop(&t);
    make(&t, 3, 12);
    t.f.job.dense.samples = K - 1; // fewer samples than classes
    assert_int_equal(fp_readout_teach(&t.f.job), 0);
    assert_null(t.f.job.teacher);
    drop(&t);
}

// The rows after pruning: the ridge regression's normal equations hold for the kept synapses, and the mean is met.
static void test_learn(void **state) {
    (void)state;
    struct case_of t;
    make(&t, 3, 12);
    assert_int_equal(fp_readout_teach(&t.f.job), 0);
    for (size_t i = 0; i < K * D; i++) t.l->keep[i] = i % 3 != 0, t.l->values[i] = t.l->keep[i] ? t.l->dense[i] : 0;
    float repaired[K * D];
    memcpy(repaired, t.l->values, sizeof(repaired));
    double mean[D] = {0}, ridge = 0;
    for (size_t i = 0; i < N * D; i++) mean[i % D] += (double)t.features[i] / N;
    for (size_t i = 0; i < N * D; i++) ridge += 0.1 * pow((double)t.features[i] - mean[i % D], 2) / N / D;
    assert_int_equal(fp_readout_learn(&t.f.job, &t.f.job.dense), 0);
    for (size_t k = 0; k < K; k++) {
        double off[N], off_mean = 0, bias = (double)t.l->dense_bias[k] + t.l->bias_change[k];
        for (size_t i = 0; i < N; i++) {
            off[i] = t.f.job.teacher[i * K + k] - bias;
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_softmax), cmocka_unit_test(test_frequencies), cmocka_unit_test(test_outputs),
                                       cmocka_unit_test(test_teacher), cmocka_unit_test(test_rename),      cmocka_unit_test(test_nothing),
                                       cmocka_unit_test(test_learn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
