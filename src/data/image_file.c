// SPDX-License-Identifier: Apache-2.0
// PNG by libpng, JPEG by libjpeg; both report errors by a long jump, so all that must survive one lies in a struct
// behind a pointer. The other kinds are in image_codecs.h.
#include "data/image_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#include "base/arena.h"
#include "data/image_codecs.h"

#define MAX_SIDE 65535
#define MAX_SCANS 64 // of a JPEG, each of which costs as much as decoding all of it; writers make some ten
#define MAX_CHUNK ((size_t)8 << 20) // bytes of a PNG's chunk that libpng keeps
#define MAX_CHUNKS 100

struct task {
    FILE *file;
    const char *path;
    bool probe;  // header only
    bool stored; // as the rows are, whatever EXIF says
    int orientation;
    struct fp_image image;
    struct fp_memory *memory;
    size_t counted;        // what the decoder takes for itself
    struct fp_arena *room; // of what follows
    uint8_t *row;          // one decoded row
    uint8_t **rows;
    struct jpeg_progress_mgr progress;
    char reason[JMSG_LENGTH_MAX];
    jmp_buf jump;
    fineprune_error *err, said; // err: said, while a picture is read
};

static int make_image(struct task *t, int64_t width, int64_t height) {
    if (!t->probe) return fp_image_new(&t->image, width, height, 3, t->memory, t->err);
    t->image.width = width;
    t->image.height = height;
    return fp_image_size_check(width, height, t->err);
}

static int fail_reason(struct task *t) {
    return fp_fail(t->err, FINEPRUNE_DATA, "not a picture that can be decoded: %s", t->reason);
}

// ---- PNG

static void png_failed(png_structp png, png_const_charp text) {
    struct task *t = png_get_error_ptr(png);
    snprintf(t->reason, sizeof(t->reason), "%s", text);
    longjmp(t->jump, 1);
}

static void png_warned(png_structp png, png_const_charp text) { (void)png, (void)text; }

static int png_rows(struct task *t, png_structp png, png_infop info) {
    const size_t stride = (size_t)t->image.width * 3;
    if (png_get_rowbytes(png, info) != stride) return fp_fail(t->err, FINEPRUNE_DATA, "unexpected kind of PNG");
    t->rows = fp_arena_take(t->room, (size_t)t->image.height, sizeof(*t->rows));
    if (!t->rows) return fp_fail_memory(t->err, "a picture", (size_t)t->image.height * sizeof(*t->rows));
    for (size_t y = 0; y < (size_t)t->image.height; y++) t->rows[y] = t->image.pixels + y * stride;
    png_read_image(png, t->rows);
    png_read_end(png, NULL);
    return FINEPRUNE_OK;
}

static int png_decode(struct task *t, png_structp png, png_infop info) {
    if (setjmp(t->jump)) return fail_reason(t);
    png_init_io(png, t->file);
    png_set_user_limits(png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_set_chunk_cache_max(png, MAX_CHUNKS);
    png_read_info(png, info);
    png_bytep exif;
    png_uint_32 length;
    if (png_get_eXIf_1(png, info, &length, &exif)) t->orientation = fp_exif_orientation(exif, length);
    int status = make_image(t, png_get_image_width(png, info), png_get_image_height(png, info));
    if (status || t->probe) return status;
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return png_rows(t, png, info);
}

static int read_png(struct task *t) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, t, png_failed, png_warned);
    png_infop info = NULL;
    if (png) info = png_create_info_struct(png);
    int status = info ? png_decode(t, png, info) : fp_fail_memory(t->err, "a picture", 1000);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

// ---- JPEG

struct jpeg_errors {
    struct jpeg_error_mgr base;
    struct task *task;
};

static void jpeg_failed(j_common_ptr jpeg) {
    struct task *t = ((struct jpeg_errors *)jpeg->err)->task;
    jpeg->err->format_message(jpeg, t->reason);
    longjmp(t->jump, 1);
}

static void jpeg_warned(j_common_ptr jpeg, int level) {
    const int code = jpeg->err->msg_code;
    // missing data, where a decoder would go on with grey areas; stray bytes do no harm
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) jpeg_failed(jpeg);
}

// Four inks, as Adobe writes them (inverted), to three colours.
static void from_inks(uint8_t *dst, const uint8_t *src, size_t n, bool inverted) {
    for (size_t i = 0; i < n; i++, dst += 3, src += 4)
        for (int c = 0; c < 3; c++) {
            unsigned ink = src[c], black = src[3];
            if (!inverted) {
                ink = 255u - ink;
                black = 255u - black;
            }
            dst[c] = (uint8_t)((ink * black + 127) / 255);
        }
}

static void jpeg_goes_on(j_common_ptr jpeg) {
    struct task *t = ((struct jpeg_errors *)jpeg->err)->task;
    if (!jpeg->is_decompressor || ((j_decompress_ptr)jpeg)->input_scan_number <= MAX_SCANS) return;
    snprintf(t->reason, sizeof(t->reason), "it has over %d scans", MAX_SCANS);
    longjmp(t->jump, 1);
}

// A picture of several scans is held whole, as coefficients of two bytes.
static int count_coefficients(struct task *t, struct jpeg_decompress_struct *jpeg) {
    if (!t->memory || !jpeg_has_multiple_scans(jpeg)) return FINEPRUNE_OK;
    size_t bytes = 0;
    for (int i = 0; i < jpeg->num_components; i++)
        bytes += (size_t)jpeg->comp_info[i].width_in_blocks * jpeg->comp_info[i].height_in_blocks * sizeof(JBLOCK);
    if (!fp_memory_count(t->memory, bytes)) return fp_fail_memory(t->err, "a picture's coefficients", bytes);
    t->counted = bytes;
    return FINEPRUNE_OK;
}

static int jpeg_decode(struct task *t, struct jpeg_decompress_struct *jpeg) {
    if (setjmp(t->jump)) return fail_reason(t);
    jpeg_create_decompress(jpeg);
    jpeg_stdio_src(jpeg, t->file);
    jpeg_read_header(jpeg, TRUE);
    int status = make_image(t, jpeg->image_width, jpeg->image_height);
    if (!status && !t->probe) status = count_coefficients(t, jpeg);
    if (status || t->probe) return status;
    t->progress.progress_monitor = jpeg_goes_on;
    jpeg->progress = &t->progress;
    const bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    if (inks) jpeg->out_color_space = JCS_CMYK;
    else jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    t->row = fp_arena_take(t->room, (size_t)t->image.width, 4);
    if (!t->row) return fp_fail_memory(t->err, "a picture", (size_t)t->image.width * 4);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *dst = t->image.pixels + (size_t)jpeg->output_scanline * (size_t)t->image.width * 3;
        JSAMPROW row = dst;
        if (inks) row = t->row;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (inks) from_inks(dst, t->row, (size_t)t->image.width, jpeg->saw_Adobe_marker);
    }
    jpeg_finish_decompress(jpeg);
    return FINEPRUNE_OK;
}

static int read_jpeg(struct task *t) {
    t->orientation = fp_exif_of_jpeg(t->file);
    rewind(t->file);
    struct jpeg_errors errors = {.task = t};
    struct jpeg_decompress_struct jpeg = {.err = jpeg_std_error(&errors.base)};
    errors.base.error_exit = jpeg_failed;
    errors.base.emit_message = jpeg_warned;
    int status = jpeg_decode(t, &jpeg);
    jpeg_destroy_decompress(&jpeg);
    if (t->counted) fp_memory_uncount(t->memory, t->counted);
    return status;
}

// ---- any

static int read_other(struct task *t, int (*read)(struct fp_picture *, fineprune_error *)) {
    t->image.memory = t->memory;
    struct fp_picture p = {.file = t->file, .probe = t->probe, .image = &t->image, .orientation = 1, .room = t->room};
    int status = read(&p, t->err);
    t->orientation = p.orientation;
    return status;
}

// Those of newer phones, whose decoders are large and patented.
static bool is_heif(const uint8_t *start) {
    static const char *const brands[] = {"heic", "heix", "hevc", "heim", "mif1", "msf1", "avif", "avis"};
    bool is = false;
    for (size_t i = 0; i < FP_COUNT(brands); i++) is |= !memcmp(start + 8, brands[i], 4);
    return is && !memcmp(start + 4, "ftyp", 4);
}

static int read_kind(struct task *t) {
    uint8_t start[12] = {0};
    const size_t n = fread(start, 1, sizeof(start), t->file);
    rewind(t->file);
    if (!n) return fp_fail(t->err, FINEPRUNE_DATA, "the file is empty");
    if (png_sig_cmp(start, 0, 8) == 0) return read_png(t);
    if (start[0] == 0xff && start[1] == 0xd8) return read_jpeg(t);
    if (!memcmp(start, "RIFF", 4) && !memcmp(start + 8, "WEBP", 4)) return read_other(t, fp_webp_read);
    if (!memcmp(start, "GIF8", 4)) return read_other(t, fp_gif_read);
    if (!memcmp(start, "II*", 4) || !memcmp(start, "MM\0*", 4)) return read_other(t, fp_tiff_read);
    if (!memcmp(start, "BM", 2)) return read_other(t, fp_bmp_read);
    int status = fp_fail(t->err, FINEPRUNE_DATA, "%s",
                         is_heif(start) ? "HEIC and AVIF are not read" : "neither PNG, JPEG, WebP, GIF, TIFF nor BMP");
    fp_hint(t->err, "convert such pictures to JPEG or PNG first");
    return status;
}

static void turn_probed(struct task *t) {
    const int64_t width = t->image.width;
    if (t->stored || !fp_exif_lies(t->orientation)) return;
    t->image.width = t->image.height;
    t->image.height = width;
}

static int read_picture(struct task *t, const char *path, fineprune_error *err) {
    t->said = (fineprune_error){0};
    t->err = &t->said;
    t->orientation = 1;
    t->file = fopen(path, "rbe");
    if (!t->file) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    int status = read_kind(t);
    fclose(t->file);
    if (!status && t->probe) turn_probed(t);
    else if (!status && !t->stored) status = fp_exif_turn(&t->image, t->orientation, t->err);
    if (!status) return FINEPRUNE_OK;
    fp_image_done(&t->image);
    fp_fail(err, status, "'%s': %s", path, t->said.message);
    if (t->said.hint[0]) fp_hint(err, "%s", t->said.hint);
    return status;
}

int fp_image_probe(const char *path, bool stored, int64_t *width, int64_t *height, fineprune_error *err) {
    FP_STAGE(room, path);
    struct task *t = fp_arena_take(&room, 1, sizeof(*t));
    if (!t) return fp_arena_check(&room, err);
    t->room = &room;
    t->probe = true;
    t->stored = stored;
    int status = read_picture(t, path, err);
    if (!status) *width = t->image.width, *height = t->image.height;
    return status;
}

int fp_image_read(struct fp_image *out, const char *path, bool stored, struct fp_memory *memory, fineprune_error *err) {
    FP_STAGE(room, path);
    struct task *t = fp_arena_take(&room, 1, sizeof(*t));
    if (!t) return fp_arena_check(&room, err);
    t->room = &room;
    t->memory = memory;
    t->stored = stored;
    int status = read_picture(t, path, err);
    if (!status) *out = t->image;
    return status;
}
