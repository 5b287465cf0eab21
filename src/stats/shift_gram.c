// SPDX-License-Identifier: Apache-2.0
#include "stats/shift_gram.h"

#include <cblas.h>
#include <omp.h>
#include <stdlib.h>

#include "base/arena.h"
#include "stats/axis_parts.h"

#define PURPOSE "co-activations"

enum {
    LEAST_CHANNELS = 16, // with fewer the products are too small to be quick
    MOST_KERNEL = 64,    // elements
    WAITING = 2048,      // rows that wait for a product
    STRIP = 256,         // rows that are copied together at once
    SIDE = 512,          // of a tile of a product
    BLOCK = 16,          // channels whose sums are put in place together
};

// An axis by the pairs of its kernel positions: their walks are over the first one's input positions, the key is how
// far behind the second one's are.
struct pairs {
    struct fp_axis cut; // met: [kernel, kernel]
    size_t kernel, step;
};

// x at some positions times x at a distance from them: a part of each axis.
struct product {
    const struct fp_part *parts[FP_SPATIAL];
    size_t rows;        // positions
    ptrdiff_t distance; // in positions
};

struct fp_shift_gram {
    struct fp_columns shape; // how the inputs lie; its x counts no more
    struct pairs axes[FP_SPATIAL];
    size_t channels, kernel, plane;
    struct product *products;
    size_t n_products, capacity, rows; // rows: of all products
    size_t *of_pair, *list; // pair [k, k' <= k] is the sum of the products list[of_pair[p] .. of_pair[p + 1]), p = k (k
                            // + 1) / 2 + k'
    size_t list_capacity;
    struct fp_arena arena; // of of_pair
    struct fp_arena work;  // of waiting and totals
    float *waiting;        // [units, plane, channels]
    size_t n_waiting, most_waiting;
    double *totals; // [n_products, channels, channels]
    bool flushed;   // there is something in it
};

// ---- what is to be multiplied

static bool pairs_init(struct pairs *p, const struct fp_columns *c, int axis) {
    *p = (struct pairs){.kernel = (size_t)c->kernel[axis], .step = (size_t)c->stride[axis]};
    const int64_t n = c->kernel[axis];
    FP_STAGE(room, PURPOSE);
    struct fp_walk *walks = fp_arena_take(&room, p->kernel * p->kernel, sizeof(*walks));
    if (!walks) return false;
    for (int64_t k = 0; k < n; k++)
        for (int64_t l = 0; l < n; l++) {
            int64_t low, high, low_l, high_l;
            fp_axis_range(c, axis, k, &low, &high);
            fp_axis_range(c, axis, l, &low_l, &high_l);
            if (low < low_l) low = low_l;
            if (high > high_l) high = high_l;
            if (low > high) continue;
            const int64_t first = low * c->stride[axis] + k * c->dilation[axis] - c->begin[axis];
            walks[k * n + l] = (struct fp_walk){(l - k) * c->dilation[axis], (size_t)first, (size_t)(high - low + 1)};
        }
    return fp_axis_cut(&p->cut, walks, p->kernel * p->kernel, p->step);
}

// The parts of axis i that the pair of kernel positions k and l meets, as a range.
static struct fp_span span_of(const struct fp_shift_gram *s, int i, size_t k, size_t l) {
    for (int j = s->shape.n; --j > i;) {
        k /= s->axes[j].kernel;
        l /= s->axes[j].kernel;
    }
    const struct pairs *p = &s->axes[i];
    return p->cut.met[k % p->kernel * p->kernel + l % p->kernel];
}

// The number of the product of these parts; new ones are made.
static bool number_of(struct fp_shift_gram *s, size_t *numbers, const size_t *parts, size_t *number) {
    size_t at = 0, stride = 1;
    for (int i = 0; i < s->shape.n; i++) at = at * s->axes[i].cut.n + parts[i];
    if (!numbers[at]) {
        struct product p = {.rows = 1};
        for (int i = s->shape.n; i-- > 0; stride *= (size_t)s->shape.in[i]) {
            p.parts[i] = &s->axes[i].cut.parts[parts[i]];
            p.rows *= p.parts[i]->count;
            p.distance += p.parts[i]->key * (ptrdiff_t)stride;
        }
        struct product *grown = fp_grow(s->products, &s->capacity, s->n_products + 1, sizeof(*grown));
        if (!grown) return false;
        s->products = grown;
        s->products[s->n_products++] = p;
        s->rows += p.rows;
        numbers[at] = s->n_products;
    }
    *number = numbers[at] - 1;
    return true;
}

static bool list_pair(struct fp_shift_gram *s, size_t *numbers, size_t k, size_t l, size_t *length) {
    struct fp_span spans[FP_SPATIAL];
    size_t parts[FP_SPATIAL], count = 1;
    for (int i = 0; i < s->shape.n; i++) {
        spans[i] = span_of(s, i, k, l);
        parts[i] = spans[i].low;
        count *= spans[i].high - spans[i].low;
    }
    size_t *list = fp_grow(s->list, &s->list_capacity, *length + count, sizeof(*list));
    if (!list) return false;
    s->list = list;
    for (size_t c = 0; c < count; c++) {
        if (!number_of(s, numbers, parts, &s->list[(*length)++])) return false;
        for (int i = s->shape.n; i-- > 0;) {
            if (++parts[i] < spans[i].high) break;
            parts[i] = spans[i].low;
        }
    }
    return true;
}

static bool list_products(struct fp_shift_gram *s) {
    size_t all = 1, length = 0, p = 0;
    for (int i = 0; i < s->shape.n; i++)
        if (!fp_mul(all, s->axes[i].cut.n, &all)) return false;
    FP_STAGE(room, PURPOSE);
    size_t *numbers = fp_arena_take(&room, all, sizeof(*numbers));
    s->of_pair = fp_arena_take(&s->arena, s->kernel * (s->kernel + 1) / 2 + 1, sizeof(*s->of_pair));
    if (!numbers || !s->of_pair) return false;
    for (size_t k = 0; k < s->kernel; k++)
        for (size_t l = 0; l <= k; l++) {
            if (!list_pair(s, numbers, k, l, &length)) return false;
            s->of_pair[++p] = length;
        }
    return true;
}

int fp_shift_gram_new(struct fp_shift_gram **out, const struct fp_columns *c, fineprune_error *err) {
    *out = NULL;
    const struct fp_weight *w = c->w;
    if (!c->n || w->kind != FP_WEIGHT_CONV || w->groups != 1 || c->channels < LEAST_CHANNELS || w->inner < 2 ||
        w->inner > MOST_KERNEL)
        return FINEPRUNE_OK;
    struct fp_shift_gram *s = calloc(1, sizeof(*s));
    if (!s) return fp_fail_memory(err, PURPOSE, sizeof(*s));
    s->arena.what = s->work.what = PURPOSE;
    s->shape = *c;
    s->channels = c->channels;
    s->kernel = w->inner;
    s->plane = 1;
    for (int i = 0; i < c->n; i++) s->plane *= (size_t)c->in[i]; // no more than the input has
    s->most_waiting = fp_most(WAITING / fp_most(s->plane, 1), 1);
    bool ok = true;
    for (int i = 0; i < c->n && ok; i++) ok = pairs_init(&s->axes[i], c, i);
    if (ok && list_products(s)) {
        *out = s;
        return FINEPRUNE_OK;
    }
    fp_shift_gram_free(s);
    return fp_fail_memory(err, PURPOSE, w->cols);
}

void fp_shift_gram_free(struct fp_shift_gram *s) {
    if (!s) return;
    for (int i = 0; i < s->shape.n; i++) fp_axis_done(&s->axes[i].cut);
    fp_arena_free(&s->arena);
    fp_arena_free(&s->work);
    free(s->products);
    free(s->list);
    free(s);
}

bool fp_shift_gram_fits(const struct fp_shift_gram *s, const struct fp_columns *c) {
    bool same = s->shape.n == c->n;
    for (int i = 0; i < c->n && same; i++)
        same = s->shape.in[i] == c->in[i] && s->shape.out[i] == c->out[i] && s->shape.kernel[i] == c->kernel[i] &&
               s->shape.stride[i] == c->stride[i] && s->shape.dilation[i] == c->dilation[i] &&
               s->shape.begin[i] == c->begin[i];
    return same;
}

// Written rows: a triangle of the kernel's elements squared. And the totals are no larger than the matrix.
bool fp_shift_gram_pays(const struct fp_shift_gram *s, size_t rows) {
    const double square = (double)s->kernel * (double)s->kernel;
    return (double)s->rows < (double)rows * square / 2 && (double)s->n_products <= square;
}

size_t fp_shift_gram_bytes(const struct fp_shift_gram *s) {
    size_t square, bytes;
    const bool ok = fp_mul(s->channels, s->channels, &square) &&
                    fp_mul(square, s->n_products * sizeof(double), &square) &&
                    fp_mul(s->most_waiting * s->plane, s->channels * sizeof(float), &bytes) &&
                    fp_add(bytes, square, &bytes);
    if (!ok) return SIZE_MAX;
    return bytes;
}

// ---- products

// What a thread works in.
struct room {
    float *a, *b, *part;
    size_t *positions; // of a product in a plane
};

static struct room room_of(struct fp_arena *arena, const struct fp_shift_gram *s) {
    const size_t side = fp_least(SIDE, s->channels);
    return (struct room){
        fp_arena_take(arena, STRIP, side * sizeof(float)), fp_arena_take(arena, STRIP, side * sizeof(float)),
        fp_arena_take(arena, side * side, sizeof(float)), fp_arena_take(arena, s->plane, sizeof(size_t))};
}

static void list_positions(const struct fp_shift_gram *s, const struct product *p, size_t *positions) {
    size_t at[FP_SPATIAL] = {0};
    for (size_t r = 0; r < p->rows; r++) {
        size_t position = 0;
        for (int i = 0; i < s->shape.n; i++)
            position = position * (size_t)s->shape.in[i] + p->parts[i]->first + at[i] * s->axes[i].step;
        positions[r] = position;
        for (int i = s->shape.n; i-- > 0;) {
            if (++at[i] < p->parts[i]->count) break;
            at[i] = 0;
        }
    }
}

// What is all zeros is written without being read: it takes up memory from then on.
FP_VECTOR static void add_part(double *to, size_t step, const float *part, size_t rows, size_t cols, bool fresh) {
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < cols; x++)
            to[y * step + x] = (double)part[y * cols + x] + (fresh ? 0 : to[y * step + x]);
}

// Channels [c, c + m) at the product's positions times channels [d, d + n) at a distance, of all units that wait.
static void multiply(const struct fp_shift_gram *s, size_t product, size_t c, size_t d, const struct room *room) {
    const struct product *p = &s->products[product];
    const size_t m = fp_least(SIDE, s->channels - c), n = fp_least(SIDE, s->channels - d), all = s->n_waiting * p->rows;
    list_positions(s, p, room->positions);
    const float *plane = s->waiting;
    for (size_t done = 0, k, at = 0; done < all; done += k) {
        k = fp_least(STRIP, all - done);
        for (size_t r = 0; r < k; r++) {
            const float *x = plane + room->positions[at] * s->channels;
            memcpy(room->a + r * m, x + c, m * sizeof(*x));
            memcpy(room->b + r * n, x + p->distance * (ptrdiff_t)s->channels + d, n * sizeof(*x));
            if (++at < p->rows) continue;
            at = 0;
            plane += s->plane * s->channels;
        }
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, room->a, (int)m, room->b,
                    (int)n, done ? 1 : 0, room->part, (int)n);
    }
    if (all)
        add_part(s->totals + (product * s->channels + c) * s->channels + d, s->channels, room->part, m, n, !s->flushed);
}

static int flush(struct fp_shift_gram *s, int threads, fineprune_error *err) {
    const size_t tiles = (s->channels + SIDE - 1) / SIDE, tasks = s->n_products * tiles * tiles;
    bool failed = false;
#pragma omp parallel num_threads(threads)
    {
        FP_STAGE(stage, PURPOSE);
        const struct room room = room_of(&stage, s);
#pragma omp for schedule(dynamic)
        for (size_t task = 0; task < tasks; task++) {
            const size_t product = task / (tiles * tiles), c = task / tiles % tiles, d = task % tiles;
            if (!stage.failed) multiply(s, product, c * SIDE, d * SIDE, &room);
            else {
#pragma omp atomic write
                failed = true;
            }
        }
    }
    s->n_waiting = 0;
    s->flushed = true;
    if (failed) return fp_fail_memory(err, PURPOSE, STRIP * SIDE * sizeof(float));
    return FINEPRUNE_OK;
}

static int begin(struct fp_shift_gram *s, fineprune_error *err) {
    size_t square, waiting;
    if (!fp_mul(s->channels * s->channels, s->n_products, &square) ||
        !fp_mul(s->most_waiting * s->plane, s->channels, &waiting))
        return fp_fail_memory(err, PURPOSE, s->channels);
    s->totals = fp_arena_take(&s->work, square, sizeof(double));
    s->waiting = fp_arena_take(&s->work, waiting, sizeof(float));
    return fp_arena_check(&s->work, err);
}

int fp_shift_gram_add(struct fp_shift_gram *s, const struct fp_columns *c, size_t unit, int threads,
                      fineprune_error *err) {
    if (!s->totals || !s->waiting) {
        int status = begin(s, err);
        if (status) return status;
    }
    float *to = s->waiting + s->n_waiting++ * s->plane * s->channels;
    const float *x = c->x + unit * c->unit_stride;
    const size_t channels = s->channels, strips = (s->plane + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static) if (s->plane * channels > 20000)
    for (size_t strip = 0; strip < strips; strip++) {
        const size_t first = strip * BLOCK, end = fp_least(first + BLOCK, s->plane);
        if (c->channel_stride == 1)
            for (size_t p = first; p < end; p++)
                memcpy(to + p * channels, x + p * c->position_stride, channels * sizeof(*x));
        else
            for (size_t ch = 0; ch < channels; ch++)
                for (size_t p = first; p < end; p++)
                    to[p * channels + ch] = x[ch * c->channel_stride + p * c->position_stride];
    }
    if (s->n_waiting < s->most_waiting) return FINEPRUNE_OK;
    return flush(s, threads, err);
}

// ---- the matrix

// Rows (c, k) and columns (d, l) of channels c in a block and d in another that is not behind it. The pair [k, l] is at
// hand where k >= l; where it is not, the pair [l, k] is its mirror.
static void put_block(const struct fp_shift_gram *s, double *gram, bool fresh, size_t c0, size_t d0) {
    const size_t channels = s->channels, kernel = s->kernel, cols = channels * kernel, square = channels * channels;
    const size_t c1 = fp_least(c0 + BLOCK, channels), d1 = fp_least(d0 + BLOCK, channels);
    for (size_t k = 0; k < kernel; k++)
        for (size_t l = 0; l < kernel; l++) {
            const bool mirror = l > k;
            size_t pair = k * (k + 1) / 2 + l, rows = channels, columns = 1;
            if (mirror) pair = l * (l + 1) / 2 + k, rows = 1, columns = channels;
            for (size_t i = s->of_pair[pair]; i < s->of_pair[pair + 1]; i++) {
                const double *from = s->totals + s->list[i] * square;
                const bool first = fresh && i == s->of_pair[pair];
                for (size_t c = c0; c < c1; c++) {
                    double *to = gram + (c * kernel + k) * cols + l;
                    for (size_t d = d0; d < d1 && d + mirror <= c; d++)
                        to[d * kernel] = from[c * rows + d * columns] + (first ? 0 : to[d * kernel]);
                }
            }
        }
}

int fp_shift_gram_finish(struct fp_shift_gram *s, double *gram, bool fresh, int threads, fineprune_error *err) {
    if (!s->totals || !s->waiting) return FINEPRUNE_OK;
    int status = FINEPRUNE_OK;
    if (s->n_waiting) status = flush(s, threads, err);
    const size_t blocks = (s->channels + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (blocks > 1)
    for (size_t b = 0; b < blocks; b++)
        for (size_t d = 0; d <= b && !status; d++) put_block(s, gram, fresh, b * BLOCK, d * BLOCK);
    fp_arena_free(&s->work);
    s->waiting = NULL;
    s->totals = NULL;
    return status;
}
