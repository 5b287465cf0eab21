// SPDX-License-Identifier: Apache-2.0
// The first look at a parsed file. (onnx.proto: ModelProto, OperatorSetIdProto, TensorProto, SparseTensorProto)
#include "onnx/header.h"

#include <stdio.h>

#include "onnx.pb-c.h"
#include "onnx/wire.h"

#define OLDEST_IR 3
#define NEWEST_IR ONNX__VERSION__IR_VERSION
#define MOST_OPSET (1 << 20) // what is too new for this program is said with the operators

struct looking {
    struct fineprune_model *model;
    fineprune_error *err;
    size_t dense; // bytes of sparse tensors so far, zeros included
};

// ---- versions

static const char *domain_of(const Onnx__OperatorSetIdProto *import) {
    const char *domain = fp_or_empty(import->domain);
    if (!domain[0]) return "ai.onnx";
    return domain;
}

static int check_imports(const struct looking *l, Onnx__OperatorSetIdProto *const *imports, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *domain = domain_of(imports[i]);
        const long long version = (long long)imports[i]->version;
        if (version < 1 || version > MOST_OPSET)
            return fp_fail(l->err, FINEPRUNE_MODEL,
                           "'%.300s' imports version %lld of the operator set '%.200s'; 1 is the first", l->model->path,
                           version, domain);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(domain_of(imports[k]), domain))
                return fp_fail(l->err, FINEPRUNE_MODEL,
                               "'%.300s' imports the operator set '%.200s' twice, as version %lld and %lld",
                               l->model->path, domain, (long long)imports[k]->version, version);
    }
    return FINEPRUNE_OK;
}

static int check_versions(const struct looking *l) {
    const Onnx__ModelProto *proto = l->model->proto;
    if (!proto->has_ir_version || proto->ir_version < OLDEST_IR || proto->ir_version > NEWEST_IR)
        return fp_fail(l->err, FINEPRUNE_MODEL, "'%.300s' has IR version %lld; %d to %d can be read", l->model->path,
                       (long long)proto->ir_version, OLDEST_IR, NEWEST_IR);
    if (!proto->n_opset_import)
        return fp_fail(l->err, FINEPRUNE_MODEL, "'%.300s' names no operator set (opset_import is empty)",
                       l->model->path);
    int status = check_imports(l, proto->opset_import, proto->n_opset_import);
    for (size_t i = 0; i < proto->n_functions && !status; i++)
        status = check_imports(l, proto->functions[i]->opset_import, proto->functions[i]->n_opset_import);
    return status;
}

// ---- tensors

static int fail_tensor(const struct looking *l, const Onnx__TensorProto *t, const char *format, ...) FP_PRINTF(3, 4);
static int fail_tensor(const struct looking *l, const Onnx__TensorProto *t, const char *format, ...) {
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return fp_fail(l->err, FINEPRUNE_MODEL, "'%.300s': tensor '%.200s' %s", l->model->path, fp_initializer_name(t),
                   what);
}

static int check_external(const struct looking *l, const Onnx__TensorProto *t) {
    static const char *const keys[] = {"location", "offset", "length"};
    for (size_t k = 0; k < FP_COUNT(keys); k++) {
        const char *first = NULL;
        for (size_t i = 0; i < t->n_external_data; i++) {
            const Onnx__StringStringEntryProto *entry = t->external_data[i];
            if (strcmp(fp_or_empty(entry->key), keys[k])) continue;
            if (first)
                return fail_tensor(l, t, "has two external %ss, '%.60s' and '%.60s'", keys[k], first,
                                   fp_or_empty(entry->value));
            first = fp_or_empty(entry->value);
        }
    }
    return FINEPRUNE_OK;
}

// Elements stand in one field, or in another file.
static int check_tensor(ProtobufCMessage *message, void *user) {
    const struct looking *l = user;
    const Onnx__TensorProto *t = (const Onnx__TensorProto *)message;
    const struct {
        const char *name;
        size_t n;
    } places[] = {
        {"raw_data", t->has_raw_data ? 1 : 0},
        {"float_data", t->n_float_data},
        {"int32_data", t->n_int32_data},
        {"int64_data", t->n_int64_data},
        {"double_data", t->n_double_data},
        {"uint64_data", t->n_uint64_data},
        {"string_data", t->n_string_data},
        {"external data", t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL},
    };
    const char *found = NULL;
    if (t->segment) return fail_tensor(l, t, "is a segment of one, which is not supported");
    for (size_t i = 0; i < FP_COUNT(places); i++) {
        if (!places[i].n) continue;
        if (found) return fail_tensor(l, t, "has elements in both %s and %s", found, places[i].name);
        found = places[i].name;
    }
    return check_external(l, t);
}

// A few bytes can declare a tensor that is larger than the machine: what its zeros take is told before they are made.
static int check_claim(struct looking *l, const Onnx__SparseTensorProto *proto) {
    const struct fp_memory *memory = &l->model->memory;
    const size_t most = memory->limit ? memory->limit : fp_model_claims(l->model);
    size_t count, bytes;
    if (!fp_sparse_initializer_size(proto, &count) ||
        !fp_mul(count, fp_type_size((enum fp_type)proto->values->data_type), &bytes) ||
        !fp_add(l->dense, bytes, &l->dense))
        l->dense = PTRDIFF_MAX;
    if (l->dense <= most) return FINEPRUNE_OK;
    fp_fail(l->err, FINEPRUNE_LIMIT,
            "'%.300s': sparse tensor '%.200s' needs %.1f MB when its zeros are stored, limit %.1f MB", l->model->path,
            fp_initializer_name(proto->values), (double)l->dense / 1e6, (double)most / 1e6);
    fp_hint(l->err, "at least --max-memory %zuM is needed", (l->dense >> 20) + 1);
    return FINEPRUNE_LIMIT;
}

static int check_sparse(ProtobufCMessage *message, void *user) {
    struct looking *l = user;
    fineprune_error inner = {0};
    const Onnx__SparseTensorProto *proto = (const Onnx__SparseTensorProto *)message;
    const int status = fp_sparse_initializer_check(l->model, proto, &inner);
    if (status) return fp_fail(l->err, status, "'%.300s': %s", l->model->path, inner.message);
    return check_claim(l, proto);
}

int fp_header_check(struct fineprune_model *model, fineprune_error *err) {
    Onnx__ModelProto *proto = model->proto;
    struct looking l = {.model = model, .err = err};
    if (!proto->graph || (!proto->graph->n_node && !proto->graph->n_output))
        return fp_fail(err, FINEPRUNE_MODEL, "'%s' holds no graph: not an ONNX model, or only a part of one",
                       model->path);
    if (!proto->graph->n_output) return fp_fail(err, FINEPRUNE_MODEL, "'%s': its graph has no outputs", model->path);
    int status = check_versions(&l);
    if (!status) status = fp_wire_visit(&proto->base, &onnx__tensor_proto__descriptor, check_tensor, &l);
    if (!status) status = fp_wire_visit(&proto->base, &onnx__sparse_tensor_proto__descriptor, check_sparse, &l);
    return status;
}
