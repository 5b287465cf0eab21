// SPDX-License-Identifier: Apache-2.0
// Pad. Each axis has a map from its output positions to input positions (-1: the constant), and rows are copied through
// the maps.
#include "ops/move.h"

struct pad {
    int64_t before[FP_MAX_RANK], after[FP_MAX_RANK]; // negative: that many are cropped
};

// Position p outside [0, n), n > 0.
static int64_t outside_constant(int64_t p, int64_t n) { return (void)p, (void)n, -1; }
static int64_t outside_edge(int64_t p, int64_t n) {
    if (p < 0) return 0;
    return n - 1;
}
static int64_t outside_wrap(int64_t p, int64_t n) { return (p % n + n) % n; }
static int64_t outside_reflect(int64_t p, int64_t n) {
    if (n == 1) return 0;
    int64_t period = 2 * (n - 1), at = (p % period + period) % period;
    if (at < n) return at;
    return period - at;
}

static const struct mode {
    const char *name;
    int64_t (*outside)(int64_t p, int64_t n);
} MODES[] = {
    {"constant", outside_constant}, {"reflect", outside_reflect}, {"edge", outside_edge}, {"wrap", outside_wrap}};

static const struct mode *find_mode(struct fp_call *call) {
    const char *name = fp_attr_text(call->node, "mode", "constant");
    for (size_t i = 0; i < FP_COUNT(MODES); i++)
        if (!strcmp(MODES[i].name, name)) return &MODES[i];
    fp_call_fail(call, "mode %s is not supported", name);
    return NULL;
}

static int64_t cropped(int64_t pad) { return fp_most_int(-pad, 0); }

static int read_pads(struct fp_call *call, struct pad *p) {
    int64_t pads[2 * FP_MAX_RANK], axes[FP_MAX_RANK];
    size_t n, n_axes = (size_t)call->in[0]->rank;
    bool given;
    int status = fp_ints_either(call, "pads", 1, pads, 2 * FP_MAX_RANK, &n, &given);
    if (!status && fp_given(call, 3)) status = fp_read_ints(call, 3, axes, FP_MAX_RANK, &n_axes);
    if (status) return status;
    if (!given || n != 2 * n_axes) return fp_call_fail(call, "there are %zu pads for %zu axes", n, n_axes);
    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < n_axes; i++) {
        int axis;
        int64_t wanted = (int64_t)i;
        if (fp_given(call, 3)) wanted = axes[i];
        status = fp_axis(call, wanted, call->in[0]->rank, &axis);
        if (status) return status;
        p->before[axis] = pads[i];
        p->after[axis] = pads[n_axes + i];
    }
    return FINEPRUNE_OK;
}

static int prepare_pad(struct fp_call *call) {
    struct pad *p = fp_state(call, sizeof(*p));
    if (!p) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 1);
    if (!status) status = read_pads(call, p);
    if (status) return status;
    const struct mode *mode = find_mode(call);
    if (!mode) return FINEPRUNE_MODEL;
    const struct fp_tensor *x = call->in[0];
    if (fp_given(call, 2) && (call->in[2]->type != x->type || call->in[2]->count != 1))
        return fp_call_fail(call, "the constant is %zu of %s (one %s is needed)", call->in[2]->count,
                            fp_type_name(call->in[2]->type), fp_type_name(x->type));
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        int64_t limit = INT64_MAX / 4, rest;
        bool fits = p->before[i] > -limit && p->before[i] < limit && p->after[i] > -limit && p->after[i] < limit &&
                    x->dims[i] < limit;
        if (fits) {
            rest = x->dims[i] - cropped(p->before[i]) - cropped(p->after[i]);
            dims[i] = x->dims[i] + p->before[i] + p->after[i];
        } else {
            rest = -1;
            dims[i] = -1;
        }
        if (rest < 0 || dims[i] < 0 || (!rest && dims[i] && mode->outside != outside_constant))
            return fp_call_fail(call, "a dim of %lld cannot be padded by %lld and %lld", (long long)x->dims[i],
                                (long long)p->before[i], (long long)p->after[i]);
    }
    status = fp_out(call, 0, x->type, x->rank, dims);
    call->out[0].layout = x->layout;
    return status;
}

static void fill_map(const struct pad *p, int axis, int64_t dim, int64_t out, const struct mode *mode, int64_t *map) {
    int64_t first = cropped(p->before[axis]), n = dim - first - cropped(p->after[axis]);
    int64_t shift = fp_most_int(p->before[axis], 0);
    for (int64_t i = 0; i < out; i++) {
        int64_t at = i - shift;
        map[i] = -1;
        if ((at < 0 || at >= n) && n) at = mode->outside(at, n);
        if (at >= 0 && n) map[i] = first + at;
    }
}

// The constant: an input, an attribute, or zero. `room` holds the attribute in the tensor's type.
static const void *constant_of(struct fp_call *call, double *room) {
    enum fp_type type = call->in[0]->type;
    if (fp_given(call, 2)) return call->in[2]->data;
    float value = fp_attr_float(call->node, "value", 0);
    if (value == 0 || type == FP_STRING || type == FP_COMPLEX64 || type == FP_COMPLEX128) return fp_zero(type);
    fp_convert(room, type, &value, FP_FLOAT, 1);
    return room;
}

static int run_pad(struct fp_call *call) {
    const struct pad *p = call->state;
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    const struct mode *mode = find_mode(call);
    const int64_t *maps[FP_MAX_RANK];
    double constant = 0;
    size_t total = 0;
    if (!y->count) return FINEPRUNE_OK; // and no maps of dims that nothing has paid for
    for (int i = 0; i < y->rank; i++) total += (size_t)y->dims[i];
    FP_STAGE(room, "padding");
    int64_t *at = fp_arena_take(&room, total, sizeof(*at));
    if (!at || !mode) return fp_fail_memory(call->err, "padding", total * sizeof(*at));
    for (int i = 0; i < y->rank; i++) {
        fill_map(p, i, x->dims[i], y->dims[i], mode, at);
        maps[i] = at;
        at += y->dims[i];
    }
    return fp_map_run(call, maps, constant_of(call, &constant));
}

const struct fp_op fp_ops_pad[] = {
    {"", "Pad", 2, prepare_pad, run_pad, NULL, FP_OP_ANY_KIND | FP_OP_BLOCKED, 0, .passage = FP_PASSAGE_PADS,
     .arity = "r>r 11:rro>r 18:rroo>r", .attributes = "mode=s pads=I value=f"},
    {0},
};
