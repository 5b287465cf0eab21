// SPDX-License-Identifier: Apache-2.0
// The report as one page that stands alone: no scripts, nothing fetched, light and dark, every text from a file
// escaped.
#include "report/report_fields.h"
#include "report/report_values.h"
#include "base/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// page.html and page.css, line by line.
static const char *const skeleton[] = {
#include "page.html.inc"
};
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

static void put_name(FILE *file, const struct fp_report_layer *layer) {
    char *name = fp_say_layer(layer);
    put(file, name);
    free(name);
}

// The library's, or those that a program has added.
static bool has_choices(const struct fineprune_report *report) {
    for (size_t i = 0; i < report->extras.n; i++)
        if (report->extras.items[i].key && !strcmp(fp_or_empty(report->extras.items[i].section), "config")) return true;
    return report->config;
}

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

static void put_model_line(FILE *file, const struct fp_report_model *model) {
    fp_words parameters, bytes;
    fputs("<p>", file);
    if (model)
        fprintf(file, "opset %lld · %s parameters · %s", (long long)model->opset,
                fp_say_count(parameters, (double)model->parameters), fp_say_bytes(bytes, (double)model->file_size));
    if (model && *fp_or_empty(model->producer)) {
        fputs(" · made by ", file);
        put(file, model->producer);
    }
    fputs("</p>\n", file);
}

static void put_badges(FILE *file, const struct fineprune_report *report) {
    for (size_t i = 0; i < report->gates.n; i++) {
        const struct fp_report_gate *gate = &report->gates.items[i];
        fp_words asked, measured;
        fputs(gate->met ? "<span class=\"badge good\">✓ " : "<span class=\"badge bad\">✗ ", file);
        put(file, gate->name);
        fprintf(file, ": %s asked, %s measured</span>", fp_say_share(asked, gate->asked),
                fp_say_share(measured, gate->measured));
    }
    for (size_t i = 0; i < report->obstacles.n; i++) {
        fputs("<div><span class=\"badge bad\">", file);
        put(file, report->obstacles.items[i]);
        fputs("</span></div>", file);
    }
}

static void put_warnings(FILE *file, const struct fp_report_warnings *warnings) {
    for (size_t i = 0; i < warnings->n; i++) {
        const struct fp_report_warning *one = &warnings->items[i];
        fputs("<div class=\"note\" style=\"background:var(--badsoft)\">warning: ", file);
        put(file, one->text);
        fputs(" (", file);
        put(file, one->evidence);
        fputs(")</div>\n", file);
    }
}

static void put_verdict(FILE *file, const struct fp_report_verdict *verdict) {
    if (!verdict || !verdict->kind || !verdict->text) return;
    const char *kind = verdict->kind, *background = "";
    if (!strcmp(kind, "better") || !strcmp(kind, "same")) background = ";background:var(--goodsoft)";
    if (!strcmp(kind, "worse")) background = ";background:var(--badsoft)";
    fprintf(file, "<div class=\"note\" style=\"font-weight:600%s\">", background);
    put(file, verdict->text);
    fputs("</div>\n", file);
}

static void put_note(FILE *file, const char *text) {
    fputs("<div class=\"note\">", file);
    put(file, text);
    fputs("</div>\n", file);
}

static void put_words(FILE *file, char *words) {
    if (words) put_note(file, words);
    free(words);
}

static void put_file(FILE *file, const struct fp_report_model *model) {
    put(file, model ? fp_base_name(model->path) : NULL);
}

static void put_header(FILE *file, const struct fineprune_report *report) {
    fputs("<header><div class=\"brand\">fineprune ", file);
    put(file, report->command);
    fputs("</div>\n<h1>", file);
    put_file(file, report->model);
    if (report->second_model) {
        fputs(" <span style=\"color:var(--dim)\">against</span> ", file);
        put_file(file, report->second_model);
    }
    fputs("</h1>\n", file);
    put_model_line(file, report->model);
    put_verdict(file, report->verdict);
    put_badges(file, report);
    put_warnings(file, &report->warnings);
    for (size_t i = 0; i < report->notes.n; i++) put_note(file, report->notes.items[i]);
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

static void put_pruned_card(FILE *file, const struct fp_report_pruned *pruned) {
    char below[200];
    fp_words share, zeros, params;
    if (!pruned) return;
    snprintf(below, sizeof(below), "%s of %s prunable weights", fp_say_count(zeros, (double)pruned->zeros),
             fp_say_count(params, (double)pruned->params));
    put_card(file, "Zeros", fp_say_share(share, pruned->sparsity), below);
}

static void put_drift_card(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_drift *worst = fp_worst_drift(report);
    const struct fp_report_agreement *agreement = report->agreement;
    const bool learned = report->readout && report->readout->applied && agreement;
    size_t samples = fp_reserve_of(report);
    char below[200];
    fp_words value, other;
    if (!worst) return;
    if (!samples) samples = fp_samples_of(report);
    double same = worst->top1_agreement;
    if (learned)
        snprintf(below, sizeof(below),
                 "as the model that came in; %s as the dense model that learned so too; %zu sample%s",
                 fp_say_share(other, agreement->pruning), samples, fp_plural(samples));
    else if (isfinite(same))
        snprintf(below, sizeof(below), "over %zu sample%s; cosine %s", samples, fp_plural(samples),
                 fp_say_number(other, "%.4f", worst->cosine));
    else snprintf(below, sizeof(below), "of the outputs, over %zu sample%s", samples, fp_plural(samples));
    if (learned) same = agreement->with_dense;
    if (isfinite(same)) put_card(file, "Same answer", fp_say_share(value, same), below);
    else put_card(file, "Cosine", fp_say_number(value, "%.4f", worst->cosine), below);
}

static void put_size_card(FILE *file, const struct fp_report_size *size) {
    char below[200];
    fp_words value, before;
    if (!size) return;
    snprintf(below, sizeof(below), "compressed%s, from %s", *fp_say_about(size) ? " (estimated)" : "",
             fp_say_bytes(before, fp_deflated_bytes(size->before)));
    put_card(file, "Size", fp_say_bytes(value, fp_deflated_bytes(size->after)), below);
}

static void put_outputs_card(FILE *file, const struct fp_report_outputs *outputs) {
    char value[60], below[200];
    if (!outputs || !outputs->pruned) return;
    snprintf(value, sizeof(value), "%zu", outputs->kept.n);
    snprintf(below, sizeof(below), "of %zu classes; your data show no others", outputs->kept.n + outputs->pruned);
    put_card(file, "Outputs kept", value, below);
}

static void put_accuracy_card(FILE *file, const struct fp_report_accuracy *accuracy) {
    char below[200];
    fp_words a, b, c;
    if (!accuracy) return;
    snprintf(below, sizeof(below), "of the second model, from %s of the first; %zu sample%s",
             fp_say_share(a, accuracy->a), accuracy->samples, fp_plural(accuracy->samples));
    put_card(file, "Accuracy", fp_say_share(b, accuracy->b), below);
    if (!isfinite(accuracy->a_top5)) return;
    snprintf(below, sizeof(below), "of the second model, from %s of the first", fp_say_share(a, accuracy->a_top5));
    put_card(file, "Among the five best", fp_say_share(c, accuracy->b_top5), below);
}

static void put_cards(FILE *file, const struct fineprune_report *report) {
    put_pruned_card(file, report->pruned);
    put_accuracy_card(file, report->accuracy);
    put_drift_card(file, report);
    put_size_card(file, report->size);
    put_outputs_card(file, report->outputs);
}

// ---- where the zeros are: one column a weight, as wide as it has elements, so that areas are numbers of zeros

#define CHART_WIDTH 1000.0
#define CHART_HEIGHT 190.0

static void put_key(FILE *file, const char *color, const char *text) {
    fprintf(file, "<span><i style=\"background:var(--%s)\"></i>%s</span>", color, text);
}

static void put_skyline(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_layers *layers = &report->layers;
    double total = 0, zeros = 0, x = 0;
    for (size_t i = 0; i < layers->n; i++) {
        total += (double)layers->items[i].params;
        zeros += (double)layers->items[i].zeros;
    }
    if (total <= 0 || zeros <= 0) return;
    fprintf(
        file,
        "<svg viewBox=\"0 0 %.0f %.0f\" width=\"100%%\" role=\"img\" aria-label=\"share of zeros in every weight\">\n",
        CHART_WIDTH, CHART_HEIGHT);
    for (size_t i = 0; i < layers->n; i++) {
        const struct fp_report_layer *layer = &layers->items[i];
        double width = CHART_WIDTH * (double)layer->params / total, sparsity = bounded(layer->sparsity);
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

static double largest_error(const struct fp_report_layers *layers) {
    double largest = 0;
    for (size_t i = 0; i < layers->n; i++)
        largest = fmax(largest, fmax(layers->items[i].error_before_repair, layers->items[i].error_after_repair));
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

static void put_weight(FILE *file, const struct fp_report_layer *layer, double largest) {
    fp_words words, other;
    char *shape = fp_say_shape(&layer->shape);
    const double before = layer->error_before_repair, after = layer->error_after_repair;
    fputs("<tr><td class=\"name\">", file);
    put_name(file, layer);
    fputs("</td><td class=\"op\">", file);
    put(file, layer->op);
    fputs("</td><td class=\"op\">", file);
    put(file, shape);
    fprintf(file, "</td><td class=\"n\">%s</td><td>", fp_say_count(words, (double)layer->params));
    put_share_bar(file, layer->sparsity);
    fprintf(file, "</td><td class=\"n\">%s</td>", fp_say_share(words, layer->sparsity));
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
    const size_t n = report->layers.n;
    if (!n) return;
    const double largest = largest_error(&report->layers);
    fprintf(file, "<section><h2>%zu weight%s</h2>\n", n, fp_plural(n));
    if (has_choices(report))
        fputs(
            "<p>A column for every weight, as wide as it has elements: the coloured area is the number of zeros.</p>\n",
            file);
    put_skyline(file, report);
    fputs("<div class=\"wide\" style=\"margin-top:20px\"><table><thead><tr><th>Weight<th>Operator<th>Shape<th "
          "class=\"n\">Elements<th colspan=\"2\">Zeros",
          file);
    if (largest > 0) fputs("<th colspan=\"2\">Error of its output", file);
    fputs("</tr></thead><tbody>\n", file);
    for (size_t i = 0; i < n; i++) put_weight(file, &report->layers.items[i], largest);
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
    if (!report->outputs || !report->outputs->pruned || !report->outputs->kept.there) return;
    const struct fp_counts *kept = &report->outputs->kept;
    const size_t gone = report->outputs->pruned, total = kept->n + gone;
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
    for (size_t i = 0; i < kept->n; i++) {
        const double index = (double)kept->items[i];
        fprintf(file, "<rect class=\"zero\" x=\"%.2f\" width=\"%.2f\" height=\"26\"><title>%.0f</title></rect>\n",
                1000 * bounded(index / (double)total), width, index);
    }
    fputs("</svg>\n<div class=\"key\"><span>kept: ", file);
    for (size_t i = 0; i < kept->n && i < 200; i++) fprintf(file, "%s%zu", i ? ", " : "", kept->items[i]);
    if (kept->n > 200) fprintf(file, " and %zu more", kept->n - 200);
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
    const struct fp_report_size *size = report->size;
    if (!size || !size->before || !size->after) return;
    const double values[] = {fp_raw_bytes(size->before), fp_raw_bytes(size->after), fp_deflated_bytes(size->before),
                             fp_deflated_bytes(size->after)};
    double largest = fmax(fmax(values[0], values[1]), fmax(values[2], values[3]));
    const bool about = *fp_say_about(size);
    const char *truth = fp_speed_truth(report);
    fputs(truth ? "<section><h2>Size and speed</h2>\n" : "<section><h2>Size</h2>\n", file);
    if (truth) fprintf(file, "<p>%c%s.</p>\n", truth[0] - 'a' + 'A', truth + 1);
    fputs("<table><tbody>\n", file);
    put_size_bar(file, "file before", values[0], largest, "kept");
    put_size_bar(file, "file after", values[1], largest, "zero");
    put_size_bar(file, about ? "compressed before, about" : "compressed before", values[2], largest, "kept");
    put_size_bar(file, about ? "compressed after, about" : "compressed after", values[3], largest, "zero");
    fputs("</tbody></table></section>\n", file);
}

static void put_drift(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_drifts *drift = &report->drift;
    if (!drift->n) return;
    bool answers = false;
    for (size_t i = 0; i < drift->n; i++) answers |= isfinite(drift->items[i].top1_agreement);
    fprintf(
        file,
        "<section><h2>Drift</h2>\n<p>%s</p>\n<div class=\"wide\"><table><thead><tr><th>Output<th class=\"n\">Cosine<th "
        "class=\"n\">SQNR"
        "<th class=\"n\">Largest difference%s</tr></thead><tbody>\n",
        has_choices(report)
            ? "Outputs of the pruned model against those of the dense one, on samples that no mask or repair has seen."
            : "Outputs of the second model against those of the first.",
        answers ? "<th class=\"n\">Same answer" : "");
    for (size_t i = 0; i < drift->n; i++) {
        const struct fp_report_drift *one = &drift->items[i];
        fp_words a, b, c, d;
        fputs("<tr><td class=\"name\">", file);
        put(file, one->output);
        fprintf(file, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>",
                fp_say_number(a, "%.4f", one->cosine), fp_say_number(b, "%.1f dB", one->sqnr_db),
                fp_say_number(c, "%.3g", one->max_abs));
        if (answers) fprintf(file, "<td class=\"n\">%s</td>", fp_say_share(d, one->top1_agreement));
        fputs("</tr>\n", file);
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_layer_errors(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_layer_errors *errors = report->layer_errors;
    double largest = 0;
    if (!errors) return;
    fputs("<section><h2>Layers</h2>\n<p>", file);
    put(file, errors->said);
    fputs("</p>\n<div class=\"wide\"><table><thead><tr><th>Output<th>Operator<th>Weight<th colspan=\"2\">Error, ",
          file);
    put(file, errors->measure);
    fputs("</tr></thead><tbody>\n", file);
    for (size_t i = 0; i < errors->layers.n; i++)
        if (isfinite(errors->layers.items[i].error)) largest = fmax(largest, errors->layers.items[i].error);
    for (size_t i = 0; i < errors->layers.n; i++) {
        const struct fp_report_layer_error *one = &errors->layers.items[i];
        fp_words words;
        fputs(one->stands_out ? "<tr style=\"background:var(--badsoft)\"><td class=\"name\">"
                              : "<tr><td class=\"name\">",
              file);
        put(file, one->output);
        fputs("</td><td class=\"op\">", file);
        put(file, one->op);
        fputs("</td><td class=\"name\">", file);
        put(file, fp_or_empty(one->weight));
        fputs("</td><td>", file);
        put_share_bar(file, largest > 0 && isfinite(one->error) ? one->error / largest : 0);
        fprintf(file, "</td><td class=\"n\">%s</td></tr>\n", fp_say_number(words, "%.3g", one->error));
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_runtime(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_runtime *runtime = report->runtime;
    if (!runtime) return;
    char *words = fp_say_runtime(report);
    fputs("<section><h2>In the runtime</h2>\n<p>", file);
    put(file, words);
    fputs("</p>\n<div class=\"wide\"><table><thead><tr><th>Weight<th>Becomes<th>Why</tr></thead><tbody>\n", file);
    free(words);
    for (size_t i = 0; i < runtime->weights.n; i++) {
        const struct fp_report_gain *one = &runtime->weights.items[i];
        char *name = fp_say_weight(one->weight, one->part, NULL);
        const char *const cells[] = {name, one->becomes, one->why};
        fputs("<tr>", file);
        for (size_t k = 0; k < FP_COUNT(cells); k++) {
            fputs(k ? "<td class=\"op\">" : "<td class=\"name\">", file);
            put(file, cells[k]);
            fputs("</td>", file);
        }
        fputs("</tr>\n", file);
        free(name);
    }
    fputs("</tbody></table></div></section>\n", file);
}

// ---- lists of facts

static void put_fact(FILE *file, const char *name, const char *value) {
    fprintf(file, "<dt>%s</dt><dd>", name);
    put(file, value);
    fputs("</dd>\n", file);
}

static void put_data(FILE *file, const struct fp_report_data *data) {
    fp_words words;
    if (!data) return;
    for (size_t i = 0; i < data->sources.n; i++) put_fact(file, "data", data->sources.items[i]);
    for (size_t i = 0; i < data->unusable.n && i < 20; i++) put_fact(file, "left out", data->unusable.items[i]);
    for (size_t i = 0; i < data->passed_over.n; i++) put_fact(file, "passed over", data->passed_over.items[i]);
    if (data->preparation) put_fact(file, "prepared", data->preparation);
    put_fact(file, "samples", fp_say_number(words, "%.0f", (double)data->samples));
    if (data->recordings) put_fact(file, "recordings", fp_say_number(words, "%.0f", (double)data->recordings));
    if (data->reserve) put_fact(file, "kept to measure with", fp_say_number(words, "%.0f", (double)data->reserve));
}

// A choice: a text or a finite number.
static void put_choice(FILE *file, const char *key, const char *text, double value) {
    fp_words number;
    char *name = fp_format("%s", key);
    for (char *c = name; c && *c; c++) {
        if (*c == '_') *c = ' ';
        if (*c == '<' || *c == '&') *c = '?';
    }
    if (text) put_fact(file, fp_named(name), text);
    else if (isfinite(value)) put_fact(file, fp_named(name), fp_say_number(number, "%.4g", value));
    free(name);
}

static void put_config(FILE *file, const struct fineprune_report *report) {
    const struct fp_field *field = fp_config_fields.items, *end = field + fp_config_fields.n;
    for (; report->config && field < end; field++) {
        const char *text = fp_field_text(field, report->config);
        const double value = fp_field_real(field, report->config);
        if (field->kind == FP_FLAG) text = value != 0 ? "yes" : "no";
        if (field->kind == FP_REAL_OR_AUTO && value < 0) text = "auto";
        put_choice(file, field->key, text, value);
    }
    for (size_t i = 0; i < report->extras.n; i++) {
        const struct fp_report_extra *e = &report->extras.items[i];
        if (e->key && !strcmp(fp_or_empty(e->section), "config")) put_choice(file, e->key, e->text, e->number);
    }
}

// What the outputs are taken for, and each piece of evidence.
static void put_task(FILE *file, const struct fp_report_task *task) {
    if (!task || !task->said) return;
    put_fact(file, "outputs are", task->said);
    for (size_t i = 0; i < task->evidence.n; i++) {
        const struct fp_report_evidence *one = &task->evidence.items[i];
        char *text = fp_format("%s (%s, %lld)", fp_named(one->found), fp_named(one->says), (long long)one->points);
        put_fact(file, "evidence", fp_named(text));
        free(text);
    }
}

static void put_how(FILE *file, const struct fineprune_report *report) {
    if (!has_choices(report) && !report->data) return;
    fputs("<section><h2>How</h2>\n<dl>\n", file);
    put_data(file, report->data);
    put_task(file, report->task);
    put_config(file, report);
    char *outputs = fp_say_outputs(report), *lesson = fp_say_lesson(report);
    if (lesson) put_fact(file, "learned", lesson);
    if (outputs) put_fact(file, "outputs", outputs);
    free(outputs);
    free(lesson);
    if (report->wrote) put_fact(file, "wrote", report->wrote);
    fputs("</dl></section>\n", file);
}

static void put_stage(FILE *file, const char *name, double seconds, double largest) {
    fp_words words;
    if (!isfinite(seconds)) return;
    fprintf(file,
            "<tr><td class=\"what\">%s</td><td style=\"width:60%%\"><svg viewBox=\"0 0 300 12\" width=\"100%%\" "
            "height=\"12\" preserveAspectRatio=\"none\" "
            "aria-hidden=\"true\"><rect class=\"kept\" width=\"%.1f\" height=\"12\"/></svg></td><td "
            "class=\"n\">%s</td></tr>\n",
            name, bar(300, seconds, largest), fp_say_seconds(words, seconds));
}

static void put_timing(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_timing *t = report->timing;
    fp_words words;
    if (!t) return;
    const double largest = fmax(0, fmax(fmax(t->load, t->forward), fmax(t->statistics, fmax(t->solve, t->write))));
    fprintf(file, "<section><h2>Time and memory</h2>\n<p>%s in all", fp_say_seconds(words, t->seconds));
    if (isfinite(t->samples_per_second))
        fprintf(file, ", %s samples/s", fp_say_number(words, "%.1f", t->samples_per_second));
    if (isfinite(report->peak_rss_bytes))
        fprintf(file, ", %s of memory at most", fp_say_bytes(words, report->peak_rss_bytes));
    fputs("</p>\n<table><tbody>\n", file);
    put_stage(file, "load", t->load, largest);
    put_stage(file, "forward", t->forward, largest);
    put_stage(file, "statistics", t->statistics, largest);
    put_stage(file, "solve", t->solve, largest);
    put_stage(file, "write", t->write, largest);
    fputs("</tbody></table></section>\n", file);
}

static void put_values(FILE *file, const struct fp_report_values *values, const char *title) {
    if (!values->n) return;
    fprintf(file, "<section><h2>%s</h2>\n<div class=\"wide\"><table><tbody>\n", title);
    for (size_t i = 0; i < values->n; i++) {
        const struct fp_report_value *value = &values->items[i];
        char *shape = fp_say_shape(&value->shape);
        fputs("<tr><td class=\"name\">", file);
        put(file, value->name);
        fputs("</td><td class=\"op\">", file);
        put(file, value->type);
        fputs("</td><td class=\"op\">", file);
        put(file, shape);
        fputs("</td></tr>\n", file);
        free(shape);
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_operators(FILE *file, const struct fineprune_report *report) {
    if (!report->operators.n) return;
    fputs("<section><h2>Operators</h2>\n<div class=\"wide\"><table><tbody>\n", file);
    for (size_t i = 0; i < report->operators.n; i++) {
        const struct fp_report_operator *one = &report->operators.items[i];
        const char *domain = fp_or_empty(one->domain);
        fputs("<tr><td class=\"name\">", file);
        put(file, domain);
        if (*domain) fputc('.', file);
        put(file, one->type);
        fprintf(file, "</td><td class=\"n\">%zu</td><td>%s</td></tr>\n", one->count,
                one->supported ? "" : "<span class=\"badge bad\" style=\"margin:0\">not supported</span>");
    }
    fputs("</tbody></table></div></section>\n", file);
}

static void put_skipped(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_skipped_list *skipped = &report->skipped;
    if (!skipped->n) return;
    fprintf(file, "<section><details><summary>%zu left dense</summary>\n<div class=\"wide\"><table><tbody>\n",
            skipped->n);
    for (size_t i = 0; i < skipped->n; i++) {
        const struct fp_report_skipped *one = &skipped->items[i];
        char *name = fp_say_weight(one->name, one->part, NULL);
        fp_words count;
        fputs("<tr><td class=\"name\">", file);
        put(file, name);
        fprintf(file, "</td><td class=\"n\">%s</td><td>", fp_say_count(count, (double)one->params));
        put(file, one->reason);
        fputs("</td></tr>\n", file);
        free(name);
    }
    fputs("</tbody></table></div></details></section>\n", file);
}

static void put_footer(FILE *file, const struct fineprune_report *report) {
    const char *sha = report->model ? report->model->sha256 : NULL;
    fputs("<footer>", file);
    put(file, report->tool.libraries);
    if (sha) {
        fputs("<br>model sha256 <code>", file);
        put(file, sha);
        fputs("</code>", file);
    }
    fputs("</footer>\n", file);
}

// ---- the page

static void put_title(FILE *file, const struct fineprune_report *report) { put_file(file, report->model); }

static void put_style(FILE *file, const struct fineprune_report *report) {
    (void)report;
    for (size_t i = 0; i < FP_COUNT(style); i++) fputs(style[i], file);
}

static void put_inputs(FILE *file, const struct fineprune_report *report) {
    put_values(file, &report->inputs, "Inputs");
}

static void put_outputs_of_model(FILE *file, const struct fineprune_report *report) {
    put_values(file, &report->outputs_of_model, "Outputs");
}

// What stands for each {{name}} of the page.
static const struct part {
    const char *name;
    void (*put)(FILE *, const struct fineprune_report *);
} parts[] = {{"title", put_title},     {"style", put_style},
             {"header", put_header},   {"cards", put_cards},
             {"inputs", put_inputs},   {"outputs of the model", put_outputs_of_model},
             {"weights", put_weights}, {"outputs", put_outputs},
             {"drift", put_drift},     {"layer errors", put_layer_errors},
             {"runtime", put_runtime}, {"operators", put_operators},
             {"sizes", put_sizes},     {"timing", put_timing},
             {"how", put_how},         {"skipped", put_skipped},
             {"footer", put_footer}};

static void put_part(FILE *file, const struct fineprune_report *report, const char *name, size_t length) {
    for (size_t i = 0; i < FP_COUNT(parts); i++)
        if (strlen(parts[i].name) == length && !strncmp(parts[i].name, name, length)) parts[i].put(file, report);
}

static void put_page(FILE *file, const struct fineprune_report *report) {
    for (size_t i = 0; i < FP_COUNT(skeleton); i++) {
        const char *at = skeleton[i], *open = strstr(at, "{{");
        for (; open; open = strstr(at, "{{")) {
            const char *name = open + 2, *close = strstr(name, "}}");
            fwrite(at, 1, (size_t)(open - at), file);
            put_part(file, report, name, (size_t)(close - name));
            at = close + 2;
        }
        fputs(at, file);
    }
}

char *fineprune_report_html(const struct fineprune_report *report) {
    FP_PLAIN_NUMBERS;
    char *text = NULL;
    size_t size;
    if (report->arena.failed) return NULL;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    put_page(file, report);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}
