// SPDX-License-Identifier: Apache-2.0
// GridSample and AffineGrid: a feature map read at given places, and the places of an affine transform.
#include "ops/move.h"

#include <math.h>

enum { MAX_SPATIAL = 4, MAX_TAPS = 4 * 4 * 4 * 4, POINTS = 16 };

// ---- GridSample

enum padding { ZEROS, BORDER, REFLECTION };

struct sampler {
    int spatial;
    const int64_t *dims;
    bool align_corners;
    enum padding padding;
    int taps; // per axis: 1 nearest, 2 linear, 4 cubic
};

// The taps of one place: offsets into a channel and their weights.
struct place {
    int n;
    int64_t offset[MAX_TAPS];
    float weight[MAX_TAPS];
};

static int sampler_init(struct fp_call *call, struct sampler *s) {
    static const struct {
        const char *name;
        int taps;
    } modes[] = {{"nearest", 1}, {"linear", 2}, {"bilinear", 2}, {"cubic", 4}, {"bicubic", 4}};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const char *mode = fp_attr_text(call->node, "mode", "linear"),
               *padding = fp_attr_text(call->node, "padding_mode", "zeros");
    *s = (struct sampler){.spatial = call->in[0]->rank - 2,
                          .dims = call->in[0]->dims + 2,
                          .align_corners = fp_attr_int(call->node, "align_corners", 0) != 0};
    for (size_t i = 0; i < FP_COUNT(modes); i++)
        if (!strcmp(modes[i].name, mode)) s->taps = modes[i].taps;
    if (!s->taps) return fp_call_fail(call, "mode %s is not supported", mode);
    for (size_t i = 0; i < FP_COUNT(paddings); i++) {
        if (strcmp(paddings[i], padding)) continue;
        s->padding = (enum padding)i;
        return FINEPRUNE_OK;
    }
    return fp_call_fail(call, "padding_mode %s is not supported", padding);
}

static int prepare_grid_sample(struct fp_call *call) {
    struct sampler s;
    int status = fp_need_tensors(call, 2);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *grid = call->in[1];
    if (x->type != FP_FLOAT || grid->type != FP_FLOAT)
        return fp_call_fail(call, "%s with a grid of %s is not supported", fp_type_name(x->type),
                            fp_type_name(grid->type));
    int spatial = x->rank - 2;
    char a[160], b[160];
    if (spatial < 1 || spatial > MAX_SPATIAL || grid->rank != x->rank || grid->dims[0] != x->dims[0] ||
        grid->dims[x->rank - 1] != spatial)
        return fp_call_fail(call, "a grid of shape %s does not fit an input of shape %s",
                            fp_shape_text(a, sizeof(a), grid->rank, grid->dims),
                            fp_shape_text(b, sizeof(b), x->rank, x->dims));
    status = sampler_init(call, &s);
    int64_t dims[FP_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (int i = 0; i < spatial; i++) dims[2 + i] = grid->dims[1 + i];
    if (!status && fp_span(x->dims, 2, x->rank) == 0 && fp_span(dims, 0, x->rank) != 0)
        status = fp_call_fail(call, "the input of shape %s has nothing to sample",
                              fp_shape_text(b, sizeof(b), x->rank, x->dims));
    if (status) return status;
    return fp_out(call, 0, FP_FLOAT, x->rank, dims);
}

static float reflect(float x, float low, float high) {
    float range = high - low;
    if (!(range > 0) || !isfinite(x)) return low;
    float at = fmodf(fabsf(x - low), 2 * range);
    if (at <= range) return low + at;
    return high - (at - range);
}

static float clampf(float x, float low, float high) {
    if (!(x > low)) return low;
    if (x > high) return high;
    return x;
}

// The ends of an axis of n pixels: the middles of the outermost, or their outer edges.
static void ends_of(const struct sampler *s, int64_t n, float *low, float *high) {
    *low = -0.5f;
    *high = (float)n - 0.5f;
    if (!s->align_corners) return;
    *low = 0;
    *high = (float)(n - 1);
}

// Brings a coordinate inside, as far as the padding says.
static float settle(const struct sampler *s, float x, int64_t n) {
    float low, high;
    ends_of(s, n, &low, &high);
    if (x >= low && x <= high) return x;
    // Cubic weighs pixels beyond the border too, each as the one at the border.
    if (s->padding == BORDER && s->taps < 4) return clampf(x, 0, (float)(n - 1));
    if (s->padding == REFLECTION) return reflect(x, low, high);
    return clampf(x, -3, (float)n + 2); // far outside is as good as outside
}

// Pixel i of an axis, -1 when it is zero.
static int64_t pixel(const struct sampler *s, int64_t i, int64_t n) {
    if (i >= 0 && i < n) return i;
    if (s->padding == ZEROS) return -1;
    if (s->padding == REFLECTION) {
        float low, high;
        ends_of(s, n, &low, &high);
        i = (int64_t)reflect((float)i, low, high);
    }
    if (i < 0) return 0;
    if (i >= n) return n - 1;
    return i;
}

static void weigh(int taps, float t, float *w) {
    const float a = -0.75f;
    if (taps == 1) w[0] = 1;
    if (taps == 2) {
        w[0] = 1 - t;
        w[1] = t;
    }
    if (taps < 4) return;
    w[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    w[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    w[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
    w[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
}

// Multiplies the taps so far with those of axis `axis` (coordinate x in pixels).
static void add_axis(const struct sampler *s, struct place *place, int axis, float x) {
    int64_t n = s->dims[axis], offset[MAX_TAPS];
    float weight[MAX_TAPS], w[4];
    if (s->taps == 1) x = rintf(x);
    x = settle(s, x, n);
    float base = floorf(x);
    int64_t first = (int64_t)base - (s->taps == 4);
    weigh(s->taps, x - base, w);
    int total = 0;
    for (int i = 0; i < place->n; i++)
        for (int k = 0; k < s->taps; k++) {
            int64_t at = pixel(s, first + k, n);
            if (at < 0) continue;
            offset[total] = place->offset[i] * n + at;
            weight[total++] = place->weight[i] * w[k];
        }
    place->n = total;
    memcpy(place->offset, offset, (size_t)total * sizeof(offset[0]));
    memcpy(place->weight, weight, (size_t)total * sizeof(weight[0]));
}

static void locate(const struct sampler *s, const float *grid, struct place *place) {
    place->n = 1;
    place->offset[0] = 0;
    place->weight[0] = 1;
    for (int i = 0; i < s->spatial; i++) {
        float v = grid[s->spatial - 1 - i], n = (float)s->dims[i]; // the last coordinate is that of the first axis
        float at = ((v + 1) * n - 1) / 2;
        if (s->align_corners) at = (v + 1) / 2 * (n - 1);
        add_axis(s, place, i, at);
    }
}

static float weigh_place(const struct place *p, const float *src) {
    float sum = 0;
    for (int k = 0; k < p->n; k++) sum += p->weight[k] * src[p->offset[k]];
    return sum;
}

// Up to POINTS points from `point` on of one batch, in all channels.
static void sample_points(const struct fp_call *call, const struct sampler *s, size_t batch, size_t point,
                          size_t points) {
    const struct fp_tensor *x = call->in[0];
    struct place places[POINTS];
    size_t channels = (size_t)x->dims[1], size = fp_span(x->dims, 2, x->rank), n = fp_least(points - point, POINTS);
    for (size_t i = 0; i < n; i++)
        locate(s, (const float *)call->in[1]->data + (batch * points + point + i) * (size_t)s->spatial, &places[i]);
    for (size_t c = batch * channels; c < (batch + 1) * channels; c++)
        for (size_t i = 0; i < n; i++)
            ((float *)call->out[0].data)[c * points + point + i] = weigh_place(&places[i],
                                                                               (const float *)x->data + c * size);
}

static int run_grid_sample(struct fp_call *call) {
    struct sampler s;
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    int status = sampler_init(call, &s);
    if (status || !y->count) return status;
    size_t points = fp_span(y->dims, 2, y->rank), blocks = (points + POINTS - 1) / POINTS;
#pragma omp parallel for num_threads(call->threads) if (y->count > 20000)
    for (size_t i = 0; i < (size_t)x->dims[0] * blocks; i++)
        sample_points(call, &s, i / blocks, i % blocks * POINTS, points);
    return FINEPRUNE_OK;
}

// ---- AffineGrid

static int prepare_affine_grid(struct fp_call *call) {
    int64_t size[5];
    size_t n;
    int status = fp_need_tensors(call, 2);
    if (!status) status = fp_read_ints(call, 1, size, 5, &n);
    if (status) return status;
    const struct fp_tensor *theta = call->in[0];
    int spatial = (int)n - 2;
    if (spatial < 2 || theta->type != FP_FLOAT || theta->rank != 3 || theta->dims[0] != size[0] ||
        theta->dims[1] != spatial || theta->dims[2] != spatial + 1) {
        char text[160];
        return fp_call_fail(call, "theta of shape %s does not fit a size of %zu dims",
                            fp_shape_text(text, sizeof(text), theta->rank, theta->dims), n);
    }
    int64_t dims[FP_MAX_RANK] = {size[0]};
    for (int i = 0; i < spatial; i++) dims[1 + i] = size[2 + i];
    dims[1 + spatial] = spatial;
    return fp_out(call, 0, FP_FLOAT, spatial + 2, dims);
}

static float place_of(int64_t i, int64_t n, bool align_corners) {
    if (align_corners && n <= 1) return 0;
    if (align_corners) return -1 + 2 * (float)i / (float)(n - 1);
    return (2 * (float)i + 1) / (float)n - 1;
}

static int run_affine_grid(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    int spatial = (int)y->dims[y->rank - 1];
    bool align = fp_attr_int(call->node, "align_corners", 0) != 0;
    size_t points = fp_span(y->dims, 1, spatial + 1);
    for (size_t i = 0; y->count && i < (size_t)y->dims[0] * points; i++) {
        const float *theta = (const float *)call->in[0]->data + i / points * (size_t)(spatial * (spatial + 1));
        float at[3];
        size_t rest = i % points;
        for (int k = 0; k < spatial; k++) { // x first: the last axis
            int64_t n = y->dims[spatial - k];
            at[k] = place_of((int64_t)(rest % (size_t)n), n, align);
            rest /= (size_t)n;
        }
        for (int r = 0; r < spatial; r++) {
            float sum = theta[r * (spatial + 1) + spatial];
            for (int k = 0; k < spatial; k++) sum += theta[r * (spatial + 1) + k] * at[k];
            ((float *)y->data)[i * (size_t)spatial + (size_t)r] = sum;
        }
    }
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_grid[] = {
    {"", "GridSample", 16, prepare_grid_sample, run_grid_sample, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rr>r",
     .attributes = "align_corners=i mode=s padding_mode=s"},
    {"", "AffineGrid", 20, prepare_affine_grid, run_affine_grid, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rr>r",
     .attributes = "align_corners=i"},
    {0},
};
