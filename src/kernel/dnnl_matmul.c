// SPDX-License-Identifier: Apache-2.0
// Matrix products as primitives of oneDNN: scaled by alpha, with a bias and a tail.
#include "kernel/dnnl_matmul.h"

#include "base/threads.h"
#include "kernel/dnnl_tiles.h"

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

// Of a, of b as it lies, of b as oneDNN likes it, of c, of the bias or NULL.
enum { DESC_A, DESC_B, DESC_PACKED, DESC_C, DESC_BIAS, DESCS };
struct product_descs {
    dnnl_memory_desc_t md[DESCS];
    bool bias_after;
};

static int fill_descs(struct fp_call *call, struct fp_matmul_shape *s, struct product_descs *d) {
    int rank = s->batch + 2;
    int64_t a[FP_MAX_RANK], b[FP_MAX_RANK], c[FP_MAX_RANK], bias[FP_MAX_RANK];
    for (int i = 0; i < s->batch; i++) {
        a[i] = s->a_batch[i];
        b[i] = s->b_batch[i];
        c[i] = fp_matmul_batch(s, i);
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
    int status = fp_desc_dims(call, &d->md[DESC_A], rank, a, s->a_strides);
    if (!status) status = fp_desc_dims(call, &d->md[DESC_B], rank, b, s->b_strides);
    const int64_t spread[2] = {s->b_row, 1};
    if (!status && s->pack_b && s->b_row) status = fp_desc_dims(call, &d->md[DESC_PACKED], 2, b, spread);
    else if (!status && s->pack_b) status = fp_desc_any(call, &d->md[DESC_PACKED], rank, b);
    else if (!status) status = fp_desc_dims(call, &d->md[DESC_PACKED], rank, b, s->b_strides);
    if (!status) status = fp_desc_dims(call, &d->md[DESC_C], rank, c, s->c_strides);
    if (!status && s->bias) status = fp_desc_dims(call, &d->md[DESC_BIAS], rank, bias, NULL);
    return status;
}

// Where the tail comes: after alpha, and after a bias that alpha does not scale.
static void place_tail(struct fp_matmul *p, const struct fp_matmul_shape *s) {
    p->bias_after = s->bias && s->alpha != 1;
    p->place = (struct fp_tail_place){.tail = p->tail,
                                      .n = s->n_tail,
                                      .axis = s->batch + 1,
                                      .first = (s->alpha != 1) + p->bias_after,
                                      .rows = p->tiled,
                                      .out = {.rank = s->batch + 2}};
    if (s->n_tail) memcpy(p->tail, s->tail, (size_t)s->n_tail * sizeof(*s->tail));
    for (int i = 0; i < s->batch; i++) p->place.out.dims[i] = fp_matmul_batch(s, i);
    p->place.out.dims[s->batch] = s->m;
    p->place.out.dims[s->batch + 1] = s->n;
}

// The post-ops before the tail; *ops stays NULL on failure.
static int scale_product(struct fp_call *call, const struct fp_matmul *p, const struct fp_matmul_shape *s,
                         const_dnnl_memory_desc_t bias, dnnl_post_ops_t *ops) {
    dnnl_status_t status = dnnl_post_ops_create(ops);
    if (status == dnnl_success && s->alpha != 1)
        status = dnnl_post_ops_append_eltwise(*ops, dnnl_eltwise_linear, s->alpha, 0);
    if (status == dnnl_success && p->bias_after) status = dnnl_post_ops_append_binary(*ops, dnnl_binary_add, bias);
    if (status == dnnl_success) return 0;
    if (*ops) dnnl_post_ops_destroy(*ops);
    *ops = NULL;
    return fp_dnnl_check(call, status, "scale a product");
}

enum { BIAS_AFTER = DNNL_ARG_ATTR_MULTIPLE_POST_OP(1) | DNNL_ARG_SRC_1 };

static dnnl_status_t describe_matmul(const void *user, dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                     dnnl_primitive_desc_t *desc) {
    const struct product_descs *d = user;
    return dnnl_matmul_primitive_desc_create(desc, engine, d->md[DESC_A], d->md[DESC_PACKED],
                                             d->bias_after ? NULL : d->md[DESC_BIAS], d->md[DESC_C], attr);
}

static int make_described(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s,
                          struct product_descs *d) {
    int status = fill_descs(call, s, d);
    if (status) return status;
    place_tail(p, s);
    d->bias_after = p->bias_after;
    struct fp_recipe recipe = {.place = &p->place,
                               .weights = d->md[DESC_B],
                               .what = "multiply matrices",
                               .describe = describe_matmul,
                               .user = d};
    status = scale_product(call, p, s, d->md[DESC_BIAS], &recipe.before);
    int team = 0;
    if (!status) status = fp_tail_make(call, &p->prim, &recipe, p->tiled ? NULL : &team);
    p->tiled |= team > 0;
    if (status || team || !p->bias_after) return status;
    return fp_prim_set(call, &p->prim, BIAS_AFTER, d->md[DESC_BIAS], NULL);
}

// The primitive; or none, and p->tiled is set, where it would have to be of a few rows.
static int make_product(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s) {
    struct product_descs d = {0};
    int status = make_described(call, p, s, &d);
    for (int i = 0; i < DESCS; i++) fp_desc_done(&d.md[i]);
    return status;
}

static int make_tiled(struct fp_call *call, struct fp_matmul *p, const struct fp_matmul_shape *s) {
    struct fp_matmul_shape tile;
    p->whole = *s;
    fp_tile_shape(s, call->threads, &tile);
    p->height = tile.m;
    int before = fp_threads_set(1); // the primitive is made for as many
    int status = make_product(call, p, &tile);
    fp_threads_set(before);
    return status;
}

int fp_matmul_make(struct fp_call *call, struct fp_matmul *p, struct fp_matmul_shape *s) {
    size_t count = 1;
    p->k = s->k;
    p->n = s->n;
    for (int i = 0; i < s->batch; i++) count *= (size_t)fp_matmul_batch(s, i);
    p->count = count * (size_t)s->m * (size_t)s->n;
    if (p->count == 0 || s->k == 0 || call->counted) return s->n_tail ? FP_NOT_FUSED : 0;
    p->tiled = false;
    int status = make_product(call, p, s);
    if (status || !p->tiled) return status;
    return make_tiled(call, p, s);
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
    if (p->tiled) return fp_tiles_run(call, p, a, c);
    return fp_prim_run(call, &p->prim);
}

void fp_matmul_done(struct fp_matmul *p) { fp_prim_done(&p->prim); }
