// SPDX-License-Identifier: Apache-2.0
// Copies through one map of positions per axis: Pad and nearest-neighbour Resize. See fp_map_run in move.h.
#include "ops/move.h"

#include <stdlib.h>

// Positions of the innermost mapped axis that lie together in the input, or are all constant (from < 0).
struct run {
    int64_t from;
    size_t n;
};

struct rows {
    struct fp_call *call;
    const int64_t *maps[FP_MAX_RANK]; // these three by the order of the axes in memory
    int64_t in[FP_MAX_RANK], out[FP_MAX_RANK];
    int last;     // the innermost axis that is mapped; those inside it are copied whole
    size_t inner; // elements of those
    bool single;  // the map of `last` has only short runs and no -1
    struct run *runs;
    size_t n_runs;
    const void *value;
};

// Input row of an output row, -1 when all of it is constant.
static int64_t source_row(const struct rows *r, size_t row) {
    int64_t from = 0, stride = 1;
    for (int i = r->last - 1; i >= 0; i--) {
        int64_t at = r->maps[i][row % (size_t)r->out[i]];
        if (at < 0) return -1;
        row /= (size_t)r->out[i];
        from += at * stride;
        stride *= r->in[i];
    }
    return from;
}

static int copy_row(const struct rows *r, size_t row, int64_t from) {
    const struct fp_tensor *x = r->call->in[0], *y = &r->call->out[0];
    size_t n = (size_t)r->out[r->last], to = row * n * r->inner, size = fp_type_size(y->type);
    if (from < 0) return fp_fill(r->call, y->type, y->data, to, r->value, n * r->inner);
    from *= r->in[r->last];
    if (r->single) {
        fp_pick((char *)y->data + to * size, (const char *)x->data + (size_t)from * size, r->maps[r->last], n, size);
        return FINEPRUNE_OK;
    }
    for (size_t i = 0; i < r->n_runs; i++) {
        const struct run *run = &r->runs[i];
        size_t count = run->n * r->inner, at = (size_t)(from + run->from) * r->inner;
        int status;
        if (run->from < 0) status = fp_fill(r->call, y->type, y->data, to, r->value, count);
        else status = fp_put(r->call, y->type, y->data, to, x->data, at, count);
        if (status) return status;
        to += count;
    }
    return FINEPRUNE_OK;
}

// The rows of one box of the two innermost mapped axes. A row that is the same as the one before is copied from there.
static int copy_box(const struct rows *r, size_t box, size_t per_box) {
    struct fp_tensor *y = &r->call->out[0];
    size_t length = (size_t)r->out[r->last] * r->inner;
    int64_t last = -2;
    int status = FINEPRUNE_OK;
    for (size_t row = box * per_box; row < (box + 1) * per_box && !status; row++) {
        int64_t from = source_row(r, row);
        if (from == last) status = fp_put(r->call, y->type, y->data, row * length, y->data, (row - 1) * length, length);
        else status = copy_row(r, row, from);
        last = from;
    }
    return status;
}

static bool is_identity(const int64_t *map, int64_t in, int64_t out) {
    if (in != out) return false;
    for (int64_t i = 0; i < out; i++)
        if (map[i] != i) return false;
    return true;
}

// Whether position i follows on the one before it: both the constant, or neighbours.
static bool continues(const int64_t *map, size_t i) {
    if (map[i] < 0) return map[i - 1] < 0;
    return map[i - 1] >= 0 && map[i] == map[i - 1] + 1;
}

static int find_runs(struct rows *r) {
    const int64_t *map = r->maps[r->last];
    size_t n = (size_t)r->out[r->last];
    bool constant = false;
    r->runs = fp_calloc(n, sizeof(*r->runs));
    if (!r->runs) return fp_fail_memory(r->call->err, "positions", n * sizeof(*r->runs));
    for (size_t i = 0; i < n; i++) {
        struct run *run = &r->runs[r->n_runs];
        constant = constant || map[i] < 0;
        if (i && continues(map, i)) run[-1].n++;
        else r->runs[r->n_runs++] = (struct run){map[i], 1};
    }
    r->single = r->inner == 1 && fp_type_size(r->call->out[0].type) && !constant && r->n_runs * 8 > n;
    return FINEPRUNE_OK;
}

int fp_map_run(struct fp_call *call, const int64_t *const *maps, const void *value) {
    const struct fp_tensor *x = call->in[0], *y = &call->out[0];
    struct rows r = {.call = call, .last = y->rank - 1, .inner = 1, .value = value};
    int axes[FP_MAX_RANK];
    if (!y->count) return FINEPRUNE_OK;
    if (!x->count) return fp_fill(call, y->type, y->data, 0, value, y->count);
    fp_physical(y, axes);
    for (int i = 0; i < y->rank; i++) {
        r.maps[i] = maps[axes[i]];
        r.in[i] = x->dims[axes[i]];
        r.out[i] = y->dims[axes[i]];
    }
    while (r.last >= 0 && is_identity(r.maps[r.last], r.in[r.last], r.out[r.last])) r.inner *= (size_t)r.in[r.last--];
    if (r.last < 0) return fp_put_whole(call);
    int status = find_runs(&r);
    size_t per_box = 1;
    if (r.last) per_box = (size_t)r.out[r.last - 1];
    size_t boxes = fp_span(r.out, 0, r.last) / per_box;
    if (y->type == FP_STRING) {
        for (size_t i = 0; i < boxes && !status; i++) status = copy_box(&r, i, per_box);
    } else if (!status) {
#pragma omp parallel for num_threads(call->threads) if (y->count > 200000)
        for (size_t i = 0; i < boxes; i++) copy_box(&r, i, per_box);
    }
    free(r.runs);
    return status;
}
