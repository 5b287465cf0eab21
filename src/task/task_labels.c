// SPDX-License-Identifier: Apache-2.0
// What lies beside a model or in its metadata: lists of names, and what their writers call the task. The files are not
// ours: small regular ones are read, anything else is passed over without a word.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "onnx/beside.h"
#include "task/task_evidence.h"
#include "weights/class_names.h"

#define LARGEST ((off_t)4 << 20) // bytes of a file of names
#define MOST_LISTS 65536         // lists and objects in it: an empty one takes a hundred times the bytes of its text

static char *read_file(const char *path) {
    struct stat info;
    // A pipe would never end: what it is is asked first.
    if (stat(path, &info) || !S_ISREG(info.st_mode) || info.st_size > LARGEST) return NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *text = fp_calloc((size_t)info.st_size + 1, 1);
    if (text) text[fread(text, 1, (size_t)info.st_size, file)] = 0;
    fclose(file);
    return text;
}

// The text of a file beside the model, or NULL.
static char *read_text(const char *folder, bool up, const char *name) {
    char *path = fp_beside_path(folder, up, name), *text = NULL;
    if (path) text = read_file(path);
    free(path);
    return text;
}

bool fp_task_is_modest(const char *text) {
    size_t n = 0;
    if (strnlen(text, (size_t)LARGEST + 1) > (size_t)LARGEST) return false;
    for (const char *c = text; *c; c++) n += *c == '[' || *c == '{';
    return n <= MOST_LISTS;
}

static json_t *read_json(const char *text) {
    return fp_task_is_modest(text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static size_t lines_of(const char *text) {
    size_t n = 0;
    bool blank = true;
    for (; *text; text++) {
        n += *text == '\n' && !blank;
        if (*text == '\n') blank = true;
        else if (*text != '\r' && *text != ' ' && *text != '\t') blank = false;
    }
    return n + !blank;
}

static size_t members_of(const json_t *value) {
    if (json_is_array(value)) return json_array_size(value);
    return json_object_size(value);
}

// Names in JSON: a list, an object of numbers and names, or a member that is one of them.
static size_t names_in(const json_t *root, size_t width) {
    for (const char *const *member = fp_class_lists; *member; member++) {
        const size_t n = members_of(json_object_get(root, *member));
        if (n == width) return n;
    }
    return members_of(root);
}

static size_t names_of(const char *text, bool json, size_t width) {
    if (!json) return lines_of(text);
    json_t *root = read_json(text);
    const size_t n = names_in(root, width);
    json_decref(root);
    return n;
}

static const struct fp_beside *names_file(size_t i) {
    const struct fp_beside *b = fp_beside_files;
    for (; b->name; b++)
        if (b->uses & (FP_BESIDE_NAMES | FP_BESIDE_NAMES_JSON) && !i--) return b;
    return NULL;
}

char *fp_task_names_file(const struct fineprune_model *model, size_t i, const char **name, bool *json) {
    const struct fp_beside *b = names_file(i);
    const bool up = !b && i; // the last one, config.json, is looked for in the folder above, too
    if (up) b = names_file(i - 1);
    *name = b ? b->name : NULL;
    if (!b) return NULL;
    *json = (b->uses & FP_BESIDE_NAMES_JSON) != 0;
    return read_text(model->folder, up, b->name);
}

size_t fp_task_labels_beside(const struct fineprune_model *model, size_t width, char *found, size_t size) {
    const char *name;
    bool json;
    for (size_t i = 0;; i++) {
        char *text = fp_task_names_file(model, i, &name, &json);
        if (!name) return 0;
        const size_t n = text ? names_of(text, json, width) : 0;
        free(text);
        if (n != width) continue;
        snprintf(found, size, "%zu names in %s beside the model", n, name);
        return n;
    }
}

// JSON, one a line or with commas; Python's way of writing {0: 'a', 1: 'b'} has one comma less than names.
static size_t names_in_text(const char *text, size_t width) {
    json_t *root = read_json(text);
    size_t n = members_of(root), commas = 0;
    json_decref(root);
    for (const char *c = text; *c; c++) commas += *c == ',';
    if (n == width || lines_of(text) == width || (commas && commas + 1 == width)) return width;
    return 0;
}

size_t fp_task_labels_within(const struct fineprune_model *model, size_t width) {
    for (const char *const *key = fp_class_lists; *key; key++) {
        const char *text = fp_model_metadata(model, *key);
        if (text && names_in_text(text, width)) return width;
    }
    return 0;
}

static int word_points(const char *word) {
    static const struct {
        const char *part;
        int points;
    } words[] = {{"multi_label", -12},
                 {"multilabel", -12},
                 {"regression", -12},
                 {"TokenClassification", -12},
                 {"ObjectDetection", -12},
                 {"Segmentation", -12},
                 {"QuestionAnswering", -12},
                 {"detect", -8},
                 {"segment", -8},
                 {"pose", -8},
                 {"obb", -8},
                 {"FeatureExtraction", -8},
                 {"single_label", 8},
                 {"SequenceClassification", 5},
                 {"ImageClassification", 5},
                 {"AudioClassification", 5},
                 {"classify", 8},
                 {"classification", 5}};
    for (size_t i = 0; i < FP_COUNT(words); i++)
        if (strstr(word, words[i].part)) return words[i].points;
    return 0;
}

static int note(const char *word, const char *where, char *found, size_t size) {
    if (!word) return 0;
    const int points = word_points(word);
    if (points) snprintf(found, size, "%s says '%.60s'", where, word);
    return points;
}

// config.json as Hugging Face writes it.
static int config_points(const json_t *config, char *found, size_t size) {
    int points = note(json_string_value(json_object_get(config, "problem_type")), "config.json", found, size);
    if (!points)
        points = note(json_string_value(json_array_get(json_object_get(config, "architectures"), 0)), "config.json",
                      found, size);
    return points;
}

int fp_task_said(const struct fineprune_model *model, char *found, size_t size) {
    static const char *const keys[] = {"task", "problem_type", "task_type"};
    int points = 0;
    for (size_t i = 0; i < FP_COUNT(keys) && !points; i++)
        points = note(fp_model_metadata(model, keys[i]), "the model's metadata", found, size);
    for (int up = 0; up < 2 && !points; up++) {
        char *text = read_text(model->folder, up, "config.json");
        json_t *config = text ? read_json(text) : NULL;
        if (config) points = config_points(config, found, size);
        json_decref(config);
        free(text);
    }
    return points;
}
