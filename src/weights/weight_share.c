// SPDX-License-Identifier: Apache-2.0
// Sets of stored elements: one bit an element, in the order of their numbers.
#include "weights/weight_share.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

// ---- who has a source

bool fp_owners_add(struct fp_owners *owners, const void *identity, int weight) {
    owners->first.addresses = true;
    struct fp_owner_link *links = fp_grow(owners->links, &owners->link_capacity, owners->n_links + 1, sizeof(*links));
    if (!links) return false;
    owners->links = links;
    links[owners->n_links] = (struct fp_owner_link){weight, fp_owners_first(owners, identity)};
    return fp_name_set(&owners->first, identity, (int)owners->n_links) && ++owners->n_links;
}

int fp_owners_first(const struct fp_owners *owners, const void *identity) {
    return fp_name_find(&owners->first, identity);
}

void fp_owners_done(struct fp_owners *owners) {
    fp_name_map_done(&owners->first);
    free(owners->links);
}

// ---- sets of elements

static size_t stored_count(const struct fp_weight *w) {
    if (!w->n_sources) return 0;
    const struct fp_source *last = &w->sources[w->n_sources - 1];
    return last->base + last->count;
}

static size_t element_at(const struct fp_weight *w, size_t i) {
    if (!w->map.count) return i;
    return (size_t)((const int64_t *)w->map.data)[i];
}

static bool has(const uint8_t *set, size_t i) { return set[i / 8] >> i % 8 & 1; }

#define PURPOSE "the elements of a weight"

// One bit for every stored element: whether the weight has it. *repeats: some in two places.
static uint8_t *set_of(struct fp_arena *arena, const struct fp_weight *w, bool *repeats) {
    uint8_t *set = fp_arena_take(arena, stored_count(w) / 8 + 1, 1);
    *repeats = false;
    for (size_t i = 0; set && i < w->count; i++) {
        size_t at = element_at(w, i);
        *repeats |= has(set, at);
        set[at / 8] |= (uint8_t)(1u << at % 8);
    }
    return set;
}

int fp_weight_repeats(const struct fp_weight *w, bool *repeats, fineprune_error *err) {
    *repeats = false;
    if (!w->map.count) return FINEPRUNE_OK;
    FP_STAGE(room, PURPOSE);
    set_of(&room, w, repeats);
    return fp_arena_check(&room, err);
}

// For an element of b: its number among a's, SIZE_MAX when it is not of a source of a.
static size_t number_in(const struct fp_weight *a, const struct fp_weight *b, size_t at, int *k) {
    while (at >= b->sources[*k].base + b->sources[*k].count) (*k)++;
    while (at < b->sources[*k].base) (*k)--;
    const struct fp_source *s = &b->sources[*k];
    for (int i = 0; i < a->n_sources; i++)
        if (a->sources[i].identity == s->identity && at - s->base < a->sources[i].count)
            return a->sources[i].base + (at - s->base);
    return SIZE_MAX;
}

int fp_weights_overlap(const struct fp_weight *a, const struct fp_weight *b, enum fp_overlap *overlap,
                       fineprune_error *err) {
    bool repeats;
    FP_STAGE(room, PURPOSE);
    uint8_t *set = set_of(&room, a, &repeats);
    if (!set) return fp_arena_check(&room, err);
    size_t common = 0;
    int k = 0;
    for (size_t i = 0; i < b->count; i++) {
        size_t at = number_in(a, b, element_at(b, i), &k);
        common += at != SIZE_MAX && has(set, at);
    }
    *overlap = FP_CROSSES;
    if (common == b->count) *overlap = FP_CONTAINS;
    if (common == a->count) *overlap = FP_WITHIN;
    if (!common) *overlap = FP_DISJOINT;
    return FINEPRUNE_OK;
}

// ---- the name of a part

struct range {
    size_t first, last, step, n; // of the indices along one axis
};

// Marks the indices along an axis that the weight has, and reads them as a range. False when they are not one.
static bool range_of(const struct fp_source *s, const uint8_t *set, size_t stride, size_t dim, struct range *out) {
    FP_STAGE(room, PURPOSE);
    uint8_t *used = fp_arena_take(&room, dim, 1);
    *out = (struct range){.first = SIZE_MAX, .step = 1};
    if (!used) return false;
    for (size_t i = 0; i < s->count; i++) used[i / stride % dim] |= has(set, i);
    bool even = true;
    for (size_t i = 0; even && i < dim; i++) {
        if (!used[i]) continue;
        if (out->n == 1) out->step = i - out->first;
        if (out->n > 1) even = i - out->last == out->step;
        if (!out->n++) out->first = i;
        out->last = i;
    }
    return even;
}

static char *add_range(char *text, const struct range *r, size_t dim) {
    char range[80] = ":";
    if (r->step != 1) snprintf(range, sizeof(range), "%zu:%zu:%zu", r->first, r->last + 1, r->step);
    else if (r->n < dim) snprintf(range, sizeof(range), "%zu:%zu", r->first, r->last + 1);
    char *longer = text ? fp_format("%s, %s", text, range) : fp_format("%s", range);
    free(text);
    return longer;
}

int fp_weight_part(const struct fp_weight *w, int number, char **part, fineprune_error *err) {
    *part = NULL;
    if (!w->map.count || w->count == stored_count(w)) return FINEPRUNE_OK;
    bool repeats, even = w->n_sources == 1;
    FP_STAGE(room, PURPOSE);
    uint8_t *set = set_of(&room, w, &repeats);
    if (!set) return fp_arena_check(&room, err);
    const struct fp_source *s = &w->sources[0];
    size_t stride = s->count, box = 1;
    char *text = NULL;
    for (int axis = 0; even && axis < s->rank; axis++) {
        struct range r;
        size_t dim = (size_t)s->dims[axis];
        stride /= dim;
        even = range_of(s, set, stride, dim, &r);
        if (!even) break;
        box *= r.n;
        even = (text = add_range(text, &r, dim)) != NULL;
    }
    *part = even && box == w->count ? fp_format("[%s]", text) : fp_format("[part %d]", number);
    free(text);
    if (!*part) return fp_fail_memory(err, "a name", 1);
    return FINEPRUNE_OK;
}
