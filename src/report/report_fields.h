// SPDX-License-Identifier: Apache-2.0
// The members of a section as a table, by which they are copied, found by name and written as JSON.
#ifndef FP_REPORT_FIELDS_H
#define FP_REPORT_FIELDS_H

#include "report/report_sections.h"

enum fp_field_kind {
    FP_TEXT,         // const char *; NULL: left out
    FP_FLAG,         // bool
    FP_COUNT_OF,     // size_t
    FP_WHOLE,        // int64_t
    FP_REAL,         // double; left out where it is not finite
    FP_REAL_OR_NULL, // double; null where it is not finite
    FP_REAL_OR_AUTO, // double; "auto" where it is negative
    FP_NUMBER,       // double, written as a count where it is whole; left out where it is not finite
    FP_SHAPE,        // struct fp_report_shape
    FP_TEXTS,        // struct fp_texts
    FP_COUNTS,       // struct fp_counts
    FP_SECTION,      // a struct's address; NULL: left out
    FP_PART,         // a struct
    FP_ITEMS,        // a list of structs
};

struct fp_field {
    const char *key;
    enum fp_field_kind kind;
    size_t offset;
    bool (*shown)(const void *section); // NULL: always
    const struct fp_fields *inside;     // of a section, part or item
};
struct fp_fields {
    const struct fp_field *items;
    size_t n, size;    // bytes of the struct
    const void *empty; // one in which nothing is known, of a section that a program may begin; or NULL
};

// Any of the lists.
struct fp_list {
    void *items;
    size_t n, room;
    bool there;
};

// The members of the whole report, in the order in which they are written; and of "config".
extern const struct fp_fields fp_report_fields, fp_config_fields;

struct fineprune_report;

// Copies a section into the report's memory, and its address to *slot; appends a copy of an item to a list.
void fp_report_place(struct fineprune_report *report, void *slot, const struct fp_fields *fields, const void *section);
void fp_report_append(struct fineprune_report *report, void *list, const struct fp_fields *fields, const void *item);

// By its key, or NULL.
const struct fp_field *fp_field_find(const struct fp_fields *fields, const char *key);
// The member's value, of its kind.
const char *fp_field_text(const struct fp_field *field, const void *section);
double fp_field_real(const struct fp_field *field, const void *section); // of a number or a flag, NAN for others
const void *fp_field_section(const struct fp_field *field, const void *section);
struct fp_list fp_field_list(const struct fp_field *field, const void *section);
// Whether it is written.
bool fp_field_shown(const struct fp_field *field, const void *section);

#endif
