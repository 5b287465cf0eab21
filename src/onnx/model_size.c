// SPDX-License-Identifier: Apache-2.0
// How large a model is as a file, and how large once compressed. Deflating 100 MB takes longer than pruning them, so of
// larger models evenly spaced blocks are deflated, and the whole is estimated from them.
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mapping.h"
#include "onnx/model.h"
#include "onnx/wire.h"
#include "onnx.pb-c.h"

#define BLOCK ((size_t)32 << 10)      // deflate looks back no farther
#define WHOLE_UP_TO ((size_t)1 << 20) // smaller models are deflated whole
#define SAMPLE_AT_MOST ((size_t)4 << 20)
#define LEVEL 1

// The bytes of the file pass by; those of the blocks are copied. Block i of n lies in the middle of its n-th of the
// file.
struct sample {
    ProtobufCBuffer base;
    uint8_t *bytes;
    size_t n, block; // blocks, and bytes in each
    size_t size, at; // bytes of the file, and those that have passed
};

static size_t block_start(const struct sample *s, size_t i) {
    size_t share = s->size / s->n;
    return i * share + (share - s->block) / 2;
}

static void pass_by(struct sample *s, size_t size, const uint8_t *data) {
    size_t end = s->at + size, i = s->at / (s->size / s->n);
    for (i = i < s->n ? i : s->n - 1; i < s->n && block_start(s, i) < end; i++) {
        size_t start = block_start(s, i), stop = start + s->block;
        size_t from = start > s->at ? start : s->at, to = stop < end ? stop : end;
        if (from < to) memcpy(s->bytes + i * s->block + (from - start), data + (from - s->at), to - from);
    }
    s->at = end;
}

static void sample_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data) {
    pass_by((struct sample *)buffer, size, data);
}

// Tensors that lie outside the file; those that have become ours since are in the message.
struct outside {
    struct fineprune_model *model;
    struct sample *sample; // that they pass by, or NULL
    size_t size;
};

static int add_outside(ProtobufCMessage *message, void *user) {
    struct outside *o = user;
    const uint8_t *bytes;
    size_t size, all;
    if (!fp_initializer_outside(o->model, (Onnx__TensorProto *)message, &bytes, &size)) return 0;
    if (fp_add(o->size, size, &all)) o->size = all;
    if (o->sample && bytes) pass_by(o->sample, size, bytes);
    return 0;
}

static size_t visit_outside(const struct fineprune_model *model, struct sample *sample) {
    struct outside o = {.model = (struct fineprune_model *)model, .sample = sample};
    fp_wire_visit(&model->proto->base, &onnx__tensor_proto__descriptor, add_outside, &o);
    return o.size;
}

size_t fp_model_bytes(const struct fineprune_model *model) {
    return protobuf_c_message_get_packed_size(&model->proto->base) + visit_outside(model, NULL);
}

size_t fp_model_files(const struct fineprune_model *model) {
    size_t size = model->file_size, all;
    for (const struct fp_mapping *m = model->mappings; m; m = m->next)
        if (m->location && fp_add(size, m->size, &all)) size = all;
    return size;
}

static void choose_blocks(struct sample *s) {
    s->n = 1, s->block = s->size;
    if (s->size <= WHOLE_UP_TO) return;
    size_t wanted = s->size / 16 < WHOLE_UP_TO      ? WHOLE_UP_TO
                    : s->size / 16 > SAMPLE_AT_MOST ? SAMPLE_AT_MOST
                                                    : s->size / 16;
    s->n = wanted / BLOCK, s->block = BLOCK;
}

// The blocks are deflated each by itself, so that the sum does not depend on the threads.
static bool deflate_blocks(const struct sample *s, size_t *sum, int threads) {
    size_t total = 0;
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total, failed) if (s -> n > 1)
    {
        size_t room = compressBound(s->block);
        uint8_t *out = malloc(room);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < s->n; i++) {
            uLongf length = room;
            if (out && compress2(out, &length, s->bytes + i * s->block, s->block, LEVEL) == Z_OK) total += length;
            else failed++;
        }
        free(out);
    }
    *sum = total;
    return !failed;
}

int fp_model_sizes(const struct fineprune_model *model, int threads, struct fp_model_size *out, fineprune_error *err) {
    struct sample s = {.base = {.append = sample_append}, .size = fp_model_bytes(model)};
    choose_blocks(&s);
    s.bytes = malloc(s.n * s.block);
    if (!s.bytes) return fp_fail_memory(err, "a sample of the model", s.n * s.block);
    protobuf_c_message_pack_to_buffer(&model->proto->base, &s.base);
    visit_outside(model, &s);
    size_t deflated;
    bool done = deflate_blocks(&s, &deflated, threads);
    free(s.bytes);
    if (!done) return fp_fail_memory(err, "deflate", s.block);
    bool estimated = s.n > 1;
    if (estimated) deflated = (size_t)((double)deflated / (double)(s.n * s.block) * (double)s.size);
    *out = (struct fp_model_size){.raw = s.size, .deflated = deflated, .estimated = estimated};
    return FINEPRUNE_OK;
}
