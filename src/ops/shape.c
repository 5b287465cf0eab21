// SPDX-License-Identifier: Apache-2.0
// Operators about shapes, and those that make a tensor from a few numbers: Reshape, Shape, Expand, Constant, Range and
// their like.
#include "ops/move.h"

#include <math.h>
#include <stdlib.h>

#include "kernel/channels_last.h"

// ---- same elements, other dims

// The dims that a Reshape asks for; 0 copies, one -1 is what is left.
static int resolve_reshape(struct fp_call *call, bool allow_zero, size_t n, int64_t *dims) {
    const struct fp_tensor *x = call->in[0];
    int open = -1;
    bool zero = false;
    for (size_t i = 0; i < n; i++) {
        if (dims[i] == 0 && !allow_zero) {
            if ((int)i >= x->rank)
                return fp_call_fail(call, "dim %zu of the new shape is copied from an input of rank %d", i, x->rank);
            dims[i] = x->dims[i];
        } else if (dims[i] == -1) {
            if (open >= 0) return fp_call_fail(call, "the new shape has more than one -1");
            open = (int)i;
        } else if (dims[i] == 0) {
            zero = true;
        }
    }
    if (open < 0) return FINEPRUNE_OK;
    if (zero) return fp_call_fail(call, "the new shape has a 0 (allowzero) and a -1");
    size_t known;
    dims[open] = 1;
    if (!fp_product((int)n, dims, &known)) return fp_call_fail(call, "the new shape is not possible");
    if (fp_shares(x->count, known) * known != x->count)
        return fp_call_fail(call, "%zu elements do not divide into groups of %zu", x->count, known);
    dims[open] = (int64_t)fp_shares(x->count, known);
    return FINEPRUNE_OK;
}

static int prepare_reshape(struct fp_call *call) {
    int64_t dims[FP_MAX_RANK];
    size_t n, count;
    bool given;
    int status = fp_need_tensors(call, 1);
    if (!status) status = fp_ints_either(call, "shape", 1, dims, FP_MAX_RANK, &n, &given);
    if (!status && !given) status = fp_call_fail(call, "there is no new shape");
    if (!status) status = resolve_reshape(call, fp_attr_int(call->node, "allowzero", 0) != 0, n, dims);
    if (status) return status;
    char from[160], to[160];
    if (!fp_product((int)n, dims, &count) || count != call->in[0]->count)
        return fp_call_fail(call, "shape %s does not fit into %s",
                            fp_shape_text(from, sizeof(from), call->in[0]->rank, call->in[0]->dims),
                            fp_shape_text(to, sizeof(to), (int)n, dims));
    return fp_out_alias(call, 0, 0, (int)n, dims);
}

static int prepare_flatten(struct fp_call *call) {
    int status = fp_need_tensors(call, 1), axis;
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int64_t given = fp_attr_int(call->node, "axis", 1);
    if (given < 0) given += x->rank;
    if (given < 0 || given > x->rank)
        return fp_call_fail(call, "axis %lld is outside rank %d", (long long)given, x->rank);
    axis = (int)given;
    return fp_out_alias(call, 0, 0, 2,
                        (int64_t[]){(int64_t)fp_span(x->dims, 0, axis), (int64_t)fp_span(x->dims, axis, x->rank)});
}

// The axes as flags over `rank` dims.
static int read_axes(struct fp_call *call, int rank, bool *flags, bool *given) {
    int64_t axes[FP_MAX_RANK];
    size_t n;
    memset(flags, 0, FP_MAX_RANK * sizeof(flags[0]));
    int status = fp_ints_either(call, "axes", 1, axes, FP_MAX_RANK, &n, given);
    for (size_t i = 0; i < n && !status && *given; i++) {
        int axis;
        status = fp_axis(call, axes[i], rank, &axis);
        if (!status && flags[axis]) status = fp_call_fail(call, "axis %d is given twice", axis);
        if (!status) flags[axis] = true;
    }
    return status;
}

static int prepare_squeeze(struct fp_call *call) {
    bool flags[FP_MAX_RANK], given;
    int status = fp_need_tensors(call, 1), rank = 0;
    if (!status) status = read_axes(call, call->in[0]->rank, flags, &given);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int64_t dims[FP_MAX_RANK], lie[FP_MAX_RANK];
    fp_layout_strides(x, lie);
    for (int i = 0; i < x->rank; i++) {
        if (given && flags[i] && x->dims[i] != 1)
            return fp_call_fail(call, "dim %d is %lld and cannot be squeezed", i, (long long)x->dims[i]);
        bool goes = x->dims[i] == 1;
        if (given) goes = flags[i];
        if (goes) continue;
        dims[rank] = x->dims[i];
        lie[rank++] = lie[i];
    }
    return fp_out_as_it_lies(call, rank, dims, lie);
}

// Dims of 1 that come or go leave the row-major order as it is: the input is written in it.
static int run_squeeze(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK];
    struct fp_move m = {0};
    if (call->out[0].data == x->data) return FINEPRUNE_OK;
    fp_layout_strides(x, from);
    fp_strides(x->rank, x->dims, to);
    for (int i = 0; i < x->rank; i++) fp_move_add(&m, x->dims[i], to[i], from[i]);
    return fp_move_run(call, &m, x->type, call->out[0].data, x->data);
}

static int prepare_unsqueeze(struct fp_call *call) {
    int64_t axes[FP_MAX_RANK], dims[FP_MAX_RANK], lie[FP_MAX_RANK], from[FP_MAX_RANK];
    bool flags[FP_MAX_RANK], given;
    size_t n;
    int status = fp_need_tensors(call, 1);
    if (!status) status = fp_ints_either(call, "axes", 1, axes, FP_MAX_RANK, &n, &given);
    if (!status && !given) status = fp_call_fail(call, "there are no axes");
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int rank = x->rank + (int)n;
    if (rank > FP_MAX_RANK) return fp_call_fail(call, "rank %d is not supported (0 to %d are)", rank, FP_MAX_RANK);
    status = read_axes(call, rank, flags, &given);
    if (status) return status;
    fp_layout_strides(x, lie);
    for (int i = 0, at = 0; i < rank; i++) {
        dims[i] = 1;
        from[i] = 0;
        if (flags[i]) continue;
        dims[i] = x->dims[at];
        from[i] = lie[at++];
    }
    return fp_out_as_it_lies(call, rank, dims, from);
}

// ---- shapes as tensors

static int64_t clamp(int64_t at, int64_t rank) {
    if (at < 0) return 0;
    if (at > rank) return rank;
    return at;
}

static void shape_range(const struct fp_call *call, int64_t *start, int64_t *end) {
    int64_t rank = call->in[0]->rank;
    *start = fp_attr_int(call->node, "start", 0);
    *end = fp_attr_int(call->node, "end", rank);
    *start = clamp(fp_place_of(*start, rank), rank);
    *end = clamp(fp_place_of(*end, rank), rank);
    if (*end < *start) *end = *start;
}

static int prepare_shape(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    int64_t start, end;
    shape_range(call, &start, &end);
    return fp_out(call, 0, FP_INT64, 1, (int64_t[]){end - start});
}

static int run_shape(struct fp_call *call) {
    int64_t start, end;
    shape_range(call, &start, &end);
    if (end > start) memcpy(call->out[0].data, call->in[0]->dims + start, (size_t)(end - start) * sizeof(int64_t));
    return FINEPRUNE_OK;
}

static int prepare_size(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    return fp_out(call, 0, FP_INT64, 0, NULL);
}

static int run_size(struct fp_call *call) {
    *(int64_t *)call->out[0].data = (int64_t)call->in[0]->count;
    return FINEPRUNE_OK;
}

// ---- Expand

static int prepare_expand(struct fp_call *call) {
    struct fp_tensor wanted = {0};
    int64_t dims[FP_MAX_RANK], out[FP_MAX_RANK];
    size_t n;
    int status = fp_need_tensors(call, 2), rank;
    if (!status) status = fp_read_ints(call, 1, dims, FP_MAX_RANK, &n);
    if (!status) status = fp_tensor_shape(&wanted, call->in[0]->type, (int)n, dims, call->err);
    if (!status) status = fp_broadcast(call, call->in[0], &wanted, &rank, out);
    if (status) return status;
    return fp_out(call, 0, call->in[0]->type, rank, out);
}

static int run_expand(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK];
    struct fp_move m = {0};
    fp_strides(y->rank, y->dims, to);
    fp_broadcast_strides(call->in[0], y->rank, y->dims, from);
    for (int i = 0; i < y->rank; i++) fp_move_add(&m, y->dims[i], to[i], from[i]);
    return fp_move_run(call, &m, y->type, y->data, call->in[0]->data);
}

// ---- Constant

static int load_value(struct fp_call *call, struct fp_tensor *out) {
    return fp_attr_tensor(call->node, "value", out, call->err);
}

static int load_sparse(struct fp_call *call, struct fp_tensor *out) {
    return fp_sparse_initializer_load(call->node->graph->model, fp_attr_sparse_proto(call->node, "sparse_value"), out,
                                      call->err);
}

static int make(struct fp_call *call, struct fp_tensor *out, enum fp_type type, int rank, size_t n) {
    return fp_tensor_new(out, call->memory, type, rank, (int64_t[]){(int64_t)n}, call->err);
}

static int load_float(struct fp_call *call, struct fp_tensor *out) {
    int status = make(call, out, FP_FLOAT, 0, 1);
    if (!status) *(float *)out->data = fp_attr_float(call->node, "value_float", 0);
    return status;
}

static int load_int(struct fp_call *call, struct fp_tensor *out) {
    int status = make(call, out, FP_INT64, 0, 1);
    if (!status) *(int64_t *)out->data = fp_attr_int(call->node, "value_int", 0);
    return status;
}

static int load_floats(struct fp_call *call, struct fp_tensor *out) {
    size_t n;
    const float *values = fp_attr_floats(call->node, "value_floats", &n);
    int status = make(call, out, FP_FLOAT, 1, n);
    if (!status && n) memcpy(out->data, values, n * sizeof(values[0]));
    return status;
}

static int load_ints(struct fp_call *call, struct fp_tensor *out) {
    size_t n;
    const int64_t *values = fp_attr_ints(call->node, "value_ints", &n);
    int status = make(call, out, FP_INT64, 1, n);
    if (!status && n) memcpy(out->data, values, n * sizeof(values[0]));
    return status;
}

static int load_string(struct fp_call *call, struct fp_tensor *out) {
    const char *text = fp_attr_text(call->node, "value_string", "");
    int status = make(call, out, FP_STRING, 0, 1);
    if (status) return status;
    return fp_put(call, FP_STRING, out->data, 0, &text, 0, 1);
}

static int load_strings(struct fp_call *call, struct fp_tensor *out) {
    size_t n = 0;
    while (fp_attr_strings(call->node, "value_strings", n)) n++;
    int status = make(call, out, FP_STRING, 1, n);
    for (size_t i = 0; i < n && !status; i++) {
        const char *text = fp_attr_strings(call->node, "value_strings", i);
        status = fp_put(call, FP_STRING, out->data, i, &text, 0, 1);
    }
    return status;
}

static const struct {
    const char *attribute;
    int (*load)(struct fp_call *, struct fp_tensor *);
} VALUES[] = {{"value", load_value},         {"sparse_value", load_sparse},  {"value_float", load_float},
              {"value_floats", load_floats}, {"value_int", load_int},        {"value_ints", load_ints},
              {"value_string", load_string}, {"value_strings", load_strings}};

// The elements are lent by the model where possible, so the output needs no memory of its own.
static int prepare_constant(struct fp_call *call) {
    for (size_t i = 0; i < FP_COUNT(VALUES); i++) {
        if (!fp_attr_has(call->node, VALUES[i].attribute)) continue;
        struct fp_tensor value = {0};
        int status = VALUES[i].load(call, &value);
        if (!status) status = fp_out(call, 0, value.type, value.rank, value.dims);
        if (status) {
            fp_tensor_done(&value);
            return status;
        }
        call->out[0] = value;
        return FINEPRUNE_OK;
    }
    return fp_call_fail(call, "there is no value");
}

static int shape_value(struct fp_call *call, struct fp_tensor *value) {
    if (!fp_attr_has(call->node, "value")) {
        int status = make(call, value, FP_FLOAT, 0, 1);
        if (!status) *(float *)value->data = 0;
        return status;
    }
    int status = load_value(call, value);
    if (!status && value->count != 1) {
        status = fp_call_fail(call, "the value has %zu elements (1 is needed)", value->count);
        fp_tensor_done(value);
    }
    return status;
}

static int prepare_constant_of_shape(struct fp_call *call) {
    struct fp_tensor value = {0};
    int64_t dims[FP_MAX_RANK];
    size_t n;
    int status = fp_need_tensors(call, 1);
    if (!status) status = fp_read_ints(call, 0, dims, FP_MAX_RANK, &n);
    if (!status) status = shape_value(call, &value);
    if (!status) status = fp_out(call, 0, value.type, (int)n, dims);
    fp_tensor_done(&value);
    return status;
}

static int run_constant_of_shape(struct fp_call *call) {
    struct fp_tensor value = {0};
    int status = shape_value(call, &value);
    if (!status) status = fp_fill(call, value.type, call->out[0].data, 0, value.data, call->out[0].count);
    fp_tensor_done(&value);
    return status;
}

// ---- Range, EyeLike, Trilu

static int prepare_range(struct fp_call *call) {
    double start, limit, delta;
    int status = fp_need_tensors(call, 3);
    if (!status) status = fp_same_type(call, 0, 1);
    if (!status) status = fp_same_type(call, 0, 2);
    if (!status) status = fp_read_scalar(call, 0, &start);
    if (!status) status = fp_read_scalar(call, 1, &limit);
    if (!status) status = fp_read_scalar(call, 2, &delta);
    if (status) return status;
    double n = ceil((limit - start) / delta);
    if (!isfinite(n) || n > 0x1p40)
        return fp_call_fail(call, "start %g, limit %g and delta %g make no range", start, limit, delta);
    int64_t count = 0;
    if (n > 0) count = (int64_t)n;
    return fp_out(call, 0, call->in[0]->type, 1, &count);
}

static int run_range(struct fp_call *call) {
    const struct fp_tensor *start = call->in[0], *delta = call->in[2];
    struct fp_tensor *y = &call->out[0];
    bool floats = fp_type_is_float(y->type);
    double d[2] = {0, 0};
    uint64_t u[2] = {0, 0};
    if (floats) {
        fp_convert(&d[0], FP_DOUBLE, start->data, start->type, 1);
        fp_convert(&d[1], FP_DOUBLE, delta->data, delta->type, 1);
    } else {
        u[0] = (uint64_t)fp_int_at(start, 0);
        u[1] = (uint64_t)fp_int_at(delta, 0);
    }
    size_t size = fp_type_size(y->type);
    for (size_t i = 0; i < y->count; i++) {
        double x = d[0] + (double)i * d[1];
        uint64_t k = u[0] + i * u[1];
        if (floats) fp_convert((char *)y->data + i * size, y->type, &x, FP_DOUBLE, 1);
        else fp_convert((char *)y->data + i * size, y->type, &k, FP_INT64, 1);
    }
    return FINEPRUNE_OK;
}

static int prepare_eye_like(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    enum fp_type type = (enum fp_type)fp_attr_int(call->node, "dtype", x->type);
    if (x->rank != 1 && x->rank != 2) return fp_call_fail(call, "the input has rank %d (1 or 2 is needed)", x->rank);
    if (!fp_type_size(type) || type == FP_COMPLEX64 || type == FP_COMPLEX128)
        return fp_call_fail(call, "dtype %s is not supported", fp_type_name(type));
    return fp_out(call, 0, type, 2, (int64_t[]){x->dims[0], x->dims[x->rank - 1]});
}

static int run_eye_like(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    int64_t k = fp_attr_int(call->node, "k", 0), rows = y->dims[0], columns = y->dims[1];
    size_t size = fp_type_size(y->type);
    float one = 1;
    if (y->count) memset(y->data, 0, fp_tensor_bytes(y));
    if (k <= -rows || k >= columns) return FINEPRUNE_OK;
    for (int64_t i = fp_most_int(-k, 0); i < rows && i + k < columns; i++)
        fp_convert((char *)y->data + (size_t)(i * columns + i + k) * size, y->type, &one, FP_FLOAT, 1);
    return FINEPRUNE_OK;
}

static int prepare_trilu(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    double k;
    if (!status && call->in[0]->rank < 2)
        status = fp_call_fail(call, "the input has rank %d (2 is needed)", call->in[0]->rank);
    if (!status && fp_given(call, 1)) status = fp_read_scalar(call, 1, &k);
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int run_trilu(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    int64_t rows = x->dims[x->rank - 2], n = x->dims[x->rank - 1];
    int64_t k = 0;
    if (fp_given(call, 1)) k = fp_int_at(call->in[1], 0);
    if (k < -rows) k = -rows;
    else if (k > n) k = n;
    bool upper = fp_attr_int(call->node, "upper", 1) != 0;
    size_t size = fp_type_size(x->type), total = fp_shares(x->count, (size_t)n);
    int status = fp_put_whole(call);
    for (size_t row = 0; row < total && !status; row++) {
        int64_t i = (int64_t)(row % (size_t)rows);
        int64_t edge = i + k; // kept: [edge, n) or [0, edge)
        if (!upper) edge++;
        edge = clamp(edge, n);
        char *at = (char *)y->data + row * (size_t)n * size;
        if (upper) memset(at, 0, (size_t)edge * size);
        else memset(at + (size_t)edge * size, 0, (size_t)(n - edge) * size);
    }
    return status;
}

#define ROW(name, since, prepare, run, ...) {"", name, since, prepare, run, NULL, __VA_ARGS__}
const struct fp_op fp_ops_shape[] = {
    ROW("Reshape", 1, prepare_reshape, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_RESHAPES,
        .passage = FP_PASSAGE_RESHAPES, .arity = "r>r 5:rr>r", .attributes = "allowzero=i consumed_inputs=I shape=I"),
    ROW("Flatten", 1, prepare_flatten, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_SETS_AXES,
        .passage = FP_PASSAGE_FLATTENS, .arity = "r>r", .attributes = "axis=i"),
    ROW("Squeeze", 1, prepare_squeeze, run_squeeze, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS,
        .role = FP_ROLE_SETS_AXES, .passage = FP_PASSAGE_SQUEEZES, .arity = "r>r 13:ro>r", .attributes = "axes=I"),
    ROW("Unsqueeze", 1, prepare_unsqueeze, run_squeeze, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS,
        .role = FP_ROLE_SETS_AXES, .passage = FP_PASSAGE_UNSQUEEZES, .arity = "r>r 13:rr>r", .attributes = "axes=I"),
    ROW("Shape", 1, prepare_shape, run_shape, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_MEASURES,
        .passage = FP_PASSAGE_MEASURES, .arity = "r>r", .attributes = "end=i start=i"),
    ROW("Size", 1, prepare_size, run_size, FP_OP_ANY_KIND, .role = FP_ROLE_MEASURES, .arity = "r>r"),
    ROW("Expand", 8, prepare_expand, run_expand, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_SPREADS,
        .arity = "rr>r"),
    ROW("Constant", 1, prepare_constant, NULL, FP_OP_ANY_KIND | FP_OP_DYNAMIC, .role = FP_ROLE_STORES, .arity = ">r",
        .attributes = "sparse_value=p value=t value_float=f value_floats=F value_int=i value_ints=I value_string=s "
                      "value_strings=S"),
    ROW("ConstantOfShape", 9, prepare_constant_of_shape, run_constant_of_shape, FP_OP_ANY_KIND, .role = FP_ROLE_FILLS,
        .arity = "r>r", .attributes = "value=t"),
    ROW("Range", 11, prepare_range, run_range, 0, .passage = FP_PASSAGE_COUNTS, .arity = "rrr>r"),
    ROW("EyeLike", 9, prepare_eye_like, run_eye_like, 0, .arity = "r>r", .attributes = "dtype=i k=i"),
    ROW("Trilu", 14, prepare_trilu, run_trilu, FP_OP_IN_PLACE, .arity = "ro>r", .attributes = "upper=i"),
    {0},
};
