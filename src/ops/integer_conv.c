// SPDX-License-Identifier: Apache-2.0
// Convolutions of quantized numbers: ConvInteger and QLinearConv. Weights [channels out, channels in * kernel] times
// the patches of the data, which are never stored: a piece of them is made whenever the product asks for it. Padding is
// the zero point, so 0 here.
#include "ops/families.h"
#include "ops/integer.h"
#include "ops/loops.h"
#include "ops/window.h"

struct slots {
    int x, w, x_scale, w_scale, x_zero, w_zero, y_scale, y_zero, bias;
};
static const struct slots SLOTS[] = {
    {0, 1, -1, -1, 2, 3, -1, -1, -1}, // ConvInteger
    {0, 3, 1, 4, 2, 5, 6, 7, 8},      // QLinearConv
};
enum { CONV_INTEGER, QLINEAR_CONV };

struct conv {
    struct fp_window w;
    size_t groups, channels, outputs; // channels of a group
    size_t kernel, in, out;           // elements of a kernel, of an input plane, of an output plane
};

// The patches of one group of one sample: row (channel, kernel position), column output position.
struct patches {
    const struct conv *c;
    enum fp_type type;
    const uint8_t *data;
    int zero;
};

// How many of n positions at, at + stride, ... lie below `limit`.
static size_t below(int64_t at, int64_t stride, int64_t limit, size_t n) {
    if (at >= limit) return 0;
    uint64_t k = (uint64_t)(limit - at - 1) / (uint64_t)stride + 1;
    if (k < n) return (size_t)k;
    return n;
}

#define LINE(T)                                                                                                        \
    FP_VECTOR static void line_##T(float *dst, const T *src, int64_t stride, size_t n, int zero) {                     \
        if (stride == 1)                                                                                               \
            for (size_t i = 0; i < n; i++) dst[i] = (float)(src[i] - zero);                                            \
        else                                                                                                           \
            for (size_t i = 0; i < n; i++) dst[i] = (float)(src[(int64_t)i * stride] - zero);                          \
    }
LINE(uint8_t)
LINE(int8_t)
#undef LINE

// One row of outputs along the last axis; `at` is where its first input would be, relative to the line's start.
static void fill_line(const struct patches *p, float *dst, const uint8_t *line, int64_t at, int64_t stride,
                      int64_t extent, size_t n) {
    size_t from = below(at, stride, 0, n), to = below(at, stride, extent, n);
    memset(dst, 0, from * sizeof(*dst));
    const uint8_t *src = line;
    if (to > from) src = line + (at + (int64_t)from * stride);
    if (p->type == FP_INT8) line_int8_t(dst + from, (const int8_t *)src, stride, to - from, p->zero);
    else line_uint8_t(dst + from, src, stride, to - from, p->zero);
    memset(dst + to, 0, (n - to) * sizeof(*dst));
}

// Offset of the line that the outer output coordinates and kernel coordinates point at; false when it lies in the
// padding.
static bool line_of(const struct fp_window *w, const int64_t *position, const int64_t *tap, int64_t *offset) {
    *offset = 0;
    for (int i = 0; i < w->n - 1; i++) {
        int64_t at = position[i] * w->stride[i] - w->begin[i] + tap[i] * w->dilation[i];
        if (at < 0 || at >= w->in[i]) return false;
        *offset = (*offset + at) * w->in[i + 1];
    }
    return true;
}

static void unravel(size_t index, int n, const int64_t *dims, int64_t *at) {
    for (int i = n - 1; i >= 0; i--) {
        at[i] = (int64_t)(index % (size_t)dims[i]);
        index /= (size_t)dims[i];
    }
}

static void fill_patches(const void *user, float *dst, size_t row, size_t rows, size_t column, size_t columns) {
    const struct patches *p = user;
    const struct fp_window *w = &p->c->w;
    int last = w->n - 1;
    size_t width = (size_t)w->out[last];
    int64_t tap[FP_WINDOW_MAX], position[FP_WINDOW_MAX], offset;
    for (size_t r = row; r < row + rows; r++) {
        const uint8_t *plane = p->data + r / p->c->kernel * p->c->in;
        unravel(r % p->c->kernel, w->n, w->kernel, tap);
        for (size_t done = 0; done < columns;) {
            size_t at = column + done, left = width - at % width, n = fp_least(left, columns - done);
            unravel(at, w->n, w->out, position);
            int64_t start = position[last] * w->stride[last] - w->begin[last] + tap[last] * w->dilation[last];
            if (line_of(w, position, tap, &offset))
                fill_line(p, dst + done, plane + offset, start, w->stride[last], w->in[last], n);
            else memset(dst + done, 0, n * sizeof(*dst));
            done += n;
        }
        dst += columns;
    }
}

// ---- prepare

static int check_types(struct fp_call *call, const struct slots *s, size_t outputs) {
    const struct fp_tensor *x = call->in[s->x], *w = call->in[s->w];
    if (!fp_is_byte(x->type)) return fp_bad_type(call, s->x);
    if (!fp_is_byte(w->type)) return fp_bad_type(call, s->w);
    int status = fp_check_zero(call, s->x_zero, x->type, 1);
    if (!status) status = fp_check_zero(call, s->w_zero, w->type, outputs);
    if (status || s->x_scale < 0) return status;
    status = fp_check_scale(call, s->x_scale, 1);
    if (!status) status = fp_check_scale(call, s->w_scale, outputs);
    if (!status) status = fp_check_scale(call, s->y_scale, 1);
    if (status) return status;
    if (!fp_is_byte(call->in[s->y_zero]->type)) return fp_bad_type(call, s->y_zero);
    if (call->in[s->y_zero]->count != 1)
        return fp_call_fail(call, "%zu zero points of the output", call->in[s->y_zero]->count);
    if (!fp_given(call, s->bias)) return FINEPRUNE_OK;
    if (call->in[s->bias]->type != FP_INT32) return fp_bad_type(call, s->bias);
    if (call->in[s->bias]->count == outputs) return FINEPRUNE_OK;
    return fp_call_fail(call, "the bias has %zu numbers for %zu channels", call->in[s->bias]->count, outputs);
}

static int prepare(struct fp_call *call) {
    const struct slots *s = &SLOTS[call->op->variant];
    int status = fp_need(call, call->op->variant == QLINEAR_CONV ? 8 : 2);
    if (status) return status;
    const struct fp_tensor *x = call->in[s->x], *w = call->in[s->w];
    if (x->rank < 3 || w->rank != x->rank)
        return fp_call_fail(call, "data of rank %d and weights of rank %d", x->rank, w->rank);
    struct conv *c = fp_state(call, sizeof(*c));
    if (!c) return FINEPRUNE_LIMIT;
    int64_t groups = fp_attr_int(call->node, "group", 1);
    if (groups < 1 || groups > x->dims[1] || x->dims[1] % groups || w->dims[0] % groups ||
        w->dims[1] != x->dims[1] / groups)
        return fp_call_fail(call, "%lld channels of data do not fit weights of %lld by %lld channels in %lld groups",
                            (long long)x->dims[1], (long long)w->dims[0], (long long)w->dims[1], (long long)groups);
    status = fp_window_read(call, &c->w, x, w->dims + 2);
    if (!status) status = check_types(call, s, (size_t)w->dims[0]);
    if (status) return status;
    int64_t dims[FP_MAX_RANK] = {x->dims[0], w->dims[0]};
    memcpy(dims + 2, c->w.out, (size_t)c->w.n * sizeof(dims[0]));
    status = fp_out(call, 0, s->y_zero < 0 ? FP_INT32 : call->in[s->y_zero]->type, x->rank, dims);
    if (status) return status;
    c->groups = (size_t)groups;
    c->channels = (size_t)w->dims[1];
    c->outputs = (size_t)(w->dims[0] / groups);
    if (!fp_product(c->w.n, c->w.kernel, &c->kernel) || !fp_product(c->w.n, c->w.in, &c->in) ||
        !fp_product(c->w.n, c->w.out, &c->out))
        return fp_call_fail(call, "the planes are too large");
    return FINEPRUNE_OK;
}

// ---- run

// n sums of a channel (numbered over all groups) to where they belong.
static void finish(const struct fp_call *call, const struct slots *s, int32_t *acc, size_t n, size_t channel, char *y) {
    if (s->y_scale < 0) {
        memcpy(y, acc, n * sizeof(*acc));
        return;
    }
    float factor = fp_parameter(call, s->x_scale, 0, 1) * fp_parameter(call, s->w_scale, channel, 1) /
                   fp_parameter(call, s->y_scale, 0, 1);
    uint32_t bias = 0;
    if (fp_given(call, s->bias)) bias = (uint32_t)((const int32_t *)call->in[s->bias]->data)[channel];
    for (size_t j = 0; j < n && bias; j++) acc[j] = (int32_t)((uint32_t)acc[j] + bias);
    fp_requantize(y, call->out[0].type, acc, n, &factor, 0, fp_parameter(call, s->y_zero, 0, 0));
}

// The weights' zero points of one group, as a tensor of their own.
static struct fp_tensor group_zero(const struct fp_call *call, int slot, size_t first, size_t count) {
    struct fp_tensor zero = {.count = 0};
    if (slot < 0 || !fp_given(call, slot)) return zero;
    const struct fp_tensor *t = call->in[slot];
    zero.type = t->type;
    zero.count = 1;
    zero.data = t->data;
    if (t->count == 1) return zero;
    zero.count = count;
    zero.data = (uint8_t *)t->data + first;
    return zero;
}

static struct fp_codes weights_of(const struct fp_call *call, const struct conv *c, const struct slots *s, size_t group,
                                  struct fp_tensor *zero) {
    const struct fp_tensor *w = call->in[s->w];
    size_t k = c->channels * c->kernel, first = group * c->outputs;
    *zero = group_zero(call, s->w_zero, first, c->outputs);
    return (struct fp_codes){.zero = zero->count ? zero : NULL,
                             .zero_per_row = true,
                             .type = w->type,
                             .data = (const uint8_t *)w->data + first * k,
                             .row_stride = (int64_t)k,
                             .column_stride = 1};
}

static struct patches patches_of(const struct fp_call *call, const struct conv *c, const struct slots *s, size_t sample,
                                 size_t group) {
    const struct fp_tensor *x = call->in[s->x];
    return (struct patches){.c = c,
                            .type = x->type,
                            .data = (const uint8_t *)x->data + (sample * c->groups + group) * c->channels * c->in,
                            .zero = (int)fp_parameter(call, s->x_zero, 0, 0)};
}

static int run_group(struct fp_call *call, const struct conv *c, const struct slots *s, int32_t *acc, size_t sample,
                     size_t group) {
    struct fp_tensor zero;
    struct fp_codes weights = weights_of(call, c, s, group, &zero);
    struct patches patches = patches_of(call, c, s, sample, group);
    size_t at = (sample * c->groups + group) * c->outputs * c->out, size = fp_type_size(call->out[0].type);
    int status = fp_exact_product(call, acc, &(struct fp_factor){fp_fill_codes, &weights},
                                  &(struct fp_factor){fill_patches, &patches}, c->outputs, c->channels * c->kernel,
                                  c->out);
    for (size_t i = 0; i < c->outputs && !status; i++)
        finish(call, s, acc + i * c->out, c->out, group * c->outputs + i,
               (char *)call->out[0].data + (at + i * c->out) * size);
    return status;
}

// Groups of few outputs (depthwise): too small for a matrix product, so the groups are shared out among the threads.
enum { FEW = 4, COLUMNS = 1024 };

struct few {
    const struct fp_call *call;
    const struct conv *c;
    const struct slots *s;
};

FP_VECTOR static void add_scaled(float *acc, const float *x, float factor, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) acc[i] += x[i] * factor;
}

static void few_outputs(const struct few *f, size_t sample, size_t group) {
    const struct conv *c = f->c;
    size_t k = c->channels * c->kernel;
    struct fp_tensor zero;
    struct fp_codes weights = weights_of(f->call, c, f->s, group, &zero);
    struct patches patches = patches_of(f->call, c, f->s, sample, group);
    size_t at = (sample * c->groups + group) * c->outputs * c->out, size = fp_type_size(f->call->out[0].type);
    for (size_t j = 0; j < c->out; j += COLUMNS) {
        float acc[FEW][COLUMNS] = {{0}}, x[COLUMNS], w;
        int32_t sums[COLUMNS];
        size_t n = fp_least(c->out - j, COLUMNS);
        for (size_t l = 0; l < k; l++) {
            fill_patches(&patches, x, l, 1, j, n);
            for (size_t i = 0; i < c->outputs; i++) {
                fp_fill_codes(&weights, &w, i, 1, l, 1);
                add_scaled(acc[i], x, w, n);
            }
        }
        for (size_t i = 0; i < c->outputs; i++) {
            for (size_t l = 0; l < n; l++) sums[l] = (int32_t)acc[i][l];
            finish(f->call, f->s, sums, n, group * c->outputs + i,
                   (char *)f->call->out[0].data + (at + i * c->out + j) * size);
        }
    }
}

static void few_piece(void *user, size_t begin, size_t end) {
    const struct few *f = user;
    for (size_t i = begin; i < end; i++) few_outputs(f, i / f->c->groups, i % f->c->groups);
}

static int run(struct fp_call *call) {
    const struct conv *c = call->state;
    const struct slots *s = &SLOTS[call->op->variant];
    size_t bytes, samples = (size_t)call->in[s->x]->dims[0];
    if (call->out[0].count == 0) return FINEPRUNE_OK;
    if (c->outputs <= FEW && c->channels * c->kernel <= 256) {
        struct few few = {.call = call, .c = c, .s = s};
        fp_pieces(fp_threads_for(call, call->out[0].count, 4096), samples * c->groups, 1, few_piece, &few);
        return FINEPRUNE_OK;
    }
    if (!fp_mul(c->outputs * c->out, sizeof(int32_t), &bytes)) return fp_call_fail(call, "the planes are too large");
    int32_t *acc = fp_take(call->memory, bytes);
    if (!acc) return fp_fail_memory(call->err, "sums", bytes);
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < samples && !status; i++)
        for (size_t g = 0; g < c->groups && !status; g++) status = run_group(call, c, s, acc, i, g);
    fp_release(call->memory, acc, bytes);
    return status;
}

const struct fp_op fp_ops_integer_conv[] = {
    {"", "ConvInteger", 10, prepare, run, NULL, 0, CONV_INTEGER, .left = "integer weight of ConvInteger",
     .arity = "rroo>r", .attributes = "auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I"},
    {"", "QLinearConv", 10, prepare, run, NULL, 0, QLINEAR_CONV, .left = "integer weight of QLinearConv",
     .arity = "rrrrrrrro>r", .attributes = "auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I"},
    {0},
};
