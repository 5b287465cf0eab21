// SPDX-License-Identifier: Apache-2.0
// Sound files as samples: decoded (libsndfile), mixed to one channel unless the input has more, brought to the model's
// rate (libsamplerate) and, when the input has a fixed length, cut or filled with silence at the end. Inputs are
// [samples, time], [samples, channels, time], [samples, time, channels] or [time]; of mel spectrograms (sound_mel.h)
// [samples, bands, frames], [samples, 1, bands, frames], [bands, frames], or bands last. A recording may be cut into
// windows, each of which is then as a file of its own: those that fit into it whole, one each hop; what is left behind
// the last of them belongs to none, and a recording shorter than a window is one, filled up with silence.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <samplerate.h>
#include <sndfile.h>

#include "data/data_parts.h"
#include "data/preprocess.h"

#define MAX_FRAMES (INT64_C(1) << 28) // over four hours at 16 kHz
#define MAX_CHANNELS 64
#define FRAMES_BELIEVED (INT64_C(1) << 20) // some MB

struct plan {
    enum fp_piece_mode mode;
    int channels;
    bool axis, last;          // there is an axis of channels, and it is the last; or of bands
    int64_t time;             // fixed length or number of frames, -1 when symbolic
    const struct fp_mel *mel; // NULL: a wave
};

static bool few(int64_t n) { return n >= 1 && n <= 8; }

static int make_mel_plan(struct plan *plan, const struct fp_mel *mel, const struct fp_input *in, const char *path,
                         fineprune_error *err) {
    *plan = (struct plan){.mode = FP_ROWS, .channels = 1, .mel = mel, .axis = in->rank == 4};
    if (in->rank == 2) plan->mode = FP_WHOLE;
    bool fits = fp_type_is_float(in->type) && in->rank >= 2 && in->rank <= 4;
    if (fits && plan->axis) fits = in->dims[1] == 1 || in->dims[1] < 0;
    if (fits) {
        const int64_t *two = in->dims + in->rank - 2;
        plan->last = two[0] != mel->bands && two[1] == mel->bands;
        fits = plan->last || two[0] == mel->bands || two[0] < 0;
        plan->time = two[!plan->last];
    }
    char text[400];
    if (!fits)
        return fp_fail(err, FINEPRUNE_DATA,
                       "'%s' is sound that becomes a spectrogram of %lld bands, but the model's input %s takes none",
                       path, (long long)mel->bands, fp_input_text(text, sizeof(text), in));
    const int64_t frames = mel->samples ? fp_mel_frames(mel, mel->samples) : plan->time;
    if (plan->time < 0 || plan->time == frames) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "'%s' becomes %lld frames, but the model's input is %s", path,
                   (long long)frames, fp_input_text(text, sizeof(text), in));
}

static int make_plan(struct plan *plan, const struct fp_preprocess *p, const struct fp_input *in, const char *path,
                     fineprune_error *err) {
    if (p->mel.fft) return make_mel_plan(plan, &p->mel, in, path, err);
    *plan = (struct plan){.mode = FP_ROWS, .channels = 1};
    if (in->rank == 1) plan->mode = FP_WHOLE;
    const bool type_ok = fp_type_is_float(in->type) || in->type == FP_INT16;
    bool shape_ok = in->rank == 1 || in->rank == 2;
    if (shape_ok) plan->time = in->dims[in->rank - 1];
    if (in->rank == 3) {
        plan->axis = true;
        plan->last = !few(in->dims[1]) && few(in->dims[2]);
        shape_ok = plan->last || few(in->dims[1]);
        int64_t channels = in->dims[1];
        plan->time = in->dims[2];
        if (plan->last) {
            channels = in->dims[2];
            plan->time = in->dims[1];
        }
        plan->channels = 0;
        if (shape_ok) plan->channels = (int)channels;
    }
    if (shape_ok && type_ok) return FINEPRUNE_OK;
    char text[400];
    return fp_fail(err, FINEPRUNE_DATA, "'%s' is sound, but the model's input %s is not a wave of floats or int16",
                   path, fp_input_text(text, sizeof(text), in));
}

static int64_t resampled(int64_t frames, int from, int64_t to) {
    if (from == to) return frames;
    return (frames * to + from - 1) / from;
}

// ---- windows

struct windows {
    int64_t length, hop; // at the model's rate; 0: the recording is one sample
    int64_t frames;      // of the file in each
};

static int64_t span_samples(struct fp_span span, int64_t rate) {
    double samples = span.length;
    if (span.seconds) samples = fmax(nearbyint(span.length * (double)rate), 1);
    return (int64_t)fmin(samples, (double)MAX_FRAMES);
}

static struct windows windows_of(const struct fp_preprocess *p, int rate) {
    struct windows w = {0};
    if (!(p->window.length > 0)) return w;
    w.length = w.hop = span_samples(p->window, p->rate);
    if (p->hop.length > 0) w.hop = span_samples(p->hop, p->rate);
    w.frames = (w.length * rate + p->rate - 1) / p->rate;
    return w;
}

// Where a window begins in the file.
static int64_t window_begin(const struct windows *w, size_t index, int rate, int64_t to) {
    return (int64_t)index * w->hop * rate / to;
}

// The greatest n for which the last one, number n - 1, ends within the file.
static int64_t window_count(const struct windows *w, int64_t frames, int rate, int64_t to) {
    if (frames <= w->frames) return 1;
    return ((frames - w->frames + 1) * to - 1) / (w->hop * rate) + 1;
}

static int64_t plan_time(const struct plan *plan, const struct fp_piece *piece) {
    if (plan->time >= 0) return plan->time;
    if (piece->windows) return windows_of(piece->data->preprocess, piece->rate).length;
    return resampled(piece->extent[0], piece->rate, piece->data->preprocess->rate);
}

// Samples of the wave, once it is cut or filled up.
static int64_t mel_samples(const struct plan *plan, const struct fp_piece *piece) {
    if (plan->mel->samples) return plan->mel->samples;
    if (plan->time >= 0) return plan->time * plan->mel->hop;
    return plan_time(plan, piece);
}

static int64_t mel_frames(const struct plan *plan, const struct fp_piece *piece) {
    if (plan->time >= 0) return plan->time;
    return fp_mel_frames(plan->mel, mel_samples(plan, piece));
}

static int mel_shape(const struct plan *plan, const struct fp_piece *piece, int *rank, int64_t *dims) {
    int n = 0;
    if (plan->axis) dims[n++] = 1;
    dims[n + plan->last] = plan->mel->bands;
    dims[n + !plan->last] = mel_frames(plan, piece);
    *rank = n + 2;
    return FINEPRUNE_OK;
}

static int sound_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index;
    struct plan plan;
    int status = make_plan(&plan, piece->data->preprocess, piece->input, piece->path, err);
    if (status) return status;
    if (plan.mel) return mel_shape(&plan, piece, rank, dims);
    int n = 0;
    if (plan.axis && !plan.last) dims[n++] = plan.channels;
    dims[n++] = plan_time(&plan, piece);
    if (plan.last) dims[n++] = plan.channels;
    *rank = n;
    return FINEPRUNE_OK;
}

// ---- decoding

// A wave in memory, channels together.
struct wave {
    float *data;
    size_t size; // bytes
    int64_t frames;
    int channels;
    struct fp_memory *memory;
    const char *path; // for messages
};

static int wave_new(struct wave *w, int64_t frames, int channels, struct fp_memory *memory, const char *path,
                    fineprune_error *err) {
    size_t count;
    const int64_t dims[2] = {frames, channels};
    *w = (struct wave){.frames = frames, .channels = channels, .memory = memory, .path = path};
    const bool fits = fp_product(2, dims, &count) && fp_mul(count, sizeof(float), &w->size);
    if (fits) w->data = fp_take(memory, w->size);
    if (!w->data) return fp_fail_memory(err, path, w->size);
    memset(w->data, 0, w->size);
    return FINEPRUNE_OK;
}

static void wave_done(struct wave *w) {
    fp_release(w->memory, w->data, w->size);
    w->data = NULL;
}

// libsndfile takes what is there of a file that is cut short, and says so in its log alone.
static bool is_cut(SNDFILE *file) {
    static const char *const chunks[] = {"data", "SSND", "Data Size", "FORM", "RIFF", "riff"};
    char log[4096] = "";
    sf_command(file, SFC_GET_LOG_INFO, log, sizeof(log));
    for (char *rest = NULL, *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *said = strchr(line, ':'), *there = strstr(line, "(should be ");
        bool known = false;
        for (size_t i = 0; i < FP_COUNT(chunks); i++) known |= strstr(line, chunks[i]) != NULL;
        if (!known || !said || !there) continue;
        const long long claims = strtoll(said + 1, NULL, 10), has = strtoll(there + 11, NULL, 10);
        // a stream does not know its length when it begins, and says 0 or the greatest number
        if (claims > has && claims < 0x7ffff000) return true;
    }
    return false;
}

static int open_sound(SNDFILE **out, SF_INFO *info, const char *path, fineprune_error *err) {
    *info = (SF_INFO){0};
    *out = sf_open(path, SFM_READ, info);
    if (!*out)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is not sound that can be decoded: %s", path, sf_strerror(NULL));
    if (is_cut(*out)) {
        sf_close(*out);
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is cut short: it has less sound than its header says", path);
    }
    if (info->frames > 0 && info->frames <= MAX_FRAMES && info->channels > 0 && info->channels <= MAX_CHANNELS &&
        info->samplerate > 0)
        return FINEPRUNE_OK;
    sf_close(*out);
    return fp_fail(err, FINEPRUNE_DATA, "'%s' has %lld frames of %d channels at %d Hz, which is not supported", path,
                   (long long)info->frames, info->channels, info->samplerate);
}

static int fail_end(const struct fp_piece *piece, int64_t frames, fineprune_error *err) {
    return fp_fail(err, FINEPRUNE_DATA, "'%s' ends before its %lld frames", piece->path, (long long)frames);
}

// A header may claim what it likes: before much is taken for it, its last frame must be there.
static int check_end(SNDFILE *file, const struct fp_piece *piece, int64_t frames, fineprune_error *err) {
    float last[MAX_CHANNELS];
    const bool there = sf_seek(file, frames - 1, SEEK_SET) == frames - 1 && sf_readf_float(file, last, 1) == 1;
    if (there && sf_seek(file, 0, SEEK_SET) == 0) return FINEPRUNE_OK;
    return fail_end(piece, frames, err);
}

// Frames of the file from `begin` on; fewer where it ends before.
static int read_wave(struct wave *w, const struct fp_piece *piece, int64_t begin, int64_t frames,
                     fineprune_error *err) {
    SNDFILE *file;
    SF_INFO info;
    int status = open_sound(&file, &info, piece->path, err);
    if (status) return status;
    if (info.frames != piece->extent[0] || info.channels != piece->extent[1] || info.samplerate != piece->rate)
        status = fp_fail(err, FINEPRUNE_IO, "'%s' has changed while it was in use", piece->path);
    frames = fp_least_int(frames, info.frames - begin);
    if (!status && frames >= FRAMES_BELIEVED) status = check_end(file, piece, info.frames, err);
    if (!status && begin && sf_seek(file, begin, SEEK_SET) != begin) status = fail_end(piece, info.frames, err);
    if (!status) status = wave_new(w, frames, info.channels, piece->data->memory, piece->path, err);
    if (!status && sf_readf_float(file, w->data, frames) != frames) {
        status = fail_end(piece, info.frames, err);
        wave_done(w);
    }
    sf_close(file);
    if (status) return status;
    status = fp_stamp_check(&piece->stamp, -1, piece->path, err);
    if (status) wave_done(w);
    return status;
}

// ---- preparing

static void mix(struct wave *w) {
    const int c = w->channels;
    for (int64_t i = 0; i < w->frames && c > 1; i++) {
        double sum = 0;
        for (int k = 0; k < c; k++) sum += (double)w->data[i * c + k];
        w->data[i] = (float)(sum / c);
    }
    w->channels = 1;
}

static int resample(struct wave *w, int from, int64_t to, const char *path, fineprune_error *err) {
    if (from == to) return FINEPRUNE_OK;
    struct wave out;
    int status = wave_new(&out, resampled(w->frames, from, to), w->channels, w->memory, w->path, err);
    if (status) return status;
    SRC_DATA job = {.data_in = w->data,
                    .input_frames = (long)w->frames,
                    .data_out = out.data,
                    .output_frames = (long)out.frames,
                    .src_ratio = (double)to / from};
    const int error = src_simple(&job, SRC_SINC_MEDIUM_QUALITY, w->channels);
    wave_done(w);
    *w = out;
    if (error)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' cannot be brought from %d to %lld Hz: %s", path, from, (long long)to,
                       src_strerror(error));
    return FINEPRUNE_OK;
}

// Zero mean and unit variance, as Hugging Face's feature extractors do: of what is left once the wave is cut to the
// input's length, and of the silence behind it where it counts.
static int normalize(struct wave *w, int64_t time, bool padding, fineprune_error *err) {
    w->frames = fp_least_int(w->frames, time);
    if (padding && w->frames < time) {
        struct wave longer;
        int status = wave_new(&longer, time, w->channels, w->memory, w->path, err);
        if (status) return status;
        memcpy(longer.data, w->data, (size_t)(w->frames * w->channels) * sizeof(float));
        wave_done(w);
        *w = longer;
    }
    const int64_t n = w->frames * w->channels;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)w->data[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += ((double)w->data[i] - mean) * ((double)w->data[i] - mean);
    const double scale = 1 / sqrt(squares / (double)n + 1e-7);
    for (int64_t i = 0; i < n; i++) w->data[i] = (float)(((double)w->data[i] - mean) * scale);
    return FINEPRUNE_OK;
}

static int check_wave(const struct wave *w, const char *path, fineprune_error *err) {
    for (int64_t i = 0; i < w->frames * w->channels; i++)
        if (!isfinite(w->data[i]))
            return fp_fail(err, FINEPRUNE_DATA, "'%s' has %s at frame %lld", path,
                           isnan(w->data[i]) ? "NaN" : "an infinite value", (long long)(i / w->channels));
    return FINEPRUNE_OK;
}

#define SILENT 1e-4F        // of full scale: what dither leaves
#define LOUD 0.5F           // a sound that is clipped is no softer
#define EQUAL 3e-5F         // a step of 16 bits
#define CLIPPED_FRAMES 5e-3 // at the loudest, in runs of three and more

void fp_sound_look(struct fp_sound_count *count, const float *wave, size_t n) {
    float peak = 0;
    size_t run = 0, clipped = 0;
    for (size_t i = 0; i < n; i++) peak = fmaxf(peak, fabsf(wave[i]));
    for (size_t i = 0; i < n; i++) {
        run = fabsf(wave[i]) >= peak - EQUAL ? run + 1 : 0;
        if (run >= 3) clipped += run == 3 ? 3 : 1;
    }
    count->n++;
    count->silent += peak < SILENT;
    count->clipped += peak >= LOUD && (double)clipped >= CLIPPED_FRAMES * (double)n;
}

struct fp_sound_count fp_data_sounds(const struct fineprune_data *data) {
    return data->sounds ? *data->sounds : (struct fp_sound_count){0};
}

const char *fp_data_other_rate(const struct fineprune_data *data, int64_t *wanted, int64_t *said) {
    const struct fp_preprocess *p = data->preprocess;
    if (!data->sounds || !p || !p->file_rate || p->file_rate == p->rate) return NULL;
    *wanted = p->file_rate;
    *said = p->rate;
    return p->path;
}

static void put_wave(struct fp_tensor *dst, const struct wave *w, const struct plan *plan, int64_t time) {
    const size_t size = fp_type_size(dst->type);
    memset(dst->data, 0, fp_tensor_bytes(dst));
    for (int64_t t = 0; t < time && t < w->frames; t++)
        for (int c = 0; c < w->channels; c++) {
            double value = (double)w->data[t * w->channels + c];
            if (dst->type == FP_INT16) {
                value = nearbyint(value * 32768);
                if (value < -32768) value = -32768;
                if (value > 32767) value = 32767;
            }
            int64_t at = c * time + t;
            if (plan->last) at = t * w->channels + c;
            if (dst->type == FP_FLOAT) ((float *)dst->data)[at] = (float)value;
            else fp_convert((char *)dst->data + (size_t)at * size, dst->type, &value, FP_DOUBLE, 1);
        }
}

static int put_mel(struct fp_tensor *dst, const struct wave *w, const struct plan *plan, const struct fp_piece *piece,
                   fineprune_error *err) {
    const size_t frames = (size_t)mel_frames(plan, piece), bands = (size_t)plan->mel->bands;
    const size_t size = fp_type_size(dst->type);
    const struct fp_mel_wave wave = {w->data, w->frames, mel_samples(plan, piece), piece->data->preprocess->rate};
    float *values = fp_take(piece->data->memory, dst->count * sizeof(float));
    if (!values) return fp_fail_memory(err, piece->path, dst->count * sizeof(float));
    int status = fp_mel_make(values, (int64_t)frames, plan->mel, &wave, piece->path, err);
    for (size_t i = 0; i < dst->count && !status; i++) {
        size_t from = i;
        if (plan->last) from = i % bands * frames + i / bands;
        fp_convert((char *)dst->data + i * size, dst->type, &values[from], FP_FLOAT, 1);
    }
    fp_release(piece->data->memory, values, dst->count * sizeof(float));
    return status;
}

// The sample's part of the file.
static int read_sample(struct wave *wave, const struct fp_piece *piece, size_t index, const struct windows *w,
                       fineprune_error *err) {
    if (!piece->windows) return read_wave(wave, piece, 0, piece->extent[0], err);
    return read_wave(wave, piece, window_begin(w, index, piece->rate, piece->data->preprocess->rate), w->frames, err);
}

static int sound_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    struct plan plan;
    struct wave wave;
    const struct windows windows = windows_of(piece->data->preprocess, piece->rate);
    int status = make_plan(&plan, piece->data->preprocess, piece->input, piece->path, err);
    if (!status) status = read_sample(&wave, piece, index, &windows, err);
    if (status) return status;
    if (plan.channels == 1) mix(&wave);
    status = check_wave(&wave, piece->path, err);
    if (!status && piece->data->sounds)
        fp_sound_look(piece->data->sounds, wave.data, (size_t)(wave.frames * wave.channels));
    if (!status) status = resample(&wave, piece->rate, piece->data->preprocess->rate, piece->path, err);
    if (!status && piece->windows) wave.frames = fp_least_int(wave.frames, windows.length); // one more, by rounding
    const int64_t time = plan_time(&plan, piece);
    const struct fp_preprocess *p = piece->data->preprocess;
    if (!status && p->normalize_sound) status = normalize(&wave, time, p->normalize_padding, err);
    if (!status && plan.mel) status = put_mel(dst, &wave, &plan, piece, err);
    else if (!status) put_wave(dst, &wave, &plan, time);
    wave_done(&wave);
    return status;
}

// ---- what is told of it, and the way back

static void tell_span(FILE *out, const char *words, struct fp_span span) {
    if (span.seconds) fprintf(out, "%s %g s", words, span.length);
    else fprintf(out, "%s %g samples", words, span.length);
}

static void tell_mel(const struct fp_mel *mel, FILE *out) {
    static const char *const logs[] = {"Whisper's log", "log10", "ln", "dB", "power"};
    fprintf(out, ", %lld mel bands (%s, %s; fft %lld, hop %lld)", (long long)mel->bands, logs[mel->log],
            mel->norm == FP_MEL_SLANEY ? "Slaney's" : "HTK's", (long long)mel->fft, (long long)mel->hop);
}

static void sound_tell(const struct fp_piece *piece, FILE *out) {
    struct plan plan;
    const struct fp_preprocess *p = piece->data->preprocess;
    if (make_plan(&plan, p, piece->input, piece->path, NULL)) return;
    fprintf(out, ", %lld Hz", (long long)p->rate);
    if (plan.channels == 1) fputs(", one channel", out);
    else if (plan.channels > 1) fprintf(out, ", %d channels", plan.channels);
    if (p->window.length > 0) tell_span(out, ", windows of", p->window);
    if (p->hop.length > 0) tell_span(out, " each", p->hop);
    if (plan.mel && plan.mel->samples)
        fprintf(out, ", cut or filled up to %g s", (double)plan.mel->samples / (double)p->rate);
    else if (plan.time >= 0)
        fprintf(out, ", cut or filled up to %lld %s", (long long)plan.time, plan.mel ? "frames" : "samples");
    if (p->normalize_sound) fputs(", mean 0 and variance 1", out);
    if (plan.mel) tell_mel(plan.mel, out);
}

static void sound_view(const struct fp_piece *piece, struct fp_view *view) {
    struct plan plan;
    const struct fp_preprocess *p = piece->data->preprocess;
    if (make_plan(&plan, p, piece->input, piece->path, NULL)) return;
    *view = (struct fp_view){.kind = FP_VIEW_SOUND, .channels = plan.channels, .last = plan.last, .rate = p->rate};
    if (plan.mel) *view = (struct fp_view){.kind = FP_VIEW_PICTURE, .channels = 1, .turned = plan.last};
}

static const struct fp_piece_kind SOUND = {
    .shape = sound_shape, .load = sound_load, .what = "sound", .tell = sound_tell, .view = sound_view};

// ---- adding

static int check_rate(const struct fp_preprocess *p, const char *path, int rate, fineprune_error *err) {
    if (p->rate) return FINEPRUNE_OK;
    int status = fp_fail(err, FINEPRUNE_DATA, "which rate the model wants '%s' (%d Hz) at is not known", path, rate);
    fp_hint(err, "the model's preprocessor_config.json beside it, or --rate 16000 (%d keeps the file's)", rate);
    return status;
}

static int check_range(const struct fp_preprocess *p, const char *path, fineprune_error *err) {
    if (!p->mel.fft || p->mel.high <= (double)p->rate / 2) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "'%s': bands up to %g Hz are not in sound of %lld Hz", path, p->mel.high,
                   (long long)p->rate);
}

// What a window has and the model does not take would be lost.
static int check_window(const struct windows *w, const struct plan *plan, const struct fp_piece *piece,
                        const char *path, fineprune_error *err) {
    int64_t most = plan->time;
    if (plan->mel && plan->mel->samples) most = plan->mel->samples;
    else if (plan->mel && most >= 0) most *= plan->mel->hop;
    if (most < 0 || w->length <= most) return FINEPRUNE_OK;
    char text[400];
    int status = fp_fail(err, FINEPRUNE_USAGE,
                         "'%s': a window of %lld samples is longer than what the model's input %s takes", path,
                         (long long)w->length, fp_input_text(text, sizeof(text), piece->input));
    fp_hint(err, "--window %lld is as long as that", (long long)most);
    return status;
}

static int cut(struct fp_piece *piece, const struct plan *plan, const struct fp_preprocess *p, const char *path,
               fineprune_error *err) {
    const struct windows w = windows_of(p, piece->rate);
    if (!w.length) return FINEPRUNE_OK;
    piece->windows = true;
    piece->n = (size_t)window_count(&w, piece->extent[0], piece->rate, p->rate);
    return check_window(&w, plan, piece, path, err);
}

static int probe(struct fp_piece *piece, const struct plan *plan, const struct fp_preprocess *p, const char *path,
                 fineprune_error *err) {
    SNDFILE *file;
    SF_INFO info;
    int status = open_sound(&file, &info, path, err);
    if (status) return status;
    sf_close(file);
    piece->extent[0] = info.frames;
    piece->extent[1] = info.channels;
    piece->rate = info.samplerate;
    if (plan->channels > 1 && plan->channels != info.channels)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' has %d channels, but the model's input takes %d", path, info.channels,
                       plan->channels);
    double ratio = 1;
    if (p->rate) ratio = (double)p->rate / info.samplerate;
    if (ratio < 1.0 / 256 || ratio > 256)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' at %d Hz is too far from %lld Hz", path, info.samplerate,
                       (long long)p->rate);
    status = check_rate(p, path, info.samplerate, err);
    if (!status) status = check_range(p, path, err);
    if (!status) status = cut(piece, plan, p, path, err);
    return status;
}

// Whether all of it can be decoded.
static int try_sound(const struct fp_piece *piece, fineprune_error *err) {
    struct wave wave;
    int status = read_wave(&wave, piece, 0, piece->extent[0], err);
    if (status) return status;
    status = check_wave(&wave, piece->path, err);
    wave_done(&wave);
    return status;
}

int fp_data_add_sound(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    int status = fp_data_only_input(data, &input, path, err);
    if (!status) status = fp_data_preprocess(data, err);
    if (!status && !data->sounds) data->sounds = fp_calloc(1, sizeof(*data->sounds));
    if (!status && !data->sounds) status = fp_fail_memory(err, path, sizeof(*data->sounds));
    if (status) return status;
    struct plan plan;
    struct fp_piece piece = {.kind = &SOUND, .n = 1, .data = data, .input = &data->inputs[input]};
    (void)fp_stamp_take(&piece.stamp, -1, path); // what is not there is told by who reads it
    status = make_plan(&plan, data->preprocess, &data->inputs[input], path, err);
    if (!status) status = probe(&piece, &plan, data->preprocess, path, err);
    if (status) return status;
    piece.mode = plan.mode;
    piece.path = strdup(path);
    if (!piece.path) return fp_fail_memory(err, path, strlen(path));
    if (fp_data_decodes(data)) status = try_sound(&piece, err);
    if (!status) return fp_data_put(data, input, &piece, path, err);
    free(piece.path);
    return status;
}
