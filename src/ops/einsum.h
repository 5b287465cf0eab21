// SPDX-License-Identifier: Apache-2.0
// An Einsum of two operands as a matrix product with one of them as its matrix.
#ifndef FP_EINSUM_H
#define FP_EINSUM_H

#include "onnx/graph.h"

enum fp_einsum_role {
    FP_EINSUM_GROUP,  // an axis of both operands and the result: a matrix for each of its positions
    FP_EINSUM_ROW,    // of the matrix and the result
    FP_EINSUM_COLUMN, // of both operands, and summed
};
// What each of the `rank` axes of input `slot` is. False when the equation is not such a product. *rows_last: its one
// row axis is the last one of the result.
bool fp_einsum_roles(const struct fp_node *node, int slot, int rank, enum fp_einsum_role *roles, bool *rows_last);

#endif
