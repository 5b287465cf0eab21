// SPDX-License-Identifier: Apache-2.0
// Labels from an array of class numbers, and from the names of folders; labels_csv.c has tables.
#include "labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "onnx/graph.h"
#include "report/report_values.h"
#include "task/task_names.h"
#include "tensor/npz.h"

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

// Of the samples that are used; of windows that of their recording where labels are `of_recordings`.
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
        status = fp_fail(err, FINEPRUNE_DATA, "labels '%s' are %s, but there %s %zu sample%s", path, shape,
                         samples == 1 ? "is" : "are", samples, fp_plural(samples));
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

// ---- labels and folders that contradict each other

// The samples' folders and labels as places in the sorted lists of those that there are.
struct crossing {
    const char **names;
    size_t n_names, samples, *folder, *label, n_labels;
};

static int by_number(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// False where a sample lies in no folder.
static bool place_samples(struct crossing *x, const struct fp_labels *l, const struct fineprune_data *data,
                          int64_t *room) {
    const int64_t *labels = l->classes.data;
    memcpy(room, labels, x->samples * sizeof(*room));
    qsort(room, x->samples, sizeof(*room), by_number);
    for (size_t i = 0; i < x->samples; i++)
        if (!i || room[i] != room[x->n_labels - 1]) room[x->n_labels++] = room[i];
    for (size_t i = 0; i < x->samples; i++) {
        const char *name = fp_data_class(data, i);
        if (!name) return false;
        const char **found = bsearch(&name, x->names, x->n_names, sizeof(*x->names), find_text);
        const int64_t *label = bsearch(&labels[i], room, x->n_labels, sizeof(*room), by_number);
        x->folder[i] = (size_t)(found - x->names);
        x->label[i] = (size_t)(label - room);
    }
    return true;
}

// By the names of the classes, where all folders have one.
static int contradict_names(struct fp_labels *l, const struct crossing *x, const struct fineprune_model *model,
                            struct fp_arena *room, bool *known, fineprune_error *err) {
    struct fp_task_names names;
    size_t *classes = fp_arena_take(room, x->n_names, sizeof(*classes)), wrong = 0, first = 0;
    int status = fp_arena_check(room, err);
    if (!status) status = fp_task_names_find(&names, model, declared_width(model->graph), room, err);
    *known = !status && names.names;
    const char *guess;
    for (size_t i = 0; i < x->n_names && *known; i++)
        *known = fp_task_names_match(&names, x->names[i], &classes[i], &guess) == 1;
    if (!*known) return status;
    const int64_t *labels = l->classes.data;
    for (size_t i = x->samples; i-- > 0;)
        if (labels[i] != (int64_t)classes[x->folder[i]]) wrong++, first = i;
    if (!wrong) return FINEPRUNE_OK;
    snprintf(l->against, sizeof(l->against),
             "%zu of %zu labels are not the class whose folder the sample lies in: are they in the order of the "
             "samples, by path? --labels folders",
             wrong, x->samples);
    snprintf(l->evidence, sizeof(l->evidence), "the first in '%.60s', class %zu, is labelled %lld",
             x->names[x->folder[first]], classes[x->folder[first]], (long long)labels[first]);
    return FINEPRUNE_OK;
}

static int by_size(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

// As many folders as labels, and of the same sizes, are classes; two that are alike may be anything.
static bool are_classes(const struct crossing *x, size_t *folders, size_t *labels) {
    const size_t n = x->n_names;
    for (size_t i = 0; i < x->samples; i++) {
        folders[x->folder[i]]++;
        labels[x->label[i]]++;
    }
    qsort(folders, n, sizeof(*folders), by_size);
    qsort(labels, n, sizeof(*labels), by_size);
    return !memcmp(folders, labels, n * sizeof(*folders)) && (n > 2 || folders[0] != folders[1]);
}

static int contradict_sizes(struct fp_labels *l, const struct crossing *x, struct fp_arena *room,
                            fineprune_error *err) {
    const size_t n = x->n_names;
    if (x->n_labels != n || n < 2) return FINEPRUNE_OK;
    size_t *counts = fp_arena_take(room, 3 * n, sizeof(*counts)), wrong = 0, first = 0;
    if (!counts) return fp_arena_check(room, err);
    if (!are_classes(x, counts, counts + n)) return FINEPRUNE_OK;
    size_t *label_of = counts + 2 * n; // of a folder's first sample, plus one
    for (size_t i = 0; i < x->samples; i++) {
        size_t *one = &label_of[x->folder[i]];
        if (!*one) *one = x->label[i] + 1;
        if (*one != x->label[i] + 1 && !wrong++) first = i;
    }
    if (!wrong) return FINEPRUNE_OK;
    snprintf(l->against, sizeof(l->against),
             "the labels contradict the folders, if these are the classes: are they in the order of the samples, by "
             "path? --labels folders");
    snprintf(l->evidence, sizeof(l->evidence),
             "%zu labels for %zu folders of the same sizes, but '%.60s' has samples of several", x->n_labels, n,
             x->names[x->folder[first]]);
    return FINEPRUNE_OK;
}

static int contradict_folders(struct fp_labels *l, const struct fineprune_model *model, struct fineprune_data *data,
                              fineprune_error *err) {
    struct crossing x = {.samples = fineprune_data_samples(data)};
    bool known = false;
    FP_STAGE(room, "the class folders");
    int status = fp_data_classes(data, &room, &x.names, &x.n_names, err);
    if (status || !x.n_names) return status;
    int64_t *sorted = fp_arena_take(&room, x.samples, sizeof(*sorted));
    x.folder = fp_arena_take(&room, x.samples, sizeof(*x.folder));
    x.label = fp_arena_take(&room, x.samples, sizeof(*x.label));
    status = fp_arena_check(&room, err);
    if (status || !place_samples(&x, l, data, sorted)) return status;
    status = contradict_names(l, &x, model, &room, &known, err);
    if (status || known) return status;
    return contradict_sizes(l, &x, &room, err);
}

static bool ends_in(const char *text, const char *ending) {
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcasecmp(text + n - m, ending) == 0;
}

int fp_labels_load(struct fp_labels *labels, const struct fineprune_model *model, struct fineprune_data *data,
                   const char *where, fineprune_error *err) {
    if (strcmp(where, "folders") == 0) return read_folders(labels, model, data, err);
    int status;
    if (ends_in(where, ".csv")) status = read_table(labels, model, data, where, err);
    else status = read_array(labels, declared_width(model->graph), data, where, err);
    if (status) return status;
    return contradict_folders(labels, model, data, err);
}

void fp_labels_done(struct fp_labels *labels) { fp_tensor_done(&labels->classes); }
