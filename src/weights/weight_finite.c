// SPDX-License-Identifier: Apache-2.0
// Whether weights and biases are numbers: of what is not, nothing can be learnt, and the samples are not to blame.
#include "weights/weights.h"

#include <stdio.h>

#define BLOCK 4096 // elements between two looks

// The bits of the exponent, all of which are set in NaN and infinities alone; 0 for types that have neither.
static uint64_t exponent_of(enum fp_type type) {
    switch (type) {
    case FP_FLOAT: return 0x7f800000;
    case FP_DOUBLE: return 0x7ff0000000000000;
    case FP_FLOAT16: return 0x7c00;
    case FP_BFLOAT16: return 0x7f80;
    default: return 0;
    }
}

// Elements may lie at any address of the file.
static inline uint64_t bits_at(const uint8_t *element, size_t size) {
    uint64_t bits = 0;
    memcpy(&bits, element, size);
    return bits;
}

#define FIND(name, size)                                                                                               \
    FP_VECTOR static bool name(const uint8_t *bytes, size_t n, uint64_t exponent) {                                    \
        bool found = false;                                                                                            \
        for (size_t i = 0; i < n; i++) found |= (bits_at(bytes + i * (size), size) & exponent) == exponent;            \
        return found;                                                                                                  \
    }
FIND(has_2, 2)
FIND(has_4, 4)
FIND(has_8, 8)
#undef FIND

static bool has(const uint8_t *bytes, size_t size, size_t n, uint64_t exponent) {
    if (size == 2) return has_2(bytes, n, exponent);
    if (size == 4) return has_4(bytes, n, exponent);
    return has_8(bytes, n, exponent);
}

// The first such element; t->count when there is none.
static size_t first_of(const struct fp_tensor *t, uint64_t exponent) {
    const uint8_t *bytes = t->data;
    const size_t size = fp_type_size(t->type);
    for (size_t at = 0; at < t->count; at += BLOCK) {
        const size_t n = fp_least(t->count - at, BLOCK);
        if (!has(bytes + at * size, size, n, exponent)) continue;
        for (size_t i = at; i < at + n; i++)
            if ((bits_at(bytes + i * size, size) & exponent) == exponent) return i;
    }
    return t->count;
}

static int fail(const struct fineprune_model *model, const char *name, const struct fp_tensor *t, size_t found,
                fineprune_error *err) {
    int64_t index[FP_MAX_RANK];
    char place[200];
    size_t left = found;
    for (int i = t->rank; i-- > 0;) {
        index[i] = (int64_t)(left % (size_t)t->dims[i]);
        left /= (size_t)t->dims[i];
    }
    const uint64_t bits = bits_at((const uint8_t *)t->data + found * fp_type_size(t->type), fp_type_size(t->type));
    const uint64_t exponent = exponent_of(t->type);
    const bool nan = bits & ((exponent & -exponent) - 1); // a fraction
    return fp_fail(err, FINEPRUNE_MODEL, "'%.300s': initializer '%.200s' has %s at %s", model->path, name,
                   nan ? "NaN" : "an infinite value", fp_shape_text(place, sizeof(place), t->rank, index));
}

static int check_sources(struct fineprune_model *model, const struct fp_weight *w, fineprune_error *err) {
    for (int i = 0; i < w->n_sources; i++) {
        const struct fp_source *source = &w->sources[i];
        const uint64_t exponent = exponent_of(source->type);
        struct fp_tensor t = {0};
        if (!exponent || !source->proto) continue;
        int status = fp_initializer_outline(model, source->proto, &t, err);
        if (status) return status;
        const size_t found = first_of(&t, exponent);
        if (found < t.count) status = fail(model, source->name, &t, found, err);
        fp_tensor_done(&t);
        fp_initializer_drop(model, source->proto);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

int fp_weights_check_finite(const struct fp_weights *weights, fineprune_error *err) {
    for (int i = 0; i < weights->n; i++) {
        const struct fp_weight *w = &weights->items[i];
        int status = check_sources(weights->model, w, err);
        if (!status && w->bias.proto && w->bias.view) status = check_sources(weights->model, w->bias.view, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}
