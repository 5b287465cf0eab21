// SPDX-License-Identifier: Apache-2.0
// From "obs:ridge=0.1,prior=20" to the values of a row's parameters: what is not said has its default.
#include "parameter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pass.h"
#include "base/numbers.h"

const char *fp_kind_word(enum fp_kind kind) {
    static const char *const words[FP_KINDS] = {"score", "allocation", "repair",  "channels",
                                                "swaps", "refit",      "outputs", "readout"};
    return words[kind];
}

int fp_choice_unknown(const char *kind, const char *text, fineprune_error *err) {
    fp_fail(err, FINEPRUNE_USAGE, "there is no %s '%s'", kind, text);
    fp_hint(err, "'fineprune --list' names them all");
    return FINEPRUNE_USAGE;
}

// ---- one parameter

// What is being read, for the messages.
struct reading {
    const char *kind;
    struct fp_listed row;
    fineprune_error *err;
};

static int fail_with_names(const struct reading *r) {
    char names[400] = "";
    for (const struct fp_parameter *p = r->row.parameters; p->name; p++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s (%g to %g)", used ? ", " : "", p->name, p->lowest,
                 p->highest);
    }
    fp_hint(r->err, "its parameters: %s", names);
    return FINEPRUNE_USAGE;
}

// A plain decimal number: strtod alone would take "inf", "nan" and hexadecimals.
static bool read_number(const char *word, size_t length, double *value) {
    char text[40], *end;
    if (!length || length >= sizeof(text)) return false;
    memcpy(text, word, length);
    text[length] = '\0';
    if (text[strspn(text, "0123456789.eE+-")]) return false;
    *value = strtod(text, &end);
    return !*end;
}

// The number of the parameter of that name; of the array's end when there is none.
static size_t number_of(const struct fp_parameter *parameters, const char *name, size_t length) {
    size_t at = 0;
    while (parameters[at].name && (strlen(parameters[at].name) != length || memcmp(parameters[at].name, name, length)))
        at++;
    return at;
}

// word: NAME=VALUE, of so many bytes.
static int read_parameter(struct reading *r, const char *word, size_t length, struct fp_chosen *chosen, unsigned *set) {
    const char *equals = memchr(word, '=', length);
    const size_t name = equals ? (size_t)(equals - word) : length;
    const struct fp_parameter *parameters = r->row.parameters;
    if (!equals) {
        fp_fail(r->err, FINEPRUNE_USAGE, "'%.*s' of %s '%s' is not NAME=VALUE", (int)length, word, r->kind,
                r->row.name);
        return fail_with_names(r);
    }
    const size_t at = number_of(parameters, word, name);
    const struct fp_parameter *p = &parameters[at];
    if (!p->name) {
        fp_fail(r->err, FINEPRUNE_USAGE, "%s '%s' has no parameter '%.*s'", r->kind, r->row.name, (int)name, word);
        return fail_with_names(r);
    }
    if (*set & 1u << at)
        return fp_fail(r->err, FINEPRUNE_USAGE, "parameter '%s' of %s '%s' is given twice", p->name, r->kind,
                       r->row.name);
    *set |= 1u << at;
    double value;
    if (read_number(equals + 1, length - name - 1, &value) && value >= p->lowest && value <= p->highest &&
        (!p->whole || value == floor(value))) {
        chosen->values[at] = value;
        return FINEPRUNE_OK;
    }
    fp_fail(r->err, FINEPRUNE_USAGE, "parameter '%s' of %s '%s' cannot be '%.*s'", p->name, r->kind, r->row.name,
            (int)(length - name - 1), equals + 1);
    fp_hint(r->err, "a %snumber from %g to %g", p->whole ? "whole " : "", p->lowest, p->highest);
    return FINEPRUNE_USAGE;
}

// ---- a whole text

static bool find_row(const char *kind, const char *text, struct fp_listed *row) {
    const size_t length = strcspn(text, ":");
    for (size_t i = 0; fp_list_row(kind, i, row); i++)
        if (strlen(row->name) == length && !memcmp(row->name, text, length)) return true;
    return false;
}

static int read_text(struct fp_chosen *chosen, const char *kind, const char *text, fineprune_error *err) {
    struct reading r = {.kind = kind, .err = err};
    if (!find_row(kind, text, &r.row)) return fp_choice_unknown(kind, text, err);
    *chosen = (struct fp_chosen){.text = text, .parameters = r.row.parameters};
    for (size_t i = 0; chosen->parameters && chosen->parameters[i].name; i++)
        chosen->values[i] = chosen->parameters[i].initial;
    const char *at = text + strcspn(text, ":");
    if (!*at) return FINEPRUNE_OK;
    if (!chosen->parameters) return fp_fail(err, FINEPRUNE_USAGE, "%s '%s' has no parameters", kind, r.row.name);
    int status = FINEPRUNE_OK;
    unsigned set = 0;
    do {
        const size_t length = strcspn(++at, ",");
        status = read_parameter(&r, at, length, chosen, &set);
        at += length;
    } while (*at && !status);
    return status;
}

int fp_chosen_read(struct fp_chosen *chosen, enum fp_kind kind, const char *text, fineprune_error *err) {
    return read_text(chosen, fp_kind_word(kind), text, err);
}

// ---- for programs

int fineprune_choice_check(const char *kind, const char *text, fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    struct fp_chosen chosen;
    fineprune_error local = {0};
    if (!err) err = &local;
    if (!strcmp(kind, "target")) return fp_target_read(&(struct fp_target){0}, text, err);
    if (strcmp(kind, "pattern")) return read_text(&chosen, kind, text, err);
    if (!fp_find_pattern(text)) return fp_choice_unknown(kind, text, err);
    return FINEPRUNE_OK;
}

bool fineprune_list_parameter(const char *kind, size_t index, size_t number, fineprune_parameter *out) {
    struct fp_listed row;
    if (!fp_list_row(kind, index, &row) || !row.parameters) return false;
    const struct fp_parameter *p = row.parameters;
    for (size_t i = 0; p->name && i < number; i++) p++;
    if (!p->name) return false;
    *out = (fineprune_parameter){p->name, p->why, p->initial, p->lowest, p->highest, p->whole};
    return true;
}
