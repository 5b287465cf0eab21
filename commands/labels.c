// SPDX-License-Identifier: Apache-2.0
// Labels from an array of class numbers, and from the names of folders; labels_csv.c has tables.
#include "labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "onnx/graph.h"
#include "task/task_names.h"
#include "tensor/npz.h"

// Of the samples that are used; of windows that of their recording where labels are `of_recordings`.
// How many classes the first output says it has that may answer; 0: it does not say.
static size_t declared_width(const struct fp_graph *graph) {
    for (int i = 0; i < graph->n_outputs; i++) {
        const struct fp_value *v = &graph->values[graph->outputs[i]];
        if (v->rank == 2 && fp_type_is_float(v->type) && v->dims[1] > 1) return (size_t)v->dims[1];
    }
    return 0;
}

static int check_classes(const int64_t *labels, size_t n, size_t width, const char *path, fineprune_error *err) {
    int64_t least = n ? labels[0] : 0, most = least;
    for (size_t i = 0; i < n; i++) {
        if (labels[i] < least) least = labels[i];
        if (labels[i] > most) most = labels[i];
    }
    if (least >= 0 && (!width || most < (int64_t)width)) return FINEPRUNE_OK;
    int status = FINEPRUNE_DATA;
    if (width)
        fp_fail(err, status, "labels '%s' go from %lld to %lld, but the model's classes are 0 to %zu", path,
                (long long)least, (long long)most, width - 1);
    else fp_fail(err, status, "labels '%s' go down to %lld, but classes are counted from 0", path, (long long)least);
    if (least == 1) fp_hint(err, "where they are counted from 1: numpy.save('labels.npy', y - 1)");
    return status;
}

static int take_labels(struct fp_labels *l, const struct fineprune_data *data, const struct fp_tensor *raw,
                       bool of_recordings, size_t width, const char *path, fineprune_error *err) {
    const size_t n = fineprune_data_samples(data);
    struct fp_tensor given = {0};
    int status = fp_tensor_convert(&given, NULL, raw, FP_INT64, err);
    if (!status) status = fp_tensor_new(&l->classes, NULL, FP_INT64, 1, (const int64_t[1]){(int64_t)n}, err);
    const int64_t *from = given.data;
    int64_t *labels = l->classes.data;
    for (size_t i = 0; i < n && !status; i++)
        labels[i] = from[of_recordings ? fp_data_recording(data, i) : fp_data_row(data, i)];
    if (!status) status = check_classes(from, given.count, width, path, err);
    if (of_recordings && !status)
        snprintf(l->from, sizeof(l->from), "labels are those of the %zu recordings, for all their windows",
                 fp_data_recordings(data));
    fp_tensor_done(&given);
    return status;
}

static int read_array(struct fp_labels *l, size_t width, struct fineprune_data *data, const char *path,
                      fineprune_error *err) {
    struct fp_tensor raw = {0};
    int status = fp_npy_read(&raw, path, NULL, err);
    if (status) return status;
    const size_t samples = fp_data_all(data), recordings = fp_data_recordings(data);
    char shape[160];
    fp_shape_text(shape, sizeof(shape), raw.rank, raw.dims);
    if (!fp_type_is_integer(raw.type) && raw.type != FP_BOOL) {
        status = fp_fail(err, FINEPRUNE_DATA,
                         "labels '%s' are %s; whole numbers, one class for each sample, are wanted", path,
                         fp_type_name(raw.type));
    } else if (raw.rank < 1 || raw.count != (size_t)raw.dims[0] || (raw.count != samples && raw.count != recordings)) {
        status = fp_fail(err, FINEPRUNE_DATA, "labels '%s' are %s, but there are %zu samples", path, shape, samples);
        if (recordings)
            fp_hint(err, "one for each of the %zu recordings is wanted, or one for each window", recordings);
        else fp_hint(err, "an array [samples] of class numbers is wanted: numpy.save('labels.npy', y)");
    }
    if (!status) status = take_labels(l, data, &raw, raw.count != samples, width, path, err);
    fp_tensor_done(&raw);
    return status;
}

int fp_labels_fail_folders(size_t folders, size_t width, fineprune_error *err) {
    fp_fail(err, FINEPRUNE_DATA, "%zu class folders do not tell which of %zu classes they are by their order", folders,
            width);
    fp_hint(err,
            "a labels.txt beside the model, one name a line, says which class has which name; or --labels FILE.npy");
    return FINEPRUNE_DATA;
}

// The class of each of the sorted names: by the names that the model's classes have, else by their order.
static int number_folders(struct fp_labels *l, const struct fineprune_model *model, const char *const *names, size_t n,
                          size_t *classes, struct fp_arena *room, fineprune_error *err) {
    struct fp_task_names known;
    const size_t width = declared_width(model->graph);
    int status = fp_task_names_find(&known, model, width, room, err);
    for (size_t i = 0; i < n && !status; i++) {
        classes[i] = i;
        if (known.names) status = fp_task_names_index(&known, names[i], &classes[i], err);
    }
    if (status) return status;
    if (known.names) {
        snprintf(l->from, sizeof(l->from), "labels are the class folders, by the names of %s", known.where);
        return FINEPRUNE_OK;
    }
    l->folders = n;
    snprintf(l->from, sizeof(l->from), "labels are the %zu class folders, in the order of their names", n);
    if (width && width != n) return fp_labels_fail_folders(n, width, err);
    return FINEPRUNE_OK;
}

static int find_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int read_folders(struct fp_labels *l, const struct fineprune_model *model, struct fineprune_data *data,
                        fineprune_error *err) {
    const size_t samples = fineprune_data_samples(data);
    const int64_t dims[1] = {(int64_t)samples};
    const char **names;
    size_t n;
    FP_STAGE(room, "the class folders");
    int status = fp_data_classes(data, &room, &names, &n, err);
    size_t *classes = fp_arena_take(&room, n, sizeof(*classes));
    if (!status) status = fp_arena_check(&room, err);
    if (!status && n) status = number_folders(l, model, names, n, classes, &room, err);
    if (!status) status = fp_tensor_new(&l->classes, NULL, FP_INT64, 1, dims, err);
    int64_t *labels = l->classes.data;
    for (size_t i = 0; i < samples && !status; i++) {
        char where[300];
        const char *name = fp_data_class(data, i);
        if (!name) {
            status = fp_fail(err, FINEPRUNE_DATA, "%s lies in no class folder",
                             fp_data_where(data, i, where, sizeof(where)));
            fp_hint(err, "--labels folders wants --data FOLDER with a folder for each class in it");
        } else {
            const char **found = bsearch(&name, names, n, sizeof(*names), find_text);
            labels[i] = (int64_t)classes[found - names];
        }
    }
    return status;
}

static int read_table(struct fp_labels *l, const struct fineprune_model *model, struct fineprune_data *data,
                      const char *path, fineprune_error *err) {
    const size_t samples = fineprune_data_samples(data);
    int status = fp_tensor_new(&l->classes, NULL, FP_INT64, 1, (const int64_t[1]){(int64_t)samples}, err);
    if (!status) status = fp_labels_read_csv(l->classes.data, model, declared_width(model->graph), data, path, err);
    return status;
}

static bool ends_in(const char *text, const char *ending) {
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcasecmp(text + n - m, ending) == 0;
}

int fp_labels_load(struct fp_labels *labels, const struct fineprune_model *model, struct fineprune_data *data,
                   const char *where, fineprune_error *err) {
    if (strcmp(where, "folders") == 0) return read_folders(labels, model, data, err);
    if (ends_in(where, ".csv")) return read_table(labels, model, data, where, err);
    return read_array(labels, declared_width(model->graph), data, where, err);
}

void fp_labels_done(struct fp_labels *labels) { fp_tensor_done(&labels->classes); }
