// SPDX-License-Identifier: Apache-2.0
// From names to choices: the method's set, with single choices put over it.
#include "job/job.h"

static int unknown(fineprune_error *err, const char *kind, const char *name) {
    fp_fail(err, FINEPRUNE_USAGE, "there is no %s '%s'", kind, name);
    fp_hint(err, "'fineprune --list' names them all");
    return FINEPRUNE_USAGE;
}

// Rounds cost a run over the samples each; up to 75 % zeros a third one was seen to gain nothing.
static int rounds_of(const struct fp_method *m, double sparsity) {
    return sparsity >= 0 && sparsity <= 0.75 ? m->rounds : m->more_rounds;
}

static const char * or (const char *given, const char *absent) { return given ? given : absent; }

// A pattern, and an allocation that gives every row or weight its share, have their own idea of where zeros lie; swaps
// need a repair that has solved for what is kept, and a method in which it may come back.
static int settle(struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    const bool bound = c->pattern->merge || c->pattern->snap, solves = c->repair->needs & FP_NEED_GRAM;
    const char *reason = bound     ? "zeros lie as the pattern says"
                         : !solves ? "the repair does not solve for what is kept"
                                   : "nothing comes back in this method";
    if (c->channels->run && (bound || !c->allocation->fills)) {
        if (o->channels)
            return fp_fail(err, FINEPRUNE_USAGE, "channels '%s' cannot go whole with %s '%s'", c->channels->name,
                           bound ? "pattern" : "allocation", bound ? c->pattern_text : c->allocation->name);
        c->channels = fp_find_channels("none");
    }
    if (c->swaps->run && (bound || !solves || !c->method->regrow)) {
        if (o->swaps) return fp_fail(err, FINEPRUNE_USAGE, "swaps '%s' cannot be made: %s", c->swaps->name, reason);
        c->swaps = fp_find_swaps("none");
    }
    return FINEPRUNE_OK;
}

int fp_choose(struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    const char *method = or (o->method, "fine-pruning");
    const struct fp_method *m = fp_find_method(method);
    if (!m) return unknown(err, "method", method);
    const char *score = or (o->score, m->score), *allocation = or (o->allocation, m->allocation),
               *pattern = or (o->pattern, m->pattern);
    const char *repair = or (o->repair, m->repair), *refit = or (o->refit, m->refit);
    const char *channels = or (o->channels, m->channels), *swaps = or (o->swaps, m->swaps);
    const char *outputs = or (o->outputs, m->outputs), *readout = or (o->readout, m->readout);
    *c = (struct fp_choices){.method = m,
                             .score = fp_find_score(score),
                             .allocation = fp_find_allocation(allocation),
                             .pattern = fp_find_pattern(pattern),
                             .pattern_text = pattern,
                             .repair = fp_find_repair(repair),
                             .refit = fp_find_refit(refit),
                             .channels = fp_find_channels(channels),
                             .swaps = fp_find_swaps(swaps),
                             .outputs = fp_find_outputs(outputs),
                             .readout = fp_find_readout(readout),
                             .rounds = o->rounds > 0 ? o->rounds : rounds_of(m, o->sparsity)};
    if (!c->score) return unknown(err, "score", score);
    if (!c->allocation) return unknown(err, "allocation", allocation);
    if (!c->pattern) return unknown(err, "pattern", pattern);
    if (!c->repair) return unknown(err, "repair", repair);
    if (!c->channels) return unknown(err, "channels", channels);
    if (!c->swaps) return unknown(err, "swaps", swaps);
    if (!c->refit) return unknown(err, "refit", refit);
    if (!c->outputs) return unknown(err, "outputs", outputs);
    if (!c->readout) return unknown(err, "readout", readout);
    if (c->rounds > 100) return fp_fail(err, FINEPRUNE_USAGE, "%d rounds are more than make sense (100)", c->rounds);
    if (o->sparsity >= 1 || (o->sparsity < 0 && o->sparsity != -1))
        return fp_fail(err, FINEPRUNE_USAGE, "sparsity %g is not a share of zeros from 0 to below 1", o->sparsity);
    if (o->reserve >= 1 || (o->reserve < 0 && o->reserve != -1))
        return fp_fail(err, FINEPRUNE_USAGE, "reserve %g is not a share from 0 to below 1", o->reserve);
    if (o->min_agreement < 0 || o->min_agreement > 1)
        return fp_fail(err, FINEPRUNE_USAGE, "min-agreement %g is not a share from 0 to 1", o->min_agreement);
    if (o->min_taught_agreement < 0 || o->min_taught_agreement > 1)
        return fp_fail(err, FINEPRUNE_USAGE, "min-taught-agreement %g is not a share from 0 to 1",
                       o->min_taught_agreement);
    if (fp_task_word(o->task) < 0)
        return fp_fail(err, FINEPRUNE_USAGE, "there is no task '%s'; auto, classes, labels or other is meant", o->task);
    return settle(c, o, err);
}
