// SPDX-License-Identifier: Apache-2.0
// compare --layers: how far the output of each layer of the second model is from that of the first.
#ifndef FP_COMPARE_LAYERS_H
#define FP_COMPARE_LAYERS_H

#include "exec/exec.h"
#include "report/report.h"

struct fp_layer_pairs;

// One model, ready to run: its executor is watched from here on.
struct fp_layer_side {
    struct fineprune_model *model;
    struct fp_exec *exec;
    struct fp_tensor *inputs, *outputs; // of one batch
};

// Pairs what the nodes of both main graphs give: by name, else by the weight that they read. *out is what the caller
// frees in any case.
int fp_layers_open(struct fp_layer_pairs **out, const struct fp_layer_side *a, const struct fp_layer_side *b,
                   fineprune_error *err);
void fp_layers_free(struct fp_layer_pairs *pairs); // accepts NULL
// Runs both on the inputs that are there; the first n of `size` samples count.
int fp_layers_run(struct fp_layer_pairs *pairs, size_t n, size_t size, fineprune_error *err);
// How many samples may run together so that what is held of the first model stays small; SIZE_MAX before the first run.
size_t fp_layers_batch(const struct fp_layer_pairs *pairs);
// Puts "layer_errors".
void fp_layers_report(const struct fp_layer_pairs *pairs, struct fineprune_report *report);

#endif
