// SPDX-License-Identifier: Apache-2.0
// A model that consists of its inputs, and short words for data tests that must succeed or be refused.
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include "data/data_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fake {
    struct fineprune_model model;
    struct fp_graph graph;
    struct fp_value values[4];
    int ids[4];
    int64_t dims[4][FP_MAX_RANK];
    char folder[200];
};

static inline void fake_input(struct fake *f, const char *name, enum fp_type type, int rank, const int64_t *dims) {
    const int id = f->graph.n_inputs++;
    if (rank > 0) memcpy(f->dims[id], dims, (size_t)rank * sizeof(*dims));
    f->values[id] = (struct fp_value){.name = name, .type = type, .rank = rank, .dims = f->dims[id]};
    f->ids[id] = id;
    f->graph.values = f->values;
    f->graph.inputs = f->ids;
    f->model.graph = &f->graph;
    f->model.folder = f->folder;
    strcpy(f->folder, "/nowhere");
}

// rank and dims
#define DIMS(...)                                                                                                      \
    (int)FP_COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]) { __VA_ARGS__ }

static inline fineprune_data *open_data(const struct fake *f, const fineprune_data_options *options) {
    fineprune_error err = {0};
    fineprune_data *data = NULL;
    fineprune_data_options sized = options ? *options : (fineprune_data_options){0};
    sized.size = sizeof(sized);
    if (fineprune_data_open(&data, &f->model, &sized, &err)) fail_msg("%s", err.message);
    return data;
}

static inline void add(fineprune_data *data, const char *source) {
    fineprune_error err = {0};
    if (fineprune_data_add(data, source, &err)) fail_msg("%s", err.message);
}

static inline void refuse(fineprune_data *data, const char *source, int status, const char *message) {
    fineprune_error err = {0};
    const size_t before = fineprune_data_samples(data);
    assert_int_equal(fineprune_data_add(data, source, &err), status);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in: %s", message, err.message);
    assert_int_equal(fineprune_data_samples(data), before);
}

static inline void batch(fineprune_data *data, struct fp_tensor *inputs, size_t n, ...) {
    size_t samples[16];
    va_list args;
    va_start(args, n);
    for (size_t i = 0; i < n; i++) samples[i] = (size_t)va_arg(args, int);
    va_end(args);
    fineprune_error err = {0};
    if (fp_data_batch(data, samples, n, inputs, &err)) fail_msg("%s", err.message);
}

#endif
