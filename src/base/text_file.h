// SPDX-License-Identifier: Apache-2.0
// A whole file of text.
#ifndef FP_TEXT_FILE_H
#define FP_TEXT_FILE_H

#include "base/base.h"

// *out is the text up to a NUL behind it, to be freed. what: how messages call it, "the list". Errors: IO (no regular
// file, not readable), LIMIT (over 64 MiB), DATA (NUL bytes).
int fp_text_read(char **out, const char *path, const char *what, fineprune_error *err);

#endif
