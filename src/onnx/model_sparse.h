// SPDX-License-Identifier: Apache-2.0
// Initializers of the main graph as sparse_initializer, for as long as a model is being written.
#ifndef FP_MODEL_SPARSE_H
#define FP_MODEL_SPARSE_H

#include "base/output.h"
#include "onnx/model.h"

// What was put in place of dense initializers. The values and indices are not held: their raw_data point to marks, and
// fp_sparse_write makes the bytes when a mark is packed.
struct fp_sparse_set;

// Changes the model's message: each initializer that takes fewer bytes so (all: any, else those that came as sparse
// ones) moves to sparse_initializer, in IR 6 or newer. Until fp_sparse_end nothing may read these tensors but
// fp_sparse_write. On success *out is the caller's. Errors: what loading a tensor gives, LIMIT.
int fp_sparse_begin(struct fp_sparse_set **out, struct fineprune_model *model, bool all, fineprune_error *err);
// The message as it was; frees the set. Accepts NULL.
void fp_sparse_end(struct fp_sparse_set *set);
void fp_sparse_count(const struct fp_sparse_set *set, fineprune_sparse_count *out);
// Whether `data` is a mark. set may be NULL.
bool fp_sparse_holds(const struct fp_sparse_set *set, const uint8_t *data);
// Writes the bytes that the mark stands for.
int fp_sparse_write(const struct fp_sparse_set *set, const uint8_t *mark, struct fp_output *output,
                    fineprune_error *err);

#endif
