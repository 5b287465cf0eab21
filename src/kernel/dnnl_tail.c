// SPDX-License-Identifier: Apache-2.0
// Tails: what follows a product or a convolution, as post-ops of its primitive.
#include "kernel/dnnl_tail.h"

#include "kernel/channels_last.h"
#include "kernel/dnnl_parts.h"

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
    if (t->input < 0) return call->in[-t->input];
    return call->extra[t->input];
}

const struct fp_tensor *fp_tail_operand(const struct fp_call *call, const struct fp_tail *t) {
    if (is_binary(t)) return operand_of(call, t);
    return NULL;
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

static int append_post_op(struct fp_call *call, const struct fp_tail *t, const struct fp_tail_place *place,
                          dnnl_post_ops_t ops) {
    if (t->kind == FP_TAIL_NORM) return FP_NOT_FUSED;
    dnnl_alg_kind_t algorithm = tails[t->kind].algorithm;
    if (!is_binary(t)) {
        const float a = tails[t->kind].defaults ? tails[t->kind].a : t->a;
        const float b = tails[t->kind].defaults ? tails[t->kind].b : t->b;
        return fp_dnnl_check(call, dnnl_post_ops_append_eltwise(ops, algorithm, a, b), "add an activation");
    }
    dnnl_memory_desc_t desc = NULL;
    int status = binary_desc(call, t, place, &desc);
    if (!status) status = fp_dnnl_check(call, dnnl_post_ops_append_binary(ops, algorithm, desc), "add an operand");
    fp_desc_done(&desc);
    return status;
}

static int append_tail(struct fp_call *call, const struct fp_tail_place *place, dnnl_post_ops_t ops) {
    int status = 0;
    for (int i = 0; i < place->n && !status; i++) status = append_post_op(call, &place->tail[i], place, ops);
    return status;
}

int fp_tail_bind(struct fp_call *call, struct fp_prim *p, const struct fp_tail_place *place) {
    int status = 0;
    for (int i = 0; i < place->n && !status; i++) {
        if (!is_binary(&place->tail[i])) continue;
        dnnl_memory_desc_t desc = NULL;
        const struct fp_tensor *x = operand_of(call, &place->tail[i]);
        int arg = DNNL_ARG_ATTR_MULTIPLE_POST_OP(i + place->first) | DNNL_ARG_SRC_1;
        if (!fp_prim_arg(p, arg)) status = binary_desc(call, &place->tail[i], place, &desc);
        if (!status) status = fp_prim_set(call, p, arg, desc, x->data);
        fp_desc_done(&desc);
    }
    return status;
}

// Attributes with the post-ops that come before, which are taken over, and the tail.
static int tailed_attr(struct fp_call *call, const struct fp_recipe *r, dnnl_primitive_attr_t *attr) {
    dnnl_post_ops_t ops = r->before;
    int status = 0;
    if (!ops) status = fp_dnnl_check(call, dnnl_post_ops_create(&ops), "add an activation");
    if (!status) status = append_tail(call, r->place, ops);
    if (status) {
        if (ops) dnnl_post_ops_destroy(ops);
        return status;
    }
    *attr = fp_dnnl_attr(call, ops);
    if (*attr) return 0;
    return fp_dnnl_failed(call);
}

int fp_tail_make(struct fp_call *call, struct fp_prim *p, const struct fp_recipe *r, int *team) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = tailed_attr(call, r, &attr);
    if (status) return status;
    struct fp_dnnl *d = fp_dnnl_of(call);
    if (d) status = fp_dnnl_check(call, r->describe(r->user, d->engine, attr, &desc), r->what);
    else status = fp_dnnl_failed(call);
    dnnl_primitive_attr_destroy(attr);
    if (status) return status;
    if (team) *team = fp_desc_team(desc);
    if (team && *team) {
        dnnl_primitive_desc_destroy(desc);
        return 0;
    }
    status = fp_prim_make(call, p, desc);
    if (!status) status = fp_prim_pack(call, p, r->weights);
    if (status) return status;
    return fp_tail_bind(call, p, r->place);
}
