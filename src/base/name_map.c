// SPDX-License-Identifier: Apache-2.0
// A hash table from names or addresses to numbers: open addressing, at most half full.
#include "base/name_map.h"

#include <stdlib.h>
#include <string.h>

static bool same(const struct fp_name_map *map, const void *a, const void *b) {
    if (map->addresses) return a == b;
    return !strcmp(a, b);
}

static size_t slot_of(const struct fp_name_map *map, const void *name) {
    const uint64_t hash = map->addresses ? fp_hash(&name, sizeof(name), 0) : fp_hash(name, strlen(name), 0);
    size_t slot = (size_t)hash & (map->capacity - 1);
    while (map->entries[slot].name && !same(map, map->entries[slot].name, name))
        slot = (slot + 1) & (map->capacity - 1);
    return slot;
}

int fp_name_find(const struct fp_name_map *map, const void *name) {
    if (!map->capacity) return -1;
    const struct fp_name_entry *entry = &map->entries[slot_of(map, name)];
    if (entry->name) return entry->value;
    return -1;
}

static bool enlarge(struct fp_name_map *map) {
    struct fp_name_map bigger = *map;
    if (map->capacity) bigger.capacity = map->capacity * 2;
    else bigger.capacity = 64;
    bigger.entries = fp_calloc(bigger.capacity, sizeof(*bigger.entries));
    if (!bigger.entries) return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].name) bigger.entries[slot_of(&bigger, map->entries[i].name)] = map->entries[i];
    free(map->entries);
    *map = bigger;
    return true;
}

bool fp_name_add(struct fp_name_map *map, const void *name, int value) {
    if (2 * (map->n + 1) > map->capacity && !enlarge(map)) return false;
    map->entries[slot_of(map, name)] = (struct fp_name_entry){name, value};
    map->n++;
    return true;
}

bool fp_name_set(struct fp_name_map *map, const void *name, int value) {
    struct fp_name_entry *entry = NULL;
    if (map->capacity) entry = &map->entries[slot_of(map, name)];
    if (!entry || !entry->name) return fp_name_add(map, name, value);
    entry->value = value;
    return true;
}

void fp_name_map_done(struct fp_name_map *map) {
    free(map->entries);
    *map = (struct fp_name_map){0};
}
