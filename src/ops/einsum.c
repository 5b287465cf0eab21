// SPDX-License-Identifier: Apache-2.0
// Einsum. The equation becomes, operand by operand, one batched matrix product: labels of both sides that are still
// needed are the batch, those that are not are contracted, the rest are rows and columns. Integers go through one plain
// loop.
#include <stdlib.h>

#include "kernel/dnnl_matmul.h"
#include "ops/einsum.h"

enum {
    LETTERS = 52,
    LABELS = LETTERS + FP_MAX_RANK,
    MAX_TERMS = 16
}; // the dims of an ellipsis are labels after the letters

struct view {
    int n;
    int label[FP_MAX_RANK];
    int64_t stride[FP_MAX_RANK];
    const float *data;
};

struct einsum {
    int n_terms;
    struct view terms[MAX_TERMS]; // data not set
    int n_out, out[FP_MAX_RANK];
    int64_t extent[LABELS];
    struct fp_matmul products[MAX_TERMS];
};

static void done(void *state) {
    struct einsum *e = state;
    for (size_t i = 0; i < FP_COUNT(e->products); i++) fp_matmul_done(&e->products[i]);
    free(e);
}

// ---- the equation

static int letter(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    return -1;
}

// Labels of one term up to ',' or '-' or the end; an ellipsis stands for `dots` dims. *n -1 when it is malformed or too
// long.
static const char *read_term(const char *text, int dots, int *label, int *n, bool *ellipsis) {
    *n = 0;
    *ellipsis = false;
    for (; *text && *text != ',' && *text != '-'; text++) {
        if (*text == ' ') continue;
        bool three = strncmp(text, "...", 3) == 0 && !*ellipsis;
        int count = 1;
        if (three) count = dots;
        if ((!three && letter(*text) < 0) || *n + count > FP_MAX_RANK) {
            *n = -1;
            return text;
        }
        for (int i = 0; i < count; i++) {
            if (three) label[(*n)++] = LABELS - dots + i;
            else label[(*n)++] = letter(*text);
        }
        *ellipsis |= three;
        if (three) text += 2;
    }
    return text;
}

static int bad(struct fp_call *call) {
    return fp_call_fail(call, "the equation '%.200s' does not fit the inputs",
                        fp_attr_text(call->node, "equation", ""));
}

static int add_term(struct fp_call *call, struct einsum *e, int index, const char **text) {
    const struct fp_tensor *t = call->in[index];
    struct view *v = &e->terms[index];
    bool ellipsis;
    int n, label[FP_MAX_RANK];
    const char *end = read_term(*text, 0, label, &n, &ellipsis);
    if (n < 0 || n > t->rank || (!ellipsis && n != t->rank)) return bad(call);
    read_term(*text, t->rank - n, v->label, &v->n, &ellipsis);
    if (v->n != t->rank) return bad(call);
    fp_strides(t->rank, t->dims, v->stride);
    for (int i = 0; i < v->n; i++) {
        int64_t *extent = &e->extent[v->label[i]];
        if (*extent > 1 && t->dims[i] != 1 && *extent != t->dims[i])
            return fp_call_fail(call, "extents %lld and %lld of one label in '%.200s'", (long long)*extent,
                                (long long)t->dims[i], fp_attr_text(call->node, "equation", ""));
        if (*extent < 0 || t->dims[i] != 1) *extent = t->dims[i];
        if (t->dims[i] == 1) v->stride[i] = 0;
    }
    *text = end;
    return 0;
}

// Without "->": the ellipsis, then the letters that occur once, in the order of the alphabet with capitals first.
static void implicit_output(struct einsum *e) {
    int seen[LABELS] = {0};
    for (int i = 0; i < e->n_terms; i++)
        for (int k = 0; k < e->terms[i].n; k++) seen[e->terms[i].label[k]]++;
    for (int i = LETTERS; i < LABELS && e->n_out < FP_MAX_RANK; i++)
        if (seen[i]) e->out[e->n_out++] = i;
    for (int i = 0; i < LETTERS && e->n_out < FP_MAX_RANK; i++)
        if (seen[i] == 1) e->out[e->n_out++] = i;
}

static int read_output(struct fp_call *call, struct einsum *e, const char *text) {
    bool ellipsis, seen[LABELS] = {0};
    int dots = 0;
    for (int i = LETTERS; i < LABELS; i++) dots += e->extent[i] >= 0;
    text = read_term(text, dots, e->out, &e->n_out, &ellipsis);
    if (*text || e->n_out < 0) return bad(call);
    for (int i = 0; i < e->n_out; i++) {
        if (e->extent[e->out[i]] < 0 || seen[e->out[i]]) return bad(call);
        seen[e->out[i]] = true;
    }
    return 0;
}

static int read_equation(struct fp_call *call, struct einsum *e) {
    const char *text = fp_attr_text(call->node, "equation", "");
    if (call->n_in < 1 || call->n_in > MAX_TERMS)
        return fp_call_fail(call, "%d inputs; up to %d are supported", call->n_in, MAX_TERMS);
    e->n_terms = call->n_in;
    e->n_out = 0;
    for (int i = 0; i < LABELS; i++) e->extent[i] = -1;
    for (int i = 0; i < call->n_in; i++) {
        int status = add_term(call, e, i, &text);
        if (status) return status;
        if (i + 1 < call->n_in && *text++ != ',') return bad(call);
    }
    if (!*text) {
        implicit_output(e);
        return 0;
    }
    if (strncmp(text, "->", 2) == 0) return read_output(call, e, text + 2);
    return bad(call);
}

static int prepare(struct fp_call *call) {
    int status = fp_need(call, call->n_in);
    if (status) return status;
    struct einsum *e = fp_state(call, sizeof(*e));
    if (!e) return FINEPRUNE_LIMIT;
    enum fp_type type = FP_NONE;
    if (call->n_in) type = call->in[0]->type;
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i]->type != type || (type != FP_FLOAT && !fp_type_is_integer(type)))
            return fp_call_fail(call, "input %d has type %s", i, fp_type_name(call->in[i]->type));
    status = read_equation(call, e);
    int64_t dims[FP_MAX_RANK];
    for (int i = 0; i < e->n_out && !status; i++) dims[i] = e->extent[e->out[i]];
    if (status) return status;
    return fp_out(call, 0, type, e->n_out, dims);
}

// ---- loops over labels

struct nest {
    int n;
    int64_t extent[LABELS], a[LABELS];
};

static int64_t stride_of(const struct view *v, int label) {
    int64_t stride = 0;
    for (int i = 0; i < v->n; i++) {
        if (v->label[i] == label) stride += v->stride[i];
    }
    return stride;
}

static bool has(const struct view *v, int label) {
    for (int i = 0; i < v->n; i++)
        if (v->label[i] == label) return true;
    return false;
}

static float sum_nest(const float *x, const struct nest *s, int level) {
    if (level == s->n) return *x;
    float sum = 0;
    for (int64_t i = 0; i < s->extent[level]; i++) sum += sum_nest(x + i * s->a[level], s, level + 1);
    return sum;
}

static float *fill_nest(float *y, const float *x, const struct nest *outer, const struct nest *inner, int level) {
    if (level == outer->n) {
        *y = sum_nest(x, inner, 0);
        return y + 1;
    }
    if (level == outer->n - 1 && inner->n == 0) {
        for (int64_t i = 0; i < outer->extent[level]; i++) y[i] = x[i * outer->a[level]];
        return y + outer->extent[level];
    }
    for (int64_t i = 0; i < outer->extent[level]; i++)
        y = fill_nest(y, x + i * outer->a[level], outer, inner, level + 1);
    return y;
}

// Writes the view with its labels in the given order, summed over its others.
static void arrange(const struct einsum *e, const struct view *v, const int *order, int n, float *y) {
    struct nest outer = {0}, inner = {0};
    for (int i = 0; i < n; i++) {
        outer.extent[outer.n] = e->extent[order[i]];
        outer.a[outer.n++] = stride_of(v, order[i]);
    }
    for (int i = 0; i < v->n; i++) {
        bool kept = false;
        for (int k = 0; k < n; k++) kept |= order[k] == v->label[i];
        for (int k = 0; k < i; k++) kept |= v->label[k] == v->label[i];
        if (kept || stride_of(v, v->label[i]) == 0) continue; // an extent that is repeated over others counts once
        inner.extent[inner.n] = e->extent[v->label[i]];
        inner.a[inner.n++] = stride_of(v, v->label[i]);
    }
    fill_nest(y, v->data, &outer, &inner, 0);
}

// ---- one product

struct split {
    int n_batch, batch[LABELS], n_left, left[LABELS], n_inner, inner[LABELS], n_right, right[LABELS];
};

static bool needed_after(const struct einsum *e, int term, int label) {
    for (int i = 0; i < e->n_out; i++)
        if (e->out[i] == label) return true;
    for (int i = term + 1; i < e->n_terms; i++)
        if (has(&e->terms[i], label)) return true;
    return false;
}

// A label that a side only repeats (stride 0) does not count as that side's when the other has it.
static void split_labels(const struct einsum *e, const struct view *a, const struct view *b, int term,
                         struct split *s) {
    *s = (struct split){0};
    for (int l = 0; l < LABELS; l++) {
        bool in_a = has(a, l), in_b = has(b, l), later = needed_after(e, term, l);
        if (in_a && in_b && stride_of(a, l) == 0) in_a = false;
        else if (in_a && in_b && stride_of(b, l) == 0) in_b = false;
        if (in_a && in_b && later) s->batch[s->n_batch++] = l;
        else if (in_a && in_b) s->inner[s->n_inner++] = l;
        else if (in_a && later) s->left[s->n_left++] = l;
        else if (in_b && later) s->right[s->n_right++] = l;
    }
}

static int64_t extent_of(const struct einsum *e, const int *label, int n) {
    int64_t product = 1;
    for (int i = 0; i < n; i++) product *= e->extent[label[i]];
    return product;
}

static int join(int *dst, const int *a, int n, const int *b, int m, const int *c, int k) {
    memcpy(dst, a, (size_t)n * sizeof(*dst));
    memcpy(dst + n, b, (size_t)m * sizeof(*dst));
    memcpy(dst + n + m, c, (size_t)k * sizeof(*dst));
    return n + m + k;
}

static float *take_floats(struct fp_call *call, struct fp_tensor *t, int64_t n) {
    if (fp_tensor_new(t, call->memory, FP_FLOAT, 1, &n, call->err)) return NULL;
    return t->data;
}

// *acc (whose data lie in *memory or an input) becomes its product with the next term.
static int multiply(struct fp_call *call, struct einsum *e, struct view *acc, int term, struct fp_tensor *memory) {
    struct view b = e->terms[term];
    b.data = call->in[term]->data;
    if (term == 1 && fp_is_constant(call, 0) &&
        !fp_is_constant(call, 1)) { // samples are rows: each is summed alike, however many there are
        const struct view constant = *acc;
        *acc = b;
        b = constant;
    }
    struct split s;
    split_labels(e, acc, &b, term, &s);
    int64_t batch = extent_of(e, s.batch, s.n_batch);
    struct fp_matmul_shape shape = {.batch = 1,
                                    .a_batch = {batch},
                                    .b_batch = {batch},
                                    .m = extent_of(e, s.left, s.n_left),
                                    .k = extent_of(e, s.inner, s.n_inner),
                                    .n = extent_of(e, s.right, s.n_right),
                                    .alpha = 1};
    if (s.n_batch + s.n_left + s.n_right > FP_MAX_RANK)
        return fp_call_fail(call, "more than %d labels between two operands", FP_MAX_RANK);
    fp_matmul_plain(&shape, false, false);
    struct fp_tensor left = {0}, right = {0}, product = {0};
    float *pa = take_floats(call, &left, batch * shape.m * shape.k), *pb = NULL, *pc = NULL;
    if (pa) pb = take_floats(call, &right, batch * shape.k * shape.n);
    if (pb) pc = take_floats(call, &product, batch * shape.m * shape.n);
    int order[2 * LABELS], status = FINEPRUNE_LIMIT;
    if (pc) status = FINEPRUNE_OK;
    if (!status) {
        int n = join(order, s.batch, s.n_batch, s.left, s.n_left, s.inner, s.n_inner);
        arrange(e, acc, order, n, pa);
        n = join(order, s.batch, s.n_batch, s.inner, s.n_inner, s.right, s.n_right);
        arrange(e, &b, order, n, pb);
        status = fp_matmul_make(call, &e->products[term], &shape);
    }
    if (!status) status = fp_matmul_run(call, &e->products[term], pa, pb, false, NULL, pc);
    fp_tensor_done(&left);
    fp_tensor_done(&right);
    fp_tensor_done(memory);
    *memory = product;
    acc->n = join(acc->label, s.batch, s.n_batch, s.left, s.n_left, s.right, s.n_right);
    int64_t step = 1;
    for (int i = acc->n - 1; i >= 0; i--) {
        acc->stride[i] = fp_step_along(e->extent[acc->label[i]], step);
        step *= e->extent[acc->label[i]];
    }
    acc->data = pc;
    return status;
}

static int run_floats(struct fp_call *call, struct einsum *e) {
    struct view acc = e->terms[0];
    struct fp_tensor memory = {0};
    acc.data = call->in[0]->data;
    int status = 0;
    for (int i = 1; i < e->n_terms && !status; i++) status = multiply(call, e, &acc, i, &memory);
    if (!status && call->out[0].count) arrange(e, &acc, e->out, e->n_out, call->out[0].data);
    fp_tensor_done(&memory);
    return status;
}

// ---- integers: one loop over all labels

struct integers {
    const struct einsum *e;
    int n, label[LABELS];
    int64_t stride[MAX_TERMS + 1][LABELS];
    const int64_t *in[MAX_TERMS];
    uint64_t *out;
};

static void loop(const struct integers *s, int level, int64_t *at) {
    if (level == s->n) {
        uint64_t product = 1;
        for (int t = 0; t < s->e->n_terms; t++) product *= (uint64_t)s->in[t][at[t]];
        s->out[at[s->e->n_terms]] += product;
        return;
    }
    int64_t next[MAX_TERMS + 1];
    memcpy(next, at, sizeof(next));
    for (int64_t i = 0; i < s->e->extent[s->label[level]]; i++) {
        loop(s, level + 1, next);
        for (int t = 0; t <= s->e->n_terms; t++) next[t] += s->stride[t][level];
    }
}

static void set_strides(struct integers *s) {
    struct view out = {.n = s->e->n_out};
    int64_t step = 1;
    for (int i = out.n - 1; i >= 0; i--) {
        out.label[i] = s->e->out[i];
        out.stride[i] = step;
        step *= s->e->extent[s->e->out[i]];
    }
    for (int l = 0; l < LABELS; l++) {
        if (s->e->extent[l] < 0) continue;
        for (int t = 0; t <= s->e->n_terms; t++)
            s->stride[t][s->n] = stride_of(t < s->e->n_terms ? &s->e->terms[t] : &out, l);
        s->label[s->n++] = l;
    }
}

static int run_integers(struct fp_call *call, struct einsum *e) {
    struct fp_tensor wide[MAX_TERMS] = {{0}}, y = {0};
    struct integers s = {.e = e};
    int status = fp_tensor_new(&y, call->memory, FP_INT64, call->out[0].rank, call->out[0].dims, call->err);
    for (int i = 0; i < e->n_terms && !status; i++) {
        status = fp_tensor_convert(&wide[i], call->memory, call->in[i], FP_INT64, call->err);
        s.in[i] = wide[i].data;
    }
    if (!status) {
        int64_t at[MAX_TERMS + 1] = {0};
        s.out = y.data;
        memset(y.data, 0, y.count * sizeof(int64_t));
        set_strides(&s);
        loop(&s, 0, at);
        fp_convert(call->out[0].data, call->out[0].type, y.data, FP_INT64, y.count);
    }
    for (int i = 0; i < e->n_terms; i++) fp_tensor_done(&wide[i]);
    fp_tensor_done(&y);
    return status;
}

static int run(struct fp_call *call) {
    struct einsum *e = call->state;
    if (call->in[0]->type == FP_FLOAT) return run_floats(call, e);
    return run_integers(call, e);
}

// ---- as a product with a weight

// A term's text without blanks.
struct term {
    char text[80];
    bool ellipsis;
};

static const char *cut_term(const char *text, struct term *term) {
    size_t n = 0;
    *term = (struct term){0};
    for (; *text && *text != ',' && *text != '-'; text++) {
        term->ellipsis |= *text == '.';
        if (letter(*text) >= 0 && n + 1 < sizeof(term->text)) term->text[n++] = *text;
    }
    return text;
}

static int count_in(const struct term *t, char c) {
    int n = 0;
    for (const char *s = t->text; *s; s++) n += *s == c;
    return n;
}

// Without "->" the result has what occurs once.
static void cut_result(const char *text, const struct term *in, struct term *result) {
    if (*text == '-') {
        cut_term(text + 2, result);
        return;
    }
    size_t n = 0;
    *result = (struct term){.ellipsis = in[0].ellipsis || in[1].ellipsis};
    for (int c = 'A'; c <= 'z'; c++)
        if (letter((char)c) >= 0 && count_in(&in[0], (char)c) + count_in(&in[1], (char)c) == 1 &&
            n + 1 < sizeof(result->text))
            result->text[n++] = (char)c;
}

bool fp_einsum_roles(const struct fp_node *node, int slot, int rank, enum fp_einsum_role *roles, bool *rows_last) {
    struct term in[2], result;
    const char *text = cut_term(fp_attr_text(node, "equation", ""), &in[0]);
    if (*text != ',' || node->n_in != 2) return false;
    text = cut_term(text + 1, &in[1]);
    if (*text && strncmp(text, "->", 2) != 0) return false;
    cut_result(text, in, &result);
    const struct term *w = &in[slot], *x = &in[1 - slot];
    int n = (int)strlen(w->text), counts[3] = {0};
    if (w->ellipsis || n != rank || (x->ellipsis && !result.ellipsis)) return false;
    for (int i = 0; i < n; i++) {
        int in_x = count_in(x, w->text[i]), kept = count_in(&result, w->text[i]);
        if (count_in(w, w->text[i]) != 1 || in_x > 1 || (!in_x && !kept)) return false;
        if (!in_x) roles[i] = FP_EINSUM_ROW;
        else if (kept) roles[i] = FP_EINSUM_GROUP;
        else roles[i] = FP_EINSUM_COLUMN;
        counts[roles[i]]++;
    }
    for (const char *c = x->text; *c; c++)
        if (count_in(x, *c) != 1 || (!count_in(w, *c) && !count_in(&result, *c))) return false;
    size_t length = strlen(result.text);
    *rows_last = counts[FP_EINSUM_ROW] == 1 && !counts[FP_EINSUM_GROUP] && length > 0 &&
                 count_in(x, result.text[length - 1]) == 0;
    return counts[FP_EINSUM_COLUMN] > 0;
}

// The other operand as [first of its own axes, groups, its other axes, columns].
// Of one operand nothing is multiplied; of several each combination of labels is.
static size_t products(const struct fp_call *call) {
    const struct einsum *e = call->state;
    size_t n = e->n_terms > 1 ? (size_t)e->n_terms - 1 : 0;
    for (int l = 0; l < LABELS; l++)
        if (e->extent[l] >= 0 && !fp_mul(n, (size_t)e->extent[l], &n)) return SIZE_MAX;
    return n;
}

static int weight_input(struct fp_call *call, int slot, struct fp_tensor *out) {
    const struct einsum *e = call->state;
    const struct view *w = &e->terms[slot];
    struct view x = e->terms[1 - slot];
    enum fp_einsum_role roles[FP_MAX_RANK];
    bool last;
    if (!fp_einsum_roles(call->node, slot, w->n, roles, &last))
        return fp_call_fail(call, "its equation is no product with input %d", slot);
    int64_t dims[4] = {1, 1, 1, 1};
    int order[2 * FP_MAX_RANK], n = 0;
    for (int part = 0; part < 4; part++) {
        const struct view *v = &x;
        if (part % 2) v = w;
        for (int i = 0, seen = 0; i < v->n; i++) {
            bool wanted = !has(w, v->label[i]);
            if (part == 1) wanted = roles[i] == FP_EINSUM_GROUP;
            if (part == 3) wanted = roles[i] == FP_EINSUM_COLUMN;
            if (part % 2 == 0 && wanted) wanted = (seen++ == 0) == (part == 0);
            if (!wanted) continue;
            order[n++] = v->label[i];
            dims[part] *= e->extent[v->label[i]];
        }
    }
    int status = fp_tensor_new(out, call->memory, FP_FLOAT, 4, dims, call->err);
    x.data = call->in[1 - slot]->data;
    if (!status && out->count) arrange(e, &x, order, n, out->data);
    return status;
}

const struct fp_op fp_ops_einsum[] = {
    {"", "Einsum", 12, prepare, run, done, FP_OP_FLOAT32, 0, weight_input, products,
     .weight = {FP_IN_1 | FP_IN_0, 0, FP_VIEW_EINSUM}, .arity = "+>r", .attributes = "equation=s!"},
    {0},
};
