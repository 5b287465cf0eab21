// SPDX-License-Identifier: Apache-2.0
// A layer without the columns that are cut: what is left to repair is that much smaller.
#ifndef FP_LIVE_COLUMNS_H
#define FP_LIVE_COLUMNS_H

#include "base/arena.h"
#include "pass.h"

struct fp_live_columns {
    struct fp_arena arena; // of the narrowed arrays
    struct fp_layer layer; // rows, biases and what they point to are those of the whole layer
    struct fp_weight w;
    struct fp_stat stat;
    size_t *columns; // of the whole layer, one for each of w.cols; NULL: there is nothing to narrow
};

// For a layer with statistics and its keep. Narrows nothing where few columns are cut: then n->columns is NULL and the
// layer itself is to be used. Errors: LIMIT, when there is no memory for the copies; nothing is to be freed then.
int fp_live_columns_init(struct fp_live_columns *n, const struct fp_layer *whole, fineprune_error *err);
// Values, keep and errors into the whole layer; the cut columns get zeros.
void fp_live_columns_give(const struct fp_live_columns *n, struct fp_layer *whole);
void fp_live_columns_done(struct fp_live_columns *n);

#endif
