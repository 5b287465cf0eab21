// SPDX-License-Identifier: Apache-2.0
// MatMul, Gemm and the fused products of com.microsoft: oneDNN for floats, a plain loop for integers.
#include <stdlib.h>

#include "ops/activation.h"
#include "kernel/dnnl_matmul.h"
#include "ops/loops.h"

enum { MATMUL, GEMM, FUSED_GEMM };

struct matmul {
    struct fp_matmul core;
    bool integers;
    struct fp_matmul_shape shape; // for integers
    float beta;
    bool add;                               // beta c is added after the product, by a loop
    int64_t add_row, add_column;            // strides of c seen as [m, n]
    const struct fp_activation *activation; // of FusedGemm, in place after all else
    float a, b;
};

static void done(void *state) {
    struct matmul *m = state;
    fp_matmul_done(&m->core);
    free(m);
}

static int check_types(struct fp_call *call, struct matmul *m, int n) {
    enum fp_type type = call->in[0]->type;
    m->integers = fp_type_is_integer(type);
    if (type != FP_FLOAT && !m->integers)
        return fp_call_fail(call, "inputs of type %s are not supported", fp_type_name(type));
    for (int i = 1; i < n; i++)
        if (fp_given(call, i) && call->in[i]->type != type)
            return fp_call_fail(call, "input 0 is %s and input %d is %s", fp_type_name(type), i,
                                fp_type_name(call->in[i]->type));
    return 0;
}

static int make(struct fp_call *call, struct matmul *m, struct fp_matmul_shape *s) {
    m->shape = *s;
    if (call->n_tail && (m->integers || m->add)) return FP_NOT_FUSED;
    s->tail = call->tail;
    s->n_tail = call->n_tail;
    s->pack_b = fp_is_constant(call, 1);
    if (m->integers) return 0;
    return fp_matmul_make(call, &m->core, s);
}

// ---- MatMul and FusedMatMul

// Vectors become matrices: a row on the left, a column on the right.
static int operand(struct fp_call *call, const struct fp_tensor *t, bool right, struct fp_operand *o) {
    if (t->rank < 1) return fp_call_fail(call, "input %d is a scalar", right);
    int64_t strides[FP_MAX_RANK];
    fp_strides(t->rank, t->dims, strides);
    *o = (struct fp_operand){.rank = t->rank};
    memcpy(o->dims, t->dims, sizeof(o->dims));
    memcpy(o->strides, strides, sizeof(strides[0]) * (size_t)t->rank);
    if (t->rank > 1) return 0;
    o->rank = 2;
    if (right) {
        o->dims[1] = 1;
        o->dims[0] = t->dims[0];
    } else {
        o->dims[1] = t->dims[0];
        o->dims[0] = 1;
    }
    o->strides[1] = 1;
    if (right) o->strides[0] = 1;
    else o->strides[0] = t->dims[0];
    return 0;
}

static void move_axis(int64_t *v, int from, int to) {
    int64_t x = v[from];
    for (int i = from; i < to; i++) v[i] = v[i + 1];
    v[to] = x;
}

static void swap_last(int64_t *v, int rank) {
    int64_t x = v[rank - 1];
    v[rank - 1] = v[rank - 2];
    v[rank - 2] = x;
}

static void transpose(struct fp_call *call, struct fp_operand *o, const char *batch, const char *last) {
    if (call->in[0]->rank > 1 && fp_attr_int(call->node, batch, 0)) {
        move_axis(o->dims, 0, o->rank - 2);
        move_axis(o->strides, 0, o->rank - 2);
    }
    if (fp_attr_int(call->node, last, 0)) {
        swap_last(o->dims, o->rank);
        swap_last(o->strides, o->rank);
    }
}

static int set_out(struct fp_call *call, int rank, int64_t *dims) {
    bool left_vector = call->in[0]->rank == 1, right_vector = call->in[1]->rank == 1;
    if (left_vector) dims[rank - 2] = dims[rank - 1];
    rank -= left_vector;
    return fp_out(call, 0, call->in[0]->type, rank - right_vector, dims);
}

static int prepare_matmul(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct matmul *m = fp_state(call, sizeof(*m));
    if (!m) return FINEPRUNE_LIMIT;
    struct fp_operand a, b;
    struct fp_matmul_shape s = {.alpha = fp_attr_float(call->node, "alpha", 1)};
    int64_t dims[FP_MAX_RANK];
    int rank;
    status = check_types(call, m, 2);
    if (!status) status = operand(call, call->in[0], false, &a);
    if (!status) status = operand(call, call->in[1], true, &b);
    if (status) return status;
    if (*call->node->domain) {
        transpose(call, &a, "transBatchA", "transA");
        transpose(call, &b, "transBatchB", "transB");
    }
    m->add = false;
    status = fp_matmul_fit(call, &s, &a, &b, &rank, dims);
    if (!status) status = set_out(call, rank, dims);
    if (status) return status;
    return make(call, m, &s);
}

// ---- Gemm

// Where c goes: nothing, a row that is a bias, or a loop after the product.
static int prepare_addend(struct fp_call *call, struct matmul *m, struct fp_matmul_shape *s) {
    m->beta = fp_attr_float(call->node, "beta", 1);
    m->add = s->bias = false;
    if (!fp_given(call, 2) || m->beta == 0) return 0;
    const struct fp_tensor *c = call->in[2];
    const int64_t dims[2] = {s->m, s->n};
    int64_t strides[2];
    for (int i = 0; i < c->rank; i++) {
        int k = i + 2 - c->rank;
        if (c->dims[i] != 1 && (k < 0 || c->dims[i] != dims[k]))
            return fp_call_fail(call, "input 2 does not broadcast to [%lld,%lld]", (long long)s->m, (long long)s->n);
    }
    struct fp_tensor flat = *c;
    flat.rank = 2;
    if (c->rank > 1) flat.dims[0] = c->dims[c->rank - 2];
    else flat.dims[0] = 1;
    if (c->rank > 0) flat.dims[1] = c->dims[c->rank - 1];
    else flat.dims[1] = 1;
    fp_broadcast_strides(&flat, 2, dims, strides);
    m->add_row = strides[0];
    m->add_column = strides[1];
    s->bias = !m->integers && flat.dims[0] == 1 && flat.dims[1] == s->n && s->alpha == 1 && m->beta == 1;
    m->add = !s->bias;
    return 0;
}

static int prepare_gemm(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    struct matmul *m = fp_state(call, sizeof(*m));
    if (!m) return FINEPRUNE_LIMIT;
    if (call->in[0]->rank != 2 || call->in[1]->rank != 2)
        return fp_call_fail(call, "matrices are needed, the ranks are %d and %d", call->in[0]->rank, call->in[1]->rank);
    struct fp_operand a, b;
    struct fp_matmul_shape s = {.alpha = fp_attr_float(call->node, "alpha", 1)};
    int64_t dims[FP_MAX_RANK];
    int rank;
    status = check_types(call, m, 3);
    if (status) return status;
    operand(call, call->in[0], false, &a);
    operand(call, call->in[1], true, &b);
    transpose(call, &a, "-", "transA");
    transpose(call, &b, "-", "transB");
    status = fp_matmul_fit(call, &s, &a, &b, &rank, dims);
    if (!status) status = fp_out(call, 0, call->in[0]->type, rank, dims);
    if (!status) status = prepare_addend(call, m, &s);
    if (status) return status;
    return make(call, m, &s);
}

// activation_alpha and activation_beta; Selu calls its second one gamma.
static int prepare_fused(struct fp_call *call) {
    int status = prepare_gemm(call);
    struct matmul *m = call->state;
    const char *name = fp_attr_text(call->node, "activation", "");
    if (status || !*name) return status;
    m->activation = fp_activation_find(name);
    if (!m->activation || m->integers)
        return fp_call_fail(call, "activation '%s' on %s is not supported", name, fp_type_name(call->in[0]->type));
    m->a = fp_attr_float(call->node, "activation_alpha", m->activation->a);
    m->b = fp_attr_float(call->node, fp_same_word(name, "Selu") ? "activation_gamma" : "activation_beta",
                         m->activation->b);
    return 0;
}

// ---- run

struct piece {
    const struct matmul *m;
    float *y;
};

static void activate(void *user, size_t begin, size_t end) {
    const struct piece *p = user;
    p->m->activation->apply(p->y + begin, end - begin, p->m->a, p->m->b);
}

static void add_rows(struct fp_call *call, const struct matmul *m) {
    const float *c = call->in[2]->data;
    float *y = call->out[0].data;
    int64_t rows = call->out[0].dims[0], columns = call->out[0].dims[1];
#pragma omp parallel for num_threads(call->threads) if (call->out[0].count > 50000)
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) y[i * columns + j] += m->beta * c[i * m->add_row + j * m->add_column];
}

// c[i] for one element of the product, all in the arithmetic of 64 bits, which wraps as narrower types do.
static uint64_t dot(const int64_t *a, const int64_t *b, const struct fp_matmul_shape *s) {
    uint64_t sum = 0;
    int r = s->batch;
    for (int64_t k = 0; k < s->k; k++) sum += (uint64_t)a[k * s->a_strides[r + 1]] * (uint64_t)b[k * s->b_strides[r]];
    return sum;
}

static void integer_product(const int64_t *a, const int64_t *b, int64_t *c, const struct fp_matmul_shape *s,
                            int level) {
    if (level == s->batch) {
        for (int64_t i = 0; i < s->m; i++)
            for (int64_t j = 0; j < s->n; j++)
                c[i * s->n + j] = (int64_t)dot(a + i * s->a_strides[level], b + j * s->b_strides[level + 1], s);
        return;
    }
    int64_t n = s->a_batch[level];
    if (n == 1) n = s->b_batch[level];
    int64_t a_step = fp_step_along(s->a_batch[level], s->a_strides[level]);
    int64_t b_step = fp_step_along(s->b_batch[level], s->b_strides[level]);
    for (int64_t i = 0; i < n; i++)
        integer_product(a + i * a_step, b + i * b_step, c + i * s->c_strides[level], s, level + 1);
}

static void scale_integers(struct fp_call *call, const struct matmul *m, int64_t *y, const int64_t *c) {
    int64_t n = m->shape.n;
    for (size_t i = 0; i < call->out[0].count; i++) {
        if (m->shape.alpha != 1) y[i] = (int64_t)((double)m->shape.alpha * (double)y[i]);
        if (m->add) {
            int64_t value = c[(int64_t)i / n * m->add_row + (int64_t)i % n * m->add_column];
            if (m->beta != 1) value = (int64_t)((double)m->beta * (double)value);
            y[i] = (int64_t)((uint64_t)y[i] + (uint64_t)value);
        }
    }
}

static int run_integers(struct fp_call *call, struct matmul *m) {
    struct fp_tensor wide[3] = {{0}}, y = {0};
    int status = fp_tensor_new(&y, call->memory, FP_INT64, call->out[0].rank, call->out[0].dims, call->err);
    for (int i = 0; i < 3 && !status; i++)
        if (fp_given(call, i)) status = fp_tensor_convert(&wide[i], call->memory, call->in[i], FP_INT64, call->err);
    if (!status && y.count) {
        integer_product(wide[0].data, wide[1].data, y.data, &m->shape, 0);
        scale_integers(call, m, y.data, wide[2].data);
        fp_convert(call->out[0].data, call->out[0].type, y.data, FP_INT64, y.count);
    }
    for (int i = 0; i < 3; i++) fp_tensor_done(&wide[i]);
    fp_tensor_done(&y);
    return status;
}

static int run(struct fp_call *call) {
    struct matmul *m = call->state;
    if (m->integers) return run_integers(call, m);
    const float *bias = NULL;
    if (m->shape.bias) bias = call->in[2]->data;
    int status = fp_matmul_run(call, &m->core, call->in[0]->data, call->in[1]->data, fp_is_constant(call, 1), bias,
                               call->out[0].data);
    if (!status && m->add) add_rows(call, m);
    if (!status && m->activation) {
        size_t n = call->out[0].count;
        fp_pieces(fp_threads_for(call, n, 50000), n, 4096, activate, &(struct piece){m, call->out[0].data});
    }
    return status;
}

const struct fp_op fp_ops_matmul[] = {
    {"", "MatMul", 1, prepare_matmul, run, done, FP_OP_FLOAT32 | FP_OP_FUSES, MATMUL,
     .weight = {FP_IN_1 | FP_IN_0, 0, FP_VIEW_MATRIX}, .passage = FP_PASSAGE_MULTIPLIES, .arity = "rr>r"},
    {"", "Gemm", 1, prepare_gemm, run, done, FP_OP_FLOAT32 | FP_OP_FUSES, GEMM,
     .weight = {FP_IN_1 | FP_IN_0, 2, FP_VIEW_GEMM}, .arity = "rrr>r 11:rro>r",
     .attributes = "alpha=f beta=f broadcast=i transA=i transB=i"},
    {"com.microsoft", "FusedMatMul", 1, prepare_matmul, run, done, FP_OP_FLOAT32 | FP_OP_FUSES, MATMUL,
     .weight = {FP_IN_1 | FP_IN_0, 0, FP_VIEW_SCALED}, .arity = "rr>r",
     .attributes = "alpha=f transA=i transB=i transBatchA=i transBatchB=i"},
    {"com.microsoft", "FusedGemm", 1, prepare_fused, run, done, FP_OP_FLOAT32, FUSED_GEMM,
     .weight = {FP_IN_1 | FP_IN_0, 2, FP_VIEW_GEMM}, .arity = "rro>r",
     .attributes = "activation=s activation_alpha=f activation_beta=f activation_gamma=f alpha=f beta=f "
                   "transA=i transB=i"},
    {0},
};
