// SPDX-License-Identifier: Apache-2.0
// The shortest honest program: prunes a model with somebody's data and says what it did.
//
//     cc minimal.c $(pkg-config --cflags --libs fineprune) -o minimal
//     ./minimal model.onnx recordings.npz pruned.onnx
#include <fineprune/fineprune.h>
#include <stdio.h>
#include <stdlib.h>

static int personalise(fineprune_model *model, const char *source, const char *out, fineprune_error *err) {
    fineprune_data *data = NULL;
    fineprune_report *report = NULL;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    fineprune_save_options save = FINEPRUNE_SAVE_OPTIONS_INIT;
    options.sparsity = 0.7;
    save.force = true;

    int status = fineprune_data_open(&data, model, NULL, err);
    if (!status) status = fineprune_data_add(data, source, err);
    if (!status) status = fineprune_prune(model, data, &options, &report, err);
    if (!status) status = fineprune_model_save(model, out, &save, err);

    char *summary = status ? NULL : fineprune_report_summary(report);
    if (summary) fputs(summary, stderr);
    free(summary);
    fineprune_report_free(report);
    fineprune_data_free(data);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL DATA OUT\n", argv[0]);
        return FINEPRUNE_USAGE;
    }
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    int status = fineprune_model_open(&model, argv[1], NULL, &err);
    if (!status) status = personalise(model, argv[2], argv[3], &err);
    if (status) fprintf(stderr, "%s: %s\n%s%s", argv[0], err.message, err.hint, err.hint[0] ? "\n" : "");
    fineprune_model_free(model);
    return status;
}
