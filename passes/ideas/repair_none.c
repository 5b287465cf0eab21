// SPDX-License-Identifier: Apache-2.0
// What is kept stays as it was.
#include "pass.h"

static int run(struct fp_job *job, struct fp_layer *layer) {
    (void)job;
    fp_layer_start_repair(layer);
    memset(layer->bias_change, 0, fp_layer_rows(layer) * sizeof(double));
    return FINEPRUNE_OK;
}

const struct fp_repair fp_repair_none = {"none", "what is kept stays as it was", 0, run};
