// SPDX-License-Identifier: Apache-2.0
// What the parts of a gathering share: which weights are looked at, and what of them waits. gathering.c runs the
// samples; gather_sums.c adds up all rows, gather_rows.c chooses some and hands them to the way that was chosen for the
// weight, gather_answers.c keeps what a classifier says.
#ifndef FP_GATHER_PARTS_H
#define FP_GATHER_PARTS_H

#include "stats/columns.h"
#include "stats/shift_gram.h"
#include "stats/stats.h"
#include "stats/tuning.h"

struct fp_gathering;

// What becomes of a weight's sampled rows; chosen once, before the first.
struct fp_gather_way {
    size_t room; // rows that are taken at once, and that wait where they do
    // Rows picked[0 .. m - 1] of one unit, no more than there is room for.
    int (*take)(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                size_t m, fineprune_error *err);
    int (*flush)(struct fp_gathering *g, int weight, fineprune_error *err); // those that wait; may be NULL
};
extern const struct fp_gather_way fp_gather_matrix; // their Gram matrix (gather_matrix.c)
extern const struct fp_gather_way fp_gather_kept;   // the rows as they are (gather_rows.c)
extern const struct fp_gather_way fp_gather_handed; // seen by whoever asked for rows (gather_rows.c)

// Of one weight.
struct fp_pending {
    const struct fp_gather_way *way; // NULL before the first row
    bool wanted, flushed;
    float *rows;                                 // that wait: groups * way->room * cols
    size_t expected;                             // rows that are counted, where they are kept as they are
    size_t n, ends[FP_TUNED_FLUSH_ROWS], n_ends; // ends: of stretches that must not be added together
    struct fp_shift_gram *whole;                 // all rows of units that lie as the first one
    size_t runs;                                 // batches that were begun when it was seen last
    size_t whole_bytes, whole_rows;              // bytes: counted, 0: nothing is in it; rows: of each unit
};

struct fp_gathering {
    struct fp_arena arena; // of pending, targets, first and same
    struct fp_stats *stats;
    const struct fp_weights *weights;
    const struct fp_stats_request *request;
    struct fp_pending *pending;
    struct fp_gather_target { // what a tag of the observer means
        int weight, use;
    } *targets;
    int n_targets, threads;
    int *first; // by weight: the first that sees the same rows (it may be itself), whose number chooses those that are
                // sampled
    int *same;  // by weight: an earlier one whose statistics are its own too; else -1
    size_t samples, total; // in this batch, over all
    size_t real;           // of this batch's, without filling
    size_t runs;           // batches that were begun
    const size_t *numbers; // of this batch's samples
    uint8_t *bad;          // which of them bring values that no statistics can hold
    size_t bad_capacity, n_bad, first_bad[3];
    double worst; // one of those values, at the weight
    int bad_weight;
    uint64_t *seeds; // of this batch's samples
    size_t seed_capacity;
    struct fineprune_data *data;
    struct fp_memory *memory;
    size_t counted; // towards it, here
    double seconds; // spent in statistics
    int from, to;   // weights that are looked at
};

// gather_write.c: towards the memory limit; weight -1: for all. Errors: LIMIT.
int fp_gathering_count(struct fp_gathering *g, int weight, size_t bytes, fineprune_error *err);
// Writes rows picked[0 .. m - 1] of one unit to `to`, and adds them to the sums of the sampled rows.
void fp_gather_write(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, const size_t *picked,
                     size_t m, float *to, size_t row_step, size_t group_step);
// Room for m more rows where they are kept as they are. Errors: LIMIT.
int fp_gather_keep(struct fp_gathering *g, int weight, size_t m, fineprune_error *err);

// gather_sums.c: the sums of all rows of the first `units` units; false when there is no memory.
bool fp_gather_sums(struct fp_gathering *g, struct fp_stat *s, const struct fp_columns *c, size_t units);
// By how many samples the target was reached, of which `rows` rows were summed.
void fp_gather_reached(struct fp_gathering *g, const struct fp_gather_target *target, size_t rows, bool by_sample);
// Marks the samples with values that no statistics can hold, if the sums tell of any. each: units of one sample, 0:
// they cannot be told apart, and all of the batch are meant. And the error that names them: DATA.
int fp_gather_bad(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t units, size_t each,
                  fineprune_error *err);
int fp_gather_fail_bad(const struct fp_gathering *g, fineprune_error *err);

// gather_rows.c: samples rows of one unit, by the content of its sample (seed).
int fp_gather_rows(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit, uint64_t seed,
                   fineprune_error *err);
int fp_gather_flush(struct fp_gathering *g, int weight, fineprune_error *err);

// gather_matrix.c: what a weight's matrix and the rows that wait for it take. False when that is no number.
bool fp_gather_matrix_bytes(const struct fp_stat *s, size_t *bytes);
int fp_gather_matrix_new(struct fp_stat *s, fineprune_error *err);
// The end of a stretch of rows that are added by themselves.
void fp_gather_end_stretch(struct fp_pending *p);

// gather_planes.c: all rows of one unit at once, where that takes less arithmetic than n of them and it lies as the
// first one; then into the matrix.
bool fp_gather_planes_take(const struct fp_pending *p, const struct fp_columns *c, size_t n);
int fp_gather_planes_add(struct fp_gathering *g, int weight, const struct fp_columns *c, size_t unit,
                         fineprune_error *err);
int fp_gather_planes_finish(struct fp_gathering *g, int weight, fineprune_error *err);

// gather_answers.c
int fp_gather_answers_init(struct fp_gathering *g, struct fp_exec *exec, size_t n, fineprune_error *err);
void fp_gather_answers_see(struct fp_gathering *g, bool features, const struct fp_tensor *x);

#endif
