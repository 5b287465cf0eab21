// SPDX-License-Identifier: Apache-2.0
// Operators of detection models: RoiAlign, MaxRoiPool, NonMaxSuppression.
#include "ops/move.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_GRID = 1 << 20 }; // samples of one bin

// Channels of one image, and the region of it that is pooled, in pixels.
struct region {
    const float *image;
    int64_t channels, height, width;
    float top, left, bin_height, bin_width;
    int64_t rows, columns; // of bins
};

static int check_regions(struct fp_call *call, int64_t columns) {
    const struct fp_tensor *x = call->in[0], *rois = call->in[1];
    char a[160], b[160];
    if (x->type == FP_FLOAT && x->rank == 4 && rois->type == FP_FLOAT && rois->rank == 2 && rois->dims[1] == columns)
        return FINEPRUNE_OK;
    return fp_call_fail(call, "regions of shape %s (%s) do not fit an input of shape %s (%s)",
                        fp_shape_text(a, sizeof(a), rois->rank, rois->dims), fp_type_name(rois->type),
                        fp_shape_text(b, sizeof(b), x->rank, x->dims), fp_type_name(x->type));
}

// ---- RoiAlign

static int prepare_roi_align(struct fp_call *call) {
    int status = fp_need_tensors(call, 3);
    if (!status) status = fp_index_type(call, 2);
    if (!status) status = check_regions(call, 4);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *rois = call->in[1];
    if (call->in[2]->count != (size_t)rois->dims[0])
        return fp_call_fail(call, "there are %zu batch indices for %lld regions", call->in[2]->count,
                            (long long)rois->dims[0]);
    int64_t height = fp_attr_int(call->node, "output_height", 1), width = fp_attr_int(call->node, "output_width", 1);
    const char *mode = fp_attr_text(call->node, "mode", "avg");
    if (height < 1 || width < 1)
        return fp_call_fail(call, "%lld x %lld bins are not possible", (long long)height, (long long)width);
    if (strcmp(mode, "avg") && strcmp(mode, "max")) return fp_call_fail(call, "mode %s is not supported", mode);
    return fp_out(call, 0, FP_FLOAT, 4, (int64_t[]){rois->dims[0], x->dims[1], height, width});
}

// The four pixels around a place, and their weights; all zero when it is outside.
static bool corners(const struct region *r, float y, float x, int64_t *offset, float *weight) {
    if (!(y >= -1 && y <= (float)r->height && x >= -1 && x <= (float)r->width)) return false;
    y = fmaxf(y, 0);
    x = fmaxf(x, 0);
    int64_t top = (int64_t)y, left = (int64_t)x;
    if (top >= r->height - 1) y = (float)(top = r->height - 1);
    if (left >= r->width - 1) x = (float)(left = r->width - 1);
    int64_t bottom = top + (top < r->height - 1), right = left + (left < r->width - 1);
    float down = y - (float)top, over = x - (float)left;
    offset[0] = top * r->width + left;
    offset[1] = top * r->width + right;
    offset[2] = bottom * r->width + left;
    offset[3] = bottom * r->width + right;
    weight[0] = (1 - down) * (1 - over);
    weight[1] = (1 - down) * over;
    weight[2] = down * (1 - over);
    weight[3] = down * over;
    return true;
}

// One bin of all channels; dst has `step` elements from channel to channel.
static void align_bin(const struct region *r, int64_t row, int64_t column, int64_t grid_y, int64_t grid_x, bool max,
                      float *dst, size_t step) {
    for (int64_t c = 0; c < r->channels; c++) dst[(size_t)c * step] = 0;
    bool first = true;
    for (int64_t iy = 0; iy < grid_y; iy++)
        for (int64_t ix = 0; ix < grid_x; ix++) {
            int64_t offset[4] = {0};
            float weight[4] = {0};
            float y = r->top + (float)row * r->bin_height + ((float)iy + 0.5f) * r->bin_height / (float)grid_y;
            float x = r->left + (float)column * r->bin_width + ((float)ix + 0.5f) * r->bin_width / (float)grid_x;
            bool inside = corners(r, y, x, offset, weight);
            if (!inside && !max) continue;
            for (int64_t c = 0; c < r->channels; c++) {
                const float *image = r->image + c * r->height * r->width;
                float v[4] = {0}, *to = dst + (size_t)c * step;
                for (int k = 0; k < 4 && inside; k++) v[k] = weight[k] * image[offset[k]];
                if (max && first) *to = -INFINITY;
                if (max) *to = fmaxf(*to, fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])));
                else *to += v[0] + v[1] + v[2] + v[3];
            }
            first = false;
        }
    int64_t count = fp_most_int(grid_y * grid_x, 1);
    for (int64_t c = 0; c < r->channels && !max; c++) dst[(size_t)c * step] /= (float)count;
}

static int64_t grid_of(int64_t ratio, float size) {
    if (ratio > 0) return ratio;
    float n = ceilf(size);
    if (!(n > 0)) return 0;
    if (n < (float)MAX_GRID) return (int64_t)n;
    return MAX_GRID;
}

static int align_region(struct fp_call *call, struct region *r, const float *roi, float *dst) {
    bool half = call->node->opset >= 16 &&
                !strcmp(fp_attr_text(call->node, "coordinate_transformation_mode", "half_pixel"), "half_pixel");
    float scale = fp_attr_float(call->node, "spatial_scale", 1), offset = 0;
    if (half) offset = 0.5f;
    int64_t ratio = fp_attr_int(call->node, "sampling_ratio", 0);
    r->left = roi[0] * scale - offset;
    r->top = roi[1] * scale - offset;
    float width = roi[2] * scale - offset - r->left, height = roi[3] * scale - offset - r->top;
    if (!half) {
        width = fmaxf(width, 1);
        height = fmaxf(height, 1);
    }
    r->bin_height = height / (float)r->rows;
    r->bin_width = width / (float)r->columns;
    int64_t grid_y = grid_of(ratio, r->bin_height), grid_x = grid_of(ratio, r->bin_width);
    if (ratio > MAX_GRID || grid_y * grid_x > MAX_GRID)
        return fp_call_fail(call, "a region of %g x %g needs too many samples", (double)height, (double)width);
    bool max = !strcmp(fp_attr_text(call->node, "mode", "avg"), "max");
    int64_t bins = r->rows * r->columns;
#pragma omp parallel for num_threads(call->threads) if (bins * r->channels > 5000)
    for (int64_t i = 0; i < bins; i++)
        align_bin(r, i / r->columns, i % r->columns, grid_y, grid_x, max, dst + i, (size_t)bins);
    return FINEPRUNE_OK;
}

static void region_init(struct fp_call *call, struct region *r, size_t batch) {
    const struct fp_tensor *x = call->in[0], *y = &call->out[0];
    *r = (struct region){
        .channels = x->dims[1], .height = x->dims[2], .width = x->dims[3], .rows = y->dims[2], .columns = y->dims[3]};
    r->image = (const float *)x->data + (int64_t)batch * r->channels * r->height * r->width;
}

static int run_roi_align(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *rois = call->in[1];
    struct fp_tensor *y = &call->out[0];
    if (y->count && !x->count) return fp_call_fail(call, "the input has no elements");
    for (int64_t i = 0; i < rois->dims[0] && y->count; i++) {
        struct region r;
        int64_t batch = fp_int_at(call->in[2], (size_t)i);
        if (batch < 0 || batch >= x->dims[0])
            return fp_call_fail(call, "batch index %lld is outside a batch of %lld", (long long)batch,
                                (long long)x->dims[0]);
        region_init(call, &r, (size_t)batch);
        int status = align_region(call, &r, (const float *)rois->data + 4 * i,
                                  (float *)y->data + i * (int64_t)fp_span(y->dims, 1, 4));
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// ---- MaxRoiPool

static int prepare_max_roi_pool(struct fp_call *call) {
    size_t n;
    const int64_t *shape = fp_attr_ints(call->node, "pooled_shape", &n);
    int status = fp_need_tensors(call, 2);
    if (!status) status = check_regions(call, 5);
    if (!status && (n != 2 || shape[0] < 1 || shape[1] < 1))
        status = fp_call_fail(call, "pooled_shape needs two positive entries");
    if (status) return status;
    return fp_out(call, 0, FP_FLOAT, 4, (int64_t[]){call->in[1]->dims[0], call->in[0]->dims[1], shape[0], shape[1]});
}

static int64_t within(float at, int64_t n) {
    if (!(at > 0)) return 0;
    if (at > (float)n) return n;
    return (int64_t)at;
}

static void pool_bin(const struct region *r, int64_t row, int64_t column, float *dst, size_t step) {
    int64_t top = within(floorf((float)row * r->bin_height) + r->top, r->height);
    int64_t bottom = within(ceilf((float)(row + 1) * r->bin_height) + r->top, r->height);
    int64_t left = within(floorf((float)column * r->bin_width) + r->left, r->width);
    int64_t right = within(ceilf((float)(column + 1) * r->bin_width) + r->left, r->width);
    for (int64_t c = 0; c < r->channels; c++) {
        const float *image = r->image + c * r->height * r->width;
        float best = 0;
        if (bottom > top && right > left) best = -INFINITY;
        for (int64_t y = top; y < bottom; y++)
            for (int64_t x = left; x < right; x++) best = fmaxf(best, image[y * r->width + x]);
        dst[(size_t)c * step] = best;
    }
}

static int run_max_roi_pool(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *rois = call->in[1];
    struct fp_tensor *y = &call->out[0];
    float scale = fp_attr_float(call->node, "spatial_scale", 1);
    for (int64_t i = 0; i < rois->dims[0] && y->count; i++) {
        const float *roi = (const float *)rois->data + 5 * i;
        struct region r;
        if (!(roi[0] >= 0 && roi[0] < (float)x->dims[0]))
            return fp_call_fail(call, "batch index %g is outside a batch of %lld", (double)roi[0],
                                (long long)x->dims[0]);
        region_init(call, &r, (size_t)roi[0]);
        r.left = roundf(roi[1] * scale);
        r.top = roundf(roi[2] * scale);
        r.bin_width = fmaxf(roundf(roi[3] * scale) - r.left + 1, 1) / (float)r.columns;
        r.bin_height = fmaxf(roundf(roi[4] * scale) - r.top + 1, 1) / (float)r.rows;
        int64_t bins = r.rows * r.columns;
        for (int64_t k = 0; k < bins; k++)
            pool_bin(&r, k / r.columns, k % r.columns, (float *)y->data + i * r.channels * bins + k, (size_t)bins);
    }
    return FINEPRUNE_OK;
}

// ---- NonMaxSuppression

struct selection {
    int64_t *items; // batch, class, box
    size_t n, capacity;
};

struct candidate {
    float score;
    int64_t box;
};

struct suppression {
    struct fp_call *call;
    int64_t most;
    double iou, score;
    bool by_score, center;
};

static void selection_done(void *state) {
    struct selection *s = state;
    if (s) free(s->items);
    free(s);
}

static int compare_candidates(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;
    if (a->score > b->score) return -1;
    if (a->score != b->score) return 1;
    return (a->box > b->box) - (a->box < b->box);
}

// Corners of a box: low y and x, high y and x.
static void box_corners(const float *box, bool center, float *out) {
    if (center) {
        out[0] = box[1] - box[3] / 2;
        out[1] = box[0] - box[2] / 2;
        out[2] = box[1] + box[3] / 2;
        out[3] = box[0] + box[2] / 2;
        return;
    }
    for (int i = 0; i < 2; i++) {
        out[i] = fminf(box[i], box[i + 2]);
        out[i + 2] = fmaxf(box[i], box[i + 2]);
    }
}

static bool overlaps(const float *left, const float *right, bool center, double limit) {
    float a[4], b[4];
    box_corners(left, center, a);
    box_corners(right, center, b);
    float height = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), width = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (!(height > 0 && width > 0)) return false;
    float both = height * width, one = (a[2] - a[0]) * (a[3] - a[1]), other = (b[2] - b[0]) * (b[3] - b[1]);
    float all = one + other - both;
    return one > 0 && other > 0 && all > 0 && (double)(both / all) > limit;
}

static int select_class(const struct suppression *p, int64_t batch, int64_t class, struct candidate *candidates,
                        struct selection *out) {
    const struct fp_tensor *boxes = p->call->in[0], *scores = p->call->in[1];
    const float *box = (const float *)boxes->data + batch * boxes->dims[1] * 4;
    const float *score = (const float *)scores->data + (batch * scores->dims[1] + class) * scores->dims[2];
    size_t n = 0, first = out->n;
    for (int64_t i = 0; i < boxes->dims[1]; i++) {
        bool counts = score[i] == score[i];
        if (p->by_score) counts = score[i] > (float)p->score;
        if (counts) candidates[n++] = (struct candidate){score[i], i};
    }
    if (n) qsort(candidates, n, sizeof(*candidates), compare_candidates);
    for (size_t i = 0; i < n && out->n - first < (size_t)p->most; i++) {
        bool keep = true;
        for (size_t k = first; k < out->n && keep; k++)
            keep = !overlaps(box + 4 * candidates[i].box, box + 4 * out->items[3 * k + 2], p->center, p->iou);
        if (!keep) continue;
        int64_t *items = fp_grow(out->items, &out->capacity, out->n + 1, 3 * sizeof(*items));
        if (!items) return fp_fail_memory(p->call->err, "boxes", out->n * 24);
        out->items = items;
        memcpy(items + 3 * out->n++, (int64_t[]){batch, class, candidates[i].box}, 3 * sizeof(*items));
    }
    return FINEPRUNE_OK;
}

static int select_all(const struct suppression *p, struct selection *out) {
    const struct fp_tensor *boxes = p->call->in[0], *scores = p->call->in[1];
    out->n = 0;
    if (p->most <= 0) return FINEPRUNE_OK;
    FP_STAGE(room, "boxes");
    struct candidate *candidates = fp_arena_take(&room, (size_t)boxes->dims[1], sizeof(*candidates));
    int status = fp_arena_check(&room, p->call->err);
    for (int64_t b = 0; b < boxes->dims[0]; b++)
        for (int64_t c = 0; c < scores->dims[1] && !status; c++) status = select_class(p, b, c, candidates, out);
    return status;
}

static int prepare_suppression(struct fp_call *call) {
    struct selection *out = fp_state(call, sizeof(*out));
    struct suppression p = {.call = call, .center = fp_attr_int(call->node, "center_point_box", 0) != 0};
    double most = 0;
    if (!out) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 2);
    if (!status && fp_given(call, 2)) status = fp_read_scalar(call, 2, &most);
    if (!status && fp_given(call, 3)) status = fp_read_scalar(call, 3, &p.iou);
    if (!status && fp_given(call, 4)) status = fp_read_scalar(call, 4, &p.score);
    if (status) return status;
    p.by_score = fp_given(call, 4);
    p.most = (int64_t)1 << 40;
    if (!(most > 0)) p.most = 0;
    else if (most < 0x1p40) p.most = (int64_t)most;
    const struct fp_tensor *boxes = call->in[0], *scores = call->in[1];
    char a[160], b[160];
    if (boxes->type != FP_FLOAT || scores->type != FP_FLOAT || boxes->rank != 3 || scores->rank != 3 ||
        boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
        return fp_call_fail(call, "boxes of shape %s do not fit scores of shape %s",
                            fp_shape_text(a, sizeof(a), boxes->rank, boxes->dims),
                            fp_shape_text(b, sizeof(b), scores->rank, scores->dims));
    status = select_all(&p, out);
    if (status) return status;
    return fp_out(call, 0, FP_INT64, 2, (int64_t[]){(int64_t)out->n, 3});
}

static int run_suppression(struct fp_call *call) {
    const struct selection *s = call->state;
    if (s->n) memcpy(call->out[0].data, s->items, s->n * 3 * sizeof(s->items[0]));
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_roi[] = {
    {"", "RoiAlign", 10, prepare_roi_align, run_roi_align, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rrr>r",
     .attributes = "coordinate_transformation_mode=s mode=s output_height=i output_width=i sampling_ratio=i "
                   "spatial_scale=f"},
    {"", "MaxRoiPool", 1, prepare_max_roi_pool, run_max_roi_pool, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rr>r",
     .attributes = "pooled_shape=I! spatial_scale=f"},
    {"", "NonMaxSuppression", 10, prepare_suppression, run_suppression, selection_done, FP_OP_DYNAMIC | FP_OP_FLOAT32,
     0, NULL, .arity = "rrooo>r", .attributes = "center_point_box=i"},
    {0},
};
