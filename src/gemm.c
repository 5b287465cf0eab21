// SPDX-License-Identifier: Apache-2.0
// Products in tiles: parallel between the tiles, sequential within one. Each tile is a oneDNN matmul primitive. (Not dnnl_sgemm: in oneDNN 3.2 its
// path without copies writes past a workspace of its own when several threads call it.)
#include "gemm.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_M = 256, TILE_N = 512, TILE_GRAM = 256 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// c = op(a) op(b): what a tile is but for where its operands lie.
struct shape {
    size_t m, n, k, lda, ldb, ldc;
    bool ta, tb;
};

// The primitives of one thread. A product has few shapes: the inner tile and those at the two edges.
enum { SHAPES = 4, OPERANDS = 3 };
struct tiler {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int n;
    struct {
        struct shape shape;
        dnnl_primitive_t primitive;
        dnnl_memory_t memory[OPERANDS];
    } made[SHAPES];
};

static bool good(dnnl_status_t status) { return status == dnnl_success; }

static bool tiler_init(struct tiler *t) {
    *t = (struct tiler){0};
    omp_set_num_threads(1); // of this thread's own regions, until the surrounding one ends: primitives are made for as many
    return good(dnnl_engine_create(&t->engine, dnnl_cpu, 0)) && good(dnnl_stream_create(&t->stream, t->engine, dnnl_stream_default_flags));
}

static void tiler_done(struct tiler *t) {
    for (int i = 0; i < t->n; i++) {
        for (int k = 0; k < OPERANDS; k++) dnnl_memory_destroy(t->made[i].memory[k]);
        dnnl_primitive_destroy(t->made[i].primitive);
    }
    dnnl_stream_destroy(t->stream);
    dnnl_engine_destroy(t->engine);
}

static bool describe(dnnl_memory_desc_t *desc, size_t rows, size_t cols, size_t step, bool transposed) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    const dnnl_dims_t strides = {transposed ? 1 : (dnnl_dim_t)step, transposed ? (dnnl_dim_t)step : 1};
    return good(dnnl_memory_desc_create_with_strides(desc, 2, dims, dnnl_f32, strides));
}

static bool make(struct tiler *t, int at, const struct shape *s) {
    dnnl_memory_desc_t md[OPERANDS] = {0};
    dnnl_primitive_desc_t desc = NULL;
    bool ok = describe(&md[0], s->m, s->k, s->lda, s->ta) && describe(&md[1], s->k, s->n, s->ldb, s->tb) && describe(&md[2], s->m, s->n, s->ldc, false);
    ok = ok && good(dnnl_matmul_primitive_desc_create(&desc, t->engine, md[0], md[1], NULL, md[2], NULL)) &&
         good(dnnl_primitive_create(&t->made[at].primitive, desc));
    for (int i = 0; i < OPERANDS; i++) {
        ok = ok && good(dnnl_memory_create(&t->made[at].memory[i], md[i], t->engine, DNNL_MEMORY_NONE));
        if (md[i]) dnnl_memory_desc_destroy(md[i]);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    t->made[at].shape = *s;
    return ok;
}

static bool tile(struct tiler *t, const struct shape *s, const float *a, const float *b, float *c) {
    int at = 0;
    while (at < t->n && memcmp(&t->made[at].shape, s, sizeof(*s)) != 0) at++;
    if (at == SHAPES || (at == t->n && !make(t, t->n++, s))) return false;
    const void *data[OPERANDS] = {a, b, c};
    const int names[OPERANDS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    dnnl_exec_arg_t args[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) {
        if (!good(dnnl_memory_set_data_handle(t->made[at].memory[i], (void *)(uintptr_t)data[i]))) return false;
        args[i] = (dnnl_exec_arg_t){names[i], t->made[at].memory[i]};
    }
    return good(dnnl_primitive_execute(t->made[at].primitive, t->stream, OPERANDS, args)) && good(dnnl_stream_wait(t->stream));
}

bool fp_gemm(bool tb, size_t m, size_t n, size_t k, const float *a, const float *b, float *c, int threads) {
    size_t tm = (m + TILE_M - 1) / TILE_M, tn = (n + TILE_N - 1) / TILE_N;
    bool failed = false;
    #pragma omp parallel num_threads(threads)
    {
        struct tiler tiler;
        bool ready = tiler_init(&tiler);
        #pragma omp for schedule(dynamic) collapse(2)
        for (size_t j = 0; j < tn; j++)
            for (size_t i = 0; i < tm; i++) {
                size_t r = i * TILE_M, s = j * TILE_N;
                struct shape shape = {0};
                shape.m = least(TILE_M, m - r), shape.n = least(TILE_N, n - s), shape.k = k;
                shape.lda = k, shape.ldb = tb ? k : n, shape.ldc = n, shape.tb = tb;
                if (!ready || !tile(&tiler, &shape, a + r * k, b + (tb ? s * k : s), c + r * n + s)) {
                    #pragma omp atomic write
                    failed = true;
                }
            }
        tiler_done(&tiler);
    }
    return !failed;
}

bool fp_gram(size_t n, size_t k, const float *a, double *gram, int threads) {
    size_t tiles = (n + TILE_GRAM - 1) / TILE_GRAM;
    bool failed = false;
    #pragma omp parallel num_threads(threads)
    {
        struct tiler tiler;
        float *part = fp_calloc(least(n, TILE_GRAM) * least(n, TILE_GRAM), sizeof(*part));
        bool ready = tiler_init(&tiler) && part;
        #pragma omp for schedule(dynamic) collapse(2)
        for (size_t i = 0; i < tiles; i++)
            for (size_t j = 0; j < tiles; j++) {
                if (j > i) continue;
                size_t r = i * TILE_GRAM, s = j * TILE_GRAM, rows = least(TILE_GRAM, n - r), cols = least(TILE_GRAM, n - s);
                struct shape shape = {0};
                shape.m = rows, shape.n = cols, shape.k = k, shape.lda = n, shape.ldb = n, shape.ldc = cols, shape.ta = true;
                if (!ready || !tile(&tiler, &shape, a + r, a + s, part)) {
                    #pragma omp atomic write
                    failed = true;
                    continue;
                }
                for (size_t y = 0; y < rows; y++)
                    for (size_t x = 0; x < cols; x++) gram[(r + y) * n + s + x] += (double)part[y * cols + x];
            }
        tiler_done(&tiler);
        free(part);
    }
    return !failed;
}
