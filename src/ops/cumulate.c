// SPDX-License-Identifier: Apache-2.0
// CumSum and CumProd: what came before, along an axis. Float results are carried in float64, integers in 64 bits.
#include "ops/families.h"
#include "ops/loops.h"

struct cumulate {
    bool product, exclusive, reverse;
    size_t outer, n, inner;
    enum fp_type type;
    const char *src;
    char *dst;
};

// One row of columns [at, at + width): acc holds the result so far.
static void step_double(const struct cumulate *s, double *acc, size_t at, size_t width) {
    size_t size = fp_type_size(s->type);
    double x[FP_CHUNK];
    fp_convert(x, FP_DOUBLE, s->src + at * size, s->type, width);
    if (s->exclusive) fp_convert(s->dst + at * size, s->type, acc, FP_DOUBLE, width);
    for (size_t c = 0; c < width; c++) acc[c] = s->product ? acc[c] * x[c] : acc[c] + x[c];
    if (!s->exclusive) fp_convert(s->dst + at * size, s->type, acc, FP_DOUBLE, width);
}

static void step_integer(const struct cumulate *s, uint64_t *acc, size_t at, size_t width) {
    size_t size = fp_type_size(s->type);
    uint64_t x[FP_CHUNK];
    fp_convert(x, FP_INT64, s->src + at * size, s->type, width);
    if (s->exclusive) fp_convert(s->dst + at * size, s->type, acc, FP_INT64, width);
    for (size_t c = 0; c < width; c++) acc[c] = s->product ? acc[c] * x[c] : acc[c] + x[c];
    if (!s->exclusive) fp_convert(s->dst + at * size, s->type, acc, FP_INT64, width);
}

static void piece(void *user, size_t begin, size_t end) {
    const struct cumulate *s = user;
    size_t blocks = (s->inner + FP_CHUNK - 1) / FP_CHUNK;
    for (size_t i = begin; i < end; i++) {
        size_t from = i % blocks * FP_CHUNK, width = fp_least(s->inner - from, FP_CHUNK);
        size_t base = i / blocks * s->n * s->inner + from;
        union {
            double d[FP_CHUNK];
            uint64_t u[FP_CHUNK];
        } acc;
        for (size_t c = 0; c < width; c++) {
            if (fp_type_is_float(s->type)) acc.d[c] = s->product;
            else acc.u[c] = s->product;
        }
        for (size_t k = 0; k < s->n; k++) {
            size_t at = base + (s->reverse ? s->n - 1 - k : k) * s->inner;
            if (fp_type_is_float(s->type)) step_double(s, acc.d, at, width);
            else step_integer(s, acc.u, at, width);
        }
    }
}

static int prepare(struct fp_call *call) {
    int64_t axis = 0;
    size_t n;
    int at = 0, status = fp_need(call, 2);
    if (!status) status = fp_read_ints(call, 1, &axis, 1, &n);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (n != 1) return fp_call_fail(call, "the axis is %zu numbers, not one", n);
    if (!fp_type_is_float(x->type) && !fp_type_is_integer(x->type)) return fp_bad_type(call, 0);
    status = fp_axis(call, axis, x->rank, &at);
    if (status) return status;
    struct cumulate *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    *s = (struct cumulate){.product = call->op->variant,
                           .type = x->type,
                           .exclusive = fp_attr_int(call->node, "exclusive", 0) != 0,
                           .reverse = fp_attr_int(call->node, "reverse", 0) != 0};
    fp_split_axis(x, at, &s->outer, &s->n, &s->inner);
    return fp_out_like(call, 0, 0);
}

static int run(struct fp_call *call) {
    struct cumulate *s = call->state;
    const struct fp_tensor *x = call->in[0];
    if (x->count == 0) return FINEPRUNE_OK;
    s->src = x->data;
    s->dst = call->out[0].data;
    fp_pieces(fp_threads_for(call, x->count, 32768), s->outer * ((s->inner + FP_CHUNK - 1) / FP_CHUNK), 1, piece, s);
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_cumulate[] = {
    {"", "CumSum", 11, prepare, run, NULL, FP_OP_IN_PLACE, 0, .arity = "rr>r", .attributes = "exclusive=i reverse=i"},
    {"", "CumProd", 26, prepare, run, NULL, FP_OP_IN_PLACE, 1, .arity = "rr>r", .attributes = "exclusive=i reverse=i"},
    {0},
};
