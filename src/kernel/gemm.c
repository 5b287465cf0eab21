// SPDX-License-Identifier: Apache-2.0
// Products in tiles: parallel between the tiles, sequential within one. Each tile of a product is a oneDNN matmul
// primitive of rows that lie densely, for which it has kernels of its own. (Not dnnl_sgemm, nor a result with gaps
// between its rows, for which matmul takes its way: in oneDNN 3.2 the path without copies on AVX-512 writes past a
// workspace of its own. And never with scratch memory of oneDNN's own: that is counted by thread, and primitives made
// by one thread and dropped by another free it under those that still run.) Tiles of Gram matrices are calls of BLAS.
#include "kernel/gemm.h"

#include <cblas.h>
#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/engine.h"

enum { TILE_M = 256, TILE_N = 512, STEP_M = 32 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// c = a op(b): what a tile is but for where its operands lie.
struct shape {
    size_t m, n, k, ldb;
    bool tb;
};

// The primitives of one thread. A product has few shapes: TILE_M / STEP_M heights, and the inner panel's width and the
// last one's.
enum { SHAPES = 2 * TILE_M / STEP_M, OPERANDS = 3, ARGS = OPERANDS + 1 }; // and scratch memory
struct fp_tiler {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;
    void *scratch; // for the largest
    size_t scratch_size;
    float *part;   // TILE_M * TILE_N, a tile of c; made when needed
    float *padded; // STEP_M * k, the last rows of a and zeros; made when needed
    size_t made_in_all;
    struct made {
        struct shape shape;
        dnnl_primitive_t primitive;
        dnnl_memory_t memory[ARGS];
    } made[SHAPES];
};

static bool good(dnnl_status_t status) { return status == dnnl_success; }

static bool tiler_init(struct fp_tiler *t) {
    *t = (struct fp_tiler){0};
    omp_set_num_threads(
        1); // of this thread's own regions, until the surrounding one ends: primitives are made for as many
    t->engine = fp_engine_take();
    return t->engine && good(dnnl_stream_create(&t->stream, t->engine, dnnl_stream_default_flags)) &&
           good(dnnl_primitive_attr_create(&t->attr)) &&
           good(dnnl_primitive_attr_set_scratchpad_mode(t->attr, dnnl_scratchpad_mode_user)) &&
           good(dnnl_primitive_attr_set_fpmath_mode(t->attr, dnnl_fpmath_mode_strict)); // whatever the environment says
}

// A memory object for what `desc` needs of scratch memory, and enough of that.
static bool need_scratch(struct fp_tiler *t, const_dnnl_primitive_desc_t desc, dnnl_memory_t *memory) {
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    size_t size = dnnl_memory_desc_get_size(md);
    if (size > t->scratch_size) {
        fp_release(NULL, t->scratch, t->scratch_size);
        t->scratch = fp_take(NULL, size);
        t->scratch_size = t->scratch ? size : 0;
        if (!t->scratch) return false;
    }
    return good(dnnl_memory_create(memory, md, t->engine, DNNL_MEMORY_NONE));
}

static void made_done(struct made *m) {
    for (int k = 0; k < ARGS; k++) dnnl_memory_destroy(m->memory[k]);
    dnnl_primitive_destroy(m->primitive);
    *m = (struct made){0};
}

static void tiler_done(struct fp_tiler *t) {
    for (int i = 0; i < SHAPES; i++) made_done(&t->made[i]);
    fp_release(NULL, t->scratch, t->scratch_size);
    free(t->part);
    free(t->padded);
    if (t->attr) dnnl_primitive_attr_destroy(t->attr);
    dnnl_stream_destroy(t->stream);
    fp_engine_drop(t->engine);
}

static bool describe(dnnl_memory_desc_t *desc, size_t rows, size_t cols, size_t step, bool transposed) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    const dnnl_dims_t strides = {transposed ? 1 : (dnnl_dim_t)step, transposed ? (dnnl_dim_t)step : 1};
    return good(dnnl_memory_desc_create_with_strides(desc, 2, dims, dnnl_f32, strides));
}

// b's layout: the one in `packed`, or (when that is NULL) the one that oneDNN likes.
static bool primitive_desc(struct fp_tiler *t, const struct shape *s, const_dnnl_memory_desc_t packed,
                           dnnl_memory_desc_t *md, dnnl_primitive_desc_t *desc) {
    const dnnl_dims_t dims = {(dnnl_dim_t)s->k, (dnnl_dim_t)s->n};
    bool ok = describe(&md[0], s->m, s->k, s->k, false) && describe(&md[2], s->m, s->n, s->n, false);
    if (packed) ok = ok && good(dnnl_memory_desc_clone(&md[1], packed));
    else ok = ok && good(dnnl_memory_desc_create_with_tag(&md[1], 2, dims, dnnl_f32, dnnl_format_tag_any));
    return ok && good(dnnl_matmul_primitive_desc_create(desc, t->engine, md[0], md[1], NULL, md[2], t->attr));
}

static void descs_done(dnnl_memory_desc_t *md, dnnl_primitive_desc_t desc) {
    for (int i = 0; i < OPERANDS; i++)
        if (md[i]) dnnl_memory_desc_destroy(md[i]);
    if (desc) dnnl_primitive_desc_destroy(desc);
}

static struct made *find(struct fp_tiler *t, const struct shape *s, const_dnnl_memory_desc_t packed) {
    for (int i = 0; i < SHAPES; i++)
        if (t->made[i].primitive && !memcmp(&t->made[i].shape, s, sizeof(*s))) return &t->made[i];
    struct made *made = &t->made[t->made_in_all++ % SHAPES];
    made_done(made);
    dnnl_memory_desc_t md[OPERANDS] = {0};
    dnnl_primitive_desc_t desc = NULL;
    bool ok = primitive_desc(t, s, packed, md, &desc) && good(dnnl_primitive_create(&made->primitive, desc)) &&
              need_scratch(t, desc, &made->memory[OPERANDS]);
    for (int i = 0; i < OPERANDS; i++)
        ok = ok && good(dnnl_memory_create(&made->memory[i], md[i], t->engine, DNNL_MEMORY_NONE));
    descs_done(md, desc);
    made->shape = *s;
    if (ok) return made;
    made_done(made);
    return NULL;
}

static bool tile(struct fp_tiler *t, const struct shape *s, const_dnnl_memory_desc_t packed, const float *a,
                 const float *b, float *c) {
    const struct made *made = find(t, s, packed);
    if (!made) return false;
    const void *data[ARGS] = {a, b, c, t->scratch};
    const int names[ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_exec_arg_t args[ARGS];
    for (int i = 0; i < ARGS; i++) {
        if (!good(dnnl_memory_set_data_handle(made->memory[i], (void *)(uintptr_t)data[i]))) return false;
        args[i] = (dnnl_exec_arg_t){names[i], made->memory[i]};
    }
    return good(dnnl_primitive_execute(made->primitive, t->stream, ARGS, args)) && good(dnnl_stream_wait(t->stream));
}

// ---- products with the same right side

static struct shape shape_of(const struct fp_product *p, size_t m, size_t n) {
    struct shape s;
    memset(&s, 0, sizeof(s)); // padding too: shapes are compared as bytes
    s.m = m, s.n = n, s.k = p->k, s.ldb = p->tb ? p->k : p->n, s.tb = p->tb;
    return s;
}

// Tile j of b in the layout that oneDNN likes for full tiles.
static bool pack(const struct fp_product *p, struct fp_tiler *t, struct fp_panel *panel, size_t j, const float *b) {
    size_t first = j * TILE_N;
    const struct shape s = shape_of(p, TILE_M, least(TILE_N, p->n - first));
    dnnl_memory_desc_t md[OPERANDS] = {0}, plain = NULL;
    dnnl_primitive_desc_t desc = NULL, reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL, scratch = NULL;
    dnnl_primitive_t primitive = NULL;
    bool ok = primitive_desc(t, &s, NULL, md, &desc) && describe(&plain, s.k, s.n, s.ldb, s.tb) &&
              good(dnnl_memory_desc_clone(&panel->desc, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0)));
    panel->size = ok ? dnnl_memory_desc_get_size(panel->desc) : 0;
    panel->data = ok ? fp_take(NULL, panel->size) : NULL;
    ok = panel->data &&
         good(dnnl_memory_create(&from, plain, t->engine, (void *)(uintptr_t)(b + (p->tb ? first * p->k : first)))) &&
         good(dnnl_memory_create(&to, panel->desc, t->engine, panel->data)) &&
         good(dnnl_reorder_primitive_desc_create(&reorder, plain, t->engine, panel->desc, t->engine, t->attr)) &&
         good(dnnl_primitive_create(&primitive, reorder)) && need_scratch(t, reorder, &scratch) &&
         good(dnnl_memory_set_data_handle(scratch, t->scratch));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratch}};
    ok = ok && good(dnnl_primitive_execute(primitive, t->stream, 3, args)) && good(dnnl_stream_wait(t->stream));
    dnnl_primitive_destroy(primitive);
    dnnl_memory_destroy(from);
    dnnl_memory_destroy(to);
    dnnl_memory_destroy(scratch);
    if (reorder) dnnl_primitive_desc_destroy(reorder);
    if (plain) dnnl_memory_desc_destroy(plain);
    descs_done(md, desc);
    return ok;
}

bool fp_product_init(struct fp_product *p, bool tb, size_t n, size_t k, const float *b, int threads) {
    *p = (struct fp_product){
        .tb = tb, .n = n, .k = k, .threads = threads > 0 ? threads : 1, .n_panels = (n + TILE_N - 1) / TILE_N};
    p->tilers = fp_calloc((size_t)p->threads, sizeof(*p->tilers));
    p->panels = fp_calloc(p->n_panels, sizeof(*p->panels));
    bool failed = !p->tilers || !p->panels;
    if (failed) return false;
#pragma omp parallel num_threads(p->threads)
    {
        struct fp_tiler *t = &p->tilers[omp_get_thread_num()];
        bool ready = tiler_init(t);
#pragma omp for schedule(dynamic)
        for (size_t j = 0; j < p->n_panels; j++)
            if (!ready || !pack(p, t, &p->panels[j], j, b)) {
#pragma omp atomic write
                failed = true;
            }
    }
    return !failed;
}

void fp_product_done(struct fp_product *p) {
    for (int i = 0; p->tilers && i < p->threads; i++) tiler_done(&p->tilers[i]);
    for (size_t j = 0; p->panels && j < p->n_panels; j++) {
        if (p->panels[j].desc) dnnl_memory_desc_destroy(p->panels[j].desc);
        fp_release(NULL, p->panels[j].data, p->panels[j].size);
    }
    free(p->tilers);
    free(p->panels);
    *p = (struct fp_product){0};
}

// c's columns of panel j from m rows of a: directly when c has no others, else by way of `part`. Of the
// result's rows `real` count.
static bool run_rows(const struct fp_product *p, struct fp_tiler *t, size_t j, size_t m, const float *a, float *c,
                     size_t real) {
    const struct shape shape = shape_of(p, m, least(TILE_N, p->n - j * TILE_N));
    const bool direct = shape.n == p->n && real == m;
    if (!direct && !t->part) t->part = fp_calloc((size_t)TILE_M * TILE_N, sizeof(*t->part));
    if (!direct && !t->part) return false;
    float *part = direct ? c : t->part;
    if (!tile(t, &shape, p->panels[j].desc, a, p->panels[j].data, part)) return false;
    for (size_t r = 0; r < real && !direct; r++)
        memcpy(c + r * p->n + j * TILE_N, part + r * shape.n, shape.n * sizeof(*c));
    return true;
}

// The number of rows changes from one product to the next, and a new shape costs more than a small product: only
// multiples of STEP_M are made, the last of them of rows that are filled up with zeros.
static bool run_tile(const struct fp_product *p, struct fp_tiler *t, size_t j, size_t m, const float *a, float *c) {
    const size_t full = m / STEP_M * STEP_M, left = m - full;
    if (full && !run_rows(p, t, j, full, a, c, full)) return false;
    if (!left) return true;
    if (!t->padded) t->padded = fp_calloc(STEP_M * p->k, sizeof(*t->padded));
    if (!t->padded) return false;
    memcpy(t->padded, a + full * p->k, left * p->k * sizeof(*a));
    return run_rows(p, t, j, STEP_M, t->padded, c + full * p->n, left);
}

bool fp_product_run(struct fp_product *p, size_t m, const float *a, float *c) {
    size_t tm = (m + TILE_M - 1) / TILE_M;
    bool failed = false;
#pragma omp parallel num_threads(p->threads) if (p -> n_panels * tm > 1)
    {
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic) collapse(2)
        for (size_t j = 0; j < p->n_panels; j++)
            for (size_t i = 0; i < tm; i++) {
                size_t r = i * TILE_M;
                if (!run_tile(p, &p->tilers[omp_get_thread_num()], j, least(TILE_M, m - r), a + r * p->k,
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

// ---- co-activations

// BLAS takes the rows as they lie, and knows of symmetry. One call a tile, on one thread: no sum depends on how many
// there are.
enum { SIDE_ALONE = 128, SIDE_MOST = 512, TILES_LEAST = 3 };

struct gram {
    size_t n, side;
    const size_t *ends;
    size_t n_ends;
    bool fresh;
};

// At least three tiles a side where that keeps two threads busy, as equal as whole vectors allow.
static size_t side_of(size_t n) {
    if (n <= SIDE_ALONE) return n;
    size_t tiles = (n + SIDE_MOST - 1) / SIDE_MOST;
    if (tiles < TILES_LEAST) tiles = TILES_LEAST;
    return ((n + tiles - 1) / tiles + 15) / 16 * 16;
}

// Of a tile on the diagonal the lower triangle.
FP_VECTOR static void store_tile(double *to, size_t step, const float *part, size_t rows, size_t cols, bool diagonal) {
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < (diagonal ? y + 1 : cols); x++) to[y * step + x] = (double)part[y * cols + x];
}

FP_VECTOR static void add_tile(double *to, size_t step, const float *part, size_t rows, size_t cols, bool diagonal) {
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < (diagonal ? y + 1 : cols); x++) to[y * step + x] += (double)part[y * cols + x];
}

// All stretches one after the other, so that the tile stays in the cache.
static void gram_tile(const struct gram *g, const float *a, double *to, float *part, size_t r, size_t s) {
    const size_t rows = least(g->side, g->n - r), cols = least(g->side, g->n - s);
    const int m = (int)rows, n = (int)cols, step = (int)g->n;
    for (size_t i = 0, first = 0; i < g->n_ends; first = g->ends[i++]) {
        const int k = (int)(g->ends[i] - first);
        const float *x = a + first * g->n;
        if (r == s) cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, n, k, 1, x + s, step, 0, part, n);
        else cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, x + r, step, x + s, step, 0, part, n);
        (g->fresh && i == 0 ? store_tile : add_tile)(to + r * g->n + s, g->n, part, rows, cols, r == s);
    }
}

bool fp_grams(size_t count, size_t n, size_t k, const float *a, size_t step, const size_t *ends, size_t n_ends,
              double *gram, bool fresh, int threads) {
    if (!n || !count) return true;
    if (n > INT32_MAX || k > INT32_MAX) return false;
    const struct gram g = {n, side_of(n), ends, n_ends, fresh};
    const size_t side = (n + g.side - 1) / g.side, tiles = side * (side + 1) / 2;
    bool failed = false;
#pragma omp parallel num_threads(threads) if (count * n * n > 10000)
    {
        float *part = fp_calloc(g.side * g.side, sizeof(*part));
#pragma omp for schedule(dynamic)
        for (size_t task = 0; task < count * tiles; task++) {
            size_t i = 0, j = task % tiles, which = task / tiles;
            while (j > i) j -= ++i; // row i of the triangle
            if (part) gram_tile(&g, a + which * step, gram + which * n * n, part, i * g.side, j * g.side);
            else {
#pragma omp atomic write
                failed = true;
            }
        }
        free(part);
    }
    return !failed;
}

bool fp_gram(size_t n, size_t k, const float *a, const size_t *ends, size_t n_ends, double *gram, bool fresh,
             int threads) {
    return fp_grams(1, n, k, a, 0, ends, n_ends, gram, fresh, threads);
}
