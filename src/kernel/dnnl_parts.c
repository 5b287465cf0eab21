// SPDX-License-Identifier: Apache-2.0
// Work in parts of one shape: each runs on one thread, so that no sum depends on what is computed beside it.
#include "kernel/dnnl_parts.h"

#include <omp.h>

// The names are "gemm:jit:f32", "x64:gemm:jit" and the like (those of "brgemm:avx2" and its kin are not meant), and
// "brgconv:avx2", whose last bits were seen to change with the number of threads that it was made for (oneDNN 3.2, a
// dilated 1-D convolution); those of "brgconv_1x1:avx2" were not.
int fp_desc_team(const_dnnl_primitive_desc_t desc) {
    const char *name = NULL;
    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success || !name) return 0;
    const char *at = strstr(name, "gemm:");
    if (at && (at == name || at[-1] != 'r')) return 1;
    return strstr(name, "brgconv:") ? FP_TEAM : 0;
}

bool fp_part_set(struct fp_part_runner *r, int arg, const void *data) {
    for (int i = 0; i < r->n; i++)
        if (r->args[i].arg == arg)
            return dnnl_memory_set_data_handle(r->args[i].memory, (void *)(uintptr_t)data) == dnnl_success;
    return false;
}

static bool runner_init(struct fp_part_runner *r, const struct fp_prim *p, dnnl_engine_t engine, char *room,
                        size_t room_size) {
    *r = (struct fp_part_runner){.room = room};
    for (int i = 0; i < p->n; i++) {
        void *data = NULL;
        if (dnnl_memory_get_data_handle(p->args[i].memory, &data) != dnnl_success ||
            dnnl_memory_create(&r->args[i].memory, fp_desc_of(p->args[i].memory), engine, data) != dnnl_success)
            return false;
        r->args[i].arg = p->args[i].arg;
        r->n = i + 1;
    }
    return !p->scratch || fp_part_set(r, DNNL_ARG_SCRATCHPAD, room + room_size);
}

static void runner_done(struct fp_part_runner *r) {
    for (int i = 0; i < r->n; i++) dnnl_memory_destroy(r->args[i].memory);
}

static bool run_part(struct fp_part_runner *r, const struct fp_prim *p, dnnl_stream_t stream,
                     const struct fp_parts *parts, size_t part) {
    bool ok = parts->before(parts->user, part, r) &&
              dnnl_primitive_execute(p->primitive, stream, r->n, r->args) == dnnl_success &&
              dnnl_stream_wait(stream) == dnnl_success;
    if (ok && parts->after) parts->after(parts->user, part, r);
    return ok;
}

// A region of one thread costs more than it says: those of oneDNN would be within it, and get new threads each time.
static bool run_only_part(struct fp_call *call, const struct fp_prim *p, const struct fp_parts *parts, char *memory,
                          size_t room) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    struct fp_part_runner r;
    const int before = omp_get_max_threads();
    omp_set_num_threads(1); // of those that do not say how many
    const bool ok = runner_init(&r, p, d->engine, memory, room) && run_part(&r, p, d->stream, parts, 0);
    omp_set_num_threads(before);
    runner_done(&r);
    return ok;
}

static bool run_side_by_side(struct fp_call *call, const struct fp_prim *p, const struct fp_parts *parts, char *memory,
                             size_t room, size_t each, size_t threads) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    bool failed = false;
#pragma omp parallel num_threads((int)threads)
    {
        omp_set_num_threads(1);
        struct fp_part_runner r;
        bool ready = runner_init(&r, p, d->engine, memory + (size_t)omp_get_thread_num() * each, room);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < parts->count; i++)
            if (!ready || !run_part(&r, p, d->stream, parts, i)) {
#pragma omp atomic write
                failed = true;
            }
        runner_done(&r);
    }
    return !failed;
}

int fp_prim_run_parts(struct fp_call *call, struct fp_prim *p, const struct fp_parts *parts) {
    if (!fp_dnnl_of(call)) return fp_dnnl_failed(call);
    size_t threads = (size_t)call->threads < parts->count ? (size_t)call->threads : parts->count, each, all;
    size_t room = (parts->room + 63) / 64 * 64;
    bool ok = fp_add(room, (p->scratch + 63) / 64 * 64, &each) && fp_mul(each, threads, &all);
    char *memory = NULL;
    if (ok) memory = fp_scratch(call, FP_SCRATCH_DNNL, all + 64);
    if (!memory) return FINEPRUNE_LIMIT;
    memory += (64 - (uintptr_t)memory % 64) % 64;
    // oneDNN's own regions take the threads that the primitive was made for, unless they are within one of several, or
    // no region may have several.
    const int levels = omp_get_max_active_levels();
    if (call->threads < 2) omp_set_max_active_levels(0);
    if (parts->count == 1) ok = run_only_part(call, p, parts, memory, room);
    else ok = run_side_by_side(call, p, parts, memory, room, each, threads);
    omp_set_max_active_levels(levels);
    if (!ok) return fp_call_fail(call, "oneDNN cannot run a part");
    return 0;
}
