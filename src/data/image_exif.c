// SPDX-License-Identifier: Apache-2.0
// How a camera was held: the one tag of EXIF that changes pixels.
#include <string.h>

#include "data/image_codecs.h"

#define MAX_EXIF 65535 // bytes of a JPEG's segment
#define MAX_SEGMENTS 1000
#define ORIENTATION 0x0112
#define SHORT 3

static uint32_t number(const uint8_t *at, int bytes, bool big) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint32_t)at[i] << 8 * (big ? bytes - 1 - i : i);
    return value;
}

int fp_exif_orientation(const uint8_t *bytes, size_t n) {
    if (n > 6 && !memcmp(bytes, "Exif\0", 6)) bytes += 6, n -= 6; // as it stands in a JPEG; some writers of WebP too
    if (n < 8 || (memcmp(bytes, "II*", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0)) return 1;
    const bool big = bytes[0] == 'M';
    const size_t at = number(bytes + 4, 4, big);
    if (at > n - 2) return 1;
    size_t entries = number(bytes + at, 2, big);
    entries = fp_least(entries, (n - at - 2) / 12);
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *entry = bytes + at + 2 + i * 12;
        if (number(entry, 2, big) != ORIENTATION || number(entry + 2, 2, big) != SHORT) continue;
        const uint32_t value = number(entry + 8, 2, big);
        if (value >= 1 && value <= 8) return (int)value;
        return 1;
    }
    return 1;
}

// The segments in front of the first scan.
int fp_exif_of_jpeg(FILE *file) {
    uint8_t head[4], exif[MAX_EXIF];
    if (fseek(file, 2, SEEK_SET)) return 1;
    for (int i = 0; i < MAX_SEGMENTS; i++) {
        if (fread(head, 1, 4, file) != 4 || head[0] != 0xff || head[1] == 0xda) return 1;
        const size_t length = number(head + 2, 2, true);
        if (length < 2) return 1;
        if (head[1] != 0xe1) {
            if (fseek(file, (long)length - 2, SEEK_CUR)) return 1;
            continue;
        }
        if (fread(exif, 1, length - 2, file) != length - 2) return 1;
        if (length > 8 && !memcmp(exif, "Exif\0", 6)) return fp_exif_orientation(exif, length - 2);
    }
    return 1;
}

// Where the pixel comes from that goes to column x of row y.
static size_t source(const struct fp_image *from, int orientation, int64_t x, int64_t y) {
    int64_t column = x, row = y;
    if (fp_exif_lies(orientation)) column = y, row = x;
    if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) column = from->width - 1 - column;
    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) row = from->height - 1 - row;
    return (size_t)(row * from->width + column) * (size_t)from->channels;
}

int fp_exif_turn(struct fp_image *image, int orientation, fineprune_error *err) {
    if (orientation <= 1) return FINEPRUNE_OK;
    struct fp_image dst;
    int64_t width = image->width, height = image->height;
    if (fp_exif_lies(orientation)) width = image->height, height = image->width;
    int status = fp_image_new(&dst, width, height, image->channels, image->memory, err);
    if (status) return status;
    uint8_t *out = dst.pixels;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++, out += image->channels)
            memcpy(out, image->pixels + source(image, orientation, x, y), (size_t)image->channels);
    fp_image_done(image);
    *image = dst;
    return FINEPRUNE_OK;
}
