// SPDX-License-Identifier: Apache-2.0
// Memory-mapped input files.
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_descriptor(struct fp_mapping *mapping, int fd, const char *path, fineprune_error *err) {
    struct stat info;
    if (fstat(fd, &info)) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': not a regular file", path);
    mapping->size = (size_t)info.st_size;
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
    if (status) free(mapping);
    else *out = mapping;
    return status;
}

void fp_mapping_free(struct fp_mapping *list) {
    while (list) {
        struct fp_mapping *next = list->next;
        if (list->data) munmap(list->data, list->size);
        free(list->location);
        free(list);
        list = next;
    }
}

bool fp_mapping_holds(const struct fp_mapping *list, const void *data) {
    for (; list; list = list->next)
        if ((const uint8_t *)data >= list->data && (const uint8_t *)data < list->data + list->size) return true;
    return false;
}
