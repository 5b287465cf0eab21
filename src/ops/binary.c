// SPDX-License-Identifier: Apache-2.0
// Functions of two elements with broadcasting: arithmetic, comparison, logic, bits; Sum, Mean, Min and Max of many;
// Where. A kernel is one inner run for one type; which kernels a function has is its row of TABLE. Types without a
// kernel go through a wider one.
#include <math.h>

#include "kernel/channels_last.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/move.h"

// n elements from operands with the given element strides.
typedef void kernel(void *dst, const void *left, const void *right, size_t n, int64_t left_step, int64_t right_step);

// clang-format off
#define KERNEL(attribute, name, T, R, expression) \
    attribute static void name##_##T(void *to, const void *left, const void *right, size_t n, int64_t sa, \
                                     int64_t sb) { \
        R *dst = to; \
        const T *a = left, *b = right; \
        if (sa == 1 && sb == 1) { \
            _Pragma("omp simd") for (size_t i = 0; i < n; i++) { \
                T x = a[i], y = b[i]; \
                dst[i] = (R)(expression); \
            } \
        } else if (sa == 1 && sb == 0) { \
            const T y = *b; \
            _Pragma("omp simd") for (size_t i = 0; i < n; i++) { \
                T x = a[i]; \
                dst[i] = (R)(expression); \
            } \
        } else if (sa == 0 && sb == 1) { \
            const T x = *a; \
            _Pragma("omp simd") for (size_t i = 0; i < n; i++) { \
                T y = b[i]; \
                dst[i] = (R)(expression); \
            } \
        } else { \
            for (size_t i = 0; i < n; i++) { \
                T x = a[(int64_t)i * sa], y = b[(int64_t)i * sb]; \
                dst[i] = (R)(expression); \
            } \
        } \
    }
#define FLOATS(name, e) KERNEL(FP_VECTOR, name, float, float, e) KERNEL(FP_VECTOR, name, double, double, e)
#define UNSIGNED(name, e) \
    KERNEL(, name, uint8_t, uint8_t, e) KERNEL(, name, uint16_t, uint16_t, e) KERNEL(, name, uint32_t, uint32_t, e) \
    KERNEL(, name, uint64_t, uint64_t, e)
#define SIGNED(name, e) \
    KERNEL(, name, int8_t, int8_t, e) KERNEL(, name, int16_t, int16_t, e) KERNEL(, name, int32_t, int32_t, e) \
    KERNEL(, name, int64_t, int64_t, e)
#define COMPARE(name, e) \
    KERNEL(FP_VECTOR, name, float, uint8_t, e) KERNEL(, name, double, uint8_t, e) KERNEL(, name, int8_t, uint8_t, e) \
    KERNEL(, name, int16_t, uint8_t, e) KERNEL(, name, int32_t, uint8_t, e) KERNEL(, name, int64_t, uint8_t, e) \
    KERNEL(, name, uint8_t, uint8_t, e) KERNEL(, name, uint16_t, uint8_t, e) KERNEL(, name, uint32_t, uint8_t, e) \
    KERNEL(, name, uint64_t, uint8_t, e)

// Integers wrap: sums and products of signed ones are made of the unsigned kernels.
// uint32_t keeps products of uint16_t defined.
FLOATS(add, x + y) UNSIGNED(add, x + y)
FLOATS(sub, x - y) UNSIGNED(sub, x - y)
FLOATS(mul, x * y) UNSIGNED(mul, (uint64_t)x * y)
// Division of integers truncates; by zero it gives 0, and the least number by -1 gives itself.
FLOATS(div, x / y) UNSIGNED(div, y == 0 ? 0 : x / y) 
SIGNED(div, y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y)
FLOATS(min, x < y || x != x ? x : y) UNSIGNED(min, x < y ? x : y) SIGNED(min, x < y ? x : y)
FLOATS(max, x > y || x != x ? x : y) UNSIGNED(max, x > y ? x : y) SIGNED(max, x > y ? x : y)
FLOATS(prelu, x < 0 ? x * y : x) UNSIGNED(prelu, ((void)y, x))
SIGNED(prelu, x < 0 ? (int64_t)((uint64_t)x * (uint64_t)y) : x)
    // clang-format on

    static inline double floor_mod(double x, double y) {
    double r = fmod(x, y);
    if (r != 0 && (r < 0) != (y < 0)) return r + y;
    return r;
}
static inline int64_t floor_mod_int(int64_t x, int64_t y) {
    if (y == 0 || y == -1) return 0;
    if (x % y != 0 && (x % y < 0) != (y < 0)) return x % y + y;
    return x % y;
}
// clang-format off
// The sign of the divisor, and the sign of the dividend.
KERNEL(, mod, float, float, floor_mod(x, y)) KERNEL(, mod, double, double, floor_mod(x, y))
UNSIGNED(mod, y == 0 ? 0 : x % y) SIGNED(mod, floor_mod_int(x, y))
KERNEL(, fmod, float, float, fmodf(x, y)) KERNEL(, fmod, double, double, fmod(x, y))
SIGNED(fmod, y == 0 || y == -1 ? 0 : x % y)

COMPARE(equal, x == y)
COMPARE(greater, x > y)
COMPARE(greater_equal, x >= y)
COMPARE(less, x < y)
COMPARE(less_equal, x <= y)
UNSIGNED(bit_and, x & y) UNSIGNED(bit_or, x | y) UNSIGNED(bit_xor, x ^ y)
UNSIGNED(shift_left, (uint64_t)y < 8 * sizeof(x) ? (uint64_t)x << y : 0)
UNSIGNED(shift_right, (uint64_t)y < 8 * sizeof(x) ? (uint64_t)x >> y : 0)
    // clang-format on

    static int64_t integer_power(int64_t base, int64_t exponent) {
    if (exponent < 0 && base == -1) return exponent & 1 ? -1 : 1;
    if (exponent < 0) return base == 1;
    uint64_t result = 1, square = (uint64_t)base;
    for (; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (int64_t)result;
}
KERNEL(, power, double, double, pow(x, y))
KERNEL(, power, int64_t, int64_t, integer_power(x, y))
KERNEL(, general_power, float, float, powf(x, y))
FP_VECTOR static void power_float(void *to, const void *left, const void *right, size_t n, int64_t sa, int64_t sb) {
    const float *x = left, *y = right;
    float *dst = to;
    if (sa != 1 || sb != 0 || *y != 2) { // squares are common
        general_power_float(to, left, right, n, sa, sb);
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; i++) dst[i] = x[i] * x[i];
}
#undef KERNEL
#undef FLOATS
#undef SIGNED
#undef UNSIGNED
#undef COMPARE

enum function {
    ADD,
    SUB,
    MUL,
    DIV,
    MIN,
    MAX,
    PRELU,
    MOD,
    FMOD,
    EQUAL,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    AND,
    OR,
    XOR,
    SHIFT_LEFT,
    SHIFT_RIGHT,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    POWER
};
enum { TYPES = FP_UINT64 + 1 };

#define F(name) [FP_FLOAT] = name##_float, [FP_DOUBLE] = name##_double
#define U(name)                                                                                                        \
    [FP_UINT8] = name##_uint8_t, [FP_UINT16] = name##_uint16_t, [FP_UINT32] = name##_uint32_t,                         \
    [FP_UINT64] = name##_uint64_t
#define S(name)                                                                                                        \
    [FP_INT8] = name##_int8_t, [FP_INT16] = name##_int16_t, [FP_INT32] = name##_int32_t, [FP_INT64] = name##_int64_t
#define W(name)                                                                                                        \
    [FP_INT8] = name##_uint8_t, [FP_INT16] = name##_uint16_t, [FP_INT32] = name##_uint32_t, [FP_INT64] = name##_uint64_t
#define B(name) [FP_BOOL] = name##_uint8_t
static kernel *const TABLE[][TYPES] = {
    [ADD] = {F(add), U(add), W(add)},
    [SUB] = {F(sub), U(sub), W(sub)},
    [MUL] = {F(mul), U(mul), W(mul)},
    [DIV] = {F(div), U(div), S(div)},
    [MIN] = {F(min), U(min), S(min)},
    [MAX] = {F(max), U(max), S(max)},
    [PRELU] = {F(prelu), U(prelu), S(prelu)},
    [MOD] = {F(mod), U(mod), S(mod)},
    [FMOD] = {F(fmod), U(mod), S(fmod)},
    [EQUAL] = {F(equal), U(equal), S(equal), B(equal)},
    [GREATER] = {F(greater), U(greater), S(greater)},
    [GREATER_EQUAL] = {F(greater_equal), U(greater_equal), S(greater_equal)},
    [LESS] = {F(less), U(less), S(less)},
    [LESS_EQUAL] = {F(less_equal), U(less_equal), S(less_equal)},
    [AND] = {B(bit_and)},
    [OR] = {B(bit_or)},
    [XOR] = {B(bit_xor)},
    [SHIFT_LEFT] = {U(shift_left)},
    [SHIFT_RIGHT] = {U(shift_right)},
    [BIT_AND] = {U(bit_and), W(bit_and)},
    [BIT_OR] = {U(bit_or), W(bit_or)},
    [BIT_XOR] = {U(bit_xor), W(bit_xor)},
    [POWER] = {F(power), [FP_INT64] = power_int64_t},
};
#undef F
#undef U
#undef S
#undef W
#undef B

// How operands are seen in the output: its dims, and in the order of its memory the strides of each operand.
struct binary {
    struct fp_walk walk;
    kernel *kernel;
    enum fp_type compute; // the type of the kernel
};

// ---- one run

struct job {
    const struct fp_walk *walk;
    kernel *kernel;
    enum fp_type compute, from[2], to;
    size_t size[2], to_size;
    const char *src[2];
    char *dst;
    int n_tail;
    const struct fp_tail *tail;
};

static void run_direct(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct job *j = user;
    j->kernel(j->dst + at * j->to_size, j->src[0] + offsets[0] * (int64_t)j->size[0],
              j->src[1] + offsets[1] * (int64_t)j->size[1], n, j->walk->step[0], j->walk->step[1]);
}

static void load(void *buffer, enum fp_type to, const char *src, enum fp_type from, size_t n, int64_t step) {
    size_t size = fp_type_size(from), to_size = fp_type_size(to);
    if (step == 1 || n == 1) fp_convert(buffer, to, src, from, n);
    else
        for (size_t i = 0; i < (step ? n : 1); i++)
            fp_convert((char *)buffer + i * to_size, to, src + (int64_t)i * step * (int64_t)size, from, 1);
}

// Through buffers of the kernel's type. Kernels of the wider types give results of that type, or bool.
static void run_converting(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct job *j = user;
    double buffer[3][FP_CHUNK];
    for (size_t i = 0; i < n; i += FP_CHUNK) {
        size_t m = fp_least(n - i, FP_CHUNK);
        for (int k = 0; k < 2; k++)
            load(buffer[k], j->compute, j->src[k] + (offsets[k] + (int64_t)i * j->walk->step[k]) * (int64_t)j->size[k],
                 j->from[k], m, j->walk->step[k]);
        char *dst = j->dst + (at + i) * j->to_size;
        void *result = j->to == FP_BOOL ? (void *)dst : buffer[2];
        j->kernel(result, buffer[0], buffer[1], m, j->walk->step[0] != 0, j->walk->step[1] != 0);
        if (j->to != FP_BOOL) fp_convert(dst, j->to, buffer[2], j->compute, m);
    }
}

static void run_piece(void *user, size_t begin, size_t end) {
    const struct job *j = user;
    bool direct = j->from[0] == j->compute && j->from[1] == j->compute;
    fp_walk_run(j->walk, begin, end, direct ? run_direct : run_converting, user);
    for (int i = 0; i < j->n_tail; i++) fp_tail_map(&j->tail[i], (float *)j->dst + begin, end - begin);
}

static void apply(struct fp_call *call, const struct fp_walk *walk, kernel *k, enum fp_type compute,
                  const struct fp_tensor *a, const struct fp_tensor *b) {
    struct fp_tensor *out = &call->out[0];
    struct job job = {.walk = walk,
                      .kernel = k,
                      .compute = compute,
                      .from = {a->type, b->type},
                      .to = out->type,
                      .size = {fp_type_size(a->type), fp_type_size(b->type)},
                      .to_size = fp_type_size(out->type),
                      .src = {a->data, b->data},
                      .dst = out->data,
                      .n_tail = call->n_tail,
                      .tail = call->tail};
    fp_pieces(fp_threads_for(call, out->count, 32768), out->count, 16384, run_piece, &job);
}

// ---- shapes

// Before opset 7: without `broadcast` shapes are equal, with it b lies along the dims of a from `axis` on (or the last
// ones).
static int old_view(struct fp_call *call, const struct fp_tensor *a, struct fp_tensor *b) {
    if (call->op->variant == PRELU) {
        if (b->rank == 1 && b->count != 1 && a->rank > 1)
            for (int i = 1; i < a->rank - 1 && b->rank < FP_MAX_RANK; i++) b->dims[b->rank++] = 1;
        return FINEPRUNE_OK;
    }
    if (!fp_attr_int(call->node, "broadcast", 0)) {
        if (fp_same_shape(a, b)) return FINEPRUNE_OK;
        char left[160], right[160];
        return fp_call_fail(call, "shapes %s and %s differ and broadcast is not set",
                            fp_shape_text(left, sizeof(left), a->rank, a->dims),
                            fp_shape_text(right, sizeof(right), b->rank, b->dims));
    }
    if (!fp_attr_has(call->node, "axis")) return FINEPRUNE_OK;
    int axis;
    int status = fp_axis(call, fp_attr_int(call->node, "axis", 0), a->rank, &axis);
    if (status) return status;
    if (b->layout)
        return fp_call_fail(call, "broadcast along axis %d of a tensor of rank %d is not supported", axis, b->rank);
    while (b->rank < a->rank - axis) b->dims[b->rank++] = 1;
    return FINEPRUNE_OK;
}

// Strides of an operand in an output of that rank, 0 where it is repeated.
static void operand_strides(const struct fp_tensor *t, int rank, int64_t *strides) {
    int64_t own[FP_MAX_RANK];
    fp_layout_strides(t, own);
    for (int i = 0; i < rank; i++) {
        int k = i - (rank - t->rank);
        if (k < 0 || t->dims[k] == 1) strides[i] = 0;
        else strides[i] = own[k];
    }
}

// The walk of operands over an output of those dims; it goes in the order of memory when the output lies channels last.
static void make_walk(struct fp_walk *walk, int n, const struct fp_tensor *const *operands,
                      const struct fp_tensor *out) {
    int64_t dims[FP_MAX_RANK], strides[3][FP_MAX_RANK], natural[FP_MAX_RANK];
    int axes[FP_MAX_RANK];
    fp_physical(out, axes);
    for (int k = 0; k < n; k++) {
        operand_strides(operands[k], out->rank, natural);
        for (int i = 0; i < out->rank; i++) {
            dims[i] = out->dims[axes[i]];
            strides[k][i] = natural[axes[i]];
        }
    }
    fp_walk_make(walk, n, out->rank, dims, strides);
}

// The type that computes: the operands' own when it has a kernel, else one that holds them.
static enum fp_type compute_type(const struct fp_call *call, kernel *const *kernels) {
    enum fp_type a = call->in[0]->type, b = a;
    if (call->n_in > 1) b = call->in[1]->type;
    if ((size_t)a < TYPES && a > 0 && a == b && kernels[a]) return a;
    if (a <= 0 || b <= 0 || (a != b && call->op->variant != POWER)) return FP_NONE;
    bool floats = fp_type_is_float(a) || fp_type_is_float(b);
    if (!floats) {
        if (fp_type_is_integer(a) && fp_type_is_integer(b) && call->op->variant == POWER) return FP_INT64;
        return FP_NONE;
    }
    if (!(fp_type_is_float(a) || fp_type_is_integer(a)) || !(fp_type_is_float(b) || fp_type_is_integer(b)))
        return FP_NONE;
    enum fp_type wide = FP_DOUBLE;
    if (fp_type_is_float(a) && a != FP_DOUBLE) wide = FP_FLOAT;
    if (kernels[wide]) return wide;
    return FP_NONE;
}

static int bad_types(struct fp_call *call) {
    return fp_call_fail(call, "types %s and %s are not supported", fp_type_name(call->in[0]->type),
                        fp_type_name(call->in[call->n_in > 1]->type));
}

static int prepare_kernel(struct fp_call *call, enum function function, bool compares) {
    struct binary *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    s->compute = compute_type(call, TABLE[function]);
    if (s->compute == FP_NONE) return bad_types(call);
    s->kernel = TABLE[function][s->compute];
    bool floats = s->compute == FP_FLOAT && call->in[0]->type == FP_FLOAT && !compares;
    for (int i = 0; i < call->n_tail; i++)
        if (!floats || !fp_tail_map(&call->tail[i], NULL, 0)) return FP_NOT_FUSED;
    const struct fp_tensor *a = call->in[0];
    struct fp_tensor b = *call->in[1]; // lent, to be seen in another shape
    int rank;
    int64_t dims[FP_MAX_RANK];
    int status = FINEPRUNE_OK;
    if (call->node->opset < 7 && !*call->node->domain) status = old_view(call, a, &b);
    if (!status) status = fp_broadcast(call, a, &b, &rank, dims);
    enum fp_type type = a->type;
    if (compares) type = FP_BOOL;
    if (!status) status = fp_out(call, 0, type, rank, dims);
    if (status) return status;
    struct fp_tensor *out = &call->out[0];
    // In place of in[0], the output must lie as it does.
    out->layout = NULL;
    if (fp_same_shape(out, a)) out->layout = a->layout;
    else if (fp_same_shape(out, &b)) out->layout = b.layout;
    const struct fp_tensor *operands[] = {a, &b};
    make_walk(&s->walk, 2, operands, out);
    return FINEPRUNE_OK;
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    return prepare_kernel(call, (enum function)call->op->variant, false);
}

static int run(struct fp_call *call) {
    const struct binary *s = call->state;
    apply(call, &s->walk, s->kernel, s->compute, call->in[0], call->in[1]);
    return FINEPRUNE_OK;
}

static int prepare_mod(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    if (fp_attr_int(call->node, "fmod", 0)) return prepare_kernel(call, FMOD, false);
    return prepare_kernel(call, MOD, false);
}

static int prepare_shift(struct fp_call *call) {
    const char *direction = fp_attr_text(call->node, "direction", "");
    int status = fp_need(call, 2);
    if (status) return status;
    if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
        return fp_call_fail(call, "direction=\"%.40s\" is neither LEFT nor RIGHT", direction);
    if (strcmp(direction, "LEFT")) return prepare_kernel(call, SHIFT_RIGHT, false);
    return prepare_kernel(call, SHIFT_LEFT, false);
}

// ---- comparison, strings too

static int prepare_compare(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    bool strings = call->in[0]->type == FP_STRING && call->in[1]->type == FP_STRING && call->op->variant == EQUAL;
    if (!strings) return prepare_kernel(call, (enum function)call->op->variant, true);
    struct binary *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    int rank;
    int64_t dims[FP_MAX_RANK];
    status = fp_broadcast(call, call->in[0], call->in[1], &rank, dims);
    if (!status) status = fp_out(call, 0, FP_BOOL, rank, dims);
    const struct fp_tensor *operands[] = {call->in[0], call->in[1]};
    if (!status) make_walk(&s->walk, 2, operands, &call->out[0]);
    return status;
}

static void equal_strings(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct job *j = user;
    char *const *a = (char *const *)(const void *)j->src[0] + offsets[0];
    char *const *b = (char *const *)(const void *)j->src[1] + offsets[1];
    for (size_t i = 0; i < n; i++)
        j->dst[at + i] = strcmp(a[(int64_t)i * j->walk->step[0]], b[(int64_t)i * j->walk->step[1]]) == 0;
}

static int run_compare(struct fp_call *call) {
    const struct binary *s = call->state;
    if (call->in[0]->type != FP_STRING) return run(call);
    struct job job = {.walk = &s->walk, .src = {call->in[0]->data, call->in[1]->data}, .dst = call->out[0].data};
    fp_walk_run(&s->walk, 0, call->out[0].count, equal_strings, &job);
    return FINEPRUNE_OK;
}

// ---- Sum, Mean, Min, Max: from left to right into the output

enum { SUM_OF_MANY, MEAN_OF_MANY, MIN_OF_MANY, MAX_OF_MANY };
static const enum function STEPS[] = {ADD, ADD, MIN, MAX};

static int prepare_many(struct fp_call *call) {
    int status = fp_need(call, call->n_in > 0 ? call->n_in : 1);
    if (status) return status;
    struct binary *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    struct fp_tensor sum = {.type = call->in[0]->type, .rank = call->in[0]->rank};
    memcpy(sum.dims, call->in[0]->dims, sizeof(sum.dims));
    for (int i = 1; i < call->n_in; i++) {
        int64_t dims[FP_MAX_RANK];
        if (call->in[i]->type != sum.type) return bad_types(call);
        status = fp_broadcast(call, &sum, call->in[i], &sum.rank, dims);
        if (status) return status;
        memcpy(sum.dims, dims, (size_t)sum.rank * sizeof(dims[0]));
    }
    kernel *const *kernels = TABLE[STEPS[call->op->variant]];
    s->compute = compute_type(call, kernels);
    if (s->compute == FP_NONE) return bad_types(call);
    s->kernel = kernels[s->compute];
    return fp_out(call, 0, sum.type, sum.rank, sum.dims);
}

static void divide_all(struct fp_call *call, const struct binary *s, double by) {
    const struct fp_tensor *out = &call->out[0];
    double number;
    fp_convert(&number, out->type, &by, FP_DOUBLE, 1);
    struct fp_tensor divisor = {.type = out->type, .count = 1, .data = &number};
    const struct fp_tensor *operands[] = {out, &divisor};
    struct fp_walk walk;
    make_walk(&walk, 2, operands, out);
    apply(call, &walk, TABLE[DIV][s->compute], s->compute, out, &divisor);
}

static int run_many(struct fp_call *call) {
    const struct binary *s = call->state;
    const struct fp_tensor *out = &call->out[0], *first = call->in[0];
    if (call->n_in == 1) memcpy(out->data, first->data, fp_tensor_bytes(out));
    for (int i = 1; i < call->n_in; i++) {
        const struct fp_tensor *operands[] = {i == 1 ? first : out, call->in[i]};
        struct fp_walk walk;
        make_walk(&walk, 2, operands, out);
        apply(call, &walk, s->kernel, s->compute, operands[0], operands[1]);
    }
    if (call->op->variant == MEAN_OF_MANY) divide_all(call, s, call->n_in);
    return FINEPRUNE_OK;
}

// ---- Where

static int prepare_where(struct fp_call *call) {
    int status = fp_need(call, 3);
    if (status) return status;
    const struct fp_tensor *c = call->in[0], *a = call->in[1], *b = call->in[2];
    if (c->type != FP_BOOL) return fp_bad_type(call, 0);
    if (a->type != b->type)
        return fp_call_fail(call, "types %s and %s differ", fp_type_name(a->type), fp_type_name(b->type));
    if (a->type == FP_SEQUENCE || a->type == FP_NONE) return fp_bad_type(call, 1);
    struct fp_walk *walk = fp_state(call, sizeof(*walk));
    if (!walk) return FINEPRUNE_LIMIT;
    struct fp_tensor both = {.rank = 0};
    int rank;
    int64_t dims[FP_MAX_RANK];
    status = fp_broadcast(call, a, b, &both.rank, both.dims);
    if (!status) status = fp_broadcast(call, c, &both, &rank, dims);
    if (!status) status = fp_out(call, 0, a->type, rank, dims);
    const struct fp_tensor *operands[] = {c, a, b};
    if (!status) make_walk(walk, 3, operands, &call->out[0]);
    return status;
}

struct choice {
    const struct fp_walk *walk;
    const uint8_t *condition;
    const char *src[2]; // for false and true
    char *dst;
    size_t size;
    bool failed;
};

// Both sides are read, so that the loops are vector code.
#define CHOOSE(T)                                                                                                      \
    FP_VECTOR static void choose_##T(T *dst, const uint8_t *c, const T *a, const T *b, size_t n,                       \
                                     const int64_t *step) {                                                            \
        bool plain = step[0] == 1;                                                                                     \
        const T x = *a, y = *b;                                                                                        \
        if (plain && step[1] == 1 && step[2] == 1)                                                                     \
            for (size_t i = 0; i < n; i++) dst[i] = c[i] ? a[i] : b[i];                                                \
        else if (plain && step[1] == 1 && step[2] == 0)                                                                \
            for (size_t i = 0; i < n; i++) dst[i] = c[i] ? a[i] : y;                                                   \
        else if (plain && step[1] == 0 && step[2] == 1)                                                                \
            for (size_t i = 0; i < n; i++) dst[i] = c[i] ? x : b[i];                                                   \
        else                                                                                                           \
            for (size_t i = 0; i < n; i++)                                                                             \
                dst[i] = c[(int64_t)i * step[0]] ? a[(int64_t)i * step[1]] : b[(int64_t)i * step[2]];                  \
    }
CHOOSE(uint8_t)
CHOOSE(uint16_t)
CHOOSE(uint32_t)
CHOOSE(uint64_t)
#undef CHOOSE

static void choose(void *user, size_t at, const int64_t *offsets, size_t n) {
    const struct choice *j = user;
    const uint8_t *c = j->condition + offsets[0];
    const int64_t *step = j->walk->step;
    void *dst = j->dst + at * j->size;
    const void *a = j->src[1] + offsets[1] * (int64_t)j->size, *b = j->src[0] + offsets[2] * (int64_t)j->size;
    switch (j->size) {
    case 1: choose_uint8_t(dst, c, a, b, n, step); return;
    case 2: choose_uint16_t(dst, c, a, b, n, step); return;
    case 4: choose_uint32_t(dst, c, a, b, n, step); return;
    case 8: choose_uint64_t(dst, c, a, b, n, step); return;
    default: break;
    }
    for (size_t i = 0; i < n; i++) {
        bool yes = c[(int64_t)i * step[0]];
        const char *from = (const char *)b + (int64_t)i * step[2] * (int64_t)j->size;
        if (yes) from = (const char *)a + (int64_t)i * step[1] * (int64_t)j->size;
        memcpy((char *)dst + i * j->size, from, j->size);
    }
}

static void choose_piece(void *user, size_t begin, size_t end) {
    const struct choice *j = user;
    fp_walk_run(j->walk, begin, end, choose, user);
}

static void choose_strings(void *user, size_t at, const int64_t *offsets, size_t n) {
    struct choice *j = user;
    for (size_t i = 0; i < n; i++) {
        bool yes = j->condition[offsets[0] + (int64_t)i * j->walk->step[0]];
        int64_t from = offsets[2] + (int64_t)i * j->walk->step[2];
        if (yes) from = offsets[1] + (int64_t)i * j->walk->step[1];
        char *text = strdup(((char *const *)(const void *)j->src[yes])[from]);
        if (!text) j->failed = true;
        ((char **)(void *)j->dst)[at + i] = text;
    }
}

static int run_where(struct fp_call *call) {
    const struct fp_tensor *out = &call->out[0];
    struct choice job = {.walk = call->state,
                         .condition = call->in[0]->data,
                         .src = {call->in[2]->data, call->in[1]->data},
                         .dst = out->data,
                         .size = fp_type_size(out->type)};
    if (out->type == FP_STRING) fp_walk_run(job.walk, 0, out->count, choose_strings, &job);
    else fp_pieces(fp_threads_for(call, out->count, 32768), out->count, 16384, choose_piece, &job);
    if (job.failed) return fp_fail_memory(call->err, "text", 1);
    return FINEPRUNE_OK;
}

#define ROW(type, ...) {"", type, 1, prepare, run, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED, __VA_ARGS__}
#define FUSING(type, ...)                                                                                              \
    {"", type, 1, prepare, run, NULL, FP_OP_IN_PLACE | FP_OP_BLOCKED | FP_OP_FUSES_FUNCTIONS, __VA_ARGS__}
#define COMPARISON(type, name, ...) {"", type, 1, prepare_compare, run_compare, NULL, FP_OP_ANY_KIND, name, __VA_ARGS__}
#define MANY(type, flags, ...) {"", type, 1, prepare_many, run_many, NULL, flags, __VA_ARGS__}
const struct fp_op fp_ops_binary[] = {
    FUSING("Add", ADD, .role = FP_ROLE_ADDS, .passage = FP_PASSAGE_SUMS, .left = "a constant that is added",
           .arity = "rr>r", .attributes = "axis=i broadcast=i consumed_inputs=I"),
    FUSING("Sub", SUB, .role = FP_ROLE_SUBTRACTS, .passage = FP_PASSAGE_SUMS, .arity = "rr>r",
           .attributes = "axis=i broadcast=i consumed_inputs=I"),
    FUSING("Mul", MUL, .role = FP_ROLE_MULTIPLIES, .passage = FP_PASSAGE_JOINS,
           .left = "a constant that is multiplied element by element", .arity = "rr>r",
           .attributes = "axis=i broadcast=i consumed_inputs=I"),
    FUSING("Div", DIV, .role = FP_ROLE_DIVIDES, .passage = FP_PASSAGE_KEEPS, .arity = "rr>r",
           .attributes = "axis=i broadcast=i consumed_inputs=I"),
    ROW("Pow", POWER, .passage = FP_PASSAGE_KEEPS, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    ROW("PRelu", PRELU, .passage = FP_PASSAGE_KEEPS, .arity = "rr>r", .attributes = "consumed_inputs=I"),
    ROW("And", AND, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    ROW("Or", OR, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    ROW("Xor", XOR, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    ROW("BitwiseAnd", BIT_AND, .arity = "rr>r"),
    ROW("BitwiseOr", BIT_OR, .arity = "rr>r"),
    ROW("BitwiseXor", BIT_XOR, .arity = "rr>r"),
    COMPARISON("Equal", EQUAL, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    COMPARISON("Greater", GREATER, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    COMPARISON("GreaterOrEqual", GREATER_EQUAL, .arity = "rr>r"),
    COMPARISON("Less", LESS, .arity = "rr>r", .attributes = "axis=i broadcast=i"),
    COMPARISON("LessOrEqual", LESS_EQUAL, .arity = "rr>r"),
    MANY("Sum", 0, SUM_OF_MANY, .passage = FP_PASSAGE_SUMS, .arity = "+>r", .attributes = "consumed_inputs=I"),
    MANY("Mean", 0, MEAN_OF_MANY, .arity = "+>r", .attributes = "consumed_inputs=I"),
    MANY("Min", FP_OP_ROUNDS | FP_OP_FIRST_DECIDES, MIN_OF_MANY, .passage = FP_PASSAGE_JOINS, .arity = "+>r",
         .attributes = "consumed_inputs=I"),
    MANY("Max", FP_OP_ROUNDS | FP_OP_FIRST_DECIDES, MAX_OF_MANY, .role = FP_ROLE_GREATER, .passage = FP_PASSAGE_JOINS,
         .arity = "+>r", .attributes = "consumed_inputs=I"),
    {"", "Mod", 1, prepare_mod, run, NULL, FP_OP_IN_PLACE | FP_OP_ROUNDS, .arity = "rr>r", .attributes = "fmod=i"},
    {"", "BitShift", 1, prepare_shift, run, NULL, FP_OP_IN_PLACE, .arity = "rr>r", .attributes = "direction=s!"},
    {"", "Where", 1, prepare_where, run_where, NULL, FP_OP_ANY_KIND, .arity = "rrr>r"},
    {0},
};
#undef ROW
#undef FUSING
#undef COMPARISON
#undef MANY
