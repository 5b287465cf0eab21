// SPDX-License-Identifier: Apache-2.0
// A thread has a locale of its own while uselocale says so; the C locale is the library's own and is not freed.
#include "base/base.h"
#include "base/numbers.h"

#include <locale.h>

void *fp_numbers_plain(void) {
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain) return uselocale(plain);
    return NULL;
}

void fp_numbers_host(void *before) {
    if (before) uselocale(before);
}
