// SPDX-License-Identifier: Apache-2.0
// Running one primitive many times, several at once.
#ifndef FP_DNNL_PARTS_H
#define FP_DNNL_PARTS_H

#include "kernel/dnnl_prim.h"

// Where oneDNN would sum in another order when there are other rows or threads, so that a sample's result would depend
// on what is computed beside it: the number of threads that a primitive is to be made for, however many there are. Such
// work is done in parts of one shape. 0: its order is always the same. 1: the general matrix product, whose sums go
// from thread to thread. FP_TEAM: convolutions that choose an order when they are made, but keep to it with fewer
// threads.
int fp_desc_team(const_dnnl_primitive_desc_t desc);
#define FP_TEAM 2

// What runs parts: arguments of one thread's own, which start as those of the primitive, and `room` bytes of memory.
struct fp_part_runner {
    int n;
    dnnl_exec_arg_t args[FP_PRIM_ARGS];
    char *room;
};
bool fp_part_set(struct fp_part_runner *r, int arg, const void *data);
struct fp_parts {
    size_t count, room;
    const void *user;
    bool (*before)(const void *user, size_t part, struct fp_part_runner *r); // says where the arguments lie
    void (*after)(const void *user, size_t part, struct fp_part_runner *r);  // may be NULL
};
// Runs a primitive that was made for fp_desc_team() threads once for each part: several at a time, each on one thread,
// or a single one on as many as it was made for.
int fp_prim_run_parts(struct fp_call *call, struct fp_prim *p, const struct fp_parts *parts);

#endif
