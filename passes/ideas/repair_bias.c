// SPDX-License-Identifier: Apache-2.0
// b_r += (W_r_old - W_r_new) . E[x]: before, the pruned part of the output is missing; after, its mean over the user's
// data is back.
#include "ideas/repair_bias.h"

// What goes into a row's bias with its target.
static double base_change(const struct fp_layer *layer, size_t row) {
    if (!layer->target_bias) return 0;
    return layer->target_bias[row];
}

int fp_repair_bias_change(struct fp_job *job, struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    size_t rows = fp_layer_rows(layer);
    const float *target = fp_layer_target(layer);
#pragma omp parallel for num_threads(job->threads) schedule(static) if (w->count > 50000)
    for (size_t r = 0; r < rows; r++) {
        double change = base_change(layer, r);
        for (size_t c = 0; c < w->cols; c++)
            change += ((double)target[r * w->cols + c] - (double)layer->values[r * w->cols + c]) *
                      fp_stat_mean(layer->stat, r / w->rows, c);
        layer->bias_change[r] = w->bias.proto && w->repairable && !fp_row_removed(layer, r) ? change : 0;
        if (fp_row_cut(layer, r)) layer->bias_change[r] = -(double)layer->dense_bias[r]; // nothing reads it
    }
    return fp_weight_round_bias(job->model, w, layer->bias_change, layer->dense_bias, job->err);
}

double fp_repair_bias_error(const struct fp_layer *layer) {
    const struct fp_weight *w = layer->w;
    double sum = 0;
    for (size_t r = 0; r < fp_layer_rows(layer); r++) {
        double left = base_change(layer, r) - layer->bias_change[r];
        for (size_t c = 0; c < w->cols && !fp_row_gone(layer, r); c++)
            left += ((double)fp_layer_target(layer)[r * w->cols + c] - (double)layer->values[r * w->cols + c]) *
                    fp_stat_mean(layer->stat, r / w->rows, c);
        if (!fp_row_gone(layer, r)) sum += left * left;
    }
    return sum;
}

static int run(struct fp_job *job, struct fp_layer *layer) {
    fp_layer_start_repair(layer);
    return fp_repair_bias_change(job, layer);
}

const struct fp_repair fp_repair_bias = {"bias", "the bias takes the mean of what a row has lost", FP_NEED_SUMS, run};
