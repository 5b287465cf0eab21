// SPDX-License-Identifier: Apache-2.0
// The report for people at a terminal: the few lines after a run, the listing of a model, the table of weights.
#include "report/report_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- text

// Text that may come from a file, with what could steer a terminal made visible.
static void put(FILE *file, const char *text) {
    for (const unsigned char *s = (const unsigned char *)fp_named(text); *s; s++) {
        bool c1 = *s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0;
        if (*s < 0x20 || *s == 0x7f) fprintf(file, "\\x%02x", *s);
        else if (c1) fprintf(file, "\\x%02x", *++s);
        else fputc(*s, file);
    }
}

static const json_t *section(const struct fineprune_report *report, const char *name) {
    return json_object_get(report->root, name);
}

static bool is_command(const struct fineprune_report *report, const char *name) {
    const char *command = fp_member_text(report->root, "command");
    return command && strcmp(command, name) == 0;
}

// ---- aligned rows

#define COLUMNS 9

struct grid {
    char *(*cells)[COLUMNS];
    size_t rows, capacity, columns;
    unsigned right; // a bit per column that is aligned to the right
    bool failed;
};

static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void grid_row(struct grid *grid) {
    void *grown = fp_grow(grid->cells, &grid->capacity, grid->rows + 1, sizeof(*grid->cells));
    if (!grown) {
        grid->failed = true;
        return;
    }
    grid->cells = grown;
    memset(grid->cells[grid->rows++], 0, sizeof(*grid->cells));
}

static void grid_cell(struct grid *grid, size_t column, const char *text) {
    size_t size;
    char *clean = NULL;
    FILE *file = NULL;
    if (!grid->failed) file = open_memstream(&clean, &size);
    if (!file) {
        grid->failed = true;
        return;
    }
    put(file, text);
    if (fclose(file)) grid->failed = true;
    free(grid->cells[grid->rows - 1][column]);
    grid->cells[grid->rows - 1][column] = clean;
}

static const char *cell_of(const struct grid *grid, size_t row, size_t column) {
    if (!grid->cells[row][column]) return "";
    return grid->cells[row][column];
}

static void grid_print(FILE *file, const struct grid *grid, const char *indent) {
    size_t widths[COLUMNS] = {0};
    for (size_t r = 0; r < grid->rows; r++)
        for (size_t c = 0; c < grid->columns; c++) widths[c] = fp_most(widths[c], width_of(cell_of(grid, r, c)));
    for (size_t r = 0; r < grid->rows; r++) {
        fputs(indent, file);
        size_t owed = 0; // blanks are written only before text, so that no line ends in them
        for (size_t c = 0; c < grid->columns; c++) {
            const char *text = cell_of(grid, r, c);
            size_t gap = widths[c] - width_of(text);
            bool right = grid->right >> c & 1;
            if (right) owed += gap;
            if (*text) {
                fprintf(file, "%*s%s", (int)owed, "", text);
                owed = 0;
            }
            owed += right ? 2 : gap + 2;
        }
        fputc('\n', file);
    }
}

static void grid_done(struct grid *grid) {
    for (size_t r = 0; r < grid->rows; r++)
        for (size_t c = 0; c < COLUMNS; c++) free(grid->cells[r][c]);
    free(grid->cells);
}

static void grid_heading(struct grid *grid, const char *const *names) {
    grid_row(grid);
    for (; names[grid->columns]; grid->columns++) grid_cell(grid, grid->columns, names[grid->columns]);
}

// ---- the table of weights

static void weight_row(struct grid *grid, const json_t *layer, bool errors, bool whole, bool macs) {
    fp_words words;
    char *shape = fp_say_shape(json_object_get(layer, "shape")), *name = fp_say_weight(layer);
    grid_row(grid);
    grid_cell(grid, 0, name);
    grid_cell(grid, 1, fp_member_text(layer, "op"));
    grid_cell(grid, 2, shape);
    grid_cell(grid, 3, fp_say_number(words, "%.0f", fp_member_number(layer, "params")));
    grid_cell(grid, 4, fp_say_number(words, "%.0f", fp_member_number(layer, "zeros")));
    grid_cell(grid, 5, fp_say_share(words, fp_member_number(layer, "sparsity")));
    if (errors) grid_cell(grid, 6, fp_say_number(words, "%.4f", fp_member_number(layer, "error_before_repair")));
    if (errors) grid_cell(grid, 7, fp_say_number(words, "%.4f", fp_member_number(layer, "error_after_repair")));
    if (whole) grid_cell(grid, 6, fp_say_number(words, "%.0f", (double)fp_member_count(layer, "zero_rows")));
    if (whole) grid_cell(grid, 7, fp_say_number(words, "%.0f", (double)fp_member_count(layer, "zero_columns")));
    if (macs) grid_cell(grid, grid->columns - 1, fp_say_number(words, "%.0f", (double)fp_member_count(layer, "macs")));
    free(shape);
    free(name);
}

static void total_row(struct grid *grid, double params, double zeros) {
    fp_words words;
    grid_row(grid);
    grid_cell(grid, 0, "total");
    grid_cell(grid, 3, fp_say_number(words, "%.0f", params));
    grid_cell(grid, 4, fp_say_number(words, "%.0f", zeros));
    grid_cell(grid, 5, fp_say_share(words, params > 0 ? zeros / params : 0));
}

static void print_weights(FILE *file, const struct fineprune_report *report) {
    static const char *const names[] = {"weight", "operator", "shape", "elements", "zeros", "sparsity", NULL};
    static const char *const with_errors[] = {"weight",   "operator", "shape",    "elements", "zeros",
                                              "sparsity", "error",    "repaired", NULL};
    static const char *const with_whole[] = {"weight",   "operator",  "shape",        "elements", "zeros",
                                             "sparsity", "zero rows", "zero columns", NULL};
    const json_t *layers = section(report, "layers");
    bool errors = false, whole = false, macs = false;
    double params = 0, zeros = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        errors |= isfinite(fp_member_number(layer, "error_after_repair"));
        whole |= fp_member_count(layer, "whole_zeros") > 0;
        macs |= fp_member_count(layer, "macs") > 0;
        params += (double)fp_member_count(layer, "params");
        zeros += (double)fp_member_count(layer, "zeros");
    }
    struct grid grid = {.right = 0x1f8};
    if (errors) grid_heading(&grid, with_errors);
    else if (whole) grid_heading(&grid, with_whole);
    else grid_heading(&grid, names);
    macs &= !errors;
    if (macs && !grid.failed) grid_cell(&grid, grid.columns++, "multiply-adds");
    for (size_t i = 0; i < json_array_size(layers) && !grid.failed; i++)
        weight_row(&grid, json_array_get(layers, i), errors, whole && !errors, macs);
    if (!grid.failed) total_row(&grid, params, zeros);
    if (!grid.failed) grid_print(file, &grid, "");
    grid_done(&grid);
}

// ---- the lines

static void print_opset(FILE *file, const json_t *opset) {
    const char *domain;
    json_t *version;
    if (json_is_number(opset)) fprintf(file, ", opset %.0f", json_number_value(opset));
    if (json_is_string(opset)) fprintf(file, ", opset %s", json_string_value(opset));
    json_object_foreach((json_t *)(uintptr_t)opset, domain, version) {
        fprintf(file, ", opset ");
        if (*domain) put(file, domain);
        fprintf(file, "%s%.0f", *domain ? " " : "", json_number_value(version));
    }
}

static void print_model(FILE *file, const struct fineprune_report *report, const char *label, const char *name) {
    const json_t *model = section(report, name);
    fp_words params, bytes;
    fprintf(file, "%-9s", label);
    put(file, fp_member_text(model, "path"));
    print_opset(file, json_object_get(model, "opset"));
    double parameters = fp_member_number(model, "parameters"), size = fp_member_number(model, "file_size");
    if (isfinite(size)) fprintf(file, ", %s", fp_say_bytes(bytes, size));
    if (isfinite(parameters)) fprintf(file, ", %s parameters", fp_say_count(params, parameters));
    size_t weights = fp_member_count(report->root, "layers");
    if (weights) fprintf(file, ", %zu weight%s to prune", weights, fp_plural(weights));
    fputc('\n', file);
}

static void print_data(FILE *file, const struct fineprune_report *report) {
    const json_t *data = section(report, "data"), *sources = json_object_get(data, "sources");
    size_t reserve = fp_member_count(data, "reserve"), samples = fp_member_count(data, "samples"),
           n = json_array_size(sources);
    fprintf(file, "data     %zu sample%s", samples, fp_plural(samples));
    if (reserve) fprintf(file, ", %zu of them kept to measure with", reserve);
    for (size_t i = 0; i < n && i < 4; i++) {
        fputs(i ? ", " : " (", file);
        put(file, json_string_value(json_array_get(sources, i)));
    }
    if (n > 4) fprintf(file, " and %zu more", n - 4);
    fputs(n ? ")\n" : "\n", file);
}

static void print_choices(FILE *file, const json_t *config) {
    static const char *const names[] = {"score", "allocation", "pattern", "repair"};
    const char *method = fp_member_text(config, "method");
    if (!method) return;
    fputs(" by ", file);
    put(file, method);
    bool first = true;
    for (size_t i = 0; i < FP_COUNT(names); i++) {
        const char *value = fp_member_text(config, names[i]);
        if (!value) continue;
        fputs(first ? ": " : ", ", file);
        put(file, value);
        first = false;
    }
    static const char *const passes[] = {"swaps", "refit"};
    for (size_t i = 0; i < FP_COUNT(passes); i++) {
        const char *value = fp_member_text(config, passes[i]);
        if (!value || !strcmp(value, "none")) continue;
        fputs(", ", file);
        put(file, value);
        fprintf(file, " %s", passes[i]);
    }
    size_t rounds = fp_member_count(config, "rounds");
    if (rounds) fprintf(file, ", %zu round%s", rounds, fp_plural(rounds));
}

static void print_pruned(FILE *file, const struct fineprune_report *report) {
    const json_t *pruned = section(report, "pruned"), *outputs = section(report, "outputs");
    fp_words share, zeros, params;
    fprintf(file, "pruned   %s zeros: %s of %s", fp_say_share(share, fp_member_number(pruned, "sparsity")),
            fp_say_count(zeros, fp_member_number(pruned, "zeros")),
            fp_say_count(params, fp_member_number(pruned, "params")));
    print_choices(file, section(report, "config"));
    size_t gone = fp_member_count(outputs, "pruned"), kept = fp_member_count(outputs, "kept");
    const double whole = (double)(fp_member_count(section(report, "channels"), "zeros") +
                                  fp_member_count(outputs, "zeros"));
    if (whole > 0)
        fprintf(file, "; %s of them in whole channels%s",
                fp_say_share(share, whole / fp_member_number(pruned, "zeros")), gone ? " and outputs" : "");
    if (gone) fprintf(file, "; %zu of %zu outputs kept", kept, kept + gone);
    fputc('\n', file);
}

static void print_drift_values(FILE *file, const json_t *drift) {
    fp_words words;
    const char *before = "";
    static const struct {
        const char *name, *format;
        double scale;
    } parts[] = {{"cosine", "cosine %.4f", 1},
                 {"sqnr_db", "SQNR %.1f dB", 1},
                 {"max_abs", "largest difference %.3g", 1},
                 {"top1_agreement", "same answer %.1f%%", 100}};
    for (size_t i = 0; i < FP_COUNT(parts); i++) {
        double value = fp_member_number(drift, parts[i].name);
        if (!isfinite(value)) continue;
        fprintf(file, "%s%s", before, fp_say_number(words, parts[i].format, value * parts[i].scale));
        before = ", ";
    }
    fputs(*before ? "\n" : "none\n", file);
}

static void print_drift(FILE *file, const struct fineprune_report *report) {
    const json_t *worst = fp_worst_drift(report);
    size_t n = json_array_size(section(report, "drift"));
    fputs("drift    ", file);
    if (n > 1) {
        fputs("most in ", file);
        put(file, fp_member_text(worst, "output"));
        fputs(": ", file);
    }
    if (worst) print_drift_values(file, worst);
    else fputs("not measured: no samples were kept for that\n", file);
}

static void print_size(FILE *file, const struct fineprune_report *report) {
    const json_t *before = json_object_get(section(report, "size"), "before"),
                 *after = json_object_get(section(report, "size"), "after");
    fp_words a, b, c, d;
    fprintf(file, "size     raw %s -> %s, compressed %s%s -> %s; %s\n",
            fp_say_bytes(a, fp_member_number(before, "raw")), fp_say_bytes(b, fp_member_number(after, "raw")),
            fp_say_about(after), fp_say_bytes(c, fp_member_number(before, "deflated")),
            fp_say_bytes(d, fp_member_number(after, "deflated")), fp_speed_truth(report));
}

static void print_wrote(FILE *file, const struct fineprune_report *report) {
    const char *path = fp_member_text(report->root, "wrote");
    double seconds = fp_member_number(section(report, "timing"), "seconds"),
           memory = fp_member_number(report->root, "peak_rss_"
                                                   "bytes");
    fp_words words, bytes;
    fputs("wrote    ", file);
    if (!path) path = "nothing";
    put(file, strcmp(path, "-") ? path : "standard output");
    if (isfinite(seconds)) fprintf(file, " (%s", fp_say_seconds(words, seconds));
    if (isfinite(seconds) && isfinite(memory)) fprintf(file, ", %s of memory", fp_say_bytes(bytes, memory));
    fputs(isfinite(seconds) ? ")\n" : "\n", file);
}

static void print_task(FILE *file, const struct fineprune_report *report) {
    const char *said = fp_member_text(section(report, "task"), "said");
    if (!said) return;
    fputs("task     ", file);
    put(file, said);
    fputc('\n', file);
}

// What was decided of the outputs, the read-out and the form of the file, also where nothing was done.
static void print_decision(FILE *file, const char *label, char *words) {
    if (words) {
        fprintf(file, "%-9s", label);
        put(file, words);
        fputc('\n', file);
    }
    free(words);
}

static void print_gates(FILE *file, const struct fineprune_report *report) {
    const json_t *gates = section(report, "gates");
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const json_t *gate = json_array_get(gates, i);
        fp_words asked, measured;
        fputs("gate     ", file);
        put(file, fp_member_text(gate, "name"));
        double value = fp_member_number(gate, "measured");
        fprintf(file, " %s asked, %s measured: %s\n", fp_say_share(asked, fp_member_number(gate, "asked")),
                isfinite(value) ? fp_say_share(measured, value) : "nothing",
                json_is_true(json_object_get(gate, "met")) ? "met" : "missed");
    }
}

static void print_texts(FILE *file, const json_t *texts, const char *label) {
    for (size_t i = 0; i < json_array_size(texts); i++) {
        fprintf(file, "%-9s", label);
        put(file, json_string_value(json_array_get(texts, i)));
        fputc('\n', file);
    }
}

static void print_verdict(FILE *file, const struct fineprune_report *report) {
    const char *text = fp_member_text(section(report, "verdict"), "text");
    if (!text) return;
    fputs("verdict  ", file);
    put(file, text);
    fputc('\n', file);
}

static void print_pruning(FILE *file, const struct fineprune_report *report) {
    print_verdict(file, report);
    print_model(file, report, "model", "model");
    print_data(file, report);
    print_task(file, report);
    print_pruned(file, report);
    print_decision(file, "outputs", fp_say_outputs(report));
    print_decision(file, "readout", fp_say_lesson(report));
    print_drift(file, report);
    print_size(file, report);
    if (section(report, "compact")) print_decision(file, "macs", fp_say_macs(report));
    print_decision(file, "compact", fp_say_compact(report));
    print_decision(file, "sparse", fp_say_sparse(report));
    print_gates(file, report);
    print_texts(file, section(report, "notes"), "note");
    print_wrote(file, report);
}

static void print_compact(FILE *file, const struct fineprune_report *report) {
    print_model(file, report, "model", "model");
    print_decision(file, "macs", fp_say_macs(report));
    print_decision(file, "compact", fp_say_compact(report));
    print_size(file, report);
    print_decision(file, "sparse", fp_say_sparse(report));
    print_wrote(file, report);
}

// ---- run, compare

static void print_run(FILE *file, const struct fineprune_report *report) {
    fp_words words;
    print_model(file, report, "model", "model");
    print_data(file, report);
    double rate = fp_member_number(section(report, "timing"), "samples_per_second");
    if (isfinite(rate)) fprintf(file, "speed    %s samples/s\n", fp_say_number(words, "%.1f", rate));
    print_texts(file, section(report, "notes"), "note");
    print_wrote(file, report);
}

static void print_compare(FILE *file, const struct fineprune_report *report) {
    const json_t *drift = section(report, "drift"), *accuracy = section(report, "accuracy");
    fp_words a, b;
    print_model(file, report, "A", "model");
    print_model(file, report, "B", "second_model");
    print_data(file, report);
    print_task(file, report);
    for (size_t i = 0; i < json_array_size(drift); i++) {
        const json_t *one = json_array_get(drift, i);
        fputs("drift    ", file);
        put(file, fp_member_text(one, "output"));
        fputs(": ", file);
        print_drift_values(file, one);
    }
    if (accuracy)
        fprintf(file, "accuracy A %s, B %s of %zu samples\n", fp_say_share(a, fp_member_number(accuracy, "a")),
                fp_say_share(b, fp_member_number(accuracy, "b")), fp_member_count(accuracy, "samples"));
    print_texts(file, section(report, "notes"), "note");
}

// ---- inspect, check

static void print_values(FILE *file, const struct fineprune_report *report, const char *name, const char *title) {
    const json_t *values = section(report, name);
    struct grid grid = {.columns = 3};
    if (!json_array_size(values)) return;
    for (size_t i = 0; i < json_array_size(values) && !grid.failed; i++) {
        const json_t *value = json_array_get(values, i);
        char *shape = fp_say_shape(json_object_get(value, "shape"));
        grid_row(&grid);
        grid_cell(&grid, 0, fp_member_text(value, "name"));
        grid_cell(&grid, 1, fp_member_text(value, "type"));
        grid_cell(&grid, 2, shape);
        free(shape);
    }
    fprintf(file, "\n%s\n", title);
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_operators(FILE *file, const struct fineprune_report *report) {
    const json_t *operators = section(report, "operators");
    size_t nodes = 0;
    struct grid grid = {.columns = 3, .right = 2};
    if (!json_array_size(operators)) return;
    for (size_t i = 0; i < json_array_size(operators) && !grid.failed; i++) {
        const json_t *one = json_array_get(operators, i), *supported = json_object_get(one, "supported");
        const char *type = fp_member_text(one, "type"), *domain = fp_member_text(one, "domain");
        fp_words count;
        char *name = domain && *domain ? fp_format("%s.%s", domain, fp_named(type)) : NULL;
        grid_row(&grid);
        grid_cell(&grid, 0, name ? name : type);
        grid_cell(&grid, 1, fp_say_number(count, "%.0f", fp_member_number(one, "count")));
        if (json_is_false(supported)) grid_cell(&grid, 2, "not supported");
        nodes += fp_member_count(one, "count");
        free(name);
    }
    fprintf(file, "\noperators: %zu in %zu node%s\n", json_array_size(operators), nodes, fp_plural(nodes));
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_skipped(FILE *file, const struct fineprune_report *report) {
    const json_t *skipped = section(report, "skipped");
    struct grid grid = {.columns = 3, .right = 2};
    if (!json_array_size(skipped)) return;
    for (size_t i = 0; i < json_array_size(skipped) && !grid.failed; i++) {
        const json_t *one = json_array_get(skipped, i);
        fp_words count;
        char *name = fp_say_weight(one);
        grid_row(&grid);
        grid_cell(&grid, 0, name);
        free(name);
        grid_cell(&grid, 1, fp_say_number(count, "%.0f", fp_member_number(one, "params")));
        grid_cell(&grid, 2, fp_member_text(one, "reason"));
    }
    fprintf(file, "\nleft dense: %zu tensor%s\n", json_array_size(skipped), fp_plural(json_array_size(skipped)));
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_whole(FILE *file, const struct fineprune_report *report) {
    const json_t *layers = section(report, "layers");
    double whole = 0, zeros = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        whole += (double)fp_member_count(json_array_get(layers, i), "whole_zeros");
        zeros += (double)fp_member_count(json_array_get(layers, i), "zeros");
    }
    fp_words share, count;
    if (whole > 0)
        fprintf(file, "zeros    %s, %s of them in whole rows and columns\n", fp_say_count(count, zeros),
                fp_say_share(share, whole / zeros));
}

static void print_inspect(FILE *file, const struct fineprune_report *report) {
    const json_t *model = section(report, "model");
    print_model(file, report, "model", "model");
    const char *producer = fp_member_text(model, "producer");
    double ir = fp_member_number(model, "ir");
    if (isfinite(ir)) fprintf(file, "format   ONNX IR %.0f", ir);
    if (isfinite(ir) && producer && *producer) {
        fputs(", made by ", file);
        put(file, producer);
    }
    if (isfinite(ir)) fputc('\n', file);
    print_whole(file, report);
    print_decision(file, "macs", fp_say_macs(report));
    print_texts(file, section(report, "notes"), "note");
    print_values(file, report, "inputs", "inputs");
    print_values(file, report, "outputs_of_model", "outputs");
    print_operators(file, report);
    print_skipped(file, report);
    if (json_array_size(section(report, "layers"))) fputs("\n", file); // the table follows
}

static void print_check(FILE *file, const struct fineprune_report *report) {
    const json_t *obstacles = section(report, "obstacles");
    print_model(file, report, "model", "model");
    if (section(report, "data")) print_data(file, report);
    print_texts(file, obstacles, "obstacle");
    print_texts(file, section(report, "notes"), "note");
    if (!json_array_size(obstacles)) fputs("fine     the model can be run and pruned\n", file);
}

// ---- whole texts

static char *collect(const struct fineprune_report *report, void (*print)(FILE *, const struct fineprune_report *)) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    print(file, report);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}

char *fineprune_report_table(const struct fineprune_report *report) { return collect(report, print_weights); }

char *fineprune_report_summary(const struct fineprune_report *report) {
    static const struct {
        const char *command;
        void (*print)(FILE *, const struct fineprune_report *);
    } printers[] = {{"run", print_run},
                    {"compact", print_compact},
                    {"compare", print_compare},
                    {"inspect", print_inspect},
                    {"check", print_check}};
    for (size_t i = 0; i < FP_COUNT(printers); i++)
        if (is_command(report, printers[i].command)) return collect(report, printers[i].print);
    return collect(report, print_pruning);
}
