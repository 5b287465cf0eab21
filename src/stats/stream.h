// SPDX-License-Identifier: Apache-2.0
// All samples side by side through the main graph, as far as a node at a time: what a weight sees can be looked at, the
// weight changed, and the samples go on from there. The values that later nodes read are kept at the last place where
// those of all samples take little memory; from there each step runs anew.
#ifndef FP_STREAM_H
#define FP_STREAM_H

#include "stats/batches.h"

struct fp_stream;

// How many samples each of a stream's batches has: for fp_batch_visitor's sizes, so that a run beside it sees the same
// rows in the same order even where a network's inside is not batch-major. n numbers at most in *out, which is the
// caller's. Errors: LIMIT.
int fp_stream_sizes(size_t **out, const struct fineprune_data *data, const size_t *samples, size_t n,
                    const fineprune_run_options *options, fineprune_error *err);
// Over the given samples, which must live as long. budget: bytes of values that may be kept. Errors: LIMIT.
int fp_stream_new(struct fp_stream **out, struct fp_exec *exec, const struct fineprune_model *model,
                  struct fineprune_data *data, const size_t *samples, size_t n, size_t budget,
                  const fineprune_run_options *options, fineprune_error *err);
// Runs every batch up to `node` and through it; nodes come in the order of the graph. visitor: begin and observer; end
// is not called. Errors: as fp_batches_run.
int fp_stream_run(struct fp_stream *stream, const struct fp_node *node, const struct fp_batch_visitor *visitor,
                  fineprune_error *err);
void fp_stream_free(struct fp_stream *stream);

#endif
