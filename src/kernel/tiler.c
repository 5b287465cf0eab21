// SPDX-License-Identifier: Apache-2.0
// Tiles of products, each a oneDNN matmul primitive of rows that lie densely, for which it has kernels of its own. (Not
// dnnl_sgemm, nor a result with gaps between its rows, for which matmul takes its way: in oneDNN 3.2 the path without
// copies on AVX-512 writes past a workspace of its own. And never with scratch memory of oneDNN's own: that is counted
// by thread, and primitives made by one thread and dropped by another free it under those that still run.)
#include "kernel/tiler.h"

#include <omp.h>
#include <stdlib.h>

#include "kernel/engine.h"

enum { OPERANDS = 3 };

static bool good(dnnl_status_t status) { return status == dnnl_success; }

bool fp_tiler_init(struct fp_tiler *t) {
    *t = (struct fp_tiler){0};
    // Of this thread's own regions, until the surrounding one ends: primitives are made for as many.
    omp_set_num_threads(1);
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
        if (t->scratch) t->scratch_size = size;
        else t->scratch_size = 0;
        if (!t->scratch) return false;
    }
    return good(dnnl_memory_create(memory, md, t->engine, DNNL_MEMORY_NONE));
}

static void drop_made(struct fp_tiler_made *m) {
    for (int k = 0; k < FP_TILER_ARGS; k++) dnnl_memory_destroy(m->memory[k]);
    dnnl_primitive_destroy(m->primitive);
    *m = (struct fp_tiler_made){0};
}

void fp_tiler_done(struct fp_tiler *t) {
    for (int i = 0; i < FP_TILER_SHAPES; i++) drop_made(&t->made[i]);
    fp_release(NULL, t->scratch, t->scratch_size);
    free(t->part);
    free(t->padded);
    if (t->attr) dnnl_primitive_attr_destroy(t->attr);
    dnnl_stream_destroy(t->stream);
    fp_engine_drop(t->engine);
}

static bool describe_matrix(dnnl_memory_desc_t *desc, size_t rows, size_t cols, size_t step, bool transposed) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    dnnl_dims_t strides = {(dnnl_dim_t)step, 1};
    if (transposed) strides[0] = 1, strides[1] = (dnnl_dim_t)step;
    return good(dnnl_memory_desc_create_with_strides(desc, 2, dims, dnnl_f32, strides));
}

// b's layout: the one in `packed`, or (when that is NULL) the one that oneDNN likes.
static bool describe_tile(struct fp_tiler *t, const struct fp_tile *s, const_dnnl_memory_desc_t packed,
                          dnnl_memory_desc_t *md, dnnl_primitive_desc_t *desc) {
    const dnnl_dims_t dims = {(dnnl_dim_t)s->k, (dnnl_dim_t)s->n};
    bool ok = describe_matrix(&md[0], s->m, s->k, s->k, false) && describe_matrix(&md[2], s->m, s->n, s->n, false);
    if (packed) ok = ok && good(dnnl_memory_desc_clone(&md[1], packed));
    else ok = ok && good(dnnl_memory_desc_create_with_tag(&md[1], 2, dims, dnnl_f32, dnnl_format_tag_any));
    return ok && good(dnnl_matmul_primitive_desc_create(desc, t->engine, md[0], md[1], NULL, md[2], t->attr));
}

static void drop_descs(dnnl_memory_desc_t *md, dnnl_primitive_desc_t desc) {
    for (int i = 0; i < OPERANDS; i++)
        if (md[i]) dnnl_memory_desc_destroy(md[i]);
    if (desc) dnnl_primitive_desc_destroy(desc);
}

static bool same_tile(const struct fp_tile *a, const struct fp_tile *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->ldb == b->ldb && a->tb == b->tb;
}

static struct fp_tiler_made *find_made(struct fp_tiler *t, const struct fp_tile *s, const_dnnl_memory_desc_t packed) {
    for (int i = 0; i < FP_TILER_SHAPES; i++)
        if (t->made[i].primitive && same_tile(&t->made[i].tile, s)) return &t->made[i];
    struct fp_tiler_made *made = &t->made[t->made_in_all++ % FP_TILER_SHAPES];
    drop_made(made);
    dnnl_memory_desc_t md[OPERANDS] = {0};
    dnnl_primitive_desc_t desc = NULL;
    bool ok = describe_tile(t, s, packed, md, &desc) && good(dnnl_primitive_create(&made->primitive, desc)) &&
              need_scratch(t, desc, &made->memory[OPERANDS]);
    for (int i = 0; i < OPERANDS; i++)
        ok = ok && good(dnnl_memory_create(&made->memory[i], md[i], t->engine, DNNL_MEMORY_NONE));
    drop_descs(md, desc);
    made->tile = *s;
    if (ok) return made;
    drop_made(made);
    return NULL;
}

bool fp_tiler_run(struct fp_tiler *t, const struct fp_tile *tile, const struct fp_panel *b, const float *a, float *c) {
    const struct fp_tiler_made *made = find_made(t, tile, b->desc);
    if (!made) return false;
    const void *data[FP_TILER_ARGS] = {a, b->data, c, t->scratch};
    const int names[FP_TILER_ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_exec_arg_t args[FP_TILER_ARGS];
    for (int i = 0; i < FP_TILER_ARGS; i++) {
        if (!good(dnnl_memory_set_data_handle(made->memory[i], (void *)(uintptr_t)data[i]))) return false;
        args[i] = (dnnl_exec_arg_t){names[i], made->memory[i]};
    }
    return good(dnnl_primitive_execute(made->primitive, t->stream, FP_TILER_ARGS, args)) &&
           good(dnnl_stream_wait(t->stream));
}

// Copies b, which lies as `plain` says, into the panel.
static bool reorder_panel(struct fp_tiler *t, const_dnnl_memory_desc_t plain, const float *b, struct fp_panel *panel) {
    dnnl_primitive_desc_t reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL, scratch = NULL;
    dnnl_primitive_t primitive = NULL;
    bool ok = good(dnnl_memory_create(&from, plain, t->engine, (void *)(uintptr_t)b)) &&
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
    return ok;
}

bool fp_tiler_pack(struct fp_tiler *t, const struct fp_tile *tile, const float *b, struct fp_panel *panel) {
    dnnl_memory_desc_t md[OPERANDS] = {0}, plain = NULL;
    dnnl_primitive_desc_t desc = NULL;
    bool ok = describe_tile(t, tile, NULL, md, &desc) &&
              describe_matrix(&plain, tile->k, tile->n, tile->ldb, tile->tb) &&
              good(dnnl_memory_desc_clone(&panel->desc, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0)));
    if (ok) {
        panel->size = dnnl_memory_desc_get_size(panel->desc);
        panel->data = fp_take(NULL, panel->size);
    } else {
        panel->size = 0;
        panel->data = NULL;
    }
    ok = panel->data && reorder_panel(t, plain, b, panel);
    if (plain) dnnl_memory_desc_destroy(plain);
    drop_descs(md, desc);
    return ok;
}

void fp_panel_done(struct fp_panel *panel) {
    if (panel->desc) dnnl_memory_desc_destroy(panel->desc);
    fp_release(NULL, panel->data, panel->size);
}
