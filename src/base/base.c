// SPDX-License-Identifier: Apache-2.0
// Errors, checked sizes, the memory budget and small text helpers.
#include "base/base.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ---- errors

static bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

char *fp_escape(char *dst, size_t size, const char *src) {
    size_t n = 0;
    for (const unsigned char *s = (const unsigned char *)src; *s && n + 5 < size; s++) {
        if (is_control(*s)) n += (size_t)snprintf(dst + n, size - n, "\\x%02x", *s);
        else dst[n++] = (char)*s;
    }
    if (size) dst[fp_least(n, size - 1)] = '\0';
    return dst;
}

static void format_line(char *dst, size_t size, const char *format, va_list args) {
    char text[4000];
    vsnprintf(text, sizeof(text), format, args);
    fp_escape(dst, size, text);
}

int fp_fail(fineprune_error *err, int status, const char *format, ...) {
    if (!err || err->status) return status;
    va_list args;
    va_start(args, format);
    format_line(err->message, sizeof(err->message), format, args);
    va_end(args);
    err->status = status;
    return status;
}

int fp_fail_memory(fineprune_error *err, const char *what, size_t bytes) {
    int status = fp_fail(err, FINEPRUNE_LIMIT, "not enough memory for %s (%.1f MB)", what, (double)bytes / 1e6);
    fp_hint(err, "raise --max-memory, lower --batch, or use a machine with more memory");
    return status;
}

void fp_hint(fineprune_error *err, const char *format, ...) {
    if (!err || err->hint[0]) return;
    va_list args;
    va_start(args, format);
    format_line(err->hint, sizeof(err->hint), format, args);
    va_end(args);
}

void fp_error_clear(fineprune_error *err) {
    if (err) memset(err, 0, sizeof(*err));
}

void fp_error_in(fineprune_error *err, const char *path) {
    char text[340], file[2 * sizeof(text)];
    if (!err || !err->status || !path) return;
    snprintf(text, sizeof(text), "'%.300s'", path);
    fp_escape(file, sizeof(file), text);
    if (strstr(err->message, file)) return;
    const fineprune_error said = *err;
    fp_error_clear(err);
    fp_fail(err, said.status, "%s: %s", file, said.message);
    memcpy(err->hint, said.hint, sizeof(err->hint));
}

// ---- sizes

bool fp_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out) && *out <= PTRDIFF_MAX; }

bool fp_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out) && *out <= PTRDIFF_MAX; }

bool fp_product(int rank, const int64_t *dims, size_t *out) {
    // A zero anywhere makes the product zero, but only among dims that are valid on their own.
    size_t n = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) return false;
        if (dims[i] == 0) empty = true;
        else if (!fp_mul(n, (size_t)dims[i], &n)) return false;
    }
    if (empty) *out = 0;
    else *out = n;
    return true;
}

// ---- memory

// What stands before a larger buffer, as long as a cache line so that the buffer stays aligned.
struct fp_spare {
    _Alignas(64) struct fp_spare *next; // of those that are spare
    size_t size;                        // of the buffer, which may be more than was asked for
};

enum { SPARE_LEAST = 1 << 14, SPARE_MORE = 1 << 25 };

// Buffers come in sizes of which few differ: multiples of 64, and of an eighth of the power of two below for larger
// ones.
static bool round_size(size_t size, size_t *rounded) {
    size_t step = 64;
    while (size >= SPARE_LEAST && step < size / 16) step *= 2;
    if (!fp_add(size, step - 1, rounded)) return false;
    *rounded = *rounded / step * step;
    if (!*rounded) *rounded = 64;
    return true;
}

// Drops spare buffers, the oldest first, until no more than `most` bytes are left.
static void drop_spare(struct fp_memory *memory, size_t most) {
    struct fp_spare **at = &memory->spare;
    size_t kept = 0;
    while (*at && kept + (*at)->size <= most) {
        kept += (*at)->size;
        at = &(*at)->next;
    }
    struct fp_spare *rest = *at;
    *at = NULL;
    memory->spare_size = kept;
    while (rest) {
        struct fp_spare *next = rest->next;
        free(rest);
        rest = next;
    }
}

void fp_memory_trim(struct fp_memory *memory) { drop_spare(memory, 0); }

bool fp_memory_allows(struct fp_memory *memory, size_t more) {
    if (!memory->limit || (more <= memory->limit && memory->used <= memory->limit - more)) return true;
    size_t total;
    if (fp_add(memory->used, more, &total) && total > memory->refused) memory->refused = total;
    return false;
}

bool fp_memory_count(struct fp_memory *memory, size_t bytes) {
    if (!fp_memory_allows(memory, bytes)) return false;
    memory->used += bytes;
    if (memory->used > memory->peak) memory->peak = memory->used;
    return true;
}

void fp_memory_uncount(struct fp_memory *memory, size_t bytes) { memory->used -= bytes; }

size_t fp_memory_left(const struct fp_memory *memory) {
    if (!memory->limit) return SIZE_MAX;
    if (memory->used < memory->limit) return memory->limit - memory->used;
    return 0;
}

void fp_memory_hint(const struct fp_memory *memory, fineprune_error *err) {
    if (!err || err->status != FINEPRUNE_LIMIT || memory->refused <= memory->limit) return;
    err->hint[0] = '\0';
    bool small = memory->refused < (size_t)10 << 20;
    size_t unit = small ? (size_t)1 << 10 : (size_t)1 << 20;
    fp_hint(err, "at least --max-memory %zu%c is needed", memory->refused / unit + 1, small ? 'K' : 'M');
}

int fp_fail_limit(fineprune_error *err, int status, const fineprune_error *why, const struct fp_memory *memory) {
    fp_fail(err, status, "%s", why->message);
    if (why->hint[0]) fp_hint(err, "%s", why->hint);
    fp_memory_hint(memory, err);
    return status;
}

// The smallest that is large enough, of those the last released. Nothing is wasted where there is a limit.
static struct fp_spare *take_spare(struct fp_memory *memory, size_t size) {
    const size_t most = memory->limit ? size : 2 * size;
    struct fp_spare **best = NULL;
    for (struct fp_spare **at = &memory->spare; *at && !(best && (*best)->size == size); at = &(*at)->next)
        if ((*at)->size >= size && (*at)->size <= most && (!best || (*at)->size < (*best)->size)) best = at;
    if (!best) return NULL;
    struct fp_spare *found = *best;
    *best = found->next;
    memory->spare_size -= found->size;
    return found;
}

// Makes room for a new buffer among what is kept.
static void make_room(struct fp_memory *memory, size_t size) {
    size_t total = memory->used + size, most = memory->peak + SPARE_MORE;
    if (memory->limit && memory->limit < most) most = memory->limit;
    drop_spare(memory, most > total ? most - total : 0);
}

static struct fp_spare *new_buffer(struct fp_memory *memory, size_t size) {
    size_t bytes;
    if (memory->spare) make_room(memory, size);
    struct fp_spare *made = NULL;
    if (fp_add(size, sizeof(*made), &bytes)) made = aligned_alloc(64, bytes);
    if (made) made->size = size;
    return made;
}

void *fp_take(struct fp_memory *memory, size_t size) {
    size_t rounded;
    if (!round_size(size, &rounded)) return NULL;
    if (!memory) return aligned_alloc(64, rounded);
    if (!fp_memory_allows(memory, rounded)) return NULL;
    void *data;
    if (rounded >= SPARE_LEAST) {
        struct fp_spare *buffer = take_spare(memory, rounded);
        if (!buffer) buffer = new_buffer(memory, rounded);
        if (buffer) rounded = buffer->size;
        if (buffer) data = buffer + 1;
        else data = NULL;
    } else {
        data = aligned_alloc(64, rounded);
    }
    if (data) fp_memory_count(memory, rounded);
    return data;
}

void fp_release(struct fp_memory *memory, void *data, size_t size) {
    if (!data) return;
    size_t rounded = 0;
    round_size(size, &rounded);
    if (!memory || rounded < SPARE_LEAST) {
        if (memory) memory->used -= rounded;
        free(data);
        return;
    }
    struct fp_spare *buffer = (struct fp_spare *)data - 1;
    memory->used -= buffer->size;
#ifdef __SANITIZE_ADDRESS__ // which watches what is freed
    free(buffer);
#else
    buffer->next = memory->spare;
    memory->spare = buffer;
    memory->spare_size += buffer->size;
#endif
}

bool fp_memory_hand_over(struct fp_memory *from, struct fp_memory *to, void *data, size_t size) {
    size_t bytes = 0;
    round_size(size, &bytes);
    if (bytes >= SPARE_LEAST) bytes = ((struct fp_spare *)data - 1)->size;
    if (!fp_memory_count(to, bytes)) return false;
    from->used -= bytes;
    return true;
}

void fp_release_whole(struct fp_memory *memory, void *data, size_t size) {
    struct fp_memory last = {0};
    if (!data || !memory || !fp_memory_hand_over(memory, &last, data, size)) {
        fp_release(memory, data, size);
        return;
    }
    fp_release(&last, data, size);
    fp_memory_trim(&last);
}

void *fp_calloc(size_t count, size_t size) {
    size_t bytes;
    if (!fp_mul(count, size, &bytes)) return NULL;
    return calloc(fp_most(bytes, 1), 1);
}

void *fp_grow(void *array, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity && array) return array;
    size_t wanted = 8, bytes;
    if (*capacity) wanted = *capacity;
    while (wanted < need)
        if (!fp_mul(wanted, 2, &wanted)) return NULL;
    if (!fp_mul(wanted, size, &bytes)) return NULL;
    void *grown = realloc(array, bytes);
    if (grown) *capacity = wanted;
    return grown;
}

// ---- text

char *fp_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return NULL;
    return text;
}

size_t fp_utf8_character(const void *text, size_t left, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = text;
    *code = s[0];
    if (s[0] < 0x80) return 1;
    const size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > left) return 0;
    uint32_t c = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *code = c;
    return n;
}

bool fp_is_utf8(const void *data, size_t size) {
    const unsigned char *s = data;
    uint32_t code;
    for (size_t at = 0, n; at < size; at += n)
        if (!(n = fp_utf8_character(s + at, size - at, &code))) return false;
    return true;
}

bool fp_glob(const char *pattern, const char *name) { return fnmatch(pattern, name, 0) == 0; }

// ---- numbers

uint64_t fp_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t fp_hash(const void *data, size_t size, uint64_t seed) {
    uint64_t h = seed ^ 0xcbf29ce484222325u;
    const unsigned char *p = data;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    for (; size; size--, p++) h = (h ^ *p) * 0x100000001b3u;
    return fp_random(&h);
}

double fp_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
