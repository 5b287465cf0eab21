// SPDX-License-Identifier: Apache-2.0
// Which weights have elements in common: one stored tensor can be cut into several weights, used whole and in part, or
// used twice.
#ifndef FP_WEIGHT_SHARE_H
#define FP_WEIGHT_SHARE_H

#include "base/name_map.h"
#include "weights/weights.h"

// Which weights are made of a stored tensor, by the identity of their sources; the weights of one source are a chain of
// links.
struct fp_owners {
    struct fp_name_map first; // link of each source
    size_t n_links, link_capacity;
    struct fp_owner_link {
        int weight, next; // next: -1 at the end
    } *links;
};

// False when out of memory.
bool fp_owners_add(struct fp_owners *owners, const void *identity, int weight);
// The first link of a source, -1: no weight has it.
int fp_owners_first(const struct fp_owners *owners, const void *identity);
void fp_owners_done(struct fp_owners *owners);

enum fp_overlap {
    FP_DISJOINT,
    FP_WITHIN,   // all elements of a are elements of b
    FP_CONTAINS, // all elements of b are elements of a, which has others too
    FP_CROSSES,
};
// How the stored elements of two weights lie. Errors: LIMIT.
int fp_weights_overlap(const struct fp_weight *a, const struct fp_weight *b, enum fp_overlap *overlap,
                       fineprune_error *err);
// Whether a weight has some stored element in two places.
int fp_weight_repeats(const struct fp_weight *w, bool *repeats, fineprune_error *err);
// Which part of its stored tensor a weight is, as indices: "[:, 0:64]", "[0:96:3]"; NULL without an error for a whole
// tensor. To be freed. Parts that indices cannot tell are numbered: "[part 2]".
int fp_weight_part(const struct fp_weight *w, int number, char **part, fineprune_error *err);

#endif
