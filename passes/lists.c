// SPDX-License-Identifier: Apache-2.0
// Everything that can be named: one line each.
#include "kernel/op.h"
#include "pass.h"
#include "exec/op_list.h"

extern const struct fp_score fp_score_magnitude, fp_score_activation, fp_score_wanda, fp_score_deviation, fp_score_ria,
    fp_score_obs;
const struct fp_score *const fp_scores[] = {
    &fp_score_obs, &fp_score_deviation, &fp_score_wanda, &fp_score_magnitude, &fp_score_activation, &fp_score_ria, NULL,
};

extern const struct fp_allocation fp_allocation_lamp, fp_allocation_uniform, fp_allocation_row, fp_allocation_global,
    fp_allocation_owl;
const struct fp_allocation *const fp_allocations[] = {
    &fp_allocation_lamp, &fp_allocation_row, &fp_allocation_uniform, &fp_allocation_global, &fp_allocation_owl, NULL,
};

extern const struct fp_pattern fp_pattern_unstructured, fp_pattern_n_of_m, fp_pattern_block, fp_pattern_channel;
const struct fp_pattern *const fp_patterns[] = {
    &fp_pattern_unstructured, &fp_pattern_n_of_m, &fp_pattern_block, &fp_pattern_channel, NULL,
};

extern const struct fp_repair fp_repair_none, fp_repair_bias, fp_repair_least_squares;
const struct fp_repair *const fp_repairs[] = {&fp_repair_least_squares, &fp_repair_bias, &fp_repair_none, NULL};

extern const struct fp_channels fp_channels_first;
static const struct fp_channels channels_none = {"none", "synapses go one by one", 0, NULL};
const struct fp_channels *const fp_channel_choices[] = {&fp_channels_first, &channels_none, NULL};

extern const struct fp_swaps fp_swaps_gradient;
static const struct fp_swaps swaps_none = {"none", "what the allocation chose stays chosen", 0, NULL};
const struct fp_swaps *const fp_swap_choices[] = {&fp_swaps_gradient, &swaps_none, NULL};

extern const struct fp_refit fp_refit_sequential;
static const struct fp_refit refit_none = {"none", "layers stay as each was repaired by itself", false, NULL};
const struct fp_refit *const fp_refits[] = {&fp_refit_sequential, &refit_none, NULL};

static const struct fp_outputs outputs_prune = {
    "prune", "classes that the data do not show are held back by their log-odds, and removed where that is safe",
    FP_NEED_ANSWERS, true};
static const struct fp_outputs outputs_keep = {"keep", "all output classes stay as they are", 0, false};
const struct fp_outputs *const fp_outputs_choices[] = {&outputs_prune, &outputs_keep, NULL};

static const struct fp_readout readout_hebbian = {"hebbian", "the last layer learns from the user's own activations",
                                                  FP_NEED_ANSWERS, true};
static const struct fp_readout readout_keep = {"keep", "the last layer is a layer like any other", 0, false};
const struct fp_readout *const fp_readouts[] = {&readout_hebbian, &readout_keep, NULL};

static const struct fp_method METHODS[] = {
    {"fine-pruning",
     "whole channels first, then obs and lamp; least squares, swaps, a refit; outputs pruned, hebbian read-out, two "
     "rounds",
     "obs", "lamp", "unstructured", "first", "least-squares", "gradient", "sequential", "prune", "hebbian", 2, 2, true,
     false, true},
    {"wanda", "Wanda: the same share in every row, no repair", "wanda", "row", "unstructured", "none", "none", "none",
     "none", "keep", "keep", 1, 1, true, false, false},
    {"magnitude", "the smallest weights of every row, no data needed", "magnitude", "row", "unstructured", "none",
     "none", "none", "none", "keep", "keep", 1, 1, true, false, false},
    {"paper", "a reconstruction of the paper from its abstract: activation in five rounds, nothing comes back",
     "activation", "uniform", "unstructured", "none", "none", "none", "none", "keep", "keep", 5, 5, false, true, false},
};
const struct fp_method *const fp_methods[] = {&METHODS[0], &METHODS[1], &METHODS[2], &METHODS[3], NULL};

// ---- lookup

#define FIND(function, type, list)                                                                                     \
    const struct type *function(const char *name) {                                                                    \
        for (size_t i = 0; list[i]; i++)                                                                               \
            if (!strcmp(list[i]->name, name)) return list[i];                                                          \
        return NULL;                                                                                                   \
    }
FIND(fp_find_score, fp_score, fp_scores)
FIND(fp_find_allocation, fp_allocation, fp_allocations)
FIND(fp_find_repair, fp_repair, fp_repairs)
FIND(fp_find_channels, fp_channels, fp_channel_choices)
FIND(fp_find_swaps, fp_swaps, fp_swap_choices)
FIND(fp_find_refit, fp_refit, fp_refits)
FIND(fp_find_outputs, fp_outputs, fp_outputs_choices)
FIND(fp_find_readout, fp_readout, fp_readouts)
FIND(fp_find_method, fp_method, fp_methods)
#undef FIND

// Patterns with sizes are found by their form: "2:4", "block:1x4".
const struct fp_pattern *fp_find_pattern(const char *name) {
    if (!strncmp(name, "block:", 6)) return &fp_pattern_block;
    if (name[0] >= '0' && name[0] <= '9' && strchr(name, ':')) return &fp_pattern_n_of_m;
    for (size_t i = 0; fp_patterns[i]; i++)
        if (!strcmp(fp_patterns[i]->name, name) && !strchr(name, ':')) return fp_patterns[i];
    return NULL;
}

bool fineprune_list(const char *kind, size_t index, const char **name, const char **summary) {
#define LIST(word, list)                                                                                               \
    if (!strcmp(kind, word)) {                                                                                         \
        for (size_t i = 0; list[i]; i++)                                                                               \
            if (i == index) return *name = list[i]->name, *summary = list[i]->summary, true;                           \
        return false;                                                                                                  \
    }
    LIST("method", fp_methods)
    LIST("score", fp_scores)
    LIST("allocation", fp_allocations)
    LIST("pattern", fp_patterns)
    LIST("repair", fp_repairs)
    LIST("channels", fp_channel_choices)
    LIST("swaps", fp_swap_choices)
    LIST("refit", fp_refits)
    LIST("outputs", fp_outputs_choices)
    LIST("readout", fp_readouts)
#undef LIST
    const struct fp_op *op = strcmp(kind, "operator") ? NULL : fp_op_at(index);
    if (!op) return false;
    *name = op->type;
    *summary = op->domain;
    return true;
}
