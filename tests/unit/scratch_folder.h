// SPDX-License-Identifier: Apache-2.0
// A folder of its own for each test that writes files; set up and torn down by cmocka's hooks. *state is its path.
#ifndef SCRATCH_FOLDER_H
#define SCRATCH_FOLDER_H

#include "base/base.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static inline int scratch_set_up(void **state) {
    char *folder = strdup("/tmp/fineprune-test-XXXXXX");
    if (!folder || !mkdtemp(folder)) return -1;
    *state = folder;
    return 0;
}

static inline int scratch_remove(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static inline int scratch_tear_down(void **state) {
    int result = nftw(*state, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

// "FOLDER/name" in one of a few buffers that are used in turn.
static inline const char *scratch_path(void **state, const char *name) {
    static char buffers[8][300];
    static int turn;
    char *dst = buffers[turn++ % 8];
    snprintf(dst, sizeof(buffers[0]), "%s/%s", (const char *)*state, name);
    return dst;
}

static inline void scratch_write(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

// The whole file, malloc'ed and terminated.
static inline uint8_t *scratch_read(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    data[*size] = 0;
    fclose(f);
    return data;
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_set_up, scratch_tear_down)

#endif
