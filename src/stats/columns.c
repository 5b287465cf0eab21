// SPDX-License-Identifier: Apache-2.0
// How the input lies under the columns, and single rows of them.
#include "stats/columns.h"

#include "ops/window.h"

// ---- geometry

static int does_not_fit(const struct fp_weight *w, const struct fp_tensor *x, fineprune_error *err) {
    char shape[160];
    return fp_fail(err, FINEPRUNE_MODEL, "input %s of weight '%s' does not fit its %zu columns",
                   fp_shape_text(shape, sizeof(shape), x->rank, x->dims), w->name, w->cols);
}

// How much of what is too long stands before: half, or what it leaves.
static int64_t begin_of(int64_t total, bool upper) {
    if (total < 0) return 0;
    if (upper) return total / 2;
    return total - total / 2;
}

// pads of ConvTranspose: given, or what the output's size leaves. (onnx docs/Operators.md, ConvTranspose)
static int transposed_window(struct fp_columns *c, struct fp_call *call, struct fp_window *window,
                             const struct fp_tensor *x) {
    const struct fp_node *node = call->node;
    int status = fp_window_steps(call, window, x, c->w->dims + 2);
    if (status) return status;
    size_t n_shape, n_extra, n_pads;
    const int64_t *shape = fp_attr_ints(node, "output_shape", &n_shape),
                  *extra = fp_attr_ints(node, "output_padding", &n_extra);
    const int64_t *pads = fp_attr_ints(node, "pads", &n_pads);
    const char *automatic = fp_attr_text(node, "auto_pad", "NOTSET");
    bool same = !strncmp(automatic, "SAME", 4);
    for (int i = 0; i < window->n; i++) {
        int64_t full = window->stride[i] * (x->dims[2 + i] - 1) + fp_window_reach(window, i), given = -1;
        if (n_extra > (size_t)i) full += extra[i];
        if (same) given = x->dims[2 + i] * window->stride[i];
        if (n_shape == (size_t)window->n) given = shape[i];
        if (given >= 0) {
            window->begin[i] = begin_of(full - given, !strcmp(automatic, "SAME_UPPER"));
            window->out[i] = given;
            continue;
        }
        const bool padded = n_pads == (size_t)window->n * 2;
        window->begin[i] = padded ? pads[i] : 0;
        window->out[i] = full - window->begin[i] - (padded ? pads[window->n + i] : 0);
    }
    return FINEPRUNE_OK;
}

// Axes of one element in and out are none. A kernel of one element that meets every position once has no borders: its
// axes are as good as one.
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

static int convolution(struct fp_columns *c, const struct fp_weight_use *use, const struct fp_tensor *x,
                       fineprune_error *err) {
    const struct fp_weight *w = c->w;
    if (x->rank != w->rank || x->rank - 2 > FP_SPATIAL) return does_not_fit(w, x, err);
    struct fp_call call = {.node = use->node, .n_in = use->node->n_in, .n_out = use->node->n_out, .err = err};
    struct fp_window window = {0};
    int status;
    if (w->kind == FP_WEIGHT_CONV) status = fp_window_read(&call, &window, x, w->dims + 2);
    else status = transposed_window(c, &call, &window, x);
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
    size_t all = c->channels * w->groups;
    if (c->units) c->unit_stride = x->count / c->units;
    if (all) c->channel_stride = c->unit_stride / all;
    c->position_stride = 1;
    if (x->layout) c->channel_stride = 1, c->position_stride = all;
    c->group_stride = c->channels * c->channel_stride;
    merge_axes(c);
    return FINEPRUNE_OK;
}

// x is [steps, batch, cols] (all directions see it) or [steps, directions, batch, cols].
static int recurrent(struct fp_columns *c, const struct fp_tensor *x, size_t samples, fineprune_error *err) {
    const struct fp_weight *w = c->w;
    bool hidden = x->rank == 4;
    if (x->rank < 3 || x->rank > 4 || (size_t)x->dims[x->rank - 1] != w->cols ||
        (hidden && (size_t)x->dims[1] != w->groups))
        return does_not_fit(w, x, err);
    size_t steps = (size_t)x->dims[0], batch = (size_t)x->dims[x->rank - 2];
    c->col_stride = 1;
    if (hidden) c->group_stride = batch * w->cols;
    c->row_outer_stride = (hidden ? w->groups : 1) * batch * w->cols;
    if (batch) c->lengths = x->lengths;
    c->units = 1;
    c->row_inner = batch;
    if ((batch == samples && batch) || c->lengths) c->units = batch;
    if (c->units > 1) c->unit_stride = w->cols, c->row_inner = 1;
    c->row_stride = w->cols;
    c->rows = steps * c->row_inner;
    return FINEPRUNE_OK;
}

// How the input's leading axes meet those of a batched weight: each of its matrices has its own, or one is for all of
// them.
enum meeting { NEITHER, ONE_EACH, ONE_FOR_ALL };

static enum meeting batches_meet(const struct fp_weight *w, const struct fp_tensor *x) {
    int axes = w->rank - 2, first = x->rank - w->rank;
    bool each = first >= 0, all = true;
    for (int i = 0; i < axes; i++) {
        int64_t dim = first + i >= 0 ? x->dims[first + i] : 1;
        each &= dim == w->dims[i];
        all &= dim == 1;
    }
    if (each) return ONE_EACH;
    if (all) return ONE_FOR_ALL;
    return NEITHER;
}

static int product(struct fp_columns *c, const struct fp_tensor *x, size_t samples, bool transposed,
                   fineprune_error *err) {
    const struct fp_weight *w = c->w;
    int rank = x->rank;
    if (rank < 1) return does_not_fit(w, x, err);
    // Which of the last two axes are the columns; the other one are rows.
    bool last = (w->kind == FP_WEIGHT_RIGHT) != transposed || rank == 1;
    size_t a = rank > 1 ? (size_t)x->dims[rank - 2] : 1, b = (size_t)x->dims[rank - 1];
    if ((last ? b : a) != w->cols) return does_not_fit(w, x, err);
    size_t matrices = x->count && a && b ? x->count / (a * b) : 0, groups = w->groups, per_row = last ? a : b;
    enum meeting meeting = ONE_FOR_ALL;
    if (groups > 1) meeting = batches_meet(w, x);
    if (meeting == NEITHER) return does_not_fit(w, x, err);
    size_t outer = matrices, outer_stride = a * b;
    if (meeting == ONE_EACH) {
        c->group_stride = a * b;
        outer = matrices / groups;
        outer_stride = a * b * groups;
    }
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

int fp_columns_of(struct fp_columns *out, const struct fp_weight *w, const struct fp_weight_use *use,
                  const struct fp_tensor *x, size_t samples, fineprune_error *err) {
    struct fp_columns c = {.w = w, .x = x->data, .row_inner = 1};
    int status;
    bool is_convolution = w->kind == FP_WEIGHT_CONV || w->kind == FP_WEIGHT_CONV_TRANSPOSE;
    if (x->layout && !is_convolution)
        return fp_fail(err, FINEPRUNE_INTERNAL, "the input of weight '%s' lies in another order", w->name);
    if (is_convolution) {
        status = convolution(&c, use, x, err);
    } else if (fp_view_is_recurrent(w->view)) {
        status = recurrent(&c, x, samples, err);
    } else {
        bool transposed = (w->view == FP_VIEW_GEMM || w->view == FP_VIEW_SCALED) &&
                          fp_attr_int(use->node, use->slot == 1 ? "transA" : "transB", 0) != 0;
        status = product(&c, x, samples, transposed, err);
    }
    if (!status) *out = c;
    return status;
}

// ---- weights that see the same

static bool same_ints(const struct fp_node *a, const struct fp_node *b, const char *name) {
    size_t n, m;
    const int64_t *x = fp_attr_ints(a, name, &n), *y = fp_attr_ints(b, name, &m);
    return n == m && (!n || !memcmp(x, y, n * sizeof(*x)));
}

bool fp_columns_shared(const struct fp_weight *a, const struct fp_weight *b) {
    if (a->n_uses != 1 || b->n_uses != 1 || a->uses->slot != 1 || b->uses->slot != 1) return false;
    const struct fp_node *m = a->uses->node, *n = b->uses->node;
    bool known = a->view == FP_VIEW_CONV || a->view == FP_VIEW_GEMM || a->view == FP_VIEW_MATRIX;
    bool same = known && m->graph == n->graph && m->in[0] == n->in[0] && !strcmp(m->type, n->type) &&
                !strcmp(m->domain, n->domain);
    same = same && a->kind == b->kind && a->groups == b->groups && a->cols == b->cols && a->inner == b->inner &&
           a->rank == b->rank;
    for (int i = 2; i < a->rank && same && a->kind == FP_WEIGHT_CONV; i++)
        same = a->dims[i] == b->dims[i]; // kernel_shape
    for (int i = 0; i + 2 < a->rank && same && a->kind != FP_WEIGHT_CONV; i++)
        same = a->dims[i] == b->dims[i]; // of several matrices
    return same && fp_attr_int(m, "transA", 0) == fp_attr_int(n, "transA", 0) && same_ints(m, n, "strides") &&
           same_ints(m, n, "pads") && same_ints(m, n, "dilations") &&
           !strcmp(fp_attr_text(m, "auto_pad", "NOTSET"), fp_attr_text(n, "auto_pad", "NOTSET"));
}

// ---- rows

// Where kernel position k meets the input when the output is at o; -1: outside, or between the spread-out elements.
static int64_t meet(const struct fp_columns *c, int axis, int64_t o, int64_t k) {
    if (c->w->kind == FP_WEIGHT_CONV) {
        int64_t i = o * c->stride[axis] + k * c->dilation[axis] - c->begin[axis];
        if (i < 0 || i >= c->in[axis]) return -1;
        return i;
    }
    int64_t t = o + c->begin[axis] - k * c->dilation[axis];
    if (t < 0 || t % c->stride[axis] || t / c->stride[axis] >= c->in[axis]) return -1;
    return t / c->stride[axis];
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
            at += position * stride;
            if (position < 0) at = -1;
            stride *= c->in[i];
        }
        if (at < 0) {
            for (size_t ch = 0; ch < c->channels; ch++) dst[ch * kernel + k] = 0;
            continue;
        }
        const float *from = x + (size_t)at * c->position_stride;
        if (kernel == 1 && c->channel_stride == 1) {
            memcpy(dst, from, c->channels * sizeof(*dst));
            return;
        }
        for (size_t ch = 0; ch < c->channels; ch++) dst[ch * kernel + k] = from[ch * c->channel_stride];
    }
}

static const float *product_row(const struct fp_columns *c, size_t g, size_t unit, size_t row) {
    return c->x + unit * c->unit_stride + g * c->group_stride + row / c->row_inner * c->row_outer_stride +
           row % c->row_inner * c->row_stride;
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
