// SPDX-License-Identifier: Apache-2.0
// The report's order, its texts and its page, from sections written out here.
#include "report/report_values.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onnx/model.h"

// A pruning of two weights.
static struct fineprune_report *pruned_report(void) {
    struct fineprune_report *report = fp_report_new("prune");
    assert_non_null(report);
    FP_PUT(report, model,
           &(struct fp_report_model){
               .path = "a/m.onnx", .opset = 17, .producer = "", .file_size = 2000000, .parameters = 500000});
    struct fp_report_data data = {.samples = 100, .reserve = 20, .splits = true};
    fp_report_add_text(report, &data.sources, "local.npz");
    report->data = fp_arena_copy(&report->arena, &data, 1, sizeof(data));
    FP_PUT(report, config,
           &(struct fp_report_config){.method = "fine-pruning",
                                      .score = "obs",
                                      .allocation = "lamp",
                                      .pattern = "unstructured",
                                      .repair = "least-squares",
                                      .rounds = 3,
                                      .readout = "hebbian"});
    FP_ADD(report, layers,
           &(struct fp_report_layer){.name = "conv",
                                     .op = "Conv",
                                     .shape = {4, (const int64_t[]){8, 3, 3, 3}, NULL},
                                     .params = 216,
                                     .zeros = 108,
                                     .sparsity = 0.5,
                                     .error_before_repair = 0.25,
                                     .error_after_repair = 0.125});
    FP_ADD(report, layers,
           &(struct fp_report_layer){.name = "fc<b>\033[31m",
                                     .op = "Gemm",
                                     .shape = {2, (const int64_t[]){10, 64}, NULL},
                                     .params = 640,
                                     .zeros = 480,
                                     .sparsity = 0.75,
                                     .error_before_repair = 0.5,
                                     .error_after_repair = NAN});
    FP_PUT(report, pruned, &(struct fp_report_pruned){856, 588, 0.6869, 0.7});
    fp_report_put_outputs(
        report, &(struct fp_report_outputs){.lesson = FP_LESSON_TAUGHT, .pruned = 8, .classes = 10, .unseen_bias = NAN},
        (const uint8_t[10]){0, 1, 1});
    FP_ADD(report, drift, &(struct fp_report_drift){"y", 0.99, 20.5, 0.5, 0.95});
    fp_report_put_size(report, false, &(struct fp_model_size){2000000, 1800000, false});
    fp_report_put_size(report, true, &(struct fp_model_size){2000000, 700000, false});
    FP_ADD(report, gates, &(struct fp_report_gate){"min-agreement", 0.9, 0.95, true});
    fp_report_say(report, "few samples");
    assert_int_equal(fineprune_report_note(report, NULL, "wrote", "out.onnx"), FINEPRUNE_OK);
    return report;
}

static void expect_text(char *text, const char *expected) {
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void summary_of_pruning(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    expect_text(fineprune_report_summary(report),
                "model    a/m.onnx, opset 17, 2.0 MB, 500.0 k parameters, 2 weights to prune\n"
                "data     100 samples, 20 of them kept to measure with (local.npz)\n"
                "pruned   68.7% zeros: 588 of 856 by fine-pruning: obs, lamp, "
                "unstructured, least-squares, 3 rounds; 2 of 10 outputs kept\n"
                "drift    cosine 0.9900, SQNR 20.5 dB, largest difference 0.5, same answer "
                "95.0%\n"
                "size     raw 2.0 MB -> 2.0 MB, compressed 1.8 MB -> 700.0 kB; scattered zeros "
                "do not make a dense runtime faster; those of "
                "--pattern 2:4 do in TensorRT\n"
                "gate     min-agreement 90.0% asked, 95.0% measured: met\n"
                "note     few samples\n"
                "wrote    out.onnx\n");
    fineprune_report_free(report);
}

// What was decided of the classes and of the lesson is said in every case, in the text and on the page.
static void decisions(void **state) {
    (void)state;
    static const uint8_t two[10] = {0, 1, 1};
    static const struct {
        const uint8_t *kept;
        struct fp_report_outputs outputs;
        struct fp_report_readout readout;
        const char *lines[2];
    } cases[] = {
        {NULL,
         {.lesson = FP_LESSON_TAUGHT, .classes = 10, .seen = 8, .unseen_bias = -0.6931471805599453},
         {.lesson = FP_LESSON_LEARNED,
          .applied = true,
          .strength = 0.327,
          .samples = 120,
          .corrects = 29,
          .expected = 35.91,
          .trusted = true},
         {"\noutputs  your data show 8 of 10 classes; the 2 that you never showed answer only when they are 2 times "
          "as likely; rows removed: 0\n",
          "\nlearned  by the last layer from your data, at strength 0.33: corrects 29 of 120 answers; the model "
          "expects 35.9 mistakes\n"}},
        {NULL,
         {.lesson = FP_LESSON_TAUGHT, .classes = 5, .seen = 4, .unseen_bias = -0.6931471805599453},
         {.lesson = FP_LESSON_LEARNED,
          .samples = 120,
          .changes = 1,
          .expected = 0.5,
          .changes_confident = 1,
          .expected_confident = 0.2,
          .reason = "so"},
         {"\noutputs  your data show 4 of 5 classes; the one that you never showed answers only when it is 2 times as "
          "likely; rows removed: 0\n",
          "\nlearned  nothing from your data: it would change 1 answer (1 of the confident half), the model expects "
          "0.5 (0.2) mistakes: so\n"}},
        {NULL,
         {.lesson = FP_LESSON_TAUGHT, .classes = 10, .seen = 8, .unseen_bias = -0.003},
         {.lesson = FP_LESSON_LEARNED, .samples = 120, .trusted = true, .reason = "so"},
         {"\noutputs  your data show 8 of 10 classes; the 2 that you never showed answer as before; rows removed: 0\n",
          "\nlearned  nothing from your data: so\n"}},
        {two,
         {.lesson = FP_LESSON_TAUGHT, .pruned = 8, .classes = 10, .seen = 2, .unseen_bias = -3},
         {.lesson = FP_LESSON_LEARNED,
          .samples = 120,
          .changes = 32,
          .expected = 3.2,
          .changes_confident = 4,
          .expected_confident = 0.11,
          .reason = "so"},
         {"\noutputs  your data show 2 of 10 classes; rows removed: 8\n",
          "\nlearned  nothing from your data: it would change 32 answers (4 of the confident half), the model expects "
          "3.2 (0.1) mistakes: so\n"}},
        {NULL,
         {.reason = "no <b>"},
         {.reason = "no bias"},
         {"\noutputs  all stay as they are: no <b>\n", "\nlearned  nothing from your data: no bias\n"}},
    };
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct fineprune_report *report = pruned_report();
        fp_report_put_outputs(report, &cases[i].outputs, cases[i].kept);
        FP_PUT(report, readout, &cases[i].readout);
        char *text = fineprune_report_summary(report), *html = fineprune_report_html(report);
        for (size_t k = 0; k < 2; k++)
            if (!strstr(text, cases[i].lines[k])) fail_msg("no '%s' in %s", cases[i].lines[k], text);
        assert_null(strstr(html, "no <b>"));
        assert_non_null(strstr(html, i == 0 ? "corrects 29 of 120 answers" : "nothing from your data: "));
        free(text), free(html);
        fineprune_report_free(report);
    }
}

// A size that was estimated says so.
static void estimated_size(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    fp_report_put_size(report, true, &(struct fp_model_size){2000000, 700000, true});
    char *text = fineprune_report_summary(report), *html = fineprune_report_html(report);
    assert_non_null(strstr(text, ", compressed about 1.8 MB -> 700.0 kB; "));
    assert_non_null(strstr(html, "compressed (estimated), from 1.8 MB"));
    free(text);
    free(html);
    fineprune_report_free(report);
}

static void table_of_weights(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    expect_text(fineprune_report_table(report),
                "weight         operator  shape    elements  zeros  sparsity   error  repaired\n"
                "conv           Conv      8x3x3x3       216    108     50.0%  0.2500    0.1250\n"
                "fc<b>\\x1b[31m  Gemm      10x64         640    480     75.0%  0.5000         -\n"
                "total                                  856    588     68.7%\n");
    fineprune_report_free(report);
}

// The page escapes what comes from files, fetches nothing and runs nothing.
static void page(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    char *html = fineprune_report_html(report);
    assert_non_null(html);
    assert_non_null(strstr(html, "fc&lt;b&gt;\\x1b[31m"));
    assert_null(strstr(html, "fc<b>"));
    assert_null(strchr(html, 0x1b));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http:"));
    assert_null(strstr(html, "https:"));
    assert_null(strstr(html, "nan"));
    assert_non_null(strstr(html, "</html>"));
    free(html);
    fineprune_report_free(report);
}

// The members come in one order, whatever the order in which they were set; strange text and numbers stay JSON.
static void json_order(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_new("prune");
    assert_non_null(report);
    assert_int_equal(fineprune_report_note(report, NULL, "wrote", "x"), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_number(report, "timing", "write", 0.1), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_number(report, "timing", "load", (double)NAN), FINEPRUNE_OK);
    fp_report_say(report, "%d notes, and bytes: \xff\xc3\xa9\xed\xa0\x80", 2);
    FP_ADD(report, layers, &(struct fp_report_layer){.name = "w"});
    FP_PUT(report, model, &(struct fp_report_model){.path = "m"});
    char *text = fineprune_report_json(report);
    assert_non_null(text);
    static const char *const order[] = {"\"schema\"", "\"tool\"",  "\"command\"", "\"model\"",
                                        "\"layers\"", "\"notes\"", "\"wrote\"",   "\"timing\""};
    const char *last = text;
    for (size_t i = 0; i < FP_COUNT(order); i++) {
        const char *at = strstr(last, order[i]);
        if (!at) fail_msg("%s is missing or out of order in %s", order[i], text);
        last = at;
    }
    assert_non_null(strstr(text, "\"write\": 0.1"));
    assert_non_null(strstr(text, "\"load\": null"));
    assert_non_null(strstr(text, "bytes: \xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
    json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(read));
    json_decref(read);
    free(text);
    fineprune_report_free(report);
}

// A report that holds nothing but its head gives texts and a page all the same, for every command.
static void empty_reports(void **state) {
    (void)state;
    static const char *const commands[] = {"prune", "apply", "run", "compare", "inspect", "check", "unheard-of"};
    for (size_t i = 0; i < FP_COUNT(commands); i++) {
        struct fineprune_report *report = fp_report_new(commands[i]);
        char *texts[] = {fineprune_report_json(report), fineprune_report_summary(report),
                         fineprune_report_table(report), fineprune_report_html(report)};
        for (size_t k = 0; k < FP_COUNT(texts); k++) {
            assert_non_null(texts[k]);
            assert_true(strlen(texts[k]) > 0);
            free(texts[k]);
        }
        fineprune_report_free(report);
    }
    fineprune_report_free(NULL);
}

static void numbers(void **state) {
    (void)state;
    fp_words w;
    assert_string_equal(fp_say_count(w, 9999), "9999");
    assert_string_equal(fp_say_count(w, 12345), "12.3 k");
    assert_string_equal(fp_say_count(w, 999960), "1.0 M");
    assert_string_equal(fp_say_bytes(w, 512), "512 B");
    assert_string_equal(fp_say_bytes(w, 102.2e6), "102.2 MB");
    assert_string_equal(fp_say_share(w, 0.7), "70.0%");
    assert_string_equal(fp_say_share(w, (double)NAN), "-");
    assert_string_equal(fp_say_seconds(w, 1.234), "1.23 s");
    assert_string_equal(fp_say_seconds(w, 125), "2 min 05 s");
    assert_string_equal(fp_base_name("a/b.onnx"), "b.onnx");
    assert_string_equal(fp_base_name("b.onnx"), "b.onnx");
}

static void shapes(void **state) {
    (void)state;
    static const int64_t dims[] = {1, 3, -1, -1};
    static const char *const symbols[] = {NULL, NULL, "N", ""};
    static const struct {
        struct fp_report_shape shape;
        const char *text;
    } pairs[] = {{{4, dims, symbols}, "1x3xNx?"},
                 {{3, dims, NULL}, "1x3x?"},
                 {{0, NULL, NULL}, "scalar"},
                 {{1, dims + 1, NULL}, "3"},
                 {{-1, NULL, NULL}, "?"}};
    for (size_t i = 0; i < FP_COUNT(pairs); i++) expect_text(fp_say_shape(&pairs[i].shape), pairs[i].text);
}

static void listing_of_a_model(void **state) {
    (void)state;
    static const int64_t four[] = {-1, 4}, three[] = {-1, 3};
    static const char *const symbols[] = {"N", NULL};
    struct fineprune_report *report = fp_report_new("inspect");
    FP_PUT(report, model,
           &(struct fp_report_model){
               .path = "m.onnx", .opset = 17, .ir = 8, .producer = "p", .file_size = 512, .parameters = 12345});
    FP_ADD(report, inputs, &(struct fp_report_value){"x", "float32", {2, four, symbols}});
    FP_ADD(report, outputs_of_model, &(struct fp_report_value){"y", "float32", {2, three, symbols}});
    FP_ADD(report, operators, &(struct fp_report_operator){"Conv", "", 12, true});
    FP_ADD(report, operators, &(struct fp_report_operator){"Odd", "com.me", 1, false});
    FP_ADD(report, skipped, &(struct fp_report_skipped){"b", NULL, "a bias", 3});
    expect_text(fineprune_report_summary(report), "model    m.onnx, opset 17, 512 B, 12.3 k parameters\n"
                                                  "format   ONNX IR 8, made by p\n"
                                                  "\ninputs\n  x  float32  Nx4\n"
                                                  "\noutputs\n  y  float32  Nx3\n"
                                                  "\noperators: 2 in 13 nodes\n  Conv        12\n  com.me.Odd   1  not "
                                                  "supported\n"
                                                  "\nleft dense: 1 tensor\n  b  3  a bias\n");
    fineprune_report_free(report);
}

// What a program writes: into a member that can hold it, over one that cannot, into a section of its own; and what has
// no members takes none.
static void notes_of_a_program(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    assert_int_equal(fineprune_report_number(report, "timing", "seconds", 2), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_note(report, "timing", "load", "slow"), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_number(report, "app", "runs", 3), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_number(report, "app", "runs", 4.5), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_note(report, NULL, "free", "\xff"), FINEPRUNE_OK);
    assert_int_equal(fineprune_report_note(report, "layers", "x", "y"), FINEPRUNE_LIMIT);
    assert_int_equal(fineprune_report_note(report, "wrote", "x", "y"), FINEPRUNE_LIMIT);
    assert_int_equal(fineprune_report_note(report, "free", "x", "y"), FINEPRUNE_LIMIT);
    char *text = fineprune_report_json(report), *summary = fineprune_report_summary(report);
    assert_non_null(strstr(summary, "\nwrote    out.onnx (2.00 s)\n"));
    assert_non_null(strstr(text, "\"timing\": {\n    \"seconds\": 2,\n    \"load\": \"slow\"\n  }"));
    assert_non_null(strstr(text, "  },\n  \"app\": {\n    \"runs\": 4.5\n  },\n  \"free\": \"\xef\xbf\xbd\"\n}\n"));
    free(text), free(summary);
    fineprune_report_free(report);
}

// The whole section of that name, as JSON writes it; the text has no member twice.
static void expect_section(const struct fineprune_report *report, const char *name, const char *expected) {
    char *text = fineprune_report_json(report), *dumped;
    json_error_t where;
    json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!read) fail_msg("%s: %s", where.text, text);
    dumped = json_dumps(json_object_get(read, name), JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(dumped);
    assert_string_equal(dumped, expected);
    free(text), free(dumped);
    json_decref(read);
}

static void section_of_a_target(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    struct fp_report_target target = {.kind = "macs", .asked = 0.5, .reached = 0.4375, .met = true};
    FP_PUT(report, target, &target);
    expect_section(report, "target", "{\"kind\":\"macs\",\"asked\":0.5,\"reached\":0.4375,\"met\":true}");
    target = (struct fp_report_target){.kind = "size", .asked = 1000, .reached = 1500.5};
    fp_report_add_obstacle(report, &target, &(struct fp_report_obstacle){"conv", 48, "so", "Odd"});
    fp_report_add_obstacle(report, &target, &(struct fp_report_obstacle){"fc\xff", 7, "for this", NULL});
    FP_PUT(report, target, &target);
    expect_section(report, "target",
                   "{\"kind\":\"size\",\"asked\":1000.0,\"reached\":1500.5,\"met\":false,\"in_the_way\":["
                   "{\"weight\":\"conv\",\"channels\":48,\"reason\":\"so\",\"reader\":\"Odd\"},"
                   "{\"weight\":\"fc\xef\xbf\xbd\",\"channels\":7,\"reason\":\"for this\"}]}");
    fineprune_report_free(report);
}

// Of a model that came, pruned, and in smaller shapes; in words too, on the page and in the summary.
static void section_of_multiply_adds(void **state) {
    (void)state;
    static const struct {
        struct fp_report_macs macs;
        size_t compact, parameters;
        const char *json, *words;
    } cases[] = {
        {{.reason = "no <b> shape"}, 0, 0, "{\"reason\":\"no <b> shape\"}", NULL},
        {{.dense = 20000, .computed = 1000, .nonzero = 20000},
         0,
         0,
         "{\"dense\":20000,\"computed\":1000,\"nonzero\":20000}",
         "20.0 k multiply-adds a sample"},
        {{.dense = 20000, .nonzero = 5000},
         10000,
         0,
         "{\"dense\":20000,\"computed\":0,\"nonzero\":5000,\"compact\":10000}",
         "20.0 k multiply-adds a sample, 5000 of them by what is not zero; 10.0 k in smaller shapes, 50.0%"},
        {{.dense = 20000, .nonzero = 15000},
         10000,
         321,
         "{\"dense\":20000,\"computed\":0,\"nonzero\":15000,\"compact\":10000,\"compact_parameters\":321}",
         "20.0 k multiply-adds a sample; 10.0 k in smaller shapes, 50.0%"},
    };
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct fineprune_report *report = fp_report_new("inspect");
        FP_PUT(report, macs, &cases[i].macs);
        if (cases[i].compact) fp_report_put_macs_compact(report, cases[i].compact, cases[i].parameters);
        expect_section(report, "macs", cases[i].json);
        char *words = fp_say_macs(report), *html = fineprune_report_html(report);
        assert_int_equal(!words, !cases[i].words);
        if (words) assert_string_equal(words, cases[i].words);
        if (words) assert_non_null(strstr(html, cases[i].words));
        free(words), free(html);
        fineprune_report_free(report);
    }
}

static void section_of_a_pattern(void **state) {
    (void)state;
    struct fineprune_report *report = pruned_report();
    struct fp_report_pattern pattern = {.name = "2:4", .weights = 1, .params = 640, .zeros = 320, .sparsity = 0.5};
    FP_PUT(report, pattern, &pattern);
    expect_section(report, "pattern", "{\"name\":\"2:4\",\"weights\":1,\"params\":640,\"zeros\":320,\"sparsity\":0.5}");
    fp_report_add_dense(report, &pattern, &(struct fp_report_dense){"conv", "too few"});
    FP_PUT(report, pattern, &pattern);
    expect_section(report, "pattern",
                   "{\"name\":\"2:4\",\"weights\":1,\"params\":640,\"zeros\":320,\"sparsity\":0.5,\"dense\":["
                   "{\"weight\":\"conv\",\"reason\":\"too few\"}]}");
    fineprune_report_free(report);
}

static void expect_in(const char *text, const char *const *parts, size_t n) {
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        if (!strstr(text, parts[i])) fail_msg("'%s' is not in: %s", parts[i], text);
}

// What a model is made of, what runs it faster, and what stands in the way, on a page and as text.
static void page_of_a_model(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_new("check");
    assert_non_null(report);
    FP_PUT(report, model, &(struct fp_report_model){.path = "a/\"m\".onnx", .opset = 17, .producer = "p&q"});
    FP_ADD(report, inputs, &(struct fp_report_value){"x<y", "float32", {2, (const int64_t[]){-1, 3}, NULL}});
    FP_ADD(report, operators, &(struct fp_report_operator){"Conv", "", 3, true});
    FP_ADD(report, operators, &(struct fp_report_operator){"Own", "my.domain", 1, false});
    FP_ADD(report, skipped, &(struct fp_report_skipped){"embedding", "[:, 0:4]", "nothing reads it", 4096});
    fp_report_add_text(report, &report->obstacles, "operator 'Own' is not known");
    struct fp_report_data data = {.samples = 7, .unusable_files = 3};
    fp_report_add_text(report, &data.sources, "photos");
    fp_report_add_text(report, &data.unusable, "'a.png': the file is empty");
    fp_report_add_text(report, &data.passed_over, "3 .txt");
    report->data = fp_arena_copy(&report->arena, &data, 1, sizeof(data));
    struct fp_report_runtime runtime = {.profile = "tensorrt", .faster = 1, .condition = "sparse kernels are on"};
    fp_report_add_gain(report, &runtime, &(struct fp_report_gain){"conv", NULL, "faster", "2:4 in its rows"});
    FP_PUT(report, runtime, &runtime);
    assert_int_equal(fineprune_report_note(report, "config", "own_choice", "yes & no"), FINEPRUNE_OK);
    FP_PUT(report, config, &(struct fp_report_config){.method = "none", .sparsity = -1});
    char *html = fineprune_report_html(report), *text = fineprune_report_summary(report);
    static const char *const of_page[] = {
        "<h1>&quot;m&quot;.onnx</h1>",
        "p&amp;q",
        "<h2>Inputs</h2>",
        "x&lt;y</td><td class=\"op\">float32</td>",
        "Conv</td><td class=\"n\">3</td><td></td>",
        "my.domain.Own</td><td class=\"n\">1</td>",
        "not supported</span>",
        "<summary>1 left dense</summary>",
        "embedding[:, 0:4]</td>",
        "nothing reads it",
        "<span class=\"badge bad\">operator &#39;Own&#39; is not known</span>",
        "<dt>left out</dt>",
        "<dt>passed over</dt><dd>3 .txt</dd>",
        "<h2>In the runtime</h2>",
        "<td class=\"name\">conv</td><td class=\"op\">faster</td><td class=\"op\">2:4 in its rows</td>",
        "1 of 1 weight become faster",
        "sparse kernels are on",
        "<dt>own choice</dt><dd>yes &amp; no</dd>",
        "<dt>sparsity</dt><dd>auto</dd>"};
    static const char *const of_text[] = {
        "3 files left out, which cannot be used: 'a.png': the file is empty and 2 more",
        "passed over as no data: 3 .txt"};
    expect_in(html, of_page, FP_COUNT(of_page));
    expect_in(text, of_text, FP_COUNT(of_text));
    free(html), free(text);
    fineprune_report_free(report);
}

static void comparison(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_new("compare");
    assert_non_null(report);
    FP_PUT(report, model, &(struct fp_report_model){.path = "a.onnx", .producer = ""});
    FP_PUT(report, second_model, &(struct fp_report_model){.path = "b/b.onnx", .producer = ""});
    FP_PUT(report, data, &(struct fp_report_data){.samples = 50});
    FP_PUT(report, accuracy, &(struct fp_report_accuracy){0.9, 0.86, 50});
    FP_ADD(report, drift, &(struct fp_report_drift){"first", 0.99, 20, 0.5, NAN});
    FP_ADD(report, drift, &(struct fp_report_drift){"second", 0.75, 5, 2, NAN});
    char *html = fineprune_report_html(report), *text = fineprune_report_summary(report);
    static const char *const of_page[] = {">against</span> b.onnx</h1>", "of the second model, from 90.0% of the first",
                                          "0.7500", "of the outputs, over 50 samples"};
    static const char *const of_text[] = {"accuracy A 90.0%, B 86.0% of 50 samples", "second: cosine 0.7500"};
    expect_in(html, of_page, FP_COUNT(of_page));
    expect_in(text, of_text, FP_COUNT(of_text));
    free(html), free(text);
    fineprune_report_free(report);
}

static void sparse_initializers_said(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_new("prune");
    assert_non_null(report);
    FP_PUT(report, sparse_initializers, &(struct fp_report_sparse){.tensors = 0});
    expect_text(fp_say_sparse(report), "no tensor is smaller as sparse_initializer: all stay dense");
    FP_PUT(report, sparse_initializers, &(struct fp_report_sparse){2, 1000, 4000, "few runtimes read them"});
    expect_text(fp_say_sparse(report),
                "2 tensors as sparse_initializer: 1.0 kB instead of 4.0 kB; few runtimes read them");
    fineprune_report_free(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_of_pruning),
        cmocka_unit_test(decisions),
        cmocka_unit_test(estimated_size),
        cmocka_unit_test(table_of_weights),
        cmocka_unit_test(page),
        cmocka_unit_test(json_order),
        cmocka_unit_test(empty_reports),
        cmocka_unit_test(numbers),
        cmocka_unit_test(shapes),
        cmocka_unit_test(listing_of_a_model),
        cmocka_unit_test(notes_of_a_program),
        cmocka_unit_test(section_of_a_target),
        cmocka_unit_test(section_of_multiply_adds),
        cmocka_unit_test(section_of_a_pattern),
        cmocka_unit_test(page_of_a_model),
        cmocka_unit_test(comparison),
        cmocka_unit_test(sparse_initializers_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
