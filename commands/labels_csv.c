// SPDX-License-Identifier: Apache-2.0
// Labels from a table: a line `file,label` for each file of the samples, with or without a line of headings. Fields are
// read as RFC 4180 has them: in quotes they may hold commas, lines and, doubled, quotes. Blanks around a field without
// quotes do not count. A file is named by its path below the folder that is the source, as it was opened, by the last
// parts of that, or by its name alone, where no other has the same. A label is the name of a class, where the model's
// classes have names (task/task_names.h), or else its number. All mistakes of a kind are counted, and the first is
// told.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name_map.h"
#include "base/text_file.h"
#include "labels.h"
#include "task/task_names.h"

struct row {
    const char *file, *label;
    size_t line; // where it begins, from 1
};

struct table {
    const char *path;
    struct row *rows;
    size_t n, capacity;
};

// ---- the text

struct reader {
    const char *path;
    char *at, *to; // fields are written over what was read
    size_t line;
};

// *field ends where a NUL is put, *end is what stood behind it: a comma, a line's end, or NUL.
static int read_quoted(struct reader *r, char **field, fineprune_error *err) {
    const size_t line = r->line;
    *field = r->to;
    for (r->at++; *r->at != '"' || r->at[1] == '"'; r->at++) {
        if (!*r->at) return fp_fail(err, FINEPRUNE_DATA, "labels '%s', line %zu: a quote is not closed", r->path, line);
        r->at += *r->at == '"'; // a quote is two
        r->line += *r->at == '\n';
        *r->to++ = *r->at;
    }
    r->at++;
    while (*r->at == ' ' || *r->at == '\t') r->at++;
    if (!*r->at || strchr(",\r\n", *r->at)) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA,
                   "labels '%s', line %zu: a comma or the end of the line is wanted behind a quote", r->path, r->line);
}

static int read_field(struct reader *r, char **field, char *end, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    while (*r->at == ' ' || *r->at == '\t') r->at++;
    if (*r->at == '"') {
        status = read_quoted(r, field, err);
    } else {
        *field = r->to;
        while (*r->at && !strchr(",\r\n", *r->at)) *r->to++ = *r->at++;
        while (r->to > *field && (r->to[-1] == ' ' || r->to[-1] == '\t')) r->to--;
    }
    *end = *r->at;
    if (*r->at) r->at++; // before the NUL is put there
    if (*end == '\r' && *r->at == '\n') *end = *r->at++;
    *r->to++ = '\0';
    return status;
}

static int add_row(struct table *t, const struct row *row, fineprune_error *err) {
    struct row *grown = fp_grow(t->rows, &t->capacity, t->n + 1, sizeof(*grown));
    if (!grown) return fp_fail_memory(err, t->path, t->n * sizeof(*grown));
    t->rows = grown;
    t->rows[t->n++] = *row;
    return FINEPRUNE_OK;
}

// A line of the table; an empty one is none.
static int read_row(struct reader *r, struct table *t, fineprune_error *err) {
    char *fields[2] = {NULL, NULL}, *field, end = ',';
    size_t n = 0;
    const size_t line = r->line;
    for (; end == ','; n++) {
        int status = read_field(r, &field, &end, err);
        if (status) return status;
        if (n < 2) fields[n] = field;
    }
    r->line += end == '\n' || end == '\r';
    if (n == 1 && !*fields[0]) return FINEPRUNE_OK;
    if (n == 2) return add_row(t, &(struct row){fields[0], fields[1], line}, err);
    int status = fp_fail(err, FINEPRUNE_DATA, "labels '%s', line %zu: %zu field%s instead of two, file and label",
                         t->path, line, n, n == 1 ? "" : "s");
    fp_hint(err, "a name with a comma in it stands in quotes");
    return status;
}

static int read_rows(struct table *t, char *text, fineprune_error *err) {
    struct reader r = {.path = t->path, .at = text, .to = text, .line = 1};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) r.at += 3;
    int status = FINEPRUNE_OK;
    while (*r.at && !status) status = read_row(&r, t, err);
    return status;
}

// ---- files

// The files of the samples, found by their paths below their folders, and by their names.
struct files {
    const struct fineprune_data *data;
    size_t n;
    struct fp_name_map whole, names; // the latter: the last file of the name
    int *before;                     // per file: the one before it of the same name, -1: none
};

enum { NOBODY = -1, SEVERAL = -2 };

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *without_dot(const char *path) {
    while (strncmp(path, "./", 2) == 0) path += 2;
    return path;
}

static int list_files(struct files *f, struct fp_arena *room, fineprune_error *err) {
    f->n = fp_data_files(f->data);
    f->before = fp_arena_take(room, f->n, sizeof(*f->before));
    int status = fp_arena_check(room, err);
    if (!status && f->n > INT32_MAX) status = fp_fail(err, FINEPRUNE_LIMIT, "%zu files are too many", f->n);
    for (size_t i = 0; i < f->n && !status; i++) {
        size_t below;
        const char *path = fp_data_file(f->data, i, &below);
        if (!path) continue;
        const char *whole = without_dot(path + below);
        f->before[i] = fp_name_find(&f->names, name_of(path));
        const int there = fp_name_find(&f->whole, whole) >= 0 ? (int)f->n : (int)i; // n: several have it
        if (!fp_name_set(&f->names, name_of(path), (int)i) || !fp_name_set(&f->whole, whole, there))
            status = fp_fail_memory(err, "the files", f->n * sizeof(struct fp_name_entry));
    }
    return status;
}

// Whether one path is the end of the other, from a slash on.
static bool ends_alike(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    if (n < m) return ends_alike(b, a);
    return strcmp(a + n - m, b) == 0 && (n == m || a[n - m - 1] == '/');
}

static int find_file(const struct files *f, const char *name) {
    name = without_dot(name);
    const int whole = fp_name_find(&f->whole, name);
    if (whole >= 0 && (size_t)whole < f->n) return whole;
    int found = NOBODY;
    for (int i = fp_name_find(&f->names, name_of(name)); i >= 0; i = f->before[i]) {
        size_t below;
        if (!ends_alike(without_dot(fp_data_file(f->data, (size_t)i, &below)), name)) continue;
        if (found >= 0) return SEVERAL;
        found = i;
    }
    return found;
}

// One that was left out because it cannot be used.
static bool is_left_out(const struct files *f, const char *name) {
    const char *path;
    for (size_t i = 0; (path = fp_data_left_out(f->data, i)); i++)
        if (ends_alike(without_dot(path), without_dot(name))) return true;
    return false;
}

// ---- classes

struct classes {
    struct fp_task_names names;
    size_t width;             // 0: not known
    struct fp_name_map known; // labels that were looked up: class - SEVERAL, which is no less than 0
    const char *guess;        // for the first that is unknown
};

static int look_up(struct classes *c, const char *label) {
    size_t index = 0;
    const char *guess = NULL;
    if (c->names.names) {
        const size_t n = fp_task_names_match(&c->names, label, &index, &guess);
        if (n == 1 && index < INT32_MAX - 2) return (int)index;
        if (n) return SEVERAL;
    }
    char *end;
    const unsigned long number = strtoul(label, &end, 10);
    const size_t width = c->names.names ? c->names.n : c->width;
    if (isdigit((unsigned char)label[0]) && !*end && number < (width ? width : INT32_MAX - 2)) return (int)number;
    if (!c->guess) c->guess = guess;
    return NOBODY;
}

static int class_of(struct classes *c, const char *label, int *class, fineprune_error *err) {
    const int known = fp_name_find(&c->known, label);
    *class = known >= 0 ? known + SEVERAL : look_up(c, label);
    if (known < 0 && !fp_name_add(&c->known, label, *class - SEVERAL))
        return fp_fail_memory(err, "the labels", strlen(label));
    return FINEPRUNE_OK;
}

// ---- the whole

enum { NO_FILE, TWO_FILES, NO_CLASS, TWO_CLASSES, TWICE, MISTAKES };
struct mistakes {
    size_t n[MISTAKES];
    const struct row *first[MISTAKES];
};

static void note(struct mistakes *m, int kind, const struct row *row) {
    if (!m->n[kind]++) m->first[kind] = row;
}

static int fail_mistakes(const struct mistakes *m, const struct table *t, const struct classes *c,
                         fineprune_error *err) {
    static const struct {
        const char *what;
        bool label; // the word that is wrong; else the file
    } kinds[MISTAKES] = {{"is no file of the samples", false},
                         {"may be several files of the samples", false},
                         {"is none of the model's classes", true},
                         {"may be several of the model's classes", true},
                         {"has another label on a line before", false}};
    for (int k = 0; k < MISTAKES; k++) {
        if (!m->n[k]) continue;
        const struct row *row = m->first[k];
        fp_fail(err, FINEPRUNE_DATA, "labels '%s', line %zu: '%s' %s; %zu such line%s in all", t->path, row->line,
                kinds[k].label ? row->label : row->file, kinds[k].what, m->n[k], m->n[k] == 1 ? "" : "s");
        if (k == NO_FILE) fp_hint(err, "files are named by their paths below the folder of --data, or by their names");
        if (k == TWO_FILES) fp_hint(err, "give the path below the folder of --data");
        if (k == NO_CLASS && c->guess) fp_hint(err, "did you mean '%s'?", c->guess);
        else if (k == NO_CLASS && !c->names.names)
            fp_hint(err, "a labels.txt beside the model, one name a line, says which class has which name; or give "
                         "class numbers, from 0");
        return FINEPRUNE_DATA;
    }
    return FINEPRUNE_OK;
}

// A first line that names neither a file nor a class.
static bool is_heading(const struct files *f, struct classes *c, const struct row *row) {
    const bool none = find_file(f, row->file) == NOBODY && !is_left_out(f, row->file) && look_up(c, row->label) < 0;
    c->guess = NULL;
    return none;
}

// classes_of: of each file, NOBODY where there is none yet.
static int take_rows(int *classes_of, const struct table *t, const struct files *f, struct classes *c,
                     fineprune_error *err) {
    struct mistakes wrong = {0};
    for (size_t i = t->n && is_heading(f, c, t->rows); i < t->n; i++) {
        const struct row *row = &t->rows[i];
        const int file = find_file(f, row->file);
        int class, status = class_of(c, row->label, &class, err);
        if (status) return status;
        if (file == NOBODY && is_left_out(f, row->file)) continue;
        if (file < 0) note(&wrong, file == NOBODY ? NO_FILE : TWO_FILES, row);
        if (class < 0) note(&wrong, class == NOBODY ? NO_CLASS : TWO_CLASSES, row);
        if (file < 0 || class < 0) continue;
        if (classes_of[file] >= 0 && classes_of[file] != class) note(&wrong, TWICE, row);
        classes_of[file] = class;
    }
    return fail_mistakes(&wrong, t, c, err);
}

static int give_samples(int64_t *classes, const int *classes_of, const struct table *t,
                        const struct fineprune_data *data, fineprune_error *err) {
    const size_t n = fineprune_data_samples(data);
    size_t missing = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        classes[i] = classes_of[fp_data_file_of(data, i)];
        if (classes[i] < 0 && !missing++) first = i;
    }
    if (!missing) return FINEPRUNE_OK;
    char where[300];
    return fp_fail(err, FINEPRUNE_DATA, "labels '%s' have none for %zu of %zu samples; the first: %s", t->path, missing,
                   n, fp_data_where(data, first, where, sizeof(where)));
}

static int read_table(int64_t *classes, const struct fineprune_model *model, struct table *t, struct files *f,
                      struct classes *c, fineprune_error *err) {
    FP_STAGE(room, "the labels");
    int status = fp_task_names_find(&c->names, model, c->width, &room, err);
    if (!status) status = list_files(f, &room, err);
    int *classes_of = fp_arena_take(&room, f->n, sizeof(*classes_of));
    if (!status) status = fp_arena_check(&room, err);
    for (size_t i = 0; i < f->n && !status; i++) classes_of[i] = NOBODY;
    if (!status) status = take_rows(classes_of, t, f, c, err);
    if (!status) status = give_samples(classes, classes_of, t, f->data, err);
    return status;
}

static bool has_files(const struct fineprune_data *data) {
    size_t below;
    for (size_t i = 0; i < fp_data_files(data); i++)
        if (fp_data_file(data, i, &below)) return true;
    return false;
}

int fp_labels_read_csv(int64_t *classes, const struct fineprune_model *model, size_t width,
                       const struct fineprune_data *data, const char *path, fineprune_error *err) {
    struct table t = {.path = path};
    struct files f = {.data = data};
    struct classes c = {.width = width};
    char *text = NULL;
    if (!has_files(data))
        return fp_fail(err, FINEPRUNE_DATA, "labels '%s' are of files, and the samples are in none", path);
    int status = fp_text_read(&text, path, "the labels", err);
    if (!status) status = read_rows(&t, text, err);
    if (!status) status = read_table(classes, model, &t, &f, &c, err);
    fp_name_map_done(&f.whole);
    fp_name_map_done(&f.names);
    fp_name_map_done(&c.known);
    free(t.rows);
    free(text);
    return status;
}
