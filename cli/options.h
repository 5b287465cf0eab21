// SPDX-License-Identifier: Apache-2.0
// The command line of the program: commands, options, their values, and the texts about them. Not part of the library.
#ifndef FP_OPTIONS_H
#define FP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "fineprune/fineprune.h"

struct cli_command {
    const char *name;
    const char *operands; // "MODEL", as shown
    const char *synopsis; // "MODEL --data SRC -o OUT"
    const char *summary;  // one line
    const char *description;
    const char *example;
    int min_operands, max_operands; // max -1: any number
    bool needs_output;
};

// The commands in the order of the help, NULL name at the end.
extern const struct cli_command cli_commands[];

struct cli_list {
    const char **items; // NULL-terminated; NULL when empty
    size_t count;
};

enum cli_when { CLI_AUTO, CLI_ALWAYS, CLI_NEVER };
enum cli_on_fail { CLI_KEEP, CLI_DISCARD };
enum cli_table { CLI_TABLE_UNSET, CLI_TABLE_AUTO, CLI_TABLE_PLAIN, CLI_TABLE_NONE };

// Every option as the program uses it. What is not given has its default: NULL, 0, or what the table of options says.
struct cli_options {
    const struct cli_command *command; // NULL with --help, --version, --list and the like alone
    struct cli_list operands;
    struct cli_list data, shape;
    const char *labels, *preprocess, *resize, *crop, *mean, *std, *layout, *rate, *resample, *window, *hop;
    size_t batch, limit;
    double reserve;
    const char *stats;
    double sparsity; // negative: auto
    const char *method, *score, *allocation, *pattern, *repair, *channels, *swaps, *refit, *outputs, *readout;
    size_t rounds;
    struct cli_list include, exclude;
    bool keep_first, keep_last;
    bool strict_sparsity, shrink_outputs;
    const char *target, *runtime_profile;
    double min_agreement, min_taught_agreement;
    int task; // index in the words of --task
    int on_bad_file;
    bool bgr, exif, layers;
    int on_fail; // cli_on_fail
    const char *output;
    bool force;
    int external_data; // cli_when
    bool sparse_initializers, metadata, dry_run, compact;
    size_t round;
    const char *json, *report, *masks; // "-": standard output
    int table;                         // cli_table
    size_t threads, max_memory;
    double timeout; // seconds; 0: none
    int isa;        // as in isa.h
    const char *config;
    bool print_config, verbose, quiet;
    int progress, color; // cli_when
    const char *list;    // "" for all lists
    bool version, help, help_all, help_man, schema;
    const char *completion;
    struct cli_given *given; // what was said, in order, for --print-config
    size_t n_given;
};

// Reads the command line and the --config file, checks every value and the rules between them. Errors: USAGE, IO.
// `options` is to be passed to cli_options_done in any case. With --help, --version, --list and the like nothing but
// those is checked.
int cli_options_parse(struct cli_options *options, int argc, char **argv, fineprune_error *err);
void cli_options_done(struct cli_options *options);

// The texts. cli_print_help: of the program (command NULL) or of one command.
void cli_print_help(FILE *file, const struct cli_command *command);
void cli_print_help_all(FILE *file); // of the program and of each command
void cli_print_man(FILE *file);
int cli_print_completion(FILE *file, const char *shell, fineprune_error *err);
int cli_print_list(FILE *file, const char *kind, fineprune_error *err);
int cli_print_config(FILE *file, const struct cli_options *options, fineprune_error *err);

// One line into `err` with control bytes escaped; returns status. The hint may be NULL.
int cli_fail(fineprune_error *err, int status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
