// SPDX-License-Identifier: Apache-2.0
// Products of a recurrent layer whose weights are eight-bit numbers and whose data are quantized as they come.
#ifndef FP_RNN_QUANTIZED_H
#define FP_RNN_QUANTIZED_H

#include "kernel/op.h"

// Inputs of DynamicQuantizeLSTM, after those of LSTM.
enum { FP_W_SCALE = 8, FP_W_ZERO, FP_R_SCALE, FP_R_ZERO };

// Weights of input `slot` (1 or 2) [directions, k, n] with their scales and zero points: one a direction, or
// [directions, n].
int fp_quantized_check(struct fp_call *call, int slot, int64_t directions, int64_t k, int64_t n);
// y[m, n] = x[m, k] w[k, n] + bias[n] (may be NULL), x as uint8 by its least and greatest number.
int fp_quantized_product(struct fp_call *call, int slot, int direction, const float *x, size_t m, const float *bias,
                         float *y);

#endif
