// SPDX-License-Identifier: Apache-2.0
// The executor: runs a graph node by node. Operators are prepared once per input shape, constants are folded, values
// are dropped after their last reader, and an observer sees what reaches the weights.
#ifndef FP_EXEC_H
#define FP_EXEC_H

#include "kernel/op.h"

struct fp_exec;

// Called after a weighted node has run, once per slot that was asked for with fp_exec_watch; x is lent. A non-zero
// result stops the run.
struct fp_observer {
    int (*see)(void *user, int tag, const struct fp_tensor *x, fineprune_error *err);
    void *user;
    bool takes_last; // the inputs of weights may lie channels-last; else all are row-major
    // Counts a call of an operator that multiplies (kernel/products.h), once it is prepared; NULL: nothing is counted.
    // count_only: the call is then left out, and its results are zeros.
    void (*count)(void *user, const struct fp_call *call);
    bool count_only;
};

// Makes an executor for the model's main graph. Errors: MODEL, naming every node whose operator is not supported, at
// once.
int fp_exec_new(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                fineprune_error *err);
// The same for looking only: unsupported operators are let through, and the graph cannot be run.
int fp_exec_plan(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                 fineprune_error *err);
void fp_exec_free(struct fp_exec *exec);
// Asks for the input of the weight at `slot` of `node` (in any graph of the model) to be shown with `tag`.
int fp_exec_watch(struct fp_exec *exec, const struct fp_node *node, int slot, int tag, fineprune_error *err);
// Asks for any named value of the main graph to be shown with `tag` when it is made.
int fp_exec_watch_value(struct fp_exec *exec, int value, int tag, fineprune_error *err);
// Runs the graph. inputs: one tensor per graph input, in order; outputs: one empty tensor per graph output, which the
// caller drops with fp_tensor_done. observer may be NULL.
int fp_exec_run(struct fp_exec *exec, const struct fp_tensor *inputs, struct fp_tensor *outputs,
                const struct fp_observer *observer, fineprune_error *err);
// The values of one run of the main graph that nodes after a certain one still read.
struct fp_exec_state {
    struct fp_live *live;
    int n;
    size_t bytes;
};
void fp_exec_state_done(struct fp_exec_state *state);
// Runs only the nodes first .. last of the main graph, from the state before `first` (NULL: from the inputs, first
// being 0), which stays as it is. Without outputs. keep (may be NULL) becomes the state before node `last`; it is empty
// on failure.
int fp_exec_part(struct fp_exec *exec, const struct fp_exec_state *from, const struct fp_tensor *inputs, int first,
                 int last, const struct fp_observer *observer, struct fp_exec_state *keep, fineprune_error *err);
// The constants of this node of the main graph, or of nodes that have not run, have changed: it is prepared anew.
void fp_exec_forget(struct fp_exec *exec, const struct fp_node *node);
// The value of a constant (initializer or folded) of the main graph; shared. MODEL when it is not constant. To who
// gives no err every failure says that the value is not known: who has asked so for all that it looks for asks
// fp_exec_unheard at its end, which fails as the first did that was for another reason (LIMIT, CANCELLED).
int fp_exec_constant(struct fp_exec *exec, const struct fp_graph *graph, int value, struct fp_tensor *out,
                     fineprune_error *err);
int fp_exec_unheard(struct fp_exec *exec, fineprune_error *err);
bool fp_exec_is_constant(const struct fp_exec *exec, const struct fp_graph *graph, int value);
struct fp_memory *fp_exec_memory(struct fp_exec *exec);
// Seconds that went into making primitives and packing weights so far, as another runtime does when it loads a model.
double fp_exec_preparing(const struct fp_exec *exec);
// Runs one operator by itself on the given tensors (opset: of the default domain); for folding chains of weights.
int fp_exec_single(struct fp_exec *exec, const struct fp_node *node, struct fp_tensor *const *inputs,
                   struct fp_tensor *outputs, fineprune_error *err);

// The graph's unsupported operators as text lines "Type (domain, opset N): node, node", NULL when all are supported or
// out of memory.
char *fp_exec_unsupported(struct fineprune_model *model);
// The first node that computes as in training and how many do, NULL when none does or out of memory; and the refusal of
// such a model for what learns from its answers. Errors: MODEL.
char *fp_exec_training(struct fineprune_model *model);
int fp_exec_refuse_training(struct fineprune_model *model, fineprune_error *err);

#endif
