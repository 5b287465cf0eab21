// SPDX-License-Identifier: Apache-2.0
// Rows and sums of columns. A convolution's sum for (channel, k0, k1, k2) runs over a grid of input positions that is a product of one
// walk per axis, so it is taken axis by axis from the last to the first: never an im2col copy.
#include "columns.h"

#include <stdlib.h>

#include "moments.h"
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

// Axes of one element in and out are none. A kernel of one element that meets every position once has no borders: its axes are as good as one.
static void merge_axes(struct fp_columns *c) {
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        if (c->in[i] == 1 && c->kernel[i] == 1 && c->out[i] == 1 && c->begin[i] == 0 && (n || i + 1 < c->n)) continue;
        c->in[n] = c->in[i], c->out[n] = c->out[i], c->kernel[n] = c->kernel[i];
        c->stride[n] = c->stride[i], c->dilation[n] = c->dilation[i], c->begin[n] = c->begin[i];
        n++;
    }
    c->n = n;
    int64_t plane = 1;
    for (int i = 0; i < c->n; i++) {
        if (c->kernel[i] != 1 || c->stride[i] != 1 || c->begin[i] != 0 || c->out[i] != c->in[i]) return;
        plane *= c->in[i];
    }
    c->n = 1;
    c->in[0] = c->out[0] = plane;
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
    size_t all = c->channels * w->groups, plane = all ? c->unit_stride / all : 0;
    c->channel_stride = x->layout ? 1 : plane;
    c->position_stride = x->layout ? all : 1;
    c->group_stride = c->channels * c->channel_stride;
    merge_axes(c);
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
    bool is_convolution = w->kind == FP_WEIGHT_CONV || w->kind == FP_WEIGHT_CONV_TRANSPOSE;
    if (x->layout && !is_convolution) return fp_fail(err, FINEPRUNE_INTERNAL, "the input of weight '%s' lies in another order", w->name);
    if (is_convolution) {
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
    int64_t o[FP_SPATIAL];
    size_t kernel = c->w->inner;
    for (int i = c->n; i-- > 0;) {
        o[i] = (int64_t)(row % (size_t)c->out[i]);
        row /= (size_t)c->out[i];
    }
    for (size_t k = 0; k < kernel; k++) {
        int64_t at = 0, stride = 1;
        size_t left = k;
        for (int i = c->n; i-- > 0 && at >= 0;) {
            int64_t position = meet(c, i, o[i], (int64_t)(left % (size_t)c->kernel[i]));
            left /= (size_t)c->kernel[i];
            at = position < 0 ? -1 : at + position * stride;
            stride *= c->in[i];
        }
        const float *from = x + (at < 0 ? 0 : (size_t)at * c->position_stride);
        for (size_t ch = 0; ch < c->channels; ch++) dst[ch * kernel + k] = at < 0 ? 0 : from[ch * c->channel_stride];
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

static void put_moments(const double *found, size_t lanes, size_t width, size_t at, double *const *totals) {
    for (int m = 0; m < FP_MOMENTS; m++)
        for (size_t i = 0; totals[m] && i < width; i++) totals[m][at + i] += found[(size_t)m * lanes + i];
}

// Blocks of columns that lie side by side; or columns that are lines, one by one.
static void product_sum(const struct fp_columns *c, size_t unit, double *const *totals, int threads) {
    const size_t cols = c->w->cols, lanes = c->col_stride == 1 ? FP_LANES : 1, blocks = (cols + lanes - 1) / lanes, n = c->w->groups * blocks;
    #pragma omp parallel for num_threads(threads) if (c->rows * cols > 20000) schedule(static)
    for (size_t task = 0; task < n; task++) {
        size_t g = task / blocks, first = task % blocks * lanes, width = cols - first < lanes ? cols - first : lanes;
        double found[FP_MOMENTS * FP_LANES] = {0};
        for (size_t r = 0; r < c->rows; r += c->row_inner) {
            const float *x = product_row(c, g, unit, r) + first * c->col_stride;
            size_t length = c->rows - r < c->row_inner ? c->rows - r : c->row_inner;
            if (lanes == FP_LANES) fp_moments_lanes(x, length, c->row_stride, width, found);
            else fp_moments_line(x, length, c->row_stride, found);
        }
        put_moments(found, lanes, width, g * cols + first, totals);
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

// Most sums are those of the whole axis less its ends.
static bool is_most(const struct fp_walk *w, size_t length) { return w->step == 1 && (size_t)w->count * 2 > length; }

static void subtract(double *dst, const double *less, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] -= less[i];
}

// Some channels side by side (lanes 16) or one (lanes 1), at some place of the outer axes.
struct strip {
    const struct fp_columns *c;
    const float *x;
    size_t lanes, width;
};

static void strip_moments(const struct strip *s, size_t first, size_t step, size_t count, double *dst) {
    const float *x = s->x + first * s->c->position_stride;
    if (s->lanes == 1) fp_moments_line(x, count, step * s->c->position_stride, dst);
    else fp_moments_lanes(x, count, step * s->c->position_stride, s->width, dst);
}

// The last axis of `length` positions: dst is [kernel, moments, lanes].
static void sum_line(const struct strip *s, size_t length, const struct fp_walk *walks, size_t kernel, double *dst) {
    const size_t size = FP_MOMENTS * s->lanes;
    double whole[FP_MOMENTS * FP_LANES] = {0}, ends[FP_MOMENTS * FP_LANES];
    bool known = false;
    for (size_t k = 0; k < kernel; k++, dst += size) {
        const struct fp_walk *w = &walks[k];
        memset(dst, 0, size * sizeof(*dst));
        if (!is_most(w, length)) {
            strip_moments(s, (size_t)w->first, (size_t)w->step, (size_t)w->count, dst);
            continue;
        }
        if (!known) strip_moments(s, 0, 1, length, whole);
        known = true;
        memset(ends, 0, sizeof(ends));
        strip_moments(s, 0, 1, (size_t)w->first, ends);
        strip_moments(s, (size_t)(w->first + w->count), 1, length - (size_t)(w->first + w->count), ends);
        memcpy(dst, whole, size * sizeof(*dst));
        subtract(dst, ends, size);
    }
}

static void add_rows(double *dst, const double *src, size_t count, size_t step, size_t inner) {
    for (size_t i = 0; i < count; i++, src += step * inner)
        for (size_t e = 0; e < inner; e++) dst[e] += src[e];
}

// A further axis: src is [outer, length, inner] of doubles, dst [outer, kernel, inner]. room: 2 * inner.
static void sum_axis(const double *src, size_t outer, size_t length, size_t inner, const struct fp_walk *walks, size_t kernel, double *room, double *dst) {
    double *whole = room, *ends = room + inner;
    for (size_t o = 0; o < outer; o++, src += length * inner) {
        bool known = false;
        for (size_t k = 0; k < kernel; k++, dst += inner) {
            const struct fp_walk *w = &walks[k];
            size_t first = (size_t)w->first, count = (size_t)w->count;
            memset(dst, 0, inner * sizeof(*dst));
            if (!is_most(w, length)) {
                add_rows(dst, src + first * inner, count, (size_t)w->step, inner);
                continue;
            }
            if (!known) {
                memset(whole, 0, inner * sizeof(*whole));
                add_rows(whole, src, length, 1, inner);
                known = true;
            }
            memset(ends, 0, inner * sizeof(*ends));
            add_rows(ends, src, first, 1, inner);
            add_rows(ends, src + (first + count) * inner, length - first - count, 1, inner);
            memcpy(dst, whole, inner * sizeof(*dst));
            subtract(dst, ends, inner);
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

// All kernel positions of one strip of one unit: [kernel positions, moments, lanes]. room: two buffers of `half` doubles, and a third for a line.
static const double *strip_sum(struct strip *s, const struct walks *w, double *room, size_t half) {
    const struct fp_columns *c = s->c;
    const int last = c->n - 1;
    size_t outer = 1, length = (size_t)c->in[last], inner = (size_t)c->kernel[last] * FP_MOMENTS * s->lanes;
    for (int i = 0; i < last; i++) outer *= (size_t)c->in[i];
    double *from = room, *to = room + half;
    for (size_t l = 0; l < outer; l++, s->x += length * c->position_stride)
        sum_line(s, length, w->axis[last], (size_t)c->kernel[last], from + l * inner);
    for (int i = last - 1; i >= 0; i--) {
        outer /= (size_t)c->in[i];
        sum_axis(from, outer, (size_t)c->in[i], inner, w->axis[i], (size_t)c->kernel[i], room + 2 * half, to);
        inner *= (size_t)c->kernel[i];
        double *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

// What is left of squares may be below 0 by rounding.
static void put_strip(const struct fp_columns *c, const double *found, size_t lanes, size_t width, size_t channel, double *const *totals) {
    for (int m = 0; m < FP_MOMENTS; m++)
        for (size_t i = 0; totals[m] && i < width; i++)
            for (size_t k = 0; k < c->w->inner; k++) {
                double v = found[(k * FP_MOMENTS + (size_t)m) * lanes + i];
                totals[m][(channel + i) * c->w->inner + k] += v > 0 || m == 0 ? v : 0;
            }
}

// Doubles of each lane and moment that one of the two buffers must hold; *line: of the third.
static size_t room_for(const struct fp_columns *c, size_t *line) {
    size_t most = 0, outer = 1, inner = 1;
    for (int i = 0; i < c->n; i++) outer *= (size_t)c->in[i];
    for (int i = c->n; i-- > 0;) {
        *line = 2 * inner;
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
    const size_t channels = c->channels * c->w->groups, lanes = c->channel_stride == 1 ? FP_LANES : 1, strips = (channels + lanes - 1) / lanes;
    size_t line = 0, half = room_for(c, &line) * FP_MOMENTS * lanes;
    line *= FP_MOMENTS * lanes;
    bool failed = !walks_init(&walks, c);
    #pragma omp parallel num_threads(threads) if (!failed && c->unit_stride > 20000)
    {
        double *room = failed ? NULL : fp_calloc(2 * half + line, sizeof(*room));
        #pragma omp for schedule(static)
        for (size_t task = 0; task < strips; task++) {
            if (!room) {
                #pragma omp atomic write
                failed = true;
                continue;
            }
            size_t channel = task * lanes, width = channels - channel < lanes ? channels - channel : lanes;
            struct strip strip = {c, c->x + unit * c->unit_stride + channel * c->channel_stride, lanes, width};
            put_strip(c, strip_sum(&strip, &walks, room, half), lanes, width, channel, totals);
        }
        free(room);
    }
    walks_done(&walks);
    return failed ? FINEPRUNE_LIMIT : FINEPRUNE_OK;
}

int fp_columns_sum(const struct fp_columns *c, size_t unit, double *sum, double *square, double *absolute, int threads) {
    double *totals[FP_MOMENTS] = {sum, square, absolute};
    if (c->n) return convolution_sum(c, unit, totals, threads);
    product_sum(c, unit, totals, threads);
    return FINEPRUNE_OK;
}
