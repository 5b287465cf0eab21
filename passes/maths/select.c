// SPDX-License-Identifier: Apache-2.0
// Selection by the bits of the scores: non-negative floats compare like their bits as unsigned numbers.
#include "maths/select.h"

#include <string.h>

enum { DIGIT = 1 << 11 };

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

// The digits of a key from the top: 11, 11 and 10 bits.
static uint32_t digit_of(uint32_t key, int level) {
    if (level == 0) return key >> 21;
    if (level == 1) return key >> 10 & 0x7ff;
    return key & 0x3ff;
}

static uint32_t prefix_of(uint32_t key, int level) {
    if (level == 0) return 0;
    if (level == 1) return key >> 21;
    return key >> 10;
}

// Counts the digits of all keys that start with `prefix`. Integers: the order of adding does not matter.
static void count_digits(const struct fp_scored *runs, size_t n_runs, int level, uint32_t prefix, size_t *count,
                         int threads) {
    memset(count, 0, DIGIT * sizeof(*count));
#pragma omp parallel num_threads(threads)
    {
        size_t own[DIGIT] = {0};
        for (size_t k = 0; k < n_runs; k++) {
            const struct fp_scored *r = &runs[k];
#pragma omp for schedule(static) nowait
            for (size_t i = 0; i < r->n; i++) {
                if (r->skip && r->skip[i]) continue;
                uint32_t key = bits_of(r->score[i]);
                if (prefix_of(key, level) == prefix) own[digit_of(key, level)]++;
            }
        }
#pragma omp critical
        for (size_t d = 0; d < DIGIT; d++) count[d] += own[d];
    }
}

size_t fp_select_lowest(struct fp_scored *runs, size_t n_runs, size_t count, int threads) {
    size_t left = count, digits[DIGIT];
    uint32_t prefix = 0;
    for (int level = 0; level < 3; level++) { // finds the key of the last chosen element
        count_digits(runs, n_runs, level, prefix, digits, threads);
        uint32_t d = 0, last = level == 2 ? 0x3ff : 0x7ff;
        while (d < last && left > digits[d]) left -= digits[d++];
        prefix = prefix << (level == 2 ? 10 : 11) | d;
    }
    size_t chosen = 0;
    for (size_t k = 0; k < n_runs && count; k++) // below it all, of its equals the first `left`
        for (size_t i = 0; i < runs[k].n; i++) {
            if (runs[k].skip && runs[k].skip[i]) continue;
            uint32_t key = bits_of(runs[k].score[i]);
            if (key > prefix || (key == prefix && !left)) continue;
            if (key == prefix) left--;
            runs[k].keep[i] = 0;
            chosen++;
        }
    return chosen;
}

void fp_sort_scores(const float *score, uint32_t *order, uint32_t *room, size_t n) {
    size_t count[DIGIT];
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (int level = 3; level-- > 0;) { // from the lowest digit, stable: ties stay in order
        memset(count, 0, sizeof(count));
        for (size_t i = 0; i < n; i++) count[digit_of(bits_of(score[i]), level)]++;
        size_t sum = 0;
        for (size_t d = 0; d < DIGIT; d++) {
            size_t c = count[d];
            count[d] = sum;
            sum += c;
        }
        for (size_t i = 0; i < n; i++) room[count[digit_of(bits_of(score[order[i]]), level)]++] = order[i];
        memcpy(order, room, n * sizeof(*order));
    }
}
