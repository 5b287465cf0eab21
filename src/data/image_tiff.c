// SPDX-License-Identifier: Apache-2.0
// TIFF by libtiff: the first page, as eight bits of three colours.
#include <string.h>
#include <unistd.h>

#include <tiffio.h>

#include "data/image_codecs.h"

#define MAX_TAKEN ((size_t)1 << 28) // bytes that libtiff may take at once

static int keep_reason(TIFF *tiff, void *user, const char *module, const char *format, va_list args) {
    (void)tiff, (void)module;
    char *reason = user;
    if (!reason[0]) vsnprintf(reason, 200, format, args);
    return 1;
}

static int ignore(TIFF *tiff, void *user, const char *module, const char *format, va_list args) {
    (void)tiff, (void)user, (void)module, (void)format, (void)args;
    return 1;
}

static int fail(const char *reason, fineprune_error *err) {
    return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: %s", reason[0] ? reason : "TIFF");
}

static int read_pixels(struct fp_picture *p, TIFF *tiff, const char *reason, fineprune_error *err) {
    struct fp_image *image = p->image;
    struct fp_memory *memory = image->memory;
    int status = fp_image_new(image, image->width, image->height, 3, memory, err);
    if (status) return status;
    const size_t n = image->size / 3;
    uint32_t *raster = fp_take(memory, n * sizeof(*raster));
    if (!raster) return fp_fail_memory(err, "a picture", n * sizeof(*raster));
    // the rows as they are stored, and colours that are not multiplied with their opacity
    const uint16_t unspecified = EXTRASAMPLE_UNSPECIFIED;
    uint16_t extras = 0, *kinds = NULL;
    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds) && extras == 1)
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &unspecified);
    const bool done = TIFFReadRGBAImageOriented(tiff, (uint32_t)image->width, (uint32_t)image->height, raster,
                                                ORIENTATION_TOPLEFT, 1) &&
                      !reason[0];
    uint8_t *out = image->pixels;
    for (size_t i = 0; i < n && done; i++, out += 3) {
        out[0] = (uint8_t)TIFFGetR(raster[i]);
        out[1] = (uint8_t)TIFFGetG(raster[i]);
        out[2] = (uint8_t)TIFFGetB(raster[i]);
    }
    fp_release(memory, raster, n * sizeof(*raster));
    if (done) return FINEPRUNE_OK;
    return fail(reason, err);
}

static int read_page(struct fp_picture *p, TIFF *tiff, const char *reason, fineprune_error *err) {
    uint32_t width = 0, height = 0;
    uint16_t orientation = 1;
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height))
        return fail(reason, err);
    if (TIFFGetField(tiff, TIFFTAG_ORIENTATION, &orientation) && orientation >= 1 && orientation <= 8)
        p->orientation = orientation;
    p->image->width = width;
    p->image->height = height;
    int status = fp_image_size_check(width, height, err);
    if (status || p->probe) return status;
    return read_pixels(p, tiff, reason, err);
}

int fp_tiff_read(struct fp_picture *p, fineprune_error *err) {
    char reason[200] = "";
    const int fd = dup(fileno(p->file)); // which libtiff closes
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFF *tiff = NULL;
    size_t most = MAX_TAKEN;
    if (p->image->memory) most = fp_least(most, fp_memory_left(p->image->memory));
    if (options && fd >= 0) {
        TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)most);
        TIFFOpenOptionsSetErrorHandlerExtR(options, keep_reason, reason);
        TIFFOpenOptionsSetWarningHandlerExtR(options, ignore, NULL);
        lseek(fd, 0, SEEK_SET);
        tiff = TIFFFdOpenExt(fd, "picture", "rm", options);
    }
    if (options) TIFFOpenOptionsFree(options);
    if (!tiff) {
        if (fd >= 0) close(fd);
        return fail(reason, err);
    }
    int status = read_page(p, tiff, reason, err);
    TIFFClose(tiff);
    return status;
}
