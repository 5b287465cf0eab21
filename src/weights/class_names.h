// SPDX-License-Identifier: Apache-2.0
// What names tell of outputs.
#ifndef FP_CLASS_NAMES_H
#define FP_CLASS_NAMES_H

// Points by the name of an output or a weight alone: above 0 for classes, below 0 against, 0 when it tells nothing.
int fp_class_name_points(const char *name);
// What lists of class names are called, in a model's metadata and in files beside it; NULL behind the last.
extern const char *const fp_class_lists[];

#endif
