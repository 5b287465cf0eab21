// SPDX-License-Identifier: Apache-2.0
// Numbers are read and written with a point, whatever the host's locale says.
#ifndef FP_NUMBERS_H
#define FP_NUMBERS_H

// The calling thread's locale becomes C; what it was goes back with fp_numbers_host.
void *fp_numbers_plain(void);
void fp_numbers_host(void *before);
static inline void fp_numbers_end(void **before) { fp_numbers_host(*before); }

// From here to the end of the scope.
#define FP_PLAIN_NUMBERS __attribute__((cleanup(fp_numbers_end), unused)) void *fp_numbers_before = fp_numbers_plain()

#endif
