// SPDX-License-Identifier: Apache-2.0
// The reserve: samples that measure and never decide. They are the ones with the lowest content hash, so equal samples fall on the same side and the
// order of the files changes nothing.
#include <stdlib.h>

#include "job.h"

struct hashed {
    uint64_t hash;
    size_t sample;
};

static int by_hash(const void *a, const void *b) {
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int by_number(const void *a, const void *b) {
    const size_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int fp_job_split(struct fp_job *job) {
    size_t n = job->data ? fineprune_data_samples(job->data) : 0, wanted = (size_t)((double)n * job->options->reserve + 1e-9);
    struct hashed *all = fp_calloc(n, sizeof(*all));
    job->local = fp_calloc(n, sizeof(size_t));
    job->reserve = fp_calloc(n, sizeof(size_t));
    int status = all && job->local && job->reserve ? FINEPRUNE_OK : fp_fail_memory(job->err, "the list of samples", n * sizeof(*all));
    for (size_t i = 0; i < n && !status; i++) {
        all[i].sample = i;
        status = fp_data_hash(job->data, i, &all[i].hash, job->err);
    }
    if (!status) {
        qsort(all, n, sizeof(*all), by_hash);
        while (wanted && wanted < n && all[wanted].hash == all[wanted - 1].hash) wanted++; // equal samples stay together
        if (wanted >= n) wanted = 0; // all are equal: nothing independent to measure on
        for (size_t i = 0; i < n; i++) {
            if (i < wanted) job->reserve[job->n_reserve++] = all[i].sample;
            else job->local[job->n_local++] = all[i].sample;
        }
        qsort(job->local, job->n_local, sizeof(size_t), by_number);
        qsort(job->reserve, job->n_reserve, sizeof(size_t), by_number);
    }
    free(all);
    return status;
}
