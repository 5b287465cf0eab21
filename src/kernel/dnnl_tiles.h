// SPDX-License-Identifier: Apache-2.0
// Matrix products whose sums would depend on the number of rows or of threads, in tiles.
#ifndef FP_DNNL_TILES_H
#define FP_DNNL_TILES_H

#include "kernel/dnnl_matmul.h"

// The product that one tile of *s is, where so many threads run them.
void fp_tile_shape(const struct fp_matmul_shape *s, int threads, struct fp_matmul_shape *tile);
// Runs p->whole; p's primitive is of one tile, and has its weights, bias and tail bound.
int fp_tiles_run(struct fp_call *call, struct fp_matmul *p, const float *a, float *c);

#endif
