// SPDX-License-Identifier: Apache-2.0
// A hash table from names to numbers, or from addresses. Names are lent.
#ifndef FP_NAME_MAP_H
#define FP_NAME_MAP_H

#include "base/base.h"

struct fp_name_map {
    size_t n, capacity; // capacity is a power of two
    bool addresses;     // names are told apart by where they are, not by what they say; set before the first is added
    struct fp_name_entry {
        const void *name;
        int value;
    } *entries;
};

// The number of the name, -1 when it is not there.
int fp_name_find(const struct fp_name_map *map, const void *name);
// Adds a name that is not there yet; false when out of memory.
bool fp_name_add(struct fp_name_map *map, const void *name, int value);
// The same of a name that may be there, which gets the number then.
bool fp_name_set(struct fp_name_map *map, const void *name, int value);
void fp_name_map_done(struct fp_name_map *map);

#endif
