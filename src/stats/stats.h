// SPDX-License-Identifier: Apache-2.0
// What the samples tell about each weight's input: sums per column, co-activations of sampled rows, and, for a
// classifier, the last layer's input and answer sample by sample.
#ifndef FP_STATS_H
#define FP_STATS_H

#include "base/arena.h"
#include "stats/batches.h"
#include "weights/classifier.h"
#include "data/data.h"
#include "weights/weights.h"

// Of one weight; arrays are groups * cols. Sums are over all rows of all samples, in the order of the samples.
struct fp_stat {
    struct fp_arena arena; // of its arrays but kept, which grows
    size_t groups, cols;
    double rows;    // that each group's sums run over
    size_t reached; // by how many samples, when it is fewer than all: samples in a branch or a body, rows elsewhere; 0:
                    // not known (from a file)
    double *sum, *square, *absolute; // absolute: NULL unless it was needed
    // Co-activations, over rows sampled evenly from every sample: per group, the sum of x and the lower triangle of the
    // sum of x x^T (cols * cols, row-major). When there are fewer rows than columns the rows themselves are kept
    // instead (float32, sampled * cols a group) and gram is NULL.
    size_t sampled;
    double *sampled_sum, *gram;
    float *kept;
    size_t kept_capacity;
};

// Sample by sample for the classifier's last layer (classifier.h): features [samples, n_features] and logits [samples,
// classes].
struct fp_answers {
    size_t samples, n_features, classes;
    float *features, *logits;
    bool unlike; // the scores are other rows than one a sample, so there are no answers
};

struct fp_stats {
    struct fp_arena arena; // of items and names
    int n;                 // as many as weights, in their order
    struct fp_stat *items;
    char **names; // of the weights
    size_t samples;
    struct fp_answers answers;
    char model[65]; // sha256 of the model file
    char *path;     // of the file they were read from, or NULL
};

// The public handle (stats_file.c), which owns them.
struct fineprune_stats {
    struct fp_stats *stats;
};

enum { FP_NEED_SUMS = 1, FP_NEED_GRAM = 2, FP_NEED_ANSWERS = 4, FP_NEED_ABSOLUTE = 8 };

struct fp_stats_request {
    unsigned needs;
    size_t nominal_samples; // rows sampled per sample are chosen as if there were so many; 0: the number there is
    struct fp_classifier *classifier; // for answers; may be NULL
    const fineprune_run_options *options;
    const char *stage;        // for progress
    int gram_first, gram_end; // co-activations only for weights [gram_first, gram_end); gram_end 0: for all
    // Sees the graph's outputs of every batch too; may be NULL.
    int (*outputs)(void *user, const struct fp_batch *batch, const struct fp_tensor *outputs, fineprune_error *err);
    void *outputs_user;
    const size_t *batch_sizes; // as fp_batch_visitor's
    // Bytes of co-activations that are counted towards the memory limit already, fp_stat_bytes of each weight; what
    // they take beyond is added, for the caller to uncount. NULL: what they take counts until they are gathered.
    size_t *counted;
    // Instead of co-activations: sees the sampled rows of the weights [gram_first, gram_end), m rows of w->cols floats
    // a group, group g's `step` floats behind the one before, always in the same order. Other weights are not looked
    // at. The same samples give rows from the same places in every model of the same shapes. May be NULL.
    int (*rows)(void *user, int weight, const float *x, size_t m, size_t step, fineprune_error *err);
    void *rows_user;
    size_t most_rows; // sampled of each weight then; 0: as many as for co-activations
};

// Bytes that the co-activations of `samples` samples take for a weight, as far as that can be told before they are
// seen.
size_t fp_stat_bytes(const struct fp_weight *w, size_t samples);
// Runs the given samples through `exec` (made for the same weights' model and not run before) and gathers. *forward
// (may be NULL) gets the seconds spent in the graph alone. Errors: as fp_exec_run and fp_data_batch, CANCELLED.
int fp_stats_gather(struct fp_stats **out, struct fp_exec *exec, const struct fp_weights *weights,
                    struct fineprune_data *data, const size_t *samples, size_t n,
                    const struct fp_stats_request *request, double *forward, fineprune_error *err);
// The same in steps, for a run that goes layer by layer and wants rows (stream.h): new; for the weights [first, end)
// look_at, for every batch begin and see, then finish, which hands on the last rows; at the end free.
struct fp_gathering;
int fp_gathering_new(struct fp_gathering **out, struct fp_exec *exec, const struct fp_weights *weights,
                     struct fineprune_data *data, size_t n, const struct fp_stats_request *request,
                     fineprune_error *err);
void fp_gathering_look_at(struct fp_gathering *g, int first, int end);
int fp_gathering_begin(void *gathering, const struct fp_batch *batch, fineprune_error *err);
int fp_gathering_see(void *gathering, int tag, const struct fp_tensor *x, fineprune_error *err);
int fp_gathering_finish(struct fp_gathering *g, fineprune_error *err);
const struct fp_stat *fp_gathering_stat(const struct fp_gathering *g, int weight);
void fp_gathering_free(struct fp_gathering *gathering);
// Empty ones, and the lists of n weights. NULL, LIMIT without memory.
struct fp_stats *fp_stats_new(fineprune_error *err);
int fp_stats_take_lists(struct fp_stats *stats, int n, fineprune_error *err);
void fp_stats_free(struct fp_stats *stats);
// Adds `other` to `stats`. Errors: DATA when the weights differ.
int fp_stats_add(struct fp_stats *stats, const struct fp_stats *other, fineprune_error *err);

// Frees the arrays; without samples then.
void fp_answers_done(struct fp_answers *answers);
// Appends b's samples to a's.
int fp_answers_add(struct fp_answers *a, const struct fp_answers *b, fineprune_error *err);

// Mean of column c of group g.
static inline double fp_stat_mean(const struct fp_stat *s, size_t g, size_t c) {
    if (!(s->rows > 0)) return 0;
    return s->sum[g * s->cols + c] / s->rows;
}
// Standard deviation; 0 when rounding has made the variance negative.
double fp_stat_deviation(const struct fp_stat *s, size_t g, size_t c);
double fp_stat_rms(const struct fp_stat *s, size_t g, size_t c);
// The covariance of group g's columns [first, first + m) over the sampled rows into a full symmetric m * m matrix of
// doubles. False when there is no memory for it.
bool fp_stat_covariance(const struct fp_stat *s, size_t g, size_t first, size_t m, double *dst, int threads);
// The whole of it in float32 (cols * cols), of a weight that has a gram and samples.
void fp_stat_covariance_float(const struct fp_stat *s, size_t g, float *dst, int threads);

#endif
