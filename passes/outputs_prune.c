// SPDX-License-Identifier: Apache-2.0
// Output neurons that this user never needs go first. The class frequencies pi over the n samples (fp_class_frequencies) count n pi_k samples of class
// k; a class that was not seen twice (n pi_k below 1.5) is removed: its row becomes zeros and its bias lies below every value that a kept class took. One
// answer is more often a mistake of the model than a class of the user. Only where that is safe: the kept classes are a clear minority (a quarter or
// fewer of all), and the share of the user's future that belongs to classes not seen yet, by Good and Turing's estimate from the classes seen once (plus
// three, for the few samples), is at most a tenth. 1,000 classes before; the few of this user after. (Good 1953, "The population frequencies of species")
#include <math.h>
#include <stdlib.h>

#include "answers.h"
#include "job.h"

#define SEEN_ONCE 0.5     // samples, n pi: a class seen once in n samples has pi = 1 / n
#define SEEN_TWICE 1.5
#define MOST_OF_ALL 4     // kept classes are at most one in so many
#define MOST_UNSEEN 0.1   // share of future samples whose class has not been seen

static int keep_all(struct fp_job *job, const char *reason) {
    json_t *outputs = fp_report_object(job->report, "outputs");
    json_object_set_new(outputs, "pruned", json_integer(0));
    json_object_set_new(outputs, "reason", json_string(reason));
    return FINEPRUNE_OK;
}

static void report_kept(struct fp_job *job, size_t kept) {
    json_t *outputs = fp_report_object(job->report, "outputs"), *list = json_array();
    for (size_t k = 0; k < job->classifier.classes; k++)
        if (job->kept_classes[k]) json_array_append_new(list, json_integer((json_int_t)k));
    json_object_set_new(outputs, "kept", list);
    json_object_set_new(outputs, "pruned", json_integer((json_int_t)(job->classifier.classes - kept)));
}

// The least value a kept class took, less the spread of them all: nothing that follows can make the class win.
static double floor_of(const struct fp_answers *a, const uint8_t *kept) {
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < a->samples * a->classes; i++) {
        if (!kept[i % a->classes]) continue;
        least = fmin(least, (double)a->logits[i]);
        most = fmax(most, (double)a->logits[i]);
    }
    return least - (most - least) - 1;
}

int fp_prune_outputs(struct fp_job *job) {
    const struct fp_classifier *c = &job->classifier;
    if (!job->choices.outputs->prunes) return keep_all(job, "all outputs were asked to stay");
    if (c->weight < 0) return keep_all(job, c->reason);
    struct fp_layer *layer = &job->layers[c->weight];
    if (!layer->w->bias.proto) return keep_all(job, "the last layer has no bias that could hold a class back");
    double *pi = fp_calloc(c->classes, sizeof(*pi));
    job->kept_classes = fp_calloc(c->classes, 1);
    job->removed_rows = fp_calloc(c->classes, 1);
    if (!pi || !job->kept_classes || !job->removed_rows || fp_class_frequencies(&job->dense, pi)) {
        free(pi);
        return fp_fail_memory(job->err, "class frequencies", c->classes * sizeof(*pi));
    }
    size_t kept = 0, once = 0;
    double n = (double)job->dense.samples;
    for (size_t k = 0; k < c->classes; k++) {
        kept += job->kept_classes[k] = pi[k] * n >= SEEN_TWICE;
        once += pi[k] * n >= SEEN_ONCE && pi[k] * n < SEEN_TWICE;
    }
    free(pi);
    const char *unsafe = kept < 2                            ? "the samples show fewer than two classes"
                         : kept * MOST_OF_ALL > c->classes   ? "the samples need too many of the classes"
                         : ((double)once + 3) / n > MOST_UNSEEN ? "too few samples to tell which classes are not needed"
                                                             : NULL;
    if (unsafe) {
        free(job->kept_classes);
        job->kept_classes = NULL;
        return keep_all(job, unsafe);
    }
    double low = floor_of(&job->dense, job->kept_classes);
    for (size_t k = 0; k < c->classes; k++) job->removed_rows[k] = !job->kept_classes[k];
    layer->removed = job->removed_rows;
    job->outputs_floor = low;
    report_kept(job, kept);
    return FINEPRUNE_OK;
}
