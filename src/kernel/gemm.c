// SPDX-License-Identifier: Apache-2.0
// Products in tiles: parallel between the tiles, sequential within one.
#include "kernel/gemm.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/tiler.h"

// m rows of panel j.
static struct fp_tile tile_of(const struct fp_product *p, size_t m, size_t j) {
    const size_t left = p->n - j * FP_TILE_COLUMNS;
    return (struct fp_tile){
        .m = m, .n = fp_least(FP_TILE_COLUMNS, left), .k = p->k, .ldb = p->tb ? p->k : p->n, .tb = p->tb};
}

static bool pack_panel(const struct fp_product *p, struct fp_tiler *t, size_t j, const float *b) {
    const struct fp_tile full = tile_of(p, FP_TILE_ROWS, j);
    const size_t first = j * FP_TILE_COLUMNS;
    return fp_tiler_pack(t, &full, b + (p->tb ? first * p->k : first), &p->panels[j]);
}

bool fp_product_init(struct fp_product *p, bool tb, size_t n, size_t k, const float *b, int threads) {
    *p = (struct fp_product){.tb = tb,
                             .n = n,
                             .k = k,
                             .threads = threads > 0 ? threads : 1,
                             .n_panels = (n + FP_TILE_COLUMNS - 1) / FP_TILE_COLUMNS};
    p->tilers = fp_calloc((size_t)p->threads, sizeof(*p->tilers));
    p->panels = fp_calloc(p->n_panels, sizeof(*p->panels));
    bool failed = !p->tilers || !p->panels;
    if (failed) return false;
#pragma omp parallel num_threads(p->threads)
    {
        struct fp_tiler *t = &p->tilers[omp_get_thread_num()];
        bool ready = fp_tiler_init(t);
#pragma omp for schedule(dynamic)
        for (size_t j = 0; j < p->n_panels; j++)
            if (!ready || !pack_panel(p, t, j, b)) {
#pragma omp atomic write
                failed = true;
            }
    }
    return !failed;
}

void fp_product_done(struct fp_product *p) {
    for (int i = 0; p->tilers && i < p->threads; i++) fp_tiler_done(&p->tilers[i]);
    for (size_t j = 0; p->panels && j < p->n_panels; j++) fp_panel_done(&p->panels[j]);
    free(p->tilers);
    free(p->panels);
    *p = (struct fp_product){0};
}

// c's columns of panel j from m rows of a: directly when c has no others, else by way of `part`. Of the
// result's rows `real` count.
static bool run_rows(const struct fp_product *p, struct fp_tiler *t, size_t j, size_t m, const float *a, float *c,
                     size_t real) {
    const struct fp_tile tile = tile_of(p, m, j);
    const bool direct = tile.n == p->n && real == m;
    if (!direct && !t->part) t->part = fp_calloc((size_t)FP_TILE_ROWS * FP_TILE_COLUMNS, sizeof(*t->part));
    if (!direct && !t->part) return false;
    float *part = t->part;
    if (direct) part = c;
    if (!fp_tiler_run(t, &tile, &p->panels[j], a, part)) return false;
    for (size_t r = 0; r < real && !direct; r++)
        memcpy(c + r * p->n + j * FP_TILE_COLUMNS, part + r * tile.n, tile.n * sizeof(*c));
    return true;
}

// The number of rows changes from one product to the next, and a new shape costs more than a small product: only
// multiples of FP_TILE_STEP are made, the last of them of rows that are filled up with zeros.
static bool run_tile(const struct fp_product *p, struct fp_tiler *t, size_t j, size_t m, const float *a, float *c) {
    const size_t full = m / FP_TILE_STEP * FP_TILE_STEP, left = m - full;
    if (full && !run_rows(p, t, j, full, a, c, full)) return false;
    if (!left) return true;
    if (!t->padded) t->padded = fp_calloc(FP_TILE_STEP * p->k, sizeof(*t->padded));
    if (!t->padded) return false;
    memcpy(t->padded, a + full * p->k, left * p->k * sizeof(*a));
    return run_rows(p, t, j, FP_TILE_STEP, t->padded, c + full * p->n, left);
}

bool fp_product_run(struct fp_product *p, size_t m, const float *a, float *c) {
    size_t tm = (m + FP_TILE_ROWS - 1) / FP_TILE_ROWS;
    bool failed = false;
#pragma omp parallel num_threads(p->threads) if (p -> n_panels * tm > 1)
    {
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic) collapse(2)
        for (size_t j = 0; j < p->n_panels; j++)
            for (size_t i = 0; i < tm; i++) {
                size_t r = i * FP_TILE_ROWS;
                if (!run_tile(p, &p->tilers[omp_get_thread_num()], j, fp_least(FP_TILE_ROWS, m - r), a + r * p->k,
                              c + r * p->n)) {
#pragma omp atomic write
                    failed = true;
                }
            }
    }
    return !failed;
}

bool fp_gemm(size_t m, size_t n, size_t k, const float *a, const float *b, float *c, int threads) {
    struct fp_product p;
    bool ok = fp_product_init(&p, false, n, k, b, threads) && fp_product_run(&p, m, a, c);
    fp_product_done(&p);
    return ok;
}
