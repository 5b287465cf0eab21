// SPDX-License-Identifier: Apache-2.0
// Opening a model as others see it: read, and every node checked against its operator's row once.
#include "exec/signature.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/name_map.h"
#include "exec/op_list.h"

// ---- reading a row's texts

// Letters of one side of an arity.
struct side {
    const char *letters;
    int n;
};

// The pair that holds for the node's opset: the last that begins at or before it, or the first.
static void read_arity(const char *arity, int opset, struct side *in, struct side *out) {
    for (const char *at = arity; *at; at += *at == ' ') {
        const size_t length = strcspn(at, " ");
        const char *end = at + length, *letters = memchr(at, ':', length);
        if (letters ? strtol(at, NULL, 10) <= opset : at == arity) {
            letters = letters ? letters + 1 : at;
            const char *middle = memchr(letters, '>', (size_t)(end - letters));
            *in = (struct side){letters, (int)(middle - letters)};
            *out = (struct side){middle + 1, (int)(end - middle - 1)};
        }
        at = end;
    }
}

static bool goes_on(const struct side *side) {
    return side->n && (side->letters[side->n - 1] == '*' || side->letters[side->n - 1] == '+');
}

static char letter_of(const struct side *side, int index) {
    if (index < side->n) return side->letters[index];
    if (goes_on(side)) return '*';
    return 'o';
}

static int least_of(const struct side *side) {
    int least = 0;
    for (int i = 0; i < side->n; i++)
        if (side->letters[i] == 'r' || side->letters[i] == '+') least = i + 1;
    return least;
}

bool fp_signature_needs(const struct fp_op *op, const struct fp_node *node, int index) {
    struct side in = {"", 0}, out;
    read_arity(op->arity, node->opset, &in, &out);
    return letter_of(&in, index) != 'o';
}

// ---- inputs and outputs

static int fail(const struct fp_node *node, fineprune_error *err, const char *format, ...) FP_PRINTF(3, 4);
static int fail(const struct fp_node *node, fineprune_error *err, const char *format, ...) {
    char text[400], *what = NULL;
    va_list args;
    va_start(args, format);
    const int n = vasprintf(&what, format, args);
    va_end(args);
    const int status = fp_fail(err, FINEPRUNE_MODEL, "'%.300s': %s %s", node->graph->model->path,
                               fp_node_text(text, sizeof(text), node), n < 0 ? "is not valid" : what);
    if (n >= 0) free(what);
    return status;
}

static int check_number(const struct fp_node *node, const char *what, int n, int least, int most,
                        fineprune_error *err) {
    if (n < least)
        return fail(node, err, "has %d %s%s, at least %d %s needed", n, what, n == 1 ? "" : "s", least,
                    least == 1 ? "is" : "are");
    if (n > most)
        return fail(node, err, "has %d %s%s, at most %d %s known", n, what, n == 1 ? "" : "s", most,
                    most == 1 ? "is" : "are");
    return FINEPRUNE_OK;
}

static int check_side(const struct fp_node *node, const struct side *side, const char *what, int n, const int *ids,
                      fineprune_error *err) {
    const bool inputs = ids == node->in;
    const int status = check_number(node, what, n, least_of(side), goes_on(side) ? INT32_MAX : side->n, err);
    if (status) return status;
    for (int i = 0; i < n; i++) {
        const char letter = letter_of(side, i);
        if (ids[i] < 0 && (letter == 'r' || (letter != 'o' && inputs)))
            return fail(node, err, "leaves %s %d out (its name is empty), which is needed", what, i);
    }
    return FINEPRUNE_OK;
}

// ---- attributes

// Where the row's text has the attribute: behind its name and "="; NULL: it does not know it.
static const char *find_kinds(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, " "), at += *at == ' ')
        if (!strncmp(at, name, length) && at[length] == '=') return at + length + 1;
    return NULL;
}

static int check_kind(const struct fp_node *node, const char *list, const struct fp_attribute *a,
                      fineprune_error *err) {
    const char *kinds = find_kinds(list, a->name);
    if (a->from && !node->caller)
        return fail(node, err, "has the attribute '%.100s', which refers to '%.100s' of a function, but is in none",
                    a->name, a->from);
    if (!kinds || (a->from && !fp_attr_has(node, a->name))) return FINEPRUNE_OK;
    const size_t n = strcspn(kinds, " !");
    if (!a->kind || !memchr(kinds, a->kind, n))
        return fail(node, err, "has the attribute '%.100s', which is %s; it should be %s", a->name,
                    fp_attr_kind_name(a->kind), fp_attr_kind_name(kinds[0]));
    if (a->other)
        return fail(node, err, "has the attribute '%.100s', which is both %s and %s", a->name,
                    fp_attr_kind_name(a->kind), fp_attr_kind_name(a->other));
    return FINEPRUNE_OK;
}

static int check_needed(const struct fp_node *node, const char *list, fineprune_error *err) {
    char name[100];
    for (const char *at = list; at && *at; at += *at == ' ') {
        const size_t length = strcspn(at, "=");
        const char *end = at + strcspn(at, " ");
        if (end[-1] == '!' && length < sizeof(name)) {
            memcpy(name, at, length);
            name[length] = '\0';
            if (!fp_attr_has(node, name)) return fail(node, err, "has no attribute '%s', which is needed", name);
        }
        at = end;
    }
    return FINEPRUNE_OK;
}

static int check_attributes(const struct fp_node *node, const char *list, fineprune_error *err) {
    struct fp_attribute a;
    struct fp_name_map names = {0};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; !status && fp_attr_at(node, i, &a); i++) {
        if (!a.name[0]) status = fail(node, err, "has attribute %zu without a name", i);
        else if (fp_name_find(&names, a.name) >= 0)
            status = fail(node, err, "has the attribute '%.100s' twice", a.name);
        else if (!fp_name_add(&names, a.name, (int)i)) status = fp_fail_memory(err, "names of attributes", 0);
        else status = check_kind(node, list, &a, err);
    }
    fp_name_map_done(&names);
    return status;
}

// ---- nodes

struct checking {
    fineprune_error *err;
};

static int check_call(const struct fp_node *node, fineprune_error *err) {
    const int status = check_number(node, "input", node->n_in, 0, node->function->n_inputs, err);
    if (status) return status;
    return check_number(node, "output", node->n_out, 0, node->function->n_outputs, err);
}

static int check_node(struct fp_node *node, void *user) {
    fineprune_error *err = ((struct checking *)user)->err;
    const struct fp_op *op = fp_node_op(node);
    int status = check_attributes(node, op ? op->attributes : NULL, err);
    if (!status && node->function) status = check_call(node, err);
    if (status || !op) return status;
    struct side in, out;
    read_arity(op->arity, node->opset, &in, &out);
    status = check_side(node, &in, "input", node->n_in, node->in, err);
    if (!status) status = check_side(node, &out, "output", node->n_out, node->out, err);
    if (!status) status = check_needed(node, op->attributes, err);
    return status;
}

int fp_signature_check(struct fineprune_model *model, fineprune_error *err) {
    struct checking checking = {err};
    return fp_graph_visit(model->graph, check_node, &checking);
}

static int open_model(fineprune_model **out, const char *path, const void *bytes, size_t size,
                      const fineprune_run_options *options, fineprune_error *err) {
    fineprune_model *model = NULL;
    int status = fp_model_open(&model, path, bytes, size, options, err);
    if (!status) status = fp_signature_check(model, err);
    if (status) fineprune_model_free(model);
    else *out = model;
    return status;
}

int fineprune_model_open(fineprune_model **out, const char *path, const fineprune_run_options *options,
                         fineprune_error *err) {
    return open_model(out, path, NULL, 0, options, err);
}

int fineprune_model_read(fineprune_model **out, const void *bytes, size_t size, const char *path,
                         const fineprune_run_options *options, fineprune_error *err) {
    if (!bytes || !size) return fp_fail(err, FINEPRUNE_USAGE, "a model of no bytes");
    return open_model(out, path, bytes, size, options, err);
}
