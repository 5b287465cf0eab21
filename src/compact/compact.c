// SPDX-License-Identifier: Apache-2.0
#include "compact/compact.h"

#include <stdlib.h>

#include "compact/constant_channels.h"
#include "compact/slices.h"
#include "exec/op_list.h"

enum { MOST_PASSES = 64 }; // each frees channels of the layers before

struct pass {
    struct fineprune_model *model;
    const fineprune_run_options *run;
    size_t multiple;
    struct fp_exec *exec;
    struct fp_weights *weights;
    struct fp_channel_groups groups;
    struct fp_slices slices;
    struct fp_arena room; // of the masks
    uint8_t **keep;       // by group: its channels
    uint8_t **used;       // by weight: its columns; NULL: not looked at yet
    fineprune_error *err;
};

static int pass_open(struct pass *p) {
    int status = fp_exec_plan(&p->exec, p->model, p->run, p->err);
    if (!status) status = fp_weights_find(&p->weights, p->exec, p->model, false, p->err);
    if (!status) status = fp_channels_find(&p->groups, p->weights, p->exec, p->err);
    if (!status) status = fp_slices_find(&p->slices, p->weights, &p->groups, p->exec, p->err);
    return status;
}

static void pass_done(struct pass *p) {
    fp_slices_free(&p->slices);
    fp_channels_free(&p->groups);
    fp_weights_free(p->weights);
    fp_exec_free(p->exec);
    fp_arena_free(&p->room);
}

// ---- which channels

// Columns of the weight that have an element that is not zero; looked at once.
static int find_used(struct pass *p, int weight) {
    const struct fp_weight *w = &p->weights->items[weight];
    FP_STAGE(room, w->name);
    if (p->used[weight]) return FINEPRUNE_OK;
    float *values = fp_arena_take(&room, w->count, sizeof(*values));
    uint8_t *used = p->used[weight] = fp_arena_take(&p->room, w->cols, 1);
    int status = fp_arena_check(&room, p->err);
    if (!status) status = fp_arena_check(&p->room, p->err);
    if (!status) status = fp_weight_read(p->model, w, values, p->err);
    for (size_t r = 0; r < w->groups * w->rows && !status; r++)
        for (size_t i = 0; i < w->cols; i++) used[i] |= values[r * w->cols + i] != 0; // NaN is not zero
    return status;
}

// Marks the channels of which the reader has an element that is not zero.
static int mark_read(struct pass *p, int group, const struct fp_channel_side *reader, uint8_t *keep) {
    int status = find_used(p, reader->weight);
    for (size_t i = 0; i < p->weights->items[reader->weight].cols && !status; i++) {
        const struct fp_channel_member m = fp_channel_at(&p->groups, &p->groups.columns[reader->weight],
                                                         i / reader->per);
        if (m.group == group && p->used[reader->weight][i]) keep[m.number] = 1;
    }
    return status;
}

// Of the channels that could go, the first ones stay for the multiple.
static size_t round_up(uint8_t *keep, size_t channels, size_t multiple) {
    size_t kept = 0;
    for (size_t c = 0; c < channels; c++) kept += keep[c];
    const size_t wanted = fp_least(kept ? (kept + multiple - 1) / multiple * multiple : multiple, channels);
    for (size_t c = 0; c < channels && kept < wanted; c++)
        if (!keep[c]) keep[c] = 1, kept++;
    return kept;
}

static int choose_group(struct pass *p, int g, struct fp_compacted *told, size_t *removed) {
    const struct fp_channel_group *group = &p->groups.items[g];
    uint8_t *keep = p->keep[g] = fp_arena_take(&p->room, group->channels, 1);
    int status = keep ? FINEPRUNE_OK : fp_arena_check(&p->room, p->err);
    for (int i = 0; i < group->n_readers && !status; i++) status = mark_read(p, g, &group->readers[i], keep);
    if (status) return status;
    size_t unread = 0;
    for (size_t c = 0; c < group->channels; c++) unread += !keep[c];
    const size_t leave = p->slices.reasons[g] ? 0
                                              : group->channels - round_up(keep, group->channels,
                                                                           fp_channel_multiple(group, p->multiple));
    if (p->slices.reasons[g]) {
        memset(keep, 1, group->channels);
        if (unread > told->kept_for) told->kept_for = unread, told->reason = p->slices.reasons[g];
    }
    told->stay += unread - leave;
    *removed += leave;
    return FINEPRUNE_OK;
}

static int choose(struct pass *p, struct fp_compacted *told, size_t *removed) {
    int status = FINEPRUNE_OK;
    *removed = told->stay = told->kept_for = 0;
    told->reason = NULL;
    p->keep = fp_arena_take(&p->room, (size_t)p->groups.n, sizeof(*p->keep));
    p->used = fp_arena_take(&p->room, (size_t)p->weights->n, sizeof(*p->used));
    if (!p->keep || !p->used) return fp_arena_check(&p->room, p->err);
    for (int g = 0; g < p->groups.n && !status; g++) status = choose_group(p, g, told, removed);
    return status;
}

// ---- cutting

static bool stays(const struct pass *p, const struct fp_lanes *lanes, size_t lane) {
    const struct fp_channel_member m = fp_channel_at(&p->groups, lanes, lane);
    return m.group < 0 || p->keep[m.group][m.number];
}

static size_t kept_of(const struct pass *p, const struct fp_lanes *lanes) {
    size_t kept = 0;
    for (size_t i = 0; i < lanes->n; i++) kept += stays(p, lanes, i);
    return kept;
}

// Whether another slice of the same tensor comes before; its channels are the same then.
static bool is_done(const struct pass *p, const struct fp_slice *slice) {
    if (!slice->own) return false;
    for (const struct fp_slice *a = p->slices.items; a < slice; a++)
        if (a->own && a->proto == slice->proto) return true;
    return false;
}

static int cut_slice(struct pass *p, const struct fp_slice *slice) {
    const size_t kept = kept_of(p, &slice->lanes);
    if (kept == slice->lanes.n || is_done(p, slice)) return FINEPRUNE_OK;
    FP_STAGE(room, "channels");
    uint8_t *keep = fp_arena_take(&room, slice->lanes.n * slice->per, 1);
    if (!keep) return fp_arena_check(&room, p->err);
    for (size_t i = 0; i < slice->lanes.n * slice->per; i++) keep[i] = stays(p, &slice->lanes, i / slice->per);
    int status = fp_initializer_keep_slices(p->model, slice->proto, slice->axis, keep, p->err);
    fp_model_declare_dim(p->model, slice->graph->values[slice->value].name, slice->axis, (int64_t)(kept * slice->per));
    return status;
}

static void declare_value(struct pass *p, int value) {
    const struct fp_channel_place shrinks = fp_place_that_shrinks(&p->room, &p->groups.places[value]),
                                  *place = &shrinks;
    const struct fp_value *v = &p->model->graph->values[value];
    if (!place->lanes.n || v->rank <= 0) return;
    const int axis = place->axis < 0 ? v->rank - 1 : place->axis;
    const size_t kept = kept_of(p, &place->lanes);
    if (axis >= v->rank || v->dims[axis] <= 0 || kept == place->lanes.n) return;
    fp_model_declare_dim(p->model, v->name, axis, v->dims[axis] / (int64_t)place->lanes.n * (int64_t)kept);
}

// ---- numbers

static bool is_same_list(const struct fp_cut_number *a, const struct fp_cut_number *b) {
    return a->node == b->node && a->input == b->input && a->attribute == b->attribute;
}

// The list is the node's own, or becomes it.
static int store_numbers(struct pass *p, const struct fp_cut_number *number, const struct fp_tensor *list) {
    const struct fp_value *v = &p->model->graph->values[number->node->in[number->input]];
    Onnx__TensorProto *proto = fp_stored_tensor(v);
    const char *name;
    if (proto && v->n_readers == 1) return fp_initializer_store(p->model, proto, list, p->err);
    return fp_node_add_input(p->model, number->node->proto, (size_t)number->input, v->name, list, &name, p->err);
}

// A number that was computed is stored from now on.
static int set_computed(struct pass *p, const struct fp_cut_number *number) {
    const size_t kept = kept_of(p, &number->lanes);
    const struct fp_value *v = &p->model->graph->values[number->node->in[number->input]];
    int64_t length = (int64_t)(kept * number->per);
    const struct fp_tensor t = {.type = FP_INT64, .rank = 1, .dims = {1}, .count = 1, .data = &length};
    const char *name;
    if (kept == number->lanes.n) return FINEPRUNE_OK;
    return fp_node_add_input(p->model, number->node->proto, (size_t)number->input, v->name, &t, &name, p->err);
}

static int set_inputs(struct pass *p, const struct fp_cut_number *numbers, size_t n) {
    struct fp_tensor t = {0}, changed;
    const int value = numbers->node->in[numbers->input];
    bool differs = false;
    FP_STAGE(room, "channels");
    if (numbers->computed) return set_computed(p, numbers);
    int status = fp_exec_constant(p->exec, p->model->graph, value, &t, p->err);
    if (status) return status;
    changed = t;
    int64_t *list = fp_arena_copy(&room, t.data, t.count, sizeof(*list)); // the finder has seen them
    status = fp_arena_check(&room, p->err);
    for (size_t i = 0; i < n && !status; i++) {
        const size_t kept = kept_of(p, &numbers[i].lanes);
        if (kept == numbers[i].lanes.n && list[numbers[i].index] >= 0) continue; // else it counts from the end
        list[numbers[i].index] = (int64_t)(kept * numbers[i].per);
        differs = true;
    }
    changed.data = list;
    if (differs && !status) status = store_numbers(p, numbers, &changed);
    fp_tensor_done(&t);
    return status;
}

static int set_attribute(struct pass *p, const struct fp_cut_number *number) {
    size_t n;
    const size_t kept = kept_of(p, &number->lanes);
    const int64_t *list = fp_attr_ints(number->node, number->attribute, &n);
    if (kept == number->lanes.n && (!list || list[number->index] >= 0)) return FINEPRUNE_OK;
    return fp_node_set_int(number->node->proto, number->attribute, number->index, (int64_t)(kept * number->per),
                           p->err);
}

static int leave_out(struct pass *p, const struct fp_cut_number *number) {
    if (kept_of(p, &number->lanes) == number->lanes.n) return FINEPRUNE_OK;
    return fp_node_set_input(p->model, number->node->proto, (size_t)number->input, "", p->err);
}

static int set_numbers(struct pass *p) {
    int status = FINEPRUNE_OK;
    const struct fp_cut_number *all = p->slices.numbers;
    for (size_t i = 0, n; i < p->slices.n_numbers && !status; i += n) {
        n = 1;
        if (all[i].attribute || !all[i].per) {
            status = all[i].attribute ? set_attribute(p, &all[i]) : leave_out(p, &all[i]);
            continue;
        }
        while (i + n < p->slices.n_numbers && is_same_list(&all[i], &all[i + n])) n++;
        status = set_inputs(p, &all[i], n);
    }
    return status;
}

// ---- what is computed from constants

static bool is_cut(const struct pass *p, const struct fp_slice *slice) {
    return !slice->proto && kept_of(p, &slice->lanes) < slice->lanes.n;
}

// Constants that only what is not needed any more reads. left: by value, its readers that stay.
static int list_unread(struct pass *p, int *left, struct fp_unread *out, struct fp_arena *room) {
    const struct fp_graph *graph = p->model->graph;
    out->nodes = fp_arena_take(room, (size_t)graph->n_nodes, sizeof(*out->nodes));
    out->tensors = fp_arena_take(room, (size_t)graph->n_values, sizeof(*out->tensors));
    int status = fp_arena_check(room, p->err);
    for (int i = graph->n_nodes; i-- > 0 && !status;) {
        const struct fp_node *node = &graph->nodes[i];
        bool unread = !node->n_bodies;
        for (int k = 0; k < node->n_out && unread; k++)
            unread = node->out[k] < 0 || (!left[node->out[k]] && fp_exec_is_constant(p->exec, graph, node->out[k]));
        if (!unread) continue;
        out->nodes[out->n_nodes++] = node->proto;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) left[node->in[k]]--;
    }
    for (int i = 0; i < graph->n_values && !status; i++) {
        const struct fp_value *v = &graph->values[i];
        if (v->initializer && v->n_readers && !left[i]) out->tensors[out->n_tensors++] = v->initializer;
    }
    return status;
}

// Constants that would be cut and are computed are stored as what they are; what they came from goes where nothing
// else reads it. *some: there were any, and the pass is to be done again.
static int store_computed(struct pass *p, bool *some) {
    const struct fp_graph *graph = p->model->graph;
    struct fp_unread unread = {0};
    FP_STAGE(room, "channels");
    int *left = fp_arena_take(&room, (size_t)graph->n_values, sizeof(*left));
    int status = fp_arena_check(&room, p->err);
    *some = false;
    for (int i = 0; i < graph->n_values && left; i++) left[i] = graph->values[i].n_readers;
    for (size_t i = 0; i < p->slices.n && !status; i++) {
        const int value = p->slices.items[i].value;
        const struct fp_use *reader = graph->values[value].readers;
        struct fp_tensor t = {0};
        const char *name;
        if (!is_cut(p, &p->slices.items[i]) || !left[value]) continue;
        *some = true;
        left[value] = 0;
        status = fp_exec_constant(p->exec, graph, value, &t, p->err);
        if (!status)
            status = fp_node_add_input(p->model, reader->node->proto, (size_t)reader->index, graph->values[value].name,
                                       &t, &name, p->err);
        fp_tensor_done(&t);
    }
    if (!status && *some) status = list_unread(p, left, &unread, &room);
    if (!status && *some) fp_model_drop_unread(p->model, &unread);
    return status;
}

static bool keep_the_same(const struct pass *p, const struct fp_lanes *a, const struct fp_lanes *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (stays(p, a, i) != stays(p, b, i)) return false;
    return true;
}

// Readers of the tensor, by whatever value. *first: the first value that it is.
static int readers_of(const struct pass *p, const struct fp_slice *slice, int *first) {
    const struct fp_graph *graph = p->model->graph;
    int readers = 0;
    for (int i = graph->n_values; i-- > 0;) {
        if (fp_stored_tensor(&graph->values[i]) != slice->proto) continue;
        readers += graph->values[i].n_readers;
        *first = i;
    }
    return readers;
}

static int losing_the_same(const struct pass *p, const struct fp_slice *slice) {
    int n = 0;
    for (size_t i = 0; i < p->slices.n; i++) {
        const struct fp_slice *a = &p->slices.items[i];
        n += a->own && a->proto == slice->proto && keep_the_same(p, &a->lanes, &slice->lanes);
    }
    return n;
}

// Of a small tensor that other nodes read too, or read whole, a node whose channels leave gets a copy; the pass is to
// be done again then.
static int store_copies(struct pass *p, bool *some) {
    const struct fp_graph *graph = p->model->graph;
    FP_STAGE(room, "channels");
    int *copies = fp_arena_take(&room, (size_t)graph->n_values, sizeof(*copies)); // by its first value
    int status = fp_arena_check(&room, p->err);
    for (size_t i = 0; i < p->slices.n && !status; i++) {
        const struct fp_slice *slice = &p->slices.items[i];
        struct fp_tensor t = {0};
        const char *name;
        int first = slice->value;
        if (!slice->own || kept_of(p, &slice->lanes) == slice->lanes.n) continue;
        const int readers = readers_of(p, slice, &first);
        if (losing_the_same(p, slice) == readers || copies[first] + 1 == readers) continue; // or the last one
        copies[first]++;
        *some = true;
        status = fp_initializer_load(p->model, slice->proto, &t, p->err);
        if (!status)
            status = fp_node_add_input(p->model, slice->reader.node->proto, (size_t)slice->reader.index,
                                       graph->values[slice->value].name, &t, &name, p->err);
        fp_tensor_done(&t);
    }
    return status;
}

// Parts that are equally long without a word, and will not be any more, get their lengths as they are; the pass is to
// be done again then.
static int store_lengths(struct pass *p, bool *some) {
    const struct fp_graph *graph = p->model->graph;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_nodes && !status; i++) {
        const struct fp_node *node = &graph->nodes[i];
        const struct fp_op *op = fp_node_op(node);
        if (!op || op->passage != FP_PASSAGE_PARTS || fp_attr_has(node, "split") || node->n_in > 1) continue;
        int64_t lengths[256];
        bool differ = false, cut = node->n_out <= (int)FP_COUNT(lengths);
        for (int k = 0; k < node->n_out && cut; k++) {
            cut = node->out[k] >= 0 && p->groups.places[node->out[k]].cut;
            if (!cut) break;
            const struct fp_lanes *lanes = &p->groups.places[node->out[k]].lanes;
            lengths[k] = (int64_t)lanes->n;
            differ |= kept_of(p, lanes) != kept_of(p, &p->groups.places[node->out[0]].lanes);
        }
        if (!cut || !differ) continue;
        const struct fp_tensor t = {
            .type = FP_INT64, .rank = 1, .dims = {node->n_out}, .count = (size_t)node->n_out, .data = lengths};
        const char *name;
        fp_node_drop_attribute(p->model, node->proto, "num_outputs");
        status = fp_node_add_input(p->model, node->proto, 1, "lengths", &t, &name, p->err);
        *some = true;
    }
    return status;
}

static int cut_all(struct pass *p) {
    for (int i = 0; i < p->model->graph->n_values; i++) declare_value(p, i);
    int status = fp_arena_check(&p->room, p->err);
    if (!status) status = set_numbers(p);
    for (size_t i = 0; i < p->slices.n && !status; i++) status = cut_slice(p, &p->slices.items[i]);
    return status;
}

// ---- all

static int count_parameters(struct fineprune_model *model, size_t *count, fineprune_error *err) {
    const struct fp_graph *graph = model->graph;
    *count = 0;
    for (int i = 0; i < graph->n_values; i++) {
        const struct fp_value *v = &graph->values[i];
        struct fp_tensor t;
        if (!v->initializer) continue;
        int status = fp_initializer_shape(model, v->initializer, &t, NULL, err);
        if (status) return status;
        *count += t.count;
    }
    return FINEPRUNE_OK;
}

static int run_pass(struct pass *p, struct fp_compacted *out, bool first, size_t *removed) {
    int status = pass_open(p);
    if (first) out->groups = (size_t)p->groups.n;
    for (int g = 0; g < p->groups.n && first; g++) out->channels += p->groups.items[g].channels;
    if (!status)
        status = fp_fold_constant_channels(p->model, p->weights, &p->groups, &p->slices, p->exec, removed, p->err);
    if (status || *removed) return status;
    status = choose(p, out, removed);
    if (status || !*removed) return status;
    bool again = false;
    status = store_computed(p, &again);
    if (!status && !again) status = store_copies(p, &again);
    if (!status && !again) status = store_lengths(p, &again);
    if (status || again) return status;
    out->removed += *removed;
    return cut_all(p);
}

int fp_compact(struct fineprune_model *model, size_t multiple, const fineprune_run_options *run,
               struct fp_compacted *out, fineprune_error *err) {
    *out = (struct fp_compacted){0};
    int status = count_parameters(model, &out->parameters, err);
    size_t removed = 1;
    for (int i = 0; i < MOST_PASSES && removed && !status; i++) {
        struct pass p = {.model = model, .run = run, .multiple = multiple, .room = {.what = "channels"}, .err = err};
        status = run_pass(&p, out, !i, &removed);
        pass_done(&p);
        if (!status && removed) status = fp_model_view(model, err);
    }
    return status ? status : count_parameters(model, &out->parameters_now, err);
}
