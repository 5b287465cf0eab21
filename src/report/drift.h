// SPDX-License-Identifier: Apache-2.0
// How far the outputs of one model are from another's over the same samples, added up output by output and batch by
// batch.
#ifndef FP_DRIFT_H
#define FP_DRIFT_H

#include "onnx/graph.h"
#include "report/report.h"

struct fp_drift {
    const char *output;
    double aa, bb, ab, dd, max_abs; // sums of a^2, b^2, ab, (a - b)^2 in double
    double *columns;                // set by the caller, width of them: sums of (a - b)^2 of each column; NULL: none
    size_t width;                   // an output with other columns, or another rank than 2, adds nothing to them
    size_t count, answers, same;    // rows of class scores, and those with the same greatest
    bool classes;                   // rank 2 with more than one column in every batch so far
    bool no_answers;                // set by the caller: such rows are not answers
    bool labels; // integers, one a sample: the answers themselves, as a classifier with ArgMax gives them
};

// Adds one batch of an output: row-major tensors of the same shape (else FINEPRUNE_MODEL), converted to double as they
// are read. Strings and sequences are passed over. `use` (may be NULL) restricts answers to some columns.
int fp_drift_add(struct fp_drift *drift, const struct fp_tensor *a, const struct fp_tensor *b, const uint8_t *use,
                 fineprune_error *err);
// As one of "drift".
struct fp_report_drift fp_drift_told(const struct fp_drift *drift);

#endif
