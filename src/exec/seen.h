// SPDX-License-Identifier: Apache-2.0
// Whether a node must be prepared again.
#ifndef FP_SEEN_H
#define FP_SEEN_H

#include "exec/exec_parts.h"

bool fp_needs_prepare(const struct fp_cell *cell, const struct fp_arguments *a);
// Keeps what the cell is now prepared for; false when out of memory.
bool fp_see_arguments(struct fp_cell *cell, const struct fp_arguments *a);

#endif
