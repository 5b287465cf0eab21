// SPDX-License-Identifier: Apache-2.0
// Names are listed in many ways: one a line, with commas, as a list in JSON, as an object of numbers and names or of
// names and numbers, as Python writes a dict. A list that is not one of all classes is passed over.
#include "task/task_names.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/guess.h"
#include "task/task_evidence.h"
#include "weights/class_names.h"

struct list {
    struct fp_arena *room;
    const char **names;
    size_t n, set; // of them
};

static bool list_begin(struct list *l, size_t n, size_t width) {
    l->n = n;
    l->set = 0;
    l->names = NULL;
    if (n >= 2 && (!width || n == width)) l->names = fp_arena_take(l->room, n, sizeof(*l->names));
    return l->names != NULL;
}

static void list_put(struct list *l, size_t at, const char *name, size_t length) {
    if (at >= l->n || l->names[at]) return;
    char *copy = fp_arena_take(l->room, length + 1, 1);
    if (copy) memcpy(copy, name, length);
    l->names[at] = copy;
    l->set += copy != NULL;
}

// Whether all classes have a name, and not one that tells nothing, as Hugging Face writes where nobody gave any.
static bool list_good(const struct list *l) {
    if (!l->names || l->set != l->n) return false;
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->names[i], "LABEL_", 6) != 0) return true;
    return false;
}

// The number that a key is, SIZE_MAX for a word.
static size_t number_of(const char *key) {
    if (!isdigit((unsigned char)key[0]) || key[strspn(key, "0123456789")]) return SIZE_MAX;
    return strtoul(key, NULL, 10);
}

static bool take_value(struct list *l, const json_t *value, size_t width) {
    const char *key;
    json_t *item;
    size_t n = json_object_size(value);
    if (json_is_array(value)) n = json_array_size(value);
    if (!list_begin(l, n, width)) return false;
    for (size_t i = 0; i < n && json_is_array(value); i++) {
        item = json_array_get(value, i);
        if (json_is_string(item)) list_put(l, i, json_string_value(item), json_string_length(item));
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item) {
        if (json_is_string(item)) list_put(l, number_of(key), json_string_value(item), json_string_length(item));
        else if (json_is_integer(item) && json_integer_value(item) >= 0)
            list_put(l, (size_t)json_integer_value(item), key, strlen(key));
    }
    return list_good(l);
}

static bool take_json(struct list *l, const char *text, size_t width) {
    json_t *root = fp_task_is_modest(text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    bool good = false;
    for (const char *const *member = fp_class_lists; *member && !good; member++)
        good = take_value(l, json_object_get(root, *member), width);
    if (!good) good = take_value(l, root, width);
    json_decref(root);
    return good;
}

// Counts the parts between separators, and puts them where l has room. Empty lines are none.
static size_t split(struct list *l, const char *text, char separator, bool put) {
    size_t n = 0;
    for (const char *at = text; *at;) {
        const char *end = strchrnul(at, separator), *next = *end ? end + 1 : end;
        while (at < end && isspace((unsigned char)*at)) at++;
        while (end > at && isspace((unsigned char)end[-1])) end--;
        if (end > at && put) list_put(l, n, at, (size_t)(end - at));
        n += end > at;
        at = next;
    }
    return n;
}

static bool take_parts(struct list *l, const char *text, char separator, size_t width) {
    if (!list_begin(l, split(l, text, separator, false), width)) return false;
    split(l, text, separator, true);
    return list_good(l);
}

// {0: 'a', 1: "b"}
static bool take_dict(struct list *l, const char *text, size_t width) {
    size_t n = 0;
    if (text[strspn(text, " ")] != '{') return false;
    for (const char *c = text; *c; c++) n += *c == ':';
    if (!list_begin(l, width ? width : n, width)) return false;
    for (const char *at = strchr(text, '{') + 1; *at;) {
        at += strspn(at, " ,\n");
        char *end;
        const unsigned long number = strtoul(at, &end, 10);
        const char *open = end + strspn(end, ": ");
        if (end == at || (*open != '\'' && *open != '"')) break;
        const char *close = strchr(open + 1, *open);
        if (!close) break;
        list_put(l, number, open + 1, (size_t)(close - open - 1));
        at = close + 1;
    }
    return list_good(l);
}

static void keep(struct fp_task_names *out, const struct list *l, const char *what, const char *where) {
    out->names = l->names;
    out->n = l->n;
    snprintf(out->where, sizeof(out->where), "%s%s", what, where);
}

static void find_within(struct fp_task_names *out, struct list *l, const struct fineprune_model *model, size_t width) {
    for (const char *const *key = fp_class_lists; *key && !out->names; key++) {
        const char *text = fp_model_metadata(model, *key);
        if (text && (take_json(l, text, width) || take_dict(l, text, width) || take_parts(l, text, '\n', width) ||
                     take_parts(l, text, ',', width)))
            keep(out, l, *key, " in the model's metadata");
    }
}

int fp_task_names_find(struct fp_task_names *out, const struct fineprune_model *model, size_t width,
                       struct fp_arena *room, fineprune_error *err) {
    struct list l = {.room = room};
    const char *name = "";
    bool json;
    *out = (struct fp_task_names){0};
    for (size_t i = 0; name && !out->names; i++) {
        char *text = fp_task_names_file(model, i, &name, &json);
        if (text && (json ? take_json(&l, text, width) : take_parts(&l, text, '\n', width)))
            keep(out, &l, name, " beside the model");
        free(text);
    }
    if (!out->names) find_within(out, &l, model, width);
    return fp_arena_check(room, err);
}

static int plain(char c) {
    if (c == '_' || c == '-') return ' ';
    return tolower((unsigned char)c);
}

static bool alike(const char *a, const char *b) {
    while (*a && plain(*a) == plain(*b)) a++, b++;
    return !*a && !*b;
}

size_t fp_task_names_match(const struct fp_task_names *names, const char *name, size_t *index, const char **best) {
    struct fp_guess guess = {.word = name};
    size_t n = 0;
    for (size_t i = 0; i < names->n; i++) {
        if (alike(names->names[i], name) && !n++) *index = i;
        fp_guess_offer(&guess, names->names[i]);
    }
    *best = guess.best;
    return n;
}

int fp_task_names_index(const struct fp_task_names *names, const char *name, size_t *index, fineprune_error *err) {
    const char *best;
    const size_t n = fp_task_names_match(names, name, index, &best);
    if (n == 1) return FINEPRUNE_OK;
    if (n)
        return fp_fail(err, FINEPRUNE_DATA, "the folder '%s' may be %zu of the classes of %s", name, n, names->where);
    int status = fp_fail(err, FINEPRUNE_DATA, "the folder '%s' is none of the %zu classes of %s", name, names->n,
                         names->where);
    if (best) fp_hint(err, "did you mean '%s'?", best);
    else fp_hint(err, "class folders are named as the classes; --labels FILE.npy gives their numbers");
    return status;
}
