// SPDX-License-Identifier: Apache-2.0
// The strided copy behind the operators that only move elements; see move.h.
#include "ops/move.h"

#include <stdlib.h>

#include "kernel/channels_last.h"

enum { TILE = 16, PARALLEL = 200000 };

struct wide {
    uint64_t part[2];
};

// ---- single elements

int fp_put(struct fp_call *call, enum fp_type type, void *dst, size_t at, const void *src, size_t from, size_t n) {
    size_t size = fp_type_size(type);
    if (size) {
        if (n) memcpy((char *)dst + at * size, (const char *)src + from * size, n * size);
        return FINEPRUNE_OK;
    }
    for (size_t i = 0; i < n; i++) {
        char *text = strdup(((char *const *)src)[from + i]);
        if (!text) return fp_fail_memory(call->err, "text", 1);
        free(((char **)dst)[at + i]);
        ((char **)dst)[at + i] = text;
    }
    return FINEPRUNE_OK;
}

int fp_fill(struct fp_call *call, enum fp_type type, void *dst, size_t at, const void *value, size_t n) {
    size_t size = fp_type_size(type);
    if (!size) {
        int status = FINEPRUNE_OK;
        for (size_t i = 0; i < n && !status; i++) status = fp_put(call, type, dst, at + i, value, 0, 1);
        return status;
    }
    char *to = (char *)dst + at * size;
    if (size == 1) {
        if (n) memset(to, *(const unsigned char *)value, n);
        return FINEPRUNE_OK;
    }
    if (!n) return FINEPRUNE_OK;
    memcpy(to, value, size);
    for (size_t have = 1; have < n; have *= 2) memcpy(to + have * size, to, fp_least(have, n - have) * size);
    return FINEPRUNE_OK;
}

#define EACH(T, left, right)                                                                                           \
    for (size_t i = 0; i < n; i++) ((T *)dst)[left] = ((const T *)src)[right];                                         \
    break
#define BY_SIZE(left, right)                                                                                           \
    switch (size) {                                                                                                    \
    case 1: EACH(uint8_t, left, right);                                                                                \
    case 2: EACH(uint16_t, left, right);                                                                               \
    case 4: EACH(uint32_t, left, right);                                                                               \
    case 8: EACH(uint64_t, left, right);                                                                               \
    case 16: EACH(struct wide, left, right);                                                                           \
    }

void fp_pick(void *dst, const void *src, const int64_t *at, size_t n, size_t size) { BY_SIZE(i, at[i]) }
void fp_place(void *dst, const void *src, const int64_t *at, size_t n, size_t size) { BY_SIZE(at[i], i) }
#undef BY_SIZE
#undef EACH

const void *fp_zero(enum fp_type type) {
    static const struct wide zero;
    static const char *const empty = "";
    if (type == FP_STRING) return (const void *)&empty;
    return &zero;
}

int fp_put_whole(struct fp_call *call) {
    if (call->out[0].data == call->in[0]->data) return FINEPRUNE_OK;
    return fp_put(call, call->in[0]->type, call->out[0].data, 0, call->in[0]->data, 0, call->in[0]->count);
}

int fp_need_tensors(struct fp_call *call, int needed) {
    int status = fp_need(call, needed);
    if (!status && call->n_out < 1) status = fp_call_fail(call, "there is no output");
    for (int i = 0; i < call->n_in && !status; i++)
        if (call->in[i] && (call->in[i]->type == FP_SEQUENCE || call->in[i]->type == FP_NONE))
            status = fp_call_fail(call, "input %d is %s, not a tensor", i, fp_type_name(call->in[i]->type));
    return status;
}

int64_t fp_int_at(const struct fp_tensor *t, size_t at) {
    switch (t->type) {
    case FP_INT64: return ((const int64_t *)t->data)[at];
    case FP_UINT64: return (int64_t)((const uint64_t *)t->data)[at];
    case FP_INT32: return ((const int32_t *)t->data)[at];
    case FP_UINT32: return ((const uint32_t *)t->data)[at];
    case FP_INT16: return ((const int16_t *)t->data)[at];
    case FP_UINT16: return ((const uint16_t *)t->data)[at];
    case FP_INT8: return ((const int8_t *)t->data)[at];
    default: return ((const uint8_t *)t->data)[at];
    }
}

int fp_index(struct fp_call *call, int64_t index, int64_t n, size_t *out) {
    if (index < -n || index >= n)
        return fp_call_fail(call, "index %lld is outside a dim of %lld", (long long)index, (long long)n);
    *out = (size_t)fp_place_of(index, n);
    return FINEPRUNE_OK;
}

int fp_index_type(struct fp_call *call, int i) {
    enum fp_type type = call->in[i]->type;
    if (type == FP_INT32 || type == FP_INT64) return FINEPRUNE_OK;
    return fp_call_fail(call, "indices of type %s are not supported (int32 and int64 are)", fp_type_name(type));
}

int fp_same_type(struct fp_call *call, int i, int j) {
    if (call->in[i]->type == call->in[j]->type) return FINEPRUNE_OK;
    return fp_call_fail(call, "input %d is %s, but input %d is %s", j, fp_type_name(call->in[j]->type), i,
                        fp_type_name(call->in[i]->type));
}

int fp_axis_attr(struct fp_call *call, int64_t absent, int rank, int *axis) {
    return fp_axis(call, fp_attr_int(call->node, "axis", absent), rank, axis);
}

void fp_physical(const struct fp_tensor *t, int *axes) {
    for (int i = 0; i < t->rank; i++) axes[i] = i + (t->layout && i > 0);
    if (t->layout && t->rank > 1) axes[t->rank - 1] = 1;
}

size_t fp_span(const int64_t *dims, int begin, int end) {
    size_t n = 1;
    for (int i = begin; i < end; i++) n *= (size_t)dims[i];
    return n;
}

// ---- strided copies

void fp_move_add(struct fp_move *m, int64_t dim, int64_t dst, int64_t src) {
    m->dims[m->rank] = dim;
    m->dst[m->rank] = dst;
    m->src[m->rank++] = src;
}

static void swap(int64_t *array, int i, int j) {
    int64_t held = array[i];
    array[i] = array[j];
    array[j] = held;
}

static void swap_dims(struct fp_move *m, int i, int j) {
    swap(m->dims, i, j);
    swap(m->dst, i, j);
    swap(m->src, i, j);
}

// Drops dims of 1, orders the others as they lie in dst, and merges neighbours that are one run in both places. False
// when there is nothing to copy.
static bool simplify(struct fp_move *to, const struct fp_move *move) {
    struct fp_move sorted = *move;
    const struct fp_move *from = &sorted;
    for (int i = 1; i < sorted.rank; i++)
        for (int k = i; k > 0 && sorted.dst[k] > sorted.dst[k - 1]; k--) swap_dims(&sorted, k, k - 1);
    memset(to, 0, sizeof(*to));
    for (int i = 0; i < from->rank; i++) {
        if (from->dims[i] == 0) return false;
        if (from->dims[i] == 1) continue;
        int last = to->rank - 1;
        if (last >= 0 && to->dst[last] == from->dst[i] * from->dims[i] &&
            to->src[last] == from->src[i] * from->dims[i]) {
            to->dims[last] *= from->dims[i];
            to->dst[last] = from->dst[i];
            to->src[last] = from->src[i];
        } else {
            fp_move_add(to, from->dims[i], from->dst[i], from->src[i]);
        }
    }
    if (!to->rank) fp_move_add(to, 1, 1, 1);
    return true;
}

// Brings the dim along which src is contiguous to the place next to the innermost, so that pairs of both can be tiled.
static void pair_inner(struct fp_move *m) {
    int last = m->rank - 1;
    if (m->rank < 2 || m->dst[last] != 1 || m->src[last] == 1 || m->src[last] == 0) return;
    for (int i = 0; i < last; i++) {
        if (m->src[i] != 1) continue;
        swap_dims(m, i, last - 1);
        return;
    }
}

// One copy of n0 x n1 elements, in tiles when both sides would otherwise jump.
struct plane {
    int64_t n0, d0, s0, n1, d1, s1;
};

#define KERNEL(name, T)                                                                                                \
    static void name(void *to, const void *from, const struct plane *p) {                                              \
        T *restrict dst = to;                                                                                          \
        const T *restrict src = from;                                                                                  \
        int64_t tile = p->s0 == 1 ? TILE : p->n1;                                                                      \
        for (int64_t j0 = 0; j0 < p->n1; j0 += tile) {                                                                 \
            int64_t n = fp_least_int(p->n1 - j0, tile);                                                                \
            for (int64_t i = 0; i < p->n0; i++) {                                                                      \
                T *d = dst + i * p->d0 + j0 * p->d1;                                                                   \
                const T *s = src + i * p->s0 + j0 * p->s1;                                                             \
                if (p->d1 == 1 && p->s1 == 1) memcpy(d, s, (size_t)n * sizeof(T));                                     \
                else if (p->d1 == 1)                                                                                   \
                    for (int64_t j = 0; j < n; j++) d[j] = s[j * p->s1];                                               \
                else                                                                                                   \
                    for (int64_t j = 0; j < n; j++) d[j * p->d1] = s[j * p->s1];                                       \
            }                                                                                                          \
        }                                                                                                              \
    }
KERNEL(plane_1, uint8_t)
KERNEL(plane_2, uint16_t)
KERNEL(plane_4, uint32_t)
KERNEL(plane_8, uint64_t)
KERNEL(plane_16, struct wide)
#undef KERNEL

static const struct {
    size_t size;
    void (*copy)(void *, const void *, const struct plane *);
} KERNELS[] = {{1, plane_1}, {2, plane_2}, {4, plane_4}, {8, plane_8}, {16, plane_16}};

// Offsets of box number `at` among the dims before the last two.
static void locate(const struct fp_move *m, size_t at, int64_t *dst, int64_t *src) {
    *dst = *src = 0;
    for (int i = m->rank - 3; i >= 0; i--) {
        int64_t here = (int64_t)(at % (size_t)m->dims[i]);
        at /= (size_t)m->dims[i];
        *dst += here * m->dst[i];
        *src += here * m->src[i];
    }
}

// Plane number `piece` of the move: `rows` rows of the last two dims of one box.
static void move_piece(const struct fp_move *m, size_t size, void (*copy)(void *, const void *, const struct plane *),
                       size_t piece, size_t per_box, int64_t rows, char *dst, const char *src) {
    int last = m->rank - 1;
    int64_t to, from, row = (int64_t)(piece % per_box) * rows;
    locate(m, piece / per_box, &to, &from);
    to += row * m->dst[last - 1];
    from += row * m->src[last - 1];
    struct plane p = {fp_least_int(m->dims[last - 1] - row, rows),
                      m->dst[last - 1],
                      m->src[last - 1],
                      m->dims[last],
                      m->dst[last],
                      m->src[last]};
    copy(dst + to * (int64_t)size, src + from * (int64_t)size, &p);
}

static void move_sized(const struct fp_move *m, size_t size, int threads, char *dst, const char *src) {
    size_t kernel = 0, boxes = 1;
    while (KERNELS[kernel].size != size) kernel++;
    for (int i = 0; i < m->rank - 2; i++) boxes *= (size_t)m->dims[i];
    if (boxes * (size_t)m->dims[m->rank - 2] * (size_t)m->dims[m->rank - 1] < PARALLEL) threads = 1;
    int64_t rows = (m->dims[m->rank - 2] + threads - 1) / threads;
    if (boxes >= 4 * (size_t)threads) rows = m->dims[m->rank - 2];
    else rows = (rows + TILE - 1) / TILE * TILE;
    size_t per_box = (size_t)((m->dims[m->rank - 2] + rows - 1) / rows), pieces = boxes * per_box;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = 0; i < pieces; i++) move_piece(m, size, KERNELS[kernel].copy, i, per_box, rows, dst, src);
}

static int move_strings(struct fp_call *call, const struct fp_move *m, char **dst, char *const *src) {
    size_t boxes = 1;
    int last = m->rank - 1;
    for (int i = 0; i < last - 1; i++) boxes *= (size_t)m->dims[i];
    for (size_t box = 0; box < boxes; box++) {
        int64_t to, from;
        locate(m, box, &to, &from);
        for (int64_t i = 0; i < m->dims[last - 1]; i++)
            for (int64_t j = 0; j < m->dims[last]; j++) {
                int status = fp_put(call, FP_STRING, dst + to + i * m->dst[last - 1] + j * m->dst[last], 0,
                                    src + from + i * m->src[last - 1] + j * m->src[last], 0, 1);
                if (status) return status;
            }
    }
    return FINEPRUNE_OK;
}

int fp_move_run(struct fp_call *call, const struct fp_move *move, enum fp_type type, void *dst, const void *src) {
    struct fp_move outer = {0}, m;
    if (!simplify(&m, move)) return FINEPRUNE_OK;
    pair_inner(&m);
    if (m.rank == 1) { // the last two dims are always there
        fp_move_add(&outer, 1, 0, 0);
        fp_move_add(&outer, m.dims[0], m.dst[0], m.src[0]);
        m = outer;
    }
    size_t size = fp_type_size(type);
    if (!size) return move_strings(call, &m, dst, src);
    move_sized(&m, size, (int)fp_most_int(call->threads, 1), dst, src);
    return FINEPRUNE_OK;
}

void fp_view(struct fp_tensor *dst, const struct fp_tensor *src, int64_t at) {
    fp_tensor_share(dst, src);
    dst->rank--;
    memmove(dst->dims, src->dims + 1, (size_t)dst->rank * sizeof(dst->dims[0]));
    dst->count = fp_span(dst->dims, 0, dst->rank);
    size_t size = fp_type_held(src->type);
    dst->data = (char *)src->data + (size_t)at * dst->count * size;
}

int fp_stack(struct fp_call *call, struct fp_tensor *out, const struct fp_tensor *items, size_t n, int axis,
             bool reverse) {
    const struct fp_tensor *first = &items[0];
    int64_t dims[FP_MAX_RANK + 1];
    for (int i = 0, from = 0; i <= first->rank; i++) {
        if (i == axis) dims[i] = (int64_t)n;
        else dims[i] = first->dims[from++];
    }
    int status = fp_tensor_new(out, call->memory, first->type, first->rank + 1, dims, call->err);
    int64_t outer = (int64_t)fp_span(first->dims, 0, axis), inner = (int64_t)fp_span(first->dims, axis, first->rank);
    size_t size = fp_type_held(first->type);
    for (size_t i = 0; i < n && !status; i++) {
        struct fp_move m = {0};
        char a[160], b[160];
        if (items[i].type != first->type || !fp_same_shape(&items[i], first))
            status = fp_call_fail(call, "tensors of shape %s (%s) and %s (%s) cannot be stacked",
                                  fp_shape_text(a, sizeof(a), first->rank, first->dims), fp_type_name(first->type),
                                  fp_shape_text(b, sizeof(b), items[i].rank, items[i].dims),
                                  fp_type_name(items[i].type));
        fp_move_add(&m, outer, (int64_t)n * inner, inner);
        fp_move_add(&m, inner, 1, 1);
        if (!status)
            status = fp_move_run(call, &m, first->type,
                                 (char *)out->data + (reverse ? n - 1 - i : i) * (size_t)inner * size, items[i].data);
    }
    if (status) fp_tensor_done(out);
    return status;
}

// ---- the same elements, seen in another way

// Whether elements with the strides `from` lie as those with the strides `to`.
static bool lie_alike(int rank, const int64_t *dims, const int64_t *from, const int64_t *to) {
    for (int i = 0; i < rank; i++)
        if (dims[i] != 1 && from[i] != to[i]) return false;
    return true;
}

int fp_out_as_it_lies(struct fp_call *call, int rank, const int64_t *dims, const int64_t *from) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor as_last = {.rank = rank, .layout = fp_channels_last};
    int64_t plain[FP_MAX_RANK], last[FP_MAX_RANK];
    memcpy(as_last.dims, dims, (size_t)rank * sizeof(*dims));
    fp_strides(rank, dims, plain);
    if (lie_alike(rank, dims, from, plain)) return fp_out_alias(call, 0, 0, rank, dims);
    bool may_be_last = x->type == FP_FLOAT && rank >= 3 && rank <= 5 && !fp_is_constant(call, 0);
    if (may_be_last) fp_layout_strides(&as_last, last);
    if (!may_be_last || !lie_alike(rank, dims, from, last)) return fp_out(call, 0, x->type, rank, dims);
    int status = fp_out_alias(call, 0, 0, rank, dims);
    call->out[0].layout = fp_channels_last;
    return status;
}
