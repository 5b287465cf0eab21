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
    void *dnnl;                           // made on first use (dnnl_memory.h)
    double preparing;                     // seconds that went into making primitives and packing weights
    const fineprune_run_options *options; // whose progress is asked now and then, within operators too; may be NULL
    double asked;                         // when it was asked last
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
    bool counted;           // what multiplies is not run: its prepare says the shape and makes nothing to run
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
    // Takes channels-last inputs as they come (see channels_last.h), and may set out[i].layout.
    FP_OP_BLOCKED = 1 << 3,
    // Makes other results each time (random numbers): never folded.
    FP_OP_IMPURE = 1 << 4,
    // Takes strings or sequences; without it they are refused.
    FP_OP_ANY_KIND = 1 << 5,
    // Wants narrow numbers rounded and leaves its results so (exec/rounding.h).
    FP_OP_ROUNDS = 1 << 6,
    // Does call->tail; other rows never get one.
    FP_OP_FUSES = 1 << 7,
    // The same for rows that do only functions of one value (fp_tail_map).
    FP_OP_FUSES_FUNCTIONS = 1 << 8,
    // Any number of inputs is one parameter, and the first decides whether they are rounded. Only with FP_OP_ROUNDS.
    FP_OP_FIRST_DECIDES = 1 << 9,
    // Takes one scale from all the numbers it gets: in a batch, samples would change each other's results.
    FP_OP_MIXES = 1 << 10,
    // Axes 0 and 1 of input 0 are steps and samples, unless the attribute layout says otherwise.
    FP_OP_STEPS_FIRST = 1 << 11,
};

// What an operator is to those who follow values through a graph. The roles up to FP_ROLE_MOVES_LAST move elements of
// input 0 (of all inputs, where they are joined) and compute nothing; their type may be another then.
enum fp_role {
    FP_ROLE_OTHER,
    FP_ROLE_IDENTITY,
    FP_ROLE_CASTS,
    FP_ROLE_CASTS_LIKE, // to the type of another input
    FP_ROLE_QUANTIZES,
    FP_ROLE_DEQUANTIZES,
    FP_ROLE_RESHAPES,  // into any shape, in the same order
    FP_ROLE_SETS_AXES, // the same: axes of one element come or go, or neighbours become one
    FP_ROLE_ARRANGES,  // changes the order, or hands on a part
    FP_ROLE_JOINS,     // along an axis
    FP_ROLE_MOVES_LAST = FP_ROLE_JOINS,
    FP_ROLE_DROPS,    // Identity, unless a third input lets it train
    FP_ROLE_SPREADS,  // repeats elements
    FP_ROLE_LOOKS_UP, // takes rows of input 0 by their numbers
    FP_ROLE_STORES,   // a constant of its own
    FP_ROLE_FILLS,    // repeats its attribute `value`, or zero, in a shape that it is told
    FP_ROLE_MEASURES, // reads the shape only
    FP_ROLE_ADDS,
    FP_ROLE_SUBTRACTS,
    FP_ROLE_MULTIPLIES,
    FP_ROLE_DIVIDES,
    FP_ROLE_GREATER,    // the greater of its inputs, element by element
    FP_ROLE_NORMALIZES, // by stored statistics of each channel
    FP_ROLE_AVERAGES,   // over axes that it is told
    FP_ROLE_AVERAGES_WINDOWS,
    FP_ROLE_AVERAGES_ALL, // positions of each channel
    FP_ROLE_SUMS_UP,      // over axes
    FP_ROLE_FINDS_MAXIMUM,
    FP_ROLE_FINDS_MAXIMA, // of windows, or of all positions of each channel
    FP_ROLE_BENDS,        // an activation that hidden layers have
    FP_ROLE_RAISES,       // e to the power of each element
    FP_ROLE_SOFTMAX,      // of probabilities that sum to one, or their logarithms
    FP_ROLE_HARDMAX,
    FP_ROLE_SIGMOID,
    FP_ROLE_HARD_SIGMOID,
    FP_ROLE_PICKS, // the places of the greatest
};

// What an operator does to the channel axis of input 0. All other inputs must be constants (a division by what is cut
// has no value), but for JOINS, SUMS and APPENDS; a second output must have no reader, but for PARTS.
enum fp_passage {
    FP_PASSAGE_NONE,
    FP_PASSAGE_KEEPS,    // elementwise: any axis
    FP_PASSAGE_POOLS,    // along axes 2 and on: channels at axis 1
    FP_PASSAGE_REMOVES,  // the same, which leaves one position
    FP_PASSAGE_FILTERS,  // a convolution: passes where it has several groups
    FP_PASSAGE_JOINS,    // elementwise over two inputs, whose channels become one space
    FP_PASSAGE_SUMS,     // the same, as a residual stream does
    FP_PASSAGE_FLATTENS, // axes from 1 on become one
    FP_PASSAGE_RESHAPES, // to two axes
    FP_PASSAGE_TURNS,    // Transpose
    FP_PASSAGE_PADS,     // only other axes
    FP_PASSAGE_REDUCES,  // other axes go or become 1
    FP_PASSAGE_RESIZES,  // only other axes, by stored scales
    FP_PASSAGE_APPENDS,  // all inputs one after the other along an axis
    FP_PASSAGE_PARTS,    // along an axis, into pieces of stored lengths, one an output
    FP_PASSAGE_CUTS,     // hands on a part that stored starts and ends name
    FP_PASSAGE_TAKES,    // places along another axis, by stored numbers
    FP_PASSAGE_SQUEEZES, // other axes of one element go
    FP_PASSAGE_UNSQUEEZES,
    FP_PASSAGE_MIXES,      // elements along the axes from attribute `axis` on, others are kept apart
    FP_PASSAGE_MULTIPLIES, // a product of two computed values
    FP_PASSAGE_MEASURES,   // gives the lengths of the axes
    FP_PASSAGE_COUNTS,     // numbers one after the other
};

// How a weight is a matrix [groups, rows, columns] (weights/weights.c).
enum fp_weight_view {
    FP_VIEW_NONE,            // the operator has no weights that can be pruned
    FP_VIEW_MATRIX,          // [.., columns, rows] as input 1, [.., rows, columns] as input 0
    FP_VIEW_INNER,           // the same, of a product whose result is not what the operator gives
    FP_VIEW_SCALED,          // the same, transposed or not, times an attribute
    FP_VIEW_GEMM,            // the same of two axes, plus a bias times another attribute
    FP_VIEW_CONV,            // [rows, columns of the group, kernel..]
    FP_VIEW_CONV_TRANSPOSE,  // [columns, rows of the group, kernel..]
    FP_VIEW_RECURRENT,       // [groups, rows, columns] of the inputs, and of the hidden states
    FP_VIEW_RECURRENT_GATED, // the same; some rows see the hidden state times a gate
    FP_VIEW_EINSUM,          // axes as the equation has them
};

enum { FP_IN_0 = 1 << 0, FP_IN_1 = 1 << 1, FP_IN_2 = 1 << 2 };
struct fp_op_weight {
    unsigned char slots; // FP_IN_.. of the inputs that can be weights
    unsigned char bias;  // its optional bias input; 0: none
    unsigned char view;  // enum fp_weight_view
};
static inline bool fp_view_is_recurrent(enum fp_weight_view view) {
    return view == FP_VIEW_RECURRENT || view == FP_VIEW_RECURRENT_GATED;
}

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
    // For rows with weights: the tensor that the weight at input `slot` multiplies, as the statistics want it: for Conv
    // and ConvTranspose the input, for MatMul and Gemm the other operand, for LSTM, GRU and RNN the input (slot 1) or
    // the hidden states before each step [steps, directions, batch, hidden] (slot 2), and how many steps each sequence
    // has. NULL in a row: in[slot == 0 ? 1 : 0]. Called after run.
    int (*weight_input)(struct fp_call *, int slot, struct fp_tensor *out);
    // Multiply-adds of a call that is prepared, beyond those that the view of its weights tells (products.h); NULL:
    // none.
    size_t (*products)(const struct fp_call *);
    // What is known of the operator without running it. No row, no facts.
    unsigned char role, passage; // enum fp_role, enum fp_passage
    struct fp_op_weight weight;
    const char *left; // why a constant that it reads is left alone; NULL: it may be the weight of a layer
    // Inputs and outputs, "INPUTS>OUTPUTS" with a letter for each: r is needed, o may be left out, and the last may be
    // * or +, any number of them, none or one at least. " OPSET:" before a further pair is where it begins to hold.
    const char *arity;
    // What it knows of attributes, "NAME=KIND NAME=KIND!": one of FP_ATTRIBUTE_KINDS or several, ! is needed. NULL:
    // none.
    const char *attributes;
};

// ---- for prepare and run

// For whatever may take long by itself: CANCELLED when the caller wants to stop, which is asked a few times a second.
int fp_context_stopped(struct fp_context *context, const struct fp_node *node, fineprune_error *err);

// An error that names the node first.
int fp_call_fail(struct fp_call *call, const char *format, ...) FP_PRINTF(2, 3);
// What to do about a node that computes as in training.
#define FP_TRAINING_HINT "export the model for inference; in PyTorch, after net.eval()"
// Sets type and dims of output i. Errors: rank, negative or overflowing dims.
int fp_out(struct fp_call *call, int i, enum fp_type type, int rank, const int64_t *dims);
// Output i has the type and shape of input j.
int fp_out_like(struct fp_call *call, int i, int j);
// Output i shares the memory of input j, with other dims (same count).
int fp_out_alias(struct fp_call *call, int i, int j, int rank, const int64_t *dims);
// Whether output i is there and has a name.
static inline bool fp_wanted(const struct fp_call *call, int i) { return i < call->n_out && call->node->out[i] >= 0; }
static inline bool fp_given(const struct fp_call *call, int i) { return i < call->n_in && call->in[i] != NULL; }
// Input i, its elements, and the elements of output i; NULL when it is left out.
static inline const struct fp_tensor *fp_input(const struct fp_call *call, int i) {
    if (!fp_given(call, i)) return NULL;
    return call->in[i];
}
static inline const void *fp_input_data(const struct fp_call *call, int i) {
    if (!fp_given(call, i)) return NULL;
    return call->in[i]->data;
}
static inline void *fp_output_data(const struct fp_call *call, int i) {
    if (i >= call->n_out) return NULL;
    return call->out[i].data;
}
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
// The element step along a dim: none where it is one and repeats.
static inline int64_t fp_step_along(int64_t dim, int64_t step) {
    if (dim == 1) return 0;
    return step;
}
// Row-major element strides.
void fp_strides(int rank, const int64_t *dims, int64_t *strides);
// The state, zeroed memory of `size`, made on first use and kept over later prepares; NULL when out of memory (the
// error is set).
void *fp_state(struct fp_call *call, size_t size);

#endif
