// SPDX-License-Identifier: Apache-2.0
// What a target of multiply-adds or bytes is refused for.
#include "job/job.h"

int fp_job_check_target(struct fp_job *job) {
    const enum fp_target_kind kind = job->choices.target.kind;
    if (kind == FP_TARGET_LATENCY && !fp_model_lies_in_file(job->model))
        return fp_fail(job->err, FINEPRUNE_USAGE, "target '%s' needs a model that lies in a file",
                       job->choices.target.text);
    if (kind == FP_TARGET_NONE || kind == FP_TARGET_SIZE || job->state.macs.total) return FINEPRUNE_OK;
    const char *reason = "the model multiplies nothing";
    if (job->state.macs_reason[0]) reason = job->state.macs_reason;
    return fp_fail(job->err, FINEPRUNE_DATA, "target '%s': multiply-adds cannot be counted: %s",
                   job->choices.target.text, reason);
}

int fp_job_refuse_target(struct fp_job *job) {
    fp_error_clear(job->err);
    fp_fail(job->err, FINEPRUNE_GATE, "target '%s' is out of reach: %s", job->choices.target.text,
            job->state.missed_target);
    fp_hint(job->err, "ask for what can be reached, or for smaller multiples: --round 8; --on-fail keep writes the "
                      "model as it is then");
    return FINEPRUNE_GATE;
}
