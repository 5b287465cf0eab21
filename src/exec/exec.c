// SPDX-License-Identifier: Apache-2.0
// Running a graph. A plan is made once per graph: which operator each node has, which values are constant. A frame is
// one run of a plan: its values and how many readers each still has. A cell is what one node keeps between runs.
#include "exec/exec.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/channels_last.h"
#include "kernel/dnnl_memory.h"
#include "exec/fuse.h"
#include "base/mapping.h"
#include "base/threads.h"
#include "exec/rounding.h"
#include "exec/op_list.h"

// What prepare saw of one input; prepare is called again when it changes.
struct seen {
    bool given;
    enum fp_type type;
    int rank;
    int64_t dims[FP_MAX_RANK];
    const void *layout;
    void *copy; // of the elements, when prepare has read them
    size_t copy_size;
};

// The nodes that are done inside another's call.
struct tail {
    struct fp_fusion fusion;
    struct seen seen[FP_TAIL_EXTRA];
};

struct watch {
    struct watch *next;
    int slot, tag;
};

struct cell {
    const struct fp_node *node;
    const struct fp_op *op; // NULL for calls of functions
    void *state;
    bool prepared, folded;
    bool computes, feeds_computing; // rounding.h
    enum fp_type cast_to;           // of a Cast; else FP_NONE
    bool identity, passed;          // passed: the last run left its input as it was
    uint64_t constant, values_read;
    struct seen *seen;           // n_in
    struct fp_tensor *converted; // n_in: float32 forms of constant inputs, for FP_OP_FLOAT32
    struct fp_tensor *shapes;    // n_out: type and dims that prepare has set
    int *alias;                  // n_out
    struct plan **bodies;        // of node->bodies
    struct watch *watches;
    struct tail *tail;         // what is done inside this node's call, or NULL
    const struct cell *inside; // whose call does this node, as long as that one has a tail
};

struct plan {
    const struct fp_graph *graph;
    struct plan *parent; // of captured values
    struct cell *cells;
    bool *is_constant;           // per value
    struct fp_tensor *constants; // per value, once loaded or folded
    int *watch_value;            // per value: tag + 1, or 0; NULL when none is watched
    bool fused;                  // tails have been looked for
};

struct fp_frame {
    struct fp_exec *exec;
    struct plan *plan;
    struct fp_frame *parent;
    struct fp_tensor *values;
    int *left; // readers that have not run
};

struct fp_exec {
    struct fineprune_model *model;
    struct fp_memory *memory;
    struct fp_context context;
    int threads;
    struct plan *plan;
    const struct fp_observer *observer;
    fineprune_error *err;
};

struct fp_memory *fp_exec_memory(struct fp_exec *exec) { return exec->memory; }
double fp_exec_preparing(const struct fp_exec *exec) { return exec->context.preparing; }

// ---- plans

static void plan_free(struct plan *plan);

static void tail_free(struct tail *tail) {
    for (int i = 0; tail && i < FP_TAIL_EXTRA; i++) free(tail->seen[i].copy);
    free(tail);
}

static void cell_free(struct cell *cell) {
    tail_free(cell->tail);
    if (cell->state && cell->op && cell->op->done) cell->op->done(cell->state);
    else free(cell->state);
    for (int i = 0; cell->seen && i < cell->node->n_in; i++) free(cell->seen[i].copy);
    for (int i = 0; cell->converted && i < cell->node->n_in; i++) fp_tensor_done(&cell->converted[i]);
    for (int i = 0; cell->bodies && i < cell->node->n_bodies; i++) plan_free(cell->bodies[i]);
    while (cell->watches) {
        struct watch *next = cell->watches->next;
        free(cell->watches);
        cell->watches = next;
    }
    free(cell->seen);
    free(cell->converted);
    free(cell->shapes);
    free(cell->alias);
    free(cell->bodies);
}

static void plan_free(struct plan *plan) {
    if (!plan) return;
    for (int i = 0; plan->cells && i < plan->graph->n_nodes; i++)
        if (plan->cells[i].node) cell_free(&plan->cells[i]);
    for (int i = 0; plan->constants && i < plan->graph->n_values; i++) fp_tensor_done(&plan->constants[i]);
    free(plan->cells);
    free(plan->is_constant);
    free(plan->constants);
    free(plan->watch_value);
    free(plan);
}

static int plan_new(struct plan **out, const struct fp_graph *graph, struct plan *parent, const bool *constant_inputs,
                    fineprune_error *err);

// Whether the node's results are the same in every run.
static bool can_fold(const struct plan *plan, const struct cell *cell) {
    const struct fp_node *node = cell->node;
    if (!cell->op || cell->op->flags & FP_OP_IMPURE || node->n_bodies) return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && !plan->is_constant[node->in[i]]) return false;
    return true;
}

static int plan_bodies(struct plan *plan, struct cell *cell, fineprune_error *err) {
    const struct fp_node *node = cell->node;
    if (!node->n_bodies) return FINEPRUNE_OK;
    cell->bodies = fp_calloc((size_t)node->n_bodies, sizeof(*cell->bodies));
    if (!cell->bodies) return fp_fail_memory(err, "the plan", sizeof(void *));
    for (int i = 0; i < node->n_bodies; i++) {
        bool *constant = NULL;
        if (node->function) { // its inputs are as constant as the call's
            constant = fp_calloc((size_t)node->function->n_inputs, sizeof(*constant));
            if (!constant) return fp_fail_memory(err, "the plan", sizeof(void *));
            for (int k = 0; k < node->function->n_inputs && k < node->n_in; k++)
                constant[k] = node->in[k] >= 0 && plan->is_constant[node->in[k]];
        }
        int status = plan_new(&cell->bodies[i], node->bodies[i], plan, constant, err);
        free(constant);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int plan_cell(struct plan *plan, struct cell *cell, const struct fp_node *node, fineprune_error *err) {
    *cell = (struct cell){.node = node, .op = fp_node_op(node)};
    if (cell->op && cell->op->role == FP_ROLE_CASTS) cell->cast_to = (enum fp_type)fp_attr_int(node, "to", FP_NONE);
    cell->identity = cell->op && cell->op->role == FP_ROLE_IDENTITY;
    cell->computes = fp_node_computes(node);
    cell->feeds_computing = !cell->computes && cell->op && !node->n_bodies && fp_node_feeds_computing(node);
    cell->seen = fp_calloc((size_t)node->n_in, sizeof(*cell->seen));
    cell->converted = fp_calloc((size_t)node->n_in, sizeof(*cell->converted));
    cell->shapes = fp_calloc((size_t)node->n_out, sizeof(*cell->shapes));
    cell->alias = fp_calloc((size_t)node->n_out, sizeof(*cell->alias));
    if (!cell->seen || !cell->converted || !cell->shapes || !cell->alias)
        return fp_fail_memory(err, "the plan", sizeof(*cell));
    for (int i = 0; i < node->n_in && i < 64; i++)
        if (node->in[i] >= 0 && plan->is_constant[node->in[i]]) cell->constant |= (uint64_t)1 << i;
    if (can_fold(plan, cell))
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0) plan->is_constant[node->out[i]] = true;
    return plan_bodies(plan, cell, err);
}

static int plan_new(struct plan **out, const struct fp_graph *graph, struct plan *parent, const bool *constant_inputs,
                    fineprune_error *err) {
    struct plan *plan = *out = calloc(1,
                                      sizeof(*plan)); // linked in at once, so that the owner frees what is half built
    if (!plan) return fp_fail_memory(err, "the plan", sizeof(*plan));
    plan->graph = graph;
    plan->parent = parent;
    plan->cells = fp_calloc((size_t)graph->n_nodes, sizeof(*plan->cells));
    plan->is_constant = fp_calloc((size_t)graph->n_values, sizeof(bool));
    plan->constants = fp_calloc((size_t)graph->n_values, sizeof(*plan->constants));
    if (!plan->cells || !plan->is_constant || !plan->constants) return fp_fail_memory(err, "the plan", sizeof(*plan));
    for (int i = 0; i < graph->n_values; i++) {
        const struct fp_value *v = &graph->values[i];
        plan->is_constant[i] = ((v->initializer || v->sparse_initializer) && !(v->is_input && graph->parent)) ||
                               (v->outer >= 0 && parent->is_constant[v->outer]);
    }
    for (int i = 0; constant_inputs && i < graph->n_inputs; i++)
        plan->is_constant[graph->inputs[i]] = constant_inputs[i];
    int status = FINEPRUNE_OK;
    for (int i = 0; i < graph->n_nodes && !status; i++)
        status = plan_cell(plan, &plan->cells[i], &graph->nodes[i], err);
    return status;
}

// ---- constants

static struct fp_node *call_of(const struct plan *plan) {
    return plan->graph->function_proto ? plan->graph->parent_node : NULL;
}

// The caller's value behind an input of a function body, -1 when there is none.
static int argument_of(const struct plan *plan, int value) {
    const struct fp_node *call = call_of(plan);
    for (int i = 0; call && i < plan->graph->n_inputs && i < call->n_in; i++)
        if (plan->graph->inputs[i] == value) return call->in[i];
    return -1;
}

static int constant_of(struct fp_exec *exec, struct plan *plan, int value, struct fp_tensor **out);
static int run_cell(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell);

static int load_constant(struct fp_exec *exec, struct plan *plan, int value, struct fp_tensor *out) {
    const struct fp_value *v = &plan->graph->values[value];
    if (v->initializer) return fp_initializer_load(exec->model, v->initializer, out, exec->err);
    if (v->sparse_initializer) return fp_sparse_initializer_load(exec->model, v->sparse_initializer, out, exec->err);
    // A folded node: run it in a frame that has nothing but constants.
    struct cell *cell = &plan->cells[v->producer->id];
    struct fp_frame frame = {.exec = exec, .plan = plan};
    frame.values = fp_calloc((size_t)plan->graph->n_values, sizeof(*frame.values));
    if (!frame.values) return fp_fail_memory(exec->err, "constants", sizeof(struct fp_tensor));
    int status = run_cell(exec, &frame, cell);
    for (int i = 0; i < cell->node->n_out; i++) {
        int id = cell->node->out[i];
        if (id < 0) continue;
        if (!status && id != value && !plan->constants[id].type) {
            plan->constants[id] = frame.values[id];
        } else if (!status && id == value) {
            *out = frame.values[id];
        } else {
            fp_tensor_done(&frame.values[id]);
        }
    }
    free(frame.values);
    cell->folded = !status;
    return status;
}

static int constant_of(struct fp_exec *exec, struct plan *plan, int value, struct fp_tensor **out) {
    const struct fp_value *v = &plan->graph->values[value];
    if (v->outer >= 0) return constant_of(exec, plan->parent, v->outer, out);
    int argument = v->initializer || v->producer ? -1 : argument_of(plan, value);
    if (argument >= 0) return constant_of(exec, plan->parent, argument, out);
    struct fp_tensor *t = &plan->constants[value];
    if (!t->type) {
        struct fp_tensor loaded = {0};
        int status = load_constant(exec, plan, value, &loaded);
        if (status) return status;
        *t = loaded;
    }
    *out = t;
    return FINEPRUNE_OK;
}

// ---- inputs of a call

static int value_of(struct fp_exec *exec, struct fp_frame *frame, int value, struct fp_tensor **out) {
    *out = NULL;
    if (value < 0) return FINEPRUNE_OK;
    if (frame->plan->is_constant[value]) return constant_of(exec, frame->plan, value, out);
    int outer = frame->plan->graph->values[value].outer;
    if (outer >= 0) return value_of(exec, frame->parent, outer, out);
    *out = &frame->values[value];
    return FINEPRUNE_OK;
}

static bool is_narrow(enum fp_type type) { return type == FP_FLOAT16 || type == FP_BFLOAT16 || type == FP_DOUBLE; }

static bool any_kind_missing(const struct fp_op *op, const struct fp_tensor *t) {
    return !(op->flags & FP_OP_ANY_KIND) && (t->type == FP_STRING || t->type == FP_SEQUENCE);
}

// The inputs as the operator wants them: row-major, and float32 where its row says so. own[i] is what must be dropped
// afterwards.
struct arguments {
    struct fp_tensor **in, *own;
    struct fp_tensor *extra[FP_TAIL_EXTRA]; // of the tail, as they come
    enum fp_type narrow;                    // of the first input that was made float32
    bool wide;                              // inputs that wait to be rounded stay so, and so do the results
    size_t n;
    char room[8 * (sizeof(struct fp_tensor *) + sizeof(struct fp_tensor))];
};

static bool arguments_init(struct arguments *a, int n) {
    size_t size = (size_t)n * (sizeof(*a->in) + sizeof(*a->own));
    char *memory = size <= sizeof(a->room) ? a->room : malloc(size);
    a->n = (size_t)n;
    a->narrow = FP_NONE;
    a->wide = false;
    a->own = (struct fp_tensor *)memory;
    a->in = memory ? (struct fp_tensor **)(memory + (size_t)n * sizeof(*a->own)) : NULL;
    if (memory) memset(memory, 0, size);
    return memory != NULL;
}

static void arguments_done(struct arguments *a) {
    for (size_t i = 0; i < a->n; i++) fp_tensor_done(&a->own[i]);
    if ((char *)a->own != a->room) free(a->own);
}

// A tensor that waits to be rounded, rounded and row-major.
static int round_tensor(struct fp_exec *exec, struct fp_tensor *dst, const struct fp_tensor *t) {
    struct fp_tensor plain = {0};
    int status = t->layout ? fp_tensor_plain(exec->threads, exec->memory, &plain, t, exec->err) : FINEPRUNE_OK;
    if (!status) status = fp_tensor_convert(dst, exec->memory, plain.type ? &plain : t, t->rounds, exec->err);
    fp_tensor_done(&plain);
    return status;
}

static int adapt(struct fp_exec *exec, struct cell *cell, int i, struct arguments *a) {
    struct fp_tensor *t = a->in[i];
    const struct fp_op *op = cell->op;
    if (any_kind_missing(op, t)) {
        char text[400];
        return fp_fail(exec->err, FINEPRUNE_MODEL, "%s: %s inputs are not supported",
                       fp_node_text(text, sizeof(text), cell->node), fp_type_name(t->type));
    }
    if (t->rounds && a->wide && !a->narrow) a->narrow = t->rounds;
    if (t->rounds && !a->wide) {
        int status = round_tensor(exec, &a->own[i], t);
        if (status) return status;
        t = a->in[i] = &a->own[i];
    } else if (t->layout && !(op->flags & FP_OP_BLOCKED)) {
        int status = fp_tensor_plain(exec->threads, exec->memory, &a->own[i], t, exec->err);
        if (status) return status;
        t = a->in[i] = &a->own[i];
    }
    bool widens = op->flags & FP_OP_FLOAT32 ? is_narrow(t->type) : a->wide && fp_type_rounds(t->type);
    if (!widens) return FINEPRUNE_OK;
    if (!a->narrow) a->narrow = t->type;
    bool constant = i < 64 && (cell->constant >> i & 1);
    struct fp_tensor wide = {0};
    if (!constant || !cell->converted[i].type) {
        int status = fp_tensor_convert(&wide, exec->memory, t, FP_FLOAT, exec->err);
        if (status) return status;
        struct fp_tensor *dst = constant ? &cell->converted[i] : &a->own[i];
        fp_tensor_done(dst);
        *dst = wide;
    }
    a->in[i] = constant ? &cell->converted[i] : &a->own[i];
    return FINEPRUNE_OK;
}

// The node that made a value, behind those that only passed it on; NULL for inputs of the graph and constants.
static const struct fp_node *maker_of(const struct plan *plan, int value) {
    const struct fp_node *node = plan->is_constant[value] ? NULL : plan->graph->values[value].producer;
    while (node && plan->cells[node->id].passed) node = plan->graph->values[node->in[0]].producer;
    return node;
}

// Operators that compute take what comes as float32. One that moves does so alone between two that compute; of a list
// of inputs the first decides.
static bool stays_wide(const struct fp_frame *frame, const struct cell *cell, const struct arguments *a) {
    if (cell->computes || !cell->feeds_computing || !frame->left)
        return cell->computes && frame->left; // a constant is rounded
    bool waits = false;
    size_t n = cell->op->flags & FP_OP_FIRST_DECIDES && a->n ? 1 : a->n;
    for (size_t i = 0; i < n; i++) {
        if (!a->in[i] || !(a->in[i]->rounds || fp_type_rounds(a->in[i]->type))) continue;
        const struct fp_node *maker = maker_of(frame->plan, cell->node->in[i]);
        if (maker && !(a->in[i]->rounds && frame->plan->cells[maker->id].computes)) return false;
        waits |= a->in[i]->rounds != FP_NONE;
    }
    return waits;
}

static int gather(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell, struct arguments *a) {
    const struct fp_node *node = cell->node;
    for (int i = 0; i < node->n_in; i++) {
        int status = value_of(exec, frame, node->in[i], &a->in[i]);
        if (status) return status;
    }
    a->wide = stays_wide(frame, cell, a);
    for (int i = 0; i < node->n_in; i++) {
        if (!a->in[i]) continue;
        if (a->in[i]->type == FP_NONE) { // an absent optional is an input that is left out
            if (!(cell->op->flags & FP_OP_ANY_KIND)) a->in[i] = NULL;
            continue;
        }
        int status = adapt(exec, cell, i, a);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

// ---- prepare

static bool same_shape_as_seen(const struct seen *s, const struct fp_tensor *t) {
    if (s->given != (t != NULL)) return false;
    if (!t) return true;
    if (s->type != t->type || s->rank != t->rank || s->layout != t->layout) return false;
    return memcmp(s->dims, t->dims, (size_t)t->rank * sizeof(t->dims[0])) == 0;
}

static bool same_as_seen(const struct cell *cell, int i, const struct fp_tensor *t) {
    const struct seen *s = &cell->seen[i];
    if (!same_shape_as_seen(s, t)) return false;
    bool read = t && i < 64 && (cell->values_read >> i & 1) && !(cell->constant >> i & 1);
    return !read || (s->copy && s->copy_size == fp_tensor_bytes(t) && !memcmp(s->copy, t->data, s->copy_size));
}

static bool needs_prepare(const struct cell *cell, const struct arguments *a) {
    if (!cell->prepared || cell->op->flags & FP_OP_DYNAMIC) return true;
    for (int i = 0; i < cell->node->n_in; i++)
        if (!same_as_seen(cell, i, a->in[i])) return true;
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra; i++)
        if (!same_shape_as_seen(&cell->tail->seen[i], a->extra[i])) return true;
    return false;
}

static void remember_shape(struct seen *s, const struct fp_tensor *t) {
    free(s->copy);
    *s = (struct seen){.given = t != NULL};
    if (!t) return;
    s->type = t->type;
    s->rank = t->rank;
    s->layout = t->layout;
    memcpy(s->dims, t->dims, sizeof(s->dims));
}

static bool remember(struct cell *cell, int i, const struct fp_tensor *t) {
    struct seen *s = &cell->seen[i];
    remember_shape(s, t);
    if (!t) return true;
    if (i >= 64 || !(cell->values_read >> i & 1) || cell->constant >> i & 1) return true;
    s->copy_size = fp_tensor_bytes(t);
    s->copy = malloc(s->copy_size + 1);
    if (s->copy && s->copy_size) memcpy(s->copy, t->data, s->copy_size);
    return s->copy != NULL;
}

// The nodes of the tail go back to being run one by one, as they come after this one.
static void drop_tail(struct plan *plan, struct cell *cell) {
    if (!cell->tail) return;
    for (int i = 0; i < cell->tail->fusion.n_nodes; i++) plan->cells[cell->tail->fusion.nodes[i]->id].inside = NULL;
    tail_free(cell->tail);
    cell->tail = NULL;
    cell->prepared = false;
}

static int prepare_once(struct cell *cell, struct fp_call *call) {
    cell->prepared = false;
    for (int i = 0; i < call->n_out; i++) {
        call->out[i] = (struct fp_tensor){0};
        call->alias[i] = -1;
    }
    int status = cell->op->prepare(call);
    cell->state = call->state;
    return status;
}

static int prepare(struct fp_exec *exec, struct plan *plan, struct cell *cell, struct fp_call *call) {
    int status = prepare_once(cell, call);
    if (status == FP_NOT_FUSED || (!status && cell->tail && call->out[0].rank < cell->tail->fusion.least_rank)) {
        drop_tail(plan, cell);
        call->n_tail = 0;
        status = prepare_once(cell, call);
    }
    if (status) return status;
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra; i++)
        remember_shape(&cell->tail->seen[i], call->extra[i]);
    cell->values_read = call->values_read;
    for (int i = 0; i < call->n_in; i++)
        if (!remember(cell, i, call->in[i])) return fp_fail_memory(exec->err, "a shape", 0);
    cell->prepared = true;
    return FINEPRUNE_OK;
}

// ---- run

// Input 0's memory can become output 0's: nobody else reads it and it fits.
static bool in_place(struct fp_frame *frame, const struct cell *cell, const struct fp_call *call,
                     const struct fp_tensor *out) {
    if (!(cell->op->flags & FP_OP_IN_PLACE) || !call->n_in || !call->in[0]) return false;
    const struct fp_tensor *in = call->in[0];
    int value = cell->node->in[0];
    return frame->left && in == &frame->values[value] && frame->left[value] == 1 && in->buffer &&
           in->buffer->refs == 1 && in->type == out->type && in->count == out->count && in->layout == out->layout &&
           in->data == in->buffer->data;
}

static int allocate_outputs(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell, struct fp_call *call) {
    for (int i = 0; i < call->n_out; i++) {
        struct fp_tensor *out = &call->out[i];
        int alias = cell->alias[i];
        if (alias < 0 && i == 0 && in_place(frame, cell, call, out)) alias = 0;
        if (alias >= 0) {
            struct fp_tensor shape = *out;
            fp_tensor_share(out, call->in[alias]);
            out->type = shape.type;
            out->rank = shape.rank;
            out->layout = shape.layout;
            memcpy(out->dims, shape.dims, sizeof(out->dims));
        } else if (out->type > 0 && !out->data) {
            int status = fp_tensor_allocate(out, exec->memory, exec->err);
            if (status) return status;
        }
    }
    return FINEPRUNE_OK;
}

static int show(struct fp_exec *exec, struct cell *cell, struct fp_call *call) {
    for (const struct watch *w = cell->watches; w; w = w->next) {
        struct fp_tensor x = {0}, plain = {0};
        int status = FINEPRUNE_OK;
        if (cell->op->weight_input) status = cell->op->weight_input(call, w->slot, &x);
        else fp_tensor_share(&x, call->in[w->slot == 0 ? 1 : 0]);
        if (!status && x.layout && !exec->observer->takes_last) {
            status = fp_tensor_plain(exec->threads, exec->memory, &plain, &x, exec->err);
            fp_tensor_done(&x);
            x = plain;
        }
        if (!status) status = exec->observer->see(exec->observer->user, w->tag, &x, exec->err);
        fp_tensor_done(&x);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int narrow_outputs(struct fp_exec *exec, struct fp_call *call, enum fp_type type) {
    for (int i = 0; i < call->n_out && type; i++) {
        if (call->out[i].type != FP_FLOAT) continue;
        struct fp_tensor narrow = {0}, plain = {0};
        int status = FINEPRUNE_OK;
        if (call->out[i].layout) {
            status = fp_tensor_plain(exec->threads, exec->memory, &plain, &call->out[i], exec->err);
            if (status) return status;
            fp_tensor_done(&call->out[i]);
            call->out[i] = plain;
        }
        status = fp_tensor_convert(&narrow, exec->memory, &call->out[i], type, exec->err);
        if (status) return status;
        fp_tensor_done(&call->out[i]);
        call->out[i] = narrow;
    }
    return FINEPRUNE_OK;
}

// Large files' weights are read where they lie, each time: packed copies would hold them all in memory.
static uint64_t constants_to_keep(const struct fp_exec *exec, const struct cell *cell, const struct arguments *a) {
    uint64_t constant = cell->constant;
    if (!fp_mapping_is_large(exec->model->mappings)) return constant;
    for (int i = 0; i < cell->node->n_in && i < 64; i++)
        if (constant >> i & 1 && a->in[i] && fp_mapping_holds(exec->model->mappings, a->in[i]->data))
            constant &= ~((uint64_t)1 << i);
    return constant;
}

static void drop_constants(const struct fp_exec *exec, const struct cell *cell, const struct arguments *a) {
    for (int i = 0; i < cell->node->n_in && i < 64; i++)
        if (cell->constant >> i & 1 && a->in[i] && a->in[i]->data)
            fp_mapping_drop(exec->model->mappings, a->in[i]->data, fp_tensor_bytes(a->in[i]));
}

static int call_operator(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell, struct arguments *a,
                         struct fp_tensor *out) {
    struct fp_call call = {.node = cell->node,
                           .op = cell->op,
                           .n_in = cell->node->n_in,
                           .n_out = cell->node->n_out,
                           .in = a->in,
                           .out = out,
                           .alias = cell->alias,
                           .state = cell->state,
                           .constant = constants_to_keep(exec, cell, a),
                           .threads = exec->threads,
                           .memory = exec->memory,
                           .context = &exec->context,
                           .frame = frame,
                           .err = exec->err};
    int status = FINEPRUNE_OK;
    if (cell->tail && a->narrow) drop_tail(frame->plan, cell); // each of its nodes rounds
    if (cell->tail) {
        call.n_tail = cell->tail->fusion.n_tail;
        call.tail = cell->tail->fusion.tail;
        call.extra = a->extra;
    }
    const int before = fp_threads_set(exec->threads);
    if (needs_prepare(cell, a)) {
        double start = fp_seconds();
        status = prepare(exec, frame->plan, cell, &call);
        exec->context.preparing += fp_seconds() - start;
        for (int i = 0; i < call.n_out && !status; i++)
            if (!out[i].data && !out[i].buffer)
                cell->shapes[i] = out[i]; // what prepare itself has filled it does each time
    } else {
        for (int i = 0; i < call.n_out; i++) out[i] = cell->shapes[i];
    }
    if (!status) status = allocate_outputs(exec, frame, cell, &call);
    if (!status && cell->op->run) status = cell->op->run(&call);
    fp_threads_set(before);
    cell->state = call.state;
    if (!status && exec->observer && cell->watches) status = show(exec, cell, &call);
    for (int i = 0; i < call.n_out && !status; i++)
        out[i].rounds = a->wide && out[i].type == FP_FLOAT && fp_type_rounds(a->narrow) ? a->narrow : FP_NONE;
    if (!status && !(a->wide && fp_type_rounds(a->narrow))) status = narrow_outputs(exec, &call, a->narrow);
    return status;
}

// A failure without words gets some; one of memory is told with the node that wanted it.
static int name_node(fineprune_error *err, int status, const struct fp_node *node) {
    char text[400];
    if (!err) return status;
    fp_node_text(text, sizeof(text), node);
    if (!err->status) return fp_fail(err, status, "%s failed", text);
    if (status != FINEPRUNE_LIMIT || !strncmp(err->message, "node ", 5)) return status;
    fineprune_error found = *err;
    fp_error_clear(err);
    fp_fail(err, status, "%s: %s", text, found.message);
    if (found.hint[0]) fp_hint(err, "%s", found.hint);
    return status;
}

// What waits to be rounded is passed on as it is by Identity and by a Cast to the type that it waits for. Another Cast
// to a narrow type leaves the rounding to who reads it; one to float32 takes what waits, unless a Cast was what made it
// wait.
static bool passes(const struct fp_frame *frame, struct cell *cell, const struct fp_tensor *t) {
    cell->passed = false;
    if (!frame->left || !t || t->type != FP_FLOAT) return false;
    cell->passed = t->rounds && (cell->identity || t->rounds == cell->cast_to);
    if (cell->passed || fp_type_rounds(cell->cast_to)) return cell->passed || !t->rounds;
    const struct fp_node *producer = cell->node->graph->values[cell->node->in[0]].producer;
    return cell->cast_to == FP_FLOAT && t->rounds && !(producer && frame->plan->cells[producer->id].cast_to != FP_NONE);
}

static int run_operator(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell, struct fp_tensor *out) {
    struct arguments a;
    if ((cell->cast_to || cell->identity) && cell->node->n_in == 1) {
        struct fp_tensor *t;
        int status = value_of(exec, frame, cell->node->in[0], &t);
        if (status) return status;
        if (passes(frame, cell, t)) {
            fp_tensor_share(&out[0], t);
            out[0].rounds = cell->passed ? t->rounds : cell->cast_to == FP_FLOAT ? FP_NONE : cell->cast_to;
            return FINEPRUNE_OK;
        }
    }
    if (!arguments_init(&a, cell->node->n_in)) return fp_fail_memory(exec->err, "arguments", sizeof(a));
    int status = gather(exec, frame, cell, &a);
    for (int i = 0; cell->tail && i < cell->tail->fusion.n_extra && !status; i++)
        status = value_of(exec, frame, cell->tail->fusion.extra[i], &a.extra[i]);
    if (!status) status = call_operator(exec, frame, cell, &a, out);
    if (!status) drop_constants(exec, cell, &a);
    arguments_done(&a);
    return status ? name_node(exec->err, status, cell->node) : FINEPRUNE_OK;
}

static int run_graph(struct fp_exec *exec, struct plan *plan, struct fp_frame *parent, const struct fp_tensor *inputs,
                     int n_inputs, struct fp_tensor *outputs);

static int run_function(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell, struct fp_tensor *out) {
    const struct fp_node *node = cell->node;
    const struct fp_graph *body = node->function;
    struct fp_tensor *inputs = fp_calloc((size_t)body->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_calloc((size_t)body->n_outputs, sizeof(*outputs));
    int status = inputs && outputs ? FINEPRUNE_OK : fp_fail_memory(exec->err, "a function call", sizeof(*inputs));
    for (int i = 0; i < body->n_inputs && i < node->n_in && !status; i++) {
        struct fp_tensor *t;
        status = value_of(exec, frame, node->in[i], &t);
        if (!status && t) inputs[i] = *t; // lent for the call
    }
    if (!status) status = run_graph(exec, cell->bodies[0], frame, inputs, body->n_inputs, outputs);
    for (int i = 0; outputs && i < body->n_outputs; i++) {
        if (!status && i < node->n_out) out[i] = outputs[i];
        else fp_tensor_done(&outputs[i]);
    }
    free(inputs);
    free(outputs);
    return status;
}

static void read_done(struct fp_frame *frame, int value) {
    if (value < 0 || !frame->left || frame->plan->is_constant[value]) return;
    if (--frame->left[value] == 0) fp_tensor_done(&frame->values[value]);
}

static void release_inputs(struct fp_frame *frame, const struct fp_node *node) {
    for (int i = 0; i < node->n_in; i++) read_done(frame, node->in[i]);
    for (int i = 0; i < node->n_bodies && !node->function; i++)
        for (int v = 0; v < node->bodies[i]->n_values; v++)
            if (node->bodies[i]->values[v].outer >= 0) read_done(frame, node->bodies[i]->values[v].outer);
}

static int show_value(struct fp_exec *exec, const struct plan *plan, int value, const struct fp_tensor *t) {
    if (!plan->watch_value || !plan->watch_value[value] || !exec->observer) return FINEPRUNE_OK;
    struct fp_tensor plain = {0};
    int status = t->layout ? fp_tensor_plain(exec->threads, exec->memory, &plain, t, exec->err) : FINEPRUNE_OK;
    if (!status)
        status = exec->observer->see(exec->observer->user, plan->watch_value[value] - 1, plain.type ? &plain : t,
                                     exec->err);
    fp_tensor_done(&plain);
    return status;
}

static int run_cell(struct fp_exec *exec, struct fp_frame *frame, struct cell *cell) {
    const struct fp_node *node = cell->node;
    struct fp_tensor few[8] = {{0}}, *out = few;
    if (node->n_out > 8) out = fp_calloc((size_t)node->n_out, sizeof(*out));
    if (!out) return fp_fail_memory(exec->err, "outputs", sizeof(*out));
    int status = cell->op ? run_operator(exec, frame, cell, out) : run_function(exec, frame, cell, out);
    for (int i = 0; i < node->n_out; i++) {
        int value = i == 0 && cell->tail ? cell->tail->fusion.last->out[0] : node->out[i];
        if (!status && value >= 0 &&
            (!frame->left || frame->left[value] > 0 || (frame->plan->watch_value && frame->plan->watch_value[value]))) {
            frame->values[value] = out[i];
            status = show_value(exec, frame->plan, value, &out[i]);
            if (frame->left && frame->left[value] == 0) fp_tensor_done(&frame->values[value]);
        } else {
            fp_tensor_done(&out[i]);
        }
    }
    if (out != few) free(out);
    if (frame->left) release_inputs(frame, node);
    for (int i = 0; frame->left && cell->tail && i < cell->tail->fusion.n_nodes; i++)
        release_inputs(frame, cell->tail->fusion.nodes[i]);
    return status;
}

// ---- tails

struct scalar_source {
    struct fp_exec *exec;
    struct plan *plan;
};

static bool read_constant_scalar(void *user, int value, float *out, int *rank) {
    const struct scalar_source *source = user;
    struct fp_tensor *t = NULL;
    if (constant_of(source->exec, source->plan, value, &t) || t->type != FP_FLOAT || t->count != 1) return false;
    *out = *(const float *)t->data;
    *rank = t->rank;
    return true;
}

// Looked for before the first run, when it is known which values must be seen.
static int find_tails(struct fp_exec *exec, struct plan *plan) {
    struct scalar_source source = {exec, plan};
    struct fp_fuse_view view = {plan->graph, plan->is_constant, plan->watch_value, read_constant_scalar, &source};
    plan->fused = true;
    for (int i = 0; i < plan->graph->n_nodes; i++) {
        struct cell *cell = &plan->cells[i];
        struct fp_fusion fusion;
        if (!cell->op || !(cell->op->flags & (FP_OP_FUSES | FP_OP_FUSES_FUNCTIONS)) || cell->inside ||
            can_fold(plan, cell))
            continue;
        if (!fp_fuse_find(&view, cell->node, cell->op->flags & FP_OP_FUSES_FUNCTIONS, &fusion)) continue;
        cell->tail = calloc(1, sizeof(*cell->tail));
        if (!cell->tail) return fp_fail_memory(exec->err, "the plan", sizeof(*cell->tail));
        cell->tail->fusion = fusion;
        for (int k = 0; k < fusion.n_nodes; k++) plan->cells[fusion.nodes[k]->id].inside = cell;
    }
    return FINEPRUNE_OK;
}

static int start_frame(struct fp_exec *exec, struct fp_frame *frame, const struct fp_tensor *inputs, int n_inputs) {
    const struct fp_graph *graph = frame->plan->graph;
    frame->values = fp_calloc((size_t)graph->n_values, sizeof(*frame->values));
    frame->left = fp_calloc((size_t)graph->n_values, sizeof(*frame->left));
    if (!frame->values || !frame->left)
        return fp_fail_memory(exec->err, "a run", (size_t)graph->n_values * sizeof(*frame->values));
    for (int i = 0; i < graph->n_values; i++) frame->left[i] = graph->values[i].n_readers;
    for (int i = 0; i < graph->n_inputs && i < n_inputs; i++) {
        int value = graph->inputs[i];
        if (frame->plan->is_constant[value]) continue;
        fp_tensor_share(&frame->values[value], &inputs[i]);
        int status = show_value(exec, frame->plan, value, &inputs[i]);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int take_outputs(struct fp_exec *exec, struct fp_frame *frame, struct fp_tensor *outputs) {
    const struct fp_graph *graph = frame->plan->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        struct fp_tensor *t;
        int status = value_of(exec, frame, graph->outputs[i], &t);
        if (!status && t->rounds) status = round_tensor(exec, &outputs[i], t);
        else if (!status && t->layout) status = fp_tensor_plain(exec->threads, exec->memory, &outputs[i], t, exec->err);
        else if (!status) fp_tensor_share(&outputs[i], t);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static int run_graph(struct fp_exec *exec, struct plan *plan, struct fp_frame *parent, const struct fp_tensor *inputs,
                     int n_inputs, struct fp_tensor *outputs) {
    struct fp_frame frame = {.exec = exec, .plan = plan, .parent = parent};
    int status = plan->fused ? FINEPRUNE_OK : find_tails(exec, plan);
    if (!status) status = start_frame(exec, &frame, inputs, n_inputs);
    for (int i = 0; i < plan->graph->n_nodes && !status; i++) {
        struct cell *cell = &plan->cells[i];
        bool constant = cell->op && can_fold(plan, cell);
        if (!constant && !cell->inside) status = run_cell(exec, &frame, cell);
    }
    if (!status) status = take_outputs(exec, &frame, outputs);
    for (int i = 0; frame.values && i < plan->graph->n_values; i++) fp_tensor_done(&frame.values[i]);
    free(frame.values);
    free(frame.left);
    return status;
}

static int run_body(struct fp_call *call, struct fp_graph *body, const struct fp_tensor *inputs,
                    struct fp_tensor *outputs) {
    const struct cell *cell = &call->frame->plan->cells[call->node->id];
    for (int i = 0; i < call->node->n_bodies; i++)
        if (call->node->bodies[i] == body)
            return run_graph(call->frame->exec, cell->bodies[i], call->frame, inputs, body->n_inputs, outputs);
    return fp_call_fail(call, "no such body");
}

// ---- what others call

int fp_exec_plan(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                 fineprune_error *err) {
    struct fp_exec *exec = calloc(1, sizeof(*exec));
    if (!exec) return fp_fail_memory(err, "the executor", sizeof(*exec));
    exec->model = model;
    exec->memory = &model->memory;
    exec->context.run_body = run_body;
    exec->threads = fp_threads_wanted(options);
    int status = plan_new(&exec->plan, model->graph, NULL, NULL, err);
    if (status) fp_exec_free(exec);
    else *out = exec;
    return status;
}

int fp_exec_new(struct fp_exec **out, struct fineprune_model *model, const fineprune_run_options *options,
                fineprune_error *err) {
    char *unsupported = fp_exec_unsupported(model);
    if (!unsupported) return fp_exec_plan(out, model, options, err);
    int status = fp_fail(err, FINEPRUNE_MODEL, "'%s' uses operators that are not supported: %s", model->path,
                         unsupported);
    fp_hint(err, "'fineprune --list' names the operators that are");
    free(unsupported);
    return status;
}

void fp_exec_free(struct fp_exec *exec) {
    if (!exec) return;
    plan_free(exec->plan);
    fp_dnnl_done(exec->context.dnnl);
    free(exec);
}

// The plan of a graph of the model, searched from the main one.
static struct plan *find_plan(struct plan *plan, const struct fp_graph *graph) {
    if (plan->graph == graph) return plan;
    for (int i = 0; i < plan->graph->n_nodes; i++)
        for (int k = 0; k < plan->graph->nodes[i].n_bodies; k++) {
            struct plan *found = find_plan(plan->cells[i].bodies[k], graph);
            if (found) return found;
        }
    return NULL;
}

int fp_exec_watch(struct fp_exec *exec, const struct fp_node *node, int slot, int tag, fineprune_error *err) {
    struct plan *plan = find_plan(exec->plan, node->graph);
    struct watch *watch = plan ? malloc(sizeof(*watch)) : NULL;
    if (!watch) return fp_fail_memory(err, "a watch", sizeof(*watch));
    struct cell *cell = &plan->cells[node->id];
    *watch = (struct watch){.next = cell->watches, .slot = slot, .tag = tag};
    cell->watches = watch;
    return FINEPRUNE_OK;
}

int fp_exec_watch_value(struct fp_exec *exec, int value, int tag, fineprune_error *err) {
    if (!exec->plan->watch_value) exec->plan->watch_value = fp_calloc((size_t)exec->plan->graph->n_values, sizeof(int));
    if (!exec->plan->watch_value) return fp_fail_memory(err, "a watch", sizeof(int));
    exec->plan->watch_value[value] = tag + 1;
    for (int i = 0; i < exec->plan->graph->n_nodes; i++) drop_tail(exec->plan, &exec->plan->cells[i]);
    exec->plan->fused = false;
    return FINEPRUNE_OK;
}

int fp_exec_run(struct fp_exec *exec, const struct fp_tensor *inputs, struct fp_tensor *outputs,
                const struct fp_observer *observer, fineprune_error *err) {
    fineprune_error local = {0};
    exec->err = err ? err : &local;
    exec->observer = observer;
    int n = exec->plan->graph->n_outputs;
    memset(outputs, 0, (size_t)n * sizeof(*outputs));
    int status = run_graph(exec, exec->plan, NULL, inputs, exec->plan->graph->n_inputs, outputs);
    for (int i = 0; i < n && status; i++) fp_tensor_done(&outputs[i]);
    return status;
}

// ---- parts of a run

struct fp_live {
    int value, left;
    struct fp_tensor tensor;
};

void fp_exec_state_done(struct fp_exec_state *state) {
    for (int i = 0; i < state->n; i++) fp_tensor_done(&state->live[i].tensor);
    free(state->live);
    *state = (struct fp_exec_state){0};
}

static int keep_state(const struct fp_frame *frame, struct fp_exec_state *state, fineprune_error *err) {
    const struct fp_graph *graph = frame->plan->graph;
    int n = 0;
    for (int i = 0; i < graph->n_values; i++) n += frame->values[i].type != FP_NONE && frame->left[i] > 0;
    state->live = fp_calloc((size_t)n, sizeof(*state->live));
    if (!state->live) return fp_fail_memory(err, "a run", (size_t)n * sizeof(*state->live));
    for (int i = 0; i < graph->n_values; i++) {
        if (frame->values[i].type == FP_NONE || frame->left[i] <= 0) continue;
        struct fp_live *live = &state->live[state->n++];
        *live = (struct fp_live){.value = i, .left = frame->left[i]};
        fp_tensor_share(&live->tensor, &frame->values[i]);
        state->bytes += fp_tensor_bytes(&frame->values[i]);
    }
    return FINEPRUNE_OK;
}

static int start_part(struct fp_exec *exec, struct fp_frame *frame, const struct fp_exec_state *from,
                      const struct fp_tensor *inputs) {
    int status = start_frame(exec, frame, inputs, from ? 0 : frame->plan->graph->n_inputs);
    for (int i = 0; from && i < from->n && !status; i++) {
        fp_tensor_share(&frame->values[from->live[i].value], &from->live[i].tensor);
        frame->left[from->live[i].value] = from->live[i].left;
    }
    return status;
}

int fp_exec_part(struct fp_exec *exec, const struct fp_exec_state *from, const struct fp_tensor *inputs, int first,
                 int last, const struct fp_observer *observer, struct fp_exec_state *keep, fineprune_error *err) {
    fineprune_error local = {0};
    struct plan *plan = exec->plan;
    struct fp_frame frame = {.exec = exec, .plan = plan};
    exec->err = err ? err : &local;
    exec->observer = observer;
    int status = plan->fused ? FINEPRUNE_OK : find_tails(exec, plan);
    if (!status) status = start_part(exec, &frame, from, inputs);
    for (int i = first; i <= last && !status; i++) {
        struct cell *cell = &plan->cells[i];
        if (i == last && keep) status = keep_state(&frame, keep, exec->err);
        if (!status && !(cell->op && can_fold(plan, cell)) && !cell->inside) status = run_cell(exec, &frame, cell);
    }
    for (int i = 0; frame.values && i < plan->graph->n_values; i++) fp_tensor_done(&frame.values[i]);
    free(frame.values);
    free(frame.left);
    if (status && keep) fp_exec_state_done(keep);
    return status;
}

static void forget_cell(struct cell *cell) {
    if (cell->state && cell->op && cell->op->done) cell->op->done(cell->state);
    else free(cell->state);
    cell->state = NULL;
    cell->prepared = false;
    for (int i = 0; i < cell->node->n_in; i++) fp_tensor_done(&cell->converted[i]);
}

void fp_exec_forget(struct fp_exec *exec, const struct fp_node *node) {
    forget_cell(&exec->plan->cells[node->id]);
    for (int i = 0; i < exec->plan->graph->n_values; i++) fp_tensor_done(&exec->plan->constants[i]);
}

bool fp_exec_is_constant(const struct fp_exec *exec, const struct fp_graph *graph, int value) {
    const struct plan *plan = find_plan(exec->plan, graph);
    return plan && plan->is_constant[value];
}

int fp_exec_constant(struct fp_exec *exec, const struct fp_graph *graph, int value, struct fp_tensor *out,
                     fineprune_error *err) {
    struct plan *plan = find_plan(exec->plan, graph);
    if (!plan || !plan->is_constant[value])
        return fp_fail(err, FINEPRUNE_MODEL, "value '%s' is not constant", graph->values[value].name);
    fineprune_error local = {0};
    exec->err = err ? err : &local;
    struct fp_tensor *t;
    int status = constant_of(exec, plan, value, &t);
    if (!status) fp_tensor_share(out, t);
    return status;
}

int fp_exec_single(struct fp_exec *exec, const struct fp_node *node, struct fp_tensor *const *inputs,
                   struct fp_tensor *outputs, fineprune_error *err) {
    fineprune_error local = {0};
    exec->err = err ? err : &local;
    exec->observer = NULL;
    struct plan *plan = find_plan(exec->plan, node->graph);
    struct fp_frame frame = {.exec = exec, .plan = plan};
    struct cell cell = {.node = node, .op = fp_node_op(node)};
    cell.seen = fp_calloc((size_t)node->n_in, sizeof(*cell.seen));
    cell.shapes = fp_calloc((size_t)node->n_out, sizeof(*cell.shapes));
    cell.alias = fp_calloc((size_t)node->n_out, sizeof(*cell.alias));
    cell.converted = fp_calloc((size_t)node->n_in, sizeof(*cell.converted));
    struct arguments a;
    int status = cell.op && plan && cell.seen && cell.shapes && cell.alias && cell.converted &&
                         arguments_init(&a, node->n_in)
                     ? FINEPRUNE_OK
                     : fp_fail_memory(err, "a single call", sizeof(cell));
    if (!status) {
        for (int i = 0; i < node->n_in; i++) a.in[i] = inputs[i];
        memset(outputs, 0, (size_t)node->n_out * sizeof(*outputs));
        status = call_operator(exec, &frame, &cell, &a, outputs);
        arguments_done(&a);
        for (int i = 0; i < node->n_out && status; i++) fp_tensor_done(&outputs[i]);
    }
    cell_free(&cell);
    return status;
}
