// SPDX-License-Identifier: Apache-2.0
// How images, sound and files become inputs, as the model's authors did it: read from Hugging Face's
// preprocessor_config.json, timm's config.json, Magika's config.min.json or a file of ours, overridden by options.
#ifndef FP_PREPROCESS_H
#define FP_PREPROCESS_H

#include "data/file_bytes.h"
#include "data/sound_mel.h"

enum fp_filter { FP_NEAREST = 0, FP_LANCZOS = 1, FP_BILINEAR = 2, FP_BICUBIC = 3 }; // Pillow's numbers
enum fp_color { FP_RGB, FP_BGR };
enum fp_layout { FP_LAYOUT_AUTO, FP_NCHW, FP_NHWC };

// A length of sound.
struct fp_span {
    double length; // 0: none was given
    bool seconds;  // else samples at the model's rate
};

struct fp_preprocess {
    char *path; // the file it came from, or NULL
    // Resize to height x width, or, when width is 0, the shorter edge to height. 0 x 0: no resizing, or to the input's
    // size.
    int64_t resize_height, resize_width;
    int64_t crop_height, crop_width; // the middle; 0 x 0: none
    bool no_crop, no_resize;         // said so
    bool crop_rounds;                // where the rest is odd, to the even pixel, as torchvision does; else down
    enum fp_filter filter;
    double scale; // multiplied with 0..255 before mean and std
    bool have_scale, have_mean, have_std;
    bool plain;       // a configuration said that nothing is to be normalized: mean 0 and std 1 are not the user's
    const char *asks; // the last of mean, std and scale that was said, by the name that it has there, or NULL
    bool by_option;   // that was an option
    int n_mean, n_std;
    double mean[4], std[4];
    enum fp_color color;
    enum fp_layout layout;
    int64_t rate;           // of sound, 0: unknown
    int64_t file_rate;      // what the file said, whatever an option does
    bool normalize_sound;   // to zero mean and unit variance, once it is cut to the input's length
    bool normalize_padding; // or filled up with silence, which then counts
    struct fp_span window;  // each recording is cut into these
    struct fp_span hop;     // from where one begins to where the next does
    struct fp_mel mel;      // of sound: what is made of the wave
    struct fp_bytes bytes;  // of files of any kind
};

// options: the texts of fineprune_data_options in the order of data_parts.h, NULL where not given. folder: where the
// model lies.
int fp_preprocess_new(struct fp_preprocess **out, const char *folder, char *const *options, fineprune_error *err);
// Whether the file that would be read says that files of any kind are samples. Tells no error: who needs the file will.
bool fp_preprocess_asks_for_bytes(const char *folder, const char *file);
void fp_preprocess_free(struct fp_preprocess *preprocess);

#endif
