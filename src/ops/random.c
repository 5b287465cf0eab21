// SPDX-License-Identifier: Apache-2.0
// Random numbers, as text-to-speech and generative networks use them. Every run gets the same ones: number i of a node
// depends on its seed (where none is given, on the name of its output) and on i alone, so results do not depend on
// threads or on what ran before. Other runtimes draw others.
#include <math.h>
#include <string.h>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/move.h"

enum { NORMAL, UNIFORM };

// Number i of a stream, 53 bits of 0 <= u < 1.
static double uniform(uint64_t key, uint64_t i) {
    uint64_t state = key + i * 0x9e3779b97f4a7c15u;
    return (double)(fp_random(&state) >> 11) * 0x1p-53;
}

static double normal(uint64_t key, uint64_t i) { // Box and Muller
    return sqrt(-2 * log(1 - uniform(key, 2 * i))) * cos(2 * M_PI * uniform(key, 2 * i + 1));
}

static uint64_t key_of(const struct fp_call *call) {
    const struct fp_node *node = call->node;
    float seed = fp_attr_float(node, "seed", 0);
    const char *name = node->graph->values[node->out[0]].name;
    if (fp_attr_has(node, "seed")) return fp_hash(&seed, sizeof(seed), 1);
    return fp_hash(name, strlen(name), 2);
}

// ---- prepare

static int output_type(struct fp_call *call, enum fp_type absent, enum fp_type *type) {
    *type = (enum fp_type)fp_attr_int(call->node, "dtype", absent);
    if (fp_type_is_float(*type)) return FINEPRUNE_OK;
    return fp_call_fail(call, "dtype %s is not supported", fp_type_name(*type));
}

static int prepare_shape(struct fp_call *call) {
    enum fp_type type;
    size_t n = 0;
    const int64_t *shape = fp_attr_ints(call->node, "shape", &n);
    if (!shape || n > FP_MAX_RANK || !fp_wanted(call, 0))
        return fp_call_fail(call, "attribute 'shape' is missing or too long");
    int status = output_type(call, FP_FLOAT, &type);
    if (status) return status;
    return fp_out(call, 0, type, (int)n, shape);
}

static int prepare_like(struct fp_call *call) {
    enum fp_type type;
    int status = fp_need_tensors(call, 1);
    if (!status && !fp_wanted(call, 0)) status = fp_call_fail(call, "the output is missing");
    if (!status) status = output_type(call, call->in[0]->type, &type);
    if (status) return status;
    return fp_out(call, 0, type, call->in[0]->rank, call->in[0]->dims);
}

static int prepare_multinomial(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    if (!status && !fp_wanted(call, 0)) status = fp_call_fail(call, "the output is missing");
    if (status) return status;
    int64_t n = fp_attr_int(call->node, "sample_size", 1), type = fp_attr_int(call->node, "dtype", FP_INT32);
    if (!fp_type_is_float(call->in[0]->type)) return fp_bad_type(call, 0);
    if (call->in[0]->rank != 2 || !call->in[0]->dims[1])
        return fp_call_fail(call, "rank %d is not [batch, classes]", call->in[0]->rank);
    if (type != FP_INT32 && type != FP_INT64)
        return fp_call_fail(call, "dtype %s is not supported", fp_type_name((enum fp_type)type));
    return fp_out(call, 0, (enum fp_type)type, 2, (int64_t[]){call->in[0]->dims[0], n});
}

// ---- run

static int run_numbers(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    bool is_normal = call->op->variant == NORMAL;
    const char *names[] = {"low", "high"};
    if (is_normal) {
        names[0] = "mean";
        names[1] = "scale";
    }
    double a = (double)fp_attr_float(call->node, names[0], 0);
    double b = (double)fp_attr_float(call->node, names[1], 1);
    uint64_t key = key_of(call);
    double chunk[1024];
    for (size_t at = 0; at < y->count; at += FP_COUNT(chunk)) {
        size_t n = fp_least(y->count - at, FP_COUNT(chunk));
        for (size_t i = 0; i < n; i++) {
            if (is_normal) chunk[i] = a + b * normal(key, at + i);
            else chunk[i] = a + (b - a) * uniform(key, at + i);
        }
        fp_convert((char *)y->data + at * fp_type_size(y->type), y->type, chunk, FP_DOUBLE, n);
    }
    return FINEPRUNE_OK;
}

// The first class whose share, with those before it, is above u; p holds unnormalized log-probabilities.
static int64_t draw(const double *p, size_t n, double most, double sum, double u) {
    double below = 0;
    for (size_t i = 0; i < n; i++) {
        below += exp(p[i] - most);
        if (u * sum < below) return (int64_t)i;
    }
    return (int64_t)n - 1;
}

static int run_multinomial(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    size_t classes = (size_t)x->dims[1], n = (size_t)y->dims[1], bytes = classes * sizeof(double);
    uint64_t key = key_of(call);
    double *p = fp_take(call->memory, bytes);
    if (!p) return fp_fail_memory(call->err, "probabilities", bytes);
    for (size_t row = 0; row < (size_t)x->dims[0]; row++) {
        fp_convert(p, FP_DOUBLE, (const char *)x->data + row * classes * fp_type_size(x->type), x->type, classes);
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < classes; i++)
            if (p[i] > most) most = p[i];
        for (size_t i = 0; i < classes; i++) sum += exp(p[i] - most);
        for (size_t k = 0; k < n; k++) {
            int64_t class = draw(p, classes, most, sum, uniform(key, row * n + k));
            if (y->type == FP_INT64) ((int64_t *)y->data)[row * n + k] = class;
            else ((int32_t *)y->data)[row * n + k] = (int32_t)class;
        }
    }
    fp_release(call->memory, p, bytes);
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_random[] = {
    {"", "RandomNormal", 1, prepare_shape, run_numbers, NULL, FP_OP_IMPURE, NORMAL, NULL, .arity = ">r",
     .attributes = "dtype=i mean=f scale=f seed=f shape=I!"},
    {"", "RandomUniform", 1, prepare_shape, run_numbers, NULL, FP_OP_IMPURE, UNIFORM, NULL, .arity = ">r",
     .attributes = "dtype=i high=f low=f seed=f shape=I!"},
    {"", "RandomNormalLike", 1, prepare_like, run_numbers, NULL, FP_OP_IMPURE | FP_OP_ROUNDS, NORMAL, NULL,
     .arity = "r>r", .attributes = "dtype=i mean=f scale=f seed=f"},
    {"", "Multinomial", 7, prepare_multinomial, run_multinomial, NULL, FP_OP_IMPURE, 0, NULL, .arity = "r>r",
     .attributes = "dtype=i sample_size=i seed=f"},
    {0},
};
