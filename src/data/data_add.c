// SPDX-License-Identifier: Apache-2.0
// Adding a source: all of it, or nothing when it fails.
#include <stdlib.h>

#include "data/data_parts.h"
#include "base/numbers.h"

int fineprune_data_add(fineprune_data *data, const char *source, fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    FP_STAGE(room, source);
    size_t *n_before = fp_arena_take(&room, data->n_inputs, sizeof(*n_before));
    char **grown = fp_grow(data->sources, &data->capacity, data->n_sources + 1, sizeof(*grown));
    if (grown) data->sources = grown;
    char *copy = strdup(source);
    if (!n_before || !grown || !copy) {
        free(copy);
        return fp_fail_memory(err, source, strlen(source));
    }
    for (size_t i = 0; i < data->n_inputs; i++) n_before[i] = data->columns[i].n;
    const size_t bare = data->bare;
    const char *rest = source;
    const size_t input = fp_data_split(data, &rest);
    int status = fp_data_add_source(data, input, rest, 0, err);
    free(data->hashes);
    data->hashes = NULL;
    if (status) {
        fp_memory_hint(data->memory, err);
        fp_data_take_back(data, n_before, bare);
        free(copy);
    } else {
        data->sources[data->n_sources++] = copy;
    }
    return status;
}
