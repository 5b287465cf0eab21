// SPDX-License-Identifier: Apache-2.0
// A file of any kind as a row of numbers: the bytes at its beginning and at its end.
#ifndef FP_FILE_BYTES_H
#define FP_FILE_BYTES_H

#include "base/base.h"
#include "base/stamp.h"

#define FP_MOST_BYTES (INT64_C(1) << 24) // of one end

struct fp_bytes {
    int64_t head, tail; // how many numbers from each end, both 0: files are not taken so
    int64_t block;      // of so many bytes from each end white space is taken away; no fewer than head and tail
    int64_t padding;    // stands behind a beginning and before an end that are shorter
    int64_t least;      // a file with fewer bytes left is no sample
    bool strip;         // white space before the beginning and behind the end is taken away
};

// Fills row [head + tail]. *n: how many bytes at the beginning (with no head: at the end) are left. *stamp: of the file
// as it was read. Errors: IO, LIMIT.
int fp_bytes_read(int32_t *row, size_t *n, const struct fp_bytes *bytes, const char *path, struct fp_stamp *stamp,
                  fineprune_error *err);

#endif
