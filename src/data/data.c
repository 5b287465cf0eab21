// SPDX-License-Identifier: Apache-2.0
// The collection of samples: making it, holding what sources add, and handing out batches. data_parts.h tells how
// samples are kept.
#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/data_parts.h"
#include "data/image_file.h"
#include "exec/op_list.h"
#include "onnx/tensor_file.h"
#include "data/preprocess.h"
#include "base/numbers.h"

#define RANDOM_SAMPLES 64     // of random data when no limit is given
#define BATCH_BYTES (4 << 20) // of inputs run at once when no batch size is given
#define BATCH_MOST 64

// ---- making

static int copy_input(struct fp_input *input, const struct fp_graph *graph, int id, fineprune_error *err) {
    const struct fp_value *value = &graph->values[id];
    *input = (struct fp_input){.name = value->name, .type = value->type, .rank = value->rank};
    if (value->is_optional) input->foreign = "an optional";
    else if (value->type == FP_SEQUENCE) input->foreign = "a sequence";
    if (value->rank > FP_MAX_RANK)
        return fp_fail(err, FINEPRUNE_MODEL, "input '%s' has rank %d; up to %d is supported", value->name, value->rank,
                       FP_MAX_RANK);
    for (int i = 0; i < value->rank; i++) {
        input->dims[i] = value->dims[i];
        if (value->symbols) input->symbols[i] = value->symbols[i];
    }
    input->batch_axis = fp_fit_batch_axis(graph, id);
    return FINEPRUNE_OK;
}

static int copy_inputs(struct fineprune_data *data, fineprune_error *err) {
    const struct fp_graph *graph = data->model->graph;
    data->n_inputs = (size_t)graph->n_inputs;
    data->inputs = fp_calloc(data->n_inputs, sizeof(*data->inputs));
    data->columns = fp_calloc(data->n_inputs, sizeof(*data->columns));
    if (!data->inputs || !data->columns)
        return fp_fail_memory(err, "the inputs", data->n_inputs * sizeof(*data->inputs));
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < data->n_inputs && !status; i++)
        status = copy_input(&data->inputs[i], graph, graph->inputs[i], err);
    return status;
}

static int read_on_bad_file(struct fineprune_data *data, const char *text, fineprune_error *err) {
    static const char *const words[] = {[FP_BAD_STOP] = "stop", [FP_BAD_SKIP] = "skip", [FP_BAD_LIST] = "list"};
    for (size_t i = 0; i < FP_COUNT(words) && text; i++)
        if (strcmp(words[i], text) == 0) {
            data->on_bad_file = (enum fp_on_bad_file)i;
            return FINEPRUNE_OK;
        }
    if (!text) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_USAGE, "on_bad_file is 'stop', 'skip' or 'list', not '%s'", text);
}

static int copy_options(struct fineprune_data *data, const fineprune_data_options *options, fineprune_error *err) {
    const char *texts[FP_COUNT(data->options)] = {
        options->preprocess, options->resize,   options->crop,  options->mean,   options->std, options->layout,
        options->rate,       options->resample, options->color, options->window, options->hop};
    for (size_t i = 0; i < FP_COUNT(texts); i++) {
        if (!texts[i]) continue;
        data->options[i] = strdup(texts[i]);
        if (!data->options[i]) return fp_fail_memory(err, "the options", strlen(texts[i]));
    }
    data->limit = options->limit;
    data->no_exif = options->no_exif;
    data->threads = options->threads;
    int status = read_on_bad_file(data, options->on_bad_file, err);
    for (size_t i = 0; i < options->n_shapes && !status; i++)
        status = fp_fit_shape(data->inputs, data->n_inputs, options->shapes[i], err);
    return status;
}

static int note_mixing(struct fp_node *node, void *user) {
    const struct fp_op *op = fp_op_find(node->domain, node->type, node->opset);
    *(bool *)user |= op && op->flags & FP_OP_MIXES;
    return FINEPRUNE_OK;
}

int fineprune_data_open(fineprune_data **out, const fineprune_model *model, const fineprune_data_options *options,
                        fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    fineprune_data_options known = FINEPRUNE_DATA_OPTIONS_INIT;
    int status = fp_options_read(&known, sizeof(known), options, "fineprune_data_options", err);
    if (status) return status;
    struct fineprune_data *data = fp_calloc(1, sizeof(*data));
    if (!data) return fp_fail_memory(err, "the data", sizeof(*data));
    data->model = model;
    data->memory = (struct fp_memory *)(uintptr_t)&model->memory; // counts what is in use, which changes no model
    fp_graph_visit(model->graph, note_mixing, &data->alone);
    status = copy_inputs(data, err);
    if (!status) status = copy_options(data, &known, err);
    if (status) fineprune_data_free(data);
    else *out = data;
    return status;
}

static void piece_done(struct fp_piece *piece) {
    free(piece->path);
    free(piece->name);
    free(piece->class_folder);
    free(piece->file);
    fp_far_free(piece->far);
    fp_tensor_done(&piece->array);
    if (piece->decoded) fp_image_done(piece->decoded);
    free(piece->decoded);
}

void fineprune_data_free(fineprune_data *data) {
    if (!data) return;
    for (size_t i = 0; i < data->n_inputs && data->columns; i++) {
        for (size_t k = 0; k < data->columns[i].n; k++) piece_done(&data->columns[i].pieces[k]);
        free(data->columns[i].pieces);
    }
    for (size_t i = 0; i < data->n_sources; i++) free(data->sources[i]);
    for (size_t i = 0; i < FP_COUNT(data->options); i++) free(data->options[i]);
    fp_data_tally_done(&data->bad);
    fp_data_tally_done(&data->left_out);
    fp_data_tally_done(&data->passed);
    free(data->reads);
    free(data->sources);
    free(data->columns);
    free(data->inputs);
    fp_preprocess_free(data->preprocess);
    free(data->decoded);
    free(data->sounds);
    free(data->hashes);
    free(data);
}

// ---- adding

size_t fp_data_input(const struct fineprune_data *data, const char *name, size_t length) {
    size_t i = 0;
    while (i < data->n_inputs &&
           (strlen(data->inputs[i].name) != length || memcmp(data->inputs[i].name, name, length) != 0))
        i++;
    return i;
}

int fp_data_preprocess(struct fineprune_data *data, fineprune_error *err) {
    if (data->preprocess) return FINEPRUNE_OK;
    return fp_preprocess_new(&data->preprocess, data->model->folder, data->options, err);
}

int fp_data_check_preprocess(struct fineprune_data *data, fineprune_error *err) {
    if (!data->options[FP_OPTION_PREPROCESS]) return FINEPRUNE_OK;
    return fp_data_preprocess(data, err);
}

int fp_data_takes(const struct fineprune_data *data, size_t input, const char *name, fineprune_error *err) {
    const struct fp_input *in = &data->inputs[input];
    if (!in->foreign) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "%s: the model's input '%s' is %s, which samples cannot give", name, in->name,
                   in->foreign);
}

// The same value for any number of samples, as a folder of files may give it in each of them.
static bool gives_again(const struct fp_column *column, const struct fp_piece *piece) {
    if (!column->endless || piece->mode != FP_CONSTANT || column->pieces[0].mode != FP_CONSTANT) return false;
    const struct fp_tensor *a = &column->pieces[0].array, *b = &piece->array;
    return a->type == b->type && a->type != FP_STRING && fp_same_shape(a, b) &&
           !memcmp(a->data, b->data, fp_tensor_bytes(a));
}

// Where it comes from.
static int note_file(struct fp_piece *piece, const struct fp_adding *adding, fineprune_error *err) {
    const char *folder = adding->class_folder;
    if (folder && !(piece->class_folder = strndup(folder, strcspn(folder, "/"))))
        return fp_fail_memory(err, piece->name, strlen(folder));
    if (adding->file && !(piece->file = strdup(adding->file)))
        return fp_fail_memory(err, piece->name, strlen(adding->file));
    piece->below = adding->below;
    return FINEPRUNE_OK;
}

int fp_data_put(struct fineprune_data *data, size_t input, struct fp_piece *piece, const char *name,
                fineprune_error *err) {
    struct fp_column *column = &data->columns[input];
    size_t total = 0;
    int status = FINEPRUNE_OK;
    const bool endless = piece->n == FP_ENDLESS;
    int rank;
    int64_t dims[FP_MAX_RANK];
    piece->data = data;
    piece->input = &data->inputs[input];
    if (gives_again(column, piece)) {
        piece_done(piece);
        return FINEPRUNE_OK;
    }
    if (column->endless || (endless && column->n))
        status = fp_fail(err, FINEPRUNE_DATA,
                         "%s: the input '%s' has data already, and one of the two serves any number of samples", name,
                         data->inputs[input].name);
    else if (!endless && !fp_add(column->samples, piece->n, &total))
        status = fp_fail(err, FINEPRUNE_LIMIT, "%s: too many samples", name);
    if (!status) status = piece->kind->shape(piece, 0, &rank, dims, err);
    if (!status && !(piece->name = strdup(name))) status = fp_fail_memory(err, name, strlen(name));
    if (!status && data->adding) status = note_file(piece, data->adding, err);
    struct fp_piece *grown = NULL;
    if (!status) grown = fp_grow(column->pieces, &column->capacity, column->n + 1, sizeof(*grown));
    if (grown) column->pieces = grown;
    if (!grown) {
        piece_done(piece);
        if (status) return status;
        return fp_fail_memory(err, name, column->n * sizeof(*grown));
    }
    piece->first = column->samples;
    column->pieces[column->n++] = *piece;
    column->samples = total;
    column->endless = endless;
    return FINEPRUNE_OK;
}

// An array with an axis of samples.
static int rows_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index, (void)err;
    *rank = piece->array.rank - 1;
    memcpy(dims, piece->array.dims + 1, (size_t)*rank * sizeof(*dims));
    return FINEPRUNE_OK;
}

// An array that is one sample, or the value for all.
static int single_shape(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err) {
    (void)index, (void)err;
    *rank = piece->array.rank;
    memcpy(dims, piece->array.dims, (size_t)*rank * sizeof(*dims));
    return FINEPRUNE_OK;
}

static int copy_strings(char **dst, char *const *src, size_t n, fineprune_error *err) {
    for (size_t i = 0; i < n; i++) {
        dst[i] = strdup(fp_or_empty(src[i]));
        if (!dst[i]) return fp_fail_memory(err, "text", 1);
    }
    return FINEPRUNE_OK;
}

static int array_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    const struct fp_tensor *a = &piece->array;
    if (piece->mode == FP_CONSTANT) index = 0;
    if (a->type == FP_STRING) return copy_strings(dst->data, (char **)a->data + index * dst->count, dst->count, err);
    const char *src = (const char *)a->data + index * dst->count * fp_type_size(a->type);
    if (a->type == dst->type) memcpy(dst->data, src, fp_tensor_bytes(dst));
    else fp_convert(dst->data, dst->type, src, a->type, dst->count);
    return FINEPRUNE_OK;
}

// One of many of which a limit may take few: it was read when it was added, to be checked, and is read again.
static int again_load(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err) {
    struct fp_piece loaded = *piece;
    char *name;
    int status = fp_stamp_check(&piece->stamp, -1, piece->path, err);
    if (!status) status = fp_tensor_file_read(&loaded.array, &name, piece->path, piece->data->memory, err);
    if (status) return status;
    free(name);
    if (loaded.array.type != piece->array.type || !fp_same_shape(&loaded.array, &piece->array))
        status = fp_fail(err, FINEPRUNE_IO, "'%s' has changed while it was in use", piece->path);
    if (!status) status = fp_stamp_check(&piece->stamp, -1, piece->path, err);
    if (!status) status = array_load(&loaded, index, dst, err);
    fp_tensor_done(&loaded.array);
    return status;
}

static const struct fp_piece_kind ROWS = {.shape = rows_shape, .load = array_load},
                                  SINGLE = {.shape = single_shape, .load = array_load},
                                  AGAIN = {.shape = single_shape, .load = again_load};

// Leaves type and dims.
static int let_go(struct fp_piece *piece, const struct fp_source_file *file, fineprune_error *err) {
    piece->path = strdup(file->path);
    if (!piece->path) return fp_fail_memory(err, file->path, strlen(file->path));
    struct fp_tensor shape = piece->array;
    shape.data = NULL, shape.buffer = NULL;
    fp_tensor_done(&piece->array);
    piece->array = shape;
    piece->stamp = file->stamp;
    piece->kind = &AGAIN;
    return FINEPRUNE_OK;
}

// file: of an array that is one sample; else NULL.
static int put_array(struct fineprune_data *data, size_t input, struct fp_tensor *array, enum fp_piece_mode mode,
                     const struct fp_source_file *file, const char *name, fineprune_error *err) {
    struct fp_input *in = &data->inputs[input];
    const bool single = file != NULL;
    const bool rows = !single && mode != FP_CONSTANT;
    size_t n = FP_ENDLESS;
    struct fp_turns turns = {0};
    if (single) n = 1;
    else if (rows) n = (size_t)array->dims[0];
    if (rows && n) turns = (struct fp_turns){n, array->count / n};
    if (in->type == FP_NONE) in->type = array->type;
    // Tensors in files of their own are test vectors, which may hold NaN and infinities.
    const bool as_it_is = single && in->type == array->type;
    int status = fp_data_takes(data, input, name, err);
    bool huge = as_it_is && fp_has_huge(array);
    if (!status && !as_it_is) status = fp_fit_elements(in, array, 0, turns, name, &huge, err);
    if (status) {
        fp_tensor_done(array);
        return status;
    }
    struct fp_piece piece = {.kind = &SINGLE, .mode = mode, .n = n, .array = *array, .huge = huge && n != FP_ENDLESS};
    if (rows) piece.kind = &ROWS;
    memset(array, 0, sizeof(*array));
    if (single && data->limit) status = let_go(&piece, file, err);
    if (status) {
        piece_done(&piece);
        return status;
    }
    return fp_data_put(data, input, &piece, name, err);
}

int fp_data_put_array(struct fineprune_data *data, size_t input, struct fp_tensor *array, const char *name,
                      fineprune_error *err) {
    enum fp_piece_mode mode;
    struct fp_input *in = &data->inputs[input];
    const bool moves = in->batch_axis && array->rank == in->rank;
    int status = FINEPRUNE_OK;
    if (moves) status = fp_fit_move(in, array, name, data->memory, err);
    in->moved |= moves && !status;
    if (!status) status = fp_fit_array(in, array, name, &mode, err);
    if (!status) return put_array(data, input, array, mode, NULL, name, err);
    fp_tensor_done(array);
    return status;
}

int fp_data_put_whole(struct fineprune_data *data, size_t input, struct fp_tensor *array,
                      const struct fp_source_file *file, const char *name, fineprune_error *err) {
    const struct fp_input *in = &data->inputs[input];
    if (fp_input_fits(in, 0, array->rank, array->dims)) return put_array(data, input, array, FP_WHOLE, file, name, err);
    char shape[200], wanted[400];
    fp_shape_text(shape, sizeof(shape), array->rank, array->dims);
    int status = fp_fail(err, FINEPRUNE_DATA, "%s is %s %s, but the model's input %s is wanted", name,
                         fp_type_name(array->type), shape, fp_input_text(wanted, sizeof(wanted), in));
    fp_tensor_done(array);
    return status;
}

void fp_data_take_back(struct fineprune_data *data, const size_t *n_before, size_t bare) {
    for (size_t i = 0; i < data->n_inputs; i++) {
        struct fp_column *column = &data->columns[i];
        while (column->n > n_before[i]) {
            struct fp_piece *piece = &column->pieces[--column->n];
            column->samples = piece->first;
            column->endless = false;
            data->far -= piece->far && fp_far_is_open(piece->far);
            piece_done(piece);
        }
    }
    data->bare = bare;
}

int fp_data_only_input(const struct fineprune_data *data, size_t *input, const char *path, fineprune_error *err) {
    if (*input < data->n_inputs) return FINEPRUNE_OK;
    *input = 0;
    if (data->n_inputs == 1) return FINEPRUNE_OK;
    char text[700] = "none";
    if (data->n_inputs) fp_inputs_text(text, sizeof(text), data->inputs, data->n_inputs);
    int status = fp_fail(err, FINEPRUNE_DATA, "'%s' is data for one input, but the model's inputs are %s", path, text);
    if (data->n_inputs) fp_hint(err, "--data '%s=%s' says which; give the others likewise", data->inputs[0].name, path);
    return status;
}

size_t fp_data_split(const struct fineprune_data *data, const char **source) {
    for (const char *at = strchr(*source, '='); at; at = strchr(at + 1, '=')) {
        const size_t input = fp_data_input(data, *source, (size_t)(at - *source));
        if (input == data->n_inputs) continue;
        *source = at + 1;
        return input;
    }
    return data->n_inputs;
}

const char *fp_data_source(const struct fineprune_data *data, size_t index) {
    if (index < data->n_sources) return data->sources[index];
    return NULL;
}

size_t fp_data_bad(const struct fineprune_data *data, size_t index, const char **text) {
    *text = NULL;
    if (index < data->bad.n) *text = data->bad.items[index].text;
    return data->bad.total;
}

bool fp_data_bad_is_obstacle(const struct fineprune_data *data) { return data->on_bad_file == FP_BAD_LIST; }

size_t fp_data_passed(const struct fineprune_data *data, size_t index, const char **kind) {
    if (index >= data->passed.n) return 0;
    *kind = data->passed.items[index].text;
    return data->passed.items[index].n;
}

// ---- what there is

// SIZE_MAX: any number.
static size_t finite_samples(const struct fineprune_data *data) {
    size_t n = data->bare;
    if (data->n_inputs) n = SIZE_MAX;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const struct fp_column *column = &data->columns[i];
        if (!column->endless && column->samples < n) n = column->samples;
    }
    return n;
}

size_t fp_data_all(const struct fineprune_data *data) {
    const size_t n = finite_samples(data);
    if (n < SIZE_MAX) return n;
    if (data->limit) return data->limit;
    return RANDOM_SAMPLES;
}

size_t fineprune_data_samples(const fineprune_data *data) {
    const size_t n = fp_data_all(data);
    if (data->limit && data->limit < n) return data->limit;
    return n;
}

// floor(sample * all / limit), where that stretch begins. Rounding can move a border, but never past the next one.
static size_t stretch_begin(size_t sample, size_t all, size_t limit) {
    return sample * (all / limit) + (size_t)((double)sample * (double)(all % limit) / (double)limit);
}

size_t fp_data_row(const struct fineprune_data *data, size_t sample) {
    const size_t all = fp_data_all(data), limit = data->limit;
    if (!limit || limit >= all) return sample;
    size_t begin = stretch_begin(sample, all, limit), end = all;
    if (sample + 1 < limit) end = stretch_begin(sample + 1, all, limit);
    uint64_t state = sample;
    return begin + (size_t)(fp_random(&state) % (end - begin));
}

int fp_data_missing(const struct fineprune_model *model, fineprune_error *err) {
    struct fineprune_data view = {.model = model};
    char text[700] = "none";
    if (!copy_inputs(&view, err)) fp_inputs_text(text, sizeof(text), view.inputs, view.n_inputs);
    free(view.inputs);
    free(view.columns);
    int status = fp_fail(err, FINEPRUNE_DATA, "no data; the model's inputs are %s", text);
    fp_hint(err,
            "--data [NAME=]SRC: a .npz of arrays with these names (axis 0 the samples), a .npy, a folder of either, of "
            "test_data_set_*, of images or of WAV files, @list.txt, - for a .npz on standard input, or random[:SEED]");
    return status;
}

static int check_counts(const struct fineprune_data *data, fineprune_error *err) {
    const struct fp_column *first = NULL;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const struct fp_column *column = &data->columns[i];
        if (!column->n) {
            char text[400];
            int status = fp_fail(err, FINEPRUNE_DATA, "no data for the model's input %s",
                                 fp_input_text(text, sizeof(text), &data->inputs[i]));
            fp_hint(err, "--data %s=SRC gives them", data->inputs[i].name);
            return status;
        }
        if (column->endless) continue;
        if (first && first->samples != column->samples) {
            fp_fail(err, FINEPRUNE_DATA, "input '%s' has %zu samples, but input '%s' has %zu",
                    data->inputs[first - data->columns].name, first->samples, data->inputs[i].name, column->samples);
            fp_hint(err,
                    "samples lie along axis 0; where an input has them elsewhere, give all of them one more axis in "
                    "front: a whole input a sample");
            return FINEPRUNE_DATA;
        }
        first = column;
    }
    return FINEPRUNE_OK;
}

// The fixed first dim of an input whose samples lie along it; 0 when there is none.
static int64_t fixed_rows(const struct fineprune_data *data, size_t input) {
    const struct fp_column *column = &data->columns[input];
    const struct fp_input *in = &data->inputs[input];
    if (in->rank < 1 || in->dims[0] < 1) return 0;
    for (size_t k = 0; k < column->n; k++)
        if (column->pieces[k].mode == FP_ROWS) return in->dims[0];
    return 0;
}

static int check_rows(const struct fineprune_data *data, fineprune_error *err) {
    size_t first = data->n_inputs;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const int64_t rows = fixed_rows(data, i);
        if (!rows) continue;
        if (first < data->n_inputs && fixed_rows(data, first) != rows) {
            int status = fp_fail(
                err, FINEPRUNE_DATA, "input '%s' takes %lld samples at once, but input '%s' takes %lld",
                data->inputs[first].name, (long long)fixed_rows(data, first), data->inputs[i].name, (long long)rows);
            fp_hint(err,
                    "where axis 0 of an input is not its samples, give an array with one axis more: [samples, ...the "
                    "input's axes]");
            return status;
        }
        first = i;
    }
    return FINEPRUNE_OK;
}

static int check_windows(const struct fineprune_data *data, fineprune_error *err) {
    if (!data->options[FP_OPTION_WINDOW]) return FINEPRUNE_OK;
    for (size_t i = 0; i < data->n_inputs; i++)
        for (size_t k = 0; k < data->columns[i].n; k++)
            if (data->columns[i].pieces[k].windows) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_USAGE, "--window is for sound files, of which the data have none");
}

int fp_data_ready(const struct fineprune_data *data, fineprune_error *err) {
    if (!data->n_sources) return fp_data_missing(data->model, err);
    int status = check_counts(data, err);
    if (!status) status = check_windows(data, err);
    if (status) return status;
    return check_rows(data, err);
}

static bool is_without_elements(const struct fp_piece *piece) {
    return piece->array.type && piece->array.rank && !piece->array.count;
}

// The cache of a first token may be empty; not all of a model's inputs.
int fp_data_check_elements(const struct fineprune_data *data, fineprune_error *err) {
    const struct fp_piece *found = NULL;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const struct fp_column *column = &data->columns[i];
        size_t n = 0;
        for (size_t k = 0; k < column->n; k++) {
            if (!is_without_elements(&column->pieces[k])) continue;
            if (!n++ && !found) found = &column->pieces[k];
        }
        if (!n || (data->n_inputs > 1 && n < column->n)) return FINEPRUNE_OK;
    }
    if (!found) return FINEPRUNE_OK;
    char shape[200];
    fp_shape_text(shape, sizeof(shape), found->array.rank, found->array.dims);
    return fp_fail(err, FINEPRUNE_DATA, "%s is %s %s: its samples have no elements", found->name,
                   fp_type_name(found->array.type), shape);
}

int fp_data_check_list(const struct fineprune_data *data, fineprune_error *err) {
    size_t bytes = SIZE_MAX;
    if (fp_mul(fineprune_data_samples(data), sizeof(size_t), &bytes) && fp_memory_allows(data->memory, bytes))
        return FINEPRUNE_OK;
    int status = fp_fail_memory(err, "the samples", bytes);
    fp_memory_hint(data->memory, err);
    return status;
}

bool fp_data_whole(const struct fineprune_data *data) {
    for (size_t i = 0; i < data->n_inputs; i++)
        for (size_t k = 0; k < data->columns[i].n; k++)
            if (data->columns[i].pieces[k].mode == FP_WHOLE) return true;
    return data->n_inputs == 0;
}

size_t fp_data_max_batch(const struct fineprune_data *data) {
    if (fp_data_whole(data)) return 1;
    bool rows = false;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const int64_t fixed = fixed_rows(data, i);
        if (fixed) return (size_t)fixed;
        for (size_t k = 0; k < data->columns[i].n && !rows; k++) rows = data->columns[i].pieces[k].mode == FP_ROWS;
    }
    if (rows && !data->alone) return SIZE_MAX;
    return 1;
}

// ---- samples

// The piece that has the sample, and its number there.
static const struct fp_piece *find_piece(const struct fineprune_data *data, size_t input, size_t sample,
                                         size_t *index) {
    const struct fp_column *column = &data->columns[input];
    *index = fp_data_row(data, sample);
    if (column->endless) return column->pieces;
    size_t low = 0, high = column->n; // the last piece that begins at or before the sample
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (column->pieces[middle].first <= *index) low = middle;
        else high = middle;
    }
    *index -= column->pieces[low].first;
    return &column->pieces[low];
}

const struct fp_piece *fp_data_piece(const struct fineprune_data *data, size_t input, size_t sample) {
    size_t index;
    return find_piece(data, input, sample, &index);
}

static int sample_shape(const struct fineprune_data *data, size_t input, size_t sample, int *rank, int64_t *dims,
                        fineprune_error *err) {
    size_t index;
    const struct fp_piece *piece = find_piece(data, input, sample, &index);
    return piece->kind->shape(piece, index, rank, dims, err);
}

size_t fp_data_same_shape(const struct fineprune_data *data, const size_t *samples, size_t n) {
    int rank, other_rank;
    int64_t dims[FP_MAX_RANK], other[FP_MAX_RANK];
    for (size_t input = 0; input < data->n_inputs; input++) {
        if (n < 2 || sample_shape(data, input, samples[0], &rank, dims, NULL)) return n > 0;
        for (size_t i = 1; i < n; i++) {
            const bool same = sample_shape(data, input, samples[i], &other_rank, other, NULL) == 0 &&
                              rank == other_rank && memcmp(dims, other, (size_t)rank * sizeof(*dims)) == 0;
            if (!same) n = i;
        }
    }
    return n;
}

static size_t chosen_batch(const struct fineprune_data *data, size_t sample) {
    size_t bytes = 0;
    for (size_t i = 0; i < data->n_inputs; i++) {
        int rank;
        int64_t dims[FP_MAX_RANK];
        size_t count;
        if (sample_shape(data, i, sample, &rank, dims, NULL) || !fp_product(rank, dims, &count) || count > BATCH_BYTES)
            return 1;
        bytes += count * fp_type_size(data->inputs[i].type);
    }
    if (!bytes) return BATCH_MOST;
    return fp_most(fp_least(BATCH_BYTES / bytes, BATCH_MOST), 1);
}

size_t fp_data_next(const struct fineprune_data *data, const size_t *samples, size_t n, size_t batch) {
    const size_t most = fp_data_max_batch(data);
    if (!n || most == 1) return n > 0;
    // a model of a fixed batch is fed full batches
    if (most != SIZE_MAX) batch = most;
    else if (!batch) batch = chosen_batch(data, samples[0]);
    return fp_data_same_shape(data, samples, fp_least(n, batch));
}

// Fills the rows of t, one sample each; the last sample again in the rows that are left over.
static int load_rows(const struct fineprune_data *data, size_t input, const size_t *samples, size_t n,
                     struct fp_tensor *t, size_t rows, const struct fp_tensor *shape, fineprune_error *err) {
    struct fp_tensor row = *shape;
    for (size_t i = 0; i < rows; i++) {
        const size_t sample = samples[fp_least(i, n - 1)];
        size_t index;
        const struct fp_piece *piece = find_piece(data, input, sample, &index);
        int rank;
        int64_t dims[FP_MAX_RANK];
        int status = piece->kind->shape(piece, index, &rank, dims, err);
        if (status) return status;
        if (rank != shape->rank || memcmp(dims, shape->dims, (size_t)rank * sizeof(*dims)) != 0)
            return fp_fail(err, FINEPRUNE_DATA,
                           "samples %zu and %zu of input '%s' have different shapes and cannot run together",
                           samples[0], sample, data->inputs[input].name);
        row.data = (char *)t->data + i * shape->count * fp_type_held(t->type);
        status = piece->kind->load(piece, index, &row, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int batch_input(const struct fineprune_data *data, size_t input, const size_t *samples, size_t n,
                       struct fp_tensor *out, fineprune_error *err) {
    size_t index;
    const struct fp_piece *piece = find_piece(data, input, samples[0], &index);
    const struct fp_input *in = &data->inputs[input];
    int rank;
    int64_t dims[FP_MAX_RANK + 1];
    int status = piece->kind->shape(piece, index, &rank, dims + 1, err);
    if (status) return status;
    const bool along_rows = piece->mode == FP_ROWS;
    if (n > 1 && piece->mode == FP_WHOLE) return fp_fail(err, FINEPRUNE_INTERNAL, "whole inputs cannot share a run");
    struct fp_tensor shape, t = {0};
    status = fp_tensor_shape(&shape, in->type, rank, dims + 1, err);
    const int64_t fixed = fixed_rows(data, input);
    dims[0] = (int64_t)n;
    if (fixed) dims[0] = fixed;
    if (!along_rows) dims[0] = 1;
    if (!status) status = fp_tensor_new(&t, data->memory, in->type, rank + along_rows, dims + !along_rows, err);
    if (!along_rows) n = 1;
    if (!status) status = load_rows(data, input, samples, n, &t, (size_t)dims[0], &shape, err);
    if (status) fp_tensor_done(&t);
    else *out = t;
    return status;
}

int fp_data_batch(struct fineprune_data *data, const size_t *samples, size_t n, struct fp_tensor *inputs,
                  fineprune_error *err) {
    const size_t there = fineprune_data_samples(data), most = fp_data_max_batch(data);
    int status = fp_data_ready(data, err);
    if (!status && (!n || n > most))
        status = fp_fail(err, FINEPRUNE_INTERNAL, "%zu samples in a batch of at most %zu", n, most);
    for (size_t i = 0; i < n && !status; i++)
        if (samples[i] >= there) status = fp_fail(err, FINEPRUNE_INTERNAL, "sample %zu of %zu", samples[i], there);
    for (size_t i = 0; i < data->n_inputs && !status; i++) {
        memset(&inputs[i], 0, sizeof(inputs[i]));
        status = batch_input(data, i, samples, n, &inputs[i], err);
        if (status)
            while (i--) fp_tensor_done(&inputs[i]);
        if (status) break;
    }
    return status;
}

// Whether a piece that was seen to have huge values has them in this sample.
static int sample_is_huge(const struct fineprune_data *data, size_t sample, bool *huge, fineprune_error *err) {
    *huge = false;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < data->n_inputs && !status && !*huge; i++) {
        size_t index;
        struct fp_tensor t = {0};
        if (!find_piece(data, i, sample, &index)->huge) continue;
        status = batch_input(data, i, &sample, 1, &t, err);
        if (!status) *huge = fp_has_huge(&t);
        fp_tensor_done(&t);
    }
    return status;
}

int fp_data_huge(struct fineprune_data *data, size_t **out, size_t *n, fineprune_error *err) {
    const size_t all = fineprune_data_samples(data);
    bool any = false;
    *out = NULL, *n = 0;
    for (size_t i = 0; i < data->n_inputs; i++)
        for (size_t k = 0; k < data->columns[i].n; k++) any |= data->columns[i].pieces[k].huge;
    if (!any) return FINEPRUNE_OK;
    int status = FINEPRUNE_OK;
    *out = fp_calloc(all, sizeof(**out));
    if (!*out) status = fp_fail_memory(err, "the samples", all * sizeof(**out));
    for (size_t s = 0; s < all && !status; s++) {
        bool huge;
        status = sample_is_huge(data, s, &huge, err);
        if (!status && huge) (*out)[(*n)++] = s;
    }
    return status;
}

const char *fp_data_where(const struct fineprune_data *data, size_t sample, char *dst, size_t size) {
    size_t index, input = 0;
    while (input + 1 < data->n_inputs &&
           (data->columns[input].endless || !find_piece(data, input, sample, &index)->huge))
        input++;
    const struct fp_piece *piece = NULL;
    if (data->n_inputs) piece = find_piece(data, input, sample, &index);
    if (piece && !data->columns[input].endless && piece->n > 1)
        snprintf(dst, size, "sample %zu (%.200s, number %zu)", sample, piece->name, index);
    else if (piece && !data->columns[input].endless) snprintf(dst, size, "sample %zu (%.200s)", sample, piece->name);
    else snprintf(dst, size, "sample %zu", sample);
    return dst;
}

// Whether files of that input lie in class folders.
static bool has_classes(const struct fp_column *column) {
    for (size_t k = 0; k < column->n; k++)
        if (column->pieces[k].class_folder) return true;
    return false;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int fp_data_classes(const struct fineprune_data *data, struct fp_arena *room, const char ***names, size_t *n,
                    fineprune_error *err) {
    size_t input = 0, used = 0;
    *names = NULL;
    *n = 0;
    while (input < data->n_inputs && !has_classes(&data->columns[input])) input++;
    if (input == data->n_inputs) return FINEPRUNE_OK;
    const struct fp_column *column = &data->columns[input];
    const char **found = fp_arena_take(room, column->n, sizeof(*found));
    if (!found) return fp_arena_check(room, err);
    for (size_t k = 0; k < column->n; k++)
        if (column->pieces[k].class_folder) found[used++] = column->pieces[k].class_folder;
    qsort(found, used, sizeof(*found), compare_texts);
    for (size_t k = 0; k < used; k++)
        if (!*n || strcmp(found[*n - 1], found[k]) != 0) found[(*n)++] = found[k];
    *names = found;
    return FINEPRUNE_OK;
}

const char *fp_data_class(const struct fineprune_data *data, size_t sample) {
    size_t index;
    for (size_t i = 0; i < data->n_inputs; i++)
        if (!data->columns[i].endless && has_classes(&data->columns[i]))
            return find_piece(data, i, sample, &index)->class_folder;
    return NULL;
}

// The input that recordings are cut up for; n_inputs where there is none, or where not all its samples are windows.
static size_t windowed_input(const struct fineprune_data *data) {
    for (size_t i = 0; i < data->n_inputs; i++) {
        const struct fp_column *column = &data->columns[i];
        size_t k = 0;
        while (k < column->n && column->pieces[k].windows) k++;
        if (k && k == column->n) return i;
    }
    return data->n_inputs;
}

size_t fp_data_recordings(const struct fineprune_data *data) {
    const size_t input = windowed_input(data);
    if (input == data->n_inputs) return 0;
    return data->columns[input].n;
}

size_t fp_data_recording(const struct fineprune_data *data, size_t sample) {
    size_t index;
    const size_t input = windowed_input(data);
    return (size_t)(find_piece(data, input, sample, &index) - data->columns[input].pieces);
}

// The input whose samples lie in files.
static const struct fp_column *column_of_files(const struct fineprune_data *data, size_t *input) {
    const struct fp_column *found = NULL;
    *input = 0;
    for (size_t i = 0; i < data->n_inputs; i++) {
        const struct fp_column *column = &data->columns[i];
        if (column->endless || !column->n || (found && !column->pieces[0].file)) continue;
        if (found && found->pieces[0].file) break;
        found = column;
        *input = i;
    }
    return found;
}

size_t fp_data_files(const struct fineprune_data *data) {
    size_t input;
    const struct fp_column *column = column_of_files(data, &input);
    return column ? column->n : 0;
}

const char *fp_data_file(const struct fineprune_data *data, size_t file, size_t *below) {
    size_t input;
    const struct fp_piece *piece = &column_of_files(data, &input)->pieces[file];
    *below = piece->below;
    return piece->file;
}

size_t fp_data_file_of(const struct fineprune_data *data, size_t sample) {
    size_t input, index;
    const struct fp_column *column = column_of_files(data, &input);
    return column ? (size_t)(find_piece(data, input, sample, &index) - column->pieces) : 0;
}

const char *fp_data_left_out(const struct fineprune_data *data, size_t index) {
    return index < data->left_out.n ? data->left_out.items[index].text : NULL;
}

const char *fp_data_moved(const struct fineprune_data *data, size_t index, int *axis) {
    for (size_t i = 0; i < data->n_inputs; i++) {
        if (!data->inputs[i].moved || index--) continue;
        *axis = data->inputs[i].batch_axis;
        return data->inputs[i].name;
    }
    return NULL;
}

static uint64_t hash_tensor(const struct fp_tensor *t, uint64_t seed) {
    uint64_t h = fp_hash(t->dims, (size_t)t->rank * sizeof(t->dims[0]), seed);
    if (t->type != FP_STRING) return fp_hash(t->data, fp_tensor_bytes(t), h);
    for (size_t i = 0; i < t->count; i++) h = fp_hash(((char **)t->data)[i], strlen(((char **)t->data)[i]), h);
    return h;
}

static int compute_hash(struct fineprune_data *data, size_t sample, uint64_t *hash, fineprune_error *err) {
    FP_STAGE(room, "the inputs");
    struct fp_tensor *inputs = fp_arena_take(&room, data->n_inputs, sizeof(*inputs));
    if (!inputs) return fp_arena_check(&room, err);
    int status = fp_data_batch(data, &sample, 1, inputs, err);
    if (status) return status;
    *hash = 0;
    for (size_t i = 0; i < data->n_inputs; i++) {
        *hash = hash_tensor(&inputs[i], *hash);
        fp_tensor_done(&inputs[i]);
    }
    return FINEPRUNE_OK;
}

// Kept once it is known, as it may have cost the decoding of a picture.
int fp_data_hash(struct fineprune_data *data, size_t sample, uint64_t *hash, fineprune_error *err) {
    if (!data->hashes) data->hashes = fp_calloc(fineprune_data_samples(data), sizeof(*data->hashes));
    if (!data->hashes) return fp_fail_memory(err, "the samples", fineprune_data_samples(data) * sizeof(*data->hashes));
    if (sample >= fineprune_data_samples(data))
        return fp_fail(err, FINEPRUNE_INTERNAL, "sample %zu of %zu", sample, fineprune_data_samples(data));
    if (!data->hashes[sample]) {
        int status = compute_hash(data, sample, &data->hashes[sample], err);
        if (status) return status;
    }
    *hash = data->hashes[sample];
    return FINEPRUNE_OK;
}
