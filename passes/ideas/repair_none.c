// SPDX-License-Identifier: Apache-2.0
// What is kept stays as it was.
#include "pass.h"

static int run(struct fp_job *job, struct fp_layer *layer) {
    (void)job;
    for (size_t i = 0; i < layer->w->count; i++) layer->values[i] = layer->keep[i] ? fp_layer_target(layer)[i] : 0;
    memset(layer->bias_change, 0, fp_layer_rows(layer) * sizeof(double));
    return FINEPRUNE_OK;
}

const struct fp_repair fp_repair_none = {"none", "what is kept stays as it was", 0, run};
