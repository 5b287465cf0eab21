// SPDX-License-Identifier: Apache-2.0
// Sums of columns, from the input itself. The walks of a convolution's kernel positions cut each axis into parts; the
// products of the axes' parts are blocks. Every block is summed once, and the sum of a column is that of its blocks,
// added axis by axis: never an im2col copy.

#include "stats/axis_parts.h"
#include "stats/moments.h"

// What all threads share: the units of x before `units` are summed into totals.
struct sums {
    const struct fp_columns *c;
    size_t units, moments;
    bool absolute;
    double *const *totals;
};

enum { STRIP_MOST = 256, STRIP_STEP = 16, BLOCKS_MOST = 1 << 13 }; // columns side by side that are summed at once
enum { PIECES_MOST = 4, PIECE_ROWS = 64, RUN_MOST = 1024, ROOM = 1 << 17 }; // and where whole rows are; ROOM: doubles

// About a quarter of all, so that two threads have the same to do; fewer of what has many blocks, so that their sums
// stay in the cache.
static size_t strip_width(size_t columns, size_t blocks) {
    size_t width = columns / 4;
    if (width > BLOCKS_MOST / blocks) width = BLOCKS_MOST / blocks;
    if (width > STRIP_MOST) width = STRIP_MOST;
    return width < STRIP_STEP ? STRIP_STEP : width / STRIP_STEP * STRIP_STEP;
}

// ---- rows

static struct fp_grid rows_of(const struct fp_columns *c) {
    size_t n = fp_least(c->rows, c->row_inner);
    return (struct fp_grid){n ? c->rows / n : 0, c->row_outer_stride, n, c->row_stride};
}

// Rows of columns that lie side by side, of each unit and group. They are read as they lie: in a few pieces, whose
// number the rows alone decide.
struct rows {
    struct fp_grid grid;
    size_t first, groups, group_stride, columns; // first: where the first one of a unit begins
    size_t strips, pieces, cell;                 // of columns, of rows; doubles of one piece's sums, [moments, width]
};

static void cut_rows(struct rows *r, size_t moments) {
    const size_t rows = r->grid.lines * r->grid.n, longer = r->grid.lines > 1 ? r->grid.lines : r->grid.n;
    r->pieces = fp_most(fp_least(rows / PIECE_ROWS, fp_least(PIECES_MOST, longer)), 1);
    r->strips = (r->columns + RUN_MOST - 1) / RUN_MOST;
    r->cell = moments * fp_least(r->columns, RUN_MOST);
}

static struct fp_grid piece_of(const struct rows *r, size_t piece, size_t *offset) {
    struct fp_grid g = r->grid;
    size_t *longer = g.lines > 1 ? &g.lines : &g.n;
    const size_t from = *longer * piece / r->pieces, to = *longer * (piece + 1) / r->pieces;
    *offset = from * (r->grid.lines > 1 ? r->grid.line_step : r->grid.step);
    *longer = to - from;
    return g;
}

static void sum_piece(const struct sums *s, const struct rows *r, size_t unit, size_t task, double *found) {
    const size_t piece = task % r->pieces, strip = task / r->pieces % r->strips, group = task / r->pieces / r->strips,
                 column = strip * RUN_MOST;
    size_t offset;
    const struct fp_grid grid = piece_of(r, piece, &offset);
    const float *x = s->c->x + unit * s->c->unit_stride + r->first + group * r->group_stride + column + offset;
    memset(found, 0, r->cell * sizeof(*found));
    fp_moments_columns(x, &grid, fp_least(RUN_MOST, r->columns - column), s->absolute, found);
}

static void add_piece(const struct sums *s, const struct rows *r, size_t task, const double *found) {
    const size_t strip = task / r->pieces % r->strips, group = task / r->pieces / r->strips, column = strip * RUN_MOST;
    const size_t width = fp_least(RUN_MOST, r->columns - column);
    for (size_t m = 0; m < s->moments; m++)
        for (size_t i = 0; i < width; i++) s->totals[m][group * r->columns + column + i] += found[m * width + i];
}

static int rows_sum(const struct sums *s, struct rows *r, int threads) {
    cut_rows(r, s->moments);
    const size_t tasks = r->groups * r->strips * r->pieces;
    size_t size, bytes;
    if (!fp_mul(tasks, r->cell, &size)) return FINEPRUNE_LIMIT;
    if (!size || !s->units) return FINEPRUNE_OK;
    const size_t most = fp_least(s->units, fp_most(ROOM / size, 1)); // units at once
    if (!fp_mul(most * size, sizeof(double), &bytes)) return FINEPRUNE_LIMIT;
    double *room = fp_take(NULL, bytes);
    if (!room) return FINEPRUNE_LIMIT;
    for (size_t first = 0; first < s->units; first += most) {
        const size_t n = fp_least(most, s->units - first) * tasks;
#pragma omp parallel for num_threads(threads)                                                                          \
    schedule(static) if (n > 1 && n / r->pieces * s->c->rows * r->columns > 20000)
        for (size_t task = 0; task < n; task++)
            sum_piece(s, r, first + task / tasks, task % tasks, room + task * r->cell);
        for (size_t task = 0; task < n; task++) add_piece(s, r, task % tasks, room + task * r->cell);
    }
    fp_release(NULL, room, bytes);
    return FINEPRUNE_OK;
}

// Columns that are lines, one by one.
static void lines_sum(const struct sums *s, int threads) {
    const struct fp_columns *c = s->c;
    const size_t cols = c->w->cols, n = c->w->groups * cols;
    const struct fp_grid grid = rows_of(c);
#pragma omp parallel num_threads(threads) if (n > 1 && s -> units * c->rows * cols > 20000)
    for (size_t unit = 0; unit < s->units; unit++) {
#pragma omp for schedule(static) nowait
        for (size_t task = 0; task < n; task++) {
            double found[3] = {0};
            fp_moments_line(c->x + unit * c->unit_stride + task / cols * c->group_stride + task % cols * c->col_stride,
                            &grid, s->absolute, found);
            for (size_t m = 0; m < s->moments; m++) s->totals[m][task] += found[m];
        }
    }
}

// ---- convolutions

struct axis {
    struct fp_axis cut; // by the walks of the kernel positions
    size_t step, kernel;
};

static bool axis_init(struct axis *a, const struct fp_columns *c, int axis) {
    const bool transposed =
        c->w->kind == FP_WEIGHT_CONV_TRANSPOSE; // output i s + shift for input i; else input o s + shift for output o
    *a = (struct axis){.kernel = (size_t)c->kernel[axis], .step = transposed ? 1 : (size_t)c->stride[axis]};
    FP_STAGE(room, "sums");
    struct fp_walk *walks = fp_arena_take(&room, a->kernel, sizeof(*walks));
    if (!walks) return false;
    for (size_t k = 0; k < a->kernel; k++) {
        int64_t low, high;
        fp_axis_range(c, axis, (int64_t)k, &low, &high);
        if (high < low) continue;
        int64_t first = low;
        if (!transposed) first = low * c->stride[axis] + (int64_t)k * c->dilation[axis] - c->begin[axis];
        walks[k] = (struct fp_walk){0, (size_t)first, (size_t)(high - low + 1)};
    }
    return fp_axis_cut(&a->cut, walks, a->kernel, a->step);
}

struct blocks {
    int n;
    struct axis axes[FP_SPATIAL];
    size_t stride[FP_SPATIAL]; // of positions, in floats
    size_t most;               // blocks, or sums of them when some axes are added up already
};

static bool blocks_init(struct blocks *b, const struct fp_columns *c) {
    *b = (struct blocks){.n = c->n, .most = 1};
    bool ok = true;
    for (int i = 0; i < c->n && ok; i++) ok = axis_init(&b->axes[i], c, i);
    size_t stride = c->position_stride;
    for (int i = c->n; i-- > 0 && ok;) {
        b->stride[i] = stride;
        stride *= (size_t)c->in[i];
    }
    for (int added = 0; added <= c->n && ok; added++) {
        size_t size = 1;
        for (int i = 0; i < c->n && ok; i++)
            ok = fp_mul(size, i < c->n - added ? b->axes[i].cut.n : b->axes[i].kernel, &size);
        if (size > b->most) b->most = size;
    }
    return ok;
}

static void blocks_done(struct blocks *b) {
    for (int i = 0; i < b->n; i++) fp_axis_done(&b->axes[i].cut);
}

// One channel (a line), or some side by side.
struct strip {
    const struct sums *sums;
    const struct blocks *blocks;
    size_t width, cell; // cell: doubles of one block, [moments, width]
    bool beside;
};

// The blocks of the axes from `axis` on, of which the first is at x, into dst [parts of the axis, ..., cell].
static void sum_blocks(const struct strip *s, int axis, const float *x, double *dst) {
    const struct blocks *b = s->blocks;
    const struct axis *a = &b->axes[axis], *last = &b->axes[b->n - 1];
    size_t size = s->cell;
    for (int i = axis + 1; i < b->n; i++) size *= b->axes[i].cut.n;
    for (size_t p = 0; p < a->cut.n; p++, dst += size) {
        const struct fp_part *part = &a->cut.parts[p];
        const float *from = x + part->first * b->stride[axis];
        const size_t step = a->step * b->stride[axis];
        if (axis + 2 < b->n) {
            for (size_t i = 0; i < part->count; i++) sum_blocks(s, axis + 1, from + i * step, dst);
            continue;
        }
        const bool line = axis + 1 == b->n;
        for (size_t q = 0; q < (line ? 1 : last->cut.n); q++) {
            const size_t inner = last->step * b->stride[b->n - 1];
            const struct fp_grid grid = line ? (struct fp_grid){1, 0, part->count, step}
                                             : (struct fp_grid){part->count, step, last->cut.parts[q].count, inner};
            const float *at = line ? from : from + last->cut.parts[q].first * b->stride[b->n - 1];
            if (s->beside) fp_moments_columns(at, &grid, s->width, s->sums->absolute, dst + q * s->cell);
            else fp_moments_line(at, &grid, s->sums->absolute, dst + q * s->cell);
        }
    }
}

// src [outer, parts, inner] becomes dst [outer, kernel, inner].
static void add_parts(const struct axis *a, size_t outer, size_t inner, const double *src, double *dst) {
    memset(dst, 0, outer * a->kernel * inner * sizeof(*dst));
    for (size_t o = 0; o < outer; o++, src += a->cut.n * inner)
        for (size_t k = 0; k < a->kernel; k++, dst += inner)
            for (size_t p = a->cut.met[k].low; p < a->cut.met[k].high; p++)
                for (size_t i = 0; i < inner; i++) dst[i] += src[p * inner + i];
}

// All columns of the strip's channels in one unit: [kernel positions, cell]. room: twice `half` doubles.
static const double *strip_sum(const struct strip *s, const float *x, double *room, size_t half) {
    const struct blocks *b = s->blocks;
    double *from = room, *to = room + half;
    size_t outer = 1, inner = s->cell;
    for (int i = 0; i < b->n; i++) outer *= b->axes[i].cut.n;
    memset(from, 0, outer * inner * sizeof(*from));
    sum_blocks(s, 0, x, from);
    for (int i = b->n; i-- > 0 && outer;) {
        const struct axis *a = &b->axes[i];
        outer /= a->cut.n;
        add_parts(a, outer, inner, from, to);
        inner *= a->kernel;
        double *swap = from;
        from = to;
        to = swap;
    }
    if (!outer) return NULL;
    return from;
}

static void put_strip(const struct strip *s, const double *found, size_t channel) {
    const size_t kernel = s->sums->c->w->inner;
    for (size_t k = 0; k < kernel; k++)
        for (size_t m = 0; m < s->sums->moments; m++)
            for (size_t i = 0; i < s->width; i++) s->sums->totals[m][(channel + i) * kernel + k] += *found++;
}

// A kernel of one element meets the same positions with all channels.
static bool are_rows(const struct blocks *b, size_t channels, struct rows *rows) {
    if (b->most > 1 || b->n > 2) return false;
    *rows = (struct rows){.grid = {1, 0, 1, 0}, .groups = 1, .columns = channels};
    size_t *counts[] = {&rows->grid.lines, &rows->grid.n}, *steps[] = {&rows->grid.line_step, &rows->grid.step};
    for (int i = 0; i < b->n; i++) {
        const struct axis *a = &b->axes[i];
        if (!a->cut.n) return false;
        rows->first += a->cut.parts->first * b->stride[i];
        *counts[2 - b->n + i] = a->cut.parts->count;
        *steps[2 - b->n + i] = a->step * b->stride[i];
    }
    return true;
}

static int convolution_sum(const struct sums *s, int threads) {
    const struct fp_columns *c = s->c;
    struct blocks blocks;
    const bool beside = c->channel_stride == 1 && c->channels * c->w->groups > 1;
    bool failed = !blocks_init(&blocks, c);
    const size_t channels = c->channels * c->w->groups, most = beside ? strip_width(channels, blocks.most) : 1;
    const size_t strips = (channels + most - 1) / most;
    struct rows rows;
    if (!failed && beside && are_rows(&blocks, channels, &rows)) {
        blocks_done(&blocks);
        return rows_sum(s, &rows, threads);
    }
    size_t half = 0, bytes = 0;
    failed = failed || !fp_mul(blocks.most, most * s->moments, &half) || !fp_mul(half, 2 * sizeof(double), &bytes);
    const bool ready = !failed;
#pragma omp parallel num_threads(threads) if (ready && strips > 1 && s -> units * c->unit_stride > 20000)
    {
        double *room = ready ? fp_take(NULL, bytes) : NULL;
        if (!room) {
#pragma omp atomic write
            failed = true;
        }
        for (size_t unit = 0; unit < s->units; unit++) {
#pragma omp for schedule(static) nowait
            for (size_t task = 0; task < strips; task++) {
                if (!room) continue;
                const size_t channel = task * most, width = fp_least(most, channels - channel);
                const struct strip strip = {s, &blocks, width, width * s->moments, beside};
                const double *found = strip_sum(&strip, c->x + unit * c->unit_stride + channel * c->channel_stride,
                                                room, half);
                if (found) put_strip(&strip, found, channel);
            }
        }
        fp_release(NULL, room, bytes);
    }
    blocks_done(&blocks);
    if (failed) return FINEPRUNE_LIMIT;
    return FINEPRUNE_OK;
}

int fp_columns_sum(const struct fp_columns *c, size_t units, double *sum, double *square, double *absolute,
                   int threads) {
    double *const totals[] = {sum, square, absolute};
    const struct sums s = {c, units, fp_moments_count(absolute), absolute, totals};
    if (c->n) return convolution_sum(&s, threads);
    struct rows rows = {
        .grid = rows_of(c), .groups = c->w->groups, .group_stride = c->group_stride, .columns = c->w->cols};
    if (c->col_stride == 1) return rows_sum(&s, &rows, threads);
    lines_sum(&s, threads);
    return FINEPRUNE_OK;
}
