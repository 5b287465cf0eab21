// SPDX-License-Identifier: Apache-2.0
// Constants are followed from the layers that make them: each value that carries channels has, lane by lane, what is
// known of it. Elementwise operators are run on one element a lane.
#include "compact/constant_channels.h"

#include <math.h>
#include <string.h>

#include "exec/op_list.h"

#define FAR 1e30F // no channel's value: what it does not change is a constant

struct constants { // of a value's lanes; of NULL: nothing is known
    float *of;
    bool *known;
};

struct folding {
    struct fineprune_model *model;
    const struct fp_weights *weights;
    const struct fp_channel_groups *groups;
    const struct fp_slices *slices;
    struct fp_exec *exec;
    const struct fp_graph *graph;
    struct constants *values; // by value
    struct constants number;  // by number of a channel, of the inputs of one node; known: met
    bool *alike;              // by number: known, and the same in all of them
    uint8_t **fold;           // by group: its channels
    struct fp_arena room;
    fineprune_error *err;
};

static bool is_followed(const struct folding *f, int value) {
    return value >= 0 && f->groups->places[value].lanes.n && !fp_channel_is_grid(&f->groups->places[value]);
}

static struct constants *start(struct folding *f, int value) {
    struct constants *c = &f->values[value];
    const size_t n = f->groups->places[value].lanes.n;
    c->of = fp_arena_take(&f->room, n, sizeof(*c->of));
    c->known = fp_arena_take(&f->room, n, sizeof(*c->known));
    if (c->of && c->known) return c;
    c->of = NULL; // out of memory: find_constants says so
    return NULL;
}

static bool any_known(const struct folding *f, int value) {
    bool any = false;
    for (size_t i = 0; value >= 0 && f->values[value].of && i < f->groups->places[value].lanes.n && !any; i++)
        any = f->values[value].known[i];
    return any;
}

// ---- what layers make

// What it gives are its products and, where it has one, the bias that is its input; 0: it has none.
static bool is_layer(const struct fp_node *node, int *bias) {
    const struct fp_op *op = fp_node_op(node);
    *bias = op ? op->weight.bias : 0;
    if (!op || *node->domain) return false;
    return op->weight.view == FP_VIEW_MATRIX || op->weight.view == FP_VIEW_GEMM || op->weight.view == FP_VIEW_CONV ||
           op->weight.view == FP_VIEW_CONV_TRANSPOSE;
}

// The operator's own bias, row by row.
static int read_own_bias(struct folding *f, const struct fp_node *node, int at, size_t rows, float *bias,
                         bool *usable) {
    struct fp_tensor t = {0}, as_float = {0};
    *usable = !at || at >= node->n_in || node->in[at] < 0;
    if (*usable || !fp_exec_is_constant(f->exec, f->graph, node->in[at])) return FINEPRUNE_OK;
    int status = fp_exec_constant(f->exec, f->graph, node->in[at], &t, f->err);
    if (!status && fp_type_is_float(t.type)) status = fp_tensor_convert(&as_float, NULL, &t, FP_FLOAT, f->err);
    const float *from = as_float.data, beta = (float)fp_attr_float(node, "beta", 1);
    *usable = from && (as_float.count == rows || as_float.count == 1);
    const bool row = as_float.rank <= 1 || as_float.dims[as_float.rank - 1] == (int64_t)as_float.count;
    *usable = *usable && row;
    for (size_t r = 0; r < rows && *usable; r++) bias[r] = beta * from[as_float.count == 1 ? 0 : r];
    fp_tensor_done(&as_float);
    fp_tensor_done(&t);
    return status;
}

static int make(struct folding *f, int number) {
    const struct fp_weight *w = &f->weights->items[number];
    const struct fp_lanes *lanes = &f->groups->rows[number];
    const size_t rows = w->groups * w->rows;
    if (!lanes->n || w->groups != 1 || rows != lanes->n) return FINEPRUNE_OK;
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values)), *bias = fp_arena_take(&room, rows, sizeof(*bias));
    int status = fp_arena_check(&room, f->err);
    if (!status) status = fp_weight_read(f->model, w, values, f->err);
    for (int u = 0; u < w->n_uses && !status; u++) {
        const struct fp_node *node = w->uses[u].node;
        bool usable = false;
        int at;
        if (node->graph != f->graph || !is_layer(node, &at) || !is_followed(f, node->out[0]) ||
            f->groups->places[node->out[0]].lanes.n != rows)
            continue;
        status = read_own_bias(f, node, at, rows, bias, &usable);
        struct constants *c = !status && usable ? start(f, node->out[0]) : NULL;
        for (size_t r = 0; c && r < rows; r++) {
            size_t i = 0;
            while (i < w->cols && values[r * w->cols + i] == 0) i++;
            c->known[r] = i == w->cols && isfinite(bias[r]);
            c->of[r] = c->known[r] ? bias[r] : 0;
        }
    }
    return status;
}

// ---- what other operators make of it

static bool has_pads(const struct fp_node *node) {
    size_t n = 0;
    const int64_t *pads = fp_attr_ints(node, "pads", &n);
    const char *automatic = fp_attr_text(node, "auto_pad", "NOTSET");
    bool any = strcmp(automatic, "NOTSET") && strcmp(automatic, "VALID");
    for (size_t i = 0; pads && i < n; i++) any |= pads[i] != 0;
    return any || fp_attr_int(node, "ceil_mode", 0);
}

// Whether a channel of one value at all positions keeps it, whatever it is.
static bool keeps_value(const struct fp_node *node, enum fp_passage passage) {
    const enum fp_role role = fp_node_role(node);
    if (passage == FP_PASSAGE_PADS || passage == FP_PASSAGE_RESIZES) return false;
    if (passage != FP_PASSAGE_POOLS && passage != FP_PASSAGE_REMOVES && passage != FP_PASSAGE_REDUCES) return true;
    if (role == FP_ROLE_AVERAGES || role == FP_ROLE_AVERAGES_ALL || role == FP_ROLE_FINDS_MAXIMUM ||
        role == FP_ROLE_FINDS_MAXIMA)
        return true;
    return role == FP_ROLE_AVERAGES_WINDOWS && (!fp_attr_int(node, "count_include_pad", 0) || !has_pads(node));
}

static bool keeps_zero(const struct fp_node *node, enum fp_passage passage) {
    if (keeps_value(node, passage)) return true;
    if (passage == FP_PASSAGE_PADS)
        return !strcmp(fp_attr_text(node, "mode", "constant"), "constant") && node->n_in < 3 &&
               fp_attr_float(node, "value", 0) == 0;
    return passage == FP_PASSAGE_RESIZES || fp_node_role(node) == FP_ROLE_AVERAGES_WINDOWS;
}

// Elements that are only moved, or put together from those of one channel: by the numbers of the channels.
static int move(struct folding *f, const struct fp_node *node, enum fp_passage passage) {
    const bool all = keeps_value(node, passage), zero = keeps_zero(node, passage);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < node->n_in; i++) {
            if (!is_followed(f, node->in[i])) continue;
            const struct fp_lanes *lanes = &f->groups->places[node->in[i]].lanes;
            const struct constants *c = &f->values[node->in[i]];
            for (size_t l = 0; l < lanes->n; l++) {
                const int number = lanes->of[l];
                if (number < 0) continue;
                const bool known = c->of && c->known[l] && (all || (zero && c->of[l] == 0));
                if (!pass) f->number.known[number] = false;
                else if (!f->number.known[number]) {
                    f->number.known[number] = true;
                    f->alike[number] = known;
                    f->number.of[number] = known ? c->of[l] : 0;
                } else f->alike[number] &= known && c->of[l] == f->number.of[number];
            }
        }
    for (int o = 0; o < node->n_out; o++) {
        if (!is_followed(f, node->out[o])) continue;
        const struct fp_lanes *lanes = &f->groups->places[node->out[o]].lanes;
        struct constants *c = start(f, node->out[o]);
        for (size_t l = 0; c && l < lanes->n; l++) {
            const int number = lanes->of[l];
            c->known[l] = number >= 0 && f->number.known[number] && f->alike[number];
            c->of[l] = c->known[l] ? f->number.of[number] : 0;
        }
    }
    return fp_arena_check(&f->room, f->err);
}

static int axis_from_end(const struct folding *f, int value) {
    const struct fp_channel_place *p = &f->groups->places[value];
    const int rank = p->rank ? p->rank : f->graph->values[value].rank;
    if (p->axis < 0) return 1;
    return rank > p->axis ? rank - p->axis : 0;
}

// One element a lane, along the same axis from the end.
static int lane_tensor(const struct folding *f, int value, float filler, struct fp_tensor *out, fineprune_error *err) {
    const struct fp_channel_place *p = &f->groups->places[value];
    const int behind = axis_from_end(f, value), rank = p->axis < 0 ? 1 : p->axis + behind;
    int64_t dims[FP_MAX_RANK];
    if (!behind || rank > FP_MAX_RANK) return FINEPRUNE_MODEL;
    for (int i = 0; i < rank; i++) dims[i] = i == rank - behind ? (int64_t)p->lanes.n : 1;
    int status = fp_tensor_new(out, NULL, FP_FLOAT, rank, dims, err);
    for (size_t l = 0; !status && l < p->lanes.n; l++)
        ((float *)out->data)[l] = f->values[value].of && f->values[value].known[l] ? f->values[value].of[l] : filler;
    return status;
}

// The lanes of the result, where all positions of a lane have one value.
static void read_lanes(const struct folding *f, const struct fp_node *node, const struct fp_tensor *y,
                       struct constants *c) {
    const int behind = axis_from_end(f, node->out[0]);
    const size_t n = f->groups->places[node->out[0]].lanes.n;
    const bool fits = y->type == FP_FLOAT && behind && y->rank >= behind && (size_t)y->dims[y->rank - behind] == n;
    size_t inner = 1;
    for (int i = y->rank - behind + 1; fits && i < y->rank; i++) inner *= (size_t)y->dims[i];
    for (size_t l = 0; l < n; l++) c->known[l] &= fits && y->count >= n * inner;
    const float *from = y->data;
    for (size_t i = 0; fits && i < y->count; i++) {
        const size_t l = i / inner % n;
        if (i < n * inner && i % inner == 0) c->of[l] = from[i];
        c->known[l] &= isfinite(from[i]) && from[i] == c->of[l];
    }
}

// The node's first result with `filler` in the lanes of which nothing is known. *ran: it can be run like that.
static int run_on_lanes(const struct folding *f, const struct fp_node *node, float filler, struct fp_arena *room,
                        struct constants *c, bool *ran) {
    struct fp_tensor *in = fp_arena_take(room, (size_t)node->n_in, sizeof(*in)),
                     **inputs = fp_arena_take(room, (size_t)node->n_in, sizeof(*inputs)),
                     *out = fp_arena_take(room, (size_t)node->n_out, sizeof(*out));
    const size_t n = f->groups->places[node->out[0]].lanes.n;
    fineprune_error unheard = {0};
    int status = fp_arena_check(room, &unheard);
    for (int i = 0; i < node->n_in && !status; i++) {
        const int value = node->in[i];
        if (value < 0) continue;
        inputs[i] = &in[i];
        if (fp_exec_is_constant(f->exec, f->graph, value))
            status = fp_exec_constant(f->exec, f->graph, value, &in[i], &unheard);
        else if (is_followed(f, value) && f->groups->places[value].lanes.n == n)
            status = lane_tensor(f, value, filler, &in[i], &unheard);
        else status = FINEPRUNE_MODEL;
    }
    if (!status) status = fp_exec_single(f->exec, node, inputs, out, &unheard);
    *ran = !status;
    for (size_t l = 0; l < n && *ran; l++) c->known[l] = true;
    if (*ran) read_lanes(f, node, &out[0], c);
    for (int i = 0; i < node->n_out && *ran; i++) fp_tensor_done(&out[i]);
    for (int i = 0; in && i < node->n_in; i++) fp_tensor_done(&in[i]);
    // Shapes that do not fit one element a lane tell nothing; anything else is an error.
    if (status == FINEPRUNE_MODEL) status = FINEPRUNE_OK;
    if (status) fp_fail(f->err, status, "%s", unheard.message);
    fp_error_clear(&unheard);
    return status;
}

static bool is_given(const struct folding *f, const struct fp_node *node, size_t lane) {
    bool given = true;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && is_followed(f, node->in[i]))
            given &= f->values[node->in[i]].of && f->values[node->in[i]].known[lane];
    return given;
}

// Each lane of the result comes from the same lane of the inputs and from constants: it is known where these are, and
// where a product is the same whatever the other factor is.
static int compute(struct folding *f, const struct fp_node *node) {
    FP_STAGE(room, "constants");
    const size_t n = f->groups->places[node->out[0]].lanes.n;
    const enum fp_role role = fp_node_role(node);
    const bool scales = role == FP_ROLE_MULTIPLIES || role == FP_ROLE_NORMALIZES;
    struct constants *c = start(f, node->out[0]);
    struct constants again = {fp_arena_take(&room, n, sizeof(float)), fp_arena_take(&room, n, sizeof(bool))};
    bool ran = false, other = !scales;
    int status = fp_arena_check(&f->room, f->err);
    if (!status) status = fp_arena_check(&room, f->err);
    if (!status) status = run_on_lanes(f, node, scales ? -FAR : 0, &room, c, &ran);
    if (!status && ran && scales) status = run_on_lanes(f, node, 2 * FAR, &room, &again, &other);
    for (size_t l = 0; l < n && !status; l++) {
        c->known[l] = ran && other && c->known[l] &&
                      (is_given(f, node, l) || (scales && again.known[l] && again.of[l] == c->of[l]));
        c->of[l] = c->known[l] ? c->of[l] : 0;
    }
    return status;
}

// A depthwise convolution: each lane has a kernel of its own.
static int filter(struct folding *f, const struct fp_node *node) {
    const int in = node->in[0], out = node->out[0];
    const size_t n = f->groups->places[out].lanes.n;
    struct fp_tensor t = {0}, kernel = {0};
    bool usable = false;
    int at;
    if (!is_layer(node, &at) || fp_node_op(node)->weight.view != FP_VIEW_CONV || !is_followed(f, in) ||
        f->groups->places[in].lanes.n != n || node->n_in < 2 || !fp_exec_is_constant(f->exec, f->graph, node->in[1]))
        return FINEPRUNE_OK;
    FP_STAGE(room, "constants");
    float *bias = fp_arena_take(&room, n, sizeof(*bias));
    int status = fp_arena_check(&room, f->err);
    if (!status) status = read_own_bias(f, node, at, n, bias, &usable);
    if (!status) status = fp_exec_constant(f->exec, f->graph, node->in[1], &t, f->err);
    if (!status && fp_type_is_float(t.type)) status = fp_tensor_convert(&kernel, NULL, &t, FP_FLOAT, f->err);
    const bool fits = !status && usable && kernel.rank > 2 && kernel.dims[0] == (int64_t)n && kernel.dims[1] == 1 &&
                      fp_attr_int(node, "group", 1) == (int64_t)n;
    struct constants *c = fits ? start(f, out) : NULL;
    const size_t size = fits && n ? kernel.count / n : 0;
    for (size_t l = 0; c && l < n; l++) {
        const float *k = (const float *)kernel.data + l * size, x = f->values[in].of ? f->values[in].of[l] : 0;
        const bool known = f->values[in].of && f->values[in].known[l];
        double sum = 0;
        bool zero = true;
        for (size_t i = 0; i < size; i++) sum += (double)k[i], zero &= k[i] == 0;
        c->of[l] = zero ? bias[l] : (float)(sum * (double)x + (double)bias[l]);
        c->known[l] = isfinite(c->of[l]) && (zero || (known && (x == 0 || !has_pads(node))));
    }
    fp_tensor_done(&kernel);
    fp_tensor_done(&t);
    return status ? status : fp_arena_check(&f->room, f->err);
}

static int follow(struct folding *f, const struct fp_node *node) {
    const struct fp_op *op = fp_node_op(node);
    const enum fp_passage passage = op && !node->n_bodies ? op->passage : FP_PASSAGE_NONE;
    bool any = false;
    for (int i = 0; i < node->n_in; i++) any |= any_known(f, node->in[i]);
    if (node->n_out < 1 || !is_followed(f, node->out[0])) return FINEPRUNE_OK;
    if (passage == FP_PASSAGE_FILTERS) return filter(f, node);
    const enum fp_role role = fp_node_role(node);
    if (!any && role != FP_ROLE_MULTIPLIES && role != FP_ROLE_NORMALIZES) return FINEPRUNE_OK;
    switch (passage) {
    case FP_PASSAGE_KEEPS:
    case FP_PASSAGE_JOINS:
    case FP_PASSAGE_SUMS: return compute(f, node);
    case FP_PASSAGE_POOLS:
    case FP_PASSAGE_REMOVES:
    case FP_PASSAGE_REDUCES:
    case FP_PASSAGE_FLATTENS:
    case FP_PASSAGE_RESHAPES:
    case FP_PASSAGE_TURNS:
    case FP_PASSAGE_PADS:
    case FP_PASSAGE_RESIZES:
    case FP_PASSAGE_APPENDS:
    case FP_PASSAGE_PARTS:
    case FP_PASSAGE_CUTS:
    case FP_PASSAGE_TAKES:
    case FP_PASSAGE_SQUEEZES:
    case FP_PASSAGE_UNSQUEEZES: return move(f, node, passage);
    default: return FINEPRUNE_OK; // of what others make nothing is known
    }
}

// ---- what readers see

// What is known of the reader's input lanes; NULL: nothing.
static const struct constants *seen_by(const struct folding *f, const struct fp_weight *w, int number, int use) {
    const struct fp_node *node = w->uses[use].node;
    const int slot = w->uses[use].slot, in = slot == 0 ? 1 : 0;
    const struct fp_lanes *lanes = &f->groups->columns[number];
    if (node->graph != f->graph || (fp_view_is_recurrent(w->view) && slot != 1) || in >= node->n_in ||
        !is_followed(f, node->in[in]))
        return NULL;
    const struct fp_lanes *input = &f->groups->places[node->in[in]].lanes;
    if (!f->values[node->in[in]].of || input->n != lanes->n || memcmp(input->of, lanes->of, lanes->n * sizeof(int)))
        return NULL;
    return &f->values[node->in[in]];
}

// Whether a constant that is not zero can go to the reader's bias.
static bool takes_constants(const struct fp_weight *w) {
    const bool wide = w->sources[0].type == FP_FLOAT || w->sources[0].type == FP_DOUBLE;
    const enum fp_bias_kind kind = w->bias.kind;
    if (!wide || w->n_uses != 1 || !w->bias.proto || !w->bias.view ||
        w->bias.view->sources[0].type != w->sources[0].type)
        return false;
    if (kind != FP_BIAS_INPUT && kind != FP_BIAS_SUM && kind != FP_BIAS_NORM) return false;
    return w->kind == FP_WEIGHT_RIGHT || (w->kind == FP_WEIGHT_CONV && w->groups == 1 && !has_pads(w->node));
}

static size_t columns_of_lane(const struct fp_weight *w, const struct fp_lanes *lanes) { return w->cols / lanes->n; }

// A reader's say: of its lanes, those that are no constant it can take stay. read: by group, channels that are read.
static int ask(struct folding *f, int number, uint8_t **read) {
    const struct fp_weight *w = &f->weights->items[number];
    const struct fp_lanes *lanes = &f->groups->columns[number];
    if (!lanes->n || w->cols % lanes->n) return FINEPRUNE_OK;
    const size_t per = columns_of_lane(w, lanes);
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values));
    if (!values) return fp_arena_check(&room, f->err);
    int status = fp_weight_read(f->model, w, values, f->err);
    if (status) return status;
    const bool takes = takes_constants(w);
    for (size_t l = 0; l < lanes->n; l++) {
        const struct fp_channel_member m = fp_channel_at(f->groups, lanes, l);
        if (m.group < 0) continue;
        bool can = true, used = false;
        for (int u = 0; u < w->n_uses; u++) {
            const struct constants *c = seen_by(f, w, number, u);
            can = can && c && c->known[l] && (c->of[l] == 0 || takes);
        }
        for (size_t r = 0; r < w->groups * w->rows && !used; r++)
            for (size_t i = l * per; i < (l + 1) * per && !used; i++) used = values[r * w->cols + i] != 0;
        if (used) read[m.group][m.number] = 1;
        if (used && !can) f->fold[m.group][m.number] = 0;
    }
    return status;
}

static bool is_folded(const struct folding *f, const struct fp_lanes *lanes, size_t lane) {
    const struct fp_channel_member m = fp_channel_at(f->groups, lanes, lane);
    return m.group >= 0 && f->fold[m.group][m.number];
}

static int fold_into(struct folding *f, int number) {
    const struct fp_weight *w = &f->weights->items[number];
    const struct fp_lanes *lanes = &f->groups->columns[number];
    const size_t rows = w->groups * w->rows;
    bool any = false, moved = false;
    for (size_t l = 0; l < lanes->n && !any; l++) any = is_folded(f, lanes, l);
    if (!any) return FINEPRUNE_OK;
    const size_t per = columns_of_lane(w, lanes);
    FP_STAGE(room, w->name);
    float *values = fp_arena_take(&room, w->count, sizeof(*values)), *bias = fp_arena_take(&room, rows, sizeof(*bias));
    double *change = fp_arena_take(&room, rows, sizeof(*change));
    int status = fp_arena_check(&room, f->err);
    if (!status) status = fp_weight_read(f->model, w, values, f->err);
    if (!status) status = fp_weight_read_bias(f->model, w, bias, f->err);
    if (status) return status;
    const struct constants *c = seen_by(f, w, number, 0);
    for (size_t r = 0; r < rows; r++)
        for (size_t l = 0; l < lanes->n; l++)
            for (size_t i = l * per; i < (l + 1) * per && is_folded(f, lanes, l); i++) {
                const double lost = c ? (double)values[r * w->cols + i] * (double)c->of[l] : 0;
                change[r] += lost;
                moved |= lost != 0;
                values[r * w->cols + i] = 0;
            }
    status = fp_weight_write(f->model, w, values, NULL, f->err);
    if (!status && moved) status = fp_weight_set_bias(f->model, w, change, bias, f->err);
    return status;
}

// ---- all

static int largest_number(const struct fp_channel_groups *groups, const struct fp_graph *graph) {
    int most = 0;
    for (int v = 0; v < graph->n_values; v++)
        for (size_t l = 0; l < groups->places[v].lanes.n; l++)
            if (groups->places[v].lanes.of[l] > most) most = groups->places[v].lanes.of[l];
    return most;
}

static int find_constants(struct folding *f) {
    int status = FINEPRUNE_OK;
    for (int i = 0; i < f->weights->n && !status; i++) status = make(f, i);
    for (int i = 0; i < f->graph->n_nodes && !status; i++) {
        const struct fp_node *node = &f->graph->nodes[i];
        if (node->n_out && node->out[0] >= 0 && !f->values[node->out[0]].of) status = follow(f, node);
    }
    if (!status) status = fp_arena_check(&f->room, f->err);
    return status;
}

static bool knows_any(const struct folding *f) {
    bool any = false;
    for (int v = 0; v < f->graph->n_values && !any; v++) any = any_known(f, v);
    return any;
}

static int choose(struct folding *f, size_t *folded) {
    FP_STAGE(room, "channels");
    uint8_t **read = fp_arena_take(&room, (size_t)f->groups->n, sizeof(*read));
    for (int g = 0; g < f->groups->n && read; g++) {
        const size_t channels = f->groups->items[g].channels;
        f->fold[g] = fp_arena_take(&f->room, channels, 1);
        read[g] = fp_arena_take(&room, channels, 1);
        if (f->fold[g]) memset(f->fold[g], !f->slices->reasons[g], channels);
    }
    int status = fp_arena_check(&room, f->err);
    if (!status) status = fp_arena_check(&f->room, f->err);
    for (int i = 0; i < f->weights->n && !status; i++) status = ask(f, i, read);
    for (int g = 0; g < f->groups->n && !status; g++)
        for (size_t c = 0; c < f->groups->items[g].channels; c++) {
            f->fold[g][c] &= read[g][c];
            *folded += f->fold[g][c];
        }
    return status;
}

int fp_fold_constant_channels(struct fineprune_model *model, const struct fp_weights *weights,
                              const struct fp_channel_groups *groups, const struct fp_slices *slices,
                              struct fp_exec *exec, size_t *folded, fineprune_error *err) {
    struct folding f = {.model = model,
                        .weights = weights,
                        .groups = groups,
                        .slices = slices,
                        .exec = exec,
                        .graph = model->graph,
                        .room = {.what = "constant channels"},
                        .err = err};
    const size_t numbers = (size_t)largest_number(groups, f.graph) + 1;
    *folded = 0;
    f.values = fp_arena_take(&f.room, (size_t)f.graph->n_values, sizeof(*f.values));
    f.number.of = fp_arena_take(&f.room, numbers, sizeof(*f.number.of));
    f.number.known = fp_arena_take(&f.room, numbers, sizeof(*f.number.known));
    f.alike = fp_arena_take(&f.room, numbers, sizeof(*f.alike));
    f.fold = fp_arena_take(&f.room, (size_t)groups->n, sizeof(*f.fold));
    int status = fp_arena_check(&f.room, err);
    if (!status) status = find_constants(&f);
    if (!status && knows_any(&f)) status = choose(&f, folded);
    for (int i = 0; i < weights->n && !status && *folded; i++) status = fold_into(&f, i);
    fp_arena_free(&f.room);
    return status;
}
