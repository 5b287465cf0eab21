// SPDX-License-Identifier: Apache-2.0
// A pattern takes from every layer alike, also from those that cannot spare it. Where that ruins the model, the layers
// whose outputs the pattern has changed most, after the repair, go back to dense.
#include <stdlib.h>

#include "job/job.h"

struct place {
    double error;
    int layer;
};

// The worst first, then by their order in the model.
static int worse_first(const void *a, const void *b) {
    const struct place *one = a, *other = b;
    if (one->error > other->error) return -1;
    if (one->error < other->error) return 1;
    return one->layer - other->layer;
}

// Layers that are not repaired have lost what their zeros took.
static double error_of(const struct fp_layer *l) {
    if (l->error_after >= 0) return l->error_after;
    return (double)l->zeros / (double)l->w->count;
}

static bool has_pattern(const struct fp_job *job) {
    return job->choices.pattern && (job->choices.pattern->merge || job->choices.pattern->snap);
}

int fp_weaken_order(struct fp_job *job, int **order) {
    FP_STAGE(room, "layers by their error");
    struct place *places = fp_arena_take(&room, (size_t)job->layers.n, sizeof(*places));
    *order = fp_calloc((size_t)job->layers.n, sizeof(**order));
    if (!places || !*order) return fp_fail_memory(job->err, room.what, (size_t)job->layers.n * sizeof(*places));
    for (int i = 0; i < job->layers.n; i++) places[i] = (struct place){error_of(&job->layers.items[i]), i};
    qsort(places, (size_t)job->layers.n, sizeof(*places), worse_first);
    for (int i = 0; i < job->layers.n; i++) (*order)[i] = places[i].layer;
    return FINEPRUNE_OK;
}

void fp_weaken(struct fp_job *job, const int *order, int n) {
    for (int i = 0; i < job->layers.n; i++) {
        struct fp_layer *l = &job->layers.items[order[i]];
        l->left_dense = i < n;
        if (l->left_dense) l->least_kept = 1; // and others lose no more for it
    }
}

int fp_weakened(const struct fp_job *job) {
    int n = 0;
    for (int i = 0; i < job->layers.n; i++) n += job->layers.items[i].left_dense;
    return n;
}

static const char *why_dense(struct fp_job *job, const struct fp_layer *l) {
    const struct fp_pattern *pattern = job->choices.pattern;
    if (l->left_dense) return "its zeros ruin the model";
    if (!pattern->leaves) return NULL;
    return pattern->leaves(job, l, job->choices.pattern_text);
}

double fp_weaken_share(const struct fp_job *job) {
    size_t zeros = 0;
    for (int i = 0; i < job->layers.n; i++) zeros += job->layers.items[i].zeros;
    if (!job->layers.total) return 0;
    return (double)zeros / (double)job->layers.total;
}

// "'a', 'b', 'c' and 2 more"
void fp_weaken_say(const struct fp_job *job, FILE *file) {
    const int most = 3, n = fp_weakened(job);
    int said = 0;
    for (int i = 0; i < job->layers.n && said < most; i++) {
        if (!job->layers.items[i].left_dense) continue;
        fprintf(file, "%s'%s'", said++ ? ", " : "", job->layers.items[i].w->name);
    }
    if (n > most) fprintf(file, " and %d more", n - most);
}

static void say_uncovered(struct fp_job *job, int n, const char *first) {
    if (n == 1)
        fp_report_say(job->report, "pattern %s leaves weight '%s' dense: it has too few inputs",
                      job->choices.pattern_text, first);
    if (n > 1)
        fp_report_say(job->report, "pattern %s leaves %d weights dense, which have too few inputs: '%s' and others",
                      job->choices.pattern_text, n, first);
}

int fp_weaken_report(struct fp_job *job) {
    if (!has_pattern(job)) return FINEPRUNE_OK;
    struct fp_report_pattern told = {.name = job->choices.pattern_text};
    const char *first = NULL;
    int uncovered = 0;
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        const char *reason = why_dense(job, l);
        size_t zeros;
        int status = fp_weight_zeros(job->model, l->w, &zeros, job->err);
        if (status) return status;
        if (reason) {
            fp_report_add_dense(job->report, &told, &(struct fp_report_dense){l->w->name, reason});
            if (!l->left_dense && !uncovered++) first = l->w->name;
            continue;
        }
        told.weights++;
        told.params += l->w->count;
        told.zeros += zeros;
    }
    told.sparsity = fp_report_sparsity(told.zeros, told.params);
    FP_PUT(job->report, pattern, &told);
    say_uncovered(job, uncovered, first);
    return FINEPRUNE_OK;
}
