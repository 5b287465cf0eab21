// SPDX-License-Identifier: Apache-2.0
// ArgMax, ArgMin, TopK, Hardmax: which elements along an axis are the greatest. Elements of all types become 64-bit
// keys of the same order, so that there is one comparison.
#include <math.h>

#include "ops/families.h"
#include "ops/loops.h"

// Keys of n elements that lie `step` apart. Equal numbers (0 and -0) have equal keys; NaN is `nan_key`.
static void keys_of(uint64_t *keys, const char *src, enum fp_type type, size_t n, size_t step, uint64_t nan_key) {
    size_t size = fp_type_size(type);
    const uint64_t sign = (uint64_t)1 << 63;
    for (size_t i = 0; i < n; i++, src += step * size) {
        if (!fp_type_is_float(type)) {
            int64_t v;
            fp_convert(&v, FP_INT64, src, type, 1);
            keys[i] = (uint64_t)v;
            if (type != FP_UINT64) keys[i] ^= sign;
            continue;
        }
        double v;
        if (type == FP_FLOAT) {
            float f;
            memcpy(&f, src, sizeof(f));
            v = f;
        } else {
            fp_convert(&v, FP_DOUBLE, src, type, 1);
        }
        v += 0.0; // -0 becomes 0
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        if (isnan(v)) keys[i] = nan_key;
        else if (bits & sign) keys[i] = ~bits;
        else keys[i] = bits | sign;
    }
}

static bool has_keys(enum fp_type type) {
    return fp_type_is_float(type) || fp_type_is_integer(type) || type == FP_BOOL;
}

// ---- ArgMax, ArgMin, Hardmax

struct best {
    size_t outer, n, inner;
    bool least, last;
    enum fp_type type;
    const char *src;
    int64_t *dst;
};

// Index of the winner of the row. A NaN wins over all, as in numpy.
static size_t winner(const struct best *s, const char *src) {
    uint64_t keys[FP_CHUNK], top = 0, nan_key = UINT64_MAX;
    if (s->least) nan_key = 0;
    size_t at = 0, size = fp_type_size(s->type);
    for (size_t i = 0; i < s->n; i += FP_CHUNK) {
        size_t n = fp_least(s->n - i, FP_CHUNK);
        keys_of(keys, src + i * s->inner * size, s->type, n, s->inner, nan_key);
        for (size_t k = 0; k < n; k++) {
            uint64_t key = keys[k];
            if (s->least) key = ~key;
            if ((i + k == 0) || key > top || (s->last && key == top)) {
                top = key;
                at = i + k;
            }
        }
    }
    return at;
}

static void arg_piece(void *user, size_t begin, size_t end) {
    const struct best *s = user;
    size_t size = fp_type_size(s->type);
    for (size_t i = begin; i < end; i++)
        s->dst[i] = (int64_t)winner(s, s->src + (i / s->inner * s->n * s->inner + i % s->inner) * size);
}

static int split(struct fp_call *call, struct best *s, int axis) {
    const struct fp_tensor *x = call->in[0];
    s->type = x->type;
    fp_split_axis(x, axis, &s->outer, &s->n, &s->inner);
    if (has_keys(x->type)) return FINEPRUNE_OK;
    return fp_bad_type(call, 0);
}

enum { ARG_MAX, ARG_MIN };

static int prepare_arg(struct fp_call *call) {
    int axis = 0, status = fp_need(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (x->rank) status = fp_axis(call, fp_attr_int(call->node, "axis", 0), x->rank, &axis);
    if (status) return status;
    struct best *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    *s = (struct best){.least = call->op->variant == ARG_MIN,
                       .last = fp_attr_int(call->node, "select_last_index", 0) != 0};
    status = split(call, s, axis);
    if (status) return status;
    bool keep = fp_attr_int(call->node, "keepdims", 1) != 0;
    int rank = 0;
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        if (i != axis) dims[rank++] = x->dims[i];
        else if (keep) dims[rank++] = 1;
    }
    status = fp_out(call, 0, FP_INT64, rank, dims);
    if (!status && call->n_out && call->out[0].count && s->n == 0)
        status = fp_call_fail(call, "nothing along axis %d to choose from", axis);
    return status;
}

static int run_arg(struct fp_call *call) {
    struct best *s = call->state;
    s->src = call->in[0]->data;
    s->dst = call->out[0].data;
    size_t rows = call->out[0].count;
    size_t grain = 1;
    if (s->n < 8192) grain += 8192 / (s->n + 1);
    fp_pieces(fp_threads_for(call, call->in[0]->count, 32768), rows, grain, arg_piece, s);
    return FINEPRUNE_OK;
}

static int prepare_hardmax(struct fp_call *call) {
    int axis = 0, status = fp_need(call, 1);
    if (status) return status;
    bool flat = call->node->opset < 13;
    int64_t absent = -1;
    if (flat) absent = 1;
    if (!fp_type_is_float(call->in[0]->type)) return fp_bad_type(call, 0);
    if (call->in[0]->rank) status = fp_axis(call, fp_attr_int(call->node, "axis", absent), call->in[0]->rank, &axis);
    if (status) return status;
    struct best *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    *s = (struct best){.least = false};
    status = split(call, s, axis);
    if (flat) {
        s->n *= s->inner;
        s->inner = 1;
    }
    if (status) return status;
    return fp_out_like(call, 0, 0);
}

static int run_hardmax(struct fp_call *call) {
    struct best *s = call->state;
    const struct fp_tensor *x = call->in[0];
    size_t size = fp_type_size(x->type);
    if (x->count == 0) return FINEPRUNE_OK;
    char *dst = call->out[0].data, one[8];
    const float value = 1;
    fp_convert(one, x->type, &value, FP_FLOAT, 1);
    memset(dst, 0, x->count * size);
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++) {
            size_t at = o * s->n * s->inner + i;
            memcpy(dst + (at + winner(s, (const char *)x->data + at * size) * s->inner) * size, one, size);
        }
    return FINEPRUNE_OK;
}

// ---- TopK

struct item {
    uint64_t key; // inverted when the greatest are wanted: less is better
    size_t index;
};

struct top {
    struct best best;
    size_t k;
    char *values;
    int64_t *indices;
    struct item *items; // k per thread's piece
    size_t piece;       // rows of a piece
};

static bool worse(const struct item *a, const struct item *b) {
    if (a->key != b->key) return a->key > b->key;
    return a->index > b->index;
}

// Lets the item at `i` sink in a heap whose root is the worst.
static void sink(struct item *heap, size_t n, size_t i) {
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child])) child++;
        if (!worse(&heap[child], &heap[i])) return;
        struct item swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
    }
}

// The k best of a row, best first.
static void best_items(const struct top *s, const char *src, struct item *heap) {
    uint64_t keys[FP_CHUNK];
    size_t held = 0, size = fp_type_size(s->best.type);
    for (size_t i = 0; i < s->best.n; i += FP_CHUNK) {
        size_t n = fp_least(s->best.n - i, FP_CHUNK);
        keys_of(keys, src + i * s->best.inner * size, s->best.type, n, s->best.inner, UINT64_MAX);
        for (size_t j = 0; j < n; j++) {
            struct item item = {.key = keys[j], .index = i + j};
            if (!s->best.least) item.key = ~item.key;
            if (held < s->k) {
                heap[held++] = item;
                if (held == s->k)
                    for (size_t p = s->k / 2; p-- > 0;) sink(heap, s->k, p);
            } else if (worse(&heap[0], &item)) {
                heap[0] = item;
                sink(heap, s->k, 0);
            }
        }
    }
    for (size_t n = s->k; n > 1; n--) {
        struct item worst = heap[0];
        heap[0] = heap[n - 1];
        heap[n - 1] = worst;
        sink(heap, n - 1, 0);
    }
}

static void top_piece(void *user, size_t begin, size_t end) {
    const struct top *s = user;
    const struct best *b = &s->best;
    size_t size = fp_type_size(b->type);
    struct item *heap = s->items + begin / s->piece * s->k;
    for (size_t row = begin; row < end; row++) {
        size_t outer = row / b->inner, inner = row % b->inner;
        const char *src = b->src + (outer * b->n * b->inner + inner) * size;
        best_items(s, src, heap);
        for (size_t i = 0; i < s->k; i++) {
            size_t at = (outer * s->k + i) * b->inner + inner;
            if (s->values) memcpy(s->values + at * size, src + heap[i].index * b->inner * size, size);
            if (s->indices) s->indices[at] = (int64_t)heap[i].index;
        }
    }
}

static int prepare_top(struct fp_call *call) {
    int axis, status = fp_need(call, 1 + (call->node->opset >= 10));
    if (status) return status;
    int64_t k = fp_attr_int(call->node, "k", -1);
    size_t n = 1;
    if (call->node->opset >= 10) status = fp_read_ints(call, 1, &k, 1, &n);
    const struct fp_tensor *x = call->in[0];
    if (!status) status = fp_axis(call, fp_attr_int(call->node, "axis", -1), x->rank, &axis);
    if (status) return status;
    if (n != 1) k = -1;
    if (k < 0 || k > x->dims[axis])
        return fp_call_fail(call, "k is %lld of %lld along axis %d", (long long)k, (long long)x->dims[axis], axis);
    struct top *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    *s = (struct top){.k = (size_t)k, .best.least = !fp_attr_int(call->node, "largest", 1)};
    status = split(call, &s->best, axis);
    int64_t dims[FP_MAX_RANK];
    memcpy(dims, x->dims, sizeof(dims));
    dims[axis] = k;
    if (!status) status = fp_out(call, 0, x->type, x->rank, dims);
    if (!status) status = fp_out(call, 1, FP_INT64, x->rank, dims);
    return status;
}

static int run_top(struct fp_call *call) {
    struct top *s = call->state;
    if (call->out[0].count == 0) return FINEPRUNE_OK;
    size_t rows = s->best.outer * s->best.inner, bytes;
    size_t threads = (size_t)fp_threads_for(call, call->in[0]->count, 16384);
    s->best.src = call->in[0]->data;
    s->values = call->out[0].data;
    s->indices = fp_output_data(call, 1);
    s->piece = (rows + threads - 1) / threads;
    if (!fp_mul(s->k * threads, sizeof(struct item), &bytes)) return fp_call_fail(call, "k=%zu is too large", s->k);
    s->items = fp_take(call->memory, bytes);
    if (!s->items) return fp_fail_memory(call->err, "TopK", bytes);
    fp_pieces((int)threads, rows, s->piece, top_piece, s);
    fp_release(call->memory, s->items, bytes);
    s->items = NULL;
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_pick[] = {
    {"", "ArgMax", 1, prepare_arg, run_arg, NULL, 0, ARG_MAX, .role = FP_ROLE_PICKS, .arity = "r>r",
     .attributes = "axis=i keepdims=i select_last_index=i"},
    {"", "ArgMin", 1, prepare_arg, run_arg, NULL, 0, ARG_MIN, .arity = "r>r",
     .attributes = "axis=i keepdims=i select_last_index=i"},
    {"", "Hardmax", 1, prepare_hardmax, run_hardmax, .role = FP_ROLE_HARDMAX, .arity = "r>r", .attributes = "axis=i"},
    {"", "TopK", 1, prepare_top, run_top, .role = FP_ROLE_PICKS, .arity = "r>rr 10:rr>rr",
     .attributes = "axis=i k=i largest=i sorted=i"},
    {0},
};
