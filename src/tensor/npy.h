// SPDX-License-Identifier: Apache-2.0
// One NumPy array in a stream of bytes: a .npy file, or an entry of a .npz.
#ifndef FP_NPY_H
#define FP_NPY_H

#include "tensor/tensor.h"

// Where the bytes come from.
struct fp_npy_source {
    // Reads up to n bytes (0 at the end); negative when reading failed, with the reason in *reason.
    int64_t (*read)(void *user, void *dst, size_t n, const char **reason);
    void *user;
    const char *name; // for messages: "file.npz: array 'x'"
    size_t size;      // bytes in all; SIZE_MAX when unknown
};

// Reads the array. Nothing is allocated that `size` does not account for. Errors: DATA, IO, LIMIT.
int fp_npy_parse(struct fp_tensor *out, const struct fp_npy_source *source, struct fp_memory *memory,
                 fineprune_error *err);

// How elements lie in the file.
struct fp_npy_layout {
    size_t word;     // bytes that byte order applies to
    bool swap;       // the other order than this machine's
    bool bools;      // any byte but 0 is true
    bool by_columns; // the first axis fastest (Fortran's order)
};
// As a tensor has them.
static inline bool fp_npy_is_plain(const struct fp_npy_layout *layout) {
    return !layout->swap && !layout->bools && !layout->by_columns;
}
// Makes whole elements what a tensor has, but for the order of the axes.
void fp_npy_settle(const struct fp_npy_layout *layout, void *data, size_t bytes);
// Turns a tensor's elements, which are in dst's order of axes reversed, around: from the first axis fastest to the
// last.
void fp_npy_turn(struct fp_tensor *dst, const void *by_columns);

// Reads the header alone: *shape gets type, dims and count, but no elements; they begin at byte *header. Errors as
// fp_npy_parse.
int fp_npy_begin(struct fp_tensor *shape, const struct fp_npy_source *source, size_t *header,
                 struct fp_npy_layout *layout, fineprune_error *err);

#define FP_NPY_HEADER 512
// Writes the header of a row-major array into dst (FP_NPY_HEADER bytes); the number of bytes, a multiple of 64. 0 when
// NumPy has no such type.
size_t fp_npy_header(char *dst, enum fp_type type, int rank, const int64_t *dims);
// The same for strings of `width` characters, which follow as four bytes each (UCS-4), filled up with zeros.
size_t fp_npy_text_header(char *dst, size_t width, int rank, const int64_t *dims);

#endif
