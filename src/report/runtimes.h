// SPDX-License-Identifier: Apache-2.0
// What runtimes turn zeros into, by their own documents (docs/runtimes.md has the same table in words): a row for each.
#ifndef FP_RUNTIMES_H
#define FP_RUNTIMES_H

#include "report/report.h"
#include "weights/zeros.h"

enum fp_gain { FP_GAIN_NEITHER, FP_GAIN_SMALLER, FP_GAIN_FASTER };

// What is known of a weight.
struct fp_gain_facts {
    const struct fp_weight *w;
    struct fp_zeros zeros;
    double share;    // of its elements that are zero
    double products; // the same of all products and 1x1 convolutions of the model together
    bool product;    // it is one of them
    bool quantized;
    bool shrunk; // channels have left its shape
};

struct fp_runtime {
    const char *name, *summary;
    const char *pattern, *channels; // what it rewards, as the options name it; NULL: as the method has it
    size_t multiple;                // of the channels that stay
    bool compacts;                  // only smaller shapes make it faster
    enum fp_gain (*judge)(const struct fp_gain_facts *, const char **why); // why: static text
    const char *condition;                                                 // of all that is faster, or NULL
    const char *source;                                                    // an address
};

extern const struct fp_runtime *const fp_runtimes[];        // ends with NULL
const struct fp_runtime *fp_find_runtime(const char *name); // NULL for an unknown name

// "runtime": what becomes of every weight. set: what the profile has set, in words, or NULL. Where a pruning's report
// has "layers", those weights that are smaller than there have lost channels. Errors: LIMIT, those of reading.
int fp_runtime_report(struct fineprune_report *report, const struct fp_runtime *runtime, size_t multiple,
                      const char *set, const struct fp_weights *weights, fineprune_error *err);

#endif
