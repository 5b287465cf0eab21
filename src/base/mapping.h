// SPDX-License-Identifier: Apache-2.0
// Files mapped into memory, private and writable: a changed page becomes ours, the file never changes. Of large models
// neither what was read nor what was changed stays in memory: pages are given back to the system, and changes go to an
// unnamed temporary file.
#ifndef FP_MAPPING_H
#define FP_MAPPING_H

#include "base/stamp.h"

#define FP_LARGE_FILES ((size_t)1 << 30) // mapped together, from where on memory is saved

struct fp_mapping {
    struct fp_mapping *next;
    char *location; // as the model names it; NULL for the model file itself
    uint8_t *data;
    size_t size;
    char *path;            // as it was opened
    struct fp_stamp stamp; // as it was opened
    uint8_t *changed;      // a bit a page: it is ours, and lost when it is dropped; NULL: none is
    int scratch;           // the temporary file with changed ranges at their places, mapped over the file's; 0: none
};

// Maps a whole regular file. The caller links and unmaps it. Errors: IO.
int fp_mapping_open(struct fp_mapping **out, const char *path, fineprune_error *err);
// The same of all that comes from standard input, at most so many bytes, kept in memory. Errors: IO, LIMIT.
int fp_mapping_standard_input(struct fp_mapping **out, size_t most, fineprune_error *err);
// A copy of bytes that are the caller's; path "". Errors: LIMIT.
int fp_mapping_bytes(struct fp_mapping **out, const void *bytes, size_t size, fineprune_error *err);
void fp_mapping_free(struct fp_mapping *list);
// Whether the files are as they were when they were opened, as far as their times tell; one that was replaced by
// another is, too. Errors: IO, naming the file that was written to meanwhile.
int fp_mapping_unchanged(const struct fp_mapping *list, fineprune_error *err);
// Whether the pointer lies in one of the mappings.
bool fp_mapping_holds(const struct fp_mapping *list, const void *data);
bool fp_mapping_is_large(const struct fp_mapping *list);
// Copies src to dst, which may lie in a mapping or not. When the mappings are large, a large range goes to a temporary
// file in `folder` (NULL: to memory). Errors: IO, LIMIT.
int fp_mapping_write(struct fp_mapping *list, const char *folder, void *dst, const void *src, size_t size,
                     fineprune_error *err);
// The range is about to be changed by other means.
int fp_mapping_mark(struct fp_mapping *list, const void *data, size_t size, fineprune_error *err);
// When the mappings are large: the pages within the range are not needed soon. Their contents stay.
void fp_mapping_drop(const struct fp_mapping *list, const void *data, size_t size);

#endif
