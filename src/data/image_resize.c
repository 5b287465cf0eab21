// SPDX-License-Identifier: Apache-2.0
// Resizing as image models are trained with: a separable filter that widens when the picture shrinks, weights in 22-bit
// fixed point, 8-bit pixels between the two passes. This is the arithmetic of Pillow's resize (newer versions of which
// may take the height first, which moves a pixel by a level at most).
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "data/image_file.h"

#define BITS 22

static double triangle(double x) {
    x = fabs(x);
    if (x < 1) return 1 - x;
    return 0;
}

static double cubic(double x) { // Keys, a = -1/2
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

static double sinc(double x) {
    if (x == 0) return 1;
    return sin(x * M_PI) / (x * M_PI);
}

static double lanczos(double x) {
    if (fabs(x) < 3) return sinc(x) * sinc(x / 3);
    return 0;
}

static const struct {
    double (*weight)(double);
    double reach;
} FILTERS[] = {
    [FP_NEAREST] = {NULL, 0}, [FP_LANCZOS] = {lanczos, 3}, [FP_BILINEAR] = {triangle, 1}, [FP_BICUBIC] = {cubic, 2}};

// For each output position: the first input position, how many there are, and their weights.
struct taps {
    int64_t most;
    int64_t *first, *count;
    int32_t *weights;
};

static void fill_position(struct taps *t, int64_t at, int64_t from, double scale, enum fp_filter filter,
                          double *scratch) {
    const double wide = fmax(scale, 1), centre = ((double)at + 0.5) * scale, reach = FILTERS[filter].reach * wide;
    int64_t low = (int64_t)(centre - reach + 0.5), high = (int64_t)(centre + reach + 0.5);
    if (low < 0) low = 0;
    if (high > from) high = from;
    double sum = 0;
    for (int64_t i = low; i < high; i++) {
        scratch[i - low] = FILTERS[filter].weight(((double)i - centre + 0.5) * (1 / wide));
        sum += scratch[i - low];
    }
    t->first[at] = low;
    t->count[at] = high - low;
    for (int64_t i = 0; i < high - low; i++) {
        double w = scratch[i];
        if (sum != 0) w /= sum;
        w *= 1 << BITS;
        if (w < 0) w -= 0.5;
        else w += 0.5;
        t->weights[at * t->most + i] = (int32_t)w;
    }
}

static int make_taps(struct taps *t, struct fp_arena *room, int64_t from, int64_t to, enum fp_filter filter,
                     fineprune_error *err) {
    const double scale = (double)from / (double)to, wide = fmax(scale, 1);
    *t = (struct taps){.most = (int64_t)ceil(FILTERS[filter].reach * wide) * 2 + 1};
    const size_t n = (size_t)to, most = (size_t)t->most;
    t->first = fp_arena_take(room, n, sizeof(*t->first));
    t->count = fp_arena_take(room, n, sizeof(*t->count));
    t->weights = fp_arena_take(room, n, most * sizeof(*t->weights));
    double *scratch = fp_arena_take(room, most, sizeof(*scratch));
    int status = fp_arena_check(room, err);
    for (int64_t at = 0; at < to && !status; at++) fill_position(t, at, from, scale, filter, scratch);
    return status;
}

static uint8_t clip(int32_t sum) {
    sum >>= BITS;
    if (sum < 0) return 0;
    if (sum > 255) return 255;
    return (uint8_t)sum;
}

// One output element: `step` bytes lie between its taps.
static uint8_t tap(const uint8_t *src, size_t step, const int32_t *weights, int64_t n) {
    int32_t sum = 1 << (BITS - 1);
    for (int64_t i = 0; i < n; i++) sum += src[(size_t)i * step] * weights[i];
    return clip(sum);
}

static void resize_rows(struct fp_image *dst, const struct fp_image *src, const struct taps *t) {
    const size_t c = (size_t)src->channels;
    for (int64_t y = 0; y < dst->height; y++) {
        const uint8_t *row = src->pixels + (size_t)(y * src->width) * c;
        uint8_t *out = dst->pixels + (size_t)(y * dst->width) * c;
        for (int64_t x = 0; x < dst->width; x++)
            for (size_t k = 0; k < c; k++)
                *out++ = tap(row + (size_t)t->first[x] * c + k, c, t->weights + x * t->most, t->count[x]);
    }
}

static void resize_columns(struct fp_image *dst, const struct fp_image *src, const struct taps *t) {
    const size_t stride = (size_t)src->width * (size_t)src->channels;
    for (int64_t y = 0; y < dst->height; y++) {
        const uint8_t *from = src->pixels + (size_t)t->first[y] * stride;
        uint8_t *out = dst->pixels + (size_t)y * stride;
        for (size_t i = 0; i < stride; i++) out[i] = tap(from + i, stride, t->weights + y * t->most, t->count[y]);
    }
}

static int pass(struct fp_image *image, int64_t width, int64_t height, enum fp_filter filter, bool rows,
                fineprune_error *err) {
    FP_STAGE(room, "resizing");
    struct taps taps;
    struct fp_image dst;
    int status;
    if (rows) status = make_taps(&taps, &room, image->width, width, filter, err);
    else status = make_taps(&taps, &room, image->height, height, filter, err);
    if (status) return status;
    status = fp_image_new(&dst, width, height, image->channels, image->memory, err);
    if (!status) {
        if (rows) resize_rows(&dst, image, &taps);
        else resize_columns(&dst, image, &taps);
        fp_image_done(image);
        *image = dst;
    }
    return status;
}

static int nearest(struct fp_image *image, int64_t width, int64_t height, fineprune_error *err) {
    struct fp_image dst;
    int status = fp_image_new(&dst, width, height, image->channels, image->memory, err);
    if (status) return status;
    const double across = (double)image->width / (double)width, down = (double)image->height / (double)height;
    const size_t c = (size_t)image->channels;
    uint8_t *out = dst.pixels;
    // positions are added up, not multiplied: that decides which pixel a tie goes to
    double y_at = down * 0.5;
    for (int64_t y = 0; y < height; y++, y_at += down) {
        const uint8_t *row = image->pixels + (size_t)y_at * (size_t)image->width * c;
        double x_at = across * 0.5;
        for (int64_t x = 0; x < width; x++, x_at += across, out += c) memcpy(out, row + (size_t)x_at * c, c);
    }
    fp_image_done(image);
    *image = dst;
    return FINEPRUNE_OK;
}

int fp_image_resize(struct fp_image *image, int64_t width, int64_t height, enum fp_filter filter,
                    fineprune_error *err) {
    if (width == image->width && height == image->height) return FINEPRUNE_OK;
    if (filter == FP_NEAREST) return nearest(image, width, height, err);
    int status = FINEPRUNE_OK;
    if (width != image->width) status = pass(image, width, image->height, filter, true, err);
    if (!status && height != image->height) status = pass(image, width, height, filter, false, err);
    return status;
}
