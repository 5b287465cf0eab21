// SPDX-License-Identifier: Apache-2.0
// Types of eight bits and less that are not plain integers: float8, float4, and integers of four and two bits, which
// files pack and memory holds one to a byte.
#ifndef FP_NARROW_H
#define FP_NARROW_H

#include "tensor/tensor.h"

enum fp_rounding { FP_ROUND_UP, FP_ROUND_DOWN, FP_ROUND_NEAREST }; // float8e8m0 only

// Whether the functions below, and not fp_convert, know the type: FLOAT8*, FLOAT4E2M1, UINT4, INT4, UINT2, INT2.
bool fp_is_narrow(enum fp_type type);
// Elements in a packed byte of a file: 2 for the 4-bit types, 4 for the 2-bit types, 1 for all others.
int fp_per_byte(enum fp_type type);
// n elements out of and into the packed form, low bits first. The packed form has (n + k - 1) / k bytes, k =
// fp_per_byte(type).
void fp_unpack(void *dst, const void *src, size_t n, enum fp_type type);
void fp_pack(void *dst, const void *src, size_t n, enum fp_type type);

// Value of a code, and the code nearest to a value (ties to even). saturate: out of range becomes the largest number,
// else NaN or infinity, by the tables of ONNX Cast. Integers wrap, as Cast has it.
float fp_narrow_to_float(enum fp_type type, uint8_t code);
uint8_t fp_float_to_narrow(enum fp_type type, float value, bool saturate, enum fp_rounding rounding);

// fp_convert for all numeric types, the narrow ones included (they go through float32).
void fp_convert_all(void *dst, enum fp_type to, const void *src, enum fp_type from, size_t n, bool saturate,
                    enum fp_rounding rounding);

#endif
