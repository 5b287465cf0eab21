// SPDX-License-Identifier: Apache-2.0
// The products of DynamicQuantizeLSTM.
#include "ops/rnn_quantized.h"

#include "ops/integer.h"

static int scale_slot(int slot) {
    if (slot == 1) return FP_W_SCALE;
    return FP_R_SCALE;
}

static bool fits(const struct fp_tensor *t, int64_t directions, int64_t n) {
    return (t->rank == 1 || (t->rank == 2 && t->dims[1] == n)) && t->dims[0] == directions;
}

int fp_quantized_check(struct fp_call *call, int slot, int64_t directions, int64_t k, int64_t n) {
    const struct fp_tensor *w = call->in[slot];
    const int64_t dims[3] = {directions, k, n};
    char has[160], needs[160];
    if (!fp_is_byte(w->type) || w->rank != 3 || memcmp(w->dims, dims, sizeof(dims)) != 0)
        return fp_call_fail(call, "input %d is %s %s, needed are bytes of %s", slot, fp_type_name(w->type),
                            fp_shape_text(has, sizeof(has), w->rank, w->dims),
                            fp_shape_text(needs, sizeof(needs), 3, dims));
    int i = scale_slot(slot);
    if (!fp_given(call, i) || !fp_given(call, i + 1))
        return fp_call_fail(call, "input %d or %d, the scale or the zero point of input %d, is left out", i, i + 1,
                            slot);
    const struct fp_tensor *scale = call->in[i], *zero = call->in[i + 1];
    if (scale->type != FP_FLOAT || zero->type != w->type || !fits(scale, directions, n) || !fits(zero, directions, n))
        return fp_call_fail(call, "the scale or the zero point of input %d does not fit it", slot);
    return FINEPRUNE_OK;
}

int fp_quantized_product(struct fp_call *call, int slot, int direction, const float *x, size_t m, const float *bias,
                         float *y) {
    const struct fp_tensor *w = call->in[slot], *scale = call->in[scale_slot(slot)],
                           *zero = call->in[scale_slot(slot) + 1];
    size_t k = (size_t)w->dims[1], n = (size_t)w->dims[2], d = (size_t)direction, sums, bytes;
    if (!fp_mul(m, n, &sums) || !fp_mul(sums, sizeof(int32_t), &sums) || !fp_mul(m, k, &bytes) ||
        !fp_add(bytes, sums, &bytes))
        return fp_call_fail(call, "the result is too large");
    int32_t *acc = fp_take(call->memory, bytes);
    if (!acc) return fp_fail_memory(call->err, "sums", bytes);
    uint8_t *codes = (uint8_t *)acc + sums;
    float x_scale, x_zero;
    fp_dynamic_scale(x, m * k, &x_scale, &x_zero);
    fp_quantize_bytes(codes, FP_UINT8, x, m * k, x_scale, x_zero);
    uint8_t own = (uint8_t)x_zero;
    const struct fp_tensor left_zero = {.type = FP_UINT8, .count = 1, .data = &own};
    struct fp_tensor right_zero = {.type = w->type, .count = zero->count / (size_t)zero->dims[0]};
    right_zero.data = (char *)zero->data + d * right_zero.count;
    struct fp_codes left = {.zero = &left_zero,
                            .zero_per_row = true,
                            .type = FP_UINT8,
                            .data = codes,
                            .row_stride = (int64_t)k,
                            .column_stride = 1};
    struct fp_codes right = {.zero = &right_zero,
                             .type = w->type,
                             .data = (const char *)w->data + d * k * n,
                             .row_stride = (int64_t)n,
                             .column_stride = 1};
    int status = fp_exact_product(call, acc, &(struct fp_factor){fp_fill_codes, &left},
                                  &(struct fp_factor){fp_fill_codes, &right}, m, k, n);
    size_t step = scale->rank == 2;
    const float *w_scale = (const float *)scale->data + d * (step ? n : 1);
    for (size_t i = 0; i < m && !status; i++)
        for (size_t j = 0; j < n; j++)
            y[i * n + j] = (float)acc[i * n + j] * (x_scale * w_scale[j * step]) + (bias ? bias[j] : 0);
    fp_release(call->memory, acc, bytes);
    return status;
}
