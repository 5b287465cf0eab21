// SPDX-License-Identifier: Apache-2.0
// What names tell of outputs: words that networks use for classes, and for what is none.
#include "weights/class_names.h"

#include <ctype.h>
#include <string.h>

#include "base/base.h"

const char *const fp_class_lists[] = {"id2label",    "label2id",    "labels",     "names", "classes",
                                      "class_names", "label_names", "categories", NULL};

struct telling {
    const char *start; // of a word
    int points;
};

static const struct telling NAMES[] = {
    {"prob", 4},         {"softmax", 4},      {"class", 3},     {"categor", 3},    {"cls", 2},       {"logit", 2},
    {"score", 2},        {"multilabel", -6},  {"tag", -6},      {"attribute", -6}, {"ner", -6},      {"box", -6},
    {"bbox", -6},        {"landmark", -6},    {"keypoint", -6}, {"kpt", -6},       {"coord", -6},    {"offset", -6},
    {"pose", -6},        {"angle", -6},       {"joint", -6},    {"embed", -6},     {"feature", -6},  {"feat", -6},
    {"latent", -6},      {"hidden", -6},      {"pooler", -6},   {"pooled", -6},    {"vector", -6},   {"descriptor", -6},
    {"encod", -6},       {"decod", -6},       {"recon", -6},    {"denoise", -6},   {"regress", -6},  {"forecast", -6},
    {"quantile", -6},    {"depth", -6},       {"age", -6},      {"velocity", -6},  {"position", -6}, {"rotation", -6},
    {"translation", -6}, {"temperature", -6}, {"qvalue", -6},   {"mask", -6},      {"heatmap", -6},
};

static bool begins(const char *text, size_t length, const char *start) {
    const size_t n = strlen(start);
    if (length < n) return false;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)text[i]) != start[i]) return false;
    // "age" is a word; "agent" is another
    return n > 3 || length == n || !strcmp(start, "cls") || (length == n + 1 && tolower((unsigned char)text[n]) == 's');
}

// The words of a name: letters, split also where a capital follows a small one. What tells against classes wins.
int fp_class_name_points(const char *name) {
    int most = 0, least = 0;
    for (const char *at = name; *at;) {
        size_t n = 0;
        while (isalpha((unsigned char)at[n]) &&
               !(n && islower((unsigned char)at[n - 1]) && isupper((unsigned char)at[n])))
            n++;
        for (size_t i = 0; n && i < FP_COUNT(NAMES); i++) {
            if (!begins(at, n, NAMES[i].start)) continue;
            if (NAMES[i].points > most) most = NAMES[i].points;
            if (NAMES[i].points < least) least = NAMES[i].points;
        }
        at += fp_most(n, 1);
    }
    if (least < 0) return least;
    return most;
}
