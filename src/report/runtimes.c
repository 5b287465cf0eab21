// SPDX-License-Identifier: Apache-2.0
// The runtimes, and which of a model's weights each of them computes faster or stores smaller for their zeros.
#include "report/runtimes.h"

#include <string.h>

#include "base/arena.h"

// ---- one rule for each

static const char *const out_of_shape = "channels are out of its shape";

static enum fp_gain judge_dense(const struct fp_gain_facts *f, const char **why) {
    *why = f->shrunk ? out_of_shape : "its kernels multiply by zeros like by any number";
    return f->shrunk ? FP_GAIN_FASTER : FP_GAIN_NEITHER;
}

#define UNPACKED_FROM 0.8

static enum fp_gain judge_openvino(const struct fp_gain_facts *f, const char **why) {
    const bool matrix = f->w->kind == FP_WEIGHT_RIGHT || f->w->kind == FP_WEIGHT_LEFT;
    if (f->shrunk || !f->quantized || !matrix || f->share < UNPACKED_FROM) return judge_dense(f, why);
    *why = "an int8 product with 80 % zeros or more: packed where CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE says so, on "
           "processors with AMX";
    return FP_GAIN_FASTER;
}

static enum fp_gain judge_xnnpack(const struct fp_gain_facts *f, const char **why) {
    const bool enough = 3 * f->products > 2;
    if (f->product && !f->quantized && enough) {
        *why = "products and 1x1 convolutions have more than two thirds zeros";
        return FP_GAIN_FASTER;
    }
    if (f->shrunk) return judge_dense(f, why);
    if (!f->product) *why = "only products and 1x1 convolutions have sparse kernels";
    else if (f->quantized) *why = "only float weights have sparse kernels";
    else *why = "products and 1x1 convolutions have no more than two thirds zeros together";
    return FP_GAIN_NEITHER;
}

// kept[1]: of four.
static enum fp_gain judge_tensorrt(const struct fp_gain_facts *f, const char **why) {
    if (f->zeros.zeros && f->zeros.kept[1] <= 2 && !f->quantized) {
        *why = "two of each four inputs are zero, as sparse tensor cores want them";
        return FP_GAIN_FASTER;
    }
    if (f->shrunk) return judge_dense(f, why);
    *why = "its zeros are not two of each four inputs";
    if (f->zeros.zeros && f->quantized) *why = "2:4 is not used between QuantizeLinear and DequantizeLinear";
    return FP_GAIN_NEITHER;
}

#define SKIPPED_FROM 0.75
#define STORED_FROM 0.5

static enum fp_gain judge_coreml(const struct fp_gain_facts *f, const char **why) {
    bool n_of_m = false;
    for (size_t i = 0; i + 1 < FP_NEIGHBOURS; i++) n_of_m |= f->zeros.kept[i] <= (size_t)1 << i; // m up to 16
    *why = NULL;
    if (f->share >= SKIPPED_FROM) *why = "75 % zeros or more: the Neural Engine skips those in a row";
    else if (f->share >= STORED_FROM && f->zeros.height % 2 == 0) *why = "zeros in blocks along its outputs";
    else if (f->share >= STORED_FROM && f->product && n_of_m) *why = "n:m zeros in a product: newer processors";
    if (*why) return FP_GAIN_FASTER;
    if (f->shrunk) return judge_dense(f, why);
    *why = f->share >= STORED_FROM ? "half zeros or more: stored as a bit mask and what is not zero"
                                   : "fewer than half of it is zero: it is stored dense";
    return f->share >= STORED_FROM ? FP_GAIN_SMALLER : FP_GAIN_NEITHER;
}

// ---- the rows

static const struct fp_runtime ort = {
    "ort", "ONNX Runtime: whole channels, out of the shapes", NULL, "first:share=1", 16, true, judge_dense,
    NULL,  "https://onnxruntime.ai/docs/performance/"};
static const struct fp_runtime openvino = {
    "openvino",
    "OpenVINO on a CPU: whole channels; int8 products with many zeros on AMX",
    NULL,
    "first:share=1",
    16,
    true,
    judge_openvino,
    NULL,
    "https://docs.openvino.ai/2025/api/c_cpp_api/group__ov__runtime__cpu__prop__cpp__api.html"};
static const struct fp_runtime xnnpack = {
    "xnnpack",
    "XNNPACK (LiteRT, ExecuTorch): more than 2/3 zeros in 1x1 convolutions and products, in pairs of outputs",
    "block:2x1",
    NULL,
    8,
    false,
    judge_xnnpack,
    "in a chain that begins with a 3x3 convolution of stride 2 over three channels and ends with a mean, stored "
    "sparse, on ARM, WebAssembly, Hexagon and RISC-V",
    "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/xnnpack/"
    "README.md#sparse-inference"};
static const struct fp_runtime tensorrt = {
    "tensorrt",
    "TensorRT: 2:4 along the inputs",
    "2:4",
    NULL,
    16,
    false,
    judge_tensorrt,
    "with --sparsity=enable, on GPUs with sparse tensor cores, where its timing finds that faster: wide layers",
    "https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/data-formats-tensors.html"};
static const struct fp_runtime coreml = {
    "coreml",
    "Core ML: blocks of two outputs, or 75 % zeros and more",
    "block:2x1",
    NULL,
    16,
    false,
    judge_coreml,
    "where the converter keeps the zeros (its pruning pipeline), mainly on the Neural Engine",
    "https://apple.github.io/coremltools/docs-guides/source/opt-pruning-perf.html"};

const struct fp_runtime *const fp_runtimes[] = {&ort, &openvino, &xnnpack, &tensorrt, &coreml, NULL};

const struct fp_runtime *fp_find_runtime(const char *name) {
    for (size_t i = 0; fp_runtimes[i]; i++)
        if (!strcmp(fp_runtimes[i]->name, name)) return fp_runtimes[i];
    return NULL;
}

bool fineprune_runtime_compacts(const char *name) {
    const struct fp_runtime *runtime = fp_find_runtime(name);
    return runtime && runtime->compacts;
}

// ---- the facts

// Elements of the weight before channels left its shape; 0: not known.
static size_t elements_before(const struct fineprune_report *report, const struct fp_weight *w, size_t number) {
    if (number >= report->layers.n) return 0;
    const struct fp_report_layer *layer = &report->layers.items[number];
    if (!layer->name || strcmp(layer->name, w->name)) return 0;
    return layer->params;
}

static int find_facts(const struct fineprune_report *report, const struct fp_weights *weights,
                      struct fp_gain_facts *facts, fineprune_error *err) {
    double elements = 0, zeros = 0;
    for (int i = 0; i < weights->n; i++) {
        const struct fp_weight *w = &weights->items[i];
        struct fp_gain_facts *f = &facts[i];
        int status = fp_zeros_of(weights->model, w, &f->zeros, err);
        if (status) return status;
        f->w = w;
        f->share = fp_report_sparsity(f->zeros.zeros, w->count);
        f->product = w->inner == 1 && w->kind != FP_WEIGHT_CONV_TRANSPOSE && w->groups == 1;
        f->quantized = w->sources->scale.data;
        f->shrunk = elements_before(report, w, (size_t)i) > w->count;
        elements += f->product ? (double)w->count : 0;
        zeros += f->product ? (double)f->zeros.zeros : 0;
    }
    for (int i = 0; i < weights->n && elements > 0; i++) facts[i].products = zeros / elements;
    return FINEPRUNE_OK;
}

int fp_runtime_report(struct fineprune_report *report, const struct fp_runtime *runtime, size_t multiple,
                      const char *set, const struct fp_weights *weights, fineprune_error *err) {
    static const char *const words[] = {"neither", "smaller", "faster"};
    struct fp_report_runtime told = {.profile = runtime->name,
                                     .set = set,
                                     .multiple = multiple,
                                     .condition = runtime->condition,
                                     .source = runtime->source};
    size_t *const counts[] = {&told.neither, &told.smaller, &told.faster};
    FP_STAGE(room, "the weights of a runtime");
    struct fp_gain_facts *facts = fp_arena_take(&room, (size_t)weights->n, sizeof(*facts));
    int status = fp_arena_check(&room, err);
    if (!status) status = find_facts(report, weights, facts, err);
    for (int i = 0; i < weights->n && !status; i++) {
        struct fp_report_gain gain = {.weight = weights->items[i].name, .part = weights->items[i].part};
        const enum fp_gain found = runtime->judge(&facts[i], &gain.why);
        gain.becomes = words[found];
        ++*counts[found];
        fp_report_add_gain(report, &told, &gain);
    }
    if (!status) FP_PUT(report, runtime, &told);
    return status;
}
