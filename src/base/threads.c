// SPDX-License-Identifier: Apache-2.0
// OpenMP's settings belong to a thread, so that each call keeps those of its own. OpenBLAS has one number for the
// process: the first call sets it and the last one gives it back.
#include "base/threads.h"

#include "base/numbers.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MOST_OF_A_CORE 16 // threads
#define WINDOW 0.25       // seconds between two looks
#define PREEMPTED                                                                                                      \
    50          // times in a second and core that somebody else took the core: few alone, 100 beside one busy process
#define ROUGH 2 // windows of it in a row: the first of a call has 30 to 40, of its own files and threads
#define CALM 8  // windows without it
#define MOMENT 0.008 // seconds between two looks at the start
#define MOMENTS 8    // of them; what a script starts beside us runs for some 30 ms
#define TAKEN 6      // moments at which others wanted the cores

// What all calls that run now have in common; `lock` guards it.
static struct {
    pthread_mutex_t lock;
    int calls, blas;      // how many there are; OpenBLAS's threads before them
    bool watched;         // there is a watch
    uintptr_t made, gone; // how many watches there have been, and how many of them were told to go
    pthread_cond_t told;
    pthread_t watch;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};

// What oneDNN makes for several threads sums differently when a team turns out smaller, so no more are wanted than a
// team can have.
int fp_threads_wanted(const fineprune_run_options *options) {
    int wanted = options && options->threads > 0 ? options->threads : omp_get_num_procs();
    int most = 1;
    if (omp_get_active_level() < omp_get_max_active_levels()) most = omp_get_thread_limit();
    const int useful = MOST_OF_A_CORE * omp_get_num_procs(); // more only wait, and the system may not give them
    if (most > useful) most = useful;
    if (wanted < most) return wanted;
    return most;
}

int fp_threads_set(int threads) {
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

// GCC's runtime lets idle threads spin for milliseconds, which wakes nobody and is the fastest while the cores are ours
// alone, but ruinous where other work wants them too (8 times slower beside one busy process). How long is read from
// the environment when it is loaded, but where it has more threads than there are cores they spin for some
// microseconds only (as its manual says of GOMP_SPINCOUNT): so it gets more while somebody else wants the cores.
static void stand_by(void) {
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
    {
#pragma omp barrier
    }
}

static long preemptions(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage)) return 0;
    return usage.ru_nivcsw;
}

// Until the time is over, or the watch is told to go. The lock is held.
static void wait_for(double seconds, uintptr_t number) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += (long)(seconds * 1e9);
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (shared.gone < number && !pthread_cond_timedwait(&shared.told, &shared.lock, &end)) continue;
}

// Threads of the machine that run or want to, ours among them; 0: not known.
static int running(void) {
    int n = 0;
    FILE *file = fopen("/proc/loadavg", "re");
    if (!file) return 0;
    if (fscanf(file, "%*f %*f %*f %d/", &n) != 1) n = 0;
    fclose(file);
    return n;
}

// Whether others want the cores, so that what is short need not wait for windows: they did in the last minute, which is
// also what a run leaves behind that has just ended, and do at most moments now. The lock is held.
static bool starts_crowded(uintptr_t number) {
    const int ours = omp_get_num_procs() + 1; // a team, and the watch
    double load;
    int taken = 0;
    if (getloadavg(&load, 1) != 1 || load <= omp_get_num_procs()) return false;
    for (int i = 0; i < MOMENTS && shared.gone < number; i++) {
        wait_for(MOMENT, number);
        pthread_mutex_unlock(&shared.lock);
        taken += running() > ours;
        pthread_mutex_lock(&shared.lock);
    }
    return taken >= TAKEN;
}

// Looks whether others want the cores. Their number of threads is all that the crowd is for: they sleep.
static void *watch(void *start) {
    const uintptr_t number = (uintptr_t)start;
    const double most = PREEMPTED * WINDOW * omp_get_num_procs();
    int calm = 0, rough = 0;
    omp_set_dynamic(0);
    pthread_mutex_lock(&shared.lock);
    bool crowded = starts_crowded(number);
    pthread_mutex_unlock(&shared.lock);
    if (crowded) stand_by();
    pthread_mutex_lock(&shared.lock);
    for (long before = preemptions(); shared.gone < number;) {
        wait_for(WINDOW, number);
        if (shared.gone >= number) break;
        pthread_mutex_unlock(&shared.lock);
        const long now = preemptions();
        const bool taken = (double)(now - before) > most;
        rough = taken ? rough + 1 : 0;
        calm = taken ? 0 : calm + 1;
        before = now;
        if (rough == ROUGH && !crowded) stand_by(), crowded = true;
        if (calm == CALM && crowded) omp_pause_resource(omp_pause_soft, omp_get_initial_device()), crowded = false;
        pthread_mutex_lock(&shared.lock);
    }
    pthread_mutex_unlock(&shared.lock);
    return NULL;
}

// Signals are for the host's threads. Without memory for it all goes on, less politely.
static void make_watch(void) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before)) return;
    shared.watched = !pthread_create(&shared.watch, NULL, watch, (void *)(shared.made + 1));
    shared.made += shared.watched;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// OpenBLAS starts its threads anew when it is told the number it has.
static void set_blas(int threads) {
    if (openblas_get_num_threads() != threads) openblas_set_num_threads(threads);
}

void fp_threads_enter(struct fp_threads *host, int threads) {
    *host = (struct fp_threads){omp_get_max_threads(), omp_get_dynamic(), fp_numbers_plain()};
    pthread_mutex_lock(&shared.lock);
    if (!shared.calls++) {
        shared.blas = openblas_get_num_threads();
        set_blas(1);
    }
    if (threads > 1 && !shared.watched) make_watch();
    pthread_mutex_unlock(&shared.lock);
    omp_set_dynamic(0);
    omp_set_num_threads(1); // OpenBLAS built with OpenMP takes its number from here
}

void fp_threads_leave(const struct fp_threads *host) {
    pthread_mutex_lock(&shared.lock);
    bool last = !--shared.calls, watched = last && shared.watched;
    pthread_t watcher = shared.watch;
    if (last) set_blas(shared.blas);
    if (watched) {
        shared.gone = shared.made;
        shared.watched = false;
        pthread_cond_broadcast(&shared.told);
    }
    pthread_mutex_unlock(&shared.lock);
    if (watched) pthread_join(watcher, NULL);
    fp_numbers_host(host->locale);
    omp_set_dynamic(host->dynamic);
    omp_set_num_threads(host->omp);
}
