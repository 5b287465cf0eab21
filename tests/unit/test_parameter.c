// SPDX-License-Identifier: Apache-2.0
// Every parameter of every idea: its row is whole, its default changes no byte, other values run, and what it cannot be
// is refused by name.
#include "made_model.h"

#include <ctype.h>
#include <math.h>

#include "parameter.h"

enum { SAMPLES = 100, INPUTS = 24, CLASSES = 20, GROUPS = 4 };

// ---- a network with channels to spare, and samples of a few classes

static void write_model(const char *path) {
    Onnx__ModelProto *m = made_new();
    Onnx__GraphProto *g = m->graph;
    made_input(g, "x", SHAPE(-1, INPUTS));
    made_random(g, "w1", SHAPE(112, INPUTS), 1), made_random(g, "b1", SHAPE(112), 2);
    made_random(g, "w2", SHAPE(96, 112), 3), made_random(g, "b2", SHAPE(96), 4);
    made_random(g, "w3", SHAPE(CLASSES, 96), 5), made_random(g, "b3", SHAPE(CLASSES), 6);
    made_int(made_node(g, "Gemm", "x,w1,b1", "h1"), "transB", 1), made_node(g, "Relu", "h1", "r1");
    made_int(made_node(g, "Gemm", "r1,w2,b2", "h2"), "transB", 1), made_node(g, "Relu", "h2", "r2");
    made_int(made_node(g, "Gemm", "r2,w3,b3", "y"), "transB", 1);
    MADE_ADD(g, output, made_value("y", FP_FLOAT, SHAPE(-1, CLASSES)));
    made_write(m, path);
    onnx__model_proto__free_unpacked(m, NULL);
}

// Each sample is one of a few centres and noise.
static void write_data(const char *path) {
    const size_t count = SAMPLES * INPUTS, size = 128 + count * sizeof(float);
    float centres[GROUPS * INPUTS];
    uint8_t *bytes = made_message(size);
    char head[118];
    const int length = snprintf(head, sizeof(head), "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
                                SAMPLES, INPUTS);
    memset(bytes, ' ', 128);
    memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(bytes + 10, head, (size_t)length);
    bytes[127] = '\n';
    float *x = (float *)(void *)(bytes + 128);
    made_fill(x, count, 11);
    made_fill(centres, GROUPS * INPUTS, 12);
    for (size_t i = 0; i < count; i++) x[i] = 0.7f * x[i] + 2 * centres[i / INPUTS % GROUPS * INPUTS + i % INPUTS];
    scratch_write(path, bytes, size);
    free(bytes);
}

// ---- the walk

static const char **field_of(fineprune_prune_options *o, enum fp_kind kind) {
    const char **fields[FP_KINDS] = {&o->score, &o->allocation, &o->repair,  &o->channels,
                                     &o->swaps, &o->refit,      &o->outputs, &o->readout};
    return fields[kind];
}

// The pruned model's weights and biases, all of them after each other. Nothing is written: a file would be synced.
static float *prune(void **state, enum fp_kind kind, const char *text, size_t *count) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    fineprune_data *data = NULL;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.no_metadata = options.strict_sparsity = true, options.task = "classes", options.run.threads = 1;
    *field_of(&options, kind) = text;
    if (fineprune_model_open(&model, scratch_path(state, "m.onnx"), NULL, &err) ||
        fineprune_data_open(&data, model, NULL, &err) || fineprune_data_add(data, scratch_path(state, "x.npy"), &err))
        fail_msg("%s", err.message);
    const int status = fineprune_prune(model, data, &options, NULL, &err);
    if (status && status != FINEPRUNE_GATE) fail_msg("%s: %s", text, err.message);
    float *values = NULL;
    *count = 0;
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) {
        struct fp_tensor t = {0};
        assert_int_equal(fp_initializer_load(model, model->proto->graph->initializer[i], &t, &err), 0);
        values = realloc(values, (*count + t.count) * sizeof(*values));
        assert_non_null(values);
        memcpy(values + *count, t.data, t.count * sizeof(*values));
        *count += t.count;
        fp_tensor_done(&t);
    }
    fineprune_data_free(data), fineprune_model_free(model);
    return values;
}

// The row with its defaults is pruned once for all of its parameters.
static struct {
    const struct fp_parameter *parameters;
    float *values;
    size_t count;
} plain;

static bool changes(void **state, enum fp_kind kind, const struct fp_listed *row, const char *text) {
    if (plain.parameters != row->parameters) {
        free(plain.values);
        plain.values = prune(state, kind, row->name, &plain.count);
        plain.parameters = row->parameters;
    }
    size_t count;
    float *values = prune(state, kind, text, &count);
    const bool same = count == plain.count && !memcmp(values, plain.values, count * sizeof(*values));
    free(values);
    return !same;
}

// Calls visit for every parameter of every row.
static size_t walk(void **state, void (*visit)(void **, enum fp_kind, const struct fp_listed *, size_t)) {
    size_t found = 0;
    for (int kind = 0; kind < FP_KINDS; kind++) {
        struct fp_listed row;
        for (size_t i = 0; fp_list_row(fp_kind_word((enum fp_kind)kind), i, &row); i++)
            for (size_t k = 0; row.parameters && row.parameters[k].name; k++, found++)
                visit(state, (enum fp_kind)kind, &row, k);
    }
    return found;
}

static void check_row(void **state, enum fp_kind kind, const struct fp_listed *row, size_t number) {
    (void)state;
    const struct fp_parameter *p = &row->parameters[number];
    fineprune_parameter listed;
    const char *name, *summary;
    size_t index = 0;
    assert_true(number < FP_MOST_PARAMETERS);
    for (const char *c = p->name; *c; c++)
        if (!islower((unsigned char)*c) && *c != '-') fail_msg("parameter '%s' of '%s' is no name", p->name, row->name);
    if (!(p->lowest <= p->initial && p->initial <= p->highest && p->lowest < p->highest))
        fail_msg("parameter '%s' of '%s' has a default out of its range", p->name, row->name);
    if (p->whole) assert_true(p->initial == floor(p->initial) && p->lowest == floor(p->lowest));
    if (!p->why || strlen(p->why) < 8) fail_msg("parameter '%s' of '%s' has no reason", p->name, row->name);
    for (size_t i = 0; i < number; i++) assert_string_not_equal(row->parameters[i].name, p->name);
    while (fineprune_list(fp_kind_word(kind), index, &name, &summary) && strcmp(name, row->name)) index++;
    assert_true(fineprune_list_parameter(fp_kind_word(kind), index, number, &listed));
    assert_string_equal(listed.name, p->name);
    assert_string_equal(listed.why, p->why);
    assert_true(listed.initial == p->initial && listed.lowest == p->lowest && listed.highest == p->highest);
}

static void test_rows(void **state) {
    fineprune_parameter p;
    assert_true(walk(state, check_row) >= 40);
    assert_false(fineprune_list_parameter("score", 0, FP_MOST_PARAMETERS, &p));
    assert_false(fineprune_list_parameter("score", 1000, 0, &p));
    assert_false(fineprune_list_parameter("pattern", 0, 0, &p));
    assert_false(fineprune_list_parameter("nonsense", 0, 0, &p));
}

// ---- values that are taken

static size_t changing, tried; // parameters

// The greatest value is tried where the least changes nothing.
static void try_other(void **state, enum fp_kind kind, const struct fp_listed *row, size_t number) {
    const struct fp_parameter *p = &row->parameters[number];
    const double ends[] = {p->lowest, p->highest};
    bool changed = false;
    for (size_t i = 0; i < FP_COUNT(ends) && !changed; i++) {
        char text[100];
        snprintf(text, sizeof(text), "%s:%s=%.17g", row->name, p->name, ends[i]);
        changed = changes(state, kind, row, text);
    }
    tried++;
    changing += changed;
    if (!changed)
        print_message("no end of '%s' of %s '%s' changes this model\n", p->name, fp_kind_word(kind), row->name);
}

// All defaults of a row at once change nothing; all least values, and all greatest, run.
static void try_together(void **state, enum fp_kind kind, const struct fp_listed *row, size_t number) {
    if (number) return;
    for (int which = 0; which < 3; which++) {
        char text[600];
        size_t used = (size_t)snprintf(text, sizeof(text), "%s", row->name);
        for (const struct fp_parameter *p = row->parameters; p->name; p++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%.17g", p == row->parameters ? ":" : ",",
                                     p->name,
                                     which == 0   ? p->initial
                                     : which == 1 ? p->lowest
                                                  : p->highest);
        assert_true(used < sizeof(text));
        const bool changed = changes(state, kind, row, text);
        if (which == 0 && changed) fail_msg("'%s' gives other bytes than its defaults", text);
    }
}

static void test_values(void **state) {
    write_model(scratch_path(state, "m.onnx"));
    write_data(scratch_path(state, "x.npy"));
    walk(state, try_together);
    walk(state, try_other);
    free(plain.values);
    print_message("%zu of %zu parameters change this model\n", changing, tried);
    assert_true(3 * changing >= 2 * tried);
}

// ---- values that are refused

static void refuse(const char *kind, const char *text, const char *said, const char *hinted) {
    fineprune_error err = {0};
    assert_int_equal(fineprune_choice_check(kind, text, NULL), FINEPRUNE_USAGE);
    assert_int_equal(fineprune_choice_check(kind, text, &err), FINEPRUNE_USAGE);
    assert_int_equal(err.status, FINEPRUNE_USAGE);
    if (!strstr(err.message, said) || !strstr(err.message, kind))
        fail_msg("%s %s: '%s' without '%s'", kind, text, err.message, said);
    if (!strstr(err.hint, hinted)) fail_msg("%s %s: hint '%s' without '%s'", kind, text, err.hint, hinted);
}

static void refuse_values(void **state, enum fp_kind kind, const struct fp_listed *row, size_t number) {
    (void)state;
    const struct fp_parameter *p = &row->parameters[number];
    const char *word = fp_kind_word(kind);
    char text[100], said[60], range[60];
    const double out[] = {p->lowest - 1, p->highest + 1, p->lowest + 0.5};
    static const char *const no_numbers[] = {"",   "x",  "nan", "inf", "0x1", "1,5",
                                             "1e", " 1", "1%",  "1;",  "--1", "1e999"};
    snprintf(said, sizeof(said), "'%s'", p->name);
    snprintf(range, sizeof(range), "number from %g to %g", p->lowest, p->highest);
    for (size_t i = 0; i < (p->whole ? 3 : 2); i++) {
        snprintf(text, sizeof(text), "%s:%s=%.17g", row->name, p->name, out[i]);
        refuse(word, text, said, range);
    }
    for (size_t i = 0; i < FP_COUNT(no_numbers); i++) {
        snprintf(text, sizeof(text), "%s:%s=%s", row->name, p->name, no_numbers[i]);
        if (strcmp(no_numbers[i], "1,5")) refuse(word, text, said, range);
        else refuse(word, text, p->lowest <= 1 && p->highest >= 1 ? "'5'" : said, "");
    }
    snprintf(text, sizeof(text), "%s:%s=%.17g,%s=%.17g", row->name, p->name, p->initial, p->name, p->initial);
    refuse(word, text, "is given twice", "");
    snprintf(text, sizeof(text), "%s:%s", row->name, p->name);
    refuse(word, text, "is not NAME=VALUE", p->name);
    snprintf(text, sizeof(text), "%s:%sx=1", row->name, p->name);
    refuse(word, text, "has no parameter", p->name);
}

static void test_refused(void **state) {
    walk(state, refuse_values);
    refuse("score", "obs:rigde=0.1", "score 'obs' has no parameter 'rigde'",
           "prior (0 to 10000), ridge (0.0001 to 10)");
    refuse("score", "obs:", "'' of score 'obs' is not NAME=VALUE", "ridge");
    refuse("score", "obs:ridge=1,", "'' of score 'obs' is not NAME=VALUE", "ridge");
    refuse("score", "obs:=1", "has no parameter ''", "ridge");
    refuse("score", "obss:ridge=1", "there is no score 'obss:ridge=1'", "--list");
    refuse("score", "wanda:ridge=1", "score 'wanda' has no parameters", "");
    refuse("channels", "none:share=0.1", "channels 'none' has no parameters", "");
    refuse("pattern", "unstructured:ridge=1", "there is no pattern", "");
    refuse("method", "wanda:ridge=1", "method 'wanda' has no parameters", "");
    assert_int_equal(fineprune_choice_check("score", "obs:ridge=1e-1,prior=+5", NULL), FINEPRUNE_OK);
    assert_int_equal(fineprune_choice_check("pattern", "2:4", NULL), FINEPRUNE_OK);
    assert_int_equal(fineprune_choice_check("pattern", "block:4x4", NULL), FINEPRUNE_OK);
}

// The library refuses them before it does anything.
static void test_refused_by_prune(void **state) {
    write_model(scratch_path(state, "m.onnx"));
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    assert_int_equal(fineprune_model_open(&model, scratch_path(state, "m.onnx"), NULL, &err), 0);
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.swaps = "gradient:tires=3";
    assert_int_equal(fineprune_prune(model, NULL, &options, NULL, &err), FINEPRUNE_USAGE);
    assert_string_equal(err.message, "swaps 'gradient' has no parameter 'tires'");
    assert_non_null(strstr(err.hint, "tries (1 to 100)"));
    fineprune_model_free(model);
}

// What is said of one idea is not said of another.
static void test_jobs_apart(void **state) {
    (void)state;
    struct fp_chosen one, other;
    assert_int_equal(fp_chosen_read(&one, FP_KIND_SCORE, "obs:ridge=0.5", NULL), FINEPRUNE_OK);
    assert_int_equal(fp_chosen_read(&other, FP_KIND_SCORE, "obs", NULL), FINEPRUNE_OK);
    assert_true(one.values[1] == 0.5 && other.values[1] == 0.01 && one.values[0] == 10);
    assert_ptr_equal(one.parameters, other.parameters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         scratch_test(test_values),         cmocka_unit_test(test_refused),
        scratch_test(test_refused_by_prune), cmocka_unit_test(test_jobs_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
