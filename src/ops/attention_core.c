// SPDX-License-Identifier: Apache-2.0
// Scaled dot products of heads. Both products are oneDNN's over strided views, so that heads need not be moved apart.
#include "ops/attention_core.h"

#include <math.h>

#include "ops/loops.h"
#include "ops/vmath.h"

void fp_heads_inside(int64_t *strides, int64_t positions, int64_t heads, int64_t size) {
    const int64_t s[4] = {positions * heads * size, size, heads * size, 1};
    memcpy(strides, s, sizeof(s));
}

void fp_heads_outside(int64_t *strides, int64_t positions, int64_t heads, int64_t size) {
    const int64_t s[4] = {heads * positions * size, positions * size, size, 1};
    memcpy(strides, s, sizeof(s));
}

size_t fp_attention_products(const struct fp_attention *a) {
    return (size_t)a->batch * (size_t)a->heads * (size_t)a->queries * (size_t)a->keys * (size_t)(a->size + a->v_size);
}

void fp_attention_done(struct fp_attention *a) {
    fp_matmul_done(&a->scores);
    fp_matmul_done(&a->mix);
}

void fp_join_past(float *dst, const float *old, int64_t past, const float *fresh, const int64_t *strides, int64_t batch,
                  int64_t heads, int64_t n, int64_t size) {
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++) {
            float *to = dst + (b * heads + h) * (past + n) * size;
            if (past) memcpy(to, old + (b * heads + h) * past * size, (size_t)(past * size) * sizeof(*to));
            const float *from = fresh + b * strides[0] + h * strides[1];
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < size; k++) to[(past + i) * size + k] = from[i * strides[2] + k * strides[3]];
        }
}

// Batch dims are samples, heads of keys, and heads of queries that share one of those.
static void fill_batch(const struct fp_attention *a, struct fp_matmul_shape *s, const int64_t *left,
                       const int64_t *right, const int64_t *out) {
    int64_t group = a->heads / a->kv_heads;
    s->alpha = 1;
    if (group > 1) s->batch = 3;
    else s->batch = 2;
    s->a_batch[0] = s->b_batch[0] = a->batch;
    s->a_batch[1] = s->b_batch[1] = a->kv_heads;
    s->a_batch[2] = group;
    s->b_batch[2] = 1;
    const int64_t *from[3] = {left, right, out};
    int64_t *to[3] = {s->a_strides, s->b_strides, s->c_strides};
    for (int i = 0; i < 3; i++) {
        to[i][0] = from[i][0];
        to[i][1] = from[i][1] * group;
        to[i][2] = from[i][1];
        if (i == 1) { // the group shares its keys and values
            to[i][1] = from[i][1];
            to[i][2] = 0;
        }
        to[i][s->batch] = from[i][2];
        to[i][s->batch + 1] = from[i][3];
    }
    if (group > 1) s->b_strides[2] = from[1][1];
}

int fp_attention_make(struct fp_call *call, struct fp_attention *a) {
    int64_t table[4];
    fp_heads_outside(table, a->queries, a->heads, a->keys);
    const int64_t flipped[4] = {a->k_strides[0], a->k_strides[1], a->k_strides[3], a->k_strides[2]};
    struct fp_matmul_shape s = {.m = a->queries, .k = a->size, .n = a->keys};
    fill_batch(a, &s, a->q_strides, flipped, table);
    int status = fp_matmul_make(call, &a->scores, &s);
    if (status) return status;
    struct fp_matmul_shape m = {.m = a->queries, .k = a->keys, .n = a->v_size};
    fill_batch(a, &m, table, a->v_strides, a->y_strides);
    return fp_matmul_make(call, &a->mix, &m);
}

// ---- one row of scores

FP_VECTOR static void scale_row(float *x, int64_t n, float scale) {
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
}

FP_VECTOR static void add_row(float *x, const float *bias, int64_t n, int64_t step) {
    if (step == 1)
        for (int64_t i = 0; i < n; i++) x[i] += bias[i];
    else
        for (int64_t i = 0; i < n; i++) x[i] += bias[i * step];
}

FP_VECTOR static void cap_row(float *x, int64_t n, float cap) {
    for (int64_t i = 0; i < n; i++) x[i] = fp_tanh(x[i] / cap) * cap;
}

enum { LANES = 16 };

FP_VECTOR static float largest(const float *x, int64_t n) {
    float lanes[LANES], max;
    int64_t i = 0;
    for (int k = 0; k < LANES; k++) lanes[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lanes[k] = fp_most_float(x[i + k], lanes[k]);
    max = lanes[0];
    for (int k = 1; k < LANES; k++) max = fp_most_float(lanes[k], max);
    for (; i < n; i++) max = fp_most_float(x[i], max);
    return max;
}

FP_VECTOR static float exponents(float *x, int64_t n, float max) {
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i < n; i++) x[i] = fp_exp(x[i] - max);
    for (i = 0; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lanes[k] += x[i + k];
    for (; i < n; i++) sum += x[i];
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    return sum;
}

static void softmax_row(float *x, int64_t n) {
    float max = largest(x, n);
    scale_row(x, n, 1 / exponents(x, n, max));
    for (int64_t i = 0; max == -INFINITY && i < n; i++) x[i] = NAN; // nothing is seen
}

static void mask_row(const struct fp_attention *a, float *x, int64_t b, int64_t h, int64_t i) {
    for (int k = 0; k < 2; k++) {
        const int64_t *s = a->bias[k].strides;
        if (a->bias[k].data) add_row(x, a->bias[k].data + b * s[0] + h * s[1] + i * s[2], a->keys, s[3]);
    }
    int64_t seen = a->keys;
    if (a->causal && a->past + i + 1 < a->keys) seen = a->past + i + 1;
    if (a->limits && a->limits[b] < seen) seen = fp_most_int(a->limits[b], 0);
    for (int64_t k = seen; k < a->keys; k++) x[k] = -INFINITY;
}

static void finish_row(const struct fp_attention *a, float *x, int64_t row, float *kept, enum fp_scores_kind kind) {
    int64_t i = row % a->queries, h = row / a->queries % a->heads, b = row / a->queries / a->heads;
    size_t bytes = (size_t)a->keys * sizeof(*x);
    scale_row(x, a->keys, a->scale);
    if (kept && kind == FP_SCORES_RAW) memcpy(kept, x, bytes);
    mask_row(a, x, b, h, i);
    if (kept && kind == FP_SCORES_MASKED) memcpy(kept, x, bytes);
    if (a->softcap > 0) cap_row(x, a->keys, a->softcap);
    if (kept && kind == FP_SCORES_CAPPED) memcpy(kept, x, bytes);
    softmax_row(x, a->keys);
    if (kept && kind == FP_SCORES_SOFTMAX) memcpy(kept, x, bytes);
}

int fp_attention_run(struct fp_call *call, struct fp_attention *a, const float *q, const float *k, const float *v,
                     float *y, float *kept, enum fp_scores_kind kind) {
    int64_t rows = a->batch * a->heads * a->queries;
    float *table = fp_scratch(call, FP_SCRATCH_A, (size_t)(rows * a->keys) * sizeof(float));
    if (!table) return FINEPRUNE_LIMIT;
    int status = fp_matmul_run(call, &a->scores, q, k, false, NULL, table);
    if (status) return status;
#pragma omp parallel for num_threads(call->threads) if (rows * a->keys > 20000)
    for (int64_t r = 0; r < rows; r++) finish_row(a, table + r * a->keys, r, kept ? kept + r * a->keys : NULL, kind);
    return fp_matmul_run(call, &a->mix, table, v, false, NULL, y);
}
