// SPDX-License-Identifier: Apache-2.0
// Mean and variance of a row, and normalizing it: shared by the normalizations of layers and of groups.
#ifndef FP_NORM_ROW_H
#define FP_NORM_ROW_H

#include <stddef.h>

// Mean and 1 / sqrt(variance + epsilon) of n > 0 values. Two passes, always in the same order.
void fp_moments(const float *x, size_t n, float epsilon, float *mean, float *inverse);
// 1 / sqrt(mean of squares + epsilon).
float fp_root_mean(const float *x, size_t n, float epsilon);
// y = (x - mean) * inverse * scale + bias; scale and bias may be NULL. y may be x.
void fp_normalize(float *y, const float *x, size_t n, float mean, float inverse, const float *scale, const float *bias);

#endif
