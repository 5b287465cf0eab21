// SPDX-License-Identifier: Apache-2.0
// What an operator is. One operator is one row in the table of its family's file in ops/, and the table is one line in
// the list in families.def. The executor knows rows, never names.
#ifndef FP_OP_H
#define FP_OP_H

#include "onnx/graph.h"

struct fp_op;
struct fp_call;
struct fp_frame;

// Elementwise work that follows a node and is done inside its call; see FP_OP_FUSES.
enum fp_tail_kind {
    FP_TAIL_RELU, // also LeakyRelu with slope a
    FP_TAIL_CLIP, // a..b
    FP_TAIL_SIGMOID,
    FP_TAIL_TANH,
    FP_TAIL_HARD_SIGMOID, // a x + b
    FP_TAIL_HARD_SWISH,
    FP_TAIL_SWISH, // x sigmoid(a x)
    FP_TAIL_ELU,   // a (exp(x) - 1) below 0
    FP_TAIL_GELU,
    FP_TAIL_GELU_TANH,
    FP_TAIL_LINEAR, // a x + b
    FP_TAIL_ADD,    // extra[input], broadcast to the result
    FP_TAIL_MUL,
    FP_TAIL_NORM, // BatchNormalization by extra[input..input+3] with epsilon a; only first
};
struct fp_tail {
    enum fp_tail_kind kind;
    float a, b;
    int input;
};
enum { FP_TAIL_MAX = 8, FP_TAIL_EXTRA = 8 };
// What prepare returns when it can not do the tail; the executor then runs the nodes of it one by one.
enum { FP_NOT_FUSED = -1 };

// What the calls of one executor share.
struct fp_context {
    void *dnnl;       // made on first use (dnnl_corner.h)
    double preparing; // seconds that went into making primitives and packing weights
    // For control flow: runs a body of the call's node, inputs in the body's order.
    int (*run_body)(struct fp_call *call, struct fp_graph *body, const struct fp_tensor *inputs,
                    struct fp_tensor *outputs);
};

// One call of an operator. in[] and out[] are in the node's order; an input that is left out is NULL, an output nobody
// wants is still made (see fp_wanted).
struct fp_call {
    const struct fp_node *node;
    const struct fp_op *op; // the row that serves the node
    int n_in, n_out;
    struct fp_tensor *const
        *in; // row-major unless the row has FP_OP_BLOCKED; type, dims and data are there already in prepare
    struct fp_tensor *out;
    int *alias;           // per output: the input whose memory it shares, -1: none; set by fp_out_alias
    void *state;          // the operator's own; done() frees it. free() does when the row has no done
    uint64_t constant;    // bit i: input i never changes; its packed form may be kept
    uint64_t values_read; // bit i: prepare used the elements of input i; set by fp_read_ints and friends
    int n_tail;
    const struct fp_tail *tail;     // what to do to out[0] at the end
    struct fp_tensor *const *extra; // its further inputs, as they come
    int threads;
    struct fp_memory *memory;
    struct fp_context *context;
    struct fp_frame *frame; // of the executor
    fineprune_error *err;
};

enum {
    // float16, bfloat16 and float64 inputs are handed over as float32, and float32 outputs go back to the type of
    // the first of them. Rows without it take the types as they are.
    FP_OP_FLOAT32 = 1 << 0,
    // Output shapes or kinds depend on data beyond small shape inputs: prepare is called before every run.
    FP_OP_DYNAMIC = 1 << 1,
    // out[0] may take the memory of in[0] when nobody else needs it, type and size being equal.
    FP_OP_IN_PLACE = 1 << 2,
    // Takes channels-last inputs as they come (see dnnl_corner.h), and may set out[i].layout.
    FP_OP_BLOCKED = 1 << 3,
    // Makes other results each time (random numbers): never folded.
    FP_OP_IMPURE = 1 << 4,
    // Takes strings or sequences; without it they are refused.
    FP_OP_ANY_KIND = 1 << 5,
    // Has the weights of a layer; see `weight` below.
    FP_OP_WEIGHTED = 1 << 6,
    // Does call->tail; other rows never get one.
    FP_OP_FUSES = 1 << 7,
    // The same for rows that do only functions of one value (fp_tail_map).
    FP_OP_FUSES_FUNCTIONS = 1 << 8,
};

struct fp_op {
    const char *domain, *type;
    int since; // the row serves this opset and those after, up to the next row of the same name
    // Checks types and shapes, sets type and dims of every output (fp_out or fp_out_alias), makes primitives. Called
    // again only when types, shapes, or elements marked as read have changed; it must free or reuse an older state.
    int (*prepare)(struct fp_call *);
    // Fills the outputs, which have memory now. NULL: prepare did everything (outputs are aliases).
    int (*run)(struct fp_call *);
    void (*done)(void *state);
    unsigned flags;
    int variant; // for functions that serve several rows
    // For FP_OP_WEIGHTED rows: the tensor that the weight at input `slot` multiplies, as the statistics want it: for
    // Conv and ConvTranspose the input, for MatMul and Gemm the other operand, for LSTM, GRU and RNN the input (slot 1)
    // or the hidden states before each step [steps, directions, batch, hidden] (slot 2), and how many steps each
    // sequence has. NULL in a row: in[slot == 0 ? 1 : 0]. Called after run.
    int (*weight_input)(struct fp_call *, int slot, struct fp_tensor *out);
};

// ---- for prepare and run

// An error that names the node first.
int fp_call_fail(struct fp_call *call, const char *format, ...) FP_PRINTF(2, 3);
// Sets type and dims of output i. Errors: rank, negative or overflowing dims.
int fp_out(struct fp_call *call, int i, enum fp_type type, int rank, const int64_t *dims);
// Output i has the type and shape of input j.
int fp_out_like(struct fp_call *call, int i, int j);
// Output i shares the memory of input j, with other dims (same count).
int fp_out_alias(struct fp_call *call, int i, int j, int rank, const int64_t *dims);
// Whether output i is there and has a name.
static inline bool fp_wanted(const struct fp_call *call, int i) { return i < call->n_out && call->node->out[i] >= 0; }
static inline bool fp_given(const struct fp_call *call, int i) { return i < call->n_in && call->in[i] != NULL; }
static inline bool fp_is_constant(const struct fp_call *call, int i) { return i < 64 && (call->constant >> i & 1); }
// At least that many inputs, none of the first `needed` left out.
int fp_need(struct fp_call *call, int needed);
// The elements of an integer input (int32 or int64, at most max) as int64; marks the input as read. *n the count.
int fp_read_ints(struct fp_call *call, int i, int64_t *dst, size_t max, size_t *n);
// The one element of a numeric input as double; marks the input as read.
int fp_read_scalar(struct fp_call *call, int i, double *value);
// Integers that are an attribute in old opsets and an input in new ones. *given false when neither is there.
int fp_ints_either(struct fp_call *call, const char *attribute, int input, int64_t *dst, size_t max, size_t *n,
                   bool *given);
// -rank..rank-1 to 0..rank-1; an error names the axis when outside.
int fp_axis(struct fp_call *call, int64_t axis, int rank, int *out);
// Multidirectional broadcast of two shapes (ONNX Broadcasting.md).
int fp_broadcast(struct fp_call *call, const struct fp_tensor *a, const struct fp_tensor *b, int *rank, int64_t *dims);
// Element strides of `t` seen in a shape of `rank` dims that it broadcasts to (0 along broadcast axes).
void fp_broadcast_strides(const struct fp_tensor *t, int rank, const int64_t *dims, int64_t *strides);
// Row-major element strides.
void fp_strides(int rank, const int64_t *dims, int64_t *strides);
// The state, zeroed memory of `size`, made on first use and kept over later prepares; NULL when out of memory (the
// error is set).
void *fp_state(struct fp_call *call, size_t size);

#endif
