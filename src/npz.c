// SPDX-License-Identifier: Apache-2.0
// Reading .npz: a zip archive whose entries are .npy files. The directory is read at once, an array when it is asked for.
#include "npz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zip.h>

#include "npy.h"

#define MAX_ENTRIES 1000000
#define DEFLATE_RATIO 1032 // deflate cannot do better, so an entry that claims more is not what it says

struct fp_npz {
    zip_t *zip;
    char *path;
    size_t count;
    char **names;
    zip_uint64_t *entries; // of names[]
};

void fp_npz_free(struct fp_npz *npz) {
    if (!npz) return;
    if (npz->zip) zip_discard(npz->zip);
    for (size_t i = 0; i < npz->count; i++) free(npz->names[i]);
    free(npz->names);
    free(npz->entries);
    free(npz->path);
    free(npz);
}

// All bytes of a stream that cannot seek.
static int read_all(uint8_t **out, size_t *size, FILE *f, const char *path, fineprune_error *err) {
    uint8_t *data = NULL;
    size_t capacity = 0, n = 0, got;
    do {
        uint8_t *grown = fp_grow(data, &capacity, n + 65536, 1);
        if (!grown) {
            free(data);
            return fp_fail_memory(err, path, n);
        }
        data = grown;
        got = fread(data + n, 1, capacity - n, f);
        n += got;
    } while (got);
    if (ferror(f)) {
        free(data);
        return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    *out = data;
    *size = n;
    return FINEPRUNE_OK;
}

static int fail_zip(const struct fp_npz *npz, zip_error_t *error, fineprune_error *err) {
    bool system = zip_error_system_type(error) == ZIP_ET_SYS && zip_error_code_zip(error) != ZIP_ER_NOZIP;
    int status = fp_fail(err, system ? FINEPRUNE_IO : FINEPRUNE_DATA, "cannot read '%s' as a .npz: %s", npz->path, zip_error_strerror(error));
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
        int status = read_all(&data, &size, stdin, "standard input", err);
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
        FILE *f = found ? fopen(npz->path, "rbe") : NULL;
        if (!f) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", npz->path, strerror(errno));
        source = zip_source_filep_create(f, 0, -1, &error);
        if (!source) fclose(f);
    }
    if (!source) return fail_zip(npz, &error, err);
    npz->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (npz->zip) return FINEPRUNE_OK;
    zip_source_free(source);
    return fail_zip(npz, &error, err);
}

static int read_directory(struct fp_npz *npz, fineprune_error *err) {
    zip_int64_t n = zip_get_num_entries(npz->zip, 0);
    if (n < 0 || n > MAX_ENTRIES)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' has %lld entries (at most %d)", npz->path, (long long)n, MAX_ENTRIES);
    npz->names = fp_calloc((size_t)n, sizeof(*npz->names));
    npz->entries = fp_calloc((size_t)n, sizeof(*npz->entries));
    if (!npz->names || !npz->entries) return fp_fail_memory(err, npz->path, (size_t)n * 16);
    for (zip_uint64_t i = 0; i < (zip_uint64_t)n; i++) {
        const char *name = zip_get_name(npz->zip, i, ZIP_FL_ENC_RAW);
        size_t length = name ? strlen(name) : 0;
        if (length < 4 || strcmp(name + length - 4, ".npy") != 0) continue;
        npz->names[npz->count] = strndup(name, length - 4);
        if (!npz->names[npz->count]) return fp_fail_memory(err, npz->path, length);
        npz->entries[npz->count++] = i;
    }
    return FINEPRUNE_OK;
}

int fp_npz_open(struct fp_npz **out, const char *path, fineprune_error *err) {
    struct fp_npz *npz = fp_calloc(1, sizeof(*npz));
    if (npz) npz->path = strdup(path);
    int status = npz && npz->path ? FINEPRUNE_OK : fp_fail_memory(err, path, sizeof(*npz));
    if (!status) status = open_zip(npz, err);
    if (!status) status = read_directory(npz, err);
    if (status) fp_npz_free(npz);
    else *out = npz;
    return status;
}

size_t fp_npz_count(const struct fp_npz *npz) { return npz->count; }

const char *fp_npz_name(const struct fp_npz *npz, size_t index) { return index < npz->count ? npz->names[index] : NULL; }

static int64_t read_entry(void *user, void *dst, size_t n, const char **reason) {
    zip_int64_t got = zip_fread(user, dst, n);
    if (got < 0) *reason = zip_error_strerror(zip_file_get_error(user));
    return got;
}

static int check_entry(struct fp_npz *npz, zip_uint64_t entry, const char *name, zip_uint64_t *size, fineprune_error *err) {
    zip_stat_t st;
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(npz->zip, entry, 0, &st) || (st.valid & needed) != needed)
        return fp_fail(err, FINEPRUNE_DATA, "%s cannot be found in the archive", name);
    if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
        return fp_fail(err, FINEPRUNE_DATA, "%s is compressed by a method (%d) that NumPy does not use", name, st.comp_method);
    if (st.size / DEFLATE_RATIO > st.comp_size + 1)
        return fp_fail(err, FINEPRUNE_DATA, "%s claims %llu bytes in %llu compressed ones", name, (unsigned long long)st.size,
                       (unsigned long long)st.comp_size);
    *size = st.size;
    return FINEPRUNE_OK;
}

static int read_array(struct fp_npz *npz, zip_uint64_t entry, const char *name, struct fp_tensor *out, struct fp_memory *memory,
                      fineprune_error *err) {
    zip_uint64_t size = 0;
    int status = check_entry(npz, entry, name, &size, err);
    if (status) return status;
    zip_file_t *file = zip_fopen_index(npz->zip, entry, 0);
    if (!file) return fp_fail(err, FINEPRUNE_DATA, "%s cannot be read: %s", name, zip_error_strerror(zip_get_error(npz->zip)));
    const struct fp_npy_source source = {read_entry, file, name, size};
    status = fp_npy_parse(out, &source, memory, err);
    char rest;
    if (!status && zip_fread(file, &rest, 1) != 0) { // the end is where the check sum is compared
        status = fp_fail(err, FINEPRUNE_DATA, "%s is damaged: %s", name, zip_error_strerror(zip_file_get_error(file)));
        fp_tensor_done(out);
    }
    zip_fclose(file);
    return status;
}

int fp_npz_read(struct fp_npz *npz, const char *name, struct fp_tensor *out, struct fp_memory *memory, fineprune_error *err) {
    char text[400];
    snprintf(text, sizeof(text), "'%.200s': array '%.150s'", strcmp(npz->path, "-") ? npz->path : "standard input", name);
    for (size_t i = 0; i < npz->count; i++)
        if (strcmp(npz->names[i], name) == 0) return read_array(npz, npz->entries[i], text, out, memory, err);
    return fp_fail(err, FINEPRUNE_DATA, "%s is not there", text);
}
