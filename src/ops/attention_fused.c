// SPDX-License-Identifier: Apache-2.0
// Attention and MultiHeadAttention of com.microsoft, as runtimes' graph optimizers write them: projections, biases and
// masks of several forms around the scaled dot products.
#include <math.h>
#include <stdlib.h>

#include "ops/attention_core.h"

struct fused {
    struct fp_attention core;
    struct fp_matmul projection; // Attention only
    int64_t hidden, v_hidden, fresh;
    int64_t k_fresh[4], v_fresh[4];
    float *mask; // [batch, queries or 1, keys], 0 or the filter value
    size_t mask_size;
};

static void done(void *state) {
    struct fused *f = state;
    fp_attention_done(&f->core);
    fp_matmul_done(&f->projection);
    free(f->mask);
    free(f);
}

static size_t products(const struct fp_call *call) {
    return fp_attention_products(&((const struct fused *)call->state)->core);
}

static int check_float(struct fp_call *call, int i, int rank) {
    const struct fp_tensor *t = call->in[i];
    if (t->type == FP_FLOAT && t->rank == rank) return 0;
    return fp_call_fail(call, "input %d is %s of rank %d", i, fp_type_name(t->type), t->rank);
}

// ---- masks

// The forms of a mask: [batch] ends, [2 batch] ends and starts, [batch, keys], [batch, queries, keys].
static bool mask_fits(const struct fp_attention *c, const struct fp_tensor *t) {
    if (t->type != FP_INT32) return false;
    if (t->rank == 1) return t->dims[0] == c->batch || t->dims[0] == 2 * c->batch;
    bool ends = t->rank >= 2 && t->dims[0] == c->batch && t->dims[t->rank - 1] == c->keys;
    return ends && (t->rank == 2 || (t->rank == 3 && t->dims[1] == c->queries));
}

static bool is_seen(const struct fp_attention *c, const struct fp_tensor *t, int64_t b, int64_t i, int64_t k) {
    const int32_t *m = t->data;
    if (t->rank == 1) return k < m[b] && (t->dims[0] == c->batch || k >= m[c->batch + b]);
    if (t->rank == 2) return m[b * c->keys + k] != 0;
    return m[(b * c->queries + i) * c->keys + k] != 0;
}

static int make_mask(struct fp_call *call, struct fused *f, int input) {
    struct fp_attention *c = &f->core;
    c->bias[0].data = NULL;
    if (!fp_given(call, input)) return 0;
    const struct fp_tensor *t = call->in[input];
    int64_t rows = 1;
    if (t->rank == 3) rows = c->queries;
    size_t size = (size_t)(c->batch * rows * c->keys);
    if (size > f->mask_size) {
        free(f->mask);
        f->mask_size = 0;
        f->mask = fp_calloc(size, sizeof(float));
        if (!f->mask) return fp_fail_memory(call->err, "a mask", size * sizeof(float));
        f->mask_size = size;
    }
    float filter = fp_attr_float(call->node, "mask_filter_value", -10000);
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < c->keys; k++)
                f->mask[(b * rows + i) * c->keys + k] = is_seen(c, t, b, i, k) ? 0 : filter;
    const int64_t strides[4] = {rows * c->keys, 0, fp_step_along(rows, c->keys), 1};
    c->bias[0].data = f->mask;
    memcpy(c->bias[0].strides, strides, sizeof(strides));
    return 0;
}

// [batch or 1, heads or 1, queries, keys], added to the scores.
static int check_bias(struct fp_call *call, struct fused *f, int input) {
    struct fp_attention *c = &f->core;
    c->bias[1].data = NULL;
    if (!fp_given(call, input)) return 0;
    const struct fp_tensor *t = call->in[input];
    const int64_t *d = t->dims;
    if (t->type != FP_FLOAT || t->rank != 4 || (d[0] != 1 && d[0] != c->batch) || (d[1] != 1 && d[1] != c->heads) ||
        d[2] != c->queries || d[3] != c->keys)
        return fp_call_fail(call, "the attention bias does not fit the scores");
    const int64_t strides[4] = {fp_step_along(d[0], d[1] * d[2] * d[3]), fp_step_along(d[1], d[2] * d[3]), d[3], 1};
    memcpy(c->bias[1].strides, strides, sizeof(strides));
    return 0;
}

static int check_masks(struct fp_call *call, struct fused *f, int mask, int bias) {
    if (fp_given(call, mask) && !mask_fits(&f->core, call->in[mask]))
        return fp_call_fail(call, "a mask of type %s and rank %d does not fit or is of a form that is not supported",
                            fp_type_name(call->in[mask]->type), call->in[mask]->rank);
    return check_bias(call, f, bias);
}

static int finish(struct fp_call *call, struct fused *f) {
    struct fp_attention *c = &f->core;
    c->kv_heads = c->heads;
    c->scale = fp_attr_float(call->node, "scale", 0);
    if (c->scale == 0) c->scale = 1 / sqrtf((float)c->size);
    c->causal = fp_attr_int(call->node, "unidirectional", 0) != 0;
    if (c->past) {
        fp_heads_outside(c->k_strides, c->keys, c->heads, c->size);
        fp_heads_outside(c->v_strides, c->keys, c->heads, c->v_size);
    } else {
        memcpy(c->k_strides, f->k_fresh, sizeof(c->k_strides));
        memcpy(c->v_strides, f->v_fresh, sizeof(c->v_strides));
    }
    fp_heads_inside(c->y_strides, c->queries, c->heads, c->v_size);
    const int64_t dims[] = {c->batch, c->queries, c->heads * c->v_size};
    int status = fp_out(call, 0, FP_FLOAT, 3, dims);
    if (status) return status;
    return fp_attention_make(call, c);
}

// ---- Attention: input, weights, bias, mask, past, attention bias

enum { INPUT, WEIGHTS, BIAS, MASK, PAST, SCORE_BIAS };

static int read_sizes(struct fp_call *call, struct fused *f) {
    struct fp_attention *c = &f->core;
    const struct fp_tensor *x = call->in[INPUT], *w = call->in[WEIGHTS];
    size_t n;
    const int64_t *sizes = fp_attr_ints(call->node, "qkv_hidden_sizes", &n);
    c->heads = fp_attr_int(call->node, "num_heads", 0);
    if (n == 3) {
        f->hidden = sizes[0];
        f->v_hidden = sizes[2];
    } else {
        f->hidden = w->dims[1] / 3;
        f->v_hidden = w->dims[1] / 3;
    }
    if (c->heads < 1 || f->hidden < 1 || f->v_hidden < 1 || f->hidden % c->heads || f->v_hidden % c->heads ||
        w->dims[0] != x->dims[2] || 2 * f->hidden + f->v_hidden != w->dims[1] || (n == 3 && sizes[1] != f->hidden))
        return fp_call_fail(call, "weights of [%lld,%lld] do not fit data of %lld and %lld heads",
                            (long long)w->dims[0], (long long)w->dims[1], (long long)x->dims[2], (long long)c->heads);
    c->batch = x->dims[0];
    c->queries = f->fresh = x->dims[1];
    c->size = f->hidden / c->heads;
    c->v_size = f->v_hidden / c->heads;
    return 0;
}

static int read_past(struct fp_call *call, struct fused *f) {
    struct fp_attention *c = &f->core;
    c->past = 0;
    if (fp_given(call, PAST)) {
        const struct fp_tensor *t = call->in[PAST];
        if (t->type != FP_FLOAT || t->rank != 5 || t->dims[0] != 2 || t->dims[1] != c->batch ||
            t->dims[2] != c->heads || t->dims[4] != c->size || c->size != c->v_size)
            return fp_call_fail(call, "the past does not fit");
        c->past = t->dims[3];
    }
    c->keys = c->past + f->fresh;
    const int64_t present[] = {2, c->batch, c->heads, c->keys, c->size};
    if (call->n_out > 1 && c->size != c->v_size)
        return fp_call_fail(call, "a present of keys and values of different sizes");
    return fp_out(call, 1, FP_FLOAT, 5, present);
}

static int prepare_attention(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct fused *f = fp_state(call, sizeof(*f));
    if (!f) return FINEPRUNE_LIMIT;
    if (fp_attr_int(call->node, "do_rotary", 0) || fp_attr_int(call->node, "past_present_share_buffer", 0) ||
        fp_given(call, 6))
        return fp_call_fail(call, "do_rotary and past_present_share_buffer are not supported");
    status = check_float(call, INPUT, 3);
    if (!status) status = check_float(call, WEIGHTS, 2);
    if (!status) status = read_sizes(call, f);
    if (!status) status = read_past(call, f);
    if (!status) status = check_masks(call, f, MASK, SCORE_BIAS);
    int64_t width = 2 * f->hidden + f->v_hidden, rows = f->core.batch * f->core.queries;
    if (!status && fp_given(call, BIAS) && (call->in[BIAS]->type != FP_FLOAT || call->in[BIAS]->count != (size_t)width))
        return fp_call_fail(call, "the bias has %zu values, %lld are needed", call->in[BIAS]->count, (long long)width);
    if (status) return status;
    const int64_t q[4] = {f->fresh * width, f->core.size, width, 1},
                  v[4] = {f->fresh * width, f->core.v_size, width, 1};
    memcpy(f->core.q_strides, q, sizeof(q));
    memcpy(f->k_fresh, q, sizeof(q));
    memcpy(f->v_fresh, v, sizeof(v));
    struct fp_matmul_shape s = {.m = rows,
                                .k = call->in[INPUT]->dims[2],
                                .n = width,
                                .alpha = 1,
                                .bias = fp_given(call, BIAS),
                                .pack_b = fp_is_constant(call, WEIGHTS)};
    fp_matmul_plain(&s, false, false);
    status = fp_matmul_make(call, &f->projection, &s);
    if (status) return status;
    return finish(call, f);
}

static int run_attention(struct fp_call *call) {
    struct fused *f = call->state;
    struct fp_attention *c = &f->core;
    size_t width = (size_t)(2 * f->hidden + f->v_hidden), half = (size_t)(c->batch * c->heads * c->keys * c->size);
    if (call->out[0].count == 0) return 0;
    float *rows = fp_scratch(call, FP_SCRATCH_SRC, (size_t)(c->batch * c->queries) * width * sizeof(float));
    if (!rows) return FINEPRUNE_LIMIT;
    const float *bias = fp_input_data(call, BIAS);
    int status = fp_matmul_run(call, &f->projection, call->in[INPUT]->data, call->in[WEIGHTS]->data,
                               fp_is_constant(call, WEIGHTS), bias, rows);
    if (!status) status = make_mask(call, f, MASK);
    if (status) return status;
    c->bias[1].data = fp_input_data(call, SCORE_BIAS);
    const float *k = rows + f->hidden, *v = rows + 2 * f->hidden;
    bool joins = c->past > 0 || call->n_out > 1;
    float *present = fp_output_data(call, 1);
    if (joins && call->n_out <= 1) present = fp_scratch(call, FP_SCRATCH_DST, 2 * half * sizeof(float));
    if (joins && !present) return FINEPRUNE_LIMIT;
    if (joins) {
        const float *old_k = NULL, *old_v = NULL;
        if (c->past) {
            old_k = call->in[PAST]->data;
            old_v = old_k + (size_t)(c->batch * c->heads * c->past * c->size);
        }
        fp_join_past(present, old_k, c->past, k, f->k_fresh, c->batch, c->heads, f->fresh, c->size);
        fp_join_past(present + half, old_v, c->past, v, f->v_fresh, c->batch, c->heads, f->fresh, c->v_size);
    }
    if (c->past) {
        k = present;
        v = present + half;
    }
    return fp_attention_run(call, c, rows, k, v, call->out[0].data, NULL, FP_SCORES_RAW);
}

// ---- MultiHeadAttention: query, key, value, bias, padding mask, attention bias, past key, past value

enum { QUERY, KEY, VALUE, MHA_BIAS, PADDING, MHA_SCORE_BIAS, PAST_KEY, PAST_VALUE };

// Each of query, key and value may lie in a tensor of its own or packed with others, between the elements of one head.
struct source {
    const struct fp_tensor *t;
    int64_t strides[4], at;
};

static int read_sources(struct fp_call *call, struct fused *f, struct source s[3]) {
    struct fp_attention *c = &f->core;
    const struct fp_tensor *q = call->in[QUERY], *k = fp_input(call, KEY), *v = fp_input(call, VALUE);
    int64_t h = c->heads = fp_attr_int(call->node, "num_heads", 0);
    if (h < 1 || q->type != FP_FLOAT || (k && k->type != FP_FLOAT) || (v && v->type != FP_FLOAT))
        return fp_call_fail(call, "num_heads is %lld, or inputs are not float32", (long long)h);
    c->batch = q->dims[0];
    if (q->rank == 5 && !k && q->dims[2] == h && q->dims[3] == 3) {
        c->queries = f->fresh = q->dims[1];
        c->size = c->v_size = q->dims[4];
        for (int i = 0; i < 3; i++)
            s[i] = (struct source){q, {c->queries * h * 3 * c->size, 3 * c->size, h * 3 * c->size, 1}, i * c->size};
        return 0;
    }
    if (q->rank != 3 || !k || q->dims[2] % h || k->dims[0] != c->batch)
        return fp_call_fail(call, "queries of rank %d in this form are not supported", q->rank);
    c->queries = q->dims[1];
    c->size = c->v_size = q->dims[2] / h;
    s[0].t = q;
    s[0].at = 0;
    fp_heads_inside(s[0].strides, c->queries, h, c->size);
    if (k->rank == 5 && !v && k->dims[2] == h && k->dims[3] == 2 && k->dims[4] == c->size) {
        f->fresh = k->dims[1];
        for (int i = 1; i < 3; i++)
            s[i] = (struct source){k, {f->fresh * h * 2 * c->size, 2 * c->size, h * 2 * c->size, 1}, (i - 1) * c->size};
        return 0;
    }
    if (!v || k->rank != v->rank || v->dims[0] != c->batch)
        return fp_call_fail(call, "keys and values in this form are not supported");
    s[1] = (struct source){.t = k};
    s[2] = (struct source){.t = v};
    if (k->rank == 4 && k->dims[1] == h && v->dims[1] == h && k->dims[2] == v->dims[2] && k->dims[3] == c->size) {
        f->fresh = k->dims[2];
        c->v_size = v->dims[3];
        fp_heads_outside(s[1].strides, f->fresh, h, c->size);
        fp_heads_outside(s[2].strides, f->fresh, h, c->v_size);
        return 0;
    }
    if (k->rank != 3 || k->dims[1] != v->dims[1] || k->dims[2] != q->dims[2] || v->dims[2] % h)
        return fp_call_fail(call, "keys and values do not fit the queries");
    f->fresh = k->dims[1];
    c->v_size = v->dims[2] / h;
    fp_heads_inside(s[1].strides, f->fresh, h, c->size);
    fp_heads_inside(s[2].strides, f->fresh, h, c->v_size);
    return 0;
}

static int read_pasts(struct fp_call *call, struct fused *f) {
    struct fp_attention *c = &f->core;
    c->past = 0;
    if (fp_given(call, PAST_KEY) != fp_given(call, PAST_VALUE) || fp_given(call, 8) || fp_given(call, 9))
        return fp_call_fail(call, "a past in this form is not supported");
    for (int i = PAST_KEY; i <= PAST_VALUE && fp_given(call, PAST_KEY); i++) {
        const struct fp_tensor *t = call->in[i];
        if (t->type != FP_FLOAT || t->rank != 4 || t->dims[0] != c->batch || t->dims[1] != c->heads ||
            (i > PAST_KEY && t->dims[2] != c->past) || t->dims[3] != (i == PAST_KEY ? c->size : c->v_size))
            return fp_call_fail(call, "input %d does not fit as a past", i);
        c->past = t->dims[2];
    }
    c->keys = c->past + f->fresh;
    const int64_t key[] = {c->batch, c->heads, c->keys, c->size}, value[] = {c->batch, c->heads, c->keys, c->v_size};
    const int64_t scores[] = {c->batch, c->heads, c->queries, c->keys};
    int status = fp_out(call, 1, FP_FLOAT, 4, key);
    if (!status) status = fp_out(call, 2, FP_FLOAT, 4, value);
    if (status) return status;
    return fp_out(call, 3, FP_FLOAT, 4, scores);
}

// With a bias the rows are copied, one after the other.
static void set_strides(struct fp_call *call, struct fused *f, const struct source s[3]) {
    struct fp_attention *c = &f->core;
    memcpy(c->q_strides, s[0].strides, sizeof(c->q_strides));
    memcpy(f->k_fresh, s[1].strides, sizeof(f->k_fresh));
    memcpy(f->v_fresh, s[2].strides, sizeof(f->v_fresh));
    if (!fp_given(call, MHA_BIAS)) return;
    fp_heads_inside(c->q_strides, c->queries, c->heads, c->size);
    fp_heads_inside(f->k_fresh, f->fresh, c->heads, c->size);
    fp_heads_inside(f->v_fresh, f->fresh, c->heads, c->v_size);
}

static int prepare_mha(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    struct fused *f = fp_state(call, sizeof(*f));
    if (!f) return FINEPRUNE_LIMIT;
    struct source s[3];
    status = read_sources(call, f, s);
    if (!status) status = read_pasts(call, f);
    if (!status) status = check_masks(call, f, PADDING, MHA_SCORE_BIAS);
    if (status) return status;
    size_t width = (size_t)(f->core.heads * (2 * f->core.size + f->core.v_size));
    if (fp_given(call, MHA_BIAS) && (call->in[MHA_BIAS]->type != FP_FLOAT || call->in[MHA_BIAS]->count != width))
        return fp_call_fail(call, "the bias has %zu values, %zu are needed", call->in[MHA_BIAS]->count, width);
    set_strides(call, f, s);
    return finish(call, f);
}

// Rows of one source plus their bias, [batch, n, heads * size].
static void add_bias(float *to, const struct source *s, const float *bias, int64_t batch, int64_t n, int64_t heads,
                     int64_t size) {
    const float *from = (const float *)s->t->data + s->at;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t h = 0; h < heads; h++, to += size)
                for (int64_t k = 0; k < size; k++)
                    to[k] = from[b * s->strides[0] + h * s->strides[1] + i * s->strides[2] + k] + bias[h * size + k];
}

// Where query, key and value are read from: the inputs themselves or copies with their bias.
static int bring_sources(struct fp_call *call, struct fused *f, const float *p[3]) {
    struct fp_attention *c = &f->core;
    struct source s[3];
    int status = read_sources(call, f, s);
    if (status) return status;
    for (int i = 0; i < 3; i++) p[i] = (const float *)s[i].t->data + s[i].at;
    if (!fp_given(call, MHA_BIAS)) return 0;
    int64_t hidden = c->heads * c->size, q = c->batch * c->queries * hidden, k = c->batch * f->fresh * hidden;
    float *made = fp_scratch(call, FP_SCRATCH_SRC,
                             (size_t)(q + k + c->batch * f->fresh * c->heads * c->v_size) * sizeof(float));
    if (!made) return FINEPRUNE_LIMIT;
    const float *bias = call->in[MHA_BIAS]->data;
    add_bias(made, &s[0], bias, c->batch, c->queries, c->heads, c->size);
    add_bias(made + q, &s[1], bias + hidden, c->batch, f->fresh, c->heads, c->size);
    add_bias(made + q + k, &s[2], bias + 2 * hidden, c->batch, f->fresh, c->heads, c->v_size);
    p[0] = made;
    p[1] = made + q;
    p[2] = made + q + k;
    return 0;
}

static int run_mha(struct fp_call *call) {
    struct fused *f = call->state;
    struct fp_attention *c = &f->core;
    const float *p[3];
    if (call->out[0].count == 0) return 0;
    int status = bring_sources(call, f, p);
    if (!status) status = make_mask(call, f, PADDING);
    if (status) return status;
    c->bias[1].data = fp_input_data(call, MHA_SCORE_BIAS);
    for (int i = 1; i < 3; i++) {
        int64_t size = c->v_size;
        const int64_t *strides = f->v_fresh;
        int scratch = FP_SCRATCH_DST;
        if (i == 1) {
            size = c->size;
            strides = f->k_fresh;
            scratch = FP_SCRATCH_B;
        }
        size_t bytes = (size_t)(c->batch * c->heads * c->keys * size) * sizeof(float);
        if (call->n_out <= i && !c->past) continue;
        float *to = fp_output_data(call, i);
        if (call->n_out <= i) to = fp_scratch(call, scratch, bytes);
        if (!to) return FINEPRUNE_LIMIT;
        const float *past = NULL;
        if (c->past) past = call->in[PAST_KEY + i - 1]->data;
        fp_join_past(to, past, c->past, p[i], strides, c->batch, c->heads, f->fresh, size);
        if (c->past) p[i] = to;
    }
    return fp_attention_run(call, c, p[0], p[1], p[2], call->out[0].data, fp_output_data(call, 3), FP_SCORES_SOFTMAX);
}

const struct fp_op fp_ops_attention_fused[] = {
    {"com.microsoft", "Attention", 1, prepare_attention, run_attention, done, FP_OP_FLOAT32 | FP_OP_ROUNDS, 0,
     .products = products, .weight = {FP_IN_1, 2, FP_VIEW_INNER}, .arity = "rrooooo>ro",
     .attributes = "do_rotary=i mask_filter_value=f num_heads=i! past_present_share_buffer=i qkv_hidden_sizes=I "
                   "rotary_embedding_dim=i scale=f unidirectional=i"},
    {"com.microsoft", "MultiHeadAttention", 1, prepare_mha, run_mha, done, FP_OP_FLOAT32, 0, NULL, products,
     .arity = "rooooooooo>rooo", .attributes = "mask_filter_value=f num_heads=i! scale=f unidirectional=i"},
    {0},
};
