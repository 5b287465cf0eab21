// SPDX-License-Identifier: Apache-2.0
// The report as an object: made, and added to. Its memory is one arena.
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_fields.h"

struct fineprune_report *fp_report_new(const char *command) {
    struct fineprune_report *report = fp_calloc(1, sizeof(*report));
    if (!report) return NULL;
    report->arena.what = "the report";
    report->schema = FP_REPORT_SCHEMA;
    report->tool = (struct fp_report_tool){"fineprune", fineprune_version(), fineprune_version_long()};
    report->command = command;
    report->peak_rss_bytes = NAN;
    // Programs that read a report of pruning find these lists also when they are empty.
    const bool prunes = strcmp(command, "prune") == 0 || strcmp(command, "apply") == 0;
    report->skipped.there = report->drift.there = report->gates.there = prunes;
    return report;
}

void fineprune_report_free(struct fineprune_report *report) {
    if (!report) return;
    fp_arena_free(&report->arena);
    free(report);
}

// ---- texts

// Bytes that are no UTF-8 character.
static size_t bad_bytes(const char *text) {
    size_t bad = 0, step;
    uint32_t code;
    for (; *text; text += fp_most(step, 1)) {
        step = fp_utf8_character(text, SIZE_MAX, &code);
        bad += !step;
    }
    return bad;
}

const char *fp_report_plain(const char *text) {
    if (bad_bytes(text)) return "?";
    return text;
}

// A copy in the report, in which a bad byte is the three of U+FFFD.
static const char *keep_text(struct fineprune_report *report, const char *text) {
    if (!text) return NULL;
    const size_t bad = bad_bytes(text);
    char *clean = fp_arena_take(&report->arena, strlen(text) + 1 + 2 * bad, 1), *to = clean;
    if (!clean || !bad) return clean ? memcpy(clean, text, strlen(text)) : NULL;
    uint32_t code;
    for (size_t step; *text; text += fp_most(step, 1)) {
        step = fp_utf8_character(text, SIZE_MAX, &code);
        memcpy(to, step ? text : "\xef\xbf\xbd", step ? step : 3);
        to += step ? step : 3;
    }
    return clean;
}

// ---- sections and lists

static void keep_shape(struct fineprune_report *report, struct fp_report_shape *shape) {
    if (shape->rank < 0) return;
    const size_t n = (size_t)shape->rank;
    const char **symbols = NULL;
    if (shape->symbols) symbols = fp_arena_take(&report->arena, n, sizeof(*symbols));
    for (size_t i = 0; symbols && i < n; i++) symbols[i] = keep_text(report, shape->symbols[i]);
    shape->symbols = symbols;
    shape->dims = fp_arena_copy(&report->arena, shape->dims, n, sizeof(*shape->dims));
}

static void keep_members(struct fineprune_report *report, const struct fp_fields *fields, void *section) {
    for (size_t i = 0; i < fields->n; i++) {
        const struct fp_field *field = &fields->items[i];
        void *at = (char *)section + field->offset;
        if (field->kind == FP_TEXT) *(const char **)at = keep_text(report, *(const char **)at);
        if (field->kind == FP_SHAPE) keep_shape(report, at);
        if (field->kind == FP_PART) keep_members(report, field->inside, at);
    }
}

void fp_report_place(struct fineprune_report *report, void *slot, const struct fp_fields *fields, const void *section) {
    void *copy = fp_arena_copy(&report->arena, section, 1, fields->size);
    if (!copy) return;
    keep_members(report, fields, copy);
    memcpy(slot, &copy, sizeof(copy)); // a pointer of another type
}

// Room for one more, in a new place where there is none.
static bool grow(struct fineprune_report *report, struct fp_list *list, size_t size) {
    if (list->n < list->room) return true;
    size_t room;
    void *items = NULL;
    if (fp_mul(fp_most(list->room, 4), 2, &room)) items = fp_arena_take(&report->arena, room, size);
    if (!items) return false;
    if (list->n) memcpy(items, list->items, list->n * size);
    list->items = items;
    list->room = room;
    return true;
}

void fp_report_append(struct fineprune_report *report, void *to, const struct fp_fields *fields, const void *item) {
    struct fp_list list; // of another type there
    memcpy(&list, to, sizeof(list));
    if (!grow(report, &list, fields->size)) return;
    void *at = (char *)list.items + list.n++ * fields->size;
    memcpy(at, item, fields->size);
    keep_members(report, fields, at);
    list.there = true;
    memcpy(to, &list, sizeof(list));
}

void fp_report_put(struct fineprune_report *report, void *slot, const char *key, const void *section) {
    fp_report_place(report, slot, fp_field_find(&fp_report_fields, key)->inside, section);
}

void fp_report_add(struct fineprune_report *report, void *list, const char *key, const void *item) {
    fp_report_append(report, list, fp_field_find(&fp_report_fields, key)->inside, item);
}

void fp_report_add_text(struct fineprune_report *report, struct fp_texts *texts, const char *text) {
    static const struct fp_field itself = {.kind = FP_TEXT};
    static const struct fp_fields fields = {.items = &itself, .n = 1, .size = sizeof(text)};
    fp_report_append(report, texts, &fields, &text);
}

void fp_report_say(struct fineprune_report *report, const char *format, ...) {
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!report) return;
    for (size_t i = 0; i < report->notes.n; i++) // several tries say the same
        if (report->notes.items[i] && !strcmp(report->notes.items[i], text)) return;
    fp_report_add_text(report, &report->notes, text);
}

// ---- what a program adds

static const struct fp_fields extra_fields = {
    .items = (const struct fp_field[]){{.kind = FP_TEXT, .offset = offsetof(struct fp_report_extra, section)},
                                       {.kind = FP_TEXT, .offset = offsetof(struct fp_report_extra, key)},
                                       {.kind = FP_TEXT, .offset = offsetof(struct fp_report_extra, text)}},
    .n = 3,
    .size = sizeof(struct fp_report_extra)};

static struct fp_report_extra *find_extra(struct fineprune_report *report, const char *section, const char *key) {
    for (size_t i = 0; i < report->extras.n; i++) {
        struct fp_report_extra *e = &report->extras.items[i];
        if (e->key && !strcmp(e->key, key) && !strcmp(fp_or_empty(e->section), fp_or_empty(section))) return e;
    }
    return NULL;
}

// The struct of that name, begun where it can be; NULL where there is none.
static void *find_section(struct fineprune_report *report, const char *name, const struct fp_fields **fields) {
    *fields = &fp_report_fields;
    if (!name) return report;
    const struct fp_field *field = fp_field_find(&fp_report_fields, name);
    if (!field || field->kind != FP_SECTION) return NULL;
    *fields = field->inside;
    void *slot = (char *)report + field->offset, *section;
    if (!fp_field_section(field, report) && field->inside->empty)
        fp_report_place(report, slot, field->inside, field->inside->empty);
    memcpy(&section, slot, sizeof(section));
    return section;
}

static bool is_whole(double value) { return value == floor(value) && fabs(value) < 1e15; }

// Whether the member takes the value, so that it is written as it was given.
static bool set(struct fineprune_report *report, const struct fp_field *field, void *at, const char *text,
                double number) {
    if (field->shown) return false;
    if (field->kind == FP_TEXT && text) *(const char **)at = keep_text(report, text);
    else if (text) return false;
    else if (field->kind == FP_NUMBER) *(double *)at = number;
    else if (field->kind == FP_REAL && !is_whole(number)) *(double *)at = number;
    else if (field->kind == FP_COUNT_OF && is_whole(number) && number >= 0) *(size_t *)at = (size_t)number;
    else if (field->kind == FP_WHOLE && is_whole(number)) *(int64_t *)at = (int64_t)number;
    else return false;
    return text || isfinite(number); // else null stands there
}

// Whether something stands under that name that has no members.
static bool is_closed(struct fineprune_report *report, const char *section) {
    if (!section) return false;
    const struct fp_field *field = fp_field_find(&fp_report_fields, section);
    if (find_extra(report, NULL, section)) return true;
    return field && field->kind != FP_SECTION && field->kind != FP_PART && fp_field_shown(field, report);
}

static int add(struct fineprune_report *report, const struct fp_report_extra *extra) {
    const struct fp_fields *fields;
    if (is_closed(report, extra->section)) return FINEPRUNE_LIMIT;
    void *section = find_section(report, extra->section, &fields);
    const struct fp_field *field = section ? fp_field_find(fields, extra->key) : NULL;
    struct fp_report_extra *before = find_extra(report, extra->section, extra->key);
    if (field && set(report, field, (char *)section + field->offset, extra->text, extra->number)) {
        if (before) before->key = NULL;
    } else if (before) {
        before->text = keep_text(report, extra->text);
        before->number = extra->number;
    } else {
        fp_report_append(report, &report->extras, &extra_fields, extra);
    }
    if (report->arena.failed) return FINEPRUNE_LIMIT;
    return FINEPRUNE_OK;
}

int fineprune_report_note(struct fineprune_report *report, const char *section, const char *key, const char *value) {
    return add(report, &(struct fp_report_extra){.section = section, .key = key, .text = value});
}

int fineprune_report_number(struct fineprune_report *report, const char *section, const char *key, double value) {
    return add(report, &(struct fp_report_extra){.section = section, .key = key, .number = value});
}
