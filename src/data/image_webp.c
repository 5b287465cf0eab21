// SPDX-License-Identifier: Apache-2.0
// WebP by libwebp. EXIF lies in a chunk of its own, which may come last.
#include <string.h>

#include <webp/decode.h>

#include "data/image_codecs.h"

#define MAX_FILE ((size_t)1 << 28)
#define MAX_EXIF 65536
#define MAX_CHUNKS 1000
#define HEAD 64 // bytes that tell all of a picture but its pixels

static int exif_of(FILE *file) {
    uint8_t head[8], exif[MAX_EXIF];
    if (fseek(file, 12, SEEK_SET)) return 1;
    for (int i = 0; i < MAX_CHUNKS && fread(head, 1, 8, file) == 8; i++) {
        const size_t length = fp_little(head + 4, 4);
        if (!memcmp(head, "EXIF", 4))
            return fp_exif_orientation(exif, fread(exif, 1, fp_least(length, MAX_EXIF), file));
        if (length > MAX_FILE || fseek(file, (long)(length + length % 2), SEEK_CUR)) return 1;
    }
    return 1;
}

static int read_head(struct fp_picture *p, WebPBitstreamFeatures *features, fineprune_error *err) {
    uint8_t head[HEAD];
    rewind(p->file);
    const size_t n = fread(head, 1, sizeof(head), p->file);
    const VP8StatusCode code = WebPGetFeatures(head, n, features);
    if (code != VP8_STATUS_OK || features->width < 1)
        return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: WebP's header");
    if (features->has_animation) return fp_fail(err, FINEPRUNE_DATA, "an animated WebP, which is not read");
    return fp_image_size_check(features->width, features->height, err);
}

static int decode(const struct fp_picture *p, const uint8_t *bytes, size_t n, fineprune_error *err) {
    const struct fp_image *image = p->image;
    // what libwebp holds beside the pixels: four bytes for each where it stores them without a loss
    const size_t own = image->size / 3 * 4;
    struct fp_memory *memory = image->memory;
    if (memory && !fp_memory_count(memory, own)) return fp_fail_memory(err, "a picture", own);
    const bool done = WebPDecodeRGBInto(bytes, n, image->pixels, image->size, (int)image->width * 3);
    if (memory) fp_memory_uncount(memory, own);
    if (done) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: damaged, or cut short");
}

// All of the file, as libwebp wants it.
static int read_all(struct fp_picture *p, uint8_t **bytes, size_t *n, fineprune_error *err) {
    *bytes = NULL;
    *n = 0;
    if (fseek(p->file, 0, SEEK_END)) return fp_fail(err, FINEPRUNE_DATA, "not a file that can be read twice");
    const long size = ftell(p->file);
    if (size < 1 || (size_t)size > MAX_FILE)
        return fp_fail(err, FINEPRUNE_DATA, "a WebP of %ld bytes is not supported", size);
    *bytes = fp_take(p->image->memory, (size_t)size);
    if (!*bytes) return fp_fail_memory(err, "a picture", (size_t)size);
    rewind(p->file);
    *n = fread(*bytes, 1, (size_t)size, p->file);
    if (*n == (size_t)size) return FINEPRUNE_OK;
    fp_release(p->image->memory, *bytes, (size_t)size);
    return fp_fail(err, FINEPRUNE_DATA, "the file ends while it is read");
}

int fp_webp_read(struct fp_picture *p, fineprune_error *err) {
    WebPBitstreamFeatures features;
    p->orientation = exif_of(p->file);
    int status = read_head(p, &features, err);
    if (status) return status;
    p->image->width = features.width;
    p->image->height = features.height;
    if (p->probe) return FINEPRUNE_OK;
    uint8_t *bytes;
    size_t n;
    struct fp_memory *memory = p->image->memory;
    status = read_all(p, &bytes, &n, err);
    if (status) return status;
    status = fp_image_new(p->image, features.width, features.height, 3, memory, err);
    if (!status) status = decode(p, bytes, n, err);
    fp_release(memory, bytes, n);
    return status;
}
