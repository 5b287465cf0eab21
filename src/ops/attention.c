// SPDX-License-Identifier: Apache-2.0
// Attention and RotaryEmbedding of ai.onnx.
#include <math.h>
#include <stdlib.h>

#include "ops/attention_core.h"

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, LENGTHS };

struct attention {
    struct fp_attention core;
    int64_t fresh; // keys without those of the past
    int64_t k_fresh[4], v_fresh[4];
    bool joins; // keys and values are put together with the past
    int64_t mask_dims[4];
};

static void done(void *state) {
    struct attention *a = state;
    fp_attention_done(&a->core);
    free(a);
}

static size_t products(const struct fp_call *call) {
    return fp_attention_products(&((const struct attention *)call->state)->core);
}

// ---- prepare

// Heads, positions and size of q, k or v.
static int read_heads(struct fp_call *call, int i, int64_t heads, int64_t *n_heads, int64_t *positions, int64_t *size,
                      int64_t *strides) {
    const struct fp_tensor *t = call->in[i];
    if (t->type != FP_FLOAT || (t->rank != 3 && t->rank != 4) || t->rank != call->in[Q]->rank ||
        t->dims[0] != call->in[Q]->dims[0])
        return fp_call_fail(call, "input %d has type %s and rank %d", i, fp_type_name(t->type), t->rank);
    if (t->rank == 4) {
        *n_heads = t->dims[1];
        *positions = t->dims[2];
        *size = t->dims[3];
        fp_heads_outside(strides, *positions, *n_heads, *size);
        if (*n_heads < 1) return fp_call_fail(call, "input %d has no heads", i);
        return 0;
    }
    if (heads < 1 || t->dims[2] % heads)
        return fp_call_fail(call, "%lld elements of input %d do not make %lld heads", (long long)t->dims[2], i,
                            (long long)heads);
    *n_heads = heads;
    *positions = t->dims[1];
    *size = t->dims[2] / heads;
    fp_heads_inside(strides, *positions, heads, *size);
    return 0;
}

static int read_inputs(struct fp_call *call, struct attention *a) {
    struct fp_attention *c = &a->core;
    int64_t heads = fp_attr_int(call->node, "q_num_heads", 0), kv_heads = fp_attr_int(call->node, "kv_num_heads", 0), n,
            positions, size;
    int status = read_heads(call, Q, heads, &c->heads, &c->queries, &c->size, c->q_strides);
    if (!status) status = read_heads(call, K, kv_heads, &c->kv_heads, &a->fresh, &size, a->k_fresh);
    if (!status && size != c->size)
        return fp_call_fail(call, "heads of %lld and %lld elements", (long long)c->size, (long long)size);
    if (!status) status = read_heads(call, V, kv_heads, &n, &positions, &c->v_size, a->v_fresh);
    if (!status && (n != c->kv_heads || positions != a->fresh || c->heads % n))
        return fp_call_fail(call, "%lld heads of queries, %lld of keys, %lld of values", (long long)c->heads,
                            (long long)c->kv_heads, (long long)n);
    c->batch = call->in[Q]->dims[0];
    return status;
}

static int read_past(struct fp_call *call, struct attention *a) {
    struct fp_attention *c = &a->core;
    c->past = 0;
    for (int i = PAST_KEY; i <= PAST_VALUE; i++) {
        if (!fp_given(call, i)) continue;
        const struct fp_tensor *t = call->in[i];
        int64_t size = c->v_size;
        if (i == PAST_KEY) size = c->size;
        if (!fp_given(call, PAST_KEY) || t->type != FP_FLOAT || t->rank != 4 || t->dims[0] != c->batch ||
            t->dims[1] != c->kv_heads || t->dims[3] != size || t->dims[2] != call->in[PAST_KEY]->dims[2])
            return fp_call_fail(call, "input %d does not fit as a past", i);
        c->past = t->dims[2];
    }
    if (c->past && !fp_given(call, PAST_VALUE)) return fp_call_fail(call, "a past key without a past value");
    c->keys = c->past + a->fresh;
    a->joins = c->past > 0;
    memcpy(c->k_strides, a->k_fresh, sizeof(c->k_strides));
    memcpy(c->v_strides, a->v_fresh, sizeof(c->v_strides));
    if (a->joins) {
        fp_heads_outside(c->k_strides, c->keys, c->kv_heads, c->size);
        fp_heads_outside(c->v_strides, c->keys, c->kv_heads, c->v_size);
    }
    return 0;
}

// The mask broadcasts to [batch, heads, queries, keys]; its last dim may be shorter.
static int read_mask(struct fp_call *call, struct attention *a) {
    const struct fp_attention *c = &a->core;
    if (!fp_given(call, MASK)) return 0;
    const struct fp_tensor *t = call->in[MASK];
    const int64_t want[4] = {c->batch, c->heads, c->queries, c->keys};
    bool fits = (t->type == FP_FLOAT || t->type == FP_BOOL) && t->rank >= 1 && t->rank <= 4;
    for (int i = 0; i < 4 && fits; i++) {
        int k = i - (4 - t->rank);
        if (k < 0) a->mask_dims[i] = 1;
        else a->mask_dims[i] = t->dims[k];
        if (a->mask_dims[i] == want[i]) continue;
        if (i < 3) fits = a->mask_dims[i] == 1;
        else fits = a->mask_dims[i] < want[i];
    }
    char shape[160];
    if (fits) return 0;
    return fp_call_fail(call, "a mask of type %s and shape %s does not fit", fp_type_name(t->type),
                        fp_shape_text(shape, sizeof(shape), t->rank, t->dims));
}

static int set_outputs(struct fp_call *call, const struct attention *a) {
    const struct fp_attention *c = &a->core;
    const int64_t flat[] = {c->batch, c->queries, c->heads * c->v_size},
                  apart[] = {c->batch, c->heads, c->queries, c->v_size};
    const int64_t key[] = {c->batch, c->kv_heads, c->keys, c->size},
                  value[] = {c->batch, c->kv_heads, c->keys, c->v_size};
    const int64_t scores[] = {c->batch, c->heads, c->queries, c->keys};
    bool is_flat = call->in[Q]->rank == 3;
    int status;
    if (is_flat) status = fp_out(call, 0, FP_FLOAT, 3, flat);
    else status = fp_out(call, 0, FP_FLOAT, 4, apart);
    if (!status) status = fp_out(call, 1, FP_FLOAT, 4, key);
    if (!status) status = fp_out(call, 2, FP_FLOAT, 4, value);
    if (status) return status;
    return fp_out(call, 3, FP_FLOAT, 4, scores);
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 3);
    if (status) return status;
    struct attention *a = fp_state(call, sizeof(*a));
    if (!a) return FINEPRUNE_LIMIT;
    struct fp_attention *c = &a->core;
    status = read_inputs(call, a);
    if (!status) status = read_past(call, a);
    if (!status) status = read_mask(call, a);
    if (!status) status = set_outputs(call, a);
    if (status) return status;
    if (fp_given(call, LENGTHS) &&
        (call->in[LENGTHS]->type != FP_INT64 || call->in[LENGTHS]->count != (size_t)c->batch))
        return fp_call_fail(call, "nonpad_kv_seqlen must be %lld int64 values", (long long)c->batch);
    c->scale = fp_attr_float(call->node, "scale", 1 / sqrtf((float)c->size));
    c->softcap = fp_attr_float(call->node, "softcap", 0);
    c->causal = fp_attr_int(call->node, "is_causal", 0) != 0;
    if (call->in[Q]->rank == 3) fp_heads_inside(c->y_strides, c->queries, c->heads, c->v_size);
    else fp_heads_outside(c->y_strides, c->queries, c->heads, c->v_size);
    return fp_attention_make(call, c);
}

// ---- run

static float mask_value(const struct fp_tensor *t, int64_t at) {
    if (t->type == FP_FLOAT) return ((const float *)t->data)[at];
    if (((const uint8_t *)t->data)[at]) return 0;
    return -INFINITY;
}

// Booleans become 0 and -inf, and short rows are filled up; a float mask of full length is taken as it is.
static int bring_mask(struct fp_call *call, struct attention *a) {
    struct fp_attention *c = &a->core;
    c->bias[0].data = NULL;
    if (!fp_given(call, MASK)) return 0;
    const struct fp_tensor *t = call->in[MASK];
    const int64_t *d = a->mask_dims;
    int64_t rows = d[0] * d[1] * d[2], step = c->keys * d[2];
    const int64_t strides[4] = {fp_step_along(d[0], step * d[1]), fp_step_along(d[1], step),
                                fp_step_along(d[2], c->keys), 1};
    memcpy(c->bias[0].strides, strides, sizeof(strides));
    c->bias[0].data = t->data;
    if (t->type == FP_FLOAT && d[3] == c->keys) return 0;
    float *made = fp_scratch(call, FP_SCRATCH_B, (size_t)(rows * c->keys) * sizeof(float));
    if (!made) return FINEPRUNE_LIMIT;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < c->keys; k++) {
            float *to = &made[r * c->keys + k];
            *to = -INFINITY;
            if (k < d[3]) *to = mask_value(t, r * d[3] + k);
        }
    c->bias[0].data = made;
    return 0;
}

// Keys (which 0) or values (1) with their past, in the output for them or in scratch memory.
static const float *bring(struct fp_call *call, struct attention *a, int which) {
    const struct fp_attention *c = &a->core;
    int64_t size = c->size;
    const int64_t *strides = a->k_fresh;
    int scratch = FP_SCRATCH_SRC;
    if (which) {
        size = c->v_size;
        strides = a->v_fresh;
        scratch = FP_SCRATCH_DST;
    }
    const float *fresh = call->in[K + which]->data;
    float *joined = fp_output_data(call, 1 + which);
    if (!joined && !a->joins) return fresh;
    if (!joined) joined = fp_scratch(call, scratch, (size_t)(c->batch * c->kv_heads * c->keys * size) * sizeof(float));
    if (!joined) return NULL;
    const float *past = NULL;
    if (c->past) past = call->in[PAST_KEY + which]->data;
    fp_join_past(joined, past, c->past, fresh, strides, c->batch, c->kv_heads, a->fresh, size);
    if (a->joins) return joined;
    return fresh;
}

static int run(struct fp_call *call) {
    struct attention *a = call->state;
    if (call->out[0].count == 0) return 0;
    int status = bring_mask(call, a);
    if (status) return status;
    const float *k = bring(call, a, 0), *v = NULL;
    if (k) v = bring(call, a, 1);
    if (!v) return FINEPRUNE_LIMIT;
    a->core.limits = fp_input_data(call, LENGTHS);
    return fp_attention_run(call, &a->core, call->in[Q]->data, k, v, call->out[0].data, fp_output_data(call, 3),
                            (enum fp_scores_kind)fp_attr_int(call->node, "qk_matmul_output_mode", 0));
}

// ---- RotaryEmbedding

// com.microsoft has the position ids before the caches.
struct rotary {
    int cos, sin, ids;
    int64_t batch, heads, positions, size, turned;
    int64_t strides[4];
};

static int read_rotary(struct fp_call *call, struct rotary *r) {
    bool ours = !*call->node->domain;
    *r = (struct rotary){.cos = 2, .sin = 3, .ids = 1};
    if (ours) *r = (struct rotary){.cos = 1, .sin = 2, .ids = 3};
    const struct fp_tensor *x = call->in[0];
    if (!fp_given(call, r->cos) || !fp_given(call, r->sin) || x->type != FP_FLOAT || (x->rank != 3 && x->rank != 4))
        return fp_call_fail(call, "data of type %s and rank %d", fp_type_name(x->type), x->rank);
    const struct fp_tensor *cosines = call->in[r->cos];
    int64_t heads = fp_attr_int(call->node, "num_heads", 0);
    r->turned = fp_attr_int(call->node, "rotary_embedding_dim", 0);
    if (!heads && x->rank == 3 && !ours && cosines->rank == 2 && cosines->dims[1] > 0)
        heads = x->dims[2] / (2 * cosines->dims[1]);
    r->batch = x->dims[0];
    r->heads = heads;
    r->positions = x->dims[1];
    if (x->rank == 4) {
        r->heads = x->dims[1];
        r->positions = x->dims[2];
    }
    if (r->heads < 1 || (x->rank == 3 && x->dims[2] % r->heads))
        return fp_call_fail(call, "num_heads is %lld", (long long)r->heads);
    if (x->rank == 4) r->size = x->dims[3];
    else r->size = x->dims[2] / r->heads;
    if (r->turned == 0) r->turned = r->size;
    if (r->turned < 0 || r->turned > r->size || r->turned % 2)
        return fp_call_fail(call, "rotary_embedding_dim %lld of heads of %lld", (long long)r->turned,
                            (long long)r->size);
    if (x->rank == 4) fp_heads_outside(r->strides, r->positions, r->heads, r->size);
    else fp_heads_inside(r->strides, r->positions, r->heads, r->size);
    return 0;
}

static int check_caches(struct fp_call *call, const struct rotary *r) {
    const struct fp_tensor *c = call->in[r->cos], *s = call->in[r->sin];
    bool by_id = fp_given(call, r->ids);
    if (c->type != FP_FLOAT || s->type != FP_FLOAT || !fp_same_shape(c, s) || c->rank != (by_id ? 2 : 3) ||
        c->dims[c->rank - 1] != r->turned / 2 ||
        (!by_id && ((c->dims[0] != r->batch && c->dims[0] != 1) || c->dims[1] != r->positions)))
        return fp_call_fail(call, "the caches do not fit the data");
    if (!by_id) return 0;
    const struct fp_tensor *ids = call->in[r->ids];
    bool one = ids->count == 1 && *call->node->domain;
    if (ids->type != FP_INT64 || (!one && ids->count != (size_t)(r->batch * r->positions)))
        return fp_call_fail(call, "position ids must be int64 [batch, sequence]");
    return 0;
}

static int prepare_rotary(struct fp_call *call) {
    struct rotary r;
    int status = fp_need(call, 2);
    if (!status) status = read_rotary(call, &r);
    if (!status) status = check_caches(call, &r);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static void turn(float *y, const float *x, const float *c, const float *s, int64_t half, bool interleaved) {
    for (int64_t i = 0; i < half; i++) {
        int64_t p = i, q = i + half;
        if (interleaved) {
            p = 2 * i;
            q = p + 1;
        }
        float a = x[p], b = x[q];
        y[p] = c[i] * a - s[i] * b;
        y[q] = s[i] * a + c[i] * b;
    }
}

static int64_t cache_row(const struct fp_call *call, const struct rotary *r, int64_t b, int64_t i) {
    if (!fp_given(call, r->ids)) {
        if (call->in[r->cos]->dims[0] == 1) return i; // caches of one sample are those of all
        return b * r->positions + i;
    }
    const struct fp_tensor *ids = call->in[r->ids];
    const int64_t *id = ids->data;
    if (ids->count == 1 && *call->node->domain) return id[0] + i;
    return id[b * r->positions + i];
}

static int run_rotary(struct fp_call *call) {
    struct rotary r;
    int status = read_rotary(call, &r);
    if (status || call->out[0].count == 0) return status;
    const float *x = call->in[0]->data, *cosines = call->in[r.cos]->data, *sines = call->in[r.sin]->data;
    float *y = call->out[0].data;
    bool interleaved = fp_attr_int(call->node, "interleaved", 0) != 0;
    float scale = 1;
    if (*call->node->domain) scale = fp_attr_float(call->node, "scale", 1);
    int64_t half = r.turned / 2, rows = 0;
    if (half) rows = (int64_t)call->in[r.cos]->count / half;
    for (int64_t b = 0; b < r.batch; b++)
        for (int64_t i = 0; i < r.positions; i++) {
            int64_t row = cache_row(call, &r, b, i);
            if (row < 0 || row >= rows)
                return fp_call_fail(call, "position %lld is outside the caches of %lld", (long long)row,
                                    (long long)rows);
            for (int64_t h = 0; h < r.heads; h++) {
                int64_t at = b * r.strides[0] + h * r.strides[1] + i * r.strides[2];
                turn(y + at, x + at, cosines + row * half, sines + row * half, half, interleaved);
                for (int64_t k = r.turned; k < r.size; k++) y[at + k] = x[at + k];
                for (int64_t k = 0; scale != 1 && k < r.size; k++) y[at + k] *= scale;
            }
        }
    return 0;
}

const struct fp_op fp_ops_attention[] = {
    {"", "Attention", 23, prepare, run, done, FP_OP_FLOAT32 | FP_OP_ROUNDS, 0, NULL, products,
     .arity = "rrrooo>rooo 24:rrroooo>rooo",
     .attributes = "is_causal=i kv_num_heads=i q_num_heads=i qk_matmul_output_mode=i scale=f softcap=f "
                   "softmax_precision=i"},
    {"", "RotaryEmbedding", 23, prepare_rotary, run_rotary, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, 0, NULL,
     .arity = "rrro>r", .attributes = "interleaved=i num_heads=i rotary_embedding_dim=i"},
    {"com.microsoft", "RotaryEmbedding", 1, prepare_rotary, run_rotary, NULL, FP_OP_FLOAT32 | FP_OP_ROUNDS, 0, NULL,
     .arity = "rrrr>r", .attributes = "interleaved=i is_packed_batching=i num_heads=i rotary_embedding_dim=i scale=f"},
    {0},
};
