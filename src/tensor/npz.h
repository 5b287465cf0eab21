// SPDX-License-Identifier: Apache-2.0
// NumPy's files. .npy: magic, version, a Python dict as text (descr, fortran_order, shape), elements. .npz: a zip of
// them, stored or deflated, zip64 included (libzip). All numeric types of tensor.h that NumPy has; Fortran order and
// big-endian are converted on reading.
#ifndef FP_NPZ_H
#define FP_NPZ_H

#include "tensor/tensor.h"

int fp_npy_read(struct fp_tensor *out, const char *path, struct fp_memory *memory, fineprune_error *err);

struct fp_npz;
// path "-" reads standard input, whose bytes count in memory's budget (NULL: there is none) until fp_npz_free. Of a
// file only the directory is read; arrays are read by fp_npz_read.
int fp_npz_open(struct fp_npz **out, const char *path, struct fp_memory *memory, fineprune_error *err);
size_t fp_npz_count(const struct fp_npz *npz);
const char *fp_npz_name(const struct fp_npz *npz, size_t index); // without ".npy"
int fp_npz_read(struct fp_npz *npz, const char *name, struct fp_tensor *out, struct fp_memory *memory,
                fineprune_error *err);
// Type and shape alone, as the header says them: for who knows what they should be, before all of it is inflated.
int fp_npz_shape(struct fp_npz *npz, const char *name, struct fp_tensor *out, fineprune_error *err);
void fp_npz_free(struct fp_npz *npz);

// An array of `least` bytes and more that stays in the file and is read in pieces. npz may be freed before it. *shape
// gets type and dims, no elements. *out is NULL, without an error, where only fp_npz_read will do: an array without an
// axis or elements, a smaller one, one of thousands; and without `any` what cannot be read as a tensor has it, from
// wherever one likes: a compressed array, one in another order, standard input.
struct fp_npz_far;
int fp_npz_far_open(struct fp_npz_far **out, struct fp_npz *npz, const char *name, size_t least, bool any,
                    struct fp_tensor *shape, fineprune_error *err);
// The same for a .npy file.
int fp_npy_far_open(struct fp_npz_far **out, const char *path, size_t least, bool any, struct fp_tensor *shape,
                    fineprune_error *err);
// Whether it is compressed: what lies behind is reached from the start only, and in time with its distance from there.
bool fp_npz_far_packed(const struct fp_npz_far *far);
// Whether the first axis is the fastest one in the file.
bool fp_npz_far_by_columns(const struct fp_npz_far *far);
// Closes the file until it is read again, when it must be the same; standard input stays.
void fp_npz_far_rest(struct fp_npz_far *far);
// n bytes of the elements, whole ones, from byte `offset` on, in this machine's byte order. Whoever reads all of them
// once from the first to the last has the check sum compared. Not for several threads at once.
int fp_npz_far_read(struct fp_npz_far *far, size_t offset, void *dst, size_t n, fineprune_error *err);
void fp_npz_far_free(struct fp_npz_far *far); // accepts NULL

// Writing: deterministic bytes (no time stamps), through output.h.
struct fp_npz_writer;
int fp_npz_create(struct fp_npz_writer **out, const char *path, bool force, fineprune_error *err);
int fp_npz_add(struct fp_npz_writer *writer, const char *name, const struct fp_tensor *t, fineprune_error *err);
// One array from n tensors of one type, one after the other; dims is its shape.
int fp_npz_add_rows(struct fp_npz_writer *writer, const char *name, int rank, const int64_t *dims,
                    const struct fp_tensor *rows, size_t n, fineprune_error *err);
// Finishes the file and frees the writer, also on failure.
int fp_npz_finish(struct fp_npz_writer *writer, fineprune_error *err);
int fp_npz_hold(struct fp_npz_writer *writer, fineprune_group *group, fineprune_error *err); // as fp_output_hold
void fp_npz_abandon(struct fp_npz_writer *writer); // frees it and leaves no file; accepts NULL

#endif
