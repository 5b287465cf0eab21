// SPDX-License-Identifier: Apache-2.0
// The files beside a model that are read without being named: what its classes are called, how its inputs were
// prepared. The one list of them, so that none is read that an output could be written over.
#ifndef FP_BESIDE_H
#define FP_BESIDE_H

#include "base/base.h"

// What is looked for in a file. Any JSON may have the name of those two; only timm's, or Magika's, is a preparation.
enum fp_beside_use {
    FP_BESIDE_NAMES = 1,      // class names, one a line
    FP_BESIDE_NAMES_JSON = 2, // class names as JSON
    FP_BESIDE_PREPARATION = 4,
    FP_BESIDE_TIMM = 8,
    FP_BESIDE_MAGIKA = 16,
};

struct fp_beside {
    const char *name;
    unsigned uses; // of enum fp_beside_use
};

// In the order in which they are asked; the name is NULL behind the last.
extern const struct fp_beside fp_beside_files[];
// The path of such a file in the model's folder ("" is the working folder), or in the one above, where Hugging Face has
// it for models in a folder onnx/. To be freed; NULL without memory.
char *fp_beside_path(const char *folder, bool up, const char *name);
// Whether writing `path` would cost one that is there.
bool fp_beside_reads(const char *folder, const char *path);

#endif
