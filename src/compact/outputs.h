// SPDX-License-Identifier: Apache-2.0
// Classes that are pruned leave the output of a classifier: the rows of its last layer, what scales and shifts them,
// and the columns that come out.
#ifndef FP_COMPACT_OUTPUTS_H
#define FP_COMPACT_OUTPUTS_H

#include "onnx/model.h"

// kept: indices of the n of `classes` classes that stay, ascending. The class of each new column is noted in the
// metadata as "fineprune.outputs_kept", and lists of names in the metadata (labels, classes, names, ...) lose those of
// the others. Where something stands between the last layer and the output that does not keep classes apart,
// reason[200] says what, and nothing is changed; else it is "". model->graph is another then. Errors: MODEL, LIMIT; the
// model is then not to be used.
int fp_outputs_shrink(struct fineprune_model *model, const size_t *kept, size_t n, size_t classes, char *reason,
                      fineprune_error *err);

#endif
