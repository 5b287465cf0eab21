// SPDX-License-Identifier: Apache-2.0
// Matrix products of quantized numbers: MatMulInteger, QLinearMatMul, and QGemm, DynamicQuantizeMatMul and
// MatMulIntegerToFloat of com.microsoft. All are an exact int32 product and differ in what becomes of it.
#include "ops/families.h"
#include "ops/integer.h"
#include "ops/loops.h"

struct product {
    size_t m, k, n, batches;
    int64_t a_row, a_column, b_row, b_column; // strides
    struct fp_walk walk;                      // over batches: offsets of matrices in a and b
    int32_t *acc;
};

// Which inputs are what; -1: the operator has none.
static const struct slots {
    int a, b, a_scale, b_scale, a_zero, b_zero, y_scale, y_zero, bias;
} SLOTS[] = {
    {0, 1, -1, -1, 2, 3, -1, -1, -1}, // MatMulInteger
    {0, 3, 1, 4, 2, 5, 6, 7, -1},     // QLinearMatMul
    {0, 3, 1, 4, 2, 5, 7, 8, 6},      // QGemm
    {0, 1, 2, 3, 4, 5, -1, -1, 6},    // MatMulIntegerToFloat
    {0, 1, -1, 2, -1, 3, -1, -1, 4},  // DynamicQuantizeMatMul
};
enum { MATMUL_INTEGER, QLINEAR_MATMUL, QGEMM, TO_FLOAT, DYNAMIC };

// ---- shapes

// As MatMul: operands of rank 1 are a row on the left and a column on the right, and lose that dim in the result.
static int matmul_shape(struct fp_call *call, struct product *p, const struct fp_tensor *a, const struct fp_tensor *b,
                        int *rank, int64_t *dims) {
    struct fp_tensor left = {.rank = (int)fp_most_int(a->rank - 2, 0)},
                     right = {.rank = (int)fp_most_int(b->rank - 2, 0)};
    if (a->rank < 1 || b->rank < 1) return fp_call_fail(call, "an operand has rank 0");
    if (a->rank > 1) p->m = (size_t)a->dims[a->rank - 2];
    else p->m = 1;
    p->k = (size_t)a->dims[a->rank - 1];
    if (b->rank > 1) p->n = (size_t)b->dims[b->rank - 1];
    else p->n = 1;
    size_t k = (size_t)b->dims[fp_most_int(b->rank - 2, 0)];
    if (p->k != k) return fp_call_fail(call, "the left operand has %zu columns, the right one %zu rows", p->k, k);
    p->a_row = (int64_t)p->k;
    p->b_row = (int64_t)p->n;
    p->a_column = p->b_column = 1;
    memcpy(left.dims, a->dims, (size_t)left.rank * sizeof(dims[0]));
    memcpy(right.dims, b->dims, (size_t)right.rank * sizeof(dims[0]));
    int status = fp_broadcast(call, &left, &right, rank, dims);
    if (status) return status;
    int64_t strides[3][FP_MAX_RANK];
    fp_broadcast_strides(&left, *rank, dims, strides[0]);
    fp_broadcast_strides(&right, *rank, dims, strides[1]);
    fp_walk_make(&p->walk, 2, *rank, dims, strides);
    if (!fp_product(*rank, dims, &p->batches)) return fp_call_fail(call, "too many matrices");
    if (a->rank > 1) dims[(*rank)++] = (int64_t)p->m;
    if (b->rank > 1) dims[(*rank)++] = (int64_t)p->n;
    return FINEPRUNE_OK;
}

static int gemm_shape(struct fp_call *call, struct product *p, const struct fp_tensor *a, const struct fp_tensor *b,
                      int *rank, int64_t *dims) {
    bool turn_a = fp_attr_int(call->node, "transA", 0) != 0, turn_b = fp_attr_int(call->node, "transB", 0) != 0;
    if (a->rank != 2 || b->rank != 2)
        return fp_call_fail(call, "operands of rank %d and %d are not matrices", a->rank, b->rank);
    p->m = (size_t)a->dims[turn_a];
    p->k = (size_t)a->dims[!turn_a];
    p->n = (size_t)b->dims[!turn_b];
    if (p->k != (size_t)b->dims[turn_b]) return fp_call_fail(call, "the operands do not fit together");
    if (turn_a) {
        p->a_row = 1;
        p->a_column = a->dims[1];
    } else {
        p->a_row = a->dims[1];
        p->a_column = 1;
    }
    if (turn_b) {
        p->b_row = 1;
        p->b_column = b->dims[1];
    } else {
        p->b_row = b->dims[1];
        p->b_column = 1;
    }
    p->batches = 1;
    fp_walk_make(&p->walk, 2, 0, dims, NULL);
    *rank = 2;
    dims[0] = (int64_t)p->m;
    dims[1] = (int64_t)p->n;
    return FINEPRUNE_OK;
}

static int check_parameters(struct fp_call *call, const struct product *p, const struct slots *s) {
    const struct fp_tensor *a = call->in[s->a], *b = call->in[s->b];
    int status = FINEPRUNE_OK;
    if (s->a_scale >= 0) status = fp_check_scale(call, s->a_scale, p->m);
    if (!status && s->b_scale >= 0) status = fp_check_scale(call, s->b_scale, p->n);
    if (!status && s->a_zero >= 0) status = fp_check_zero(call, s->a_zero, a->type, p->m);
    if (!status && s->b_zero >= 0) status = fp_check_zero(call, s->b_zero, b->type, p->n);
    if (!status && s->y_scale >= 0 && fp_given(call, s->y_scale)) status = fp_check_scale(call, s->y_scale, 1);
    if (!status && s->bias >= 0 && fp_given(call, s->bias) && call->in[s->bias]->count != p->n &&
        call->in[s->bias]->count != 1)
        status = fp_call_fail(call, "the bias has %zu numbers for %zu columns", call->in[s->bias]->count, p->n);
    return status;
}

// The result's type: that of the output's zero point, or float32 or int32 where there is none.
static int result_type(struct fp_call *call, const struct slots *s, enum fp_type *type) {
    bool floats = call->op->variant == TO_FLOAT || call->op->variant == DYNAMIC;
    if (floats) *type = FP_FLOAT;
    else *type = FP_INT32;
    if (s->y_scale < 0) return FINEPRUNE_OK;
    *type = FP_FLOAT;
    if (fp_given(call, s->y_zero)) *type = call->in[s->y_zero]->type;
    else if (fp_given(call, s->y_scale)) *type = call->in[s->a]->type;
    if (*type == FP_FLOAT || fp_is_byte(*type)) return FINEPRUNE_OK;
    return fp_call_fail(call, "a result of %s is not supported", fp_type_name(*type));
}

static int prepare(struct fp_call *call) {
    const struct slots *s = &SLOTS[call->op->variant];
    static const int NEEDED[] = {2, 8, 6, 4, 3};
    int status = fp_need(call, NEEDED[call->op->variant]);
    if (status) return status;
    const struct fp_tensor *a = call->in[s->a], *b = call->in[s->b];
    bool quantizes = call->op->variant == DYNAMIC;
    if (quantizes && a->type != FP_FLOAT) return fp_bad_type(call, s->a);
    if (!quantizes && !fp_is_byte(a->type)) return fp_bad_type(call, s->a);
    if (!fp_is_byte(b->type)) return fp_bad_type(call, s->b);
    enum fp_type bias = FP_FLOAT; // after scaling; before requantizing it is int32
    if (call->op->variant == QGEMM) bias = FP_INT32;
    for (int i = 0; i < 9; i++)
        if (i == s->bias && fp_given(call, i) && call->in[i]->type != bias) return fp_bad_type(call, i);
    struct product *p = fp_state(call, sizeof(*p));
    if (!p) return FINEPRUNE_LIMIT;
    int rank;
    int64_t dims[FP_MAX_RANK + 2];
    if (call->op->variant == QGEMM) status = gemm_shape(call, p, a, b, &rank, dims);
    else status = matmul_shape(call, p, a, b, &rank, dims);
    enum fp_type type = FP_INT32;
    if (!status) status = check_parameters(call, p, s);
    if (!status) status = result_type(call, s, &type);
    if (status) return status;
    return fp_out(call, 0, type, rank, dims);
}

// ---- one product

static const struct fp_tensor *zero_of(const struct fp_call *call, int slot) {
    if (slot >= 0 && fp_given(call, slot)) return call->in[slot];
    return NULL;
}

// What becomes of one matrix of sums; `y` is its place in the output.
struct finish {
    float a_scale, a_zero; // of an operand that was quantized here
    float alpha;
};

static int finish_matrix(struct fp_call *call, const struct product *p, const struct slots *s, const struct finish *f,
                         int32_t *acc, size_t at) {
    enum fp_type type = call->out[0].type;
    char *y = (char *)call->out[0].data + at * fp_type_size(type);
    size_t bytes;
    if (type == FP_INT32) {
        memcpy(y, acc, p->m * p->n * sizeof(*acc));
        return FINEPRUNE_OK;
    }
    if (!fp_mul(p->n + 1, sizeof(float), &bytes)) return FINEPRUNE_LIMIT;
    float *factors = fp_take(call->memory, bytes);
    if (!factors) return fp_fail_memory(call->err, "scales", bytes);
    bool quantized = fp_is_byte(type);
    float y_scale = 1, y_zero = 0;
    if (quantized) {
        y_scale = fp_parameter(call, s->y_scale, 0, 1);
        y_zero = fp_parameter(call, s->y_zero, 0, 0);
    }
    const struct fp_tensor *bias = NULL;
    if (s->bias >= 0 && fp_given(call, s->bias)) bias = call->in[s->bias];
    for (size_t i = 0; i < p->m; i++) {
        float left = f->a_scale;
        if (s->a_scale >= 0) left = fp_parameter(call, s->a_scale, i, 1);
        int32_t *row = acc + i * p->n;
        for (size_t j = 0; j < p->n; j++) factors[j] = f->alpha * left * fp_parameter(call, s->b_scale, j, 1) / y_scale;
        if (bias && bias->type == FP_INT32)
            for (size_t j = 0; j < p->n; j++)
                row[j] = (int32_t)((uint32_t)row[j] + (uint32_t)((const int32_t *)bias->data)[bias->count > 1 ? j : 0]);
        if (quantized) {
            fp_requantize(y + i * p->n, type, row, p->n, factors, 1, y_zero);
        } else {
            for (size_t j = 0; j < p->n; j++) {
                float b = 0;
                if (bias && bias->type == FP_FLOAT) b = fp_parameter(call, s->bias, j, 0);
                ((float *)(void *)y)[i * p->n + j] = (float)row[j] * factors[j] + b;
            }
        }
    }
    fp_release(call->memory, factors, bytes);
    return FINEPRUNE_OK;
}

static int multiply(struct fp_call *call, struct product *p, const struct slots *s, const struct finish *f,
                    const void *a, const struct fp_tensor *a_zero, enum fp_type a_type) {
    const struct fp_tensor *b = call->in[s->b];
    const struct fp_tensor *b_zero = zero_of(call, s->b_zero);
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < p->batches && !status; i++) {
        int64_t offsets[3];
        fp_walk_row(&p->walk, i / p->walk.last, offsets);
        for (int k = 0; k < 2; k++) offsets[k] += (int64_t)(i % p->walk.last) * p->walk.step[k];
        struct fp_codes left = {
            .zero = a_zero, .zero_per_row = true, .type = a_type, .row_stride = p->a_row, .column_stride = p->a_column};
        struct fp_codes right = {.zero = b_zero, .type = b->type, .row_stride = p->b_row, .column_stride = p->b_column};
        left.data = (const char *)a + (size_t)offsets[0] * p->m * p->k;
        right.data = (const char *)b->data + (size_t)offsets[1] * p->k * p->n;
        status = fp_exact_product(call, p->acc, &(struct fp_factor){fp_fill_codes, &left},
                                  &(struct fp_factor){fp_fill_codes, &right}, p->m, p->k, p->n);
        if (!status) status = finish_matrix(call, p, s, f, p->acc, i * p->m * p->n);
    }
    return status;
}

static int run(struct fp_call *call) {
    struct product *p = call->state;
    const struct slots *s = &SLOTS[call->op->variant];
    const struct fp_tensor *a = call->in[s->a];
    if (call->out[0].count == 0) return FINEPRUNE_OK;
    bool quantizes = call->op->variant == DYNAMIC;
    size_t sums, bytes;
    if (!fp_mul(p->m * p->n, sizeof(int32_t), &sums) || !fp_add(sums, quantizes ? a->count : 0, &bytes))
        return fp_call_fail(call, "the result is too large");
    p->acc = fp_take(call->memory, bytes);
    if (!p->acc) return fp_fail_memory(call->err, "sums", bytes);
    struct finish f = {.a_scale = 1, .alpha = call->op->variant == QGEMM ? fp_attr_float(call->node, "alpha", 1) : 1};
    int status;
    if (quantizes) {
        uint8_t *codes = (uint8_t *)p->acc + sums, zero;
        fp_dynamic_scale(a->data, a->count, &f.a_scale, &f.a_zero);
        fp_quantize_bytes(codes, FP_UINT8, a->data, a->count, f.a_scale, f.a_zero);
        zero = (uint8_t)f.a_zero;
        struct fp_tensor own_zero = {.type = FP_UINT8, .count = 1, .data = &zero};
        status = multiply(call, p, s, &f, codes, &own_zero, FP_UINT8);
    } else {
        status = multiply(call, p, s, &f, a->data, zero_of(call, s->a_zero), a->type);
    }
    fp_release(call->memory, p->acc, bytes);
    p->acc = NULL;
    return status;
}

const struct fp_op fp_ops_integer_matmul[] = {
    {"", "MatMulInteger", 10, prepare, run, NULL, 0, MATMUL_INTEGER, .left = "integer weight of MatMulInteger",
     .arity = "rroo>r"},
    {"", "QLinearMatMul", 10, prepare, run, NULL, 0, QLINEAR_MATMUL, .left = "integer weight of QLinearMatMul",
     .arity = "rrrrrrrr>r"},
    {"com.microsoft", "QGemm", 1, prepare, run, NULL, 0, QGEMM, .left = "integer weight of QGemm",
     .arity = "rrrrrrooo>r", .attributes = "alpha=f transA=i transB=i"},
    {"com.microsoft", "MatMulIntegerToFloat", 1, prepare, run, NULL, 0, TO_FLOAT,
     .left = "integer weight of MatMulIntegerToFloat", .arity = "rrrrooo>r"},
    {"com.microsoft", "DynamicQuantizeMatMul", 1, prepare, run, NULL, FP_OP_MIXES, DYNAMIC,
     .left = "integer weight of DynamicQuantizeMatMul", .arity = "rrroo>r"},
    {0},
};
