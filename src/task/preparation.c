// SPDX-License-Identifier: Apache-2.0
// What the samples are by themselves: silent, clipped, blank, their axes in another order; and whether the model tells
// them apart at all. preparation_trials.c asks the model for the rest.
#include "task/preparation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "report/report.h"
#include "onnx/graph.h"
#include "exec/exec.h"
#include "task/preparation_trials.h"
#include "task/task.h"

#define LOOKS 32           // samples, spread over all of them
#define FEWEST 4           // of which something is said
#define SHARE 0.1          // of samples that are silent or blank
#define CLIPPED_SHARE 0.3  // of sounds that are clipped
#define SMALLEST 16        // elements that may be all equal by chance no more
#define LEAST_SIDE 16      // of pictures
#define LEAST_WAVE 4000    // elements
#define ORDERED 0.4        // of what rows apart differ, rows that lie below each other do at most
#define DIFFERENT 0.05     // how far samples are apart at least (difference), that answers should be
#define ALIKE 0.0001       // the same, of samples that are one
#define MANY 20            // answers that are one class by chance no more
#define MADE_FOR_CLASSES 3 // points of the task's evidence
#define UNSURE 0.5         // mean confidence, and
#define CLEAR 1.0          // of the scores' spread, the second behind the first: below both it is unsure
#define SAME 0.01          // of the scores' spread within a sample, what they move from sample to sample

struct facts {
    struct fp_looked_at seen;
    double least, most;                      // of the input that is looked at
    size_t looked, blank, disordered, waves; // samples
    struct fp_sound_count sounds;            // of waves that are the input
    int widest;                              // the input of most elements, and
    struct fp_tensor first;                  // what the first sample has there, as float32
    double apart;                            // summed up: how far the others are from it, 0 to 2
};

// ---- which input

static bool is_channels(int64_t n) { return n == 1 || n == 3; }

static bool is_picture(const struct fp_tensor *t, int *axis) {
    if (t->rank != 4) return false;
    *axis = is_channels(t->dims[1]) ? 1 : 3;
    const int64_t height = t->dims[*axis == 1 ? 2 : 1], width = t->dims[*axis == 1 ? 3 : 2];
    return is_channels(t->dims[*axis]) && height >= LEAST_SIDE && width >= LEAST_SIDE;
}

static bool is_wave(const struct fp_tensor *t) {
    if (t->rank != 2 && (t->rank != 3 || t->dims[1] != 1)) return false;
    return t->dims[t->rank - 1] >= LEAST_WAVE;
}

// The only float input that is one.
static void choose_input(struct facts *f, const struct fp_tensor *inputs, int n) {
    int found = 0;
    f->seen.input = -1;
    for (int i = 0; i < n; i++) {
        const bool wave = is_wave(&inputs[i]);
        if (!fp_type_is_float(inputs[i].type) || (!wave && !is_picture(&inputs[i], &f->seen.channel_axis))) continue;
        f->seen.input = i;
        f->seen.wave = wave;
        found++;
    }
    if (found > 1) f->seen.input = -1;
}

// ---- what is seen

static bool is_blank(const float *v, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (v[i] != v[0]) return false;
    return n >= SMALLEST;
}

static double apart(const float *v, size_t n, size_t step) {
    double sum = 0;
    for (size_t i = 0; i + step < n; i++) {
        const double d = (double)v[i] - (double)v[i + step];
        sum += d * d;
    }
    return sum / (double)(n - step);
}

// In pictures of one plane a channel the next row lies a width further on, in pictures of three values a pixel three
// widths; rows that lie below each other are alike.
static bool is_disordered(const float *v, const struct fp_tensor *t, int axis) {
    if (t->dims[axis] != 3) return false;
    const size_t width = (size_t)t->dims[axis == 1 ? 3 : 2], rest = (size_t)t->dims[0];
    const size_t n = t->count / rest;
    if (n <= 3 * width) return false;
    const double planes = apart(v, n, width), pixels = apart(v, n, 3 * width);
    return axis == 1 ? pixels < ORDERED * planes : planes < ORDERED * pixels;
}

static void see_input(struct facts *f, const float *v, const struct fp_tensor *t) {
    for (size_t i = 0; i < t->count; i++) {
        f->least = fmin(f->least, (double)v[i]);
        f->most = fmax(f->most, (double)v[i]);
    }
    if (!f->seen.wave) f->disordered += is_disordered(v, t, f->seen.channel_axis);
    else fp_sound_look(&f->sounds, v, t->count / (size_t)t->dims[0]);
}

// |x - y|^2 / (|x|^2 + |y|^2): 1 for what has nothing to do with each other.
static double difference(const struct fp_tensor *x, const struct fp_tensor *y) {
    const float *a = x->data, *b = y->data;
    double apart = 0, sum = 0;
    if (x->count != y->count) return 1;
    for (size_t i = 0; i < x->count; i++) {
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        sum += (double)a[i] * (double)a[i] + (double)b[i] * (double)b[i];
    }
    return sum > 0 ? apart / sum : 0;
}

static int see_difference(struct facts *f, const struct fp_tensor *inputs, int n, fineprune_error *err) {
    struct fp_tensor now = {0};
    if (f->looked == 1) {
        f->widest = 0;
        for (int i = 1; i < n; i++)
            if (inputs[i].count > inputs[f->widest].count) f->widest = i;
    }
    if (!n || !fp_type_size(inputs[f->widest].type)) return FINEPRUNE_OK;
    int status = fp_tensor_convert(&now, NULL, &inputs[f->widest], FP_FLOAT, err);
    if (!status && f->looked > 1) f->apart += difference(&f->first, &now);
    if (!status && f->looked == 1) f->first = now;
    else fp_tensor_done(&now);
    return status;
}

static int see_sample(struct facts *f, const struct fp_preparation *p, size_t sample, fineprune_error *err) {
    const int n = p->model->graph->n_inputs;
    FP_STAGE(room, "a sample");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)n, sizeof(*inputs));
    int status = fp_arena_check(&room, err), floats = 0, blank = 0;
    if (!status) status = fp_data_batch(p->data, &sample, 1, inputs, err);
    if (status) return status;
    if (!f->looked++) choose_input(f, inputs, n);
    status = see_difference(f, inputs, n, err);
    for (int i = 0; i < n && !status; i++) {
        struct fp_tensor plain = {0};
        if (!fp_type_is_float(inputs[i].type) || !inputs[i].count || !inputs[i].rank) continue;
        status = fp_tensor_convert(&plain, NULL, &inputs[i], FP_FLOAT, err);
        if (status) break;
        floats++;
        blank += is_blank(plain.data, plain.count);
        const bool chosen = i == f->seen.input && (f->seen.wave ? is_wave(&inputs[i]) : inputs[i].rank == 4);
        if (chosen) see_input(f, plain.data, &inputs[i]);
        fp_tensor_done(&plain);
    }
    f->blank += floats && blank == floats;
    for (int i = 0; i < n; i++) fp_tensor_done(&inputs[i]);
    return status;
}

static enum fp_range range_of(const struct facts *f) {
    if (f->seen.wave || !(f->most > f->least)) return FP_RANGE_OTHER;
    if (f->least < -0.01) return FP_RANGE_SIGNED;
    if (f->most > 32 && f->most < 255.5) return FP_RANGE_RAW;
    if (f->most <= 0.0045) return FP_RANGE_TINY;
    if (f->most > 0.2 && f->most < 1.05) return FP_RANGE_UNIT;
    return FP_RANGE_OTHER;
}

// ---- telling

static void FP_PRINTF(4, 5)
    warn(struct fineprune_report *report, const char *cause, const char *evidence, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (size_t i = 0; i < report->warnings.n; i++)
        if (!strcmp(report->warnings.items[i].cause, cause)) return;
    FP_ADD(report, warnings, &(struct fp_report_warning){cause, text, evidence});
}

static void warn_of_facts(const struct facts *f, const struct fp_sound_count *files, struct fineprune_report *report) {
    const struct fp_sound_count *s = files->n ? files : &f->sounds;
    const size_t n = f->looked;
    char evidence[120];
    if (n < FEWEST) return;
    snprintf(evidence, sizeof(evidence), "%zu samples were looked at", n);
    if (s->silent >= 2 && (double)s->silent >= SHARE * (double)s->n)
        warn(report, "silent", evidence, "%zu of %zu sounds are silent", s->silent, s->n);
    else if (f->blank >= 2 && (double)f->blank >= SHARE * (double)n)
        warn(report, "blank", evidence, "%zu of %zu samples hold one value only: silence, or empty pictures", f->blank,
             n);
    if (s->clipped >= 2 && (double)s->clipped >= CLIPPED_SHARE * (double)s->n)
        warn(report, "clipped", evidence,
             "%zu of %zu sounds are clipped: recorded too loud, or made louder than their format holds", s->clipped,
             s->n);
    if ((double)f->disordered >= 0.8 * (double)n)
        warn(report, "layout", evidence,
             "the pictures' axes look exchanged: the model takes %s, the values lie as in %s; --layout, or a transpose",
             f->seen.channel_axis == 1 ? "[N, C, H, W]" : "[N, H, W, C]",
             f->seen.channel_axis == 1 ? "[N, H, W, C]" : "[N, C, H, W]");
}

static void warn_of_rate(const struct fineprune_data *data, struct fineprune_report *report) {
    int64_t wanted, said;
    char evidence[120];
    const char *path = fp_data_other_rate(data, &wanted, &said);
    if (!path) return;
    snprintf(evidence, sizeof(evidence), "%lld Hz are given, %lld Hz stand there", (long long)said, (long long)wanted);
    warn(report, "other_rate", evidence, "the sound is brought to another rate than '%.200s' says: --rate", path);
}

static int judge_task(struct fp_task *task, const struct fp_preparation *p, fineprune_error *err) {
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_classifier k = {.weight = -1};
    int status = fp_exec_plan(&exec, p->model, p->options, err);
    if (!status) status = fp_weights_find(&weights, exec, p->model, false, err);
    if (!status) fp_classifier_find(&k, weights);
    const struct fp_task_case one = {.model = p->model,
                                     .output = p->output,
                                     .weights = weights,
                                     .weight = k.output == p->output ? k.weight : -1,
                                     .logits_value = p->model->graph->outputs[p->output],
                                     .values = p->scores,
                                     .n = p->n,
                                     .width = p->width};
    if (!status) status = fp_task_judge(task, &one, NULL, err);
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

static int are_classes(const struct fp_preparation *p, bool *classes, fineprune_error *err) {
    struct fp_task task = {0};
    *classes = p->classes;
    if (p->classes) return FINEPRUNE_OK;
    const int status = judge_task(&task, p, err);
    *classes = task.kind == FP_TASK_CLASSES;
    return status;
}

// The same by all but the answers, which say less of it where they are all one class.
static int are_made_for_classes(const struct fp_preparation *p, bool *classes, fineprune_error *err) {
    static const char *const of_the_model[] = {"softmax",   "readers",       "output name",   "layer name",
                                               "axis name", "labels beside", "labels within", "task said",
                                               "sigmoid",   "activation",    "last layer"};
    struct fp_task task = {0};
    int points = 0;
    *classes = p->classes;
    if (p->classes) return FINEPRUNE_OK;
    const int status = judge_task(&task, p, err);
    for (int i = 0; i < task.n; i++)
        for (size_t k = 0; k < FP_COUNT(of_the_model); k++)
            if (!strcmp(task.evidence[i].name, of_the_model[k])) points += task.evidence[i].points;
    *classes = !status && points >= MADE_FOR_CLASSES;
    return status;
}

// Where all answers are one class: which, how sure the model is of it, and how far the second is behind, by the spread
// of the scores. False where they are not.
struct one_class {
    size_t class;
    double confidence, ahead;
};

static bool see_one_class(struct one_class *seen, const struct fp_preparation *p) {
    *seen = (struct one_class){.class = SIZE_MAX};
    for (size_t i = 0; i < p->n; i++) {
        const float *row = p->scores + i * p->width;
        double sum = 0, square = 0, all = 0, second = -INFINITY;
        size_t best = 0;
        for (size_t k = 0; k < p->width; k++)
            if (row[k] > row[best]) best = k;
        const double first = (double)row[best];
        for (size_t k = 0; k < p->width; k++) {
            const double behind = (double)row[k] - first;
            if (!isfinite(row[k]) || (k != best && behind == 0)) return false;
            if (k != best) second = fmax(second, behind);
            sum += behind;
            square += behind * behind;
            all += exp(behind);
        }
        const double n = (double)p->width, mean = sum / n;
        if (!i) seen->class = best;
        if (seen->class != best) return false;
        const bool share = first <= 1 && fabs(sum + n * first - 1) < 1e-3;
        seen->confidence += (share ? first : 1 / all) / (double)p->n;
        seen->ahead += -second / sqrt(square / n - mean * mean) / (double)p->n;
    }
    return true;
}

// One class in all answers is a user of one class, or a model that does not know these data. Where it hardly prefers
// that class it is the second.
static int look_at_classes(const struct fp_preparation *p, struct fineprune_report *report, fineprune_error *err) {
    struct one_class seen;
    bool classes;
    if (p->n < MANY || p->width < 3 || !see_one_class(&seen, p)) return FINEPRUNE_OK;
    const int status = are_made_for_classes(p, &classes, err);
    if (status || !classes) return status;
    if (seen.confidence >= UNSURE || seen.ahead >= CLEAR) {
        fp_report_say(
            report,
            "all %zu answers are one class, number %zu from 0: right if this user shows no other; else look at "
            "how the samples are prepared ('fineprune show')",
            p->n, seen.class);
        return FINEPRUNE_OK;
    }
    char evidence[160];
    snprintf(evidence, sizeof(evidence), "class number %zu from 0 in all %zu answers, mean confidence %.0f %%",
             seen.class, p->n, 100 * seen.confidence);
    warn(report, "one_class", evidence,
         "all answers are one class, and unsure: the samples look prepared otherwise than the model was trained: mean "
         "and std, scale, colors, size ('fineprune show')");
    return FINEPRUNE_OK;
}

// How far scores move from sample to sample, as a share of their spread within one; 0 where that is none.
static double moves(const struct fp_preparation *p) {
    double within = 0, between = 0;
    for (size_t k = 0; k < p->width; k++) {
        double sum = 0, square = 0;
        const double first = (double)p->scores[k];
        for (size_t i = 0; i < p->n; i++) {
            const double d = (double)p->scores[i * p->width + k] - first;
            sum += d;
            square += d * d;
        }
        between += fmax(square / (double)p->n - sum / (double)p->n * (sum / (double)p->n), 0);
    }
    for (size_t i = 0; i < p->n; i++) {
        double sum = 0, square = 0;
        const double first = (double)p->scores[i * p->width];
        for (size_t k = 0; k < p->width; k++) {
            const double d = (double)p->scores[i * p->width + k] - first;
            sum += d;
            square += d * d;
        }
        within += fmax(square - sum * sum / (double)p->width, 0) / (double)p->n;
    }
    return within > 0 ? sqrt(between / within) : NAN;
}

// Scores that hardly move, or one class in all answers, though the samples differ.
static int look_at_scores(const struct fp_preparation *p, const struct facts *f, struct fineprune_report *report,
                          fineprune_error *err) {
    bool classes = false;
    if (!p->scores || p->n < 10 || p->width < 2 || f->blank == f->looked) return FINEPRUNE_OK;
    const double moved = moves(p), apart = f->apart / (double)(f->looked - 1);
    int status = FINEPRUNE_OK;
    if (moved <= SAME && apart >= DIFFERENT) status = are_classes(p, &classes, err);
    if (!status && !classes && apart >= ALIKE) return look_at_classes(p, report, err);
    if (status || !classes) return status;
    char evidence[160];
    snprintf(evidence, sizeof(evidence), "scores move by %.2g %% of their spread over %zu samples", 100 * moved, p->n);
    warn(report, "same_answers", evidence,
         "the model answers all samples alike, as if it did not see them: they are hardly prepared as it was trained");
    return FINEPRUNE_OK;
}

// The scores of a few samples, where nobody has them.
struct asked {
    struct fp_preparation with;
    float *values;
    size_t capacity;
};

static int take_row(struct asked *a, const struct fp_tensor *outputs, int n, fineprune_error *err) {
    int i = 0;
    while (i < n && (outputs[i].rank != 2 || outputs[i].type != FP_FLOAT || outputs[i].dims[1] < 2)) i++;
    if (i == n || (a->with.width && (size_t)outputs[i].dims[1] != a->with.width)) return FINEPRUNE_OK;
    a->with.width = (size_t)outputs[i].dims[1];
    a->with.output = i;
    float *grown = fp_grow(a->values, &a->capacity, (a->with.n + 1) * a->with.width, sizeof(float));
    if (!grown) return fp_fail_memory(err, "the answers", a->with.width * sizeof(float));
    a->values = grown;
    memcpy(grown + a->with.n++ * a->with.width, outputs[i].data, a->with.width * sizeof(float));
    return FINEPRUNE_OK;
}

static int ask_sample(struct asked *a, struct fp_exec *exec, size_t sample, fineprune_error *err) {
    const struct fp_graph *graph = a->with.model->graph;
    FP_STAGE(room, "a sample");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)graph->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)graph->n_outputs, sizeof(*outputs));
    int status = fp_arena_check(&room, err);
    if (status) return status;
    status = fp_data_batch(a->with.data, &sample, 1, inputs, err);
    if (!status) status = fp_exec_run(exec, inputs, outputs, NULL, err);
    if (!status) status = take_row(a, outputs, graph->n_outputs, err);
    for (int i = 0; i < graph->n_inputs; i++) fp_tensor_done(&inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    return status;
}

static int ask_and_look(const struct fp_preparation *p, const struct facts *f, struct fineprune_report *report,
                        fineprune_error *err) {
    struct asked a = {.with = *p};
    struct fp_exec *exec = NULL;
    if (p->scores || !p->asks) return look_at_scores(p, f, report, err);
    int status = fp_exec_new(&exec, p->model, p->options, err);
    for (size_t i = 0; i < f->seen.n && !status; i++) status = ask_sample(&a, exec, f->seen.samples[i], err);
    a.with.scores = a.values;
    if (!status) status = look_at_scores(&a.with, f, report, err);
    fp_exec_free(exec);
    free(a.values);
    return status;
}

// Noise is not prepared.
static bool is_random(const struct fineprune_data *data) {
    for (size_t i = 0; fp_data_source(data, i); i++) {
        const char *source = fp_data_source(data, i), *equals = strchr(source, '=');
        if (!strncmp(source, "random", 6) || (equals && !strncmp(equals + 1, "random", 6))) return true;
    }
    return false;
}

static int look(struct facts *f, const struct fp_preparation *p, struct fineprune_report *report,
                fineprune_error *err) {
    const size_t all = fineprune_data_samples(p->data), n = fp_least(all, LOOKS);
    size_t samples[LOOKS];
    const struct fp_sound_count before = fp_data_sounds(p->data);
    int status = FINEPRUNE_OK;
    if (n < 2 || is_random(p->data)) return FINEPRUNE_OK;
    for (size_t i = 0; i < n; i++) samples[i] = i * all / n;
    for (size_t i = 0; i < n && !status; i++) status = see_sample(f, p, samples[i], err);
    if (status) return status;
    struct fp_sound_count files = fp_data_sounds(p->data);
    files = (struct fp_sound_count){files.n - before.n, files.silent - before.silent, files.clipped - before.clipped};
    warn_of_facts(f, &files, report);
    warn_of_rate(p->data, report);
    f->seen.samples = samples;
    f->seen.n = n;
    f->seen.range = range_of(f);
    struct fp_found found = {0};
    if (n >= FEWEST && !report->warnings.n) status = fp_preparation_try(p, &f->seen, &found, err);
    if (found.cause) warn(report, found.cause, found.evidence, "%s", found.text);
    if (!status && !report->warnings.n) status = ask_and_look(p, f, report, err);
    return status;
}

// A sample, or a way of preparing it, that cannot be run is for others to tell.
int fp_preparation_look(const struct fp_preparation *p, struct fineprune_report *report, fineprune_error *err) {
    fineprune_error inner = {0};
    struct facts f = {.seen = {.input = -1}, .least = INFINITY, .most = -INFINITY};
    const int status = look(&f, p, report, &inner);
    fp_tensor_done(&f.first);
    if (!fp_is_limit(status)) return FINEPRUNE_OK;
    fp_fail(err, status, "%s", inner.message);
    if (inner.hint[0]) fp_hint(err, "%s", inner.hint);
    return status;
}
