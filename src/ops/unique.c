// SPDX-License-Identifier: Apache-2.0
// Unique: the distinct elements of a tensor, or its distinct slices along an axis.
#include "ops/loops.h"
#include "ops/move.h"

#include <stdlib.h>

// Item i is the slice at position i of the axis; without an axis every element is one.
struct unique {
    const struct fp_tensor *x;
    size_t outer, n, inner;
    int (*compare)(const void *, const void *);
    size_t groups;
    struct fp_arena room; // of the arrays
    size_t *order;        // items, sorted; equal ones by position
    size_t *first;        // per group: its first item
    size_t *group;        // per item: its group
    int64_t *sizes;       // per group
};

// NaN is after everything and equal to itself, so that the order is total.
#define COMPARE(name, T, load)                                                                                         \
    static int name(const void *left, const void *right) {                                                             \
        T a = load(*(const T *)left), b = load(*(const T *)right);                                                     \
        return a < b ? -1 : a > b ? 1 : a == b ? 0 : (a != a) - (b != b);                                              \
    }
COMPARE(compare_float, float, )
COMPARE(compare_double, double, )
COMPARE(compare_int8, int8_t, )
COMPARE(compare_int16, int16_t, )
COMPARE(compare_int32, int32_t, )
COMPARE(compare_int64, int64_t, )
COMPARE(compare_uint8, uint8_t, )
COMPARE(compare_uint16, uint16_t, )
COMPARE(compare_uint32, uint32_t, )
COMPARE(compare_uint64, uint64_t, )
#undef COMPARE

static int compare_half(const void *left, const void *right) {
    float a = fp_half_to_float(*(const uint16_t *)left), b = fp_half_to_float(*(const uint16_t *)right);
    return compare_float(&a, &b);
}
static int compare_bfloat(const void *left, const void *right) {
    float a = fp_bfloat_to_float(*(const uint16_t *)left), b = fp_bfloat_to_float(*(const uint16_t *)right);
    return compare_float(&a, &b);
}
static int compare_text(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static const struct {
    enum fp_type type;
    int (*compare)(const void *, const void *);
} COMPARE[] = {
    {FP_FLOAT, compare_float},     {FP_DOUBLE, compare_double}, {FP_INT8, compare_int8},   {FP_INT16, compare_int16},
    {FP_INT32, compare_int32},     {FP_INT64, compare_int64},   {FP_UINT8, compare_uint8}, {FP_UINT16, compare_uint16},
    {FP_UINT32, compare_uint32},   {FP_UINT64, compare_uint64}, {FP_BOOL, compare_uint8},  {FP_FLOAT16, compare_half},
    {FP_BFLOAT16, compare_bfloat}, {FP_STRING, compare_text},
};

static int compare_items(const struct unique *u, size_t a, size_t b) {
    size_t size = fp_type_held(u->x->type);
    const char *data = u->x->data;
    for (size_t o = 0; o < u->outer; o++)
        for (size_t i = 0; i < u->inner; i++) {
            int order = u->compare(data + ((o * u->n + a) * u->inner + i) * size,
                                   data + ((o * u->n + b) * u->inner + i) * size);
            if (order) return order;
        }
    return 0;
}

static int compare_order(const void *left, const void *right, void *user) {
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    int order = compare_items(user, a, b);
    if (order) return order;
    return (a > b) - (a < b);
}

static void find_groups(struct unique *u) {
    for (size_t i = 0; i < u->n; i++) u->order[i] = i;
    if (u->n) qsort_r(u->order, u->n, sizeof(u->order[0]), compare_order, u);
    for (size_t i = 0; i < u->n; i++) {
        if (i == 0 || compare_items(u, u->order[i - 1], u->order[i])) u->first[u->groups++] = u->order[i];
        u->group[u->order[i]] = u->groups - 1;
        u->sizes[u->groups - 1]++;
    }
}

// Puts the groups in the order of their first items. u->order is free to use by now.
static void order_by_first(struct unique *u) {
    size_t *name = u->order, next = 0; // old group -> new one
    for (size_t i = 0; i < u->n; i++)
        if (u->first[u->group[i]] == i) name[u->group[i]] = next++;
    memset(u->sizes, 0, u->groups * sizeof(u->sizes[0]));
    for (size_t i = u->n; i-- > 0;) {
        u->group[i] = name[u->group[i]];
        u->sizes[u->group[i]]++;
        u->first[u->group[i]] = i;
    }
}

static void unique_done(void *state) {
    struct unique *u = state;
    if (!u) return;
    fp_arena_free(&u->room);
    free(u);
}

static int start(struct fp_call *call, struct unique *u, int axis) {
    *u = (struct unique){.x = call->in[0], .outer = 1, .n = call->in[0]->count, .inner = 1};
    if (axis >= 0) fp_split_axis(u->x, axis, &u->outer, &u->n, &u->inner);
    for (size_t i = 0; i < FP_COUNT(COMPARE); i++)
        if (COMPARE[i].type == u->x->type) u->compare = COMPARE[i].compare;
    if (!u->compare) return fp_bad_type(call, 0);
    u->room.what = "unique elements";
    u->order = fp_arena_take(&u->room, u->n, sizeof(size_t));
    u->first = fp_arena_take(&u->room, u->n, sizeof(size_t));
    u->group = fp_arena_take(&u->room, u->n, sizeof(size_t));
    u->sizes = fp_arena_take(&u->room, u->n, sizeof(int64_t));
    return fp_arena_check(&u->room, call->err);
}

static int unique_axis(struct fp_call *call, int *axis) {
    *axis = -1;
    if (fp_attr_has(call->node, "axis")) return fp_axis_attr(call, 0, call->in[0]->rank, axis);
    return FINEPRUNE_OK;
}

static int prepare_unique(struct fp_call *call) {
    int axis = -1, status = fp_need_tensors(call, 1);
    if (!status) status = unique_axis(call, &axis);
    if (status) return status;
    unique_done(call->state);
    call->state = NULL;
    struct unique *u = fp_state(call, sizeof(*u));
    if (u) status = start(call, u, axis);
    else status = FINEPRUNE_LIMIT;
    if (status) return status;
    find_groups(u);
    if (!fp_attr_int(call->node, "sorted", 1)) order_by_first(u);
    int64_t dims[FP_MAX_RANK], groups = (int64_t)u->groups, items = (int64_t)u->n;
    memcpy(dims, u->x->dims, sizeof(dims));
    if (axis >= 0) dims[axis] = groups;
    if (axis < 0) status = fp_out(call, 0, u->x->type, 1, &groups);
    else status = fp_out(call, 0, u->x->type, u->x->rank, dims);
    if (!status) status = fp_out(call, 1, FP_INT64, 1, &groups);
    if (!status) status = fp_out(call, 2, FP_INT64, 1, &items);
    if (status) return status;
    return fp_out(call, 3, FP_INT64, 1, &groups);
}

static int run_unique(struct fp_call *call) {
    const struct unique *u = call->state;
    int status = FINEPRUNE_OK;
    for (size_t o = 0; o < u->outer; o++)
        for (size_t g = 0; g < u->groups && !status; g++)
            status = fp_put(call, u->x->type, call->out[0].data, (o * u->groups + g) * u->inner, u->x->data,
                            (o * u->n + u->first[g]) * u->inner, u->inner);
    for (size_t g = 0; g < u->groups && call->n_out > 1; g++) ((int64_t *)call->out[1].data)[g] = (int64_t)u->first[g];
    for (size_t i = 0; i < u->n && call->n_out > 2; i++) ((int64_t *)call->out[2].data)[i] = (int64_t)u->group[i];
    if (u->groups && call->n_out > 3) memcpy(call->out[3].data, u->sizes, u->groups * sizeof(u->sizes[0]));
    return status;
}

const struct fp_op fp_ops_unique[] = {
    {"", "Unique", 11, prepare_unique, run_unique, unique_done, FP_OP_ANY_KIND | FP_OP_DYNAMIC, 0, NULL,
     .arity = "r>rooo", .attributes = "axis=i sorted=i"},
    {0},
};
