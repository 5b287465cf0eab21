// SPDX-License-Identifier: Apache-2.0
// Structs of options between a program and a library of different age (fineprune.h tells the rules).
#include <string.h>

#include "base/base.h"

#define LARGEST 65536 // a size beyond it is not one, and reading so far may not be possible

int fp_options_read(void *known, size_t size, const void *given, const char *type, fineprune_error *err) {
    if (!given) return FINEPRUNE_OK;
    const unsigned char *bytes = given;
    size_t said;
    memcpy(&said, given, sizeof(said));
    if (said <= sizeof(said) || said > LARGEST) {
        fp_fail(err, FINEPRUNE_USAGE, "the size of %s is given as %zu", type, said);
        fp_hint(err, "set its first member, size, to sizeof(%s), as its initialiser does", type);
        return FINEPRUNE_USAGE;
    }
    for (size_t i = size; i < said; i++)
        if (bytes[i])
            return fp_fail(err, FINEPRUNE_USAGE,
                           "byte %zu of %s is set, but this is fineprune %s, which knows %zu bytes of it", i, type,
                           fineprune_version(), size);
    memcpy(known, given, said < size ? said : size);
    memcpy(known, &size, sizeof(size));
    return FINEPRUNE_OK;
}
