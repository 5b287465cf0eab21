// SPDX-License-Identifier: Apache-2.0
// Samples that lie in the caller's memory: each array is copied once, into rows without gaps.
#include <stdio.h>

#include "data/data_parts.h"

struct arrays {
    const fineprune_array *items;
    size_t n;
};

static size_t find_input(const struct fineprune_data *data, const char *name) {
    size_t i = 0;
    if (!name) return data->n_inputs == 1 ? 0 : data->n_inputs;
    while (i < data->n_inputs && strcmp(data->inputs[i].name, name)) i++;
    return i;
}

// Axis `axis` and those behind it; dst is where the next element goes.
static void copy_axis(const fineprune_array *array, const int64_t *strides, int axis, const char *from, size_t size,
                      char **dst) {
    const int64_t n = array->dims[axis];
    const bool last = axis == array->rank - 1;
    if (last && strides[axis] == (int64_t)size) {
        memcpy(*dst, from, (size_t)n * size);
        *dst += (size_t)n * size;
        return;
    }
    for (int64_t i = 0; i < n; i++, from += strides[axis]) {
        if (!last) {
            copy_axis(array, strides, axis + 1, from, size, dst);
            continue;
        }
        memcpy(*dst, from, size);
        *dst += size;
    }
}

static void copy(const fineprune_array *array, struct fp_tensor *t) {
    const size_t size = fp_type_size(t->type);
    char *dst = t->data;
    if (!t->count) return;
    if (!array->strides || !array->rank) memcpy(dst, array->data, t->count * size);
    else copy_axis(array, array->strides, 0, array->data, size, &dst);
}

static int add_array(struct fineprune_data *data, const fineprune_array *array, fineprune_error *err) {
    const size_t input = find_input(data, array->input);
    char name[200], inputs[400];
    if (input == data->n_inputs) {
        fp_inputs_text(inputs, sizeof(inputs), data->inputs, data->n_inputs);
        if (!array->input) return fp_fail(err, FINEPRUNE_USAGE, "an array names no input; the model has %s", inputs);
        return fp_fail(err, FINEPRUNE_DATA, "the model has no input '%.100s'; it has %s", array->input, inputs);
    }
    snprintf(name, sizeof(name), "the array for '%.150s'", data->inputs[input].name);
    if (array->type <= FP_NONE || array->type > FP_BFLOAT16 || !fp_type_size((enum fp_type)array->type))
        return fp_fail(err, FINEPRUNE_USAGE, "%s: type %d is none that an array can have", name, array->type);
    if (array->rank < 0 || array->rank > FP_MAX_RANK || (array->rank && !array->dims))
        return fp_fail(err, FINEPRUNE_USAGE, "%s: %d axes are not possible", name, array->rank);
    size_t count;
    struct fp_tensor t = {0};
    if (!fp_product(array->rank, array->dims, &count))
        return fp_fail(err, FINEPRUNE_USAGE, "%s: an axis is negative, or all of them are too much", name);
    if (count && !array->data) return fp_fail(err, FINEPRUNE_USAGE, "%s has no elements", name);
    int status = fp_tensor_new(&t, data->memory, (enum fp_type)array->type, array->rank, array->dims, err);
    if (status) return status;
    copy(array, &t);
    return fp_data_put_array(data, input, &t, name, err);
}

static int add_arrays(struct fineprune_data *data, const void *user, fineprune_error *err) {
    const struct arrays *arrays = user;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < arrays->n && !status; i++) status = add_array(data, &arrays->items[i], err);
    return status;
}

int fineprune_data_add_arrays(fineprune_data *data, const fineprune_array *arrays, size_t n, fineprune_error *err) {
    return fp_data_add_as(data, fp_data_in_memory, add_arrays, &(struct arrays){arrays, n}, err);
}
