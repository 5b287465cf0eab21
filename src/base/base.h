// SPDX-License-Identifier: Apache-2.0
// What every file needs: status and error messages, checked sizes, the memory budget, small text helpers.
#ifndef FP_BASE_H
#define FP_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fineprune/fineprune.h"

#define FP_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FP_PRINTF(text, first) __attribute__((format(printf, text, first)))
// On x86-64, hot loops are compiled twice and the processor picks. Without -ffp-contract both give the same bytes.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define FP_VECTOR __attribute__((target_clones("avx2", "default")))
#else
#define FP_VECTOR
#endif

// Puts one line into `err` (which may be NULL) and returns `status`, so that `return fp_fail(...)` is the idiom.
// Control bytes in the text are escaped, as names come from files that are not trusted. The first error wins: a later
// call does not overwrite a message that is set.
int fp_fail(fineprune_error *err, int status, const char *format, ...) FP_PRINTF(3, 4);
int fp_fail_memory(fineprune_error *err, const char *what, size_t bytes);
// Adds the line "hint: ..." to an error.
void fp_hint(fineprune_error *err, const char *format, ...) FP_PRINTF(2, 3);
void fp_error_clear(fineprune_error *err);
// Puts the file before what the error says, unless it is named there.
void fp_error_in(fineprune_error *err, const char *path);
// Whether a call failed for want of memory or time, or was stopped: that says nothing about what it looked at.
static inline bool fp_is_limit(int status) { return status == FINEPRUNE_LIMIT || status == FINEPRUNE_CANCELLED; }

// Copies a public struct of options, whose first member is its size, into `known`, which holds the defaults and has
// this library's size; what the caller's is too small for stays as it is. given NULL: nothing is copied. Errors:
// USAGE, naming `type`: a size that cannot be right, or a larger struct with something set that is not known here.
int fp_options_read(void *known, size_t size, const void *given, const char *type, fineprune_error *err);

// Sizes that come from a file go through these before use. They return false when the result does not fit.
bool fp_mul(size_t a, size_t b, size_t *out);
bool fp_add(size_t a, size_t b, size_t *out);
static inline size_t fp_least(size_t a, size_t b) { return a < b ? a : b; }
// How many times b is in a; none for a b of 0.
static inline size_t fp_shares(size_t a, size_t b) {
    if (!b) return 0;
    return a / b;
}
static inline size_t fp_most(size_t a, size_t b) { return a > b ? a : b; }
static inline int64_t fp_least_int(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t fp_most_int(int64_t a, int64_t b) { return a > b ? a : b; }
// b where one of them is a NaN.
static inline float fp_most_float(float a, float b) { return a > b ? a : b; }
// Product of `rank` dims. False for a negative dim or a product over PTRDIFF_MAX.
bool fp_product(int rank, const int64_t *dims, size_t *out);

// What the program may hold at once. `used` and `peak` count the buffers of tensors, the parsed model and the
// statistics; limit 0 means none. Not thread-safe: buffers are taken by the one thread that drives the graph. Larger
// buffers that are released are kept for the next that they are large enough for, as new pages from the system cost
// more than filling them; what is kept and what is used together stay within the limit, and without one within the peak
// of use and 32 MiB.
struct fp_memory {
    size_t limit, used, peak;
    size_t refused;         // the most that would have been in use, had the limit allowed it; 0: it always did
    bool failed;            // the system had none, for the parser, which does not tell
    struct fp_spare *spare; // last released first
    size_t spare_size;
};
// Whether the limit allows that much more.
bool fp_memory_allows(struct fp_memory *memory, size_t more);
// Counts memory that is taken elsewhere, or no longer counts it. False when the limit does not allow it.
bool fp_memory_count(struct fp_memory *memory, size_t bytes);
void fp_memory_uncount(struct fp_memory *memory, size_t bytes);
// What fp_take has given out of `from` is of `to` from now on; false, and it is not, when that has no room.
bool fp_memory_hand_over(struct fp_memory *from, struct fp_memory *to, void *data, size_t size);
// fp_release of what is not wanted again: nothing of it is kept for another buffer.
void fp_release_whole(struct fp_memory *memory, void *data, size_t size);
// What the limit still allows; SIZE_MAX without one.
size_t fp_memory_left(const struct fp_memory *memory);
// When an error comes from the limit: the hint tells how much is needed at least.
void fp_memory_hint(const struct fp_memory *memory, fineprune_error *err);
// Where something else failed for want of memory: the same, with that hint. Returns `status`.
int fp_fail_limit(fineprune_error *err, int status, const fineprune_error *why, const struct fp_memory *memory);
// Gives back to the system what is kept.
void fp_memory_trim(struct fp_memory *memory);
// Zeroed or not zeroed memory aligned to 64 bytes; NULL when the budget or the system has no more. size 0 gives a
// valid pointer. `memory` may be NULL (no budget). Freed by fp_release with the same size.
void *fp_take(struct fp_memory *memory, size_t size);
void fp_release(struct fp_memory *memory, void *data, size_t size);

// Plain allocation of count * size zeroed bytes with the product checked; freed with free().
void *fp_calloc(size_t count, size_t size);
// Grows an array to hold at least `need` elements; NULL when that is impossible (the old array stays valid).
void *fp_grow(void *array, size_t *capacity, size_t need, size_t size);

// "" for no text; and what stands between the items of a list, of which none is before the first.
static inline const char *fp_or_empty(const char *text) {
    if (!text) return "";
    return text;
}
static inline const char *fp_between(size_t i, const char *text) {
    if (!i) return "";
    return text;
}
// malloc'ed text, NULL when out of memory.
char *fp_format(const char *format, ...) FP_PRINTF(1, 2);
// Copies src into dst with control bytes and quotes as \xNN; always terminated; returns dst.
char *fp_escape(char *dst, size_t size, const char *src);
// Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing longer than it must be).
bool fp_is_utf8(const void *data, size_t size);
// How many of the `left` bytes (SIZE_MAX: up to a zero) the UTF-8 character at `text` takes, and its code; 0, and the
// code is the first byte, where there is none.
size_t fp_utf8_character(const void *text, size_t left, uint32_t *code);
// Shell pattern (* ? [a-z]) against a whole name.
bool fp_glob(const char *pattern, const char *name);

// Fixed generator (splitmix64) for sampled positions and random data: same seed, same numbers, everywhere.
uint64_t fp_random(uint64_t *state);
// FNV-1a-like 64-bit hash of bytes, for telling samples apart; not for security.
uint64_t fp_hash(const void *data, size_t size, uint64_t seed);
// Monotonic seconds, for the timing section of the report.
double fp_seconds(void);

#endif
