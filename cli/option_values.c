// SPDX-License-Identifier: Apache-2.0
// Words into values: shares, sizes, counts, durations, choices and the names that the library lists.
#include "option_table.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// ---- values

static int bad_value(const struct cli_row *row, const char *text, const char *origin, const char *hint,
                     fineprune_error *err) {
    if (origin) return cli_fail(err, FINEPRUNE_USAGE, hint, "'%s' in '%s' cannot be '%s'", row->name, origin, text);
    return cli_fail(err, FINEPRUNE_USAGE, hint, "--%s cannot be '%s'", row->name, text);
}

// A plain decimal number at the start of text; *end behind it. strtod alone would take "inf", "nan" and hexadecimals.
static bool decimal(const char *text, double *value, const char **end) {
    size_t length = strspn(text, "0123456789.");
    char word[40];
    if (!length || length >= sizeof(word)) return false;
    memcpy(word, text, length);
    word[length] = '\0';
    char *stop;
    *value = strtod(word, &stop);
    *end = text + length;
    return *stop == '\0';
}

static bool parse_share(const char *text, double *value) {
    const char *end;
    if (!decimal(text, value, &end)) return false;
    if (strcmp(end, "%") == 0) *value /= 100;
    else if (*end) return false;
    return *value >= 0 && *value <= 1;
}

static bool parse_count(const char *text, size_t *value) {
    if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 9) return false;
    *value = strtoul(text, NULL, 10);
    return *value > 0;
}

static bool parse_size(const char *text, size_t *value) {
    static const char suffixes[] = "KMGT";
    const char *end;
    double number;
    if (!decimal(text, &number, &end)) return false;
    if (*end) {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix || end[1]) return false;
        number = ldexp(number, 10 * (int)(suffix - suffixes + 1));
    }
    if (number < 1 || number >= ldexp(1, 62)) return false;
    *value = (size_t)number;
    return true;
}

static bool parse_duration(const char *text, double *value) {
    static const char units[] = "smhd";
    static const double seconds[] = {1, 60, 3600, 86400};
    double total = 0;
    do {
        double number;
        if (!decimal(text, &number, &text)) return false;
        const char *unit = units;
        if (*text) unit = strchr(units, *text++);
        if (!unit) return false;
        total += number * seconds[unit - units];
    } while (*text);
    *value = total;
    return total > 0 && total < 1e9;
}

static bool parse_choice(const char *text, const char *choices, int *index) {
    size_t length = strlen(text);
    int i = 0;
    for (const char *c = choices; *c; i++) {
        size_t n = strcspn(c, "|");
        if (n == length && memcmp(c, text, n) == 0) return *index = i, true;
        c += n + (c[n] == '|');
    }
    return false;
}

// Whether text is a listed name; a capital in the list stands for a number ("N:M" lists 2:4).
static bool name_fits(const char *listed, const char *text) {
    for (; *listed; listed++) {
        const size_t digits = strspn(text, "0123456789");
        const bool number = *listed >= 'A' && *listed <= 'Z' && digits > 0;
        if (!number && *listed != *text) return false;
        text += number ? digits : 1;
    }
    return *text == '\0';
}

// A name may have values of its parameters behind a colon, of which the library knows; patterns are spelled with one.
static int check_name(const struct cli_row *row, const char *text, const char *origin, fineprune_error *err) {
    char word[60] = "";
    const size_t length = strcspn(text, ":");
    const bool extended = text[length] && strcmp(row->choices, "pattern") && length < sizeof(word);
    if (extended) memcpy(word, text, length);
    struct fp_guess guess = {.word = extended ? word : text};
    const char *name, *summary;
    char hint[300] = "";
    size_t used = 0, count = 0;
    for (; fineprune_list(row->choices, count, &name, &summary); count++) {
        if (name_fits(name, text)) return FINEPRUNE_OK;
        if (extended && strcmp(name, word) == 0) return fineprune_choice_check(row->choices, text, err);
        fp_guess_offer(&guess, name);
        if (used < sizeof(hint))
            used += (size_t)snprintf(hint + used, sizeof(hint) - used, "%s%s", count ? ", " : "one of: ", name);
    }
    if (guess.best) snprintf(hint, sizeof(hint), "did you mean '%s'?", guess.best);
    return bad_value(row, text, origin, hint[0] ? hint : NULL, err);
}

bool cli_list_append(struct cli_list *list, const char *item) {
    const char **items = realloc(list->items, (list->count + 2) * sizeof(*items));
    if (!items) return false;
    list->items = items;
    items[list->count++] = item;
    items[list->count] = NULL;
    return true;
}

static int set_choice(const struct cli_row *row, void *field, const char *text, const char *origin,
                      fineprune_error *err) {
    int index;
    char hint[100] = "one of:";
    for (const char *c = row->choices; c && *c; c += strcspn(c, "|"), c += *c == '|') {
        size_t used = strlen(hint);
        snprintf(hint + used, sizeof(hint) - used, "%s %.*s", used > 7 ? "," : "", (int)strcspn(c, "|"), c);
    }
    if (!parse_choice(text, row->choices, &index)) return bad_value(row, text, origin, hint, err);
    *(int *)field = index + row->first;
    return FINEPRUNE_OK;
}

// Those kinds that are a number.
static bool set_number(const struct cli_row *row, void *field, const char *text) {
    switch (row->kind) {
    case CLI_SHARE_OR_AUTO:
        if (strcmp(text, "auto") == 0) return *(double *)field = -1, true;
        return parse_share(text, field);
    case CLI_SHARE: return parse_share(text, field);
    case CLI_COUNT: return parse_count(text, field);
    case CLI_SIZE: return parse_size(text, field);
    default: return parse_duration(text, field);
    }
}

// What to say when it is none.
static const char *number_wanted(const struct cli_row *row) {
    switch (row->kind) {
    case CLI_SHARE_OR_AUTO: return "a share such as 70% or 0.7, or auto";
    case CLI_SHARE: return "a share such as 70% or 0.7";
    case CLI_COUNT: return "a whole number, at least 1";
    case CLI_SIZE: return "a size such as 64K, 4M or 2G";
    default: return "a time such as 90s, 10m or 2h";
    }
}

int cli_value_set(struct cli_options *options, const struct cli_given *given, const char *origin,
                  fineprune_error *err) {
    const struct cli_row *row = given->row;
    void *field = (char *)options + row->field;
    if (row->kind == CLI_FLAG || row->kind == CLI_SWITCH) {
        *(bool *)field = given->on;
        return FINEPRUNE_OK;
    }
    if (!*given->text && row->kind != CLI_MAYBE)
        return cli_fail(err, FINEPRUNE_USAGE, NULL, "--%s is empty", row->name);
    if (row->kind == CLI_TEXTS || row->kind == CLI_PATHS) {
        if (cli_list_append(field, given->text)) return FINEPRUNE_OK;
        return cli_fail(err, FINEPRUNE_LIMIT, NULL, "not enough memory for --%s", row->name);
    }
    if (row->kind == CLI_CHOICE) return set_choice(row, field, given->text, origin, err);
    if (row->kind >= CLI_SHARE && row->kind <= CLI_DURATION) {
        if (set_number(row, field, given->text)) return FINEPRUNE_OK;
        return bad_value(row, given->text, origin, number_wanted(row), err);
    }
    int status = FINEPRUNE_OK;
    if (row->kind == CLI_NAME) status = check_name(row, given->text, origin, err);
    if (!status) *(const char **)field = given->text;
    return status;
}
