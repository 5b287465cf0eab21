// SPDX-License-Identifier: Apache-2.0
// Files mapped into memory, private and writable: a changed page becomes ours, the file never changes.
#ifndef FP_MAPPING_H
#define FP_MAPPING_H

#include "base.h"

struct fp_mapping {
    struct fp_mapping *next;
    char *location; // as the model names it; NULL for the model file itself
    uint8_t *data;
    size_t size;
};

// Maps a whole regular file. The caller links and unmaps it. Errors: IO.
int fp_mapping_open(struct fp_mapping **out, const char *path, fineprune_error *err);
void fp_mapping_free(struct fp_mapping *list);
// Whether the pointer lies in one of the mappings.
bool fp_mapping_holds(const struct fp_mapping *list, const void *data);

#endif
