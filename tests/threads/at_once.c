// SPDX-License-Identifier: Apache-2.0
// Several prunes at once in one process, each with handles of its own, as the header allows; best of a build with the
// thread sanitizer, which tells what two of them share.
//     at_once MODEL DATA FOLDER [SAMPLES]
// Every job of a kind must write the same bytes into FOLDER as one that had the process for itself.
#include <fineprune/fineprune.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 4, KINDS = 2 };

static const char *model_path, *data_path, *folder;
static size_t samples = 60;

struct job {
    int kind, number; // number 0: alone
    fineprune_error err;
    fineprune_model *model;
    fineprune_data *data;
    fineprune_stats *stats;
    fineprune_report *report;
    size_t asked; // how often the progress was told
    char out[4096];
};

static int count(void *user, const char *stage, size_t done, size_t total) {
    (void)stage, (void)done, (void)total;
    ++*(size_t *)user;
    return 0;
}

static int prune(struct job *job, const fineprune_prune_options *options) {
    return fineprune_prune(job->model, job->data, options, &job->report, &job->err);
}

static int score_and_apply(struct job *job, const fineprune_prune_options *options) {
    int status = fineprune_score(&job->stats, job->model, job->data, &options->run, &job->err);
    if (!status) status = fineprune_apply(job->model, job->stats, options, &job->report, &job->err);
    if (!status) status = fineprune_compact(job->model, 1, &options->run, NULL, &job->err);
    return status;
}

static int work(struct job *job) {
    fineprune_data_options few = FINEPRUNE_DATA_OPTIONS_INIT;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    fineprune_save_options save = FINEPRUNE_SAVE_OPTIONS_INIT;
    few.limit = samples;
    save.force = true;
    options.run.threads = 1; // OpenMP's barriers are no barriers to the sanitizer
    options.run.progress = count;
    options.run.progress_user = &job->asked;
    snprintf(job->out, sizeof(job->out), "%s/%d-%d.onnx", folder, job->kind, job->number);
    int status = fineprune_model_open(&job->model, model_path, &options.run, &job->err);
    if (!status) status = fineprune_data_open(&job->data, job->model, &few, &job->err);
    if (!status) status = fineprune_data_add(job->data, data_path, &job->err);
    if (!status) status = job->kind ? score_and_apply(job, &options) : prune(job, &options);
    if (!status) free(fineprune_report_json(job->report));
    if (!status) status = fineprune_model_save(job->model, job->out, &save, &job->err);
    return status;
}

static void *do_job(void *argument) {
    struct job *job = argument;
    int status = work(job);
    if (status) fprintf(stderr, "at_once: exit %d: %s\n", status, job->err.message);
    fineprune_report_free(job->report);
    fineprune_stats_free(job->stats);
    fineprune_data_free(job->data);
    fineprune_model_free(job->model);
    return status ? job : NULL;
}

static bool same_file(const char *one, const char *other) {
    FILE *a = fopen(one, "rb"), *b = fopen(other, "rb");
    bool same = a && b;
    for (int c = 0; same && c != EOF;) same = (c = getc(a)) == getc(b);
    if (a) fclose(a);
    if (b) fclose(b);
    return same;
}

int main(int argc, char **argv) {
    static struct job alone[KINDS], jobs[AT_ONCE];
    pthread_t threads[AT_ONCE];
    int bad = 0;
    if (argc < 4) return FINEPRUNE_USAGE;
    model_path = argv[1], data_path = argv[2], folder = argv[3];
    if (argc > 4) samples = strtoul(argv[4], NULL, 10);
    // At once first: what is made once in a process is then made by several.
    for (int i = 0; i < AT_ONCE; i++) {
        jobs[i].kind = i % KINDS, jobs[i].number = i + 1;
        if (pthread_create(&threads[i], NULL, do_job, &jobs[i])) return FINEPRUNE_INTERNAL;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        bad += wrong != NULL;
    }
    for (int i = 0; i < KINDS; i++) {
        alone[i].kind = i;
        bad += do_job(&alone[i]) != NULL;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        if (same_file(alone[jobs[i].kind].out, jobs[i].out)) continue;
        fprintf(stderr, "at_once: '%s' differs from '%s'\n", jobs[i].out, alone[jobs[i].kind].out);
        bad++;
    }
    return bad ? FINEPRUNE_INTERNAL : FINEPRUNE_OK;
}
