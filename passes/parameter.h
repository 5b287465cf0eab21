// SPDX-License-Identifier: Apache-2.0
// The numbers of an idea that can be turned. They stand on the idea's row with their defaults and ranges, and are set
// in the text that names the idea, as in "obs:ridge=0.1".
#ifndef FP_PARAMETER_H
#define FP_PARAMETER_H

#include "base/base.h"

enum { FP_MOST_PARAMETERS = 16 }; // of one idea

// A row has an array of them, which ends with a NULL name.
struct fp_parameter {
    const char *name; // of a-z and -
    double initial, lowest, highest;
    const char *why; // one line
    bool whole;      // whole numbers only
};

// The kinds of ideas that can have parameters.
enum fp_kind {
    FP_KIND_SCORE,
    FP_KIND_ALLOCATION,
    FP_KIND_REPAIR,
    FP_KIND_CHANNELS,
    FP_KIND_SWAPS,
    FP_KIND_REFIT,
    FP_KIND_OUTPUTS,
    FP_KIND_READOUT,
    FP_KINDS
};

// What was said of one kind.
struct fp_chosen {
    const char *text;                      // "obs:ridge=0.1", the caller's
    const struct fp_parameter *parameters; // of the row; NULL: it has none
    double values[FP_MOST_PARAMETERS];     // in their order
};

// A line of a list (lists.c), false past its end or for an unknown kind.
struct fp_listed {
    const char *name, *summary;
    const struct fp_parameter *parameters;
};
bool fp_list_row(const char *kind, size_t index, struct fp_listed *row);

// What the model may cost once whole channels have left its shapes.
enum fp_target_kind { FP_TARGET_NONE, FP_TARGET_MACS, FP_TARGET_SIZE, FP_TARGET_LATENCY };
struct fp_target {
    enum fp_target_kind kind;
    double value;     // a share of the multiply-adds, or of the time, that the model came with; bytes of the file
    const char *text; // the caller's
    bool automatic;   // the value is looked for: the least whose answers stay (automatic.c)
    size_t multiple;  // of the channels that a group keeps
};

// target.c: "macs=0.5", "macs=50%", "size=10M", "latency=0.6", "auto"; NULL: none. The multiple is not set. Errors:
// USAGE.
int fp_target_read(struct fp_target *target, const char *text, fineprune_error *err);

// parameter.c: the word of a kind, as in fineprune_list.
const char *fp_kind_word(enum fp_kind kind);
// Reads a text of that kind. Errors: USAGE, naming what is not known, is no number or out of range.
int fp_chosen_read(struct fp_chosen *chosen, enum fp_kind kind, const char *text, fineprune_error *err);
int fp_choice_unknown(const char *kind, const char *text, fineprune_error *err); // USAGE, with the message

#endif
