// SPDX-License-Identifier: Apache-2.0
// Scaled dot products of heads, shared by the attention operators: scores = scale q k' + masks, softmax, times v.
#ifndef FP_ATTENTION_CORE_H
#define FP_ATTENTION_CORE_H

#include "kernel/dnnl_matmul.h"

enum fp_scores_kind { FP_SCORES_RAW, FP_SCORES_MASKED, FP_SCORES_CAPPED, FP_SCORES_SOFTMAX };

// Strides are those of batch, head, position and element.
struct fp_attention {
    int64_t batch, heads, kv_heads, queries, keys, size, v_size; // keys: those of the past included
    int64_t q_strides[4], k_strides[4], v_strides[4], y_strides[4];
    float scale, softcap; // softcap 0: none
    bool causal;
    int64_t past;          // query i sees keys 0..past + i when causal
    const int64_t *limits; // keys that count, per sample, or NULL
    struct {
        const float *data;
        int64_t strides[4];
    } bias[2]; // added to the scores; strides of batch, head, query, key
    struct fp_matmul scores, mix;
};
// Strides of [batch, positions, heads * size] and of [batch, heads, positions, size].
void fp_heads_inside(int64_t *strides, int64_t positions, int64_t heads, int64_t size);
void fp_heads_outside(int64_t *strides, int64_t positions, int64_t heads, int64_t size);
int fp_attention_make(struct fp_call *call, struct fp_attention *a);
// kept (may be NULL): [batch, heads, queries, keys], the scores at the stage `kind`.
int fp_attention_run(struct fp_call *call, struct fp_attention *a, const float *q, const float *k, const float *v,
                     float *y, float *kept, enum fp_scores_kind kind);
// Multiply-adds of both products.
size_t fp_attention_products(const struct fp_attention *a);
void fp_attention_done(struct fp_attention *a);
// dst [batch, heads, past + fresh, size] from past [batch, heads, past, size] (may be NULL) and fresh rows.
void fp_join_past(float *dst, const float *old, int64_t past, const float *fresh, const int64_t *strides, int64_t batch,
                  int64_t heads, int64_t n, int64_t size);

#endif
