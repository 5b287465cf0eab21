// SPDX-License-Identifier: Apache-2.0
// Resizing as image models are trained with: a separable filter that widens when the picture shrinks, weights in 22-bit
// fixed point, 8-bit pixels between the two passes. This is the arithmetic of Pillow's resize (newer versions of which
// may take the height first, which moves a pixel by a level at most).
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/wide_vector.h"
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

// For each of `n` output positions: the first input position, how many there are, and their weights.
struct taps {
    int64_t n, most;
    int64_t *first, *count;
    int32_t *weights;
};

static void fill_position(struct taps *t, int64_t at, int64_t begin, int64_t from, double scale, enum fp_filter filter,
                          double *scratch) {
    const double wide = fmax(scale, 1), centre = ((double)(begin + at) + 0.5) * scale,
                 reach = FILTERS[filter].reach * wide;
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

// For the positions begin .. begin + n of `to`.
static int make_taps(struct taps *t, struct fp_arena *room, int64_t from, int64_t to, int64_t begin, int64_t count,
                     enum fp_filter filter, fineprune_error *err) {
    const double scale = (double)from / (double)to, wide = fmax(scale, 1);
    *t = (struct taps){.n = count, .most = (int64_t)ceil(FILTERS[filter].reach * wide) * 2 + 1};
    const size_t n = (size_t)count, most = (size_t)t->most;
    t->first = fp_arena_take(room, n, sizeof(*t->first));
    t->count = fp_arena_take(room, n, sizeof(*t->count));
    t->weights = fp_arena_take(room, n, most * sizeof(*t->weights));
    double *scratch = fp_arena_take(room, most, sizeof(*scratch));
    int status = fp_arena_check(room, err);
    for (int64_t at = 0; at < count && !status; at++) fill_position(t, at, begin, from, scale, filter, scratch);
    return status;
}

static uint8_t clip(int32_t sum) {
    sum >>= BITS;
    if (sum < 0) return 0;
    if (sum > 255) return 255;
    return (uint8_t)sum;
}

#define LANES 8
typedef uint8_t byte_lanes __attribute__((vector_size(LANES)));
typedef int32_t lanes __attribute__((vector_size(LANES * sizeof(int32_t))));

// Inputs of all positions.
static int64_t taps_end(const struct taps *t) { return t->first[t->n - 1] + t->count[t->n - 1]; }

// Rows y .. y + LANES of src between two elements, turned: lane r of element j is at block[j * LANES + r].
static void turn(uint8_t *block, const struct fp_image *src, int64_t y, size_t from, size_t to) {
    const size_t stride = (size_t)src->width * (size_t)src->channels;
    for (size_t r = 0; r < LANES; r++) {
        const uint8_t *row = src->pixels + (size_t)fp_least_int(y + (int64_t)r, src->height - 1) * stride;
        for (size_t j = from; j < to; j++) block[j * LANES + r] = row[j];
    }
}

// The rows of src from `top` on; LANES of them at once. block: LANES bytes for each element of a row.
WIDE_VECTOR static void resize_rows(struct fp_image *dst, const struct fp_image *src, int64_t top, const struct taps *t,
                                    uint8_t *block) {
    const size_t c = (size_t)src->channels, stride = (size_t)dst->width * c;
    for (int64_t y = 0; y < dst->height; y += LANES) {
        const int64_t rows = fp_least_int(LANES, dst->height - y);
        turn(block, src, top + y, (size_t)t->first[0] * c, (size_t)taps_end(t) * c);
        uint8_t *out = dst->pixels + (size_t)y * stride;
        for (int64_t x = 0; x < t->n; x++)
            for (size_t k = 0; k < c; k++, out++) {
                const uint8_t *from = block + ((size_t)t->first[x] * c + k) * LANES;
                const int32_t *weights = t->weights + x * t->most;
                lanes sum = {0};
                sum += 1 << (BITS - 1);
                for (int64_t i = 0; i < t->count[x]; i++, from += c * LANES) {
                    byte_lanes bytes;
                    memcpy(&bytes, from, sizeof(bytes));
                    sum += __builtin_convertvector(bytes, lanes) * weights[i];
                }
                for (int64_t r = 0; r < rows; r++) out[(size_t)r * stride] = clip(sum[r]);
            }
    }
}

// src begins at row `top` of what the taps count. sums: one for each element of a row.
WIDE_VECTOR static void resize_columns(struct fp_image *dst, const struct fp_image *src, int64_t top,
                                       const struct taps *t, int32_t *sums) {
    const size_t stride = (size_t)src->width * (size_t)src->channels;
    for (int64_t y = 0; y < dst->height; y++) {
        const uint8_t *from = src->pixels + (size_t)(t->first[y] - top) * stride;
        uint8_t *out = dst->pixels + (size_t)y * stride;
        for (size_t j = 0; j < stride; j++) sums[j] = 1 << (BITS - 1);
        for (int64_t i = 0; i < t->count[y]; i++, from += stride) {
            const int32_t weight = t->weights[y * t->most + i];
#pragma omp simd
            for (size_t j = 0; j < stride; j++) sums[j] += from[j] * weight;
        }
        for (size_t j = 0; j < stride; j++) out[j] = clip(sums[j]);
    }
}

// Across first, of the rows that are read afterwards, then down.
static int filtered(struct fp_image *image, int64_t width, int64_t height, enum fp_filter filter,
                    const struct fp_window *window, fineprune_error *err) {
    FP_STAGE(room, "resizing");
    struct taps across, down;
    const size_t c = (size_t)image->channels;
    int status = make_taps(&across, &room, image->width, width, window->left, window->width, filter, err);
    if (!status) status = make_taps(&down, &room, image->height, height, window->top, window->height, filter, err);
    uint8_t *block = fp_arena_take(&room, (size_t)image->width, c * LANES);
    int32_t *sums = fp_arena_take(&room, (size_t)window->width, c * sizeof(*sums));
    if (!status) status = fp_arena_check(&room, err);
    if (status) return status;
    const int64_t top = down.first[0];
    struct fp_image between, dst;
    status = fp_image_new(&between, window->width, taps_end(&down) - top, image->channels, image->memory, err);
    if (status) return status;
    resize_rows(&between, image, top, &across, block);
    status = fp_image_new(&dst, window->width, window->height, image->channels, image->memory, err);
    if (!status) {
        resize_columns(&dst, &between, top, &down, sums);
        fp_image_done(image);
        *image = dst;
    }
    fp_image_done(&between);
    return status;
}

static int cut(struct fp_image *image, const struct fp_window *window, fineprune_error *err) {
    if (window->width == image->width && window->height == image->height) return FINEPRUNE_OK;
    struct fp_image dst;
    int status = fp_image_new(&dst, window->width, window->height, image->channels, image->memory, err);
    if (status) return status;
    const size_t c = (size_t)image->channels, row = (size_t)window->width * c;
    for (int64_t y = 0; y < window->height; y++)
        memcpy(dst.pixels + (size_t)y * row,
               image->pixels + (size_t)((y + window->top) * image->width + window->left) * c, row);
    fp_image_done(image);
    *image = dst;
    return FINEPRUNE_OK;
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
                    const struct fp_window *window, fineprune_error *err) {
    const bool same = width == image->width && height == image->height;
    if (!same && filter != FP_NEAREST) return filtered(image, width, height, filter, window, err);
    int status = FINEPRUNE_OK;
    if (!same) status = nearest(image, width, height, err);
    if (!status) status = cut(image, window, err);
    return status;
}
