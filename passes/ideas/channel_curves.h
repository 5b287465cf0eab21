// SPDX-License-Identifier: Apache-2.0
// What the loss of whole channels costs the layers that read them: a curve for each group of hidden channels, with how
// much the model's outputs mind.
#ifndef FP_CHANNEL_CURVES_H
#define FP_CHANNEL_CURVES_H

#include "job/job.h"
#include "weights/channels.h"

struct fp_curve {
    struct fp_arena arena; // of its arrays
    const struct fp_channel_groups *groups;
    struct fp_channel_group *group;
    int number;      // of the group
    uint32_t *order; // channels, the first to go first
    double *error;   // by number of channels that are gone: of the readers' outputs, summed over the readers
    size_t gone;     // how many were taken in all
    double sensitivity;
    size_t cost;   // elements of a channel
    size_t chosen; // channels that go
};

// Which groups there is a curve of, and how far it goes.
struct fp_curve_rule {
    size_t least_kept, multiple; // channels of a group that stay, and of which their number is one
    double ridge;                // of the mean diagonal of a reader's covariance
    bool all;                    // residual streams, and what is resized, joined or parted, too
};

struct fp_curves {
    struct fp_kept head;
    struct fp_curve_rule rule;
    struct fp_channel_groups groups;
    struct fp_curve *items; // of those groups that can go
    int n;
    double share, latency; // of multiply-adds that were found fast enough, and what was measured; 0: not yet
};

struct fp_piece { // of a hull
    int curve;
    size_t from, to; // channels gone before it, and with it
    double error;    // what a channel of it costs: of the model's outputs
};

// The curves of the dense model, made once and kept with the job (fp_job_drop_kept). Statistics with sums and Gram
// matrices are asked for. Errors: also CANCELLED.
int fp_curves_have(struct fp_job *job, const struct fp_curve_rule *rule, struct fp_curves **out);
// Why a group has no curve; NULL: it can have one.
const char *fp_curve_obstacle(const struct fp_job *job, const struct fp_channel_group *group,
                              const struct fp_curve_rule *rule);
// The pieces of a curve's lower convex hull over the places that leave a multiple, cheapest first, into pieces[n] and
// on: as many at most as fp_curve_most says. Returns how many there are then.
int fp_curve_pieces(const struct fp_curves *curves, int which, struct fp_piece *pieces, int n);
size_t fp_curve_most(const struct fp_curve *curve, size_t multiple);
// The rows and columns of the chosen channels are marked in the layers, which stand in for them; the report has what
// went. And: nothing is marked any more.
int fp_curves_cut(struct fp_job *job, const struct fp_curves *curves);
void fp_curves_restart(struct fp_job *job);

#endif
