// SPDX-License-Identifier: Apache-2.0
// A TensorProto in a file of its own, as the test_data_set_* folders of ONNX have them.
#ifndef FP_TENSOR_FILE_H
#define FP_TENSOR_FILE_H

#include "onnx/model.h"

// *name (malloc'ed, may be "") and *out are the caller's. The tensor's elements must lie in the file itself. Errors:
// DATA, IO, LIMIT.
int fp_tensor_file_read(struct fp_tensor *out, char **name, const char *path, struct fp_memory *memory,
                        fineprune_error *err);

#endif
