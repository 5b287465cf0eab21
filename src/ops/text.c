// SPDX-License-Identifier: Apache-2.0
// Operators on strings: StringConcat, StringSplit, StringNormalizer.
#include "ops/move.h"

#include <ctype.h>
#include <stdlib.h>

static int need_strings(struct fp_call *call, int n) {
    int status = fp_need_tensors(call, n);
    for (int i = 0; i < n && !status; i++)
        if (call->in[i]->type != FP_STRING)
            status = fp_call_fail(call, "input %d is %s, not strings", i, fp_type_name(call->in[i]->type));
    return status;
}

// Moves the text, which may be NULL when there was no memory, to an element of an output.
static int put_text(struct fp_call *call, struct fp_tensor *y, size_t at, char *text) {
    if (!text) return fp_fail_memory(call->err, "text", 1);
    free(((char **)y->data)[at]);
    ((char **)y->data)[at] = text;
    return FINEPRUNE_OK;
}

// ---- StringConcat

static int prepare_concat(struct fp_call *call) {
    int64_t dims[FP_MAX_RANK];
    int rank, status = need_strings(call, 2);
    if (!status) status = fp_broadcast(call, call->in[0], call->in[1], &rank, dims);
    if (status) return status;
    return fp_out(call, 0, FP_STRING, rank, dims);
}

static int run_concat(struct fp_call *call) {
    struct fp_tensor *y = &call->out[0];
    int64_t strides[2][FP_MAX_RANK];
    int status = FINEPRUNE_OK;
    for (int k = 0; k < 2; k++) fp_broadcast_strides(call->in[k], y->rank, y->dims, strides[k]);
    for (size_t i = 0; i < y->count && !status; i++) {
        size_t rest = i;
        int64_t at[2] = {0, 0};
        for (int k = y->rank - 1; k >= 0; k--) {
            for (int side = 0; side < 2; side++) at[side] += (int64_t)(rest % (size_t)y->dims[k]) * strides[side][k];
            rest /= (size_t)y->dims[k];
        }
        status = put_text(call, y, i,
                          fp_format("%s%s", ((char **)call->in[0]->data)[at[0]], ((char **)call->in[1]->data)[at[1]]));
    }
    return status;
}

// ---- StringSplit

// The next part of *text, with *text moved behind it; NULL when there is none. Without a delimiter, runs of space
// separate.
static const char *next_part(const char **text, const char *delimiter, bool last, size_t *n) {
    const char *start = *text, *end;
    if (!start) return NULL;
    if (!delimiter[0]) {
        while (isspace((unsigned char)*start)) start++;
        if (!*start) return *text = NULL;
        for (end = start; *end && (last || !isspace((unsigned char)*end));) end++;
        if (*end) *text = end;
        else *text = NULL;
        *n = (size_t)(end - start);
        return start;
    }
    if (last) end = NULL;
    else end = strstr(start, delimiter);
    if (end) {
        *n = (size_t)(end - start);
        *text = end + strlen(delimiter);
    } else {
        *n = strlen(start);
        *text = NULL;
    }
    return start;
}

static size_t count_parts(const struct fp_call *call, const char *text) {
    const char *delimiter = fp_attr_text(call->node, "delimiter", "");
    int64_t most = fp_attr_int(call->node, "maxsplit", INT64_MAX);
    size_t n = 0, length;
    if (!text[0]) return 0;
    while (next_part(&text, delimiter, (int64_t)n >= most, &length)) n++;
    return n;
}

static int prepare_split(struct fp_call *call) {
    int status = need_strings(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int64_t dims[FP_MAX_RANK + 1] = {0}, most = 0;
    for (size_t i = 0; i < x->count; i++) {
        int64_t n = (int64_t)count_parts(call, ((char **)x->data)[i]);
        if (n > most) most = n;
    }
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    dims[x->rank] = most;
    status = fp_out(call, 0, FP_STRING, x->rank + 1, dims);
    if (status) return status;
    return fp_out(call, 1, FP_INT64, x->rank, x->dims);
}

static int run_split(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    const char *delimiter = fp_attr_text(call->node, "delimiter", "");
    int64_t most = fp_attr_int(call->node, "maxsplit", INT64_MAX);
    size_t width = (size_t)y->dims[y->rank - 1];
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < x->count; i++) {
        const char *text = ((char **)x->data)[i];
        size_t parts = 0, n = 0;
        if (!text[0]) text = NULL;
        for (size_t k = 0; k < width && !status; k++) {
            const char *part = next_part(&text, delimiter, (int64_t)k >= most, &n);
            if (part) parts++;
            if (part) status = put_text(call, y, i * width + k, strndup(part, n));
            else status = put_text(call, y, i * width + k, strdup(""));
        }
        if (call->n_out > 1) ((int64_t *)call->out[1].data)[i] = (int64_t)parts;
    }
    return status;
}

// ---- StringNormalizer

static bool is_stopword(const struct fp_call *call, const char *text) {
    int (*compare)(const char *, const char *) = strcasecmp;
    if (fp_attr_int(call->node, "is_case_sensitive", 0)) compare = strcmp;
    const char *word;
    for (size_t i = 0; (word = fp_attr_strings(call->node, "stopwords", i)); i++)
        if (!compare(word, text)) return true;
    return false;
}

static int prepare_normalizer(struct fp_call *call) {
    int status = need_strings(call, 1);
    if (status) return status;
    const struct fp_tensor *x = call->in[0];
    int64_t kept = 0;
    if (x->rank != 1 && !(x->rank == 2 && x->dims[0] == 1)) {
        char text[160];
        return fp_call_fail(call, "shape %s is not [C] or [1,C]", fp_shape_text(text, sizeof(text), x->rank, x->dims));
    }
    for (size_t i = 0; i < x->count; i++) kept += !is_stopword(call, ((char **)x->data)[i]);
    if (!kept) kept = 1; // one empty string
    if (x->rank == 1) return fp_out(call, 0, FP_STRING, 1, &kept);
    return fp_out(call, 0, FP_STRING, 2, (int64_t[]){1, kept});
}

// Letters beyond ASCII would need the locale's tables.
static int change_case(struct fp_call *call, char *text) {
    const char *action = fp_attr_text(call->node, "case_change_action", "NONE");
    char first = 'a';
    if (!strcmp(action, "LOWER")) first = 'A';
    else if (strcmp(action, "UPPER")) return FINEPRUNE_OK;
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c >= 0x80) return fp_call_fail(call, "changing the case of text beyond ASCII is not supported");
        if (*c >= first && *c < first + 26) *c ^= 0x20;
    }
    return FINEPRUNE_OK;
}

static int run_normalizer(struct fp_call *call) {
    const struct fp_tensor *x = call->in[0];
    struct fp_tensor *y = &call->out[0];
    size_t to = 0;
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < x->count && !status; i++) {
        const char *text = ((char **)x->data)[i];
        if (is_stopword(call, text)) continue;
        status = put_text(call, y, to, strdup(text));
        if (!status) status = change_case(call, ((char **)y->data)[to++]);
    }
    if (!status && !to) status = put_text(call, y, 0, strdup(""));
    return status;
}

#define ROW(name, since, prepare, run, ...)                                                                            \
    {"", name, since, prepare, run, NULL, FP_OP_ANY_KIND | FP_OP_DYNAMIC, 0, NULL, __VA_ARGS__}
const struct fp_op fp_ops_text[] = {
    ROW("StringConcat", 20, prepare_concat, run_concat, .arity = "rr>r"),
    ROW("StringSplit", 20, prepare_split, run_split, .arity = "r>rr", .attributes = "delimiter=s maxsplit=i"),
    ROW("StringNormalizer", 10, prepare_normalizer, run_normalizer, .arity = "r>r",
        .attributes = "case_change_action=s is_case_sensitive=i locale=s stopwords=S"),
    {0},
};
