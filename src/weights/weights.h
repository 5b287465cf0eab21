// SPDX-License-Identifier: Apache-2.0
// What can be pruned: the constant operands of the layers, found wherever an exporter put them, and shown to the passes
// as plain matrices.
#ifndef FP_WEIGHTS_H
#define FP_WEIGHTS_H

#include "exec/exec.h"
#include "base/name_map.h"

// How the matrix meets its input (src/stats/columns.h).
enum fp_weight_kind {
    FP_WEIGHT_RIGHT,          // y = x W: the input's last axis are the columns
    FP_WEIGHT_LEFT,           // y = W x: the input's last but one axis are the columns
    FP_WEIGHT_CONV,           // im2col columns: channel of the group, then kernel position
    FP_WEIGHT_CONV_TRANSPOSE, // the same with the input spread out by the stride
};

// One stored tensor that a weight's elements come from; a Concat of constants has several.
struct fp_source {
    Onnx__TensorProto *proto;
    const char *name;
    const struct fp_graph *graph; // where it is a value
    int value;
    const void *identity; // equal for tensors that share their bytes
    enum fp_type type;
    int rank;
    int64_t dims[FP_MAX_RANK];
    size_t count, base;           // base: number of its first element among all sources'
    struct fp_tensor scale, zero; // of a quantized tensor, float32 and int32, one an element; else empty
};

struct fp_weight_use {
    const struct fp_node *node;
    int slot; // input of the node
};

enum fp_bias_kind {
    FP_BIAS_NONE,
    FP_BIAS_INPUT,     // the operator's own bias
    FP_BIAS_SUM,       // a constant of an Add or Sub behind it
    FP_BIAS_NORM,      // the mean of a BatchNormalization behind it
    FP_BIAS_NEW_INPUT, // the operator's, left out as yet
    FP_BIAS_NEW_SUM,   // of an Add that can be put behind it
};

// Where what a row loses can be added as a constant (bias.h): an element of it is sign times what the row adds.
struct fp_bias {
    Onnx__TensorProto *proto; // its (first) stored tensor; NULL: there is no such place as yet
    struct fp_weight *view;   // the same as a matrix of groups x rows x 1
    enum fp_bias_kind kind;
    double sign;
    struct fp_tensor
        own; // without proto: the constant that fp_weights_add_biases would add to write it; empty: it cannot be
    const char *reason; // static text, why not
};

// A weight as a matrix of groups x rows x cols: rows are outputs, columns inputs, each group has its own columns (group
// g of a grouped convolution, direction g of an LSTM, product g of a batched MatMul). Element (g, r, c) is element
// first + g * group_stride + r * row_stride + c / inner * col_stride + c % inner of the operand.
struct fp_weight {
    const char *name; // of the (first) stored tensor
    char *part;       // which part of it, "[:, 0:64]"; NULL when it is the whole tensor
    const char *op;
    enum fp_weight_view view; // as the operator's row has it
    const struct fp_node *node;
    enum fp_weight_kind kind;
    int rank;
    int64_t dims[FP_MAX_RANK]; // of the operand
    size_t groups, rows, cols;
    size_t first, group_stride, row_stride, col_stride, inner; // first: 0 but for the second half of a recurrent bias
    size_t count;
    int n_sources;
    struct fp_source *sources;
    struct fp_tensor map; // int64: number of the source element behind each operand element; empty: the same number
    int n_uses;
    struct fp_weight_use *uses;
    struct fp_bias bias;
    double *factor, *shift; // groups * rows, NULL: as stored. Else rows and bias are read and written as factor * row,
                            // factor * bias + shift
    bool repairable;        // the input that the statistics see is what the rows are multiplied with
};

struct fp_skipped {
    char *name, *part;  // as a weight's
    char *key;          // both together
    const char *reason; // static text
    size_t count;
};

struct fp_weights {
    struct fineprune_model *model;
    int n, n_skipped;
    struct fp_weight *items;
    struct fp_skipped *skipped;
    struct fp_name_map skipped_names; // keys; number in `skipped`
};

// Finds all weights of the model in the order of their first use, and all other constants of rank 2 and more with the
// reason why they stay. `depthwise`: take the kernels of depthwise convolutions too. Errors: MODEL, LIMIT.
int fp_weights_find(struct fp_weights **out, struct fp_exec *exec, struct fineprune_model *model, bool depthwise,
                    fineprune_error *err);
void fp_weights_free(struct fp_weights *weights);
// Takes item i out of the list into the skipped ones, with every tensor that it is made of.
int fp_weights_skip(struct fp_weights *weights, int i, const char *reason, fineprune_error *err);

// That no element of the weights and of their biases is NaN or infinite. Errors: MODEL, naming the file, the tensor and
// the element.
int fp_weights_check_finite(const struct fp_weights *weights, fineprune_error *err);
// The matrix as float32, groups x rows x cols row-major, into dst (w->count floats).
int fp_weight_read(struct fineprune_model *model, const struct fp_weight *w, float *dst, fineprune_error *err);
// How many of its elements are zero (the zero point of a quantized tensor) as they are stored.
int fp_weight_zeros(struct fineprune_model *model, const struct fp_weight *w, size_t *zeros, fineprune_error *err);
// Stores the matrix: elements whose keep[] is 0 become zero (the zero point of a quantized tensor), others are rounded
// once to the stored type. keep may be NULL.
int fp_weight_write(struct fineprune_model *model, const struct fp_weight *w, const float *src, const uint8_t *keep,
                    fineprune_error *err);
// Stores dense[g * rows + r] + change[g * rows + r] as the bias. Nothing happens when there is no bias.
int fp_weight_set_bias(struct fineprune_model *model, const struct fp_weight *w, const double *change,
                       const float *dense, fineprune_error *err);
// Makes each change what it would be once it is stored: on the grid of a quantized bias, within its ends; 0 when there
// is no bias.
int fp_weight_round_bias(struct fineprune_model *model, const struct fp_weight *w, double *change, const float *dense,
                         fineprune_error *err);
// The bias as float32, groups * rows; zeros when there is none.
int fp_weight_read_bias(struct fineprune_model *model, const struct fp_weight *w, float *dst, fineprune_error *err);
// Gives every weight that can be repaired a bias that can be written, where it has none and one can be made: an
// optional input, a copy of a shared constant, an Add. *added counts them; when it is not 0, free the weights and
// executors and call fp_model_refresh.
int fp_weights_add_biases(struct fp_weights *weights, int *added, fineprune_error *err);
// Builds the model's graph view anew. Weights and executors of before must be gone.
int fp_model_refresh(struct fineprune_model *model, fineprune_error *err);
// Records which elements are kept, by tensor, with the model (fineprune_masks_save).
int fp_weights_record_masks(struct fp_weights *weights, fineprune_error *err);

#endif
