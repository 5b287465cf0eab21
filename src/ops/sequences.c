// SPDX-License-Identifier: Apache-2.0
// Operators on sequences and optionals. A sequence shares its items; an optional is the value itself, or a tensor of
// type FP_NONE.
#include "ops/move.h"

#include "exec/exec.h"
#include "tensor/sequence.h"

static int need_sequence(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (!status && call->in[0]->type != FP_SEQUENCE)
        status = fp_call_fail(call, "input 0 is %s, not a sequence", fp_type_name(call->in[0]->type));
    return status;
}

// Nothing to allocate: run makes the outputs.
static int prepare_nothing(struct fp_call *call) { return (void)call, FINEPRUNE_OK; }

// A position in [0, n) from input i, or `absent`. `n` itself counts as inside when `end`.
static int read_position(struct fp_call *call, int i, size_t n, bool end, size_t absent, size_t *out) {
    *out = absent;
    if (!fp_given(call, i)) return FINEPRUNE_OK;
    int status = fp_index_type(call, i);
    if (status) return status;
    if (call->in[i]->count != 1)
        return fp_call_fail(call, "the position has %zu elements (1 is needed)", call->in[i]->count);
    int64_t at = fp_int_at(call->in[i], 0), size = (int64_t)n;
    if (at < -size || at >= size + end)
        return fp_call_fail(call, "position %lld is outside a sequence of %zu", (long long)at, n);
    *out = (size_t)fp_place_of(at, size);
    return FINEPRUNE_OK;
}

// ---- making and changing

static int run_empty(struct fp_call *call) {
    if (call->n_out < 1) return FINEPRUNE_OK;
    return fp_sequence_new(&call->out[0], call->memory, 0, NULL, call->err);
}

static int prepare_construct(struct fp_call *call) {
    int status = fp_need_tensors(call, call->n_in);
    for (int i = 1; i < call->n_in && !status; i++) status = fp_same_type(call, 0, i);
    return status;
}

static int run_construct(struct fp_call *call) {
    struct fp_list list = {0};
    int status = FINEPRUNE_OK;
    for (int i = 0; i < call->n_in && !status; i++) {
        struct fp_tensor t;
        fp_tensor_share(&t, call->in[i]);
        status = fp_list_add(&list, &t, call->err);
    }
    if (!status) status = fp_sequence_take(&call->out[0], call->memory, list.n, list.items, call->err);
    fp_list_done(&list);
    return status;
}

static int run_at(struct fp_call *call) {
    size_t at;
    int status = need_sequence(call);
    if (!status && !fp_given(call, 1)) status = fp_call_fail(call, "there is no position");
    if (!status) status = read_position(call, 1, call->in[0]->count, false, 0, &at);
    if (!status && call->n_out > 0) fp_tensor_share(&call->out[0], &fp_sequence_items(call->in[0])[at]);
    return status;
}

// The sequence with `drop` of its items at `at` replaced by the tensor, if there is one.
static int splice(struct fp_call *call, size_t at, size_t drop, const struct fp_tensor *t) {
    const struct fp_tensor *sequence = call->in[0], *items = fp_sequence_items(sequence);
    struct fp_list list = {0};
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i <= sequence->count && !status; i++) {
        struct fp_tensor shared;
        if (i == at && t) {
            fp_tensor_share(&shared, t);
            status = fp_list_add(&list, &shared, call->err);
        }
        if (i == sequence->count || (i >= at && i < at + drop) || status) continue;
        fp_tensor_share(&shared, &items[i]);
        status = fp_list_add(&list, &shared, call->err);
    }
    if (!status && call->n_out > 0)
        status = fp_sequence_take(&call->out[0], call->memory, list.n, list.items, call->err);
    fp_list_done(&list);
    return status;
}

static int run_insert(struct fp_call *call) {
    size_t at;
    int status = need_sequence(call);
    if (!status && (!fp_given(call, 1) || call->in[1]->type <= FP_NONE))
        status = fp_call_fail(call, "there is no tensor to insert");
    if (status) return status;
    const struct fp_tensor *sequence = call->in[0], *t = call->in[1];
    if (sequence->count && fp_sequence_items(sequence)[0].type != t->type)
        return fp_call_fail(call, "%s does not go into a sequence of %s", fp_type_name(t->type),
                            fp_type_name(fp_sequence_items(sequence)[0].type));
    status = read_position(call, 2, sequence->count, true, sequence->count, &at);
    if (status) return status;
    return splice(call, at, 0, t);
}

static int run_erase(struct fp_call *call) {
    size_t at;
    int status = need_sequence(call);
    if (!status && !call->in[0]->count) status = fp_call_fail(call, "the sequence is empty");
    if (!status) status = read_position(call, 1, call->in[0]->count, false, call->in[0]->count - 1, &at);
    if (status) return status;
    return splice(call, at, 1, NULL);
}

static int prepare_length(struct fp_call *call) {
    int status = need_sequence(call);
    if (status) return status;
    return fp_out(call, 0, FP_INT64, 0, NULL);
}

static int run_length(struct fp_call *call) {
    if (call->n_out > 0) *(int64_t *)call->out[0].data = (int64_t)call->in[0]->count;
    return FINEPRUNE_OK;
}

// ---- SplitToSequence

// Part [begin, end) of the axis; without the axis when `squeeze`.
static int add_part(struct fp_call *call, struct fp_list *list, int axis, int64_t begin, int64_t end, bool squeeze) {
    const struct fp_tensor *x = call->in[0];
    int64_t dims[FP_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (i != axis) dims[rank++] = x->dims[i];
        else if (!squeeze) dims[rank++] = end - begin;
    }
    int64_t outer = (int64_t)fp_span(x->dims, 0, axis), inner = (int64_t)fp_span(x->dims, axis + 1, x->rank),
            run = (end - begin) * inner;
    struct fp_tensor part = {0};
    struct fp_move m = {0};
    fp_move_add(&m, outer, run, x->dims[axis] * inner);
    fp_move_add(&m, run, 1, 1);
    size_t size = fp_type_held(x->type);
    int status = fp_tensor_new(&part, call->memory, x->type, rank, dims, call->err);
    if (!status)
        status = fp_move_run(call, &m, x->type, part.data, (const char *)x->data + (size_t)(begin * inner) * size);
    if (!status) return fp_list_add(list, &part, call->err);
    fp_tensor_done(&part);
    return status;
}

static int split_evenly(struct fp_call *call, struct fp_list *list, int axis, int64_t size, bool squeeze) {
    int64_t dim = call->in[0]->dims[axis];
    int status = FINEPRUNE_OK;
    if (size < 1) return fp_call_fail(call, "parts of %lld are not possible", (long long)size);
    if (size > dim) size = fp_most_int(dim, 1);
    for (int64_t at = 0; at < dim && !status; at += size)
        status = add_part(call, list, axis, at, fp_least_int(at + size, dim), squeeze);
    return status;
}

static int split_parts(struct fp_call *call, struct fp_list *list, int axis) {
    const struct fp_tensor *split = call->in[1];
    int64_t dim = call->in[0]->dims[axis], at = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < split->count && !status; i++) {
        int64_t size = fp_int_at(split, i);
        if (size < 0 || size > dim - at)
            return fp_call_fail(call, "split has %lld, which does not fit", (long long)size);
        status = add_part(call, list, axis, at, at + size, false);
        at += size;
    }
    if (!status && at != dim)
        status = fp_call_fail(call, "split adds up to %lld, but the dim is %lld", (long long)at, (long long)dim);
    return status;
}

static int prepare_split(struct fp_call *call) {
    int axis, status = fp_need_tensors(call, 1);
    if (!status && fp_given(call, 1)) status = fp_index_type(call, 1);
    if (status) return status;
    return fp_axis_attr(call, 0, call->in[0]->rank, &axis);
}

static int run_split(struct fp_call *call) {
    struct fp_list list = {0};
    int axis, status = fp_axis_attr(call, 0, call->in[0]->rank, &axis);
    if (status) return status;
    if (!fp_given(call, 1)) status = split_evenly(call, &list, axis, 1, !fp_attr_int(call->node, "keepdims", 1));
    else if (call->in[1]->rank == 0) status = split_evenly(call, &list, axis, fp_int_at(call->in[1], 0), false);
    else status = split_parts(call, &list, axis);
    if (!status) status = fp_sequence_take(&call->out[0], call->memory, list.n, list.items, call->err);
    fp_list_done(&list);
    return status;
}

// ---- ConcatFromSequence

static int join(struct fp_call *call, const struct fp_tensor *items, size_t n, int axis) {
    const struct fp_tensor *first = &items[0];
    struct fp_tensor *y = &call->out[0];
    int64_t dims[FP_MAX_RANK], at = 0;
    memcpy(dims, first->dims, sizeof(dims));
    dims[axis] = 0;
    for (size_t i = 0; i < n; i++) {
        bool fits = items[i].type == first->type && items[i].rank == first->rank;
        for (int k = 0; k < first->rank && fits; k++) fits = k == axis || items[i].dims[k] == first->dims[k];
        if (!fits || __builtin_add_overflow(dims[axis], items[i].dims[axis], &dims[axis]))
            return fp_call_fail(call, "item %zu does not fit the first one", i);
    }
    int status = fp_tensor_new(y, call->memory, first->type, first->rank, dims, call->err);
    int64_t outer = (int64_t)fp_span(dims, 0, axis), inner = (int64_t)fp_span(dims, axis + 1, first->rank);
    size_t size = fp_type_held(first->type);
    for (size_t i = 0; i < n && !status; i++) {
        int64_t run = items[i].dims[axis] * inner;
        struct fp_move m = {0};
        fp_move_add(&m, outer, dims[axis] * inner, run);
        fp_move_add(&m, run, 1, 1);
        status = fp_move_run(call, &m, first->type, (char *)y->data + (size_t)at * size, items[i].data);
        at += run;
    }
    return status;
}

static int run_concat(struct fp_call *call) {
    int axis, status = need_sequence(call);
    if (status || call->n_out < 1) return status;
    const struct fp_tensor *items = fp_sequence_items(call->in[0]);
    size_t n = call->in[0]->count;
    bool stack = fp_attr_int(call->node, "new_axis", 0) != 0;
    if (!n) return fp_call_fail(call, "the sequence is empty");
    if (items[0].type <= FP_NONE || items[0].rank + stack > FP_MAX_RANK)
        return fp_call_fail(call, "the items cannot be joined");
    status = fp_axis_attr(call, 0, items[0].rank + stack, &axis);
    if (status) return status;
    if (stack) return fp_stack(call, &call->out[0], items, n, axis, false);
    return join(call, items, n, axis);
}

// ---- SequenceMap

static int prepare_map(struct fp_call *call) {
    const struct fp_graph *body = fp_attr_graph(call->node, "body");
    int status = need_sequence(call);
    if (status) return status;
    if (!body) return fp_call_fail(call, "there is no graph 'body'");
    if (body->n_inputs != call->n_in || body->n_outputs < call->n_out)
        return fp_call_fail(call, "the body has %d inputs and %d outputs (%d and %d are needed)", body->n_inputs,
                            body->n_outputs, call->n_in, call->n_out);
    for (int i = 1; i < call->n_in && !status; i++)
        if (!call->in[i] || (call->in[i]->type == FP_SEQUENCE && call->in[i]->count < call->in[0]->count))
            status = fp_call_fail(call, "input %d is missing or has fewer items than input 0", i);
    return status;
}

static int map_item(struct fp_call *call, struct fp_graph *body, size_t at, struct fp_tensor *inputs,
                    struct fp_tensor *outputs, struct fp_list *lists) {
    for (int i = 0; i < call->n_in; i++) { // lent for the run
        inputs[i] = *call->in[i];
        if (inputs[i].type == FP_SEQUENCE) inputs[i] = fp_sequence_items(call->in[i])[at];
    }
    int status = call->context->run_body(call, body, inputs, outputs);
    for (int i = 0; i < body->n_outputs; i++) {
        if (!status) status = fp_list_add(&lists[i], &outputs[i], call->err);
        fp_tensor_done(&outputs[i]);
    }
    return status;
}

static int run_map(struct fp_call *call) {
    struct fp_graph *body = fp_attr_graph(call->node, "body");
    FP_STAGE(room, "values of a body");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)call->n_in, sizeof(*inputs)),
                     *outputs = fp_arena_take(&room, (size_t)body->n_outputs, sizeof(*outputs));
    struct fp_list *lists = fp_arena_take(&room, (size_t)body->n_outputs, sizeof(*lists));
    int status = fp_arena_check(&room, call->err);
    if (status) return status;
    for (size_t i = 0; i < call->in[0]->count && !status; i++) status = map_item(call, body, i, inputs, outputs, lists);
    for (int i = 0; i < call->n_out && !status; i++)
        status = fp_sequence_take(&call->out[i], call->memory, lists[i].n, lists[i].items, call->err);
    for (int i = 0; i < body->n_outputs; i++) fp_list_done(&lists[i]);
    return status;
}

// ---- optionals

static bool is_there(const struct fp_call *call) { return fp_given(call, 0) && call->in[0]->type != FP_NONE; }

static int run_optional(struct fp_call *call) {
    if (is_there(call) && call->n_out > 0) fp_tensor_share(&call->out[0], call->in[0]);
    return FINEPRUNE_OK;
}

static int prepare_has_element(struct fp_call *call) { return fp_out(call, 0, FP_BOOL, 0, NULL); }

static int run_has_element(struct fp_call *call) {
    if (call->n_out > 0) *(uint8_t *)call->out[0].data = is_there(call);
    return FINEPRUNE_OK;
}

static int run_get_element(struct fp_call *call) {
    if (!is_there(call)) return fp_call_fail(call, "the optional has no element");
    return run_optional(call);
}

#define ROW(name, since, prepare, run, ...)                                                                            \
    {"", name, since, prepare, run, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, 0, NULL, __VA_ARGS__}
const struct fp_op fp_ops_sequences[] = {
    ROW("SequenceEmpty", 11, prepare_nothing, run_empty, .arity = ">r", .attributes = "dtype=i"),
    ROW("SequenceConstruct", 11, prepare_construct, run_construct, .arity = "+>r"),
    ROW("SequenceAt", 11, prepare_nothing, run_at, .arity = "rr>r"),
    ROW("SequenceInsert", 11, prepare_nothing, run_insert, .arity = "rro>r"),
    ROW("SequenceErase", 11, prepare_nothing, run_erase, .arity = "ro>r"),
    ROW("SequenceLength", 11, prepare_length, run_length, .arity = "r>r"),
    ROW("SplitToSequence", 11, prepare_split, run_split, .arity = "ro>r", .attributes = "axis=i keepdims=i"),
    ROW("ConcatFromSequence", 11, prepare_nothing, run_concat, .arity = "r>r", .attributes = "axis=i! new_axis=i"),
    ROW("SequenceMap", 17, prepare_map, run_map, .arity = "r*>+", .attributes = "body=g!"),
    ROW("Optional", 15, prepare_nothing, run_optional, .arity = "o>r", .attributes = "type=y"),
    ROW("OptionalHasElement", 15, prepare_has_element, run_has_element, .arity = "r>r 18:o>r"),
    ROW("OptionalGetElement", 15, prepare_nothing, run_get_element, .arity = "r>r"),
    {0},
};
