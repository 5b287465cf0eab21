// SPDX-License-Identifier: Apache-2.0
// Values of members by their row in a table.
#include "report/report_fields.h"

#include <math.h>
#include <string.h>

const struct fp_field *fp_field_find(const struct fp_fields *fields, const char *key) {
    for (size_t i = 0; i < fields->n; i++)
        if (!strcmp(fields->items[i].key, key)) return &fields->items[i];
    return NULL;
}

static const void *place(const struct fp_field *field, const void *section) {
    return (const char *)section + field->offset;
}

const char *fp_field_text(const struct fp_field *field, const void *section) {
    if (field->kind != FP_TEXT) return NULL;
    return *(const char *const *)place(field, section);
}

double fp_field_real(const struct fp_field *field, const void *section) {
    const void *at = place(field, section);
    switch (field->kind) {
    case FP_FLAG: return *(const bool *)at;
    case FP_COUNT_OF: return (double)*(const size_t *)at;
    case FP_WHOLE: return (double)*(const int64_t *)at;
    case FP_REAL:
    case FP_REAL_OR_NULL:
    case FP_REAL_OR_AUTO:
    case FP_NUMBER: return *(const double *)at;
    default: return NAN;
    }
}

const void *fp_field_section(const struct fp_field *field, const void *section) {
    const void *inside = place(field, section);
    if (field->kind == FP_SECTION) memcpy(&inside, inside, sizeof(inside)); // a pointer of another type
    return inside;
}

struct fp_list fp_field_list(const struct fp_field *field, const void *section) {
    struct fp_list list; // of another type there
    memcpy(&list, place(field, section), sizeof(list));
    return list;
}

bool fp_field_shown(const struct fp_field *field, const void *section) {
    if (field->shown && !field->shown(section)) return false;
    switch (field->kind) {
    case FP_TEXT: return fp_field_text(field, section) != NULL;
    case FP_REAL:
    case FP_NUMBER: return isfinite(fp_field_real(field, section));
    case FP_SHAPE: return ((const struct fp_report_shape *)place(field, section))->rank >= 0;
    case FP_TEXTS:
    case FP_COUNTS:
    case FP_ITEMS: return fp_field_list(field, section).there;
    case FP_SECTION: return fp_field_section(field, section) != NULL;
    default: return true;
    }
}
