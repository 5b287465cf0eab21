// SPDX-License-Identifier: Apache-2.0
// Pictures that are asked for soon are decoded by several threads at once. It changes no result: each has memory of its
// own, a part of what the budget leaves, and one that cannot be had so is left to who asks for it, which is then told
// what is wrong.
#include <stdlib.h>

#include "base/threads.h"
#include "data/data_parts.h"
#include "data/image_file.h"

#define A_THREAD 4 // pictures for each: they differ in size
#define AT_ONCE 64 // pictures, at most

struct fp_ahead {
    struct fp_ahead_file {
        char *path; // of a file that is to be added; NULL: it has been
        struct fp_image image;
    } files[AT_ONCE];
    size_t n;
};

// One picture that is on its way.
struct task {
    struct fp_piece piece;
    struct fp_memory memory;
    struct fp_image image;
    bool there;
};

static size_t threads_of(const struct fineprune_data *data) {
    const fineprune_run_options options = {.threads = data->threads};
    return (size_t)fp_threads_wanted(&options);
}

// How many at once; 0: it is not worth it.
static size_t window_of(const struct fineprune_data *data, size_t n) {
    const size_t threads = threads_of(data);
    if (threads < 2 || n < 2) return 0;
    return fp_least(fp_least(n, threads * A_THREAD), AT_ONCE);
}

static void decode_all(struct fineprune_data *data, struct task *tasks, size_t n) {
    const size_t left = fp_memory_left(data->memory), threads = fp_least(threads_of(data), n);
    struct fp_threads host;
    fp_threads_enter(&host, (int)threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (size_t i = 0; i < n; i++) {
        struct task *t = &tasks[i];
        t->memory.limit = left == SIZE_MAX ? 0 : fp_most(left / (n + threads), 1);
        t->there = !fp_data_image_decode(&t->piece, &t->memory, &t->image, NULL);
        fp_memory_trim(&t->memory);
    }
    fp_threads_leave(&host);
    for (size_t i = 0; i < n; i++) {
        struct task *t = &tasks[i];
        if (t->there && !fp_memory_hand_over(&t->memory, data->memory, t->image.pixels, t->image.size)) {
            fp_image_done(&t->image);
            fp_memory_trim(&t->memory);
            t->there = false;
        }
        t->image.memory = data->memory;
    }
}

// ---- files that are to be added

static void forget(struct fp_ahead *a) {
    for (size_t i = 0; i < a->n; i++) {
        if (a->files[i].image.pixels) fp_image_done(&a->files[i].image);
        free(a->files[i].path);
    }
    a->n = 0;
}

void fp_data_ahead_free(struct fp_ahead *ahead) {
    if (!ahead) return;
    forget(ahead);
    free(ahead);
}

static struct fp_ahead_file *find(struct fp_ahead *a, const char *path) {
    for (size_t i = 0; a && i < a->n; i++)
        if (!strcmp(a->files[i].path, path)) return &a->files[i];
    return NULL;
}

size_t fp_data_ahead_files(struct fineprune_data *data, size_t input, char *const *paths, size_t n) {
    n = window_of(data, n);
    if (!n || !data->preprocess || !fp_data_decodes(data)) return 0; // the first one makes the preparation
    if (fp_data_only_input(data, &input, paths[0], NULL)) return 0;
    FP_STAGE(room, "pictures");
    struct task *tasks = fp_arena_take(&room, n, sizeof(*tasks));
    if (!data->ahead) data->ahead = fp_calloc(1, sizeof(*data->ahead));
    if (!tasks || !data->ahead) return 0;
    forget(data->ahead);
    size_t ready = 0;
    for (size_t i = 0; i < n; i++)
        if (!fp_data_image_piece(&tasks[ready].piece, data, input, paths[i], NULL)) ready++;
    decode_all(data, tasks, ready);
    for (size_t i = 0; i < ready; i++) {
        struct fp_ahead_file *file = &data->ahead->files[data->ahead->n];
        file->path = tasks[i].there ? strdup(tasks[i].piece.path) : NULL;
        file->image = tasks[i].image;
        if (file->path) data->ahead->n++;
        else if (tasks[i].there) fp_image_done(&file->image);
    }
    return n;
}

bool fp_data_ahead_take(struct fineprune_data *data, const char *path, struct fp_image *out) {
    struct fp_ahead_file *file = find(data->ahead, path);
    if (!file || !file->image.pixels) return false;
    *out = file->image;
    file->image = (struct fp_image){0};
    return true;
}

// ---- samples that are to be run

// The picture of the sample that has to be decoded; NULL: there is none, or it is there.
static const struct fp_piece *missing(const struct fineprune_data *data, size_t sample) {
    const struct fp_piece *piece = NULL;
    for (size_t i = 0; i < data->n_inputs && !piece; i++) {
        const struct fp_piece *p = fp_data_piece(data, i, sample);
        if (p->decoded && !p->decoded->pixels) piece = p;
    }
    return piece;
}

void fp_data_ahead(struct fineprune_data *data, const size_t *samples, size_t n, size_t soon) {
    bool wanted = false;
    for (size_t i = 0; i < n && i < soon && !wanted; i++) wanted = missing(data, samples ? samples[i] : i);
    if (!wanted) return;
    for (size_t done = 0; done < soon && done < n;) {
        const size_t window = window_of(data, n - done);
        FP_STAGE(room, "pictures");
        struct task *tasks = fp_arena_take(&room, window, sizeof(*tasks));
        if (!window || !tasks) return;
        size_t k = 0;
        for (size_t i = done; i < done + window; i++) {
            const struct fp_piece *piece = missing(data, samples ? samples[i] : i);
            bool twice = false;
            for (size_t j = 0; j < k; j++) twice |= piece && tasks[j].piece.decoded == piece->decoded;
            if (piece && !twice) tasks[k++].piece = *piece;
        }
        decode_all(data, tasks, k);
        for (size_t i = 0; i < k; i++)
            if (tasks[i].there) fp_data_image_keep(&tasks[i].piece, &tasks[i].image);
        done += window;
    }
}
