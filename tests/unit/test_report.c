// SPDX-License-Identifier: Apache-2.0
// The report's order, its texts and its page, from reports written out here.
#include "report/report_values.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char pruned_json[] =
    "{\"schema\": \"fineprune-report-1\", \"tool\": {\"name\": \"fineprune\"}, \"command\": \"prune\","
    "\"model\": {\"path\": \"a/m.onnx\", \"opset\": 17, \"file_size\": 2000000, \"parameters\": 500000},"
    "\"data\": {\"sources\": [\"local.npz\"], \"samples\": 100, \"reserve\": 20},"
    "\"config\": {\"method\": \"fine-pruning\", \"score\": \"obs\", \"allocation\": \"lamp\", \"pattern\": "
    "\"unstructured\","
    "\"repair\": \"least-squares\", \"rounds\": 3, \"readout\": \"hebbian\"},"
    "\"layers\": [{\"name\": \"conv\", \"op\": \"Conv\", \"shape\": [8, 3, 3, 3], \"params\": 216, \"zeros\": 108, "
    "\"sparsity\": "
    "0.5,"
    "\"error_before_repair\": 0.25, \"error_after_repair\": 0.125},"
    "{\"name\": \"fc<b>\\u001b[31m\", \"op\": \"Gemm\", \"shape\": [10, 64], \"params\": 640, \"zeros\": 480, "
    "\"sparsity\": 0.75,"
    "\"error_before_repair\": 0.5, \"error_after_repair\": null}],"
    "\"pruned\": {\"params\": 856, \"zeros\": 588, \"sparsity\": 0.6869, \"asked\": 0.7},"
    "\"outputs\": {\"kept\": [1, 2], \"pruned\": 8},"
    "\"drift\": [{\"output\": \"y\", \"cosine\": 0.99, \"sqnr_db\": 20.5, \"max_abs\": 0.5, \"top1_agreement\": 0.95}],"
    "\"size\": {\"before\": {\"raw\": 2000000, \"deflated\": 1800000}, \"after\": {\"raw\": 2000000, \"deflated\": "
    "700000}},"
    "\"gates\": [{\"name\": \"min-agreement\", \"asked\": 0.9, \"measured\": 0.95, \"met\": true}],"
    "\"notes\": [\"few samples\"], \"wrote\": \"out.onnx\"}";

static void expect_text(char *text, const char *expected) {
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void summary_of_pruning(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_parse(pruned_json);
    assert_non_null(report);
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
    static const struct {
        const char *outputs, *readout, *lines[2];
    } cases[] = {
        {"{\"pruned\": 0, \"classes\": 10, \"seen\": 8, \"unseen_bias\": -0.6931471805599453}",
         "{\"applied\": true, \"strength\": 0.327, \"samples\": 120, \"corrects\": 29, \"expected\": 35.91, "
         "\"trusted\": true}",
         {"\noutputs  your data show 8 of 10 classes; the 2 that you never showed answer only when they are 2 times "
          "as likely; rows removed: 0\n",
          "\nreadout  lesson used at strength 0.33: corrects 29 of 120 answers; the model expects 35.9 mistakes\n"}},
        {"{\"pruned\": 8, \"kept\": [1, 2], \"classes\": 10, \"seen\": 2, \"unseen_bias\": -3}",
         "{\"applied\": false, \"strength\": 0.0, \"samples\": 120, \"changes\": 32, \"expected\": 3.2, "
         "\"changes_confident\": 4, "
         "\"expected_confident\": 0.11, \"trusted\": false, \"reason\": \"so\"}",
         {"\noutputs  your data show 2 of 10 classes; rows removed: 8\n",
          "\nreadout  lesson left out: it would change 32 answers (4 of the confident half), the model expects 3.2 "
          "(0.1) mistakes: so\n"}},
        {"{\"pruned\": 0, \"reason\": \"no <b>\"}",
         "{\"applied\": false, \"reason\": \"no bias\"}",
         {"\noutputs  all stay as they are: no <b>\n", "\nreadout  lesson left out: no bias\n"}},
    };
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct fineprune_report *report = fp_report_parse(pruned_json);
        json_object_set_new(report->root, "outputs", json_loads(cases[i].outputs, 0, NULL));
        json_object_set_new(report->root, "readout", json_loads(cases[i].readout, 0, NULL));
        char *text = fineprune_report_summary(report), *html = fineprune_report_html(report);
        for (size_t k = 0; k < 2; k++)
            if (!strstr(text, cases[i].lines[k])) fail_msg("no '%s' in %s", cases[i].lines[k], text);
        assert_null(strstr(html, "no <b>"));
        assert_non_null(strstr(html, i == 0 ? "corrects 29 of 120 answers" : "lesson left out: "));
        free(text), free(html);
        fineprune_report_free(report);
    }
}

// A size that was estimated says so.
static void estimated_size(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_parse(pruned_json);
    json_object_set_new(json_object_get(fp_report_object(report, "size"), "after"), "estimated", json_true());
    char *text = fineprune_report_summary(report), *html = fineprune_report_html(report);
    assert_non_null(strstr(text, ", compressed about 1.8 MB -> 700.0 kB; "));
    assert_non_null(strstr(html, "compressed (estimated), from 1.8 MB"));
    free(text);
    free(html);
    fineprune_report_free(report);
}

static void table_of_weights(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_parse(pruned_json);
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
    struct fineprune_report *report = fp_report_parse(pruned_json);
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
    json_array_append_new(fp_report_array(report, "layers"), json_object());
    json_object_set_new(fp_report_object(report, "model"), "path", fp_report_string("m"));
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
    struct fineprune_report *again = fp_report_parse(text);
    char *second = fineprune_report_json(again);
    assert_string_equal(text, second);
    free(text);
    free(second);
    fineprune_report_free(again);
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
    assert_null(fp_report_parse("[1]"));
    assert_null(fp_report_parse("{"));
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
    static const char *const pairs[][2] = {
        {"[1, 3, \"N\", \"\"]", "1x3xNx?"}, {"[]", "scalar"}, {"[7]", "7"}, {"\"3x3\"", "3x3"}, {"null", "?"}};
    for (size_t i = 0; i < FP_COUNT(pairs); i++) {
        json_t *shape = json_loads(pairs[i][0], JSON_DECODE_ANY, NULL);
        expect_text(fp_say_shape(shape), pairs[i][1]);
        json_decref(shape);
    }
}

static void listing_of_a_model(void **state) {
    (void)state;
    struct fineprune_report *report = fp_report_parse(
        "{\"command\": \"inspect\", \"model\": {\"path\": \"m.onnx\", \"opset\": {\"\": 17, \"com.microsoft\": "
        "1}, \"ir\": 8, \"producer\": \"p\"},"
        "\"inputs\": [{\"name\": \"x\", \"type\": \"float32\", \"shape\": [\"N\", 4]}],"
        "\"outputs_of_model\": [{\"name\": \"y\", \"type\": \"float32\", \"shape\": [\"N\", 3]}],"
        "\"operators\": [{\"type\": \"Conv\", \"domain\": \"\", \"count\": 12, \"supported\": true},"
        "{\"type\": \"Odd\", \"domain\": \"com.me\", \"count\": 1, \"supported\": false}],"
        "\"skipped\": [{\"name\": \"b\", \"reason\": \"a bias\", \"params\": 3}]}");
    expect_text(fineprune_report_summary(report), "model    m.onnx, opset 17, opset com.microsoft 1\n"
                                                  "format   ONNX IR 8, made by p\n"
                                                  "\ninputs\n  x  float32  Nx4\n"
                                                  "\noutputs\n  y  float32  Nx3\n"
                                                  "\noperators: 2 in 13 nodes\n  Conv        12\n  com.me.Odd   1  not "
                                                  "supported\n"
                                                  "\nleft dense: 1 tensor\n  b  3  a bias\n");
    fineprune_report_free(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_of_pruning), cmocka_unit_test(decisions), cmocka_unit_test(estimated_size),
        cmocka_unit_test(table_of_weights),   cmocka_unit_test(page),      cmocka_unit_test(json_order),
        cmocka_unit_test(empty_reports),      cmocka_unit_test(numbers),   cmocka_unit_test(shapes),
        cmocka_unit_test(listing_of_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
