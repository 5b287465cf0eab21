// SPDX-License-Identifier: Apache-2.0
// Functions that operators name in an attribute: of recurrent layers and of fused products.
#ifndef FP_ACTIVATION_H
#define FP_ACTIVATION_H

#include "base/base.h"

struct fp_activation {
    const char *name;
    void (*apply)(float *x, size_t n, float a, float b); // in place
    bool has_a, has_b;
    float a, b; // where the node gives none
};
// By its name in capital or small letters; NULL when it is not known.
const struct fp_activation *fp_activation_find(const char *name);
// Whether two words differ in capitals at most.
bool fp_same_word(const char *a, const char *b);

#endif
