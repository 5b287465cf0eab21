// SPDX-License-Identifier: Apache-2.0
// Operators on signals: DFT, STFT, windows and mel filters. A transform is a product with the matrix of its waves, in double.
#include "ops/loops.h"
#include "ops/move.h"

#include <math.h>
#include <stdlib.h>

enum {
    BLOCK = 1 << 22, // elements of the rows that are loaded at once
    WIDE = 32,       // columns of the matrix that are made at once
    HIGH = 4,        // rows that are multiplied together
};

// Where the rows of a transform lie: row r starts at r / period * big + r % period * small, and its elements are `stride` apart.
struct place {
    size_t period, big, small, stride;
};

struct transform {
    size_t rows, length;    // length of the full transform
    size_t n_in, c_in;      // elements of a row that are used, and their components: 1 real, 2 complex
    size_t n_out, c_out;
    struct place in, out;
    bool inverse, half;     // half: the input is one side of a spectrum of real elements
    const float *window;    // n_in weights, or NULL
};

static size_t start_of(const struct place *p, size_t row) { return row / p->period * p->big + row % p->period * p->small; }

// Columns [begin, begin + n) of the matrix that a row is multiplied with: n_in * c_in rows of WIDE, of which n * c_out are set.
static void fill_waves(const struct transform *t, const double *wave, size_t begin, size_t n, double *dst) {
    double sign = t->inverse ? 1 : -1, scale = t->inverse ? 1 / (double)t->length : 1;
    const double *sine = wave + t->length;
    for (size_t j = 0; j < t->n_in; j++) {
        bool twice = t->half && j > 0 && 2 * j != t->length; // stands for its mirror image too
        double factor = scale * (twice ? 2 : 1) * (t->window ? t->window[j] : 1);
        for (size_t k = 0; k < n; k++) {
            size_t at = j * (begin + k) % t->length; // lengths are below 2^28, so this fits
            double re = factor * wave[at], im = factor * sign * sine[at];
            double *to = dst + j * t->c_in * WIDE + k * t->c_out; // row of the real part, then that of the imaginary one
            to[0] = re;
            if (t->c_out == 2) to[1] = im;
            if (t->c_in == 2) to[WIDE] = -im;
            if (t->c_in == 2 && t->c_out == 2) to[WIDE + 1] = re;
        }
    }
}

static void load_rows(const struct transform *t, const float *src, size_t begin, size_t n, double *dst) {
    for (size_t r = 0; r < n; r++) {
        const float *from = src + start_of(&t->in, begin + r);
        for (size_t j = 0; j < t->n_in; j++)
            for (size_t c = 0; c < t->c_in; c++) *dst++ = from[j * t->in.stride + c];
    }
}

typedef double quad __attribute__((vector_size(32), aligned(8), may_alias));

// sums = rows * waves for HIGH rows; each sum is made in order, so that it is the same everywhere.
FP_VECTOR static void multiply(const double *rows, const double *waves, size_t width, double *sums) {
    const double *row1 = rows + width, *row2 = row1 + width, *row3 = row2 + width;
    for (size_t j = 0; j < WIDE; j += 8) {
        quad a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0}, d0 = {0}, d1 = {0};
        for (size_t i = 0; i < width; i++) {
            const quad left = *(const quad *)(waves + i * WIDE + j), right = *(const quad *)(waves + i * WIDE + j + 4);
            a0 += rows[i] * left, a1 += rows[i] * right;
            b0 += row1[i] * left, b1 += row1[i] * right;
            c0 += row2[i] * left, c1 += row2[i] * right;
            d0 += row3[i] * left, d1 += row3[i] * right;
        }
        quad *to = (quad *)(sums + j);
        to[0] = a0, to[1] = a1;
        to[WIDE / 4] = b0, to[WIDE / 4 + 1] = b1;
        to[WIDE / 2] = c0, to[WIDE / 2 + 1] = c1;
        to[3 * WIDE / 4] = d0, to[3 * WIDE / 4 + 1] = d1;
    }
}

// The memory of one run, all from one allocation.
struct work {
    double *wave, *waves, *rows;
    size_t width, n_rows, bytes;
};

static bool work_init(struct fp_call *call, const struct transform *t, struct work *w) {
    size_t total, a, b;
    w->width = t->n_in * t->c_in;
    w->n_rows = BLOCK / (w->width ? w->width : 1);
    if (w->n_rows > t->rows) w->n_rows = t->rows;
    w->n_rows = (w->n_rows ? w->n_rows + HIGH - 1 : HIGH) / HIGH * HIGH;
    w->bytes = 0;
    bool fits = fp_mul(w->width, WIDE, &a) && fp_mul(w->width, w->n_rows, &b) && fp_add(a, b, &total) &&
                fp_add(total, 2 * t->length, &total) && fp_mul(total, sizeof(double), &w->bytes);
    w->wave = fits ? fp_take(call->memory, w->bytes) : NULL;
    if (!w->wave) return false;
    memset(w->wave, 0, w->bytes);
    w->waves = w->wave + 2 * t->length;
    w->rows = w->waves + a;
    return true;
}

// Rows [begin, begin + n), which are loaded, times the columns [column, column + columns), which are made.
static void run_block(const struct fp_call *call, const struct transform *t, const struct work *w, size_t begin, size_t n, size_t column,
                      size_t columns, float *dst) {
#pragma omp parallel for num_threads(call->threads) if (n * w->width > 50000)
    for (size_t at = 0; at < n; at += HIGH) {
        double sums[HIGH * WIDE];
        multiply(w->rows + at * w->width, w->waves, w->width, sums);
        for (size_t r = 0; r < HIGH && at + r < n; r++) {
            float *to = dst + start_of(&t->out, begin + at + r) + column * t->out.stride;
            for (size_t k = 0; k < columns; k++)
                for (size_t c = 0; c < t->c_out; c++) to[k * t->out.stride + c] = (float)sums[r * WIDE + k * t->c_out + c];
        }
    }
}

static int run_transform(struct fp_call *call, const struct transform *t, const float *src, float *dst) {
    struct work w;
    size_t wide = WIDE / t->c_out;
    if (!t->rows || !t->n_out) return FINEPRUNE_OK;
    if (!work_init(call, t, &w)) return fp_fail_memory(call->err, "a transform", w.bytes);
    for (size_t i = 0; i < t->length; i++) {
        double angle = 2 * M_PI * (double)i / (double)t->length;
        w.wave[i] = cos(angle);
        w.wave[t->length + i] = sin(angle);
    }
    for (size_t row = 0; row < t->rows; row += w.n_rows) {
        size_t rows = t->rows - row < w.n_rows ? t->rows - row : w.n_rows;
        load_rows(t, src, row, rows, w.rows);
        for (size_t column = 0; column < t->n_out; column += wide) {
            size_t columns = t->n_out - column < wide ? t->n_out - column : wide;
            fill_waves(t, w.wave, column, columns, w.waves);
            run_block(call, t, &w, row, rows, column, columns, dst);
        }
    }
    fp_release(call->memory, w.wave, w.bytes);
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
        return fp_call_fail(call, "shape %s does not end in 1 (real) or 2 (complex)", fp_shape_text(text, sizeof(text), x->rank, x->dims));
    }
    return FINEPRUNE_OK;
}

// ---- DFT

static int dft_axis(struct fp_call *call, int *axis) {
    int64_t at = call->node->opset < 20 ? fp_attr_int(call->node, "axis", 1) : -2;
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
    int64_t n = x->dims[axis], length = inverse && onesided ? 2 * (n - 1) : n, dims[FP_MAX_RANK];
    if (fp_given(call, 1)) status = read_length(call, 1, "the length", 1, &length);
    if (status) return status;
    if (length < 1 || length > 1 << 28) return fp_call_fail(call, "a transform of %lld elements is not possible", (long long)length);
    int64_t used = inverse && onesided ? length / 2 + 1 : length;
    size_t inner = fp_span(x->dims, axis + 1, x->rank - 1);
    *t = (struct transform){.length = (size_t)length, .n_in = (size_t)(n < used ? n : used), .c_in = (size_t)x->dims[x->rank - 1],
                            .c_out = inverse && onesided ? 1 : 2, .inverse = inverse, .half = inverse && onesided};
    t->n_out = (size_t)(onesided && !inverse ? length / 2 + 1 : length);
    t->rows = fp_span(x->dims, 0, axis) * inner;
    t->in = (struct place){inner, (size_t)n * inner * t->c_in, t->c_in, inner * t->c_in};
    t->out = (struct place){inner, t->n_out * inner * t->c_out, t->c_out, inner * t->c_out};
    if (t->n_in * t->c_in > INT32_MAX || t->n_out * 2 > INT32_MAX) return fp_call_fail(call, "a transform of %lld elements is not possible", (long long)length);
    memcpy(dims, x->dims, sizeof(dims));
    dims[axis] = (int64_t)t->n_out;
    dims[x->rank - 1] = (int64_t)t->c_out;
    return fp_out(call, 0, FP_FLOAT, x->rank, dims);
}

static int run_dft(struct fp_call *call) { return run_transform(call, call->state, call->in[0]->data, call->out[0].data); }

// ---- STFT

static int stft_lengths(struct fp_call *call, int64_t *step, int64_t *frame) {
    const struct fp_tensor *x = call->in[0], *window = fp_given(call, 2) ? call->in[2] : NULL;
    int status = read_length(call, 1, "the frame step", 1, step);
    *frame = window ? (int64_t)window->count : x->dims[1];
    if (!status && fp_given(call, 3)) status = read_length(call, 3, "the frame length", 1, frame);
    if (status) return status;
    if (window && (window->type != FP_FLOAT || window->count != (size_t)*frame))
        return fp_call_fail(call, "a window of %zu %s does not fit frames of %lld", window->count, fp_type_name(window->type), (long long)*frame);
    if (*frame < 1 || *frame > x->dims[1] || *frame > 1 << 28)
        return fp_call_fail(call, "frames of %lld do not fit a signal of %lld", (long long)*frame, (long long)x->dims[1]);
    return FINEPRUNE_OK;
}

static int prepare_stft(struct fp_call *call) {
    struct transform *t = fp_state(call, sizeof(*t));
    int64_t step = 1, frame = 1;
    if (!t) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 2);
    const bool flat = !status && call->in[0]->rank == 2 && call->in[0]->type == FP_FLOAT; // as PyTorch writes real signals, against the standard
    if (!status && !flat) status = signal_type(call);
    if (!status && !flat && call->in[0]->rank != 3) status = fp_call_fail(call, "the signal has rank %d (3 is needed)", call->in[0]->rank);
    if (!status) status = stft_lengths(call, &step, &frame);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    size_t frames = (size_t)((x->dims[1] - frame) / step + 1), c = flat ? 1 : (size_t)x->dims[2];
    *t = (struct transform){.rows = (size_t)x->dims[0] * frames, .length = (size_t)frame, .n_in = (size_t)frame, .c_in = c, .c_out = 2};
    t->n_out = fp_attr_int(call->node, "onesided", 1) ? t->length / 2 + 1 : t->length;
    t->in = (struct place){frames, (size_t)x->dims[1] * c, (size_t)step * c, c};
    t->out = (struct place){frames, frames * t->n_out * 2, t->n_out * 2, 2};
    return fp_out(call, 0, FP_FLOAT, 4, (int64_t[]){x->dims[0], (int64_t)frames, (int64_t)t->n_out, 2});
}

static int run_stft(struct fp_call *call) {
    struct transform t = *(const struct transform *)call->state;
    t.window = fp_given(call, 2) ? call->in[2]->data : NULL;
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
    return status ? status : fp_out(call, 0, type, 1, &size);
}

// a - b cos(x) + c cos(2x)
static int run_window(struct fp_call *call, double a, double b, double c) {
    struct fp_tensor *y = &call->out[0];
    size_t size = fp_type_size(y->type);
    double n = (double)y->count - (fp_attr_int(call->node, "periodic", 1) ? 0 : 1);
    for (size_t i = 0; i < y->count; i++) {
        double x = n > 0 ? 2 * M_PI * (double)i / n : M_PI, value = a - b * cos(x) + c * cos(2 * x);
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
    return status ? status : fp_out(call, 0, type, 2, (int64_t[]){length / 2 + 1, bins});
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
            if (at <= center) value = center > low ? (at - low) / (center - low) : 1;
            if (at >= center && high > center && at < high) value = (high - at) / (high - center);
            fp_convert((char *)y->data + (size_t)(row * bins + i) * size, y->type, &value, FP_DOUBLE, 1);
        }
    }
    return FINEPRUNE_OK;
}

#define ROW(name, prepare, run, flags) {"", name, 17, prepare, run, NULL, flags, 0, NULL}
const struct fp_op fp_ops_signal[] = {
    ROW("DFT", prepare_dft, run_dft, FP_OP_FLOAT32),
    ROW("STFT", prepare_stft, run_stft, FP_OP_FLOAT32),
    ROW("HannWindow", prepare_window, run_hann, 0),
    ROW("HammingWindow", prepare_window, run_hamming, 0),
    ROW("BlackmanWindow", prepare_window, run_blackman, 0),
    ROW("MelWeightMatrix", prepare_mel, run_mel, 0),
    {0},
};
