// SPDX-License-Identifier: Apache-2.0
// Time depends on how many channels stay, not on which: of a copy of the file as many are zeroed, whichever they are,
// and compact takes them out.
#include "channels_latency.h"

#include <stdlib.h>

#include "compact/compact.h"

#define MOST_PAIRS 25 // of runs
#define LEAST_PAIRS 5
#define LONG_ENOUGH 0.5 // seconds that all take

// ---- the copy

struct copy {
    struct fineprune_model *model;
    struct fp_exec *exec;
    struct fp_weights *weights;
    struct fp_channel_groups groups;
};

static bool is_same(const struct fp_weight *a, const struct fp_weight *b) {
    const char *x = a->part ? a->part : "", *y = b->part ? b->part : "";
    return !strcmp(a->name, b->name) && !strcmp(x, y);
}

static bool is_like(const struct copy *copy, const struct fp_channel_group *a, const struct fp_job *job,
                    const struct fp_channel_group *b) {
    return a->channels == b->channels &&
           is_same(&copy->weights->items[a->makers[0].weight], &job->layers.weights->items[b->makers[0].weight]);
}

// The group of the copy that the same weight makes, of several like it the one at the same place; -1: there is none.
static int group_like(const struct copy *copy, const struct fp_job *job, const struct fp_channel_groups *groups,
                      int number) {
    const struct fp_channel_group *wanted = &groups->items[number];
    int before = 0;
    for (int g = 0; g < number; g++)
        before += groups->items[g].channels == wanted->channels &&
                  groups->items[g].makers[0].weight == wanted->makers[0].weight;
    for (int g = 0; g < copy->groups.n; g++)
        if (is_like(copy, &copy->groups.items[g], job, wanted) && !before--) return g;
    return -1;
}

// The first channels' columns become zeros.
static int zero_columns(const struct copy *copy, int group, const struct fp_channel_side *reader, size_t channels,
                        fineprune_error *err) {
    const struct fp_weight *w = &copy->weights->items[reader->weight];
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values));
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_weight_read(copy->model, w, values, err);
    for (size_t i = 0; i < w->count && !status; i++) {
        const struct fp_channel_member m = fp_channel_at(&copy->groups, &copy->groups.columns[reader->weight],
                                                         i % w->cols / reader->per);
        if (m.group == group && m.number < channels) values[i] = 0;
    }
    if (status) return status;
    return fp_weight_write(copy->model, w, values, NULL, err);
}

static int zero_groups(const struct copy *copy, const struct fp_job *job, const struct fp_curves *all,
                       const size_t *gone, fineprune_error *err) {
    int status = FINEPRUNE_OK;
    for (int g = 0; g < all->groups.n; g++) {
        if (!gone[g]) continue;
        const int like = group_like(copy, job, &all->groups, g);
        for (int i = 0; like >= 0 && i < copy->groups.items[like].n_readers && !status; i++)
            status = zero_columns(copy, like, &copy->groups.items[like].readers[i], gone[g], err);
    }
    return status;
}

static void close_view(struct copy *copy) {
    fp_channels_free(&copy->groups);
    fp_weights_free(copy->weights);
    fp_exec_free(copy->exec);
    copy->weights = NULL;
    copy->exec = NULL;
}

static int make_copy(struct copy *copy, const struct fp_job *job, const struct fp_curves *all, const size_t *gone) {
    struct fp_compacted found;
    int status = fineprune_model_open(&copy->model, job->model->path, &job->options->run, job->err);
    if (!status) status = fp_exec_plan(&copy->exec, copy->model, NULL, job->err);
    if (!status) status = fp_weights_find(&copy->weights, copy->exec, copy->model, false, job->err);
    if (!status) status = fp_channels_find(&copy->groups, copy->weights, copy->exec, job->err);
    if (!status) status = zero_groups(copy, job, all, gone, job->err);
    close_view(copy);
    if (status) return status;
    return fp_compact(copy->model, all->rule.multiple, &job->options->run, &found, job->err);
}

// ---- measuring

static int run_once(struct fp_exec *exec, const struct fineprune_model *model, const struct fp_tensor *inputs,
                    double *seconds, fineprune_error *err) {
    FP_STAGE(room, "outputs");
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)model->graph->n_outputs, sizeof(*outputs));
    if (!outputs) return fp_arena_check(&room, err);
    const double start = fp_seconds();
    int status = fp_exec_run(exec, inputs, outputs, NULL, err);
    *seconds = fp_seconds() - start;
    for (int i = 0; i < model->graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    return status;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof(*values), by_size);
    return values[n / 2];
}

// The first pair makes what later ones use again.
static int race(struct fp_exec *const *execs, const struct fineprune_model *const *models,
                const struct fp_tensor *inputs, double *ratio, fineprune_error *err) {
    double times[2][MOST_PAIRS], spent = 0, warm;
    size_t n = 0;
    int status = run_once(execs[0], models[0], inputs, &warm, err);
    if (!status) status = run_once(execs[1], models[1], inputs, &warm, err);
    while (!status && n < MOST_PAIRS && (n < LEAST_PAIRS || spent < LONG_ENOUGH)) {
        for (int i = 0; i < 2 && !status; i++) {
            status = run_once(execs[i], models[i], inputs, &times[i][n], err);
            spent += times[i][n];
        }
        n++;
    }
    if (!status) *ratio = median(times[1], n) / median(times[0], n);
    return status;
}

int fp_channels_latency(struct fp_job *job, const struct fp_curves *all, const size_t *gone, double *ratio) {
    const fineprune_run_options alone = {.threads = 1};
    struct copy copy = {0};
    struct fp_exec *execs[2] = {0};
    int status = make_copy(&copy, job, all, gone);
    if (!status) status = fp_exec_new(&execs[0], job->model, &alone, job->err);
    if (!status) status = fp_exec_new(&execs[1], copy.model, &alone, job->err);
    const struct fineprune_model *const models[2] = {job->model, copy.model};
    if (!status) status = race(execs, models, job->model->sample, ratio, job->err);
    fp_exec_free(execs[0]);
    fp_exec_free(execs[1]);
    fineprune_model_free(copy.model);
    return status;
}
