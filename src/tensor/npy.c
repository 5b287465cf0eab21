// SPDX-License-Identifier: Apache-2.0
// NumPy's array format: "\x93NUMPY", version (1, 2 or 3), length of the header (2 bytes in version 1, else 4, little
// endian), the header as the text of a Python dict {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then
// the elements.
#include "tensor/npy.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tensor/npz.h"

#define MAX_HEADER 65536

static const struct {
    enum fp_type type;
    char kind;
    size_t size;
    size_t word; // what byte order applies to
} KINDS[] = {
    {FP_FLOAT, 'f', 4, 4},     {FP_DOUBLE, 'f', 8, 8},      {FP_FLOAT16, 'f', 2, 2}, {FP_UINT8, 'u', 1, 1},
    {FP_UINT16, 'u', 2, 2},    {FP_UINT32, 'u', 4, 4},      {FP_UINT64, 'u', 8, 8},  {FP_INT8, 'i', 1, 1},
    {FP_INT16, 'i', 2, 2},     {FP_INT32, 'i', 4, 4},       {FP_INT64, 'i', 8, 8},   {FP_BOOL, 'b', 1, 1},
    {FP_COMPLEX64, 'c', 8, 4}, {FP_COMPLEX128, 'c', 16, 8},
};

struct header {
    enum fp_type type;
    struct fp_npy_layout layout;
    int rank;
    int64_t dims[FP_MAX_RANK];
    bool have_type, have_order, have_shape;
};

// ---- the dict

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c) {
    while (c->at < c->end && isspace((unsigned char)*c->at)) c->at++;
}

static bool accept(struct cursor *c, char wanted) {
    skip_space(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool accept_word(struct cursor *c, const char *word) {
    skip_space(c);
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

// A quoted string without escapes.
static bool read_text(struct cursor *c, char *dst, size_t size) {
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    const char quote = *c->at++;
    const char *close = memchr(c->at, quote, (size_t)(c->end - c->at));
    if (!close || (size_t)(close - c->at) >= size) return false;
    size_t n = (size_t)(close - c->at);
    memcpy(dst, c->at, n);
    dst[n] = '\0';
    c->at = close + 1;
    return true;
}

static bool read_number(struct cursor *c, int64_t *value) {
    skip_space(c);
    bool negative = accept(c, '-');
    if (c->at == c->end || !isdigit((unsigned char)*c->at)) return false;
    int64_t n = 0;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *c->at - '0', &n)) return false;
    if (c->at < c->end && *c->at == 'L') c->at++; // Python 2
    *value = n;
    if (negative) *value = -n;
    return true;
}

static bool read_shape(struct cursor *c, struct header *h) {
    if (!accept(c, '(')) return false;
    while (!accept(c, ')')) {
        if (h->rank == FP_MAX_RANK || !read_number(c, &h->dims[h->rank])) return false;
        h->rank++;
        if (accept(c, ',')) continue;
        return accept(c, ')');
    }
    return true;
}

static bool decode_type(const char *descr, struct header *h) {
    if (!strchr("<>|=", descr[0]) || !descr[0] || !descr[1]) return false;
    char *end;
    unsigned long size = strtoul(descr + 2, &end, 10);
    if (*end || !isdigit((unsigned char)descr[2])) return false;
    for (size_t i = 0; i < FP_COUNT(KINDS); i++) {
        if (KINDS[i].kind != descr[1] || KINDS[i].size != size) continue;
        h->type = KINDS[i].type;
        h->layout.word = KINDS[i].word;
        const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
        h->layout.swap = KINDS[i].word > 1 && ((descr[0] == '<' && !little) || (descr[0] == '>' && little));
        h->layout.bools = h->type == FP_BOOL;
        return true;
    }
    return false;
}

static int fail_type(const char *descr, const char *name, fineprune_error *err) {
    int status = fp_fail(err, FINEPRUNE_DATA, "%s has elements of the type '%s', which is not a plain number", name,
                         descr);
    if (!descr[0] || !descr[1] || strchr("OVSU", descr[1]))
        fp_hint(err, "save plain numbers: array.astype(numpy.float32), or the type that the model's input has");
    else fp_hint(err, "array.astype(numpy.float32) saves a type that is read");
    return status;
}

static int parse_dict(struct header *h, const char *text, size_t size, const char *name, fineprune_error *err) {
    struct cursor c = {text, text + size};
    char key[32], descr[64];
    bool ok = accept(&c, '{');
    while (ok && !accept(&c, '}')) {
        ok = read_text(&c, key, sizeof(key)) && accept(&c, ':');
        if (!ok) break;
        if (strcmp(key, "descr") == 0) {
            if (accept(&c, '[')) return fail_type("|V", name, err); // a record
            ok = read_text(&c, descr, sizeof(descr));
            if (ok && !decode_type(descr, h)) return fail_type(descr, name, err);
            h->have_type = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            h->layout.by_columns = accept_word(&c, "True");
            ok = h->layout.by_columns || accept_word(&c, "False");
            h->have_order = true;
        } else if (strcmp(key, "shape") == 0) {
            h->rank = 0;
            ok = read_shape(&c, h);
            h->have_shape = true;
        } else {
            ok = false;
        }
        if (ok && !accept(&c, ',')) {
            ok = accept(&c, '}');
            break;
        }
    }
    skip_space(&c);
    if (!ok || c.at != c.end || !h->have_type || !h->have_order || !h->have_shape)
        return fp_fail(err, FINEPRUNE_DATA, "%s has a damaged header", name);
    if (h->rank < 2) h->layout.by_columns = false;
    return FINEPRUNE_OK;
}

// ---- the stream

static int read_exactly(const struct fp_npy_source *s, void *dst, size_t n, const char *what, fineprune_error *err) {
    for (size_t done = 0; done < n;) {
        const char *reason = "";
        int64_t got = s->read(s->user, (char *)dst + done, n - done, &reason);
        if (got < 0) return fp_fail(err, FINEPRUNE_DATA, "%s cannot be read: %s", s->name, reason);
        if (got == 0)
            return fp_fail(err, FINEPRUNE_DATA, "%s ends within its %s: %zu bytes are there, %zu are needed", s->name,
                           what, done, n);
        done += (size_t)got;
    }
    return FINEPRUNE_OK;
}

static int read_header(struct header *h, size_t *header_size, const struct fp_npy_source *s, fineprune_error *err) {
    unsigned char start[12] = {0};
    int status = read_exactly(s, start, 10, "header", err);
    if (status) return status;
    if (memcmp(start, "\x93NUMPY", 6) != 0) return fp_fail(err, FINEPRUNE_DATA, "%s is not in NumPy's format", s->name);
    if (start[6] < 1 || start[6] > 3)
        return fp_fail(err, FINEPRUNE_DATA, "%s has the format version %d; 1 to 3 are known", s->name, start[6]);
    size_t prefix = 12;
    if (start[6] == 1) prefix = 10;
    if (prefix == 12) status = read_exactly(s, start + 10, 2, "header", err);
    if (status) return status;
    size_t length = start[8] | (size_t)start[9] << 8 | (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (length > MAX_HEADER)
        return fp_fail(err, FINEPRUNE_DATA, "%s has a header of %zu bytes (at most %d)", s->name, length, MAX_HEADER);
    char *text = malloc(length + 1);
    if (!text) return fp_fail_memory(err, s->name, length);
    status = read_exactly(s, text, length, "header", err);
    if (!status) status = parse_dict(h, text, length, s->name, err);
    free(text);
    *header_size = prefix + length;
    return status;
}

static int check_size(const struct header *h, size_t header_size, const struct fp_npy_source *s, fineprune_error *err) {
    char shape[160];
    size_t count, bytes, total;
    fp_shape_text(shape, sizeof(shape), h->rank, h->dims);
    for (int i = 0; i < h->rank; i++)
        if (h->dims[i] < 0)
            return fp_fail(err, FINEPRUNE_DATA, "%s has a negative size (%lld at axis %d)", s->name,
                           (long long)h->dims[i], i);
    if (!fp_product(h->rank, h->dims, &count) || !fp_mul(count, 16, &bytes))
        return fp_fail(err, FINEPRUNE_DATA, "%s has the impossible shape %s", s->name, shape);
    bytes = count * fp_type_size(h->type);
    if (!fp_add(bytes, header_size, &total) || (s->size != SIZE_MAX && total != s->size))
        return fp_fail(err, FINEPRUNE_DATA, "%s holds %zu bytes of elements, but its shape %s of %s needs %zu", s->name,
                       s->size < header_size ? 0 : s->size - header_size, shape, fp_type_name(h->type), bytes);
    return FINEPRUNE_OK;
}

// ---- the elements

static void swap_words(unsigned char *data, size_t bytes, size_t word) {
    for (size_t i = 0; i < bytes; i += word)
        for (size_t a = 0, b = word - 1; a < b; a++, b--) {
            unsigned char t = data[i + a];
            data[i + a] = data[i + b];
            data[i + b] = t;
        }
}

void fp_npy_turn(struct fp_tensor *dst, const void *by_columns) {
    const size_t size = fp_type_size(dst->type);
    size_t stride[FP_MAX_RANK] = {0}, next = 1;
    int64_t index[FP_MAX_RANK] = {0};
    for (int i = 0; i < dst->rank; i++) {
        stride[i] = next;
        next *= (size_t)dst->dims[i];
    }
    size_t from = 0;
    for (size_t to = 0; to < dst->count; to++) {
        memcpy((char *)dst->data + to * size, (const char *)by_columns + from * size, size);
        for (int axis = dst->rank - 1; axis >= 0; axis--) {
            from += stride[axis];
            if (++index[axis] < dst->dims[axis]) break;
            from -= stride[axis] * (size_t)dst->dims[axis];
            index[axis] = 0;
        }
    }
}

static int to_row_major(struct fp_tensor *t, struct fp_memory *memory, fineprune_error *err) {
    struct fp_tensor rows = {0};
    int status = fp_tensor_new(&rows, memory, t->type, t->rank, t->dims, err);
    if (status) return status;
    fp_npy_turn(&rows, t->data);
    fp_tensor_done(t);
    *t = rows;
    return FINEPRUNE_OK;
}

// NumPy writes bools as 0 and 1; a file by other hands may hold other bytes.
void fp_npy_settle(const struct fp_npy_layout *layout, void *data, size_t bytes) {
    unsigned char *at = data;
    if (layout->swap) swap_words(at, bytes, layout->word);
    for (size_t i = 0; i < bytes && layout->bools; i++) at[i] = at[i] != 0;
}

// What the header says is asked for before the first element is read. Columns are held twice while they are turned.
static int take_room(struct fp_tensor *t, const struct header *h, const struct fp_npy_source *s,
                     struct fp_memory *memory, fineprune_error *err) {
    int status = fp_tensor_shape(t, h->type, h->rank, h->dims, err);
    if (status) return status;
    const size_t bytes = fp_tensor_bytes(t), needed = h->layout.by_columns ? 2 * bytes : bytes; // fp_tensor_shape: * 16
    char shape[160];
    fp_shape_text(shape, sizeof(shape), h->rank, h->dims);
    if (memory && !fp_memory_allows(memory, needed)) {
        status = fp_fail(err, FINEPRUNE_LIMIT,
                         "not enough memory for %s: %s of %s needs %.1f MB%s, and %.1f of %.1f MB are left", s->name,
                         shape, fp_type_name(h->type), (double)needed / 1e6,
                         h->layout.by_columns ? " (its first axis is the fastest, so twice)" : "",
                         (double)fp_memory_left(memory) / 1e6, (double)memory->limit / 1e6);
        fp_memory_hint(memory, err);
    } else if (fp_tensor_allocate(t, memory, NULL)) {
        status = fp_fail_memory(err, s->name, needed);
    }
    return status;
}

int fp_npy_parse(struct fp_tensor *out, const struct fp_npy_source *source, struct fp_memory *memory,
                 fineprune_error *err) {
    struct header h = {0};
    struct fp_tensor t = {0};
    size_t header_size = 0;
    int status = read_header(&h, &header_size, source, err);
    if (!status) status = check_size(&h, header_size, source, err);
    if (!status) status = take_room(&t, &h, source, memory, err);
    if (!status) status = read_exactly(source, t.data, fp_tensor_bytes(&t), "elements", err);
    if (status) {
        fp_tensor_done(&t);
        return status;
    }
    fp_npy_settle(&h.layout, t.data, fp_tensor_bytes(&t));
    if (h.layout.by_columns) status = to_row_major(&t, memory, err);
    if (status) fp_tensor_done(&t);
    else *out = t;
    return status;
}

int fp_npy_begin(struct fp_tensor *shape, const struct fp_npy_source *source, size_t *header,
                 struct fp_npy_layout *layout, fineprune_error *err) {
    struct header h = {0};
    int status = read_header(&h, header, source, err);
    if (!status) status = check_size(&h, *header, source, err);
    *layout = h.layout;
    if (status) return status;
    return fp_tensor_shape(shape, h.type, h.rank, h.dims, err);
}

// ---- files

static int64_t read_file(void *user, void *dst, size_t n, const char **reason) {
    FILE *f = user;
    size_t got = fread(dst, 1, n, f);
    if (got || !ferror(f)) return (int64_t)got;
    *reason = strerror(errno);
    return -1;
}

int fp_npy_read(struct fp_tensor *out, const char *path, struct fp_memory *memory, fineprune_error *err) {
    struct stat st; // a pipe without a writer would be waited for
    if (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': not a regular file", path);
    FILE *f = fopen(path, "rbe");
    if (!f) return fp_fail(err, FINEPRUNE_IO, "cannot read '%s': %s", path, strerror(errno));
    char name[300];
    snprintf(name, sizeof(name), "'%s'", path);
    bool regular = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    struct fp_npy_source source = {read_file, f, name, SIZE_MAX};
    if (regular) source.size = (size_t)st.st_size;
    int status = fp_npy_parse(out, &source, memory, err);
    fclose(f);
    return status;
}

static size_t put_header(char *dst, char kind, size_t word, size_t size, int rank, const int64_t *dims) {
    char order = '>';
    if (word == 1) order = '|';
    else if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) order = '<';
    size_t n = 10;
    n += (size_t)snprintf(dst + n, FP_NPY_HEADER - n, "{'descr': '%c%c%zu', 'fortran_order': False, 'shape': (", order,
                          kind, size);
    for (int i = 0; i < rank; i++)
        n += (size_t)snprintf(dst + n, FP_NPY_HEADER - n, "%s%lld", fp_between((size_t)i, ", "), (long long)dims[i]);
    n += (size_t)snprintf(dst + n, FP_NPY_HEADER - n, rank == 1 ? ",), }" : "), }");
    while (n % 64 != 63) dst[n++] = ' ';
    dst[n++] = '\n';
    memcpy(dst, "\x93NUMPY\x01\x00", 8);
    dst[8] = (char)((n - 10) & 255);
    dst[9] = (char)((n - 10) >> 8);
    return n;
}

size_t fp_npy_header(char *dst, enum fp_type type, int rank, const int64_t *dims) {
    size_t kind = 0;
    while (kind < FP_COUNT(KINDS) && KINDS[kind].type != type) kind++;
    if (kind == FP_COUNT(KINDS)) return 0;
    return put_header(dst, KINDS[kind].kind, KINDS[kind].word, KINDS[kind].size, rank, dims);
}

size_t fp_npy_text_header(char *dst, size_t width, int rank, const int64_t *dims) {
    return put_header(dst, 'U', 4, width, rank, dims);
}
