// SPDX-License-Identifier: Apache-2.0
// Operators of com.microsoft that gather quantized numbers: QLinearGlobalAveragePool, QLinearAveragePool,
// QLinearSoftmax. Inputs are the data and scale and zero point of data and output.
#include <math.h>

#include "ops/families.h"
#include "ops/integer.h"
#include "ops/loops.h"
#include "ops/window.h"

static int channel_axis(const struct fp_tensor *x, bool last) {
    if (last) return x->rank - 1;
    return 1;
}

static int check(struct fp_call *call) {
    int status = fp_need_these(call, 0xb);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (!fp_is_byte(x->type)) return fp_bad_type(call, 0);
    status = fp_check_pair(call, 1, x->type);
    if (status) return status;
    return fp_check_pair(call, 3, x->type);
}

// One real number to a code of the output.
static void put(const struct fp_call *call, size_t at, float value) {
    uint8_t *y = (uint8_t *)call->out[0].data + at;
    fp_quantize_bytes(y, call->out[0].type, &value, 1, fp_parameter(call, 3, 0, 1), fp_parameter(call, 4, 0, 0));
}

static int prepare_global(struct fp_call *call) {
    int status = check(call);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->rank < 3 || x->count == 0) return fp_call_fail(call, "data of rank %d and %zu elements", x->rank, x->count);
    bool last = fp_attr_int(call->node, "channels_last", 0) != 0;
    int64_t dims[FP_MAX_RANK];
    int channel = channel_axis(x, last);
    for (int i = 0; i < x->rank; i++) {
        dims[i] = 1;
        if (i == 0 || i == channel) dims[i] = x->dims[i];
    }
    return fp_out(call, 0, x->type, x->rank, dims);
}

static int run_global(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    bool last = fp_attr_int(call->node, "channels_last", 0) != 0;
    size_t channels = (size_t)x->dims[channel_axis(x, last)], plane = x->count / (size_t)x->dims[0] / channels;
    size_t along = plane, step = 1; // from one channel to the next, and from one of its elements
    if (last) {
        along = 1;
        step = channels;
    }
    float scale = fp_parameter(call, 3, 0, 1), zero = fp_parameter(call, 4, 0, 0);
    for (size_t i = 0; i < call->out[0].count; i++) {
        size_t sample = i / channels, channel = i % channels, start = sample * channels * plane + channel * along;
        int64_t sum = 0;
        for (size_t j = 0; j < plane; j++) sum += fp_code(x->type, x->data, start + j * step);
        float mean = (float)(((double)sum / (double)plane - (double)fp_parameter(call, 2, 0, 0)) *
                             (double)fp_parameter(call, 1, 0, 1));
        fp_quantize_bytes((uint8_t *)call->out[0].data + i, x->type, &mean, 1, scale, zero);
    }
    return FINEPRUNE_OK;
}

// ---- QLinearAveragePool

static int prepare_average(struct fp_call *call) {
    int status = check(call);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->rank < 3) return fp_call_fail(call, "data of rank %d", x->rank);
    if (fp_attr_int(call->node, "channels_last", 0)) return fp_call_fail(call, "channels_last=1 is not supported");
    struct fp_window *w = fp_state(call, sizeof(*w));
    if (!w) return FINEPRUNE_LIMIT;
    status = fp_window_read(call, w, x, NULL);
    if (status) return status;
    int64_t dims[FP_MAX_RANK] = {x->dims[0], x->dims[1]};
    memcpy(dims + 2, w->out, (size_t)w->n * sizeof(dims[0]));
    return fp_out(call, 0, x->type, x->rank, dims);
}

// The part of a window along axis i that lies in the data.
static void extent(const struct fp_window *w, int i, int64_t at, int64_t *from, int64_t *to) {
    int64_t start = at * w->stride[i] - w->begin[i];
    *from = fp_most_int(start, 0);
    *to = fp_least_int(start + w->kernel[i], w->in[i]);
}

// Sum of the codes of one window, less the zero point each; *n is how many it is the mean of: the whole kernel when
// padding counts, also where a last window goes past it.
static int64_t window_sum(const struct fp_window *w, enum fp_type type, const uint8_t *plane, const int64_t *at,
                          bool padding, int zero, double *n) {
    int64_t from[FP_WINDOW_MAX], to[FP_WINDOW_MAX], here[FP_WINDOW_MAX], sum = 0;
    *n = 1;
    for (int i = 0; i < w->n; i++) {
        extent(w, i, at[i], &from[i], &to[i]);
        if (to[i] <= from[i]) return 0;
        if (padding) *n *= (double)w->kernel[i];
        else *n *= (double)(to[i] - from[i]);
        here[i] = from[i];
    }
    for (int i = 0; i >= 0;) {
        int64_t offset = 0;
        for (int k = 0; k < w->n; k++) offset = offset * w->in[k] + here[k];
        sum += fp_code(type, plane, (size_t)offset) - zero;
        for (i = w->n - 1; i >= 0 && ++here[i] == to[i]; i--) here[i] = from[i];
    }
    return sum;
}

static int run_average(struct fp_call *call) {
    const struct fp_window *w = call->state;
    const struct fp_tensor *x = call->in[0];
    for (int i = 0; i < w->n; i++)
        if (w->dilation[i] != 1) return fp_call_fail(call, "dilations are not supported");
    if (call->out[0].count == 0) return FINEPRUNE_OK;
    size_t planes = (size_t)x->dims[0] * (size_t)x->dims[1], in = x->count / planes, out = call->out[0].count / planes;
    bool padding = fp_attr_int(call->node, "count_include_pad", 0) != 0;
    float scale = fp_parameter(call, 1, 0, 1);
    int zero = (int)fp_parameter(call, 2, 0, 0);
    for (size_t p = 0; p < planes; p++)
        for (size_t o = 0; o < out; o++) {
            int64_t at[FP_WINDOW_MAX];
            double n;
            size_t rest = o;
            for (int i = w->n - 1; i >= 0; i--) {
                at[i] = (int64_t)(rest % (size_t)w->out[i]);
                rest /= (size_t)w->out[i];
            }
            int64_t sum = window_sum(w, x->type, (const uint8_t *)x->data + p * in, at, padding, zero, &n);
            put(call, p * out + o, (float)((double)sum / n) * scale);
        }
    return FINEPRUNE_OK;
}

// ---- QLinearSoftmax

struct softmax {
    size_t outer, n, inner;
};

static int prepare_softmax(struct fp_call *call) {
    int axis, status = check(call);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    status = fp_axis(call, fp_attr_int(call->node, "axis", -1), x->rank, &axis);
    if (status) return status;
    struct softmax *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    fp_split_axis(x, axis, &s->outer, &s->n, &s->inner);
    if (fp_attr_int(call->node, "opset", 13) < 13) { // a matrix: all dims from the axis on are one
        s->n *= s->inner;
        s->inner = 1;
    }
    return fp_out_like(call, 0, 0);
}

static int run_softmax(struct fp_call *call) {
    const struct softmax *s = call->state;
    const struct fp_tensor *x = call->in[0];
    double scale = (double)fp_parameter(call, 1, 0, 1), below[256]; // exp of so many codes below the greatest
    if (x->count == 0) return FINEPRUNE_OK;
    for (int i = 0; i < 256; i++) below[i] = exp(-i * scale);
    for (size_t r = 0; r < s->outer * s->inner; r++) {
        size_t start = r / s->inner * s->n * s->inner + r % s->inner;
        int top = -128;
        double sum = 0;
        for (size_t i = 0; i < s->n; i++) {
            int code = fp_code(x->type, x->data, start + i * s->inner);
            if (code > top) top = code;
        }
        for (size_t i = 0; i < s->n; i++) sum += below[top - fp_code(x->type, x->data, start + i * s->inner)];
        for (size_t i = 0; i < s->n; i++) {
            size_t at = start + i * s->inner;
            put(call, at, (float)(below[top - fp_code(x->type, x->data, at)] / sum));
        }
    }
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_qlinear_pool[] = {
    {"com.microsoft", "QLinearGlobalAveragePool", 1, prepare_global, run_global, .arity = "rrrrr>r",
     .attributes = "channels_last=i"},
    {"com.microsoft", "QLinearAveragePool", 1, prepare_average, run_average, .arity = "rroro>r",
     .attributes = "auto_pad=s ceil_mode=i channels_last=i count_include_pad=i kernel_shape=I! pads=I strides=I"},
    {"com.microsoft", "QLinearSoftmax", 1, prepare_softmax, run_softmax, .arity = "rrorr>r",
     .attributes = "axis=i opset=i!"},
    {0},
};
