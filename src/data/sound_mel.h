// SPDX-License-Identifier: Apache-2.0
// Mel spectrograms: how strong bands of a wave are, frame by frame, as Whisper's feature extractor and librosa make
// them.
#ifndef FP_SOUND_MEL_H
#define FP_SOUND_MEL_H

#include "base/base.h"

enum fp_mel_norm {
    FP_MEL_SLANEY, // Slaney's scale, filters of equal area
    FP_MEL_HTK,    // HTK's scale, filters of height 1
};

// What becomes of a power p, which is 1e-10 at least but where it stays as it is.
enum fp_mel_log {
    FP_MEL_WHISPER, // log10 p, no less than 8 below the greatest, (x + 4) / 4; the last frame is dropped
    FP_MEL_LOG10,
    FP_MEL_LN,
    FP_MEL_DB, // 10 log10 p
    FP_MEL_POWER,
};

struct fp_mel {
    int64_t fft, hop, bands; // fft 0: no spectrogram is made
    int64_t samples;         // the wave is cut or filled up with silence to so many, 0: to what the model's input takes
    double low, high;        // Hz; high 0: half of the rate
    enum fp_mel_norm norm;
    enum fp_mel_log log;
};

// How many frames a wave of so many samples has: one around each hop-th sample, from the first on.
int64_t fp_mel_frames(const struct fp_mel *mel, int64_t samples);

// A wave of n samples at a rate, with silence behind it up to `samples`, which is mirrored at both ends.
struct fp_mel_wave {
    const float *data;
    int64_t n, samples, rate;
};
// The first `frames` frames into dst [bands, frames]. Windows are periodic Hann. what: for messages. Errors: LIMIT.
int fp_mel_make(float *dst, int64_t frames, const struct fp_mel *mel, const struct fp_mel_wave *wave, const char *what,
                fineprune_error *err);

#endif
