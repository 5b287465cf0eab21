// SPDX-License-Identifier: Apache-2.0
// How many multiply-adds a call takes: what multiplies two operands and sums, from the shapes alone. Elementwise work,
// padding and zeros count as any other element.
#ifndef FP_PRODUCTS_H
#define FP_PRODUCTS_H

#include "kernel/op.h"

// Whether the operator has products that can be counted.
bool fp_op_multiplies(const struct fp_op *op);
// Multiply-adds of a call that is prepared. slot: of a recurrent layer those of its weight at input 1 or 2; -1, and
// all others: of the whole call. SIZE_MAX when they are more.
size_t fp_call_products(const struct fp_call *call, int slot);

#endif
