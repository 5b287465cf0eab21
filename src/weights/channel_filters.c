// SPDX-License-Identifier: Apache-2.0
#include "weights/channel_filters.h"

#include "exec/op_list.h"
#include "weights/channels.h"

// Channels of a group: [0] that it reads, [1] that it makes. False: they cannot be told.
static bool read_groups(const struct fp_channel_finder *f, const struct fp_node *node, size_t *groups, size_t *each) {
    const bool transposed = fp_node_op(node)->weight.view == FP_VIEW_CONV_TRANSPOSE;
    const int64_t n = fp_attr_int(node, "group", 1);
    struct fp_tensor t;
    if (n < 2 || node->n_in < 2 || node->in[1] < 0) return false;
    const Onnx__TensorProto *proto = fp_stored_tensor(&f->graph->values[node->in[1]]);
    if (!proto || fp_initializer_shape(f->weights->model, proto, &t, NULL, NULL)) return false;
    if (t.rank < 3 || t.dims[0] < n || t.dims[0] % n || t.dims[1] < 1) return false;
    *groups = (size_t)n;
    each[transposed] = (size_t)t.dims[1];
    each[!transposed] = (size_t)(t.dims[0] / n);
    return true;
}

bool fp_channel_filter(struct fp_channel_finder *f, const struct fp_node *node) {
    const int in = node->in[0], out = node->out[0];
    const struct fp_lanes lanes = f->places[in].lanes;
    size_t groups, each[2];
    if (!lanes.n || fp_channel_is_grid(&f->places[in]) || f->places[in].axis != 1 || f->wide[in]) return false;
    if (!read_groups(f, node, &groups, each) || lanes.n / groups != each[0] || lanes.n % groups) return false;
    fp_channel_pass_on(f, in, out, 1);
    f->single[out] = false;
    if (fp_node_op(node)->weight.view == FP_VIEW_CONV_TRANSPOSE) fp_channel_mark(f, &lanes, FP_CHANNEL_SPREAD);
    if (each[0] == 1 && each[1] == 1) return true;
    struct fp_lanes *made = &f->places[out].lanes;
    if (!fp_channel_take_lanes(f, made, groups * each[1])) return false;
    for (size_t i = 0; i < lanes.n; i++) fp_channel_unite(f, lanes.of[i], lanes.of[i / each[0] * each[0]], node);
    for (size_t i = 0; i < made->n; i++) made->of[i] = lanes.of[i / each[1] * each[0]];
    fp_channel_mark(f, &lanes, FP_CHANNEL_PARTED);
    return true;
}
