// SPDX-License-Identifier: Apache-2.0
// The method, for the commands that prune (commands/cmd_prune.c).
#ifndef FP_PRUNE_H
#define FP_PRUNE_H

#include "job/job.h"

// Whether what was chosen looks at samples at all.
bool fp_prune_wants_data(const struct fp_choices *c);
// Prunes job->model with job->data, by job->choices and job->options; job->report tells of it. Errors: all that the
// ideas have, and GATE when a promise is not kept or the result is refused. The caller closes the job.
int fp_prune_run(struct fp_job *job);
// The same from statistics alone: the dense model's, one round. Errors: also DATA when they are of another model.
int fp_prune_apply(struct fp_job *job, struct fp_stats *stats);

#endif
