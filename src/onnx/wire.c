// SPDX-License-Identifier: Apache-2.0
// The scan of the wire format (https://protobuf.dev/programming-guides/encoding) that stands between a file and
// protobuf-c. A record is a varint tag (number << 3 | wire type) and a payload: 0 varint, 1 eight bytes, 2 length and
// bytes, 5 four bytes.
#include "onnx/wire.h"

#include <stdlib.h>
#include <string.h>

#include "onnx.pb-c.h"

#define UNKNOWN_FIELD 100 // bytes that protobuf-c spends to keep one

struct scan {
    const uint8_t *src;
    size_t size;
    uint8_t *out;
    size_t n, capacity;
    size_t parsed, parsed_limit; // bytes that the messages will take in memory
    struct fp_memory *memory;    // or NULL
    fineprune_error *err;
};

static bool read_varint(const uint8_t *src, size_t end, size_t *at, uint64_t *value) {
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (*at >= end) return false;
        uint8_t byte = src[(*at)++];
        if (shift < 64) v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = v;
            return true;
        }
    }
    return false;
}

static int emit(struct scan *s, const void *data, size_t size) {
    size_t need;
    if (!fp_add(s->n, size, &need)) return fp_fail_memory(s->err, "what is parsed", size);
    const bool allowed = !s->memory || need <= s->capacity || fp_memory_allows(s->memory, need);
    uint8_t *grown = allowed ? fp_grow(s->out, &s->capacity, need, 1) : NULL;
    if (!grown) return fp_fail_memory(s->err, "what is parsed", need);
    s->out = grown;
    memcpy(s->out + s->n, data, size);
    s->n += size;
    return FINEPRUNE_OK;
}

// A varint of five bytes whatever its value, so that it can be filled in later.
static void put_length(uint8_t *dst, size_t length) {
    for (int i = 0; i < 4; i++) dst[i] = (uint8_t)((length >> (7 * i) & 0x7f) | 0x80);
    dst[4] = (uint8_t)(length >> 28 & 0x7f);
}

static int damaged(struct scan *s, size_t at, const char *what) {
    return fp_fail(s->err, FINEPRUNE_MODEL, "not a valid ONNX file: %s at byte %zu of %zu", what, at, s->size);
}

static int count_parsed(struct scan *s, size_t bytes) {
    s->parsed += bytes;
    if (s->parsed <= s->parsed_limit) return FINEPRUNE_OK;
    return fp_fail(s->err, FINEPRUNE_LIMIT,
                   "the model holds so many small messages that parsing them would take over %zu MB",
                   s->parsed_limit / 1000000);
}

static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, size_t at, size_t end, int depth);

static bool is_raw_data(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    return type == &onnx__tensor_proto__descriptor && strcmp(field->name, "raw_data") == 0;
}

static int scan_submessage(struct scan *s, const ProtobufCFieldDescriptor *field, size_t tag_at, size_t at,
                           size_t length, int depth) {
    const ProtobufCMessageDescriptor *type = field->descriptor;
    int status = count_parsed(s, type->sizeof_message + sizeof(void *));
    if (status) return status;
    uint8_t room[5] = {0};
    size_t tag_end = tag_at;
    uint64_t ignored;
    read_varint(s->src, s->size, &tag_end, &ignored);
    status = emit(s, s->src + tag_at, tag_end - tag_at);
    size_t length_at = s->n;
    if (!status) status = emit(s, room, sizeof(room));
    if (!status) status = scan_message(s, type, at, at + length, depth + 1);
    if (status) return status;
    size_t written = s->n - length_at - sizeof(room);
    if (written >> 31) return damaged(s, tag_at, "a message over 2 GiB");
    put_length(s->out + length_at, written);
    return FINEPRUNE_OK;
}

// Texts for people, and values of keys, may be anything.
static bool is_name(const ProtobufCFieldDescriptor *field) {
    return field->type == PROTOBUF_C_TYPE_STRING && strcmp(field->name, "doc_string") && strcmp(field->name, "value");
}

// Whether a field of which there can be one comes again. seen: a bit for each field of the message.
static bool comes_again(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, uint64_t *seen) {
    const size_t index = (size_t)(field - type->fields);
    if (field->label == PROTOBUF_C_LABEL_REPEATED || index >= 64) return false;
    const bool again = *seen >> index & 1;
    *seen |= (uint64_t)1 << index;
    return again;
}

static int scan_bytes(struct scan *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                      size_t tag_at, size_t length_at, size_t at, size_t length, int depth) {
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) return scan_submessage(s, field, tag_at, at, length, depth);
    if (field && field->type == PROTOBUF_C_TYPE_STRING && memchr(s->src + at, 0, length))
        return damaged(s, at, "a name with a NUL byte");
    if (field && is_name(field) && !fp_is_utf8(s->src + at, length)) return damaged(s, at, "a name that is not UTF-8");
    if (field && is_raw_data(type, field)) {
        uint8_t token[9] = {8};
        for (int i = 0; i < 8; i++) token[1 + i] = (uint8_t)((uint64_t)length_at >> (8 * i));
        int status = emit(s, s->src + tag_at, length_at - tag_at);
        if (status) return status;
        return emit(s, token, sizeof(token));
    }
    int status = count_parsed(s, length + 24);
    if (status) return status;
    return emit(s, s->src + tag_at, at + length - tag_at);
}

static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, size_t at, size_t end, int depth) {
    if (depth > FP_WIRE_DEPTH)
        return fp_fail(s->err, FINEPRUNE_LIMIT, "the model nests messages deeper than %d levels", FP_WIRE_DEPTH);
    uint64_t seen = 0;
    while (at < end) {
        size_t tag_at = at;
        uint64_t tag, value;
        if (!read_varint(s->src, end, &at, &tag) || tag >> 35 || !(tag >> 3))
            return damaged(s, tag_at, "a broken field tag");
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        size_t payload = at;
        int status = FINEPRUNE_OK;
        if (!field) status = count_parsed(s, UNKNOWN_FIELD);
        if (status) return status;
        if (field && comes_again(type, field, &seen))
            return fp_fail(s->err, FINEPRUNE_MODEL, "the field '%s' comes twice in one message, again at byte %zu",
                           field->name, tag_at);
        switch (tag & 7) {
        case 0:
            if (!read_varint(s->src, end, &at, &value)) return damaged(s, tag_at, "a broken number");
            status = count_parsed(s, 8);
            break;
        case 1: at += 8; break;
        case 5: at += 4; break;
        case 2:
            if (!read_varint(s->src, end, &at, &value) || value > end - at)
                return damaged(s, tag_at, "a field that is longer than what holds it (truncated?)");
            status = scan_bytes(s, type, field, tag_at, payload, at, (size_t)value, depth);
            if (status) return status;
            at += (size_t)value;
            continue;
        default: return damaged(s, tag_at, "a field of unknown wire type");
        }
        if (at > end) return damaged(s, tag_at, "a field that ends behind its message");
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
            return damaged(s, tag_at, "a field of the wrong wire type");
        if (!status) status = emit(s, s->src + tag_at, at - tag_at);
        if (status) return status;
    }
    return FINEPRUNE_OK;
}

int fp_wire_compact(uint8_t **out, size_t *out_size, const ProtobufCMessageDescriptor *type, const uint8_t *src,
                    size_t size, struct fp_memory *memory, fineprune_error *err) {
    // Real models take about four times their graph's bytes when parsed; raw_data do not count.
    struct scan s = {.src = src, .size = size, .parsed_limit = 96u << 20, .memory = memory, .err = err};
    size_t room;
    if (fp_mul(size, 8, &room) && fp_add(s.parsed_limit, room, &room)) s.parsed_limit = room;
    int status = scan_message(&s, type, 0, size, 0);
    if (!status) status = emit(&s, "", 0);
    if (status) {
        free(s.out);
        return status;
    }
    *out = s.out;
    *out_size = s.n;
    return FINEPRUNE_OK;
}

size_t fp_wire_length(const uint8_t *src, size_t size, size_t offset, size_t *start) {
    uint64_t length = 0;
    *start = offset;
    if (offset >= size || !read_varint(src, size, start, &length)) return 0;
    return (size_t)length;
}

static int visit_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const ProtobufCMessageDescriptor *type, int (*visit)(ProtobufCMessage *, void *), void *user) {
    char *at = (char *)message + field->offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        ProtobufCMessage *child = *(ProtobufCMessage **)at;
        if (child) return fp_wire_visit(child, type, visit, user);
        return 0;
    }
    size_t n = *(size_t *)((char *)message + field->quantifier_offset);
    ProtobufCMessage **children = *(ProtobufCMessage ***)at;
    for (size_t i = 0; i < n; i++) {
        int result = fp_wire_visit(children[i], type, visit, user);
        if (result) return result;
    }
    return 0;
}

int fp_wire_visit(ProtobufCMessage *message, const ProtobufCMessageDescriptor *type,
                  int (*visit)(ProtobufCMessage *, void *), void *user) {
    if (message->descriptor == type) {
        int result = visit(message, user);
        if (result) return result;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        // A oneof's fields share their memory: only the one that its case names is there.
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
            *(uint32_t *)((char *)message + field->quantifier_offset) != field->id)
            continue;
        int result = visit_field(message, field, type, visit, user);
        if (result) return result;
    }
    return 0;
}
