// SPDX-License-Identifier: Apache-2.0
// What the dense answers look like, in a few numbers. A softmax is blind to what all scores have in common, so what it
// was trained with lets the scores' common part (and the sum of the last layer's rows) stay small; one class is right,
// so one score stands out above all others and there is always one above zero. Independent labels, coordinates and
// embeddings do none of this.
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "task/task_evidence.h"

struct one {
    double first, second, third, lowest, lower, mean, spread, skewness, winner;
    size_t best, positive;
};

// False when an answer is not finite.
static bool look_at(struct one *o, const float *v, size_t width) {
    *o = (struct one){
        .first = -INFINITY, .second = -INFINITY, .third = -INFINITY, .lowest = INFINITY, .lower = INFINITY};
    double sum = 0;
    for (size_t k = 0; k < width; k++) {
        const double x = (double)v[k];
        if (!isfinite(x)) return false;
        sum += x;
        o->positive += x > 0;
        if (x > o->first) o->third = o->second, o->second = o->first, o->first = x, o->best = k;
        else if (x > o->second) o->third = o->second, o->second = x;
        else if (x > o->third) o->third = x;
        if (x < o->lowest) o->lower = o->lowest, o->lowest = x;
        else if (x < o->lower) o->lower = x;
    }
    double square = 0, cube = 0, all = 0;
    o->mean = sum / (double)width;
    for (size_t k = 0; k < width; k++) {
        const double x = (double)v[k] - o->mean;
        square += x * x;
        cube += x * x * x;
        all += exp((double)v[k] - o->first);
    }
    o->spread = sqrt(square / (double)width);
    o->skewness = 0;
    if (o->spread > 0) o->skewness = cube / (double)width / (o->spread * o->spread * o->spread);
    o->winner = 1 / all;
    if (width < 3) o->third = o->second;
    return true;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n) {
    if (!n) return 0;
    qsort(v, n, sizeof(*v), by_value);
    if (n % 2) return v[n / 2];
    return (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double share_of(double part, double whole) {
    if (!(whole > 0)) return 0;
    return part / whole;
}

struct sums {
    double *ahead, *apart;    // per sample
    double *sum, *square;     // per output
    size_t *above, *won;      // per output: samples with an answer above 0, and that it wins
    double mean, mean_square; // of the samples' mean answers
    double top, bottom, first_mean;
};

static void add(struct fp_task_answers *a, struct sums *s, const struct one *o, const float *v) {
    const double gap = o->first - o->second, next = o->second - o->third, tiny = 1e-12 * (fabs(o->first) + 1e-300);
    if (a->width > 2) s->ahead[a->n] = gap / fmax(next, tiny);
    s->apart[a->n] = share_of(gap, o->spread);
    s->top += gap;
    s->bottom += o->lower - o->lowest;
    if (!a->n) s->first_mean = o->mean;
    s->won[o->best]++;
    a->winner += o->winner;
    a->confident += o->winner > 0.5;
    a->skewness += o->skewness;
    a->mean += share_of(o->mean, o->spread);
    a->positive += (double)o->positive / (double)a->width;
    a->none += !o->positive;
    const double moved = o->mean - s->first_mean; // sums of differences keep their digits
    s->mean += moved;
    s->mean_square += moved * moved;
    for (size_t k = 0; k < a->width; k++) {
        s->sum[k] += (double)v[k] - s->first_mean;
        s->square[k] += ((double)v[k] - s->first_mean) * ((double)v[k] - s->first_mean);
        s->above[k] += v[k] > 0;
    }
    a->n++;
}

static void finish(struct fp_task_answers *a, struct sums *s) {
    const double n = (double)a->n;
    double *means[] = {&a->winner, &a->confident, &a->skewness, &a->mean, &a->positive};
    for (size_t i = 0; i < FP_COUNT(means); i++) *means[i] /= n;
    a->ahead = median(s->ahead, a->n);
    a->apart = median(s->apart, a->n);
    a->asymmetry = share_of(s->top, s->bottom);
    double all = 0;
    a->none_expected = n;
    for (size_t k = 0; k < a->width; k++) {
        all += fmax(s->square[k] / n - s->sum[k] / n * (s->sum[k] / n), 0);
        a->none_expected *= 1 - (double)s->above[k] / n;
        a->dominant = fmax(a->dominant, (double)s->won[k] / n);
    }
    const double shared = fmax(s->mean_square / n - s->mean / n * (s->mean / n), 0);
    a->common = -1;
    if (all > 0) // width * variance of the mean / mean variance
        a->common = (double)a->width * (double)a->width * shared / all;
}

bool fp_task_answers(struct fp_task_answers *a, const float *values, size_t n, size_t width) {
    *a = (struct fp_task_answers){.width = width};
    if (!n || width < 2) return true;
    FP_STAGE(room, "the answers");
    struct sums s = {.ahead = fp_arena_take(&room, n, sizeof(double)),
                     .apart = fp_arena_take(&room, n, sizeof(double)),
                     .sum = fp_arena_take(&room, width, sizeof(double)),
                     .square = fp_arena_take(&room, width, sizeof(double)),
                     .above = fp_arena_take(&room, width, sizeof(size_t)),
                     .won = fp_arena_take(&room, width, sizeof(size_t))};
    struct one o;
    if (room.failed) return false;
    for (size_t i = 0; i < n; i++)
        if (look_at(&o, values + i * width, width)) add(a, &s, &o, values + i * width);
    if (a->n) finish(a, &s);
    return true;
}

int fp_task_rows(double *ratio, struct fineprune_model *model, const struct fp_weight *w, fineprune_error *err) {
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values));
    double *sum = fp_arena_take(&room, w->cols, sizeof(*sum)), all = 0, together = 0;
    *ratio = -1;
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_weight_read(model, w, values, err);
    if (status) return status;
    for (size_t i = 0; i < w->count; i++) {
        sum[i % w->cols] += (double)values[i];
        all += (double)values[i] * (double)values[i];
    }
    for (size_t c = 0; c < w->cols; c++) together += sum[c] * sum[c];
    if (all > 0 && isfinite(all)) *ratio = together / all;
    return FINEPRUNE_OK;
}
