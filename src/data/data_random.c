// SPDX-License-Identifier: Apache-2.0
// Made-up samples, for trying a model without data: floats of mean 0 and variance 1, bytes over their range, and 0 or 1
// for other integers (an index or a mask that every model can take). The same seed gives the same samples everywhere;
// each is made when it is asked for.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/data_parts.h"

static int random_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index, (void)err;
    const int skip = piece->mode == FP_ROWS;
    *rank = piece->input->rank - skip;
    memcpy(dims, piece->input->dims + skip, (size_t)*rank * sizeof(*dims));
    if (piece->mode == FP_WHOLE && dims[piece->input->batch_axis] < 0) dims[piece->input->batch_axis] = 1;
    return FINEPRUNE_OK;
}

// The sum of four 16-bit numbers, moved and scaled to mean 0 and variance 1: near a normal distribution and exact on
// any machine.
static float bell(uint64_t bits) {
    const double sum = (double)(bits & 0xffff) + (double)(bits >> 16 & 0xffff) + (double)(bits >> 32 & 0xffff) +
                       (double)(bits >> 48);
    return (float)((sum / 65536 - 2) * 1.7320508075688772);
}

static int random_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    (void)err;
    uint64_t state = piece->seed;
    if (piece->mode != FP_CONSTANT) state += index * UINT64_C(0x2545f4914f6cdd1d);
    fp_random(&state);
    const bool is_float = fp_type_is_float(dst->type), byte = dst->type == FP_UINT8 || dst->type == FP_INT8;
    const size_t size = fp_type_size(dst->type);
    for (size_t i = 0; i < dst->count; i++) {
        const uint64_t bits = fp_random(&state);
        char *at = (char *)dst->data + i * size;
        if (byte) *at = (char)(bits >> 56);
        else if (is_float) fp_convert(at, dst->type, &(float){bell(bits)}, FP_FLOAT, 1);
        else fp_convert(at, dst->type, &(uint8_t){(uint8_t)(bits >> 63)}, FP_UINT8, 1);
    }
    return FINEPRUNE_OK;
}

static const struct fp_piece_kind RANDOM = {.shape = random_shape, .load = random_load};

static int check_input(const struct fp_input *input, fineprune_error *err) {
    char text[400];
    fp_input_text(text, sizeof(text), input);
    bool possible = fp_type_is_float(input->type) || fp_type_is_integer(input->type) || input->type == FP_BOOL;
    if (!possible || input->rank < 0)
        return fp_fail(err, FINEPRUNE_DATA, "no random data can be made for the input %s", text);
    for (int i = 0; i < input->rank; i++) {
        if (input->dims[i] >= 0 || i == input->batch_axis) continue;
        int status = fp_fail(err, FINEPRUNE_DATA, "random data need the size of axis %d of the input %s", i, text);
        fp_hint(err, "--shape '%s:...' gives it", input->name);
        return status;
    }
    return FINEPRUNE_OK;
}

static int add(struct fineprune_data *data, size_t input, uint64_t seed, fineprune_error *err) {
    const struct fp_input *in = &data->inputs[input];
    int status = check_input(in, err);
    if (status) return status;
    struct fp_piece piece = {
        .kind = &RANDOM, .mode = FP_CONSTANT, .n = FP_ENDLESS, .seed = seed + input * UINT64_C(0x9e3779b97f4a7c15)};
    if (in->batch_axis) piece.mode = FP_WHOLE;
    else if (in->rank) piece.mode = FP_ROWS;
    return fp_data_put(data, input, &piece, "random", err);
}

int fp_data_add_random(struct fineprune_data *data, size_t input, const char *seed, fineprune_error *err) {
    char *end = NULL;
    unsigned long long value = 0;
    errno = 0;
    if (seed) value = strtoull(seed, &end, 10);
    if (seed && (!*seed || *end || *seed == '-' || errno))
        return fp_fail(err, FINEPRUNE_USAGE, "'random:%s': the seed is not a number", seed);
    if (input < data->n_inputs) return add(data, input, value, err);
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < data->n_inputs && !status; i++) status = add(data, i, value, err);
    if (!data->n_inputs) data->bare++;
    return status;
}
