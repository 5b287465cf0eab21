// SPDX-License-Identifier: Apache-2.0
// What must hold of a parsed file before anything is made of it.
#ifndef FP_HEADER_H
#define FP_HEADER_H

#include "onnx/model.h"

// Versions and operator sets, that there are outputs, that each tensor has its elements in one place, and the order of
// stored sparse indices. Errors: MODEL, naming file, thing and value.
int fp_header_check(struct fineprune_model *model, fineprune_error *err);

#endif
