// SPDX-License-Identifier: Apache-2.0
// The wire format of protobuf, looked at before protobuf-c does: protobuf-c 1.4 has no limit of nesting, turns empty
// messages into hundreds of bytes each and cuts strings at a NUL.
#ifndef FP_WIRE_H
#define FP_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"

#define FP_WIRE_DEPTH 128

// Copies the message in src (of that type) to *out without the contents of the field `raw_data` of TensorProto: each is
// replaced by 8 bytes, the offset of its length-prefixed contents in src, little endian. Checks on the way: nesting to
// FP_WIRE_DEPTH, lengths, wire types, NUL inside strings, and that the parsed messages stay in proportion to the file.
// *out is malloc'ed, and never larger than `memory` (may be NULL) has room for. Errors: MODEL, LIMIT.
int fp_wire_compact(uint8_t **out, size_t *out_size, const ProtobufCMessageDescriptor *type, const uint8_t *src,
                    size_t size, struct fp_memory *memory, fineprune_error *err);
// Reads the length prefix at `offset` (which fp_wire_compact has checked); *start is where the contents begin.
size_t fp_wire_length(const uint8_t *src, size_t size, size_t offset, size_t *start);
// Calls visit for every message of the given type below (and including) `message`.
int fp_wire_visit(ProtobufCMessage *message, const ProtobufCMessageDescriptor *type,
                  int (*visit)(ProtobufCMessage *, void *), void *user);

#endif
