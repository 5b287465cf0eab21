// SPDX-License-Identifier: Apache-2.0
// How far words are apart.
#include "guess.h"

#include <stdint.h>
#include <string.h>

static size_t smaller(size_t a, size_t b) {
    if (b < a) return b;
    return a;
}

// Edits (insert, delete, replace, swap of neighbours) from a to b; words longer than the row are as far as can be.
static size_t edit_distance(const char *a, const char *b) {
    enum { LONGEST = 40 };
    size_t n = strlen(a), m = strlen(b), rows[3][LONGEST + 1];
    if (n > LONGEST || m > LONGEST) return SIZE_MAX;
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++) last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = smaller(smaller(now[j - 1], last[j]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

void fp_guess_offer(struct fp_guess *guess, const char *candidate) {
    size_t length = strlen(guess->word);
    size_t distance = edit_distance(guess->word, candidate);
    if (length >= 3 && strncmp(guess->word, candidate, length) == 0) distance = 1; // a beginning is near
    if (distance > 1 && (length < 3 || distance > 1 + length / 4)) return;
    if (guess->best && guess->distance <= distance) return;
    guess->best = candidate;
    guess->distance = distance;
}
