// SPDX-License-Identifier: Apache-2.0
// The verdict is the first line of the summary: whether the result is better, as good, worse or ruined, or that nobody
// can tell; and what else that line must not keep back.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "job/measures.h"
#include "maths/answers.h"

#define AS_ASKED 0.01 // of all weights: fewer zeros are not told
#define WORTH_IT 0.1  // share of the answers that a lesson changes where it is more than chance

enum kind { BETTER, SAME, WORSE, UNKNOWN };
static const char *const kinds[] = {"better", "same", "worse", "unknown"};

// Of all answers where the last layer was fitted, else of those that were held back.
static bool has_more(const struct fp_measures *m) { return m->all.n > m->held.n; }

// As good as before: few answers are others.
static bool is_same(const struct fp_measures *m, double share) {
    return (double)(m->held.n - m->held.as_came) <= share * (double)m->held.n &&
           (double)(m->all.n - m->all.as_came) <= share * (double)m->all.n;
}

// Without labels: what the lesson changes is for the better, as far as the model expects to be wrong, and where it is
// more than chance: a tenth of the answers. What the zeros change is for the worse.
static bool is_better(const struct fp_measures *m) {
    const size_t taught = m->all.taught;
    return taught >= FP_FEW_ANSWERS && (double)taught >= WORTH_IT * (double)m->all.n &&
           2 * (m->held.n - m->held.same) <= m->held.taught && 2 * (m->all.n - m->all.same) <= taught;
}

static enum kind judge(const struct fp_job *job, const struct fp_measures *m) {
    const bool no_layer = job->classes.classifier.weight < 0;
    if (m->ruined) return WORSE;
    if (!m->known || m->alike || (m->classes && m->held.n < FP_FEW_ANSWERS)) return UNKNOWN;
    if (!m->classes)
        return m->error > FP_UNSAID || (m->worst.column >= 0 && m->worst.of_column > 2 * FP_UNSAID) ? WORSE : SAME;
    if (!m->worse && is_same(m, no_layer ? 0.15 : 0.05)) return SAME;
    if (no_layer || m->worse || fp_zeros_outweigh(m)) return WORSE;
    if (m->all.taught && !fp_changes_may_help((double)m->all.taught, m->all.expected)) return UNKNOWN;
    if (m->kinds == 1 && m->often_came > 1) return UNKNOWN; // a user of one class, or a model that has collapsed
    return is_better(m) ? BETTER : UNKNOWN;
}

static const char *samples_word(const struct fp_measures *m) {
    if (m->local || has_more(m)) return "answers to your samples";
    return "held-back answers";
}

// What changed, where it is not as it was.
static void say_changed(const struct fp_job *job, const struct fp_measures *m, enum kind kind, FILE *file) {
    const char *const words[] = {
        [BETTER] = "better for you, probably", [WORSE] = "worse, probably", [UNKNOWN] = "cannot tell"};
    const struct fp_answer_counts *a = &m->all;
    char mistakes[64];
    snprintf(mistakes, sizeof(mistakes), "%.0f mistake%s", a->expected, fabs(a->expected - 1) < 0.5 ? "" : "s");
    if (kind == WORSE && a->as_came == a->n)
        fprintf(file, "worse, perhaps: though %zu of %zu %s are as they were", a->as_came, a->n, samples_word(m));
    else if (job->classes.classifier.weight < 0)
        fprintf(file, "worse: %zu of %zu %s are others", a->n - a->as_came, a->n, samples_word(m));
    else if (!a->taught)
        fprintf(file, "%s: %zu of %zu %s are others, where the model itself expected %s", words[kind],
                a->n - a->as_came, a->n, samples_word(m), mistakes);
    else
        fprintf(file,
                "%s: what it learned changes %zu of %zu %s, where the model itself expected %s; the zeros change %zu "
                "more",
                words[kind], a->taught, a->n, samples_word(m), mistakes, a->n - a->same);
    if (has_more(m) && m->held.same < m->held.n)
        fprintf(file, ", %zu of the %zu held-back ones", m->held.n - m->held.same, m->held.n);
}

static void say_classes(const struct fp_job *job, const struct fp_measures *m, enum kind kind, FILE *file) {
    const struct fp_answer_counts *held = &m->held, *all = &m->all;
    const char *answers = m->local ? "answers to your samples" : "held-back answers";
    if (m->alike && !m->ruined)
        fprintf(file, "cannot tell: your samples are all the same to the model; %zu of %zu answers are as they were",
                held->as_came, held->n);
    else if (held->n < FP_FEW_ANSWERS && !m->ruined)
        fprintf(file, "cannot tell: only %zu answers to measure with, %zu of them as they were", held->n,
                held->as_came);
    else if (m->ruined)
        fprintf(file, "ruined: only %zu of %zu %s are those of the model without zeros", held->same, held->n, answers);
    else if (kind == SAME && has_more(m))
        fprintf(file, "as good as before: %zu of %zu %s are as they were, %zu of %zu held-back ones", all->as_came,
                all->n, samples_word(m), held->as_came, held->n);
    else if (kind == SAME)
        fprintf(file, "as good as before: %zu of %zu %s are as they were", held->as_came, held->n, answers);
    else say_changed(job, m, kind, file);
    if (m->worse && !m->ruined && isfinite(m->error) && m->error >= 0)
        fprintf(file, "; held-back scores are off by %.0f %% of their spread", 100 * sqrt(m->error));
    if (m->ruined && m->kinds == 1 && m->kinds_dense > 1) fputs(", and all are the same", file);
    else if (m->kinds == 1 && m->often_came > 1) fputs("; all answers are of one class now", file);
}

static void say_outputs(const struct fp_measures *m, enum kind kind, FILE *file) {
    if (!m->known) {
        fprintf(file, "cannot tell: %s",
                m->held.n ? "there is no output of numbers to measure" : "no samples were kept to measure with");
        return;
    }
    if (m->ruined) fputs("ruined: ", file);
    else if (kind == SAME) fputs("as good as before: ", file);
    else if (m->worse) fputs("worse, perhaps: ", file);
    else fputs("a little worse, perhaps: ", file);
    if (isinf(m->error)) fputs("the outputs have nothing in common with what they were", file);
    else if (m->error < 1e-6) fputs("the outputs differ by less than 0.1 % of their spread", file);
    else if (m->worst.column >= 0 && kind != SAME)
        fprintf(file, "column %d of output '%s' differs by %.0f %% of its spread", m->worst.column, m->worst.output,
                100 * sqrt(m->worst.of_column));
    else fprintf(file, "the outputs differ by %.*f %% of their spread", m->error < 0.01 ? 1 : 0, 100 * sqrt(m->error));
    if (m->worst.output && m->worst.column < 0 && kind != SAME) fprintf(file, ", most in '%s'", m->worst.output);
}

static size_t left_dense(const struct fp_job *job) {
    size_t n = 0;
    for (int i = 0; i < job->layers.weights->n_skipped; i++)
        n += job->layers.weights->skipped[i].reason &&
             !strncmp(job->layers.weights->skipped[i].reason, "no sample reaches", 17);
    return n;
}

// What became of the pattern, where the model could not bear it. Whether there was something to say.
static bool say_pattern(const struct fp_job *job, const struct fp_measures *m, double asked, FILE *file) {
    const int n = fp_weakened(job);
    const char *pattern = job->choices.pattern_text;
    if (!fp_has_pattern(&job->choices)) return false;
    if (job->state.refused) {
        fprintf(file, "; pattern %s ruins it", pattern);
        if (n) fprintf(file, ", even where %d of %d weights stay dense", n, job->layers.n);
    } else if (n) {
        fprintf(file, "; pattern %s ruins it in %d of %d weights, which stay dense (", pattern, n, job->layers.n);
        fp_weaken_say(job, file);
        fprintf(file, "): %.0f %% zeros", 100 * fp_weaken_share(job));
        if (asked >= 0) fprintf(file, ", not the %.3g %% that were asked", 100 * asked);
    } else if (m->ruined && job->options->strict_sparsity) {
        fprintf(file, "; all zeros of pattern %s were kept, as --strict-sparsity asks", pattern);
    } else if (m->ruined) {
        fprintf(file, "; pattern %s is too much for it: ask for less, or for the default method", pattern);
    } else {
        return false;
    }
    return true;
}

// Why there are fewer zeros than were asked; NULL: there are not.
static const char *why_fewer(const struct fp_job *job, double asked) {
    const bool fewer = asked >= 0 && fp_weaken_share(job) < asked - AS_ASKED && !job->choices.pattern->decides;
    if (asked >= 0 && job->state.got >= 0 && job->state.got < asked - 1e-9)
        return job->state.gave_back ? "more would cost too much" : "more are not justified by so few samples";
    if (!fewer) return NULL;
    if (job->state.few) return "more are not justified by so few samples";
    if (left_dense(job)) return "weights that no sample reaches stay dense";
    return "every output of a layer keeps an input, and what few samples reach keeps more";
}

static void say_zeros(const struct fp_job *job, const struct fp_measures *m, double asked, FILE *file) {
    const char *fewer = why_fewer(job, asked);
    if (say_pattern(job, m, asked, file)) return;
    if (job->state.refused && job->choices.target.kind)
        fprintf(file, "; the target '%s' is too much", job->choices.target.text);
    else if (job->state.refused)
        fprintf(file, "; no share of zeros that was tried is safe, from %.0f %% down to %.0f %%", 100 * asked,
                100 * job->state.got);
    else if (fewer)
        fprintf(file, "; %.0f %% zeros, not the %.3g %% that were asked: %s", floor(100 * fp_weaken_share(job) + 1e-9),
                100 * asked, fewer);
    else if (m->ruined && job->options->strict_sparsity)
        fputs("; all zeros were kept, as --strict-sparsity asks", file);
    else if (m->ruined) fputs("; ask for less sparsity, or for the default method and pattern", file);
}

// What else the first line must not keep back.
static void say_changes(const struct fp_job *job, const struct fp_measures *m, double asked, FILE *file) {
    const size_t dense = left_dense(job);
    say_zeros(job, m, asked, file);
    if (m->other > FP_UNSAID && m->worst.column >= 0)
        fprintf(file, "; but column %d of output '%s' differs by %.0f %% of its spread", m->worst.column,
                m->worst.output, 100 * sqrt(fmin(m->worst.of_column, 1e4)));
    else if (m->other > FP_UNSAID)
        fprintf(file, "; but output '%s' differs by %.0f %% of its spread", m->worst.output,
                100 * sqrt(fmin(m->other, 1e4)));
    if (job->classes.forgotten) fprintf(file, "; nothing was learned from your samples: %s", job->classes.forgotten);
    if (dense == 1) fputs("; 1 weight was left dense, as no sample reaches it", file);
    if (dense > 1) fprintf(file, "; %zu weights were left dense, as no sample reaches them", dense);
}

static struct fp_report_measures told_of(const struct fp_measures *m) {
    return (struct fp_report_measures){.samples = m->held.n,
                                       .measured_on = m->local ? "samples" : "reserve",
                                       .relative_error = m->error,
                                       .relative_error_of_other_outputs = m->other,
                                       .worst_output = m->worst.output,
                                       .classes = m->classes,
                                       .as_came = m->held.as_came,
                                       .as_without_zeros = m->held.same,
                                       .mean_confidence_before = m->sureness_dense,
                                       .mean_confidence = m->sureness,
                                       .changed_by_lesson = m->held.taught,
                                       .sure = m->sure,
                                       .sure_as_without_zeros = m->sure_same,
                                       .different_answers_before = m->kinds_dense,
                                       .different_answers = m->kinds,
                                       .of_lost_classes = m->lost,
                                       .expected_mistakes = m->held.expected,
                                       .all_samples = has_more(m) ? m->all.n : 0,
                                       .all_as_came = m->all.as_came,
                                       .all_as_without_zeros = m->all.same,
                                       .all_changed_by_lesson = m->all.taught,
                                       .all_expected_mistakes = m->all.expected};
}

int fp_verdict_report(struct fp_job *job, double asked) {
    struct fp_measures m;
    char *text = NULL;
    size_t size;
    int status = fp_measure(job, &m);
    if (status) return status;
    FILE *file = open_memstream(&text, &size);
    if (!file) return fp_fail_memory(job->err, "the report", 0);
    const enum kind kind = judge(job, &m);
    if (!job->data)
        fputs("cannot tell: statistics alone measure nothing; 'fineprune compare' does, with samples", file);
    else if (m.classes) say_classes(job, &m, kind, file);
    else say_outputs(&m, kind, file);
    say_changes(job, &m, asked, file);
    if (fclose(file)) {
        free(text);
        return fp_fail_memory(job->err, "the report", 0);
    }
    const struct fp_report_verdict verdict = {
        .kind = kinds[kind], .text = text, .ruined = m.ruined, .measures = told_of(&m)};
    FP_PUT(job->report, verdict, &verdict);
    free(text);
    return FINEPRUNE_OK;
}
