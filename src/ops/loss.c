// SPDX-License-Identifier: Apache-2.0
// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: minus the (logarithms of) probabilities of the targets,
// weighted and reduced.
#include <math.h>

#include "kernel/dnnl_memory.h"

enum { LIKELIHOOD, SOFTMAX };

struct extents {
    int64_t n, classes, space;
};

static struct extents extents_of(const struct fp_tensor *x) {
    struct extents e = {x->dims[0], x->dims[1], 1};
    for (int i = 2; i < x->rank; i++) e.space *= x->dims[i];
    return e;
}

static bool is_reduced(const struct fp_call *call) {
    return strcmp(fp_attr_text(call->node, "reduction", "mean"), "none") != 0;
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *target = call->in[1];
    if (x->type != FP_FLOAT || x->rank < 2)
        return fp_call_fail(call, "scores of type %s and rank %d", fp_type_name(x->type), x->rank);
    bool fits = (target->type == FP_INT64 || target->type == FP_INT32) && target->rank == x->rank - 1 &&
                target->dims[0] == x->dims[0];
    for (int i = 2; i < x->rank && fits; i++) fits = target->dims[i - 1] == x->dims[i];
    if (!fits)
        return fp_call_fail(call, "the targets (%s, rank %d) do not fit the scores", fp_type_name(target->type),
                            target->rank);
    if (fp_given(call, 2) && (call->in[2]->type != FP_FLOAT || call->in[2]->count != (size_t)x->dims[1]))
        return fp_call_fail(call, "%zu weights for %lld classes", call->in[2]->count, (long long)x->dims[1]);
    if (is_reduced(call)) status = fp_out(call, 0, FP_FLOAT, 0, NULL);
    else status = fp_out(call, 0, FP_FLOAT, target->rank, target->dims);
    if (status) return status;
    return fp_out_like(call, 1, 0);
}

// log softmax over the classes of one position.
static void log_softmax(float *y, const float *x, struct extents e) {
    float max = -INFINITY;
    double sum = 0;
    for (int64_t c = 0; c < e.classes; c++) max = fmaxf(max, x[c * e.space]);
    for (int64_t c = 0; c < e.classes; c++) sum += exp((double)(x[c * e.space] - max));
    float shift = max + (float)log(sum);
    for (int64_t c = 0; c < e.classes; c++) y[c * e.space] = x[c * e.space] - shift;
}

static int64_t target_at(const struct fp_tensor *t, int64_t i) {
    if (t->type == FP_INT64) return ((const int64_t *)t->data)[i];
    return ((const int32_t *)t->data)[i];
}

// The losses of all positions in *total and the output when it is not reduced.
static int sum_losses(struct fp_call *call, const float *logs, struct extents e, double *total, double *weights) {
    bool ignores = fp_attr_has(call->node, "ignore_index"), reduced = is_reduced(call);
    int64_t ignored = fp_attr_int(call->node, "ignore_index", 0);
    const float *weight = fp_input_data(call, 2);
    for (int64_t i = 0; i < e.n * e.space; i++) {
        int64_t target = target_at(call->in[1], i);
        float w = 0, loss = 0;
        if (!ignores || target != ignored) {
            if (target < 0 || target >= e.classes)
                return fp_call_fail(call, "target %lld is outside %lld classes", (long long)target,
                                    (long long)e.classes);
            if (weight) w = weight[target];
            else w = 1;
            loss = -logs[(i / e.space * e.classes + target) * e.space + i % e.space] * w;
        }
        if (!reduced) ((float *)call->out[0].data)[i] = loss;
        *total += loss;
        *weights += w;
    }
    return 0;
}

static int run(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct extents e = extents_of(x);
    const float *logs = x->data;
    if (call->op->variant == SOFTMAX) {
        float *made = fp_output_data(call, 1);
        if (call->n_out <= 1) made = fp_scratch(call, FP_SCRATCH_A, x->count * sizeof(float));
        if (!made) return FINEPRUNE_LIMIT;
        for (int64_t i = 0; i < e.n * e.space; i++) {
            int64_t at = i / e.space * e.classes * e.space + i % e.space;
            log_softmax(made + at, logs + at, e);
        }
        logs = made;
    }
    double total = 0, weights = 0;
    int status = sum_losses(call, logs, e, &total, &weights);
    if (status || !is_reduced(call)) return status;
    bool mean = strcmp(fp_attr_text(call->node, "reduction", "mean"), "mean") == 0;
    if (mean) total /= weights;
    *(float *)call->out[0].data = (float)total;
    return 0;
}

const struct fp_op fp_ops_loss[] = {
    {"", "NegativeLogLikelihoodLoss", 12, prepare, run, NULL, FP_OP_FLOAT32, LIKELIHOOD, NULL, .arity = "rro>r",
     .attributes = "ignore_index=i reduction=s"},
    {"", "SoftmaxCrossEntropyLoss", 12, prepare, run, NULL, FP_OP_FLOAT32, SOFTMAX, NULL, .arity = "rro>ro",
     .attributes = "ignore_index=i reduction=s"},
    {0},
};
