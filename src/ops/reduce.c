// SPDX-License-Identifier: Apache-2.0
// Reductions over axes. Adjacent axes of one kind are merged; then either the innermost axis is kept and whole rows are
// added up, or it is reduced and a run becomes one number. Floats accumulate in float64, integers in 64 bits, always in
// the same order.
#include <math.h>

#include "ops/families.h"
#include "ops/loops.h"

enum kind { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE };
// What is done with each element; LOG_SUM_EXP is two passes, the greatest and then the sum of exp(x - greatest).
enum step { STEP_SUM, STEP_ABS, STEP_SQUARE, STEP_PROD, STEP_MAX, STEP_MIN, STEP_EXP };

static const enum step STEPS[] = {
    [SUM] = STEP_SUM, [MEAN] = STEP_SUM,  [MAX] = STEP_MAX,     [MIN] = STEP_MIN,         [PROD] = STEP_PROD,
    [L1] = STEP_ABS,  [L2] = STEP_SQUARE, [LOG_SUM] = STEP_SUM, [LOG_SUM_EXP] = STEP_EXP, [SUM_SQUARE] = STEP_SQUARE,
};

// Axes of one kind, merged, outermost first.
struct axes {
    int rank;
    size_t count;
    int64_t dims[FP_MAX_RANK], strides[FP_MAX_RANK];
};

// Eight bytes of whatever type computes.
union number {
    double d;
    int64_t i;
    uint64_t u;
};

struct reduce {
    enum kind kind;
    enum fp_type from, compute; // FP_DOUBLE, FP_INT64 or FP_UINT64
    struct axes kept, reduced;  // without the innermost axis
    bool inner_kept;
    size_t inner;             // length of the innermost axis
    size_t n;                 // elements of one result
    size_t blocks;            // per row, when the innermost axis is kept
    union number low_high[2]; // neutral elements of MAX and MIN
    const char *src;
    char *dst;
    enum fp_type to;
};

// ---- one pass over elements that lie in a row

enum { LANES = 16 }; // of a run that becomes one number

// acc[i] becomes acc[i] and x[i] together. U is the type of sums and products: integers wrap.
#define COLUMNS(T, U, magnitude, exponential)                                                                          \
    FP_VECTOR static void columns_##T(enum step step, T *acc, const T *x, const T *greatest, size_t n) {               \
        switch (step) {                                                                                                \
        case STEP_SUM:                                                                                                 \
            for (size_t i = 0; i < n; i++) acc[i] = (T)((U)acc[i] + (U)x[i]);                                          \
            break;                                                                                                     \
        case STEP_ABS:                                                                                                 \
            for (size_t i = 0; i < n; i++) acc[i] = (T)((U)acc[i] + (U)(magnitude));                                   \
            break;                                                                                                     \
        case STEP_SQUARE:                                                                                              \
            for (size_t i = 0; i < n; i++) acc[i] = (T)((U)acc[i] + (U)x[i] * (U)x[i]);                                \
            break;                                                                                                     \
        case STEP_PROD:                                                                                                \
            for (size_t i = 0; i < n; i++) acc[i] = (T)((U)acc[i] * (U)x[i]);                                          \
            break;                                                                                                     \
        case STEP_MAX:                                                                                                 \
            for (size_t i = 0; i < n; i++) acc[i] = x[i] > acc[i] || x[i] != x[i] ? x[i] : acc[i];                     \
            break;                                                                                                     \
        case STEP_MIN:                                                                                                 \
            for (size_t i = 0; i < n; i++) acc[i] = x[i] < acc[i] || x[i] != x[i] ? x[i] : acc[i];                     \
            break;                                                                                                     \
        case STEP_EXP:                                                                                                 \
            for (size_t i = 0; i < n; i++) acc[i] += exponential;                                                      \
            break;                                                                                                     \
        }                                                                                                              \
    }
COLUMNS(double, double, fabs(x[i]), exp(x[i] - greatest[i]))
COLUMNS(int64_t, uint64_t, x[i] < 0 ? 0 - (uint64_t)x[i] : (uint64_t)x[i], *greatest) // no exponentials of integers
COLUMNS(uint64_t, uint64_t, x[i], *greatest)
#undef COLUMNS

static void columns(const struct reduce *r, enum step step, union number *acc, const union number *x,
                    const union number *greatest, size_t n) {
    const void *values = x, *top = greatest;
    if (r->compute == FP_DOUBLE) columns_double(step, &acc->d, values, top, n);
    else if (r->compute == FP_INT64) columns_int64_t(step, &acc->i, values, top, n);
    else columns_uint64_t(step, &acc->u, values, top, n);
}

static void load(const struct reduce *r, union number *dst, int64_t at, size_t n) {
    const char *src = r->src + at * (int64_t)fp_type_size(r->from);
    if (r->from == FP_FLOAT) {
        const float *x = (const float *)(const void *)src;
        for (size_t i = 0; i < n; i++) dst[i].d = x[i];
    } else {
        fp_convert(dst, r->compute, src, r->from, n);
    }
}

static union number neutral(const struct reduce *r, enum step step) {
    union number v = {.u = 0};
    if (step == STEP_MAX || step == STEP_MIN) return r->low_high[step == STEP_MIN];
    if (step == STEP_PROD) {
        if (r->compute == FP_DOUBLE) v.d = 1;
        else v.u = 1;
    }
    return v;
}

static int64_t offset(const struct axes *a, size_t index) {
    int64_t at = 0;
    for (int i = a->rank - 1; i >= 0; i--) {
        at += (int64_t)(index % (size_t)a->dims[i]) * a->strides[i];
        index /= (size_t)a->dims[i];
    }
    return at;
}

// acc[0..n) over all reduced elements of n neighbouring results.
static void reduce_columns(const struct reduce *r, enum step step, int64_t at, union number *acc,
                           const union number *greatest, size_t n) {
    union number x[FP_CHUNK];
    for (size_t i = 0; i < n; i++) acc[i] = neutral(r, step);
    for (size_t k = 0; k < r->reduced.count; k++) {
        load(r, x, at + offset(&r->reduced, k), n);
        columns(r, step, acc, x, greatest, n);
    }
}

// One result of runs of r->inner elements.
static union number reduce_run(const struct reduce *r, enum step step, int64_t at, union number greatest) {
    union number x[FP_CHUNK], lanes[LANES], repeated[LANES];
    for (size_t i = 0; i < LANES; i++) {
        lanes[i] = neutral(r, step);
        repeated[i] = greatest;
    }
    for (size_t k = 0; k < r->reduced.count; k++) {
        int64_t start = at + offset(&r->reduced, k);
        for (size_t i = 0; i < r->inner; i += FP_CHUNK) {
            size_t n = fp_least(r->inner - i, FP_CHUNK);
            load(r, x, start + (int64_t)i, n);
            for (size_t c = 0; c < n; c += LANES) columns(r, step, lanes, x + c, repeated, fp_least(n - c, LANES));
        }
    }
    enum step join = step;
    if (step == STEP_ABS || step == STEP_SQUARE || step == STEP_EXP) join = STEP_SUM;
    for (size_t half = LANES / 2; half; half /= 2) columns(r, join, lanes, lanes + half, NULL, half);
    return lanes[0];
}

// ---- results

// What the greatest is taken off as: infinities would make NaN of themselves.
static double or_zero(double greatest) {
    if (isfinite(greatest)) return greatest;
    return 0;
}

static union number finish(const struct reduce *r, union number v, union number greatest) {
    switch (r->kind) {
    case MEAN:
        if (r->compute == FP_DOUBLE) v.d /= (double)r->n;
        else if (!r->n) v.u = 0;
        else if (r->compute == FP_INT64) v.i /= (int64_t)r->n;
        else v.u /= r->n;
        break;
    case L2: v.d = sqrt(v.d); break;
    case LOG_SUM: v.d = log(v.d); break;
    case LOG_SUM_EXP: v.d = log(v.d) + greatest.d; break;
    default: break;
    }
    return v;
}

static void store(const struct reduce *r, size_t at, union number *acc, const union number *greatest, size_t n) {
    for (size_t i = 0; i < n; i++) acc[i] = finish(r, acc[i], greatest ? greatest[i] : acc[i]);
    fp_convert(r->dst + at * fp_type_size(r->to), r->to, acc, r->compute, n);
}

static void column_block(const struct reduce *r, size_t index) {
    size_t row = index / r->blocks, from = index % r->blocks * FP_CHUNK, n = fp_least(r->inner - from, FP_CHUNK);
    int64_t at = offset(&r->kept, row) + (int64_t)from;
    union number acc[FP_CHUNK], greatest[FP_CHUNK];
    const union number *shift = NULL;
    if (r->kind == LOG_SUM_EXP) { // a pass of its own
        reduce_columns(r, STEP_MAX, at, greatest, NULL, n);
        for (size_t i = 0; i < n; i++) greatest[i].d = or_zero(greatest[i].d);
        shift = greatest;
    }
    reduce_columns(r, STEPS[r->kind], at, acc, shift, n);
    store(r, row * r->inner + from, acc, shift, n);
}

static void run_block(const struct reduce *r, size_t index) {
    int64_t at = offset(&r->kept, index);
    union number greatest = {.u = 0};
    const union number *shift = NULL;
    if (r->kind == LOG_SUM_EXP) {
        greatest = reduce_run(r, STEP_MAX, at, greatest);
        greatest.d = or_zero(greatest.d);
        shift = &greatest;
    }
    union number acc = reduce_run(r, STEPS[r->kind], at, greatest);
    store(r, index, &acc, shift, 1);
}

static void piece(void *user, size_t begin, size_t end) {
    const struct reduce *r = user;
    for (size_t i = begin; i < end; i++) {
        if (r->inner_kept) column_block(r, i);
        else run_block(r, i);
    }
}

static int run(struct fp_call *call) {
    struct reduce *r = call->state;
    struct fp_tensor *out = &call->out[0];
    if (out->count == 0) return FINEPRUNE_OK;
    r->src = call->in[0]->data;
    r->dst = out->data;
    size_t units = r->kept.count;
    if (r->inner_kept) units *= r->blocks;
    size_t work = call->in[0]->count / units + 1;
    fp_pieces(fp_threads_for(call, call->in[0]->count, 32768), units, fp_grain(work, 16384), piece, r);
    return FINEPRUNE_OK;
}

// ---- shapes

// Fills the axes of one kind, merging neighbours, and takes the innermost axis of the tensor apart.
static void split_axes(struct reduce *r, const struct fp_tensor *x, const bool *reduced) {
    struct axes *both[] = {&r->kept, &r->reduced};
    r->kept = r->reduced = (struct axes){.count = 1};
    int64_t stride = 1;
    int inner_first = x->rank; // axes from here on are the innermost run
    r->inner = 1;
    r->inner_kept = x->rank > 0 && !reduced[x->rank - 1];
    while (inner_first > 0 && reduced[inner_first - 1] == !r->inner_kept) r->inner *= (size_t)x->dims[--inner_first];
    stride = (int64_t)r->inner;
    for (int i = inner_first - 1; i >= 0; i--) { // innermost first, turned round below
        struct axes *a = both[reduced[i]];
        a->count *= (size_t)x->dims[i];
        if (i + 1 < inner_first && reduced[i + 1] == reduced[i]) {
            a->dims[a->rank - 1] *= x->dims[i];
        } else {
            a->dims[a->rank] = x->dims[i];
            a->strides[a->rank++] = stride;
        }
        if (x->count) stride *= x->dims[i];
    }
    for (int k = 0; k < 2; k++) {
        struct axes *a = both[k];
        for (int i = 0; i < a->rank / 2; i++) {
            int64_t dim = a->dims[i], step = a->strides[i];
            a->dims[i] = a->dims[a->rank - 1 - i];
            a->strides[i] = a->strides[a->rank - 1 - i];
            a->dims[a->rank - 1 - i] = dim;
            a->strides[a->rank - 1 - i] = step;
        }
    }
    r->n = r->reduced.count;
    if (!r->inner_kept) r->n *= r->inner;
    if (r->n == 0) r->reduced.count = 0;
    r->blocks = (r->inner + FP_CHUNK - 1) / FP_CHUNK;
}

// The least and the greatest number of a type: what MAX and MIN of nothing are.
static void limits(struct reduce *r) {
    int bits = (int)(8 * fp_type_size(r->from));
    bool is_signed = r->from == FP_INT8 || r->from == FP_INT16 || r->from == FP_INT32 || r->from == FP_INT64;
    if (r->compute == FP_DOUBLE) {
        r->low_high[0].d = -INFINITY;
        r->low_high[1].d = INFINITY;
    } else if (is_signed) {
        r->low_high[1].u = UINT64_MAX >> (65 - bits);
        r->low_high[0].i = -r->low_high[1].i - 1;
    } else {
        r->low_high[0].u = 0;
        if (r->from == FP_BOOL) r->low_high[1].u = 1;
        else r->low_high[1].u = UINT64_MAX >> (64 - bits);
    }
}

static enum fp_type compute_type(enum kind kind, enum fp_type type) {
    if (fp_type_is_float(type)) return FP_DOUBLE;
    if (type == FP_BOOL && kind != MAX && kind != MIN) return FP_NONE;
    if (type == FP_BOOL) return FP_INT64;
    if (!fp_type_is_integer(type)) return FP_NONE;
    if (kind == L2 || kind == LOG_SUM || kind == LOG_SUM_EXP) return FP_DOUBLE;
    if (type == FP_UINT64) return FP_UINT64;
    return FP_INT64;
}

// Which axes are reduced: those named, else all, or none when noop_with_empty_axes says so.
static int named_axes(struct fp_call *call, const struct fp_tensor *x, bool *reduced) {
    int64_t axes[FP_MAX_RANK];
    size_t n;
    bool given;
    int status = fp_ints_either(call, "axes", 1, axes, FP_MAX_RANK, &n, &given);
    if (status) return status;
    bool all = n == 0 && !fp_attr_int(call->node, "noop_with_empty_axes", 0);
    for (int i = 0; i < x->rank; i++) reduced[i] = all;
    for (size_t i = 0; i < n; i++) {
        int axis;
        status = fp_axis(call, axes[i], x->rank, &axis);
        if (status) return status;
        reduced[axis] = true;
    }
    return FINEPRUNE_OK;
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    bool reduced[FP_MAX_RANK];
    status = named_axes(call, x, reduced);
    if (status) return status;
    struct reduce *r = fp_state(call, sizeof(*r));
    if (!r) return FINEPRUNE_LIMIT;
    *r = (struct reduce){.kind = (enum kind)call->op->variant, .from = x->type, .to = x->type};
    r->compute = compute_type(r->kind, x->type);
    if (r->compute == FP_NONE) return fp_bad_type(call, 0);
    bool keep = fp_attr_int(call->node, "keepdims", 1) != 0;
    int rank = 0;
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        if (!reduced[i]) dims[rank++] = x->dims[i];
        else if (keep) dims[rank++] = 1;
    }
    status = fp_out(call, 0, x->type, rank, dims);
    if (status) return status;
    split_axes(r, x, reduced);
    limits(r);
    return FINEPRUNE_OK;
}

#define ROW(type, ...) {"", type, 1, prepare, run, NULL, 0, __VA_ARGS__}
const struct fp_op fp_ops_reduce[] = {
    ROW("ReduceSum", SUM, .role = FP_ROLE_SUMS_UP, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 13:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceMean", MEAN, .role = FP_ROLE_AVERAGES, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceMax", MAX, .role = FP_ROLE_FINDS_MAXIMUM, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceMin", MIN, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceProd", PROD, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceL1", L1, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceL2", L2, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceLogSum", LOG_SUM, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceLogSumExp", LOG_SUM_EXP, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    ROW("ReduceSumSquare", SUM_SQUARE, .passage = FP_PASSAGE_REDUCES, .arity = "r>r 18:ro>r",
        .attributes = "axes=I keepdims=i noop_with_empty_axes=i"),
    {0},
};
#undef ROW
