// SPDX-License-Identifier: Apache-2.0
// From argv and the --config file to struct cli_options: getopt_long over the table, then the rules between options.
#include "option_table.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_CONFIG (1 << 20)

int cli_fail(fineprune_error *err, int status, const char *hint, const char *format, ...) {
    if (!err || err->status) return status;
    char text[sizeof(err->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t n = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s && n + 5 < sizeof(err->message); s++) {
        if (*s >= 0x20 && *s != 0x7f) err->message[n++] = (char)*s;
        else n += (size_t)snprintf(err->message + n, sizeof(err->message) - n, "\\x%02x", *s);
    }
    err->message[n] = '\0';
    if (hint) snprintf(err->hint, sizeof(err->hint), "%s", hint);
    err->status = status;
    return status;
}

static int fail_memory(fineprune_error *err) {
    return cli_fail(err, FINEPRUNE_LIMIT, NULL, "not enough memory for the options");
}

// ---- rows

bool cli_row_takes_argument(const struct cli_row *row) { return row->kind != CLI_FLAG && row->kind != CLI_SWITCH; }

bool cli_row_repeats(const struct cli_row *row) { return row->kind == CLI_TEXTS || row->kind == CLI_PATHS; }

bool cli_row_belongs(const struct cli_row *row, const struct cli_command *command) {
    return !row->commands || !command || row->commands >> (command - cli_commands) & 1;
}

const struct cli_row *cli_row_find(const char *name, size_t length) {
    for (const struct cli_row *row = cli_rows; row->name; row++)
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) return row;
    return NULL;
}

static size_t count_rows(void) {
    size_t n = 0;
    while (cli_rows[n].name) n++;
    return n;
}

static int add_given(struct cli_options *options, const struct cli_row *row, const char *text, bool on,
                     fineprune_error *err) {
    struct cli_given *grown = realloc(options->given, (options->n_given + 1) * sizeof(*grown));
    if (!grown) return fail_memory(err);
    options->given = grown;
    char *copy = NULL;
    if (text) copy = strdup(text);
    if (text && !copy) return fail_memory(err);
    options->given[options->n_given++] = (struct cli_given){row, copy, on};
    return FINEPRUNE_OK;
}

static bool is_given(const struct cli_options *options, size_t n, const struct cli_row *row) {
    for (size_t i = 0; i < n; i++)
        if (options->given[i].row == row) return true;
    return false;
}

// ---- argv

// Two entries per row: --name and, for a flag, --no-name. val is 256 + 2 * row + negated.
struct long_options {
    struct option *options;
    char *names, letters[64];
};

static bool make_long_options(struct long_options *made) {
    size_t rows = count_rows(), n = 0, l = 0;
    made->options = calloc(2 * rows + 1, sizeof(*made->options));
    made->names = calloc(rows, 40);
    if (!made->options || !made->names) return false;
    made->letters[l++] = '-'; // operands come as they stand
    made->letters[l++] = ':';
    for (size_t i = 0; i < rows; i++) {
        const struct cli_row *row = &cli_rows[i];
        int argument = no_argument;
        if (cli_row_takes_argument(row)) argument = required_argument;
        if (row->kind == CLI_MAYBE) argument = optional_argument;
        made->options[n++] = (struct option){row->name, argument, NULL, 256 + 2 * (int)i};
        char *negative = made->names + 40 * i;
        snprintf(negative, 40, "no-%s", row->name);
        if (row->kind == CLI_FLAG) made->options[n++] = (struct option){negative, no_argument, NULL, 257 + 2 * (int)i};
        if (row->letter) made->letters[l++] = row->letter;
        if (row->letter && argument == required_argument) made->letters[l++] = ':';
    }
    return true;
}

static void free_long_options(struct long_options *made) {
    free(made->options);
    free(made->names);
}

static const struct cli_row *row_of_letter(int letter) {
    for (const struct cli_row *row = cli_rows; row->name; row++)
        if (row->letter && row->letter == letter) return row;
    return NULL;
}

static int fail_unknown_option(const char *word, fineprune_error *err) {
    size_t length = strcspn(word, "=");
    char name[60] = "", hint[120] = "'fineprune COMMAND --help' lists the options";
    if (length < sizeof(name)) memcpy(name, word, length);
    struct fp_guess guess = {.word = name};
    const char *prefix = strncmp(name, "no-", 3) == 0 ? "no-" : "";
    guess.word += strlen(prefix);
    for (const struct cli_row *row = cli_rows; row->name; row++)
        if (row->group && (!*prefix || row->kind == CLI_FLAG)) fp_guess_offer(&guess, row->name);
    if (guess.best) snprintf(hint, sizeof(hint), "did you mean --%s%s?", prefix, guess.best);
    return cli_fail(err, FINEPRUNE_USAGE, hint, "unknown option '--%.*s'", (int)length, word);
}

// What getopt_long could not use. `word` is the argument it was looking at.
static int fail_option(int code, const char *word, fineprune_error *err) {
    bool is_long = word[0] == '-' && word[1] == '-';
    if (code == ':' && is_long) return cli_fail(err, FINEPRUNE_USAGE, NULL, "%s needs a value", word);
    if (code == ':') return cli_fail(err, FINEPRUNE_USAGE, NULL, "-%c needs a value", optopt);
    if (!is_long)
        return cli_fail(err, FINEPRUNE_USAGE, "'fineprune COMMAND --help' lists the options", "unknown option '-%c'",
                        optopt);
    const char *name = word + 2, *equals = strchr(name, '=');
    bool negated = strncmp(name, "no-", 3) == 0;
    const char *known = negated ? name + 3 : name;
    if (!equals) return fail_unknown_option(name, err);
    if (cli_row_find(known, (size_t)(equals - known)))
        return cli_fail(err, FINEPRUNE_USAGE, NULL, "--%.*s takes no value", (int)(equals - name), name);
    return fail_unknown_option(name, err);
}

static int take_option(struct cli_options *options, int code, const char *word, fineprune_error *err) {
    const struct cli_row *row = code >= 256 ? &cli_rows[(code - 256) / 2] : row_of_letter(code);
    bool negated = code >= 256 && (code & 1);
    if (code >= 256) { // getopt_long takes any beginning of a name; there is one spelling here
        const char *name = word + (negated ? 5 : 2);
        size_t length = strcspn(name, "=");
        if (length != strlen(row->name)) return fail_unknown_option(word + 2, err);
    }
    const char *text = NULL;
    if (cli_row_takes_argument(row)) text = optarg;
    if (row->kind == CLI_MAYBE && !text) text = row->choices;
    if (row->kind == CLI_MAYBE && optarg && !*optarg)
        return cli_fail(err, FINEPRUNE_USAGE, NULL, "--%s= is empty", row->name);
    return add_given(options, row, text, !negated, err);
}

static int read_words(struct cli_options *options, const struct long_options *known, int argc, char **argv,
                      fineprune_error *err) {
    opterr = 0;
    optind = 0; // glibc and musl: start afresh
    for (int at = 1;; at = optind) {
        int code = getopt_long(argc, argv, known->letters, known->options, NULL);
        if (code == -1) break;
        int status = FINEPRUNE_OK;
        if (code == 1 && !cli_list_append(&options->operands, optarg)) status = fail_memory(err);
        else if (code == '?' || code == ':') status = fail_option(code, argv[at], err);
        else if (code != 1) status = take_option(options, code, argv[at], err);
        if (status) return status;
    }
    for (int i = optind; i < argc; i++)
        if (!cli_list_append(&options->operands, argv[i])) return fail_memory(err);
    return FINEPRUNE_OK;
}

// ---- command

static int fail_unknown_command(const char *word, fineprune_error *err) {
    char hint[200] = "'fineprune --help' lists the commands";
    struct fp_guess guess = {.word = word};
    for (const struct cli_command *c = cli_commands; c->name; c++) fp_guess_offer(&guess, c->name);
    if (guess.best) snprintf(hint, sizeof(hint), "did you mean '%s'?", guess.best);
    else if (access(word, F_OK) == 0)
        snprintf(hint, sizeof(hint), "the command comes first, as in 'fineprune prune MODEL --data SRC -o OUT'");
    return cli_fail(err, FINEPRUNE_USAGE, hint, "unknown command '%s'", word);
}

static void drop_first_operand(struct cli_options *options) {
    options->operands.count--;
    memmove(options->operands.items, options->operands.items + 1, (options->operands.count + 1) * sizeof(char *));
}

// 'help' and 'help COMMAND' are as --help and COMMAND --help, 'help all' and '--help all' are of all commands.
static void take_help(struct cli_options *options) {
    if (options->operands.count && strcmp(options->operands.items[0], "help") == 0) {
        options->help = true;
        drop_first_operand(options);
    }
    if (!options->help || !options->operands.count || strcmp(options->operands.items[0], "all") != 0) return;
    options->help_all = true;
    drop_first_operand(options);
}

static int find_command(struct cli_options *options, fineprune_error *err) {
    if (!options->operands.count) return FINEPRUNE_OK;
    const char *word = options->operands.items[0];
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(c->name, word) == 0) options->command = c;
    if (!options->command) return fail_unknown_command(word, err);
    drop_first_operand(options);
    return FINEPRUNE_OK;
}

static int check_belonging(const struct cli_options *options, fineprune_error *err) {
    for (size_t i = 0; i < options->n_given; i++) {
        const struct cli_row *row = options->given[i].row;
        if (cli_row_belongs(row, options->command)) continue;
        char hint[120] = "it belongs to";
        for (const struct cli_command *c = cli_commands; c->name; c++) {
            if (!cli_row_belongs(row, c)) continue;
            size_t used = strlen(hint);
            snprintf(hint + used, sizeof(hint) - used, " %s", c->name);
        }
        return cli_fail(err, FINEPRUNE_USAGE, hint, "'%s' has no option --%s", options->command->name, row->name);
    }
    return FINEPRUNE_OK;
}

// ---- configuration file

static int add_member(struct cli_options *options, const struct cli_row *row, const json_t *value, const char *path,
                      fineprune_error *err) {
    char number[40];
    const char *text = NULL;
    bool flag = !cli_row_takes_argument(row), fits = json_is_boolean(value) && (flag || row->kind == CLI_MAYBE);
    if (fits && !flag) text = row->choices;
    if (fits && !flag && !json_is_true(value)) return FINEPRUNE_OK; // "json": false
    if (!flag && json_is_string(value)) fits = true, text = json_string_value(value);
    if (!flag && json_is_number(value)) {
        fits = true;
        text = number;
        if (json_is_integer(value))
            snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else snprintf(number, sizeof(number), "%.15g", json_real_value(value));
    }
    if (!fits)
        return cli_fail(err, FINEPRUNE_USAGE, flag ? "true or false" : "a string or a number",
                        "'%s' in '%s' has a value of the wrong type", row->name, path);
    return add_given(options, row, text, !flag || json_is_true(value), err);
}

static int fail_member(const char *key, const char *path, fineprune_error *err) {
    char hint[120] = "the names are those of the options, without the dashes";
    struct fp_guess guess = {.word = key};
    for (const struct cli_row *row = cli_rows; row->name; row++)
        if (row->commands) fp_guess_offer(&guess, row->name);
    if (guess.best) snprintf(hint, sizeof(hint), "did you mean '%s'?", guess.best);
    return cli_fail(err, FINEPRUNE_USAGE, hint, "unknown option '%s' in '%s'", key, path);
}

static int add_members(struct cli_options *options, json_t *root, const char *path, fineprune_error *err) {
    size_t from_argv = options->n_given;
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        const struct cli_row *row = cli_row_find(key, strlen(key));
        if (!row) return fail_member(key, path, err);
        if (!row->commands || row->kind == CLI_SWITCH || strcmp(key, "config") == 0)
            return cli_fail(err, FINEPRUNE_USAGE, NULL, "'%s' in '%s' belongs on the command line", key, path);
        if (is_given(options, from_argv, row) || !cli_row_belongs(row, options->command)) continue;
        if (!json_is_array(value) || !cli_row_repeats(row)) {
            int status = add_member(options, row, value, path, err);
            if (status) return status;
            continue;
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            int status = add_member(options, row, json_array_get(value, i), path, err);
            if (status) return status;
        }
    }
    return FINEPRUNE_OK;
}

static int read_config(struct cli_options *options, fineprune_error *err) {
    const char *path = options->config;
    struct stat st;
    if (!stat(path, &st) && (!S_ISREG(st.st_mode) || st.st_size > LARGEST_CONFIG))
        return cli_fail(err, FINEPRUNE_USAGE, NULL, "'%s' is no regular file of at most %d bytes", path,
                        LARGEST_CONFIG);
    FILE *file = fopen(path, "rb");
    if (!file) return cli_fail(err, FINEPRUNE_IO, NULL, "cannot read '%s': %s", path, strerror(errno));
    json_error_t where;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &where);
    fclose(file);
    if (!root)
        return cli_fail(err, FINEPRUNE_USAGE, NULL, "'%s' is not JSON: line %d: %s", path, where.line, where.text);
    int status;
    if (json_is_object(root)) status = add_members(options, root, path, err);
    else status = cli_fail(err, FINEPRUNE_USAGE, "as --print-config writes it", "'%s' is not a JSON object", path);
    json_decref(root);
    return status;
}

// ---- values and rules

static int set_initial_values(struct cli_options *options, fineprune_error *err) {
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        if (!row->initial) continue;
        struct cli_given given = {row, (char *)row->initial, true};
        int status = cli_value_set(options, &given, NULL, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int set_values(struct cli_options *options, size_t begin, size_t end, const char *origin, fineprune_error *err) {
    for (size_t i = begin; i < end; i++) {
        int status = cli_value_set(options, &options->given[i], origin, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int check_operands(const struct cli_options *options, fineprune_error *err) {
    const struct cli_command *c = options->command;
    char hint[200];
    snprintf(hint, sizeof(hint), "usage: fineprune %s %s", c->name, c->synopsis);
    if (options->operands.count < (size_t)c->min_operands)
        return cli_fail(err, FINEPRUNE_USAGE, hint, "'%s' needs %s", c->name, c->operands);
    if (c->max_operands >= 0 && options->operands.count > (size_t)c->max_operands)
        return cli_fail(err, FINEPRUNE_USAGE, hint, "'%s' is one argument too many for '%s'",
                        options->operands.items[c->max_operands], c->name);
    for (size_t i = 0; i < options->operands.count; i++)
        if (!*options->operands.items[i])
            return cli_fail(err, FINEPRUNE_USAGE, hint, "an argument of '%s' is empty", c->name);
    if (c->needs_output && !options->output && !options->dry_run) {
        bool dry = cli_row_belongs(cli_row_find("dry-run", 7), c);
        return cli_fail(err, FINEPRUNE_USAGE, dry ? "or --dry-run, to see what would come of it" : NULL,
                        "'%s' needs -o %s", c->name, strrchr(c->synopsis, ' ') + 1);
    }
    if (strcmp(c->name, "apply") == 0 && options->sparsity < 0)
        return cli_fail(err, FINEPRUNE_USAGE, "'fineprune prune' can, since it has the data",
                        "'apply' cannot choose the sparsity: it has nothing to measure with");
    if (strcmp(c->name, "apply") == 0 && !options->stats)
        return cli_fail(err, FINEPRUNE_USAGE, "'fineprune score MODEL --data SRC -o STATS' makes it",
                        "'apply' needs --stats STATS");
    return FINEPRUNE_OK;
}

static bool is_standard(const char *path) { return path && strcmp(path, "-") == 0; }

static int check_standard_input(const struct cli_options *options, fineprune_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < options->operands.count; i++) n += is_standard(options->operands.items[i]);
    for (size_t i = 0; i < options->data.count; i++) {
        const char *equals = strrchr(options->data.items[i], '=');
        n += is_standard(options->data.items[i]) || (equals && is_standard(equals + 1));
    }
    if (n < 2) return FINEPRUNE_OK;
    return cli_fail(err, FINEPRUNE_USAGE, "give the others files", "%zu of the inputs are -, standard input", n);
}

static int check_standard_output(const struct cli_options *options, fineprune_error *err) {
    const char *users[4];
    size_t n = 0;
    if (is_standard(options->output) && !options->dry_run) users[n++] = "-o -";
    if (is_standard(options->json)) users[n++] = "--json";
    if (is_standard(options->report)) users[n++] = "--report -";
    if (is_standard(options->masks)) users[n++] = "--masks -";
    if (n > 1)
        return cli_fail(err, FINEPRUNE_USAGE, "give one of them a file", "%s and %s both want standard output",
                        users[0], users[1]);
    bool table = options->table == CLI_TABLE_AUTO || options->table == CLI_TABLE_PLAIN;
    if (n && table && strcmp(options->command->name, "inspect"))
        return cli_fail(err, FINEPRUNE_USAGE, "give one of them a file, or --table none",
                        "%s and --table both want standard output", users[0]);
    bool binary = is_standard(options->masks) || (is_standard(options->output) && !options->dry_run);
    if (binary && isatty(STDOUT_FILENO))
        return cli_fail(err, FINEPRUNE_USAGE, "send it to a file or a pipe", "standard output is a terminal");
    return FINEPRUNE_OK;
}

// A target is what is asked for instead of the default sparsity, and only smaller shapes reach it.
static int settle_target(struct cli_options *options, fineprune_error *err) {
    if (!options->target) return FINEPRUNE_OK;
    if (!is_given(options, options->n_given, cli_row_find("sparsity", 8))) options->sparsity = 0;
    options->compact = true;
    return fineprune_choice_check("target", options->target, err);
}

// What only smaller shapes make faster is compacted, unless that was said otherwise.
static void settle_profile(struct cli_options *options) {
    if (options->runtime_profile && !is_given(options, options->n_given, cli_row_find("compact", 7)))
        options->compact = fineprune_runtime_compacts(options->runtime_profile);
}

static int check_rules(struct cli_options *options, fineprune_error *err) {
    if (options->verbose && options->quiet) return cli_fail(err, FINEPRUNE_USAGE, NULL, "-v and -q exclude each other");
    const bool automatic = options->sparsity < 0 || (options->target && !strcmp(options->target, "auto"));
    if (automatic && options->min_agreement <= 0) options->min_agreement = 0.95;
    settle_profile(options);
    int status = settle_target(options, err);
    if (status) return status;
    if (options->print_config) return FINEPRUNE_OK;
    status = check_operands(options, err);
    if (!status) status = check_standard_input(options, err);
    if (status) return status;
    return check_standard_output(options, err);
}

static bool wants_only_text(const struct cli_options *options) {
    return options->help || options->version || options->help_man || options->completion || options->list ||
           options->schema;
}

static int finish(struct cli_options *options, fineprune_error *err) {
    int status = find_command(options, err);
    if (status) return status;
    if (!options->command) return cli_fail(err, FINEPRUNE_USAGE, "'fineprune --help' lists them", "which command?");
    status = check_belonging(options, err);
    size_t from_argv = options->n_given;
    if (!status && options->config) status = read_config(options, err);
    if (!status) status = set_values(options, from_argv, options->n_given, options->config, err);
    if (status) return status;
    return check_rules(options, err);
}

int cli_options_parse(struct cli_options *options, int argc, char **argv, fineprune_error *err) {
    *options = (struct cli_options){0};
    struct long_options known = {0};
    int status = FINEPRUNE_OK;
    if (!make_long_options(&known)) status = fail_memory(err);
    if (!status) status = read_words(options, &known, argc, argv, err);
    free_long_options(&known);
    if (!status) status = set_initial_values(options, err);
    if (!status) status = set_values(options, 0, options->n_given, NULL, err);
    if (status) return status;
    take_help(options);
    if (!wants_only_text(options)) return finish(options, err);
    if (!options->help) return FINEPRUNE_OK;
    return find_command(options, err);
}

void cli_options_done(struct cli_options *options) {
    for (size_t i = 0; i < options->n_given; i++) free(options->given[i].text);
    free(options->given);
    free(options->operands.items);
    free(options->data.items);
    free(options->shape.items);
    free(options->include.items);
    free(options->exclude.items);
    *options = (struct cli_options){0};
}
