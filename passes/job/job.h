// SPDX-License-Identifier: Apache-2.0
// The parts of a pruning job, in the order in which prune.c calls them.
#ifndef FP_JOB_H
#define FP_JOB_H

#include <stdio.h>

#include "pass.h"

// choices.c: resolves the options to choices. Errors: USAGE, naming what is not known.
int fp_choose(struct fp_choices *choices, const fineprune_prune_options *options, fineprune_error *err);
// The report's configuration names ideas whose parameters were set by the text that set them. Errors: LIMIT.
int fp_choices_note(const struct fp_choices *choices, fineprune_report *report);

// job.c: weights, layers with their dense values, the classifier; biases are added where a repair can use them.
int fp_job_open(struct fp_job *job);
void fp_job_close(struct fp_job *job);
// The elements of one layer; fp_job_open has opened all unless job->layers.by_layer. Closing can be done again.
int fp_layer_open(struct fp_job *job, struct fp_layer *layer);
void fp_layer_close(struct fp_layer *layer);
// Statistics of the model as it is now over the local samples, into job->gathered.stats: sums of all layers,
// co-activations of layer `first` and those after it, as many as fit into the memory limit. Errors: also LIMIT when one
// does not.
int fp_job_calibrate(struct fp_job *job, unsigned needs, int first);
// The same unless job->gathered.stats has layer i's already.
int fp_job_have_stats(struct fp_job *job, unsigned needs, int i);
// The model is another now: job->gathered.stats must be gathered again; and: it is not needed any more.
void fp_job_stats_are_old(struct fp_job *job);
void fp_job_drop_stats(struct fp_job *job);
// Takes statistics from elsewhere; lent ones are not freed with the job.
void fp_job_use_stats(struct fp_job *job, struct fp_stats *stats, bool lent);
// Layers of which the statistics (with sums) have not seen one input are left as they are: nothing tells what they are
// worth.
int fp_job_leave_unreached(struct fp_job *job);
// reach.c: refuses samples whose values no weight can learn from, before any work. Errors: DATA, naming them.
int fp_job_check_samples(struct fp_job *job, unsigned needs);
// Layers that fewer samples reach than there are keep more of their elements.
void fp_job_bound_layers(struct fp_job *job);
// What was pruned is finite, also as it will be stored; a row whose repair does not fit its type stays unrepaired.
// Errors: DATA, naming the weight.
int fp_layer_check_finite(struct fp_job *job, struct fp_layer *layer);
// Why a layer that was pruned is not repaired, where the repair could; NULL: it is, or no repair was asked for.
const char *fp_layer_unrepaired(const struct fp_job *job, const struct fp_layer *layer);
// Layers of which something must be said: zeros that came in, no repair and why.
void fp_job_report_layers(struct fp_job *job, double asked);
// job_target.c: a target of multiply-adds is refused where they cannot be counted. Errors: DATA. And: GATE, with what
// stands in the way of the target.
int fp_job_check_target(struct fp_job *job);
int fp_job_refuse_target(struct fp_job *job);
// The share of zeros that n samples justify.
double fp_justified_share(double n);
// Writes values and biases of all layers into the model.
int fp_job_rewrite(struct fp_job *job);
// The same of one layer; and its dense values and bias instead.
int fp_job_rewrite_layer(struct fp_job *job, struct fp_layer *layer);
int fp_layer_write_dense(struct fp_job *job, struct fp_layer *layer);

// stand_in.c: the target of a layer of which columns are cut, from the dense model's statistics (sums); also its
// values. Errors: LIMIT. And: without the channels that were cut or a target.
int fp_layer_stand_in(struct fp_job *job, struct fp_layer *layer);
void fp_layer_drop_cut(struct fp_job *job, struct fp_layer *layer);

// The dense values are others, or the job is done: drops what an idea has kept of them.
void fp_job_drop_kept(struct fp_job *job);

// reserve.c: splits the samples by their content: job->samples.local and job->samples.reserve.
int fp_job_split(struct fp_job *job);

// outputs_task.c: whether the outputs are classes, from the dense model's answers; else the classifier is none. Before
// anything is changed.
int fp_task_decide(struct fp_job *job);
void fp_task_done(struct fp_job *job);
// Undoes what outputs and read-out have done; the model is to be restored after it.
void fp_lesson_forget(struct fp_job *job, const char *reason);

// lesson_take.c: what the dense model's answers tell (job->classes.lesson), for the outputs and the read-out that were
// chosen; without a lesson the report has the reason. Errors: LIMIT.
int fp_lesson_take(struct fp_job *job);
// What the chosen outputs and read-out say of it.
struct fp_lesson_rule fp_job_lesson_rule(const struct fp_job *job);

// verify.c: the classifier's features and logits of the model as it is now over the local samples; empty for other
// models. The caller frees both arrays.
int fp_answers_gather(struct fp_job *job, struct fp_answers *out);
// Their logits once more, from the features and the last layer as it is now. Errors: LIMIT.
int fp_answers_again(struct fp_job *job, struct fp_answers *a);
// The dense model on the reserve, before anything is changed; then the pruned one. Shares of the reserve's answers that
// are as before, negative when there is nothing to compare: *agreement with the dense model that has learned the same
// lesson and lost the same classes (what the zeros have changed), *with_dense with the model that came in, over all its
// classes. report: the drift of all outputs goes into it.
int fp_verify_before(struct fp_job *job);
int fp_verify_after(struct fp_job *job, bool report, double *agreement, double *with_dense);
// An output of the dense model over the reserve, as far as it was kept: floats [*n, *width] for the caller to free,
// NULL unless it has rank 2. *unlike: its rows are not the samples.
int fp_verify_values(const struct fp_job *job, int output, float **values, size_t *n, size_t *width, bool *unlike);
// The model is another now: it is measured again.
void fp_verify_old(struct fp_job *job);
// What the last measuring found: the classifier's answers on the reserve (NULL: nothing was measured, without samples:
// it is none), and the greatest relative error of an output of numbers that are not the classifier's, sum (y -
// y_dense)^2 / sum (y_dense - mean)^2 (negative: there is none), with the output's name. Columns of a narrow output are
// quantities of their own: a fifth of the worst column's error counts, when that is more; then it is named.
#define FP_MOST_COLUMNS 64      // more are one thing together, as an embedding is
#define FP_VALUE_ROUNDING 1e-10 // of float32 values around their mean, squared
struct fp_output_error {
    double error, of_column;
    const char *output;
    int column; // -1: the output as a whole
};
const struct fp_answers *fp_verify_answers(const struct fp_job *job);
int fp_verify_error(struct fp_job *job, struct fp_output_error *worst);
void fp_verify_free(struct fp_verify *verify);

// safety.c: prunes to `sparsity`, and where that ruins the model and the method is careful, to less, or without the
// lesson; refuses (GATE) when nothing helps. prune_to restores the dense model first.
int fp_prune_safely(struct fp_job *job, int (*prune_first)(struct fp_job *, double),
                    int (*prune_to)(struct fp_job *, double), double sparsity);
int fp_safety_refuse(struct fp_job *job); // GATE, with the message

// verdict.c: on the model as it is now, into the report. Errors: those of running the model; LIMIT.
int fp_verdict_report(struct fp_job *job, double asked);

// weaken.c: the numbers of the layers, those whose output error is greatest first; malloc'ed, freed by the caller also
// after a failure. The first n of them stay dense from the next try on, the others follow the pattern.
int fp_weaken_order(struct fp_job *job, int **order);
void fp_weaken(struct fp_job *job, const int *order, int n);
// How many stay dense so; a few of their names; the share of zeros in all masks.
int fp_weakened(const struct fp_job *job);
void fp_weaken_say(const struct fp_job *job, FILE *file);
double fp_weaken_share(const struct fp_job *job);
// What the pattern has done, into the report. Errors: those of reading the weights.
int fp_weaken_report(struct fp_job *job);

// automatic.c: the most zeros, or with a target the fewest multiply-adds, that keep options->min_agreement on the
// reserve; leaves the model pruned so. *sparsity is set where that was looked for.
int fp_prune_auto(struct fp_job *job, int (*prune_to)(struct fp_job *, double sparsity), double *sparsity);

// job_report.c: the model as it was, then all that is known after the pruning, into job->report. Returns GATE when a
// promise is not kept.
int fp_job_report_before(struct fp_job *job);
int fp_job_report(struct fp_job *job, double asked);

#endif
