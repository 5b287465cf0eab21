// SPDX-License-Identifier: Apache-2.0
// Tracing runs the moving operators themselves on tensors of element numbers, so that no rule of theirs is written
// twice: what comes out says which stored element is where.
#include "base/arena.h"
#include "weights/weight_trace.h"

#include <stdlib.h>

#include "exec/op_list.h"
#include "weights/weight_share.h"

struct tracer {
    struct fp_exec *exec;
    struct fineprune_model *model;
    struct fp_weight *w;
    size_t next; // number of the next source's first element
    bool whole;  // the stored tensor itself is traced
    bool moved;  // an operator on the way changes the order
    const char **reason;
    fineprune_error *err;
};

bool fp_is_move(const struct fp_node *node) {
    const enum fp_role role = fp_node_role(node);
    return role != FP_ROLE_OTHER && role <= FP_ROLE_MOVES_LAST;
}

static int trace(struct tracer *t, const struct fp_graph *graph, int value, struct fp_tensor *numbers);

static int refuse(struct tracer *t, const char *reason) {
    if (!*t->reason) *t->reason = reason;
    return FINEPRUNE_OK;
}

// ---- sources

static int number_elements(struct tracer *t, const struct fp_source *s, struct fp_tensor *numbers) {
    if (t->whole) { // nothing moves them: only the shape is asked for
        *numbers = (struct fp_tensor){.rank = s->rank, .count = s->count};
        memcpy(numbers->dims, s->dims, sizeof(s->dims));
        return FINEPRUNE_OK;
    }
    int status = fp_tensor_new(numbers, &t->model->memory, FP_INT64, s->rank, s->dims, t->err);
    for (size_t i = 0; !status && i < s->count; i++) ((int64_t *)numbers->data)[i] = (int64_t)(s->base + i);
    return status;
}

static bool can_hold_weights(enum fp_type type) {
    return fp_type_is_float(type) || type == FP_INT8 || type == FP_UINT8 || type == FP_INT16 || type == FP_UINT16 ||
           type == FP_INT4 || type == FP_UINT4 || type == FP_INT32;
}

static int add_source(struct tracer *t, const struct fp_graph *graph, int value, Onnx__TensorProto *proto,
                      struct fp_tensor *numbers) {
    struct fp_tensor elements;
    const void *identity;
    int status = fp_initializer_shape(t->model, proto, &elements, &identity, t->err);
    if (status) return status;
    struct fp_source s = {.proto = proto,
                          .graph = graph,
                          .value = value,
                          .name = graph->values[value].name,
                          .type = elements.type,
                          .rank = elements.rank,
                          .count = elements.count,
                          .base = t->next,
                          .identity = identity};
    memcpy(s.dims, elements.dims, sizeof(s.dims));
    if (!can_hold_weights(s.type)) return refuse(t, "its element type cannot be pruned");
    for (int i = 0; i < t->w->n_sources; i++) { // another part of the same tensor
        if (t->w->sources[i].identity != s.identity || t->w->sources[i].type != s.type ||
            t->w->sources[i].count != s.count)
            continue;
        s.base = t->w->sources[i].base;
        return number_elements(t, &s, numbers);
    }
    struct fp_source *sources = realloc(t->w->sources, sizeof(*sources) * (size_t)(t->w->n_sources + 1));
    if (!sources) return fp_fail_memory(t->err, "a weight", sizeof(*sources));
    t->w->sources = sources;
    sources[t->w->n_sources++] = s;
    t->next += s.count;
    return number_elements(t, &s, numbers);
}

void fp_sources_free(struct fp_source *sources, int n) {
    for (int i = 0; i < n; i++) {
        fp_tensor_done(&sources[i].scale);
        fp_tensor_done(&sources[i].zero);
    }
    free(sources);
}

// ---- operators on the way

static int constant_input(struct tracer *t, const struct fp_node *node, int i, struct fp_tensor *out) {
    if (i >= node->n_in || node->in[i] < 0) return FINEPRUNE_OK;
    return fp_exec_constant(t->exec, node->graph, node->in[i], out, t->err);
}

static int run_move(struct tracer *t, const struct fp_node *node, struct fp_tensor *in, int n_in, int output,
                    struct fp_tensor *numbers) {
    FP_STAGE(room, "a weight");
    struct fp_tensor **inputs = fp_arena_take(&room, (size_t)n_in, sizeof(*inputs)),
                     *outputs = fp_arena_take(&room, (size_t)node->n_out, sizeof(*outputs));
    int status = fp_arena_check(&room, t->err);
    for (int i = 0; i < n_in && !status; i++)
        if (in[i].type) inputs[i] = &in[i];
    if (!status) status = fp_exec_single(t->exec, node, inputs, outputs, t->err);
    for (int i = 0; !status && i < node->n_out; i++) {
        if (i == output) *numbers = outputs[i];
        else fp_tensor_done(&outputs[i]);
    }
    return status;
}

static int ones_like(struct tracer *t, const struct fp_tensor *like, enum fp_type type, int64_t value,
                     struct fp_tensor *out) {
    int status = fp_tensor_new(out, &t->model->memory, type, like->rank, like->dims, t->err);
    for (size_t i = 0; !status && i < out->count; i++)
        fp_convert((char *)out->data + i * fp_type_size(type), type, &value, FP_INT64, 1);
    return status;
}

// DequantizeLinear on ones without a zero point gives the scales; on zeros with scale one it gives minus the zero
// points.
static int read_grid(struct tracer *t, const struct fp_node *node, struct fp_source *s) {
    struct fp_tensor scale = {0}, zero = {0}, x = {0}, unit = {0}, y = {0},
                     shape = {.rank = s->rank, .count = s->count};
    memcpy(shape.dims, s->dims, sizeof(shape.dims));
    int status = constant_input(t, node, 1, &scale);
    if (!status) status = constant_input(t, node, 2, &zero);
    if (!status) status = ones_like(t, &shape, s->type, 1, &x);
    struct fp_tensor first[3] = {x, scale, {0}};
    if (!status) status = run_move(t, node, first, node->n_in < 3 ? node->n_in : 3, 0, &y);
    if (!status) status = fp_tensor_convert(&s->scale, &t->model->memory, &y, FP_FLOAT, t->err);
    fp_tensor_done(&y);
    if (!status && zero.type) {
        memset(x.data, 0, fp_tensor_bytes(&x));
        status = ones_like(t, &scale, scale.type, 1, &unit);
        struct fp_tensor second[3] = {x, unit, zero};
        if (!status) status = run_move(t, node, second, 3, 0, &y);
        if (!status) status = fp_tensor_convert(&s->zero, &t->model->memory, &y, FP_INT32, t->err);
        for (size_t i = 0; !status && i < s->count; i++) ((int32_t *)s->zero.data)[i] *= -1;
        fp_tensor_done(&y);
        fp_tensor_done(&unit);
    }
    fp_tensor_done(&x);
    fp_tensor_done(&scale);
    fp_tensor_done(&zero);
    return status;
}

static int trace_grid(struct tracer *t, const struct fp_node *node, int first_source) {
    struct fp_weight *w = t->w;
    if (*t->reason) return FINEPRUNE_OK;
    // Numbers that the graph itself quantizes are stored as floats, and their zero comes back as zero.
    if (w->n_sources > first_source && fp_type_is_float(w->sources[first_source].type)) return FINEPRUNE_OK;
    if (w->n_sources != first_source + 1 || t->moved)
        return refuse(t, "its quantized form is rearranged before it is dequantized");
    return read_grid(t, node, &w->sources[first_source]);
}

static int trace_move(struct tracer *t, const struct fp_node *node, int output, struct fp_tensor *numbers) {
    struct fp_tensor *in = fp_calloc((size_t)node->n_in, sizeof(*in));
    if (!in) return fp_fail_memory(t->err, "a weight", sizeof(*in));
    const enum fp_role role = fp_node_role(node);
    bool joins = role == FP_ROLE_JOINS, dequantize = role == FP_ROLE_DEQUANTIZES;
    bool cast = dequantize || role == FP_ROLE_CASTS || role == FP_ROLE_CASTS_LIKE || role == FP_ROLE_QUANTIZES;
    int first_source = t->w->n_sources, status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_in && !status; i++) {
        if (i == 0 || joins) status = trace(t, node->graph, node->in[i], &in[i]);
        else if (!cast) status = constant_input(t, node, i, &in[i]);
    }
    if (!status && dequantize) status = trace_grid(t, node, first_source);
    if (!status && !*t->reason) {
        if (joins || role == FP_ROLE_ARRANGES) t->moved = true;
        if (cast) fp_tensor_share(numbers, &in[0]);
        else status = run_move(t, node, in, node->n_in, output, numbers);
    }
    for (int i = 0; i < node->n_in; i++) fp_tensor_done(&in[i]);
    free(in);
    return status;
}

// What is changed here and there is stored as a dense tensor again.
static int trace_sparse(struct tracer *t, const struct fp_graph *graph, int value, struct fp_tensor *numbers) {
    if (graph != t->model->graph) return refuse(t, "it is stored as a sparse tensor of a body");
    const int status = fp_model_make_dense(t->model, value, t->err);
    if (status) return status;
    t->whole = graph->values[value].initializer;
    return add_source(t, graph, value, graph->values[value].initializer, numbers);
}

static int trace(struct tracer *t, const struct fp_graph *graph, int value, struct fp_tensor *numbers) {
    if (*t->reason) return FINEPRUNE_OK;
    const struct fp_value *v = &graph->values[value];
    if (v->initializer) return add_source(t, graph, value, v->initializer, numbers);
    if (v->sparse_initializer) return trace_sparse(t, graph, value, numbers);
    if (v->outer >= 0) return trace(t, graph->parent, v->outer, numbers);
    const struct fp_node *node = v->producer;
    if (!node) { // an input of a function body
        const struct fp_node *call = graph->parent_node;
        for (int i = 0; call && graph->function_proto && i < graph->n_inputs && i < call->n_in; i++)
            if (graph->inputs[i] == value && call->in[i] >= 0) return trace(t, call->graph, call->in[i], numbers);
        return refuse(t, "it is not constant");
    }
    if (fp_node_role(node) == FP_ROLE_STORES) {
        Onnx__TensorProto *proto = fp_attr_tensor_proto(node, "value");
        if (!proto) return refuse(t, "it is stored in the attributes of a Constant node");
        return add_source(t, graph, value, proto, numbers);
    }
    int output = 0;
    if (!fp_is_move(node))
        return refuse(t, "it is computed from constants by operators that do more than move elements");
    while (output < node->n_out && node->out[output] != value) output++;
    return trace_move(t, node, output, numbers);
}

int fp_trace_weight(struct fp_exec *exec, struct fineprune_model *model, const struct fp_graph *graph, int value,
                    struct fp_weight *w, const char **reason, fineprune_error *err) {
    struct tracer t = {
        .exec = exec, .model = model, .w = w, .whole = graph->values[value].initializer, .reason = reason, .err = err};
    *reason = NULL;
    int status = trace(&t, graph, value, &w->map);
    if (!status && !*reason && w->map.rank) {
        w->rank = w->map.rank;
        memcpy(w->dims, w->map.dims, sizeof(w->dims));
        w->count = w->map.count;
    }
    if (status || *reason || !t.moved) fp_tensor_done(&w->map); // in order: no map is needed
    return status;
}

// ---- who else reads it

struct reading {
    struct fp_exec *exec;
    struct fineprune_model *model;
    const struct fp_weight *w;
    const struct fp_weight_use *uses;
    int n_uses;
    const char *other;
    fineprune_error *err;
};

static int follow(struct reading *r, const struct fp_graph *graph, int value);

// Whether the value has elements of the weight: some operators on the way hand on a part only.
static int has_elements(struct reading *r, const struct fp_graph *graph, int value, bool *has) {
    *has = true;
    if (!r->w->map.count || !fp_exec_is_constant(r->exec, graph, value)) return FINEPRUNE_OK;
    struct fp_weight read = {0};
    const char *reason;
    enum fp_overlap overlap = FP_CROSSES;
    int status = fp_trace_weight(r->exec, r->model, graph, value, &read, &reason, r->err);
    if (!status && !reason && read.n_sources) status = fp_weights_overlap(&read, r->w, &overlap, r->err);
    *has = overlap != FP_DISJOINT;
    fp_sources_free(read.sources, read.n_sources);
    fp_tensor_done(&read.map);
    return status;
}

static int note_other(struct reading *r, const struct fp_graph *graph, int value, const struct fp_node *node) {
    bool has;
    int status = has_elements(r, graph, value, &has);
    const bool looks_up = fp_node_role(node) == FP_ROLE_LOOKS_UP;
    if (!status && has) r->other = looks_up ? "also an embedding (read by Gather)" : "also read by other operators";
    return status;
}

// The inside of a call or of a node with bodies.
static int follow_bodies(struct reading *r, const struct fp_use *use, int value) {
    const struct fp_node *node = use->node;
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_bodies && !status && !r->other; i++) {
        const struct fp_graph *body = node->bodies[i];
        if (node->function && use->index >= 0) {
            if (use->index < body->n_inputs) status = follow(r, body, body->inputs[use->index]);
            continue;
        }
        for (int k = 0; k < body->n_values && !status && !r->other; k++)
            if (body->values[k].outer == value) status = follow(r, body, k);
    }
    return status;
}

static int follow_use(struct reading *r, const struct fp_graph *graph, const struct fp_use *use, int value) {
    const struct fp_node *node = use->node;
    if (!node) return note_other(r, graph, value, NULL); // an output of the graph
    for (int i = 0; i < r->n_uses; i++)
        if (r->uses[i].node == node && r->uses[i].slot == use->index) return FINEPRUNE_OK;
    if (use->index < 0 || node->function) return follow_bodies(r, use, value);
    if (fp_node_role(node) == FP_ROLE_MEASURES) return FINEPRUNE_OK;
    if (!fp_is_move(node)) return note_other(r, graph, value, node);
    int status = FINEPRUNE_OK;
    for (int i = 0; i < node->n_out && !status && !r->other; i++)
        if (node->out[i] >= 0) status = follow(r, graph, node->out[i]);
    return status;
}

static int follow(struct reading *r, const struct fp_graph *graph, int value) {
    const struct fp_value *v = &graph->values[value];
    int status = FINEPRUNE_OK;
    for (int i = 0; i < v->n_readers && !status && !r->other; i++) status = follow_use(r, graph, &v->readers[i], value);
    return status;
}

int fp_trace_other_reader(struct fp_exec *exec, struct fineprune_model *model, const struct fp_weight *w, int k,
                          const struct fp_weight_use *uses, int n_uses, const char **other, fineprune_error *err) {
    struct reading r = {.exec = exec, .model = model, .w = w, .uses = uses, .n_uses = n_uses, .err = err};
    int status = follow(&r, w->sources[k].graph, w->sources[k].value);
    *other = r.other;
    return status;
}
