// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST (64 << 20) // bytes

int fp_text_read(char **out, const char *path, const char *what, fineprune_error *err) {
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return fp_fail(err, FINEPRUNE_IO, "cannot read %s '%s': not a regular file", what, path);
    FILE *f = fopen(path, "rbe");
    if (!f) return fp_fail(err, FINEPRUNE_IO, "cannot read %s '%s': %s", what, path, strerror(errno));
    char *text = NULL;
    size_t capacity = 0, n = 0, got = 1;
    int status = FINEPRUNE_OK;
    while (got && !status) {
        char *grown = fp_grow(text, &capacity, n + 4096, 1);
        if (grown) text = grown;
        if (grown) got = fread(text + n, 1, capacity - n - 1, f);
        else got = 0;
        n += got;
        if (!grown) status = fp_fail_memory(err, path, n);
        else if (n > MOST) status = fp_fail(err, FINEPRUNE_LIMIT, "%s '%s' is over %d bytes", what, path, MOST);
    }
    if (!status && ferror(f))
        status = fp_fail(err, FINEPRUNE_IO, "cannot read %s '%s': %s", what, path, strerror(errno));
    fclose(f);
    if (status) {
        free(text);
        return status;
    }
    text[n] = '\0';
    if (memchr(text, 0, n)) {
        free(text);
        return fp_fail(err, FINEPRUNE_DATA, "%s '%s' is not a text file", what, path);
    }
    *out = text;
    return FINEPRUNE_OK;
}
