// SPDX-License-Identifier: Apache-2.0
// Files of any kind as samples, for models that read bytes: [samples, head + tail] or [head + tail], as the preparation
// (preprocess.h) says. Where it does, all files of a folder are samples, whatever their endings, and each is read when
// its sample is asked for.
#include <stdlib.h>
#include <stdio.h>

#include "data/data_parts.h"
#include "data/preprocess.h"

static int bytes_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index, (void)err;
    const struct fp_bytes *b = &piece->data->preprocess->bytes;
    *rank = 1;
    dims[0] = b->head + b->tail;
    return FINEPRUNE_OK;
}

static int bytes_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    (void)index;
    struct fp_stamp stamp;
    size_t n;
    FP_STAGE(room, piece->path);
    int32_t *row = fp_arena_take(&room, dst->count, sizeof(*row));
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_bytes_read(row, &n, &piece->data->preprocess->bytes, piece->path, &stamp, err);
    if (!status) status = fp_stamp_check(&piece->stamp, -1, piece->path, err);
    if (!status) fp_convert(dst->data, dst->type, row, FP_INT32, dst->count);
    return status;
}

static void bytes_tell(const struct fp_piece *piece, FILE *out) {
    const struct fp_bytes *b = &piece->data->preprocess->bytes;
    if (b->head) fprintf(out, ", the first %lld bytes", (long long)b->head);
    if (b->tail)
        fprintf(out, "%s the last %lld%s", b->head ? " and" : ",", (long long)b->tail, b->head ? "" : " bytes");
    if (b->strip) fputs(" without white space around", out);
    fprintf(out, ", padding %lld", (long long)b->padding);
}

static const struct fp_piece_kind BYTES = {
    .shape = bytes_shape, .load = bytes_load, .what = "bytes", .tell = bytes_tell};

// Whether the input takes so many numbers, and every byte and the padding among them.
static int check_input(const struct fp_bytes *b, const struct fp_input *in, const char *path, fineprune_error *err) {
    const int64_t n = b->head + b->tail;
    char text[400], name[300];
    const bool fits = (in->rank == 1 || in->rank == 2) && (in->dims[in->rank - 1] < 0 || in->dims[in->rank - 1] == n);
    if (!fits)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' becomes %lld numbers, but the model's input is %s", path,
                       (long long)n, fp_input_text(text, sizeof(text), in));
    int32_t extremes[2] = {255, (int32_t)b->padding};
    const struct fp_tensor both = {.type = FP_INT32, .rank = 1, .dims = {2}, .count = 2, .data = extremes};
    bool huge = false;
    snprintf(name, sizeof(name), "'%.200s' or its padding", path);
    return fp_fit_elements(in, &both, 0, (struct fp_turns){0}, name, &huge, err);
}

bool fp_data_reads_bytes(struct fineprune_data *data) {
    if (!data->asked_for_bytes)
        data->reads_bytes = fp_preprocess_asks_for_bytes(data->model->folder, data->options[FP_OPTION_PREPROCESS]);
    data->asked_for_bytes = true;
    return data->reads_bytes;
}

// One that is too short is no sample: in a folder that is nothing to stop at.
static int pass_short(struct fineprune_data *data, const char *path, int64_t least, fineprune_error *err) {
    char kind[80];
    snprintf(kind, sizeof(kind), "of fewer than %lld bytes", (long long)least);
    if (data->adding->in_folder) return fp_data_pass_over(data, kind, err);
    return fp_fail(err, FINEPRUNE_DATA, "'%s' has fewer than %lld bytes, too few for the model", path,
                   (long long)least);
}

static int add_bytes(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    int status = fp_data_only_input(data, &input, path, err);
    if (!status) status = fp_data_preprocess(data, err);
    if (status) return status;
    const struct fp_input *in = &data->inputs[input];
    const struct fp_bytes *b = &data->preprocess->bytes;
    struct fp_piece piece = {.kind = &BYTES, .mode = FP_ROWS, .n = 1, .data = data, .input = in};
    if (in->rank == 1) piece.mode = FP_WHOLE;
    status = check_input(b, in, path, err);
    if (status) return status;
    FP_STAGE(room, path);
    int32_t *row = fp_arena_take(&room, (size_t)(b->head + b->tail), sizeof(*row));
    size_t n = 0;
    status = fp_arena_check(&room, err);
    if (!status) status = fp_bytes_read(row, &n, b, path, &piece.stamp, err);
    if (status) return status;
    if ((int64_t)n < b->least) return pass_short(data, path, b->least, err);
    piece.path = strdup(path);
    if (!piece.path) return fp_fail_memory(err, path, strlen(path));
    return fp_data_put(data, input, &piece, path, err);
}

const struct fp_file_kind fp_data_bytes = {"file", "", add_bytes};
