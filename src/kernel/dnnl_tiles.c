// SPDX-License-Identifier: Apache-2.0
// Products in tiles: the primitive is of a few rows, and runs once for each tile of the whole product.
#include "kernel/dnnl_tiles.h"

#include <math.h>

#include "kernel/dnnl_parts.h"

// Rows of a tile. All tiles of a product have as many, the last one's are filled up with zeros, and each is computed by
// one thread: so what is beside a row can only show in its place within the tile. With 24 rows (as with 6, 12, 16, 48
// and 64, but not with 32) equal rows gave equal bits at every place: measured with oneDNN 3.2 and AVX2 over 157
// shapes. Tiles of 4, 6, 12, 16, 24, 48 and 96 rows (not those of 1, 2, 3, 8, 20 or 384) gave each other's bits,
// measured over 1,100 shapes with AVX2, AVX and SSE 4.1. What comes after AVX2 was not measured: 24 there.
enum { TILE_ROWS = 24 };

// Rows of b that are whole pages apart share few sets of a cache: with a little between them 96 x 768 times 768 x 3072
// takes half the time, and gives the same bits.
enum { PAGE = 4096 / sizeof(float), APART = 16 };

// Each tile reads all of b, so that a row of a low one takes longer: by so much, of 768 x 3072.
static const struct {
    int64_t rows;
    double cost; // of a row
} heights[] = {{96, 1}, {48, 1.05}, {TILE_ROWS, 1.25}, {16, 1.6}, {12, 1.9}, {6, 2.5}, {4, 3}};

// The height with which the threads are done first.
static int64_t tile_rows(const struct fp_matmul_shape *s, int threads) {
    int64_t best = TILE_ROWS, products = 1;
    double least = INFINITY;
    if (dnnl_get_effective_cpu_isa() > dnnl_cpu_isa_avx2) return TILE_ROWS;
    for (int i = 0; i < s->batch; i++) products *= fp_matmul_batch(s, i);
    for (size_t i = 0; i < FP_COUNT(heights); i++) {
        const int64_t rows = heights[i].rows, tiles = products * ((s->m + rows - 1) / rows);
        const double cost = (double)((tiles + threads - 1) / threads * rows) * heights[i].cost;
        if (cost < least) least = cost, best = rows;
    }
    return best;
}

void fp_tile_shape(const struct fp_matmul_shape *s, int threads, struct fp_matmul_shape *tile) {
    const int r = s->batch;
    *tile = *s;
    for (int i = 0; i < r; i++) tile->pack_b = tile->pack_b && s->b_batch[i] == 1;
    tile->batch = 0;
    tile->b_row = s->n % PAGE ? 0 : s->n + APART;
    tile->m = tile_rows(s, threads);
    tile->b_strides[0] = s->b_strides[r];
    tile->b_strides[1] = s->b_strides[r + 1];
    tile->a_strides[0] = s->k;
    tile->c_strides[0] = s->n;
    tile->a_strides[1] = tile->c_strides[1] = 1;
}

struct tiles {
    const struct fp_matmul_shape *s;
    const float *a, *b;
    float *c;
    int64_t per_product; // tiles
    int64_t height;      // of one, in rows
};

struct tile {
    int64_t rows, row_step, column_step, c_row, c_column;
    const float *a, *b;
    float *c;
    bool direct_a, direct_c;
};

static struct tile tile_at(const struct tiles *t, size_t part) {
    const struct fp_matmul_shape *s = t->s;
    const int r = s->batch;
    int64_t row = (int64_t)part % t->per_product * t->height, rest = (int64_t)part / t->per_product, left = s->m - row;
    struct tile x = {.rows = left < t->height ? left : t->height,
                     .row_step = s->a_strides[r],
                     .column_step = s->a_strides[r + 1],
                     .c_row = s->c_strides[r],
                     .c_column = s->c_strides[r + 1],
                     .a = t->a + row * s->a_strides[r],
                     .b = t->b,
                     .c = t->c + row * s->c_strides[r]};
    for (int i = r - 1; i >= 0; i--) {
        int64_t k = rest % fp_matmul_batch(s, i);
        rest /= fp_matmul_batch(s, i);
        x.a += s->a_batch[i] == 1 ? 0 : k * s->a_strides[i];
        x.b += s->b_batch[i] == 1 ? 0 : k * s->b_strides[i];
        x.c += k * s->c_strides[i];
    }
    bool full = x.rows == t->height;
    x.direct_a = full && x.row_step == s->k && (x.column_step == 1 || s->k == 1);
    x.direct_c = full && x.c_row == s->n && (x.c_column == 1 || s->n == 1);
    return x;
}

static bool before_tile(const void *user, size_t part, struct fp_part_runner *r) {
    const struct tiles *t = user;
    const struct tile x = tile_at(t, part);
    const int64_t k = t->s->k;
    float *a = (float *)(void *)r->room, *c = a + t->height * k;
    for (int64_t i = 0; i < t->height && !x.direct_a; i++)
        for (int64_t j = 0; j < k; j++) a[i * k + j] = i < x.rows ? x.a[i * x.row_step + j * x.column_step] : 0;
    return fp_part_set(r, DNNL_ARG_SRC, x.direct_a ? x.a : a) && fp_part_set(r, DNNL_ARG_WEIGHTS, x.b) &&
           fp_part_set(r, DNNL_ARG_DST, x.direct_c ? x.c : c);
}

static void after_tile(const void *user, size_t part, struct fp_part_runner *r) {
    const struct tiles *t = user;
    const struct tile x = tile_at(t, part);
    const float *c = (const float *)(const void *)r->room + t->height * t->s->k;
    for (int64_t i = 0; i < x.rows && !x.direct_c; i++)
        for (int64_t j = 0; j < t->s->n; j++) x.c[i * x.c_row + j * x.c_column] = c[i * t->s->n + j];
}

int fp_tiles_run(struct fp_call *call, struct fp_matmul *p, const float *a, float *c) {
    const struct fp_matmul_shape *s = &p->whole;
    void *b = NULL;
    dnnl_memory_get_data_handle(fp_prim_arg(&p->prim, DNNL_ARG_WEIGHTS), &b);
    const int64_t height = p->height;
    struct tiles t = {s, a, b, c, (s->m + height - 1) / height, height};
    size_t columns, floats;
    struct fp_parts parts = {.count = (size_t)t.per_product, .user = &t, .before = before_tile, .after = after_tile};
    for (int i = 0; i < s->batch; i++) parts.count *= (size_t)fp_matmul_batch(s, i);
    if (!fp_add((size_t)s->k, (size_t)s->n, &columns) || !fp_mul(columns, (size_t)height, &floats) ||
        !fp_mul(floats, sizeof(float), &parts.room))
        return fp_fail_memory(call->err, "a tile", SIZE_MAX);
    return fp_prim_run_parts(call, &p->prim, &parts);
}
