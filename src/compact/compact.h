// SPDX-License-Identifier: Apache-2.0
// Channels that no layer reads leave the model: its tensors become smaller, its outputs stay.
#ifndef FP_COMPACT_H
#define FP_COMPACT_H

#include "onnx/model.h"

enum { FP_COMPACT_MULTIPLE = 16 }; // of the channels that stay: what kernels of runtimes like

struct fp_compacted {
    size_t groups, cut;       // hidden groups of channels, and those that lost some
    size_t channels, removed; // of all groups
    size_t stay, kept_for;    // channels that nothing reads and that stay: what a multiple wants, other reasons
    size_t parameters, parameters_now;
    const char *reason; // of the group with the most channels that stay, static text; NULL: none does
};

// A channel of a group (weights/channels.h) leaves when all its readers' columns are zero, whoever pruned them, or can
// be made so because it is constant (constant_channels.h); where some leave, kept ones are a multiple of `multiple`, at
// least 1. What made it and all that goes with it on the way leaves too, which can free others: until there are none.
// Weights, masks and statistics of before belong to the model no more, and model->graph is another. Errors: MODEL,
// LIMIT; the model is then not to be used.
int fp_compact(struct fineprune_model *model, size_t multiple, const fineprune_run_options *run,
               struct fp_compacted *out, fineprune_error *err);

#endif
