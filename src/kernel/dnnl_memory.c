// SPDX-License-Identifier: Apache-2.0
// oneDNN for one executor. Scratch memory is shared by all its primitives, as it runs one node at a time.
#include "kernel/dnnl_memory.h"

#include <stdlib.h>

#include "kernel/channels_last.h"
#include "kernel/engine.h"

struct fp_dnnl *fp_dnnl_of(struct fp_call *call) {
    if (call->context->dnnl) return call->context->dnnl;
    struct fp_dnnl *d = fp_calloc(1, sizeof(*d));
    if (!d) {
        fp_fail_memory(call->err, "oneDNN", sizeof(*d));
        return NULL;
    }
    d->memory = call->memory;
    d->engine = fp_engine_take();
    dnnl_status_t s = dnnl_runtime_error;
    if (d->engine) s = dnnl_success;
    if (s == dnnl_success) s = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (s != dnnl_success) {
        fp_dnnl_done(d);
        fp_dnnl_check(call, s, "start");
        return NULL;
    }
    return call->context->dnnl = d;
}

int fp_dnnl_failed(const struct fp_call *call) {
    if (call->err && call->err->status) return call->err->status;
    return FINEPRUNE_INTERNAL;
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
    if (!d) return fp_dnnl_failed(call);
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
    if ((size_t)status < FP_COUNT(text)) return text[status];
    return "unknown status";
}

int fp_dnnl_check(struct fp_call *call, dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return 0;
    fp_call_fail(call, "oneDNN cannot %s: %s", what, status_text(status));
    if (status != dnnl_out_of_memory) return FINEPRUNE_MODEL;
    if (call->err) call->err->status = FINEPRUNE_LIMIT;
    return FINEPRUNE_LIMIT;
}

// ---- descriptors

int fp_desc_dims(struct fp_call *call, dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides) {
    dnnl_dims_t d, s;
    int64_t plain[FP_MAX_RANK];
    if (!strides) {
        fp_order_strides(rank, dims, false, plain);
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
    fp_order_strides(rank, dims, true, strides);
    return fp_desc_dims(call, out, rank, dims, strides);
}

void fp_desc_done(dnnl_memory_desc_t *desc) {
    if (*desc) dnnl_memory_desc_destroy(*desc);
    *desc = NULL;
}

const_dnnl_memory_desc_t fp_desc_of(const_dnnl_memory_t memory) {
    const_dnnl_memory_desc_t desc = NULL;
    dnnl_memory_get_memory_desc(memory, &desc);
    return desc;
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
