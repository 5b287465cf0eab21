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
static const struct fp_channels channels_none = {"none", "synapses go one by one", 0, NULL, NULL};
const struct fp_channels *const fp_channel_choices[] = {&fp_channels_first, &channels_none, NULL};

extern const struct fp_swaps fp_swaps_gradient;
static const struct fp_swaps swaps_none = {"none", "what the allocation chose stays chosen", 0, NULL, NULL};
const struct fp_swaps *const fp_swap_choices[] = {&fp_swaps_gradient, &swaps_none, NULL};

extern const struct fp_refit fp_refit_sequential;
static const struct fp_refit refit_none = {"none", "layers stay as each was repaired by itself", false, NULL, NULL};
const struct fp_refit *const fp_refits[] = {&fp_refit_sequential, &refit_none, NULL};

extern const struct fp_outputs fp_outputs_prune;
static const struct fp_outputs outputs_keep = {"keep", "all output classes stay as they are", 0, NULL, NULL, NULL};
const struct fp_outputs *const fp_outputs_choices[] = {&fp_outputs_prune, &outputs_keep, NULL};

extern const struct fp_readout fp_readout_hebbian;
static const struct fp_readout readout_keep = {"keep", "the last layer is a layer like any other", 0, NULL, NULL, NULL};
const struct fp_readout *const fp_readouts[] = {&fp_readout_hebbian, &readout_keep, NULL};

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

// A row by the name that `text` is or begins with: "obs:ridge=0.1".
static bool names(const char *text, const char *name) {
    const size_t length = strcspn(text, ":");
    return strlen(name) == length && !memcmp(name, text, length);
}

#define FIND(function, type, list)                                                                                     \
    const struct type *function(const char *name) {                                                                    \
        for (size_t i = 0; list[i]; i++)                                                                               \
            if (names(name, list[i]->name)) return list[i];                                                            \
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
#undef FIND

const struct fp_method *fp_find_method(const char *name) {
    for (size_t i = 0; fp_methods[i]; i++)
        if (!strcmp(fp_methods[i]->name, name)) return fp_methods[i];
    return NULL;
}

// Patterns with sizes are found by their form: "2:4", "block:1x4".
const struct fp_pattern *fp_find_pattern(const char *name) {
    if (!strncmp(name, "block:", 6)) return &fp_pattern_block;
    if (name[0] >= '0' && name[0] <= '9' && strchr(name, ':')) return &fp_pattern_n_of_m;
    for (size_t i = 0; fp_patterns[i]; i++)
        if (!strcmp(fp_patterns[i]->name, name) && !strchr(name, ':')) return fp_patterns[i];
    return NULL;
}

bool fp_list_row(const char *kind, size_t index, struct fp_listed *row) {
#define LIST(word, list, its_parameters)                                                                               \
    if (!strcmp(kind, word)) {                                                                                         \
        for (size_t i = 0; list[i]; i++)                                                                               \
            if (i == index) return *row = (struct fp_listed){list[i]->name, list[i]->summary, its_parameters}, true;   \
        return false;                                                                                                  \
    }
    LIST("method", fp_methods, NULL)
    LIST("score", fp_scores, fp_scores[i]->parameters)
    LIST("allocation", fp_allocations, fp_allocations[i]->parameters)
    LIST("pattern", fp_patterns, NULL)
    LIST("repair", fp_repairs, fp_repairs[i]->parameters)
    LIST("channels", fp_channel_choices, fp_channel_choices[i]->parameters)
    LIST("swaps", fp_swap_choices, fp_swap_choices[i]->parameters)
    LIST("refit", fp_refits, fp_refits[i]->parameters)
    LIST("outputs", fp_outputs_choices, fp_outputs_choices[i]->parameters)
    LIST("readout", fp_readouts, fp_readouts[i]->parameters)
    LIST("runtime", fp_runtimes, NULL)
#undef LIST
    const struct fp_op *op = strcmp(kind, "operator") ? NULL : fp_op_at(index);
    if (op) *row = (struct fp_listed){op->type, op->domain, NULL};
    return op;
}

bool fineprune_list(const char *kind, size_t index, const char **name, const char **summary) {
    struct fp_listed row;
    if (!fp_list_row(kind, index, &row)) return false;
    *name = row.name;
    *summary = row.summary;
    return true;
}
