// SPDX-License-Identifier: Apache-2.0
// The bias takes over the mean of what a row has lost.
#ifndef FP_REPAIR_BIAS_H
#define FP_REPAIR_BIAS_H

#include "pass.h"

// bias_change = (dense - values) . E[x], for every row, as it will be stored: on the grid of a quantized bias; 0 where
// there is none to write.
int fp_repair_bias_change(struct fp_job *job, struct fp_layer *layer);
// The sum of squares of what the rows' means still lack after that.
double fp_repair_bias_error(const struct fp_layer *layer);

#endif
