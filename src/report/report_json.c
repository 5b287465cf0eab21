// SPDX-License-Identifier: Apache-2.0
// The report as JSON, by the tables of its members.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "report/report_fields.h"
#include "base/numbers.h"

static json_t *object_of(const struct fp_fields *fields, const void *section);

static json_t *real(double value) {
    if (!isfinite(value)) return json_null();
    return json_real(value);
}

// A count, which is written without a point, or a real number.
static json_t *number(double value) {
    if (value == floor(value) && fabs(value) < 1e15) return json_integer((json_int_t)value);
    return real(value);
}

static json_t *dim(const struct fp_report_shape *shape, int i) {
    if (shape->dims[i] >= 0) return json_integer((json_int_t)shape->dims[i]);
    if (shape->symbols && shape->symbols[i]) return json_string(shape->symbols[i]);
    return json_string("?");
}

static json_t *shape_of(const struct fp_report_shape *shape) {
    json_t *array = json_array();
    bool whole = array;
    for (int i = 0; i < shape->rank && whole; i++) whole = json_array_append_new(array, dim(shape, i)) == 0;
    if (whole) return array;
    json_decref(array);
    return NULL;
}

static json_t *item(const struct fp_field *field, const void *items, size_t i) {
    if (field->kind == FP_TEXTS) return json_string(((const char *const *)items)[i]);
    if (field->kind == FP_COUNTS) return json_integer((json_int_t)((const size_t *)items)[i]);
    return object_of(field->inside, (const char *)items + i * field->inside->size);
}

static json_t *array_of(const struct fp_field *field, const void *section) {
    const struct fp_list list = fp_field_list(field, section);
    json_t *array = json_array();
    bool whole = array;
    for (size_t i = 0; i < list.n && whole; i++) whole = json_array_append_new(array, item(field, list.items, i)) == 0;
    if (whole) return array;
    json_decref(array);
    return NULL;
}

static json_t *value_of(const struct fp_field *field, const void *section) {
    const void *at = (const char *)section + field->offset;
    const double value = fp_field_real(field, section);
    switch (field->kind) {
    case FP_TEXT: return json_string(fp_field_text(field, section));
    case FP_FLAG: return json_boolean(value != 0);
    case FP_COUNT_OF: return json_integer((json_int_t) * (const size_t *)at);
    case FP_WHOLE: return json_integer((json_int_t) * (const int64_t *)at);
    case FP_REAL_OR_AUTO: return value < 0 ? json_string("auto") : real(value);
    case FP_NUMBER: return number(value);
    case FP_SHAPE: return shape_of(at);
    case FP_TEXTS:
    case FP_COUNTS:
    case FP_ITEMS: return array_of(field, section);
    case FP_SECTION:
    case FP_PART: return object_of(field->inside, fp_field_section(field, section));
    default: return real(value);
    }
}

static json_t *object_of(const struct fp_fields *fields, const void *section) {
    json_t *object = json_object();
    bool whole = object;
    for (size_t i = 0; i < fields->n && whole; i++)
        if (fp_field_shown(&fields->items[i], section))
            whole = json_object_set_new(object, fields->items[i].key, value_of(&fields->items[i], section)) == 0;
    if (whole) return object;
    json_decref(object);
    return NULL;
}

// ---- the whole, with what a program has added

static bool is_of(const struct fp_report_extra *extra, const char *section) {
    return extra->key && extra->section && !strcmp(extra->section, section);
}

static bool is_begun(const struct fineprune_report *report, const char *section, size_t before) {
    for (size_t i = 0; i < before; i++)
        if (is_of(&report->extras.items[i], section)) return true;
    return false;
}

static bool put_extra(json_t *to, const struct fp_report_extra *extra) {
    return json_object_set_new(to, extra->key, extra->text ? json_string(extra->text) : number(extra->number)) == 0;
}

static bool put_section(json_t *root, const struct fineprune_report *report, const char *name, json_t *section) {
    bool whole = json_object_set_new(root, name, section) == 0;
    for (size_t i = 0; i < report->extras.n && whole; i++)
        if (is_of(&report->extras.items[i], name)) whole = put_extra(section, &report->extras.items[i]);
    return whole;
}

static bool put_all(json_t *root, const struct fineprune_report *report) {
    const struct fp_report_extras *extras = &report->extras;
    bool whole = root;
    for (size_t i = 0; i < fp_report_fields.n && whole; i++) {
        const struct fp_field *field = &fp_report_fields.items[i];
        if (fp_field_shown(field, report)) whole = put_section(root, report, field->key, value_of(field, report));
        else if (is_begun(report, field->key, extras->n)) whole = put_section(root, report, field->key, json_object());
    }
    for (size_t i = 0; i < extras->n && whole; i++) {
        const struct fp_report_extra *e = &extras->items[i];
        if (e->key && !e->section) whole = put_extra(root, e);
        else if (e->key && !fp_field_find(&fp_report_fields, e->section) && !is_begun(report, e->section, i))
            whole = put_section(root, report, e->section, json_object());
    }
    return whole;
}

char *fineprune_report_json(const struct fineprune_report *report) {
    FP_PLAIN_NUMBERS;
    json_t *root = report->arena.failed ? NULL : json_object();
    char *text = NULL, *line = NULL;
    if (put_all(root, report)) text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (text) line = fp_format("%s\n", text);
    free(text);
    json_decref(root);
    return line;
}
