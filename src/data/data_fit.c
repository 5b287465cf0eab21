// SPDX-License-Identifier: Apache-2.0
// Whether arrays fit the model's inputs: rank, dims and every element.
#include "data/data_parts.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "exec/op_list.h"

// ---- texts

char *fp_input_text(char *dst, size_t size, const struct fp_input *input) {
    size_t n = (size_t)snprintf(dst, size, "'%.100s' %s", input->name, fp_type_name(input->type));
    if (input->rank < 0) return dst;
    for (int i = 0; i < input->rank && n < size; i++) {
        const char *before = " [", *symbol = "?";
        if (i) before = ",";
        if (input->symbols[i]) symbol = input->symbols[i];
        if (input->dims[i] >= 0) n += (size_t)snprintf(dst + n, size - n, "%s%lld", before, (long long)input->dims[i]);
        else n += (size_t)snprintf(dst + n, size - n, "%s%.30s", before, symbol);
    }
    if (n < size) snprintf(dst + n, size - n, input->rank ? "]" : " []");
    return dst;
}

char *fp_inputs_text(char *dst, size_t size, const struct fp_input *inputs, size_t n) {
    size_t used = 0;
    dst[0] = '\0';
    for (size_t i = 0; i < n && used + 10 < size; i++) {
        char text[400];
        used += (size_t)snprintf(dst + used, size - used, "%s%s", fp_between((size_t)i, ", "),
                                 fp_input_text(text, sizeof(text), &inputs[i]));
    }
    return dst;
}

// ---- shapes

bool fp_input_fits(const struct fp_input *input, int skip, int rank, const int64_t *dims) {
    if (input->rank < 0) return true;
    if (rank != input->rank - skip) return false;
    for (int i = 0; i < rank; i++)
        if (input->dims[i + skip] >= 0 && dims[i] != input->dims[i + skip]) return false;
    return true;
}

static int fail_shape(const struct fp_input *input, const struct fp_tensor *array, const char *name,
                      fineprune_error *err) {
    char shape[200], wanted[400];
    fp_shape_text(shape, sizeof(shape), array->rank, array->dims);
    fp_input_text(wanted, sizeof(wanted), input);
    return fp_fail(err, FINEPRUNE_DATA, "%s is %s %s, but the model's input %s is wanted", name,
                   fp_type_name(array->type), shape, wanted);
}

int fp_fit_array(const struct fp_input *input, const struct fp_tensor *array, const char *name,
                 enum fp_piece_mode *mode, fineprune_error *err) {
    const bool rows = array->rank && (input->rank < 0 || array->rank == input->rank);
    const bool whole = input->rank >= 0 && array->rank == input->rank + 1;
    if (!array->rank && input->rank <= 0) {
        *mode = FP_CONSTANT;
        return FINEPRUNE_OK;
    }
    if ((rows && fp_input_fits(input, 1, array->rank - 1, array->dims + 1)) || (rows && input->rank < 0) ||
        (whole && fp_input_fits(input, 0, array->rank - 1, array->dims + 1))) {
        if (rows) *mode = FP_ROWS;
        else *mode = FP_WHOLE;
        if (array->dims[0]) return FINEPRUNE_OK;
        char shape[200];
        fp_shape_text(shape, sizeof(shape), array->rank, array->dims);
        return fp_fail(err, FINEPRUNE_DATA, "%s is %s %s and holds no samples (axis 0 has length 0)", name,
                       fp_type_name(array->type), shape);
    }
    int status = fail_shape(input, array, name, err);
    if (array->rank == input->rank - 1 && fp_input_fits(input, 1, array->rank, array->dims))
        fp_hint(err, "axis 0 of an array is its samples; save one sample as array[numpy.newaxis]");
    else if (rows || whole) fp_hint(err, "axis 0 of an array is its samples; the other axes must be the model's");
    return status;
}

// ---- the axis of the samples

static bool names_batch(const char *symbol) {
    return symbol && (strcasestr(symbol, "batch") || !strcasecmp(symbol, "bs"));
}

// Letters alone say so only beside an axis that is named as time.
static bool may_name_batch(const char *symbol) {
    return names_batch(symbol) || (symbol && (!strcasecmp(symbol, "n") || !strcasecmp(symbol, "b")));
}

static bool names_time(const char *symbol) {
    static const char *const words[] = {"seq", "time", "frame", "step", "length"};
    bool is = symbol && !strcasecmp(symbol, "t");
    for (size_t i = 0; i < FP_COUNT(words); i++) is |= symbol && strcasestr(symbol, words[i]);
    return is;
}

// Whether a recurrent layer takes the value as it is, steps first.
static bool is_steps_first(const struct fp_value *v) {
    for (int i = 0; i < v->n_readers; i++) {
        const struct fp_node *node = v->readers[i].node;
        if (!node || v->readers[i].index) continue;
        const struct fp_op *op = fp_op_find(node->domain, node->type, node->opset);
        if (op && op->flags & FP_OP_STEPS_FIRST && !fp_attr_int(node, "layout", 0)) return true;
    }
    return false;
}

int fp_fit_batch_axis(const struct fp_graph *graph, int value) {
    const struct fp_value *v = &graph->values[value];
    const char *const *symbols = v->symbols;
    bool named = false;
    if (symbols && v->rank > 0 && (names_batch(symbols[0]) || (may_name_batch(symbols[0]) && !names_time(symbols[0]))))
        return 0;
    for (int i = 1; i < v->rank && symbols; i++) {
        named |= may_name_batch(symbols[i]);
        if (names_batch(symbols[i]) || (may_name_batch(symbols[i]) && names_time(symbols[0]))) return i;
    }
    if (!named && v->rank == 3 && is_steps_first(v)) return 1;
    return 0;
}

// Elements of one sample lie in stretches of `inner`, one for each of the indices of the axes before the samples'.
static void move_axis(const struct fp_tensor *from, int axis, size_t size, char *to) {
    size_t inner = size, outer = 1, n = (size_t)from->dims[axis];
    for (int i = axis + 1; i < from->rank; i++) inner *= (size_t)from->dims[i];
    for (int i = 0; i < axis; i++) outer *= (size_t)from->dims[i];
    for (size_t s = 0; s < n; s++)
        for (size_t o = 0; o < outer; o++)
            memcpy(to + (s * outer + o) * inner, (const char *)from->data + (o * n + s) * inner, inner);
}

int fp_fit_moved(const struct fp_input *input, const struct fp_tensor *array, const char *name, struct fp_tensor *moved,
                 fineprune_error *err) {
    const int axis = input->batch_axis;
    int64_t dims[FP_MAX_RANK + 1];
    char wanted[400];
    fp_input_text(wanted, sizeof(wanted), input);
    const bool fixed = input->dims[axis] > 1 || array->rank == FP_MAX_RANK || !fp_type_size(array->type);
    if (fixed) {
        fp_fail(err, FINEPRUNE_DATA, "%s: the samples of the model's input %s lie along its axis %d", name, wanted,
                axis);
        fp_hint(err, "give an array with one axis more: [samples, ...the input's axes]");
        return FINEPRUNE_DATA;
    }
    dims[0] = array->dims[axis];
    for (int i = 0; i < array->rank; i++) {
        dims[i + 1] = array->dims[i];
        if (i == axis) dims[i + 1] = 1;
        if (input->dims[i] < 0 || i == axis || array->dims[i] == input->dims[i]) continue;
        int status = fail_shape(input, array, name, err);
        fp_hint(err, "the input's samples lie along axis %d; the other axes must be the model's", axis);
        return status;
    }
    return fp_tensor_shape(moved, array->type, array->rank + 1, dims, err);
}

int fp_fit_move(const struct fp_input *input, struct fp_tensor *array, const char *name, struct fp_memory *memory,
                fineprune_error *err) {
    struct fp_tensor moved;
    int status = fp_fit_moved(input, array, name, &moved, err);
    if (!status) status = fp_tensor_allocate(&moved, memory, err);
    if (status) return status;
    move_axis(array, input->batch_axis, fp_type_size(array->type), moved.data);
    fp_tensor_done(array);
    *array = moved;
    return FINEPRUNE_OK;
}

// ---- elements

static const struct {
    enum fp_type type;
    double low, high; // inclusive
    bool integer;
} RANGES[] = {
    {FP_BOOL, 0, 1, true},
    {FP_UINT8, 0, UINT8_MAX, true},
    {FP_INT8, INT8_MIN, INT8_MAX, true},
    {FP_UINT16, 0, UINT16_MAX, true},
    {FP_INT16, INT16_MIN, INT16_MAX, true},
    {FP_UINT32, 0, UINT32_MAX, true},
    {FP_INT32, INT32_MIN, INT32_MAX, true},
    {FP_UINT64, 0, 0x1.fffffffffffffp63, true},
    {FP_INT64, -0x1p63, 0x1.fffffffffffffp62, true},
    {FP_UINT4, 0, 15, true},
    {FP_INT4, -8, 7, true},
    {FP_FLOAT16, -65504, 65504, false},
    {FP_BFLOAT16, -0x1.fep127, 0x1.fep127, false},
    {FP_FLOAT, -FLT_MAX, FLT_MAX, false},
    {FP_DOUBLE, -DBL_MAX, DBL_MAX, false},
};

static int fail_element(const struct fp_input *input, size_t sample, double value, const char *name,
                        fineprune_error *err) {
    int status;
    if (!isfinite(value)) {
        status = fp_fail(err, FINEPRUNE_DATA, "%s has %s in sample %zu", name,
                         isnan(value) ? "NaN" : "an infinite value", sample);
        fp_hint(err, "remove the sample, or replace the value before saving (numpy.nan_to_num)");
    } else {
        status = fp_fail(err, FINEPRUNE_DATA,
                         "%s has %.17g in sample %zu, which the model's input '%s' of %s cannot hold", name, value,
                         sample, input->name, fp_type_name(input->type));
    }
    return status;
}

static size_t sample_at(struct fp_turns turns, size_t element) {
    if (!turns.n || !turns.run) return 0;
    return element / turns.run % turns.n;
}

bool fp_has_huge(const struct fp_tensor *array) {
    double chunk[1024];
    const size_t bytes = fp_type_size(array->type);
    for (size_t at = 0; at < array->count && fp_type_is_float(array->type); at += FP_COUNT(chunk)) {
        const size_t n = fp_least(array->count - at, FP_COUNT(chunk));
        fp_convert(chunk, FP_DOUBLE, (const char *)array->data + at * bytes, array->type, n);
        for (size_t i = 0; i < n; i++)
            if (!(fabs(chunk[i]) <= FP_HUGE)) return true;
    }
    return false;
}

// The most usual case, at the speed of memory: nothing to convert, and nothing to tell.
static bool all_plain(const float *values, size_t n) {
    bool plain = true;
    for (size_t i = 0; i < n; i++) plain &= fabsf(values[i]) <= (float)FP_HUGE; // false for NaN
    return plain;
}

int fp_fit_elements(const struct fp_input *input, const struct fp_tensor *array, size_t first, struct fp_turns turns,
                    const char *name, bool *huge, fineprune_error *err) {
    const enum fp_type to = input->type, from = array->type;
    if (to == from && !fp_type_is_float(from)) return FINEPRUNE_OK;
    size_t range = 0;
    while (range < FP_COUNT(RANGES) && RANGES[range].type != to) range++;
    const bool plain = fp_type_is_float(from) || fp_type_is_integer(from) || from == FP_BOOL;
    if (range == FP_COUNT(RANGES) || !plain)
        return fp_fail(err, FINEPRUNE_DATA, "%s is %s, which does not become the model's input '%s' of %s", name,
                       fp_type_name(from), input->name, fp_type_name(to));
    const double low = RANGES[range].low, high = RANGES[range].high;
    const size_t bytes = fp_type_size(from);
    double chunk[1024];
    for (size_t at = 0; at < array->count; at += FP_COUNT(chunk)) {
        const size_t n = fp_least(array->count - at, FP_COUNT(chunk));
        const void *values = (const char *)array->data + at * bytes;
        if (to == FP_FLOAT && from == FP_FLOAT && all_plain(values, n)) continue;
        fp_convert(chunk, FP_DOUBLE, values, from, n);
        for (size_t i = 0; i < n; i++) {
            *huge |= fabs(chunk[i]) > FP_HUGE;
            const bool in_range = chunk[i] >= low && chunk[i] <= high; // false for NaN
            if (!in_range || (RANGES[range].integer && chunk[i] != floor(chunk[i])))
                return fail_element(input, sample_at(turns, first + at + i), chunk[i], name, err);
        }
    }
    return FINEPRUNE_OK;
}

// ---- --shape

static int parse_dims(const char *text, const char *whole, int *rank, int64_t *dims, fineprune_error *err) {
    *rank = 0;
    if (!*text) return FINEPRUNE_OK; // a scalar
    for (const char *at = text;; at++) {
        char *end = (char *)(uintptr_t)at + 1;
        errno = 0;
        int64_t value = -1;
        if (*at != '?') value = strtoll(at, &end, 10);
        if (errno || end == at || value < -1 || (*end && *end != ',') || *rank == FP_MAX_RANK)
            return fp_fail(err, FINEPRUNE_USAGE, "--shape '%s' is not NAME:1,3,224,224", whole);
        dims[(*rank)++] = value;
        if (!*end) return FINEPRUNE_OK;
        at = end;
    }
}

static void fix_symbol(struct fp_input *inputs, size_t n, const char *symbol, int64_t value) {
    for (size_t i = 0; i < n; i++)
        for (int axis = 0; axis < inputs[i].rank; axis++)
            if (inputs[i].dims[axis] < 0 && inputs[i].symbols[axis] && strcmp(inputs[i].symbols[axis], symbol) == 0)
                inputs[i].dims[axis] = value;
}

static int fail_fixed(const struct fp_input *input, const char *text, fineprune_error *err) {
    char wanted[400];
    return fp_fail(err, FINEPRUNE_USAGE, "--shape '%s' contradicts the model's input %s", text,
                   fp_input_text(wanted, sizeof(wanted), input));
}

int fp_fit_shape(struct fp_input *inputs, size_t n, const char *text, fineprune_error *err) {
    const char *colon = strrchr(text, ':');
    struct fp_input *input = NULL;
    for (size_t i = 0; colon && i < n; i++)
        if (strlen(inputs[i].name) == (size_t)(colon - text) &&
            memcmp(inputs[i].name, text, (size_t)(colon - text)) == 0)
            input = &inputs[i];
    if (!input) {
        char all[600];
        return fp_fail(err, FINEPRUNE_USAGE, "--shape '%s' names no input of the model (%s)", text,
                       fp_inputs_text(all, sizeof(all), inputs, n));
    }
    int rank;
    int64_t dims[FP_MAX_RANK];
    int status = parse_dims(colon + 1, text, &rank, dims, err);
    if (status) return status;
    if (input->rank >= 0 && input->rank != rank) return fail_fixed(input, text, err);
    for (int i = 0; i < rank; i++) {
        if (input->rank < 0) input->dims[i] = -1;
        if (dims[i] >= 0 && input->dims[i] >= 0 && input->dims[i] != dims[i]) return fail_fixed(input, text, err);
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) continue;
        if (input->dims[i] < 0 && input->symbols[i]) fix_symbol(inputs, n, input->symbols[i], dims[i]);
        input->dims[i] = dims[i];
    }
    input->rank = rank;
    return FINEPRUNE_OK;
}
