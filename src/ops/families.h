// SPDX-License-Identifier: Apache-2.0
// The tables of operators, one per family; each ends with a row without a type. The list of names is families.def.
#ifndef FP_FAMILIES_H
#define FP_FAMILIES_H

#include "kernel/op.h"

#define FAMILY(name) extern const struct fp_op fp_ops_##name[];
#include "ops/families.def"
#undef FAMILY

#endif
