// SPDX-License-Identifier: Apache-2.0
// Which files the samples come from, by what the system calls them, so that none is overwritten.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/output.h"
#include "data/data_parts.h"
#include "data/preprocess.h"

int fp_data_note_file(struct fineprune_data *data, const char *path, fineprune_error *err) {
    struct fp_stamp stamp;
    if (!fp_stamp_take(&stamp, strcmp(path, "-") ? -1 : STDIN_FILENO, path)) return FINEPRUNE_OK; // its reader tells
    struct fp_stamp *grown = fp_grow(data->reads, &data->reads_capacity, data->n_reads + 1, sizeof(*grown));
    if (!grown) return fp_fail_memory(err, path, data->n_reads * sizeof(*grown));
    data->reads = grown;
    data->reads[data->n_reads++] = stamp;
    return FINEPRUNE_OK;
}

bool fineprune_data_reads(const fineprune_data *data, const char *path) {
    const struct fp_preprocess *p = data->preprocess;
    struct stat st;
    if (p && p->path && fp_output_harms(path, p->path)) return true;
    if (strcmp(path, "-") ? stat(path, &st) : fstat(STDOUT_FILENO, &st)) return false;
    const struct fp_stamp stamp = fp_stamp_of(&st);
    for (size_t i = 0; i < data->n_reads && S_ISREG(st.st_mode); i++)
        if (data->reads[i].device == stamp.device && data->reads[i].inode == stamp.inode) return true;
    return false;
}
