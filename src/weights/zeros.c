// SPDX-License-Identifier: Apache-2.0
// Where zeros lie. Each search ends at the first thing that speaks against it, so that scattered zeros cost little.
#include "weights/zeros.h"

#include <stdio.h>

#include "base/arena.h"

// ---- whole rows and columns

// alive: groups * rows, then groups * cols of them.
struct alive {
    uint8_t *rows, *cols;
};

static void find_alive(const struct fp_weight *w, const float *values, struct alive *alive, struct fp_zeros *out) {
    const size_t rows = w->groups * w->rows, n = w->cols;
    for (size_t i = 0; i < w->count; i++)
        if (values[i] != 0) alive->rows[i / n] = alive->cols[i / n / w->rows * n + i % n] = 1;
        else out->zeros++;
    for (size_t r = 0; r < rows; r++) out->rows += !alive->rows[r];
    for (size_t c = 0; c < w->groups * n; c++) out->columns += !alive->cols[c];
    for (size_t r = 0; r < rows && (out->rows || out->columns); r++)
        for (size_t c = 0; c < n; c++) out->whole += !alive->rows[r] || !alive->cols[r / w->rows * n + c];
}

// ---- neighbours

// One row at one kernel position.
static void count_kept(const float *row, size_t channels, size_t step, size_t *most) {
    size_t now[FP_NEIGHBOURS] = {0};
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < FP_NEIGHBOURS; i++) {
            now[i] += row[c * step] != 0;
            if ((c + 1) % ((size_t)2 << i)) continue;
            most[i] = fp_most(most[i], now[i]);
            now[i] = 0;
        }
}

static bool keeps_more_than_half(const size_t *most) {
    for (size_t i = 0; i < FP_NEIGHBOURS; i++)
        if (most[i] <= (size_t)1 << i) return false;
    return true;
}

static void find_neighbours(const struct fp_weight *w, const float *values, struct fp_zeros *out) {
    const size_t channels = w->cols / w->inner;
    for (size_t i = 0; i < FP_NEIGHBOURS; i++)
        if (channels < (size_t)2 << i) out->kept[i] = (size_t)2 << i;
    for (size_t r = 0; r < w->groups * w->rows && !keeps_more_than_half(out->kept); r++)
        for (size_t k = 0; k < w->inner; k++) count_kept(values + r * w->cols + k, channels, w->inner, out->kept);
}

// ---- rectangles

struct box {
    size_t height, width;
};

// Whether rows r0 and columns c0 on are all zero or all not, but for what is whole. *zero: they are zero.
static bool is_even(const struct fp_weight *w, const float *values, const struct alive *alive, size_t r0, size_t c0,
                    struct box box) {
    const size_t group = r0 / w->rows, last = fp_least(r0 + box.height, (group + 1) * w->rows);
    size_t zero = 0, kept = 0;
    for (size_t r = r0; r < last; r++)
        for (size_t c = c0; c < fp_least(c0 + box.width, w->cols) && alive->rows[r]; c++) {
            if (!alive->cols[group * w->cols + c]) continue;
            if (values[r * w->cols + c] != 0) kept++;
            else zero++;
        }
    return !zero || !kept;
}

static bool fits(const struct fp_weight *w, const float *values, const struct alive *alive, struct box box) {
    if (box.height > w->rows || box.width > w->cols) return false;
    for (size_t g = 0; g < w->groups; g++)
        for (size_t r = 0; r < w->rows; r += box.height)
            for (size_t c = 0; c < w->cols; c += box.width)
                if (!is_even(w, values, alive, g * w->rows + r, c, box)) return false;
    return true;
}

static void find_boxes(const struct fp_weight *w, const float *values, const struct alive *alive,
                       struct fp_zeros *out) {
    static const struct box boxes[] = {{2, 1}, {1, 2}, {4, 1},  {1, 4},  {2, 2}, {8, 1},   {1, 8},  {4, 2},
                                       {2, 4}, {4, 4}, {1, 16}, {16, 1}, {8, 8}, {16, 16}, {32, 32}};
    out->height = out->width = 1;
    for (size_t i = 0; i < FP_COUNT(boxes); i++) {
        if (out->zeros - out->whole < boxes[i].height * boxes[i].width || !fits(w, values, alive, boxes[i])) continue;
        out->height = boxes[i].height;
        out->width = boxes[i].width;
    }
}

// ---- all

static void name_pattern(struct fp_zeros *z) {
    double least = 0.5 + 1e-9;
    if (z->zeros == z->whole) return;
    if (z->height * z->width > 1) {
        snprintf(z->pattern, sizeof(z->pattern), "block:%zux%zu", z->height, z->width);
        return;
    }
    for (size_t i = 1; i < FP_NEIGHBOURS; i++) { // 1:2 is 2:4 too
        const size_t m = (size_t)2 << i, n = fp_most(z->kept[i], 1);
        if ((double)n / (double)m >= least) continue;
        least = (double)n / (double)m;
        snprintf(z->pattern, sizeof(z->pattern), "%zu:%zu", n, m);
    }
}

int fp_zeros_of_values(const struct fp_weight *w, const float *values, struct fp_zeros *out, fineprune_error *err) {
    *out = (struct fp_zeros){.height = 1, .width = 1};
    FP_STAGE(room, w->name);
    struct alive alive = {.rows = fp_arena_take(&room, w->groups * w->rows, 1),
                          .cols = fp_arena_take(&room, w->groups * w->cols, 1)};
    int status = fp_arena_check(&room, err);
    if (status) return status;
    find_alive(w, values, &alive, out);
    if (!out->zeros) return FINEPRUNE_OK;
    find_neighbours(w, values, out);
    find_boxes(w, values, &alive, out);
    name_pattern(out);
    return FINEPRUNE_OK;
}

int fp_zeros_of(struct fineprune_model *model, const struct fp_weight *w, struct fp_zeros *out, fineprune_error *err) {
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values));
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_weight_read(model, w, values, err);
    if (!status) status = fp_zeros_of_values(w, values, out, err);
    return status;
}
