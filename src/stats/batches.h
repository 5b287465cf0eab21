// SPDX-License-Identifier: Apache-2.0
// Running many samples through a graph, batch by batch.
#ifndef FP_BATCHES_H
#define FP_BATCHES_H

#include "data/data.h"
#include "exec/exec.h"

struct fp_batch {
    const size_t *samples; // numbers of the samples
    size_t n;              // samples that count
    size_t size;           // samples in the tensors: n, or more when a fixed batch was filled up
};

struct fp_batch_visitor {
    int (*begin)(void *user, const struct fp_batch *batch, fineprune_error *err); // before the run; may be NULL
    int (*end)(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs,
               fineprune_error *err);   // after it; outputs are lent; may be NULL
    const struct fp_observer *observer; // may be NULL
    void *user;
    const size_t
        *sizes; // of the batches, as a run before had them; NULL: as the model, the options and the memory allow
};

// Runs the given samples in their order. `stage` is for progress. Errors: those of the parts, CANCELLED.
int fp_batches_run(struct fp_exec *exec, const struct fineprune_model *model, struct fineprune_data *data,
                   const size_t *samples, size_t n, const fineprune_run_options *options, const char *stage,
                   const struct fp_batch_visitor *visitor, fineprune_error *err);

#endif
