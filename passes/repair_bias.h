// SPDX-License-Identifier: Apache-2.0
// The bias takes over the mean of what a row has lost.
#ifndef FP_REPAIR_BIAS_H
#define FP_REPAIR_BIAS_H

#include "pass.h"

// bias_change = (dense - values) . E[x], for every row.
void fp_repair_bias_change(struct fp_job *job, struct fp_layer *layer);

#endif
