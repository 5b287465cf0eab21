// SPDX-License-Identifier: Apache-2.0
// Normalizations that go by channels: batch, instance and group normalization, LRN, MeanVarianceNormalization.
#include <math.h>

#include "kernel/channels_last.h"
#include "kernel/dnnl_memory.h"
#include "ops/loops.h"
#include "ops/norm_row.h"

static int check_data(struct fp_call *call, int least_rank) {
    const struct fp_tensor *x = call->in[0];
    if (x->type != FP_FLOAT || x->rank < least_rank)
        return fp_call_fail(call, "data of type %s and rank %d are not supported", fp_type_name(x->type), x->rank);
    return 0;
}

// Input i must be `n` float32 values.
static int check_values(struct fp_call *call, int i, int64_t n) {
    const struct fp_tensor *t = call->in[i];
    if (t->type != FP_FLOAT || t->count != (size_t)n)
        return fp_call_fail(call, "input %d has %zu values of type %s, %lld of float32 are needed", i, t->count,
                            fp_type_name(t->type), (long long)n);
    return 0;
}

// [N, C, rest]; a vector is one channel.
struct extents {
    int64_t n, c, space;
};

static struct extents extents_of(const struct fp_tensor *x) {
    struct extents e = {1, 1, 1};
    if (x->rank > 0) e.n = x->dims[0];
    if (x->rank > 1) e.c = x->dims[1];
    for (int i = 2; i < x->rank; i++) e.space *= x->dims[i];
    return e;
}

// ---- y = a x + b, by channels

FP_VECTOR static void scale_plane(float *y, const float *x, int64_t n, float a, float b) {
    for (int64_t i = 0; i < n; i++) y[i] = a * x[i] + b;
}

FP_VECTOR static void scale_last(float *y, const float *x, int64_t n, const float *a, const float *b) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * x[i] + b[i];
}

static void scale_channels(const struct fp_call *call, const float *a, const float *b, struct extents e, bool last) {
    const float *x = call->in[0]->data;
    float *y = call->out[0].data;
    int64_t rows = e.n * e.c, width = e.space;
    if (last) rows = e.n * e.space, width = e.c;
#pragma omp parallel for num_threads(call->threads) if (call->in[0]->count > 50000)
    for (int64_t i = 0; i < rows; i++) {
        if (last) scale_last(y + i * width, x + i * width, width, a, b);
        else scale_plane(y + i * width, x + i * width, width, a[i % e.c], b[i % e.c]);
    }
}

// ---- BatchNormalization

static bool is_training(const struct fp_call *call) {
    return call->node->opset >= 14 && fp_attr_int(call->node, "training_mode", 0) != 0;
}

// Before opset 9 statistics could be kept per element of a sample.
static bool by_element(const struct fp_call *call) {
    return call->node->opset < 9 && !fp_attr_int(call->node, "spatial", 1);
}

static int refuse_output(struct fp_call *call, int i) {
    const int status = fp_call_fail(call, "output %d is for training, which is not asked for", i);
    fp_hint(call->err, FP_TRAINING_HINT);
    return status;
}

static int prepare_batch(struct fp_call *call) {
    int status = fp_need(call, 5);
    if (!status) status = check_data(call, 1);
    struct extents e = extents_of(call->in[0]);
    int64_t values = e.c;
    if (by_element(call)) values *= e.space;
    for (int i = 1; i < 5 && !status; i++) status = check_values(call, i, values);
    if (!status) status = fp_out_like(call, 0, 0);
    call->out[0].layout = call->in[0]->layout;
    if (call->n_out > 1 && !is_training(call) && call->node->opset >= 9 && !status)
        for (int i = 1; i < call->n_out; i++)
            if (fp_wanted(call, i)) return refuse_output(call, i);
    for (int i = 1; i < call->n_out && !status; i++) {
        int like = 4;
        if (i == 1 || i == 3) like = 3;
        status = fp_out_like(call, i, like);
    }
    return status;
}

// Mean and variance of the batch itself.
static void batch_moments(const struct fp_call *call, struct extents e, float *mean, float *var) {
    int64_t strides[FP_MAX_RANK] = {0};
    const struct fp_tensor *x = call->in[0];
    fp_layout_strides(x, strides);
    int64_t step = 1, count = e.n * e.space;
    if (fp_is_last(x)) step = e.c;
    for (int64_t c = 0; c < e.c; c++) {
        double sum = 0, squares = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t n = 0; n < e.n; n++) {
                const float *p = (const float *)x->data + n * strides[0] + c * strides[1];
                for (int64_t s = 0; s < e.space; s++) {
                    double d = p[s * step] - (pass ? sum / (double)count : 0);
                    if (pass) squares += d * d;
                    else sum += d;
                }
            }
        mean[c] = (float)(sum / (double)count);
        var[c] = (float)(squares / (double)count);
    }
}

static int run_batch(struct fp_call *call) {
    struct extents e = extents_of(call->in[0]);
    if (by_element(call)) e = (struct extents){e.n, e.c * e.space, 1};
    size_t n = (size_t)e.c;
    float *a = fp_scratch(call, FP_SCRATCH_A, 4 * n * sizeof(float));
    if (!a) return FINEPRUNE_LIMIT;
    float *b = a + n, *own_mean = b + n, *own_var = own_mean + n;
    const float *scale = call->in[1]->data, *bias = call->in[2]->data, *mean = call->in[3]->data,
                *var = call->in[4]->data;
    if (is_training(call)) {
        float momentum = fp_attr_float(call->node, "momentum", 0.9f);
        batch_moments(call, e, own_mean, own_var);
        for (size_t c = 0; c < n && call->n_out > 1; c++)
            ((float *)call->out[1].data)[c] = mean[c] * momentum + own_mean[c] * (1 - momentum);
        for (size_t c = 0; c < n && call->n_out > 2; c++)
            ((float *)call->out[2].data)[c] = var[c] * momentum + own_var[c] * (1 - momentum);
        mean = own_mean;
        var = own_var;
    } else {
        for (int i = 1; i < call->n_out; i++) memcpy(call->out[i].data, i % 2 ? mean : var, n * sizeof(float));
    }
    float epsilon = fp_attr_float(call->node, "epsilon", 1e-5f);
    for (size_t c = 0; c < n; c++) {
        a[c] = scale[c] / sqrtf(var[c] + epsilon);
        b[c] = bias[c] - mean[c] * a[c];
    }
    if (call->out[0].count) scale_channels(call, a, b, e, fp_is_last(call->in[0]) || e.space == 1);
    return 0;
}

// ---- InstanceNormalization and GroupNormalization: groups of channels of one sample

static int groups_of(struct fp_call *call, struct extents e, int64_t *groups) {
    if (strcmp(call->node->type, "GroupNormalization") == 0) *groups = fp_attr_int(call->node, "num_groups", 0);
    else *groups = e.c;
    bool fits = e.c <= 0;
    if (*groups >= 1) fits = e.c % *groups == 0;
    if (!fits) return fp_call_fail(call, "%lld channels do not make %lld groups", (long long)e.c, (long long)*groups);
    return 0;
}

static int prepare_groups(struct fp_call *call) {
    int64_t groups = 0;
    int status = fp_need(call, 3);
    if (!status) status = check_data(call, 3);
    struct extents e = {0};
    if (!status) {
        e = extents_of(call->in[0]);
        status = groups_of(call, e, &groups);
    }
    bool by_group = strcmp(call->node->type, "GroupNormalization") == 0 && call->node->opset < 21;
    if (!by_group) groups = e.c;
    for (int i = 1; i < 3 && !status; i++) status = check_values(call, i, groups);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int run_groups(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    const float *scale = call->in[1]->data, *bias = call->in[2]->data;
    struct extents e = extents_of(x);
    int64_t groups;
    int status = groups_of(call, e, &groups);
    if (status || x->count == 0) return status;
    int64_t each = e.c / groups;
    bool by_group = call->in[1]->count != (size_t)e.c;
    float epsilon = fp_attr_float(call->node, "epsilon", 1e-5f);
#pragma omp parallel for num_threads(call->threads) if (x->count > 50000)
    for (int64_t i = 0; i < e.n * groups; i++) {
        const float *from = (const float *)x->data + i * each * e.space;
        float *to = (float *)call->out[0].data + i * each * e.space, mean, inverse;
        fp_moments(from, (size_t)(each * e.space), epsilon, &mean, &inverse);
        for (int64_t k = 0; k < each; k++) {
            int64_t p = i % groups;
            if (!by_group) p = p * each + k;
            float a = scale[p] * inverse;
            scale_plane(to + k * e.space, from + k * e.space, e.space, a, bias[p] - mean * a);
        }
    }
    return 0;
}

// ---- LRN: y = x / (bias + alpha / size * sum of squares of neighbouring channels) ^ beta

static int prepare_lrn(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (!status) status = check_data(call, 2);
    int64_t size = fp_attr_int(call->node, "size", 0);
    if (!status && size < 1) return fp_call_fail(call, "size is %lld", (long long)size);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int run_lrn(struct fp_call *call) {
    const float *x = call->in[0]->data;
    float *y = call->out[0].data;
    struct extents e = extents_of(call->in[0]);
    int64_t size = fp_attr_int(call->node, "size", 1), before = (size - 1) / 2, after = size - 1 - before;
    float alpha = fp_attr_float(call->node, "alpha", 1e-4f) / (float)size,
          beta = fp_attr_float(call->node, "beta", 0.75f);
    float bias = fp_attr_float(call->node, "bias", 1);
#pragma omp parallel for num_threads(call->threads) if (call->in[0]->count > 20000)
    for (int64_t i = 0; i < e.n * e.c; i++) {
        const int64_t c = i % e.c, first = fp_most_int(c - before, 0);
        const int64_t last = fp_least_int(e.c - 1 - c, after) + c;
        const float *sample = x + (i - c) * e.space;
        for (int64_t s = 0; s < e.space; s++) {
            float sum = 0;
            for (int64_t k = first; k <= last; k++) sum += sample[k * e.space + s] * sample[k * e.space + s];
            y[i * e.space + s] = x[i * e.space + s] / powf(bias + alpha * sum, beta);
        }
    }
    return 0;
}

// ---- MeanVarianceNormalization over any axes

static int mvn_axes(struct fp_call *call, bool *reduced) {
    static const int64_t usual[] = {0, 2, 3};
    size_t n;
    const int64_t *axes = fp_attr_ints(call->node, "axes", &n);
    if (!axes) axes = usual, n = 3;
    for (size_t i = 0; i < n; i++) {
        int axis;
        int status = fp_axis(call, axes[i], call->in[0]->rank, &axis);
        if (status) return status;
        reduced[axis] = true;
    }
    return 0;
}

static int prepare_mvn(struct fp_call *call) {
    bool reduced[FP_MAX_RANK] = {0};
    int status = fp_need(call, 1);
    if (!status) status = check_data(call, 1);
    if (!status) status = mvn_axes(call, reduced);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

// Steps through x in order; group[i] of element i is where its sum lies.
struct stepper {
    int rank;
    const int64_t *dims;
    int64_t at[FP_MAX_RANK], strides[FP_MAX_RANK];
    int64_t group;
};

static void step(struct stepper *s) {
    for (int i = s->rank - 1; i >= 0; i--) {
        s->group += s->strides[i];
        if (++s->at[i] < s->dims[i]) return;
        s->group -= s->strides[i] * s->dims[i];
        s->at[i] = 0;
    }
}

static int run_mvn(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    bool reduced[FP_MAX_RANK] = {0};
    int status = mvn_axes(call, reduced);
    if (status || x->count == 0) return status;
    struct stepper start = {.rank = x->rank, .dims = x->dims};
    int64_t groups = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        if (reduced[i]) continue; // its stride stays 0
        start.strides[i] = groups;
        groups *= x->dims[i];
    }
    FP_STAGE(room, "sums");
    double *sums = fp_arena_take(&room, (size_t)groups * 2, sizeof(*sums)), each = (double)x->count / (double)groups;
    if (!sums) return fp_arena_check(&room, call->err);
    double *squares = sums + groups;
    const float *from = x->data;
    struct stepper s = start;
    for (size_t i = 0; i < x->count; i++, step(&s)) sums[s.group] += from[i];
    s = start;
    for (size_t i = 0; i < x->count; i++, step(&s)) {
        double d = from[i] - sums[s.group] / each;
        squares[s.group] += d * d;
    }
    s = start;
    for (size_t i = 0; i < x->count; i++, step(&s))
        ((float *)call->out[0].data)[i] = (float)((from[i] - sums[s.group] / each) /
                                                  (sqrt(squares[s.group] / each) + 1e-9));
    return 0;
}

const struct fp_op fp_ops_norm[] = {
    {"", "BatchNormalization", 1, prepare_batch, run_batch, NULL, FP_OP_FLOAT32 | FP_OP_BLOCKED, 0,
     .role = FP_ROLE_NORMALIZES, .passage = FP_PASSAGE_KEEPS, .arity = "rrrrr>roooo 14:rrrrr>roo",
     .attributes = "consumed_inputs=I epsilon=f is_test=i momentum=f spatial=i training_mode=i"},
    {"", "InstanceNormalization", 1, prepare_groups, run_groups, NULL, FP_OP_FLOAT32, 0, .passage = FP_PASSAGE_POOLS,
     .arity = "rrr>r", .attributes = "consumed_inputs=I epsilon=f"},
    {"", "GroupNormalization", 18, prepare_groups, run_groups, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "rrr>r",
     .attributes = "epsilon=f num_groups=i! stash_type=i"},
    {"", "LRN", 1, prepare_lrn, run_lrn, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "r>r",
     .attributes = "alpha=f beta=f bias=f size=i!"},
    {"", "MeanVarianceNormalization", 1, prepare_mvn, run_mvn, NULL, FP_OP_FLOAT32, 0, NULL, .arity = "r>r",
     .attributes = "axes=I"},
    {0},
};
