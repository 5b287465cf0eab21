// SPDX-License-Identifier: Apache-2.0
// Finding and reading a preparation file. Known members:
//   Hugging Face preprocessor_config.json: do_resize, size, resample, do_center_crop, crop_size, do_rescale,
//   rescale_factor, rescale_offset, do_normalize, image_mean, image_std, include_top, crop_pct, do_flip_channel_order;
//   for sound: sampling_rate, do_normalize, return_attention_mask; of Whisper's: feature_size, n_fft, hop_length,
//   chunk_length. Another do_... that is true is refused
//   timm config.json: pretrained_cfg {input_size, interpolation, crop_pct, crop_mode, mean, std}, or those at the top
//   Magika config.min.json: beg_size, end_size, padding_token, block_size, min_file_size_for_dl
//   ours: resize, crop, mean, std, scale, layout, color, interpolation, rate, feature; of the feature "mel": fft, hop,
//   mels, range, log, norm; of the feature "bytes": head, tail, padding, strip, block, least
#include "data/preprocess.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guess.h"
#include "data/data_parts.h"
#include "onnx/beside.h"

#define MAX_SIDE 65535
#define MAX_FILE (1 << 20)

void fp_preprocess_free(struct fp_preprocess *preprocess) {
    if (!preprocess) return;
    free(preprocess->path);
    free(preprocess);
}

// ---- values, from JSON or from an option

struct reader {
    struct fp_preprocess *p;
    const char *path; // of the file, or NULL for options
    fineprune_error *err;
};

static int fail_value(const struct reader *r, const char *key, const char *wanted) {
    if (!r->path) return fp_fail(r->err, FINEPRUNE_USAGE, "--%s: %s is expected", key, wanted);
    return fp_fail(r->err, FINEPRUNE_DATA, "'%s': '%s': %s is expected", r->path, key, wanted);
}

static bool side(const json_t *value, int64_t *out) {
    if (!json_is_number(value)) return false;
    const double number = json_number_value(value);
    if (!(number >= 1 && number <= MAX_SIDE)) return false;
    *out = (int64_t)number;
    return true;
}

// 224, [256, 192], {"height": 256, "width": 192}, {"shortest_edge": 256}; width 0 for a single number.
static bool size_value(const json_t *value, int64_t *height, int64_t *width) {
    *width = 0;
    if (json_is_array(value) && json_array_size(value) == 2)
        return side(json_array_get(value, 0), height) && side(json_array_get(value, 1), width);
    if (!json_is_object(value)) return side(value, height);
    const json_t *shortest = json_object_get(value, "shortest_edge");
    if (shortest) return side(shortest, height);
    return side(json_object_get(value, "height"), height) && side(json_object_get(value, "width"), width);
}

static bool numbers(const json_t *value, double *dst, int *n) {
    *n = 0;
    if (json_is_number(value)) {
        dst[(*n)++] = json_number_value(value);
        return true;
    }
    if (!json_is_array(value) || json_array_size(value) > 4 || !json_array_size(value)) return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_number(json_array_get(value, i))) return false;
        dst[(*n)++] = json_number_value(json_array_get(value, i));
    }
    return true;
}

static int set_size(struct reader *r, const char *key, const json_t *value, int64_t *height, int64_t *width) {
    if (size_value(value, height, width)) return FINEPRUNE_OK;
    return fail_value(r, key, "a size (224, or a height and a width)");
}

static void note_asked(struct reader *r, const char *key) {
    r->p->asks = key;
    r->p->by_option = !r->path;
    r->p->plain = false;
}

static int set_mean(struct reader *r, const char *key, const json_t *value) {
    note_asked(r, key);
    r->p->have_mean = numbers(value, r->p->mean, &r->p->n_mean);
    if (r->p->have_mean) return FINEPRUNE_OK;
    return fail_value(r, key, "one number per channel");
}

static int set_std(struct reader *r, const char *key, const json_t *value) {
    note_asked(r, key);
    r->p->have_std = numbers(value, r->p->std, &r->p->n_std);
    for (int i = 0; i < r->p->n_std; i++) r->p->have_std = r->p->have_std && r->p->std[i] > 0;
    if (r->p->have_std) return FINEPRUNE_OK;
    return fail_value(r, key, "one positive number per channel");
}

static int set_scale(struct reader *r, const char *key, const json_t *value) {
    note_asked(r, key);
    r->p->scale = json_number_value(value);
    r->p->have_scale = json_is_number(value) && r->p->scale > 0;
    if (r->p->have_scale) return FINEPRUNE_OK;
    return fail_value(r, key, "a positive number");
}

static int set_rate(struct reader *r, const char *key, const json_t *value) {
    const double rate = json_number_value(value);
    if (!json_is_number(value) || !(rate >= 100 && rate <= 1e6))
        return fail_value(r, key, "a rate in samples per second (16000)");
    r->p->rate = (int64_t)rate;
    return FINEPRUNE_OK;
}

static int choose(struct reader *r, const char *key, const json_t *value, const char *const *names, const char *wanted,
                  int *out) {
    const char *text = json_string_value(value);
    for (int i = 0; text && names[i]; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return FINEPRUNE_OK;
        }
    return fail_value(r, key, wanted);
}

static int set_filter(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"nearest", "lanczos", "bilinear", "bicubic", NULL};
    int filter = (int)json_integer_value(value);
    const bool known = json_is_integer(value) && filter >= 0 && filter <= FP_BICUBIC; // Pillow's numbers
    int status = FINEPRUNE_OK;
    if (!known) status = choose(r, key, value, names, "nearest, bilinear, bicubic or lanczos", &filter);
    if (!status) r->p->filter = (enum fp_filter)filter;
    return status;
}

static int set_color(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"rgb", "bgr", NULL};
    int color = 0;
    int status = choose(r, key, value, names, "rgb or bgr", &color);
    r->p->color = (enum fp_color)color;
    return status;
}

static int set_layout(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"auto", "nchw", "nhwc", NULL};
    int layout = 0;
    int status = choose(r, key, value, names, "nchw or nhwc", &layout);
    r->p->layout = (enum fp_layout)layout;
    return status;
}

static int set_resize(struct reader *r, const char *key, const json_t *value) {
    const char *text = json_string_value(value);
    r->p->no_resize = json_is_false(value) || (text && strcmp(text, "none") == 0);
    r->p->resize_height = r->p->resize_width = 0;
    if (r->p->no_resize) return FINEPRUNE_OK;
    return set_size(r, key, value, &r->p->resize_height, &r->p->resize_width);
}

static int set_crop(struct reader *r, const char *key, const json_t *value) {
    const char *text = json_string_value(value);
    r->p->no_crop = json_is_false(value) || (text && strcmp(text, "none") == 0);
    r->p->crop_height = r->p->crop_width = 0;
    if (r->p->no_crop) return FINEPRUNE_OK;
    int status = set_size(r, key, value, &r->p->crop_height, &r->p->crop_width);
    if (!r->p->crop_width) r->p->crop_width = r->p->crop_height;
    return status;
}

static int set_feature(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"wave", "mel", "bytes", NULL};
    int feature = 0;
    return choose(r, key, value, names, "wave, mel or bytes", &feature);
}

// "1s", "500ms", or a number of samples
static int set_span(struct reader *r, const char *key, const json_t *value, struct fp_span *out) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"ms", 0.001}};
    const char *text = json_string_value(value);
    char *end = NULL;
    *out = (struct fp_span){.length = json_number_value(value)};
    bool known = json_is_number(value) && out->length == floor(out->length);
    if (text && ((*text >= '0' && *text <= '9') || *text == '.')) out->length = strtod(text, &end);
    for (size_t i = 0; i < FP_COUNT(units) && end; i++) {
        if (strcmp(end, units[i].name) != 0) continue;
        known = out->seconds = true;
        out->length *= units[i].seconds;
        break;
    }
    if (known && out->length > 0 && out->length <= (out->seconds ? 86400 : 1e9)) return FINEPRUNE_OK;
    return fail_value(r, key, "a length of sound (1s, 500ms, or a whole number of samples)");
}

static int set_window(struct reader *r, const char *key, const json_t *value) {
    return set_span(r, key, value, &r->p->window);
}

static int set_window_hop(struct reader *r, const char *key, const json_t *value) {
    return set_span(r, key, value, &r->p->hop);
}

// ---- mel spectrograms

#define MOST_FFT 65536
#define MOST_BANDS 1024

static bool whole(const json_t *value, int64_t most, int64_t *out) {
    const int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > most) return false;
    *out = number;
    return true;
}

static int set_fft(struct reader *r, const char *key, const json_t *value) {
    if (whole(value, MOST_FFT, &r->p->mel.fft) && r->p->mel.fft % 2 == 0) return FINEPRUNE_OK;
    return fail_value(r, key, "an even number of samples in a frame, up to 65536 (400)");
}

static int set_hop(struct reader *r, const char *key, const json_t *value) {
    if (whole(value, MOST_FFT, &r->p->mel.hop)) return FINEPRUNE_OK;
    return fail_value(r, key, "how many samples lie between frames, up to 65536 (160)");
}

static int set_mels(struct reader *r, const char *key, const json_t *value) {
    if (whole(value, MOST_BANDS, &r->p->mel.bands)) return FINEPRUNE_OK;
    return fail_value(r, key, "a number of bands up to 1024 (80)");
}

static int set_range(struct reader *r, const char *key, const json_t *value) {
    double range[4];
    int n = 0;
    if (numbers(value, range, &n) && n == 2 && range[0] >= 0 && range[1] > range[0] && range[1] <= 1e6) {
        r->p->mel.low = range[0];
        r->p->mel.high = range[1];
        return FINEPRUNE_OK;
    }
    return fail_value(r, key, "the lowest and the highest frequency in Hz ([0, 8000])");
}

static int set_log(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"whisper", "log10", "ln", "db", "none", NULL};
    int log = 0;
    int status = choose(r, key, value, names, "whisper, log10, ln, db or none", &log);
    r->p->mel.log = (enum fp_mel_log)log;
    return status;
}

static int set_norm(struct reader *r, const char *key, const json_t *value) {
    static const char *const names[] = {"slaney", "htk", NULL};
    int norm = 0;
    int status = choose(r, key, value, names, "slaney or htk", &norm);
    r->p->mel.norm = (enum fp_mel_norm)norm;
    return status;
}

// ---- bytes

static int set_count(struct reader *r, const char *key, const json_t *value, int64_t *out) {
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= 0 && *out <= FP_MOST_BYTES) return FINEPRUNE_OK;
    return fail_value(r, key, "a number of bytes, up to 16777216");
}

static int set_head(struct reader *r, const char *key, const json_t *value) {
    return set_count(r, key, value, &r->p->bytes.head);
}

static int set_tail(struct reader *r, const char *key, const json_t *value) {
    return set_count(r, key, value, &r->p->bytes.tail);
}

static int set_block(struct reader *r, const char *key, const json_t *value) {
    return set_count(r, key, value, &r->p->bytes.block);
}

static int set_least(struct reader *r, const char *key, const json_t *value) {
    return set_count(r, key, value, &r->p->bytes.least);
}

static int set_padding(struct reader *r, const char *key, const json_t *value) {
    r->p->bytes.padding = json_integer_value(value);
    if (json_is_integer(value) && r->p->bytes.padding >= -1 && r->p->bytes.padding <= UINT16_MAX) return FINEPRUNE_OK;
    return fail_value(r, key, "a whole number from -1 to 65535 (256)");
}

static int set_strip(struct reader *r, const char *key, const json_t *value) {
    r->p->bytes.strip = json_is_true(value);
    if (json_is_boolean(value)) return FINEPRUNE_OK;
    return fail_value(r, key, "true or false");
}

struct member {
    const char *name;
    int (*set)(struct reader *, const char *, const json_t *);
};

static int read_members(struct reader *r, const json_t *root, const struct member *members) {
    int status = FINEPRUNE_OK;
    for (; members->name && !status; members++) {
        const json_t *value = json_object_get(root, members->name);
        if (value && !json_is_null(value)) status = members->set(r, members->name, value);
    }
    return status;
}

// ---- the three kinds of file

static const struct member OURS[] = {
    {"resize", set_resize}, {"crop", set_crop},       {"mean", set_mean},   {"std", set_std},
    {"scale", set_scale},   {"layout", set_layout},   {"color", set_color}, {"interpolation", set_filter},
    {"rate", set_rate},     {"feature", set_feature}, {NULL, NULL},
};
static const struct member MEL[] = {
    {"fft", set_fft}, {"hop", set_hop},   {"mels", set_mels}, {"range", set_range},
    {"log", set_log}, {"norm", set_norm}, {NULL, NULL},
};

static const struct member BYTES[] = {
    {"head", set_head},   {"tail", set_tail}, {"padding", set_padding}, {"strip", set_strip}, {"block", set_block},
    {"least", set_least}, {NULL, NULL},
};

static bool is_feature(const json_t *root, const char *name) {
    const char *feature = json_string_value(json_object_get(root, "feature"));
    return feature && !strcmp(feature, name);
}

// The members that a feature adds to ours.
static const struct member *of_feature(const json_t *root) {
    static const struct member none[] = {{NULL, NULL}};
    if (is_feature(root, "mel")) return MEL;
    if (is_feature(root, "bytes")) return BYTES;
    return none;
}

static int read_mel(struct reader *r, const json_t *root) {
    r->p->mel.log = FP_MEL_LOG10;
    for (const struct member *m = MEL; m->set != set_range; m++)
        if (!json_object_get(root, m->name))
            return fp_fail(r->err, FINEPRUNE_DATA, "'%s': the feature 'mel' needs '%s'", r->path, m->name);
    return read_members(r, root, MEL);
}

#define USUAL_BLOCK 4096

static int settle_bytes(struct reader *r) {
    struct fp_bytes *b = &r->p->bytes;
    const int64_t longer = fp_most_int(b->head, b->tail);
    if (!longer) return fp_fail(r->err, FINEPRUNE_DATA, "'%s' takes no bytes of a file", r->path);
    if (!b->block) b->block = fp_most_int(longer, USUAL_BLOCK);
    if (b->block < longer)
        return fp_fail(r->err, FINEPRUNE_DATA, "'%s' takes %lld bytes out of a block of %lld", r->path,
                       (long long)longer, (long long)b->block);
    if (b->least <= (b->head ? b->head : b->tail)) return FINEPRUNE_OK;
    return fp_fail(r->err, FINEPRUNE_DATA, "'%s' wants %lld bytes left of %lld", r->path, (long long)b->least,
                   (long long)(b->head ? b->head : b->tail));
}

static int read_bytes(struct reader *r, const json_t *root) {
    r->p->bytes.least = 1;
    if (!json_object_get(root, "padding"))
        return fp_fail(r->err, FINEPRUNE_DATA, "'%s': the feature 'bytes' needs 'padding'", r->path);
    int status = read_members(r, root, BYTES);
    if (!status) status = settle_bytes(r);
    return status;
}

static int read_ours(struct reader *r, const json_t *root) {
    int status = read_members(r, root, OURS);
    if (!status && is_feature(root, "mel")) status = read_mel(r, root);
    if (!status && is_feature(root, "bytes")) status = read_bytes(r, root);
    return status;
}

// Its numbers are those of the package's features; white space is always taken away.
static bool is_magika(const json_t *root) {
    return json_is_integer(json_object_get(root, "beg_size")) && json_is_integer(json_object_get(root, "end_size")) &&
           json_is_integer(json_object_get(root, "padding_token"));
}

static int read_magika(struct reader *r, const json_t *root) {
    static const struct member members[] = {
        {"beg_size", set_head},
        {"end_size", set_tail},
        {"padding_token", set_padding},
        {"block_size", set_block},
        {"min_file_size_for_dl", set_least},
        {NULL, NULL},
    };
    const char *odd = NULL;
    if (json_integer_value(json_object_get(root, "mid_size"))) odd = "mid_size";
    if (json_is_true(json_object_get(root, "use_inputs_at_offsets"))) odd = "use_inputs_at_offsets";
    if (odd) return fp_fail(r->err, FINEPRUNE_DATA, "'%s' asks for '%s', which is not done here", r->path, odd);
    r->p->bytes.strip = true;
    int status = read_members(r, root, members);
    if (!status) status = settle_bytes(r);
    return status;
}

static bool said_no(const json_t *root, const char *key) { return json_is_false(json_object_get(root, key)); }

static int refuse_spectrogram(struct reader *r, const json_t *root) {
    const char *type = json_string_value(json_object_get(root, "feature_extractor_type"));
    const bool bins = json_is_number(json_object_get(root, "num_mel_bins")) ||
                      (json_is_integer(json_object_get(root, "feature_size")) &&
                       json_integer_value(json_object_get(root, "feature_size")) > 1);
    if (!bins) return FINEPRUNE_OK;
    if (!type) type = "num_mel_bins";
    int status = fp_fail(r->err, FINEPRUNE_DATA, "'%s' asks for spectrograms (%s), which are not made from sound files",
                         r->path, type);
    fp_hint(r->err, "prepare them and give them as .npy or .npz");
    return status;
}

static bool is_whisper(const json_t *root) {
    const char *type = json_string_value(json_object_get(root, "feature_extractor_type"));
    return type && !strcmp(type, "WhisperFeatureExtractor");
}

// Its frequencies and the way of its values stand in no file.
static int read_whisper(struct reader *r, const json_t *root) {
    static const struct member members[] = {{"feature_size", set_mels},
                                            {"n_fft", set_fft},
                                            {"hop_length", set_hop},
                                            {"sampling_rate", set_rate},
                                            {NULL, NULL}};
    struct fp_mel *mel = &r->p->mel;
    const json_t *seconds = json_object_get(root, "chunk_length");
    const char *padding_side = json_string_value(json_object_get(root, "padding_side")), *odd = NULL;
    int64_t length = 30;
    *mel = (struct fp_mel){.fft = 400, .hop = 160, .bands = 80, .high = 8000};
    r->p->rate = 16000;
    int status = read_members(r, root, members);
    if (status) return status;
    if (seconds && !whole(seconds, 3600, &length)) return fail_value(r, "chunk_length", "a number of seconds (30)");
    mel->samples = length * r->p->rate;
    if (json_number_value(json_object_get(root, "dither")) > 0) odd = "dither";
    if (json_number_value(json_object_get(root, "padding_value")) != 0) odd = "padding_value";
    if (padding_side && strcmp(padding_side, "right") != 0) odd = "padding_side";
    if (!odd) return FINEPRUNE_OK;
    return fp_fail(r->err, FINEPRUNE_DATA, "'%s' asks for another '%s' than Whisper's, which is not done here", r->path,
                   odd);
}

static int read_sound(struct reader *r, const json_t *root) {
    if (is_whisper(root)) return read_whisper(r, root);
    int status = refuse_spectrogram(r, root);
    if (!status) status = set_rate(r, "sampling_rate", json_object_get(root, "sampling_rate"));
    r->p->normalize_sound = json_is_true(json_object_get(root, "do_normalize"));
    r->p->normalize_padding = !json_is_true(json_object_get(root, "return_attention_mask"));
    return status;
}

static bool said_yes(const json_t *root, const char *key) { return json_is_true(json_object_get(root, key)); }

// What is not done here and would make other pixels.
static int refuse_unknown_steps(struct reader *r, const json_t *root) {
    static const char *const known[] = {"do_resize",        "do_center_crop",        "do_rescale",
                                        "do_normalize",     "do_convert_rgb",        "do_flip_channel_order",
                                        "do_reduce_labels", "do_convert_annotations"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        bool is_known = strncmp(key, "do_", 3) != 0 || !json_is_true(value);
        for (size_t i = 0; i < FP_COUNT(known); i++) is_known |= strcmp(key, known[i]) == 0;
        if (is_known) continue;
        int status = fp_fail(r->err, FINEPRUNE_DATA, "'%s' asks for '%s', which is not done here", r->path, key);
        fp_hint(r->err, "prepare the pictures so and give them as .npy or .npz");
        return status;
    }
    const json_t *size = json_object_get(root, "size");
    if (!json_object_get(size, "longest_edge") || said_no(root, "do_resize")) return FINEPRUNE_OK;
    int status = fp_fail(r->err, FINEPRUNE_DATA, "'%s' asks for a longest edge, which is not done here", r->path);
    fp_hint(r->err, "prepare the pictures so and give them as .npy or .npz");
    return status;
}

// ConvNeXt: from 384 on both edges; below, the shorter edge becomes size / crop_pct, then the middle is cut out.
static void crop_by_part(struct fp_preprocess *p, double part) {
    if (!(part > 0 && part <= 1) || p->resize_width || !p->resize_height) return;
    if (p->resize_height >= 384) {
        p->resize_width = p->resize_height;
        return;
    }
    p->crop_height = p->crop_width = p->resize_height;
    p->no_crop = false;
    p->resize_height = (int64_t)((double)p->resize_height / part);
}

static void no_normalization(struct fp_preprocess *p) {
    p->plain = true;
    p->have_mean = p->have_std = true;
    p->n_mean = p->n_std = 1;
    p->mean[0] = 0;
    p->std[0] = 1;
}

// What single families of models have.
static void read_habits(struct fp_preprocess *p, const json_t *root) {
    const char *type = json_string_value(json_object_get(root, "image_processor_type"));
    if (!type) type = json_string_value(json_object_get(root, "feature_extractor_type"));
    if (said_yes(root, "do_flip_channel_order")) p->color = FP_BGR;
    if (json_object_get(root, "do_flip_channel_order") && !p->have_mean) no_normalization(p); // MobileViT has none
    if (said_yes(root, "rescale_offset")) // 0..2 by rescale_factor, then 1 less
        for (int i = 0; i < p->n_mean; i++) p->mean[i] += 1;
    if (said_yes(root, "include_top")) // EfficientNet: divided twice
        for (int i = 0; i < p->n_std; i++) p->std[i] *= p->std[i];
    if (type && !strncmp(type, "Levit", 5) && p->resize_height && !p->resize_width)
        p->resize_height = (int64_t)(256.0 / 224 * (double)p->resize_height);
}

static int read_hugging_face(struct reader *r, const json_t *root) {
    static const struct member members[] = {{"size", set_resize},
                                            {"resample", set_filter},
                                            {"crop_size", set_crop},
                                            {"image_mean", set_mean},
                                            {"image_std", set_std},
                                            {"rescale_factor", set_scale},
                                            {NULL, NULL}};
    if (json_object_get(root, "sampling_rate") || is_whisper(root)) return read_sound(r, root);
    struct fp_preprocess *p = r->p;
    int status = refuse_unknown_steps(r, root);
    if (!status) status = read_members(r, root, members);
    if (said_no(root, "do_resize")) p->no_resize = true;
    if (said_no(root, "do_center_crop") || !json_object_get(root, "do_center_crop")) p->no_crop = true;
    if (p->no_crop) p->crop_height = p->crop_width = 0;
    if (said_no(root, "do_normalize")) no_normalization(p);
    if (said_no(root, "do_rescale")) p->have_scale = true, p->scale = 1;
    // a bare number is the shorter edge where the middle is cut out afterwards, else both edges
    const json_t *part = json_object_get(root, "crop_pct");
    if (p->no_crop && !part && json_is_number(json_object_get(root, "size"))) p->resize_width = p->resize_height;
    if (!said_no(root, "do_resize")) crop_by_part(p, json_number_value(part));
    read_habits(p, root);
    return status;
}

static int read_timm(struct reader *r, const json_t *cfg) {
    static const struct member members[] = {
        {"interpolation", set_filter}, {"mean", set_mean}, {"std", set_std}, {NULL, NULL}};
    int status = read_members(r, cfg, members);
    const json_t *size = json_object_get(cfg, "input_size");
    if (status || !size) return status;
    if (!side(json_array_get(size, 1), &r->p->crop_height) || !side(json_array_get(size, 2), &r->p->crop_width))
        return fail_value(r, "input_size", "[channels, height, width]");
    double pct = json_number_value(json_object_get(cfg, "crop_pct"));
    if (!(pct > 0 && pct <= 1)) pct = 0.875;
    const char *mode = json_string_value(json_object_get(cfg, "crop_mode"));
    const int64_t shorter = fp_least_int(r->p->crop_height, r->p->crop_width);
    r->p->crop_rounds = true;
    r->p->resize_height = (int64_t)floor((double)shorter / pct);
    if (!mode || strcmp(mode, "center") == 0) return FINEPRUNE_OK;
    if (strcmp(mode, "squash") != 0) return fail_value(r, "crop_mode", "center or squash");
    r->p->resize_height = (int64_t)floor((double)r->p->crop_height / pct);
    r->p->resize_width = (int64_t)floor((double)r->p->crop_width / pct);
    return FINEPRUNE_OK;
}

// A member of ours that is written otherwise would be left out without a word. "_..." is a remark.
static int refuse_unknown_members(struct reader *r, const json_t *root) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        bool known = key[0] == '_';
        for (const struct member *m = OURS; m->name; m++) known |= strcmp(m->name, key) == 0;
        for (const struct member *m = of_feature(root); m->name; m++) known |= strcmp(m->name, key) == 0;
        if (known) continue;
        struct fp_guess guess = {.word = key};
        for (const struct member *m = OURS; m->name; m++) fp_guess_offer(&guess, m->name);
        for (const struct member *m = of_feature(root); m->name; m++) fp_guess_offer(&guess, m->name);
        int status = fp_fail(r->err, FINEPRUNE_DATA, "'%s': '%s' is no member of a preparation", r->path, key);
        if (guess.best) fp_hint(r->err, "did you mean '%s'?", guess.best);
        else
            fp_hint(r->err,
                    "known are resize, crop, mean, std, scale, layout, color, interpolation, rate and feature, and "
                    "the files of Hugging Face (preprocessor_config.json) and timm (config.json)");
        return status;
    }
    return FINEPRUNE_OK;
}

static int read_root(struct reader *r, const json_t *root) {
    const json_t *timm = json_object_get(root, "pretrained_cfg");
    if (json_is_object(timm)) return read_timm(r, timm);
    if (json_object_get(root, "input_size") && json_object_get(root, "interpolation")) return read_timm(r, root);
    if (json_object_get(root, "image_mean") || json_object_get(root, "do_resize") ||
        json_object_get(root, "image_processor_type") || json_object_get(root, "feature_extractor_type") ||
        json_object_get(root, "sampling_rate"))
        return read_hugging_face(r, root);
    if (is_magika(root)) return read_magika(r, root);
    int status = refuse_unknown_members(r, root);
    if (status) return status;
    return read_ours(r, root);
}

// Parsed, a file takes some thirty times its size; a pipe without a writer would be waited for.
#define LARGEST ((off_t)1 << 20)

static bool is_small(const char *path) {
    struct stat st;
    return stat(path, &st) || (S_ISREG(st.st_mode) && st.st_size <= LARGEST);
}

static int read_file(struct fp_preprocess *p, const char *path, fineprune_error *err) {
    json_error_t error;
    if (!is_small(path))
        return fp_fail(err, FINEPRUNE_DATA, "the preparation file '%s' is no regular file of at most %lld bytes", path,
                       (long long)LARGEST);
    json_t *root = json_load_file(path, 0, &error);
    if (!root && error.line < 0)
        return fp_fail(err, FINEPRUNE_IO, "cannot read the preparation file '%s': %s", path, error.text);
    if (!root)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is not a JSON object: line %d: %s", path, error.line, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is not a JSON object: line 1: another value", path);
    }
    struct reader r = {p, path, err};
    int status = read_root(&r, root);
    json_decref(root);
    p->path = NULL;
    if (status) return status;
    p->path = strdup(path);
    if (p->path) return FINEPRUNE_OK;
    return fp_fail_memory(err, "a path", strlen(path));
}

// ---- options

// "224", "256x192", "0.5,0.5,0.5" or a word, as JSON.
static json_t *option_value(const char *text) {
    double number[4];
    int n = 0;
    for (const char *at = text;; at++) {
        char *end;
        number[n] = strtod(at, &end);
        if (end == at || n == 3 || (*end && *end != ',' && *end != 'x')) break;
        n++;
        at = end;
        if (!*end) {
            json_t *array = n == 1 ? json_real(number[0]) : json_array();
            for (int i = 0; i < n && n > 1; i++) json_array_append_new(array, json_real(number[i]));
            return array;
        }
    }
    return json_string(text);
}

static int read_options(struct fp_preprocess *p, char *const *options, fineprune_error *err) {
    static const struct {
        int option;
        struct member member;
    } table[] = {
        {FP_OPTION_RESIZE, {"resize", set_resize}},     {FP_OPTION_CROP, {"crop", set_crop}},
        {FP_OPTION_MEAN, {"mean", set_mean}},           {FP_OPTION_STD, {"std", set_std}},
        {FP_OPTION_LAYOUT, {"layout", set_layout}},     {FP_OPTION_RATE, {"rate", set_rate}},
        {FP_OPTION_RESAMPLE, {"resample", set_filter}}, {FP_OPTION_COLOR, {"color", set_color}},
        {FP_OPTION_WINDOW, {"window", set_window}},     {FP_OPTION_HOP, {"hop", set_window_hop}},
    };
    struct reader r = {p, NULL, err};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < FP_COUNT(table) && !status; i++) {
        if (!options[table[i].option]) continue;
        json_t *value = option_value(options[table[i].option]);
        if (value) status = table[i].member.set(&r, table[i].member.name, value);
        else status = fp_fail_memory(err, "an option", 100);
        json_decref(value);
    }
    if (!status && p->hop.length > 0 && !(p->window.length > 0))
        status = fp_fail(err, FINEPRUNE_USAGE, "--hop says how far windows of sound lie apart, and needs --window");
    return status;
}

// ---- all of it

static bool is_timm(const json_t *root) { return json_is_object(json_object_get(root, "pretrained_cfg")); }

// What is in the file, NULL where that is nothing.
static json_t *peek(const char *path) {
    if (!is_small(path)) return NULL;
    return json_load_file(path, 0, NULL);
}

static bool is_preparation(const char *path, unsigned uses) {
    if (access(path, R_OK)) return false;
    if (uses & FP_BESIDE_PREPARATION) return true;
    if (!(uses & (FP_BESIDE_TIMM | FP_BESIDE_MAGIKA))) return false;
    json_t *root = peek(path);
    const bool found = uses & FP_BESIDE_TIMM ? is_timm(root) : is_magika(root);
    json_decref(root);
    return found;
}

// The file that lies beside the model, to be freed; NULL where there is none.
static int find_file(char **out, const char *folder, fineprune_error *err) {
    *out = NULL;
    for (int up = 0; up < 2; up++)
        for (const struct fp_beside *b = fp_beside_files; b->name; b++) {
            char *path = fp_beside_path(folder, up, b->name);
            if (!path) return fp_fail_memory(err, "a path", strlen(folder));
            *out = path;
            if (is_preparation(path, b->uses)) return FINEPRUNE_OK;
            *out = NULL;
            free(path);
        }
    return FINEPRUNE_OK;
}

bool fp_preprocess_asks_for_bytes(const char *folder, const char *file) {
    char *found = NULL;
    if (!file && find_file(&found, folder, NULL)) return false;
    json_t *root = NULL;
    if (file || found) root = peek(file ? file : found);
    const bool asks = is_magika(root) || is_feature(root, "bytes");
    json_decref(root);
    free(found);
    return asks;
}

// Mean and std of pixels that nobody brings to 0..1 first, as Caffe's and OpenVINO's models have them (123.7, 58.4):
// no mean of 0..1 is beyond 1, and no spread beyond 8 would leave anything of a picture.
static void find_range(struct fp_preprocess *p) {
    bool wide = false;
    for (int i = 0; i < p->n_mean; i++) wide |= p->mean[i] > 1;
    for (int i = 0; i < p->n_std; i++) wide |= p->std[i] > 8;
    if (wide && !p->have_scale) p->scale = 1;
}

int fp_preprocess_new(struct fp_preprocess **out, const char *folder, char *const *options, fineprune_error *err) {
    struct fp_preprocess *p = fp_calloc(1, sizeof(*p));
    if (!p) return fp_fail_memory(err, "the preparation", sizeof(*p));
    p->filter = FP_BILINEAR;
    p->scale = 1.0 / 255;
    char *found = NULL;
    const char *file = options[FP_OPTION_PREPROCESS];
    int status = FINEPRUNE_OK;
    if (!file) status = find_file(&found, folder, err);
    if (found) file = found;
    if (!status && file) status = read_file(p, file, err);
    free(found);
    p->file_rate = p->rate;
    if (!status) status = read_options(p, options, err);
    if (!status) find_range(p);
    if (status) fp_preprocess_free(p);
    else *out = p;
    return status;
}
