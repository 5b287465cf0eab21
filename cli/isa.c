// SPDX-License-Identifier: Apache-2.0
// oneDNN, OpenBLAS and the C library's functions each choose their kernels by the processor, and so the last bits of
// what they compute. OpenBLAS and the C library choose when they are loaded and ask the environment only, so that the
// program must be started again. The library's own loops give the same bytes with any instructions.
#include "isa.h"
#include "options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What lacks fused multiply-adds in one level must not use them in it: the C library's exp and log would.
#define NO_FUSED "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable,-FMA4_Usable"

static const struct level {
    const char *name, *dnnl, *blas, *tunables;
} levels[] = {{"sse4", "SSE41", "Nehalem", NO_FUSED},
              {"avx", "AVX", "Sandybridge", NO_FUSED},
              {"avx2", "AVX2", "Haswell", NULL},
              {"avx512", "AVX512_CORE", "SkylakeX", NULL}};

static bool has_level(size_t i) {
#ifdef __x86_64__
    __builtin_cpu_init();
    if (i == 0) return __builtin_cpu_supports("sse4.2");
    if (i == 1) return __builtin_cpu_supports("avx");
    if (i == 2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
    (void)i;
    return false;
#endif
}

static bool is_set(const char *name, const char *value) {
    const char *now = getenv(name);
    return now && strcmp(now, value) == 0;
}

// Behind those that are there; the last one of a name holds.
static bool add_tunables(const char *more) {
    const char *now = getenv("GLIBC_TUNABLES");
    char text[4096];
    int n = snprintf(text, sizeof(text), "%s%s%s", now ? now : "", now && *now ? ":" : "", more);
    return n > 0 && (size_t)n < sizeof(text) && !setenv("GLIBC_TUNABLES", text, 1);
}

static bool is_pinned(const struct level *level) {
    const char *tunables = getenv("GLIBC_TUNABLES");
    if (level->tunables && !(tunables && strstr(tunables, level->tunables))) return false;
    return is_set("ONEDNN_MAX_CPU_ISA", level->dnnl) && is_set("OPENBLAS_CORETYPE", level->blas);
}

static bool set_environment(const struct level *level) {
    if (level->tunables && !add_tunables(level->tunables)) return false;
    return !setenv("ONEDNN_MAX_CPU_ISA", level->dnnl, 1) && !setenv("OPENBLAS_CORETYPE", level->blas, 1);
}

int isa_pin(int level, char **argv, fineprune_error *err) {
    if (level < 1) return FINEPRUNE_OK;
    const size_t i = (size_t)level - 1;
    if (!has_level(i))
        return cli_fail(err, FINEPRUNE_USAGE, "equal bytes need a level that all the machines have",
                        "this processor has no %s, as --isa says", levels[i].name);
    if (is_pinned(&levels[i])) return FINEPRUNE_OK;
    if (!set_environment(&levels[i]))
        return cli_fail(err, FINEPRUNE_LIMIT, NULL, "no room in the environment for --isa %s", levels[i].name);
    execv("/proc/self/exe", argv);
    return cli_fail(err, FINEPRUNE_IO, NULL, "cannot start again for --isa %s: %s", levels[i].name, strerror(errno));
}
