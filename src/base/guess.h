// SPDX-License-Identifier: Apache-2.0
// "did you mean": of the candidates that are offered, the one most like a word. The program is built with it too, so
// it includes nothing of the library.
#ifndef FP_GUESS_H
#define FP_GUESS_H

#include <stddef.h>

struct fp_guess {
    const char *word;
    const char *best; // NULL: nothing is near
    size_t distance;
};
void fp_guess_offer(struct fp_guess *guess, const char *candidate);

#endif
