// SPDX-License-Identifier: Apache-2.0
// The report as one page that stands alone: no scripts, nothing fetched, light and dark, every text from a file
// escaped.
#include "report/report_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// page.css, line by line.
static const char *const style[] = {
#include "page.css.inc"
};

// ---- text

static void put(FILE *file, const char *text) {
    for (const unsigned char *s = (const unsigned char *)fp_named(text); *s; s++) {
        bool c1 = *s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0;
        if (*s == '&') fputs("&amp;", file);
        else if (*s == '<') fputs("&lt;", file);
        else if (*s == '>') fputs("&gt;", file);
        else if (*s == '"') fputs("&quot;", file);
        else if (*s == '\'') fputs("&#39;", file);
        else if (*s < 0x20 || *s == 0x7f) fprintf(file, "\\x%02x", *s);
        else if (c1) fprintf(file, "\\x%02x", *++s);
        else fputc(*s, file);
    }
}

static void put_name(FILE *file, const json_t *entry) {
    char *name = fp_say_weight(entry);
    put(file, name);
    free(name);
}

static const json_t *section(const struct fineprune_report *report, const char *name) {
    return json_object_get(report->root, name);
}

static bool is_pruning(const struct fineprune_report *report) { return section(report, "config") != NULL; }

static double bounded(double share) {
    if (!(share > 0)) return 0; // NAN too
    return fmin(share, 1);
}

// How wide a bar is that is `width` wide for the whole.
static double bar(double width, double part, double whole) {
    if (!(whole > 0)) return 0;
    return width * bounded(part / whole);
}

// ---- heading

static void put_opset(FILE *file, const json_t *opset) {
    const char *domain;
    json_t *version;
    if (json_is_number(opset)) fprintf(file, "opset %.0f", json_number_value(opset));
    if (json_is_string(opset)) fprintf(file, "opset %s", json_string_value(opset));
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)opset, domain, version) {
        fputs(first ? "opset " : ", ", file);
        put(file, domain);
        fprintf(file, " %.0f", json_number_value(version));
        first = false;
    }
}

static void put_model_line(FILE *file, const json_t *model) {
    fp_words words;
    fputs("<p>", file);
    put_opset(file, json_object_get(model, "opset"));
    double parameters = fp_member_number(model, "parameters"), size = fp_member_number(model, "file_size");
    if (isfinite(parameters)) fprintf(file, " · %s parameters", fp_say_count(words, parameters));
    if (isfinite(size)) fprintf(file, " · %s", fp_say_bytes(words, size));
    const char *producer = fp_member_text(model, "producer");
    if (producer && *producer) {
        fputs(" · made by ", file);
        put(file, producer);
    }
    fputs("</p>\n", file);
}

static void put_badges(FILE *file, const struct fineprune_report *report) {
    const json_t *gates = section(report, "gates");
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const json_t *gate = json_array_get(gates, i);
        bool met = json_is_true(json_object_get(gate, "met"));
        fp_words asked, measured;
        fputs(met ? "<span class=\"badge good\">✓ " : "<span class=\"badge bad\">✗ ", file);
        put(file, fp_member_text(gate, "name"));
        fprintf(file, ": %s asked, %s measured</span>", fp_say_share(asked, fp_member_number(gate, "asked")),
                fp_say_share(measured, fp_member_number(gate, "measured")));
    }
    const json_t *obstacles = section(report, "obstacles");
    for (size_t i = 0; i < json_array_size(obstacles); i++) {
        fputs("<div><span class=\"badge bad\">", file);
        put(file, json_string_value(json_array_get(obstacles, i)));
        fputs("</span></div>", file);
    }
}

static void put_verdict(FILE *file, const struct fineprune_report *report) {
    const json_t *verdict = section(report, "verdict");
    const char *kind = fp_member_text(verdict, "kind"), *text = fp_member_text(verdict, "text");
    if (!kind || !text) return;
    const char *background = "";
    if (!strcmp(kind, "better") || !strcmp(kind, "same")) background = ";background:var(--goodsoft)";
    if (!strcmp(kind, "worse")) background = ";background:var(--badsoft)";
    fprintf(file, "<div class=\"note\" style=\"font-weight:600%s\">", background);
    put(file, text);
    fputs("</div>\n", file);
}

static void put_words(FILE *file, char *words) {
    if (words) {
        fputs("<div class=\"note\">", file);
        put(file, words);
        fputs("</div>\n", file);
    }
    free(words);
}

static void put_header(FILE *file, const struct fineprune_report *report) {
    const json_t *model = section(report, "model"), *second = section(report, "second_model");
    const char *command = fp_member_text(report->root, "command");
    fputs("<header><div class=\"brand\">fineprune ", file);
    put(file, command ? command : "");
    fputs("</div>\n<h1>", file);
    put(file, fp_base_name(fp_member_text(model, "path")));
    if (second) {
        fputs(" <span style=\"color:var(--dim)\">against</span> ", file);
        put(file, fp_base_name(fp_member_text(second, "path")));
    }
    fputs("</h1>\n", file);
    put_model_line(file, model);
    put_verdict(file, report);
    put_badges(file, report);
    const json_t *notes = section(report, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        fputs("<div class=\"note\">", file);
        put(file, json_string_value(json_array_get(notes, i)));
        fputs("</div>\n", file);
    }
    put_words(file, fp_say_macs(report));
    put_words(file, fp_say_compact(report));
    put_words(file, fp_say_sparse(report));
    fputs("</header>\n", file);
}

// ---- cards

static void put_card(FILE *file, const char *what, const char *value, const char *below) {
    fprintf(file, "<div class=\"card\"><span class=\"what\">%s</span><b>%s</b><span>%s</span></div>\n", what, value,
            below);
}

static void put_pruned_card(FILE *file, const struct fineprune_report *report) {
    const json_t *pruned = section(report, "pruned");
    if (!pruned) return;
    char below[200];
    fp_words share, zeros, params;
    snprintf(below, sizeof(below), "%s of %s prunable weights", fp_say_count(zeros, fp_member_number(pruned, "zeros")),
             fp_say_count(params, fp_member_number(pruned, "params")));
    put_card(file, "Zeros", fp_say_share(share, fp_member_number(pruned, "sparsity")), below);
}

static void put_drift_card(FILE *file, const struct fineprune_report *report) {
    const json_t *worst = fp_worst_drift(report), *data = section(report, "data"),
                 *agreement = section(report, "agreement");
    if (!worst) return;
    size_t samples = fp_member_count(data, "reserve");
    if (!samples) samples = fp_member_count(data, "samples");
    char below[200];
    fp_words value, other;
    double same = fp_member_number(worst, "top1_agreement"), cosine = fp_member_number(worst, "cosine");
    bool learned = json_is_true(json_object_get(section(report, "readout"), "applied")) && agreement;
    if (learned)
        snprintf(below, sizeof(below),
                 "as the model that came in; %s as the dense model that learned so too; %zu samples",
                 fp_say_share(other, fp_member_number(agreement, "pruning")), samples);
    else if (isfinite(same))
        snprintf(below, sizeof(below), "over %zu samples; cosine %s", samples, fp_say_number(other, "%.4f", cosine));
    else snprintf(below, sizeof(below), "of the outputs, over %zu samples", samples);
    if (learned) same = fp_member_number(agreement, "with_dense");
    if (isfinite(same)) put_card(file, "Same answer", fp_say_share(value, same), below);
    else put_card(file, "Cosine", fp_say_number(value, "%.4f", cosine), below);
}

static void put_size_card(FILE *file, const struct fineprune_report *report) {
    const json_t *size = section(report, "size");
    if (!size) return;
    char below[200];
    fp_words value, before;
    snprintf(below, sizeof(below), "compressed%s, from %s",
             fp_say_about(json_object_get(size, "after"))[0] ? " (estimated)" : "",
             fp_say_bytes(before, fp_member_number(json_object_get(size, "before"), "deflated")));
    put_card(file, "Size", fp_say_bytes(value, fp_member_number(json_object_get(size, "after"), "deflated")), below);
}

static void put_outputs_card(FILE *file, const struct fineprune_report *report) {
    const json_t *outputs = section(report, "outputs");
    size_t kept = fp_member_count(outputs, "kept"), gone = fp_member_count(outputs, "pruned");
    char value[60], below[200];
    if (!gone) return;
    snprintf(value, sizeof(value), "%zu", kept);
    snprintf(below, sizeof(below), "of %zu classes; your data show no others", kept + gone);
    put_card(file, "Outputs kept", value, below);
}

static void put_accuracy_card(FILE *file, const struct fineprune_report *report) {
    const json_t *accuracy = section(report, "accuracy");
    if (!accuracy) return;
    char below[200];
    fp_words a, b;
    snprintf(below, sizeof(below), "of the second model, from %s of the first; %zu samples",
             fp_say_share(a, fp_member_number(accuracy, "a")), fp_member_count(accuracy, "samples"));
    put_card(file, "Accuracy", fp_say_share(b, fp_member_number(accuracy, "b")), below);
}

static void put_cards(FILE *file, const struct fineprune_report *report) {
    fputs("<div class=\"cards\">\n", file);
    put_pruned_card(file, report);
    put_accuracy_card(file, report);
    put_drift_card(file, report);
    put_size_card(file, report);
    put_outputs_card(file, report);
    fputs("</div>\n", file);
}

// ---- where the zeros are: one column a weight, as wide as it has elements, so that areas are numbers of zeros

#define CHART_WIDTH 1000.0
#define CHART_HEIGHT 190.0

static void put_key(FILE *file, const char *color, const char *text) {
    fprintf(file, "<span><i style=\"background:var(--%s)\"></i>%s</span>", color, text);
}

static void put_skyline(FILE *file, const struct fineprune_report *report) {
    const json_t *layers = section(report, "layers");
    double total = 0, zeros = 0, x = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        total += (double)fp_member_count(json_array_get(layers, i), "params");
        zeros += (double)fp_member_count(json_array_get(layers, i), "zeros");
    }
    if (total <= 0 || zeros <= 0) return;
    fprintf(
        file,
        "<svg viewBox=\"0 0 %.0f %.0f\" width=\"100%%\" role=\"img\" aria-label=\"share of zeros in every weight\">\n",
        CHART_WIDTH, CHART_HEIGHT);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        double width = CHART_WIDTH * (double)fp_member_count(layer, "params") / total,
               sparsity = bounded(fp_member_number(layer, "sparsity"));
        double height = CHART_HEIGHT * sparsity, shown = width > 2.5 ? width - 1 : width;
        fp_words share;
        fputs("<g><title>", file);
        put_name(file, layer);
        fprintf(file, ": %s zeros</title><rect class=\"kept\" x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"%.2f\"/>",
                fp_say_share(share, sparsity), x, shown, CHART_HEIGHT - height);
        fprintf(file, "<rect class=\"zero\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/></g>\n", x,
                CHART_HEIGHT - height, shown, height);
        x += width;
    }
    double y = CHART_HEIGHT * (1 - zeros / total);
    fprintf(file, "<path class=\"rule\" d=\"M0 %.2fH%.0f\"/></svg>\n<div class=\"key\">", y, CHART_WIDTH);
    fp_words share;
    put_key(file, "zero", "zeros");
    put_key(file, "kept", "kept");
    fprintf(file, "<span>┄ %s over all</span></div>\n", fp_say_share(share, zeros / total));
}

// ---- the weights

static double largest_error(const json_t *layers) {
    double largest = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        largest = fmax(largest,
                       fmax(fp_member_number(layer, "error_before_repair"), fp_member_number(layer, "error_after_"
                                                                                                    "repair")));
    }
    return largest;
}

static void put_share_bar(FILE *file, double share) {
    fprintf(file,
            "<svg width=\"120\" height=\"10\" aria-hidden=\"true\"><rect class=\"kept\" width=\"120\" height=\"10\" "
            "rx=\"3\"/>"
            "<rect class=\"zero\" width=\"%.1f\" height=\"10\" rx=\"3\"/></svg>",
            120 * bounded(share));
}

static void put_error_bars(FILE *file, double before, double after, double largest) {
    fprintf(file,
            "<svg width=\"120\" height=\"14\" aria-hidden=\"true\"><rect class=\"before\" width=\"%.1f\" height=\"6\" "
            "rx=\"2\"/>"
            "<rect class=\"after\" y=\"8\" width=\"%.1f\" height=\"6\" rx=\"2\"/></svg>",
            bar(120, before, largest), bar(120, after, largest));
}

static void put_weight(FILE *file, const json_t *layer, double largest) {
    fp_words words, other;
    char *shape = fp_say_shape(json_object_get(layer, "shape"));
    double sparsity = fp_member_number(layer, "sparsity");
    double before = fp_member_number(layer, "error_before_repair"),
           after = fp_member_number(layer, "error_after_repair");
    fputs("<tr><td class=\"name\">", file);
    put_name(file, layer);
    fputs("</td><td class=\"op\">", file);
    put(file, fp_member_text(layer, "op"));
    fputs("</td><td class=\"op\">", file);
    put(file, shape);
    fprintf(file, "</td><td class=\"n\">%s</td><td>", fp_say_count(words, fp_member_number(layer, "params")));
    put_share_bar(file, sparsity);
    fprintf(file, "</td><td class=\"n\">%s</td>", fp_say_share(words, sparsity));
    if (largest > 0) {
        fputs("<td>", file);
        put_error_bars(file, before, after, largest);
        fprintf(file, "</td><td class=\"n\">%s → %s</td>", fp_say_number(words, "%.3f", before),
                fp_say_number(other, "%.3f", after));
    }
    fputs("</tr>\n", file);
    free(shape);
}

static void put_weights(FILE *file, const struct fineprune_report *report) {
    const json_t *layers = section(report, "layers");
    size_t n = json_array_size(layers);
    if (!n) return;
    double largest = largest_error(layers);
    fprintf(file, "<section><h2>%zu weight%s</h2>\n", n, fp_plural(n));
    if (is_pruning(report))
        fputs(
            "<p>A column for every weight, as wide as it has elements: the coloured area is the number of zeros.</p>\n",
            file);
    put_skyline(file, report);
    fputs("<div class=\"wide\" style=\"margin-top:20px\"><table><thead><tr><th>Weight<th>Operator<th>Shape<th "
          "class=\"n\">Elements<th colspan=\"2\">Zeros",
          file);
    if (largest > 0) fputs("<th colspan=\"2\">Error of its output", file);
    fputs("</tr></thead><tbody>\n", file);
    for (size_t i = 0; i < n; i++) put_weight(file, json_array_get(layers, i), largest);
    fputs("</tbody></table></div>\n", file);
    if (largest > 0) {
        fputs("<div class=\"key\">", file);
        put_key(file, "before", "relative error when pruned");
        put_key(file, "after", "after the repair");
        fputs("</div>\n", file);
    }
    fputs("</section>\n", file);
}

// ---- outputs, sizes, drift

static void put_outputs(FILE *file, const struct fineprune_report *report) {
    const json_t *outputs = section(report, "outputs"), *kept = json_object_get(outputs, "kept");
    size_t gone = fp_member_count(outputs, "pruned"), total = json_array_size(kept) + gone;
    if (!gone || !json_is_array(kept)) return;
    fprintf(file,
            "<section><h2>Outputs</h2>\n<p>%zu of %zu classes are kept, since the data show them; the others can no "
            "longer be "
            "answered.</p>\n",
            total - gone, total);
    fputs("<svg viewBox=\"0 0 1000 26\" width=\"100%\" height=\"26\" preserveAspectRatio=\"none\" role=\"img\" "
          "aria-label=\"kept "
          "outputs\">"
          "<rect class=\"soft\" width=\"1000\" height=\"26\"/>\n",
          file);
    double width = fmax(1000.0 / (double)total, 2);
    for (size_t i = 0; i < json_array_size(kept); i++) {
        double index = json_number_value(json_array_get(kept, i));
        fprintf(file, "<rect class=\"zero\" x=\"%.2f\" width=\"%.2f\" height=\"26\"><title>%.0f</title></rect>\n",
                1000 * bounded(index / (double)total), width, index);
    }
    fputs("</svg>\n<div class=\"key\"><span>kept: ", file);
    for (size_t i = 0; i < json_array_size(kept) && i < 200; i++)
        fprintf(file, "%s%.0f", i ? ", " : "", json_number_value(json_array_get(kept, i)));
    if (json_array_size(kept) > 200) fprintf(file, " and %zu more", json_array_size(kept) - 200);
    fputs("</span></div></section>\n", file);
}

static void put_size_bar(FILE *file, const char *name, double bytes, double largest, const char *class) {
    fp_words words;
    fprintf(file,
            "<tr><td class=\"what\">%s</td><td style=\"width:60%%\"><svg viewBox=\"0 0 300 12\" width=\"100%%\" "
            "height=\"12\" "
            "preserveAspectRatio=\"none\" "
            "aria-hidden=\"true\"><rect class=\"%s\" width=\"%.1f\" height=\"12\"/></svg></td><td "
            "class=\"n\">%s</td></tr>\n",
            name, class, bar(300, bytes, largest), fp_say_bytes(words, bytes));
}

static void put_sizes(FILE *file, const struct fineprune_report *report) {
    const json_t *before = json_object_get(section(report, "size"), "before"),
                 *after = json_object_get(section(report, "size"), "after");
    if (!before || !after) return;
    double values[] = {fp_member_number(before, "raw"), fp_member_number(after, "raw"),
                       fp_member_number(before, "deflated"), fp_member_number(after, "deflated")};
    double largest = fmax(fmax(values[0], values[1]), fmax(values[2], values[3]));
    bool about = fp_say_about(after)[0] != '\0';
    fputs("<section><h2>Size and speed</h2>\n<p>", file);
    const char *truth = fp_speed_truth(report);
    fprintf(file, "%c%s.</p>\n<table><tbody>\n", truth[0] - 'a' + 'A', truth + 1);
    put_size_bar(file, "file before", values[0], largest, "kept");
    put_size_bar(file, "file after", values[1], largest, "zero");
    put_size_bar(file, about ? "compressed before, about" : "compressed before", values[2], largest, "kept");
    put_size_bar(file, about ? "compressed after, about" : "compressed after", values[3], largest, "zero");
    fputs("</tbody></table></section>\n", file);
}

static void put_drift(FILE *file, const struct fineprune_report *report) {
    const json_t *drift = section(report, "drift");
    if (!json_array_size(drift)) return;
    bool answers = false;
    for (size_t i = 0; i < json_array_size(drift); i++)
        answers |= isfinite(fp_member_number(json_array_get(drift, i), "top1_agreement"));
    fprintf(
        file,
        "<section><h2>Drift</h2>\n<p>%s</p>\n<div class=\"wide\"><table><thead><tr><th>Output<th class=\"n\">Cosine<th "
        "class=\"n\">SQNR"
        "<th class=\"n\">Largest difference%s</tr></thead><tbody>\n",
        is_pruning(report)
            ? "Outputs of the pruned model against those of the dense one, on samples that no mask or repair has seen."
            : "Outputs of the second model against those of the first.",
        answers ? "<th class=\"n\">Same answer" : "");
    for (size_t i = 0; i < json_array_size(drift); i++) {
        const json_t *one = json_array_get(drift, i);
        fp_words a, b, c, d;
        fputs("<tr><td class=\"name\">", file);
        put(file, fp_member_text(one, "output"));
        fprintf(file, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>",
                fp_say_number(a, "%.4f", fp_member_number(one, "cosine")),
                fp_say_number(b, "%.1f dB", fp_member_number(one, "sqnr_db")),
                fp_say_number(c, "%.3g", fp_member_number(one, "max_abs")));
        if (answers) fprintf(file, "<td class=\"n\">%s</td>", fp_say_share(d, fp_member_number(one, "top1_agreement")));
        fputs("</tr>\n", file);
    }
    fputs("</tbody></table></div></section>\n", file);
}

// ---- lists of facts

static void put_fact(FILE *file, const char *name, const char *value) {
    fprintf(file, "<dt>%s</dt><dd>", name);
    put(file, value);
    fputs("</dd>\n", file);
}

static void put_data(FILE *file, const struct fineprune_report *report) {
    const json_t *data = section(report, "data"), *sources = json_object_get(data, "sources");
    if (!data) return;
    fp_words words;
    for (size_t i = 0; i < json_array_size(sources); i++)
        put_fact(file, "data", json_string_value(json_array_get(sources, i)));
    put_fact(file, "samples", fp_say_number(words, "%.0f", fp_member_number(data, "samples")));
    if (fp_member_count(data, "reserve"))
        put_fact(file, "kept to measure with", fp_say_number(words, "%.0f", fp_member_number(data, "reserve")));
}

static void put_config(FILE *file, const struct fineprune_report *report) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section(report, "config"), key, value) {
        char *name = fp_format("%s", key);
        fp_words number;
        for (char *c = name; c && *c; c++) {
            if (*c == '_') *c = ' ';
            if (*c == '<' || *c == '&') *c = '?';
        }
        if (json_is_string(value)) put_fact(file, fp_named(name), json_string_value(value));
        else if (json_is_number(value))
            put_fact(file, fp_named(name), fp_say_number(number, "%.4g", json_number_value(value)));
        else if (json_is_boolean(value)) put_fact(file, fp_named(name), json_is_true(value) ? "yes" : "no");
        free(name);
    }
}

// What the outputs are taken for, and each piece of evidence.
static void put_task(FILE *file, const struct fineprune_report *report) {
    const json_t *task = section(report, "task"), *evidence = json_object_get(task, "evidence");
    const char *said = fp_member_text(task, "said");
    if (!said) return;
    put_fact(file, "outputs are", said);
    for (size_t i = 0; i < json_array_size(evidence); i++) {
        const json_t *one = json_array_get(evidence, i);
        char *text = fp_format("%s (%s, %.0f)", fp_named(fp_member_text(one, "found")),
                               fp_named(fp_member_text(one, "says")), fp_member_number(one, "points"));
        put_fact(file, "evidence", fp_named(text));
        free(text);
    }
}

static void put_how(FILE *file, const struct fineprune_report *report) {
    if (!section(report, "config") && !section(report, "data")) return;
    fputs("<section><h2>How</h2>\n<dl>\n", file);
    put_data(file, report);
    put_task(file, report);
    put_config(file, report);
    char *outputs = fp_say_outputs(report), *lesson = fp_say_lesson(report);
    if (lesson) put_fact(file, "last layer learned", lesson);
    if (outputs) put_fact(file, "outputs", outputs);
    free(outputs);
    free(lesson);
    if (fp_member_text(report->root, "wrote")) put_fact(file, "wrote", fp_member_text(report->root, "wrote"));
    fputs("</dl></section>\n", file);
}

static void put_timing(FILE *file, const struct fineprune_report *report) {
    static const char *const stages[] = {"load", "forward", "statistics", "solve", "write"};
    const json_t *timing = section(report, "timing");
    double largest = 0, memory = fp_member_number(report->root, "peak_rss_bytes"),
           rate = fp_member_number(timing, "samples_per_second");
    fp_words words;
    if (!timing) return;
    for (size_t i = 0; i < FP_COUNT(stages); i++) largest = fmax(largest, fp_member_number(timing, stages[i]));
    fprintf(file, "<section><h2>Time and memory</h2>\n<p>%s in all",
            fp_say_seconds(words, fp_member_number(timing, "seconds")));
    if (isfinite(rate)) fprintf(file, ", %s samples/s", fp_say_number(words, "%.1f", rate));
    if (isfinite(memory)) fprintf(file, ", %s of memory at most", fp_say_bytes(words, memory));
    fputs("</p>\n<table><tbody>\n", file);
    for (size_t i = 0; i < FP_COUNT(stages); i++) {
        double seconds = fp_member_number(timing, stages[i]);
        if (!isfinite(seconds)) continue;
        fprintf(file,
                "<tr><td class=\"what\">%s</td><td style=\"width:60%%\"><svg viewBox=\"0 0 300 12\" width=\"100%%\" "
                "height=\"12\" preserveAspectRatio=\"none\" "
                "aria-hidden=\"true\"><rect class=\"kept\" width=\"%.1f\" height=\"12\"/></svg></td><td "
                "class=\"n\">%s</td></tr>\n",
                stages[i], bar(300, seconds, largest), fp_say_seconds(words, seconds));
    }
    fputs("</tbody></table></section>\n", file);
}

static void put_values(FILE *file, const struct fineprune_report *report, const char *name, const char *title) {
    const json_t *values = section(report, name);
    if (!json_array_size(values)) return;
    fprintf(file, "<section><h2>%s</h2>\n<div class=\"wide\"><table><tbody>\n", title);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        char *shape = fp_say_shape(json_object_get(value, "shape"));
        fputs("<tr><td class=\"name\">", file);
        put(file, fp_member_text(value, "name"));
        fputs("</td><td class=\"op\">", file);
        put(file, fp_member_text(value, "type"));
        fputs("</td><td class=\"op\">", file);
        put(file, shape);
        fputs("</td></tr>\n", file);
        free(shape);
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_operators(FILE *file, const struct fineprune_report *report) {
    const json_t *operators = section(report, "operators");
    if (!json_array_size(operators)) return;
    fputs("<section><h2>Operators</h2>\n<div class=\"wide\"><table><tbody>\n", file);
    for (size_t i = 0; i < json_array_size(operators); i++) {
        const json_t *one = json_array_get(operators, i);
        const char *domain = fp_member_text(one, "domain");
        fputs("<tr><td class=\"name\">", file);
        if (domain && *domain) put(file, domain);
        if (domain && *domain) fputc('.', file);
        put(file, fp_member_text(one, "type"));
        fprintf(file, "</td><td class=\"n\">%zu</td><td>%s</td></tr>\n", fp_member_count(one, "count"),
                json_is_false(json_object_get(one, "supported")) ? "<span class=\"badge bad\" style=\"margin:0\">not "
                                                                   "supported</span>"
                                                                 : "");
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_skipped(FILE *file, const struct fineprune_report *report) {
    const json_t *skipped = section(report, "skipped");
    if (!json_array_size(skipped)) return;
    fprintf(file, "<section><details><summary>%zu left dense</summary>\n<div class=\"wide\"><table><tbody>\n",
            json_array_size(skipped));
    for (size_t i = 0; i < json_array_size(skipped); i++) {
        const json_t *one = json_array_get(skipped, i);
        fp_words count;
        fputs("<tr><td class=\"name\">", file);
        put_name(file, one);
        fprintf(file, "</td><td class=\"n\">%s</td><td>", fp_say_count(count, fp_member_number(one, "params")));
        put(file, fp_member_text(one, "reason"));
        fputs("</td></tr>\n", file);
    }
    fputs("</tbody></table></div></details></section>\n", file);
}

static void put_footer(FILE *file, const struct fineprune_report *report) {
    const json_t *tool = section(report, "tool");
    const char *sha = fp_member_text(section(report, "model"), "sha256");
    fputs("<footer>", file);
    put(file, fp_member_text(tool, "libraries"));
    if (sha) {
        fputs("<br>model sha256 <code>", file);
        put(file, sha);
        fputs("</code>", file);
    }
    fputs("</footer>\n", file);
}

// ---- the page

static void put_page(FILE *file, const struct fineprune_report *report) {
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
          "content=\"width=device-width,"
          "initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\">\n<title>",
          file);
    put(file, fp_base_name(fp_member_text(section(report, "model"), "path")));
    fputs(" · fineprune</title>\n<style>\n", file);
    for (size_t i = 0; i < FP_COUNT(style); i++) fputs(style[i], file);
    fputs("</style>\n</head>\n<body>\n<main>\n", file);
    put_header(file, report);
    put_cards(file, report);
    fputs("<div class=\"two\">\n", file);
    put_values(file, report, "inputs", "Inputs");
    put_values(file, report, "outputs_of_model", "Outputs");
    fputs("</div>\n", file);
    put_weights(file, report);
    put_outputs(file, report);
    put_drift(file, report);
    put_operators(file, report);
    fputs("<div class=\"two\">\n", file);
    put_sizes(file, report);
    put_timing(file, report);
    fputs("</div>\n", file);
    put_how(file, report);
    put_skipped(file, report);
    put_footer(file, report);
    fputs("</main>\n</body>\n</html>\n", file);
}

char *fineprune_report_html(const struct fineprune_report *report) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    put_page(file, report);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}
