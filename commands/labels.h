// SPDX-License-Identifier: Apache-2.0
// What the samples of compare really are: classes from an array, a table of files, or the names of folders. Only
// compare reads them.
#ifndef FP_LABELS_H
#define FP_LABELS_H

#include "data/data.h"

struct fp_labels {
    struct fp_tensor classes; // int64, one a sample at least; or empty: there are none
    size_t folders;           // of classes that are counted by their order; 0: labels are not
    char from[200];           // what the report says of them, or ""
    char against[300];        // how they contradict the class folders that the samples lie in, or "";
    char evidence[200];       // and what shows it
};

// where: a .npy, a .csv, or "folders". The classes are those of `model`. Errors: DATA, IO, LIMIT.
int fp_labels_load(struct fp_labels *labels, const struct fineprune_model *model, struct fineprune_data *data,
                   const char *where, fineprune_error *err);
void fp_labels_done(struct fp_labels *labels);

// ---- labels.c and labels_csv.c

// A class number for each sample into classes (as many as there are samples), by a table of file and label.
int fp_labels_read_csv(int64_t *classes, const struct fineprune_model *model, size_t width,
                       const struct fineprune_data *data, const char *path, fineprune_error *err);
// That so many folders do not tell which classes they are.
int fp_labels_fail_folders(size_t folders, size_t width, fineprune_error *err);

#endif
