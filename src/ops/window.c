// SPDX-License-Identifier: Apache-2.0
// The attributes that convolutions and poolings share.
#include "ops/window.h"

int fp_window_ints(struct fp_call *call, const char *name, int n, int64_t *dst, int64_t absent, int64_t least) {
    size_t count;
    const int64_t *v = fp_attr_ints(call->node, name, &count);
    if (v && count != (size_t)n)
        return fp_call_fail(call, "attribute '%s' has %zu values, the data have %d", name, count, n);
    for (int i = 0; i < n; i++) {
        dst[i] = absent;
        if (v) dst[i] = v[i];
        if (dst[i] < least || dst[i] > INT32_MAX)
            return fp_call_fail(call, "attribute '%s' has the value %lld, which must be at least %lld", name,
                                (long long)dst[i], (long long)least);
    }
    return 0;
}

int fp_window_steps(struct fp_call *call, struct fp_window *w, const struct fp_tensor *x, const int64_t *kernel) {
    *w = (struct fp_window){.n = x->rank - 2};
    if (w->n < 1) return fp_call_fail(call, "the data need at least 3 dims, there are %d", x->rank);
    int status = fp_window_ints(call, "strides", w->n, w->stride, 1, 1);
    if (!status) status = fp_window_ints(call, "dilations", w->n, w->dilation, 1, 1);
    if (!status) status = fp_window_ints(call, "kernel_shape", w->n, w->kernel, kernel != NULL, 1);
    if (status) return status;
    for (int i = 0; i < w->n; i++) {
        w->in[i] = x->dims[i + 2];
        if (kernel && fp_attr_has(call->node, "kernel_shape") && w->kernel[i] != kernel[i])
            return fp_call_fail(call, "kernel_shape is %lld along spatial axis %d, the weights have %lld",
                                (long long)w->kernel[i], i, (long long)kernel[i]);
        if (kernel) w->kernel[i] = kernel[i];
        if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX)
            return fp_call_fail(call, "a kernel of %lld along spatial axis %d", (long long)w->kernel[i], i);
    }
    return 0;
}

// One output per stride: the padding follows.
static void same(struct fp_window *w, bool upper) {
    for (int i = 0; i < w->n; i++) {
        w->out[i] = (w->in[i] + w->stride[i] - 1) / w->stride[i];
        int64_t total = (w->out[i] - 1) * w->stride[i] + fp_window_reach(w, i) - w->in[i];
        total = fp_most_int(total, 0);
        if (upper) w->begin[i] = total / 2;
        else w->begin[i] = total - total / 2;
        w->end[i] = total - w->begin[i];
    }
}

static int slide(struct fp_call *call, struct fp_window *w, bool ceil_mode) {
    for (int i = 0; i < w->n; i++) {
        int64_t padded = w->in[i] + w->begin[i] + w->end[i], room = padded - fp_window_reach(w, i);
        if (room < 0)
            return fp_call_fail(
                call, "the kernel reaches over %lld elements along spatial axis %d, the padded data have %lld",
                (long long)fp_window_reach(w, i), i, (long long)padded);
        int64_t rest = 0;
        if (ceil_mode) rest = w->stride[i] - 1;
        w->out[i] = (room + rest) / w->stride[i] + 1;
        if (ceil_mode && (w->out[i] - 1) * w->stride[i] >= w->in[i] + w->begin[i])
            w->out[i]--; // a window that would start in the padding at the end
        if ((w->out[i] - 1) * w->stride[i] > room) w->reaches_out = true;
    }
    return 0;
}

int fp_window_read(struct fp_call *call, struct fp_window *w, const struct fp_tensor *x, const int64_t *kernel) {
    int status = fp_window_steps(call, w, x, kernel);
    if (status) return status;
    const char *pad = fp_attr_text(call->node, "auto_pad", "NOTSET");
    if (strcmp(pad, "SAME_UPPER") == 0 || strcmp(pad, "SAME_LOWER") == 0) {
        same(w, strcmp(pad, "SAME_UPPER") == 0);
        return 0;
    }
    bool valid = strcmp(pad, "VALID") == 0;
    if (!valid && strcmp(pad, "NOTSET") != 0 && *pad) return fp_call_fail(call, "auto_pad '%s' is not known", pad);
    int64_t pads[2 * FP_WINDOW_MAX] = {0};
    if (!valid) status = fp_window_ints(call, "pads", 2 * w->n, pads, 0, 0);
    if (status) return status;
    for (int i = 0; i < w->n; i++) {
        w->begin[i] = pads[i];
        w->end[i] = pads[i + w->n];
    }
    return slide(call, w, fp_attr_int(call->node, "ceil_mode", 0) != 0);
}
