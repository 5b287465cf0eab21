// SPDX-License-Identifier: Apache-2.0
// Elements moved by their size, whatever their type; strings are duplicated. One strided copy serves Transpose, Slice,
// Expand, Concat, Split, Tile and their like.
#ifndef FP_MOVE_H
#define FP_MOVE_H

#include "kernel/op.h"

enum { FP_MOVE_RANK = 2 * FP_MAX_RANK };

// A box of elements, seen in two places. Strides are in elements; those of src may be 0 or negative.
struct fp_move {
    int rank;
    int64_t dims[FP_MOVE_RANK], dst[FP_MOVE_RANK], src[FP_MOVE_RANK];
};
// Adds an inner dim.
void fp_move_add(struct fp_move *move, int64_t dim, int64_t dst, int64_t src);
// Copies the box; dst and src point to the element at index 0 of every dim. Errors: memory, for strings only.
int fp_move_run(struct fp_call *call, const struct fp_move *move, enum fp_type type, void *dst, const void *src);

// Copies n elements that lie together: dst[at...] = src[from...]. Errors as above.
int fp_put(struct fp_call *call, enum fp_type type, void *dst, size_t at, const void *src, size_t from, size_t n);
// dst[at...] = value, n times. Errors as above.
int fp_fill(struct fp_call *call, enum fp_type type, void *dst, size_t at, const void *value, size_t n);
// dst[i] = src[at[i]] and dst[at[i]] = src[i], for elements of `size` bytes.
void fp_pick(void *dst, const void *src, const int64_t *at, size_t n, size_t size);
void fp_place(void *dst, const void *src, const int64_t *at, size_t n, size_t size);
// The zero or "" of any type, as `value` above.
const void *fp_zero(enum fp_type type);
// Out 0 becomes a copy of in 0, if it is not in the same memory already.
int fp_put_whole(struct fp_call *call);

// Out 0 has the elements of in 0 in another shape or order, `from` being the strides in which they lie now. Where that
// is row-major or channels-last (as after an NHWC graph's Transpose before a convolution), out 0 is in 0; else a new
// tensor that run fills.
int fp_out_as_it_lies(struct fp_call *call, int rank, const int64_t *dims, const int64_t *from);

// out 0 [i, j, ...] = in 0 [maps[0][i], maps[1][j], ...], of the same rank, type and layout; `value` where any map
// has -1.
int fp_map_run(struct fp_call *call, const int64_t *const *maps, const void *value);

// *dst becomes item `at` of src along its first axis; it shares the memory.
void fp_view(struct fp_tensor *dst, const struct fp_tensor *src, int64_t at);
// Makes *out (empty before) a tensor of n items of one type and shape along a new axis, in reverse order if so wanted.
int fp_stack(struct fp_call *call, struct fp_tensor *out, const struct fp_tensor *items, size_t n, int axis,
             bool reverse);

// As fp_need; also an output to write, and no sequence or absent optional among the inputs.
int fp_need_tensors(struct fp_call *call, int needed);
// Element `at` of an integer tensor, any width.
int64_t fp_int_at(const struct fp_tensor *t, size_t at);
// `index` in [-n, n) brought to [0, n); an error names it when outside.
int fp_index(struct fp_call *call, int64_t index, int64_t n, size_t *out);
// A place that counts from the end when it is negative.
static inline int64_t fp_place_of(int64_t at, int64_t n) {
    if (at < 0) return at + n;
    return at;
}
// An error unless input i is int32 or int64.
int fp_index_type(struct fp_call *call, int i);
// An error unless inputs i and j are of one type.
int fp_same_type(struct fp_call *call, int i, int j);
// The axis attribute, brought to 0..rank-1.
// Axis i of those that are given; without, all in their order.
static inline int64_t fp_axis_at(const int64_t *axes, size_t i) {
    if (!axes) return (int64_t)i;
    return axes[i];
}
int fp_axis_attr(struct fp_call *call, int64_t absent, int rank, int *axis);
// The axes of t in the order in which they lie in memory: 0, 1, ... or, channels last, 0, 2, ..., 1.
void fp_physical(const struct fp_tensor *t, int *axes);
// Product of dims[begin, end), which belong to a tensor that exists.
size_t fp_span(const int64_t *dims, int begin, int end);

#endif
