// SPDX-License-Identifier: Apache-2.0
// The names of the classes, where a file beside the model or its metadata have them.
#ifndef FP_TASK_NAMES_H
#define FP_TASK_NAMES_H

#include "base/arena.h"
#include "onnx/model.h"

struct fp_task_names {
    const char **names; // of class 0, 1, ...; NULL: there are none
    size_t n;
    char where[80]; // "labels.txt beside the model"
};

// width: how many classes there are, 0 where that is not known. Errors: LIMIT.
int fp_task_names_find(struct fp_task_names *out, const struct fineprune_model *model, size_t width,
                       struct fp_arena *room, fineprune_error *err);
// How many classes have that name, whose case does not count, and _ and - are blanks; *index is the first of them, and
// *guess (NULL: none) what it may have been meant for.
size_t fp_task_names_match(const struct fp_task_names *names, const char *name, size_t *index, const char **guess);
// The class of that name, of a folder. Errors: DATA: none or several have it.
int fp_task_names_index(const struct fp_task_names *names, const char *name, size_t *index, fineprune_error *err);

#endif
