// SPDX-License-Identifier: Apache-2.0
// Rows and sums of columns. A convolution's sum for (channel, k0, k1, k2) runs over a grid of input positions that is a product of one
// walk per axis, so it is taken axis by axis from the last to the first: never an im2col copy.
#include "columns.h"

#include <math.h>
#include <stdlib.h>

#include "ops/window.h"

// ---- geometry

static bool is_recurrent(const struct fp_weight *w) {
    return !strcmp(w->op, "LSTM") || !strcmp(w->op, "GRU") || !strcmp(w->op, "RNN");
}

static int does_not_fit(const struct fp_weight *w, const struct fp_tensor *x, fineprune_error *err) {
    char shape[160];
    return fp_fail(err, FINEPRUNE_MODEL, "input %s of weight '%s' does not fit its %zu columns",
                   fp_shape_text(shape, sizeof(shape), x->rank, x->dims), w->name, w->cols);
}

// pads of ConvTranspose: given, or what the output's size leaves. (onnx docs/Operators.md, ConvTranspose)
static int transposed_window(struct fp_columns *c, struct fp_call *call, struct fp_window *window, const struct fp_tensor *x) {
    const struct fp_node *node = call->node;
    int status = fp_window_steps(call, window, x, c->w->dims + 2);
    if (status) return status;
    size_t n_shape, n_extra, n_pads;
    const int64_t *shape = fp_attr_ints(node, "output_shape", &n_shape), *extra = fp_attr_ints(node, "output_padding", &n_extra);
    const int64_t *pads = fp_attr_ints(node, "pads", &n_pads);
    const char *automatic = fp_attr_text(node, "auto_pad", "NOTSET");
    bool same = !strncmp(automatic, "SAME", 4);
    for (int i = 0; i < window->n; i++) {
        int64_t full = window->stride[i] * (x->dims[2 + i] - 1) + (n_extra > (size_t)i ? extra[i] : 0) + fp_window_reach(window, i);
        int64_t given = n_shape == (size_t)window->n ? shape[i] : same ? x->dims[2 + i] * window->stride[i] : -1;
        int64_t total = full - given;
        if (given >= 0) window->begin[i] = total < 0 ? 0 : !strcmp(automatic, "SAME_UPPER") ? total / 2 : total - total / 2;
        else window->begin[i] = n_pads == (size_t)window->n * 2 ? pads[i] : 0;
        window->out[i] = given >= 0 ? given : full - window->begin[i] - (n_pads == (size_t)window->n * 2 ? pads[window->n + i] : 0);
    }
    return FINEPRUNE_OK;
}

static int convolution(struct fp_columns *c, const struct fp_weight_use *use, const struct fp_tensor *x, fineprune_error *err) {
    const struct fp_weight *w = c->w;
    if (x->rank != w->rank || x->rank - 2 > FP_SPATIAL) return does_not_fit(w, x, err);
    struct fp_call call = {.node = use->node, .n_in = use->node->n_in, .n_out = use->node->n_out, .err = err};
    struct fp_window window = {0};
    int status = w->kind == FP_WEIGHT_CONV ? fp_window_read(&call, &window, x, w->dims + 2) : transposed_window(c, &call, &window, x);
    if (status) return status;
    c->n = window.n;
    c->channels = w->cols / w->inner;
    if (x->dims[1] != (int64_t)(c->channels * w->groups)) return does_not_fit(w, x, err);
    c->rows = 1;
    for (int i = 0; i < c->n; i++) {
        c->in[i] = x->dims[2 + i];
        c->out[i] = window.out[i];
        c->kernel[i] = w->dims[2 + i];
        c->stride[i] = window.stride[i];
        c->dilation[i] = window.dilation[i];
        c->begin[i] = window.begin[i];
        c->rows *= (size_t)(window.out[i] > 0 ? window.out[i] : 0);
    }
    c->units = (size_t)x->dims[0];
    c->unit_stride = c->units ? x->count / c->units : 0;
    c->group_stride = c->channels * (w->groups && c->channels ? c->unit_stride / (c->channels * w->groups) : 0);
    return FINEPRUNE_OK;
}

// x is [steps, batch, cols] (all directions see it) or [steps, directions, batch, cols].
static int recurrent(struct fp_columns *c, const struct fp_tensor *x, size_t samples, fineprune_error *err) {
    const struct fp_weight *w = c->w;
    bool hidden = x->rank == 4;
    if (x->rank < 3 || x->rank > 4 || (size_t)x->dims[x->rank - 1] != w->cols || (hidden && (size_t)x->dims[1] != w->groups))
        return does_not_fit(w, x, err);
    size_t steps = (size_t)x->dims[0], batch = (size_t)x->dims[x->rank - 2];
    c->col_stride = 1;
    c->group_stride = hidden ? batch * w->cols : 0;
    c->row_outer_stride = (hidden ? w->groups : 1) * batch * w->cols;
    c->units = batch == samples && batch ? batch : 1;
    c->unit_stride = c->units > 1 ? w->cols : 0;
    c->row_inner = c->units > 1 ? 1 : batch;
    c->row_stride = w->cols;
    c->rows = steps * c->row_inner;
    return FINEPRUNE_OK;
}

// How the input's leading axes meet those of a batched weight: each of its matrices has its own, or one is for all of them.
enum meeting { NEITHER, ONE_EACH, ONE_FOR_ALL };

static enum meeting batches_meet(const struct fp_weight *w, const struct fp_tensor *x) {
    int axes = w->rank - 2, first = x->rank - w->rank;
    bool each = first >= 0, all = true;
    for (int i = 0; i < axes; i++) {
        int64_t dim = first + i >= 0 ? x->dims[first + i] : 1;
        each &= dim == w->dims[i];
        all &= dim == 1;
    }
    return each ? ONE_EACH : all ? ONE_FOR_ALL : NEITHER;
}

static int product(struct fp_columns *c, const struct fp_tensor *x, size_t samples, bool transposed, fineprune_error *err) {
    const struct fp_weight *w = c->w;
    int rank = x->rank;
    if (rank < 1) return does_not_fit(w, x, err);
    // Which of the last two axes are the columns; the other one are rows.
    bool last = (w->kind == FP_WEIGHT_RIGHT) != transposed || rank == 1;
    size_t a = rank > 1 ? (size_t)x->dims[rank - 2] : 1, b = (size_t)x->dims[rank - 1];
    if ((last ? b : a) != w->cols) return does_not_fit(w, x, err);
    size_t matrices = x->count && a && b ? x->count / (a * b) : 0, groups = w->groups, per_row = last ? a : b;
    enum meeting meeting = groups > 1 ? batches_meet(w, x) : ONE_FOR_ALL;
    if (meeting == NEITHER) return does_not_fit(w, x, err);
    bool grouped = meeting == ONE_EACH;
    c->group_stride = grouped ? a * b : 0;
    size_t outer = grouped ? matrices / groups : matrices, outer_stride = grouped ? a * b * groups : a * b;
    c->col_stride = last ? 1 : b;
    c->row_stride = last ? b : 1;
    c->row_inner = per_row;
    c->row_outer_stride = outer_stride;
    size_t all = outer * per_row;
    c->units = 1;
    c->rows = all;
    if (!samples || all % samples) return FINEPRUNE_OK;
    if (outer % samples == 0 && outer) { // samples along an axis of its own
        c->units = samples;
        c->rows = all / samples;
        c->unit_stride = outer / samples * outer_stride;
    } else if (outer == 1 && per_row % samples == 0) { // samples along the rows
        c->units = samples;
        c->rows = per_row / samples;
        c->unit_stride = c->rows * c->row_stride;
    }
    return FINEPRUNE_OK;
}

int fp_columns_of(struct fp_columns *out, const struct fp_weight *w, const struct fp_weight_use *use, const struct fp_tensor *x,
                  size_t samples, fineprune_error *err) {
    struct fp_columns c = {.w = w, .x = x->data, .row_inner = 1};
    int status;
    if (w->kind == FP_WEIGHT_CONV || w->kind == FP_WEIGHT_CONV_TRANSPOSE) {
        status = convolution(&c, use, x, err);
    } else if (is_recurrent(w)) {
        status = recurrent(&c, x, samples, err);
    } else {
        bool gemm = strcmp(w->op, "MatMul") != 0;
        bool transposed = gemm && fp_attr_int(use->node, use->slot == 1 ? "transA" : "transB", 0) != 0;
        status = product(&c, x, samples, transposed, err);
    }
    if (!status) *out = c;
    return status;
}

// ---- rows

// Where kernel position k meets the input when the output is at o; -1: outside, or between the spread-out elements.
static int64_t meet(const struct fp_columns *c, int axis, int64_t o, int64_t k) {
    if (c->w->kind == FP_WEIGHT_CONV) {
        int64_t i = o * c->stride[axis] + k * c->dilation[axis] - c->begin[axis];
        return i >= 0 && i < c->in[axis] ? i : -1;
    }
    int64_t t = o + c->begin[axis] - k * c->dilation[axis];
    return t >= 0 && t % c->stride[axis] == 0 && t / c->stride[axis] < c->in[axis] ? t / c->stride[axis] : -1;
}

static void convolution_row(const struct fp_columns *c, size_t g, size_t unit, size_t row, float *dst) {
    const float *x = c->x + unit * c->unit_stride + g * c->group_stride;
    int64_t o[FP_SPATIAL], offsets_done = 1;
    size_t plane = 1, kernel = c->w->inner;
    for (int i = c->n; i-- > 0;) {
        o[i] = (int64_t)(row % (size_t)c->out[i]);
        row /= (size_t)c->out[i];
        plane *= (size_t)c->in[i];
    }
    (void)offsets_done;
    for (size_t k = 0; k < kernel; k++) {
        int64_t at = 0, stride = 1;
        size_t left = k;
        for (int i = c->n; i-- > 0 && at >= 0;) {
            int64_t position = meet(c, i, o[i], (int64_t)(left % (size_t)c->kernel[i]));
            left /= (size_t)c->kernel[i];
            at = position < 0 ? -1 : at + position * stride;
            stride *= c->in[i];
        }
        for (size_t ch = 0; ch < c->channels; ch++) dst[ch * kernel + k] = at < 0 ? 0 : x[ch * plane + (size_t)at];
    }
}

static const float *product_row(const struct fp_columns *c, size_t g, size_t unit, size_t row) {
    return c->x + unit * c->unit_stride + g * c->group_stride + row / c->row_inner * c->row_outer_stride + row % c->row_inner * c->row_stride;
}

void fp_columns_row(const struct fp_columns *c, size_t g, size_t unit, size_t row, float *dst) {
    if (c->n) {
        convolution_row(c, g, unit, row, dst);
        return;
    }
    const float *x = product_row(c, g, unit, row);
    if (c->col_stride == 1) memcpy(dst, x, c->w->cols * sizeof(*dst));
    else
        for (size_t i = 0; i < c->w->cols; i++) dst[i] = x[i * c->col_stride];
}

// ---- sums of products' inputs

static void product_sum(const struct fp_columns *c, size_t unit, double *sum, double *square, double *absolute, int threads) {
    enum { BLOCK = 64 };
    const size_t cols = c->w->cols, blocks = (cols + BLOCK - 1) / BLOCK, n = c->w->groups * blocks;
    #pragma omp parallel for num_threads(threads) if (c->rows * cols > 20000) schedule(static)
    for (size_t task = 0; task < n; task++) {
        size_t g = task / blocks, first = task % blocks * BLOCK, width = cols - first < BLOCK ? cols - first : BLOCK;
        double s[BLOCK] = {0}, q[BLOCK] = {0}, a[BLOCK] = {0};
        for (size_t r = 0; r < c->rows; r++) {
            const float *x = product_row(c, g, unit, r) + first * c->col_stride;
            for (size_t i = 0; i < width; i++) {
                double v = (double)x[i * c->col_stride];
                s[i] += v;
                q[i] += v * v;
                a[i] += fabs(v);
            }
        }
        for (size_t i = 0; i < width; i++) {
            size_t at = g * cols + first + i;
            if (sum) sum[at] += s[i];
            if (square) square[at] += q[i];
            if (absolute) absolute[at] += a[i];
        }
    }
}

// ---- sums of convolutions' inputs

static struct fp_walk walk_of(const struct fp_columns *c, int axis, int64_t k) {
    struct fp_walk w = {.step = 1};
    int64_t shift = k * c->dilation[axis] - c->begin[axis], s = c->stride[axis];
    if (c->w->kind == FP_WEIGHT_CONV) { // input o s + shift for output o
        int64_t low = shift >= 0 ? 0 : (-shift + s - 1) / s;
        int64_t high = c->in[axis] - 1 - shift < 0 ? -1 : (c->in[axis] - 1 - shift) / s;
        if (high > c->out[axis] - 1) high = c->out[axis] - 1;
        w.first = low * s + shift;
        w.step = s;
        w.count = high >= low ? high - low + 1 : 0;
    } else { // output i s + shift for input i
        int64_t low = shift >= 0 ? 0 : (-shift + s - 1) / s;
        int64_t high = c->out[axis] - 1 - shift < 0 ? -1 : (c->out[axis] - 1 - shift) / s;
        if (high > c->in[axis] - 1) high = c->in[axis] - 1;
        w.first = low;
        w.count = high >= low ? high - low + 1 : 0;
    }
    return w;
}

enum moment { SUM, SQUARE, ABSOLUTE };

static double moment_of(double v, enum moment m) { return m == SUM ? v : m == SQUARE ? v * v : fabs(v); }

// The last axis: dst[line * kernel + k] from lines of floats. A walk with step 1 is the whole line less its ends.
static void sum_lines(const float *x, size_t lines, size_t length, const struct fp_walk *walks, size_t kernel, enum moment m, double *dst) {
    for (size_t l = 0; l < lines; l++, x += length) {
        double whole = 0;
        for (size_t i = 0; i < length; i++) whole += moment_of((double)x[i], m);
        for (size_t k = 0; k < kernel; k++) {
            const struct fp_walk *w = &walks[k];
            double v = 0;
            if (w->step == 1 && (size_t)w->count * 2 > length) {
                v = whole;
                for (int64_t i = 0; i < w->first; i++) v -= moment_of((double)x[i], m);
                for (int64_t i = w->first + w->count; i < (int64_t)length; i++) v -= moment_of((double)x[i], m);
            } else {
                for (int64_t i = 0; i < w->count; i++) v += moment_of((double)x[w->first + i * w->step], m);
            }
            dst[l * kernel + k] = v;
        }
    }
}

// A further axis: src is [outer, length, inner] of doubles, dst [outer, kernel, inner].
static void sum_axis(const double *src, size_t outer, size_t length, size_t inner, const struct fp_walk *walks, size_t kernel, double *dst) {
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < kernel; k++) {
            double *d = dst + (o * kernel + k) * inner;
            memset(d, 0, inner * sizeof(*d));
            for (int64_t i = 0; i < walks[k].count; i++) {
                const double *s = src + (o * length + (size_t)(walks[k].first + i * walks[k].step)) * inner;
                for (size_t e = 0; e < inner; e++) d[e] += s[e];
            }
        }
}

struct walks {
    struct fp_walk *axis[FP_SPATIAL];
};

static bool walks_init(struct walks *w, const struct fp_columns *c) {
    memset(w, 0, sizeof(*w));
    for (int i = 0; i < c->n; i++) {
        w->axis[i] = fp_calloc((size_t)c->kernel[i], sizeof(struct fp_walk));
        if (!w->axis[i]) return false;
        for (int64_t k = 0; k < c->kernel[i]; k++) w->axis[i][k] = walk_of(c, i, k);
    }
    return true;
}

static void walks_done(struct walks *w) {
    for (int i = 0; i < FP_SPATIAL; i++) free(w->axis[i]);
}

// One channel of one unit: all kernel positions, added to dst (w->inner doubles). room: two buffers of `half` doubles.
static void channel_sum(const struct fp_columns *c, const struct walks *w, const float *x, enum moment m, double *room, size_t half, double *dst) {
    size_t outer = 1, inner = (size_t)c->kernel[c->n - 1];
    for (int i = 0; i + 1 < c->n; i++) outer *= (size_t)c->in[i];
    double *from = room, *to = room + half;
    sum_lines(x, outer, (size_t)c->in[c->n - 1], w->axis[c->n - 1], inner, m, from);
    for (int i = c->n - 2; i >= 0; i--) {
        outer /= (size_t)c->in[i];
        sum_axis(from, outer, (size_t)c->in[i], inner, w->axis[i], (size_t)c->kernel[i], to);
        inner *= (size_t)c->kernel[i];
        double *swap = from;
        from = to;
        to = swap;
    }
    for (size_t k = 0; k < c->w->inner; k++) dst[k] += from[k] > 0 || m == SUM ? from[k] : 0;
}

// Doubles that one of the two buffers must hold.
static size_t room_for(const struct fp_columns *c) {
    size_t most = 0, outer = 1, inner = 1;
    for (int i = 0; i < c->n; i++) outer *= (size_t)c->in[i];
    for (int i = c->n; i-- > 0;) {
        outer /= (size_t)(c->in[i] ? c->in[i] : 1);
        inner *= (size_t)c->kernel[i];
        if (outer * inner > most) most = outer * inner;
    }
    return most;
}

static int convolution_sum(const struct fp_columns *c, size_t unit, double *const *totals, int threads) {
    for (int i = 0; i < c->n; i++)
        if (!c->in[i]) return FINEPRUNE_OK;
    struct walks walks;
    size_t half = room_for(c), plane = 1, channels = c->channels * c->w->groups;
    for (int i = 0; i < c->n; i++) plane *= (size_t)c->in[i];
    bool failed = !walks_init(&walks, c);
    #pragma omp parallel num_threads(threads) if (!failed && channels * plane > 20000)
    {
        double *room = failed ? NULL : fp_calloc(2 * half, sizeof(*room));
        #pragma omp for schedule(static)
        for (size_t ch = 0; ch < channels; ch++) {
            if (!room) {
                #pragma omp atomic write
                failed = true;
                continue;
            }
            const float *x = c->x + unit * c->unit_stride + ch * plane;
            for (int m = 0; m < 3; m++)
                if (totals[m]) channel_sum(c, &walks, x, (enum moment)m, room, half, totals[m] + ch * c->w->inner);
        }
        free(room);
    }
    walks_done(&walks);
    return failed ? FINEPRUNE_LIMIT : FINEPRUNE_OK;
}

int fp_columns_sum(const struct fp_columns *c, size_t unit, double *sum, double *square, double *absolute, int threads) {
    double *totals[3] = {sum, square, absolute};
    if (c->n) return convolution_sum(c, unit, totals, threads);
    product_sum(c, unit, sum, square, absolute, threads);
    return FINEPRUNE_OK;
}
