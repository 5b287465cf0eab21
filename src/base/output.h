// SPDX-License-Identifier: Apache-2.0
// Every file that is written: a temporary file in the target's folder, fsync, rename, fsync of the folder. Nothing is
// left on failure.
#ifndef FP_OUTPUT_H
#define FP_OUTPUT_H

#include "base/base.h"

#include <stdio.h>

struct fp_output;
// path "-" is standard output (written at fp_output_commit's time or as it comes). An existing path is refused without
// force (USAGE). A target that is not a regular file (/dev/full, a fifo) is written directly.
int fp_output_open(struct fp_output **out, const char *path, bool force, fineprune_error *err);
// The same for what tells about the user's data: nobody else may read a new file.
int fp_output_open_private(struct fp_output **out, const char *path, bool force, fineprune_error *err);
// Into memory, to be taken with fp_output_take.
int fp_output_memory(struct fp_output **out, fineprune_error *err);
// What was written to memory, malloc'ed; frees `output`, also on failure.
int fp_output_take(struct fp_output *output, void **bytes, size_t *size, fineprune_error *err);
int fp_output_write(struct fp_output *output, const void *data, size_t size, fineprune_error *err);
FILE *fp_output_stream(struct fp_output *output); // the same file, buffered
// Flush, fsync, rename; frees `output`, also on failure.
int fp_output_commit(struct fp_output *output, fineprune_error *err);
// The same without the rename when there is a group: that is for fineprune_group_finish.
int fp_output_hold(struct fp_output *output, struct fineprune_group *group, fineprune_error *err);
void fp_output_abandon(struct fp_output *output); // removes the temporary file; accepts NULL
// Removes the temporary files of all outputs that are open: for a signal handler (async-signal-safe).
void fp_output_emergency(void);
// Whether two paths are the same file (by path, link or inode).
bool fp_same_file(const char *a, const char *b);
// Whether writing the output would cost the input: they are one file ("-" is standard output there, standard input
// here), or the input is named as what a killed run leaves of that output, which is removed.
bool fp_output_harms(const char *output, const char *input);

#endif
