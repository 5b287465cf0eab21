// SPDX-License-Identifier: Apache-2.0
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_empty(const char *path, bool *empty, fineprune_error *err) {
    DIR *folder = opendir(path);
    *empty = true;
    if (!folder) return fp_fail(err, FINEPRUNE_IO, "cannot read the folder '%s': %s", path, strerror(errno));
    for (struct dirent *entry; *empty && (entry = readdir(folder));)
        *empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(folder);
    return FINEPRUNE_OK;
}

// The folder that it lies in, with links followed, and a slash; NULL where there is none.
static char *real_parent(const char *path) {
    size_t n = strlen(path);
    while (n && path[n - 1] == '/') n--;
    while (n && path[n - 1] != '/') n--;
    char *parent = n ? strndup(path, n) : strdup(".");
    char *real = NULL;
    if (parent) real = realpath(parent, NULL);
    free(parent);
    return real;
}

static int check_new(const char *path, fineprune_error *err) {
    char *parent = real_parent(path);
    int status = FINEPRUNE_OK;
    if (!parent && errno == ENOMEM) status = fp_fail_memory(err, path, strlen(path));
    else if (!parent || access(parent, W_OK | X_OK))
        status = fp_fail(err, FINEPRUNE_IO, "cannot make the folder '%s': %s", path, strerror(errno));
    free(parent);
    return status;
}

int fineprune_folder_check(const char *path, bool force, fineprune_error *err) {
    struct stat st;
    if (!*path || !strcmp(path, "-")) return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is no folder", path);
    if (stat(path, &st)) return check_new(path, err);
    if (!S_ISDIR(st.st_mode)) return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is not a folder", path);
    bool empty;
    int status = is_empty(path, &empty, err);
    if (!status && !empty && !force) {
        status = fp_fail(err, FINEPRUNE_USAGE, "the output folder '%s' is not empty", path);
        fp_hint(err, "-f writes into it all the same, over files of the same names");
    }
    if (!status && access(path, W_OK | X_OK))
        status = fp_fail(err, FINEPRUNE_IO, "cannot write into '%s': %s", path, strerror(errno));
    return status;
}

int fp_folder_make(const char *path, fineprune_error *err) {
    if (!mkdir(path, 0700) || errno == EEXIST) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_IO, "cannot make the folder '%s': %s", path, strerror(errno));
}

bool fp_folder_within(const char *path, const char *other) {
    struct stat it, at;
    if (stat(other, &it) || !S_ISDIR(it.st_mode)) return false;
    char *real = realpath(path, NULL);
    if (!real) real = real_parent(path);
    bool within = false;
    for (char *slash = real; slash && !within;) {
        within = !stat(*real ? real : "/", &at) && at.st_dev == it.st_dev && at.st_ino == it.st_ino;
        slash = strrchr(real, '/');
        if (slash) *slash = '\0';
    }
    free(real);
    return within;
}
