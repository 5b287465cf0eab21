// SPDX-License-Identifier: Apache-2.0
// Frames are transformed by KissFFT, in float; powers and bands are sums in double.
#include "data/sound_mel.h"

#include <kiss_fft.h>
#include <math.h>

#include "base/arena.h"

#define LEAST_POWER 1e-10

int64_t fp_mel_frames(const struct fp_mel *mel, int64_t samples) {
    const int64_t frames = samples / mel->hop;
    if (mel->log == FP_MEL_WHISPER) return fp_most_int(frames, 1);
    return frames + 1;
}

// ---- filters: triangles over the frequencies, whose corners are equally far apart on the scale

struct filter {
    int64_t first, n; // frequencies that it weights, and
    float *weights;   // how much
};

static double to_mel(double hz, enum fp_mel_norm norm) {
    if (norm == FP_MEL_HTK) return 2595 * log10(1 + hz / 700);
    if (hz < 1000) return hz * 3 / 200;
    return 15 + log(hz / 1000) * 27 / log(6.4);
}

static double to_hz(double mel, enum fp_mel_norm norm) {
    if (norm == FP_MEL_HTK) return 700 * (pow(10, mel / 2595) - 1);
    if (mel < 15) return mel * 200 / 3;
    return 1000 * exp((mel - 15) * log(6.4) / 27);
}

static double corner(const struct fp_mel *mel, double top, int64_t i) {
    const double low = to_mel(mel->low, mel->norm), high = to_mel(top, mel->norm);
    return to_hz(low + (high - low) * (double)i / (double)(mel->bands + 1), mel->norm);
}

static int make_filter(struct filter *f, struct fp_arena *room, const struct fp_mel *mel, int64_t rate, int64_t band,
                       fineprune_error *err) {
    double top = mel->high;
    if (!(top > 0)) top = (double)rate / 2;
    const double left = corner(mel, top, band), peak = corner(mel, top, band + 1), right = corner(mel, top, band + 2);
    const double step = (double)rate / (double)mel->fft;
    const int64_t last = fp_least_int((int64_t)floor(right / step), mel->fft / 2);
    f->first = (int64_t)ceil(left / step);
    f->n = fp_most_int(last - f->first + 1, 0);
    f->weights = fp_arena_take(room, (size_t)fp_most_int(f->n, 1), sizeof(float));
    if (!f->weights) return fp_arena_check(room, err);
    for (int64_t i = 0; i < f->n; i++) {
        const double hz = (double)(f->first + i) * step;
        double weight = fmax(0, fmin((hz - left) / (peak - left), (right - hz) / (right - peak)));
        if (mel->norm == FP_MEL_SLANEY) weight *= 2 / (right - left);
        f->weights[i] = (float)weight;
    }
    return FINEPRUNE_OK;
}

// ---- frames

struct maker {
    kiss_fft_cfg cfg;
    kiss_fft_cpx *frame, *spectrum;
    float *window;
    double *power;
    struct filter *filters;
};

static int maker_init(struct maker *m, struct fp_arena *room, const struct fp_mel *mel, int64_t rate,
                      fineprune_error *err) {
    const size_t fft = (size_t)mel->fft;
    size_t bytes = 0;
    kiss_fft_alloc((int)fft, 0, NULL, &bytes);
    void *memory = fp_arena_take(room, bytes, 1);
    m->frame = fp_arena_take(room, fft, sizeof(*m->frame));
    m->spectrum = fp_arena_take(room, fft, sizeof(*m->spectrum));
    m->window = fp_arena_take(room, fft, sizeof(*m->window));
    m->power = fp_arena_take(room, fft / 2 + 1, sizeof(*m->power));
    m->filters = fp_arena_take(room, (size_t)mel->bands, sizeof(*m->filters));
    int status = fp_arena_check(room, err);
    if (status) return status;
    m->cfg = kiss_fft_alloc((int)fft, 0, memory, &bytes);
    for (size_t i = 0; i < fft; i++) m->window[i] = (float)(.5 - .5 * cos(2 * M_PI * (double)i / (double)fft));
    for (int64_t i = 0; i < mel->bands && !status; i++) status = make_filter(&m->filters[i], room, mel, rate, i, err);
    return status;
}

// Beyond its ends the wave is mirrored, without the last sample again, as often as it must.
static float sample_at(const struct fp_mel_wave *w, int64_t at) {
    const int64_t period = 2 * (w->samples - 1);
    if (period == 0) return w->data[0];
    at %= period;
    if (at < 0) at += period;
    if (at >= w->samples) at = period - at;
    if (at >= w->n) return 0;
    return w->data[at];
}

static void make_frame(const struct maker *m, const struct fp_mel *mel, const struct fp_mel_wave *wave, float *dst,
                       int64_t t, int64_t frames) {
    const int64_t start = t * mel->hop - mel->fft / 2;
    for (int64_t i = 0; i < mel->fft; i++) m->frame[i] = (kiss_fft_cpx){sample_at(wave, start + i) * m->window[i], 0};
    kiss_fft(m->cfg, m->frame, m->spectrum);
    for (int64_t i = 0; i <= mel->fft / 2; i++) {
        const double re = (double)m->spectrum[i].r, im = (double)m->spectrum[i].i;
        m->power[i] = re * re + im * im;
    }
    for (int64_t band = 0; band < mel->bands; band++) {
        const struct filter *f = &m->filters[band];
        double sum = 0;
        for (int64_t i = 0; i < f->n; i++) sum += (double)f->weights[i] * m->power[f->first + i];
        dst[band * frames + t] = (float)sum;
    }
}

static float logarithm(float power, enum fp_mel_log log) {
    const double p = fmax((double)power, LEAST_POWER);
    switch (log) {
    case FP_MEL_POWER: return power;
    case FP_MEL_LN: return (float)(log10(p) * M_LN10);
    case FP_MEL_DB: return (float)(10 * log10(p));
    default: return (float)log10(p);
    }
}

static void scale_as_whisper(float *values, int64_t n) {
    float most = values[0];
    for (int64_t i = 1; i < n; i++) most = fp_most_float(most, values[i]);
    for (int64_t i = 0; i < n; i++) values[i] = (fp_most_float(values[i], most - 8) + 4) / 4;
}

int fp_mel_make(float *dst, int64_t frames, const struct fp_mel *mel, const struct fp_mel_wave *wave, const char *what,
                fineprune_error *err) {
    FP_STAGE(room, what);
    struct maker m;
    int status = maker_init(&m, &room, mel, wave->rate, err);
    if (status) return status;
    const int64_t n = mel->bands * frames;
    for (int64_t t = 0; t < frames; t++) make_frame(&m, mel, wave, dst, t, frames);
    for (int64_t i = 0; i < n; i++) dst[i] = logarithm(dst[i], mel->log);
    if (mel->log == FP_MEL_WHISPER) scale_as_whisper(dst, n);
    return FINEPRUNE_OK;
}
