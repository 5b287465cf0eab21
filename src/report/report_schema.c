// SPDX-License-Identifier: Apache-2.0
// What a report in JSON may have, as JSON Schema, by the tables of its members.
#include <jansson.h>
#include <stdlib.h>

#include "report/report.h"
#include "report/report_fields.h"

static json_t *object_of(const struct fp_fields *fields);

static json_t *of_type(const char *type) { return json_pack("{s:s}", "type", type); }

static json_t *of_either(const char *a, const char *b) { return json_pack("{s:[s,s]}", "type", a, b); }

// NULL when out of memory; `items` is taken over.
static json_t *array_of(json_t *items) {
    if (!items) return NULL;
    return json_pack("{s:s,s:o}", "type", "array", "items", items);
}

static json_t *value_of(const struct fp_field *field) {
    switch (field->kind) {
    case FP_TEXT: return of_type("string");
    case FP_FLAG: return of_type("boolean");
    case FP_COUNT_OF:
    case FP_WHOLE: return of_type("integer");
    case FP_REAL_OR_NULL: return of_either("number", "null");
    case FP_REAL_OR_AUTO: return json_pack("{s:[{s:s},{s:s}]}", "anyOf", "type", "number", "const", "auto");
    case FP_SHAPE: return array_of(of_either("integer", "string"));
    case FP_TEXTS: return array_of(of_type("string"));
    case FP_COUNTS: return array_of(of_type("integer"));
    case FP_ITEMS: return array_of(object_of(field->inside));
    case FP_SECTION:
    case FP_PART: return object_of(field->inside);
    default: return of_type("number");
    }
}

// Whether it is in every such object.
static bool is_always_there(const struct fp_field *field) {
    static const bool kinds[] = {
        [FP_FLAG] = true,         [FP_COUNT_OF] = true, [FP_WHOLE] = true, [FP_REAL_OR_NULL] = true,
        [FP_REAL_OR_AUTO] = true, [FP_PART] = true,     [FP_ITEMS] = false};
    return !field->shown && kinds[field->kind];
}

static json_t *object_of(const struct fp_fields *fields) {
    json_t *members = json_object(), *required = json_array();
    bool whole = members && required;
    for (size_t i = 0; i < fields->n && whole; i++) {
        const struct fp_field *field = &fields->items[i];
        whole = json_object_set_new(members, field->key, value_of(field)) == 0;
        if (whole && is_always_there(field)) whole = json_array_append_new(required, json_string(field->key)) == 0;
    }
    if (whole) return json_pack("{s:s,s:o,s:o}", "type", "object", "properties", members, "required", required);
    json_decref(members);
    json_decref(required);
    return NULL;
}

char *fineprune_report_schema(void) {
    json_t *root = object_of(&fp_report_fields), *whole = NULL;
    char *text = NULL, *line = NULL;
    if (root)
        whole = json_pack("{s:s,s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                          "A report of fineprune", "description",
                          "Members may be added without another number of the schema; programs pass over what they do "
                          "not know.");
    if (whole && json_object_update(whole, root) == 0) text = json_dumps(whole, JSON_INDENT(2));
    if (text) line = fp_format("%s\n", text);
    free(text);
    json_decref(whole);
    json_decref(root);
    return line;
}
