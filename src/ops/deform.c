// SPDX-License-Identifier: Apache-2.0
// DeformConv: the elements under the kernel are read at shifted places (bilinear), put into columns, and multiplied.
#include <math.h>
#include <stdlib.h>

#include "kernel/dnnl_matmul.h"
#include "ops/window.h"

enum { X, W, OFFSET, B, MASK };

struct deform {
    struct fp_window w;
    int64_t groups, offset_groups, channels, out_channels, taps, places;
    struct fp_matmul product;
};

static void done(void *state) {
    struct deform *d = state;
    fp_matmul_done(&d->product);
    free(d);
}

static int check_map(struct fp_call *call, const struct deform *d, int i, int64_t each) {
    if (!fp_given(call, i)) return 0;
    const struct fp_tensor *t = call->in[i];
    const int64_t dims[] = {call->in[X]->dims[0], d->offset_groups * d->taps * each, d->w.out[0], d->w.out[1]};
    char has[160], needs[160];
    if (t->type == FP_FLOAT && t->rank == 4 && memcmp(t->dims, dims, sizeof(dims)) == 0) return 0;
    return fp_call_fail(call, "input %d has shape %s, needed is %s", i,
                        fp_shape_text(has, sizeof(has), t->rank, t->dims),
                        fp_shape_text(needs, sizeof(needs), 4, dims));
}

static int read(struct fp_call *call, struct deform *d) {
    const struct fp_tensor *x = call->in[X], *w = call->in[W];
    if (x->rank != 4 || w->rank != 4 || x->type != FP_FLOAT || w->type != FP_FLOAT)
        return fp_call_fail(call, "only float data with two spatial dims are supported");
    int status = fp_window_read(call, &d->w, x, w->dims + 2);
    if (status) return status;
    d->groups = fp_attr_int(call->node, "group", 1);
    d->offset_groups = fp_attr_int(call->node, "offset_group", 1);
    d->channels = x->dims[1];
    d->out_channels = w->dims[0];
    d->taps = d->w.kernel[0] * d->w.kernel[1];
    d->places = d->w.out[0] * d->w.out[1];
    bool fits = d->groups > 0 && d->groups <= d->channels && d->offset_groups > 0 && d->offset_groups <= d->channels &&
                d->channels % d->groups == 0 && d->channels % d->offset_groups == 0 &&
                d->out_channels % d->groups == 0 && w->dims[1] == d->channels / d->groups;
    if (!fits)
        return fp_call_fail(call, "%lld channels, %lld groups and %lld offset groups do not fit the weights",
                            (long long)d->channels, (long long)d->groups, (long long)d->offset_groups);
    if (fp_given(call, B) && (call->in[B]->type != FP_FLOAT || call->in[B]->count != (size_t)d->out_channels))
        return fp_call_fail(call, "the bias has %zu values for %lld channels", call->in[B]->count,
                            (long long)d->out_channels);
    status = check_map(call, d, OFFSET, 2);
    if (status) return status;
    return check_map(call, d, MASK, 1);
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 3);
    if (status) return status;
    struct deform *d = fp_state(call, sizeof(*d));
    if (!d) return FINEPRUNE_LIMIT;
    status = read(call, d);
    const int64_t dims[] = {call->in[X]->dims[0], d->out_channels, d->w.out[0], d->w.out[1]};
    if (!status) status = fp_out(call, 0, FP_FLOAT, 4, dims);
    if (status) return status;
    struct fp_matmul_shape s = {.batch = 1,
                                .a_batch = {d->groups},
                                .b_batch = {d->groups},
                                .m = d->out_channels / d->groups,
                                .k = d->channels / d->groups * d->taps,
                                .n = d->places,
                                .alpha = 1};
    fp_matmul_plain(&s, false, false);
    return fp_matmul_make(call, &d->product, &s);
}

// Places outside count as 0.
static float bilinear(const float *plane, int64_t height, int64_t width, float y, float x) {
    if (!(y > -1 && y < (float)height && x > -1 && x < (float)width)) return 0;
    int64_t y0 = (int64_t)floorf(y), x0 = (int64_t)floorf(x);
    const float fy = y - (float)y0, fx = x - (float)x0, wy[2] = {1 - fy, fy}, wx[2] = {1 - fx, fx};
    float sum = 0;
    for (int64_t i = 0; i < 2; i++)
        for (int64_t k = 0; k < 2; k++) {
            bool inside = y0 + i >= 0 && y0 + i < height && x0 + k >= 0 && x0 + k < width;
            if (inside) sum += plane[(y0 + i) * width + x0 + k] * wy[i] * wx[k];
        }
    return sum;
}

// One row of the columns: channel c under tap t at every place. shift: the planes of y and x offsets.
static void fill_row(const struct deform *d, float *to, const float *plane, const float *shift, const float *mask,
                     int64_t t) {
    const struct fp_window *w = &d->w;
    int64_t ty = t / w->kernel[1] * w->dilation[0] - w->begin[0], tx = t % w->kernel[1] * w->dilation[1] - w->begin[1];
    for (int64_t p = 0; p < d->places; p++) {
        float y = (float)(p / w->out[1] * w->stride[0] + ty) + shift[p],
              x = (float)(p % w->out[1] * w->stride[1] + tx) + shift[d->places + p];
        to[p] = bilinear(plane, w->in[0], w->in[1], y, x) * (mask ? mask[p] : 1);
    }
}

static void fill_columns(const struct fp_call *call, const struct deform *d, int64_t n, float *columns) {
    int64_t each = d->channels / d->offset_groups, space = d->w.in[0] * d->w.in[1];
#pragma omp parallel for num_threads(call->threads) if (d->channels * d->taps * d->places > 20000)
    for (int64_t row = 0; row < d->channels * d->taps; row++) {
        int64_t c = row / d->taps, t = row % d->taps, at = (n * d->offset_groups + c / each) * d->taps + t;
        const float *mask = NULL;
        if (fp_given(call, MASK)) mask = (const float *)call->in[MASK]->data + at * d->places;
        fill_row(d, columns + row * d->places, (const float *)call->in[X]->data + (n * d->channels + c) * space,
                 (const float *)call->in[OFFSET]->data + at * 2 * d->places, mask, t);
    }
}

static int run(struct fp_call *call) {
    struct deform *d = call->state;
    if (call->out[0].count == 0) return 0;
    float *columns = fp_scratch(call, FP_SCRATCH_A, (size_t)(d->channels * d->taps * d->places) * sizeof(float));
    int status = FINEPRUNE_LIMIT;
    if (columns) status = 0;
    for (int64_t n = 0; n < call->in[X]->dims[0] && !status; n++) {
        float *y = (float *)call->out[0].data + n * d->out_channels * d->places;
        fill_columns(call, d, n, columns);
        status = fp_matmul_run(call, &d->product, call->in[W]->data, columns, false, NULL, y);
        for (int64_t i = 0; i < d->out_channels * d->places && fp_given(call, B); i++)
            y[i] += ((const float *)call->in[B]->data)[i / d->places];
    }
    return status;
}

const struct fp_op fp_ops_deform[] = {
    {"", "DeformConv", 19, prepare, run, done, FP_OP_FLOAT32, 0, NULL, .arity = "rrroo>r",
     .attributes = "dilations=I group=i kernel_shape=I offset_group=i pads=I strides=I"},
    {0},
};
