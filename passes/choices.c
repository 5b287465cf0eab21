// SPDX-License-Identifier: Apache-2.0
// From names to choices: the method's set, with single choices put over it. A name may have values of its parameters
// behind it.
#include <stdio.h>

#include "compact/compact.h"
#include "job/job.h"

// Rounds cost a run over the samples each; up to 75 % zeros a third one was seen to gain nothing.
static int rounds_of(const struct fp_method *m, double sparsity) {
    if (sparsity >= 0 && sparsity <= 0.75) return m->rounds;
    return m->more_rounds;
}

static const char * or (const char *given, const char *absent) { return given ? given : absent; }

// A pattern, and an allocation that gives every row or weight its share, have their own idea of where zeros lie; swaps
// keep to the cells of a pattern that has them, and need a repair that has solved for what is kept, and a method in
// which it may come back.
static int settle(struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    const bool bound = c->pattern->merge || c->pattern->snap, solves = c->repair->needs & FP_NEED_GRAM;
    const char *reason = "nothing comes back in this method";
    if (!solves) reason = "the repair does not solve for what is kept";
    const bool fixed = bound && !c->pattern->cells;
    if (fixed) reason = "zeros lie as the pattern says";
    if (c->target.kind && !c->channels->run && o->channels)
        return fp_fail(err, FINEPRUNE_USAGE, "target '%s' needs channels 'first'", c->target.text);
    if (c->target.kind && !c->channels->run) c->channels = fp_find_channels("first");
    if (c->channels->run && (bound || !c->allocation->fills)) {
        if (o->channels)
            return fp_fail(err, FINEPRUNE_USAGE, "channels '%s' cannot go whole with %s '%s'", c->channels->name,
                           bound ? "pattern" : "allocation", bound ? c->pattern_text : c->allocation->name);
        c->channels = fp_find_channels("none");
    }
    if (c->target.kind && !c->channels->run) {
        fp_fail(err, FINEPRUNE_USAGE, "target '%s' needs whole channels, which cannot go with %s", c->target.text,
                bound ? "this pattern" : "this allocation");
        return FINEPRUNE_USAGE;
    }
    if (c->swaps->run && (fixed || !solves || !c->method->regrow)) {
        if (o->swaps) return fp_fail(err, FINEPRUNE_USAGE, "swaps '%s' cannot be made: %s", c->swaps->name, reason);
        c->swaps = fp_find_swaps("none");
    }
    return FINEPRUNE_OK;
}

// The ideas, each by its text.
static int choose_ideas(struct fp_choices *c, const char *const *texts, fineprune_error *err) {
    for (int kind = 0; kind < FP_KINDS; kind++) {
        int status = fp_chosen_read(&c->chosen[kind], (enum fp_kind)kind, texts[kind], err);
        if (status) return status;
    }
    c->score = fp_find_score(texts[FP_KIND_SCORE]);
    c->allocation = fp_find_allocation(texts[FP_KIND_ALLOCATION]);
    c->repair = fp_find_repair(texts[FP_KIND_REPAIR]);
    c->channels = fp_find_channels(texts[FP_KIND_CHANNELS]);
    c->swaps = fp_find_swaps(texts[FP_KIND_SWAPS]);
    c->refit = fp_find_refit(texts[FP_KIND_REFIT]);
    c->outputs = fp_find_outputs(texts[FP_KIND_OUTPUTS]);
    c->readout = fp_find_readout(texts[FP_KIND_READOUT]);
    c->pattern = fp_find_pattern(c->pattern_text);
    if (!c->pattern) return fp_choice_unknown("pattern", c->pattern_text, err);
    return FINEPRUNE_OK;
}

static int check_shrinking(const struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    if (!o->shrink_outputs || c->outputs->hold) return FINEPRUNE_OK;
    fp_fail(err, FINEPRUNE_USAGE, "shrink-outputs needs outputs 'prune': '%s' removes no classes", c->outputs->name);
    fp_hint(err, "add --outputs prune, or choose a method that has it");
    return FINEPRUNE_USAGE;
}

static int check_numbers(const struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    if (c->rounds > 100) return fp_fail(err, FINEPRUNE_USAGE, "%d rounds are more than make sense (100)", c->rounds);
    if (!(o->sparsity >= 0 && o->sparsity < 1) && o->sparsity != -1)
        return fp_fail(err, FINEPRUNE_USAGE, "sparsity %g is not a share of zeros from 0 to below 1", o->sparsity);
    if (o->sparsity < 0 && c->pattern->decides) {
        fp_fail(err, FINEPRUNE_USAGE,
                "sparsity auto has nothing to choose: pattern '%s' settles how many zeros there are", c->pattern_text);
        fp_hint(err, "leave -s away, or choose a pattern that takes any number of zeros");
        return FINEPRUNE_USAGE;
    }
    if (!(o->reserve >= 0 && o->reserve < 1) && o->reserve != -1)
        return fp_fail(err, FINEPRUNE_USAGE, "reserve %g is not a share from 0 to below 1", o->reserve);
    if (!(o->min_agreement >= 0 && o->min_agreement <= 1))
        return fp_fail(err, FINEPRUNE_USAGE, "min-agreement %g is not a share from 0 to 1", o->min_agreement);
    if (!(o->min_taught_agreement >= 0 && o->min_taught_agreement <= 1))
        return fp_fail(err, FINEPRUNE_USAGE, "min-taught-agreement %g is not a share from 0 to 1",
                       o->min_taught_agreement);
    if (fp_task_word(o->task) < 0)
        return fp_fail(err, FINEPRUNE_USAGE, "there is no task '%s'; auto, classes, labels or other is meant", o->task);
    return FINEPRUNE_OK;
}

// What the profile rewards, where nothing else was said; what is NULL has the method's.
struct rewarded {
    const char *pattern, *channels;
};

static int read_runtime(struct fp_choices *c, const fineprune_prune_options *o, struct rewarded *r,
                        fineprune_error *err) {
    *r = (struct rewarded){0};
    if (!o->runtime_profile) return FINEPRUNE_OK;
    c->runtime = fp_find_runtime(o->runtime_profile);
    if (!c->runtime) return fp_choice_unknown("runtime", o->runtime_profile, err);
    if (o->pattern || o->channels || o->target) return FINEPRUNE_OK;
    *r = (struct rewarded){c->runtime->pattern, c->runtime->channels};
    return FINEPRUNE_OK;
}

// After all has settled: channels may have given way.
static void name_rewarded(struct fp_choices *c, const fineprune_prune_options *o, const struct rewarded *r) {
    const bool channels = r->channels && c->channels->run;
    if (!c->runtime) return;
    snprintf(c->runtime_set, sizeof(c->runtime_set), "%s%s%s%s%s", r->pattern ? "--pattern " : "", or (r->pattern, ""),
             channels ? "--channels " : "", channels ? r->channels : "",
             (r->pattern || channels) && !o->multiple ? " and " : "");
    const size_t used = strlen(c->runtime_set);
    if (!o->multiple) snprintf(c->runtime_set + used, sizeof(c->runtime_set) - used, "--round %zu", c->target.multiple);
}

static size_t multiple_of(const struct fp_choices *c, const fineprune_prune_options *o) {
    if (o->multiple) return o->multiple;
    return c->runtime ? c->runtime->multiple : FP_COMPACT_MULTIPLE;
}

int fp_choose(struct fp_choices *c, const fineprune_prune_options *o, fineprune_error *err) {
    const char *method = or (o->method, "fine-pruning");
    const struct fp_method *m = fp_find_method(method);
    if (!m) return fp_choice_unknown("method", method, err);
    struct fp_choices named = {.method = m};
    struct rewarded r;
    int status = read_runtime(&named, o, &r, err);
    if (status) return status;
    const char *const texts[FP_KINDS] = {
        [FP_KIND_SCORE] = or (o->score, m->score),
        [FP_KIND_ALLOCATION] = or (o->allocation, m->allocation),
        [FP_KIND_REPAIR] = or (o->repair, m->repair),
        [FP_KIND_CHANNELS] = or (o->channels, or (r.channels, m->channels)),
        [FP_KIND_SWAPS] = or (o->swaps, m->swaps),
        [FP_KIND_REFIT] = or (o->refit, m->refit),
        [FP_KIND_OUTPUTS] = or (o->outputs, m->outputs),
        [FP_KIND_READOUT] = or (o->readout, m->readout),
    };
    *c = (struct fp_choices){.method = m,
                             .pattern_text = or (o->pattern, or (r.pattern, m->pattern)),
                             .runtime = named.runtime,
                             .rounds = o->rounds > 0 ? o->rounds : rounds_of(m, o->sparsity)};
    status = choose_ideas(c, texts, err);
    if (!status) status = check_numbers(c, o, err);
    if (!status) status = check_shrinking(c, o, err);
    if (!status) status = fp_target_read(&c->target, o->target, err);
    if (!status && c->target.automatic && o->sparsity < 0)
        return fp_fail(err, FINEPRUNE_USAGE, "sparsity auto and target auto cannot both be looked for");
    if (status) return status;
    c->target.multiple = multiple_of(c, o);
    status = settle(c, o, err);
    if (!status) name_rewarded(c, o, &r);
    return status;
}

// An idea that has given way to another since is not named.
int fp_choices_note(const struct fp_choices *c, fineprune_report *report) {
    const struct fp_parameter *const now[FP_KINDS] = {
        [FP_KIND_SCORE] = c->score->parameters,     [FP_KIND_ALLOCATION] = c->allocation->parameters,
        [FP_KIND_REPAIR] = c->repair->parameters,   [FP_KIND_CHANNELS] = c->channels->parameters,
        [FP_KIND_SWAPS] = c->swaps->parameters,     [FP_KIND_REFIT] = c->refit->parameters,
        [FP_KIND_OUTPUTS] = c->outputs->parameters, [FP_KIND_READOUT] = c->readout->parameters,
    };
    int status = FINEPRUNE_OK;
    for (int kind = 0; kind < FP_KINDS && !status; kind++) {
        const struct fp_chosen *chosen = &c->chosen[kind];
        if (strchr(chosen->text, ':') && chosen->parameters == now[kind])
            status = fineprune_report_note(report, "config", fp_kind_word((enum fp_kind)kind), chosen->text);
    }
    return status;
}
