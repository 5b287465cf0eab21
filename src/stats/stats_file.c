// SPDX-License-Identifier: Apache-2.0
// Statistics as a .npz: "model" (sha256 of the model file, as bytes), "samples", and for weight number i "i/name",
// "i/counts" (groups, columns, rows seen, rows sampled), "i/sum", "i/square", "i/absolute", "i/sampled_sum", and
// "i/gram" (lower triangles, packed) or "i/kept"; for a classifier "features" and "logits", one row a sample.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor/npz.h"
#include "stats/stats.h"

static struct fp_tensor lend(enum fp_type type, void *data, int rank, size_t a, size_t b) {
    struct fp_tensor t = {
        .type = type, .rank = rank, .dims = {(int64_t)a, (int64_t)b}, .data = data, .count = rank > 1 ? a * b : a};
    return t;
}

// ---- writing

static int add(struct fp_npz_writer *writer, int i, const char *what, struct fp_tensor t, fineprune_error *err) {
    char name[64];
    if (i >= 0) snprintf(name, sizeof(name), "%d/%s", i, what);
    else snprintf(name, sizeof(name), "%s", what);
    return fp_npz_add(writer, name, &t, err);
}

static size_t packed_size(size_t n) { return n * (n + 1) / 2; }

static int add_gram(struct fp_npz_writer *writer, int i, const struct fp_stat *s, fineprune_error *err) {
    size_t triangle = packed_size(s->cols);
    FP_STAGE(room, "statistics");
    double *packed = fp_arena_take(&room, s->groups * triangle, sizeof(*packed)), *at = packed;
    if (!packed) return fp_arena_check(&room, err);
    for (size_t g = 0; g < s->groups; g++)
        for (size_t r = 0; r < s->cols; r++) {
            memcpy(at, s->gram + (g * s->cols + r) * s->cols, (r + 1) * sizeof(*at));
            at += r + 1;
        }
    return add(writer, i, "gram", lend(FP_DOUBLE, packed, 2, s->groups, triangle), err);
}

static int add_weight(struct fp_npz_writer *writer, int i, const char *name, const struct fp_stat *s,
                      fineprune_error *err) {
    double counts[4] = {(double)s->groups, (double)s->cols, s->rows, (double)s->sampled};
    int status = add(writer, i, "name", lend(FP_UINT8, (void *)name, 1, strlen(name), 0), err);
    if (!status) status = add(writer, i, "counts", lend(FP_DOUBLE, counts, 1, 4, 0), err);
    if (!status) status = add(writer, i, "sum", lend(FP_DOUBLE, s->sum, 2, s->groups, s->cols), err);
    if (!status) status = add(writer, i, "square", lend(FP_DOUBLE, s->square, 2, s->groups, s->cols), err);
    if (!status) status = add(writer, i, "absolute", lend(FP_DOUBLE, s->absolute, 2, s->groups, s->cols), err);
    if (!status) status = add(writer, i, "sampled_sum", lend(FP_DOUBLE, s->sampled_sum, 2, s->groups, s->cols), err);
    if (!status && s->gram) status = add_gram(writer, i, s, err);
    if (!status && !s->gram && s->kept)
        status = add(writer, i, "kept", lend(FP_FLOAT, s->kept, 2, s->sampled, s->groups * s->cols), err);
    return status;
}

int fineprune_stats_save(const fineprune_stats *stats, const char *path, bool force, fineprune_error *err) {
    const struct fp_stats *s = stats->stats;
    const struct fp_answers *a = &s->answers;
    struct fp_npz_writer *writer = NULL;
    int64_t samples = (int64_t)s->samples;
    int status = fp_npz_create(&writer, path, force, err);
    if (status) return status;
    status = add(writer, -1, "model", lend(FP_UINT8, (void *)s->model, 1, strlen(s->model), 0), err);
    if (!status) status = add(writer, -1, "samples", lend(FP_INT64, &samples, 1, 1, 0), err);
    for (int i = 0; i < s->n && !status; i++) status = add_weight(writer, i, s->names[i], &s->items[i], err);
    if (!status && a->samples)
        status = add(writer, -1, "features", lend(FP_FLOAT, a->features, 2, a->samples, a->n_features), err);
    if (!status && a->samples)
        status = add(writer, -1, "logits", lend(FP_FLOAT, a->logits, 2, a->samples, a->classes), err);
    if (!status) return fp_npz_finish(writer, err);
    fp_npz_abandon(writer);
    return status;
}

// ---- reading

struct reader {
    struct fp_npz *npz;
    struct fp_arena arena; // of what is needed while it is read
    const char *path;
    fineprune_error *err;
};

static bool has(const struct reader *r, const char *name) {
    for (size_t i = 0; i < fp_npz_count(r->npz); i++)
        if (!strcmp(fp_npz_name(r->npz, i), name)) return true;
    return false;
}

static int is_none(struct reader *r, const char *name, const char *why) {
    return fp_fail(r->err, FINEPRUNE_DATA, "'%s' is not a statistics file: array '%s' %s", r->path, name, why);
}

static bool all_finite(const struct fp_tensor *t) {
    bool finite = true;
    for (size_t i = 0; i < t->count && t->type == FP_DOUBLE; i++) finite &= isfinite(((const double *)t->data)[i]) != 0;
    for (size_t i = 0; i < t->count && t->type == FP_FLOAT; i++) finite &= isfinite(((const float *)t->data)[i]) != 0;
    return finite;
}

// The elements of an array of the given type and count (0: any, of two axes, whose lengths go to `shape`), and a zero
// behind them; without an arena as plain memory that the caller frees.
static int take(struct reader *r, int i, const char *what, enum fp_type type, size_t count, struct fp_arena *arena,
                void **out, struct fp_tensor *shape) {
    char name[64];
    struct fp_tensor t = {0};
    *out = NULL;
    if (i >= 0) snprintf(name, sizeof(name), "%d/%s", i, what);
    else snprintf(name, sizeof(name), "%s", what);
    int status = fp_npz_shape(r->npz, name, &t, r->err);
    if (status) return status;
    if (t.type != type || (count && t.count != count) || (shape && t.rank != 2))
        return is_none(r, name, "has another shape or type");
    status = fp_npz_read(r->npz, name, &t, NULL, r->err);
    if (status) return status;
    if (!all_finite(&t)) status = is_none(r, name, "has values that are no numbers");
    if (!status && arena) *out = fp_arena_take(arena, t.count + 1, fp_type_size(type));
    else if (!status) *out = fp_calloc(t.count + 1, fp_type_size(type));
    if (*out && t.count) memcpy(*out, t.data, fp_tensor_bytes(&t));
    if (shape && !status) *shape = (struct fp_tensor){.rank = t.rank, .dims = {t.dims[0], t.dims[1]}, .count = t.count};
    fp_tensor_done(&t);
    if (!status && !*out) status = fp_fail_memory(r->err, "statistics", 0);
    return status;
}

static int read_gram(struct reader *r, int i, struct fp_stat *s) {
    size_t n;
    double *packed = NULL;
    if (!fp_mul(s->groups * s->cols, s->cols + 1, &n)) return fp_fail_memory(r->err, "statistics", s->cols);
    FP_STAGE(room, "statistics");
    int status = take(r, i, "gram", FP_DOUBLE, s->groups * packed_size(s->cols), &room, (void **)&packed, NULL);
    if (status) return status;
    s->gram = fp_arena_take(&s->arena, s->groups * s->cols * s->cols, sizeof(double));
    if (!s->gram) return fp_arena_check(&s->arena, r->err);
    const double *at = packed;
    for (size_t g = 0; g < s->groups; g++)
        for (size_t row = 0; row < s->cols; at += ++row)
            memcpy(s->gram + (g * s->cols + row) * s->cols, at, (row + 1) * sizeof(*at));
    return FINEPRUNE_OK;
}

static int read_weight(struct reader *r, int i, struct fp_stats *stats) {
    struct fp_stat *s = &stats->items[i];
    double *counts = NULL;
    char key[64];
    int status = take(r, i, "name", FP_UINT8, 0, &stats->arena, (void **)&stats->names[i], NULL);
    if (!status) status = take(r, i, "counts", FP_DOUBLE, 4, &r->arena, (void **)&counts, NULL);
    if (status) return status;
    bool sane = counts[0] >= 1 && counts[1] >= 1 && counts[0] * counts[1] < 1e12 && counts[2] >= 0 && counts[3] >= 0 &&
                counts[3] < 1e12;
    if (!sane)
        return fp_fail(r->err, FINEPRUNE_DATA, "'%s' is not a statistics file: counts of weight %d make no sense",
                       r->path, i);
    s->groups = (size_t)counts[0];
    s->cols = (size_t)counts[1];
    s->rows = counts[2];
    s->sampled = (size_t)counts[3];
    size_t n = s->groups * s->cols, kept;
    if (!fp_mul(s->sampled, n, &kept)) return fp_fail_memory(r->err, "statistics", n);
    status = take(r, i, "sum", FP_DOUBLE, n, &s->arena, (void **)&s->sum, NULL);
    if (!status) status = take(r, i, "square", FP_DOUBLE, n, &s->arena, (void **)&s->square, NULL);
    if (!status) status = take(r, i, "absolute", FP_DOUBLE, n, &s->arena, (void **)&s->absolute, NULL);
    if (!status) status = take(r, i, "sampled_sum", FP_DOUBLE, n, &s->arena, (void **)&s->sampled_sum, NULL);
    snprintf(key, sizeof(key), "%d/gram", i);
    if (!status && has(r, key)) return read_gram(r, i, s);
    snprintf(key, sizeof(key), "%d/kept", i);
    if (!status && s->sampled && has(r, key)) {
        status = take(r, i, "kept", FP_FLOAT, kept, NULL, (void **)&s->kept, NULL); // it may grow
        s->kept_capacity = kept;
    } else if (!status) {
        s->sampled = 0;
    }
    return status;
}

static int read_answers(struct reader *r, struct fp_answers *a) {
    struct fp_tensor shape = {0};
    if (!has(r, "features") || !has(r, "logits")) return FINEPRUNE_OK;
    int status = take(r, -1, "features", FP_FLOAT, 0, NULL, (void **)&a->features, &shape); // others take them over
    if (status) return status;
    a->samples = (size_t)shape.dims[0];
    a->n_features = (size_t)shape.dims[1];
    status = take(r, -1, "logits", FP_FLOAT, 0, NULL, (void **)&a->logits, &shape);
    if (status) return status;
    a->classes = (size_t)shape.dims[1];
    if ((size_t)shape.dims[0] != a->samples)
        return fp_fail(r->err, FINEPRUNE_DATA, "'%s': features and logits differ in length", r->path);
    return FINEPRUNE_OK;
}

static int read_all(struct reader *r, struct fp_stats *stats) {
    char *model = NULL, key[64];
    int64_t *samples = NULL;
    int n = 0, status = take(r, -1, "model", FP_UINT8, 64, &r->arena, (void **)&model, NULL);
    if (!status) status = take(r, -1, "samples", FP_INT64, 1, &r->arena, (void **)&samples, NULL);
    if (status) return status;
    memcpy(stats->model, model, 64);
    if (*samples > 0) stats->samples = (size_t)*samples;
    do snprintf(key, sizeof(key), "%d/name", n);
    while (has(r, key) && ++n);
    status = fp_stats_take_lists(stats, n, r->err);
    for (int i = 0; i < n && !status; i++) status = read_weight(r, i, stats);
    if (status) return status;
    return read_answers(r, &stats->answers);
}

// Data for a model are arrays, too.
static int fail_other_file(const struct reader *r) {
    const char *name = fp_npz_count(r->npz) ? fp_npz_name(r->npz, 0) : NULL;
    if (!name) return fp_fail(r->err, FINEPRUNE_DATA, "'%s' holds no statistics, and nothing else", r->path);
    return fp_fail(r->err, FINEPRUNE_DATA, "'%s' holds data ('%.100s'), not statistics", r->path, name);
}

int fineprune_stats_open(fineprune_stats **out, const char *path, fineprune_error *err) {
    fineprune_error local = {0};
    struct reader r = {.arena = {.what = "statistics"}, .path = path, .err = err ? err : &local};
    int status = fp_npz_open(&r.npz, path, NULL, r.err);
    if (!status && !has(&r, "model")) status = fail_other_file(&r);
    if (status == FINEPRUNE_DATA)
        fp_hint(r.err, "statistics are what 'fineprune score MODEL --data SRC -o STATS' writes");
    if (status) {
        fp_npz_free(r.npz);
        return status;
    }
    fineprune_stats *stats = calloc(1, sizeof(*stats));
    if (stats) stats->stats = fp_stats_new(r.err);
    if (stats && stats->stats) status = read_all(&r, stats->stats);
    else status = fp_fail_memory(r.err, "statistics", 0);
    if (!status && !(stats->stats->path = strdup(path))) status = fp_fail_memory(r.err, path, strlen(path));
    fp_arena_free(&r.arena);
    fp_npz_free(r.npz);
    if (status) fineprune_stats_free(stats);
    else *out = stats;
    return status;
}

void fineprune_stats_free(fineprune_stats *stats) {
    if (!stats) return;
    fp_stats_free(stats->stats);
    free(stats);
}
