// SPDX-License-Identifier: Apache-2.0
// Whether a file is as it was, by its size and the time of the last write.
#include "base/stamp.h"

struct fp_stamp fp_stamp_of(const struct stat *info) {
    return (struct fp_stamp){(uint64_t)info->st_dev, (uint64_t)info->st_ino, (uint64_t)info->st_size, info->st_mtim};
}

bool fp_stamp_take(struct fp_stamp *out, int fd, const char *path) {
    struct stat info;
    if (fd >= 0 ? fstat(fd, &info) : stat(path, &info)) return false;
    *out = fp_stamp_of(&info);
    return true;
}

int fp_stamp_check(const struct fp_stamp *stamp, int fd, const char *path, fineprune_error *err) {
    struct fp_stamp now;
    if (fp_stamp_take(&now, fd, path) && now.device == stamp->device && now.inode == stamp->inode &&
        now.size == stamp->size && now.written.tv_sec == stamp->written.tv_sec &&
        now.written.tv_nsec == stamp->written.tv_nsec)
        return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_IO, "'%s' has changed while it was in use", path);
}
