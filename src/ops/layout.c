// SPDX-License-Identifier: Apache-2.0
// Operators that put elements into another order or tensors together and apart: Transpose, Concat, Split, Tile,
// DepthToSpace, ReverseSequence, CenterCropPad, Col2Im, TensorScatter.
#include "kernel/channels_last.h"
#include "ops/move.h"

// Adds the row-major dims of a tensor's box, from `begin` to `end`, with both strides the same.
static void add_same(struct fp_move *m, const int64_t *dims, const int64_t *dst, const int64_t *src, int begin,
                     int end) {
    for (int i = begin; i < end; i++) fp_move_add(m, dims[i], dst[i], src[i]);
}

static void *element(const struct fp_tensor *t, int64_t at) {
    size_t size = fp_type_held(t->type);
    return (char *)t->data + at * (int64_t)size;
}

// ---- Transpose

static int read_perm(struct fp_call *call, int *perm) {
    int rank = call->in[0]->rank;
    size_t n;
    const int64_t *given = fp_attr_ints(call->node, "perm", &n);
    bool seen[FP_MAX_RANK] = {0};
    if (!given && !(fp_attr_has(call->node, "perm") && rank)) {
        for (int i = 0; i < rank; i++) perm[i] = rank - 1 - i;
        return FINEPRUNE_OK;
    }
    if (n != (size_t)rank) return fp_call_fail(call, "perm has %zu entries for an input of rank %d", n, rank);
    for (int i = 0; i < rank; i++) {
        if (given[i] < -rank || given[i] >= rank || seen[fp_place_of(given[i], rank)])
            return fp_call_fail(call, "perm has %lld, which is outside or given twice", (long long)given[i]);
        perm[i] = (int)fp_place_of(given[i], rank);
        seen[perm[i]] = true;
    }
    return FINEPRUNE_OK;
}

static int prepare_transpose(struct fp_call *call) {
    int perm[FP_MAX_RANK];
    int64_t dims[FP_MAX_RANK] = {0}, lie[FP_MAX_RANK], from[FP_MAX_RANK];
    int status = fp_need_tensors(call, 1);
    if (!status) status = read_perm(call, perm);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    fp_layout_strides(x, lie);
    for (int i = 0; i < x->rank; i++) {
        dims[i] = x->dims[perm[i]];
        from[i] = lie[perm[i]];
    }
    return fp_out_as_it_lies(call, x->rank, dims, from);
}

static int run_transpose(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    if (y->data == x->data) return FINEPRUNE_OK;
    int perm[FP_MAX_RANK];
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK];
    struct fp_move m = {0};
    int status = read_perm(call, perm);
    if (status) return status;
    fp_layout_strides(x, from);
    fp_strides(y->rank, y->dims, to);
    for (int i = 0; i < y->rank; i++) fp_move_add(&m, y->dims[i], to[i], from[perm[i]]);
    return fp_move_run(call, &m, y->type, y->data, x->data);
}

// ---- Concat, Split, Tile

// Whether most of what comes in is channels-last.
static bool prefers_last(const struct fp_call *call) {
    size_t last = 0, all = 0;
    for (int i = 0; i < call->n_in; i++) {
        all += call->in[i]->count;
        if (fp_is_last(call->in[i])) last += call->in[i]->count;
    }
    return last > all / 2;
}

static int prepare_concat(struct fp_call *call) {
    int status = fp_need_tensors(call, 1), axis = 0;
    if (status) return status;
    const struct fp_tensor *first = call->in[0];
    status = fp_axis_attr(call, 1, first->rank, &axis);
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, first->dims, sizeof(dims));
    for (int i = 1; i < call->n_in && !status; i++) {
        const struct fp_tensor *x = call->in[i];
        if (!x) return fp_call_fail(call, "input %d is left out", i);
        status = fp_same_type(call, 0, i);
        bool fits = x->rank == first->rank;
        for (int k = 0; k < first->rank && fits; k++) fits = k == axis || x->dims[k] == first->dims[k];
        char a[160], b[160];
        if (!status && !fits)
            status = fp_call_fail(call, "input %d of shape %s does not join %s along axis %d", i,
                                  fp_shape_text(a, sizeof(a), x->rank, x->dims),
                                  fp_shape_text(b, sizeof(b), first->rank, first->dims), axis);
        if (!status && __builtin_add_overflow(dims[axis], x->dims[axis], &dims[axis]))
            status = fp_call_fail(call, "the inputs are too large along axis %d", axis);
    }
    if (!status) status = fp_out(call, 0, first->type, first->rank, dims);
    if (!status && prefers_last(call)) call->out[0].layout = fp_channels_last;
    return status;
}

// Copies part of x along an axis: `at` positions in, `whole` (which has the axis in full) and `part` in either
// direction.
static int move_part(struct fp_call *call, const struct fp_tensor *whole, const struct fp_tensor *part, int axis,
                     int64_t at, bool to_whole) {
    int64_t outside[FP_MAX_RANK], inside[FP_MAX_RANK];
    struct fp_move m = {0};
    fp_layout_strides(whole, outside);
    fp_layout_strides(part, inside);
    const int64_t *to = inside;
    if (to_whole) to = outside;
    const int64_t *from = outside;
    if (to_whole) from = inside;
    for (int i = 0; i < part->rank; i++) fp_move_add(&m, part->dims[i], to[i], from[i]);
    if (!part->count) return FINEPRUNE_OK;
    void *place = element(whole, at * outside[axis]);
    if (to_whole) return fp_move_run(call, &m, part->type, place, part->data);
    return fp_move_run(call, &m, part->type, part->data, place);
}

static int run_concat(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    int axis, status = fp_axis_attr(call, 1, y->rank, &axis);
    int64_t at = 0;
    for (int i = 0; i < call->n_in && !status; i++) {
        status = move_part(call, y, call->in[i], axis, at, true);
        at += call->in[i]->dims[axis];
    }
    return status;
}

// Sizes of the parts when none are given: equal, the last one smaller from opset 18 on.
static int even_parts(struct fp_call *call, int64_t dim, size_t parts, int64_t *sizes) {
    if (call->node->opset >= 18) {
        int64_t wanted = fp_attr_int(call->node, "num_outputs", (int64_t)parts);
        if (wanted != (int64_t)parts)
            return fp_call_fail(call, "num_outputs is %lld, but there are %zu outputs", (long long)wanted, parts);
    } else if (dim % (int64_t)parts) {
        return fp_call_fail(call, "a dim of %lld does not divide into %zu equal parts", (long long)dim, parts);
    }
    int64_t size = (dim + (int64_t)parts - 1) / (int64_t)parts;
    for (size_t i = 0; i < parts; i++) {
        sizes[i] = fp_least_int(size, dim);
        dim -= sizes[i];
    }
    return FINEPRUNE_OK;
}

static int split_sizes(struct fp_call *call, int64_t dim, int64_t *sizes) {
    size_t n, parts = (size_t)call->n_out;
    bool given;
    int64_t sum = 0;
    int status = fp_ints_either(call, "split", 1, sizes, parts, &n, &given);
    if (status) return status;
    if (!given) return even_parts(call, dim, parts, sizes);
    if (n != parts) return fp_call_fail(call, "split has %zu sizes, but there are %zu outputs", n, parts);
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] < 0 || sizes[i] > dim - sum)
            return fp_call_fail(call, "split has %lld, which does not fit", (long long)sizes[i]);
        sum += sizes[i];
    }
    if (sum == dim) return FINEPRUNE_OK;
    return fp_call_fail(call, "split adds up to %lld, but the dim is %lld", (long long)sum, (long long)dim);
}

static int prepare_split(struct fp_call *call) {
    int status = fp_need_tensors(call, 1), axis = 0;
    if (!status) status = fp_axis_attr(call, 0, call->in[0]->rank, &axis);
    if (status) return status;
    if (call->n_out < 1) return fp_call_fail(call, "there is no output");
    const struct fp_tensor *x = call->in[0];
    FP_STAGE(room, "split");
    int64_t dims[FP_MAX_RANK], *sizes = fp_arena_take(&room, (size_t)call->n_out, sizeof(sizes[0]));
    if (!sizes) return fp_arena_check(&room, call->err);
    memcpy(dims, x->dims, sizeof(dims));
    status = split_sizes(call, x->dims[axis], sizes);
    for (int i = 0; i < call->n_out && !status; i++) {
        dims[axis] = sizes[i];
        status = fp_out(call, i, x->type, x->rank, dims);
        call->out[i].layout = x->layout;
    }
    return status;
}

static int run_split(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    int axis, status = fp_axis_attr(call, 0, x->rank, &axis);
    int64_t at = 0;
    for (int i = 0; i < call->n_out && !status; i++) {
        status = move_part(call, x, &call->out[i], axis, at, false);
        at += call->out[i].dims[axis];
    }
    return status;
}

static int prepare_tile(struct fp_call *call) {
    int64_t repeats[FP_MAX_RANK], dims[FP_MAX_RANK];
    size_t n;
    int status = fp_need_tensors(call, 2);
    if (!status) status = fp_read_ints(call, 1, repeats, FP_MAX_RANK, &n);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (n != (size_t)x->rank) return fp_call_fail(call, "there are %zu repeats for an input of rank %d", n, x->rank);
    for (int i = 0; i < x->rank; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(repeats[i], x->dims[i], &dims[i]))
            return fp_call_fail(call, "repeat %lld of a dim of %lld is not possible", (long long)repeats[i],
                                (long long)x->dims[i]);
    return fp_out(call, 0, x->type, x->rank, dims);
}

static int run_tile(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    if (!y->count) return FINEPRUNE_OK;
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK];
    struct fp_move m = {0};
    fp_strides(x->rank, x->dims, from);
    fp_strides(y->rank, y->dims, to);
    for (int i = 0; i < x->rank; i++) {
        fp_move_add(&m, y->dims[i] / x->dims[i], to[i] * x->dims[i], 0);
        fp_move_add(&m, x->dims[i], to[i], from[i]);
    }
    return fp_move_run(call, &m, y->type, y->data, x->data);
}

// ---- DepthToSpace, SpaceToDepth

static int prepare_blocks(struct fp_call *call, bool space) {
    int status = fp_need_tensors(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int64_t b = fp_attr_int(call->node, "blocksize", 0);
    if (x->rank != 4) return fp_call_fail(call, "the input has rank %d (4 is needed)", x->rank);
    if (b < 1 || b > 1 << 20) return fp_call_fail(call, "blocksize %lld is not supported", (long long)b);
    const char *mode = fp_attr_text(call->node, "mode", "DCR");
    if (strcmp(mode, "DCR") && strcmp(mode, "CRD")) return fp_call_fail(call, "mode %s is not supported", mode);
    if (space ? x->dims[1] % (b * b) != 0 : x->dims[2] % b != 0 || x->dims[3] % b != 0) {
        char text[160];
        return fp_call_fail(call, "shape %s does not divide into blocks of %lld",
                            fp_shape_text(text, sizeof(text), 4, x->dims), (long long)b);
    }
    if (space)
        return fp_out(call, 0, x->type, 4,
                      (int64_t[]){x->dims[0], x->dims[1] / (b * b), x->dims[2] * b, x->dims[3] * b});
    return fp_out(call, 0, x->type, 4, (int64_t[]){x->dims[0], x->dims[1] * (b * b), x->dims[2] / b, x->dims[3] / b});
}

static int prepare_depth_to_space(struct fp_call *call) { return prepare_blocks(call, true); }
static int prepare_space_to_depth(struct fp_call *call) { return prepare_blocks(call, false); }

// The deep side is [n, c*b*b, h, w], the wide side [n, c, h*b, w*b]; block row p and column q are channels of the deep
// side.
static int move_blocks(struct fp_call *call, const int64_t *wide, bool crd, bool to_wide) {
    int64_t b = fp_attr_int(call->node, "blocksize", 1), c = wide[1], h = wide[2] / b, w = wide[3] / b, plane = h * w;
    int64_t p = b * c * plane, q = c * plane, channel = plane;
    if (crd) p = b * plane, q = plane, channel = b * b * plane;
    const int64_t dims[6] = {wide[0], c, h, b, w, b};
    const int64_t deep_at[6] = {c * b * b * plane, channel, w, p, 1, q};
    const int64_t wide_at[6] = {c * h * b * w * b, h * b * w * b, b * w * b, w * b, b, 1};
    struct fp_move m = {0};
    if (to_wide) add_same(&m, dims, wide_at, deep_at, 0, 6);
    else add_same(&m, dims, deep_at, wide_at, 0, 6);
    return fp_move_run(call, &m, call->in[0]->type, call->out[0].data, call->in[0]->data);
}

static int run_depth_to_space(struct fp_call *call) {
    return move_blocks(call, call->out[0].dims, !strcmp(fp_attr_text(call->node, "mode", "DCR"), "CRD"), true);
}

static int run_space_to_depth(struct fp_call *call) { return move_blocks(call, call->in[0]->dims, false, false); }

// ---- ReverseSequence

static int prepare_reverse(struct fp_call *call) {
    int status = fp_need_tensors(call, 2);
    if (!status) status = fp_index_type(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0], *lengths = call->in[1];
    int64_t batch = fp_attr_int(call->node, "batch_axis", 1), time = fp_attr_int(call->node, "time_axis", 0);
    if (x->rank < 2 || !((batch == 0 && time == 1) || (batch == 1 && time == 0)))
        return fp_call_fail(call, "batch axis %lld and time axis %lld of an input of rank %d are not supported",
                            (long long)batch, (long long)time, x->rank);
    if (lengths->rank != 1 || lengths->dims[0] != x->dims[batch])
        return fp_call_fail(call, "there are %zu lengths for a batch of %lld", lengths->count,
                            (long long)x->dims[batch]);
    return fp_out_like(call, 0, 0);
}

static int run_reverse(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    int batch = (int)fp_attr_int(call->node, "batch_axis", 1), time = 1 - batch;
    int64_t strides[FP_MAX_RANK], inner = (int64_t)fp_span(x->dims, 2, x->rank);
    fp_strides(x->rank, x->dims, strides);
    int status = FINEPRUNE_OK;
    for (int64_t i = 0; i < x->dims[batch] && !status; i++) {
        int64_t n = fp_int_at(call->in[1], (size_t)i), at = i * strides[batch], step = strides[time],
                rest = x->dims[time] - n;
        if (n < 0 || rest < 0)
            return fp_call_fail(call, "length %lld is outside %lld steps", (long long)n, (long long)x->dims[time]);
        struct fp_move m = {0}, tail = {0};
        fp_move_add(&m, n, step, -step);
        fp_move_add(&m, inner, 1, 1);
        fp_move_add(&tail, rest, step, step);
        fp_move_add(&tail, inner, 1, 1);
        if (n) status = fp_move_run(call, &m, x->type, element(&call->out[0], at), element(x, at + (n - 1) * step));
        if (!status)
            status = fp_move_run(call, &tail, x->type, element(&call->out[0], at + n * step),
                                 element(x, at + n * step));
    }
    return status;
}

// ---- CenterCropPad

static int prepare_center(struct fp_call *call) {
    int64_t sizes[FP_MAX_RANK], dims[FP_MAX_RANK];
    size_t n, n_axes;
    int status = fp_need_tensors(call, 2);
    if (!status) status = fp_read_ints(call, 1, sizes, FP_MAX_RANK, &n);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    const int64_t *axes = fp_attr_ints(call->node, "axes", &n_axes);
    if (!axes) n_axes = (size_t)x->rank;
    if (n != n_axes) return fp_call_fail(call, "there are %zu sizes for %zu axes", n, n_axes);
    memcpy(dims, x->dims, sizeof(dims));
    for (size_t i = 0; i < n && !status; i++) {
        int axis;
        status = fp_axis(call, fp_axis_at(axes, i), x->rank, &axis);
        if (!status) dims[axis] = sizes[i];
    }
    if (status) return status;
    return fp_out(call, 0, x->type, x->rank, dims);
}

static int run_center(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    int64_t from[FP_MAX_RANK], to[FP_MAX_RANK], src = 0, dst = 0;
    struct fp_move m = {0};
    fp_strides(x->rank, x->dims, from);
    fp_strides(y->rank, y->dims, to);
    for (int i = 0; i < x->rank; i++) {
        int64_t grow = y->dims[i] - x->dims[i];
        if (grow > 0) dst += grow / 2 * to[i];
        else src += -grow / 2 * from[i];
        fp_move_add(&m, grow > 0 ? x->dims[i] : y->dims[i], to[i], from[i]);
    }
    int status = fp_fill(call, y->type, y->data, 0, fp_zero(y->type), y->count);
    if (status) return status;
    return fp_move_run(call, &m, y->type, element(y, dst), element(x, src));
}

// ---- Col2Im

struct col2im {
    int n;
    int64_t image[FP_MAX_RANK], block[FP_MAX_RANK], dilations[FP_MAX_RANK], strides[FP_MAX_RANK], pads[FP_MAX_RANK],
        steps[FP_MAX_RANK];
    int64_t n_block, n_steps;
};

// Attribute with `n` entries between `low` and a million, or the default.
static int small_ints(struct fp_call *call, const char *name, size_t n, int64_t low, int64_t *dst) {
    size_t have;
    const int64_t *given = fp_attr_ints(call->node, name, &have);
    for (size_t i = 0; i < n; i++) dst[i] = low;
    if (!given) return FINEPRUNE_OK;
    if (have != n) return fp_call_fail(call, "%s has %zu entries (%zu are needed)", name, have, n);
    for (size_t i = 0; i < n; i++) {
        if (given[i] < low || given[i] > 1000000) return fp_call_fail(call, "%s has %lld", name, (long long)given[i]);
        dst[i] = given[i];
    }
    return FINEPRUNE_OK;
}

static int col2im_steps(struct fp_call *call, struct col2im *c, const int64_t *pads) {
    size_t blocks, steps;
    for (int i = 0; i < c->n; i++) {
        if (c->image[i] < 1 || c->image[i] > INT32_MAX || c->block[i] < 1 || c->block[i] > 1000000)
            return fp_call_fail(call, "image dim %lld with block dim %lld is not possible", (long long)c->image[i],
                                (long long)c->block[i]);
        int64_t room = c->image[i] + pads[i] + pads[c->n + i] - c->dilations[i] * (c->block[i] - 1) - 1;
        if (room < 0) c->steps[i] = 0;
        else c->steps[i] = room / c->strides[i] + 1;
        c->pads[i] = pads[i];
    }
    if (!fp_product(c->n, c->block, &blocks) || !fp_product(c->n, c->steps, &steps))
        return fp_call_fail(call, "the block or the image is too large");
    c->n_block = (int64_t)blocks;
    c->n_steps = (int64_t)steps;
    return FINEPRUNE_OK;
}

static int prepare_col2im(struct fp_call *call) {
    struct col2im *c = fp_state(call, sizeof(*c));
    int64_t pads[2 * FP_MAX_RANK];
    size_t n = 0, n_block = 0;
    if (!c) return FINEPRUNE_LIMIT;
    int status = fp_need_tensors(call, 3);
    if (!status) status = fp_read_ints(call, 1, c->image, FP_MAX_RANK - 2, &n);
    if (!status) status = fp_read_ints(call, 2, c->block, FP_MAX_RANK - 2, &n_block);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (!n || n != n_block) return fp_call_fail(call, "the image has %zu dims, but the block %zu", n, n_block);
    if (x->rank != 3 || x->type != FP_FLOAT)
        return fp_call_fail(call, "the input is %s of rank %d (float of rank 3 is supported)", fp_type_name(x->type),
                            x->rank);
    c->n = (int)n;
    status = small_ints(call, "dilations", n, 1, c->dilations);
    if (!status) status = small_ints(call, "strides", n, 1, c->strides);
    if (!status) status = small_ints(call, "pads", 2 * n, 0, pads);
    if (!status) status = col2im_steps(call, c, pads);
    if (status) return status;
    if (x->dims[1] % c->n_block || x->dims[2] != c->n_steps)
        return fp_call_fail(call, "input dims %lld and %lld do not fit blocks of %lld elements at %lld places",
                            (long long)x->dims[1], (long long)x->dims[2], (long long)c->n_block, (long long)c->n_steps);
    int64_t dims[FP_MAX_RANK] = {x->dims[0], x->dims[1] / c->n_block};
    memcpy(dims + 2, c->image, n * sizeof(dims[0]));
    return fp_out(call, 0, FP_FLOAT, c->n + 2, dims);
}

// Offset in the image of block element `element_at` at step `step`; -1 in the padding.
static int64_t image_offset(const struct col2im *c, int64_t element_at, int64_t step) {
    int64_t offset = 0, stride = 1;
    for (int i = c->n - 1; i >= 0; i--) {
        int64_t at = step % c->steps[i] * c->strides[i] - c->pads[i] + element_at % c->block[i] * c->dilations[i];
        if (at < 0 || at >= c->image[i]) return -1;
        step /= c->steps[i];
        element_at /= c->block[i];
        offset += at * stride;
        stride *= c->image[i];
    }
    return offset;
}

static int run_col2im(struct fp_call *call) {
    const struct col2im *c = call->state;
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    int64_t planes = y->dims[0] * y->dims[1], size = (int64_t)fp_span(c->image, 0, c->n);
    if (y->count) memset(y->data, 0, fp_tensor_bytes(y));
#pragma omp parallel for num_threads(call->threads) if (x->count > 50000)
    for (int64_t plane = 0; plane < planes; plane++) {
        const float *src = (const float *)x->data + plane * c->n_block * c->n_steps;
        float *dst = (float *)y->data + plane * size;
        for (int64_t i = 0; i < c->n_block; i++)
            for (int64_t step = 0; step < c->n_steps; step++) {
                int64_t at = image_offset(c, i, step);
                if (at >= 0) dst[at] += src[i * c->n_steps + step];
            }
    }
    return FINEPRUNE_OK;
}

// ---- TensorScatter

static int prepare_tensor_scatter(struct fp_call *call) {
    int status = fp_need_tensors(call, 2), axis = 0;
    if (!status) status = fp_same_type(call, 0, 1);
    if (!status && fp_given(call, 2)) status = fp_index_type(call, 2);
    if (!status) status = fp_axis_attr(call, -2, call->in[0]->rank, &axis);
    if (status) return status;
    const struct fp_tensor *cache = call->in[0], *update = call->in[1];
    bool fits = cache->rank == update->rank && axis > 0;
    for (int i = 0; i < cache->rank && fits; i++)
        fits = update->dims[i] == cache->dims[i] || (i == axis && update->dims[i] < cache->dims[i]);
    char a[160], b[160];
    if (!fits)
        return fp_call_fail(call, "an update of shape %s does not fit a cache of shape %s along axis %d",
                            fp_shape_text(a, sizeof(a), update->rank, update->dims),
                            fp_shape_text(b, sizeof(b), cache->rank, cache->dims), axis);
    if (fp_given(call, 2) && call->in[2]->count != (size_t)cache->dims[0])
        return fp_call_fail(call, "there are %zu write indices for a batch of %lld", call->in[2]->count,
                            (long long)cache->dims[0]);
    const char *mode = fp_attr_text(call->node, "mode", "linear");
    if (strcmp(mode, "linear") && strcmp(mode, "circular")) return fp_call_fail(call, "mode %s is not supported", mode);
    return fp_out_like(call, 0, 0);
}

static int run_tensor_scatter(struct fp_call *call) {
    const struct fp_tensor *cache = call->in[0], *update = call->in[1];
    int axis = 0, status = fp_axis_attr(call, -2, cache->rank, &axis);
    if (!status) status = fp_put_whole(call);
    bool circular = !strcmp(fp_attr_text(call->node, "mode", "linear"), "circular");
    int64_t n = update->dims[axis], room = cache->dims[axis];
    size_t inner = fp_span(cache->dims, axis + 1, cache->rank), outer = fp_span(cache->dims, 0, axis);
    for (size_t i = 0; i < outer && !status && update->count; i++) {
        int64_t start = 0;
        if (fp_given(call, 2)) start = fp_int_at(call->in[2], i / fp_span(cache->dims, 1, axis));
        if (start < 0 || (!circular && start > room - n))
            return fp_call_fail(call, "%lld positions from %lld do not fit a cache of %lld", (long long)n,
                                (long long)start, (long long)room);
        for (int64_t k = 0; k < n && !status; k++)
            status = fp_put(call, cache->type, call->out[0].data,
                            (i * (size_t)room + (size_t)((start % room + k) % room)) * inner, update->data,
                            (i * (size_t)n + (size_t)k) * inner, inner);
    }
    return status;
}

#define ROW(name, since, prepare, run, ...) {"", name, since, prepare, run, NULL, __VA_ARGS__}
const struct fp_op fp_ops_layout[] = {
    ROW("Transpose", 1, prepare_transpose, run_transpose, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS,
        .role = FP_ROLE_ARRANGES, .passage = FP_PASSAGE_TURNS, .arity = "r>r", .attributes = "perm=I"),
    ROW("Concat", 4, prepare_concat, run_concat, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS | FP_OP_FIRST_DECIDES,
        .role = FP_ROLE_JOINS, .passage = FP_PASSAGE_APPENDS, .arity = "+>r", .attributes = "axis=i!"),
    ROW("Split", 2, prepare_split, run_split, FP_OP_ANY_KIND | FP_OP_BLOCKED | FP_OP_ROUNDS, .role = FP_ROLE_ARRANGES,
        .passage = FP_PASSAGE_PARTS, .arity = "r>+ 13:ro>+", .attributes = "axis=i num_outputs=i split=I"),
    ROW("Tile", 6, prepare_tile, run_tile, FP_OP_ANY_KIND, .arity = "rr>r"),
    ROW("DepthToSpace", 1, prepare_depth_to_space, run_depth_to_space, FP_OP_ANY_KIND, .arity = "r>r",
        .attributes = "blocksize=i! mode=s"),
    ROW("SpaceToDepth", 1, prepare_space_to_depth, run_space_to_depth, FP_OP_ANY_KIND, .arity = "r>r",
        .attributes = "blocksize=i!"),
    ROW("ReverseSequence", 10, prepare_reverse, run_reverse, FP_OP_ANY_KIND | FP_OP_ROUNDS, .arity = "rr>r",
        .attributes = "batch_axis=i time_axis=i"),
    ROW("CenterCropPad", 18, prepare_center, run_center, FP_OP_ANY_KIND, .arity = "rr>r", .attributes = "axes=I"),
    ROW("Col2Im", 18, prepare_col2im, run_col2im, FP_OP_FLOAT32, .arity = "rrr>r",
        .attributes = "dilations=I pads=I strides=I"),
    ROW("TensorScatter", 24, prepare_tensor_scatter, run_tensor_scatter, FP_OP_IN_PLACE | FP_OP_ANY_KIND | FP_OP_ROUNDS,
        .arity = "rro>r", .attributes = "axis=i mode=s"),
    {0},
};
