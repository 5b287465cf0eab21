// SPDX-License-Identifier: Apache-2.0
// Normalizations of the last axes of each row: LayerNormalization, RMSNormalization and the forms of com.microsoft with
// a residual or embeddings before them.
#include <math.h>

#include "kernel/dnnl_memory.h"
#include "ops/loops.h"
#include "ops/norm_row.h"

enum { LANES = 16 };

static float sum_lanes(const float *lanes) {
    float sum = 0;
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    return sum;
}

FP_VECTOR static float sum_of(const float *x, size_t n) {
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lanes[k] += x[i + (size_t)k];
    for (size_t k = 0; i < n; i++, k++) lanes[k] += x[i];
    return sum_lanes(lanes);
}

FP_VECTOR static float squares_of(const float *x, size_t n, float mean) {
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float d = x[i + (size_t)k] - mean;
            lanes[k] += d * d;
        }
    for (size_t k = 0; i < n; i++, k++) lanes[k] += (x[i] - mean) * (x[i] - mean);
    return sum_lanes(lanes);
}

void fp_moments(const float *x, size_t n, float epsilon, float *mean, float *inverse) {
    // Long rows are cut, so that sums of large planes keep their precision.
    enum { CUT = 4096 };
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i += CUT) sum += sum_of(x + i, fp_least(n - i, CUT));
    *mean = (float)(sum / (double)n);
    for (size_t i = 0; i < n; i += CUT) squares += squares_of(x + i, fp_least(n - i, CUT), *mean);
    *inverse = 1 / sqrtf((float)(squares / (double)n) + epsilon);
}

float fp_root_mean(const float *x, size_t n, float epsilon) {
    return 1 / sqrtf(squares_of(x, n, 0) / (float)n + epsilon);
}

FP_VECTOR void fp_normalize(float *y, const float *x, size_t n, float mean, float inverse, const float *scale,
                            const float *bias) {
    if (scale && bias)
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
    else if (scale)
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * scale[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse + (bias ? bias[i] : 0);
}

// ---- LayerNormalization, RMSNormalization, SimplifiedLayerNormalization

enum { LAYER, RMS };

static int rows_of(struct fp_call *call, size_t *rows, size_t *width, int *axis) {
    const struct fp_tensor *x = call->in[0];
    int status = fp_axis(call, fp_attr_int(call->node, "axis", -1), x->rank, axis);
    if (status) return status;
    *rows = *width = 1;
    for (int i = 0; i < *axis; i++) *rows *= (size_t)x->dims[i];
    for (int i = *axis; i < x->rank; i++) *width *= (size_t)x->dims[i];
    return 0;
}

// Scale and bias may be of fewer dims than the normalized part, but not vary between rows.
static int check_parameter(struct fp_call *call, int i, int axis) {
    if (!fp_given(call, i)) return 0;
    const struct fp_tensor *x = call->in[0], *t = call->in[i];
    bool fits = t->type == FP_FLOAT && t->rank <= x->rank;
    for (int k = 0; k < t->rank && fits; k++) {
        int at = k + x->rank - t->rank;
        fits = t->dims[k] == 1 || (at >= axis && t->dims[k] == x->dims[at]);
    }
    char shape[160];
    if (fits) return 0;
    return fp_call_fail(call, "input %d of shape %s does not broadcast to the axes from %d on", i,
                        fp_shape_text(shape, sizeof(shape), t->rank, t->dims), axis);
}

static int prepare_layer(struct fp_call *call) {
    size_t rows, width;
    int axis, status = fp_need(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->type != FP_FLOAT) return fp_call_fail(call, "data of type %s are not supported", fp_type_name(x->type));
    status = rows_of(call, &rows, &width, &axis);
    for (int i = 1; i < 3 && !status; i++) status = check_parameter(call, i, axis);
    if (!status) status = fp_out_like(call, 0, 0);
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        dims[i] = 1;
        if (i < axis) dims[i] = x->dims[i];
    }
    for (int i = 1; i < call->n_out && i < 3 && !status; i++) status = fp_out(call, i, FP_FLOAT, x->rank, dims);
    return status;
}

// The parameter as one value per element of a row.
static int spread(struct fp_call *call, int i, int axis, size_t width, int purpose, const float **out) {
    *out = NULL;
    if (!fp_given(call, i)) return 0;
    const struct fp_tensor *x = call->in[0], *t = call->in[i];
    *out = t->data;
    if (t->count == width) return 0;
    float *to = fp_scratch(call, purpose, width * sizeof(float));
    if (!to) return FINEPRUNE_LIMIT;
    int64_t strides[FP_MAX_RANK];
    fp_broadcast_strides(t, x->rank, x->dims, strides);
    for (size_t k = 0; k < width; k++) {
        size_t rest = k;
        int64_t at = 0;
        for (int d = x->rank - 1; d >= axis; d--) {
            at += (int64_t)(rest % (size_t)x->dims[d]) * strides[d];
            rest /= (size_t)x->dims[d];
        }
        to[k] = ((const float *)t->data)[at];
    }
    *out = to;
    return 0;
}

static int run_layer(struct fp_call *call) {
    size_t rows, width;
    int axis, status = rows_of(call, &rows, &width, &axis);
    const float *scale, *bias;
    if (!status) status = spread(call, 1, axis, width, FP_SCRATCH_A, &scale);
    if (!status) status = spread(call, 2, axis, width, FP_SCRATCH_B, &bias);
    if (status || call->in[0]->count == 0) return status;
    bool rms = call->op->variant == RMS;
    float epsilon = fp_attr_float(call->node, "epsilon", 1e-5f);
    float *means = NULL, *inverses = fp_output_data(call, 1);
    if (!rms) {
        means = inverses;
        inverses = fp_output_data(call, 2);
    }
#pragma omp parallel for num_threads(call->threads) if (call->in[0]->count > 20000)
    for (size_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0]->data + r * width;
        float mean = 0, inverse;
        if (rms) inverse = fp_root_mean(x, width, epsilon);
        else fp_moments(x, width, epsilon, &mean, &inverse);
        if (means) means[r] = mean;
        if (inverses) inverses[r] = inverse;
        fp_normalize((float *)call->out[0].data + r * width, x, width, mean, inverse, scale, bias);
    }
    return 0;
}

// ---- com.microsoft: a residual and a bias before the normalization

// Inputs: data, skip, scale, (layer form: beta,) bias. Outputs: result, mean, inverse, sum.
static int prepare_skip(struct fp_call *call) {
    int status = fp_need(call, 3);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    for (int i = 0; i < call->n_in; i++)
        if (fp_given(call, i) && call->in[i]->type != FP_FLOAT)
            return fp_call_fail(call, "input %d has type %s", i, fp_type_name(call->in[i]->type));
    if (x->rank < 2) return fp_call_fail(call, "data of rank %d", x->rank);
    size_t width = (size_t)x->dims[x->rank - 1];
    for (int i = 2; i < call->n_in; i++)
        if (fp_given(call, i) && call->in[i]->count != width)
            return fp_call_fail(call, "input %d has %zu values for rows of %zu", i, call->in[i]->count, width);
    const struct fp_tensor *skip = call->in[1];
    if (x->count && (skip->count == 0 || x->count % skip->count || skip->dims[skip->rank - 1] != x->dims[x->rank - 1]))
        return fp_call_fail(call, "the skip of %zu values does not fit data of %zu", skip->count, x->count);
    status = fp_out_like(call, 0, 0);
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, x->dims, sizeof(dims));
    dims[x->rank - 1] = 1;
    for (int i = 1; i < 3 && i < call->n_out && !status; i++) status = fp_out(call, i, FP_FLOAT, x->rank, dims);
    if (!status && call->n_out > 3) status = fp_out_like(call, 3, 0);
    return status;
}

static void add_rows(float *sum, const float *x, const float *skip, const float *bias, size_t n) {
    for (size_t i = 0; i < n; i++) sum[i] = x[i] + skip[i] + (bias ? bias[i] : 0);
}

static int run_skip(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *skip = call->in[1];
    bool rms = call->op->variant == RMS;
    int at_bias = 4;
    if (rms) at_bias = 3;
    const float *scale = call->in[2]->data, *beta = NULL;
    if (!rms) beta = fp_input_data(call, 3);
    const float *bias = fp_input_data(call, at_bias);
    size_t width = (size_t)x->dims[x->rank - 1], rows = fp_shares(x->count, width);
    float epsilon = fp_attr_float(call->node, "epsilon", 1e-12f);
#pragma omp parallel for num_threads(call->threads) if (x->count > 20000)
    for (size_t r = 0; r < rows; r++) {
        float *y = (float *)call->out[0].data + r * width, *sum = y;
        if (call->n_out > 3) sum = (float *)call->out[3].data + r * width;
        float mean = 0, inverse;
        add_rows(sum, (const float *)x->data + r * width, (const float *)skip->data + r * width % skip->count, bias,
                 width);
        if (rms) inverse = fp_root_mean(sum, width, epsilon);
        else fp_moments(sum, width, epsilon, &mean, &inverse);
        if (call->n_out > 1) ((float *)call->out[1].data)[r] = mean;
        if (call->n_out > 2) ((float *)call->out[2].data)[r] = inverse;
        fp_normalize(y, sum, width, mean, inverse, scale, beta);
    }
    return 0;
}

// ---- com.microsoft EmbedLayerNormalization: sum of word, position and segment embeddings, normalized

enum { IDS, SEGMENT_IDS, WORDS, POSITIONS, SEGMENTS, GAMMA, BETA, MASK, POSITION_IDS };

static int check_embedding(struct fp_call *call) {
    int status = fp_need(call, 1);
    for (int i = WORDS; i <= BETA && !status; i++)
        if (i != SEGMENTS && !fp_given(call, i)) return fp_call_fail(call, "input %d is missing", i);
    if (status) return status;
    const struct fp_tensor *ids = call->in[IDS];
    int64_t width = -1;
    if (call->in[WORDS]->rank == 2) width = call->in[WORDS]->dims[1];
    for (int i = WORDS; i <= SEGMENTS; i++)
        if (fp_given(call, i) &&
            (call->in[i]->type != FP_FLOAT || call->in[i]->rank != 2 || call->in[i]->dims[1] != width))
            return fp_call_fail(call, "input %d is no table of embeddings", i);
    if (call->in[GAMMA]->count != (size_t)width || call->in[BETA]->count != (size_t)width)
        return fp_call_fail(call, "gamma and beta do not have %lld values", (long long)width);
    static const int whole[] = {IDS, SEGMENT_IDS, MASK};
    for (size_t k = 0; k < FP_COUNT(whole); k++) {
        const struct fp_tensor *t = ids;
        if (fp_given(call, whole[k])) t = call->in[whole[k]];
        if (t->type != FP_INT32 || t->rank != 2 || !fp_same_shape(t, ids))
            return fp_call_fail(call, "input %d must be int32 [batch, sequence]", whole[k]);
    }
    if (fp_given(call, SEGMENTS) && !fp_given(call, SEGMENT_IDS))
        return fp_call_fail(call, "segment embeddings need segment ids");
    if (fp_given(call, POSITION_IDS) &&
        (call->in[POSITION_IDS]->type != FP_INT32 || ids->count % call->in[POSITION_IDS]->count))
        return fp_call_fail(call, "position ids do not fit");
    return 0;
}

static int prepare_embedding(struct fp_call *call) {
    int status = check_embedding(call);
    if (status) return status;
    const int64_t *d = call->in[IDS]->dims;
    const int64_t dims[] = {d[0], d[1], call->in[WORDS]->dims[1]};
    status = fp_out(call, 0, FP_FLOAT, 3, dims);
    if (!status) status = fp_out(call, 1, FP_INT32, 1, dims);
    if (status) return status;
    return fp_out(call, 2, FP_FLOAT, 3, dims);
}

static int add_embedding(struct fp_call *call, int table, int64_t id, float *sum) {
    const struct fp_tensor *t = call->in[table];
    if (id < 0 || id >= t->dims[0])
        return fp_call_fail(call, "id %lld is outside the %lld rows of input %d", (long long)id, (long long)t->dims[0],
                            table);
    const float *row = (const float *)t->data + id * t->dims[1];
    for (int64_t i = 0; i < t->dims[1]; i++) sum[i] += row[i];
    return 0;
}

static void count_mask(struct fp_call *call) {
    const struct fp_tensor *ids = call->in[IDS];
    int32_t *counts = call->out[1].data;
    for (int64_t b = 0; b < ids->dims[0]; b++) {
        counts[b] = 0;
        for (int64_t s = 0; s < ids->dims[1] && fp_given(call, MASK); s++)
            counts[b] += ((const int32_t *)call->in[MASK]->data)[b * ids->dims[1] + s] == 1;
    }
}

static int run_embedding(struct fp_call *call) {
    const struct fp_tensor *ids = call->in[IDS];
    size_t width = (size_t)call->in[WORDS]->dims[1], length = (size_t)ids->dims[1];
    float epsilon = fp_attr_float(call->node, "epsilon", 1e-12f), mean, inverse;
    for (size_t r = 0; r < ids->count; r++) {
        float *y = (float *)call->out[0].data + r * width;
        const struct fp_tensor *p = fp_input(call, POSITION_IDS);
        memset(y, 0, width * sizeof(*y));
        int status = add_embedding(call, WORDS, ((const int32_t *)ids->data)[r], y);
        int64_t position = (int64_t)(r % length);
        if (p) position = ((const int32_t *)p->data)[r % p->count];
        if (!status) status = add_embedding(call, POSITIONS, position, y);
        if (!status && fp_given(call, SEGMENTS))
            status = add_embedding(call, SEGMENTS, ((const int32_t *)call->in[SEGMENT_IDS]->data)[r], y);
        if (status) return status;
        if (call->n_out > 2) memcpy((float *)call->out[2].data + r * width, y, width * sizeof(*y));
        fp_moments(y, width, epsilon, &mean, &inverse);
        fp_normalize(y, y, width, mean, inverse, call->in[GAMMA]->data, call->in[BETA]->data);
    }
    if (call->n_out > 1) count_mask(call);
    return 0;
}

const struct fp_op fp_ops_norm_layer[] = {
    {"", "LayerNormalization", 1, prepare_layer, run_layer, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, LAYER, NULL,
     .passage = FP_PASSAGE_MIXES, .arity = "rro>roo", .attributes = "axis=i epsilon=f stash_type=i"},
    {"", "RMSNormalization", 23, prepare_layer, run_layer, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, RMS, NULL,
     .passage = FP_PASSAGE_MIXES, .arity = "rr>r", .attributes = "axis=i epsilon=f stash_type=i"},
    {"", "SimplifiedLayerNormalization", 1, prepare_layer, run_layer, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, RMS, NULL,
     .passage = FP_PASSAGE_MIXES, .arity = "rr>ro", .attributes = "axis=i epsilon=f stash_type=i"},
    {"com.microsoft", "SimplifiedLayerNormalization", 1, prepare_layer, run_layer, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS,
     RMS, NULL, .arity = "rr>ro", .attributes = "axis=i epsilon=f stash_type=i"},
    {"com.microsoft", "SkipLayerNormalization", 1, prepare_skip, run_skip, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, LAYER,
     NULL, .arity = "rrroo>rooo", .attributes = "epsilon=f"},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, prepare_skip, run_skip, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS,
     RMS, NULL, .arity = "rrro>rooo", .attributes = "epsilon=f"},
    {"com.microsoft", "EmbedLayerNormalization", 1, prepare_embedding, run_embedding, NULL, FP_OP_FLOAT32, 0, NULL,
     .arity = "rorrorroo>roo", .attributes = "epsilon=f mask_index_type=i"},
    {0},
};
