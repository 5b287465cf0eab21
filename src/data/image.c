// SPDX-License-Identifier: Apache-2.0
// A picture in memory, whatever file it came from.
#include "base/arena.h"
#include "data/image_codecs.h"
#include "data/image_file.h"

#define MAX_SIDE 65535
#define MAX_PIXELS (INT64_C(1) << 28)

int fp_image_size_check(int64_t width, int64_t height, fineprune_error *err) {
    if (width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS)
        return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "a picture of %lld x %lld pixels is not supported", (long long)width,
                   (long long)height);
}

int fp_image_new(struct fp_image *out, int64_t width, int64_t height, int channels, struct fp_memory *memory,
                 fineprune_error *err) {
    *out = (struct fp_image){.width = width, .height = height, .channels = channels, .memory = memory};
    int status = fp_image_size_check(width, height, err);
    if (status) return status;
    out->size = (size_t)width * (size_t)height * (size_t)channels;
    out->pixels = fp_take(memory, out->size);
    if (out->pixels) return FINEPRUNE_OK;
    return fp_fail_memory(err, "a picture", out->size);
}

void fp_image_done(struct fp_image *image) {
    fp_release(image->memory, image->pixels, image->size);
    image->pixels = NULL;
}

void fp_image_to_grey(struct fp_image *image) {
    const size_t n = (size_t)image->width * (size_t)image->height;
    const uint8_t *src = image->pixels;
    for (size_t i = 0; i < n; i++, src += 3) // 16-bit fixed point, as Pillow
        image->pixels[i] = (uint8_t)((src[0] * 19595u + src[1] * 38470u + src[2] * 7471u + 0x8000u) >> 16);
    image->channels = 1;
}
