// SPDX-License-Identifier: Apache-2.0
// Operators that pick elements by position: Slice, Gather, GatherElements, GatherND, Compress, NonZero, OneHot.
#include "kernel/channels_last.h"
#include "ops/loops.h"
#include "ops/move.h"

enum { PARALLEL = 200000 };

static void *element(const struct fp_tensor *t, int64_t at) {
    size_t size = fp_type_held(t->type);
    return (char *)t->data + at * (int64_t)size;
}

static int fail_shapes(struct fp_call *call, const char *what) {
    char a[160], b[160];
    return fp_call_fail(call, "%s of shape %s do not fit data of shape %s", what,
                        fp_shape_text(a, sizeof(a), call->in[1]->rank, call->in[1]->dims),
                        fp_shape_text(b, sizeof(b), call->in[0]->rank, call->in[0]->dims));
}

// ---- Slice

struct slice {
    int64_t start[FP_MAX_RANK], step[FP_MAX_RANK];
};

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
    if (x < low) return low;
    if (x > high) return high;
    return x;
}

// Positions of one axis: start, step and how many.
static void slice_axis(int64_t dim, int64_t *start, int64_t end, int64_t *step, int64_t *n) {
    int64_t first = *start, last = end;
    if (first < 0) first += dim;
    if (last < 0) last += dim;
    // By itself this slice would be empty; exporters mean the end in the direction of the step, and runtimes take it
    // so.
    if (*step < 0 && (end == INT64_MAX || end == INT32_MAX)) last = -1;
    if (*step > 0) {
        first = clamp(first, 0, dim);
        last = clamp(last, 0, dim);
        if (last > first) *n = (last - first - 1) / *step + 1;
        else *n = 0;
    } else {
        first = clamp(first, dim ? 0 : -1, dim - 1);
        last = clamp(last, -1, dim - 1);
        if (first > last) *n = (first - last - 1) / -*step + 1;
        else *n = 0;
    }
    if (*n) *start = first;
    else *start = 0;
    if (*n < 2) *step = 1;
}

static int slice_axes(struct fp_call *call, struct slice *s, int64_t *dims) {
    int64_t starts[FP_MAX_RANK], ends[FP_MAX_RANK], axes[FP_MAX_RANK], steps[FP_MAX_RANK];
    size_t n, n_ends, n_axes, n_steps;
    bool given, axes_given = false, steps_given = false, seen[FP_MAX_RANK] = {0};
    const struct fp_tensor *x = call->in[0];
    int status = fp_ints_either(call, "starts", 1, starts, FP_MAX_RANK, &n, &given);
    if (!status) status = fp_ints_either(call, "ends", 2, ends, FP_MAX_RANK, &n_ends, &given);
    if (!status) status = fp_ints_either(call, "axes", 3, axes, FP_MAX_RANK, &n_axes, &axes_given);
    if (!status) status = fp_ints_either(call, "steps", 4, steps, FP_MAX_RANK, &n_steps, &steps_given);
    if (status) return status;
    if (n != n_ends || n > (size_t)x->rank || (axes_given && n_axes != n) || (steps_given && n_steps != n))
        return fp_call_fail(call, "%zu starts, %zu ends, %zu axes and %zu steps do not fit together with rank %d", n,
                            n_ends, n_axes, n_steps, x->rank);
    for (size_t i = 0; i < n; i++) {
        int axis;
        status = fp_axis(call, axes_given ? axes[i] : (int64_t)i, x->rank, &axis);
        if (status) return status;
        int64_t step = 1;
        if (steps_given) step = steps[i];
        if (step == 0 || seen[axis]) return fp_call_fail(call, "axis %d has step 0 or is given twice", axis);
        seen[axis] = true;
        s->step[axis] = fp_most_int(step, -INT64_MAX);
        s->start[axis] = starts[i];
        slice_axis(x->dims[axis], &s->start[axis], ends[i], &s->step[axis], &dims[axis]);
    }
    return FINEPRUNE_OK;
}

static int prepare_slice(struct fp_call *call) {
    struct slice *s = fp_state(call, sizeof(*s));
    int64_t dims[FP_MAX_RANK];
    if (!s) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    bool whole = true;
    for (int i = 0; i < FP_MAX_RANK; i++) {
        if (i < x->rank) dims[i] = x->dims[i];
        else dims[i] = 0;
        s->start[i] = 0;
        s->step[i] = 1;
    }
    status = slice_axes(call, s, dims);
    if (status) return status;
    for (int i = 0; i < x->rank; i++) whole = whole && dims[i] == x->dims[i] && s->step[i] == 1;
    if (whole) status = fp_out_alias(call, 0, 0, x->rank, dims);
    else status = fp_out(call, 0, x->type, x->rank, dims);
    if (!status) call->out[0].layout = x->layout;
    return status;
}

static int run_slice(struct fp_call *call) {
    const struct slice *s = call->state;
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    if (y->data == x->data || !y->count) return FINEPRUNE_OK;
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK], start = 0;
    struct fp_move m = {0};
    fp_layout_strides(x, from);
    fp_layout_strides(y, to);
    for (int i = 0; i < x->rank; i++) {
        start += s->start[i] * from[i];
        fp_move_add(&m, y->dims[i], to[i], s->step[i] * from[i]);
    }
    return fp_move_run(call, &m, y->type, y->data, element(x, start));
}

// ---- Gather

static int prepare_gather(struct fp_call *call) {
    int status = fp_need_tensors(call, 2), axis = 0;
    if (!status) status = fp_index_type(call, 1);
    if (!status) status = fp_axis_attr(call, 0, call->in[0]->rank, &axis);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    int64_t dims[2 * FP_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < axis; i++) dims[rank++] = x->dims[i];
    for (int i = 0; i < indices->rank; i++) dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < x->rank; i++) dims[rank++] = x->dims[i];
    return fp_out(call, 0, x->type, rank, dims);
}

// All indices checked and brought to [0, n), in the caller's arena.
static int resolve_indices(struct fp_call *call, struct fp_arena *room, int64_t n, int64_t **out) {
    const struct fp_tensor *indices = call->in[1];
    int64_t *at = fp_arena_take(room, indices->count, sizeof(*at));
    if (!at) return fp_arena_check(room, call->err);
    for (size_t i = 0; i < indices->count; i++) {
        size_t index;
        int status = fp_index(call, fp_int_at(indices, i), n, &index);
        if (status) return status;
        at[i] = (int64_t)index;
    }
    *out = at;
    return FINEPRUNE_OK;
}

// Rows begin to end of [outer, n, inner], where n is the number of indices.
static int gather_rows(struct fp_call *call, const int64_t *at, size_t begin, size_t end, size_t dim, size_t inner) {
    const struct fp_tensor *x = call->in[0];
    size_t n = call->in[1]->count;
    int status = FINEPRUNE_OK;
    for (size_t i = begin; i < end && !status; i++)
        status = fp_put(call, x->type, call->out[0].data, i * inner, x->data, (i / n * dim + (size_t)at[i % n]) * inner,
                        inner);
    return status;
}

static int run_gather(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    int axis = 0, status = fp_axis_attr(call, 0, x->rank, &axis);
    size_t outer, dim, inner, n = call->in[1]->count, size = fp_type_size(x->type);
    FP_STAGE(room, "indices");
    int64_t *at = NULL;
    if (!status) status = resolve_indices(call, &room, x->dims[axis], &at);
    if (status) return status;
    fp_split_axis(x, axis, &outer, &dim, &inner);
    if (!size) {
        status = gather_rows(call, at, 0, outer * n, dim, inner);
    } else if (inner == 1) {
#pragma omp parallel for num_threads(call->threads) if (y->count > PARALLEL)
        for (size_t o = 0; o < outer; o++)
            fp_pick((char *)y->data + o * n * size, (const char *)x->data + o * dim * size, at, n, size);
    } else {
#pragma omp parallel for num_threads(call->threads) if (y->count > PARALLEL)
        for (size_t i = 0; i < outer * n; i++) gather_rows(call, at, i, i + 1, dim, inner);
    }
    return status;
}

// ---- GatherElements

static int prepare_gather_elements(struct fp_call *call) {
    int status = fp_need_tensors(call, 2), axis = 0;
    if (!status) status = fp_index_type(call, 1);
    if (!status) status = fp_axis_attr(call, 0, call->in[0]->rank, &axis);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    bool fits = x->rank == indices->rank;
    for (int i = 0; i < x->rank && fits; i++) fits = i == axis || indices->dims[i] <= x->dims[i];
    if (!fits) return fail_shapes(call, "indices");
    return fp_out(call, 0, x->type, indices->rank, indices->dims);
}

struct pick {
    struct fp_call *call;
    const struct fp_walk *walk;
    int64_t stride; // of the axis
    const int64_t *at;
    int status;
};

static void pick_run(void *user, size_t begin, const int64_t *offsets, size_t n) {
    struct pick *p = user;
    const struct fp_tensor *x = p->call->in[0];
    struct fp_tensor *y = &p->call->out[0];
    size_t size = fp_type_size(x->type);
    int64_t from[FP_CHUNK];
    for (size_t done = 0; done < n && !p->status; done += FP_CHUNK) {
        size_t count = fp_least(n - done, FP_CHUNK);
        for (size_t i = 0; i < count; i++)
            from[i] = offsets[0] + (int64_t)(done + i) * p->walk->step[0] + p->at[begin + done + i] * p->stride;
        if (size) fp_pick((char *)y->data + (begin + done) * size, x->data, from, count, size);
        for (size_t i = 0; i < count && !size && !p->status; i++)
            p->status = fp_put(p->call, x->type, y->data, begin + done + i, x->data, (size_t)from[i], 1);
    }
}

static int run_gather_elements(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    int64_t strides[1][FP_MAX_RANK];
    struct fp_walk walk;
    struct pick pick = {.call = call, .walk = &walk};
    int axis = 0;
    FP_STAGE(room, "indices");
    int64_t *at = NULL;
    int status = fp_axis_attr(call, 0, x->rank, &axis);
    if (!status) status = resolve_indices(call, &room, x->dims[axis], &at);
    if (status) return status;
    fp_strides(x->rank, x->dims, strides[0]);
    pick.stride = strides[0][axis];
    pick.at = at;
    strides[0][axis] = 0;
    fp_walk_make(&walk, 1, indices->rank, indices->dims, strides);
    fp_walk_run(&walk, 0, indices->count, pick_run, &pick);
    return pick.status;
}

// ---- GatherND

static int prepare_gather_nd(struct fp_call *call) {
    int status = fp_need_tensors(call, 2);
    if (!status) status = fp_index_type(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    int64_t batch = fp_attr_int(call->node, "batch_dims", 0), dims[2 * FP_MAX_RANK];
    if (batch < 0 || indices->rank < 1 || batch >= indices->rank || batch > x->rank)
        return fail_shapes(call, "indices");
    int64_t depth = indices->dims[indices->rank - 1];
    if (depth < 1 || depth > x->rank - batch) return fail_shapes(call, "indices");
    int rank = 0;
    for (int i = 0; i < batch; i++)
        if (x->dims[i] != indices->dims[i]) return fail_shapes(call, "indices");
    for (int i = 0; i < indices->rank - 1; i++) dims[rank++] = indices->dims[i];
    for (int i = (int)(batch + depth); i < x->rank; i++) dims[rank++] = x->dims[i];
    return fp_out(call, 0, x->type, rank, dims);
}

static int run_gather_nd(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *indices = call->in[1];
    int batch = (int)fp_attr_int(call->node, "batch_dims", 0), depth = (int)indices->dims[indices->rank - 1];
    size_t inner = fp_span(x->dims, batch + depth, x->rank), block = fp_span(x->dims, batch, x->rank);
    size_t per_batch = fp_span(indices->dims, batch, indices->rank - 1), n = indices->count / (size_t)depth;
    for (size_t i = 0; i < n; i++) {
        size_t from = i / per_batch * block, stride = block;
        for (int k = 0; k < depth; k++) {
            size_t at;
            int64_t dim = x->dims[batch + k];
            int status = fp_index(call, fp_int_at(indices, i * (size_t)depth + (size_t)k), dim, &at);
            if (status) return status;
            stride /= (size_t)dim;
            from += at * stride;
        }
        int status = fp_put(call, x->type, call->out[0].data, i * inner, x->data, from, inner);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// ---- Compress

static int prepare_compress(struct fp_call *call) {
    int status = fp_need_tensors(call, 2), axis = 0;
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *condition = call->in[1];
    bool flat = !fp_attr_has(call->node, "axis");
    if (condition->type != FP_BOOL || condition->rank != 1)
        return fp_call_fail(call, "the condition is %s of rank %d (bool of rank 1 is needed)",
                            fp_type_name(condition->type), condition->rank);
    if (!flat) status = fp_axis_attr(call, 0, x->rank, &axis);
    if (status) return status;
    size_t dim = x->count;
    if (!flat) dim = (size_t)x->dims[axis];
    if (condition->count > dim)
        return fp_call_fail(call, "the condition has %zu entries for %zu elements", condition->count, dim);
    int64_t dims[FP_MAX_RANK], kept = 0;
    for (size_t i = 0; i < condition->count; i++) kept += ((const uint8_t *)condition->data)[i] != 0;
    if (flat) return fp_out(call, 0, x->type, 1, &kept);
    memcpy(dims, x->dims, sizeof(dims));
    dims[axis] = kept;
    return fp_out(call, 0, x->type, x->rank, dims);
}

static int run_compress(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *condition = call->in[1];
    size_t outer = 1, dim = x->count, inner = 1, to = 0;
    int axis = 0, status = FINEPRUNE_OK;
    if (fp_attr_has(call->node, "axis")) {
        status = fp_axis_attr(call, 0, x->rank, &axis);
        if (!status) fp_split_axis(x, axis, &outer, &dim, &inner);
    }
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < condition->count && !status; i++) {
            if (!((const uint8_t *)condition->data)[i]) continue;
            status = fp_put(call, x->type, call->out[0].data, to, x->data, (o * dim + i) * inner, inner);
            to += inner;
        }
    return status;
}

// ---- NonZero

static bool is_zero(const struct fp_tensor *t, size_t i) {
    static const unsigned char zero[16];
    size_t size = fp_type_size(t->type);
    const unsigned char *at = (const unsigned char *)t->data + i * size;
    if (!memcmp(at, zero, size)) return true;
    // -0.0
    return fp_type_is_float(t->type) && at[size - 1] == 0x80 && !memcmp(at, zero, size - 1);
}

static int prepare_non_zero(struct fp_call *call) {
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    int64_t n = 0;
    for (size_t i = 0; i < call->in[0]->count; i++) n += !is_zero(call->in[0], i);
    return fp_out(call, 0, FP_INT64, 2, (int64_t[]){call->in[0]->rank, n});
}

static int run_non_zero(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    int64_t *dst = call->out[0].data, n = call->out[0].dims[1], to = 0;
    for (size_t i = 0; i < x->count && to < n; i++) {
        if (is_zero(x, i)) continue;
        size_t rest = i;
        for (int k = x->rank - 1; k >= 0; k--) {
            dst[k * n + to] = (int64_t)(rest % (size_t)x->dims[k]);
            rest /= (size_t)x->dims[k];
        }
        to++;
    }
    return FINEPRUNE_OK;
}

// ---- OneHot

static int one_hot_axis(struct fp_call *call, int *axis) { return fp_axis_attr(call, -1, call->in[0]->rank + 1, axis); }

static int prepare_one_hot(struct fp_call *call) {
    double depth;
    int status = fp_need_tensors(call, 3), axis = 0;
    if (!status) status = fp_read_scalar(call, 1, &depth);
    if (!status) status = one_hot_axis(call, &axis);
    if (status) return status;
    const struct fp_tensor *indices = call->in[0], *values = call->in[2];
    if (indices->rank >= FP_MAX_RANK || !fp_type_size(indices->type))
        return fp_call_fail(call, "indices of type %s and rank %d are not supported", fp_type_name(indices->type),
                            indices->rank);
    if (!(depth >= 0 && depth <= INT32_MAX)) return fp_call_fail(call, "depth %g is not possible", depth);
    if (values->count != 2) return fp_call_fail(call, "there are %zu values (off and on are needed)", values->count);
    int64_t dims[FP_MAX_RANK];
    for (int i = 0, from = 0; i <= indices->rank; i++) {
        if (i == axis) dims[i] = (int64_t)depth;
        else dims[i] = indices->dims[from++];
    }
    return fp_out(call, 0, values->type, indices->rank + 1, dims);
}

static int run_one_hot(struct fp_call *call) {
    const struct fp_tensor *indices = call->in[0], *values = call->in[2];
    struct fp_tensor *y = &call->out[0];
    int axis = 0, status = one_hot_axis(call, &axis);
    if (!status) status = fp_fill(call, y->type, y->data, 0, values->data, y->count);
    if (status || !y->count) return status;
    size_t inner = fp_span(y->dims, axis + 1, y->rank), size = fp_type_size(indices->type);
    int64_t depth = y->dims[axis], index;
    for (size_t i = 0; i < indices->count && !status; i++) {
        fp_convert(&index, FP_INT64, (const char *)indices->data + i * size, indices->type, 1);
        if (index < -depth || index >= depth) continue;
        size_t at = (size_t)fp_place_of(index, depth);
        status = fp_put(call, y->type, y->data, (i / inner * (size_t)depth + at) * inner + i % inner, values->data, 1,
                        1);
    }
    return status;
}

#define ROW(name, since, prepare, run, ...) {"", name, since, prepare, run, NULL, __VA_ARGS__}
const struct fp_op fp_ops_gather[] = {
    ROW("Slice", 1, prepare_slice, run_slice, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS, .role = FP_ROLE_ARRANGES,
        .passage = FP_PASSAGE_CUTS, .arity = "r>r 10:rrroo>r", .attributes = "axes=I ends=I starts=I"),
    ROW("Gather", 1, prepare_gather, run_gather, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_LOOKS_UP,
        .left = "embedding (read by Gather)", .passage = FP_PASSAGE_TAKES, .arity = "rr>r", .attributes = "axis=i"),
    ROW("GatherElements", 11, prepare_gather_elements, run_gather_elements, FP_OP_ANY_KIND | FP_OP_ROUNDS,
        .arity = "rr>r", .attributes = "axis=i"),
    ROW("GatherND", 11, prepare_gather_nd, run_gather_nd, FP_OP_ANY_KIND | FP_OP_ROUNDS, .arity = "rr>r",
        .attributes = "batch_dims=i"),
    ROW("Compress", 9, prepare_compress, run_compress, FP_OP_ANY_KIND | FP_OP_DYNAMIC | FP_OP_ROUNDS, .arity = "rr>r",
        .attributes = "axis=i"),
    ROW("NonZero", 9, prepare_non_zero, run_non_zero, FP_OP_DYNAMIC, .arity = "r>r"),
    ROW("OneHot", 9, prepare_one_hot, run_one_hot, FP_OP_ANY_KIND, .arity = "rrr>r", .attributes = "axis=i"),
    {0},
};
