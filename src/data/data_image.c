// SPDX-License-Identifier: Apache-2.0
// Pictures as samples. A picture is resized, its middle cut out, scaled and laid out as the preparation (preprocess.h)
// says; where that says nothing, the size and layout of the model's input do:
//     size     resize, then crop; neither given: resize to the input's size; only the shorter edge given: crop to the
//     input's size values   (pixel * scale - mean) / std per channel, in the model's channel order; scale is 1/255
//     unless given. A uint8 input
//              takes the pixels as they are, and nothing that would change them
//     layout   the axis of 3 (colour) or 1 (grey) channels
// Only the header is read when the picture is added.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/data_parts.h"
#include "data/image_file.h"

#define DECODED_BYTES ((size_t)64 << 20) // of pixels that are kept, after resizing: 400 pictures of 224 x 224
#define DECODED_SHARE 16                 // a part of what the memory limit leaves, at most

// Where height, width and channels are among the input's axes.
struct plan {
    enum fp_piece_mode mode;
    int first;             // the first axis behind the batch axis
    int channels;          // 1 or 3
    bool last;             // channels are the last axis
    bool flat;             // no axis of channels
    int64_t height, width; // of the input, -1 when symbolic
};

static int64_t channels_at(const struct fp_input *in, int axis) {
    if (in->dims[axis] == 1 || in->dims[axis] == 3) return in->dims[axis];
    return 0;
}

static int fail_layout(const struct fp_input *in, const char *path, fineprune_error *err) {
    char text[400];
    int status = fp_fail(err, FINEPRUNE_DATA,
                         "'%s' is a picture, but the model's input %s is not one with 1 or 3 channels", path,
                         fp_input_text(text, sizeof(text), in));
    fp_hint(err, "if it is, --layout nchw or nhwc tells where its channels are, and --shape '%s:...' how many",
            in->name);
    return status;
}

static int make_plan(struct plan *plan, const struct fp_input *in, enum fp_layout layout, const char *path,
                     fineprune_error *err) {
    *plan = (struct plan){.mode = FP_ROWS, .first = 1};
    if (in->rank == 3) *plan = (struct plan){.mode = FP_WHOLE};
    if (in->rank != 3 && in->rank != 4) return fail_layout(in, path, err);
    const int first = plan->first, last = in->rank - 1;
    int64_t channels = 0;
    if (layout != FP_NHWC) channels = channels_at(in, first);
    if (!channels && layout != FP_NCHW) {
        channels = channels_at(in, last);
        plan->last = channels != 0;
    }
    if (!channels && in->rank == 4) {
        // a symbolic number of channels: colour, where the layout is told
        int axis = first;
        plan->last = layout == FP_NHWC;
        if (plan->last) axis = last;
        if (layout == FP_LAYOUT_AUTO || in->dims[axis] >= 0) return fail_layout(in, path, err);
        channels = 3;
    }
    if (!channels) { // [samples, height, width]
        *plan = (struct plan){.mode = FP_ROWS, .first = 1, .flat = true};
        channels = 1;
    }
    plan->channels = (int)channels;
    int row = first + 1;
    if (plan->flat) row = 1;
    else if (plan->last) row = first;
    plan->height = in->dims[row];
    plan->width = in->dims[row + 1];
    return FINEPRUNE_OK;
}

// Sizes after resizing and after cropping.
struct sizes {
    int64_t height, width, crop_height, crop_width;
};

static int64_t scaled(int64_t side, int64_t to, int64_t by) { return fp_most_int(side * to / by, 1); }

static struct sizes plan_sizes(const struct fp_preprocess *p, const struct plan *plan, int64_t width, int64_t height) {
    struct sizes s = {height, width, 0, 0};
    const bool fixed = plan->height > 0 && plan->width > 0;
    if (p->resize_width) {
        s.height = p->resize_height;
        s.width = p->resize_width;
    } else if (p->resize_height && !p->no_resize) { // the shorter edge
        s.height = s.width = p->resize_height;
        if (height < width) s.width = scaled(width, p->resize_height, height);
        else s.height = scaled(height, p->resize_height, width);
    } else if (!p->no_resize && !p->crop_height && fixed) {
        s.height = plan->height;
        s.width = plan->width;
    }
    if (p->no_resize) s.height = height, s.width = width;
    s.crop_height = s.height;
    s.crop_width = s.width;
    if (p->crop_height) s.crop_height = p->crop_height;
    if (p->crop_width) s.crop_width = p->crop_width;
    if (!p->crop_height && !p->no_crop && fixed && p->resize_height && !p->resize_width)
        s.crop_height = plan->height, s.crop_width = plan->width;
    return s;
}

static int check_sizes(const struct sizes *s, const struct plan *plan, const struct fp_piece *piece,
                       fineprune_error *err) {
    char text[400];
    if (s->crop_height > s->height || s->crop_width > s->width)
        return fp_fail(err, FINEPRUNE_DATA, "'%s': %lld x %lld pixels cannot be cut out of %lld x %lld", piece->path,
                       (long long)s->crop_width, (long long)s->crop_height, (long long)s->width, (long long)s->height);
    if ((plan->height < 0 || plan->height == s->crop_height) && (plan->width < 0 || plan->width == s->crop_width))
        return FINEPRUNE_OK;
    int status = fp_fail(err, FINEPRUNE_DATA, "'%s' becomes %lld x %lld pixels, but the model's input is %s",
                         piece->path, (long long)s->crop_width, (long long)s->crop_height,
                         fp_input_text(text, sizeof(text), piece->input));
    fp_hint(err, "--resize and --crop say how to get there; without both, pictures are resized to the input's size");
    return status;
}

static int image_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index;
    struct plan plan;
    const struct fp_preprocess *p = piece->data->preprocess;
    int status = make_plan(&plan, piece->input, p->layout, piece->path, err);
    if (status) return status;
    const struct sizes s = plan_sizes(p, &plan, piece->extent[0], piece->extent[1]);
    status = check_sizes(&s, &plan, piece, err);
    int n = 0;
    if (!plan.flat && !plan.last) dims[n++] = plan.channels;
    dims[n++] = s.crop_height;
    dims[n++] = s.crop_width;
    if (plan.last) dims[n++] = plan.channels;
    *rank = n;
    return status;
}

// ---- values

// What each of the 256 levels of each channel becomes, in the input's type (at most 8 bytes).
struct levels {
    uint64_t bytes[3][256];
    size_t size;
};

static void fill_levels(struct levels *l, const struct fp_preprocess *p, int channels, enum fp_type type) {
    l->size = fp_type_size(type);
    const bool raw = type == FP_UINT8 || (!p->have_mean && !p->have_std && !p->have_scale);
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < 256; i++) {
            double value = i;
            if (!raw) value = i * p->scale;
            if (!raw && p->have_mean) value -= p->mean[p->n_mean > 1 ? c : 0];
            if (!raw && p->have_std) value /= p->std[p->n_std > 1 ? c : 0];
            if (!fp_type_is_float(type)) {
                double low = 0, high = 255;
                if (type == FP_INT8) low = -128, high = 127;
                if (value < low) value = low;
                if (value > high) value = high;
                value = nearbyint(value);
            }
            fp_convert(&l->bytes[c][i], type, &value, FP_DOUBLE, 1);
        }
}

// Whether the preparation makes other numbers of pixels than 0..255.
static bool changes_pixels(const struct fp_preprocess *p) {
    const bool normal = p->plain || (!p->have_mean && !p->have_std);
    if (normal) return p->have_scale && p->scale != 1;
    bool changes = false;
    for (int i = 0; i < p->n_mean; i++) changes |= p->mean[i] != 0;
    for (int i = 0; i < p->n_std; i++) changes |= fabs(p->scale / p->std[i] - 1) > 1e-6;
    return changes || (!p->n_std && p->scale != 1);
}

static int check_bytes(const struct fp_preprocess *p, const struct fp_input *in, const char *path,
                       fineprune_error *err) {
    if (!changes_pixels(p)) return FINEPRUNE_OK;
    char text[400];
    int status = fp_fail(err, FINEPRUNE_DATA,
                         "'%s': the model's input %s takes pixels as they are, but %s%s%s%s asks for a normalization",
                         path, fp_input_text(text, sizeof(text), in), p->by_option ? "--" : "'",
                         p->asks ? p->asks : "scale", p->by_option ? "" : "' of ",
                         p->by_option ? "" : fp_or_empty(p->path));
    fp_hint(err, "where the model normalizes by itself, a file {\"scale\": 1} for --preprocess says so");
    return status;
}

static int check_values(const struct fp_preprocess *p, const struct fp_input *in, int channels, const char *path,
                        fineprune_error *err) {
    const bool byte = in->type == FP_UINT8 || in->type == FP_INT8;
    if (!fp_type_is_float(in->type) && !byte) {
        char text[400];
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is a picture, but the model's input is %s", path,
                       fp_input_text(text, sizeof(text), in));
    }
    if (in->type == FP_UINT8) return check_bytes(p, in, path, err);
    if ((p->have_mean && p->n_mean > 1 && p->n_mean != channels) ||
        (p->have_std && p->n_std > 1 && p->n_std != channels))
        return fp_fail(err, FINEPRUNE_DATA,
                       "mean and std are given for %d and %d channels, but the model's input '%s' has %d", p->n_mean,
                       p->n_std, in->name, channels);
    if ((p->have_mean && p->have_std) || p->have_scale) return FINEPRUNE_OK;
    const char *missing = "mean and std";
    if (p->have_mean) missing = "std";
    else if (p->have_std) missing = "mean";
    int status = fp_fail(err, FINEPRUNE_DATA, "how '%s' becomes numbers is not known: no %s for the model's input '%s'",
                         path, missing, in->name);
    fp_hint(err,
            "the model's preprocessor_config.json beside it, --preprocess FILE, or --mean and --std (of 0..1; models "
            "trained on ImageNet: --mean "
            "0.485,0.456,0.406 --std 0.229,0.224,0.225; for 0..1 itself: --mean 0 --std 1)");
    return status;
}

// Where what is cut out begins.
static int64_t margin(int64_t side, int64_t crop, bool rounds) {
    if (rounds) return (int64_t)nearbyint((double)(side - crop) / 2); // of halves to the even
    return (side - crop) / 2;
}

static void put_pixels(struct fp_tensor *dst, const struct fp_image *image, const struct sizes *s,
                       const struct levels *levels, const struct fp_preprocess *p, bool last) {
    const int c = image->channels;
    const bool bgr = p->color == FP_BGR;
    const size_t plane = (size_t)(s->crop_height * s->crop_width);
    for (int64_t y = 0; y < s->crop_height; y++)
        for (int64_t x = 0; x < s->crop_width; x++) {
            const uint8_t *pixel = image->pixels + (size_t)(y * s->crop_width + x) * (size_t)c;
            const size_t at = (size_t)(y * s->crop_width + x);
            for (int k = 0; k < c; k++) {
                size_t to = (size_t)k * plane + at;
                int from = k;
                if (last) to = at * (size_t)c + (size_t)k;
                if (bgr) from = c - 1 - k;
                memcpy((char *)dst->data + to * levels->size, &levels->bytes[k][pixel[from]], levels->size);
            }
        }
}

static int decode(struct fp_image *image, const struct fp_piece *piece, const struct plan *plan, const struct sizes *s,
                  struct fp_memory *memory, fineprune_error *err) {
    int status = fp_image_read(image, piece->path, piece->data->no_exif, memory, err);
    if (!status && (image->width != piece->extent[0] || image->height != piece->extent[1]))
        status = fp_fail(err, FINEPRUNE_IO, "'%s' has changed while it was in use", piece->path);
    if (!status) status = fp_stamp_check(&piece->stamp, -1, piece->path, err);
    if (!status && plan->channels == 1) fp_image_to_grey(image);
    if (status) return status;
    const struct fp_preprocess *p = piece->data->preprocess;
    const struct fp_window window = {margin(s->width, s->crop_width, p->crop_rounds),
                                     margin(s->height, s->crop_height, p->crop_rounds), s->crop_width, s->crop_height};
    return fp_image_resize(image, s->width, s->height, p->filter, &window, err);
}

int fp_data_image_decode(const struct fp_piece *piece, struct fp_memory *memory, struct fp_image *out,
                         fineprune_error *err) {
    struct plan plan;
    int status = make_plan(&plan, piece->input, piece->data->preprocess->layout, piece->path, err);
    if (status) return status;
    const struct sizes s = plan_sizes(piece->data->preprocess, &plan, piece->extent[0], piece->extent[1]);
    *out = (struct fp_image){.memory = memory};
    status = check_sizes(&s, &plan, piece, err);
    if (!status) status = decode(out, piece, &plan, &s, memory, err);
    if (status) fp_image_done(out);
    return status;
}

// Decoding a large photo costs more than running many a network, and every run over the samples asks for it again.
static bool may_keep(const struct fp_piece *piece, const struct fp_image *image) {
    const size_t left = fp_memory_left(piece->data->memory) / DECODED_SHARE, used = *piece->data->decoded;
    return used <= DECODED_BYTES && image->size <= DECODED_BYTES - used && image->size <= left;
}

static void keep_or_drop(const struct fp_piece *piece, struct fp_image *image) {
    if (may_keep(piece, image)) {
        *piece->decoded = *image;
        *piece->data->decoded += image->size;
    } else {
        fp_image_done(image);
    }
}

// It came from elsewhere, and so will the next.
static void let_go(struct fp_image *image) {
    fp_release_whole(image->memory, image->pixels, image->size);
    *image = (struct fp_image){0};
}

void fp_data_image_keep(const struct fp_piece *piece, struct fp_image *image) {
    const bool stays = may_keep(piece, image);
    image->once = !stays;
    *piece->decoded = *image;
    if (stays) *piece->data->decoded += image->size;
}

static int image_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    (void)index;
    struct plan plan;
    struct fp_image image = *piece->decoded;
    const struct fp_preprocess *p = piece->data->preprocess;
    const bool kept = image.pixels;
    int status = make_plan(&plan, piece->input, p->layout, piece->path, err);
    if (status) return status;
    const struct sizes s = plan_sizes(p, &plan, piece->extent[0], piece->extent[1]);
    FP_STAGE(room, piece->path);
    struct levels *levels = fp_arena_take(&room, 1, sizeof(*levels));
    status = fp_arena_check(&room, err);
    if (!status && !kept) status = decode(&image, piece, &plan, &s, piece->data->memory, err);
    if (!status) {
        fill_levels(levels, p, plan.channels, dst->type);
        put_pixels(dst, &image, &s, levels, p, plan.last);
    }
    if (kept && image.once) let_go(piece->decoded);
    if (kept) return status;
    if (status) fp_image_done(&image);
    else keep_or_drop(piece, &image);
    return status;
}

// ---- what is told of it, and the way back

static const char *say_side(char *dst, size_t size, int64_t height, int64_t width) {
    if (!width || width == height) snprintf(dst, size, "%lld", (long long)height);
    else snprintf(dst, size, "%lld x %lld", (long long)width, (long long)height);
    return dst;
}

static void tell_size(const struct fp_piece *piece, const struct plan *plan, FILE *out) {
    static const char *const filters[] = {"nearest", "lanczos", "bilinear", "bicubic"};
    const struct fp_preprocess *p = piece->data->preprocess;
    char side[60];
    struct sizes s = plan_sizes(p, plan, piece->extent[0], piece->extent[1]);
    const bool shorter = p->resize_height && !p->resize_width && !p->no_resize;
    const bool cut = s.crop_height != s.height || s.crop_width != s.width || p->crop_height;
    const bool whole = p->resize_width || (!p->no_resize && !p->crop_height && plan->height > 0 && plan->width > 0);
    if (shorter) fprintf(out, ", shorter side %lld %s", (long long)p->resize_height, filters[p->filter]);
    else if (whole && !p->no_resize)
        fprintf(out, ", resized to %s %s", say_side(side, sizeof(side), s.height, s.width), filters[p->filter]);
    else fputs(", not resized", out);
    if (cut) fprintf(out, ", centre %s", say_side(side, sizeof(side), s.crop_height, s.crop_width));
}

static bool are(const double *values, int n, const double *wanted) {
    bool same = n == 3;
    for (int i = 0; i < n && same; i++) same = fabs(values[i] - wanted[i]) < 1e-6;
    return same;
}

static void tell_numbers(FILE *out, const char *name, const double *values, int n) {
    bool one = true;
    for (int i = 1; i < n; i++) one &= values[i] == values[0];
    fprintf(out, ", %s %.6g", name, values[0]);
    for (int i = 1; i < n && !one; i++) fprintf(out, ",%.6g", values[i]);
}

static void tell_values(const struct fp_preprocess *p, enum fp_type type, FILE *out) {
    static const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
    if (type == FP_UINT8) {
        fputs(", pixels as they are", out);
        return;
    }
    if (fabs(p->scale * 255 - 1) < 1e-9) fputs(", x/255", out);
    else if (p->scale != 1) fprintf(out, ", x*%.6g", p->scale);
    const bool moves = p->have_mean && (p->n_mean > 1 || p->mean[0] != 0);
    const bool spreads = p->have_std && (p->n_std > 1 || p->std[0] != 1);
    if (moves && spreads && are(p->mean, p->n_mean, mean) && are(p->std, p->n_std, std)) {
        fputs(", ImageNet mean", out);
        return;
    }
    if (moves) tell_numbers(out, "mean", p->mean, p->n_mean);
    if (spreads) tell_numbers(out, "std", p->std, p->n_std);
}

static void image_tell(const struct fp_piece *piece, FILE *out) {
    struct plan plan;
    const struct fp_preprocess *p = piece->data->preprocess;
    if (make_plan(&plan, piece->input, p->layout, piece->path, NULL)) return;
    tell_size(piece, &plan, out);
    tell_values(p, piece->input->type, out);
    if (plan.channels == 1) fputs(", grey", out);
    else if (p->color == FP_BGR) fputs(", blue first", out);
}

// The inverse of fill_levels.
static void image_view(const struct fp_piece *piece, struct fp_view *view) {
    struct plan plan;
    const struct fp_preprocess *p = piece->data->preprocess;
    if (make_plan(&plan, piece->input, p->layout, piece->path, NULL)) return;
    const bool raw = piece->input->type == FP_UINT8 || (!p->have_mean && !p->have_std && !p->have_scale);
    *view = (struct fp_view){.kind = FP_VIEW_PICTURE, .inverse = true, .channels = plan.channels, .last = plan.last};
    for (int c = 0; c < plan.channels; c++) {
        view->factor[c] = 1;
        if (raw) continue;
        if (p->have_std) view->factor[c] = p->std[p->n_std > 1 ? c : 0] / p->scale;
        else view->factor[c] = 1 / p->scale;
        if (p->have_mean) view->offset[c] = p->mean[p->n_mean > 1 ? c : 0] / p->scale;
    }
    view->reversed = p->color == FP_BGR;
}

static const struct fp_piece_kind IMAGE = {
    .shape = image_shape, .load = image_load, .what = "photos", .tell = image_tell, .view = image_view};

int fp_data_image_piece(struct fp_piece *piece, const struct fineprune_data *data, size_t input, const char *path,
                        fineprune_error *err) {
    struct plan plan;
    const struct fp_input *in = &data->inputs[input];
    int status = make_plan(&plan, in, data->preprocess->layout, path, err);
    if (!status) status = check_values(data->preprocess, in, plan.channels, path, err);
    *piece = (struct fp_piece){
        .kind = &IMAGE, .n = 1, .data = data, .input = in, .mode = plan.mode, .path = (char *)(uintptr_t)path};
    (void)fp_stamp_take(&piece->stamp, -1, path); // what is not there is told by who reads it
    if (!status) status = fp_image_probe(path, data->no_exif, &piece->extent[0], &piece->extent[1], err);
    return status;
}

// Whether all of it can be decoded, and to what the model takes.
static int try_image(struct fineprune_data *data, const struct fp_piece *piece, fineprune_error *err) {
    struct fp_image image = {0};
    if (!fp_data_decodes(data)) {
        int rank;
        int64_t dims[FP_MAX_RANK];
        return image_shape(piece, 0, &rank, dims, err);
    }
    int status = FINEPRUNE_OK;
    if (fp_data_ahead_take(data, piece->path, &image)) {
        fp_data_image_keep(piece, &image);
        if (image.once) let_go(piece->decoded);
        return FINEPRUNE_OK;
    }
    status = fp_data_image_decode(piece, data->memory, &image, err);
    if (!status) keep_or_drop(piece, &image);
    return status;
}

int fp_data_add_image(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    struct fp_piece piece;
    int status = fp_data_only_input(data, &input, path, err);
    if (!status) status = fp_data_preprocess(data, err);
    if (!status) status = fp_data_image_piece(&piece, data, input, path, err);
    if (status) return status;
    if (!data->decoded) data->decoded = fp_calloc(1, sizeof(*data->decoded));
    if (!data->decoded) return fp_fail_memory(err, path, sizeof(*data->decoded));
    piece.path = strdup(path);
    piece.decoded = fp_calloc(1, sizeof(*piece.decoded));
    if (!piece.path || !piece.decoded) status = fp_fail_memory(err, path, strlen(path));
    if (!status) status = try_image(data, &piece, err);
    if (!status) return fp_data_put(data, input, &piece, path, err);
    free(piece.path);
    free(piece.decoded);
    return status;
}
