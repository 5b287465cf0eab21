// SPDX-License-Identifier: Apache-2.0
// Drift: cosine = ab / sqrt(aa bb), sqnr = 10 log10(aa / dd), the greatest difference, and how many rows have the same
// greatest column.
#include "report/drift.h"

#include <math.h>

#include "base/arena.h"

static size_t greatest(const double *row, size_t n, const uint8_t *use) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if ((!use || use[i]) && (best == n || row[i] > row[best])) best = i;
    return best;
}

static void add_rows(struct fp_drift *d, const double *a, const double *b, size_t n, size_t width, const uint8_t *use) {
    for (size_t i = 0; i < n; i++) {
        d->aa += a[i] * a[i];
        d->bb += b[i] * b[i];
        d->ab += a[i] * b[i];
        d->dd += (a[i] - b[i]) * (a[i] - b[i]);
        double apart = fabs(a[i] - b[i]);
        if (apart > d->max_abs || isnan(apart)) d->max_abs = apart;
    }
    for (size_t i = 0; d->columns && d->width == width && i < n; i++)
        d->columns[i % width] += (a[i] - b[i]) * (a[i] - b[i]);
    d->count += n;
    for (size_t r = 0; d->classes && r < n / width; r++, d->answers++)
        d->same += greatest(a + r * width, width, use) == greatest(b + r * width, width, use);
    for (size_t i = 0; d->labels && i < n; i++, d->answers++) d->same += a[i] == b[i];
}

int fp_drift_add(struct fp_drift *drift, const struct fp_tensor *a, const struct fp_tensor *b, const uint8_t *use,
                 fineprune_error *err) {
    if (!fp_type_size(a->type) || a->type != b->type || a->type == FP_COMPLEX64 || a->type == FP_COMPLEX128)
        return FINEPRUNE_OK;
    if (!fp_same_shape(a, b)) {
        char x[160], y[160];
        return fp_fail(err, FINEPRUNE_MODEL, "output '%s' has shape %s in one model and %s in the other", drift->output,
                       fp_shape_text(x, sizeof(x), a->rank, a->dims), fp_shape_text(y, sizeof(y), b->rank, b->dims));
    }
    bool classes = a->rank == 2 && a->dims[1] > 1 && fp_type_is_float(a->type);
    const bool one = a->rank == 1 || (a->rank == 2 && a->dims[1] == 1);
    const bool labels = one && fp_type_is_integer(a->type);
    drift->classes = classes && (!drift->count || drift->classes);
    drift->labels = labels && (!drift->count || drift->labels);
    const size_t width = classes ? (size_t)a->dims[1] : 1, rows = a->count / width, step = fp_most(4096 / width, 1);
    FP_STAGE(stage, "a comparison");
    double *room = fp_arena_take(&stage, 2 * step * width, sizeof(*room));
    if (!room) return fp_arena_check(&stage, err);
    size_t size = fp_type_size(a->type);
    for (size_t r = 0; r < rows; r += step) {
        const size_t n = fp_least(rows - r, step) * width;
        fp_convert(room, FP_DOUBLE, (const char *)a->data + r * width * size, a->type, n);
        fp_convert(room + n, FP_DOUBLE, (const char *)b->data + r * width * size, b->type, n);
        add_rows(drift, room, room + n, n, width, use);
    }
    return FINEPRUNE_OK;
}

static double or_none(double value) {
    if (!isfinite(value)) return NAN;
    return value;
}

struct fp_report_drift fp_drift_told(const struct fp_drift *d) {
    struct fp_report_drift told = {.output = fp_report_plain(d->output),
                                   .cosine = d->aa == d->bb,
                                   .sqnr_db = NAN, // no difference at all
                                   .max_abs = or_none(d->max_abs),
                                   .top1_agreement = NAN};
    const double scale = sqrt(d->aa) * sqrt(d->bb);
    if (scale > 0) told.cosine = or_none(d->ab / scale);
    if (d->dd > 0) told.sqnr_db = or_none(10 * log10(d->aa / d->dd));
    if (((d->classes && !d->no_answers) || d->labels) && d->answers)
        told.top1_agreement = (double)d->same / (double)d->answers;
    return told;
}
