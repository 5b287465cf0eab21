// SPDX-License-Identifier: Apache-2.0
// Cast, CastLike, BitCast: the same elements as another type.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/families.h"
#include "ops/loops.h"
#include "tensor/narrow.h"

// ---- text

// The shortest decimal that reads back as the same number.
static char *number_text(double value, bool is_float32) {
    if (isnan(value)) return fp_format("NaN");
    if (isinf(value)) return fp_format(value > 0 ? "INF" : "-INF");
    for (int digits = 1; digits < 17; digits++) {
        char *text = fp_format("%.*g", digits, value);
        if (!text) return NULL;
        double back = strtod(text, NULL);
        if (is_float32 ? (float)back == (float)value : back == value) return text;
        free(text);
    }
    return fp_format("%.17g", value);
}

static char *element_text(const struct fp_tensor *t, size_t i) {
    const char *at = (const char *)t->data + i * fp_type_size(t->type);
    if (t->type == FP_UINT64) {
        uint64_t value;
        memcpy(&value, at, sizeof(value));
        return fp_format("%llu", (unsigned long long)value);
    }
    if (fp_type_is_integer(t->type) || t->type == FP_BOOL) {
        int64_t value;
        fp_convert(&value, FP_INT64, at, t->type, 1);
        return fp_format("%lld", (long long)value);
    }
    double value;
    fp_convert_all(&value, FP_DOUBLE, at, t->type, 1, true, FP_ROUND_UP);
    return number_text(value, t->type != FP_DOUBLE);
}

static int to_text(struct fp_call *call) {
    char **dst = call->out[0].data;
    for (size_t i = 0; i < call->in[0]->count; i++) {
        dst[i] = element_text(call->in[0], i);
        if (!dst[i]) return fp_fail_memory(call->err, "text", 32);
    }
    return FINEPRUNE_OK;
}

static int from_text(struct fp_call *call) {
    char *const *src = call->in[0]->data;
    struct fp_tensor *out = &call->out[0];
    size_t size = fp_type_size(out->type);
    bool integers = fp_type_is_integer(out->type);
    for (size_t i = 0; i < call->in[0]->count; i++) {
        char *end = NULL, shown[80];
        errno = 0;
        int64_t whole = 0;
        if (integers && out->type == FP_UINT64) whole = (int64_t)strtoull(src[i], &end, 10);
        else if (integers) whole = strtoll(src[i], &end, 10);
        bool is_whole = integers && end != src[i] && *end == 0 && errno == 0;
        double value = 0;
        if (!is_whole) value = strtod(src[i], &end);
        if (end == src[i] || *end)
            return fp_call_fail(call, "\"%s\" is not a number", fp_escape(shown, sizeof(shown), src[i]));
        char *dst = (char *)out->data + i * size;
        if (is_whole) fp_convert(dst, out->type, &whole, FP_INT64, 1);
        else fp_convert_all(dst, out->type, &value, FP_DOUBLE, 1, true, FP_ROUND_UP);
    }
    return FINEPRUNE_OK;
}

// ---- Cast

static bool is_numeric(enum fp_type type) {
    return fp_type_is_float(type) || fp_type_is_integer(type) || type == FP_BOOL || fp_is_narrow(type);
}

struct cast {
    bool saturate;
    enum fp_rounding rounding;
    enum fp_type from, to;
    const char *src;
    char *dst;
};

static int prepare_to(struct fp_call *call, enum fp_type to) {
    enum fp_type from = call->in[0]->type;
    if (!(is_numeric(from) || from == FP_STRING) || !(is_numeric(to) || to == FP_STRING))
        return fp_call_fail(call, "from %s to %s is not supported", fp_type_name(from), fp_type_name(to));
    struct cast *s = fp_state(call, sizeof(*s));
    if (!s) return FINEPRUNE_LIMIT;
    const char *rounding = fp_attr_text(call->node, "round_mode", "up");
    *s = (struct cast){.saturate = fp_attr_int(call->node, "saturate", 1) != 0, .from = from, .to = to};
    s->rounding = FP_ROUND_UP;
    if (!strcmp(rounding, "down")) s->rounding = FP_ROUND_DOWN;
    else if (!strcmp(rounding, "nearest")) s->rounding = FP_ROUND_NEAREST;
    if (from == to) return fp_out_alias(call, 0, 0, call->in[0]->rank, call->in[0]->dims);
    return fp_out(call, 0, to, call->in[0]->rank, call->in[0]->dims);
}

static int prepare_cast(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    return prepare_to(call, (enum fp_type)fp_attr_int(call->node, "to", FP_NONE));
}

static int prepare_cast_like(struct fp_call *call) {
    int status = fp_need(call, 2);
    if (status) return status;
    return prepare_to(call, call->in[1]->type);
}

static void cast_piece(void *user, size_t begin, size_t end) {
    const struct cast *s = user;
    fp_convert_all(s->dst + begin * fp_type_size(s->to), s->to, s->src + begin * fp_type_size(s->from), s->from,
                   end - begin, s->saturate, s->rounding);
}

static int run_cast(struct fp_call *call) {
    struct cast *s = call->state;
    const struct fp_tensor *x = call->in[0];
    if (s->from == s->to) return FINEPRUNE_OK;
    if (s->to == FP_STRING) return to_text(call);
    if (s->from == FP_STRING) return from_text(call);
    s->src = x->data;
    s->dst = call->out[0].data;
    fp_pieces(fp_threads_for(call, x->count, 32768), x->count, 8192, cast_piece, s);
    return FINEPRUNE_OK;
}

// ---- BitCast

static size_t bits_of(enum fp_type type) { return 8 * fp_type_size(type) / (size_t)fp_per_byte(type); }

static int prepare_bit_cast(struct fp_call *call) {
    int status = fp_need(call, 1);
    if (status) return status;
    enum fp_type from = call->in[0]->type, to = (enum fp_type)fp_attr_int(call->node, "to", FP_NONE);
    if (!bits_of(from) || bits_of(from) != bits_of(to))
        return fp_call_fail(call, "%s and %s differ in width", fp_type_name(from), fp_type_name(to));
    if (fp_per_byte(from) > 1) return fp_out(call, 0, to, call->in[0]->rank, call->in[0]->dims);
    status = fp_out_alias(call, 0, 0, call->in[0]->rank, call->in[0]->dims);
    if (!status) call->out[0].type = to;
    return status;
}

static int run_bit_cast(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0], *out = &call->out[0];
    if (fp_per_byte(x->type) == 1) return FINEPRUNE_OK;
    uint8_t packed[FP_CHUNK];
    for (size_t i = 0; i < x->count; i += FP_CHUNK) {
        size_t n = fp_least(x->count - i, FP_CHUNK);
        fp_pack(packed, (const char *)x->data + i, n, x->type);
        fp_unpack((char *)out->data + i, packed, n, out->type);
    }
    return FINEPRUNE_OK;
}

const struct fp_op fp_ops_cast[] = {
    {"", "Cast", 6, prepare_cast, run_cast, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_CASTS, .arity = "r>r",
     .attributes = "round_mode=s saturate=i to=i!"},
    {"", "CastLike", 15, prepare_cast_like, run_cast, NULL, FP_OP_ANY_KIND | FP_OP_ROUNDS, .role = FP_ROLE_CASTS_LIKE,
     .arity = "rr>r", .attributes = "round_mode=s saturate=i"},
    {"", "BitCast", 26, prepare_bit_cast, run_bit_cast, NULL, FP_OP_ROUNDS, .arity = "r>r", .attributes = "to=i!"},
    {0},
};
