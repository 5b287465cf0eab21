// SPDX-License-Identifier: Apache-2.0
// A folder as data: ONNX's test_data_set_*, or all files of one kind in it and in the folders below, in the order of
// their names by bytes; of any kind where the model reads bytes. Hidden files do not count; a link to a folder is not
// entered, so that nothing is read twice and no circle is walked. What is no data is counted by its ending.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "data/data_parts.h"

#define MAX_DEPTH 32
#define MAX_ENTRIES ((size_t)1 << 20)
#define MAX_ENDING 12 // a longer one is no kind of file

struct listing {
    char **names; // sorted by bytes
    size_t n, capacity;
};

static void listing_done(struct listing *l) {
    for (size_t i = 0; i < l->n; i++) free(l->names[i]);
    free(l->names);
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int read_names(struct listing *l, const char *path, DIR *dir, fineprune_error *err) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno)
            return fp_fail(err, FINEPRUNE_IO, "cannot read the folder '%s': %s", path, strerror(errno));
        if (!entry) return FINEPRUNE_OK;
        if (entry->d_name[0] == '.') continue;
        if (l->n == MAX_ENTRIES)
            return fp_fail(err, FINEPRUNE_LIMIT, "the folder '%s' holds over %zu files", path, MAX_ENTRIES);
        char **grown = fp_grow(l->names, &l->capacity, l->n + 1, sizeof(*grown));
        if (grown) l->names = grown;
        char *name = NULL;
        if (grown) name = strdup(entry->d_name);
        if (!name) return fp_fail_memory(err, path, l->n * sizeof(*grown));
        l->names[l->n++] = name;
    }
}

static int list_folder(struct listing *l, const char *path, fineprune_error *err) {
    *l = (struct listing){0};
    DIR *dir = opendir(path);
    if (!dir) return fp_fail(err, FINEPRUNE_IO, "cannot read the folder '%s': %s", path, strerror(errno));
    int status = read_names(l, path, dir, err);
    closedir(dir);
    if (!status && l->n) qsort(l->names, l->n, sizeof(*l->names), compare_names);
    if (status) listing_done(l);
    return status;
}

// The number in PREFIX number SUFFIX.
static bool numbered(const char *name, const char *prefix, const char *suffix, unsigned long *number) {
    const size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || !isdigit((unsigned char)name[n])) return false;
    char *end;
    errno = 0;
    *number = strtoul(name + n, &end, 10);
    return !errno && strcmp(end, suffix) == 0;
}

// ---- test_data_set_*

// A folder with input_0.pb, input_1.pb, ...: one sample.
static int add_set(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    if (input < data->n_inputs)
        return fp_fail(err, FINEPRUNE_USAGE, "'%s' has all inputs; give it without a name", path);
    struct listing l;
    int status = list_folder(&l, path, err);
    if (status) return status;
    FP_STAGE(room, path);
    bool *seen = fp_arena_take(&room, data->n_inputs, sizeof(*seen));
    status = fp_arena_check(&room, err);
    for (size_t i = 0; i < l.n && !status; i++) {
        unsigned long number;
        if (!numbered(l.names[i], "input_", ".pb", &number)) continue;
        char *file = fp_format("%s/%s", path, l.names[i]);
        if (file) status = fp_data_add_set_file(data, file, number, seen, err);
        else status = fp_fail_memory(err, "a path", strlen(path));
        free(file);
    }
    for (size_t i = 0; i < data->n_inputs && !status; i++) {
        char text[400];
        if (!seen[i])
            status = fp_fail(err, FINEPRUNE_DATA, "'%s' has no tensor for the model's input %s", path,
                             fp_input_text(text, sizeof(text), &data->inputs[i]));
    }
    if (!status && !data->n_inputs) data->bare++;
    listing_done(&l);
    return status;
}

static int add_set_in(struct fineprune_data *data, size_t input, const char *folder, const char *name,
                      fineprune_error *err) {
    char *path = fp_format("%s/%s", folder, name);
    if (!path) return fp_fail_memory(err, "a path", strlen(folder) + strlen(name));
    int status = add_set(data, input, path, err);
    free(path);
    return status;
}

// test_data_set_0, test_data_set_1, ... in the order of their numbers.
static int add_sets(struct fineprune_data *data, size_t input, const char *path, const struct listing *l, size_t *found,
                    fineprune_error *err) {
    *found = 0;
    unsigned long number, last = 0;
    for (;;) {
        const char *next = NULL;
        unsigned long lowest = 0;
        for (size_t i = 0; i < l->n; i++)
            if (numbered(l->names[i], "test_data_set_", "", &number) && (!*found || number > last) &&
                (!next || number < lowest))
                next = l->names[i], lowest = number;
        if (!next) return FINEPRUNE_OK;
        int status = add_set_in(data, input, path, next, err);
        if (status) return status;
        last = lowest;
        ++*found;
    }
}

// ---- everything below a folder

struct found {
    char *path;
    const struct fp_file_kind *kind;
};

struct walk {
    struct fineprune_data *data;
    size_t root; // bytes of the folder's own path and the slash, which messages leave out
    struct found *files;
    size_t n, capacity;
    size_t entries, others; // all names, and those that are no data
    bool bytes;             // files of any kind are data
};

static void walk_done(struct walk *w) {
    for (size_t i = 0; i < w->n; i++) free(w->files[i].path);
    free(w->files);
}

// Takes the path over when it is kept.
static int keep_file(struct walk *w, char **path, const struct fp_file_kind *kind, fineprune_error *err) {
    struct found *grown = fp_grow(w->files, &w->capacity, w->n + 1, sizeof(*grown));
    if (!grown) return fp_fail_memory(err, *path, w->n * sizeof(*grown));
    w->files = grown;
    w->files[w->n++] = (struct found){*path, kind};
    *path = NULL;
    return FINEPRUNE_OK;
}

static int pass_over(struct walk *w, const char *name, fineprune_error *err) {
    const char *dot = strrchr(name, '.');
    char ending[MAX_ENDING + 1];
    if (!dot || !dot[1] || strlen(dot) > MAX_ENDING) dot = NULL;
    for (size_t i = 0; dot && i <= strlen(dot); i++) ending[i] = (char)tolower((unsigned char)dot[i]);
    w->others++;
    if (dot) return fp_data_pass_over(w->data, ending, err);
    return fp_data_pass_over(w->data, "without an ending", err);
}

static int enter(struct walk *w, const char *path, int depth, fineprune_error *err);

// Any file, but nothing that is none.
static int take_any(struct walk *w, char **path, fineprune_error *err) {
    struct stat st;
    if (!stat(*path, &st) && S_ISREG(st.st_mode)) return keep_file(w, path, &fp_data_bytes, err);
    w->others++;
    return fp_data_pass_over(w->data, "no file", err);
}

// A folder below that cannot be read is as a file that cannot.
static int enter_below(struct walk *w, const char *path, int depth, fineprune_error *err) {
    if (depth == MAX_DEPTH)
        return fp_fail(err, FINEPRUNE_LIMIT, "'%s' lies more than %d folders deep", path, MAX_DEPTH);
    fineprune_error inner = {0};
    int status = enter(w, path, depth + 1, &inner);
    if (status == FINEPRUNE_IO) return fp_data_bad_file(w->data, &inner, err);
    if (status && err && !err->status) *err = inner;
    return status;
}

static int take_entry(struct walk *w, char **path, const char *name, int depth, fineprune_error *err) {
    struct stat st, behind;
    unsigned long number;
    if (++w->entries > MAX_ENTRIES)
        return fp_fail(err, FINEPRUNE_LIMIT, "'%.*s' holds over %zu files", (int)w->root - 1, *path, MAX_ENTRIES);
    const bool there = !lstat(*path, &st);
    if (there && S_ISLNK(st.st_mode) && !stat(*path, &behind) && S_ISDIR(behind.st_mode))
        return fp_data_pass_over(w->data, "link to a folder", err);
    if (there && !w->bytes && S_ISDIR(st.st_mode) && numbered(name, "test_data_set_", "", &number))
        return fp_data_pass_over(w->data, "test_data_set folder", err);
    if (there && S_ISDIR(st.st_mode)) return enter_below(w, *path, depth, err);
    const struct fp_file_kind *kind = fp_data_file_kind(name);
    if (w->bytes) return take_any(w, path, err);
    if (kind) return keep_file(w, path, kind, err);
    return pass_over(w, name, err);
}

static int enter(struct walk *w, const char *path, int depth, fineprune_error *err) {
    struct listing l;
    int status = list_folder(&l, path, err);
    if (status) return status;
    for (size_t i = 0; i < l.n && !status; i++) {
        char *below = fp_format("%s/%s", path, l.names[i]);
        if (below) status = take_entry(w, &below, l.names[i], depth, err);
        else status = fp_fail_memory(err, "a path", strlen(path));
        free(below);
    }
    listing_done(&l);
    return status;
}

// The one kind of file in the folder.
static int only_kind(const struct walk *w, const char *path, const struct fp_file_kind **kind, fineprune_error *err) {
    *kind = NULL;
    size_t n = 0, m = 0;
    const struct found *other = NULL;
    for (size_t i = 0; i < w->n; i++) {
        if (!i) *kind = w->files[0].kind;
        if (!other && w->files[i].kind != *kind) other = &w->files[i];
        n += w->files[i].kind == *kind;
        m += other && w->files[i].kind == other->kind;
    }
    int status;
    if (other) {
        status = fp_fail(err, FINEPRUNE_DATA, "'%s' holds files of two kinds: %zu %s ('%s') and %zu %s ('%s')", path, n,
                         (*kind)->what, w->files[0].path + w->root, m, other->kind->what, other->path + w->root);
        fp_hint(err, "put one kind into a folder of its own, or name the files in a list: --data @list.txt");
        return status;
    }
    if (*kind) return FINEPRUNE_OK;
    status = fp_data_check_preprocess(w->data, err);
    if (status) return status;
    status = fp_fail(err, FINEPRUNE_DATA, "'%s' holds no data: %zu files, none of a known kind", path, w->others);
    fp_hint(err, "known are " FP_DATA_ACCEPTED);
    return status;
}

static size_t count_pieces(const struct fineprune_data *data) {
    size_t n = 0;
    for (size_t i = 0; i < data->n_inputs; i++) n += data->columns[i].n;
    return n;
}

static int add_files(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    struct walk w = {.data = data, .root = strlen(path) + 1, .bytes = fp_data_reads_bytes(data)};
    const size_t before = count_pieces(data);
    const struct fp_file_kind *kind;
    int status = FINEPRUNE_OK;
    if (w.bytes) status = fp_data_preprocess(data, err); // what is wrong with it is so for all files
    if (!status) status = enter(&w, path, 0, err);
    if (!status) status = only_kind(&w, path, &kind, err);
    FP_STAGE(room, path);
    char **paths = fp_arena_take(&room, w.n, sizeof(*paths));
    if (!status) status = fp_arena_check(&room, err);
    for (size_t i = 0; i < w.n && paths; i++) paths[i] = w.files[i].path;
    for (size_t i = 0, ahead = 0; i < w.n && !status; i++) {
        if (i >= ahead && kind->add == fp_data_add_image)
            ahead = i + fp_data_ahead_files(data, input, paths + i, w.n - i);
        const char *below = w.files[i].path + w.root;
        data->adding->class_folder = strchr(below, '/') ? below : NULL;
        data->adding->in_folder = true;
        data->adding->below = w.root;
        status = fp_data_add_file(data, input, w.files[i].path, kind, err);
    }
    fp_data_ahead_free(data->ahead);
    data->ahead = NULL;
    data->adding->class_folder = NULL;
    data->adding->in_folder = false;
    data->adding->below = 0;
    if (!status && w.bytes && count_pieces(data) == before && !data->adding->bad)
        status = fp_fail(err, FINEPRUNE_DATA, "'%s' holds no data: all its %zu files are too short", path, w.n);
    walk_done(&w);
    return status;
}

int fp_data_add_folder(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err) {
    struct listing l;
    int status = list_folder(&l, path, err);
    if (status) return status;
    size_t sets = 0;
    unsigned long number;
    bool is_set = false;
    for (size_t i = 0; i < l.n; i++) is_set |= numbered(l.names[i], "input_", ".pb", &number);
    const char *slash = strrchr(path, '/'), *last = path;
    if (slash) last = slash + 1;
    if (fp_data_reads_bytes(data)) is_set = false;
    if (numbered(last, "test_data_set_", "", &number)) is_set = true;
    if (is_set) status = add_set(data, input, path, err);
    else if (!fp_data_reads_bytes(data)) status = add_sets(data, input, path, &l, &sets, err);
    listing_done(&l);
    if (!status && !is_set && !sets) status = add_files(data, input, path, err);
    return status;
}
