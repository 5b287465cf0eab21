// SPDX-License-Identifier: Apache-2.0
// How many threads there are, said to the runtimes by their own calls: nothing depends on what the host or the
// environment has set, and the host finds it as it was.
#ifndef FP_THREADS_H
#define FP_THREADS_H

#include "fineprune/fineprune.h"

// What the calling thread had before a public call.
struct fp_threads {
    int omp, dynamic;
    void *locale; // numbers are written with a point while a call computes
};

// The number that `options` (which may be NULL) ask for, all cores when they say nothing; no more than the runtime
// gives the caller. Not for use within a parallel region of ours.
int fp_threads_wanted(const fineprune_run_options *options);
// Every public call that computes stands between these two, on one thread; several may do so at once, and one within
// another. In between, parallel regions that do not say how many threads they want have one, calls of BLAS have one,
// and idle threads soon sleep where others want the cores. `threads`: see fp_threads_wanted.
void fp_threads_enter(struct fp_threads *host, int threads);
void fp_threads_leave(const struct fp_threads *host);
// The number of threads of the caller's next parallel regions that do not say one: those of oneDNN. Returns what it
// was, which the caller gives back.
int fp_threads_set(int threads);

#endif
