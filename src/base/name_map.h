// SPDX-License-Identifier: Apache-2.0
// A hash table from names to numbers. Names are lent.
#ifndef FP_NAME_MAP_H
#define FP_NAME_MAP_H

#include "base/base.h"

struct fp_name_map {
    size_t n, capacity; // capacity is a power of two
    struct fp_name_entry {
        const char *name;
        int value;
    } *entries;
};

// The number of the name, -1 when it is not there.
int fp_name_find(const struct fp_name_map *map, const char *name);
// Adds a name that is not there yet; false when out of memory.
bool fp_name_add(struct fp_name_map *map, const char *name, int value);
void fp_name_map_done(struct fp_name_map *map);

#endif
