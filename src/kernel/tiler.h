// SPDX-License-Identifier: Apache-2.0
// Products of one tile: primitives of oneDNN that belong to one thread.
#ifndef FP_TILER_H
#define FP_TILER_H

#include <dnnl.h>

#include "base/base.h"

enum { FP_TILE_ROWS = 256, FP_TILE_COLUMNS = 512, FP_TILE_STEP = 32 };

// c = a op(b): what a tile is but for where its operands lie.
struct fp_tile {
    size_t m, n, k, ldb;
    bool tb;
};

// b in the layout that oneDNN likes for a full tile.
struct fp_panel {
    dnnl_memory_desc_t desc;
    void *data;
    size_t size;
};

// The primitives of one thread. A product has few shapes: FP_TILE_ROWS / FP_TILE_STEP heights, and the inner panel's
// width and the last one's.
enum { FP_TILER_SHAPES = 2 * FP_TILE_ROWS / FP_TILE_STEP, FP_TILER_ARGS = 4 }; // a, b, c, scratch memory
struct fp_tiler {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;
    void *scratch; // for the largest
    size_t scratch_size;
    float *part;   // FP_TILE_ROWS * FP_TILE_COLUMNS, a tile of c; made when needed
    float *padded; // FP_TILE_STEP * k, the last rows of a and zeros; made when needed
    size_t made_in_all;
    struct fp_tiler_made {
        struct fp_tile tile;
        dnnl_primitive_t primitive;
        dnnl_memory_t memory[FP_TILER_ARGS];
    } made[FP_TILER_SHAPES];
};

// In the thread's parallel region. False when oneDNN fails; done is to be called in any case.
bool fp_tiler_init(struct fp_tiler *t);
void fp_tiler_done(struct fp_tiler *t);
// Fills an empty panel with b of the tile. False when oneDNN or memory fails; done is to be called in any case.
bool fp_tiler_pack(struct fp_tiler *t, const struct fp_tile *tile, const float *b, struct fp_panel *panel);
void fp_panel_done(struct fp_panel *panel);
bool fp_tiler_run(struct fp_tiler *t, const struct fp_tile *tile, const struct fp_panel *b, const float *a, float *c);

#endif
