// SPDX-License-Identifier: Apache-2.0
// Multiply-adds from the shapes of a call. The view of a row's weights says how its product sums.
#include "kernel/products.h"

bool fp_op_multiplies(const struct fp_op *op) { return op->weight.view != FP_VIEW_NONE || op->products; }

static size_t times(size_t a, size_t b) {
    size_t product;
    if (!fp_mul(a, b, &product)) return SIZE_MAX;
    return product;
}

static size_t plus(size_t a, size_t b) {
    size_t sum;
    if (!fp_add(a, b, &sum)) return SIZE_MAX;
    return sum;
}

// Each element of the result is a sum over the inner extent: rows or columns of the left operand.
static size_t of_matrices(const struct fp_call *call) {
    const struct fp_tensor *a = call->in[0];
    const bool turned = call->op->weight.view != FP_VIEW_MATRIX && fp_attr_int(call->node, "transA", 0) && a->rank > 1;
    if (!a->rank) return 0;
    return times(call->out[0].count, (size_t)a->dims[a->rank - 1 - turned]);
}

// Each position of the result takes a whole kernel of its group; of a transposed one, each position of the input.
static size_t of_kernels(const struct fp_call *call, const struct fp_tensor *positions) {
    const struct fp_tensor *w = call->in[1];
    if (!w->count) return 0;
    return times(positions->count, w->count / (size_t)w->dims[0]);
}

// Every step of every sequence meets both matrices, padding too.
static size_t of_steps(const struct fp_call *call, int slot) {
    const size_t steps = times((size_t)call->in[0]->dims[0], (size_t)call->in[0]->dims[1]);
    if (slot > 0) return times(steps, call->in[slot]->count);
    return plus(times(steps, call->in[1]->count), times(steps, call->in[2]->count));
}

// The weight of a fused attention: every row of the input meets it.
static size_t of_projection(const struct fp_call *call) {
    const struct fp_tensor *w = call->in[1];
    return times(call->in[0]->count, (size_t)w->dims[w->rank - 1]);
}

static size_t of_view(const struct fp_call *call, int slot) {
    switch ((enum fp_weight_view)call->op->weight.view) {
    case FP_VIEW_MATRIX:
    case FP_VIEW_SCALED:
    case FP_VIEW_GEMM: return of_matrices(call);
    case FP_VIEW_CONV: return of_kernels(call, &call->out[0]);
    case FP_VIEW_CONV_TRANSPOSE: return of_kernels(call, call->in[0]);
    case FP_VIEW_RECURRENT:
    case FP_VIEW_RECURRENT_GATED: return of_steps(call, slot);
    case FP_VIEW_INNER: return of_projection(call);
    default: return 0;
    }
}

size_t fp_call_products(const struct fp_call *call, int slot) {
    const size_t weights = of_view(call, slot);
    if (!call->op->products || (slot >= 0 && weights)) return weights;
    return plus(weights, call->op->products(call));
}
