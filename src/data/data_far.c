// SPDX-License-Identifier: Apache-2.0
// Arrays that stay in their files, so that memory does not grow with them. Where a sample lies in one piece and the
// file has a way to it, it is read when it is asked for. From others (compressed, first axis fastest, samples along
// another axis), which are here only where a limit takes some of their samples, those are gathered in one go from the
// first byte to the last, and kept.
#include <stdlib.h>

#include "data/data_parts.h"
#include "tensor/npy.h"
#include "tensor/npz.h"

#define FAR_BYTES ((size_t)4 << 20) // arrays of so many bytes stay in their files
#define FAR_MOST 64                 // at most so many files are kept open
#define AT_ONCE ((size_t)1 << 18)   // elements that are checked
#define WINDOW ((size_t)1 << 16)    // bytes that are read at least, while gathering

struct fp_far {
    struct fp_npz_far *file;
    struct fp_memory *memory;
    struct fp_turns turns; // the samples in the file
    size_t bytes, sample;  // of an element; elements of a sample
    bool gathers, open;
    size_t *rows, n_rows; // what is gathered, in rising order
    char *kept;           // [n_rows, sample], as a tensor has them; NULL: nothing yet
};

bool fp_far_is_open(const struct fp_far *far) { return far->open; }

static void forget(struct fp_far *far) {
    if (far->kept) fp_release(far->memory, far->kept, far->n_rows * far->sample * far->bytes);
    free(far->rows);
    far->kept = NULL, far->rows = NULL, far->n_rows = 0;
}

void fp_far_free(struct fp_far *far) {
    if (!far) return;
    forget(far);
    fp_npz_far_free(far->file);
    free(far);
}

void fp_data_far_again(struct fineprune_data *data) {
    for (size_t i = 0; i < data->n_inputs; i++)
        for (size_t k = 0; k < data->columns[i].n; k++)
            if (data->columns[i].pieces[k].far) forget(data->columns[i].pieces[k].far);
}

// ---- gathering

// Bytes [at, at + n) of the elements. What is asked for must not lie before what was asked for last.
struct window {
    struct fp_npz_far *file;
    char *data;
    size_t at, n, end;
};

static int window_read(struct window *w, size_t offset, void *dst, size_t n, fineprune_error *err) {
    if (n >= WINDOW) return fp_npz_far_read(w->file, offset, dst, n, err);
    const size_t known = w->at + w->n;
    if (offset + n > known) {
        size_t left = 0;
        if (offset < known) left = known - offset;
        memmove(w->data, w->data + w->n - left, left);
        const size_t more = fp_least(WINDOW - left, w->end - offset - left);
        int status = fp_npz_far_read(w->file, offset + left, w->data + left, more, err);
        if (status) return status;
        w->at = offset, w->n = left + more;
    }
    memcpy(dst, w->data + (offset - w->at), n);
    return FINEPRUNE_OK;
}

// The first sample whose row of the column is `row` or a later one.
static size_t first_taken(const struct fineprune_data *data, size_t row) {
    size_t low = 0, high = fineprune_data_samples(data);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (fp_data_row(data, middle) < row) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int read_rows(struct fp_far *far, char *window, fineprune_error *err) {
    const size_t n = far->turns.n, run = far->turns.run * far->bytes, sample = far->sample * far->bytes;
    struct window w = {.file = far->file, .data = window, .end = n * sample};
    int status = FINEPRUNE_OK;
    for (size_t turn = 0; turn * run < sample && !status; turn++)
        for (size_t i = 0; i < far->n_rows && !status; i++)
            status = window_read(&w, (turn * n + far->rows[i]) * run, far->kept + i * sample + turn * run, run, err);
    return status;
}

static void turn_rows(struct fp_far *far, const struct fp_piece *piece, char *one) {
    struct fp_tensor shape = {.type = piece->array.type, .rank = piece->array.rank - 1, .count = far->sample};
    memcpy(shape.dims, piece->array.dims + 1, (size_t)shape.rank * sizeof(shape.dims[0]));
    for (size_t i = 0; i < far->n_rows; i++) {
        shape.data = far->kept + i * far->sample * far->bytes;
        memcpy(one, shape.data, far->sample * far->bytes);
        fp_npy_turn(&shape, one);
    }
}

static int gather(struct fp_far *far, const struct fp_piece *piece, fineprune_error *err) {
    const struct fineprune_data *data = piece->data;
    const size_t first = first_taken(data, piece->first), n = first_taken(data, piece->first + piece->n) - first;
    const size_t bytes = n * far->sample * far->bytes; // not more than the file says it has
    FP_STAGE(room, piece->name);
    char *window = fp_arena_take(&room, WINDOW, 1), *one = fp_arena_take(&room, far->sample, far->bytes);
    int status = fp_arena_check(&room, err);
    if (status) return status;
    far->rows = fp_calloc(n, sizeof(*far->rows));
    if (far->rows) far->kept = fp_take(far->memory, bytes);
    if (!far->kept) {
        status = fp_fail_memory(err, piece->name, bytes);
        fp_memory_hint(far->memory, err);
        return status;
    }
    far->n_rows = n;
    for (size_t i = 0; i < n; i++) far->rows[i] = fp_data_row(data, first + i) - piece->first;
    status = read_rows(far, window, err);
    if (!status && fp_npz_far_by_columns(far->file)) turn_rows(far, piece, one);
    fp_npz_far_rest(far->file);
    return status;
}

// ---- a piece

static int far_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index, (void)err;
    *rank = piece->array.rank - 1;
    memcpy(dims, piece->array.dims + 1, (size_t)*rank * sizeof(*dims));
    return FINEPRUNE_OK;
}

static int read_one(struct fp_far *far, size_t index, void *dst, fineprune_error *err) {
    const size_t bytes = far->sample * far->bytes;
    int status = fp_npz_far_read(far->file, index * bytes, dst, bytes, err);
    if (!far->open) fp_npz_far_rest(far->file);
    return status;
}

static int compare_rows(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

// *src: where the sample is, or is put.
static int find_sample(const struct fp_piece *piece, size_t index, void **src, fineprune_error *err) {
    struct fp_far *far = piece->far;
    if (!far->gathers) return read_one(far, index, *src, err);
    int status = FINEPRUNE_OK;
    if (!far->kept) status = gather(far, piece, err);
    if (status) {
        forget(far);
        return status;
    }
    const size_t *row = bsearch(&index, far->rows, far->n_rows, sizeof(*row), compare_rows);
    if (!row) return fp_fail(err, FINEPRUNE_INTERNAL, "%s: number %zu is none that is taken", piece->name, index);
    *src = far->kept + (size_t)(row - far->rows) * far->sample * far->bytes;
    return FINEPRUNE_OK;
}

static int far_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    const enum fp_type type = piece->array.type;
    FP_STAGE(room, "a sample");
    void *src = dst->data;
    if (type != dst->type) src = fp_arena_take(&room, dst->count, fp_type_size(type));
    int status = fp_arena_check(&room, err);
    if (!status) status = find_sample(piece, index, &src, err);
    if (status || src == dst->data) return status;
    if (type == dst->type) memcpy(dst->data, src, fp_tensor_bytes(dst));
    else fp_convert(dst->data, dst->type, src, type, dst->count);
    return FINEPRUNE_OK;
}

static const struct fp_piece_kind FAR = {far_shape, far_load};

// ---- adding one

// All of it, once, from the first element to the last.
static int check_elements(const struct fp_piece *piece, const struct fp_tensor *file, const char *name, bool *huge,
                          fineprune_error *err) {
    const struct fp_far *far = piece->far;
    struct fp_tensor part = *file;
    FP_STAGE(room, name);
    part.data = fp_arena_take(&room, AT_ONCE, far->bytes);
    int status = fp_arena_check(&room, err);
    for (size_t at = 0; at < file->count && !status; at += AT_ONCE) {
        part.count = fp_least(file->count - at, AT_ONCE);
        status = fp_npz_far_read(far->file, at * far->bytes, part.data, part.count * far->bytes, err);
        if (!status) status = fp_fit_elements(piece->input, &part, at, far->turns, name, huge, err);
    }
    return status;
}

// How the samples lie along that axis of the file's array.
static void set_turns(struct fp_far *far, const struct fp_tensor *file, int axis) {
    const bool by_columns = fp_npz_far_by_columns(far->file);
    far->turns = (struct fp_turns){(size_t)file->dims[axis], 1};
    for (int i = 0; i < file->rank; i++)
        if (by_columns ? i < axis : i > axis) far->turns.run *= (size_t)file->dims[i];
    far->bytes = fp_type_size(file->type);
    far->sample = file->count / far->turns.n;
    far->gathers |= far->turns.run != far->sample;
}

static int put(struct fineprune_data *data, size_t input, struct fp_far *far, const struct fp_tensor *file,
               const char *name, fineprune_error *err) {
    struct fp_input *in = &data->inputs[input];
    struct fp_piece piece = {.kind = &FAR, .far = far, .array = *file, .input = in};
    const bool moves = in->batch_axis && file->rank == in->rank;
    int status = FINEPRUNE_OK;
    if (moves) status = fp_fit_moved(in, file, name, &piece.array, err);
    in->moved |= moves && !status;
    if (!status) status = fp_fit_array(in, &piece.array, name, &piece.mode, err);
    if (!status && in->type == FP_NONE) in->type = file->type;
    if (!status) status = fp_data_takes(data, input, name, err);
    if (!status) {
        set_turns(far, file, moves ? in->batch_axis : 0);
        far->open = !far->gathers && data->far < FAR_MOST;
        status = check_elements(&piece, file, name, &piece.huge, err);
    }
    if (status) {
        fp_far_free(far);
        return status;
    }
    if (!far->open) fp_npz_far_rest(far->file);
    piece.n = far->turns.n;
    const bool open = far->open;
    status = fp_data_put(data, input, &piece, name, err);
    data->far += !status && open;
    return status;
}

int fp_data_put_far(struct fineprune_data *data, size_t input, struct fp_npz *npz, const char *key, const char *path,
                    const char *name, bool *stays, fineprune_error *err) {
    const struct fp_input *in = &data->inputs[input];
    const bool any = data->limit != 0;
    const size_t least = any ? 0 : FAR_BYTES;
    struct fp_npz_far *file;
    struct fp_tensor shape = {0};
    int status;
    if (npz) status = fp_npz_far_open(&file, npz, key, least, any, &shape, err);
    else status = fp_npy_far_open(&file, path, least, any, &shape, err);
    *stays = !status && file && (any || !in->batch_axis || shape.rank != in->rank);
    if (status) return status;
    struct fp_far *far = NULL;
    if (*stays) far = fp_calloc(1, sizeof(*far));
    if (!far) {
        fp_npz_far_free(file);
        return *stays ? fp_fail_memory(err, name, sizeof(*far)) : FINEPRUNE_OK;
    }
    *far = (struct fp_far){.file = file, .memory = data->memory};
    far->gathers = fp_npz_far_packed(file) || (any && fp_tensor_bytes(&shape) < FAR_BYTES);
    return put(data, input, far, &shape, name, err);
}
