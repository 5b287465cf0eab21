// SPDX-License-Identifier: Apache-2.0
// fineprune prune and apply: the options are read and resolved, the job is opened, run and closed; the method itself is
// passes/prune.c.
#include <stdio.h>

#include "base/threads.h"
#include "compact/outputs.h"
#include "prune.h"
#include "base/numbers.h"

// What the user asked for, or GATE with the reason why the outputs stay.
static int shrink_outputs(fineprune_model *model, const fineprune_prune_options *options,
                          struct fineprune_report *report, fineprune_error *err) {
    const struct fp_report_outputs *found = report->outputs;
    char reason[200] = "no classes are removed";
    if (found && found->reason) snprintf(reason, sizeof(reason), "%.199s", found->reason);
    if (found && found->pruned) {
        int status = fp_outputs_shrink(model, found->kept.items, found->kept.n, found->classes, reason, err);
        if (status) return status;
    }
    if (reason[0]) {
        fp_fail(err, FINEPRUNE_GATE, "the outputs cannot shrink: %s", reason);
        fp_hint(err, "without --shrink-outputs they keep their shapes");
        return FINEPRUNE_GATE;
    }
    struct fp_report_outputs told = *found;
    struct fp_model_size bytes;
    told.shrunk = true;
    FP_PUT(report, outputs, &told);
    int status = fp_model_sizes(model, fp_threads_wanted(&options->run), &bytes, err);
    if (!status) fp_report_put_size(report, true, &bytes);
    return status;
}

// Opens, runs and closes a job over `data` or, when that is NULL, over `stats`.
static int run_job(const char *command, fineprune_model *model, fineprune_data *data, struct fp_stats *stats,
                   const fineprune_prune_options *options, fineprune_report **report, fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    fineprune_prune_options known = FINEPRUNE_PRUNE_OPTIONS_INIT;
    fineprune_error local = {0};
    struct fp_job job = {.state.got = -1, .model = model, .data = data, .options = &known, .err = err ? err : &local};
    int status = fp_options_read(&known, sizeof(known), options, "fineprune_prune_options", job.err);
    if (status) return status;
    status = fp_choose(&job.choices, job.options, job.err);
    if (!status && !stats && fp_prune_wants_data(&job.choices) && (!data || !fineprune_data_samples(data)))
        status = fp_data_missing(model, job.err);
    if (!status && data) status = fp_data_check_elements(data, job.err);
    if (!status) job.report = fp_report_new(command);
    if (!status && !job.report) status = fp_fail_memory(job.err, "the report", 0);
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(&job.options->run));
    if (!status) status = stats ? fp_prune_apply(&job, stats) : fp_prune_run(&job);
    const bool told = !status || status == FINEPRUNE_GATE;
    if (told && (fp_choices_note(&job.choices, job.report) || job.report->arena.failed))
        status = fp_fail_memory(job.err, "the report", 0);
    fp_job_close(&job);
    if (!status && known.shrink_outputs) status = shrink_outputs(model, &known, job.report, job.err);
    fp_threads_leave(&host);
    if (report && (!status || status == FINEPRUNE_GATE)) *report = job.report;
    else fineprune_report_free(job.report);
    return status;
}

int fineprune_prune(fineprune_model *model, fineprune_data *data, const fineprune_prune_options *options,
                    fineprune_report **report, fineprune_error *err) {
    return run_job("prune", model, data, NULL, options, report, err);
}

int fineprune_apply(fineprune_model *model, const fineprune_stats *stats, const fineprune_prune_options *options,
                    fineprune_report **report, fineprune_error *err) {
    return run_job("apply", model, NULL, stats->stats, options, report, err);
}
