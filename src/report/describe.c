// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report.
#include "report/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "exec/op_list.h"
#include "weights/weight_share.h"

// Linux counts what started this process into ru_maxrss, so that a large parent hides a small child; VmHWM is this
// program's alone.
size_t fp_peak_rss(void) {
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kilobytes = 0;
    while (f && !kilobytes && fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtoull(line + 6, NULL, 10);
    if (f) fclose(f);
    if (kilobytes) return (size_t)kilobytes * 1024;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage)) return 0;
    return (size_t)usage.ru_maxrss * 1024;
}

// Numbers that are stored: initializers and constants of all graphs, those of a function that is called twice once.
struct parameters {
    struct fineprune_model *model;
    struct fp_owners seen;
    size_t n;
};

static void add_parameters(struct parameters *p, Onnx__TensorProto *proto) {
    struct fp_tensor t = {0};
    if (!proto || fp_owners_first(&p->seen, proto) >= 0 || !fp_owners_add(&p->seen, proto, 0)) return;
    if (!fp_initializer_load(p->model, proto, &t, NULL)) p->n += t.count;
    fp_tensor_done(&t);
}

static void add_sparse_parameters(struct parameters *p, const Onnx__SparseTensorProto *proto) {
    size_t count;
    if (proto && fp_sparse_initializer_size(proto, &count)) p->n += count;
}

static void add_graph(struct parameters *p, const struct fp_graph *graph) {
    for (int i = 0; i < graph->n_values; i++) {
        add_parameters(p, graph->values[i].initializer);
        add_sparse_parameters(p, graph->values[i].sparse_initializer);
    }
}

static int add_node(struct fp_node *node, void *user) {
    if (fp_node_role(node) == FP_ROLE_STORES) add_parameters(user, fp_attr_tensor_proto(node, "value"));
    for (int i = 0; i < node->n_bodies; i++) add_graph(user, node->bodies[i]);
    return 0;
}

static size_t count_parameters(struct fineprune_model *model) {
    struct parameters p = {.model = model};
    add_graph(&p, model->graph);
    fp_graph_visit(model->graph, add_node, &p);
    fp_owners_done(&p.seen);
    return p.n;
}

void fp_describe_model(struct fineprune_report *report, const char *name, struct fineprune_model *model, bool hash) {
    json_t *m = fp_report_object(report, name);
    json_object_set_new(m, "path", fp_report_string(model->path));
    if (hash) json_object_set_new(m, "sha256", json_string(fp_model_sha256(model)));
    json_object_set_new(m, "opset", json_integer(fp_model_opset(model, "")));
    json_object_set_new(m, "ir", json_integer(fp_model_ir_version(model)));
    json_object_set_new(m, "producer", fp_report_string(fp_model_producer(model)));
    json_object_set_new(m, "file_size", json_integer((json_int_t)model->file_size));
    json_object_set_new(m, "parameters", json_integer((json_int_t)count_parameters(model)));
}

static json_t *shape_of(int rank, const int64_t *dims, const char *const *symbols) {
    json_t *shape = json_array();
    for (int i = 0; i < rank; i++) {
        if (dims[i] >= 0) json_array_append_new(shape, json_integer((json_int_t)dims[i]));
        else json_array_append_new(shape, fp_report_string(symbols && symbols[i] ? symbols[i] : "?"));
    }
    return shape;
}

static void set_count(json_t *to, const char *name, size_t n) {
    json_object_set_new(to, name, json_integer((json_int_t)n));
}

void fp_describe_layer(struct fineprune_report *report, const struct fp_report_layer *layer) {
    const struct fp_weight *w = layer->weight;
    json_t *entry = json_object(), *tensors = w->n_sources > 1 ? json_array() : NULL;
    json_object_set_new(entry, "name", fp_report_string(w->name));
    if (w->part) json_object_set_new(entry, "part", json_string(w->part));
    for (int i = 0; tensors && i < w->n_sources; i++)
        json_array_append_new(tensors, fp_report_string(w->sources[i].name));
    if (tensors) json_object_set_new(entry, "tensors", tensors);
    json_object_set_new(entry, "op", fp_report_string(w->op));
    json_object_set_new(entry, "node", fp_report_string(w->node->name));
    json_object_set_new(entry, "shape", shape_of(w->rank, w->dims, NULL));
    set_count(entry, "params", w->count);
    set_count(entry, "zeros", layer->zeros);
    json_object_set_new(entry, "sparsity", json_real(fp_report_sparsity(layer->zeros, w->count)));
    if (layer->whole) {
        set_count(entry, "zero_rows", layer->zero_rows);
        set_count(entry, "zero_columns", layer->zero_columns);
        set_count(entry, "whole_zeros", layer->whole_zeros);
    }
    if (layer->macs) set_count(entry, "macs", layer->macs);
    const double before = layer->error_before_repair, after = layer->error_after_repair;
    if (before >= 0) json_object_set_new(entry, "error_before_repair", json_real(before));
    if (layer->bias_left) json_object_set_new(entry, "bias_left", json_string(layer->bias_left));
    if (after >= 0) json_object_set_new(entry, "error_after_repair", json_real(after));
    if (layer->not_repaired) json_object_set_new(entry, "not_repaired", json_string(layer->not_repaired));
    json_array_append_new(fp_report_array(report, "layers"), entry);
}

void fp_describe_skipped(struct fineprune_report *report, const struct fp_weights *weights) {
    json_t *list = fp_report_array(report, "skipped");
    for (int i = 0; i < weights->n_skipped; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "name", fp_report_string(weights->skipped[i].name));
        if (weights->skipped[i].part) json_object_set_new(entry, "part", json_string(weights->skipped[i].part));
        json_object_set_new(entry, "reason", json_string(weights->skipped[i].reason));
        json_object_set_new(entry, "params", json_integer((json_int_t)weights->skipped[i].count));
        json_array_append_new(list, entry);
    }
}

static void describe_values(json_t *list, const struct fp_graph *graph, const int *ids, int n) {
    for (int i = 0; i < n; i++) {
        const struct fp_value *v = &graph->values[ids[i]];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", fp_report_string(v->name));
        json_object_set_new(entry, "type", json_string(v->type ? fp_type_name(v->type) : "unknown"));
        if (v->rank >= 0) json_object_set_new(entry, "shape", shape_of(v->rank, v->dims, v->symbols));
        json_array_append_new(list, entry);
    }
}

static int count_operator(struct fp_node *node, void *user) {
    json_t *list = user, *entry;
    size_t i;
    json_array_foreach(list, i, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "type")), node->type) ||
            strcmp(json_string_value(json_object_get(entry, "domain")), node->domain))
            continue;
        json_object_set_new(entry, "count", json_integer(json_integer_value(json_object_get(entry, "count")) + 1));
        return 0;
    }
    entry = json_object();
    json_object_set_new(entry, "type", fp_report_string(node->type));
    json_object_set_new(entry, "domain", fp_report_string(node->domain));
    json_object_set_new(entry, "count", json_integer(1));
    json_object_set_new(entry, "supported", json_boolean(node->function || fp_node_op(node)));
    json_array_append_new(list, entry);
    return 0;
}

void fp_describe_graph(struct fineprune_report *report, struct fineprune_model *model) {
    const struct fp_graph *graph = model->graph;
    describe_values(fp_report_array(report, "inputs"), graph, graph->inputs, graph->n_inputs);
    describe_values(fp_report_array(report, "outputs_of_model"), graph, graph->outputs, graph->n_outputs);
    fp_graph_visit(model->graph, count_operator, fp_report_array(report, "operators"));
}
