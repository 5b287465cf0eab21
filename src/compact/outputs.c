// SPDX-License-Identifier: Apache-2.0
// From the output back to the layer of the classes: every stored tensor with one number a class is cut, and what names
// or mixes classes otherwise forbids it.
#include "compact/outputs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "exec/op_list.h"
#include "weights/channels.h"
#include "weights/class_names.h"
#include "weights/classifier.h"

enum { REASON = 200, MOST_STEPS = 32 };

struct cut {
    int value, axis; // of the main graph; a stored tensor's
};

struct search {
    struct fineprune_model *model;
    const struct fp_graph *graph;
    struct fp_exec *exec;
    struct fp_weights *weights;
    struct fp_classifier classifier;
    size_t classes;
    struct cut cuts[6 * MOST_STEPS];
    int path[MOST_STEPS]; // values that carry classes along axis 1
    size_t n_cuts, n_path;
    char *reason;
    fineprune_error *err;
};

static bool stop(struct search *s, const char *reason, const char *what) {
    snprintf(s->reason, REASON, reason, what);
    return false;
}

// ---- what must be cut

enum { CLASS_AXIS = -1 }; // the one that has them, of one number a class

// A stored tensor that has the classes along an axis, or one number for all.
static bool cut(struct search *s, int value, int axis) {
    const struct fp_value *v = &s->graph->values[value];
    struct fp_tensor shape;
    Onnx__TensorProto *proto = fp_stored_tensor(v);
    if (!proto || fp_initializer_shape(s->model, proto, &shape, NULL, NULL))
        return stop(s, "tensor '%.100s' is computed, not stored", v->name);
    if (shape.count == 1) return true;
    if (v->n_readers != 1) return stop(s, "tensor '%.100s' is read elsewhere too", v->name);
    for (int i = 0; i < shape.rank && axis == CLASS_AXIS; i++)
        if ((size_t)shape.dims[i] == s->classes && shape.count == s->classes) axis = i;
    if (axis == CLASS_AXIS || axis >= shape.rank || (size_t)shape.dims[axis] != s->classes)
        return stop(s, "tensor '%.100s' has another shape than the classes", v->name);
    s->cuts[s->n_cuts++] = (struct cut){value, axis};
    return true;
}

static bool cut_layer(struct search *s, const struct fp_weight *w) {
    const struct fp_node *node = w->node;
    const int bias = fp_node_op(node)->weight.bias;
    const bool first = w->view == FP_VIEW_CONV || fp_attr_int(node, "transB", 0);
    if (w->uses[0].slot != 1 || w->n_sources != 1 || fp_view_is_recurrent(w->view) || w->view == FP_VIEW_EINSUM)
        return stop(s, "layer '%.100s' is not a plain product", w->name);
    if (!cut(s, node->in[1], first ? 0 : w->rank - 1)) return false;
    return !bias || bias >= node->n_in || node->in[bias] < 0 || cut(s, node->in[bias], CLASS_AXIS);
}

// A constant of one number a class.
static bool cut_beside(struct search *s, const struct fp_node *node, int *from) {
    const bool second = node->n_in == 2 && fp_stored_tensor(&s->graph->values[node->in[1]]);
    const bool first = node->n_in == 2 && fp_stored_tensor(&s->graph->values[node->in[0]]);
    if (first == second) return stop(s, "%.100s joins two values behind the last layer", node->type);
    *from = second ? 0 : 1;
    return cut(s, node->in[1 - *from], CLASS_AXIS);
}

// A shape that names the number of classes would have to become another.
static bool reshapes(struct search *s, const struct fp_node *node) {
    struct fp_tensor shape = {0};
    if (node->n_in < 2 || fp_exec_constant(s->exec, s->graph, node->in[1], &shape, NULL))
        return stop(s, "the shape of a %.100s behind the last layer is not known", node->type);
    bool named = false;
    for (size_t i = 0; i < shape.count; i++) named |= ((const int64_t *)shape.data)[i] == (int64_t)s->classes;
    fp_tensor_done(&shape);
    return !named || stop(s, "a %.100s behind the last layer names the number of classes", node->type);
}

static bool normalizes(struct search *s, const struct fp_node *node) {
    for (int i = 1; i < node->n_in; i++)
        if (!cut(s, node->in[i], 0)) return false;
    return true;
}

// The node hands classes on, each by itself; *from: the input that has them.
static bool pass(struct search *s, const struct fp_node *node, int *from) {
    *from = 0;
    switch (fp_node_role(node)) {
    case FP_ROLE_IDENTITY:
    case FP_ROLE_CASTS:
    case FP_ROLE_DROPS:
    case FP_ROLE_SETS_AXES:
    case FP_ROLE_AVERAGES:
    case FP_ROLE_AVERAGES_WINDOWS:
    case FP_ROLE_AVERAGES_ALL:
    case FP_ROLE_SOFTMAX: return true;
    case FP_ROLE_RESHAPES: return reshapes(s, node);
    case FP_ROLE_NORMALIZES: return normalizes(s, node);
    case FP_ROLE_ADDS:
    case FP_ROLE_SUBTRACTS:
    case FP_ROLE_MULTIPLIES:
    case FP_ROLE_DIVIDES: return cut_beside(s, node, from);
    default: return stop(s, "%.100s stands between the last layer and the output", node->type);
    }
}

// Nothing but the node that was seen, and outputs of the graph, may read it.
static bool is_read_by(struct search *s, int value, const struct fp_node *node) {
    const struct fp_value *v = &s->graph->values[value];
    for (int i = 0; i < v->n_readers; i++)
        if (v->readers[i].node && v->readers[i].node != node)
            return stop(s, "%.100s reads the classes too", v->readers[i].node->type);
    return true;
}

static bool walk(struct search *s) {
    const struct fp_weight *w = &s->weights->items[s->classifier.weight];
    const struct fp_node *behind = NULL;
    int value = s->graph->outputs[s->classifier.output], from = 0;
    while (s->n_path < MOST_STEPS) {
        const struct fp_node *node = s->graph->values[value].producer;
        if (!node || !is_read_by(s, value, behind)) return s->reason[0] ? false : stop(s, "%s", "no layer makes it");
        s->path[s->n_path++] = value;
        if (node == w->node) return cut_layer(s, w);
        if (!pass(s, node, &from)) return false;
        behind = node;
        value = node->in[from];
    }
    return stop(s, "%s", "too much stands between the last layer and the output");
}

static int find(struct search *s) {
    int status = fp_exec_plan(&s->exec, s->model, NULL, s->err);
    if (!status) status = fp_weights_find(&s->weights, s->exec, s->model, false, s->err);
    if (status) return status;
    fp_classifier_find(&s->classifier, s->weights);
    if (s->classifier.weight < 0) stop(s, "%s", s->classifier.reason);
    else if (s->classifier.classes != s->classes) stop(s, "%s", "the last layer has another number of classes");
    else walk(s);
    return FINEPRUNE_OK;
}

// ---- the change

static int cut_all(struct search *s, const uint8_t *keep, size_t n) {
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < s->n_cuts && !status; i++) {
        const struct fp_value *v = &s->graph->values[s->cuts[i].value];
        status = fp_initializer_keep_slices(s->model, fp_stored_tensor(v), s->cuts[i].axis, keep, s->err);
        fp_model_declare_dim(s->model, v->name, s->cuts[i].axis, (int64_t)n);
    }
    for (size_t i = 0; i < s->n_path; i++)
        fp_model_declare_dim(s->model, s->graph->values[s->path[i]].name, 1, (int64_t)n);
    return status;
}

// The end of the entry that starts at `at`: the next separator that is not within quotes.
static const char *entry_end(const char *at, const char *end, char separator) {
    char quote = 0;
    for (; at < end; at++) {
        if (quote && *at == '\\' && at + 1 < end) at++;
        else if (quote) quote = *at == quote ? 0 : quote;
        else if (*at == separator) return at;
        else if ((*at == '"' || *at == '\'') && separator != '\n') quote = *at;
    }
    return end;
}

// An entry "3: 'name'" or "'name': 3" of a dictionary, with or without quotes: its number, where that stands and where
// what is behind it begins. -1: it is none.
static long number_of(const char *at, const char *end, const char **number, const char **after) {
    char *stop;
    while (at < end && (*at == ' ' || *at == '\n')) at++;
    const char quote = at < end && (*at == '"' || *at == '\'') ? *at++ : 0, *colon = at;
    const bool first = at < end && *at >= '0' && *at <= '9';
    if (!first) {
        colon = quote ? entry_end(at - 1, end, ':') : memchr(at, ':', (size_t)(end - at));
        if (!colon || colon >= end) return -1;
        for (at = colon + 1; at < end && *at == ' ';) at++;
    }
    if (at >= end || *at < '0' || *at > '9') return -1;
    *number = at;
    const long value = strtol(at, &stop, 10);
    *after = stop;
    if (first && (stop >= end || (quote && *stop++ != quote))) return -1;
    while (stop < end && (*stop == ' ' || *stop == '\n')) stop++;
    if (!first) return stop >= end ? value : -1;
    return stop < end && *stop == ':' ? value : -1;
}

// How many kept classes there are before class n.
static size_t rank_of(const uint8_t *keep, size_t n) {
    size_t rank = 0;
    for (size_t i = 0; i < n; i++) rank += keep[i];
    return rank;
}

// "a,b,c" or "[a, b, c]", or one a line, or "{0: 'a', 1: 'b'}", "{'a': 0, 'b': 1}", of as many names as there are
// classes: those of the kept ones, numbered anew; malloc'ed, NULL where it is no such list. No number gets longer.
static char *keep_names(const char *list, const uint8_t *keep, size_t classes) {
    const char open = *list == '[' || *list == '{' ? *list : 0, close = open == '[' ? ']' : '}';
    const char separator = !open && strchr(list, '\n') ? '\n' : ',', *at = list + (open != 0), *end = at + strlen(at);
    char *out = malloc(strlen(list) + 1), *to = out, *last = out ? out + strlen(list) + 1 : NULL;
    if (!out) return NULL;
    while (end > at && (end[-1] == '\n' || end[-1] == ' ' || (open && end[-1] == close))) end--;
    if (open) *to++ = open;
    size_t number = 0;
    bool known = true;
    for (const char *next; at <= end && known; at = next + 1, number++) {
        const char *digits = at, *after = at;
        next = entry_end(at, end, separator);
        const long n = open == '{' ? number_of(at, next, &digits, &after) : (long)number;
        known = n >= 0 && (open != '{' || (size_t)n < classes);
        if (!known || (size_t)n >= classes || !keep[n]) continue;
        if (to > out + (open != 0)) *to++ = separator;
        else
            while (at < digits && *at == ' ') at++;
        memcpy(to, at, (size_t)(digits - at));
        to += digits - at;
        if (open == '{') to += snprintf(to, (size_t)(last - to), "%zu", rank_of(keep, (size_t)n));
        memcpy(to, after, (size_t)(next - after));
        to += next - after;
    }
    if (open) *to++ = close;
    *to = '\0';
    if (known && number == classes) return out;
    free(out);
    return NULL;
}

static int note_classes(struct search *s, const uint8_t *keep, const size_t *kept, size_t n) {
    int status = FINEPRUNE_OK;
    for (const char *const *key = fp_class_lists; *key && !status; key++) {
        const char *list = fp_model_metadata(s->model, *key);
        char *fewer = list ? keep_names(list, keep, s->classes) : NULL;
        if (fewer) status = fp_model_set_metadata(s->model, *key, fewer, s->err);
        free(fewer);
    }
    FP_STAGE(room, "the classes");
    const size_t size = 22 * n + 3;
    char *list = fp_arena_take(&room, size, 1);
    if (status || !list) return status ? status : fp_arena_check(&room, s->err);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) used += (size_t)snprintf(list + used, size - used, "%s%zu", i ? "," : "[", kept[i]);
    snprintf(list + used, size - used, "]");
    return fp_model_set_metadata(s->model, "fineprune.outputs_kept", list, s->err);
}

static int change(struct search *s, const size_t *kept, size_t n) {
    FP_STAGE(room, "the classes");
    uint8_t *keep = fp_arena_take(&room, s->classes, 1);
    if (!keep) return fp_arena_check(&room, s->err);
    for (size_t i = 0; i < n; i++) keep[kept[i]] = 1;
    int status = cut_all(s, keep, n);
    if (!status) status = note_classes(s, keep, kept, n);
    return status;
}

int fp_outputs_shrink(struct fineprune_model *model, const size_t *kept, size_t n, size_t classes, char *reason,
                      fineprune_error *err) {
    struct search s = {.model = model, .graph = model->graph, .classes = classes, .reason = reason, .err = err};
    *reason = '\0';
    int status = find(&s);
    if (!status && s.exec) status = fp_exec_unheard(s.exec, err);
    const bool changes = !status && !*reason;
    if (changes) status = change(&s, kept, n);
    fp_weights_free(s.weights);
    fp_exec_free(s.exec);
    if (changes && !status) status = fp_model_view(model, err);
    return status;
}
