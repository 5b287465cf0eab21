// SPDX-License-Identifier: Apache-2.0
// Loaded in front of the C library: the allocations and system calls that the program and its library make are counted,
// and one of them, or all from one on, fail. What other libraries ask for is left alone, or the only thing that fails.
//     FAULT_KIND   "memory", "calls", "foreign": memory that other libraries want, or "kill": a call ends the process
//     by
//                  SIGKILL
//     FAULT_AT     number of the first that fails, from 1; 0: none
//     FAULT_ALL    set: all later ones fail too
//     FAULT_COUNT  file that takes how many there were
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { MEMORY, CALLS, FOREIGN, KILL, NONE };

static struct range {
    uintptr_t from, to;
} ranges[16];
static int n_ranges;
static enum kind wanted = NONE;
static unsigned long at;
static int all;
static atomic_ulong counted;

static int is_ours(struct dl_phdr_info *info, size_t size, void *user) {
    (void)size;
    int *number = user;
    const int program = (*number)++ == 0;
    if (!program && !strstr(info->dlpi_name, "libfineprune")) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_ranges < 16; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
        ranges[n_ranges].from = info->dlpi_addr + p->p_vaddr;
        ranges[n_ranges].to = ranges[n_ranges].from + p->p_memsz;
        n_ranges++;
    }
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    int number = 0;
    const char *kind = getenv("FAULT_KIND"), *first = getenv("FAULT_AT");
    dl_iterate_phdr(is_ours, &number);
    if (first) at = strtoul(first, NULL, 10);
    all = getenv("FAULT_ALL") != NULL;
    if (kind && !strcmp(kind, "memory")) wanted = MEMORY;
    if (kind && !strcmp(kind, "calls")) wanted = CALLS;
    if (kind && !strcmp(kind, "foreign")) wanted = FOREIGN;
    if (kind && !strcmp(kind, "kill")) wanted = KILL;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    const unsigned long n = counted;
    wanted = NONE;
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%lu\n", n);
    fclose(file);
}

static int fails(enum kind kind, const void *caller) {
    const uintptr_t from = (uintptr_t)caller;
    int ours = 0;
    const int foreign = wanted == FOREIGN && kind == MEMORY;
    if (wanted != kind && !foreign && !(wanted == KILL && kind == CALLS)) return 0;
    for (int i = 0; i < n_ranges; i++) ours |= from >= ranges[i].from && from < ranges[i].to;
    if (ours == foreign) return 0;
    const unsigned long number = ++counted;
    if (!at || number < at || (number > at && !all)) return 0;
    if (wanted == KILL) raise(SIGKILL);
    return 1;
}

#define CALLER __builtin_return_address(0)
#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define WRAP(kind, error, wrong, type, name, parameters, arguments)                                                    \
    type name parameters {                                                                                             \
        static type(*real) parameters;                                                                                 \
        if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                                 \
        if (fails(kind, CALLER)) {                                                                                     \
            errno = error;                                                                                             \
            return wrong;                                                                                              \
        }                                                                                                              \
        return real arguments;                                                                                         \
    }

// glibc's own names: dlsym itself allocates.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

#define TAKE(name, parameters, call)                                                                                   \
    void *name parameters {                                                                                            \
        if (fails(MEMORY, CALLER)) {                                                                                   \
            errno = ENOMEM;                                                                                            \
            return NULL;                                                                                               \
        }                                                                                                              \
        return call;                                                                                                   \
    }

TAKE(malloc, (size_t n), __libc_malloc(n))
TAKE(calloc, (size_t n, size_t size), __libc_calloc(n, size))
TAKE(realloc, (void *p, size_t n), __libc_realloc(p, n))
TAKE(aligned_alloc, (size_t to, size_t n), __libc_memalign(to, n))

int posix_memalign(void **out, size_t to, size_t n) {
    if (fails(MEMORY, CALLER)) return ENOMEM;
    *out = __libc_memalign(to, n);
    return *out ? 0 : ENOMEM;
}

WRAP(MEMORY, ENOMEM, NULL, char *, strdup, (const char *s), (s))
WRAP(MEMORY, ENOMEM, NULL, char *, strndup, (const char *s, size_t n), (s, n))
WRAP(MEMORY, ENOMEM, NULL, FILE *, open_memstream, (char **p, size_t *n), (p, n))
WRAP(MEMORY, ENOMEM, -1, int, vasprintf, (char **p, const char *form, va_list list), (p, form, list))

WRAP(CALLS, EACCES, NULL, FILE *, fopen, (const char *path, const char *mode), (path, mode))
WRAP(CALLS, EMFILE, NULL, FILE *, fdopen, (int file, const char *mode), (file, mode))
WRAP(CALLS, EIO, -1, ssize_t, read, (int file, void *to, size_t n), (file, to, n))
WRAP(CALLS, ENOSPC, -1, ssize_t, write, (int file, const void *from, size_t n), (file, from, n))
WRAP(CALLS, ENOSPC, -1, ssize_t, pwrite, (int file, const void *from, size_t n, off_t to), (file, from, n, to))
WRAP(CALLS, EIO, 0, size_t, fread, (void *to, size_t size, size_t n, FILE *file), (to, size, n, file))
WRAP(CALLS, ENOSPC, 0, size_t, fwrite, (const void *from, size_t size, size_t n, FILE *file), (from, size, n, file))
WRAP(CALLS, ENOSPC, EOF, int, fflush, (FILE * file), (file))
WRAP(CALLS, EIO, -1, int, fsync, (int file), (file))
WRAP(CALLS, EACCES, -1, int, rename, (const char *from, const char *to), (from, to))
WRAP(CALLS, EACCES, -1, int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
WRAP(CALLS, EACCES, NULL, char *, realpath, (const char *path, char *to), (path, to))
WRAP(CALLS, EACCES, NULL, DIR *, opendir, (const char *path), (path))
WRAP(CALLS, EAGAIN, EAGAIN, int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *how, void *(*start)(void *), void *user), (thread, how, start, user))
WRAP(CALLS, EACCES, -1, int, mkostemp, (char *path, int flags), (path, flags))
WRAP(CALLS, EIO, -1, int, fstat, (int file, struct stat *to), (file, to))
WRAP(CALLS, EACCES, -1, int, stat, (const char *path, struct stat *to), (path, to))
WRAP(CALLS, EACCES, -1, int, lstat, (const char *path, struct stat *to), (path, to))
WRAP(CALLS, EPERM, -1, int, fchmod, (int file, mode_t mode), (file, mode))
WRAP(CALLS, ENODEV, MAP_FAILED, void *, mmap, (void *to, size_t n, int a, int b, int file, off_t from),
     (to, n, a, b, file, from))

// What was written is lost, the file is closed.
int fclose(FILE *file) {
    REAL(int, fclose, FILE *);
    const int failed = fails(CALLS, CALLER), result = real(file);
    if (!failed) return result;
    errno = ENOSPC;
    return EOF;
}

int open(const char *path, int flags, ...) {
    REAL(int, open, const char *, int, ...);
    va_list list;
    va_start(list, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (fails(CALLS, CALLER)) {
        errno = EACCES;
        return -1;
    }
    return real(path, flags, mode);
}
