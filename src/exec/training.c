// SPDX-License-Identifier: Apache-2.0
// Whether a model was exported as it is while it trains: its BatchNormalization reads the statistics of the batch that
// runs, its Dropout throws. What such a model answers depends on the other samples, and on chance.
#include <stdlib.h>

#include "exec/exec.h"
#include "exec/op_list.h"

struct training {
    char first[400]; // node
    size_t n;
};

// Before opset 14 the outputs say it.
static bool normalizes_the_batch(const struct fp_node *node) {
    int wanted = 0;
    if (node->opset >= 14) return fp_attr_int(node, "training_mode", 0) != 0;
    for (int i = 1; i < node->n_out; i++) wanted += node->out[i] >= 0;
    return wanted > 0 && (node->opset >= 7 || !fp_attr_int(node, "is_test", 0));
}

// A stored number at input i, in the node's graph or around it.
static bool stored_number(const struct fp_node *node, int i, double *number) {
    struct fp_tensor t = {0};
    const struct fp_graph *graph = node->graph;
    if (i >= node->n_in || node->in[i] < 0) return false;
    int id = node->in[i];
    while (graph->values[id].outer >= 0 && graph->parent) {
        id = graph->values[id].outer;
        graph = graph->parent;
    }
    const Onnx__TensorProto *proto = fp_stored_tensor(&graph->values[id]);
    float value = 0;
    if (!proto || fp_initializer_shape(graph->model, proto, &t, NULL, NULL) || t.count != 1) return false;
    if (!fp_type_is_float(t.type) && t.type != FP_BOOL) return false;
    if (fp_initializer_load(graph->model, proto, &t, NULL)) return false;
    fp_convert(&value, FP_FLOAT, t.data, t.type, 1);
    fp_tensor_done(&t);
    *number = (double)value;
    return true;
}

static bool drops(const struct fp_node *node) {
    double training = 0, ratio = 0.5;
    if (node->opset < 12 || !stored_number(node, 2, &training) || training == 0) return false;
    return !stored_number(node, 1, &ratio) || ratio != 0;
}

static int note_training(struct fp_node *node, void *user) {
    struct training *found = user;
    const enum fp_role role = fp_node_role(node);
    const bool normalizes = role == FP_ROLE_NORMALIZES && normalizes_the_batch(node);
    if (!normalizes && (role != FP_ROLE_DROPS || !drops(node))) return 0;
    if (!found->n++) fp_node_text(found->first, sizeof(found->first), node);
    return 0;
}

char *fp_exec_training(struct fineprune_model *model) {
    struct training found = {.n = 0};
    fp_graph_visit(model->graph, note_training, &found);
    if (!found.n) return NULL;
    if (found.n == 1) return fp_format("%s is in training mode", found.first);
    return fp_format("%s is in training mode, with %zu more", found.first, found.n - 1);
}

int fp_exec_refuse_training(struct fineprune_model *model, fineprune_error *err) {
    char *training = fp_exec_training(model);
    if (!training) return FINEPRUNE_OK;
    const int status = fp_fail(err, FINEPRUNE_MODEL,
                               "%s: each answer depends on the samples it runs with, or on chance", training);
    fp_hint(err, FP_TRAINING_HINT);
    free(training);
    return status;
}
