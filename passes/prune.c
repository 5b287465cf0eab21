// SPDX-License-Identifier: Apache-2.0
// The whole method, in the order it happens. fp_prune_run is the job; prune_to is what makes a model sparse.
#include <math.h>
#include <stdlib.h>

#include "maths/allocate.h"
#include "maths/answers.h"
#include "maths/live_columns.h"
#include "job/job.h"
#include "prune.h"
#include "task/preparation.h"

// ---- one round: score, allocate, repair, rewrite

static unsigned needs_of(const struct fp_choices *c) {
    return c->score->needs | c->channels->needs | c->repair->needs | c->swaps->needs;
}

static bool is_last(const struct fp_job *job, const struct fp_layer *layer) {
    return layer == &job->layers.items[job->classes.classifier.weight];
}

// Rows whose errors count by different measures.
static void weigh_rows(struct fp_layer *layer) {
    for (size_t i = 0; layer->row_weight && i < layer->w->count; i++)
        layer->score[i] *= fp_row_weight(layer, i / layer->w->cols);
}

static int score(struct fp_job *job) {
    for (int i = 0; i < job->layers.n; i++) {
        struct fp_layer *layer = &job->layers.items[i];
        int status = fp_job_have_stats(job, needs_of(&job->choices), i);
        if (!status) status = job->choices.score->run(job, layer);
        if (!status) weigh_rows(layer);
        if (!status) fp_allocate_free_first(job, layer);
        if (!status && job->classes.lesson.b && is_last(job, layer) && job->choices.outputs->weigh)
            job->choices.outputs->weigh(job, layer);
        if (!status && job->choices.pattern->merge)
            status = job->choices.pattern->merge(job, layer, job->choices.pattern_text);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// What a former round has pruned must not come back.
static void bar_return(struct fp_job *job, bool first) {
    if (first || job->choices.method->regrow) return;
    for (int i = 0; i < job->layers.n; i++)
        for (size_t k = 0; k < job->layers.items[i].w->count; k++)
            if (!job->layers.items[i].keep[k]) job->layers.items[i].score[k] = 0;
}

#define READ_OUT_KEEPS 0.3  // of the rows that the read-out fits again,
#define READ_OUT_COSTS 0.02 // where they are no more than this share of all elements

// A read-out needs features to read: where its rows are a small part of the model, they keep a part of theirs at least.
static void bound_read_out(struct fp_job *job) {
    if (!job->classes.teacher || job->options->strict_sparsity) return;
    struct fp_layer *l = &job->layers.items[job->classes.classifier.weight];
    size_t rows = 0, all = fp_layer_rows(l);
    for (size_t r = 0; r < all; r++) rows += !fp_row_removed(l, r);
    if ((double)(rows * l->w->cols) > READ_OUT_COSTS * (double)job->layers.total) return;
    l->least_kept = fmax(l->least_kept, READ_OUT_KEEPS * (double)rows / (double)all);
}

static int allocate(struct fp_job *job, double sparsity) {
    bound_read_out(job);
    size_t zeros = (size_t)(sparsity * (double)job->layers.total + 0.999999);
    int status = job->choices.allocation->run(job, sparsity, zeros);
    if (status || !job->choices.pattern->snap) return status;
    for (int i = 0; i < job->layers.n && !status; i++) {
        struct fp_layer *l = &job->layers.items[i];
        if (l->left_dense) fp_allocate_start_layer(l);
        else status = job->choices.pattern->snap(job, l, job->choices.pattern_text);
        if (!status) fp_allocate_clear_came(l);
    }
    fp_allocate_finish(job);
    return status;
}

static int repair_layer(struct fp_job *job, struct fp_layer *layer) {
    int status = job->choices.repair->run(job, layer);
    if (status || !job->state.last_round || !job->choices.swaps->run) return status;
    return job->choices.swaps->run(job, layer);
}

static int repair_narrowed(struct fp_job *job, struct fp_layer *layer) {
    struct fp_live_columns narrow;
    int status = fp_live_columns_init(&narrow, layer, job->err);
    if (status) return status;
    if (!narrow.columns) return repair_layer(job, layer);
    status = repair_layer(job, &narrow.layer);
    if (!status) fp_live_columns_give(&narrow, layer);
    fp_live_columns_done(&narrow);
    return status;
}

// done, all: layers before these, and of the whole job.
static int repair(struct fp_job *job, int done, int all) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < job->layers.n && !status; i++) {
        struct fp_layer *layer = &job->layers.items[i];
        status = fp_job_have_stats(job, needs_of(&job->choices), i);
        double start = fp_seconds();
        if (!status) status = repair_narrowed(job, layer);
        job->state.solve += fp_seconds() - start;
        const fineprune_run_options *run = &job->options->run;
        if (!status && run->progress &&
            run->progress(run->progress_user, "repair", (size_t)(done + i) + 1, (size_t)all))
            status = fp_fail(job->err, FINEPRUNE_CANCELLED, "stopped in the repair of '%s'", layer->w->name);
    }
    return status;
}

// Rounds come nearer to the asked sparsity: by shares of it, or by the cubic schedule s_t = s + (0.5 - s)(1 - t / T)^3.
static double sparsity_of_round(const struct fp_job *job, double sparsity, int round) {
    int rounds = job->choices.rounds;
    if (round == rounds) return sparsity;
    double left = 1 - (double)round / rounds;
    if (!job->choices.method->cubic)
        return sparsity * (1 - left * (0.3 + 0.45 * left)); // two rounds: 74, 100 %; three: 60, 85, 100 %
    if (!(sparsity > 0.5)) return sparsity;
    return sparsity + (0.5 - sparsity) * left * left * left;
}

// The asked sparsity, or as much of it as the samples justify (fp_justified_share).
static double justified(struct fp_job *job, double asked) {
    size_t n = job->samples.distinct ? job->samples.distinct : job->samples.n_local + job->samples.n_reserve;
    double most = fp_justified_share((double)n);
    if (!job->choices.method->cautious || job->options->strict_sparsity || asked <= most) return asked;
    job->state.few = true;
    fp_report_say(job->report, "%zu sample%s few: %s %.0f %% zeros, not the %.3g %% that were asked", n,
                  n == 1 ? " is" : "s are", n == 1 ? "it justifies" : "they justify", 100 * most, 100 * asked);
    return most;
}

// done, all: layers before these, and of the whole job.
struct round {
    double sparsity;
    bool first;
    int done, all;
};

static int score_layers(struct fp_job *job, const struct round *round) {
    int status = score(job);
    bar_return(job, round->first);
    return status;
}

static int choose_zeros(struct fp_job *job, const struct round *round) { return allocate(job, round->sparsity); }

static int repair_layers(struct fp_job *job, const struct round *round) { return repair(job, round->done, round->all); }

static int write_layers(struct fp_job *job, const struct round *round) {
    (void)round;
    return fp_job_rewrite(job);
}

static int prune_layers(struct fp_job *job, const struct round *round) {
    static int (*const steps[])(struct fp_job *, const struct round *) = {score_layers, choose_zeros, repair_layers,
                                                                          write_layers};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < FP_COUNT(steps) && !status; i++) status = steps[i](job, round);
    return status;
}

// The same, with the elements of one layer in memory at a time.
static int prune_one_by_one(struct fp_job *job, double sparsity) {
    const struct fp_layers all = job->layers;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < all.n && !status; i++) {
        job->layers.items = &all.items[i];
        job->layers.n = 1;
        job->layers.total = all.items[i].w->count;
        status = fp_layer_open(job, job->layers.items);
        if (!status) status = prune_layers(job, &(struct round){sparsity, true, i, all.n});
        fp_layer_close(job->layers.items);
    }
    job->layers.items = all.items;
    job->layers.n = all.n;
    job->layers.total = all.total;
    return status;
}

static int prune_to(struct fp_job *job, double sparsity) {
    for (int round = 1; round <= job->choices.rounds; round++) {
        int status = FINEPRUNE_OK;
        job->state.last_round = round == job->choices.rounds;
        if (!job->gathered.dense) fp_job_stats_are_old(job);
        job->gathered.dense = false;
        const bool channels = round == 1 && job->choices.channels->run;
        if (job->layers.by_layer || channels) status = fp_job_have_stats(job, needs_of(&job->choices), 0);
        double now = sparsity_of_round(job, sparsity, round);
        if (!status && channels) status = job->choices.channels->run(job, sparsity);
        if (status) return status;
        if (job->layers.by_layer) status = prune_one_by_one(job, now);
        else status = prune_layers(job, &(struct round){now, round == 1, 0, job->layers.n});
        if (status) return status;
    }
    fp_job_drop_stats(job);
    if (!job->choices.refit->run) return FINEPRUNE_OK;
    return job->choices.refit->run(job);
}

// Back to the dense model, for another try.
static int restore(struct fp_job *job) {
    for (int i = 0; i < job->layers.n; i++) {
        struct fp_layer *l = &job->layers.items[i];
        memset(l->keep, 1, l->w->count);
        memcpy(l->values, l->dense, l->w->count * sizeof(float));
        memset(l->bias_change, 0, fp_layer_rows(l) * sizeof(double));
        int status = fp_weight_write(job->model, l->w, l->values, NULL, job->err);
        if (!status) status = fp_weight_set_bias(job->model, l->w, l->bias_change, l->dense_bias, job->err);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// The last layer learns from what the pruned model makes of the samples; its answers to them are kept.
static int read_out(struct fp_job *job) {
    struct fp_answers *now = &job->classes.fitted;
    fp_answers_done(now);
    if (!job->classes.teacher) return FINEPRUNE_OK;
    int status = fp_answers_gather(job, now);
    if (!status) status = job->choices.readout->learn(job, now);
    if (!status) status = fp_answers_again(job, now);
    free(now->features);
    now->features = NULL;
    if (status) return status;
    return fp_job_rewrite(job);
}

static int prune_and_read_out(struct fp_job *job, double sparsity) {
    fp_verify_old(job);
    int status = prune_to(job, sparsity);
    if (status) return status;
    return read_out(job);
}

static int try_again(struct fp_job *job, double sparsity) {
    int status = restore(job);
    if (status) return status;
    return prune_and_read_out(job, sparsity);
}

// ---- the job

static int walk(struct fp_job *job, int (*const *stages)(struct fp_job *)) {
    int status = FINEPRUNE_OK;
    for (; *stages && !status; stages++) status = (*stages)(job);
    return status;
}

static unsigned needs_of_answers(const struct fp_choices *c) { return c->outputs->needs | c->readout->needs; }

static int check_samples(struct fp_job *job) {
    return fp_job_check_samples(job, needs_of(&job->choices) | needs_of_answers(&job->choices));
}

static int run_dense_model(struct fp_job *job) {
    const unsigned needs = needs_of(&job->choices) | needs_of_answers(&job->choices);
    if (!needs) return FINEPRUNE_OK;
    int status = fp_job_calibrate(job, needs, 0);
    if (status || !(needs & FP_NEED_SUMS)) return status;
    return fp_job_leave_unreached(job);
}

static int bound_layers(struct fp_job *job) {
    fp_job_bound_layers(job);
    return FINEPRUNE_OK;
}

// The lesson is taken from the reserve's answers too: it is what the pruned model is measured against, and no mask or
// repair sees it.
static int keep_answers(struct fp_job *job) {
    if (!job->gathered.stats) return FINEPRUNE_OK;
    job->classes.dense = job->gathered.stats->answers;
    job->gathered.stats->answers = (struct fp_answers){0};
    job->gathered.dense = true;
    if (!job->classes.dense.samples || !job->classes.dense_reserve.samples) return FINEPRUNE_OK;
    return fp_answers_add(&job->classes.dense, &job->classes.dense_reserve, job->err);
}

static int hold_back(struct fp_job *job) {
    if (!job->classes.lesson.b || !job->choices.outputs->hold) return FINEPRUNE_OK;
    return job->choices.outputs->hold(job);
}

static int teach(struct fp_job *job) {
    if (!job->classes.lesson.a || !job->choices.readout->teach) return FINEPRUNE_OK;
    return job->choices.readout->teach(job);
}

static int prune_as_far_as_safe(struct fp_job *job) {
    if (job->options->sparsity < 0 || job->choices.target.automatic)
        return fp_prune_auto(job, try_again, &job->state.asked);
    return fp_prune_safely(job, prune_and_read_out, try_again, justified(job, job->options->sparsity));
}

static int record_masks(struct fp_job *job) { return fp_weights_record_masks(job->layers.weights, job->err); }

static int report(struct fp_job *job) { return fp_job_report(job, job->state.asked); }

static int look_at_preparation(struct fp_job *job) {
    const struct fp_answers *a = &job->classes.dense;
    struct fp_preparation p = {.model = job->model, .data = job->data, .options = &job->options->run};
    if (!job->data) return FINEPRUNE_OK;
    if (job->classes.output >= 0 && a->samples && !a->unlike) {
        p.scores = a->logits;
        p.n = a->samples;
        p.width = a->classes;
        p.output = job->classes.output;
        p.classes = job->classes.classifier.weight >= 0;
    }
    return fp_preparation_look(&p, job->report, job->err);
}

int fp_prune_run(struct fp_job *job) {
    static int (*const stages[])(struct fp_job *) = {
        fp_job_split,         // samples that decide, and the reserve that measures
        fp_job_open,          // weights as matrices, the classifier
        fp_job_report_before, // what the model is before
        fp_job_check_target,  // whether its multiply-adds can be counted
        check_samples,        // values that no weight could learn from
        fp_verify_before,     // the dense model on the reserve
        run_dense_model,      // and on all others: answers, and the first round's statistics
        bound_layers,         // few samples justify few zeros
        keep_answers,         // for the lesson
        fp_task_decide,       // are the outputs classes?
        look_at_preparation,  // do the samples look prepared as the model was trained?
        fp_lesson_take,       // what the answers tell of this user
        hold_back,            // classes that the samples do not show
        teach,                // the lesson, in the dense last layer
        prune_as_far_as_safe, // channels, rounds, refit, read-out; measured, and zeros given back
        record_masks,
        report,
        NULL};
    job->state.asked = job->options->sparsity;
    int status = walk(job, stages);
    if (job->state.missed_target && (!status || status == FINEPRUNE_GATE)) return fp_job_refuse_target(job);
    if (job->state.refused && (!status || status == FINEPRUNE_GATE)) return fp_safety_refuse(job);
    return status;
}

// ---- from statistics

// The file says of itself which model it is of; nothing is read or written by its sizes before they are the model's.
static int compare_stats(struct fp_job *job) {
    const struct fp_stats *stats = job->gathered.stats;
    const struct fp_classifier *c = &job->classes.classifier;
    const struct fp_answers *a = &stats->answers;
    if (strcmp(stats->model, fp_model_sha256(job->model)))
        return fp_fail(job->err, FINEPRUNE_DATA, "the statistics belong to another model than '%s'", job->model->path);
    for (int i = 0; i < job->layers.n; i++) {
        const struct fp_layer *l = &job->layers.items[i];
        if (!l->stat)
            return fp_fail(job->err, FINEPRUNE_DATA, "the statistics know nothing of weight '%s'", l->w->name);
        if (l->stat->groups != l->w->groups || l->stat->cols != l->w->cols)
            return fp_fail(job->err, FINEPRUNE_DATA,
                           "the statistics of weight '%s' are of %zu x %zu columns instead of %zu x %zu", l->w->name,
                           l->stat->groups, l->stat->cols, l->w->groups, l->w->cols);
    }
    if (c->weight >= 0 && a->samples && (a->classes != c->classes || a->n_features != c->features))
        return fp_fail(job->err, FINEPRUNE_DATA,
                       "the statistics have answers of %zu classes from %zu features instead of %zu from %zu",
                       a->classes, a->n_features, c->classes, c->features);
    return FINEPRUNE_OK;
}

static int check_stats(struct fp_job *job) {
    const int status = compare_stats(job);
    if (status) fp_error_in(job->err, job->gathered.stats->path);
    return status;
}

static int leave_unreached(struct fp_job *job) {
    job->samples.n_local = job->gathered.stats->samples;
    if (!needs_of(&job->choices)) return FINEPRUNE_OK;
    return fp_job_leave_unreached(job);
}

static int copy_answers(struct fp_job *job) {
    return fp_answers_copy(&job->classes.dense, &job->gathered.stats->answers, job->err);
}

static int prune_layers_to_asked(struct fp_job *job) { return prune_to(job, justified(job, job->options->sparsity)); }

// The pruned model's own features cannot be known without data: the dense model's stand for them.
static int read_out_of_dense(struct fp_job *job) {
    if (!job->classes.teacher) return FINEPRUNE_OK;
    int status = job->choices.readout->learn(job, &job->classes.dense);
    if (status) return status;
    return fp_job_rewrite(job);
}

int fp_prune_apply(struct fp_job *job, struct fp_stats *stats) {
    static int (*const stages[])(struct fp_job *) = {check_stats,
                                                     leave_unreached,
                                                     bound_layers,
                                                     fp_job_report_before,
                                                     fp_job_check_target,
                                                     copy_answers,
                                                     fp_task_decide,
                                                     fp_lesson_take,
                                                     hold_back,
                                                     teach,
                                                     prune_layers_to_asked,
                                                     read_out_of_dense,
                                                     record_masks,
                                                     report,
                                                     NULL};
    if (job->options->sparsity < 0)
        return fp_fail(job->err, FINEPRUNE_USAGE, "sparsity auto needs data to measure on: use 'prune'");
    if (job->choices.target.automatic)
        return fp_fail(job->err, FINEPRUNE_USAGE, "target auto needs samples to measure on: use 'prune'");
    if (job->choices.target.kind == FP_TARGET_LATENCY)
        return fp_fail(job->err, FINEPRUNE_USAGE, "target '%s' needs samples to time: use 'prune'",
                       job->choices.target.text);
    job->choices.rounds = 1;
    job->state.asked = job->options->sparsity;
    if (job->choices.refit->run) {
        fp_report_say(job->report, "the refit was left out: it needs the samples themselves ('prune')");
        job->choices.refit = fp_find_refit("none");
    }
    int status = fp_job_open(job);
    if (status) return status;
    fp_job_use_stats(job, stats, true);
    job->gathered.dense = true;
    status = walk(job, stages);
    if (job->state.missed_target && (!status || status == FINEPRUNE_GATE)) return fp_job_refuse_target(job);
    return status;
}

bool fp_prune_wants_data(const struct fp_choices *c) {
    return needs_of(c) || c->refit->needs_data || needs_of_answers(c);
}
