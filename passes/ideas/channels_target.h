// SPDX-License-Identifier: Apache-2.0
// Whole channels until the model, once they have left the shapes, costs no more than a target says.
#ifndef FP_CHANNELS_TARGET_H
#define FP_CHANNELS_TARGET_H

#include "channel_curves.h"

// Sets `chosen` of the curves. What is reached goes into job->state and the report; where that is not the target, as
// much is chosen as there is, with what stands in the way. Errors: LIMIT, MODEL.
int fp_channels_to_target(struct fp_job *job, struct fp_curves *all);

#endif
