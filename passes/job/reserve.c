// SPDX-License-Identifier: Apache-2.0
// The reserve: samples that measure and never decide. They are the ones with the lowest content hash, so equal samples
// fall on the same side and the order of the files changes nothing.
#include <stdlib.h>

#include "job/job.h"

struct hashed {
    uint64_t hash;
    size_t sample;
};

static int by_hash(const void *a, const void *b) {
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash) return (x->hash > y->hash) - (x->hash < y->hash);
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static int by_number(const void *a, const void *b) {
    const size_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Few samples, or equal ones, are said: what they do not show, the pruned model does not know.
static void report_samples(struct fp_job *job, const struct hashed *sorted, size_t n) {
    enum { FEW = 20 };
    for (size_t i = 0; i < n; i++) job->samples.distinct += !i || sorted[i].hash != sorted[i - 1].hash;
    if (job->samples.distinct < n)
        fp_report_say(job->report, "%zu of the %zu samples %s equal to others: %zu %s distinct",
                      n - job->samples.distinct, n, n - job->samples.distinct == 1 ? "is" : "are",
                      job->samples.distinct, job->samples.distinct == 1 ? "is" : "are");
    if (n && job->samples.distinct < FEW)
        fp_report_say(job->report, "%zu distinct sample%s too few to show all that a user needs", job->samples.distinct,
                      job->samples.distinct == 1 ? " is" : "s are");
    int axis;
    for (size_t i = 0; job->data && fp_data_moved(job->data, i, &axis); i++)
        fp_report_say(job->report, "the samples of input '%s' are taken along its axis %d, which is its batch",
                      fp_data_moved(job->data, i, &axis), axis);
}

// Where the user says nothing: enough to tell good from bad, and the rest to learn from.
static size_t usual_reserve(size_t n) {
    enum { ENOUGH = 20 };
    const size_t tenth = n / 10, fifth = n / 5;
    if (tenth >= ENOUGH) return tenth;
    return fp_least(fifth, ENOUGH);
}

static size_t wanted_reserve(const struct fp_job *job, size_t n) {
    if (job->options->reserve < 0) return usual_reserve(n);
    return (size_t)((double)n * job->options->reserve + 1e-9);
}

int fp_job_split(struct fp_job *job) {
    const size_t n = job->data ? fineprune_data_samples(job->data) : 0;
    size_t wanted = wanted_reserve(job, n);
    FP_STAGE(room, "the list of samples");
    int status = job->data ? fp_data_check_list(job->data, job->err) : FINEPRUNE_OK;
    if (status) return status;
    struct hashed *all = fp_arena_take(&room, n, sizeof(*all));
    if (!all) return fp_arena_check(&room, job->err);
    job->samples.local = fp_calloc(n, sizeof(size_t));
    job->samples.reserve = fp_calloc(n, sizeof(size_t));
    if (!job->samples.local || !job->samples.reserve) return fp_fail_memory(job->err, room.what, n * sizeof(size_t));
    for (size_t i = 0; i < n; i++) job->samples.local[i] = i;
    for (size_t i = 0; i < n; i++) {
        fp_data_ahead(job->data, job->samples.local + i, n - i, 1);
        all[i].sample = i;
        status = fp_data_hash(job->data, i, &all[i].hash, job->err);
        if (status) return status;
    }
    qsort(all, n, sizeof(*all), by_hash);
    report_samples(job, all, n);
    while (wanted && wanted < n && all[wanted].hash == all[wanted - 1].hash) wanted++; // equal samples stay together
    if (wanted >= n) wanted = 0; // all are equal: nothing independent to measure on
    for (size_t i = 0; i < n; i++) {
        if (i < wanted) job->samples.reserve[job->samples.n_reserve++] = all[i].sample;
        else job->samples.local[job->samples.n_local++] = all[i].sample;
    }
    qsort(job->samples.local, job->samples.n_local, sizeof(size_t), by_number);
    qsort(job->samples.reserve, job->samples.n_reserve, sizeof(size_t), by_number);
    return FINEPRUNE_OK;
}
