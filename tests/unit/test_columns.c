// SPDX-License-Identifier: Apache-2.0
// Rows of columns against the executor: the weight's rows times the columns are the layer's output. Sums against sums
// over the rows; convolutions also against a plain loop over the kernel. Co-activations from distances against those of
// the written rows.
#include "stats/columns.h"
#include "kernel/channels_last.h"
#include "made_model.h"
#include "stats/shift_gram.h"

#include <math.h>

struct look {
    const struct fp_weight *w;
    int use;
    size_t samples;
    float *rows; // units x rows x groups x cols
    size_t units, n_rows;
};

// Over the first `units`; with one thread, with three, and without |x|.
static void check_sums(const struct fp_columns *c, const struct look *l, size_t units) {
    const size_t width = l->w->groups * l->w->cols;
    double *sums[3][3];
    for (int t = 0; t < 3; t++) {
        for (int m = 0; m < 3; m++) sums[t][m] = fp_calloc(width, sizeof(double));
        assert_int_equal(fp_columns_sum(c, units, sums[t][0], sums[t][1], t < 2 ? sums[t][2] : NULL, 1 + 2 * t), 0);
    }
    for (int m = 0; m < 3; m++) {
        for (size_t i = 0; i < width; i++) {
            double s = 0;
            for (size_t r = 0; r < units * c->rows; r++) {
                const double v = (double)l->rows[r * width + i];
                s += m == 0 ? v : m == 1 ? v * v : fabs(v);
            }
            assert_true(fabs(s - sums[0][m][i]) < 1e-9 * (1 + (double)(units * c->rows)));
        }
        assert_memory_equal(sums[0][m], sums[1][m], width * sizeof(double)); // threads change nothing
        if (m < 2) assert_memory_equal(sums[0][m], sums[2][m], width * sizeof(double));
        free(sums[0][m]), free(sums[1][m]), free(sums[2][m]);
    }
}

// With one thread and with three: the lower triangle is that of the rows, and what lies above it is not touched.
static void check_gram(const struct fp_columns *c, const struct look *l) {
    const size_t n = l->w->cols;
    double *grams[2];
    for (int t = 0; t < 2; t++) {
        struct fp_shift_gram *s;
        grams[t] = fp_calloc(n * n, sizeof(double));
        assert_int_equal(fp_shift_gram_new(&s, c, NULL), 0);
        assert_true(!s == (c->w->kind != FP_WEIGHT_CONV || c->channels < 16 || l->w->groups > 1 || l->w->inner < 2));
        for (size_t u = 0; s && u < c->units; u++) {
            assert_true(fp_shift_gram_fits(s, c));
            assert_int_equal(fp_shift_gram_add(s, c, u, 1 + 2 * t, NULL), 0);
        }
        if (s) assert_int_equal(fp_shift_gram_finish(s, grams[t], t == 0, 1 + 2 * t, NULL), 0);
        fp_shift_gram_free(s);
        if (!s) {
            while (t >= 0) free(grams[t--]);
            return;
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t r = 0; j <= i && r < c->units * c->rows; r++)
                sum += (double)l->rows[r * n + i] * (double)l->rows[r * n + j];
            if (!(fabs(sum - grams[0][i * n + j]) < 1e-5 * (1 + sqrt((double)(c->units * c->rows)))))
                fail_msg("(%zu, %zu): %g, not %g", i, j, grams[0][i * n + j], sum);
        }
    assert_memory_equal(grams[0], grams[1], n * n * sizeof(double));
    free(grams[0]), free(grams[1]);
}

// The same input with its channels last gives the same rows, and the same sums but for the order of the additions.
static void check_last(const struct fp_columns *c, const struct look *l, const struct fp_tensor *x) {
    struct fp_tensor last = *x;
    struct fp_columns other;
    const size_t channels = (size_t)x->dims[1], plane = x->count / (size_t)x->dims[0] / channels;
    float *data = fp_calloc(x->count, sizeof(float)), *row = fp_calloc(l->w->cols, sizeof(float));
    for (size_t n = 0; n < (size_t)x->dims[0]; n++)
        for (size_t ch = 0; ch < channels; ch++)
            for (size_t p = 0; p < plane; p++)
                data[(n * plane + p) * channels + ch] = ((const float *)x->data)[(n * channels + ch) * plane + p];
    last.data = data;
    last.layout = fp_channels_last;
    assert_int_equal(fp_columns_of(&other, l->w, &l->w->uses[l->use], &last, l->samples, NULL), 0);
    for (size_t u = 0; u < c->units; u++) {
        for (size_t i = 0; i < c->rows * l->w->groups; i++) {
            fp_columns_row(&other, i % l->w->groups, u, i / l->w->groups, row);
            assert_memory_equal(row, l->rows + (u * c->rows * l->w->groups + i) * l->w->cols,
                                l->w->cols * sizeof(float));
        }
        check_sums(&other, l, u + 1);
    }
    check_gram(&other, l);
    free(data), free(row);
}

static int see(void *user, int tag, const struct fp_tensor *x, fineprune_error *err) {
    struct look *l = user;
    struct fp_columns c;
    (void)tag;
    const int status = fp_columns_of(&c, l->w, &l->w->uses[l->use], x, l->samples, err);
    if (status) return status;
    const size_t width = l->w->groups * l->w->cols;
    l->units = c.units, l->n_rows = c.rows;
    l->rows = fp_calloc(c.units * c.rows * width, sizeof(float));
    for (size_t u = 0; u < c.units; u++) {
        for (size_t r = 0; r < c.rows; r++)
            for (size_t g = 0; g < l->w->groups; g++)
                fp_columns_row(&c, g, u, r, l->rows + ((u * c.rows + r) * l->w->groups + g) * l->w->cols);
        check_sums(&c, l, u + 1);
    }
    check_sums(&c, l, 0);
    if (c.n) check_last(&c, l, x);
    check_gram(&c, l);
    return 0;
}

// Runs the model with random x; weight 0's rows times its columns, by unit, group, row and position, into *products;
// the output into *y.
static void run(struct made *m, int weight, int rank, const int64_t *dims, size_t samples, struct look *l,
                struct fp_tensor *x, struct fp_tensor *y) {
    fineprune_error err = {0};
    assert_true(m->weights->n > weight);
    *l = (struct look){.w = &m->weights->items[weight], .samples = samples};
    assert_int_equal(fp_tensor_new(x, NULL, FP_FLOAT, rank, dims, NULL), 0);
    made_fill(x->data, x->count, 42);
    assert_int_equal(fp_exec_watch(m->exec, l->w->uses[0].node, l->w->uses[0].slot, 0, &err), 0);
    const struct fp_observer observer = {see, l};
    if (fp_exec_run(m->exec, x, y, &observer, &err)) fail_msg("%s", err.message);
    assert_non_null(l->rows);
}

static void finish(struct made *m, struct look *l, struct fp_tensor *x, struct fp_tensor *y) {
    free(l->rows);
    fp_tensor_done(x), fp_tensor_done(y);
    made_close(m);
}

// kind 0: y is [unit][group x row][position] (convolutions); 1: [unit][group][position][row] (products on the right);
// 2: [unit][row][position] of one matrix.
static void compare(const struct made *m, const struct look *l, const struct fp_tensor *y) {
    const struct fp_weight *w = l->w;
    const bool right = w->kind == FP_WEIGHT_RIGHT;
    float *values = fp_calloc(w->count, sizeof(float));
    assert_int_equal(fp_weight_read((struct fineprune_model *)(uintptr_t)&m->model, w, values, NULL), 0);
    assert_int_equal(l->units * l->n_rows * w->groups * w->rows, y->count);
    for (size_t u = 0; u < l->units; u++)
        for (size_t p = 0; p < l->n_rows; p++)
            for (size_t g = 0; g < w->groups; g++)
                for (size_t r = 0; r < w->rows; r++) {
                    const size_t all = w->groups * w->rows, row = g * w->rows + r;
                    const float *x = l->rows + ((u * l->n_rows + p) * w->groups + g) * w->cols;
                    double sum = 0;
                    for (size_t c = 0; c < w->cols; c++) sum += (double)values[row * w->cols + c] * (double)x[c];
                    const double found =
                        (double)((const float *)y->data)[right ? ((u * w->groups + g) * l->n_rows + p) * w->rows + r
                                                               : (u * all + row) * l->n_rows + p];
                    if (!(fabs(found - sum) < 1e-4))
                        fail_msg("unit %zu, position %zu, row %zu: %g, not %g", u, p, row, sum, found);
                }
    free(values);
}

struct conv {
    const char *type, *automatic;
    int n; // spatial
    int64_t x[5], w[5], stride[3], dilation[3], pads[6], extra[3], shape[3], group;
};

static const struct conv CONVS[] = {
    {"Conv", NULL, 1, {2, 3, 17}, {4, 3, 5}, {2}, {2}, {3, 1}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 4, 9, 8}, {6, 2, 3, 2}, {2, 1}, {1, 3}, {1, 0, 2, 3}, {0}, {0}, 2},
    {"Conv", NULL, 2, {1, 3, 5, 5}, {2, 3, 1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", NULL, 3, {2, 2, 5, 6, 7}, {3, 2, 2, 3, 3}, {1, 2, 1}, {2, 1, 1}, {0, 1, 2, 1, 1, 0}, {0}, {0}, 1},
    {"Conv", "SAME_UPPER", 2, {2, 2, 7, 8}, {3, 2, 4, 3}, {2, 2}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", "SAME_LOWER", 2, {2, 2, 7, 8}, {3, 2, 4, 3}, {2, 3}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", "VALID", 1, {2, 2, 11}, {3, 2, 4}, {3}, {1}, {0}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 40, 7, 9}, {4, 20, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, {0}, {0}, 2},
    {"Conv", NULL, 2, {1, 17, 6, 5}, {2, 17, 1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", NULL, 2, {1, 32, 12, 11}, {2, 32, 5, 5}, {2, 1}, {1, 1}, {2, 2, 2, 2}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 33, 16, 17}, {2, 33, 1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 18, 31, 35}, {2, 18, 1, 1}, {2, 2}, {1, 1}, {0}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 17, 7, 9}, {4, 17, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, {0}, {0}, 1},
    {"Conv", NULL, 2, {3, 16, 8, 7}, {2, 16, 3, 2}, {2, 1}, {1, 2}, {1, 0, 2, 1}, {0}, {0}, 1},
    {"Conv", NULL, 2, {2, 16, 3, 3}, {2, 16, 5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}, {0}, {0}, 1},
    {"Conv", NULL, 1, {2, 18, 30}, {3, 18, 5}, {2}, {2}, {3, 1}, {0}, {0}, 1},
    {"Conv", NULL, 3, {1, 16, 4, 5, 3}, {2, 16, 2, 3, 2}, {1, 2, 1}, {2, 1, 1}, {0, 1, 2, 1, 1, 0}, {0}, {0}, 1},
    {"Conv", NULL, 2, {45, 16, 7, 7}, {2, 16, 2, 2}, {1, 1}, {1, 1}, {1, 0, 0, 1}, {0}, {0}, 1},
    {"ConvTranspose", NULL, 1, {2, 3, 7}, {3, 2, 4}, {3}, {2}, {1, 2}, {1}, {0}, 1},
    {"ConvTranspose", NULL, 2, {2, 4, 5, 4}, {4, 3, 3, 2}, {2, 1}, {1, 2}, {1, 0, 0, 1}, {0}, {0}, 2},
    {"ConvTranspose", NULL, 2, {1, 2, 4, 5}, {2, 3, 3, 3}, {2, 2}, {1, 1}, {0}, {0}, {9, 10}, 1},
    {"ConvTranspose", "SAME_UPPER", 2, {1, 2, 4, 5}, {2, 3, 3, 3}, {2, 2}, {1, 1}, {0}, {0}, {0}, 1},
};

// One column of one position by the definition of Conv with given pads.
static float plain(const struct conv *c, const struct fp_tensor *x, size_t unit, size_t channel, size_t position,
                   size_t k) {
    size_t at = unit * (size_t)c->x[1] + channel, offset = 0, place = 1;
    for (int i = c->n; i-- > 0;) {
        const int64_t in = c->x[2 + i], kernel = c->w[2 + i];
        const int64_t out = (in + c->pads[i] + c->pads[c->n + i] - c->dilation[i] * (kernel - 1) - 1) / c->stride[i] +
                            1;
        const int64_t at_in = (int64_t)(position % (size_t)out) * c->stride[i] +
                              (int64_t)(k % (size_t)kernel) * c->dilation[i] - c->pads[i];
        if (at_in < 0 || at_in >= in) return 0;
        position /= (size_t)out, k /= (size_t)kernel;
        offset += (size_t)at_in * place, place *= (size_t)in;
    }
    return ((const float *)x->data)[at * place + offset];
}

static void test_convolutions(void **state) {
    (void)state;
    for (size_t i = 0; i < FP_COUNT(CONVS); i++) {
        const struct conv *c = &CONVS[i];
        Onnx__ModelProto *proto = made_new();
        made_input(proto->graph, "x", 2 + c->n, c->x);
        made_random(proto->graph, "w", 2 + c->n, c->w, 7);
        Onnx__NodeProto *node = made_node(proto->graph, c->type, "x,w", "y");
        made_ints(node, "strides", c->n, c->stride), made_ints(node, "dilations", c->n, c->dilation),
            made_int(node, "group", c->group);
        if (c->automatic) made_text(node, "auto_pad", c->automatic);
        else if (!c->shape[0]) made_ints(node, "pads", 2 * c->n, c->pads);
        if (c->shape[0]) made_ints(node, "output_shape", c->n, c->shape);
        if (c->extra[0]) made_ints(node, "output_padding", c->n, c->extra);
        made_output(proto->graph, "y");
        struct made m;
        struct look l;
        struct fp_tensor x, y = {0};
        made_open(&m, proto);
        run(&m, 0, 2 + c->n, c->x, (size_t)c->x[0], &l, &x, &y);
        assert_int_equal(l.units, c->x[0]);
        compare(&m, &l, &y);
        for (size_t at = 0;
             !c->automatic && !strcmp(c->type, "Conv") && at < l.units * l.n_rows * l.w->groups * l.w->cols; at++) {
            const size_t width = l.w->groups * l.w->cols, column = at % width;
            assert_true(l.rows[at] == plain(c, &x, at / width / l.n_rows, column / l.w->inner, at / width % l.n_rows,
                                            column % l.w->inner));
        }
        finish(&m, &l, &x, &y);
    }
}

static void product(const char *type, bool right, const char *flag, size_t samples, int x_rank, const int64_t *x_dims,
                    int w_rank, const int64_t *w_dims) {
    Onnx__ModelProto *proto = made_new();
    made_input(proto->graph, "x", x_rank, x_dims);
    made_random(proto->graph, "w", w_rank, w_dims, 7);
    Onnx__NodeProto *node = made_node(proto->graph, type, right ? "x,w" : "w,x", "y");
    if (flag) made_int(node, flag, 1);
    made_output(proto->graph, "y");
    struct made m;
    struct look l;
    struct fp_tensor x, y = {0};
    made_open(&m, proto);
    run(&m, 0, x_rank, x_dims, samples, &l, &x, &y);
    if (l.units > 1) assert_int_equal(l.units, samples);
    compare(&m, &l, &y);
    finish(&m, &l, &x, &y);
}

static void test_products(void **state) {
    (void)state;
    product("MatMul", true, NULL, 5, SHAPE(5, 4), SHAPE(4, 3));
    product("MatMul", true, NULL, 2, SHAPE(2, 5, 4), SHAPE(4, 3));
    product("MatMul", true, NULL, 2, SHAPE(2, 150, 1030), SHAPE(1030, 2)); // several pieces and strips
    product("MatMul", true, NULL, 2, SHAPE(2, 3, 150, 4), SHAPE(3, 4, 2));
    product("MatMul", false, NULL, 2, SHAPE(2, 4, 5), SHAPE(3, 4));
    product("Gemm", true, "transB", 6, SHAPE(6, 4), SHAPE(3, 4));
    product("Gemm", true, "transA", 1, SHAPE(4, 6), SHAPE(4, 3));
    product("Gemm", false, "transA", 1, SHAPE(4, 6), SHAPE(4, 3));
    product("Gemm", false, "transB", 1, SHAPE(6, 4), SHAPE(3, 4));
}

// The input weight sees the input of every step, the recurrent one the hidden state before each step.
static void test_lstm(void **state) {
    (void)state;
    enum { T = 4, B = 3, I = 5, H = 2 };
    for (int weight = 0; weight < 2; weight++) {
        Onnx__ModelProto *proto = made_new();
        made_input(proto->graph, "x", SHAPE(T, B, I));
        made_random(proto->graph, "w", SHAPE(1, 4 * H, I), 7), made_random(proto->graph, "r", SHAPE(1, 4 * H, H), 8);
        made_int(made_node(proto->graph, "LSTM", "x,w,r", "y"), "hidden_size", H);
        made_output(proto->graph, "y");
        struct made m;
        struct look l;
        struct fp_tensor x, y = {0};
        made_open(&m, proto);
        run(&m, weight, SHAPE(T, B, I), B, &l, &x, &y);
        assert_true(l.units == B && l.n_rows == T);
        for (size_t b = 0; b < B; b++)
            for (size_t t = 0; t < T; t++)
                for (size_t c = 0; c < (weight ? H : I); c++) {
                    const float found = l.rows[(b * T + t) * l.w->cols + c];
                    if (!weight) assert_true(found == ((float *)x.data)[(t * B + b) * I + c]);
                    else assert_true(found == (t ? ((float *)y.data)[((t - 1) * B + b) * H + c] : 0));
                }
        finish(&m, &l, &x, &y);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_convolutions), cmocka_unit_test(test_products),
                                       cmocka_unit_test(test_lstm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
