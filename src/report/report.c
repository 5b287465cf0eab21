// SPDX-License-Identifier: Apache-2.0
// The report as an object: made, added to, put in order and written as JSON. report.h tells what is in it.
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

// The order of the members in every report, whatever the order in which they were found.
static const char *const order[] = {"schema",    "tool",
                                    "command",   "verdict",
                                    "model",     "second_model",
                                    "inputs",    "outputs_of_model",
                                    "operators", "obstacles",
                                    "data",      "config",
                                    "layers",    "skipped",
                                    "pruned",    "task",
                                    "outputs",   "readout",
                                    "channels",  "compact",
                                    "notes",     "drift",
                                    "agreement", "accuracy",
                                    "size",      "sparse_initializers",
                                    "gates",     "wrote",
                                    "timing",    "peak_rss_bytes"};

static json_t *make_tool(void) {
    return json_pack("{s:s, s:s, s:s}", "name", "fineprune", "version", fineprune_version(), "libraries",
                     fineprune_version_long());
}

// Programs that read a report of pruning find these lists also when they are empty.
static const char *const lists[] = {"skipped", "drift", "gates"};

struct fineprune_report *fp_report_new(const char *command) {
    struct fineprune_report *report = fp_calloc(1, sizeof(*report));
    if (!report) return NULL;
    report->root = json_pack("{s:s, s:o, s:s}", "schema", FP_REPORT_SCHEMA, "tool", make_tool(), "command", command);
    bool whole = report->root != NULL, prunes = strcmp(command, "prune") == 0 || strcmp(command, "apply") == 0;
    for (size_t i = 0; i < FP_COUNT(lists) && whole && prunes; i++) whole = fp_report_array(report, lists[i]) != NULL;
    if (whole) return report;
    fineprune_report_free(report);
    return NULL;
}

struct fineprune_report *fp_report_parse(const char *text) {
    struct fineprune_report *report = fp_calloc(1, sizeof(*report));
    if (!report) return NULL;
    report->root = json_loads(text, 0, NULL);
    if (json_is_object(report->root)) return report;
    fineprune_report_free(report);
    return NULL;
}

void fineprune_report_free(struct fineprune_report *report) {
    if (!report) return;
    json_decref(report->root);
    free(report);
}

static json_t *member(struct fineprune_report *report, const char *name, json_t *(*make)(void)) {
    json_t *value = json_object_get(report->root, name);
    if (value) return value;
    value = make();
    if (!value || json_object_set_new(report->root, name, value)) return NULL;
    return value;
}

json_t *fp_report_object(struct fineprune_report *report, const char *name) {
    return member(report, name, json_object);
}

json_t *fp_report_array(struct fineprune_report *report, const char *name) { return member(report, name, json_array); }

// The length of the valid UTF-8 character at s, 0 when there is none.
static size_t utf8_length(const unsigned char *s) {
    if (*s < 0x80) return 1;
    size_t n = 0;
    if (*s >= 0xc2 && *s < 0xe0) n = 2;
    else if (*s >= 0xe0 && *s < 0xf0) n = 3;
    else if (*s >= 0xf0 && *s < 0xf5) n = 4;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f)) return 0;
    if ((*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

json_t *fp_report_string(const char *text) {
    size_t length = strlen(text), n = 0;
    FP_STAGE(room, "a text");
    char *clean = fp_arena_take(&room, length + 1, 3); // a bad byte becomes the three of U+FFFD
    if (!clean) return NULL;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t step = utf8_length(s);
        if (step) memcpy(clean + n, s, step);
        else memcpy(clean + n, "\xef\xbf\xbd", 3);
        n += step ? step : 3;
        s += fp_most(step, 1);
    }
    return json_stringn(clean, n);
}

json_t *fp_report_real(double value) {
    if (!isfinite(value)) return json_null();
    return json_real(value);
}

void fp_report_say(struct fineprune_report *report, const char *format, ...) {
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!report) return;
    json_t *notes = fp_report_array(report, "notes");
    for (size_t i = 0; notes && i < json_array_size(notes); i++) // several tries say the same
        if (!strcmp(json_string_value(json_array_get(notes, i)), text)) return;
    if (notes) json_array_append_new(notes, fp_report_string(text));
}

static int put(struct fineprune_report *report, const char *section, const char *key, json_t *value) {
    json_t *object = section ? fp_report_object(report, section) : report->root;
    if (!object || json_object_set_new(object, key, value)) return FINEPRUNE_LIMIT;
    return FINEPRUNE_OK;
}

int fineprune_report_note(struct fineprune_report *report, const char *section, const char *key, const char *value) {
    return put(report, section, key, fp_report_string(value));
}

int fineprune_report_number(struct fineprune_report *report, const char *section, const char *key, double value) {
    bool whole = value == floor(value) && fabs(value) < 1e15; // a count, which is written without a point
    return put(report, section, key, whole ? json_integer((json_int_t)value) : fp_report_real(value));
}

// A new object with the members in that order, those that are not in it behind.
static json_t *sorted(json_t *object, const char *const *names, size_t n) {
    json_t *result = json_object(), *value;
    const char *key;
    int failed = !result;
    for (size_t i = 0; i < n && !failed; i++) {
        value = json_object_get(object, names[i]);
        if (value) failed = json_object_set(result, names[i], value);
    }
    json_object_foreach(object, key, value) {
        if (!failed && !json_object_get(result, key)) failed = json_object_set(result, key, value);
    }
    if (!failed) return result;
    json_decref(result);
    return NULL;
}

char *fineprune_report_json(const struct fineprune_report *report) {
    static const char *const stages[] = {"load",  "prepare", "forward", "statistics",
                                         "solve", "write",   "seconds", "samples_per_second"};
    json_t *root = sorted(report->root, order, FP_COUNT(order)), *timing = json_object_get(root, "timing");
    int failed = !root || (timing && json_object_set_new(root, "timing", sorted(timing, stages, FP_COUNT(stages))));
    char *text = NULL;
    if (!failed) text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (!text) return NULL;
    char *line = fp_format("%s\n", text);
    free(text);
    return line;
}
