// SPDX-License-Identifier: Apache-2.0
// What the model gets of a sample, for people: as a picture, as sound, or as numbers.
#ifndef FP_DATA_VIEW_H
#define FP_DATA_VIEW_H

#include <stdio.h>

#include "tensor/tensor.h"

enum fp_view_kind { FP_VIEW_NUMBERS, FP_VIEW_PICTURE, FP_VIEW_SOUND };

struct fp_view {
    enum fp_view_kind kind;
    int channels;                // of a picture 1 or 3
    bool last;                   // channels are the last axis
    bool turned;                 // of a spectrogram: bands are the last axis
    bool reversed;               // blue comes first
    bool inverse;                // a pixel is value * factor + offset, of each channel; else from least to greatest
    double factor[3], offset[3]; // in the model's order of channels
    int64_t rate;                // of sound
};

struct fineprune_data;

// How sample `sample` of input number `input`, as fp_data_batch gives it, is shown.
struct fp_view fp_data_view(const struct fineprune_data *data, size_t input, size_t sample, const struct fp_tensor *t);
// The name of its file without folders and ending, into dst; returns dst.
const char *fp_data_stem(const struct fineprune_data *data, size_t input, size_t sample, char *dst, size_t size);
// Writes one sample [1, ...] or a whole input. Errors: LIMIT, IO.
int fp_view_picture(FILE *file, const struct fp_view *view, const struct fp_tensor *t, fineprune_error *err);
int fp_view_sound(FILE *file, const struct fp_view *view, const struct fp_tensor *t, fineprune_error *err);
int fp_view_numbers(FILE *file, const struct fp_tensor *t, fineprune_error *err);

#endif
