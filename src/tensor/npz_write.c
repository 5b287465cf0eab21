// SPDX-License-Identifier: Apache-2.0
// Writing .npz. An archive is written here as it comes, entry by entry, because libzip keeps every array until its
// archive is closed. The layout (little endian; sizes over 32 bits go to a zip64 extra field, as APPNOTE.TXT has it):
//     per entry: local header, name, [zip64 extra], the .npy bytes        then per entry: central header, name, [zip64
//     extra] then [zip64 end record, zip64 locator], end record
// Arrays of bools (masks) and strings are deflated, all others are stored: weights and activations hardly shrink. The
// bytes depend on names and arrays only.
#include "tensor/npz.h"

#include <stdlib.h>
#include <zlib.h>

#include "tensor/npy.h"
#include "base/output.h"

#define LIMIT32 UINT32_C(0xffffffff)
#define LIMIT16 UINT32_C(0xffff)
#define DATE UINT32_C(0x21) // 1 January 1980, the first day that zip knows
#define UTF8 UINT32_C(0x800)

struct entry {
    char *name;
    uint64_t size, packed, offset;
    uint32_t crc;
    unsigned method;
};

struct fp_npz_writer {
    struct fp_output *output;
    uint64_t offset;
    struct entry *entries;
    size_t count, capacity;
};

// ---- records

struct record {
    size_t size;
    uint8_t data[160];
};

static void put(struct record *r, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) r->data[r->size++] = (uint8_t)(value >> 8 * i);
}

static uint64_t clip(uint64_t value) {
    if (value < LIMIT32) return value;
    return LIMIT32;
}

static int emit(struct fp_npz_writer *w, const void *data, size_t size, fineprune_error *err) {
    w->offset += size;
    return fp_output_write(w->output, data, size, err);
}

// What local and central headers share: flags to the lengths of name and extra.
static void put_common(struct record *r, const struct entry *e, size_t extra) {
    put(r, UTF8, 2);
    put(r, e->method, 2);
    put(r, 0, 2); // time
    put(r, DATE, 2);
    put(r, e->crc, 4);
    put(r, clip(e->packed), 4);
    put(r, clip(e->size), 4);
    put(r, strlen(e->name), 2);
    put(r, extra, 2);
}

static int write_local(struct fp_npz_writer *w, const struct entry *e, fineprune_error *err) {
    const bool large = e->size >= LIMIT32 || e->packed >= LIMIT32;
    struct record r = {0}, extra = {0};
    if (large) {
        put(&extra, 1, 2);
        put(&extra, 16, 2);
        put(&extra, e->size, 8);
        put(&extra, e->packed, 8);
    }
    put(&r, 0x04034b50, 4);
    put(&r, large ? 45 : 20, 2);
    put_common(&r, e, extra.size);
    if (large) // a local header has both sizes in the extra field or none
        for (int i = 18; i < 26; i++) r.data[i] = 0xff;
    int status = emit(w, r.data, r.size, err);
    if (!status) status = emit(w, e->name, strlen(e->name), err);
    if (!status) status = emit(w, extra.data, extra.size, err);
    return status;
}

static int write_central(struct fp_npz_writer *w, const struct entry *e, fineprune_error *err) {
    struct record r = {0}, fields = {0}, extra = {0};
    if (e->size >= LIMIT32) put(&fields, e->size, 8);
    if (e->packed >= LIMIT32) put(&fields, e->packed, 8);
    if (e->offset >= LIMIT32) put(&fields, e->offset, 8);
    if (fields.size) {
        put(&extra, 1, 2);
        put(&extra, fields.size, 2);
    }
    put(&r, 0x02014b50, 4);
    put(&r, 3 << 8 | 45, 2); // made on Unix
    put(&r, fields.size ? 45 : 20, 2);
    put_common(&r, e, extra.size + fields.size);
    put(&r, 0, 2); // comment
    put(&r, 0, 2); // disk
    put(&r, 0, 2); // internal attributes
    put(&r, UINT32_C(0100644) << 16, 4);
    put(&r, clip(e->offset), 4);
    int status = emit(w, r.data, r.size, err);
    if (!status) status = emit(w, e->name, strlen(e->name), err);
    if (!status) status = emit(w, extra.data, extra.size, err);
    if (!status) status = emit(w, fields.data, fields.size, err);
    return status;
}

static int write_end(struct fp_npz_writer *w, uint64_t start, fineprune_error *err) {
    const uint64_t size = w->offset - start, end = w->offset;
    struct record r = {0};
    if (start >= LIMIT32 || size >= LIMIT32 || w->count >= LIMIT16) {
        put(&r, 0x06064b50, 4);
        put(&r, 44, 8);
        put(&r, 3 << 8 | 45, 2);
        put(&r, 45, 2);
        put(&r, 0, 8); // disks
        put(&r, w->count, 8);
        put(&r, w->count, 8);
        put(&r, size, 8);
        put(&r, start, 8);
        put(&r, 0x07064b50, 4);
        put(&r, 0, 4);
        put(&r, end, 8);
        put(&r, 1, 4);
    }
    uint64_t count = w->count;
    if (count > LIMIT16) count = LIMIT16;
    put(&r, 0x06054b50, 4);
    put(&r, 0, 4); // disks
    put(&r, count, 2);
    put(&r, count, 2);
    put(&r, clip(size), 4);
    put(&r, clip(start), 4);
    put(&r, 0, 2);
    return emit(w, r.data, r.size, err);
}

// ---- contents

struct part {
    const void *data;
    size_t size;
};

static uint32_t checksum(const struct part *parts, size_t n) {
    uLong crc = crc32(0, NULL, 0);
    for (size_t i = 0; i < n; i++) crc = crc32_z(crc, parts[i].data, parts[i].size);
    return (uint32_t)crc;
}

static int deflate_part(struct fp_npz_writer *w, z_stream *z, const struct part *part, bool last, bool count_only,
                        uint64_t *packed, fineprune_error *err) {
    uint8_t buffer[32768];
    const uint8_t *src = part->data;
    size_t left = part->size;
    do {
        const size_t step = fp_least(left, 1u << 30);
        z->next_in = (Bytef *)(uintptr_t)src;
        z->avail_in = (uInt)step;
        src += step;
        left -= step;
        do {
            z->next_out = buffer;
            z->avail_out = sizeof(buffer);
            deflate(z, last && !left ? Z_FINISH : Z_NO_FLUSH);
            const size_t made = sizeof(buffer) - z->avail_out;
            *packed += made;
            int status = FINEPRUNE_OK;
            if (!count_only) status = emit(w, buffer, made, err);
            if (status) return status;
        } while (z->avail_out == 0);
    } while (left);
    return FINEPRUNE_OK;
}

// The first pass only counts, as the size stands before the bytes and a pipe cannot be gone back in.
static int deflate_parts(struct fp_npz_writer *w, const struct part *parts, size_t n, bool count_only, uint64_t *packed,
                         fineprune_error *err) {
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return fp_fail_memory(err, "compression", 300000);
    *packed = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = deflate_part(w, &z, &parts[i], i + 1 == n, count_only, packed, err);
    deflateEnd(&z);
    return status;
}

static int write_contents(struct fp_npz_writer *w, const struct entry *e, const struct part *parts, size_t n,
                          fineprune_error *err) {
    int status = FINEPRUNE_OK;
    uint64_t packed;
    if (e->method == 8) return deflate_parts(w, parts, n, false, &packed, err);
    for (size_t i = 0; i < n && !status; i++) status = emit(w, parts[i].data, parts[i].size, err);
    return status;
}

static int add_entry(struct fp_npz_writer *w, const char *name, const struct part *parts, size_t n, bool packed,
                     fineprune_error *err) {
    struct entry *grown = fp_grow(w->entries, &w->capacity, w->count + 1, sizeof(*grown));
    if (grown) w->entries = grown;
    char *file_name = NULL;
    if (grown) file_name = fp_format("%s.npy", name);
    if (!file_name) return fp_fail_memory(err, name, strlen(name));
    struct entry *e = &w->entries[w->count++];
    *e = (struct entry){.name = file_name, .offset = w->offset, .crc = checksum(parts, n), .method = packed ? 8 : 0};
    for (size_t i = 0; i < n; i++) e->size += parts[i].size;
    e->packed = e->size;
    int status = FINEPRUNE_OK;
    if (packed) status = deflate_parts(w, parts, n, true, &e->packed, err);
    if (!status) status = write_local(w, e, err);
    if (!status) status = write_contents(w, e, parts, n, err);
    return status;
}

// ---- strings

// The next character of UTF-8 text; a byte that starts none stands for itself.
static uint32_t next_character(const char **text) {
    uint32_t code;
    *text += fp_most(fp_utf8_character(*text, SIZE_MAX, &code), 1);
    return code;
}

static size_t longest(const struct fp_tensor *rows, size_t n) {
    size_t width = 1;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < rows[k].count; i++) {
            size_t length = 0;
            for (const char *at = ((char **)rows[k].data)[i]; *at; length++) next_character(&at);
            if (length > width) width = length;
        }
    return width;
}

static int add_strings(struct fp_npz_writer *writer, const char *name, int rank, const int64_t *dims,
                       const struct fp_tensor *rows, size_t n, fineprune_error *err) {
    char header[FP_NPY_HEADER];
    size_t width = longest(rows, n), count = 0, bytes;
    for (size_t k = 0; k < n; k++) count += rows[k].count;
    uint32_t *text = NULL;
    if (fp_mul(count, width * sizeof(*text), &bytes)) text = fp_calloc(count * width, sizeof(*text));
    if (!text) return fp_fail_memory(err, name, count);
    uint32_t *dst = text;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < rows[k].count; i++, dst += width) {
            uint32_t *character = dst;
            for (const char *at = ((char **)rows[k].data)[i]; *at;) *character++ = next_character(&at);
        }
    const struct part parts[] = {{header, fp_npy_text_header(header, width, rank, dims)}, {text, bytes}};
    int status = add_entry(writer, name, parts, 2, true, err);
    free(text);
    return status;
}

// ---- arrays

int fp_npz_add_rows(struct fp_npz_writer *writer, const char *name, int rank, const int64_t *dims,
                    const struct fp_tensor *rows, size_t n, fineprune_error *err) {
    char header[FP_NPY_HEADER];
    enum fp_type type = FP_FLOAT;
    if (n) type = rows[0].type;
    if (type == FP_STRING && rank <= FP_MAX_RANK) return add_strings(writer, name, rank, dims, rows, n, err);
    size_t size = 0;
    if (rank <= FP_MAX_RANK) size = fp_npy_header(header, type, rank, dims);
    if (!size)
        return fp_fail(err, FINEPRUNE_DATA, "'%s' is %s, which NumPy's format cannot hold", name, fp_type_name(type));
    if (strlen(name) > 60000) return fp_fail(err, FINEPRUNE_DATA, "the name '%.50s...' is too long for a .npz", name);
    struct part *parts = fp_calloc(n + 1, sizeof(*parts));
    if (!parts) return fp_fail_memory(err, name, n * sizeof(*parts));
    parts[0] = (struct part){header, size};
    size_t count = 0, wanted = 0;
    for (size_t i = 0; i < n; i++) {
        parts[i + 1] = (struct part){rows[i].data, fp_tensor_bytes(&rows[i])};
        count += rows[i].count;
    }
    int status;
    if (fp_product(rank, dims, &wanted) && wanted == count)
        status = add_entry(writer, name, parts, n + 1, type == FP_BOOL, err);
    else status = fp_fail(err, FINEPRUNE_INTERNAL, "'%s': %zu elements for a shape of %zu", name, count, wanted);
    free(parts);
    return status;
}

int fp_npz_add(struct fp_npz_writer *writer, const char *name, const struct fp_tensor *t, fineprune_error *err) {
    return fp_npz_add_rows(writer, name, t->rank, t->dims, t, 1, err);
}

// ---- the file

int fp_npz_create(struct fp_npz_writer **out, const char *path, bool force, fineprune_error *err) {
    struct fp_npz_writer *w = fp_calloc(1, sizeof(*w));
    if (!w) return fp_fail_memory(err, path, sizeof(*w));
    int status = fp_output_open_private(&w->output, path, force, err);
    if (status) free(w);
    else *out = w;
    return status;
}

static void writer_free(struct fp_npz_writer *w) {
    for (size_t i = 0; i < w->count; i++) free(w->entries[i].name);
    free(w->entries);
    free(w);
}

int fp_npz_finish(struct fp_npz_writer *writer, fineprune_error *err) { return fp_npz_hold(writer, NULL, err); }

int fp_npz_hold(struct fp_npz_writer *writer, fineprune_group *group, fineprune_error *err) {
    const uint64_t start = writer->offset;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < writer->count && !status; i++) status = write_central(writer, &writer->entries[i], err);
    if (!status) status = write_end(writer, start, err);
    if (status) fp_output_abandon(writer->output);
    else status = fp_output_hold(writer->output, group, err);
    writer_free(writer);
    return status;
}

void fp_npz_abandon(struct fp_npz_writer *writer) {
    if (!writer) return;
    fp_output_abandon(writer->output);
    writer_free(writer);
}
