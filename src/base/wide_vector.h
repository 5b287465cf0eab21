// SPDX-License-Identifier: Apache-2.0
// Functions that are compiled for several widths of vectors; the program takes the widest that the processor has.
#ifndef FP_WIDE_VECTOR_H
#define FP_WIDE_VECTOR_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define WIDE_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE_VECTOR
#endif

#endif
