// SPDX-License-Identifier: Apache-2.0
// Command lines and configuration files into options, and the texts that come from the same tables.
#include "scratch_folder.h"

#include "option_table.h"

#include <jansson.h>

#define MOST_WORDS 30

// Splits a line at blanks; '' is an empty word.
static int parse_line(struct cli_options *options, const char *line, char *copy, size_t size, fineprune_error *err) {
    char *words[MOST_WORDS + 1] = {(char *)"fineprune"};
    int n = 1;
    snprintf(copy, size, "%s", line);
    for (char *word = strtok(copy, " "); word && n < MOST_WORDS; word = strtok(NULL, " "))
        words[n++] = strcmp(word, "''") ? word : (char *)"";
    *err = (fineprune_error){0};
    return cli_options_parse(options, n, words, err);
}

struct parsed {
    struct cli_options options;
    fineprune_error err;
    char copy[400];
};

static struct cli_options *good(struct parsed *parsed, const char *line) {
    int status = parse_line(&parsed->options, line, parsed->copy, sizeof(parsed->copy), &parsed->err);
    if (status) fail_msg("'%s': %s", line, parsed->err.message);
    return &parsed->options;
}

static void defaults(void **state) {
    (void)state;
    struct parsed p;
    struct cli_options *o = good(&p, "prune model.onnx --data a.npz -o out.onnx");
    assert_string_equal(o->command->name, "prune");
    assert_int_equal(o->operands.count, 1);
    assert_string_equal(o->operands.items[0], "model.onnx");
    assert_null(o->operands.items[1]);
    assert_true(o->sparsity == 0.7 && o->reserve == -1 && o->min_agreement == 0 && o->timeout == 0);
    assert_true(o->metadata && !o->force && !o->keep_first && !o->dry_run);
    assert_int_equal(o->on_fail, CLI_DISCARD);
    assert_int_equal(o->table, CLI_TABLE_UNSET);
    assert_int_equal(o->external_data, CLI_AUTO);
    assert_null(o->method);
    assert_null(o->json);
    assert_int_equal(o->threads, 0);
    cli_options_done(o);
}

static void values(void **state) {
    (void)state;
    struct parsed p;
    struct cli_options *o = good(
        &p, "prune --data=a --data x=b -s70% -fo - --no-metadata --max-memory 1.5G --timeout 1h30m -j4 "
            "--batch 8 m "
            "--reserve 0.25");
    assert_int_equal(o->data.count, 2);
    assert_string_equal(o->data.items[1], "x=b");
    assert_true(o->force && !o->metadata);
    assert_string_equal(o->output, "-");
    assert_int_equal(o->max_memory, (size_t)3 << 29);
    assert_true(o->timeout == 5400 && o->sparsity == 0.7 && o->reserve == 0.25);
    assert_int_equal(o->threads, 4);
    assert_int_equal(o->batch, 8);
    cli_options_done(o);
    o = good(
        &p, "prune m -o x --force --no-force --table plain --on-fail keep --external-data never --max-memory 64K -s 1");
    assert_false(o->force);
    assert_int_equal(o->table, CLI_TABLE_PLAIN);
    assert_int_equal(o->on_fail, CLI_KEEP);
    assert_int_equal(o->external_data, CLI_NEVER);
    assert_int_equal(o->max_memory, 65536);
    assert_true(o->sparsity == 1);
    cli_options_done(o);
    o = good(&p, "prune m --json --dry-run");
    assert_string_equal(o->json, "-");
    cli_options_done(o);
    o = good(&p, "prune -o x --json=r.json --dry-run -- -odd-name");
    assert_string_equal(o->json, "r.json");
    assert_string_equal(o->operands.items[0], "-odd-name");
    cli_options_done(o);
}

static void sparsity_auto(void **state) {
    (void)state;
    struct parsed p;
    struct cli_options *o = good(&p, "prune m -o x -s auto");
    assert_true(o->sparsity < 0 && o->min_agreement == 0.95);
    cli_options_done(o);
    o = good(&p, "prune m -o x -s auto --min-agreement 90%");
    assert_true(o->min_agreement == 0.9);
    cli_options_done(o);
}

// Every listed name is accepted for the option of that kind; N:M also with numbers.
static void listed_names(void **state) {
    (void)state;
    static const char *const kinds[] = {"method", "score", "allocation", "pattern", "channels",
                                        "repair", "swaps", "refit",      "outputs", "readout"};
    for (size_t k = 0; k < FP_COUNT(kinds); k++) {
        const char *name, *summary;
        for (size_t i = 0; fineprune_list(kinds[k], i, &name, &summary); i++) {
            char line[200];
            struct parsed p;
            snprintf(line, sizeof(line), "prune m -o x --%s %s", kinds[k], name);
            cli_options_done(good(&p, line));
        }
        assert_true(fineprune_list(kinds[k], 0, &name, &summary));
    }
}

static const struct {
    const char *line, *message, *hint;
} bad_lines[] = {
    {"", "which command?", "'fineprune --help' lists them"},
    {"prun", "unknown command 'prun'", "did you mean 'prune'?"},
    {"frobnicate", "unknown command 'frobnicate'", "'fineprune --help' lists the commands"},
    {"prune", "'prune' needs MODEL", "usage: fineprune prune MODEL --data SRC -o OUT"},
    {"prune a b -o c", "'b' is one argument too many for 'prune'", "usage: fineprune prune MODEL --data SRC -o OUT"},
    {"prune '' -o c", "an argument of 'prune' is empty", "usage: fineprune prune MODEL --data SRC -o OUT"},
    {"compare a", "'compare' needs A B", "usage: fineprune compare A B --data SRC"},
    {"prune a", "'prune' needs -o OUT", "or --dry-run, to see what would come of it"},
    {"run a", "'run' needs -o OUT.npz", ""},
    {"apply a -o b --stats s -s auto", "'apply' cannot choose the sparsity: it has nothing to measure with",
     "'fineprune prune' can, since it has the data"},
    {"apply a -o b", "'apply' needs --stats STATS", "'fineprune score MODEL --data SRC -o STATS' makes it"},
    {"prune a --sparsty 1 -o b", "unknown option '--sparsty'", "did you mean --sparsity?"},
    {"prune a --spars=1 -o b", "unknown option '--spars'", "did you mean --sparsity?"},
    {"prune a --no-forc", "unknown option '--no-forc'", "did you mean --no-force?"},
    {"prune a --no-data", "unknown option '--no-data'", "'fineprune COMMAND --help' lists the options"},
    {"prune a --force=yes", "--force takes no value", ""},
    {"prune a --data", "--data needs a value", ""},
    {"prune a -s", "-s needs a value", ""},
    {"prune a -x", "unknown option '-x'", "'fineprune COMMAND --help' lists the options"},
    {"prune a -o ''", "--output is empty", ""},
    {"prune a --json=", "--json= is empty", ""},
    {"inspect a -s 70%", "'inspect' has no option --sparsity", "it belongs to prune apply"},
    {"prune a -o b -s 1.1", "--sparsity cannot be '1.1'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -s 101%", "--sparsity cannot be '101%'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -s nan", "--sparsity cannot be 'nan'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -s -1", "--sparsity cannot be '-1'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -s 0x1p-1", "--sparsity cannot be '0x1p-1'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -s 1.2.3", "--sparsity cannot be '1.2.3'", "a share such as 70% or 0.7, or auto"},
    {"prune a -o b -j 0", "--threads cannot be '0'", "a whole number, at least 1"},
    {"prune a -o b -j 12345678901", "--threads cannot be '12345678901'", "a whole number, at least 1"},
    {"prune a -o b --max-memory 5X", "--max-memory cannot be '5X'", "a size such as 64K, 4M or 2G"},
    {"prune a -o b --max-memory 99999999999T", "--max-memory cannot be '99999999999T'", "a size such as 64K, 4M or 2G"},
    {"prune a -o b --timeout 5w", "--timeout cannot be '5w'", "a time such as 90s, 10m or 2h"},
    {"prune a -o b --timeout 0", "--timeout cannot be '0'", "a time such as 90s, 10m or 2h"},
    {"prune a -o b --color sometimes", "--color cannot be 'sometimes'", "one of: auto, always, never"},
    {"prune a -o b --outputs kep", "--outputs cannot be 'kep'", "did you mean 'keep'?"},
    {"prune a -o b -v -q", "-v and -q exclude each other", ""},
    {"prune a -o - --json", "-o - and --json both want standard output", "give one of them a file"},
    {"prune a -o - --table plain", "-o - and --table both want standard output",
     "give one of them a file, or --table none"},
};

static void bad_command_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < FP_COUNT(bad_lines); i++) {
        struct parsed p;
        int status = parse_line(&p.options, bad_lines[i].line, p.copy, sizeof(p.copy), &p.err);
        cli_options_done(&p.options);
        if (status != FINEPRUNE_USAGE || strcmp(p.err.message, bad_lines[i].message) ||
            strcmp(p.err.hint, bad_lines[i].hint))
            fail_msg("'%s': status %d, '%s', hint '%s'", bad_lines[i].line, status, p.err.message, p.err.hint);
    }
    struct parsed p; // control bytes are shown, not sent
    assert_int_equal(parse_line(&p.options, "\033[31m", p.copy, sizeof(p.copy), &p.err), FINEPRUNE_USAGE);
    assert_string_equal(p.err.message, "unknown command '\\x1b[31m'");
    cli_options_done(&p.options);
}

static void config_file(void **state) {
    static const char text[] =
        "{\"data\": [\"a\", \"b\"], \"sparsity\": 0.65, \"threads\": 2, \"force\": true, \"labels\": "
        "\"for compare\", "
        "\"reserve\": \"10%\", \"json\": false, \"metadata\": false}";
    const char *path = scratch_path(state, "c.json");
    char line[400];
    struct parsed p;
    scratch_write(path, text, strlen(text));
    snprintf(line, sizeof(line), "prune m -o x --config %s -j 3 --data c", path);
    struct cli_options *o = good(&p, line);
    assert_int_equal(o->data.count, 1); // the command line wins, also over a list
    assert_string_equal(o->data.items[0], "c");
    assert_int_equal(o->threads, 3);
    assert_true(o->sparsity == 0.65 && o->reserve == 0.1 && o->force && !o->metadata);
    assert_null(o->json);
    assert_null(o->labels);
    cli_options_done(o);
}

static const struct {
    const char *text, *message, *hint;
} bad_configs[] = {
    {"{\"sparsty\": 1}", "unknown option 'sparsty' in 'PATH'", "did you mean 'sparsity'?"},
    {"{\"force\": 1}", "'force' in 'PATH' has a value of the wrong type", "true or false"},
    {"{\"sparsity\": []}", "'sparsity' in 'PATH' has a value of the wrong type", "a string or a number"},
    {"{\"sparsity\": \"7x\"}", "'sparsity' in 'PATH' cannot be '7x'", "a share such as 70% or 0.7, or auto"},
    {"{\"data\": [1, {}]}", "'data' in 'PATH' has a value of the wrong type", "a string or a number"},
    {"{\"config\": \"x\"}", "'config' in 'PATH' belongs on the command line", ""},
    {"[]", "'PATH' is not a JSON object", "as --print-config writes it"},
};

static void bad_config_files(void **state) {
    const char *path = scratch_path(state, "c.json");
    for (size_t i = 0; i < FP_COUNT(bad_configs); i++) {
        char line[400], expected[400], *at;
        struct parsed p;
        scratch_write(path, bad_configs[i].text, strlen(bad_configs[i].text));
        snprintf(line, sizeof(line), "prune m -o x --config %s", path);
        int status = parse_line(&p.options, line, p.copy, sizeof(p.copy), &p.err);
        at = strstr(bad_configs[i].message, "PATH");
        snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(at - bad_configs[i].message), bad_configs[i].message,
                 path, at + 4);
        if (status != FINEPRUNE_USAGE || strcmp(p.err.message, expected) || strcmp(p.err.hint, bad_configs[i].hint))
            fail_msg("%s: status %d, '%s', hint '%s'", bad_configs[i].text, status, p.err.message, p.err.hint);
        cli_options_done(&p.options);
    }
}

// What --print-config prints is read back to the same options.
static void config_round_trip(void **state) {
    const char *path = scratch_path(state, "c.json");
    char line[400];
    struct parsed p;
    struct cli_options *o = good(&p,
                                 "prune m -s 0.6 --data a --data b --no-metadata -j 3 --exclude fc* --print-config");
    FILE *file = fopen(path, "wb");
    assert_int_equal(cli_print_config(file, o, &p.err), FINEPRUNE_OK);
    assert_int_equal(fclose(file), 0);
    cli_options_done(o);
    snprintf(line, sizeof(line), "prune m -o x --config %s", path);
    o = good(&p, line);
    assert_int_equal(o->data.count, 2);
    assert_string_equal(o->exclude.items[0], "fc*");
    assert_int_equal(o->threads, 3);
    assert_true(o->sparsity == 0.6 && !o->metadata);
    cli_options_done(o);
}

// ---- the tables and the texts

static void tables_are_sound(void **state) {
    (void)state;
    for (const struct cli_row *row = cli_rows; row->name; row++) {
        assert_ptr_equal(cli_row_find(row->name, strlen(row->name)), row); // unique
        assert_true(strlen(row->name) < 30);
        assert_non_null(row->help);
        assert_true(cli_row_takes_argument(row) == (row->argument != NULL));
        assert_true(row->help[strlen(row->help) - 1] != '.');
        for (const struct cli_row *other = row + 1; other->name; other++)
            assert_true(!row->letter || row->letter != other->letter);
    }
}

// Not inlined: the compiler takes the stream's text for a pointer to the local variable.
__attribute__((noinline)) static char *text_of(void (*print)(FILE *, const struct cli_command *),
                                               const struct cli_command *command) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    print(file, command);
    fclose(file);
    return text;
}

// Every option of a command is in its help, and no line of the options is over 80 columns or ends in a blank.
static void help_is_whole(void **state) {
    (void)state;
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        char *text = text_of(cli_print_help, c), name[60];
        for (const struct cli_row *row = cli_rows; row->name; row++) {
            snprintf(name, sizeof(name), "--%s%s", row->kind == CLI_FLAG && row->initial ? "no-" : "", row->name);
            if (row->group && cli_row_belongs(row, c) && !strstr(text, name)) fail_msg("%s: no %s", c->name, name);
        }
        const char *line = strstr(text, "\n  -"); // the line of the example may be longer
        for (line = line ? line : text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
            size_t length = strcspn(line, "\n");
            if (length > 80 || (length && line[length - 1] == ' ')) fail_msg("'%.*s'", (int)length, line);
        }
        free(text);
    }
}

static void print_man(FILE *file, const struct cli_command *command) {
    (void)command;
    cli_print_man(file);
}

static void man_page_is_whole(void **state) {
    (void)state;
    char *text = text_of(print_man, NULL);
    assert_true(strncmp(text, ".TH FINEPRUNE 1", 15) == 0);
    for (const struct cli_command *c = cli_commands; c->name; c++) assert_non_null(strstr(text, c->name));
    assert_non_null(strstr(text, "\\-\\-min\\-agreement"));
    assert_non_null(strstr(text, "EXIT STATUS"));
    free(text);
}

static void completions(void **state) {
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    fineprune_error err = {0};
    for (size_t i = 0; i < FP_COUNT(shells); i++) {
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);
        assert_int_equal(cli_print_completion(file, shells[i], &err), FINEPRUNE_OK);
        fclose(file);
        assert_non_null(strstr(text, "min-agreement"));
        free(text);
    }
    assert_int_equal(cli_print_completion(stdout, "csh", &err), FINEPRUNE_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),          cmocka_unit_test(values),
        cmocka_unit_test(sparsity_auto),     cmocka_unit_test(listed_names),
        cmocka_unit_test(bad_command_lines), scratch_test(config_file),
        scratch_test(bad_config_files),      scratch_test(config_round_trip),
        cmocka_unit_test(tables_are_sound),  cmocka_unit_test(help_is_whole),
        cmocka_unit_test(man_page_is_whole), cmocka_unit_test(completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
