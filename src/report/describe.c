// SPDX-License-Identifier: Apache-2.0
// What a model is, in the words of a report; inspect and check.
#include "report/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/threads.h"
#include "data/data.h"
#include "exec/exec.h"
#include "weights/weight_share.h"
#include "exec/op_list.h"

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
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (size_t)usage.ru_maxrss * 1024;
}

// JSON wants UTF-8; names from files may be anything.
static json_t *text(const char *s) {
    json_t *string = json_string(s);
    if (string) return string;
    char clean[600];
    size_t n = 0;
    for (; *s && n + 1 < sizeof(clean); s++) clean[n++] = (unsigned char)*s < 0x80 ? *s : '?';
    clean[n] = '\0';
    return json_string(clean);
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
    json_object_set_new(m, "path", text(model->path));
    if (hash) json_object_set_new(m, "sha256", json_string(fp_model_sha256(model)));
    json_object_set_new(m, "opset", json_integer(fp_model_opset(model, "")));
    json_object_set_new(m, "ir", json_integer(fp_model_ir_version(model)));
    json_object_set_new(m, "producer", text(fp_model_producer(model)));
    json_object_set_new(m, "file_size", json_integer((json_int_t)model->file_size));
    json_object_set_new(m, "parameters", json_integer((json_int_t)count_parameters(model)));
}

static json_t *shape_of(int rank, const int64_t *dims, const char *const *symbols) {
    json_t *shape = json_array();
    for (int i = 0; i < rank; i++) {
        if (dims[i] >= 0) json_array_append_new(shape, json_integer((json_int_t)dims[i]));
        else json_array_append_new(shape, text(symbols && symbols[i] ? symbols[i] : "?"));
    }
    return shape;
}

static void set_count(json_t *to, const char *name, size_t n) {
    json_object_set_new(to, name, json_integer((json_int_t)n));
}

void fp_describe_layer(struct fineprune_report *report, const struct fp_report_layer *layer) {
    const struct fp_weight *w = layer->weight;
    json_t *entry = json_object(), *tensors = w->n_sources > 1 ? json_array() : NULL;
    json_object_set_new(entry, "name", text(w->name));
    if (w->part) json_object_set_new(entry, "part", json_string(w->part));
    for (int i = 0; tensors && i < w->n_sources; i++) json_array_append_new(tensors, text(w->sources[i].name));
    if (tensors) json_object_set_new(entry, "tensors", tensors);
    json_object_set_new(entry, "op", text(w->op));
    json_object_set_new(entry, "node", text(w->node->name));
    json_object_set_new(entry, "shape", shape_of(w->rank, w->dims, NULL));
    set_count(entry, "params", w->count);
    set_count(entry, "zeros", layer->zeros);
    json_object_set_new(entry, "sparsity", json_real(fp_report_sparsity(layer->zeros, w->count)));
    if (layer->whole) {
        set_count(entry, "zero_rows", layer->zero_rows);
        set_count(entry, "zero_columns", layer->zero_columns);
        set_count(entry, "whole_zeros", layer->whole_zeros);
    }
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
        json_object_set_new(entry, "name", text(weights->skipped[i].name));
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
        json_object_set_new(entry, "name", text(v->name));
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
    json_object_set_new(entry, "type", text(node->type));
    json_object_set_new(entry, "domain", text(node->domain));
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

// ---- inspect and check

// Rows and columns of which every element is zero: channels that are pruned whole. Nothing is read where there are too
// few zeros for one.
static int count_whole(struct fineprune_model *model, struct fp_report_layer *layer, fineprune_error *err) {
    const struct fp_weight *w = layer->weight;
    const size_t rows = w->groups * w->rows, n = w->cols;
    if (layer->zeros < n && layer->zeros < w->rows) return FINEPRUNE_OK;
    float *values = fp_calloc(w->count, sizeof(*values));
    uint8_t *alive = fp_calloc(rows + w->groups * n, 1);
    int status = values && alive ? fp_weight_read(model, w, values, err)
                                 : fp_fail_memory(err, w->name, w->count * sizeof(*values));
    layer->whole = true;
    for (size_t i = 0; i < w->count && !status; i++)
        if (values[i] != 0) alive[i / n] = alive[rows + i / n / w->rows * n + i % n] = 1;
    for (size_t i = 0; i < rows && !status; i++) layer->zero_rows += !alive[i];
    for (size_t i = 0; i < w->groups * n && !status; i++) layer->zero_columns += !alive[rows + i];
    for (size_t i = 0; i < w->count && !status; i++)
        layer->whole_zeros += !alive[i / n] || !alive[rows + i / n / w->rows * n + i % n];
    free(values);
    free(alive);
    return status;
}

static int describe_all(struct fineprune_model *model, struct fineprune_report *report, fineprune_error *err) {
    struct fp_exec *exec = NULL;
    struct fp_weights *weights = NULL;
    struct fp_report_pruned pruned = {.asked = -1};
    fp_describe_model(report, "model", model, false); // reading every byte takes longer than all the rest
    fp_describe_graph(report, model);
    int status = fp_exec_plan(&exec, model, NULL, err);
    if (!status) status = fp_weights_find(&weights, exec, model, false, err);
    for (int i = 0; !status && i < weights->n; i++) {
        struct fp_report_layer layer = {
            .weight = &weights->items[i], .error_before_repair = -1, .error_after_repair = -1};
        status = fp_weight_zeros(model, layer.weight, &layer.zeros, err);
        if (status) break;
        status = count_whole(model, &layer, err);
        fp_describe_layer(report, &layer);
        pruned.params += layer.weight->count;
        pruned.zeros += layer.zeros;
    }
    if (!status) {
        fp_describe_skipped(report, weights);
        fp_report_put_pruned(report, &pruned);
    }
    fp_weights_free(weights);
    fp_exec_free(exec);
    return status;
}

int fineprune_inspect(const fineprune_model *model, fineprune_report **out, fineprune_error *err) {
    struct fineprune_report *report = fp_report_new("inspect");
    if (!report) return fp_fail_memory(err, "the report", 0);
    struct fp_threads host;
    fp_threads_enter(&host, 1); // little is computed: nobody waits for long
    int status = describe_all((struct fineprune_model *)model, report, err);
    fp_threads_leave(&host);
    if (status) fineprune_report_free(report);
    else *out = report;
    return status;
}

static void add_obstacle(struct fineprune_report *report, const char *what) {
    json_array_append_new(fp_report_array(report, "obstacles"), text(what));
}

// Every tensor must be readable, not only those that a run would meet first.
static int check_tensors(struct fineprune_model *model, struct fineprune_report *report) {
    int bad = 0;
    for (int i = 0; i < model->graph->n_values; i++) {
        struct fp_tensor t;
        fineprune_error inner = {0};
        const struct fp_value *v = &model->graph->values[i];
        if (v->initializer && fp_initializer_shape(model, v->initializer, &t, NULL, &inner)) {
            add_obstacle(report, inner.message);
            bad++;
        }
    }
    return bad;
}

static int try_one_sample(struct fineprune_model *model, struct fineprune_data *data, fineprune_error *err) {
    struct fp_tensor *inputs = fp_calloc((size_t)model->graph->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_calloc((size_t)model->graph->n_outputs, sizeof(*outputs));
    struct fp_exec *exec = NULL;
    size_t first = 0;
    int status = inputs && outputs ? fp_exec_new(&exec, model, NULL, err) : fp_fail_memory(err, "a sample", 0);
    if (!status) status = fp_data_batch(data, &first, 1, inputs, err);
    if (!status) status = fp_exec_run(exec, inputs, outputs, NULL, err);
    for (int i = 0; inputs && i < model->graph->n_inputs; i++) fp_tensor_done(&inputs[i]);
    for (int i = 0; outputs && i < model->graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    fp_exec_free(exec);
    free(inputs);
    free(outputs);
    return status;
}

int fineprune_check(fineprune_model *model, fineprune_data *data, fineprune_report **out, fineprune_error *err) {
    struct fineprune_report *report = fp_report_new("check");
    if (!report) return fp_fail_memory(err, "the report", 0);
    fineprune_error inner = {0};
    int status = FINEPRUNE_OK;
    fp_report_array(report, "obstacles");
    char *unsupported = fp_exec_unsupported(model);
    if (unsupported) {
        char *line = fp_format("operators that are not supported: %s", unsupported);
        if (line) add_obstacle(report, line);
        status = FINEPRUNE_MODEL;
        free(line);
        free(unsupported);
    }
    if (check_tensors(model, report)) status = FINEPRUNE_MODEL;
    struct fp_threads host;
    fp_threads_enter(&host, fp_threads_wanted(NULL));
    int described = status == FINEPRUNE_OK ? describe_all(model, report, &inner) : FINEPRUNE_OK;
    if (!described && !status && !json_array_size(fp_report_array(report, "layers"))) {
        add_obstacle(report, "there is no weight that can be pruned");
        status = FINEPRUNE_MODEL;
    }
    if (!described && !status && data && fineprune_data_samples(data)) described = try_one_sample(model, data, &inner);
    fp_threads_leave(&host);
    if (described) {
        add_obstacle(report, inner.message);
        status = described;
    }
    if (status)
        fp_fail(err, status, "'%s' cannot be pruned as it is: %zu obstacle%s", model->path,
                json_array_size(fp_report_array(report, "obstacles")),
                json_array_size(fp_report_array(report, "obstacles")) == 1 ? "" : "s");
    *out = report;
    return status;
}
