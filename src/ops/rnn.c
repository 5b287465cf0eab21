// SPDX-License-Identifier: Apache-2.0
// LSTM, GRU, RNN and the LSTM of eight-bit weights: one product for the inputs of all steps, then a loop with one
// product for the hidden states of each step.
#include <stdlib.h>

#include "ops/activation.h"
#include "kernel/dnnl_matmul.h"
#include "ops/loops.h"
#include "ops/rnn_quantized.h"

enum { LSTM, GRU, PLAIN, QUANTIZED };
enum { X, W, R, B, LENGTHS, H0, C0, P }; // inputs

struct activation {
    void (*apply)(float *x, size_t n, float a, float b);
    float a, b;
};

struct rnn {
    int kind, gates, directions;
    bool quantized, batch_first, before_reset, input_forget, reverse[2];
    int64_t steps, batch, in, hidden;
    float clip;
    struct activation act[2][3];
    struct fp_matmul input[2], hidden_product[2], candidate[2];
};

static void done(void *state) {
    struct rnn *r = state;
    for (int d = 0; d < 2; d++) {
        fp_matmul_done(&r->input[d]);
        fp_matmul_done(&r->hidden_product[d]);
        fp_matmul_done(&r->candidate[d]);
    }
    free(r);
}

// alpha and beta are lists that the functions which have such a value take from in order.
static int read_activations(struct fp_call *call, struct rnn *r) {
    static const char *const usual[][3] = {
        [LSTM] = {"Sigmoid", "Tanh", "Tanh"}, [GRU] = {"Sigmoid", "Tanh"}, [PLAIN] = {"Tanh"}};
    static const int functions[] = {[LSTM] = 3, [GRU] = 2, [PLAIN] = 1};
    const int each = functions[r->kind];
    size_t n_a, n_b, at_a = 0, at_b = 0;
    const float *a = fp_attr_floats(call->node, "activation_alpha", &n_a),
                *b = fp_attr_floats(call->node, "activation_beta", &n_b);
    bool given = fp_attr_strings(call->node, "activations", 0) != NULL;
    for (int i = 0; i < r->directions * each; i++) {
        const char *name = usual[r->kind][i % each];
        if (given) name = fp_attr_strings(call->node, "activations", (size_t)i);
        if (!name) return fp_call_fail(call, "activation %d is 'missing'", i);
        const struct fp_activation *f = fp_activation_find(name);
        if (!f) return fp_call_fail(call, "activation %d is '%s'", i, name);
        struct activation *to = &r->act[i / each][i % each];
        *to = (struct activation){f->apply, f->a, f->b};
        if (f->has_a && at_a < n_a) to->a = a[at_a++];
        if (f->has_b && at_b < n_b) to->b = b[at_b++];
    }
    return 0;
}

// ---- prepare

static int check_shape(struct fp_call *call, int i, int rank, int64_t d0, int64_t d1, int64_t d2) {
    const int64_t dims[3] = {d0, d1, d2};
    if (!fp_given(call, i)) return 0;
    const struct fp_tensor *t = call->in[i];
    if (t->type == FP_FLOAT && t->rank == rank && memcmp(t->dims, dims, (size_t)rank * sizeof(dims[0])) == 0) return 0;
    char has[160], needs[160];
    return fp_call_fail(call, "input %d is %s %s, needed is float32 %s", i, fp_type_name(t->type),
                        fp_shape_text(has, sizeof(has), t->rank, t->dims),
                        fp_shape_text(needs, sizeof(needs), rank, dims));
}

static int check_inputs(struct fp_call *call, const struct rnn *r) {
    int64_t d = r->directions, h = r->hidden, g = r->gates;
    int status;
    if (r->quantized) {
        status = fp_quantized_check(call, W, d, r->in, g * h);
        if (!status) status = fp_quantized_check(call, R, d, h, g * h);
    } else {
        status = check_shape(call, W, 3, d, g * h, r->in);
        if (!status) status = check_shape(call, R, 3, d, g * h, h);
    }
    if (!status) status = check_shape(call, B, 2, d, 2 * g * h, 0);
    for (int i = H0; i <= C0 && !status; i++) {
        if (r->batch_first) status = check_shape(call, i, 3, r->batch, d, h);
        else status = check_shape(call, i, 3, d, r->batch, h);
    }
    if (!status && r->kind == LSTM) status = check_shape(call, P, 2, d, 3 * h, 0);
    if (status || !fp_given(call, LENGTHS)) return status;
    const struct fp_tensor *t = call->in[LENGTHS];
    if (t->type != FP_INT32 || t->count != (size_t)r->batch)
        return fp_call_fail(call, "sequence_lens must be %lld int32 values", (long long)r->batch);
    return 0;
}

static int read_attributes(struct fp_call *call, struct rnn *r) {
    static const int gates[] = {[LSTM] = 4, [GRU] = 3, [PLAIN] = 1};
    const struct fp_node *node = call->node;
    const char *direction = fp_attr_text(node, "direction", "forward");
    r->quantized = call->op->variant == QUANTIZED;
    if (r->quantized) r->kind = LSTM;
    else r->kind = call->op->variant;
    r->gates = gates[r->kind];
    r->batch_first = fp_attr_int(node, "layout", 0) != 0;
    r->before_reset = fp_attr_int(node, "linear_before_reset", 0) != 0;
    r->input_forget = fp_attr_int(node, "input_forget", 0) != 0;
    r->clip = fp_attr_float(node, "clip", 0);
    if (fp_same_word(direction, "bidirectional")) r->directions = 2;
    else r->directions = 1;
    r->reverse[0] = fp_same_word(direction, "reverse");
    r->reverse[1] = true;
    if (r->directions == 1 && !r->reverse[0] && !fp_same_word(direction, "forward"))
        return fp_call_fail(call, "direction '%s' is not known", direction);
    const struct fp_tensor *x = call->in[X], *weights = call->in[R];
    if (x->rank != 3 || x->type != FP_FLOAT || weights->rank != 3)
        return fp_call_fail(call, "data of type %s and rank %d, weights of rank %d", fp_type_name(x->type), x->rank,
                            weights->rank);
    r->steps = x->dims[r->batch_first];
    r->batch = x->dims[!r->batch_first];
    r->in = x->dims[2];
    int64_t hidden = weights->dims[2];
    if (r->quantized) hidden = weights->dims[1];
    r->hidden = fp_attr_int(node, "hidden_size", hidden);
    if (r->hidden != hidden || r->hidden < 1)
        return fp_call_fail(call, "hidden_size is %lld, the weights have %lld", (long long)r->hidden,
                            (long long)hidden);
    return read_activations(call, r);
}

// y [rows, n] = x [rows, k] w^T + bias, w [n, k].
static int make_product(struct fp_call *call, struct fp_matmul *m, int64_t rows, int64_t k, int64_t n, int weights) {
    struct fp_matmul_shape s = {
        .m = rows, .k = k, .n = n, .alpha = 1, .bias = fp_given(call, B), .pack_b = fp_is_constant(call, weights)};
    fp_matmul_plain(&s, false, true);
    return fp_matmul_make(call, m, &s);
}

static int make_products(struct fp_call *call, struct rnn *r) {
    int status = 0;
    int64_t h = r->hidden;
    bool apart = r->kind == GRU && !r->before_reset; // the candidate multiplies the reset state
    int64_t gates = r->gates;
    if (apart) gates = 2;
    for (int d = 0; d < r->directions && !status; d++) {
        status = make_product(call, &r->input[d], r->steps * r->batch, r->in, r->gates * h, W);
        if (!status) status = make_product(call, &r->hidden_product[d], r->batch, h, gates * h, R);
        if (!status && apart) status = make_product(call, &r->candidate[d], r->batch, h, h, R);
    }
    return status;
}

static int set_outputs(struct fp_call *call, const struct rnn *r) {
    int64_t s = r->steps, d = r->directions, b = r->batch, h = r->hidden;
    const int64_t all[2][4] = {{s, d, b, h}, {b, s, d, h}}, last[2][3] = {{d, b, h}, {b, d, h}};
    int status = fp_out(call, 0, FP_FLOAT, 4, all[r->batch_first]);
    for (int i = 1; i < 3 && !status; i++) status = fp_out(call, i, FP_FLOAT, 3, last[r->batch_first]);
    return status;
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, 3);
    if (status) return status;
    struct rnn *r = fp_state(call, sizeof(*r));
    if (!r) return FINEPRUNE_LIMIT;
    status = read_attributes(call, r);
    if (!status) status = check_inputs(call, r);
    if (!status) status = set_outputs(call, r);
    if (status || r->quantized) return status;
    return make_products(call, r);
}

// ---- one step of one sample. g: the gates' sums; h, c: the states, replaced

static void limit(float *x, size_t n, float clip) {
    for (size_t i = 0; clip > 0 && i < n; i++) {
        if (x[i] > clip) x[i] = clip;
        else if (x[i] < -clip) x[i] = -clip;
    }
}

static void act(const struct rnn *r, const struct activation *a, float *x, size_t n) {
    limit(x, n, r->clip);
    a->apply(x, n, a->a, a->b);
}

FP_VECTOR static void add(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

FP_VECTOR static void add_product(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a[i] * b[i];
}

FP_VECTOR static void multiply(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

FP_VECTOR static void mix_cell(float *c, const float *forget, const float *input, const float *candidate, size_t n) {
    for (size_t i = 0; i < n; i++) c[i] = forget[i] * c[i] + input[i] * candidate[i];
}

FP_VECTOR static void mix_hidden(float *h, const float *update, const float *candidate, size_t n) {
    for (size_t i = 0; i < n; i++) h[i] = (1 - update[i]) * candidate[i] + update[i] * h[i];
}

// Gates in the order input, output, forget, cell; p: peepholes of input, output, forget, or NULL.
static void lstm_step(const struct rnn *r, int d, float *g, float *h, float *c, const float *p) {
    size_t n = (size_t)r->hidden;
    const struct activation *f = r->act[d];
    float *in = g, *out = g + n, *forget = g + 2 * n, *cell = g + 3 * n;
    if (p) {
        add_product(in, p, c, n);
        add_product(forget, p + 2 * n, c, n);
    }
    act(r, &f[0], in, n);
    if (r->input_forget)
        for (size_t i = 0; i < n; i++) forget[i] = 1 - in[i];
    else act(r, &f[0], forget, n);
    act(r, &f[1], cell, n);
    mix_cell(c, forget, in, cell, n);
    if (p) add_product(out, p + n, c, n);
    act(r, &f[0], out, n);
    memcpy(cell, c, n * sizeof(*c));
    f[2].apply(cell, n, f[2].a, f[2].b);
    multiply(h, out, cell, n);
}

// ---- run

// Where sample b of a step lies in x and y.
static size_t place(const struct rnn *r, int64_t step, int64_t b) {
    if (r->batch_first) return (size_t)(b * r->steps + step);
    return (size_t)(step * r->batch + b);
}

struct pass {
    struct fp_call *call;
    struct rnn *r;
    int d;
    float *sums;         // [steps * batch, gates * hidden] from the inputs
    float *step, *h, *c; // [batch, gates * hidden], [batch, hidden] twice
    float *reset;        // [batch, hidden]
};

static int64_t length_of(const struct fp_call *call, const struct rnn *r, int64_t b) {
    int64_t n = r->steps;
    if (fp_given(call, LENGTHS)) n = ((const int32_t *)call->in[LENGTHS]->data)[b];
    if (n < 0) return 0;
    if (n > r->steps) return r->steps;
    return n;
}

// The time at which sample b is in a step, -1 when it has ended.
static int64_t time_of(const struct pass *p, int64_t step, int64_t b) {
    int64_t n = length_of(p->call, p->r, b);
    if (step >= n) return -1;
    if (p->r->reverse[p->d]) return n - 1 - step;
    return step;
}

static float *output_at(const struct pass *p, int64_t time, int64_t b) {
    const struct rnn *r = p->r;
    int64_t row = (time * r->directions + p->d) * r->batch + b;
    if (r->batch_first) row = (b * r->steps + time) * r->directions + p->d;
    return (float *)p->call->out[0].data + row * r->hidden;
}

static void gru_gates(const struct pass *p, int64_t b, float *g, const float *x, float *h) {
    const struct rnn *r = p->r;
    size_t n = (size_t)r->hidden;
    add(g, x, 2 * n);
    act(r, &r->act[p->d][0], g, 2 * n);
    if (!r->before_reset) {
        multiply(p->reset + (size_t)b * n, g + n, h, n);
        return;
    }
    multiply(g + 2 * n, g + n, g + 2 * n, n);
    add(g + 2 * n, x + 2 * n, n);
}

static void finish_gru(const struct pass *p, float *g, float *h) {
    size_t n = (size_t)p->r->hidden;
    act(p->r, &p->r->act[p->d][1], g + 2 * n, n);
    mix_hidden(h, g, g + 2 * n, n);
}

// Everything of one sample but the product of a GRU's candidate.
static void step_sample(const struct pass *p, int64_t step, int64_t b) {
    const struct rnn *r = p->r;
    int64_t time = time_of(p, step, b);
    size_t n = (size_t)r->hidden, width = (size_t)r->gates * n;
    float *g = p->step + (size_t)b * width, *h = p->h + (size_t)b * n;
    if (time < 0) return;
    const float *x = p->sums + place(r, time, b) * width;
    if (r->kind == GRU) {
        if (!r->before_reset) // its product is narrower than its row
            g = p->step + (size_t)b * 2 * n;
        gru_gates(p, b, g, x, h);
        if (r->before_reset) finish_gru(p, g, h);
        return;
    }
    add(g, x, width);
    if (r->kind == LSTM) {
        const float *peep = NULL;
        if (fp_given(p->call, P)) peep = (const float *)p->call->in[P]->data + (size_t)p->d * 3 * n;
        lstm_step(r, p->d, g, h, p->c + (size_t)b * n, peep);
    } else {
        act(r, &r->act[p->d][0], g, n);
        memcpy(h, g, n * sizeof(*h));
    }
}

static const float *weights_of(const struct pass *p, int i, size_t skip) {
    const struct fp_tensor *t = p->call->in[i];
    return (const float *)t->data + (size_t)p->d * (t->count / (size_t)p->r->directions) + skip;
}

// A GRU whose reset state goes through the product: a second product, and what follows it.
static int step_candidate(const struct pass *p, int64_t step) {
    struct rnn *r = p->r;
    size_t n = (size_t)r->hidden;
    const float *bias = NULL;
    if (fp_given(p->call, B)) bias = weights_of(p, B, 5 * n);
    float *made = p->step + (size_t)r->batch * 2 * n;
    int status = fp_matmul_run(p->call, &r->candidate[p->d], p->reset, weights_of(p, R, 2 * n * n),
                               fp_is_constant(p->call, R), bias, made);
    for (int64_t b = 0; b < r->batch && !status; b++) {
        int64_t time = time_of(p, step, b);
        if (time < 0) continue;
        float *candidate = made + (size_t)b * n, *h = p->h + (size_t)b * n;
        add(candidate, p->sums + place(r, time, b) * 3 * n + 2 * n, n);
        act(r, &r->act[p->d][1], candidate, n);
        mix_hidden(h, p->step + (size_t)b * 2 * n, candidate, n);
    }
    return status;
}

static int multiply_states(const struct pass *p, const float *bias) {
    struct rnn *r = p->r;
    if (r->quantized) return fp_quantized_product(p->call, R, p->d, p->h, (size_t)r->batch, bias, p->step);
    return fp_matmul_run(p->call, &r->hidden_product[p->d], p->h, weights_of(p, R, 0), fp_is_constant(p->call, R), bias,
                         p->step);
}

// Quantized data share one scale, over the steps that some sample has.
static int multiply_inputs(const struct pass *p, const float *bias) {
    struct fp_call *call = p->call;
    struct rnn *r = p->r;
    const float *x = call->in[X]->data;
    if (!r->quantized)
        return fp_matmul_run(call, &r->input[p->d], x, weights_of(p, W, 0), fp_is_constant(call, W), bias, p->sums);
    int64_t steps = 0;
    for (int64_t b = 0; b < r->batch; b++) steps = fp_most_int(length_of(call, r, b), steps);
    if (r->batch_first) steps = r->steps;
    return fp_quantized_product(call, W, p->d, x, (size_t)(steps * r->batch), bias, p->sums);
}

static int run_step(const struct pass *p, int64_t step) {
    struct rnn *r = p->r;
    size_t n = (size_t)r->hidden;
    const float *bias = NULL;
    if (fp_given(p->call, B)) bias = weights_of(p, B, (size_t)r->gates * n);
    int status = multiply_states(p, bias);
    if (status) return status;
#pragma omp parallel for num_threads(p->call->threads) if (r->batch * r->hidden > 5000)
    for (int64_t b = 0; b < r->batch; b++) step_sample(p, step, b);
    if (r->kind == GRU && !r->before_reset) status = step_candidate(p, step);
    for (int64_t b = 0; b < r->batch && !status && p->call->n_out > 0; b++) {
        int64_t time = time_of(p, step, b);
        if (time >= 0) memcpy(output_at(p, time, b), p->h + (size_t)b * n, n * sizeof(float));
    }
    return status;
}

// The row of sample b and this direction in a tensor of all states.
static size_t state_row(const struct pass *p, int64_t b) {
    const struct rnn *r = p->r;
    if (r->batch_first) return (size_t)(b * r->directions + p->d);
    return (size_t)(p->d * r->batch + b);
}

// Copies the states of one direction from or to a tensor of all.
static void move_state(const struct pass *p, float *state, struct fp_tensor *t, bool out) {
    const struct rnn *r = p->r;
    size_t n = (size_t)r->hidden;
    for (int64_t b = 0; b < r->batch; b++) {
        size_t row = state_row(p, b);
        float *all = (float *)t->data + row * n, *own = state + (size_t)b * n;
        if (out) memcpy(all, own, n * sizeof(float));
        else memcpy(own, all, n * sizeof(float));
    }
}

static int run_direction(const struct pass *p) {
    struct fp_call *call = p->call;
    struct rnn *r = p->r;
    size_t states = (size_t)(r->batch * r->hidden) * sizeof(float);
    memset(p->h, 0, states);
    memset(p->c, 0, states);
    memset(p->reset, 0, states);
    if (fp_given(call, H0)) move_state(p, p->h, call->in[H0], false);
    if (fp_given(call, C0) && r->kind == LSTM) move_state(p, p->c, call->in[C0], false);
    const float *bias = NULL;
    if (fp_given(call, B)) bias = weights_of(p, B, 0);
    int status = multiply_inputs(p, bias);
    for (int64_t s = 0; s < r->steps && !status; s++) status = run_step(p, s);
    if (!status && call->n_out > 1) move_state(p, p->h, &call->out[1], true);
    if (!status && call->n_out > 2) move_state(p, p->c, &call->out[2], true);
    return status;
}

static int run_directions(struct pass *p) {
    struct fp_call *call = p->call;
    const struct rnn *r = p->r;
    size_t states = (size_t)(r->batch * r->hidden);
    p->h = p->step + (size_t)r->gates * states;
    p->c = p->h + states;
    p->reset = p->c + states;
    if (call->n_out > 0 && call->out[0].count)
        memset(call->out[0].data, 0, call->out[0].count * sizeof(float)); // steps after the end of a sample
    int status = 0;
    for (p->d = 0; p->d < r->directions && !status; p->d++) status = run_direction(p);
    return status;
}

static int run(struct fp_call *call) {
    struct rnn *r = call->state;
    size_t width = (size_t)(r->gates * r->hidden), all = (size_t)(r->steps * r->batch) * width * sizeof(float);
    size_t each = ((size_t)r->batch * width + 3 * (size_t)(r->batch * r->hidden)) * sizeof(float);
    struct pass p = {.call = call, .r = r};
    if (!r->quantized) {
        p.sums = fp_scratch(call, FP_SCRATCH_A, all);
        if (p.sums) p.step = fp_scratch(call, FP_SCRATCH_B, each);
        else p.step = NULL;
        if (p.step) return run_directions(&p);
        return FINEPRUNE_LIMIT;
    }
    p.sums = fp_take(call->memory, all + each); // the exact products need the scratch memory
    if (!p.sums) return fp_fail_memory(call->err, "gates", all + each);
    p.step = p.sums + all / sizeof(float);
    int status = run_directions(&p);
    fp_release(call->memory, p.sums, all + each);
    return status;
}

// ---- what the weights multiply

// The state before a step is the output of the step before it.
static void copy_before(const struct pass *p, float *to) {
    const struct rnn *r = p->r;
    size_t n = (size_t)r->hidden;
    for (int64_t b = 0; b < r->batch; b++)
        for (int64_t step = 0; step < length_of(p->call, r, b); step++) {
            float *row = to + (size_t)((time_of(p, step, b) * r->directions + p->d) * r->batch + b) * n;
            size_t start = state_row(p, b) * n;
            if (step > 0) memcpy(row, output_at(p, time_of(p, step - 1, b), b), n * sizeof(float));
            else if (fp_given(p->call, H0))
                memcpy(row, (const float *)p->call->in[H0]->data + start, n * sizeof(float));
        }
}

// [batch, steps, in] as [steps, batch, in].
static int steps_first(struct fp_call *call, const struct rnn *r, struct fp_tensor *out) {
    const int64_t dims[] = {r->steps, r->batch, r->in};
    const float *x = call->in[X]->data;
    int status = fp_tensor_new(out, call->memory, FP_FLOAT, 3, dims, call->err);
    for (int64_t b = 0; b < r->batch && !status; b++)
        for (int64_t s = 0; s < r->steps; s++)
            memcpy((float *)out->data + (s * r->batch + b) * r->in, x + (b * r->steps + s) * r->in,
                   (size_t)r->in * sizeof(*x));
    return status;
}

static int weight_input(struct fp_call *call, int slot, struct fp_tensor *out) {
    struct rnn *r = call->state;
    const int32_t *lengths = fp_input_data(call, LENGTHS); // steps behind them are padding
    if (slot == W) {
        int status = 0;
        if (r->batch_first && lengths) status = steps_first(call, r, out);
        else fp_tensor_share(out, call->in[X]);
        out->lengths = lengths;
        return status;
    }
    if (call->n_out < 1) return fp_call_fail(call, "the hidden states are not kept, as the node has no output 0");
    const int64_t dims[] = {r->steps, r->directions, r->batch, r->hidden};
    int status = fp_tensor_new(out, call->memory, FP_FLOAT, 4, dims, call->err);
    if (status) return status;
    memset(out->data, 0, out->count * sizeof(float));
    struct pass p = {.call = call, .r = r};
    for (p.d = 0; p.d < r->directions; p.d++) copy_before(&p, out->data);
    out->lengths = lengths;
    return 0;
}

const struct fp_op fp_ops_rnn[] = {
    {"", "LSTM", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_STEPS_FIRST, LSTM, weight_input,
     .weight = {FP_IN_1 | FP_IN_2, 3, FP_VIEW_RECURRENT}, .arity = "rrrooooo>ooo",
     .attributes = "activation_alpha=F activation_beta=F activations=S clip=f direction=s hidden_size=i "
                   "input_forget=i layout=i output_sequence=i"},
    {"", "GRU", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_STEPS_FIRST, GRU, weight_input,
     .weight = {FP_IN_1 | FP_IN_2, 3, FP_VIEW_RECURRENT_GATED}, .arity = "rrrooo>or 3:rrrooo>oo",
     .attributes = "activation_alpha=F activation_beta=F activations=S clip=f direction=s hidden_size=i "
                   "layout=i linear_before_reset=i output_sequence=i"},
    {"", "RNN", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_STEPS_FIRST, PLAIN, weight_input,
     .weight = {FP_IN_1 | FP_IN_2, 3, FP_VIEW_RECURRENT}, .arity = "rrrooo>oo",
     .attributes = "activation_alpha=F activation_beta=F activations=S clip=f direction=s hidden_size=i "
                   "layout=i output_sequence=i"},
    {"com.microsoft", "DynamicQuantizeLSTM", 1, prepare, run, done, FP_OP_FLOAT32 | FP_OP_MIXES, QUANTIZED,
     .weight = {FP_IN_1 | FP_IN_2, 3, FP_VIEW_NONE}, .left = "integer weight of DynamicQuantizeLSTM",
     .arity = "rrrooooorrrr>ooo",
     .attributes =
         "activation_alpha=F activation_beta=F activations=S clip=f direction=s hidden_size=i input_forget=i"},
    {0},
};
