// SPDX-License-Identifier: Apache-2.0
// BMP, of which the rows are as they are in memory: 1, 4 or 8 bits of a palette, 24 or 32 bits of blue, green and red.
// What is packed, or packed otherwise, is refused by name. Every size that the file claims is checked before use.
#include <string.h>

#include "data/image_codecs.h"

#define FILE_HEAD 14
#define OLD_HEAD 12   // of OS/2, with sizes of 16 bits
#define OS2_HEAD 64   // whose numbers of packings mean others
#define MOST_HEAD 124 // of the fifth version
#define MASKS 40      // where masks lie, in the head or right behind it

struct bmp {
    size_t head;            // bytes
    int64_t width, height;  // the latter negative where rows lie from the top
    uint32_t bits, packing; // of a pixel
    size_t colours, pixels; // entries of the palette; where the rows begin
    size_t row;             // bytes
    uint8_t palette[256][3];
};

static int fail(const char *what, fineprune_error *err) {
    int status = fp_fail(err, FINEPRUNE_DATA, "a BMP %s, which is not read", what);
    fp_hint(err, "convert such pictures to PNG first");
    return status;
}

static int fail_cut(fineprune_error *err) {
    return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: a BMP that is cut short");
}

static int fail_damaged(const char *what, fineprune_error *err) {
    return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: a BMP with %s", what);
}

static const char *packing_text(const struct bmp *b, const uint8_t *masks) {
    static const char *const names[] = {"", "with run lengths (RLE8)", "with run lengths (RLE4)",
                                        "", "with a JPEG in it",       "with a PNG in it"};
    // blue, green, red and a byte that does not count, as without masks
    static const uint8_t usual[12] = {0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff};
    if (b->head == OS2_HEAD && b->packing) return "with a packing of OS/2";
    if (b->packing == 3 && b->bits == 32 && !memcmp(masks, usual, sizeof(usual))) return NULL;
    if (b->packing == 3) return "with masks of other bits";
    if (b->packing >= FP_COUNT(names)) return "with a packing that is not known";
    return b->packing ? names[b->packing] : NULL;
}

static void take_head(struct bmp *b, const uint8_t *bytes) {
    const uint8_t *head = bytes + FILE_HEAD;
    b->pixels = fp_little(bytes + 10, 4);
    if (b->head == OLD_HEAD) {
        b->width = (int64_t)fp_little(head + 4, 2);
        b->height = (int64_t)fp_little(head + 6, 2);
        b->bits = (uint32_t)fp_little(head + 10, 2);
        return;
    }
    b->width = (int32_t)fp_little(head + 4, 4);
    b->height = (int32_t)fp_little(head + 8, 4);
    b->bits = (uint32_t)fp_little(head + 14, 2);
    b->packing = (uint32_t)fp_little(head + 16, 4);
    b->colours = fp_little(head + 32, 4);
}

static int read_head(struct bmp *b, FILE *file, fineprune_error *err) {
    static const size_t heads[] = {OLD_HEAD, 40, 52, 56, OS2_HEAD, 108, MOST_HEAD};
    uint8_t bytes[FILE_HEAD + MOST_HEAD] = {0};
    const size_t n = fread(bytes, 1, sizeof(bytes), file);
    b->head = fp_little(bytes + FILE_HEAD, 4);
    bool known = false;
    for (size_t i = 0; i < FP_COUNT(heads); i++) known |= heads[i] == b->head;
    if (n < FILE_HEAD + 4) return fail_cut(err);
    if (!known) return fail("with a header of an unknown size", err);
    if (n < FILE_HEAD + b->head) return fail_cut(err);
    take_head(b, bytes);
    const char *packing = packing_text(b, bytes + FILE_HEAD + MASKS);
    if (packing) return fail(packing, err);
    if (b->bits == 16) return fail("of 16 bits a pixel", err);
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 24 && b->bits != 32)
        return fail("of another number of bits a pixel than 1, 4, 8, 24 and 32", err);
    if (b->bits > 8) b->colours = 0;
    else if (!b->colours) b->colours = (size_t)1 << b->bits;
    if (b->colours > (size_t)1 << fp_least(b->bits, 8))
        return fail_damaged("more colours than its bits tell apart", err);
    return fp_image_size_check(b->width, b->height < 0 ? -b->height : b->height, err);
}

static int read_palette(struct bmp *b, FILE *file, fineprune_error *err) {
    uint8_t entry[4];
    const size_t size = b->head == OLD_HEAD ? 3 : 4;
    if (b->pixels < FILE_HEAD + b->head + b->colours * size)
        return fail_damaged("pixels where its header or its colours are", err);
    if (fseek(file, (long)(FILE_HEAD + b->head), SEEK_SET)) return fail_cut(err);
    for (size_t i = 0; i < b->colours; i++) {
        if (fread(entry, 1, size, file) != size) return fail_cut(err);
        for (int c = 0; c < 3; c++) b->palette[i][c] = entry[2 - c];
    }
    return FINEPRUNE_OK;
}

// Indices of 1, 4 or 8 bits, the first in the highest ones.
static bool put_indices(const struct bmp *b, const uint8_t *row, uint8_t *dst) {
    const uint32_t each = 8 / b->bits, mask = (1u << b->bits) - 1;
    for (size_t x = 0; x < (size_t)b->width; x++, dst += 3) {
        const size_t index = (uint32_t)row[x / each] >> ((each - 1 - x % each) * b->bits) & mask;
        if (index >= b->colours) return false;
        memcpy(dst, b->palette[index], 3);
    }
    return true;
}

static bool put_row(const struct bmp *b, const uint8_t *row, uint8_t *dst) {
    if (b->bits <= 8) return put_indices(b, row, dst);
    for (int64_t x = 0; x < b->width; x++, row += b->bits / 8, dst += 3) {
        dst[0] = row[2];
        dst[1] = row[1];
        dst[2] = row[0];
    }
    return true;
}

static int read_rows(struct fp_picture *p, const struct bmp *b, fineprune_error *err) {
    const size_t stride = (size_t)p->image->width * 3, n = (size_t)p->image->height;
    uint8_t *row = fp_arena_take(p->room, b->row, 1);
    if (!row) return fp_arena_check(p->room, err);
    if (fseek(p->file, (long)b->pixels, SEEK_SET)) return fail_cut(err);
    for (size_t i = 0; i < n; i++) {
        const size_t y = b->height < 0 ? i : n - 1 - i;
        if (fread(row, 1, b->row, p->file) != b->row) return fail_cut(err);
        if (!put_row(b, row, p->image->pixels + y * stride)) return fail_damaged("a pixel of a colour it has not", err);
    }
    return FINEPRUNE_OK;
}

int fp_bmp_read(struct fp_picture *p, fineprune_error *err) {
    struct bmp b = {0};
    int status = read_head(&b, p->file, err);
    if (status) return status;
    p->image->width = b.width;
    p->image->height = b.height < 0 ? -b.height : b.height;
    if (p->probe) return FINEPRUNE_OK;
    status = read_palette(&b, p->file, err);
    if (status) return status;
    b.row = ((size_t)b.width * b.bits + 31) / 32 * 4;
    status = fp_image_new(p->image, p->image->width, p->image->height, 3, p->image->memory, err);
    if (status) return status;
    return read_rows(p, &b, err);
}
