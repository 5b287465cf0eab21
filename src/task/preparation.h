// SPDX-License-Identifier: Apache-2.0
// Whether the samples look prepared as the model was trained: by what they are, and by what the model makes of them as
// they are and prepared in other ways. A word is said only where there is strong evidence, as nothing is refused.
#ifndef FP_PREPARATION_H
#define FP_PREPARATION_H

#include "data/data.h"

struct fineprune_report;

struct fp_preparation {
    struct fineprune_model *model;
    struct fineprune_data *data;
    const fineprune_run_options *options;
    // What output number `output` of the model gives, n x width; none: NULL. classes: they are known to be scores of
    // classes, which is judged else once it matters.
    const float *scores;
    size_t n, width;
    int output;
    bool classes;
    bool asks; // without scores the model is asked for some
};

// Adds to "warnings" what looks wrong. Errors: LIMIT, CANCELLED.
int fp_preparation_look(const struct fp_preparation *p, struct fineprune_report *report, fineprune_error *err);

#endif
