// SPDX-License-Identifier: Apache-2.0
// Convolutions and their transposes, over channels-last data whatever the model says: that is what oneDNN is fast with,
// and the result stays so for the operators that take it.
#include <math.h>
#include <stdlib.h>

#include "base/threads.h"
#include "kernel/channels_last.h"
#include "kernel/dnnl_parts.h"
#include "kernel/dnnl_tail.h"
#include "ops/window.h"

enum { DOWN, UP }; // variants: Conv, ConvTranspose

struct conv {
    struct fp_prim prim;
    struct move {
        struct fp_prim prim;
        bool needed;
        size_t bytes;
    } src, dst; // to and from the order that the primitive wants
    struct fp_tail_place place;
    struct fp_tail tail[FP_TAIL_MAX];
    // A normalization that follows is folded in: factors of the output channels, then the biases that result.
    bool folds;
    float *factors, *bias;
    float *weights; // scaled, when the primitive takes them as they are
    size_t weights_size;
    // Where sums would depend on the batch or the threads: the samples, one by one; what lies between them in an
    // argument is in `steps`. Else 0.
    int64_t samples;
    struct step {
        int arg;
        size_t bytes;
        const char *data;
    } steps[2 + FP_TAIL_MAX];
    int n_steps;
};

struct geometry {
    struct fp_window w;
    int64_t groups, in_channels, out_channels;
    struct fp_tensor x, weights, y; // as oneDNN is told that they lie
};

static void done(void *state) {
    struct conv *c = state;
    fp_prim_done(&c->prim);
    fp_prim_done(&c->src.prim);
    fp_prim_done(&c->dst.prim);
    fp_release(c->prim.memory, c->weights, c->weights_size);
    free(c->factors);
    free(c);
}

static int check_channels(struct fp_call *call, int variant, struct geometry *g) {
    const struct fp_tensor *x = call->in[0], *w = call->in[1];
    g->groups = fp_attr_int(call->node, "group", 1);
    g->in_channels = x->dims[1];
    if (g->groups < 1 || g->groups > INT32_MAX) return fp_call_fail(call, "group is %lld", (long long)g->groups);
    int64_t had = w->dims[1] * g->groups;
    g->out_channels = w->dims[0];
    if (variant == UP) {
        had = w->dims[0];
        g->out_channels = w->dims[1] * g->groups;
    }
    if (had != g->in_channels || had == 0 || had % g->groups)
        return fp_call_fail(call, "the data have %lld channels, the weights are for %lld in %lld groups",
                            (long long)g->in_channels, (long long)had, (long long)g->groups);
    if (g->out_channels % g->groups || g->out_channels == 0)
        return fp_call_fail(call, "%lld output channels in %lld groups", (long long)g->out_channels,
                            (long long)g->groups);
    if (fp_given(call, 2) && (call->in[2]->rank != 1 || call->in[2]->dims[0] != g->out_channels))
        return fp_call_fail(call, "the bias has %zu values for %lld channels", call->in[2]->count,
                            (long long)g->out_channels);
    return 0;
}

static int check(struct fp_call *call, int variant, struct geometry *g) {
    int status = fp_need(call, 2);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *w = call->in[1];
    if (x->rank < 3 || x->rank > 5)
        return fp_call_fail(call, "data of rank %d; 1 to 3 spatial dims are supported", x->rank);
    if (w->rank != x->rank) return fp_call_fail(call, "the data have rank %d, the weights %d", x->rank, w->rank);
    for (int i = 0; i < 3; i++)
        if (fp_given(call, i) && call->in[i]->type != FP_FLOAT)
            return fp_call_fail(call, "input %d has type %s", i, fp_type_name(call->in[i]->type));
    return check_channels(call, variant, g);
}

// ---- ConvTranspose: what the attributes say about the output

static void split_padding(struct fp_window *w, int i, int64_t total, bool upper) {
    total = fp_most_int(total, 0);
    if (upper) w->begin[i] = total / 2;
    else w->begin[i] = total - total / 2;
    w->end[i] = total - w->begin[i];
}

static int grow_window(struct fp_call *call, struct fp_window *w) {
    int64_t pads[2 * FP_WINDOW_MAX], extra[FP_WINDOW_MAX], shape[FP_WINDOW_MAX];
    int status = fp_window_ints(call, "pads", 2 * w->n, pads, 0, 0);
    if (!status) status = fp_window_ints(call, "output_padding", w->n, extra, 0, 0);
    if (!status) status = fp_window_ints(call, "output_shape", w->n, shape, 0, 0);
    if (status) return status;
    const char *pad = fp_attr_text(call->node, "auto_pad", "NOTSET");
    bool upper = strcmp(pad, "SAME_UPPER") == 0, same = upper || strcmp(pad, "SAME_LOWER") == 0,
         valid = strcmp(pad, "VALID") == 0;
    for (int i = 0; i < w->n; i++) {
        int64_t full = w->stride[i] * (w->in[i] - 1) + extra[i] + fp_window_reach(w, i);
        if (valid) {
            w->begin[i] = 0;
            w->end[i] = 0;
        } else {
            w->begin[i] = pads[i];
            w->end[i] = pads[i + w->n];
        }
        if (fp_attr_has(call->node, "output_shape")) w->out[i] = shape[i];
        else if (same) w->out[i] = w->in[i] * w->stride[i];
        else w->out[i] = full - w->begin[i] - w->end[i];
        if (fp_attr_has(call->node, "output_shape") || same) split_padding(w, i, full - w->out[i], upper);
        if (w->out[i] < 1)
            return fp_call_fail(call, "the output would have %lld elements along spatial axis %d", (long long)w->out[i],
                                i);
    }
    return 0;
}

// ---- primitives

static bool is_unit(const struct fp_window *w, int i) {
    return w->in[i] == 1 && w->kernel[i] == 1 && w->out[i] == 1 && w->begin[i] == 0 && w->end[i] == 0;
}

static void swap_axes(struct fp_window *w, int i, int k) {
    int64_t *all[] = {w->in, w->out, w->kernel, w->stride, w->dilation, w->begin, w->end};
    for (size_t a = 0; a < FP_COUNT(all); a++) {
        int64_t v = all[a][i];
        all[a][i] = all[a][k];
        all[a][k] = v;
    }
}

// oneDNN blocks the last spatial axis. Where that one is of one element (a 1-D convolution written as a 2-D one), the
// last axis that has more takes its place; nothing moves in memory.
static void look_along(struct fp_call *call, struct geometry *g) {
    struct fp_window *w = &g->w;
    int last = w->n - 1, other = last;
    while (other > 0 && is_unit(w, other)) other--;
    if (other != last) swap_axes(w, other, last);
    g->x = *call->in[0];
    g->weights = *call->in[1];
    g->y = call->out[0];
    memcpy(g->x.dims + 2, w->in, (size_t)w->n * sizeof(w->in[0]));
    memcpy(g->weights.dims + 2, w->kernel, (size_t)w->n * sizeof(w->in[0]));
    memcpy(g->y.dims + 2, w->out, (size_t)w->n * sizeof(w->in[0]));
}

// ONNX has [M, C/g, k...] for Conv and [C, M/g, k...] for ConvTranspose, oneDNN wants (g,) M/g, C/g, k... for both.
static int weight_desc(struct fp_call *call, int variant, const struct geometry *g, dnnl_memory_desc_t *plain,
                       dnnl_memory_desc_t *any) {
    const struct fp_tensor *w = &g->weights;
    int64_t lie[FP_MAX_RANK], dims[FP_MAX_RANK], strides[FP_MAX_RANK];
    fp_layout_strides(w, lie);
    int64_t out = g->out_channels / g->groups, in = g->in_channels / g->groups, first = out;
    int r = 0, at_out = 0;
    if (variant == UP) {
        first = in;
        at_out = 1;
    }
    if (g->groups > 1) {
        dims[0] = g->groups;
        strides[r++] = lie[0] * first;
    }
    dims[r] = out;
    strides[r++] = lie[at_out];
    dims[r] = in;
    strides[r++] = lie[1 - at_out];
    for (int i = 2; i < w->rank; i++) {
        dims[r] = w->dims[i];
        strides[r++] = lie[i];
    }
    int status = fp_desc_dims(call, plain, r, dims, strides);
    if (status) return status;
    return fp_desc_any(call, any, r, dims);
}

// What describes the primitive. md: source, weights as they lie, weights as oneDNN likes, bias or NULL, result.
struct described {
    int variant, team; // of the primitive (fp_desc_team)
    const struct fp_window *w;
    dnnl_memory_desc_t md[5];
};

static dnnl_status_t describe_primitive(const void *user, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                        dnnl_primitive_desc_t *desc) {
    const struct described *d = user;
    const struct fp_window *w = d->w;
    const dnnl_memory_desc_t *md = d->md;
    dnnl_dims_t stride, dilation, begin, end;
    for (int i = 0; i < w->n; i++) {
        stride[i] = w->stride[i];
        dilation[i] = w->dilation[i] - 1;
        begin[i] = w->begin[i];
        end[i] = w->end[i];
        if (d->variant == UP) // what oneDNN's check asks for when the output has extra rows
            end[i] = w->stride[i] * (w->in[i] - 1) + fp_window_reach(w, i) - w->out[i] - begin[i];
    }
    if (d->variant == UP)
        return dnnl_deconvolution_forward_primitive_desc_create(desc, engine, dnnl_forward_inference,
                                                                dnnl_deconvolution_direct, md[0], md[2], md[3], md[4],
                                                                stride, dilation, begin, end, attr);
    return dnnl_convolution_forward_primitive_desc_create(desc, engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                          md[0], md[2], md[3], md[4], stride, dilation, begin, end,
                                                          attr);
}

// Over the few channels of an image oneDNN has a kernel that reads planes, and writes an order of its own.
static bool reads_planes(const struct fp_call *call, const struct conv *c, int variant, const struct geometry *g) {
    for (int i = 0; i < c->place.n; i++)
        if (c->tail[i].kind == FP_TAIL_ADD || c->tail[i].kind == FP_TAIL_MUL) return false;
    return variant == DOWN && g->groups == 1 && g->w.n == 2 && g->in_channels < 4 && g->out_channels % 16 == 0 &&
           !fp_is_last(call->in[0]);
}

static int describe_tensors(struct fp_call *call, const struct conv *c, int variant, const struct geometry *g,
                            dnnl_memory_desc_t md[5]) {
    const struct fp_tensor *x = &g->x, *y = &g->y;
    bool planes = reads_planes(call, c, variant, g);
    int status;
    if (planes) status = fp_desc_any(call, &md[0], x->rank, x->dims);
    else status = fp_desc_last(call, &md[0], x->rank, x->dims);
    if (!status) status = weight_desc(call, variant, g, &md[1], &md[2]);
    if (!status && (fp_given(call, 2) || c->folds)) status = fp_desc_dims(call, &md[3], 1, &g->out_channels, NULL);
    if (status) return status;
    if (planes) return fp_desc_any(call, &md[4], y->rank, y->dims);
    return fp_desc_last(call, &md[4], y->rank, y->dims);
}

// c->samples is set, and there is no new primitive, where that of all samples would not do.
static int make_primitive(struct fp_call *call, struct conv *c, const struct geometry *g, struct described *d) {
    int status = describe_tensors(call, c, d->variant, g, d->md);
    if (status) return status;
    d->w = &g->w;
    const struct fp_recipe recipe = {
        .place = &c->place, .weights = d->md[1], .what = "convolve", .describe = describe_primitive, .user = d};
    const bool whole = !c->samples && !reads_planes(call, c, d->variant, g);
    int *team = whole ? &d->team : NULL;
    status = fp_tail_make(call, &c->prim, &recipe, team);
    if (team && *team) c->samples = g->x.dims[0];
    return status;
}

static void drop_descs(struct described *d) {
    for (size_t i = 0; i < FP_COUNT(d->md); i++) fp_desc_done(&d->md[i]);
}

// A primitive of all samples or, where the sums of that one would depend on how many there are, of one sample.
static int make_whole_or_one(struct fp_call *call, struct conv *c, const struct geometry *g, struct described *d) {
    c->samples = 0;
    int status = make_primitive(call, c, g, d);
    if (status || !c->samples) return status;
    struct geometry one = *g;
    one.x.dims[0] = one.y.dims[0] = 1;
    one.y.count /= (size_t)c->samples;
    c->place.out = one.y;
    drop_descs(d);
    int before = fp_threads_set(d->team); // the primitive is made for as many
    status = make_primitive(call, c, &one, d);
    fp_threads_set(before);
    return status;
}

// `ours` is how the tensor lies, `wanted` what the primitive takes; out: the primitive's result comes to us.
static int make_move(struct fp_call *call, struct move *m, const struct fp_tensor *t, const_dnnl_memory_desc_t wanted,
                     bool out) {
    dnnl_memory_desc_t ours = NULL;
    int status = fp_desc_tensor(call, &ours, t);
    m->needed = !status && !dnnl_memory_desc_equal(ours, wanted) &&
                (fp_last_matters(t) || dnnl_memory_desc_get_size(wanted) != t->count * sizeof(float));
    m->bytes = dnnl_memory_desc_get_size(wanted);
    if (m->needed && out) status = fp_prim_reorder(call, &m->prim, wanted, ours);
    else if (m->needed) status = fp_prim_reorder(call, &m->prim, ours, wanted);
    fp_desc_done(&ours);
    return status;
}

static int make_moves(struct fp_call *call, struct conv *c, const struct geometry *g) {
    const_dnnl_memory_desc_t src = dnnl_primitive_desc_query_md(c->prim.desc, dnnl_query_src_md, 0);
    const_dnnl_memory_desc_t dst = dnnl_primitive_desc_query_md(c->prim.desc, dnnl_query_dst_md, 0);
    dnnl_memory_desc_t all[2] = {0};
    int status = 0;
    if (c->samples) { // each lies as the primitive says, one after the other
        status = fp_desc_last(call, &all[0], g->x.rank, g->x.dims);
        if (!status) status = fp_desc_last(call, &all[1], g->y.rank, g->y.dims);
        src = all[0];
        dst = all[1];
    }
    if (!status) status = make_move(call, &c->src, &g->x, src, false);
    if (!status) status = make_move(call, &c->dst, &g->y, dst, true);
    fp_desc_done(&all[0]);
    fp_desc_done(&all[1]);
    return status;
}

static int run_move(struct fp_call *call, struct move *m, const void *from, void *to) {
    int status = fp_prim_set(call, &m->prim, DNNL_ARG_FROM, NULL, from);
    if (!status) status = fp_prim_set(call, &m->prim, DNNL_ARG_TO, NULL, to);
    if (status) return status;
    return fp_prim_run(call, &m->prim);
}

// ---- a normalization after the convolution

static int fold(struct fp_call *call, struct conv *c, const struct fp_tail *t, int64_t channels) {
    const float *v[4];
    for (int i = 0; i < 4; i++) {
        const struct fp_tensor *x = call->extra[t->input + i];
        if (x->type != FP_FLOAT || x->count != (size_t)channels) return FP_NOT_FUSED;
        v[i] = x->data;
    }
    if (!fp_is_constant(call, 1) || (fp_given(call, 2) && !fp_is_constant(call, 2))) return FP_NOT_FUSED;
    free(c->factors);
    c->factors = fp_calloc((size_t)channels * 2, sizeof(float));
    if (!c->factors) return fp_fail_memory(call->err, "factors", (size_t)channels * 2 * sizeof(float));
    c->bias = c->factors + channels;
    c->folds = true;
    const float *scale = v[0], *shift = v[1], *mean = v[2], *variance = v[3], *bias = fp_input_data(call, 2);
    for (int64_t i = 0; i < channels; i++) {
        c->factors[i] = scale[i] / sqrtf(variance[i] + t->a);
        c->bias[i] = shift[i] + ((bias ? bias[i] : 0) - mean[i]) * c->factors[i];
    }
    return 0;
}

static void scale_weights(const struct conv *c, const struct fp_tensor *w, float *to) {
    const float *from = w->data;
    size_t each = w->count / (size_t)w->dims[0];
    for (size_t m = 0; m < (size_t)w->dims[0]; m++)
        for (size_t i = 0; i < each; i++) to[m * each + i] = from[m * each + i] * c->factors[m];
}

static int bring_folded(struct fp_call *call, struct conv *c) {
    const struct fp_tensor *w = call->in[1];
    struct fp_packed *packed = &c->prim.packed;
    bool keeps = !packed->reorder; // the primitive reads the scaled weights themselves
    if (keeps && c->weights) return fp_prim_set(call, &c->prim, DNNL_ARG_WEIGHTS, NULL, c->weights);
    if (!keeps && packed->source == w->data) return fp_prim_set(call, &c->prim, DNNL_ARG_WEIGHTS, NULL, packed->data);
    size_t size = w->count * sizeof(float);
    float *scaled;
    if (keeps) scaled = fp_take(call->memory, size);
    else scaled = fp_scratch(call, FP_SCRATCH_B, size);
    if (!scaled) return fp_fail_memory(call->err, "scaled weights", size);
    scale_weights(c, w, scaled);
    if (keeps) {
        c->weights = scaled;
        c->weights_size = size;
    }
    int status = fp_prim_weights(call, &c->prim, scaled, true);
    if (status) packed->source = NULL;
    else packed->source = w->data;
    return status;
}

// What follows: a first normalization is folded in, the rest are post-ops.
static int take_tail(struct fp_call *call, struct conv *c, int64_t channels) {
    int n = call->n_tail, first = 0, status = 0;
    c->prim.packed.source = NULL;
    fp_release(c->prim.memory, c->weights, c->weights_size);
    c->weights = NULL;
    c->folds = false;
    if (n && call->tail[0].kind == FP_TAIL_NORM) {
        status = fold(call, c, &call->tail[0], channels);
        first = 1;
    }
    for (int i = first; i < n; i++) c->tail[c->place.n++] = call->tail[i];
    return status;
}

static int finish(struct fp_call *call, struct conv *c, int variant, struct geometry *g) {
    int64_t dims[FP_MAX_RANK] = {call->in[0]->dims[0], g->out_channels};
    memcpy(dims + 2, g->w.out, (size_t)g->w.n * sizeof(dims[0]));
    int status = fp_out(call, 0, FP_FLOAT, call->in[0]->rank, dims);
    if (status) return status;
    if (call->out[0].count == 0 || call->counted) return call->n_tail ? FP_NOT_FUSED : 0;
    status = take_tail(call, c, g->out_channels);
    if (status) return status;
    if (fp_last_matters(&call->out[0])) call->out[0].layout = fp_channels_last;
    look_along(call, g);
    c->place.tail = c->tail;
    c->place.axis = 1;
    c->place.out = g->y;
    struct described d = {.variant = variant};
    status = make_whole_or_one(call, c, g, &d);
    if (!status) status = make_moves(call, c, g);
    drop_descs(&d);
    return status;
}

static int prepare_conv(struct fp_call *call) {
    struct geometry g;
    int status = check(call, DOWN, &g);
    if (!status) status = fp_window_read(call, &g.w, call->in[0], call->in[1]->dims + 2);
    if (status) return status;
    struct conv *c = fp_state(call, sizeof(*c));
    if (!c) return FINEPRUNE_LIMIT;
    c->place.n = 0;
    return finish(call, c, DOWN, &g);
}

static int prepare_transpose(struct fp_call *call) {
    struct geometry g;
    int status = check(call, UP, &g);
    if (!status) status = fp_window_steps(call, &g.w, call->in[0], call->in[1]->dims + 2);
    if (!status) status = grow_window(call, &g.w);
    if (status) return status;
    struct conv *c = fp_state(call, sizeof(*c));
    if (!c) return FINEPRUNE_LIMIT;
    c->place.n = 0;
    return finish(call, c, UP, &g);
}

static int bring_src(struct fp_call *call, struct conv *c, const void **src) {
    *src = call->in[0]->data;
    if (!c->src.needed) return 0;
    void *moved = fp_scratch(call, FP_SCRATCH_SRC, c->src.bytes);
    if (!moved) return FINEPRUNE_LIMIT;
    int status = run_move(call, &c->src, *src, moved);
    *src = moved;
    return status;
}

static bool before_sample(const void *user, size_t part, struct fp_part_runner *r) {
    const struct conv *c = user;
    bool ok = true;
    for (int i = 0; i < c->n_steps; i++)
        ok = ok && fp_part_set(r, c->steps[i].arg, c->steps[i].data + part * c->steps[i].bytes);
    return ok;
}

// Of operands of the tail, those that are as large as the result go from sample to sample.
static int run_samples(struct fp_call *call, struct conv *c, const void *src, void *dst) {
    const size_t each = c->place.out.count * sizeof(float);
    c->n_steps = 0;
    c->steps[c->n_steps++] = (struct step){DNNL_ARG_SRC, call->in[0]->count / (size_t)c->samples * sizeof(float), src};
    c->steps[c->n_steps++] = (struct step){DNNL_ARG_DST, each, dst};
    for (int i = 0; i < c->place.n; i++) {
        const struct fp_tensor *x = fp_tail_operand(call, &c->place.tail[i]);
        if (x && x->count == call->out[0].count && c->samples > 1)
            c->steps[c->n_steps++] = (struct step){DNNL_ARG_ATTR_MULTIPLE_POST_OP(i + c->place.first) | DNNL_ARG_SRC_1,
                                                   each, x->data};
    }
    const struct fp_parts parts = {.count = (size_t)c->samples, .user = c, .before = before_sample};
    return fp_prim_run_parts(call, &c->prim, &parts);
}

static int run(struct fp_call *call) {
    struct conv *c = call->state;
    if (call->out[0].count == 0) return 0;
    const void *src;
    void *dst = call->out[0].data;
    if (c->dst.needed) dst = fp_scratch(call, FP_SCRATCH_DST, c->dst.bytes);
    if (!dst) return FINEPRUNE_LIMIT;
    int status = bring_src(call, c, &src);
    if (!status && c->folds) status = bring_folded(call, c);
    else if (!status) status = fp_prim_weights(call, &c->prim, call->in[1]->data, fp_is_constant(call, 1));
    if (!status) status = fp_prim_set(call, &c->prim, DNNL_ARG_SRC, NULL, src);
    const float *bias = fp_input_data(call, 2);
    if (c->folds) bias = c->bias;
    if (!status && bias) status = fp_prim_set(call, &c->prim, DNNL_ARG_BIAS, NULL, bias);
    if (!status) status = fp_prim_set(call, &c->prim, DNNL_ARG_DST, NULL, dst);
    if (!status) status = fp_tail_bind(call, &c->prim, &c->place);
    if (!status && c->samples) status = run_samples(call, c, src, dst);
    else if (!status) status = fp_prim_run(call, &c->prim);
    if (status || !c->dst.needed) return status;
    return run_move(call, &c->dst, dst, call->out[0].data);
}

// ---- com.microsoft FusedConv: a convolution, an optional sum with input 3, an activation

static int read_activation(struct fp_call *call, struct conv *c) {
    static const struct {
        const char *name;
        enum fp_tail_kind kind;
    } known[] = {
        {"Relu", FP_TAIL_RELU},       {"LeakyRelu", FP_TAIL_RELU}, {"Tanh", FP_TAIL_TANH},
        {"Sigmoid", FP_TAIL_SIGMOID}, {"Clip", FP_TAIL_CLIP},      {"HardSigmoid", FP_TAIL_HARD_SIGMOID},
    };
    const char *name = fp_attr_text(call->node, "activation", "");
    size_t n;
    const float *p = fp_attr_floats(call->node, "activation_params", &n);
    for (size_t i = 0; i < FP_COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0) {
            struct fp_tail *t = &c->tail[c->place.n++];
            *t = (struct fp_tail){.kind = known[i].kind};
            if (n > 0) t->a = p[0];
            if (n > 1) t->b = p[1];
            return 0;
        }
    if (*name) return fp_call_fail(call, "activation '%s' is not known", name);
    return 0;
}

static int prepare_fused(struct fp_call *call) {
    struct geometry g;
    int status = check(call, DOWN, &g);
    if (!status) status = fp_window_read(call, &g.w, call->in[0], call->in[1]->dims + 2);
    if (status) return status;
    struct conv *c = fp_state(call, sizeof(*c));
    if (!c) return FINEPRUNE_LIMIT;
    c->place.n = 0;
    if (fp_given(call, 3)) {
        const struct fp_tensor *z = call->in[3];
        int64_t dims[FP_MAX_RANK] = {call->in[0]->dims[0], g.out_channels};
        memcpy(dims + 2, g.w.out, (size_t)g.w.n * sizeof(dims[0]));
        if (z->rank != g.w.n + 2 || z->type != FP_FLOAT ||
            memcmp(z->dims, dims, (size_t)z->rank * sizeof(dims[0])) != 0)
            return fp_call_fail(call, "input 3 does not have the type and shape of the result");
        c->tail[c->place.n++] = (struct fp_tail){FP_TAIL_ADD, 0, 0, -3};
    }
    status = read_activation(call, c);
    if (status) return status;
    return finish(call, c, DOWN, &g);
}

const struct fp_op fp_ops_conv[] = {
    {"", "Conv", 1, prepare_conv, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED | FP_OP_FUSES, DOWN,
     .passage = FP_PASSAGE_FILTERS, .weight = {FP_IN_1, 2, FP_VIEW_CONV}, .arity = "rro>r",
     .attributes = "auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I"},
    {"", "ConvTranspose", 1, prepare_transpose, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED, UP,
     .passage = FP_PASSAGE_FILTERS, .weight = {FP_IN_1, 2, FP_VIEW_CONV_TRANSPOSE}, .arity = "rro>r",
     .attributes = "auto_pad=s dilations=I group=i kernel_shape=I output_padding=I output_shape=I pads=I strides=I"},
    {"com.microsoft", "FusedConv", 1, prepare_fused, run, done, FP_OP_FLOAT32 | FP_OP_BLOCKED, DOWN,
     .weight = {FP_IN_1, 2, FP_VIEW_CONV}, .arity = "rroo>r",
     .attributes = "activation=s activation_params=F auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I"},
    {0},
};
