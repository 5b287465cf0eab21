// SPDX-License-Identifier: Apache-2.0
// The co-activations of all rows of a convolution, without the rows. What column (c, k) and column (c', k') have in
// common depends, but for the borders, on the distance between the kernel positions k and k' alone: the matrix is block
// Toeplitz, axis by axis. So the products of the input with itself at a distance are taken once for each distance, in
// parts that end where some pair's border does, and every block of the matrix is a sum of such parts. A 3 x 3 kernel
// over 7 x 7 positions needs a fifth of the arithmetic of its written rows.
#ifndef FP_SHIFT_GRAM_H
#define FP_SHIFT_GRAM_H

#include "stats/columns.h"

struct fp_shift_gram;

// For inputs that lie as c's. *out is NULL, without an error, where this is no way: only for convolutions of one group,
// of some channels and a kernel of several elements, but not very many. Errors: LIMIT.
int fp_shift_gram_new(struct fp_shift_gram **out, const struct fp_columns *c, fineprune_error *err);
bool fp_shift_gram_fits(const struct fp_shift_gram *s, const struct fp_columns *c); // whether c's inputs lie so
// Whether all rows of a unit take less arithmetic than `rows` rows that are written out, and no more memory than the
// matrix.
bool fp_shift_gram_pays(const struct fp_shift_gram *s, size_t rows);
size_t fp_shift_gram_bytes(const struct fp_shift_gram *s); // of memory from the first unit on
// Adds one unit's rows. Float32 products of some thousand rows at a time, which are added in double in the order of the
// units; the same with any threads. Errors: LIMIT.
int fp_shift_gram_add(struct fp_shift_gram *s, const struct fp_columns *c, size_t unit, int threads,
                      fineprune_error *err);
// Adds what was gathered to the lower triangle of gram, cols * cols doubles. fresh: it is all zeros and not yet read.
// Errors: LIMIT.
int fp_shift_gram_finish(struct fp_shift_gram *s, double *gram, bool fresh, int threads, fineprune_error *err);
void fp_shift_gram_free(struct fp_shift_gram *s); // accepts NULL

#endif
