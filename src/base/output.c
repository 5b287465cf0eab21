// SPDX-License-Identifier: Apache-2.0
// Files that appear whole or not at all: a temporary file beside the target, fsync, rename, fsync of the folder.
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define ATTEMPTS 100

struct fp_output {
    FILE *stream;
    char *path; // where the bytes go in the end; links are followed
    char *folder;
    char *temp; // NULL: the target is written directly
    bool force;
    bool secret;    // a new file is its owner's alone
    bool fresh;     // nothing was there when it was opened
    bool placed;    // renamed
    bool exchanged; // temp is what was there before
    int error;      // errno of the first failed write
    int lock;       // holds the temporary file's lock when the stream is closed; 0: none
    char *room;     // the stream's buffer
    char *bytes;    // what is written to memory
    size_t size;
};

// What is written goes through the buffer, in pieces smaller than that: the system copies from an aligned place four
// times as fast as from the middle of a file that is mapped.
enum { ROOM = 1 << 20, PIECE = 1 << 16 };

struct fineprune_group {
    struct fp_output *items[8];
    size_t n;
};

// The only state of the library that outlives a call: a signal handler has no other way to learn what to remove. A slot
// is taken and given back by exchange, so whoever gets the pointer owns it and no path is freed under the handler's
// eyes.
static _Atomic(char *) temporaries[16];

static bool register_temporary(char *temp) {
    for (size_t i = 0; i < FP_COUNT(temporaries); i++) {
        char *empty = NULL;
        if (atomic_compare_exchange_strong(&temporaries[i], &empty, temp)) return true;
    }
    return false;
}

// False when the emergency has it in hand at this moment; the path is not freed then.
static bool unregister_temporary(char *temp) {
    for (size_t i = 0; i < FP_COUNT(temporaries); i++) {
        char *expected = temp;
        if (atomic_compare_exchange_strong(&temporaries[i], &expected, NULL)) return true;
    }
    return false;
}

void fp_output_emergency(void) {
    for (size_t i = 0; i < FP_COUNT(temporaries); i++) {
        char *temp = atomic_exchange(&temporaries[i], NULL);
        if (!temp) continue;
        unlink(temp);
        atomic_store(&temporaries[i], temp);
    }
}

static int fail_errno(fineprune_error *err, const char *what, const char *path, int error) {
    if (error == ENOMEM) return fp_fail_memory(err, path, strlen(path));
    return fp_fail(err, FINEPRUNE_IO, "cannot %s '%s': %s", what, strcmp(path, "-") ? path : "standard output",
                   strerror(error));
}

static void output_free(struct fp_output *output) {
    if (!output) return;
    if (output->stream) fclose(output->stream);
    if (output->temp && unregister_temporary(output->temp)) {
        unlink(output->temp);
        free(output->temp);
    }
    if (output->lock > 0) close(output->lock);
    free(output->room);
    free(output->bytes);
    free(output->path);
    free(output->folder);
    free(output);
}

// Gives the stream to `output`, or closes fd.
static int attach(struct fp_output *output, int fd, const char *path, fineprune_error *err) {
    output->stream = fdopen(fd, "wb");
    if (output->stream) output->room = aligned_alloc(4096, ROOM);
    else output->room = NULL;
    if (output->room) setvbuf(output->stream, output->room, _IOFBF, ROOM);
    if (output->stream) return FINEPRUNE_OK; // as well with the buffer it has
    int error = errno;
    close(fd);
    return fail_errno(err, "write", path, error);
}

static int open_direct(struct fp_output *output, fineprune_error *err) {
    bool standard = strcmp(output->path, "-") == 0;
    int fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(output->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, "write", standard ? "standard output" : output->path, errno);
    return attach(output, fd, output->path, err);
}

static int split_path(struct fp_output *output, const char **base, fineprune_error *err) {
    const char *slash = strrchr(output->path, '/');
    if (slash) *base = slash + 1;
    else *base = output->path;
    if (!**base) return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a folder", output->path);
    if (!slash) output->folder = strdup(".");
    else if (slash == output->path) output->folder = strdup("/");
    else output->folder = strndup(output->path, (size_t)(slash - output->path));
    if (output->folder) return FINEPRUNE_OK;
    return fp_fail_memory(err, "a path", strlen(output->path));
}

// ".BASE.PROCESS-NUMBER-SIGNATURE.part": the signature is of all before it, so that no file of the user's is one of
// ours by chance.
static unsigned long signature_of(const char *name, size_t n) {
    static const char begin[] = "fineprune";
    return crc32(crc32(0, (const Bytef *)begin, sizeof(begin) - 1), (const Bytef *)name, (uInt)n);
}

static char *temporary_path(const char *folder, const char *base, int number) {
    char *name = fp_format(".%.200s.%ld-%d", base, (long)getpid(), number), *path = NULL;
    if (name) path = fp_format("%s/%s-%08lx.part", folder, name, signature_of(name, strlen(name)));
    free(name);
    return path;
}

static bool is_temporary_of(const char *name, const char *base) {
    const size_t n = fp_least(strlen(base), 200);
    if (name[0] != '.' || strncmp(name + 1, base, n) || name[n + 1] != '.') return false;
    const char *at = name + n + 2;
    const size_t process = strspn(at, "0123456789");
    if (!process || at[process] != '-') return false;
    at += process + 1;
    const size_t number = strspn(at, "0123456789");
    if (!number) return false;
    char ending[30];
    snprintf(ending, sizeof(ending), "-%08lx.part", signature_of(name, (size_t)(at + number - name)));
    return !strcmp(at + number, ending);
}

// Removes what runs that were killed have left of the same output: who still writes holds a lock.
static void sweep(const struct fp_output *output, const char *base) {
    DIR *folder = opendir(output->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!is_temporary_of(entry->d_name, base)) continue;
        const int fd = openat(dirfd(folder), entry->d_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) continue;
        struct stat st;
        if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
            !flock(fd, LOCK_EX | LOCK_NB))
            (void)!unlinkat(dirfd(folder), entry->d_name, 0);
        close(fd);
    }
    if (folder) closedir(folder);
}

static int open_temporary(struct fp_output *output, const struct stat *old, fineprune_error *err) {
    const char *base;
    int status = split_path(output, &base, err);
    if (status) return status;
    sweep(output, base);
    int fd = -1;
    for (int i = 0; i < ATTEMPTS && fd < 0; i++) {
        char *temp = temporary_path(output->folder, base, i);
        if (!temp) return fp_fail_memory(err, "a path", PATH_MAX);
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, output->secret ? 0600 : 0666);
        if (fd >= 0) {
            if (!flock(fd, LOCK_EX | LOCK_NB)) output->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3);
            output->temp = temp;
            break;
        }
        int error = errno;
        free(temp);
        if (error != EEXIST) return fail_errno(err, "create a file in", output->folder, error);
    }
    if (fd < 0) return fail_errno(err, "create a file in", output->folder, EEXIST);
    if (!register_temporary(output->temp)) {
        close(fd);
        unlink(output->temp);
        free(output->temp);
        output->temp = NULL;
        return fp_fail(err, FINEPRUNE_LIMIT, "cannot write '%s': %zu outputs are open", output->path,
                       FP_COUNT(temporaries));
    }
    if (old) (void)!fchmod(fd, old->st_mode & 0777);
    return attach(output, fd, output->path, err);
}

// Finds out what lies at the path now. *direct: it is no regular file.
static int look_at_target(struct fp_output *output, struct stat *st, bool *exists, bool *direct, fineprune_error *err) {
    *exists = stat(output->path, st) == 0;
    if (!*exists) {
        if (errno != ENOENT) return fail_errno(err, "write", output->path, errno);
        if (lstat(output->path, st) == 0)
            return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a link to nothing", output->path);
        return FINEPRUNE_OK;
    }
    if (S_ISDIR(st->st_mode)) return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a folder", output->path);
    *direct = !S_ISREG(st->st_mode);
    if (*direct) return FINEPRUNE_OK;
    if (!output->force) {
        int status = fp_fail(err, FINEPRUNE_USAGE, "output '%s' exists", output->path);
        fp_hint(err, "-f overwrites it");
        return status;
    }
    char *real = realpath(output->path, NULL); // so that a link stays a link
    if (!real) return fail_errno(err, "write", output->path, errno);
    free(output->path);
    output->path = real;
    return FINEPRUNE_OK;
}

static int open_output(struct fp_output **out, const char *path, bool force, bool secret, fineprune_error *err) {
    struct fp_output *output = fp_calloc(1, sizeof(*output));
    if (output) output->path = strdup(path);
    if (!output || !output->path) {
        free(output);
        return fp_fail_memory(err, "an output", sizeof(*output));
    }
    output->force = force;
    output->secret = secret;
    struct stat st;
    bool exists = false, direct = strcmp(path, "-") == 0;
    int status = FINEPRUNE_OK;
    if (!direct) status = look_at_target(output, &st, &exists, &direct, err);
    const struct stat *old = NULL;
    if (exists) old = &st;
    output->fresh = !exists;
    if (!status && direct) status = open_direct(output, err);
    else if (!status) status = open_temporary(output, old, err);
    if (status) {
        output_free(output);
        return status;
    }
    *out = output;
    return FINEPRUNE_OK;
}

int fp_output_open(struct fp_output **out, const char *path, bool force, fineprune_error *err) {
    return open_output(out, path, force, false, err);
}

int fp_output_open_private(struct fp_output **out, const char *path, bool force, fineprune_error *err) {
    return open_output(out, path, force, true, err);
}

int fp_output_memory(struct fp_output **out, fineprune_error *err) {
    struct fp_output *output = fp_calloc(1, sizeof(*output));
    if (output) output->path = strdup("memory");
    if (output && output->path) output->stream = open_memstream(&output->bytes, &output->size);
    if (output && output->stream) {
        *out = output;
        return FINEPRUNE_OK;
    }
    output_free(output);
    return fp_fail_memory(err, "an output", sizeof(*output));
}

int fp_output_take(struct fp_output *output, void **bytes, size_t *size, fineprune_error *err) {
    const bool failed = ferror(output->stream) != 0;
    const int closed = fclose(output->stream);
    output->stream = NULL;
    int status = FINEPRUNE_OK;
    if (failed || closed) status = fp_fail_memory(err, "an output", output->size);
    if (!status) *bytes = output->bytes, *size = output->size, output->bytes = NULL;
    output_free(output);
    return status;
}

int fp_output_write(struct fp_output *output, const void *data, size_t size, fineprune_error *err) {
    size_t done = 0;
    while (done < size) {
        size_t piece = fp_least(size - done, PIECE);
        if (fwrite((const char *)data + done, 1, piece, output->stream) != piece) break;
        done += piece;
    }
    if (done == size) return FINEPRUNE_OK;
    if (!output->error) output->error = errno;
    return fail_errno(err, "write", output->path, output->error);
}

FILE *fp_output_stream(struct fp_output *output) { return output->stream; }

static int flush(struct fp_output *output, fineprune_error *err) {
    bool failed = ferror(output->stream) != 0;
    errno = 0;
    if (fflush(output->stream) || failed) {
        int error = errno;
        if (output->error) error = output->error;
        return fail_errno(err, "write", output->path, error ? error : EIO);
    }
    if (output->temp && fsync(fileno(output->stream)) && errno != EINVAL && errno != ENOTSUP)
        return fail_errno(err, "write", output->path, errno);
    FILE *stream = output->stream;
    output->stream = NULL;
    if (fclose(stream)) return fail_errno(err, "write", output->path, errno);
    return FINEPRUNE_OK;
}

static int rename_into_place(struct fp_output *output, fineprune_error *err) {
    int result = -1;
    if (!output->force) {
        result = renameat2(AT_FDCWD, output->temp, AT_FDCWD, output->path, RENAME_NOREPLACE);
        if (result && errno == EEXIST)
            return fp_fail(err, FINEPRUNE_USAGE, "output '%s' exists (it was made a moment ago)", output->path);
        if (result && errno != EINVAL && errno != ENOSYS) return fail_errno(err, "write", output->path, errno);
    }
    // A file system without that flag: the moment between the look and the rename is the price.
    if (result) result = rename(output->temp, output->path);
    if (result) return fail_errno(err, "write", output->path, errno);
    return FINEPRUNE_OK;
}

static void sync_folder(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)!fsync(fd); // the file itself is safe already; not every file system can sync a folder
    close(fd);
}

// together: what was there before is kept beside it, as long as others may fail.
static int put_in_place(struct fp_output *output, bool together, fineprune_error *err) {
    if (!output->temp) return FINEPRUNE_OK;
    if (together && output->force)
        output->exchanged = !renameat2(AT_FDCWD, output->temp, AT_FDCWD, output->path, RENAME_EXCHANGE);
    int status = FINEPRUNE_OK;
    if (!output->exchanged) status = rename_into_place(output, err);
    if (status) return status;
    sync_folder(output->folder);
    output->placed = true;
    if (output->exchanged) return FINEPRUNE_OK; // output_free removes what was there
    if (unregister_temporary(output->temp)) free(output->temp);
    output->temp = NULL;
    return FINEPRUNE_OK;
}

// Others of its group have failed.
static void take_back(struct fp_output *output) {
    if (output->exchanged) (void)!renameat2(AT_FDCWD, output->temp, AT_FDCWD, output->path, RENAME_EXCHANGE);
    else if (output->placed && output->fresh) unlink(output->path);
}

int fp_output_commit(struct fp_output *output, fineprune_error *err) {
    int status = flush(output, err);
    if (!status) status = put_in_place(output, false, err);
    output_free(output);
    return status;
}

void fp_output_abandon(struct fp_output *output) { output_free(output); }

// ---- files that appear together

int fineprune_group_new(fineprune_group **out, fineprune_error *err) {
    *out = fp_calloc(1, sizeof(**out));
    if (*out) return FINEPRUNE_OK;
    return fp_fail_memory(err, "outputs", sizeof(**out));
}

int fp_output_hold(struct fp_output *output, struct fineprune_group *group, fineprune_error *err) {
    if (!group) return fp_output_commit(output, err);
    int status;
    if (group->n < FP_COUNT(group->items)) status = flush(output, err);
    else status = fp_fail(err, FINEPRUNE_LIMIT, "over %zu outputs at once", FP_COUNT(group->items));
    if (status) output_free(output);
    else group->items[group->n++] = output;
    return status;
}

// The last one first: what came first is what the others are about.
int fineprune_group_finish(fineprune_group *group, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (size_t i = group->n; i-- > 0 && !status;) status = put_in_place(group->items[i], true, err);
    for (size_t i = 0; i < group->n && status; i++) take_back(group->items[i]);
    fineprune_group_free(group);
    return status;
}

void fineprune_group_free(fineprune_group *group) {
    for (size_t i = 0; group && i < group->n; i++) output_free(group->items[i]);
    free(group);
}

// The path with its folder resolved, for files that need not exist.
static char *resolve(const char *path) {
    char *real = realpath(path, NULL);
    if (real) return real;
    char *folder_copy = strdup(path), *base_copy = strdup(path), *result = NULL;
    char *folder = NULL;
    if (folder_copy && base_copy) folder = realpath(dirname(folder_copy), NULL);
    if (folder) result = fp_format("%s/%s", folder, basename(base_copy));
    free(folder);
    free(folder_copy);
    free(base_copy);
    return result;
}

bool fp_same_file(const char *a, const char *b) {
    if (strcmp(a, "-") == 0 || strcmp(b, "-") == 0) return false;
    struct stat x, y;
    bool have_x = stat(a, &x) == 0, have_y = stat(b, &y) == 0;
    if (have_x && have_y) return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    if (have_x != have_y) return false;
    char *p = resolve(a), *q = resolve(b);
    bool same = p && q && strcmp(p, q) == 0;
    free(p);
    free(q);
    return same;
}

// In one folder, and named so.
static bool is_swept(const char *output, const char *input) {
    const char *base = strrchr(output, '/'), *name = strrchr(input, '/');
    base = base ? base + 1 : output;
    name = name ? name + 1 : input;
    if (!is_temporary_of(name, base)) return false;
    char *there = fp_format("%.*s%s", (int)(base - output), output, name);
    const bool same = !there || fp_same_file(there, input); // without memory rather refused than removed
    free(there);
    return same;
}

static bool look(const char *path, int standard, struct stat *st) {
    if (strcmp(path, "-") == 0) return !fstat(standard, st) && S_ISREG(st->st_mode);
    return !stat(path, st);
}

bool fp_output_harms(const char *output, const char *input) {
    struct stat x, y;
    if (strcmp(output, "-") && strcmp(input, "-")) return fp_same_file(output, input) || is_swept(output, input);
    return look(output, STDOUT_FILENO, &x) && look(input, STDIN_FILENO, &y) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}
