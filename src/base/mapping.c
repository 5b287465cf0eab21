// SPDX-License-Identifier: Apache-2.0
// Memory-mapped input files, their changed pages, and pages that are not needed.
#include "base/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROP_FROM ((size_t)1 << 20) // smaller ranges stay

static int map_descriptor(struct fp_mapping *mapping, int fd, const char *path, fineprune_error *err) {
    struct stat info;
    if (fstat(fd, &info)) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': not a regular file", path);
    mapping->size = (size_t)info.st_size;
    mapping->stamp = fp_stamp_of(&info);
    if (!mapping->size) return FINEPRUNE_OK;
    // NORESERVE: only pages that get pruned become memory of ours.
    void *data = mmap(NULL, mapping->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (data == MAP_FAILED) return fp_fail(err, FINEPRUNE_IO, "cannot map '%s': %s", path, strerror(errno));
    mapping->data = data;
    return FINEPRUNE_OK;
}

int fp_mapping_open(struct fp_mapping **out, const char *path, fineprune_error *err) {
    struct fp_mapping *mapping = calloc(1, sizeof(*mapping));
    if (!mapping) return fp_fail_memory(err, "a mapping", sizeof(*mapping));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int status = fd < 0 ? fp_fail(err, FINEPRUNE_IO, "cannot open '%s': %s", path, strerror(errno))
                        : map_descriptor(mapping, fd, path, err);
    if (fd >= 0) close(fd);
    if (!status && !(mapping->path = strdup(path))) status = fp_fail_memory(err, "a path", strlen(path));
    if (status) fp_mapping_free(mapping);
    else *out = mapping;
    return status;
}

// All of standard input into fd, which knows no length of what comes.
static int take_standard_input(int fd, size_t most, fineprune_error *err) {
    enum { PIECE = 1 << 16 };
    char *piece = malloc(PIECE);
    size_t size = 0;
    ssize_t n = 1;
    int status = piece ? FINEPRUNE_OK : fp_fail_memory(err, "standard input", PIECE);
    if (!status && isatty(STDIN_FILENO)) status = fp_fail(err, FINEPRUNE_IO, "standard input is a terminal, no model");
    while (!status && n) {
        n = read(STDIN_FILENO, piece, PIECE);
        if (n < 0 && errno == EINTR) n = 1;
        else if (n < 0 || (n && write(fd, piece, (size_t)n) != n))
            status = fp_fail(err, FINEPRUNE_IO, "cannot read standard input: %s", strerror(errno));
        else if ((size += (size_t)n) > most)
            status = fp_fail(err, FINEPRUNE_LIMIT, "standard input is over %zu bytes, which are too many", most);
    }
    free(piece);
    return status;
}

int fp_mapping_standard_input(struct fp_mapping **out, size_t most, fineprune_error *err) {
    struct fp_mapping *mapping = calloc(1, sizeof(*mapping));
    if (!mapping) return fp_fail_memory(err, "a mapping", sizeof(*mapping));
    int fd = memfd_create("standard input", MFD_CLOEXEC);
    int status = FINEPRUNE_OK;
    if (fd < 0) status = fp_fail(err, FINEPRUNE_IO, "cannot keep standard input: %s", strerror(errno));
    if (!status) status = take_standard_input(fd, most, err);
    if (!status) status = map_descriptor(mapping, fd, "-", err);
    if (fd >= 0) close(fd);
    if (!status && !(mapping->path = strdup("-"))) status = fp_fail_memory(err, "a path", 1);
    if (status) fp_mapping_free(mapping);
    else *out = mapping;
    return status;
}

int fp_mapping_bytes(struct fp_mapping **out, const void *bytes, size_t size, fineprune_error *err) {
    struct fp_mapping *mapping = calloc(1, sizeof(*mapping));
    if (!mapping || !(mapping->path = strdup(""))) {
        free(mapping);
        return fp_fail_memory(err, "a mapping", sizeof(*mapping));
    }
    void *data = MAP_FAILED;
    if (size) data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (size && data == MAP_FAILED) {
        fp_mapping_free(mapping);
        return fp_fail_memory(err, "the model", size);
    }
    if (size) mapping->data = memcpy(data, bytes, size);
    mapping->size = size;
    *out = mapping;
    return FINEPRUNE_OK;
}

int fp_mapping_unchanged(const struct fp_mapping *list, fineprune_error *err) {
    for (; list; list = list->next) {
        struct fp_stamp now;
        if (!fp_stamp_take(&now, -1, list->path) || now.device != list->stamp.device || now.inode != list->stamp.inode)
            continue; // what is mapped is still the old file
        int status = fp_stamp_check(&list->stamp, -1, list->path, err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

void fp_mapping_free(struct fp_mapping *list) {
    while (list) {
        struct fp_mapping *next = list->next;
        if (list->data) munmap(list->data, list->size);
        if (list->scratch > 0) close(list->scratch);
        free(list->changed);
        free(list->location);
        free(list->path);
        free(list);
        list = next;
    }
}

static struct fp_mapping *mapping_of(const struct fp_mapping *list, const void *data) {
    for (; list; list = list->next)
        if ((const uint8_t *)data >= list->data && (const uint8_t *)data < list->data + list->size)
            return (struct fp_mapping *)list;
    return NULL;
}

bool fp_mapping_holds(const struct fp_mapping *list, const void *data) { return mapping_of(list, data) != NULL; }

bool fp_mapping_is_large(const struct fp_mapping *list) {
    size_t sum = 0;
    for (; list && sum < FP_LARGE_FILES; list = list->next) sum += list->size;
    return sum >= FP_LARGE_FILES;
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// ---- changes

int fp_mapping_mark(struct fp_mapping *list, const void *data, size_t size, fineprune_error *err) {
    struct fp_mapping *m = mapping_of(list, data);
    if (!m || !size) return FINEPRUNE_OK;
    size_t page = page_size(), at = (size_t)((const uint8_t *)data - m->data);
    if (!m->changed) m->changed = fp_calloc(m->size / page / 8 + 1, 1);
    if (!m->changed) return fp_fail_memory(err, "the list of changed pages", m->size / page / 8);
    for (size_t i = at / page; i <= (at + size - 1) / page; i++) m->changed[i / 8] |= (uint8_t)(1u << i % 8);
    return FINEPRUNE_OK;
}

static int copy_marked(struct fp_mapping *list, void *dst, const void *src, size_t size, fineprune_error *err) {
    int status = fp_mapping_mark(list, dst, size, err);
    if (!status && size) memcpy(dst, src, size);
    return status;
}

static int open_scratch(struct fp_mapping *m, const char *folder, fineprune_error *err) {
    if (m->scratch > 0) return FINEPRUNE_OK;
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { // not every file system has unnamed files
        char *name = fp_format("%s/.fineprune-XXXXXX", folder);
        if (name) fd = mkostemp(name, O_CLOEXEC);
        else fd = -1;
        if (fd >= 0) unlink(name);
        free(name);
    }
    if (fd <= 0)
        return fp_fail(err, FINEPRUNE_IO, "cannot create a temporary file in '%s': %s", folder, strerror(errno));
    m->scratch = fd;
    return FINEPRUNE_OK;
}

static int write_at(int fd, const uint8_t *src, size_t size, size_t at, fineprune_error *err) {
    while (size) {
        ssize_t n = pwrite(fd, src, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return fp_fail(err, FINEPRUNE_IO, "cannot write a temporary file: %s", strerror(n < 0 ? errno : EIO));
        src += n, at += (size_t)n, size -= (size_t)n;
    }
    return FINEPRUNE_OK;
}

// The whole pages within a range: false when there are none.
static bool inner_pages(const struct fp_mapping *m, const void *data, size_t size, size_t *from, size_t *to) {
    size_t page = page_size(), start = (size_t)((const uint8_t *)data - m->data);
    *from = (start + page - 1) / page * page;
    *to = (start + size) / page * page;
    return *from < *to;
}

int fp_mapping_write(struct fp_mapping *list, const char *folder, void *dst, const void *src, size_t size,
                     fineprune_error *err) {
    struct fp_mapping *m = NULL;
    if (folder && size >= DROP_FROM && fp_mapping_is_large(list)) m = mapping_of(list, dst);
    size_t from, to, page = page_size();
    if (!m || !inner_pages(m, dst, size, &from, &to)) return copy_marked(list, dst, src, size, err);
    size_t start = (size_t)((uint8_t *)dst - m->data);
    int status = open_scratch(m, folder, err);
    if (!status) status = write_at(m->scratch, (const uint8_t *)src + (from - start), to - from, from, err);
    if (!status && mmap(m->data + from, to - from, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m->scratch,
                        (off_t)from) == MAP_FAILED)
        status = fp_fail(err, FINEPRUNE_IO, "cannot map a temporary file: %s", strerror(errno));
    if (status) return status;
    for (size_t i = from / page; m->changed && i < to / page; i++) m->changed[i / 8] &= (uint8_t)~(1u << i % 8);
    status = copy_marked(list, dst, src, from - start, err);
    if (status) return status;
    return copy_marked(list, m->data + to, (const uint8_t *)src + (to - start), start + size - to, err);
}

// ---- pages that are not needed

void fp_mapping_drop(const struct fp_mapping *list, const void *data, size_t size) {
    const struct fp_mapping *m = NULL;
    if (size >= DROP_FROM && fp_mapping_is_large(list)) m = mapping_of(list, data);
    size_t from, to, page = page_size();
    if (!m || !inner_pages(m, data, size, &from, &to)) return;
    for (size_t i = from / page, end = to / page, first; i < end; i++) {
        for (first = i; i < end && !(m->changed && m->changed[i / 8] >> i % 8 & 1); i++) {
        }
        if (i > first) (void)madvise(m->data + first * page, (i - first) * page, MADV_DONTNEED);
    }
}
