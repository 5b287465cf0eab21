// SPDX-License-Identifier: Apache-2.0
// What lies where in a tensor: row-major, or channels last.
#include "kernel/channels_last.h"

const char fp_channels_last[] = "channels last";

bool fp_last_matters(const struct fp_tensor *t) {
    if (t->rank < 3 || t->dims[1] <= 1) return false;
    for (int i = 2; i < t->rank; i++)
        if (t->dims[i] > 1) return true;
    return false;
}

void fp_order_strides(int rank, const int64_t *dims, bool last, int64_t *strides) {
    int64_t step = 1;
    if (last) {
        strides[1] = 1;
        step = dims[1];
    }
    for (int i = rank - 1; i >= 0; i--) {
        if (last && i == 1) continue;
        strides[i] = step;
        step *= fp_most_int(dims[i], 1);
    }
}

void fp_layout_strides(const struct fp_tensor *t, int64_t *strides) {
    fp_order_strides(t->rank, t->dims, fp_is_last(t) && t->rank > 2, strides);
}

// Sample by sample: [S, C] becomes [C, S].
static void transpose_sample(float *dst, const float *src, int64_t spatial, int64_t channels) {
    for (int64_t c0 = 0; c0 < channels; c0 += 16) {
        int64_t c1 = fp_least_int(c0 + 16, channels);
        for (int64_t s = 0; s < spatial; s++)
            for (int64_t c = c0; c < c1; c++) dst[c * spatial + s] = src[s * channels + c];
    }
}

int fp_tensor_plain(int threads, struct fp_memory *memory, struct fp_tensor *dst, const struct fp_tensor *src,
                    fineprune_error *err) {
    if (!fp_is_last(src) || src->count == 0) return fp_tensor_copy(dst, memory, src, err);
    int status = fp_tensor_new(dst, memory, src->type, src->rank, src->dims, err);
    if (status) return status;
    int64_t n = src->dims[0], c = src->dims[1], s = (int64_t)src->count / n / c;
    const float *from = src->data;
    float *to = dst->data;
#pragma omp parallel for num_threads(threads) if (src->count > 50000)
    for (int64_t i = 0; i < n; i++) transpose_sample(to + i * c * s, from + i * c * s, s, c);
    return 0;
}
