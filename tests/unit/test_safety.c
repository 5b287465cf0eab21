// SPDX-License-Identifier: Apache-2.0
// The verdict of a report, zeros that are given back by few samples, and those that are kept where they were asked for.
#include "sample_model.h"

#include <jansson.h>

#include "job/measures.h"

enum { FEW = 12, MANY = 120 };

// The report of a pruning of n samples, as JSON that the caller frees.
static json_t *prune(void **state, size_t n, const char *method, double sparsity, bool strict, double reserve,
                     const char *task) {
    fineprune_error err = {0};
    fineprune_report *report = NULL;
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), n);
    fineprune_model *model = sample_open(scratch_path(state, "m.onnx"));
    fineprune_data *data = sample_load(model, scratch_path(state, "x.npy"));
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.sparsity = sparsity, options.method = method, options.strict_sparsity = strict, options.reserve = reserve;
    options.task = task;
    if (fineprune_prune(model, data, &options, &report, &err)) fail_msg("%s", err.message);
    char *text = fineprune_report_json(report);
    char *summary = fineprune_report_summary(report);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_true(!strncmp(summary, "verdict  ", 9));
    const char *said = json_string_value(json_object_get(json_object_get(json, "verdict"), "text"));
    assert_non_null(said);
    assert_true(!strncmp(summary + 9, said, strlen(said)));
    free(text), free(summary);
    fineprune_report_free(report), fineprune_data_free(data), fineprune_model_free(model);
    return json;
}

static const char *text_of(const json_t *json, const char *name) {
    return json_string_value(json_object_get(json_object_get(json, "verdict"), name));
}

static double sparsity_of(const json_t *json) {
    return json_number_value(json_object_get(json_object_get(json, "pruned"), "sparsity"));
}

static void test_nothing_changes(void **state) {
    json_t *json = prune(state, MANY, "magnitude", 0, false, 0.2, "classes");
    assert_string_equal(text_of(json, "kind"), "same");
    assert_non_null(strstr(text_of(json, "text"), "24 of 24 held-back answers are as they were"));
    json_decref(json);
}

static void test_ruined(void **state) {
    json_t *json = prune(state, MANY, "magnitude", 0.98, false, 0.2, "other");
    assert_string_equal(text_of(json, "kind"), "worse");
    assert_true(json_is_true(json_object_get(json_object_get(json, "verdict"), "ruined")));
    assert_true(sparsity_of(json) > 0.9); // the method was asked for by name
    json_decref(json);
}

static void test_few_samples(void **state) {
    json_t *json = prune(state, FEW, "fine-pruning", 0.9, false, 0.2, "classes");
    assert_true(sparsity_of(json) < 0.6);
    assert_non_null(strstr(text_of(json, "text"), "not the 90 % that were asked"));
    json_decref(json);
    json = prune(state, FEW, "fine-pruning", 0.9, true, 0.2, "classes");
    assert_true(sparsity_of(json) > 0.89);
    assert_null(strstr(text_of(json, "text"), "that were asked"));
    json_decref(json);
}

static void test_no_reserve(void **state) {
    json_t *json = prune(state, MANY, "magnitude", 0.5, false, 0, "classes");
    assert_string_equal(text_of(json, "kind"), "unknown");
    json_decref(json);
    json = prune(state, MANY, "fine-pruning", 0.3, false, 0, "classes");
    assert_non_null(strstr(text_of(json, "text"), "answers to your samples"));
    json_decref(json);
}

// Few are held back: what changes among all answers counts too, unless the lesson changes more.
static void test_all_answers(void **state) {
    (void)state;
    const struct fp_answer_counts held = {.n = 20, .as_came = 19, .same = 19};
    struct fp_measures m = {
        .classes = true, .held = held, .all = {.n = 200, .as_came = 161, .same = 164, .taught = 12}};
    assert_true(fp_zeros_outweigh(&m));
    m.all.taught = 40;
    assert_false(fp_zeros_outweigh(&m));
    m.all = (struct fp_answer_counts){.n = 200, .as_came = 180, .same = 172, .taught = 12};
    assert_false(fp_zeros_outweigh(&m));
    m.held.same = 17;
    assert_true(fp_zeros_outweigh(&m));
    m.held.taught = 4;
    assert_false(fp_zeros_outweigh(&m));
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_nothing_changes), scratch_test(test_ruined),
                                       scratch_test(test_few_samples), scratch_test(test_no_reserve),
                                       cmocka_unit_test(test_all_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
