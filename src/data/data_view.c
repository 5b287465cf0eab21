// SPDX-License-Identifier: Apache-2.0
// Samples for people. Pictures become PNG, waves WAV, all else a table of numbers, a line for each row of the last
// axis.
#include "data/data_view.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

#include <png.h>

#include "data/data_parts.h"

// ---- how

// Arrays: a picture where they are laid out as one.
static void view_array(struct fp_view *view, const struct fp_tensor *t) {
    enum { LEAST = 4 }; // pixels of a side
    const bool plain = fp_type_is_float(t->type) || fp_type_is_integer(t->type);
    if (t->rank != 4 || !plain) return;
    const bool first = t->dims[1] == 1 || t->dims[1] == 3, last = t->dims[3] == 1 || t->dims[3] == 3;
    const int row = first ? 2 : 1;
    if ((!first && !last) || t->dims[row] < LEAST || t->dims[row + 1] < LEAST) return;
    *view = (struct fp_view){.kind = FP_VIEW_PICTURE,
                             .channels = (int)t->dims[first ? 1 : 3],
                             .last = !first,
                             .inverse = t->type == FP_UINT8,
                             .factor = {1, 1, 1}};
}

struct fp_view fp_data_view(const struct fineprune_data *data, size_t input, size_t sample, const struct fp_tensor *t) {
    struct fp_view view = {.kind = FP_VIEW_NUMBERS};
    const struct fp_piece *piece = fp_data_piece(data, input, sample);
    if (piece->kind->view) piece->kind->view(piece, &view);
    else if (!piece->kind->what) view_array(&view, t);
    return view;
}

// Where the last c is, n where there is none.
static size_t find_last(const char *text, size_t n, char c) {
    for (size_t i = n; i-- > 0;)
        if (text[i] == c) return i;
    return n;
}

// "'folder/a.npz': array 'x'" has its file between the first two marks.
const char *fp_data_stem(const struct fineprune_data *data, size_t input, size_t sample, char *dst, size_t size) {
    const struct fp_piece *piece = fp_data_piece(data, input, sample);
    const char *from = piece->path ? piece->path : piece->name, *mark = strchr(from, '\'');
    size_t n = strlen(from);
    if (!piece->path && mark && strchr(mark + 1, '\'')) {
        from = mark + 1;
        n = strcspn(from, "'");
    }
    const size_t slash = find_last(from, n, '/');
    if (slash < n) n -= slash + 1, from += slash + 1;
    const size_t dot = find_last(from, n, '.');
    if (dot) n = dot;
    snprintf(dst, size, "%.*s", (int)fp_least(n, size - 1), n ? from : "sample");
    return dst;
}

// ---- pictures

struct canvas {
    int64_t height, width;
    size_t row, column, channel; // elements from one to the next
    double factor[3], offset[3];
};

// Where the picture lies in the tensor, whose other axes have one element.
static void lay_out(struct canvas *c, const struct fp_view *view, const struct fp_tensor *t) {
    const int64_t *two = t->dims + t->rank - 2;
    const size_t channels = (size_t)view->channels;
    if (view->last) two--;
    *c = (struct canvas){.height = two[0], .width = two[1], .row = (size_t)two[1], .column = 1};
    c->channel = (size_t)(two[0] * two[1]);
    if (view->turned) *c = (struct canvas){.height = two[1], .width = two[0], .row = 1, .column = (size_t)two[1]};
    if (!view->last) return;
    c->row *= channels, c->column = channels, c->channel = 1;
}

static double element(const struct fp_tensor *t, size_t i) {
    double value;
    fp_convert(&value, FP_DOUBLE, (const char *)t->data + i * fp_type_size(t->type), t->type, 1);
    return value;
}

// The least value becomes black, the greatest white.
static void spread(struct canvas *c, const struct fp_tensor *t) {
    double low = DBL_MAX, high = -DBL_MAX;
    for (size_t i = 0; i < t->count; i++) {
        const double value = element(t, i);
        if (!isfinite(value)) continue;
        low = fmin(low, value);
        high = fmax(high, value);
    }
    const double factor = high > low ? 255 / (high - low) : 0;
    for (int k = 0; k < 3; k++) c->factor[k] = factor, c->offset[k] = factor > 0 ? -low * factor : 0;
}

static uint8_t level(double value) {
    if (!(value > 0)) return 0; // and NaN
    return (uint8_t)nearbyint(fmin(value, 255));
}

static void paint(uint8_t *pixels, const struct canvas *c, const struct fp_view *view, const struct fp_tensor *t) {
    for (int64_t y = 0; y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++)
            for (int k = 0; k < view->channels; k++) {
                const size_t at = (size_t)y * c->row + (size_t)x * c->column + (size_t)k * c->channel;
                const int to = view->reversed ? view->channels - 1 - k : k;
                pixels[(y * c->width + x) * view->channels + to] = level(element(t, at) * c->factor[k] + c->offset[k]);
            }
}

int fp_view_picture(FILE *file, const struct fp_view *view, const struct fp_tensor *t, fineprune_error *err) {
    struct canvas c;
    lay_out(&c, view, t);
    memcpy(c.factor, view->factor, sizeof(c.factor));
    memcpy(c.offset, view->offset, sizeof(c.offset));
    if (!view->inverse) spread(&c, t);
    FP_STAGE(room, "a picture");
    uint8_t *pixels = fp_arena_take(&room, t->count, 1);
    int status = fp_arena_check(&room, err);
    if (status) return status;
    paint(pixels, &c, view, t);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)c.width,
                       .height = (png_uint_32)c.height,
                       .format = view->channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    const bool fits = c.width > 0 && c.height > 0 && c.width <= UINT16_MAX && c.height <= UINT16_MAX;
    if (!fits)
        return fp_fail(err, FINEPRUNE_LIMIT, "a picture of %lld x %lld is not written", (long long)c.width,
                       (long long)c.height);
    if (png_image_write_to_stdio(&image, file, 0, pixels, 0, NULL)) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_IO, "a picture cannot be written: %s", image.message);
}

// ---- sound

static void put_little(uint8_t **at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *(*at)++ = (uint8_t)(value >> 8 * i);
}

static void put_word(uint8_t **at, const char *word) {
    memcpy(*at, word, 4);
    *at += 4;
}

// RIFF WAVE: 1 is whole numbers, 3 floats, which have a chunk "fact" too.
static size_t wav_header(uint8_t *dst, uint32_t frames, uint32_t channels, uint32_t rate, uint32_t bytes) {
    uint8_t *at = dst;
    const bool whole = bytes == 2;
    const uint32_t data = frames * channels * bytes, format = whole ? 16 : 18, fact = whole ? 0 : 12;
    put_word(&at, "RIFF"), put_little(&at, 4 + 8 + format + fact + 8 + data, 4), put_word(&at, "WAVE");
    put_word(&at, "fmt "), put_little(&at, format, 4);
    put_little(&at, whole ? 1 : 3, 2), put_little(&at, channels, 2), put_little(&at, rate, 4);
    put_little(&at, rate * channels * bytes, 4), put_little(&at, channels * bytes, 2), put_little(&at, 8 * bytes, 2);
    if (!whole) put_little(&at, 0, 2), put_word(&at, "fact"), put_little(&at, 4, 4), put_little(&at, frames, 4);
    put_word(&at, "data"), put_little(&at, data, 4);
    return (size_t)(at - dst);
}

int fp_view_sound(FILE *file, const struct fp_view *view, const struct fp_tensor *t, fineprune_error *err) {
    const size_t channels = (size_t)view->channels, frames = t->count / channels;
    const bool whole = t->type == FP_INT16;
    uint8_t header[64], bytes[4];
    if (t->count > (UINT32_MAX >> 3))
        return fp_fail(err, FINEPRUNE_LIMIT, "sound of %zu samples is not written", frames);
    const size_t n = wav_header(header, (uint32_t)frames, (uint32_t)channels, (uint32_t)view->rate, whole ? 2 : 4);
    fwrite(header, 1, n, file);
    for (size_t i = 0; i < frames; i++)
        for (size_t c = 0; c < channels; c++) {
            uint8_t *at = bytes;
            const double value = element(t, view->last ? i * channels + c : c * frames + i);
            uint32_t bits;
            memcpy(&bits, &(float){(float)value}, sizeof(bits));
            if (whole) bits = (uint16_t)(int16_t)value;
            put_little(&at, bits, whole ? 2 : 4);
            fwrite(bytes, 1, (size_t)(at - bytes), file);
        }
    return FINEPRUNE_OK; // who closes the file sees what failed
}

// ---- numbers

static void put_number(FILE *file, const struct fp_tensor *t, size_t i) {
    int64_t whole;
    uint64_t natural;
    const char *at = (const char *)t->data + i * fp_type_held(t->type);
    char text[400];
    if (t->type == FP_STRING) {
        fputs(fp_escape(text, sizeof(text), fp_or_empty(((char **)t->data)[i])), file);
    } else if (t->type == FP_UINT64) {
        memcpy(&natural, at, sizeof(natural));
        fprintf(file, "%" PRIu64, natural);
    } else if (fp_type_is_integer(t->type) || t->type == FP_BOOL) {
        fp_convert(&whole, FP_INT64, at, t->type, 1);
        fprintf(file, "%" PRId64, whole);
    } else {
        fprintf(file, t->type == FP_DOUBLE ? "%.17g" : "%.9g", element(t, i));
    }
}

int fp_view_numbers(FILE *file, const struct fp_tensor *t, fineprune_error *err) {
    char shape[200];
    (void)err;
    const size_t row = t->rank ? fp_most((size_t)t->dims[t->rank - 1], 1) : 1;
    fprintf(file, "# %s %s\n", fp_type_name(t->type), fp_shape_text(shape, sizeof(shape), t->rank, t->dims));
    for (size_t i = 0; i < t->count; i++) {
        put_number(file, t, i);
        fputc((i + 1) % row ? ' ' : '\n', file);
    }
    return FINEPRUNE_OK;
}
