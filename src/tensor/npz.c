// SPDX-License-Identifier: Apache-2.0
// Reading .npz: a zip archive whose entries are .npy files. The directory is read at once, an array when it is asked
// for.
#include "tensor/npz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zip.h>

#include "base/name_map.h"
#include "base/stamp.h"
#include "tensor/npy.h"

#define MAX_ENTRIES 1000000
#define FAR_ENTRIES 4096   // each array that stays in the file may read the directory again
#define DEFLATE_RATIO 1032 // deflate cannot do better, so an entry that claims more is not what it says

struct fp_npz {
    zip_t *zip; // owns the file, or what was read of standard input
    int fd;     // of that file; -1: standard input
    char *path;
    size_t count;
    char **names;
    zip_uint64_t *entries; // of names[]
    struct fp_memory *memory;
    size_t counted; // bytes of standard input, in memory's budget
    size_t users;   // whoever opened it, and the arrays that stay in it
};

void fp_npz_free(struct fp_npz *npz) {
    if (!npz || (npz->users && --npz->users)) return;
    if (npz->zip) zip_discard(npz->zip);
    for (size_t i = 0; i < npz->count; i++) free(npz->names[i]);
    free(npz->names);
    free(npz->entries);
    free(npz->path);
    if (npz->memory) fp_memory_uncount(npz->memory, npz->counted);
    free(npz);
}

// Twice the room, or as much of that as the budget has, for `more` bytes behind the n of data[]. False where that is
// not enough, or the system has no more; data[] is as it was then.
static bool make_room(struct fp_npz *npz, uint8_t **data, size_t *capacity, size_t n, size_t more) {
    const size_t left = npz->memory ? fp_memory_left(npz->memory) : SIZE_MAX;
    size_t needed, wanted;
    if (!fp_add(n, more, &needed)) return false;
    if (needed <= *capacity) return true;
    if (!fp_mul(*capacity, 2, &wanted)) return false;
    wanted = fp_most(wanted, needed);
    if (wanted - *capacity > left) wanted = fp_most(*capacity + left, needed);
    if (npz->memory && !fp_memory_count(npz->memory, wanted - *capacity)) return false;
    npz->counted += wanted - *capacity;
    uint8_t *grown = realloc(*data, wanted);
    if (!grown) return false;
    *data = grown;
    *capacity = wanted;
    return true;
}

// All bytes of a stream that cannot seek.
static int read_all(struct fp_npz *npz, uint8_t **out, size_t *size, FILE *f, const char *path, fineprune_error *err) {
    uint8_t *data = NULL;
    size_t capacity = 0, n = 0, got;
    do {
        if (!make_room(npz, &data, &capacity, n, 65536)) {
            free(data);
            int status = fp_fail_memory(err, path, n);
            if (npz->memory) fp_memory_hint(npz->memory, err);
            return status;
        }
        got = fread(data + n, 1, capacity - n, f);
        n += got;
    } while (got);
    if (ferror(f)) {
        free(data);
        return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    uint8_t *fitting = n ? realloc(data, n) : NULL;
    if (fitting && npz->memory) fp_memory_uncount(npz->memory, capacity - n);
    if (fitting) npz->counted = n;
    *out = fitting ? fitting : data;
    *size = n;
    return FINEPRUNE_OK;
}

static int fail_zip(const struct fp_npz *npz, zip_error_t *error, fineprune_error *err) {
    bool system = zip_error_system_type(error) == ZIP_ET_SYS && zip_error_code_zip(error) != ZIP_ER_NOZIP;
    int status = FINEPRUNE_DATA;
    if (system) status = FINEPRUNE_IO;
    status = fp_fail(err, status, "cannot read '%s' as a .npz: %s", npz->path, zip_error_strerror(error));
    zip_error_fini(error);
    return status;
}

static int open_zip(struct fp_npz *npz, fineprune_error *err) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source;
    if (strcmp(npz->path, "-") == 0) {
        uint8_t *data = NULL;
        size_t size = 0;
        int status = read_all(npz, &data, &size, stdin, "standard input", err);
        if (status) return status;
        if (!size) {
            free(data);
            return fp_fail(err, FINEPRUNE_DATA, "standard input is empty; a .npz is expected");
        }
        source = zip_source_buffer_create(data, size, 1, &error);
        if (!source) free(data);
    } else {
        struct stat st; // a pipe without a writer would be waited for
        bool found = stat(npz->path, &st) == 0;
        if (found && !S_ISREG(st.st_mode)) {
            int status = fp_fail(err, FINEPRUNE_IO, "cannot read '%s': not a regular file", npz->path);
            fp_hint(err, "a stream goes in by standard input: --data -");
            return status;
        }
        FILE *f = NULL;
        if (found) f = fopen(npz->path, "rbe");
        if (!f) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", npz->path, strerror(errno));
        npz->fd = fileno(f);
        source = zip_source_filep_create(f, 0, -1, &error);
        if (!source) fclose(f);
    }
    if (!source) return fail_zip(npz, &error, err);
    npz->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (npz->zip) return FINEPRUNE_OK;
    zip_source_free(source);
    return fail_zip(npz, &error, err);
}

static int add_entry(struct fp_npz *npz, struct fp_name_map *seen, zip_uint64_t entry, fineprune_error *err) {
    const char *name = zip_get_name(npz->zip, entry, ZIP_FL_ENC_RAW);
    const size_t length = name ? strlen(name) : 0;
    if (length < 4 || strcmp(name + length - 4, ".npy") != 0) return FINEPRUNE_OK;
    if (fp_name_find(seen, name) >= 0)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' has two entries '%.200s'", npz->path, name);
    char *copy = strndup(name, length - 4);
    if (!copy || !fp_name_add(seen, name, 0)) {
        free(copy);
        return fp_fail_memory(err, npz->path, length);
    }
    npz->names[npz->count] = copy;
    npz->entries[npz->count++] = entry;
    return FINEPRUNE_OK;
}

static int read_directory(struct fp_npz *npz, fineprune_error *err) {
    zip_int64_t n = zip_get_num_entries(npz->zip, 0);
    if (n < 0 || n > MAX_ENTRIES)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' has %lld entries (at most %d)", npz->path, (long long)n, MAX_ENTRIES);
    npz->names = fp_calloc((size_t)n, sizeof(*npz->names));
    npz->entries = fp_calloc((size_t)n, sizeof(*npz->entries));
    if (!npz->names || !npz->entries) return fp_fail_memory(err, npz->path, (size_t)n * 16);
    struct fp_name_map seen = {0};
    int status = FINEPRUNE_OK;
    for (zip_uint64_t i = 0; i < (zip_uint64_t)n && !status; i++) status = add_entry(npz, &seen, i, err);
    fp_name_map_done(&seen);
    return status;
}

int fp_npz_open(struct fp_npz **out, const char *path, struct fp_memory *memory, fineprune_error *err) {
    struct fp_npz *npz = fp_calloc(1, sizeof(*npz));
    if (npz) *npz = (struct fp_npz){.path = strdup(path), .fd = -1, .memory = memory};
    int status = npz && npz->path ? FINEPRUNE_OK : fp_fail_memory(err, path, sizeof(*npz));
    if (!status) status = open_zip(npz, err);
    if (!status) status = read_directory(npz, err);
    if (status) {
        fp_npz_free(npz);
        return status;
    }
    npz->users = 1;
    *out = npz;
    return FINEPRUNE_OK;
}

size_t fp_npz_count(const struct fp_npz *npz) { return npz->count; }

const char *fp_npz_name(const struct fp_npz *npz, size_t index) {
    if (index < npz->count) return npz->names[index];
    return NULL;
}

static int64_t read_entry(void *user, void *dst, size_t n, const char **reason) {
    zip_int64_t got = zip_fread(user, dst, n);
    if (got < 0) *reason = zip_error_strerror(zip_file_get_error(user));
    return got;
}

static int check_entry(const struct fp_npz *npz, zip_uint64_t entry, const char *name, zip_uint64_t *size,
                       fineprune_error *err) {
    zip_stat_t st;
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(npz->zip, entry, 0, &st) || (st.valid & needed) != needed)
        return fp_fail(err, FINEPRUNE_DATA, "%s cannot be found in the archive", name);
    if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
        return fp_fail(err, FINEPRUNE_DATA, "%s is compressed by a method (%d) that NumPy does not use", name,
                       st.comp_method);
    if (st.size / DEFLATE_RATIO > st.comp_size + 1)
        return fp_fail(err, FINEPRUNE_DATA, "%s claims %llu bytes in %llu compressed ones", name,
                       (unsigned long long)st.size, (unsigned long long)st.comp_size);
    *size = st.size;
    return FINEPRUNE_OK;
}

// The elements too, or type and shape alone.
static int read_array(struct fp_npz *npz, zip_uint64_t entry, const char *name, bool whole, struct fp_tensor *out,
                      struct fp_memory *memory, fineprune_error *err) {
    zip_uint64_t size = 0;
    int status = check_entry(npz, entry, name, &size, err);
    if (status) return status;
    zip_file_t *file = zip_fopen_index(npz->zip, entry, 0);
    if (!file)
        return fp_fail(err, FINEPRUNE_DATA, "%s cannot be read: %s", name, zip_error_strerror(zip_get_error(npz->zip)));
    const struct fp_npy_source source = {read_entry, file, name, size};
    struct fp_npy_layout layout;
    size_t header;
    if (whole) status = fp_npy_parse(out, &source, memory, err);
    else status = fp_npy_begin(out, &source, &header, &layout, err);
    char rest;
    if (!status && whole && zip_fread(file, &rest, 1) != 0) { // the end is where the check sum is compared
        status = fp_fail(err, FINEPRUNE_DATA, "%s is damaged: %s", name, zip_error_strerror(zip_file_get_error(file)));
        fp_tensor_done(out);
    }
    zip_fclose(file);
    return status;
}

static const char *shown_path(const struct fp_npz *npz) {
    if (strcmp(npz->path, "-")) return npz->path;
    return "standard input";
}

static size_t find(const struct fp_npz *npz, const char *name) {
    size_t i = 0;
    while (i < npz->count && strcmp(npz->names[i], name) != 0) i++;
    return i;
}

static int read_named(struct fp_npz *npz, const char *name, bool whole, struct fp_tensor *out, struct fp_memory *memory,
                      fineprune_error *err) {
    char text[400];
    snprintf(text, sizeof(text), "'%.200s': array '%.150s'", shown_path(npz), name);
    const size_t i = find(npz, name);
    if (i < npz->count) return read_array(npz, npz->entries[i], text, whole, out, memory, err);
    return fp_fail(err, FINEPRUNE_DATA, "%s is not there", text);
}

int fp_npz_read(struct fp_npz *npz, const char *name, struct fp_tensor *out, struct fp_memory *memory,
                fineprune_error *err) {
    return read_named(npz, name, true, out, memory, err);
}

int fp_npz_shape(struct fp_npz *npz, const char *name, struct fp_tensor *out, fineprune_error *err) {
    return read_named(npz, name, false, out, NULL, err);
}

// ---- arrays that stay in the file

#define SKIP_BYTES 65536

// Awake it has `plain`, or `npz` and `file`; at rest neither, so that any number of them can be had.
struct fp_npz_far {
    struct fp_npz *npz;
    zip_file_t *file;
    FILE *plain; // a .npy instead
    char *path;  // NULL: standard input, which is never at rest
    char *key;   // in a .npz
    struct fp_stamp stamp;
    struct fp_npy_layout layout;
    char name[400];            // for messages
    zip_uint64_t entry;        // of npz
    size_t header, bytes, end; // of the header, the elements, both
    size_t at;                 // the byte of both that comes next
    bool packed;               // there is no way back but from the start
    bool sought;               // the check sum is of those who never do
};

bool fp_npz_far_packed(const struct fp_npz_far *far) { return far->packed; }

bool fp_npz_far_by_columns(const struct fp_npz_far *far) { return far->layout.by_columns; }

void fp_npz_far_rest(struct fp_npz_far *far) {
    if (!far->path) return;
    if (far->file) zip_fclose(far->file);
    if (far->plain) fclose(far->plain);
    fp_npz_free(far->npz);
    far->npz = NULL, far->file = NULL, far->plain = NULL;
}

void fp_npz_far_free(struct fp_npz_far *far) {
    if (!far) return;
    if (far->file) zip_fclose(far->file);
    if (far->plain) fclose(far->plain);
    fp_npz_free(far->npz);
    free(far->path);
    free(far->key);
    free(far);
}

static int far_fd(const struct fp_npz_far *far) { return far->plain ? fileno(far->plain) : far->npz->fd; }

// From the first byte of the header on.
static int begin_entry(struct fp_npz_far *far, fineprune_error *err) {
    if (far->file) zip_fclose(far->file);
    far->at = 0;
    far->file = zip_fopen_index(far->npz->zip, far->entry, 0);
    if (far->file) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_DATA, "%s cannot be read: %s", far->name,
                   zip_error_strerror(zip_get_error(far->npz->zip)));
}

static int wake(struct fp_npz_far *far, fineprune_error *err) {
    if (far->plain || far->file) return FINEPRUNE_OK;
    far->at = 0;
    int status = FINEPRUNE_OK;
    if (far->end && far->path) status = fp_stamp_check(&far->stamp, -1, far->path, err); // it has been awake before
    if (!status && !far->key) {
        far->plain = fopen(far->path, "rbe");
        if (!far->plain) status = fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", far->path, strerror(errno));
        return status;
    }
    if (!status && !far->npz) status = fp_npz_open(&far->npz, far->path, NULL, err);
    if (!status) status = begin_entry(far, err);
    return status;
}

static int64_t read_plain(void *user, void *dst, size_t n, const char **reason) {
    const size_t got = fread(dst, 1, n, user);
    if (got || !ferror((FILE *)user)) return (int64_t)got;
    *reason = strerror(errno);
    return -1;
}

// Takes the stamp and reads the header. *out is NULL, without an error, where the array has no axis or nothing in it.
static int far_begin(struct fp_npz_far *far, size_t size, struct fp_tensor *shape, fineprune_error *err) {
    if (far->path && !fp_stamp_take(&far->stamp, far_fd(far), far->path))
        return fp_fail(err, FINEPRUNE_IO, "%s cannot be read: %s", far->name, strerror(errno));
    struct fp_npy_source source = {read_entry, far->file, far->name, size};
    if (far->plain) source = (struct fp_npy_source){read_plain, far->plain, far->name, size};
    int status = fp_npy_begin(shape, &source, &far->header, &far->layout, err);
    if (status) return status;
    far->at = far->header;
    far->end = size;
    far->bytes = size - far->header;
    return FINEPRUNE_OK;
}

// far is the caller's where it will do; else it is freed.
static int far_done(struct fp_npz_far **out, struct fp_npz_far *far, const struct fp_tensor *shape, bool any,
                    int status) {
    const bool fits = !status && shape->rank && shape->count && (any || fp_npy_is_plain(&far->layout));
    if (fits) *out = far;
    else fp_npz_far_free(far);
    return status;
}

static struct fp_npz_far *far_new(const char *path, const char *key, fineprune_error *err) {
    struct fp_npz_far *far = fp_calloc(1, sizeof(*far));
    if (far && path) far->path = strdup(path);
    if (far && key) far->key = strdup(key);
    if (far && (far->path || !path) && (far->key || !key)) return far;
    fp_fail_memory(err, fp_or_empty(path), sizeof(*far));
    fp_npz_far_free(far);
    return NULL;
}

int fp_npz_far_open(struct fp_npz_far **out, struct fp_npz *npz, const char *name, size_t least, bool any,
                    struct fp_tensor *shape, fineprune_error *err) {
    const size_t i = find(npz, name);
    const char *path = npz->path;
    zip_stat_t st;
    *out = NULL;
    if (strcmp(path, "-") == 0) path = NULL;
    if (i == npz->count || npz->count > FAR_ENTRIES || (!any && !path) ||
        zip_stat_index(npz->zip, npz->entries[i], 0, &st) || !(st.valid & ZIP_STAT_COMP_METHOD) ||
        !(st.valid & ZIP_STAT_SIZE) || st.size < least || (!any && st.comp_method != ZIP_CM_STORE))
        return FINEPRUNE_OK;
    struct fp_npz_far *far = far_new(path, name, err);
    if (!far) return FINEPRUNE_LIMIT;
    snprintf(far->name, sizeof(far->name), "'%.200s': array '%.150s'", shown_path(npz), name);
    zip_uint64_t size = 0;
    far->entry = npz->entries[i];
    far->packed = st.comp_method != ZIP_CM_STORE;
    int status = check_entry(npz, far->entry, far->name, &size, err);
    if (!status) {
        far->npz = npz;
        npz->users++;
        status = begin_entry(far, err);
    }
    if (!status) status = far_begin(far, size, shape, err);
    return far_done(out, far, shape, any, status);
}

int fp_npy_far_open(struct fp_npz_far **out, const char *path, size_t least, bool any, struct fp_tensor *shape,
                    fineprune_error *err) {
    struct stat st;
    *out = NULL;
    if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size < least) return FINEPRUNE_OK;
    struct fp_npz_far *far = far_new(path, NULL, err);
    if (!far) return FINEPRUNE_LIMIT;
    snprintf(far->name, sizeof(far->name), "'%.380s'", path);
    far->sought = true; // there is no check sum
    int status = wake(far, err);
    if (!status) status = far_begin(far, (size_t)st.st_size, shape, err);
    return far_done(out, far, shape, any, status);
}

// One read; the reason why there was nothing.
static int64_t read_some(struct fp_npz_far *far, void *dst, size_t n, const char **reason) {
    int64_t got;
    if (far->plain) got = read_plain(far->plain, dst, n, reason);
    else got = read_entry(far->file, dst, n, reason);
    if (!got) *reason = far->packed ? "it ends within its elements" : "it has become shorter";
    if (got > 0) far->at += (size_t)got;
    return got;
}

static int fail_read(const struct fp_npz_far *far, const char *reason, fineprune_error *err) {
    return fp_fail(err, far->packed ? FINEPRUNE_DATA : FINEPRUNE_IO, "%s cannot be read: %s", far->name, reason);
}

// What is compressed is read and thrown away, from the start where `to` lies behind.
static int skip(struct fp_npz_far *far, size_t to, fineprune_error *err) {
    char thrown[SKIP_BYTES];
    const char *reason = "";
    int status = FINEPRUNE_OK;
    if (to < far->at) status = begin_entry(far, err);
    while (!status && far->at < to)
        if (read_some(far, thrown, fp_least(to - far->at, sizeof(thrown)), &reason) <= 0)
            status = fail_read(far, reason, err);
    return status;
}

static int go_to(struct fp_npz_far *far, size_t to, fineprune_error *err) {
    if (to == far->at) return FINEPRUNE_OK;
    if (far->packed) return skip(far, to, err);
    far->sought = true;
    if (far->plain && fseeko(far->plain, (off_t)to, SEEK_SET)) return fail_read(far, strerror(errno), err);
    if (far->file && zip_fseek(far->file, (zip_int64_t)to, SEEK_SET))
        return fail_read(far, zip_error_strerror(zip_file_get_error(far->file)), err);
    far->at = to;
    return FINEPRUNE_OK;
}

int fp_npz_far_read(struct fp_npz_far *far, size_t offset, void *dst, size_t n, fineprune_error *err) {
    if (offset > far->bytes || n > far->bytes - offset)
        return fp_fail(err, FINEPRUNE_INTERNAL, "%s is read behind its end", far->name);
    int status = wake(far, err);
    if (!status) status = go_to(far, far->header + offset, err);
    for (size_t done = 0; done < n && !status;) {
        const char *reason = "";
        const int64_t got = read_some(far, (char *)dst + done, n - done, &reason);
        if (got <= 0) status = fail_read(far, reason, err);
        else done += (size_t)got;
    }
    if (!status && far->path) status = fp_stamp_check(&far->stamp, far_fd(far), far->path, err);
    if (status) return status;
    char rest;
    if (far->file && !far->sought && far->at == far->end && zip_fread(far->file, &rest, 1) != 0)
        return fp_fail(err, FINEPRUNE_DATA, "%s is damaged: %s", far->name, // the end is where the sum is compared
                       zip_error_strerror(zip_file_get_error(far->file)));
    fp_npy_settle(&far->layout, dst, n);
    return FINEPRUNE_OK;
}
