// SPDX-License-Identifier: Apache-2.0
// If, Loop and Scan. Their shapes are only known when a body has run, so prepare checks the node and run makes the
// outputs.
#include "ops/move.h"

#include <stdlib.h>

#include "exec/exec.h"
#include "tensor/sequence.h"

static struct fp_tensor *new_tensors(struct fp_call *call, int n) {
    struct fp_tensor *t = fp_calloc((size_t)n, sizeof(*t));
    if (!t) fp_fail_memory(call->err, "values of a body", (size_t)n * sizeof(*t));
    return t;
}

static void drop(struct fp_tensor *t, int n) {
    for (int i = 0; t && i < n; i++) fp_tensor_done(&t[i]);
    free(t);
}

// Moves *t to output i of the call, if it has one.
static void put_output(struct fp_call *call, int i, struct fp_tensor *t) {
    if (i >= call->n_out) return;
    fp_tensor_done(&call->out[i]);
    call->out[i] = *t;
    memset(t, 0, sizeof(*t));
}

static int find_body(struct fp_call *call, const char *name, int n_in, int n_out, struct fp_graph **body) {
    *body = fp_attr_graph(call->node, name);
    if (!*body) return fp_call_fail(call, "there is no graph '%s'", name);
    if ((*body)->n_inputs != n_in)
        return fp_call_fail(call, "graph '%s' has %d inputs (%d are needed)", name, (*body)->n_inputs, n_in);
    if ((*body)->n_outputs < n_out)
        return fp_call_fail(call, "graph '%s' has %d outputs (%d are needed)", name, (*body)->n_outputs, n_out);
    return FINEPRUNE_OK;
}

static int read_flag(struct fp_call *call, const struct fp_tensor *t, bool *flag) {
    if (t->type != FP_BOOL || t->count != 1)
        return fp_call_fail(call, "the condition is %zu of %s (one bool is needed)", t->count, fp_type_name(t->type));
    *flag = *(const uint8_t *)t->data != 0;
    return FINEPRUNE_OK;
}

// ---- If

static int prepare_if(struct fp_call *call) {
    struct fp_graph *body;
    int status = fp_need(call, 1);
    if (!status) status = find_body(call, "then_branch", 0, call->n_out, &body);
    if (status) return status;
    return find_body(call, "else_branch", 0, call->n_out, &body);
}

static int run_if(struct fp_call *call) {
    bool condition = false;
    int status = read_flag(call, call->in[0], &condition);
    if (status) return status;
    struct fp_graph *body = fp_attr_graph(call->node, condition ? "then_branch" : "else_branch");
    struct fp_tensor *outputs = new_tensors(call, body->n_outputs);
    if (!outputs) return FINEPRUNE_LIMIT;
    status = call->context->run_body(call, body, NULL, outputs);
    for (int i = 0; i < body->n_outputs && !status; i++) put_output(call, i, &outputs[i]);
    drop(outputs, body->n_outputs);
    return status;
}

// ---- what Loop and Scan share: a body that is run step by step

struct steps {
    struct fp_call *call;
    struct fp_graph *body;
    int n_states, first_in, first_out; // states are body inputs first_in... and body outputs first_out...
    int n_collected;                   // the body outputs after the states
    struct fp_tensor *in, *out;        // of the body; `in` owns the states
    struct fp_list *collected;
};

static int steps_init(struct steps *s) {
    s->n_collected = s->body->n_outputs - s->first_out - s->n_states;
    s->in = new_tensors(s->call, s->body->n_inputs);
    s->out = new_tensors(s->call, s->body->n_outputs);
    s->collected = fp_calloc((size_t)s->n_collected, sizeof(*s->collected));
    for (int i = 0; s->collected && i < s->n_collected; i++) s->collected[i].memory = s->call->memory;
    if (s->in && s->out && s->collected) return FINEPRUNE_OK;
    return fp_fail_memory(s->call->err, "values of a body", 0);
}

static void steps_done(struct steps *s) {
    drop(s->in, s->body->n_inputs);
    drop(s->out, s->body->n_outputs);
    for (int i = 0; s->collected && i < s->n_collected; i++) fp_list_done(&s->collected[i]);
    free(s->collected);
}

// Runs the body once: the new states replace the old ones, the other outputs are collected. Output 0 is the condition,
// if there is one.
static int step(struct steps *s, bool *condition) {
    int status = s->call->context->run_body(s->call, s->body, s->in, s->out);
    if (!status && condition) status = read_flag(s->call, &s->out[0], condition);
    if (status) return status;
    for (int i = 0; i < s->n_states; i++) {
        fp_tensor_done(&s->in[s->first_in + i]);
        s->in[s->first_in + i] = s->out[s->first_out + i];
        memset(&s->out[s->first_out + i], 0, sizeof(s->out[0]));
    }
    for (int i = 0; i < s->n_collected && !status; i++) {
        struct fp_tensor *t = &s->out[s->first_out + s->n_states + i];
        if (t->type <= FP_NONE || t->rank >= FP_MAX_RANK)
            return fp_call_fail(s->call, "a %s of rank %d cannot be collected", fp_type_name(t->type), t->rank);
        status = fp_list_add(&s->collected[i], t, s->call->err);
    }
    for (int i = 0; i < s->first_out; i++) fp_tensor_done(&s->out[i]);
    return status;
}

// What collected output i is after no step at all: as declared, with 0 where the dims are not known.
static int stack_nothing(const struct steps *s, int i, int axis, struct fp_tensor *t) {
    const struct fp_value *v = &s->body->values[s->body->outputs[s->first_out + s->n_states + i]];
    int64_t dims[FP_MAX_RANK] = {0};
    int rank = v->rank;
    if (v->rank < 0) rank = 0;
    if (rank >= FP_MAX_RANK) return fp_call_fail(s->call, "rank %d is not supported", rank);
    for (int k = 0, from = 0; k <= rank; k++) {
        if (k == axis || from >= rank) continue;
        dims[k] = fp_most_int(v->dims[from], 0);
        from++;
    }
    if (axis <= rank) dims[axis] = 0;
    return fp_tensor_new(t, s->call->memory, v->type == FP_NONE ? FP_FLOAT : v->type, rank + 1, dims, s->call->err);
}

static int stack_collected(struct steps *s, int i, int64_t axis, bool reverse, struct fp_tensor *t) {
    struct fp_list *list = &s->collected[i];
    const struct fp_value *v = &s->body->values[s->body->outputs[s->first_out + s->n_states + i]];
    int at, rank = v->rank;
    if (list->n) rank = list->items[0].rank;
    else if (rank < 0) rank = 0;
    int status = fp_axis(s->call, axis, rank + 1, &at);
    if (status) return status;
    if (list->n) status = fp_stack(s->call, t, list->items, list->n, at, reverse);
    else status = stack_nothing(s, i, at, t);
    fp_list_done(list);
    return status;
}

// ---- Loop

static int prepare_loop(struct fp_call *call) {
    struct fp_graph *body;
    if (call->n_in < 2) return fp_call_fail(call, "there are %d inputs (2 are needed)", call->n_in);
    int n = call->n_in - 2;
    int status = find_body(call, "body", n + 2, (int)fp_most_int(call->n_out, n) + 1, &body);
    if (!status && fp_given(call, 0) && (call->in[0]->type != FP_INT64 || call->in[0]->count != 1))
        status = fp_call_fail(call, "the trip count is %zu of %s (one int64 is needed)", call->in[0]->count,
                              fp_type_name(call->in[0]->type));
    return status;
}

// The number of the iteration and the condition, as fresh tensors: the body may keep them.
static int set_counters(struct steps *s, int64_t iteration) {
    for (int i = 0; i < 2; i++) {
        fp_tensor_done(&s->in[i]);
        int status = fp_tensor_new(&s->in[i], s->call->memory, i ? FP_BOOL : FP_INT64, 0, NULL, s->call->err);
        if (status) return status;
    }
    *(int64_t *)s->in[0].data = iteration;
    *(uint8_t *)s->in[1].data = 1;
    return FINEPRUNE_OK;
}

static int loop(struct steps *s, int64_t trips, bool condition) {
    int status = FINEPRUNE_OK;
    for (int64_t i = 0; i < trips && condition && !status; i++) {
        status = set_counters(s, i);
        if (!status) status = step(s, &condition);
    }
    return status;
}

static int run_loop(struct fp_call *call) {
    struct steps s = {.call = call,
                      .body = fp_attr_graph(call->node, "body"),
                      .n_states = call->n_in - 2,
                      .first_in = 2,
                      .first_out = 1};
    bool condition = true;
    int status = steps_init(&s);
    if (!status && fp_given(call, 1)) status = read_flag(call, call->in[1], &condition);
    for (int i = 0; i < s.n_states && !status; i++)
        if (call->in[2 + i]) fp_tensor_share(&s.in[2 + i], call->in[2 + i]);
    int64_t trips = INT64_MAX;
    if (fp_given(call, 0)) trips = *(const int64_t *)call->in[0]->data;
    if (!status) status = loop(&s, trips, condition);
    for (int i = 0; i < s.n_states && !status; i++) put_output(call, i, &s.in[2 + i]);
    for (int i = 0; i < s.n_collected && !status; i++) {
        struct fp_tensor t = {0};
        status = stack_collected(&s, i, 0, false, &t);
        if (!status) put_output(call, s.n_states + i, &t);
        fp_tensor_done(&t);
    }
    steps_done(&s);
    return status;
}

// ---- Scan

static int64_t entry(const struct fp_call *call, const char *attribute, int i) {
    size_t n;
    const int64_t *values = fp_attr_ints(call->node, attribute, &n);
    if ((size_t)i < n) return values[i];
    return 0;
}

// first: the first of the states among the inputs (opset 8 has sequence_lens before them).
static int check_scan(struct fp_call *call, int first) {
    struct fp_graph *body;
    int n = call->n_in - first;
    int64_t scans = fp_attr_int(call->node, "num_scan_inputs", 0);
    if (scans < 1 || scans > n)
        return fp_call_fail(call, "num_scan_inputs is %lld, but there are %d inputs", (long long)scans, n);
    int states = n - (int)scans;
    int status = find_body(call, "body", n, (int)fp_most_int(call->n_out, states), &body);
    for (int i = 0; i < n && !status; i++)
        if (!call->in[first + i] ||
            (i >= states && (call->in[first + i]->type == FP_SEQUENCE || call->in[first + i]->rank < 1 + first)))
            status = fp_call_fail(call, "input %d is missing or cannot be scanned", first + i);
    return status;
}

// Item `at` of an input along its axis.
static int slice(struct fp_call *call, struct fp_tensor *dst, const struct fp_tensor *src, int axis, int64_t at) {
    if (axis == 0) {
        fp_view(dst, src, at);
        return FINEPRUNE_OK;
    }
    int64_t dims[FP_MAX_RANK], outer = (int64_t)fp_span(src->dims, 0, axis),
                               inner = (int64_t)fp_span(src->dims, axis + 1, src->rank);
    int rank = 0;
    for (int i = 0; i < src->rank; i++)
        if (i != axis) dims[rank++] = src->dims[i];
    struct fp_move m = {0};
    fp_move_add(&m, outer, inner, src->dims[axis] * inner);
    fp_move_add(&m, inner, 1, 1);
    size_t size = fp_type_held(src->type);
    int status = fp_tensor_new(dst, call->memory, src->type, rank, dims, call->err);
    if (status) return status;
    return fp_move_run(call, &m, src->type, dst->data, (char *)src->data + (size_t)(at * inner) * size);
}

// Scans `inputs` (states, then sequences) into `outputs`; of one batch in opset 8.
static int scan(struct fp_call *call, const struct fp_tensor *inputs, struct fp_tensor *outputs) {
    bool old = call->node->opset < 9;
    struct fp_graph *body = fp_attr_graph(call->node, "body");
    int scans = (int)fp_attr_int(call->node, "num_scan_inputs", 0), states = body->n_inputs - scans, axis;
    struct steps s = {.call = call, .body = body, .n_states = states};
    int64_t length = -1;
    int status = steps_init(&s);
    for (int i = 0; i < states && !status; i++) fp_tensor_share(&s.in[i], &inputs[i]);
    for (int i = 0; i < scans && !status; i++) {
        const struct fp_tensor *x = &inputs[states + i];
        status = fp_axis(call, entry(call, "scan_input_axes", i), x->rank, &axis);
        if (!status && length >= 0 && x->dims[axis] != length)
            status = fp_call_fail(call, "scan inputs have %lld and %lld steps", (long long)length,
                                  (long long)x->dims[axis]);
        if (!status) length = x->dims[axis];
    }
    for (int64_t at = 0; at < length && !status; at++) {
        for (int i = 0; i < scans && !status; i++) {
            const struct fp_tensor *x = &inputs[states + i];
            bool backward = entry(call, old ? "directions" : "scan_input_directions", i) != 0;
            fp_tensor_done(&s.in[states + i]);
            status = fp_axis(call, entry(call, "scan_input_axes", i), x->rank, &axis);
            if (!status) status = slice(call, &s.in[states + i], x, axis, backward ? length - 1 - at : at);
        }
        if (!status) status = step(&s, NULL);
    }
    for (int i = 0; i < states && !status; i++) {
        outputs[i] = s.in[i];
        memset(&s.in[i], 0, sizeof(s.in[i]));
    }
    for (int i = 0; i < s.n_collected && !status; i++)
        status = stack_collected(&s, i, entry(call, "scan_output_axes", i),
                                 entry(call, "scan_output_directions", i) != 0, &outputs[states + i]);
    steps_done(&s);
    return status;
}

static int prepare_scan(struct fp_call *call) { return check_scan(call, 0); }

static int run_scan(struct fp_call *call) {
    struct fp_graph *body = fp_attr_graph(call->node, "body");
    struct fp_tensor *inputs = new_tensors(call, call->n_in), *outputs = new_tensors(call, body->n_outputs);
    int status = FINEPRUNE_LIMIT;
    if (inputs && outputs) status = FINEPRUNE_OK;
    for (int i = 0; i < call->n_in && !status; i++) fp_tensor_share(&inputs[i], call->in[i]);
    if (!status) status = scan(call, inputs, outputs);
    for (int i = 0; i < body->n_outputs && !status; i++) put_output(call, i, &outputs[i]);
    drop(inputs, call->n_in);
    drop(outputs, body->n_outputs);
    return status;
}

// ---- Scan of opset 8: every input has a batch axis first, and each batch is scanned by itself

static int prepare_scan_8(struct fp_call *call) {
    int status = check_scan(call, 1);
    int64_t batches = 0;
    if (!status && call->in[1]->rank) batches = call->in[1]->dims[0];
    for (int i = 1; i < call->n_in && !status; i++)
        if (call->in[i]->type == FP_SEQUENCE || !call->in[i]->rank || call->in[i]->dims[0] != batches || !batches)
            status = fp_call_fail(call, "input %d has another batch than %lld", i, (long long)batches);
    if (!status && fp_given(call, 0)) status = fp_index_type(call, 0);
    for (size_t i = 0; !status && fp_given(call, 0) && i < call->in[0]->count; i++)
        if (fp_int_at(call->in[0], i) != call->in[call->n_in - 1]->dims[1])
            status = fp_call_fail(call, "sequences of different lengths are not supported");
    return status;
}

static int scan_batch(struct fp_call *call, int64_t batch, struct fp_tensor *inputs, struct fp_tensor *outputs,
                      struct fp_list *lists) {
    struct fp_graph *body = fp_attr_graph(call->node, "body");
    for (int i = 1; i < call->n_in; i++) {
        fp_tensor_done(&inputs[i - 1]);
        fp_view(&inputs[i - 1], call->in[i], batch);
    }
    int status = scan(call, inputs, outputs);
    for (int i = 0; i < body->n_outputs && !status; i++) status = fp_list_add(&lists[i], &outputs[i], call->err);
    return status;
}

static int run_scan_8(struct fp_call *call) {
    struct fp_graph *body = fp_attr_graph(call->node, "body");
    struct fp_tensor *inputs = new_tensors(call, call->n_in), *outputs = new_tensors(call, body->n_outputs);
    struct fp_list *lists = fp_calloc((size_t)body->n_outputs, sizeof(*lists));
    int status = FINEPRUNE_OK;
    if (!inputs || !outputs || !lists) status = fp_fail_memory(call->err, "values of a body", 0);
    for (int64_t b = 0; b < call->in[1]->dims[0] && !status; b++) status = scan_batch(call, b, inputs, outputs, lists);
    for (int i = 0; i < body->n_outputs && !status; i++) {
        if (lists[i].items[0].type <= FP_NONE || lists[i].items[0].rank >= FP_MAX_RANK)
            status = fp_call_fail(call, "output %d cannot be stacked", i);
        if (!status) status = fp_stack(call, &outputs[i], lists[i].items, lists[i].n, 0, false);
        if (!status) put_output(call, i, &outputs[i]);
    }
    for (int i = 0; lists && i < body->n_outputs; i++) fp_list_done(&lists[i]);
    free(lists);
    drop(inputs, call->n_in);
    drop(outputs, body->n_outputs);
    return status;
}

#define ROW(name, since, prepare, run, ...)                                                                            \
    {"", name, since, prepare, run, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, 0, NULL, __VA_ARGS__}
const struct fp_op fp_ops_control[] = {
    ROW("If", 1, prepare_if, run_if, .arity = "r>+", .attributes = "else_branch=g! then_branch=g!"),
    ROW("Loop", 1, prepare_loop, run_loop, .arity = "oo+>+ 11:oo*>+", .attributes = "body=g!"),
    ROW("Scan", 8, prepare_scan_8, run_scan_8, .arity = "o+>+",
        .attributes = "body=g! directions=I num_scan_inputs=i!"),
    ROW("Scan", 9, prepare_scan, run_scan, .arity = "+>+",
        .attributes = "body=g! num_scan_inputs=i! scan_input_axes=I scan_input_directions=I scan_output_axes=I "
                      "scan_output_directions=I"),
    {0},
};
