// SPDX-License-Identifier: Apache-2.0
// The ONNX file: reading it safely, the bytes of its initializers, writing it whole. With graph.c and attribute.c the
// only place that knows protobuf-c; the message types stay opaque in this header.
#ifndef FP_MODEL_H
#define FP_MODEL_H

#include "base/name_map.h"
#include "tensor/tensor.h"

typedef struct Onnx__ModelProto Onnx__ModelProto;
typedef struct Onnx__TensorProto Onnx__TensorProto;
typedef struct Onnx__SparseTensorProto Onnx__SparseTensorProto;
typedef struct Onnx__NodeProto Onnx__NodeProto;
typedef struct Onnx__GraphProto Onnx__GraphProto;

struct fp_graph;
struct ProtobufCAllocator;

struct fineprune_model {
    Onnx__ModelProto *proto;
    char *path;    // as given; "" for a model from memory
    char *folder;  // where external data may lie
    char *scratch; // where changes of large models may lie, or NULL
    size_t file_size;
    char sha256[65]; // of the file, hex; filled by fp_model_sha256 on first use
    struct fp_memory memory;
    struct fp_graph *graph;      // the view of the main graph (graph.h), built once on open; always set
    struct fp_mapping *mappings; // mapped files, unmapped on free
    struct fp_masks *masks;      // of the last pruning (masks.h), or NULL
    struct fp_tensor *sample;    // inputs of a run that multiply-adds were counted in (weights/multiply_adds.h); NULL
    int n_sample;
    struct fp_name_map was_sparse; // by address, dense initializers that came as sparse ones, with their places among
                                   // these; where that is smaller they are written so again
    Onnx__TensorProto **dropped;   // of `was_sparse`, out of the graph; here so that nothing new gets their address
    size_t n_dropped;
    struct fp_name_map value_names; // of all graphs, in their memory; filled when a new name is asked for, empty again
                                    // once messages are freed
    void *allocator;                // budgeted ProtobufCAllocator
};

// The tensor of an initializer or attribute, whatever field of the message or external file holds its elements. Raw and
// external data are lent (valid until the initializer is stored to or the model freed), others converted into memory of
// their own. Errors: MODEL (name, type, dims and byte counts do not fit, or external data lie outside the folder or the
// file), IO, LIMIT.
int fp_initializer_load(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                        fineprune_error *err);
// The same for who does not look at elements: raw and external data are lent wherever they lie, aligned or not.
int fp_initializer_outline(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                           fineprune_error *err);
// The same checks; type and shape alone, without elements (nothing to release). *identity (may be NULL) is equal for
// tensors that share their stored bytes.
int fp_initializer_shape(struct fineprune_model *model, const Onnx__TensorProto *proto, struct fp_tensor *out,
                         const void **identity, fineprune_error *err);
// Whether the elements lie in an external file, and there: lent as they are stored, NULL of an empty file.
bool fp_initializer_outside(struct fineprune_model *model, const Onnx__TensorProto *proto, const uint8_t **bytes,
                            size_t *size);
// Zeros among the stored float32 elements, counted where they lie. False where they must be loaded to be looked at.
bool fp_initializer_zeros(struct fineprune_model *model, const Onnx__TensorProto *proto, size_t *zeros);
int fp_sparse_initializer_load(struct fineprune_model *model, const Onnx__SparseTensorProto *proto,
                               struct fp_tensor *out, fineprune_error *err);
// That its indices are within its shape, in ascending order and each there once. External ones are looked at when they
// are loaded. Errors: MODEL, naming the tensor.
int fp_sparse_initializer_check(struct fineprune_model *model, const Onnx__SparseTensorProto *proto,
                                fineprune_error *err);
// How many elements the whole tensor has, zeros included; false when its dims are not those of a tensor.
bool fp_sparse_initializer_size(const Onnx__SparseTensorProto *proto, size_t *count);
// Puts the elements of `t` (same type and count as the message) into the same field they came from; everything else in
// the message stays. External data become memory of ours first, and go back to an external file on writing.
int fp_initializer_store(struct fineprune_model *model, Onnx__TensorProto *proto, const struct fp_tensor *t,
                         fineprune_error *err);
// The stored elements are not needed soon: of a large model they need not stay in memory.
void fp_initializer_drop(struct fineprune_model *model, const Onnx__TensorProto *proto);
const char *fp_initializer_name(const Onnx__TensorProto *proto);
// protobuf-c's allocator within a budget. protobuf-c does not tell why it failed: memory->failed and ->refused do.
void fp_budget_allocator(struct ProtobufCAllocator *out, struct fp_memory *memory);

// fineprune_model_open, but for what operators ask of their nodes (exec/signature.h). bytes not NULL: of these in
// memory, and path may be NULL, as fineprune_model_read has it.
int fp_model_open(struct fineprune_model **out, const char *path, const void *bytes, size_t size,
                  const fineprune_run_options *options, fineprune_error *err);
// How many bytes its constants may take that it declares but does not hold, where no limit is set.
size_t fp_model_claims(const struct fineprune_model *model);
// Whether it can be opened again by its path.
bool fp_model_lies_in_file(const struct fineprune_model *model);
void fp_model_drop_sample(struct fineprune_model *model);
// Sets (or replaces) a metadata_props entry.
int fp_model_set_metadata(struct fineprune_model *model, const char *key, const char *value, fineprune_error *err);
const char *fp_model_metadata(const struct fineprune_model *model, const char *key); // NULL when absent
// Adds an initializer (before IR 4 an input of the graph too) to the main graph under a name that no value has.
// *name_out is lent by the message.
int fp_model_add_tensor(struct fineprune_model *model, const char *base_name, const struct fp_tensor *t,
                        const char **name_out, fineprune_error *err);
// A sparse initializer of the main graph, by its value, becomes a dense one of the same elements, in memory of ours,
// until it is written. What was loaded of it before stays as it is. Errors: as fp_sparse_initializer_load.
int fp_model_make_dense(struct fineprune_model *model, int value, fineprune_error *err);
// Nodes and initializers of the main graph that nothing reads leave it. Initializers that are inputs too stay.
struct fp_unread {
    Onnx__NodeProto **nodes;
    Onnx__TensorProto **tensors;
    size_t n_nodes, n_tensors;
};
void fp_model_drop_unread(struct fineprune_model *model, const struct fp_unread *unread);
// Makes `name` input `index` of the node (inputs between are left out with "").
int fp_node_set_input(struct fineprune_model *model, Onnx__NodeProto *node, size_t index, const char *name,
                      fineprune_error *err);
// Both. For operators with an optional bias.
int fp_node_add_input(struct fineprune_model *model, Onnx__NodeProto *node, size_t index, const char *base_name,
                      const struct fp_tensor *t, const char **name_out, fineprune_error *err);
// Adds the tensor of that name to what the node of the main graph gives, by a new node behind it of the operator
// `type`, which adds.
int fp_node_add_sum(struct fineprune_model *model, Onnx__NodeProto *node, const char *type, const char *tensor,
                    fineprune_error *err);
// Keeps the slices along an axis whose keep[] is not 0 (as many as the axis is long) of a tensor: its dims and its
// elements, in whatever field or file they lie. External data become memory of ours.
int fp_initializer_keep_slices(struct fineprune_model *model, Onnx__TensorProto *proto, int axis, const uint8_t *keep,
                               fineprune_error *err);
// Takes out an attribute, where the node has it.
void fp_node_drop_attribute(struct fineprune_model *model, Onnx__NodeProto *node, const char *name);
// An integer attribute that the node has becomes another, or element `index` of one of integers. Errors: INTERNAL when
// it has none.
int fp_node_set_int(Onnx__NodeProto *node, const char *name, size_t index, int64_t value, fineprune_error *err);
// What the main graph declares of the dims of that value (as an input or between nodes), where it does.
void fp_model_declare_dim(struct fineprune_model *model, const char *value, int axis, int64_t dim);
// Builds model->graph anew after changes of shapes or nodes: all that points into the old view is invalid.
int fp_model_view(struct fineprune_model *model, fineprune_error *err);
const char *fp_model_sha256(struct fineprune_model *model);
const char *fp_model_producer(const struct fineprune_model *model); // never NULL
int64_t fp_model_ir_version(const struct fineprune_model *model);
// Version of an imported operator set, 0 when it is not imported. "" and "ai.onnx" are the same.
int fp_model_opset(const struct fineprune_model *model, const char *domain);
// Size of the model file (with its external data) as it would be written now, and of that file deflated at zlib's level
// 1; over 1 MB the latter is estimated from a sample. The same with any number of threads.
struct fp_model_size {
    size_t raw, deflated;
    bool estimated;
};
int fp_model_sizes(const struct fineprune_model *model, int threads, struct fp_model_size *out, fineprune_error *err);
size_t fp_model_bytes(const struct fineprune_model *model); // `raw` alone
// Of the files that the model came in: its own and those with external data that are opened by now.
size_t fp_model_files(const struct fineprune_model *model);

#endif
