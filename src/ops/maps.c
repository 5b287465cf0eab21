// SPDX-License-Identifier: Apache-2.0
// Copies through one map of positions per axis: Pad and nearest-neighbour Resize. See fp_map_run in move.h.
#include "move.h"

struct rows {
    struct fp_call *call;
    const int64_t *const *maps;
    int last;      // the innermost axis that is mapped; those inside it are copied whole
    size_t inner;  // elements of those
    bool single;   // the map of `last` has only short runs and no -1
    const void *value;
};

// Input row of an output row, -1 when all of it is constant.
static int64_t source_row(const struct rows *r, size_t row) {
    const struct fp_tensor *x = r->call->in[0], *y = &r->call->out[0];
    int64_t from = 0, stride = 1;
    for (int i = r->last - 1; i >= 0; i--) {
        int64_t at = r->maps[i][row % (size_t)y->dims[i]];
        if (at < 0) return -1;
        row /= (size_t)y->dims[i];
        from += at * stride;
        stride *= x->dims[i];
    }
    return from;
}

#define PICK(T)                                                                  \
    for (size_t i = 0; i < n; i++) ((T *)dst)[i] = ((const T *)src)[map[i]];     \
    break

static void pick(void *dst, const void *src, const int64_t *map, size_t n, size_t size) {
    switch (size) {
    case 1: PICK(uint8_t);
    case 2: PICK(uint16_t);
    case 4: PICK(uint32_t);
    case 8: PICK(uint64_t);
    default:
        for (size_t i = 0; i < n; i++) memcpy((char *)dst + i * size, (const char *)src + (size_t)map[i] * size, size);
    }
}
#undef PICK

static int copy_row(const struct rows *r, size_t row) {
    const struct fp_tensor *x = r->call->in[0], *y = &r->call->out[0];
    const int64_t *map = r->maps[r->last];
    size_t n = (size_t)y->dims[r->last], to = row * n * r->inner, size = fp_type_size(y->type);
    int64_t from = source_row(r, row);
    if (from < 0) return fp_fill(r->call, y->type, y->data, to, r->value, n * r->inner);
    from *= x->dims[r->last];
    if (r->single) {
        pick((char *)y->data + to * size, (const char *)x->data + (size_t)from * size, map, n, size);
        return FINEPRUNE_OK;
    }
    for (size_t i = 0; i < n;) {
        size_t run = 1; // positions that lie together in the input, or are all constant
        while (i + run < n && (map[i] < 0 ? map[i + run] < 0 : map[i + run] == map[i] + (int64_t)run)) run++;
        int status = map[i] < 0 ? fp_fill(r->call, y->type, y->data, to, r->value, run * r->inner)
                                : fp_put(r->call, y->type, y->data, to, x->data, (size_t)(from + map[i]) * r->inner, run * r->inner);
        if (status) return status;
        to += run * r->inner;
        i += run;
    }
    return FINEPRUNE_OK;
}

static bool is_identity(const int64_t *map, int64_t in, int64_t out) {
    if (in != out) return false;
    for (int64_t i = 0; i < out; i++)
        if (map[i] != i) return false;
    return true;
}

static bool has_short_runs(const int64_t *map, int64_t n) {
    int64_t runs = 1;
    for (int64_t i = 0; i < n; i++) {
        if (map[i] < 0) return false;
        if (i && map[i] != map[i - 1] + 1) runs++;
    }
    return runs * 8 > n;
}

int fp_map_run(struct fp_call *call, const int64_t *const *maps, const void *value) {
    const struct fp_tensor *x = call->in[0], *y = &call->out[0];
    struct rows r = {.call = call, .maps = maps, .last = y->rank - 1, .inner = 1, .value = value};
    if (!y->count) return FINEPRUNE_OK;
    if (!x->count) return fp_fill(call, y->type, y->data, 0, value, y->count);
    while (r.last >= 0 && is_identity(maps[r.last], x->dims[r.last], y->dims[r.last])) r.inner *= (size_t)x->dims[r.last--];
    if (r.last < 0) return fp_put_whole(call);
    r.single = r.inner == 1 && y->type != FP_STRING && has_short_runs(maps[r.last], y->dims[r.last]);
    size_t n = fp_span(y->dims, 0, r.last);
    int status = FINEPRUNE_OK;
    if (y->type == FP_STRING) {
        for (size_t i = 0; i < n && !status; i++) status = copy_row(&r, i);
        return status;
    }
#pragma omp parallel for num_threads(call->threads) if (y->count > 50000)
    for (size_t i = 0; i < n; i++) copy_row(&r, i);
    return FINEPRUNE_OK;
}
