// SPDX-License-Identifier: Apache-2.0
// How files became samples, in a line: "photos: 200 of 212 files, shorter side 256 bicubic, centre 224, x/255, ImageNet
// mean; by preprocessor_config.json".
#include <stdio.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "data/data_parts.h"
#include "data/preprocess.h"

static void tell_files(const struct fineprune_data *data, const struct fp_column *column,
                       const struct fp_piece_kind *kind, FILE *out) {
    size_t files = 0;
    bool windows = false;
    for (size_t k = 0; k < column->n; k++) {
        files += column->pieces[k].kind == kind;
        windows |= column->pieces[k].windows;
    }
    size_t used = files;
    if (files == column->n && !windows) used = fp_least(files, fineprune_data_samples(data));
    const size_t all = files + data->bad.total;
    fprintf(out, "%s: %zu", kind->what, used);
    if (used < all) fprintf(out, " of %zu", all);
    fputs(all == 1 ? " file" : " files", out);
}

static void tell_origin(const struct fineprune_data *data, FILE *out) {
    const char *path = data->preprocess->path;
    bool options = false;
    for (size_t i = 0; i < FP_OPTIONS; i++) options |= i != FP_OPTION_PREPROCESS && data->options[i];
    if (path && strrchr(path, '/')) path = strrchr(path, '/') + 1;
    if (path || options)
        fprintf(out, "; by %s%s%s", fp_or_empty(path), path && options ? " and " : "", options ? "options" : "");
}

char *fp_data_preparation(const struct fineprune_data *data) {
    FP_PLAIN_NUMBERS;
    char *text = NULL;
    size_t size, told = 0;
    if (!data->preprocess) return NULL;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < data->n_inputs && out; i++) {
        const struct fp_column *column = &data->columns[i];
        size_t k = 0;
        while (k < column->n && !column->pieces[k].kind->tell) k++;
        if (k == column->n) continue;
        fputs(fp_between(told++, "; "), out);
        tell_files(data, column, column->pieces[k].kind, out);
        column->pieces[k].kind->tell(&column->pieces[k], out);
    }
    if (out && told) tell_origin(data, out);
    const bool failed = !out || fclose(out);
    if (!failed && told) return text;
    free(text);
    return NULL;
}
