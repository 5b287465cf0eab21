// SPDX-License-Identifier: Apache-2.0
// Pictures: decoding PNG, JPEG, WebP, GIF, TIFF and BMP to 8-bit pixels, and resizing them as Pillow does.
#ifndef FP_IMAGE_FILE_H
#define FP_IMAGE_FILE_H

#include "data/preprocess.h"

struct fp_image {
    int64_t width, height;
    int channels;    // 3 (red, green, blue) or 1 (grey)
    uint8_t *pixels; // rows from the top, channels together
    size_t size;
    struct fp_memory *memory;
    bool once; // it is let go when it has been used
};

// Size of the picture, from its header. Upright as its EXIF orientation says, unless stored. Errors: DATA (not a
// picture, damaged, too large), IO.
int fp_image_probe(const char *path, bool stored, int64_t *width, int64_t *height, fineprune_error *err);
// Decodes the picture to 3 channels. Transparency is dropped, 16 bits become 8.
int fp_image_read(struct fp_image *out, const char *path, bool stored, struct fp_memory *memory, fineprune_error *err);
int fp_image_new(struct fp_image *out, int64_t width, int64_t height, int channels, struct fp_memory *memory,
                 fineprune_error *err);
void fp_image_done(struct fp_image *image);
// Three channels to one, in place: 0.299 red + 0.587 green + 0.114 blue.
void fp_image_to_grey(struct fp_image *image);

// What is taken of a picture.
struct fp_window {
    int64_t left, top, width, height;
};

// Replaces the image by the window of one of another size; nothing else of that is computed. Each axis by itself
// (width first), antialiased, with 8 bits in between. The window lies within the size. (image_resize.c)
int fp_image_resize(struct fp_image *image, int64_t width, int64_t height, enum fp_filter filter,
                    const struct fp_window *window, fineprune_error *err);

#endif
