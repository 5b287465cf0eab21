// SPDX-License-Identifier: Apache-2.0
// An engine of the CPU has no state of its own once it is made, so that threads may share it; only the count of its
// users has a lock.
#include "kernel/engine.h"

#include <pthread.h>
#include <stddef.h>

static struct {
    pthread_mutex_t lock;
    dnnl_engine_t engine; // NULL without users
    size_t users;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

dnnl_engine_t fp_engine_take(void) {
    pthread_mutex_lock(&shared.lock);
    if (!shared.users) dnnl_set_verbose(0); // it would write to standard output, where a model may go
    if (!shared.users && dnnl_engine_create(&shared.engine, dnnl_cpu, 0) != dnnl_success) shared.engine = NULL;
    dnnl_engine_t engine = shared.engine;
    if (engine) shared.users++;
    pthread_mutex_unlock(&shared.lock);
    return engine;
}

void fp_engine_drop(dnnl_engine_t engine) {
    if (!engine) return;
    pthread_mutex_lock(&shared.lock);
    if (!--shared.users) {
        dnnl_engine_destroy(shared.engine);
        shared.engine = NULL;
    }
    pthread_mutex_unlock(&shared.lock);
}
