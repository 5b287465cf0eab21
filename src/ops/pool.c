// SPDX-License-Identifier: Apache-2.0
// Pooling over windows and over all of space. oneDNN does the common forms; a plain loop does indices, integers, LpPool
// and averages whose last window reaches past the padding. Both take row-major and channels-last data and keep the
// order.
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "kernel/channels_last.h"
#include "kernel/dnnl_prim.h"
#include "ops/window.h"

enum { MAX, AVERAGE, LP };

struct pool {
    struct fp_prim prim;
    struct fp_window window;
    bool by_dnnl, include_pad;
    double p;
};

static void done(void *state) {
    struct pool *p = state;
    fp_prim_done(&p->prim);
    free(p);
}

// What an element adds to the sum of an Lp norm, and the norm.
static double raised(float v, double p) {
    if (p == 2) return (double)v * v;
    return pow(fabs((double)v), p);
}
static float norm_of(double sum, double p) {
    if (p == 2) return (float)sqrt(sum);
    return (float)pow(sum, 1 / p);
}
// Before opset 2 the exponent is a float.
static double exponent_of(const struct fp_call *call) {
    if (call->node->opset < 2) return fp_attr_float(call->node, "p", 2);
    return (double)fp_attr_int(call->node, "p", 2);
}

// ---- oneDNN

static dnnl_status_t create(const struct fp_window *w, dnnl_alg_kind_t algorithm, dnnl_engine_t engine,
                            const_dnnl_memory_desc_t src, const_dnnl_memory_desc_t dst, dnnl_primitive_attr_t attr,
                            dnnl_primitive_desc_t *desc) {
    dnnl_dims_t stride, kernel, dilation, begin, end;
    for (int i = 0; i < w->n; i++) {
        stride[i] = w->stride[i];
        kernel[i] = w->kernel[i];
        dilation[i] = w->dilation[i] - 1;
        begin[i] = w->begin[i];
        end[i] = (w->out[i] - 1) * w->stride[i] + fp_window_reach(w, i) - w->in[i] - w->begin[i];
        if (!w->reaches_out) end[i] = w->end[i];
    }
    return dnnl_pooling_forward_primitive_desc_create(desc, engine, dnnl_forward_inference, algorithm, src, dst, stride,
                                                      kernel, dilation, begin, end, attr);
}

static bool is_slow(const_dnnl_primitive_desc_t desc) {
    const char *text = "";
    dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &text);
    return strstr(text, "ref") != NULL;
}

// by_dnnl tells whether it could be done.
static int try_dnnl(struct fp_call *call, struct pool *p) {
    p->by_dnnl = false;
    int variant = call->op->variant;
    if (variant == LP || call->in[0]->type != FP_FLOAT || p->window.n > 3 || call->n_out > 1 ||
        call->out[0].count == 0 || (variant == AVERAGE && p->include_pad && p->window.reaches_out))
        return 0;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t src = NULL, dst = NULL;
    int status = fp_dnnl_engine(call, &engine, &stream);
    if (!status) status = fp_desc_tensor(call, &src, call->in[0]);
    if (!status) status = fp_desc_tensor(call, &dst, &call->out[0]);
    dnnl_primitive_attr_t attr = NULL;
    if (!status) attr = fp_dnnl_attr(call, NULL);
    if (!status && attr) {
        dnnl_alg_kind_t algorithm = dnnl_pooling_avg_exclude_padding;
        if (variant == MAX) algorithm = dnnl_pooling_max;
        else if (p->include_pad) algorithm = dnnl_pooling_avg_include_padding;
        dnnl_primitive_desc_t desc = NULL;
        dnnl_status_t s = create(&p->window, algorithm, engine, src, dst, attr, &desc);
        if (s == dnnl_success && is_slow(desc)) dnnl_primitive_desc_destroy(desc);
        else if (s == dnnl_success) status = fp_prim_make(call, &p->prim, desc), p->by_dnnl = !status;
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    fp_desc_done(&src);
    fp_desc_done(&dst);
    return status;
}

// ---- prepare

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    struct pool *p = fp_state(call, sizeof(*p));
    if (!p) return FINEPRUNE_LIMIT;
    const struct fp_tensor *x = call->in[0];
    bool narrow = call->op->variant == MAX && (x->type == FP_INT8 || x->type == FP_UINT8);
    if (x->type != FP_FLOAT && !narrow)
        return fp_call_fail(call, "data of type %s are not supported", fp_type_name(x->type));
    status = fp_window_read(call, &p->window, x, NULL);
    if (status) return status;
    p->include_pad = fp_attr_int(call->node, "count_include_pad", 0) != 0;
    p->p = exponent_of(call);
    if (call->op->variant == LP && !(p->p > 0)) return fp_call_fail(call, "p is %g", p->p);
    int64_t dims[FP_MAX_RANK] = {x->dims[0], x->dims[1]};
    memcpy(dims + 2, p->window.out, (size_t)p->window.n * sizeof(dims[0]));
    status = fp_out(call, 0, x->type, x->rank, dims);
    call->out[0].layout = x->layout;
    if (!status && call->n_out > 1) status = fp_out(call, 1, FP_INT64, x->rank, dims);
    if (status) return status;
    return try_dnnl(call, p);
}

// ---- the plain loop

// One plane of one sample. Strides are those of the spatial dims.
struct plane {
    const struct pool *pool;
    int variant;
    const float *x;
    float *y;
    int64_t *at; // indices, or NULL
    int64_t x_strides[FP_WINDOW_MAX], y_strides[FP_WINDOW_MAX], index_strides[FP_WINDOW_MAX], at_strides[FP_WINDOW_MAX];
    int64_t index_base;
};

struct window_sum {
    double sum;
    float max;
    int64_t max_at, inside;
};

static void visit(const struct plane *s, const int64_t *o, int level, int64_t x, int64_t index, struct window_sum *w) {
    const struct fp_window *g = &s->pool->window;
    if (level == g->n) {
        float v = s->x[x];
        if (s->variant == MAX && (v > w->max || w->max_at < 0)) {
            w->max = v;
            w->max_at = index;
        } else if (s->variant == LP) {
            w->sum += raised(v, s->pool->p);
        } else {
            w->sum += v;
        }
        w->inside++;
        return;
    }
    int64_t start = o[level] * g->stride[level] - g->begin[level];
    for (int64_t k = 0; k < g->kernel[level]; k++) {
        int64_t i = start + k * g->dilation[level];
        if (i >= 0 && i < g->in[level])
            visit(s, o, level + 1, x + i * s->x_strides[level], index + i * s->index_strides[level], w);
    }
}

// Elements of the window that lie in the data or its declared padding.
static int64_t padded_elements(const struct fp_window *g, const int64_t *o) {
    int64_t n = 1;
    for (int i = 0; i < g->n; i++) {
        int64_t start = o[i] * g->stride[i] - g->begin[i], limit = g->in[i] + g->end[i], inside = 0;
        for (int64_t k = 0; k < g->kernel[i]; k++) inside += start + k * g->dilation[i] < limit;
        n *= inside;
    }
    return n;
}

static float result(const struct plane *s, const struct window_sum *w, const int64_t *o) {
    if (s->variant == MAX && w->max_at < 0) return -INFINITY;
    if (s->variant == MAX) return w->max;
    if (s->variant == LP) return norm_of(w->sum, s->pool->p);
    int64_t n = w->inside;
    if (s->pool->include_pad) n = padded_elements(&s->pool->window, o);
    if (n) return (float)(w->sum / (double)n);
    return 0;
}

static void pool_plane(const struct plane *s) {
    const struct fp_window *g = &s->pool->window;
    int64_t o[FP_WINDOW_MAX] = {0};
    for (;;) {
        struct window_sum w = {.max_at = -1};
        visit(s, o, 0, 0, s->index_base, &w);
        int64_t y = 0, at = 0;
        for (int i = 0; i < g->n; i++) {
            y += o[i] * s->y_strides[i];
            at += o[i] * s->at_strides[i];
        }
        s->y[y] = result(s, &w, o);
        if (s->at) s->at[at] = w.max_at;
        int i = g->n - 1;
        while (i >= 0 && ++o[i] == g->out[i]) o[i--] = 0;
        if (i < 0) return;
    }
}

// storage_order 1 counts indices with the first spatial axis fastest.
static void index_strides(const struct fp_window *g, bool first_fastest, int64_t *strides) {
    int64_t step = 1;
    for (int i = 0; i < g->n; i++) {
        int k = i;
        if (!first_fastest) k = g->n - 1 - i;
        strides[k] = step;
        step *= g->in[k];
    }
}

static void pool_all(struct fp_call *call, const float *x, float *y) {
    const struct pool *p = call->state;
    const struct fp_tensor *in = call->in[0], *out = &call->out[0];
    struct plane s = {.pool = p, .variant = call->op->variant};
    int64_t xs[FP_MAX_RANK], ys[FP_MAX_RANK], as[FP_MAX_RANK];
    fp_layout_strides(in, xs);
    fp_layout_strides(out, ys);
    fp_strides(out->rank, out->dims, as);
    size_t each = (size_t)p->window.n * sizeof(int64_t);
    memcpy(s.x_strides, xs + 2, each);
    memcpy(s.y_strides, ys + 2, each);
    memcpy(s.at_strides, as + 2, each);
    index_strides(&p->window, fp_attr_int(call->node, "storage_order", 0) != 0, s.index_strides);
    int64_t planes = in->dims[0] * in->dims[1], channels = in->dims[1], space = 1;
    for (int i = 0; i < p->window.n; i++) space *= p->window.in[i];
#pragma omp parallel for num_threads(call->threads) firstprivate(s) if (out->count > 5000)
    for (int64_t i = 0; i < planes; i++) {
        int64_t n = i / channels, c = i % channels;
        s.x = x + n * xs[0] + c * xs[1];
        s.y = y + n * ys[0] + c * ys[1];
        if (call->n_out > 1) s.at = (int64_t *)call->out[1].data + n * as[0] + c * as[1];
        else s.at = NULL;
        s.index_base = i * space;
        pool_plane(&s);
    }
}

// int8 and uint8 go through float, which holds them exactly.
static int pool_narrow(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    float *wide = fp_scratch(call, FP_SCRATCH_A, x->count * sizeof(float));
    float *made = NULL;
    if (wide) made = fp_scratch(call, FP_SCRATCH_B, y->count * sizeof(float));
    if (!made) return FINEPRUNE_LIMIT;
    fp_convert(wide, FP_FLOAT, x->data, x->type, x->count);
    pool_all(call, wide, made);
    fp_convert(y->data, y->type, made, FP_FLOAT, y->count);
    return 0;
}

static int run(struct fp_call *call) {
    struct pool *p = call->state;
    if (call->out[0].count == 0) return 0;
    if (call->in[0]->type != FP_FLOAT) return pool_narrow(call);
    if (!p->by_dnnl) {
        pool_all(call, call->in[0]->data, call->out[0].data);
        return 0;
    }
    int status = fp_prim_set(call, &p->prim, DNNL_ARG_SRC, NULL, call->in[0]->data);
    if (!status) status = fp_prim_set(call, &p->prim, DNNL_ARG_DST, NULL, call->out[0].data);
    if (status) return status;
    return fp_prim_run(call, &p->prim);
}

// ---- over all of space

static int prepare_global(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->type != FP_FLOAT || x->rank < 2)
        return fp_call_fail(call, "data of type %s and rank %d are not supported", fp_type_name(x->type), x->rank);
    int64_t dims[FP_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (int i = 2; i < x->rank; i++) dims[i] = 1;
    return fp_out(call, 0, FP_FLOAT, x->rank, dims);
}

static float lp(const float *x, int64_t n, int64_t step, double p) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += raised(x[i * step], p);
    return norm_of(sum, p);
}

static float largest(const float *x, int64_t n, int64_t step) {
    float max = -INFINITY;
    if (n) max = x[0];
    for (int64_t i = 1; i < n; i++) max = fp_most_float(x[i * step], max);
    return max;
}

// Sixteen sums side by side, for speed and for precision.
static float mean(const float *x, int64_t n) {
    float sums[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) sums[k] += x[i + k];
    double sum = 0;
    for (; i < n; i++) sum += x[i];
    for (int k = 0; k < 16; k++) sum += sums[k];
    return (float)(sum / (double)n);
}

// Channels side by side, in rows of at most 64.
FP_VECTOR static void mean_last(float *y, const float *x, int64_t n, int64_t step, int64_t channels) {
    float sums[64] = {0};
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < channels; c++) sums[c] += x[i * step + c];
    for (int64_t c = 0; c < channels; c++) y[c] = sums[c] / (float)n;
}

FP_VECTOR static void largest_last(float *y, const float *x, int64_t n, int64_t step, int64_t channels) {
    float most[64];
    for (int64_t c = 0; c < channels; c++) most[c] = -INFINITY;
    if (n) memcpy(most, x, (size_t)channels * sizeof(*most));
    for (int64_t i = 1; i < n; i++)
        for (int64_t c = 0; c < channels; c++) most[c] = fp_most_float(x[i * step + c], most[c]);
    memcpy(y, most, (size_t)channels * sizeof(*y));
}

static void global_last(const struct fp_call *call, int64_t space, int64_t channels, double p) {
    int64_t blocks = (channels + 63) / 64, all = call->in[0]->dims[0] * blocks;
#pragma omp parallel for num_threads(call->threads) if (call->in[0]->count > 50000)
    for (int64_t i = 0; i < all; i++) {
        int64_t n = i / blocks, c = i % blocks * 64, end = fp_least_int(c + 64, channels);
        const float *x = (const float *)call->in[0]->data + n * space * channels;
        float *y = (float *)call->out[0].data + n * channels;
        if (call->op->variant == AVERAGE) mean_last(y + c, x + c, space, channels, end - c);
        if (call->op->variant == MAX) largest_last(y + c, x + c, space, channels, end - c);
        for (; c < end && call->op->variant == LP; c++) y[c] = lp(x + c, space, channels, p);
    }
}

static int run_global(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    if (call->out[0].count == 0) return 0;
    double p = exponent_of(call);
    int64_t planes = x->dims[0] * x->dims[1], space = (int64_t)x->count / planes;
    if (fp_is_last(x)) {
        global_last(call, space, x->dims[1], p);
        return 0;
    }
#pragma omp parallel for num_threads(call->threads) if (x->count > 50000)
    for (int64_t i = 0; i < planes; i++) {
        const float *from = (const float *)x->data + i * space;
        float *to = (float *)call->out[0].data + i;
        if (call->op->variant == MAX) *to = largest(from, space, 1);
        else if (call->op->variant == LP) *to = lp(from, space, 1, p);
        else *to = mean(from, space);
    }
    return 0;
}

// ---- MaxUnpool: values go back to where MaxPool found them

static int unpool_shape(struct fp_call *call, int64_t *dims) {
    const struct fp_tensor *x = call->in[0];
    struct fp_window w;
    int64_t pads[2 * FP_WINDOW_MAX];
    int status = fp_window_steps(call, &w, x, NULL);
    if (!status) status = fp_window_ints(call, "pads", 2 * w.n, pads, 0, 0);
    if (status) return status;
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (int i = 0; i < w.n; i++)
        dims[i + 2] = (x->dims[i + 2] - 1) * w.stride[i] + w.kernel[i] - pads[i] - pads[i + w.n];
    return 0;
}

struct unpool {
    int64_t dims[FP_MAX_RANK];
    size_t count;
};

static int prepare_unpool(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct unpool *u = fp_state(call, sizeof(*u));
    if (!u) return FINEPRUNE_LIMIT;
    const struct fp_tensor *x = call->in[0], *at = call->in[1];
    if (x->type != FP_FLOAT || at->type != FP_INT64 || !fp_same_shape(x, at))
        return fp_call_fail(call, "data (%s) and indices (%s) do not fit together", fp_type_name(x->type),
                            fp_type_name(at->type));
    status = unpool_shape(call, u->dims);
    if (status) return status;
    if (!fp_product(x->rank, u->dims, &u->count)) return fp_call_fail(call, "the output is too large or negative");
    int64_t dims[FP_MAX_RANK];
    size_t n = (size_t)x->rank;
    memcpy(dims, u->dims, sizeof(dims));
    if (fp_given(call, 2)) status = fp_read_ints(call, 2, dims, FP_MAX_RANK, &n);
    if (!status && n != (size_t)x->rank)
        return fp_call_fail(call, "output_shape has %zu dims, the data %d", n, x->rank);
    for (int i = 0; i < x->rank && !status; i++)
        if (dims[i] < u->dims[i])
            return fp_call_fail(call, "output_shape has %lld along axis %d, at least %lld are needed",
                                (long long)dims[i], i, (long long)u->dims[i]);
    if (status) return status;
    return fp_out(call, 0, FP_FLOAT, x->rank, dims);
}

// Indices count in the smallest shape; the output may be larger, with the values in its first corner.
static size_t widen(const struct unpool *u, const struct fp_tensor *out, size_t at) {
    size_t offset = 0, step = 1;
    for (int i = out->rank - 1; i >= 0; i--) {
        offset += at % (size_t)u->dims[i] * step;
        at /= (size_t)u->dims[i];
        step *= (size_t)out->dims[i];
    }
    return offset;
}

static int run_unpool(struct fp_call *call) {
    const struct unpool *u = call->state;
    const float *x = call->in[0]->data;
    const int64_t *at = call->in[1]->data;
    float *y = call->out[0].data;
    memset(y, 0, call->out[0].count * sizeof(*y));
    for (size_t i = 0; i < call->in[0]->count; i++) {
        if (at[i] < 0 || (size_t)at[i] >= u->count)
            return fp_call_fail(call, "index %lld is outside 0..%zu", (long long)at[i], u->count);
        y[widen(u, &call->out[0], (size_t)at[i])] = x[i];
    }
    return 0;
}

const struct fp_op fp_ops_pool[] = {
    {"", "MaxPool", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED, MAX, .role = FP_ROLE_FINDS_MAXIMA,
     .passage = FP_PASSAGE_POOLS, .arity = "r>r 8:r>ro",
     .attributes = "auto_pad=s ceil_mode=i dilations=I kernel_shape=I! pads=I storage_order=i strides=I"},
    {"", "AveragePool", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED, AVERAGE, .role = FP_ROLE_AVERAGES_WINDOWS,
     .passage = FP_PASSAGE_POOLS, .arity = "r>r",
     .attributes = "auto_pad=s ceil_mode=i count_include_pad=i dilations=I kernel_shape=I! pads=I strides=I"},
    {"", "LpPool", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED, LP, .passage = FP_PASSAGE_POOLS,
     .arity = "r>r", .attributes = "auto_pad=s ceil_mode=i dilations=I kernel_shape=I p=fi pads=I strides=I"},
    {"", "GlobalMaxPool", 1, prepare_global, run_global, NULL, FP_OP_FLOAT32 | FP_OP_BLOCKED, MAX,
     .role = FP_ROLE_FINDS_MAXIMA, .passage = FP_PASSAGE_REMOVES, .arity = "r>r"},
    {"", "GlobalAveragePool", 1, prepare_global, run_global, NULL, FP_OP_FLOAT32 | FP_OP_BLOCKED, AVERAGE,
     .role = FP_ROLE_AVERAGES_ALL, .passage = FP_PASSAGE_REMOVES, .arity = "r>r"},
    {"", "GlobalLpPool", 1, prepare_global, run_global, NULL, FP_OP_FLOAT32 | FP_OP_BLOCKED, LP, NULL, .arity = "r>r",
     .attributes = "p=fi"},
    {"", "MaxUnpool", 1, prepare_unpool, run_unpool, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rro>r",
     .attributes = "kernel_shape=I! pads=I strides=I"},
    {0},
};
