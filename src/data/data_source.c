// SPDX-License-Identifier: Apache-2.0
// What the text after --data stands for: random data, a list, standard input, a file by its ending, or a folder
// (data_folder.c).
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/text_file.h"
#include "data/data_parts.h"

// ---- lists

// A line is a source, [NAME=]SRC, its path relative to the list's folder.
static int add_line(struct fineprune_data *data, size_t input, const char *list, const char *line, int depth,
                    fineprune_error *err) {
    if (input == data->n_inputs) input = fp_data_split(data, &line);
    const char *slash = strrchr(list, '/');
    const bool relative = slash && line[0] != '/' && line[0] != '@' && strncmp(line, "random", 6) != 0;
    char *path;
    if (relative) path = fp_format("%.*s/%s", (int)(slash - list), list, line);
    else path = strdup(line);
    if (!path) return fp_fail_memory(err, "a path", strlen(line));
    int status = fp_data_add_source(data, input, path, depth, err);
    free(path);
    return status;
}

static int add_list(struct fineprune_data *data, size_t input, const char *path, int depth, fineprune_error *err) {
    if (depth) return fp_fail(err, FINEPRUNE_DATA, "the list '%s' is named in a list; only one level is read", path);
    char *text = NULL, *rest = NULL;
    int status = fp_data_note_file(data, path, err);
    if (!status) status = fp_text_read(&text, path, "the list", err);
    if (status) return status;
    size_t lines = 0;
    for (char *line = strtok_r(text, "\r\n", &rest); line && !status; line = strtok_r(NULL, "\r\n", &rest)) {
        while (isspace((unsigned char)*line)) line++;
        size_t n = strlen(line);
        while (n && isspace((unsigned char)line[n - 1])) line[--n] = '\0';
        if (!*line || *line == '#') continue;
        lines++;
        status = add_line(data, input, path, line, depth + 1, err);
    }
    free(text);
    if (!status && !lines) status = fp_fail(err, FINEPRUNE_DATA, "the list '%s' names no files", path);
    return status;
}

// ---- all of them

static int fail_source(const struct fineprune_data *data, const char *source, fineprune_error *err) {
    const int error = errno;
    const char *equals = strchr(source, '=');
    char text[600];
    if (equals && !memchr(source, '/', (size_t)(equals - source)))
        return fp_fail(err, FINEPRUNE_DATA, "'%.*s' is not an input of the model; its inputs are %s",
                       (int)(equals - source), source,
                       fp_inputs_text(text, sizeof(text), data->inputs, data->n_inputs));
    int status = FINEPRUNE_IO;
    if (error == ENOENT) status = FINEPRUNE_DATA;
    return fp_fail(err, status, "cannot read the data '%s': %s", source, strerror(error));
}

int fp_data_add_source(struct fineprune_data *data, size_t input, const char *source, int depth, fineprune_error *err) {
    if (strcmp(source, "random") == 0) return fp_data_add_random(data, input, NULL, err);
    if (strncmp(source, "random:", 7) == 0) return fp_data_add_random(data, input, source + 7, err);
    if (source[0] == '@') return add_list(data, input, source + 1, depth, err);
    if (strcmp(source, "-") == 0) {
        int status = fp_data_note_file(data, source, err);
        return status ? status : fp_data_add_npz(data, input, source, err);
    }
    struct stat st;
    if (stat(source, &st)) {
        fineprune_error inner = {0};
        if (!depth) return fail_source(data, source, err);
        fail_source(data, source, &inner);
        data->adding->out_of_step |= input < data->n_inputs && data->n_inputs > 1;
        return fp_data_bad_file(data, &inner, err);
    }
    if (S_ISDIR(st.st_mode)) {
        char *path = strdup(source);
        if (!path) return fp_fail_memory(err, "a path", strlen(source));
        for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = '\0';
        int status = fp_data_add_folder(data, input, path, err);
        free(path);
        return status;
    }
    const struct fp_file_kind *kind = fp_data_file_kind(source);
    if (!fp_data_holds_arrays(kind) && fp_data_reads_bytes(data)) kind = &fp_data_bytes;
    if (kind) return fp_data_add_file(data, input, source, kind, err);
    int status = fp_data_check_preprocess(data, err);
    if (status) return status;
    status = fp_fail(err, FINEPRUNE_DATA, "'%s' is not a kind of file that is known as data", source);
    fp_hint(err, "known are " FP_DATA_ACCEPTED);
    return status;
}
