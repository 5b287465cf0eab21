// SPDX-License-Identifier: Apache-2.0
// Operators on signals: DFT, STFT, windows and mel filters. The transforms are KissFFT's, in float like their elements.
#include "ops/loops.h"
#include "ops/move.h"

#include <kiss_fft.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

// Where the rows of a transform lie: row r starts at r / period * big + r % period * small, and its elements are
// `stride` apart.
struct place {
    size_t period, big, small, stride;
};

struct transform {
    size_t rows, length; // length of the full transform
    size_t n_in, c_in;   // elements of a row that are used, and their components: 1 real, 2 complex
    size_t n_out, c_out;
    struct place in, out;
    bool inverse, half;  // half: the input is one side of a spectrum of real elements
    const float *window; // n_in weights, or NULL
};

static size_t start_of(const struct place *p, size_t row) {
    return row / p->period * p->big + row % p->period * p->small;
}

// What the rows of a run share, and the scratch of each thread; all from one allocation.
struct plan {
    size_t padded; // length of the transforms that are made
    kiss_fft_cfg cfg;
    kiss_fft_cpx *scratch; // two times `padded` for each thread
    kiss_fft_cpx *chirp; // `length` elements for Bluestein's algorithm; NULL for lengths of the factors 2, 3 and 5 only
    kiss_fft_cpx *filter; // `padded` elements: the transform of the chirp's inverse
    int threads;
    void *memory;
    size_t bytes;
};

static kiss_fft_cpx times(kiss_fft_cpx a, kiss_fft_cpx b) {
    return (kiss_fft_cpx){a.r * b.r - a.i * b.i, a.r * b.i + a.i * b.r};
}
static kiss_fft_cpx conjugate(kiss_fft_cpx a) { return (kiss_fft_cpx){a.r, -a.i}; }

// Bluestein, "A linear filtering approach to the computation of discrete Fourier transform" (1970): as
// 2 j k = j^2 + k^2 - (k - j)^2, a transform of any length is a convolution with the inverse of
// chirp[j] = exp(-i pi j^2 / length), and transforms of a good length do that.
static void make_chirp(const struct transform *t, struct plan *p) {
    kiss_fft_cpx *wave = p->scratch;
    memset(wave, 0, p->padded * sizeof(*wave));
    for (size_t j = 0; j < t->length; j++) {
        double angle = M_PI * (double)(j * j % (2 * t->length)) / (double)t->length; // at most 2^28, so this fits
        p->chirp[j] = (kiss_fft_cpx){(float)cos(angle), (float)-sin(angle)};
        if (t->inverse) p->chirp[j] = conjugate(p->chirp[j]);
        wave[j] = conjugate(p->chirp[j]);
        if (j) wave[p->padded - j] = wave[j];
    }
    kiss_fft(p->cfg, wave, p->filter);
    for (size_t j = 0; j < p->padded; j++) p->filter[j].r /= (float)p->padded, p->filter[j].i /= (float)p->padded;
}

// False when out of memory, p->bytes then being what was asked for. Freed with fp_release.
static bool plan_init(struct fp_call *call, const struct transform *t, struct plan *p) {
    int length = (int)t->length, padded = kiss_fft_next_fast_size(length);
    bool good = padded == length;
    if (!good) padded = kiss_fft_next_fast_size(2 * length - 1);
    *p = (struct plan){.padded = (size_t)padded, .threads = call->threads};
    if (t->rows < (size_t)p->threads) p->threads = (int)t->rows;
    size_t cfg = 0, cells, more = 0;
    kiss_fft_alloc(padded, 0, NULL, &cfg);
    bool fits = fp_mul(p->padded, 2 * (size_t)p->threads, &cells) && (good || fp_add(p->padded, t->length, &more)) &&
                fp_add(cells, more, &more) && fp_mul(more, sizeof(kiss_fft_cpx), &p->bytes) &&
                fp_add(p->bytes, cfg, &p->bytes);
    if (fits) p->memory = fp_take(call->memory, p->bytes);
    else p->memory = NULL;
    if (!p->memory) return false;
    p->cfg = kiss_fft_alloc(padded, good && t->inverse, p->memory, &cfg);
    p->scratch = (kiss_fft_cpx *)((char *)p->memory + cfg);
    if (good) return true;
    p->filter = p->scratch + cells;
    p->chirp = p->filter + padded;
    make_chirp(t, p);
    return true;
}

// A whole row for the transform: elements that are not there are 0, and one side of a spectrum gets its mirror image.
static void load_row(const struct transform *t, const float *from, kiss_fft_cpx *row) {
    memset(row + t->n_in, 0, (t->length - t->n_in) * sizeof(*row));
    for (size_t j = 0; j < t->n_in; j++) {
        const float *at = from + j * t->in.stride;
        float weight = 1;
        if (t->window) weight = t->window[j];
        row[j] = (kiss_fft_cpx){at[0] * weight, 0};
        if (t->c_in == 2) row[j].i = at[1] * weight;
        if (t->half && j > 0 && 2 * j != t->length) row[t->length - j] = conjugate(row[j]);
    }
}

// to = the transform of the row, both of p->padded elements; the row is overwritten.
static void transform_row(const struct transform *t, const struct plan *p, kiss_fft_cpx *row, kiss_fft_cpx *to) {
    if (p->chirp) {
        for (size_t j = 0; j < t->length; j++) row[j] = times(row[j], p->chirp[j]);
        memset(row + t->length, 0, (p->padded - t->length) * sizeof(*row));
    }
    kiss_fft(p->cfg, row, to);
    if (!p->chirp) return;
    // The conjugate, so that the same transform is the inverse.
    for (size_t j = 0; j < p->padded; j++) row[j] = conjugate(times(to[j], p->filter[j]));
    kiss_fft(p->cfg, row, to);
    for (size_t k = 0; k < t->n_out; k++) to[k] = times(conjugate(to[k]), p->chirp[k]);
}

static void store_row(const struct transform *t, const kiss_fft_cpx *row, float *to) {
    float divisor = 1;
    if (t->inverse) divisor = (float)t->length;
    for (size_t k = 0; k < t->n_out; k++) {
        to[k * t->out.stride] = row[k].r / divisor;
        if (t->c_out == 2) to[k * t->out.stride + 1] = row[k].i / divisor;
    }
}

static int run_transform(struct fp_call *call, const struct transform *t, const float *src, float *dst) {
    struct plan p;
    if (!t->rows || !t->n_out) return FINEPRUNE_OK;
    if (!plan_init(call, t, &p)) return fp_fail_memory(call->err, "a transform", p.bytes);
#pragma omp parallel for num_threads(p.threads) if (t->rows * p.padded > 20000)
    for (size_t r = 0; r < t->rows; r++) {
        kiss_fft_cpx *row = p.scratch + 2 * p.padded * (size_t)omp_get_thread_num();
        load_row(t, src + start_of(&t->in, r), row);
        transform_row(t, &p, row, row + p.padded);
        store_row(t, row + p.padded, dst + start_of(&t->out, r));
    }
    fp_release(call->memory, p.memory, p.bytes);
    return FINEPRUNE_OK;
}

// A length that is given as an input, within what makes sense.
static int read_length(struct fp_call *call, int i, const char *what, int64_t low, int64_t *length) {
    double value;
    int status = fp_index_type(call, i);
    if (!status) status = fp_read_scalar(call, i, &value);
    if (status) return status;
    if (value < (double)low || value > 1 << 28) return fp_call_fail(call, "%s %g is not possible", what, value);
    *length = (int64_t)value;
    return FINEPRUNE_OK;
}

static int signal_type(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    if (x->type != FP_FLOAT) return fp_call_fail(call, "%s signals are not supported", fp_type_name(x->type));
    if (x->rank < 2 || (x->dims[x->rank - 1] != 1 && x->dims[x->rank - 1] != 2)) {
        char text[160];
        return fp_call_fail(call, "shape %s does not end in 1 (real) or 2 (complex)",
                            fp_shape_text(text, sizeof(text), x->rank, x->dims));
    }
    return FINEPRUNE_OK;
}

// ---- DFT

static int dft_axis(struct fp_call *call, int *axis) {
    int64_t at = -2;
    if (call->node->opset < 20) at = fp_attr_int(call->node, "axis", 1);
    double given;
    if (call->node->opset >= 20 && fp_given(call, 2)) {
        int status = fp_index_type(call, 2);
        if (!status) status = fp_read_scalar(call, 2, &given);
        if (status) return status;
        at = fp_int_at(call->in[2], 0);
    }
    int status = fp_axis(call, at, call->in[0]->rank, axis);
    if (!status && *axis == call->in[0]->rank - 1) status = fp_call_fail(call, "the last axis cannot be transformed");
    return status;
}

static int prepare_dft(struct fp_call *call) {
    struct transform *t = fp_state(call, sizeof(*t));
    int axis = 0;
    if (!t) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 1);
    if (!status) status = signal_type(call);
    if (!status) status = dft_axis(call, &axis);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    bool onesided = fp_attr_int(call->node, "onesided", 0) != 0, inverse = fp_attr_int(call->node, "inverse", 0) != 0;
    bool half = inverse && onesided;
    int64_t n = x->dims[axis], length = n, dims[FP_MAX_RANK];
    if (half) length = 2 * (n - 1);
    if (fp_given(call, 1)) status = read_length(call, 1, "the length", 1, &length);
    if (status) return status;
    if (length < 1 || length > 1 << 28)
        return fp_call_fail(call, "a transform of %lld elements is not possible", (long long)length);
    int64_t used = length;
    if (half) used = length / 2 + 1;
    size_t inner = fp_span(x->dims, axis + 1, x->rank - 1);
    *t = (struct transform){.length = (size_t)length,
                            .n_in = (size_t)fp_least_int(n, used),
                            .c_in = (size_t)x->dims[x->rank - 1],
                            .c_out = 2,
                            .inverse = inverse,
                            .half = half,
                            .n_out = (size_t)length};
    if (half) t->c_out = 1;
    if (onesided && !inverse) t->n_out = t->length / 2 + 1;
    t->rows = fp_span(x->dims, 0, axis) * inner;
    t->in = (struct place){inner, (size_t)n * inner * t->c_in, t->c_in, inner * t->c_in};
    t->out = (struct place){inner, t->n_out * inner * t->c_out, t->c_out, inner * t->c_out};
    if (t->n_in * t->c_in > INT32_MAX || t->n_out * 2 > INT32_MAX)
        return fp_call_fail(call, "a transform of %lld elements is not possible", (long long)length);
    memcpy(dims, x->dims, sizeof(dims));
    dims[axis] = (int64_t)t->n_out;
    dims[x->rank - 1] = (int64_t)t->c_out;
    return fp_out(call, 0, FP_FLOAT, x->rank, dims);
}

static int run_dft(struct fp_call *call) {
    return run_transform(call, call->state, call->in[0]->data, call->out[0].data);
}

// ---- STFT

static int stft_lengths(struct fp_call *call, int64_t *step, int64_t *frame) {
    const struct fp_tensor *x = call->in[0], *window = fp_input(call, 2);
    int status = read_length(call, 1, "the frame step", 1, step);
    if (window) *frame = (int64_t)window->count;
    else *frame = x->dims[1];
    if (!status && fp_given(call, 3)) status = read_length(call, 3, "the frame length", 1, frame);
    if (status) return status;
    if (window && (window->type != FP_FLOAT || window->count != (size_t)*frame))
        return fp_call_fail(call, "a window of %zu %s does not fit frames of %lld", window->count,
                            fp_type_name(window->type), (long long)*frame);
    if (*frame < 1 || *frame > x->dims[1] || *frame > 1 << 28)
        return fp_call_fail(call, "frames of %lld do not fit a signal of %lld", (long long)*frame,
                            (long long)x->dims[1]);
    return FINEPRUNE_OK;
}

static int prepare_stft(struct fp_call *call) {
    struct transform *t = fp_state(call, sizeof(*t));
    int64_t step = 1, frame = 1;
    if (!t) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 2);
    const bool flat = !status && call->in[0]->rank == 2 &&
                      call->in[0]->type == FP_FLOAT; // as PyTorch writes real signals, against the standard
    if (!status && !flat) status = signal_type(call);
    if (!status && !flat && call->in[0]->rank != 3)
        status = fp_call_fail(call, "the signal has rank %d (3 is needed)", call->in[0]->rank);
    if (!status) status = stft_lengths(call, &step, &frame);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    size_t frames = (size_t)((x->dims[1] - frame) / step + 1), c = 1;
    if (!flat) c = (size_t)x->dims[2];
    *t = (struct transform){
        .rows = (size_t)x->dims[0] * frames, .length = (size_t)frame, .n_in = (size_t)frame, .c_in = c, .c_out = 2};
    if (fp_attr_int(call->node, "onesided", 1)) t->n_out = t->length / 2 + 1;
    else t->n_out = t->length;
    t->in = (struct place){frames, (size_t)x->dims[1] * c, (size_t)step * c, c};
    t->out = (struct place){frames, frames * t->n_out * 2, t->n_out * 2, 2};
    return fp_out(call, 0, FP_FLOAT, 4, (int64_t[]){x->dims[0], (int64_t)frames, (int64_t)t->n_out, 2});
}

static int run_stft(struct fp_call *call) {
    struct transform t = *(const struct transform *)call->state;
    t.window = fp_input_data(call, 2);
    return run_transform(call, &t, call->in[0]->data, call->out[0].data);
}

// ---- windows

static int output_type(struct fp_call *call, enum fp_type *type) {
    *type = (enum fp_type)fp_attr_int(call->node, "output_datatype", FP_FLOAT);
    if (fp_type_is_float(*type) || fp_type_is_integer(*type)) return FINEPRUNE_OK;
    return fp_call_fail(call, "output_datatype %s is not supported", fp_type_name(*type));
}

static int prepare_window(struct fp_call *call) {
    enum fp_type type;
    int64_t size = 0;
    int status = fp_need_tensors(call, 1);
    if (!status) status = output_type(call, &type);
    if (!status) status = read_length(call, 0, "the size", 0, &size);
    if (status) return status;
    return fp_out(call, 0, type, 1, &size);
}

// a - b cos(x) + c cos(2x)
static int run_window(struct fp_call *call, double a, double b, double c) {
    struct fp_tensor *y = &call->out[0];
    size_t size = fp_type_size(y->type);
    double n = (double)y->count;
    if (!fp_attr_int(call->node, "periodic", 1)) n -= 1;
    for (size_t i = 0; i < y->count; i++) {
        double x = M_PI;
        if (n > 0) x = 2 * M_PI * (double)i / n;
        double value = a - b * cos(x) + c * cos(2 * x);
        fp_convert((char *)y->data + i * size, y->type, &value, FP_DOUBLE, 1);
    }
    return FINEPRUNE_OK;
}

static int run_hann(struct fp_call *call) { return run_window(call, 0.5, 0.5, 0); }
static int run_hamming(struct fp_call *call) { return run_window(call, 25.0 / 46, 21.0 / 46, 0); }
static int run_blackman(struct fp_call *call) { return run_window(call, 0.42, 0.5, 0.08); }

// ---- MelWeightMatrix

static int prepare_mel(struct fp_call *call) {
    enum fp_type type;
    int64_t bins = 0, length = 0, rate = 0;
    double edge;
    int status = fp_need_tensors(call, 5);
    if (!status) status = output_type(call, &type);
    if (!status) status = read_length(call, 0, "the number of bins", 0, &bins);
    if (!status) status = read_length(call, 1, "the length", 0, &length);
    if (!status) status = read_length(call, 2, "the sample rate", 1, &rate);
    for (int i = 3; i < 5 && !status; i++) {
        status = fp_read_scalar(call, i, &edge);
        if (!status && !(edge >= 0 && edge < 1e12)) status = fp_call_fail(call, "the edge %g is not possible", edge);
    }
    if (status) return status;
    return fp_out(call, 0, type, 2, (int64_t[]){length / 2 + 1, bins});
}

static double number(const struct fp_call *call, int i) {
    double value;
    fp_convert(&value, FP_DOUBLE, call->in[i]->data, call->in[i]->type, 1);
    return value;
}

// Row of the spectrum where edge number `i` of the filters lies.
static double mel_edge(const struct fp_call *call, int64_t i) {
    double low = 2595 * log10(1 + number(call, 3) / 700), high = 2595 * log10(1 + number(call, 4) / 700);
    double mel = low + (double)i * ((high - low) / (number(call, 0) + 2));
    return floor((number(call, 1) + 1) * (700 * (pow(10, mel / 2595) - 1)) / number(call, 2));
}

static int run_mel(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    size_t size = fp_type_size(y->type);
    int64_t rows = y->dims[0], bins = y->dims[1];
    if (y->count) memset(y->data, 0, fp_tensor_bytes(y));
    for (int64_t i = 0; i < bins; i++) {
        double low = mel_edge(call, i), center = mel_edge(call, i + 1), high = mel_edge(call, i + 2);
        if (!(low >= 0 && center >= low && high >= center && center < (double)rows && high <= (double)rows))
            return fp_call_fail(call, "filter %lld reaches outside a spectrum of %lld", (long long)i, (long long)rows);
        for (int64_t row = (int64_t)low; row < rows && (double)row <= fmax(center, high); row++) {
            double at = (double)row, value = 0;
            if (at <= center) value = 1;
            if (at <= center && center > low) value = (at - low) / (center - low);
            if (at >= center && high > center && at < high) value = (high - at) / (high - center);
            fp_convert((char *)y->data + (size_t)(row * bins + i) * size, y->type, &value, FP_DOUBLE, 1);
        }
    }
    return FINEPRUNE_OK;
}

#define ROW(name, prepare, run, flags, ...) {"", name, 17, prepare, run, NULL, flags, 0, NULL, __VA_ARGS__}
const struct fp_op fp_ops_signal[] = {
    ROW("DFT", prepare_dft, run_dft, FP_OP_FLOAT32, .arity = "ro>r 20:roo>r",
        .attributes = "axis=i inverse=i onesided=i"),
    ROW("STFT", prepare_stft, run_stft, FP_OP_FLOAT32, .arity = "rroo>r", .attributes = "onesided=i"),
    ROW("HannWindow", prepare_window, run_hann, 0, .arity = "r>r", .attributes = "output_datatype=i periodic=i"),
    ROW("HammingWindow", prepare_window, run_hamming, 0, .arity = "r>r", .attributes = "output_datatype=i periodic=i"),
    ROW("BlackmanWindow", prepare_window, run_blackman, 0, .arity = "r>r",
        .attributes = "output_datatype=i periodic=i"),
    ROW("MelWeightMatrix", prepare_mel, run_mel, 0, .arity = "rrrrr>r", .attributes = "output_datatype=i"),
    {0},
};
