// SPDX-License-Identifier: Apache-2.0
// Structs of options of an older program, of a newer one, and of one that forgot the size: by the helper, and by each
// function that takes one.
#include "sample_model.h"

// As this library knows it, before a member was added, and after one was.
struct known {
    size_t size;
    double share; // default 0.5
    const char *name;
};
struct older {
    size_t size;
    double share;
};
struct newer {
    struct known known;
    double more;
};
#define DEFAULTS {.size = sizeof(struct known), .share = 0.5, .name = "x"}

static int read_options(struct known *k, const void *given, fineprune_error *err) {
    *k = (struct known)DEFAULTS;
    *err = (fineprune_error){0};
    return fp_options_read(k, sizeof(*k), given, "known", err);
}

static void test_ages(void **state) {
    (void)state;
    struct known k;
    fineprune_error err;
    assert_int_equal(read_options(&k, NULL, &err), 0);
    assert_true(k.share == 0.5 && !strcmp(k.name, "x"));
    struct older old = {.size = sizeof(old), .share = 0.25};
    assert_int_equal(read_options(&k, &old, &err), 0);
    assert_true(k.size == sizeof(k) && k.share == 0.25 && !strcmp(k.name, "x"));
    struct newer young = {.known = {.size = sizeof(young), .share = 0.75}};
    assert_int_equal(read_options(&k, &young, &err), 0);
    assert_true(k.size == sizeof(k) && k.share == 0.75 && !k.name);
    young.more = 1;
    assert_int_equal(read_options(&k, &young, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "of known is set, but this is fineprune "));
    assert_true(k.share == 0.5);
}

static void test_no_size(void **state) {
    (void)state;
    struct known k;
    fineprune_error err;
    for (size_t size = 0; size < 2 * sizeof(size_t); size += sizeof(size_t)) {
        struct known given = {.size = size, .share = 0.75};
        assert_int_equal(read_options(&k, &given, &err), FINEPRUNE_USAGE);
        assert_non_null(strstr(err.message, "the size of known is given as "));
        assert_non_null(strstr(err.hint, "sizeof(known)"));
    }
    struct known wild = {.size = (size_t)-1};
    assert_int_equal(read_options(&k, &wild, &err), FINEPRUNE_USAGE);
}

// Every function that takes such a struct reads its size before anything else.
static void test_functions(void **state) {
    fineprune_error err = {0};
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), 20);
    fineprune_model *model = sample_open(scratch_path(state, "m.onnx"));
    fineprune_data *data = NULL, *none = NULL;
    assert_int_equal(fineprune_data_open(&none, model, &(fineprune_data_options){.limit = 3}, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "fineprune_data_options"));
    data = sample_load(model, scratch_path(state, "x.npy"));
    err = (fineprune_error){0};
    const fineprune_prune_options forgotten = {.sparsity = 0.5};
    assert_int_equal(fineprune_prune(model, data, &forgotten, NULL, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "fineprune_prune_options"));
    err = (fineprune_error){0};
    const char *out = scratch_path(state, "o.onnx");
    assert_int_equal(fineprune_model_save(model, out, &(fineprune_save_options){.force = true}, &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "fineprune_save_options"));
    assert_int_equal(fineprune_data_open(&none, model, &(fineprune_data_options)FINEPRUNE_DATA_OPTIONS_INIT, NULL), 0);
    assert_int_equal(fineprune_model_save(model, out, &(fineprune_save_options)FINEPRUNE_SAVE_OPTIONS_INIT, NULL), 0);
    fineprune_data_free(none), fineprune_data_free(data), fineprune_model_free(model);
}

// What an older struct does not reach has its default, whatever lies behind it.
static void test_older_prune(void **state) {
    fineprune_error err = {0};
    sample_write(scratch_path(state, "m.onnx"));
    sample_data(scratch_path(state, "x.npy"), 20);
    fineprune_model *model = sample_open(scratch_path(state, "m.onnx"));
    fineprune_data *data = sample_load(model, scratch_path(state, "x.npy"));
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.size = offsetof(fineprune_prune_options, channels);
    options.method = "magnitude", options.task = "nonsense", options.channels = "nonsense";
    options.min_taught_agreement = 7;
    if (fineprune_prune(model, data, &options, NULL, &err)) fail_msg("%s", err.message);
    options.size = sizeof(options);
    assert_int_equal(fineprune_prune(model, data, &options, NULL, &err), FINEPRUNE_USAGE);
    fineprune_data_free(data), fineprune_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ages), cmocka_unit_test(test_no_size),
                                       scratch_test(test_functions), scratch_test(test_older_prune)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
