// SPDX-License-Identifier: Apache-2.0
#include "data/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

// As isspace in the C locale, which no host may change.
static bool is_white(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int read_at(int fd, uint8_t *dst, size_t n, off_t at, const char *path, fineprune_error *err) {
    while (n) {
        const ssize_t got = pread(fd, dst, n, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
        if (!got) return fp_fail(err, FINEPRUNE_IO, "'%s' has changed while it was in use", path);
        dst += got, n -= (size_t)got, at += got;
    }
    return FINEPRUNE_OK;
}

static void fill(int32_t *row, int64_t n, int64_t padding) {
    for (int64_t i = 0; i < n; i++) row[i] = (int32_t)padding;
}

// The first bytes of a block, then padding. Returns how many they are.
static size_t put_head(int32_t *row, const struct fp_bytes *b, const uint8_t *block, size_t n) {
    size_t from = 0;
    while (b->strip && from < n && is_white(block[from])) from++;
    const size_t taken = fp_least(n - from, (size_t)b->head);
    for (size_t i = 0; i < taken; i++) row[i] = block[from + i];
    fill(row + taken, b->head - (int64_t)taken, b->padding);
    return taken;
}

// Padding, then the last bytes of a block.
static size_t put_tail(int32_t *row, const struct fp_bytes *b, const uint8_t *block, size_t n) {
    while (b->strip && n && is_white(block[n - 1])) n--;
    const size_t taken = fp_least(n, (size_t)b->tail), padding = (size_t)b->tail - taken;
    fill(row, (int64_t)padding, b->padding);
    for (size_t i = 0; i < taken; i++) row[padding + i] = block[n - taken + i];
    return taken;
}

static int read_open(int fd, int32_t *row, size_t *n, const struct fp_bytes *b, const char *path,
                     struct fp_stamp *stamp, fineprune_error *err) {
    struct stat st;
    if (fstat(fd, &st)) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    *stamp = fp_stamp_of(&st);
    const int64_t size = fp_least_int(st.st_size, b->block);
    FP_STAGE(room, path);
    uint8_t *block = fp_arena_take(&room, (size_t)size, 1);
    int status = fp_arena_check(&room, err);
    size_t head = 0, tail = 0;
    if (!status && b->head) status = read_at(fd, block, (size_t)size, 0, path, err);
    if (!status && b->head) head = put_head(row, b, block, (size_t)size);
    if (!status && b->tail) status = read_at(fd, block, (size_t)size, st.st_size - size, path, err);
    if (!status && b->tail) tail = put_tail(row + b->head, b, block, (size_t)size);
    *n = b->head ? head : tail;
    return status;
}

int fp_bytes_read(int32_t *row, size_t *n, const struct fp_bytes *bytes, const char *path, struct fp_stamp *stamp,
                  fineprune_error *err) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    int status = read_open(fd, row, n, bytes, path, stamp, err);
    close(fd);
    return status;
}
