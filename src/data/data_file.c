// SPDX-License-Identifier: Apache-2.0
// One file as data, by its ending: arrays, tensors, pictures, sound.
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/data_parts.h"
#include "tensor/npz.h"
#include "onnx/tensor_file.h"

// ---- .npy and .npz

static int add_npy(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    int status = fp_data_only_input(data, &input, path, err);
    if (status) return status;
    struct fp_tensor array = {0};
    char name[300];
    bool stays;
    snprintf(name, sizeof(name), "'%s'", path);
    status = fp_data_put_far(data, input, NULL, NULL, path, name, &stays, err);
    if (status || stays) return status;
    status = fp_npy_read(&array, path, data->memory, err);
    data->adding->whole |= status == FINEPRUNE_LIMIT && !data->limit;
    if (status) return status;
    return fp_data_put_array(data, input, &array, name, err);
}

static bool npz_has(const struct fp_npz *npz, const char *name) {
    for (size_t i = 0; i < fp_npz_count(npz); i++)
        if (strcmp(fp_npz_name(npz, i), name) == 0) return true;
    return false;
}

static int fail_key(const struct fineprune_data *data, const struct fp_npz *npz, size_t input, const char *path,
                    fineprune_error *err) {
    char keys[400] = "none";
    size_t n = 0;
    for (size_t i = 0; i < fp_npz_count(npz) && n < sizeof(keys) - 10; i++)
        n += (size_t)snprintf(keys + n, sizeof(keys) - n, "%s'%.60s'", fp_between((size_t)i, ", "),
                              fp_npz_name(npz, i));
    char text[400];
    int status = fp_fail(err, FINEPRUNE_DATA, "'%s' has no array for the model's input %s; its arrays are %s", path,
                         fp_input_text(text, sizeof(text), &data->inputs[input]), keys);
    fp_hint(err, "numpy.savez('%s', **{'%s': array}) gives it that name", path, data->inputs[input].name);
    return status;
}

// Array of an input: the one of its name; or arr_0, arr_1, ... as numpy.savez names positional arrays; or the only one
// for NAME=SRC.
static int add_key(struct fineprune_data *data, struct fp_npz *npz, size_t input, bool named, const char *path,
                   fineprune_error *err) {
    char positional[32] = "arr_0";
    if (!named) snprintf(positional, sizeof(positional), "arr_%zu", input);
    const char *key = data->inputs[input].name;
    if (!npz_has(npz, key)) key = positional;
    if (!npz_has(npz, key) && named && fp_npz_count(npz) == 1) key = fp_npz_name(npz, 0);
    if (!npz_has(npz, key)) return fail_key(data, npz, input, path, err);
    char name[400];
    snprintf(name, sizeof(name), "'%.200s': array '%.150s'", strcmp(path, "-") ? path : "standard input", key);
    struct fp_tensor array = {0};
    bool stays;
    int status = fp_data_put_far(data, input, npz, key, path, name, &stays, err);
    if (status || stays) return status;
    status = fp_npz_read(npz, key, &array, data->memory, err);
    data->adding->whole |= status == FINEPRUNE_LIMIT && !data->limit;
    if (status) return status;
    return fp_data_put_array(data, input, &array, name, err);
}

int fp_data_add_npz(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    struct fp_npz *npz;
    int status = fp_npz_open(&npz, path, data->memory, err);
    if (status) return status;
    if (input < data->n_inputs) status = add_key(data, npz, input, true, path, err);
    else
        for (size_t i = 0; i < data->n_inputs && !status; i++) status = add_key(data, npz, i, false, path, err);
    fp_npz_free(npz);
    return status;
}

// ---- input_*.pb

static int add_tensor_file(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    int status = fp_data_only_input(data, &input, path, err);
    if (status) return status;
    struct fp_tensor tensor = {0};
    struct fp_source_file file = {.path = path};
    char *tensor_name, name[300];
    snprintf(name, sizeof(name), "'%s'", path);
    (void)fp_stamp_take(&file.stamp, -1, path); // what is not there is told by who reads it
    status = fp_data_takes(data, input, name, err);
    if (!status) status = fp_tensor_file_read(&tensor, &tensor_name, path, data->memory, err);
    if (status) return status;
    free(tensor_name);
    return fp_data_put_whole(data, input, &tensor, &file, name, err);
}

int fp_data_add_set_file(struct fineprune_data *data, const char *path, unsigned long number, bool *seen,
                         fineprune_error *err) {
    struct fp_tensor tensor = {0};
    struct fp_source_file file = {.path = path};
    char *tensor_name, name[300];
    snprintf(name, sizeof(name), "'%s'", path);
    (void)fp_stamp_take(&file.stamp, -1, path); // what is not there is told by who reads it
    int status = fp_data_note_file(data, path, err);
    if (!status && number < data->n_inputs) status = fp_data_takes(data, number, name, err);
    if (!status) status = fp_tensor_file_read(&tensor, &tensor_name, path, data->memory, err);
    if (status) return status;
    size_t input = fp_data_input(data, tensor_name, strlen(tensor_name));
    if (input == data->n_inputs && number < data->n_inputs) input = number;
    if (input == data->n_inputs)
        status = fp_fail(err, FINEPRUNE_DATA, "%s: the model has no input '%s' and no input number %lu", name,
                         tensor_name, number);
    else if (seen[input])
        status = fp_fail(err, FINEPRUNE_DATA, "%s is the second tensor for the input '%s'", name,
                         data->inputs[input].name);
    free(tensor_name);
    if (status) {
        fp_tensor_done(&tensor);
        return status;
    }
    seen[input] = true;
    return fp_data_put_whole(data, input, &tensor, &file, name, err);
}

// ---- a file by its ending

static const struct fp_file_kind KINDS[] = {
    {".npz", ".npz ", fp_data_add_npz},
    {".npy", ".npy ", add_npy},
    {"image", ".png .jpg .jpeg .jpe .jfif .webp .gif .tif .tiff .bmp .heic .heif .avif ", fp_data_add_image},
    {"sound", ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .snd .caf .w64 .rf64 ", fp_data_add_sound},
    {"tensor", ".pb ", add_tensor_file},
};

const struct fp_file_kind *fp_data_file_kind(const char *name) {
    const char *dot = strrchr(name, '.');
    if (!dot || strchr(dot, '/')) return NULL;
    const size_t n = strlen(dot);
    for (size_t i = 0; i < FP_COUNT(KINDS); i++)
        for (const char *at = KINDS[i].endings; *at; at = strchr(at, ' ') + 1)
            if (strncasecmp(at, dot, n) == 0 && at[n] == ' ') return &KINDS[i];
    return NULL;
}

bool fp_data_holds_arrays(const struct fp_file_kind *kind) {
    return kind && (kind->add == fp_data_add_npz || kind->add == add_npy || kind->add == add_tensor_file);
}

// x.npy and y.npy for the inputs x and y. Returns n_inputs when the name is not an input's.
static size_t input_of_file(const struct fineprune_data *data, const char *path) {
    const char *slash = strrchr(path, '/'), *name = path;
    if (slash) name = slash + 1;
    return fp_data_input(data, name, (size_t)(strrchr(name, '.') - name));
}

// A pipe without a writer would be waited for; what is not there says so itself.
static int add_regular(struct fineprune_data *data, size_t input, const char *path, const struct fp_file_kind *kind,
                       fineprune_error *err) {
    struct stat st;
    if (stat(path, &st) || S_ISREG(st.st_mode)) return kind->add(data, input, path, err);
    const int status = fp_fail(err, FINEPRUNE_IO, "cannot read '%s': not a regular file", path);
    fp_hint(err, "a stream goes in by standard input: --data -");
    return status;
}

int fp_data_add_file(struct fineprune_data *data, size_t input, const char *path, const struct fp_file_kind *kind,
                     fineprune_error *err) {
    if (kind->add == add_npy && input == data->n_inputs && data->n_inputs > 1) input = input_of_file(data, path);
    struct fp_adding *adding = data->adding;
    for (size_t i = 0; i < data->n_inputs; i++) adding->before_file[i] = data->columns[i].n;
    fineprune_error inner = {0};
    adding->file = path;
    int status = fp_data_note_file(data, path, &inner);
    if (!status) status = add_regular(data, input, path, kind, &inner);
    adding->tried += !status;
    if (status) {
        adding->out_of_step |= input < data->n_inputs && data->n_inputs > 1;
        fp_data_take_back(data, adding->before_file, data->bare);
    }
    const bool bad = status == FINEPRUNE_DATA || status == FINEPRUNE_IO;
    if (bad) status = fp_data_bad_file(data, &inner, err);
    else if (status && err && !err->status) *err = inner;
    adding->file = NULL;
    return status;
}
