// SPDX-License-Identifier: Apache-2.0
// The judgement over the evidence (task_evidence.c), and how it is told.
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>

#include "report/report.h"
#include "task/task_evidence.h"

#define ENOUGH 3     // points that make classes of an output
#define ENOUGH_FEW 4 // the same where few answers were seen and something tells against it
#define FEW 30
#define AGAINST (-2) // points that make something else of it; between: unclear

static const char *const words[] = {"auto", "classes", "labels", "other"};
static const char *const kinds[] = {"unclear", "classes", "labels", "other"};

int fp_task_word(const char *word) {
    for (int i = 0; i < (int)FP_COUNT(words); i++)
        if (!word || !strcmp(word, words[i])) return i;
    return -1;
}

static const char *reason_of(enum fp_task_kind kind, bool by_word) {
    if (kind == FP_TASK_LABELS && by_word) return "the outputs are independent labels (--task labels)";
    if (kind == FP_TASK_LABELS) return "the outputs are independent labels, not classes";
    if (kind == FP_TASK_OTHER && by_word) return "the outputs are not classes (--task other)";
    if (kind == FP_TASK_OTHER) return "the outputs are not classes";
    if (kind == FP_TASK_CLASSES) return NULL;
    return "it is not clear that the outputs are classes";
}

static void weigh(struct fp_task *task, const struct fp_task_case *c) {
    bool labels = false, veto = false, against = false;
    for (int i = 0; i < task->n; i++) {
        task->points += task->evidence[i].points;
        labels |= task->evidence[i].says == FP_TASK_LABELS;
        against |= task->evidence[i].points < 0;
        veto |= task->evidence[i].points <= FP_TASK_VETO;
    }
    const int enough = against && c->n && c->n < FEW ? ENOUGH_FEW : ENOUGH;
    if (!veto && task->points >= enough) task->kind = FP_TASK_CLASSES;
    else if (labels) task->kind = FP_TASK_LABELS;
    else if (veto || task->points <= AGAINST) task->kind = FP_TASK_OTHER;
    else task->kind = FP_TASK_UNCLEAR;
}

int fp_task_judge(struct fp_task *task, const struct fp_task_case *c, const char *word, fineprune_error *err) {
    const struct fp_graph *graph = c->model->graph;
    const int said = fp_task_word(word);
    *task = (struct fp_task){.by_word = said > 0, .output = graph->values[graph->outputs[c->output]].name};
    int status = fp_task_gather(task, c, err);
    if (status) return status;
    weigh(task, c);
    if (said > 0) task->kind = (enum fp_task_kind)said;
    task->reason = reason_of(task->kind, task->by_word);
    if (c->unlike) {
        task->reason = "the output has other rows than one for each sample";
        if (said == FP_TASK_CLASSES) task->kind = FP_TASK_OTHER;
    }
    return FINEPRUNE_OK;
}

// ---- words

// The strongest pieces that say what was decided.
static void add_strongest(char *line, size_t size, const struct fp_task *task) {
    bool told[FP_TASK_EVIDENCE] = {false};
    const bool classes = task->kind == FP_TASK_CLASSES;
    for (int k = 0; k < 3; k++) {
        int best = -1;
        for (int i = 0; i < task->n; i++) {
            const int points = task->evidence[i].points;
            if (told[i] || (classes ? points <= 0 : points >= 0)) continue;
            if (best < 0 || abs(points) > abs(task->evidence[best].points)) best = i;
        }
        if (best < 0) return;
        told[best] = true;
        const size_t at = strlen(line);
        snprintf(line + at, size - at, "%s%s", k ? ", " : ": ", task->evidence[best].found);
    }
}

// What of the user's says so.
static const char *word_of(const struct fp_task *task) { return task->by_labels ? "--labels" : "--task"; }

static void say(char *line, size_t size, const struct fp_task *task) {
    static const char *const taken[] = {"nobody knows whether the outputs are classes, so they are not taken for any",
                                        "the outputs are taken for classes",
                                        "the outputs are taken for independent labels",
                                        "the outputs are taken for something else than classes"};
    snprintf(line, size, "%s", taken[task->kind]);
    const size_t at = strlen(line);
    if (task->by_word && !task->reason) snprintf(line + at, size - at, ", as %s says", word_of(task));
    else if (task->by_word) snprintf(line + at, size - at, ": %s", task->reason);
    else add_strongest(line, size, task);
    if (!task->n && !task->by_word && task->reason) snprintf(line + at, size - at, ": %s", task->reason);
    const size_t end = strlen(line);
    if (!task->by_word)
        snprintf(line + end, size - end, "; --task %s says otherwise",
                 task->kind == FP_TASK_CLASSES ? "other" : "classes");
}

void fp_task_report(const struct fp_task *task, struct fineprune_report *report) {
    char line[4 * FP_TASK_FOUND + 200];
    say(line, sizeof(line), task);
    struct fp_report_task told = {.decided = kinds[task->kind],
                                  .by = task->by_word ? word_of(task) : "evidence",
                                  .output = task->output,
                                  .reason = task->reason,
                                  .points = task->points,
                                  .evidence.there = true,
                                  .said = line};
    for (int i = 0; i < task->n; i++) {
        const struct fp_task_evidence *e = &task->evidence[i];
        const struct fp_report_evidence one = {e->name, e->found, kinds[e->says], e->points};
        fp_report_add_evidence(report, &told, &one);
    }
    FP_PUT(report, task, &told);
}
