// SPDX-License-Identifier: Apache-2.0
// Where a sliding window goes: the attributes that convolutions and poolings share, checked, with the shape that
// follows.
#ifndef FP_WINDOW_H
#define FP_WINDOW_H

#include "kernel/op.h"

enum { FP_WINDOW_MAX = FP_MAX_RANK - 2 };
struct fp_window {
    int n; // spatial dims
    int64_t in[FP_WINDOW_MAX], out[FP_WINDOW_MAX], kernel[FP_WINDOW_MAX], stride[FP_WINDOW_MAX],
        dilation[FP_WINDOW_MAX];
    int64_t begin[FP_WINDOW_MAX], end[FP_WINDOW_MAX]; // padding
    bool reaches_out;                                 // ceil_mode: the last window goes past the padding
};

// Reads strides, dilations, pads, auto_pad and ceil_mode for data of shape [N, C, ...]. kernel: the spatial dims of the
// weights (kernel_shape must agree when it is there), NULL: kernel_shape is needed.
int fp_window_read(struct fp_call *call, struct fp_window *w, const struct fp_tensor *x, const int64_t *kernel);
// The first part of it: kernel, strides and dilations only.
int fp_window_steps(struct fp_call *call, struct fp_window *w, const struct fp_tensor *x, const int64_t *kernel);
// `n` attribute values of a spatial attribute into dst, `absent` when the attribute is; each must lie in least..2^31-1.
int fp_window_ints(struct fp_call *call, const char *name, int n, int64_t *dst, int64_t absent, int64_t least);
// Reach of the kernel along spatial axis i.
static inline int64_t fp_window_reach(const struct fp_window *w, int i) {
    return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

#endif
