// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report.
#include "report/describe.h"

#include <math.h>
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
    if (!fp_initializer_shape(p->model, proto, &t, NULL, NULL)) p->n += t.count;
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

void fp_describe_model(struct fineprune_report *report, bool second, struct fineprune_model *model, bool hash) {
    const size_t parameters = count_parameters(model); // opens what is stored beside the file, too
    const struct fp_report_model told = {.path = model->path,
                                         .sha256 = hash ? fp_model_sha256(model) : NULL,
                                         .opset = fp_model_opset(model, ""),
                                         .ir = fp_model_ir_version(model),
                                         .producer = fp_model_producer(model),
                                         .file_size = fp_model_files(model),
                                         .parameters = parameters};
    if (second) FP_PUT(report, second_model, &told);
    else FP_PUT(report, model, &told);
}

static double or_none(double error) {
    if (!(error >= 0) || !isfinite(error)) return NAN;
    return error;
}

void fp_describe_layer(struct fineprune_report *report, const struct fp_weight *w,
                       const struct fp_report_layer *layer) {
    struct fp_report_layer told = *layer;
    for (int i = 0; w->n_sources > 1 && i < w->n_sources; i++)
        fp_report_add_text(report, &told.tensors, w->sources[i].name);
    told.name = w->name;
    told.part = w->part;
    told.op = w->op;
    told.node = w->node->name;
    told.shape = (struct fp_report_shape){.rank = w->rank, .dims = w->dims};
    told.params = w->count;
    told.sparsity = fp_report_sparsity(told.zeros, told.params);
    told.error_before_repair = or_none(told.error_before_repair);
    told.error_after_repair = or_none(told.error_after_repair);
    FP_ADD(report, layers, &told);
}

void fp_describe_macs(struct fineprune_report *report, const struct fp_macs *macs, double nonzero) {
    const struct fp_report_macs told = {
        .dense = macs->total, .computed = macs->computed, .nonzero = (size_t)(nonzero + 0.5)};
    FP_PUT(report, macs, &told);
}

void fp_describe_compact(struct fineprune_report *report, const struct fp_compacted *found,
                         const struct fp_report_compact *given) {
    struct fp_report_compact told = *given;
    told.groups = found->groups;
    told.channels = found->channels;
    told.removed = found->removed;
    told.stay = found->stay;
    told.parameters_before = found->parameters;
    told.parameters = found->parameters_now;
    told.reason = found->reason;
    FP_PUT(report, compact, &told);
}

void fp_describe_skipped(struct fineprune_report *report, const struct fp_weights *weights) {
    report->skipped.there = true;
    for (int i = 0; i < weights->n_skipped; i++) {
        const struct fp_skipped *one = &weights->skipped[i];
        const struct fp_report_skipped told = {one->name, one->part, one->reason, one->count};
        FP_ADD(report, skipped, &told);
    }
}

static void describe_values(struct fineprune_report *report, bool output, const struct fp_graph *graph, const int *ids,
                            int n) {
    for (int i = 0; i < n; i++) {
        const struct fp_value *v = &graph->values[ids[i]];
        const struct fp_report_value told = {
            v->name, v->type ? fp_type_name(v->type) : "unknown", {v->rank, v->dims, v->symbols}};
        if (output) FP_ADD(report, outputs_of_model, &told);
        else FP_ADD(report, inputs, &told);
    }
}

static int count_operator(struct fp_node *node, void *user) {
    struct fineprune_report *report = user;
    for (size_t i = 0; i < report->operators.n; i++) {
        struct fp_report_operator *one = &report->operators.items[i];
        if (!one->type || !one->domain || strcmp(one->type, node->type) || strcmp(one->domain, node->domain)) continue;
        one->count++;
        return 0;
    }
    const struct fp_report_operator told = {node->type, node->domain, 1, node->function || fp_node_op(node)};
    FP_ADD(report, operators, &told);
    return 0;
}

void fp_describe_graph(struct fineprune_report *report, struct fineprune_model *model) {
    const struct fp_graph *graph = model->graph;
    report->inputs.there = report->outputs_of_model.there = report->operators.there = true;
    describe_values(report, false, graph, graph->inputs, graph->n_inputs);
    describe_values(report, true, graph, graph->outputs, graph->n_outputs);
    fp_graph_visit(model->graph, count_operator, report);
}
