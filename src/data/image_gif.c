// SPDX-License-Identifier: Apache-2.0
// GIF by giflib: the first frame on its screen. What is transparent has the colour that its index has, as Pillow shows
// it.
#include <string.h>

#include <gif_lib.h>

#include "data/image_codecs.h"

#define MAX_RECORDS 10000 // in front of the first frame

static int take_bytes(GifFileType *gif, GifByteType *dst, int n) {
    return (int)fread(dst, 1, (size_t)n, (FILE *)gif->UserData);
}

static int fail(int code, fineprune_error *err) {
    const char *text = GifErrorString(code);
    return fp_fail(err, FINEPRUNE_DATA, "not a picture that can be decoded: %s", text ? text : "not a GIF");
}

// Up to the first frame.
static int find_frame(GifFileType *gif, fineprune_error *err) {
    for (int i = 0; i < MAX_RECORDS; i++) {
        GifRecordType type;
        GifByteType *block;
        int code;
        if (DGifGetRecordType(gif, &type) != GIF_OK || type == TERMINATE_RECORD_TYPE) return fail(gif->Error, err);
        if (type == IMAGE_DESC_RECORD_TYPE) {
            if (DGifGetImageDesc(gif) == GIF_OK) return FINEPRUNE_OK;
            return fail(gif->Error, err);
        }
        if (type != EXTENSION_RECORD_TYPE || DGifGetExtension(gif, &code, &block) != GIF_OK)
            return fail(gif->Error, err);
        for (int k = 0; block && k < MAX_RECORDS; k++)
            if (DGifGetExtensionNext(gif, &block) != GIF_OK) return fail(gif->Error, err);
    }
    return fp_fail(err, FINEPRUNE_DATA, "it has over %d blocks before its first frame", MAX_RECORDS);
}

static void put_colour(uint8_t *dst, const ColorMapObject *map, int index) {
    GifColorType colour = {0, 0, 0};
    if (index < map->ColorCount) colour = map->Colors[index];
    dst[0] = colour.Red, dst[1] = colour.Green, dst[2] = colour.Blue;
}

static int put_row(struct fp_picture *p, GifFileType *gif, const ColorMapObject *map, GifPixelType *row, int y,
                   fineprune_error *err) {
    const GifImageDesc *frame = &gif->Image;
    if (DGifGetLine(gif, row, frame->Width) != GIF_OK) return fail(gif->Error, err);
    uint8_t *dst = p->image->pixels + ((size_t)(frame->Top + y) * (size_t)p->image->width + (size_t)frame->Left) * 3;
    for (int x = 0; x < frame->Width; x++, dst += 3) put_colour(dst, map, row[x]);
    return FINEPRUNE_OK;
}

static int put_rows(struct fp_picture *p, GifFileType *gif, const ColorMapObject *map, fineprune_error *err) {
    static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    const GifImageDesc *frame = &gif->Image;
    int status = FINEPRUNE_OK;
    GifPixelType *row = fp_arena_take(p->room, (size_t)frame->Width, sizeof(*row));
    if (!row) return fp_arena_check(p->room, err);
    for (int pass = 0; pass < (frame->Interlace ? 4 : 1); pass++) {
        const int start = frame->Interlace ? starts[pass] : 0, step = frame->Interlace ? steps[pass] : 1;
        for (int y = start; y < frame->Height && !status; y += step) status = put_row(p, gif, map, row, y, err);
    }
    return status;
}

static int read_frame(struct fp_picture *p, GifFileType *gif, fineprune_error *err) {
    int status = find_frame(gif, err);
    if (status) return status;
    const GifImageDesc *frame = &gif->Image;
    const ColorMapObject *map = frame->ColorMap ? frame->ColorMap : gif->SColorMap;
    if (!map || frame->Width < 1 || frame->Height < 1 || frame->Left < 0 || frame->Top < 0 ||
        frame->Left + frame->Width > gif->SWidth || frame->Top + frame->Height > gif->SHeight)
        return fp_fail(err, FINEPRUNE_DATA, "its first frame has no colours, or does not fit its screen");
    status = fp_image_new(p->image, gif->SWidth, gif->SHeight, 3, p->image->memory, err);
    if (status) return status;
    for (size_t i = 0; i < p->image->size; i += 3) put_colour(p->image->pixels + i, map, gif->SBackGroundColor);
    return put_rows(p, gif, map, err);
}

int fp_gif_read(struct fp_picture *p, fineprune_error *err) {
    int code = 0;
    GifFileType *gif = DGifOpen(p->file, take_bytes, &code);
    if (!gif) return fail(code, err);
    p->image->width = gif->SWidth;
    p->image->height = gif->SHeight;
    int status = fp_image_size_check(gif->SWidth, gif->SHeight, err);
    if (!status && !p->probe) status = read_frame(p, gif, err);
    DGifCloseFile(gif, NULL);
    return status;
}
