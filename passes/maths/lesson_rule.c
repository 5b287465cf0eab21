// SPDX-License-Identifier: Apache-2.0
// The constants of the lesson as parameters of the two ideas that use it: what counts classes and holds them back
// belongs to the outputs, what is learned to the read-out. In brackets, between which values little changes.
#include "maths/lesson.h"

enum { MISS, WAIT, SEEN, UNSEEN, USE, ALL, EVIDENCE, UNLIKE, FLAT, LEAST_WEIGHT };
const struct fp_parameter fp_lesson_counting[] = {
    [MISS] = {"miss", 0.1, 0.001, 1, "classes of a user who has most of them that many samples miss (0.05 to 0.2)"},
    [WAIT] = {"wait", 2, 0.1, 100, "samples a class until they do (1 to 4)"},
    [SEEN] = {"seen", 2, 0.5, 100, "samples of which a class is surely the user's: one may be a mistake (1.5 to 3)"},
    // Removal cannot be undone.
    [UNSEEN] = {"unseen", 0.1, 0, 1, "the future's share of unseen classes up to which rows go (0.05 to 0.15)"},
    [USE] = {"use", 1.5, 0.1, 10, "more: to have all classes takes more of them (1 to 2)"},
    [ALL] = {"all", 4, 0.1, 20, "more: a user counts sooner as one who has all classes (3 to 6)"},
    [EVIDENCE] = {"evidence", 0.2, 0.001, 100,
                  "sure answers a class, squared, below which nobody is held back (0.1 to 0.4)"},
    // Quantized logits have some.
    [UNLIKE] = {"unlike", 0.05, 0, 1, "share of the logits' variance that the last layer may leave unexplained"},
    // Networks that were trained with cross-entropy have 0.5 to 2.7 on people whom they do not know.
    [FLAT] = {"flat", 2.5, 1, 1e6,
              "times as sure as the model its neighbouring answers are, from which it is made surer (2 to 3)"},
    [LEAST_WEIGHT] = {"least-weight", 1e-3, 0, 1, "what the scores of a row that is held back count at least"},
    {0},
};

enum { WEIGHT, KAPPA, START, SPARE, NEAR, ERROR, STEEP, WEAK, ROOM, STEPS, SETTLE, EASE, TRIES, RIDGE };
const struct fp_parameter fp_lesson_learning[] = {
    // More costs single users who have few of the classes.
    [WEIGHT] = {"weight", 6, 0.1, 100, "of the prototypes against the spread of the logits (3 to 8)"},
    [KAPPA] = {"kappa", 2, 0.01, 100, "samples that a prototype counts as not reliable (1 to 4)"},
    [START] = {"start", 0.25, 0, 10, "samples from which a class can still grow by the lesson (0.1 to 0.5)"},
    // One outlier must not decide the strength.
    [SPARE] = {"spare", 0.01, 0, 0.5, "share of samples that may miss the full lesson's answer (0.005 to 0.02)"},
    [NEAR] = {"near", 5, 1, 100, "neighbours that a lesson's answers are compared with (3 to 8)", .whole = true},
    [ERROR] = {"error", 0.4, 0.01, 10,
               "their disagreement against the model's own doubt, from which a lesson is weak (0.3 to 0.5)"},
    [STEEP] = {"steep", 4, 0.1, 50, "how suddenly (2 to 6)"},
    // Where nothing else speaks for the lesson.
    [WEAK] = {"weak", 1.0 / 3, 0, 1, "of the strength that the samples justify for each other (0.2 to 0.5)"},
    // 0 is careful, and costs the others' gain.
    [ROOM] = {"room", 0.5, 0, 1, "more strength for users with few or nearly all of the classes (0 to 0.7)"},
    [STEPS] = {"steps", 10, 1, 100, "of the prototypes: it has settled by then (5 to 20)", .whole = true},
    [SETTLE] = {"settle", 20, 0.1, 1000, "samples from which most of a lesson is believed (10 to 30)"},
    [EASE] = {"ease", 0.75, 0.1, 0.99, "of the weight, where the lesson is not trusted (0.6 to 0.9)"},
    // 1 leaves users without a lesson who are at the edge of trust.
    [TRIES] = {"tries", 4, 1, 20, "weights that are tried until one is trusted (1 to 6)", .whole = true},
    [RIDGE] = {"ridge", 0.3, 0.001, 100, "of the last fit, of the features' mean variance (0.1 to 1)"},
    {0},
};

static double value_of(const struct fp_parameter *parameters, const double *values, int which) {
    if (!values) return parameters[which].initial;
    return values[which];
}

struct fp_lesson_rule fp_lesson_rule_of(const double *counting, const double *learning) {
#define COUNTING(which) value_of(fp_lesson_counting, counting, which)
#define LEARNING(which) value_of(fp_lesson_learning, learning, which)
    return (struct fp_lesson_rule){
        .miss = COUNTING(MISS),
        .wait = COUNTING(WAIT),
        .seen = COUNTING(SEEN),
        .unseen = COUNTING(UNSEEN),
        .use = COUNTING(USE),
        .all = COUNTING(ALL),
        .evidence = COUNTING(EVIDENCE),
        .unlike = COUNTING(UNLIKE),
        .flat = COUNTING(FLAT),
        .least_weight = COUNTING(LEAST_WEIGHT),
        .weight = LEARNING(WEIGHT),
        .kappa = LEARNING(KAPPA),
        .start = LEARNING(START),
        .spare = LEARNING(SPARE),
        .near = (int)LEARNING(NEAR),
        .error = LEARNING(ERROR),
        .steep = LEARNING(STEEP),
        .weak = LEARNING(WEAK),
        .room = LEARNING(ROOM),
        .steps = (int)LEARNING(STEPS),
        .settle = LEARNING(SETTLE),
        .ease = LEARNING(EASE),
        .tries = (int)LEARNING(TRIES),
        .ridge = LEARNING(RIDGE),
    };
#undef COUNTING
#undef LEARNING
}
