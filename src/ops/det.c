// SPDX-License-Identifier: Apache-2.0
// Det: the determinant of every matrix of a batch, from LAPACK's factorization into triangles.
#include <lapacke.h>

#include "base/threads.h"
#include "ops/families.h"
#include "ops/loops.h"

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    if (!fp_type_is_float(x->type)) return fp_bad_type(call, 0);
    char text[160];
    if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2] || x->dims[x->rank - 1] > 65536)
        return fp_call_fail(call, "shape %s is not of square matrices",
                            fp_shape_text(text, sizeof(text), x->rank, x->dims));
    return fp_out(call, 0, x->type, x->rank - 2, x->dims);
}

// The product of the diagonal; every exchange of rows turns the sign.
static double determinant(double *a, lapack_int *pivots, lapack_int n) {
    if (LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, a, n, pivots) > 0) return 0;
    double det = 1;
    for (lapack_int i = 0; i < n; i++) det *= (pivots[i] == i + 1 ? 1 : -1) * a[i * (n + 1)];
    return det;
}

static int run(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *out = &call->out[0];
    size_t n = (size_t)x->dims[x->rank - 1], size = fp_type_size(x->type),
           bytes = n * n * sizeof(double) + n * sizeof(lapack_int);
    double *a = fp_take(call->memory, bytes);
    if (!a) return fp_fail_memory(call->err, "a determinant", bytes);
    const int before = fp_threads_set(1); // LAPACK's sums too are those of one thread
    for (size_t i = 0; i < out->count; i++) {
        fp_convert(a, FP_DOUBLE, (const char *)x->data + i * n * n * size, x->type, n * n);
        double det = 1;
        if (n) det = determinant(a, (lapack_int *)(void *)(a + n * n), (lapack_int)n);
        fp_convert((char *)out->data + i * size, out->type, &det, FP_DOUBLE, 1);
    }
    fp_threads_set(before);
    fp_release(call->memory, a, bytes);
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_det[] = {
    {"", "Det", 11, prepare, run, .arity = "r>r"},
    {0},
};
