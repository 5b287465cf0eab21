// SPDX-License-Identifier: Apache-2.0
// A small classifier of images in a file and random samples for it.
#ifndef SAMPLE_MODEL_H
#define SAMPLE_MODEL_H

#include "made_model.h"

#ifndef SIDE
#define SIDE 10 // of an image
#endif

static inline void sample_write(const char *path) {
    Onnx__ModelProto *m = made_new();
    Onnx__GraphProto *g = m->graph;
    made_input(g, "x", SHAPE(-1, 3, SIDE, SIDE));
    made_random(g, "c1", SHAPE(8, 3, 3, 3), 1), made_random(g, "c2", SHAPE(16, 4, 3, 3), 2),
        made_random(g, "c3", SHAPE(12, 16, 2, 2), 5);
    made_random(g, "fc", SHAPE(5, 12), 3), made_random(g, "b", SHAPE(5), 4);
    made_node(g, "Conv", "x,c1", "h1"), made_node(g, "Relu", "h1", "r1");
    made_int(made_node(g, "Conv", "r1,c2", "h2"), "group", 2);
    made_node(g, "Relu", "h2", "r2"), made_node(g, "Conv", "r2,c3", "h3"), made_node(g, "Relu", "h3", "r3");
    made_node(g, "GlobalAveragePool", "r3", "p"), made_node(g, "Flatten", "p", "f");
    made_int(made_node(g, "Gemm", "f,fc,b", "y"), "transB", 1);
    MADE_ADD(g, output, made_value("y", FP_FLOAT, SHAPE(-1, 5)));
    made_write(m, path);
    onnx__model_proto__free_unpacked(m, NULL);
}

// n samples of random numbers as a .npy file.
static inline void sample_data(const char *path, size_t n) {
    char head[128];
    const size_t count = n * 3 * SIDE * SIDE, size = 128 + count * sizeof(float);
    uint8_t *bytes = made_message(size);
    const int length = snprintf(head, sizeof(head),
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, 3, %d, %d), }", n, SIDE, SIDE);
    memset(bytes, ' ', 128);
    memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(bytes + 10, head, (size_t)length);
    bytes[127] = '\n';
    made_fill((float *)(void *)(bytes + 128), count, 11);
    scratch_write(path, bytes, size);
    free(bytes);
}

static inline fineprune_model *sample_open(const char *path) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    if (fineprune_model_open(&model, path, NULL, &err)) fail_msg("%s", err.message);
    return model;
}

static inline fineprune_data *sample_load(const fineprune_model *model, const char *path) {
    fineprune_error err = {0};
    fineprune_data *data = NULL;
    if (fineprune_data_open(&data, model, NULL, &err) || fineprune_data_add(data, path, &err))
        fail_msg("%s", err.message);
    return data;
}

#endif
