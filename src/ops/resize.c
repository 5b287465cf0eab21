// SPDX-License-Identifier: Apache-2.0
// Resize and Upsample. The axes are independent: nearest is one copy through a map per axis, linear and cubic are one
// pass of weighted sums per axis that changes.
#include "ops/move.h"

#include <math.h>
#include <stdlib.h>

// One axis: how long it is and, once prepared, which input positions make each output position.
struct axis {
    int64_t in, out;
    double scale, roi[2];
    int taps;              // per output position
    int64_t *index;        // out * taps, in [0, in); -1 outside what is extrapolated
    float *weight;         // out * taps behind the indices, NULL for nearest
    size_t bytes;          // of both
    bool changes, outside; // outside: some index is -1
};

struct resize {
    struct axis axes[FP_MAX_RANK];
    int n_axes;
    bool outside; // some index is -1
    struct fp_memory *memory;
};

static void axes_done(struct resize *r) {
    for (int i = 0; i < FP_MAX_RANK; i++) fp_release(r->memory, r->axes[i].index, r->axes[i].bytes);
    memset(r, 0, sizeof(*r));
}

static void resize_done(void *state) {
    if (state) axes_done(state);
    free(state);
}

// ---- where an output position lies in the input; in float, so that ties fall as they do elsewhere

static float at_half_pixel(const struct axis *a, float x) { return (x + 0.5f) / (float)a->scale - 0.5f; }
static float at_asymmetric(const struct axis *a, float x) { return x / (float)a->scale; }
static float at_pytorch_half_pixel(const struct axis *a, float x) {
    if (a->out > 1) return at_half_pixel(a, x);
    return 0;
}
static float at_align_corners(const struct axis *a, float x) {
    float length = (float)(a->scale * (double)a->in);
    if (length == 1) return 0;
    return x * (float)(a->in - 1) / (length - 1);
}
static float at_half_pixel_symmetric(const struct axis *a, float x) {
    float adjustment = (float)((double)a->out / (a->scale * (double)a->in));
    return (float)a->in / 2 * (1 - adjustment) + (x + 0.5f) / (float)a->scale - 0.5f;
}
static float at_tf_half_pixel_for_nn(const struct axis *a, float x) { return (x + 0.5f) / (float)a->scale; }
static float at_crop(const struct axis *a, float x) {
    float last = (float)(a->in - 1), start = (float)a->roi[0], end = (float)a->roi[1];
    if (a->out == 1) return (start + end) * last / 2;
    return start * last + x * (end - start) * last / (float)(a->scale * (double)a->in - 1);
}

static const struct coordinates {
    const char *name;
    float (*at)(const struct axis *, float);
} COORDINATES[] = {
    {"half_pixel", at_half_pixel},
    {"asymmetric", at_asymmetric},
    {"align_corners", at_align_corners},
    {"pytorch_half_pixel", at_pytorch_half_pixel},
    {"tf_crop_and_resize", at_crop},
    {"half_pixel_symmetric", at_half_pixel_symmetric},
    {"tf_half_pixel_for_nn", at_tf_half_pixel_for_nn},
};

static double round_prefer_floor(double x) { return ceil(x - 0.5); }
static double round_prefer_ceil(double x) { return floor(x + 0.5); }

static const struct {
    const char *name;
    double (*round)(double);
} NEAREST[] = {{"round_prefer_floor", round_prefer_floor},
               {"round_prefer_ceil", round_prefer_ceil},
               {"floor", floor},
               {"ceil", ceil}};

static double linear(double x, double a) {
    (void)a;
    if (fabs(x) < 1) return 1 - fabs(x);
    return 0;
}
static double cubic(double x, double a) {
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    return 0;
}

// How to resize: what the attributes say.
struct how {
    float (*at)(const struct axis *, float);
    double (*round)(double);              // for nearest, else NULL
    double (*kernel)(double x, double a); // else
    double radius, a;
    bool exclude_outside, antialias;
    bool legacy; // nearest goes up when it shrinks
};

static int read_how(struct fp_call *call, bool legacy, struct how *how) {
    const char *mode = fp_attr_text(call->node, "mode", "nearest");
    const char *coordinates = "asymmetric", *nearest = "floor";
    if (!legacy) {
        coordinates = fp_attr_text(call->node, "coordinate_transformation_mode", "half_pixel");
        nearest = fp_attr_text(call->node, "nearest_mode", "round_prefer_floor");
    }
    *how = (struct how){.legacy = legacy,
                        .a = fp_attr_float(call->node, "cubic_coeff_a", -0.75f),
                        .exclude_outside = fp_attr_int(call->node, "exclude_outside", 0) != 0,
                        .antialias = fp_attr_int(call->node, "antialias", 0) != 0};
    for (size_t i = 0; i < FP_COUNT(COORDINATES); i++)
        if (!strcmp(COORDINATES[i].name, coordinates)) how->at = COORDINATES[i].at;
    if (!how->at) return fp_call_fail(call, "coordinate_transformation_mode %s is not supported", coordinates);
    if (!strcmp(mode, "nearest")) {
        for (size_t i = 0; i < FP_COUNT(NEAREST); i++)
            if (!strcmp(NEAREST[i].name, nearest)) how->round = NEAREST[i].round;
        if (how->round) return FINEPRUNE_OK;
        return fp_call_fail(call, "nearest_mode %s is not supported", nearest);
    }
    bool is_cubic = !strcmp(mode, "cubic");
    if (!is_cubic && strcmp(mode, "linear") && strcmp(mode, "bilinear"))
        return fp_call_fail(call, "mode %s is not supported", mode);
    if (is_cubic) {
        how->kernel = cubic;
        how->radius = 2;
    } else {
        how->kernel = linear;
        how->radius = 1;
    }
    return FINEPRUNE_OK;
}

// ---- taps

static bool is_outside(const struct how *how, const struct axis *a, double x) {
    return how->at == at_crop && !(x >= 0 && x <= (double)(a->in - 1));
}

static int64_t nearest_tap(const struct how *how, const struct axis *a, double x) {
    if (is_outside(how, a, x)) return -1;
    double at;
    if (how->legacy && a->scale < 1) at = ceil(x);
    else at = how->round(x);
    if (!(at > 0)) return 0;
    if (at > (double)(a->in - 1)) return a->in - 1;
    return (int64_t)at;
}

// The weighted taps around x; 0 < x - base <= 1.
static void weighted_taps(const struct how *how, const struct axis *a, double x, double scale, int start,
                          int64_t *index, float *weight) {
    double limit = (double)a->in + a->taps, sum = 0, weights = 0;
    if (!(x > -limit)) x = -limit;
    if (x > limit) x = limit;
    double base = ceil(x) - 1, ratio = x - base;
    for (int pass = 0; pass < 2; pass++) // the sums first
        for (int i = 0; i < a->taps; i++) {
            int64_t at = (int64_t)base + start + i;
            bool outside = at < 0 || at >= a->in;
            double w = how->kernel((start + i - ratio) * scale, how->a);
            if (pass == 0) sum += w;
            if (how->exclude_outside && outside) w = 0;
            if (pass == 0) weights += w;
            index[i] = at;
            if (at < 0) index[i] = 0;
            else if (at >= a->in) index[i] = a->in - 1;
            double divisor = 1;
            if (how->exclude_outside) divisor = weights;
            else if (how->antialias) divisor = sum;
            weight[i] = 0;
            if (divisor != 0) weight[i] = (float)(w / divisor);
        }
}

static int make_taps(struct fp_call *call, const struct how *how, struct resize *r, struct axis *a) {
    double scale = 1, first = 0;
    if (how->antialias && a->scale < 1) scale = a->scale;
    if (how->kernel) first = floor(-how->radius / scale) + 1;
    size_t n;
    if (!(first > -1e8)) return fp_call_fail(call, "a scale of %g is not possible", a->scale);
    a->taps = 1;
    if (how->kernel) a->taps = 2 - 2 * (int)first;
    if (!fp_mul((size_t)a->out, (size_t)a->taps, &n) || !fp_mul(n, sizeof(int64_t) + sizeof(float), &a->bytes))
        return fp_call_fail(call, "an axis of %lld is not possible", (long long)a->out);
    a->index = fp_take(call->memory, a->bytes);
    if (!a->index) return fp_fail_memory(call->err, "resizing", a->bytes);
    if (how->kernel) a->weight = (float *)(a->index + n);
    a->changes = a->in != a->out;
    for (int64_t i = 0; i < a->out; i++) {
        double x = (double)how->at(a, (float)i);
        int64_t *index = a->index + i * a->taps;
        if (how->round) {
            index[0] = nearest_tap(how, a, x);
        } else if (is_outside(how, a, x)) {
            for (int k = 0; k < a->taps; k++) index[k] = -1;
        } else {
            weighted_taps(how, a, x, scale, (int)first, index, a->weight + i * a->taps);
        }
        a->changes = a->changes || x != (double)i;
        a->outside = a->outside || index[0] < 0;
    }
    r->outside = r->outside || a->outside;
    return FINEPRUNE_OK;
}

// ---- sizes

static int read_floats(struct fp_call *call, int i, double *dst, size_t max, size_t *n) {
    const struct fp_tensor *t = call->in[i];
    if (!fp_type_is_float(t->type))
        return fp_call_fail(call, "input %d is %s where floats are needed", i, fp_type_name(t->type));
    if (t->count > max)
        return fp_call_fail(call, "input %d has %zu elements; at most %zu make sense", i, t->count, max);
    call->values_read |= (uint64_t)1 << i;
    fp_convert(dst, FP_DOUBLE, t->data, t->type, t->count);
    *n = t->count;
    return FINEPRUNE_OK;
}

// The axes that roi, scales and sizes are about.
static int read_axes(struct fp_call *call, int rank, int *axes, size_t *n) {
    const int64_t *given = fp_attr_ints(call->node, "axes", n);
    if (!given) *n = (size_t)rank;
    if (*n > (size_t)rank) return fp_call_fail(call, "there are %zu axes for rank %d", *n, rank);
    for (size_t i = 0; i < *n; i++) {
        int status = fp_axis(call, fp_axis_at(given, i), rank, &axes[i]);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int apply_scales(struct fp_call *call, struct resize *r, const int *axes, size_t n, const double *scales,
                        size_t n_scales) {
    if (n_scales != n) return fp_call_fail(call, "there are %zu scales for %zu axes", n_scales, n);
    for (size_t i = 0; i < n; i++) {
        struct axis *a = &r->axes[axes[i]];
        double out = floor((double)((float)scales[i] * (float)a->in)); // in float, as everybody else does
        if (!(scales[i] > 0) || !(out <= 0x1p40))
            return fp_call_fail(call, "a scale of %g for a dim of %lld is not possible", scales[i], (long long)a->in);
        a->scale = scales[i];
        a->out = (int64_t)out;
    }
    return FINEPRUNE_OK;
}

static int apply_sizes(struct fp_call *call, struct resize *r, const int *axes, size_t n, const int64_t *sizes,
                       size_t n_sizes) {
    const char *policy = fp_attr_text(call->node, "keep_aspect_ratio_policy", "stretch");
    bool larger = !strcmp(policy, "not_smaller"), stretch = !strcmp(policy, "stretch");
    double common = INFINITY;
    if (larger) common = 0;
    if (!larger && !stretch && strcmp(policy, "not_larger"))
        return fp_call_fail(call, "keep_aspect_ratio_policy %s is not supported", policy);
    if (n_sizes != n) return fp_call_fail(call, "there are %zu sizes for %zu axes", n_sizes, n);
    for (size_t i = 0; i < n; i++) {
        struct axis *a = &r->axes[axes[i]];
        if (sizes[i] < 0 || (sizes[i] == 0) != (a->in == 0))
            return fp_call_fail(call, "a dim of %lld cannot become %lld", (long long)a->in, (long long)sizes[i]);
        a->out = sizes[i];
        if (a->in) a->scale = (double)a->out / (double)a->in;
        else a->scale = 1;
        if (larger && a->scale > common) common = a->scale;
        if (!larger && a->scale < common) common = a->scale;
    }
    for (size_t i = 0; i < n && !stretch; i++) {
        struct axis *a = &r->axes[axes[i]];
        a->scale = common;
        a->out = (int64_t)floor(common * (double)a->in + 0.5);
    }
    return FINEPRUNE_OK;
}

// Inputs of opset 11 and later: roi, scales, sizes.
static int read_inputs(struct fp_call *call, struct resize *r, bool crop) {
    int axes[FP_MAX_RANK];
    size_t n, n_roi = 0, n_scales = 0, n_sizes = 0;
    double roi[2 * FP_MAX_RANK], scales[FP_MAX_RANK];
    int64_t sizes[FP_MAX_RANK];
    int status = read_axes(call, r->n_axes, axes, &n);
    if (!status && crop && fp_given(call, 1)) status = read_floats(call, 1, roi, 2 * FP_MAX_RANK, &n_roi);
    if (!status && fp_given(call, 2)) status = read_floats(call, 2, scales, FP_MAX_RANK, &n_scales);
    if (!status && fp_given(call, 3)) status = fp_read_ints(call, 3, sizes, FP_MAX_RANK, &n_sizes);
    if (status) return status;
    if (crop && n_roi != 2 * n) return fp_call_fail(call, "roi has %zu elements for %zu axes", n_roi, n);
    for (size_t i = 0; i < n && crop; i++) {
        r->axes[axes[i]].roi[0] = roi[i];
        r->axes[axes[i]].roi[1] = roi[n + i];
    }
    if (n_sizes) return apply_sizes(call, r, axes, n, sizes, n_sizes);
    return apply_scales(call, r, axes, n, scales, n_scales);
}

// Before: only scales, which are an input or an attribute.
static int read_legacy(struct fp_call *call, struct resize *r) {
    int axes[FP_MAX_RANK];
    double scales[FP_MAX_RANK];
    size_t n = 0;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < FP_MAX_RANK; i++) axes[i] = i;
    if (fp_given(call, 1)) {
        status = read_floats(call, 1, scales, FP_MAX_RANK, &n);
    } else {
        const float *given = fp_attr_floats(call->node, "scales", &n);
        for (size_t i = 0; i < n && i < FP_MAX_RANK; i++) scales[i] = given[i];
    }
    if (status) return status;
    return apply_scales(call, r, axes, (size_t)r->n_axes, scales, n);
}

static int prepare(struct fp_call *call, bool legacy) {
    struct resize *r = fp_state(call, sizeof(*r));
    struct how how;
    if (!r) return FINEPRUNE_LIMIT;
    axes_done(r);
    int status = fp_need_tensors(call, 1);
    if (!status) status = read_how(call, legacy, &how);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    r->n_axes = x->rank;
    r->memory = call->memory;
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        r->axes[i] = (struct axis){.in = x->dims[i], .out = x->dims[i], .scale = 1, .roi = {0, 1}};
    if (legacy) status = read_legacy(call, r);
    else status = read_inputs(call, r, how.at == at_crop);
    for (int i = 0; i < x->rank; i++) dims[i] = r->axes[i].out;
    if (!status && how.kernel && (x->type == FP_COMPLEX64 || x->type == FP_COMPLEX128))
        status = fp_call_fail(call, "%s is not supported", fp_type_name(x->type));
    if (!status) status = fp_out(call, 0, x->type, x->rank, dims); // before the taps, as it checks the product
    call->out[0].layout = x->layout;
    size_t count = 0;
    if (!status && !fp_product(x->rank, dims, &count)) return fp_call_fail(call, "the sizes are not possible");
    for (int i = 0; i < x->rank && count && !status; i++) status = make_taps(call, &how, r, &r->axes[i]);
    return status;
}

static int prepare_resize(struct fp_call *call) { return prepare(call, false); }
static int prepare_legacy(struct fp_call *call) { return prepare(call, true); }

// ---- run

static void weigh_row(float *dst, const float *src, const struct axis *a, size_t at, size_t inner) {
    const int64_t *index = a->index + at * (size_t)a->taps;
    const float *weight = a->weight + at * (size_t)a->taps;
    for (int k = 0; k < a->taps; k++) {
        const float *from = src + fp_most_int(index[k], 0) * (int64_t)inner, w = weight[k];
        if (k == 0)
            for (size_t i = 0; i < inner; i++) dst[i] = w * from[i];
        else
            for (size_t i = 0; i < inner; i++) dst[i] += w * from[i];
    }
}

static void weigh_line(float *dst, const float *src, const struct axis *a) {
    if (a->taps == 2 && !a->outside) {
        for (int64_t at = 0; at < a->out; at++)
            dst[at] = a->weight[2 * at] * src[a->index[2 * at]] + a->weight[2 * at + 1] * src[a->index[2 * at + 1]];
        return;
    }
    for (int64_t at = 0; at < a->out; at++) {
        const int64_t *index = a->index + at * a->taps;
        const float *weight = a->weight + at * a->taps;
        float sum = 0;
        for (int k = 0; k < a->taps; k++) sum += weight[k] * src[fp_most_int(index[k], 0)];
        dst[at] = sum;
    }
}

// One axis of *t, which is replaced.
static int pass(struct fp_call *call, const struct axis *a, int axis, struct fp_tensor *t) {
    struct fp_tensor y = {0};
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, t->dims, sizeof(dims));
    dims[axis] = a->out;
    int status = fp_tensor_new(&y, call->memory, FP_FLOAT, t->rank, dims, call->err);
    if (status) return status;
    size_t outer = fp_span(dims, 0, axis), inner = fp_span(dims, axis + 1, t->rank), in = (size_t)a->in,
           out = (size_t)a->out;
    const float *src = t->data;
    float *dst = y.data;
    if (inner == 1) {
#pragma omp parallel for num_threads(call->threads) if (y.count > 50000)
        for (size_t o = 0; o < outer; o++) weigh_line(dst + o * out, src + o * in, a);
    } else {
#pragma omp parallel for num_threads(call->threads) if (y.count > 50000)
        for (size_t i = 0; i < outer * out; i++)
            weigh_row(dst + i * inner, src + i / out * in * inner, a, i % out, inner);
    }
    fp_tensor_done(t);
    *t = y;
    return FINEPRUNE_OK;
}

// The last two axes at once, as four weighted numbers in the order in which everybody adds them: what is then quantized
// often lies halfway between two steps, and the last bit decides.
struct pair {
    size_t row[2];
    float weight[2];
};

// Both taps of a border are the same element. Before the first it counts alone, behind the last twice by halves.
static struct pair pair_at(const struct axis *a, size_t at) {
    struct pair p = {{(size_t)a->index[2 * at], (size_t)a->index[2 * at + 1]},
                     {a->weight[2 * at], a->weight[2 * at + 1]}};
    if (p.row[0] == p.row[1]) {
        bool first = p.row[0] == 0 && a->in > 1;
        if (first) p.weight[0] = 1;
        else p.weight[0] = 0.5f;
        p.weight[1] = 1 - p.weight[0];
    }
    return p;
}

static void weigh_plane_row(float *dst, const float *src, const struct axis *x, const struct pair *row) {
    const float *above = src + row->row[0] * (size_t)x->in, *below = src + row->row[1] * (size_t)x->in;
    const float u = row->weight[0], v = row->weight[1];
    for (size_t i = 0; i < (size_t)x->out; i++) {
        const struct pair c = pair_at(x, i);
        dst[i] = c.weight[0] * u * above[c.row[0]] + c.weight[1] * u * above[c.row[1]] +
                 c.weight[0] * v * below[c.row[0]] + c.weight[1] * v * below[c.row[1]];
    }
}

static int pass_plane(struct fp_call *call, const struct axis *y, const struct axis *x, struct fp_tensor *t) {
    struct fp_tensor made = {0};
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, t->dims, sizeof(dims));
    dims[t->rank - 2] = y->out;
    dims[t->rank - 1] = x->out;
    int status = fp_tensor_new(&made, call->memory, FP_FLOAT, t->rank, dims, call->err);
    if (status) return status;
    size_t rows = fp_span(dims, 0, t->rank - 1), out = (size_t)y->out, in = (size_t)(y->in * x->in);
    const float *src = t->data;
    float *dst = made.data;
#pragma omp parallel for num_threads(call->threads) if (made.count > 50000)
    for (size_t i = 0; i < rows; i++) {
        const struct pair row = pair_at(y, i % out);
        weigh_plane_row(dst + i * (size_t)x->out, src + i / out * in, x, &row);
    }
    fp_tensor_done(t);
    *t = made;
    return FINEPRUNE_OK;
}

static bool is_linear(const struct axis *a) { return a->changes && a->taps == 2 && !a->outside; }

static void extrapolate(const struct resize *r, const int *axes, struct fp_tensor *t, float value) {
    for (size_t i = 0; i < t->count; i++) {
        size_t rest = i;
        bool outside = false;
        for (int k = t->rank - 1; k >= 0; k--) {
            const struct axis *a = &r->axes[axes[k]];
            outside = outside || a->index[rest % (size_t)a->out * (size_t)a->taps] < 0;
            rest /= (size_t)a->out;
        }
        if (outside) ((float *)t->data)[i] = value;
    }
}

static const struct {
    enum fp_type type;
    float low, high;
} RANGES[] = {{FP_UINT8, 0, 255}, {FP_INT8, -128, 127}, {FP_UINT16, 0, 65535}, {FP_INT16, -32768, 32767}};

static void put_result(struct fp_tensor *y, const struct fp_tensor *t) {
    float *v = t->data;
    for (size_t i = 0; i < t->count && !fp_type_is_float(y->type); i++) v[i] = rintf(v[i]);
    for (size_t k = 0; k < FP_COUNT(RANGES); k++)
        for (size_t i = 0; i < t->count && RANGES[k].type == y->type; i++)
            v[i] = fminf(fmaxf(v[i], RANGES[k].low), RANGES[k].high);
    fp_convert(y->data, y->type, t->data, FP_FLOAT, t->count);
}

// *t is x in float32, its dims in the order in which they lie in memory.
static int load(struct fp_call *call, const int *axes, struct fp_tensor *t) {
    struct fp_tensor x = *call->in[0];
    for (int i = 0; i < x.rank; i++) x.dims[i] = call->in[0]->dims[axes[i]];
    x.layout = NULL;
    if (x.type != FP_FLOAT) return fp_tensor_convert(t, call->memory, &x, FP_FLOAT, call->err);
    fp_tensor_share(t, &x);
    return FINEPRUNE_OK;
}

static int run_weighted(struct fp_call *call, const struct resize *r, float value) {
    struct fp_tensor t = {0}, *y = &call->out[0];
    int axes[FP_MAX_RANK];
    fp_physical(y, axes);
    int status = load(call, axes, &t), left = t.rank;
    if (!status && left > 1 && is_linear(&r->axes[axes[left - 2]]) && is_linear(&r->axes[axes[left - 1]])) {
        left -= 2;
        status = pass_plane(call, &r->axes[axes[left]], &r->axes[axes[left + 1]], &t);
    }
    for (int i = left - 1; i >= 0 && !status; i--)
        if (r->axes[axes[i]].changes) status = pass(call, &r->axes[axes[i]], i, &t);
    bool shared = t.data == call->in[0]->data; // nothing changes, so there is nothing outside either
    if (!status && shared) status = fp_put_whole(call);
    if (!status && r->outside && !shared) extrapolate(r, axes, &t, value);
    if (!status && !shared && y->type != FP_FLOAT) put_result(y, &t);
    if (!status && !shared && y->type == FP_FLOAT) {
        memcpy(t.dims, y->dims, sizeof(t.dims));
        t.layout = y->layout;
        fp_tensor_done(y);
        *y = t;
        return FINEPRUNE_OK;
    }
    fp_tensor_done(&t);
    return status;
}

static int run_resize(struct fp_call *call) {
    const struct resize *r = call->state;
    const int64_t *maps[FP_MAX_RANK];
    float value = fp_attr_float(call->node, "extrapolation_value", 0);
    double room[2] = {0};
    if (!call->out[0].count) return FINEPRUNE_OK;
    if (r->n_axes && r->axes[0].weight) return run_weighted(call, r, value);
    for (int i = 0; i < r->n_axes; i++) maps[i] = r->axes[i].index;
    if (call->in[0]->type != FP_COMPLEX64 && call->in[0]->type != FP_COMPLEX128)
        fp_convert(room, call->in[0]->type, &value, FP_FLOAT, 1);
    return fp_map_run(call, maps, room);
}

#define ROW(name, since, prepare, ...)                                                                                 \
    {"",         name, since, prepare, run_resize, resize_done, FP_OP_BLOCKED, 0, NULL, .passage = FP_PASSAGE_RESIZES, \
     __VA_ARGS__}
const struct fp_op fp_ops_resize[] = {
    ROW("Upsample", 7, prepare_legacy, .arity = "r>r 9:rr>r", .attributes = "mode=s scales=F"),
    ROW("Resize", 10, prepare_legacy, .arity = "rr>r", .attributes = "mode=s"),
    ROW("Resize", 11, prepare_resize, .arity = "rrro>r 13:rooo>r",
        .attributes = "antialias=i axes=I coordinate_transformation_mode=s cubic_coeff_a=f exclude_outside=i "
                      "extrapolation_value=f keep_aspect_ratio_policy=s mode=s nearest_mode=s"),
    {0},
};
