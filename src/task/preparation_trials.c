// SPDX-License-Identifier: Apache-2.0
// The first BatchNormalization knows the mean and variance of what it was trained with. What it gets from the samples,
// as they are and prepared in other ways, is measured against that: a way is named where what is there fits badly and
// that way well. Without one only raw pixels, or such that were divided twice, are told, by the first layer's scale and
// the answers.
#include "task/preparation_trials.h"

#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "exec/exec.h"
#include "exec/op_list.h"
#include "weights/weights.h"

#define MISFIT 1.0       // of a scale that is wrong, at least: a third of the deviation that was meant has 0.7
#define FITS 0.5         // at most, and
#define FITS_BETTER 0.25 // this share of the misfit at most
#define SWAP_MISFIT 0.25 // of colours, which are nearly alike
#define SWAP_BETTER 0.3
#define MISFIT_MOST 20.0 // of one channel
#define FAR 20.0         // deviation of a first layer's results that no training aims at
#define SURE 0.5         // mean confidence

struct way {
    enum fp_range range; // of inputs that it is tried on
    const char *cause, *text;
    bool by_answers; // may be told without a BatchNormalization
    bool swaps, wave;
    double scale, shift; // y = scale x + shift, and then
    int photo;           // 1: (y - mean) / deviation of ImageNet's pixels; -1: the other way round, before
    double speed;        // of waves
};

#define RAW "the pixels are 0 to 255, and the model expects small numbers: give --mean and --std, or divide by 255"
#define TINY "the pixels look divided by 255 twice"
#define UNIT "the pixels are 0 to 1, and the model expects them less their mean and by their deviation: --mean, --std"
#define TWICE "the pixels look normalized by mean and deviation once too often"
#define WIDE "the pixels are small numbers, and the model expects 0 to 255"
#define COLORS "red and blue look swapped: --bgr turns them"
#define RATE "the sound looks sampled at another rate than the model expects: --rate"

static const struct way ways[] = {
    {.range = FP_RANGE_RAW, .cause = "not_scaled", .text = RAW, .by_answers = true, .scale = 1 / 255.0},
    {.range = FP_RANGE_RAW, .cause = "not_scaled", .text = RAW, .by_answers = true, .scale = 1 / 127.5, .shift = -1},
    {.range = FP_RANGE_RAW, .cause = "not_scaled", .text = RAW, .by_answers = true, .scale = 1 / 255.0, .photo = 1},
    {.range = FP_RANGE_TINY, .cause = "scaled_twice", .text = TINY, .by_answers = true, .scale = 255},
    {.range = FP_RANGE_TINY, .cause = "scaled_twice", .text = TINY, .by_answers = true, .scale = 510, .shift = -1},
    {.range = FP_RANGE_TINY, .cause = "scaled_twice", .text = TINY, .by_answers = true, .scale = 255, .photo = 1},
    {.range = FP_RANGE_UNIT, .cause = "not_normalized", .text = UNIT, .scale = 1, .photo = 1},
    {.range = FP_RANGE_UNIT, .cause = "not_normalized", .text = UNIT, .scale = 2, .shift = -1},
    {.range = FP_RANGE_UNIT, .cause = "scaled", .text = WIDE, .scale = 255},
    {.range = FP_RANGE_SIGNED, .cause = "normalized_twice", .text = TWICE, .scale = 1, .photo = -1},
    {.range = FP_RANGE_SIGNED, .cause = "normalized_twice", .text = TWICE, .scale = .5, .shift = .5},
    {.range = FP_RANGE_SIGNED, .cause = "scaled", .text = WIDE, .scale = 255, .photo = -1},
    {.range = FP_RANGE_SIGNED, .cause = "scaled", .text = WIDE, .scale = 127.5, .shift = 127.5},
    {.swaps = true, .cause = "colors_swapped", .text = COLORS, .scale = 1},
    {.wave = true, .cause = "other_rate", .text = RATE, .scale = 1, .speed = 2},
    {.wave = true, .cause = "other_rate", .text = RATE, .scale = 1, .speed = .5},
};

// What one way gives.
struct trial {
    const struct way *way; // NULL: as it is
    double *sum, *square;  // of the watched value, per channel
    double count;          // of a channel
    double confidence;     // summed up
    size_t answers, first; // the latter: which class is the first answer
    bool differ;           // others are of another class
};

struct look {
    const struct fp_preparation *p;
    const struct fp_looked_at *seen;
    struct fp_exec *exec;
    int value, last;              // that is watched; the last node that is run, -1: all
    int axis;                     // of its channels, -1: the last
    size_t channels;              // 0: not known yet
    const float *mean, *variance; // NULL: there is no BatchNormalization
    double epsilon;
    struct fp_arena room;
    struct trial trials[FP_COUNT(ways) + 1], *now;
    size_t n;
};

// ---- where

static bool constant_floats(struct look *l, const struct fp_node *node, int slot, const float **out) {
    struct fp_tensor t = {0};
    if (node->n_in <= slot || node->in[slot] < 0) return false;
    if (fp_exec_constant(l->exec, l->p->model->graph, node->in[slot], &t, NULL)) return false;
    const bool good = t.type == FP_FLOAT && t.count && (!l->channels || t.count == l->channels);
    l->channels = t.count;
    *out = good ? fp_arena_copy(&l->room, t.data, t.count, sizeof(float)) : NULL;
    fp_tensor_done(&t);
    return *out != NULL;
}

static bool find_normalization(struct look *l) {
    const struct fp_graph *graph = l->p->model->graph;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct fp_node *node = &graph->nodes[i];
        if (fp_node_role(node) != FP_ROLE_NORMALIZES || fp_exec_is_constant(l->exec, graph, node->in[0])) continue;
        l->channels = 0;
        if (!constant_floats(l, node, 3, &l->mean) || !constant_floats(l, node, 4, &l->variance)) break;
        l->value = node->in[0];
        l->last = i;
        l->axis = 1;
        l->epsilon = (double)fp_attr_float(node, "epsilon", 1e-5F);
        return true;
    }
    l->mean = l->variance = NULL;
    l->channels = 0;
    return false;
}

// Without a BatchNormalization, what the first layer gives.
static int find_layer(struct look *l, fineprune_error *err) {
    struct fp_weights *weights = NULL;
    int status = fp_weights_find(&weights, l->exec, l->p->model, true, err);
    l->value = l->last = -1;
    if (!status && weights->n && weights->items[0].node->graph == l->p->model->graph) {
        const struct fp_weight *w = &weights->items[0];
        l->value = w->node->out[0];
        l->axis = w->kind == FP_WEIGHT_CONV || w->kind == FP_WEIGHT_CONV_TRANSPOSE ? 1 : -1;
    }
    fp_weights_free(weights);
    return status;
}

// ---- preparing otherwise

static const double photo_mean[] = {.485, .456, .406}, photo_deviation[] = {.229, .224, .225};

static double prepared(const struct way *w, double x, size_t channel, bool colors) {
    const size_t c = colors ? channel : 1;
    if (w->photo < 0) x = x * photo_deviation[c] + photo_mean[c];
    x = w->scale * x + w->shift;
    if (w->photo > 0) x = (x - photo_mean[c]) / photo_deviation[c];
    return x;
}

static void prepare_picture(float *dst, const float *src, const struct fp_tensor *t, const struct way *w, int axis) {
    size_t inner = 1;
    const size_t channels = (size_t)t->dims[axis];
    for (int i = axis + 1; i < t->rank; i++) inner *= (size_t)t->dims[i];
    for (size_t i = 0; i < t->count; i++) {
        const size_t c = i / inner % channels, other = w->swaps && channels == 3 ? 2 - c : c;
        dst[i] = (float)prepared(w, (double)src[i - c * inner + other * inner], c, channels == 3);
    }
}

// At another speed; where the wave ends too early it begins again.
static void prepare_wave(float *dst, const float *src, const struct fp_tensor *t, double speed) {
    const size_t length = (size_t)t->dims[t->rank - 1];
    for (size_t i = 0; i < t->count; i++) {
        const double at = fmod((double)(i % length) * speed, (double)length - 1);
        const float *from = src + i / length * length + (size_t)at;
        const float part = (float)(at - floor(at));
        dst[i] = from[0] * (1 - part) + from[1] * part;
    }
}

static int prepare(struct fp_tensor *out, const struct fp_tensor *in, const struct way *w,
                   const struct fp_looked_at *seen, fineprune_error *err) {
    struct fp_tensor plain = {0};
    int status = fp_tensor_convert(&plain, NULL, in, FP_FLOAT, err);
    struct fp_tensor made = {0};
    if (!status) status = fp_tensor_new(&made, NULL, FP_FLOAT, in->rank, in->dims, err);
    if (!status && w->wave) prepare_wave(made.data, plain.data, in, w->speed);
    else if (!status) prepare_picture(made.data, plain.data, in, w, seen->channel_axis);
    if (!status) status = fp_tensor_convert(out, NULL, &made, in->type, err);
    fp_tensor_done(&made);
    fp_tensor_done(&plain);
    return status;
}

// ---- measuring

static int see(void *user, int tag, const struct fp_tensor *x, fineprune_error *err) {
    struct look *l = user;
    const int axis = l->axis < 0 ? x->rank - 1 : l->axis;
    (void)tag;
    if (x->type != FP_FLOAT || axis >= x->rank || axis < 0) return FINEPRUNE_OK;
    if (!l->channels) l->channels = (size_t)x->dims[axis];
    if ((size_t)x->dims[axis] != l->channels) return FINEPRUNE_OK;
    if (!l->now->sum) l->now->sum = fp_arena_take(&l->room, l->channels, sizeof(double));
    if (!l->now->square) l->now->square = fp_arena_take(&l->room, l->channels, sizeof(double));
    if (l->room.failed) return fp_arena_check(&l->room, err);
    size_t inner = 1;
    for (int i = axis + 1; i < x->rank; i++) inner *= (size_t)x->dims[i];
    const float *values = x->data;
    for (size_t i = 0; i < x->count; i++) {
        const size_t c = i / inner % l->channels;
        l->now->sum[c] += (double)values[i];
        l->now->square[c] += (double)values[i] * (double)values[i];
    }
    l->now->count += (double)x->count / (double)l->channels;
    return FINEPRUNE_OK;
}

// The greatest probability of the first output that is a row of scores; they may be probabilities already.
static void add_answer(struct trial *trial, const struct fp_tensor *outputs, int n) {
    const struct fp_tensor *t = NULL;
    for (int i = 0; i < n && !t; i++)
        if (outputs[i].rank == 2 && outputs[i].type == FP_FLOAT && outputs[i].dims[1] > 1) t = &outputs[i];
    if (!t || !t->count) return;
    const float *row = t->data;
    const size_t width = (size_t)t->dims[1];
    double most = -INFINITY, sum = 0, all = 0, least = INFINITY;
    size_t best = 0;
    for (size_t i = 0; i < width; i++) {
        if (row[i] > row[best]) best = i;
        most = fmax(most, (double)row[i]);
        least = fmin(least, (double)row[i]);
        sum += (double)row[i];
    }
    for (size_t i = 0; i < width; i++) all += exp((double)row[i] - most);
    trial->confidence += least >= 0 && fabs(sum - 1) < 1e-3 ? most : 1 / all;
    if (!trial->answers++) trial->first = best;
    trial->differ |= best != trial->first;
}

static int run_trial(struct look *l, struct trial *trial, struct fp_tensor *inputs, struct fp_tensor *outputs,
                     fineprune_error *err) {
    const struct fp_observer observer = {.see = see, .user = l};
    struct fp_tensor *slot = &inputs[l->seen->input], kept = *slot, made = {0};
    int status = FINEPRUNE_OK;
    if (trial->way) status = prepare(&made, &kept, trial->way, l->seen, err);
    if (status) return status;
    if (trial->way) *slot = made;
    l->now = trial;
    if (l->last >= 0) {
        status = fp_exec_part(l->exec, NULL, inputs, 0, l->last, &observer, NULL, err);
    } else {
        const int n = l->p->model->graph->n_outputs;
        status = fp_exec_run(l->exec, inputs, outputs, &observer, err);
        if (!status) add_answer(trial, outputs, n);
        for (int i = 0; i < n && !status; i++) fp_tensor_done(&outputs[i]);
    }
    *slot = kept;
    fp_tensor_done(&made);
    return status;
}

static int run_sample(struct look *l, size_t sample, fineprune_error *err) {
    const struct fp_graph *graph = l->p->model->graph;
    FP_STAGE(room, "a sample");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)graph->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)graph->n_outputs, sizeof(*outputs));
    int status = fp_arena_check(&room, err);
    if (status) return status;
    status = fp_data_batch(l->p->data, &sample, 1, inputs, err);
    for (size_t i = 0; i < l->n && !status; i++) status = run_trial(l, &l->trials[i], inputs, outputs, err);
    for (int i = 0; i < graph->n_inputs; i++) fp_tensor_done(&inputs[i]);
    return status;
}

// ---- judging

// How far what the BatchNormalization gets is from what it knows, by Gauss: the mean over channels of the divergence.
static double misfit(const struct look *l, const struct trial *t) {
    double all = 0;
    if (!t->sum || !t->square) return NAN;
    for (size_t c = 0; c < l->channels; c++) {
        const double mean = t->sum[c] / t->count, variance = fmax(t->square[c] / t->count - mean * mean, 0);
        const double known = (double)l->variance[c] + l->epsilon, apart = mean - (double)l->mean[c];
        const double ratio = fmax((variance + l->epsilon) / known, 1e-12);
        all += fmin((ratio - 1 - log(ratio) + apart * apart / known) / 2, MISFIT_MOST);
    }
    return all / (double)l->channels;
}

// The geometric mean over channels of the first layer's deviation.
static double scale_of(const struct look *l, const struct trial *t) {
    double sum = 0;
    if (!t->sum || !t->square || !l->channels) return NAN;
    for (size_t c = 0; c < l->channels; c++) {
        const double mean = t->sum[c] / t->count, deviation = sqrt(fmax(t->square[c] / t->count - mean * mean, 0));
        sum += log(deviation + 1e-9);
    }
    return exp(sum / (double)l->channels);
}

static void judge_fit(struct look *l, struct fp_found *found) {
    const double now = misfit(l, &l->trials[0]);
    const struct trial *best = NULL;
    double least = INFINITY;
    for (size_t i = 1; i < l->n; i++) {
        const double one = misfit(l, &l->trials[i]);
        if (one < least) least = one, best = &l->trials[i];
    }
    if (!best) return;
    const bool swaps = best->way->swaps;
    if (!(now >= (swaps ? SWAP_MISFIT : MISFIT)) || !(least <= (swaps ? SWAP_BETTER : FITS_BETTER) * now) ||
        !(least <= FITS))
        return;
    found->cause = best->way->cause;
    found->text = best->way->text;
    snprintf(found->evidence, sizeof(found->evidence),
             "the first BatchNormalization is off by %.3g from what it was trained with, by %.2g otherwise", now,
             least);
}

// As they are a first layer far off every scale, or answers that say nothing; otherwise neither.
static void judge_answers(struct look *l, struct fp_found *found) {
    const struct trial *now = &l->trials[0];
    const double scale = scale_of(l, now);
    for (size_t i = 1; i < l->n; i++) {
        const struct trial *t = &l->trials[i];
        if (!t->answers || !now->answers) continue;
        const double before = now->confidence / (double)now->answers, after = t->confidence / (double)t->answers;
        const bool large = l->seen->range == FP_RANGE_RAW && scale > FAR && scale_of(l, t) < FAR && after >= SURE &&
                           before >= after;
        const bool small = l->seen->range == FP_RANGE_TINY && after >= SURE &&
                           (after >= 1.5 * before || (t->differ && !now->differ));
        if (!large && !small) continue;
        found->cause = t->way->cause;
        found->text = t->way->text;
        if (large)
            snprintf(found->evidence, sizeof(found->evidence),
                     "the first layer gives numbers of the size of %.3g, of %.2g otherwise", scale, scale_of(l, t));
        else
            snprintf(found->evidence, sizeof(found->evidence), "mean confidence %.1f %%%s, %.1f %% otherwise",
                     100 * before, now->differ ? "" : " and one answer for all", 100 * after);
        return;
    }
}

static void choose_ways(struct look *l) {
    l->trials[l->n++] = (struct trial){0};
    for (size_t i = 0; i < FP_COUNT(ways); i++) {
        const struct way *w = &ways[i];
        const bool fits = w->wave || l->seen->wave ? w->wave && l->seen->wave : w->swaps || w->range == l->seen->range;
        if (fits && (l->mean || w->by_answers)) l->trials[l->n++] = (struct trial){.way = w};
    }
}

static int look(struct look *l, struct fp_found *found, fineprune_error *err) {
    int status = fp_exec_new(&l->exec, l->p->model, l->p->options, err);
    if (status) return status;
    const bool normalizes = find_normalization(l);
    choose_ways(l);
    if (l->n < 2) return FINEPRUNE_OK;
    if (!normalizes) status = find_layer(l, err);
    if (status || l->value < 0) return status;
    status = fp_exec_watch_value(l->exec, l->value, 0, err);
    for (size_t i = 0; i < l->seen->n && !status; i++) status = run_sample(l, l->seen->samples[i], err);
    if (!status && l->mean) judge_fit(l, found);
    else if (!status) judge_answers(l, found);
    return status;
}

int fp_preparation_try(const struct fp_preparation *p, const struct fp_looked_at *seen, struct fp_found *found,
                       fineprune_error *err) {
    struct look l = {.p = p, .seen = seen, .value = -1, .last = -1, .room = {.what = "a look at the samples"}};
    *found = (struct fp_found){0};
    if (seen->input < 0) return FINEPRUNE_OK;
    int status = look(&l, found, err);
    fp_exec_free(l.exec);
    fp_arena_free(&l.room);
    return status;
}
