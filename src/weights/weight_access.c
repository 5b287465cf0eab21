// SPDX-License-Identifier: Apache-2.0
// Reading weights as matrices and storing them back, on the quantized grid where there is one; biases; masks.
#include <math.h>
#include <stdlib.h>

#include "weights/bias.h"
#include "base/arena.h"
#include "base/mapping.h"
#include "exec/op_list.h"
#include "onnx/masks.h"
#include "onnx.pb-c.h"
#include "weights/weights.h"

// ---- the order of elements

static size_t operand_index(const struct fp_weight *w, size_t g, size_t r, size_t c) {
    return w->first + g * w->group_stride + r * w->row_stride + c / w->inner * w->col_stride + c % w->inner;
}

static size_t stored_index(const struct fp_weight *w, size_t operand) {
    if (!w->map.count) return operand;
    return (size_t)((const int64_t *)w->map.data)[operand];
}

static void drop_sources(struct fineprune_model *model, const struct fp_weight *w) {
    for (int k = 0; k < w->n_sources; k++) fp_initializer_drop(model, w->sources[k].proto);
    if (fp_mapping_is_large(model->mappings))
        fp_memory_trim(&model->memory); // a copy of the weight is among what is kept
}

// What stands for zero at an element of a source that is quantized.
static int32_t zero_of(const struct fp_source *s, size_t i) {
    if (!s->zero.data) return 0;
    return ((const int32_t *)s->zero.data)[i];
}

// All elements of all sources as float32, in the order of their numbers.
static int load_sources(struct fineprune_model *model, const struct fp_weight *w, struct fp_arena *arena, float **out,
                        fineprune_error *err) {
    const struct fp_source *last = &w->sources[w->n_sources - 1];
    float *all = *out = fp_arena_take(arena, last->base + last->count, sizeof(float));
    if (!all) return fp_arena_check(arena, err);
    for (int k = 0; k < w->n_sources; k++) {
        const struct fp_source *s = &w->sources[k];
        struct fp_tensor t = {0};
        int status = fp_initializer_load(model, s->proto, &t, err);
        if (status) return status;
        float *dst = all + s->base;
        fp_convert(dst, FP_FLOAT, t.data, t.type, t.count);
        const float *scale = s->scale.data;
        for (size_t i = 0; scale && i < s->count; i++) dst[i] = (dst[i] - (float)zero_of(s, i)) * scale[i];
        fp_tensor_done(&t);
    }
    return FINEPRUNE_OK;
}

// The whole of one float32 tensor, as nearly every weight is.
static bool is_plain(const struct fp_weight *w) {
    const struct fp_source *s = w->sources;
    return w->n_sources == 1 && !w->map.count && s->type == FP_FLOAT && !s->scale.data && !s->zero.data &&
           w->count == s->count && !w->factor;
}

// Calls `copy` with stretches of elements that lie together in both orders, or in tiles where the tensor lies
// transposed: the places of the first element in the matrix and in the tensor, and how many follow at which distances.
typedef void copy_stretch(void *user, size_t row_major, size_t stored, size_t n, size_t step);

static void visit_plain(const struct fp_weight *w, copy_stretch *copy, void *user) {
    enum { TILE = 32 };
    if (w->row_stride == w->cols && (w->inner >= w->cols || w->col_stride == w->inner) &&
        (w->groups == 1 || w->group_stride == w->rows * w->cols)) {
        copy(user, 0, 0, w->count, 1);
        return;
    }
    for (size_t g = 0; g < w->groups; g++)
        for (size_t top = 0; top < w->rows; top += TILE)
            for (size_t left = 0; left < w->cols; left += TILE * w->inner)
                for (size_t r = top; r < w->rows && r < top + TILE; r++) {
                    size_t end = fp_least(left + TILE * w->inner, w->cols), at = (g * w->rows + r) * w->cols;
                    if (w->inner == 1) copy(user, at + left, operand_index(w, g, r, left), end - left, w->col_stride);
                    else
                        for (size_t c = left; c < end; c += w->inner)
                            copy(user, at + c, operand_index(w, g, r, c), w->inner, 1);
                }
}

struct plain_read {
    float *dst;
    const float *stored;
};

static void read_stretch(void *user, size_t row_major, size_t stored, size_t n, size_t step) {
    const struct plain_read *p = user;
    float *to = p->dst + row_major;
    const float *from = p->stored + stored;
    if (step == 1) memcpy(to, from, n * sizeof(*to));
    else
        for (size_t i = 0; i < n; i++) to[i] = from[i * step];
}

static int read_plain(struct fineprune_model *model, const struct fp_weight *w, float *dst, fineprune_error *err) {
    struct fp_tensor t = {0};
    int status = fp_initializer_load(model, w->sources[0].proto, &t, err);
    if (!status) visit_plain(w, read_stretch, &(struct plain_read){dst, t.data});
    fp_tensor_done(&t);
    drop_sources(model, w);
    return status;
}

static float scaled(const struct fp_weight *w, size_t g, size_t r, float stored) {
    if (!w->factor) return stored;
    return (float)((double)stored * w->factor[g * w->rows + r]);
}

int fp_weight_read(struct fineprune_model *model, const struct fp_weight *w, float *dst, fineprune_error *err) {
    if (is_plain(w)) return read_plain(model, w, dst, err);
    FP_STAGE(room, "a weight");
    float *all;
    int status = load_sources(model, w, &room, &all, err);
    if (status) return status;
    for (size_t g = 0; g < w->groups; g++)
        for (size_t r = 0; r < w->rows; r++)
            for (size_t c = 0; c < w->cols; c++)
                *dst++ = scaled(w, g, r, all[stored_index(w, operand_index(w, g, r, c))]);
    drop_sources(model, w);
    return FINEPRUNE_OK;
}

static const struct fp_source *source_of(const struct fp_weight *w, size_t stored, int *k) {
    while (stored >= w->sources[*k].base + w->sources[*k].count) (*k)++;
    while (stored < w->sources[*k].base) (*k)--;
    return &w->sources[*k];
}

// What is loaded is freed by drop_each, also after a failure; the list lives as long as the arena.
static int load_each(struct fineprune_model *model, const struct fp_weight *w, struct fp_arena *arena,
                     struct fp_tensor **out, fineprune_error *err) {
    struct fp_tensor *stored = *out = fp_arena_take(arena, (size_t)w->n_sources, sizeof(*stored));
    int status = fp_arena_check(arena, err);
    for (int i = 0; i < w->n_sources && !status; i++)
        status = fp_initializer_load(model, w->sources[i].proto, &stored[i], err);
    return status;
}

static void drop_each(const struct fp_weight *w, struct fp_tensor *stored) {
    for (int i = 0; stored && i < w->n_sources; i++) fp_tensor_done(&stored[i]);
}

int fp_weight_zeros(struct fineprune_model *model, const struct fp_weight *w, size_t *zeros, fineprune_error *err) {
    size_t n = 0;
    if (is_plain(w) && fp_initializer_zeros(model, w->sources[0].proto, zeros)) {
        drop_sources(model, w);
        return FINEPRUNE_OK;
    }
    FP_STAGE(room, "a weight");
    struct fp_tensor *stored;
    int status = load_each(model, w, &room, &stored, err), k = 0;
    for (size_t i = 0; i < w->count && !status; i++) {
        size_t at = stored_index(w, i);
        const struct fp_source *s = source_of(w, at, &k);
        at -= s->base;
        float value;
        if (s->type == FP_FLOAT) value = ((const float *)stored[k].data)[at];
        else fp_convert(&value, FP_FLOAT, (const char *)stored[k].data + at * fp_type_size(s->type), s->type, 1);
        n += value == (float)zero_of(s, at);
    }
    drop_each(w, stored);
    drop_sources(model, w);
    *zeros = n;
    return status;
}

// ---- storing

// The stored bits of a value on the grid of a quantized tensor.
static int64_t to_grid(const struct fp_source *s, size_t i, float value, bool keep) {
    const int64_t zero = zero_of(s, i);
    if (!keep) return zero;
    static const struct {
        enum fp_type type;
        int64_t low, high;
    } RANGES[] = {{FP_INT8, -128, 127}, {FP_UINT8, 0, 255}, {FP_INT16, -32768, 32767},       {FP_UINT16, 0, 65535},
                  {FP_INT4, -8, 7},     {FP_UINT4, 0, 15},  {FP_INT32, INT32_MIN, INT32_MAX}};
    float scale = ((const float *)s->scale.data)[i];
    double q = (double)zero;
    if (scale != 0) q = nearbyint((double)value / (double)scale) + (double)zero;
    for (size_t k = 0; k < FP_COUNT(RANGES); k++)
        if (RANGES[k].type == s->type) return (int64_t)fmin(fmax(q, (double)RANGES[k].low), (double)RANGES[k].high);
    return zero;
}

// What is stored there now.
static float get(const struct fp_source *s, const struct fp_tensor *t, size_t i) {
    float value;
    fp_convert(&value, FP_FLOAT, (const char *)t->data + i * fp_type_size(t->type), t->type, 1);
    if (!s->scale.data) return value;
    return (value - (float)zero_of(s, i)) * ((const float *)s->scale.data)[i];
}

static void put(const struct fp_source *s, struct fp_tensor *t, size_t i, float value, bool keep) {
    void *at = (char *)t->data + i * fp_type_size(t->type);
    if (s->scale.data) {
        int64_t q = to_grid(s, i, value, keep);
        fp_convert(at, t->type, &q, FP_INT64, 1);
    } else {
        if (!keep) value = 0;
        fp_convert(at, t->type, &value, FP_FLOAT, 1);
    }
}

// Element (g, r, ..) becomes `value`; what has that value already stays as it is, to the bit.
static void put_row(const struct fp_weight *w, size_t row, const struct fp_source *s, struct fp_tensor *t, size_t i,
                    float value, bool keep) {
    double factor = w->factor ? w->factor[row] : 1;
    if (keep && (float)((double)get(s, t, i) * factor) == value) return;
    put(s, t, i, (float)((double)value / factor), keep);
}

struct plain_write {
    float *stored;
    const float *src;
    const uint8_t *keep;
};

static void write_stretch(void *user, size_t row_major, size_t stored, size_t n, size_t step) {
    const struct plain_write *p = user;
    float *to = p->stored + stored;
    const float *from = p->src + row_major;
    const uint8_t *keep = p->keep ? p->keep + row_major : NULL;
    if (!keep && step == 1) memcpy(to, from, n * sizeof(*to));
    else if (step == 1)
        for (size_t i = 0; i < n; i++) {
            float value = from[i]; // read in any case, so that the compiler may do many at once
            to[i] = keep[i] ? value : 0;
        }
    else
        for (size_t i = 0; i < n; i++) to[i * step] = !keep || keep[i] ? from[i] : 0;
}

static int write_plain(struct fineprune_model *model, const struct fp_weight *w, const float *src, const uint8_t *keep,
                       fineprune_error *err) {
    struct fp_tensor t = {0}, stored = {0};
    int status = fp_initializer_shape(model, w->sources[0].proto, &t, NULL, err);
    if (!status) status = fp_tensor_new(&stored, &model->memory, t.type, t.rank, t.dims, err);
    if (!status) visit_plain(w, write_stretch, &(struct plain_write){stored.data, src, keep});
    if (!status) status = fp_initializer_store(model, w->sources[0].proto, &stored, err);
    fp_tensor_done(&stored);
    drop_sources(model, w);
    return status;
}

// Copies of all sources, to be changed.
static int copy_each(struct fineprune_model *model, const struct fp_weight *w, struct fp_arena *arena,
                     struct fp_tensor **out, fineprune_error *err) {
    struct fp_tensor *stored = *out = fp_arena_take(arena, (size_t)w->n_sources, sizeof(*stored));
    int status = fp_arena_check(arena, err);
    for (int i = 0; i < w->n_sources && !status; i++) {
        struct fp_tensor t = {0};
        status = fp_initializer_load(model, w->sources[i].proto, &t, err);
        if (!status) status = fp_tensor_copy(&stored[i], &model->memory, &t, err);
        fp_tensor_done(&t);
    }
    return status;
}

int fp_weight_write(struct fineprune_model *model, const struct fp_weight *w, const float *src, const uint8_t *keep,
                    fineprune_error *err) {
    if (is_plain(w)) return write_plain(model, w, src, keep, err);
    FP_STAGE(room, "a weight");
    struct fp_tensor *stored;
    int status = copy_each(model, w, &room, &stored, err), k = 0;
    size_t n = 0;
    for (size_t g = 0; g < w->groups && !status; g++)
        for (size_t r = 0; r < w->rows; r++)
            for (size_t c = 0; c < w->cols; c++, n++) {
                size_t at = stored_index(w, operand_index(w, g, r, c));
                const struct fp_source *s = source_of(w, at, &k);
                put_row(w, g * w->rows + r, s, &stored[k], at - s->base, src[n], !keep || keep[n]);
            }
    for (int i = 0; i < w->n_sources && !status; i++)
        status = fp_initializer_store(model, w->sources[i].proto, &stored[i], err);
    drop_each(w, stored);
    drop_sources(model, w);
    return status;
}

// ---- biases

// What a row adds, from what is stored for it, and back.
static double row_bias(const struct fp_weight *w, size_t i, double stored) {
    double row = stored / w->bias.sign;
    if (!w->factor) return row;
    return row * w->factor[i] + w->shift[i];
}

static double stored_bias(const struct fp_weight *w, size_t i, double row) {
    if (w->factor) row = (row - w->shift[i]) / w->factor[i];
    return row * w->bias.sign;
}

int fp_weight_read_bias(struct fineprune_model *model, const struct fp_weight *w, float *dst, fineprune_error *err) {
    const size_t rows = w->groups * w->rows;
    int status = FINEPRUNE_OK;
    memset(dst, 0, rows * sizeof(*dst));
    if (w->bias.view) status = fp_weight_read(model, w->bias.view, dst, err);
    for (size_t i = 0; i < rows && !status; i++) dst[i] = (float)row_bias(w, i, (double)dst[i]);
    return status;
}

// What is to be stored: the rows' wishes, but the stored numbers themselves where those are what is wished.
static int wanted_bias(struct fineprune_model *model, const struct fp_weight *w, const double *change,
                       const float *dense, float *wanted, fineprune_error *err) {
    int status = fp_weight_read(model, w->bias.view, wanted, err);
    for (size_t i = 0; !status && i < w->groups * w->rows; i++) {
        double row = (double)dense[i] + change[i];
        if ((float)row_bias(w, i, (double)wanted[i]) != (float)row) wanted[i] = (float)stored_bias(w, i, row);
    }
    return status;
}

int fp_weight_set_bias(struct fineprune_model *model, const struct fp_weight *w, const double *change,
                       const float *dense, fineprune_error *err) {
    if (!w->bias.view) return FINEPRUNE_OK;
    FP_STAGE(room, "a bias");
    float *wanted = fp_arena_take(&room, w->groups * w->rows, sizeof(*wanted));
    if (!wanted) return fp_arena_check(&room, err);
    int status = wanted_bias(model, w, change, dense, wanted, err);
    if (status) return status;
    return fp_weight_write(model, w->bias.view, wanted, NULL, err);
}

int fp_weight_round_bias(struct fineprune_model *model, const struct fp_weight *w, double *change, const float *dense,
                         fineprune_error *err) {
    const struct fp_weight *view = w->bias.view;
    const size_t rows = w->groups * w->rows;
    if (!view) return FINEPRUNE_OK;
    FP_STAGE(room, "a bias");
    float *wanted = fp_arena_take(&room, rows, sizeof(*wanted));
    if (!wanted) return fp_arena_check(&room, err);
    struct fp_tensor *stored;
    int status = wanted_bias(model, w, change, dense, wanted, err), k = 0;
    if (status) return status;
    status = copy_each(model, view, &room, &stored, err);
    for (size_t i = 0; i < rows && !status; i++) {
        size_t at = stored_index(view, operand_index(view, i / w->rows, i % w->rows, 0));
        const struct fp_source *s = source_of(view, at, &k);
        put_row(view, i, s, &stored[k], at - s->base, wanted[i], true);
        change[i] = row_bias(w, i, (double)get(s, &stored[k], at - s->base)) - (double)dense[i];
    }
    drop_each(view, stored);
    return status;
}

// Another part of the same layer, as a recurrent layer has two, has made the place already.
static bool is_made(const struct fp_weights *weights, int i) {
    const struct fp_weight *w = &weights->items[i];
    for (int k = i - 1; k >= 0 && weights->items[k].node->graph == w->node->graph && k > i - 8; k--) {
        const struct fp_weight *other = &weights->items[k];
        if (other->node == w->node && other->bias.own.count && other->bias.kind == w->bias.kind) return true;
    }
    return false;
}

static int add_bias(struct fineprune_model *model, const struct fp_weight *w, fineprune_error *err) {
    char *base = fp_format("%s.bias", w->name);
    const char *name;
    if (!base) return fp_fail_memory(err, "a bias", 1);
    int status = fp_model_add_tensor(model, base, &w->bias.own, &name, err);
    free(base);
    const char *adds = fp_op_of_role(FP_ROLE_ADDS)->type;
    for (int k = 0; k < w->n_uses && !status; k++) {
        struct fp_bias_place place = fp_bias_place_of(w, k, w->bias.kind);
        if (place.index < 0) status = fp_node_add_sum(model, place.node->proto, adds, name, err);
        else status = fp_node_set_input(model, place.node->proto, (size_t)place.index, name, err);
    }
    return status;
}

int fp_weights_add_biases(struct fp_weights *weights, int *added, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    *added = 0;
    for (int i = 0; i < weights->n && !status; i++) {
        const struct fp_weight *w = &weights->items[i];
        if (w->bias.proto || !w->bias.own.count || is_made(weights, i)) continue;
        status = add_bias(weights->model, w, err);
        (*added)++;
    }
    return status;
}

int fp_model_refresh(struct fineprune_model *model, fineprune_error *err) {
    struct fp_graph *graph;
    int status = fp_graph_new(&graph, model, err);
    if (status) return status;
    fp_graph_free(model->graph);
    model->graph = graph;
    return FINEPRUNE_OK;
}

// ---- masks

static bool is_kept(const struct fp_tensor *t, const struct fp_source *s, size_t i) {
    if (t->type == FP_FLOAT && !s->zero.data) return ((const float *)t->data)[i] != 0;
    double value;
    fp_convert(&value, FP_DOUBLE, (const char *)t->data + i * fp_type_size(t->type), t->type, 1);
    return value != zero_of(s, i);
}

static int record_source(struct fineprune_model *model, const struct fp_source *s, fineprune_error *err) {
    struct fp_tensor t = {0};
    int status = fp_initializer_load(model, s->proto, &t, err);
    struct fp_mask *mask = NULL;
    if (!status) mask = fp_masks_add(model->masks, s->name, &t, err);
    if (!status && !mask) status = FINEPRUNE_LIMIT;
    for (size_t i = 0; mask && i < t.count; i++) mask->bits[i / 8] |= (uint8_t)(is_kept(&t, s, i) << i % 8);
    fp_tensor_done(&t);
    fp_initializer_drop(model, s->proto);
    return status;
}

// Whether a weight before has the tensor too.
static bool is_recorded(const struct fp_weights *weights, int weight, int source) {
    const struct fp_weight *w = &weights->items[weight];
    for (int i = 0; i < weight && w->map.count; i++)
        for (int k = 0; k < weights->items[i].n_sources; k++)
            if (weights->items[i].sources[k].identity == w->sources[source].identity) return true;
    return false;
}

int fp_weights_record_masks(struct fp_weights *weights, fineprune_error *err) {
    struct fineprune_model *model = weights->model;
    fp_masks_free(model->masks);
    model->masks = calloc(1, sizeof(*model->masks));
    if (!model->masks) return fp_fail_memory(err, "masks", sizeof(*model->masks));
    for (int i = 0; i < weights->n; i++)
        for (int k = 0; k < weights->items[i].n_sources; k++) {
            if (is_recorded(weights, i, k)) continue;
            int status = record_source(model, &weights->items[i].sources[k], err);
            if (status) return status;
        }
    return FINEPRUNE_OK;
}
