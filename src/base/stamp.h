// SPDX-License-Identifier: Apache-2.0
// Whether a file is as it was: what is read more than once, or in pieces, must not be two things mixed.
#ifndef FP_STAMP_H
#define FP_STAMP_H

#include "base/base.h"

#include <sys/stat.h>
#include <time.h>

struct fp_stamp {
    uint64_t device, inode, size;
    struct timespec written; // as far as the file system's clock tells
};

struct fp_stamp fp_stamp_of(const struct stat *info);
// Of an open file (fd >= 0), or of what the path leads to. False where neither is there.
bool fp_stamp_take(struct fp_stamp *out, int fd, const char *path);
// OK, or IO with "'path' has changed while it was in use".
int fp_stamp_check(const struct fp_stamp *stamp, int fd, const char *path, fineprune_error *err);

#endif
