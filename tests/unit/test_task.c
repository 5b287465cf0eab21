// SPDX-License-Identifier: Apache-2.0
// Evidence for and against classes: names, the numbers about answers, and what outweighs what.
#include "made_model.h"
#include "weights/class_names.h"
#include "task/task.h"
#include "task/task_evidence.h"

#include <jansson.h>
#include <math.h>

enum { SAMPLES = 60, WIDTH = 6 };

static double number(uint64_t *seed) { return (double)(fp_random(seed) >> 11) / (double)(1ull << 52) - 1; }

// One class stands out, the others share what is left.
static void fill_classes(float *v, double scale) {
    uint64_t seed = 3;
    for (size_t i = 0; i < SAMPLES; i++)
        for (size_t k = 0; k < WIDTH; k++)
            v[i * WIDTH + k] = (float)(scale * ((k == i % WIDTH ? 5 : -1) + 0.3 * number(&seed)));
}

// Each one is on or off by itself.
static void fill_labels(float *v) {
    uint64_t seed = 5;
    for (size_t i = 0; i < SAMPLES * WIDTH; i++)
        v[i] = (float)(number(&seed) > 0.4 ? 3 + number(&seed) : -3 + number(&seed));
}

// Places between 0 and 1.
static void fill_places(float *v) {
    uint64_t seed = 7;
    for (size_t i = 0; i < SAMPLES * WIDTH; i++)
        v[i] = (float)(0.5 + 0.05 * (double)(i % WIDTH) + 0.02 * number(&seed));
}

static void open_model(struct made *m, const char *output) {
    Onnx__ModelProto *proto = made_new();
    Onnx__GraphProto *g = proto->graph;
    made_input(g, "x", SHAPE(-1, 32));
    made_random(g, "w", SHAPE(32, WIDTH), 1);
    made_node(g, "MatMul", "x,w", output);
    MADE_ADD(g, output, made_value(output, FP_FLOAT, SHAPE(-1, WIDTH)));
    made_open(m, proto);
}

static enum fp_task_kind judge(const char *output, const float *values, bool unlike, const char *word) {
    struct made m;
    struct fp_task task;
    fineprune_error err = {0};
    open_model(&m, output);
    const struct fp_task_case c = {.model = &m.model,
                                   .weight = -1,
                                   .logits_value = m.model.graph->outputs[0],
                                   .values = values,
                                   .n = unlike ? 0 : SAMPLES,
                                   .width = WIDTH,
                                   .unlike = unlike};
    assert_int_equal(fp_task_judge(&task, &c, word, &err), 0);
    assert_true((task.kind == FP_TASK_CLASSES) == !task.reason);
    made_close(&m);
    return task.kind;
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int sign;
    } names[] = {{"logits", 1},
                 {"probabilities", 1},
                 {"classifier.weight", 1},
                 {"classLabel", 1},
                 {"cls_scores", 1},
                 {"output", 0},
                 {"dense_2", 0},
                 {"stage4", 0},
                 {"agent", 0},
                 {"landmarks", -1},
                 {"bbox_logits", -1},
                 {"sentenceEmbedding", -1},
                 {"age", -1},
                 {"ages", -1},
                 {"reconstruction", -1},
                 {"pooler_output", -1},
                 {"", 0}};
    for (size_t i = 0; i < FP_COUNT(names); i++) {
        const int points = fp_class_name_points(names[i].name);
        if ((points > 0) - (points < 0) != names[i].sign) fail_msg("'%s': %d", names[i].name, points);
    }
}

static void test_answers(void **state) {
    (void)state;
    float v[SAMPLES * WIDTH];
    struct fp_task_answers a;
    fill_classes(v, 1);
    v[0] = INFINITY; // this sample does not count
    assert_true(fp_task_answers(&a, v, SAMPLES, WIDTH));
    assert_int_equal(a.n, SAMPLES - 1);
    assert_true(a.winner > 0.9 && a.ahead > 5 && a.skewness > 1 && a.none == 0 && a.none_expected > 10 &&
                a.dominant < 0.2 && a.common < 0.25);
    fill_labels(v);
    assert_true(fp_task_answers(&a, v, SAMPLES, WIDTH));
    assert_true(a.none > 3 && a.none_expected > 3 && a.ahead < 2.3);
    assert_true(fp_task_answers(&a, v, 0, WIDTH) && a.n == 0);
    for (size_t i = 0; i < SAMPLES * WIDTH; i++) v[i] = NAN;
    assert_true(fp_task_answers(&a, v, SAMPLES, WIDTH) && a.n == 0);
}

static void test_judgement(void **state) {
    (void)state;
    float v[SAMPLES * WIDTH];
    fill_classes(v, 1);
    assert_int_equal(judge("output", v, false, NULL), FP_TASK_CLASSES);
    assert_int_equal(judge("logits", v, false, "auto"), FP_TASK_CLASSES);
    assert_int_equal(judge("logits", v, false, "other"), FP_TASK_OTHER);
    assert_int_equal(judge("logits", v, true, NULL), FP_TASK_OTHER);      // rows are not samples,
    assert_int_equal(judge("logits", v, true, "classes"), FP_TASK_OTHER); // whatever the user says
    fill_classes(v, 0.02);
    assert_true(judge("output", v, false, NULL) != FP_TASK_CLASSES);
    fill_labels(v);
    assert_int_equal(judge("logits", v, false, NULL), FP_TASK_LABELS);
    assert_int_equal(judge("output", v, false, "classes"), FP_TASK_CLASSES);
    fill_places(v);
    assert_int_equal(judge("output", v, false, NULL), FP_TASK_OTHER);
    assert_int_equal(judge("logits", v, false, NULL), FP_TASK_OTHER);
}

// `first`, then n times `item`, then `last`.
static char *repeated(const char *first, const char *item, size_t n, const char *last) {
    const size_t length = strlen(item);
    char *text = fp_calloc(strlen(first) + n * length + strlen(last) + 1, 1);
    assert_non_null(text);
    char *at = stpcpy(text, first);
    for (size_t i = 0; i < n; i++, at += length) memcpy(at, item, length);
    strcpy(at, last);
    return text;
}

// What takes much memory for few bytes, or is longer than a list of names, is not read.
static void test_large_json(void **state) {
    (void)state;
    static const struct {
        const char *first, *item;
        size_t n;
        const char *last;
        size_t members; // 0: it is not read
    } cases[] = {{"", "[\"a\", \"b\"]", 1, "", 2},
                 {"[", "\"name\",", 22000, "\"last\"]", 22001},
                 {"[", "{\"id\": 1},", 22000, "{}]", 22001},
                 {"[", "[],", 100000, "[]]", 0},
                 {"[", "{},", 1400000, "{}]", 0},
                 {"[", "0,", 2200000, "0]", 0},
                 {"", "[", 5000, "", 0},
                 {"[1", " ", 5000000, "]", 0},
                 {"", "cat,", 4, "dog", 0},
                 {"", "", 0, "", 0}};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        char *text = repeated(cases[i].first, cases[i].item, cases[i].n, cases[i].last);
        json_t *root = fp_task_is_modest(text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        if (json_array_size(root) != cases[i].members || !root != !cases[i].members)
            fail_msg("%zu: %zu members, not %zu", i, json_array_size(root), cases[i].members);
        json_decref(root);
        free(text);
    }
}

static void test_words(void **state) {
    (void)state;
    assert_int_equal(fp_task_word(NULL), 0);
    assert_int_equal(fp_task_word("labels"), FP_TASK_LABELS);
    assert_int_equal(fp_task_word("Classes"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_judgement), cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_large_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
