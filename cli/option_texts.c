// SPDX-License-Identifier: Apache-2.0
// What the tables of commands and options say to people and shells: help, manual page, completions, lists,
// configuration.
#include "option_table.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN 28
#define WIDTH 80

static const char *const kinds[] = {"method", "score",   "allocation", "pattern", "channels", "repair", "swaps",
                                    "refit",  "outputs", "readout",    "runtime", "operator", NULL};

static const char tagline[] = "personalise an ONNX model by pruning it with your own unlabelled data";

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {{0, "done, and every gate is met"},        {1, "an internal error"},
                  {2, "a wrong option or argument"},         {3, "the model is unreadable, invalid or not supported"},
                  {4, "the data are missing or do not fit"}, {5, "a gate such as --min-agreement is missed"},
                  {6, "reading or writing failed"},          {7, "out of memory, time or another limit"},
                  {130, "stopped by SIGINT (143: SIGTERM)"}, {0, NULL}};

// ---- help

// Text in lines of at most WIDTH columns, the first starting where the cursor is, at column `at`, the others at
// `indent`.
static void print_wrapped(FILE *file, const char *text, size_t at, size_t indent) {
    bool first = true;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (!first && at + 1 + length > WIDTH) {
            fprintf(file, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        if (!first) fputc(' ', file);
        fprintf(file, "%.*s", (int)length, text);
        at += length + !first;
        first = false;
        text += length + (text[length] == ' ');
    }
    fputc('\n', file);
}

// "-o, --output FILE|-" as it stands in the help, the manual page and nowhere else. A flag that is on by default shows
// its --no- form.
static void spell(char *dst, size_t size, const struct cli_row *row) {
    char letter[8] = "";
    if (row->letter) snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    bool on = row->kind == CLI_FLAG && row->initial;
    const char *no = on ? "no-" : "";
    if (row->kind == CLI_MAYBE) snprintf(dst, size, "%s--%s[=%s]", letter, row->name, row->argument);
    else if (row->argument) snprintf(dst, size, "%s--%s%s %s", letter, no, row->name, row->argument);
    else snprintf(dst, size, "%s--%s%s", letter, no, row->name);
}

static void print_row(FILE *file, const struct cli_row *row) {
    char words[100], text[600];
    spell(words, sizeof(words), row);
    bool on = row->kind == CLI_FLAG && row->initial;
    if (on) snprintf(text, sizeof(text), "do not %s", row->help);
    else if (row->initial) snprintf(text, sizeof(text), "%s (default %s)", row->help, row->initial);
    else snprintf(text, sizeof(text), "%s", row->help);
    int n = fprintf(file, row->letter ? "  %s" : "      %s", words);
    if (n + 2 > COLUMN) fprintf(file, "\n%*s", COLUMN, "");
    else fprintf(file, "%*s", COLUMN - n, "");
    print_wrapped(file, text, COLUMN, COLUMN);
}

static void print_rows(FILE *file, const struct cli_command *command) {
    const char *group = NULL;
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        if (!row->group || (command && !cli_row_belongs(row, command)) || (!command && row->commands)) continue;
        if (command && (!group || strcmp(group, row->group))) fprintf(file, "\n%s\n", group = row->group);
        print_row(file, row);
    }
}

static const char streams[] = "Summaries, progress and errors go to standard error; what inspect, check and compare "
                              "tell, --table, --json without a file, and -o - go to standard output. To keep a "
                              "summary: 2> summary.txt";

static void print_program_help(FILE *file) {
    static const char *const first[] = {"check", "prune", "compare"};
    fprintf(file, "fineprune: %s\n\nusage: fineprune COMMAND ... [OPTION...]\n\nCommands\n", tagline);
    for (const struct cli_command *c = cli_commands; c->name; c++) fprintf(file, "  %-9s %s\n", c->name, c->summary);
    fprintf(file, "\nOptions without a command\n");
    print_rows(file, NULL);
    fprintf(file,
            "\n'fineprune COMMAND --help' lists the options of a command, 'fineprune help all' of all.\n\nA first "
            "run\n");
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        for (const struct cli_command *c = cli_commands; c->name; c++)
            if (strcmp(c->name, first[i]) == 0) fprintf(file, "  %s\n", c->example);
    fprintf(file, "\nWhat goes where\n  ");
    print_wrapped(file, streams, 2, 2);
    fprintf(file, "\nExit codes\n");
    for (size_t i = 0; exit_codes[i].meaning; i++)
        fprintf(file, "  %-4d %s\n", exit_codes[i].code, exit_codes[i].meaning);
}

void cli_print_help(FILE *file, const struct cli_command *command) {
    if (!command) {
        print_program_help(file);
        return;
    }
    fprintf(file, "usage: fineprune %s %s [OPTION...]\n\n", command->name, command->synopsis);
    print_wrapped(file, command->description, 0, 0);
    fprintf(file, "\nExample\n  %s\n", command->example);
    print_rows(file, command);
}

void cli_print_help_all(FILE *file) {
    print_program_help(file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, "\n\n");
        cli_print_help(file, c);
    }
}

// ---- parameters

// A number as briefly as it can be written without becoming another.
static const char *brief(char *text, size_t size, double value) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return text;
}

// "ridge=0.01", as it would be set, and what can be said of it. number: of the parameter.
static bool tell_parameter(const char *kind, size_t index, size_t number, char *setting, char *text, size_t size) {
    fineprune_parameter p;
    char initial[40], lowest[40], highest[40];
    if (!fineprune_list_parameter(kind, index, number, &p)) return false;
    snprintf(setting, size, "%s=%s", p.name, brief(initial, sizeof(initial), p.initial));
    snprintf(text, size, "%s to %s%s: %s", brief(lowest, sizeof(lowest), p.lowest),
             brief(highest, sizeof(highest), p.highest), p.whole ? ", whole" : "", p.why);
    return true;
}

// ---- manual page

static void print_troff(FILE *file, const char *text) {
    if (*text == '.' || *text == '\'') fputs("\\&", file);
    for (; *text; text++) {
        if (*text == '-') fputs("\\-", file);
        else if (*text == '\\') fputs("\\e", file);
        else if (*text == '\'') fputs("\\(aq", file);
        else fputc(*text, file);
    }
}

static void print_macro(FILE *file, const char *macro, const char *text) {
    fprintf(file, "%s ", macro);
    print_troff(file, text);
    fputc('\n', file);
}

static void print_man_row(FILE *file, const struct cli_row *row) {
    char words[100];
    spell(words, sizeof(words), row);
    fputs(".TP\n", file);
    print_macro(file, ".B", words);
    if (row->kind == CLI_FLAG && row->initial) fputs("Do not ", file);
    print_troff(file, row->help);
    if (row->initial && row->kind != CLI_FLAG) {
        fputs(" Default: ", file);
        print_troff(file, row->initial);
    }
    fputs(".\n", file);
    if (!row->commands) return;
    fputs("With", file);
    bool all = true, first = true;
    for (const struct cli_command *c = cli_commands; c->name; c++) all &= cli_row_belongs(row, c);
    for (const struct cli_command *c = cli_commands; c->name && !all; c++) {
        if (!cli_row_belongs(row, c)) continue;
        if (!first) fputc(',', file);
        fprintf(file, " %s", c->name);
        first = false;
    }
    fputs(all ? " every command.\n" : ".\n", file);
}

static void print_man_commands(FILE *file) {
    fputs(".SH COMMANDS\n", file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, ".TP\n.B %s ", c->name);
        print_troff(file, c->synopsis);
        fputc('\n', file);
        print_troff(file, c->description);
        fputs("\n.IP\n.EX\n", file);
        print_troff(file, c->example);
        fputs("\n.EE\n", file);
    }
}

static void print_man_parameters(FILE *file, const char *kind, size_t index) {
    char setting[300], text[300];
    for (size_t i = 0; tell_parameter(kind, index, i, setting, text, sizeof(text)); i++) {
        fputs(".br\n", file);
        print_troff(file, setting);
        fputs("  ", file);
        print_troff(file, text);
        fputc('\n', file);
    }
}

static void print_man_names(FILE *file) {
    fputs(".SH NAMES\n", file);
    for (size_t k = 0; kinds[k]; k++) {
        const char *name, *summary;
        if (strcmp(kinds[k], "operator") == 0 || !fineprune_list(kinds[k], 0, &name, &summary)) continue;
        print_macro(file, ".SS", kinds[k]);
        for (size_t i = 0; fineprune_list(kinds[k], i, &name, &summary); i++) {
            fputs(".TP\n", file);
            print_macro(file, ".B", name);
            print_troff(file, summary);
            fputc('\n', file);
            print_man_parameters(file, kinds[k], i);
        }
    }
}

void cli_print_man(FILE *file) {
    fprintf(file, ".TH FINEPRUNE 1 \"\" \"fineprune %s\" \"User Commands\"\n.SH NAME\nfineprune \\- ",
            fineprune_version());
    print_troff(file, tagline);
    fputs("\n.SH SYNOPSIS\n.B fineprune\n.I COMMAND\n\\&... [\\fIOPTION\\fR...]\n", file);
    print_man_commands(file);
    const char *group = NULL;
    fputs(".SH OPTIONS\nA share is 70% or 0.7, a size 64K, 4M or 2G. A flag \\-\\-x is taken back by \\-\\-no\\-x.\n",
          file);
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        if (!row->group) continue;
        if (!group || strcmp(group, row->group)) print_macro(file, ".SS", group = row->group);
        print_man_row(file, row);
    }
    print_man_names(file);
    fputs(".SH \"STANDARD STREAMS\"\n", file);
    print_troff(file, streams);
    fputs("\n.SH \"EXIT STATUS\"\n", file);
    for (size_t i = 0; exit_codes[i].meaning; i++) {
        fprintf(file, ".TP\n.B %d\n", exit_codes[i].code);
        print_troff(file, exit_codes[i].meaning);
        fputs(".\n", file);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nWhen set and not empty, no colours unless \\-\\-color always.\n.SH "
          "EXAMPLES\n.EX\n",
          file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        print_troff(file, c->example);
        fputc('\n', file);
    }
    fputs(".EE\n", file);
}

// ---- completions

// The values that can be completed for a row, separated by blanks.
static void print_values(FILE *file, const struct cli_row *row) {
    const char *name, *summary;
    if (row->kind == CLI_NAME)
        for (size_t i = 0; fineprune_list(row->choices, i, &name, &summary); i++)
            fprintf(file, "%s%s", i ? " " : "", name);
    if (row->kind == CLI_CHOICE)
        for (const char *c = row->choices; *c; c++) fputc(*c == '|' ? ' ' : *c, file);
}

static bool has_values(const struct cli_row *row) { return row->kind == CLI_NAME || row->kind == CLI_CHOICE; }

static bool is_path(const struct cli_row *row) { return row->kind == CLI_PATH || row->kind == CLI_PATHS; }

static void print_bash(FILE *file) {
    fputs("_fineprune() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
          "command=${COMP_WORDS[1]} "
          "words=\n"
          "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        words=\"",
          file);
    for (const struct cli_command *c = cli_commands; c->name; c++) fprintf(file, "%s ", c->name);
    fputs(
        "--help --version --list\"\n        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n        return\n    fi\n"
        "    case $before in\n",
        file);
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        if (!has_values(row)) continue;
        fprintf(file, "    --%s) words=\"", row->name);
        print_values(file, row);
        fputs("\" ;;\n", file);
    }
    fputs("    *) [[ $word == -* ]] && case $command in\n", file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, "        %s) words=\"", c->name);
        for (const struct cli_row *row = cli_rows; row->name; row++)
            if (row->group && cli_row_belongs(row, c)) fprintf(file, "--%s ", row->name);
        fputs("\" ;;\n", file);
    }
    fputs("        esac ;;\n    esac\n    if [[ -n $words ]]; then\n        COMPREPLY=($(compgen -W \"$words\" -- "
          "\"$word\"))\n"
          "    else\n        compopt -o filenames 2>/dev/null\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n"
          "}\n"
          "complete -F _fineprune fineprune\n",
          file);
}

// Text inside single quotes, for zsh's _arguments (which wants : [ ] escaped) and for fish.
static void print_quoted(FILE *file, const char *text, const char *special) {
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", file);
        else if (strchr(special, *text)) fprintf(file, "\\%c", *text);
        else fputc(*text, file);
    }
}

static void print_zsh_row(FILE *file, const struct cli_row *row) {
    const char *equals = "";
    if (cli_row_takes_argument(row)) equals = "=";
    if (row->kind == CLI_MAYBE) equals = "=-";
    fprintf(file, "            '%s--%s%s[", cli_row_repeats(row) ? "*" : "", row->name, equals);
    print_quoted(file, row->help, ":[]\\");
    fputc(']', file);
    if (cli_row_takes_argument(row)) {
        fputs(row->kind == CLI_MAYBE ? "::" : ":", file);
        print_quoted(file, row->argument, ":[]\\");
        fputc(':', file);
        if (has_values(row)) {
            fputc('(', file);
            print_values(file, row);
            fputc(')', file);
        } else if (is_path(row) || row->kind == CLI_MAYBE) {
            fputs("_files", file);
        }
    }
    fputs("' \\\n", file);
}

static void print_zsh(FILE *file) {
    fputs("#compdef fineprune\n_fineprune() {\n    if ((CURRENT == 2)); then\n        local -a commands=(\n", file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, "            '%s:", c->name);
        print_quoted(file, c->summary, ":");
        fputs("'\n", file);
    }
    fputs("        )\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n    "
          "shift words\n"
          "    ((CURRENT--))\n    case $command in\n",
          file);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, "    %s)\n        _arguments \\\n", c->name);
        for (const struct cli_row *row = cli_rows; row->name; row++)
            if (row->group && cli_row_belongs(row, c)) print_zsh_row(file, row);
        fputs("            '*:file:_files' ;;\n", file);
    }
    fputs("    esac\n}\n_fineprune \"$@\"\n", file);
}

static void print_fish(FILE *file) {
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(file, "complete -c fineprune -n __fish_use_subcommand -a %s -d '", c->name);
        print_quoted(file, c->summary, "\\");
        fputs("'\n", file);
    }
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        if (!row->group) continue;
        fputs("complete -c fineprune", file);
        if (row->commands) {
            fputs(" -n '__fish_seen_subcommand_from", file);
            for (const struct cli_command *c = cli_commands; c->name; c++)
                if (cli_row_belongs(row, c)) fprintf(file, " %s", c->name);
            fputc('\'', file);
        }
        fprintf(file, " -l %s", row->name);
        if (row->letter) fprintf(file, " -s %c", row->letter);
        if (cli_row_takes_argument(row) && row->kind != CLI_MAYBE) fputs(is_path(row) ? " -r" : " -x", file);
        if (has_values(row)) {
            fputs(" -a '", file);
            print_values(file, row);
            fputc('\'', file);
        }
        fputs(" -d '", file);
        print_quoted(file, row->help, "\\");
        fputs("'\n", file);
    }
}

int cli_print_completion(FILE *file, const char *shell, fineprune_error *err) {
    static const struct {
        const char *name;
        void (*print)(FILE *);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].name, shell)) continue;
        shells[i].print(file);
        return FINEPRUNE_OK;
    }
    return cli_fail(err, FINEPRUNE_USAGE, "one of: bash, zsh, fish", "--completion cannot be '%s'", shell);
}

// ---- lists

// A line of two columns.
static void print_item(FILE *file, int indent, const char *name, const char *text) {
    enum { AT = 22 };
    const int n = fprintf(file, "%*s%s", indent, "", name), at = n + 2 > AT ? n + 2 : AT;
    fprintf(file, "%*s", at - n, "");
    print_wrapped(file, text, (size_t)at, AT);
}

static void print_kind(FILE *file, const char *kind) {
    const char *name, *summary;
    char setting[300], text[300];
    for (size_t i = 0; fineprune_list(kind, i, &name, &summary); i++) {
        if (summary && *summary) print_item(file, 2, name, summary);
        else fprintf(file, "  %s\n", name);
        for (size_t k = 0; tell_parameter(kind, i, k, setting, text, sizeof(text)); k++)
            print_item(file, 4, setting, text);
    }
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char *operator_name(size_t index) {
    const char *name, *domain;
    if (!fineprune_list("operator", index, &name, &domain)) return NULL;
    if (!domain) domain = "";
    size_t length = strlen(name) + strlen(domain) + 2;
    char *text = malloc(length);
    if (text) snprintf(text, length, "%s%s%s", domain, *domain ? "." : "", name);
    return text;
}

// Operators have a row per version, and are many: each once, in alphabetical order, as running text.
static void print_operators(FILE *file) {
    const char *name, *domain;
    size_t rows = 0, n = 0, size;
    while (fineprune_list("operator", rows, &name, &domain)) rows++;
    char **names = calloc(rows + 1, sizeof(*names)), *text = NULL;
    FILE *words = NULL;
    if (names) words = open_memstream(&text, &size);
    for (; words && n < rows; n++) {
        names[n] = operator_name(n);
        if (!names[n]) break;
    }
    if (words) qsort(names, n, sizeof(*names), by_text);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[i - 1])) fprintf(words, "%s%s", i ? " " : "", names[i]);
    if (words && fclose(words) == 0) {
        fputs("  ", file);
        print_wrapped(file, text, 2, 2);
    }
    for (size_t i = 0; i < n; i++) free(names[i]);
    free(names);
    free(text);
}

int cli_print_list(FILE *file, const char *kind, fineprune_error *err) {
    bool found = false;
    for (size_t k = 0; kinds[k]; k++) {
        const char *name, *summary;
        if (*kind ? strcmp(kinds[k], kind) != 0 : !fineprune_list(kinds[k], 0, &name, &summary)) continue;
        fprintf(file, "%s%s\n", found ? "\n" : "", kinds[k]);
        if (strcmp(kinds[k], "operator") == 0) print_operators(file);
        else print_kind(file, kinds[k]);
        found = true;
    }
    if (found || !*kind) return FINEPRUNE_OK;
    struct fp_guess guess = {.word = kind};
    char hint[120] = "one of:";
    for (size_t k = 0; kinds[k]; k++) {
        size_t used = strlen(hint);
        snprintf(hint + used, sizeof(hint) - used, " %s", kinds[k]);
        fp_guess_offer(&guess, kinds[k]);
    }
    if (guess.best) snprintf(hint, sizeof(hint), "did you mean '%s'?", guess.best);
    return cli_fail(err, FINEPRUNE_USAGE, hint, "--list cannot be '%s'", kind);
}

// ---- configuration

static json_t *config_value(const struct cli_options *options, const struct cli_row *row) {
    json_t *list = NULL, *value = NULL;
    for (size_t i = 0; i < options->n_given; i++) {
        const struct cli_given *given = &options->given[i];
        if (given->row != row) continue;
        json_decref(value);
        if (!given->text) value = json_boolean(given->on);
        else if (row->kind == CLI_COUNT) value = json_integer(atoll(given->text));
        else value = json_string(given->text);
        if (!cli_row_repeats(row)) continue;
        if (!list) list = json_array();
        json_array_append_new(list, value);
        value = NULL;
    }
    if (list) return list;
    if (value) return value;
    if (row->kind == CLI_FLAG) return json_boolean(*(const bool *)((const char *)options + row->field));
    if (!row->initial) return NULL;
    return json_string(row->initial);
}

int cli_print_config(FILE *file, const struct cli_options *options, fineprune_error *err) {
    json_t *root = json_object();
    bool whole = root != NULL;
    for (const struct cli_row *row = cli_rows; row->name && whole; row++) {
        if (!row->commands || row->kind == CLI_SWITCH || strcmp(row->name, "config") == 0 ||
            !cli_row_belongs(row, options->command))
            continue;
        json_t *value = config_value(options, row);
        if (value) whole = json_object_set_new(root, row->name, value) == 0;
    }
    char *text = NULL;
    if (whole) text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (!text) return cli_fail(err, FINEPRUNE_INTERNAL, NULL, "the options cannot be written as JSON");
    fprintf(file, "%s\n", text);
    free(text);
    return FINEPRUNE_OK;
}
