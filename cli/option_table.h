// SPDX-License-Identifier: Apache-2.0
// The one table of options that the parser, the help, the manual page and the completions walk. Only for options.c and
// its neighbours.
#ifndef FP_OPTION_TABLE_H
#define FP_OPTION_TABLE_H

#include "../src/base/guess.h"
#include "options.h"

enum cli_kind {
    CLI_FLAG,          // bool; --x and --no-x
    CLI_SWITCH,        // bool; without --no-x
    CLI_TEXT,          // const char *
    CLI_PATH,          // const char *
    CLI_TEXTS,         // struct cli_list, repeatable
    CLI_PATHS,         // struct cli_list, repeatable
    CLI_SHARE,         // double: 70% or 0.7
    CLI_SHARE_OR_AUTO, // double: the same, or "auto" as -1
    CLI_COUNT,         // size_t, at least 1
    CLI_SIZE,          // size_t: 64K 4M 2G
    CLI_DURATION,      // double, seconds: 90 30s 10m 1h30m
    CLI_CHOICE,        // int: the index in `choices`, plus `first`
    CLI_NAME,          // const char *: one of fineprune_list(`choices`)
    CLI_MAYBE          // const char *: --x is "-" or "", --x=VALUE
};

struct cli_row {
    const char *name;
    char letter; // 0: none
    enum cli_kind kind;
    unsigned commands; // a bit per command; 0: needs no command
    size_t field;      // offset in struct cli_options
    const char *group; // heading in the help; NULL: hidden
    const char *argument;
    const char *initial; // the default, as one would type it; NULL: none
    const char *choices;
    int first;
    const char *help;
};

extern const struct cli_row cli_rows[]; // NULL name at the end

struct cli_given {
    const struct cli_row *row;
    char *text; // NULL for a flag
    bool on;
};

// Puts the value of one option into its field. Text is kept, not copied. `origin` NULL or the configuration file's
// name.
int cli_value_set(struct cli_options *options, const struct cli_given *given, const char *origin, fineprune_error *err);

bool cli_row_takes_argument(const struct cli_row *row);
bool cli_row_repeats(const struct cli_row *row);
bool cli_row_belongs(const struct cli_row *row, const struct cli_command *command);
const struct cli_row *cli_row_find(const char *name, size_t length);

bool cli_list_append(struct cli_list *list, const char *item);

#endif
