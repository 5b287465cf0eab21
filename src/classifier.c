// SPDX-License-Identifier: Apache-2.0
// Walking back from an output of rank 2 to the weight that makes the classes.
#include "classifier.h"

#include "task.h"

static bool is(const struct fp_node *node, const char *type) { return node && !node->domain[0] && !strcmp(node->type, type); }

static const struct fp_node *producer(const struct fp_graph *graph, int value) {
    return value < 0 ? NULL : graph->values[value].producer;
}

static bool read_once(const struct fp_graph *graph, int value) { return graph->values[value].n_readers == 1; }

static int weight_of(const struct fp_weights *weights, const struct fp_node *node) {
    for (int i = 0; i < weights->n; i++)
        if (weights->items[i].node == node && weights->items[i].n_uses == 1) return i;
    return -1;
}

static bool moves_only(const struct fp_node *node) {
    return is(node, "Flatten") || is(node, "Reshape") || is(node, "Squeeze") || is(node, "Identity");
}

// From a value of class scores back to its layer: through a bias, a reshape, a global pooling.
static int find_layer(const struct fp_weights *weights, const struct fp_graph *graph, int value, const char **reason) {
    for (int steps = 0; steps < 6; steps++) {
        const struct fp_node *node = producer(graph, value);
        int weight = node ? weight_of(weights, node) : -1;
        if (weight >= 0) return weight;
        bool pooling = is(node, "GlobalAveragePool") || is(node, "ReduceMean");
        bool quantized = is(node, "QuantizeLinear") || is(node, "DequantizeLinear");
        if (is(node, "Add") && node->n_in == 2) {
            int a = producer(graph, node->in[0]) ? 0 : 1;
            value = node->in[a];
        } else if (moves_only(node) || pooling || quantized) {
            value = node->in[0];
        } else {
            break;
        }
        if (value < 0 || !read_once(graph, value)) break;
    }
    *reason = "no layer with a weight makes the output's classes";
    return -1;
}

static const char *check_layer(const struct fp_classifier *c, const struct fp_weight *w, const struct fp_value *output) {
    if (w->kind == FP_WEIGHT_LEFT || w->kind == FP_WEIGHT_CONV_TRANSPOSE || w->groups != 1) return "the last layer is not a plain product";
    if (!strcmp(w->op, "LSTM") || !strcmp(w->op, "GRU") || !strcmp(w->op, "RNN")) return "the last layer is recurrent";
    if (w->kind == FP_WEIGHT_CONV && w->inner != 1) return "the last layer is a convolution wider than 1x1";
    if (w->rows < 2) return "the output has one number a sample";
    if (output->rank == 2 && output->dims[1] >= 0 && (size_t)output->dims[1] != w->rows) return "the output is not the last layer's classes";
    if (c->features == 0) return "the last layer has no input";
    return NULL;
}

// Back through operators that only spread one number a row (and Max with a constant) to a reduction of `type`; what it reduces, or -1.
static int reduced(const struct fp_graph *graph, int value, const char *type) {
    for (int steps = 0; steps < 6; steps++) {
        const struct fp_node *node = producer(graph, value);
        if (is(node, type)) return node->in[0];
        bool spreads = moves_only(node) || is(node, "Expand") || is(node, "Unsqueeze");
        if (is(node, "Max") && node->n_in == 2) value = producer(graph, node->in[0]) ? node->in[0] : node->in[1];
        else if (spreads) value = node->in[0];
        else return -1;
    }
    return -1;
}

// Softmax as some exporters write it out: exp(x - max x) / sum of the same. x, or -1 when the value is not made like that.
static int written_out_softmax(const struct fp_graph *graph, int value) {
    const struct fp_node *quotient = producer(graph, value);
    if (!is(quotient, "Div") || quotient->n_in != 2) return -1;
    const struct fp_node *power = producer(graph, quotient->in[0]);
    if (!is(power, "Exp") || reduced(graph, quotient->in[1], "ReduceSum") != quotient->in[0]) return -1;
    const struct fp_node *shift = producer(graph, power->in[0]);
    if (!is(shift, "Sub")) return power->in[0];
    return reduced(graph, shift->in[1], "ReduceMax") == shift->in[0] ? shift->in[0] : -1;
}

static bool of_rank_2(const struct fp_value *v) { return v->rank == 2 && fp_type_is_float(v->type); }

static void try_output(struct fp_classifier *c, const struct fp_weights *weights, const struct fp_graph *graph, int output) {
    int value = graph->outputs[output];
    const struct fp_node *node = producer(graph, value);
    // Class scores may also be an output of their own.
    while (is(node, "Softmax") || is(node, "LogSoftmax") || is(node, "Identity")) {
        value = node->in[0];
        node = producer(graph, value);
    }
    int scores = written_out_softmax(graph, value);
    if (scores >= 0) value = scores;
    if (is(node, "Sigmoid")) {
        c->reason = "its answers are independent (Sigmoid), not classes";
        return;
    }
    int weight = find_layer(weights, graph, value, &c->reason);
    if (weight < 0) return;
    const struct fp_weight *w = &weights->items[weight];
    c->features = w->cols;
    c->reason = check_layer(c, w, &graph->values[graph->outputs[output]]);
    if (c->reason) return;
    c->weight = weight;
    c->classes = w->rows;
    c->output = output;
    c->logits_value = value;
    c->features_value = w->node->in[w->uses[0].slot == 0 ? 1 : 0];
}

void fp_classifier_find(struct fp_classifier *out, const struct fp_weights *weights) {
    const struct fp_graph *graph = weights->model->graph;
    *out = (struct fp_classifier){.weight = -1, .reason = "no output has the shape [samples, classes]"};
    int found = 0, likely = 0;
    struct fp_classifier c = *out, first = *out, only = *out;
    for (int i = 0; i < graph->n_outputs; i++) {
        if (!of_rank_2(&graph->values[graph->outputs[i]])) continue;
        c = *out;
        c.weight = -1;
        try_output(&c, weights, graph, i);
        if (c.weight >= 0 && found++ == 0) first = c;
        else if (c.weight < 0 && !found) out->reason = c.reason;
        // boxes and embeddings beside classes have the same shape, but other names
        if (c.weight >= 0 && fp_task_name_points(graph->values[graph->outputs[i]].name) >= 0 && likely++ == 0) only = c;
    }
    if (found == 1) *out = first;
    else if (likely == 1) *out = only;
    else if (found > 1) out->reason = likely ? "several outputs have classes" : "several outputs are as wide as classes, and none is named so";
}
