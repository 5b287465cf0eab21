// SPDX-License-Identifier: Apache-2.0
// A job's weights and layers: opened once, calibrated and rewritten in every round.
#include "job/job.h"

#include <stdlib.h>

#include "base/threads.h"

// ---- open

static int find_weights(struct fp_job *job) {
    struct fp_exec *exec;
    int status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (status) return status;
    status = fp_weights_find(&job->layers.weights, exec, job->model, false, job->err);
    fp_exec_free(exec);
    return status;
}

static bool matches(const char *const *patterns, const char *name) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (fp_glob(patterns[i], name)) return true;
    return false;
}

static int leave_out(struct fp_job *job) {
    const fineprune_prune_options *o = job->options;
    const int n = job->layers.weights->n;
    const char *first = n ? job->layers.weights->items[0].name : "",
               *last = n ? job->layers.weights->items[n - 1].name : "";
    for (int i = n; i-- > 0;) {
        const char *name = job->layers.weights->items[i].name, *reason = NULL;
        if (o->include && o->include[0] && !matches(o->include, name)) reason = "not among --include";
        else if (matches(o->exclude, name)) reason = "named by --exclude";
        else if (o->keep_first && !strcmp(name, first)) reason = "the first weight (--keep-first)";
        else if (o->keep_last && !strcmp(name, last)) reason = "the last weight (--keep-last)";
        if (!reason) continue;
        int status = fp_weights_skip(job->layers.weights, i, reason, job->err);
        if (status) return status;
    }
    if (job->layers.weights->n) return fp_weights_check_finite(job->layers.weights, job->err);
    if (o->include && o->include[0] && job->layers.weights->n_skipped)
        return fp_fail(job->err, FINEPRUNE_USAGE, "no weight of '%s' that can be pruned is named by --include '%s'",
                       job->model->path, o->include[0]);
    fp_fail(job->err, FINEPRUNE_MODEL, "'%s' has no weight that can be pruned", job->model->path);
    fp_hint(job->err, "'fineprune inspect' lists all weights with the reasons");
    return FINEPRUNE_MODEL;
}

// What was no weight of its own, as it was a bias elsewhere too, stays left out where that has a copy now: statistics
// and lists know nothing of it.
static int leave_out_new(struct fp_job *job, const struct fp_name_map *before) {
    for (int i = job->layers.weights->n; i-- > 0;) {
        if (fp_name_find(before, job->layers.weights->items[i].name) >= 0) continue;
        int status = fp_weights_skip(job->layers.weights, i, "it is a bias elsewhere too", job->err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int note_names(const struct fp_weights *weights, struct fp_name_map *names, struct fp_arena *room,
                      fineprune_error *err) {
    for (int i = 0; i < weights->n; i++) {
        const char *name = weights->items[i].name, *copy = fp_arena_copy(room, name, strlen(name) + 1, 1);
        if (copy && fp_name_find(names, copy) < 0 && !fp_name_add(names, copy, i))
            return fp_fail_memory(err, "weights", strlen(name));
    }
    return fp_arena_check(room, err);
}

// A repair that moves constants into biases needs places for them in the layers that are pruned.
static int add_biases(struct fp_job *job) {
    if (!job->choices.repair->needs) return FINEPRUNE_OK;
    FP_STAGE(room, "weights");
    struct fp_name_map before = {0};
    int added, status = note_names(job->layers.weights, &before, &room, job->err);
    if (!status) status = fp_weights_add_biases(job->layers.weights, &added, job->err);
    if (!status && added) {
        fp_weights_free(job->layers.weights);
        job->layers.weights = NULL;
        status = fp_model_refresh(job->model, job->err);
        if (!status) status = find_weights(job);
        if (!status) status = leave_out_new(job, &before);
        if (!status) status = leave_out(job);
    }
    fp_name_map_done(&before);
    return status;
}

static size_t layer_bytes(const struct fp_weight *w) {
    return w->count * (3 * sizeof(float) + 2) + w->groups * w->rows * (sizeof(float) + sizeof(double));
}

static int count_layer(struct fp_job *job, const struct fp_weight *w) {
    struct fp_memory *memory = &job->model->memory;
    size_t bytes = layer_bytes(w);
    if (fp_memory_count(memory, bytes)) {
        job->layers.counted += bytes;
        return FINEPRUNE_OK;
    }
    fp_fail(job->err, FINEPRUNE_LIMIT, "values, scores and masks of weight '%s' need more memory than is allowed",
            w->name);
    fp_memory_hint(memory, job->err);
    return FINEPRUNE_LIMIT;
}

// Which elements are zero as they are read.
static int note_zeros(struct fp_job *job, struct fp_layer *layer) {
    const size_t n = layer->w->count;
    layer->n_came = 0;
    for (size_t i = 0; i < n; i++) layer->n_came += layer->dense[i] == 0;
    if (!layer->n_came) return FINEPRUNE_OK;
    uint8_t *came = fp_arena_take(&layer->arena, n, 1);
    if (!came) return fp_arena_check(&layer->arena, job->err);
    for (size_t i = 0; i < n; i++) came[i] = layer->dense[i] == 0;
    layer->came = came;
    return FINEPRUNE_OK;
}

int fp_layer_open(struct fp_job *job, struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    size_t rows = w->groups * w->rows;
    struct fp_arena *arena = &layer->arena;
    arena->what = layer->cut.what = w->name;
    layer->dense = fp_arena_take(arena, w->count, sizeof(float));
    layer->values = fp_arena_take(arena, w->count, sizeof(float));
    layer->score = fp_arena_take(arena, w->count, sizeof(float));
    layer->keep = fp_arena_take(arena, w->count, 1);
    layer->dense_bias = fp_arena_take(arena, rows, sizeof(float));
    layer->bias_change = fp_arena_take(arena, rows, sizeof(double));
    int status = fp_arena_check(arena, job->err);
    if (status) return status;
    memset(layer->keep, 1, w->count);
    status = fp_weight_read(job->model, w, layer->dense, job->err);
    if (!status) status = fp_weight_read_bias(job->model, w, layer->dense_bias, job->err);
    if (status) return status;
    memcpy(layer->values, layer->dense, w->count * sizeof(float));
    return note_zeros(job, layer);
}

// What the repair of a layer takes: the covariance and its vectors. SIZE_MAX when that is no number.
static size_t work_bytes(const struct fp_weight *w) {
    size_t square, vectors, all;
    bool fits = fp_mul(w->cols, w->cols, &square) && fp_mul(square, sizeof(float), &square) &&
                fp_mul(w->rows, w->cols, &vectors) && fp_mul(vectors, 8 * sizeof(float), &vectors) &&
                fp_add(square, vectors, &all);
    if (!fits) return SIZE_MAX;
    return all;
}

// The layers from `first` on whose co-activations fit into half of what the memory limit leaves (the other half runs
// the graph): at least one.
static int group_end(const struct fp_job *job, int first, size_t *bytes) {
    size_t left = fp_memory_left(&job->model->memory), all;
    int i = first;
    *bytes = 0;
    for (; i < job->layers.weights->n; i++) {
        const struct fp_weight *w = &job->layers.weights->items[i];
        size_t more = fp_stat_bytes(w, job->samples.n_local);
        if (!fp_add(*bytes, more, &all)) break;
        if (i > first && left < SIZE_MAX && (all > left / 2 || work_bytes(w) > left - all)) break;
        *bytes = all;
    }
    return i;
}

static int open_layers(struct fp_job *job) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < job->layers.n && !status; i++) {
        status = count_layer(job, job->layers.items[i].w);
        if (!status) status = fp_layer_open(job, &job->layers.items[i]);
    }
    return status;
}

// Nothing looks back at a layer once it is pruned, nor at another before.
static bool goes_by_layer(const struct fp_job *job) {
    const struct fp_choices *c = &job->choices;
    return c->rounds == 1 && !c->channels->run && !c->refit->run && c->allocation->local &&
           job->options->sparsity >= 0 && !c->outputs->hold && !c->readout->teach;
}

int fp_job_open(struct fp_job *job) {
    job->threads = fp_threads_wanted(&job->options->run);
    int status = fp_exec_refuse_training(job->model, job->err);
    if (!status) status = find_weights(job);
    if (!status) status = leave_out(job);
    if (!status) status = add_biases(job);
    if (status) return status;
    fp_classifier_find(&job->classes.classifier, job->layers.weights);
    status = fp_classifier_units(&job->classes.classifier, job->layers.weights, job->err);
    if (status) return status;
    size_t bytes;
    bool gram = (job->choices.score->needs | job->choices.repair->needs) & FP_NEED_GRAM;
    job->layers.by_layer = goes_by_layer(job) && (!gram || group_end(job, 0, &bytes) == job->layers.weights->n);
    job->layers.items = fp_calloc((size_t)job->layers.weights->n, sizeof(*job->layers.items));
    if (!job->layers.items) return fp_fail_memory(job->err, "layers", sizeof(*job->layers.items));
    job->layers.n = job->layers.weights->n;
    for (int i = 0; i < job->layers.n; i++) {
        job->layers.items[i] = (struct fp_layer){
            .w = &job->layers.weights->items[i], .error_before = -1, .error_after = -1};
        job->layers.total += job->layers.weights->items[i].count;
    }
    if (job->layers.by_layer) return FINEPRUNE_OK;
    return open_layers(job);
}

void fp_layer_close(struct fp_layer *l) {
    fp_arena_free(&l->arena);
    fp_arena_free(&l->cut);
    l->dense = l->values = l->score = l->dense_bias = l->target = NULL;
    l->keep = l->came = l->cut_rows = l->cut_cols = NULL;
    l->bias_change = l->target_bias = NULL;
}

void fp_job_drop_stats(struct fp_job *job) {
    if (!job->gathered.lent) fp_stats_free(job->gathered.stats);
    job->gathered.stats = NULL;
    fp_job_stats_are_old(job);
    fp_memory_uncount(&job->model->memory, job->gathered.counted);
    job->gathered.counted = 0;
    for (int i = 0; i < job->layers.n; i++) job->layers.items[i].stat = NULL;
}

void fp_job_stats_are_old(struct fp_job *job) { job->gathered.first = job->gathered.end = 0; }

void fp_job_drop_kept(struct fp_job *job) {
    if (job->state.kept) job->state.kept->drop(job->state.kept);
    job->state.kept = NULL;
}

void fp_job_close(struct fp_job *job) {
    fp_job_drop_stats(job);
    fp_memory_uncount(&job->model->memory, job->layers.counted);
    for (int i = 0; i < job->layers.n; i++) fp_layer_close(&job->layers.items[i]);
    free(job->layers.items);
    fp_weights_free(job->layers.weights);
    free(job->samples.local);
    free(job->samples.reserve);
    fp_answers_done(&job->classes.dense);
    fp_answers_done(&job->classes.dense_reserve);
    fp_answers_done(&job->classes.fitted);
    free(job->classes.kept);
    free(job->classes.removed_rows);
    free(job->classes.teacher);
    fp_lesson_done(&job->classes.lesson);
    fp_job_drop_kept(job);
    fp_verify_free(job->state.verify);
    fp_task_done(job);
    fp_macs_free(&job->state.macs);
    free(job->state.missed_target);
}

// ---- every round

void fp_job_use_stats(struct fp_job *job, struct fp_stats *stats, bool lent) {
    fp_job_drop_stats(job);
    job->gathered.stats = stats;
    job->gathered.lent = lent;
    job->gathered.end = job->layers.n;
    for (int i = 0, k = 0; i < job->layers.n;
         i++) { // in the same order, but statistics may know of weights that are left out here
        while (k < stats->n && strcmp(stats->names[k], job->layers.items[i].w->name)) k++;
        if (k < stats->n) job->layers.items[i].stat = &stats->items[k++];
    }
}

int fp_job_leave_unreached(struct fp_job *job) {
    int status = FINEPRUNE_OK, before = job->layers.n;
    for (int i = job->layers.n; i-- > 0 && !status;) {
        struct fp_layer *l = &job->layers.items[i];
        if (!l->stat || l->stat->rows > 0) continue;
        status = fp_weights_skip(job->layers.weights, i, "no sample reaches it: it is in a branch that was not taken",
                                 job->err);
        if (status) break;
        fp_layer_close(l);
        memmove(l, l + 1, sizeof(*l) * (size_t)(job->layers.n - i - 1));
        job->layers.n--;
    }
    if (status || job->layers.n == before) return status;
    if (job->gathered.end == before) job->gathered.end = job->layers.n;
    else fp_job_stats_are_old(job); // other numbers
    job->layers.total = 0;
    for (int i = 0; i < job->layers.n; i++) {
        job->layers.items[i].w = &job->layers.weights->items[i];
        job->layers.total += job->layers.items[i].w->count;
    }
    fp_classifier_find(&job->classes.classifier, job->layers.weights);
    status = fp_classifier_units(&job->classes.classifier, job->layers.weights, job->err);
    if (status) return status;
    if (job->layers.n) return FINEPRUNE_OK;
    return fp_fail(job->err, FINEPRUNE_DATA, "no sample reaches a weight of '%s' that can be pruned", job->model->path);
}

static size_t group_bytes(const struct fp_job *job, int first, int end) {
    size_t bytes = 0;
    for (int i = first; i < end; i++) bytes += fp_stat_bytes(&job->layers.weights->items[i], job->samples.n_local);
    return bytes;
}

// Statistics with the co-activations of the weights [first, end), of which *bytes are expected; on success it is what
// they take, and counted.
static int gather(struct fp_job *job, unsigned needs, int first, int end, size_t *bytes, struct fp_stats **stats,
                  double *forward) {
    struct fp_memory *memory = &job->model->memory;
    if (!fp_memory_count(memory, *bytes)) {
        fp_fail(job->err, FINEPRUNE_LIMIT, "the co-activations of weight '%s' need more memory than is allowed",
                job->layers.items[first].w->name);
        fp_memory_hint(memory, job->err);
        return FINEPRUNE_LIMIT;
    }
    struct fp_exec *exec = NULL;
    const struct fp_stats_request request = {.needs = needs,
                                             .classifier = &job->classes.classifier,
                                             .options = &job->options->run,
                                             .stage = "forward",
                                             .gram_first = first,
                                             .gram_end = end,
                                             .counted = bytes};
    int status = fp_exec_new(&exec, job->model, &job->options->run, job->err);
    if (!status)
        status = fp_stats_gather(stats, exec, job->layers.weights, job->data, job->samples.local, job->samples.n_local,
                                 &request, forward, job->err);
    fp_exec_free(exec);
    if (status) fp_memory_uncount(memory, *bytes);
    return status;
}

int fp_job_calibrate(struct fp_job *job, unsigned needs, int first) {
    double start = fp_seconds(), forward = 0;
    size_t bytes = 0;
    struct fp_stats *stats = NULL;
    fp_job_drop_stats(job);
    const bool gram = needs & FP_NEED_GRAM;
    struct fp_memory *memory = &job->model->memory;
    const size_t refused = memory->refused;
    int end = gram ? group_end(job, first, &bytes) : job->layers.n;
    int status = gather(job, needs, first, end, &bytes, &stats, &forward);
    while (status == FINEPRUNE_LIMIT && gram &&
           end - first > 1) { // rows and what the graph needs show in the first batch only
        fp_error_clear(job->err);
        memory->refused = refused; // what is needed at least is what fewer need
        end = first + (end - first) / 2;
        bytes = group_bytes(job, first, end);
        status = FINEPRUNE_OK;
        if (job->layers.by_layer) status = open_layers(job); // more runs cannot go layer by layer
        job->layers.by_layer = false;
        if (!status) status = gather(job, needs, first, end, &bytes, &stats, &forward);
    }
    if (!status) {
        if (end < job->layers.n && !job->gathered.in_groups)
            fp_report_say(job->report, "the memory limit makes the statistics take several runs over the samples");
        job->gathered.in_groups |= end < job->layers.n;
        fp_job_use_stats(job, stats, false);
        job->gathered.counted = bytes;
        job->gathered.first = first;
        job->gathered.end = end;
    }
    job->state.forward += forward;
    job->state.statistics += fp_seconds() - start - forward;
    return status;
}

int fp_job_have_stats(struct fp_job *job, unsigned needs, int i) {
    if (!needs || (i >= job->gathered.first && i < job->gathered.end)) return FINEPRUNE_OK;
    return fp_job_calibrate(job, needs, i);
}

int fp_job_rewrite_layer(struct fp_job *job, struct fp_layer *l) {
    for (size_t r = 0; r < fp_layer_rows(l); r++)
        if (fp_row_removed(l, r)) l->bias_change[r] = job->classes.floor - (double)l->dense_bias[r];
    int status = fp_layer_check_finite(job, l);
    if (!status) status = fp_weight_write(job->model, l->w, l->values, l->keep, job->err);
    if (!status) status = fp_weight_set_bias(job->model, l->w, l->bias_change, l->dense_bias, job->err);
    if (status) return status;
    return fp_weight_round_bias(job->model, l->w, l->bias_change, l->dense_bias, job->err); // what was really written
}

int fp_layer_write_dense(struct fp_job *job, struct fp_layer *l) {
    FP_STAGE(room, l->w->name);
    double *none = fp_arena_take(&room, fp_layer_rows(l), sizeof(*none));
    if (!none) return fp_arena_check(&room, job->err);
    int status = fp_weight_write(job->model, l->w, l->dense, NULL, job->err);
    if (status) return status;
    return fp_weight_set_bias(job->model, l->w, none, l->dense_bias, job->err);
}

int fp_job_rewrite(struct fp_job *job) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < job->layers.n && !status; i++) status = fp_job_rewrite_layer(job, &job->layers.items[i]);
    return status;
}
