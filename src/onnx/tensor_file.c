// SPDX-License-Identifier: Apache-2.0
// Reading a .pb file that holds one TensorProto.
#include "onnx/tensor_file.h"

#include <stdlib.h>

#include "base/mapping.h"
#include "onnx.pb-c.h"
#include "onnx/wire.h"

// The compact message has the place of raw_data in the file instead of the bytes; points it there.
static void point_into_file(Onnx__TensorProto *proto, const struct fp_mapping *file) {
    if (!proto->has_raw_data || proto->raw_data.len != 8) return;
    uint64_t offset = 0;
    size_t start;
    for (int i = 0; i < 8; i++) offset |= (uint64_t)proto->raw_data.data[i] << 8 * i;
    proto->raw_data.len = fp_wire_length(file->data, file->size, (size_t)offset, &start);
    proto->raw_data.data = file->data + start;
}

static int load(struct fp_tensor *out, char **name, Onnx__TensorProto *proto, struct fp_memory *memory,
                fineprune_error *err) {
    if (proto->has_data_location && proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return fp_fail(err, FINEPRUNE_DATA, "its elements lie in another file");
    struct fineprune_model nowhere = {.path = (char[]){""}, .folder = (char[]){""}};
    struct fp_tensor lent = {0};
    if (memory->limit) nowhere.memory.limit = fp_most(fp_memory_left(memory), 1);
    int status = fp_initializer_outline(&nowhere, proto, &lent, err); // raw ones are copied from where they lie
    if (!status) status = fp_tensor_copy(out, memory, &lent, err);
    fp_tensor_done(&lent);
    fp_memory_trim(&nowhere.memory);
    if (nowhere.memory.refused) (void)fp_memory_allows(memory, nowhere.memory.refused); // for the hint
    if (status) *name = NULL;
    else *name = strdup(fp_initializer_name(proto));
    if (status || *name) return status;
    fp_tensor_done(out);
    return fp_fail_memory(err, "a name", strlen(fp_initializer_name(proto)));
}

static int parse(struct fp_tensor *out, char **name, const struct fp_mapping *file, struct fp_memory *memory,
                 fineprune_error *err) {
    uint8_t *compact;
    size_t size;
    int status = fp_wire_compact(&compact, &size, &onnx__tensor_proto__descriptor, file->data, file->size, memory, err);
    if (status) return status;
    const size_t refused = memory->refused;
    ProtobufCAllocator allocator;
    fp_budget_allocator(&allocator, memory);
    memory->failed = false;
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(&allocator, size, compact);
    if (proto) {
        uint8_t *own = proto->raw_data.data;
        point_into_file(proto, file);
        status = load(out, name, proto, memory, err);
        proto->raw_data.data = own;
        onnx__tensor_proto__free_unpacked(proto, &allocator);
    } else if (memory->failed || memory->refused > refused) {
        status = fp_fail_memory(err, "its tensor", size);
    } else {
        status = fp_fail(err, FINEPRUNE_DATA, "not a TensorProto");
    }
    free(compact);
    return status;
}

int fp_tensor_file_read(struct fp_tensor *out, char **name, const char *path, struct fp_memory *memory,
                        fineprune_error *err) {
    struct fp_mapping *file;
    int status = fp_mapping_open(&file, path, err);
    if (status) return status;
    fineprune_error inner = {0};
    struct fp_memory own = {0};
    if (!memory) memory = &own;
    *out = (struct fp_tensor){0};
    if (file->size) status = parse(out, name, file, memory, &inner);
    else status = fp_fail(&inner, FINEPRUNE_DATA, "the file is empty");
    fp_mapping_free(file);
    if (!status) return FINEPRUNE_OK;
    if (status == FINEPRUNE_MODEL) status = FINEPRUNE_DATA;
    fp_fail(err, status, "'%s': %s", path, inner.message);
    if (inner.hint[0]) fp_hint(err, "%s", inner.hint);
    return status;
}
