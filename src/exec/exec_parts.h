// SPDX-License-Identifier: Apache-2.0
// What the executor is made of: an executor has a plan, a plan has cells, a frame runs a plan.
#ifndef FP_EXEC_PARTS_H
#define FP_EXEC_PARTS_H

#include "exec/exec.h"
#include "exec/fuse.h"

// What prepare saw of one input; prepare is called again when it changes.
struct fp_seen {
    bool given;
    enum fp_type type;
    int rank;
    int64_t dims[FP_MAX_RANK];
    const void *layout;
    void *copy; // of the elements, when prepare has read them
    size_t copy_size;
};

// The nodes that are done inside another's call.
struct fp_cell_tail {
    struct fp_fusion fusion;
    struct fp_seen seen[FP_TAIL_EXTRA];
};

// An input of weights that an observer wants to see.
struct fp_watch {
    struct fp_watch *next;
    int slot, tag;
};

// What one node keeps between runs.
struct fp_cell {
    const struct fp_node *node;
    const struct fp_op *op; // NULL for calls of functions
    void *state;
    bool prepared;
    bool folds;                     // its results are the same in every run
    bool computes, feeds_computing; // rounding.h
    enum fp_type cast_to;           // of a Cast; else FP_NONE
    bool identity, passed;          // passed: the last run left its input as it was
    uint64_t constant, values_read;
    struct fp_seen *seen;        // n_in
    struct fp_tensor *converted; // n_in: float32 forms of constant inputs, for FP_OP_FLOAT32
    struct fp_tensor *shapes;    // n_out: type and dims that prepare has set
    int *alias;                  // n_out
    struct fp_plan **bodies;     // of node->bodies
    struct fp_watch *watches;
    struct fp_cell_tail *tail;    // what is done inside this node's call, or NULL
    const struct fp_cell *inside; // whose call does this node, as long as that one has a tail
};

// Made once for each graph: which operator each node has, which values are constant.
struct fp_plan {
    const struct fp_graph *graph;
    struct fp_plan *parent; // of captured values
    struct fp_cell *cells;
    bool *is_constant;           // per value
    struct fp_tensor *constants; // per value, once loaded or folded
    int *watch_value;            // per value: tag + 1, or 0; NULL when none is watched
    bool fused;                  // tails have been looked for
};

// One run of a plan: its values, and how many readers each still has.
struct fp_frame {
    struct fp_exec *exec;
    struct fp_plan *plan;
    struct fp_frame *parent;
    struct fp_tensor *values;
    int *left; // readers that have not run; NULL where a constant is folded
};

struct fp_exec {
    struct fineprune_model *model;
    struct fp_memory *memory;
    struct fp_context context;
    int threads;
    struct fp_plan *plan;
    const struct fp_observer *observer;
    fineprune_error *err, unasked; // where errors of this call go: to who asked, or to the latter
    fineprune_error unheard; // the first of a constant that who asked did not want to hear of, though the value is one
};

// What it says of a node, with the model's file: for what others call. Returns the status.
int fp_exec_told(const struct fp_exec *exec, int status, fineprune_error *err);
static inline void fp_exec_tell(struct fp_exec *exec, fineprune_error *err) {
    if (!err) exec->unasked = (fineprune_error){0};
    exec->err = err ? err : &exec->unasked;
}

// The inputs as the operator wants them: row-major, and float32 where its row says so. own[i] is what must be dropped
// afterwards.
struct fp_arguments {
    struct fp_tensor **in, *own;
    struct fp_tensor *extra[FP_TAIL_EXTRA]; // of the tail, as they come
    enum fp_type narrow;                    // of the first input that was made float32
    bool wide;                              // inputs that wait to be rounded stay so, and so do the results
    size_t n;
    char room[8 * (sizeof(struct fp_tensor *) + sizeof(struct fp_tensor))];
};

#endif
