// SPDX-License-Identifier: Apache-2.0
// The one door to oneDNN. Scratch memory is shared by all primitives of an executor, as it runs one node at a time.
#include "kernel/dnnl_corner.h"

#include <omp.h>
#include <stdlib.h>

#include "base/threads.h"
#include "kernel/engine.h"

const char fp_channels_last[] = "channels last";

struct fp_dnnl *fp_dnnl_of(struct fp_call *call) {
    if (call->context->dnnl) return call->context->dnnl;
    struct fp_dnnl *d = fp_calloc(1, sizeof(*d));
    if (!d) {
        fp_fail_memory(call->err, "oneDNN", sizeof(*d));
        return NULL;
    }
    d->memory = call->memory;
    d->engine = fp_engine_take();
    dnnl_status_t s = d->engine ? dnnl_success : dnnl_runtime_error;
    if (s == dnnl_success) s = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (s != dnnl_success) {
        fp_dnnl_done(d);
        fp_dnnl_check(call, s, "start");
        return NULL;
    }
    return call->context->dnnl = d;
}

void fp_dnnl_done(void *dnnl) {
    struct fp_dnnl *d = dnnl;
    if (!d) return;
    for (size_t i = 0; i < FP_COUNT(d->scratch); i++)
        if (d->scratch[i].data) fp_release(d->memory, d->scratch[i].data, d->scratch[i].size);
    if (d->stream) dnnl_stream_destroy(d->stream);
    fp_engine_drop(d->engine);
    free(d);
}

int fp_dnnl_engine(struct fp_call *call, dnnl_engine_t *engine, dnnl_stream_t *stream) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return FINEPRUNE_INTERNAL;
    *engine = d->engine;
    *stream = d->stream;
    return 0;
}

void *fp_scratch(struct fp_call *call, int purpose, size_t size) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return NULL;
    struct fp_scratch *s = &d->scratch[purpose];
    if (s->data && s->size >= size) return s->data;
    if (s->data) fp_release(d->memory, s->data, s->size);
    s->size = size;
    s->data = fp_take(d->memory, size);
    if (!s->data) fp_fail_memory(call->err, "scratch memory", size);
    return s->data;
}

static const char *status_text(dnnl_status_t status) {
    static const char *const text[] = {
        "success",       "out of memory", "invalid arguments", "unimplemented", "last implementation reached",
        "runtime error", "not required"};
    return (size_t)status < FP_COUNT(text) ? text[status] : "unknown status";
}

int fp_dnnl_check(struct fp_call *call, dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return 0;
    fp_call_fail(call, "oneDNN cannot %s: %s", what, status_text(status));
    return status == dnnl_out_of_memory ? FINEPRUNE_LIMIT : FINEPRUNE_MODEL;
}

// ---- descriptors

// Row-major order, or N, spatial, C.
static void lay(int rank, const int64_t *dims, bool last, int64_t *strides) {
    int64_t step = 1;
    if (last) {
        strides[1] = 1;
        step = dims[1];
    }
    for (int i = rank - 1; i >= 0; i--) {
        if (last && i == 1) continue;
        strides[i] = step;
        step *= dims[i] > 0 ? dims[i] : 1;
    }
}

void fp_layout_strides(const struct fp_tensor *t, int64_t *strides) {
    lay(t->rank, t->dims, fp_is_last(t) && t->rank > 2, strides);
}

int fp_desc_dims(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides) {
    dnnl_dims_t d, s;
    int64_t plain[FP_MAX_RANK];
    if (!strides) {
        lay(rank, dims, false, plain);
        strides = plain;
    }
    for (int i = 0; i < rank; i++) {
        d[i] = dims[i];
        s[i] = strides[i];
    }
    return fp_dnnl_check(call, dnnl_memory_desc_create_with_strides(out, rank, d, dnnl_f32, s), "describe a tensor");
}

int fp_desc_tensor(struct fp_call *call, dnnl_memory_desc_t *out, const struct fp_tensor *t) {
    int64_t strides[FP_MAX_RANK];
    fp_layout_strides(t, strides);
    return fp_desc_dims(call, out, t->rank, t->dims, strides);
}

int fp_desc_any(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims) {
    dnnl_dims_t d;
    for (int i = 0; i < rank; i++) d[i] = dims[i];
    return fp_dnnl_check(call, dnnl_memory_desc_create_with_tag(out, rank, d, dnnl_f32, dnnl_format_tag_any),
                         "describe a tensor");
}

int fp_desc_last(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims) {
    int64_t strides[FP_MAX_RANK];
    lay(rank, dims, true, strides);
    return fp_desc_dims(call, out, rank, dims, strides);
}

void fp_desc_done(dnnl_memory_desc_t *desc) {
    if (*desc) dnnl_memory_desc_destroy(*desc);
    *desc = NULL;
}

dnnl_primitive_attr_t fp_dnnl_attr(struct fp_call *call, dnnl_post_ops_t ops) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(&attr);
    if (s == dnnl_success) s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_fpmath_mode(attr, dnnl_fpmath_mode_strict); // whatever the environment says
    if (s == dnnl_success && ops) s = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    if (s == dnnl_success) return attr;
    if (attr) dnnl_primitive_attr_destroy(attr);
    fp_dnnl_check(call, s, "set attributes");
    return NULL;
}

// ---- primitives

static void drop_primitive(struct fp_prim *p) {
    for (int i = 0; i < p->n; i++) dnnl_memory_destroy(p->args[i].memory);
    p->n = 0;
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->desc) dnnl_primitive_desc_destroy(p->desc);
    p->primitive = NULL;
    p->desc = NULL;
}

static void drop_packed(struct fp_prim *p) {
    struct fp_packed *w = &p->packed;
    if (w->reorder) dnnl_primitive_destroy(w->reorder);
    if (w->from) dnnl_memory_destroy(w->from);
    if (w->to) dnnl_memory_destroy(w->to);
    if (w->data) fp_release(p->memory, w->data, w->size);
    *w = (struct fp_packed){0};
}

void fp_prim_done(struct fp_prim *p) {
    drop_primitive(p);
    drop_packed(p);
}

int fp_prim_make(struct fp_call *call, struct fp_prim *p, dnnl_primitive_desc_t desc) {
    drop_primitive(p);
    p->desc = desc;
    p->memory = call->memory;
    p->scratch = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
    int status = fp_dnnl_check(call, dnnl_primitive_create(&p->primitive, desc), "make a primitive");
    if (status) p->primitive = NULL;
    if (!status && p->scratch) status = fp_prim_set(call, p, DNNL_ARG_SCRATCHPAD, NULL, NULL);
    return status;
}

static dnnl_memory_t find_arg(const struct fp_prim *p, int arg) {
    for (int i = 0; i < p->n; i++)
        if (p->args[i].arg == arg) return p->args[i].memory;
    return NULL;
}

int fp_prim_set(struct fp_call *call, struct fp_prim *p, int arg, const_dnnl_memory_desc_t desc, const void *data) {
    dnnl_memory_t memory = find_arg(p, arg);
    if (memory)
        return fp_dnnl_check(call, dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data), "set an argument");
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return FINEPRUNE_INTERNAL;
    if (!desc) desc = dnnl_primitive_desc_query_md(p->desc, dnnl_query_exec_arg_md, arg);
    dnnl_status_t s = dnnl_memory_create(&memory, desc, d->engine, (void *)(uintptr_t)data);
    if (s != dnnl_success) return fp_dnnl_check(call, s, "bind an argument");
    if (p->n == FP_PRIM_ARGS) {
        dnnl_memory_destroy(memory);
        return fp_call_fail(call, "too many arguments of a primitive");
    }
    p->args[p->n++] = (dnnl_exec_arg_t){arg, memory};
    return 0;
}

static const_dnnl_memory_desc_t desc_of(const_dnnl_memory_t memory) {
    const_dnnl_memory_desc_t desc = NULL;
    dnnl_memory_get_memory_desc(memory, &desc);
    return desc;
}

static int make_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                        const_dnnl_memory_desc_t to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return FINEPRUNE_INTERNAL;
    struct fp_packed *w = &p->packed;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t s = dnnl_memory_create(&w->from, from, d->engine, NULL);
    if (s == dnnl_success) s = dnnl_memory_create(&w->to, to, d->engine, NULL);
    if (s == dnnl_success) s = dnnl_reorder_primitive_desc_create(&desc, from, d->engine, to, d->engine, NULL);
    if (s == dnnl_success) s = dnnl_primitive_create(&w->reorder, desc);
    if (desc) dnnl_primitive_desc_destroy(desc);
    w->size = dnnl_memory_desc_get_size(to);
    return fp_dnnl_check(call, s, "pack weights");
}

int fp_prim_pack(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from) {
    const_dnnl_memory_desc_t want = dnnl_primitive_desc_query_md(p->desc, dnnl_query_weights_md, 0);
    struct fp_packed *w = &p->packed;
    bool same = dnnl_memory_desc_equal(from, want);
    if (w->reorder && !same && dnnl_memory_desc_equal(desc_of(w->from), from) &&
        dnnl_memory_desc_equal(desc_of(w->to), want))
        return 0;
    drop_packed(p);
    return same ? 0 : make_reorder(call, p, from, want);
}

static int pack(struct fp_call *call, struct fp_packed *w, const void *data, void *to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    dnnl_status_t s = dnnl_memory_set_data_handle(w->from, (void *)(uintptr_t)data);
    if (s == dnnl_success) s = dnnl_memory_set_data_handle(w->to, to);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, w->from}, {DNNL_ARG_TO, w->to}};
    if (s == dnnl_success) s = dnnl_primitive_execute(w->reorder, d->stream, 2, args);
    if (s == dnnl_success) s = dnnl_stream_wait(d->stream);
    return fp_dnnl_check(call, s, "pack weights");
}

static int pack_once(struct fp_call *call, struct fp_prim *p, const void *data) {
    struct fp_packed *w = &p->packed;
    double start = fp_seconds();
    if (!w->data) w->data = fp_take(p->memory, w->size);
    if (!w->data) return fp_fail_memory(call->err, "packed weights", w->size);
    int status = pack(call, w, data, w->data);
    w->source = status ? NULL : data;
    call->context->preparing += fp_seconds() - start;
    return status;
}

int fp_prim_weights(struct fp_call *call, struct fp_prim *p, const void *data, bool constant) {
    struct fp_packed *w = &p->packed;
    if (!w->reorder) return fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, data);
    if (constant) {
        int status = w->source == data && data ? 0 : pack_once(call, p, data);
        return status ? status : fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, w->data);
    }
    w->source = NULL;
    void *to = fp_scratch(call, FP_SCRATCH_WEIGHTS, w->size);
    int status = to ? pack(call, w, data, to) : FINEPRUNE_LIMIT;
    return status ? status : fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, to);
}

int fp_prim_run(struct fp_call *call, struct fp_prim *p) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return FINEPRUNE_INTERNAL;
    if (p->scratch) {
        void *scratch = fp_scratch(call, FP_SCRATCH_DNNL, p->scratch);
        int status = scratch ? fp_prim_set(call, p, DNNL_ARG_SCRATCHPAD, NULL, scratch) : FINEPRUNE_LIMIT;
        if (status) return status;
    }
    dnnl_status_t s = dnnl_primitive_execute(p->primitive, d->stream, p->n, p->args);
    if (s == dnnl_success) s = dnnl_stream_wait(d->stream);
    return fp_dnnl_check(call, s, "run");
}

// ---- parts

// The names are "gemm:jit:f32", "x64:gemm:jit" and the like (those of "brgemm:avx2" and its kin are not meant), and
// "brgconv:avx2", whose last bits were seen to change with the number of threads (oneDNN 3.2, a dilated 1-D
// convolution); those of "brgconv_1x1:avx2" were not.
bool fp_desc_varies(const_dnnl_primitive_desc_t desc) {
    const char *name = NULL;
    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success || !name)
        return false;
    const char *at = strstr(name, "gemm:");
    return (at && (at == name || at[-1] != 'r')) || strstr(name, "brgconv:");
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
            dnnl_memory_create(&r->args[i].memory, desc_of(p->args[i].memory), engine, data) != dnnl_success)
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

int fp_prim_run_parts(struct fp_call *call, struct fp_prim *p, const struct fp_parts *parts) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return FINEPRUNE_INTERNAL;
    size_t threads = (size_t)call->threads < parts->count ? (size_t)call->threads : parts->count, each, all;
    size_t room = (parts->room + 63) / 64 * 64;
    bool failed = !fp_add(room, (p->scratch + 63) / 64 * 64, &each) || !fp_mul(each, threads, &all);
    char *memory = failed ? NULL : fp_scratch(call, FP_SCRATCH_DNNL, all + 64);
    if (!memory) return FINEPRUNE_LIMIT;
    memory += (64 - (uintptr_t)memory % 64) % 64;
#pragma omp parallel num_threads((int)threads)
    {
        omp_set_num_threads(1); // of oneDNN's own regions
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
    return failed ? fp_call_fail(call, "oneDNN cannot run a part") : 0;
}

int fp_prim_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                    const_dnnl_memory_desc_t to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    dnnl_primitive_attr_t attr = d ? fp_dnnl_attr(call, NULL) : NULL;
    if (!attr) return FINEPRUNE_INTERNAL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&desc, from, d->engine, to, d->engine, attr);
    dnnl_primitive_attr_destroy(attr);
    return s == dnnl_success ? fp_prim_make(call, p, desc) : fp_dnnl_check(call, s, "reorder");
}

// ---- tails

bool fp_last_matters(const struct fp_tensor *t) {
    if (t->rank < 3 || t->dims[1] <= 1) return false;
    for (int i = 2; i < t->rank; i++)
        if (t->dims[i] > 1) return true;
    return false;
}

static const struct {
    dnnl_alg_kind_t algorithm;
    int defaults; // the values of a and b are ours: 1
    float a, b;
} tails[] = {
    [FP_TAIL_RELU] = {dnnl_eltwise_relu},
    [FP_TAIL_CLIP] = {dnnl_eltwise_clip},
    [FP_TAIL_SIGMOID] = {dnnl_eltwise_logistic},
    [FP_TAIL_TANH] = {dnnl_eltwise_tanh},
    [FP_TAIL_HARD_SIGMOID] = {dnnl_eltwise_hardsigmoid},
    [FP_TAIL_HARD_SWISH] = {dnnl_eltwise_hardswish, 1, 1.0f / 6, 0.5f},
    [FP_TAIL_SWISH] = {dnnl_eltwise_swish},
    [FP_TAIL_ELU] = {dnnl_eltwise_elu},
    [FP_TAIL_GELU] = {dnnl_eltwise_gelu_erf},
    [FP_TAIL_GELU_TANH] = {dnnl_eltwise_gelu_tanh},
    [FP_TAIL_LINEAR] = {dnnl_eltwise_linear},
    [FP_TAIL_ADD] = {dnnl_binary_add},
    [FP_TAIL_MUL] = {dnnl_binary_mul},
};

static bool is_binary(const struct fp_tail *t) { return t->kind == FP_TAIL_ADD || t->kind == FP_TAIL_MUL; }

// FusedConv has its operand among its own inputs, which it says by a negative number.
static const struct fp_tensor *operand_of(const struct fp_call *call, const struct fp_tail *t) {
    return t->input < 0 ? call->in[-t->input] : call->extra[t->input];
}

const struct fp_tensor *fp_tail_operand(const struct fp_call *call, const struct fp_tail *t) {
    return is_binary(t) ? operand_of(call, t) : NULL;
}

// The other operand as the primitive sees it. `full` is the result as the node has it.
static int binary_desc(struct fp_call *call, const struct fp_tail *t, const struct fp_tail_place *place,
                       dnnl_memory_desc_t *desc) {
    const struct fp_tensor *x = operand_of(call, t);
    const struct fp_tensor *full = &call->out[0];
    if (x->type != FP_FLOAT || x->rank > full->rank) return FP_NOT_FUSED;
    if (place->rows && x->rank > 1) return FP_NOT_FUSED;
    int skip = full->rank - x->rank, axis = full->rank - (place->out.rank - place->axis);
    bool whole = x->count == full->count, one_axis = true;
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] != 1 && x->dims[i] != full->dims[i + skip]) return FP_NOT_FUSED;
        one_axis = one_axis && (x->dims[i] == 1 || i + skip == axis);
    }
    struct fp_tensor seen = place->out;
    if (one_axis) {
        seen.layout = NULL;
        for (int i = 0; i < seen.rank; i++) seen.dims[i] = i == place->axis && axis >= skip ? x->dims[axis - skip] : 1;
    } else if (!whole ||
               (t->input >= 0 && x->layout != place->out.layout && (fp_last_matters(x) || fp_last_matters(full)))) {
        return FP_NOT_FUSED;
    } else {
        seen.layout = x->layout; // another order is slow, but what a node of its own asks for must be done
    }
    return fp_desc_tensor(call, desc, &seen);
}

static int append_one(struct fp_call *call, const struct fp_tail *t, const struct fp_tail_place *place,
                      dnnl_post_ops_t ops) {
    if (t->kind == FP_TAIL_NORM) return FP_NOT_FUSED;
    dnnl_alg_kind_t algorithm = tails[t->kind].algorithm;
    if (!is_binary(t)) {
        bool own = tails[t->kind].defaults;
        return fp_dnnl_check(
            call,
            dnnl_post_ops_append_eltwise(ops, algorithm, own ? tails[t->kind].a : t->a, own ? tails[t->kind].b : t->b),
            "add an activation");
    }
    dnnl_memory_desc_t desc = NULL;
    int status = binary_desc(call, t, place, &desc);
    if (!status) status = fp_dnnl_check(call, dnnl_post_ops_append_binary(ops, algorithm, desc), "add an operand");
    fp_desc_done(&desc);
    return status;
}

int fp_tail_append(struct fp_call *call, const struct fp_tail_place *place, dnnl_post_ops_t ops) {
    int status = 0;
    for (int i = 0; i < place->n && !status; i++) status = append_one(call, &place->tail[i], place, ops);
    return status;
}

int fp_tail_bind(struct fp_call *call, struct fp_prim *p, const struct fp_tail_place *place) {
    int status = 0;
    for (int i = 0; i < place->n && !status; i++) {
        if (!is_binary(&place->tail[i])) continue;
        dnnl_memory_desc_t desc = NULL;
        const struct fp_tensor *x = operand_of(call, &place->tail[i]);
        int arg = DNNL_ARG_ATTR_MULTIPLE_POST_OP(i + place->first) | DNNL_ARG_SRC_1;
        if (!find_arg(p, arg)) status = binary_desc(call, &place->tail[i], place, &desc);
        if (!status) status = fp_prim_set(call, p, arg, desc, x->data);
        fp_desc_done(&desc);
    }
    return status;
}

// ---- plain copies

// Sample by sample: [S, C] becomes [C, S].
static void transpose_sample(float *dst, const float *src, int64_t spatial, int64_t channels) {
    for (int64_t c0 = 0; c0 < channels; c0 += 16) {
        int64_t c1 = c0 + 16 < channels ? c0 + 16 : channels;
        for (int64_t s = 0; s < spatial; s++)
            for (int64_t c = c0; c < c1; c++) dst[c * spatial + s] = src[s * channels + c];
    }
}

int fp_dnnl_plain(int threads, struct fp_memory *memory, struct fp_tensor *dst, const struct fp_tensor *src,
                  fineprune_error *err) {
    if (!fp_is_last(src) || src->count == 0) return fp_tensor_copy(dst, memory, src, err);
    int status = fp_tensor_new(dst, memory, src->type, src->rank, src->dims, err);
    if (status) return status;
    int64_t n = src->dims[0], c = src->dims[1], s = (int64_t)src->count / n / c;
    const float *from = src->data;
    float *to = dst->data;
#pragma omp parallel for num_threads(threads) if (src->count > 50000)
    for (int64_t i = 0; i < n; i++) transpose_sample(to + i * c * s, from + i * c * s, s, c);
    return 0;
}

// ---- matrix products

void fp_matmul_plain(struct fp_matmul_shape *s, bool a_t, bool b_t) {
    int r = s->batch;
    int64_t size[3] = {s->m * s->k, s->k * s->n, s->m * s->n};
    s->a_strides[r] = a_t ? 1 : s->k;
    s->a_strides[r + 1] = a_t ? s->m : 1;
    s->b_strides[r] = b_t ? 1 : s->n;
    s->b_strides[r + 1] = b_t ? s->k : 1;
    s->c_strides[r] = s->n;
    s->c_strides[r + 1] = 1;
    for (int i = r - 1; i >= 0; i--) {
        s->a_strides[i] = size[0];
        s->b_strides[i] = size[1];
        s->c_strides[i] = size[2];
        size[0] *= s->a_batch[i];
        size[1] *= s->b_batch[i];
        size[2] *= s->a_batch[i] > s->b_batch[i] ? s->a_batch[i] : s->b_batch[i];
    }
}

// Strides of extents of 1 mean nothing, but oneDNN reads the layout from them.
static void tidy_strides(int rank, const int64_t *dims, int64_t *strides) {
    int r = rank - 2, c = rank - 1;
    if (dims[c] == 1 && strides[r] != 1) strides[c] = 1;
    else if (dims[r] == 1 && strides[c] != 1) strides[r] = 1;
    if (dims[r] == 1 && strides[c] == 1 && strides[r] < dims[c]) strides[r] = dims[c];
    if (dims[c] == 1 && strides[r] == 1 && strides[c] < dims[r]) strides[c] = dims[r];
    for (int i = r - 1; i >= 0; i--) {
        int64_t inner = strides[i + 1] * dims[i + 1];
        if (i == r - 1 && strides[c] * dims[c] > inner) inner = strides[c] * dims[c];
        if (dims[i] == 1) strides[i] = inner;
    }
}

static int product_descs(struct fp_call *call, struct fp_matmul_shape *s, dnnl_memory_desc_t d[5]) {
    int rank = s->batch + 2, status = 0;
    int64_t a[FP_MAX_RANK], b[FP_MAX_RANK], c[FP_MAX_RANK], bias[FP_MAX_RANK];
    for (int i = 0; i < s->batch; i++) {
        a[i] = s->a_batch[i];
        b[i] = s->b_batch[i];
        c[i] = a[i] > b[i] ? a[i] : b[i];
        bias[i] = 1;
    }
    a[rank - 2] = c[rank - 2] = s->m;
    a[rank - 1] = b[rank - 2] = s->k;
    b[rank - 1] = c[rank - 1] = bias[rank - 1] = s->n;
    bias[rank - 2] = 1;
    tidy_strides(rank, a, s->a_strides);
    tidy_strides(rank, b, s->b_strides);
    tidy_strides(rank, c, s->c_strides);
    if (s->n == 1 && s->c_strides[rank - 2] == 1)
        s->c_strides[rank - 1] = 1; // rows of one element, as a single row is: else many rows and one get other kernels
    status = fp_desc_dims(call, &d[0], rank, a, s->a_strides);
    if (!status) status = fp_desc_dims(call, &d[1], rank, b, s->b_strides);
    if (!status)
        status = s->pack_b ? fp_desc_any(call, &d[2], rank, b) : fp_desc_dims(call, &d[2], rank, b, s->b_strides);
    if (!status) status = fp_desc_dims(call, &d[3], rank, c, s->c_strides);
    if (!status && s->bias) status = fp_desc_dims(call, &d[4], rank, bias, NULL);
    return status;
}

// alpha comes first, then a bias that it does not scale, then the tail.
static int product_ops(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s,
                       const dnnl_memory_desc_t *d, dnnl_post_ops_t *ops) {
    p->bias_after = s->bias && s->alpha != 1;
    p->place = (struct fp_tail_place){.tail = p->tail,
                                      .n = s->n_tail,
                                      .axis = s->batch + 1,
                                      .first = (s->alpha != 1) + p->bias_after,
                                      .rows = p->tiled,
                                      .out = {.rank = s->batch + 2}};
    if (s->n_tail) memcpy(p->tail, s->tail, (size_t)s->n_tail * sizeof(*s->tail));
    for (int i = 0; i < s->batch; i++)
        p->place.out.dims[i] = s->a_batch[i] > s->b_batch[i] ? s->a_batch[i] : s->b_batch[i];
    p->place.out.dims[s->batch] = s->m;
    p->place.out.dims[s->batch + 1] = s->n;
    dnnl_status_t status = dnnl_post_ops_create(ops);
    if (status == dnnl_success && s->alpha != 1)
        status = dnnl_post_ops_append_eltwise(*ops, dnnl_eltwise_linear, s->alpha, 0);
    if (status == dnnl_success && p->bias_after) status = dnnl_post_ops_append_binary(*ops, dnnl_binary_add, d[4]);
    return status == dnnl_success ? fp_tail_append(call, &p->place, *ops)
                                  : fp_dnnl_check(call, status, "scale a product");
}

enum { BIAS_AFTER = DNNL_ARG_ATTR_MULTIPLE_POST_OP(1) | DNNL_ARG_SRC_1 };

static int make_product(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s, dnnl_memory_desc_t d[5]) {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int status = fp_dnnl_engine(call, &engine, &stream);
    if (!status) status = product_descs(call, s, d);
    dnnl_post_ops_t ops = NULL;
    if (!status) status = product_ops(call, p, s, d, &ops);
    dnnl_primitive_attr_t attr = fp_dnnl_attr(call, ops);
    if (!attr) return status ? status : FINEPRUNE_INTERNAL;
    if (status) {
        dnnl_primitive_attr_destroy(attr);
        return status;
    }
    dnnl_primitive_desc_t desc = NULL;
    status = fp_dnnl_check(
        call, dnnl_matmul_primitive_desc_create(&desc, engine, d[0], d[2], p->bias_after ? NULL : d[4], d[3], attr),
        "multiply matrices");
    dnnl_primitive_attr_destroy(attr);
    if (!status && !p->tiled && fp_desc_varies(desc)) {
        dnnl_primitive_desc_destroy(desc);
        p->tiled = true;
        return 0;
    }
    if (!status) status = fp_prim_make(call, &p->prim, desc);
    if (!status) status = fp_prim_pack(call, &p->prim, d[1]);
    if (!status && p->bias_after) status = fp_prim_set(call, &p->prim, BIAS_AFTER, d[4], NULL);
    return status ? status : fp_tail_bind(call, &p->prim, &p->place);
}

static int describe_product(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s) {
    dnnl_memory_desc_t d[5] = {0};
    int status = make_product(call, p, s, d);
    for (size_t i = 0; i < FP_COUNT(d); i++) fp_desc_done(&d[i]);
    return status;
}

// ---- products in tiles

// Rows of a tile. All tiles have as many, the last one's are filled up with zeros, and each is computed by one thread:
// so what is beside a row can only show in its place within the tile. With 24 rows (as with 6, 12, 16, 48 and 64, but
// not with 32) equal rows gave equal bits at every place: measured with oneDNN 3.2 and AVX2 over 157 shapes.
enum { TILE_ROWS = 24 };

static int64_t batch_dim(const struct fp_matmul_shape *s, int i) {
    return s->a_batch[i] == 1 ? s->b_batch[i] : s->a_batch[i];
}

static int make_tiled(struct fp_call *call, struct fp_matmul *p, const struct fp_matmul_shape *s) {
    struct fp_matmul_shape t = *s;
    const int r = s->batch;
    p->whole = *s;
    for (int i = 0; i < r; i++) t.pack_b = t.pack_b && s->b_batch[i] == 1;
    t.batch = 0;
    t.m = TILE_ROWS;
    t.b_strides[0] = s->b_strides[r];
    t.b_strides[1] = s->b_strides[r + 1];
    t.a_strides[0] = s->k;
    t.c_strides[0] = s->n;
    t.a_strides[1] = t.c_strides[1] = 1;
    int before = fp_threads_set(1);
    int status = describe_product(call, p, &t);
    fp_threads_set(before);
    return status;
}

struct tiles {
    const struct fp_matmul_shape *s;
    const float *a, *b;
    float *c;
    int64_t per_product; // tiles
};

struct tile {
    int64_t rows, row_step, column_step, c_row, c_column;
    const float *a, *b;
    float *c;
    bool direct_a, direct_c;
};

static struct tile tile_at(const struct tiles *t, size_t part) {
    const struct fp_matmul_shape *s = t->s;
    const int r = s->batch;
    int64_t row = (int64_t)part % t->per_product * TILE_ROWS, rest = (int64_t)part / t->per_product, left = s->m - row;
    struct tile x = {.rows = left < TILE_ROWS ? left : TILE_ROWS,
                     .row_step = s->a_strides[r],
                     .column_step = s->a_strides[r + 1],
                     .c_row = s->c_strides[r],
                     .c_column = s->c_strides[r + 1],
                     .a = t->a + row * s->a_strides[r],
                     .b = t->b,
                     .c = t->c + row * s->c_strides[r]};
    for (int i = r - 1; i >= 0; i--) {
        int64_t k = rest % batch_dim(s, i);
        rest /= batch_dim(s, i);
        x.a += s->a_batch[i] == 1 ? 0 : k * s->a_strides[i];
        x.b += s->b_batch[i] == 1 ? 0 : k * s->b_strides[i];
        x.c += k * s->c_strides[i];
    }
    bool full = x.rows == TILE_ROWS;
    x.direct_a = full && x.row_step == s->k && (x.column_step == 1 || s->k == 1);
    x.direct_c = full && x.c_row == s->n && (x.c_column == 1 || s->n == 1);
    return x;
}

static bool before_tile(const void *user, size_t part, struct fp_part_runner *r) {
    const struct tiles *t = user;
    const struct tile x = tile_at(t, part);
    const int64_t k = t->s->k;
    float *a = (float *)(void *)r->room, *c = a + TILE_ROWS * k;
    for (int64_t i = 0; i < TILE_ROWS && !x.direct_a; i++)
        for (int64_t j = 0; j < k; j++) a[i * k + j] = i < x.rows ? x.a[i * x.row_step + j * x.column_step] : 0;
    return fp_part_set(r, DNNL_ARG_SRC, x.direct_a ? x.a : a) && fp_part_set(r, DNNL_ARG_WEIGHTS, x.b) &&
           fp_part_set(r, DNNL_ARG_DST, x.direct_c ? x.c : c);
}

static void after_tile(const void *user, size_t part, struct fp_part_runner *r) {
    const struct tiles *t = user;
    const struct tile x = tile_at(t, part);
    const float *c = (const float *)(const void *)r->room + TILE_ROWS * t->s->k;
    for (int64_t i = 0; i < x.rows && !x.direct_c; i++)
        for (int64_t j = 0; j < t->s->n; j++) x.c[i * x.c_row + j * x.c_column] = c[i * t->s->n + j];
}

static int run_tiles(struct fp_call *call, struct fp_matmul *p, const float *a, float *c) {
    const struct fp_matmul_shape *s = &p->whole;
    void *b = NULL;
    dnnl_memory_get_data_handle(find_arg(&p->prim, DNNL_ARG_WEIGHTS), &b);
    struct tiles t = {s, a, b, c, (s->m + TILE_ROWS - 1) / TILE_ROWS};
    size_t columns, floats;
    struct fp_parts parts = {.count = (size_t)t.per_product, .user = &t, .before = before_tile, .after = after_tile};
    for (int i = 0; i < s->batch; i++) parts.count *= (size_t)batch_dim(s, i);
    if (!fp_add((size_t)s->k, (size_t)s->n, &columns) || !fp_mul(columns, TILE_ROWS, &floats) ||
        !fp_mul(floats, sizeof(float), &parts.room))
        return fp_fail_memory(call->err, "a tile", SIZE_MAX);
    return fp_prim_run_parts(call, &p->prim, &parts);
}

int fp_matmul_make(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s) {
    size_t count = 1;
    p->k = s->k;
    p->n = s->n;
    for (int i = 0; i < s->batch; i++) count *= (size_t)(s->a_batch[i] == 1 ? s->b_batch[i] : s->a_batch[i]);
    p->count = count * (size_t)s->m * (size_t)s->n;
    if (p->count == 0 || s->k == 0) return s->n_tail ? FP_NOT_FUSED : 0;
    p->tiled = false;
    int status = describe_product(call, p, s);
    return status || !p->tiled ? status : make_tiled(call, p, s);
}

int fp_matmul_run(struct fp_call *call, struct fp_matmul *p, const float *a, const float *b, bool b_constant,
                  const float *bias, float *c) {
    if (p->count == 0) return 0;
    if (p->k == 0) {
        for (size_t i = 0; i < p->count; i++) c[i] = bias ? bias[i % (size_t)p->n] : 0;
        return 0;
    }
    int status = fp_prim_weights(call, &p->prim, b, b_constant);
    if (!status) status = fp_prim_set(call, &p->prim, DNNL_ARG_SRC, NULL, a);
    if (!status) status = fp_prim_set(call, &p->prim, DNNL_ARG_DST, NULL, c);
    if (!status && bias) status = fp_prim_set(call, &p->prim, p->bias_after ? BIAS_AFTER : DNNL_ARG_BIAS, NULL, bias);
    if (!status) status = fp_tail_bind(call, &p->prim, &p->place);
    if (status) return status;
    return p->tiled ? run_tiles(call, p, a, c) : fp_prim_run(call, &p->prim);
}

void fp_matmul_done(struct fp_matmul *p) { fp_prim_done(&p->prim); }

static int64_t back_dim(const struct fp_operand *o, int from_end) {
    return from_end < o->rank ? o->dims[o->rank - 1 - from_end] : 1;
}

static int64_t back_stride(const struct fp_operand *o, int from_end) {
    return from_end < o->rank ? o->strides[o->rank - 1 - from_end] : 0;
}

static int result_dims(struct fp_call *call, const struct fp_operand *a, const struct fp_operand *b, int *rank,
                       int64_t *dims) {
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int e = *rank - 1; e >= 2; e--) {
        int64_t x = back_dim(a, e), y = back_dim(b, e);
        if (x != y && x != 1 && y != 1)
            return fp_call_fail(call, "batch dims %lld and %lld cannot be broadcast together", (long long)x,
                                (long long)y);
        dims[*rank - 1 - e] = x == 1 ? y : x;
    }
    dims[*rank - 2] = back_dim(a, 1);
    dims[*rank - 1] = back_dim(b, 0);
    if (back_dim(a, 0) != back_dim(b, 1))
        return fp_call_fail(call, "the inner extents %lld and %lld differ", (long long)back_dim(a, 0),
                            (long long)back_dim(b, 1));
    return 0;
}

// Whether batch dim `outer` steps on where `inner`, of that extent, ends; true for a side that is repeated along both.
static bool follows(int64_t outer_dim, int64_t outer_stride, int64_t inner_dim, int64_t inner_stride) {
    return (outer_dim == 1 && inner_dim == 1) ||
           (outer_dim > 1 && inner_dim > 1 && outer_stride == inner_stride * inner_dim);
}

// Batch dims from the innermost, joined where both sides allow.
static void join_batch(struct fp_matmul_shape *s, const struct fp_operand *a, const struct fp_operand *b, int rank) {
    int64_t da[FP_MAX_RANK], db[FP_MAX_RANK], sa[FP_MAX_RANK], sb[FP_MAX_RANK];
    int n = 0;
    for (int e = 2; e < rank; e++) {
        int64_t x = back_dim(a, e), y = back_dim(b, e), p = back_stride(a, e), q = back_stride(b, e);
        if (x == 1 && y == 1) continue;
        if (n && follows(x, p, da[n - 1], sa[n - 1]) && follows(y, q, db[n - 1], sb[n - 1])) {
            da[n - 1] *= x;
            db[n - 1] *= y;
            continue;
        }
        da[n] = x, db[n] = y, sa[n] = p, sb[n] = q;
        n++;
    }
    s->batch = n;
    for (int i = 0; i < n; i++) {
        s->a_batch[i] = da[n - 1 - i];
        s->b_batch[i] = db[n - 1 - i];
        s->a_strides[i] = sa[n - 1 - i];
        s->b_strides[i] = sb[n - 1 - i];
    }
}

int fp_matmul_fit(struct fp_call *call, struct fp_matmul_shape *s, const struct fp_operand *a,
                  const struct fp_operand *b, int *rank, int64_t *dims) {
    int status = result_dims(call, a, b, rank, dims);
    if (status) return status;
    join_batch(s, a, b, *rank);
    s->m = back_dim(a, 1);
    s->k = back_dim(a, 0);
    s->n = back_dim(b, 0);
    int64_t row = back_stride(a, 1);
    if (s->batch == 1 && s->b_batch[0] == 1 && (s->m == 1 || s->a_strides[0] == row * s->m)) { // one tall product
        row = s->m == 1 ? s->a_strides[0] : row;
        s->m *= s->a_batch[0];
        s->batch = 0;
    }
    int r = s->batch;
    s->a_strides[r] = row;
    s->a_strides[r + 1] = back_stride(a, 0);
    s->b_strides[r] = back_stride(b, 1);
    s->b_strides[r + 1] = back_stride(b, 0);
    int64_t step = s->m * s->n;
    s->c_strides[r] = s->n;
    s->c_strides[r + 1] = 1;
    for (int i = r - 1; i >= 0; i--) {
        s->c_strides[i] = step;
        step *= s->a_batch[i] == 1 ? s->b_batch[i] : s->a_batch[i];
    }
    return 0;
}
