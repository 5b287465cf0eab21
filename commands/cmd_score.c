// SPDX-License-Identifier: Apache-2.0
// fineprune score and merge: the samples' statistics apart from pruning, and those of several places added up.
#include <stdlib.h>

#include "base/arena.h"
#include "base/threads.h"
#include "stats/stats.h"

#define NOMINAL_SAMPLES 128 // statistics that will be merged cannot know how many samples there will be

static int score(fineprune_stats *out, struct fineprune_model *model, struct fineprune_data *data,
                 const fineprune_run_options *options, fineprune_error *err) {
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_classifier classifier;
    FP_STAGE(room, "the list of samples");
    int status = fp_data_check_elements(data, err);
    if (!status) status = fp_data_check_list(data, err);
    if (!status) status = fp_exec_refuse_training(model, err);
    if (status) return status;
    size_t n = fineprune_data_samples(data), *samples = fp_arena_take(&room, n, sizeof(*samples));
    if (!samples) return fp_arena_check(&room, err);
    status = fp_exec_new(&exec, model, options, err);
    if (!status) status = fp_weights_find(&weights, exec, model, false, err);
    if (!status) status = fp_weights_check_finite(weights, err);
    if (!status) {
        fp_classifier_find(&classifier, weights);
        for (size_t i = 0; i < n; i++) samples[i] = i;
        const struct fp_stats_request request = {.needs = FP_NEED_SUMS | FP_NEED_ABSOLUTE | FP_NEED_GRAM |
                                                          FP_NEED_ANSWERS,
                                                 .nominal_samples = NOMINAL_SAMPLES,
                                                 .classifier = &classifier,
                                                 .options = options,
                                                 .stage = "forward"};
        status = fp_stats_gather(&out->stats, exec, weights, data, samples, n, &request, NULL, err);
    }
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

int fineprune_score(fineprune_stats **out, fineprune_model *model, fineprune_data *data,
                    const fineprune_run_options *options, fineprune_error *err) {
    if (!data || !fineprune_data_samples(data)) return fp_data_missing(model, err);
    fineprune_stats *stats = calloc(1, sizeof(*stats));
    if (!stats) return fp_fail_memory(err, "statistics", sizeof(*stats));
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(options));
    int status = score(stats, model, data, options, err);
    fp_threads_leave(&host);
    if (status) fineprune_stats_free(stats);
    else *out = stats;
    return status;
}

int fineprune_stats_merge(fineprune_stats *stats, const fineprune_stats *other, fineprune_error *err) {
    return fp_stats_add(stats->stats, other->stats, err);
}
