// SPDX-License-Identifier: Apache-2.0
#include "onnx/beside.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/output.h"

const struct fp_beside fp_beside_files[] = {
    {"labels.txt", FP_BESIDE_NAMES},
    {"LABELS.txt", FP_BESIDE_NAMES},
    {"Labels.txt", FP_BESIDE_NAMES},
    {"classes.txt", FP_BESIDE_NAMES},
    {"class_names.txt", FP_BESIDE_NAMES},
    {"label_map.txt", FP_BESIDE_NAMES},
    {"labels.json", FP_BESIDE_NAMES_JSON},
    {"classes.json", FP_BESIDE_NAMES_JSON},
    {"id2label.json", FP_BESIDE_NAMES_JSON},
    {"class_names.json", FP_BESIDE_NAMES_JSON},
    {"preprocessor_config.json", FP_BESIDE_PREPARATION},
    {"preprocess.json", FP_BESIDE_PREPARATION},
    {"config.json", FP_BESIDE_NAMES_JSON | FP_BESIDE_TIMM},
    {"config.min.json", FP_BESIDE_MAGIKA},
    {NULL, 0},
};

char *fp_beside_path(const char *folder, bool up, const char *name) {
    if (!folder || !folder[0]) folder = ".";
    return fp_format("%s/%s%s", folder, up ? "../" : "", name);
}

bool fp_beside_reads(const char *folder, const char *path) {
    bool reads = false;
    for (int up = 0; up < 2; up++)
        for (const struct fp_beside *b = fp_beside_files; b->name && !reads; b++) {
            char *at = fp_beside_path(folder, up, b->name);
            // without memory rather refused than overwritten
            reads = !at || (!access(at, F_OK) && fp_output_harms(path, at));
            free(at);
        }
    return reads;
}
