// SPDX-License-Identifier: Apache-2.0
// Any element on its own.
#include "pass.h"

const struct fp_pattern fp_pattern_unstructured = {"unstructured", "any element on its own", NULL, NULL};
