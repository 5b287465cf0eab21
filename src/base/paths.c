// SPDX-License-Identifier: Apache-2.0
// What a program asks about its outputs before, while and after it works: may this path be written, write this text,
// clean up.
#include "base/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_folder(const char *path, fineprune_error *err) {
    const char *slash = strrchr(path, '/');
    char *folder;
    if (!slash) folder = strdup(".");
    else if (slash == path) folder = strdup("/");
    else folder = strndup(path, (size_t)(slash - path));
    if (!folder) return fp_fail_memory(err, "a path", strlen(path));
    struct stat st;
    int status = FINEPRUNE_OK;
    if (stat(folder, &st))
        status = fp_fail(err, FINEPRUNE_IO, "cannot write '%s': the folder '%s': %s", path, folder, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        status = fp_fail(err, FINEPRUNE_USAGE, "cannot write '%s': '%s' is not a folder", path, folder);
    else if (access(folder, W_OK | X_OK))
        status = fp_fail(err, FINEPRUNE_IO, "cannot write '%s': the folder '%s': %s", path, folder, strerror(errno));
    free(folder);
    return status;
}

int fineprune_output_check(const char *path, const char *input, bool force, fineprune_error *err) {
    const bool standard = strcmp(path, "-") == 0;
    if (input && fp_output_harms(path, input)) {
        int status = fp_fail(err, FINEPRUNE_USAGE, "output '%s' is the input '%s'", standard ? "standard output" : path,
                             strcmp(input, "-") ? input : "standard input");
        fp_hint(err, "give the output another name; an input is never overwritten");
        return status;
    }
    if (standard) return FINEPRUNE_OK;
    size_t length = strlen(path);
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (!exists && errno == ELOOP) return fp_fail(err, FINEPRUNE_IO, "cannot write '%s': %s", path, strerror(errno));
    if (!exists && errno == ENOENT && lstat(path, &st) == 0)
        return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a link to nothing", path);
    if ((exists && S_ISDIR(st.st_mode)) || !length || path[length - 1] == '/')
        return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a folder", path);
    if (exists && !S_ISREG(st.st_mode)) return FINEPRUNE_OK;
    if (exists && !force) {
        int status = fp_fail(err, FINEPRUNE_USAGE, "output '%s' exists", path);
        fp_hint(err, "-f overwrites it");
        return status;
    }
    return check_folder(path, err);
}

int fineprune_text_save(const char *path, const char *text, bool force, fineprune_group *group, fineprune_error *err) {
    struct fp_output *output;
    int status = fp_output_open_private(&output, path, force, err);
    if (status) return status;
    status = fp_output_write(output, text, strlen(text), err);
    if (!status) return fp_output_hold(output, group, err);
    fp_output_abandon(output);
    return status;
}

void fineprune_emergency(void) { fp_output_emergency(); }
