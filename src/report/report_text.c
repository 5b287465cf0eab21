// SPDX-License-Identifier: Apache-2.0
// The report for people at a terminal: the few lines after a run, the listing of a model, the table of weights.
#include "report/report_values.h"
#include "base/numbers.h"

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

// ---- aligned rows

#define COLUMNS 10

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

// What the layers have beside their sizes, each a column or two.
struct extras {
    bool errors, whole, pattern, macs;
};

static void weight_row(struct grid *grid, const struct fp_report_layer *layer, const struct extras *shown) {
    fp_words words;
    size_t at = 6;
    char *shape = fp_say_shape(&layer->shape), *name = fp_say_layer(layer);
    grid_row(grid);
    grid_cell(grid, 0, name);
    grid_cell(grid, 1, layer->op);
    grid_cell(grid, 2, shape);
    grid_cell(grid, 3, fp_say_number(words, "%.0f", (double)layer->params));
    grid_cell(grid, 4, fp_say_number(words, "%.0f", (double)layer->zeros));
    grid_cell(grid, 5, fp_say_share(words, layer->sparsity));
    if (shown->errors) grid_cell(grid, at++, fp_say_number(words, "%.4f", layer->error_before_repair));
    if (shown->errors) grid_cell(grid, at++, fp_say_number(words, "%.4f", layer->error_after_repair));
    if (shown->whole) grid_cell(grid, at++, fp_say_number(words, "%.0f", (double)layer->zero_rows));
    if (shown->whole) grid_cell(grid, at++, fp_say_number(words, "%.0f", (double)layer->zero_columns));
    if (shown->pattern) grid_cell(grid, at++, fp_or_empty(layer->pattern));
    if (shown->macs) grid_cell(grid, at++, fp_say_number(words, "%.0f", (double)layer->macs));
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

static void weights_heading(struct grid *grid, const struct extras *shown) {
    static const char *const names[] = {"weight", "operator", "shape", "elements", "zeros", "sparsity", NULL};
    const struct {
        bool shown;
        const char *name;
    } more[] = {{shown->errors, "error"},       {shown->errors, "repaired"}, {shown->whole, "zero rows"},
                {shown->whole, "zero columns"}, {shown->pattern, "pattern"}, {shown->macs, "multiply-adds"}};
    grid_heading(grid, names);
    for (size_t i = 0; i < FP_COUNT(more); i++)
        if (more[i].shown && !grid->failed) grid_cell(grid, grid->columns++, more[i].name);
}

static void print_weights(FILE *file, const struct fineprune_report *report) {
    struct extras shown = {0};
    double params = 0, zeros = 0;
    for (size_t i = 0; i < report->layers.n; i++) {
        const struct fp_report_layer *layer = &report->layers.items[i];
        shown.errors |= isfinite(layer->error_after_repair);
        shown.whole |= layer->whole_zeros > 0;
        shown.pattern |= layer->pattern != NULL;
        shown.macs |= layer->macs > 0;
        params += (double)layer->params;
        zeros += (double)layer->zeros;
    }
    if (shown.errors) shown = (struct extras){.errors = true};
    struct grid grid = {.right = 0x3f8};
    weights_heading(&grid, &shown);
    for (size_t i = 0; i < report->layers.n && !grid.failed; i++) weight_row(&grid, &report->layers.items[i], &shown);
    if (!grid.failed) total_row(&grid, params, zeros);
    if (!grid.failed) grid_print(file, &grid, "");
    grid_done(&grid);
}

// ---- the lines

static void print_model(FILE *file, const struct fineprune_report *report, const char *label,
                        const struct fp_report_model *model) {
    fp_words params, bytes;
    const size_t weights = report->layers.n;
    fprintf(file, "%-9s", label);
    put(file, model && !strcmp(fp_or_empty(model->path), "-") ? "standard input" : model ? model->path : "?");
    if (model)
        fprintf(file, ", opset %lld, %s, %s parameters", (long long)model->opset,
                fp_say_bytes(bytes, (double)model->file_size), fp_say_count(params, (double)model->parameters));
    if (weights) fprintf(file, ", %zu weight%s to prune", weights, fp_plural(weights));
    fputc('\n', file);
}

static void print_line(FILE *file, const char *label, const char *text) {
    fprintf(file, "%-9s", label);
    put(file, text);
    fputc('\n', file);
}

static void print_left_out(FILE *file, const struct fp_report_data *data) {
    const struct fp_texts *passed = &data->passed_over;
    if (data->unusable_files) {
        fprintf(file, "         %zu file%s left out, which cannot be used: ", data->unusable_files,
                fp_plural(data->unusable_files));
        put(file, data->unusable.items[0]);
        if (data->unusable_files > 1) fprintf(file, " and %zu more", data->unusable_files - 1);
        fputc('\n', file);
    }
    for (size_t i = 0; i < passed->n; i++) {
        fputs(i ? ", " : "         passed over as no data: ", file);
        put(file, passed->items[i]);
    }
    if (passed->n) fputc('\n', file);
}

static void print_data(FILE *file, const struct fineprune_report *report) {
    const size_t reserve = fp_reserve_of(report), samples = fp_samples_of(report),
                 n = report->data ? report->data->sources.n : 0;
    fprintf(file, "data     %zu sample%s", samples, fp_plural(samples));
    if (report->data && report->data->recordings)
        fprintf(file, ", windows of %zu recording%s", report->data->recordings, fp_plural(report->data->recordings));
    if (reserve) fprintf(file, ", %zu of them kept to measure with", reserve);
    for (size_t i = 0; i < n && i < 4; i++) {
        fputs(i ? ", " : " (", file);
        put(file, report->data->sources.items[i]);
    }
    if (n > 4) fprintf(file, " and %zu more", n - 4);
    fputs(n ? ")\n" : ", in the statistics\n", file);
    if (report->data && report->data->preparation) print_line(file, "prepared", report->data->preparation);
    if (report->data) print_left_out(file, report->data);
}

static void print_choices(FILE *file, const struct fp_report_config *config) {
    if (!config || !config->method) return;
    const char *const names[] = {config->score, config->allocation, config->pattern, config->repair};
    const char *const passes[] = {config->swaps, config->refit}, *const words[] = {"swaps", "refit"};
    fputs(" by ", file);
    put(file, config->method);
    const char *before = ": ";
    for (size_t i = 0; i < FP_COUNT(names); i++) {
        if (!names[i]) continue;
        fputs(before, file);
        put(file, names[i]);
        before = ", ";
    }
    for (size_t i = 0; i < FP_COUNT(passes); i++) {
        if (!passes[i] || !strcmp(passes[i], "none")) continue;
        fputs(", ", file);
        put(file, passes[i]);
        fprintf(file, " %s", words[i]);
    }
    const size_t rounds = (size_t)config->rounds;
    if (rounds) fprintf(file, ", %zu round%s", rounds, fp_plural(rounds));
}

static void print_pruned(FILE *file, const struct fineprune_report *report) {
    static const struct fp_report_outputs all = {0};
    const struct fp_report_outputs *outputs = report->outputs ? report->outputs : &all;
    const struct fp_report_pruned *pruned = report->pruned;
    fp_words share, zeros, params;
    if (!pruned) return;
    fprintf(file, "pruned   %s zeros: %s of %s", fp_say_share(share, pruned->sparsity),
            fp_say_count(zeros, (double)pruned->zeros), fp_say_count(params, (double)pruned->params));
    print_choices(file, report->config);
    const size_t gone = outputs->pruned, kept = outputs->kept.n;
    const double whole = (double)outputs->zeros + (report->channels ? (double)report->channels->zeros : 0);
    if (whole > 0)
        fprintf(file, "; %s of them in whole channels%s", fp_say_share(share, whole / (double)pruned->zeros),
                gone ? " and outputs" : "");
    if (gone) fprintf(file, "; %zu of %zu outputs kept", kept, kept + gone);
    fputc('\n', file);
}

static void print_drift_values(FILE *file, const struct fp_report_drift *drift) {
    const struct {
        double value;
        const char *format;
    } parts[] = {{drift->cosine, "cosine %.4f"},
                 {drift->sqnr_db, "SQNR %.1f dB"},
                 {drift->max_abs, "largest difference %.3g"},
                 {drift->top1_agreement * 100, "same answer %.1f%%"}};
    fp_words words;
    const char *before = "";
    for (size_t i = 0; i < FP_COUNT(parts); i++) {
        if (!isfinite(parts[i].value)) continue;
        fprintf(file, "%s%s", before, fp_say_number(words, parts[i].format, parts[i].value));
        before = ", ";
    }
    fputs(*before ? "\n" : "none\n", file);
}

static void print_drift(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_drift *worst = fp_worst_drift(report);
    fputs("drift    ", file);
    if (report->drift.n > 1) {
        fputs("most in ", file);
        put(file, worst->output);
        fputs(": ", file);
    }
    if (worst) print_drift_values(file, worst);
    else fputs("not measured: no samples were kept for that\n", file);
}

static void print_size(FILE *file, const struct fineprune_report *report) {
    const struct fp_report_size *size = report->size;
    fp_words a, b, c, d;
    if (!size) return;
    const char *truth = fp_speed_truth(report);
    fprintf(file, "size     raw %s -> %s, compressed %s%s -> %s%s%s\n", fp_say_bytes(a, fp_raw_bytes(size->before)),
            fp_say_bytes(b, fp_raw_bytes(size->after)), fp_say_about(size),
            fp_say_bytes(c, fp_deflated_bytes(size->before)), fp_say_bytes(d, fp_deflated_bytes(size->after)),
            truth ? "; " : "", fp_or_empty(truth));
}

static void print_wrote(FILE *file, const struct fineprune_report *report) {
    const char *path = report->wrote ? report->wrote : "nothing";
    const double seconds = report->timing ? report->timing->seconds : NAN;
    fp_words words, bytes;
    fputs("wrote    ", file);
    put(file, strcmp(path, "-") ? path : "standard output");
    if (isfinite(seconds)) fprintf(file, " (%s", fp_say_seconds(words, seconds));
    if (isfinite(seconds) && isfinite(report->peak_rss_bytes))
        fprintf(file, ", %s of memory", fp_say_bytes(bytes, report->peak_rss_bytes));
    fputs(isfinite(seconds) ? ")\n" : "\n", file);
}

static void print_task(FILE *file, const struct fineprune_report *report) {
    if (report->task && report->task->said) print_line(file, "task", report->task->said);
}

// What was decided of the outputs, the read-out and the form of the file, also where nothing was done.
static void print_decision(FILE *file, const char *label, char *words) {
    if (words) print_line(file, label, words);
    free(words);
}

static void print_gates(FILE *file, const struct fineprune_report *report) {
    for (size_t i = 0; i < report->gates.n; i++) {
        const struct fp_report_gate *gate = &report->gates.items[i];
        fp_words asked, measured;
        fputs("gate     ", file);
        put(file, gate->name);
        fprintf(file, " %s asked, %s measured: %s\n", fp_say_share(asked, gate->asked),
                isfinite(gate->measured) ? fp_say_share(measured, gate->measured) : "nothing",
                gate->met ? "met" : "missed");
    }
}

static void print_texts(FILE *file, const struct fp_texts *texts, const char *label) {
    for (size_t i = 0; i < texts->n; i++) print_line(file, label, texts->items[i]);
}

// The first lines, or those behind the verdict: with samples that are prepared wrongly all others are worth nothing.
static void print_warnings(FILE *file, const struct fineprune_report *report) {
    for (size_t i = 0; i < report->warnings.n; i++) {
        const struct fp_report_warning *one = &report->warnings.items[i];
        fputs("warning  ", file);
        put(file, one->text);
        fputs(" (", file);
        put(file, one->evidence);
        fputs(")\n", file);
    }
}

static void print_verdict(FILE *file, const struct fineprune_report *report) {
    if (report->verdict) print_line(file, "verdict", report->verdict->text);
}

static void print_pruning(FILE *file, const struct fineprune_report *report) {
    print_verdict(file, report);
    print_warnings(file, report);
    print_model(file, report, "model", report->model);
    print_data(file, report);
    print_task(file, report);
    print_pruned(file, report);
    print_decision(file, "outputs", fp_say_outputs(report));
    print_decision(file, "learned", fp_say_lesson(report));
    print_drift(file, report);
    print_size(file, report);
    if (report->compact) print_decision(file, "macs", fp_say_macs(report));
    print_decision(file, "compact", fp_say_compact(report));
    print_decision(file, "runtime", fp_say_runtime(report));
    print_decision(file, "sparse", fp_say_sparse(report));
    print_gates(file, report);
    print_texts(file, &report->notes, "note");
    print_wrote(file, report);
}

static void print_compact(FILE *file, const struct fineprune_report *report) {
    print_model(file, report, "model", report->model);
    print_decision(file, "macs", fp_say_macs(report));
    print_decision(file, "compact", fp_say_compact(report));
    print_size(file, report);
    print_decision(file, "sparse", fp_say_sparse(report));
    print_wrote(file, report);
}

// ---- run, compare

static void print_run(FILE *file, const struct fineprune_report *report) {
    fp_words words;
    print_warnings(file, report);
    print_model(file, report, "model", report->model);
    print_data(file, report);
    const double rate = report->timing ? report->timing->samples_per_second : NAN;
    if (isfinite(rate)) fprintf(file, "speed    %s samples/s\n", fp_say_number(words, "%.1f", rate));
    print_texts(file, &report->notes, "note");
    print_wrote(file, report);
}

static void print_show(FILE *file, const struct fineprune_report *report) {
    print_model(file, report, "model", report->model);
    print_data(file, report);
    print_texts(file, &report->notes, "note");
    print_wrote(file, report);
}

static void print_accuracy(FILE *file, const struct fp_report_accuracy *accuracy) {
    fp_words a, b;
    if (!accuracy) return;
    fprintf(file, "accuracy A %s, B %s of %zu sample%s", fp_say_share(a, accuracy->a), fp_say_share(b, accuracy->b),
            accuracy->samples, fp_plural(accuracy->samples));
    if (isfinite(accuracy->a_top5))
        fprintf(file, "; among the five best A %s, B %s", fp_say_share(a, accuracy->a_top5),
                fp_say_share(b, accuracy->b_top5));
    fputc('\n', file);
}

static void print_layer_errors(FILE *file, const struct fp_report_layer_errors *errors) {
    static const char *const names[] = {"output", "operator", "weight", "error", "", NULL};
    struct grid grid = {.right = 1 << 3};
    if (!errors || !errors->layers.n) return;
    grid_heading(&grid, names);
    for (size_t i = 0; i < errors->layers.n && !grid.failed; i++) {
        const struct fp_report_layer_error *layer = &errors->layers.items[i];
        fp_words words;
        grid_row(&grid);
        grid_cell(&grid, 0, layer->output);
        grid_cell(&grid, 1, layer->op);
        grid_cell(&grid, 2, fp_or_empty(layer->weight));
        grid_cell(&grid, 3, isfinite(layer->error) ? fp_say_number(words, "%.3g", layer->error) : "no number");
        grid_cell(&grid, 4, layer->stands_out ? "stands out" : "");
    }
    fprintf(file, "\nlayers: %zu outputs in the order of the graph, errors are %s\n", errors->layers.n,
            errors->measure);
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
    if (errors->other_shape) fprintf(file, "  not compared, as B's have another shape: %zu\n", errors->other_shape);
    if (errors->without_partner) fprintf(file, "  not compared, as B has none such: %zu\n", errors->without_partner);
}

static void print_compare(FILE *file, const struct fineprune_report *report) {
    print_warnings(file, report);
    print_model(file, report, "A", report->model);
    print_model(file, report, "B", report->second_model);
    print_data(file, report);
    print_task(file, report);
    for (size_t i = 0; i < report->drift.n; i++) {
        fputs("drift    ", file);
        put(file, report->drift.items[i].output);
        fputs(": ", file);
        print_drift_values(file, &report->drift.items[i]);
    }
    print_accuracy(file, report->accuracy);
    if (report->layer_errors) print_line(file, "layers", report->layer_errors->said);
    print_texts(file, &report->notes, "note");
    print_layer_errors(file, report->layer_errors);
}

// ---- inspect, check

static void print_values(FILE *file, const struct fp_report_values *values, const char *title) {
    struct grid grid = {.columns = 3};
    if (!values->n) return;
    for (size_t i = 0; i < values->n && !grid.failed; i++) {
        const struct fp_report_value *value = &values->items[i];
        char *shape = fp_say_shape(&value->shape);
        grid_row(&grid);
        grid_cell(&grid, 0, value->name);
        grid_cell(&grid, 1, value->type);
        grid_cell(&grid, 2, shape);
        free(shape);
    }
    fprintf(file, "\n%s\n", title);
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_operators(FILE *file, const struct fp_report_operators *operators) {
    size_t nodes = 0;
    struct grid grid = {.columns = 3, .right = 2};
    if (!operators->n) return;
    for (size_t i = 0; i < operators->n && !grid.failed; i++) {
        const struct fp_report_operator *one = &operators->items[i];
        fp_words count;
        char *name = fp_format("%s%s%s", fp_or_empty(one->domain), *fp_or_empty(one->domain) ? "." : "",
                               fp_named(one->type));
        grid_row(&grid);
        grid_cell(&grid, 0, name);
        grid_cell(&grid, 1, fp_say_number(count, "%.0f", (double)one->count));
        if (!one->supported) grid_cell(&grid, 2, "not supported");
        nodes += one->count;
        free(name);
    }
    fprintf(file, "\noperators: %zu in %zu node%s\n", operators->n, nodes, fp_plural(nodes));
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_skipped(FILE *file, const struct fp_report_skipped_list *skipped) {
    struct grid grid = {.columns = 3, .right = 2};
    if (!skipped->n) return;
    for (size_t i = 0; i < skipped->n && !grid.failed; i++) {
        const struct fp_report_skipped *one = &skipped->items[i];
        fp_words count;
        char *name = fp_say_weight(one->name, one->part, NULL);
        grid_row(&grid);
        grid_cell(&grid, 0, name);
        free(name);
        grid_cell(&grid, 1, fp_say_number(count, "%.0f", (double)one->params));
        grid_cell(&grid, 2, one->reason);
    }
    fprintf(file, "\nleft dense: %zu tensor%s\n", skipped->n, fp_plural(skipped->n));
    if (!grid.failed) grid_print(file, &grid, "  ");
    grid_done(&grid);
}

static void print_whole(FILE *file, const struct fineprune_report *report) {
    double whole = 0, zeros = 0;
    for (size_t i = 0; i < report->layers.n; i++) {
        whole += (double)report->layers.items[i].whole_zeros;
        zeros += (double)report->layers.items[i].zeros;
    }
    fp_words share, count;
    if (whole > 0)
        fprintf(file, "zeros    %s, %s of them in whole rows and columns\n", fp_say_count(count, zeros),
                fp_say_share(share, whole / zeros));
}

static void print_format(FILE *file, const struct fp_report_model *model) {
    if (!model) return;
    fprintf(file, "format   ONNX IR %lld", (long long)model->ir);
    if (*fp_or_empty(model->producer)) {
        fputs(", made by ", file);
        put(file, model->producer);
    }
    fputc('\n', file);
}

static void print_inspect(FILE *file, const struct fineprune_report *report) {
    print_model(file, report, "model", report->model);
    print_format(file, report->model);
    print_whole(file, report);
    print_decision(file, "macs", fp_say_macs(report));
    print_decision(file, "compact", fp_say_compact(report));
    print_texts(file, &report->notes, "note");
    print_values(file, &report->inputs, "inputs");
    print_values(file, &report->outputs_of_model, "outputs");
    print_operators(file, &report->operators);
    print_skipped(file, &report->skipped);
    if (report->layers.n) fputs("\n", file); // the table follows
}

static void print_check(FILE *file, const struct fineprune_report *report) {
    print_warnings(file, report);
    print_model(file, report, "model", report->model);
    if (report->data) print_data(file, report);
    print_texts(file, &report->obstacles, "obstacle");
    print_texts(file, &report->notes, "note");
    if (!report->obstacles.n) fputs("fine     the model can be run and pruned\n", file);
}

// ---- whole texts

static char *collect(const struct fineprune_report *report, void (*print)(FILE *, const struct fineprune_report *)) {
    char *text = NULL;
    size_t size;
    if (report->arena.failed) return NULL;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    print(file, report);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}

char *fineprune_report_table(const struct fineprune_report *report) {
    FP_PLAIN_NUMBERS;
    return collect(report, print_weights);
}

char *fineprune_report_summary(const struct fineprune_report *report) {
    FP_PLAIN_NUMBERS;
    static const struct {
        const char *command;
        void (*print)(FILE *, const struct fineprune_report *);
    } printers[] = {{"run", print_run},         {"show", print_show},       {"compact", print_compact},
                    {"compare", print_compare}, {"inspect", print_inspect}, {"check", print_check}};
    for (size_t i = 0; i < FP_COUNT(printers); i++)
        if (!strcmp(report->command, printers[i].command)) return collect(report, printers[i].print);
    return collect(report, print_pruning);
}
