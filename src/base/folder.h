// SPDX-License-Identifier: Apache-2.0
// Folders that are filled with files. May one be: fineprune_folder_check.
#ifndef FP_FOLDER_H
#define FP_FOLDER_H

#include "base/base.h"

// Makes it, for its owner alone, where it is not there. Errors: IO.
int fp_folder_make(const char *path, fineprune_error *err);
// Whether it is, or lies somewhere below, the other one; it need not be there yet.
bool fp_folder_within(const char *path, const char *other);

#endif
