// SPDX-License-Identifier: Apache-2.0
// What operators share in prepare.
#include "kernel/op.h"

#include <stdio.h>
#include <stdlib.h>

// ---- errors

int fp_call_fail(struct fp_call *call, const char *format, ...) {
    char text[400], *what = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&what, format, args);
    va_end(args);
    int status = fp_fail(call->err, FINEPRUNE_MODEL, "%s: %s", fp_node_text(text, sizeof(text), call->node),
                         n < 0 ? "failed" : what);
    if (n >= 0) free(what);
    return status;
}

int fp_need(struct fp_call *call, int needed) {
    for (int i = 0; i < needed; i++)
        if (!fp_given(call, i)) return fp_call_fail(call, "input %d is missing", i);
    return FINEPRUNE_OK;
}

// ---- stopping

#define ASK_AFTER 0.2 // seconds

int fp_context_stopped(struct fp_context *context, const struct fp_node *node, fineprune_error *err) {
    const fineprune_run_options *options = context->options;
    if (!options || !options->progress) return FINEPRUNE_OK;
    const double now = fp_seconds();
    if (context->asked == 0) context->asked = now;
    if (now - context->asked < ASK_AFTER) return FINEPRUNE_OK;
    context->asked = now;
    if (!options->progress(options->progress_user, "run", 0, 0)) return FINEPRUNE_OK;
    char text[400];
    return fp_fail(err, FINEPRUNE_CANCELLED, "stopped at %s", fp_node_text(text, sizeof(text), node));
}

// ---- outputs

int fp_out(struct fp_call *call, int i, enum fp_type type, int rank, const int64_t *dims) {
    if (i >= call->n_out) return FINEPRUNE_OK;
    fineprune_error inner = {0};
    if (fp_tensor_shape(&call->out[i], type, rank, dims, &inner))
        return fp_call_fail(call, "output %d: %s", i, inner.message);
    return FINEPRUNE_OK;
}

int fp_out_like(struct fp_call *call, int i, int j) {
    return fp_out(call, i, call->in[j]->type, call->in[j]->rank, call->in[j]->dims);
}

int fp_out_alias(struct fp_call *call, int i, int j, int rank, const int64_t *dims) {
    if (i >= call->n_out) return FINEPRUNE_OK;
    int status = fp_out(call, i, call->in[j]->type, rank, dims);
    if (status) return status;
    if (call->out[i].count != call->in[j]->count) {
        char from[160], to[160];
        return fp_call_fail(call, "shape %s cannot become %s",
                            fp_shape_text(from, sizeof(from), call->in[j]->rank, call->in[j]->dims),
                            fp_shape_text(to, sizeof(to), rank, dims));
    }
    call->alias[i] = j;
    return FINEPRUNE_OK;
}

// ---- inputs that are read in prepare

int fp_read_ints(struct fp_call *call, int i, int64_t *dst, size_t max, size_t *n) {
    const struct fp_tensor *t = call->in[i];
    if (t->type != FP_INT64 && t->type != FP_INT32)
        return fp_call_fail(call, "input %d is %s, not integers", i, fp_type_name(t->type));
    if (t->count > max)
        return fp_call_fail(call, "input %d has %zu elements; at most %zu make sense", i, t->count, max);
    if (i < 64) call->values_read |= (uint64_t)1 << i;
    fp_convert(dst, FP_INT64, t->data, t->type, t->count);
    *n = t->count;
    return FINEPRUNE_OK;
}

int fp_read_scalar(struct fp_call *call, int i, double *value) {
    const struct fp_tensor *t = call->in[i];
    if (t->count != 1 || !fp_type_size(t->type))
        return fp_call_fail(call, "input %d must be one number, not %zu", i, t->count);
    if (i < 64) call->values_read |= (uint64_t)1 << i;
    fp_convert(value, FP_DOUBLE, t->data, t->type, 1);
    return FINEPRUNE_OK;
}

int fp_ints_either(struct fp_call *call, const char *attribute, int input, int64_t *dst, size_t max, size_t *n,
                   bool *given) {
    *n = 0;
    *given = true;
    if (fp_given(call, input)) return fp_read_ints(call, input, dst, max, n);
    const int64_t *values = fp_attr_ints(call->node, attribute, n);
    *given = fp_attr_has(call->node, attribute);
    if (*n > max)
        return fp_call_fail(call, "attribute '%s' has %zu elements; at most %zu make sense", attribute, *n, max);
    if (*n) memcpy(dst, values, *n * sizeof(*dst));
    return FINEPRUNE_OK;
}

int fp_axis(struct fp_call *call, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) return fp_call_fail(call, "axis %lld is outside rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return FINEPRUNE_OK;
}

// ---- shapes

int fp_broadcast(struct fp_call *call, const struct fp_tensor *a, const struct fp_tensor *b, int *rank, int64_t *dims) {
    int n = (int)fp_most_int(a->rank, b->rank);
    for (int i = 0; i < n; i++) {
        int ia = i - (n - a->rank), ib = i - (n - b->rank);
        int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
        if (da != db && da != 1 && db != 1) {
            char left[160], right[160];
            return fp_call_fail(call, "shapes %s and %s cannot be broadcast together",
                                fp_shape_text(left, sizeof(left), a->rank, a->dims),
                                fp_shape_text(right, sizeof(right), b->rank, b->dims));
        }
        if (da == 1) dims[i] = db;
        else dims[i] = da;
    }
    *rank = n;
    return FINEPRUNE_OK;
}

void fp_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t n = 1;
    for (int i = rank; i-- > 0; n *= dims[i]) strides[i] = n;
}

void fp_broadcast_strides(const struct fp_tensor *t, int rank, const int64_t *dims, int64_t *strides) {
    int64_t own[FP_MAX_RANK];
    fp_strides(t->rank, t->dims, own);
    for (int i = 0; i < rank; i++) {
        int k = i - (rank - t->rank);
        if (k < 0 || (t->dims[k] == 1 && dims[i] != 1)) strides[i] = 0;
        else strides[i] = own[k];
    }
}

void *fp_state(struct fp_call *call, size_t size) {
    if (!call->state) call->state = calloc(1, size);
    if (!call->state) fp_fail_memory(call->err, "an operator", size);
    return call->state;
}
