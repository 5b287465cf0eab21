// SPDX-License-Identifier: Apache-2.0
// Kinds of pictures beside PNG and JPEG, and EXIF. Each reader is given a file at its start. With probe it sets width
// and height alone; else image->memory is the budget, and pixels are made by fp_image_new, three channels each.
// Errors: DATA, with the reason alone as the text; LIMIT.
#ifndef FP_IMAGE_CODECS_H
#define FP_IMAGE_CODECS_H

#include <stdio.h>

#include "base/arena.h"
#include "data/image_file.h"

struct fp_picture {
    FILE *file;
    bool probe;
    struct fp_image *image;
    int orientation; // as EXIF counts, 1: upright
    struct fp_arena *room;
};

// image_webp.c, image_gif.c, image_tiff.c, image_bmp.c
int fp_webp_read(struct fp_picture *picture, fineprune_error *err); // no animations
int fp_gif_read(struct fp_picture *picture, fineprune_error *err);  // the first frame
int fp_tiff_read(struct fp_picture *picture, fineprune_error *err); // the first page
int fp_bmp_read(struct fp_picture *picture, fineprune_error *err);  // nothing packed

// A number of 1 to 4 bytes, the lowest first.
static inline size_t fp_little(const uint8_t *at, int bytes) {
    size_t number = 0;
    for (int i = bytes; i-- > 0;) number = number << 8 | at[i];
    return number;
}

// image_exif.c: the orientation of an EXIF block, which is a TIFF header and directories; 1 where it says none.
int fp_exif_orientation(const uint8_t *bytes, size_t n);
// That of a JPEG. The file is left anywhere.
int fp_exif_of_jpeg(FILE *file);
// Turns the pixels upright. Errors: LIMIT.
int fp_exif_turn(struct fp_image *image, int orientation, fineprune_error *err);
// Whether width and height change places.
static inline bool fp_exif_lies(int orientation) { return orientation >= 5; }

// image_file.c: OK where such a picture may be decoded.
int fp_image_size_check(int64_t width, int64_t height, fineprune_error *err);

#endif
