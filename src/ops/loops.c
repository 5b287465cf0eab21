// SPDX-License-Identifier: Apache-2.0
// What the elementwise families share; see loops.h.
#include "ops/loops.h"

#include <assert.h>

void fp_pieces(int threads, size_t n, size_t grain, void (*body)(void *user, size_t begin, size_t end), void *user) {
    size_t pieces = n / grain + (n % grain != 0);
    if (pieces <= 1 || threads <= 1) {
        for (size_t at = 0; at < n; at += grain) body(user, at, at + fp_least(n - at, grain));
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < pieces; i++) body(user, i * grain, i * grain + fp_least(n - i * grain, grain));
}

// Whether dims i and i + 1 of the walk are one dim for every operand.
static bool merges(const struct fp_walk *w, int64_t (*strides)[FP_MAX_RANK], int outer, int inner, int64_t inner_dim) {
    for (int k = 0; k < w->operands; k++)
        if (strides[k][outer] != strides[k][inner] * inner_dim) return false;
    return true;
}

void fp_walk_make(struct fp_walk *w, int operands, int rank, const int64_t *dims, int64_t (*strides)[FP_MAX_RANK]) {
    memset(w, 0, sizeof(*w));
    w->operands = operands;
    // From the inside out: w holds the merged dims, innermost first.
    int n = 0;
    for (int i = rank - 1; i >= 0; i--) {
        if (dims[i] == 1) continue;
        int64_t here[3][FP_MAX_RANK];
        for (int k = 0; k < operands; k++) {
            here[k][0] = strides[k][i];
            here[k][1] = 0;
            if (n) here[k][1] = w->strides[k][n - 1];
        }
        if (n && merges(w, here, 0, 1, w->dims[n - 1])) {
            w->dims[n - 1] *= dims[i];
            continue;
        }
        w->dims[n] = dims[i];
        for (int k = 0; k < operands; k++) w->strides[k][n] = strides[k][i];
        n++;
    }
    w->last = 1;
    if (n) {
        w->last = (size_t)w->dims[0];
        w->rank = n - 1;
        for (int k = 0; k < operands; k++) w->step[k] = w->strides[k][0];
    }
    w->rows = 1;
    for (int i = 0; i < w->rank; i++) { // drop the inner one; innermost outer dim stays first
        w->dims[i] = w->dims[i + 1];
        w->rows *= (size_t)w->dims[i];
        for (int k = 0; k < operands; k++) w->strides[k][i] = w->strides[k][i + 1];
    }
    if (w->last == 0) w->rows = 0;
}

void fp_walk_row(const struct fp_walk *w, size_t row, int64_t *offsets) {
    for (int k = 0; k < w->operands; k++) offsets[k] = 0;
    for (int i = 0; i < w->rank; i++) {
        int64_t at = (int64_t)(row % (size_t)w->dims[i]);
        row /= (size_t)w->dims[i];
        for (int k = 0; k < w->operands; k++) offsets[k] += at * w->strides[k][i];
    }
}

// Steps `at` to the next row and the offsets with it.
static void next_row(const struct fp_walk *w, int64_t *at, int64_t *offsets) {
    for (int i = 0; i < w->rank; i++) {
        for (int k = 0; k < w->operands; k++) offsets[k] += w->strides[k][i];
        if (++at[i] < w->dims[i]) return;
        for (int k = 0; k < w->operands; k++) offsets[k] -= w->dims[i] * w->strides[k][i];
        at[i] = 0;
    }
}

void fp_walk_run(const struct fp_walk *w, size_t begin, size_t end,
                 void (*run)(void *user, size_t at, const int64_t *offsets, size_t n), void *user) {
    if (begin >= end) return;
    int64_t at[FP_MAX_RANK] = {0}, offsets[3], here[3];
    size_t row = begin / w->last, skip = begin % w->last, rest = row;
    fp_walk_row(w, row, offsets);
    for (int i = 0; i < w->rank; i++) {
        at[i] = (int64_t)(rest % (size_t)w->dims[i]);
        rest /= (size_t)w->dims[i];
    }
    for (size_t done = begin; done < end; next_row(w, at, offsets)) {
        size_t n = fp_least(w->last - skip, end - done);
        for (int k = 0; k < w->operands; k++) here[k] = offsets[k] + (int64_t)skip * w->step[k];
        run(user, done, here, n);
        done += n;
        skip = 0;
    }
}

void fp_split_axis(const struct fp_tensor *t, int axis, size_t *outer, size_t *n, size_t *inner) {
    assert(axis >= 0 && axis <= t->rank);
    *outer = *inner = 1;
    for (int i = 0; i < axis; i++) *outer *= (size_t)t->dims[i];
    for (int i = axis + 1; i < t->rank; i++) *inner *= (size_t)t->dims[i];
    if (axis < t->rank) *n = (size_t)t->dims[axis];
    else *n = 1;
}

int fp_as_float(struct fp_call *call, struct fp_tensor *dst, const struct fp_tensor *t) {
    if (t->type == FP_FLOAT || t->type == FP_DOUBLE) {
        fp_tensor_share(dst, t);
        return FINEPRUNE_OK;
    }
    if (!fp_type_is_float(t->type)) return fp_call_fail(call, "%s where floats are needed", fp_type_name(t->type));
    return fp_tensor_convert(dst, call->memory, t, FP_FLOAT, call->err);
}

int fp_float_out(struct fp_call *call, struct fp_tensor *dst, int i) {
    struct fp_tensor *out = &call->out[i];
    if (out->type == FP_FLOAT || out->type == FP_DOUBLE) {
        fp_tensor_share(dst, out);
        return FINEPRUNE_OK;
    }
    return fp_tensor_new(dst, call->memory, FP_FLOAT, out->rank, out->dims, call->err);
}

void fp_put_float(struct fp_call *call, int i, struct fp_tensor *computed) {
    struct fp_tensor *out = &call->out[i];
    if (computed->data && computed->data != out->data)
        fp_convert(out->data, out->type, computed->data, computed->type, out->count);
    fp_tensor_done(computed);
}

int fp_bad_type(struct fp_call *call, int i) {
    return fp_call_fail(call, "type %s of input %d is not supported", fp_type_name(call->in[i]->type), i);
}
