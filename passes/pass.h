// SPDX-License-Identifier: Apache-2.0
// What the passes share: a layer on its way through a pruning job, and the kinds of ideas that can be named. An idea is
// one file with one table row, and one line in lists.c.
#ifndef FP_PASS_H
#define FP_PASS_H

#include "base/arena.h"
#include "weights/classifier.h"
#include "weights/multiply_adds.h"
#include "maths/lesson.h"
#include "parameter.h"
#include "report/report.h"
#include "report/runtimes.h"
#include "stats/stats.h"
#include "task/task.h"
#include "weights/weights.h"

// One weight in a job. Arrays are groups x rows x cols, in the order of struct fp_weight.
struct fp_layer {
    struct fp_arena arena; // of its arrays, but for those of `cut`
    struct fp_arena cut;   // of cut_rows, cut_cols, target and target_bias
    struct fp_weight *w;
    struct fp_stat *stat; // of this round; NULL when the job needs none
    float *dense; // what pruning starts from and repairs towards: the dense model's, with the read-out's lesson in the
                  // last layer
    float *dense_bias;      // groups * rows, the part of the bias that goes with it
    float *values;          // now
    double *bias_change;    // groups * rows: now against dense
    float *score;           // higher stays longer; never NaN
    uint8_t *keep;          // 1: kept
    float *row_weight;      // groups * rows: what an error of the row counts by; NULL: all rows alike
    const uint8_t *removed; // groups * rows: output rows that are pruned whole, or NULL
    uint8_t *came; // 1: zero in the model that came, which it stays; NULL: no element is. keep is 0 there after every
                   // allocation
    size_t n_came;
    uint8_t *cut_rows, *cut_cols; // 1: the row (of groups * rows), the column (of groups * cols) is of a channel that
                                  // is pruned whole; NULL: none is
    float *target; // what its rows are to be where columns are cut: what is left stands in for them (stand_in.c); NULL:
                   // as in dense
    double *target_bias; // groups * rows: what goes into the bias with it
    double lost;         // of the rows' spread, which nothing stands in for
    double least_kept;   // share of the elements that stay at least, as few samples reach it; 0: no bound
    size_t reached;      // by so many samples, where there is a bound
    bool left_dense;     // the pattern makes no zeros in it: with them the model is ruined (weaken.c)
    size_t zeros;        // in keep
    double error_before,
        error_after; // output error relative to the output's spread, without and with repair; negative: not measured
};

struct fp_job;
struct fp_verify;

// ---- the rows. `parameters` ends with a NULL name, and is NULL where nothing can be turned; an idea asks fp_value for
// what was said.

struct fp_score {
    const char *name, *summary;
    unsigned needs;                                 // FP_NEED_...
    int (*run)(struct fp_job *, struct fp_layer *); // fills score
    const struct fp_parameter *parameters;
};

// Sets keep for all layers so that `zeros` elements over all layers are 0. Rows that are removed are 0 already and
// count. Ties go to the lower index.
struct fp_allocation {
    const char *name, *summary;
    int (*run)(struct fp_job *, double sparsity, size_t zeros);
    bool local; // what a layer loses does not depend on the others
    bool fills; // what is zero already, wherever, counts: the others lose as much less
    const struct fp_parameter *parameters;
};

struct fp_pattern {
    const char *name, *summary; // name up to ':' for patterns with sizes
    int (*merge)(struct fp_job *, struct fp_layer *,
                 const char *spec); // before the allocation: scores of elements that go together; may be NULL
    int (*snap)(struct fp_job *, struct fp_layer *,
                const char *spec); // after it: keep follows the pattern; may be NULL
    bool decides;                  // how many zeros there are, whatever was asked
    // For each element of a group (rows x cols) which others it may change places with: those of its own number, below
    // rows x cols. NULL: with none.
    int (*cells)(struct fp_job *, const struct fp_layer *, const char *spec, uint32_t *cell);
    // Why it makes no zeros in a layer, static text; NULL: it does. May be NULL.
    const char *(*leaves)(struct fp_job *, const struct fp_layer *, const char *spec);
};

struct fp_repair {
    const char *name, *summary;
    unsigned needs;
    int (*run)(struct fp_job *, struct fp_layer *); // from the target and keep: fills values and bias_change
    const struct fp_parameter *parameters;          // "ridge" is the one of all systems with the repair's targets
};

// Which whole channels go before scattered synapses do. run: as many as `sparsity` of all elements is worth; sets
// layers' cut.
struct fp_channels {
    const char *name, *summary;
    unsigned needs;
    int (*run)(struct fp_job *, double sparsity); // NULL: nothing
    const struct fp_parameter *parameters;
};

// Exchanges kept and pruned elements of a layer after its repair; keep has as many as before.
struct fp_swaps {
    const char *name, *summary;
    unsigned needs;
    int (*run)(struct fp_job *, struct fp_layer *); // NULL: nothing
    const struct fp_parameter *parameters;
};

// A pass over all layers after the last round.
struct fp_refit {
    const char *name, *summary;
    bool needs_data;
    int (*run)(struct fp_job *); // NULL: nothing
    const struct fp_parameter *parameters;
};

// What becomes of classes that this user does not have (job->classes.lesson). hold: into the last layer's bias and
// `removed`, and the report; NULL: all stay. weigh: the last layer's scores count as the classes do.
struct fp_outputs {
    const char *name, *summary;
    unsigned needs;
    int (*hold)(struct fp_job *);
    void (*weigh)(const struct fp_job *, struct fp_layer *);
    const struct fp_parameter *parameters;
};

// What the last layer learns. teach: the lesson into the dense layer, and the teacher; NULL: nothing. learn: the layer
// from the pruned model's features, where there is a teacher.
struct fp_readout {
    const char *name, *summary;
    unsigned needs;
    int (*teach)(struct fp_job *);
    int (*learn)(struct fp_job *, const struct fp_answers *now);
    const struct fp_parameter *parameters;
};

// A named set of choices.
struct fp_method {
    const char *name, *summary;
    const char *score, *allocation, *pattern, *channels, *repair, *swaps, *refit, *outputs, *readout;
    int rounds, more_rounds; // the latter above 75 % zeros and for a sparsity that is to be found
    bool regrow;             // a pruned synapse may come back in a later round
    bool cubic;              // sparsity of the rounds by the cubic schedule, else by shares
    bool cautious;           // few samples justify less sparsity than asked
};

// What was chosen, by name; every pointer but the target's text is set.
struct fp_choices {
    const struct fp_method *method;
    const struct fp_score *score;
    const struct fp_allocation *allocation;
    const struct fp_pattern *pattern;
    const char *pattern_text; // "2:4"
    const struct fp_repair *repair;
    const struct fp_channels *channels;
    const struct fp_swaps *swaps;
    const struct fp_refit *refit;
    const struct fp_outputs *outputs;
    const struct fp_readout *readout;
    struct fp_chosen chosen[FP_KINDS]; // how they were named, and with which values
    int rounds;
    struct fp_target target;
    const struct fp_runtime *runtime; // NULL: anywhere
    char runtime_set[80];             // what it has set, in words
};

// The head of what an idea keeps between tries.
struct fp_kept {
    void (*drop)(struct fp_kept *kept);
};

// The weights of the model and what becomes of them.
struct fp_layers {
    struct fp_weights *weights;
    struct fp_layer *items; // as many as weights
    int n;
    size_t total;   // elements of all
    bool by_layer;  // they are pruned one after the other, and have their elements only then
    size_t counted; // bytes that the model's memory limit knows of
};

// Numbers of the samples that decide, and of those that measure.
struct fp_samples {
    size_t *local, *reserve;
    size_t n_local, n_reserve;
    size_t distinct; // of all these; 0: not known
};

// Statistics of the current round.
struct fp_gathered {
    struct fp_stats *stats; // owned unless lent
    bool lent, dense;       // dense: of the dense model, good for the first round
    int first, end;         // the layers whose co-activations it has: all, unless memory is limited
    bool in_groups;         // it never has all at once
    size_t counted;         // bytes that the model's memory limit knows of
};

// Whether the outputs are classes, and what the dense model's answers teach.
struct fp_classes {
    struct fp_classifier classifier;
    struct fp_task task; // what the outputs are (outputs_task.c), by output `output` (-1: by none)
    int output;
    uint8_t *answers_of;                    // per graph output: its rows are answers; NULL: not judged yet
    struct fp_answers dense, dense_reserve; // the dense model's answers on the local samples with the reserve behind
                                            // them, and on the reserve
    struct fp_answers fitted;               // the pruned model's on the local samples, whose features the last layer
                                            // was fitted on: logits alone; empty: it was not
    struct fp_lesson lesson;                // without arrays: nothing is to be learned or held back
    double *teacher;                        // samples of `dense` x classes, NULL: no read-out
    uint8_t *kept;                          // per class; NULL: all
    double floor;                           // the bias of removed classes
    uint8_t *removed_rows;                  // of the classifier's layer; what its `removed` points to
    float *untaught, *untaught_bias;        // the classifier's layer as it came in, should the lesson be forgotten
    const char *forgotten;                  // why it was taken back, or NULL
};

// Where a job is, and what it took.
struct fp_state {
    bool last_round;          // the one whose values stay
    struct fp_kept *kept;     // what an idea keeps between tries, as long as the dense values hold; NULL: nothing
    struct fp_verify *verify; // verify.c
    double asked;             // the sparsity that is wanted; what was found, where it was to be found
    double got;               // the sparsity that was pruned to, where it is less than was asked; negative: it is not
    bool few;                 // samples: they do not justify as many zeros as are asked
    bool gave_back, refused;  // zeros were given back as more ruin the model; nothing that was tried is safe (safety.c)
    char *missed_target;      // what stays and what stands in the way of a target; NULL: it is met
    double forward, statistics, solve; // seconds
    struct fp_macs macs;               // of the model that came; total 0: they could not be counted
    char macs_reason[200];             // why
};

struct fp_job {
    struct fineprune_model *model;
    struct fineprune_data *data; // NULL when pruning from statistics
    const fineprune_prune_options *options;
    struct fineprune_report *report;
    fineprune_error *err;
    struct fp_choices choices;
    int threads;
    struct fp_layers layers;
    struct fp_samples samples;
    struct fp_gathered gathered;
    struct fp_classes classes;
    struct fp_state state;
};

static inline bool fp_has_pattern(const struct fp_choices *c) { return c->pattern->merge || c->pattern->snap; }

// NULL-terminated lists (lists.c); find returns NULL for an unknown name, and passes over parameters behind it.
extern const struct fp_score *const fp_scores[];
extern const struct fp_allocation *const fp_allocations[];
extern const struct fp_pattern *const fp_patterns[];
extern const struct fp_repair *const fp_repairs[];
extern const struct fp_channels *const fp_channel_choices[];
extern const struct fp_swaps *const fp_swap_choices[];
extern const struct fp_refit *const fp_refits[];
extern const struct fp_outputs *const fp_outputs_choices[];
extern const struct fp_readout *const fp_readouts[];
extern const struct fp_method *const fp_methods[];
const struct fp_score *fp_find_score(const char *name);
const struct fp_allocation *fp_find_allocation(const char *name);
const struct fp_pattern *fp_find_pattern(const char *name);
const struct fp_repair *fp_find_repair(const char *name);
const struct fp_channels *fp_find_channels(const char *name);
const struct fp_swaps *fp_find_swaps(const char *name);
const struct fp_refit *fp_find_refit(const char *name);
const struct fp_outputs *fp_find_outputs(const char *name);
const struct fp_readout *fp_find_readout(const char *name);
const struct fp_method *fp_find_method(const char *name);

// The values of these parameters in their order, where the idea that has them was chosen; else NULL.
static inline const double *fp_values(const struct fp_job *job, const struct fp_parameter *parameters) {
    for (int kind = 0; kind < FP_KINDS; kind++)
        if (job->choices.chosen[kind].parameters == parameters) return job->choices.chosen[kind].values;
    return NULL;
}
// One of them; its default where the idea was not chosen.
static inline double fp_value(const struct fp_job *job, const struct fp_parameter *parameters, int which) {
    const double *values = fp_values(job, parameters);
    if (!values) return parameters[which].initial;
    return values[which];
}
// What the rows are to be.
static inline const float *fp_layer_target(const struct fp_layer *l) { return l->target ? l->target : l->dense; }
// What a repair starts from: the target where an element is kept, zeros elsewhere.
static inline void fp_layer_start_repair(struct fp_layer *l) {
    for (size_t i = 0; i < l->w->count; i++) l->values[i] = l->keep[i] ? fp_layer_target(l)[i] : 0;
}
// What an element is worth scoring as: its value where it is kept, the one it should have where it could come back.
static inline float fp_layer_base(const struct fp_layer *l, size_t at) {
    return l->keep[at] ? l->values[at] : fp_layer_target(l)[at];
}
static inline size_t fp_layer_rows(const struct fp_layer *l) { return l->w->groups * l->w->rows; }
// What an error of the row counts by; its square counts by the square.
static inline float fp_row_weight(const struct fp_layer *l, size_t row) {
    return l->row_weight ? l->row_weight[row] : 1;
}
static inline bool fp_row_removed(const struct fp_layer *l, size_t row) { return l->removed && l->removed[row]; }
// Whether the element was zero in the model that came: whatever learns or repairs must not give it a value.
static inline bool fp_came_zero(const struct fp_layer *l, size_t at) { return l->came && l->came[at]; }
// Whether the element is of a channel that is pruned whole: keep is 0 there after every allocation.
static inline bool fp_row_cut(const struct fp_layer *l, size_t row) { return l->cut_rows && l->cut_rows[row]; }
// Whether nothing of the row is left: neither its values nor its error count.
static inline bool fp_row_gone(const struct fp_layer *l, size_t row) {
    return fp_row_removed(l, row) || fp_row_cut(l, row);
}
static inline bool fp_cut(const struct fp_layer *l, size_t row, size_t c) {
    return fp_row_cut(l, row) || (l->cut_cols && l->cut_cols[row / l->w->rows * l->w->cols + c]);
}
// Whether the statistics have seen column c of the row's group, and it was always zero.
static inline bool fp_column_dead(const struct fp_layer *l, size_t row, size_t c) {
    return l->stat && l->stat->rows > 0 && l->stat->square[row / l->w->rows * l->w->cols + c] == 0;
}

#endif
