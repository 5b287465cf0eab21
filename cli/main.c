// SPDX-License-Identifier: Apache-2.0
// The program: from a command line to calls of the library and back to files, standard output and an exit code.
#include "isa.h"
#include "options.h"
#include "terminal.h"

#include <cblas.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What one command holds while it runs; everything is freed in one place.
struct job {
    const struct cli_options *options;
    struct terminal *terminal;
    fineprune_error *err;
    fineprune_run_options run;
    fineprune_model *model, *second;
    fineprune_data *data;
    fineprune_stats *stats;
    fineprune_report *report;
    fineprune_group *group; // of files that appear together, or NULL
    double load;            // seconds
};

static int fail_memory(fineprune_error *err) {
    return cli_fail(err, FINEPRUNE_LIMIT, NULL, "not enough memory for the report");
}

// ---- what is read

static bool writes_folder(const struct cli_options *o) { return strcmp(o->command->name, "show") == 0; }

static size_t output_paths(const struct cli_options *o, const char *paths[4]) {
    const char *all[] = {writes_folder(o) ? NULL : o->output, o->json, o->report, o->masks};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] && strcmp(all[i], "-")) paths[n++] = all[i];
    return n;
}

static bool beside_path(char dst[PATH_MAX], const char *output) {
    return snprintf(dst, PATH_MAX, "%s.data", output) < PATH_MAX;
}

static int fail_read(const char *path, const char *what, fineprune_error *err) {
    return cli_fail(err, FINEPRUNE_USAGE, "give the output another name; an input is never overwritten",
                    "output '%s' is a file that %s", strcmp(path, "-") ? path : "standard output", what);
}

// Standard error when it goes to a file, else NULL.
static const char *error_file(void) {
    static const char name[] = "/dev/stderr";
    struct stat st, at;
    const bool is_file = !fstat(STDERR_FILENO, &st) && S_ISREG(st.st_mode) && !stat(name, &at);
    if (is_file && st.st_dev == at.st_dev && st.st_ino == at.st_ino) return name;
    return NULL;
}

// Standard error goes to an input: what is to be said is said on standard output, when that is no file, or nowhere.
static void leave_error_file(void) {
    struct stat st;
    const bool says = !fstat(STDOUT_FILENO, &st) && !S_ISREG(st.st_mode);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)!dup2(says ? STDOUT_FILENO : nowhere, STDERR_FILENO);
    if (nowhere >= 0) close(nowhere);
}

// External data, and what lies in folders, lists and beside the model, are known once model and data are read. Every
// command may write to standard output, and a large model's weights to PATH.data.
static int check_against_inputs(const struct cli_options *o, const fineprune_model *model, const fineprune_data *data,
                                fineprune_error *err) {
    const char *paths[6] = {"-"}, *error = error_file();
    char beside[PATH_MAX];
    size_t n = output_paths(o, paths + 1) + 1;
    if (n > 1 && paths[1] == o->output && beside_path(beside, o->output)) paths[n++] = beside;
    const bool with_model = error && model && fineprune_model_reads(model, error);
    const bool with_data = error && data && fineprune_data_reads(data, error);
    if (with_model || with_data) {
        leave_error_file();
        return fail_read(error, with_model ? "is read with the model" : "the samples are read from", err);
    }
    for (size_t i = 0; i < n; i++) {
        if (model && fineprune_model_reads(model, paths[i])) return fail_read(paths[i], "is read with the model", err);
        if (data && fineprune_data_reads(data, paths[i])) return fail_read(paths[i], "the samples are read from", err);
    }
    return FINEPRUNE_OK;
}

static int open_model(struct job *job, fineprune_model **out, const char *path) {
    double started = terminal_clock();
    int status = fineprune_model_open(out, path, &job->run, job->err);
    job->load += terminal_clock() - started;
    if (!status) status = check_against_inputs(job->options, *out, NULL, job->err);
    if (status) return status;
    return terminal_stopped(job->terminal, job->err);
}

// check tells all of them as obstacles.
static const char *bad_file_word(const struct cli_options *o) {
    if (o->on_bad_file) return "skip";
    if (strcmp(o->command->name, "check") == 0) return "list";
    return "stop";
}

static int open_data(struct job *job) {
    const struct cli_options *o = job->options;
    fineprune_data_options options = FINEPRUNE_DATA_OPTIONS_INIT;
    options.limit = o->limit;
    options.preprocess = o->preprocess;
    options.resize = o->resize;
    options.crop = o->crop;
    options.mean = o->mean;
    options.std = o->std;
    options.layout = o->layout;
    options.rate = o->rate;
    options.resample = o->resample;
    options.window = o->window;
    options.hop = o->hop;
    if (o->bgr) options.color = "bgr";
    options.no_exif = !o->exif;
    options.threads = (int)o->threads;
    options.shapes = o->shape.items;
    options.n_shapes = o->shape.count;
    options.on_bad_file = bad_file_word(o);
    int status = fineprune_data_open(&job->data, job->model, &options, job->err);
    for (size_t i = 0; i < o->data.count && !status; i++) {
        status = fineprune_data_add(job->data, o->data.items[i], job->err);
        if (!status) status = terminal_stopped(job->terminal, job->err);
    }
    if (!status) status = check_against_inputs(o, NULL, job->data, job->err);
    return status;
}

static const char *task_word(const struct cli_options *o) {
    static const char *const words[] = {"auto", "classes", "labels", "other"};
    return words[o->task];
}

static fineprune_prune_options prune_options(const struct job *job) {
    const struct cli_options *o = job->options;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.sparsity = o->sparsity;
    options.method = o->method;
    options.score = o->score;
    options.allocation = o->allocation;
    options.pattern = o->pattern;
    options.repair = o->repair;
    options.channels = o->channels;
    options.swaps = o->swaps;
    options.refit = o->refit;
    options.outputs = o->outputs;
    options.readout = o->readout;
    options.rounds = (int)o->rounds;
    options.min_agreement = o->min_agreement;
    options.min_taught_agreement = o->min_taught_agreement;
    options.strict_sparsity = o->strict_sparsity;
    options.shrink_outputs = o->shrink_outputs;
    options.target = o->target;
    options.runtime_profile = o->runtime_profile;
    options.multiple = o->round;
    options.task = task_word(o);
    options.reserve = o->reserve;
    options.include = o->include.items;
    options.exclude = o->exclude.items;
    options.keep_first = o->keep_first;
    options.keep_last = o->keep_last;
    options.no_metadata = !o->metadata;
    options.run = job->run;
    return options;
}

// ---- what is written

// Refuses outputs that exist, are an input, or are named twice, before any work is done.
static int check_inputs(const struct cli_options *o, const char *path, fineprune_error *err) {
    const char *fixed[] = {o->labels, o->stats, o->preprocess, o->config};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < o->operands.count && !status; i++)
        status = fineprune_output_check(path, o->operands.items[i], true, err);
    for (size_t i = 0; i < o->data.count && !status; i++) {
        const char *source = o->data.items[i], *equals = strchr(source, '=');
        status = fineprune_output_check(path, source + (*source == '@'), true, err);
        if (!status && equals) status = fineprune_output_check(path, equals + 1, true, err);
    }
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && !status; i++)
        if (fixed[i]) status = fineprune_output_check(path, fixed[i], true, err);
    return status;
}

static int check_output(const struct cli_options *o, const char *path, fineprune_error *err) {
    int status = fineprune_output_check(path, NULL, true, err); // whether it can be written at all
    if (!status) status = check_inputs(o, path, err);
    if (status) return status;
    return fineprune_output_check(path, NULL, o->force, err);
}

// What a large model's weights would go to: no input, and no other output.
static int check_beside(const struct cli_options *o, const char *const *others, size_t n, fineprune_error *err) {
    char beside[PATH_MAX];
    if (!beside_path(beside, o->output) || fineprune_output_check(beside, NULL, true, NULL))
        return FINEPRUNE_OK; // told where it is written
    int status = check_inputs(o, beside, err);
    for (size_t i = 0; i < n && !status; i++)
        if (fineprune_output_check(others[i], beside, true, NULL))
            status = cli_fail(err, FINEPRUNE_USAGE, NULL, "output '%s' is where external data of '%s' go", others[i],
                              o->output);
    return status;
}

static int check_pair(const char *one, const char *other, fineprune_error *err) {
    if (strcmp(one, other) == 0) return cli_fail(err, FINEPRUNE_USAGE, NULL, "two outputs are called '%s'", one);
    fineprune_error why = {0};
    const int status = fineprune_output_check(one, other, true, &why);
    if (status && status != FINEPRUNE_USAGE) *err = why; // says nothing about the two
    if (status && status != FINEPRUNE_USAGE) return status;
    if (status) return cli_fail(err, FINEPRUNE_USAGE, NULL, "two outputs, '%s' and '%s', are one file", one, other);
    return FINEPRUNE_OK;
}

// The library knows all else that is read; what is made for a sample has one of these endings.
static int check_folder(const struct cli_options *o, fineprune_error *err) {
    char config[PATH_MAX], folder[PATH_MAX];
    int status = fineprune_folder_check(o->output, o->force, err);
    if (status || !o->config || !realpath(o->config, config) || !realpath(o->output, folder)) return status;
    char *slash = strrchr(config, '/');
    const char *ending = strrchr(slash, '.');
    if (!ending || (strcmp(ending, ".png") && strcmp(ending, ".wav") && strcmp(ending, ".txt"))) return FINEPRUNE_OK;
    *slash = '\0';
    if (strcmp(config, folder)) return FINEPRUNE_OK;
    return cli_fail(err, FINEPRUNE_USAGE, "give the folder another name; an input is never overwritten",
                    "'%s' lies in the output folder '%s'", o->config, o->output);
}

static int check_outputs(const struct cli_options *o, fineprune_error *err) {
    const char *paths[4];
    const size_t n = output_paths(o, paths);
    const char *error = error_file();
    int status = FINEPRUNE_OK;
    if (error) status = check_inputs(o, error, err);
    if (status) {
        leave_error_file();
        return status;
    }
    if (writes_folder(o)) status = check_folder(o, err);
    if (!status) status = check_output(o, "-", err);
    for (size_t i = 0; i < n && !status; i++) {
        status = check_output(o, paths[i], err);
        for (size_t k = 0; k < i && !status; k++) status = check_pair(paths[k], paths[i], err);
    }
    const bool beside = !status && n && paths[0] == o->output;
    if (beside) status = check_beside(o, paths + 1, n - 1, err);
    return status;
}

static int write_text(struct job *job, char *text, const char *path) {
    if (!text) return fail_memory(job->err);
    terminal_wipe(job->terminal);
    int status = fineprune_text_save(path, text, job->options->force, job->group, job->err);
    free(text);
    return status;
}

// The parts of the time that only the program sees.
static int report_times(struct job *job, double write) {
    int status = fineprune_report_number(job->report, "timing", "load", job->load);
    if (!status && write >= 0) status = fineprune_report_number(job->report, "timing", "write", write);
    double seconds = terminal_clock() - job->terminal->started, samples = 0;
    if (job->data) samples = (double)fineprune_data_samples(job->data);
    if (!status) status = fineprune_report_number(job->report, "timing", "seconds", seconds);
    if (!status && samples > 0)
        status = fineprune_report_number(job->report, "timing", "samples_per_second", samples / seconds);
    if (status) return fail_memory(job->err);
    return FINEPRUNE_OK;
}

static int write_reports(struct job *job) {
    int status = FINEPRUNE_OK;
    if (job->options->json) status = write_text(job, fineprune_report_json(job->report), job->options->json);
    if (!status && job->options->report)
        status = write_text(job, fineprune_report_html(job->report), job->options->report);
    return status;
}

// A table on standard output, fit: cut to the width of a terminal; or lines, broken there.
static int print_listing(struct job *job, char *text, bool lines, bool fit) {
    if (!text) return fail_memory(job->err);
    if (lines) terminal_print_lines(job->terminal, text);
    else terminal_print_table(job->terminal, text, fit);
    free(text);
    if (fflush(stdout) == 0) return FINEPRUNE_OK;
    return cli_fail(job->err, FINEPRUNE_IO, NULL, "cannot write standard output: %s", strerror(errno));
}

static int print_table(struct job *job) {
    int table = job->options->table;
    if (table != CLI_TABLE_AUTO && table != CLI_TABLE_PLAIN) return FINEPRUNE_OK;
    return print_listing(job, fineprune_report_table(job->report), false, table == CLI_TABLE_AUTO);
}

static int say_summary(struct job *job) {
    char *text = fineprune_report_summary(job->report);
    if (!text) return fail_memory(job->err);
    terminal_say(job->terminal, text);
    free(text);
    return FINEPRUNE_OK;
}

// The listing is what was asked for, so it goes to standard output unless JSON does.
static int show_listing(struct job *job) {
    bool taken = job->options->json && strcmp(job->options->json, "-") == 0;
    taken |= job->options->report && strcmp(job->options->report, "-") == 0;
    int status = FINEPRUNE_OK;
    if (!taken) status = print_listing(job, fineprune_report_summary(job->report), true, false);
    bool inspect = strcmp(job->options->command->name, "inspect") == 0;
    if (!status && !taken && inspect && job->options->table != CLI_TABLE_NONE)
        status = print_listing(job, fineprune_report_table(job->report), false, job->options->table != CLI_TABLE_PLAIN);
    if (status) return status;
    return write_reports(job);
}

static void say_wrote(struct job *job, const char *what) {
    char text[1200];
    snprintf(text, sizeof(text), "%s\nwrote    %s\n", what,
             strcmp(job->options->output, "-") ? job->options->output : "standard output");
    terminal_say(job->terminal, text);
}

// ---- commands

// What the writer alone knows. The summary and the page make their line of it.
static int report_sparse(struct job *job, const fineprune_sparse_count *sparse) {
    static const char section[] = "sparse_initializers";
    static const char readers[] =
        "ONNX Runtime and fineprune read sparse_initializer; OpenVINO, TensorRT, XNNPACK, Core ML "
        "and many others do not";
    int status = fineprune_report_number(job->report, section, "tensors", (double)sparse->tensors);
    if (!status) status = fineprune_report_number(job->report, section, "bytes", (double)sparse->bytes);
    if (!status) status = fineprune_report_number(job->report, section, "dense_bytes", (double)sparse->dense_bytes);
    if (!status && sparse->tensors) status = fineprune_report_note(job->report, section, "readers", readers);
    if (status) return fail_memory(job->err);
    return FINEPRUNE_OK;
}

static int save_model(struct job *job, double *seconds) {
    const struct cli_options *o = job->options;
    static const int external[] = {[CLI_AUTO] = 0, [CLI_ALWAYS] = 1, [CLI_NEVER] = -1};
    fineprune_save_options options = FINEPRUNE_SAVE_OPTIONS_INIT;
    fineprune_sparse_count sparse = {0};
    options.force = o->force;
    options.external_data = external[o->external_data];
    options.sparse_initializers = o->sparse_initializers;
    options.sparse_count = &sparse;
    options.group = job->group;
    double started = terminal_clock();
    int status = fineprune_model_save(job->model, o->output, &options, job->err);
    *seconds = terminal_clock() - started;
    if (!status && fineprune_report_note(job->report, NULL, "wrote", o->output)) status = fail_memory(job->err);
    if (!status && o->sparse_initializers) status = report_sparse(job, &sparse);
    return status;
}

static int finish_group(struct job *job) {
    terminal_shield(true);
    int status = fineprune_group_finish(job->group, job->err);
    terminal_shield(false);
    job->group = NULL;
    return status;
}

static int compact_model(struct job *job) {
    return fineprune_compact(job->model, job->options->round, &job->run, &job->report, job->err);
}

// After pruning: the model, the masks, the report, all or none. A missed gate (status GATE) is reported like a success,
// and stays the status.
static int finish_pruning(struct job *job, int pruned) {
    const struct cli_options *o = job->options;
    bool missed = pruned == FINEPRUNE_GATE, write = !o->dry_run && !(missed && o->on_fail == CLI_DISCARD);
    if (pruned && !missed) return pruned;
    fineprune_error fresh = {0}, gate = *job->err;
    *job->err = fresh;
    double seconds = -1;
    int status = terminal_stopped(job->terminal, job->err);
    if (!status && o->compact) status = compact_model(job);
    if (!status) status = fineprune_group_new(&job->group, job->err);
    if (!status && write) status = save_model(job, &seconds);
    if (!status && o->masks) status = fineprune_masks_save(job->model, o->masks, o->force, job->group, job->err);
    if (!status) status = report_times(job, seconds);
    if (!status) status = write_reports(job);
    if (!status) status = finish_group(job);
    if (!status) status = say_summary(job);
    if (!status) status = print_table(job);
    if (status || !missed) return status;
    *job->err = gate;
    if (!write && !o->dry_run && !job->err->hint[0])
        snprintf(job->err->hint, sizeof(job->err->hint),
                 "nothing was written; lower -s, or see the result with --on-fail keep");
    return FINEPRUNE_GATE;
}

static int command_prune(struct job *job) {
    fineprune_prune_options options = prune_options(job);
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status) status = open_data(job);
    if (!status) status = fineprune_prune(job->model, job->data, &options, &job->report, job->err);
    return finish_pruning(job, status);
}

static int command_apply(struct job *job) {
    fineprune_prune_options options = prune_options(job);
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status) status = fineprune_stats_open(&job->stats, job->options->stats, job->err);
    if (!status) status = fineprune_apply(job->model, job->stats, &options, &job->report, job->err);
    return finish_pruning(job, status);
}

static int command_compact(struct job *job) {
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status) status = compact_model(job);
    return finish_pruning(job, status);
}

static int save_stats(struct job *job) {
    int status = terminal_stopped(job->terminal, job->err);
    if (status) return status;
    return fineprune_stats_save(job->stats, job->options->output, job->options->force, job->err);
}

static int command_score(struct job *job) {
    char text[300];
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status) status = open_data(job);
    if (!status) status = fineprune_score(&job->stats, job->model, job->data, &job->run, job->err);
    if (!status) status = save_stats(job);
    if (status) return status;
    const size_t n = fineprune_data_samples(job->data);
    snprintf(text, sizeof(text), "data     %zu sample%s", n, n == 1 ? "" : "s");
    say_wrote(job, text);
    return FINEPRUNE_OK;
}

// The samples of a file that is given twice would count twice.
static int refuse_twice(const struct cli_list *files, fineprune_error *err) {
    struct stat a, b;
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < i; k++) {
            if (stat(files->items[i], &a) || stat(files->items[k], &b)) continue;
            if (a.st_dev != b.st_dev || a.st_ino != b.st_ino || !S_ISREG(a.st_mode)) continue;
            return cli_fail(err, FINEPRUNE_USAGE, NULL, "'%s' is given twice: its samples would count twice",
                            files->items[i]);
        }
    return FINEPRUNE_OK;
}

static int command_merge(struct job *job) {
    char text[300];
    const struct cli_list *files = &job->options->operands;
    int status = refuse_twice(files, job->err);
    if (!status) status = fineprune_stats_open(&job->stats, files->items[0], job->err);
    for (size_t i = 1; i < files->count && !status; i++) {
        fineprune_stats *other = NULL;
        status = fineprune_stats_open(&other, files->items[i], job->err);
        if (!status) status = fineprune_stats_merge(job->stats, other, job->err);
        fineprune_stats_free(other);
        if (!status) status = terminal_stopped(job->terminal, job->err);
    }
    if (!status) status = save_stats(job);
    if (status) return status;
    snprintf(text, sizeof(text), "stats    %zu file%s", files->count, files->count == 1 ? "" : "s");
    say_wrote(job, text);
    return FINEPRUNE_OK;
}

// Of a command that wrote to -o and no model.
static int tell_written(struct job *job) {
    int status = FINEPRUNE_OK;
    if (fineprune_report_note(job->report, NULL, "wrote", job->options->output)) status = fail_memory(job->err);
    if (!status) status = report_times(job, -1);
    if (!status) status = say_summary(job);
    if (status) return status;
    return write_reports(job);
}

static int command_run(struct job *job) {
    const struct cli_options *o = job->options;
    int status = open_model(job, &job->model, o->operands.items[0]);
    if (!status) status = open_data(job);
    if (!status) status = fineprune_run(job->model, job->data, o->output, o->force, &job->run, &job->report, job->err);
    if (status) return status;
    return tell_written(job);
}

static int command_compare(struct job *job) {
    const struct cli_options *o = job->options;
    int status = open_model(job, &job->model, o->operands.items[0]);
    if (!status) status = open_model(job, &job->second, o->operands.items[1]);
    if (!status) status = open_data(job);
    fineprune_compare_options options = FINEPRUNE_COMPARE_OPTIONS_INIT;
    options.task = task_word(o);
    options.labels = o->labels;
    options.run = job->run;
    options.layers = o->layers;
    if (!status) status = fineprune_compare_with(job->model, job->second, job->data, &options, &job->report, job->err);
    if (!status) status = report_times(job, -1);
    if (status) return status;
    return show_listing(job);
}

static int command_inspect(struct job *job) {
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status) status = fineprune_inspect(job->model, &job->report, job->err);
    if (status) return status;
    return show_listing(job);
}

// The listing of obstacles is shown also, and above all, when there are some.
static int command_check(struct job *job) {
    int status = open_model(job, &job->model, job->options->operands.items[0]);
    if (!status && job->options->data.count) status = open_data(job);
    if (!status) status = fineprune_check(job->model, job->data, &job->report, job->err);
    if (!job->report) return status;
    fineprune_error fresh = {0}, found = *job->err;
    *job->err = fresh;
    int shown = show_listing(job);
    if (shown || !status) return shown;
    *job->err = found;
    return status;
}

static int command_show(struct job *job) {
    const struct cli_options *o = job->options;
    int status = open_model(job, &job->model, o->operands.items[0]);
    if (!status) status = open_data(job);
    if (!status) status = fineprune_show(job->model, job->data, o->output, o->force, &job->run, &job->report, job->err);
    if (status) return status;
    return tell_written(job);
}

// In the order of cli_commands.
static int (*const commands[])(struct job *) = {command_prune,   command_score, command_merge,   command_apply,
                                                command_compact, command_run,   command_compare, command_inspect,
                                                command_check,   command_show};

// ---- the program

// Where the program writes anyway. Nowhere when it writes to standard output.
static const char *output_folder(char *dst, const char *output) {
    if (!output || strcmp(output, "-") == 0) return NULL;
    const char *slash = strrchr(output, '/');
    if (!slash) return strcpy(dst, ".");
    const size_t length = (size_t)(slash - output) + (slash == output);
    if (length >= PATH_MAX) return NULL;
    snprintf(dst, PATH_MAX, "%.*s", (int)length, output);
    return dst;
}

static int do_command(const struct cli_options *options, struct terminal *terminal, fineprune_error *err) {
    char scratch[PATH_MAX];
    struct job job = {.options = options, .terminal = terminal, .err = err};
    job.run = (fineprune_run_options){.threads = (int)options->threads,
                                      .max_memory = options->max_memory,
                                      .batch = options->batch,
                                      .progress = terminal_progress,
                                      .progress_user = terminal,
                                      .scratch = output_folder(scratch, options->output)};
    int status = check_outputs(options, err);
    if (!status) status = commands[options->command - cli_commands](&job);
    fineprune_group_free(job.group);
    fineprune_report_free(job.report);
    fineprune_stats_free(job.stats);
    fineprune_data_free(job.data);
    fineprune_model_free(job.second);
    fineprune_model_free(job.model);
    fineprune_error why = {0}; // our own words say who stopped it, also when a read was interrupted by it
    if (!status || status == FINEPRUNE_GATE || !terminal_stopped(terminal, &why)) return status;
    *err = why;
    return FINEPRUNE_CANCELLED;
}

static int print_schema(fineprune_error *err) {
    char *text = fineprune_report_schema();
    if (!text) return cli_fail(err, FINEPRUNE_LIMIT, NULL, "out of memory for the schema");
    fputs(text, stdout);
    free(text);
    return FINEPRUNE_OK;
}

static int print_text(const struct cli_options *options, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    if (options->help_all) cli_print_help_all(stdout);
    else if (options->help) cli_print_help(stdout, options->command);
    else if (options->version) printf("%s\n", fineprune_version_long());
    else if (options->help_man) cli_print_man(stdout);
    else if (options->completion) status = cli_print_completion(stdout, options->completion, err);
    else if (options->schema) status = print_schema(err);
    else if (options->list) status = cli_print_list(stdout, options->list, err);
    else status = cli_print_config(stdout, options, err);
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = cli_fail(err, FINEPRUNE_IO, NULL, "cannot write standard output: %s", strerror(errno));
    return status;
}

// A standard stream that is closed would give its number to the next file that is opened, and what is printed would go
// there.
static void open_standard_streams(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY); // so that printing fails, and is told
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

extern void blas_thread_shutdown_(void) __attribute__((weak)); // of OpenBLAS; not in every build of it

// OpenBLAS starts threads when it is loaded, which wait busily for tens of milliseconds. Nothing here gives them work.
static void stop_blas_threads(void) {
    openblas_set_num_threads(1);
    if (blas_thread_shutdown_) blas_thread_shutdown_();
}

int main(int argc, char **argv) {
    stop_blas_threads();
    open_standard_streams();
    struct cli_options options;
    struct terminal terminal;
    fineprune_error err = {0};
    int status = cli_options_parse(&options, argc, argv, &err);
    if (!status) status = isa_pin(options.isa, argv, &err);
    terminal_init(&terminal, &options);
    bool text = options.help || options.version || options.help_man || options.completion || options.list ||
                options.schema || options.print_config;
    if (!status && text) {
        status = print_text(&options, &err);
    } else if (!status) {
        terminal_catch_signals();
        terminal_watch(&terminal, options.max_memory);
        status = do_command(&options, &terminal, &err);
    }
    if (status) terminal_error(&terminal, &err);
    else terminal_wipe(&terminal);
    cli_options_done(&options);
    return terminal_exit_code(status);
}
