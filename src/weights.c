// SPDX-License-Identifier: Apache-2.0
// Finding the weights: which inputs of which operators are weights, how each is a matrix, which are shared, and why others stay.
#include "weights.h"

#include <stdlib.h>

#include "weight_trace.h"

// ---- the operators that have weights

static int matrix_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason);
static int gemm_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason);
static int conv_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason);
static int recurrent_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason);

struct layer {
    const char *domain, *type;
    int slots[2];    // inputs that can be weights; -1: none
    int bias;        // its optional bias input; -1: none
    int gates;       // recurrent: rows per hidden unit
    int (*operand)(struct fp_weight *, const struct fp_node *, int slot, const char **reason);
};

static const struct layer LAYERS[] = {
    {"", "Conv", {1, -1}, 2, 0, conv_operand},
    {"com.microsoft", "FusedConv", {1, -1}, 2, 0, conv_operand},
    {"", "ConvTranspose", {1, -1}, 2, 0, conv_operand},
    {"", "Gemm", {1, 0}, 2, 0, gemm_operand},
    {"", "MatMul", {1, 0}, -1, 0, matrix_operand},
    {"com.microsoft", "FusedMatMul", {1, 0}, -1, 0, gemm_operand},
    {"", "LSTM", {1, 2}, 3, 4, recurrent_operand},
    {"", "GRU", {1, 2}, 3, 3, recurrent_operand},
    {"", "RNN", {1, 2}, 3, 1, recurrent_operand},
};

static const struct layer *layer_of(const struct fp_node *node) {
    for (size_t i = 0; i < FP_COUNT(LAYERS) && !node->function; i++)
        if (!strcmp(LAYERS[i].type, node->type) && !strcmp(LAYERS[i].domain, node->domain)) return &LAYERS[i];
    return NULL;
}

static int refuse(const char **reason, const char *why) {
    *reason = why;
    return FINEPRUNE_OK;
}

// [.., K, N] on the right, [.., M, K] on the left; `transposed`: the last two dims are the other way round.
static int last_two(struct fp_weight *w, bool right, bool transposed, const char **reason) {
    if (w->rank < 2) return refuse(reason, "it is a vector");
    size_t a = (size_t)w->dims[w->rank - 2], b = (size_t)w->dims[w->rank - 1];
    bool columns_first = right != transposed; // the first of the two dims are the columns
    w->kind = right ? FP_WEIGHT_RIGHT : FP_WEIGHT_LEFT;
    w->groups = a && b ? w->count / (a * b) : 0;
    w->rows = columns_first ? b : a;
    w->cols = columns_first ? a : b;
    w->group_stride = a * b;
    w->row_stride = columns_first ? 1 : b;
    w->col_stride = columns_first ? b : 1;
    w->inner = 1;
    return FINEPRUNE_OK;
}

static int matrix_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason) {
    (void)node;
    return last_two(w, slot == 1, false, reason);
}

static int gemm_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason) {
    if (fp_attr_int(node, "transBatchA", 0) || fp_attr_int(node, "transBatchB", 0)) return refuse(reason, "its batch axes are transposed");
    return last_two(w, slot == 1, fp_attr_int(node, slot == 1 ? "transB" : "transA", 0) != 0, reason);
}

// [O, C / group, k...], or [C, O / group, k...] when transposed.
static int conv_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason) {
    (void)slot;
    int64_t group = fp_attr_int(node, "group", 1);
    bool transposed = !strcmp(node->type, "ConvTranspose");
    if (w->rank < 3 || group < 1 || w->dims[0] % group) return refuse(reason, "its shape does not fit its operator");
    size_t kernel = 1;
    for (int i = 2; i < w->rank; i++) kernel *= (size_t)w->dims[i];
    size_t first = (size_t)(w->dims[0] / group), second = (size_t)w->dims[1];
    w->kind = transposed ? FP_WEIGHT_CONV_TRANSPOSE : FP_WEIGHT_CONV;
    w->groups = (size_t)group;
    w->rows = transposed ? second : first;
    w->cols = (transposed ? first : second) * kernel;
    w->group_stride = first * second * kernel;
    w->inner = kernel;
    w->row_stride = transposed ? kernel : second * kernel;
    w->col_stride = transposed ? second * kernel : kernel;
    return FINEPRUNE_OK;
}

// [directions, gates * hidden, columns]
static int recurrent_operand(struct fp_weight *w, const struct fp_node *node, int slot, const char **reason) {
    if (w->rank != 3) return refuse(reason, "its shape does not fit its operator");
    w->kind = FP_WEIGHT_RIGHT;
    w->groups = (size_t)w->dims[0];
    w->rows = (size_t)w->dims[1];
    w->cols = (size_t)w->dims[2];
    w->group_stride = w->rows * w->cols;
    w->row_stride = w->cols;
    w->col_stride = 1;
    w->inner = 1;
    // GRU's candidate row sees the hidden state times the reset gate, unless linear_before_reset.
    if (slot == 2 && !strcmp(node->type, "GRU") && !fp_attr_int(node, "linear_before_reset", 0)) w->repairable = false;
    return FINEPRUNE_OK;
}

// ---- biases

// The stored float tensor of exactly `count` elements that this use alone reads; NULL otherwise.
static Onnx__TensorProto *own_tensor(const struct fp_graph *graph, int value, size_t count) {
    if (value < 0) return NULL;
    const struct fp_value *v = &graph->values[value];
    struct fp_tensor t = {0};
    if (!v->initializer || v->n_readers != 1 || v->is_input || !fp_type_is_float(v->type)) return NULL;
    if (fp_initializer_load(graph->model, v->initializer, &t, NULL)) return NULL;
    bool fits = t.count == count && t.rank >= 1 && (size_t)t.dims[t.rank - 1] == count;
    fp_tensor_done(&t);
    return fits ? v->initializer : NULL;
}

static const struct fp_node *only_reader(const struct fp_graph *graph, int value, int *index) {
    const struct fp_value *v = value < 0 ? NULL : &graph->values[value];
    if (!v || v->n_readers != 1 || !v->readers[0].node || v->readers[0].index < 0) return NULL;
    *index = v->readers[0].index;
    return v->readers[0].node;
}

// x W followed by Add of a constant vector.
static void find_add(struct fp_weight *w) {
    int index;
    const struct fp_node *add = only_reader(w->node->graph, w->node->out[0], &index);
    if (!add || strcmp(add->type, "Add") || add->domain[0] || add->n_in != 2 || w->kind != FP_WEIGHT_RIGHT) return;
    w->bias.proto = own_tensor(add->graph, add->in[1 - index], w->groups * w->rows);
}

// y = (x - mean) * ...: what x loses, the mean loses too.
static void find_normalization(struct fp_weight *w) {
    int index;
    const struct fp_node *norm = only_reader(w->node->graph, w->node->out[0], &index);
    if (!norm || strcmp(norm->type, "BatchNormalization") || norm->domain[0] || index || norm->n_in < 5) return;
    w->bias.proto = own_tensor(norm->graph, norm->in[3], w->groups * w->rows);
    w->bias.sign = -1;
}

static void find_recurrent_bias(struct fp_weight *w, const struct layer *layer, int slot) {
    const struct fp_node *node = w->node;
    int value = node->n_in > layer->bias ? node->in[layer->bias] : -1;
    const struct fp_value *v = value < 0 ? NULL : &node->graph->values[value];
    if (!v || !v->initializer || v->n_readers != 1 || v->is_input || !fp_type_is_float(v->type)) return;
    w->bias = (struct fp_bias){.proto = v->initializer, .group_stride = 2 * w->rows, .offset = slot == 2 ? w->rows : 0, .sign = 1};
}

static void find_bias(struct fp_weight *w, const struct layer *layer, int slot) {
    const struct fp_node *node = w->node;
    w->bias = (struct fp_bias){.group_stride = w->rows, .sign = 1};
    if (w->n_uses > 1) return; // uses may differ in what they add
    if (layer->gates) {
        find_recurrent_bias(w, layer, slot);
        return;
    }
    if (layer->bias >= 0 && node->n_in > layer->bias && node->in[layer->bias] >= 0) {
        w->bias.proto = own_tensor(node->graph, node->in[layer->bias], w->groups * w->rows);
        double beta = (double)fp_attr_float(node, "beta", 1);
        if (!strcmp(node->type, "Gemm")) w->bias.sign = beta != 0 ? 1 / beta : 0;
        if (w->bias.sign == 0 || w->kind == FP_WEIGHT_LEFT) w->bias.proto = NULL;
        return;
    }
    find_add(w);
    if (!w->bias.proto) find_normalization(w);
    if (!w->bias.proto && layer->bias >= 0 && w->kind != FP_WEIGHT_LEFT && !node->graph->parent && !node->graph->function_proto) {
        w->bias.sign = 1;
        w->bias.missing_input = (size_t)layer->bias;
    }
}

// ---- the list

// Which weight has a source, by the source's identity: open addressing, at most half full.
struct owners {
    size_t n, capacity;
    struct owner {
        const void *identity;
        int weight;
    } *entries;
};

struct finder {
    struct fp_weights *weights;
    struct owners owners;
    struct fp_exec *exec;
    bool depthwise;
    size_t capacity, skipped_capacity;
    fineprune_error *err;
};

static void weight_done(struct fp_weight *w) {
    fp_sources_free(w->sources, w->n_sources);
    fp_tensor_done(&w->map);
    free(w->uses);
}

static int add_skipped(struct fp_weights *weights, const char *name, const char *reason, size_t count, fineprune_error *err) {
    if (fp_name_find(&weights->skipped_names, name) >= 0) return FINEPRUNE_OK;
    struct fp_skipped *items = realloc(weights->skipped, sizeof(*items) * (size_t)(weights->n_skipped + 1));
    if (items) weights->skipped = items;
    char *copy = items ? strdup(name) : NULL;
    if (!copy || !fp_name_add(&weights->skipped_names, copy, weights->n_skipped)) {
        free(copy);
        return fp_fail_memory(err, "the list of weights", sizeof(*items));
    }
    items[weights->n_skipped++] = (struct fp_skipped){.name = copy, .reason = reason, .count = count};
    return FINEPRUNE_OK;
}

static bool same_matrix(const struct fp_weight *a, const struct fp_weight *b) {
    if (a->kind != b->kind || a->groups != b->groups || a->rows != b->rows || a->cols != b->cols || a->row_stride != b->row_stride ||
        a->col_stride != b->col_stride || a->inner != b->inner || a->n_sources != b->n_sources || a->map.count != b->map.count)
        return false;
    return !a->map.count || !memcmp(a->map.data, b->map.data, fp_tensor_bytes(&a->map));
}

static int add_use(struct fp_weight *w, const struct fp_node *node, int slot, fineprune_error *err) {
    struct fp_weight_use *uses = realloc(w->uses, sizeof(*uses) * (size_t)(w->n_uses + 1));
    if (!uses) return fp_fail_memory(err, "the list of weights", sizeof(*uses));
    w->uses = uses;
    uses[w->n_uses++] = (struct fp_weight_use){node, slot};
    return FINEPRUNE_OK;
}

static struct owner *owner_of(const struct owners *owners, const void *identity) {
    size_t slot = (size_t)fp_hash(&identity, sizeof(identity), 0) & (owners->capacity - 1);
    while (owners->entries[slot].identity && owners->entries[slot].identity != identity) slot = (slot + 1) & (owners->capacity - 1);
    return &owners->entries[slot];
}

static bool enlarge(struct owners *owners) {
    struct owners bigger = {.n = owners->n, .capacity = owners->capacity ? owners->capacity * 2 : 64};
    bigger.entries = fp_calloc(bigger.capacity, sizeof(*bigger.entries));
    if (!bigger.entries) return false;
    for (size_t i = 0; i < owners->capacity; i++)
        if (owners->entries[i].identity) *owner_of(&bigger, owners->entries[i].identity) = owners->entries[i];
    free(owners->entries);
    *owners = bigger;
    return true;
}

static bool add_owner(struct owners *owners, const void *identity, int weight) {
    if (2 * (owners->n + 1) > owners->capacity && !enlarge(owners)) return false;
    struct owner *owner = owner_of(owners, identity);
    if (owner->identity) return true; // a weight that has it twice
    *owner = (struct owner){identity, weight};
    owners->n++;
    return true;
}

// The first weight that has one of the sources.
static struct fp_weight *find_shared(struct finder *f, const struct fp_weight *w) {
    int first = -1;
    for (int i = 0; i < w->n_sources && f->owners.capacity; i++) {
        const struct owner *owner = owner_of(&f->owners, w->sources[i].identity);
        if (owner->identity && (first < 0 || owner->weight < first)) first = owner->weight;
    }
    return first < 0 ? NULL : &f->weights->items[first];
}

static int take(struct finder *f, struct fp_weight *w) {
    struct fp_weights *weights = f->weights;
    struct fp_weight *items = fp_grow(weights->items, &f->capacity, (size_t)weights->n + 1, sizeof(*items));
    if (!items) return fp_fail_memory(f->err, "the list of weights", sizeof(*items));
    weights->items = items;
    for (int i = 0; i < w->n_sources; i++)
        if (!add_owner(&f->owners, w->sources[i].identity, weights->n)) return fp_fail_memory(f->err, "the list of weights", sizeof(*items));
    items[weights->n++] = *w;
    *w = (struct fp_weight){0};
    return FINEPRUNE_OK;
}

static const char *name_of(const struct fp_weight *w, const struct fp_node *node, int slot) {
    return w->n_sources ? w->sources[0].name : node->graph->values[node->in[slot]].name;
}

static int visit_slot(struct finder *f, const struct layer *layer, const struct fp_node *node, int slot) {
    if (slot < 0 || slot >= node->n_in || node->in[slot] < 0 || !fp_exec_is_constant(f->exec, node->graph, node->in[slot])) return FINEPRUNE_OK;
    struct fp_weight w = {.op = node->type, .node = node, .repairable = true};
    const char *reason = NULL;
    int status = fp_trace_weight(f->exec, f->weights->model, node->graph, node->in[slot], &w, &reason, f->err);
    if (!status && !reason) status = layer->operand(&w, node, slot, &reason);
    if (!status && !reason && !w.count) reason = "it is empty";
    if (!status && !reason && w.groups > 1 && w.kind == FP_WEIGHT_CONV && w.cols == w.inner && !f->depthwise)
        reason = "kernel of a depthwise convolution";
    struct fp_weight *shared = status || reason ? NULL : find_shared(f, &w);
    w.name = w.n_sources ? w.sources[0].name : "";
    if (!status && reason) {
        status = add_skipped(f->weights, name_of(&w, node, slot), reason, w.count, f->err);
    } else if (!status && shared) {
        // Masked once. Other forms of the same elements cannot add to the statistics, and their rows must not be repaired.
        if (same_matrix(shared, &w)) status = add_use(shared, node, slot, f->err);
        else shared->repairable = false, status = add_use(shared, node, -1 - slot, f->err);
    } else if (!status) {
        status = add_use(&w, node, slot, f->err);
        if (!status) status = take(f, &w);
    }
    weight_done(&w);
    return status;
}

static int visit_node(struct fp_node *node, void *user) {
    struct finder *f = user;
    const struct layer *layer = layer_of(node);
    int status = FINEPRUNE_OK;
    bool both = layer && layer->gates; // a recurrent layer has two weights; a product takes the first that is constant
    for (int i = 0; layer && i < 2 && !status; i++) {
        int before = f->weights->n + f->weights->n_skipped;
        status = visit_slot(f, layer, node, layer->slots[i]);
        if (!both && f->weights->n + f->weights->n_skipped > before) break;
    }
    return status;
}

int fp_weights_skip(struct fp_weights *weights, int i, const char *reason, fineprune_error *err) {
    struct fp_weight *w = &weights->items[i];
    int status = add_skipped(weights, w->name, reason, w->count, err);
    if (status) return status;
    weight_done(w);
    memmove(w, w + 1, sizeof(*w) * (size_t)(weights->n - i - 1));
    weights->n--;
    return FINEPRUNE_OK;
}

// Tensors that something else reads too (a tied embedding, an output) stay as they are.
static int protect_others(struct finder *f) {
    for (int i = f->weights->n; i-- > 0;) {
        struct fp_weight *w = &f->weights->items[i];
        struct fp_weight_use *uses = fp_calloc((size_t)w->n_uses, sizeof(*uses));
        if (!uses) return fp_fail_memory(f->err, "the list of weights", sizeof(*uses));
        for (int k = 0; k < w->n_uses; k++)
            uses[k] = (struct fp_weight_use){w->uses[k].node, w->uses[k].slot < 0 ? -1 - w->uses[k].slot : w->uses[k].slot};
        const char *other = NULL;
        for (int k = 0; k < w->n_sources && !other; k++)
            other = fp_trace_other_reader(w->sources[k].graph, w->sources[k].value, uses, w->n_uses);
        free(uses);
        const char *reason = !other ? NULL : !strcmp(other, "Gather") ? "also an embedding (read by Gather)" : "also read by other operators";
        int status = reason ? fp_weights_skip(f->weights, i, reason, f->err) : FINEPRUNE_OK;
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

static void fill_biases(struct fp_weights *weights) {
    for (int i = 0; i < weights->n; i++) {
        struct fp_weight *w = &weights->items[i];
        const struct layer *layer = layer_of(w->node);
        find_bias(w, layer, w->uses[0].slot);
    }
}

// ---- what is left alone

// Per value of the graph: whether a weight is made of it. To be freed; NULL when out of memory.
static bool *list_sources(const struct fp_weights *weights, const struct fp_graph *graph) {
    bool *listed = fp_calloc((size_t)graph->n_values, sizeof(*listed));
    for (int i = 0; listed && i < weights->n; i++)
        for (int k = 0; k < weights->items[i].n_sources; k++)
            if (weights->items[i].sources[k].graph == graph) listed[weights->items[i].sources[k].value] = true;
    return listed;
}

static const char *reason_for_reader(const struct fp_value *v) {
    static const struct {
        const char *type, *reason;
    } REASONS[] = {
        {"Gather", "embedding (read by Gather)"},
        {"MatMulInteger", "integer weight of MatMulInteger"},
        {"ConvInteger", "integer weight of ConvInteger"},
        {"QLinearConv", "integer weight of QLinearConv"},
        {"QLinearMatMul", "integer weight of QLinearMatMul"},
        {"Add", "a constant that is added"},
        {"Mul", "a constant that is multiplied element by element"},
        {"Einsum", "operand of Einsum"},
        {"Attention", "weight of a fused Attention"},
    };
    const char *type = v->n_readers && v->readers[0].node ? v->readers[0].node->type : "";
    for (size_t i = 0; i < FP_COUNT(REASONS); i++)
        if (!strcmp(REASONS[i].type, type)) return REASONS[i].reason;
    return v->n_readers ? "not the weight of a layer" : "read by nothing";
}

static int skip_rest(struct finder *f, const struct fp_graph *graph) {
    bool *listed = list_sources(f->weights, graph);
    int status = listed ? FINEPRUNE_OK : fp_fail_memory(f->err, "the list of weights", (size_t)graph->n_values);
    for (int i = 0; i < graph->n_values && !status; i++) {
        const struct fp_value *v = &graph->values[i];
        if (listed[i] || !v->initializer || !fp_type_size(v->type)) continue;
        struct fp_tensor t = {0};
        if (fp_initializer_load(f->weights->model, v->initializer, &t, NULL)) continue; // a broken tensor fails where it is used
        if (t.rank >= 2 && t.count >= 2) status = add_skipped(f->weights, v->name, reason_for_reader(v), t.count, f->err);
        fp_tensor_done(&t);
    }
    free(listed);
    return status;
}

int fp_weights_find(struct fp_weights **out, struct fp_exec *exec, struct fineprune_model *model, bool depthwise, fineprune_error *err) {
    struct fp_weights *weights = calloc(1, sizeof(*weights));
    if (!weights) return fp_fail_memory(err, "the list of weights", sizeof(*weights));
    weights->model = model;
    struct finder f = {.weights = weights, .exec = exec, .depthwise = depthwise, .err = err};
    int status = fp_graph_visit(model->graph, visit_node, &f);
    if (!status) status = protect_others(&f);
    if (!status) fill_biases(weights);
    if (!status) status = skip_rest(&f, model->graph);
    free(f.owners.entries);
    if (status) fp_weights_free(weights);
    else *out = weights;
    return status;
}

void fp_weights_free(struct fp_weights *weights) {
    if (!weights) return;
    for (int i = 0; i < weights->n; i++) weight_done(&weights->items[i]);
    for (int i = 0; i < weights->n_skipped; i++) free(weights->skipped[i].name);
    fp_name_map_done(&weights->skipped_names);
    free(weights->items);
    free(weights->skipped);
    free(weights);
}
