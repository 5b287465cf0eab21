// SPDX-License-Identifier: Apache-2.0
// OpenMP's settings belong to a thread, so that each call keeps those of its own. OpenBLAS has one number for the
// process: the first call sets it and the last one gives it back.
#include "base/threads.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

// What all calls that run now have in common; `lock` guards it.
static struct {
    pthread_mutex_t lock;
    int calls, blas;      // how many there are; OpenBLAS's threads before them
    bool crowded;         // there is a crowd
    uintptr_t made, gone; // how many crowds there have been, and how many of them were told to go
    pthread_cond_t told;
    pthread_t crowd;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};

// What oneDNN makes for several threads sums differently when a team turns out smaller, so no more are wanted than a
// team can have.
int fp_threads_wanted(const fineprune_run_options *options) {
    int wanted = options && options->threads > 0 ? options->threads : omp_get_num_procs();
    int most = omp_get_active_level() < omp_get_max_active_levels() ? omp_get_thread_limit() : 1;
    return wanted < most ? wanted : most;
}

int fp_threads_set(int threads) {
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

// One more thread than there are cores, in a team that has nothing to do. They sleep until they are told to go.
static void *stand_by(void *number) {
    omp_set_dynamic(0);
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
    {
#pragma omp barrier
    }
    pthread_mutex_lock(&shared.lock);
    while (shared.gone < (uintptr_t)number) pthread_cond_wait(&shared.told, &shared.lock);
    pthread_mutex_unlock(&shared.lock);
    return NULL;
}

// GCC's runtime lets idle threads spin for milliseconds, which is ruinous where other work wants the cores too (8
// times slower beside one busy process). How long is read from the environment when it is loaded, but where it has
// more threads than there are cores they spin for some microseconds only (as its manual says of GOMP_SPINCOUNT): so
// it gets more. Signals are for the host's threads. Without memory for it all goes on, less politely.
static void make_crowd(void) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before)) return;
    shared.crowded = !pthread_create(&shared.crowd, NULL, stand_by, (void *)(shared.made + 1));
    shared.made += shared.crowded;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void fp_threads_enter(struct fp_threads *host, int threads) {
    *host = (struct fp_threads){omp_get_max_threads(), omp_get_dynamic()};
    pthread_mutex_lock(&shared.lock);
    if (!shared.calls++) {
        shared.blas = openblas_get_num_threads();
        openblas_set_num_threads(1);
    }
    if (threads > 1 && !shared.crowded) make_crowd();
    pthread_mutex_unlock(&shared.lock);
    omp_set_dynamic(0);
    omp_set_num_threads(1); // OpenBLAS built with OpenMP takes its number from here
}

void fp_threads_leave(const struct fp_threads *host) {
    pthread_mutex_lock(&shared.lock);
    bool last = !--shared.calls, crowded = last && shared.crowded;
    pthread_t crowd = shared.crowd;
    if (last) openblas_set_num_threads(shared.blas);
    if (crowded) {
        shared.gone = shared.made;
        shared.crowded = false;
        pthread_cond_broadcast(&shared.told);
    }
    pthread_mutex_unlock(&shared.lock);
    if (crowded) pthread_join(crowd, NULL);
    omp_set_dynamic(host->dynamic);
    omp_set_num_threads(host->omp);
}
