// SPDX-License-Identifier: Apache-2.0
// Primitives: made, given their arguments, run. Weights are packed once where they never change.
#include "kernel/dnnl_prim.h"

#include "base/threads.h"

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

dnnl_memory_t fp_prim_arg(const struct fp_prim *p, int arg) {
    for (int i = 0; i < p->n; i++)
        if (p->args[i].arg == arg) return p->args[i].memory;
    return NULL;
}

int fp_prim_set(struct fp_call *call, struct fp_prim *p, int arg, const_dnnl_memory_desc_t desc, const void *data) {
    dnnl_memory_t memory = fp_prim_arg(p, arg);
    if (memory)
        return fp_dnnl_check(call, dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data), "set an argument");
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return fp_dnnl_failed(call);
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

int fp_prim_run(struct fp_call *call, struct fp_prim *p) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return fp_dnnl_failed(call);
    if (p->scratch) {
        void *scratch = fp_scratch(call, FP_SCRATCH_DNNL, p->scratch);
        int status = FINEPRUNE_LIMIT;
        if (scratch) status = fp_prim_set(call, p, DNNL_ARG_SCRATCHPAD, NULL, scratch);
        if (status) return status;
    }
    dnnl_status_t s = dnnl_primitive_execute(p->primitive, d->stream, p->n, p->args);
    if (s == dnnl_success) s = dnnl_stream_wait(d->stream);
    return fp_dnnl_check(call, s, "run");
}

int fp_prim_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                    const_dnnl_memory_desc_t to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    dnnl_primitive_attr_t attr = NULL;
    if (d) attr = fp_dnnl_attr(call, NULL);
    if (!attr) return fp_dnnl_failed(call);
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&desc, from, d->engine, to, d->engine, attr);
    dnnl_primitive_attr_destroy(attr);
    if (s == dnnl_success) return fp_prim_make(call, p, desc);
    return fp_dnnl_check(call, s, "reorder");
}

// ---- packed weights

static int make_reorder(struct fp_call *call, struct fp_prim *p, const_dnnl_memory_desc_t from,
                        const_dnnl_memory_desc_t to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (!d) return fp_dnnl_failed(call);
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
    if (w->reorder && !same && dnnl_memory_desc_equal(fp_desc_of(w->from), from) &&
        dnnl_memory_desc_equal(fp_desc_of(w->to), want))
        return 0;
    drop_packed(p);
    if (same) return 0;
    return make_reorder(call, p, from, want);
}

static int pack_weights(struct fp_call *call, struct fp_packed *w, const void *data, void *to) {
    struct fp_dnnl *d = fp_dnnl_of(call);
    dnnl_status_t s = dnnl_memory_set_data_handle(w->from, (void *)(uintptr_t)data);
    if (s == dnnl_success) s = dnnl_memory_set_data_handle(w->to, to);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, w->from}, {DNNL_ARG_TO, w->to}};
    if (s == dnnl_success) s = dnnl_primitive_execute(w->reorder, d->stream, 2, args);
    if (s == dnnl_success) s = dnnl_stream_wait(d->stream);
    return fp_dnnl_check(call, s, "pack weights");
}

static int pack_weights_once(struct fp_call *call, struct fp_prim *p, const void *data) {
    struct fp_packed *w = &p->packed;
    double start = fp_seconds();
    if (!w->data) w->data = fp_take(p->memory, w->size);
    if (!w->data) return fp_fail_memory(call->err, "packed weights", w->size);
    int status = pack_weights(call, w, data, w->data);
    if (status) w->source = NULL;
    else w->source = data;
    call->context->preparing += fp_seconds() - start;
    return status;
}

int fp_prim_weights(struct fp_call *call, struct fp_prim *p, const void *data, bool constant) {
    struct fp_packed *w = &p->packed;
    if (!w->reorder) return fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, data);
    if (constant) {
        int status = 0;
        if (!data || w->source != data) status = pack_weights_once(call, p, data);
        if (status) return status;
        return fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, w->data);
    }
    w->source = NULL;
    void *to = fp_scratch(call, FP_SCRATCH_WEIGHTS, w->size);
    int status = FINEPRUNE_LIMIT;
    if (to) status = pack_weights(call, w, data, to);
    if (status) return status;
    return fp_prim_set(call, p, DNNL_ARG_WEIGHTS, NULL, to);
}
